/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages put together to huge leaves. Pages 24 to 535 of the user range are one piece, the next 512 another. What
 * happens at the same time: tests/interleave/collapse.c.
 */
#include "space/space.h"
#include "world/injection.h"
#include "world/oracle.h"

#define PIECE UINT64_C(24)
#define PAGES UINT64_C(512)

static void open_with(test_world *world, uint64_t frames)
{
	world_open(world, &(world_setup){ .frames = frames });
	world_make(world, 0);
}

static bool is_huge(test_world *world, unsigned n, uint64_t page)
{
	lh_leaf leaf = world_leaf(world, n, page);

	return leaf.kind == LH_LEAF_PRESENT && leaf.level == 1;
}

static void poke(test_world *world, unsigned n, uint64_t page, uint64_t value)
{
	world_poke(world, n, world_page(world, page), value);
}

static uint64_t peek(test_world *world, unsigned n, uint64_t page)
{
	return world_peek(world, n, world_page(world, page));
}

static lh_error collapse(test_world *world, uint64_t page, uint64_t pages)
{
	lh_error error = lh_space_collapse(world->space[0], world_range(world, page, pages));

	world_settle(world);
	return error;
}

static lh_error collapse_piece(test_world *world)
{
	return collapse(world, PIECE, PAGES);
}

/* Every third page has been written to, the one behind read; of the others none is there. */
static void touch_some(test_world *world, uint64_t piece)
{
	for (uint64_t page = piece; page + 1 < piece + PAGES; page += 3) {
		poke(world, 0, page, page);
		CHECK_EQUAL(peek(world, 0, page + 1), 0);
	}
}

static void check_some(test_world *world, unsigned n)
{
	for (uint64_t page = PIECE; page < PIECE + PAGES; page++)
		CHECK_EQUAL(peek(world, n, page), (page - PIECE) % 3 == 0 && page + 1 < PIECE + PAGES ? page : 0);
}

/* One region around the first piece, with pages here and there. */
static void open_touched(test_world *world)
{
	open_with(world, 6000);
	world_map(world, 0, PIECE - 10, PAGES + 20, READ_WRITE);
	touch_some(world, PIECE);
}

/* The piece has one leaf for each of its frames, which lie side by side. */
static void open_split(test_world *world)
{
	open_with(world, 6000);
	world_map(world, 0, PIECE, PAGES, READ_WRITE);
	CHECK_OK(lh_space_advise(world->space[0], world_range(world, PIECE, PAGES), LH_ADVICE_HUGE));
	poke(world, 0, PIECE, 7);
	CHECK_OK(lh_space_protect(world->space[0], world_range(world, PIECE + 3, 1), READ));
	CHECK_OK(lh_space_protect(world->space[0], world_range(world, PIECE + 3, 1), READ_WRITE));
	poke(world, 0, PIECE + 3, 9);
	CHECK(!is_huge(world, 0, PIECE));
}

TEST(pages_that_are_put_together_say_what_they_said)
{
	lh_space_usage usage;
	test_world world;
	uint64_t tables;

	open_touched(&world);
	tables = world_counters(&world, 0).tables;
	CHECK_OK(collapse_piece(&world));
	CHECK(is_huge(&world, 0, PIECE));
	lh_space_measure(world.space[0], world_range(&world, 0, PIECE + PAGES + 20), &usage);
	CHECK_EQUAL(usage.huge, PAGES);
	CHECK_EQUAL(usage.resident, PAGES);
	CHECK_EQUAL(world_counters(&world, 0).resident, PAGES);
	CHECK_EQUAL(world_counters(&world, 0).tables, tables - 1);
	CHECK_EQUAL(world_statistics(&world).frames.committed, PAGES + 20);
	world_check(&world);
	check_some(&world, 0);
	poke(&world, 0, PIECE + 1, 1);
	CHECK(is_huge(&world, 0, PIECE));
	CHECK_OK(collapse_piece(&world)); /* it is so already */
	world_check(&world);
	world_close(&world);
}

/* Unlike a huge leaf that a fault brought, it came without advice. */
TEST(what_was_put_together_is_cut_forked_and_pinned_like_any_other)
{
	test_world world;
	lh_frame_number frame;
	lh_pinned pinned;

	open_touched(&world);
	CHECK_OK(collapse_piece(&world));
	world_make(&world, 1);
	CHECK_OK(lh_space_fork(world.space[0], world.space[1]));
	poke(&world, 0, PIECE, 1000);
	check_some(&world, 1);
	CHECK_OK(lh_space_unmap(world.space[1], world_range(&world, PIECE + 10, 100)));
	CHECK_OK(lh_space_protect(world.space[0], world_range(&world, PIECE - 5, 20), READ));
	CHECK_EQUAL(peek(&world, 0, PIECE + 3), PIECE + 3);
	CHECK_OK(lh_space_pin(world.space[0], world_range(&world, PIECE + 30, 1), LH_RIGHT_WRITE, LH_PIN_SHORT, &frame,
			      &pinned));
	lh_space_unpin(&pinned);
	world_check(&world);
	world_close(&world);
}

TEST(frames_that_lie_side_by_side_stay_where_they_are)
{
	lh_frame_number frame;
	test_world world;
	uint64_t free;

	open_split(&world);
	for (uint64_t page = PIECE; page < PIECE + PAGES; page++)
		poke(&world, 0, page, page);
	frame = world_frame(&world, 0, PIECE);
	free = world_frame_counters(&world).free;
	lh_frames_fail_at(world.frames, 1); /* nothing is taken for it */
	CHECK_OK(collapse_piece(&world));
	lh_frames_fail_at(world.frames, 0);
	CHECK(is_huge(&world, 0, PIECE));
	CHECK_EQUAL(world_frame(&world, 0, PIECE).value, frame.value);
	CHECK_EQUAL(world_frame_counters(&world).free, free + 1);
	for (uint64_t page = PIECE; page < PIECE + PAGES; page++)
		CHECK_EQUAL(peek(&world, 0, page), page);
	world_check(&world);
	world_close(&world);
}

TEST(the_leaf_has_the_rights_of_its_region)
{
	test_world world;

	open_touched(&world);
	CHECK_OK(lh_space_protect(world.space[0], world_range(&world, PIECE, PAGES), READ));
	CHECK_OK(collapse_piece(&world));
	CHECK(is_huge(&world, 0, PIECE));
	CHECK_EQUAL(world_write(&world, 0, world_page(&world, PIECE), 1), LH_FAULT_NO_ACCESS);
	check_some(&world, 0);
	world_check(&world);
	world_close(&world);
}

TEST(a_page_that_is_not_the_leafs_alone_is_not_moved)
{
	test_world world;
	lh_frame_number frame;
	lh_pinned pinned;
	lh_leaf leaf;

	open_touched(&world);
	CHECK_OK(lh_space_pin(world.space[0], world_range(&world, PIECE + 9, 1), LH_RIGHT_WRITE, LH_PIN_LONG, &frame,
			      &pinned));
	world.promised++;
	CHECK_ERROR(collapse_piece(&world), LH_AGAIN);
	CHECK_EQUAL(world_frame(&world, 0, PIECE + 9).value, frame.value);
	world.promised--;
	lh_space_unpin(&pinned);
	world_make(&world, 1);
	CHECK_OK(lh_space_fork(world.space[0], world.space[1]));
	CHECK_OK(lh_space_unmap(world.space[1], world_range(&world, PIECE, PAGES - 8)));
	CHECK_ERROR(collapse_piece(&world), LH_AGAIN);
	world_check(&world);
	world_destroy(&world, 1);
	CHECK_OK(collapse_piece(&world));
	leaf = world_leaf(&world, 0, PIECE);
	CHECK_EQUAL(leaf.rights, READ_WRITE);
	check_some(&world, 0);
	world_check(&world);
	world_close(&world);
}

TEST(what_cannot_be_huge_is_invalid_and_stays)
{
	test_world world;
	lh_object *object;

	open_with(&world, 6000);
	object = world_object(&world, PAGES * PAGE, false);
	world_map_object(&world, 0, PIECE, PAGES, READ_WRITE, LH_REGION_SHARED, object, 0);
	poke(&world, 0, PIECE, 1);
	CHECK_ERROR(collapse_piece(&world), LH_INVALID);
	world_unmap(&world, 0, PIECE, PAGES);
	world_map_object(&world, 0, PIECE, PAGES, READ_WRITE, 0, object, 0);
	poke(&world, 0, PIECE, 1);
	CHECK_ERROR(collapse_piece(&world), LH_INVALID);
	world_unmap(&world, 0, PIECE, PAGES);
	lh_object_drop(object);
	world_map(&world, 0, PIECE, PAGES, READ_WRITE);
	CHECK_ERROR(collapse_piece(&world), LH_INVALID); /* there is nothing to put together */
	CHECK_EQUAL(peek(&world, 0, PIECE), 0);
	CHECK_ERROR(collapse_piece(&world), LH_INVALID);
	poke(&world, 0, PIECE, 1);
	CHECK_OK(lh_space_protect(world.space[0], world_range(&world, PIECE, PAGES), LH_RIGHT_NONE));
	CHECK_ERROR(collapse_piece(&world), LH_INVALID);
	CHECK_OK(lh_space_protect(world.space[0], world_range(&world, PIECE, PAGES / 2), READ_WRITE));
	CHECK_ERROR(collapse_piece(&world), LH_INVALID); /* two regions */
	CHECK_OK(lh_space_protect(world.space[0], world_range(&world, PIECE, PAGES), READ_WRITE));
	CHECK_OK(lh_space_advise(world.space[0], world_range(&world, PIECE, PAGES), LH_ADVICE_NO_HUGE));
	CHECK_ERROR(collapse_piece(&world), LH_INVALID);
	CHECK_OK(lh_space_advise(world.space[0], world_range(&world, PIECE, PAGES), LH_ADVICE_NORMAL));
	CHECK_OK(collapse_piece(&world));
	CHECK_EQUAL(peek(&world, 0, PIECE), 1);
	world_close(&world);
}

TEST(ranges_are_whole_and_only_pieces_that_lie_in_them_are_put_together)
{
	test_world world;

	open_touched(&world);
	CHECK_ERROR(collapse(&world, PIECE - 11, PAGES + 20), LH_NOT_MAPPED);
	CHECK_ERROR(lh_space_collapse(world.space[0], (lh_virtual_range){ lh_virtual(PAGE / 2), 1 }), LH_INVALID);
	CHECK_OK(collapse(&world, PIECE + 1, PAGES));
	CHECK_OK(collapse(&world, PIECE - 1, PAGES));
	CHECK(!is_huge(&world, 0, PIECE));
	CHECK_OK(collapse(&world, PIECE - 7, PAGES + 14));
	CHECK(is_huge(&world, 0, PIECE));
	world_close(&world);
}

TEST(a_piece_that_cannot_be_had_keeps_no_other_from_it)
{
	lh_frame_number frame;
	test_world world;
	lh_pinned pinned;

	open_with(&world, 6000);
	world_map(&world, 0, PIECE, 2 * PAGES, READ_WRITE);
	touch_some(&world, PIECE);
	touch_some(&world, PIECE + PAGES);
	CHECK_OK(lh_space_pin(world.space[0], world_range(&world, PIECE, 1), LH_RIGHT_READ, LH_PIN_SHORT, &frame,
			      &pinned));
	CHECK_ERROR(collapse(&world, PIECE, 2 * PAGES), LH_AGAIN);
	CHECK(!is_huge(&world, 0, PIECE));
	CHECK(is_huge(&world, 0, PIECE + PAGES));
	lh_space_unpin(&pinned);
	CHECK_OK(collapse(&world, PIECE, 2 * PAGES));
	check_some(&world, 0);
	world_check(&world);
	world_close(&world);
}

/* All that can be promised but so many pages. */
static void promise_all_but(test_world *world, uint64_t left)
{
	for (uint64_t step = 4096; step != 0; step /= 2)
		while (lh_charge_take(world->frames, step) == LH_OK)
			world->promised += step;
	lh_charge_give_back(world->frames, left);
	world->promised -= left;
}

TEST(a_promise_for_the_moment_of_copying_is_asked_for)
{
	test_world world;

	open_touched(&world);
	promise_all_but(&world, PAGES - 1);
	CHECK_ERROR(collapse_piece(&world), LH_NO_MEMORY);
	world_check(&world);
	lh_charge_give_back(world.frames, 1);
	world.promised--;
	CHECK_OK(collapse_piece(&world));
	check_some(&world, 0);
	world_check(&world);
	lh_charge_give_back(world.frames, world.promised);
	world.promised = 0;
	world_close(&world);
}

static lh_error run_collapse(test_world *world)
{
	return lh_space_collapse(world->space[0], world_range(world, PIECE, 2 * PAGES));
}

/* The pages come apart, and what they say is said again. */
static void undo_collapse(test_world *world)
{
	CHECK_OK(lh_space_discard(world->space[0], world_range(world, PIECE, 2 * PAGES)));
	touch_some(world, PIECE);
}

TEST(each_step_of_it_may_fail)
{
	test_world world;

	open_with(&world, 6000);
	world_map(&world, 0, PIECE, 2 * PAGES, READ_WRITE);
	touch_some(&world, PIECE);
	CHECK_ERROR(run_collapse(&world), LH_INVALID); /* for the second piece; the first is huge */
	undo_collapse(&world);
	for (unsigned step = 1; step <= 2; step++) {
		inject_buffer before = { 0 }, after = { 0 };

		world_serialise_spaces(&world, &before);
		lh_frames_fail_at(world.frames, step);
		CHECK_ERROR(collapse_piece(&world), LH_NO_MEMORY);
		CHECK_EQUAL(lh_frames_steps(world.frames), step);
		lh_frames_fail_at(world.frames, 0);
		world_serialise_spaces(&world, &after);
		CHECK_SOUND(inject_difference(&before, &after));
		inject_buffer_free(&before);
		inject_buffer_free(&after);
		world_check(&world);
	}
	lh_frames_fail_at(world.frames, 3);
	CHECK_OK(collapse_piece(&world));
	CHECK_EQUAL(lh_frames_steps(world.frames), 2);
	lh_frames_fail_at(world.frames, 0);
	check_some(&world, 0);
	world_close(&world);
}

/* --- the scan --- */

static uint64_t scan(test_world *world, lh_virtual_address *from, uint64_t work)
{
	uint64_t collapsed = lh_space_collapse_some(world->space[0], from, work);

	world_settle(world);
	return collapsed;
}

static void touch(test_world *world, uint64_t piece, uint64_t pages)
{
	for (uint64_t page = piece; page < piece + pages; page++)
		poke(world, 0, page, page);
}

/* The first piece is worth it, the second is not. A page before them keeps the second from its advice. */
static void open_advised(test_world *world)
{
	open_with(world, 6000);
	world_map(world, 0, 2, 1, READ);
	world_map(world, 0, PIECE - 3, 2 * PAGES + 3, READ_WRITE);
	touch(world, PIECE, PAGES / 2);
	touch(world, PIECE + PAGES, PAGES / 2 - 1);
	CHECK_OK(lh_space_advise(world->space[0], world_range(world, PIECE - 3, 2 * PAGES + 3), LH_ADVICE_HUGE));
}

TEST(the_scan_puts_together_what_is_advised_and_half_there)
{
	lh_virtual_address from = lh_virtual(0);
	test_world world;

	open_advised(&world);
	CHECK_EQUAL(scan(&world, &from, 100), 1);
	CHECK_EQUAL(from.value, 0);
	CHECK(is_huge(&world, 0, PIECE));
	CHECK(!is_huge(&world, 0, PIECE + PAGES));
	poke(&world, 0, PIECE + PAGES + PAGES / 2 - 1, 5);
	CHECK_EQUAL(scan(&world, &from, 100), 1);
	CHECK(is_huge(&world, 0, PIECE + PAGES));
	CHECK_EQUAL(scan(&world, &from, 100), 0);
	CHECK_EQUAL(peek(&world, 0, PIECE + PAGES + 3), PIECE + PAGES + 3);
	world_check(&world);
	world_close(&world);
}

TEST(the_scan_does_no_more_than_it_is_told_and_goes_on_where_it_was)
{
	lh_virtual_address from = lh_virtual(0);
	test_world world;

	open_advised(&world);
	poke(&world, 0, PIECE + PAGES + PAGES / 2 - 1, 5);
	CHECK_EQUAL(scan(&world, &from, 0), 0);
	CHECK_EQUAL(scan(&world, &from, 1), 0); /* the page that is not advised */
	CHECK_EQUAL(from.value, world_page(&world, PIECE - 3));
	CHECK_EQUAL(scan(&world, &from, 1), 1);
	CHECK_EQUAL(from.value, world_page(&world, PIECE + PAGES));
	CHECK(!is_huge(&world, 0, PIECE + PAGES));
	CHECK_EQUAL(scan(&world, &from, 1), 1);
	CHECK(is_huge(&world, 0, PIECE + PAGES));
	CHECK_EQUAL(scan(&world, &from, 1), 0);
	CHECK_EQUAL(from.value, 0);
	from = lh_virtual(UINT64_MAX);
	CHECK_EQUAL(scan(&world, &from, 1), 0);
	CHECK_EQUAL(from.value, 0);
	world_close(&world);
}

TEST(the_scan_leaves_what_nobody_asked_for)
{
	lh_virtual_address from = lh_virtual(0);
	test_world world;

	open_with(&world, 6000);
	world_map(&world, 0, PIECE, PAGES, READ_WRITE);
	touch(&world, PIECE, PAGES);
	CHECK_EQUAL(scan(&world, &from, 100), 0);
	CHECK_OK(lh_space_advise(world.space[0], world_range(&world, PIECE, PAGES), LH_ADVICE_NO_HUGE));
	CHECK_EQUAL(scan(&world, &from, 100), 0);
	/* What was only read has no frames. */
	CHECK_OK(lh_space_discard(world.space[0], world_range(&world, PIECE, PAGES)));
	for (uint64_t page = PIECE; page < PIECE + PAGES; page++)
		CHECK_EQUAL(peek(&world, 0, page), 0);
	CHECK_OK(lh_space_advise(world.space[0], world_range(&world, PIECE, PAGES), LH_ADVICE_HUGE));
	CHECK_EQUAL(scan(&world, &from, 100), 0);
	world_check(&world);
	world_close(&world);
}
