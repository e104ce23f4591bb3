/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Paths: from text to inodes, and what changes names. All take paths that lie in
 * kernel memory, terminated; start is the directory that a relative path begins at.
 * Context of all: no lock.
 */
#ifndef KERNEL_FS_PATH_H
#define KERNEL_FS_PATH_H

#include "fs/file.h"

/* The root of everything; constant from tmpfs_create_root to the machine's end. NULL: none. */
struct inode *root_inode(void);
void root_inode_set(struct inode *root);

/* Where a path led. */
struct path_place {
	struct inode *directory; /* held: what the last component is looked up in */
	struct inode *inode;	 /* held: what it names, or NULL: nothing yet */
	bool is_plain;		 /* the last component is a name, not "/", "." or ".." */
	bool wants_directory;	 /* the path ended in a slash */
	char name[NAME_BYTES_MAX + 1]; /* the last component */
};

/*
 * Walks the path. => follow: whether a symbolic link as last component is followed.
 * => LH_NO_ENTRY (also for an empty path), LH_NOT_DIRECTORY, LH_LINK_LOOP,
 *    LH_NAME_TOO_LONG, LH_NO_MEMORY. A missing last component is no error: inode is NULL.
 */
LH_MUST_USE lh_error path_resolve(struct inode *start, const char *path, bool follow,
				  struct path_place *place);
/* Drops what the place holds. */
void path_place_drop(struct path_place *place);

/* The inode alone, held. => LH_NO_ENTRY: nothing has this name. */
LH_MUST_USE lh_error path_find(struct inode *start, const char *path, bool follow,
			       struct inode **inode);

/* open(2): creates, truncates, checks the type. => mode: of a new file. */
LH_MUST_USE lh_error path_open(struct inode *start, const char *path, uint32_t flags,
			       uint32_t mode, struct file **file);
/* A directory, file, FIFO or device node. mode has the type. LH_EXISTS. */
LH_MUST_USE lh_error path_make(struct inode *start, const char *path, uint32_t mode,
			       uint64_t represents);
LH_MUST_USE lh_error path_make_link(struct inode *start, const char *path, const char *target);
/* unlink(2), or rmdir(2). */
LH_MUST_USE lh_error path_remove(struct inode *start, const char *path, bool directory);
LH_MUST_USE lh_error path_link(struct inode *inode, struct inode *start, const char *path);
/* renameat2(2) without exchange. */
LH_MUST_USE lh_error path_rename(struct inode *old_start, const char *old_path,
				 struct inode *new_start, const char *new_path, bool no_replace);

/*
 * The absolute path of an inode, terminated, into size bytes. An inode without a name
 * gives "/ (deleted)". => LH_OUT_OF_DOMAIN: too small.
 */
LH_MUST_USE lh_error path_of_inode(struct inode *inode, char *path, size_t size, size_t *length);
/* The same, with the tree lock held. */
LH_MUST_USE lh_error path_of_inode_locked(struct inode *inode, char *path, size_t size,
					  size_t *length);

#endif
