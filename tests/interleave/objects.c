/* SPDX-License-Identifier: BSD-2-Clause */
/* Objects: truncation and write-back against those who map and touch their pages. */
#include "interleave/scene.h"

#define OLD UINT64_C(0x700)

/* --- start states: an object of two pages at pages 30 and 31 of spaces 0 and 1 --- */

static void map_object(test_scene *scene, uint32_t flags)
{
	for (unsigned n = 0; n < 2; n++)
		world_map_object(&scene->world, n, SCENE_PAGE, 2, READ_WRITE, flags, scene->object,
				 0);
}

static void touch(test_scene *scene, unsigned n, uint64_t page, uint64_t value)
{
	world_poke(&scene->world, n, world_page(&scene->world, page), value);
}

static test_scene *open_object(uint32_t flags)
{
	test_scene *scene = scene_open(0);

	scene->object = world_object(&scene->world, 2 * PAGE, false);
	map_object(scene, flags);
	touch(scene, 0, SCENE_PAGE, OLD);
	touch(scene, 1, SCENE_PAGE, OLD);
	scene_load(scene, 0, 1, 1);
	return scene;
}

static void *open_shared(void)
{
	return open_object(LH_REGION_SHARED);
}

/* Private copies of the page, in both spaces. */
static void *open_private(void)
{
	return open_object(0);
}

/* Tables are there, the page is not. */
static void *open_shared_absent(void)
{
	test_scene *scene = scene_open(0);

	scene->object = world_object(&scene->world, 2 * PAGE, false);
	map_object(scene, LH_REGION_SHARED);
	touch(scene, 0, SCENE_PAGE + 1, OLD);
	touch(scene, 1, SCENE_PAGE + 1, OLD);
	scene_load(scene, 0, 1, 1);
	return scene;
}

static test_scene *open_file(uint32_t flags, bool is_shown)
{
	test_scene *scene = scene_open(0);
	uint64_t value;

	scene->object = world_file_open(&scene->world, &scene->file, 2 * PAGE);
	world_map_object(&scene->world, 0, SCENE_PAGE, 2, READ_WRITE, flags, scene->object, 0);
	value = world_peek(&scene->world, 0, world_page(&scene->world, SCENE_PAGE + 1));
	if (is_shown)
		value = world_peek(&scene->world, 0, world_page(&scene->world, SCENE_PAGE));
	(void)value;
	scene_load(scene, 0, 0, 0);
	return scene;
}

static void *open_file_absent(void)
{
	return open_file(LH_REGION_SHARED, false);
}

static void *open_file_shown(void)
{
	return open_file(LH_REGION_SHARED, true);
}

static void *open_file_dirty(void)
{
	test_scene *scene = open_file(LH_REGION_SHARED, true);

	touch(scene, 0, SCENE_PAGE, OLD);
	return scene;
}

static void *open_file_private(void)
{
	return open_file(0, true);
}

/* --- what CPUs do --- */

static void write_twice(void *context)
{
	test_scene *scene = context;
	lh_fault *faults = scene->faults[scene_cpu()];

	faults[0] = scene_write(scene, SCENE_PAGE, scene_mine(1));
	faults[1] = scene_write(scene, SCENE_PAGE, scene_mine(2));
}

static void truncate(void *context)
{
	test_scene *scene = context;
	uint64_t value;

	CHECK_OK(lh_object_resize(scene->object, 0));
	CHECK_EQUAL(scene_read(scene, SCENE_PAGE, &value), LH_FAULT_BUS);
}

/* What was cut off does not come back, in either space. */
static void truncate_and_grow(void *context)
{
	test_scene *scene = context;
	uint64_t value;

	CHECK_OK(lh_object_resize(scene->object, 0));
	CHECK_OK(lh_object_resize(scene->object, 2 * PAGE));
	CHECK_EQUAL(scene_read(scene, SCENE_PAGE, &value), LH_FAULT_OK);
	CHECK(value != OLD);
}

static void unmap(void *context)
{
	test_scene *scene = context;
	unsigned n = (unsigned)scene->world.loaded[scene_cpu()];

	CHECK_OK(lh_space_unmap(scene->world.space[n], world_range(&scene->world, SCENE_PAGE, 2)));
}

/* Fork of space 1, where CPU 1 or 2 runs, into space 2. */
static void fork_it(void *context)
{
	test_scene *scene = context;

	CHECK_OK(lh_space_fork(scene->world.space[1], scene->world.space[2]));
}

/* --- what must hold --- */

static void check_truncated(void *context)
{
	test_scene *scene = context;
	const lh_fault *faults = scene->faults[0];

	CHECK(faults[0] == LH_FAULT_OK || faults[0] == LH_FAULT_BUS);
	CHECK(faults[1] == LH_FAULT_BUS || (faults[0] == LH_FAULT_OK && faults[1] == LH_FAULT_OK));
	CHECK_EQUAL(lh_object_pages(scene->object), 0);
	CHECK_EQUAL(world_counters(&scene->world, 0).resident, 0);
	CHECK_EQUAL(world_counters(&scene->world, 1).resident, 0);
	scene_check(scene);
}

static void check_grown(void *context)
{
	test_scene *scene = context;
	uint64_t value = world_peek(&scene->world, 0, world_page(&scene->world, SCENE_PAGE));

	CHECK(value == 0 || value == 0x101 || value == 0x201);
	if (scene->faults[0][1] != LH_FAULT_OK)
		CHECK_EQUAL(value, 0);
	scene_check(scene);
}

static void check_gone(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(lh_object_pages(scene->object), 0);
	CHECK_EQUAL(world_counters(&scene->world, 0).regions, 0);
	CHECK_EQUAL(world_counters(&scene->world, 0).resident, 0);
	scene_check(scene);
}

static void check_unmapped_twice(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(lh_object_pages(scene->object), 1);
	CHECK_EQUAL(world_counters(&scene->world, 0).regions, 0);
	CHECK_EQUAL(world_counters(&scene->world, 1).regions, 0);
	scene_check(scene);
}

static void check_forked(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(lh_object_pages(scene->object), 0);
	for (unsigned n = 0; n < 3; n++)
		CHECK_EQUAL(world_counters(&scene->world, n).resident, 0);
	CHECK_EQUAL(world_counters(&scene->world, 2).regions, 1);
	scene_check(scene);
}

static void *open_shared_to_fork(void)
{
	test_scene *scene = open_shared();

	world_make(&scene->world, 2);
	return scene;
}

static void *open_private_to_fork(void)
{
	test_scene *scene = open_private();

	world_make(&scene->world, 2);
	return scene;
}

/* CPU 0 is fibre 0 in space 0; fibre 1 truncates, being in space 1. */
static void truncate_only(void *context)
{
	test_scene *scene = context;

	CHECK_OK(lh_object_resize(scene->object, 0));
}

#define OBJECTS(identifier, start, first, second, end)                                           \
	CASE(identifier, .host = &scene_host, .fibres = 2, .open = start, .bound = 2,            \
	     .run = { first, second }, .check = end)

OBJECTS(fault_truncate_shared, open_shared, write_twice, truncate, check_truncated)
OBJECTS(fault_truncate_absent, open_shared_absent, write_twice, truncate, check_truncated)
OBJECTS(fault_truncate_private, open_private, write_twice, truncate, check_truncated)
OBJECTS(fault_truncate_file, open_file_shown, write_twice, truncate, check_truncated)
OBJECTS(fault_truncate_file_absent, open_file_absent, write_twice, truncate, check_truncated)
OBJECTS(fault_truncate_file_private, open_file_private, write_twice, truncate, check_truncated)
OBJECTS(fault_grow_shared, open_shared, write_twice, truncate_and_grow, check_grown)
OBJECTS(fault_grow_private, open_private, write_twice, truncate_and_grow, check_grown)
OBJECTS(b5_unmap_truncate, open_shared, unmap, truncate_only, check_gone)
OBJECTS(b5_unmap_truncate_private, open_private, unmap, truncate_only, check_gone)
OBJECTS(unmap_unmap_two_spaces, open_shared, unmap, unmap, check_unmapped_twice)
OBJECTS(fork_truncate_shared, open_shared_to_fork, truncate_only, fork_it, check_forked)
OBJECTS(fork_truncate_private, open_private_to_fork, truncate_only, fork_it, check_forked)

/* --- write-back --- */

static void write_page(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(scene_write(scene, SCENE_PAGE, scene_mine(1)), LH_FAULT_OK);
}

static void sync_file(void *context)
{
	test_scene *scene = context;

	CHECK_OK(lh_object_sync(scene->object, 0, 2));
}

/* Word 1 of the page: what was written before a sync is in the file after it. */
static void write_and_sync(void *context)
{
	test_scene *scene = context;
	uint64_t value = scene_mine(1);

	CHECK_EQUAL(crowd_write(&scene->world, scene_cpu(),
				world_page(&scene->world, SCENE_PAGE) + 8, value),
		    LH_FAULT_OK);
	sync_file(scene);
	if (((uint64_t *)(void *)scene->file.disk)[1] != value)
		interleave_fail("a sync has returned, and what was written before is not stored");
}

static void sync_then_write_and_sync(void *context)
{
	sync_file(context);
	write_and_sync(context);
}

static void check_stored(void *context)
{
	test_scene *scene = context;

	CHECK_OK(lh_object_sync(scene->object, 0, 2));
	CHECK_EQUAL(world_file_disk(&scene->file, 0), 0x101);
	scene_check(scene);
}

#define WRITTEN(identifier, start)                                                               \
	CASE(identifier, .host = &scene_host, .fibres = 3, .open = start, .bound = 2,            \
	     .run = { write_page, sync_file, write_and_sync }, .check = check_stored)

WRITTEN(write_back_fault_absent, open_file_absent)
WRITTEN(write_back_fault_shown, open_file_shown)
WRITTEN(write_back_fault_dirty, open_file_dirty)
OBJECTS(write_back_fault_two, open_file_shown, write_page, sync_then_write_and_sync, check_stored)
OBJECTS(write_back_truncate, open_file_dirty, sync_file, truncate_only, NULL)
