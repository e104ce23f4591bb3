/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Split, punch, merge, resize: the operations that change regions where they are.
 *
 * None moves a neighbour or frees anything. Split and merge cannot fail: what they
 * need, the caller has brought. The cut between two pieces never carries a guard:
 * a split region is one thing in two parts, not two things that must keep apart.
 */
#include "region/tree.h"

static void copy_attributes(lh_region *to, const lh_region *from)
{
	LH_PUBLISH(to->rights, from->rights);
	LH_PUBLISH(to->rights_max, from->rights_max);
	LH_PUBLISH(to->rights_history, from->rights_history);
	LH_PUBLISH(to->backing, from->backing);
	LH_PUBLISH(to->flags, from->flags);
	LH_PUBLISH(to->tag, from->tag);
	LH_PUBLISH(to->object, from->object);
	LH_PUBLISH(to->object_page, from->object_page);
	LH_PUBLISH(to->owner, from->owner);
}

/* Gives a region a new range and lets its object page follow the base. */
static void set_range(lh_region *region, lh_virtual_range range)
{
	if (region->backing == LH_BACKING_OBJECT)
		LH_PUBLISH(region->object_page,
			   region->object_page + lh_span_of(range).first -
				   lh_span_of(region->range).first);
	LH_PUBLISH(region->range.base.value, range.base.value);
	LH_PUBLISH(region->range.pages, range.pages);
}

/* Upper is the region's copy in all but the range. */
void lh_region_cut(lh_region_tree *tree, lh_region *region, uint64_t from, uint64_t to,
		   lh_region *upper)
{
	struct lh_page_span whole = lh_span_of(region->range);
	uint64_t before = lh_change_begin(tree);

	lh_version_begin(&region->version);
	copy_attributes(upper, region);
	if (region->backing == LH_BACKING_OBJECT)
		LH_PUBLISH(upper->object_page, region->object_page + (to - whole.first));
	LH_PUBLISH(upper->range.base.value, to << LH_PAGE_SHIFT);
	LH_PUBLISH(upper->range.pages, whole.end - to);
	upper->guard_before = 0;
	upper->guard_after = region->guard_after;
	LH_PUBLISH(region->range.pages, from - whole.first);
	region->guard_after = 0;
	tree->last_is_current = lh_region_link_above(tree, &tree->last, upper, from);
	tree->last.slot[0]++;
	lh_version_end(&upper->version);
	lh_version_end(&region->version);
	lh_change_end(tree, before);
}

/* While the way is found, the lines that will be copied come. */
static void find_and_cut(lh_region_tree *tree, lh_region *region, uint64_t from, uint64_t to,
			 lh_region *upper)
{
	__builtin_prefetch(&region->leaf, 1);
	__builtin_prefetch(&region->range, 1);
	__builtin_prefetch(&upper->leaf, 1);
	__builtin_prefetch(&upper->range, 1);
	lh_region_finish(tree);
	lh_path_find_region(&tree->last, tree, region);
	lh_region_cut(tree, region, from, to, upper);
}

void lh_region_tree_split(lh_region_tree *tree, lh_region *region, lh_virtual_address at,
			  lh_region *upper)
{
	find_and_cut(tree, region, at.value >> LH_PAGE_SHIFT, at.value >> LH_PAGE_SHIFT, upper);
}

void lh_region_tree_punch(lh_region_tree *tree, lh_region *region, lh_virtual_range hole,
			  lh_region *upper)
{
	struct lh_page_span span = lh_span_of(hole);

	find_and_cut(tree, region, span.first, span.end, upper);
}

/* The tree's last path leads to the region, and still does then. */
static void move_in_place(lh_region_tree *tree, lh_region *region, lh_virtual_range range)
{
	static const struct lh_rooms unknown = { { LH_ROOM_MAX, LH_ROOM_MAX, LH_ROOM_MAX } };
	struct lh_page_span hole;

	set_range(region, range);
	hole.first = lh_path_low(&tree->last, 0);
	hole.end = lh_extent_first(tree, region);
	lh_path_set_hole(tree, &tree->last, unknown, hole);
	lh_path_set_end(tree, &tree->last, lh_extent_end(region));
	tree->last_is_current = true;
}

void lh_region_change_range(lh_region_tree *tree, lh_region *region, lh_virtual_range range)
{
	uint64_t before = lh_change_begin(tree);

	lh_version_begin(&region->version);
	move_in_place(tree, region, range);
	lh_version_end(&region->version);
	lh_change_end(tree, before);
}

lh_region *lh_region_tree_merge_next(lh_region_tree *tree, lh_region *region)
{
	lh_region *follower = lh_region_tree_next(region);
	lh_virtual_range range = region->range;
	uint64_t before;

	if (!follower || !lh_region_is_mergeable(region, follower))
		return NULL;
	range.pages += follower->range.pages;
	before = lh_change_begin(tree);
	lh_version_begin(&region->version);
	lh_region_tree_remove(tree, follower);
	lh_region_close(tree);
	region->guard_after = follower->guard_after;
	lh_path_find_region(&tree->last, tree, region);
	move_in_place(tree, region, range);
	lh_version_end(&region->version);
	lh_change_end(tree, before);
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

lh_error lh_region_tree_may_resize(const lh_region_tree *tree, const lh_region *region,
				   lh_virtual_range range)
{
	struct lh_page_span room;

	if (!lh_virtual_range_is_valid(range) || !lh_virtual_range_covers(tree->total, range) ||
	    leaves_object(region, range))
		return LH_INVALID;
	room = lh_region_room(tree, lh_region_tree_previous(region), lh_region_tree_next(region),
			      region->guard_before, region->guard_after);
	return lh_span_covers(room, lh_span_of(range)) ? LH_OK : LH_EXISTS;
}

lh_error lh_region_tree_resize(lh_region_tree *tree, lh_region *region, lh_virtual_range range)
{
	LH_TRY(lh_region_tree_may_resize(tree, region, range));
	lh_region_close(tree);
	lh_path_find_region(&tree->last, tree, region);
	lh_region_change_range(tree, region, range);
	return LH_OK;
}
