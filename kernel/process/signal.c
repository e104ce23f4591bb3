/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sending signals, and what is pending and blocked. Real-time signals are treated as the others:
 * one of each may be pending, which signal(7) allows only for the standard ones.
 */
#include "process/signal.h"

#include "process/process.h"

static struct user_thread *thread_of(struct list *node)
{
	return container_of(node, struct user_thread, sibling);
}

static bool blocks(const struct user_thread *user, uint32_t number)
{
	return (user->signals.mask & SIGNAL_BIT(number)) != 0;
}

static bool awaits(const struct user_thread *user, uint32_t number)
{
	return (user->signals.awaited & SIGNAL_BIT(number)) != 0;
}

/* --- sending --- */

static bool is_ignored(const struct process *process, uint32_t number)
{
	uint64_t handler = process->signals.actions[number - 1].handler;

	return handler == SIGNAL_IGNORE ||
	       (handler == SIGNAL_DEFAULT && (SIGNAL_BIT(number) & SIGNALS_IGNORED_BY_DEFAULT) != 0);
}

/* Signals that are no longer pending, for the process or any of its threads. */
static void forget_locked(struct process *process, uint64_t signals)
{
	process->signals.set.pending &= ~signals;
	LIST_FOR_EACH(node, &process->threads)
		thread_of(node)->signals.set.pending &= ~signals;
}

/* What a signal does when it is sent, whoever takes it. => false: nobody needs to. */
static bool act_at_once_locked(struct process *process, uint32_t number)
{
	if (process->thread_count == 0)
		return false;
	if (number == SIGNAL_KILL) {
		process_end_locked(process, SIGNAL_KILL);
		return false;
	}
	if (number == SIGNAL_CONTINUE) {
		forget_locked(process, SIGNALS_STOP_BY_DEFAULT);
		signal_continue_locked(process);
	}
	if ((SIGNAL_BIT(number) & SIGNALS_STOP_BY_DEFAULT) != 0)
		forget_locked(process, SIGNAL_BIT(SIGNAL_CONTINUE));
	return true;
}

static void add(struct signal_set *set, uint32_t number, const struct signal_info *info)
{
	if ((set->pending & SIGNAL_BIT(number)) == 0)
		set->info[number - 1] = *info;
	set->pending |= SIGNAL_BIT(number);
}

/* A thread that does not block the signal, or waits for it: the first one rather than others. */
static struct user_thread *choose_locked(struct process *process, uint32_t number)
{
	LIST_FOR_EACH(node, &process->threads)
		if (!blocks(thread_of(node), number) || awaits(thread_of(node), number))
			return thread_of(node);
	return NULL;
}

void signal_send_locked(struct process *process, uint32_t number, const struct signal_info *info)
{
	const struct user_thread *user;

	if (!act_at_once_locked(process, number))
		return;
	user = choose_locked(process, number);
	/* What all block stays pending, even if ignored: they may change their mind. */
	if (user != NULL && !blocks(user, number) && is_ignored(process, number))
		return;
	add(&process->signals.set, number, info);
	if (user != NULL)
		thread_interrupt(user->thread);
}

void signal_send_thread_locked(struct user_thread *user, uint32_t number,
			       const struct signal_info *info)
{
	if (!act_at_once_locked(user->process, number))
		return;
	if (!blocks(user, number) && is_ignored(user->process, number))
		return;
	add(&user->signals.set, number, info);
	if (!blocks(user, number) || awaits(user, number))
		thread_interrupt(user->thread);
}

void signal_send(struct process *process, uint32_t number, const struct signal_info *info)
{
	uintptr_t interrupts = process_lock();

	signal_send_locked(process, number, info);
	process_unlock(interrupts);
}

void signal_send_self(uint32_t number)
{
	struct user_thread *user = user_thread_current();
	struct signal_info info = { .code = SIGNAL_CODE_USER, .pid = user->process->pid };
	uintptr_t interrupts = process_lock();

	signal_send_thread_locked(user, number, &info);
	process_unlock(interrupts);
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
	struct user_thread *user = user_thread_current();
	uintptr_t interrupts = process_lock();
	struct signal_action *action = &user->process->signals.actions[number - 1];

	if (blocks(user, number) || action->handler == SIGNAL_IGNORE)
		action->handler = SIGNAL_DEFAULT;
	user->signals.mask &= ~SIGNAL_BIT(number);
	user->signals.set.info[number - 1] = *info;
	user->signals.set.pending |= SIGNAL_BIT(number);
	thread_interrupt(user->thread);
	process_unlock(interrupts);
}

/* --- taking --- */

uint64_t signal_pending_locked(const struct user_thread *user)
{
	return user->signals.set.pending | user->process->signals.set.pending;
}

/* Faults first, as their frame must show the instruction; then the lowest number. */
static uint32_t choose_number(uint64_t signals)
{
	uint64_t faults = signals & SIGNALS_OF_FAULTS;

	return (uint32_t)__builtin_ctzll(faults != 0 ? faults : signals) + 1;
}

bool signal_take_locked(struct user_thread *user, uint64_t wanted, uint32_t *number,
			struct signal_info *info)
{
	struct signal_set *set = &user->signals.set;

	if ((set->pending & wanted) == 0)
		set = &user->process->signals.set;
	if ((set->pending & wanted) == 0)
		return false;
	*number = choose_number(set->pending & wanted);
	*info = set->info[*number - 1];
	set->pending &= ~SIGNAL_BIT(*number);
	return true;
}

void signal_pass_on_locked(struct process *process)
{
	if (process->signals.set.pending == 0)
		return;
	LIST_FOR_EACH(node, &process->threads) {
		const struct user_thread *user = thread_of(node);

		if ((process->signals.set.pending & (~user->signals.mask | user->signals.awaited)) != 0)
			thread_interrupt(user->thread);
	}
}

bool signal_is_unwanted(uint32_t number)
{
	const struct user_thread *user = user_thread_current();
	uintptr_t interrupts = process_lock();
	bool is_unwanted =
		blocks(user, number) ||
		user->process->signals.actions[number - 1].handler == SIGNAL_IGNORE;

	process_unlock(interrupts);
	return is_unwanted;
}

/* --- masks --- */

void signal_set_mask_locked(struct user_thread *user, uint64_t mask)
{
	uint64_t old = user->signals.mask;

	user->signals.mask = mask & ~SIGNAL_UNBLOCKABLE;
	if ((signal_pending_locked(user) & ~user->signals.mask) != 0)
		thread_interrupt(user->thread);
	if ((user->process->signals.set.pending & user->signals.mask & ~old) != 0)
		signal_pass_on_locked(user->process);
}

void signal_set_mask(uint64_t mask)
{
	uintptr_t interrupts = process_lock();

	signal_set_mask_locked(user_thread_current(), mask);
	process_unlock(interrupts);
}

void signal_replace_mask(uint64_t mask)
{
	struct user_thread *user = user_thread_current();
	uintptr_t interrupts = process_lock();

	user->signals.saved_mask = user->signals.mask;
	user->signals.mask_is_saved = true;
	signal_set_mask_locked(user, mask);
	process_unlock(interrupts);
}

void signal_restore_mask(void)
{
	struct user_thread *user = user_thread_current();
	uintptr_t interrupts = process_lock();

	if (user->signals.mask_is_saved) {
		user->signals.mask_is_saved = false;
		signal_set_mask_locked(user, user->signals.saved_mask);
	}
	process_unlock(interrupts);
}

/* --- actions --- */

void signal_reset_for_program(void)
{
	struct user_thread *user = user_thread_current();
	uintptr_t interrupts = process_lock();

	for (uint32_t i = 0; i < SIGNAL_MAX; i++) {
		struct signal_action *action = &user->process->signals.actions[i];

		*action = (struct signal_action){
			.handler = action->handler == SIGNAL_IGNORE ? SIGNAL_IGNORE : SIGNAL_DEFAULT,
		};
	}
	user->signals.stack = (struct signal_stack){ .flags = SIGNAL_STACK_DISABLED };
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
		if (is_ignored(process, number))
			forget_locked(process, SIGNAL_BIT(number));
	}
	process_unlock(interrupts);
	return LH_OK;
}

bool signal_stack_contains(const struct signal_stack *stack, uint64_t address)
{
	return (stack->flags & SIGNAL_STACK_DISABLED) == 0 &&
	       address - stack->address <= stack->bytes && address > stack->address;
}

lh_error signal_set_stack(const struct signal_stack *stack, uint64_t stack_pointer)
{
	struct user_thread *user = user_thread_current();
	struct signal_stack given = *stack;
	uintptr_t interrupts;

	if (signal_stack_contains(&user->signals.stack, stack_pointer))
		return LH_NOT_PERMITTED;
	if ((given.flags & ~(SIGNAL_STACK_DISABLED | SIGNAL_STACK_ON | SIGNAL_STACK_AUTO_DISARM)) != 0)
		return LH_INVALID;
	given.flags &= ~SIGNAL_STACK_ON;
	given.padding = 0;
	if ((given.flags & SIGNAL_STACK_DISABLED) == 0 && given.bytes < SIGNAL_STACK_BYTES_MIN)
		return LH_NO_MEMORY;
	interrupts = process_lock();
	user->signals.stack = given;
	process_unlock(interrupts);
	return LH_OK;
}
