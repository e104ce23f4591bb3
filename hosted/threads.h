/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPUs as threads: each CPU of a machine runs a program of its own, on a thread of its own,
 * all at the same time.
 *
 *     static void program(void *context, unsigned cpu) { ... machine_step(machine, "map"); ... }
 *     CHECK_SOUND(machine_run_threads(machine, program, &test));
 *
 * Interrupts. A CPU takes a call of another one (lh_port_call_cpus) where it looks for it:
 * when it turns its interrupts on, pauses, parks, or waits for a call of its own, before each
 * memory access, and as long as it is idle, its program having ended. Never with interrupts
 * off, and never in the middle of an access: translation and access are one, as on a CPU.
 * The caller returns when all that it called have run the function.
 *
 * The machine. Each CPU's registers and TLB belong to its thread, which alone touches them;
 * what reaches the TLB from elsewhere comes as a call. The words of page tables are read and
 * written by atomic operations, the bytes of data pages likewise, so that a race detector
 * takes them for what they are, and sees each plain access of the library that needed an
 * order and had none. For that reason nothing here orders the threads that a real machine
 * would not order: counters and looks for calls are relaxed.
 *
 * The shadow of the frames is not kept meanwhile. In its place machine->in_use is asked, for
 * each table that is walked, and for each page before and after an access to it.
 *
 * A panic or a report on one thread ends the run: the other threads leave their programs
 * where they next look for calls. What the library was doing stays half done: the machine
 * can then only be destroyed. So it is when a CPU makes no step for stall_seconds: the report
 * then says of each CPU what it waits for.
 */
#ifndef HOSTED_THREADS_H
#define HOSTED_THREADS_H

#include "machine.h"

#define MACHINE_THREADS_MAX 8
#define MACHINE_STALL_SECONDS 20

/* What a CPU runs. May end by a panic, and by machine_report. */
typedef void machine_program(void *context, unsigned cpu);

/*
 * Runs the program on every CPU of the machine, and returns when all have ended.
 * => at most MACHINE_THREADS_MAX CPUs, all with interrupts on; the caller's thread runs none
 *    of them meanwhile.
 * => NULL if all is well, else the message of the first panic or report, valid until the
 *    next call in this thread.
 */
const char *machine_run_threads(lh_port *machine, machine_program *program, void *context);

/*
 * This CPU's program gets on. => what: what comes next, for the report of a stall; a text
 * that stays.
 */
void machine_step(lh_port *machine, const char *what);

/*
 * Waits, taking calls, until as many CPUs as the machine has wait so, for the n-th time each.
 */
void machine_meet(lh_port *machine);

#endif
