/* SPDX-License-Identifier: BSD-2-Clause */
/* Huge leaves of private anonymous memory. Pages 24 to 535 of the user range are one piece, the next 512 another. */
#include "space/space.h"
#include "world/injection.h"
#include "world/oracle.h"

#define PIECE 24
#define PAGES UINT64_C(512)

static void open_with(test_world *world, const world_setup *setup)
{
	world_open(world, setup);
	world_make(world, 0);
}

static void advise(test_world *world, uint64_t page, uint64_t pages, lh_advice advice)
{
	CHECK_OK(lh_space_advise(world->space[0], world_range(world, page, pages), advice));
}

/* One advised region that has the first piece and 10 pages on either side. */
static void open_advised(test_world *world)
{
	open_with(world, &(world_setup){ .frames = 6000 });
	world_map(world, 0, PIECE - 10, PAGES + 20, READ_WRITE);
	advise(world, PIECE - 10, PAGES + 20, LH_ADVICE_HUGE);
}

static bool is_huge(test_world *world, unsigned n, uint64_t page)
{
	lh_leaf leaf = world_leaf(world, n, page);

	return leaf.kind != LH_LEAF_EMPTY && leaf.level == 1;
}

static void poke(test_world *world, unsigned n, uint64_t page, uint64_t value)
{
	world_poke(world, n, world_page(world, page), value);
}

static uint64_t peek(test_world *world, unsigned n, uint64_t page)
{
	return world_peek(world, n, world_page(world, page));
}

/* The first piece is huge, and each page of it says which it is. */
static void open_huge(test_world *world)
{
	open_advised(world);
	for (uint64_t page = PIECE; page < PIECE + PAGES; page++)
		poke(world, 0, page, page);
	CHECK(is_huge(world, 0, PIECE + 5));
}

/* And another space shares it. */
static void open_forked(test_world *world)
{
	open_huge(world);
	world_make(world, 1);
	CHECK_OK(lh_space_fork(world->space[0], world->space[1]));
}

/* All pages of the piece say so still, but those from one on. */
static void check_contents(test_world *world, unsigned n, uint64_t without, uint64_t count)
{
	for (uint64_t page = PIECE; page < PIECE + PAGES; page++)
		if (page - without >= count)
			CHECK_EQUAL(peek(world, n, page), page);
}

TEST(a_write_to_advised_memory_brings_the_whole_piece)
{
	test_world world;
	lh_space_usage usage;

	open_advised(&world);
	poke(&world, 0, PIECE + 100, 7);
	CHECK(is_huge(&world, 0, PIECE));
	CHECK_EQUAL(world_counters(&world, 0).resident, PAGES);
	CHECK_EQUAL(world_statistics(&world).faults_huge, 1);
	CHECK_EQUAL(peek(&world, 0, PIECE + 511), 0);
	if (world_faults_once(&world))
		CHECK_EQUAL(world_statistics(&world).faults, 1);
	poke(&world, 0, PIECE - 1, 7);
	lh_space_measure(world.space[0], world_range(&world, 0, PIECE + 10), &usage);
	CHECK_EQUAL(usage.resident, 11);
	CHECK_EQUAL(usage.huge, 10);
	CHECK_EQUAL(world_statistics(&world).frames.committed, PAGES + 20);
	world_check(&world);
	world_close(&world);
}

TEST(without_advice_or_where_it_is_forbidden_or_a_page_is_there_a_page_comes)
{
	test_world world;

	open_with(&world, &(world_setup){ .frames = 6000 });
	world_map(&world, 0, PIECE, 2 * PAGES, READ_WRITE);
	poke(&world, 0, PIECE, 1);
	CHECK(!is_huge(&world, 0, PIECE));
	advise(&world, PIECE, 2 * PAGES, LH_ADVICE_HUGE);
	poke(&world, 0, PIECE + 1, 1);
	CHECK(!is_huge(&world, 0, PIECE + 1));
	CHECK_EQUAL(peek(&world, 0, PIECE + PAGES), 0); /* the zero page is a page */
	poke(&world, 0, PIECE + PAGES + 1, 1);
	CHECK(!is_huge(&world, 0, PIECE + PAGES));
	CHECK_OK(lh_space_discard(world.space[0], world_range(&world, PIECE, 2 * PAGES)));
	advise(&world, PIECE, 1, LH_ADVICE_NO_HUGE);
	poke(&world, 0, PIECE + 1, 1);
	CHECK(!is_huge(&world, 0, PIECE + 1)); /* two regions have the piece */
	poke(&world, 0, PIECE + PAGES + 1, 1);
	CHECK(is_huge(&world, 0, PIECE + PAGES));
	world_close(&world);
}

TEST(the_policy_has_the_last_word_on_what_is_not_advised)
{
	test_world world;

	open_with(&world, &(world_setup){ .frames = 6000, .huge = LH_HUGE_ALWAYS });
	world_map(&world, 0, PIECE, 2 * PAGES, READ_WRITE);
	advise(&world, PIECE + PAGES, PAGES, LH_ADVICE_NO_HUGE);
	poke(&world, 0, PIECE, 1);
	poke(&world, 0, PIECE + PAGES, 1);
	CHECK(is_huge(&world, 0, PIECE));
	CHECK(!is_huge(&world, 0, PIECE + PAGES));
	world_close(&world);
	open_with(&world, &(world_setup){ .frames = 6000, .huge = LH_HUGE_NEVER });
	world_map(&world, 0, PIECE, PAGES, READ_WRITE);
	advise(&world, PIECE, PAGES, LH_ADVICE_HUGE);
	poke(&world, 0, PIECE, 1);
	CHECK(!is_huge(&world, 0, PIECE));
	world_close(&world);
}

TEST(a_page_that_is_pinned_is_none_of_a_huge_leaf)
{
	lh_frame_number frame = lh_frame(LH_NO_FRAME), before;
	lh_pinned pinned;
	test_world world;
	uint64_t *device;

	open_huge(&world);
	before = lh_frame(world_leaf(&world, 0, PIECE).frame.value + 9);
	CHECK_OK(lh_space_pin(world.space[0], world_range(&world, PIECE + 9, 1), LH_RIGHT_WRITE, LH_PIN_LONG, &frame,
			      &pinned));
	world.promised++;
	CHECK(!is_huge(&world, 0, PIECE + 9));
	CHECK_EQUAL(frame.value, before.value);
	world_make(&world, 1);
	CHECK_OK(lh_space_fork(world.space[0], world.space[1]));
	device = lh_frame_pointer(world.frames, frame);
	*device = 77;
	CHECK_EQUAL(peek(&world, 0, PIECE + 9), 77);
	CHECK_EQUAL(peek(&world, 1, PIECE + 9), PIECE + 9);
	check_contents(&world, 0, PIECE + 9, 1);
	check_contents(&world, 1, PIECE, 0);
	world.promised--;
	lh_space_unpin(&pinned);
	world_check(&world);
	world_close(&world);
}

TEST(a_page_that_is_pinned_first_comes_alone)
{
	lh_frame_number frame = lh_frame(LH_NO_FRAME);
	lh_pinned pinned;
	test_world world;

	open_advised(&world);
	CHECK_OK(lh_space_pin(world.space[0], world_range(&world, PIECE + 9, 1), LH_RIGHT_WRITE, LH_PIN_SHORT, &frame,
			      &pinned));
	world.promised++;
	CHECK_EQUAL(world_counters(&world, 0).resident, 1);
	world.promised--;
	lh_space_unpin(&pinned);
	world_close(&world);
}

TEST(where_no_frames_lie_in_a_row_a_page_comes)
{
	test_world world;

	open_with(&world, &(world_setup){ .frames = 2000, .policy = LH_CHARGE_HEURISTIC });
	world_map(&world, 0, PIECE, 2 * PAGES, READ_WRITE);
	advise(&world, PIECE, 2 * PAGES, LH_ADVICE_HUGE);
	lh_frames_fail_at(world.frames, 1);
	poke(&world, 0, PIECE, 1);
	lh_frames_fail_at(world.frames, 0);
	CHECK(!is_huge(&world, 0, PIECE));
	CHECK_EQUAL(world_counters(&world, 0).resident, 1);
	world_close(&world);
}

TEST(a_huge_leaf_goes_whole_where_all_of_it_goes)
{
	test_world world;
	uint64_t tables;

	open_huge(&world);
	tables = world_counters(&world, 0).tables;
	CHECK_OK(lh_space_protect(world.space[0], world_range(&world, PIECE, PAGES), READ));
	CHECK(is_huge(&world, 0, PIECE));
	CHECK_EQUAL(world_write(&world, 0, world_page(&world, PIECE + 3), 1), LH_FAULT_NO_ACCESS);
	CHECK_OK(lh_space_protect(world.space[0], world_range(&world, PIECE, PAGES), READ_WRITE));
	poke(&world, 0, PIECE + 3, PIECE + 3);
	CHECK(is_huge(&world, 0, PIECE));
	check_contents(&world, 0, 0, 0);
	CHECK_OK(lh_space_discard(world.space[0], world_range(&world, PIECE, PAGES)));
	CHECK_EQUAL(world_counters(&world, 0).resident, 0);
	poke(&world, 0, PIECE + 9, 1);
	CHECK(is_huge(&world, 0, PIECE));
	world_unmap(&world, 0, PIECE - 10, PAGES + 20);
	CHECK_EQUAL(world_counters(&world, 0).resident, 0);
	CHECK(world_counters(&world, 0).tables < tables);
	world_close(&world);
}

/* What a part of a huge leaf is for. */
static lh_error unmap_part(test_world *world, uint64_t page, uint64_t pages)
{
	return lh_space_unmap(world->space[0], world_range(world, page, pages));
}

static lh_error protect_part(test_world *world, uint64_t page, uint64_t pages)
{
	return lh_space_protect(world->space[0], world_range(world, page, pages), READ);
}

static lh_error add_to_part(test_world *world, uint64_t page, uint64_t pages)
{
	return lh_space_protect(world->space[0], world_range(world, page, pages), LH_RIGHTS_ALL);
}

static lh_error discard_part(test_world *world, uint64_t page, uint64_t pages)
{
	return lh_space_discard(world->space[0], world_range(world, page, pages));
}

static lh_error advise_part(test_world *world, uint64_t page, uint64_t pages)
{
	return lh_space_advise(world->space[0], world_range(world, page, pages), LH_ADVICE_NO_HUGE);
}

static lh_error map_over_part(test_world *world, uint64_t page, uint64_t pages)
{
	lh_map_request request = { .where = LH_OVER, .pages = pages, .rights = READ_WRITE, .tag = 1,
				   .address = lh_virtual(world_page(world, page)) };
	lh_virtual_range placed;

	return lh_space_map(world->space[0], &request, &placed);
}

static void try_part(lh_error (*take)(test_world *, uint64_t, uint64_t), bool goes, uint64_t page,
		     uint64_t pages)
{
	test_world world;

	open_huge(&world);
	world_load(&world, 1, 0);
	CHECK_OK(take(&world, page, pages));
	CHECK(!is_huge(&world, 0, PIECE + 300));
	world_check(&world);
	CHECK_EQUAL(world_counters(&world, 0).resident, goes ? PIECE + PAGES - (page + pages) + page - PIECE
							     : PAGES);
	check_contents(&world, 0, page, goes ? pages : 0);
	world_close(&world);
}

TEST(a_part_of_a_huge_leaf_is_taken_and_the_rest_stays)
{
	static const uint64_t parts[][2] = { { PIECE, 1 }, { PIECE + 100, 3 }, { PIECE + 500, 12 }, { PIECE, 511 } };

	for (unsigned i = 0; i < 4; i++) {
		try_part(unmap_part, true, parts[i][0], parts[i][1]);
		try_part(discard_part, true, parts[i][0], parts[i][1]);
		try_part(map_over_part, true, parts[i][0], parts[i][1]);
		try_part(protect_part, false, parts[i][0], parts[i][1]);
		try_part(add_to_part, false, parts[i][0], parts[i][1]);
		try_part(advise_part, false, parts[i][0], parts[i][1]);
	}
}

TEST(two_huge_leaves_are_split_where_a_range_has_an_end_in_each)
{
	test_world world;

	open_with(&world, &(world_setup){ .frames = 6000 });
	world_map(&world, 0, PIECE, 2 * PAGES, READ_WRITE);
	advise(&world, PIECE, 2 * PAGES, LH_ADVICE_HUGE);
	poke(&world, 0, PIECE, 1);
	poke(&world, 0, PIECE + 2 * PAGES - 1, 2);
	CHECK(is_huge(&world, 0, PIECE) && is_huge(&world, 0, PIECE + PAGES));
	world_unmap(&world, 0, PIECE + 500, 100);
	CHECK_EQUAL(world_counters(&world, 0).resident, 2 * PAGES - 100);
	CHECK_EQUAL(peek(&world, 0, PIECE), 1);
	CHECK_EQUAL(peek(&world, 0, PIECE + 2 * PAGES - 1), 2);
	world_close(&world);
}

TEST(fork_shares_a_huge_leaf_and_who_writes_splits_his_own)
{
	test_world world;

	open_huge(&world);
	world_make(&world, 1);
	world_load(&world, 0, 0);
	world_load(&world, 1, 1);
	CHECK_OK(lh_space_fork(world.space[0], world.space[1]));
	CHECK(is_huge(&world, 0, PIECE) && is_huge(&world, 1, PIECE));
	CHECK_EQUAL(world_holders(&world, world_frame(&world, 1, PIECE + 77)), 2);
	check_contents(&world, 1, 0, 0);
	world_check(&world);
	poke(&world, 1, PIECE + 7, 1000);
	CHECK(is_huge(&world, 0, PIECE) && !is_huge(&world, 1, PIECE));
	CHECK_EQUAL(world_statistics(&world).faults_split, 1);
	check_contents(&world, 0, 0, 0);
	check_contents(&world, 1, PIECE + 7, 1);
	world_check(&world);
	poke(&world, 0, PIECE + 7, 2000);
	CHECK(!is_huge(&world, 0, PIECE));
	CHECK_EQUAL(peek(&world, 1, PIECE + 7), 1000);
	CHECK_EQUAL(world_frame_counters(&world).used[LH_FRAME_ANONYMOUS], PAGES + 1);
	world_close(&world);
}

TEST(the_last_who_has_a_huge_leaf_writes_to_it_as_it_is)
{
	test_world world;

	open_forked(&world);
	world_destroy(&world, 1);
	poke(&world, 0, PIECE + 7, 7);
	CHECK(is_huge(&world, 0, PIECE));
	CHECK_EQUAL(world_statistics(&world).faults_reused, 1);
	CHECK_EQUAL(world_statistics(&world).faults_split, 0);
	check_contents(&world, 0, PIECE + 7, 1);
	world_close(&world);
}

/* CVE-2017-1000405, CVE-2020-29374: one frame is its own, the others are not. */
TEST(b3_a_huge_leaf_is_written_in_place_only_if_none_of_its_frames_is_shared)
{
	test_world world;

	open_forked(&world);
	CHECK_OK(lh_space_unmap(world.space[1], world_range(&world, PIECE, 511)));
	CHECK_EQUAL(world_holders(&world, world_frame(&world, 0, PIECE)), 1);
	poke(&world, 0, PIECE + 511, 1000);
	CHECK_EQUAL(peek(&world, 1, PIECE + 511), PIECE + 511);
	world_check(&world);
	world_close(&world);
}

TEST(who_cannot_have_a_table_for_the_rest_is_refused_and_nothing_changes)
{
	test_world world;
	lh_space_counters before, after;

	open_huge(&world);
	for (unsigned n = 1; n <= 2; n++) {
		before = world_counters(&world, 0);
		lh_frames_fail_at(world.frames, n);
		CHECK_ERROR(n == 1 ? discard_part(&world, PIECE + 3, 4) : unmap_part(&world, PIECE + 3, 4),
			    LH_NO_MEMORY);
		lh_frames_fail_at(world.frames, 0);
		after = world_counters(&world, 0);
		CHECK_EQUAL(after.tables, before.tables);
		CHECK_EQUAL(after.regions, before.regions);
		CHECK(is_huge(&world, 0, PIECE));
	}
	world_check(&world);
	world_close(&world);
}

TEST(huge_leaves_come_and_go_until_memory_is_as_it_was)
{
	test_world world;
	uint64_t free;

	open_advised(&world);
	free = world_frame_counters(&world).free;
	for (unsigned round = 0; round < 20; round++) {
		poke(&world, 0, PIECE + round, 1);
		if (round % 2)
			CHECK_OK(discard_part(&world, PIECE + 9, 7));
		CHECK_OK(lh_space_discard(world.space[0], world_range(&world, PIECE - 10, PAGES + 20)));
		CHECK_EQUAL(world_frame_counters(&world).free, free);
	}
	CHECK_EQUAL(world_statistics(&world).faults_huge, 20);
	world_close(&world);
}

TEST(advice_is_refused_for_holes_and_what_is_no_advice)
{
	test_world world;
	lh_region_info info;

	open_with(&world, &(world_setup){ 0 });
	world_map(&world, 0, 10, 10, READ_WRITE);
	CHECK_ERROR(lh_space_advise(world.space[0], world_range(&world, 9, 3), LH_ADVICE_HUGE), LH_NOT_MAPPED);
	CHECK_ERROR(lh_space_advise(world.space[0], world_range(&world, 10, 3), (lh_advice)3), LH_INVALID);
	CHECK_EQUAL(world_counters(&world, 0).regions, 1);
	advise(&world, 12, 3, LH_ADVICE_HUGE);
	CHECK_EQUAL(world_counters(&world, 0).regions, 3);
	CHECK_OK(lh_space_query(world.space[0], lh_virtual(world_page(&world, 12)), &info));
	CHECK_EQUAL(info.range.pages, 3);
	CHECK_EQUAL(info.flags & (LH_REGION_HUGE | LH_REGION_NO_HUGE), LH_REGION_HUGE);
	advise(&world, 12, 3, LH_ADVICE_NORMAL);
	CHECK_EQUAL(world_counters(&world, 0).regions, 1);
	world_close(&world);
}
