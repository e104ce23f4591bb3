/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An object that two spaces map, shared and private, while its size changes.
 *
 * Each word that is written names its page, so a page of another place or another object would
 * be seen. Two spaces that show the same page see the same words: whoever wrote a word reads it
 * back, or finds the page gone, or zero after it was gone.
 */
#include "threads/crowd.h"

#define CPUS 4
#define SHARED 24  /* object pages that are only mapped shared */
#define PRIVATE 16 /* and after them some that are only mapped privately */
#define PAGES (SHARED + PRIVATE)

struct sharing {
	test_world world;
	lh_object *object;
	uint64_t rounds;
	uint64_t random[CPUS];
	uint64_t changing; /* atomic: the CPU that changes sizes is at work */
	uint64_t gone;	   /* accesses past the end, atomic */
};

#define GET(place) __atomic_load_n(&(place), __ATOMIC_SEQ_CST)

static uint64_t tag(uint64_t page, unsigned cpu, uint64_t n)
{
	return n << 16 | page << 8 | (cpu + 1);
}

/* => what a word of the page may hold: nothing, or what some CPU wrote there. */
static bool is_of_page(uint64_t value, uint64_t page, unsigned cpu)
{
	return value == 0 || ((value >> 8 & 0xff) == page && (value & 0xff) == cpu + 1);
}

/* An access may find the page gone; anything else is wrong. => true: it was there. */
static bool was_there(struct sharing *sharing, lh_fault outcome)
{
	REQUIRE(sharing->world.machine, outcome == LH_FAULT_OK || outcome == LH_FAULT_BUS);
	if (outcome == LH_FAULT_BUS)
		__atomic_add_fetch(&sharing->gone, 1, __ATOMIC_RELAXED);
	return outcome == LH_FAULT_OK;
}

static void use_page(struct sharing *sharing, unsigned cpu, uint64_t n)
{
	test_world *world = &sharing->world;
	uint64_t page = crowd_random(&sharing->random[cpu], PAGES), value = 0;
	uint64_t base = world_page(world, page), written = tag(page, cpu, n);
	unsigned other = (unsigned)crowd_random(&sharing->random[cpu], CPUS);

	machine_step(world->machine, "use an object's page");
	if (was_there(sharing, crowd_read(world, cpu, base + other * 8, &value)))
		REQUIRE(world->machine, is_of_page(value, page, other));
	if (!was_there(sharing, crowd_write(world, cpu, base + cpu * 8, written)))
		return;
	if (was_there(sharing, crowd_read(world, cpu, base + cpu * 8, &value)))
		REQUIRE(world->machine, value == written || value == 0);
}

/* The regions of space n go and come again, in pieces and, those with a tag of their own, whole; only
 * CPU 2 does it, to space 1. */
static void remap(struct sharing *sharing)
{
	test_world *world = &sharing->world;
	uint64_t any = crowd_random(&sharing->random[2], SHARED - 4);
	uint64_t first = crowd_random(&sharing->random[2], 4) ? any & ~UINT64_C(3) : any;
	lh_map_request request = { .where = LH_OVER, .pages = 4, .rights = READ_WRITE,
				   .flags = LH_REGION_SHARED, .object = sharing->object,
				   .address = lh_virtual(world_page(world, first)),
				   .object_page = first,
				   .tag = crowd_random(&sharing->random[2], 3) };
	lh_virtual_range placed;

	machine_step(world->machine, "map an object again");
	REQUIRE_EQUAL(world->machine, lh_space_map(world->space[1], &request, &placed), LH_OK);
}

static void change_size(struct sharing *sharing)
{
	test_world *world = &sharing->world;
	uint64_t pages = crowd_random(&sharing->random[0], PAGES + 1), value;
	lh_fault outcome;

	machine_step(world->machine, "resize");
	REQUIRE_EQUAL(world->machine, lh_object_resize(sharing->object, pages * PAGE), LH_OK);
	/* Nobody else changes the size: past the end there is nothing, before it there is. */
	for (uint64_t page = 0; page < PAGES; page++) {
		machine_step(world->machine, "look after a resize");
		outcome = crowd_read(world, 0, world_page(world, page), &value);
		REQUIRE_EQUAL(world->machine, outcome, page < pages ? LH_FAULT_OK : LH_FAULT_BUS);
		if (page < pages)
			REQUIRE(world->machine, is_of_page(value, page, 0));
	}
	REQUIRE(world->machine, lh_object_pages(sharing->object) <= pages);
}

static void work(void *context, unsigned cpu)
{
	struct sharing *sharing = context;

	crowd_load(&sharing->world, cpu, (int)cpu / 2);
	if (cpu == 0) {
		for (uint64_t round = 0; round < sharing->rounds; round++) {
			change_size(sharing);
			use_page(sharing, cpu, round);
		}
		__atomic_store_n(&sharing->changing, 0, __ATOMIC_SEQ_CST);
		return;
	}
	for (uint64_t n = 1; GET(sharing->changing) != 0; n++) {
		use_page(sharing, cpu, n);
		if (cpu == 2 && n % 16 == 0)
			remap(sharing);
		if (cpu == 3 && n % 16 == 0)
			(void)machine_speculate(sharing->world.machine, cpu,
						lh_virtual(world_page(&sharing->world, 0)), PAGES);
	}
}

static void share(bool committed)
{
	struct sharing sharing = { .rounds = 120, .changing = 1 };
	crowd_before before;

	crowd_open(&sharing.world, 4096, CPUS);
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		sharing.random[cpu] = test_random();
	before = crowd_note(&sharing.world);
	sharing.object = world_object(&sharing.world, PAGES * PAGE, committed);
	for (unsigned n = 0; n < 2; n++) {
		world_make(&sharing.world, n);
		world_map_object(&sharing.world, n, 0, SHARED, READ_WRITE, LH_REGION_SHARED,
				 sharing.object, 0);
		world_map_object(&sharing.world, n, SHARED, PRIVATE, READ_WRITE, 0, sharing.object,
				 SHARED);
	}
	crowd_run(&sharing.world, work, &sharing);
	CHECK_SOUND(lh_object_check(sharing.object));
	CHECK(sharing.gone != 0);
	for (unsigned n = 0; n < 2; n++)
		world_destroy(&sharing.world, n);
	lh_object_drop(sharing.object);
	crowd_compare(&sharing.world, &before);
	world_close(&sharing.world);
}

TEST(an_object_of_two_spaces_changes_its_size_under_faults)
{
	share(false);
}

TEST(a_committed_object_of_two_spaces_changes_its_size_under_faults)
{
	share(true);
}
