/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The order of the kernel's own locks (docs/LOCKING.md), checked as they are taken, in the debug build
 * (make kernel DEBUG=2); in others every function here is empty. The library checks its locks in
 * the same build; what connects the two is here: a thread takes no mutex while it is inside the
 * library's locks, nor with a spinning lock, which has interrupts off.
 *
 * Among the spinning locks there are two steps: any one, and under it the last one (is_last). What
 * is held is the CPU's, for it may not change CPUs meanwhile; the scheduler's lock, which is handed from
 * thread to thread across a switch of stacks, stays with its CPU as well.
 */
#ifndef KERNEL_THREAD_LOCK_CHECK_H
#define KERNEL_THREAD_LOCK_CHECK_H

#include <landhold/config.h>

struct spinlock;

#if LH_DEBUG >= 2

/* Boot, in a thread: says that it looks. With "lock-order=inverted" on the command line it takes the
 * library's locks in the wrong order, to be seen looking. */
void lock_check_start(void);

/* May this thread take a mutex, or sleep? Panics, naming what forbids it. */
void lock_check_may_wait(const char *what);

/* Before a spinning lock is waited for; when it is held; before it is free. Interrupts off. */
void lock_check_may_spin(const struct spinlock *lock);
void lock_check_took(const struct spinlock *lock);
void lock_check_let_go(const struct spinlock *lock);

#else

static inline void lock_check_start(void)
{
}

static inline void lock_check_may_wait(const char *what)
{
	(void)what;
}

static inline void lock_check_may_spin(const struct spinlock *lock)
{
	(void)lock;
}

static inline void lock_check_took(const struct spinlock *lock)
{
	(void)lock;
}

static inline void lock_check_let_go(const struct spinlock *lock)
{
	(void)lock;
}

#endif
#endif
