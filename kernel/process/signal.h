/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signals. All state is under the process lock. A signal is pending for a process, or for one
 * thread; who sends it sets the interrupted flag of a thread that can take it, if there is one that
 * does not block it. A thread takes signals when it next returns to user mode (signal_deliver.c),
 * first its own, then the process'; a handler by a frame on the user stack (signal_frame.c).
 *
 * Invariant: while a signal is pending that some thread does not block, one such thread has its
 * interrupted flag set, or is on its way to take it. So a thread that begins to block signals, or
 * ends, passes those pending for the process on (signal_pass_on_locked).
 *
 * SIGKILL never pends: its process ends at once (process_end_locked).
 */
#ifndef KERNEL_PROCESS_SIGNAL_H
#define KERNEL_PROCESS_SIGNAL_H

#include <landhold/space.h>

#include "syscall/linux.h"

struct process;
struct user_thread;
struct trap_frame;

#define SIGNAL_BIT(number) (UINT64_C(1) << ((number) - 1))
#define SIGNAL_UNBLOCKABLE (SIGNAL_BIT(SIGNAL_KILL) | SIGNAL_BIT(SIGNAL_STOP))

/* What signals do whose action is the default, and that do not end the process. */
#define SIGNALS_IGNORED_BY_DEFAULT                                                           \
	(SIGNAL_BIT(SIGNAL_CHILD) | SIGNAL_BIT(SIGNAL_CONTINUE) | SIGNAL_BIT(SIGNAL_URGENT) | \
	 SIGNAL_BIT(SIGNAL_WINDOW))
#define SIGNALS_STOP_BY_DEFAULT                                                              \
	(SIGNAL_BIT(SIGNAL_STOP) | SIGNAL_BIT(SIGNAL_TERMINAL_STOP) |                        \
	 SIGNAL_BIT(SIGNAL_TERMINAL_INPUT) | SIGNAL_BIT(SIGNAL_TERMINAL_OUTPUT))
/* What exceptions become. */
#define SIGNALS_OF_FAULTS                                                                    \
	(SIGNAL_BIT(SIGNAL_SEGMENT) | SIGNAL_BIT(SIGNAL_BUS) | SIGNAL_BIT(SIGNAL_ILLEGAL) |  \
	 SIGNAL_BIT(SIGNAL_TRAP) | SIGNAL_BIT(SIGNAL_FLOATING_POINT))

#define SIGNAL_DEFAULT UINT64_C(0)
#define SIGNAL_IGNORE UINT64_C(1)

/* sigaction(2), as the kernel interface lays it out. */
struct signal_action {
	uint64_t handler;
	uint64_t flags;
	uint64_t restorer;
	uint64_t mask;
};
#define ACTION_NO_CHILD_STOP 0x1u
#define ACTION_NO_CHILD_WAIT 0x2u
#define ACTION_INFO 0x4u
#define ACTION_RESTORER 0x04000000u
#define ACTION_ON_STACK 0x08000000u
#define ACTION_RESTART 0x10000000u
#define ACTION_NO_DEFER 0x40000000u
#define ACTION_RESET 0x80000000u

/* siginfo_t of the kinds that are sent here. */
struct signal_info {
	int32_t code;	  /* SI_USER and so on */
	uint32_t pid;
	uint32_t status;  /* SIGCHLD */
	uint64_t address; /* SIGSEGV, SIGBUS, ... */
};
#define SIGNAL_CODE_USER 0
#define SIGNAL_CODE_KERNEL 0x80
#define SIGNAL_CODE_TGKILL (-6)
#define SIGNAL_CODE_EXITED 1
#define SIGNAL_CODE_KILLED 2
#define SIGNAL_CODE_STOPPED 5
#define SIGNAL_CODE_CONTINUED 6
#define SIGNAL_CODE_NOT_MAPPED 1
#define SIGNAL_CODE_NO_ACCESS 2
#define SIGNAL_CODE_NO_ADDRESS 2

struct signal_stack {
	uint64_t address;
	uint32_t flags;
	uint32_t padding;
	uint64_t bytes;
};
#define SIGNAL_STACK_ON 1u
#define SIGNAL_STACK_DISABLED 2u
#define SIGNAL_STACK_AUTO_DISARM 0x80000000u
#define SIGNAL_STACK_BYTES_MIN 2048u

struct signal_set {
	uint64_t pending;
	struct signal_info info[SIGNAL_MAX]; /* of what is pending */
};

/* What the threads of a process share. */
struct signal_state {
	struct signal_set set;
	struct signal_action actions[SIGNAL_MAX];
};

/* What each has of its own. */
struct signal_thread {
	struct signal_set set;
	uint64_t mask;
	uint64_t awaited;    /* what sigtimedwait waits for: wakes though it is blocked */
	uint64_t saved_mask; /* what sigsuspend put aside, if mask_is_saved */
	bool mask_is_saved;  /* written by the thread itself */
	struct signal_stack stack;
};

/* Sends to a process. => number: 1 to SIGNAL_MAX. Context: any but under the process lock; the
 * second under it. */
void signal_send(struct process *process, uint32_t number, const struct signal_info *info);
void signal_send_locked(struct process *process, uint32_t number, const struct signal_info *info);
/* To one thread. Under the process lock. */
void signal_send_thread_locked(struct user_thread *user, uint32_t number,
			       const struct signal_info *info);
/* To the current thread, as if it sent it to itself. */
void signal_send_self(uint32_t number);
/* To all of a group, from the kernel. => false: there is none. */
bool signal_send_group(uint32_t group, uint32_t number, const struct signal_info *info);

/* To the current thread, which cannot block or ignore it: a fault. */
void signal_force(uint32_t number, const struct signal_info *info);

/* What is pending for the thread or its process, blocked or not. Under the process lock. */
uint64_t signal_pending_locked(const struct user_thread *user);
/* Takes one of these signals that are pending, the thread's own first. Under the process lock.
 * => false: there is none. */
bool signal_take_locked(struct user_thread *user, uint64_t wanted, uint32_t *number,
			struct signal_info *info);
/* Whoever can take what is pending for the process looks. Under the process lock. */
void signal_pass_on_locked(struct process *process);

/* True if the current thread ignores or blocks the signal. */
bool signal_is_unwanted(uint32_t number);

/* Changes the mask of the current thread; unblockable signals stay unblocked. The second for any
 * thread, under the process lock. */
void signal_set_mask(uint64_t mask);
void signal_set_mask_locked(struct user_thread *user, uint64_t mask);

/* For the length of a call: another mask; and the one from before again. If a signal ends the
 * call, the second is not called: delivery brings the mask back after the handler. */
void signal_replace_mask(uint64_t mask);
void signal_restore_mask(void);

/* signal_deliver.c. The process goes on if it is stopped; its parent is told if all its threads
 * have stopped. Under the process lock. */
void signal_continue_locked(struct process *process);
void signal_tell_if_stopped_locked(struct process *process);

/* A new program in the current process: handlers become default, the alternate stack goes. */
void signal_reset_for_program(void);

/* sigaction(2) of the current process. LH_INVALID. */
LH_MUST_USE lh_error signal_set_action(uint32_t number, const struct signal_action *action,
				       struct signal_action *old);

/* signal_frame.c: makes the frame enter the handler, the state before kept on the user stack.
 * => LH_BAD_ADDRESS: the stack cannot be written. */
LH_MUST_USE lh_error signal_frame_push(struct trap_frame *frame, uint32_t number,
				       const struct signal_info *info,
				       const struct signal_action *action, uint64_t mask_after);
/* A siginfo_t. LH_BAD_ADDRESS. */
LH_MUST_USE lh_error signal_info_copy_out(uint64_t address, uint32_t number,
					  const struct signal_info *info);
/* rt_sigreturn(2). => LH_BAD_ADDRESS: no frame there; LH_INVALID: not one to return with. */
LH_MUST_USE lh_error signal_frame_pop(struct trap_frame *frame);
/*
 * The alternate stack of the current thread. => stack_pointer: its own, now.
 * => LH_NOT_PERMITTED: it runs on the one there is; LH_INVALID: flags; LH_NO_MEMORY: too small.
 */
LH_MUST_USE lh_error signal_set_stack(const struct signal_stack *stack, uint64_t stack_pointer);
/* True if the address lies in the alternate stack. */
bool signal_stack_contains(const struct signal_stack *stack, uint64_t address);

#endif
