/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A huge leaf that is split, or put together, while another CPU looks at its pages or takes some away. No region
 * is there, nor memory behind the leaves: only tables.
 */
#include <stdlib.h>

#include <landhold/directory.h>

#include "interleave/scene.h"
#include "space/space.h"

#define ADDRESS (UINT64_C(5) << 30)
#define FRAME UINT64_C(0x80000)
#define PAGES UINT64_C(512)

static lh_directory *directory_of(test_scene *scene)
{
	return &scene->world.space[0]->directory;
}

static lh_virtual_range pages_at(uint64_t page, uint64_t count)
{
	return (lh_virtual_range){ lh_virtual(ADDRESS + page * LH_PAGE_SIZE), count };
}

/* A table for each of the two. */
static lh_spare_tables *spares_of(test_scene *scene, unsigned fibre)
{
	return scene->items[fibre];
}

/* Mapped by leaves of this level; tables are at hand for whoever splits. */
static test_scene *open_level(uint8_t level)
{
	test_scene *scene = scene_open(0);
	lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .rights = READ_WRITE, .level = level, .frame = { FRAME },
			 .flags = LH_LEAF_UNCOUNTED | LH_LEAF_ACCESSED | LH_LEAF_DIRTY };

	for (unsigned fibre = 0; fibre < 2; fibre++)
		scene->items[fibre] = calloc(1, sizeof(lh_spare_tables));
	CHECK_OK(lh_directory_prepare_map(directory_of(scene), pages_at(0, PAGES), leaf, spares_of(scene, 0)));
	CHECK_OK(lh_directory_map(directory_of(scene), pages_at(0, PAGES), leaf, NULL, spares_of(scene, 0)));
	for (unsigned fibre = 0; fibre < 2; fibre++)
		CHECK_OK(lh_spare_tables_take(scene->world.frames, 1, spares_of(scene, fibre)));
	scene_load(scene, 0, 0, -1);
	return scene;
}

/* By a format that breaks before it makes, and is otherwise that of the machine. */
static void *open_breaking(uint8_t level)
{
	static lh_paging_format format;
	test_scene *scene = open_level(level);

	format = *directory_of(scene)->format;
	format.break_before_make = true;
	directory_of(scene)->format = &format;
	return scene;
}

/* Pages in runs, by a bit that x86-64 ignores. */
static void *open_runs(void)
{
	static lh_paging_format format;
	test_scene *scene = scene_open(0);
	lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .rights = READ_WRITE, .frame = { FRAME },
			 .flags = LH_LEAF_UNCOUNTED | LH_LEAF_ACCESSED | LH_LEAF_DIRTY | LH_LEAF_RUNS };

	format = *directory_of(scene)->format;
	format.break_before_make = true;
	format.run = UINT64_C(1) << 52;
	format.run_shift[0] = 2;
	directory_of(scene)->format = &format;
	for (unsigned fibre = 0; fibre < 2; fibre++)
		scene->items[fibre] = calloc(1, sizeof(lh_spare_tables));
	CHECK_OK(lh_directory_prepare_map(directory_of(scene), pages_at(0, 12), leaf, spares_of(scene, 0)));
	CHECK_OK(lh_directory_map(directory_of(scene), pages_at(0, 12), leaf, NULL, spares_of(scene, 0)));
	scene_load(scene, 0, 0, -1);
	return scene;
}

static void *open_leaf_breaking(void)
{
	return open_breaking(1);
}

static void *open_table_breaking(void)
{
	return open_breaking(0);
}

static void *open_leaf(void)
{
	return open_level(1);
}

static void *open_table(void)
{
	return open_level(0);
}

/* (Where a leaf is broken before it is made anew, it is without access meanwhile; and stays so if somebody met it.) */
static void check_page(test_scene *scene, uint64_t page)
{
	lh_leaf leaf = lh_directory_read(directory_of(scene), lh_virtual(ADDRESS + page * LH_PAGE_SIZE));

	if (directory_of(scene)->format->break_before_make)
		CHECK(leaf.kind == LH_LEAF_PRESENT || leaf.kind == LH_LEAF_BUSY || leaf.kind == LH_LEAF_NO_ACCESS);
	else
		CHECK_EQUAL(leaf.kind, LH_LEAF_PRESENT);
	CHECK_EQUAL(leaf.frame.value, leaf.level == 0 ? FRAME + page : FRAME);
}

/* A page of its own, which differs by the CPU, is taken away. */
static void unmap_one(void *context)
{
	test_scene *scene = context;
	lh_virtual_range page = pages_at(7 + scene_cpu(), 1);
	lh_gather gather;

	CHECK_OK(lh_directory_split(directory_of(scene), page, spares_of(scene, scene_cpu())));
	lh_gather_begin(&gather, directory_of(scene));
	lh_directory_clear_range(directory_of(scene), page, &gather);
	lh_gather_finish(&gather);
}

static void read_pages(void *context)
{
	check_page(context, 0);
	check_page(context, 300);
	check_page(context, PAGES - 1);
}

static void unmap_all(void *context)
{
	test_scene *scene = context;
	lh_gather gather;

	lh_gather_begin(&gather, directory_of(scene));
	lh_directory_clear_range(directory_of(scene), pages_at(0, PAGES), &gather);
	lh_gather_finish(&gather);
}

static void restrict_all(void *context)
{
	test_scene *scene = context;
	lh_gather gather;

	lh_gather_begin(&gather, directory_of(scene));
	lh_directory_restrict_range(directory_of(scene), pages_at(0, PAGES), LH_RIGHT_READ, &gather);
	lh_gather_finish(&gather);
}

static void restrict_page(test_scene *scene, uint64_t page)
{
	lh_gather gather;

	lh_gather_begin(&gather, directory_of(scene));
	lh_directory_restrict_range(directory_of(scene), pages_at(page, 1), LH_RIGHT_READ, &gather);
	lh_gather_finish(&gather);
}

/* Of the run of pages 4 to 7. */
static void restrict_in_run(void *context)
{
	restrict_page(context, 5);
}

static void restrict_two_in_run(void *context)
{
	restrict_page(context, 6);
	restrict_page(context, 4);
}

static void unmap_in_run(void *context)
{
	test_scene *scene = context;
	lh_gather gather;

	lh_gather_begin(&gather, directory_of(scene));
	lh_directory_clear_range(directory_of(scene), pages_at(6, 5), &gather);
	lh_gather_finish(&gather);
}

static void promote(void *context)
{
	test_scene *scene = context;

	scene->values[scene_cpu()][0] = lh_directory_promote(directory_of(scene), lh_virtual(ADDRESS), 1);
}

static void close_pages(test_scene *scene)
{
	CHECK_SOUND(lh_directory_check(directory_of(scene)));
	unmap_all(scene);
	for (unsigned fibre = 0; fibre < 2; fibre++) {
		lh_spare_tables_give_back(scene->world.frames, spares_of(scene, fibre));
		free(scene->items[fibre]);
	}
	scene_check(scene);
}

/* Pages from one on are gone; all else is there still. */
static void check_gone(test_scene *scene, uint64_t gone, uint64_t count)
{
	for (uint64_t page = 0; page < PAGES; page++) {
		if (page - gone < count)
			CHECK_EQUAL(lh_directory_read(directory_of(scene), pages_at(page, 1).base).kind,
				    LH_LEAF_EMPTY);
		else
			check_page(scene, page);
	}
	close_pages(scene);
}

/* What could be written can no longer, whichever leaf it lies in now. */
static void check_restricted(void *context)
{
	test_scene *scene = context;

	for (uint64_t page = 0; page < PAGES; page++)
		CHECK_EQUAL(lh_directory_read(directory_of(scene), pages_at(page, 1).base).rights & LH_RIGHT_WRITE,
			    0);
	close_pages(scene);
}

static void check_two_gone(void *context)
{
	check_gone(context, 7, 2);
}

static void check_one_gone(void *context)
{
	check_gone(context, 7, 1);
}

static void check_all_gone(void *context)
{
	check_gone(context, 0, PAGES);
}

static void check_none_gone(void *context)
{
	check_gone(context, 0, 0);
}

/* No right comes back; what is gone stays so; others are there, with or without access. */
static void check_run(test_scene *scene, uint64_t restricted, uint64_t gone)
{
	for (uint64_t page = 0; page < 12; page++) {
		lh_leaf leaf = lh_directory_read(directory_of(scene), pages_at(page, 1).base);

		CHECK_EQUAL(leaf.kind == LH_LEAF_EMPTY, gone >> page & 1);
		if (leaf.kind == LH_LEAF_EMPTY)
			continue;
		CHECK(leaf.kind == LH_LEAF_PRESENT || leaf.kind == LH_LEAF_NO_ACCESS);
		CHECK_EQUAL(leaf.frame.value, FRAME + page);
		if (restricted >> page & 1)
			CHECK_EQUAL(leaf.rights & LH_RIGHT_WRITE, 0);
	}
	close_pages(scene);
}

static void check_three_restricted(void *context)
{
	check_run(context, 0x70, 0);
}

static void check_restricted_and_gone(void *context)
{
	check_run(context, 0x20, 0x7c0);
}

/* --- all of a table --- */

/*
 * A step for each of 512 entries is more than can be tried in all orders: this directory, which no CPU runs, has
 * tables of four leaves.
 */
#define FEW UINT64_C(4)

struct few {
	lh_directory directory;
	lh_paging_format format;
};

static lh_directory *few_of(test_scene *scene)
{
	return &((struct few *)scene->items[0])->directory;
}

static void *open_few(void)
{
	test_scene *scene = scene_open(0);
	struct few *few = scene->items[0] = calloc(1, sizeof *few);
	lh_paging_format *format = &few->format;
	lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .rights = READ_WRITE, .frame = { FRAME },
			 .flags = LH_LEAF_UNCOUNTED | LH_LEAF_ACCESSED | LH_LEAF_DIRTY };
	lh_spare_tables spares = { 0, 0 };

	*format = lh_format_x86_64_4_level;
	format->index_bits[0] = 2;
	for (unsigned level = 1; level < format->levels; level++)
		format->level_shift[level] = (uint8_t)(format->level_shift[level] - 7);
	format->address_bits = 41;
	format->break_before_make = true;
	CHECK_SOUND(lh_paging_format_check(format));
	lh_directory_init(&few->directory, scene->world.frames, format);
	CHECK_OK(lh_directory_add_root(&few->directory));
	CHECK_OK(lh_directory_prepare_map(&few->directory, pages_at(0, FEW), leaf, &spares));
	CHECK_OK(lh_directory_map(&few->directory, pages_at(0, FEW), leaf, NULL, &spares));
	CHECK_EQUAL(spares.count, 0);
	return scene;
}

static void promote_few(void *context)
{
	(void)lh_directory_promote(few_of(context), lh_virtual(ADDRESS), 1);
}

static void restrict_few(void *context)
{
	lh_gather gather;

	lh_gather_begin(&gather, few_of(context));
	lh_directory_restrict_range(few_of(context), pages_at(0, FEW), LH_RIGHT_READ, &gather);
	lh_gather_finish(&gather);
}

static void unmap_few(void *context)
{
	lh_gather gather;

	lh_gather_begin(&gather, few_of(context));
	lh_directory_clear_range(few_of(context), pages_at(0, FEW), &gather);
	lh_gather_finish(&gather);
}

static void check_few_gone(void *context)
{
	CHECK_SOUND(lh_directory_check(few_of(context)));
	CHECK_EQUAL(lh_directory_leaves(few_of(context)), 0);
	lh_directory_destroy(few_of(context));
	free(((test_scene *)context)->items[0]);
	scene_check(context);
}

static void check_few_restricted(void *context)
{
	CHECK_EQUAL(lh_directory_leaves(few_of(context)), FEW);
	for (uint64_t page = 0; page < FEW; page++) {
		lh_leaf leaf = lh_directory_read(few_of(context), pages_at(page, 1).base);

		CHECK_EQUAL(leaf.kind == LH_LEAF_EMPTY || leaf.kind == LH_LEAF_BUSY, false);
		CHECK_EQUAL(leaf.frame.value, leaf.level == 0 ? FRAME + page : FRAME);
		CHECK_EQUAL(leaf.rights & LH_RIGHT_WRITE, 0);
	}
	unmap_few(context);
	check_few_gone(context);
}

#define HUGE_LEAF(identifier, start, first, second, end)                                        \
	CASE(identifier, .host = &scene_host, .fibres = 2, .open = start, .bound = 2,           \
	     .run = { first, second }, .check = end)

HUGE_LEAF(huge_unmap_unmap, open_leaf, unmap_one, unmap_one, check_two_gone)
HUGE_LEAF(huge_unmap_read, open_leaf, unmap_one, read_pages, check_one_gone)
HUGE_LEAF(huge_promote_unmap, open_table, promote, unmap_all, check_all_gone)
HUGE_LEAF(huge_promote_read, open_table, promote, read_pages, check_none_gone)
HUGE_LEAF(huge_break_restrict, open_leaf_breaking, unmap_one, restrict_all, check_restricted)
HUGE_LEAF(huge_break_promote_restrict, open_table_breaking, promote, restrict_all, check_restricted)
HUGE_LEAF(huge_break_promote_unmap, open_table_breaking, promote, unmap_all, check_all_gone)
CASE(huge_few_promote_restrict, .host = &scene_host, .fibres = 2, .open = open_few, .bound = 3,
     .run = { promote_few, restrict_few }, .check = check_few_restricted)
CASE(huge_few_promote_unmap, .host = &scene_host, .fibres = 2, .open = open_few, .bound = 3,
     .run = { promote_few, unmap_few }, .check = check_few_gone)
HUGE_LEAF(run_restrict_restrict, open_runs, restrict_in_run, restrict_two_in_run, check_three_restricted)
HUGE_LEAF(run_restrict_unmap, open_runs, restrict_in_run, unmap_in_run, check_restricted_and_gone)
