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

/* A function of the port begins. => machine: NULL, nobody is told */
void machine_enter(lh_port *machine, const char *function);

/* --- the adversary: all do nothing while nobody watches, or while CPUs are threads --- */

/* A moment at which other CPUs could do anything. => keep: pointers to tables may be in use. */
void machine_settle(lh_port *machine, bool keep);
/* The same, and the operation of the library is over. */
void machine_settle_operation(lh_port *machine);
/* At rest: no stale entry is left anywhere. => NULL, or text: which one. */
const char *machine_check_rest(lh_port *machine, char *text, size_t room);
/* The library has a pointer to the frame's bytes. */
void machine_note_pointer(lh_port *machine, uint64_t frame);
/* A walk has set a flag in the entry at a physical address. */
void machine_note_hardware(lh_port *machine, uint64_t physical, uint64_t entry);
/* The current CPU has flushed; has loaded its root, after another (a frame, or LH_NO_FRAME). */
void machine_note_flush(lh_port *machine, lh_frame_number root, lh_virtual_range range, bool global);
void machine_note_load(lh_port *machine, uint64_t before);
/* The CPUs were threads for a while: begins with the tables as they are. */
void machine_watch_again(lh_port *machine);

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
