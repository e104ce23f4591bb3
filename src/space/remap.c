/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Remapping: a part of a region becomes longer or shorter where it is, or goes to another place with its pages.
 *
 *     shorter    its end is unmapped
 *     longer     where it ends with its region, and there is room behind: the region grows. Nothing is taken
 *                away, so no version changes
 *     move       a fresh region, like the old one, at the new place; the leaves are moved; the old place is
 *                unmapped, unless it is kept
 *
 * A move, under the map lock:
 *
 *     1. the fresh region is placed; or it is found that it could be, over what is there
 *     2. tables and promises are taken: from here on nothing fails
 *     3. over what is there: that is unmapped, and the region placed
 *     4. the leaves are moved, each out of its old place, flushed, into the new one (paging/move.c)
 *     5. the old place leaves the tree, and neighbours that can be one become one
 *
 * Both places are being taken (version.h) from before 1 to after 4: no fault commits in either, and who begins one
 * there waits for the map lock. So none brings a zero page to the new place before the old one's is there, nor to
 * the old one behind the mover's back. A place that is still to be found can be any: until it is, the whole space
 * is taken. That is one store for each version, and a fault elsewhere that meets it plans once more.
 *
 * An object's part. From 1 (or 3) on both regions are on the object's list, and while leaves are in nobody's table the
 * object is locked: a truncation or a write-back finds each leaf at its old place before, or at its new one after.
 *
 * Neighbours do not become one before the end: the fresh region may lie at the one that it comes from, and
 * what that takes to be cut was counted when they were two.
 *
 * Promises: what is added is charged first. The old region's are the fresh one's from then on, so that a move needs
 * none. What is unmapped by a move that makes it shorter is paid back.
 *
 * Huge leaves: what straddles an end of the range, or of the part of it that moves, is split, as ever (change.h).
 */
#include "space/change.h"

#include "base/assert.h"
#include "paging/move.h"
#include "space/version.h"

#define OBJECT_PAGES_MAX (UINT64_C(1) << 52)
#define FLAGS_ALL (LH_REMAP_STAY | LH_REMAP_MOVE | LH_REMAP_KEEP)

struct remap {
	lh_space_change change; /* first: the tree's hooks are given it */
	const lh_remap_request *request;
	lh_virtual_range from;	/* the range that was asked for */
	lh_virtual_range moved; /* the part of it that goes to the new place */
	lh_virtual_range to;	/* the new place, where that is known */
	lh_region *fresh;
	unsigned spares; /* that were lacking */
};

static lh_virtual_range behind(lh_virtual_range range, uint64_t pages)
{
	return (lh_virtual_range){ lh_virtual(range.base.value + (pages << LH_PAGE_SHIFT)), range.pages - pages };
}

static bool has_flag(const struct remap *remap, uint32_t flag)
{
	return (remap->request->flags & flag) != 0;
}

/* Pages that stand for `pages` of the region in the count of promises. */
static uint64_t charge_for(const lh_region *region, uint64_t pages)
{
	return (region->flags & LH_REGION_CHARGED) != 0 ? pages : 0;
}

/* --- validate --- */

static bool are_flags_valid(const lh_remap_request *request)
{
	uint32_t flags = request->flags;

	if ((flags & ~FLAGS_ALL) != 0 || (flags & (LH_REMAP_STAY | LH_REMAP_MOVE)) == 0)
		return false;
	return (flags & LH_REMAP_KEEP) == 0 ||
	       ((flags & LH_REMAP_STAY) == 0 && request->to.pages == request->range.pages);
}

static bool is_exact(const lh_map_request *request)
{
	return request->where == LH_AT || request->where == LH_OVER;
}

/* *to: the exact place of a move, or empty. */
static lh_error validate(const lh_space *space, const lh_remap_request *request, lh_virtual_range *to)
{
	lh_virtual_range page = { request->range.base, request->range.pages != 0 ? request->range.pages : 1 };

	*to = (lh_virtual_range){ request->range.base, 0 };
	if (!are_flags_valid(request))
		return LH_INVALID;
	LH_TRY(lh_space_validate_range(space, page));
	if (request->to.pages == 0 || request->to.pages > space->tree.total.pages)
		return LH_INVALID;
	if ((request->flags & LH_REMAP_MOVE) == 0)
		return LH_OK;
	LH_TRY(lh_space_validate_place(space, &request->to, to));
	if (is_exact(&request->to) && lh_virtual_range_overlaps(*to, request->range))
		return LH_INVALID;
	return LH_OK;
}

/* Does the range lie in the region that its base is in, and can that be as long? */
static lh_error validate_region(const struct remap *remap, const lh_region *region)
{
	uint64_t pages = remap->request->to.pages, page;

	if (!region || !lh_virtual_range_contains(region->range, remap->from.base))
		return LH_NOT_MAPPED;
	if (remap->from.pages > region->range.pages - lh_virtual_range_index(region->range, remap->from.base))
		return LH_NOT_MAPPED;
	if (remap->from.pages == 0 && (region->flags & LH_REGION_SHARED) == 0)
		return LH_INVALID;
	if (!region->object)
		return LH_OK;
	page = lh_region_object_page(region, remap->from.base);
	return page > OBJECT_PAGES_MAX || pages > OBJECT_PAGES_MAX - page ? LH_INVALID : LH_OK;
}

/* Does the region reach beyond the range on both sides? Then it takes a spare to cut that out. */
static bool is_inside(const lh_region *region, lh_virtual_range range)
{
	return region && region->range.base.value < range.base.value &&
	       lh_virtual_range_last(region->range).value > lh_virtual_range_last(range).value;
}

/* Are there so many spares? What is refused for that is tried again with as many. */
static lh_error ask_spares(struct remap *remap, unsigned count)
{
	remap->spares = count;
	if (count > remap->change.tree.spares.count)
		return LH_NO_MEMORY;
	remap->change.was_asked = true;
	return LH_OK;
}

/* --- where it is --- */

static lh_error shrink(struct remap *remap, const lh_region *region)
{
	lh_space_change *change = &remap->change;
	lh_error error;

	change->range = behind(remap->from, remap->request->to.pages);
	if (lh_virtual_range_is_empty(change->range))
		return LH_OK;
	change->tree.prepare = lh_space_change_unmap;
	LH_TRY(ask_spares(remap, is_inside(region, change->range)));
	error = lh_region_tree_unmap(&change->space->tree, change->range, &change->tree);
	lh_space_change_close(change);
	return error;
}

static bool ends_with(const lh_region *region, lh_virtual_range range)
{
	return lh_virtual_range_last(region->range).value == lh_virtual_range_last(range).value;
}

static void resize(lh_space *space, lh_region *region, lh_virtual_range range)
{
	lh_error error;

	if (region->object)
		lh_object_lock(region->object);
	error = lh_region_tree_resize(&space->tree, region, range);
	LH_REQUIRE(space->manager->port, error == LH_OK);
	if (region->object)
		lh_object_unlock(region->object);
}

/* => LH_NO_HOLE: there is no room; nothing is decided. */
static lh_error grow(struct remap *remap, lh_region *region)
{
	lh_space *space = remap->change.space;
	uint64_t more = remap->request->to.pages - remap->from.pages;
	lh_virtual_range range = { region->range.base, region->range.pages + more };

	if (!ends_with(region, remap->from) || lh_region_tree_may_resize(&space->tree, region, range) != LH_OK)
		return LH_NO_HOLE;
	remap->change.was_asked = true;
	if (more > lh_space_pages_left(space))
		return LH_LIMIT;
	LH_TRY(lh_space_charge(space, charge_for(region, more)));
	resize(space, region, range);
	space->pages += more;
	space->charged += charge_for(region, more);
	lh_region_tree_merge(&space->tree, range, &remap->change.tree);
	return LH_OK;
}

/* --- at another place: what can fail --- */

/* Spares that it takes beside the fresh region. */
static unsigned pieces_left(const struct remap *remap, const lh_region *region)
{
	const lh_region_tree *tree = &remap->change.space->tree;
	unsigned pieces = 0;

	if (!has_flag(remap, LH_REMAP_KEEP) && remap->from.pages != 0)
		pieces += is_inside(region, remap->from);
	if (remap->request->to.where == LH_OVER)
		pieces += is_inside(lh_region_tree_find(tree, remap->to.base), remap->to);
	return pieces;
}

/* Pages that the space has more afterwards, with so many gone from the new place. */
static uint64_t pages_more(const struct remap *remap, uint64_t gone)
{
	uint64_t pages = remap->request->to.pages;

	if (!has_flag(remap, LH_REMAP_KEEP))
		gone += remap->from.pages;
	return pages > gone ? pages - gone : 0;
}

/* Pages of the new place that nobody is promised yet. */
static uint64_t pages_to_charge(const struct remap *remap, const lh_region *region)
{
	return charge_for(region, pages_more(remap, 0));
}

static void build(struct remap *remap, const lh_region *region)
{
	lh_region *fresh = lh_region_list_pop(&remap->change.tree.spares);

	lh_space_build_copy(remap->change.space, region, fresh);
	if (region->range.base.value != remap->from.base.value)
		fresh->guard_before = 0;
	if (remap->from.pages == 0 || !ends_with(region, remap->from))
		fresh->guard_after = 0;
	if (region->object)
		lh_atomic_store_relaxed(&fresh->object_page,
					lh_region_object_page(region, remap->from.base));
	remap->fresh = fresh;
}

/* Limits and promises suffice. gone: pages that are unmapped at the new place. */
static lh_error take_what_it_costs(struct remap *remap, const lh_region *region, uint64_t gone)
{
	lh_space *space = remap->change.space;

	if (remap->spares > lh_space_regions_left(space) || pages_more(remap, gone) > lh_space_pages_left(space))
		return LH_LIMIT;
	return lh_space_charge(space, pages_to_charge(remap, region));
}

/* Tables for the new place, and for what straddles. => is_over: something is to be unmapped there, and may take tables
 * with it; else those that are there are kept. */
static lh_error take_tables(struct remap *remap, bool is_over)
{
	lh_space *space = remap->change.space;
	lh_spare_tables *tables = &remap->change.tables;

	if (remap->moved.pages == 0)
		return LH_OK;
	LH_TRY(lh_directory_prepare_move(&space->directory, remap->moved, remap->to.base, !is_over, tables));
	if (!lh_space_may_have_larger(space))
		return LH_OK;
	LH_TRY(lh_space_prepare_open(space, remap->from, tables));
	LH_TRY(lh_space_prepare_split(space, remap->moved, tables));
	LH_TRY(lh_space_prepare_split(space, remap->from, tables));
	return is_over ? lh_space_prepare_split(space, remap->to, tables) : LH_OK;
}

/* --- and what cannot --- */

/* What lies at the new place goes. (Both places are being taken.) */
static lh_error clear_place(lh_region_change *tree, const lh_region_survey *survey)
{
	lh_space_change_take_pages((lh_space_change *)(void *)tree, survey);
	return LH_OK;
}

/* What is left at the old place goes: the part that did not move. Its promises are the fresh region's, but for
 * those that were too many. */
static lh_error leave_place(lh_region_change *tree, const lh_region_survey *survey)
{
	struct remap *remap = (struct remap *)(void *)tree;
	lh_space *space = remap->change.space;
	lh_virtual_range rest = behind(remap->from, remap->moved.pages);

	if (!lh_virtual_range_is_empty(rest))
		lh_space_clear_pages(space, rest);
	space->pages -= survey->pages;
	space->charged -= survey->charged_pages;
	lh_space_discharge(space, survey->charged_pages != 0 ? rest.pages : 0);
	return LH_OK;
}

static void unmap(struct remap *remap, lh_virtual_range range,
		  lh_error (*prepare)(lh_region_change *, const lh_region_survey *))
{
	lh_space_change *change = &remap->change;
	lh_error error;

	change->range = range;
	change->tree.prepare = prepare;
	error = lh_region_tree_unmap(&change->space->tree, range, &change->tree);
	LH_REQUIRE(change->space->manager->port, error == LH_OK);
}

static void move_leaves(struct remap *remap)
{
	lh_space *space = remap->change.space;
	lh_object *object = remap->fresh->object;

	if (remap->moved.pages == 0)
		return;
	if (lh_space_may_have_larger(space)) {
		lh_space_open(space, remap->from, &remap->change.tables);
		lh_space_split(space, remap->from, &remap->change.tables);
		lh_space_split(space, remap->moved, &remap->change.tables);
	}
	if (object)
		lh_object_lock(object);
	lh_directory_move(&space->directory, remap->moved, remap->to.base, &remap->change.tables);
	if (object)
		lh_object_unlock(object);
}

/* => the fresh region stands at the new place, and both are being taken. */
static void commit(struct remap *remap)
{
	lh_space *space = remap->change.space;

	move_leaves(remap);
	space->pages += remap->to.pages;
	space->charged += lh_region_charge(remap->fresh);
	if (!has_flag(remap, LH_REMAP_KEEP) && remap->from.pages != 0)
		unmap(remap, remap->from, leave_place);
	remap->change.is_taking = false;
	lh_space_end_taking_both(space, remap->from, remap->to);
	lh_region_tree_merge(&space->tree, remap->to, &remap->change.tree);
}

/* Where nothing is: the region is placed first, for only then the place is known. */
static lh_error move_to_hole(struct remap *remap)
{
	lh_space *space = remap->change.space;
	lh_error error;

	lh_space_begin_taking(space, space->tree.total);
	error = lh_space_place(space, &remap->request->to, remap->to, remap->fresh);
	if (error == LH_OK) {
		remap->to = remap->fresh->range;
		lh_directory_keep_tables(&space->directory);
		error = take_tables(remap, false);
		if (error != LH_OK) {
			lh_space_unlink_object(remap->fresh);
			lh_region_tree_remove(&space->tree, remap->fresh);
		}
		if (error != LH_OK || remap->moved.pages == 0)
			lh_directory_let_tables_go(&space->directory);
	}
	if (error != LH_OK) {
		lh_space_end_taking(space, space->tree.total);
		return error;
	}
	lh_space_end_taking_but(space, remap->from, remap->to);
	remap->change.is_taking = true;
	commit(remap);
	return LH_OK;
}

/* Over what is there. Tables that go with it are taken anew. */
static lh_error move_over(struct remap *remap)
{
	lh_space *space = remap->change.space;
	lh_map_request there = { .where = LH_AT };
	lh_error error;

	lh_space_begin_taking_both(space, remap->from, remap->to);
	error = take_tables(remap, true);
	if (error != LH_OK) {
		lh_space_end_taking_both(space, remap->from, remap->to);
		return error;
	}
	remap->change.is_taking = true;
	if (lh_space_may_have_larger(space))
		lh_space_split(space, remap->to, &remap->change.tables);
	unmap(remap, remap->to, clear_place);
	error = lh_space_place(space, &there, remap->to, remap->fresh);
	LH_REQUIRE(space->manager->port, error == LH_OK);
	if (remap->moved.pages != 0)
		lh_directory_keep_tables(&space->directory);
	commit(remap);
	return LH_OK;
}

static lh_error move_fresh(struct remap *remap, const lh_region *region)
{
	bool is_over = remap->request->to.where == LH_OVER;
	lh_region_survey survey = { .pages = 0 };
	uint64_t charge = pages_to_charge(remap, region);
	lh_error error;

	if (is_over)
		LH_TRY(lh_region_tree_may_replace(&remap->change.space->tree, remap->fresh, remap->to, &survey));
	LH_TRY(take_what_it_costs(remap, region, survey.pages));
	error = is_over ? move_over(remap) : move_to_hole(remap);
	if (error != LH_OK)
		lh_space_discharge(remap->change.space, charge);
	return error;
}

static lh_error move(struct remap *remap, const lh_region *region)
{
	lh_error error;

	LH_TRY(ask_spares(remap, 1 + pieces_left(remap, region)));
	build(remap, region);
	error = move_fresh(remap, region);
	if (error != LH_OK) /* with its holder of the object */
		lh_region_list_push(&remap->change.tree.dead, remap->fresh);
	return error;
}

/* --- all of it --- */

static lh_error remap_locked(struct remap *remap)
{
	lh_region *region = lh_region_tree_find(&remap->change.space->tree, remap->from.base);
	lh_error error;

	LH_TRY(validate_region(remap, region));
	if (has_flag(remap, LH_REMAP_STAY) && remap->from.pages != 0) {
		if (remap->request->to.pages <= remap->from.pages)
			return shrink(remap, region);
		error = grow(remap, region);
		if (error != LH_NO_HOLE)
			return error;
	}
	return has_flag(remap, LH_REMAP_MOVE) ? move(remap, region) : LH_NO_HOLE;
}

static lh_error try_remap(lh_space *space, const lh_remap_request *request, lh_virtual_range to,
			  struct remap *remap)
{
	uint64_t pages = request->to.pages;
	lh_error error;

	remap->to = to;
	remap->from = remap->moved = request->range;
	if (pages < remap->moved.pages)
		remap->moved.pages = pages;
	lh_space_lock(space);
	remap->fresh = NULL;
	error = remap_locked(remap);
	lh_space_unlock(space);
	return error;
}

lh_error lh_space_remap(lh_space *space, const lh_remap_request *request, lh_virtual_range *placed)
{
	struct remap remap = { .request = request };
	lh_virtual_range to;
	lh_error error;

	LH_TRY(validate(space, request, &to));
	lh_space_change_begin(&remap.change, space, request->range);
	error = try_remap(space, request, to, &remap);
	if (error == LH_NO_MEMORY && lh_space_change_take_spares(&remap.change, remap.spares))
		error = try_remap(space, request, to, &remap);
	lh_space_change_end(&remap.change);
	if (error == LH_OK)
		*placed = remap.fresh ? remap.to : (lh_virtual_range){ request->range.base, request->to.pages };
	return error;
}
