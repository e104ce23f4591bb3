/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's regions and the heap: one directory, that all CPUs run. */
#include <stdlib.h>
#include <string.h>

#include <landhold/heap.h>
#include <landhold/reclaim.h>

#include "interleave/scene.h"

static lh_region *region_of(test_scene *scene, unsigned n)
{
	return scene->items[n];
}

/* Regions are instrumented memory: the library links them. CPU 1's is mapped. */
static void *open_regions(void)
{
	test_scene *scene = scene_open(0);
	lh_kernel_request request = { .placement.pages = 1, .rights = READ_WRITE };

	for (unsigned n = 0; n < 3; n++) {
		scene->items[n] = aligned_alloc(64, sizeof(lh_region));
		memset(scene->items[n], 0, sizeof(lh_region));
	}
	CHECK_OK(lh_manager_map(scene->world.manager, region_of(scene, 2), &request));
	CHECK_OK(lh_manager_map(scene->world.manager, region_of(scene, 1), &request));
	scene->extra[1] = region_of(scene, 1)->range.base.value;
	scene_load(scene, -1, -1, -1);
	return scene;
}

static void map_and_use(void *context)
{
	test_scene *scene = context;
	lh_kernel_request request = { .placement.pages = 1, .rights = READ_WRITE };
	lh_region *region = region_of(scene, scene_cpu());
	uint64_t address, value;

	CHECK_OK(lh_manager_map(scene->world.manager, region, &request));
	address = region->range.base.value;
	scene->values[scene_cpu()][0] = address;
	CHECK(crowd_read_kernel(&scene->world, scene_cpu(), address, &value));
	CHECK_EQUAL(value, 0);
	CHECK(crowd_write_kernel(&scene->world, scene_cpu(), address, address));
	CHECK(crowd_read_kernel(&scene->world, scene_cpu(), address, &value));
	CHECK_EQUAL(value, address);
}

static void unmap(void *context)
{
	test_scene *scene = context;

	CHECK(crowd_write_kernel(&scene->world, scene_cpu(), scene->extra[1], 1));
	lh_manager_unmap(scene->world.manager, region_of(scene, 1));
}

static void unmap_and_map(void *context)
{
	unmap(context);
	map_and_use(context);
}

/* Gives the regions back, then all must be back. */
static void check_regions(void *context)
{
	test_scene *scene = context;

	for (unsigned n = 0; n < 3; n++)
		if (region_of(scene, n)->tree)
			lh_manager_unmap(scene->world.manager, region_of(scene, n));
	CHECK_SOUND(lh_manager_check(scene->world.manager));
	scene_check(scene);
}

#define KERNEL(identifier, start, first, second, end)                                            \
	CASE(identifier, .host = &scene_host, .fibres = 2, .open = start, .bound = 2,            \
	     .run = { first, second }, .check = end)

KERNEL(kernel_map_unmap, open_regions, map_and_use, unmap, check_regions)
KERNEL(kernel_map_unmap_map, open_regions, map_and_use, unmap_and_map, check_regions)

/* --- the heap --- */

static lh_heap *heap_of(test_scene *scene)
{
	return scene->items[0];
}

static test_scene *make_heap(void)
{
	test_scene *scene = scene_open(0);
	lh_kernel_request request = { .placement.pages = 32 };

	scene->items[0] = aligned_alloc(64, sizeof(lh_heap));
	CHECK_OK(lh_heap_create(heap_of(scene), scene->world.manager, &request, 0));
	return scene;
}

/* Items of 1000 bytes; CPU 1 has one. */
static void *open_heap(void)
{
	test_scene *scene = make_heap();
	lh_virtual_address address;

	CHECK_OK(lh_heap_allocate(heap_of(scene), 1000, 0, &address));
	scene->extra[1] = address.value;
	scene_load(scene, -1, -1, -1);
	return scene;
}

static void allocate_and_use(void *context)
{
	test_scene *scene = context;
	lh_virtual_address address;
	uint64_t value;

	CHECK_OK(lh_heap_allocate(heap_of(scene), 1000, 0, &address));
	CHECK(crowd_write_kernel(&scene->world, scene_cpu(), address.value, address.value));
	scene->values[scene_cpu()][0] = address.value;
	CHECK(crowd_read_kernel(&scene->world, scene_cpu(), address.value, &value));
	CHECK_EQUAL(value, address.value);
}

/* The last item of its slab, unless the other has come; the slab goes then. */
static void free_and_trim(void *context)
{
	test_scene *scene = context;

	lh_heap_free(heap_of(scene), lh_virtual(scene->extra[1]), 1000);
	lh_heap_trim(heap_of(scene));
}

static void free_and_allocate(void *context)
{
	test_scene *scene = context;

	lh_heap_free(heap_of(scene), lh_virtual(scene->extra[1]), 1000);
	allocate_and_use(context);
}

static void check_heap(void *context)
{
	test_scene *scene = context;
	uint64_t a = scene->values[0][0], b = scene->values[1][0];

	CHECK_SOUND(lh_heap_check(heap_of(scene)));
	CHECK(a != b);
	lh_heap_free(heap_of(scene), lh_virtual(a), 1000);
	lh_heap_free(heap_of(scene), lh_virtual(b), 1000);
	lh_heap_trim(heap_of(scene));
	CHECK_SOUND(lh_heap_check(heap_of(scene)));
	lh_heap_destroy(heap_of(scene));
	scene_check(scene);
}

/* Large blocks, one each: CPU 0's is short, CPU 1's long. The short one has room for a page more behind it. */
#define SHORT 12000
#define STRETCHED 16000
#define LONG 20000
#define LONGER 40000

static void *open_large(void)
{
	test_scene *scene = make_heap();

	for (unsigned cpu = 0; cpu < 2; cpu++) {
		lh_virtual_address address;

		CHECK_OK(lh_heap_allocate(heap_of(scene), cpu == 0 ? SHORT : LONG, 0, &address));
		scene->extra[cpu] = address.value;
		*(uint64_t *)lh_heap_pointer(heap_of(scene), address) = cpu + 100;
	}
	scene_load(scene, -1, -1, -1);
	return scene;
}

/* What it held, it holds, wherever it is; and its last page is there. */
static void resize(test_scene *scene, uint64_t from, uint64_t to)
{
	unsigned cpu = scene_cpu();
	lh_virtual_address address = lh_virtual(scene->extra[cpu]);
	uint64_t value;

	CHECK_OK(lh_heap_resize(heap_of(scene), &address, from, to));
	scene->values[cpu][0] = address.value;
	scene->values[cpu][1] = to;
	CHECK(crowd_read_kernel(&scene->world, cpu, address.value, &value));
	CHECK_EQUAL(value, cpu + 100);
	CHECK(crowd_write_kernel(&scene->world, cpu, address.value + to / 8 * 8 - 8, 1));
}

static void grow(void *scene)
{
	resize(scene, SHORT, LONG);
}

static void grow_long(void *scene)
{
	resize(scene, LONG, LONGER);
}

static void stretch(void *context)
{
	test_scene *scene = context;

	resize(scene, SHORT, STRETCHED);
	CHECK_EQUAL(scene->values[scene_cpu()][0], scene->extra[scene_cpu()]);
}

static void shrink(void *scene)
{
	resize(scene, LONG, SHORT);
}

static void shrink_and_trim(void *context)
{
	test_scene *scene = context;

	shrink(scene);
	lh_heap_trim(heap_of(scene));
}

static void free_large_and_allocate(void *context)
{
	test_scene *scene = context;

	lh_heap_free(heap_of(scene), lh_virtual(scene->extra[1]), LONG);
	allocate_and_use(context);
	scene->values[scene_cpu()][1] = 1000;
}

/* Its range may be the other's next. */
static void free_large_and_trim(void *context)
{
	test_scene *scene = context;

	lh_heap_free(heap_of(scene), lh_virtual(scene->extra[1]), LONG);
	lh_heap_trim(heap_of(scene));
	scene->values[1][0] = 0;
}

static void check_resized(void *context)
{
	test_scene *scene = context;

	CHECK_SOUND(lh_heap_check(heap_of(scene)));
	for (unsigned cpu = 0; cpu < 2; cpu++)
		lh_heap_free(heap_of(scene), lh_virtual(scene->values[cpu][0]), scene->values[cpu][1]);
	lh_heap_destroy(heap_of(scene));
	scene_check(scene);
}

static void check_at_hand(void *context)
{
	test_scene *scene = context;

	CHECK_SOUND(lh_heap_check(heap_of(scene)));
	lh_heap_free(heap_of(scene), lh_virtual(scene->values[0][0]), 1000);
	lh_heap_destroy(heap_of(scene));
	scene_check(scene);
}

/* From the front that was filled when the scene was made, unless it is just being taken away. */
static void take_at_hand(void *context)
{
	test_scene *scene = context;
	lh_heap_request request = { 1000, 0, LH_HEAP_AT_HAND, NULL };
	lh_virtual_address address = lh_virtual(0);
	lh_error error = lh_heap_allocate_as(heap_of(scene), &request, &address);

	CHECK(error == LH_OK || error == LH_NO_MEMORY);
	if (error == LH_OK)
		CHECK(crowd_write_kernel(&scene->world, scene_cpu(), address.value, address.value));
	scene->values[scene_cpu()][0] = address.value;
}

KERNEL(heap_allocate_free, open_heap, allocate_and_use, free_and_trim, check_heap)
KERNEL(heap_allocate_free_allocate, open_heap, allocate_and_use, free_and_allocate, check_heap)
KERNEL(heap_at_hand_trim, open_heap, take_at_hand, free_and_trim, check_at_hand)
KERNEL(heap_grow_shrink, open_large, grow, shrink_and_trim, check_resized)
KERNEL(heap_stretch_shrink, open_large, stretch, shrink_and_trim, check_resized)
KERNEL(heap_stretch_grow, open_large, stretch, grow_long, check_resized)
KERNEL(heap_stretch_trim, open_large, stretch, free_large_and_trim, check_resized)
KERNEL(heap_grow_trim, open_large, grow, free_large_and_trim, check_resized)
KERNEL(heap_grow_free, open_large, grow, free_large_and_allocate, check_resized)

/* --- another manager of the same frames: nobody is asked for what its pools keep before they stand --- */

/* What is there before: no lock in it is taken, and no number is right. */
static void fill_with_anything(void *memory)
{
	for (size_t i = 0; i < lh_manager_size() / sizeof(uint64_t); i++)
		((uint64_t *)memory)[i] = UINT64_C(0xa5a5a5a500000000);
}

static void *open_second(void)
{
	test_scene *scene = scene_open(1024);

	scene->items[0] = aligned_alloc(64, (lh_manager_size() + 63) & ~(size_t)63);
	fill_with_anything(scene->items[0]);
	scene_load(scene, -1, -1, -1);
	return scene;
}

static void create_and_destroy(void *context)
{
	test_scene *scene = context;
	lh_manager_setup setup = { .port = scene->world.machine, .frames = scene->world.frames,
				   .format = &scene->world.format, .user = scene->world.user,
				   .kernel = { lh_virtual(WORLD_KERNEL), UINT64_C(1) << 34 } };
	lh_manager *made;

	CHECK_OK(lh_manager_create(scene->items[0], &setup, &made));
	lh_manager_destroy(made);
	fill_with_anything(scene->items[0]);
}

static void reclaim(void *context)
{
	test_scene *scene = context;

	(void)lh_frames_reclaim(scene->world.frames, UINT64_MAX);
}

static void check_second(void *context)
{
	scene_check(context);
}

CASE(manager_create_reclaim, .host = &scene_host, .fibres = 2, .open = open_second, .bound = 1,
     .run = { create_and_destroy, reclaim }, .check = check_second)
