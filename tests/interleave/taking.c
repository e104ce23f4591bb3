/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPU 1 takes away what CPU 0 touches: page 30 of space 0. What was taken is gone, for both,
 * when the call that took it returns.
 */
#include "interleave/scene.h"

#define OLD UINT64_C(0x700)

static lh_virtual_range the_page(test_scene *scene)
{
	return world_range(&scene->world, SCENE_PAGE, 1);
}

/* --- start states --- */

/* A private page and its neighbours; the first is touched. */
static test_scene *open_private_pages(uint64_t pages)
{
	test_scene *scene = scene_open(0);

	world_map(&scene->world, 0, SCENE_PAGE, pages, READ_WRITE);
	if (pages > 1)
		world_poke(&scene->world, 0, world_page(&scene->world, SCENE_PAGE + 1), OLD);
	scene_load(scene, 0, 0, 0);
	return scene;
}

static void touch_first(test_scene *scene)
{
	world_poke(&scene->world, 0, world_page(&scene->world, SCENE_PAGE), OLD);
}

static void *open_absent(void)
{
	return open_private_pages(2);
}

static void *open_present(void)
{
	test_scene *scene = open_private_pages(2);

	touch_first(scene);
	return scene;
}

/* Its tables go with it. */
static void *open_alone_absent(void)
{
	return open_private_pages(1);
}

static void *open_alone_present(void)
{
	test_scene *scene = open_private_pages(1);

	touch_first(scene);
	return scene;
}

static void *open_cached_by_both(void)
{
	test_scene *scene = open_present();
	uint64_t value;

	for (unsigned cpu = 0; cpu < 3; cpu++)
		CHECK_EQUAL(world_access(&scene->world, cpu, 0,
					 world_page(&scene->world, SCENE_PAGE), MMU_READ, &value, 8),
			    LH_FAULT_OK);
	return scene;
}

static void *open_forked(void)
{
	test_scene *scene = open_present();

	CHECK_OK(lh_space_fork(scene->world.space[0], scene->world.space[1]));
	return scene;
}

/* --- CPU 0 --- */

/* Two writes: it may succeed, then be refused; not the other way. */
static void write_twice(void *context)
{
	test_scene *scene = context;
	lh_fault *faults = scene->faults[scene_cpu()];

	faults[0] = scene_write(scene, SCENE_PAGE, scene_mine(1));
	faults[1] = scene_write(scene, SCENE_PAGE, scene_mine(2));
}

static void require_taken(const test_scene *scene, lh_fault refused)
{
	const lh_fault *faults = scene->faults[0];

	CHECK(faults[0] == LH_FAULT_OK || faults[0] == refused);
	CHECK(faults[1] == refused || (faults[0] == LH_FAULT_OK && faults[1] == LH_FAULT_OK));
}

/* --- unmap --- */

static void unmap(void *context)
{
	test_scene *scene = context;
	uint64_t value;

	CHECK_OK(lh_space_unmap(scene->world.space[0], the_page(scene)));
	CHECK_EQUAL(scene_read(scene, SCENE_PAGE, &value), LH_FAULT_NOT_MAPPED);
}

static void check_unmapped(void *context)
{
	test_scene *scene = context;
	lh_space_counters counters = world_counters(&scene->world, 0);

	require_taken(scene, LH_FAULT_NOT_MAPPED);
	CHECK_EQUAL(counters.resident, counters.pages); /* the neighbour, if there is one */
	scene_check(scene);
}

/* --- protect --- */

static void protect(void *context)
{
	test_scene *scene = context;
	uint64_t first, again;

	CHECK_OK(lh_space_protect(scene->world.space[0], the_page(scene), READ));
	CHECK_EQUAL(scene_read(scene, SCENE_PAGE, &first), LH_FAULT_OK);
	CHECK_EQUAL(scene_write(scene, SCENE_PAGE, 1), LH_FAULT_NO_ACCESS);
	CHECK_EQUAL(scene_read(scene, SCENE_PAGE, &again), LH_FAULT_OK);
	CHECK_EQUAL(first, again);
	scene->values[1][0] = first;
}

static void check_protected(void *context)
{
	test_scene *scene = context;
	uint64_t value = world_peek(&scene->world, 0, world_page(&scene->world, SCENE_PAGE));

	require_taken(scene, LH_FAULT_NO_ACCESS);
	CHECK_EQUAL(value, scene->values[1][0]);
	if (scene->faults[0][1] == LH_FAULT_OK)
		CHECK_EQUAL(value, 0x201);
	else if (scene->faults[0][0] == LH_FAULT_OK)
		CHECK_EQUAL(value, 0x101);
	scene_check(scene);
}

/* Rights come and go. */
static void protect_and_allow(void *context)
{
	test_scene *scene = context;

	CHECK_OK(lh_space_protect(scene->world.space[0], the_page(scene), READ));
	CHECK_OK(lh_space_protect(scene->world.space[0], the_page(scene), READ_WRITE));
	CHECK_EQUAL(scene_write(scene, SCENE_PAGE + 1, scene_mine(1)), LH_FAULT_OK);
}

static void check_allowed(void *context)
{
	test_scene *scene = context;

	if (scene->faults[0][1] == LH_FAULT_OK)
		CHECK_EQUAL(world_peek(&scene->world, 0, world_page(&scene->world, SCENE_PAGE)),
			    0x201);
	CHECK_EQUAL(world_peek(&scene->world, 0, world_page(&scene->world, SCENE_PAGE + 1)), 0x102);
	scene_check(scene);
}

/* --- discard --- */

static void discard(void *context)
{
	test_scene *scene = context;
	uint64_t value;

	CHECK_OK(lh_space_discard(scene->world.space[0], the_page(scene)));
	CHECK_EQUAL(scene_read(scene, SCENE_PAGE, &value), LH_FAULT_OK);
	CHECK(value != OLD);
}

static void check_discarded(void *context)
{
	test_scene *scene = context;
	uint64_t value = world_peek(&scene->world, 0, world_page(&scene->world, SCENE_PAGE));

	CHECK_EQUAL(scene->faults[0][0], LH_FAULT_OK);
	CHECK_EQUAL(scene->faults[0][1], LH_FAULT_OK);
	CHECK(value == 0 || value == 0x201);
	scene_check(scene);
}

/* --- mapping over --- */

static void map_over(void *context)
{
	test_scene *scene = context;
	lh_map_request request = { .where = LH_OVER, .pages = 1, .rights = READ,
				   .address = the_page(scene).base };
	lh_virtual_range placed;
	uint64_t value;

	CHECK_OK(lh_space_map(scene->world.space[0], &request, &placed));
	CHECK_EQUAL(scene_read(scene, SCENE_PAGE, &value), LH_FAULT_OK);
	CHECK_EQUAL(value, 0);
}

static void check_mapped_over(void *context)
{
	test_scene *scene = context;

	require_taken(scene, LH_FAULT_NO_ACCESS);
	CHECK_EQUAL(world_peek(&scene->world, 0, world_page(&scene->world, SCENE_PAGE)), 0);
	scene_check(scene);
}

/* --- unmap, and another region at the same place: the fault is for the one or for the other --- */

static void unmap_and_map(void *context)
{
	test_scene *scene = context;
	lh_map_request request = { .where = LH_AT, .pages = 1, .rights = READ,
				   .address = the_page(scene).base };
	lh_virtual_range placed;
	uint64_t value;

	CHECK_OK(lh_space_unmap(scene->world.space[0], the_page(scene)));
	CHECK_OK(lh_space_map(scene->world.space[0], &request, &placed));
	CHECK_EQUAL(scene_read(scene, SCENE_PAGE, &value), LH_FAULT_OK);
	CHECK_EQUAL(value, 0);
}

static void check_mapped_again(void *context)
{
	test_scene *scene = context;
	const lh_fault *faults = scene->faults[0];

	for (unsigned n = 0; n < 2; n++)
		CHECK(faults[n] == LH_FAULT_OK || faults[n] == LH_FAULT_NOT_MAPPED ||
		      faults[n] == LH_FAULT_NO_ACCESS);
	CHECK(faults[1] != LH_FAULT_OK || faults[0] == LH_FAULT_OK);
	CHECK_EQUAL(world_peek(&scene->world, 0, world_page(&scene->world, SCENE_PAGE)), 0);
	scene_check(scene);
}

/* --- the region is cut beside the page, and made whole: the page stays as it is --- */

static void cut_and_mend(void *context)
{
	test_scene *scene = context;
	lh_virtual_range neighbour = world_range(&scene->world, SCENE_PAGE + 1, 1);

	CHECK_OK(lh_space_protect(scene->world.space[0], neighbour, READ));
	CHECK_OK(lh_space_protect(scene->world.space[0], neighbour, READ_WRITE));
}

static void check_mended(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(scene->faults[0][0], LH_FAULT_OK);
	CHECK_EQUAL(scene->faults[0][1], LH_FAULT_OK);
	CHECK_EQUAL(world_counters(&scene->world, 0).regions, 1);
	CHECK_EQUAL(world_peek(&scene->world, 0, world_page(&scene->world, SCENE_PAGE)), 0x201);
	CHECK_EQUAL(world_peek(&scene->world, 0, world_page(&scene->world, SCENE_PAGE + 1)), OLD);
	scene_check(scene);
}

/* --- fork --- */

/* One page after the other: a child that has the second has the first. */
static void write_in_order(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(scene_write(scene, SCENE_PAGE, scene_mine(1)), LH_FAULT_OK);
	CHECK_EQUAL(scene_write(scene, SCENE_PAGE + 1, scene_mine(1)), LH_FAULT_OK);
}

static void fork_it(void *context)
{
	test_scene *scene = context;

	CHECK_OK(lh_space_fork(scene->world.space[0], scene->world.space[1]));
}

static void check_forked(void *context)
{
	test_scene *scene = context;
	test_world *world = &scene->world;
	uint64_t first = world_peek(world, 1, world_page(world, SCENE_PAGE));
	uint64_t second = world_peek(world, 1, world_page(world, SCENE_PAGE + 1));

	CHECK_EQUAL(world_peek(world, 0, world_page(world, SCENE_PAGE)), 0x101);
	CHECK_EQUAL(world_peek(world, 0, world_page(world, SCENE_PAGE + 1)), 0x101);
	CHECK(first == 0x101 || first == OLD || first == 0);
	CHECK(second == OLD || (second == 0x101 && first == 0x101));
	world_poke(world, 0, world_page(world, SCENE_PAGE), 1);
	CHECK_EQUAL(world_peek(world, 1, world_page(world, SCENE_PAGE)), first);
	world_poke(world, 1, world_page(world, SCENE_PAGE), 2);
	CHECK_EQUAL(world_peek(world, 0, world_page(world, SCENE_PAGE)), 1);
	scene_check(scene);
}

/* --- a third CPU, which fills its TLB at any time, and looks again --- */

static void speculate(void *context)
{
	test_scene *scene = context;
	lh_virtual_address address = lh_virtual(world_page(&scene->world, SCENE_PAGE));

	for (unsigned n = 0; n < 2; n++) {
		machine_speculate(scene->world.machine, scene_cpu(), address, 2);
		machine_step(scene->world.machine, "speculates");
	}
}

#define TAKEN(identifier, start, first, second, end)                                             \
	CASE(identifier, .host = &scene_host, .fibres = 2, .open = start, .bound = 2,            \
	     .run = { first, second }, .check = end)

TAKEN(fault_unmap_absent, open_absent, write_twice, unmap, check_unmapped)
TAKEN(fault_unmap_present, open_present, write_twice, unmap, check_unmapped)
TAKEN(fault_unmap_cached, open_cached_by_both, write_twice, unmap, check_unmapped)
TAKEN(fault_unmap_copy, open_forked, write_twice, unmap, check_unmapped)
TAKEN(b28_fault_unmap_with_tables_absent, open_alone_absent, write_twice, unmap, check_unmapped)
TAKEN(b28_fault_unmap_with_tables_present, open_alone_present, write_twice, unmap, check_unmapped)
TAKEN(fault_protect_absent, open_absent, write_twice, protect, check_protected)
TAKEN(fault_protect_present, open_present, write_twice, protect, check_protected)
TAKEN(fault_protect_cached, open_cached_by_both, write_twice, protect, check_protected)
TAKEN(fault_protect_copy, open_forked, write_twice, protect, check_protected)
TAKEN(fault_protect_allow, open_present, write_twice, protect_and_allow, check_allowed)
TAKEN(fault_discard_present, open_present, write_twice, discard, check_discarded)
TAKEN(fault_discard_copy, open_forked, write_twice, discard, check_discarded)
TAKEN(fault_map_over_absent, open_absent, write_twice, map_over, check_mapped_over)
TAKEN(fault_map_over_present, open_present, write_twice, map_over, check_mapped_over)
TAKEN(fault_unmap_map_absent, open_absent, write_twice, unmap_and_map, check_mapped_again)
TAKEN(fault_unmap_map_present, open_present, write_twice, unmap_and_map, check_mapped_again)
TAKEN(fault_unmap_map_alone, open_alone_absent, write_twice, unmap_and_map, check_mapped_again)
TAKEN(fault_cut_absent, open_absent, write_twice, cut_and_mend, check_mended)
TAKEN(fault_cut_copy, open_forked, write_twice, cut_and_mend, check_mended)
TAKEN(b24_fault_fork_absent, open_absent, write_in_order, fork_it, check_forked)
TAKEN(b24_fault_fork_present, open_present, write_in_order, fork_it, check_forked)

/* --- three at once --- */

/* CPU 2 writes what CPU 0 does. */
static void write_once(void *context)
{
	test_scene *scene = context;

	scene->faults[scene_cpu()][0] = scene_write(scene, SCENE_PAGE, scene_mine(3));
}

static void check_fork_of_two(void *context)
{
	test_scene *scene = context;
	test_world *world = &scene->world;
	uint64_t child = world_peek(world, 1, world_page(world, SCENE_PAGE));
	uint64_t parent = world_peek(world, 0, world_page(world, SCENE_PAGE));

	CHECK(parent == 0x101 || parent == 0x303);
	CHECK(child == 0x101 || child == 0x303 || child == OLD || child == 0);
	scene_check(scene);
}

static void check_sound(void *scene)
{
	scene_check(scene);
}

#define THREE(identifier, start, first, second, third, end)                                      \
	CASE(identifier, .host = &scene_host, .fibres = 3, .open = start, .bound = 1,            \
	     .run = { first, second, third }, .check = end)

THREE(three_fault_unmap_fault_absent, open_absent, write_twice, unmap, write_once, check_unmapped)
THREE(three_fault_unmap_fault_copy, open_forked, write_twice, unmap, write_once, check_unmapped)
THREE(three_fault_protect_fault, open_present, write_twice, protect, write_once, check_sound)
THREE(three_fault_fork_fault_absent, open_absent, write_in_order, fork_it, write_once,
      check_fork_of_two)
THREE(three_fault_fork_fault_present, open_present, write_in_order, fork_it, write_once,
      check_fork_of_two)

#define WATCHED(identifier, start, first, second, end)                                           \
	CASE(identifier, .host = &scene_host, .fibres = 3, .open = start, .bound = 1,            \
	     .run = { first, second, speculate }, .check = end)

WATCHED(b5_fault_unmap_speculation, open_present, write_twice, unmap, check_unmapped)
WATCHED(b17_fault_protect_speculation, open_present, write_twice, protect, check_protected)
WATCHED(fault_fork_speculation, open_present, write_in_order, fork_it, check_forked)
WATCHED(b7_fault_unmap_with_tables_speculation, open_alone_present, write_twice, unmap,
	check_unmapped)
