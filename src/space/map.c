/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mapping: validate the request, take a region (and a spare one where what is there may have to
 * be split) and the charge, then, under the map lock, check what depends on the tree, and commit.
 */
#include "space/space.h"

#include "base/assert.h"

#define FLAGS_ALLOWED                                                               \
	(LH_REGION_SHARED | LH_REGION_GROWS_DOWN | LH_REGION_NOT_INHERITED | LH_REGION_EMPTY_ON_FORK)
#define OBJECT_PAGES_MAX (UINT64_C(1) << 52)

static lh_rights rights_max_of(const lh_map_request *request)
{
	return request->rights_max ? request->rights_max : LH_RIGHTS_ALL;
}

static bool is_write_and_execute(lh_rights rights)
{
	return (rights & LH_RIGHT_WRITE) != 0 && (rights & LH_RIGHT_EXECUTE) != 0;
}

static lh_error validate_kind(const lh_space *space, const lh_map_request *request)
{
	if ((request->flags & ~FLAGS_ALLOWED) != 0)
		return LH_INVALID;
	if ((request->rights & ~rights_max_of(request)) != 0 || rights_max_of(request) > LH_RIGHTS_ALL)
		return LH_INVALID;
	if (space->manager->enforce_write_xor_execute && is_write_and_execute(request->rights))
		return LH_INVALID;
	if (request->object && request->reservation)
		return LH_INVALID;
	if (!request->object && (request->flags & LH_REGION_SHARED) != 0)
		return LH_INVALID;
	if ((request->object || request->reservation) && (request->flags & LH_REGION_GROWS_DOWN) != 0)
		return LH_INVALID;
	/* There is no private copy of a device. */
	if (request->object && request->object->kind == LH_OBJECT_PHYSICAL &&
	    (request->flags & LH_REGION_SHARED) == 0)
		return LH_INVALID;
	if (request->object && (request->object_page > OBJECT_PAGES_MAX ||
				request->pages > OBJECT_PAGES_MAX - request->object_page))
		return LH_INVALID;
	return LH_OK;
}

/* Whether the place that was asked for could be one. *range: the exact place, or empty. */
static lh_error validate_place(const lh_space *space, const lh_map_request *request,
			       lh_virtual_range *range)
{
	*range = (lh_virtual_range){ .base = request->address };
	if (request->pages == 0 || request->pages > space->tree.total.pages)
		return LH_INVALID;
	if ((request->alignment & (request->alignment - 1)) != 0 && request->alignment != 0)
		return LH_INVALID;
	if (request->where == LH_ANYWHERE)
		return LH_OK;
	if (lh_virtual_range_make(request->address, request->pages, range) == LH_OK &&
	    lh_space_validate_range(space, *range) == LH_OK)
		return LH_OK;
	range->pages = 0;
	return request->where == LH_NEAR ? LH_OK : LH_INVALID;
}

/* Private memory that can be written is promised when it is mapped. */
static bool is_charged(const lh_map_request *request)
{
	return !request->reservation && (request->flags & LH_REGION_SHARED) == 0 &&
	       (request->rights & LH_RIGHT_WRITE) != 0;
}

/* Completes a fresh region from the request; all but its place, and without the object's holder. */
static void build(lh_space *space, const lh_map_request *request, lh_region *region)
{
	lh_backing backing = request->reservation ? LH_BACKING_NONE
			     : request->object	  ? LH_BACKING_OBJECT
						  : LH_BACKING_ANONYMOUS;
	uint32_t flags = request->flags | LH_REGION_POOLED | (is_charged(request) ? LH_REGION_CHARGED : 0);

	lh_region_init(region, backing, request->rights, flags);
	region->rights_max = rights_max_of(request);
	region->guard_before = request->guard_before;
	region->guard_after = request->guard_after;
	region->tag = request->tag;
	region->object_page = request->object ? request->object_page : 0;
	region->owner = &space->directory;
}

/* --- under the map lock --- */

/* True if a region with these guards may stand at the range once the range is unmapped. */
static bool neighbours_allow(const lh_space *space, const lh_map_request *request,
			     lh_virtual_range range)
{
	lh_region *above = lh_region_tree_find_from(&space->tree, range.base);
	lh_region *below = above ? lh_region_tree_previous(above) : lh_region_tree_last(&space->tree);
	uint64_t after = request->guard_after, before = request->guard_before;
	uint64_t hole;

	/* What is cut off at an end lies directly at the new region: no guard on either side. */
	if (above && above->range.base.value < range.base.value) {
		if (before != 0)
			return false;
		below = NULL;
	}
	while (above && lh_virtual_range_last(above->range).value <= lh_virtual_range_last(range).value)
		above = lh_region_tree_next(above);
	if (above && lh_virtual_range_overlaps(above->range, range)) {
		if (after != 0)
			return false;
		above = NULL;
	}
	if (below) {
		hole = lh_virtual_range_index(below->range, range.base) - below->range.pages;
		if (hole < before || hole < below->guard_after)
			return false;
	}
	if (above) {
		hole = lh_virtual_range_index(range, above->range.base) - range.pages;
		if (hole < after || hole < above->guard_before)
			return false;
	}
	return true;
}

static uint64_t pages_mapped_in(const lh_space *space, lh_virtual_range range)
{
	uint64_t pages = 0;
	lh_region *region = lh_region_tree_first_crossing(&space->tree, range);

	for (; region; region = lh_region_tree_next_crossing(region, range)) {
		lh_virtual_range common;

		if (lh_virtual_range_intersect(region->range, range, &common))
			pages += common.pages;
	}
	return pages;
}

/* All that depends on the tree, for LH_OVER. After LH_OK, unmapping and placing cannot fail. */
static lh_error validate_over(const lh_space *space, const lh_map_request *request,
			      lh_virtual_range range)
{
	uint64_t freed = pages_mapped_in(space, range);
	uint64_t regions = 1 + (lh_space_is_punched(space, range) ? 1 : 0);

	if (lh_space_regions_left(space) < regions)
		return LH_LIMIT;
	if (range.pages > freed && range.pages - freed > lh_space_pages_left(space))
		return LH_LIMIT;
	return neighbours_allow(space, request, range) ? LH_OK : LH_EXISTS;
}

static lh_error place_anywhere(lh_space *space, const lh_map_request *request, lh_region *region)
{
	lh_placement placement = {
		.pages = request->pages,
		.alignment = request->alignment,
		.within = request->within,
		.direction = request->direction,
	};

	return lh_region_tree_place_anywhere(&space->tree, region, &placement);
}

static lh_error place(lh_space *space, const lh_map_request *request, lh_virtual_range range,
		      lh_region *region)
{
	if (lh_space_regions_left(space) == 0 || request->pages > lh_space_pages_left(space))
		return LH_LIMIT;
	if (request->where == LH_AT)
		return lh_region_tree_place_specifically(&space->tree, region, range);
	if (request->where == LH_NEAR && !lh_virtual_range_is_empty(range) &&
	    lh_region_tree_place_specifically(&space->tree, region, range) == LH_OK)
		return LH_OK;
	return place_anywhere(space, request, region);
}

static lh_error place_over(lh_space *space, const lh_map_request *request, lh_virtual_range range,
			   lh_region *region, lh_region_list *spares, lh_region_list *dead)
{
	lh_error error;

	LH_TRY(validate_over(space, request, range));
	lh_space_unmap_committed(space, range, spares, dead);
	error = lh_region_tree_place_specifically(&space->tree, region, range);
	LH_REQUIRE(space->manager->port, error == LH_OK);
	return LH_OK;
}

/* The object gains a holder and the region before any fault can use them. */
static void account(lh_space *space, lh_region *region, lh_object *object)
{
	if (object) {
		lh_object_hold(object);
		region->object = object;
		lh_space_link_object(region);
	}
	space->pages += region->range.pages;
	space->charged += lh_region_charge(region);
}

lh_error lh_space_map(lh_space *space, const lh_map_request *request, lh_virtual_range *placed)
{
	lh_region_list spares = { NULL, 0 }, dead = { NULL, 0 };
	lh_manager *manager = space->manager;
	uint64_t charge = is_charged(request) ? request->pages : 0;
	lh_virtual_range range;
	lh_region *region;
	lh_error error;

	LH_TRY(validate_kind(space, request));
	LH_TRY(validate_place(space, request, &range));
	LH_TRY(lh_region_list_take(manager, &spares, request->where == LH_OVER ? 2 : 1));
	error = lh_charge_take(manager->frames, charge);
	if (error != LH_OK) {
		lh_region_list_release(manager, &spares);
		return error;
	}
	region = lh_region_list_pop(&spares);
	build(space, request, region);

	lh_space_lock(space);
	error = request->where == LH_OVER ? place_over(space, request, range, region, &spares, &dead)
					  : place(space, request, range, region);
	if (error == LH_OK) {
		account(space, region, request->object);
		*placed = region->range;
		lh_space_merge_around(space, region->range, &dead);
	} else {
		lh_region_list_push(&spares, region);
	}
	lh_space_unlock(space);

	if (error != LH_OK)
		lh_charge_give_back(manager->frames, charge);
	lh_region_list_release(manager, &dead);
	lh_region_list_release(manager, &spares);
	return error;
}
