/* SPDX-License-Identifier: BSD-2-Clause */
#include "object/readers.h"

#include "base/atomic.h"
#include "base/cpus.h"
#include "base/lock_order.h"

/* Of each pool. */
#define EMPTY_PAGES_KEPT 1u

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
	uint64_t empty = lh_atomic_load_relaxed(&pool->empty_pages), keep = 0;

	if (empty == 0)
		return;
	if (lh_frames_shortage(manager->frames) == 0)
		keep = EMPTY_PAGES_KEPT;
	if (empty <= keep)
		return;
	lh_order_may_flush(manager->port);
	(void)lh_pool_trim(pool, keep, &manager->readers);
}

uint64_t lh_readers_reserve(const lh_manager *manager)
{
	return lh_atomic_load_relaxed(&manager->regions.empty_pages) +
	       lh_atomic_load_relaxed(&manager->objects.empty_pages);
}

uint64_t lh_readers_reclaim(lh_manager *manager)
{
	if (lh_readers_reserve(manager) == 0)
		return 0;
	lh_order_may_flush(manager->port);
	return lh_pool_trim(&manager->regions, 0, &manager->readers) +
	       lh_pool_trim(&manager->objects, 0, &manager->readers);
}
