/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls that tell of the machine, the system and its limits. */
#include "arch/x86_64/clock.h"
#include "fs/path.h"
#include "fs/tmpfs.h"
#include "lib/string.h"
#include "memory/memory.h"
#include "memory/user.h"
#include "syscall/table.h"

#define NAME_FIELD_BYTES 65

struct linux_names {
	char system[NAME_FIELD_BYTES], node[NAME_FIELD_BYTES], release[NAME_FIELD_BYTES];
	char version[NAME_FIELD_BYTES], machine[NAME_FIELD_BYTES], domain[NAME_FIELD_BYTES];
};

static struct spinlock name_lock = SPINLOCK_INIT;
static char host_name[NAME_FIELD_BYTES] = "landhold"; /* [name_lock] */

/* The release is that of the Linux whose system calls programs may expect here: glibc
 * looks at it. */
static const struct linux_names names = {
	.system = "Linux",
	.release = "5.10.0-landhold",
	.version = "Landhold reference kernel",
	.machine = "x86_64",
	.domain = "(none)",
};

lh_error call_uname(struct call *call)
{
	struct linux_names out = names;
	uintptr_t interrupts = spinlock_take(&name_lock);

	memcpy(out.node, host_name, sizeof out.node);
	spinlock_release(&name_lock, interrupts);
	return user_copy_out(call->a[0], &out, sizeof out);
}

lh_error call_sethostname(struct call *call)
{
	char name[NAME_FIELD_BYTES] = { 0 };
	uintptr_t interrupts;

	if (call->a[1] >= NAME_FIELD_BYTES)
		return LH_INVALID;
	LH_TRY(user_copy_in(name, call->a[0], call->a[1]));
	interrupts = spinlock_take(&name_lock);
	memcpy(host_name, name, sizeof host_name);
	spinlock_release(&name_lock, interrupts);
	return LH_OK;
}

struct linux_sysinfo {
	int64_t uptime;
	uint64_t loads[3];
	uint64_t memory, memory_free, memory_shared, memory_buffers, swap, swap_free;
	uint16_t processes, padding;
	uint32_t padding_2;
	uint64_t high, high_free;
	uint32_t unit;
	uint8_t reserved[4];
};
_Static_assert(sizeof(struct linux_sysinfo) == 112, "sysinfo(2) has 112 bytes");

lh_error call_sysinfo(struct call *call)
{
	lh_statistics statistics;
	struct linux_sysinfo out;

	lh_manager_read_statistics(memory_manager(), &statistics);
	out = (struct linux_sysinfo){
		.uptime = (int64_t)(clock_nanoseconds() / 1000000000),
		.memory = statistics.frames.total * LH_PAGE_SIZE,
		.memory_free = statistics.frames.free * LH_PAGE_SIZE,
		.memory_shared = statistics.frames.used[LH_FRAME_OBJECT] * LH_PAGE_SIZE,
		.processes = (uint16_t)process_count(),
		.unit = 1,
	};
	return user_copy_out(call->a[0], &out, sizeof out);
}

/* --- file systems --- */

struct linux_statfs {
	int64_t type, block_size;
	uint64_t blocks, blocks_free, blocks_available, files, files_free;
	int32_t id[2];
	int64_t name_length, fragment_size, flags, reserved[4];
};
_Static_assert(sizeof(struct linux_statfs) == 120, "statfs(2) has 120 bytes");

#define TYPE_TMPFS 0x01021994
#define TYPE_PROC 0x9fa0

static lh_error give_statfs(const struct inode *inode, uint64_t address)
{
	bool is_proc = inode->device == DEVICE_PROC;
	lh_frame_counters counters;
	struct linux_statfs out;

	lh_frames_estimate_counters(memory_frames(), &counters);
	out = (struct linux_statfs){
		.type = is_proc ? TYPE_PROC : TYPE_TMPFS,
		.block_size = (int64_t)LH_PAGE_SIZE,
		.blocks = is_proc ? 0 : counters.total,
		.blocks_free = is_proc ? 0 : counters.free,
		.blocks_available = is_proc ? 0 : counters.free,
		.files = is_proc ? 0 : tmpfs_inode_count() + counters.free,
		.files_free = is_proc ? 0 : counters.free,
		.name_length = NAME_BYTES_MAX,
		.fragment_size = (int64_t)LH_PAGE_SIZE,
	};
	return user_copy_out(address, &out, sizeof out);
}

lh_error call_statfs(struct call *call)
{
	struct inode *inode;
	lh_error error;

	LH_TRY(call_inode(call->a[0], &inode));
	error = give_statfs(inode, call->a[1]);
	inode_drop(inode);
	return error;
}

lh_error call_fstatfs(struct call *call)
{
	struct file *file;
	lh_error error;

	LH_TRY(call_file(call, 0, &file));
	error = give_statfs(file->inode != NULL ? file->inode : root_inode(), call->a[1]);
	file_drop(file);
	return error;
}

lh_error call_mount(struct call *call)
{
	(void)call;
	return LH_NOT_PERMITTED;
}

lh_error call_umount2(struct call *call)
{
	(void)call;
	return LH_NOT_PERMITTED;
}

/* --- limits: fixed --- */

struct linux_limit {
	uint64_t current, most;
};

#define LIMIT_STACK 3u
#define LIMIT_CORE 4u
#define LIMIT_PROCESSES 6u
#define LIMIT_FILES 7u
#define LIMITS 16u

static struct linux_limit limit_of(uint32_t resource)
{
	uint64_t value = UINT64_MAX;

	if (resource == LIMIT_STACK)
		value = USER_STACK_PAGES_MAX * LH_PAGE_SIZE;
	if (resource == LIMIT_CORE)
		value = 0;
	if (resource == LIMIT_PROCESSES)
		value = process_limit();
	if (resource == LIMIT_FILES)
		value = DESCRIPTORS_MAX;
	return (struct linux_limit){ value, value };
}

static lh_error give_limit(uint32_t resource, uint64_t address)
{
	struct linux_limit limit = limit_of(resource);

	if (resource >= LIMITS)
		return LH_INVALID;
	return user_copy_out(address, &limit, sizeof limit);
}

/* Setting a limit to what it is does nothing, and succeeds. */
static lh_error set_limit(uint32_t resource, uint64_t address)
{
	struct linux_limit limit, old = limit_of(resource);

	if (resource >= LIMITS)
		return LH_INVALID;
	LH_TRY(user_copy_in(&limit, address, sizeof limit));
	if (limit.current > limit.most)
		return LH_INVALID;
	return limit.current == old.current ? LH_OK : LH_NOT_PERMITTED;
}

lh_error call_getrlimit(struct call *call)
{
	return give_limit(call_unsigned(call, 0), call->a[1]);
}

lh_error call_setrlimit(struct call *call)
{
	return set_limit(call_unsigned(call, 0), call->a[1]);
}

lh_error call_prlimit64(struct call *call)
{
	uint32_t pid = call_unsigned(call, 0);

	if (pid != 0 && pid != process_current()->pid) {
		struct process *process = process_find(pid);

		if (process == NULL)
			return LH_NO_PROCESS;
		process_drop(process);
	}
	if (call->a[2] != 0)
		LH_TRY(set_limit(call_unsigned(call, 1), call->a[2]));
	return call->a[3] == 0 ? LH_OK : give_limit(call_unsigned(call, 1), call->a[3]);
}

/* --- random --- */

#define RANDOM_FLAGS 7u

lh_error call_getrandom(struct call *call)
{
	struct transfer out = transfer_user(call->a[0], call->a[1]);

	if ((call_unsigned(call, 2) & ~RANDOM_FLAGS) != 0)
		return LH_INVALID;
	if (out.left > INT32_MAX)
		out.left = INT32_MAX;
	out.rested = out.left;
	while (out.left > 0) {
		uint64_t bits = random_64();
		size_t bytes = out.left < sizeof bits ? (size_t)out.left : sizeof bits;
		lh_error error = transfer_give(&out, &bits, bytes);

		if (error != LH_OK)
			return call->value > 0 ? LH_OK : error;
		call->value += bytes;
	}
	return LH_OK;
}
