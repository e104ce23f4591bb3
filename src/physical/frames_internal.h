/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The frame allocator's inside: words, structure, and who may touch what.
 *
 *   span      frames in a row that are all usable: one entry of the boot map
 *   ordinal   the how-manieth usable frame: 0 to total - 1, in order of address.
 *             Entries and bits are kept by ordinal, so holes cost nothing.
 *   section   2^SECTION_SHIFT frame numbers; a hash table of those that have memory
 *             leads from a frame number to its span in O(1): a plain table by
 *             section number would follow the highest address.
 *   index     one bit an ordinal, set if free; above it levels in which a bit says
 *             that a word below has one set. The highest level is one word.
 *
 * One memory block, the caller's, in this order: struct lh_frames, spans, sections,
 * the index's levels, the entries.
 *
 * Single frames are taken from the high end, rows from the low end: what lies below
 * an address limit is kept for those who need it, and rows meet less litter.
 *
 * Files: frames_create.c (layout), frames_index.c (spans and bits), frames_allocate.c
 * (single frames, holders), contiguous.c (rows), charge.c (promises, counters),
 * steps.c (failure on demand), check.c (the walker), pool.c (pools on top).
 *
 * Field tags: c = constant after creation, l = under lock, a = atomic.
 */
#ifndef LANDHOLD_PHYSICAL_FRAMES_INTERNAL_H
#define LANDHOLD_PHYSICAL_FRAMES_INTERNAL_H

#include <landhold/frames.h>

#include "base/assert.h"
#include "base/atomic.h"
#include "base/lock.h"

/* 2^15 frames of 4 KiB are 128 MiB. */
#define SECTION_SHIFT 15

/* Levels of 64 for the 2^52 frames that 64 bits of address can name. */
#define INDEX_LEVELS 9

/* Bits of lh_frame_entry.flags. */
#define FRAME_CHARGED 1u  /* counted in charged_in_use */
#define FRAME_POISONED 2u /* filled with FRAME_POISON when it was freed */

#define FRAME_POISON 0xd5

/*
 * Where counting holders stops the machine: before the count wraps, with room for
 * every CPU to be between its increment and its look at the result.
 */
#define HOLDERS_MOST (UINT32_MAX - LH_MAX_CPUS)

#define NO_ORDINAL UINT64_MAX

struct frame_span {
	uint64_t base;	/* frame number */
	uint64_t pages;
	uint64_t first; /* ordinal of base */
};

/* A slot of the hash table; spans == 0: empty. */
struct frame_section {
	uint64_t number;
	uint32_t first_span; /* lowest span with a frame in the section */
	uint32_t spans;	     /* how many have one */
};

struct lh_frames {
	lh_port *port;			/* c */
	struct frame_span *spans;	/* c, by address */
	struct frame_section *sections; /* c */
	lh_frame_entry *entries;	/* c the pointer; entries: see frames.h */
	uint64_t *level[INDEX_LEVELS];	/* c the pointers; words: l */
	uint64_t total;			/* c */
	uint32_t span_count;		/* c */
	uint32_t section_bits;		/* c: 2^section_bits slots */
	uint32_t levels;		/* c */
	lh_charge_policy policy;	/* c */

	/* What every allocation writes, on lines of its own. */
	uint32_t lock __attribute__((aligned(64)));
	uint32_t span_hint;		     /* l: span of the last frame given */
	uint64_t word_hint;		     /* l: word of level 0 to try first */
	uint64_t free;			     /* l */
	uint64_t used[LH_FRAME_STATE_COUNT]; /* l */
	uint64_t committed;		     /* l */
	uint64_t charged_in_use;	     /* l */

#if LH_DEBUG >= 2
	uint64_t fail_at;     /* a: 0 never */
	lh_frame_steps steps; /* a */
#endif
};

/* --- frames_index.c --- */

/* The slot of the section table at which the search for a section begins. */
static inline uint64_t lh_section_slot(uint64_t number, uint32_t section_bits)
{
	/* Fibonacci hashing (Knuth, volume 3, 6.4): neighbours land far apart. */
	return number * UINT64_C(0x9e3779b97f4a7c15) >> (64 - section_bits);
}

/* The ordinal of a frame; NO_ORDINAL if it is none of ours. Reads constants only. */
uint64_t lh_frames_ordinal(const lh_frames *frames, lh_frame_number frame);
/* The frame of an ordinal. */
lh_frame_number lh_frames_number(const lh_frames *frames, uint64_t ordinal);
/* The same, most often at once. => lock held (the hint). */
lh_frame_number lh_frames_number_locked(lh_frames *frames, uint64_t ordinal);

bool lh_index_is_set(const lh_frames *frames, uint64_t ordinal);
void lh_index_set(lh_frames *frames, uint64_t ordinal);
void lh_index_clear(lh_frames *frames, uint64_t ordinal);
/* A set bit, high ones preferred; NO_ORDINAL if there is none. => lock held. */
uint64_t lh_index_high_locked(lh_frames *frames);
/* The lowest set bit at or above an ordinal; NO_ORDINAL if there is none. */
uint64_t lh_index_next(const lh_frames *frames, uint64_t from);
/* The highest clear bit in [first, first + count); NO_ORDINAL if all are set. */
uint64_t lh_index_last_clear(const lh_frames *frames, uint64_t first, uint64_t count);

/* --- frames_allocate.c --- */

/* Whether count more frames may be taken without breaking a promise. => lock held. */
bool lh_frames_may_take_locked(const lh_frames *frames, uint64_t count, lh_frame_source source);
/* Turns a free frame into one of its state, holders 1. => lock held, frame free. */
void lh_frames_take_locked(lh_frames *frames, uint64_t ordinal, lh_frame_state state,
			   lh_frame_source source);
/* True for the states in which a frame is held by somebody. */
bool lh_frame_state_is_used(lh_frame_state state);

/* Poison, at LH_DEBUG 2: both are called without the lock by who has the frame. */
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
