/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sending and delivering signals. Real-time signals are treated as the others: one of
 * each may be pending, which signal(7) allows only for the standard ones.
 */
#include "process/signal.h"

#include "lib/log.h"
#include "lib/string.h"
#include "process/process.h"

#define IGNORED_BY_DEFAULT                                                                   \
	(SIGNAL_BIT(SIGNAL_CHILD) | SIGNAL_BIT(SIGNAL_CONTINUE) | SIGNAL_BIT(SIGNAL_URGENT) | \
	 SIGNAL_BIT(SIGNAL_WINDOW))
#define STOPS_BY_DEFAULT                                                                     \
	(SIGNAL_BIT(SIGNAL_STOP) | SIGNAL_BIT(SIGNAL_TERMINAL_STOP) |                        \
	 SIGNAL_BIT(SIGNAL_TERMINAL_INPUT) | SIGNAL_BIT(SIGNAL_TERMINAL_OUTPUT))
/* --- sending --- */

static bool is_ignored(const struct signal_state *signals, uint32_t number)
{
	uint64_t handler = signals->actions[number - 1].handler;

	return handler == SIGNAL_IGNORE ||
	       (handler == SIGNAL_DEFAULT && (SIGNAL_BIT(number) & IGNORED_BY_DEFAULT) != 0);
}

static void continue_locked(struct process *process)
{
	process->signals.pending &= ~STOPS_BY_DEFAULT;
	if (!process->is_stopped)
		return;
	process->is_stopped = false;
	process->continue_reported = false;
	wake_all(&process->stop_queue);
	if (process->parent != NULL)
		wake_all(&process->parent->child_queue);
}

void signal_send_locked(struct process *process, uint32_t number, const struct signal_info *info)
{
	struct signal_state *signals = &process->signals;
	bool is_blocked = (signals->mask & SIGNAL_BIT(number)) != 0;

	if (process->state == PROCESS_ZOMBIE || process->thread == NULL)
		return;
	if (number == SIGNAL_CONTINUE || number == SIGNAL_KILL)
		continue_locked(process);
	if ((SIGNAL_BIT(number) & STOPS_BY_DEFAULT) != 0)
		signals->pending &= ~SIGNAL_BIT(SIGNAL_CONTINUE);
	if (!is_blocked && is_ignored(signals, number))
		return;
	if ((signals->pending & SIGNAL_BIT(number)) == 0)
		signals->info[number - 1] = *info;
	signals->pending |= SIGNAL_BIT(number);
	if (!is_blocked)
		thread_interrupt(process->thread);
}

void signal_send(struct process *process, uint32_t number, const struct signal_info *info)
{
	uintptr_t interrupts = process_lock();

	signal_send_locked(process, number, info);
	process_unlock(interrupts);
}

void signal_send_self(uint32_t number)
{
	struct process *process = process_current();
	struct signal_info info = { .code = SIGNAL_CODE_USER, .pid = process->pid };

	signal_send(process, number, &info);
}

bool signal_send_group(uint32_t group, uint32_t number, const struct signal_info *info)
{
	uintptr_t interrupts = process_lock();
	bool found = false;

	LIST_FOR_EACH(node, process_list_locked()) {
		struct process *process = container_of(node, struct process, all);

		if (process->group != group)
			continue;
		found = true;
		if (number != 0)
			signal_send_locked(process, number, info);
	}
	process_unlock(interrupts);
	return found;
}

void signal_force(uint32_t number, const struct signal_info *info)
{
	struct process *process = process_current();
	uintptr_t interrupts = process_lock();
	struct signal_state *signals = &process->signals;
	uint64_t bit = SIGNAL_BIT(number);

	if ((signals->mask & bit) != 0 || signals->actions[number - 1].handler == SIGNAL_IGNORE)
		signals->actions[number - 1].handler = SIGNAL_DEFAULT;
	signals->mask &= ~bit;
	signals->info[number - 1] = *info;
	signals->pending |= bit;
	thread_interrupt(process->thread);
	process_unlock(interrupts);
}

/* --- state --- */

bool signal_is_pending(void)
{
	struct process *process = process_current();
	uintptr_t interrupts = process_lock();
	bool is_pending = (process->signals.pending & ~process->signals.mask) != 0;

	process_unlock(interrupts);
	return is_pending;
}

bool signal_is_deadly(void)
{
	const struct process *process = process_current();

	return process != NULL && (__atomic_load_n(&process->signals.pending, __ATOMIC_RELAXED) &
				   SIGNAL_BIT(SIGNAL_KILL)) != 0;
}

static void set_mask_locked(struct process *process, uint64_t mask)
{
	process->signals.mask = mask & ~SIGNAL_UNBLOCKABLE;
	if ((process->signals.pending & ~process->signals.mask) != 0)
		thread_interrupt(process->thread);
}

void signal_set_mask(uint64_t mask)
{
	uintptr_t interrupts = process_lock();

	set_mask_locked(process_current(), mask);
	process_unlock(interrupts);
}

void signal_replace_mask(uint64_t mask)
{
	struct process *process = process_current();
	uintptr_t interrupts = process_lock();

	process->signals.saved_mask = process->signals.mask;
	process->signals.mask_is_saved = true;
	set_mask_locked(process, mask);
	process_unlock(interrupts);
}

void signal_restore_mask(void)
{
	struct process *process = process_current();
	uintptr_t interrupts = process_lock();

	if (process->signals.mask_is_saved) {
		process->signals.mask_is_saved = false;
		set_mask_locked(process, process->signals.saved_mask);
	}
	process_unlock(interrupts);
}

void signal_reset_for_program(struct process *process)
{
	uintptr_t interrupts = process_lock();

	for (uint32_t i = 0; i < SIGNAL_MAX; i++) {
		struct signal_action *action = &process->signals.actions[i];

		*action = (struct signal_action){
			.handler = action->handler == SIGNAL_IGNORE ? SIGNAL_IGNORE : SIGNAL_DEFAULT,
		};
	}
	process->signals.stack = (struct signal_stack){ .flags = SIGNAL_STACK_DISABLED };
	process_unlock(interrupts);
}

lh_error signal_set_action(uint32_t number, const struct signal_action *action,
			   struct signal_action *old)
{
	struct process *process = process_current();
	uintptr_t interrupts;

	if (number < 1 || number > SIGNAL_MAX)
		return LH_INVALID;
	if (action != NULL && (SIGNAL_BIT(number) & SIGNAL_UNBLOCKABLE) != 0)
		return LH_INVALID;
	interrupts = process_lock();
	*old = process->signals.actions[number - 1];
	if (action != NULL) {
		process->signals.actions[number - 1] = *action;
		process->signals.actions[number - 1].mask &= ~SIGNAL_UNBLOCKABLE;
		if (is_ignored(&process->signals, number))
			process->signals.pending &= ~SIGNAL_BIT(number);
	}
	process_unlock(interrupts);
	return LH_OK;
}

bool signal_stack_contains(const struct signal_stack *stack, uint64_t address)
{
	return (stack->flags & SIGNAL_STACK_DISABLED) == 0 &&
	       address - stack->address <= stack->bytes && address > stack->address;
}

/* --- delivering --- */

/* A signal taken out of those pending, and what is to be done with it. */
struct delivery {
	uint32_t number;
	struct signal_info info;
	struct signal_action action;
	uint64_t mask_after; /* what the handler's return brings back */
};

/* Faults first, as their frame must show the instruction; then the lowest number. */
static uint32_t choose(uint64_t deliverable)
{
	uint64_t faults = deliverable & (SIGNAL_BIT(SIGNAL_SEGMENT) | SIGNAL_BIT(SIGNAL_BUS) |
					 SIGNAL_BIT(SIGNAL_ILLEGAL) | SIGNAL_BIT(SIGNAL_TRAP) |
					 SIGNAL_BIT(SIGNAL_FLOATING_POINT));
	uint64_t kill = deliverable & SIGNAL_BIT(SIGNAL_KILL);

	if (kill != 0)
		return SIGNAL_KILL;
	return (uint32_t)__builtin_ctzll(faults != 0 ? faults : deliverable) + 1;
}

/* Takes one, and sets the mask that its handler runs with. => false: none. */
static bool take(struct process *process, struct delivery *delivery)
{
	uintptr_t interrupts = process_lock();
	struct signal_state *signals = &process->signals;
	uint64_t deliverable = signals->pending & ~signals->mask;
	uint32_t number;

	if (deliverable == 0) {
		process_unlock(interrupts);
		return false;
	}
	number = choose(deliverable);
	signals->pending &= ~SIGNAL_BIT(number);
	delivery->number = number;
	delivery->info = signals->info[number - 1];
	delivery->action = signals->actions[number - 1];
	delivery->mask_after = signals->mask_is_saved ? signals->saved_mask : signals->mask;
	if (delivery->action.handler > SIGNAL_IGNORE) {
		signals->mask_is_saved = false;
		signals->mask |= delivery->action.mask;
		if ((delivery->action.flags & ACTION_NO_DEFER) == 0)
			signals->mask |= SIGNAL_BIT(number);
		if ((delivery->action.flags & ACTION_RESET) != 0)
			signals->actions[number - 1].handler = SIGNAL_DEFAULT;
	}
	process_unlock(interrupts);
	return true;
}

static void tell_parent_stopped_locked(struct process *process, uint32_t number)
{
	struct process *parent = process->parent;
	struct signal_info info = {
		.code = SIGNAL_CODE_STOPPED, .pid = process->pid, .status = number
	};

	if (parent == NULL)
		return;
	if ((parent->signals.actions[SIGNAL_CHILD - 1].flags & ACTION_NO_CHILD_STOP) == 0)
		signal_send_locked(parent, SIGNAL_CHILD, &info);
	wake_all(&parent->child_queue);
}

static void stop(struct process *process, uint32_t number)
{
	uintptr_t interrupts = process_lock();

	if ((process->signals.pending & SIGNAL_BIT(SIGNAL_KILL)) == 0) {
		process->is_stopped = true;
		process->stop_reported = false;
		process->stop_signal = number;
		tell_parent_stopped_locked(process, number);
	}
	process_unlock(interrupts);
	WAIT_UNTIL(&process->stop_queue, !__atomic_load_n(&process->is_stopped, __ATOMIC_ACQUIRE));
}

/* What happens without a handler. */
static void act_by_default(struct process *process, const struct delivery *delivery)
{
	uint64_t bit = SIGNAL_BIT(delivery->number);

	if (delivery->action.handler == SIGNAL_IGNORE || (bit & IGNORED_BY_DEFAULT) != 0)
		return;
	if ((bit & STOPS_BY_DEFAULT) != 0) {
		stop(process, delivery->number);
		return;
	}
	process_exit(delivery->number); /* nobody's memory is ever dumped */
}

/* An interrupted call starts again, unless a handler says otherwise. */
static void settle_call(struct process *process, struct trap_frame *frame, bool restart)
{
	uint64_t number = process->restart_call;

	process->restart_call = PROCESS_NO_CALL;
	if (number == PROCESS_NO_CALL || !restart)
		return;
	frame->rax = number;
	frame->rip -= 2; /* the syscall instruction has two bytes */
}

static void deliver(struct process *process, struct trap_frame *frame,
		    const struct delivery *delivery)
{
	if (delivery->action.handler <= SIGNAL_IGNORE) {
		act_by_default(process, delivery);
		return;
	}
	settle_call(process, frame, (delivery->action.flags & ACTION_RESTART) != 0);
	if (signal_frame_push(frame, delivery->number, &delivery->info, &delivery->action,
			      delivery->mask_after) != LH_OK) {
		log_line("process %u: no room for a signal frame at %#llx", process->pid,
			 (unsigned long long)frame->rsp);
		process_exit(SIGNAL_SEGMENT);
	}
}

void process_before_user(struct trap_frame *frame)
{
	struct process *process = process_current();
	struct delivery delivery;

	if (process == NULL)
		return;
	do {
		/* Cleared before looking: what comes later sets it again. */
		__atomic_store_n(&thread_current()->interrupted, false, __ATOMIC_SEQ_CST);
		while (take(process, &delivery))
			deliver(process, frame, &delivery);
		signal_restore_mask();
	} while (signal_is_pending());
	settle_call(process, frame, true);
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

static int32_t code_of_vector(uint64_t vector)
{
	switch (vector) {
	case TRAP_DIVIDE_ERROR:
		return 1; /* FPE_INTDIV */
	case TRAP_INVALID_OPCODE:
		return 2; /* ILL_ILLOPN */
	case TRAP_DEBUG:
		return 2; /* TRAP_TRACE */
	case TRAP_ALIGNMENT_CHECK:
		return 1; /* BUS_ADRALN */
	default:
		return SIGNAL_CODE_KERNEL;
	}
}

static void page_fault_signal(const struct user_trap *trap)
{
	struct signal_info info = { .address = trap->address };

	switch (trap->fault) {
	case LH_FAULT_NO_MEMORY:
		log_line("process %u (%s): out of memory, killed", process_current()->pid,
			 process_current()->name);
		info.code = SIGNAL_CODE_KERNEL;
		signal_force(SIGNAL_KILL, &info);
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
		.code = code_of_vector(trap->vector),
		.address = trap->vector == TRAP_GENERAL_PROTECTION ? 0 : frame->rip,
	};

	process_current()->restart_call = PROCESS_NO_CALL;
	if (trap->vector == TRAP_PAGE_FAULT)
		page_fault_signal(trap);
	else
		signal_force(signal_of_vector(trap->vector), &info);
}
