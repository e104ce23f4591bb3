/* SPDX-License-Identifier: BSD-2-Clause */
/* Process groups and sessions: setpgid(2), setsid(2). */
#include "process/process.h"

static struct process *find_locked(uint32_t pid)
{
	LIST_FOR_EACH(node, process_list_locked()) {
		struct process *process = container_of(node, struct process, all);

		if (process->pid == pid)
			return process;
	}
	return NULL;
}

static bool group_exists_locked(uint32_t group, uint32_t session)
{
	LIST_FOR_EACH(node, process_list_locked()) {
		const struct process *process = container_of(node, struct process, all);

		if (process->group == group && process->session == session)
			return true;
	}
	return false;
}

static lh_error set_group_locked(struct process *caller, uint32_t pid, uint32_t group)
{
	struct process *process = pid == 0 ? caller : find_locked(pid);

	if (process == NULL || (process != caller && process->parent != caller))
		return LH_NO_PROCESS;
	if (process != caller && process->has_executed)
		return LH_NO_ACCESS;
	if (process->session != caller->session || process->session == process->pid)
		return LH_NOT_PERMITTED;
	if (group == 0)
		group = process->pid;
	if (group != process->pid && !group_exists_locked(group, caller->session))
		return LH_NOT_PERMITTED;
	process->group = group;
	return LH_OK;
}

lh_error process_set_group(uint32_t pid, uint32_t group)
{
	uintptr_t interrupts = process_lock();
	lh_error error = set_group_locked(process_current(), pid, group);

	process_unlock(interrupts);
	return error;
}

lh_error process_new_session(uint32_t *session)
{
	struct process *process = process_current();
	lh_error error = LH_OK;
	uintptr_t interrupts = process_lock();

	LIST_FOR_EACH(node, process_list_locked())
		if (container_of(node, struct process, all)->group == process->pid)
			error = LH_NOT_PERMITTED;
	if (error == LH_OK) {
		process->group = process->pid;
		process->session = process->pid;
		*session = process->pid;
	}
	process_unlock(interrupts);
	return error;
}
