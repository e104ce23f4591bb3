/* SPDX-License-Identifier: BSD-2-Clause */
/* Looking up under the lock: by address, by neighbourhood, in order. */
#include "region/tree.h"

/* The leaf that a page lies in. */
static inline lh_region *leaf_of(const lh_region_tree *tree, uint64_t page)
{
	lh_region *host = tree->root;

	/* Without this gcc 12, where it links all as one, takes what callers have written to nodes before for dead, and
	 * leaves it out (not with -fno-ipa-modref, nor with -fno-tree-dse): make test-lto. */
	__asm__ volatile("" : : : "memory");
	for (unsigned level = tree->levels; level > 1; level--) {
		/* The lines that are wanted next come at the same time. */
		__builtin_prefetch(&host->node.child[1]);
		__builtin_prefetch(&host->node.gap[4]);
		host = lh_node_child(&host->node, page);
	}
	__builtin_prefetch(&host->node.child[1]);
	__builtin_prefetch(&host->node.gap[4]);
	return host;
}

static inline void find(lh_region_cursor *path, const lh_region_tree *tree, uint64_t page)
{
	lh_region *leaf = leaf_of(tree, page);

	lh_path_set(path, tree, leaf, lh_node_rank(&leaf->node, page));
}

void lh_path_find(lh_region_cursor *path, const lh_region_tree *tree, uint64_t page)
{
	find(path, tree, page);
}

/* The region whose cell a page lies in; the tail's is beyond all. */
static lh_region *cell_of(const lh_region_tree *tree, uint64_t page)
{
	lh_region *host = tree->root;

	for (unsigned level = tree->levels; level > 0; level--) {
		__builtin_prefetch(&host->node.child[2]);
		host = lh_node_child(&host->node, page);
	}
	return host;
}

lh_region *lh_region_tree_find(const lh_region_tree *tree, lh_virtual_address address)
{
	lh_region *region = cell_of(tree, address.value >> LH_PAGE_SHIFT);

	return lh_virtual_range_contains(region->range, address) ? region : NULL;
}

/* The region of a path's cell, or NULL for the tail. */
static lh_region *region_at(const lh_region_cursor *path)
{
	lh_region *region = lh_path_region(path);

	return region != &path->tree->tail ? region : NULL;
}

/* An address in the guard after a region lies in that one's cell; one in owed pages leads to that below. */
lh_region *lh_path_find_from(lh_region_cursor *path, const lh_region_tree *tree, uint64_t page)
{
	lh_region *region;

	find(path, tree, page);
	region = region_at(path);
	if (!region || page < lh_span_of(region->range).end)
		return region;
	(void)lh_path_step(path, true); /* there is one: the tail */
	return region_at(path);
}

lh_region *lh_region_tree_find_from(const lh_region_tree *tree, lh_virtual_address address)
{
	lh_region_cursor path;

	return lh_path_find_from(&path, tree, address.value >> LH_PAGE_SHIFT);
}

/* --- near --- */

static bool is_current(const lh_region_cursor *cursor, const lh_region_tree *tree)
{
	return cursor->tree == tree && cursor->sequence == tree->sequence;
}

lh_region *lh_region_tree_find_near(const lh_region_tree *tree, lh_region_cursor *cursor,
				    lh_virtual_address address)
{
	uint64_t page = address.value >> LH_PAGE_SHIFT;
	lh_region *region;

	if (is_current(cursor, tree)) {
		region = lh_path_region(cursor);
		if (lh_virtual_range_contains(region->range, address))
			return region;
		if (page >= lh_path_node(cursor, 0)->key[0]) {
			cursor->slot[0] = (uint8_t)lh_node_rank(lh_path_node(cursor, 0), page);
			region = lh_path_region(cursor);
			if (lh_virtual_range_contains(region->range, address))
				return region;
		}
	}
	find(cursor, tree, page);
	cursor->sequence = tree->sequence;
	region = lh_path_region(cursor);
	return lh_virtual_range_contains(region->range, address) ? region : NULL;
}

/* --- crossing --- */

/* The region, if it begins at or below the range's last byte. */
static lh_region *if_begins_in(lh_region *region, lh_virtual_range range)
{
	if (!region || lh_virtual_range_is_empty(range))
		return NULL;
	return region->range.base.value <= lh_virtual_range_last(range).value ? region : NULL;
}

lh_region *lh_region_tree_first_crossing(const lh_region_tree *tree, lh_virtual_range range)
{
	return if_begins_in(lh_region_tree_find_from(tree, range.base), range);
}

lh_region *lh_region_tree_next_crossing(const lh_region *region, lh_virtual_range range)
{
	return if_begins_in(lh_region_tree_next(region), range);
}

/* --- in order --- */

static lh_region *neighbour(const lh_region *region, bool is_up)
{
	lh_region_cursor path;

	lh_path_find_region(&path, region->tree, region);
	return lh_path_step(&path, is_up) ? region_at(&path) : NULL;
}

lh_region *lh_region_tree_first(const lh_region_tree *tree)
{
	lh_region_walk walk;

	return lh_region_walk_first(&walk, tree);
}

lh_region *lh_region_tree_last(const lh_region_tree *tree)
{
	lh_region_cursor path;

	lh_path_find(&path, tree, LH_NO_KEY - 1); /* the tail's cell */
	return lh_path_step(&path, false) ? lh_path_region(&path) : NULL;
}

lh_region *lh_region_tree_next(const lh_region *region)
{
	return neighbour(region, true);
}

lh_region *lh_region_tree_previous(const lh_region *region)
{
	return neighbour(region, false);
}

/* --- walks --- */

/*
 * A walk steps through a leaf, and from leaf to leaf below one node, in line: then only what is beyond those is
 * looked for here.
 *
 * A walk over many regions would wait for each node, and then for each region in it: they lie all over
 * memory. So there each leaf is entered here, and then the regions of the next leaf are asked for, and the
 * leaf after that. Those that have another node above them are found if that one is the next; else the walk
 * waits, once in a while.
 */

/* Leaves beside one another: among the children of a node, which is that of a slot of another. */
struct row {
	const lh_region_node *node, *above;
	unsigned slot; /* of the leaf that the walk is in */
	unsigned slot_above;
};

/* The leaf a few steps beyond. => NULL: too far away. */
static const lh_region *leaf_ahead(const struct row *row, unsigned steps)
{
	const lh_region_node *node = row->node;
	unsigned slot = row->slot + steps;

	if (slot < node->count)
		return node->child[slot];
	slot -= node->count;
	if (row->slot_above + 1u >= row->above->count)
		return NULL;
	node = &row->above->child[row->slot_above + 1u]->node;
	return slot < node->count ? node->child[slot] : NULL;
}

static void fetch_node(const lh_region_node *node)
{
	__builtin_prefetch(&node->child);
	__builtin_prefetch(&node->count);
}

static void fetch_regions(const lh_region_node *leaf)
{
	for (unsigned i = 0; i < leaf->count; i++)
		__builtin_prefetch(&leaf->child[i]->range);
}

static void fetch_ahead(struct lh_region *const *leaf)
{
	const lh_region *host = (*leaf)->node.above, *next, *after_next;
	struct row row = {
		.node = &host->node,
		.above = &host->node.above->node,
		.slot = (unsigned)(leaf - host->node.child),
		.slot_above = lh_node_slot_above(host),
	};

	next = leaf_ahead(&row, 2);
	after_next = leaf_ahead(&row, 4);
	if (after_next)
		fetch_node(&after_next->node);
	if (next)
		fetch_regions(&next->node);
	if (row.slot == 0 && row.slot_above + 1u < row.above->count)
		fetch_node(&row.above->child[row.slot_above + 1u]->node);
}

/* The first of the leaves below a child. => depth: levels from it to them. */
static struct lh_region *const *first_leaf(struct lh_region *const *child, unsigned depth)
{
	for (; depth > 0; depth--)
		child = (*child)->node.child;
	return child;
}

/* The first of the leaves beyond those below a node. => there is one: the tail's at the latest. */
static struct lh_region *const *leaf_beyond(const lh_region *host)
{
	unsigned depth = 0, slot;

	do {
		slot = lh_node_slot_above(host) + 1;
		host = host->node.above;
		depth++;
	} while (slot == host->node.count);
	return first_leaf(&host->node.child[slot], depth);
}

/* Up to where a walk steps from leaf to leaf in line: not to the last of all, whose last region is the tail. */
static struct lh_region *const *end_of_leaves(const lh_region_tree *tree, struct lh_region *const *leaf)
{
	const lh_region_node *above = &(*leaf)->node.above->node;
	struct lh_region *const *end = &above->child[above->count];

	return end[-1] == tree->tail.leaf ? end - 1 : end;
}

/* A walk that may be a long one. */
static inline lh_region_walk walk_far(const lh_region_tree *tree, struct lh_region *const *leaf, unsigned slot)
{
	lh_region_walk walk = lh_walk_from_leaf(tree, leaf, slot);

	if (!lh_region_tree_is_near(tree))
		fetch_ahead(leaf);
	else if (*leaf != tree->tail.leaf)
		walk.leaf_end = end_of_leaves(tree, leaf);
	return walk;
}

lh_region_walk lh_region_walk_at(const lh_region_tree *tree, lh_virtual_address address)
{
	lh_region_cursor path;

	(void)lh_path_find_from(&path, tree, address.value >> LH_PAGE_SHIFT);
	fetch_regions(lh_path_node(&path, 0));
	return walk_far(tree, lh_path_leaf(&path), path.slot[0]);
}

lh_region_walk lh_region_walk_at_first(const lh_region_tree *tree)
{
	struct lh_region *const *leaf = first_leaf(&tree->root, tree->levels - 1);

	fetch_regions(&(*leaf)->node);
	return walk_far(tree, leaf, 0);
}

lh_region_walk lh_region_walk_beyond(const lh_region_tree *tree, struct lh_region *const *leaf)
{
	const lh_region *above = (*leaf)->node.above;

	if (*leaf == tree->tail.leaf)
		return (lh_region_walk){ .tree = tree };
	if (++leaf == &above->node.child[above->node.count])
		leaf = leaf_beyond(above);
	return walk_far(tree, leaf, 0);
}
