/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Failure inside of interleavings: the n-th step that takes something (a frame, a table, a region, a
 * charge), or the n-th read or write of a file, fails, whoever of the two CPUs comes to it. Who is refused
 * has changed nothing; when nothing fails any more, all succeed. Steps fail on demand in builds with
 * LH_DEBUG 2 only.
 */
#include "interleave/scene.h"

#if LH_DEBUG >= 2

#define OLD UINT64_C(0x700)

/* --- start states --- */

/* Pages 30 to 33 of space 0; 31 is there. Space 1 is empty. */
static test_scene *open_pages(void)
{
	test_scene *scene = scene_open(0);

	world_map(&scene->world, 0, SCENE_PAGE, 4, READ_WRITE);
	world_poke(&scene->world, 0, world_page(&scene->world, SCENE_PAGE + 1), OLD);
	scene_load(scene, 0, 0, 0);
	return scene;
}

static void *open_with_failure(uint64_t step)
{
	test_scene *scene = open_pages();

	lh_frames_fail_at(scene->world.frames, step);
	return scene;
}

static void *open_file_with_failure(uint64_t step)
{
	test_scene *scene = scene_open(0);

	scene->object = world_file_open(&scene->world, &scene->file, 2 * PAGE);
	world_map_object(&scene->world, 0, SCENE_PAGE, 2, READ_WRITE, LH_REGION_SHARED,
			 scene->object, 0);
	world_poke(&scene->world, 0, world_page(&scene->world, SCENE_PAGE + 1), OLD);
	scene_load(scene, 0, 0, 0);
	world_file_fail_at(&scene->file, step);
	return scene;
}

/* A stack at pages 34 and 35 of space 0. */
static void *open_stack_with_failure(uint64_t step)
{
	test_scene *scene = scene_open(0);
	lh_virtual_range placed, range = world_range(&scene->world, SCENE_PAGE + 4, 2);
	lh_map_request request = { .where = LH_AT, .address = range.base, .pages = range.pages,
				   .rights = READ_WRITE, .flags = LH_REGION_GROWS_DOWN };

	CHECK_OK(lh_space_map(scene->world.space[0], &request, &placed));
	lh_space_set_limits(scene->world.space[0], &(lh_space_limits){ .stack_pages = 8 });
	world_poke(&scene->world, 0, world_page(&scene->world, SCENE_PAGE + 4), OLD);
	scene_load(scene, 0, 0, 0);
	lh_frames_fail_at(scene->world.frames, step);
	return scene;
}

/* --- what the CPUs do --- */

static void write_page(void *context)
{
	test_scene *scene = context;

	scene->faults[scene_cpu()][0] = scene_write(scene, SCENE_PAGE, scene_mine(1));
}

static void write_next_page(void *context)
{
	test_scene *scene = context;

	scene->faults[scene_cpu()][0] = scene_write(scene, SCENE_PAGE + 1, scene_mine(1));
}

static void fork_it(void *context)
{
	test_scene *scene = context;

	scene->errors[1] = lh_space_fork(scene->world.space[0], scene->world.space[1]);
}

/* The middle of the region: a piece more is needed. */
static void unmap_middle(void *context)
{
	test_scene *scene = context;

	scene->errors[1] = lh_space_unmap(scene->world.space[0],
					  world_range(&scene->world, SCENE_PAGE + 1, 1));
}

static lh_error map_over_middle(test_scene *scene)
{
	lh_virtual_range placed, middle = world_range(&scene->world, SCENE_PAGE + 2, 1);
	lh_map_request request = { .where = LH_OVER, .pages = 1, .rights = READ_WRITE,
				   .address = middle.base };

	return lh_space_map(scene->world.space[0], &request, &placed);
}

static void map_middle(void *context)
{
	test_scene *scene = context;

	scene->errors[1] = map_over_middle(scene);
}

static void sync_file(void *context)
{
	test_scene *scene = context;

	scene->errors[1] = lh_object_sync(scene->object, 0, 2);
}

/* --- what must hold --- */

static void check_refusals(const test_scene *scene)
{
	CHECK(scene->faults[0][0] == LH_FAULT_OK || scene->faults[0][0] == LH_FAULT_NO_MEMORY);
	CHECK(scene->errors[1] == LH_OK || scene->errors[1] == LH_NO_MEMORY);
	/* One step fails. */
	CHECK(scene->faults[0][0] == LH_FAULT_OK || scene->errors[1] == LH_OK);
}

/* Nothing fails any more; the page holds what was written, or nothing where that was refused. */
static void mend(test_scene *scene)
{
	uint64_t value;

	check_refusals(scene);
	lh_frames_fail_at(scene->world.frames, 0);
	value = world_peek(&scene->world, 0, world_page(&scene->world, SCENE_PAGE));
	CHECK_EQUAL(value, scene->faults[0][0] == LH_FAULT_OK ? 0x101 : 0);
}

static void check_forked(void *context)
{
	test_scene *scene = context;
	test_world *world = &scene->world;

	mend(scene);
	if (scene->errors[1] != LH_OK) {
		CHECK_EQUAL(world_counters(world, 1).regions, 0);
		CHECK_EQUAL(world_counters(world, 1).resident, 0);
		CHECK_OK(lh_space_fork(world->space[0], world->space[1]));
	}
	CHECK_EQUAL(world_peek(world, 1, world_page(world, SCENE_PAGE + 1)), OLD);
	world_poke(world, 0, world_page(world, SCENE_PAGE + 1), 1);
	CHECK_EQUAL(world_peek(world, 1, world_page(world, SCENE_PAGE + 1)), OLD);
	scene_check(scene);
}

static void check_unmapped(void *context)
{
	test_scene *scene = context;
	test_world *world = &scene->world;
	uint64_t value;

	mend(scene);
	CHECK_EQUAL(world_counters(world, 0).regions, scene->errors[1] == LH_OK ? 2 : 1);
	if (scene->errors[1] != LH_OK) {
		CHECK_EQUAL(world_peek(world, 0, world_page(world, SCENE_PAGE + 1)), OLD);
		CHECK_OK(lh_space_unmap(world->space[0], world_range(world, SCENE_PAGE + 1, 1)));
	}
	CHECK_EQUAL(world_read(world, 0, world_page(world, SCENE_PAGE + 1), &value),
		    LH_FAULT_NOT_MAPPED);
	scene_check(scene);
}

static void check_mapped(void *context)
{
	test_scene *scene = context;

	mend(scene);
	if (scene->errors[1] != LH_OK)
		CHECK_OK(map_over_middle(scene));
	CHECK_EQUAL(world_peek(&scene->world, 0, world_page(&scene->world, SCENE_PAGE + 2)), 0);
	scene_check(scene);
}

/* The stack has grown as far as somebody was allowed to, and nowhere else is a leaf. */
static void check_grown(void *context)
{
	test_scene *scene = context;
	test_world *world = &scene->world;
	bool lower = scene->faults[0][0] == LH_FAULT_OK, upper = scene->faults[1][0] == LH_FAULT_OK;

	CHECK(lower || upper);
	CHECK(lower || scene->faults[0][0] == LH_FAULT_NO_MEMORY);
	CHECK(upper || scene->faults[1][0] == LH_FAULT_NO_MEMORY);
	lh_frames_fail_at(world->frames, 0);
	CHECK_EQUAL(lh_space_check(world->space[0]), NULL);
	CHECK_EQUAL(world_peek(world, 0, world_page(world, SCENE_PAGE)), lower ? 0x101 : 0);
	CHECK_EQUAL(world_peek(world, 0, world_page(world, SCENE_PAGE + 1)), upper ? 0x102 : 0);
	scene_check(scene);
}

/* What a sync could not store is dirty still, and is stored by the next. */
static void check_stored(void *context)
{
	test_scene *scene = context;
	bool wrote = scene->faults[0][0] == LH_FAULT_OK;

	CHECK(wrote || scene->faults[0][0] == LH_FAULT_BUS);
	CHECK(scene->errors[1] == LH_OK || scene->errors[1] == LH_IO);
	CHECK(wrote || scene->errors[1] == LH_OK);
	world_file_fail_at(&scene->file, 0);
	CHECK_OK(lh_object_sync(scene->object, 0, 2));
	CHECK_EQUAL(world_file_disk(&scene->file, 0), wrote ? 0x101 : world_file_word(0, 0));
	CHECK_EQUAL(world_file_disk(&scene->file, 1), OLD);
	scene_check(scene);
}

#define FAILING(identifier, start, n, second, end)                                              \
	static void *open_##identifier##_##n(void) { return start(n); }                         \
	CASE(identifier##_##n, .host = &scene_host, .fibres = 2, .bound = 2,                    \
	     .open = open_##identifier##_##n, .run = { write_page, second }, .check = end)

#define FAILING_6(identifier, second, end)                                                      \
	FAILING(identifier, open_with_failure, 1, second, end)                                  \
	FAILING(identifier, open_with_failure, 2, second, end)                                  \
	FAILING(identifier, open_with_failure, 3, second, end)                                  \
	FAILING(identifier, open_with_failure, 4, second, end)                                  \
	FAILING(identifier, open_with_failure, 5, second, end)                                  \
	FAILING(identifier, open_with_failure, 6, second, end)

FAILING_6(failing_fault_fork, fork_it, check_forked)
FAILING_6(failing_fault_unmap, unmap_middle, check_unmapped)
FAILING_6(failing_fault_map, map_middle, check_mapped)
FAILING(failing_fault_write_back, open_file_with_failure, 1, sync_file, check_stored)
FAILING(failing_fault_write_back, open_file_with_failure, 2, sync_file, check_stored)
FAILING(failing_fault_write_back, open_file_with_failure, 3, sync_file, check_stored)
FAILING(failing_stack_stack, open_stack_with_failure, 1, write_next_page, check_grown)
FAILING(failing_stack_stack, open_stack_with_failure, 2, write_next_page, check_grown)
FAILING(failing_stack_stack, open_stack_with_failure, 3, write_next_page, check_grown)
FAILING(failing_stack_stack, open_stack_with_failure, 4, write_next_page, check_grown)

#endif
