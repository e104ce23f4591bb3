/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one descent that all operations on ranges are made of, and what the files of this
 * floor share.
 *
 * A walk is a cursor over a range. It stands at a slot of a table; `path` has the tables
 * from the root down to that one. lh_walk_next goes to the next slot, in order of address
 * and upper entries before what is below them, that is not empty: an absent table costs
 * one load, whatever it would span.
 *
 *     range     |-----------------------------------------|
 *                     page (pages that lie behind)
 *     level 3   [....x....]
 *     level 2       [..x...........]            x: path
 *     level 1          [....x......]
 *     level 0             [.....x..]
 *
 * Between two steps its user may empty the slot (lh_walk_clear), put a table into it
 * (lh_walk_link), or release the directory's lock and start again from the root at the
 * same place (lh_walk_restart).
 *
 * All: under the directory's lock.
 */
#ifndef LANDHOLD_PAGING_WALK_H
#define LANDHOLD_PAGING_WALK_H

#include "base/assert.h"
#include "base/atomic.h"
#include "paging/entry.h"

typedef struct lh_walk_table {
	lh_frame_number frame;
	uint64_t *entries;
} lh_walk_table;

typedef struct lh_walk {
	lh_directory *directory;
	lh_virtual_range range;
	uint64_t page;	    /* pages of the range before the cursor; == range.pages: done */
	unsigned level;	    /* of the slot */
	bool at_slot;	    /* the slot under the cursor was given out by next */
	uint64_t entry;	    /* what it held then */
	uint32_t tables;    /* entered since begin or restart */
	lh_walk_table path[LH_PAGING_LEVELS_MAX]; /* valid from level up */
} lh_walk;

void lh_walk_begin(lh_walk *walk, lh_directory *directory, lh_virtual_range range);
/* Back to the root; the cursor stays where it is. */
void lh_walk_restart(lh_walk *walk);
/* To the next slot that is not empty: into the table if this slot names one. False: none. */
bool lh_walk_next(lh_walk *walk);
/* Past everything that this slot spans. */
void lh_walk_skip(lh_walk *walk);
/* To the lowest slot that exists for the cursor's address, empty or not. */
void lh_walk_descend(lh_walk *walk);
/* Into the table that the slot names. */
void lh_walk_enter(lh_walk *walk);

static inline lh_virtual_address lh_walk_address(const lh_walk *walk)
{
	return lh_virtual_range_page(walk->range, walk->page);
}

static inline uint64_t *lh_walk_slot(const lh_walk *walk)
{
	return &walk->path[walk->level].entries[lh_level_index(
		walk->directory->format, walk->level, lh_walk_address(walk))];
}

static inline bool lh_walk_is_table(const lh_walk *walk)
{
	return lh_entry_is_table(walk->directory->format, walk->level, walk->entry);
}

static inline lh_leaf lh_walk_leaf(const lh_walk *walk)
{
	return lh_entry_read_leaf(walk->directory->format, walk->level, walk->entry,
				  lh_address_is_user(lh_walk_address(walk)));
}

/* The part of what the slot spans that the range has. */
lh_virtual_range lh_walk_span(const lh_walk *walk);
/* True if that is all of it. */
bool lh_walk_covers(const lh_walk *walk);

/* Puts a spare table into the empty slot. => spares is not empty. */
void lh_walk_link(lh_walk *walk, lh_spare_tables *spares);

/*
 * Empties the slot: a leaf's frame, or the leaf table it names, passes to the gather, and so
 * does each table that thereby becomes empty. The cursor then stands on the slot that
 * remains. => the gather has room; a huge leaf is covered.
 */
void lh_walk_clear(lh_walk *walk, lh_gather *gather);

/* A kernel's top tables are made once and stay, if other directories' roots name them too. */
static inline bool lh_directory_keeps_top(const lh_directory *directory)
{
	return directory->is_kernel && !directory->format->root_each;
}

static inline bool lh_directory_owns(const lh_directory *directory, lh_virtual_address address)
{
	return lh_virtual_range_contains(lh_directory_own_range(directory), address);
}

/* --- table pages (spares.c) --- */

/* The frame entry of a table. */
static inline lh_frame_entry *lh_table_entry(lh_frames *frames, lh_frame_number table)
{
	return lh_frame_entry_of(frames, table);
}

static inline unsigned lh_table_level(uint64_t word)
{
	return (unsigned)((word >> LH_TABLE_LEVEL_SHIFT) & LH_TABLE_LEVEL);
}

/* A chain of tables through their frames' words: 0, or the first one's frame number + 1. */
void lh_chain_push(lh_frames *frames, uint64_t *chain, lh_frame_number table);
/* => the chain is not empty. The level and the live entries stay in the word. */
lh_frame_number lh_chain_pop(lh_frames *frames, uint64_t *chain);

/* A zeroed table page, live entries 0. */
LH_MUST_USE lh_error lh_table_allocate(lh_frames *frames, unsigned level, lh_frame_number *table);
/* The same, below a frame number. */
LH_MUST_USE lh_error lh_table_allocate_below(lh_frames *frames, unsigned level, uint64_t limit,
					     lh_frame_number *table);

/* What dropping tables gave back. */
typedef struct lh_dropped {
	uint64_t tables;
	uint64_t leaf_pages;
} lh_dropped;

/*
 * Opens each table of the chain, drops the holders of its counted leaves, does the same for
 * the tables it names, and drops the table. => no CPU can reach them.
 */
lh_dropped lh_chain_drop(lh_frames *frames, const lh_paging_format *format, uint64_t chain);

/* --- gathers (gather.c) --- */

static inline bool lh_gather_is_full(const lh_gather *gather)
{
	return gather->frame_count == LH_GATHER_FRAMES;
}

void lh_gather_note_range(lh_gather *gather, lh_virtual_range range);
/* Takes over the holders of a counted leaf. => not full. */
void lh_gather_add_leaf(lh_gather *gather, lh_leaf leaf);
void lh_gather_add_table(lh_gather *gather, lh_frame_number table);
/* Drops the holders of a leaf's frames. */
void lh_leaf_drop(lh_frames *frames, const lh_paging_format *format, lh_frame_number first,
		  unsigned level);

#endif
