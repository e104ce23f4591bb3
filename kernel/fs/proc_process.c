/* SPDX-License-Identifier: BSD-2-Clause */
/* The files of proc that tell of one process. */
#include "fs/path.h"
#include "fs/proc.h"
#include "fs/tmpfs.h"
#include "lib/string.h"
#include "memory/heap.h"
#include "memory/memory.h"
#include "process/map_tag.h"
#include "process/process.h"

/* Where the name stands in a line of maps, as Linux pads it. */
#define MAPS_NAME_COLUMN 73

/* --- maps --- */

static void add_name(struct text *text, size_t line, const char *name)
{
	while (text->length < line + MAPS_NAME_COLUMN && !text->has_failed)
		text_add(text, " ");
	text_add(text, "%s", name);
}

static void add_file_name(struct text *text, size_t line, uint64_t number)
{
	struct inode *inode = tmpfs_find_number(number);
	char *path = kernel_allocate(PATH_BYTES_MAX);
	size_t length;

	if (inode == NULL)
		add_name(text, line, "/ (deleted)");
	else if (path == NULL)
		text->has_failed = true;
	else if (path_of_inode(inode, path, PATH_BYTES_MAX, &length) == LH_OK)
		add_name(text, line, path);
	kernel_free(path, PATH_BYTES_MAX);
	inode_drop(inode);
}

static const char *anonymous_name(const struct user_memory *memory, const lh_region_info *info,
				  uint64_t brk)
{
	uint64_t start = info->range.base.value;
	uint64_t end = start + info->range.pages * LH_PAGE_SIZE;

	if ((info->flags & LH_REGION_GROWS_DOWN) != 0 && memory->stack_top - 1 >= start &&
	    memory->stack_top - 1 < end)
		return "[stack]";
	if (start < brk && end > memory->brk_start)
		return "[heap]";
	return NULL;
}

static void add_region(struct text *text, struct user_memory *memory,
		       const lh_region_info *info, uint64_t brk)
{
	uint64_t start = info->range.base.value;
	uint64_t end = start + info->range.pages * LH_PAGE_SIZE;
	bool is_object = info->backing == LH_BACKING_OBJECT;
	bool is_file = is_object && info->tag != MAP_TAG_SHARED_ANONYMOUS;
	const char *name = is_object ? NULL : anonymous_name(memory, info, brk);
	size_t line = text->length;

	text_add(text, "%08llx-%08llx %c%c%c%c %08llx 00:%02x %llu ", (unsigned long long)start,
		 (unsigned long long)end, (info->rights & LH_RIGHT_READ) != 0 ? 'r' : '-',
		 (info->rights & LH_RIGHT_WRITE) != 0 ? 'w' : '-',
		 (info->rights & LH_RIGHT_EXECUTE) != 0 ? 'x' : '-',
		 (info->flags & LH_REGION_SHARED) != 0 ? 's' : 'p',
		 (unsigned long long)(is_object ? info->object_page * LH_PAGE_SIZE : 0),
		 is_object ? DEVICE_TMPFS : 0,
		 (unsigned long long)(is_file ? info->tag : is_object ? 1 : 0));
	if (is_file)
		add_file_name(text, line, info->tag);
	else if (is_object)
		add_name(text, line, "/dev/zero (deleted)");
	else if (name != NULL)
		add_name(text, line, name);
	text_add(text, "\n");
}

/* => name: with the spaces that Linux has behind it. */
static void add_pages(struct text *text, const char *name, uint64_t pages)
{
	text_add(text, "%s%8llu kB\n", name, (unsigned long long)(pages * (LH_PAGE_SIZE / 1024)));
}

/* Of what proc(5) lists those that are counted here. */
static void add_usage(struct text *text, struct user_memory *memory, const lh_region_info *info, uint64_t brk)
{
	lh_space_usage usage;

	add_region(text, memory, info, brk);
	lh_space_measure(memory->space, info->range, &usage);
	add_pages(text, "Size:           ", info->range.pages);
	add_pages(text, "KernelPageSize: ", 1);
	add_pages(text, "MMUPageSize:    ", 1);
	add_pages(text, "Rss:            ", usage.resident);
	add_pages(text, "AnonHugePages:  ", usage.huge);
}

typedef void add_function(struct text *text, struct user_memory *memory, const lh_region_info *info,
			  uint64_t brk);

static void add_each(struct text *text, struct process *process, add_function *add)
{
	struct user_memory *memory = process_hold_memory(process);
	lh_virtual_address at = lh_virtual(USER_BASE);
	lh_region_info info;
	uint64_t brk;

	if (memory == NULL)
		return;
	mutex_lock(&memory->lock);
	brk = memory->brk;
	mutex_unlock(&memory->lock);
	while (at.value < USER_LIMIT && lh_space_query(memory->space, at, &info) == LH_OK) {
		add(text, memory, &info, brk);
		at = lh_virtual(info.range.base.value + info.range.pages * LH_PAGE_SIZE);
	}
	user_memory_drop(memory);
}

void proc_write_maps(struct text *text, struct process *process)
{
	add_each(text, process, add_region);
}

void proc_write_smaps(struct text *text, struct process *process)
{
	add_each(text, process, add_usage);
}

/* --- stat, statm, status --- */

/* What the files tell, read once. */
struct summary {
	lh_space_counters counters;
	uint32_t parent, group, session;
	char state;
	char name[PROCESS_NAME_BYTES];
	uint64_t user_ticks, kernel_ticks, children_user, children_kernel;
	uint32_t threads;
	uint64_t pending, mask; /* of the first thread */
	struct signal_state signals;
};

/* => first: its first thread; NULL: it has none. */
static char state_of(const struct process *process, const struct user_thread *first)
{
	if (first == NULL)
		return 'Z';
	if (process->is_stopped)
		return 'T';
	if (first->thread->state == THREAD_SLEEPING)
		return 'S';
	return 'R';
}

static void read_summary(struct process *process, struct summary *summary)
{
	struct user_memory *memory = process_hold_memory(process);
	const struct user_thread *first;
	uintptr_t interrupts;

	if (memory != NULL)
		lh_space_read_counters(memory->space, &summary->counters);
	user_memory_drop(memory);
	process_read_ticks(process, &summary->user_ticks, &summary->kernel_ticks);
	interrupts = process_lock();
	summary->parent = process->parent != NULL ? process->parent->pid : 0;
	summary->group = process->group;
	summary->session = process->session;
	first = user_thread_first_locked(process);
	summary->state = state_of(process, first);
	summary->threads = process->thread_count;
	if (first != NULL) {
		summary->pending = first->signals.set.pending;
		summary->mask = first->signals.mask;
	}
	summary->children_user = process->children_user;
	summary->children_kernel = process->children_kernel;
	summary->signals = process->signals;
	memcpy(summary->name, process->name, sizeof summary->name);
	process_unlock(interrupts);
}

static void with_summary(struct text *text, struct process *process,
			 void (*write)(struct text *, const struct process *, const struct summary *))
{
	struct summary *summary = kernel_allocate(sizeof *summary);

	if (summary == NULL) {
		text->has_failed = true;
		return;
	}
	read_summary(process, summary);
	write(text, process, summary);
	kernel_free(summary, sizeof *summary);
}

/* Sets of signals that are ignored, and that have handlers. */
static void read_actions(const struct signal_state *signals, uint64_t *ignored, uint64_t *caught)
{
	*ignored = 0;
	*caught = 0;
	for (int i = 0; i < SIGNAL_MAX; i++) {
		if (signals->actions[i].handler == SIGNAL_IGNORE)
			*ignored |= SIGNAL_BIT(i + 1);
		else if (signals->actions[i].handler != SIGNAL_DEFAULT)
			*caught |= SIGNAL_BIT(i + 1);
	}
}

/* Fields 1 to 52 of proc(5); those that mean nothing here are 0. */
static void write_stat(struct text *text, const struct process *process,
		       const struct summary *summary)
{
	uint64_t ignored, caught;

	read_actions(&summary->signals, &ignored, &caught);
	text_add(text, "%u (%s) %c %u %u %u 0 -1 0 %llu 0 0 0 %llu %llu %llu %llu 20 0 %u 0 %llu",
		 process->pid, summary->name, summary->state, summary->parent, summary->group,
		 summary->session, (unsigned long long)summary->counters.faults,
		 (unsigned long long)summary->user_ticks, (unsigned long long)summary->kernel_ticks,
		 (unsigned long long)summary->children_user,
		 (unsigned long long)summary->children_kernel, summary->threads,
		 (unsigned long long)(process->start_time / 10000000));
	text_add(text, " %llu %llu 18446744073709551615 0 0 0 0 0 %llu %llu %llu %llu",
		 (unsigned long long)(summary->counters.pages * LH_PAGE_SIZE),
		 (unsigned long long)summary->counters.resident,
		 (unsigned long long)summary->pending, (unsigned long long)summary->mask,
		 (unsigned long long)ignored, (unsigned long long)caught);
	text_add(text, " 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n");
}

static void write_statm(struct text *text, const struct process *process,
			const struct summary *summary)
{
	(void)process;
	text_add(text, "%llu %llu 0 0 0 %llu 0\n", (unsigned long long)summary->counters.pages,
		 (unsigned long long)summary->counters.resident,
		 (unsigned long long)summary->counters.charged);
}

static const char *state_text(char state)
{
	switch (state) {
	case 'Z':
		return "Z (zombie)";
	case 'T':
		return "T (stopped)";
	case 'S':
		return "S (sleeping)";
	default:
		return "R (running)";
	}
}

static void write_status(struct text *text, const struct process *process,
			 const struct summary *summary)
{
	uint64_t ignored, caught;

	read_actions(&summary->signals, &ignored, &caught);
	text_add(text, "Name:\t%s\nState:\t%s\nTgid:\t%u\nPid:\t%u\nPPid:\t%u\n", summary->name,
		 state_text(summary->state), process->pid, process->pid, summary->parent);
	text_add(text, "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nVmSize:\t%8llu kB\nVmRSS:\t%8llu kB\n",
		 (unsigned long long)summary->counters.pages * 4,
		 (unsigned long long)summary->counters.resident * 4);
	text_add(text, "VmPTE:\t%8llu kB\nThreads:\t%u\n",
		 (unsigned long long)summary->counters.tables * 4, summary->threads);
	text_add(text, "SigPnd:\t%016llx\nShdPnd:\t%016llx\nSigBlk:\t%016llx\n",
		 (unsigned long long)summary->pending,
		 (unsigned long long)summary->signals.set.pending, (unsigned long long)summary->mask);
	text_add(text, "SigIgn:\t%016llx\nSigCgt:\t%016llx\n", (unsigned long long)ignored,
		 (unsigned long long)caught);
}

void proc_write_process_stat(struct text *text, struct process *process)
{
	with_summary(text, process, write_stat);
}

void proc_write_process_statm(struct text *text, struct process *process)
{
	with_summary(text, process, write_statm);
}

void proc_write_status(struct text *text, struct process *process)
{
	with_summary(text, process, write_status);
}

void proc_write_command(struct text *text, struct process *process)
{
	struct user_memory *memory = process_hold_memory(process);

	if (memory != NULL)
		text_add_bytes(text, memory->command, memory->command_length);
	user_memory_drop(memory);
}

void proc_write_name(struct text *text, struct process *process)
{
	char name[PROCESS_NAME_BYTES];
	uintptr_t interrupts = process_lock();

	memcpy(name, process->name, sizeof name);
	process_unlock(interrupts);
	text_add(text, "%s\n", name);
}
