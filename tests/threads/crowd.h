/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the tests with CPUs as threads share: the test world (tests/world), run by all CPUs at
 * once. While they run, nothing of world.h that settles the shadow or checks may be called,
 * nor any CHECK: a thread reports by REQUIRE, which ends the run with its words.
 */
#ifndef TESTS_THREADS_CROWD_H
#define TESTS_THREADS_CROWD_H

#include "threads.h"
#include "world/world.h"

#define REQUIRE(machine, condition)                                                      \
	do {                                                                             \
		if (!(condition))                                                        \
			machine_report(machine, "%s:%d: %s", __FILE__, __LINE__, #condition); \
	} while (0)

#define REQUIRE_EQUAL(machine, computed, expected)                                       \
	do {                                                                             \
		unsigned long long require_computed_ = (unsigned long long)(computed);   \
		unsigned long long require_expected_ = (unsigned long long)(expected);   \
		if (require_computed_ != require_expected_)                              \
			machine_report(machine, "%s:%d: %s is %#llx, not %#llx", __FILE__, \
				       __LINE__, #computed, require_computed_,            \
				       require_expected_);                                \
	} while (0)

/* What a test begins with and ends with. */
typedef struct crowd_before {
	lh_frame_counters frames;
	lh_statistics statistics;
} crowd_before;

/* The machine asks the frame array who holds a frame. */
void crowd_open(test_world *world, uint64_t frames, unsigned cpus);

/* Runs the program on all CPUs; each then leaves its space. Everything is checked then. */
void crowd_run(test_world *world, machine_program *program, void *context);

/* Counters that must come back, and that they did. */
crowd_before crowd_note(test_world *world);
void crowd_compare(test_world *world, const crowd_before *before);

/* --- by a CPU's thread --- */

/* Loads space n; n < 0: the kernel's directory. */
void crowd_load(test_world *world, unsigned cpu, int n);

/* One word of the space that the CPU has loaded, in user mode. => how the last fault ended. */
lh_fault crowd_read(test_world *world, unsigned cpu, uint64_t address, uint64_t *value);
lh_fault crowd_write(test_world *world, unsigned cpu, uint64_t address, uint64_t value);

/* The same in kernel mode. => false: it faulted. */
bool crowd_read_kernel(test_world *world, unsigned cpu, uint64_t address, uint64_t *value);
bool crowd_write_kernel(test_world *world, unsigned cpu, uint64_t address, uint64_t value);

/* Random numbers of one CPU's own. => state: anything. */
uint64_t crowd_random(uint64_t *state, uint64_t below);

#endif
