/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hardware as a CPU of its own: it sets accessed and dirty flags in the entries of pages 30 and 31
 * of space 0, at any moment where they allow it, while CPU 0 changes them. A flag that is set between
 * a load and a store of the library's must not be lost (hosted/interleave/cpus.c looks after each
 * store), and what was written to a file's page must be stored.
 */
#include "interleave/scene.h"

#define OLD UINT64_C(0x700)

/* --- start states --- */

static test_scene *open_written(void)
{
	test_scene *scene = scene_open(0);

	world_map(&scene->world, 0, SCENE_PAGE, 2, READ_WRITE);
	for (unsigned n = 0; n < 2; n++)
		world_poke(&scene->world, 0, world_page(&scene->world, SCENE_PAGE + n), OLD);
	return scene;
}

/* Entries that may be written, and are clean: rights came back, and a fault brought them. */
static void *open_clean(void)
{
	test_scene *scene = open_written();
	lh_virtual_range pages = world_range(&scene->world, SCENE_PAGE, 2);

	CHECK_OK(lh_space_discard(scene->world.space[0], pages));
	for (unsigned n = 0; n < 2; n++)
		CHECK_EQUAL(lh_space_fault(scene->world.space[0],
					   lh_virtual(world_page(&scene->world, SCENE_PAGE + n)), WRITE),
			    LH_FAULT_OK);
	scene_load(scene, 0, 0, -1);
	return scene;
}

/* A file's pages, which may be read only: the first write gives the right, in place. */
static void *open_file(void)
{
	test_scene *scene = scene_open(0);

	scene->object = world_file_open(&scene->world, &scene->file, 2 * PAGE);
	world_map_object(&scene->world, 0, SCENE_PAGE, 2, READ_WRITE, LH_REGION_SHARED,
			 scene->object, 0);
	for (unsigned n = 0; n < 2; n++)
		CHECK_EQUAL(lh_space_fault(scene->world.space[0],
					   lh_virtual(world_page(&scene->world, SCENE_PAGE + n)), READ),
			    LH_FAULT_OK);
	scene_load(scene, 0, 0, -1);
	return scene;
}

/* Dirty for the object, clean in its entry, which may be written. */
static void *open_file_written(void)
{
	test_scene *scene = open_file();

	CHECK_EQUAL(lh_space_fault(scene->world.space[0],
				   lh_virtual(world_page(&scene->world, SCENE_PAGE)), WRITE),
		    LH_FAULT_OK);
	return scene;
}

/* --- what the CPUs do --- */

static void set_flags(void *context)
{
	test_scene *scene = context;

	for (unsigned n = 0; n < 4; n++) {
		lh_virtual_address at = lh_virtual(world_page(&scene->world, SCENE_PAGE + n % 2));

		machine_step(scene->world.machine, "sets flags");
		if (!machine_set_flags(scene->world.machine, scene_cpu(), at, MMU_WRITE))
			machine_set_flags(scene->world.machine, scene_cpu(), at, MMU_READ);
	}
}

static void protect(void *context)
{
	test_scene *scene = context;

	CHECK_OK(lh_space_protect(scene->world.space[0], world_range(&scene->world, SCENE_PAGE, 2),
				  READ));
}

static void unmap(void *context)
{
	test_scene *scene = context;

	CHECK_OK(lh_space_unmap(scene->world.space[0], world_range(&scene->world, SCENE_PAGE, 1)));
}

static void fork_it(void *context)
{
	test_scene *scene = context;

	CHECK_OK(lh_space_fork(scene->world.space[0], scene->world.space[1]));
}

static void write_page(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(scene_write(scene, SCENE_PAGE, scene_mine(1)), LH_FAULT_OK);
}

static void write_and_sync(void *context)
{
	test_scene *scene = context;

	write_page(scene);
	CHECK_OK(lh_object_sync(scene->object, 0, 2));
	CHECK_EQUAL(world_file_disk(&scene->file, 0), scene_mine(1));
}

static void check_sound(void *scene)
{
	scene_check(scene);
}

#define FLAGS(identifier, start, first)                                                         \
	CASE(identifier, .host = &scene_host, .fibres = 2, .open = start, .bound = 2,           \
	     .run = { first, set_flags }, .check = check_sound)

FLAGS(b20_flags_protect, open_clean, protect)
FLAGS(b20_flags_unmap, open_clean, unmap)
FLAGS(b20_flags_fork, open_clean, fork_it)
FLAGS(b20_flags_upgrade_file, open_file, write_page)
FLAGS(b20_flags_write_back_upgrade, open_file, write_and_sync)
FLAGS(b20_flags_write_back, open_file_written, write_and_sync)
