/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The threads of a process: what each has of its own beside the kernel's thread that it runs on.
 * A process has at least one from its publication to its end; they share its memory, files,
 * directory and signal actions, so that those are the process' (process.h), not counted by thread.
 *
 * Locks: as in process.h. [t] is the thread itself, without a lock.
 *
 * Life: made, published (it has a number, is in its process' list, can be signalled), started; it
 * leaves the list by itself, in user_thread_exit. The record is freed by the thread, the stack and
 * the kernel's struct by the reaper a moment later; process->threads_kept counts those.
 *
 * A thread that must end (thread_ask_to_end) notices at its next return to user mode, and its
 * sleeps end, but for those that are short. All of a process' must when the process ends
 * (process_end_locked), all but one when that one executes a program.
 */
#ifndef KERNEL_PROCESS_USER_THREAD_H
#define KERNEL_PROCESS_USER_THREAD_H

#include "arch/x86_64/trap_frame.h"
#include "lib/list.h"
#include "process/signal.h"
#include "thread/thread.h"

struct process;

#define THREAD_NAME_BYTES 16
#define THREAD_NO_CALL UINT64_MAX
#define SYSTEM_CALL_BYTES 2u /* of the instruction */

/* How a new thread begins. */
struct user_start {
	struct trap_frame frame;
	uint64_t tls;
	bool has_tls;
	uint64_t set_tid; /* user address that gets its number; 0: none */
};

/*
 * A call that was interrupted. On the way to user mode it is made to start again, if no handler
 * runs first, or one that asks for it and the call does as well. Without a handler it is the same
 * call that goes on: it keeps its deadline. It is known by where it is made.
 */
struct interrupted_call {
	uint64_t number;		       /* THREAD_NO_CALL: none */
	bool gives_up;			       /* after a handler, whatever that asks for */
	uint64_t resumed;		       /* number of a call that will go on, or THREAD_NO_CALL */
	uint64_t resumed_at, resumed_stack;    /* its instruction and stack pointers */
	uint64_t deadline;		       /* of the call */
};

struct user_thread {
	uint32_t tid;		      /* [p] of the process' first thread: the pid */
	struct process *process;      /* [c] lives as long as it has threads */
	struct thread *thread;	      /* [c] */
	struct list sibling;	      /* [p] in process->threads */
	struct signal_thread signals; /* [p] */
	char name[THREAD_NAME_BYTES]; /* [p] */
	uint64_t clear_tid;	      /* [t] user address to clear and wake at the end; 0: none */
	uint64_t robust_list;	      /* [a] user address of the list's head; 0: none */
	struct interrupted_call call; /* [t] */
	struct user_start start;      /* [c] */
};

static inline struct user_thread *user_thread_current(void)
{
	return thread_current()->user;
}

/* A thread for the process, not published: it begins as start says, with the current thread's
 * FPU. => LH_NO_MEMORY. */
LH_MUST_USE lh_error user_thread_create(struct process *process, const struct user_start *start,
					struct user_thread **user);
/* The current kernel thread becomes a thread of the process, not published. => LH_NO_MEMORY. */
LH_MUST_USE lh_error user_thread_adopt(struct process *process, struct user_thread **user);
/* Frees one that was never published; the adopted thread itself goes on. */
void user_thread_destroy(struct user_thread *user);

/* Gives the thread this number and puts it into its process' list. Under the process lock. */
void user_thread_publish_locked(struct user_thread *user, uint32_t tid);
/* The same for one more thread of the current process, with a number of its own.
 * => LH_INTERRUPTED: the current thread must end. */
LH_MUST_USE lh_error user_thread_publish(struct user_thread *user);

/* Ends the current thread; its process too if it was the last. => status: as wait4 gives it; the
 * process' if this was the last thread, and the process was not ended otherwise. */
LH_NO_RETURN void user_thread_exit(uint32_t status);

/* For the current thread, whose memory is still there: lets go of what it holds in it, robust
 * futexes and the word that who joins it waits for. Once. */
void user_thread_leave_memory(struct user_thread *user);

/* True if the current thread must end. A kernel thread never must. */
bool user_thread_must_end(void);

/* Ends all other threads of the current process, and waits until they have left it.
 * => LH_INTERRUPTED: the current one must end itself. */
LH_MUST_USE lh_error user_thread_end_others(void);

/* Under the process lock; NULL: none. */
struct user_thread *user_thread_find_locked(uint32_t tid);
/* The process' first thread, or its oldest if that has ended; NULL: it has none. */
struct user_thread *user_thread_first_locked(const struct process *process);

#endif
