/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Processes: what the threads of one share (user_thread.h says what each has of its own).
 *
 * Locks, first to last:
 *   [m] a memory's mutex: brk, and steps on a space that must not mix
 *   [p] the process lock, one spinning lock for all: the family tree, groups, states,
 *       and everything about threads and signals; and the pointers to memory, files and
 *       directory. Memory and files only change when the process has one thread, so that its
 *       threads read them without
 *   [s] the scheduler's, taken by wake_all and thread_interrupt
 * [c] constant once made; [a] atomic access.
 *
 * Life: made by fork, alive, ending (is_exiting: its threads end one by one, the last gives
 * memory and files back), zombie (threads, memory and files are gone), reaped by its parent,
 * freed with its last holder. Whose parent ends goes to nobody: the kernel
 * reaps it when it ends.
 */
#ifndef KERNEL_PROCESS_PROCESS_H
#define KERNEL_PROCESS_PROCESS_H

#include <landhold/space.h>

#include "arch/x86_64/trap_frame.h"
#include "fs/file.h"
#include "lib/list.h"
#include "process/signal.h"
#include "process/user_thread.h"
#include "thread/thread.h"

/* --- memory --- */

struct user_memory {
	uint32_t holders;	    /* [a] */
	lh_space *space;	    /* [c] */
	void *block;		    /* [c] the space lies in it */
	struct mutex lock;	    /* [m] */
	uint64_t brk_start, brk;    /* [m] bytes */
	uint64_t stack_top;	    /* [c] once executed: where the first stack pointer was */
	lh_virtual_range placement; /* [c] where mmap places */
	struct inode *executable;   /* [c] held; NULL: none */
	char command[256];	    /* [c] the arguments, each terminated, cut */
	uint32_t command_length;    /* [c] */
};

/* An empty memory with one holder. LH_NO_MEMORY. */
LH_MUST_USE lh_error user_memory_create(struct user_memory **memory);
/* A copy, as fork makes it. LH_NO_MEMORY, LH_LIMIT. */
LH_MUST_USE lh_error user_memory_fork(struct user_memory *memory, struct user_memory **copy);
void user_memory_hold(struct user_memory *memory);
/* The last one frees the space: no thread runs in it any more. Accepts NULL. */
void user_memory_drop(struct user_memory *memory);

#define USER_STACK_PAGES_MAX 2048u   /* 8 MiB */
#define USER_STACK_GUARD_PAGES 256u  /* 1 MiB, as Linux' stack_guard_gap */
#define USER_ADDRESS_MIN 65536u	     /* Linux' mmap_min_addr */

/* --- processes --- */

enum process_state { PROCESS_ALIVE, PROCESS_ZOMBIE };

#define PROCESS_NAME_BYTES THREAD_NAME_BYTES

struct process {
	uint32_t holders;	       /* [a] */
	uint32_t pid;		       /* [c] */
	struct list all;	       /* [p] in the list of all */
	struct process *parent;	       /* [p] held; NULL: the kernel reaps it */
	struct list children, sibling; /* [p] */
	uint32_t group, session;       /* [p] */
	enum process_state state;      /* [p] */
	struct list threads;	       /* [p] oldest first */
	uint32_t thread_count;	       /* [p] of that list; read by [a] as well */
	uint32_t threads_kept;	       /* [p] published, and the stack not freed yet */
	struct wait_queue thread_queue;/* thread_count became smaller */
	bool has_executed;	       /* [p] since its fork: setpgid looks */
	bool is_exiting;	       /* [p] read by [a]: all its threads must end */
	bool is_stopped;	       /* [p] by a signal: its threads wait, or are about to */
	bool is_stop_told;	       /* [p] since it stopped: all threads wait, and the parent knows */
	uint32_t threads_stopped;      /* [p] that wait */
	bool stop_reported, continue_reported; /* [p] to the parent; false: news */
	uint32_t stop_signal;	       /* [p] */
	uint32_t exit_status;	       /* [p] as wait4 gives it */
	uint32_t exit_signal;	       /* [c] what the parent gets */
	struct wait_queue child_queue; /* a child changed state */
	struct wait_queue stop_queue;  /* is_stopped became false */
	struct user_memory *memory;    /* [p] held */
	struct descriptor_table *files;/* [p] held */
	struct inode *directory;       /* [p] held; process_hold_directory */
	uint32_t umask;		       /* [a] */
	char name[PROCESS_NAME_BYTES]; /* [p] its first thread's */
	struct signal_state signals;   /* [p] */
	uint64_t start_time;	       /* [c] nanoseconds since boot */
	uint64_t ticks_user, ticks_kernel;	       /* [p] of threads that ended */
	uint64_t children_user, children_kernel;       /* [p] of reaped children */
	uint64_t alarm_deadline, alarm_interval;       /* [p] nanoseconds; 0: none */
	uint64_t dying_since;	       /* [a] when memory was first waited for from it; 0: never */
	bool memory_is_borrowed;       /* [a] vfork: the parent's thread waits for its return */
	struct wait_queue return_queue;/* memory_is_borrowed became false */
};

/* NULL: the current thread is a kernel thread. */
static inline struct process *process_current(void)
{
	const struct user_thread *user = user_thread_current();

	return user != NULL ? user->process : NULL;
}

/* The permissions that the current process' new files are not given. */
static inline uint32_t process_umask(void)
{
	return __atomic_load_n(&process_current()->umask, __ATOMIC_RELAXED);
}

uintptr_t process_lock(void);
void process_unlock(uintptr_t interrupts);

/* How many there may be; who is dead and still held counts. */
uint64_t process_limit(void);
/* A process without memory, threads, files: in no list, no pid. LH_NO_MEMORY; LH_AGAIN: there are as
 * many as there may be. */
LH_MUST_USE lh_error process_create(struct process **process);
/* Gives it a pid and puts it into the list of all, as a child of parent (NULL: none); publishes its
 * first thread. */
void process_publish(struct process *process, struct process *parent, struct user_thread *first);
void process_hold(struct process *process);
void process_drop(struct process *process);

/* Waits until there is no process any more, whose record is freed as well. => false: not by then. */
bool process_all_freed(uint64_t deadline);

/* => held; NULL: none. */
struct process *process_find(uint32_t pid);
/* The one with the lowest pid at or above, held; NULL: none. */
struct process *process_next(uint32_t pid);
/* For a walk over all: the one that comes after, held, in the place of this one. Those that are made or
 * end in the meantime may be missed; pids are not in order after a wrap. NULL: it was the last. */
struct process *process_after(struct process *process);
/* Memory of any process, held; NULL: it has none any more. */
struct user_memory *process_hold_memory(struct process *process);
/* The current process' directory, held: another thread may change it at any time. */
struct inode *process_hold_directory(void);
uint32_t process_count(void);
uint32_t process_last_pid(void);
/* A number that is no process, thread, group or session. Under the process lock. */
uint32_t process_next_number_locked(void);
/* Ticks that its threads have run, user and kernel. */
void process_read_ticks(struct process *process, uint64_t *user, uint64_t *kernel);

/* Under the process lock: each process of all. */
struct list *process_list_locked(void);

/* --- what processes do; fork.c, exec.c, exit.c, wait.c --- */

#define CLONE_FLAG_MEMORY 0x100u
#define CLONE_FLAG_DIRECTORY 0x200u /* CLONE_FS */
#define CLONE_FLAG_FILES 0x400u
#define CLONE_FLAG_HANDLERS 0x800u
#define CLONE_FLAG_VFORK 0x4000u
#define CLONE_FLAG_THREAD 0x10000u
#define CLONE_FLAG_SEMAPHORES 0x40000u
#define CLONE_FLAG_SET_TLS 0x80000u
#define CLONE_FLAG_PARENT_SET_TID 0x100000u
#define CLONE_FLAG_CHILD_CLEAR_TID 0x200000u
#define CLONE_FLAG_DETACHED 0x400000u /* means nothing any more */
#define CLONE_FLAG_CHILD_SET_TID 0x1000000u

struct clone_request {
	uint64_t flags;
	uint64_t stack; /* 0: the parent's */
	uint64_t parent_tid, child_tid, tls;
};
/*
 * A new process, or with CLONE_FLAG_THREAD a new thread of the current one. => *number: its pid or
 * tid. => LH_INVALID: flags that contradict each other, or that are not there; LH_NOT_PERMITTED:
 * the TLS is no user address; LH_NO_MEMORY, LH_LIMIT; LH_INTERRUPTED: the current thread must end.
 * A parent that must end does not wait for vfork's child.
 */
LH_MUST_USE lh_error process_clone(const struct trap_frame *frame,
				   const struct clone_request *request, uint32_t *number);

/* Arguments and environment: strings in one block, arguments first. */
struct program_arguments {
	char *bytes;
	size_t capacity, used;
	uint32_t argument_count, environment_count;
};
LH_MUST_USE lh_error program_arguments_add(struct program_arguments *arguments, const char *string,
					   size_t length);
void program_arguments_free(struct program_arguments *arguments);

/*
 * Makes the current process run the program. On success the frame is that of the new
 * program; on error nothing has changed.
 */
LH_MUST_USE lh_error process_execute(const char *path, struct program_arguments *arguments,
				     struct trap_frame *frame);

/* Ends the current process, all its threads. => status: as wait4 gives it. */
LH_NO_RETURN void process_exit(uint32_t status);
/* All threads of the process must end. The first call decides the status. Under the process lock. */
void process_end_locked(struct process *process, uint32_t status);
/* Ends all processes there are, whatever they do. In a kernel thread; returns when they are freed, or at
 * the deadline: => false. */
LH_MUST_USE bool process_end_all(uint64_t deadline);
/* The current thread, the last one, has left the list: gives memory and files back. */
void process_give_back(struct process *process);
/* Nothing is left of the process' threads. In the reaper. */
void process_become_zombie(struct process *process);
/* vfork's child no longer uses its parent's memory. */
void process_return_memory(struct process *process);

struct wait_request {
	int64_t pid; /* as waitpid(2): > 0, 0: own group, -1: any, < -1: group */
	bool no_hang, stopped, continued, exited, keep;
};
struct wait_result {
	uint32_t pid; /* 0: no_hang and nothing to tell */
	uint32_t status;
	uint64_t user_ticks, kernel_ticks;
};
LH_MUST_USE lh_error process_wait(const struct wait_request *request, struct wait_result *result);
/* Takes a zombie out of the tree. Under the process lock; the list's holder passes to the
 * caller, who drops it after the lock. */
void process_reap_locked(struct process *process);

/* Groups and sessions: groups.c. */
LH_MUST_USE lh_error process_set_group(uint32_t pid, uint32_t group);
LH_MUST_USE lh_error process_new_session(uint32_t *session);

/* alarm.c. => what was left before, nanoseconds. */
void process_set_alarm(uint64_t after, uint64_t interval, uint64_t *left, uint64_t *old_interval);
void process_read_alarm(uint64_t *left, uint64_t *interval);
LH_MUST_USE lh_error process_start_alarms(void);
/* The thread that sends them ends, soon. */
void process_stop_alarms(void);

/* Begins the thread that puts pages together, if the kernel's command line asks for it (huge.c). */
LH_MUST_USE lh_error process_start_huge_scan(void);
/* That thread, if there is one, ends, soon. */
void process_stop_huge_scan(void);

#endif
