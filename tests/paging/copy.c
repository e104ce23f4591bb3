/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Leaves copied to another directory, beside a plain rule for one leaf: which are copied, what they grant on both
 * sides, who holds the frames; and the tables counted for it, which suffice.
 */
#include <string.h>

#include "paging/copy.h"
#include "paging/slot.h"

#include "room.h"

#define BASE (3 * GIB - 5 * LH_PAGE_SIZE)
#define PAGES 1100 /* of four leaf tables, under two upper ones */
#define FRAMES 24

struct scene {
	test_room room;
	lh_directory child;
	lh_frame_number frames[FRAMES]; /* every fourth is not private */
	lh_leaf before[PAGES], after[PAGES];
};

static lh_virtual_address page_at(uint64_t page)
{
	return lh_virtual(BASE + page * LH_PAGE_SIZE);
}

static lh_leaf random_leaf(struct scene *scene)
{
	static const lh_rights rights[] = { LH_RIGHT_READ, LH_RIGHT_READ | LH_RIGHT_WRITE, LH_RIGHTS_ALL };
	static const lh_leaf_kind kinds[] = { LH_LEAF_PRESENT, LH_LEAF_PRESENT, LH_LEAF_NO_ACCESS,
					      LH_LEAF_BUSY };
	lh_leaf leaf = leaf_of(scene->frames[test_random_below(FRAMES)], rights[test_random_below(3)]);

	leaf.kind = kinds[test_random_below(4)];
	if (leaf.kind != LH_LEAF_PRESENT)
		leaf.rights = LH_RIGHT_NONE;
	if (test_random_below(8) == 0)
		leaf.flags |= LH_LEAF_UNCOUNTED;
	leaf.flags |= test_random_below(2) ? LH_LEAF_ACCESSED : 0;
	return leaf;
}

/* A BUSY leaf is written over one that names another frame. */
static void write_leaf(struct scene *scene, uint64_t page, lh_leaf leaf)
{
	lh_directory *user = &scene->room.user;
	lh_gather gather;
	lh_slot slot;

	if (leaf.kind != LH_LEAF_BUSY) {
		room_map(&scene->room, user, page_at(page).value, leaf);
		return;
	}
	leaf.flags &= ~LH_LEAF_UNCOUNTED;
	room_map(&scene->room, user, page_at(page).value, leaf_of(scene->frames[0], LH_RIGHT_READ));
	lh_frame_hold(scene->room.frames, leaf.frame);
	lh_gather_begin(&gather, user);
	lh_slot_find(&slot, user, page_at(page));
	lh_slot_hold(&slot);
	lh_slot_withdraw(&slot, leaf, &gather);
	lh_slot_close(&slot);
	lh_gather_finish(&gather);
}

static void open_scene(struct scene *scene, bool keeps_dirty_apart)
{
	test_room *room = &scene->room;

	memset(scene, 0, sizeof *scene);
	room_open(room, 4096, 2);
	/* A bit of software's own instead of the one that the CPU sets: such entries are made anew. */
	if (keeps_dirty_apart)
		room->format.dirty_kept = UINT64_C(1) << 58;
	room_build(room);
	lh_directory_init(&scene->child, room->frames, &room->format);
	CHECK_OK(lh_directory_add_root(&scene->child));
	for (unsigned i = 0; i < FRAMES; i++) {
		scene->frames[i] = room_frame(room);
		if (i % 4 == 3)
			lh_frame_entry_of(room->frames, scene->frames[i])->state = LH_FRAME_OBJECT;
	}
}

static void fill(struct scene *scene)
{
	for (uint64_t page = 0; page < PAGES; page++) {
		bool is_sparse = page / 256 % 2 != 0;

		if (test_random_below(is_sparse ? 64 : 2) == 0)
			write_leaf(scene, page, random_leaf(scene));
		scene->before[page] = lh_directory_read(&scene->room.user, page_at(page));
	}
}

static void close_scene(struct scene *scene)
{
	test_room *room = &scene->room;

	room_clear(&room->user, range_of(BASE, PAGES));
	lh_directory_destroy(&scene->child);
	for (unsigned i = 0; i < FRAMES; i++) {
		CHECK_EQUAL(room_holders(room, scene->frames[i]), 1);
		lh_frame_entry_of(room->frames, scene->frames[i])->state = LH_FRAME_ANONYMOUS;
		lh_frame_drop(room->frames, scene->frames[i]);
	}
	room_close(room);
}

static bool is_private(struct scene *scene, lh_leaf leaf)
{
	return leaf.kind != LH_LEAF_EMPTY && (leaf.flags & LH_LEAF_UNCOUNTED) == 0 &&
	       lh_frame_entry_of(scene->room.frames, leaf.frame)->state == LH_FRAME_ANONYMOUS;
}

static void check_leaf(lh_leaf found, lh_leaf expected)
{
	CHECK_EQUAL(found.kind, expected.kind);
	if (expected.kind == LH_LEAF_EMPTY)
		return;
	CHECK_EQUAL(found.frame.value, expected.frame.value);
	CHECK_EQUAL(found.rights, expected.rights);
	CHECK_EQUAL(found.flags, expected.flags);
	CHECK_EQUAL(found.type, expected.type);
}

static void check_page(struct scene *scene, uint64_t page, bool was_copied)
{
	lh_leaf old = scene->before[page], copy = { .kind = LH_LEAF_EMPTY };

	if (was_copied && is_private(scene, old)) {
		old.rights &= (lh_rights)~LH_RIGHT_WRITE;
		copy = old;
		if (copy.kind == LH_LEAF_BUSY) {
			copy.kind = LH_LEAF_NO_ACCESS;
			copy.flags = lh_directory_read(&scene->child, page_at(page)).flags;
		}
	}
	check_leaf(lh_directory_read(&scene->room.user, page_at(page)), old);
	check_leaf(lh_directory_read(&scene->child, page_at(page)), copy);
}

/* For the walker, to whom nothing is busy at rest. */
static void settle(struct scene *scene)
{
	for (uint64_t page = 0; page < PAGES; page++) {
		lh_leaf leaf = lh_directory_read(&scene->room.user, page_at(page));
		lh_slot slot;

		if (leaf.kind != LH_LEAF_BUSY)
			continue;
		leaf.kind = LH_LEAF_NO_ACCESS;
		lh_slot_find(&slot, &scene->room.user, page_at(page));
		lh_slot_hold(&slot);
		CHECK(lh_slot_settle(&slot, leaf));
		lh_slot_close(&slot);
	}
}

static void copy_and_check(struct scene *scene, uint64_t first, uint64_t count)
{
	lh_virtual_range range = { page_at(first), count };
	lh_spare_tables spares = { 0, 0 };
	lh_tables_passed passed = { .count = 0 };
	lh_pinned_copies pinned = { 0, 0 };
	lh_sharing sharing = { 0, false };
	lh_gather gather;

	/* Page by page: a table that several have is counted once. */
	for (uint64_t page = first; page < first + count; page++)
		lh_directory_pass_locks(&scene->room.user, (lh_virtual_range){ page_at(page), 1 }, false,
					&passed);
	CHECK(passed.count < lh_directory_tables(&scene->room.user));
	CHECK_OK(lh_spare_tables_take(scene->room.frames, passed.count, &spares));
	lh_gather_begin(&gather, &scene->room.user);
	lh_directory_keep_tables(&scene->child);
	lh_directory_copy(&scene->room.user, &scene->child, range, &spares, &pinned, &sharing, &gather);
	lh_directory_let_tables_go(&scene->child);
	lh_gather_finish(&gather);
	lh_spare_tables_give_back(scene->room.frames, &spares);
	for (uint64_t page = 0; page < PAGES; page++)
		check_page(scene, page, page - first < count);
	settle(scene);
	CHECK_SOUND(lh_directory_check(&scene->room.user));
	CHECK_SOUND(lh_directory_check(&scene->child));
}

static void run(bool keeps_dirty_apart)
{
	for (unsigned round = 0; round < 12; round++) {
		static struct scene scene;
		uint64_t first = test_random_below(PAGES), count = 1 + test_random_below(PAGES - first);

		open_scene(&scene, keeps_dirty_apart);
		fill(&scene);
		copy_and_check(&scene, round == 0 ? 0 : first, round == 0 ? PAGES : count);
		close_scene(&scene);
	}
}

TEST(private_leaves_are_copied_and_can_be_written_on_neither_side)
{
	run(false);
}

TEST(so_are_entries_that_keep_dirty_elsewhere)
{
	run(true);
}

TEST(a_table_without_private_leaves_is_not_made)
{
	static struct scene scene;
	uint64_t tables;

	open_scene(&scene, false);
	write_leaf(&scene, 3, leaf_of(scene.frames[3], LH_RIGHT_READ));
	scene.before[3] = lh_directory_read(&scene.room.user, page_at(3));
	tables = lh_directory_tables(&scene.child);
	copy_and_check(&scene, 0, PAGES);
	CHECK_EQUAL(lh_directory_tables(&scene.child), tables);
	close_scene(&scene);
}
