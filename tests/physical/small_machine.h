/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The smallest machine that frames can stand on: some spans of memory at addresses
 * of the test's choice, and a port whose panic can be expected. One at a time.
 */
#ifndef TESTS_PHYSICAL_SMALL_MACHINE_H
#define TESTS_PHYSICAL_SMALL_MACHINE_H

#include <setjmp.h>
#include <string.h>

#include <landhold/frames.h>
#include <landhold/memory_map.h>
#include <landhold/pool.h>

#include "harness.h"

struct span {
	uint64_t base, pages; /* in frames */
};

/* Makes frames over these spans; what the last call made is gone. */
lh_frames *small_machine(lh_charge_policy policy, const struct span *spans, size_t count);

lh_frames *small_machine_nodes(lh_charge_policy policy, const lh_node_range *ranges,
			       size_t range_count, const struct span *spans, size_t count);

lh_frames *small_machine_on(lh_charge_policy policy, const lh_frames_machine *machine,
			    const struct span *spans, size_t count);

/* The map that it was made from, for tests that look at sizes. */
const lh_memory_map *small_machine_map(void);

#define SPANS(...) (const struct span[]){ __VA_ARGS__ },                            \
		   sizeof((const struct span[]){ __VA_ARGS__ }) / sizeof(struct span)

/* Some random spans: short, long, touching words' borders, with a hole of terabytes. */
size_t random_spans(struct span *spans, size_t most);

/* The CPU that calls come from; the test changes it at will. */
extern unsigned small_machine_cpu;
/* The CPUs that were called last, and what is done meanwhile; NULL: nothing. */
extern lh_cpu_set small_machine_called;
extern void (*small_machine_on_call)(void);
/* Done when the bytes of a frame are asked for; NULL: nothing. */
extern void (*small_machine_on_pointer)(void);
/* How deep interrupts are off: 0 between calls of the library. */
extern unsigned small_machine_interrupts_off;
/* Where the next panic goes, and what it said. */
extern jmp_buf small_machine_panicked;
extern bool small_machine_expects_panic;
extern char small_machine_message[256];

/* The statement must stop the machine; use a new machine afterwards. */
#define CHECK_PANICS(statement)                                                    \
	do {                                                                       \
		small_machine_expects_panic = true;                                \
		if (setjmp(small_machine_panicked) == 0) {                         \
			statement;                                                 \
			small_machine_expects_panic = false;                       \
			test_fail(__FILE__, __LINE__, "%s: no panic", #statement); \
		}                                                                  \
		small_machine_expects_panic = false;                               \
	} while (0)

/* The same, and that it names the mistake: so that another one does not pass for it. */
#define CHECK_PANICS_SAYING(text, statement)                                       \
	do {                                                                       \
		CHECK_PANICS(statement);                                           \
		if (!strstr(small_machine_message, text))                          \
			test_fail(__FILE__, __LINE__, "the panic says: %s", small_machine_message); \
	} while (0)

#endif
