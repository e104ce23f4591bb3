/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/inode.h"

#include "arch/x86_64/clock.h"
#include "thread/mutex.h"

static struct mutex the_tree_lock;

void file_systems_initialise(void)
{
	mutex_init(&the_tree_lock);
}

void tree_lock(void)
{
	mutex_lock(&the_tree_lock);
}

void tree_unlock(void)
{
	mutex_unlock(&the_tree_lock);
}

void inode_initialise(struct inode *inode, const struct inode_operations *operations,
		      uint32_t device, uint64_t number, uint32_t mode)
{
	*inode = (struct inode){
		.operations = operations,
		.number = number,
		.device = device,
		.holders = 1,
		.mode = mode,
		.links = 1,
	};
	inode_touch_modified(inode);
	inode->accessed = inode->modified;
}

void inode_hold(struct inode *inode)
{
	__atomic_fetch_add(&inode->holders, 1, __ATOMIC_RELAXED);
}

void inode_drop(struct inode *inode)
{
	if (inode != NULL && __atomic_fetch_sub(&inode->holders, 1, __ATOMIC_ACQ_REL) == 1)
		inode->operations->release(inode);
}

/* Moves the count by step, away from 0 on one side of it. */
static lh_error move_writers(struct inode *inode, int32_t step)
{
	int32_t writers = __atomic_load_n(&inode->writers, __ATOMIC_RELAXED);

	do {
		if (step > 0 ? writers < 0 : writers > 0)
			return LH_TEXT_BUSY;
	} while (!__atomic_compare_exchange_n(&inode->writers, &writers, writers + step, false,
					      __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
	return LH_OK;
}

lh_error inode_begin_writing(struct inode *inode)
{
	return move_writers(inode, 1);
}

void inode_end_writing(struct inode *inode)
{
	__atomic_fetch_sub(&inode->writers, 1, __ATOMIC_ACQ_REL);
}

lh_error inode_resize(struct inode *inode, uint64_t size)
{
	lh_error error;

	if (inode->operations->resize == NULL)
		return LH_INVALID;
	LH_TRY(inode_begin_writing(inode));
	error = inode->operations->resize(inode, size);
	inode_end_writing(inode);
	return error;
}

lh_error inode_begin_running(struct inode *inode)
{
	return move_writers(inode, -1);
}

void inode_end_running(struct inode *inode)
{
	__atomic_fetch_add(&inode->writers, 1, __ATOMIC_ACQ_REL);
}

void inode_touch_modified(struct inode *inode)
{
	int64_t now = wall_clock_nanoseconds();

	__atomic_store_n(&inode->modified, now, __ATOMIC_RELAXED);
	__atomic_store_n(&inode->changed, now, __ATOMIC_RELAXED);
}

void inode_touch_changed(struct inode *inode)
{
	__atomic_store_n(&inode->changed, wall_clock_nanoseconds(), __ATOMIC_RELAXED);
}

static struct linux_timespec as_timespec(const int64_t *stamp)
{
	int64_t nanoseconds = __atomic_load_n(stamp, __ATOMIC_RELAXED);

	return (struct linux_timespec){
		.seconds = nanoseconds / 1000000000,
		.nanoseconds = nanoseconds % 1000000000,
	};
}

void inode_describe(struct inode *inode, struct linux_stat *stat)
{
	uint64_t size = inode_size(inode);

	*stat = (struct linux_stat){
		.device = inode->device,
		.inode = inode->number,
		.links = __atomic_load_n(&inode->links, __ATOMIC_RELAXED),
		.mode = inode_mode(inode),
		.user = __atomic_load_n(&inode->user, __ATOMIC_RELAXED),
		.group = __atomic_load_n(&inode->group, __ATOMIC_RELAXED),
		.represents = inode->represents,
		.size = (int64_t)size,
		.block_size = 4096,
		.blocks = (int64_t)((size + 4095) / 4096 * 8),
		.accessed = as_timespec(&inode->accessed),
		.modified = as_timespec(&inode->modified),
		.changed = as_timespec(&inode->changed),
	};
}

int64_t wall_clock_nanoseconds(void)
{
	return (int64_t)(clock_nanoseconds() + clock_realtime_offset());
}
