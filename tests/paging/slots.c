/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Locks of tables, and how a table ends: who meets a lock waits with interrupts on; who links a table
 * and then does not write leaves none; a table is freed only when every walker has answered.
 */
#include "paging/slot.h"

#include "room.h"

#define ADDRESS (5 * GIB + 7 * MIB)

static lh_frame_entry *table_of(test_room *room, uint64_t address, unsigned level)
{
	uint64_t number = *room_entry(room, &room->user, address, level + 1) << 12 >> 24;

	return lh_frame_entry_of(room->frames, lh_frame(number));
}

TEST(an_opened_slot_that_is_not_written_leaves_no_table)
{
	test_room room;
	lh_frame_number frame = room_open_with_frame(&room);
	lh_spare_tables spares = { 0, 0 };
	uint64_t used = room_table_frames(&room);
	lh_slot slot;

	CHECK_OK(lh_spare_tables_take(room.frames, 3, &spares));
	CHECK_OK(lh_slot_open(&slot, &room.user, lh_virtual(ADDRESS), 0, &spares));
	CHECK_EQUAL(lh_slot_leaf(&slot).kind, LH_LEAF_EMPTY);
	CHECK_EQUAL(lh_directory_tables(&room.user), 4);
	CHECK(!room.machine->cpus[0].interrupts);
	lh_slot_close(&slot);
	CHECK(room.machine->cpus[0].interrupts);
	CHECK_EQUAL(spares.count, 0);
	CHECK_EQUAL(lh_directory_tables(&room.user), 1);
	CHECK_EQUAL(room_table_frames(&room), used);
	room_close_with_frame(&room, frame);
}

TEST(a_mark_keeps_a_number_until_a_leaf_is_written_over_it)
{
	test_room room;
	lh_frame_number frame = room_open_with_frame(&room);
	lh_leaf mark = { .kind = LH_LEAF_SWAPPED, .frame = { 0x123456789 } }, read;
	lh_spare_tables spares = { 0, 0 };

	CHECK_OK(lh_directory_prepare(&room.user, range_of(ADDRESS, 1), &spares));
	CHECK_OK(lh_directory_write(&room.user, lh_virtual(ADDRESS), mark, &spares));
	read = lh_directory_read(&room.user, lh_virtual(ADDRESS));
	CHECK_EQUAL(read.kind, LH_LEAF_SWAPPED);
	CHECK_EQUAL(read.frame.value, 0x123456789);
	CHECK_EQUAL(room_walk(&room, &room.user, ADDRESS).outcome, MMU_PAGE_FAULT);
	CHECK_SOUND(lh_directory_check(&room.user));
	lh_frame_hold(room.frames, frame);
	CHECK_OK(lh_directory_write(&room.user, lh_virtual(ADDRESS), leaf_of(frame, LH_RIGHT_READ), &spares));
	CHECK_EQUAL(lh_directory_read(&room.user, lh_virtual(ADDRESS)).kind, LH_LEAF_PRESENT);
	CHECK_EQUAL(lh_directory_leaves(&room.user), 1);
	/* A leaf gives way to a mark by way of BUSY only. */
	CHECK_ERROR(lh_directory_write(&room.user, lh_virtual(ADDRESS), mark, &spares), LH_EXISTS);
	room_clear(&room.user, range_of(ADDRESS, 1));
	CHECK_EQUAL(room_holders(&room, frame), 1);
	room_close_with_frame(&room, frame);
}

/* Who holds the lock lets it go when others have had so many turns with interrupts on. */
struct holder {
	lh_frame_entry *table;
	unsigned turns;
};

static void let_go_in_time(void *context)
{
	struct holder *holder = context;

	if (holder->turns > 0 && --holder->turns == 0)
		holder->table->word &= ~LH_TABLE_LOCKED;
}

static void hold(test_room *room, struct holder *holder, lh_frame_entry *table)
{
	*holder = (struct holder){ table, 9 };
	table->word |= LH_TABLE_LOCKED;
	room->machine->hooks.context = holder;
	room->machine->hooks.turn = let_go_in_time;
}

/* Each operation that writes waits for each lock on its way that it needs. */
TEST(b22_who_does_not_get_a_tables_lock_lets_interrupts_through)
{
	test_room room;
	lh_frame_number frame = room_open_with_frame(&room);
	struct holder holder;
	lh_gather gather;

	lh_gather_begin(&gather, &room.user);
	for (unsigned level = 0; level < 3; level++) {
		room_map(&room, &room.user, ADDRESS, leaf_of(frame, LH_RIGHT_READ));
		hold(&room, &holder, table_of(&room, ADDRESS, 0));
		lh_directory_restrict_range(&room.user, range_of(ADDRESS, 1), LH_RIGHT_NONE, &gather);
		CHECK_EQUAL(holder.turns, 0);
		hold(&room, &holder, table_of(&room, ADDRESS, level));
		if (level % 2 == 0)
			CHECK(lh_directory_clear(&room.user, lh_virtual(ADDRESS), &gather));
		else
			lh_directory_clear_range(&room.user, range_of(ADDRESS & ~(2 * MIB - 1), 512),
						 &gather);
		CHECK_EQUAL(holder.turns, 0);
		room.machine->hooks.turn = NULL;
		lh_gather_flush(&gather);
		CHECK_EQUAL(lh_directory_tables(&room.user), 1);
	}
	room_close_with_frame(&room, frame);
}

static bool see(void *context, lh_virtual_address address, lh_leaf *leaf)
{
	(void)address;
	(void)leaf;
	++*(unsigned *)context;
	return true;
}

/* The holder of a table's lock has emptied an entry, and writes it again before it lets go. */
struct writer {
	struct holder holder;
	uint64_t *entry;
	uint64_t value;
};

static void write_in_time(void *context)
{
	struct writer *writer = context;

	if (writer->holder.turns == 1)
		*writer->entry = writer->value;
	let_go_in_time(&writer->holder);
}

TEST(a_visitor_has_the_lock_of_a_table_before_it_looks_whether_there_is_anything)
{
	test_room room;
	lh_frame_number frame = room_open_with_frame(&room);
	struct writer writer;
	unsigned seen = 0;

	room_map(&room, &room.user, ADDRESS, leaf_of(frame, LH_RIGHT_READ));
	hold(&room, &writer.holder, table_of(&room, ADDRESS, 0));
	room.machine->hooks.context = &writer;
	room.machine->hooks.turn = write_in_time;
	writer.entry = room_entry(&room, &room.user, ADDRESS, 0);
	writer.value = *writer.entry;
	*writer.entry = 0;
	lh_directory_visit(&room.user, range_of(ADDRESS, 2), see, &seen);
	CHECK_EQUAL(writer.holder.turns, 0);
	CHECK_EQUAL(seen, 1);
	room.machine->hooks.turn = NULL;
	room_clear(&room.user, range_of(ADDRESS, 2));
	room_close_with_frame(&room, frame);
}

/* Clears one leaf, or its whole table. => whether CPU 2, which only walks, was called. */
static bool calls_walker(test_room *room, lh_virtual_range range)
{
	uint64_t before = room->machine->cpus[2].calls;
	lh_gather gather;

	room->user.walkers.bits[0] = 1u << 2;
	lh_gather_begin(&gather, &room->user);
	lh_directory_clear_range(&room->user, range, &gather);
	lh_gather_flush(&gather);
	CHECK_EQUAL(room->user.walkers.bits[0], 1u << 2);
	room->user.walkers.bits[0] = 0;
	return room->machine->cpus[2].calls != before;
}

TEST(b28_a_table_is_freed_only_after_every_walker_has_answered)
{
	test_room room;
	lh_frame_number frame = room_open_with_frame(&room);

	for (uint64_t i = 0; i < 3; i++)
		room_map(&room, &room.user, ADDRESS + i * 4096, leaf_of(frame, LH_RIGHT_READ));
	CHECK(!calls_walker(&room, range_of(ADDRESS, 1)));
	CHECK(calls_walker(&room, range_of(ADDRESS, 8)));
	room_map(&room, &room.user, ADDRESS, leaf_of(frame, LH_RIGHT_READ));
	CHECK(calls_walker(&room, range_of(ADDRESS & ~(2 * MIB - 1), 512)));
	room_close_with_frame(&room, frame);
}

/* A walk of a CPU that does not run the directory is announced while it lasts; of one that does, not. */
TEST(a_foreign_walk_is_announced_while_it_lasts)
{
	test_room room;
	lh_frame_number frame = room_open_with_frame(&room);
	uintptr_t interrupts;
	lh_slot outer, inner;

	lh_slot_find(&outer, &room.user, lh_virtual(ADDRESS));
	CHECK_EQUAL(room.user.walkers.bits[0], 1);
	lh_slot_find(&inner, &room.user, lh_virtual(0));
	lh_slot_close(&inner);
	CHECK_EQUAL(room.user.walkers.bits[0], 1);
	lh_slot_close(&outer);
	CHECK_EQUAL(room.user.walkers.bits[0], 0);
	interrupts = lh_port_interrupts_off(room.machine);
	lh_directory_activate(&room.user);
	lh_port_interrupts_restore(room.machine, interrupts);
	lh_slot_find(&outer, &room.user, lh_virtual(ADDRESS));
	CHECK_EQUAL(room.user.walkers.bits[0], 0);
	lh_slot_close(&outer);
	interrupts = lh_port_interrupts_off(room.machine);
	lh_directory_deactivate(&room.user);
	lh_port_interrupts_restore(room.machine, interrupts);
	room_close_with_frame(&room, frame);
}

TEST(tables_that_are_kept_go_when_the_keeping_ends)
{
	test_room room;
	lh_frame_number frame = room_open_with_frame(&room);
	const lh_virtual_range whole = range_of(ADDRESS & ~(2 * MIB - 1), 512);

	lh_directory_keep_tables(&room.user);
	room_map(&room, &room.user, ADDRESS, leaf_of(frame, LH_RIGHT_READ));
	room_map(&room, &room.user, ADDRESS + GIB, leaf_of(frame, LH_RIGHT_READ));
	room_clear(&room.user, range_of(ADDRESS, 1));
	CHECK_EQUAL(lh_directory_tables(&room.user), 6);
	room_map(&room, &room.user, ADDRESS, leaf_of(frame, LH_RIGHT_READ));
	room_clear(&room.user, whole);
	CHECK_EQUAL(lh_directory_tables(&room.user), 6);
	CHECK_EQUAL(lh_directory_leaves(&room.user), 1);
	lh_directory_let_tables_go(&room.user);
	CHECK_EQUAL(lh_directory_tables(&room.user), 4);
	room_clear(&room.user, range_of(ADDRESS + GIB, 1));
	CHECK_EQUAL(lh_directory_tables(&room.user), 1);
	room_close_with_frame(&room, frame);
}

TEST(a_leaf_gives_way_to_another_through_a_busy_one)
{
	test_room room;
	lh_frame_number old = room_open_with_frame(&room), new = room_frame(&room);
	lh_spare_tables none = { 0, 0 };
	lh_gather gather;
	lh_slot slot;

	room_map(&room, &room.user, ADDRESS, leaf_of(old, LH_RIGHT_READ));
	lh_gather_begin(&gather, &room.user);
	CHECK_OK(lh_slot_open(&slot, &room.user, lh_virtual(ADDRESS), 0, &none));
	lh_frame_hold(room.frames, new);
	lh_slot_withdraw(&slot, leaf_of(new, LH_RIGHT_READ), &gather);
	CHECK_EQUAL(lh_slot_leaf(&slot).kind, LH_LEAF_BUSY);
	CHECK_EQUAL(lh_slot_leaf(&slot).frame.value, new.value);
	CHECK_EQUAL(room_walk(&room, &room.user, ADDRESS).outcome, MMU_PAGE_FAULT);
	/* Not by who means another frame, and not by an upgrade. */
	CHECK(!lh_slot_settle(&slot, leaf_of(old, LH_RIGHT_READ)));
	CHECK_ERROR(lh_slot_write(&slot, leaf_of(new, LH_RIGHT_READ)), LH_EXISTS);
	CHECK(lh_slot_settle(&slot, leaf_of(new, LH_RIGHT_READ)));
	CHECK(!lh_slot_settle(&slot, leaf_of(new, LH_RIGHT_READ)));
	lh_slot_close(&slot);
	CHECK_EQUAL(room_holders(&room, old), 2);
	lh_gather_flush(&gather);
	CHECK_EQUAL(room_holders(&room, old), 1);
	CHECK_EQUAL(room_holders(&room, new), 2);
	room_clear(&room.user, range_of(ADDRESS, 1));
	lh_frame_drop(room.frames, new);
	room_close_with_frame(&room, old);
}
