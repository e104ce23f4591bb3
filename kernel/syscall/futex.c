/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * futex(2): waiting and waking. A word private to a process is known by its space and
 * address. One that may be shared is known by its offset in its page alone: who waits
 * for another word there is woken for nothing, which callers must bear, and nobody who
 * should be woken is missed, since then all such waiters are.
 *
 * A waiter is in the list before it reads the word; who changes the word wakes after
 * that. So either the waiter sees the change or the waker sees the waiter.
 */
#include "syscall/futex.h"

#include "arch/x86_64/clock.h"
#include "memory/user.h"
#include "syscall/table.h"

struct futex_key {
	lh_space *space; /* NULL: shared */
	uint64_t address;
};

struct futex_waiter {
	struct list link; /* the futex lock */
	struct futex_key key;
	struct wait_queue queue;
	bool was_woken; /* [a] */
};

static struct spinlock lock = SPINLOCK_INIT; /* before the scheduler's */
static struct list waiters = LIST_INIT(waiters);

static struct futex_key shared_key(uint64_t address)
{
	return (struct futex_key){ NULL, address % LH_PAGE_SIZE };
}

static uint32_t wake(struct futex_key key, uint32_t count)
{
	uintptr_t interrupts = spinlock_take(&lock);
	uint32_t woken = 0;

	LIST_FOR_EACH_SAFE(node, next, &waiters) {
		struct futex_waiter *waiter = container_of(node, struct futex_waiter, link);

		if (woken == count || waiter->key.space != key.space ||
		    waiter->key.address != key.address)
			continue;
		list_remove(&waiter->link);
		__atomic_store_n(&waiter->was_woken, true, __ATOMIC_RELEASE);
		wake_all(&waiter->queue); /* it cannot go away before it has had the lock */
		woken++;
	}
	spinlock_release(&lock, interrupts);
	return woken;
}

uint32_t futex_wake(lh_space *space, uint64_t address, uint32_t count)
{
	uint32_t woken = wake((struct futex_key){ space, address }, count);

	return woken + wake(shared_key(address), UINT32_MAX);
}

static lh_error wait(struct futex_key key, uint64_t address, uint32_t expected, uint64_t deadline)
{
	struct futex_waiter waiter = { .key = key };
	uintptr_t interrupts;
	uint32_t seen = 0;
	lh_error error;

	wait_queue_init(&waiter.queue);
	interrupts = spinlock_take(&lock);
	list_append(&waiters, &waiter.link);
	spinlock_release(&lock, interrupts);
	error = user_copy_in(&seen, address, sizeof seen);
	if (error == LH_OK && seen != expected)
		error = LH_AGAIN;
	if (error == LH_OK)
		error = WAIT_UNTIL_OR(&waiter.queue,
				      __atomic_load_n(&waiter.was_woken, __ATOMIC_ACQUIRE), deadline);
	interrupts = spinlock_take(&lock);
	list_remove(&waiter.link);
	spinlock_release(&lock, interrupts);
	return error;
}

enum futex_operation { FUTEX_WAIT = 0, FUTEX_WAKE = 1, FUTEX_WAIT_BITS = 9, FUTEX_WAKE_BITS = 10 };
#define FUTEX_PRIVATE 128u
#define FUTEX_WALL_CLOCK 256u
#define FUTEX_ALL_BITS UINT32_MAX

/* WAIT has a time from now, WAIT_BITS a moment. */
static lh_error read_deadline(const struct call *call, uint32_t operation, uint64_t *deadline)
{
	uint64_t time, offset = clock_realtime_offset();

	*deadline = WAIT_FOREVER;
	if (call->a[3] == 0)
		return LH_OK;
	LH_TRY(call_read_timespec(call->a[3], &time));
	if ((operation & 127u) == FUTEX_WAIT)
		*deadline = deadline_after(time);
	else if ((operation & FUTEX_WALL_CLOCK) != 0)
		*deadline = time > offset ? time - offset : 0;
	else
		*deadline = time;
	return LH_OK;
}

lh_error call_futex(struct call *call)
{
	uint32_t operation = call_unsigned(call, 1);
	uint64_t address = call->a[0], deadline;
	bool is_private = (operation & FUTEX_PRIVATE) != 0;
	struct futex_key key = { process_current()->memory->space, address };

	if (address % 4 != 0)
		return LH_INVALID;
	if (!is_private)
		key = shared_key(address);
	switch (operation & 127u) {
	case FUTEX_WAIT_BITS:
		if (call_unsigned(call, 5) != FUTEX_ALL_BITS)
			return LH_NO_SYSTEM_CALL;
		__attribute__((fallthrough));
	case FUTEX_WAIT:
		LH_TRY(read_deadline(call, operation, &deadline));
		return wait(key, address, call_unsigned(call, 2), deadline);
	case FUTEX_WAKE:
	case FUTEX_WAKE_BITS:
		call->value = wake(key, is_private ? call_unsigned(call, 2) : UINT32_MAX);
		return LH_OK;
	default:
		return LH_NO_SYSTEM_CALL;
	}
}
