/* SPDX-License-Identifier: BSD-2-Clause */
/* What is refused, and what has run out: an error, and nothing lost. */
#include "heap/room.h"

TEST(bad_requests_are_refused_and_change_nothing)
{
	lh_virtual_address address = lh_virtual(5);
	lh_heap_request request = { 10, 0, 1u << 7, NULL };

	begin(100, 0);
	CHECK_ERROR(lh_heap_allocate(&heap, 0, 0, &address), LH_INVALID);
	CHECK_ERROR(lh_heap_allocate(&heap, 10, 3, &address), LH_INVALID);
	CHECK_ERROR(lh_heap_allocate_as(&heap, &request, &address), LH_INVALID);
	CHECK_ERROR(lh_heap_allocate(&heap, UINT64_MAX, 0, &address), LH_NO_HOLE);
	CHECK_ERROR(lh_heap_allocate(&heap, 101 * LH_PAGE_SIZE, 0, &address), LH_NO_HOLE);
	CHECK_ERROR(lh_heap_allocate(&heap, 16, UINT64_C(1) << 63, &address), LH_NO_HOLE);
	CHECK_EQUAL(address.value, 5);
	lh_heap_free(&heap, lh_virtual(0), 0);
	CHECK_OK(allocate(100, 0, false));
	CHECK_ERROR(resize(0, 0), LH_INVALID);
	CHECK_ERROR(resize(0, 200 * LH_PAGE_SIZE), LH_NO_HOLE);
	check_all_returned();
	end();
}

TEST(a_heap_that_runs_out_of_frames_loses_nothing)
{
	size_t most[2] = { 0, 0 };

	begin(1 << 16, 0);
	for (unsigned round = 0; round < 2; round++) {
		while (allocate(3 * LH_PAGE_SIZE, 0, false) == LH_OK)
			;
		most[round] = count;
		check_sound();
		CHECK_ERROR(allocate(100 * LH_PAGE_SIZE, 0, false), LH_NO_MEMORY);
		CHECK_ERROR(resize(0, 100 * LH_PAGE_SIZE), LH_NO_MEMORY);
		check_all_returned();
	}
	CHECK(most[0] > FRAMES / 4);
	CHECK_EQUAL(most[1], most[0]);
	end();
}

/* The first page is never used, and one is kept between slabs of two: ten of them in 29 pages. */
TEST(a_heap_that_runs_out_of_room_says_so_and_loses_nothing)
{
	begin(30, 0);
	while (allocate(64, 0, false) == LH_OK)
		;
	CHECK_EQUAL(count, 10 * 128);
	CHECK_ERROR(allocate(64, 0, false), LH_NO_HOLE);
	check_sound();
	check_all_returned();
	end();
}

/* The room that large blocks keep to grow into does not use the reservation up: of 999 pages nine blocks
 * of a hundred would fit at best. */
TEST(large_blocks_reach_the_end_of_the_reservation)
{
	begin(1000, 0);
	while (allocate(100 * LH_PAGE_SIZE, 0, false) == LH_OK)
		;
	CHECK(count >= 8);
	CHECK_ERROR(allocate(100 * LH_PAGE_SIZE, 0, false), LH_NO_HOLE);
	while (allocate(5 * LH_PAGE_SIZE, 0, false) == LH_OK)
		;
	while (allocate(500, 0, false) == LH_OK)
		;
	CHECK_ERROR(allocate(500, 0, false), LH_NO_HOLE);
	CHECK(heap_pages() > 930);
	check_sound();
	check_all_returned();
	end();
}

/* Memory that is kept for later is no reason to refuse. */
TEST(what_is_kept_for_later_is_given_back_before_memory_is_refused)
{
	begin(1 << 16, 0);
	for (unsigned i = 0; i < 25; i++)
		CHECK_OK(allocate(4096, 0, false));
	while (count != 0)
		release(count - 1);
	CHECK(heap_pages() > 8);
	while (allocate(3 * LH_PAGE_SIZE, 0, false) == LH_OK)
		;
	CHECK_EQUAL(heap_pages(), 3 * count);
	check_all_returned();
	end();
}

/* A front that cannot be made is no reason to refuse: all other steps are. */
static void fail_each_step(uint64_t bytes, uint32_t flags, uint64_t *refused)
{
	for (uint64_t n = 1;; n++) {
		lh_error error;
		uint64_t steps;

		lh_frames_fail_at(frames, n);
		error = allocate(bytes, 0, (flags & LH_HEAP_ZEROED) != 0);
		steps = lh_frames_steps(frames);
		lh_frames_fail_at(frames, 0);
		CHECK(error == LH_OK || (error == LH_NO_MEMORY && steps >= n));
		*refused += error != LH_OK;
		check_all_returned();
		if (steps < n)
			break;
	}
}

TEST(every_allocation_step_can_fail_and_changes_nothing)
{
	static const uint64_t sizes[] = { 20, 3000, 8000, 70000 };

	for (uint32_t flags = 0; flags <= LH_HEAP_CHECKED; flags += LH_HEAP_CHECKED) {
		uint64_t refused = 0;

		begin(1 << 14, flags);
		for (unsigned i = 0; i < 4; i++)
			fail_each_step(sizes[i], i % 2 ? LH_HEAP_ZEROED : 0, &refused);
		CHECK(refused > 20);
		end();
	}
}

/* From each size to each: in place, by growing, by moving. */
static void fail_each_resize(uint32_t flags)
{
	static const uint64_t sizes[] = { 20, 100, 9000, 70000, 300000 };
	uint64_t refused = 0;

	begin(1 << 14, flags);
	for (unsigned pair = 0; pair < 25; pair++)
		for (uint64_t n = 1;; n++) {
			lh_error error;
			uint64_t steps;

			CHECK_OK(allocate(sizes[pair / 5], 0, false));
			lh_frames_fail_at(frames, n);
			error = resize(0, sizes[pair % 5]);
			steps = lh_frames_steps(frames);
			lh_frames_fail_at(frames, 0);
			CHECK(error == LH_OK || (error == LH_NO_MEMORY && steps >= n));
			refused += error != LH_OK;
			check_all_returned();
			if (steps < n)
				break;
		}
	CHECK(refused > 50);
	end();
}

TEST(every_step_of_a_resize_can_fail_and_changes_nothing)
{
	fail_each_resize(0);
	fail_each_resize(LH_HEAP_CHECKED);
}

/* A block that would grow into pages for which the map has no table yet, and does not get one. */
TEST(a_block_that_cannot_grow_keeps_the_room_it_had)
{
	uint64_t refused = 0;

	for (uint64_t n = 1; n < 40; n++) {
		lh_virtual_address address, before;

		begin(300, 0);
		CHECK_OK(lh_heap_allocate(&heap, 180 * LH_PAGE_SIZE, 0, &address));
		before = address;
		lh_frames_fail_at(frames, n);
		refused += lh_heap_resize(&heap, &address, 0, 260 * LH_PAGE_SIZE) != LH_OK ||
			   address.value != before.value;
		lh_frames_fail_at(frames, 0);
		check_sound();
		lh_heap_free(&heap, address, 0);
		check_all_returned();
		end();
	}
	CHECK(refused > 0);
}

/* Where frames are refused, those that nobody asked for are none: what gives back takes nothing. */
TEST(freeing_and_trimming_need_no_memory)
{
	for (uint32_t flags = 0; flags <= LH_HEAP_CHECKED; flags += LH_HEAP_CHECKED) {
		begin(1 << 14, flags);
		for (unsigned i = 0; i < 300; i++)
			CHECK_OK(allocate(random_bytes(), 0, false));
		lh_frames_fail_at(frames, 1);
		while (count > 50) {
			use_some_cpu();
			release(test_random_below(count));
		}
		(void)lh_heap_trim(&heap);
		CHECK_EQUAL(lh_frames_steps(frames), 0);
		lh_frames_fail_at(frames, 0);
		check_all_returned();
		end();
	}
}

TEST(heaps_are_made_and_ended_at_every_prefix)
{
	lh_kernel_request request = { .specifically = { lh_virtual(HEAP_BASE), 256 } };
	lh_kernel_request huge = { .placement = { .pages = LH_HEAP_PAGES_MOST + 1 } };
	lh_heap other;

	begin(1000, 0);
	CHECK_ERROR(lh_heap_create(&other, manager, &(lh_kernel_request){ 0 }, 0), LH_INVALID);
	CHECK_ERROR(lh_heap_create(&other, manager, &request, 1u << 9), LH_INVALID);
	CHECK_ERROR(lh_heap_create(&other, manager, &huge, 0), LH_INVALID);
	lh_heap_destroy(&other);
	CHECK_OK(lh_heap_create(&other, manager, &request, 0));
	lh_heap_destroy(&other);
	lh_heap_destroy(&other);
	for (uint32_t flags = 0; flags <= LH_HEAP_CHECKED; flags += LH_HEAP_CHECKED) {
		CHECK_OK(lh_heap_create(&other, manager, &request, flags));
		CHECK_ERROR(lh_heap_create(&(lh_heap){ 0 }, manager, &request, 0), LH_EXISTS);
		for (unsigned i = 0; i < 50; i++) {
			lh_virtual_address address;

			CHECK_OK(lh_heap_allocate(&other, 1 + test_random_below(3000), 0, &address));
			if (i % 3 == 0)
				lh_heap_free(&other, address, 0);
		}
		lh_heap_destroy(&other); /* with all that is still allocated */
	}
	lh_frames_fail_at(frames, 1);
	CHECK_ERROR(lh_heap_create(&other, manager, &request, LH_HEAP_CHECKED), LH_NO_MEMORY);
	lh_frames_fail_at(frames, 0);
	lh_heap_destroy(&other);
	check_all_returned();
	end();
}
