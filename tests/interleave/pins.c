/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPU 0 pins page 30 of space 0, to write to it; CPU 1 forks, writes, or takes the page away. However they meet: what
 * the device writes the space reads, if the page is still there; and nobody else does.
 */
#include "interleave/scene.h"

#define OLD 0x700
#define DEVICE 0xdeu

static lh_virtual_range the_page(const test_scene *scene)
{
	return world_range(&scene->world, SCENE_PAGE, 1);
}

static void pin_it(void *context)
{
	test_scene *scene = context;
	unsigned cpu = scene_cpu();

	scene->errors[cpu] = lh_space_pin(scene->world.space[0], the_page(scene), WRITE, LH_PIN_SHORT,
					  scene->frames[cpu], &scene->pinned[cpu]);
}

static void pin_to_read(void *context)
{
	test_scene *scene = context;
	unsigned cpu = scene_cpu();

	scene->errors[cpu] = lh_space_pin(scene->world.space[0], the_page(scene), READ, LH_PIN_LONG,
					  scene->frames[cpu], &scene->pinned[cpu]);
}

static void pin_and_write(void *context)
{
	test_scene *scene = context;

	pin_it(context);
	scene->faults[scene_cpu()][0] = scene_write(scene, SCENE_PAGE, scene_mine(1));
}

static void pin_and_unpin(void *context)
{
	test_scene *scene = context;

	pin_it(context);
	lh_space_unpin(&scene->pinned[scene_cpu()]);
}

/* --- start states --- */

static test_scene *open_with(bool touched)
{
	test_scene *scene = scene_open(0);

	world_map(&scene->world, 0, SCENE_PAGE, 2, READ_WRITE);
	world_poke(&scene->world, 0, world_page(&scene->world, SCENE_PAGE + 1), OLD);
	if (touched)
		world_poke(&scene->world, 0, world_page(&scene->world, SCENE_PAGE), OLD);
	return scene;
}

static void *open_absent(void)
{
	test_scene *scene = open_with(false);

	scene_load(scene, 0, 0, 0);
	return scene;
}

static void *open_present(void)
{
	test_scene *scene = open_with(true);

	scene_load(scene, 0, 0, 0);
	return scene;
}

static void *open_forked(void)
{
	test_scene *scene = open_with(true);

	CHECK_OK(lh_space_fork(scene->world.space[0], scene->world.space[1]));
	scene_load(scene, 0, 1, -1);
	return scene;
}

static void *open_forked_together(void)
{
	test_scene *scene = open_with(true);

	CHECK_OK(lh_space_fork(scene->world.space[0], scene->world.space[1]));
	scene_load(scene, 0, 0, 0);
	return scene;
}

/* --- what must hold --- */

/* The device writes; then the page that the space shows, if it has one, is the device's. */
static void require_coherent(test_scene *scene, unsigned cpu)
{
	uint64_t *bytes = lh_frame_pointer(scene->world.frames, scene->frames[cpu][0]);

	*bytes = DEVICE;
	CHECK_EQUAL(world_peek(&scene->world, 0, world_page(&scene->world, SCENE_PAGE)), DEVICE);
	world_poke(&scene->world, 0, world_page(&scene->world, SCENE_PAGE), 5);
	CHECK_EQUAL(*bytes, 5);
}

/* => the pins of CPU 0, and of CPU 1 if it has some. */
static void let_go(test_scene *scene)
{
	for (unsigned cpu = 0; cpu < 2; cpu++) {
		scene->world.promised += scene->pinned[cpu].pages;
		CHECK_OK(scene->errors[cpu]);
	}
	world_check_quickly(&scene->world);
	for (unsigned cpu = 0; cpu < 2; cpu++)
		if (scene->pinned[cpu].pages != 0)
			lh_space_unpin(&scene->pinned[cpu]);
	scene->world.promised = 0;
	scene_check(scene);
}

static uint64_t childs(test_scene *scene)
{
	return world_peek(&scene->world, 1, world_page(&scene->world, SCENE_PAGE));
}

static void check_coherent(void *context)
{
	test_scene *scene = context;

	require_coherent(scene, 0);
	let_go(scene);
}

static void check_both_pinned(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(scene->frames[0][0].value, scene->frames[1][0].value);
	check_coherent(context);
}

static void check_forked(void *context)
{
	test_scene *scene = context;
	uint64_t child = childs(scene);

	CHECK(child == OLD || child == 0 || child == 0x101);
	require_coherent(scene, 0);
	CHECK_EQUAL(childs(scene), child);
	let_go(scene);
}

/* Nobody is at the frame any more: it may be shared. */
static void check_unpinned(void *context)
{
	test_scene *scene = context;

	CHECK(childs(scene) == OLD);
	world_poke(&scene->world, 0, world_page(&scene->world, SCENE_PAGE), 5);
	CHECK_EQUAL(childs(scene), OLD);
	let_go(scene);
}

static void check_child_wrote(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(childs(scene), 0x102);
	require_coherent(scene, 0);
	CHECK_EQUAL(childs(scene), 0x102);
	let_go(scene);
}

/* Nobody sees what the device writes to a page that is gone. */
static void check_discarded(void *context)
{
	test_scene *scene = context;
	uint64_t before = world_peek(&scene->world, 0, world_page(&scene->world, SCENE_PAGE));
	uint64_t *bytes = lh_frame_pointer(scene->world.frames, scene->frames[0][0]);

	*bytes = DEVICE;
	if (world_frame(&scene->world, 0, SCENE_PAGE).value != scene->frames[0][0].value)
		CHECK_EQUAL(world_peek(&scene->world, 0, world_page(&scene->world, SCENE_PAGE)), before);
	else
		require_coherent(scene, 0);
	let_go(scene);
}

static void check_unmapped(void *context)
{
	test_scene *scene = context;

	CHECK(scene->errors[0] == LH_OK || scene->errors[0] == LH_NOT_MAPPED);
	scene->errors[0] = LH_OK;
	CHECK(lh_frame_is_none(world_frame(&scene->world, 0, SCENE_PAGE)));
	let_go(scene);
}

/* --- what CPU 1 does --- */

static void fork_it(void *context)
{
	test_scene *scene = context;

	CHECK_OK(lh_space_fork(scene->world.space[0], scene->world.space[1]));
}

static void write_it(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(scene_write(scene, SCENE_PAGE, scene_mine(1)), LH_FAULT_OK);
}

static void unmap(void *context)
{
	test_scene *scene = context;

	CHECK_OK(lh_space_unmap(scene->world.space[0], the_page(scene)));
}

static void discard(void *context)
{
	test_scene *scene = context;

	CHECK_OK(lh_space_discard(scene->world.space[0], the_page(scene)));
}

/* The right to write goes, and comes back by a fault. */
static void protect_and_write(void *context)
{
	test_scene *scene = context;

	CHECK_OK(lh_space_protect(scene->world.space[0], the_page(scene), READ));
	CHECK_OK(lh_space_protect(scene->world.space[0], the_page(scene), READ_WRITE));
	write_it(context);
}

static void check_protected(void *context)
{
	test_scene *scene = context;

	if (scene->errors[0] == LH_NO_ACCESS) {
		scene->errors[0] = LH_OK;
		let_go(scene);
		return;
	}
	check_coherent(context);
}

/* --- objects: truncated, or written back --- */

static test_scene *open_shared(lh_object *object, test_scene *scene)
{
	scene->object = object;
	world_map_object(&scene->world, 0, SCENE_PAGE, 2, READ_WRITE, LH_REGION_SHARED, object, 0);
	world_poke(&scene->world, 0, world_page(&scene->world, SCENE_PAGE + 1), OLD);
	world_poke(&scene->world, 0, world_page(&scene->world, SCENE_PAGE), OLD);
	scene_load(scene, 0, 0, 0);
	return scene;
}

static void *open_object(void)
{
	test_scene *scene = scene_open(0);

	return open_shared(world_object(&scene->world, 2 * PAGE, false), scene);
}

static void *open_file(void)
{
	test_scene *scene = scene_open(0);

	return open_shared(world_file_open(&scene->world, &scene->file, 2 * PAGE), scene);
}

static void truncate(void *context)
{
	test_scene *scene = context;

	CHECK_OK(lh_object_resize(scene->object, 0));
}

/* What was pinned is a page of the object's no more, and no other comes to see it. */
static void check_truncated(void *context)
{
	test_scene *scene = context;
	uint64_t value;

	CHECK(scene->errors[0] == LH_OK || scene->errors[0] == LH_BAD_ADDRESS);
	CHECK_EQUAL(world_read(&scene->world, 0, world_page(&scene->world, SCENE_PAGE), &value),
		    LH_FAULT_BUS);
	CHECK_OK(lh_object_resize(scene->object, PAGE));
	if (scene->errors[0] == LH_OK)
		*(uint64_t *)lh_frame_pointer(scene->world.frames, scene->frames[0][0]) = DEVICE;
	CHECK_EQUAL(world_peek(&scene->world, 0, world_page(&scene->world, SCENE_PAGE)), 0);
	scene->errors[0] = LH_OK;
	let_go(scene);
}

static void write_back(void *context)
{
	test_scene *scene = context;

	CHECK_OK(lh_object_sync(scene->object, 0, 2));
}

/* What the device writes after that is stored the next time. */
static void check_written_back(void *context)
{
	test_scene *scene = context;

	*(uint64_t *)lh_frame_pointer(scene->world.frames, scene->frames[0][0]) = DEVICE;
	CHECK_OK(lh_object_sync(scene->object, 0, 2));
	CHECK_EQUAL(world_file_disk(&scene->file, 0), DEVICE);
	let_go(scene);
}

#define PINS(identifier, start, first, second, end)                                              \
	CASE(identifier, .host = &scene_host, .fibres = 2, .open = start, .bound = 2,            \
	     .run = { first, second }, .check = end)

PINS(pin_fork_absent, open_absent, pin_it, fork_it, check_forked)
PINS(pin_fork_present, open_present, pin_and_write, fork_it, check_forked)
PINS(pin_fork_to_read, open_present, pin_to_read, fork_it, check_forked)
PINS(pin_unpin_fork, open_present, pin_and_unpin, fork_it, check_unpinned)
PINS(pin_write_absent, open_absent, pin_it, write_it, check_coherent)
PINS(pin_write_copy, open_forked_together, pin_it, write_it, check_coherent)
PINS(b3_pin_write_parent_child, open_forked, pin_it, write_it, check_child_wrote)
PINS(b3_pin_to_read_write_parent_child, open_forked, pin_to_read, write_it, check_child_wrote)
PINS(pin_pin_absent, open_absent, pin_it, pin_to_read, check_both_pinned)
PINS(pin_pin_copy, open_forked_together, pin_it, pin_it, check_both_pinned)
PINS(pin_unmap_present, open_present, pin_it, unmap, check_unmapped)
PINS(pin_unmap_copy, open_forked_together, pin_it, unmap, check_unmapped)
PINS(pin_discard_present, open_present, pin_it, discard, check_discarded)
PINS(pin_discard_copy, open_forked_together, pin_it, discard, check_discarded)
PINS(pin_protect_present, open_present, pin_it, protect_and_write, check_protected)
PINS(pin_protect_copy, open_forked_together, pin_it, protect_and_write, check_protected)
PINS(pin_truncate, open_object, pin_it, truncate, check_truncated)
PINS(pin_write_back, open_file, pin_it, write_back, check_written_back)
