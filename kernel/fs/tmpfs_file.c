/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tmpfs: what files hold. A regular file's pages are those of an anonymous library
 * object, not committed: a page is charged when it is made. The inode's size and the
 * object's are equal whenever the data lock is free.
 */
#include "fs/tmpfs_node.h"

#include "fs/devices.h"
#include "fs/pipe.h"
#include "lib/string.h"
#include "memory/memory.h"

#define FILE_BYTES_MAX (UINT64_C(1) << 50)

static void set_size(struct tmpfs_node *node, uint64_t size)
{
	__atomic_store_n(&node->inode.size, size, __ATOMIC_RELEASE);
}

/* Sets the size, making the object where there is none. Under the data lock. */
static lh_error resize_locked(struct tmpfs_node *node, uint64_t size)
{
	if (size > FILE_BYTES_MAX)
		return LH_FILE_TOO_LARGE;
	if (node->object == NULL) {
		lh_object_setup setup = { .kind = LH_OBJECT_ANONYMOUS, .size = size };

		LH_TRY(lh_object_create(memory_manager(), &setup, &node->object));
	} else {
		LH_TRY(lh_object_resize(node->object, size));
	}
	set_size(node, size);
	return LH_OK;
}

lh_error tmpfs_file_resize(struct inode *inode, uint64_t size)
{
	struct tmpfs_node *node = tmpfs_node(inode);
	lh_error error = LH_OK;

	if (inode_type(inode) != MODE_REGULAR)
		return LH_INVALID;
	mutex_lock(&node->lock);
	if (size != node->inode.size)
		error = resize_locked(node, size);
	mutex_unlock(&node->lock);
	if (error == LH_OK)
		inode_touch_modified(inode);
	return error;
}

/* Bytes from the position to the end of its page, at most limit. */
static size_t within_page(uint64_t position, uint64_t limit)
{
	uint64_t room = LH_PAGE_SIZE - position % LH_PAGE_SIZE;

	return (size_t)(room < limit ? room : limit);
}

/* Gives the part of one page at the position. */
static lh_error read_page(struct tmpfs_node *node, struct transfer *transfer, uint64_t position,
			  size_t bytes)
{
	lh_frame_number frame;
	const uint8_t *page;
	lh_error error;

	LH_TRY(lh_object_hold_page(node->object, position / LH_PAGE_SIZE, LH_RIGHT_READ, &frame));
	if (lh_frame_is_none(frame))
		return transfer_give_zeroes(transfer, bytes);
	page = lh_frame_pointer(memory_frames(), frame);
	error = transfer_give(transfer, page + position % LH_PAGE_SIZE, bytes);
	lh_frame_drop(memory_frames(), frame);
	return error;
}

static lh_error tmpfs_read(struct file *file, struct transfer *transfer, uint64_t *position)
{
	struct tmpfs_node *node = tmpfs_node(file->inode);
	uint64_t before = transfer->left;
	lh_error error = LH_OK;

	mutex_lock(&node->lock);
	while (error == LH_OK && transfer->left > 0 && *position < node->inode.size) {
		uint64_t rest = node->inode.size - *position;
		size_t bytes = within_page(*position, rest < transfer->left ? rest : transfer->left);

		error = read_page(node, transfer, *position, bytes);
		if (error == LH_OK)
			*position += bytes;
	}
	mutex_unlock(&node->lock);
	return transfer->left < before ? LH_OK : error;
}

static lh_error write_page(struct tmpfs_node *node, struct transfer *transfer, uint64_t position,
			   size_t bytes)
{
	lh_frame_number frame;
	uint8_t *page;
	lh_error error;

	LH_TRY(lh_object_hold_page(node->object, position / LH_PAGE_SIZE, LH_RIGHT_WRITE, &frame));
	page = lh_frame_pointer(memory_frames(), frame);
	error = transfer_take(transfer, page + position % LH_PAGE_SIZE, bytes);
	lh_frame_drop(memory_frames(), frame);
	return error;
}

/* Writes one page's part; the file grows if need be, and shrinks back if it fails. */
static lh_error write_step(struct tmpfs_node *node, struct transfer *transfer, uint64_t position,
			   size_t bytes)
{
	uint64_t size = node->inode.size;
	lh_error error;

	if (position + bytes > size)
		LH_TRY(resize_locked(node, position + bytes));
	error = write_page(node, transfer, position, bytes);
	if (error != LH_OK && node->inode.size > size &&
	    lh_object_resize(node->object, size) == LH_OK)
		set_size(node, size);
	return error;
}

static lh_error tmpfs_write(struct file *file, struct transfer *transfer, uint64_t *position)
{
	struct tmpfs_node *node = tmpfs_node(file->inode);
	uint64_t before = transfer->left;
	lh_error error = LH_OK;

	mutex_lock(&node->lock);
	if ((file_flags(file) & OPEN_APPEND) != 0)
		*position = node->inode.size;
	while (error == LH_OK && transfer->left > 0) {
		size_t bytes = within_page(*position, transfer->left);

		error = *position > FILE_BYTES_MAX ? LH_FILE_TOO_LARGE
						   : write_step(node, transfer, *position, bytes);
		if (error == LH_OK)
			*position += bytes;
	}
	mutex_unlock(&node->lock);
	if (transfer->left < before)
		inode_touch_modified(file->inode);
	if (error == LH_NO_MEMORY)
		error = LH_NO_ROOM;
	return transfer->left < before ? LH_OK : error;
}

static lh_error tmpfs_map(struct file *file, uint64_t end, lh_object **object)
{
	struct tmpfs_node *node = tmpfs_node(file->inode);
	lh_error error = LH_OK;

	(void)end; /* beyond the file's end: a bus error when touched */
	mutex_lock(&node->lock);
	if (node->object == NULL)
		error = resize_locked(node, 0);
	if (error == LH_OK) {
		lh_object_hold(node->object);
		*object = node->object;
	}
	mutex_unlock(&node->lock);
	return error;
}

static const struct file_operations tmpfs_file_operations = {
	.read = tmpfs_read,
	.write = tmpfs_write,
	.map = tmpfs_map,
	.seekable = true,
};

/* The pipe that a FIFO's opens share. */
static lh_error open_fifo(struct tmpfs_node *node, struct file *file)
{
	lh_error error = LH_OK;

	mutex_lock(&node->lock);
	if (node->pipe == NULL)
		error = pipe_create(&node->pipe);
	mutex_unlock(&node->lock);
	LH_TRY(error);
	return pipe_open_fifo(node->pipe, file);
}

lh_error tmpfs_file_open(struct inode *inode, struct file *file)
{
	switch (inode_type(inode)) {
	case MODE_REGULAR:
		file->operations = &tmpfs_file_operations;
		return LH_OK;
	case MODE_CHARACTER:
		return device_open(inode, file);
	case MODE_FIFO:
		return open_fifo(tmpfs_node(inode), file);
	default:
		return LH_NO_DEVICE_ADDRESS;
	}
}

void tmpfs_file_release(struct tmpfs_node *node)
{
	if (node->object != NULL)
		lh_object_drop(node->object);
	if (node->pipe != NULL)
		pipe_drop(node->pipe);
}
