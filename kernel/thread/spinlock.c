/* SPDX-License-Identifier: BSD-2-Clause */
#include "thread/spinlock.h"

#include "thread/lock_check.h"

uintptr_t spinlock_take(struct spinlock *lock)
{
	uintptr_t interrupts = interrupts_off();

	lock_check_may_spin(lock);
	while (__atomic_exchange_n(&lock->word, 1u, __ATOMIC_ACQUIRE) != 0) {
		/* Whoever waits for this CPU's answer to a call gets it meanwhile. */
		interrupts_restore(interrupts);
		while (__atomic_load_n(&lock->word, __ATOMIC_RELAXED) != 0)
			__asm__ volatile("pause");
		(void)interrupts_off();
	}
	lock_check_took(lock);
	return interrupts;
}

void spinlock_release(struct spinlock *lock, uintptr_t interrupts)
{
	lock_check_let_go(lock);
	__atomic_store_n(&lock->word, 0u, __ATOMIC_RELEASE);
	interrupts_restore(interrupts);
}

bool spinlock_is_held(const struct spinlock *lock)
{
	return __atomic_load_n(&lock->word, __ATOMIC_RELAXED) != 0;
}
