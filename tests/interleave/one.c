/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One leaf at a time, by the short ways (src/paging/one.c): what two CPUs do in tables that both remember while one
 * of them changes the same leaf or its neighbour, takes the table away, makes it into something else or copies
 * it. No region is there, nor memory behind the leaves, but for those that are copied: only tables.
 */
#include <stdlib.h>

#include <landhold/directory.h>

#include "interleave/scene.h"
#include "paging/copy.h"
#include "space/space.h"

#define ADDRESS (UINT64_C(5) << 30)
#define FRAME UINT64_C(0x80000)

/* Pages by number from ADDRESS on: three of one leaf table, one of the next, and one that is always there, so
 * that only leaf tables come and go. Huge leaves by the page that they begin at, in a level-1 table of their own. */
enum { FIRST = 7, SECOND = 8, THIRD = 300, OTHER = 512 + SECOND, ALWAYS = 1024 };
enum { HUGE = 512 * 512, HUGE_FIRST = HUGE + 7 * 512, HUGE_SECOND = HUGE + 8 * 512 };
static const uint64_t all[] = { FIRST, SECOND, THIRD, OTHER, ALWAYS, HUGE_FIRST, HUGE_SECOND };

static lh_directory *directory_of(test_scene *scene, unsigned space)
{
	return &scene->world.space[space]->directory;
}

static lh_virtual_address page_at(uint64_t page)
{
	return lh_virtual(ADDRESS + page * LH_PAGE_SIZE);
}

static lh_virtual_range range_at(uint64_t page, uint64_t count)
{
	return (lh_virtual_range){ page_at(page), count };
}

static lh_leaf leaf_at(uint64_t page)
{
	return (lh_leaf){ .kind = LH_LEAF_PRESENT, .rights = READ_WRITE, .flags = LH_LEAF_UNCOUNTED,
			  .level = page >= HUGE, .frame = { FRAME + page } };
}

static lh_spare_tables *spares_of(test_scene *scene, unsigned fibre)
{
	return scene->items[fibre];
}

/* By the short way if it can be, else by the long one. */
static void write_with(test_scene *scene, lh_spare_tables *spares, unsigned space, uint64_t page)
{
	lh_directory *directory = directory_of(scene, space);
	lh_leaf leaf = leaf_at(page);

	if (leaf.level != 0)
		CHECK_OK(lh_directory_write_large(directory, page_at(page), leaf, spares));
	else if (!lh_directory_write_at_once(directory, page_at(page), leaf))
		CHECK_OK(lh_directory_write(directory, page_at(page), leaf, spares));
}

static void clear(test_scene *scene, uint64_t page)
{
	lh_gather gather;

	if (page < HUGE) {
		lh_directory_clear_one(directory_of(scene, 0), page_at(page));
		return;
	}
	lh_gather_begin(&gather, directory_of(scene, 0));
	lh_directory_clear_range(directory_of(scene, 0), range_at(page, 512), &gather);
	lh_gather_finish(&gather);
}

/* What is there is the page's own. */
static bool is_there(test_scene *scene, uint64_t page)
{
	lh_leaf leaf = lh_directory_read(directory_of(scene, 0), page_at(page));

	/* Where a leaf is broken before it is made anew, it is without access meanwhile. */
	CHECK(leaf.kind == LH_LEAF_EMPTY || leaf.kind == LH_LEAF_PRESENT ||
	      (directory_of(scene, 0)->format->break_before_make && !lh_leaf_is_mark(leaf.kind)));
	if (leaf.kind == LH_LEAF_PRESENT)
		CHECK_EQUAL(leaf.frame.value, FRAME + (leaf.level == 1 ? page & ~UINT64_C(511) : page));
	return leaf.kind != LH_LEAF_EMPTY;
}

/* --- start states --- */

/* Each of the two CPUs has tables at hand for whoever needs one, and remembers the table of a page. */
static void be_near(test_scene *scene, uint64_t page)
{
	for (unsigned cpu = 0; cpu < 2; cpu++) {
		unsigned before = machine_run_on(scene->world.machine, cpu);

		is_there(scene, page);
		machine_run_on(scene->world.machine, before);
	}
}

static test_scene *open_pages(const uint64_t *pages, unsigned count, uint64_t near)
{
	test_scene *scene = scene_open(0);

	for (unsigned fibre = 0; fibre < 2; fibre++) {
		scene->items[fibre] = calloc(1, sizeof(lh_spare_tables));
		CHECK_OK(lh_spare_tables_take(scene->world.frames, 8, spares_of(scene, fibre)));
	}
	write_with(scene, spares_of(scene, 0), 0, ALWAYS);
	write_with(scene, spares_of(scene, 0), 1, ALWAYS);
	for (unsigned i = 0; i < count; i++)
		write_with(scene, spares_of(scene, 0), 0, pages[i]);
	for (unsigned fibre = 0; fibre < 2; fibre++) {
		lh_spare_tables_give_back(scene->world.frames, spares_of(scene, fibre));
		CHECK_OK(lh_spare_tables_take(scene->world.frames, 2, spares_of(scene, fibre)));
	}
	scene_load(scene, 0, 0, -1);
	be_near(scene, near);
	return scene;
}

#define OPEN(name, near, ...)                                                             \
	static void *open_##name(void)                                                    \
	{                                                                                 \
		static const uint64_t pages[] = { __VA_ARGS__ };                          \
		return open_pages(pages, sizeof pages / sizeof *pages, near);             \
	}
OPEN(second, SECOND, SECOND)
OPEN(third, THIRD, THIRD)
OPEN(two, SECOND, FIRST, SECOND)
OPEN(second_and_third, SECOND, SECOND, THIRD)
OPEN(huge_second, HUGE_SECOND, HUGE_SECOND)

/* One huge leaf, or the pages in its place, where the others are. */
static void *open_whole(uint8_t level)
{
	test_scene *scene = open_pages(NULL, 0, ALWAYS);
	lh_leaf leaf = leaf_at(0);

	leaf.level = level;
	leaf.flags |= LH_LEAF_ACCESSED | LH_LEAF_DIRTY;
	CHECK_OK(lh_directory_map(directory_of(scene, 0), range_at(0, 512), leaf, NULL, spares_of(scene, 0)));
	CHECK_OK(lh_spare_tables_take(scene->world.frames, 1, spares_of(scene, 0)));
	be_near(scene, FIRST);
	return scene;
}
static void *open_leaf(void) { return open_whole(1); }
static void *open_table(void) { return open_whole(0); }

/* A private page, which a copy is to be made of. */
static void *open_private(void)
{
	test_scene *scene = open_pages(NULL, 0, ALWAYS);
	lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .rights = READ_WRITE };

	CHECK_OK(lh_frame_allocate(scene->world.frames, LH_FRAME_ANONYMOUS, LH_FRAME_UNCHARGED, &leaf.frame));
	lh_frame_hold(scene->world.frames, leaf.frame);
	CHECK_OK(lh_directory_write(directory_of(scene, 0), page_at(SECOND), leaf, spares_of(scene, 0)));
	scene->frames[0][0] = leaf.frame;
	lh_directory_keep_tables(directory_of(scene, 1));
	is_there(scene, ALWAYS);
	return scene;
}

/* --- operations --- */

static void write_in(test_scene *scene, unsigned space, uint64_t page)
{
	write_with(scene, spares_of(scene, scene_cpu()), space, page);
}
static void write_first(void *scene) { write_in(scene, 0, FIRST); }
static void write_second(void *scene) { write_in(scene, 0, SECOND); }
static void write_huge_first(void *scene) { write_in(scene, 0, HUGE_FIRST); }
static void clear_first(void *scene) { clear(scene, FIRST); }
static void clear_second(void *scene) { clear(scene, SECOND); }
static void clear_huge_second(void *scene) { clear(scene, HUGE_SECOND); }

/* What has gone does not come back. */
static void read_second(void *context)
{
	bool before = is_there(context, SECOND);

	CHECK(is_there(context, SECOND) <= before);
}

static void restrict_second(void *context)
{
	test_scene *scene = context;
	lh_gather gather;

	lh_gather_begin(&gather, directory_of(scene, 0));
	lh_directory_restrict_range(directory_of(scene, 0), range_at(SECOND, 1), LH_RIGHT_READ, &gather);
	lh_gather_finish(&gather);
	CHECK_EQUAL(lh_directory_read(directory_of(scene, 0), page_at(SECOND)).rights & LH_RIGHT_WRITE, 0);
}

/* By what both remember. */
static void read_and_write(void *context)
{
	is_there(context, SECOND);
	write_first(context);
	CHECK(is_there(context, FIRST));
}

/* The leaf table goes with its last page, and comes back as another's, at the same slot. */
static void free_and_link(test_scene *scene, unsigned space)
{
	lh_spare_tables *spares = spares_of(scene, scene_cpu());

	clear(scene, SECOND);
	lh_spare_tables_give_back(scene->world.frames, spares);
	CHECK_OK(lh_spare_tables_take(scene->world.frames, 1, spares));
	write_in(scene, space, OTHER);
}
static void table_returns(void *scene) { free_and_link(scene, 0); }
static void table_returns_elsewhere(void *scene) { free_and_link(scene, 1); }

static void promote(void *context)
{
	lh_directory_promote(directory_of(context, 0), page_at(0), 1);
}

static void split_for(test_scene *scene, uint64_t page)
{
	CHECK_OK(lh_directory_split(directory_of(scene, 0), range_at(page, 1), spares_of(scene, scene_cpu())));
}

static void split_and_clear_first(void *scene)
{
	split_for(scene, FIRST);
	clear(scene, FIRST);
}

static void split_and_restrict_second(void *scene)
{
	split_for(scene, SECOND);
	restrict_second(scene);
}

static void copy(void *context)
{
	test_scene *scene = context;
	lh_sharing sharing = { 0, false };
	lh_gather gather;

	lh_gather_begin(&gather, directory_of(scene, 0));
	lh_directory_copy(directory_of(scene, 0), directory_of(scene, 1), range_at(0, 512),
			  spares_of(scene, scene_cpu()), NULL, &sharing, &gather);
	lh_gather_finish(&gather);
}

/* --- ends --- */

static void close_scene(test_scene *scene)
{
	for (unsigned space = 0; space < 2; space++) {
		lh_directory *directory = directory_of(scene, space);
		lh_gather gather;

		CHECK_SOUND(lh_directory_check(directory));
		lh_gather_begin(&gather, directory);
		lh_directory_clear_range(directory, range_at(0, 2 * HUGE), &gather);
		lh_gather_finish(&gather);
		CHECK_EQUAL(lh_directory_leaves(directory), 0);
	}
	for (unsigned fibre = 0; fibre < 2; fibre++) {
		lh_spare_tables_give_back(scene->world.frames, spares_of(scene, fibre));
		free(scene->items[fibre]);
	}
	scene_check(scene);
}

/* Exactly these are there. */
static void check_there(test_scene *scene, const uint64_t *pages, unsigned count)
{
	for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
		bool expected = all[i] == ALWAYS;

		for (unsigned k = 0; k < count; k++)
			expected |= pages[k] == all[i];
		CHECK_EQUAL(is_there(scene, all[i]), expected);
	}
	close_scene(scene);
}

#define THERE(name, ...)                                                                  \
	static void check_##name(void *scene)                                             \
	{                                                                                 \
		static const uint64_t pages[] = { __VA_ARGS__ };                          \
		check_there(scene, pages, sizeof pages / sizeof *pages);                  \
	}
THERE(none, ALWAYS)
THERE(first, FIRST)
THERE(third, THIRD)
THERE(first_and_third, FIRST, THIRD)
THERE(first_and_other, FIRST, OTHER)
THERE(huge_first, HUGE_FIRST)

/* It was written before it was cleared, or after. */
static void check_second_or_not(void *scene)
{
	(void)is_there(scene, SECOND);
	CHECK(is_there(scene, THIRD));
	close_scene(scene);
}

/* All pages, but perhaps one; what was restricted is. */
static void check_whole(test_scene *scene, bool first_gone, lh_rights second)
{
	for (uint64_t page = 0; page < 512; page++)
		CHECK_EQUAL(is_there(scene, page), page != FIRST || !first_gone);
	/* (Without access, if somebody met it while it was broken.) */
	if (!directory_of(scene, 0)->format->break_before_make)
		CHECK_EQUAL(lh_directory_read(directory_of(scene, 0), page_at(SECOND)).rights, second);
	CHECK_EQUAL(lh_directory_read(directory_of(scene, 0), page_at(SECOND)).rights & ~second, 0);
	close_scene(scene);
}
static void check_all(void *scene) { check_whole(scene, false, READ_WRITE); }
static void check_second_restricted(void *scene) { check_whole(scene, true, READ); }

/* Each leaf that names the frame holds it, and so do we. */
static void check_copied(void *context)
{
	test_scene *scene = context;
	lh_leaf copied = lh_directory_read(directory_of(scene, 1), page_at(SECOND));
	lh_frame_number frame = scene->frames[0][0];

	CHECK(!is_there(scene, SECOND));
	CHECK(copied.kind == LH_LEAF_EMPTY || copied.frame.value == frame.value);
	CHECK_EQUAL(copied.rights & LH_RIGHT_WRITE, 0);
	CHECK_EQUAL(lh_frame_entry_of(scene->world.frames, frame)->holders, copied.kind == LH_LEAF_EMPTY ? 1 : 2);
	lh_directory_let_tables_go(directory_of(scene, 1));
	lh_frame_drop(scene->world.frames, frame);
	close_scene(scene);
}

#define ONE(identifier, start, first, second, end)                                        \
	CASE(identifier, .host = &scene_host, .fibres = 2, .open = start, .bound = 2,     \
	     .run = { first, second }, .check = end)

ONE(one_write_clear, open_second_and_third, write_first, clear_second, check_first_and_third)
ONE(one_write_clear_last, open_second, write_first, clear_second, check_first)
ONE(one_write_clear_same, open_third, write_second, clear_second, check_second_or_not)
ONE(one_clear_clear, open_two, clear_first, clear_second, check_none)
ONE(one_clear_clear_same, open_second_and_third, clear_second, clear_second, check_third)
ONE(one_clear_read, open_second, read_second, clear_second, check_none)
ONE(one_restrict_clear, open_second_and_third, restrict_second, clear_second, check_third)
ONE(one_table_returns, open_second, read_and_write, table_returns, check_first_and_other)
ONE(one_table_returns_elsewhere, open_second, read_and_write, table_returns_elsewhere, check_first)
ONE(one_huge_write_clear_last, open_huge_second, write_huge_first, clear_huge_second, check_huge_first)
ONE(one_promote_read, open_table, promote, read_second, check_all)
ONE(one_split_restrict_clear, open_leaf, split_and_restrict_second, split_and_clear_first, check_second_restricted)
ONE(one_copy_clear, open_private, clear_second, copy, check_copied)
