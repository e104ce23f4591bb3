/* SPDX-License-Identifier: BSD-2-Clause */
/* The TLB, stale entries, and accesses as programs make them. */
#include "harness.h"

#include <string.h>

#include "tables.h"

#define PAGE UINT64_C(0x0000123456789000)
#define KERNEL_PAGE UINT64_C(0xffff900000042000)
#define ONE (PAGES_FIRST + 1)
#define TWO (PAGES_FIRST + 2)

/* --- what stays, and what removes it --- */

TEST(a_translation_stays_until_it_is_flushed)
{
	struct tables tables = tables_make(2, 4);

	tables_map(&tables, PAGE, 0, ONE, P | W | U);
	CHECK_EQUAL(tables_arrives(&tables, 0, PAGE), ONE);
	tables_map(&tables, PAGE, 0, TWO, P | W | U);
	CHECK_EQUAL(tables_arrives(&tables, 0, PAGE), ONE);
	CHECK_EQUAL(tables_arrives(&tables, 1, PAGE), TWO); /* each CPU has its own */
	tables_flush(&tables, 1, PAGE, 1, false);
	CHECK_EQUAL(tables_arrives(&tables, 0, PAGE), ONE);
	tables_flush(&tables, 0, PAGE + 0x1000, 1, false);
	tables_flush(&tables, 0, PAGE - 0x1000, 1, false);
	CHECK_EQUAL(tables_arrives(&tables, 0, PAGE), ONE);
	tables_flush(&tables, 0, PAGE - 0x1000, 3, false);
	CHECK_EQUAL(tables_arrives(&tables, 0, PAGE), TWO);
	tables_end(&tables);
}

TEST(loading_a_root_removes_what_is_not_global)
{
	struct tables tables = tables_make(1, 4);

	tables_map(&tables, PAGE, 0, ONE, P | U);
	tables_map(&tables, KERNEL_PAGE, 0, ONE, P | G);
	CHECK_EQUAL(tables_arrives(&tables, 0, PAGE), ONE);
	CHECK_EQUAL(tables_arrives(&tables, 0, KERNEL_PAGE), ONE);
	tables_map(&tables, PAGE, 0, TWO, P | U);
	tables_map(&tables, KERNEL_PAGE, 0, TWO, P | G);
	tables_load(&tables, 0, tables.root);
	CHECK_EQUAL(tables_arrives(&tables, 0, PAGE), TWO);
	CHECK_EQUAL(tables_arrives(&tables, 0, KERNEL_PAGE), ONE);
	/* Only a flush that says so reaches a global one. */
	tables_flush(&tables, 0, KERNEL_PAGE, 1, false);
	CHECK_EQUAL(tables_arrives(&tables, 0, KERNEL_PAGE), ONE);
	tables_flush(&tables, 0, KERNEL_PAGE, 1, true);
	CHECK_EQUAL(tables_arrives(&tables, 0, KERNEL_PAGE), TWO);
	tables_end(&tables);
}

TEST(the_global_bit_means_nothing_without_pge)
{
	struct tables tables = tables_make(1, 4);

	tables.machine->cpus[0].control.global_pages = false;
	tables_map(&tables, KERNEL_PAGE, 0, ONE, P | G);
	CHECK_EQUAL(tables_arrives(&tables, 0, KERNEL_PAGE), ONE);
	tables_map(&tables, KERNEL_PAGE, 0, TWO, P | G);
	tables_load(&tables, 0, tables.root);
	CHECK_EQUAL(tables_arrives(&tables, 0, KERNEL_PAGE), TWO);
	tables_end(&tables);
}

TEST(a_large_translation_goes_with_any_of_its_pages)
{
	struct tables tables = tables_make(1, 4);
	uint64_t large = PAGE & ~UINT64_C(0x1fffff);

	for (unsigned time = 0; time < 2; time++) {
		tables_map(&tables, large, 1, FIRST_FRAME + 512, P | PS);
		CHECK_EQUAL(tables_arrives(&tables, 0, large + 3 * 0x1000), FIRST_FRAME + 515);
		tables_map(&tables, large, 1, FIRST_FRAME + 1024, P | PS);
		CHECK_EQUAL(tables_arrives(&tables, 0, large), FIRST_FRAME + 512);
		tables_flush(&tables, 0, large + 0x1ff000, 1 + time, false);
		CHECK_EQUAL(tables_arrives(&tables, 0, large), FIRST_FRAME + 1024);
		tables_flush(&tables, 0, large - 0x1000, 2, false);
	}
	CHECK_EQUAL(machine_tlb_count(tables.machine, 0), 0);
	tables_end(&tables);
}

/* An upper entry that was replaced still leads walks of its neighbours, until any flush. */
TEST(an_upper_entry_stays_until_a_flush)
{
	struct tables tables = tables_make(1, 4);
	uint64_t neighbour = PAGE + 0x1000;
	uint64_t *upper;

	tables_map(&tables, PAGE, 0, ONE, P | U);
	tables_map(&tables, neighbour, 0, TWO, P | U);
	CHECK_EQUAL(tables_arrives(&tables, 0, PAGE), ONE);
	upper = tables_entry(&tables, PAGE, 1, 0);
	*upper = 0;
	CHECK_EQUAL(tables_arrives(&tables, 0, neighbour), TWO);
	tables_flush(&tables, 0, UINT64_C(0x5000), 1, false); /* 4.10.4.1: whatever the address */
	tables_flush(&tables, 0, neighbour, 1, false);
	CHECK_EQUAL(tables_arrives(&tables, 0, neighbour), 0);
	CHECK_EQUAL(tables_arrives(&tables, 0, PAGE), ONE);
	tables_end(&tables);
}

TEST(loading_a_root_removes_upper_entries)
{
	struct tables tables = tables_make(1, 4);

	tables_map(&tables, KERNEL_PAGE, 0, ONE, P | G);
	tables_map(&tables, KERNEL_PAGE + 0x1000, 0, TWO, P | G);
	CHECK_EQUAL(tables_arrives(&tables, 0, KERNEL_PAGE), ONE);
	*tables_entry(&tables, KERNEL_PAGE, 1, 0) = 0;
	tables_load(&tables, 0, tables.root);
	CHECK_EQUAL(tables_arrives(&tables, 0, KERNEL_PAGE), ONE);
	CHECK_EQUAL(tables_arrives(&tables, 0, KERNEL_PAGE + 0x1000), 0);
	tables_end(&tables);
}

/* Rights cached too narrow cost one fault, which removes them: 4.10.4.3. */
TEST(a_spurious_fault_happens_once)
{
	struct tables tables = tables_make(1, 4);
	machine_fault fault;

	tables_map(&tables, PAGE, 0, ONE, P | U);
	CHECK(tables_access(&tables, 0, PAGE, MMU_READ, MACHINE_USER, &fault));
	tables_map(&tables, PAGE, 0, ONE, P | W | U);
	CHECK(!tables_access(&tables, 0, PAGE, MMU_WRITE, MACHINE_USER, &fault));
	CHECK_EQUAL(fault.error_code, 0x7);
	CHECK(tables_access(&tables, 0, PAGE, MMU_WRITE, MACHINE_USER, &fault));
	tables_end(&tables);
}

/* An absent entry is not cached: a wholly new mapping needs no flush on x86-64. */
TEST(absence_is_not_cached)
{
	struct tables tables = tables_make(1, 4);

	CHECK_EQUAL(tables_arrives(&tables, 0, PAGE), 0);
	tables_map(&tables, PAGE, 0, ONE, P | U);
	CHECK_EQUAL(tables_arrives(&tables, 0, PAGE), ONE);
	tables_end(&tables);
}

TEST(with_process_contexts_loading_removes_nothing)
{
	struct tables tables = tables_make(1, 4);
	uint64_t other;

	tables.machine->cpus[0].control.process_context = true;
	other = tables.next++;
	memset(machine_bytes(tables.machine, other), 0, LH_PAGE_SIZE);
	tables_map(&tables, PAGE, 0, ONE, P | U);
	CHECK_EQUAL(tables_arrives(&tables, 0, PAGE), ONE);
	tables_load(&tables, 0, other);
	CHECK_EQUAL(tables_arrives(&tables, 0, PAGE), 0);
	tables_map(&tables, PAGE, 0, TWO, P | U);
	tables_load(&tables, 0, tables.root);
	CHECK_EQUAL(tables_arrives(&tables, 0, PAGE), ONE);
	tables_end(&tables);
}

TEST(speculation_fills_the_tlb_without_setting_dirty)
{
	struct tables tables = tables_make(1, 4);

	tables_map(&tables, PAGE, 0, ONE, P | W | U);
	tables_map(&tables, PAGE + 0x2000, 0, TWO, P | W | U);
	CHECK_EQUAL(machine_speculate(tables.machine, 0, lh_virtual(PAGE), 4), 2);
	CHECK_EQUAL(*tables_entry(&tables, PAGE, 0, 0) & (A | D), A);
	*tables_entry(&tables, PAGE, 0, 0) = 0;
	CHECK_EQUAL(tables_arrives(&tables, 0, PAGE), ONE);
	CHECK_EQUAL(machine_speculate(tables.machine, 0, lh_virtual(PAGE), 4), 0);
	tables_end(&tables);
}

/* --- frames that were freed --- */

static void touch(void *context)
{
	(void)tables_arrives(context, 0, PAGE);
}

static bool is_reported(struct tables *tables, void (*function)(void *), const char *text)
{
	const char *message = machine_expect_panic(tables->machine, function, tables);

	return message && strstr(message, text);
}

static bool is_found(struct tables *tables, const char *text)
{
	const char *finding = machine_check_tlbs(tables->machine);

	return finding && strstr(finding, text);
}

TEST(an_access_to_a_freed_frame_is_reported)
{
	struct tables tables = tables_make(1, 4);

	tables_map(&tables, PAGE, 0, ONE, P | U);
	CHECK_EQUAL(tables_arrives(&tables, 0, PAGE), ONE);
	CHECK_SOUND(machine_check_tlbs(tables.machine));
	*tables_entry(&tables, PAGE, 0, 0) = 0;
	CHECK_SOUND(machine_check_tlbs(tables.machine));
	machine_frame_freed(tables.machine, lh_frame(ONE));
	CHECK(machine_check_tlbs(tables.machine));
	CHECK(is_reported(&tables, touch, "by TLB entry, made at event"));
	/* Given out again, it is someone else's. */
	machine_frame_allocated(tables.machine, lh_frame(ONE));
	CHECK(is_found(&tables, "freed and given out again"));
	CHECK(is_reported(&tables, touch, "freed and given out again"));
	tables_flush(&tables, 0, PAGE, 1, false);
	CHECK_SOUND(machine_check_tlbs(tables.machine));
	/* A new translation of the frame is its new owner's. */
	tables_map(&tables, PAGE, 0, ONE, P | U);
	CHECK_EQUAL(tables_arrives(&tables, 0, PAGE), ONE);
	CHECK_SOUND(machine_check_tlbs(tables.machine));
	tables_end(&tables);
}

TEST(a_large_translation_is_stale_with_any_of_its_frames)
{
	struct tables tables = tables_make(1, 4);
	uint64_t large = PAGE & ~UINT64_C(0x1fffff);

	tables_map(&tables, large, 1, FIRST_FRAME + 512, P | PS);
	CHECK_EQUAL(tables_arrives(&tables, 0, large), FIRST_FRAME + 512);
	machine_frame_freed(tables.machine, lh_frame(FIRST_FRAME + 1023));
	CHECK(is_found(&tables, "for frame 0xbff, which is free"));
	machine_frame_allocated(tables.machine, lh_frame(FIRST_FRAME + 1023));
	mmu_tlb_flush_all(&tables.machine->cpus[0].tlb);
	machine_frame_freed(tables.machine, lh_frame(FIRST_FRAME + 1024));
	CHECK_EQUAL(tables_arrives(&tables, 0, large), FIRST_FRAME + 512);
	CHECK_SOUND(machine_check_tlbs(tables.machine));
	tables_end(&tables);
}

TEST(a_table_entry_left_to_a_freed_frame_is_reported)
{
	struct tables tables = tables_make(1, 4);

	tables_map(&tables, PAGE, 0, ONE, P | U);
	machine_frame_freed(tables.machine, lh_frame(ONE));
	CHECK(is_reported(&tables, touch, "which is free (by a walk"));
	tables_end(&tables);
}

TEST(a_walk_through_a_freed_table_is_reported)
{
	struct tables tables = tables_make(1, 4);
	uint64_t table;

	tables_map(&tables, PAGE, 0, ONE, P | U);
	tables_map(&tables, PAGE + 0x1000, 0, TWO, P | U);
	table = *tables_entry(&tables, PAGE, 1, 0) >> 12;
	CHECK_EQUAL(tables_arrives(&tables, 0, PAGE + 0x1000), TWO);
	machine_frame_freed(tables.machine, lh_frame(table));
	CHECK(is_found(&tables, "upper entry"));
	CHECK(is_reported(&tables, touch, "goes by an upper entry cached"));
	mmu_tlb_flush_all(&tables.machine->cpus[0].tlb);
	CHECK(is_reported(&tables, touch, "reads a page table in frame"));
	tables_end(&tables);
}

static void load_freed_root(void *context)
{
	struct tables *tables = context;

	tables_load(tables, 0, tables->root);
}

TEST(a_freed_root_is_reported)
{
	struct tables tables = tables_make(1, 4);

	machine_frame_freed(tables.machine, lh_frame(tables.root));
	CHECK(is_found(&tables, "root"));
	CHECK(is_reported(&tables, load_freed_root, "loads a directory whose root"));
	tables_end(&tables);
}

static void load_with_interrupts_on(void *context)
{
	struct tables *tables = context;

	lh_architecture_load(tables->machine, lh_frame(tables->root));
}

static void flush_with_interrupts_on(void *context)
{
	struct tables *tables = context;

	lh_architecture_flush_local(tables->machine, lh_frame(tables->root),
				    (lh_virtual_range){ lh_virtual(0), 1 }, false);
}

static void walk_out_of_ram(void *context)
{
	struct tables *tables = context;

	*tables_entry(tables, PAGE, 3, 0) = UINT64_C(0x1234567000) | P;
	touch(tables);
}

static void arrive_out_of_ram(void *context)
{
	struct tables *tables = context;

	*tables_entry(tables, PAGE, 3, 0) = 0;
	tables_map(tables, PAGE, 0, UINT64_C(0x1234567), P);
	touch(tables);
}

static void touch_without_directory(void *context)
{
	struct tables *tables = context;

	tables->machine->cpus[0].root = LH_NO_FRAME;
	touch(tables);
}

TEST(what_a_cpu_would_do_silently_wrong_is_reported)
{
	struct tables tables = tables_make(1, 4);

	CHECK(is_reported(&tables, load_with_interrupts_on, "with interrupts on"));
	CHECK(is_reported(&tables, flush_with_interrupts_on, "with interrupts on"));
	CHECK(is_reported(&tables, walk_out_of_ram, "which is no RAM"));
	CHECK(is_reported(&tables, arrive_out_of_ram, "which is no RAM"));
	CHECK(is_reported(&tables, touch_without_directory, "no directory loaded"));
	tables_end(&tables);
}

/* --- accesses --- */

TEST(an_access_across_pages_moves_the_bytes_of_each)
{
	struct tables tables = tables_make(1, 4);
	const char text[] = "across two pages that lie elsewhere";
	char back[sizeof text] = "";
	lh_virtual_address at = lh_virtual(PAGE + 0x1000 - 10);
	machine_fault fault;

	tables_map(&tables, PAGE, 0, TWO, P | W | U);
	CHECK(!machine_write(tables.machine, 0, at, text, sizeof text, MACHINE_USER, &fault));
	CHECK_EQUAL(fault.address.value, PAGE + 0x1000);
	tables_map(&tables, PAGE + 0x1000, 0, ONE, P | W | U);
	CHECK(machine_write(tables.machine, 0, at, text, sizeof text, MACHINE_USER, &fault));
	CHECK(machine_read(tables.machine, 0, at, back, sizeof back, MACHINE_USER, &fault));
	CHECK(strcmp(back, text) == 0);
	CHECK(memcmp((char *)machine_bytes(tables.machine, TWO) + 0x1000 - 10, text, 10) == 0);
	CHECK(memcmp(machine_bytes(tables.machine, ONE), text + 10, sizeof text - 10) == 0);
	CHECK(machine_fetch(tables.machine, 0, at, NULL, sizeof text, MACHINE_USER, &fault));
	tables_end(&tables);
}

/* A pager of the simplest kind: maps what is missing, up to a limit. */
struct lazy {
	struct tables *tables;
	unsigned faults, limit, cpu;
	bool does_nothing;
};

static bool map_lazily(void *context, unsigned cpu, const machine_fault *fault)
{
	struct lazy *lazy = context;

	lazy->cpu = lh_port_cpu(lazy->tables->machine);
	CHECK_EQUAL(lazy->cpu, cpu);
	CHECK_EQUAL(machine_fault_right(fault), LH_RIGHT_WRITE);
	if (lazy->faults++ == lazy->limit)
		return false;
	if (!lazy->does_nothing)
		tables_map(lazy->tables, fault->address.value & ~UINT64_C(0xfff), 0,
			   PAGES_FIRST + lazy->faults, P | W | U);
	return true;
}

static bool write_lazily(struct lazy *lazy, uint64_t address, size_t bytes, machine_fault *fault)
{
	static uint8_t buffer[40 * LH_PAGE_SIZE];

	return machine_access(lazy->tables->machine, 1, lh_virtual(address), MMU_WRITE, buffer,
			      bytes, MACHINE_USER, map_lazily, lazy, fault);
}

TEST(an_access_goes_on_after_each_resolved_fault)
{
	struct tables tables = tables_make(2, 4);
	struct lazy lazy = { .tables = &tables, .limit = 40 };
	machine_fault fault;

	CHECK(write_lazily(&lazy, PAGE, 40 * LH_PAGE_SIZE, NULL));
	CHECK_EQUAL(lazy.faults, 40);
	CHECK_EQUAL(lazy.cpu, 1);
	CHECK_EQUAL(machine_current(tables.machine), 0);
	CHECK(!write_lazily(&lazy, PAGE + 0x10000000, 1, &fault));
	CHECK_EQUAL(fault.address.value, PAGE + 0x10000000);
	CHECK(!write_lazily(&lazy, UINT64_C(1) << 60, 1, &fault));
	CHECK(fault.not_canonical);
	CHECK_EQUAL(lazy.faults, 41); /* no handler is asked about that */
	tables_end(&tables);
}

static void write_for_ever(void *context)
{
	(void)write_lazily(context, PAGE, 1, NULL);
}

TEST(a_fault_that_comes_back_for_ever_is_reported)
{
	struct tables tables = tables_make(2, 4);
	struct lazy lazy = { .tables = &tables, .limit = 1000, .does_nothing = true };
	const char *message = machine_expect_panic(tables.machine, write_for_ever, &lazy);

	CHECK(message && strstr(message, "faults for ever"));
	CHECK_EQUAL(lazy.faults, MACHINE_RETRIES_MAX);
	tables_end(&tables);
}

/* Two machines with the same addresses and frames never see each other's. */
TEST(two_machines_have_a_tlb_and_tables_each)
{
	struct tables one = tables_make(1, 4), two = tables_make(1, 5);

	tables_map(&one, PAGE, 0, ONE, P | U);
	tables_map(&two, PAGE, 0, TWO, P | U);
	CHECK_EQUAL(tables_arrives(&one, 0, PAGE), ONE);
	CHECK_EQUAL(tables_arrives(&two, 0, PAGE), TWO);
	machine_frame_freed(one.machine, lh_frame(TWO));
	CHECK_EQUAL(tables_arrives(&two, 0, PAGE), TWO);
	tables_end(&one);
	CHECK_EQUAL(tables_arrives(&two, 0, PAGE), TWO);
	tables_end(&two);
}
