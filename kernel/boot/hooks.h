/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the core of the kernel calls above itself: defined by process/ and syscall/.
 */
#ifndef KERNEL_BOOT_HOOKS_H
#define KERNEL_BOOT_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

#include <landhold/space.h>

struct trap_frame;

/* Boot is done: make and start the first process. In a kernel thread. */
void process_start_first(void);

/* A system call: number in rax, arguments in rdi rsi rdx r10 r8 r9; the result goes to rax.
 * Interrupts on. */
void system_call(struct trap_frame *frame);

/* Before every return to user mode, interrupts on: deliver signals, change the frame, or exit. It
 * is called again if an interrupt comes in between, until thread->interrupted is seen clear
 * (it must clear that flag when it has nothing left to deliver). */
void process_before_user(struct trap_frame *frame);

/* An exception in user mode that nobody resolved. */
struct user_trap {
	uint64_t vector;
	uint64_t error_code;
	uint64_t address; /* page faults: what was touched (CR2); else the frame's rip */
	lh_fault fault;	  /* page faults: what lh_space_fault said (never OK) */
};

/* Turn it into a signal. Interrupts on; process_before_user follows. */
void process_user_trap(struct trap_frame *frame, const struct user_trap *trap);

/*
 * Frames have run out: kill the largest process (it dies when it next returns to user mode,
 * or in its sleep). pages: missing at least. => true: worth trying again, the caller waits a
 * little; false: nothing to kill, or it is the caller's own process that was chosen, and
 * must get its error. Context: a thread, no lock.
 */
bool process_memory_pressure(uint64_t pages);

#endif
