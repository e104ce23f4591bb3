/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The end of a process. Its thread gives back all it has and ends; when the thread's own
 * memory is free too, the reaper makes the process a zombie, hands its children to
 * nobody, and tells its parent: so what a parent has waited for has left nothing behind
 * but its status. Who has no parent, or one that does not want to know, is reaped at once.
 */
#include "device/link.h"
#include "device/power.h"
#include "fs/tty.h"
#include "lib/log.h"
#include "memory/user.h"
#include "process/first.h"
#include "process/process.h"
#include "syscall/futex.h"

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

/* Writes 0 to where clone or set_tid_address said, if anyone else can see it. */
static void clear_tid(struct process *process)
{
	uint32_t zero = 0;

	if (process->clear_tid == 0 ||
	    __atomic_load_n(&process->memory->holders, __ATOMIC_RELAXED) < 2)
		return;
	if (user_copy_out(process->clear_tid, &zero, sizeof zero) == LH_OK)
		futex_wake(process->memory->space, process->clear_tid, 1);
}

/* Memory, files, directory: after this the process is only a record. */
static void give_back(struct process *process)
{
	struct user_memory *memory = process->memory;
	struct descriptor_table *files = process->files;
	struct inode *directory = process->directory;
	uintptr_t interrupts;

	clear_tid(process);
	thread_set_space(NULL);
	interrupts = process_lock();
	process->memory = NULL;
	process->files = NULL;
	process->directory = NULL;
	process_unlock(interrupts);
	user_memory_drop(memory);
	process_return_memory(process);
	descriptor_table_drop(files);
	inode_drop(directory);
}

/* The last step, in the reaper: nothing of the process is left but this. */
static void become_zombie(void *argument)
{
	struct process *process = argument;
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
	if (is_reaped)
		process_drop(process);
}

/* The thread and the process let go of each other. The list's holder keeps the process. */
static void leave_thread(struct process *process, uint32_t status)
{
	struct thread *thread = thread_current();
	uintptr_t interrupts = process_lock();

	process->ticks_user = thread->user_ticks;
	process->ticks_kernel = thread->run_ticks - thread->user_ticks;
	process->thread = NULL;
	process->alarm_deadline = 0;
	process->exit_status = status;
	thread->process = NULL;
	process_unlock(interrupts);
	thread->when_freed = become_zombie;
	thread->when_freed_argument = process;
}

void process_exit(uint32_t status)
{
	struct process *process = process_current();

	__atomic_store_n(&process->is_exiting, true, __ATOMIC_RELAXED);
	if (process->session == process->pid)
		terminal_session_ends(process->session);
	if (process->pid == FIRST_PID)
		first_process_ends(status); /* does not return */
	give_back(process);
	leave_thread(process, status);
	thread_exit();
}
