/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Huge pages for those who asked for them (MADV_HUGEPAGE), when there is time: a kernel thread goes through the
 * processes in order of their numbers, and every PERIOD looks at a little of one (lh_space_collapse_some), as Linux's
 * khugepaged does. It sleeps in between, so it is behind nobody for long.
 *
 * Only with "huge=scan" on the kernel's command line: else a program's pages change when it asks, and not by the clock.
 */
#include "arch/x86_64/clock.h"
#include "boot/info.h"
#include "lib/string.h"
#include "process/process.h"

#define SCAN_OPTION "huge=scan"
#define PERIOD UINT64_C(100000000)
#define WORK 16 /* regions and pieces of 2 MiB */

static struct thread *scanner; /* constant; NULL: not started */

/* Where the scan is: in the process of this number, or before the next above; at this address. */
struct scan {
	uint32_t pid;
	lh_virtual_address from;
};

static void scan_some(struct scan *scan)
{
	struct process *process = process_next(scan->pid);
	struct user_memory *memory;

	if (process == NULL || process->pid != scan->pid)
		scan->from = lh_virtual(0);
	scan->pid = process != NULL ? process->pid : 0;
	if (process == NULL)
		return;
	memory = process_hold_memory(process);
	process_drop(process);
	if (memory != NULL)
		(void)lh_space_collapse_some(memory->space, &scan->from, WORK);
	if (memory == NULL || scan->from.value == 0)
		scan->pid++;
	user_memory_drop(memory);
}

static void scan_thread(void *argument)
{
	static struct wait_queue queue = WAIT_QUEUE_INIT(queue);
	struct scan scan = { 0, lh_virtual(0) };

	(void)argument;
	do {
		scan_some(&scan);
	} while (WAIT_UNTIL_OR(&queue, false, clock_nanoseconds() + PERIOD) != LH_INTERRUPTED);
}

lh_error process_start_huge_scan(void)
{
	if (strstr(boot_info()->command_line, SCAN_OPTION) == NULL)
		return LH_OK;
	LH_TRY(thread_create(scan_thread, NULL, &scanner));
	scanner->name = "huge pages";
	thread_start(scanner);
	return LH_OK;
}

void process_stop_huge_scan(void)
{
	if (scanner != NULL)
		thread_ask_to_end(scanner);
}
