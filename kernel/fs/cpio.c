/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An archive is a row of members: a header of 110 characters (a magic number and 13
 * numbers of 8 hexadecimal digits), the name with its 0, the data; name and data each
 * padded to four bytes. The last one is named TRAILER!!!. Names of one file have the same
 * inode number; its data comes with one of them.
 */
#include "fs/cpio.h"

#include "fs/path.h"
#include "lib/log.h"
#include "lib/string.h"
#include "memory/heap.h"

#define HEADER_BYTES 110u
#define MAGIC "070701"
#define LINKED_MAX 512u

struct member {
	uint32_t inode, mode, links, modified, size, major, minor, name_bytes;
	const char *name;
	const uint8_t *data;
};

/* What of the archive is still to be read. */
struct reader {
	const uint8_t *at;
	size_t left;
	size_t offset; /* from the archive's start: padding counts from there */
	/* Files with several names, by the first of them. */
	struct { uint32_t inode; const char *name; } linked[LINKED_MAX];
	uint32_t linked_count;
};

static bool read_hexadecimal(const uint8_t *digits, uint32_t *value)
{
	*value = 0;
	for (int i = 0; i < 8; i++) {
		uint8_t digit = digits[i];

		if (digit >= '0' && digit <= '9')
			digit = (uint8_t)(digit - '0');
		else if ((digit | 0x20) >= 'a' && (digit | 0x20) <= 'f')
			digit = (uint8_t)((digit | 0x20) - 'a' + 10);
		else
			return false;
		*value = *value << 4 | digit;
	}
	return true;
}

/* Takes bytes and the padding after them. => NULL: there are not so many. */
static const uint8_t *take(struct reader *reader, size_t bytes)
{
	const uint8_t *start = reader->at;
	size_t padding = (4 - (reader->offset + bytes) % 4) % 4;

	if (bytes > reader->left)
		return NULL;
	if (padding > reader->left - bytes)
		padding = reader->left - bytes;
	reader->at += bytes + padding;
	reader->left -= bytes + padding;
	reader->offset += bytes + padding;
	return start;
}

static bool parse_header(const uint8_t *header, struct member *member)
{
	uint32_t fields[13];

	if (memcmp(header, MAGIC, 6) != 0)
		return false;
	for (int i = 0; i < 13; i++)
		if (!read_hexadecimal(header + 6 + 8 * i, &fields[i]))
			return false;
	*member = (struct member){
		.inode = fields[0],
		.mode = fields[1],
		.links = fields[4],
		.modified = fields[5],
		.size = fields[6],
		.major = fields[9],
		.minor = fields[10],
		.name_bytes = fields[11],
	};
	return true;
}

static bool read_member(struct reader *reader, struct member *member)
{
	const uint8_t *header, *name;

	/* The header is not padded by itself: header and name are, together. */
	if (reader->left < HEADER_BYTES || !parse_header(reader->at, member))
		return false;
	if (member->name_bytes == 0 || member->name_bytes > PATH_BYTES_MAX)
		return false;
	header = take(reader, HEADER_BYTES + (size_t)member->name_bytes);
	if (header == NULL)
		return false;
	name = header + HEADER_BYTES;
	if (name[member->name_bytes - 1] != '\0')
		return false;
	member->name = (const char *)name;
	member->data = take(reader, member->size);
	return member->data != NULL;
}

/* The name that this file already has here; NULL: it is the first. */
static const char *first_name(struct reader *reader, const struct member *member)
{
	if (member->links < 2 || (member->mode & MODE_TYPE) == MODE_DIRECTORY)
		return NULL;
	for (uint32_t i = 0; i < reader->linked_count; i++)
		if (reader->linked[i].inode == member->inode)
			return reader->linked[i].name;
	if (reader->linked_count < LINKED_MAX) {
		reader->linked[reader->linked_count].inode = member->inode;
		reader->linked[reader->linked_count++].name = member->name;
	}
	return NULL;
}

static lh_error unpack_link(const struct member *member)
{
	char target[PATH_BYTES_MAX / 4];

	if (member->size >= sizeof target)
		return LH_NAME_TOO_LONG;
	memcpy(target, member->data, member->size);
	target[member->size] = '\0';
	return path_make_link(root_inode(), member->name, target);
}

static lh_error write_data(const struct member *member)
{
	struct transfer transfer = transfer_kernel(member->data, member->size);
	struct file *file;
	lh_error error = LH_OK;

	LH_TRY(path_open(root_inode(), member->name,
			 OPEN_CREATE | OPEN_WRITE_ONLY | OPEN_TRUNCATE, member->mode, &file));
	while (error == LH_OK && transfer.left > 0)
		error = file_write(file, &transfer);
	file->inode->modified = (int64_t)member->modified * 1000000000;
	file_drop(file);
	return error;
}

static lh_error unpack_hard_link(const struct member *member, const char *existing)
{
	struct inode *inode;
	lh_error error;

	LH_TRY(path_find(root_inode(), existing, false, &inode));
	error = path_link(inode, root_inode(), member->name);
	inode_drop(inode);
	LH_TRY(error);
	return member->size > 0 ? write_data(member) : LH_OK;
}

static lh_error unpack_directory(const struct member *member)
{
	uint32_t mode = member->mode & (MODE_TYPE | MODE_PERMISSIONS);
	lh_error error = path_make(root_inode(), member->name, mode, 0);

	return error == LH_EXISTS ? LH_OK : error; /* such as "." */
}

static lh_error unpack_member(struct reader *reader, const struct member *member)
{
	const char *existing = first_name(reader, member);

	if (existing != NULL)
		return unpack_hard_link(member, existing);
	switch (member->mode & MODE_TYPE) {
	case MODE_DIRECTORY:
		return unpack_directory(member);
	case MODE_LINK:
		return unpack_link(member);
	case MODE_REGULAR:
		return write_data(member);
	case MODE_CHARACTER:
	case MODE_FIFO:
		return path_make(root_inode(), member->name,
				 member->mode & (MODE_TYPE | MODE_PERMISSIONS),
				 DEVICE_NUMBER(member->major, member->minor));
	default:
		return LH_OK; /* sockets and disks mean nothing here */
	}
}

static lh_error unpack_all(struct reader *reader)
{
	struct member member;

	for (;;) {
		lh_error error;

		if (!read_member(reader, &member))
			return LH_INVALID;
		if (strcmp(member.name, "TRAILER!!!") == 0)
			return LH_OK;
		error = unpack_member(reader, &member);
		if (error == LH_NO_MEMORY || error == LH_NO_ROOM)
			return error;
		if (error != LH_OK)
			log_line("archive: %s: %s", member.name, lh_error_string(error));
	}
}

lh_error cpio_unpack(const uint8_t *archive, size_t size)
{
	struct reader *reader = kernel_allocate(sizeof *reader);
	lh_error error;

	if (reader == NULL)
		return LH_NO_MEMORY;
	reader->at = archive;
	reader->left = size;
	error = unpack_all(reader);
	kernel_free(reader, sizeof *reader);
	return error;
}
