/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls that take paths. The older forms are the *at forms at the current directory. */
#include "fs/path.h"
#include "lib/string.h"
#include "memory/heap.h"
#include "memory/user.h"
#include "syscall/table.h"

/* A path argument and the directory it begins at. */
struct place {
	struct inode *start;
	char *path;
};

static lh_error place_take(int32_t descriptor, uint64_t address, struct place *place)
{
	lh_error error;

	LH_TRY(call_path(address, &place->path));
	error = call_start(descriptor, place->path, &place->start);
	if (error != LH_OK)
		call_path_free(place->path);
	return error;
}

static void place_free(struct place *place)
{
	inode_drop(place->start);
	call_path_free(place->path);
}

/* --- open --- */

static lh_error open_at(int32_t descriptor, uint64_t address, uint32_t flags, uint32_t mode,
			uint64_t *value)
{
	struct process *process = process_current();
	struct place place;
	struct file *file;
	uint32_t number;
	lh_error error;

	LH_TRY(descriptor_make_room(process->files));
	LH_TRY(place_take(descriptor, address, &place));
	error = path_open(place.start, place.path, flags, mode & ~process_umask(), &file);
	place_free(&place);
	LH_TRY(error);
	error = descriptor_install(process->files, file, 0, (flags & OPEN_CLOSE_ON_EXEC) != 0,
				   &number);
	if (error != LH_OK)
		file_drop(file);
	else
		*value = number;
	return error;
}

lh_error call_open(struct call *call)
{
	return open_at(AT_CURRENT_DIRECTORY, call->a[0], call_unsigned(call, 1),
		       call_unsigned(call, 2), &call->value);
}

lh_error call_openat(struct call *call)
{
	return open_at(call_int(call, 0), call->a[1], call_unsigned(call, 2),
		       call_unsigned(call, 3), &call->value);
}

lh_error call_creat(struct call *call)
{
	return open_at(AT_CURRENT_DIRECTORY, call->a[0],
		       OPEN_CREATE | OPEN_WRITE_ONLY | OPEN_TRUNCATE, call_unsigned(call, 1),
		       &call->value);
}

/* --- stat --- */

/* The inode that a descriptor and a path name; with an empty path, where that is allowed,
 * the descriptor's own. */
static lh_error find_at(int32_t descriptor, uint64_t address, uint32_t flags, struct inode **inode)
{
	struct place place;
	lh_error error;

	LH_TRY(place_take(descriptor, address, &place));
	if (place.path[0] == '\0' && (flags & AT_EMPTY_PATH) != 0) {
		inode_hold(place.start);
		*inode = place.start;
		error = LH_OK;
	} else {
		error = path_find(place.start, place.path, (flags & AT_NO_FOLLOW_LINK) == 0, inode);
	}
	place_free(&place);
	return error;
}

static lh_error stat_at(int32_t descriptor, uint64_t address, uint32_t flags, uint64_t out)
{
	struct linux_stat stat;
	struct inode *inode;

	LH_TRY(find_at(descriptor, address, flags, &inode));
	inode_describe(inode, &stat);
	inode_drop(inode);
	return user_copy_out(out, &stat, sizeof stat);
}

lh_error call_stat(struct call *call)
{
	return stat_at(AT_CURRENT_DIRECTORY, call->a[0], 0, call->a[1]);
}

lh_error call_lstat(struct call *call)
{
	return stat_at(AT_CURRENT_DIRECTORY, call->a[0], AT_NO_FOLLOW_LINK, call->a[1]);
}

lh_error call_newfstatat(struct call *call)
{
	return stat_at(call_int(call, 0), call->a[1], call_unsigned(call, 3), call->a[2]);
}

/* The inode of an open file, held. => LH_BAD_DESCRIPTOR. */
static lh_error inode_of_file(const struct call *call, int index, struct inode **inode)
{
	struct file *file;

	LH_TRY(call_file(call, index, &file));
	*inode = file->inode;
	if (*inode != NULL)
		inode_hold(*inode);
	file_drop(file);
	return *inode != NULL ? LH_OK : LH_BAD_DESCRIPTOR;
}

lh_error call_fstat(struct call *call)
{
	struct linux_stat stat;
	struct inode *inode;

	LH_TRY(inode_of_file(call, 0, &inode));
	inode_describe(inode, &stat);
	inode_drop(inode);
	return user_copy_out(call->a[1], &stat, sizeof stat);
}

struct statx_time {
	int64_t seconds;
	uint32_t nanoseconds;
	int32_t reserved;
};

/* statx(2) */
struct statx {
	uint32_t mask, block_size;
	uint64_t attributes;
	uint32_t links, user, group;
	uint16_t mode, padding;
	uint64_t inode, size, blocks, attributes_mask;
	struct statx_time accessed, born, changed, modified;
	uint32_t represents_major, represents_minor, device_major, device_minor;
	uint64_t reserved[14];
};
_Static_assert(sizeof(struct statx) == 256, "statx(2) has 256 bytes");

#define STATX_BASIC 0x7ffu

static struct statx_time statx_time_of(struct linux_timespec time)
{
	return (struct statx_time){ time.seconds, (uint32_t)time.nanoseconds, 0 };
}

lh_error call_statx(struct call *call)
{
	struct linux_stat stat;
	struct inode *inode;
	struct statx out;

	LH_TRY(find_at(call_int(call, 0), call->a[1], call_unsigned(call, 2), &inode));
	inode_describe(inode, &stat);
	inode_drop(inode);
	out = (struct statx){
		.mask = STATX_BASIC,
		.block_size = (uint32_t)stat.block_size,
		.links = (uint32_t)stat.links,
		.user = stat.user,
		.group = stat.group,
		.mode = (uint16_t)stat.mode,
		.inode = stat.inode,
		.size = (uint64_t)stat.size,
		.blocks = (uint64_t)stat.blocks,
		.accessed = statx_time_of(stat.accessed),
		.changed = statx_time_of(stat.changed),
		.modified = statx_time_of(stat.modified),
		.represents_major = (uint32_t)(stat.represents >> 8),
		.represents_minor = (uint32_t)(stat.represents & 0xff),
		.device_minor = (uint32_t)stat.device,
	};
	return user_copy_out(call->a[4], &out, sizeof out);
}

/* Everybody is root: only a file that nobody may execute is refused. */
static lh_error access_at(int32_t descriptor, uint64_t address, uint32_t mode, uint32_t flags)
{
	struct inode *inode;
	lh_error error = LH_OK;

	if ((mode & ~7u) != 0)
		return LH_INVALID;
	LH_TRY(find_at(descriptor, address, flags, &inode));
	if ((mode & 1) != 0 && !inode_is_directory(inode) &&
	    (inode_mode(inode) & MODE_EXECUTE_ANY) == 0)
		error = LH_NO_ACCESS;
	inode_drop(inode);
	return error;
}

lh_error call_access(struct call *call)
{
	return access_at(AT_CURRENT_DIRECTORY, call->a[0], call_unsigned(call, 1), 0);
}

lh_error call_faccessat(struct call *call)
{
	return access_at(call_int(call, 0), call->a[1], call_unsigned(call, 2), 0);
}

lh_error call_faccessat2(struct call *call)
{
	return access_at(call_int(call, 0), call->a[1], call_unsigned(call, 2),
			 call_unsigned(call, 3) & (AT_NO_FOLLOW_LINK | AT_EMPTY_PATH));
}

/* --- names --- */

static lh_error make_at(int32_t descriptor, uint64_t address, uint32_t mode, uint64_t device)
{
	struct place place;
	lh_error error;

	LH_TRY(place_take(descriptor, address, &place));
	error = path_make(place.start, place.path, mode, device);
	place_free(&place);
	return error;
}

static lh_error make_directory(int32_t descriptor, uint64_t address, uint32_t mode)
{
	return make_at(descriptor, address,
		       MODE_DIRECTORY | (mode & 01777 & ~process_umask()), 0);
}

lh_error call_mkdir(struct call *call)
{
	return make_directory(AT_CURRENT_DIRECTORY, call->a[0], call_unsigned(call, 1));
}

lh_error call_mkdirat(struct call *call)
{
	return make_directory(call_int(call, 0), call->a[1], call_unsigned(call, 2));
}

static lh_error make_node(int32_t descriptor, uint64_t address, uint32_t mode, uint64_t device)
{
	uint32_t type = mode & MODE_TYPE;

	if (type == 0)
		type = MODE_REGULAR;
	if (type == MODE_DIRECTORY || type == MODE_LINK)
		return LH_NOT_PERMITTED;
	if (type != MODE_REGULAR && type != MODE_CHARACTER && type != MODE_FIFO &&
	    type != MODE_BLOCK && type != MODE_SOCKET)
		return LH_INVALID;
	return make_at(descriptor, address,
		       type | (mode & MODE_PERMISSIONS & ~process_umask()), device);
}

lh_error call_mknod(struct call *call)
{
	return make_node(AT_CURRENT_DIRECTORY, call->a[0], call_unsigned(call, 1), call->a[2]);
}

lh_error call_mknodat(struct call *call)
{
	return make_node(call_int(call, 0), call->a[1], call_unsigned(call, 2), call->a[3]);
}

static lh_error remove_at(int32_t descriptor, uint64_t address, bool directory)
{
	struct place place;
	lh_error error;

	LH_TRY(place_take(descriptor, address, &place));
	error = path_remove(place.start, place.path, directory);
	place_free(&place);
	return error;
}

lh_error call_unlink(struct call *call)
{
	return remove_at(AT_CURRENT_DIRECTORY, call->a[0], false);
}

lh_error call_rmdir(struct call *call)
{
	return remove_at(AT_CURRENT_DIRECTORY, call->a[0], true);
}

lh_error call_unlinkat(struct call *call)
{
	if ((call_unsigned(call, 2) & ~AT_REMOVE_DIRECTORY) != 0)
		return LH_INVALID;
	return remove_at(call_int(call, 0), call->a[1],
			 (call_unsigned(call, 2) & AT_REMOVE_DIRECTORY) != 0);
}

static lh_error link_at(int32_t old_descriptor, uint64_t old_address, int32_t descriptor,
			uint64_t address, uint32_t flags)
{
	uint32_t find = flags & AT_EMPTY_PATH;
	struct inode *inode;
	struct place place;
	lh_error error;

	if ((flags & AT_FOLLOW_LINK) == 0)
		find |= AT_NO_FOLLOW_LINK;
	LH_TRY(find_at(old_descriptor, old_address, find, &inode));
	error = place_take(descriptor, address, &place);
	if (error == LH_OK) {
		error = path_link(inode, place.start, place.path);
		place_free(&place);
	}
	inode_drop(inode);
	return error;
}

lh_error call_link(struct call *call)
{
	return link_at(AT_CURRENT_DIRECTORY, call->a[0], AT_CURRENT_DIRECTORY, call->a[1], 0);
}

lh_error call_linkat(struct call *call)
{
	return link_at(call_int(call, 0), call->a[1], call_int(call, 2), call->a[3],
		       call_unsigned(call, 4));
}

static lh_error make_link_at(uint64_t target_address, int32_t descriptor, uint64_t address)
{
	struct place place;
	char *target;
	lh_error error;

	LH_TRY(call_path(target_address, &target));
	error = place_take(descriptor, address, &place);
	if (error == LH_OK) {
		error = path_make_link(place.start, place.path, target);
		place_free(&place);
	}
	call_path_free(target);
	return error;
}

lh_error call_symlink(struct call *call)
{
	return make_link_at(call->a[0], AT_CURRENT_DIRECTORY, call->a[1]);
}

lh_error call_symlinkat(struct call *call)
{
	return make_link_at(call->a[0], call_int(call, 1), call->a[2]);
}

static lh_error rename_at(int32_t old_descriptor, uint64_t old_address, int32_t descriptor,
			  uint64_t address, bool no_replace)
{
	struct place from, to;
	lh_error error;

	LH_TRY(place_take(old_descriptor, old_address, &from));
	error = place_take(descriptor, address, &to);
	if (error == LH_OK) {
		error = path_rename(from.start, from.path, to.start, to.path, no_replace);
		place_free(&to);
	}
	place_free(&from);
	return error;
}

lh_error call_rename(struct call *call)
{
	return rename_at(AT_CURRENT_DIRECTORY, call->a[0], AT_CURRENT_DIRECTORY, call->a[1], false);
}

lh_error call_renameat(struct call *call)
{
	return rename_at(call_int(call, 0), call->a[1], call_int(call, 2), call->a[3], false);
}

#define RENAME_NO_REPLACE 1u

lh_error call_renameat2(struct call *call)
{
	if ((call_unsigned(call, 4) & ~RENAME_NO_REPLACE) != 0)
		return LH_INVALID;
	return rename_at(call_int(call, 0), call->a[1], call_int(call, 2), call->a[3],
			 (call_unsigned(call, 4) & RENAME_NO_REPLACE) != 0);
}

/* --- links --- */

static lh_error read_link(struct inode *inode, uint64_t out, uint64_t size, uint64_t *value)
{
	size_t length = 0;
	char *target;
	lh_error error;

	if (inode_type(inode) != MODE_LINK)
		return LH_INVALID;
	target = kernel_allocate(PATH_BYTES_MAX);
	if (target == NULL)
		return LH_NO_MEMORY;
	tree_lock();
	error = inode->operations->read_link(inode, target, PATH_BYTES_MAX, &length);
	tree_unlock();
	if (length > size)
		length = size;
	if (error == LH_OK)
		error = user_copy_out(out, target, length);
	if (error == LH_OK)
		*value = length;
	kernel_free(target, PATH_BYTES_MAX);
	return error;
}

static lh_error read_link_at(int32_t descriptor, uint64_t address, uint64_t out, int32_t size,
			     uint64_t *value)
{
	struct inode *inode;
	lh_error error;

	if (size <= 0)
		return LH_INVALID;
	LH_TRY(find_at(descriptor, address, AT_NO_FOLLOW_LINK | AT_EMPTY_PATH, &inode));
	error = read_link(inode, out, (uint64_t)size, value);
	inode_drop(inode);
	return error;
}

lh_error call_readlink(struct call *call)
{
	return read_link_at(AT_CURRENT_DIRECTORY, call->a[0], call->a[1], call_int(call, 2),
			    &call->value);
}

lh_error call_readlinkat(struct call *call)
{
	return read_link_at(call_int(call, 0), call->a[1], call->a[2], call_int(call, 3),
			    &call->value);
}

/* --- directories --- */

/* Takes over the inode's holder. */
static lh_error change_directory(struct inode *inode)
{
	struct process *process = process_current();
	struct inode *old;
	uintptr_t interrupts;

	if (!inode_is_directory(inode)) {
		inode_drop(inode);
		return LH_NOT_DIRECTORY;
	}
	interrupts = process_lock();
	old = process->directory;
	process->directory = inode;
	process_unlock(interrupts);
	inode_drop(old);
	return LH_OK;
}

lh_error call_chdir(struct call *call)
{
	struct inode *inode;

	LH_TRY(find_at(AT_CURRENT_DIRECTORY, call->a[0], 0, &inode));
	return change_directory(inode);
}

lh_error call_fchdir(struct call *call)
{
	struct inode *inode;

	LH_TRY(inode_of_file(call, 0, &inode));
	return change_directory(inode);
}

lh_error call_getcwd(struct call *call)
{
	size_t length = 0;
	char *path = kernel_allocate(PATH_BYTES_MAX);
	struct inode *directory;
	lh_error error;

	if (path == NULL)
		return LH_NO_MEMORY;
	directory = process_hold_directory();
	error = path_of_inode(directory, path, PATH_BYTES_MAX, &length);
	inode_drop(directory);
	if (error == LH_OK && strcmp(path, "/ (deleted)") == 0)
		error = LH_NO_ENTRY;
	if (error == LH_OK && length + 1 > call->a[1])
		error = LH_OUT_OF_DOMAIN;
	if (error == LH_OK)
		error = user_copy_out(call->a[0], path, length + 1);
	if (error == LH_OK)
		call->value = length + 1;
	kernel_free(path, PATH_BYTES_MAX);
	return error;
}

/* Entries on their way to getdents64: gathered in the kernel under the tree lock, copied out
 * after it. */
struct gathering {
	struct listing listing;
	uint8_t *buffer;
	size_t size, used;
};

#define ENTRY_HEADER_BYTES 19u
#define LISTING_BYTES_MAX 32768u

static bool gather(struct listing *listing, const char *name, size_t length, uint64_t number,
		   uint32_t mode, uint64_t next_position)
{
	struct gathering *gathering = (struct gathering *)(void *)listing; /* its first member */
	size_t bytes = (ENTRY_HEADER_BYTES + length + 1 + 7) & ~(size_t)7;
	uint8_t *out = gathering->buffer + gathering->used;
	uint16_t record = (uint16_t)bytes;

	if (bytes > gathering->size - gathering->used)
		return false;
	memset(out, 0, bytes);
	memcpy(out, &number, 8);
	memcpy(out + 8, &next_position, 8);
	memcpy(out + 16, &record, 2);
	out[18] = (uint8_t)((mode & MODE_TYPE) >> 12);
	memcpy(out + ENTRY_HEADER_BYTES, name, length);
	gathering->used += bytes;
	return true;
}

/* => LH_INVALID: not one entry fits; LH_BAD_ADDRESS: the position is as before. */
static lh_error list(struct file *file, struct gathering *gathering, uint64_t out)
{
	uint64_t before;
	lh_error error;

	mutex_lock(&file->position_lock);
	before = file->position;
	tree_lock();
	error = file->inode->operations->list(file->inode, &file->position, &gathering->listing);
	tree_unlock();
	if (error == LH_OK && gathering->used == 0 && file->position == before &&
	    gathering->size < ENTRY_HEADER_BYTES + NAME_BYTES_MAX + 1)
		error = LH_INVALID;
	if (error == LH_OK)
		error = user_copy_out(out, gathering->buffer, gathering->used);
	if (error != LH_OK)
		file->position = before;
	mutex_unlock(&file->position_lock);
	return error;
}

static lh_error list_to_user(struct file *file, uint64_t out, uint64_t size, uint64_t *value)
{
	struct gathering gathering = {
		.listing = { .add = gather },
		.size = size < LISTING_BYTES_MAX ? (size_t)size : LISTING_BYTES_MAX,
	};
	lh_error error;

	if (file->inode == NULL || !inode_is_directory(file->inode))
		return LH_NOT_DIRECTORY;
	if (gathering.size == 0)
		return LH_INVALID;
	gathering.buffer = kernel_allocate(gathering.size);
	if (gathering.buffer == NULL)
		return LH_NO_MEMORY;
	error = list(file, &gathering, out);
	if (error == LH_OK)
		*value = gathering.used;
	kernel_free(gathering.buffer, gathering.size);
	return error;
}

lh_error call_getdents64(struct call *call)
{
	struct file *file;
	lh_error error;

	if (call_int(call, 2) < 0) /* more than a call may give back: an error since Linux 6.18 */
		return LH_INVALID;
	LH_TRY(call_file(call, 0, &file));
	error = list_to_user(file, call->a[1], call_unsigned(call, 2), &call->value);
	file_drop(file);
	return error;
}
