/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Gather, flush, free: in that order.
 *
 * The gather's source is compiled here once more under other names, its flushes and its
 * drops going through spies that write down what happens when. The rest of the floor is
 * the library's own.
 */
#include "base/port_calls.h"

void spy_flush_local(lh_port *port, lh_frame_number root, lh_virtual_range range, bool global);

#undef lh_architecture_flush_local
#define lh_gather_note spied_note
#define lh_gather_note_range spied_note_range
#define lh_gather_add_leaf spied_add_leaf
#define lh_gather_add_table spied_add_table
#define lh_gather_flush spied_flush
#define lh_gather_flush_here spied_flush_here
#define lh_gather_flush_noted spied_flush_noted
#define lh_architecture_flush_local spy_flush_local
#define lh_leaf_drop spy_leaf_drop
#define lh_chain_drop spy_chain_drop
#include "paging/gather.c"
#undef lh_gather_note
#undef lh_gather_flush
#undef lh_gather_flush_here
#undef lh_architecture_flush_local
#undef lh_leaf_drop
#undef lh_chain_drop

#include "room.h"

#include <string.h>

/* The library's own, whose headers were read under the other names. */
void lh_gather_note(lh_gather *gather, lh_virtual_address address);
void lh_gather_flush(lh_gather *gather);
void lh_architecture_flush_local(lh_port *port, lh_frame_number root, lh_virtual_range range,
				 bool global);
void lh_leaf_drop(lh_frames *frames, const lh_paging_format *format, lh_frame_number first,
		  unsigned level);
lh_dropped lh_chain_drop(lh_frames *frames, const lh_paging_format *format, uint64_t chain);

static struct {
	uint64_t flushed_cpus; /* a bit each */
	uint64_t ordered_cpus; /* the same, of flushes of no page */
	uint64_t flushes, leaf_drops, chain_drops;
	uint64_t flushed_before_drop; /* flushed_cpus when the first drop came */
	lh_virtual_range range;
	bool global;
	uint64_t generation; /* of the directory below, at the first flush */
	const lh_directory *directory;
} spy;

void spy_flush_local(lh_port *port, lh_frame_number root, lh_virtual_range range, bool global)
{
	if (spy.flushes++ == 0 && spy.directory)
		spy.generation = spy.directory->generation;
	*(lh_virtual_range_is_empty(range) ? &spy.ordered_cpus : &spy.flushed_cpus) |=
		UINT64_C(1) << lh_port_cpu(port);
	spy.range = range;
	spy.global = global;
	CHECK(!port->cpus[lh_port_cpu(port)].interrupts);
	lh_architecture_flush_local(port, root, range, global);
}

static void note_drop(void)
{
	if (spy.leaf_drops + spy.chain_drops == 0)
		spy.flushed_before_drop = spy.flushed_cpus;
}

void spy_leaf_drop(lh_frames *frames, const lh_paging_format *format, lh_frame_number first,
		   unsigned level)
{
	note_drop();
	spy.leaf_drops++;
	lh_leaf_drop(frames, format, first, level);
}

lh_dropped spy_chain_drop(lh_frames *frames, const lh_paging_format *format, uint64_t chain)
{
	note_drop();
	spy.chain_drops += chain != 0;
	return lh_chain_drop(frames, format, chain);
}

static void activate_on(test_room *room, lh_directory *directory, unsigned cpu)
{
	unsigned before = machine_run_on(room->machine, cpu);
	uintptr_t interrupts = lh_port_interrupts_off(room->machine);

	lh_directory_activate(directory);
	lh_port_interrupts_restore(room->machine, interrupts);
	machine_run_on(room->machine, before);
}

static void deactivate_on(test_room *room, lh_directory *directory, unsigned cpu)
{
	unsigned before = machine_run_on(room->machine, cpu);
	uintptr_t interrupts = lh_port_interrupts_off(room->machine);

	lh_architecture_load(room->machine, room->kernel.root);
	lh_directory_deactivate(directory);
	lh_port_interrupts_restore(room->machine, interrupts);
	machine_run_on(room->machine, before);
}

/* Two leaves of 5 MiB and on, one alone at 1 GiB; the room's user directory runs on the CPUs. */
static lh_frame_number begin_room(test_room *room, uint64_t cpus)
{
	lh_frame_number frame;

	room_build(room);
	frame = room_frame(room);
	room_map(room, &room->user, 5 * MIB, leaf_of(frame, LH_RIGHT_READ));
	room_map(room, &room->user, 5 * MIB + 4096, leaf_of(frame, LH_RIGHT_READ));
	room_map(room, &room->user, GIB, leaf_of(frame, LH_RIGHT_READ));
	for (unsigned cpu = 0; cpu < 4; cpu++)
		if (cpus >> cpu & 1)
			activate_on(room, &room->user, cpu);
	memset(&spy, 0, sizeof(spy));
	spy.directory = &room->user;
	return frame;
}

static lh_frame_number open_room(test_room *room, uint64_t cpus)
{
	room_open(room, 1024, 4);
	return begin_room(room, cpus);
}

static void close_room(test_room *room, lh_frame_number frame)
{
	CHECK_EQUAL(room_holders(room, frame), 1);
	lh_frame_drop(room->frames, frame);
	room->user.active = (lh_cpu_set){ { 0 } };
	room_close(room);
}

TEST(a16_frames_and_tables_are_freed_after_the_flush)
{
	test_room room;
	lh_gather gather;
	lh_frame_number frame = open_room(&room, 0xb);
	uint64_t tables = room_table_frames(&room);

	lh_gather_begin(&gather, &room.user);
	/* One loose leaf, and leaf tables that are covered: one with a leaf left in it. */
	lh_directory_clear_range(&room.user, range_of(5 * MIB, 1), &gather);
	lh_directory_clear_range(&room.user, range_of(4 * MIB, 2 * GIB / 4096), &gather);
	CHECK_EQUAL(lh_directory_leaves(&room.user), 0);
	CHECK_EQUAL(lh_directory_tables(&room.user), 1);
	/* Out of use, but everything still holds what it held. */
	CHECK_EQUAL(room_table_frames(&room), tables);
	CHECK_EQUAL(room_holders(&room, frame), 4);
	CHECK_EQUAL(gather.frame_count, 1);
	spied_flush(&gather);
	CHECK_EQUAL(spy.flushed_before_drop, 0xb);
	CHECK_EQUAL(spy.flushes, 3);
	CHECK_EQUAL(spy.leaf_drops, 1);
	CHECK_EQUAL(spy.chain_drops, 1);
	CHECK_EQUAL(spy.generation, 1);
	CHECK(!spy.global);
	CHECK(lh_virtual_range_contains(spy.range, lh_virtual(5 * MIB)));
	CHECK(lh_virtual_range_contains(spy.range, lh_virtual(GIB)));
	CHECK_EQUAL(room_table_frames(&room), tables - 5);
	close_room(&room, frame);
}

/* Also where it has nothing to flush, and before it is told whom to call. */
TEST(who_wrote_orders_its_writes_before_others_flush)
{
	test_room room;
	lh_gather gather;
	lh_frame_number frame;

	room_open(&room, 1024, 4);
	room.format.present_order = true;
	frame = begin_room(&room, 0x6);
	lh_gather_begin(&gather, &room.user);
	lh_directory_clear_range(&room.user, range_of(0, GIB / 2048), &gather);
	spied_flush(&gather);
	CHECK_EQUAL(spy.generation, 0);
	CHECK_EQUAL(spy.ordered_cpus, 0x1);
	CHECK_EQUAL(spy.flushed_before_drop, 0x6);
	close_room(&room, frame);
}

TEST(a_flush_for_this_cpu_alone_calls_no_other)
{
	test_room room;
	lh_gather gather;
	lh_frame_number frame = open_room(&room, 0x1);
	uint64_t calls = room.machine->calls;

	lh_gather_begin(&gather, &room.user);
	lh_directory_clear_range(&room.user, range_of(0, GIB / 2048), &gather);
	spied_flush(&gather);
	CHECK_EQUAL(room.machine->calls, calls);
	CHECK_EQUAL(spy.flushed_before_drop, 0x1);
	close_room(&room, frame);
}

TEST(a_cpu_that_left_is_not_called_and_one_that_runs_elsewhere_is)
{
	test_room room;
	lh_gather gather;
	lh_frame_number frame = open_room(&room, 0x7);

	deactivate_on(&room, &room.user, 0);
	deactivate_on(&room, &room.user, 2);
	lh_gather_begin(&gather, &room.user);
	lh_directory_clear_range(&room.user, range_of(0, GIB / 2048), &gather);
	spied_flush(&gather);
	CHECK_EQUAL(spy.flushed_before_drop, 0x2);
	CHECK_EQUAL(spy.flushes, 1);
	close_room(&room, frame);
}

TEST(nothing_gathered_is_nothing_flushed)
{
	test_room room;
	lh_gather gather;
	lh_frame_number frame = open_room(&room, 0x3);

	lh_gather_begin(&gather, &room.user);
	lh_directory_clear_range(&room.user, range_of(2 * GIB, 1000), &gather);
	lh_directory_restrict_range(&room.user, range_of(0, 1 << 20), LH_RIGHTS_ALL, &gather);
	spied_flush(&gather);
	CHECK_EQUAL(spy.flushes, 0);
	CHECK_EQUAL(room.user.generation, 0);
	room_clear(&room.user, range_of(0, GIB / 2048));
	close_room(&room, frame);
}

TEST(what_is_flushed_spans_all_that_was_noted_in_any_order)
{
	test_room room;
	lh_gather gather;
	lh_frame_number frame = open_room(&room, 0x1);

	lh_gather_begin(&gather, &room.user);
	lh_gather_note(&gather, lh_virtual(GIB + 123));
	CHECK(lh_virtual_range_equals(gather.span, range_of(GIB, 1)));
	lh_gather_note(&gather, lh_virtual(5 * MIB));
	lh_gather_note(&gather, lh_virtual(6 * MIB));
	CHECK(lh_virtual_range_equals(gather.span, range_of(5 * MIB, (GIB - 5 * MIB) / 4096 + 1)));
	lh_gather_note(&gather, lh_virtual(2 * GIB));
	spied_flush(&gather);
	CHECK(lh_virtual_range_equals(spy.range, range_of(5 * MIB, (2 * GIB - 5 * MIB) / 4096 + 1)));
	CHECK(lh_virtual_range_is_empty(gather.span));
	room_clear(&room.user, range_of(0, GIB / 2048));
	close_room(&room, frame);
}

TEST(kernel_mappings_are_flushed_as_global_on_every_active_cpu)
{
	const uint64_t address = UPPER_HALF + 5 * MIB;
	test_room room;
	lh_gather gather;
	lh_frame_number frame = open_room(&room, 0);

	for (unsigned cpu = 0; cpu < 4; cpu++)
		activate_on(&room, &room.kernel, cpu);
	activate_on(&room, &room.user, 3);
	room_map(&room, &room.kernel, address, leaf_of(frame, LH_RIGHT_READ));
	lh_gather_begin(&gather, &room.kernel);
	lh_directory_restrict_range(&room.kernel, range_of(address, 1), LH_RIGHT_NONE, &gather);
	spied_flush(&gather);
	CHECK_EQUAL(spy.flushed_cpus, 0xf);
	CHECK(spy.global);
	CHECK(lh_virtual_range_equals(spy.range, range_of(address, 1)));
	room_clear(&room.kernel, range_of(address, 1));
	room_clear(&room.user, range_of(0, GIB / 2048));
	close_room(&room, frame);
}

TEST(a_full_gather_refuses_one_more_leaf)
{
	test_room room;
	lh_gather gather;
	lh_frame_number frame = open_room(&room, 0x1);

	for (uint64_t i = 2; i < LH_GATHER_FRAMES + 8; i++)
		room_map(&room, &room.user, 5 * MIB + i * 4096, leaf_of(frame, LH_RIGHT_READ));
	lh_gather_begin(&gather, &room.user);
	for (uint64_t i = 0; i < LH_GATHER_FRAMES; i++)
		CHECK(lh_directory_clear(&room.user, lh_virtual(5 * MIB + i * 4096),
						&gather));
	CHECK(!lh_directory_clear(&room.user,
					 lh_virtual(5 * MIB + LH_GATHER_FRAMES * 4096), &gather));
	CHECK_EQUAL(lh_directory_leaves(&room.user), 8 + 1);
	spied_flush(&gather);
	CHECK_EQUAL(spy.leaf_drops, LH_GATHER_FRAMES);
	/* A range that has more than fits flushes on its way. */
	for (uint64_t i = 0; i < LH_GATHER_FRAMES; i++)
		room_map(&room, &room.user, 5 * MIB + i * 4096, leaf_of(frame, LH_RIGHT_READ));
	lh_directory_clear_range(&room.user, range_of(5 * MIB, LH_GATHER_FRAMES + 8), &gather);
	CHECK_EQUAL(gather.frame_count, 8);
	CHECK_EQUAL(lh_directory_leaves(&room.user), 1);
	lh_gather_flush(&gather);
	room_clear(&room.user, range_of(GIB, 1));
	close_room(&room, frame);
}
