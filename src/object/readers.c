/* SPDX-License-Identifier: BSD-2-Clause */
#include "object/readers.h"

#include "base/atomic.h"
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

static void nothing(void *argument)
{
	(void)argument;
}

void lh_readers_wait(lh_manager *manager)
{
	lh_cpu_set now;

	lh_order_may_flush(manager->port);
	for (unsigned i = 0; i < sizeof now.bits / sizeof now.bits[0]; i++)
		now.bits[i] = lh_atomic_load_total(&manager->readers.bits[i]);
	lh_port_call_cpus(manager->port, &now, nothing, NULL);
}

void lh_readers_trim(lh_manager *manager, lh_pool *pool)
{
	if (lh_atomic_load_relaxed(&pool->empty_pages) == 0)
		return;
	lh_order_may_flush(manager->port);
	(void)lh_pool_trim(pool, &manager->readers);
}
