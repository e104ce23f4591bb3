/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The heap over the hosted machine, against a list of what is given out: no two items
 * overlap, each keeps its bytes, and when all is freed every frame is back.
 */
#include <stdlib.h>
#include <string.h>

#include <landhold/heap.h>

#include "harness.h"
#include "cpu.h"
#include "machine.h"

#include "heap/heap_internal.h"
#include "object/machine.h"

#define FRAMES 2048
#define ITEMS_GIVEN_MOST 3000
#define HEAP_BASE UINT64_C(0xffff900000000000)

struct item {
	lh_virtual_address address;
	uint64_t bytes;
	unsigned char mark;
};

static lh_port *machine;
static lh_frames *frames;
static lh_manager *manager;
static void *frames_memory, *manager_memory;
static lh_heap heap;
static struct item items[ITEMS_GIVEN_MOST];
static size_t count;
static lh_frame_counters before; /* when the heap was made */

static void end(void)
{
	machine_destroy(machine);
	free(frames_memory);
	free(manager_memory);
	machine = NULL;
	frames_memory = manager_memory = NULL;
}

static bool in_use(void *context, lh_frame_number frame)
{
	(void)context;
	return lh_frame_entry_of(frames, frame)->state != LH_FRAME_FREE;
}

/* Which frames are free: the machine reports who reaches one. */
static void tell_machine(void)
{
	machine_update_frames(machine, in_use, NULL);
}

/* A machine, and a heap of so many pages that ends or begins across a leaf table. */
static void begin(uint64_t pages)
{
	lh_memory_entry entry;
	lh_memory_map map;
	lh_manager_setup setup = { .format = &lh_format_x86_64_4_level };
	lh_kernel_request request = { .specifically = { lh_virtual(HEAP_BASE + (508 << 12)), pages } };
	uintptr_t interrupts;

	end();
	machine = machine_create_simple(16, FRAMES, 2);
	lh_memory_map_init(&map, &entry, 1);
	CHECK_OK(lh_memory_map_add(&map, 16 * LH_PAGE_SIZE, FRAMES * LH_PAGE_SIZE, LH_MEMORY_USABLE));
	CHECK_OK(lh_memory_map_normalise(&map));
	frames_memory = aligned_alloc(LH_PAGE_SIZE, lh_frames_size(&map));
	CHECK_OK(lh_frames_create(frames_memory, lh_frames_size(&map), &map, LH_CHARGE_STRICT, machine,
				  &frames));
	setup.port = machine;
	setup.frames = frames;
	setup.user = (lh_virtual_range){ lh_virtual(0x10000), 1 << 20 };
	setup.kernel = (lh_virtual_range){ lh_virtual(HEAP_BASE), 1 << 24 };
	manager_memory = malloc(lh_manager_size());
	CHECK_OK(lh_manager_create(manager_memory, &setup, &manager));
	for (unsigned cpu = 0; cpu < 2; cpu++) {
		unsigned back = machine_run_on(machine, cpu);

		interrupts = lh_port_interrupts_off(machine);
		lh_manager_activate(manager);
		lh_port_interrupts_restore(machine, interrupts);
		(void)machine_run_on(machine, back);
	}
	lh_frames_read_counters(frames, &before);
	CHECK_OK(lh_heap_create(&heap, manager, &request));
	count = 0;
}

/* Every walker; and no TLB of any CPU leads to a frame that was freed. */
static void check_sound(void)
{
	tell_machine();
	CHECK_SOUND(machine_check_tlbs(machine));
	CHECK(!lh_mutex_is_held(&heap.lock));
	CHECK_SOUND(lh_heap_check(&heap));
	CHECK_SOUND(lh_manager_check(manager));
}

/* --- The bytes of an item, through the tables that the manager wrote --- */

static lh_frame_number frame_at(uint64_t address)
{
	uintptr_t interrupts = lh_directory_lock(&manager->kernel_directory);
	lh_leaf leaf = lh_directory_read_locked(&manager->kernel_directory, lh_virtual(address));

	lh_directory_unlock(&manager->kernel_directory, interrupts);
	CHECK_EQUAL(leaf.kind, LH_LEAF_PRESENT);
	CHECK_EQUAL(leaf.rights, LH_RIGHT_READ | LH_RIGHT_WRITE);
	return leaf.frame;
}

/* As programs make them, on either CPU, through what its TLB holds. */
static unsigned char buffer[512 * 1024];

static void fill(const struct item *item)
{
	machine_fault fault;

	tell_machine();
	memset(buffer, item->mark, item->bytes);
	CHECK(machine_write(machine, (unsigned)test_random_below(2), item->address, buffer,
			    item->bytes, MACHINE_KERNEL, &fault));
}

static void check_filled(const struct item *item, unsigned char mark)
{
	machine_fault fault;

	tell_machine();
	CHECK(machine_read(machine, (unsigned)test_random_below(2), item->address, buffer,
			   item->bytes, MACHINE_KERNEL, &fault));
	for (uint64_t i = 0; i < item->bytes; i++)
		if (buffer[i] != mark)
			CHECK_EQUAL(buffer[i], mark);
}

/* --- Against the list --- */

static void check_no_overlap(const struct item *item)
{
	uint64_t size = lh_heap_size_of(&heap, item->address);

	CHECK(size >= item->bytes);
	CHECK(item->address.value - heap.region.range.base.value + size <=
	      heap.region.range.pages << LH_PAGE_SHIFT);
	for (size_t i = 0; i < count; i++) {
		uint64_t other = items[i].address.value;

		CHECK(other - item->address.value >= size);
		CHECK(item->address.value - other >= items[i].bytes);
	}
}

static lh_error allocate(uint64_t bytes, uint64_t alignment, bool zeroed)
{
	struct item item = { { 0 }, bytes, (unsigned char)(1 + test_random_below(255)) };
	lh_error error = zeroed ? lh_heap_allocate_zeroed(&heap, bytes, alignment, &item.address)
				: lh_heap_allocate(&heap, bytes, alignment, &item.address);

	if (error != LH_OK) {
		CHECK_EQUAL(item.address.value, 0);
		return error;
	}
	CHECK_EQUAL(item.address.value % (alignment ? alignment : 16), 0);
	CHECK_EQUAL(item.address.value % 16, 0);
	CHECK(count < ITEMS_GIVEN_MOST);
	check_no_overlap(&item);
	if (zeroed)
		check_filled(&item, 0);
	fill(&item);
	items[count++] = item;
	return LH_OK;
}

static void release(size_t index)
{
	check_filled(&items[index], items[index].mark);
	lh_heap_free(&heap, items[index].address, test_random_below(4) ? items[index].bytes : 0);
	items[index] = items[--count];
}

/* With nothing given out, every frame and table is as when the heap was made. */
static void check_all_returned(void)
{
	lh_frame_counters now;
	lh_heap_counters counters;

	while (count != 0)
		release(test_random_below(count));
	(void)lh_heap_trim(&heap);
	check_sound();
	lh_heap_read_counters(&heap, &counters);
	CHECK(memcmp(&counters, &(lh_heap_counters){ 0 }, sizeof counters) == 0);
	lh_frames_read_counters(frames, &now);
	CHECK(memcmp(&now, &before, sizeof now) == 0);
}

static uint64_t random_bytes(void)
{
	switch (test_random_below(8)) {
	case 0:
		return 1 + test_random_below(100000);
	case 1:
		return 1 + test_random_below(9000);
	default:
		return 1 + test_random_below(UINT64_C(1) << (4 + test_random_below(7)));
	}
}

TEST(random_sizes_agree_with_a_list_of_what_is_given_out)
{
	for (unsigned round = 0; round < 4; round++) {
		begin(round % 2 ? 4000 : 300);
		for (unsigned step = 0; step < 2500; step++) {
			uint64_t grow = step / 400 % 2 ? 1 : 3; /* tides */
			uint64_t alignment = test_random_below(3) ? 0 : UINT64_C(1)
								      << test_random_below(15);

			if (test_random_below(4) < grow && count < ITEMS_GIVEN_MOST) {
				lh_error error = allocate(random_bytes(), alignment,
							  test_random_below(3) == 0);

				CHECK(error == LH_OK || error == LH_NO_MEMORY);
			} else if (count != 0) {
				release(test_random_below(count));
			}
			if (step % 100 == 0)
				check_sound();
		}
		check_all_returned();
		lh_heap_destroy(&heap);
		CHECK_EQUAL(manager->kernel_tree.count, 0);
		lh_manager_destroy(manager);
	}
	end();
}

TEST(every_size_and_alignment_is_kept)
{
	begin(2000);
	for (uint64_t bytes = 1; bytes <= 3 * LH_PAGE_SIZE; bytes += 1 + bytes / 9)
		for (uint64_t alignment = 1; alignment <= UINT64_C(16) * LH_PAGE_SIZE; alignment *= 2) {
			CHECK_OK(allocate(bytes, alignment, false));
			release(count - 1);
		}
	check_all_returned();
	end();
}

TEST(classes_are_ordered_and_each_is_the_smallest_that_fits)
{
	for (uint64_t bytes = 1; bytes <= LH_HEAP_CLASS_LARGEST; bytes++)
		for (uint64_t alignment = 16; alignment <= LH_PAGE_SIZE; alignment *= 2) {
			uint32_t expected = 0;

			while (expected < LARGE && (lh_heap_class_size(expected) < bytes ||
						    lh_heap_class_size(expected) % alignment != 0))
				expected++;
			CHECK_EQUAL(lh_heap_class_for(bytes, alignment), expected);
		}
	for (uint32_t i = 0; i < LH_HEAP_CLASSES; i++) {
		CHECK(i == 0 || lh_heap_class_size(i) > lh_heap_class_size(i - 1));
		CHECK(lh_heap_class_items(i) >= 4);
		CHECK(lh_heap_class_items(i) <= ITEMS_MOST);
		CHECK(lh_heap_class_pages(i) <= SLAB_PAGES_MOST);
	}
	CHECK_EQUAL(lh_heap_class_size(LH_HEAP_CLASSES - 1), LH_HEAP_CLASS_LARGEST);
}

TEST(bad_requests_are_refused_and_change_nothing)
{
	lh_virtual_address address = lh_virtual(5);

	begin(100);
	CHECK_ERROR(lh_heap_allocate(&heap, 0, 0, &address), LH_INVALID);
	CHECK_ERROR(lh_heap_allocate(&heap, 10, 3, &address), LH_INVALID);
	CHECK_ERROR(lh_heap_allocate(&heap, UINT64_MAX, 0, &address), LH_NO_MEMORY);
	CHECK_ERROR(lh_heap_allocate(&heap, 101 * LH_PAGE_SIZE, 0, &address), LH_NO_MEMORY);
	CHECK_ERROR(lh_heap_allocate(&heap, 16, UINT64_C(1) << 63, &address), LH_NO_MEMORY);
	CHECK_EQUAL(address.value, 5);
	lh_heap_free(&heap, lh_virtual(0), 0);
	check_all_returned();
	end();
}

TEST(a_heap_that_runs_out_of_frames_loses_nothing)
{
	size_t most[2] = { 0, 0 };

	begin(1 << 16);
	for (unsigned round = 0; round < 2; round++) {
		while (allocate(3 * LH_PAGE_SIZE, 0, false) == LH_OK)
			;
		most[round] = count;
		check_sound();
		CHECK_ERROR(allocate(100 * LH_PAGE_SIZE, 0, false), LH_NO_MEMORY);
		check_all_returned();
	}
	CHECK(most[0] > FRAMES / 4);
	CHECK_EQUAL(most[1], most[0]);
	end();
}

TEST(a_heap_that_runs_out_of_room_loses_nothing)
{
	begin(30);
	while (allocate(64, 0, false) == LH_OK)
		;
	CHECK_EQUAL(count, 30 * 64);
	check_sound();
	check_all_returned();
	end();
}

TEST(every_allocation_step_can_fail_and_changes_nothing)
{
	static const uint64_t sizes[] = { 20, 3000, 8000, 70000 };
	uint64_t injected = 0;

	begin(1 << 14);
	for (unsigned s = 0; s < 4; s++)
		for (uint64_t n = 1;; n++) {
			lh_error error;
			uint64_t steps;

			lh_frames_fail_at(frames, n);
			error = allocate(sizes[s], 0, false);
			steps = lh_frames_steps(frames);
			lh_frames_fail_at(frames, 0);
			CHECK_ERROR(error, steps >= n ? LH_NO_MEMORY : LH_OK);
			injected += steps >= n;
			check_all_returned();
			if (steps < n)
				break;
		}
	CHECK(injected > 20);
	end();
}

TEST(heaps_are_made_and_ended_at_every_prefix)
{
	lh_kernel_request request = { .specifically = { lh_virtual(HEAP_BASE), 64 } };
	lh_heap other;

	begin(1000);
	CHECK_ERROR(lh_heap_create(&other, manager, &(lh_kernel_request){ 0 }), LH_INVALID);
	lh_heap_destroy(&other);
	CHECK_OK(lh_heap_create(&other, manager, &request));
	lh_heap_destroy(&other);
	lh_heap_destroy(&other);
	CHECK_OK(lh_heap_create(&other, manager, &request));
	CHECK_ERROR(lh_heap_create(&(lh_heap){ 0 }, manager, &request), LH_EXISTS);
	for (unsigned i = 0; i < 50; i++) {
		lh_virtual_address address;

		CHECK_OK(lh_heap_allocate(&other, 1 + test_random_below(3000), 0, &address));
	}
	lh_heap_destroy(&other); /* with all that is still allocated */
	check_all_returned();
	end();
}

TEST(one_empty_slab_of_a_class_is_kept_and_trimmed)
{
	lh_heap_counters counters;

	begin(1000);
	for (unsigned i = 0; i < 200; i++)
		CHECK_OK(allocate(64, 0, false));
	while (count != 0)
		release(count - 1);
	lh_heap_read_counters(&heap, &counters);
	CHECK_EQUAL(counters.runs, 1);
	CHECK_EQUAL(counters.pages, 1);
	CHECK_EQUAL(lh_heap_trim(&heap), 1);
	CHECK_EQUAL(lh_heap_trim(&heap), 0);
	check_all_returned();
	end();
}

/* --- A9 --- */

/*
 * Growth maps pages, mapping takes tables, and none of it may come back into the heap: the
 * heap's lock would be found held, and parking with nobody to unpark is reported by the machine;
 * and each page that the heap got is a frame of its own, never a table's. (That no floor below
 * calls the heap is shown by their own tests, which link without it.)
 */
TEST(a9_mapping_never_reaches_the_heap_and_growth_cannot_re_enter)
{
	static bool seen[FRAMES + 16];
	lh_heap_counters counters;
	uint64_t pages = 0;

	memset(seen, 0, sizeof seen);
	begin(1 << 14);
	for (unsigned i = 0; i < 12; i++) /* runs over the borders of several leaf tables */
		CHECK_OK(allocate(100 * LH_PAGE_SIZE + 1, UINT64_C(1) << (12 + i % 5), false));
	for (unsigned i = 0; i < 300; i++)
		CHECK_OK(allocate(500, 0, false));
	CHECK_EQUAL(machine->parks, 0);
	for (const lh_region *run = lh_region_tree_first(&heap.runs); run;
	     run = lh_region_tree_next(run))
		for (uint64_t page = 0; page < run->range.pages; page++) {
			lh_frame_number frame = frame_at(lh_virtual_range_page(run->range, page).value);

			CHECK_EQUAL(lh_frame_entry_of(frames, frame)->state, LH_FRAME_KERNEL);
			CHECK_EQUAL(lh_frame_entry_of(frames, frame)->holders, 1);
			CHECK(!seen[frame.value]);
			seen[frame.value] = true;
			pages++;
		}
	lh_heap_read_counters(&heap, &counters);
	CHECK_EQUAL(pages, counters.pages);
	check_sound();
	check_all_returned();
	end();
}

/* --- What must stop the machine --- */

struct misuse {
	lh_virtual_address address;
	uint64_t bytes;
};

static void do_free(void *context)
{
	const struct misuse *misuse = context;

	lh_heap_free(&heap, misuse->address, misuse->bytes);
}

static void check_free_panics(lh_virtual_address address, uint64_t bytes)
{
	struct misuse misuse = { address, bytes };

	CHECK(machine_expect_panic(machine, do_free, &misuse) != NULL);
	heap.lock = 0; /* the panic left it held */
}

TEST(b30_freeing_twice_or_what_was_never_given_stops_the_machine)
{
	lh_virtual_address small, large;

	begin(1000);
	CHECK_OK(lh_heap_allocate(&heap, 100, 0, &small));
	CHECK_OK(lh_heap_allocate(&heap, 100000, 0, &large));
	check_free_panics(lh_virtual(small.value + 16), 0);
	check_free_panics(lh_virtual(small.value + 112), 0);
	check_free_panics(lh_virtual(small.value + LH_PAGE_SIZE - 1), 0);
	check_free_panics(small, 113);
	check_free_panics(large, 100000 - LH_PAGE_SIZE);
	check_free_panics(large, 110000);
	check_free_panics(lh_virtual(large.value + LH_PAGE_SIZE), 0);
	check_free_panics(lh_virtual(HEAP_BASE), 0);
	check_free_panics(lh_virtual(UINT64_MAX), 0);
	lh_heap_free(&heap, small, 100);
	lh_heap_free(&heap, large, 100000);
	check_free_panics(small, 100);
	check_free_panics(large, 100000);
	check_all_returned();
	end();
}

/* --- The walker --- */

#define CHECK_FINDS(field, wrong)                                                  \
	do {                                                                       \
		__typeof__(field) right_ = (field);                                \
		(field) = (__typeof__(field))(wrong);                              \
		CHECK(lh_heap_check(&heap) != NULL);                               \
		(field) = right_;                                                  \
		CHECK_SOUND(lh_heap_check(&heap));                                 \
	} while (0)

TEST(the_walker_of_a_heap_finds_each_corrupted_field)
{
	struct lh_heap_run *slab, *large, *empty;
	uint32_t class_64 = lh_heap_class_for(64, 16);

	begin(1000);
	CHECK_OK(allocate(300, 0, false));
	release(0);
	CHECK_OK(allocate(64, 0, false));
	CHECK_OK(allocate(50000, 0, false));
	slab = heap.partial[class_64];
	empty = heap.empty[lh_heap_class_for(300, 16)];
	large = (struct lh_heap_run *)(void *)lh_region_tree_find(&heap.runs, items[1].address);
	CHECK(slab && empty && large && large->size_class == LARGE);
	CHECK_FINDS(heap.counters.items, 3);
	CHECK_FINDS(heap.counters.bytes, 3);
	CHECK_FINDS(heap.counters.runs, 2);
	CHECK_FINDS(heap.counters.pages, 2);
	CHECK_FINDS(heap.partial[class_64], NULL);
	CHECK_FINDS(heap.partial[class_64], large);
	CHECK_FINDS(heap.partial[0], slab);
	CHECK_FINDS(heap.empty[empty->size_class], NULL);
	CHECK_FINDS(heap.empty[class_64], slab);
	CHECK_FINDS(slab->in_use, 2);
	CHECK_FINDS(slab->bits[0], 3);
	CHECK_FINDS(slab->bits[1], 1);
	CHECK_FINDS(slab->next, slab);
	CHECK_FINDS(slab->previous, large);
	CHECK_FINDS(slab->size_class, class_64 + 1);
	CHECK_FINDS(slab->live, false);
	CHECK_FINDS(large->in_use, 0);
	CHECK_FINDS(large->size_class, LARGE + 1);
	CHECK_FINDS(large->region.guard_after, 12345);
	CHECK_FINDS(empty->bits[0], 1);
	CHECK_FINDS(heap.pool.in_use, 1);
	check_all_returned();
	end();
}
