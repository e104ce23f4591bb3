/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fork while other CPUs fault and write in the parent.
 *
 * Each writer has a word of its own in each page, and writes growing numbers there: it says
 * which one it is about to write (`begun`), writes, and says that it is done (`done`). What the
 * child then sees in a word must lie between what was done before the fork began and what had
 * been begun when it returned; and must never change, whatever the parent's writers do.
 *
 * CPU 2 pins some of the parent's pages for a while: what it writes there by its tables it must read in the
 * pinned frames. Or nobody pins, and the region has a whole piece: then its table is shared (paging/shared.h).
 */
#include "threads/crowd.h"

#define CPUS 4
#define PAGES 24
#define CHILDREN 2
#define PINNED 3
#define PIECE 24 /* the first page of one, of 512 */

struct forks {
	test_world world;
	uint64_t rounds;
	uint64_t base, pages; /* of the region */
	bool pins_pages;
	uint64_t begun[CPUS][PAGES]; /* atomic */
	uint64_t done[CPUS][PAGES];
	uint64_t forkers;	     /* atomic: forking CPUs that have not ended */
	uint64_t random[CPUS];
	uint64_t children;	     /* looked at, atomic */
	lh_pinned pinned;	     /* CPU 2's own */
	lh_frame_number frames[PINNED];
	uint64_t first;		     /* page that is pinned */
	uint64_t pins;
};

#define GET(place) __atomic_load_n(&(place), __ATOMIC_SEQ_CST)
#define SET(place, value) __atomic_store_n(&(place), value, __ATOMIC_SEQ_CST)

static uint64_t word_of(struct forks *forks, uint64_t page, unsigned cpu)
{
	return world_page(&forks->world, forks->base + page) + cpu * 8;
}

/* The parent's words, each CPU's own, must hold what it wrote last. */
static void write_next(struct forks *forks, unsigned cpu)
{
	lh_port *machine = forks->world.machine;
	uint64_t page = crowd_random(&forks->random[cpu], PAGES), value = 0;
	uint64_t last = GET(forks->done[cpu][page]);

	machine_step(machine, "write in the parent");
	REQUIRE_EQUAL(machine, crowd_read(&forks->world, cpu, word_of(forks, page, cpu), &value),
		      LH_FAULT_OK);
	REQUIRE_EQUAL(machine, value, last);
	SET(forks->begun[cpu][page], last + 1);
	REQUIRE_EQUAL(machine, crowd_write(&forks->world, cpu, word_of(forks, page, cpu), last + 1),
		      LH_FAULT_OK);
	SET(forks->done[cpu][page], last + 1);
}

static void note(uint64_t (*from)[PAGES], uint64_t (*to)[PAGES])
{
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		for (uint64_t page = 0; page < PAGES; page++)
			to[cpu][page] = GET(from[cpu][page]);
}

/* Reads every word of the child; writes some of its own, which the parent must not see. */
static void look_at_child(struct forks *forks, unsigned cpu, uint64_t (*seen)[PAGES])
{
	lh_port *machine = forks->world.machine;

	for (unsigned writer = 0; writer < CPUS; writer++) {
		for (uint64_t page = 0; page < PAGES; page++) {
			machine_step(machine, "look at the child");
			REQUIRE_EQUAL(machine,
				      crowd_read(&forks->world, cpu, word_of(forks, page, writer),
						 &seen[writer][page]),
				      LH_FAULT_OK);
		}
	}
}

static void write_in_child(struct forks *forks, unsigned cpu)
{
	for (uint64_t page = 0; page < PAGES; page += 2)
		REQUIRE_EQUAL(forks->world.machine,
			      crowd_write(&forks->world, cpu, word_of(forks, page, CPUS), ~page),
			      LH_FAULT_OK);
}

static void check_bounds(struct forks *forks, uint64_t (*low)[PAGES], uint64_t (*high)[PAGES],
			 uint64_t (*seen)[PAGES])
{
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		for (uint64_t page = 0; page < PAGES; page++)
			REQUIRE(forks->world.machine, seen[cpu][page] >= low[cpu][page] &&
							      seen[cpu][page] <= high[cpu][page]);
}

/* One child's life, in space n, which only this CPU uses. */
static void fork_once(struct forks *forks, unsigned cpu, unsigned n)
{
	test_world *world = &forks->world;
	uint64_t low[CPUS][PAGES], high[CPUS][PAGES], seen[CPUS][PAGES], again[CPUS][PAGES];

	machine_step(world->machine, "fork");
	note(forks->done, low);
	REQUIRE_EQUAL(world->machine, lh_space_fork(world->space[0], world->space[n]), LH_OK);
	note(forks->begun, high);
	crowd_load(world, cpu, (int)n);
	look_at_child(forks, cpu, seen);
	check_bounds(forks, low, high, seen);
	write_in_child(forks, cpu);
	look_at_child(forks, cpu, again);
	check_bounds(forks, seen, seen, again);
	crowd_load(world, cpu, 0);
	__atomic_add_fetch(&forks->children, 1, __ATOMIC_SEQ_CST);
}

/* Every third child is emptied by unmapping and used again as it is; the others end. */
static void renew(struct forks *forks, unsigned n, uint64_t round)
{
	test_world *world = &forks->world;

	if (round % 3 == 0) {
		REQUIRE_EQUAL(world->machine,
			      lh_space_unmap(world->space[n], world_range(world, forks->base, forks->pages)),
			      LH_OK);
		return;
	}
	lh_space_destroy(world->space[n]);
	REQUIRE_EQUAL(world->machine,
		      lh_space_create(world->manager, NULL, world->space[n], &world->space[n]), LH_OK);
}

static void look_at_pinned(struct forks *forks, unsigned cpu)
{
	for (uint64_t n = 0; n < forks->pinned.pages; n++) {
		const uint64_t *words = lh_frame_pointer(forks->world.frames, forks->frames[n]);

		REQUIRE_EQUAL(forks->world.machine, words[cpu], GET(forks->done[cpu][forks->first + n]));
	}
}

/* Pins, or looks, or lets go. */
static void use_pins(struct forks *forks, unsigned cpu)
{
	test_world *world = &forks->world;

	look_at_pinned(forks, cpu);
	if (crowd_random(&forks->random[cpu], 8) != 0)
		return;
	lh_space_unpin(&forks->pinned);
	forks->first = crowd_random(&forks->random[cpu], PAGES - PINNED + 1);
	REQUIRE_EQUAL(world->machine,
		      lh_space_pin(world->space[0], world_range(world, forks->base + forks->first, PINNED), WRITE,
				   LH_PIN_LONG, forks->frames, &forks->pinned), LH_OK);
	forks->pins++;
}

static void work(void *context, unsigned cpu)
{
	struct forks *forks = context;
	test_world *world = &forks->world;

	crowd_load(world, cpu, 0);
	if (cpu < CHILDREN) {
		for (uint64_t round = 0; round < forks->rounds; round++) {
			fork_once(forks, cpu, cpu + 1);
			renew(forks, cpu + 1, round);
			write_next(forks, cpu);
		}
		__atomic_sub_fetch(&forks->forkers, 1, __ATOMIC_SEQ_CST);
		return;
	}
	while (GET(forks->forkers) != 0) {
		write_next(forks, cpu);
		if (cpu == 2 && forks->pins_pages)
			use_pins(forks, cpu);
		/* A page that the fork leaves alone, and that comes and goes meanwhile. */
		if (cpu == 3 && crowd_random(&forks->random[cpu], 16) == 0)
			REQUIRE_EQUAL(world->machine,
				      lh_space_discard(world->space[0],
						       world_range(world, forks->base + PAGES, 8)), LH_OK);
		if (cpu == 3)
			REQUIRE_EQUAL(world->machine,
				      crowd_write(world, cpu,
						  world_page(world, forks->base + PAGES +
							crowd_random(&forks->random[cpu], 8)), 1),
				      LH_FAULT_OK);
	}
	if (cpu == 2)
		lh_space_unpin(&forks->pinned);
}

static void run(uint64_t base, uint64_t pages, bool pins_pages)
{
	static struct forks forks;
	crowd_before before;

	forks = (struct forks){ .rounds = 60, .base = base, .pages = pages, .pins_pages = pins_pages,
				.forkers = CHILDREN };
	crowd_open(&forks.world, 4096, CPUS);
	forks.pinned.manager = forks.world.manager;
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		forks.random[cpu] = test_random();
	before = crowd_note(&forks.world);
	for (unsigned n = 0; n <= CHILDREN; n++)
		world_make(&forks.world, n);
	world_map(&forks.world, 0, base, pages, READ_WRITE);
	crowd_run(&forks.world, work, &forks);
	CHECK_EQUAL(forks.children, 60 * CHILDREN);
	CHECK((forks.pins != 0) == pins_pages);
	CHECK((world_statistics(&forks.world).faults_opened != 0) != pins_pages);
	for (unsigned n = 0; n <= CHILDREN; n++)
		world_destroy(&forks.world, n);
	crowd_compare(&forks.world, &before);
	world_close(&forks.world);
}

TEST(a_child_sees_each_page_as_it_was_during_the_fork_and_never_later)
{
	run(0, PAGES + 8, true);
}

TEST(a_child_that_shares_a_table_does_so_too)
{
	run(PIECE, 512, false);
}
