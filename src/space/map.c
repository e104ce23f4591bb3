/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Mapping: validate the request, take a region and the charge, then, under the map lock, check what
 * depends on the tree, and commit: where there is room by placing the region, over what is there by
 * replacing it (change.h).
 */
#include "space/change.h"

#include "base/atomic.h"

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

lh_error lh_space_validate_place(const lh_space *space, const lh_map_request *request,
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

/* Completes a fresh region from the request, with the object's holder; all but its place. Who looked a
 * region up without the lock may still be reading what this one was before. */
static void build(lh_space *space, const lh_map_request *request, lh_region *region)
{
	lh_backing backing = request->reservation ? LH_BACKING_NONE
			     : request->object	  ? LH_BACKING_OBJECT
						  : LH_BACKING_ANONYMOUS;
	uint32_t flags = request->flags | LH_REGION_POOLED | (is_charged(request) ? LH_REGION_CHARGED : 0);

	lh_region_init(region, backing, request->rights, flags);
	region->guard_before = request->guard_before;
	region->guard_after = request->guard_after;
	region->owner = &space->directory;
	lh_atomic_store_relaxed(&region->rights_max, rights_max_of(request));
	lh_atomic_store_relaxed(&region->tag, request->tag);
	if (!request->object)
		return;
	lh_object_hold(request->object);
	lh_atomic_store_relaxed(&region->object, request->object);
	lh_atomic_store_relaxed(&region->object_page, request->object_page);
}

/* --- under the map lock --- */

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
	if (request->where == LH_AT)
		return lh_region_tree_place_specifically(&space->tree, region, range);
	if (request->where == LH_NEAR && !lh_virtual_range_is_empty(range) &&
	    lh_region_tree_place_specifically(&space->tree, region, range) == LH_OK)
		return LH_OK;
	return place_anywhere(space, request, region);
}

/* A truncation that does not find the region on its object's list has come before any fault in it. */
lh_error lh_space_place(lh_space *space, const lh_map_request *request, lh_virtual_range range,
			lh_region *region)
{
	lh_error error;

	if (!region->object)
		return place(space, request, range, region);
	lh_object_lock(region->object);
	error = place(space, request, range, region);
	if (error == LH_OK)
		lh_object_link_region_locked(region->object, region);
	lh_object_unlock(region->object);
	return error;
}

/* What is there goes; the limits count what comes. */
static lh_error prepare_over(lh_region_change *tree, const lh_region_survey *survey)
{
	lh_space_change *change = (lh_space_change *)(void *)tree;
	lh_space *space = change->space;
	uint64_t pages = change->range.pages;

	change->was_asked = true;
	if (survey->spares + 1 > lh_space_regions_left(space))
		return LH_LIMIT;
	if (pages > survey->pages && pages - survey->pages > lh_space_pages_left(space))
		return LH_LIMIT;
	LH_TRY(lh_space_change_prepare_split(change));
	lh_space_change_publish(change);
	lh_space_change_split(change);
	lh_space_change_take_pages(change, survey);
	return LH_OK;
}

static lh_error place_over(lh_space_change *change, lh_region *region)
{
	lh_error error;

	change->fresh = region;
	error = lh_region_tree_replace(&change->space->tree, region, change->range, &change->tree);
	if (error == LH_OK && change->fresh && region->tree)
		lh_space_link_object(region);
	lh_space_change_close(change);
	return error;
}

/* *placed: where the region is, or was before it became one with a neighbour. */
static lh_error map_locked(lh_space_change *change, const lh_map_request *request,
			   lh_region *region, lh_virtual_range *placed)
{
	lh_space *space = change->space;

	*placed = change->range;
	if (request->where == LH_OVER) {
		LH_TRY(place_over(change, region));
	} else {
		if (lh_space_regions_left(space) == 0 || request->pages > lh_space_pages_left(space))
			return LH_LIMIT;
		LH_TRY(lh_space_place(space, request, change->range, region));
		*placed = region->range;
		lh_region_tree_merge(&space->tree, *placed, &change->tree);
	}
	space->pages += request->pages;
	space->charged += is_charged(request) ? request->pages : 0;
	return LH_OK;
}

static lh_error map(lh_space_change *change, const lh_map_request *request, lh_region *region,
		    lh_virtual_range *placed)
{
	lh_error error;

	lh_space_lock(change->space);
	error = map_locked(change, request, region, placed);
	lh_space_unlock(change->space);
	return error;
}

/* => region: built, and in the tree or among the dead after LH_OK; else as before. */
static lh_error map_with(lh_space_change *change, const lh_map_request *request, lh_region *region,
			 lh_virtual_range *placed)
{
	lh_error error = map(change, request, region, placed);

	if (error == LH_NO_MEMORY && lh_space_change_take_spares(change, 1))
		error = map(change, request, region, placed);
	return error;
}

/* A region as the request describes it, and its charge. */
static lh_error take_region(lh_space *space, const lh_map_request *request, lh_region **region)
{
	lh_manager *manager = space->manager;
	lh_region_list list = { NULL, 0 };
	lh_error error;

	LH_TRY(lh_region_list_take(manager, &list, 1));
	error = lh_space_charge(space, is_charged(request) ? request->pages : 0);
	if (error != LH_OK) {
		lh_region_list_release(manager, &list);
		return error;
	}
	*region = lh_region_list_pop(&list);
	build(space, request, *region);
	return LH_OK;
}

lh_error lh_space_map(lh_space *space, const lh_map_request *request, lh_virtual_range *placed)
{
	lh_space_change change;
	lh_virtual_range range, where;
	lh_region *region;
	lh_error error;

	LH_TRY(validate_kind(space, request));
	LH_TRY(lh_space_validate_place(space, request, &range));
	LH_TRY(take_region(space, request, &region));
	lh_space_change_begin(&change, space, range);
	change.tree.prepare = prepare_over;
	error = map_with(&change, request, region, &where);
	if (error == LH_OK) {
		*placed = where;
	} else {
		lh_space_discharge(space, is_charged(request) ? request->pages : 0);
		lh_region_list_push(&change.tree.spares, region);
	}
	lh_space_change_end(&change);
	return error;
}
