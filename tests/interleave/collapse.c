/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages that are put together to a huge leaf, beside whatever touches, takes, shares or pins one of them. The piece is
 * pages 24 to 535, and the region has all of it; two pages of it are there, the others are missing.
 */
#include "interleave/piece.h"
#include "space/space.h"

#define MISSING UINT64_C(40)

static lh_virtual_range first(test_scene *scene)
{
	return world_range(&scene->world, PAGE_0, 1);
}

/* --- start states --- */

static test_scene *open_pages(void)
{
	test_scene *scene = scene_open(2400);

	world_map(&scene->world, 0, PIECE, PAGES, READ_WRITE);
	scene_load(scene, 0, 0, 0);
	for (uint64_t page = PAGE_0; page < PAGE_0 + 2; page++)
		world_poke(&scene->world, 0, world_page(&scene->world, page), BEFORE);
	return scene;
}

/* Both CPUs run the space, and have the pages cached. */
static void *open_cached(void)
{
	test_scene *scene = open_pages();

	for (unsigned cpu = 0; cpu < 2; cpu++) {
		uint64_t value = BEFORE;

		CHECK_EQUAL(world_access(&scene->world, cpu, 0, world_page(&scene->world, PAGE_0), MMU_WRITE, &value, 8),
			    LH_FAULT_OK);
	}
	return scene;
}

/* What a child had, until it went: the pages are its parent's alone, and none can be written yet. */
static void *open_read_only(void)
{
	test_scene *scene = open_pages();

	CHECK_OK(lh_space_fork(scene->world.space[0], scene->world.space[1]));
	CHECK_OK(lh_space_unmap(scene->world.space[1], whole(scene)));
	return scene;
}

/* The second page is shared with a child: nothing is put together, unless a write comes first. */
static void *open_shared(void)
{
	test_scene *scene = open_pages();

	CHECK_OK(lh_space_fork(scene->world.space[0], scene->world.space[1]));
	CHECK_OK(lh_space_unmap(scene->world.space[1], world_range(&scene->world, PAGE_0 + 1, PIECE + PAGES - PAGE_0 - 1)));
	return scene;
}

/* The pages' frames lie side by side already. */
static test_scene *split(void)
{
	test_scene *scene = scene_open(2400);
	lh_virtual_range page = world_range(&scene->world, MISSING, 1);

	world_map(&scene->world, 0, PIECE, PAGES, READ_WRITE);
	CHECK_OK(lh_space_advise(scene->world.space[0], whole(scene), LH_ADVICE_HUGE));
	scene_load(scene, 0, 0, 0);
	for (uint64_t n = PAGE_0; n < PAGE_0 + 2; n++)
		world_poke(&scene->world, 0, world_page(&scene->world, n), BEFORE);
	CHECK_OK(lh_space_advise(scene->world.space[0], page, LH_ADVICE_NO_HUGE));
	CHECK_OK(lh_space_advise(scene->world.space[0], page, LH_ADVICE_HUGE));
	CHECK_EQUAL(world_leaf(&scene->world, 0, PAGE_0).level, 0);
	return scene;
}

static void *open_split(void)
{
	return split();
}

/* By a format that breaks before it makes, and is otherwise that of the machine. */
static void *open_split_breaking(void)
{
	static lh_paging_format format;
	test_scene *scene = split();
	lh_directory *directory = &scene->world.space[0]->directory;

	format = *directory->format;
	format.break_before_make = true;
	directory->format = &format;
	return scene;
}

/* --- what the CPUs do --- */

static void collapse(void *context)
{
	test_scene *scene = context;

	scene->errors[scene_cpu()] = lh_space_collapse(scene->world.space[0], whole(scene));
}

static void write_there(void *context)
{
	test_scene *scene = context;

	scene->faults[scene_cpu()][0] = scene_write(scene, PAGE_0, scene_mine(1));
}

static void write_missing(void *context)
{
	test_scene *scene = context;

	scene->faults[scene_cpu()][0] = scene_write(scene, MISSING, scene_mine(1));
}

static void read_there(void *context)
{
	test_scene *scene = context;
	unsigned cpu = scene_cpu();

	scene->faults[cpu][0] = scene_read(scene, PAGE_0, &scene->values[cpu][0]);
}

static void fork_to_1(void *context)
{
	test_scene *scene = context;

	scene->errors[scene_cpu()] = lh_space_fork(scene->world.space[0], scene->world.space[1]);
}

static void unmap_first(void *context)
{
	test_scene *scene = context;

	scene->errors[scene_cpu()] = lh_space_unmap(scene->world.space[0], first(scene));
}

static void protect_first(void *context)
{
	test_scene *scene = context;

	scene->errors[scene_cpu()] = lh_space_protect(scene->world.space[0], first(scene), READ);
}

static void discard_first(void *context)
{
	test_scene *scene = context;

	scene->errors[scene_cpu()] = lh_space_discard(scene->world.space[0], first(scene));
}

static void pin_first(void *context)
{
	test_scene *scene = context;
	unsigned cpu = scene_cpu();

	scene->errors[cpu] = lh_space_pin(scene->world.space[0], first(scene), LH_RIGHT_WRITE, LH_PIN_SHORT,
					  scene->frames[cpu], &scene->pinned[cpu]);
}

/* --- what must hold --- */

static bool is_huge(test_scene *scene)
{
	return world_leaf(&scene->world, 0, PIECE).level == 1;
}

/* CPU 0 was let, or saw somebody at work; the page that nobody touches says what it said. */
static void check_collapse(test_scene *scene)
{
	CHECK(scene->errors[0] == LH_OK || scene->errors[0] == LH_AGAIN);
	CHECK_EQUAL(word_of(scene, 0, PAGE_0 + 1), BEFORE);
}

static void check_written(test_scene *scene, uint64_t page)
{
	check_collapse(scene);
	CHECK_EQUAL(scene->faults[1][0], LH_FAULT_OK);
	CHECK_EQUAL(word_of(scene, 0, page), 0x102);
	CHECK_EQUAL(is_huge(scene), scene->errors[0] == LH_OK);
	scene_check(scene);
}

static void check_written_there(void *context)
{
	check_written(context, PAGE_0);
}

static void check_written_missing(void *context)
{
	check_written(context, MISSING);
}

/* Nobody holds a frame for a moment: it is always done. */
static void check_written_surely(void *context)
{
	CHECK_EQUAL(((test_scene *)context)->errors[0], LH_OK);
	check_written_there(context);
}

/* The second page stays a child's too until the end. */
static void check_shared(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(word_of(scene, 1, PAGE_0), BEFORE);
	check_written(scene, PAGE_0);
}

static void check_read(void *context)
{
	test_scene *scene = context;

	check_collapse(scene);
	CHECK_EQUAL(scene->errors[0], LH_OK);
	CHECK_EQUAL(scene->faults[1][0], LH_FAULT_OK);
	CHECK_EQUAL(scene->values[1][0], BEFORE);
	CHECK(is_huge(scene));
	scene_check(scene);
}

static void check_forked(void *context)
{
	test_scene *scene = context;

	check_collapse(scene);
	CHECK_EQUAL(scene->errors[1], LH_OK);
	CHECK_EQUAL(word_of(scene, 1, PAGE_0), BEFORE);
	world_poke(&scene->world, 0, world_page(&scene->world, PAGE_0), 0x900);
	CHECK_EQUAL(word_of(scene, 1, PAGE_0), BEFORE);
	CHECK_EQUAL(word_of(scene, 1, MISSING), 0);
	scene_check(scene);
}

/* The piece is no region's any more, or was huge and is no more. */
static void check_unmapped(void *context)
{
	test_scene *scene = context;

	CHECK(scene->errors[0] == LH_OK || scene->errors[0] == LH_INVALID || scene->errors[0] == LH_NOT_MAPPED);
	CHECK_EQUAL(scene->errors[1], LH_OK);
	CHECK_EQUAL(world_leaf(&scene->world, 0, PAGE_0).kind, LH_LEAF_EMPTY);
	CHECK_EQUAL(word_of(scene, 0, PAGE_0 + 1), BEFORE);
	scene_check(scene);
}

static void check_protected(void *context)
{
	test_scene *scene = context;

	CHECK(scene->errors[0] == LH_OK || scene->errors[0] == LH_INVALID);
	CHECK_EQUAL(scene->errors[1], LH_OK);
	CHECK_EQUAL(world_write(&scene->world, 0, world_page(&scene->world, PAGE_0), 1), LH_FAULT_NO_ACCESS);
	CHECK_EQUAL(word_of(scene, 0, PAGE_0), BEFORE);
	scene_check(scene);
}

static void check_discarded(void *context)
{
	test_scene *scene = context;

	check_collapse(scene);
	CHECK_EQUAL(scene->errors[1], LH_OK);
	CHECK_EQUAL(word_of(scene, 0, PAGE_0), 0);
	scene_check(scene);
}

/* The device and the space see the same. */
static void check_pinned(void *context)
{
	test_scene *scene = context;
	uint64_t *device;

	check_collapse(scene);
	CHECK_EQUAL(scene->errors[1], LH_OK);
	CHECK_EQUAL(world_frame(&scene->world, 0, PAGE_0).value, scene->frames[1][0].value);
	device = lh_frame_pointer(scene->world.frames, scene->frames[1][0]);
	CHECK_EQUAL(*device, BEFORE);
	*device = 0x55;
	CHECK_EQUAL(word_of(scene, 0, PAGE_0), 0x55);
	lh_space_unpin(&scene->pinned[1]);
	scene_check(scene);
}

static void check_both(void *context)
{
	test_scene *scene = context;

	check_collapse(scene);
	CHECK_EQUAL(scene->errors[0], LH_OK);
	CHECK_EQUAL(scene->errors[1], LH_OK);
	CHECK(is_huge(scene));
	CHECK_EQUAL(word_of(scene, 0, PAGE_0), BEFORE);
	CHECK_EQUAL(world_counters(&scene->world, 0).resident, PAGES);
	scene_check(scene);
}

#define COLLAPSE(identifier, start, second, end)                                                \
	CASE(identifier, .host = &scene_host, .fibres = 2, .open = start, .bound = 2,           \
	     .run = { collapse, second }, .check = end)

COLLAPSE(collapse_write, open_cached, write_there, check_written_surely)
COLLAPSE(collapse_write_missing, open_cached, write_missing, check_written_missing)
COLLAPSE(collapse_write_upgrade, open_read_only, write_there, check_written_there)
COLLAPSE(collapse_write_copy, open_shared, write_there, check_shared)
COLLAPSE(collapse_read, open_cached, read_there, check_read)
COLLAPSE(collapse_fork, open_cached, fork_to_1, check_forked)
COLLAPSE(collapse_unmap, open_cached, unmap_first, check_unmapped)
COLLAPSE(collapse_protect, open_cached, protect_first, check_protected)
COLLAPSE(collapse_discard, open_cached, discard_first, check_discarded)
COLLAPSE(collapse_pin, open_cached, pin_first, check_pinned)
COLLAPSE(collapse_collapse, open_cached, collapse, check_both)
COLLAPSE(collapse_promote_write, open_split, write_there, check_written_surely)
COLLAPSE(collapse_promote_read, open_split, read_there, check_read)
COLLAPSE(collapse_break_write, open_split_breaking, write_there, check_written_surely)
COLLAPSE(collapse_break_read, open_split_breaking, read_there, check_read)
COLLAPSE(collapse_promote_pin, open_split, pin_first, check_pinned)
