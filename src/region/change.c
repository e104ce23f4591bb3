/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Split, merge, resize: the operations that change regions where they are.
 *
 * None moves a neighbour or frees anything. Split and merge cannot fail: what they
 * need, the caller has brought. The cut between two pieces never carries a guard:
 * a split region is one thing in two parts, not two things that must keep apart.
 */
#include "region/tree.h"

static void copy_attributes(lh_region *to, const lh_region *from)
{
	to->rights = from->rights;
	to->rights_max = from->rights_max;
	to->rights_history = from->rights_history;
	to->backing = from->backing;
	to->flags = from->flags;
	to->tag = from->tag;
	to->object = from->object;
	to->object_page = from->object_page;
	to->owner = from->owner;
}

/* Gives a region a new range and lets its object page follow the base. */
static void set_range(lh_region *region, lh_virtual_range range)
{
	if (region->backing == LH_BACKING_OBJECT)
		region->object_page += lh_span_of(range).first - lh_span_of(region->range).first;
	region->range = range;
}

void lh_region_tree_split(lh_region_tree *tree, lh_region *region, lh_virtual_address at,
			  lh_region *upper)
{
	lh_region *above = lh_region_tree_next(region);
	uint64_t kept = lh_virtual_range_index(region->range, at);
	lh_virtual_range moved = { at, region->range.pages - kept };

	lh_version_begin(&tree->sequence);
	lh_version_begin(&region->version);
	copy_attributes(upper, region);
	upper->range = region->range;
	set_range(upper, moved);
	upper->guard_before = 0;
	upper->guard_after = region->guard_after;
	region->range.pages = kept;
	region->guard_after = 0;
	lh_region_link(tree, upper, region, above);
	lh_version_end(&upper->version);
	lh_version_end(&region->version);
	lh_version_end(&tree->sequence);
}

lh_region *lh_region_tree_merge_next(lh_region_tree *tree, lh_region *region)
{
	lh_region *follower = lh_region_tree_next(region);

	if (!follower || !lh_region_is_mergeable(region, follower))
		return NULL;
	lh_version_begin(&tree->sequence);
	lh_version_begin(&region->version);
	lh_version_begin(&follower->version);
	/* First the region grows, so that the gap above is computed from its new end. */
	region->range.pages += follower->range.pages;
	region->guard_after = follower->guard_after;
	lh_region_unlink(tree, follower);
	lh_version_end(&region->version);
	lh_version_end(&tree->sequence);
	return follower;
}

/* True if the object has no page for the new base: it would lie before page 0. */
static bool leaves_object(const lh_region *region, lh_virtual_range range)
{
	uint64_t old = lh_span_of(region->range).first;
	uint64_t new = lh_span_of(range).first;

	return region->backing == LH_BACKING_OBJECT && new < old &&
	       old - new > region->object_page;
}

lh_error lh_region_tree_resize(lh_region_tree *tree, lh_region *region, lh_virtual_range range)
{
	lh_region *above = lh_region_tree_next(region);
	struct lh_page_span room;

	if (!lh_virtual_range_is_valid(range) || !lh_virtual_range_covers(tree->total, range) ||
	    leaves_object(region, range))
		return LH_INVALID;
	room = lh_region_room(tree, lh_region_tree_previous(region), above, region->guard_before,
			      region->guard_after);
	if (!lh_span_covers(room, lh_span_of(range)))
		return LH_EXISTS;
	lh_version_begin(&tree->sequence);
	lh_version_begin(&region->version);
	set_range(region, range);
	lh_region_refresh(tree, region);
	lh_region_refresh(tree, above);
	lh_version_end(&region->version);
	lh_version_end(&tree->sequence);
	return LH_OK;
}
