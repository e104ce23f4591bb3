/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Faults look their regions up without a lock while those go, come back as others from the same memory, or
 * their memory goes; and while their objects do.
 */
#include <landhold/reclaim.h>

#include "interleave/scene.h"

static void write_page(void *context)
{
	test_scene *scene = context;

	scene->faults[scene_cpu()][0] = scene_write(scene, SCENE_PAGE, scene_mine(1));
}

static lh_virtual_range first_page(test_scene *scene)
{
	return (lh_virtual_range){ lh_virtual(world_page(&scene->world, SCENE_PAGE)), 1 };
}

/* --- regions --- */

/* keeps: another region whose place in the pool keeps the page there. */
static test_scene *open_region(bool keeps)
{
	test_scene *scene = scene_open(0);

	if (keeps)
		world_map(&scene->world, 1, SCENE_PAGE, 1, READ);
	world_map(&scene->world, 0, SCENE_PAGE, 1, READ_WRITE);
	scene_load(scene, 0, 0, -1);
	return scene;
}

static void *open_alone(void)
{
	return open_region(false);
}

static void *open_with_another(void)
{
	return open_region(true);
}

/* The region's memory serves elsewhere, then the page is another region's. */
static void come_back(void *context)
{
	test_scene *scene = context;

	CHECK_OK(lh_space_unmap(scene->world.space[0], first_page(scene)));
	world_map(&scene->world, 0, SCENE_PAGE + 9, 1, LH_RIGHTS_ALL);
	world_map(&scene->world, 0, SCENE_PAGE, 1, READ);
}

/* So many that nodes of the tree lie in some of them. */
#define MANY 10

static void *open_many(void)
{
	test_scene *scene = scene_open(0);

	for (unsigned i = 0; i < MANY; i++)
		world_map(&scene->world, 0, SCENE_PAGE + i, 1, i % 2 == 0 ? READ_WRITE : READ);
	scene_load(scene, 0, 0, -1);
	return scene;
}

/* They end with the memory that told of them. */
static void go(void *context)
{
	test_scene *scene = context;
	lh_virtual_range range = { first_page(scene).base, MANY };

	CHECK_OK(lh_space_unmap(scene->world.space[0], range));
}

/* And that memory is nobody's: what was read there is poison, unless it was waited for who reads. */
static void go_and_reclaim(void *context)
{
	test_scene *scene = context;

	go(scene);
	scene->values[scene_cpu()][0] = lh_frames_reclaim(scene->world.frames, 1);
}

static void check_went(void *context)
{
	test_scene *scene = context;
	lh_fault fault = scene->faults[0][0];

	CHECK(fault == LH_FAULT_OK || fault == LH_FAULT_NOT_MAPPED || fault == LH_FAULT_NO_ACCESS);
	CHECK_EQUAL(world_counters(&scene->world, 0).resident, 0);
	scene_check(scene);
}

static void check_reclaimed(void *context)
{
	test_scene *scene = context;

	CHECK(scene->values[1][0] != 0);
	check_went(scene);
}

CASE(lookup_regions_go, .host = &scene_host, .fibres = 2, .open = open_many, .bound = 1,
     .run = { write_page, go }, .check = check_went)
CASE(lookup_regions_are_reclaimed, .host = &scene_host, .fibres = 2, .open = open_many, .bound = 1,
     .run = { write_page, go_and_reclaim }, .check = check_reclaimed)
CASE(lookup_region_comes_back, .host = &scene_host, .fibres = 2, .open = open_alone, .bound = 2,
     .run = { write_page, come_back }, .check = check_went)
CASE(lookup_region_is_reused, .host = &scene_host, .fibres = 2, .open = open_with_another, .bound = 2,
     .run = { write_page, come_back }, .check = check_went)

/* The region is cut in three around the page: nobody finds none there. */
static void *open_row(void)
{
	test_scene *scene = scene_open(0);

	world_map(&scene->world, 0, SCENE_PAGE - 1, 3, READ_WRITE);
	world_poke(&scene->world, 0, world_page(&scene->world, SCENE_PAGE + 1), 1);
	scene_load(scene, 0, 0, -1);
	return scene;
}

static void split(void *context)
{
	test_scene *scene = context;

	CHECK_OK(lh_space_protect(scene->world.space[0], first_page(scene), LH_RIGHTS_ALL));
	CHECK_OK(lh_space_protect(scene->world.space[0], first_page(scene), READ_WRITE));
}

static void check_was_there(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(scene->faults[0][0], LH_FAULT_OK);
	CHECK_EQUAL(world_peek(&scene->world, 0, world_page(&scene->world, SCENE_PAGE)), 0x101);
	scene_check(scene);
}

CASE(lookup_region_splits, .host = &scene_host, .fibres = 2, .open = open_row, .bound = 2,
     .run = { write_page, split }, .check = check_was_there)

/* --- objects --- */

/* Another object, which space 1 holds, keeps the pool's page. */
static void *open_object(void)
{
	test_scene *scene = scene_open(0);
	lh_object *keeper = world_object(&scene->world, PAGE, false);

	world_map_object(&scene->world, 1, SCENE_PAGE, 1, READ, LH_REGION_SHARED, keeper, 0);
	lh_object_drop(keeper);
	scene->object = world_object(&scene->world, PAGE, false);
	world_map_object(&scene->world, 0, SCENE_PAGE, 1, READ_WRITE, LH_REGION_SHARED, scene->object, 0);
	scene_load(scene, 0, 0, -1);
	return scene;
}

/* The object goes with its region, and its memory is another's: of no page, and mapped there. */
static void replace_object(void *context)
{
	test_scene *scene = context;

	CHECK_OK(lh_space_unmap(scene->world.space[0], first_page(scene)));
	lh_object_drop(scene->object);
	scene->object = world_object(&scene->world, 0, false);
	world_map_object(&scene->world, 0, SCENE_PAGE, 1, READ, LH_REGION_SHARED, scene->object, 0);
}

static void check_replaced(void *context)
{
	test_scene *scene = context;
	lh_fault fault = scene->faults[0][0];

	CHECK(fault == LH_FAULT_OK || fault == LH_FAULT_NOT_MAPPED || fault == LH_FAULT_NO_ACCESS);
	CHECK_EQUAL(lh_object_pages(scene->object), 0);
	scene_check(scene);
}

CASE(lookup_object_is_replaced, .host = &scene_host, .fibres = 2, .open = open_object, .bound = 2,
     .run = { write_page, replace_object }, .check = check_replaced)
