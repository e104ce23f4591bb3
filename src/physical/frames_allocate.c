/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames given out, held, and given back.
 *
 * A frame is complete (state, flags, word, holders 1) before the lock that gave it is released, so
 * a walker of the frame array that holds all locks never sees half of one. Contents are zeroed
 * outside the lock, by the only one who has the frame.
 *
 * Of frames given out as one (an order), only the first has an entry of a used frame; the others'
 * stay those of free frames, so giving out 2 MiB writes one entry and not 512.
 */
#include "base/memory.h"
#include "physical/frames_internal.h"

/* --- Poison: who writes to a freed frame is found when it is next given out --- */

#if LH_DEBUG >= 2

void lh_frame_poison(lh_frames *frames, lh_frame_number frame)
{
	memset(lh_frame_pointer(frames, frame), FRAME_POISON, LH_PAGE_SIZE);
}

static bool is_filled_with(lh_frames *frames, lh_frame_number frame, unsigned char byte)
{
	const unsigned char *bytes = lh_frame_pointer(frames, frame);

	return bytes[0] == byte && memcmp(bytes, bytes + 1, LH_PAGE_SIZE - 1) == 0;
}

void lh_frame_check_poison(lh_frames *frames, lh_frame_number frame)
{
	lh_frame_entry *entry = lh_frame_entry_of(frames, frame);

	if ((entry->flags & FRAME_POISONED) == 0)
		return;
	entry->flags &= (uint8_t)~FRAME_POISONED;
	if (!is_filled_with(frames, frame, FRAME_POISON))
		LH_BROKEN(frames->port, "a frame was written to after it was freed");
}

static void check_zeroed(lh_frames *frames, lh_frame_number frame)
{
	if (!is_filled_with(frames, frame, 0))
		LH_BROKEN(frames->port, "a zeroed frame was written to before it was given out");
}

#else

void lh_frame_poison(lh_frames *frames, lh_frame_number frame)
{
	(void)frames;
	(void)frame;
}

void lh_frame_check_poison(lh_frames *frames, lh_frame_number frame)
{
	(void)frames;
	(void)frame;
}

static void check_zeroed(lh_frames *frames, lh_frame_number frame)
{
	(void)frames;
	(void)frame;
}

#endif

static void check_poison_of_row(lh_frames *frames, lh_frame_number first, uint64_t count)
{
	for (uint64_t i = 0; LH_DEBUG >= 2 && i < count; i++)
		lh_frame_check_poison(frames, lh_frame(first.value + i));
}

/* --- Taking one --- */

/* Turns a free frame's entry into one of its state, holders 1. */
static inline void take_entry(const lh_frames *frames, lh_frame_entry *entry,
			      lh_frame_state state, lh_frame_source source, unsigned order)
{
	if (entry->state != LH_FRAME_FREE || lh_atomic_load_relaxed(&entry->holders) != 0)
		LH_BROKEN(frames->port, "a free frame was held, or given back twice");
	entry->pins = 0;
	entry->state = (uint8_t)state;
	entry->flags = (uint8_t)((entry->flags & FRAME_POISONED) | order << FRAME_ORDER_SHIFT |
				 (source == LH_FRAME_CHARGED ? FRAME_CHARGED : 0));
	entry->word = 0;
	lh_atomic_store_relaxed(&entry->holders, 1u);
}

/* Counts frames as taken. => the cache's lock is held; the allowance suffices. */
static void count_taken(const lh_frames *frames, struct frame_cache *cache, lh_frame_state state,
			lh_frame_source source, uint64_t count)
{
	cache->allowance -= lh_frames_cost(frames, source, count);
	cache->used[state] += count;
	if (source == LH_FRAME_CHARGED)
		cache->charged_in_use += count;
}

struct single {
	lh_frame_state state;
	lh_frame_source source;
	bool zeroed;	       /* wanted; out: it is */
	lh_frame_number frame; /* out */
};

/* Gives out the hottest of some frames that a CPU keeps. => there is one. */
static inline lh_frame_number take_kept(lh_frames *frames, struct frame_cache *cache,
					struct frame_keep *keep, lh_frame_state state,
					lh_frame_source source)
{
	uint64_t place = keep->places[--keep->count];

	take_entry(frames, lh_place_entry(frames, place), state, source, 0);
	count_taken(frames, cache, state, source, 1);
	return lh_place_frame(frames, place);
}

/* As cache_attempt has it. */
static bool take_single(lh_frames *frames, struct frame_cache *cache, void *argument)
{
	struct single *single = argument;
	enum frame_kind kind = lh_frame_kind(single->state);
	struct frame_keep *keep = &cache->kept[kind];

	if (!lh_allowance_gather(frames, cache, lh_frames_cost(frames, single->source, 1)))
		return false;
	if (single->zeroed && cache->zeroed.count != 0)
		keep = &cache->zeroed;
	else if (keep->count == 0 && !lh_cache_refill(frames, cache, kind))
		return false;
	single->zeroed = keep == &cache->zeroed;
	single->frame = take_kept(frames, cache, keep, single->state, single->source);
	return true;
}

/* The same at once where nothing has to be fetched, which is most often. */
static inline bool take_at_hand(lh_frames *frames, lh_frame_state state, lh_frame_source source,
				lh_frame_number *frame)
{
	struct frame_cache *cache = lh_frames_cache(frames);
	struct frame_keep *keep = &cache->kept[lh_frame_kind(state)];
	uintptr_t interrupts = lh_spin_lock(&cache->lock, LH_LOCK_FRAMES, frames->port);
	bool taken = keep->count != 0 && cache->allowance >= lh_frames_cost(frames, source, 1);

	if (taken)
		*frame = take_kept(frames, cache, keep, state, source);
	lh_spin_unlock(&cache->lock, LH_LOCK_FRAMES, frames->port, interrupts);
	return taken;
}

lh_error lh_frame_allocate(lh_frames *frames, lh_frame_state state, lh_frame_source source,
			   lh_frame_number *frame)
{
	if (!lh_frame_state_is_used(state))
		return LH_INVALID;
	if (LH_STEP_FAILS(frames, frames[state]))
		return LH_NO_MEMORY;
	if (!take_at_hand(frames, state, source, frame)) {
		struct single single = { .state = state, .source = source };

		if (!lh_cache_attempt(frames, take_single, &single))
			return LH_NO_MEMORY;
		*frame = single.frame;
	}
	if (LH_DEBUG >= 2)
		lh_frame_check_poison(frames, *frame);
	return LH_OK;
}

lh_error lh_frame_allocate_zeroed(lh_frames *frames, lh_frame_state state, lh_frame_source source,
				  lh_frame_number *frame)
{
	struct single single = { .state = state, .source = source, .zeroed = true };

	if (!lh_frame_state_is_used(state))
		return LH_INVALID;
	if (LH_STEP_FAILS(frames, frames[state]))
		return LH_NO_MEMORY;
	if (!lh_cache_attempt(frames, take_single, &single))
		return LH_NO_MEMORY;
	if (LH_DEBUG >= 2)
		lh_frame_check_poison(frames, single.frame);
	if (single.zeroed)
		check_zeroed(frames, single.frame);
	else
		memset(lh_frame_pointer(frames, single.frame), 0, LH_PAGE_SIZE);
	*frame = single.frame;
	return LH_OK;
}

/* --- Taking several --- */

struct several {
	struct row_request row;
	unsigned order; /* of frames given out as one */
	uint32_t node;	/* LH_ANY_NODE: this CPU's */
	lh_frame_state state;
	lh_frame_source source;
	bool as_one;
	uint64_t place; /* out */
};

/* => frames->lock is held. => its place; taken out of the index. */
static uint64_t take_from_index(lh_frames *frames, const struct frame_cache *cache,
				const struct several *several)
{
	enum frame_kind kind = lh_frame_kind(several->state);
	uint32_t node = several->node != LH_ANY_NODE ? several->node : cache->node;
	uint64_t place;

	if (several->as_one && several->order <= BLOCK_SHIFT)
		return lh_blocks_take_order(frames, node, kind, several->order);
	place = lh_row_find(frames, &several->row);
	if (place != NO_PLACE)
		lh_blocks_take_row(frames, kind, place, several->row.count);
	return place;
}

/* A whole block may be at hand; the rest is looked for in common. */
static uint64_t take_place(lh_frames *frames, struct frame_cache *cache,
			   const struct several *several)
{
	uint64_t place = NO_PLACE;

	if (several->as_one && several->order == BLOCK_SHIFT && cache->large.count != 0 &&
	    (several->node == LH_ANY_NODE || several->node == cache->node))
		return cache->large.places[--cache->large.count];
	lh_spin_lock_inside(&frames->lock, frames->port);
	if (several->row.count <= frames->free)
		place = take_from_index(frames, cache, several);
	lh_spin_unlock_inside(&frames->lock, frames->port);
	return place;
}

static bool take_several(lh_frames *frames, struct frame_cache *cache, void *argument)
{
	struct several *several = argument;
	uint64_t count = several->row.count;

	if (!lh_allowance_gather(frames, cache, lh_frames_cost(frames, several->source, count)))
		return false;
	several->place = take_place(frames, cache, several);
	if (several->place == NO_PLACE)
		return false;
	if (several->as_one)
		take_entry(frames, lh_place_entry(frames, several->place), several->state,
			      several->source, several->order);
	for (uint64_t i = 0; i < count && !several->as_one; i++)
		take_entry(frames, lh_place_entry(frames, several->place + i), several->state,
			      several->source, 0);
	count_taken(frames, cache, several->state, several->source, count);
	return true;
}

static lh_error allocate_several(lh_frames *frames, struct several *several,
				 lh_frame_number *first)
{
	if (!lh_frame_state_is_used(several->state))
		return LH_INVALID;
	if (LH_STEP_FAILS(frames, frames[several->state]))
		return LH_NO_MEMORY;
	if (!lh_cache_attempt(frames, take_several, several))
		return LH_NO_MEMORY;
	*first = lh_place_frame(frames, several->place);
	check_poison_of_row(frames, *first, several->row.count);
	return LH_OK;
}

lh_error lh_frame_allocate_contiguous(lh_frames *frames, uint64_t count, uint64_t alignment,
				      uint64_t limit, lh_frame_state state, lh_frame_number *first)
{
	struct several several = { .row = { .count = count,
					    .alignment = alignment != 0 ? alignment : 1,
					    .limit = limit != 0 ? limit : UINT64_MAX },
				   .state = state,
				   .source = LH_FRAME_UNCHARGED };

	if (count == 0 || (alignment & (alignment - 1)) != 0)
		return LH_INVALID;
	return allocate_several(frames, &several, first);
}

lh_error lh_frame_allocate_order(lh_frames *frames, unsigned order, unsigned node,
				 lh_frame_state state, lh_frame_source source,
				 lh_frame_number *first)
{
	uint64_t count = UINT64_C(1) << (order <= LH_ORDER_MOST ? order : 0);
	struct several several = { .row = { count, count, UINT64_MAX },
				   .order = order,
				   .node = node,
				   .state = state,
				   .source = source,
				   .as_one = true };

	if (order > LH_ORDER_MOST || (node != LH_ANY_NODE && node >= frames->node_count))
		return LH_INVALID;
	return allocate_several(frames, &several, first);
}

/* --- Holders --- */

/* What is asked about must be a frame of ours. */
static const struct frame_span *span_of(lh_frames *frames, lh_frame_number frame)
{
	const struct frame_span *span = lh_frames_span(frames, frame);

	if (!span)
		LH_BROKEN(frames->port, "held or dropped what is no usable memory");
	return span;
}

void lh_frame_hold_entry(lh_frames *frames, lh_frame_entry *entry)
{
	uint32_t before = lh_atomic_add(&entry->holders, 1u);

	if (before == 0)
		LH_BROKEN(frames->port, "a free frame was held");
	if (before >= HOLDERS_MOST)
		LH_BROKEN(frames->port, "a frame has more holders than can be counted");
}

void lh_frame_hold(lh_frames *frames, lh_frame_number frame)
{
	lh_frame_hold_entry(frames, lh_span_entry(frames, span_of(frames, frame), frame));
}

/* Where a freed frame goes. => the cache's lock is held. */
static void put_away(lh_frames *frames, struct frame_cache *cache, const struct frame_span *span,
		     lh_frame_state state, uint64_t place, unsigned order)
{
	struct frame_keep *keep = &cache->kept[lh_frame_kind(state)];

	if (order == 0 && span->node == cache->node) {
		lh_cache_make_room(frames, cache, keep);
		keep->places[keep->count++] = place;
		return;
	}
	if (order == BLOCK_SHIFT && span->node == cache->node &&
	    cache->large.count < frames->large_capacity) {
		cache->large.places[cache->large.count++] = place;
		return;
	}
	lh_spin_lock_inside(&frames->lock, frames->port);
	lh_blocks_give_row(frames, place, UINT64_C(1) << order);
	lh_allowance_spill_locked(frames, cache);
	lh_spin_unlock_inside(&frames->lock, frames->port);
}

/* => the frame has no holder left. */
static void free_frame(lh_frames *frames, const struct frame_span *span, lh_frame_entry *entry,
		       lh_frame_number frame)
{
	lh_frame_state state = (lh_frame_state)entry->state;
	lh_frame_source source = (entry->flags & FRAME_CHARGED) != 0 ? LH_FRAME_CHARGED
								     : LH_FRAME_UNCHARGED;
	unsigned order = (entry->flags & FRAME_ORDER) >> FRAME_ORDER_SHIFT;
	uint64_t count = UINT64_C(1) << order;
	struct frame_cache *cache;
	uintptr_t interrupts;

	if (!lh_frame_state_is_used(state))
		LH_BROKEN(frames->port, "a free frame was dropped");
	if (lh_atomic_load(&entry->pins) != 0)
		LH_BROKEN(frames->port, "a pinned frame lost its last holder");
	for (uint64_t i = 0; LH_DEBUG >= 2 && i < count; i++) {
		lh_frame_poison(frames, lh_frame(frame.value + i));
		entry[i].flags = FRAME_POISONED;
	}
	cache = lh_frames_cache(frames);
	interrupts = lh_spin_lock(&cache->lock, LH_LOCK_FRAMES, frames->port);
	entry->state = LH_FRAME_FREE;
	entry->flags = LH_DEBUG >= 2 ? FRAME_POISONED : 0;
	entry->word = 0;
	cache->used[state] -= count;
	if (source == LH_FRAME_CHARGED)
		cache->charged_in_use -= count;
	cache->allowance += lh_frames_cost(frames, source, count);
	put_away(frames, cache, span, state, lh_span_place(span, frame), order);
	lh_spin_unlock(&cache->lock, LH_LOCK_FRAMES, frames->port, interrupts);
}

/*
 * The only holder need not count down atomically: who is not a holder may not become one. If two
 * drop what one held, in a row, the second finds none; at the same moment, the index or the next
 * to be given the frame finds that it is there twice.
 */
bool lh_frame_drop(lh_frames *frames, lh_frame_number frame)
{
	const struct frame_span *span = span_of(frames, frame);
	lh_frame_entry *entry = lh_span_entry(frames, span, frame);

	if (lh_atomic_load(&entry->holders) == 1) {
		lh_atomic_store_relaxed(&entry->holders, 0u);
	} else {
		uint32_t before = lh_atomic_subtract(&entry->holders, 1u);

		if (before == 0)
			LH_BROKEN(frames->port, "a frame was dropped that nobody holds");
		if (before != 1)
			return false;
	}
	free_frame(frames, span, entry, frame);
	return true;
}

void lh_frame_drop_contiguous(lh_frames *frames, lh_frame_number first, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		(void)lh_frame_drop(frames, lh_frame(first.value + i));
}

void lh_frame_split(lh_frames *frames, lh_frame_number first)
{
	lh_frame_entry *entry = lh_span_entry(frames, span_of(frames, first), first);
	uint64_t count = UINT64_C(1) << ((entry->flags & FRAME_ORDER) >> FRAME_ORDER_SHIFT);
	lh_frame_entry single = *entry;

	if (single.holders == 0 || single.pins != 0)
		LH_BROKEN(frames->port, "frames were split that are free or pinned");
	single.flags &= (uint8_t)~FRAME_ORDER;
	for (uint64_t i = 0; i < count; i++)
		entry[i] = single;
}

/* --- Looking --- */

lh_frame_entry *lh_frame_entry_of(lh_frames *frames, lh_frame_number frame)
{
	const struct frame_span *span = lh_frames_span(frames, frame);

	return span ? lh_span_entry(frames, span, frame) : NULL;
}

unsigned lh_frame_order(lh_frames *frames, lh_frame_number frame)
{
	const lh_frame_entry *entry = lh_frame_entry_of(frames, frame);

	return entry ? (entry->flags & FRAME_ORDER) >> FRAME_ORDER_SHIFT : 0;
}

unsigned lh_frame_node(lh_frames *frames, lh_frame_number frame)
{
	const struct frame_span *span = lh_frames_span(frames, frame);

	return span ? (unsigned)span->node : LH_ANY_NODE;
}

void *lh_frame_pointer(lh_frames *frames, lh_frame_number frame)
{
	return lh_port_frame_pointer(frames->port, frame);
}

lh_port *lh_frames_port(lh_frames *frames)
{
	return frames->port;
}
