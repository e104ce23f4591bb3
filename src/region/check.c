/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The walker: recomputes all that the tree caches. Two passes.
 *
 * The first goes from the root down and trusts no link before it has seen that the
 * child names its parent. Each node names one parent, so none is reached twice and
 * the pass ends, however the links are broken. The second then walks in address order.
 */
#include "region/tree.h"

#define LH_TRY_CHECK(call)                                                         \
	do {                                                                       \
		const char *finding_ = (call);                                     \
		if (finding_)                                                      \
			return finding_;                                           \
	} while (0)

static const char *check_child(const lh_region *region, const lh_region *child)
{
	if (!child)
		return NULL;
	if (child->parent != region)
		return "a child names another parent";
	if (region->colour == LH_RED && child->colour == LH_RED)
		return "a red region has a red child";
	return NULL;
}

static const char *check_node(const lh_region_tree *tree, const lh_region *region)
{
	const lh_region *lower = region->child[LH_LOWER];
	const lh_region *higher = region->child[LH_HIGHER];
	uint64_t largest = region->gap_before;

	if (region->tree != tree)
		return "a region in the tree names another tree";
	if (region->colour != LH_BLACK && region->colour != LH_RED)
		return "a region's colour is neither red nor black";
	if (lower && lower == higher)
		return "a region is both children of another";
	LH_TRY_CHECK(check_child(region, lower));
	LH_TRY_CHECK(check_child(region, higher));
	if (lh_gap_largest(lower) > largest)
		largest = lh_gap_largest(lower);
	if (lh_gap_largest(higher) > largest)
		largest = lh_gap_largest(higher);
	return region->gap_largest != largest ? "a subtree's largest gap is wrong" : NULL;
}

static unsigned black_above(const lh_region *region)
{
	unsigned black = 0;

	for (; region; region = region->parent)
		black += region->colour == LH_BLACK;
	return black;
}

/* The next node of a walk that meets each node before its children. */
static const lh_region *next_downward(const lh_region *region)
{
	if (region->child[LH_LOWER])
		return region->child[LH_LOWER];
	if (region->child[LH_HIGHER])
		return region->child[LH_HIGHER];
	for (; region->parent; region = region->parent) {
		const lh_region *other = region->parent->child[LH_HIGHER];

		if (other && other != region)
			return other;
	}
	return NULL;
}

static const char *check_shape(const lh_region_tree *tree)
{
	unsigned black = 0;
	uint64_t count = 0;

	if (tree->root && tree->root->parent)
		return "the root has a parent";
	if (tree->root && tree->root->colour != LH_BLACK)
		return "the root is not black";
	for (const lh_region *r = tree->root; r; r = next_downward(r)) {
		LH_TRY_CHECK(check_node(tree, r));
		count++;
		if (r->child[LH_LOWER] && r->child[LH_HIGHER])
			continue;
		if (black != 0 && black_above(r) != black)
			return "paths have different numbers of black regions";
		black = black_above(r);
	}
	return count != tree->count ? "the count of regions is wrong" : NULL;
}

/* A region against its lower neighbour. */
static const char *check_below(const lh_region *below, const lh_region *region)
{
	struct lh_page_span lower = lh_span_of(below->range);
	struct lh_page_span higher = lh_span_of(region->range);

	if (higher.first < lower.first)
		return "regions are out of order";
	if (higher.first < lower.end)
		return "regions overlap";
	if (higher.first - lower.end < below->guard_after ||
	    higher.first - lower.end < region->guard_before)
		return "a guard is not kept";
	return NULL;
}

static const char *check_region(const lh_region_tree *tree, const lh_region *below,
				const lh_region *region)
{
	if (!lh_virtual_range_is_valid(region->range))
		return "a region's range is not valid";
	if (!lh_virtual_range_covers(tree->total, region->range))
		return "a region lies outside the tree's total range";
	if ((region->version & 1) != 0)
		return "a region in the tree has an odd version";
	if (below)
		LH_TRY_CHECK(check_below(below, region));
	if (region->gap_before != lh_region_gap(tree, below, region))
		return "a region's gap is wrong";
	return NULL;
}

const char *lh_region_tree_check(const lh_region_tree *tree)
{
	const lh_region *below = NULL;

	if (!lh_virtual_range_is_valid(tree->total))
		return "the tree's total range is not valid";
	if ((tree->sequence & 1) != 0)
		return "the tree's sequence is odd";
	LH_TRY_CHECK(check_shape(tree));
	for (const lh_region *r = lh_region_tree_first(tree); r; r = lh_region_tree_next(r)) {
		LH_TRY_CHECK(check_region(tree, below, r));
		below = r;
	}
	return NULL;
}
