/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The library's two locks.
 *
 *   spinning  a word, 0 or 1. Taken with interrupts off, held for a bounded number
 *             of instructions, never across a wait, a callback or another CPU's work.
 *             For tables, a heap, pools and frames, the last locks of the order.
 *   mutex     a word, 0 free, 1 held, 2 held and somebody may be parked. Taken with
 *             interrupts on; who waits parks through the port. For the map lock of a
 *             space and for objects; may be held while a flush is waited for, never
 *             across I/O or a wait for memory.
 *             (Drepper, "Futexes Are Tricky", 2011, mutex 3.)
 *
 * Order: map > object > table > accounts > heap > pool > frames (docs/LOCKING.md). Each taking names its
 * kind, by which lock_order.h checks it; the kind costs nothing where that is not compiled.
 */
#ifndef LANDHOLD_BASE_LOCK_H
#define LANDHOLD_BASE_LOCK_H

#include "base/assert.h"
#include "base/atomic.h"
#include "base/lock_order.h"

/* The rest of lh_spin_take, when somebody else has the lock: until it is ours.
 * => interrupts: what turning them off returned. => the same, of the last time. */
uintptr_t lh_spin_wait(uint32_t *lock, lh_port *port, uintptr_t interrupts);

/* The locks themselves, without the order: use those below. In line, for a spinning lock is most
 * often free. */
static inline uintptr_t lh_spin_take(uint32_t *lock, lh_port *port)
{
	uintptr_t interrupts = lh_port_interrupts_off(port);

	if (__builtin_expect(lh_atomic_exchange(lock, 1u) != 0, 0))
		interrupts = lh_spin_wait(lock, port, interrupts);
	return interrupts;
}

static inline void lh_spin_let_go(uint32_t *lock, lh_port *port, uintptr_t interrupts)
{
	LH_ASSERT(port, lh_atomic_load_relaxed(lock) == 1u);
	lh_atomic_store(lock, 0u);
	lh_port_interrupts_restore(port, interrupts);
}

void lh_mutex_take(uint32_t *mutex, lh_port *port);
void lh_mutex_let_go(uint32_t *mutex, lh_port *port);

/*
 * A lock that is only ever taken under a spinning lock of its own subject, and nothing under it: it
 * counts as part of that one in the order, and interrupts are off already.
 */
static inline void lh_spin_lock_inside(uint32_t *lock, lh_port *port)
{
	while (lh_atomic_exchange(lock, 1u) != 0)
		while (lh_atomic_load_relaxed(lock) != 0)
			lh_port_pause(port);
}

static inline void lh_spin_unlock_inside(uint32_t *lock, lh_port *port)
{
	LH_ASSERT(port, lh_atomic_load_relaxed(lock) == 1u);
	(void)port;
	lh_atomic_store(lock, 0u);
}

/* Takes a spinning lock; returns what unlock needs to restore interrupts. */
static inline uintptr_t lh_spin_lock(uint32_t *lock, lh_lock_kind kind, lh_port *port)
{
	uintptr_t interrupts;

	lh_order_may_take(port, lock, kind);
	interrupts = lh_spin_take(lock, port);
	lh_order_took(port, lock, kind);
	return interrupts;
}

static inline void lh_spin_unlock(uint32_t *lock, lh_lock_kind kind, lh_port *port,
				  uintptr_t interrupts)
{
	lh_order_let_go(port, lock, kind);
	lh_spin_let_go(lock, port, interrupts);
}

static inline void lh_mutex_lock(uint32_t *mutex, lh_lock_kind kind, lh_port *port)
{
	lh_order_may_take(port, mutex, kind);
	lh_mutex_take(mutex, port);
	lh_order_took(port, mutex, kind);
}

static inline void lh_mutex_unlock(uint32_t *mutex, lh_lock_kind kind, lh_port *port)
{
	lh_order_let_go(port, mutex, kind);
	lh_mutex_let_go(mutex, port);
}

bool lh_mutex_is_held(const uint32_t *mutex);

#endif
