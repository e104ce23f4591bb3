/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A pipe is a ring with a mutex over it and one wait queue on which both sides wait.
 * A write of up to PIPE_ATOMIC_BYTES goes in whole or waits; a larger one may be mixed
 * with others. Who waits lets the mutex go, and looks again under it afterwards.
 *
 * Equation: 0 <= written - taken <= PIPE_BYTES; both only grow.
 */
#include "fs/pipe.h"

#include "fs/tmpfs.h"
#include "lib/string.h"
#include "memory/heap.h"
#include "process/signal.h"

struct pipe {
	struct mutex lock;
	struct wait_queue queue; /* woken at every change */
	uint64_t written, taken; /* [lock], read by atomic access */
	uint32_t readers, writers; /* [lock], read by atomic access: ends that are open */
	uint32_t readers_ever, writers_ever; /* [lock] opens counted */
	uint32_t holders;	 /* by atomic access: open ends, and the inode */
	uint8_t *ring;		 /* constant */
};

lh_error pipe_create(struct pipe **result)
{
	struct pipe *pipe = kernel_allocate(sizeof *pipe);

	if (pipe == NULL)
		return LH_NO_MEMORY;
	pipe->ring = kernel_allocate(PIPE_BYTES);
	if (pipe->ring == NULL) {
		kernel_free(pipe, sizeof *pipe);
		return LH_NO_MEMORY;
	}
	mutex_init(&pipe->lock);
	wait_queue_init(&pipe->queue);
	pipe->holders = 1;
	*result = pipe;
	return LH_OK;
}

void pipe_drop(struct pipe *pipe)
{
	if (__atomic_fetch_sub(&pipe->holders, 1, __ATOMIC_ACQ_REL) != 1)
		return;
	kernel_free(pipe->ring, PIPE_BYTES);
	kernel_free(pipe, sizeof *pipe);
}

static uint64_t used(const struct pipe *pipe)
{
	return __atomic_load_n(&pipe->written, __ATOMIC_ACQUIRE) -
	       __atomic_load_n(&pipe->taken, __ATOMIC_ACQUIRE);
}

static uint32_t count_of(const uint32_t *count)
{
	return __atomic_load_n(count, __ATOMIC_ACQUIRE);
}

static void changed(struct pipe *pipe)
{
	wake_all(&pipe->queue);
	file_event();
}

/* Bytes from the offset to where the ring wraps, at most limit. */
static size_t straight(uint64_t offset, uint64_t limit)
{
	uint64_t room = PIPE_BYTES - offset % PIPE_BYTES;

	return (size_t)(room < limit ? room : limit);
}

/* Moves what there is, or what is wanted. Under the lock. */
static lh_error drain(struct pipe *pipe, struct transfer *transfer)
{
	while (transfer->left > 0 && used(pipe) > 0) {
		uint64_t limit = used(pipe) < transfer->left ? used(pipe) : transfer->left;
		size_t bytes = straight(pipe->taken, limit);

		LH_TRY(transfer_give(transfer, pipe->ring + pipe->taken % PIPE_BYTES, bytes));
		__atomic_store_n(&pipe->taken, pipe->taken + bytes, __ATOMIC_RELEASE);
	}
	return LH_OK;
}

static lh_error fill(struct pipe *pipe, struct transfer *transfer)
{
	while (transfer->left > 0 && used(pipe) < PIPE_BYTES) {
		uint64_t room = PIPE_BYTES - used(pipe);
		size_t bytes = straight(pipe->written, room < transfer->left ? room : transfer->left);

		LH_TRY(transfer_take(transfer, pipe->ring + pipe->written % PIPE_BYTES, bytes));
		__atomic_store_n(&pipe->written, pipe->written + bytes, __ATOMIC_RELEASE);
	}
	return LH_OK;
}

static lh_error pipe_read(struct file *file, struct transfer *transfer, uint64_t *position)
{
	struct pipe *pipe = file->state;
	uint64_t before = transfer->left;

	(void)position;
	for (;;) {
		lh_error error;

		if (transfer->left == 0)
			return LH_OK;
		mutex_lock(&pipe->lock);
		error = drain(pipe, transfer);
		mutex_unlock(&pipe->lock);
		if (transfer->left < before) {
			changed(pipe);
			return LH_OK;
		}
		LH_TRY(error);
		if (count_of(&pipe->writers) == 0 && used(pipe) == 0)
			return LH_OK;
		if ((file_flags(file) & OPEN_NON_BLOCKING) != 0)
			return LH_AGAIN;
		LH_TRY(WAIT_UNTIL_INTERRUPTIBLE(
			&pipe->queue, used(pipe) > 0 || count_of(&pipe->writers) == 0));
	}
}

/* Writes what fits, or all of it if it must go in whole. Under the lock. */
static lh_error write_some(struct pipe *pipe, struct transfer *transfer, bool whole)
{
	if (whole && PIPE_BYTES - used(pipe) < transfer->left)
		return LH_OK;
	return fill(pipe, transfer);
}

static lh_error pipe_write(struct file *file, struct transfer *transfer, uint64_t *position)
{
	struct pipe *pipe = file->state;
	uint64_t before = transfer->left;
	bool whole = transfer->left <= PIPE_ATOMIC_BYTES;
	uint64_t room = whole ? transfer->left : 1;
	lh_error error = LH_OK;

	(void)position;
	while (transfer->left > 0 && error == LH_OK) {
		uint64_t left = transfer->left;

		if (count_of(&pipe->readers) == 0) {
			error = LH_BROKEN_PIPE;
			break;
		}
		mutex_lock(&pipe->lock);
		error = write_some(pipe, transfer, whole);
		mutex_unlock(&pipe->lock);
		if (transfer->left < left)
			changed(pipe);
		if (transfer->left == 0 || error != LH_OK)
			break;
		if ((file_flags(file) & OPEN_NON_BLOCKING) != 0)
			error = LH_AGAIN;
		else
			error = WAIT_UNTIL_INTERRUPTIBLE(
				&pipe->queue, PIPE_BYTES - used(pipe) >= room ||
						      count_of(&pipe->readers) == 0);
	}
	if (error == LH_BROKEN_PIPE)
		signal_send_self(SIGNAL_PIPE);
	return transfer->left < before ? LH_OK : error;
}

static uint32_t poll_reader(const struct pipe *pipe)
{
	uint32_t events = used(pipe) > 0 ? POLL_IN : 0;

	if (count_of(&pipe->writers) == 0 && count_of(&pipe->writers_ever) != 0)
		events |= POLL_HANG_UP;
	return events;
}

static uint32_t poll_writer(const struct pipe *pipe)
{
	uint32_t events = PIPE_BYTES - used(pipe) >= PIPE_ATOMIC_BYTES ? POLL_OUT : 0;

	if (count_of(&pipe->readers) == 0)
		events |= POLL_ERROR;
	return events;
}

static uint32_t pipe_poll(struct file *file)
{
	return (file_is_readable(file) ? poll_reader(file->state) : 0) |
	       (file_is_writable(file) ? poll_writer(file->state) : 0);
}

#define CONTROL_BYTES_READABLE 0x541b /* FIONREAD */

static lh_error pipe_control(struct file *file, uint64_t request, uint64_t argument)
{
	struct transfer out = transfer_user(argument, sizeof(int32_t));
	int32_t bytes = (int32_t)used(file->state);

	if (request != CONTROL_BYTES_READABLE)
		return LH_NOT_TERMINAL;
	return transfer_give(&out, &bytes, sizeof bytes);
}

static void count_end(struct pipe *pipe, const struct file *file, int step)
{
	mutex_lock(&pipe->lock);
	if (file_is_readable(file))
		__atomic_fetch_add(&pipe->readers, (uint32_t)step, __ATOMIC_ACQ_REL);
	if (file_is_writable(file))
		__atomic_fetch_add(&pipe->writers, (uint32_t)step, __ATOMIC_ACQ_REL);
	if (step > 0 && file_is_readable(file))
		__atomic_fetch_add(&pipe->readers_ever, 1, __ATOMIC_ACQ_REL);
	if (step > 0 && file_is_writable(file))
		__atomic_fetch_add(&pipe->writers_ever, 1, __ATOMIC_ACQ_REL);
	mutex_unlock(&pipe->lock);
}

static void pipe_release(struct file *file)
{
	struct pipe *pipe = file->state;

	count_end(pipe, file, -1);
	changed(pipe);
	pipe_drop(pipe);
}

static const struct file_operations pipe_operations = {
	.read = pipe_read,
	.write = pipe_write,
	.poll = pipe_poll,
	.control = pipe_control,
	.release = pipe_release,
};

lh_error pipe_make_ends(uint32_t flags, struct file **reader, struct file **writer)
{
	struct inode *inode;
	lh_error error;

	LH_TRY(tmpfs_make_unnamed(MODE_FIFO | 0600, 0, &inode));
	error = file_open_inode(inode, OPEN_READ_ONLY | flags, reader);
	if (error == LH_OK) {
		error = file_open_inode(inode, OPEN_WRITE_ONLY | flags, writer);
		if (error != LH_OK)
			file_drop(*reader);
	}
	inode_drop(inode);
	return error;
}

/* Waits until the other end was opened at least once since we came. Ends of a pipe without a
 * name do not: it has both from the start, and may be opened again through proc. */
static lh_error wait_for_other_end(struct pipe *pipe, const struct file *file, uint32_t readers_ever,
				   uint32_t writers_ever)
{
	if ((file_is_readable(file) && file_is_writable(file)) || file->inode->links == 0)
		return LH_OK;
	if (file_is_readable(file)) {
		if ((file_flags(file) & OPEN_NON_BLOCKING) != 0)
			return LH_OK;
		return WAIT_UNTIL_INTERRUPTIBLE(&pipe->queue,
						count_of(&pipe->writers) != 0 ||
							count_of(&pipe->writers_ever) != writers_ever);
	}
	if ((file_flags(file) & OPEN_NON_BLOCKING) != 0)
		return count_of(&pipe->readers) != 0 ? LH_OK : LH_NO_DEVICE_ADDRESS;
	return WAIT_UNTIL_INTERRUPTIBLE(&pipe->queue,
					count_of(&pipe->readers) != 0 ||
						count_of(&pipe->readers_ever) != readers_ever);
}

lh_error pipe_open_fifo(struct pipe *pipe, struct file *file)
{
	uint32_t readers_ever = count_of(&pipe->readers_ever);
	uint32_t writers_ever = count_of(&pipe->writers_ever);
	lh_error error;

	count_end(pipe, file, 1);
	changed(pipe);
	error = wait_for_other_end(pipe, file, readers_ever, writers_ever);
	if (error != LH_OK) {
		count_end(pipe, file, -1);
		return error;
	}
	__atomic_fetch_add(&pipe->holders, 1, __ATOMIC_RELAXED);
	file->operations = &pipe_operations;
	file->state = pipe;
	return LH_OK;
}
