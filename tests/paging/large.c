/* SPDX-License-Identifier: BSD-2-Clause */
/* Huge leaves, as a kernel's direct map has them; the audit; wide ranges over little. */
#include "room.h"

#include "paging/walk.h"

#include <string.h>

#define DIRECT (UPPER_HALF + 8 * TIB)

static lh_leaf large_leaf(uint64_t frame, unsigned level)
{
	lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .rights = LH_RIGHT_READ | LH_RIGHT_WRITE,
			 .level = (uint8_t)level, .flags = LH_LEAF_UNCOUNTED, .frame = { frame } };

	return leaf;
}

/* => the error of writing a huge leaf, with two spares to use. */
static lh_error write_large(test_room *room, uint64_t address, lh_leaf leaf)
{
	lh_spare_tables spares = { 0, 0 };
	lh_error error;

	CHECK_OK(lh_spare_tables_take(room->frames, 2, &spares));
	error = lh_directory_write_large(&room->kernel, lh_virtual(address), leaf, &spares);
	if (error != LH_OK)
		CHECK_EQUAL(spares.count, 2);
	lh_spare_tables_give_back(room->frames, &spares);
	return error;
}

static void check_translation(test_room *room, uint64_t address, uint64_t physical, unsigned level)
{
	mmu_result found = room_walk(room, &room->kernel, address);

	CHECK_EQUAL(found.outcome, MMU_TRANSLATED);
	CHECK_EQUAL(found.physical, physical);
	CHECK_EQUAL(found.translation.level, level);
	CHECK(!found.translation.user && found.translation.global && found.translation.writable);
	CHECK(!found.translation.executable);
}

TEST(a_direct_map_of_huge_leaves_translates)
{
	test_room room;
	lh_leaf leaf;

	room_open(&room, 1024, 1);
	room_build(&room);
	CHECK_OK(write_large(&room, DIRECT, large_leaf(0, 2)));
	for (uint64_t i = 0; i < 8; i++)
		CHECK_OK(write_large(&room, DIRECT + GIB + i * 2 * MIB,
				     large_leaf(262144 + i * 512, 1)));
	CHECK_SOUND(lh_directory_check(&room.kernel));
	CHECK_EQUAL(lh_directory_leaves(&room.kernel), 262144 + 8 * 512);
	CHECK_EQUAL(lh_directory_tables(&room.kernel), 257 + 1);
	check_translation(&room, DIRECT, 0, 2);
	check_translation(&room, DIRECT + GIB - 1, GIB - 1, 2);
	check_translation(&room, DIRECT + GIB + 3 * MIB + 5, GIB + 3 * MIB + 5, 1);
	leaf = lh_directory_read(&room.kernel, lh_virtual(DIRECT + GIB + 3 * MIB));
	CHECK_EQUAL(leaf.level, 1);
	CHECK_EQUAL(leaf.frame.value, 262144 + 512);
	room_clear(&room.kernel, range_of(DIRECT, 262144 + 512));
	CHECK_EQUAL(lh_directory_leaves(&room.kernel), 7 * 512);
	CHECK_SOUND(lh_directory_check(&room.kernel));
	room_clear(&room.kernel, lh_directory_own_range(&room.kernel));
	CHECK_EQUAL(lh_directory_tables(&room.kernel), 257);
	room_close(&room);
}

TEST(a_huge_leaf_is_refused_where_it_cannot_be)
{
	lh_frame_number frame;
	test_room room;

	room_open(&room, 1024, 1);
	room.format.leaf_at[2] = false;
	room_build(&room);
	frame = room_frame(&room);
	room_map(&room, &room.kernel, DIRECT + 2 * MIB, leaf_of(frame, LH_RIGHT_READ));
	CHECK_ERROR(write_large(&room, DIRECT + 4096, large_leaf(0, 1)), LH_INVALID);
	CHECK_ERROR(write_large(&room, DIRECT, large_leaf(1, 1)), LH_INVALID);
	CHECK_ERROR(write_large(&room, DIRECT + GIB, large_leaf(0, 2)), LH_INVALID);
	CHECK_ERROR(write_large(&room, DIRECT, large_leaf(0, 3)), LH_INVALID);
	CHECK_ERROR(write_large(&room, DIRECT, large_leaf(0, 0)), LH_INVALID);
	/* A page is mapped below. */
	CHECK_ERROR(write_large(&room, DIRECT + 2 * MIB, large_leaf(0, 1)), LH_EXISTS);
	CHECK_OK(write_large(&room, DIRECT, large_leaf(0, 1)));
	CHECK_ERROR(write_large(&room, DIRECT, large_leaf(0, 1)), LH_EXISTS);
	room_clear(&room.kernel, range_of(DIRECT, 1024));
	lh_frame_drop(room.frames, frame);
	room_close(&room);
}

TEST(a_page_is_refused_inside_a_huge_leaf)
{
	lh_spare_tables spares = { 0, 0 };
	lh_frame_number frame;
	test_room room;

	room_open(&room, 1024, 1);
	room_build(&room);
	frame = room_frame(&room);
	CHECK_OK(write_large(&room, DIRECT, large_leaf(0, 1)));
	CHECK_ERROR(lh_directory_write(&room.kernel, lh_virtual(DIRECT),
					      leaf_of(lh_frame(0), LH_RIGHT_READ), &spares),
		    LH_EXISTS);
	CHECK_ERROR(lh_directory_write(&room.kernel, lh_virtual(DIRECT + 4096),
					      leaf_of(frame, LH_RIGHT_READ), &spares),
		    LH_EXISTS);
	CHECK_SOUND(lh_directory_check(&room.kernel));
	room_clear(&room.kernel, range_of(DIRECT, 512));
	lh_frame_drop(room.frames, frame);
	room_close(&room);
}

TEST(a_counted_huge_leaf_drops_each_of_its_frames)
{
	lh_frame_number first;
	uint64_t free_before;
	lh_gather gather;
	test_room room;
	lh_leaf leaf;

	room_open(&room, 2048, 1);
	room_build(&room);
	free_before = room_free_frames(&room);
	CHECK_OK(lh_frame_allocate_contiguous(room.frames, 512, 512, 0, LH_FRAME_KERNEL, &first));
	leaf = large_leaf(first.value, 1);
	leaf.flags = 0;
	CHECK_OK(write_large(&room, DIRECT, leaf));
	CHECK_SOUND(lh_directory_check(&room.kernel));
	lh_gather_begin(&gather, &room.kernel);
	lh_directory_restrict_range(&room.kernel, range_of(DIRECT, 512), LH_RIGHT_NONE, &gather);
	CHECK_EQUAL(lh_directory_read(&room.kernel, lh_virtual(DIRECT)).kind,
		    LH_LEAF_NO_ACCESS);
	CHECK_EQUAL(room_walk(&room, &room.kernel, DIRECT).outcome, MMU_PAGE_FAULT);
	CHECK_SOUND(lh_directory_check(&room.kernel));
	lh_directory_clear_range(&room.kernel, range_of(DIRECT, 512), &gather);
	CHECK_EQUAL(room_holders(&room, first), 1);
	lh_gather_finish(&gather);
	CHECK_EQUAL(room_free_frames(&room), free_before);
	room_close(&room);
}

static test_room *straddled;

static void clear_half(void *context)
{
	(void)context;
	room_clear(&straddled->kernel, range_of(DIRECT, 100));
}

static void restrict_half(void *context)
{
	lh_gather gather;

	(void)context;
	lh_gather_begin(&gather, &straddled->kernel);
	lh_directory_restrict_range(&straddled->kernel, range_of(DIRECT + 4096, 511),
				    LH_RIGHT_READ, &gather);
}

/* What the panic left in the middle: the lock of the leaf's table, and the walk. */
static void forget_walk(test_room *room)
{
	uint64_t table = *room_entry(room, &room->kernel, DIRECT, 2) << 12 >> 24;

	lh_frame_entry_of(room->frames, lh_frame(table))->word &= ~LH_TABLE_LOCKED;
	room->kernel.walkers = (lh_cpu_set){ { 0 } };
}

TEST(a_range_that_straddles_a_huge_leaf_is_a_broken_invariant)
{
	test_room room;

	room_open(&room, 1024, 1);
	room_build(&room);
	straddled = &room;
	CHECK_OK(write_large(&room, DIRECT, large_leaf(0, 1)));
	CHECK(machine_expect_panic(room.machine, clear_half, NULL) != NULL);
	forget_walk(&room);
	CHECK(machine_expect_panic(room.machine, restrict_half, NULL) != NULL);
	forget_walk(&room);
	/* Stopped before anything was changed. */
	check_translation(&room, DIRECT, 0, 1);
	room_clear(&room.kernel, range_of(DIRECT, 512));
	room_close(&room);
}

/* What an audit listed. */
typedef struct listed {
	uint64_t leaves, writable_executable, user_in_kernel, huge;
	uint64_t last;
} listed;

static void list_leaf(void *context, lh_virtual_address address, const lh_leaf *leaf, bool user)
{
	listed *list = context;
	const lh_rights both = LH_RIGHT_WRITE | LH_RIGHT_EXECUTE;

	CHECK(list->leaves == 0 || address.value > list->last);
	list->last = address.value;
	list->leaves++;
	list->huge += leaf->level > 0;
	list->writable_executable += (leaf->rights & both) == both;
	list->user_in_kernel += user && address.value >= UPPER_HALF;
	CHECK(user || address.value >= UPPER_HALF);
}

TEST(the_audit_lists_both_halves_and_what_is_wrong_there)
{
	lh_frame_number frame;
	listed list = { 0 };
	uint64_t *entries[4];
	test_room room;

	room_open(&room, 1024, 1);
	room_build(&room);
	frame = room_frame(&room);
	room_map(&room, &room.user, 0x1000, leaf_of(frame, LH_RIGHT_READ));
	room_map(&room, &room.user, 0x2000, leaf_of(frame, LH_RIGHTS_ALL));
	room_map(&room, &room.kernel, DIRECT + 2 * GIB, leaf_of(frame, LH_RIGHT_EXECUTE));
	CHECK_OK(write_large(&room, DIRECT, large_leaf(0, 1)));
	lh_directory_audit(&room.user, list_leaf, &list);
	CHECK_EQUAL(list.leaves, 4);
	CHECK_EQUAL(list.huge, 1);
	CHECK_EQUAL(list.writable_executable, 1);
	CHECK_EQUAL(list.user_in_kernel, 0);
	/* User bits on the whole path but one entry: still out of reach. */
	for (unsigned level = 0; level < 4; level++)
		entries[level] = room_entry(&room, &room.user, DIRECT + 2 * GIB, level);
	for (unsigned level = 0; level < 3; level++)
		*entries[level] |= 4;
	memset(&list, 0, sizeof(list));
	lh_directory_audit(&room.user, list_leaf, &list);
	CHECK_EQUAL(list.user_in_kernel, 0);
	*entries[3] |= 4;
	*entries[0] |= 2;
	memset(&list, 0, sizeof(list));
	lh_directory_audit(&room.user, list_leaf, &list);
	CHECK_EQUAL(list.user_in_kernel, 1);
	CHECK_EQUAL(list.writable_executable, 2);
	*entries[1] &= ~UINT64_C(2);
	memset(&list, 0, sizeof(list));
	lh_directory_audit(&room.user, list_leaf, &list);
	CHECK_EQUAL(list.writable_executable, 1);
	lh_directory_destroy(&room.user);
	lh_directory_destroy(&room.kernel);
	lh_frame_drop(room.frames, frame);
	room_close(&room);
}

/* Counted by the machine, not by a clock: a wide range opens only the tables that exist. */
TEST(a_wide_range_over_three_pages_costs_one_flush)
{
	uintptr_t interrupts;
	lh_frame_number frame;
	lh_gather gather;
	uint64_t flushes;
	test_room room;

	room_open(&room, 1024, 1);
	room_build(&room);
	frame = room_frame(&room);
	interrupts = lh_port_interrupts_off(room.machine);
	lh_directory_activate(&room.user);
	lh_port_interrupts_restore(room.machine, interrupts);
	room_map(&room, &room.user, 0, leaf_of(frame, LH_RIGHT_READ));
	room_map(&room, &room.user, 40 * TIB, leaf_of(frame, LH_RIGHT_READ));
	room_map(&room, &room.user, 128 * TIB - 4096, leaf_of(frame, LH_RIGHT_READ));
	flushes = room.machine->cpus[0].flushes;
	lh_gather_begin(&gather, &room.user);
	lh_directory_clear_range(&room.user, lh_directory_own_range(&room.user), &gather);
	lh_gather_finish(&gather);
	CHECK_EQUAL(room.machine->cpus[0].flushes, flushes + 1);
	CHECK_EQUAL(lh_directory_tables(&room.user), 1);
	CHECK_EQUAL(room_holders(&room, frame), 1);
	lh_frame_drop(room.frames, frame);
	room_close(&room);
}

/* How many leaves a visit saw; each must lie above the one before. */
typedef struct seen {
	uint64_t count, last;
} seen;

static bool count_leaf(void *context, lh_virtual_address address, lh_leaf *leaf)
{
	seen *counted = context;

	(void)leaf;
	CHECK(counted->count == 0 || address.value > counted->last);
	counted->last = address.value;
	counted->count++;
	return true;
}

/* The lock is let go on a long way: more tables than are walked at a time, none left out. */
TEST(a_long_walk_that_lets_others_in_leaves_nothing_out)
{
	enum { ROWS = 150 };
	seen counted = { 0, 0 };
	lh_frame_number frame;
	lh_gather gather;
	test_room room;

	room_open(&room, 2048, 1);
	room_build(&room);
	frame = room_frame(&room);
	/* The first two and the last page of each leaf table, so that one follows the other. */
	for (uint64_t i = 1; i <= ROWS; i++) {
		room_map(&room, &room.user, i * 2 * MIB, leaf_of(frame, LH_RIGHTS_ALL));
		room_map(&room, &room.user, i * 2 * MIB + 4096, leaf_of(frame, LH_RIGHTS_ALL));
		room_map(&room, &room.user, (i + 1) * 2 * MIB - 4096, leaf_of(frame, LH_RIGHTS_ALL));
	}
	lh_directory_visit(&room.user, lh_directory_own_range(&room.user), count_leaf, &counted);
	CHECK_EQUAL(counted.count, 3 * ROWS);
	lh_gather_begin(&gather, &room.user);
	lh_directory_restrict_range(&room.user, range_of(0, ROWS * 1024), LH_RIGHT_READ, &gather);
	lh_gather_finish(&gather);
	for (uint64_t i = 2 * MIB; i < (ROWS + 1) * 2 * MIB; i += 2 * MIB) {
		CHECK_EQUAL(lh_directory_read(&room.user, lh_virtual(i)).rights,
			    LH_RIGHT_READ);
		CHECK_EQUAL(lh_directory_read(&room.user, lh_virtual(i + 511 * 4096)).rights,
			    LH_RIGHT_READ);
	}
	/* Not covered: from the second page of the first table on. */
	lh_directory_clear_range(&room.user, range_of(2 * MIB + 4096, ROWS * 512), &gather);
	lh_gather_finish(&gather);
	CHECK_EQUAL(lh_directory_leaves(&room.user), 1);
	CHECK_EQUAL(room_holders(&room, frame), 2);
	lh_directory_destroy(&room.user);
	CHECK_EQUAL(room_table_frames(&room), 257);
	lh_frame_drop(room.frames, frame);
	room_close(&room);
}

/* The entry that a visitor is looking at, and what the CPU writes into it meanwhile. */
typedef struct raced {
	uint64_t *entry;
	uint64_t bits;
	lh_rights keep;
} raced;

static bool race_leaf(void *context, lh_virtual_address address, lh_leaf *leaf)
{
	raced *race = context;

	(void)address;
	leaf->rights &= race->keep;
	leaf->flags &= ~LH_LEAF_ACCESSED;
	*race->entry |= race->bits;
	return true;
}

TEST(b20_a_dirty_bit_that_the_hardware_sets_meanwhile_survives)
{
	lh_frame_number frame;
	test_room room;
	lh_leaf leaf;
	raced race;

	room_open(&room, 1024, 1);
	room_build(&room);
	frame = room_frame(&room);
	leaf = leaf_of(frame, LH_RIGHT_READ | LH_RIGHT_WRITE);
	leaf.flags = LH_LEAF_ACCESSED;
	room_map(&room, &room.user, 0x7000, leaf);
	race = (raced){ room_entry(&room, &room.user, 0x7000, 0), 1 << 6, LH_RIGHT_READ };
	lh_directory_visit(&room.user, range_of(0x7000, 1), race_leaf, &race);
	leaf = lh_directory_read(&room.user, lh_virtual(0x7000));
	/* Dirty came; accessed, which the visitor saw and took away, went. */
	CHECK_EQUAL(leaf.flags, LH_LEAF_DIRTY);
	CHECK_EQUAL(leaf.rights, LH_RIGHT_READ);
	room_clear(&room.user, range_of(0x7000, 1));
	lh_frame_drop(room.frames, frame);
	room_close(&room);
}

TEST(tables_of_a_wide_range_are_counted_once_over_pauses)
{
	enum { APART = 3 * LH_TABLES_AT_A_TIME + 5 };
	lh_virtual_range range = range_of(GIB, APART * (GIB / 4096));
	lh_frame_number frame;
	test_room room;

	room_open(&room, 1024, 1);
	room_build(&room);
	frame = room_frame(&room);
	/* A table of each of the two lowest levels every GiB; at some of them two. */
	for (uint64_t i = 0; i < APART; i++)
		room_map(&room, &room.user, (1 + i) * GIB, leaf_of(frame, LH_RIGHT_READ));
	for (uint64_t i = 0; i < APART; i += 7)
		room_map(&room, &room.user, (1 + i) * GIB + 2 * MIB, leaf_of(frame, LH_RIGHT_READ));
	CHECK_EQUAL(lh_tables_there(&room.user, range, 0) + 1, lh_directory_tables(&room.user));
	CHECK_EQUAL(lh_tables_there(&room.user, range, 1), 1 + APART);
	CHECK_EQUAL(lh_tables_there(&room.user, range, 2), 1);
	room_clear(&room.user, range);
	lh_frame_drop(room.frames, frame);
	room_close(&room);
}

/* Sv39, whose root may hold leaves of 1 GiB: but a kernel's slots there name tables from the beginning. */
TEST(a_map_goes_below_the_top_tables_that_a_kernel_keeps)
{
	lh_virtual_range range = range_of(UINT64_C(0xffffffc000000000) + 2 * GIB, 2 * 262144);
	lh_spare_tables spares = { 0, 0 };
	lh_leaf leaf = large_leaf(262144, 2);
	test_room room;

	room_open_for(&room, 1024, 1, &lh_format_riscv64_sv39, &mmu_riscv64);
	room_build(&room);
	CHECK_OK(lh_directory_prepare_map(&room.kernel, range, leaf, &spares));
	CHECK_OK(lh_directory_map(&room.kernel, range, leaf, NULL, &spares));
	CHECK_EQUAL(spares.count, 0);
	CHECK_EQUAL(lh_directory_read(&room.kernel, range.base).level, 1);
	CHECK_EQUAL(lh_directory_leaves(&room.kernel), range.pages);
	CHECK_SOUND(lh_directory_check(&room.kernel));
	room_clear(&room.kernel, range);
	room_close(&room);
}

/* A table that somebody keeps is not taken out for a leaf, empty or not. */
TEST(where_a_table_is_kept_there_is_no_room_for_a_huge_leaf)
{
	lh_virtual_range range = range_of(2 * GIB, 2 * 512), page = range_of(2 * GIB + 2 * MIB + LH_PAGE_SIZE, 1);
	lh_spare_tables spares = { 0, 0 };
	lh_leaf leaf = large_leaf(262144, 1);
	test_room room;

	room_open(&room, 1024, 1);
	room_build(&room);
	lh_directory_keep_tables(&room.user);
	room_map(&room, &room.user, page.base.value, leaf_of(room_frame(&room), LH_RIGHT_READ));
	room_clear(&room.user, page);
	CHECK_OK(lh_spare_tables_take(room.frames, 4, &spares));
	CHECK_ERROR(lh_directory_map(&room.user, range, leaf, NULL, &spares), LH_EXISTS);
	CHECK_EQUAL(spares.count, 4);
	leaf.level = 0;
	leaf.frame.value += 2; /* pages of it do */
	CHECK_OK(lh_directory_map(&room.user, range_of(page.base.value, 100), leaf, NULL, &spares));
	room_clear(&room.user, range);
	lh_directory_let_tables_go(&room.user);
	leaf.level = 1;
	leaf.frame.value -= 2;
	CHECK_OK(lh_directory_map(&room.user, range, leaf, NULL, &spares));
	CHECK_SOUND(lh_directory_check(&room.user));
	lh_spare_tables_give_back(room.frames, &spares);
	room_close(&room);
}
