/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which cache lines two CPUs both write when each does the same operation again and again, on
 * memory of its own: what they fight for on a machine with many CPUs. CPU 0 in space 0, CPU 1 in
 * space 1, except where the name says that they share one.
 */
#include <stdlib.h>

#include <landhold/heap.h>

#include "interleave/scene.h"

static test_scene *open_pages(bool in_one_space)
{
	test_scene *scene = scene_open(512);

	for (unsigned n = 0; n < 2; n++) {
		world_map(&scene->world, n, SCENE_PAGE, 8, READ_WRITE);
		for (uint64_t page = SCENE_PAGE; page < SCENE_PAGE + 8; page++)
			world_poke(&scene->world, n, world_page(&scene->world, page), page);
	}
	world_make(&scene->world, 2);
	world_make(&scene->world, 3);
	scene_load(scene, 0, in_one_space ? 0 : 1, -1);
	return scene;
}

static void *open_apart(void)
{
	return open_pages(false);
}

static void *open_together(void)
{
	return open_pages(true);
}

static lh_space *own_space(test_scene *scene)
{
	return scene->world.space[scene->world.loaded[scene_cpu()]];
}

/* Each CPU has pages of its own, in whatever space. */
static lh_virtual_range own_pages(test_scene *scene, uint64_t pages)
{
	return world_range(&scene->world, SCENE_PAGE + 4 * scene_cpu(), pages);
}

static void fault(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(scene_write(scene, SCENE_PAGE + 4 * scene_cpu(), 1), LH_FAULT_OK);
	CHECK_OK(lh_space_discard(own_space(scene), own_pages(scene, 1)));
}

/* Maps and unmaps at the same place. */
static void map_unmap(void *context)
{
	test_scene *scene = context;
	lh_map_request request = { .where = LH_AT, .pages = 2, .rights = READ_WRITE,
				   .address = lh_virtual(world_page(&scene->world,
								    50 + 10 * scene_cpu())) };
	lh_virtual_range placed;

	CHECK_OK(lh_space_map(own_space(scene), &request, &placed));
	CHECK_OK(lh_space_unmap(own_space(scene), placed));
}

static void protect(void *context)
{
	test_scene *scene = context;

	CHECK_OK(lh_space_protect(own_space(scene), own_pages(scene, 2), READ));
	CHECK_OK(lh_space_protect(own_space(scene), own_pages(scene, 2), READ_WRITE));
}

/* Into a space of its own, which is emptied again. */
static void fork_it(void *context)
{
	test_scene *scene = context;
	lh_space *child = scene->world.space[2 + scene_cpu()];

	CHECK_OK(lh_space_fork(own_space(scene), child));
	CHECK_OK(lh_space_unmap(child, scene->world.user));
}

static void frame(void *context)
{
	test_scene *scene = context;
	lh_frame_number taken;

	CHECK_OK(lh_frame_allocate(scene->world.frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &taken));
	lh_frame_drop(scene->world.frames, taken);
}

#define ITEMS 200 /* more than a front has room for: some come from slabs, and go back there */

static void *open_heap(void)
{
	test_scene *scene = scene_open(0);
	lh_kernel_request request = { .placement.pages = 128 };

	scene->items[0] = aligned_alloc(64, sizeof(lh_heap));
	CHECK_OK(lh_heap_create(scene->items[0], scene->world.manager, &request, 0));
	scene_load(scene, -1, -1, -1);
	return scene;
}

static void items(void *context)
{
	test_scene *scene = context;
	lh_virtual_address taken[ITEMS];

	for (unsigned i = 0; i < ITEMS; i++)
		CHECK_OK(lh_heap_allocate(scene->items[0], 64, 0, &taken[i]));
	for (unsigned i = 0; i < ITEMS; i++)
		lh_heap_free(scene->items[0], taken[i], 64);
}

#define STEADY(identifier, start, operation)                                                     \
	LINES(identifier, .host = &scene_host, .fibres = 2, .open = start,                       \
	      .run = { operation, operation })

STEADY(fault_and_discard, open_apart, fault)
STEADY(fault_and_discard_in_one_space, open_together, fault)
STEADY(map_and_unmap, open_apart, map_unmap)
STEADY(map_and_unmap_in_one_space, open_together, map_unmap)
STEADY(protect_twice, open_apart, protect)
STEADY(protect_twice_in_one_space, open_together, protect)
STEADY(fork_and_unmap, open_apart, fork_it)
STEADY(frame_allocate_and_free, open_apart, frame)
STEADY(heap_allocate_and_free_200, open_heap, items)
