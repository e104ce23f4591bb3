/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each CPU keeps, and how nothing is overlooked for that.
 *
 * A cache has, for each kind, a short stack of free frames, some that are zeroed, a few whole
 * blocks, and a share of what may still be promised. An allocation takes from its CPU's cache under that cache's
 * lock, a cache line that nobody else writes; an empty stack is filled by half its capacity from the
 * index, and a full one gives its older half back, so `lock` is taken once for many frames.
 *
 * When the cache and what is common do not suffice, the rest may be in other caches. All their locks
 * are taken, in order; whoever takes `lock` holds a cache's, so nobody else is at anything. What
 * they keep is put in common, and the same attempt is made again: its refusal is exact. (Visiting
 * one cache after the other would not do: a frame given back to one just visited, and another taken
 * from one not yet visited, and there would have been one all the time.) Interrupts are off for
 * as long as that takes: LH_MAX_CPUS short locks, each held by its CPU for a bounded time.
 *
 * Near the end of memory caches are filled by less, or each CPU in turn would find all of what is
 * left in the others' caches.
 */
#include "base/memory.h"
#include "physical/frames_internal.h"

/* --- All locks --- */

uintptr_t lh_caches_lock_all(lh_frames *frames)
{
	uintptr_t interrupts = lh_spin_lock(&frames->caches[0].lock, LH_LOCK_FRAMES, frames->port);

	for (unsigned cpu = 1; cpu < LH_MAX_CPUS; cpu++)
		lh_spin_lock_inside(&frames->caches[cpu].lock, frames->port);
	return interrupts;
}

void lh_caches_unlock_all(lh_frames *frames, uintptr_t interrupts)
{
	for (unsigned cpu = LH_MAX_CPUS - 1; cpu > 0; cpu--)
		lh_spin_unlock_inside(&frames->caches[cpu].lock, frames->port);
	lh_spin_unlock(&frames->caches[0].lock, LH_LOCK_FRAMES, frames->port, interrupts);
}

/* --- In and out. => the cache's lock is held --- */

/* The oldest frames of a stack go back to the index. => `lock` is held. */
static void give_oldest(lh_frames *frames, struct frame_keep *keep, uint32_t count)
{
	for (uint32_t n = 0; n < count; n++)
		lh_blocks_give(frames, keep->places[n]);
	keep->count -= count;
	memmove(keep->places, keep->places + count, keep->count * sizeof *keep->places);
}

void lh_cache_make_room(lh_frames *frames, struct frame_cache *cache, struct frame_keep *keep)
{
	if (keep->count < frames->capacity)
		return;
	lh_spin_lock_inside(&frames->lock, frames->port);
	give_oldest(frames, keep, frames->capacity / 2);
	lh_allowance_spill_locked(frames, cache);
	lh_spin_unlock_inside(&frames->lock, frames->port);
}

bool lh_cache_refill(lh_frames *frames, struct frame_cache *cache, enum frame_kind kind)
{
	struct frame_keep *keep = &cache->kept[kind];
	uint64_t most;

	lh_spin_lock_inside(&frames->lock, frames->port);
	most = frames->free / 8 + 1;
	if (most > frames->capacity / 2)
		most = frames->capacity / 2;
	keep->count = lh_blocks_take(frames, cache->node, kind, keep->places, (uint32_t)most);
	lh_spin_unlock_inside(&frames->lock, frames->port);
	return keep->count != 0;
}

/* --- Attempts --- */

/* Puts all that caches keep in common. => all locks are held. */
static void collect(lh_frames *frames)
{
	lh_spin_lock_inside(&frames->lock, frames->port);
	for (unsigned cpu = 0; cpu < LH_MAX_CPUS; cpu++) {
		struct frame_cache *cache = &frames->caches[cpu];

		for (unsigned kind = 0; kind < KIND_COUNT; kind++)
			give_oldest(frames, &cache->kept[kind], cache->kept[kind].count);
		give_oldest(frames, &cache->zeroed, cache->zeroed.count);
		while (cache->large.count != 0)
			lh_blocks_give_row(frames, cache->large.places[--cache->large.count],
					   BLOCK_FRAMES);
		lh_atomic_store_relaxed(&frames->spare, frames->spare + cache->allowance);
		frames->committed += cache->committed;
		cache->allowance = cache->committed = 0;
	}
	lh_spin_unlock_inside(&frames->lock, frames->port);
}

bool lh_cache_attempt_alone(lh_frames *frames, cache_attempt *attempt, void *argument)
{
	uintptr_t interrupts = lh_caches_lock_all(frames);
	bool done;

	collect(frames);
	done = attempt(frames, lh_frames_cache(frames), argument);
	lh_caches_unlock_all(frames, interrupts);
	return done;
}

bool lh_cache_attempt(lh_frames *frames, cache_attempt *attempt, void *argument)
{
	struct frame_cache *cache = lh_frames_cache(frames);
	uintptr_t interrupts = lh_spin_lock(&cache->lock, LH_LOCK_FRAMES, frames->port);
	bool done = attempt(frames, cache, argument);

	lh_spin_unlock(&cache->lock, LH_LOCK_FRAMES, frames->port, interrupts);
	return done || lh_cache_attempt_alone(frames, attempt, argument);
}

void lh_frames_drain(lh_frames *frames)
{
	uintptr_t interrupts = lh_caches_lock_all(frames);

	collect(frames);
	lh_caches_unlock_all(frames, interrupts);
}

void lh_frames_set_node(lh_frames *frames, unsigned cpu, unsigned node)
{
	struct frame_cache *cache = &frames->caches[cpu];
	uintptr_t interrupts;

	if (cpu >= LH_MAX_CPUS || node >= frames->node_count)
		return;
	interrupts = lh_spin_lock(&cache->lock, LH_LOCK_FRAMES, frames->port);
	cache->node = node;
	lh_spin_unlock(&cache->lock, LH_LOCK_FRAMES, frames->port, interrupts);
}

/* --- Zeroed frames --- */

/*
 * The page is filled under the cache's lock: a frame that is on its way from one place to another
 * would be missed by who looks for the last one. Nobody but a CPU in great need waits for that.
 */
static bool zero_one(lh_frames *frames, struct frame_cache *cache)
{
	struct frame_keep *keep = &cache->kept[KIND_PASSING];
	lh_frame_entry *entry;
	uint64_t place;

	if (cache->zeroed.count == frames->zeroed_capacity)
		return false;
	if (keep->count == 0 && !lh_cache_refill(frames, cache, KIND_PASSING))
		return false;
	place = keep->places[--keep->count];
	entry = lh_place_entry(frames, place);
	memset(lh_frame_pointer(frames, lh_place_frame(frames, place)), 0, LH_PAGE_SIZE);
	entry->flags = 0;
	cache->zeroed.places[cache->zeroed.count++] = place;
	return true;
}

bool lh_frames_idle(lh_frames *frames)
{
	struct frame_cache *cache = lh_frames_cache(frames);
	uintptr_t interrupts = lh_spin_lock(&cache->lock, LH_LOCK_FRAMES, frames->port);
	bool more = zero_one(frames, cache);

	lh_spin_unlock(&cache->lock, LH_LOCK_FRAMES, frames->port, interrupts);
	return more;
}
