/* SPDX-License-Identifier: BSD-2-Clause */
/* The first things that a space must do: map, fault, fork, protect, unmap. */
#include <landhold/reclaim.h>

#include "space/space.h"
#include "world/world.h"

TEST(a_space_is_made_and_goes_without_a_trace)
{
	test_world world;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	CHECK_EQUAL(world_counters(&world, 0).tables, 1);
	world_check(&world);
	world_close(&world);
}

TEST(memory_reads_zero_then_what_was_written)
{
	test_world world;
	lh_statistics statistics;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	world_map(&world, 0, 10, 4, READ_WRITE);
	CHECK_EQUAL(world_peek(&world, 0, world_page(&world, 10)), 0);
	CHECK_EQUAL(world_counters(&world, 0).resident, 1);
	CHECK_EQUAL(world_frame_counters(&world).used[LH_FRAME_ANONYMOUS], 0);
	world_poke(&world, 0, world_page(&world, 10) + 8, 0x1234);
	world_poke(&world, 0, world_page(&world, 13) + 4088, 0x5678);
	CHECK_EQUAL(world_peek(&world, 0, world_page(&world, 10)), 0);
	CHECK_EQUAL(world_peek(&world, 0, world_page(&world, 10) + 8), 0x1234);
	CHECK_EQUAL(world_peek(&world, 0, world_page(&world, 13) + 4088), 0x5678);
	statistics = world_statistics(&world);
	CHECK_EQUAL(statistics.faults_zero, 1);
	CHECK_EQUAL(statistics.faults_fresh, 2);
	CHECK_EQUAL(world_frame_counters(&world).used[LH_FRAME_ANONYMOUS], 2);
	CHECK_EQUAL(world_counters(&world, 0).charged, 4);
	world_check(&world);
	world_close(&world);
}

TEST(what_is_not_mapped_or_not_allowed_is_refused)
{
	test_world world;
	uint64_t value;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	world_map(&world, 0, 10, 2, READ);
	world_map(&world, 0, 20, 2, LH_RIGHT_NONE);
	CHECK_EQUAL(world_read(&world, 0, world_page(&world, 9), &value), LH_FAULT_NOT_MAPPED);
	CHECK_EQUAL(world_read(&world, 0, world_page(&world, 10), &value), LH_FAULT_OK);
	CHECK_EQUAL(world_write(&world, 0, world_page(&world, 10), 1), LH_FAULT_NO_ACCESS);
	CHECK_EQUAL(world_fetch(&world, 0, world_page(&world, 10)), LH_FAULT_NO_ACCESS);
	CHECK_EQUAL(world_read(&world, 0, world_page(&world, 20), &value), LH_FAULT_NO_ACCESS);
	CHECK_EQUAL(world_read(&world, 0, WORLD_KERNEL, &value), LH_FAULT_NOT_MAPPED);
	CHECK_EQUAL(world_counters(&world, 0).charged, 0);
	world_check(&world);
	world_close(&world);
}

TEST(after_a_fork_each_side_has_its_own)
{
	test_world world;
	uint64_t page;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	world_make(&world, 1);
	page = world_page(&world, 100);
	world_map(&world, 0, 100, 3, READ_WRITE);
	world_load(&world, 0, 0);
	world_load(&world, 1, 1);
	world_poke(&world, 0, page, 1);
	world_poke(&world, 0, page + PAGE, 2);
	CHECK_OK(lh_space_fork(world.space[0], world.space[1]));
	world_check(&world);
	CHECK_EQUAL(world_holders(&world, world_frame(&world, 0, 100)), 2);
	CHECK_EQUAL(world_peek(&world, 1, page), 1);
	world_poke(&world, 0, page, 11);
	CHECK_EQUAL(world_peek(&world, 1, page), 1);
	CHECK_EQUAL(world_peek(&world, 0, page), 11);
	world_poke(&world, 1, page + PAGE, 22);
	CHECK_EQUAL(world_peek(&world, 0, page + PAGE), 2);
	CHECK_EQUAL(world_peek(&world, 1, page + PAGE), 22);
	/* The last holder writes in place. */
	world_poke(&world, 1, page, 33);
	CHECK_EQUAL(world_peek(&world, 0, page), 11);
	CHECK_EQUAL(world_statistics(&world).faults_reused, 1);
	CHECK_EQUAL(world_statistics(&world).faults_copied, 2);
	CHECK_EQUAL(world_frame_counters(&world).committed, 6);
	world_check(&world);
	world_destroy(&world, 0);
	CHECK_EQUAL(world_peek(&world, 1, page + PAGE), 22);
	world_check(&world);
	world_close(&world);
}

TEST(unmapping_takes_pages_tables_and_translations_away)
{
	test_world world;
	uint64_t value;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	world_map(&world, 0, 0, WORLD_USER_PAGES, READ_WRITE);
	for (uint64_t n = 0; n < WORLD_USER_PAGES; n += 7)
		world_poke(&world, 0, world_page(&world, n), n);
	CHECK_EQUAL(world_counters(&world, 0).tables, world.format.levels - 3 + 2 + 2 + 4);
	world_check(&world);
	world_unmap(&world, 0, 20, 1000);
	world_check(&world);
	CHECK_EQUAL(world_counters(&world, 0).regions, 2);
	CHECK_EQUAL(world_counters(&world, 0).charged, 100);
	CHECK_EQUAL(world_read(&world, 0, world_page(&world, 700), &value), LH_FAULT_NOT_MAPPED);
	CHECK_EQUAL(world_peek(&world, 0, world_page(&world, 14)), 14);
	world_unmap(&world, 0, 0, WORLD_USER_PAGES);
	CHECK_EQUAL(world_counters(&world, 0).tables, 1);
	CHECK_EQUAL(world_counters(&world, 0).resident, 0);
	world_check(&world);
	world_close(&world);
}

TEST(protection_is_taken_at_once_and_given_by_faults)
{
	test_world world;
	uint64_t page, value;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	page = world_page(&world, 5);
	world_map(&world, 0, 4, 4, READ_WRITE);
	world_poke(&world, 0, page, 7);
	CHECK_OK(lh_space_protect(world.space[0], world_range(&world, 5, 1), READ));
	world_check(&world);
	CHECK_EQUAL(world_counters(&world, 0).regions, 3);
	CHECK_EQUAL(world_write(&world, 0, page, 8), LH_FAULT_NO_ACCESS);
	CHECK_EQUAL(world_peek(&world, 0, page), 7);
	CHECK_OK(lh_space_protect(world.space[0], world_range(&world, 5, 1), LH_RIGHT_NONE));
	CHECK_EQUAL(world_read(&world, 0, page, &value), LH_FAULT_NO_ACCESS);
	world_check(&world);
	CHECK_OK(lh_space_protect(world.space[0], world_range(&world, 5, 1), READ_WRITE));
	CHECK_EQUAL(world_counters(&world, 0).regions, 1);
	CHECK_EQUAL(world_peek(&world, 0, page), 7);
	world_poke(&world, 0, page, 9);
	CHECK_EQUAL(world_peek(&world, 0, page), 9);
	world_check(&world);
	world_close(&world);
}

TEST(shared_memory_is_one_memory)
{
	test_world world;
	lh_object *object;
	uint64_t a, b;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	world_make(&world, 1);
	object = world_object(&world, 8 * PAGE, false);
	world_map_object(&world, 0, 40, 8, READ_WRITE, LH_REGION_SHARED, object, 0);
	world_map_object(&world, 1, 60, 4, READ_WRITE, LH_REGION_SHARED, object, 2);
	world_map_object(&world, 1, 70, 8, READ_WRITE, 0, object, 0);
	lh_object_drop(object);
	a = world_page(&world, 42);
	b = world_page(&world, 60);
	world_poke(&world, 0, a, 5);
	CHECK_EQUAL(world_peek(&world, 1, b), 5);
	world_poke(&world, 1, b, 6);
	CHECK_EQUAL(world_peek(&world, 0, a), 6);
	CHECK_EQUAL(world_peek(&world, 1, world_page(&world, 72)), 6);
	world_poke(&world, 1, world_page(&world, 72), 100);
	CHECK_EQUAL(world_peek(&world, 0, a), 6);
	world_poke(&world, 0, a, 7);
	CHECK_EQUAL(world_peek(&world, 1, world_page(&world, 72)), 100);
	CHECK_EQUAL(world_frame_counters(&world).used[LH_FRAME_OBJECT], 1);
	world_check(&world);
	world_close(&world);
}

/* --- the pools' reserve --- */

static lh_pool_counters regions_in_pool(const test_world *world)
{
	return lh_pool_read_counters(&world->manager->regions);
}

static void map_and_unmap_beyond(test_world *world)
{
	world_map(world, 0, 900, 1, READ_WRITE);
	world_unmap(world, 0, 900, 1);
}

/* Regions that fill a page of their pool, seen by two CPUs. */
static void fill_a_page_of_regions(test_world *world)
{
	uint64_t page = 10;

	world_open(world, &(world_setup){ 0 });
	world_make(world, 0);
	do {
		world_map(world, 0, page, 1, READ_WRITE);
		page += 2;
	} while (regions_in_pool(world).items % world->manager->regions.items_per_page != 0);
	for (unsigned cpu = 0; cpu < 2; cpu++)
		CHECK_EQUAL(world_access(world, cpu, 0, world_page(world, 10), MMU_WRITE, &page, 8),
			    LH_FAULT_OK);
}

TEST(a_region_beyond_a_full_page_comes_and_goes_without_a_call)
{
	test_world world;
	uint64_t calls, pages, free_before;

	fill_a_page_of_regions(&world);
	pages = regions_in_pool(&world).pages;
	free_before = world_statistics(&world).frames.free;
	map_and_unmap_beyond(&world);
	calls = world.machine->calls;
	for (unsigned n = 0; n < 10; n++) {
		map_and_unmap_beyond(&world);
		CHECK_EQUAL(regions_in_pool(&world).pages, pages + 1);
		CHECK_EQUAL(world_statistics(&world).frames.free, free_before);
	}
	CHECK_EQUAL(world.machine->calls, calls);
	CHECK_EQUAL(lh_frames_reclaim(world.frames, 1), 1);
	CHECK_EQUAL(regions_in_pool(&world).pages, pages);
	CHECK_EQUAL(world_statistics(&world).frames.free, free_before);
	CHECK_EQUAL(lh_manager_trim(world.manager), 0);
	world_close(&world);
}

TEST(only_one_empty_page_of_regions_is_kept)
{
	test_world world;
	uint64_t pages;

	fill_a_page_of_regions(&world);
	pages = regions_in_pool(&world).pages;
	for (uint64_t page = 200; page < 400; page += 2)
		world_map(&world, 0, page, 1, READ_WRITE);
	CHECK(regions_in_pool(&world).pages > pages + 2);
	world_unmap(&world, 0, 200, 200);
	CHECK_EQUAL(regions_in_pool(&world).pages, pages + 1);
	world_close(&world);
}

TEST(no_page_of_regions_is_kept_where_memory_is_short)
{
	test_world world;
	uint64_t pages, count = 0;
	lh_frame_number eaten[2048];

	fill_a_page_of_regions(&world);
	pages = regions_in_pool(&world).pages;
	while (lh_frames_have(world.frames, lh_frames_watermarks(world.frames).low))
		CHECK_OK(lh_frame_allocate(world.frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED,
					   &eaten[count++]));
	map_and_unmap_beyond(&world);
	CHECK_EQUAL(regions_in_pool(&world).pages, pages);
	while (count > 0)
		lh_frame_drop(world.frames, eaten[--count]);
	world_close(&world);
}
