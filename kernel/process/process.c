/* SPDX-License-Identifier: BSD-2-Clause */
/* The list of all processes, and their making and freeing. */
#include "process/process.h"

#include "arch/x86_64/clock.h"
#include "lib/string.h"
#include "memory/heap.h"
#include "memory/memory.h"

#define PID_MAX 4194304u

static struct spinlock lock = SPINLOCK_INIT;
static struct list all = LIST_INIT(all); /* [p] by pid, but for a wrap */
static uint32_t count;			 /* [p] */
static uint64_t records;		 /* [a] of processes: also those that are reaped, but still held */
static uint32_t last_pid;		 /* [p] */
static struct wait_queue freed_queue = WAIT_QUEUE_INIT(freed_queue); /* records became 0 */

uintptr_t process_lock(void)
{
	return spinlock_take(&lock);
}

void process_unlock(uintptr_t interrupts)
{
	spinlock_release(&lock, interrupts);
}

struct list *process_list_locked(void)
{
	return &all;
}

uint32_t process_count(void)
{
	return __atomic_load_n(&count, __ATOMIC_RELAXED);
}

uint32_t process_last_pid(void)
{
	return __atomic_load_n(&last_pid, __ATOMIC_RELAXED);
}

/* As many as Linux allows threads: an eighth of the memory may go into kernel stacks. How much there is
 * never changes, and to ask stops all allocations for a moment: it is asked once. */
uint64_t process_limit(void)
{
	static uint64_t limit;
	uint64_t known = __atomic_load_n(&limit, __ATOMIC_RELAXED);
	lh_frame_counters counters;

	if (known != 0)
		return known;
	lh_frames_read_counters(memory_frames(), &counters);
	known = counters.total / (8 * THREAD_STACK_PAGES);
	__atomic_store_n(&limit, known, __ATOMIC_RELAXED);
	return known;
}

static lh_error count_record(void)
{
	if (__atomic_add_fetch(&records, 1, __ATOMIC_RELAXED) <= process_limit())
		return LH_OK;
	__atomic_fetch_sub(&records, 1, __ATOMIC_RELAXED);
	return LH_AGAIN;
}

lh_error process_create(struct process **result)
{
	struct process *process;

	LH_TRY(count_record());
	process = kernel_allocate(sizeof *process);
	if (process == NULL) {
		__atomic_fetch_sub(&records, 1, __ATOMIC_RELAXED);
		return LH_NO_MEMORY;
	}
	process->holders = 1;
	process->umask = 022;
	process->exit_signal = SIGNAL_CHILD;
	process->stop_reported = true;
	process->continue_reported = true;
	process->start_time = clock_nanoseconds();
	list_init(&process->all);
	list_init(&process->threads);
	list_init(&process->children);
	list_init(&process->sibling);
	wait_queue_init(&process->child_queue);
	wait_queue_init(&process->stop_queue);
	wait_queue_init(&process->thread_queue);
	wait_queue_init(&process->return_queue);
	*result = process;
	return LH_OK;
}

static struct process *find_locked(uint32_t pid)
{
	LIST_FOR_EACH(node, &all) {
		struct process *process = container_of(node, struct process, all);

		if (process->pid == pid)
			return process;
	}
	return NULL;
}

static bool number_is_free_locked(uint32_t number)
{
	LIST_FOR_EACH(node, &all) {
		const struct process *process = container_of(node, struct process, all);

		if (process->pid == number || process->group == number || process->session == number)
			return false;
	}
	return user_thread_find_locked(number) == NULL;
}

uint32_t process_next_number_locked(void)
{
	do {
		last_pid = last_pid < PID_MAX ? last_pid + 1 : 2;
	} while (!number_is_free_locked(last_pid));
	return last_pid;
}

void process_publish(struct process *process, struct process *parent, struct user_thread *first)
{
	uintptr_t interrupts = process_lock();

	process->pid = process_next_number_locked();
	if (parent != NULL) {
		process->parent = parent;
		process_hold(parent);
		list_append(&parent->children, &process->sibling);
		process->group = parent->group;
		process->session = parent->session;
	} else {
		process->group = process->pid;
		process->session = process->pid;
	}
	list_append(&all, &process->all);
	user_thread_publish_locked(first, process->pid);
	process_hold(process);
	count++;
	process_unlock(interrupts);
}

void process_reap_locked(struct process *process)
{
	list_remove(&process->all);
	list_remove(&process->sibling);
	count--;
}

void process_hold(struct process *process)
{
	__atomic_fetch_add(&process->holders, 1, __ATOMIC_RELAXED);
}

/* Frees the process; and its parent, if this was what held it; and so on. */
void process_drop(struct process *process)
{
	while (process != NULL && __atomic_fetch_sub(&process->holders, 1, __ATOMIC_ACQ_REL) == 1) {
		struct process *parent = process->parent;

		user_memory_drop(process->memory);
		descriptor_table_drop(process->files);
		inode_drop(process->directory);
		kernel_free(process, sizeof *process);
		if (__atomic_sub_fetch(&records, 1, __ATOMIC_SEQ_CST) == 0)
			wake_all(&freed_queue);
		process = parent;
	}
}

bool process_all_freed(uint64_t deadline)
{
	return WAIT_UNTIL_OR(&freed_queue, __atomic_load_n(&records, __ATOMIC_SEQ_CST) == 0, deadline) == LH_OK;
}

struct process *process_find(uint32_t pid)
{
	uintptr_t interrupts = process_lock();
	struct process *process = find_locked(pid);

	if (process != NULL)
		process_hold(process);
	process_unlock(interrupts);
	return process;
}

struct process *process_next(uint32_t pid)
{
	uintptr_t interrupts = process_lock();
	struct process *next = NULL;

	LIST_FOR_EACH(node, &all) {
		struct process *process = container_of(node, struct process, all);

		if (process->pid >= pid && (next == NULL || process->pid < next->pid))
			next = process;
	}
	if (next != NULL)
		process_hold(next);
	process_unlock(interrupts);
	return next;
}

struct process *process_after(struct process *process)
{
	uintptr_t interrupts = process_lock();
	bool is_listed = !list_is_empty(&process->all);
	struct process *next = NULL;

	if (is_listed && process->all.next != &all) {
		next = container_of(process->all.next, struct process, all);
		process_hold(next);
	}
	process_unlock(interrupts);
	if (!is_listed)
		next = process_next(process->pid + 1);
	process_drop(process);
	return next;
}

struct user_memory *process_hold_memory(struct process *process)
{
	uintptr_t interrupts = process_lock();
	struct user_memory *memory = process->memory;

	if (memory != NULL)
		user_memory_hold(memory);
	process_unlock(interrupts);
	return memory;
}

struct inode *process_hold_directory(void)
{
	const struct process *process = process_current();
	uintptr_t interrupts = process_lock();
	struct inode *directory = process->directory;

	inode_hold(directory);
	process_unlock(interrupts);
	return directory;
}

void process_read_ticks(struct process *process, uint64_t *user, uint64_t *kernel)
{
	uintptr_t interrupts = process_lock();

	*user = process->ticks_user;
	*kernel = process->ticks_kernel;
	LIST_FOR_EACH(node, &process->threads) {
		const struct thread *thread =
			container_of(node, struct user_thread, sibling)->thread;

		*user += thread->user_ticks;
		*kernel += thread->run_ticks - thread->user_ticks;
	}
	process_unlock(interrupts);
}
