/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A spinning lock: held with interrupts off, for a bounded number of instructions, never
 * across anything that waits or touches user memory.
 */
#ifndef KERNEL_THREAD_SPINLOCK_H
#define KERNEL_THREAD_SPINLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct spinlock {
	uint32_t word; /* 0 free, 1 held */
	bool is_last;  /* none is taken while it is held; under others only such: lock_check.h */
};

#define SPINLOCK_INIT { 0, false }
#define SPINLOCK_INIT_LAST { 0, true }

/* Returns what release needs. Any context. */
uintptr_t spinlock_take(struct spinlock *lock);
void spinlock_release(struct spinlock *lock, uintptr_t interrupts);
bool spinlock_is_held(const struct spinlock *lock);

/* This CPU's interrupts off; returns what restore needs. Calls nest. */
static inline uintptr_t interrupts_off(void)
{
	uintptr_t flags;

	__asm__ volatile("pushfq\n\tpopq %0\n\tcli" : "=r"(flags) : : "memory");
	return flags & 0x200;
}

static inline void interrupts_restore(uintptr_t state)
{
	if (state != 0)
		__asm__ volatile("sti" : : : "memory");
}

static inline bool interrupts_are_on(void)
{
	uintptr_t flags;

	__asm__ volatile("pushfq\n\tpopq %0" : "=r"(flags));
	return (flags & 0x200) != 0;
}

#endif
