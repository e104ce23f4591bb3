/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rows: the slots of one table, one after the other, without a step of the walk for each.
 *
 * Alike are two entries of a level that differ in nothing but the frame they name. Whatever the format
 * says of one it says of the other, so a loop asks it once for all that are alike: what the leaf is,
 * and what becomes of the entry by a change. A change keeps the frame, and stores its number as it
 * was or inverted; so for entries alike it is one constant, by exclusive or:
 *
 *     entry      frame 0x1234 | readable, writable         entry      frame 0x1234 | readable, writable
 *     becomes    frame 0x1234 | readable                   becomes   ~frame 0x1234 | no access
 *     change                  | writable                   change     all frame bits | ...
 *
 * The format's tests stay the only ones who know what a bit means (entry.h); what is kept here is what
 * they answered last. A range has few kinds of entry, most often one, so one answer is kept.
 */
#ifndef LANDHOLD_PAGING_ROW_H
#define LANDHOLD_PAGING_ROW_H

#include "paging/walk.h"

/* Slots of the table that the walk stands in, from its slot on, as far as table and range go. */
typedef struct lh_row {
	uint64_t *slots;
	uint64_t count;
} lh_row;

lh_row lh_walk_row(const lh_walk *walk);
/* What the range has of the row's slots from one on, to another, not included. => first < end */
lh_virtual_range lh_walk_row_span(const lh_walk *walk, uint64_t first, uint64_t end);

/* True if the range has all that a slot of the row spans. */
static inline bool lh_walk_covers_slot(const lh_walk *walk, uint64_t slot)
{
	return lh_walk_row_span(walk, slot, slot + 1).pages ==
	       lh_level_pages(walk->directory->format, walk->level);
}

/* Past so many slots. => not beyond the row's. */
void lh_walk_skip_slots(lh_walk *walk, uint64_t slots);

typedef struct lh_alike {
	const lh_paging_format *format;
	unsigned level;
	bool user;
	uint64_t bits;	     /* of an entry that is alike, but for the frame's */
	uint64_t frame_mask;
	uint64_t inverted;   /* frame_mask where the frame's number is stored inverted */
	uint64_t change;     /* its user's: entry ^ change is what becomes of it */
	lh_leaf leaf;	     /* all but the frame */
} lh_alike;

/* No entry is alike yet. */
void lh_alike_begin(lh_alike *alike, const lh_paging_format *format, bool user);
/* From now on, those like this leaf's entry. */
void lh_alike_learn(lh_alike *alike, unsigned level, uint64_t entry);

/* => of the level that was learnt last. */
static inline bool lh_alike_has(const lh_alike *alike, uint64_t entry)
{
	return (entry & ~alike->frame_mask) == alike->bits;
}

static inline lh_frame_number lh_alike_frame(const lh_alike *alike, uint64_t entry)
{
	return lh_physical_frame(lh_entry_address(
		alike->format, (entry ^ alike->inverted) & alike->frame_mask));
}

/* The entry that is alike for a frame. */
static inline uint64_t lh_alike_entry(const lh_alike *alike, lh_frame_number frame)
{
	uint64_t address = lh_entry_address_bits(alike->format, lh_frame_address(frame));

	return alike->bits | ((address ^ alike->inverted) & alike->frame_mask);
}

/* The leaf of an entry that is alike. */
static inline lh_leaf lh_alike_leaf(const lh_alike *alike, uint64_t entry)
{
	lh_leaf leaf = alike->leaf;

	leaf.frame = lh_alike_frame(alike, entry);
	return leaf;
}

#endif
