/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Remapping, beside who touches the pages where they were or where they go, who forks, truncates, writes back, or
 * remaps the same pages. Two pages, or all that a leaf table has: pages 24 to 535, to the 512 behind.
 */
#include "interleave/scene.h"
#include "space/space.h"

#define FROM UINT64_C(30)
#define TO UINT64_C(40)
#define COUNT UINT64_C(2)
#define PIECE UINT64_C(24)
#define PAGES UINT64_C(512)
#define OLD UINT64_C(0x700)
#define WRITTEN UINT64_C(0x102) /* by CPU 1 */

/* --- start states --- */

/* So many pages go from one place to another; both CPUs run the space. */
static test_scene *to_move(test_scene *scene, uint64_t from, uint64_t to, uint64_t pages)
{
	scene->extra[0] = from;
	scene->extra[1] = to;
	scene->extra[2] = pages;
	scene_load(scene, 0, 0, -1);
	return scene;
}

static test_scene *open_pages(void)
{
	test_scene *scene = scene_open(0);

	world_map(&scene->world, 0, FROM, COUNT, READ_WRITE);
	world_poke(&scene->world, 0, world_page(&scene->world, FROM), OLD);
	return to_move(scene, FROM, TO, COUNT);
}

/* Both CPUs have the page cached. */
static void *open_cached(void)
{
	test_scene *scene = open_pages();
	uint64_t value;

	for (unsigned cpu = 0; cpu < 2; cpu++)
		CHECK_EQUAL(world_access(&scene->world, cpu, 0, world_page(&scene->world, FROM), MMU_READ, &value, 8),
			    LH_FAULT_OK);
	return scene;
}

/* Something is at the new place already: what is written there is lost. */
static void *open_over(void)
{
	test_scene *scene = open_pages();

	world_map(&scene->world, 0, TO - 1, COUNT + 1, READ_WRITE);
	world_poke(&scene->world, 0, world_page(&scene->world, TO), 5);
	return scene;
}

static void *open_piece(void)
{
	test_scene *scene = scene_open(2400);

	world_map(&scene->world, 0, PIECE, PAGES, READ_WRITE);
	world_poke(&scene->world, 0, world_page(&scene->world, FROM), OLD);
	world_map(&scene->world, 0, 1060, 1, READ_WRITE);
	return to_move(scene, PIECE, PIECE + PAGES, PAGES);
}

/* The CPU that touches it does not run the space. */
static void *open_piece_foreign(void)
{
	test_scene *scene = open_piece();

	scene_load(scene, 0, -1, -1);
	return scene;
}

static test_scene *open_object(uint64_t page, uint64_t to, uint64_t pages, uint32_t flags)
{
	test_scene *scene = scene_open(pages == PAGES ? 2400 : 0);

	scene->object = world_object(&scene->world, pages * PAGE, false);
	world_map_object(&scene->world, 0, page, pages, READ_WRITE, flags, scene->object, 0);
	world_poke(&scene->world, 0, world_page(&scene->world, FROM), OLD);
	return to_move(scene, page, to, pages);
}

static void *open_shared(void) { return open_object(FROM, TO, COUNT, LH_REGION_SHARED); }
static void *open_private(void) { return open_object(FROM, TO, COUNT, 0); }
static void *open_object_piece(void) { return open_object(PIECE, PIECE + PAGES, PAGES, 0); }

static void *open_file(void)
{
	test_scene *scene = scene_open(0);

	scene->object = world_file_open(&scene->world, &scene->file, COUNT * PAGE);
	world_map_object(&scene->world, 0, FROM, COUNT, READ_WRITE, LH_REGION_SHARED, scene->object, 0);
	world_poke(&scene->world, 0, world_page(&scene->world, FROM), OLD);
	return to_move(scene, FROM, TO, COUNT);
}

/* --- what the CPUs do --- */

static uint64_t new_page(const test_scene *scene)
{
	return FROM - scene->extra[0] + scene->extra[1];
}

static void move_to(test_scene *scene, lh_where where, uint64_t to)
{
	lh_remap_request request = {
		.range = world_range(&scene->world, scene->extra[0], scene->extra[2]),
		.flags = LH_REMAP_MOVE,
		.to = { .where = where, .pages = scene->extra[2],
			.address = lh_virtual(world_page(&scene->world, to)) },
	};
	lh_virtual_range placed;

	scene->errors[scene_cpu()] = lh_space_remap(scene->world.space[0], &request, &placed);
}

static void move(void *context)
{
	test_scene *scene = context;

	move_to(scene, LH_AT, scene->extra[1]);
}

static void move_over(void *context)
{
	test_scene *scene = context;

	move_to(scene, LH_OVER, scene->extra[1]);
}

static void move_elsewhere(void *context)
{
	test_scene *scene = context;

	move_to(scene, LH_AT, scene->extra[1] + 8);
}

static void write_old(void *context)
{
	test_scene *scene = context;

	scene->faults[scene_cpu()][0] = scene_write(scene, FROM, scene_mine(1));
}

static void write_beside(void *context)
{
	test_scene *scene = context;

	scene->faults[scene_cpu()][0] = scene_write(scene, FROM + 1, scene_mine(1));
}

static void fault_beside(void *context)
{
	test_scene *scene = context;

	scene->faults[scene_cpu()][0] = lh_space_fault(
		scene->world.space[0], lh_virtual(world_page(&scene->world, FROM + 1)), WRITE);
}

static void write_new(void *context)
{
	test_scene *scene = context;

	scene->faults[scene_cpu()][0] = scene_write(scene, new_page(scene), scene_mine(1));
}

/* What is to be reached at its new place is not at the old one any more. */
static void read_both(void *context)
{
	test_scene *scene = context;
	uint64_t value = 0, other = 0;
	lh_fault there = scene_read(scene, new_page(scene), &value), here = scene_read(scene, FROM, &other);

	CHECK(there == LH_FAULT_OK || there == LH_FAULT_NOT_MAPPED);
	CHECK(there != LH_FAULT_OK || value == OLD);
	CHECK(here == LH_FAULT_NOT_MAPPED || (here == LH_FAULT_OK && other == OLD));
	CHECK(there != LH_FAULT_OK || here == LH_FAULT_NOT_MAPPED);
}

static void fork_it(void *context)
{
	test_scene *scene = context;

	CHECK_OK(lh_space_fork(scene->world.space[0], scene->world.space[1]));
}

static void truncate(void *context)
{
	test_scene *scene = context;

	CHECK_OK(lh_object_resize(scene->object, 0));
}

static void write_back(void *context)
{
	test_scene *scene = context;

	CHECK_OK(lh_object_sync(scene->object, 0, COUNT));
}

/* --- what must come of it --- */

static void check_gone(test_scene *scene)
{
	uint64_t value;

	CHECK_EQUAL(scene->errors[0], LH_OK);
	CHECK_EQUAL(world_read(&scene->world, 0, world_page(&scene->world, FROM), &value), LH_FAULT_NOT_MAPPED);
}

/* A write that came through was before the move. */
static void check_written_old(void *context)
{
	test_scene *scene = context;
	lh_fault fault = scene->faults[1][0];

	CHECK(fault == LH_FAULT_OK || fault == LH_FAULT_NOT_MAPPED);
	check_gone(scene);
	CHECK_EQUAL(world_peek(&scene->world, 0, world_page(&scene->world, new_page(scene))),
		    fault == LH_FAULT_OK ? WRITTEN : OLD);
	scene_check(scene);
}

static void check_beside(void *context)
{
	test_scene *scene = context;
	lh_fault fault = scene->faults[1][0];

	CHECK(fault == LH_FAULT_OK || fault == LH_FAULT_NOT_MAPPED);
	check_gone(scene);
	CHECK_EQUAL(world_peek(&scene->world, 0, world_page(&scene->world, new_page(scene))), OLD);
	CHECK_EQUAL(world_peek(&scene->world, 0, world_page(&scene->world, new_page(scene) + 1)) != 0,
		    fault == LH_FAULT_OK && scene->extra[3] == 0);
	scene_check(scene);
}

static void check_beside_foreign(void *context)
{
	test_scene *scene = context;

	scene->extra[3] = 1; /* nothing is written */
	check_beside(scene);
}

/* To what was there, or to what is there now. */
static void check_written_new(void *context)
{
	test_scene *scene = context;
	lh_fault fault = scene->faults[1][0];
	uint64_t value;

	check_gone(scene);
	value = world_peek(&scene->world, 0, world_page(&scene->world, new_page(scene)));
	CHECK(fault == LH_FAULT_OK || fault == LH_FAULT_NOT_MAPPED);
	CHECK(value == OLD || (fault == LH_FAULT_OK && value == WRITTEN));
	scene_check(scene);
}

static void check_moved(void *context)
{
	test_scene *scene = context;

	check_gone(scene);
	CHECK_EQUAL(world_peek(&scene->world, 0, world_page(&scene->world, new_page(scene))), OLD);
	scene_check(scene);
}

/* The child has it at one of the places. */
static void check_forked(void *context)
{
	test_scene *scene = context;
	uint64_t here = 0, there = 0;
	lh_fault old = world_read(&scene->world, 1, world_page(&scene->world, FROM), &here);
	lh_fault new = world_read(&scene->world, 1, world_page(&scene->world, new_page(scene)), &there);

	CHECK((old == LH_FAULT_OK) != (new == LH_FAULT_OK));
	CHECK_EQUAL(here + there, OLD);
	check_moved(scene);
}

static void check_truncated(void *context)
{
	test_scene *scene = context;
	uint64_t value;

	check_gone(scene);
	CHECK_EQUAL(world_counters(&scene->world, 0).resident, 0);
	CHECK_EQUAL(world_read(&scene->world, 0, world_page(&scene->world, new_page(scene)), &value), LH_FAULT_BUS);
	scene_check(scene);
}

static void check_one_moved(void *context)
{
	test_scene *scene = context;
	uint64_t first = 0, second = 0;
	lh_fault there = world_read(&scene->world, 0, world_page(&scene->world, TO), &first);
	lh_fault elsewhere = world_read(&scene->world, 0, world_page(&scene->world, TO + 8), &second);

	CHECK((scene->errors[0] == LH_OK) != (scene->errors[1] == LH_OK));
	CHECK((there == LH_FAULT_OK) != (elsewhere == LH_FAULT_OK));
	CHECK_EQUAL(first + second, OLD);
	scene_check(scene);
}

static void *open_two(void) { return open_pages(); }

#define REMAP(identifier, start, first, second, end)                                             \
	CASE(identifier, .host = &scene_host, .fibres = 2, .open = start, .bound = 2,            \
	     .run = { first, second }, .check = end)

REMAP(remap_write_old, open_two, move, write_old, check_written_old)
REMAP(remap_write_fresh, open_two, move, write_beside, check_beside)
REMAP(remap_write_new, open_two, move, write_new, check_written_new)
REMAP(remap_over_write_new, open_over, move_over, write_new, check_written_new)
REMAP(remap_read_both, open_cached, move, read_both, check_moved)
REMAP(remap_fork, open_two, move, fork_it, check_forked)
REMAP(remap_remap, open_two, move, move_elsewhere, check_one_moved)
REMAP(remap_truncate_shared, open_shared, move, truncate, check_truncated)
REMAP(remap_truncate_private, open_private, move, truncate, check_truncated)
REMAP(remap_write_back, open_file, move, write_back, check_moved)
REMAP(remap_table_write_old, open_piece, move, write_old, check_written_old)
REMAP(remap_table_write_fresh, open_piece, move, write_beside, check_beside)
REMAP(remap_table_fault_foreign, open_piece_foreign, move, fault_beside, check_beside_foreign)
REMAP(remap_table_truncate, open_object_piece, move, truncate, check_truncated)
REMAP(remap_table_read_both, open_piece, move, read_both, check_moved)
REMAP(remap_table_fork, open_piece, move, fork_it, check_forked)
