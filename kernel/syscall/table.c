/* SPDX-License-Identifier: BSD-2-Clause */
/* From the register that holds a number to the function, and from its error back. */
#include "syscall/table.h"

#include "arch/x86_64/clock.h"
#include "fs/path.h"
#include "lib/log.h"
#include "memory/heap.h"
#include "memory/user.h"

#define CALLS 512u

static call_function *const functions[CALLS] = {
#define SYSTEM_CALL_ENTRY(name, number) [number] = call_##name,
	SYSTEM_CALLS(SYSTEM_CALL_ENTRY)
#undef SYSTEM_CALL_ENTRY
};

static uint64_t unknown_seen[CALLS / 64]; /* by atomic access: logged already */

static void log_unknown(uint64_t number)
{
	uint64_t bit = UINT64_C(1) << (number % 64);

	if (number >= CALLS)
		return;
	if ((__atomic_fetch_or(&unknown_seen[number / 64], bit, __ATOMIC_RELAXED) & bit) == 0)
		log_line("process %u (%s): no system call %llu", process_current()->pid,
			 process_current()->name, (unsigned long long)number);
}

/* Calls that give up for good when a handler runs, whatever it asks for: signal(7). */
static bool gives_up(uint64_t number)
{
	switch (number) {
	case 7: /* poll */
	case 23: /* select */
	case 34: /* pause */
	case 35: /* nanosleep */
	case 128: /* rt_sigtimedwait */
	case 130: /* rt_sigsuspend */
	case 230: /* clock_nanosleep */
	case 270: /* pselect6 */
	case 271: /* ppoll */
		return true;
	default:
		return false;
	}
}

static lh_error dispatch(uint64_t number, struct call *call)
{
	if (number < CALLS && functions[number] != NULL)
		return functions[number](call);
	log_unknown(number);
	return LH_NO_SYSTEM_CALL;
}

void system_call(struct trap_frame *frame)
{
	uint64_t number = frame->rax;
	struct call call = {
		.a = { frame->rdi, frame->rsi, frame->rdx, frame->r10, frame->r8, frame->r9 },
		.frame = frame,
	};
	struct user_thread *user = user_thread_current();
	lh_error error;

	call.is_resumed = user->call.resumed == number && user->call.resumed_stack == frame->rsp &&
			  user->call.resumed_at == frame->rip - SYSTEM_CALL_BYTES;
	user->call.resumed = THREAD_NO_CALL;
	user->call.number = THREAD_NO_CALL;
	error = dispatch(number, &call);
	if (error == LH_INTERRUPTED) {
		user->call.number = number;
		user->call.gives_up = call.gives_up || gives_up(number);
	}
	frame->rax = error == LH_OK ? call.value : (uint64_t)-(int64_t)lh_error_to_errno(error);
}

uint64_t call_deadline(const struct call *call, uint64_t nanoseconds)
{
	struct user_thread *user = user_thread_current();

	if (!call->is_resumed)
		user->call.deadline = deadline_after(nanoseconds);
	return user->call.deadline;
}

/* --- arguments --- */

lh_error call_file(const struct call *call, int index, struct file **file)
{
	return descriptor_find(process_current()->files, call_unsigned(call, index), file);
}

lh_error call_path(uint64_t address, char **result)
{
	char *path = kernel_allocate(PATH_BYTES_MAX);
	size_t length;
	lh_error error;

	if (path == NULL)
		return LH_NO_MEMORY;
	error = user_copy_string(path, address, PATH_BYTES_MAX, &length);
	if (error != LH_OK)
		call_path_free(path);
	else
		*result = path;
	return error;
}

void call_path_free(char *path)
{
	kernel_free(path, PATH_BYTES_MAX);
}

lh_error call_inode(uint64_t address, struct inode **inode)
{
	struct inode *directory;
	char *path;
	lh_error error;

	LH_TRY(call_path(address, &path));
	directory = process_hold_directory();
	error = path_find(directory, path, true, inode);
	inode_drop(directory);
	call_path_free(path);
	return error;
}

lh_error call_start(int32_t descriptor, const char *path, struct inode **start)
{
	struct file *file;

	if (descriptor == AT_CURRENT_DIRECTORY || path[0] == '/') {
		*start = process_hold_directory();
		return LH_OK;
	}
	LH_TRY(descriptor_find(process_current()->files, (uint32_t)descriptor, &file));
	if (file->inode == NULL || (!inode_is_directory(file->inode) && path[0] != '\0')) {
		file_drop(file);
		return LH_NOT_DIRECTORY;
	}
	*start = file->inode;
	inode_hold(*start);
	file_drop(file);
	return LH_OK;
}

/* --- times --- */

lh_error call_read_timespec(uint64_t address, uint64_t *nanoseconds)
{
	struct linux_timespec time;

	LH_TRY(user_copy_in(&time, address, sizeof time));
	if (time.seconds < 0 || time.nanoseconds < 0 || time.nanoseconds >= 1000000000)
		return LH_INVALID;
	if (time.seconds > INT64_MAX / 1000000000 - 1)
		*nanoseconds = INT64_MAX;
	else
		*nanoseconds = (uint64_t)time.seconds * 1000000000 + (uint64_t)time.nanoseconds;
	return LH_OK;
}

struct linux_timespec timespec_of(uint64_t nanoseconds)
{
	return (struct linux_timespec){ (int64_t)(nanoseconds / 1000000000),
					(int64_t)(nanoseconds % 1000000000) };
}

struct linux_timeval timeval_of(uint64_t nanoseconds)
{
	return (struct linux_timeval){ (int64_t)(nanoseconds / 1000000000),
				       (int64_t)(nanoseconds % 1000000000 / 1000) };
}

uint64_t deadline_after(uint64_t nanoseconds)
{
	uint64_t now = clock_nanoseconds();

	return nanoseconds >= WAIT_FOREVER - now ? WAIT_FOREVER : now + nanoseconds;
}
