/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Huge leaves split and promoted: what addresses mean does not change, holders are as they were, and no
 * CPU of the hosted machine, whose TLBs keep what they can, is ever wrong. Each test runs as the format is, and
 * as one that breaks before it makes.
 */
#include "paging/slot.h"

#include "cpu.h"
#include "room.h"

#define HUGE_PAGES UINT64_C(512)
#define ADDRESS (6 * GIB + 4 * MIB)

static const lh_rights both = LH_RIGHT_READ | LH_RIGHT_WRITE;

static void activate(test_room *room)
{
	for (unsigned cpu = 0; cpu < 2; cpu++) {
		uintptr_t interrupts;

		machine_run_on(room->machine, cpu);
		interrupts = lh_port_interrupts_off(room->machine);
		lh_directory_activate(&room->user);
		lh_port_interrupts_restore(room->machine, interrupts);
	}
	machine_run_on(room->machine, 0);
}

/* A room with counted frames for one leaf of 2 MiB. => the first, each held by the test. */
static lh_frame_number open_huge(test_room *room, bool breaks)
{
	lh_frame_number first;

	room_open(room, 3072, 2);
	room->format.break_before_make = breaks;
	room_build(room);
	activate(room);
	CHECK_OK(lh_frame_allocate_contiguous(room->frames, HUGE_PAGES, HUGE_PAGES, 0, LH_FRAME_ANONYMOUS,
					      &first));
	return first;
}

static void close_huge(test_room *room, lh_frame_number first)
{
	for (unsigned cpu = 0; cpu < 2; cpu++) {
		uintptr_t interrupts;

		machine_run_on(room->machine, cpu);
		interrupts = lh_port_interrupts_off(room->machine);
		lh_directory_activate(&room->kernel);
		lh_directory_deactivate(&room->user);
		lh_port_interrupts_restore(room->machine, interrupts);
	}
	machine_run_on(room->machine, 0);
	lh_directory_destroy(&room->user);
	for (uint64_t i = 0; i < HUGE_PAGES; i++) {
		CHECK_EQUAL(room_holders(room, lh_frame(first.value + i)), 1);
		lh_frame_drop(room->frames, lh_frame(first.value + i));
	}
	room_close(room);
}

static void hold_all(test_room *room, lh_frame_number first)
{
	for (uint64_t i = 0; i < HUGE_PAGES; i++)
		lh_frame_hold(room->frames, lh_frame(first.value + i));
}

static void map_huge(test_room *room, lh_frame_number first, uint32_t flags)
{
	lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .rights = both, .level = 1, .flags = flags, .frame = first };
	lh_spare_tables spares = { 0, 0 };

	hold_all(room, first);
	CHECK_OK(lh_directory_prepare_map(&room->user, range_of(ADDRESS, HUGE_PAGES), leaf, &spares));
	CHECK_OK(lh_directory_map(&room->user, range_of(ADDRESS, HUGE_PAGES), leaf, NULL, &spares));
	CHECK_EQUAL(spares.count, 0);
	CHECK_EQUAL(lh_directory_read(&room->user, lh_virtual(ADDRESS)).level, 1);
}

/* Writes through a CPU's TLB. => false: it faulted. */
static bool poke(test_room *room, unsigned cpu, uint64_t page, uint64_t value)
{
	machine_fault fault;
	bool written;

	machine_run_on(room->machine, cpu);
	written = machine_write(room->machine, cpu, lh_virtual(ADDRESS + page * LH_PAGE_SIZE), &value,
				sizeof(value), MACHINE_USER, &fault);
	machine_run_on(room->machine, 0);
	return written;
}

static uint64_t first_word(test_room *room, uint64_t frame)
{
	return *(uint64_t *)(void *)machine_bytes(room->machine, frame);
}

/* Each CPU writes to each page that may be written, and to no other, and what it writes is where it should be. */
static void use_all(test_room *room, lh_frame_number first, lh_virtual_range refused)
{
	static uint64_t value;

	for (unsigned cpu = 0; cpu < 2; cpu++)
		for (uint64_t i = 0; i < HUGE_PAGES; i++) {
			bool allowed = !lh_virtual_range_contains(refused,
								  lh_virtual(ADDRESS + i * LH_PAGE_SIZE));

			CHECK_EQUAL(poke(room, cpu, i, ++value), allowed);
			if (allowed)
				CHECK_EQUAL(first_word(room, first.value + i), value);
		}
	CHECK_SOUND(machine_check_tlbs(room->machine));
	CHECK_SOUND(lh_directory_check(&room->user));
}

static lh_error split(test_room *room, lh_virtual_range range)
{
	lh_spare_tables spares = { 0, 0 };
	lh_error error;

	CHECK_OK(lh_directory_prepare_split(&room->user, range, &spares));
	error = lh_directory_split(&room->user, range, &spares);
	lh_spare_tables_give_back(room->frames, &spares);
	return error;
}

static void restrict_to(test_room *room, lh_virtual_range range, lh_rights rights)
{
	lh_gather gather;

	lh_gather_begin(&gather, &room->user);
	lh_directory_restrict_range(&room->user, range, rights, &gather);
	lh_gather_finish(&gather);
}

#define IN_BOTH_WAYS(breaks) for (unsigned breaks = 0; breaks < 2; breaks++)

TEST(a_split_leaf_means_the_same_page_by_page)
{
	IN_BOTH_WAYS(breaks)
	{
		test_room room;
		lh_frame_number first = open_huge(&room, breaks);
		lh_virtual_range nothing = range_of(0, 0);
		lh_leaf leaf;

		map_huge(&room, first, 0);
		use_all(&room, first, nothing);
		CHECK_OK(split(&room, range_of(ADDRESS + 4096, 1)));
		CHECK_EQUAL(lh_directory_tables(&room.user), 4);
		CHECK_EQUAL(lh_directory_leaves(&room.user), HUGE_PAGES);
		for (uint64_t i = 0; i < HUGE_PAGES; i++) {
			leaf = lh_directory_read(&room.user, lh_virtual(ADDRESS + i * 4096));
			CHECK_EQUAL(leaf.level, 0);
			CHECK_EQUAL(leaf.kind, LH_LEAF_PRESENT);
			CHECK_EQUAL(leaf.rights, both);
			CHECK_EQUAL(leaf.frame.value, first.value + i);
			CHECK_EQUAL(leaf.flags, LH_LEAF_ACCESSED | LH_LEAF_DIRTY);
		}
		use_all(&room, first, nothing);
		close_huge(&room, first);
	}
}

TEST(b8_part_of_a_huge_leaf_is_unmapped_and_the_rest_stays)
{
	IN_BOTH_WAYS(breaks)
	{
		test_room room;
		lh_frame_number first = open_huge(&room, breaks);
		lh_virtual_range middle = range_of(ADDRESS + 100 * 4096, 30);

		map_huge(&room, first, 0);
		use_all(&room, first, range_of(0, 0));
		CHECK_OK(split(&room, middle));
		room_clear(&room.user, middle);
		use_all(&room, first, middle);
		CHECK_EQUAL(room_holders(&room, lh_frame(first.value + 99)), 2);
		CHECK_EQUAL(room_holders(&room, lh_frame(first.value + 100)), 1);
		CHECK_EQUAL(lh_directory_leaves(&room.user), HUGE_PAGES - 30);
		close_huge(&room, first);
	}
}

TEST(b17_rights_taken_from_part_of_a_huge_leaf_are_gone_everywhere)
{
	IN_BOTH_WAYS(breaks)
	{
		test_room room;
		lh_frame_number first = open_huge(&room, breaks);
		lh_virtual_range end = range_of(ADDRESS + 200 * 4096, HUGE_PAGES - 200);

		map_huge(&room, first, 0);
		use_all(&room, first, range_of(0, 0));
		CHECK_OK(split(&room, end));
		restrict_to(&room, end, LH_RIGHT_READ);
		use_all(&room, first, end);
		close_huge(&room, first);
	}
}

TEST(a_leaf_that_a_range_does_not_straddle_is_left_whole)
{
	test_room room;
	lh_frame_number first = open_huge(&room, false);
	lh_spare_tables spares = { 0, 0 };

	map_huge(&room, first, 0);
	CHECK_OK(lh_directory_prepare_split(&room.user, range_of(ADDRESS, HUGE_PAGES), &spares));
	CHECK_EQUAL(spares.count, 0);
	CHECK_OK(split(&room, range_of(ADDRESS, HUGE_PAGES)));
	CHECK_OK(split(&room, range_of(ADDRESS - 4096, HUGE_PAGES + 2)));
	CHECK_OK(split(&room, range_of(0, 1)));
	CHECK_EQUAL(lh_directory_read(&room.user, lh_virtual(ADDRESS)).level, 1);
	close_huge(&room, first);
}

/* 1 GiB down to one page takes two tables; with fewer, nothing that a CPU could tell has changed. */
TEST(a_split_that_lacks_tables_changes_no_page)
{
	for (unsigned trial = 0; trial < 6; trial++) {
		lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .rights = LH_RIGHT_READ, .level = 2,
				 .flags = LH_LEAF_UNCOUNTED, .frame = { 0 } };
		lh_virtual_range page = range_of(6 * GIB + 77 * MIB + 4096, 1);
		lh_spare_tables spares = { 0, 0 };
		unsigned have = trial / 2;
		test_room room;

		room_open(&room, 1024, 1);
		room.format.break_before_make = trial % 2;
		room_build(&room);
		CHECK_OK(lh_directory_prepare_level(&room.user, range_of(6 * GIB, GIB / 4096), 2, &spares));
		CHECK_OK(lh_directory_write_large(&room.user, lh_virtual(6 * GIB), leaf, &spares));
		CHECK_OK(lh_spare_tables_take(room.frames, have, &spares));
		CHECK_EQUAL(lh_directory_split(&room.user, page, &spares), have < 2 ? LH_NO_MEMORY : LH_OK);
		CHECK_EQUAL(spares.count, 0);
		CHECK_SOUND(lh_directory_check(&room.user));
		CHECK_EQUAL(lh_directory_tables(&room.user), 2 + have);
		CHECK_EQUAL(lh_directory_leaves(&room.user), GIB / 4096);
		CHECK_EQUAL(lh_directory_read(&room.user, page.base).level, 2 - have);
		for (uint64_t offset = 0; offset < GIB; offset += 3 * MIB + 4096)
			CHECK_EQUAL(room_walk(&room, &room.user, 6 * GIB + offset + 8).physical, offset + 8);
		room_close(&room);
	}
}

/* --- promotion --- */

static void map_pages(test_room *room, lh_frame_number first, uint32_t flags)
{
	lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .rights = both, .flags = flags, .frame = first };
	lh_spare_tables spares = { 0, 0 };

	hold_all(room, first);
	CHECK_OK(lh_directory_prepare_map(&room->user, range_of(ADDRESS, HUGE_PAGES), leaf, &spares));
	CHECK_OK(lh_directory_map(&room->user, range_of(ADDRESS, HUGE_PAGES), leaf, NULL, &spares));
	CHECK_EQUAL(spares.count, 0);
}

TEST(a_full_table_of_leaves_alike_becomes_one_leaf)
{
	IN_BOTH_WAYS(breaks)
	{
		test_room room;
		lh_frame_number first = open_huge(&room, breaks);
		lh_leaf leaf;

		map_pages(&room, first, 0);
		CHECK(!lh_directory_promote(&room.user, lh_virtual(ADDRESS), 1)); /* clean */
		CHECK_EQUAL(lh_directory_read(&room.user, lh_virtual(ADDRESS)).level, 0);
		use_all(&room, first, range_of(0, 0));
		CHECK(lh_directory_promote(&room.user, lh_virtual(ADDRESS + 12345), 1));
		leaf = lh_directory_read(&room.user, lh_virtual(ADDRESS));
		CHECK_EQUAL(leaf.kind, LH_LEAF_PRESENT);
		CHECK_EQUAL(leaf.level, 1);
		CHECK_EQUAL(leaf.rights, both);
		CHECK_EQUAL(leaf.frame.value, first.value);
		CHECK_EQUAL(leaf.flags, LH_LEAF_ACCESSED | LH_LEAF_DIRTY);
		CHECK_EQUAL(lh_directory_tables(&room.user), 3);
		CHECK_EQUAL(lh_directory_leaves(&room.user), HUGE_PAGES);
		use_all(&room, first, range_of(0, 0));
		CHECK(!lh_directory_promote(&room.user, lh_virtual(ADDRESS), 1)); /* no table there */
		close_huge(&room, first);
	}
}

/* Each of these stands in the way. */
TEST(a_table_whose_leaves_are_not_alike_stays)
{
	test_room room;
	lh_frame_number first = open_huge(&room, false);
	lh_virtual_range last = range_of(ADDRESS + (HUGE_PAGES - 1) * 4096, 1);
	lh_frame_number other = lh_frame(first.value + HUGE_PAGES - 1);

	map_pages(&room, first, 0);
	use_all(&room, first, range_of(0, 0));
	CHECK(!lh_directory_promote(&room.user, lh_virtual(ADDRESS), 2)); /* a table of tables */
	CHECK(!lh_directory_promote(&room.user, lh_virtual(ADDRESS), 3)); /* where there are no leaves */
	CHECK(!lh_directory_promote(&room.user, lh_virtual(ADDRESS + 2 * MIB), 1)); /* nothing there */
	restrict_to(&room, last, LH_RIGHT_READ);
	CHECK(!lh_directory_promote(&room.user, lh_virtual(ADDRESS), 1)); /* other rights */
	room_clear(&room.user, last);
	CHECK(!lh_directory_promote(&room.user, lh_virtual(ADDRESS), 1)); /* not full */
	room_map(&room, &room.user, last.base.value, leaf_of(first, both));
	CHECK(poke(&room, 0, HUGE_PAGES - 1, 1));
	CHECK(!lh_directory_promote(&room.user, lh_virtual(ADDRESS), 1)); /* another frame */
	room_clear(&room.user, last);
	room_map(&room, &room.user, last.base.value, leaf_of(other, both));
	CHECK(!lh_directory_promote(&room.user, lh_virtual(ADDRESS), 1)); /* one that is clean */
	CHECK(poke(&room, 1, HUGE_PAGES - 1, 1));
	CHECK(lh_directory_promote(&room.user, lh_virtual(ADDRESS), 1));
	use_all(&room, first, range_of(0, 0));
	close_huge(&room, first);
}

/* --- between the two steps --- */

/* What a fault, or an unmap, does on another CPU once it meets the BUSY leaf. */
static struct {
	test_room *room;
	bool clears;
	bool done;
} other;

static void take_over(void *context)
{
	lh_leaf leaf;
	lh_slot slot;

	(void)context;
	if (other.done)
		return;
	other.done = true; /* no turn within a turn */
	leaf = lh_directory_read(&other.room->user, lh_virtual(ADDRESS));
	other.done = leaf.kind == LH_LEAF_BUSY;
	if (!other.done)
		return;
	if (other.clears) {
		room_clear(&other.room->user, range_of(ADDRESS, HUGE_PAGES));
		return;
	}
	leaf.kind = LH_LEAF_NO_ACCESS;
	lh_slot_find(&slot, &other.room->user, lh_virtual(ADDRESS));
	lh_slot_hold(&slot);
	CHECK(lh_slot_settle(&slot, leaf));
	lh_slot_close(&slot);
}

static void let_other(test_room *room, bool clears)
{
	other.room = room;
	other.clears = clears;
	other.done = false;
	room->machine->hooks.turn = take_over;
}

TEST(a_split_that_is_overtaken_splits_what_it_finds)
{
	for (unsigned clears = 0; clears < 2; clears++) {
		test_room room;
		lh_frame_number first = open_huge(&room, true);
		lh_virtual_range all = range_of(ADDRESS, HUGE_PAGES);

		map_huge(&room, first, 0);
		use_all(&room, first, range_of(0, 0));
		let_other(&room, clears);
		CHECK_OK(split(&room, range_of(ADDRESS + 4096, 1)));
		room.machine->hooks.turn = NULL;
		CHECK(other.done);
		CHECK_EQUAL(lh_directory_read(&room.user, lh_virtual(ADDRESS + 4096)).kind,
			    clears ? LH_LEAF_EMPTY : LH_LEAF_NO_ACCESS);
		CHECK_EQUAL(lh_directory_leaves(&room.user), clears ? 0 : HUGE_PAGES);
		use_all(&room, first, all);
		close_huge(&room, first);
	}
}

TEST(a_promotion_that_is_overtaken_leaves_what_it_finds)
{
	for (unsigned clears = 0; clears < 2; clears++) {
		test_room room;
		lh_frame_number first = open_huge(&room, true);
		lh_leaf leaf;

		map_pages(&room, first, 0);
		use_all(&room, first, range_of(0, 0));
		let_other(&room, clears);
		CHECK(!lh_directory_promote(&room.user, lh_virtual(ADDRESS), 1));
		room.machine->hooks.turn = NULL;
		CHECK(other.done);
		leaf = lh_directory_read(&room.user, lh_virtual(ADDRESS));
		CHECK_EQUAL(leaf.kind, clears ? LH_LEAF_EMPTY : LH_LEAF_NO_ACCESS);
		CHECK_EQUAL(lh_directory_leaves(&room.user), clears ? 0 : HUGE_PAGES);
		use_all(&room, first, range_of(ADDRESS, HUGE_PAGES));
		close_huge(&room, first);
	}
}
