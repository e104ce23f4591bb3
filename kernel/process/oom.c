/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When frames run out: the heap gives back what it keeps empty; then the process with
 * the most resident pages is killed. It dies when it next returns to user mode, or in its
 * sleep, and gives its memory back.
 *
 * It may be that it cannot: it waits for a mutex that the one who wants memory holds. Who
 * has not died after a second is passed over, and the next is killed, until the turn comes
 * to the caller itself, who then gets an error and lets the mutex go.
 */
#include "arch/x86_64/clock.h"
#include "lib/log.h"
#include "memory/heap.h"
#include "process/process.h"

#define TIME_TO_DIE UINT64_C(1000000000) /* nanoseconds */

static uint64_t resident_pages(struct process *process)
{
	struct user_memory *memory = process_hold_memory(process);
	lh_space_counters counters;

	if (memory == NULL)
		return 0;
	lh_space_read_counters(memory->space, &counters);
	user_memory_drop(memory);
	return counters.resident;
}

static bool is_dying(const struct process *process)
{
	return __atomic_load_n(&process->is_exiting, __ATOMIC_RELAXED);
}

/* True for one that should have died long ago. Notes when that was first asked. */
static bool is_stuck(struct process *process)
{
	uint64_t now = clock_nanoseconds(), never = 0;

	if (!is_dying(process))
		return false;
	if (__atomic_compare_exchange_n(&process->dying_since, &never, now, false, __ATOMIC_RELAXED,
					__ATOMIC_RELAXED))
		return false;
	return now - never > TIME_TO_DIE;
}

/* The largest process that may be expected to die, held; NULL: there is none. */
static struct process *choose_largest(uint64_t *most)
{
	struct process *largest = NULL, *process = process_next(0);

	*most = 0;
	for (; process != NULL; process = process_after(process)) {
		uint64_t pages = resident_pages(process);

		if (pages <= *most || is_stuck(process))
			continue;
		process_drop(largest);
		process_hold(process);
		largest = process;
		*most = pages;
	}
	return largest;
}

bool process_memory_pressure(uint64_t pages)
{
	struct signal_info info = { .code = SIGNAL_CODE_KERNEL };
	struct process *own = process_current(), *victim;
	uint64_t resident;
	bool is_own;

	if (kernel_heap_trim() > 0)
		return true;
	if (own != NULL && is_dying(own))
		return false;
	victim = choose_largest(&resident);
	if (victim == NULL)
		return false;
	is_own = victim == own;
	if (!is_dying(victim)) {
		log_line("out of memory (%llu pages missing): killing process %u (%s), %llu pages",
			 (unsigned long long)pages, victim->pid, victim->name,
			 (unsigned long long)resident);
		signal_send(victim, SIGNAL_KILL, &info);
	}
	process_drop(victim);
	return !is_own;
}
