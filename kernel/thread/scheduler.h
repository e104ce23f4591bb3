/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The scheduler's inside, for thread.c, wait.c and the timer. One lock over the run queue, every
 * thread's state and every wait queue: simple, and short while held. It is held across a switch
 * of stacks: who runs next lets it go.
 */
#ifndef KERNEL_THREAD_SCHEDULER_H
#define KERNEL_THREAD_SCHEDULER_H

#include "cpu/percpu.h"
#include "thread/spinlock.h"
#include "thread/thread.h"

extern struct spinlock scheduler_lock;

/* Gives the CPU to the next thread that can run (idle if none), or back to this one if its state
 * is RUNNABLE and nobody else wants it. Returns when this one runs again. Lock held. */
void scheduler_switch_locked(void);

/* A sleeping thread can run again. Lock held. */
void scheduler_wake_locked(struct thread *thread);

/* Puts a thread that is about to sleep among those with a deadline. Lock held. */
void scheduler_set_deadline_locked(struct thread *thread, uint64_t deadline);

/* If the thread runs, its CPU passes the way out of an interrupt soon, and looks there whether the
 * thread was interrupted. Lock held. */
void scheduler_poke_locked(const struct thread *thread);

/* A new thread joins the run queue. Lock held. */
void scheduler_add_locked(struct thread *thread);

/* Boot: what CPUs send each other is understood. */
void scheduler_start(void);
/* Boot: this CPU's flow of control becomes its idle thread. */
void scheduler_adopt_idle(struct cpu *cpu, struct thread *idle, uint64_t stack_top);
/* And goes idle, for good. */
__attribute__((noreturn)) void scheduler_idle(void);

/* The timer's interrupt, on each CPU. Interrupts off. */
void scheduler_tick(bool was_in_user_mode);

/* Called by each tick of the first CPU, interrupts off: what must be polled. Boot only. */
void scheduler_set_tick_hook(void (*hook)(void));

/* Boot: makes the thread that frees dead ones. */
void thread_start_reaper(void);

#endif
