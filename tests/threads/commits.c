/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Faults of one space on four CPUs, against everything that takes something from it at the same
 * time: unmap, mapping over, protect, discard, fork, and truncation from the object's side; and against pages being
 * put together, which takes nothing.
 *
 * Each writer has a word of its own in each page and writes growing numbers. What it reads back at once
 * is what it wrote, unless CPU 0 took pages away in between: then it may also be what it was before, or
 * zero; never anything else. What a child sees lies between what was done before the fork and what was
 * begun after it, or is zero; and does not change.
 */
#include "threads/crowd.h"

#define CPUS 4
#define PAGES 8
#define SPREAD 130 /* so that the pages are in several tables */

struct commits {
	test_world world;
	uint64_t rounds;
	uint64_t takes;		     /* atomic: odd while pages may be taken away */
	uint64_t ended;		     /* atomic */
	uint64_t begun[CPUS][PAGES]; /* atomic */
	uint64_t done[CPUS][PAGES];  /* atomic */
	uint64_t random[CPUS];
	uint64_t collapsed;	     /* CPU 0's: times that pages were put together */
	lh_object *object;	     /* of the second test */
	uint64_t kept;		     /* its pages, between meetings */
};

#define GET(place) __atomic_load_n(&(place), __ATOMIC_SEQ_CST)
#define SET(place, value) __atomic_store_n(&(place), value, __ATOMIC_SEQ_CST)

static uint64_t word_of(struct commits *commits, uint64_t page, unsigned cpu)
{
	return world_page(&commits->world, page * SPREAD) + cpu * 8;
}

static lh_virtual_range all_pages(struct commits *commits)
{
	return world_range(&commits->world, 0, PAGES * SPREAD);
}

/* --- the writers --- */

static bool is_possible(struct commits *commits, unsigned cpu, uint64_t page, uint64_t value)
{
	return value == 0 || value <= GET(commits->begun[cpu][page]);
}

static void write_next(struct commits *commits, unsigned cpu)
{
	test_world *world = &commits->world;
	uint64_t page = crowd_random(&commits->random[cpu], PAGES), value = 0;
	uint64_t next = GET(commits->begun[cpu][page]) + 1, takes = GET(commits->takes);
	lh_fault written, read;

	machine_step(world->machine, "write");
	SET(commits->begun[cpu][page], next);
	written = crowd_write(world, cpu, word_of(commits, page, cpu), next);
	read = crowd_read(world, cpu, word_of(commits, page, cpu), &value);
	REQUIRE(world->machine, written != LH_FAULT_NO_MEMORY && read != LH_FAULT_NO_MEMORY);
	if (written == LH_FAULT_OK)
		SET(commits->done[cpu][page], next);
	if (read == LH_FAULT_OK && written == LH_FAULT_OK && takes % 2 == 0 &&
	    GET(commits->takes) == takes)
		REQUIRE_EQUAL(world->machine, value, next);
	if (read == LH_FAULT_OK)
		REQUIRE(world->machine, is_possible(commits, cpu, page, value));
}

/* --- CPU 0 --- */

static void map(struct commits *commits, lh_where where)
{
	test_world *world = &commits->world;
	lh_map_request request = { .where = where, .pages = PAGES * SPREAD, .rights = READ_WRITE,
				   .address = lh_virtual(world_page(world, 0)) };
	lh_virtual_range placed;

	REQUIRE_EQUAL(world->machine, lh_space_map(world->space[0], &request, &placed), LH_OK);
}

/* A part of the pages: one, some in one table, or all. */
static lh_virtual_range some_pages(struct commits *commits)
{
	uint64_t first = crowd_random(&commits->random[0], PAGES);

	switch (crowd_random(&commits->random[0], 3)) {
	case 0:
		return world_range(&commits->world, first * SPREAD, 1);
	case 1:
		return world_range(&commits->world, first * SPREAD, SPREAD);
	default:
		return all_pages(commits);
	}
}

static void take_pages(struct commits *commits, uint64_t how)
{
	lh_space *space = commits->world.space[0];
	lh_port *machine = commits->world.machine;
	lh_virtual_range range = some_pages(commits);

	SET(commits->takes, commits->takes + 1);
	if (how == 0) {
		REQUIRE_EQUAL(machine, lh_space_discard(space, range), LH_OK);
	} else if (how == 1) {
		REQUIRE_EQUAL(machine, lh_space_unmap(space, range), LH_OK);
		map(commits, LH_OVER);
	} else {
		map(commits, LH_OVER);
	}
	SET(commits->takes, commits->takes + 1);
}

/* While nothing may be written, nothing changes. */
static void take_rights(struct commits *commits)
{
	test_world *world = &commits->world;
	uint64_t page = crowd_random(&commits->random[0], PAGES), first = 0, again = 0;
	unsigned writer = 1 + (unsigned)crowd_random(&commits->random[0], CPUS - 1);
	uint64_t address = word_of(commits, page, writer);
	lh_space *space = world->space[0];

	SET(commits->takes, commits->takes + 1);
	REQUIRE_EQUAL(world->machine, lh_space_protect(space, all_pages(commits), READ), LH_OK);
	REQUIRE_EQUAL(world->machine, crowd_read(world, 0, address, &first), LH_FAULT_OK);
	lh_port_pause(world->machine);
	REQUIRE_EQUAL(world->machine, crowd_read(world, 0, address, &again), LH_FAULT_OK);
	REQUIRE_EQUAL(world->machine, again, first);
	REQUIRE_EQUAL(world->machine, crowd_write(world, 0, address, 1), LH_FAULT_NO_ACCESS);
	REQUIRE_EQUAL(world->machine, lh_space_protect(space, all_pages(commits), READ_WRITE), LH_OK);
	SET(commits->takes, commits->takes + 1);
}

static void read_child(struct commits *commits, uint64_t (*seen)[PAGES])
{
	for (unsigned cpu = 1; cpu < CPUS; cpu++)
		for (uint64_t page = 0; page < PAGES; page++)
			REQUIRE_EQUAL(commits->world.machine,
				      crowd_read(&commits->world, 0, word_of(commits, page, cpu),
						 &seen[cpu][page]),
				      LH_FAULT_OK);
}

static void fork_and_look(struct commits *commits)
{
	test_world *world = &commits->world;
	uint64_t high[CPUS][PAGES], seen[CPUS][PAGES], again[CPUS][PAGES];

	REQUIRE_EQUAL(world->machine, lh_space_fork(world->space[0], world->space[1]), LH_OK);
	for (unsigned cpu = 1; cpu < CPUS; cpu++)
		for (uint64_t page = 0; page < PAGES; page++)
			high[cpu][page] = GET(commits->begun[cpu][page]);
	crowd_load(world, 0, 1);
	read_child(commits, seen);
	for (uint64_t page = 0; page < PAGES; page += 2)
		REQUIRE_EQUAL(world->machine,
			      crowd_write(world, 0, word_of(commits, page, CPUS), page), LH_FAULT_OK);
	read_child(commits, again);
	for (unsigned cpu = 1; cpu < CPUS; cpu++) {
		for (uint64_t page = 0; page < PAGES; page++) {
			REQUIRE(world->machine, seen[cpu][page] <= high[cpu][page]);
			REQUIRE_EQUAL(world->machine, again[cpu][page], seen[cpu][page]);
		}
	}
	crowd_load(world, 0, 0);
	REQUIRE_EQUAL(world->machine, lh_space_unmap(world->space[1], all_pages(commits)), LH_OK);
}

/* Nothing is taken: what was written is read back meanwhile. */
static void put_together(struct commits *commits)
{
	lh_space *space = commits->world.space[0];
	lh_error error = lh_space_collapse(space, all_pages(commits));

	REQUIRE(commits->world.machine, error == LH_OK || error == LH_AGAIN || error == LH_INVALID);
	commits->collapsed += error == LH_OK;
}

static void take_something(struct commits *commits)
{
	uint64_t what = crowd_random(&commits->random[0], 8);

	machine_step(commits->world.machine, "take away");
	if (what < 3)
		take_pages(commits, what);
	else if (what == 3)
		take_rights(commits);
	else if (what >= 6)
		put_together(commits);
	else
		fork_and_look(commits);
}

static void work(void *context, unsigned cpu)
{
	struct commits *commits = context;

	crowd_load(&commits->world, cpu, 0);
	if (cpu == 0) {
		for (uint64_t round = 0; round < commits->rounds; round++)
			take_something(commits);
		SET(commits->ended, 1);
		return;
	}
	while (GET(commits->ended) == 0)
		write_next(commits, cpu);
}

static crowd_before begin(struct commits *commits, uint64_t rounds)
{
	crowd_before before;

	*commits = (struct commits){ .rounds = rounds };
	crowd_open(&commits->world, 4096, CPUS);
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		commits->random[cpu] = test_random();
	before = crowd_note(&commits->world);
	for (unsigned n = 0; n < 2; n++)
		world_make(&commits->world, n);
	return before;
}

static void end(struct commits *commits, const crowd_before *before)
{
	for (unsigned n = 0; n < 2; n++)
		world_destroy(&commits->world, n);
	crowd_compare(&commits->world, before);
	world_close(&commits->world);
}

TEST(faults_on_all_cpus_keep_what_they_wrote_whatever_is_taken)
{
	static struct commits commits;
	crowd_before before = begin(&commits, 400);

	world_map(&commits.world, 0, 0, PAGES * SPREAD, READ_WRITE);
	crowd_run(&commits.world, work, &commits);
	CHECK(commits.collapsed != 0);
	end(&commits, &before);
}

/* --- fork against truncation --- */

/* Private copies of the object's pages, and a page that is not the object's in the same table. */
static void write_copies(struct commits *commits, unsigned cpu)
{
	for (uint64_t page = 0; page <= PAGES; page++)
		(void)crowd_write(&commits->world, cpu, world_page(&commits->world, page) + cpu * 8, cpu);
}

/* Past the object's end nothing is left in the child; behind the mapping all is. */
static void look_past_end(struct commits *commits)
{
	test_world *world = &commits->world;
	uint64_t value = 0;

	crowd_load(world, 0, 1);
	for (uint64_t page = 0; page < PAGES; page++)
		REQUIRE_EQUAL(world->machine, crowd_read(world, 0, world_page(world, page), &value),
			      page < commits->kept ? LH_FAULT_OK : LH_FAULT_BUS);
	REQUIRE_EQUAL(world->machine, crowd_read(world, 0, world_page(world, PAGES) + 8, &value),
		      LH_FAULT_OK);
	REQUIRE_EQUAL(world->machine, value, 1);
	crowd_load(world, 0, 0);
	REQUIRE_EQUAL(world->machine,
		      lh_space_unmap(world->space[1], world_range(world, 0, PAGES + 1)), LH_OK);
}

static void fork_or_truncate(void *context, unsigned cpu)
{
	struct commits *commits = context;
	test_world *world = &commits->world;

	crowd_load(world, cpu, 0);
	for (uint64_t round = 0; round < commits->rounds; round++) {
		write_copies(commits, cpu);
		machine_meet(world->machine);
		if (cpu == 0) {
			REQUIRE_EQUAL(world->machine,
				      lh_space_fork(world->space[0], world->space[1]), LH_OK);
		} else if (cpu == 1) {
			commits->kept = crowd_random(&commits->random[1], PAGES);
			REQUIRE_EQUAL(world->machine,
				      lh_object_resize(commits->object, commits->kept * PAGE), LH_OK);
		} else {
			write_copies(commits, cpu);
		}
		machine_meet(world->machine);
		if (cpu == 0) {
			look_past_end(commits);
			REQUIRE_EQUAL(world->machine,
				      lh_object_resize(commits->object, PAGES * PAGE), LH_OK);
		}
		machine_meet(world->machine);
	}
}

TEST(a_child_has_no_page_that_was_truncated_while_it_was_forked)
{
	static struct commits commits;
	crowd_before before = begin(&commits, 150);

	commits.object = world_object(&commits.world, PAGES * PAGE, false);
	world_map_object(&commits.world, 0, 0, PAGES, READ_WRITE, 0, commits.object, 0);
	world_map(&commits.world, 0, PAGES, 1, READ_WRITE);
	crowd_run(&commits.world, fork_or_truncate, &commits);
	lh_object_drop(commits.object);
	end(&commits, &before);
}
