/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Leaf tables that spaces share after a fork. Pages 24 to 535 of the user range are one piece, the next 512 another; the
 * region has both, and ten pages on either side, whose tables are copied. What happens at the same time:
 * tests/interleave/shared.c.
 */
#include "space/space.h"
#include "world/injection.h"
#include "world/oracle.h"
#include "world/walkers.h"

#define PIECE UINT64_C(24)
#define PAGES UINT64_C(512)
#define FIRST (PIECE - 10)
#define END (PIECE + 2 * PAGES + 10)
#define STEP 31 /* between pages that were written to; the one behind is read, and of the others none is there */

static void poke(test_world *world, unsigned n, uint64_t page, uint64_t value)
{
	world_poke(world, n, world_page(world, page), value);
}

static uint64_t peek(test_world *world, unsigned n, uint64_t page)
{
	return world_peek(world, n, world_page(world, page));
}

static uint64_t tables_in_use(test_world *world)
{
	return world_frame_counters(world).used[LH_FRAME_TABLE];
}

static void open_touched(test_world *world)
{
	world_open(world, &(world_setup){ .frames = 8000 });
	world_make(world, 0);
	world_map(world, 0, FIRST, END - FIRST, READ_WRITE);
	for (uint64_t page = FIRST; page + 1 < END; page += STEP) {
		poke(world, 0, page, page);
		CHECK_EQUAL(peek(world, 0, page + 1), 0);
	}
}

static void fork_to(test_world *world, unsigned parent, unsigned child)
{
	world_make(world, child);
	CHECK_OK(lh_space_fork(world->space[parent], world->space[child]));
}

static void open_forked(test_world *world)
{
	open_touched(world);
	world_load(world, 0, 0);
	fork_to(world, 0, 1);
	world_load(world, 1, 1);
	for (unsigned n = 0; n < 2; n++)
		CHECK(world_is_shared(world, n, PIECE) && world_is_shared(world, n, PIECE + PAGES) &&
		      !world_is_shared(world, n, FIRST) && !world_is_shared(world, n, END - 1));
}

static uint64_t first_word(uint64_t page)
{
	return (page - FIRST) % STEP == 0 && page + 1 < END ? page : 0;
}

/* All pages say what they said, but one: those that were there, and one behind each two. */
static void check_contents(test_world *world, unsigned n, uint64_t other)
{
	for (uint64_t page = FIRST; page < END; page++)
		if (page != other && (page - FIRST) % STEP < 3)
			CHECK_EQUAL(peek(world, n, page), first_word(page));
}

/* A page of the first piece that was written to. */
#define WRITTEN (FIRST + 2 * STEP)

TEST(a_fork_shares_the_tables_that_a_private_region_covers)
{
	lh_space_usage usage[2];
	lh_space_counters parent;
	test_world world;
	uint64_t tables;

	open_touched(&world);
	parent = world_counters(&world, 0);
	tables = tables_in_use(&world);
	fork_to(&world, 0, 1);
	CHECK_EQUAL(world_counters(&world, 0).resident, parent.resident);
	CHECK_EQUAL(world_counters(&world, 0).tables, parent.tables - 2);
	CHECK_EQUAL(world_counters(&world, 1).tables, parent.tables - 2);
	CHECK_EQUAL(tables_in_use(&world), tables + parent.tables - 2);
	CHECK_EQUAL(world_holders(&world, world_frame(&world, 1, WRITTEN)), 1);
	CHECK_EQUAL(world_frame(&world, 0, WRITTEN).value, world_frame(&world, 1, WRITTEN).value);
	for (unsigned n = 0; n < 2; n++)
		lh_space_measure(world.space[n], world_range(&world, PIECE + 3, PAGES), &usage[n]);
	CHECK(usage[0].resident != 0 && usage[0].resident == usage[1].resident);
	CHECK_EQUAL(usage[0].huge, 0);
	world_check(&world);
	world_destroy(&world, 0);
	check_contents(&world, 1, 0);
	world_check(&world);
	world_close(&world);
}

TEST(the_first_who_comes_has_a_copy_and_the_last_the_table)
{
	test_world world;
	uint64_t tables;

	open_forked(&world);
	tables = tables_in_use(&world);
	CHECK_EQUAL(peek(&world, 1, PIECE + 5), first_word(PIECE + 5)); /* a read, of a page that is not there */
	CHECK(!world_is_shared(&world, 1, PIECE) && world_is_shared(&world, 1, PIECE + PAGES));
	CHECK_EQUAL(tables_in_use(&world), tables + 1);
	CHECK_EQUAL(world_holders(&world, world_frame(&world, 1, WRITTEN)), 2);
	world_check(&world);
	poke(&world, 0, WRITTEN, 1000);
	CHECK(!world_is_shared(&world, 0, PIECE));
	CHECK_EQUAL(tables_in_use(&world), tables + 1);
	CHECK_EQUAL(world_statistics(&world).faults_opened, 2);
	CHECK_EQUAL(world_statistics(&world).faults_copied, 1);
	check_contents(&world, 1, 0);
	check_contents(&world, 0, WRITTEN);
	world_check(&world);
	world_close(&world);
}

TEST(who_is_left_alone_writes_again_what_he_could_write)
{
	test_world world;
	uint64_t faults;

	for (unsigned left = 0; left < 2; left++) {
		open_forked(&world);
		world_load(&world, 0, -1);
		world_load(&world, 1, -1);
		world_destroy(&world, 1 - left);
		faults = world_statistics(&world).faults_reused;
		for (uint64_t page = WRITTEN; page < PIECE + PAGES; page += STEP)
			poke(&world, left, page, 1);
		CHECK_EQUAL(world_statistics(&world).faults_opened, 1);
		CHECK_EQUAL(world_statistics(&world).faults_copied, 0);
		if (world_faults_once(&world))
			CHECK_EQUAL(world_statistics(&world).faults_reused, faults);
		world_check(&world);
		world_close(&world);
	}
}

/* Grandchildren, and a second child. */
TEST(a_table_is_shared_by_as_many_as_forked)
{
	test_world world;
	uint64_t tables;

	open_forked(&world);
	tables = tables_in_use(&world);
	fork_to(&world, 1, 2);
	fork_to(&world, 0, 3);
	CHECK(world_is_shared(&world, 2, PIECE) && world_is_shared(&world, 3, PIECE + PAGES));
	CHECK_EQUAL(tables_in_use(&world), tables + 2 * world_counters(&world, 2).tables);
	poke(&world, 2, WRITTEN, 2000);
	fork_to(&world, 2, 4); /* a copy is shared anew */
	CHECK(world_is_shared(&world, 2, PIECE) && world_is_shared(&world, 4, PIECE));
	world_check(&world);
	poke(&world, 0, WRITTEN, 1000);
	poke(&world, 4, WRITTEN + STEP, 4000);
	world_destroy(&world, 1);
	check_contents(&world, 3, 0);
	check_contents(&world, 2, WRITTEN);
	CHECK_EQUAL(peek(&world, 4, WRITTEN), 2000);
	check_contents(&world, 0, WRITTEN);
	world_check(&world);
	world_close(&world);
}

/* --- whatever else comes to a shared table --- */

static lh_error unmap(test_world *world, unsigned n, uint64_t page, uint64_t pages)
{
	return lh_space_unmap(world->space[n], world_range(world, page, pages));
}

static lh_error protect(test_world *world, unsigned n, uint64_t page, uint64_t pages, lh_rights rights)
{
	return lh_space_protect(world->space[n], world_range(world, page, pages), rights);
}

static lh_error discard(test_world *world, unsigned n, uint64_t page, uint64_t pages)
{
	return lh_space_discard(world->space[n], world_range(world, page, pages));
}

static lh_error remap(test_world *world, unsigned n, uint64_t page, uint64_t pages, uint64_t to)
{
	lh_remap_request request = { .range = world_range(world, page, pages), .flags = LH_REMAP_MOVE,
				     .to = { .pages = pages, .where = LH_OVER,
					     .address = lh_virtual(world_page(world, to)) } };
	lh_virtual_range placed;

	return lh_space_remap(world->space[n], &request, &placed);
}

static lh_error change(test_world *world, unsigned n, unsigned how)
{
	switch (how) {
	case 0: return unmap(world, n, PIECE, PAGES);
	case 1: return unmap(world, n, PIECE - 2, 2 * PAGES + 4);
	case 2: return unmap(world, n, PIECE + 9, PAGES);
	case 3: return protect(world, n, PIECE + 9, 3, READ);
	case 4: return protect(world, n, PIECE, 2 * PAGES, READ);
	case 5: return protect(world, n, PIECE, 2 * PAGES, LH_RIGHTS_ALL);
	case 6: return discard(world, n, PIECE + 1, 30);
	case 7: return discard(world, n, PIECE, PAGES);
	case 8: return remap(world, n, PIECE, PAGES, PIECE + PAGES); /* a table for a table */
	case 9: return remap(world, n, PIECE + 3, 60, PIECE + PAGES + 90);
	case 10: return lh_space_advise(world->space[n], world_range(world, PIECE + 3, 9), LH_ADVICE_NO_HUGE);
	default: return lh_space_advise(world->space[n], world_range(world, PIECE, 2 * PAGES), LH_ADVICE_HUGE);
	}
}
#define CHANGES 12

/* Whatever one side does to its own, the other sees nothing of it; and a write that is forbidden is refused. */
TEST(a_change_of_one_side_leaves_the_other_as_it_is)
{
	for (unsigned how = 0; how < CHANGES; how++)
		for (unsigned n = 0; n < 2; n++) {
			test_world world;

			open_forked(&world);
			CHECK_OK(change(&world, n, how));
			world_settle(&world);
			world_check(&world);
			if (how == 4)
				CHECK_EQUAL(world_write(&world, n, world_page(&world, WRITTEN), 1),
					    LH_FAULT_NO_ACCESS);
			if (how == 0)
				CHECK_EQUAL(world_write(&world, n, world_page(&world, WRITTEN), 1),
					    LH_FAULT_NOT_MAPPED);
			check_contents(&world, 1 - n, 0);
			if (how >= 3 && how <= 5)
				check_contents(&world, n, 0);
			world_destroy(&world, 1 - n);
			world_check(&world);
			world_close(&world);
		}
}

TEST(pages_of_a_shared_table_are_not_put_together)
{
	test_world world;

	open_forked(&world);
	CHECK_ERROR(lh_space_collapse(world.space[0], world_range(&world, PIECE, PAGES)), LH_AGAIN);
	CHECK(world_is_shared(&world, 0, PIECE));
	world_load(&world, 1, -1);
	world_destroy(&world, 1);
	poke(&world, 0, WRITTEN, WRITTEN);
	CHECK_OK(lh_space_collapse(world.space[0], world_range(&world, PIECE, PAGES)));
	world_settle(&world);
	check_contents(&world, 0, 0);
	world_check(&world);
	world_close(&world);
}

TEST(a_pin_opens_a_shared_table_and_no_other_is_shared_any_more)
{
	lh_frame_number frame;
	lh_pinned pinned;
	test_world world;

	open_forked(&world);
	CHECK_OK(lh_space_pin(world.space[0], world_range(&world, WRITTEN, 1), LH_RIGHT_WRITE, LH_PIN_SHORT, &frame,
			      &pinned));
	world.promised++;
	CHECK(!world_is_shared(&world, 0, PIECE));
	CHECK(frame.value != world_frame(&world, 1, WRITTEN).value);
	fork_to(&world, 0, 2);
	CHECK(!world_is_shared(&world, 2, PIECE) && world_is_shared(&world, 2, PIECE + PAGES)); /* it was already */
	world_load(&world, 0, -1);
	*(uint64_t *)lh_frame_pointer(world.frames, frame) = 77;
	CHECK_EQUAL(peek(&world, 0, WRITTEN), 77);
	CHECK_EQUAL(peek(&world, 1, WRITTEN), WRITTEN);
	CHECK_EQUAL(peek(&world, 2, WRITTEN), WRITTEN);
	world.promised--;
	lh_space_unpin(&pinned);
	check_contents(&world, 2, 0);
	world_check(&world);
	world_close(&world);
}

/* --- failure --- */

static void furnish(test_world *world)
{
	open_touched(world);
	fork_to(world, 0, 1);
	world_make(world, 2);
}

static lh_error fork_again(test_world *world) { return lh_space_fork(world->space[0], world->space[2]); }
static lh_error unmap_part(test_world *world) { return unmap(world, 0, PIECE + 9, PAGES); }
static lh_error protect_all(test_world *world) { return protect(world, 0, PIECE, 2 * PAGES, READ); }
static lh_error discard_part(test_world *world) { return discard(world, 1, PIECE + 9, PAGES); }
static lh_error move_part(test_world *world) { return remap(world, 1, PIECE + 3, 60, PIECE + PAGES + 90); }

static lh_error read_one(test_world *world)
{
	lh_fault fault = lh_space_fault(world->space[1], lh_virtual(world_page(world, WRITTEN)), READ);

	return fault == LH_FAULT_OK ? LH_OK : LH_NO_MEMORY;
}

TEST(what_fails_for_want_of_a_table_leaves_tables_shared_and_no_trace)
{
	static const world_operation operations[] = {
		{ .name = "fork what is shared", .run = fork_again },
		{ .name = "unmap a part of a shared table", .run = unmap_part },
		{ .name = "protect shared tables", .run = protect_all },
		{ .name = "discard a part of a shared table", .run = discard_part },
		{ .name = "move a part of a shared table", .run = move_part },
		{ .name = "fault in a shared table", .run = read_one },
	};

	for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
		test_world world;

		furnish(&world);
		world_inject(&world, &operations[i]);
		world_close(&world);
	}
}

/* CVE-2021-4002 at fork: what is dropped whole was flushed when it became shared. */
TEST(a_shared_table_that_is_dropped_is_in_no_cache)
{
	test_world world;

	open_touched(&world);
	for (unsigned cpu = 0; cpu < 2; cpu++) {
		uint64_t value;

		CHECK_EQUAL(world_access(&world, cpu, 0, world_page(&world, WRITTEN), MMU_READ, &value, 8), LH_FAULT_OK);
	}
	fork_to(&world, 0, 1);
	CHECK(world_check_translations(&world) == NULL);
	CHECK_OK(unmap(&world, 0, PIECE, PAGES));
	world_settle(&world);
	world_destroy(&world, 1);
	CHECK_EQUAL(world_statistics(&world).faults_opened, 0);
	CHECK_EQUAL(world_write(&world, 0, world_page(&world, WRITTEN), 1), LH_FAULT_NOT_MAPPED);
	world_check(&world);
	world_close(&world);
}
