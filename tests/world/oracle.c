/* SPDX-License-Identifier: BSD-2-Clause */
/* The oracle's spaces: mapping and what changes pages as a whole. */
#include "world/oracle.h"

#include <stdlib.h>
#include <string.h>

#include "adversary.h"

#include "world/oracle_inside.h"

const uint64_t oracle_offsets[ORACLE_WORDS] = { 0, 2048, 4088 };

/* --- regions as runs of pages --- */

static bool is_same_region(const oracle_page *a, const oracle_page *b)
{
	return a->mapped && b->mapped && a->backing == b->backing && a->rights == b->rights &&
	       a->rights_max == b->rights_max && a->history == b->history && a->flags == b->flags &&
	       a->tag == b->tag && a->object == b->object &&
	       (a->object < 0 || b->object_page == a->object_page + 1);
}

uint64_t oracle_run_end(const oracle_space *space, uint64_t page)
{
	while (page + 1 < space->count &&
	       is_same_region(&space->pages[page], &space->pages[page + 1]))
		page++;
	return page;
}

uint64_t oracle_run_begin(const oracle_space *space, uint64_t page)
{
	while (page > 0 && is_same_region(&space->pages[page - 1], &space->pages[page]))
		page--;
	return page;
}

uint64_t oracle_regions(const oracle_space *space)
{
	uint64_t regions = 0;

	for (uint64_t page = 0; page < space->count; page++) {
		if (!space->pages[page].mapped)
			continue;
		regions++;
		page = oracle_run_end(space, page);
	}
	return regions;
}

uint64_t oracle_mapped(const oracle_space *space, uint64_t page, uint64_t pages)
{
	uint64_t mapped = 0;

	for (uint64_t n = page; n < page + pages; n++)
		mapped += space->pages[n].mapped;
	return mapped;
}

uint64_t oracle_regions_left(const oracle_space *space)
{
	uint64_t limit = space->limits.regions ? space->limits.regions : 65530;
	uint64_t regions = oracle_regions(space);

	return limit > regions ? limit - regions : 0;
}

uint64_t oracle_pages_left(const oracle_space *space)
{
	uint64_t mapped = oracle_mapped(space, 0, space->count);

	if (space->limits.pages == 0)
		return UINT64_MAX;
	return space->limits.pages > mapped ? space->limits.pages - mapped : 0;
}

uint64_t oracle_charge(const oracle_space *space)
{
	uint64_t charge = 0;

	for (uint64_t page = 0; page < space->count; page++)
		charge += (space->pages[page].flags & LH_REGION_CHARGED) != 0;
	return charge;
}

/* One is the account, or below it. */
static bool is_below(const lh_account *one, const lh_account *account)
{
	while (one && one != account)
		one = one->parent;
	return one != NULL;
}

uint64_t oracle_account_charge(const space_oracle *oracle, const lh_account *account)
{
	uint64_t charge = 0;

	for (unsigned n = 0; n < WORLD_SPACES; n++)
		if (oracle->space[n] && is_below(oracle->world.account[n], account))
			charge += oracle_charge(oracle->space[n]);
	for (unsigned n = 0; n < ORACLE_OBJECTS; n++)
		if (is_below(oracle->objects[n].account, account))
			charge += oracle_object_charge(&oracle->objects[n]);
	return charge + oracle_pinned_charge(oracle, account);
}

bool oracle_may_charge(const space_oracle *oracle, unsigned n, uint64_t pages)
{
	return oracle_has_room(oracle, oracle->world.account[n], pages);
}

bool oracle_has_room(const space_oracle *oracle, const lh_account *account, uint64_t pages)
{
	for (; account && pages != 0; account = account->parent)
		if (oracle_account_charge(oracle, account) + pages > account->limit)
			return false;
	return true;
}

bool oracle_is_punched(const oracle_space *space, uint64_t page, uint64_t pages)
{
	return space->pages[page].mapped && oracle_run_begin(space, page) < page &&
	       oracle_run_end(space, page) >= page + pages;
}

/* --- pages --- */

void oracle_let_go(space_oracle *oracle, oracle_frame *frame)
{
	if (frame->references != 0 || frame->pins != 0)
		return;
	free(frame);
	oracle->frames--;
}

void oracle_empty(space_oracle *oracle, oracle_page *page)
{
	if (page->leaf == LEAF_OWN) {
		page->own->references--;
		oracle_let_go(oracle, page->own);
	}
	page->own = NULL;
	page->leaf = LEAF_EMPTY;
}

void oracle_clear_pages(space_oracle *oracle, oracle_space *space, uint64_t page, uint64_t pages)
{
	for (uint64_t n = page; n < page + pages; n++) {
		oracle_empty(oracle, &space->pages[n]);
		space->pages[n] = (oracle_page){ .mapped = false, .object = -1 };
	}
}

void oracle_make(space_oracle *oracle, unsigned n, const lh_space_limits *limits)
{
	world_make(&oracle->world, n);
	oracle->space[n] = calloc(1, sizeof(oracle_space));
	oracle->space[n]->count = oracle->count;
	oracle->space[n]->limits = *limits;
	lh_space_set_limits(oracle->world.space[n], limits);
	oracle_clear_pages(oracle, oracle->space[n], 0, oracle->count);
}

void oracle_destroy(space_oracle *oracle, unsigned n)
{
	oracle_clear_pages(oracle, oracle->space[n], 0, oracle->count);
	free(oracle->space[n]);
	oracle->space[n] = NULL;
	world_destroy(&oracle->world, n);
}

/* --- placing --- */

bool oracle_is_legal(const oracle_space *space, uint64_t page, uint64_t pages, uint64_t guard_before,
		     uint64_t guard_after)
{
	if (pages > space->count || page > space->count - pages ||
	    oracle_mapped(space, page, pages) != 0)
		return false;
	for (uint64_t n = page; n > 0; n--) {
		const oracle_page *below = &space->pages[n - 1];

		if (below->mapped) {
			if (page - n < guard_before || page - n < below->guard_after)
				return false;
			break;
		}
	}
	for (uint64_t n = page + pages; n < space->count; n++) {
		const oracle_page *above = &space->pages[n];

		if (above->mapped)
			return n - page - pages >= guard_after && n - page - pages >= above->guard_before;
	}
	return true;
}

static bool is_slot(const space_oracle *oracle, const oracle_space *space,
		    const lh_map_request *request, uint64_t page)
{
	uint64_t alignment = request->alignment ? request->alignment : 1;
	uint64_t address = world_page(&oracle->world, page);

	if ((address >> LH_PAGE_SHIFT) % alignment != 0)
		return false;
	if (!lh_virtual_range_is_empty(request->within) &&
	    !lh_virtual_range_covers(request->within,
				     (lh_virtual_range){ lh_virtual(address), request->pages }))
		return false;
	return oracle_is_legal(space, page, request->pages, request->guard_before,
			       request->guard_after);
}

static lh_error find_anywhere(const space_oracle *oracle, const oracle_space *space,
			      const lh_map_request *request, uint64_t *page)
{
	lh_virtual_range common;

	if (!lh_virtual_range_is_empty(request->within) &&
	    (!lh_virtual_range_intersect(request->within, oracle->world.user, &common) ||
	     common.pages < request->pages))
		return LH_INVALID;
	for (uint64_t n = 0; n < space->count; n++) {
		*page = request->direction == LH_LOWEST_FIRST ? n : space->count - 1 - n;
		if (is_slot(oracle, space, request, *page))
			return LH_OK;
	}
	return LH_NO_HOLE;
}

static lh_error validate(const space_oracle *oracle, const lh_map_request *request)
{
	lh_rights most = request->rights_max ? request->rights_max : LH_RIGHTS_ALL;
	uint64_t page = (request->address.value - oracle->world.user.base.value) / PAGE;

	if (request->pages == 0 || request->pages > oracle->count ||
	    (request->alignment & (request->alignment - 1)) != 0 || (request->rights & ~most) != 0)
		return LH_INVALID;
	if ((request->flags & LH_REGION_SHARED) != 0 && !request->object)
		return LH_INVALID;
	if ((request->flags & LH_REGION_GROWS_DOWN) != 0 && (request->object || request->reservation))
		return LH_INVALID;
	if (request->object && request->reservation)
		return LH_INVALID;
	if ((request->where == LH_AT || request->where == LH_OVER) &&
	    (request->address.value % PAGE != 0 || page > oracle->count - request->pages))
		return LH_INVALID;
	return LH_OK;
}

lh_error oracle_find_place(const space_oracle *oracle, const oracle_space *space,
			   const lh_map_request *request, uint64_t *page)
{
	uint64_t at = (request->address.value - oracle->world.user.base.value) / PAGE;

	if (request->where == LH_AT || request->where == LH_NEAR) {
		*page = at;
		if (request->address.value % PAGE == 0 && at < space->count &&
		    oracle_is_legal(space, at, request->pages, request->guard_before,
				    request->guard_after))
			return LH_OK;
		if (request->where == LH_AT)
			return LH_EXISTS;
	}
	return find_anywhere(oracle, space, request, page);
}

bool oracle_is_legal_over(const oracle_space *space, uint64_t page, uint64_t pages, uint64_t guard_before,
			  uint64_t guard_after)
{
	oracle_space after = *space;

	for (uint64_t n = page; n < page + pages; n++)
		after.pages[n].mapped = false;
	return oracle_is_legal(&after, page, pages, guard_before, guard_after);
}

/* Where it goes, or why not. May unmap what is in the way (OVER). */
static lh_error place(space_oracle *oracle, oracle_space *space, const lh_map_request *request,
		      uint64_t *page)
{
	uint64_t at = (request->address.value - oracle->world.user.base.value) / PAGE;
	uint64_t pages = request->pages;

	if (request->where == LH_OVER) {
		uint64_t freed = oracle_mapped(space, at, pages);

		if (!oracle_is_legal_over(space, at, pages, request->guard_before, request->guard_after))
			return LH_EXISTS;
		if (oracle_regions_left(space) < (oracle_is_punched(space, at, pages) ? 2u : 1u))
			return LH_LIMIT;
		if (pages > freed && pages - freed > oracle_pages_left(space))
			return LH_LIMIT;
		oracle_clear_pages(oracle, space, at, pages);
		*page = at;
		return LH_OK;
	}
	if (oracle_regions_left(space) == 0 || pages > oracle_pages_left(space))
		return LH_LIMIT;
	return oracle_find_place(oracle, space, request, page);
}

static uint64_t charge_of(const lh_map_request *request)
{
	bool is_charged = !request->reservation && (request->flags & LH_REGION_SHARED) == 0 &&
			  (request->rights & WRITE) != 0;

	return is_charged ? request->pages : 0;
}

static void fill(oracle_space *space, const lh_map_request *request, int object, uint64_t page)
{
	for (uint64_t n = 0; n < request->pages; n++) {
		oracle_page *made = &space->pages[page + n];

		*made = (oracle_page){
			.mapped = true,
			.backing = request->reservation ? LH_BACKING_NONE
				   : object >= 0	? LH_BACKING_OBJECT
							: LH_BACKING_ANONYMOUS,
			.rights = request->rights,
			.rights_max = request->rights_max ? request->rights_max : LH_RIGHTS_ALL,
			.history = request->rights,
			.flags = request->flags,
			.tag = request->tag,
			.object = object,
			.object_page = object >= 0 ? request->object_page + n : 0,
		};
		if (charge_of(request) != 0)
			made->flags |= LH_REGION_CHARGED;
	}
	space->pages[page].guard_before = request->guard_before;
	space->pages[page + request->pages - 1].guard_after = request->guard_after;
}

lh_error oracle_map(space_oracle *oracle, unsigned n, const lh_map_request *request, int object)
{
	oracle_space *space = oracle->space[n];
	lh_virtual_range placed = { lh_virtual(0), 0 };
	uint64_t page = 0;
	lh_error expected = validate(oracle, request), error;

	if (expected == LH_OK && !oracle_may_charge(oracle, n, charge_of(request)))
		expected = LH_LIMIT;
	if (expected == LH_OK)
		expected = place(oracle, space, request, &page);
	machine_operation(oracle->world.machine, "map %llu pages at %#llx in space %u",
			  (unsigned long long)request->pages,
			  (unsigned long long)request->address.value, n);
	ORACLE_CALL(oracle, error, lh_space_map(oracle->world.space[n], request, &placed),
		    error == LH_NO_MEMORY);
	CHECK_ERROR(error, expected);
	if (expected != LH_OK)
		return expected;
	CHECK_EQUAL(placed.base.value, world_page(&oracle->world, page));
	CHECK_EQUAL(placed.pages, request->pages);
	fill(space, request, object, page);
	return LH_OK;
}

/* --- operations on ranges --- */

static void name_range(space_oracle *oracle, const char *name, unsigned n, uint64_t page,
		       uint64_t pages)
{
	machine_operation(oracle->world.machine, "%s %llu pages at %#llx in space %u", name,
			  (unsigned long long)pages,
			  (unsigned long long)world_page(&oracle->world, page), n);
}

lh_error oracle_unmap(space_oracle *oracle, unsigned n, uint64_t page, uint64_t pages)
{
	oracle_space *space = oracle->space[n];
	bool refused = oracle_is_punched(space, page, pages) && oracle_regions_left(space) == 0;
	lh_error expected = refused ? LH_LIMIT : LH_OK, error;

	name_range(oracle, "unmap", n, page, pages);
	ORACLE_CALL(oracle, error,
		    lh_space_unmap(oracle->world.space[n], world_range(&oracle->world, page, pages)),
		    error == LH_NO_MEMORY);
	CHECK_ERROR(error, expected);
	if (expected == LH_OK)
		oracle_clear_pages(oracle, space, page, pages);
	return expected;
}

static lh_error judge_protect(const oracle_space *space, uint64_t page, uint64_t pages,
			      lh_rights rights)
{
	uint64_t last = page + pages - 1;
	unsigned splits;

	if (oracle_mapped(space, page, pages) != pages)
		return LH_NOT_MAPPED;
	for (uint64_t n = page; n <= last; n++)
		if ((rights & ~space->pages[n].rights_max) != 0)
			return LH_NO_ACCESS;
	splits = (unsigned)(oracle_run_begin(space, page) < page) +
		 (unsigned)(oracle_run_end(space, last) > last);
	return splits > oracle_regions_left(space) ? LH_LIMIT : LH_OK;
}

static bool becomes_charged(const oracle_page *page, lh_rights rights)
{
	return (rights & WRITE) != 0 && page->backing != LH_BACKING_NONE &&
	       (page->flags & (LH_REGION_SHARED | LH_REGION_CHARGED)) == 0;
}

lh_error oracle_protect(space_oracle *oracle, unsigned n, uint64_t page, uint64_t pages,
			lh_rights rights)
{
	oracle_space *space = oracle->space[n];
	lh_error expected = judge_protect(space, page, pages, rights), error;
	uint64_t charge = 0;

	for (uint64_t at = page; at < page + pages; at++)
		charge += becomes_charged(&space->pages[at], rights);
	if (expected == LH_OK && !oracle_may_charge(oracle, n, charge))
		expected = LH_LIMIT;
	name_range(oracle, "protect", n, page, pages);
	ORACLE_CALL(oracle, error,
		    lh_space_protect(oracle->world.space[n],
				     world_range(&oracle->world, page, pages), rights),
		    error == LH_NO_MEMORY);
	CHECK_ERROR(error, expected);
	if (expected != LH_OK)
		return expected;
	for (uint64_t at = page; at < page + pages; at++) {
		oracle_page *changed = &space->pages[at];

		if (becomes_charged(changed, rights))
			changed->flags |= LH_REGION_CHARGED;
		changed->rights = rights;
		changed->history |= rights;
	}
	return LH_OK;
}

lh_error oracle_discard(space_oracle *oracle, unsigned n, uint64_t page, uint64_t pages)
{
	oracle_space *space = oracle->space[n];
	bool whole = oracle_mapped(space, page, pages) == pages;
	lh_error expected = whole ? LH_OK : LH_NOT_MAPPED, error;

	name_range(oracle, "discard", n, page, pages);
	ORACLE_CALL(oracle, error,
		    lh_space_discard(oracle->world.space[n], world_range(&oracle->world, page, pages)),
		    error == LH_NO_MEMORY);
	CHECK_ERROR(error, expected);
	for (uint64_t at = page; whole && at < page + pages; at++)
		oracle_empty(oracle, &space->pages[at]);
	return expected;
}

lh_error oracle_advise(space_oracle *oracle, unsigned n, uint64_t page, uint64_t pages, lh_advice advice)
{
	static const uint32_t flags[] = { 0, LH_REGION_HUGE, LH_REGION_NO_HUGE };
	oracle_space *space = oracle->space[n];
	lh_error expected = judge_protect(space, page, pages, LH_RIGHT_NONE), error;

	name_range(oracle, "advise", n, page, pages);
	ORACLE_CALL(oracle, error,
		    lh_space_advise(oracle->world.space[n], world_range(&oracle->world, page, pages), advice),
		    error == LH_NO_MEMORY);
	CHECK_ERROR(error, expected);
	for (uint64_t at = page; expected == LH_OK && at < page + pages; at++) {
		space->pages[at].flags &= ~(LH_REGION_HUGE | LH_REGION_NO_HUGE);
		space->pages[at].flags |= flags[advice];
	}
	return expected;
}

static uint64_t inherited_charge(const oracle_space *space)
{
	uint64_t charge = 0;

	for (uint64_t n = 0; n < space->count; n++)
		charge += (space->pages[n].flags & (LH_REGION_CHARGED | LH_REGION_NOT_INHERITED)) ==
			  LH_REGION_CHARGED;
	return charge;
}

/* A pinned frame stays the parent's. */
static void copy_frame(space_oracle *oracle, oracle_page *page)
{
	oracle_frame *made = malloc(sizeof *made);

	*made = *page->own;
	made->references = 1;
	made->pins = 0;
	page->own = made;
	oracle->frames++;
}

static void fork_page(space_oracle *oracle, unsigned child, const oracle_page *from, uint64_t n)
{
	oracle_page *to = &oracle->space[child]->pages[n];

	if (!from->mapped || (from->flags & LH_REGION_NOT_INHERITED) != 0)
		return;
	*to = *from;
	if (from->leaf == LEAF_OWN && (from->flags & LH_REGION_EMPTY_ON_FORK) == 0) {
		if (to->own->pins != 0)
			copy_frame(oracle, to);
		else
			to->own->references++;
		return;
	}
	/* What a shared table has beside is shared, too. */
	if (from->leaf == LEAF_ZERO && world_is_shared(&oracle->world, child, n))
		return;
	to->leaf = LEAF_EMPTY;
	to->own = NULL;
}

lh_error oracle_fork(space_oracle *oracle, unsigned parent, unsigned child)
{
	bool may = oracle_may_charge(oracle, child, inherited_charge(oracle->space[parent]));
	lh_error expected = may ? LH_OK : LH_LIMIT, error;

	machine_operation(oracle->world.machine, "fork of space %u to %u", parent, child);
	ORACLE_CALL(oracle, error,
		    lh_space_fork(oracle->world.space[parent], oracle->world.space[child]),
		    error == LH_NO_MEMORY);
	CHECK_ERROR(error, expected);
	if (expected != LH_OK)
		return expected;
	oracle->space[child]->limits = oracle->space[parent]->limits;
	for (uint64_t n = 0; n < oracle->count; n++)
		fork_page(oracle, child, &oracle->space[parent]->pages[n], n);
	return LH_OK;
}
