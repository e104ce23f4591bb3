/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames held, and given back.
 *
 * The last holder owns the frame: nobody else may look at its entry. It becomes a free frame's, and the
 * frame goes to what its CPU keeps, if that is of the frame's node and nobody was promised it; else to
 * the index. As with allocations, what is most frequent is in line, and the rest apart.
 *
 * The usual. An entry is often not in the processor's caches, and where its frame is to be kept is
 * known only from it. To wait for that would be to free frames one after the other, each as long
 * as it takes memory to answer. So a CPU assumes that the frame, or frames as one, were given out like
 * those that came back before, looks up all else from that, and compares the entry when it is there:
 * the processor goes on meanwhile with what follows, the next entries among it.
 */
#include "physical/entry.h"

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
	lh_frame_hold_entry(frames, lh_span_entry(lh_frames_own_span(frames, frame), frame));
}

/* --- Giving back --- */

/* The count that the frame was counted in when it was given out. */
static inline unsigned count_of(uint64_t head)
{
	return lh_taken_of(lh_head_state(head), lh_head_source(head));
}

/* What it takes from the slack that the cache keeps it. */
static inline uint64_t cost_of(uint64_t head, uint64_t size)
{
	return lh_head_source(head) == LH_FRAME_CHARGED ? size : 0;
}

/* Makes the entry that of a free frame. => the cache is entered. */
static inline void free_entry(struct frame_cache *cache, lh_frame_entry *entry, unsigned taken,
			      uint64_t size)
{
	entry->word = 0;
	lh_head_write(entry, HEAD_FREE | (LH_DEBUG >= 2 ? HEAD_POISONED : 0));
	lh_count_taken(cache, taken, UINT64_C(0) - size);
}

/* => there is room, and the slack is enough. */
static inline void keep_freed(struct frame_cache *cache, struct frame_keep *keep, uint64_t place,
			      uint64_t cost)
{
	uint32_t count = keep->count;

	keep->places[count] = (uint32_t)place;
	lh_keep_set_count(keep, count + 1);
	cache->slack -= cost;
}

static void give_to_index(lh_frames *frames, struct frame_cache *cache, uint64_t place,
			  uint64_t head)
{
	uint64_t count = UINT64_C(1) << lh_head_order(head);

	lh_index_lock(frames, cache);
	lh_blocks_give_row(frames, place, count);
	if (lh_head_source(head) == LH_FRAME_UNCHARGED)
		lh_spare_give_locked(frames, count);
	lh_slack_spill_locked(frames, cache);
	lh_frames_note_level(frames);
	lh_index_unlock(frames, cache);
}

/* Where the cache may keep it; NULL: nowhere. A CPU keeps what is of its node, and nobody's promise. */
static struct frame_keep *room_for(lh_frames *frames, struct frame_cache *cache,
				   const struct frame_span *span, uint64_t head)
{
	unsigned order = lh_head_order(head), keep;
	uint64_t cost = cost_of(head, UINT64_C(1) << order);

	if (!cache->in_use || span->node != cache->node || !lh_order_is_kept(order))
		return NULL;
	keep = lh_keep_of(lh_frame_kind(lh_head_state(head)), order);
	lh_cache_make_room(frames, cache, keep);
	return lh_slack_gather(frames, cache, cost) ? &cache->keeps[keep] : NULL;
}

static __attribute__((noinline)) void put_away(lh_frames *frames, const struct frame_span *span,
					       lh_frame_entry *entry, lh_frame_number frame,
					       uint64_t head)
{
	uintptr_t interrupts;
	struct frame_cache *cache = lh_cache_enter(frames, &interrupts);
	struct frame_keep *keep = room_for(frames, cache, span, head);
	uint64_t place = lh_span_place(span, frame), size = UINT64_C(1) << lh_head_order(head);

	free_entry(cache, entry, count_of(head), size);
	if (keep)
		keep_freed(cache, keep, place, cost_of(head, size));
	else
		give_to_index(frames, cache, place, head);
	lh_cache_leave(frames, cache, interrupts);
}

/* What is known of the next like this before its entry has been read. => it was kept; entered. */
static inline void note_usual(struct frame_cache *cache, uint64_t head, unsigned keep, uint64_t size)
{
	cache->usual = lh_head_once(head);
	cache->usual_keep = (uint8_t)keep;
	cache->usual_taken = (uint8_t)count_of(head);
	cache->usual_size = (uint16_t)size;
	cache->usual_cost = (uint16_t)cost_of(head, size);
}

/* The same at once where it needs no lock. => the order is kept.
 * => false: nothing was done. */
static bool put_at_hand(lh_frames *frames, const struct frame_span *span,
			lh_frame_entry *entry, lh_frame_number frame, uint64_t head, unsigned order)
{
	uintptr_t interrupts;
	struct frame_cache *cache = lh_cache_enter_own(frames, &interrupts);
	unsigned number = lh_keep_of(lh_frame_kind(lh_head_state(head)), order);
	uint64_t size = UINT64_C(1) << order, cost = cost_of(head, size);
	struct frame_keep *keep;
	bool has_room;

	if (!cache)
		return false;
	keep = &cache->keeps[number];
	has_room = keep->count < keep->capacity && span->node == cache->node && cache->slack >= cost;
	if (has_room) {
		free_entry(cache, entry, count_of(head), size);
		keep_freed(cache, keep, lh_span_place(span, frame), cost);
		note_usual(cache, head, number, size);
	}
	lh_cache_leave_own(frames, interrupts);
	return has_room;
}

/* The same for what has one holder, no pin, and the usual rest. */
static inline __attribute__((always_inline)) bool
put_usual(lh_frames *frames, const struct frame_span *span, lh_frame_entry *entry,
	  lh_frame_number frame, uint64_t head)
{
	uintptr_t interrupts;
	struct frame_cache *cache = lh_cache_enter_own(frames, &interrupts);
	struct frame_keep *keep;
	bool has_room;

	if (!cache)
		return false;
	keep = &cache->keeps[cache->usual_keep];
	has_room = head == cache->usual && keep->count < keep->capacity &&
		   span->node == cache->node && cache->slack >= cache->usual_cost;
	if (has_room) {
		free_entry(cache, entry, cache->usual_taken, cache->usual_size);
		keep_freed(cache, keep, lh_span_place(span, frame), cache->usual_cost);
	}
	lh_cache_leave_own(frames, interrupts);
	return has_room;
}

/* At LH_DEBUG 2: who writes to it from now on is found. */
static void poison_freed(lh_frames *frames, lh_frame_entry *entry, lh_frame_number frame,
			 unsigned order)
{
	for (uint64_t i = 0; i < UINT64_C(1) << order; i++) {
		lh_frame_poison(frames, lh_frame(frame.value + i));
		entry[i].flags = FRAME_POISONED;
	}
}

/* => nobody holds it any more, but the head is as it was given out. */
static void free_frame(lh_frames *frames, const struct frame_span *span, lh_frame_entry *entry,
		       lh_frame_number frame, uint64_t head)
{
	unsigned order = lh_head_order(head);

	if (!lh_frame_state_is_used(lh_head_state(head)))
		LH_BROKEN(frames->port, "a free frame was dropped");
	if ((head & HEAD_PINS) != 0)
		LH_BROKEN(frames->port, "a pinned frame lost its last holder");
	if (LH_DEBUG >= 2)
		poison_freed(frames, entry, frame, order);
	if (!lh_order_is_kept(order) || !put_at_hand(frames, span, entry, frame, head, order))
		put_away(frames, span, entry, frame, head);
}

/*
 * At LH_DEBUG 2 the last holder goes by a compare-exchange: two that drop what one held cannot both
 * succeed. Elsewhere the only holder need not count down atomically: who is not a holder may not become
 * one. Then two in a row are found, and two at the same moment free the frame twice: the index finds
 * that if it gets it twice, and who is given it while another has it; not always, as when other frames
 * of an order have been given out from there meanwhile.
 */
static void take_last_holder(lh_frames *frames, lh_frame_entry *entry, uint64_t head)
{
	if (LH_DEBUG >= 2 && !lh_head_replace(entry, head, head & ~HEAD_HOLDERS))
		LH_BROKEN(frames->port, "a frame was dropped twice, or held by who was no holder");
}

/* One holder less, not the only one as it seems. => whether it was the last nevertheless. */
static inline bool count_down(lh_frames *frames, lh_frame_entry *entry)
{
	uint32_t before = lh_atomic_subtract(&entry->holders, 1u);

	if (before > 1)
		return false; /* the entry is the others' from now on */
	if (before == 0)
		LH_BROKEN(frames->port, "a frame was dropped that nobody holds");
	return true;
}

/* => counted: the last holder has been counted down. */
static __attribute__((noinline)) bool drop_last(lh_frames *frames, lh_frame_number frame,
						bool counted)
{
	const struct frame_span *span = lh_frames_own_span(frames, frame);
	lh_frame_entry *entry = lh_span_entry(span, frame);
	uint64_t head = lh_head_read(entry);

	if (!counted)
		take_last_holder(frames, entry, head);
	free_frame(frames, span, entry, frame, head);
	return true;
}

static inline bool has_other_holders(uint64_t head)
{
	return (head & HEAD_HOLDERS) != 1;
}

/* What is free, too, is taken for shared: there it is found. */
static __attribute__((noinline)) bool drop_shared(lh_frames *frames, lh_frame_number frame)
{
	lh_frame_entry *entry = lh_span_entry(lh_frames_own_span(frames, frame), frame);

	return count_down(frames, entry) && drop_last(frames, frame, true);
}

static __attribute__((noinline)) bool drop_unusual(lh_frames *frames, lh_frame_number frame)
{
	lh_frame_entry *entry = lh_span_entry(lh_frames_own_span(frames, frame), frame);

	return has_other_holders(lh_head_read(entry)) ? drop_shared(frames, frame)
						      : drop_last(frames, frame, false);
}

/* All that is called is called last: so nothing is saved for it. */
bool lh_frame_drop(lh_frames *frames, lh_frame_number frame)
{
	const struct frame_span *span = lh_frames_span_quick(frames, frame);
	lh_frame_entry *entry;
	uint64_t head;

	if (!span)
		return drop_unusual(frames, frame);
	entry = lh_span_entry(span, frame);
	head = lh_head_read(entry);
	if (has_other_holders(head))
		return drop_shared(frames, frame);
	if (LH_DEBUG < 2 && put_usual(frames, span, entry, frame, head))
		return true;
	return drop_last(frames, frame, false);
}

/* => entry: the frame's; NULL: it is none of ours. */
static inline void drop_with(lh_frames *frames, lh_frame_number frame, lh_frame_entry *entry)
{
	if (!entry || !has_other_holders(lh_head_read(entry)))
		(void)lh_frame_drop(frames, frame);
	else if (count_down(frames, entry))
		(void)drop_last(frames, frame, true);
}

static inline void ask_for_entry(const lh_frame_row *row, lh_frame_number frame)
{
	if (frame.value - row->first < row->count)
		__builtin_prefetch(&row->entries[frame.value - row->first], 1);
}

/* A holder goes by an atomic operation, behind which none begins before its entry is there. So where frames lie scattered
 * each would be waited for in turn. */
void lh_frame_drop_each(lh_frames *frames, const lh_frame_number *each, uint64_t count, lh_frame_row *row)
{
	if (count == 0)
		return;
	(void)lh_frame_entry_in(frames, each[0], row);
	for (uint64_t i = 0; i < count; i++)
		ask_for_entry(row, each[i]);
	for (uint64_t i = 0; i < count; i++)
		drop_with(frames, each[i], lh_frame_entry_in(frames, each[i], row));
}

void lh_frame_drop_contiguous(lh_frames *frames, lh_frame_number first, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		(void)lh_frame_drop(frames, lh_frame(first.value + i));
}

void lh_frame_split(lh_frames *frames, lh_frame_number first)
{
	lh_frame_entry *entry = lh_span_entry(lh_frames_own_span(frames, first), first);
	uint64_t count = UINT64_C(1) << ((entry->flags & FRAME_ORDER) >> FRAME_ORDER_SHIFT);
	lh_frame_entry single = *entry;

	if (single.holders == 0 || single.pins != 0)
		LH_BROKEN(frames->port, "frames were split that are free or pinned");
	single.flags &= (uint8_t)~FRAME_ORDER;
	for (uint64_t i = 0; i < count; i++)
		entry[i] = single;
}

