/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/lock.h"

uintptr_t lh_spin_wait(uint32_t *lock, lh_port *port, uintptr_t interrupts)
{
	do {
		/* Let an interrupt through while we wait: a CPU that spins deaf could be the
		 * one that the holder's flush is waiting for. */
		lh_port_interrupts_restore(port, interrupts);
		while (lh_atomic_load_relaxed(lock) != 0)
			lh_port_pause(port);
		interrupts = lh_port_interrupts_off(port);
	} while (lh_atomic_exchange(lock, 1u) != 0);
	return interrupts;
}

enum { FREE, HELD, WAITED_FOR };

void lh_mutex_take(uint32_t *mutex, lh_port *port)
{
	uint32_t seen = FREE;

	if (lh_atomic_compare_exchange(mutex, &seen, (uint32_t)HELD))
		return;
	while (lh_atomic_exchange(mutex, (uint32_t)WAITED_FOR) != FREE)
		lh_port_park(port, mutex, WAITED_FOR);
}

void lh_mutex_let_go(uint32_t *mutex, lh_port *port)
{
	uint32_t before = lh_atomic_exchange(mutex, (uint32_t)FREE);

	LH_ASSERT(port, before != FREE);
	if (before == WAITED_FOR)
		lh_port_unpark(port, mutex);
}

bool lh_mutex_is_held(const uint32_t *mutex)
{
	return lh_atomic_load_relaxed(mutex) != FREE;
}
