/* SPDX-License-Identifier: BSD-2-Clause */
#include "object/readers.h"

#include "base/atomic.h"
#include "base/lock_order.h"

/* Empty pages that stay, so that a page which is emptied and filled in turn does not call all CPUs each
 * time. None where tests count every frame. */
#define EMPTY_PAGES_KEPT (LH_DEBUG >= 2 ? 0u : 8u)

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

void lh_readers_trim(lh_manager *manager, lh_pool *pool)
{
	if (lh_atomic_load_relaxed(&pool->empty_pages) <= EMPTY_PAGES_KEPT)
		return;
	lh_order_may_flush(manager->port);
	(void)lh_pool_trim(pool, &manager->readers);
}
