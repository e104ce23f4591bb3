/* SPDX-License-Identifier: BSD-2-Clause */
/* Looking up under the lock: by address, by neighbourhood, in order. */
#include "region/tree.h"

/* The region whose cell a page lies in; the tail's is beyond all. */
static lh_region *cell_of(const lh_region_tree *tree, uint64_t page)
{
	lh_region *host = tree->root;

	for (unsigned level = tree->levels; level > 0; level--) {
		__builtin_prefetch(&host->node.child[2]);
		host = host->node.child[lh_node_rank(&host->node, page)];
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

	lh_path_find(path, tree, page);
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
	lh_path_find(cursor, tree, page);
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
	lh_region_cursor path;

	return lh_region_cursor_first(&path, tree);
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
 * A walk would wait for each node, and then for each region in it: they lie all over memory. So when it
 * enters a leaf, the regions of the next leaf are asked for, and the leaf after that. Those that have
 * another node above them are found if that one is the next; else the walk waits, once in a while.
 */

/* The leaf a few steps beyond the cursor's. => NULL: too far away. */
static lh_region *leaf_ahead(const lh_region_cursor *cursor, unsigned steps)
{
	const lh_region_node *above = lh_path_node(cursor, 1);
	unsigned slot = cursor->slot[1] + steps;

	if (slot < above->count)
		return above->child[slot];
	slot -= above->count;
	if (cursor->slot[2] + 1u >= lh_path_node(cursor, 2)->count)
		return NULL;
	above = &lh_path_node(cursor, 2)->child[cursor->slot[2] + 1u]->node;
	return slot < above->count ? above->child[slot] : NULL;
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

static void fetch_ahead(const lh_region_cursor *cursor)
{
	const lh_region *next = leaf_ahead(cursor, 2), *after_next = leaf_ahead(cursor, 4);
	const lh_region_node *above = lh_path_node(cursor, 2);

	if (after_next)
		fetch_node(&after_next->node);
	if (next)
		fetch_regions(&next->node);
	if (cursor->slot[1] == 0 && cursor->slot[2] + 1u < above->count)
		fetch_node(&above->child[cursor->slot[2] + 1u]->node);
}

/* The walk comes to a slot of the path's leaf. The tail, the last of all, is beyond its end. */
static inline lh_region *enter_leaf(lh_region_cursor *cursor)
{
	const lh_region_node *leaf = lh_path_node(cursor, 0);
	const lh_region_tree *tree = cursor->tree;

	cursor->at = &leaf->child[cursor->slot[0]];
	cursor->end = &leaf->child[leaf->count];
	if (cursor->end[-1] == &tree->tail)
		cursor->end--;
	return cursor->at < cursor->end ? *cursor->at : NULL;
}

lh_region *lh_cursor_near(lh_region_cursor *cursor, const lh_region_tree *tree, uint64_t page)
{
	cursor->sequence = tree->sequence;
	(void)lh_path_find_from(cursor, tree, page);
	return enter_leaf(cursor);
}

lh_region *lh_region_cursor_from(lh_region_cursor *cursor, const lh_region_tree *tree,
				 lh_virtual_address address)
{
	lh_region *region = lh_cursor_near(cursor, tree, address.value >> LH_PAGE_SHIFT);

	fetch_regions(lh_path_node(cursor, 0));
	if (tree->levels > 3)
		fetch_ahead(cursor);
	return region;
}

lh_region *lh_region_cursor_first(lh_region_cursor *cursor, const lh_region_tree *tree)
{
	return lh_region_cursor_from(cursor, tree, lh_virtual(0));
}

/* What most steps to another leaf are. => false: the node above has no more. */
static inline bool step_to_leaf(lh_region_cursor *cursor)
{
	const lh_region_node *above = lh_path_node(cursor, 1);
	unsigned slot = cursor->slot[1] + 1u;

	if (slot == above->count)
		return false;
	cursor->slot[1] = (uint8_t)slot;
	cursor->host[0] = above->child[slot];
	cursor->slot[0] = 0;
	return true;
}

lh_region *lh_region_cursor_next_node(lh_region_cursor *cursor)
{
	if (cursor->tree->levels == 1)
		return NULL;
	if (!step_to_leaf(cursor)) {
		cursor->slot[0] = (uint8_t)(lh_path_node(cursor, 0)->count - 1);
		if (!lh_path_step(cursor, true))
			return NULL;
	}
	if (cursor->tree->levels > 3)
		fetch_ahead(cursor);
	return enter_leaf(cursor);
}
