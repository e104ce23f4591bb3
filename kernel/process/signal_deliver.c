/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a thread does about signals on its way to user mode: it ends if it must, waits while its
 * process is stopped, and takes one signal after the other, each to a handler or to its default.
 *
 * A stop: who takes the signal sets is_stopped and interrupts the others; each thread, on its way
 * to user mode, waits until that is false again. The parent is told when all wait.
 */
#include "arch/x86_64/registers.h"
#include "lib/log.h"
#include "lib/string.h"
#include "process/process.h"

/* --- stopping and going on --- */

void signal_continue_locked(struct process *process)
{
	if (!process->is_stopped)
		return;
	__atomic_store_n(&process->is_stopped, false, __ATOMIC_RELEASE);
	process->continue_reported = false;
	wake_all(&process->stop_queue);
	if (process->parent != NULL)
		wake_all(&process->parent->child_queue);
}

void signal_tell_if_stopped_locked(struct process *process)
{
	struct process *parent = process->parent;
	struct signal_info info = {
		.code = SIGNAL_CODE_STOPPED, .pid = process->pid, .status = process->stop_signal
	};

	if (!process->is_stopped || process->is_stop_told || process->thread_count == 0 ||
	    process->threads_stopped < process->thread_count)
		return;
	process->is_stop_told = true;
	process->stop_reported = false;
	if (parent == NULL)
		return;
	if ((parent->signals.actions[SIGNAL_CHILD - 1].flags & ACTION_NO_CHILD_STOP) == 0)
		signal_send_locked(parent, SIGNAL_CHILD, &info);
	wake_all(&parent->child_queue);
}

/* In the step that takes the signal: what makes the process go on may be sent right after. */
static void begin_stop_locked(struct process *process, uint32_t number)
{
	if (process->is_exiting || process->is_stopped)
		return;
	process->is_stopped = true;
	process->is_stop_told = false;
	process->stop_signal = number;
	LIST_FOR_EACH(node, &process->threads)
		thread_interrupt(container_of(node, struct user_thread, sibling)->thread);
}

/* Counts this thread among those that wait, or no longer. => false: the process is not stopped. */
static bool count_as_stopped(struct process *process, bool waits)
{
	uintptr_t interrupts = process_lock();
	bool is_stopped = process->is_stopped;

	if (!waits)
		process->threads_stopped--;
	else if (is_stopped)
		process->threads_stopped++;
	signal_tell_if_stopped_locked(process);
	process_unlock(interrupts);
	return is_stopped;
}

/* => returns at once, also, if the thread must end. */
static void wait_while_stopped(struct process *process)
{
	if (!count_as_stopped(process, true))
		return;
	(void)WAIT_UNTIL_OR_ENDED(&process->stop_queue,
				  !__atomic_load_n(&process->is_stopped, __ATOMIC_ACQUIRE));
	(void)count_as_stopped(process, false);
}

/* --- delivering --- */

/* A signal taken out of those pending, and what is to be done with it. */
struct delivery {
	uint32_t number;
	struct signal_info info;
	struct signal_action action;
	uint64_t mask_after; /* what the handler's return brings back */
};

/* The mask that the handler runs with. */
static void set_handler_mask_locked(struct user_thread *user, const struct delivery *delivery)
{
	uint64_t mask = user->signals.mask | delivery->action.mask;

	if ((delivery->action.flags & ACTION_NO_DEFER) == 0)
		mask |= SIGNAL_BIT(delivery->number);
	user->signals.mask_is_saved = false;
	signal_set_mask_locked(user, mask);
}

static bool stops(const struct delivery *delivery)
{
	return delivery->action.handler == SIGNAL_DEFAULT &&
	       (SIGNAL_BIT(delivery->number) & SIGNALS_STOP_BY_DEFAULT) != 0;
}

/* Takes one, and begins what must be one step with that. => false: none. */
static bool take(struct user_thread *user, struct delivery *delivery)
{
	uintptr_t interrupts = process_lock();
	struct signal_thread *signals = &user->signals;
	struct signal_action *action;

	if (user_thread_must_end() ||
	    !signal_take_locked(user, ~signals->mask, &delivery->number, &delivery->info)) {
		process_unlock(interrupts);
		return false;
	}
	action = &user->process->signals.actions[delivery->number - 1];
	delivery->action = *action;
	delivery->mask_after = signals->mask_is_saved ? signals->saved_mask : signals->mask;
	if (action->handler > SIGNAL_IGNORE) {
		set_handler_mask_locked(user, delivery);
		if ((action->flags & ACTION_RESET) != 0)
			action->handler = SIGNAL_DEFAULT;
	} else if (stops(delivery)) {
		begin_stop_locked(user->process, delivery->number);
	}
	process_unlock(interrupts);
	return true;
}

/* What happens without a handler. */
static void act_by_default(struct process *process, const struct delivery *delivery)
{
	uint64_t bit = SIGNAL_BIT(delivery->number);

	if (delivery->action.handler == SIGNAL_IGNORE || (bit & SIGNALS_IGNORED_BY_DEFAULT) != 0)
		return;
	if (stops(delivery)) {
		wait_while_stopped(process);
		return;
	}
	process_exit(delivery->number); /* nobody's memory is ever dumped */
}

/* An interrupted call starts again from its instruction, or ends with LH_INTERRUPTED. */
static void settle_call(struct user_thread *user, struct trap_frame *frame, bool restarts)
{
	uint64_t number = user->call.number;

	user->call.number = THREAD_NO_CALL;
	if (number == THREAD_NO_CALL || !restarts)
		return;
	frame->rax = number;
	frame->rip -= SYSTEM_CALL_BYTES;
}

/* No handler has run: it goes on. */
static void resume_call(struct user_thread *user, struct trap_frame *frame)
{
	user->call.resumed = user->call.number;
	settle_call(user, frame, true);
	user->call.resumed_at = frame->rip;
	user->call.resumed_stack = frame->rsp;
}

/* A handler that has no stack to run on: a segment violation, whose handler may have one. */
static void refuse(const struct delivery *delivery)
{
	struct signal_info info = { .code = SIGNAL_CODE_KERNEL };
	struct signal_action old, action = { .handler = SIGNAL_DEFAULT };

	signal_set_mask(delivery->mask_after);
	if (delivery->number == SIGNAL_SEGMENT)
		(void)!signal_set_action(SIGNAL_SEGMENT, &action, &old);
	signal_force(SIGNAL_SEGMENT, &info);
}

static void deliver(struct user_thread *user, struct trap_frame *frame,
		    const struct delivery *delivery)
{
	if (delivery->action.handler <= SIGNAL_IGNORE) {
		act_by_default(user->process, delivery);
		return;
	}
	settle_call(user, frame,
		    (delivery->action.flags & ACTION_RESTART) != 0 && !user->call.gives_up);
	if (signal_frame_push(frame, delivery->number, &delivery->info, &delivery->action,
			      delivery->mask_after) != LH_OK)
		refuse(delivery);
}

/* True if there may be something to do; cleared before looking, so that what comes later is seen. */
static bool take_call(struct user_thread *user)
{
	return __atomic_exchange_n(&user->thread->interrupted, false, __ATOMIC_SEQ_CST) ||
	       user->signals.mask_is_saved;
}

/* A return that the CPU would refuse is the program's fault, as on Linux, where it refuses. */
static void check_return(const struct trap_frame *frame)
{
	struct signal_info info = { .code = SIGNAL_CODE_KERNEL };

	if (!trap_address_is_canonical(frame->rip))
		signal_force(SIGNAL_SEGMENT, &info);
}

void process_before_user(struct trap_frame *frame)
{
	struct user_thread *user = user_thread_current();
	struct delivery delivery;

	if (user == NULL)
		return;
	check_return(frame);
	while (take_call(user)) {
		if (user_thread_must_end())
			user_thread_exit(0);
		wait_while_stopped(user->process);
		while (take(user, &delivery))
			deliver(user, frame, &delivery);
		signal_restore_mask();
		check_return(frame);
	}
	if (user->call.number != THREAD_NO_CALL)
		resume_call(user, frame);
}

/* --- faults --- */

/* The signal that an exception other than a page fault means. */
static uint32_t signal_of_vector(uint64_t vector)
{
	switch (vector) {
	case TRAP_DIVIDE_ERROR:
	case TRAP_FPU_ERROR:
	case TRAP_SIMD_ERROR:
		return SIGNAL_FLOATING_POINT;
	case TRAP_DEBUG:
	case TRAP_BREAKPOINT:
		return SIGNAL_TRAP;
	case TRAP_INVALID_OPCODE:
		return SIGNAL_ILLEGAL;
	case TRAP_STACK_FAULT:
	case TRAP_ALIGNMENT_CHECK:
		return SIGNAL_BUS;
	default:
		return SIGNAL_SEGMENT;
	}
}

/* Of the exceptions in these bits, in the order of x87 status and MXCSR, the code of the first. */
static int32_t code_of_numeric_exception(uint32_t bits)
{
	if ((bits & 0x01) != 0)
		return 7; /* FPE_FLTINV */
	if ((bits & 0x04) != 0)
		return 3; /* FPE_FLTDIV */
	if ((bits & 0x08) != 0)
		return 4; /* FPE_FLTOVF */
	if ((bits & 0x12) != 0)
		return 5; /* FPE_FLTUND; also what was denormal to begin with */
	return 6; /* FPE_FLTRES */
}

/* What was raised and not masked: Intel volume 1, sections 8.1.3 to 8.1.5 and 10.2.3. */
static int32_t code_of_fpu_error(uint64_t vector)
{
	uint8_t image[512] __attribute__((aligned(16)));
	uint16_t control, status;
	uint32_t mxcsr;

	thread_save_fpu(image);
	memcpy(&control, image, sizeof control);
	memcpy(&status, image + 2, sizeof status);
	memcpy(&mxcsr, image + 24, sizeof mxcsr);
	return code_of_numeric_exception(vector == TRAP_FPU_ERROR ? (uint32_t)(status & ~control)
								  : mxcsr & ~(mxcsr >> 7));
}

static int32_t code_of(const struct user_trap *trap)
{
	switch (trap->vector) {
	case TRAP_DIVIDE_ERROR:
		return 1; /* FPE_INTDIV */
	case TRAP_FPU_ERROR:
	case TRAP_SIMD_ERROR:
		return code_of_fpu_error(trap->vector);
	case TRAP_INVALID_OPCODE:
		return 2; /* ILL_ILLOPN */
	case TRAP_DEBUG:
		return (trap->error_code & DR6_STEP) != 0 ? 2 : 1; /* TRAP_TRACE, TRAP_BRKPT */
	case TRAP_ALIGNMENT_CHECK:
		return 1; /* BUS_ADRALN */
	default:
		return SIGNAL_CODE_KERNEL;
	}
}

/* Linux tells the instruction where it has a code of its own to tell; else 0. */
static bool tells_instruction(uint64_t vector)
{
	return vector == TRAP_DIVIDE_ERROR || vector == TRAP_FPU_ERROR || vector == TRAP_SIMD_ERROR ||
	       vector == TRAP_INVALID_OPCODE || vector == TRAP_DEBUG;
}

static void page_fault_signal(const struct user_trap *trap)
{
	struct signal_info info = { .address = trap->address };

	switch (trap->fault) {
	case LH_FAULT_NO_MEMORY:
		log_line("process %u (%s): out of memory, killed", process_current()->pid,
			 process_current()->name);
		info.code = SIGNAL_CODE_KERNEL;
		signal_send(process_current(), SIGNAL_KILL, &info);
		return;
	case LH_FAULT_BUS:
		info.code = SIGNAL_CODE_NO_ADDRESS;
		signal_force(SIGNAL_BUS, &info);
		return;
	default:
		info.code = trap->fault == LH_FAULT_NOT_MAPPED ? SIGNAL_CODE_NOT_MAPPED
							       : SIGNAL_CODE_NO_ACCESS;
		signal_force(SIGNAL_SEGMENT, &info);
		return;
	}
}

void process_user_trap(struct trap_frame *frame, const struct user_trap *trap)
{
	struct signal_info info = {
		.code = code_of(trap),
		.address = tells_instruction(trap->vector) ? frame->rip : 0,
	};

	user_thread_current()->call.number = THREAD_NO_CALL;
	if (trap->vector == TRAP_PAGE_FAULT)
		page_fault_signal(trap);
	else
		signal_force(signal_of_vector(trap->vector), &info);
}
