/* SPDX-License-Identifier: BSD-2-Clause */
/* The machine's own part: CPUs as threads, their calls, parking, the watch. */
#include <string.h>

#include <landhold/port.h>

#include "harness.h"
#include "threads.h"

#define GET(place) __atomic_load_n(&(place), __ATOMIC_SEQ_CST)
#define SET(place, value) __atomic_store_n(&(place), value, __ATOMIC_SEQ_CST)
#define ADD(place) __atomic_add_fetch(&(place), 1, __ATOMIC_SEQ_CST)

struct bench {
	lh_port *machine;
	uint32_t word;
	uint64_t ran[4];   /* calls that each CPU ran, plain: only it touches its own */
	uint64_t wrong;
	unsigned deaf;
	uint64_t counted;
};

static void note_call(void *context)
{
	struct bench *bench = context;
	unsigned cpu = machine_current(bench->machine);

	if (bench->machine->cpus[cpu].interrupts)
		ADD(bench->wrong);
	bench->ran[cpu]++;
}

static void call_all(void *context, unsigned cpu)
{
	struct bench *bench = context;
	lh_cpu_set all = machine_all_cpus(bench->machine);

	for (unsigned i = 0; i < 300; i++) {
		machine_step(bench->machine, "call");
		lh_port_call_cpus(bench->machine, &all, note_call, bench);
		if (cpu == 0 && i == 100)
			return;
	}
}

TEST(a_call_runs_once_on_each_cpu_by_its_own_thread_also_when_it_has_ended)
{
	struct bench bench = { .machine = machine_create_simple(0, 8, 4) };

	CHECK_SOUND(machine_run_threads(bench.machine, call_all, &bench));
	for (unsigned cpu = 0; cpu < 4; cpu++)
		CHECK_EQUAL(bench.ran[cpu], 3 * 300 + 101);
	CHECK_EQUAL(bench.wrong, 0);
	machine_destroy(bench.machine);
}

/* CPU 0 is deaf for a while; nobody's call may have run there before it is no more. */
static void be_deaf(void *context, unsigned cpu)
{
	struct bench *bench = context;
	lh_cpu_set first = machine_cpu_set(0);
	uintptr_t state;

	if (cpu != 0) {
		while (GET(bench->deaf) == 0)
			lh_port_pause(bench->machine);
		lh_port_call_cpus(bench->machine, &first, note_call, bench);
		return;
	}
	state = lh_port_interrupts_off(bench->machine);
	SET(bench->deaf, 1);
	for (unsigned i = 0; i < 2000; i++) {
		lh_port_pause(bench->machine);
		if (bench->ran[0] != 0)
			ADD(bench->wrong);
	}
	lh_port_interrupts_restore(bench->machine, state);
}

TEST(a_cpu_with_interrupts_off_takes_no_call)
{
	struct bench bench = { .machine = machine_create_simple(0, 8, 2) };

	CHECK_SOUND(machine_run_threads(bench.machine, be_deaf, &bench));
	CHECK_EQUAL(bench.wrong, 0);
	CHECK_EQUAL(bench.ran[0], 1);
	machine_destroy(bench.machine);
}

static void call_with_interrupts_off(void *context, unsigned cpu)
{
	struct bench *bench = context;
	lh_cpu_set all = machine_all_cpus(bench->machine);

	if (cpu == 1) {
		(void)lh_port_interrupts_off(bench->machine);
		lh_port_call_cpus(bench->machine, &all, note_call, bench);
	}
}

TEST(a_call_with_interrupts_off_is_reported)
{
	struct bench bench = { .machine = machine_create_simple(0, 8, 2) };
	const char *message = machine_run_threads(bench.machine, call_with_interrupts_off, &bench);

	CHECK(message && strstr(message, "lh_port_call_cpus on CPU 1 with interrupts off"));
	machine_destroy(bench.machine);
}

static void end_deaf(void *context, unsigned cpu)
{
	(void)cpu;
	(void)lh_port_interrupts_off(context);
}

TEST(a_program_that_ends_with_interrupts_off_is_reported)
{
	lh_port *machine = machine_create_simple(0, 8, 1);
	const char *message = machine_run_threads(machine, end_deaf, machine);

	CHECK(message && strstr(message, "ended with interrupts off"));
	machine_destroy(machine);
}

static void run_another(void *context, unsigned cpu)
{
	machine_run_on(context, 1 - cpu);
}

TEST(a_thread_that_would_run_another_cpu_is_reported)
{
	lh_port *machine = machine_create_simple(0, 8, 2);
	const char *message = machine_run_threads(machine, run_another, machine);

	CHECK(message && strstr(message, "thread would run CPU"));
	machine_destroy(machine);
}

/* Two CPUs hand a word to and fro, each sleeping until it is its turn; a third one calls them. */
static void play_ping_pong(void *context, unsigned cpu)
{
	struct bench *bench = context;
	lh_cpu_set all = machine_all_cpus(bench->machine);

	for (uint32_t turn = 0; turn < 1000; turn++) {
		uint32_t seen;

		machine_step(bench->machine, "turn");
		if (cpu == 2) {
			lh_port_call_cpus(bench->machine, &all, note_call, bench);
			continue;
		}
		while ((seen = GET(bench->word)) % 2 != cpu)
			lh_port_park(bench->machine, &bench->word, seen);
		bench->counted++; /* plain: the word's turns order it */
		ADD(bench->word);
		lh_port_unpark(bench->machine, &bench->word);
	}
}

TEST(no_wake_up_is_missed_and_who_is_parked_takes_calls)
{
	struct bench bench = { .machine = machine_create_simple(0, 8, 3) };

	CHECK_SOUND(machine_run_threads(bench.machine, play_ping_pong, &bench));
	CHECK_EQUAL(bench.counted, 2000);
	CHECK_EQUAL(bench.ran[0], 1000);
	machine_destroy(bench.machine);
}

static void wait_for_ever(void *context, unsigned cpu)
{
	struct bench *bench = context;

	machine_step(bench->machine, cpu == 0 ? "sleeping" : cpu == 1 ? "spinning" : "calling");
	if (cpu == 0)
		for (;;)
			lh_port_park(bench->machine, &bench->word, 0);
	if (cpu == 1) {
		(void)lh_port_interrupts_off(bench->machine);
		SET(bench->deaf, 1);
		for (;;)
			lh_port_pause(bench->machine);
	}
	if (cpu == 2) {
		lh_cpu_set second = machine_cpu_set(1);

		while (!GET(bench->deaf))
			lh_port_pause(bench->machine);
		lh_port_call_cpus(bench->machine, &second, note_call, bench);
	}
}

TEST(a_deadlock_is_reported_with_what_each_cpu_waits_for)
{
	struct bench bench = { .machine = machine_create_simple(0, 8, 4) };
	const char *message;

	bench.machine->stall_seconds = 1;
	message = machine_run_threads(bench.machine, wait_for_ever, &bench);
	CHECK(message && strstr(message, "makes no progress"));
	CHECK(strstr(message, "CPU 0 (sleeping, step 1) is parked on a word that is 0"));
	CHECK(strstr(message, "CPU 1 (spinning, step 1) spins"));
	CHECK(strstr(message, "interrupts off"));
	CHECK(strstr(message, "CPU 2 (calling, step 1) waits for calls to CPUs 0x2, 1 left"));
	CHECK(strstr(message, "CPU 3 (calling, step 1) has ended"));
	machine_destroy(bench.machine);
}

static void meet(void *context, unsigned cpu)
{
	struct bench *bench = context;

	(void)cpu;
	for (uint64_t n = 1; n <= 100; n++) {
		ADD(bench->counted);
		machine_meet(bench->machine);
		if (GET(bench->counted) != n * 4)
			ADD(bench->wrong);
		machine_meet(bench->machine);
	}
}

TEST(cpus_meet)
{
	struct bench bench = { .machine = machine_create_simple(0, 8, 4) };

	CHECK_SOUND(machine_run_threads(bench.machine, meet, &bench));
	CHECK_EQUAL(bench.wrong, 0);
	machine_destroy(bench.machine);
}
