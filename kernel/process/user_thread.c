/* SPDX-License-Identifier: BSD-2-Clause */
#include "process/user_thread.h"

#include "lib/string.h"
#include "memory/heap.h"
#include "memory/user.h"
#include "process/process.h"
#include "syscall/futex.h"
#include "syscall/robust.h"

/* --- making --- */

/* The new thread's first steps. */
static void begin(void *argument)
{
	struct user_thread *user = argument;
	const struct user_start *start = &user->start;

	thread_set_space(user->process->memory->space);
	if (start->has_tls && thread_set_fs_base(start->tls) != LH_OK)
		process_exit(SIGNAL_SEGMENT);
	if (start->set_tid != 0)
		(void)!user_copy_out(start->set_tid, &user->tid, sizeof user->tid);
	user_enter(&start->frame);
}

static lh_error create_record(struct process *process, struct user_thread **result)
{
	struct user_thread *user = kernel_allocate(sizeof *user);

	if (user == NULL)
		return LH_NO_MEMORY;
	user->process = process;
	user->call.number = THREAD_NO_CALL;
	user->call.resumed = THREAD_NO_CALL;
	user->signals.stack.flags = SIGNAL_STACK_DISABLED;
	list_init(&user->sibling);
	*result = user;
	return LH_OK;
}

lh_error user_thread_create(struct process *process, const struct user_start *start,
			    struct user_thread **result)
{
	struct user_thread *user;
	struct thread *thread;
	lh_error error;

	LH_TRY(create_record(process, &user));
	error = thread_create(begin, user, &thread);
	if (error != LH_OK) {
		kernel_free(user, sizeof *user);
		return error;
	}
	thread->user = user;
	thread->name = "user";
	thread_copy_user_state(thread);
	user->thread = thread;
	user->start = *start;
	*result = user;
	return LH_OK;
}

lh_error user_thread_adopt(struct process *process, struct user_thread **user)
{
	LH_TRY(create_record(process, user));
	(*user)->thread = thread_current();
	return LH_OK;
}

void user_thread_destroy(struct user_thread *user)
{
	if (user->thread != thread_current())
		thread_destroy(user->thread);
	kernel_free(user, sizeof *user);
}

void user_thread_publish_locked(struct user_thread *user, uint32_t tid)
{
	struct process *process = user->process;

	user->tid = tid;
	list_append(&process->threads, &user->sibling);
	__atomic_store_n(&process->thread_count, process->thread_count + 1, __ATOMIC_RELEASE);
	process->threads_kept++;
	if (process->is_stopped) /* the others have been called to wait; so is this one, when it starts */
		thread_interrupt(user->thread);
}

lh_error user_thread_publish(struct user_thread *user)
{
	uintptr_t interrupts = process_lock();
	lh_error error = user_thread_must_end() ? LH_INTERRUPTED : LH_OK;

	if (error == LH_OK)
		user_thread_publish_locked(user, process_next_number_locked());
	process_unlock(interrupts);
	return error;
}

/* --- finding --- */

struct user_thread *user_thread_first_locked(const struct process *process)
{
	if (list_is_empty(&process->threads))
		return NULL;
	return container_of(process->threads.next, struct user_thread, sibling);
}

struct user_thread *user_thread_find_locked(uint32_t tid)
{
	LIST_FOR_EACH(node, process_list_locked()) {
		struct process *process = container_of(node, struct process, all);

		LIST_FOR_EACH(member, &process->threads) {
			struct user_thread *user = container_of(member, struct user_thread, sibling);

			if (user->tid == tid)
				return user;
		}
	}
	return NULL;
}

/* --- ending --- */

bool user_thread_must_end(void)
{
	const struct thread *thread = thread_current();

	return thread->user != NULL && __atomic_load_n(&thread->must_end, __ATOMIC_RELAXED);
}

void user_thread_leave_memory(struct user_thread *user)
{
	struct process *process = user->process;
	uint64_t robust_list = __atomic_exchange_n(&user->robust_list, 0, __ATOMIC_RELAXED);
	uint64_t clear_tid = user->clear_tid;
	uint32_t zero = 0;

	user->clear_tid = 0;
	if (robust_list != 0)
		robust_list_release(robust_list, user->tid);
	/* Who waits for the word is in another thread, or in another process with this memory. */
	if (clear_tid == 0 || (__atomic_load_n(&process->thread_count, __ATOMIC_RELAXED) < 2 &&
			       __atomic_load_n(&process->memory->holders, __ATOMIC_RELAXED) < 2))
		return;
	if (user_copy_out(clear_tid, &zero, sizeof zero) == LH_OK)
		futex_wake_shared(clear_tid, 1);
}

/* Out of the list: nobody finds the thread any more. => true: it was the last. */
static bool leave_process(struct user_thread *user, uint32_t status)
{
	struct process *process = user->process;
	uintptr_t interrupts = process_lock();
	bool is_last;

	list_remove(&user->sibling);
	__atomic_store_n(&process->thread_count, process->thread_count - 1, __ATOMIC_RELEASE);
	is_last = process->thread_count == 0;
	process->ticks_user += user->thread->user_ticks;
	process->ticks_kernel += user->thread->run_ticks - user->thread->user_ticks;
	if (is_last && !process->is_exiting) {
		process->exit_status = status;
		__atomic_store_n(&process->is_exiting, true, __ATOMIC_RELAXED);
	}
	signal_pass_on_locked(process);
	signal_tell_if_stopped_locked(process);
	wake_all(&process->thread_queue);
	process_unlock(interrupts);
	return is_last;
}

/* In the reaper. The holder that the list of processes has keeps the process so long. */
static void was_freed(void *argument)
{
	struct process *process = argument;
	uintptr_t interrupts = process_lock();
	bool is_last = --process->threads_kept == 0;

	process_unlock(interrupts);
	if (is_last)
		process_become_zombie(process);
}

void user_thread_exit(uint32_t status)
{
	struct user_thread *user = user_thread_current();
	struct process *process = user->process;
	struct thread *thread = user->thread;

	user_thread_leave_memory(user);
	thread_set_space(NULL);
	if (leave_process(user, status))
		process_give_back(process);
	thread->user = NULL;
	kernel_free(user, sizeof *user);
	thread->when_freed = was_freed;
	thread->when_freed_argument = process;
	thread_exit();
}

static lh_error ask_others_to_end(const struct user_thread *user)
{
	uintptr_t interrupts = process_lock();
	lh_error error = user_thread_must_end() ? LH_INTERRUPTED : LH_OK;

	LIST_FOR_EACH(node, &user->process->threads) {
		const struct user_thread *other = container_of(node, struct user_thread, sibling);

		if (error == LH_OK && other != user)
			thread_ask_to_end(other->thread);
	}
	process_unlock(interrupts);
	return error;
}

lh_error user_thread_end_others(void)
{
	struct user_thread *user = user_thread_current();
	struct process *process = user->process;

	LH_TRY(ask_others_to_end(user));
	return WAIT_UNTIL_OR_ENDED(&process->thread_queue,
				   __atomic_load_n(&process->thread_count, __ATOMIC_ACQUIRE) == 1);
}
