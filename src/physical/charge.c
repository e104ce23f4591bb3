/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promises. Under the strict policy, always
 *
 *     free + charged_in_use >= committed
 *
 * Taking or freeing a charged frame moves one between the two terms on the left and
 * so never breaks it; an uncharged frame lowers the left, a charge raises the right,
 * and both are refused where that would break it. All terms count frames, so no sum
 * here can wrap; a request can, and is compared by subtraction.
 */
#include "physical/frames_internal.h"

static bool may_promise_locked(const lh_frames *frames, uint64_t pages)
{
	if (pages > UINT64_MAX - frames->committed)
		return false;
	switch (frames->policy) {
	case LH_CHARGE_STRICT:
		return pages <= frames->free + frames->charged_in_use - frames->committed;
	case LH_CHARGE_HEURISTIC:
		return pages <= frames->total;
	case LH_CHARGE_ALWAYS:
		return true;
	}
	return false;
}

lh_error lh_charge_take(lh_frames *frames, uint64_t pages)
{
	uintptr_t interrupts;
	bool taken;

	if (LH_STEP_FAILS(frames, charges))
		return LH_NO_MEMORY;
	interrupts = lh_spin_lock(&frames->lock, LH_LOCK_FRAMES, frames->port);
	taken = may_promise_locked(frames, pages);
	if (taken)
		frames->committed += pages;
	lh_spin_unlock(&frames->lock, LH_LOCK_FRAMES, frames->port, interrupts);
	return taken ? LH_OK : LH_NO_MEMORY;
}

void lh_charge_give_back(lh_frames *frames, uint64_t pages)
{
	uintptr_t interrupts = lh_spin_lock(&frames->lock, LH_LOCK_FRAMES, frames->port);

	LH_REQUIRE(frames->port, pages <= frames->committed);
	frames->committed -= pages;
	lh_spin_unlock(&frames->lock, LH_LOCK_FRAMES, frames->port, interrupts);
}

void lh_frames_read_counters(lh_frames *frames, lh_frame_counters *counters)
{
	uintptr_t interrupts = lh_spin_lock(&frames->lock, LH_LOCK_FRAMES, frames->port);

	counters->total = frames->total;
	counters->free = frames->free;
	for (unsigned state = 0; state < LH_FRAME_STATE_COUNT; state++)
		counters->used[state] = frames->used[state];
	counters->committed = frames->committed;
	counters->charged_in_use = frames->charged_in_use;
	lh_spin_unlock(&frames->lock, LH_LOCK_FRAMES, frames->port, interrupts);
}
