/* SPDX-License-Identifier: BSD-2-Clause */
/* Remapping. Pages 24 to 535 of the user range are what one leaf table spans, the next 512 another's. */
#include "adversary.h"
#include "space/space.h"
#include "world/file.h"
#include "world/oracle.h"

#define PIECE 24
#define PAGES UINT64_C(512)

static lh_error remap(test_world *world, uint64_t page, uint64_t pages, uint32_t flags, lh_map_request to)
{
	lh_remap_request request = { .range = world_range(world, page, pages), .flags = flags, .to = to };
	lh_virtual_range placed = { lh_virtual(0), 0 };
	lh_error error;

	request.to.address = lh_virtual(world_page(world, to.address.value));
	error = lh_space_remap(world->space[0], &request, &placed);
	world_settle(world);
	return error;
}

/* => where it is. */
static uint64_t move(test_world *world, uint64_t page, uint64_t pages, uint64_t to, uint64_t length)
{
	CHECK_OK(remap(world, page, pages, LH_REMAP_MOVE,
		       (lh_map_request){ .where = LH_OVER, .address = { to }, .pages = length }));
	return to;
}

static void fill(test_world *world, uint64_t page, uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++)
		world_poke(world, 0, world_page(world, page + i), 1000 + i);
}

static void check_filled(test_world *world, uint64_t page, uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++)
		CHECK_EQUAL(world_peek(world, 0, world_page(world, page + i)), 1000 + i);
}

static void open_filled(test_world *world, uint64_t page, uint64_t pages)
{
	world_open(world, &(world_setup){ .frames = 6000 });
	world_make(world, 0);
	world_map(world, 0, page, pages, READ_WRITE);
	fill(world, page, pages);
}

TEST(pages_move_as_they_are_and_nothing_is_faulted_in_again)
{
	test_world world;
	uint64_t faults;
	lh_frame_number frame;

	open_filled(&world, 30, 6);
	world_load(&world, 1, 0);
	frame = world_frame(&world, 0, 33);
	faults = world_counters(&world, 0).faults;
	move(&world, 30, 6, 100, 6);
	CHECK_EQUAL(world_frame(&world, 0, 103).value, frame.value);
	CHECK_EQUAL(world_holders(&world, frame), 1);
	CHECK_EQUAL(world_counters(&world, 0).resident, 6);
	check_filled(&world, 100, 6);
	fill(&world, 100, 6);
	if (world_faults_once(&world))
		CHECK_EQUAL(world_counters(&world, 0).faults, faults);
	CHECK_EQUAL(world_read(&world, 0, world_page(&world, 33), &(uint64_t){ 0 }), LH_FAULT_NOT_MAPPED);
	CHECK_EQUAL(world_counters(&world, 0).charged, 6);
	world_check(&world);
	world_close(&world);
}

/* A table of which the range has every page goes as it is; what lies beside it does not. */
static void move_piece(uint64_t before, uint64_t behind)
{
	test_world world;
	lh_frame_number frame;
	uint64_t tables;

	world_open(&world, &(world_setup){ .frames = 6000, .user = { lh_virtual(WORLD_USER), PIECE + 5 * PAGES } });
	world_make(&world, 0);
	world_map(&world, 0, PIECE - 10, PAGES + 20, READ_WRITE);
	fill(&world, PIECE - before, PAGES + before + behind);
	tables = world_counters(&world, 0).tables;
	frame = world_frame(&world, 0, PIECE + 7);
	move(&world, PIECE - before, PAGES + before + behind, PIECE - before + 2 * PAGES, PAGES + before + behind);
	CHECK_EQUAL(world_frame(&world, 0, PIECE + 2 * PAGES + 7).value, frame.value);
	check_filled(&world, PIECE + 2 * PAGES - before, PAGES + before + behind);
	CHECK(world_counters(&world, 0).tables <= tables + 2);
	world_check(&world);
	/* And to where no table lies like it. */
	move(&world, PIECE - before + 2 * PAGES, PAGES, 1, PAGES);
	check_filled(&world, 1, PAGES);
	world_check(&world);
	world_close(&world);
}

TEST(whole_leaf_tables_move_by_their_upper_entry)
{
	move_piece(0, 0);
	move_piece(3, 5);
}

TEST(two_ranges_that_overlap_are_refused)
{
	test_world world;

	open_filled(&world, 30, 6);
	for (uint64_t to = 25; to < 36; to++)
		for (lh_where where = LH_AT; where <= LH_OVER; where++)
			CHECK_ERROR(remap(&world, 30, 6, LH_REMAP_MOVE,
					  (lh_map_request){ .where = where, .address = { to }, .pages = 6 }),
				    LH_INVALID);
	check_filled(&world, 30, 6);
	move(&world, 30, 6, 36, 6);
	check_filled(&world, 36, 6);
	move(&world, 36, 6, 30, 6);
	check_filled(&world, 30, 6);
	world_check(&world);
	world_close(&world);
}

/* B11: a length of nothing; and what belongs to two regions, or to none. */
TEST(b11_an_empty_length_or_a_range_of_two_regions_is_refused)
{
	test_world world;
	lh_map_request anywhere = { .pages = 3 };

	open_filled(&world, 30, 6);
	world_map(&world, 0, 36, 2, READ);
	CHECK_ERROR(remap(&world, 30, 6, LH_REMAP_MOVE, (lh_map_request){ .pages = 0 }), LH_INVALID);
	CHECK_ERROR(remap(&world, 30, 6, 0, anywhere), LH_INVALID);
	CHECK_ERROR(remap(&world, 30, 6, 64, anywhere), LH_INVALID);
	CHECK_ERROR(remap(&world, 30, 6, LH_REMAP_MOVE | LH_REMAP_KEEP, anywhere), LH_INVALID);
	CHECK_ERROR(remap(&world, 30, 3, LH_REMAP_STAY | LH_REMAP_KEEP, anywhere), LH_INVALID);
	CHECK_ERROR(remap(&world, 30, 0, LH_REMAP_MOVE, anywhere), LH_INVALID); /* private */
	CHECK_ERROR(remap(&world, 30, 7, LH_REMAP_MOVE, anywhere), LH_NOT_MAPPED);
	CHECK_ERROR(remap(&world, 20, 2, LH_REMAP_STAY, anywhere), LH_NOT_MAPPED);
	CHECK_ERROR(remap(&world, 30, 4, LH_REMAP_STAY, (lh_map_request){ .pages = 5 }), LH_NO_HOLE);
	CHECK_ERROR(remap(&world, 30, 6, LH_REMAP_STAY, (lh_map_request){ .pages = 7 }), LH_NO_HOLE);
	check_filled(&world, 30, 6);
	world_check(&world);
	world_close(&world);
}

TEST(what_is_kept_stays_mapped_and_is_empty)
{
	test_world world;

	open_filled(&world, 30, 6);
	CHECK_OK(remap(&world, 30, 6, LH_REMAP_MOVE | LH_REMAP_KEEP,
		       (lh_map_request){ .where = LH_AT, .address = { 50 }, .pages = 6 }));
	check_filled(&world, 50, 6);
	for (uint64_t page = 30; page < 36; page++)
		CHECK_EQUAL(world_peek(&world, 0, world_page(&world, page)), 0);
	CHECK_EQUAL(world_counters(&world, 0).charged, 12);
	world_check(&world);
	world_close(&world);
}

TEST(an_object_is_shown_once_more)
{
	test_world world;
	lh_object *object;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	object = world_object(&world, 8 * PAGE, false);
	world_map_object(&world, 0, 30, 8, READ_WRITE, LH_REGION_SHARED, object, 0);
	fill(&world, 30, 8);
	CHECK_OK(remap(&world, 32, 0, LH_REMAP_MOVE,
		       (lh_map_request){ .where = LH_AT, .address = { 60 }, .pages = 6 }));
	for (uint64_t i = 0; i < 6; i++)
		CHECK_EQUAL(world_peek(&world, 0, world_page(&world, 60 + i)), 1002 + i);
	/* A truncation finds all of them. */
	move(&world, 60, 6, 100, 6);
	CHECK_OK(lh_object_resize(object, PAGE));
	world_settle(&world);
	CHECK_EQUAL(world_read(&world, 0, world_page(&world, 100), &(uint64_t){ 0 }), LH_FAULT_BUS);
	CHECK_EQUAL(world_read(&world, 0, world_page(&world, 31), &(uint64_t){ 0 }), LH_FAULT_BUS);
	lh_object_drop(object);
	world_check(&world);
	world_close(&world);
}

/* A huge leaf goes as one where the new place is aligned, as pages elsewhere; pins and copies go with it. */
static void move_huge(uint64_t to, bool stays_huge, bool forked)
{
	test_world world;
	lh_leaf leaf;

	world_open(&world, &(world_setup){ .frames = 6000 });
	world_make(&world, 0);
	world_map(&world, 0, PIECE, PAGES, READ_WRITE);
	CHECK_OK(lh_space_advise(world.space[0], world_range(&world, PIECE, PAGES), LH_ADVICE_HUGE));
	fill(&world, PIECE, PAGES);
	CHECK_EQUAL(world_leaf(&world, 0, PIECE).level, 1);
	if (forked) {
		world_make(&world, 1);
		CHECK_OK(lh_space_fork(world.space[0], world.space[1]));
	}
	move(&world, PIECE, PAGES, to, PAGES);
	leaf = world_leaf(&world, 0, to);
	CHECK_EQUAL(leaf.level, stays_huge ? 1 : 0);
	check_filled(&world, to, PAGES);
	fill(&world, to, PAGES);
	world_check(&world);
	if (forked)
		CHECK_EQUAL(world_peek(&world, 1, world_page(&world, PIECE + 9)), 1009);
	world_close(&world);
}

TEST(a_huge_leaf_moves_as_one_where_both_places_are_aligned)
{
	move_huge(PIECE + PAGES, true, false);
	move_huge(PIECE + PAGES, true, true);
}

TEST(a_huge_leaf_moves_as_pages_elsewhere)
{
	move_huge(PIECE + PAGES + 3, false, false);
	move_huge(PIECE + PAGES + 3, false, true);
}

TEST(a_pinned_page_keeps_its_frame)
{
	test_world world;
	lh_frame_number frames[2];
	lh_pinned pinned;

	open_filled(&world, 30, 6);
	CHECK_OK(lh_space_pin(world.space[0], world_range(&world, 31, 2), WRITE, LH_PIN_SHORT, frames, &pinned));
	move(&world, 30, 6, 400, 6);
	*(uint64_t *)lh_frame_pointer(world.frames, frames[0]) = 77;
	CHECK_EQUAL(world_peek(&world, 0, world_page(&world, 401)), 77);
	world_poke(&world, 0, world_page(&world, 402), 78);
	CHECK_EQUAL(*(uint64_t *)lh_frame_pointer(world.frames, frames[1]), 78);
	lh_space_unpin(&pinned);
	world_check(&world);
	world_close(&world);
}

/* Growth is charged before, and what is too much paid back; an account says no and nothing has changed. */
TEST(growth_is_charged_and_what_moves_is_not_charged_twice)
{
	test_world world;
	lh_account account;

	world_open(&world, &(world_setup){ 0 });
	CHECK_OK(lh_account_open(&account, world.frames, NULL, 10));
	world.account[0] = &account;
	world_make(&world, 0);
	world_map(&world, 0, 30, 8, READ_WRITE);
	fill(&world, 30, 8);
	move(&world, 30, 8, 50, 8); /* 16 would be too many */
	move(&world, 50, 8, 70, 10);
	CHECK_EQUAL(account.charged, 10);
	CHECK_ERROR(remap(&world, 70, 10, LH_REMAP_STAY | LH_REMAP_MOVE, (lh_map_request){ .pages = 11 }), LH_LIMIT);
	CHECK_ERROR(remap(&world, 70, 10, LH_REMAP_MOVE | LH_REMAP_KEEP, (lh_map_request){ .pages = 10 }), LH_LIMIT);
	move(&world, 70, 10, 30, 4);
	CHECK_EQUAL(account.charged, 4);
	check_filled(&world, 30, 4);
	world_check(&world);
	world_destroy(&world, 0);
	lh_account_close(&account);
	world_close(&world);
}

/* --- B4: nobody reaches a page at both places --- */

struct watching {
	test_world *world;
	unsigned flushes, early;
};

static void watch(void *context, unsigned cpu, lh_virtual_range range)
{
	struct watching *watching = context;
	bool is_old = lh_virtual_range_contains(range, lh_virtual(world_page(watching->world, 33)));

	(void)cpu;
	watching->flushes += is_old;
	watching->early += is_old && world_leaf(watching->world, 0, 103).kind != LH_LEAF_EMPTY;
}

TEST(b4_a_page_is_at_its_new_place_only_after_the_flush_of_the_old_one)
{
	test_world world;
	struct watching watching = { &world, 0, 0 };

	open_filled(&world, 30, 6);
	world_load(&world, 0, 0);
	world_load(&world, 1, 0);
	CHECK_EQUAL(world_access(&world, 1, 0, world_page(&world, 33), MMU_READ, &(uint64_t){ 0 }, 8), LH_FAULT_OK);
	world.machine->hooks.context = &watching;
	world.machine->hooks.flush = watch;
	move(&world, 30, 6, 100, 6);
	world.machine->hooks.flush = NULL;
	CHECK(watching.flushes >= 2);
	CHECK_EQUAL(watching.early, 0);
	world_check(&world);
	world_close(&world);
}
