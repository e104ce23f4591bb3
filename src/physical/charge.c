/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promises. Under the strict policy, always
 *
 *     free in the index + charged_in_use >= committed
 *
 * so that who was promised a frame finds one in the index, whatever CPUs keep: what a cache keeps is,
 * for promises, given out. What is left of that inequality is what may still be promised, or leave the
 * index for who was promised nothing. It is kept in parts: one in common, and for each CPU its slack.
 *
 *     spare + sum of slacks = free in the index + charged_in_use - committed        every part >= 0
 *
 * Example: 100 frames, of which 60 are promised and 20 of those in use; a CPU keeps 8. In the index are
 * 72, and 72 + 20 - 60 = 32 are left: 24 in common and 8 as slacks, say.
 *
 * An uncharged frame that a CPU takes from what it keeps, or puts there, touches no part: it left
 * the index, and the spare, when the cache was filled. A charged one from there fulfils a promise with a
 * frame that nobody was promised: the slack grows by one, and shrinks when it comes back. A charge takes
 * from the slack. Only the parts of this CPU change. A part is never negative, so the sum is not,
 * whatever the others do at the time; and before anything is refused all parts are put together
 * (caches.c), so the refusal is exact.
 *
 * The other policies promise what is not there: the same parts add up to 2^62 more (`imagined`).
 * `committed` is in parts as well, which may be negative: only their sum means anything. So a promise is
 * given back where one is, whoever took it, and nobody is asked; that more was given back than was
 * promised is found where all stand still: at the next gathering, counting or walk.
 */
#include "physical/frames_internal.h"

/* Parts are moved by this much more than is needed, if there is as much. */
#define BATCH 64u
/* Beyond this a cache puts the rest in common. */
#define KEPT_MOST (4 * BATCH)

bool lh_slack_gather(lh_frames *frames, struct frame_cache *cache, uint64_t pages)
{
	bool enough = true;

	if (cache->slack >= pages)
		return true;
	lh_index_lock(frames, cache);
	if (frames->spare >= pages - cache->slack) {
		uint64_t more = pages - cache->slack;
		uint64_t rest = (frames->spare - more) / 8;

		more += rest < BATCH ? rest : BATCH;
		lh_atomic_store_relaxed(&frames->spare, frames->spare - more);
		cache->slack += more;
		lh_frames_note_level(frames);
	} else {
		enough = false;
	}
	lh_index_unlock(frames, cache);
	return enough;
}

/* A part of what is committed may be less than nothing. */
static bool is_far(int64_t committed)
{
	return committed > (int64_t)KEPT_MOST || committed < -(int64_t)KEPT_MOST;
}

void lh_slack_spill_locked(lh_frames *frames, struct frame_cache *cache)
{
	if (cache->slack > KEPT_MOST) {
		lh_spare_give_locked(frames, cache->slack - BATCH);
		cache->slack = BATCH;
	}
	if (is_far(cache->committed)) {
		lh_add_committed(&frames->committed, cache->committed);
		lh_add_committed(&cache->committed, -cache->committed);
	}
}

static void spill(lh_frames *frames, struct frame_cache *cache)
{
	if (cache->slack <= KEPT_MOST && !is_far(cache->committed))
		return;
	lh_index_lock(frames, cache);
	lh_slack_spill_locked(frames, cache);
	lh_frames_note_level(frames);
	lh_index_unlock(frames, cache);
}

/* --- Taking --- */

static bool commit(lh_frames *frames, struct frame_cache *cache, void *argument)
{
	uint64_t pages = *(const uint64_t *)argument;

	if (!lh_slack_gather(frames, cache, pages))
		return false;
	cache->slack -= pages;
	lh_add_committed(&cache->committed, (int64_t)pages);
	spill(frames, cache);
	return true;
}

static bool is_possible(const lh_frames *frames, uint64_t pages)
{
	return frames->policy == LH_CHARGE_HEURISTIC ? pages <= frames->total
						     : pages <= INT64_MAX;
}

lh_error lh_charge_take_once(lh_frames *frames, uint64_t pages)
{
	return is_possible(frames, pages) && lh_cache_attempt_once(frames, commit, &pages)
		       ? LH_OK
		       : LH_NO_MEMORY;
}

lh_error lh_charge_take(lh_frames *frames, uint64_t pages)
{
	if (LH_STEP_FAILS(frames, charges))
		return LH_NO_MEMORY;
	return is_possible(frames, pages) && lh_cache_attempt(frames, commit, &pages)
		       ? LH_OK
		       : LH_NO_MEMORY;
}

/* --- Giving back --- */

static bool uncommit(lh_frames *frames, struct frame_cache *cache, void *argument)
{
	int64_t pages = *(const int64_t *)argument;

	lh_add_committed(&cache->committed, -pages);
	cache->slack += (uint64_t)pages;
	spill(frames, cache);
	return true;
}

void lh_charge_give_back(lh_frames *frames, uint64_t pages)
{
	LH_REQUIRE(frames->port, pages <= INT64_MAX);
	(void)lh_cache_attempt_once(frames, uncommit, &pages);
}

/* --- Loans --- */

/* Only while so much is in common: a loan should be the reason of nobody's refusal. */
#define LENT_ABOVE (LH_DEBUG >= 2 ? 256u : 4096u)

bool lh_charge_lend(lh_frames *frames, uint64_t pages)
{
	if (frames->policy != LH_CHARGE_STRICT)
		return lh_atomic_load_relaxed(&frames->free) >= LENT_ABOVE;
	if (lh_atomic_load_relaxed(&frames->spare) < LENT_ABOVE)
		return false;
	return lh_cache_attempt_once(frames, commit, &pages);
}

void lh_charge_give_back_loan(lh_frames *frames, uint64_t pages)
{
	if (frames->policy == LH_CHARGE_STRICT)
		lh_charge_give_back(frames, pages);
}

/* --- Counters --- */

/* Caches are read while their CPUs may be at work. */
#define READ(field) lh_atomic_load_relaxed(&(field))

/* Sums of parts that may be less than nothing. */
struct sums {
	int64_t free, zeroed, committed, charged, used[LH_FRAME_STATE_COUNT];
};

static void add_cache(struct sums *sums, const struct frame_cache *cache)
{
	for (unsigned keep = 0; keep < KEEP_COUNT; keep++)
		sums->free += (int64_t)READ(cache->keeps[keep].count) << lh_keep_order(keep);
	sums->zeroed += READ(cache->keeps[KEEP_ZEROED].count);
	sums->committed += READ(cache->committed);
	for (unsigned state = 0; state < LH_FRAME_STATE_COUNT; state++) {
		int64_t charged = (int64_t)READ(cache->taken[lh_taken_of(state, LH_FRAME_CHARGED)]);

		sums->charged += charged;
		sums->used[state] +=
			charged + (int64_t)READ(cache->taken[lh_taken_of(state, LH_FRAME_UNCHARGED)]);
	}
}

static struct sums add_all(const lh_frames *frames)
{
	struct sums sums = { .free = (int64_t)READ(frames->free),
			     .committed = READ(frames->committed) };

	add_cache(&sums, &frames->common);
	for (unsigned cpu = 0; cpu < frames->cpu_count; cpu++)
		add_cache(&sums, &frames->caches[cpu]);
	return sums;
}

/* Where parts changed while they were read a sum may be too low or too high. */
static uint64_t within(int64_t sum, uint64_t most)
{
	if (sum < 0)
		return 0;
	return (uint64_t)sum < most ? (uint64_t)sum : most;
}

static lh_frame_counters counters_of(const lh_frames *frames, const struct sums *sums)
{
	lh_frame_counters counters = { .total = frames->total,
				       .free = within(sums->free, frames->total),
				       .zeroed = within(sums->zeroed, frames->total),
				       .committed = within(sums->committed, INT64_MAX),
				       .charged_in_use = within(sums->charged, frames->total) };

	for (unsigned state = 0; state < LH_FRAME_STATE_COUNT; state++)
		counters.used[state] = within(sums->used[state], frames->total);
	return counters;
}

void lh_frames_estimate_counters(lh_frames *frames, lh_frame_counters *counters)
{
	struct sums sums = add_all(frames);

	*counters = counters_of(frames, &sums);
}

void lh_frames_read_counters(lh_frames *frames, lh_frame_counters *counters)
{
	bool all = lh_caches_freeze(frames);
	uintptr_t interrupts = lh_spin_lock(&frames->lock, LH_LOCK_FRAMES, frames->port);
	struct sums sums = add_all(frames);

	lh_caches_thaw(frames);
	lh_spin_unlock(&frames->lock, LH_LOCK_FRAMES, frames->port, interrupts);
	if (all)
		lh_charge_check(frames, sums.committed);
	*counters = counters_of(frames, &sums);
}

void lh_charge_check(const lh_frames *frames, int64_t committed)
{
	if (committed < 0)
		LH_BROKEN(frames->port, "more was given back than was promised");
}

bool lh_frames_have(lh_frames *frames, uint64_t count)
{
	lh_frame_counters counters;

	if (lh_atomic_load_relaxed(&frames->free) >= count)
		return true;
	/* Before all CPUs are stopped: what they keep is seen without. */
	lh_frames_estimate_counters(frames, &counters);
	if (counters.free >= count)
		return true;
	lh_frames_read_counters(frames, &counters);
	return counters.free >= count;
}
