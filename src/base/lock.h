/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The library's two locks.
 *
 *   spinning  a word, 0 or 1. Taken with interrupts off, held for a bounded number
 *             of instructions, never across a wait, a callback or another CPU's work.
 *             For pools and frames, the last locks of the order, and for directories.
 *   mutex     a word, 0 free, 1 held, 2 held and somebody may be parked. Taken with
 *             interrupts on; who waits parks through the port. For the map lock of a
 *             space and for objects; may be held while a flush is waited for, never
 *             across I/O or a wait for memory.
 *             (Drepper, "Futexes Are Tricky", 2011, mutex 3.)
 *
 * Order: heap > map > object > directory > pool > frames. docs/LOCKING.md.
 */
#ifndef LANDHOLD_BASE_LOCK_H
#define LANDHOLD_BASE_LOCK_H

#include <landhold/port.h>

/* Takes a spinning lock; returns what unlock needs to restore interrupts. */
uintptr_t lh_spin_lock(uint32_t *lock, lh_port *port);
void lh_spin_unlock(uint32_t *lock, lh_port *port, uintptr_t interrupts);

void lh_mutex_lock(uint32_t *mutex, lh_port *port);
void lh_mutex_unlock(uint32_t *mutex, lh_port *port);
bool lh_mutex_is_held(const uint32_t *mutex);

#endif
