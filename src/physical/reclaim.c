/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asking those who can do with less. The list's lock is not held over a call: a shrinker
 * frees frames, and may take locks under which others allocate. What keeps the list together
 * meanwhile is that a shrinker under way is not unlinked: who removes it waits.
 */
#include "physical/frames_internal.h"

#define LOW_LEAST 16u
#define LOW_MOST 16384u

static uintptr_t lock(lh_frames *frames)
{
	return lh_spin_lock(&frames->shrinker_lock, LH_LOCK_FRAMES, frames->port);
}

static void unlock(lh_frames *frames, uintptr_t interrupts)
{
	lh_spin_unlock(&frames->shrinker_lock, LH_LOCK_FRAMES, frames->port, interrupts);
}

void lh_shrinker_add(lh_frames *frames, lh_shrinker *shrinker)
{
	uintptr_t interrupts = lock(frames);

	shrinker->running = 0;
	shrinker->leaving = false;
	shrinker->next = frames->shrinkers;
	frames->shrinkers = shrinker;
	unlock(frames, interrupts);
}

/* => false: it is under way. */
static bool unlink_idle(lh_frames *frames, lh_shrinker *shrinker)
{
	uintptr_t interrupts = lock(frames);
	bool idle = shrinker->running == 0;

	shrinker->leaving = true;
	for (lh_shrinker **link = &frames->shrinkers; idle && *link; link = &(*link)->next)
		if (*link == shrinker) {
			*link = shrinker->next;
			break;
		}
	unlock(frames, interrupts);
	return idle;
}

void lh_shrinker_remove(lh_frames *frames, lh_shrinker *shrinker)
{
	while (!unlink_idle(frames, shrinker))
		lh_port_pause(frames->port);
}

/* The one after another that is not about to leave, now under way; the other is no longer.
 * => NULL for the other: the first; NULL: that was the last. */
static lh_shrinker *next(lh_frames *frames, lh_shrinker *shrinker)
{
	uintptr_t interrupts = lock(frames);
	lh_shrinker *after = shrinker ? shrinker->next : frames->shrinkers;

	if (shrinker)
		shrinker->running--;
	while (after && after->leaving)
		after = after->next;
	if (after)
		after->running++;
	unlock(frames, interrupts);
	return after;
}

uint64_t lh_frames_reclaim(lh_frames *frames, uint64_t wanted)
{
	uint64_t freed = 0;

	for (unsigned urgency = 0; urgency <= LH_RECLAIM_GENTLEST && freed < wanted; urgency++) {
		lh_shrinker *shrinker = NULL;

		/* All are asked at a priority: none is spared for coming late in the list. */
		while ((shrinker = next(frames, shrinker)) != NULL)
			freed += shrinker->scan(shrinker, LH_RECLAIM_GENTLEST - urgency,
						(uint64_t)LH_RECLAIM_BATCH << urgency);
	}
	return freed;
}

lh_watermarks lh_frames_watermarks(lh_frames *frames)
{
	lh_watermarks marks = { frames->total / 64, 0 };

	if (marks.low < LOW_LEAST)
		marks.low = LOW_LEAST;
	if (marks.low > LOW_MOST)
		marks.low = LOW_MOST;
	marks.high = 2 * marks.low;
	return marks;
}

uint64_t lh_frames_shortage(lh_frames *frames)
{
	lh_watermarks marks = lh_frames_watermarks(frames);
	lh_frame_counters counters;

	if (lh_atomic_load_relaxed(&frames->free) >= marks.low)
		return 0;
	lh_frames_estimate_counters(frames, &counters);
	return counters.free < marks.low ? marks.high - counters.free : 0;
}
