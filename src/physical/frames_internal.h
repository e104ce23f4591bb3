/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The frame allocator's inside: words, structure, and who may touch what.
 *
 *   span      frames in a row that are all usable and of one node: an entry of the boot
 *             map, cut where nodes meet
 *   ordinal   the how-manieth usable frame, in the order of the spans' addresses: the
 *             frame array's index, so that holes cost nothing
 *   block     512 frame numbers, aligned: a cache line of bits (set: free), a count of them.
 *             A span has blocks of its own, so the first and last may lack frames; one that
 *             lacks none is *whole* when all its frames are free.
 *   place     block * 512 + bit: the allocator's own name of a frame
 *   kind      lasting or passing: whether frames of this state are expected to stay. A block
 *             from which single frames are taken is of one kind, so that what stays does not
 *             litter the blocks that what passes would leave whole.
 *   map       a set of blocks of a node, as levels of bits: 64 below for one above
 *   cache     what one CPU keeps: free frames of each kind, zeroed ones, its share of the
 *             promises (charge.c). Free frames are in the index, or kept in a cache.
 *   common    the cache of all CPUs together, which keeps nothing: used in place of their own while
 *             somebody gathers (caches.c)
 *   section   2^SECTION_SHIFT frame numbers; a hash table of those that have memory leads
 *             from a frame number to its span in O(1): a plain table by section number would
 *             follow the highest address.
 *
 * Locks. A cache belongs to its CPU, which touches it with interrupts off and with no lock; from
 * elsewhere it is touched only while all CPUs use the common one, and have been waited for (caches.c).
 * `lock` is over the index and what all share; it is taken once a batch of frames.
 *
 * Memory: one block, the caller's, in this order: struct lh_frames, caches, spans, sections,
 * block descriptions, maps, bits, entries. 16 bytes a frame, 85 bytes a block of 512, and what
 * the caches take, whose capacity follows the memory (frames_create.c).
 *
 * Files: frames_create.c (layout), frames_index.c (numbers to places and back), blocks.c
 * (bits, maps; single frames and aligned powers of two), contiguous.c (rows), caches.c,
 * frames_allocate.c (giving out), frames_hold.c (holders, giving back), charge.c (promises, counters),
 * account.c (limits), pin.c, reclaim.c, steps.c (failure on demand), check.c (the walker), row.c,
 * entry.h (entries as words), pool.c (pools on top).
 *
 * Field tags: c = constant after creation, l = under `lock`, o = of its cache's owner, or under `lock`
 * while that one is frozen (caches.c), a = atomic.
 */
#ifndef LANDHOLD_PHYSICAL_FRAMES_INTERNAL_H
#define LANDHOLD_PHYSICAL_FRAMES_INTERNAL_H

#include <landhold/frames.h>
#include <landhold/reclaim.h>

#include "base/assert.h"
#include "base/atomic.h"
#include "base/lock.h"

/* 2^15 frames of 4 KiB are 128 MiB. */
#define SECTION_SHIFT 15

#define BLOCK_SHIFT 9
#define BLOCK_FRAMES (UINT64_C(1) << BLOCK_SHIFT)
#define BLOCK_WORDS 8u

#define MAP_LEVELS 3u

/* Bits of lh_frame_entry.flags. */
#define FRAME_CHARGED 1u  /* counted in charged_in_use */
#define FRAME_POISONED 2u /* filled with FRAME_POISON when it was freed */
/* Of the first frame of 2^order that were given out as one; the others' entries stay as
 * those of free frames, which nobody can hold or drop. */
#define FRAME_ORDER_SHIFT 2
#define FRAME_ORDER (31u << FRAME_ORDER_SHIFT)

#define FRAME_POISON 0xd5

/*
 * Where counting holders stops the machine: before the count wraps, with room for
 * every CPU to be between its increment and its look at the result.
 */
#define HOLDERS_MOST (UINT32_MAX - LH_MAX_CPUS)

#define NO_ORDINAL UINT64_MAX
#define NO_PLACE UINT64_MAX
#define NO_BLOCK UINT64_MAX

/* A little more than there are: a power of two. */
#define STATES_ROOM 8u

enum frame_kind { KIND_LASTING, KIND_PASSING, KIND_COUNT };

struct frame_span {
	uint64_t base;	 /* frame number */
	uint64_t pages;
	uint64_t first;	 /* ordinal of base */
	uint64_t place;	 /* of frame 0, if the span went down so far; wraps */
	uint64_t entry;	 /* the same: address of its entry */
	uint32_t block;	 /* first of its blocks */
	uint32_t node;
};

/* A slot of the hash table, a cache line; spans == 0: empty, and so is the largest. */
struct frame_section {
	struct frame_span largest; /* a copy of the one with most frames in the section */
	uint64_t number;
	uint32_t first_span; /* lowest span with a frame in the section */
	uint32_t spans;	     /* how many have one */
};

_Static_assert(sizeof(struct frame_section) == 64, "a section's slot is a cache line");

/* What every allocation reads of a block; what is written is in block_count, apart. */
struct frame_block {
	uint64_t frame; /* c: number of the frame at place 0, if the block were so long; wraps */
	uint64_t entry; /* c: the same: address of its entry */
};

struct block_count {
	uint16_t free;	/* l: bits set */
	uint8_t kind;	/* l: of a block that is partly free */
	uint8_t node;	/* c */
};

struct block_map {
	uint64_t *level[MAP_LEVELS]; /* c the pointers; words: l */
};

struct frame_node {
	uint64_t first_block, blocks; /* c */
	/* Blocks that are whole; that are not, but have a free frame, by kind; those among them
	 * that may have 8 aligned free ones (those not in it have none). */
	struct block_map whole, partial[KIND_COUNT], eights[KIND_COUNT];
};

struct frame_keep {
	uint32_t count;	   /* o */
	uint32_t capacity; /* o; 0 in a cache that is not in use */
	uint32_t *places;  /* c the pointer; o; the hottest last */
};

/* What a cache keeps: of each kind single frames, and eights as one; single ones that are zeroed;
 * whole blocks. Of more than one frame it keeps the first. */
enum frame_keeps { KEEP_SINGLE, KEEP_EIGHT = KIND_COUNT, KEEP_ZEROED = 2 * KIND_COUNT, KEEP_BLOCK,
		   KEEP_COUNT };

#define EIGHT_SHIFT 3

struct frame_cache {
	struct frame_keep keeps[KEEP_COUNT] __attribute__((aligned(64)));
	uint8_t node;	   /* a: of its CPU */
	bool in_use;	   /* o; if not, it has nothing but its node */
	/* o: of what came back last, its keep, count, frames, those of them charged, and head
	 * (frames_hold.c) */
	uint8_t usual_keep, usual_taken;
	uint16_t usual_size, usual_cost;
	uint64_t usual;
	uint64_t slack;	   /* o: charge.c */
	int64_t committed; /* o: charge.c */
	/* o: changes made here (lh_taken_of); only the sum over all caches means anything. */
	uint64_t taken[2 * STATES_ROOM];
};

/* Which of a cache's counts a frame is in. */
static inline unsigned lh_taken_of(lh_frame_state state, lh_frame_source source)
{
	return (unsigned)source * STATES_ROOM + (unsigned)state;
}

struct lh_frames {
	lh_port *port;			/* c */
	struct frame_cache *caches;	/* c the pointer: cpu_count of them */
	struct frame_span *spans;	/* c, by address */
	struct frame_section *sections; /* c */
	lh_frame_entry *entries;	/* c the pointer; entries: see frames.h */
	struct frame_block *blocks;	/* c */
	struct block_count *counts;
	uint64_t (*bits)[BLOCK_WORDS];	/* l */
	uint64_t total;			/* c */
	uint64_t block_total;		/* c */
	uint32_t span_count;		/* c */
	uint32_t section_shift;		/* c: 2^(64 - section_shift) slots */
	uint32_t capacity[KEEP_COUNT];	/* c: of a cache in use */
	uint32_t node_count;		/* c */
	uint32_t cpu_count;		/* c */
	lh_charge_policy policy;	/* c */
	uint32_t gathering;		/* a: how many want all CPUs at the common cache */
	uint32_t freezing;		/* a: those among them who do not want what is kept */
	struct frame_node nodes[LH_NODES_MOST];

	/* What all CPUs write now and then, on lines of its own. */
	uint32_t lock __attribute__((aligned(64)));
	bool scarce;	    /* l: counted in gathering, for so little is free or not promised */
	uint64_t free;	    /* l, read by anyone: bits set in the index */
	uint64_t spare;	    /* l, read by anyone: charge.c */
	int64_t committed;  /* l: charge.c */
	uint64_t imagined;  /* c: charge.c */
	lh_cpu_set in_use;  /* l: CPUs whose caches are */
	struct frame_cache common; /* l */

	uint32_t account_lock __attribute__((aligned(64))); /* account.c; before `lock` */
	uint32_t shrinker_lock;				    /* reclaim.c; before none */
	lh_shrinker *shrinkers;				    /* under shrinker_lock */

#if LH_DEBUG >= 2
	uint64_t fail_at __attribute__((aligned(64))); /* a: 0 never */
	bool counting;				       /* a: steps are */
	lh_frame_steps steps;			       /* a */
#endif
};

static inline enum frame_kind lh_frame_kind(lh_frame_state state)
{
	return state >= LH_FRAME_ANONYMOUS ? KIND_PASSING : KIND_LASTING;
}

/* True for the states in which a frame is held by somebody. */
static inline bool lh_frame_state_is_used(lh_frame_state state)
{
	return state >= LH_FRAME_KERNEL && state < LH_FRAME_STATE_COUNT;
}

/* --- frames_index.c --- */

/* The slot of the section table at which the search for a section begins. */
static inline uint64_t lh_section_slot(uint64_t number, uint32_t section_shift)
{
	/* Fibonacci hashing (Knuth, volume 3, 6.4): neighbours land far apart. */
	return number * UINT64_C(0x9e3779b97f4a7c15) >> section_shift;
}

/* Frames of a span in a section in which it has some. */
static inline uint64_t lh_section_frames(const struct frame_span *span, uint64_t number)
{
	uint64_t first = number << SECTION_SHIFT, last = first + ((UINT64_C(1) << SECTION_SHIFT) - 1);
	uint64_t span_last = span->base + (span->pages - 1);

	if (first < span->base)
		first = span->base;
	if (last > span_last)
		last = span_last;
	return last - first + 1;
}

/* The span of a frame; NULL if it is none of ours. Reads constants only. The slow one is for
 * sections that are not at once where they should be, and for all spans of a section but the largest:
 * what firmware, an image or a file in memory cut off is small. */
const struct frame_span *lh_frames_span_slow(const lh_frames *frames, lh_frame_number frame);

/* => NULL: it is for the slow one to say. */
static inline const struct frame_span *lh_frames_span_quick(const lh_frames *frames,
							    lh_frame_number frame)
{
	uint64_t slot = lh_section_slot(frame.value >> SECTION_SHIFT, frames->section_shift);
	const struct frame_span *span = &frames->sections[slot].largest;

	return __builtin_expect(frame.value - span->base < span->pages, 1) ? span : NULL;
}

static inline const struct frame_span *lh_frames_span(const lh_frames *frames,
						      lh_frame_number frame)
{
	const struct frame_span *span = lh_frames_span_quick(frames, frame);

	return span ? span : lh_frames_span_slow(frames, frame);
}

/* The span of an ordinal below total. */
const struct frame_span *lh_frames_span_of_ordinal(const lh_frames *frames, uint64_t ordinal);

/* Entries and places follow from numbers by one addition: what would be those of number 0 is known
 * for each span and block, though most often nothing is there. */
static inline lh_frame_entry *lh_entry_from(uint64_t entry_of_0, uint64_t number)
{
	return (lh_frame_entry *)(uintptr_t)(entry_of_0 + number * sizeof(lh_frame_entry));
}

static inline lh_frame_entry *lh_span_entry(const struct frame_span *span, lh_frame_number frame)
{
	return lh_entry_from(span->entry, frame.value);
}

static inline uint64_t lh_span_place(const struct frame_span *span, lh_frame_number frame)
{
	return span->place + frame.value;
}

static inline lh_frame_number lh_place_frame(const lh_frames *frames, uint64_t place)
{
	return lh_frame(frames->blocks[place >> BLOCK_SHIFT].frame + place);
}

static inline lh_frame_entry *lh_place_entry(const lh_frames *frames, uint64_t place)
{
	return lh_entry_from(frames->blocks[place >> BLOCK_SHIFT].entry, place);
}

/* --- blocks.c. => frames->lock is held. They move bits; entries and promises are others'. --- */

/* Up to count single frames, from a node if it has any, else from others. => how many. */
uint32_t lh_blocks_take(lh_frames *frames, uint32_t node, enum frame_kind kind, uint32_t *places,
			uint32_t count);
/* Up to count times 2^order frames, aligned: order 0 to 5 of one block, 6 to 8 one at a time, 9 whole
 * blocks. => how many; 0: none in any node. */
uint32_t lh_blocks_take_orders(lh_frames *frames, uint32_t node, enum frame_kind kind,
			       unsigned order, uint32_t *places, uint32_t count);
/* Frames in a row, from place on, all free; they may cross blocks of one span. */
void lh_blocks_take_row(lh_frames *frames, enum frame_kind kind, uint64_t place, uint64_t count);
/* Makes as many times 2^order free, order 0 to 5. One that is free already: panic. */
void lh_blocks_give(lh_frames *frames, const uint32_t *places, uint32_t count, unsigned order);
/* The same of whole blocks. */
void lh_blocks_give_whole(lh_frames *frames, const uint32_t *places, uint32_t count);
void lh_blocks_give_row(lh_frames *frames, uint64_t place, uint64_t count);
bool lh_blocks_is_free(const lh_frames *frames, uint64_t place);
/* The highest block of a map at or below one; NO_BLOCK. By number in the node. */
uint64_t lh_map_down(const struct frame_node *node, const struct block_map *map, uint64_t from);
bool lh_map_has(const struct block_map *map, uint64_t block);

/* --- contiguous.c. => frames->lock is held --- */

struct row_request {
	uint64_t count;
	uint64_t alignment; /* a power of two */
	uint64_t limit;	    /* frame number that all lie below */
};

/* The lowest row in the index; its place, or NO_PLACE. Nothing is taken. */
uint64_t lh_row_find(const lh_frames *frames, const struct row_request *request);

/* --- caches.c --- */

/*
 * Begins to work on a cache, with interrupts off until lh_cache_leave: this CPU's, in use; or, while
 * somebody gathers, the common one, and then `lock` is held.
 */
struct frame_cache *lh_cache_enter(lh_frames *frames, uintptr_t *interrupts);
void lh_cache_leave(lh_frames *frames, struct frame_cache *cache, uintptr_t interrupts);

/*
 * The same without the slow cases, in line. => NULL: somebody gathers, and nothing was begun. What
 * the cache keeps, and has room for, is none if it is not in use.
 */
static inline struct frame_cache *lh_cache_enter_own(lh_frames *frames, uintptr_t *interrupts)
{
	lh_order_may_take(frames->port, frames, LH_LOCK_FRAMES);
	*interrupts = lh_port_interrupts_off(frames->port);
	if (__builtin_expect(lh_atomic_load(&frames->gathering) == 0, 1)) {
		unsigned cpu = lh_port_cpu(frames->port);
		struct frame_cache *cache = &frames->caches[cpu];

		LH_ASSERT_INTERNAL(frames->port, cpu < frames->cpu_count);
		if (!cache) /* never: so that the compiler need not look */
			__builtin_unreachable();
		return cache;
	}
	lh_port_interrupts_restore(frames->port, *interrupts);
	return NULL;
}

static inline void lh_cache_leave_own(lh_frames *frames, uintptr_t interrupts)
{
	lh_port_interrupts_restore(frames->port, interrupts);
}

/* `lock`, for who has entered: with the common cache it is held already. */
static inline void lh_index_lock(lh_frames *frames, const struct frame_cache *cache)
{
	if (cache != &frames->common)
		lh_spin_lock_inside(&frames->lock, frames->port);
}

static inline void lh_index_unlock(lh_frames *frames, const struct frame_cache *cache)
{
	if (cache != &frames->common)
		lh_spin_unlock_inside(&frames->lock, frames->port);
}

/*
 * From here to lh_caches_release all CPUs use the common cache, and what they kept is in the index:
 * whatever is attempted meanwhile gets an exact answer. With interrupts off, other CPUs cannot be
 * waited for; then only what this one kept is there, and the others' as they come to notice.
 * => `lock` is not held. => whether the caches of all CPUs stand still now, under `lock`.
 */
bool lh_caches_gather(lh_frames *frames);
void lh_caches_release(lh_frames *frames);
/* The same, but what caches keep stays there. */
bool lh_caches_freeze(lh_frames *frames);
void lh_caches_thaw(lh_frames *frames);

/*
 * Something that takes: frames, promises. Run with a cache entered.
 * => false: not with what is in this cache and in common; nothing is lost.
 */
typedef bool cache_attempt(lh_frames *frames, struct frame_cache *cache, void *argument);

/* Attempts it; if that fails, once more after a gathering. */
bool lh_cache_attempt(lh_frames *frames, cache_attempt *attempt, void *argument);
/* Only once. */
bool lh_cache_attempt_once(lh_frames *frames, cache_attempt *attempt, void *argument);

static inline bool lh_order_is_kept(unsigned order)
{
	return order == 0 || order == EIGHT_SHIFT || order == BLOCK_SHIFT;
}

/* Where 2^order frames that were given out for a kind are kept. => the order is kept. */
static inline unsigned lh_keep_of(enum frame_kind kind, unsigned order)
{
	return order == 0 ? KEEP_SINGLE + kind : order == BLOCK_SHIFT ? KEEP_BLOCK : KEEP_EIGHT + kind;
}

/* The frames that each place of a keep stands for, as a power of two. */
static inline unsigned lh_keep_order(unsigned keep)
{
	return keep == KEEP_BLOCK ? BLOCK_SHIFT : keep - KEEP_EIGHT < KIND_COUNT ? EIGHT_SHIFT : 0;
}

static inline void lh_keep_set_count(struct frame_keep *keep, uint32_t count)
{
	lh_atomic_store_relaxed(&keep->count, count);
}

/* Makes room for one more in a keep, if the cache keeps any. => entered. */
void lh_cache_make_room(lh_frames *frames, struct frame_cache *cache, unsigned keep);
/* Fetches frames of a kind for a keep that has none. => false: none is in the index, or all
 * that are there have been promised. => entered. */
bool lh_cache_refill(lh_frames *frames, struct frame_cache *cache, enum frame_kind kind,
		     unsigned keep);
/* Frames or promises came to what is common, or left it: caches go out of use when few are left.
 * => `lock` held. */
void lh_frames_note_level(lh_frames *frames);

/* --- charge.c. => the cache is entered --- */

/* Sees to it that the cache's slack is at least pages. => false: too little in common. */
bool lh_slack_gather(lh_frames *frames, struct frame_cache *cache, uint64_t pages);
/* Puts what a cache has too much of back in common. => frames->lock is held too. */
void lh_slack_spill_locked(lh_frames *frames, struct frame_cache *cache);
/* Adds to a part of what is committed. => it is this CPU's, or `lock` is held. */
static inline void lh_add_committed(int64_t *part, int64_t pages)
{
	lh_atomic_store_relaxed(part, *part + pages);
}

/* => the sum of all parts while all stood still. Less than nothing: panic. */
void lh_charge_check(const lh_frames *frames, int64_t committed);
/* lh_charge_take without a gathering, for who holds the accounts' lock. */
lh_error lh_charge_take_once(lh_frames *frames, uint64_t pages);

/* Frames leave the index for who was promised none. => false: all are promised. `lock` is held. */
static inline bool lh_spare_take_locked(lh_frames *frames, uint64_t pages)
{
	if (frames->spare < pages)
		return false;
	lh_atomic_store_relaxed(&frames->spare, frames->spare - pages);
	return true;
}

static inline void lh_spare_give_locked(lh_frames *frames, uint64_t pages)
{
	lh_atomic_store_relaxed(&frames->spare, frames->spare + pages);
}

/* --- frames_hold.c --- */

/* What is asked about must be a frame of ours. */
static inline const struct frame_span *lh_frames_own_span(lh_frames *frames, lh_frame_number frame)
{
	const struct frame_span *span = lh_frames_span(frames, frame);

	if (!span)
		LH_BROKEN(frames->port, "held or dropped what is no usable memory");
	return span;
}

/* --- frames_allocate.c --- */

/* Poison, at LH_DEBUG 2: both are called without a lock by who has the frame. */
void lh_frame_poison(lh_frames *frames, lh_frame_number frame);
void lh_frame_check_poison(lh_frames *frames, lh_frame_number frame);

/* --- steps.c --- */

/* Counts a step that can fail. => true: it is the one that was asked to fail. */
#if LH_DEBUG >= 2
bool lh_frames_step_fails(lh_frames *frames, uint64_t *kind);
#define LH_STEP_FAILS(frames, kind) lh_frames_step_fails(frames, &(frames)->steps.kind)
#else
#define LH_STEP_FAILS(frames, kind) false
#endif

#endif
