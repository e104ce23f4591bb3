/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The region tree.
 *
 * Words
 *   total      the range that all regions of the tree lie in
 *   hole       the pages between two neighbouring ranges, or between a range and
 *              an end of total
 *   guard      a distance to keep: not pages that somebody owns. Two neighbours
 *              keep the larger of the two guards that face each other. The ends of
 *              total are no neighbours: no guard is kept from them
 *   room       the part of a hole in which a region with given guards may lie
 *   gap        the size of the room for a region that has no guards itself
 *
 * Structure. A binary search tree by address; the nodes are the regions. Each
 * caches its gap below (gap_before) and the largest gap of its subtree
 * (gap_largest). The hole above the highest region belongs to no node: it is
 * computed when asked for.
 *
 * Invariants, for a region r with lower neighbour p, in page numbers:
 *
 *   p.end + max(p.guard_after, r.guard_before) <= r.first
 *   r.gap_before  = max(0, (r.first - r.guard_before) - (p.end + p.guard_after))
 *                   without p: max(0, (r.first - r.guard_before) - total.first)
 *   r.gap_largest = max(r.gap_before, gap_largest of either child)
 *
 * Example: total [0, 100), p = [10, 20) with guard_after 4, r = [40, 50) with
 * guard_before 2. The hole is [20, 40). Without guards a region may have
 * [24, 38): r.gap_before = 14. With guard_before 6 and guard_after 1 it may have
 * [26, 38): it shares p's four guard pages, adds two, and r's guard is the larger.
 * p.gap_before = 10: no guard is kept from the tree's end.
 *
 * Why the search is complete (place.c): the guards of the region to be placed can
 * only make the room smaller than the gap. So a hole with gap < pages has no slot
 * for it, and a subtree with gap_largest < pages none at all: these are skipped.
 * Every other hole is tried, with all guards, limits and the alignment, in address
 * order from the wanted side; the first that fits has the lowest (highest) slot.
 * A region without guards and with page alignment fits wherever the gap is large
 * enough, but for the two holes that the limits may cut: O(log n). Otherwise each
 * hole that is large enough and yet does not fit costs O(log n) more.
 *
 * Why intrusive: the tree is below every allocator, so it can have none; and linking
 * a region that exists already cannot fail. Why red-black: an insertion or removal
 * rotates at most three times, and each rotation recomputes just two gaps; the depth
 * is bounded, so a lookup is too. A B-tree would touch fewer cache lines, but its
 * nodes must come from somewhere. A list beside it (to find neighbours in O(1)) would
 * be two more words a region, for steps that cost O(1) on average anyhow.
 *
 * Locking: none here; the caller's lock covers the tree and its regions. All changes
 * are made while the tree's sequence is odd, and each changed region's version is odd;
 * both only grow. Who keeps a pointer and a version can thus tell later, under the
 * lock or in the way docs/LOCKING.md allows, whether the region is still what it saw.
 *
 * A region or a tree handed in against its contract (one that is in another tree, say)
 * is not detected: lh_region_tree_check finds the damage.
 */
#include "region/tree.h"

static uint64_t larger_guard(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

struct lh_page_span lh_region_room(const lh_region_tree *tree, const lh_region *below,
				   const lh_region *above, uint32_t guard_before,
				   uint32_t guard_after)
{
	struct lh_page_span room = lh_span_of(tree->total);

	if (below)
		room.first = lh_span_of(below->range).end +
			     larger_guard(below->guard_after, guard_before);
	if (above) {
		uint64_t first = lh_span_of(above->range).first;
		uint64_t guard = larger_guard(above->guard_before, guard_after);

		room.end = first > guard ? first - guard : 0;
	}
	return room;
}

lh_error lh_region_tree_init(lh_region_tree *tree, lh_virtual_range total)
{
	if (!lh_virtual_range_is_valid(total))
		return LH_INVALID;
	*tree = (lh_region_tree){ .total = total };
	return LH_OK;
}

void lh_region_commit(lh_region_tree *tree, lh_region *region, lh_virtual_range range,
		      lh_region *below, lh_region *above)
{
	lh_version_begin(&tree->sequence);
	region->range = range;
	lh_region_link(tree, region, below, above);
	lh_version_end(&region->version);
	lh_version_end(&tree->sequence);
}

lh_error lh_region_tree_place_specifically(lh_region_tree *tree, lh_region *region,
					   lh_virtual_range range)
{
	lh_region *below, *above;
	struct lh_page_span room;

	if (!lh_region_is_placeable(region) || !lh_virtual_range_is_valid(range) ||
	    !lh_virtual_range_covers(tree->total, range))
		return LH_INVALID;
	above = lh_region_tree_find_from(tree, range.base);
	below = above ? lh_region_tree_previous(above) : lh_region_tree_last(tree);
	room = lh_region_room(tree, below, above, region->guard_before, region->guard_after);
	if (!lh_span_covers(room, lh_span_of(range)))
		return LH_EXISTS;
	lh_region_commit(tree, region, range, below, above);
	return LH_OK;
}

void lh_region_tree_remove(lh_region_tree *tree, lh_region *region)
{
	lh_version_begin(&tree->sequence);
	lh_version_begin(&region->version);
	lh_region_unlink(tree, region);
	lh_version_end(&tree->sequence);
}

lh_region *lh_region_tree_find_from(const lh_region_tree *tree, lh_virtual_address address)
{
	lh_region *region = tree->root;
	lh_region *found = NULL;

	while (region) {
		if (lh_virtual_range_last(region->range).value >= address.value) {
			found = region;
			region = region->child[LH_LOWER];
		} else {
			region = region->child[LH_HIGHER];
		}
	}
	return found;
}

lh_region *lh_region_tree_find(const lh_region_tree *tree, lh_virtual_address address)
{
	lh_region *region = lh_region_tree_find_from(tree, address);

	return region && lh_virtual_range_contains(region->range, address) ? region : NULL;
}

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

lh_region *lh_region_outermost(lh_region *region, unsigned side)
{
	while (region->child[side])
		region = region->child[side];
	return region;
}

lh_region *lh_region_neighbour(const lh_region *region, unsigned side)
{
	if (region->child[side])
		return lh_region_outermost(region->child[side], !side);
	while (region->parent && region->parent->child[side] == region)
		region = region->parent;
	return region->parent;
}

lh_region *lh_region_tree_first(const lh_region_tree *tree)
{
	return tree->root ? lh_region_outermost(tree->root, LH_LOWER) : NULL;
}

lh_region *lh_region_tree_last(const lh_region_tree *tree)
{
	return tree->root ? lh_region_outermost(tree->root, LH_HIGHER) : NULL;
}

lh_region *lh_region_tree_next(const lh_region *region)
{
	return lh_region_neighbour(region, LH_HIGHER);
}

lh_region *lh_region_tree_previous(const lh_region *region)
{
	return lh_region_neighbour(region, LH_LOWER);
}
