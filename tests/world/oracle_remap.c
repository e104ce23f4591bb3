/* SPDX-License-Identifier: BSD-2-Clause */
/* The oracle's remapping: pages with all that they have go from one place to another. */
#include "adversary.h"
#include "world/oracle_inside.h"

/* A remapping, by page numbers. */
struct remapping {
	oracle_space *space;
	unsigned n;
	lh_remap_request request;
	uint64_t page, pages; /* what is remapped */
	uint64_t length;      /* what it is to be */
	uint64_t to;
	oracle_page like;     /* the first page, without what it shows */
	bool begins, ends;    /* it begins, ends with its region */
};

static bool has(const struct remapping *remapping, uint32_t flag)
{
	return (remapping->request.flags & flag) != 0;
}

static bool is_valid(const space_oracle *oracle, const struct remapping *remapping)
{
	const lh_map_request *to = &remapping->request.to;
	uint32_t flags = remapping->request.flags;
	bool exact = to->where == LH_AT || to->where == LH_OVER;

	if ((flags & (LH_REMAP_STAY | LH_REMAP_MOVE)) == 0 || remapping->length == 0 ||
	    remapping->length > oracle->count)
		return false;
	if (has(remapping, LH_REMAP_KEEP) &&
	    (has(remapping, LH_REMAP_STAY) || remapping->pages != remapping->length))
		return false;
	if (!has(remapping, LH_REMAP_MOVE) || !exact)
		return true;
	return remapping->to <= oracle->count - remapping->length &&
	       (remapping->pages == 0 || remapping->to + remapping->length <= remapping->page ||
		remapping->to >= remapping->page + remapping->pages);
}

/* Is it part of one region? Then it is described. */
static lh_error describe(struct remapping *remapping)
{
	const oracle_space *space = remapping->space;
	uint64_t last = remapping->page + (remapping->pages ? remapping->pages - 1 : 0);

	if (!space->pages[remapping->page].mapped || oracle_run_end(space, remapping->page) < last)
		return LH_NOT_MAPPED;
	remapping->like = space->pages[remapping->page];
	if (remapping->pages == 0 && (remapping->like.flags & LH_REGION_SHARED) == 0)
		return LH_INVALID;
	remapping->begins = oracle_run_begin(space, remapping->page) == remapping->page;
	remapping->ends = remapping->pages != 0 && oracle_run_end(space, last) == last;
	remapping->request.to.guard_before = remapping->begins ? remapping->like.guard_before : 0;
	remapping->request.to.guard_after = remapping->ends ? space->pages[last].guard_after : 0;
	remapping->like.leaf = LEAF_EMPTY;
	remapping->like.own = NULL;
	remapping->like.guard_before = remapping->like.guard_after = 0;
	return LH_OK;
}

/* A page of the new place that nothing was moved to. */
static oracle_page fresh_page(const struct remapping *remapping, uint64_t index)
{
	oracle_page page = remapping->like;

	if (page.object >= 0)
		page.object_page += index;
	return page;
}

static uint64_t charge_for(const struct remapping *remapping, uint64_t pages)
{
	return (remapping->like.flags & LH_REGION_CHARGED) != 0 ? pages : 0;
}

/* --- where it is --- */

static lh_error judge_shrink(const struct remapping *remapping)
{
	uint64_t rest = remapping->pages - remapping->length;
	bool refused = rest != 0 && oracle_is_punched(remapping->space, remapping->page + remapping->length, rest) &&
		       oracle_regions_left(remapping->space) == 0;

	return refused ? LH_LIMIT : LH_OK;
}

static lh_error judge_grow(const space_oracle *oracle, const struct remapping *remapping)
{
	uint64_t more = remapping->length - remapping->pages, end = remapping->page + remapping->pages;
	oracle_space alone = *remapping->space;

	alone.pages[end - 1].guard_after = 0;
	if (!remapping->ends || !oracle_is_legal(&alone, end, more, 0, remapping->request.to.guard_after))
		return LH_NO_HOLE;
	if (more > oracle_pages_left(remapping->space) ||
	    !oracle_may_charge(oracle, remapping->n, charge_for(remapping, more)))
		return LH_LIMIT;
	return LH_OK;
}

static void grow(struct remapping *remapping)
{
	oracle_page *pages = &remapping->space->pages[remapping->page];

	pages[remapping->pages - 1].guard_after = 0;
	for (uint64_t i = remapping->pages; i < remapping->length; i++)
		pages[i] = fresh_page(remapping, i);
	pages[remapping->length - 1].guard_after = remapping->request.to.guard_after;
}

/* --- at another place --- */

/* *to: where. */
static lh_error judge_move(const space_oracle *oracle, struct remapping *remapping, uint64_t *to)
{
	const oracle_space *space = remapping->space;
	const lh_map_request *request = &remapping->request.to;
	uint64_t kept = has(remapping, LH_REMAP_KEEP) ? 0 : remapping->pages, gone = kept, regions = 1;
	bool is_over = request->where == LH_OVER;

	*to = remapping->to;
	if (is_over && !oracle_is_legal_over(space, *to, remapping->length, request->guard_before,
					     request->guard_after))
		return LH_EXISTS;
	if (is_over) {
		regions += oracle_is_punched(space, *to, remapping->length);
		gone += oracle_mapped(space, *to, remapping->length);
	}
	regions += kept != 0 && !remapping->begins && !remapping->ends;
	if (regions > oracle_regions_left(space))
		return LH_LIMIT;
	if (remapping->length > gone && remapping->length - gone > oracle_pages_left(space))
		return LH_LIMIT;
	if (remapping->length > kept &&
	    !oracle_may_charge(oracle, remapping->n, charge_for(remapping, remapping->length - kept)))
		return LH_LIMIT;
	return is_over ? LH_OK : oracle_find_place(oracle, space, request, to);
}

static void move(space_oracle *oracle, const struct remapping *remapping, uint64_t to)
{
	oracle_space *space = remapping->space;

	oracle_clear_pages(oracle, space, to, remapping->length);
	for (uint64_t i = 0; i < remapping->length; i++) {
		oracle_page *page = &space->pages[to + i], *from;

		*page = fresh_page(remapping, i);
		if (i >= remapping->pages)
			continue;
		from = &space->pages[remapping->page + i];
		page->leaf = from->leaf;
		page->own = from->own;
		from->leaf = LEAF_EMPTY;
		from->own = NULL;
	}
	space->pages[to].guard_before = remapping->request.to.guard_before;
	space->pages[to + remapping->length - 1].guard_after = remapping->request.to.guard_after;
	if (!has(remapping, LH_REMAP_KEEP))
		oracle_clear_pages(oracle, space, remapping->page, remapping->pages);
}

/* --- all of it --- */

enum way { SHRINK, GROW, MOVE };

static lh_error judge(const space_oracle *oracle, struct remapping *remapping, enum way *way, uint64_t *to)
{
	lh_error error;

	*way = MOVE;
	if (!is_valid(oracle, remapping))
		return LH_INVALID;
	error = describe(remapping);
	if (error != LH_OK)
		return error;
	if (has(remapping, LH_REMAP_STAY) && remapping->pages != 0) {
		*way = remapping->length <= remapping->pages ? SHRINK : GROW;
		error = *way == SHRINK ? judge_shrink(remapping) : judge_grow(oracle, remapping);
		if (error != LH_NO_HOLE)
			return error;
	}
	*way = MOVE;
	return has(remapping, LH_REMAP_MOVE) ? judge_move(oracle, remapping, to) : LH_NO_HOLE;
}

lh_error oracle_remap(space_oracle *oracle, unsigned n, uint64_t page, uint64_t pages,
		      const lh_remap_request *request, uint64_t to)
{
	struct remapping remapping = { .space = oracle->space[n], .n = n, .request = *request, .page = page,
				       .pages = pages, .length = request->to.pages, .to = to };
	lh_remap_request asked = *request;
	lh_virtual_range placed = { lh_virtual(0), 0 };
	lh_error expected, error;
	uint64_t at = page;
	enum way way;

	asked.range = (lh_virtual_range){ lh_virtual(world_page(&oracle->world, page)), pages };
	asked.to.address = lh_virtual(world_page(&oracle->world, to));
	remapping.request.to.address = asked.to.address;
	expected = judge(oracle, &remapping, &way, &at);
	machine_operation(oracle->world.machine, "remap %llu pages at page %llu of space %u to %llu at %llu",
			  (unsigned long long)pages, (unsigned long long)page, n,
			  (unsigned long long)remapping.length, (unsigned long long)to);
	ORACLE_CALL(oracle, error, lh_space_remap(oracle->world.space[n], &asked, &placed),
		    error == LH_NO_MEMORY);
	CHECK_ERROR(error, expected);
	if (expected != LH_OK)
		return expected;
	CHECK_EQUAL(placed.base.value, world_page(&oracle->world, at));
	CHECK_EQUAL(placed.pages, remapping.length);
	if (way == GROW)
		grow(&remapping);
	else if (way == SHRINK)
		oracle_clear_pages(oracle, remapping.space, page + remapping.length, pages - remapping.length);
	else
		move(oracle, &remapping, at);
	return LH_OK;
}
