/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls about the calling thread. Those that make and end threads are in processes.c. */
#include "cpu/percpu.h"
#include "lib/string.h"
#include "memory/user.h"
#include "syscall/table.h"

lh_error call_gettid(struct call *call)
{
	call->value = user_thread_current()->tid;
	return LH_OK;
}

#define SET_GS_BASE 0x1001
#define SET_FS_BASE 0x1002
#define GET_FS_BASE 0x1003
#define GET_GS_BASE 0x1004

lh_error call_arch_prctl(struct call *call)
{
	const struct thread *thread = thread_current();

	switch (call_int(call, 0)) {
	case SET_FS_BASE:
		return thread_set_fs_base(call->a[1]);
	case SET_GS_BASE:
		return thread_set_gs_base(call->a[1]);
	case GET_FS_BASE:
		return user_copy_out(call->a[1], &thread->fs_base, sizeof thread->fs_base);
	case GET_GS_BASE:
		return user_copy_out(call->a[1], &thread->gs_base, sizeof thread->gs_base);
	default:
		return LH_INVALID;
	}
}

lh_error call_set_tid_address(struct call *call)
{
	user_thread_current()->clear_tid = call->a[0];
	call->value = user_thread_current()->tid;
	return LH_OK;
}

/* The thread of that number, or the caller's own if it is 0. Under the process lock. */
static struct user_thread *thread_by_argument_locked(uint32_t tid)
{
	return tid == 0 ? user_thread_current() : user_thread_find_locked(tid);
}

#define ROBUST_HEAD_BYTES 24u

lh_error call_set_robust_list(struct call *call)
{
	if (call->a[1] != ROBUST_HEAD_BYTES)
		return LH_INVALID;
	__atomic_store_n(&user_thread_current()->robust_list, call->a[0], __ATOMIC_RELAXED);
	return LH_OK;
}

lh_error call_get_robust_list(struct call *call)
{
	uint32_t tid = call_unsigned(call, 0);
	const struct user_thread *user;
	uint64_t values[2] = { 0, ROBUST_HEAD_BYTES };
	uintptr_t interrupts = process_lock();

	user = thread_by_argument_locked(tid);
	if (user != NULL)
		values[0] = __atomic_load_n(&user->robust_list, __ATOMIC_RELAXED);
	process_unlock(interrupts);
	if (user == NULL)
		return LH_NO_PROCESS;
	LH_TRY(user_copy_out(call->a[2], &values[1], sizeof values[1]));
	return user_copy_out(call->a[1], &values[0], sizeof values[0]);
}

lh_error call_rseq(struct call *call)
{
	(void)call;
	return LH_NO_SYSTEM_CALL;
}

lh_error call_sched_yield(struct call *call)
{
	(void)call;
	thread_yield();
	return LH_OK;
}

static uint64_t cpu_mask(void)
{
	uint32_t count = cpu_count();

	return count >= 64 ? UINT64_MAX : (UINT64_C(1) << count) - 1;
}

lh_error call_sched_getaffinity(struct call *call)
{
	const struct user_thread *user;
	uint64_t mask = 0;
	uintptr_t interrupts;

	if (call_unsigned(call, 1) < sizeof mask || call_unsigned(call, 1) % sizeof mask != 0)
		return LH_INVALID;
	interrupts = process_lock();
	user = thread_by_argument_locked(call_unsigned(call, 0));
	if (user != NULL)
		mask = user->thread->allowed_cpus & cpu_mask();
	process_unlock(interrupts);
	if (user == NULL)
		return LH_NO_PROCESS;
	LH_TRY(user_copy_out(call->a[2], &mask, sizeof mask));
	call->value = sizeof mask;
	return LH_OK;
}

lh_error call_sched_setaffinity(struct call *call)
{
	uint64_t mask = 0;
	size_t bytes = call_unsigned(call, 1) < sizeof mask ? call_unsigned(call, 1) : sizeof mask;
	struct user_thread *user;
	uintptr_t interrupts;
	uint64_t wrong = 0;

	LH_TRY(user_copy_in(&mask, call->a[2], bytes));
	mask &= cpu_mask();
	if (mask == 0)
		return LH_INVALID;
	interrupts = process_lock();
	user = thread_by_argument_locked(call_unsigned(call, 0));
	if (user != NULL)
		wrong = thread_set_allowed_cpus(user->thread, mask);
	process_unlock(interrupts);
	thread_send_away(wrong); /* as on Linux, it has left when this returns */
	if (user == user_thread_current())
		thread_yield(); /* goes where it may */
	return user != NULL ? LH_OK : LH_NO_PROCESS;
}

/* CPU and node; nodes there are none. */
lh_error call_getcpu(struct call *call)
{
	uint32_t number = cpu_this()->number, node = 0;

	if (call->a[0] != 0)
		LH_TRY(user_copy_out(call->a[0], &number, sizeof number));
	return call->a[1] == 0 ? LH_OK : user_copy_out(call->a[1], &node, sizeof node);
}

#define PRCTL_SET_NAME 15
#define PRCTL_GET_NAME 16

lh_error call_prctl(struct call *call)
{
	struct user_thread *user = user_thread_current();
	char name[THREAD_NAME_BYTES] = { 0 };
	uintptr_t interrupts;
	size_t length;
	lh_error error;

	switch (call_int(call, 0)) {
	case PRCTL_GET_NAME:
		return user_copy_out(call->a[1], user->name, sizeof user->name);
	case PRCTL_SET_NAME:
		error = user_copy_string(name, call->a[1], sizeof name, &length);
		if (error != LH_OK && error != LH_NAME_TOO_LONG)
			return error;
		name[sizeof name - 1] = '\0';
		interrupts = process_lock();
		memcpy(user->name, name, sizeof name);
		if (user->tid == user->process->pid)
			memcpy(user->process->name, name, sizeof name);
		process_unlock(interrupts);
		return LH_OK;
	default:
		return LH_INVALID;
	}
}
