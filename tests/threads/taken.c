/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What was taken away is gone, for every CPU, when the call that took it returns: CPU 0 takes,
 * looks, waits a little and looks again, while the others fault on the same few pages without
 * pause. A fault that was planned before the taking and commits after it would be seen.
 */
#include "threads/crowd.h"

#define CPUS 4
#define PAGES 6

struct taken {
	test_world world;
	lh_object *object;
	void (*take)(struct taken *taken, uint64_t round);
	uint64_t rounds;
	bool in_two_spaces; /* the odd CPUs run space 1 */
	uint64_t taking;    /* atomic */
	uint64_t random[CPUS];
};

#define GET(place) __atomic_load_n(&(place), __ATOMIC_SEQ_CST)

/* Writes where it can; how it ends is CPU 0's to say. */
static void write_always(struct taken *taken, unsigned cpu)
{
	test_world *world = &taken->world;

	for (uint64_t n = 1; GET(taken->taking) != 0; n++) {
		uint64_t page = crowd_random(&taken->random[cpu], PAGES);
		lh_fault outcome;

		machine_step(world->machine, "write");
		outcome = crowd_write(world, cpu, world_page(world, page), n << 8 | cpu);
		REQUIRE(world->machine, outcome != LH_FAULT_NO_MEMORY);
	}
}

static void work(void *context, unsigned cpu)
{
	struct taken *taken = context;

	crowd_load(&taken->world, cpu, taken->in_two_spaces ? (int)cpu % 2 : 0);
	if (cpu != 0) {
		write_always(taken, cpu);
		return;
	}
	for (uint64_t round = 0; round < taken->rounds; round++) {
		machine_step(taken->world.machine, "take away");
		taken->take(taken, round);
	}
	__atomic_store_n(&taken->taking, 0, __ATOMIC_SEQ_CST);
}

static void wait_a_little(struct taken *taken)
{
	for (unsigned n = 0; n < 3; n++)
		lh_port_pause(taken->world.machine);
}

/* The pages of space 0 are read-only now: nobody can change them, and we cannot either. */
static void check_nothing_changes(struct taken *taken, bool zero)
{
	test_world *world = &taken->world;
	uint64_t first[PAGES], again;

	for (uint64_t page = 0; page < PAGES; page++) {
		REQUIRE_EQUAL(world->machine,
			      crowd_read(world, 0, world_page(world, page), &first[page]),
			      LH_FAULT_OK);
		REQUIRE(world->machine, !zero || first[page] == 0);
	}
	wait_a_little(taken);
	for (uint64_t page = 0; page < PAGES; page++) {
		REQUIRE_EQUAL(world->machine,
			      crowd_read(world, 0, world_page(world, page), &again), LH_FAULT_OK);
		REQUIRE_EQUAL(world->machine, again, first[page]);
		REQUIRE_EQUAL(world->machine, crowd_write(world, 0, world_page(world, page), 1),
			      LH_FAULT_NO_ACCESS);
	}
}

static void map(struct taken *taken, lh_where where, lh_rights rights)
{
	test_world *world = &taken->world;
	lh_map_request request = { .where = where, .pages = PAGES, .rights = rights,
				   .address = lh_virtual(world_page(world, 0)) };
	lh_virtual_range placed;

	REQUIRE_EQUAL(world->machine, lh_space_map(world->space[0], &request, &placed), LH_OK);
}

/* In turn by protect, by unmap and map, and by mapping over. */
static void take_rights(struct taken *taken, uint64_t round)
{
	lh_space *space = taken->world.space[0];
	lh_port *machine = taken->world.machine;
	lh_virtual_range range = world_range(&taken->world, 0, PAGES);

	if (round % 2 == 0)
		REQUIRE_EQUAL(machine, lh_space_discard(space, range), LH_OK);
	if (round % 3 == 0) {
		REQUIRE_EQUAL(machine, lh_space_protect(space, range, READ), LH_OK);
	} else if (round % 3 == 1) {
		REQUIRE_EQUAL(machine, lh_space_unmap(space, range), LH_OK);
		map(taken, LH_AT, READ);
	} else {
		map(taken, LH_OVER, READ);
	}
	check_nothing_changes(taken, round % 3 != 0);
	REQUIRE_EQUAL(machine, lh_space_protect(space, range, READ_WRITE), LH_OK);
	wait_a_little(taken);
}

static crowd_before begin(struct taken *taken, uint64_t size)
{
	crowd_before before;

	crowd_open(&taken->world, 2048, CPUS);
	before = crowd_note(&taken->world);
	taken->object = world_object(&taken->world, size, false);
	taken->taking = 1;
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		taken->random[cpu] = test_random();
	for (unsigned n = 0; n < 2; n++)
		world_make(&taken->world, n);
	return before;
}

static void end(struct taken *taken, const crowd_before *before)
{
	for (unsigned n = 0; n < 2; n++)
		world_destroy(&taken->world, n);
	lh_object_drop(taken->object);
	crowd_compare(&taken->world, before);
	world_close(&taken->world);
}

TEST(rights_that_were_taken_stay_taken)
{
	struct taken taken = { .take = take_rights, .rounds = 1500 };
	crowd_before before = begin(&taken, 0);

	for (unsigned n = 0; n < 2; n++)
		world_map(&taken.world, n, 0, PAGES, READ_WRITE);
	crowd_run(&taken.world, work, &taken);
	end(&taken, &before);
}

/* After a shrink every page past the end is gone, and after a growth it is zero. */
static void take_pages(struct taken *taken, uint64_t round)
{
	test_world *world = &taken->world;
	uint64_t kept = crowd_random(&taken->random[0], 3), value;

	REQUIRE_EQUAL(world->machine, lh_object_resize(taken->object, kept * PAGE), LH_OK);
	for (unsigned look = 0; look < 2; look++) {
		for (uint64_t page = kept; page < PAGES; page++)
			REQUIRE_EQUAL(world->machine,
				      crowd_read(world, 0, world_page(world, page), &value),
				      LH_FAULT_BUS);
		wait_a_little(taken);
	}
	REQUIRE(world->machine, lh_object_pages(taken->object) <= kept);
	REQUIRE_EQUAL(world->machine, lh_object_resize(taken->object, PAGES * PAGE), LH_OK);
	if (round % 2 == 0)
		wait_a_little(taken);
}

/* Shared in both spaces, or private in both: then nobody writes to the object's own pages. */
static void share_and_truncate(uint32_t flags)
{
	struct taken taken = { .take = take_pages, .rounds = 1500,
			       .in_two_spaces = flags == LH_REGION_SHARED };
	crowd_before before = begin(&taken, PAGES * PAGE);

	for (unsigned n = 0; n < 2; n++)
		world_map_object(&taken.world, n, 0, PAGES, READ_WRITE, flags, taken.object, 0);
	crowd_run(&taken.world, work, &taken);
	end(&taken, &before);
}

TEST(shared_pages_past_the_end_are_gone_when_the_resize_returns)
{
	share_and_truncate(LH_REGION_SHARED);
}

TEST(private_copies_past_the_end_are_gone_when_the_resize_returns)
{
	share_and_truncate(0);
}
