/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory file system: the root of everything. A file's pages live in a library
 * object, so that read, write, mmap and truncate all see the same frames.
 *
 * A directory's entries are a list in the order they were made, each with a position
 * that never changes, so that a listing survives changes; and they are in one table
 * hashed by directory and name. An entry holds its inode; an inode without entries
 * goes with its last holder. All names: the tree lock.
 */
#ifndef KERNEL_FS_TMPFS_H
#define KERNEL_FS_TMPFS_H

#include "fs/file.h"

/* Makes the root directory. LH_NO_MEMORY. */
LH_MUST_USE lh_error tmpfs_create_root(struct inode **root);
/* Removes all names, and drops the root. => nobody uses any file; nothing is mounted. */
void tmpfs_destroy_root(struct inode *root);

/* Takes the tree lock themselves; the directory may turn out to be removed (LH_NO_ENTRY)
 * or not of this file system (LH_NOT_PERMITTED). */

/* Makes an inode under a new name. => *made is held. LH_EXISTS, LH_NO_MEMORY. */
LH_MUST_USE lh_error tmpfs_make(struct inode *directory, const char *name, uint32_t mode,
				uint64_t represents, struct inode **made);
/* One without a name, for pipes and streams. => *made has one holder. */
LH_MUST_USE lh_error tmpfs_make_unnamed(uint32_t mode, uint64_t represents, struct inode **made);
LH_MUST_USE lh_error tmpfs_make_link(struct inode *directory, const char *name,
				     const char *target);
LH_MUST_USE lh_error tmpfs_link(struct inode *directory, const char *name, struct inode *inode);
/* => LH_NO_ENTRY, LH_IS_DIRECTORY, LH_NOT_DIRECTORY, LH_NOT_EMPTY, LH_BUSY (mounted upon). */
LH_MUST_USE lh_error tmpfs_remove(struct inode *directory, const char *name, bool is_directory);
/* rename(2): replaces what has the new name, unless no_replace. */
LH_MUST_USE lh_error tmpfs_rename(struct inode *old_directory, const char *old_name,
				  struct inode *new_directory, const char *new_name,
				  bool no_replace);

/* Under the tree lock: the name by which an inode is known, and where. false: none. */
bool tmpfs_name_of(struct inode *inode, const char **name, size_t *length, struct inode **above);

/* The inode with this number, held; NULL: gone. */
struct inode *tmpfs_find_number(uint64_t number);

/* Inodes there are. */
uint64_t tmpfs_inode_count(void);

#endif
