/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/file.h"

#include "lib/string.h"
#include "memory/heap.h"

/* --- events that poll waits for --- */

static struct wait_queue event_queue = WAIT_QUEUE_INIT(event_queue);
static uint32_t event_count;

void file_event(void)
{
	__atomic_fetch_add(&event_count, 1, __ATOMIC_SEQ_CST);
	wake_all(&event_queue);
}

uint32_t file_event_count(void)
{
	return __atomic_load_n(&event_count, __ATOMIC_SEQ_CST);
}

lh_error file_event_wait(uint32_t count, uint64_t deadline)
{
	return WAIT_UNTIL_OR(&event_queue, file_event_count() != count, deadline);
}

/* --- files --- */

lh_error file_make(uint32_t flags, struct file **result)
{
	struct file *file = kernel_allocate(sizeof *file);

	if (file == NULL)
		return LH_NO_MEMORY;
	file->flags = flags & ~(OPEN_CREATE | OPEN_EXCLUSIVE | OPEN_TRUNCATE | OPEN_NO_TERMINAL |
				OPEN_CLOSE_ON_EXEC);
	file->holders = 1;
	mutex_init(&file->position_lock);
	*result = file;
	return LH_OK;
}

static bool counts_as_writer(const struct file *file)
{
	return file->inode != NULL && inode_type(file->inode) == MODE_REGULAR &&
	       file_is_writable(file);
}

lh_error file_open_as(struct file *file, struct inode *inode)
{
	lh_error error = LH_OK;

	inode_hold(inode);
	file->inode = inode;
	if (counts_as_writer(file)) {
		error = inode_begin_writing(inode);
		if (error != LH_OK)
			file->flags &= ~OPEN_ACCESS_MODE; /* it never became a writer */
	}
	if (error == LH_OK && (file->flags & OPEN_PATH) == 0 && !inode_is_directory(inode))
		error = inode->operations->open == NULL ? LH_NO_DEVICE_ADDRESS
							: inode->operations->open(inode, file);
	if (error != LH_OK)
		file->operations = NULL;
	return error;
}

lh_error file_open_inode(struct inode *inode, uint32_t flags, struct file **result)
{
	struct file *file;
	lh_error error;

	LH_TRY(file_make(flags, &file));
	error = file_open_as(file, inode);
	if (error != LH_OK)
		file_drop(file);
	else
		*result = file;
	return error;
}

void file_hold(struct file *file)
{
	__atomic_fetch_add(&file->holders, 1, __ATOMIC_RELAXED);
}

void file_drop(struct file *file)
{
	if (file == NULL || __atomic_fetch_sub(&file->holders, 1, __ATOMIC_ACQ_REL) != 1)
		return;
	if (file->operations != NULL && file->operations->release != NULL)
		file->operations->release(file);
	if (counts_as_writer(file))
		inode_end_writing(file->inode);
	inode_drop(file->inode);
	kernel_free(file, sizeof *file);
}

bool file_is_readable(const struct file *file)
{
	uint32_t mode = file_flags(file) & (OPEN_ACCESS_MODE | OPEN_PATH);

	return mode == OPEN_READ_ONLY || mode == OPEN_READ_WRITE;
}

bool file_is_writable(const struct file *file)
{
	uint32_t mode = file_flags(file) & (OPEN_ACCESS_MODE | OPEN_PATH);

	return mode == OPEN_WRITE_ONLY || mode == OPEN_READ_WRITE;
}

static lh_error check_read(const struct file *file)
{
	if (!file_is_readable(file))
		return LH_BAD_DESCRIPTOR;
	if (file->operations == NULL)
		return LH_IS_DIRECTORY;
	return file->operations->read == NULL ? LH_INVALID : LH_OK;
}

static lh_error check_write(const struct file *file)
{
	if (!file_is_writable(file))
		return LH_BAD_DESCRIPTOR;
	return file->operations == NULL || file->operations->write == NULL ? LH_INVALID : LH_OK;
}

/* The position matters, and is locked, only where one can seek: a read that waits for a
 * pipe must not keep others from using the same file. */
lh_error file_read(struct file *file, struct transfer *transfer)
{
	uint64_t nowhere = 0;
	lh_error error;

	LH_TRY(check_read(file));
	if (!file->operations->seekable)
		return file->operations->read(file, transfer, &nowhere);
	mutex_lock(&file->position_lock);
	error = file->operations->read(file, transfer, &file->position);
	mutex_unlock(&file->position_lock);
	return error;
}

lh_error file_write(struct file *file, struct transfer *transfer)
{
	uint64_t nowhere = 0;
	lh_error error;

	LH_TRY(check_write(file));
	if (!file->operations->seekable)
		return file->operations->write(file, transfer, &nowhere);
	mutex_lock(&file->position_lock);
	error = file->operations->write(file, transfer, &file->position);
	mutex_unlock(&file->position_lock);
	return error;
}

lh_error file_read_at(struct file *file, struct transfer *transfer, uint64_t position)
{
	LH_TRY(check_read(file));
	if (!file->operations->seekable)
		return LH_NOT_SEEKABLE;
	return file->operations->read(file, transfer, &position);
}

lh_error file_write_at(struct file *file, struct transfer *transfer, uint64_t position)
{
	LH_TRY(check_write(file));
	if (!file->operations->seekable)
		return LH_NOT_SEEKABLE;
	return file->operations->write(file, transfer, &position);
}

uint32_t file_poll(struct file *file)
{
	if (file->operations == NULL || file->operations->poll == NULL)
		return POLL_IN | POLL_OUT;
	return file->operations->poll(file);
}
