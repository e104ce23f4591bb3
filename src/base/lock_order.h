/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The order of the locks, checked as they are taken, in builds with LH_DEBUG 2; in all others
 * every function here is empty.
 *
 * The record of what a context holds is the port's to keep (lh_port_lock_record): the library has
 * no globals, and only the host knows what a context is. A mutex is held while its holder
 * sleeps, so where there are threads the record is the thread's, not the CPU's.
 *
 * What is checked, and reported with the names of both locks:
 *   a lock is taken    none of the same or a later kind is held
 *   a lock is tried    none of a later kind is held, and not this one itself: who only tries waits
 *                      for nobody, so two of a kind are allowed
 *   a mutex            also: interrupts are on
 *   a wait for others' work (a flush)   no spinning lock is held, interrupts are on
 *   a call to the host that may wait (pager, memory, I/O)   nothing is held, interrupts are on
 */
#ifndef LANDHOLD_BASE_LOCK_ORDER_H
#define LANDHOLD_BASE_LOCK_ORDER_H

#include "base/port_calls.h"

/* In the order in which they are taken. From LH_LOCK_TABLE on they spin. */
typedef enum lh_lock_kind {
	LH_LOCK_MAP,
	LH_LOCK_OBJECT,
	LH_LOCK_TABLE,
	LH_LOCK_ACCOUNT,
	LH_LOCK_HEAP,
	LH_LOCK_POOL,
	LH_LOCK_FRAMES,
	LH_LOCK_KIND_COUNT
} lh_lock_kind;

#if LH_DEBUG >= 2

/* May it be taken now? Before it is waited for, so that a deadlock is reported and not met. */
void lh_order_may_take(lh_port *port, const void *lock, lh_lock_kind kind);
void lh_order_may_try(lh_port *port, const void *lock, lh_lock_kind kind);
/* It is held now; it no longer is. In any order. */
void lh_order_took(lh_port *port, const void *lock, lh_lock_kind kind);
void lh_order_let_go(lh_port *port, const void *lock, lh_lock_kind kind);
/* => waits: "a flush", for the report. */
void lh_order_may_flush(lh_port *port);
void lh_order_may_wait(lh_port *port, const char *waits);
/* For what is used in any context, interrupt handlers too: no spinning lock is held. */
void lh_order_may_use(lh_port *port, const char *what);
/* For what stands on the library: not in a port function that it has called (port_calls.h). */
void lh_order_outside(lh_port *port, const char *what);

#else

static inline void lh_order_may_take(lh_port *port, const void *lock, lh_lock_kind kind)
{
	(void)port, (void)lock, (void)kind;
}

static inline void lh_order_may_try(lh_port *port, const void *lock, lh_lock_kind kind)
{
	(void)port, (void)lock, (void)kind;
}

static inline void lh_order_took(lh_port *port, const void *lock, lh_lock_kind kind)
{
	(void)port, (void)lock, (void)kind;
}

static inline void lh_order_let_go(lh_port *port, const void *lock, lh_lock_kind kind)
{
	(void)port, (void)lock, (void)kind;
}

static inline void lh_order_may_flush(lh_port *port)
{
	(void)port;
}

static inline void lh_order_may_wait(lh_port *port, const char *waits)
{
	(void)port, (void)waits;
}

static inline void lh_order_may_use(lh_port *port, const char *what)
{
	(void)port, (void)what;
}

static inline void lh_order_outside(lh_port *port, const char *what)
{
	(void)port, (void)what;
}

#endif
#endif
