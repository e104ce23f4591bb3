/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A file that two spaces map is written back while all write to it.
 *
 * Each CPU has a word of its own in each page, and writes growing numbers there. What CPU 0 wrote
 * before it calls sync is in the file after. Who writes to a page while the pager stores it makes
 * it dirty again: so when all have ended, one sync more puts everything that was written last into
 * the file.
 */
#include "threads/crowd.h"

#define CPUS 4
#define PAGES 12

struct filing {
	test_world world;
	lh_object *object;
	uint64_t file[PAGES][CPUS]; /* plain: the page's state in the object orders it */
	uint64_t last[CPUS][PAGES]; /* that each CPU wrote */
	uint64_t rounds;
	uint64_t syncing; /* atomic */
	uint64_t reads, writes;
	uint64_t random[CPUS];
};

#define GET(place) __atomic_load_n(&(place), __ATOMIC_SEQ_CST)
#define ADD(place) __atomic_add_fetch(&(place), 1, __ATOMIC_RELAXED)

static void read_page(void *file, lh_object *object, uint64_t page, lh_frame_number frame)
{
	struct filing *filing = file;
	uint64_t *words = lh_frame_pointer(filing->world.frames, frame);

	for (uint64_t n = 0; n < PAGE / 8; n++)
		words[n] = n < CPUS ? filing->file[page][n] : page;
	lh_port_pause(filing->world.machine);
	ADD(filing->reads);
	lh_object_page_read(object, page, LH_OK);
}

static void write_page(void *file, lh_object *object, uint64_t page, lh_frame_number frame)
{
	struct filing *filing = file;
	lh_port *machine = filing->world.machine;
	const uint64_t *words = lh_frame_pointer(filing->world.frames, frame);

	/* Others may write meanwhile. */
	for (unsigned cpu = 0; cpu < CPUS; cpu++) {
		filing->file[page][cpu] = __atomic_load_n(&words[cpu], __ATOMIC_RELAXED);
		if (machine->threads)
			lh_port_pause(machine);
	}
	ADD(filing->writes);
	lh_object_page_written(object, page, LH_OK);
}

static void release(void *file)
{
	(void)file;
}

/* Own words are where they were put; others' only grow. */
static void use_page(struct filing *filing, unsigned cpu, uint64_t page, uint64_t *last, uint64_t *seen)
{
	test_world *world = &filing->world;
	uint64_t base = world_page(world, page), value;
	unsigned other = (unsigned)crowd_random(&filing->random[cpu], CPUS);

	machine_step(world->machine, "use a file's page");
	REQUIRE_EQUAL(world->machine, crowd_read(world, cpu, base + other * 8, &value), LH_FAULT_OK);
	REQUIRE(world->machine, value >= seen[other]);
	seen[other] = value;
	REQUIRE_EQUAL(world->machine, crowd_write(world, cpu, base + cpu * 8, ++*last), LH_FAULT_OK);
	REQUIRE_EQUAL(world->machine, crowd_read(world, cpu, base + cpu * 8, &value), LH_FAULT_OK);
	REQUIRE_EQUAL(world->machine, value, *last);
}

static void work(void *context, unsigned cpu)
{
	struct filing *filing = context;
	uint64_t *last = filing->last[cpu], seen[PAGES][CPUS] = { { 0 } };

	crowd_load(&filing->world, cpu, (int)cpu % 2);
	for (uint64_t round = 0; cpu == 0 ? round < filing->rounds : GET(filing->syncing) != 0;
	     round++) {
		uint64_t page = crowd_random(&filing->random[cpu], PAGES);

		use_page(filing, cpu, page, &last[page], seen[page]);
		if (cpu != 0)
			continue;
		machine_step(filing->world.machine, "sync");
		REQUIRE_EQUAL(filing->world.machine,
			      round % 4 == 0 ? lh_object_sync(filing->object, 0, PAGES)
					     : lh_object_sync(filing->object, page, 1), LH_OK);
		REQUIRE_EQUAL(filing->world.machine, filing->file[page][0], last[page]);
	}
	if (cpu == 0)
		__atomic_store_n(&filing->syncing, 0, __ATOMIC_SEQ_CST);
}

TEST(a_file_is_written_back_while_all_write_to_it)
{
	static const lh_pager pager = { read_page, write_page, release };
	struct filing filing = { .rounds = 1000, .syncing = 1 };
	lh_object_setup setup = { .kind = LH_OBJECT_FILE, .size = PAGES * PAGE, .pager = &pager,
				  .file = &filing };
	crowd_before before;

	crowd_open(&filing.world, 2048, CPUS);
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		filing.random[cpu] = test_random();
	before = crowd_note(&filing.world);
	CHECK_OK(lh_object_create(filing.world.manager, &setup, &filing.object));
	for (unsigned n = 0; n < 2; n++) {
		world_make(&filing.world, n);
		world_map_object(&filing.world, n, 0, PAGES, READ_WRITE, LH_REGION_SHARED,
				 filing.object, 0);
	}
	crowd_run(&filing.world, work, &filing);
	CHECK_EQUAL(filing.reads, PAGES);
	CHECK(filing.writes >= 1000);
	CHECK_OK(lh_object_sync(filing.object, 0, PAGES));
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		for (uint64_t page = 0; page < PAGES; page++)
			CHECK_EQUAL(filing.file[page][cpu], filing.last[cpu][page]);
	for (unsigned n = 0; n < 2; n++)
		world_destroy(&filing.world, n);
	lh_object_drop(filing.object);
	crowd_compare(&filing.world, &before);
	world_close(&filing.world);
}
