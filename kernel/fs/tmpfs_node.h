/* SPDX-License-Identifier: BSD-2-Clause */
/* What the two halves of tmpfs share: its inodes and entries. */
#ifndef KERNEL_FS_TMPFS_NODE_H
#define KERNEL_FS_TMPFS_NODE_H

#include "fs/tmpfs.h"

struct pipe;
struct tmpfs_node;

struct tmpfs_entry {
	struct tmpfs_node *node;      /* held */
	struct tmpfs_node *directory; /* it lies in: not held, lives longer */
	struct tmpfs_entry *next, *previous; /* in the directory, by position */
	struct tmpfs_entry *hash_next;
	uint64_t position;
	uint32_t hash;
	uint32_t length;
	char name[]; /* not terminated */
};

struct tmpfs_node {
	struct inode inode;
	struct tmpfs_node *number_next, *number_previous; /* all nodes: the tree lock */
	struct tmpfs_entry *known_as; /* [t] one of its names; NULL: not known */
	/* directories [t] */
	struct tmpfs_entry *first, *last;
	uint64_t next_position;
	bool is_removed;
	/* regular files: the data lock */
	struct mutex lock;
	lh_object *object; /* NULL while no byte was ever written or mapped */
	/* symbolic links [c] */
	char *target;
	size_t target_length;
	/* FIFOs: what opens of it share */
	struct pipe *pipe;
};

extern const struct inode_operations tmpfs_operations;

static inline struct tmpfs_node *tmpfs_node(struct inode *inode)
{
	return (struct tmpfs_node *)(void *)inode; /* its first member */
}

/* tmpfs_file.c */
LH_MUST_USE lh_error tmpfs_file_open(struct inode *inode, struct file *file);
LH_MUST_USE lh_error tmpfs_file_resize(struct inode *inode, uint64_t size);
void tmpfs_file_release(struct tmpfs_node *node);

#endif
