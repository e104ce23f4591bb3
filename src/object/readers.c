/* SPDX-License-Identifier: BSD-2-Clause */
#include "object/readers.h"

#include "base/atomic.h"
#include "base/cpus.h"
#include "base/lock_order.h"

uintptr_t lh_reading_begin(lh_manager *manager, unsigned *cpu)
{
	uintptr_t interrupts = lh_port_interrupts_off(manager->port);
	uint64_t *word, bit;

	*cpu = lh_port_cpu(manager->port);
	word = &manager->readers.bits[lh_cpu_word(*cpu)];
	bit = lh_cpu_bit(*cpu);
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

static uint64_t empty_pages(const lh_pool *pool)
{
	return lh_pool_read_counters(pool).empty_pages;
}

void lh_readers_trim(lh_manager *manager, lh_pool *pool, bool is_much)
{
	bool is_short = lh_frames_shortage(manager->frames) != 0;

	if (!is_much && (!is_short || empty_pages(pool) == 0))
		return;
	lh_order_may_flush(manager->port);
	(void)lh_pool_trim(pool, is_short ? 0 : LH_POOL_EMPTY_KEPT, &manager->readers);
}

uint64_t lh_readers_reserve(const lh_manager *manager)
{
	return empty_pages(&manager->regions) + empty_pages(&manager->objects);
}

uint64_t lh_readers_reclaim(lh_manager *manager)
{
	if (lh_readers_reserve(manager) == 0)
		return 0;
	lh_order_may_flush(manager->port);
	return lh_pool_trim(&manager->regions, 0, &manager->readers) +
	       lh_pool_trim(&manager->objects, 0, &manager->readers);
}
