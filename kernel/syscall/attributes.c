/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls that change what inodes say of themselves: permissions, owners, times. */
#include "fs/path.h"
#include "memory/user.h"
#include "syscall/table.h"

static lh_error find(int32_t descriptor, uint64_t address, uint32_t flags, struct inode **inode)
{
	struct inode *start;
	char *path;
	lh_error error;

	LH_TRY(call_path(address, &path));
	error = call_start(descriptor, path, &start);
	if (error == LH_OK && path[0] == '\0' && (flags & AT_EMPTY_PATH) != 0) {
		*inode = start;
	} else if (error == LH_OK) {
		error = path_find(start, path, (flags & AT_NO_FOLLOW_LINK) == 0, inode);
		inode_drop(start);
	}
	call_path_free(path);
	return error;
}

static lh_error find_open(const struct call *call, struct inode **inode)
{
	struct file *file;

	LH_TRY(call_file(call, 0, &file));
	*inode = file->inode;
	if (*inode != NULL)
		inode_hold(*inode);
	file_drop(file);
	return *inode != NULL ? LH_OK : LH_BAD_DESCRIPTOR;
}

/* --- permissions; take over the inode's holder --- */

static lh_error set_mode(struct inode *inode, uint32_t mode)
{
	__atomic_store_n(&inode->mode, inode_type(inode) | (mode & MODE_PERMISSIONS),
			 __ATOMIC_RELAXED);
	inode_touch_changed(inode);
	inode_drop(inode);
	return LH_OK;
}

lh_error call_chmod(struct call *call)
{
	struct inode *inode;

	LH_TRY(find(AT_CURRENT_DIRECTORY, call->a[0], 0, &inode));
	return set_mode(inode, call_unsigned(call, 1));
}

lh_error call_fchmod(struct call *call)
{
	struct inode *inode;

	LH_TRY(find_open(call, &inode));
	return set_mode(inode, call_unsigned(call, 1));
}

lh_error call_fchmodat(struct call *call)
{
	struct inode *inode;

	LH_TRY(find(call_int(call, 0), call->a[1], 0, &inode));
	return set_mode(inode, call_unsigned(call, 2));
}

#define OWNER_UNCHANGED UINT32_MAX

static lh_error set_owner(struct inode *inode, uint32_t user, uint32_t group)
{
	if (user != OWNER_UNCHANGED)
		__atomic_store_n(&inode->user, user, __ATOMIC_RELAXED);
	if (group != OWNER_UNCHANGED)
		__atomic_store_n(&inode->group, group, __ATOMIC_RELAXED);
	inode_touch_changed(inode);
	inode_drop(inode);
	return LH_OK;
}

lh_error call_chown(struct call *call)
{
	struct inode *inode;

	LH_TRY(find(AT_CURRENT_DIRECTORY, call->a[0], 0, &inode));
	return set_owner(inode, call_unsigned(call, 1), call_unsigned(call, 2));
}

lh_error call_lchown(struct call *call)
{
	struct inode *inode;

	LH_TRY(find(AT_CURRENT_DIRECTORY, call->a[0], AT_NO_FOLLOW_LINK, &inode));
	return set_owner(inode, call_unsigned(call, 1), call_unsigned(call, 2));
}

lh_error call_fchown(struct call *call)
{
	struct inode *inode;

	LH_TRY(find_open(call, &inode));
	return set_owner(inode, call_unsigned(call, 1), call_unsigned(call, 2));
}

lh_error call_fchownat(struct call *call)
{
	struct inode *inode;

	LH_TRY(find(call_int(call, 0), call->a[1], call_unsigned(call, 4), &inode));
	return set_owner(inode, call_unsigned(call, 2), call_unsigned(call, 3));
}

lh_error call_umask(struct call *call)
{
	call->value = __atomic_exchange_n(&process_current()->umask, call_unsigned(call, 0) & 0777,
					  __ATOMIC_RELAXED);
	return LH_OK;
}

/* --- times --- */

#define TIME_NOW 0x3fffffff
#define TIME_UNCHANGED 0x3ffffffe

/* What to set: nanoseconds since 1970, where is_set. */
struct new_times {
	int64_t nanoseconds[2];
	bool is_set[2];
};

static struct new_times times_now(void)
{
	int64_t now = wall_clock_nanoseconds();

	return (struct new_times){ { now, now }, { true, true } };
}

static int64_t combine(int64_t seconds, int64_t nanoseconds)
{
	if (seconds > INT64_MAX / 1000000000 - 1 || seconds < INT64_MIN / 1000000000 + 1)
		seconds = seconds < 0 ? INT64_MIN / 1000000000 + 1 : INT64_MAX / 1000000000 - 1;
	return seconds * 1000000000 + nanoseconds;
}

static lh_error read_timespecs(uint64_t address, struct new_times *times)
{
	struct linux_timespec given[2];

	LH_TRY(user_copy_in(given, address, sizeof given));
	*times = times_now();
	for (int i = 0; i < 2; i++) {
		if (given[i].nanoseconds == TIME_NOW)
			continue;
		times->is_set[i] = given[i].nanoseconds != TIME_UNCHANGED;
		if (!times->is_set[i])
			continue;
		if (given[i].nanoseconds < 0 || given[i].nanoseconds >= 1000000000)
			return LH_INVALID;
		times->nanoseconds[i] = combine(given[i].seconds, given[i].nanoseconds);
	}
	return LH_OK;
}

static lh_error read_timevals(uint64_t address, struct new_times *times)
{
	struct linux_timeval given[2];

	LH_TRY(user_copy_in(given, address, sizeof given));
	for (int i = 0; i < 2; i++) {
		if (given[i].microseconds < 0 || given[i].microseconds >= 1000000)
			return LH_INVALID;
		times->nanoseconds[i] = combine(given[i].seconds, given[i].microseconds * 1000);
	}
	return LH_OK;
}

static lh_error set_times(struct inode *inode, const struct new_times *times)
{
	inode_touch_changed(inode);
	if (times->is_set[0])
		__atomic_store_n(&inode->accessed, times->nanoseconds[0], __ATOMIC_RELAXED);
	if (times->is_set[1])
		__atomic_store_n(&inode->modified, times->nanoseconds[1], __ATOMIC_RELAXED);
	inode_drop(inode);
	return LH_OK;
}

lh_error call_utimensat(struct call *call)
{
	struct new_times times = times_now();
	struct inode *inode;

	if (call->a[2] != 0)
		LH_TRY(read_timespecs(call->a[2], &times));
	if (call->a[1] == 0 && call_int(call, 0) != AT_CURRENT_DIRECTORY)
		LH_TRY(find_open(call, &inode));
	else
		LH_TRY(find(call_int(call, 0), call->a[1], call_unsigned(call, 3), &inode));
	return set_times(inode, &times);
}

static lh_error set_times_at(int32_t descriptor, uint64_t path, uint64_t address)
{
	struct new_times times = times_now();
	struct inode *inode;

	if (address != 0)
		LH_TRY(read_timevals(address, &times));
	LH_TRY(find(descriptor, path, 0, &inode));
	return set_times(inode, &times);
}

lh_error call_utimes(struct call *call)
{
	return set_times_at(AT_CURRENT_DIRECTORY, call->a[0], call->a[1]);
}

lh_error call_futimesat(struct call *call)
{
	return set_times_at(call_int(call, 0), call->a[1], call->a[2]);
}

lh_error call_utime(struct call *call)
{
	struct new_times times = times_now();
	struct inode *inode;
	int64_t seconds[2];

	if (call->a[1] != 0) {
		LH_TRY(user_copy_in(seconds, call->a[1], sizeof seconds));
		times.nanoseconds[0] = combine(seconds[0], 0);
		times.nanoseconds[1] = combine(seconds[1], 0);
	}
	LH_TRY(find(AT_CURRENT_DIRECTORY, call->a[0], 0, &inode));
	return set_times(inode, &times);
}
