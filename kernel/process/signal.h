/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signals. All state is under the process lock. A signal that its process neither blocks
 * nor ignores sets its thread's interrupted flag; the thread delivers when it next
 * returns to user mode (signal.c), a handler by a frame on the user stack
 * (signal_frame.c).
 */
#ifndef KERNEL_PROCESS_SIGNAL_H
#define KERNEL_PROCESS_SIGNAL_H

#include <landhold/space.h>

#include "syscall/linux.h"

struct process;
struct trap_frame;

#define SIGNAL_BIT(number) (UINT64_C(1) << ((number) - 1))
#define SIGNAL_UNBLOCKABLE (SIGNAL_BIT(SIGNAL_KILL) | SIGNAL_BIT(SIGNAL_STOP))

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

struct signal_state {
	uint64_t pending, mask;
	uint64_t saved_mask; /* what sigsuspend put aside, if mask_is_saved */
	bool mask_is_saved;
	struct signal_stack stack;
	struct signal_action actions[SIGNAL_MAX];
	struct signal_info info[SIGNAL_MAX]; /* of what is pending */
};

/* Sends. => number: 1 to SIGNAL_MAX. Context: any but under the process lock; the
 * second under it. */
void signal_send(struct process *process, uint32_t number, const struct signal_info *info);
void signal_send_locked(struct process *process, uint32_t number, const struct signal_info *info);
/* To the current process, from the kernel. */
void signal_send_self(uint32_t number);
/* To all of a group, from the kernel. => false: there is none. */
bool signal_send_group(uint32_t group, uint32_t number, const struct signal_info *info);

/* To the current process, which cannot block or ignore it: a fault. */
void signal_force(uint32_t number, const struct signal_info *info);

/* True if the current process has been killed and only has to notice. */
bool signal_is_deadly(void);
/* True if something waits for delivery to the current process. */
bool signal_is_pending(void);

/* Changes the mask of the current process; unblockable signals stay unblocked. */
void signal_set_mask(uint64_t mask);

/* For the length of a call: another mask; and the one from before again. If a signal ends the
 * call, the second is not called: delivery brings the mask back after the handler. */
void signal_replace_mask(uint64_t mask);
void signal_restore_mask(void);

/* A new program: handlers become default, the alternate stack goes. */
void signal_reset_for_program(struct process *process);

/* sigaction(2) of the current process. LH_INVALID. */
LH_MUST_USE lh_error signal_set_action(uint32_t number, const struct signal_action *action,
				       struct signal_action *old);

/* signal_frame.c: makes the frame enter the handler, the state before kept on the user stack.
 * => LH_BAD_ADDRESS: the stack cannot be written. */
LH_MUST_USE lh_error signal_frame_push(struct trap_frame *frame, uint32_t number,
				       const struct signal_info *info,
				       const struct signal_action *action, uint64_t mask_after);
/* rt_sigreturn(2). => LH_BAD_ADDRESS: no frame there. */
LH_MUST_USE lh_error signal_frame_pop(struct trap_frame *frame);
/* True if the address lies in the current process' alternate stack. */
bool signal_stack_contains(const struct signal_stack *stack, uint64_t address);

#endif
