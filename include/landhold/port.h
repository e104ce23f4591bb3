/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The port: what the library asks of its host. Eighteen functions in tiers; a
 * missing one fails at link time. One more is asked for in debug builds. The host also supplies memcpy, memset, memmove
 * and memcmp, as every freestanding compiler expects.
 *
 * Each function gets the lh_port pointer that the host gave when it made the
 * object it works on. The library never looks inside: struct lh_port is the
 * host's to define, or to leave undefined and pass as NULL. So two machines can
 * live in one process, each with a port of its own, and a kernel pays nothing.
 *
 * Common to all: none of them may call back into the library unless its comment
 * says so; none may allocate from a heap that stands on this library.
 *
 * Contexts, from the strictest: "any" is with any library lock held, interrupts
 * on or off; "interrupts on" is where the CPU can take an interrupt and no
 * spinning lock is held; "no lock" is where the library holds nothing at all.
 */
#ifndef LANDHOLD_PORT_H
#define LANDHOLD_PORT_H

#include <landhold/types.h>
#include <landhold/virtual_range.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lh_port lh_port;

#if defined(__GNUC__)
#define LH_NO_RETURN __attribute__((noreturn))
#else
#define LH_NO_RETURN
#endif

/* --- Map tier: enough for region trees, frames and page tables on one CPU --- */

/*
 * Where the CPU sees a frame's bytes: a pointer, aligned to a page, that stays valid for ever.
 * => frame: one of the boot memory map's usable frames.
 * Example: with a direct map at 0xffff800000000000, frame 0x42 is seen at
 * 0xffff800000042000.
 * Context: any. A kernel answers by an addition; never by making a mapping.
 */
void *lh_port_frame_pointer(lh_port *port, lh_frame_number frame);

/*
 * An invariant is broken: say so and stop. Never returns; takes no lock.
 * => message: one line, no newline, says file and line.
 */
LH_NO_RETURN void lh_port_panic(lh_port *port, const char *message);

/* One line for the host's log, no newline. Context: any; must not wait. */
void lh_port_log(lh_port *port, const char *message);

/* 64 random bits, for placement. Context: any. */
uint64_t lh_port_random(lh_port *port);

/* --- SMP tier: one-CPU hosts give no-ops --- */

/* The number of the CPU this runs on: 0 to LH_MAX_CPUS - 1. Context: interrupts
 * off, or a caller that accepts a stale answer. */
unsigned lh_port_cpu(lh_port *port);

/* Turns this CPU's interrupts off; returns what restore needs. Calls nest. */
uintptr_t lh_port_interrupts_off(lh_port *port);
void lh_port_interrupts_restore(lh_port *port, uintptr_t state);
/* Whether this CPU takes interrupts at this moment: whether it may call others. Context: any. */
bool lh_port_interrupts_are_on(lh_port *port);

/*
 * Runs function(argument) once on each CPU of the set, this one included if it
 * is in the set, with that CPU's interrupts off; returns when all are done.
 * Context: interrupts on, else two CPUs could wait for each other for ever.
 */
void lh_port_call_cpus(lh_port *port, const lh_cpu_set *cpus, void (*function)(void *),
		       void *argument);

/* One turn of a spinning loop: the CPU's pause hint. Context: any. */
void lh_port_pause(lh_port *port);

/*
 * Sleeps until unparked on the same word, but only if *word == expected at a
 * moment when a following unpark could not be missed (as Linux' futex does).
 * May also return for no reason: callers loop. Context: interrupts on.
 */
void lh_port_park(lh_port *port, const uint32_t *word, uint32_t expected);

/* Wakes all that are parked on the word. Context: any. */
void lh_port_unpark(lh_port *port, const uint32_t *word);

/* --- Fault tier --- */

/*
 * Frames have run out. The host may free some (reclaim, kill a process).
 * => pages: how many are missing at the least.
 * => true: worth trying again; false: give up. May call the library. May wait.
 * Context: no lock.
 */
bool lh_port_memory_pressure(lh_port *port, uint64_t pages);

/* --- Debug tier: asked for by builds with LH_DEBUG 2 alone --- */

#define LH_LOCKS_HELD_MAX 12

/*
 * The library's locks that one context holds, and calls of the port that it is in: a thread of the kernel,
 * or a CPU where there are no threads. Zeroed when the context begins; from then on the library's alone. A context
 * that the host ends in the middle of a call (a test after a panic) zeroes it again.
 */
typedef struct lh_lock_record {
	uint32_t count;
	uint32_t inside[2]; /* port functions that it is in now, called with interrupts off; on */
	struct {
		const void *lock;
		uint32_t kind;
	} held[LH_LOCKS_HELD_MAX]; /* in the order in which they were taken */
} lh_lock_record;

/*
 * The record of the context that this runs in; NULL: none, and nothing is checked. It moves with
 * a thread from CPU to CPU, so that it must be the thread's wherever threads may sleep.
 * Context: any.
 */
lh_lock_record *lh_port_lock_record(lh_port *port);

/* --- Architecture tier: arch/ supplies these on a real machine, the hosted
 * machine its own. Listed here because they are link-time names like the rest. --- */

/*
 * Removes from this CPU's TLB every translation of the range that was made from
 * the directory whose root is given, and all paging-structure caches for it.
 * => global: the range may have been cached as global (kernel half). An empty range: only what
 * orders the writes to tables before this, and the walks and instructions after it: those of this CPU, and
 * of others that have been told of it since.
 * Context: interrupts off.
 */
void lh_architecture_flush_local(lh_port *port, lh_frame_number root, lh_virtual_range range,
				 bool global);

/*
 * Makes this CPU translate by the directory with this root, and drops what is cached of the one
 * before, but for what is global. Where each half has a root of its own (aarch64) the kernel's is the
 * host's to load, before: told that one, this leaves the CPU without a low half.
 * Context: interrupts off.
 */
void lh_architecture_load(lh_port *port, lh_frame_number root);

#ifdef __cplusplus
}
#endif
#endif
