/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames given out, held, and given back.
 *
 * A frame is complete (state, flags, word, holders 1) before its cache is left, so a walker of the
 * frame array that has all caches standing still never sees half of one. Contents are zeroed
 * afterwards, by the only one who has the frame.
 *
 * The first eight bytes of an entry, its *head*, are read and written as one word here: that is all
 * an allocation and a free do to a frame's entry, and most of what they wait for.
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

/* --- Heads of entries --- */

struct head {
	uint32_t holders;
	uint16_t pins;
	uint8_t state, flags;
};

typedef uint64_t __attribute__((may_alias)) head_word;

_Static_assert(sizeof(struct head) == sizeof(head_word) &&
		       offsetof(lh_frame_entry, word) == sizeof(head_word),
	       "the head of an entry is a word");

static inline struct head read_head(const lh_frame_entry *entry)
{
	head_word word = lh_atomic_load((const head_word *)(const void *)entry);
	struct head head;

	memcpy(&head, &word, sizeof head);
	return head;
}

static inline void write_head(lh_frame_entry *entry, struct head head)
{
	head_word word;

	memcpy(&word, &head, sizeof word);
	lh_atomic_store_relaxed((head_word *)(void *)entry, word);
}

static inline lh_frame_source source_of(struct head head)
{
	return (head.flags & FRAME_CHARGED) != 0 ? LH_FRAME_CHARGED : LH_FRAME_UNCHARGED;
}

static inline unsigned order_of(struct head head)
{
	return (head.flags & FRAME_ORDER) >> FRAME_ORDER_SHIFT;
}

/* --- Taking one --- */

/* Turns a free frame's entry into one of its state, holders 1. The word of a free frame is 0. */
static inline void take_entry(const lh_frames *frames, lh_frame_entry *entry,
			      lh_frame_state state, lh_frame_source source, unsigned order)
{
	struct head head = read_head(entry);

	if (head.state != LH_FRAME_FREE || head.holders != 0 || head.pins != 0)
		LH_BROKEN(frames->port, "a free frame was held, or given back twice");
	head.holders = 1;
	head.state = (uint8_t)state;
	head.flags = (uint8_t)((head.flags & FRAME_POISONED) | order << FRAME_ORDER_SHIFT |
			       (source == LH_FRAME_CHARGED ? FRAME_CHARGED : 0));
	write_head(entry, head);
}

/* Counts frames as taken. => the cache is entered. */
static inline void count_taken(struct frame_cache *cache, lh_frame_state state,
			       lh_frame_source source, uint64_t count)
{
	uint64_t *taken = &cache->taken[source][state];

	lh_atomic_store_relaxed(taken, *taken + count);
}

static inline void set_count(struct frame_keep *keep, uint32_t count)
{
	lh_atomic_store_relaxed(&keep->count, count);
}

struct single {
	lh_frame_state state;
	lh_frame_source source;
	bool zeroed;	       /* wanted; out: it is */
	lh_frame_number frame; /* out */
};

static inline lh_frame_number take_at(lh_frames *frames, struct frame_cache *cache, uint64_t place,
				      lh_frame_state state, lh_frame_source source)
{
	take_entry(frames, lh_place_entry(frames, place), state, source, 0);
	count_taken(cache, state, source, 1);
	return lh_place_frame(frames, place);
}

/* Gives out the hottest of some frames that a CPU keeps. => there is one. */
static inline lh_frame_number take_kept(lh_frames *frames, struct frame_cache *cache,
					struct frame_keep *keep, lh_frame_state state,
					lh_frame_source source)
{
	uint32_t count = keep->count - 1;

	set_count(keep, count);
	if (source == LH_FRAME_CHARGED)
		cache->slack++;
	return take_at(frames, cache, keep->places[count], state, source);
}

/* One that was promised, when the index has no other. => false: it has none at all. */
static bool take_promised(lh_frames *frames, struct frame_cache *cache, struct single *single)
{
	enum frame_kind kind = lh_frame_kind(single->state);
	uint32_t place, count;

	lh_index_lock(frames, cache);
	count = lh_blocks_take(frames, cache->node, kind, &place, 1);
	lh_index_unlock(frames, cache);
	if (count != 0)
		single->frame = take_at(frames, cache, place, single->state, single->source);
	return count != 0;
}

/* As cache_attempt has it. */
static bool take_single(lh_frames *frames, struct frame_cache *cache, void *argument)
{
	struct single *single = argument;
	enum frame_kind kind = lh_frame_kind(single->state);
	struct frame_keep *keep = &cache->kept[kind];

	if (single->zeroed && cache->zeroed.count != 0)
		keep = &cache->zeroed;
	single->zeroed = keep == &cache->zeroed;
	if (keep->count == 0 && !lh_cache_refill(frames, cache, kind))
		return single->source == LH_FRAME_CHARGED && take_promised(frames, cache, single);
	single->frame = take_kept(frames, cache, keep, single->state, single->source);
	return true;
}

/* The same at once where nothing has to be fetched, which is most often. */
static inline bool take_at_hand(lh_frames *frames, lh_frame_state state, lh_frame_source source,
				lh_frame_number *frame)
{
	uintptr_t interrupts;
	struct frame_cache *cache = lh_cache_enter_own(frames, &interrupts);
	struct frame_keep *keep;
	bool taken;

	if (!cache)
		return false;
	keep = &cache->kept[lh_frame_kind(state)];
	taken = keep->count != 0;
	if (taken)
		*frame = take_kept(frames, cache, keep, state, source);
	lh_cache_leave_own(frames, interrupts);
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

	if (several->row.count > frames->free)
		return NO_PLACE;
	if (several->as_one && several->order <= BLOCK_SHIFT)
		return lh_blocks_take_order(frames, node, kind, several->order);
	place = lh_row_find(frames, &several->row);
	if (place != NO_PLACE)
		lh_blocks_take_row(frames, kind, place, several->row.count);
	return place;
}

/* The same, for who was promised them or where nobody was. */
static uint64_t take_row(lh_frames *frames, struct frame_cache *cache,
			 const struct several *several)
{
	uint64_t cost = several->source == LH_FRAME_CHARGED ? 0 : several->row.count;
	uint64_t place = NO_PLACE;

	lh_index_lock(frames, cache);
	lh_spare_give_locked(frames, cache->slack);
	cache->slack = 0;
	if (frames->spare >= cost)
		place = take_from_index(frames, cache, several);
	if (place != NO_PLACE)
		(void)lh_spare_take_locked(frames, cost);
	lh_frames_note_level(frames);
	lh_index_unlock(frames, cache);
	return place;
}

/* A whole block may be at hand; the rest is looked for in common. */
static uint64_t take_place(lh_frames *frames, struct frame_cache *cache,
			   const struct several *several)
{
	uint32_t count = cache->large.count;

	if (!several->as_one || several->order != BLOCK_SHIFT || count == 0 ||
	    (several->node != LH_ANY_NODE && several->node != cache->node))
		return take_row(frames, cache, several);
	set_count(&cache->large, count - 1);
	if (several->source == LH_FRAME_CHARGED)
		cache->slack += BLOCK_FRAMES;
	return cache->large.places[count - 1];
}

static bool take_several(lh_frames *frames, struct frame_cache *cache, void *argument)
{
	struct several *several = argument;
	uint64_t count = several->row.count;

	several->place = take_place(frames, cache, several);
	if (several->place == NO_PLACE)
		return false;
	if (several->as_one)
		take_entry(frames, lh_place_entry(frames, several->place), several->state,
			   several->source, several->order);
	for (uint64_t i = 0; i < count && !several->as_one; i++)
		take_entry(frames, lh_place_entry(frames, several->place + i), several->state,
			   several->source, 0);
	count_taken(cache, several->state, several->source, count);
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

/* A freed frame, its entry as that of a free one. */
struct freed {
	const struct frame_span *span;
	lh_frame_entry *entry;
	lh_frame_number frame;
	struct head head; /* as it was given out, with no holder any more */
};

/* => the cache is entered. */
static inline void free_entry(struct frame_cache *cache, const struct freed *freed)
{
	lh_frame_state state = (lh_frame_state)freed->head.state;

	freed->entry->word = 0;
	write_head(freed->entry, (struct head){ .state = LH_FRAME_FREE,
						.flags = LH_DEBUG >= 2 ? FRAME_POISONED : 0 });
	count_taken(cache, state, source_of(freed->head),
		    UINT64_C(0) - (UINT64_C(1) << order_of(freed->head)));
}

static inline void keep_freed(struct frame_cache *cache, struct frame_keep *keep,
			      const struct freed *freed)
{
	keep->places[keep->count] = (uint32_t)lh_span_place(freed->span, freed->frame);
	set_count(keep, keep->count + 1);
	if (source_of(freed->head) == LH_FRAME_CHARGED)
		cache->slack -= UINT64_C(1) << order_of(freed->head);
}

static void give_to_index(lh_frames *frames, struct frame_cache *cache, const struct freed *freed)
{
	uint64_t count = UINT64_C(1) << order_of(freed->head);

	lh_index_lock(frames, cache);
	lh_blocks_give_row(frames, lh_span_place(freed->span, freed->frame), count);
	if (source_of(freed->head) == LH_FRAME_UNCHARGED)
		lh_spare_give_locked(frames, count);
	lh_slack_spill_locked(frames, cache);
	lh_frames_note_level(frames);
	lh_index_unlock(frames, cache);
}

/* Where the cache may keep it; NULL: nowhere. A CPU keeps what is of its node, and nobody's promise. */
static struct frame_keep *room_for(lh_frames *frames, struct frame_cache *cache,
				   const struct freed *freed)
{
	unsigned order = order_of(freed->head);
	uint64_t cost = source_of(freed->head) == LH_FRAME_CHARGED ? UINT64_C(1) << order : 0;
	struct frame_keep *keep = &cache->kept[lh_frame_kind((lh_frame_state)freed->head.state)];

	if (cache->capacity == 0 || freed->span->node != cache->node ||
	    (order != 0 && order != BLOCK_SHIFT))
		return NULL;
	if (order == 0)
		lh_cache_make_room(frames, cache, keep);
	else
		keep = &cache->large;
	if (keep == &cache->large && keep->count == frames->large_capacity)
		return NULL;
	return lh_slack_gather(frames, cache, cost) ? keep : NULL;
}

static void put_away(lh_frames *frames, const struct freed *freed)
{
	uintptr_t interrupts;
	struct frame_cache *cache = lh_cache_enter(frames, &interrupts);
	struct frame_keep *keep = room_for(frames, cache, freed);

	free_entry(cache, freed);
	if (keep)
		keep_freed(cache, keep, freed);
	else
		give_to_index(frames, cache, freed);
	lh_cache_leave(frames, cache, interrupts);
}

/* The same at once where it needs no lock, which is most often. => false: nothing was done. */
static inline bool put_at_hand(lh_frames *frames, const struct freed *freed)
{
	uintptr_t interrupts;
	struct frame_cache *cache = lh_cache_enter_own(frames, &interrupts);
	struct frame_keep *keep;
	bool has_room;

	if (!cache)
		return false;
	keep = &cache->kept[lh_frame_kind((lh_frame_state)freed->head.state)];
	has_room = keep->count < cache->capacity && freed->span->node == cache->node &&
		   order_of(freed->head) == 0 &&
		   (source_of(freed->head) == LH_FRAME_UNCHARGED || cache->slack != 0);
	if (has_room) {
		free_entry(cache, freed);
		keep_freed(cache, keep, freed);
	}
	lh_cache_leave_own(frames, interrupts);
	return has_room;
}

/* At LH_DEBUG 2: who writes to it from now on is found. */
static void poison_freed(lh_frames *frames, const struct freed *freed)
{
	for (uint64_t i = 0; i < UINT64_C(1) << order_of(freed->head); i++) {
		lh_frame_poison(frames, lh_frame(freed->frame.value + i));
		freed->entry[i].flags = FRAME_POISONED;
	}
}

/* => the frame has no holder left. */
static inline void free_frame(lh_frames *frames, const struct freed *freed)
{
	if (!lh_frame_state_is_used((lh_frame_state)freed->head.state))
		LH_BROKEN(frames->port, "a free frame was dropped");
	if (freed->head.pins != 0)
		LH_BROKEN(frames->port, "a pinned frame lost its last holder");
	if (LH_DEBUG >= 2)
		poison_freed(frames, freed);
	if (!put_at_hand(frames, freed))
		put_away(frames, freed);
}

/* One holder of several less. => false: there are more. */
static bool drop_one_of_several(lh_frames *frames, struct freed *freed)
{
	uint32_t before = lh_atomic_subtract(&freed->entry->holders, 1u);

	if (before == 0)
		LH_BROKEN(frames->port, "a frame was dropped that nobody holds");
	if (before != 1) /* and the entry is the others' from now on */
		return false;
	freed->head = read_head(freed->entry);
	return true;
}

/*
 * The only holder need not count down atomically: who is not a holder may not become one. If two
 * drop what one held, in a row, the second finds none; at the same moment, the index or the next
 * to be given the frame finds that it is there twice.
 */
bool lh_frame_drop(lh_frames *frames, lh_frame_number frame)
{
	const struct frame_span *span = span_of(frames, frame);
	struct freed freed = { .span = span,
			       .entry = lh_span_entry(frames, span, frame),
			       .frame = frame };

	freed.head = read_head(freed.entry);
	if (freed.head.holders != 1 && !drop_one_of_several(frames, &freed))
		return false;
	free_frame(frames, &freed);
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
