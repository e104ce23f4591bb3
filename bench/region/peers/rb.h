/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A red-black tree of regions by address, with a hook that recomputes what a node caches about
 * its subtree: the common part of the peers rb-gap (which caches a gap) and rb-linear (which
 * caches nothing). Bottom-up, with parent links; nodes are members of the items.
 */
#ifndef BENCH_REGION_RB_H
#define BENCH_REGION_RB_H

#include "../subject.h"

struct rb_node {
	struct rb_node *parent, *child[2];
	uint64_t is_red;
};

struct rb_item {
	struct rb_node node; /* first */
	uint64_t first, end;
	uint64_t gap;	     /* rb-gap: pages below, to the item before */
	uint64_t gap_largest; /* rb-gap: largest gap of the subtree */
	struct rb_item *previous, *next; /* rb-gap: Linux has a list beside the tree */
	uint64_t flags;
	unsigned char payload[SUBJECT_PAYLOAD_BYTES];
};

struct rb_tree {
	struct rb_node *root;
	uint64_t first, end;
	struct rb_item *lowest, *highest; /* rb-gap */
	uint64_t random;
};

/* Recomputes one node from its children; => true if that changed anything. */
typedef bool rb_recompute(struct rb_node *node);

void rb_link(struct rb_tree *tree, struct rb_node *node, struct rb_node *parent, unsigned side,
	     rb_recompute *recompute);
void rb_unlink(struct rb_tree *tree, struct rb_node *node, rb_recompute *recompute);
void rb_repair(struct rb_node *node, rb_recompute *recompute);
struct rb_node *rb_outermost(struct rb_node *node, unsigned side);
struct rb_node *rb_neighbour(const struct rb_node *node, unsigned side);
const char *rb_check(const struct rb_tree *tree);

/* Shared by both. */
void *rb_create(uint64_t first, uint64_t end);
void rb_destroy(void *tree);
void *rb_lookup(void *tree, uint64_t page);
void rb_range(const void *item, uint64_t *first, uint64_t *pages);
uint64_t rb_touch(const void *item);

static inline struct rb_item *rb_item_of(struct rb_node *node)
{
	return (struct rb_item *)node;
}

#endif
