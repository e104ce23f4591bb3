/* SPDX-License-Identifier: BSD-2-Clause */
/* Properties by name: bugs that others had, and what the header promises beyond blocks of a size. */
#include "heap/room.h"

/* --- A9, A22 --- */

/*
 * Growth maps pages, mapping takes tables, and none of it may come back into the heap: the
 * heap's lock would be found held, which the machine reports as spinning for ever;
 * and each page that the heap got is a frame of its own, never a table's. (That no floor below
 * calls the heap is shown by their own tests, which link without it.)
 */
TEST(a9_mapping_never_reaches_the_heap_and_growth_cannot_re_enter)
{
	static bool seen[FRAMES + 16];
	uint64_t pages = 0;

	memset(seen, 0, sizeof seen);
	begin(1 << 14, 0);
	for (unsigned i = 0; i < 12; i++) /* runs over the borders of several leaf tables */
		CHECK_OK(allocate(100 * LH_PAGE_SIZE + 1, UINT64_C(1) << (12 + i % 5), false));
	for (unsigned i = 0; i < 300; i++)
		CHECK_OK(allocate(500, 0, false));
	CHECK_EQUAL(machine->parks, 0);
	for (const lh_region *run = lh_region_tree_first(&heap.runs); run;
	     run = lh_region_tree_next(run))
		for (uint64_t page = 0; page < run->range.pages; page++) {
			lh_leaf leaf = leaf_at(lh_virtual_range_page(run->range, page).value);
			const lh_frame_entry *entry = lh_frame_entry_of(frames, leaf.frame);

			CHECK_EQUAL(leaf.kind, LH_LEAF_PRESENT);
			CHECK_EQUAL(entry->state, LH_FRAME_KERNEL);
			CHECK_EQUAL(entry->holders, 1);
			CHECK(!seen[leaf.frame.value]);
			seen[leaf.frame.value] = true;
			pages++;
		}
	CHECK_EQUAL(pages, heap_pages());
	check_sound();
	check_all_returned();
	end();
}

/* What a wrong host's port function might do: each way into the heap is told to be forbidden there. */
static void use_heap(void *context)
{
	lh_virtual_address address = lh_virtual(0);

	switch (*(const unsigned *)context) {
	case 0:
		(void)!lh_heap_allocate(&heap, 100, 0, &address);
		break;
	case 1:
		(void)!lh_heap_allocate_zeroed(&heap, 100, 0, &address);
		break;
	case 2:
		lh_heap_free(&heap, blocks[0].address, blocks[0].bytes);
		break;
	case 3:
		(void)!lh_heap_resize(&heap, &blocks[0].address, 0, 9000);
		break;
	default:
		(void)lh_heap_trim(&heap);
	}
}

#define WAYS 5

static void flush_uses_heap(void *context, unsigned cpu, lh_virtual_range range)
{
	(void)cpu;
	(void)range;
	for (unsigned way = 0; way < WAYS; way++) {
		const char *message = machine_expect_panic(machine, use_heap, &way);

		/* On the CPU that flushes for another one, by the state of its interrupts. */
		CHECK(message && strstr(message, "lock order: the heap"));
		*(unsigned *)context += strstr(message, "while held: a map lock") != NULL;
	}
}

/* From within a port call of the memory manager: by a kernel region's end, and by the heap's own. */
TEST(a9_the_heap_is_not_used_from_inside_the_memory_manager)
{
	lh_kernel_request request = { .placement = { .pages = 3 }, .rights = LH_RIGHT_READ };
	lh_region region = { .range = { { 0 }, 0 } };
	unsigned tried = 0;

	begin(1 << 14, 0);
	machine->hooks = (machine_hooks){ .context = &tried, .flush = flush_uses_heap };
	CHECK_OK(allocate(100, 0, false));
	CHECK_OK(lh_manager_map(manager, &region, &request));
	lh_manager_unmap(manager, &region);
	CHECK(tried >= WAYS);
	tried = 0;
	CHECK_OK(allocate(500000, 0, false));
	CHECK_OK(resize(1, 20000)); /* gives pages back */
	CHECK(tried >= WAYS);
	machine->hooks = (machine_hooks){ .context = NULL };
	check_all_returned();
	end();
}

/* Large blocks that come and go: the clock by which a heap forgets. */
static void let_time_pass(unsigned batches)
{
	lh_virtual_address address;

	while (batches-- != 0) {
		CHECK_OK(lh_heap_allocate(&heap, 20000, 0, &address));
		lh_heap_free(&heap, address, 20000);
	}
}

static void flush_finds_no_lock(void *context, unsigned cpu, lh_virtual_range range)
{
	(void)cpu;
	(void)range;
	CHECK_EQUAL(lh_atomic_load(&heap.lock), 0);
	++*(unsigned *)context;
}

/* Other CPUs use the heap while one waits for them to flush: by a resize, a trim, a shrinker, and a surplus. */
TEST(a9_no_flush_is_waited_for_under_the_heaps_lock)
{
	unsigned flushes = 0, before = 0;

	begin(1 << 14, 0);
	machine->hooks = (machine_hooks){ .context = &flushes, .flush = flush_finds_no_lock };
	for (unsigned way = 0; way < 4; way++) {
		for (unsigned i = 0; i < 300; i++)
			CHECK_OK(allocate(8192, 0, false));
		CHECK_OK(allocate(500000, 0, false));
		if (way == 0)
			CHECK_OK(resize(count - 1, 20000));
		while (count != 0)
			release(count - 1);
		if (way == 1)
			(void)lh_heap_trim(&heap);
		if (way == 2)
			CHECK(heap.shrinker.scan(&heap.shrinker, 1, 8) != 0);
		if (way == 3)
			let_time_pass(1 << 17);
		CHECK(flushes > before);
		before = flushes;
	}
	machine->hooks = (machine_hooks){ .context = NULL };
	check_all_returned();
	end();
}

static void use_at_hand(void *context)
{
	lh_heap_request request = { 100, 0, LH_HEAP_AT_HAND, NULL };
	lh_virtual_address address;

	(void)context;
	(void)!lh_heap_allocate_as(&heap, &request, &address);
}

static void free_at_hand(void *context)
{
	(void)context;
	lh_heap_free_as(&heap, blocks[0].address, 0, LH_HEAP_AT_HAND, NULL);
}

TEST(a9_nor_at_hand_under_a_lock_that_spins)
{
	uint32_t word = 0;
	uintptr_t interrupts;
	const char *message;

	begin(1000, 0);
	CHECK_OK(allocate(100, 0, false));
	interrupts = lh_spin_lock(&word, LH_LOCK_TABLE, machine);
	message = machine_expect_panic(machine, use_at_hand, NULL);
	CHECK(message && strstr(message, "the heap waited for while held: a table's lock"));
	CHECK(machine_expect_panic(machine, free_at_hand, NULL) != NULL);
	lh_spin_unlock(&word, LH_LOCK_TABLE, machine, interrupts);
	check_all_returned();
	end();
}

static bool trim_when_pressed(void *context, uint64_t pages)
{
	(void)pages;
	++*(unsigned *)context;
	return lh_heap_trim(&heap) != 0;
}

/* Fills memory but for what the heap keeps, then faults: the host's answer to pressure frees frames. */
TEST(a22_the_heap_gives_frames_back_when_asked_from_memory_pressure)
{
	unsigned calls = 0;
	lh_frame_number taken[FRAMES];
	size_t held = 0;

	begin(1 << 14, 0);
	machine->hooks = (machine_hooks){ .context = &calls, .memory_pressure = trim_when_pressed };
	for (unsigned i = 0; i < 20; i++)
		CHECK_OK(allocate(8192, 0, false));
	while (count != 0)
		release(count - 1);
	CHECK(heap_pages() >= 16);
	while (lh_frame_allocate(frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &taken[held]) == LH_OK)
		held++;
	/* As the fault path asks, holding nothing; the allocator's lock is free when it does. */
	CHECK(lh_port_memory_pressure(machine, 1));
	CHECK_EQUAL(calls, 1);
	CHECK_OK(lh_frame_allocate(frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &taken[held]));
	held++;
	while (held != 0)
		(void)lh_frame_drop(frames, taken[--held]);
	check_all_returned();
	end();
}

/* A shrinker that has a frame to give, and that uses the allocator as it likes: under no lock. */
static struct {
	lh_shrinker shrinker;
	lh_frame_number frame;
	unsigned calls;
} giver;

static uint64_t give_frame(lh_shrinker *shrinker, unsigned priority, uint64_t most)
{
	lh_frame_number frame;

	(void)shrinker;
	(void)priority;
	(void)most;
	CHECK_EQUAL(machine->cpus[machine_current(machine)].locks.count, 0);
	CHECK_EQUAL(lh_atomic_load(&heap.lock), 0);
	if (giver.calls++ != 0)
		return 0;
	(void)lh_frame_drop(frames, giver.frame);
	CHECK_OK(lh_frame_allocate(frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &frame));
	(void)lh_frame_drop(frames, frame);
	return 1;
}

/* The last frame is taken, and then all are asked: the heap, and one that frees and takes a frame meanwhile. */
TEST(a22_no_shrinker_is_called_under_the_allocator_and_the_heap_is_one)
{
	static lh_frame_number taken[FRAMES];
	size_t held = 0;

	begin(1 << 14, 0);
	memset(&giver, 0, sizeof giver);
	giver.shrinker.scan = give_frame;
	lh_shrinker_add(frames, &giver.shrinker);
	CHECK_OK(lh_frame_allocate(frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &giver.frame));
	for (unsigned i = 0; i < 20; i++)
		CHECK_OK(allocate(8192, 0, false));
	while (count != 0)
		release(count - 1);
	while (lh_frame_allocate(frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &taken[held]) == LH_OK)
		held++;
	CHECK(heap_pages() >= 16);
	CHECK(lh_frames_reclaim(frames, UINT64_MAX) >= 17);
	CHECK_EQUAL(heap_pages(), 0);
	CHECK(giver.calls > 1);
	while (held != 0)
		(void)lh_frame_drop(frames, taken[--held]);
	lh_shrinker_remove(frames, &giver.shrinker);
	check_all_returned();
	end();
}

/* --- growing and shrinking --- */

/* Of every class, at every byte of the longest slab. */
TEST(whether_an_item_begins_at_an_offset_and_which_is_exact)
{
	begin(1000, 0);
	CHECK_OK(allocate(100000, 0, false));
	for (uint32_t size_class = 0; size_class < LH_HEAP_CLASSES; size_class++) {
		uint64_t size = lh_heap_class_size(size_class), index;
		struct lh_heap_run run = { .inverse = lh_heap_inverse(size_class, size) };

		CHECK_EQUAL(lh_heap_class_of_size(size), size_class);
		CHECK_EQUAL(lh_heap_class_of_size(size - 15), size_class);
		for (uint64_t offset = 0; offset < SLAB_PAGES_MOST * LH_PAGE_SIZE; offset++)
			if (lh_heap_is_beginning(&run, offset, &index) != (offset % size == 0) ||
			    index != offset / size)
				CHECK_EQUAL(offset, 0);
	}
	CHECK(panic_of_free(blocks[0].address.value + 16, 0) != NULL); /* a large one has no second item */
	check_all_returned();
	end();
}

/* Those of 4 GiB and more are left to lh_heap_find, for at each 4 GiB the fraction would be 0 again. */
TEST(of_a_large_run_the_quick_way_knows_the_first_byte_or_none)
{
	const uint64_t gib = UINT64_C(1) << 30;
	uint64_t index;

	for (uint64_t size = LH_PAGE_SIZE; size <= 16 * gib; size *= 2) {
		struct lh_heap_run run = { .inverse = lh_heap_inverse(LARGE, size) };

		CHECK_EQUAL(lh_heap_is_beginning(&run, 0, &index), size < 4 * gib);
		CHECK_EQUAL(index, 0);
		for (uint64_t offset = 16; offset < size; offset *= 2)
			CHECK(!lh_heap_is_beginning(&run, offset, &index));
		CHECK(!lh_heap_is_beginning(&run, size - 16, &index));
	}
}

static void use_and_give_back(unsigned blocks_count)
{
	for (unsigned i = 0; i < blocks_count; i++)
		CHECK_OK(allocate(4000, 0, false));
	while (count != 0)
		release(count - 1);
}

TEST(what_was_used_of_late_is_kept_and_goes_back_by_and_by_with_few_flushes)
{
	uint64_t flushes, most, taken;

	begin(1 << 14, 0);
	use_and_give_back(1200);
	most = heap_pages();
	CHECK(most > 1000);
	flushes = machine->cpus[1].flushes;
	taken = lh_frames_steps(frames);
	use_and_give_back(1200);
	CHECK_EQUAL(lh_frames_steps(frames), taken);
	CHECK_EQUAL(heap_pages(), most);
	CHECK_EQUAL(machine->cpus[1].flushes, flushes);
	let_time_pass(40 * 8192);
	flushes = machine->cpus[1].flushes - flushes;
	CHECK(heap_pages() < 160); /* what is always kept, and what the fronts have */
	CHECK(flushes > 0 && flushes < 60); /* of 150 runs, in 40 steps */
	check_all_returned();
	end();
}

TEST(the_heap_never_keeps_more_than_it_used_of_late_and_gives_it_to_who_asks)
{
	uint64_t most, kept;

	begin(1 << 14, 0);
	use_and_give_back(1000);
	most = heap.peak_pages;
	for (unsigned i = 0; i < 40; i++) { /* what is kept has the wrong size */
		CHECK_OK(allocate(20 * LH_PAGE_SIZE, 0, false));
		CHECK(heap.live_pages + heap.spare_pages <= most + 64);
	}
	while (count != 0)
		release(count - 1);
	kept = heap.spare_pages;
	CHECK(kept > 500);
	CHECK(lh_frames_reclaim(frames, 1) >= 1); /* gently: some */
	CHECK(heap.spare_pages < kept && heap.spare_pages > kept / 2);
	check_sound();
	CHECK(lh_frames_reclaim(frames, UINT64_MAX) > 0);
	CHECK_EQUAL(heap.spare_pages, 0);
	CHECK_EQUAL(heap_pages(), 0);
	check_all_returned();
	end();
}

/* Many items of a size come from long slabs: fewer runs, and fewer descriptors, than there are of short ones. */
TEST(slabs_are_long_where_there_are_many_items)
{
	lh_heap_counters counters;

	begin(1 << 14, 0);
	while (count < 2900)
		CHECK_OK(allocate(1000, 0, false));
	lh_heap_read_counters(&heap, &counters);
	CHECK_EQUAL(lh_heap_class_pages(lh_heap_class_for(1000, 16)), 2);
	CHECK(counters.runs < 2900 / 32 + 40);
	check_all_returned();
	end();
}

/* Runs that are kept are given for those that the heap grows by, if they are of no use for that. */
TEST(a_heap_that_grows_gives_what_it_keeps_of_the_wrong_size)
{
	uint64_t kept;

	begin(1 << 14, 0);
	for (unsigned i = 0; i < 60; i++)
		CHECK_OK(allocate(9 * LH_PAGE_SIZE, 0, false));
	for (unsigned i = 0; i < 13; i++)
		release(count - 1);
	kept = heap.spare_pages;
	CHECK(kept > 110);
	for (unsigned i = 0; i < 20; i++)
		CHECK_OK(allocate(5 * LH_PAGE_SIZE, 0, false));
	CHECK(heap.spare_pages < kept - 8);
	check_all_returned();
	end();
}

/* What one size gave back, another of as many pages uses, without a frame taken. */
TEST(an_empty_run_serves_any_size_of_as_many_pages)
{
	lh_virtual_address large;
	uint64_t pages;

	begin(1000, 0);
	for (unsigned i = 0; i < 16 * 4; i++)
		CHECK_OK(allocate(500, 0, false));
	while (count != 0)
		release(count - 1);
	lh_heap_fronts_drain(&heap);
	pages = heap_pages();
	for (unsigned i = 0; i < 128 * 3; i++)
		CHECK_OK(allocate(60, 0, false));
	CHECK_EQUAL(heap_pages(), pages);
	while (count != 0)
		release(count - 1);
	CHECK_OK(lh_heap_allocate(&heap, 20000, 0, &large));
	lh_heap_free(&heap, large, 20000);
	pages = heap_pages();
	CHECK_OK(lh_heap_allocate_zeroed(&heap, 20000, 0, &large)); /* and is zeroed again */
	CHECK_EQUAL(heap_pages(), pages);
	lh_heap_free(&heap, large, 20000);
	check_all_returned();
	end();
}

static void take_of(uint64_t bytes, unsigned items)
{
	while (items-- != 0)
		CHECK_OK(allocate(bytes, 0, false));
}

static void give_until(unsigned left)
{
	while (count != left)
		release(count - 1);
	lh_heap_fronts_drain(&heap);
}

/* Of two that are as long, the one given back last has no room for as many items. */
TEST(an_empty_run_is_found_behind_those_that_do_not_fit)
{
	uint64_t pages;

	begin(1000, 0);
	take_of(64, 200);
	take_of(16, 600);
	give_until(200);
	CHECK(heap.spare_pages != 0);
	give_until(0);
	pages = heap_pages();
	take_of(16, 600);
	CHECK_EQUAL(heap_pages(), pages);
	check_all_returned();
	end();
}

TEST(a_large_block_grows_and_shrinks_where_it_is)
{
	lh_virtual_address address;

	begin(1000, 0);
	CHECK_OK(allocate(20 * LH_PAGE_SIZE, 0, false));
	address = blocks[0].address;
	CHECK_OK(resize(0, 25 * LH_PAGE_SIZE + 1));
	CHECK_EQUAL(blocks[0].address.value, address.value);
	CHECK_EQUAL(heap_pages(), 26);
	CHECK_OK(resize(0, 3 * LH_PAGE_SIZE));
	CHECK_EQUAL(blocks[0].address.value, address.value);
	CHECK_EQUAL(heap_pages(), 3);
	CHECK_EQUAL(leaf_at(address.value + 3 * LH_PAGE_SIZE).kind, LH_LEAF_EMPTY);
	check_sound();
	check_all_returned();
	end();
}

/* --- from more than one CPU --- */

static bool has_front(unsigned cpu)
{
	return heap.fronts[cpu] != &lh_heap_no_front;
}

TEST(a_block_may_be_freed_on_another_cpu_and_each_front_is_drained_by_trim)
{
	begin(1000, 0);
	for (unsigned i = 0; i < 500; i++)
		CHECK_OK(allocate(100, 0, false));
	CHECK(has_front(0));
	CHECK(!has_front(1));
	(void)machine_run_on(machine, 1);
	while (count != 0)
		release(count - 1);
	CHECK(!has_front(1)); /* a free alone makes none */
	CHECK_OK(allocate(100, 0, false));
	release(0);
	CHECK(has_front(1));
	check_sound();
	check_all_returned();
	CHECK(!has_front(0) && !has_front(1));
	end();
}

/* --- in any context --- */

TEST(at_hand_needs_no_interrupts_and_never_grows)
{
	lh_heap_request request = { 100, 0, LH_HEAP_AT_HAND | LH_HEAP_ZEROED, NULL };
	lh_heap_request large = { 100000, 0, LH_HEAP_AT_HAND, NULL };
	lh_virtual_address address, held[100];
	uint64_t parks = machine ? machine->parks : 0, pages;
	uintptr_t interrupts;
	unsigned taken = 0;

	begin(1000, 0);
	CHECK_ERROR(lh_heap_allocate_as(&heap, &request, &address), LH_NO_MEMORY);
	CHECK_ERROR(lh_heap_allocate_as(&heap, &large, &address), LH_NO_MEMORY);
	CHECK_OK(lh_heap_allocate(&heap, 100000, 0, &address));
	lh_heap_free_as(&heap, address, 100000, LH_HEAP_AT_HAND, NULL);
	CHECK_OK(allocate(100, 0, false));
	pages = heap_pages();
	interrupts = lh_port_interrupts_off(machine);
	while (taken < 100 && lh_heap_allocate_as(&heap, &request, &held[taken]) == LH_OK)
		taken++;
	CHECK_EQUAL(taken, 2 * LH_PAGE_SIZE / 112 - 1);
	CHECK_EQUAL(heap_pages(), pages);
	CHECK_OK(lh_heap_allocate_as(&heap, &large, &address));
	lh_heap_free_as(&heap, address, 0, LH_HEAP_AT_HAND, NULL);
	while (taken != 0)
		lh_heap_free_as(&heap, held[--taken], 100, LH_HEAP_AT_HAND, NULL);
	CHECK_EQUAL(heap_pages(), pages);
	lh_port_interrupts_restore(machine, interrupts);
	CHECK_EQUAL(machine->parks, parks);
	check_all_returned();
	end();
}

/* --- hostile to exploitation --- */

static void check_unmapped(uint64_t address)
{
	machine_fault fault;
	unsigned char byte;

	CHECK_EQUAL(leaf_at(address).kind, LH_LEAF_EMPTY);
	CHECK(!machine_read(machine, 0, lh_virtual(address), &byte, 1, MACHINE_KERNEL, &fault));
}

TEST(before_and_behind_each_run_lies_a_page_that_is_not_mapped)
{
	begin(1 << 14, 0);
	for (unsigned i = 0; i < 400; i++)
		CHECK_OK(allocate(random_bytes(), 0, false));
	while (count > 200)
		release(test_random_below(count));
	for (const lh_region *run = lh_region_tree_first(&heap.runs); run;
	     run = lh_region_tree_next(run)) {
		check_unmapped(run->range.base.value - 1);
		check_unmapped(run->range.base.value + run->range.pages * LH_PAGE_SIZE);
	}
	check_all_returned();
	end();
}

TEST(no_page_of_the_heap_is_executable)
{
	machine_fault fault;

	begin(1000, 0);
	for (unsigned i = 0; i < 100; i++) {
		CHECK_OK(allocate(random_bytes(), 0, false));
		CHECK_EQUAL(leaf_at(blocks[i].address.value).rights, LH_RIGHT_READ | LH_RIGHT_WRITE);
		CHECK(!machine_fetch(machine, 0, blocks[i].address, NULL, 1, MACHINE_KERNEL, &fault));
	}
	check_all_returned();
	end();
}

/* An item is as seldom beside the one before as chance has it, as often above as below, an odd number of places from it
 * as often as an even one, and seldom as far as that was from its own. */
TEST(items_of_a_slab_come_in_random_order)
{
	unsigned neighbours = 0, upward = 0, odd = 0, steady = 0, n = 1500;
	int64_t step = 0;

	begin(1000, 0);
	for (unsigned i = 0; i < n; i++) {
		int64_t before = step;

		CHECK_OK(allocate(64, 0, false));
		if (i == 0)
			continue;
		step = ((int64_t)blocks[i].address.value - (int64_t)blocks[i - 1].address.value) / 64;
		neighbours += step == 1;
		upward += step > 0;
		odd += step % 2 != 0;
		steady += step == before;
	}
	CHECK(neighbours < n / 10);
	CHECK(upward > n / 3 && upward < n / 3 * 2);
	CHECK(odd > n / 3 && odd < n / 3 * 2);
	CHECK(steady < n / 20);
	check_all_returned();
	end();
}

#define FREED 300

/* Blocks of a size are freed: through the front and past it, whole slabs, large runs. What is still there of them is
 * as it was. => how many bytes that were. */
static uint64_t free_and_compare(uint64_t size, unsigned blocks_freed)
{
	static unsigned char bytes[FREED][LH_PAGE_SIZE], *seen[FREED];
	lh_virtual_address address[FREED];
	uint64_t part = size < LH_PAGE_SIZE / 2 ? size : LH_PAGE_SIZE / 2, compared = 0;

	for (unsigned i = 0; i < blocks_freed; i++) {
		CHECK_OK(allocate(size, 0, false));
		address[i] = blocks[i].address;
		seen[i] = lh_heap_pointer(&heap, address[i]);
		/* As far as the first page goes. */
		if (part > LH_PAGE_SIZE - address[i].value % LH_PAGE_SIZE)
			part = LH_PAGE_SIZE - address[i].value % LH_PAGE_SIZE;
		memcpy(bytes[i], seen[i], part);
	}
	while (count != 0)
		release(count - 1);
	lh_heap_fronts_drain(&heap);
	for (unsigned i = 0; i < blocks_freed; i++)
		if (lh_heap_pointer(&heap, address[i]) == seen[i]) {
			CHECK(memcmp(bytes[i], seen[i], part) == 0);
			compared += part;
		}
	return compared;
}

TEST(the_heap_writes_nothing_into_what_is_free)
{
	static const struct {
		uint64_t size;
		unsigned freed;
	} kinds[] = { { 16, FREED }, { 100, FREED }, { 4000, 30 }, { 10240, 9 }, { 20000, 1 }, { 20000, 5 } };

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		begin(1000, 0);
		CHECK(free_and_compare(kinds[i].size, kinds[i].freed) >= 16);
		check_all_returned();
		end();
	}
}

/* --- what must stop the machine --- */

TEST(b30_freeing_twice_or_what_was_never_given_stops_the_machine)
{
	lh_virtual_address small, large;

	begin(1000, 0);
	CHECK_OK(lh_heap_allocate(&heap, 100, 0, &small));
	CHECK_OK(lh_heap_allocate(&heap, 100000, 0, &large));
	CHECK(panic_of_free(small.value + 16, 0) != NULL);
	CHECK(panic_of_free(small.value + 112, 0) != NULL);
	CHECK(panic_of_free(small.value | 0xfff, 0) != NULL);
	CHECK(panic_of_free(small.value, 113) != NULL);
	CHECK(panic_of_free(large.value, 100000 - 5 * LH_PAGE_SIZE) != NULL);
	CHECK(panic_of_free(large.value, 110000) != NULL);
	CHECK(panic_of_free(large.value + LH_PAGE_SIZE, 0) != NULL);
	CHECK(panic_of_free(large.value + 25 * LH_PAGE_SIZE, 0) != NULL);
	CHECK(panic_of_free(HEAP_BASE, 0) != NULL);
	CHECK(panic_of_free(UINT64_MAX, 0) != NULL);
	lh_heap_free(&heap, small, 100);
	lh_heap_free(&heap, large, 100000);
	CHECK(panic_of_free(small.value, 100) != NULL); /* in the front */
	CHECK(panic_of_free(large.value, 100000) != NULL); /* among the spare runs */
	lh_heap_fronts_drain(&heap);
	CHECK(panic_of_free(small.value, 100) != NULL); /* in the slab, or that is spare */
	check_all_returned();
	CHECK(panic_of_free(small.value, 100) != NULL); /* nowhere */
	end();
}
