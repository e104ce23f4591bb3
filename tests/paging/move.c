/* SPDX-License-Identifier: BSD-2-Clause */
/* Leaves that move: as the table they are in, one by one, or as a huge leaf; and what stands in the way. */
#include "paging/move.h"

#include "formats.h"
#include "room.h"

#define FROM (5 * GIB + 8 * MIB)
#define TO (5 * GIB + 64 * MIB)

/* => tables are kept, if is_kept; else from here on. */
static void move(test_room *room, lh_virtual_range from, uint64_t to, bool is_kept)
{
	lh_spare_tables spares = { 0, 0 };

	CHECK_OK(lh_directory_prepare_move(&room->user, from, lh_virtual(to), is_kept, &spares));
	if (!is_kept)
		lh_directory_keep_tables(&room->user);
	lh_directory_move(&room->user, from, lh_virtual(to), &spares);
	lh_spare_tables_give_back(room->frames, &spares);
	CHECK_SOUND(lh_directory_check(&room->user));
}

static void map_three(test_room *room, lh_frame_number frame)
{
	for (uint64_t n = 0; n < 3; n++)
		room_map(room, &room->user, FROM + 100 * n * LH_PAGE_SIZE, leaf_of(frame, (lh_rights)(1 + 2 * n)));
}

static void check_three(test_room *room, lh_frame_number frame, uint64_t at)
{
	for (uint64_t n = 0; n < 3; n++) {
		mmu_result found = room_walk(room, &room->user, at + 100 * n * LH_PAGE_SIZE);

		CHECK_EQUAL(found.outcome, MMU_TRANSLATED);
		CHECK_EQUAL(found.physical, frame.value << LH_PAGE_SHIFT);
		CHECK_EQUAL(found.translation.writable, ((1 + 2 * n) & LH_RIGHT_WRITE) != 0);
		CHECK_EQUAL(room_walk(room, &room->user, FROM + 100 * n * LH_PAGE_SIZE).outcome, MMU_PAGE_FAULT);
	}
	CHECK_EQUAL(lh_directory_leaves(&room->user), 3);
	CHECK_EQUAL(room_holders(room, frame), 4);
}

/* Whoever came to the table by its old place, without running the directory, could still write there. */
TEST(a_table_moves_only_after_every_walker_has_answered)
{
	static const struct { uint64_t to; bool calls; } trials[] = { { TO, true }, { TO + LH_PAGE_SIZE, false } };

	for (unsigned i = 0; i < 2; i++) {
		test_room room;
		lh_frame_number frame = room_open_with_frame(&room);
		uint64_t calls;

		/* The last page stays, if not all move: then no table comes to be empty. */
		map_three(&room, frame);
		room_map(&room, &room.user, FROM + 511 * LH_PAGE_SIZE, leaf_of(frame, LH_RIGHT_READ));
		calls = room.machine->cpus[2].calls;
		room.user.walkers.bits[0] = 1u << 2;
		move(&room, range_of(FROM, trials[i].calls ? 512 : 511), trials[i].to, false);
		CHECK_EQUAL(room.machine->cpus[2].calls != calls, trials[i].calls);
		room.user.walkers.bits[0] = 0;
		room_clear(&room.user, lh_directory_own_range(&room.user));
		room_close_with_frame(&room, frame);
	}
}

/* A fault that came too late linked one there and wrote nothing. */
TEST(an_empty_table_at_the_new_place_gives_way_to_one_that_moves)
{
	test_room room;
	lh_frame_number frame = room_open_with_frame(&room);
	uint64_t tables;

	map_three(&room, frame);
	tables = lh_directory_tables(&room.user);
	lh_directory_keep_tables(&room.user);
	room_map(&room, &room.user, TO, leaf_of(frame, LH_RIGHT_READ));
	room_clear(&room.user, range_of(TO, 1));
	CHECK_EQUAL(lh_directory_tables(&room.user), tables + 1);
	move(&room, range_of(FROM, 512), TO, true);
	check_three(&room, frame, TO);
	CHECK_EQUAL(lh_directory_tables(&room.user), tables);
	room_clear(&room.user, range_of(TO, 512));
	room_close_with_frame(&room, frame);
}

/* --- in every format --- */

/* Pages beside both ends of what one table spans go as far as places that lie alike to tables, or do not. */
static void move_around(test_room *room, uint64_t pages, uint64_t distance)
{
	lh_virtual_range range = range_of((pages - 2) * LH_PAGE_SIZE, pages + 4);
	lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .rights = LH_RIGHT_READ | LH_RIGHT_WRITE,
			 .flags = LH_LEAF_UNCOUNTED, .frame = { 77 } };
	static const uint64_t touched[] = { 0, 1, 2, 3, 9 };
	uint64_t to = range.base.value + distance * LH_PAGE_SIZE;

	for (unsigned i = 0; i < 5; i++) {
		leaf.frame.value = 77 + touched[i];
		leaf.kind = i == 3 ? LH_LEAF_NO_ACCESS : LH_LEAF_PRESENT;
		room_map(room, &room->user, lh_virtual_range_page(range, touched[i]).value, leaf);
	}
	move(room, range, to, false);
	CHECK_EQUAL(lh_directory_leaves(&room->user), 5);
	for (unsigned i = 0; i < 5; i++) {
		uint64_t offset = touched[i] * LH_PAGE_SIZE;
		lh_leaf now = lh_directory_read(&room->user, lh_virtual(to + offset));

		CHECK_EQUAL(now.kind, i == 3 ? LH_LEAF_NO_ACCESS : LH_LEAF_PRESENT);
		CHECK_EQUAL(now.frame.value, 77 + touched[i]);
		CHECK_EQUAL(lh_directory_read(&room->user, lh_virtual(range.base.value + offset)).kind, LH_LEAF_EMPTY);
	}
	room_clear(&room->user, range_of(to, range.pages));
	CHECK_EQUAL(lh_directory_tables(&room->user), 1);
}

TEST(leaves_move_in_every_format)
{
	const test_format *kind;

	for (unsigned n = 0; (kind = test_format_at(n)) != NULL; n++) {
		uint64_t pages = lh_level_pages(kind->format, 1);
		test_room room;

		room_open(&room, 1024, 1);
		room.format = *kind->format;
		room_build(&room);
		move_around(&room, pages, 4 * pages);
		move_around(&room, pages, 4 * pages + 1);
		room_close(&room);
	}
}
