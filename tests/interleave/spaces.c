/* SPDX-License-Identifier: BSD-2-Clause */
/* Mapping against mapping, and CPUs that come and go while a space is flushed. */
#include "interleave/scene.h"

/* --- map against map --- */

static void *open_empty(void)
{
	test_scene *scene = scene_open(0);

	world_map(&scene->world, 0, SCENE_PAGE, 1, READ);
	scene_load(scene, 0, 0, 0);
	return scene;
}

static void map(test_scene *scene, lh_where where)
{
	lh_map_request request = { .where = where, .pages = 2, .rights = READ_WRITE,
				   .address = lh_virtual(world_page(&scene->world, 40)),
				   .tag = scene_cpu() + 1 };
	lh_virtual_range placed = { lh_virtual(0), 0 };

	scene->errors[scene_cpu()] = lh_space_map(scene->world.space[0], &request, &placed);
	scene->values[scene_cpu()][0] = placed.base.value;
}

static void map_anywhere(void *scene) { map(scene, LH_ANYWHERE); }
static void map_there(void *scene) { map(scene, LH_AT); }
static void map_over(void *scene) { map(scene, LH_OVER); }

static void check_apart(void *context)
{
	test_scene *scene = context;
	uint64_t a = scene->values[0][0], b = scene->values[1][0];

	CHECK_EQUAL(scene->errors[0], LH_OK);
	CHECK_EQUAL(scene->errors[1], LH_OK);
	CHECK(a - b >= 2 * PAGE && b - a >= 2 * PAGE);
	CHECK_EQUAL(world_counters(&scene->world, 0).pages, 5);
	scene_check(scene);
}

static void check_one(void *context)
{
	test_scene *scene = context;

	CHECK((scene->errors[0] == LH_OK) != (scene->errors[1] == LH_OK));
	CHECK(scene->errors[0] == LH_EXISTS || scene->errors[1] == LH_EXISTS);
	CHECK_EQUAL(world_counters(&scene->world, 0).pages, 3);
	scene_check(scene);
}

static void check_last(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(scene->errors[0], LH_OK);
	CHECK_EQUAL(scene->errors[1], LH_OK);
	CHECK_EQUAL(world_counters(&scene->world, 0).pages, 3);
	scene_check(scene);
}

#define SPACES(identifier, start, first, second, end)                                            \
	CASE(identifier, .host = &scene_host, .fibres = 2, .open = start, .bound = 2,            \
	     .run = { first, second }, .check = end)

SPACES(map_map_anywhere, open_empty, map_anywhere, map_anywhere, check_apart)
SPACES(map_map_at, open_empty, map_there, map_there, check_one)
SPACES(map_map_over, open_empty, map_over, map_over, check_last)

/* --- the same page unmapped twice, and split from both ends --- */

static void *open_three(void)
{
	test_scene *scene = scene_open(0);

	world_map(&scene->world, 0, SCENE_PAGE, 3, READ_WRITE);
	for (uint64_t page = SCENE_PAGE; page < SCENE_PAGE + 3; page++)
		world_poke(&scene->world, 0, world_page(&scene->world, page), page);
	scene_load(scene, 0, 0, 0);
	return scene;
}

static void unmap_middle(void *context)
{
	test_scene *scene = context;

	CHECK_OK(lh_space_unmap(scene->world.space[0], world_range(&scene->world, SCENE_PAGE + 1, 1)));
}

static void protect_first_two(void *context)
{
	test_scene *scene = context;

	scene->errors[scene_cpu()] = lh_space_protect(
		scene->world.space[0], world_range(&scene->world, SCENE_PAGE, 2), READ);
}

static void check_middle(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(world_counters(&scene->world, 0).pages, 2);
	CHECK_EQUAL(world_counters(&scene->world, 0).resident, 2);
	CHECK(scene->errors[1] == LH_OK || scene->errors[1] == LH_NOT_MAPPED);
	CHECK_EQUAL(world_write(&scene->world, 0, world_page(&scene->world, SCENE_PAGE), 1),
		    scene->errors[1] == LH_OK && scene->extra[0] ? LH_FAULT_NO_ACCESS : LH_FAULT_OK);
	scene_check(scene);
}

static void note_and_protect(void *context)
{
	test_scene *scene = context;

	scene->extra[0] = 1;
	protect_first_two(context);
}

SPACES(unmap_unmap, open_three, unmap_middle, unmap_middle, check_middle)
SPACES(unmap_protect, open_three, unmap_middle, note_and_protect, check_middle)

/* --- a flush, and a CPU that leaves the space and comes back --- */

static void *open_active(void)
{
	test_scene *scene = open_three();
	uint64_t value;

	for (unsigned cpu = 0; cpu < 2; cpu++)
		CHECK_EQUAL(world_access(&scene->world, cpu, 0,
					 world_page(&scene->world, SCENE_PAGE + 1), MMU_READ, &value,
					 8),
			    LH_FAULT_OK);
	return scene;
}

static void unmap_and_look(void *context)
{
	test_scene *scene = context;
	uint64_t value;

	unmap_middle(context);
	scene->extra[1] = 1;
	CHECK_EQUAL(scene_read(scene, SCENE_PAGE + 1, &value), LH_FAULT_NOT_MAPPED);
}

/* What was unmapped before a read began is not read. */
static void read_middle(test_scene *scene)
{
	uint64_t value, before = scene->extra[1];
	lh_fault fault = scene_read(scene, SCENE_PAGE + 1, &value);

	CHECK(fault == LH_FAULT_NOT_MAPPED || (fault == LH_FAULT_OK && before == 0));
	CHECK(fault != LH_FAULT_OK || value == SCENE_PAGE + 1);
}

static void leave_and_return(void *context)
{
	test_scene *scene = context;

	read_middle(scene);
	crowd_load(&scene->world, 1, -1);
	crowd_load(&scene->world, 1, 0);
	read_middle(scene);
}

static void go_elsewhere(void *context)
{
	test_scene *scene = context;

	crowd_load(&scene->world, 1, 1);
	crowd_load(&scene->world, 1, 0);
	read_middle(scene);
}

static void check_flushed(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(world_counters(&scene->world, 0).pages, 2);
	scene_check(scene);
}

SPACES(b18_flush_activate, open_active, unmap_and_look, leave_and_return, check_flushed)
SPACES(b18_flush_activate_other, open_active, unmap_and_look, go_elsewhere, check_flushed)

/* --- two that flush each other --- */

static void unmap_first(void *context)
{
	test_scene *scene = context;

	CHECK_OK(lh_space_unmap(scene->world.space[0], world_range(&scene->world, SCENE_PAGE, 1)));
}

static void unmap_last(void *context)
{
	test_scene *scene = context;

	CHECK_OK(lh_space_unmap(scene->world.space[0],
				world_range(&scene->world, SCENE_PAGE + 2, 1)));
}

static void check_two_flushes(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(world_counters(&scene->world, 0).pages, 1);
	scene_check(scene);
}

SPACES(b22_flush_flush, open_active, unmap_first, unmap_last, check_two_flushes)
