/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls that make, end and name processes. */
#include "fs/path.h"
#include "lib/string.h"
#include "memory/heap.h"
#include "memory/user.h"
#include "syscall/table.h"

/* --- making --- */

static lh_error clone_with(struct call *call, const struct clone_request *request)
{
	uint32_t pid;

	LH_TRY(process_clone(call->frame, request, &pid));
	call->value = pid;
	return LH_OK;
}

lh_error call_fork(struct call *call)
{
	struct clone_request request = { .flags = SIGNAL_CHILD };

	return clone_with(call, &request);
}

lh_error call_vfork(struct call *call)
{
	struct clone_request request = {
		.flags = SIGNAL_CHILD | CLONE_FLAG_VFORK | CLONE_FLAG_MEMORY
	};

	return clone_with(call, &request);
}

lh_error call_clone(struct call *call)
{
	struct clone_request request = {
		.flags = call->a[0],
		.stack = call->a[1],
		.parent_tid = call->a[2],
		.child_tid = call->a[3],
		.tls = call->a[4],
	};

	return clone_with(call, &request);
}

lh_error call_clone3(struct call *call)
{
	(void)call; /* programs then use clone */
	return LH_NO_SYSTEM_CALL;
}

/* --- execve --- */

/* Adds the strings that a vector of pointers names. A vector at 0 is an empty one. */
static lh_error add_strings(struct program_arguments *arguments, uint64_t vector, char *buffer,
			    size_t capacity, uint32_t *count)
{
	for (; vector != 0; vector += sizeof(uint64_t)) {
		uint64_t address;
		size_t length;
		lh_error error;

		LH_TRY(user_copy_in(&address, vector, sizeof address));
		if (address == 0)
			return LH_OK;
		error = user_copy_string(buffer, address, capacity, &length);
		if (error == LH_NAME_TOO_LONG)
			return LH_ARGUMENTS_TOO_LONG;
		LH_TRY(error);
		LH_TRY(program_arguments_add(arguments, buffer, length));
		++*count;
	}
	return LH_OK;
}

#define STRING_CAPACITY (128u * 1024)

static lh_error read_arguments(const struct call *call, struct program_arguments *arguments)
{
	char *buffer = kernel_allocate(STRING_CAPACITY);
	lh_error error;

	if (buffer == NULL)
		return LH_NO_MEMORY;
	error = add_strings(arguments, call->a[1], buffer, STRING_CAPACITY,
			    &arguments->argument_count);
	/* A program may count on having a name. */
	if (error == LH_OK && arguments->argument_count == 0) {
		error = program_arguments_add(arguments, "", 0);
		arguments->argument_count = 1;
	}
	if (error == LH_OK)
		error = add_strings(arguments, call->a[2], buffer, STRING_CAPACITY,
				    &arguments->environment_count);
	kernel_free(buffer, STRING_CAPACITY);
	return error;
}

lh_error call_execve(struct call *call)
{
	struct program_arguments arguments = { 0 };
	char *path;
	lh_error error;

	LH_TRY(call_path(call->a[0], &path));
	error = read_arguments(call, &arguments);
	if (error == LH_OK)
		error = process_execute(path, &arguments, call->frame);
	program_arguments_free(&arguments);
	call_path_free(path);
	return error;
}

/* --- ending --- */

/* The caller's thread alone. */
lh_error call_exit(struct call *call)
{
	user_thread_exit((call_unsigned(call, 0) & 0xff) << 8);
}

lh_error call_exit_group(struct call *call)
{
	process_exit((call_unsigned(call, 0) & 0xff) << 8);
}

/* --- waiting --- */

#define WAIT_NO_HANG 1u
#define WAIT_STOPPED 2u
#define WAIT_EXITED 4u
#define WAIT_CONTINUED 8u
#define WAIT_KEEP 0x01000000u
#define WAIT_KINDS 0xe0000000u /* __WNOTHREAD, __WALL, __WCLONE: all children are alike here */

struct linux_rusage {
	struct linux_timeval user, kernel;
	int64_t others[14];
};

#define NANOSECONDS_A_TICK UINT64_C(10000000)

static struct linux_rusage rusage_of(uint64_t user_ticks, uint64_t kernel_ticks)
{
	struct linux_rusage rusage = { .user = timeval_of(user_ticks * NANOSECONDS_A_TICK),
				       .kernel = timeval_of(kernel_ticks * NANOSECONDS_A_TICK) };

	return rusage;
}

lh_error call_wait4(struct call *call)
{
	uint32_t options = call_unsigned(call, 2);
	struct wait_request request = {
		.pid = call_int(call, 0),
		.no_hang = (options & WAIT_NO_HANG) != 0,
		.stopped = (options & WAIT_STOPPED) != 0,
		.continued = (options & WAIT_CONTINUED) != 0,
		.exited = true,
	};
	struct wait_result result;
	struct linux_rusage rusage;

	if ((options & ~(WAIT_NO_HANG | WAIT_STOPPED | WAIT_CONTINUED | WAIT_KINDS)) != 0)
		return LH_INVALID;
	if (request.pid == INT32_MIN)
		return LH_NO_PROCESS;
	LH_TRY(process_wait(&request, &result));
	call->value = result.pid;
	if (result.pid == 0)
		return LH_OK;
	if (call->a[1] != 0)
		LH_TRY(user_copy_out(call->a[1], &result.status, sizeof result.status));
	if (call->a[3] == 0)
		return LH_OK;
	rusage = rusage_of(result.user_ticks, result.kernel_ticks);
	return user_copy_out(call->a[3], &rusage, sizeof rusage);
}

struct wait_info {
	int32_t signal, error, code, padding;
	uint32_t pid, user;
	int32_t status;
	uint8_t rest[100];
};

#define WAIT_INFO_WRITTEN offsetof(struct wait_info, rest)

static struct wait_info describe(const struct wait_result *result)
{
	struct wait_info info = { .signal = SIGNAL_CHILD, .pid = result->pid };
	uint32_t low = result->status & 0x7f;

	if (result->status == 0xffff) {
		info.code = SIGNAL_CODE_CONTINUED;
		info.status = SIGNAL_CONTINUE;
	} else if (low == 0x7f) {
		info.code = SIGNAL_CODE_STOPPED;
		info.status = (int32_t)(result->status >> 8);
	} else if (low == 0) {
		info.code = SIGNAL_CODE_EXITED;
		info.status = (int32_t)(result->status >> 8 & 0xff);
	} else {
		info.code = SIGNAL_CODE_KILLED;
		info.status = (int32_t)low;
	}
	return info;
}

enum wait_for { WAIT_FOR_ALL, WAIT_FOR_PID, WAIT_FOR_GROUP };

static lh_error wait_target(const struct call *call, int64_t *pid)
{
	int64_t id = call_int(call, 1);

	switch (call_int(call, 0)) {
	case WAIT_FOR_ALL:
		*pid = -1;
		return LH_OK;
	case WAIT_FOR_PID:
		*pid = id;
		return id > 0 ? LH_OK : LH_INVALID;
	case WAIT_FOR_GROUP:
		*pid = -id;
		return id >= 0 && id != 1 ? LH_OK : LH_INVALID;
	default:
		return LH_INVALID;
	}
}

lh_error call_waitid(struct call *call)
{
	uint32_t options = call_unsigned(call, 3);
	struct wait_request request = {
		.no_hang = (options & WAIT_NO_HANG) != 0,
		.stopped = (options & WAIT_STOPPED) != 0,
		.continued = (options & WAIT_CONTINUED) != 0,
		.exited = (options & WAIT_EXITED) != 0,
		.keep = (options & WAIT_KEEP) != 0,
	};
	struct wait_result result;
	struct wait_info info = { 0 };
	lh_error error;

	if ((options & (WAIT_STOPPED | WAIT_EXITED | WAIT_CONTINUED)) == 0)
		return LH_INVALID;
	LH_TRY(wait_target(call, &request.pid));
	error = process_wait(&request, &result);
	if (error == LH_OK && result.pid != 0)
		info = describe(&result);
	/* Written, or found to be unreachable, also if there is no child to tell of: as on Linux. */
	if (call->a[2] != 0)
		LH_TRY(user_copy_out(call->a[2], &info, WAIT_INFO_WRITTEN));
	return error;
}

/* --- numbers --- */

lh_error call_getpid(struct call *call)
{
	call->value = process_current()->pid;
	return LH_OK;
}

/* Whose parent has ended has the first process for one, as far as programs can see. */
lh_error call_getppid(struct call *call)
{
	struct process *process = process_current();
	uintptr_t interrupts = process_lock();

	if (process->parent != NULL)
		call->value = process->parent->pid;
	else
		call->value = process->pid == 1 ? 0 : 1;
	process_unlock(interrupts);
	return LH_OK;
}

static lh_error group_and_session(uint32_t pid, uint32_t *group, uint32_t *session)
{
	struct process *process = pid == 0 ? NULL : process_find(pid);
	const struct process *which = pid == 0 ? process_current() : process;
	uintptr_t interrupts;

	if (which == NULL)
		return LH_NO_PROCESS;
	interrupts = process_lock();
	*group = which->group;
	*session = which->session;
	process_unlock(interrupts);
	process_drop(process);
	return LH_OK;
}

lh_error call_getpgid(struct call *call)
{
	uint32_t group, session;

	LH_TRY(group_and_session(call_unsigned(call, 0), &group, &session));
	call->value = group;
	return LH_OK;
}

lh_error call_getpgrp(struct call *call)
{
	call->value = process_current()->group;
	return LH_OK;
}

lh_error call_getsid(struct call *call)
{
	uint32_t group, session;

	LH_TRY(group_and_session(call_unsigned(call, 0), &group, &session));
	call->value = session;
	return LH_OK;
}

lh_error call_setpgid(struct call *call)
{
	if (call_int(call, 0) < 0 || call_int(call, 1) < 0)
		return LH_INVALID;
	return process_set_group(call_unsigned(call, 0), call_unsigned(call, 1));
}

lh_error call_setsid(struct call *call)
{
	uint32_t session;

	LH_TRY(process_new_session(&session));
	call->value = session;
	return LH_OK;
}

/* --- users: everybody is root, and may only become root --- */

static lh_error is_root(struct call *call)
{
	call->value = 0;
	return LH_OK;
}

/* => argument: a user or group, or all ones for no change. */
static lh_error may_become(const struct call *call, int arguments)
{
	for (int i = 0; i < arguments; i++)
		if (call_unsigned(call, i) != 0 && call_unsigned(call, i) != UINT32_MAX)
			return LH_NOT_PERMITTED;
	return LH_OK;
}

static lh_error give_three(const struct call *call)
{
	uint32_t root = 0;

	for (int i = 0; i < 3; i++)
		LH_TRY(user_copy_out(call->a[i], &root, sizeof root));
	return LH_OK;
}

lh_error call_getuid(struct call *call) { return is_root(call); }
lh_error call_geteuid(struct call *call) { return is_root(call); }
lh_error call_getgid(struct call *call) { return is_root(call); }
lh_error call_getegid(struct call *call) { return is_root(call); }
lh_error call_getgroups(struct call *call) { return is_root(call); }
lh_error call_setuid(struct call *call) { return may_become(call, 1); }
lh_error call_setgid(struct call *call) { return may_become(call, 1); }
lh_error call_setreuid(struct call *call) { return may_become(call, 2); }
lh_error call_setregid(struct call *call) { return may_become(call, 2); }
lh_error call_setresuid(struct call *call) { return may_become(call, 3); }
lh_error call_setresgid(struct call *call) { return may_become(call, 3); }
lh_error call_getresuid(struct call *call) { return give_three(call); }
lh_error call_getresgid(struct call *call) { return give_three(call); }

lh_error call_setgroups(struct call *call)
{
	return call_int(call, 0) == 0 ? LH_OK : LH_NOT_PERMITTED;
}

/* --- use of resources --- */

#define RUSAGE_SELF 0
#define RUSAGE_CHILDREN (-1)
#define RUSAGE_THREAD 1

lh_error call_getrusage(struct call *call)
{
	struct process *process = process_current();
	uint64_t user = process->children_user, kernel = process->children_kernel;
	const struct thread *thread = thread_current();
	struct linux_rusage rusage;
	int32_t who = call_int(call, 0);

	if (who != RUSAGE_SELF && who != RUSAGE_CHILDREN && who != RUSAGE_THREAD)
		return LH_INVALID;
	if (who == RUSAGE_SELF)
		process_read_ticks(process, &user, &kernel);
	if (who == RUSAGE_THREAD) {
		user = thread->user_ticks;
		kernel = thread->run_ticks - user;
	}
	rusage = rusage_of(user, kernel);
	return user_copy_out(call->a[1], &rusage, sizeof rusage);
}

lh_error call_times(struct call *call)
{
	struct process *process = process_current();
	uint64_t times[4] = { 0, 0, process->children_user, process->children_kernel };

	process_read_ticks(process, &times[0], &times[1]);
	call->value = (deadline_after(0)) / NANOSECONDS_A_TICK;
	return call->a[0] == 0 ? LH_OK : user_copy_out(call->a[0], times, sizeof times);
}
