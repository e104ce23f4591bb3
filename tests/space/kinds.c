/* SPDX-License-Identifier: BSD-2-Clause */
/* Stacks, limits, devices, generations of forks, and the end of spaces. */
#include <string.h>

#include "space/space.h"
#include "world/world.h"

static lh_error map_request(test_world *world, unsigned n, lh_map_request request, uint64_t page)
{
	lh_virtual_range placed;

	request.where = request.where == LH_ANYWHERE ? LH_AT : request.where;
	request.address = lh_virtual(world_page(world, page));
	return lh_space_map(world->space[n], &request, &placed);
}

/* --- stacks --- */

static const lh_map_request stack = { .pages = 2, .rights = READ_WRITE, .guard_before = 3,
				      .flags = LH_REGION_GROWS_DOWN };

TEST(a_stack_grows_down_to_its_guard_and_its_limit)
{
	test_world world;
	uint64_t value;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	lh_space_set_limits(world.space[0], &(lh_space_limits){ .stack_pages = 20 });
	CHECK_OK(map_request(&world, 0, stack, 60));
	world_map(&world, 0, 40, 4, READ_WRITE);
	world_poke(&world, 0, world_page(&world, 61), 1);
	world_poke(&world, 0, world_page(&world, 57), 2);
	CHECK_EQUAL(world_counters(&world, 0).pages, 9);
	CHECK_EQUAL(world_counters(&world, 0).charged, 9);
	CHECK_EQUAL(world_peek(&world, 0, world_page(&world, 58)), 0);
	/* Down to three pages above the neighbour, and not one further. */
	CHECK_EQUAL(world_read(&world, 0, world_page(&world, 46), &value), LH_FAULT_NOT_MAPPED);
	CHECK_EQUAL(world_read(&world, 0, world_page(&world, 44), &value), LH_FAULT_NOT_MAPPED);
	world_poke(&world, 0, world_page(&world, 47), 3);
	CHECK_EQUAL(world_counters(&world, 0).pages, 4 + 15);
	world_check(&world);
	/* Without the neighbour: down to 20 pages in all. */
	world_unmap(&world, 0, 40, 4);
	CHECK_EQUAL(world_write(&world, 0, world_page(&world, 41), 1), LH_FAULT_NOT_MAPPED);
	world_poke(&world, 0, world_page(&world, 42), 1);
	CHECK_EQUAL(world_write(&world, 0, world_page(&world, 41), 1), LH_FAULT_NOT_MAPPED);
	CHECK_EQUAL(world_peek(&world, 0, world_page(&world, 57)), 2);
	world_check(&world);
	world_close(&world);
}

TEST(b12_nothing_is_placed_in_a_stacks_guard)
{
	test_world world;
	lh_map_request small = { .pages = 1, .rights = READ };
	lh_map_request highest = { .pages = 1, .rights = READ, .direction = LH_HIGHEST_FIRST };
	lh_virtual_range placed;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	CHECK_OK(map_request(&world, 0, stack, WORLD_USER_PAGES - 2));
	for (uint64_t page = 1; page <= 3; page++) {
		CHECK_ERROR(map_request(&world, 0, small, WORLD_USER_PAGES - 2 - page), LH_EXISTS);
		small.where = LH_OVER;
		CHECK_ERROR(map_request(&world, 0, small, WORLD_USER_PAGES - 2 - page), LH_EXISTS);
		small.where = LH_ANYWHERE;
	}
	CHECK_OK(lh_space_map(world.space[0], &highest, &placed));
	CHECK_EQUAL(placed.base.value, world_page(&world, WORLD_USER_PAGES - 6));
	world_check(&world);
	world_close(&world);
}

TEST(b13_a_stack_does_not_grow_below_the_lowest_user_address)
{
	test_world world;
	lh_map_request low = { .pages = 2, .rights = READ_WRITE, .flags = LH_REGION_GROWS_DOWN };
	uint64_t value;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	lh_space_set_limits(world.space[0], &(lh_space_limits){ .stack_pages = UINT64_MAX });
	CHECK_OK(map_request(&world, 0, low, 3));
	CHECK_EQUAL(world_read(&world, 0, world_page(&world, 0) - PAGE, &value), LH_FAULT_NOT_MAPPED);
	CHECK_EQUAL(world_read(&world, 0, 0, &value), LH_FAULT_NOT_MAPPED);
	CHECK_EQUAL(world_counters(&world, 0).pages, 2);
	CHECK_EQUAL(world_read(&world, 0, world_page(&world, 0), &value), LH_FAULT_OK);
	CHECK_EQUAL(world_counters(&world, 0).pages, 5);
	world_check(&world);
	world_close(&world);
}

TEST(a_stack_does_not_grow_for_what_it_would_refuse)
{
	test_world world;
	lh_map_request data = { .pages = 2, .rights = READ_WRITE, .flags = LH_REGION_GROWS_DOWN,
				.object = NULL };

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	CHECK_OK(map_request(&world, 0, stack, 60));
	CHECK_EQUAL(world_write(&world, 0, world_page(&world, 58), 1), LH_FAULT_NOT_MAPPED);
	lh_space_set_limits(world.space[0], &(lh_space_limits){ .stack_pages = 20 });
	CHECK_EQUAL(world_fetch(&world, 0, world_page(&world, 58)), LH_FAULT_NOT_MAPPED);
	CHECK_EQUAL(world_counters(&world, 0).pages, 2);
	lh_space_set_limits(world.space[0], &(lh_space_limits){ .stack_pages = 20, .pages = 3 });
	CHECK_EQUAL(world_write(&world, 0, world_page(&world, 58), 1), LH_FAULT_NOT_MAPPED);
	CHECK_EQUAL(world_write(&world, 0, world_page(&world, 59), 1), LH_FAULT_OK);
	data.object = world_object(&world, 9 * PAGE, false);
	CHECK_ERROR(map_request(&world, 0, data, 10), LH_INVALID);
	lh_object_drop(data.object);
	data.object = NULL;
	data.reservation = true;
	CHECK_ERROR(map_request(&world, 0, data, 10), LH_INVALID);
	world_check(&world);
	world_close(&world);
}

TEST(a_stack_that_grows_to_a_part_of_itself_is_whole_again)
{
	test_world world;
	lh_map_request plain = { .pages = 6, .rights = READ_WRITE, .flags = LH_REGION_GROWS_DOWN };

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	lh_space_set_limits(world.space[0], &(lh_space_limits){ .stack_pages = 20 });
	CHECK_OK(map_request(&world, 0, plain, 60));
	world_unmap(&world, 0, 63, 2);
	CHECK_EQUAL(world_counters(&world, 0).regions, 2);
	world_poke(&world, 0, world_page(&world, 63), 1);
	CHECK_EQUAL(world_counters(&world, 0).regions, 1);
	CHECK_EQUAL(world_counters(&world, 0).pages, 6);
	CHECK_EQUAL(world_statistics(&world).user_regions, 1);
	world_check(&world);
	world_close(&world);
}

TEST(a_stack_that_cannot_be_charged_ends_in_no_memory)
{
	test_world world;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	lh_space_set_limits(world.space[0], &(lh_space_limits){ .stack_pages = 20 });
	CHECK_OK(map_request(&world, 0, stack, 60));
	lh_frames_fail_at(world.frames, 1);
	CHECK_EQUAL(lh_space_fault(world.space[0], lh_virtual(world_page(&world, 55)), WRITE),
		    LH_FAULT_NO_MEMORY);
	lh_frames_fail_at(world.frames, 0);
	CHECK_EQUAL(world_counters(&world, 0).pages, 2);
	CHECK_EQUAL(world_counters(&world, 0).charged, 2);
	world_check(&world);
	world_close(&world);
}

/* --- limits and requests --- */

TEST(limits_are_kept)
{
	test_world world;
	lh_map_request one = { .pages = 1, .rights = READ }, five = { .pages = 5, .rights = READ };

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	lh_space_set_limits(world.space[0], &(lh_space_limits){ .regions = 3, .pages = 12 });
	CHECK_OK(map_request(&world, 0, five, 10));
	CHECK_OK(map_request(&world, 0, five, 20));
	CHECK_ERROR(map_request(&world, 0, five, 30), LH_LIMIT);
	CHECK_OK(map_request(&world, 0, one, 30));
	CHECK_ERROR(map_request(&world, 0, one, 40), LH_LIMIT);
	CHECK_ERROR(lh_space_unmap(world.space[0], world_range(&world, 12, 1)), LH_LIMIT);
	CHECK_ERROR(lh_space_protect(world.space[0], world_range(&world, 12, 1), LH_RIGHT_NONE),
		    LH_LIMIT);
	CHECK_OK(lh_space_protect(world.space[0], world_range(&world, 10, 5), LH_RIGHT_NONE));
	world_unmap(&world, 0, 30, 1);
	world_unmap(&world, 0, 12, 1);
	CHECK_EQUAL(world_counters(&world, 0).pages, 9);
	CHECK_EQUAL(world_counters(&world, 0).regions, 3);
	world_check(&world);
	world_close(&world);
}

TEST(bad_requests_are_refused)
{
	test_world world;
	lh_virtual_range placed = { lh_virtual(1), 1 };
	lh_object *object;
	uint64_t many = UINT64_C(1) << 52;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	object = world_object(&world, PAGE, false);
	{
		const lh_virtual_address first = world.user.base, last = lh_virtual(0 - PAGE);
		const lh_map_request requests[] = {
			{ .pages = 0, .rights = READ },
			{ .pages = WORLD_USER_PAGES + 1, .rights = READ },
			{ .pages = UINT64_MAX, .rights = READ },
			{ .pages = 1, .rights = 8 },
			{ .pages = 1, .rights = READ, .rights_max = 9 },
			{ .pages = 1, .rights = WRITE, .rights_max = READ },
			{ .pages = 1, .rights = READ, .alignment = 6 },
			{ .pages = 1, .rights = READ, .flags = LH_REGION_KERNEL },
			{ .pages = 1, .rights = READ, .flags = LH_REGION_CHARGED },
			{ .pages = 1, .rights = READ, .flags = 1u << 31 },
			{ .pages = 1, .rights = READ, .flags = LH_REGION_SHARED },
			{ .pages = 1, .rights = READ, .object = object, .reservation = true },
			{ .pages = 1, .rights = READ, .object = object, .object_page = many },
			{ .pages = 1, .rights = READ, .object = object, .object_page = UINT64_MAX },
			{ .where = LH_AT, .pages = 1, .rights = READ },
			{ .where = LH_AT, .pages = 1, .rights = READ, .address = { first.value + 1 } },
			{ .where = LH_AT, .pages = 1, .rights = READ, .address = { first.value - PAGE } },
			{ .where = LH_OVER, .pages = 2, .rights = READ, .address = last },
			{ .where = LH_OVER, .pages = WORLD_USER_PAGES, .rights = READ,
			  .address = { first.value + PAGE } },
		};

		for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++)
			CHECK_ERROR(lh_space_map(world.space[0], &requests[i], &placed), LH_INVALID);
		CHECK_ERROR(lh_space_unmap(world.space[0], (lh_virtual_range){ first, 0 }), LH_INVALID);
		CHECK_ERROR(lh_space_unmap(world.space[0], (lh_virtual_range){ last, 2 }), LH_INVALID);
		CHECK_ERROR(lh_space_unmap(world.space[0], (lh_virtual_range){ first, many }),
			    LH_INVALID);
		CHECK_ERROR(lh_space_protect(world.space[0], (lh_virtual_range){ last, 1 }, READ),
			    LH_INVALID);
		CHECK_ERROR(lh_space_discard(world.space[0], (lh_virtual_range){ lh_virtual(0), 1 }),
			    LH_INVALID);
	}
	CHECK_EQUAL(placed.base.value, 1);
	CHECK_EQUAL(world_counters(&world, 0).regions, 0);
	lh_object_drop(object);
	CHECK_ERROR(lh_space_fork(world.space[0], world.space[0]), LH_INVALID);
	world_make(&world, 1);
	world_map(&world, 1, 0, 1, READ);
	CHECK_ERROR(lh_space_fork(world.space[0], world.space[1]), LH_INVALID);
	world_close(&world);
}

TEST(a_place_that_is_taken_is_only_a_hint_when_near_is_asked_for)
{
	test_world world;
	lh_map_request near = { .where = LH_NEAR, .pages = 3, .rights = READ };
	lh_virtual_range placed;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	near.address = lh_virtual(world_page(&world, 100));
	CHECK_OK(lh_space_map(world.space[0], &near, &placed));
	CHECK_EQUAL(placed.base.value, world_page(&world, 100));
	near.tag = 1;
	CHECK_OK(lh_space_map(world.space[0], &near, &placed));
	CHECK_EQUAL(placed.base.value, world_page(&world, 0));
	near.address = lh_virtual(7);
	CHECK_OK(lh_space_map(world.space[0], &near, &placed));
	CHECK_EQUAL(placed.base.value, world_page(&world, 3));
	world_check(&world);
	world_close(&world);
}

/* --- devices --- */

TEST(a_device_is_shown_shared_uncounted_and_never_copied)
{
	test_world world;
	lh_frame_number frame;
	lh_object *object;
	lh_object_setup setup = { .kind = LH_OBJECT_PHYSICAL, .size = 3 * PAGE };
	lh_map_request private = { .pages = 3, .rights = READ };
	uint64_t value, *bytes;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	world_make(&world, 1);
	CHECK_OK(lh_frame_allocate_contiguous(world.frames, 3, 1, 0, LH_FRAME_KERNEL, &frame));
	setup.physical = frame;
	bytes = lh_frame_pointer(world.frames, frame);
	memset(bytes, 0, 3 * PAGE);
	CHECK_OK(lh_object_create(world.manager, &setup, &object));
	private.object = object;
	CHECK_ERROR(map_request(&world, 0, private, 20), LH_INVALID);
	world_map_object(&world, 0, 10, 4, READ_WRITE, LH_REGION_SHARED, object, 0);
	world_poke(&world, 0, world_page(&world, 11), 5);
	CHECK_EQUAL(bytes[512], 5);
	bytes[1024] = 6;
	CHECK_EQUAL(world_peek(&world, 0, world_page(&world, 12)), 6);
	CHECK_EQUAL(world_read(&world, 0, world_page(&world, 13), &value), LH_FAULT_BUS);
	CHECK_EQUAL(world_holders(&world, lh_frame(frame.value + 1)), 1);
	CHECK_OK(lh_space_fork(world.space[0], world.space[1]));
	world_poke(&world, 1, world_page(&world, 11), 7);
	CHECK_EQUAL(world_peek(&world, 0, world_page(&world, 11)), 7);
	CHECK_ERROR(lh_object_resize(object, PAGE), LH_INVALID);
	CHECK_OK(lh_space_protect(world.space[0], world_range(&world, 10, 4), READ));
	CHECK_EQUAL(world_write(&world, 0, world_page(&world, 11), 1), LH_FAULT_NO_ACCESS);
	CHECK_OK(lh_space_protect(world.space[0], world_range(&world, 10, 4), READ_WRITE));
	world_poke(&world, 0, world_page(&world, 11), 9);
	world_check(&world);
	lh_object_drop(object);
	world_destroy(&world, 0);
	world_destroy(&world, 1);
	CHECK_EQUAL(bytes[512], 9);
	lh_frame_drop_contiguous(world.frames, frame, 3);
	world_close(&world);
}

/* --- generations --- */

TEST(grandchildren_have_their_own_too)
{
	test_world world;

	world_open(&world, &(world_setup){ .cpus = 4 });
	for (unsigned n = 0; n < 5; n++)
		world_make(&world, n);
	world_map(&world, 0, 20, 10, READ_WRITE);
	for (uint64_t page = 20; page < 26; page++)
		world_poke(&world, 0, world_page(&world, page), page);
	for (unsigned n = 1; n < 5; n++)
		CHECK_OK(lh_space_fork(world.space[n - 1], world.space[n]));
	CHECK_EQUAL(world_holders(&world, world_frame(&world, 0, 20)), 5);
	for (unsigned n = 0; n < 4; n++)
		world_load(&world, n, (int)n);
	for (unsigned n = 0; n < 5; n++)
		world_poke(&world, n, world_page(&world, 20 + n), 100 + n);
	for (unsigned n = 0; n < 5; n++)
		for (uint64_t page = 20; page < 26; page++)
			CHECK_EQUAL(world_peek(&world, n, world_page(&world, page)),
				    page == 20 + n ? 100 + n : page);
	world_check(&world);
	world_destroy(&world, 2);
	world_destroy(&world, 0);
	world_check(&world);
	/* The last one writes in place. */
	world_destroy(&world, 1);
	world_destroy(&world, 3);
	world_poke(&world, 4, world_page(&world, 25), 1);
	CHECK_EQUAL(world_frame_counters(&world).used[LH_FRAME_ANONYMOUS], 6);
	world_check(&world);
	world_close(&world);
}

TEST(what_is_not_inherited_is_not_there_and_what_is_emptied_reads_zero)
{
	test_world world;
	lh_map_request absent = { .pages = 2, .rights = READ_WRITE, .flags = LH_REGION_NOT_INHERITED };
	lh_map_request empty = { .pages = 2, .rights = READ_WRITE, .flags = LH_REGION_EMPTY_ON_FORK };
	uint64_t value;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	world_make(&world, 1);
	CHECK_OK(map_request(&world, 0, absent, 20));
	CHECK_OK(map_request(&world, 0, empty, 30));
	world_poke(&world, 0, world_page(&world, 20), 1);
	world_poke(&world, 0, world_page(&world, 30), 2);
	CHECK_OK(lh_space_fork(world.space[0], world.space[1]));
	CHECK_EQUAL(world_read(&world, 1, world_page(&world, 20), &value), LH_FAULT_NOT_MAPPED);
	CHECK_EQUAL(world_peek(&world, 1, world_page(&world, 30)), 0);
	CHECK_EQUAL(world_counters(&world, 1).charged, 2);
	/* The parent never lost its right to write. */
	CHECK_EQUAL(world_leaf(&world, 0, 30).rights & WRITE, WRITE);
	CHECK_EQUAL(world_peek(&world, 0, world_page(&world, 30)), 2);
	world_check(&world);
	world_close(&world);
}

TEST(discarded_pages_read_zero_or_the_object_again)
{
	test_world world;
	lh_object *object;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	object = world_object(&world, 4 * PAGE, false);
	world_map(&world, 0, 20, 4, READ_WRITE);
	world_map_object(&world, 0, 24, 4, READ_WRITE, 0, object, 0);
	world_map_object(&world, 0, 28, 4, READ_WRITE, LH_REGION_SHARED, object, 0);
	world_poke(&world, 0, world_page(&world, 21), 1);
	world_poke(&world, 0, world_page(&world, 29), 2);
	world_poke(&world, 0, world_page(&world, 25), 3);
	CHECK_OK(lh_space_discard(world.space[0], world_range(&world, 20, 12)));
	CHECK_EQUAL(world_counters(&world, 0).resident, 0);
	CHECK_EQUAL(world_counters(&world, 0).charged, 8);
	CHECK_EQUAL(world_peek(&world, 0, world_page(&world, 21)), 0);
	CHECK_EQUAL(world_peek(&world, 0, world_page(&world, 25)), 2);
	CHECK_EQUAL(world_peek(&world, 0, world_page(&world, 29)), 2);
	CHECK_ERROR(lh_space_discard(world.space[0], world_range(&world, 31, 2)), LH_NOT_MAPPED);
	CHECK_EQUAL(world_peek(&world, 0, world_page(&world, 29)), 2);
	lh_object_drop(object);
	world_check(&world);
	world_close(&world);
}

/* --- for a panic --- */

struct lines {
	unsigned count;
	char last[100];
};

static void keep(void *context, const char *text)
{
	struct lines *lines = context;

	lines->count++;
	CHECK(strlen(text) < sizeof lines->last);
	strcpy(lines->last, text);
}

TEST(a_space_is_described_without_a_lock)
{
	test_world world;
	struct lines lines = { 0 };

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	world_map(&world, 0, 0, 1, READ_WRITE);
	world_map(&world, 0, 4, 2, (lh_rights)(READ | EXECUTE));
	lh_space_lock(world.space[0]);
	lh_space_describe_unlocked(world.space[0], keep, &lines);
	lh_space_unlock(world.space[0]);
	CHECK_EQUAL(lines.count, 2);
	CHECK(strcmp(lines.last, "0000007fffdec000-0000007fffdee000 r-x private anonymous") == 0);
	world_close(&world);
}
