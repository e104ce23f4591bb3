/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promises. Under the strict policy, always
 *
 *     free + charged_in_use >= committed
 *
 * What is left of that inequality is what may still be promised, or taken by who was promised
 * nothing. It is kept in parts: one in common, and for each CPU an allowance.
 *
 *     spare + sum of allowances = free + charged_in_use - committed        every part >= 0
 *
 * Taking or giving back a charged frame moves one between two terms on the right and changes
 * nothing on the left, so it touches no part. An uncharged frame or a charge takes from the
 * CPU's own allowance, and what is given back adds to it: only the parts of this CPU change, under its
 * cache's lock. A part is never negative, so the sum is not, whatever the others do at the time; and
 * before anything is refused all parts are put together (caches.c), so the refusal is exact.
 *
 * Under the other policies frames are taken without a promise; the same parts then stand for
 *
 *     spare + sum of allowances = 2^64 - 1 - committed
 *
 * so that what is promised can still be counted. `committed` is in parts as well: to give back more
 * than was promised is found once all have been put together.
 */
#include "physical/frames_internal.h"

/* Parts are moved by this much more than is needed, if there is as much. */
#define BATCH 64u
/* Beyond this a cache puts the rest in common. */
#define KEPT_MOST (4 * (uint64_t)BATCH)

bool lh_allowance_gather(lh_frames *frames, struct frame_cache *cache, uint64_t pages)
{
	bool enough = true;

	if (cache->allowance >= pages)
		return true;
	lh_spin_lock_inside(&frames->lock, frames->port);
	if (frames->spare >= pages - cache->allowance) {
		uint64_t more = pages - cache->allowance;
		uint64_t rest = (frames->spare - more) / 8;

		more += rest < BATCH ? rest : BATCH;
		lh_atomic_store_relaxed(&frames->spare, frames->spare - more);
		cache->allowance += more;
	} else {
		enough = false;
	}
	lh_spin_unlock_inside(&frames->lock, frames->port);
	return enough;
}

void lh_allowance_spill_locked(lh_frames *frames, struct frame_cache *cache)
{
	if (cache->allowance > KEPT_MOST) {
		lh_atomic_store_relaxed(&frames->spare, frames->spare + cache->allowance - BATCH);
		cache->allowance = BATCH;
	}
	if (cache->committed > KEPT_MOST) {
		frames->committed += cache->committed - BATCH;
		cache->committed = BATCH;
	}
}

static void spill(lh_frames *frames, struct frame_cache *cache)
{
	if (cache->allowance <= KEPT_MOST && cache->committed <= KEPT_MOST)
		return;
	lh_spin_lock_inside(&frames->lock, frames->port);
	lh_allowance_spill_locked(frames, cache);
	lh_spin_unlock_inside(&frames->lock, frames->port);
}

/* --- Taking --- */

static bool commit(lh_frames *frames, struct frame_cache *cache, void *argument)
{
	uint64_t pages = *(const uint64_t *)argument;

	if (!lh_allowance_gather(frames, cache, pages))
		return false;
	cache->allowance -= pages;
	cache->committed += pages;
	spill(frames, cache);
	return true;
}

lh_error lh_charge_take(lh_frames *frames, uint64_t pages)
{
	if (LH_STEP_FAILS(frames, charges))
		return LH_NO_MEMORY;
	if (frames->policy == LH_CHARGE_HEURISTIC && pages > frames->total)
		return LH_NO_MEMORY;
	return lh_cache_attempt(frames, commit, &pages) ? LH_OK : LH_NO_MEMORY;
}

/* --- Giving back --- */

static bool uncommit(lh_frames *frames, struct frame_cache *cache, void *argument)
{
	uint64_t pages = *(const uint64_t *)argument;

	if (cache->committed < pages) {
		bool enough;

		lh_spin_lock_inside(&frames->lock, frames->port);
		enough = frames->committed >= pages - cache->committed;
		if (enough) {
			frames->committed -= pages - cache->committed;
			cache->committed = pages;
		}
		lh_spin_unlock_inside(&frames->lock, frames->port);
		if (!enough)
			return false;
	}
	cache->committed -= pages;
	cache->allowance += pages;
	spill(frames, cache);
	return true;
}

void lh_charge_give_back(lh_frames *frames, uint64_t pages)
{
	if (!lh_cache_attempt(frames, uncommit, &pages))
		LH_BROKEN(frames->port, "more was given back than was promised");
}

/* --- Loans --- */

/* Only while so much is in common: a loan should be the reason of nobody's refusal. */
#define LENT_ABOVE (LH_DEBUG >= 2 ? 256u : 4096u)

bool lh_charge_lend(lh_frames *frames, uint64_t pages)
{
	struct frame_cache *cache;
	uintptr_t interrupts;
	bool lent;

	if (frames->policy != LH_CHARGE_STRICT)
		return lh_atomic_load_relaxed(&frames->free) >= LENT_ABOVE;
	if (lh_atomic_load_relaxed(&frames->spare) < LENT_ABOVE)
		return false;
	cache = lh_frames_cache(frames);
	interrupts = lh_spin_lock(&cache->lock, LH_LOCK_FRAMES, frames->port);
	lent = commit(frames, cache, &pages);
	lh_spin_unlock(&cache->lock, LH_LOCK_FRAMES, frames->port, interrupts);
	return lent;
}

void lh_charge_give_back_loan(lh_frames *frames, uint64_t pages)
{
	if (frames->policy == LH_CHARGE_STRICT)
		lh_charge_give_back(frames, pages);
}

/* --- Counters --- */

static void add_up(const lh_frames *frames, lh_frame_counters *counters)
{
	*counters = (lh_frame_counters){ .total = frames->total,
					 .free = frames->free,
					 .committed = frames->committed };
	for (unsigned cpu = 0; cpu < LH_MAX_CPUS; cpu++) {
		const struct frame_cache *cache = &frames->caches[cpu];

		for (unsigned kind = 0; kind < KIND_COUNT; kind++)
			counters->free += cache->kept[kind].count;
		counters->zeroed += cache->zeroed.count;
		counters->free += cache->large.count * BLOCK_FRAMES;
		counters->committed += cache->committed;
		counters->charged_in_use += cache->charged_in_use;
		for (unsigned state = 0; state < LH_FRAME_STATE_COUNT; state++)
			counters->used[state] += cache->used[state];
	}
	counters->free += counters->zeroed;
}

void lh_frames_read_counters(lh_frames *frames, lh_frame_counters *counters)
{
	uintptr_t interrupts = lh_caches_lock_all(frames);

	add_up(frames, counters);
	lh_caches_unlock_all(frames, interrupts);
}

bool lh_frames_have(lh_frames *frames, uint64_t count)
{
	lh_frame_counters counters;

	if (lh_atomic_load_relaxed(&frames->free) >= count)
		return true;
	lh_frames_read_counters(frames, &counters);
	return counters.free >= count;
}
