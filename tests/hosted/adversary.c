/* SPDX-License-Identifier: BSD-2-Clause */
/* The adversary finds each kind of mistake in tables that no program touches, and nothing else. */
#include "adversary.h"
#include "machine_internal.h"

#include <string.h>

#include "harness.h"
#include "tables.h"

#define AT UINT64_C(0x7fff00400000)
#define PAGE LH_PAGE_SIZE

/* Tables by hand, and what each frame is. */
struct scene {
	struct tables tables;
	machine_use use[2048];
};

static machine_use use_of(void *context, lh_frame_number frame)
{
	struct scene *scene = context;

	return scene->use[frame.value - FIRST_FRAME];
}

/* A moment at which the others could do anything. */
static void settle(struct scene *scene)
{
	uintptr_t state = lh_port_interrupts_off(scene->tables.machine);

	lh_port_interrupts_restore(scene->tables.machine, state);
}

/* Writes the entry as the library would: through a pointer that it asked for. */
static void write(struct scene *scene, uint64_t address, unsigned level, uint64_t value)
{
	uint64_t *entry = tables_entry(&scene->tables, address, level, P | W | U | A);

	for (uint64_t frame = FIRST_FRAME; frame < scene->tables.next; frame++) {
		scene->use[frame - FIRST_FRAME] = MACHINE_TABLE;
		(void)lh_port_frame_pointer(scene->tables.machine, lh_frame(frame));
	}
	*entry = value;
}

static uint64_t page(uint64_t n, uint64_t bits)
{
	return (PAGES_FIRST + n) << 12 | bits;
}

static void open(struct scene *scene, bool process_context)
{
	scene->tables = tables_make(2, 4);
	for (unsigned i = 0; i < 2048; i++)
		scene->use[i] = MACHINE_OTHER;
	scene->use[0] = MACHINE_TABLE;
	for (unsigned cpu = 0; cpu < 2; cpu++)
		scene->tables.machine->cpus[cpu].control.process_context = process_context;
	machine_watch(scene->tables.machine, use_of, scene);
	machine_operation(scene->tables.machine, "map page %d", 1);
	write(scene, AT, 0, page(1, P | W | U | A));
	settle(scene);
	machine_operation(scene->tables.machine, "second");
}

static void close(struct scene *scene)
{
	tables_end(&scene->tables);
}

static size_t stale(const struct scene *scene, unsigned cpu)
{
	return machine_stale_count(scene->tables.machine, cpu);
}

static void settle_now(void *context)
{
	settle(context);
}

/* The next settle point reports this. */
static void expect_report(struct scene *scene, const char *part)
{
	const char *message = machine_expect_panic(scene->tables.machine, settle_now, scene);

	if (!message || !strstr(message, part))
		test_fail(__FILE__, __LINE__, "reported: %s; not: %s", message ? message : "nothing",
			  part);
}

TEST(what_is_overwritten_was_cached_by_every_cpu_though_nobody_touched_it)
{
	struct scene scene;
	const char *finding;

	open(&scene, false);
	CHECK_SOUND(machine_check_tlbs(scene.tables.machine));
	write(&scene, AT, 0, 0);
	settle(&scene);
	CHECK_EQUAL(stale(&scene, 0), 1);
	CHECK_EQUAL(stale(&scene, 1), 1);
	/* One page too few, the page beside it; then the page itself. */
	tables_flush(&scene.tables, 0, AT - PAGE, 1, false);
	tables_flush(&scene.tables, 0, AT + PAGE, 4, false);
	CHECK_EQUAL(stale(&scene, 0), 1);
	tables_flush(&scene.tables, 0, AT - PAGE, 2, false);
	CHECK_EQUAL(stale(&scene, 0), 0);
	finding = machine_check_tlbs(scene.tables.machine);
	CHECK(finding && strstr(finding, "CPU 1 may still have the page entry of level 0"));
	CHECK(strstr(finding, "in \"map page 1\", cleared") && strstr(finding, "in \"second\""));
	tables_load(&scene.tables, 1, scene.tables.root);
	CHECK_SOUND(machine_check_tlbs(scene.tables.machine));
	close(&scene);
}

TEST(a_leaf_table_is_looked_at_though_its_pointer_was_kept)
{
	struct scene scene;

	open(&scene, false);
	settle(&scene);
	*tables_entry(&scene.tables, AT, 0, 0) = 0;
	settle(&scene);
	CHECK_EQUAL(stale(&scene, 0), 1);
	CHECK_EQUAL(stale(&scene, 1), 1);
	close(&scene);
}

TEST(rights_that_are_taken_are_stale_and_those_that_are_added_are_not)
{
	struct scene scene;

	open(&scene, false);
	write(&scene, AT, 0, page(1, P | U | A | XD));
	settle(&scene);
	CHECK_EQUAL(stale(&scene, 0), 1);
	tables_flush(&scene.tables, 0, AT, 1, false);
	tables_flush(&scene.tables, 1, AT, 1, false);
	write(&scene, AT, 0, page(1, P | W | U | A | D));
	settle(&scene);
	CHECK_SOUND(machine_check_tlbs(scene.tables.machine));
	CHECK_EQUAL(machine_overwritten(scene.tables.machine), 2);
	close(&scene);
}

TEST(a_frame_is_not_freed_while_a_cpu_may_reach_it)
{
	struct scene scene;

	open(&scene, false);
	write(&scene, AT, 0, 0);
	settle(&scene);
	tables_flush(&scene.tables, 0, AT, 1, false);
	scene.use[TABLES + 1] = MACHINE_FREE;
	expect_report(&scene, "a frame that a CPU can still reach is free: CPU 1");
	close(&scene);
}

TEST(what_a_detached_table_leads_to_may_be_cached_as_well)
{
	struct scene scene;

	open(&scene, false);
	write(&scene, AT, 1, 0);
	settle(&scene);
	/* The upper entry, and the page's below it. */
	CHECK_EQUAL(stale(&scene, 0), 2);
	scene.use[3] = MACHINE_FREE;
	expect_report(&scene, "a table that a CPU can still walk is freed");
	scene.use[3] = MACHINE_TABLE;
	scene.use[TABLES + 1] = MACHINE_FREE;
	expect_report(&scene, "a frame that a CPU can still reach is free");
	scene.use[TABLES + 1] = MACHINE_OTHER;
	tables_flush(&scene.tables, 0, AT, 1, false);
	tables_flush(&scene.tables, 1, AT, 1, false);
	settle(&scene);
	close(&scene);
}

TEST(an_address_leads_elsewhere_only_after_its_flush)
{
	struct scene scene;

	open(&scene, false);
	write(&scene, AT, 0, page(2, P | W | U | A));
	expect_report(&scene, "an address leads elsewhere before it was flushed");
	close(&scene);
	open(&scene, false);
	write(&scene, AT, 0, 0);
	settle(&scene);
	for (unsigned cpu = 0; cpu < 2; cpu++)
		tables_flush(&scene.tables, cpu, AT, 1, false);
	write(&scene, AT, 0, page(2, P | W | U | A));
	settle(&scene);
	CHECK_SOUND(machine_check_tlbs(scene.tables.machine));
	close(&scene);
}

TEST(an_entry_left_behind_and_a_table_freed_too_early_are_found)
{
	struct scene scene;

	open(&scene, false);
	scene.use[TABLES + 1] = MACHINE_FREE;
	write(&scene, AT + PAGE, 0, page(2, P | W | U | A));
	expect_report(&scene, "names a frame that is free");
	scene.use[TABLES + 1] = MACHINE_OTHER;
	scene.use[2] = MACHINE_OTHER;
	expect_report(&scene, "leads to the table of level 1");
	close(&scene);
}

TEST(a_flag_that_the_hardware_set_is_not_lost)
{
	struct scene scene;

	open(&scene, false);
	write(&scene, AT, 0, page(1, P | W | U));
	expect_report(&scene, "a flag that the hardware set is lost");
	close(&scene);
}

static void end_operation(void *context)
{
	(void)machine_check_tlbs(context);
}

TEST(a_page_that_changes_after_it_was_mapped_is_found)
{
	struct scene scene;
	const char *message;

	open(&scene, false);
	machine_settle_operation(scene.tables.machine);
	write(&scene, AT + PAGE, 0, page(2, P | W | U | A));
	settle(&scene);
	memset(machine_bytes(scene.tables.machine, PAGES_FIRST + 2), 0, PAGE);
	message = machine_expect_panic(scene.tables.machine, end_operation, scene.tables.machine);
	CHECK(message && strstr(message, "has other bytes than when it was mapped"));
	close(&scene);
}

TEST(an_access_goes_through_what_the_tables_no_longer_say)
{
	struct scene scene;
	uint64_t word = 5;
	machine_fault fault;

	open(&scene, false);
	write(&scene, AT, 0, page(1, P | U | A));
	settle(&scene);
	/* It was not dirty when it was cached, so the first write walks, and faults. */
	CHECK(!machine_write(scene.tables.machine, 1, lh_virtual(AT), &word, 8, MACHINE_USER, &fault));
	CHECK(machine_read(scene.tables.machine, 0, lh_virtual(AT), &word, 8, MACHINE_USER, &fault));
	CHECK_EQUAL(word, PAGES_FIRST + 1);
	close(&scene);
}

/* A CPU that left a root with its tag, and comes back. */
static void leave_and_come_back(bool flush)
{
	struct scene scene;
	uint64_t other, root;

	open(&scene, true);
	root = scene.tables.root;
	other = scene.tables.next++;
	memset(machine_bytes(scene.tables.machine, other), 0, PAGE);
	scene.use[other - FIRST_FRAME] = MACHINE_TABLE;
	tables_load(&scene.tables, 1, other);
	write(&scene, AT + PAGE, 0, page(2, P | W | U | A)); /* which it cannot have cached */
	settle(&scene);
	if (flush)
		tables_flush(&scene.tables, 1, AT, 1, false);
	write(&scene, AT, 0, 0);
	write(&scene, AT + PAGE, 0, 0);
	settle(&scene);
	tables_flush(&scene.tables, 0, AT, 2, false);
	CHECK_EQUAL(stale(&scene, 1), flush ? 0 : 1);
	/* It does no harm while another root is loaded. */
	CHECK_SOUND(machine_check_tlbs(scene.tables.machine));
	tables_load(&scene.tables, 1, root);
	CHECK((machine_check_tlbs(scene.tables.machine) == NULL) == flush);
	close(&scene);
}

TEST(b18_a_cpu_that_left_with_its_tag_and_comes_back_has_what_it_had)
{
	leave_and_come_back(false);
	leave_and_come_back(true);
}
