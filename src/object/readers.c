/* SPDX-License-Identifier: BSD-2-Clause */
#include "object/readers.h"

#include "base/atomic.h"
#include "base/cpus.h"
#include "base/lock_order.h"

uintptr_t lh_reading_begin(lh_manager *manager)
{
	uintptr_t interrupts = lh_port_interrupts_off(manager->port);
	unsigned cpu = lh_port_cpu(manager->port);
	uint64_t *word = &manager->readers.bits[cpu / 64];
	uint64_t bit = UINT64_C(1) << cpu % 64;

	if ((lh_atomic_load_relaxed(word) & bit) == 0)
		lh_atomic_or(word, bit);
	return interrupts;
}

void lh_reading_end(lh_manager *manager, uintptr_t interrupts)
{
	lh_port_interrupts_restore(manager->port, interrupts);
}

void lh_readers_wait(lh_manager *manager)
{
	lh_order_may_flush(manager->port);
	lh_cpus_wait(manager->port, &manager->readers);
}

void lh_readers_trim(lh_manager *manager, lh_pool *pool)
{
	if (lh_atomic_load_relaxed(&pool->empty_pages) == 0)
		return;
	lh_order_may_flush(manager->port);
	(void)lh_pool_trim(pool, &manager->readers);
}
