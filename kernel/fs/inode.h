/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inodes: what names lead to. Two file systems make them: tmpfs (tmpfs.c), whose
 * inodes live as long as a name or a holder leads to them, and proc (proc.c), which
 * makes one at each look-up.
 *
 * Locks of this folder, first to last:
 *   tree lock   one mutex for the whole tree: names, parents, link counts. Never
 *               held while user memory is touched.
 *   data lock   one mutex an inode (tmpfs_file.c), pipe or terminal: contents and
 *               size. User memory may be touched under it, since no fault takes one.
 *   the library's own, then the spinning locks of kernel/process.
 *
 * Fields by letter: [c] constant once made, [t] the tree lock, [a] atomic access,
 * [d] the inode's data lock.
 */
#ifndef KERNEL_FS_INODE_H
#define KERNEL_FS_INODE_H

#include <landhold/object.h>

#include "syscall/linux.h"

struct inode;
struct file;
struct listing;

struct inode_operations {
	/* Directories. Under the tree lock; the name is neither "." nor "..", not empty.
	 * => *found is held. LH_NO_ENTRY, LH_NO_MEMORY. */
	lh_error (*look_up)(struct inode *directory, const char *name, size_t length,
			    struct inode **found);
	/* Gives entries from *position on to the listing until it is full; under the tree
	 * lock. *position is then where to go on. */
	lh_error (*list)(struct inode *directory, uint64_t *position, struct listing *listing);
	/* Symbolic links: the target, not terminated. => LH_OUT_OF_DOMAIN: size too small.
	 * Under the tree lock. */
	lh_error (*read_link)(struct inode *link, char *target, size_t size, size_t *length);
	/* Links that lead to an inode directly, whatever their text: the inode, held. NULL: an
	 * ordinary link. Under the tree lock. */
	lh_error (*jump)(struct inode *link, struct inode **target);
	/* Regular files and devices: sets the file's operations and state. No lock. */
	lh_error (*open)(struct inode *inode, struct file *file);
	/* Regular files: sets the size. No lock. NULL: not possible. */
	lh_error (*resize)(struct inode *inode, uint64_t size);
	/* The last holder is gone: frees the inode. The tree lock may be held. */
	void (*release)(struct inode *inode);
};

struct inode {
	const struct inode_operations *operations; /* [c] */
	uint64_t number;			   /* [c] */
	uint32_t device;			   /* [c] which file system */
	uint32_t holders;			   /* [a] */
	uint32_t mode;				   /* [a] the type is constant */
	uint32_t links;				   /* [t] */
	uint32_t user, group;			   /* [a] */
	uint64_t represents;			   /* [c] of a device node: major and minor */
	uint64_t size;				   /* [d], read by [a] */
	int32_t writers;			   /* [a] open for writing; below 0: programs
						      that run it, so that none may write */
	int64_t accessed, modified, changed;	   /* [a] nanoseconds since 1970 */
	struct inode *parent;	/* [t] of a directory: the one above; NULL: none any more */
	struct inode *mounted;	/* [t] of a directory: the root that covers it */
};

/* Device numbers as makedev(3) packs them, for majors and minors below 256 and 4096. */
#define DEVICE_NUMBER(major, minor) (((uint64_t)(major) << 8) | (uint64_t)(minor))
#define DEVICE_TMPFS 1u
#define DEVICE_PROC 2u

/* Sets what every inode has; one holder. */
void inode_initialise(struct inode *inode, const struct inode_operations *operations,
		      uint32_t device, uint64_t number, uint32_t mode);
void inode_hold(struct inode *inode);
/* Accepts NULL. */
void inode_drop(struct inode *inode);

static inline uint32_t inode_mode(const struct inode *inode)
{
	return __atomic_load_n(&inode->mode, __ATOMIC_RELAXED);
}

static inline uint32_t inode_type(const struct inode *inode)
{
	return inode_mode(inode) & MODE_TYPE;
}

static inline uint64_t inode_size(const struct inode *inode)
{
	return __atomic_load_n(&inode->size, __ATOMIC_ACQUIRE);
}

static inline bool inode_is_directory(const struct inode *inode)
{
	return inode_type(inode) == MODE_DIRECTORY;
}

/* One more that writes to the file, or runs it. => LH_TEXT_BUSY: the other kind has it. */
LH_MUST_USE lh_error inode_begin_writing(struct inode *inode);
void inode_end_writing(struct inode *inode);
LH_MUST_USE lh_error inode_begin_running(struct inode *inode);
void inode_end_running(struct inode *inode);

/* Sets a regular file's size. => LH_TEXT_BUSY: it runs; LH_INVALID: it has none; LH_NO_MEMORY,
 * LH_FILE_TOO_LARGE. Context: may wait. */
LH_MUST_USE lh_error inode_resize(struct inode *inode, uint64_t size);

/* Notes that the contents, or only the inode, changed now. */
void inode_touch_modified(struct inode *inode);
void inode_touch_changed(struct inode *inode);

/* Fills in stat(2). */
void inode_describe(struct inode *inode, struct linux_stat *stat);

/* Once, before anything else here. */
void file_systems_initialise(void);

/* The one lock over names. */
void tree_lock(void);
void tree_unlock(void);

/* Nanoseconds since 1970, for time stamps. */
int64_t wall_clock_nanoseconds(void);

/*
 * A directory listing on its way to the reader. add returns false when the entry does
 * not fit; the caller then stops, and goes on from that entry the next time.
 */
struct listing {
	bool (*add)(struct listing *listing, const char *name, size_t length, uint64_t number,
		    uint32_t mode, uint64_t next_position);
};

#endif
