/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the machine share and its users do not need. */
#ifndef HOSTED_MACHINE_INTERNAL_H
#define HOSTED_MACHINE_INTERNAL_H

#include "machine.h"

/* The shadow of a frame; NULL where there is no RAM. */
machine_frame *machine_shadow(const lh_port *machine, uint64_t frame);

/* True if the machine knows that nobody holds the frame. => the frame is RAM. */
bool machine_is_freed(const lh_port *machine, uint64_t frame);

/* Makes the CPU the calling thread's, without machine_run_on's check. */
void machine_become(lh_port *machine, unsigned cpu);

/* Runs a function on the CPU, which the caller runs, as its interrupt handler would. */
void machine_run_call(lh_port *machine, unsigned cpu, void (*function)(void *), void *argument);

/* Drops expectations of a panic whose functions were left by a longjmp. */
void machine_forget_expectations(void);

/* --- the port while each CPU is a thread: threads.c. => machine->threads --- */

/* An interrupt may come here, if interrupts are on; and the end of a run that failed. */
void machine_threads_poll(lh_port *machine);
/* Interrupts have been turned off or on. */
void machine_threads_note_interrupts(lh_port *machine, bool on);
void machine_threads_call(lh_port *machine, const lh_cpu_set *cpus, void (*function)(void *),
			  void *argument);
void machine_threads_pause(lh_port *machine);
void machine_threads_park(lh_port *machine, const uint32_t *word, uint32_t expected);
void machine_threads_unpark(lh_port *machine, const uint32_t *word);
/* Around what all threads of the machine write: its log. */
void machine_threads_lock(lh_port *machine);
void machine_threads_unlock(lh_port *machine);

#endif
