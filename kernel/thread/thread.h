/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads: what the CPUs run. Each has a kernel stack of its own (a kernel region with a guard
 * page below). Kernel mode is not pre-empted: a thread runs there until it sleeps, yields
 * or returns to user mode; user mode is pre-empted by the tick.
 *
 * Fields by who may touch them:
 *   [c] constant after thread_create and before thread_start
 *   [s] the scheduler's lock
 *   [m] the thread itself only (or while it is not started)
 *   [a] any, by atomic operations
 */
#ifndef KERNEL_THREAD_THREAD_H
#define KERNEL_THREAD_THREAD_H

#include <landhold/port.h>
#include <landhold/region.h>
#include <landhold/space.h>

#include "lib/error.h"
#include "lib/list.h"
#include "thread/wait.h"

struct cpu;
struct trap_frame;
struct user_thread;

#define THREAD_STACK_PAGES 4
#define THREAD_NO_DEADLINE UINT64_MAX

enum thread_state { THREAD_NEW, THREAD_RUNNABLE, THREAD_RUNNING, THREAD_SLEEPING, THREAD_DEAD };

struct thread {
	uint64_t saved_stack;	      /* [s] offset 0: the stack pointer while it does not run */
	uint8_t fpu[512] __attribute__((aligned(16))); /* [m] fxsave image while it does not run */
	uint64_t stack_top;	      /* [c] */
	lh_region stack;	      /* [c] the kernel region of its stack */
	uint64_t fs_base, gs_base;    /* [m] user segment bases, while the selector is 0 */
	uint64_t selectors;	      /* [m] of user mode, while it does not run: thread/selectors.h */
	struct user_thread *user;     /* [m] NULL: a kernel thread. Written by thread_set_space's
					 caller or before thread_start */
	lh_space *space;	      /* [m] NULL: runs on whatever is loaded. thread_set_space */
	enum thread_state state;      /* [s] */
	struct cpu *cpu;	      /* [s] where it runs, or ran last; NULL: it never did */
	uint64_t allowed_cpus;	      /* [s] a bit each */
	struct list queue;	      /* [s] in a run queue, or among the dead */
	struct list timed;	      /* [s] among the sleepers with a deadline */
	uint64_t deadline;	      /* [s] clock_nanoseconds */
	struct waiter *waiters;	      /* [s] what it sleeps on: an array, while SLEEPING */
	size_t waiter_count;	      /* [s] */
	enum sleep sleep;	      /* [s] which of these flags end its sleep */
	bool interrupted;	      /* [a] set by thread_interrupt, cleared by process code */
	bool must_end;		      /* [a] set by thread_ask_to_end, for good */
	uint64_t run_ticks;	      /* [a] ticks that found it running */
	uint64_t user_ticks;	      /* [a] those of them in user mode */
	void (*entry)(void *);	      /* [c] */
	void *argument;		      /* [c] */
	const char *name;	      /* [c] for messages */
	void (*when_freed)(void *);   /* [m] called by the reaper once stack and struct are free;
					 NULL: nothing */
	void *when_freed_argument;    /* [m] */
	uint64_t refusal_in;	      /* [m] so many allocations on one is refused (memory/refusal.h); 0: none */
#if LH_DEBUG >= 2
	lh_lock_record library_locks; /* [m] what it holds inside the library: thread/lock_check.h */
#endif
};

struct thread *thread_current(void);

/*
 * Makes a thread that will call entry(argument) in kernel mode with interrupts on; when entry
 * returns it exits. It has no user thread, no space, and a clean FPU; set the fields, then
 * thread_start. => LH_NO_MEMORY.
 */
LH_MUST_USE lh_error thread_create(void (*entry)(void *), void *argument, struct thread **thread);
/* The same in memory of the caller's, for those that never end: what is in the heap can all be freed. */
LH_MUST_USE lh_error thread_prepare(struct thread *thread, void (*entry)(void *), void *argument);
/* Prepares and starts one of the kernel's own at boot, where there is no going on without: panics. */
void thread_start_lasting(struct thread *thread, const char *name, void (*entry)(void *));
/* Takes that back for one that was never started. */
void thread_take_back(struct thread *thread);
void thread_start(struct thread *thread);
/* Frees a thread that was never started. */
void thread_destroy(struct thread *thread);

/* Ends this thread. Its stack and struct are freed by the reaper, later: the process must have
 * let go of it. Leaves its space first (thread_set_space(NULL)). */
__attribute__((noreturn)) void thread_exit(void);

void thread_yield(void);
/* Uninterruptible; to the next tick after the time. */
void thread_sleep_until(uint64_t nanoseconds);

/* The current thread changes its space: loads it on this CPU and leaves the one before, which may
 * then be destroyed. NULL: the kernel's own directory. */
void thread_set_space(lh_space *space);

/* The current thread's user FS or GS base (arch_prctl). => LH_NOT_PERMITTED: not a user address. */
LH_MUST_USE lh_error thread_set_fs_base(uint64_t base);
LH_MUST_USE lh_error thread_set_gs_base(uint64_t base);

/* The thread runs only on these CPUs, a bit each, from its next turn on. => cpus: at least one that runs. => the
 * other CPU that it is running on and may not be, a bit, or 0: thread_send_away ends that turn. Any context. */
LH_MUST_USE uint64_t thread_set_allowed_cpus(struct thread *thread, uint64_t cpus);

/* When it returns, nothing that ran on the CPUs before goes on in user mode but by a new turn. Context: interrupts on,
 * no spinlock. */
void thread_send_away(uint64_t cpus);

/* The child's FPU image, selectors, FS and GS base, and where it may run, become the current
 * thread's. child: not started. */
void thread_copy_user_state(struct thread *child);
/* The current thread's FPU, selectors and segment bases as a new program finds them. */
void thread_reset_user_state(void);
/* For signal frames: the current thread's FPU to and from an aligned image of 512 bytes. What
 * was read back may set no reserved bit of MXCSR: => LH_INVALID, and nothing is loaded. */
void thread_save_fpu(void *image);
LH_MUST_USE lh_error thread_load_fpu(const void *image);

/* Sets interrupted, and wakes the thread if it sleeps till signalled. Any context. */
void thread_interrupt(struct thread *thread);
/* Sets must_end and interrupted, and wakes it unless it sleeps firmly. Any context. */
void thread_ask_to_end(struct thread *thread);

/* Where the thread's last entry from user mode left its registers: the top of its stack. */
struct trap_frame *thread_user_frame(struct thread *thread);

/* Waits until all that thread_create made are freed. => false: not by then. */
bool thread_all_ended(uint64_t deadline);

/* Threads of every kind that exist. */
uint64_t thread_count(void);

#endif
