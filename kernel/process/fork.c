/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * clone(2), as far as it makes processes: fork, and vfork whose child borrows the
 * parent's memory until it executes or ends. Everything that can fail is made first;
 * then the child is published and started.
 */
#include "lib/string.h"
#include "memory/user.h"
#include "process/process.h"

#define CLONE_SIGNAL_MASK 0xffu
#define CLONE_ALLOWED                                                                           \
	(CLONE_SIGNAL_MASK | CLONE_FLAG_MEMORY | CLONE_FLAG_VFORK | CLONE_FLAG_SET_TLS |        \
	 CLONE_FLAG_PARENT_SET_TID | CLONE_FLAG_CHILD_CLEAR_TID | CLONE_FLAG_CHILD_SET_TID)

/* The child's first steps, in its own thread. */
static void child_entry(void *argument)
{
	struct process *process = argument;

	thread_set_space(process->memory->space);
	if (process->start_has_tls && thread_set_fs_base(process->start_tls) != LH_OK)
		process_exit(SIGNAL_SEGMENT);
	if (process->start_set_tid != 0)
		(void)!user_copy_out(process->start_set_tid, &process->pid, sizeof process->pid);
	user_enter(&process->start_frame);
}

/* The signal state that a child begins with: nothing pending, no alternate stack if it
 * runs in its parent's memory on another one. */
static void inherit_signals(struct process *child, struct process *parent)
{
	uintptr_t interrupts = process_lock();

	memcpy(child->signals.actions, parent->signals.actions, sizeof child->signals.actions);
	child->signals.mask = parent->signals.mask;
	if (!child->memory_is_borrowed)
		child->signals.stack = parent->signals.stack;
	memcpy(child->name, parent->name, sizeof child->name);
	process_unlock(interrupts);
}

static lh_error inherit_memory(struct process *child, struct process *parent, uint64_t flags)
{
	if ((flags & CLONE_FLAG_MEMORY) == 0)
		return user_memory_fork(parent->memory, &child->memory);
	user_memory_hold(parent->memory);
	child->memory = parent->memory;
	return LH_OK;
}

/* All of the child but its pid. What was made stays for process_drop on error. */
static lh_error prepare_child(struct process *child, const struct trap_frame *frame,
			      const struct clone_request *request)
{
	struct process *parent = process_current();

	LH_TRY(inherit_memory(child, parent, request->flags));
	LH_TRY(descriptor_table_copy(parent->files, &child->files));
	inode_hold(parent->directory);
	child->directory = parent->directory;
	child->umask = parent->umask;
	child->exit_signal = (uint32_t)(request->flags & CLONE_SIGNAL_MASK);
	child->memory_is_borrowed = (request->flags & CLONE_FLAG_VFORK) != 0;
	inherit_signals(child, parent);
	child->start_frame = *frame;
	child->start_frame.rax = 0;
	if (request->stack != 0)
		child->start_frame.rsp = request->stack;
	child->start_has_tls = (request->flags & CLONE_FLAG_SET_TLS) != 0;
	child->start_tls = request->tls;
	if ((request->flags & CLONE_FLAG_CHILD_SET_TID) != 0)
		child->start_set_tid = request->child_tid;
	if ((request->flags & CLONE_FLAG_CHILD_CLEAR_TID) != 0)
		child->clear_tid = request->child_tid;
	return LH_OK;
}

static lh_error make_child(const struct trap_frame *frame, const struct clone_request *request,
			   struct process **result, struct thread **result_thread)
{
	struct process *child;
	struct thread *thread;
	lh_error error;

	LH_TRY(process_create(&child));
	error = prepare_child(child, frame, request);
	if (error == LH_OK)
		error = thread_create(child_entry, child, &thread);
	if (error != LH_OK) {
		process_drop(child);
		return error;
	}
	thread->process = child;
	thread->name = "user";
	thread_copy_user_state(thread);
	child->thread = thread;
	*result = child;
	*result_thread = thread;
	return LH_OK;
}

lh_error process_clone(const struct trap_frame *frame, const struct clone_request *request,
		       uint32_t *pid)
{
	struct process *child;
	struct thread *thread;

	if ((request->flags & ~(uint64_t)CLONE_ALLOWED) != 0)
		return LH_UNSUPPORTED;
	if ((request->flags & CLONE_SIGNAL_MASK) > SIGNAL_MAX)
		return LH_INVALID;
	LH_TRY(make_child(frame, request, &child, &thread));
	process_publish(child, process_current());
	*pid = child->pid;
	if ((request->flags & CLONE_FLAG_PARENT_SET_TID) != 0)
		(void)!user_copy_out(request->parent_tid, pid, sizeof *pid);
	/* Our holder stays for vfork's wait; the child's thread runs on the list's, since
	 * only the child itself makes itself a zombie. */
	thread_start(thread);
	if ((request->flags & CLONE_FLAG_VFORK) != 0)
		WAIT_UNTIL(&child->return_queue,
			   !__atomic_load_n(&child->memory_is_borrowed, __ATOMIC_ACQUIRE));
	process_drop(child);
	return LH_OK;
}

void process_return_memory(struct process *process)
{
	if (!__atomic_load_n(&process->memory_is_borrowed, __ATOMIC_RELAXED))
		return;
	__atomic_store_n(&process->memory_is_borrowed, false, __ATOMIC_RELEASE);
	wake_all(&process->return_queue);
}
