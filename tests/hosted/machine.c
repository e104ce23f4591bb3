/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine: RAM, the port functions, and what it reports. */
#include "harness.h"

#include <string.h>

#include "machine.h"

TEST(ram_may_begin_anywhere_and_have_holes)
{
	machine_setup setup = { .spans = { { 0x100, 4 }, { 0x200, 2 } } };
	lh_port *machine = machine_create(&setup);
	uint8_t *bytes = lh_port_frame_pointer(machine, lh_frame(0x201));

	CHECK_EQUAL(machine_frames(machine), 6);
	CHECK(!machine_is_ram(machine, 0xff));
	CHECK(machine_is_ram(machine, 0x103));
	CHECK(!machine_is_ram(machine, 0x104));
	CHECK_EQUAL(bytes[0], MACHINE_FILL);
	memset(bytes, 0x5a, LH_PAGE_SIZE);
	CHECK_EQUAL(bytes[-1], MACHINE_FILL);
	CHECK(lh_port_frame_pointer(machine, lh_frame(0x201)) == bytes);
	CHECK(lh_port_frame_pointer(machine, lh_frame(0x200)) == bytes - LH_PAGE_SIZE);
	machine_destroy(machine);
}

static void point_to_104(void *context)
{
	(void)lh_port_frame_pointer(context, lh_frame(0x104));
}

TEST(a_pointer_of_what_is_no_ram_is_reported)
{
	lh_port *machine = machine_create_simple(0x100, 4, 1);
	const char *message = machine_expect_panic(machine, point_to_104, machine);

	CHECK(message && strstr(message, "frame 0x104, which is no RAM"));
	machine_destroy(machine);
}

TEST(two_machines_in_one_process_share_nothing)
{
	lh_port *one = machine_create_simple(0, 16, 2);
	lh_port *two = machine_create_simple(0, 16, 4);

	machine_run_on(one, 1);
	machine_run_on(two, 3);
	CHECK_EQUAL(lh_port_cpu(one), 1);
	CHECK_EQUAL(lh_port_cpu(two), 3);
	CHECK(lh_port_frame_pointer(one, lh_frame(3)) != lh_port_frame_pointer(two, lh_frame(3)));
	lh_port_log(one, "hello");
	CHECK(machine_log_has(one, "hell"));
	CHECK(!machine_log_has(two, "hell"));
	CHECK_EQUAL(lh_port_random(one), lh_port_random(two));
	machine_destroy(one);
	CHECK_EQUAL(lh_port_cpu(two), 3);
	machine_destroy(two);
}

TEST(random_numbers_repeat_from_the_seed)
{
	lh_port *machine = machine_create_simple(0, 1, 1);
	uint64_t first = lh_port_random(machine), second = lh_port_random(machine);

	CHECK(first != second);
	machine_seed(machine, 0);
	CHECK_EQUAL(lh_port_random(machine), first);
	machine_seed(machine, 1);
	CHECK(lh_port_random(machine) != first);
	machine_destroy(machine);
}

TEST(the_log_keeps_the_last_lines)
{
	lh_port *machine = machine_create_simple(0, 1, 1);
	char line[8] = "line 0";

	CHECK(machine_log_line(machine, 0) == NULL);
	for (unsigned i = 0; i < MACHINE_LOG_LINES + 1; i++) {
		line[5] = (char)('0' + i % 10);
		lh_port_log(machine, line);
	}
	CHECK(strcmp(machine_log_line(machine, 0), "line 4") == 0);
	CHECK(strcmp(machine_log_line(machine, 1), "line 3") == 0);
	CHECK(machine_log_line(machine, MACHINE_LOG_LINES) == NULL);
	CHECK_EQUAL(machine->log_count, MACHINE_LOG_LINES + 1);
	machine_destroy(machine);
}

/* --- panics --- */

static void panic_with(void *context)
{
	lh_port_panic(NULL, context);
}

static void return_quietly(void *context)
{
	(void)context;
}

static void expect_then_panic(void *context)
{
	if (machine_expect_panic(NULL, panic_with, "inner"))
		panic_with(context);
}

TEST(an_expected_panic_gives_its_message)
{
	char text[] = "the sky fell";

	CHECK(machine_expect_panic(NULL, return_quietly, NULL) == NULL);
	CHECK(strcmp(machine_expect_panic(NULL, panic_with, text), text) == 0);
	CHECK(strcmp(machine_expect_panic(NULL, expect_then_panic, text), text) == 0);
}

static void panic_deaf_on_cpu_1(void *context)
{
	machine_run_on(context, 1);
	lh_port_interrupts_off(context);
	lh_port_panic(context, "deaf");
}

TEST(a_caught_panic_leaves_the_cpus_as_before)
{
	lh_port *machine = machine_create_simple(0, 1, 2);

	CHECK(machine_expect_panic(machine, panic_deaf_on_cpu_1, machine) != NULL);
	CHECK_EQUAL(machine_current(machine), 0);
	CHECK(machine->cpus[1].interrupts);
	CHECK_EQUAL(machine->cpus[1].depth, 0);
	machine_destroy(machine);
}

/* --- interrupts --- */

TEST(interrupts_nest)
{
	lh_port *machine = machine_create_simple(0, 1, 1);
	uintptr_t outer = lh_port_interrupts_off(machine);
	uintptr_t inner = lh_port_interrupts_off(machine);

	lh_port_interrupts_restore(machine, inner);
	CHECK(!machine->cpus[0].interrupts);
	lh_port_interrupts_restore(machine, outer);
	CHECK(machine->cpus[0].interrupts);
	machine_destroy(machine);
}

static void restore_out_of_order(void *context)
{
	uintptr_t outer = lh_port_interrupts_off(context);

	(void)lh_port_interrupts_off(context);
	lh_port_interrupts_restore(context, outer);
}

static void restore_on_another_cpu(void *context)
{
	uintptr_t state = lh_port_interrupts_off(context);

	machine_run_on(context, 1);
	(void)lh_port_interrupts_off(context);
	lh_port_interrupts_restore(context, state);
}

static void restore_twice(void *context)
{
	uintptr_t state = lh_port_interrupts_off(context);

	lh_port_interrupts_restore(context, state);
	lh_port_interrupts_restore(context, state);
}

TEST(interrupts_restored_out_of_order_are_reported)
{
	void (*wrong[])(void *) = { restore_out_of_order, restore_on_another_cpu, restore_twice };
	lh_port *machine = machine_create_simple(0, 1, 2);

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		const char *message = machine_expect_panic(machine, wrong[i], machine);

		CHECK(message && strstr(message, "out of order"));
		CHECK(machine->cpus[0].interrupts);
	}
	machine_destroy(machine);
}

/* --- calls to other CPUs --- */

struct visits {
	lh_port *machine;
	unsigned count[4];
	bool deaf;
};

static void visit(void *argument)
{
	struct visits *visits = argument;
	unsigned cpu = lh_port_cpu(visits->machine);

	visits->count[cpu]++;
	visits->deaf = !visits->machine->cpus[cpu].interrupts;
}

TEST(a_call_reaches_each_cpu_of_the_set_once_with_interrupts_off)
{
	lh_port *machine = machine_create_simple(0, 1, 4);
	struct visits visits = { .machine = machine };
	lh_cpu_set set = machine_all_cpus(machine);

	set.bits[0] &= ~UINT64_C(4);
	lh_port_call_cpus(machine, &set, visit, &visits);
	CHECK_EQUAL(visits.count[0], 1);
	CHECK_EQUAL(visits.count[1], 1);
	CHECK_EQUAL(visits.count[2], 0);
	CHECK_EQUAL(visits.count[3], 1);
	CHECK(visits.deaf);
	CHECK_EQUAL(lh_port_cpu(machine), 0);
	CHECK(machine->cpus[0].interrupts && machine->cpus[3].interrupts);
	CHECK_EQUAL(machine->calls, 1);
	CHECK_EQUAL(machine->cpus[2].calls, 0);
	machine_destroy(machine);
}

static void call_with_interrupts_off(void *context)
{
	lh_cpu_set none = { { 0 } };

	lh_port_interrupts_off(context);
	lh_port_call_cpus(context, &none, return_quietly, NULL);
}

static void call_a_deaf_cpu(void *context)
{
	lh_cpu_set other = machine_cpu_set(1);

	machine_run_on(context, 1);
	lh_port_interrupts_off(context);
	machine_run_on(context, 0);
	lh_port_call_cpus(context, &other, return_quietly, NULL);
}

static void call_a_missing_cpu(void *context)
{
	lh_cpu_set other = machine_cpu_set(2);

	lh_port_call_cpus(context, &other, return_quietly, NULL);
}

static void park_with_interrupts_off(void *context)
{
	uint32_t word = 0;

	lh_port_interrupts_off(context);
	lh_port_park(context, &word, 1);
}

static void park_alone(void *context)
{
	uint32_t word = 1;

	lh_port_park(context, &word, 0);
	lh_port_park(context, &word, 1);
}

static void spin(void *context)
{
	for (;;)
		lh_port_pause(context);
}

static void press_with_interrupts_off(void *context)
{
	lh_port_interrupts_off(context);
	(void)lh_port_memory_pressure(context, 1);
}

TEST(what_would_hang_a_machine_is_reported)
{
	static const struct {
		void (*function)(void *context);
		const char *message;
	} rows[] = {
		{ call_with_interrupts_off, "lh_port_call_cpus on CPU 0 with interrupts off" },
		{ call_a_deaf_cpu, "CPU 0 waits for CPU 1, which has interrupts off" },
		{ call_a_missing_cpu, "CPU 2, which the machine does not have" },
		{ park_with_interrupts_off, "lh_port_park on CPU 0 with interrupts off" },
		{ park_alone, "nobody to unpark it" },
		{ spin, "spins for ever" },
		{ press_with_interrupts_off, "lh_port_memory_pressure on CPU 0" },
	};
	lh_port *machine = machine_create_simple(0, 1, 2);

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *message = machine_expect_panic(machine, rows[i].function, machine);

		CHECK(message && strncmp(message, "machine: ", 9) == 0);
		CHECK(strstr(message, rows[i].message));
	}
	machine_destroy(machine);
}

static bool set_word(void *context, const uint32_t *word)
{
	CHECK(word == context);
	*(uint32_t *)context = 7;
	return true;
}

static bool two_pages(void *context, uint64_t pages)
{
	(void)context;
	return pages == 2;
}

static uint64_t always_five(void *context)
{
	(void)context;
	return 5;
}

TEST(hooks_answer_in_place_of_the_machine)
{
	lh_port *machine = machine_create_simple(0, 1, 1);
	uint32_t word = 3;

	CHECK(!lh_port_memory_pressure(machine, 2));
	machine->hooks = (machine_hooks){ .context = &word, .park = set_word, .memory_pressure = two_pages,
					 .random = always_five };
	lh_port_park(machine, &word, 3);
	CHECK_EQUAL(word, 7);
	CHECK(lh_port_memory_pressure(machine, 2));
	CHECK(!lh_port_memory_pressure(machine, 1));
	CHECK_EQUAL(lh_port_random(machine), 5);
	CHECK_EQUAL(machine->pressures, 3);
	machine_destroy(machine);
}

/* --- the shadow --- */

static void free_frame_2(void *context)
{
	machine_frame_freed(context, lh_frame(2));
}

static bool is_odd(void *context, lh_frame_number frame)
{
	(void)context;
	return (frame.value & 1) != 0;
}

TEST(a_frame_freed_twice_is_reported)
{
	lh_port *machine = machine_create_simple(0, 4, 1);

	free_frame_2(machine);
	CHECK(machine_expect_panic(machine, free_frame_2, machine) != NULL);
	machine_frame_allocated(machine, lh_frame(2));
	CHECK(machine_expect_panic(machine, free_frame_2, machine) == NULL);
	machine_update_frames(machine, is_odd, NULL);
	CHECK(machine_expect_panic(machine, free_frame_2, machine) != NULL);
	machine_destroy(machine);
}
