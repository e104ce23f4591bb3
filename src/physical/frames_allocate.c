/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames given out.
 *
 * A frame is complete (state, flags, word, holders 1) before its cache is left, so a walker of the
 * frame array that has all caches standing still never sees half of one. Contents are zeroed
 * afterwards, by the only one who has the frame.
 *
 * Of frames given out as one (an order), only the first has an entry of a used frame; the others'
 * stay those of free frames, so giving out 2 MiB writes one entry and not 512.
 *
 * What is at hand most often, in the CPU's own cache, is taken in line; the rest is apart, so that
 * the short way saves no registers for the long one.
 */
#include "base/memory.h"
#include "physical/entry.h"

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

/* --- Taking what is at hand --- */

/* Turns a free frame's entry into one of its state, holders 1. The word of a free frame is 0. */
static inline void take_entry(const lh_frames *frames, lh_frame_entry *entry,
			      lh_frame_state state, lh_frame_source source, unsigned order)
{
	uint64_t head = lh_head_read(entry), poisoned = LH_DEBUG >= 2 ? head & HEAD_POISONED : 0;

	if (head != (HEAD_FREE | poisoned))
		LH_BROKEN(frames->port, "a free frame was held, or given back twice");
	lh_head_write(entry, (lh_head_of(state, source, order) | poisoned) + 1);
}

/* 2^order frames from a place that is no longer among those free. => the cache is entered. */
static inline lh_frame_number take_at(const lh_frames *frames, struct frame_cache *cache,
				      uint64_t place, lh_frame_state state,
				      lh_frame_source source, unsigned order)
{
	lh_frame_number frame = lh_place_frame(frames, place);

	take_entry(frames, lh_place_entry(frames, place), state, source, order);
	lh_count_taken(cache, lh_taken_of(state, source), UINT64_C(1) << order);
	return frame;
}

/* The hottest of what a keep has. => it has one; the cache is entered. */
static inline lh_frame_number take_kept(const lh_frames *frames, struct frame_cache *cache,
					struct frame_keep *keep, lh_frame_state state,
					lh_frame_source source, unsigned order)
{
	uint32_t count = keep->count - 1;

	lh_keep_set_count(keep, count);
	if (source == LH_FRAME_CHARGED)
		cache->slack += UINT64_C(1) << order;
	return take_at(frames, cache, keep->places[count], state, source, order);
}

/* => false: nothing is at hand, or not without a lock. */
static inline __attribute__((always_inline)) bool
take_at_hand(lh_frames *frames, unsigned order, lh_frame_state state, lh_frame_source source,
	     lh_frame_number *frame)
{
	uintptr_t interrupts;
	struct frame_cache *cache = lh_cache_enter_own(frames, &interrupts);
	struct frame_keep *keep;
	bool taken;

	if (!cache)
		return false;
	keep = &cache->keeps[lh_keep_of(lh_frame_kind(state), order)];
	taken = keep->count != 0;
	if (taken)
		*frame = take_kept(frames, cache, keep, state, source, order);
	lh_cache_leave_own(frames, interrupts);
	return taken;
}

/* --- Taking what has to be fetched --- */

struct request {
	struct row_request row;
	unsigned order; /* of frames given out as one */
	uint32_t node;	/* LH_ANY_NODE: this CPU's */
	lh_frame_state state;
	lh_frame_source source;
	bool as_one;
	bool zeroed;	       /* wanted; out: it is */
	lh_frame_number first; /* out */
};

/* => frames->lock is held. => its place; taken out of the index. */
static uint64_t take_from_index(lh_frames *frames, const struct frame_cache *cache,
				const struct request *request)
{
	enum frame_kind kind = lh_frame_kind(request->state);
	uint32_t node = request->node != LH_ANY_NODE ? request->node : cache->node;
	uint64_t row;
	uint32_t place;

	if (request->row.count > frames->free)
		return NO_PLACE;
	if (request->as_one && request->order == 0)
		return lh_blocks_take(frames, node, kind, &place, 1) != 0 ? place : NO_PLACE;
	if (request->as_one && request->order <= BLOCK_SHIFT)
		return lh_blocks_take_orders(frames, node, kind, request->order, &place, 1) != 0
			       ? place
			       : NO_PLACE;
	row = lh_row_find(frames, &request->row);
	if (row != NO_PLACE)
		lh_blocks_take_row(frames, kind, row, request->row.count);
	return row;
}

/* The same, for who was promised them or where nobody was. */
static uint64_t take_place(lh_frames *frames, struct frame_cache *cache,
			   const struct request *request)
{
	uint64_t cost = request->source == LH_FRAME_CHARGED ? 0 : request->row.count;
	uint64_t place = NO_PLACE;

	lh_index_lock(frames, cache);
	lh_spare_give_locked(frames, cache->slack);
	cache->slack = 0;
	if (frames->spare >= cost)
		place = take_from_index(frames, cache, request);
	if (place != NO_PLACE)
		(void)lh_spare_take_locked(frames, cost);
	lh_frames_note_level(frames);
	lh_index_unlock(frames, cache);
	return place;
}

/* Past what is kept. */
static bool take_directly(lh_frames *frames, struct frame_cache *cache, struct request *request)
{
	uint64_t place = take_place(frames, cache, request);

	if (place == NO_PLACE)
		return false;
	if (request->as_one)
		request->first = take_at(frames, cache, place, request->state, request->source,
					 request->order);
	else
		request->first = lh_place_frame(frames, place);
	for (uint64_t i = 0; i < request->row.count && !request->as_one; i++)
		(void)take_at(frames, cache, place + i, request->state, request->source, 0);
	return true;
}

/* The keep that frames like those come from; KEEP_COUNT: none. */
static unsigned keep_for(const struct frame_cache *cache, const struct request *request)
{
	if (!request->as_one || !lh_order_is_kept(request->order) ||
	    (request->node != LH_ANY_NODE && request->node != cache->node))
		return KEEP_COUNT;
	if (request->zeroed && cache->keeps[KEEP_ZEROED].count != 0)
		return KEEP_ZEROED;
	return lh_keep_of(lh_frame_kind(request->state), request->order);
}

/* As cache_attempt has it. Where no keep can be filled there may still be what was promised. */
static bool take(lh_frames *frames, struct frame_cache *cache, void *argument)
{
	struct request *request = argument;
	enum frame_kind kind = lh_frame_kind(request->state);
	unsigned keep = keep_for(cache, request);

	request->zeroed = keep == KEEP_ZEROED;
	if (keep == KEEP_COUNT ||
	    (cache->keeps[keep].count == 0 && !lh_cache_refill(frames, cache, kind, keep)))
		return take_directly(frames, cache, request);
	request->first = take_kept(frames, cache, &cache->keeps[keep], request->state,
				   request->source, request->order);
	return true;
}

/* --- Allocations --- */

static __attribute__((noinline)) lh_error allocate(lh_frames *frames, struct request *request,
						   lh_frame_number *first)
{
	if (!lh_cache_attempt(frames, take, request))
		return LH_NO_MEMORY;
	*first = request->first;
	check_poison_of_row(frames, *first, request->row.count);
	return LH_OK;
}

/* As take_at_hand, but fetches what is not at hand. => false: as there, or all has to be asked. */
static inline bool take_fetched(lh_frames *frames, unsigned order, lh_frame_state state,
				lh_frame_source source, lh_frame_number *first)
{
	uintptr_t interrupts;
	struct frame_cache *cache = lh_cache_enter_own(frames, &interrupts);
	enum frame_kind kind = lh_frame_kind(state);
	unsigned number = lh_keep_of(kind, order);
	struct frame_keep *keep;
	bool taken;

	if (!cache)
		return false;
	keep = &cache->keeps[number];
	/* An interrupt may have brought some since. */
	taken = cache->in_use &&
		(keep->count != 0 || lh_cache_refill(frames, cache, kind, number));
	if (taken)
		*first = take_kept(frames, cache, keep, state, source, order);
	lh_cache_leave_own(frames, interrupts);
	return taken;
}

static __attribute__((noinline)) lh_error fetch(lh_frames *frames, unsigned order,
						lh_frame_state state, lh_frame_source source,
						lh_frame_number *first)
{
	uint64_t count = UINT64_C(1) << order;
	struct request request = { .row = { count, count, UINT64_MAX },
				   .order = order,
				   .node = LH_ANY_NODE,
				   .state = state,
				   .source = source,
				   .as_one = true };

	if (take_fetched(frames, order, state, source, first)) {
		check_poison_of_row(frames, *first, count);
		return LH_OK;
	}
	return allocate(frames, &request, first);
}

lh_error lh_frame_allocate(lh_frames *frames, lh_frame_state state, lh_frame_source source,
			   lh_frame_number *frame)
{
	if (!lh_frame_state_is_used(state))
		return LH_INVALID;
	if (LH_STEP_FAILS(frames, frames[state]))
		return LH_NO_MEMORY;
	if (!take_at_hand(frames, 0, state, source, frame))
		return fetch(frames, 0, state, source, frame);
	if (LH_DEBUG >= 2)
		lh_frame_check_poison(frames, *frame);
	return LH_OK;
}

lh_error lh_frame_allocate_zeroed(lh_frames *frames, lh_frame_state state, lh_frame_source source,
				  lh_frame_number *frame)
{
	struct request request = { .row = { 1, 1, UINT64_MAX },
				   .node = LH_ANY_NODE,
				   .state = state,
				   .source = source,
				   .as_one = true,
				   .zeroed = true };

	if (!lh_frame_state_is_used(state))
		return LH_INVALID;
	if (LH_STEP_FAILS(frames, frames[state]))
		return LH_NO_MEMORY;
	LH_TRY(allocate(frames, &request, frame));
	if (request.zeroed)
		check_zeroed(frames, *frame);
	else
		memset(lh_frame_pointer(frames, *frame), 0, LH_PAGE_SIZE);
	return LH_OK;
}

lh_error lh_frame_allocate_contiguous(lh_frames *frames, uint64_t count, uint64_t alignment,
				      uint64_t limit, lh_frame_state state, lh_frame_number *first)
{
	struct request request = { .row = { .count = count,
					    .alignment = alignment != 0 ? alignment : 1,
					    .limit = limit != 0 ? limit : UINT64_MAX },
				   .state = state,
				   .source = LH_FRAME_UNCHARGED };

	if (count == 0 || (alignment & (alignment - 1)) != 0 || !lh_frame_state_is_used(state))
		return LH_INVALID;
	if (LH_STEP_FAILS(frames, frames[state]))
		return LH_NO_MEMORY;
	return allocate(frames, &request, first);
}

lh_error lh_frame_allocate_order(lh_frames *frames, unsigned order, unsigned node,
				 lh_frame_state state, lh_frame_source source,
				 lh_frame_number *first)
{
	uint64_t count = UINT64_C(1) << (order <= LH_ORDER_MOST ? order : 0);
	struct request request;

	if (order > LH_ORDER_MOST || (node != LH_ANY_NODE && node >= frames->node_count) ||
	    !lh_frame_state_is_used(state))
		return LH_INVALID;
	if (LH_STEP_FAILS(frames, frames[state]))
		return LH_NO_MEMORY;
	if (node == LH_ANY_NODE && lh_order_is_kept(order)) {
		if (!take_at_hand(frames, order, state, source, first))
			return fetch(frames, order, state, source, first);
		check_poison_of_row(frames, *first, count);
		return LH_OK;
	}
	request = (struct request){ .row = { count, count, UINT64_MAX },
				    .order = order,
				    .node = node,
				    .state = state,
				    .source = source,
				    .as_one = true };
	return allocate(frames, &request, first);
}

/* --- Looking --- */

lh_frame_entry *lh_frame_entry_of(lh_frames *frames, lh_frame_number frame)
{
	const struct frame_span *span = lh_frames_span(frames, frame);

	return span ? lh_span_entry(span, frame) : NULL;
}

bool lh_frames_have_any(const lh_frames *frames, lh_frame_number first, uint64_t count)
{
	for (uint32_t i = 0; i < frames->span_count; i++) {
		const struct frame_span *span = &frames->spans[i];

		if (first.value < span->base ? span->base - first.value < count
					     : first.value - span->base < span->pages && count != 0)
			return true;
	}
	return false;
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
