/* SPDX-License-Identifier: BSD-2-Clause */
#include "object/surplus.h"

#include "base/atomic.h"
#include "base/lock_order.h"

lh_surplus_share lh_surplus_begin(lh_manager *manager, uint64_t frames)
{
	if (frames <= LH_SURPLUS_LENT_MOST && lh_charge_lend(manager->frames, frames))
		return (lh_surplus_share)frames;
	lh_atomic_add(&manager->surplus.holding, 1u);
	return LH_SURPLUS_COUNTED;
}

/* In this order: who sees that nobody holds any more sees also what was returned. */
static void end_counted(lh_manager *manager, bool held)
{
	lh_surplus *surplus = &manager->surplus;

	if (held)
		lh_atomic_add(&surplus->returned, 1u);
	lh_atomic_subtract(&surplus->holding, 1u);
	lh_atomic_add(&surplus->ends, 1u);
	/* Both sides store and then load: either we see who waits, or it sees the end. */
	if (lh_atomic_load_total(&surplus->waiting) != 0)
		lh_port_unpark(manager->port, &surplus->ends);
}

uint32_t lh_surplus_end(lh_manager *manager, lh_surplus_share share, bool held)
{
	if (share != LH_SURPLUS_COUNTED)
		lh_charge_give_back_loan(manager->frames, share);
	else
		end_counted(manager, held);
	return share == LH_SURPLUS_COUNTED && held;
}

uint32_t lh_surplus_seen(lh_manager *manager)
{
	return lh_atomic_load_total(&manager->surplus.returned);
}

bool lh_surplus_wait(lh_manager *manager, uint32_t seen)
{
	lh_surplus *surplus = &manager->surplus;

	for (;;) {
		uint32_t ends = lh_atomic_load_total(&surplus->ends);
		bool nobody = lh_atomic_load_total(&surplus->holding) == 0;

		if (lh_atomic_load_total(&surplus->returned) != seen)
			return true;
		if (nobody)
			return false;
		lh_order_may_wait(manager->port, "a promised frame");
		lh_atomic_add(&surplus->waiting, 1u);
		lh_port_park(manager->port, &surplus->ends, ends);
		lh_atomic_subtract(&surplus->waiting, 1u);
	}
}
