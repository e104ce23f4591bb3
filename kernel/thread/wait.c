/* SPDX-License-Identifier: BSD-2-Clause */
#include "thread/wait.h"

#include "arch/x86_64/clock.h"
#include "cpu/percpu.h"
#include "lib/log.h"
#include "thread/scheduler.h"

void wait_queue_init(struct wait_queue *queue)
{
	list_init(&queue->waiters);
}

void wait_prepare(struct wait_queue *queue, struct waiter *waiter)
{
	uintptr_t interrupts = spinlock_take(&scheduler_lock);

	waiter->thread = thread_current();
	waiter->was_woken = false;
	list_append(&queue->waiters, &waiter->node);
	spinlock_release(&scheduler_lock, interrupts);
}

void wait_cancel(struct waiter *waiter)
{
	uintptr_t interrupts = spinlock_take(&scheduler_lock);

	list_remove(&waiter->node);
	spinlock_release(&scheduler_lock, interrupts);
}

static bool any_was_woken_locked(const struct waiter *waiters, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (waiters[i].was_woken)
			return true;
	return false;
}

/* True if the flags say what its sleep does not outlast. */
static bool is_called_locked(const struct thread *thread)
{
	switch (thread->sleep) {
	case SLEEP_TILL_SIGNALLED:
		return __atomic_load_n(&thread->interrupted, __ATOMIC_RELAXED);
	case SLEEP_TILL_ENDED:
		return __atomic_load_n(&thread->must_end, __ATOMIC_RELAXED);
	default:
		return false;
	}
}

/* Why not to sleep, or to sleep no longer. True: *reason. */
static bool is_over_locked(const struct thread *thread, lh_error *reason)
{
	if (any_was_woken_locked(thread->waiters, thread->waiter_count))
		*reason = LH_OK;
	else if (is_called_locked(thread))
		*reason = LH_INTERRUPTED;
	else if (thread->deadline != WAIT_FOREVER && clock_nanoseconds() >= thread->deadline)
		*reason = LH_TIMED_OUT;
	else
		return false;
	return true;
}

lh_error wait_sleep_any(struct waiter *waiters, size_t count, enum sleep sleep, uint64_t deadline)
{
	struct thread *thread = thread_current();
	uintptr_t interrupts = spinlock_take(&scheduler_lock);
	lh_error reason = LH_OK;

	if (interrupts == 0)
		panic("a thread sleeps with interrupts off");
	thread->waiters = waiters;
	thread->waiter_count = count;
	thread->sleep = sleep;
	thread->deadline = deadline;
	while (!is_over_locked(thread, &reason)) {
		thread->state = THREAD_SLEEPING;
		scheduler_set_deadline_locked(thread, deadline);
		scheduler_switch_locked();
	}
	thread->waiters = NULL;
	thread->waiter_count = 0;
	thread->sleep = SLEEP_FIRMLY;
	spinlock_release(&scheduler_lock, interrupts);
	return reason;
}

lh_error wait_sleep(struct waiter *waiter, enum sleep sleep, uint64_t deadline)
{
	return wait_sleep_any(waiter, 1, sleep, deadline);
}

void thread_sleep_until(uint64_t nanoseconds)
{
	(void)wait_sleep_any(NULL, 0, SLEEP_FIRMLY, nanoseconds);
}

/* Notes the wake in the waiter; its thread runs again if it is this one that it sleeps on. */
static void wake_waiter_locked(struct waiter *waiter)
{
	struct thread *thread = waiter->thread;

	list_remove(&waiter->node);
	waiter->was_woken = true;
	if (thread->state == THREAD_SLEEPING &&
	    any_was_woken_locked(thread->waiters, thread->waiter_count))
		scheduler_wake_locked(thread);
}

void wake_all_locked(struct wait_queue *queue)
{
	while (!list_is_empty(&queue->waiters))
		wake_waiter_locked(container_of(queue->waiters.next, struct waiter, node));
}

void wake_all(struct wait_queue *queue)
{
	uintptr_t interrupts = spinlock_take(&scheduler_lock);

	wake_all_locked(queue);
	spinlock_release(&scheduler_lock, interrupts);
}

void wake_one(struct wait_queue *queue)
{
	uintptr_t interrupts = spinlock_take(&scheduler_lock);

	if (!list_is_empty(&queue->waiters))
		wake_waiter_locked(container_of(queue->waiters.next, struct waiter, node));
	spinlock_release(&scheduler_lock, interrupts);
}

/* Its flags have changed. */
static void call_locked(struct thread *thread)
{
	if (thread->state == THREAD_SLEEPING && is_called_locked(thread))
		scheduler_wake_locked(thread);
	else
		scheduler_poke_locked(thread);
}

void thread_interrupt(struct thread *thread)
{
	uintptr_t interrupts = spinlock_take(&scheduler_lock);

	__atomic_store_n(&thread->interrupted, true, __ATOMIC_RELAXED);
	call_locked(thread);
	spinlock_release(&scheduler_lock, interrupts);
}

void thread_ask_to_end(struct thread *thread)
{
	uintptr_t interrupts = spinlock_take(&scheduler_lock);

	__atomic_store_n(&thread->must_end, true, __ATOMIC_RELAXED);
	__atomic_store_n(&thread->interrupted, true, __ATOMIC_RELAXED);
	call_locked(thread);
	spinlock_release(&scheduler_lock, interrupts);
}
