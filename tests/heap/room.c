/* SPDX-License-Identifier: BSD-2-Clause */
#include "heap/room.h"

lh_port *machine;
lh_frames *frames;
lh_manager *manager;
lh_heap heap;
struct block blocks[BLOCKS_MOST];
size_t count;

static void *frames_memory, *manager_memory;
static lh_frame_counters before; /* when the heap was made */

void end(void)
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

static void make_frames(void)
{
	lh_memory_entry entry;
	lh_memory_map map;

	lh_memory_map_init(&map, &entry, 1);
	CHECK_OK(lh_memory_map_add(&map, 16 * LH_PAGE_SIZE, FRAMES * LH_PAGE_SIZE, LH_MEMORY_USABLE));
	CHECK_OK(lh_memory_map_normalise(&map));
	frames_memory = aligned_alloc(LH_PAGE_SIZE, lh_frames_size(&map));
	CHECK_OK(lh_frames_create(frames_memory, lh_frames_size(&map), &map, LH_CHARGE_STRICT, machine,
				  &frames));
}

static void activate(void)
{
	for (unsigned cpu = 0; cpu < CPUS; cpu++) {
		unsigned back = machine_run_on(machine, cpu);
		uintptr_t interrupts = lh_port_interrupts_off(machine);

		lh_manager_activate(manager);
		lh_port_interrupts_restore(machine, interrupts);
		(void)machine_run_on(machine, back);
	}
}

void begin(uint64_t pages, uint32_t flags)
{
	lh_manager_setup setup = { .format = &lh_format_x86_64_4_level };
	lh_kernel_request request = { .specifically = { lh_virtual(HEAP_BASE + (508 << 12)), pages } };

	end();
	machine = machine_create_simple(16, FRAMES, CPUS);
	make_frames();
	setup.port = machine;
	setup.frames = frames;
	setup.user = (lh_virtual_range){ lh_virtual(0x10000), 1 << 20 };
	setup.kernel = (lh_virtual_range){ lh_virtual(HEAP_BASE), 1 << 24 };
	manager_memory = malloc(lh_manager_size());
	CHECK_OK(lh_manager_create(manager_memory, &setup, &manager));
	activate();
	CHECK_OK(lh_heap_create(&heap, manager, &request, flags));
	lh_frames_read_counters(frames, &before);
	count = 0;
}

void check_sound(void)
{
	tell_machine();
	CHECK_SOUND(machine_check_tlbs(machine));
	CHECK_EQUAL(heap.lock, 0);
	for (unsigned i = 0; i < LH_HEAP_PARTS; i++)
		CHECK_EQUAL(heap.parts[i].lock, 0);
	CHECK_SOUND(lh_heap_check(&heap));
	CHECK_SOUND(lh_manager_check(manager));
}

void use_some_cpu(void)
{
	(void)machine_run_on(machine, (unsigned)test_random_below(CPUS));
}

uint64_t item_bytes(lh_virtual_address address)
{
	return lh_heap_find_given(&heap, address).run->size;
}

lh_leaf leaf_at(uint64_t address)
{
	return lh_directory_read(&manager->kernel_directory, lh_virtual(address));
}

uint64_t heap_pages(void)
{
	lh_heap_counters counters;

	lh_heap_read_counters(&heap, &counters);
	return counters.pages;
}

/* --- bytes, as programs reach them, on either CPU, through what its TLB holds --- */

static unsigned char buffer[512 * 1024];

static void fill(const struct block *block)
{
	machine_fault fault;

	tell_machine();
	memset(buffer, block->mark, block->bytes);
	CHECK(machine_write(machine, (unsigned)test_random_below(CPUS), block->address, buffer,
			    block->bytes, MACHINE_KERNEL, &fault));
}

static void check_filled(const struct block *block, unsigned char mark, uint64_t bytes)
{
	machine_fault fault;

	tell_machine();
	CHECK(machine_read(machine, (unsigned)test_random_below(CPUS), block->address, buffer, bytes,
			   MACHINE_KERNEL, &fault));
	for (uint64_t i = 0; i < bytes; i++)
		if (buffer[i] != mark)
			CHECK_EQUAL(buffer[i], mark);
}

/* --- against the list --- */

/* => own: where the block stands in the list; count: not yet. */
static void check_no_overlap(const struct block *block, size_t own)
{
	uint64_t size = lh_heap_size_of(&heap, block->address);

	CHECK(size >= block->bytes);
	CHECK(block->address.value - heap.base + size <= heap.pages << LH_PAGE_SHIFT);
	for (size_t i = 0; i < count; i++) {
		uint64_t other = blocks[i].address.value;

		if (i == own)
			continue;
		CHECK(other - block->address.value >= size);
		CHECK(block->address.value - other >= blocks[i].bytes);
	}
}

static lh_error note(lh_error error, struct block block, uint64_t alignment, bool zeroed)
{
	if (error != LH_OK) {
		CHECK_EQUAL(block.address.value, 0);
		return error;
	}
	CHECK_EQUAL(block.address.value % (alignment ? alignment : 16), 0);
	CHECK_EQUAL(block.address.value % 16, 0);
	CHECK(count < BLOCKS_MOST);
	check_no_overlap(&block, count);
	if (zeroed)
		check_filled(&block, 0, lh_heap_size_of(&heap, block.address));
	fill(&block);
	blocks[count++] = block;
	return LH_OK;
}

static struct block new_block(uint64_t bytes)
{
	return (struct block){ { 0 }, bytes, (unsigned char)(1 + test_random_below(255)) };
}

lh_error allocate(uint64_t bytes, uint64_t alignment, bool zeroed)
{
	struct block block = new_block(bytes);
	lh_error error = zeroed ? lh_heap_allocate_zeroed(&heap, bytes, alignment, &block.address)
				: lh_heap_allocate(&heap, bytes, alignment, &block.address);

	return note(error, block, alignment, zeroed);
}

lh_error allocate_as(const lh_heap_request *request)
{
	struct block block = new_block(request->bytes);
	lh_error error = lh_heap_allocate_as(&heap, request, &block.address);

	return note(error, block, request->alignment, (request->flags & LH_HEAP_ZEROED) != 0);
}

static struct block forget(size_t index)
{
	struct block block = blocks[index];

	check_filled(&block, block.mark, block.bytes);
	blocks[index] = blocks[--count];
	return block;
}

void release(size_t index)
{
	struct block block = forget(index);

	lh_heap_free(&heap, block.address, test_random_below(4) ? block.bytes : 0);
}

void release_at_hand(size_t index)
{
	struct block block = forget(index);
	uintptr_t interrupts = lh_port_interrupts_off(machine);

	lh_heap_free_as(&heap, block.address, test_random_below(4) ? block.bytes : 0, LH_HEAP_AT_HAND, NULL);
	lh_port_interrupts_restore(machine, interrupts);
}

lh_error resize(size_t index, uint64_t bytes)
{
	struct block *block = &blocks[index], was = *block;
	lh_error error = lh_heap_resize(&heap, &block->address,
					test_random_below(4) ? block->bytes : 0, bytes);

	if (error == LH_OK)
		block->bytes = bytes;
	else
		CHECK_EQUAL(block->address.value, was.address.value);
	check_no_overlap(block, index);
	check_filled(block, block->mark, was.bytes < block->bytes ? was.bytes : block->bytes);
	fill(block);
	return error;
}

void check_all_returned(void)
{
	lh_frame_counters now;
	lh_heap_counters counters;

	while (count != 0)
		release(test_random_below(count));
	(void)lh_heap_trim(&heap);
	check_sound();
	lh_heap_read_counters(&heap, &counters);
	counters.frames -= heap.quarantine != NULL;
	CHECK(memcmp(&counters, &(lh_heap_counters){ 0 }, sizeof counters) == 0);
	lh_frames_read_counters(frames, &now);
	CHECK(memcmp(&now, &before, sizeof now) == 0);
}

uint64_t random_bytes(void)
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

/* --- panics --- */

struct misuse {
	lh_virtual_address address;
	uint64_t bytes;
};

static void do_free(void *context)
{
	const struct misuse *misuse = context;

	lh_heap_free(&heap, misuse->address, misuse->bytes);
}

const char *panic_of_free(uint64_t address, uint64_t bytes)
{
	struct misuse misuse = { lh_virtual(address), bytes };

	return machine_expect_panic(machine, do_free, &misuse);
}
