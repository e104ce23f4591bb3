/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Wait queues. A thread that needs a condition does, in this order:
 *     wait_prepare   puts its waiter into the queue: a wake from here on is noted in it
 *     looks at the condition, by whatever lock guards that, and lets the lock go
 *     wait_sleep     returns at once if the waiter was woken meanwhile
 *     wait_cancel    takes the waiter out of the queue (also after wait_sleep)
 * Who makes the condition true does so first and wakes then. So no wake-up is lost, and the
 * condition may even take mutexes. The macros below are that loop.
 *
 * A thread may wait for several queues at once (poll): an array of waiters, each prepared on
 * its queue, and one wait_sleep_any.
 */
#ifndef KERNEL_THREAD_WAIT_H
#define KERNEL_THREAD_WAIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"
#include "lib/list.h"

struct thread;

struct wait_queue {
	struct list waiters; /* the scheduler's lock */
};

#define WAIT_QUEUE_INIT(name) { LIST_INIT((name).waiters) }

struct waiter {
	struct list node;      /* the scheduler's lock; in a queue until woken or cancelled */
	struct thread *thread; /* constant while prepared */
	bool was_woken;	       /* the scheduler's lock */
};

#define WAIT_FOREVER UINT64_MAX

/* What ends a sleep beside a wake-up and the deadline. */
enum sleep {
	SLEEP_FIRMLY,	     /* nothing: what is waited for comes soon, whoever has to die */
	SLEEP_TILL_ENDED,    /* that the thread must end */
	SLEEP_TILL_SIGNALLED /* that, and signals */
};

void wait_queue_init(struct wait_queue *queue);

void wait_prepare(struct wait_queue *queue, struct waiter *waiter);
/*
 * Sleeps until the waiter is woken, or what the second argument says, or the deadline (a value of
 * clock_nanoseconds, or WAIT_FOREVER; the tick's resolution).
 * => LH_OK: woken; LH_INTERRUPTED: the thread's interrupted or must_end flag is set; LH_TIMED_OUT.
 * Context: a thread, no lock, interrupts on.
 */
lh_error wait_sleep(struct waiter *waiter, enum sleep sleep, uint64_t deadline);
lh_error wait_sleep_any(struct waiter *waiters, size_t count, enum sleep sleep, uint64_t deadline);
void wait_cancel(struct waiter *waiter);

/* Wakes all that wait; or the one that waits longest. Any context, also interrupts. */
void wake_all(struct wait_queue *queue);
void wake_one(struct wait_queue *queue);
/* The same under the scheduler's lock. */
void wake_all_locked(struct wait_queue *queue);

/* Waits until the condition, an expression evaluated each time, is true. Uninterruptible. */
#define WAIT_UNTIL(queue, condition)                                                        \
	do {                                                                                \
		struct waiter wait_waiter_;                                                 \
		for (;;) {                                                                  \
			wait_prepare(queue, &wait_waiter_);                                 \
			if (condition)                                                      \
				break;                                                      \
			(void)wait_sleep(&wait_waiter_, SLEEP_FIRMLY, WAIT_FOREVER);        \
			wait_cancel(&wait_waiter_);                                         \
		}                                                                           \
		wait_cancel(&wait_waiter_);                                                 \
	} while (0)

/*
 * The same, ended by a signal or a deadline as well: gives an lh_error (LH_OK: the condition
 * was true). A true condition wins over a signal.
 */
#define WAIT_UNTIL_OR(queue, condition, deadline)                                           \
	WAIT_IN_SLEEP(queue, condition, SLEEP_TILL_SIGNALLED, deadline)
#define WAIT_UNTIL_INTERRUPTIBLE(queue, condition) WAIT_UNTIL_OR(queue, condition, WAIT_FOREVER)
/* The same, ended only if the thread must end. */
#define WAIT_UNTIL_OR_ENDED(queue, condition)                                               \
	WAIT_IN_SLEEP(queue, condition, SLEEP_TILL_ENDED, WAIT_FOREVER)

#define WAIT_IN_SLEEP(queue, condition, sleep, deadline)                                    \
	__extension__({                                                                     \
		struct waiter wait_waiter_;                                                 \
		lh_error wait_result_ = LH_OK;                                              \
		for (;;) {                                                                  \
			wait_prepare(queue, &wait_waiter_);                                 \
			if (condition) {                                                    \
				wait_result_ = LH_OK;                                       \
				break;                                                      \
			}                                                                   \
			if (wait_result_ != LH_OK)                                          \
				break;                                                      \
			wait_result_ = wait_sleep(&wait_waiter_, sleep, deadline);          \
			wait_cancel(&wait_waiter_);                                         \
		}                                                                           \
		wait_cancel(&wait_waiter_);                                                 \
		wait_result_;                                                               \
	})

#endif
