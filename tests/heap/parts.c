/* SPDX-License-Identifier: BSD-2-Clause */
/* CPUs take from slabs of their own, and from others' only where nothing else is to be had. */
#include "heap/room.h"

#define BYTES 64
#define EACH 1200 /* more than a front has, and half of it more than the few slabs that CPUs would share */

static void use_cpu(unsigned cpu)
{
	(void)machine_run_on(machine, cpu);
}

static unsigned part_of(size_t index)
{
	return lh_heap_find_given(&heap, blocks[index].address).run->part;
}

static void take_on(unsigned cpu, unsigned items)
{
	use_cpu(cpu);
	while (items-- != 0)
		CHECK_OK(allocate(BYTES, 0, false));
}

/* Blocks from one on are in slabs of the CPU's part: so in none that the other takes from. */
static void check_own(unsigned cpu, size_t from)
{
	for (size_t i = from; i < count; i++)
		CHECK_EQUAL(part_of(i), cpu);
}

TEST(cpus_take_from_slabs_of_their_own)
{
	begin(1000, 0);
	take_on(0, EACH);
	check_own(0, 0);
	take_on(1, EACH);
	check_own(1, EACH);
	check_sound();
	check_all_returned();
	end();
}

TEST(of_what_is_used_little_all_cpus_have_one_slab)
{
	uint64_t pages;

	begin(1000, 0);
	take_on(0, 1);
	lh_heap_fronts_drain(&heap);
	pages = heap_pages();
	take_on(1, 1);
	CHECK_EQUAL(part_of(1), 0);
	CHECK_EQUAL(heap_pages(), pages);
	check_sound();
	check_all_returned();
	end();
}

TEST(what_another_cpu_frees_goes_back_to_its_slab)
{
	begin(1000, 0);
	take_on(0, EACH);
	use_cpu(1);
	while (count != 0)
		release(count - 1);
	check_sound();
	lh_heap_fronts_drain(&heap);
	(void)lh_heap_runs_end(&heap, lh_heap_spare_surplus(&heap, true));
	CHECK_EQUAL(heap_pages(), 0);
	take_on(1, EACH);
	check_own(1, 0);
	check_all_returned();
	end();
}

/* Frees every second block; what is in no front is FREE in slabs of CPU 0's part. */
static void leave_holes(void)
{
	take_on(0, EACH);
	for (size_t i = count; i-- != 0;)
		if (i % 2 != 0)
			release(i);
	lh_heap_fronts_drain(&heap);
	(void)lh_heap_runs_end(&heap, lh_heap_spare_surplus(&heap, true));
	use_cpu(1);
}

TEST(at_hand_another_cpus_slabs_are_taken_from)
{
	lh_heap_request request = { BYTES, 0, LH_HEAP_AT_HAND, NULL };
	uint64_t pages;

	begin(1000, 0);
	leave_holes();
	pages = heap_pages();
	CHECK_OK(allocate_as(&request));
	CHECK_EQUAL(part_of(count - 1), 0);
	CHECK_EQUAL(heap_pages(), pages);
	check_sound();
	check_all_returned();
	end();
}

TEST(where_no_frame_is_left_another_cpus_slabs_are_taken_from)
{
	static lh_frame_number taken[FRAMES];
	size_t frames_taken = 0;
	uint64_t pages;

	begin(1000, 0);
	leave_holes();
	pages = heap_pages();
	while (lh_frame_allocate(frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &taken[frames_taken]) == LH_OK)
		frames_taken++;
	CHECK_OK(allocate(BYTES, 0, false));
	CHECK_EQUAL(part_of(count - 1), 0);
	CHECK_EQUAL(heap_pages(), pages);
	CHECK_SOUND(lh_heap_check(&heap));
	while (frames_taken != 0)
		lh_frame_drop(frames, taken[--frames_taken]);
	check_sound();
	check_all_returned();
	end();
}

static size_t spare_runs(unsigned part)
{
	size_t found = 0;

	for (unsigned list = 0; list < LH_HEAP_SPARE_LISTS; list++)
		for (struct lh_heap_run *run = heap.spare[part][list]; run; run = run->next)
			found++;
	return found;
}

TEST(an_empty_run_is_begun_again_by_the_cpu_that_had_it_and_then_by_any)
{
	uint64_t pages;
	size_t kept;

	begin(1000, 0);
	take_on(0, EACH);
	take_on(1, EACH);
	while (count != 0) {
		use_cpu(part_of(count - 1));
		release(count - 1);
	}
	lh_heap_fronts_drain(&heap);
	pages = heap_pages();
	kept = spare_runs(0);
	CHECK(kept != 0 && spare_runs(1) != 0);
	take_on(1, 1);
	CHECK_EQUAL(spare_runs(0), kept);
	take_on(1, EACH + EACH / 2);
	CHECK(spare_runs(0) < kept);
	CHECK_EQUAL(heap_pages(), pages);
	check_sound();
	check_all_returned();
	end();
}
