/* SPDX-License-Identifier: BSD-2-Clause */
/* Several CPUs fault on the same pages at once. */
#include "threads/crowd.h"

#define PAGES 48
#define CPUS 4

struct race {
	test_world world;
	uint64_t rounds;
	uint64_t seen; /* by CPU 0: faults so far */
};

static uint64_t tag(uint64_t round, uint64_t page, unsigned cpu)
{
	return round << 32 | page << 8 | (cpu + 1);
}

/* Each CPU has one word in each page. Another's is zero, or what it writes in this round. */
static void touch_page(struct race *race, unsigned cpu, uint64_t round, uint64_t page)
{
	lh_port *machine = race->world.machine;
	uint64_t base = world_page(&race->world, page), value = 0;

	for (unsigned other = 0; cpu % 2 == 1 && other < CPUS; other++) {
		REQUIRE_EQUAL(machine, crowd_read(&race->world, cpu, base + other * 8, &value),
			      LH_FAULT_OK);
		REQUIRE(machine, value == 0 || value == tag(round, page, other));
	}
	REQUIRE_EQUAL(machine,
		      crowd_write(&race->world, cpu, base + cpu * 8, tag(round, page, cpu)),
		      LH_FAULT_OK);
	REQUIRE_EQUAL(machine, crowd_read(&race->world, cpu, base + cpu * 8, &value), LH_FAULT_OK);
	REQUIRE_EQUAL(machine, value, tag(round, page, cpu));
}

static void check_contents(struct race *race, unsigned cpu, uint64_t round)
{
	for (uint64_t page = 0; page < PAGES; page++) {
		for (unsigned other = 0; other < CPUS; other++) {
			uint64_t value, address = world_page(&race->world, page) + other * 8;

			REQUIRE_EQUAL(race->world.machine,
				      crowd_read(&race->world, cpu, address, &value), LH_FAULT_OK);
			REQUIRE_EQUAL(race->world.machine, value, tag(round, page, other));
		}
	}
}

/* While all count: what was counted once is so for ever. */
static void look_at_count(struct race *race)
{
	uint64_t seen = world_statistics(&race->world).faults;

	REQUIRE(race->world.machine, seen >= race->seen);
	race->seen = seen;
}

static void fault_in_rounds(void *context, unsigned cpu)
{
	struct race *race = context;
	lh_port *machine = race->world.machine;

	crowd_load(&race->world, cpu, 0);
	for (uint64_t round = 1; round <= race->rounds; round++) {
		for (uint64_t page = 0; page < PAGES; page++) {
			machine_step(machine, "touch");
			touch_page(race, cpu, round, page);
			if (cpu == 0)
				look_at_count(race);
		}
		machine_meet(machine);
		check_contents(race, cpu, round);
		machine_meet(machine);
		if (cpu == 0) {
			lh_frame_counters counters = world_frame_counters(&race->world);

			REQUIRE_EQUAL(machine, counters.used[LH_FRAME_ANONYMOUS], PAGES);
			REQUIRE_EQUAL(machine, world_counters(&race->world, 0).resident, PAGES);
			REQUIRE_EQUAL(machine,
				      lh_space_discard(race->world.space[0],
						       world_range(&race->world, 0, PAGES)),
				      LH_OK);
		}
		machine_meet(machine);
	}
}

TEST(faults_of_the_same_pages_at_once_give_one_frame_a_page)
{
	struct race race = { .rounds = 12 };
	crowd_before before;

	crowd_open(&race.world, 2048, CPUS);
	before = crowd_note(&race.world);
	world_make(&race.world, 0);
	world_map(&race.world, 0, 0, PAGES, READ_WRITE);
	crowd_run(&race.world, fault_in_rounds, &race);
	/* Counted twice, in parts that are not the same: none was lost. */
	CHECK_EQUAL(world_statistics(&race.world).faults, world_counters(&race.world, 0).faults);
	world_destroy(&race.world, 0);
	crowd_compare(&race.world, &before);
	world_close(&race.world);
}

/* --- as many frames as are promised, and not one more --- */

struct tight {
	test_world world;
	lh_frame_number taken[2048];
	uint64_t count;	   /* taken */
	uint64_t pages;
	uint64_t rounds;
	bool in_two_spaces; /* the odd CPUs run space 1 */
};

/* Takes every frame that is not promised to somebody else. */
static void take_the_rest(struct tight *tight)
{
	lh_frames *frames = tight->world.frames;
	lh_frame_counters counters = world_frame_counters(&tight->world);
	uint64_t rest = counters.free + counters.charged_in_use - counters.committed;

	CHECK_OK(lh_charge_take(frames, rest));
	tight->world.promised = rest;
	for (tight->count = 0; tight->count < rest; tight->count++)
		CHECK_OK(lh_frame_allocate(frames, LH_FRAME_KERNEL, LH_FRAME_CHARGED,
					   &tight->taken[tight->count]));
}

static void give_the_rest_back(struct tight *tight)
{
	lh_charge_give_back(tight->world.frames, tight->count);
	tight->world.promised = 0;
	for (uint64_t i = 0; i < tight->count; i++)
		lh_frame_drop(tight->world.frames, tight->taken[i]);
}

/* Page 0 keeps the tables; the others are written, and discarded, by all. */
static void write_and_discard(void *context, unsigned cpu)
{
	struct tight *tight = context;
	test_world *world = &tight->world;
	unsigned n = tight->in_two_spaces ? cpu % 2 : 0;

	crowd_load(world, cpu, (int)n);
	for (uint64_t round = 0; round < tight->rounds; round++) {
		for (uint64_t page = 1; page < tight->pages; page++) {
			machine_step(world->machine, "write");
			REQUIRE_EQUAL(world->machine,
				      crowd_write(world, cpu, world_page(world, page) + cpu * 8, round),
				      LH_FAULT_OK);
		}
		machine_step(world->machine, "discard");
		if (cpu == 0)
			REQUIRE_EQUAL(world->machine,
				      lh_space_discard(world->space[0],
						       world_range(world, 1, tight->pages - 1)),
				      LH_OK);
	}
}

TEST(a_promised_page_is_delivered_also_when_several_cpus_ask_for_it_at_once)
{
	struct tight tight = { .pages = 4, .rounds = 400 };

	crowd_open(&tight.world, 512, CPUS);
	world_make(&tight.world, 0);
	world_map(&tight.world, 0, 0, tight.pages, READ_WRITE);
	world_poke(&tight.world, 0, world_page(&tight.world, 0), 1);
	take_the_rest(&tight);
	crowd_run(&tight.world, write_and_discard, &tight);
	give_the_rest_back(&tight);
	world_close(&tight.world);
}

TEST(promised_copies_are_delivered_to_parent_and_child_at_once)
{
	struct tight tight = { .pages = 8, .rounds = 1, .in_two_spaces = true };

	crowd_open(&tight.world, 512, CPUS);
	for (unsigned run = 0; run < 25; run++) {
		world_make(&tight.world, 0);
		world_make(&tight.world, 1);
		world_map(&tight.world, 0, 0, tight.pages, READ_WRITE);
		for (uint64_t page = 0; page < tight.pages; page++)
			world_poke(&tight.world, 0, world_page(&tight.world, page), 1);
		CHECK_OK(lh_space_fork(tight.world.space[0], tight.world.space[1]));
		take_the_rest(&tight);
		crowd_run(&tight.world, write_and_discard, &tight);
		give_the_rest_back(&tight);
		world_destroy(&tight.world, 1);
		world_destroy(&tight.world, 0);
	}
	world_close(&tight.world);
}
