/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * clone(2): processes, as fork makes them, and vfork whose child borrows the parent's memory until
 * it executes or ends; and threads. A thread shares all that the kernel knows to share (memory,
 * directory, files, handlers), a process nothing but, if asked for, memory. Everything that can fail
 * is made first; then the child is published and started.
 */
#include "lib/string.h"
#include "memory/memory.h"
#include "memory/user.h"
#include "process/process.h"

#define CLONE_SIGNAL_MASK 0xffu
#define CLONE_SHARED_BY_THREADS                                                                 \
	(CLONE_FLAG_MEMORY | CLONE_FLAG_DIRECTORY | CLONE_FLAG_FILES | CLONE_FLAG_HANDLERS)
#define CLONE_OF_THREADS (CLONE_FLAG_THREAD | CLONE_SHARED_BY_THREADS)
#define CLONE_OF_BOTH                                                                           \
	(CLONE_SIGNAL_MASK | CLONE_FLAG_SET_TLS | CLONE_FLAG_PARENT_SET_TID |                   \
	 CLONE_FLAG_CHILD_CLEAR_TID | CLONE_FLAG_DETACHED | CLONE_FLAG_CHILD_SET_TID |          \
	 CLONE_FLAG_SEMAPHORES)
#define CLONE_OF_PROCESSES (CLONE_FLAG_MEMORY | CLONE_FLAG_VFORK)

/* The signal state that a child begins with: nothing pending, no alternate stack if it runs in its
 * parent's memory beside it. */
static void inherit_signals(struct user_thread *child, const struct user_thread *parent,
			    bool runs_beside)
{
	uintptr_t interrupts = process_lock();

	child->signals.mask = parent->signals.mask;
	if (!runs_beside)
		child->signals.stack = parent->signals.stack;
	memcpy(child->name, parent->name, sizeof child->name);
	if (child->process != parent->process) {
		memcpy(child->process->signals.actions, parent->process->signals.actions,
		       sizeof child->process->signals.actions);
		memcpy(child->process->name, parent->name, sizeof child->process->name);
	}
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

/* What a child process has. What was made stays for process_drop on error. */
static lh_error prepare_process(struct process *child, const struct clone_request *request)
{
	struct process *parent = process_current();

	LH_TRY(inherit_memory(child, parent, request->flags));
	LH_TRY(descriptor_table_copy(parent->files, &child->files));
	child->directory = process_hold_directory();
	child->umask = __atomic_load_n(&parent->umask, __ATOMIC_RELAXED);
	child->exit_signal = (uint32_t)(request->flags & CLONE_SIGNAL_MASK);
	child->memory_is_borrowed = (request->flags & CLONE_FLAG_VFORK) != 0;
	return LH_OK;
}

/* A thread that begins as the caller goes on, but for what was asked for. */
static lh_error make_thread(struct process *process, const struct trap_frame *frame,
			    const struct clone_request *request, struct user_thread **result)
{
	struct user_start start = {
		.frame = *frame,
		.tls = request->tls,
		.has_tls = (request->flags & CLONE_FLAG_SET_TLS) != 0,
	};

	start.frame.rax = 0;
	if (request->stack != 0)
		start.frame.rsp = request->stack;
	if ((request->flags & CLONE_FLAG_CHILD_SET_TID) != 0)
		start.set_tid = request->child_tid;
	LH_TRY(user_thread_create(process, &start, result));
	if ((request->flags & CLONE_FLAG_CHILD_CLEAR_TID) != 0)
		(*result)->clear_tid = request->child_tid;
	inherit_signals(*result, user_thread_current(),
			(request->flags & (CLONE_FLAG_MEMORY | CLONE_FLAG_VFORK)) == CLONE_FLAG_MEMORY);
	return LH_OK;
}

static void start(struct user_thread *user, const struct clone_request *request)
{
	if ((request->flags & CLONE_FLAG_PARENT_SET_TID) != 0)
		(void)!user_copy_out(request->parent_tid, &user->tid, sizeof user->tid);
	thread_start(user->thread);
}

static lh_error clone_thread(const struct trap_frame *frame, const struct clone_request *request,
			     uint32_t *tid)
{
	struct user_thread *user;
	lh_error error;

	LH_TRY(make_thread(process_current(), frame, request, &user));
	error = user_thread_publish(user);
	if (error != LH_OK) {
		user_thread_destroy(user);
		return error;
	}
	*tid = user->tid;
	start(user, request); /* it may be gone already when this returns */
	return LH_OK;
}

static lh_error clone_process(const struct trap_frame *frame, const struct clone_request *request,
			      uint32_t *pid)
{
	struct user_thread *user;
	struct process *child;
	lh_error error;

	LH_TRY(process_create(&child));
	error = prepare_process(child, request);
	if (error == LH_OK)
		error = make_thread(child, frame, request, &user);
	if (error != LH_OK) {
		process_drop(child);
		return error;
	}
	process_publish(child, process_current(), user);
	*pid = child->pid;
	/* Our holder stays for vfork's wait; the child's threads run on the list's, since
	 * only the child itself makes itself a zombie. */
	start(user, request);
	if ((request->flags & CLONE_FLAG_VFORK) != 0)
		(void)WAIT_UNTIL_OR_ENDED(&child->return_queue,
					  !__atomic_load_n(&child->memory_is_borrowed,
							   __ATOMIC_ACQUIRE));
	process_drop(child);
	return LH_OK;
}

/* clone(2): which flags need which. Threads that share less than all are not there. */
static lh_error check(const struct clone_request *request)
{
	uint64_t flags = request->flags;
	bool is_thread = (flags & CLONE_FLAG_THREAD) != 0;
	uint64_t allowed = CLONE_OF_BOTH | (is_thread ? CLONE_OF_THREADS : CLONE_OF_PROCESSES);

	if ((flags & CLONE_SIGNAL_MASK) > SIGNAL_MAX)
		return LH_INVALID;
	if (is_thread && (flags & CLONE_OF_THREADS) != CLONE_OF_THREADS)
		return LH_INVALID;
	if ((flags & ~allowed) != 0)
		return LH_INVALID;
	if ((flags & CLONE_FLAG_SET_TLS) != 0 && request->tls >= USER_LIMIT)
		return LH_NOT_PERMITTED;
	return LH_OK;
}

lh_error process_clone(const struct trap_frame *frame, const struct clone_request *request,
		       uint32_t *number)
{
	LH_TRY(check(request));
	if ((request->flags & CLONE_FLAG_THREAD) != 0)
		return clone_thread(frame, request, number);
	return clone_process(frame, request, number);
}

void process_return_memory(struct process *process)
{
	if (!__atomic_load_n(&process->memory_is_borrowed, __ATOMIC_RELAXED))
		return;
	__atomic_store_n(&process->memory_is_borrowed, false, __ATOMIC_RELEASE);
	wake_all(&process->return_queue);
}
