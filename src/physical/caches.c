/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each CPU keeps, and how nothing is overlooked for that.
 *
 * A cache has, for each kind, a short stack of free frames, some that are zeroed, a few whole
 * blocks, and a share of what may still be promised. Only its CPU touches it, with interrupts off: no
 * lock, no atomic operation, and no line that another CPU writes. An empty stack is filled by half
 * its capacity from the index, and a full one gives its older half back, so `lock` is taken once for
 * many frames.
 *
 * Gathering. When a cache and what is common do not suffice, the rest may be in other caches. Who
 * needs it counts itself in `gathering`, and calls the CPUs whose caches are in use:
 *
 *     gatherer                                  another CPU, interrupts off
 *     gathering + 1            (1)              gathering == 0? its own cache,        (a)
 *     call all; wait           (2)              else the common one, under `lock`     (b)
 *     lock; collect; unlock    (3)
 *     attempt, at the common cache
 *     gathering - 1            (4)
 *
 * A CPU takes the call with interrupts on, so never between its look at `gathering` and the end of
 * what it does: after (2) whatever was begun as (a) is done, and what begins sees (1) and goes
 * to (b). Until (4), then, all caches are the gatherer's to empty under `lock`, everything is in
 * common, and a refusal is exact. (Visiting one cache after the other would not do: a frame given back
 * to one just visited, and another taken from one not yet visited, and there would have been one all
 * the time.) A cache comes into use under `lock` while nobody gathers, so (2) calls all there can be.
 *
 * This is an atomic operation saved on every allocation and free, at the price of a call where all
 * has nearly run out. What cannot be had without either is exactness for who may not wait for a call
 * (interrupts off): such a refusal can overlook what other CPUs keep. No promise is broken by that, for
 * what a CPU keeps is not counted upon (charge.c); and CPUs put what they kept in common as soon as they
 * notice that somebody gathers.
 *
 * Near the end of memory caches are filled by less, and below one filling, of frames or of what may still
 * be promised, nobody keeps anything (`scarce`), or each CPU in turn would gather all of what is left.
 *
 * Freezing is the same without (3), to count what there is: caches stay in use, and as they are.
 */
#include "base/cpus.h"
#include "base/memory.h"
#include "physical/frames_internal.h"

/* --- In and out of use. => `lock` is held --- */

static void set_in_use(lh_frames *frames, const struct frame_cache *cache, bool in_use)
{
	uint64_t cpu = (uint64_t)(cache - frames->caches);
	uint64_t *bits = &frames->in_use.bits[cpu / 64];

	*bits = in_use ? *bits | UINT64_C(1) << cpu % 64 : *bits & ~(UINT64_C(1) << cpu % 64);
}

/* The oldest frames of a stack go back to the index. */
static void give_oldest(lh_frames *frames, struct frame_cache *cache, unsigned number,
			uint32_t count)
{
	struct frame_keep *keep = &cache->keeps[number];
	unsigned order = lh_keep_order(number);

	if (order < BLOCK_SHIFT)
		lh_blocks_give(frames, keep->places, count, order);
	else
		lh_blocks_give_whole(frames, keep->places, count);
	lh_spare_give_locked(frames, (uint64_t)count << order);
	lh_keep_set_count(keep, keep->count - count);
	memmove(keep->places, keep->places + count, keep->count * sizeof *keep->places);
}

/* => `lock` is held, and the cache entered or its CPU stands still. */
static void give_promises(lh_frames *frames, struct frame_cache *cache)
{
	lh_spare_give_locked(frames, cache->slack);
	cache->slack = 0;
	lh_add_committed(&frames->committed, cache->committed);
	lh_add_committed(&cache->committed, -cache->committed);
}

/* Everything of a cache goes to what is common. => its CPU's, or all CPUs stand still. */
static void collect(lh_frames *frames, struct frame_cache *cache)
{
	for (unsigned keep = 0; keep < KEEP_COUNT; keep++) {
		give_oldest(frames, cache, keep, cache->keeps[keep].count);
		cache->keeps[keep].capacity = 0;
	}
	for (unsigned number = 0; number < 2 * STATES_ROOM; number++) {
		uint64_t *taken = &cache->taken[number], *common = &frames->common.taken[number];

		lh_atomic_store_relaxed(common, *common + *taken);
		lh_atomic_store_relaxed(taken, 0);
	}
	give_promises(frames, cache);
	cache->in_use = false;
	set_in_use(frames, cache, false);
}

void lh_frames_note_level(lh_frames *frames)
{
	uint64_t filling = frames->capacity[KEEP_SINGLE];
	uint64_t left = frames->free < frames->spare ? frames->free : frames->spare;

	if (!frames->scarce && left < filling) {
		frames->scarce = true;
		(void)lh_atomic_add(&frames->gathering, 1u);
	} else if (frames->scarce && left >= 2 * filling) {
		frames->scarce = false;
		(void)lh_atomic_subtract(&frames->gathering, 1u);
	}
}

/* --- Entering --- */

/* => false: somebody gathers. */
static bool bring_into_use(lh_frames *frames, struct frame_cache *cache)
{
	bool possible;

	lh_spin_lock_inside(&frames->lock, frames->port);
	possible = lh_atomic_load(&frames->gathering) == 0;
	if (possible) {
		for (unsigned keep = 0; keep < KEEP_COUNT; keep++)
			cache->keeps[keep].capacity = frames->capacity[keep];
		cache->in_use = true;
		set_in_use(frames, cache, true);
	}
	lh_spin_unlock_inside(&frames->lock, frames->port);
	return possible;
}

/* What this CPU keeps goes to what is common, unless all who gather only want to look: who is refused
 * for that gathers himself. */
static struct frame_cache *enter_common(lh_frames *frames, uintptr_t *interrupts)
{
	struct frame_cache *own;
	uint32_t freezing;

	*interrupts = lh_spin_lock(&frames->lock, LH_LOCK_FRAMES, frames->port);
	own = &frames->caches[lh_port_cpu(frames->port)];
	freezing = lh_atomic_load(&frames->freezing);
	if (own->in_use && lh_atomic_load(&frames->gathering) > freezing)
		collect(frames, own);
	frames->common.node = own->node;
	return &frames->common;
}

struct frame_cache *lh_cache_enter(lh_frames *frames, uintptr_t *interrupts)
{
	struct frame_cache *cache = lh_cache_enter_own(frames, interrupts);

	if (!cache)
		return enter_common(frames, interrupts);
	if (!cache->in_use && !bring_into_use(frames, cache)) {
		lh_cache_leave_own(frames, *interrupts);
		return enter_common(frames, interrupts);
	}
	return cache;
}

void lh_cache_leave(lh_frames *frames, struct frame_cache *cache, uintptr_t interrupts)
{
	if (cache != &frames->common) {
		lh_cache_leave_own(frames, interrupts);
		return;
	}
	give_promises(frames, cache);
	lh_frames_note_level(frames);
	lh_spin_unlock(&frames->lock, LH_LOCK_FRAMES, frames->port, interrupts);
}

/* --- Gathering --- */

/* The CPUs whose caches are in use, but for this one, which is at nothing else. => whether any. */
static bool find_others(lh_frames *frames, lh_cpu_set *others)
{
	uintptr_t interrupts = lh_spin_lock(&frames->lock, LH_LOCK_FRAMES, frames->port);
	unsigned cpu = lh_port_cpu(frames->port);
	bool found = false;

	*others = frames->in_use;
	others->bits[cpu / 64] &= ~(UINT64_C(1) << cpu % 64);
	for (size_t word = 0; word < sizeof others->bits / sizeof *others->bits; word++)
		found |= others->bits[word] != 0;
	lh_spin_unlock(&frames->lock, LH_LOCK_FRAMES, frames->port, interrupts);
	return found;
}

/* => counted in `gathering` afterwards. */
static bool stop_all(lh_frames *frames)
{
	lh_cpu_set others;

	(void)lh_atomic_add(&frames->gathering, 1u);
	if (!find_others(frames, &others))
		return true;
	if (!lh_port_interrupts_are_on(frames->port))
		return false;
	lh_order_may_flush(frames->port);
	lh_cpus_wait(frames->port, &others);
	return true;
}

/* Who looks between the two counts collects what he need not, or leaves it to who gathers. */
bool lh_caches_freeze(lh_frames *frames)
{
	(void)lh_atomic_add(&frames->freezing, 1u);
	return stop_all(frames);
}

void lh_caches_thaw(lh_frames *frames)
{
	(void)lh_atomic_subtract(&frames->gathering, 1u);
	(void)lh_atomic_subtract(&frames->freezing, 1u);
}

bool lh_caches_gather(lh_frames *frames)
{
	bool all = stop_all(frames);
	uintptr_t interrupts;
	int64_t committed;
	struct frame_cache *common = enter_common(frames, &interrupts);

	for (unsigned cpu = 0; cpu < frames->cpu_count; cpu++)
		if (frames->caches[cpu].in_use && (all || cpu == lh_port_cpu(frames->port)))
			collect(frames, &frames->caches[cpu]);
	committed = frames->committed;
	lh_cache_leave(frames, common, interrupts);
	if (all)
		lh_charge_check(frames, committed);
	return all;
}

void lh_caches_release(lh_frames *frames)
{
	uintptr_t interrupts = lh_spin_lock(&frames->lock, LH_LOCK_FRAMES, frames->port);

	lh_frames_note_level(frames);
	(void)lh_atomic_subtract(&frames->gathering, 1u);
	lh_spin_unlock(&frames->lock, LH_LOCK_FRAMES, frames->port, interrupts);
}

void lh_frames_drain(lh_frames *frames)
{
	(void)lh_caches_gather(frames);
	lh_caches_release(frames);
}

/* --- Attempts --- */

bool lh_cache_attempt_once(lh_frames *frames, cache_attempt *attempt, void *argument)
{
	uintptr_t interrupts;
	struct frame_cache *cache = lh_cache_enter(frames, &interrupts);
	bool done = attempt(frames, cache, argument);

	lh_cache_leave(frames, cache, interrupts);
	return done;
}

bool lh_cache_attempt(lh_frames *frames, cache_attempt *attempt, void *argument)
{
	bool done = lh_cache_attempt_once(frames, attempt, argument);

	if (done)
		return true;
	(void)lh_caches_gather(frames);
	done = lh_cache_attempt_once(frames, attempt, argument);
	lh_caches_release(frames);
	return done;
}

/* --- Stacks. => entered --- */

void lh_cache_make_room(lh_frames *frames, struct frame_cache *cache, unsigned keep)
{
	uint32_t capacity = cache->keeps[keep].capacity;

	if (cache->keeps[keep].count < capacity || capacity == 0)
		return;
	lh_index_lock(frames, cache);
	give_oldest(frames, cache, keep, (capacity + 1) / 2);
	lh_slack_spill_locked(frames, cache);
	lh_frames_note_level(frames);
	lh_index_unlock(frames, cache);
}

/* How many a keep is filled by: the common cache's by the one that is asked for; near the end of memory
 * less; and never by what is promised. */
static uint32_t filling(const lh_frames *frames, const struct frame_keep *keep, unsigned order)
{
	uint64_t most = keep->capacity / 2;

	if (most > frames->free >> order >> 3)
		most = frames->free >> order >> 3;
	if (most == 0)
		most = 1;
	return (uint32_t)(most <= frames->spare >> order ? most : frames->spare >> order);
}

/* Entries of larger orders lie far apart: who takes the first should not wait for each one. */
static void ask_for_entries(const lh_frames *frames, const struct frame_keep *keep, uint32_t count)
{
	for (uint32_t n = 0; n < count; n++)
		__builtin_prefetch(lh_place_entry(frames, keep->places[n]), 1);
}

bool lh_cache_refill(lh_frames *frames, struct frame_cache *cache, enum frame_kind kind,
		     unsigned number)
{
	struct frame_keep *keep = &cache->keeps[number];
	unsigned order = lh_keep_order(number);
	uint32_t count;

	lh_index_lock(frames, cache);
	lh_spare_give_locked(frames, cache->slack);
	cache->slack = 0;
	count = filling(frames, keep, order);
	if (count != 0 && order == 0)
		count = lh_blocks_take(frames, cache->node, kind, keep->places, count);
	else if (count != 0)
		count = lh_blocks_take_orders(frames, cache->node, kind, order, keep->places, count);
	if (order != 0)
		ask_for_entries(frames, keep, count);
	lh_keep_set_count(keep, count);
	(void)lh_spare_take_locked(frames, (uint64_t)count << order);
	lh_frames_note_level(frames);
	lh_index_unlock(frames, cache);
	return count != 0;
}

void lh_frames_set_node(lh_frames *frames, unsigned cpu, unsigned node)
{
	if (cpu < frames->cpu_count && node < frames->node_count)
		lh_atomic_store_relaxed(&frames->caches[cpu].node, (uint8_t)node);
}

/* --- Zeroed frames --- */

/*
 * The page is filled with the cache entered: a frame that is on its way from one place to another
 * would be missed by who looks for the last one. Nobody but a CPU in great need waits for that.
 */
static bool zero_one(lh_frames *frames, struct frame_cache *cache)
{
	struct frame_keep *keep = &cache->keeps[KEEP_SINGLE + KIND_PASSING];
	struct frame_keep *zeroed = &cache->keeps[KEEP_ZEROED];
	lh_frame_number frame;
	uint32_t place;

	if (zeroed->count == zeroed->capacity)
		return false;
	if (keep->count == 0 &&
	    !lh_cache_refill(frames, cache, KIND_PASSING, KEEP_SINGLE + KIND_PASSING))
		return false;
	lh_keep_set_count(keep, keep->count - 1);
	place = keep->places[keep->count];
	frame = lh_place_frame(frames, place);
	if (LH_DEBUG >= 2)
		lh_frame_check_poison(frames, frame);
	memset(lh_frame_pointer(frames, frame), 0, LH_PAGE_SIZE);
	zeroed->places[zeroed->count] = place;
	lh_keep_set_count(zeroed, zeroed->count + 1);
	return true;
}

bool lh_frames_idle(lh_frames *frames)
{
	uintptr_t interrupts;
	struct frame_cache *cache = lh_cache_enter(frames, &interrupts);
	bool more = zero_one(frames, cache);

	lh_cache_leave(frames, cache, interrupts);
	return more;
}
