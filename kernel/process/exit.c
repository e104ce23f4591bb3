/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of a process. All its threads must end; the last gives back all that they shared. When
 * the threads' own memory is free too, the reaper makes the process a zombie, hands its children
 * to nobody, and tells its parent: so what a parent has waited for has left nothing behind
 * but its status. Who has no parent, or one that does not want to know, is reaped at once.
 */
#include "arch/x86_64/clock.h"
#include "fs/tty.h"
#include "process/first.h"
#include "process/process.h"
#include "process/shutdown.h"

#define PATIENCE UINT64_C(10000000) /* nanoseconds until those that were born meanwhile are looked for */

/* Children become the kernel's; its zombies among them are gone. Under the process lock.
 * => those to drop after it, chained through sibling. */
static void orphan_children_locked(struct process *process, struct list *dropped)
{
	LIST_FOR_EACH_SAFE(node, next, &process->children) {
		struct process *child = container_of(node, struct process, sibling);

		if (child->state == PROCESS_ZOMBIE) {
			process_reap_locked(child);
			list_append(dropped, &child->sibling);
		} else {
			/* The holder of the parent stays until the child is freed. */
			list_remove(&child->sibling);
			__atomic_store_n(&child->parent, NULL, __ATOMIC_RELAXED);
			__atomic_fetch_sub(&process->holders, 1, __ATOMIC_ACQ_REL);
		}
	}
}

static bool parent_wants_zombie_locked(const struct process *process)
{
	const struct process *parent = process->parent;
	const struct signal_action *action;

	if (parent == NULL)
		return false;
	action = &parent->signals.actions[SIGNAL_CHILD - 1];
	return action->handler != SIGNAL_IGNORE && (action->flags & ACTION_NO_CHILD_WAIT) == 0;
}

static void tell_parent_locked(struct process *process, uint32_t status)
{
	struct signal_info info = { .pid = process->pid };

	if (process->parent == NULL)
		return;
	if ((status & 0x7f) == 0) {
		info.code = SIGNAL_CODE_EXITED;
		info.status = (status >> 8) & 0xff;
	} else {
		info.code = SIGNAL_CODE_KILLED;
		info.status = status & 0x7f;
	}
	if (process->exit_signal != 0)
		signal_send_locked(process->parent, process->exit_signal, &info);
	wake_all(&process->parent->child_queue);
}

/* After this the process is only a record. */
void process_give_back(struct process *process)
{
	struct user_memory *memory = process->memory;
	struct descriptor_table *files = process->files;
	struct inode *directory = process->directory;
	uintptr_t interrupts;

	if (process->session == process->pid)
		terminal_session_ends(process->session);
	interrupts = process_lock();
	process->memory = NULL;
	process->files = NULL;
	process->directory = NULL;
	process->alarm_deadline = 0;
	process_unlock(interrupts);
	user_memory_drop(memory);
	process_return_memory(process);
	descriptor_table_drop(files);
	inode_drop(directory);
}

void process_become_zombie(struct process *process)
{
	struct list dropped = LIST_INIT(dropped);
	uintptr_t interrupts = process_lock();
	struct list *node;
	bool is_reaped = !parent_wants_zombie_locked(process);

	orphan_children_locked(process, &dropped);
	process->state = PROCESS_ZOMBIE;
	tell_parent_locked(process, process->exit_status);
	if (is_reaped)
		process_reap_locked(process);
	process_unlock(interrupts);
	while ((node = list_take_first(&dropped)) != NULL)
		process_drop(container_of(node, struct process, sibling));
	if (process->pid == FIRST_PID)
		shutdown_begin(process->exit_status);
	if (is_reaped)
		process_drop(process);
}

void process_end_locked(struct process *process, uint32_t status)
{
	if (process->is_exiting)
		return;
	__atomic_store_n(&process->is_exiting, true, __ATOMIC_RELAXED);
	process->exit_status = status;
	process->is_stopped = false;
	process->stop_reported = true;
	LIST_FOR_EACH(node, &process->threads)
		thread_ask_to_end(container_of(node, struct user_thread, sibling)->thread);
}

/* Each round ends one thread of who forks for ever, and what it forked last is found by the next. A zombie is
 * dropped by its parent's end. */
bool process_end_all(uint64_t deadline)
{
	bool all = false;

	while (!all && clock_nanoseconds() < deadline) {
		uintptr_t interrupts = process_lock();

		LIST_FOR_EACH(node, process_list_locked())
			process_end_locked(container_of(node, struct process, all), SIGNAL_KILL);
		process_unlock(interrupts);
		all = process_all_freed(clock_nanoseconds() + PATIENCE);
	}
	return all;
}

/* Who must end already ends alone: another thread executes a program, or has ended the process. */
void process_exit(uint32_t status)
{
	struct process *process = process_current();
	uintptr_t interrupts = process_lock();

	if (!user_thread_must_end())
		process_end_locked(process, status);
	process_unlock(interrupts);
	user_thread_exit(status);
}
