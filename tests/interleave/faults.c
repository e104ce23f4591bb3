/* SPDX-License-Identifier: BSD-2-Clause */
/* Faults against faults: two or three CPUs touch one page, in all of its cases. */
#include "interleave/scene.h"

/* --- what the CPUs do --- */

static void write_page(void *context)
{
	test_scene *scene = context;

	scene->faults[scene_cpu()][0] = scene_write(scene, SCENE_PAGE, scene_mine(1));
}

static void read_page(void *context)
{
	test_scene *scene = context;
	unsigned cpu = scene_cpu();

	scene->faults[cpu][0] = scene_read(scene, SCENE_PAGE, &scene->values[cpu][0]);
}

/* --- start states: page 30 of space 0 --- */

/* Tables exist: page 31 has been touched. */
static test_scene *open_anonymous(void)
{
	test_scene *scene = scene_open(0);

	world_map(&scene->world, 0, SCENE_PAGE, 2, READ_WRITE);
	world_poke(&scene->world, 0, world_page(&scene->world, SCENE_PAGE + 1), 1);
	scene_load(scene, 0, 0, 0);
	return scene;
}

static void *open_untouched(void)
{
	return open_anonymous();
}

static void *open_without_tables(void)
{
	test_scene *scene = scene_open(0);

	world_map(&scene->world, 0, SCENE_PAGE, 2, READ_WRITE);
	scene_load(scene, 0, 0, 0);
	return scene;
}

static void *open_zero(void)
{
	test_scene *scene = open_anonymous();

	CHECK_EQUAL(world_peek(&scene->world, 0, world_page(&scene->world, SCENE_PAGE)), 0);
	return scene;
}

/* Two spaces show one frame. */
static test_scene *open_forked(void)
{
	test_scene *scene = open_anonymous();

	world_poke(&scene->world, 0, world_page(&scene->world, SCENE_PAGE), 0x700);
	CHECK_OK(lh_space_fork(scene->world.space[0], scene->world.space[1]));
	return scene;
}

static void *open_copy_on_write(void)
{
	return open_forked();
}

static void *open_parent_and_child(void)
{
	test_scene *scene = open_forked();

	scene_load(scene, 0, 1, -1);
	return scene;
}

static test_scene *open_object(uint32_t flags)
{
	test_scene *scene = scene_open(0);

	scene->object = world_object(&scene->world, 2 * PAGE, false);
	world_map_object(&scene->world, 0, SCENE_PAGE, 2, READ_WRITE, flags, scene->object, 0);
	world_map_object(&scene->world, 1, SCENE_PAGE, 2, READ_WRITE, flags, scene->object, 0);
	world_poke(&scene->world, 0, world_page(&scene->world, SCENE_PAGE + 1), 1);
	world_poke(&scene->world, 1, world_page(&scene->world, SCENE_PAGE + 1), 1);
	scene_load(scene, 0, 1, 0);
	return scene;
}

static void *open_shared(void)
{
	return open_object(LH_REGION_SHARED);
}

static void *open_private(void)
{
	test_scene *scene = open_object(0);

	scene_load(scene, 0, 0, 0);
	return scene;
}

static test_scene *open_file(uint32_t flags)
{
	test_scene *scene = scene_open(0);

	scene->object = world_file_open(&scene->world, &scene->file, 2 * PAGE);
	world_map_object(&scene->world, 0, SCENE_PAGE, 2, READ_WRITE, flags, scene->object, 0);
	CHECK_EQUAL(world_peek(&scene->world, 0, world_page(&scene->world, SCENE_PAGE + 1)),
		    world_file_word(1, 0));
	scene_load(scene, 0, 0, 0);
	return scene;
}

static void *open_shared_file(void)
{
	return open_file(LH_REGION_SHARED);
}

static void *open_private_file(void)
{
	return open_file(0);
}

/* --- what must hold --- */

static uint64_t word_of(test_scene *scene, unsigned n)
{
	return world_peek(&scene->world, n, world_page(&scene->world, SCENE_PAGE));
}

static bool wrote(uint64_t value, unsigned cpus)
{
	return value >> 8 == 1 && (value & 0xff) >= 1 && (value & 0xff) <= cpus;
}

static void require_ok(const test_scene *scene, unsigned cpus)
{
	for (unsigned cpu = 0; cpu < cpus; cpu++)
		CHECK_EQUAL(scene->faults[cpu][0], LH_FAULT_OK);
}

/* Both wrote: one of them was last. */
static void check_written(void *context)
{
	test_scene *scene = context;

	require_ok(scene, 2);
	CHECK(wrote(word_of(scene, 0), 2));
	CHECK_EQUAL(world_counters(&scene->world, 0).resident, 2);
	scene_check(scene);
}

static void check_written_alone(void *context)
{
	test_scene *scene = context;

	require_ok(scene, 2);
	CHECK(wrote(word_of(scene, 0), 2));
	CHECK_EQUAL(world_counters(&scene->world, 0).resident, 1);
	scene_check(scene);
}

static void check_written_by_three(void *context)
{
	test_scene *scene = context;

	require_ok(scene, 3);
	CHECK(wrote(word_of(scene, 0), 3));
	CHECK_EQUAL(world_counters(&scene->world, 0).resident, 2);
	scene_check(scene);
}

/* CPU 0 wrote, CPU 1 read: what was there, or what came. */
static void check_read(void *context)
{
	test_scene *scene = context;
	uint64_t read = scene->values[1][0];

	require_ok(scene, 2);
	CHECK(read == 0x101 || read == 0 || read == 0x700 || read == world_file_word(0, 0));
	CHECK_EQUAL(word_of(scene, 0), 0x101);
	scene_check(scene);
}

static void check_both_read(void *context)
{
	test_scene *scene = context;

	require_ok(scene, 2);
	CHECK_EQUAL(scene->values[0][0], scene->values[1][0]);
	CHECK_EQUAL(word_of(scene, 0), scene->values[0][0]);
	scene_check(scene);
}

/* Each in its own space: each sees its own. */
static void check_apart(void *context)
{
	test_scene *scene = context;

	require_ok(scene, 2);
	CHECK_EQUAL(word_of(scene, 0), 0x101);
	CHECK_EQUAL(word_of(scene, 1), 0x102);
	scene_check(scene);
}

static void check_one_write_apart(void *context)
{
	test_scene *scene = context;

	require_ok(scene, 2);
	CHECK_EQUAL(word_of(scene, 0), 0x101);
	CHECK_EQUAL(scene->values[1][0], 0x700);
	CHECK_EQUAL(word_of(scene, 1), 0x700);
	scene_check(scene);
}

/* One frame, seen by both. */
static void check_together(void *context)
{
	test_scene *scene = context;

	require_ok(scene, 2);
	CHECK_EQUAL(word_of(scene, 0), word_of(scene, 1));
	CHECK(wrote(word_of(scene, 0), 2));
	CHECK_EQUAL(lh_object_pages(scene->object), 2);
	scene_check(scene);
}

static void check_read_once(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(scene->file.reads, 2);
	check_written(context);
}

#define FAULTS(identifier, start, first, second, end)                                           \
	CASE(identifier, .host = &scene_host, .fibres = 2, .open = start, .bound = 2,           \
	     .run = { first, second }, .check = end)

FAULTS(fault_write_write_untouched, open_untouched, write_page, write_page, check_written)
FAULTS(fault_write_write_without_tables, open_without_tables, write_page, write_page,
       check_written_alone)
FAULTS(fault_write_read_untouched, open_untouched, write_page, read_page, check_read)
FAULTS(fault_read_read_untouched, open_untouched, read_page, read_page, check_both_read)
FAULTS(fault_write_write_zero, open_zero, write_page, write_page, check_written)
FAULTS(fault_write_read_zero, open_zero, write_page, read_page, check_read)
FAULTS(fault_write_write_copy, open_copy_on_write, write_page, write_page, check_written)
FAULTS(fault_write_read_copy, open_copy_on_write, write_page, read_page, check_read)
FAULTS(fault_write_write_parent_child, open_parent_and_child, write_page, write_page, check_apart)
FAULTS(fault_write_read_parent_child, open_parent_and_child, write_page, read_page,
       check_one_write_apart)
FAULTS(fault_write_write_shared, open_shared, write_page, write_page, check_together)
FAULTS(fault_write_write_private, open_private, write_page, write_page, check_written)
FAULTS(fault_write_read_private, open_private, write_page, read_page, check_read)
FAULTS(b25_fault_write_write_shared_file, open_shared_file, write_page, write_page, check_read_once)
FAULTS(b25_fault_write_write_private_file, open_private_file, write_page, write_page,
       check_read_once)
FAULTS(fault_write_read_shared_file, open_shared_file, write_page, read_page, check_read)
CASE(fault_three_writes_untouched, .host = &scene_host, .fibres = 3, .open = open_untouched,
     .bound = 1, .run = { write_page, write_page, write_page }, .check = check_written_by_three)
