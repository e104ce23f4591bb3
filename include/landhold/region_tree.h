/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The region tree: the single authority over what an address space looks like.
 *
 * You place a region; you never get a bare range. Finding the hole, giving the
 * region its range and linking it in is one step, on a region that is complete
 * in all else. The tree never allocates: its nodes are the regions.
 *
 * A region's *extent* is its range with its guards on either side. Extents of
 * neighbours may share guard pages (a guard is a distance to keep, not a
 * possession): between two regions lie at least max(guard_after of the lower,
 * guard_before of the higher) pages. A hole is what lies between two ranges. The
 * ends of the total range are not regions: no guard is kept from them.
 *
 * No lock of its own: every call is made under the lock that guards the tree (a
 * space's map lock, or the caller's), and a region is complete before that lock
 * is taken. Usable alone, for GPU, IOMMU, guest-physical or JIT ranges: links
 * with nothing but src/base.
 */
#ifndef LANDHOLD_REGION_TREE_H
#define LANDHOLD_REGION_TREE_H

#include <landhold/region.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lh_region_tree {
	lh_virtual_range total;	  /* constant: all regions lie in it */
	struct lh_region *root;
	uint64_t count;		  /* regions in the tree */
	uint64_t sequence;	  /* odd only while nodes change; only grows */
} lh_region_tree;

typedef enum lh_direction { LH_LOWEST_FIRST, LH_HIGHEST_FIRST } lh_direction;

/* What a placement must satisfy. All zero but pages: anywhere, lowest first. */
typedef struct lh_placement {
	uint64_t pages;		 /* >= 1 */
	uint64_t alignment;	 /* of the base, in pages: a power of two; 0 means 1 */
	lh_virtual_range within; /* limits; empty: the whole tree */
	lh_direction direction;
} lh_placement;

/* An empty tree over the total range, which must be valid. */
LH_MUST_USE lh_error lh_region_tree_init(lh_region_tree *tree, lh_virtual_range total);

/*
 * Places the region in the lowest or highest legal slot. The search is complete:
 * if a legal slot exists, one is found. O(log n) for a region without guards at
 * page alignment; else O(log n) more for each gap that is large enough but for
 * the region's guards or the alignment.
 * => region: built, in no tree; its guards are obeyed, and its neighbours'.
 * => limits: the region's range lies in them; guards may lie outside. What of
 *    them lies outside the total range does not count.
 * => LH_INVALID: pages 0 or more than the limits hold, alignment not a power of
 *    two, limits not valid or all outside the total range, region in a tree
 *    already or never built. LH_NO_HOLE: no legal slot. On error nothing changed.
 */
LH_MUST_USE lh_error lh_region_tree_place_anywhere(lh_region_tree *tree, lh_region *region,
						   const lh_placement *placement);

/*
 * Places the region exactly there. O(log n).
 * => LH_EXISTS: overlaps a region, or comes nearer to one than a guard allows.
 *    LH_INVALID: not in the tree's total range, or region in a tree already or
 *    never built.
 *    On error nothing changed.
 */
LH_MUST_USE lh_error lh_region_tree_place_specifically(lh_region_tree *tree, lh_region *region,
						       lh_virtual_range range);

/*
 * Takes the region out; it keeps its range, and belongs to its owner alone again.
 * => region: in this tree. Its version ends odd. Cannot fail. O(log n).
 */
void lh_region_tree_remove(lh_region_tree *tree, lh_region *region);

/* The region that the address lies in, or NULL. Guards are not part of it. */
lh_region *lh_region_tree_find(const lh_region_tree *tree, lh_virtual_address address);

/* The lowest region whose last byte is at or above the address, or NULL. */
lh_region *lh_region_tree_find_from(const lh_region_tree *tree, lh_virtual_address address);

/*
 * The lowest region that has a page in the range, or NULL. Walk on with
 * lh_region_tree_next_crossing.
 */
lh_region *lh_region_tree_first_crossing(const lh_region_tree *tree, lh_virtual_range range);
lh_region *lh_region_tree_next_crossing(const lh_region *region, lh_virtual_range range);

/* In-order walk: NULL past the end. */
lh_region *lh_region_tree_first(const lh_region_tree *tree);
lh_region *lh_region_tree_last(const lh_region_tree *tree);
lh_region *lh_region_tree_next(const lh_region *region);
lh_region *lh_region_tree_previous(const lh_region *region);

/*
 * Splits a region at a page address strictly inside it: it keeps the pages below;
 * upper, which the caller built and which is in no tree, takes over those at and
 * above, with all attributes (rights, maximum, history, backing, flags, tag,
 * owner, object and its page; guard_after moves to upper, and neither keeps a
 * guard at the cut).
 * Upper is not on the object's list: that is the caller's to do, under the
 * object's lock. Both versions end even. Cannot fail. O(log n).
 */
void lh_region_tree_split(lh_region_tree *tree, lh_region *region, lh_virtual_address at,
			  lh_region *upper);

/*
 * Merges a region with the one that follows it, if the two are mergeable: the
 * region grows, the follower is taken out of the tree and returned (its version
 * ends odd; it keeps its range and attributes, and its place on the object's
 * list, which is the caller's to end). Else NULL, nothing changed. Cannot fail.
 */
lh_region *lh_region_tree_merge_next(lh_region_tree *tree, lh_region *region);

/*
 * Changes a region's range in place, to one that lies between its neighbours
 * (guards obeyed); of a region with an object, object_page follows the base.
 * => LH_EXISTS: it would reach or pass a neighbour, or a guard. LH_INVALID: not in
 *    the total range, or the object's page would be below 0. On error nothing changed.
 */
LH_MUST_USE lh_error lh_region_tree_resize(lh_region_tree *tree, lh_region *region,
					   lh_virtual_range range);

/*
 * Recomputes everything the tree caches: order, overlap, guards, colours, gaps,
 * links, count; versions and the sequence must be even. Bounded even if links are
 * broken. => NULL if all is well, else what is wrong. O(n log n).
 */
const char *lh_region_tree_check(const lh_region_tree *tree);

#ifdef __cplusplus
}
#endif
#endif
