/* SPDX-License-Identifier: BSD-2-Clause */
/* Directories made and destroyed, from every step; the kernel half; tables taken and given back. */
#include "room.h"

TEST(a_directory_is_made_shared_and_destroyed)
{
	test_room room;

	room_open(&room, 1024, 1);
	room_build(&room);
	CHECK_SOUND(lh_directory_check(&room.kernel));
	CHECK_SOUND(lh_directory_check(&room.user));
	CHECK_EQUAL(room_table_frames(&room), 1 + 256 + 1);
	CHECK_EQUAL(lh_directory_tables(&room.kernel), 257);
	CHECK_EQUAL(lh_directory_tables(&room.user), 1);
	CHECK(lh_virtual_range_equals(lh_directory_own_range(&room.user),
				      range_of(0, UINT64_C(1) << 35)));
	CHECK(lh_virtual_range_equals(lh_directory_own_range(&room.kernel),
				      range_of(UPPER_HALF, UINT64_C(1) << 35)));
	room_close(&room);
}

/* Builds a kernel's and a user directory as far as memory goes. => steps done. */
static unsigned build_what_goes(test_room *room)
{
	lh_directory_init(&room->kernel, room->frames, &room->format);
	lh_directory_init(&room->user, room->frames, &room->format);
	if (lh_directory_add_root(&room->kernel) != LH_OK)
		return 0;
	if (lh_directory_add_kernel_half(&room->kernel) != LH_OK)
		return 1;
	if (lh_directory_add_root(&room->user) != LH_OK)
		return 2;
	lh_directory_share_kernel_half(&room->user, &room->kernel);
	return 3;
}

TEST(a10_every_prefix_of_construction_is_destroyed_cleanly)
{
	unsigned seen[4] = { 0 };
	uint64_t step = 1;
	unsigned done;
	test_room room;

	room_open(&room, 1024, 1);
	do {
		lh_frames_fail_at(room.frames, step++);
		done = build_what_goes(&room);
		lh_frames_fail_at(room.frames, 0);
		seen[done]++;
		/* Twice each: the destructor accepts what it left itself. */
		for (unsigned twice = 0; twice < 2; twice++) {
			lh_directory_destroy(&room.user);
			lh_directory_destroy(&room.kernel);
		}
		CHECK_EQUAL(room_free_frames(&room), room.tables_free);
		CHECK_SOUND(lh_frames_check(room.frames));
	} while (done != 3);
	CHECK_EQUAL(seen[0], 1);
	CHECK_EQUAL(seen[1], 256);
	CHECK_EQUAL(seen[2], 1);
	room_close(&room);
}

TEST(a15_table_pages_return_to_zero_after_teardown)
{
	lh_frame_number frame;
	uint64_t tables;
	test_room room;

	room_open(&room, 2048, 1);
	room_build(&room);
	frame = room_frame(&room);
	tables = room_table_frames(&room);
	/* Far apart, so that each needs tables of its own; some without access. */
	for (uint64_t i = 0; i < 64; i++) {
		lh_leaf leaf = leaf_of(frame, LH_RIGHT_READ);

		if (i % 3 == 0)
			leaf.kind = LH_LEAF_NO_ACCESS;
		room_map(&room, &room.user, i * 2 * TIB - i * 3 * MIB + (i == 0 ? 0 : 4 * GIB),
			 leaf);
	}
	CHECK(room_table_frames(&room) > tables + 64);
	CHECK_EQUAL(room_holders(&room, frame), 65);
	CHECK_SOUND(lh_directory_check(&room.user));
	lh_directory_destroy(&room.user);
	CHECK_EQUAL(room_holders(&room, frame), 1);
	CHECK_EQUAL(room_table_frames(&room), tables - 1);
	lh_frame_drop(room.frames, frame);
	room_close(&room);
}

TEST(a_restricted_region_leaks_no_table)
{
	lh_gather gather;
	lh_frame_number frame;
	test_room room;

	room_open(&room, 1024, 1);
	room_build(&room);
	frame = room_frame(&room);
	for (uint64_t i = 0; i < 20; i++)
		room_map(&room, &room.user, 5 * MIB + i * LH_PAGE_SIZE, leaf_of(frame, LH_RIGHTS_ALL));
	lh_gather_begin(&gather, &room.user);
	lh_directory_restrict_range(&room.user, range_of(5 * MIB, 20), LH_RIGHT_NONE, &gather);
	lh_gather_finish(&gather);
	CHECK_EQUAL(room_holders(&room, frame), 21);
	CHECK_EQUAL(lh_directory_leaves(&room.user), 20);
	CHECK_EQUAL(lh_directory_tables(&room.user), 4);
	room_clear(&room.user, range_of(0, UINT64_C(1) << 35));
	CHECK_EQUAL(lh_directory_tables(&room.user), 1);
	CHECK_EQUAL(room_holders(&room, frame), 1);
	lh_frame_drop(room.frames, frame);
	room_close(&room);
}

TEST(the_kernel_half_is_shared_and_never_freed_by_sharers)
{
	const uint64_t address = UPPER_HALF + 3 * TIB;
	lh_frame_number frame;
	mmu_result found;
	test_room room;

	room_open(&room, 1024, 1);
	room_build(&room);
	frame = room_frame(&room);
	/* Mapped after the sharing, and seen through it. */
	room_map(&room, &room.kernel, address, leaf_of(frame, LH_RIGHT_READ | LH_RIGHT_WRITE));
	found = room_walk(&room, &room.user, address);
	CHECK_EQUAL(found.outcome, MMU_TRANSLATED);
	CHECK_EQUAL(found.physical, frame.value << 12);
	CHECK(!found.translation.user);
	CHECK(found.translation.global);
	CHECK_EQUAL(lh_directory_read(&room.user, lh_virtual(address)).frame.value,
		    frame.value);
	lh_directory_destroy(&room.user);
	CHECK_SOUND(lh_directory_check(&room.kernel));
	CHECK_EQUAL(room_holders(&room, frame), 2);
	CHECK_EQUAL(room_walk(&room, &room.kernel, address).outcome, MMU_TRANSLATED);
	/* The last leaf of a top table goes: the tables below go, the top table stays. */
	room_clear(&room.kernel, range_of(address, 1));
	CHECK_EQUAL(lh_directory_tables(&room.kernel), 257);
	CHECK_SOUND(lh_directory_check(&room.kernel));
	CHECK_EQUAL(room_holders(&room, frame), 1);
	lh_frame_drop(room.frames, frame);
	room_close(&room);
}

TEST(clearing_a_whole_kernel_half_leaves_its_top_tables)
{
	lh_frame_number frame;
	test_room room;

	room_open(&room, 1024, 1);
	room_build(&room);
	frame = room_frame(&room);
	room_map(&room, &room.kernel, UPPER_HALF, leaf_of(frame, LH_RIGHT_READ));
	room_map(&room, &room.kernel, UINT64_MAX - 4095, leaf_of(frame, LH_RIGHT_READ));
	room_clear(&room.kernel, lh_directory_own_range(&room.kernel));
	CHECK_EQUAL(lh_directory_tables(&room.kernel), 257);
	CHECK_EQUAL(lh_directory_leaves(&room.kernel), 0);
	CHECK_SOUND(lh_directory_check(&room.kernel));
	CHECK_SOUND(lh_directory_check(&room.user));
	lh_frame_drop(room.frames, frame);
	room_close(&room);
}

TEST(activation_sets_the_bit_and_loads_the_root)
{
	uintptr_t interrupts;
	test_room room;

	room_open(&room, 1024, 3);
	room_build(&room);
	machine_run_on(room.machine, 2);
	interrupts = lh_port_interrupts_off(room.machine);
	lh_directory_activate(&room.kernel);
	lh_directory_activate(&room.user);
	CHECK_EQUAL(room.machine->cpus[2].root, room.user.root.value);
	CHECK_EQUAL(room.user.active.bits[0], 4);
	lh_directory_activate(&room.kernel);
	lh_directory_deactivate(&room.user);
	CHECK_EQUAL(room.user.active.bits[0], 0);
	/* A kernel's stays: its half is under every root. */
	lh_directory_deactivate(&room.kernel);
	CHECK_EQUAL(room.kernel.active.bits[0], 4);
	lh_port_interrupts_restore(room.machine, interrupts);
	machine_run_on(room.machine, 0);
	room_close(&room);
}

/* A range, and how many tables writing all of it needs with no table there. */
struct needed { uint64_t base, pages, tables; };

TEST(prepare_takes_exactly_what_writing_the_range_needs)
{
	static const struct needed cases[] = {
		{ 0, 1, 3 }, { 0, 512, 3 }, { 0, 513, 4 }, { 511 * 4096, 2, 4 },
		{ 1 * GIB - 4096, 2, 5 }, { 512 * GIB - 4096, 2, 6 }, { 0, 262144, 514 },
		{ 4 * GIB - 4096, 512 * 3, 2 + 2 + 4 - 1 },
	};
	test_room room;

	room_open(&room, 2048, 1);
	room_build(&room);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		lh_virtual_range range = range_of(cases[i].base, cases[i].pages);
		lh_spare_tables spares = { 0, 0 };

		CHECK_OK(lh_directory_prepare(&room.user, range, &spares));
		CHECK_EQUAL(spares.count, cases[i].tables);
		/* On top of what is there. */
		CHECK_OK(lh_directory_prepare(&room.user, range_of(0, 1), &spares));
		CHECK_EQUAL(spares.count, cases[i].tables + 3);
		lh_spare_tables_give_back(room.frames, &spares);
		CHECK_EQUAL(spares.first, 0);
	}
	CHECK_EQUAL(room_table_frames(&room), 258);
	room_close(&room);
}

TEST(prepare_leaves_out_the_tables_that_exist)
{
	lh_spare_tables spares = { 0, 0 };
	lh_frame_number frame;
	test_room room;

	room_open(&room, 2048, 1);
	room_build(&room);
	frame = room_frame(&room);
	room_map(&room, &room.user, 7 * MIB, leaf_of(frame, LH_RIGHT_READ));
	CHECK_OK(lh_directory_prepare(&room.user, range_of(6 * MIB, 512), &spares));
	CHECK_EQUAL(spares.count, 0);
	CHECK_OK(lh_directory_prepare(&room.user, range_of(0, 262144), &spares));
	CHECK_EQUAL(spares.count, 511);
	lh_spare_tables_give_back(room.frames, &spares);
	/* For leaves of 2 MiB no leaf table is wanted. */
	CHECK_OK(lh_directory_prepare_level(&room.user, range_of(0, 262144 * 2), 1, &spares));
	CHECK_EQUAL(spares.count, 1);
	lh_spare_tables_give_back(room.frames, &spares);
	lh_frame_drop(room.frames, frame);
	room_close(&room);
}

TEST(a13_a_missing_spare_leaves_nothing_changed)
{
	const uint64_t address = 512 * GIB - 4096;
	lh_spare_tables spares = { 0, 0 };
	lh_frame_number frame;
	test_room room;

	room_open(&room, 1024, 1);
	room_build(&room);
	frame = room_frame(&room);
	lh_frame_hold(room.frames, frame);
	for (uint64_t count = 0; count < 3; count++) {
		lh_error error;

		CHECK_OK(lh_spare_tables_take(room.frames, count - spares.count, &spares));
		error = lh_directory_write(&room.user, lh_virtual(address),
						  leaf_of(frame, LH_RIGHT_READ), &spares);
		CHECK_ERROR(error, LH_NO_MEMORY);
		CHECK_EQUAL(spares.count, count);
		CHECK_EQUAL(lh_directory_tables(&room.user), 1);
		CHECK_EQUAL(lh_directory_leaves(&room.user), 0);
		CHECK_SOUND(lh_directory_check(&room.user));
	}
	CHECK_OK(lh_spare_tables_take(room.frames, 1, &spares));
	CHECK_OK(lh_directory_write(&room.user, lh_virtual(address),
					   leaf_of(frame, LH_RIGHT_READ), &spares));
	CHECK_EQUAL(spares.count, 0);
	CHECK_EQUAL(lh_directory_tables(&room.user), 4);
	lh_directory_destroy(&room.user);
	CHECK_EQUAL(room_holders(&room, frame), 1);
	lh_frame_drop(room.frames, frame);
	room_close(&room);
}

TEST(taking_spares_is_all_or_nothing)
{
	lh_spare_tables spares = { 0, 0 };
	lh_error error;
	uint64_t step = 1, used;
	test_room room;

	room_open(&room, 1024, 1);
	room_build(&room);
	CHECK_OK(lh_spare_tables_take(room.frames, 2, &spares));
	used = room_table_frames(&room);
	do {
		lh_frames_fail_at(room.frames, step++);
		error = lh_directory_prepare(&room.user, range_of(0, 5000), &spares);
		lh_frames_fail_at(room.frames, 0);
		CHECK(error == LH_OK || error == LH_NO_MEMORY);
		if (error != LH_OK) {
			CHECK_EQUAL(spares.count, 2);
			CHECK_EQUAL(room_table_frames(&room), used);
		}
	} while (error != LH_OK);
	CHECK_EQUAL(step - 2, 2 + 10);
	CHECK_EQUAL(spares.count, 2 + 12);
	lh_spare_tables_give_back(room.frames, &spares);
	/* More than the machine has: refused at once. */
	CHECK_ERROR(lh_directory_prepare(&room.user, lh_directory_own_range(&room.user), &spares),
		    LH_NO_MEMORY);
	CHECK_EQUAL(spares.count, 0);
	room_close(&room);
}
