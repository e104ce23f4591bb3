/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finding a slot: tree.c's head comment says why the search is complete. A hole is
 * named by the region above it; NULL names the one above the highest region.
 */
#include "region/tree.h"

/* A placement, checked, in page numbers. */
struct request {
	struct lh_page_span limits;
	uint64_t pages;
	uint64_t alignment_mask;
	uint32_t guard_before;
	uint32_t guard_after;
	lh_direction direction;
};

/* The lowest or highest node of a subtree whose gap is large enough; there is one. */
static lh_region *outermost_with_gap(lh_region *node, unsigned side, uint64_t pages)
{
	for (;;) {
		if (lh_gap_largest(node->child[side]) >= pages)
			node = node->child[side];
		else if (node->gap_before >= pages)
			return node;
		else
			node = node->child[!side];
	}
}

/* The nearest node beyond this one on a side whose gap is large enough, or NULL. */
static lh_region *next_with_gap(lh_region *node, unsigned side, uint64_t pages)
{
	for (;;) {
		lh_region *child;

		if (lh_gap_largest(node->child[side]) >= pages)
			return outermost_with_gap(node->child[side], !side, pages);
		do {
			child = node;
			node = node->parent;
		} while (node && node->child[side] == child);
		if (!node || node->gap_before >= pages)
			return node;
	}
}

/* Chooses the lowest or highest slot in the hole, if it has one. */
static bool find_slot(const lh_region_tree *tree, const struct request *request,
		      const lh_region *below, const lh_region *above, uint64_t *slot)
{
	struct lh_page_span room = lh_region_room(tree, below, above, request->guard_before,
						  request->guard_after);
	uint64_t mask = request->alignment_mask;

	if (room.first < request->limits.first)
		room.first = request->limits.first;
	if (room.end > request->limits.end)
		room.end = request->limits.end;
	if (lh_span_pages(room) < request->pages)
		return false;
	if (request->direction == LH_LOWEST_FIRST) {
		/* Page numbers stay below 2^53 and the mask below 2^63: no wrap. */
		*slot = (room.first + mask) & ~mask;
		return *slot <= room.end - request->pages;
	}
	*slot = (room.end - request->pages) & ~mask;
	return *slot >= room.first;
}

/*
 * Steps to the next hole in the direction that the request wants which is large
 * enough: changes *above. => false: no more holes within the limits.
 */
static bool next_hole(const struct request *request, lh_region *below, lh_region **above)
{
	if (request->direction == LH_LOWEST_FIRST) {
		if (!*above || lh_span_of((*above)->range).end >= request->limits.end)
			return false;
		*above = next_with_gap(*above, LH_HIGHER, request->pages);
		return true;
	}
	if (!below || lh_span_of(below->range).first <= request->limits.first)
		return false;
	if (*above)
		*above = next_with_gap(*above, LH_LOWER, request->pages);
	else if (below->gap_before >= request->pages)
		*above = below;
	else
		*above = next_with_gap(below, LH_LOWER, request->pages);
	return *above != NULL;
}

static lh_error place(lh_region_tree *tree, lh_region *region, const struct request *request)
{
	uint64_t from = request->direction == LH_LOWEST_FIRST ? request->limits.first
							      : request->limits.end - 1;
	lh_region *above = lh_region_tree_find_from(tree, lh_virtual(from << LH_PAGE_SHIFT));
	lh_region *below;
	uint64_t slot;

	do {
		below = above ? lh_region_tree_previous(above) : lh_region_tree_last(tree);
		if (find_slot(tree, request, below, above, &slot)) {
			lh_region_commit(tree, region, lh_span_range(slot, request->pages), below,
					 above);
			return LH_OK;
		}
	} while (next_hole(request, below, &above));
	return LH_NO_HOLE;
}

/* The limits, as far as they lie in the tree. => false: not valid, or nothing left. */
static bool find_limits(const lh_region_tree *tree, lh_virtual_range within,
			struct lh_page_span *limits)
{
	lh_virtual_range common = tree->total;

	if (!lh_virtual_range_is_empty(within)) {
		if (!lh_virtual_range_is_valid(within) ||
		    !lh_virtual_range_intersect(tree->total, within, &common))
			return false;
	}
	*limits = lh_span_of(common);
	return true;
}

lh_error lh_region_tree_place_anywhere(lh_region_tree *tree, lh_region *region,
				       const lh_placement *placement)
{
	uint64_t alignment = placement->alignment != 0 ? placement->alignment : 1;
	struct request request = {
		.pages = placement->pages,
		.alignment_mask = alignment - 1,
		.guard_before = region->guard_before,
		.guard_after = region->guard_after,
		.direction = placement->direction,
	};

	if (!lh_region_is_placeable(region) || (alignment & (alignment - 1)) != 0 ||
	    !find_limits(tree, placement->within, &request.limits) || request.pages == 0 ||
	    request.pages > lh_span_pages(request.limits))
		return LH_INVALID;
	return place(tree, region, &request);
}
