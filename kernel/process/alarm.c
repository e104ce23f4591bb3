/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * alarm(2) and the real interval timer: one kernel thread sleeps until the earliest
 * deadline of any process and sends SIGALRM.
 */
#include "arch/x86_64/clock.h"
#include "process/process.h"

static struct wait_queue queue = WAIT_QUEUE_INIT(queue);
static uint32_t changes; /* [a] deadlines set so far */
static struct thread *sender; /* constant; NULL: not started */

/* Sends what is due. => the next deadline. */
static uint64_t run_due(void)
{
	struct signal_info info = { .code = SIGNAL_CODE_KERNEL };
	uint64_t now = clock_nanoseconds(), next = WAIT_FOREVER;
	uintptr_t interrupts = process_lock();

	LIST_FOR_EACH(node, process_list_locked()) {
		struct process *process = container_of(node, struct process, all);

		if (process->alarm_deadline != 0 && process->alarm_deadline <= now) {
			process->alarm_deadline =
				process->alarm_interval != 0 ? now + process->alarm_interval : 0;
			signal_send_locked(process, SIGNAL_ALARM, &info);
		}
		if (process->alarm_deadline != 0 && process->alarm_deadline < next)
			next = process->alarm_deadline;
	}
	process_unlock(interrupts);
	return next;
}

static void alarm_thread(void *argument)
{
	uint64_t deadline;
	uint32_t seen;

	(void)argument;
	do {
		seen = __atomic_load_n(&changes, __ATOMIC_SEQ_CST);
		deadline = run_due();
	} while (WAIT_UNTIL_OR(&queue, __atomic_load_n(&changes, __ATOMIC_SEQ_CST) != seen, deadline) !=
		 LH_INTERRUPTED);
}

lh_error process_start_alarms(void)
{
	LH_TRY(thread_create(alarm_thread, NULL, &sender));
	sender->name = "alarms";
	thread_start(sender);
	return LH_OK;
}

void process_stop_alarms(void)
{
	if (sender != NULL)
		thread_ask_to_end(sender);
}

static uint64_t left_of(const struct process *process)
{
	uint64_t now = clock_nanoseconds();

	if (process->alarm_deadline == 0)
		return 0;
	return process->alarm_deadline > now ? process->alarm_deadline - now : 1;
}

void process_set_alarm(uint64_t after, uint64_t interval, uint64_t *left, uint64_t *old_interval)
{
	struct process *process = process_current();
	uintptr_t interrupts = process_lock();

	*left = left_of(process);
	*old_interval = process->alarm_interval;
	process->alarm_deadline = after == 0 ? 0 : clock_nanoseconds() + after;
	process->alarm_interval = interval;
	process_unlock(interrupts);
	__atomic_fetch_add(&changes, 1, __ATOMIC_SEQ_CST);
	wake_all(&queue);
}

void process_read_alarm(uint64_t *left, uint64_t *interval)
{
	struct process *process = process_current();
	uintptr_t interrupts = process_lock();

	*left = left_of(process);
	*interval = process->alarm_interval;
	process_unlock(interrupts);
}
