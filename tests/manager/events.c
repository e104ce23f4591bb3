/* SPDX-License-Identifier: BSD-2-Clause */
/* What is counted in parts, one a CPU: the sums are right whichever CPU counted. */
#include "object/events.h"
#include "world/world.h"

#define CPUS 3

TEST(what_one_cpu_made_another_ends_and_the_sums_are_right)
{
	test_world world;
	lh_object_setup setup = { .kind = LH_OBJECT_ANONYMOUS, .size = PAGE };
	lh_object *objects[2];
	lh_statistics before, after;

	world_open(&world, &(world_setup){ .cpus = CPUS });
	before = world_statistics(&world);
	for (unsigned i = 0; i < 2; i++) {
		machine_run_on(world.machine, i);
		CHECK_OK(lh_object_create(world.manager, &setup, &objects[i]));
	}
	CHECK_EQUAL(world_statistics(&world).objects, before.objects + 2);
	machine_run_on(world.machine, 2);
	world_make(&world, 0);
	for (unsigned i = 0; i < 2; i++)
		lh_object_drop(objects[i]);
	machine_run_on(world.machine, 1);
	CHECK_EQUAL(world_statistics(&world).spaces, before.spaces + 1);
	world_destroy(&world, 0);
	machine_run_on(world.machine, 0);
	after = world_statistics(&world);
	CHECK_EQUAL(after.objects, before.objects);
	CHECK_EQUAL(after.spaces, before.spaces);
	CHECK_EQUAL((int64_t)world.manager->events[2].of[LH_EVENT_OBJECTS], -2);
	/* So a sum that is taken while parts change may be too low, but is never below nothing. */
	world.manager->events[0].of[LH_EVENT_OBJECTS] -= 1;
	CHECK_EQUAL(lh_event_sum(world.manager, LH_EVENT_OBJECTS), before.objects == 0 ? 0 : before.objects - 1);
	world.manager->events[0].of[LH_EVENT_OBJECTS] += 1;
	world_check(&world);
	world_close(&world);
}

TEST(each_cpu_counts_on_whole_cache_lines_of_its_own)
{
	test_world world;
	const unsigned char *events;

	world_open(&world, &(world_setup){ .cpus = CPUS });
	events = (const unsigned char *)world.manager->events;
	CHECK_EQUAL((uintptr_t)events % 64, 0);
	CHECK_EQUAL(sizeof(lh_event_counts) % 64, 0);
	CHECK(events + LH_MAX_CPUS * sizeof(lh_event_counts) <=
	      (const unsigned char *)world.manager + lh_manager_size());
	world_close(&world);
}

/* By the space's counter and by the machine's, pins and refusals too. */
TEST(a_fault_is_one_case)
{
	test_world world;
	lh_statistics statistics;
	lh_frame_number frame;
	lh_pinned pinned;

	world_open(&world, &(world_setup){ .cpus = CPUS });
	world_make(&world, 0);
	world_map(&world, 0, 10, 4, READ_WRITE);
	for (unsigned cpu = 0; cpu < CPUS; cpu++) {
		machine_run_on(world.machine, cpu);
		CHECK_EQUAL(lh_space_fault(world.space[0], lh_virtual(world_page(&world, 10 + cpu)), LH_RIGHT_READ),
			    LH_FAULT_OK);
		CHECK_EQUAL(lh_space_fault(world.space[0], lh_virtual(world_page(&world, 10 + cpu)), LH_RIGHT_WRITE),
			    LH_FAULT_OK);
		CHECK_EQUAL(lh_space_fault(world.space[0], lh_virtual(world_page(&world, 20)), LH_RIGHT_READ),
			    LH_FAULT_NOT_MAPPED);
	}
	machine_run_on(world.machine, 0);
	CHECK_OK(lh_space_pin(world.space[0], world_range(&world, 13, 1), LH_RIGHT_WRITE, LH_PIN_SHORT, &frame,
			      &pinned));
	lh_space_unpin(&pinned);
	statistics = world_statistics(&world);
	CHECK_EQUAL(statistics.faults_zero, CPUS);
	CHECK_EQUAL(statistics.faults_fresh, CPUS + 1);
	CHECK_EQUAL(statistics.faults_refused, CPUS);
	CHECK_EQUAL(statistics.faults, 3 * CPUS + 1);
	CHECK_EQUAL(world_counters(&world, 0).faults, 3 * CPUS + 1);
	world_check(&world);
	world_close(&world);
}
