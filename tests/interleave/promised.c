/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who was promised a frame gets it, also where a copy is made of the last one: no fault is refused
 * while exactly the promised frames are left, whatever others hold for a moment.
 */
#include "interleave/scene.h"

/* Takes all memory that nobody was promised. => so many frames are left free. */
static uint64_t eat(test_scene *scene)
{
	lh_frame_number frame;

	while (lh_frame_allocate(scene->world.frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &frame) ==
	       LH_OK)
		;
	return world_frame_counters(&scene->world).free;
}

static void write_first(void *context)
{
	test_scene *scene = context;

	scene->faults[scene_cpu()][0] = scene_write(scene, SCENE_PAGE, scene_mine(1));
}

/* Parent and child share the frame of page 30; that of the copy is the last one. */
static void *open_one_copy(void)
{
	test_scene *scene = scene_open(0);

	world_map(&scene->world, 0, SCENE_PAGE, 1, READ_WRITE);
	world_poke(&scene->world, 0, world_page(&scene->world, SCENE_PAGE), 0x700);
	CHECK_OK(lh_space_fork(scene->world.space[0], scene->world.space[1]));
	scene_load(scene, 0, 1, -1);
	CHECK_EQUAL(eat(scene), 1);
	return scene;
}

static void check_both_written(void *context)
{
	test_scene *scene = context;

	for (unsigned cpu = 0; cpu < 2; cpu++)
		CHECK_EQUAL(scene->faults[cpu][0], LH_FAULT_OK);
	CHECK_EQUAL(world_frame_counters(&scene->world).free, 0);
	world_check_quickly(&scene->world);
}

/* One of the two copies, the other has the old frame for itself then. */
CASE(promised_copy_copy, .host = &scene_host, .fibres = 2, .open = open_one_copy, .bound = 2,
     .run = { write_first, write_first }, .check = check_both_written)

/* As above, and page 31 of the parent is promised; page 32 keeps its table. */
static void *open_copy_and_other(void)
{
	test_scene *scene = scene_open(0);

	world_map(&scene->world, 0, SCENE_PAGE, 1, READ_WRITE);
	world_poke(&scene->world, 0, world_page(&scene->world, SCENE_PAGE), 0x700);
	CHECK_OK(lh_space_fork(scene->world.space[0], scene->world.space[1]));
	world_map(&scene->world, 0, SCENE_PAGE + 1, 2, READ_WRITE);
	world_poke(&scene->world, 0, world_page(&scene->world, SCENE_PAGE + 2), 1);
	scene_load(scene, 0, 0, -1);
	CHECK_EQUAL(eat(scene), 2);
	return scene;
}

/* The shared frame is nobody's any more but the copying fault's; so is no page's promise. */
static void take_away_and_write_other(void *context)
{
	test_scene *scene = context;
	lh_virtual_range range = { lh_virtual(world_page(&scene->world, SCENE_PAGE)), 1 };

	CHECK_OK(lh_space_unmap(scene->world.space[0], range));
	CHECK_OK(lh_space_unmap(scene->world.space[1], range));
	(void)eat(scene);
	scene->faults[1][0] = scene_write(scene, SCENE_PAGE + 1, scene_mine(1));
}

static void check_other_written(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(scene->faults[1][0], LH_FAULT_OK);
	CHECK(scene->faults[0][0] == LH_FAULT_OK || scene->faults[0][0] == LH_FAULT_NOT_MAPPED);
	world_check_quickly(&scene->world);
}

CASE(promised_copy_unmap, .host = &scene_host, .fibres = 2, .open = open_copy_and_other, .bound = 2,
     .run = { write_first, take_away_and_write_other }, .check = check_other_written)
