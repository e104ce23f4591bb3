/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls about signals. */
#include "lib/string.h"
#include "memory/user.h"
#include "syscall/table.h"

#define SET_BYTES sizeof(uint64_t)

/* --- sending --- */

/* To every process but the first and the caller. => false: there is none. */
static bool send_to_all(uint32_t number, const struct signal_info *info)
{
	const struct process *caller = process_current();
	uintptr_t interrupts = process_lock();
	bool found = false;

	LIST_FOR_EACH(node, process_list_locked()) {
		struct process *process = container_of(node, struct process, all);

		if (process == caller || process->pid == 1)
			continue;
		found = true;
		if (number != 0)
			signal_send_locked(process, number, info);
	}
	process_unlock(interrupts);
	return found;
}

static lh_error send_to_process(uint32_t pid, uint32_t number, const struct signal_info *info)
{
	struct process *process = process_find(pid);

	if (process == NULL)
		return LH_NO_PROCESS;
	if (number != 0)
		signal_send(process, number, info);
	process_drop(process);
	return LH_OK;
}

lh_error call_kill(struct call *call)
{
	int32_t pid = call_int(call, 0);
	uint32_t number = call_unsigned(call, 1);
	struct signal_info info = { .code = SIGNAL_CODE_USER, .pid = process_current()->pid };
	bool found;

	if (number > SIGNAL_MAX)
		return LH_INVALID;
	if (pid > 0)
		return send_to_process((uint32_t)pid, number, &info);
	if (pid == INT32_MIN)
		return LH_NO_PROCESS;
	if (pid == -1)
		found = send_to_all(number, &info);
	else
		found = signal_send_group(pid == 0 ? process_current()->group : (uint32_t)-pid,
					  number, &info);
	return found ? LH_OK : LH_NO_PROCESS;
}

/* => process: 0: of any. */
static lh_error send_to_thread(uint32_t process, uint32_t tid, uint32_t number)
{
	struct signal_info info = { .code = SIGNAL_CODE_TGKILL, .pid = process_current()->pid };
	uintptr_t interrupts = process_lock();
	struct user_thread *user = user_thread_find_locked(tid);
	lh_error error = LH_OK;

	if (user == NULL || (process != 0 && user->process->pid != process))
		error = LH_NO_PROCESS;
	else if (number != 0)
		signal_send_thread_locked(user, number, &info);
	process_unlock(interrupts);
	return error;
}

lh_error call_tgkill(struct call *call)
{
	if (call_int(call, 0) <= 0 || call_int(call, 1) <= 0 || call_unsigned(call, 2) > SIGNAL_MAX)
		return LH_INVALID;
	return send_to_thread(call_unsigned(call, 0), call_unsigned(call, 1), call_unsigned(call, 2));
}

lh_error call_tkill(struct call *call)
{
	if (call_int(call, 0) <= 0 || call_unsigned(call, 1) > SIGNAL_MAX)
		return LH_INVALID;
	return send_to_thread(0, call_unsigned(call, 0), call_unsigned(call, 1));
}

/* --- actions and masks --- */

lh_error call_rt_sigaction(struct call *call)
{
	struct signal_action action, old;

	if (call->a[3] != SET_BYTES)
		return LH_INVALID;
	if (call->a[1] != 0)
		LH_TRY(user_copy_in(&action, call->a[1], sizeof action));
	LH_TRY(signal_set_action(call_unsigned(call, 0), call->a[1] != 0 ? &action : NULL, &old));
	return call->a[2] == 0 ? LH_OK : user_copy_out(call->a[2], &old, sizeof old);
}

enum mask_change { MASK_BLOCK, MASK_UNBLOCK, MASK_SET };

lh_error call_rt_sigprocmask(struct call *call)
{
	uint64_t old = user_thread_current()->signals.mask, given;

	if (call->a[3] != SET_BYTES)
		return LH_INVALID;
	if (call->a[1] != 0) {
		LH_TRY(user_copy_in(&given, call->a[1], sizeof given));
		switch (call_int(call, 0)) {
		case MASK_BLOCK:
			signal_set_mask(old | given);
			break;
		case MASK_UNBLOCK:
			signal_set_mask(old & ~given);
			break;
		case MASK_SET:
			signal_set_mask(given);
			break;
		default:
			return LH_INVALID;
		}
	}
	return call->a[2] == 0 ? LH_OK : user_copy_out(call->a[2], &old, sizeof old);
}

lh_error call_rt_sigpending(struct call *call)
{
	const struct user_thread *user = user_thread_current();
	uint64_t pending;
	uintptr_t interrupts;

	if (call->a[1] > SET_BYTES)
		return LH_INVALID;
	interrupts = process_lock();
	pending = signal_pending_locked(user) & user->signals.mask;
	process_unlock(interrupts);
	return user_copy_out(call->a[0], &pending, call->a[1]);
}

/* A frame that cannot be read is the end of the program: there is nowhere to return to. */
lh_error call_rt_sigreturn(struct call *call)
{
	struct signal_info info = { .code = SIGNAL_CODE_KERNEL };

	if (signal_frame_pop(call->frame) != LH_OK)
		signal_force(SIGNAL_SEGMENT, &info);
	call->value = call->frame->rax;
	return LH_OK;
}

/* --- waiting --- */

static lh_error wait_for_signal(void)
{
	static struct wait_queue nothing = WAIT_QUEUE_INIT(nothing);

	return WAIT_UNTIL_INTERRUPTIBLE(&nothing, false);
}

lh_error call_pause(struct call *call)
{
	(void)call;
	return wait_for_signal();
}

lh_error call_rt_sigsuspend(struct call *call)
{
	uint64_t mask;

	if (call->a[1] != SET_BYTES)
		return LH_INVALID;
	LH_TRY(user_copy_in(&mask, call->a[0], sizeof mask));
	signal_replace_mask(mask);
	return wait_for_signal();
}

/* Takes one of the signals, or says that they are waited for. => false: there is none. */
static bool take_awaited(uint64_t awaited, uint32_t *number, struct signal_info *info)
{
	struct user_thread *user = user_thread_current();
	uintptr_t interrupts = process_lock();
	bool taken = signal_take_locked(user, awaited, number, info);

	user->signals.awaited = taken ? 0 : awaited;
	process_unlock(interrupts);
	return taken;
}

/* A signal may have been meant for this thread that it has not taken. */
static void await_no_longer(void)
{
	struct user_thread *user = user_thread_current();
	uintptr_t interrupts = process_lock();

	user->signals.awaited = 0;
	signal_pass_on_locked(user->process);
	process_unlock(interrupts);
}

lh_error call_rt_sigtimedwait(struct call *call)
{
	static struct wait_queue nothing = WAIT_QUEUE_INIT(nothing);
	uint64_t awaited, time, deadline = WAIT_FOREVER;
	struct signal_info info;
	uint32_t number;
	lh_error error;

	if (call->a[3] != SET_BYTES)
		return LH_INVALID;
	LH_TRY(user_copy_in(&awaited, call->a[0], sizeof awaited));
	awaited &= ~SIGNAL_UNBLOCKABLE;
	if (call->a[2] != 0) {
		LH_TRY(call_read_timespec(call->a[2], &time));
		deadline = call_deadline(call, time);
	}
	error = WAIT_UNTIL_OR(&nothing, take_awaited(awaited, &number, &info), deadline);
	await_no_longer();
	if (error == LH_TIMED_OUT)
		return LH_AGAIN;
	LH_TRY(error);
	call->value = number;
	return call->a[1] == 0 ? LH_OK : signal_info_copy_out(call->a[1], number, &info);
}

/* --- the alternate stack --- */

lh_error call_sigaltstack(struct call *call)
{
	struct user_thread *user = user_thread_current();
	struct signal_stack old = user->signals.stack, given;
	bool is_on = signal_stack_contains(&old, call->frame->rsp);

	if (call->a[0] != 0) {
		LH_TRY(user_copy_in(&given, call->a[0], sizeof given));
		LH_TRY(signal_set_stack(&given, call->frame->rsp));
	}
	if (is_on)
		old.flags |= SIGNAL_STACK_ON;
	return call->a[1] == 0 ? LH_OK : user_copy_out(call->a[1], &old, sizeof old);
}
