/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Open files (open file descriptions, in POSIX' words) and the tables of descriptors
 * that lead to them. A file is shared by dup and fork and goes with its last holder.
 *
 * Locks: a table has a spinning lock over its slots; a file's position has a mutex,
 * taken before any data lock. Order: position > inode's data lock.
 */
#ifndef KERNEL_FS_FILE_H
#define KERNEL_FS_FILE_H

#include "fs/inode.h"
#include "fs/transfer.h"
#include "thread/mutex.h"
#include "thread/spinlock.h"

struct file_operations {
	/*
	 * Moves up to transfer->left bytes at *position (moved on; meaningless where not
	 * seekable). How many were moved shows in transfer->left. An error is returned only
	 * if nothing was moved. NULL: LH_INVALID.
	 */
	lh_error (*read)(struct file *file, struct transfer *transfer, uint64_t *position);
	lh_error (*write)(struct file *file, struct transfer *transfer, uint64_t *position);
	/* Which of POLL_... hold now. NULL: always readable and writable. */
	uint32_t (*poll)(struct file *file);
	/* ioctl(2). NULL: LH_NOT_TERMINAL. */
	lh_error (*control)(struct file *file, uint64_t request, uint64_t argument);
	/* fsync(2). NULL: nothing to do. */
	lh_error (*flush)(struct file *file);
	/* The object to map, held for the caller. NULL: cannot be mapped (LH_NO_DEVICE).
	 * *object == NULL on success: map anonymous memory instead (/dev/zero). */
	lh_error (*map)(struct file *file, uint64_t end, lh_object **object);
	/* The last holder is gone. NULL: nothing to do. */
	void (*release)(struct file *file);
	bool seekable;
};

struct file {
	const struct file_operations *operations; /* [c] NULL for directories and O_PATH */
	struct inode *inode;	/* [c] held; NULL for a pipe without a name */
	void *state;		/* [c] the operations' own */
	uint32_t flags;		/* [a] OPEN_... */
	uint32_t holders;	/* [a] */
	struct mutex position_lock;
	uint64_t position;	/* under position_lock */
};

/* A file that is not open yet, so that what comes before its opening can be done when there is memory for it; flags are
 * OPEN_.... Then either file_open_as, or file_drop alone. LH_NO_MEMORY. */
LH_MUST_USE lh_error file_make(uint32_t flags, struct file **file);
/* Opens it over the inode, which it holds. => on error it is only good to be dropped. */
LH_MUST_USE lh_error file_open_as(struct file *file, struct inode *inode);
/* Both. LH_NO_MEMORY. */
LH_MUST_USE lh_error file_open_inode(struct inode *inode, uint32_t flags, struct file **file);
void file_hold(struct file *file);
/* Accepts NULL. */
void file_drop(struct file *file);

static inline uint32_t file_flags(const struct file *file)
{
	return __atomic_load_n(&file->flags, __ATOMIC_RELAXED);
}

bool file_is_readable(const struct file *file);
bool file_is_writable(const struct file *file);

/* At the file's own position, or (second pair) at one given. Check the access mode. */
LH_MUST_USE lh_error file_read(struct file *file, struct transfer *transfer);
LH_MUST_USE lh_error file_write(struct file *file, struct transfer *transfer);
LH_MUST_USE lh_error file_read_at(struct file *file, struct transfer *transfer, uint64_t position);
LH_MUST_USE lh_error file_write_at(struct file *file, struct transfer *transfer,
				   uint64_t position);
uint32_t file_poll(struct file *file);

/* Something that somebody may be polling for has happened to some file. Context: any. */
void file_event(void);
/* Counts such events: read it, poll, then wait until it differs. */
uint32_t file_event_count(void);
/* Waits for the count to differ, a signal (LH_INTERRUPTED) or the deadline on the
 * monotonic clock (LH_TIMED_OUT; UINT64_MAX: none). */
LH_MUST_USE lh_error file_event_wait(uint32_t count, uint64_t deadline);

/* --- descriptors --- */

#define DESCRIPTORS_MAX 1024u

struct descriptor {
	struct file *file; /* held */
	bool close_on_exec;
};

struct descriptor_table {
	struct spinlock lock;
	uint32_t size;		    /* [lock] slots there are */
	uint32_t holders;	    /* [a] processes */
	struct descriptor *slots;   /* [lock] */
};

LH_MUST_USE lh_error descriptor_table_create(struct descriptor_table **table);
/* => one holder, every file held once more. */
LH_MUST_USE lh_error descriptor_table_copy(struct descriptor_table *table,
					   struct descriptor_table **copy);
/* Closes everything with the last holder. Accepts NULL. */
void descriptor_table_drop(struct descriptor_table *table);

/* Takes over the caller's holder of the file only on success.
 * => lowest: smallest number allowed. LH_TOO_MANY_OPEN, LH_NO_MEMORY. */
LH_MUST_USE lh_error descriptor_install(struct descriptor_table *table, struct file *file,
					uint32_t lowest, bool close_on_exec, uint32_t *number);
/* Sees to it that descriptor_install will do, unless another thread takes the place meanwhile: for calls that change
 * something before they need it. The same errors. */
LH_MUST_USE lh_error descriptor_make_room(struct descriptor_table *table);
/* At this very number; what was there is closed. */
LH_MUST_USE lh_error descriptor_replace(struct descriptor_table *table, struct file *file,
					uint32_t number, bool close_on_exec);
/* => *file is held. LH_BAD_DESCRIPTOR. */
LH_MUST_USE lh_error descriptor_find(struct descriptor_table *table, uint32_t number,
				     struct file **file);
LH_MUST_USE lh_error descriptor_close(struct descriptor_table *table, uint32_t number);
LH_MUST_USE lh_error descriptor_flags(struct descriptor_table *table, uint32_t number,
				      bool *close_on_exec);
LH_MUST_USE lh_error descriptor_set_flags(struct descriptor_table *table, uint32_t number,
					  bool close_on_exec);
void descriptor_table_close_on_exec(struct descriptor_table *table);
/* The lowest open number at or above from; false: none. */
bool descriptor_next(struct descriptor_table *table, uint32_t from, uint32_t *number);

#endif
