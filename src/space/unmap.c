/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unmapping, and dropping pages. The order is: clear the leaves, flush, drop the frames; then
 * change the tree. Until then the regions stay where they are, so that nobody is placed there
 * while a CPU can still reach the old pages.
 *
 * Faults commit meanwhile. Unmap makes the range's versions odd before it visits the leaves, so that
 * none comes after it. Dropping pages leaves the regions as they are: a fault that commits before or
 * after it is right in either case, and the leaf it planned over is compared under its table's lock.
 */
#include "space/space.h"

#include "base/assert.h"
#include "object/surplus.h"
#include "space/version.h"

bool lh_space_is_punched(const lh_space *space, lh_virtual_range range)
{
	const lh_region *region = lh_region_tree_find(&space->tree, range.base);

	return region && region->range.base.value < range.base.value &&
	       lh_virtual_range_last(region->range).value > lh_virtual_range_last(range).value;
}

static void clear_pages(lh_space *space, lh_virtual_range range)
{
	lh_gather gather;

	lh_gather_begin(&gather, &space->directory);
	lh_directory_clear_range(&space->directory, range, &gather);
	lh_gather_finish(&gather);
}

/* Pays back what the pages of a region that go away stood for. */
static void uncount(lh_space *space, const lh_region *region, uint64_t pages)
{
	space->pages -= pages;
	if ((region->flags & LH_REGION_CHARGED) == 0)
		return;
	space->charged -= pages;
	lh_charge_give_back(space->manager->frames, pages);
}

/* Shrinks a region in place; what its object knows of it changes with it. */
static void shrink(lh_space *space, lh_region *region, lh_virtual_range range)
{
	lh_object *object = region->object;
	lh_error error;

	if (object)
		lh_object_lock(object);
	error = lh_region_tree_resize(&space->tree, region, range);
	LH_REQUIRE(space->manager->port, error == LH_OK);
	if (object)
		lh_object_unlock(object);
}

/* The pages of the region below the range stay: at least one. */
static void keep_below(lh_space *space, lh_region *region, lh_virtual_range range)
{
	lh_virtual_range kept = region->range;

	kept.pages = lh_virtual_range_index(region->range, range.base);
	region->guard_after = 0;
	shrink(space, region, kept);
}

/* The pages of the region above the range stay: at least one. */
static void keep_above(lh_space *space, lh_region *region, lh_virtual_range range)
{
	uint64_t gone = lh_virtual_range_index(region->range, lh_virtual_range_last(range)) + 1;
	lh_virtual_range kept = { lh_virtual_range_page(region->range, gone),
				  region->range.pages - gone };

	region->guard_before = 0;
	shrink(space, region, kept);
}

static void remove_region(lh_space *space, lh_region *region, lh_region_list *dead)
{
	lh_space_unlink_object(region);
	lh_region_tree_remove(&space->tree, region);
	lh_region_list_push(dead, region);
}

/* Takes the range's pages, whose leaves are gone, away from one region that has some. */
static void cut(lh_space *space, lh_region *region, lh_virtual_range range, lh_region_list *spares,
		lh_region_list *dead)
{
	bool below = region->range.base.value < range.base.value;
	bool above = lh_virtual_range_last(region->range).value > lh_virtual_range_last(range).value;
	lh_virtual_range common;

	if (!lh_virtual_range_intersect(region->range, range, &common))
		return;
	uncount(space, region, common.pages);
	if (below && above)
		lh_space_split(space, region, lh_virtual(lh_virtual_range_last(range).value + 1), spares);
	if (below)
		keep_below(space, region, range);
	else if (above)
		keep_above(space, region, range);
	else
		remove_region(space, region, dead);
}

void lh_space_unmap_committed(lh_space *space, lh_virtual_range range, lh_region_list *spares,
			      lh_region_list *dead)
{
	lh_region *region = lh_region_tree_first_crossing(&space->tree, range), *next;

	if (!region)
		return;
	lh_space_begin_taking(space, range);
	clear_pages(space, range);
	for (; region; region = next) {
		next = lh_region_tree_next_crossing(region, range);
		cut(space, region, range, spares, dead);
	}
	lh_space_end_taking(space, range);
}

lh_error lh_space_unmap(lh_space *space, lh_virtual_range range)
{
	lh_region_list spares = { NULL, 0 }, dead = { NULL, 0 };
	lh_error error = LH_OK;

	LH_TRY(lh_space_validate_range(space, range));
	/* Whether it is needed is known only under the lock; there, nothing may be waited for. Who
	 * needs none can unmap, and so give memory back, when memory has run out. */
	lh_region_list_take_up_to(space->manager, &spares, 1);
	lh_space_lock(space);
	if (lh_space_is_punched(space, range))
		error = lh_space_regions_left(space) == 0 ? LH_LIMIT
			: spares.count == 0		   ? LH_NO_MEMORY
							   : LH_OK;
	if (error == LH_OK)
		lh_space_unmap_committed(space, range, &spares, &dead);
	lh_space_unlock(space);
	lh_region_list_release(space->manager, &dead);
	lh_region_list_release(space->manager, &spares);
	return error;
}

bool lh_space_is_mapped(const lh_space *space, lh_virtual_range range)
{
	const lh_region *region = lh_region_tree_find(&space->tree, range.base);
	uint64_t last = lh_virtual_range_last(range).value;

	while (region && lh_virtual_range_last(region->range).value < last) {
		const lh_region *next = lh_region_tree_next(region);

		if (!next || !lh_virtual_range_is_followed_by(region->range, next->range))
			return false;
		region = next;
	}
	return region != NULL;
}

lh_error lh_space_discard(lh_space *space, lh_virtual_range range)
{
	lh_error error = LH_NOT_MAPPED;

	LH_TRY(lh_space_validate_range(space, range));
	lh_space_lock(space);
	if (lh_space_is_mapped(space, range)) {
		/* The pages stay promised, and may be touched again before their frames go. */
		lh_surplus_share share = lh_surplus_begin(space->manager, range.pages);

		clear_pages(space, range);
		(void)lh_surplus_end(space->manager, share, true);
		error = LH_OK;
	}
	lh_space_unlock(space);
	return error;
}
