/* SPDX-License-Identifier: BSD-2-Clause */
/* wait4(2) and waitid(2). */
#include "process/process.h"

#define STATUS_CONTINUED 0xffffu

static bool is_meant(const struct process *child, const struct wait_request *request,
		     uint32_t own_group)
{
	if (request->pid > 0)
		return child->pid == (uint64_t)request->pid;
	if (request->pid == 0)
		return child->group == own_group;
	return request->pid == -1 || child->group == (uint64_t)-request->pid;
}

/* What there is to tell of a child. Under the process lock. => false: nothing. */
static bool tell_locked(struct process *child, const struct wait_request *request,
			struct wait_result *result)
{
	if (child->state == PROCESS_ZOMBIE) {
		if (!request->exited)
			return false;
		result->status = child->exit_status;
	} else if (request->stopped && child->is_stopped && !child->stop_reported) {
		result->status = child->stop_signal << 8 | 0x7f;
		child->stop_reported = !request->keep;
	} else if (request->continued && !child->continue_reported) {
		result->status = STATUS_CONTINUED;
		child->continue_reported = !request->keep;
	} else {
		return false;
	}
	result->pid = child->pid;
	result->user_ticks = child->ticks_user + child->children_user;
	result->kernel_ticks = child->ticks_kernel + child->children_kernel;
	return true;
}

/* => LH_AGAIN: there are such children, but nothing to tell of them. *reaped: to be
 * dropped after the lock. */
static lh_error look_locked(struct process *process, const struct wait_request *request,
			    struct wait_result *result, struct process **reaped)
{
	lh_error error = LH_NO_CHILD;

	LIST_FOR_EACH(node, &process->children) {
		struct process *child = container_of(node, struct process, sibling);

		if (!is_meant(child, request, process->group))
			continue;
		error = LH_AGAIN;
		if (!tell_locked(child, request, result))
			continue;
		if (child->state == PROCESS_ZOMBIE && !request->keep) {
			process->children_user += result->user_ticks;
			process->children_kernel += result->kernel_ticks;
			process_reap_locked(child);
			*reaped = child;
		}
		return LH_OK;
	}
	return error;
}

static lh_error look(struct process *process, const struct wait_request *request,
		     struct wait_result *result)
{
	struct process *reaped = NULL;
	uintptr_t interrupts = process_lock();
	lh_error error = look_locked(process, request, result, &reaped);

	process_unlock(interrupts);
	process_drop(reaped);
	return error;
}

lh_error process_wait(const struct wait_request *request, struct wait_result *result)
{
	struct process *process = process_current();
	lh_error seen = LH_AGAIN;

	*result = (struct wait_result){ 0 };
	if (request->no_hang) {
		seen = look(process, request, result);
		return seen == LH_AGAIN ? LH_OK : seen;
	}
	LH_TRY(WAIT_UNTIL_INTERRUPTIBLE(&process->child_queue,
					(seen = look(process, request, result)) != LH_AGAIN));
	return seen;
}
