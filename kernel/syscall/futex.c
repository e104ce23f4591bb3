/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * futex(2): waiting, waking, and moving waiters from one word to another. A key says which word is
 * meant. In a region that is shared it is the object and the offset in it, so that all who map
 * the object agree; elsewhere, or if the caller says that only its own threads use the word, the
 * space and the address. A key is compared and never followed: what it names may be gone.
 *
 * Waiters lie in lists chosen by a hash of the key, all under one lock. The word cannot be read
 * under that lock, since the page may have to be brought. So a waiter is put into its list before it
 * reads the word; who changes the word wakes after that, and either the waiter sees the change or the
 * waker sees the waiter. A waiter that was woken meanwhile says so whatever it has read: the waker
 * has counted it. Who moves waiters if the word has a value reads it, and then looks under the lock
 * whether more have come since: if so it reads again.
 */
#include "syscall/futex.h"

#include "arch/x86_64/clock.h"
#include "memory/memory.h"
#include "memory/user.h"
#include "syscall/table.h"

struct futex_key {
	const void *whole; /* the space, or the object */
	uint64_t offset;   /* in bytes */
};

struct futex_waiter {
	struct list link;     /* the futex lock */
	struct futex_key key; /* the futex lock */
	uint32_t bits;	      /* constant: which wakers it is for */
	struct wait_queue queue;
	bool was_woken; /* [a] */
};

#define LISTS 64u
#define ALL_BITS UINT32_MAX

static struct spinlock lock = SPINLOCK_INIT; /* before the scheduler's */
static struct list lists[LISTS];	     /* the lock; zeroed: nobody has waited there yet */
static uint64_t arrivals;		     /* the lock: waiters that ever came */

/* --- keys --- */

static bool is_same(struct futex_key a, struct futex_key b)
{
	return a.whole == b.whole && a.offset == b.offset;
}

/* Fibonacci hashing (Knuth, volume 3, 6.4). */
static struct list *list_of_locked(struct futex_key key)
{
	uint64_t hash = ((uint64_t)(uintptr_t)key.whole ^ key.offset) * UINT64_C(0x9e3779b97f4a7c15);
	struct list *list = &lists[hash / (UINT64_MAX / LISTS + 1)];

	if (list->next == NULL)
		list_init(list);
	return list;
}

/* => LH_INVALID: not aligned; LH_BAD_ADDRESS: no user address, or, where regions count, not mapped. */
static lh_error find_key(uint64_t address, bool is_private, struct futex_key *key)
{
	lh_space *space = process_current()->memory->space;
	lh_region_info info;

	if (address % sizeof(uint32_t) != 0)
		return LH_INVALID;
	if (!user_range_is_valid(address, sizeof(uint32_t)))
		return LH_BAD_ADDRESS;
	*key = (struct futex_key){ space, address };
	if (is_private)
		return LH_OK;
	if (lh_space_query(space, lh_virtual(address), &info) != LH_OK ||
	    info.range.base.value > address)
		return LH_BAD_ADDRESS;
	if (info.backing == LH_BACKING_OBJECT && (info.flags & LH_REGION_SHARED) != 0)
		*key = (struct futex_key){ info.object, address - info.range.base.value +
								info.object_page * LH_PAGE_SIZE };
	return LH_OK;
}

/* --- waking --- */

static void wake_one_locked(struct futex_waiter *waiter)
{
	list_remove(&waiter->link);
	__atomic_store_n(&waiter->was_woken, true, __ATOMIC_RELEASE);
	wake_all(&waiter->queue); /* it cannot go away before it has had the lock */
}

/* => how many, at most count, of those that the bits mean. */
static uint32_t wake_locked(struct futex_key key, uint32_t count, uint32_t bits)
{
	struct list *list = list_of_locked(key);
	uint32_t woken = 0;

	LIST_FOR_EACH_SAFE(node, next, list) {
		struct futex_waiter *waiter = container_of(node, struct futex_waiter, link);

		if (woken == count)
			break;
		if (!is_same(waiter->key, key) || (waiter->bits & bits) == 0)
			continue;
		wake_one_locked(waiter);
		woken++;
	}
	return woken;
}

static uint32_t wake(struct futex_key key, uint32_t count, uint32_t bits)
{
	uintptr_t interrupts = spinlock_take(&lock);
	uint32_t woken = wake_locked(key, count, bits);

	spinlock_release(&lock, interrupts);
	return woken;
}

uint32_t futex_wake_shared(uint64_t address, uint32_t count)
{
	struct futex_key key;

	return find_key(address, false, &key) == LH_OK ? wake(key, count, ALL_BITS) : 0;
}

/* The next count of those that wait for one key wait for the other from now on; it may be the same.
 * => how many. */
static uint32_t move_locked(struct futex_key from, struct futex_key to, uint32_t count)
{
	struct list *source = list_of_locked(from), *target = list_of_locked(to);
	uint32_t moved = 0;

	LIST_FOR_EACH_SAFE(node, next, source) {
		struct futex_waiter *waiter = container_of(node, struct futex_waiter, link);

		if (moved == count)
			break;
		if (!is_same(waiter->key, from))
			continue;
		moved++;
		if (is_same(from, to))
			continue;
		list_remove(&waiter->link);
		waiter->key = to;
		list_append(target, &waiter->link);
	}
	return moved;
}

/* --- waiting --- */

static void arrive(struct futex_waiter *waiter)
{
	uintptr_t interrupts = spinlock_take(&lock);

	list_append(list_of_locked(waiter->key), &waiter->link);
	arrivals++;
	spinlock_release(&lock, interrupts);
}

/* => was_woken, for the last time. */
static bool leave(struct futex_waiter *waiter)
{
	uintptr_t interrupts = spinlock_take(&lock);

	list_remove(&waiter->link);
	spinlock_release(&lock, interrupts);
	return __atomic_load_n(&waiter->was_woken, __ATOMIC_ACQUIRE);
}

static lh_error wait(struct futex_waiter *waiter, uint64_t address, uint32_t expected,
		     uint64_t deadline)
{
	uint32_t seen = 0;
	lh_error error;

	wait_queue_init(&waiter->queue);
	arrive(waiter);
	error = user_copy_in(&seen, address, sizeof seen);
	if (error == LH_OK && seen != expected)
		error = LH_AGAIN;
	if (error == LH_OK)
		error = WAIT_UNTIL_OR(&waiter->queue,
				      __atomic_load_n(&waiter->was_woken, __ATOMIC_ACQUIRE), deadline);
	return leave(waiter) ? LH_OK : error;
}

/* --- the call --- */

enum futex_operation {
	FUTEX_WAIT = 0,
	FUTEX_WAKE = 1,
	FUTEX_REQUEUE = 3,
	FUTEX_COMPARE_REQUEUE = 4,
	FUTEX_WAIT_BITS = 9,
	FUTEX_WAKE_BITS = 10
};
#define FUTEX_PRIVATE 128u
#define FUTEX_WALL_CLOCK 256u

/* The arguments. */
struct futex_request {
	uint32_t operation; /* without the two flags */
	bool is_private, by_wall_clock;
	uint64_t address, second_address;
	uint32_t value, bits;
	uint64_t time; /* user address, or a second count */
};

/* WAIT has a time from now, WAIT_BITS a moment. */
static lh_error read_deadline(struct call *call, const struct futex_request *request,
			      uint64_t *deadline)
{
	uint64_t time, offset = clock_realtime_offset();

	*deadline = WAIT_FOREVER;
	if (request->time == 0)
		return LH_OK;
	LH_TRY(call_read_timespec(request->time, &time));
	call->gives_up = true;
	if (request->operation == FUTEX_WAIT)
		*deadline = call_deadline(call, time);
	else if (request->by_wall_clock)
		*deadline = time > offset ? time - offset : 0;
	else
		*deadline = time;
	return LH_OK;
}

static lh_error wait_for(struct call *call, const struct futex_request *request)
{
	struct futex_waiter waiter = { .bits = request->bits };
	uint64_t deadline;

	LH_TRY(read_deadline(call, request, &deadline));
	if (request->bits == 0)
		return LH_INVALID;
	LH_TRY(find_key(request->address, request->is_private, &waiter.key));
	return wait(&waiter, request->address, request->value, deadline);
}

static lh_error wake_up(struct call *call, const struct futex_request *request)
{
	struct futex_key key;

	if (request->bits == 0)
		return LH_INVALID;
	LH_TRY(find_key(request->address, request->is_private, &key));
	call->value = wake(key, request->value, request->bits);
	return LH_OK;
}

static uint64_t arrivals_so_far(void)
{
	uintptr_t interrupts = spinlock_take(&lock);
	uint64_t count = arrivals;

	spinlock_release(&lock, interrupts);
	return count;
}

/* Wakes some and moves others. => *done: how many; LH_AGAIN: more waiters than there were. */
static lh_error try_requeue(const struct futex_request *request, struct futex_key from,
			    struct futex_key to, uint64_t seen_arrivals, uint64_t *done)
{
	bool compares = request->operation == FUTEX_COMPARE_REQUEUE;
	uintptr_t interrupts = spinlock_take(&lock);
	lh_error error = compares && arrivals != seen_arrivals ? LH_AGAIN : LH_OK;

	if (error == LH_OK) {
		*done = wake_locked(from, request->value, ALL_BITS);
		*done += move_locked(from, to, (uint32_t)request->time);
	}
	spinlock_release(&lock, interrupts);
	return error;
}

static lh_error requeue(struct call *call, const struct futex_request *request, uint32_t expected)
{
	struct futex_key from, to;
	lh_error error;

	if ((int32_t)request->value < 0 || (int32_t)request->time < 0)
		return LH_INVALID;
	LH_TRY(find_key(request->address, request->is_private, &from));
	LH_TRY(find_key(request->second_address, request->is_private, &to));
	do {
		uint64_t count = arrivals_so_far();
		uint32_t seen = 0;

		if (request->operation == FUTEX_COMPARE_REQUEUE) {
			LH_TRY(user_copy_in(&seen, request->address, sizeof seen));
			if (seen != expected)
				return LH_AGAIN;
		}
		error = try_requeue(request, from, to, count, &call->value);
	} while (error == LH_AGAIN);
	return error;
}

lh_error call_futex(struct call *call)
{
	uint32_t operation = call_unsigned(call, 1);
	struct futex_request request = {
		.operation = operation & ~(FUTEX_PRIVATE | FUTEX_WALL_CLOCK),
		.is_private = (operation & FUTEX_PRIVATE) != 0,
		.by_wall_clock = (operation & FUTEX_WALL_CLOCK) != 0,
		.address = call->a[0],
		.second_address = call->a[4],
		.value = call_unsigned(call, 2),
		.bits = ALL_BITS,
		.time = call->a[3],
	};

	if (request.by_wall_clock && request.operation != FUTEX_WAIT_BITS)
		return LH_NO_SYSTEM_CALL;
	switch (request.operation) {
	case FUTEX_WAIT_BITS:
		request.bits = call_unsigned(call, 5);
		return wait_for(call, &request);
	case FUTEX_WAIT:
		return wait_for(call, &request);
	case FUTEX_WAKE_BITS:
		request.bits = call_unsigned(call, 5);
		return wake_up(call, &request);
	case FUTEX_WAKE:
		return wake_up(call, &request);
	case FUTEX_REQUEUE:
	case FUTEX_COMPARE_REQUEUE:
		return requeue(call, &request, call_unsigned(call, 5));
	default:
		return LH_NO_SYSTEM_CALL;
	}
}
