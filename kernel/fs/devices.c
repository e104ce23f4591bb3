/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/devices.h"

#include "fs/path.h"
#include "fs/stream.h"
#include "fs/tty.h"
#include "lib/log.h"
#include "lib/string.h"
#include "memory/memory.h"
#include "memory/refusal.h"

static lh_error null_read(struct file *file, struct transfer *transfer, uint64_t *position)
{
	(void)file;
	(void)transfer;
	(void)position;
	return LH_OK;
}

static lh_error null_write(struct file *file, struct transfer *transfer, uint64_t *position)
{
	(void)file;
	(void)position;
	transfer->left = 0;
	return LH_OK;
}

static lh_error zero_read(struct file *file, struct transfer *transfer, uint64_t *position)
{
	(void)file;
	(void)position;
	return transfer_give_zeroes(transfer, transfer->left);
}

static lh_error full_write(struct file *file, struct transfer *transfer, uint64_t *position)
{
	(void)file;
	(void)position;
	return transfer->left > 0 ? LH_NO_ROOM : LH_OK;
}

static lh_error random_read(struct file *file, struct transfer *transfer, uint64_t *position)
{
	(void)file;
	(void)position;
	while (transfer->left > 0) {
		uint64_t bits = random_64();
		size_t bytes = transfer->left < sizeof bits ? (size_t)transfer->left : sizeof bits;

		LH_TRY(transfer_give(transfer, &bits, bytes));
	}
	return LH_OK;
}

static lh_error zero_map(struct file *file, uint64_t end, lh_object **object)
{
	(void)file;
	(void)end;
	*object = NULL;
	return LH_OK;
}

static lh_error fail_nth_read(struct file *file, struct transfer *transfer, uint64_t *position)
{
	char text[24];
	size_t length = format_text(text, sizeof text, "%lu\n", refusal_left());
	uint64_t left = length - (*position < length ? *position : length);

	(void)file;
	if (left > transfer->left)
		left = transfer->left;
	LH_TRY(transfer_give(transfer, text + length - left, (size_t)left));
	*position += left;
	return LH_OK;
}

static lh_error fail_nth_write(struct file *file, struct transfer *transfer, uint64_t *position)
{
	char text[24] = "";
	uint64_t nth = 0;

	(void)file;
	(void)position;
	if (transfer->left >= sizeof text)
		return LH_INVALID;
	LH_TRY(transfer_take(transfer, text, (size_t)transfer->left));
	for (const char *digit = text; *digit >= '0' && *digit <= '9'; digit++)
		nth = nth * 10 + (uint64_t)(*digit - '0');
	refusal_set(nth);
	return LH_OK;
}

static const struct file_operations null_operations = {
	.read = null_read, .write = null_write, .seekable = true
};
static const struct file_operations zero_operations = {
	.read = zero_read, .write = null_write, .map = zero_map, .seekable = true
};
static const struct file_operations full_operations = {
	.read = zero_read, .write = full_write, .seekable = true
};
static const struct file_operations random_operations = {
	.read = random_read, .write = null_write, .seekable = true
};

static const struct file_operations fail_nth_operations = {
	.read = fail_nth_read, .write = fail_nth_write, .seekable = true
};

static const struct {
	uint64_t number;
	const struct file_operations *operations;
} simple[] = {
	{ DEVICE_NULL, &null_operations },
	{ DEVICE_ZERO, &zero_operations },
	{ DEVICE_FULL, &full_operations },
	{ DEVICE_RANDOM, &random_operations },
	{ DEVICE_URANDOM, &random_operations },
	{ DEVICE_FAIL_NTH, &fail_nth_operations },
};

lh_error device_open(struct inode *inode, struct file *file)
{
	for (size_t i = 0; i < sizeof simple / sizeof simple[0]; i++) {
		if (simple[i].number == inode->represents) {
			file->operations = simple[i].operations;
			return LH_OK;
		}
	}
	switch (inode->represents) {
	case DEVICE_TERMINAL:
	case DEVICE_CONSOLE:
		if (terminal_is_present())
			return terminal_open(file);
		if (inode->represents == DEVICE_TERMINAL)
			return LH_NO_DEVICE_ADDRESS;
		return stream_open(DEVICE_STREAM_ERROR, file);
	case DEVICE_STREAM_INPUT:
	case DEVICE_STREAM_OUTPUT:
	case DEVICE_STREAM_ERROR:
		return stream_open(inode->represents, file);
	default:
		return LH_NO_DEVICE_ADDRESS;
	}
}

/* What is there already is left as it is. */
static lh_error make(const char *path, uint32_t mode, uint64_t represents)
{
	lh_error error = path_make(root_inode(), path, mode, represents);

	return error == LH_EXISTS ? LH_OK : error;
}

static lh_error link(const char *path, const char *target)
{
	lh_error error = path_make_link(root_inode(), path, target);

	return error == LH_EXISTS ? LH_OK : error;
}

lh_error devices_create_nodes(void)
{
	static const struct {
		const char *path;
		uint32_t mode;
		uint64_t represents;
	} nodes[] = {
		{ "/dev", MODE_DIRECTORY | 0755, 0 },
		{ "/dev/shm", MODE_DIRECTORY | 01777, 0 },
		{ "/proc", MODE_DIRECTORY | 0555, 0 },
		{ "/tmp", MODE_DIRECTORY | 01777, 0 },
		{ "/root", MODE_DIRECTORY | 0700, 0 },
		{ "/dev/null", MODE_CHARACTER | 0666, DEVICE_NULL },
		{ "/dev/zero", MODE_CHARACTER | 0666, DEVICE_ZERO },
		{ "/dev/full", MODE_CHARACTER | 0666, DEVICE_FULL },
		{ "/dev/random", MODE_CHARACTER | 0666, DEVICE_RANDOM },
		{ "/dev/urandom", MODE_CHARACTER | 0666, DEVICE_URANDOM },
		{ "/dev/tty", MODE_CHARACTER | 0666, DEVICE_TERMINAL },
		{ "/dev/console", MODE_CHARACTER | 0600, DEVICE_CONSOLE },
	};

	for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++)
		LH_TRY(make(nodes[i].path, nodes[i].mode, nodes[i].represents));
	if (refusal_is_on())
		LH_TRY(make("/dev/fail-nth", MODE_CHARACTER | 0666, DEVICE_FAIL_NTH));
	LH_TRY(link("/dev/fd", "/proc/self/fd"));
	LH_TRY(link("/dev/stdin", "/proc/self/fd/0"));
	LH_TRY(link("/dev/stdout", "/proc/self/fd/1"));
	return link("/dev/stderr", "/proc/self/fd/2");
}
