/* SPDX-License-Identifier: BSD-2-Clause */
/* Random operations on three spaces and three objects, each step compared with the oracle. */
#include "world/oracle.h"

#define SPACES 3

/* Pages where leaf tables, upper tables and the range itself begin and end. */
static const uint64_t corners[] = { 0, 24, 536, 1048, WORLD_USER_PAGES };

static uint64_t below(uint64_t limit)
{
	return test_random_below(limit);
}

/* A page near a corner, as a rule. */
static uint64_t some_page(void)
{
	uint64_t page = corners[below(5)] + below(25);

	if (below(8) == 0)
		return below(WORLD_USER_PAGES);
	page = page < 12 ? 0 : page - 12;
	return page < WORLD_USER_PAGES ? page : WORLD_USER_PAGES - 1;
}

static uint64_t some_pages(uint64_t page)
{
	uint64_t pages = 1 + below(below(6) ? 8 : below(4) ? 40 : WORLD_USER_PAGES);
	uint64_t left = WORLD_USER_PAGES - page;

	return pages < left ? pages : left;
}

static lh_rights some_rights(void)
{
	static const lh_rights often[] = { 3, 3, 3, 1, 0, 5, 7, 2, 4, 6 };

	return often[below(10)];
}

static unsigned some_space(const space_oracle *oracle)
{
	unsigned n;

	do
		n = (unsigned)below(SPACES);
	while (!oracle->space[n]);
	return n;
}

static int choose_object(const space_oracle *oracle, lh_map_request *request)
{
	int object = (int)below(ORACLE_OBJECTS);

	request->object = oracle->objects[object].object;
	request->object_page = below(ORACLE_OBJECT_PAGES / 2);
	if (request->pages > ORACLE_OBJECT_PAGES / 2)
		request->pages = 1 + below(ORACLE_OBJECT_PAGES / 2);
	if (below(2))
		request->flags |= LH_REGION_SHARED;
	return object;
}

static void choose_place(const space_oracle *oracle, lh_map_request *request)
{
	request->where = (lh_where)below(4);
	request->direction = (lh_direction)below(2);
	if (below(4) == 0)
		request->alignment = UINT64_C(1) << below(10);
	if (below(4) == 0) {
		uint64_t page = some_page();

		request->within = world_range(&oracle->world, page, some_pages(page));
	}
	if (below(4) == 0)
		request->guard_before = (uint32_t)below(5);
	if (below(4) == 0)
		request->guard_after = (uint32_t)below(5);
}

static void spoil(lh_map_request *request)
{
	switch (below(6)) {
	case 0: request->address.value += 8; break;
	case 1: request->pages = 0; break;
	case 2: request->alignment = 3; break;
	case 3: request->flags |= LH_REGION_SHARED; break;
	case 4: request->address.value += WORLD_USER_PAGES * PAGE; break;
	default: request->flags |= LH_REGION_GROWS_DOWN; break;
	}
}

static void do_map(space_oracle *oracle)
{
	uint64_t page = some_page();
	lh_map_request request = { .address = lh_virtual(world_page(&oracle->world, page)),
				   .pages = some_pages(page), .rights = some_rights(),
				   .tag = below(6) == 0 };
	int object = -1;

	if (below(4) == 0)
		request.rights_max = (lh_rights)(request.rights | some_rights());
	if (below(12) == 0)
		request.flags |= LH_REGION_NOT_INHERITED;
	if (below(12) == 0)
		request.flags |= LH_REGION_EMPTY_ON_FORK;
	if (below(3) == 0)
		object = choose_object(oracle, &request);
	else if (below(8) == 0)
		request.reservation = true;
	else if (below(4) == 0)
		request.flags |= LH_REGION_GROWS_DOWN;
	choose_place(oracle, &request);
	if (below(12) == 0)
		spoil(&request);
	(void)oracle_map(oracle, some_space(oracle), &request, object);
}

static bool is_interesting(const oracle_page *page, const oracle_page *above, uint64_t kind)
{
	if (kind == 0)
		return page->leaf == LEAF_OWN;
	if (kind == 1)
		return page->leaf == LEAF_OWN && page->own->references > 1;
	if (kind == 2)
		return page->leaf == LEAF_SHOWN;
	return !page->mapped && above->mapped && (above->flags & LH_REGION_GROWS_DOWN) != 0;
}

/* A page with some history, if there is one; or one that is mapped, as a rule, for most are not. */
static uint64_t page_to_touch(const space_oracle *oracle, unsigned n)
{
	const oracle_page *pages = oracle->space[n]->pages;
	uint64_t page = some_page(), kind = below(8);

	for (uint64_t at = 0; kind < 4 && at + 1 < WORLD_USER_PAGES; at++) {
		uint64_t there = (page + at) % (WORLD_USER_PAGES - 1);

		if (is_interesting(&pages[there], &pages[there + 1], kind))
			return there < 3 || kind < 3 ? there : there - below(3);
	}

	for (unsigned tries = 0; tries < 6 && !oracle->space[n]->pages[page].mapped; tries++)
		page = some_page();
	return page;
}

static void do_range(space_oracle *oracle)
{
	unsigned n = some_space(oracle);
	uint64_t page = below(2) ? some_page() : page_to_touch(oracle, n), pages = some_pages(page);

	switch (below(5)) {
	case 4:
		(void)oracle_advise(oracle, n, page, pages, (lh_advice)below(3));
		break;
	case 0:
		(void)oracle_unmap(oracle, n, page, pages);
		break;
	case 1:
		(void)oracle_discard(oracle, n, page, 1 + pages / 4);
		break;
	default:
		(void)oracle_protect(oracle, n, page, 1 + pages / 4, some_rights());
	}
}

static void do_access(space_oracle *oracle)
{
	unsigned n = some_space(oracle), cpu = (unsigned)below(2);
	uint64_t page = page_to_touch(oracle, n);
	static const mmu_access accesses[] = { MMU_READ, MMU_READ, MMU_WRITE, MMU_WRITE, MMU_WRITE,
					       MMU_FETCH };

	for (uint64_t count = 1 + below(4); count > 0 && page < WORLD_USER_PAGES; count--, page++)
		(void)oracle_access(oracle, cpu, n, page, accesses[below(6)],
				    (unsigned)below(ORACLE_WORDS), test_random());
}

/* A piece, or a little more or less than one, that may be had as one leaf. */
static lh_error map_piece(space_oracle *oracle, unsigned n, uint64_t page)
{
	uint64_t slack = below(3);
	lh_map_request request = { .where = LH_OVER, .address = lh_virtual(world_page(&oracle->world, page - slack)),
				   .pages = 512 + 2 * slack - (below(8) == 0), .rights = READ_WRITE };

	return oracle_map(oracle, n, &request, -1);
}

static void do_advised(space_oracle *oracle)
{
	unsigned n = some_space(oracle);
	uint64_t page = corners[1 + below(2)];

	if (below(2) && map_piece(oracle, n, page) != LH_OK)
		return;
	(void)oracle_advise(oracle, n, page, 512, below(8) ? LH_ADVICE_HUGE : LH_ADVICE_NO_HUGE);
	(void)oracle_access(oracle, (unsigned)below(2), n, page + below(512), MMU_WRITE, 0, test_random());
}

/* Of what was there before, or of fresh memory that was written to. */
static void do_collapse(space_oracle *oracle)
{
	unsigned n = some_space(oracle);
	uint64_t page = corners[1 + below(2)], before = below(4);
	uint64_t pages = page + 2 * 512 < WORLD_USER_PAGES && below(4) == 0 ? 2 * 512 : 512;

	if (below(2) && map_piece(oracle, n, page) != LH_OK)
		return;
	for (uint64_t writes = below(4); writes > 0; writes--)
		(void)oracle_access(oracle, (unsigned)below(2), n, page + below(512), MMU_WRITE, 0, test_random());
	(void)oracle_collapse(oracle, n, page - before, pages + before);
}

static void do_life(space_oracle *oracle, const lh_space_limits *limits)
{
	unsigned parent = some_space(oracle), child = (parent + 1 + (unsigned)below(2)) % SPACES;

	if (oracle->space[child])
		oracle_destroy(oracle, child);
	if (below(4) == 0)
		return;
	oracle_make(oracle, child, limits);
	if (below(4) != 0)
		(void)oracle_fork(oracle, parent, child);
}

static void do_object(space_oracle *oracle)
{
	unsigned object = (unsigned)below(ORACLE_OBJECTS);
	uint64_t page = below(ORACLE_OBJECT_PAGES / 2);

	switch (below(8)) {
	case 0:
		oracle_resize(oracle, object, below(ORACLE_OBJECT_PAGES * PAGE));
		break;
	case 1:
		oracle_sync(oracle, object);
		break;
	case 2: case 3: case 4:
		oracle_object_access(oracle, object, page, READ, (unsigned)below(ORACLE_WORDS), 0);
		break;
	default:
		oracle_object_access(oracle, object, page, WRITE, (unsigned)below(ORACLE_WORDS),
				     test_random());
	}
}

/* A CPU may fill its TLB with what it was not asked for. */
static void do_speculate(space_oracle *oracle)
{
	unsigned cpu = (unsigned)below(2);

	world_load(&oracle->world, cpu, below(8) ? (int)some_space(oracle) : -1);
	for (unsigned corner = 0; corner < 4; corner++) {
		uint64_t page = corners[corner] < 12 ? 0 : corners[corner] - 12;

		machine_speculate(oracle->world.machine, cpu,
				  lh_virtual(world_page(&oracle->world, page)), 24);
	}
}

/* Mostly of pages that have some history. */
static void do_pin(space_oracle *oracle)
{
	unsigned number = (unsigned)below(ORACLE_PINS), n = some_space(oracle);
	uint64_t page = page_to_touch(oracle, n), pages = 1 + below(ORACLE_PIN_PAGES);

	if (oracle->pins[number].pinned.pages != 0 && below(4) != 0) {
		oracle_device(oracle, number, below(ORACLE_PIN_PAGES), (unsigned)below(ORACLE_WORDS),
			      test_random());
		return;
	}
	oracle_unpin(oracle, number);
	if (pages > WORLD_USER_PAGES - page)
		pages = WORLD_USER_PAGES - page;
	(void)oracle_pin(oracle, number, n, page, below(3) ? 1 : pages, below(3) ? WRITE : READ);
}

/* Often whole pieces, to a place that lies alike to tables or does not. */
static void do_remap(space_oracle *oracle)
{
	static const uint32_t flags[] = { LH_REMAP_STAY | LH_REMAP_MOVE, LH_REMAP_MOVE, LH_REMAP_STAY,
					  LH_REMAP_MOVE | LH_REMAP_KEEP, LH_REMAP_MOVE, 0 };
	unsigned n = some_space(oracle);
	bool whole = below(3) == 0;
	uint64_t page = whole ? corners[1 + below(2)] - below(2) * below(4) : page_to_touch(oracle, n);
	uint64_t pages = whole ? 512 + below(3) : some_pages(page), to = some_page();
	lh_remap_request request = { .flags = flags[below(below(16) ? 5 : 6)] };

	if (whole && below(4))
		to = page >= 536 ? page - 512 : page + 512;
	if (pages > WORLD_USER_PAGES - page)
		pages = WORLD_USER_PAGES - page;
	if (below(12) == 0)
		pages = 0;
	choose_place(oracle, &request.to);
	if (whole && below(4))
		request.to.where = LH_OVER;
	request.to.pages = below(2) ? pages : 1 + below(2 * pages + 1);
	(void)oracle_remap(oracle, n, page, pages, &request, to);
}

static void step(space_oracle *oracle, const lh_space_limits *limits)
{
	uint64_t choice = below(100);

	if (below(10) == 0)
		do_pin(oracle);
	else if (below(12) == 0)
		do_remap(oracle);
	else if (choice < 15)
		do_map(oracle);
	else if (choice < 34)
		do_range(oracle);
	else if (choice < 75)
		do_access(oracle);
	else if (choice < 83)
		do_object(oracle);
	else if (choice < 86)
		do_advised(oracle);
	else if (choice < 88)
		do_collapse(oracle);
	else if (choice < 93)
		do_speculate(oracle);
	else
		do_life(oracle, limits);
}

static void steps(space_oracle *oracle, unsigned count, const lh_space_limits *limits)
{
	oracle_make(oracle, 0, limits);
	for (unsigned n = 1; n <= count; n++) {
		step(oracle, limits);
		oracle_compare(oracle);
		world_check_quickly(&oracle->world);
		if (n % 64 == 0)
			world_check(&oracle->world);
	}
}

static void run(unsigned count, const lh_space_limits *limits, lh_charge_policy policy)
{
	space_oracle oracle;

	oracle_open(&oracle, &(world_setup){ .frames = 6000, .policy = policy });
	steps(&oracle, count, limits);
	CHECK(limits->pages != 0 || (oracle.huge >= 8 && oracle.collapsed >= 4));
	CHECK(limits->pages != 0 || world_statistics(&oracle.world).faults_opened >= 4);
	oracle_close(&oracle);
}

TEST(random_operations_agree_with_the_oracle)
{
	run(2000, &(lh_space_limits){ .stack_pages = 40 }, LH_CHARGE_STRICT);
}

TEST(random_operations_agree_with_the_oracle_under_limits)
{
	run(1200, &(lh_space_limits){ .regions = 9, .pages = 500, .stack_pages = 20 },
	    LH_CHARGE_HEURISTIC);
}

/* Spaces 0 and 1 have an account together, below the one that space 2 has too; so have two objects. */
TEST(random_operations_agree_with_the_oracle_under_accounts)
{
	lh_account all, two, shown, few;
	space_oracle oracle;

	oracle_open(&oracle, &(world_setup){ .frames = 6000 });
	CHECK_OK(lh_account_open(&all, oracle.world.frames, NULL, 700));
	CHECK_OK(lh_account_open(&two, oracle.world.frames, &all, 500));
	CHECK_OK(lh_account_open(&shown, oracle.world.frames, &all, 24));
	CHECK_OK(lh_account_open(&few, oracle.world.frames, &shown, 2));
	oracle_renew_object(&oracle, 0, &few);
	oracle_renew_object(&oracle, 2, &shown);
	oracle.world.account[0] = oracle.world.account[1] = &two;
	oracle.world.account[2] = &all;
	steps(&oracle, 1200, &(lh_space_limits){ .stack_pages = 40 });
	for (unsigned n = 0; n < SPACES; n++)
		if (oracle.space[n])
			oracle_destroy(&oracle, n);
	for (unsigned n = 0; n < ORACLE_PINS; n++)
		oracle_unpin(&oracle, n);
	CHECK(oracle.limited != 0);
	oracle_renew_object(&oracle, 0, NULL);
	oracle_renew_object(&oracle, 2, NULL);
	lh_account_close(&few);
	lh_account_close(&shown);
	lh_account_close(&two);
	lh_account_close(&all);
	oracle_close(&oracle);
}
