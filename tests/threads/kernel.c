/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames, pools, charges, kernel regions and the heap, from all CPUs at once. */
#include <stdlib.h>

#include <landhold/heap.h>
#include <landhold/pool.h>

#include "threads/crowd.h"

#define CPUS 4
#define HELD 24

struct kernel {
	test_world world;
	uint64_t rounds;
	uint64_t random[CPUS];
	lh_pool pool;
	bool with_fronts; /* and with pages that are kept */
	lh_heap heap;
	uint32_t heap_flags;
	/* Kernel regions at places of their own, for others to look at. */
	uint64_t shown[CPUS]; /* atomic: the address of a word that holds its own address, or 0 */
	uint64_t looking[CPUS]; /* atomic: how many look at it */
	uint64_t looks;
	uint64_t refused;
};

#define GET(place) __atomic_load_n(&(place), __ATOMIC_SEQ_CST)
#define SET(place, value) __atomic_store_n(&(place), value, __ATOMIC_SEQ_CST)
#define ADD(place) __atomic_add_fetch(&(place), 1, __ATOMIC_SEQ_CST)
#define SUBTRACT(place) __atomic_sub_fetch(&(place), 1, __ATOMIC_SEQ_CST)

static uint64_t draw(struct kernel *kernel, unsigned cpu, uint64_t below)
{
	return crowd_random(&kernel->random[cpu], below);
}

static void run(struct kernel *kernel, uint64_t frames, machine_program *program)
{
	crowd_before before;

	crowd_open(&kernel->world, frames, CPUS);
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		kernel->random[cpu] = test_random();
	before = crowd_note(&kernel->world);
	crowd_run(&kernel->world, program, kernel);
	crowd_compare(&kernel->world, &before);
	world_close(&kernel->world);
}

/* --- frames and charges --- */

struct held {
	lh_frame_number frame;
	uint64_t count; /* 0: none */
	bool charged;
};

/* The frame is this CPU's alone: what it wrote must be there when it gives it back. */
static void mark(struct kernel *kernel, unsigned cpu, lh_frame_number frame, uint64_t count)
{
	for (uint64_t n = 0; n < count; n++) {
		uint64_t *word = lh_frame_pointer(kernel->world.frames,
						  lh_frame(frame.value + n));

		*word = (frame.value + n) << 8 | cpu;
	}
}

static void give_back(struct kernel *kernel, unsigned cpu, struct held *held)
{
	lh_frames *frames = kernel->world.frames;

	for (uint64_t n = 0; n < held->count; n++) {
		const uint64_t *word = lh_frame_pointer(frames, lh_frame(held->frame.value + n));

		REQUIRE_EQUAL(kernel->world.machine, *word, (held->frame.value + n) << 8 | cpu);
	}
	lh_frame_drop_contiguous(frames, held->frame, held->count);
	if (held->charged)
		lh_charge_give_back(frames, 1);
	held->count = 0;
}

/* => false: there is none left, which is no error in this test. */
static bool take(struct kernel *kernel, unsigned cpu, struct held *held)
{
	lh_frames *frames = kernel->world.frames;
	lh_frame_state state = draw(kernel, cpu, 2) ? LH_FRAME_KERNEL : LH_FRAME_ANONYMOUS;
	uint64_t count = 1 + draw(kernel, cpu, 6);

	*held = (struct held){ .count = 1, .charged = draw(kernel, cpu, 3) == 0 };
	if (held->charged) {
		if (lh_charge_take(frames, 1) != LH_OK)
			return false;
		/* It was promised. */
		REQUIRE_EQUAL(kernel->world.machine,
			      lh_frame_allocate_zeroed(frames, state, LH_FRAME_CHARGED, &held->frame),
			      LH_OK);
		return true;
	}
	if (draw(kernel, cpu, 3) != 0)
		return lh_frame_allocate(frames, state, LH_FRAME_UNCHARGED, &held->frame) == LH_OK;
	held->count = count;
	return lh_frame_allocate_contiguous(frames, count, 2, 0, state, &held->frame) == LH_OK;
}

static void use_frames(void *context, unsigned cpu)
{
	struct kernel *kernel = context;
	struct held held[HELD] = { { { 0 }, 0, false } };

	for (uint64_t round = 0; round < kernel->rounds; round++) {
		struct held *one = &held[draw(kernel, cpu, HELD)];

		machine_step(kernel->world.machine, "frames");
		if (one->count != 0) {
			give_back(kernel, cpu, one);
		} else if (take(kernel, cpu, one)) {
			mark(kernel, cpu, one->frame, one->count);
		} else {
			one->count = 0;
			ADD(kernel->refused);
		}
	}
	for (unsigned n = 0; n < HELD; n++)
		if (held[n].count != 0)
			give_back(kernel, cpu, &held[n]);
}

TEST(frames_and_charges_from_all_cpus)
{
	struct kernel kernel = { .rounds = 4000 };

	run(&kernel, 340, use_frames); /* so few that they run out now and then */
	CHECK(kernel.refused != 0);
}

/* --- a pool --- */

static void use_pool(void *context, unsigned cpu)
{
	struct kernel *kernel = context;
	lh_port *machine = kernel->world.machine;
	uint64_t *held[HELD] = { NULL };

	for (uint64_t round = 0; round < kernel->rounds; round++) {
		uint64_t n = draw(kernel, cpu, HELD);
		void *item;

		machine_step(machine, "a pool");
		if (held[n]) {
			REQUIRE_EQUAL(machine, *held[n], (uintptr_t)held[n] + cpu);
			lh_pool_give_back(&kernel->pool, held[n]);
			held[n] = NULL;
			continue;
		}
		REQUIRE_EQUAL(machine, lh_pool_take(&kernel->pool, &item), LH_OK);
		held[n] = item;
		*held[n] = (uintptr_t)item + cpu;
	}
	for (unsigned n = 0; n < HELD; n++)
		if (held[n])
			lh_pool_give_back(&kernel->pool, held[n]);
}

static void use_a_new_pool(void *context, unsigned cpu)
{
	struct kernel *kernel = context;

	if (cpu == 0)
		REQUIRE_EQUAL(kernel->world.machine,
			      lh_pool_init(&kernel->pool, kernel->world.frames, "items", 600), LH_OK);
	if (cpu == 0 && kernel->with_fronts) {
		lh_pool_add_fronts(&kernel->pool, aligned_alloc(16, lh_pool_fronts_size()));
		lh_pool_keep_pages(&kernel->pool);
	}
	machine_meet(kernel->world.machine);
	use_pool(kernel, cpu);
	machine_meet(kernel->world.machine);
	if (cpu == 0) {
		(void)lh_pool_trim(&kernel->pool, 0, NULL);
		REQUIRE_EQUAL(kernel->world.machine, lh_pool_read_counters(&kernel->pool).pages, 0);
	}
	if (cpu == 0 && kernel->with_fronts)
		free(kernel->pool.fronts);
}

TEST(a_pool_from_all_cpus)
{
	struct kernel kernel = { .rounds = 4000 };

	run(&kernel, 400, use_a_new_pool);
}

TEST(a_pool_with_fronts_from_all_cpus)
{
	struct kernel kernel = { .rounds = 4000, .with_fronts = true };

	run(&kernel, 400, use_a_new_pool);
}

/* --- kernel regions --- */

/* Looks at what another CPU shows: it is there. Once it is taken away, it must be gone here too. */
static void look(struct kernel *kernel, unsigned cpu)
{
	unsigned other = (cpu + 1 + (unsigned)draw(kernel, cpu, CPUS - 1)) % CPUS;
	uint64_t address, value;

	ADD(kernel->looking[other]);
	address = GET(kernel->shown[other]);
	if (address != 0) {
		REQUIRE(kernel->world.machine,
			crowd_read_kernel(&kernel->world, cpu, address, &value));
		REQUIRE_EQUAL(kernel->world.machine, value, address);
		ADD(kernel->looks);
	}
	SUBTRACT(kernel->looking[other]);
}

/* Takes the word away again: waits until nobody looks, and takes the pages. */
static void hide(struct kernel *kernel, unsigned cpu)
{
	SET(kernel->shown[cpu], 0);
	while (GET(kernel->looking[cpu]) != 0)
		lh_port_pause(kernel->world.machine);
}

/* Pages of the region were read by several CPUs; after unmap none may reach them. */
static void use_region(struct kernel *kernel, unsigned cpu, lh_region *region)
{
	test_world *world = &kernel->world;
	lh_kernel_request request = { .placement = { .pages = 1 + draw(kernel, cpu, 20) },
				      .rights = READ_WRITE, .guard_after = 1 };
	uint64_t address, value;

	REQUIRE_EQUAL(world->machine, lh_manager_map(world->manager, region, &request), LH_OK);
	address = region->range.base.value + draw(kernel, cpu, region->range.pages) * PAGE;
	REQUIRE(world->machine, crowd_read_kernel(world, cpu, address, &value) && value == 0);
	REQUIRE(world->machine, crowd_write_kernel(world, cpu, address, address));
	SET(kernel->shown[cpu], address);
	for (unsigned n = 0; n < 8; n++) {
		look(kernel, cpu);
		lh_port_pause(world->machine);
	}
	hide(kernel, cpu);
	if (draw(kernel, cpu, 2) == 0) {
		REQUIRE_EQUAL(world->machine, lh_manager_protect(world->manager, region, READ), LH_OK);
		REQUIRE(world->machine, !crowd_write_kernel(world, cpu, address, 1));
		REQUIRE(world->machine, crowd_read_kernel(world, cpu, address, &value));
		REQUIRE_EQUAL(world->machine, value, address);
	}
	lh_manager_unmap(world->manager, region);
}

/* A place of this CPU's own, where pages come and go: nobody else may find an old one there. */
static void use_reservation(struct kernel *kernel, unsigned cpu, lh_region *region, uint64_t round)
{
	test_world *world = &kernel->world;
	lh_virtual_range range = { lh_virtual_range_page(region->range, draw(kernel, cpu, 8)),
				   1 + draw(kernel, cpu, 8) };
	uint64_t address = range.base.value, value;

	REQUIRE(world->machine, !crowd_read_kernel(world, cpu, address, &value));
	REQUIRE_EQUAL(world->machine,
		      lh_manager_commit(world->manager, region, range, READ_WRITE), LH_OK);
	REQUIRE(world->machine, crowd_read_kernel(world, cpu, address, &value) && value == 0);
	REQUIRE(world->machine, crowd_write_kernel(world, cpu, address, round));
	lh_manager_decommit(world->manager, region, range);
	REQUIRE(world->machine, !crowd_read_kernel(world, cpu, address, &value));
}

static void use_regions(void *context, unsigned cpu)
{
	struct kernel *kernel = context;
	test_world *world = &kernel->world;
	lh_kernel_request request = { .placement = { .pages = 16 } };
	lh_region region = { 0 }, reservation = { 0 };
	lh_region_info info;

	REQUIRE_EQUAL(world->machine, lh_manager_reserve(world->manager, &reservation, &request),
		      LH_OK);
	for (uint64_t round = 0; round < kernel->rounds; round++) {
		machine_step(world->machine, "kernel regions");
		use_region(kernel, cpu, &region);
		use_reservation(kernel, cpu, &reservation, round);
		REQUIRE_EQUAL(world->machine,
			      lh_manager_query(world->manager, reservation.range.base, &info), LH_OK);
		REQUIRE_EQUAL(world->machine, info.range.base.value, reservation.range.base.value);
	}
	lh_manager_unmap(world->manager, &reservation);
}

TEST(kernel_regions_from_all_cpus)
{
	struct kernel kernel = { .rounds = 200 };

	run(&kernel, 2048, use_regions);
	CHECK(kernel.looks > 100);
}

/* --- the heap --- */

struct block {
	lh_virtual_address address;
	uint64_t bytes;
};

static void free_block(struct kernel *kernel, unsigned cpu, struct block *block)
{
	test_world *world = &kernel->world;
	uint64_t last = block->address.value + block->bytes - 8, value;

	REQUIRE(world->machine, crowd_read_kernel(world, cpu, last, &value));
	REQUIRE_EQUAL(world->machine, value, last + cpu);
	REQUIRE(world->machine, crowd_read_kernel(world, cpu, block->address.value, &value));
	REQUIRE(world->machine, block->bytes < 16 || value == block->address.value);
	lh_heap_free(&kernel->heap, block->address, block->bytes);
	block->bytes = 0;
}

static void make_block(struct kernel *kernel, unsigned cpu, struct block *block)
{
	test_world *world = &kernel->world;

	block->bytes = 8 + 8 * draw(kernel, cpu, draw(kernel, cpu, 4) == 0 ? 2500 : 60);
	REQUIRE_EQUAL(world->machine,
		      lh_heap_allocate(&kernel->heap, block->bytes, 0, &block->address), LH_OK);
	REQUIRE(world->machine, crowd_write_kernel(world, cpu, block->address.value,
						   block->address.value));
	REQUIRE(world->machine,
		crowd_write_kernel(world, cpu, block->address.value + block->bytes - 8,
				   block->address.value + block->bytes - 8 + cpu));
}

static void use_heap(void *context, unsigned cpu)
{
	struct kernel *kernel = context;
	lh_port *machine = kernel->world.machine;
	lh_kernel_request request = { .placement = { .pages = 4096 } };
	struct block blocks[HELD] = { { { 0 }, 0 } };

	if (cpu == 0)
		REQUIRE_EQUAL(machine,
			      lh_heap_create(&kernel->heap, kernel->world.manager, &request,
					     kernel->heap_flags), LH_OK);
	machine_meet(machine);
	for (uint64_t round = 0; round < kernel->rounds; round++) {
		struct block *block = &blocks[draw(kernel, cpu, HELD)];

		machine_step(machine, "the heap");
		if (block->bytes != 0)
			free_block(kernel, cpu, block);
		else
			make_block(kernel, cpu, block);
		if (draw(kernel, cpu, 100) == 0)
			(void)lh_heap_trim(&kernel->heap);
	}
	for (unsigned n = 0; n < HELD; n++)
		if (blocks[n].bytes != 0)
			free_block(kernel, cpu, &blocks[n]);
	machine_meet(machine);
	if (cpu == 0) {
		lh_heap_counters counters;

		REQUIRE(machine, lh_heap_check(&kernel->heap) == NULL);
		lh_heap_read_counters(&kernel->heap, &counters);
		REQUIRE_EQUAL(machine, counters.items, 0);
		(void)lh_heap_trim(&kernel->heap);
		lh_heap_read_counters(&kernel->heap, &counters);
		REQUIRE_EQUAL(machine, counters.pages, 0);
		lh_heap_destroy(&kernel->heap);
	}
}

TEST(the_heap_from_all_cpus)
{
	struct kernel kernel = { .rounds = 1500 };

	run(&kernel, 4096, use_heap);
}

TEST(a_checked_heap_from_all_cpus)
{
	struct kernel kernel = { .rounds = 300, .heap_flags = LH_HEAP_CHECKED };

	run(&kernel, 4096, use_heap);
}
