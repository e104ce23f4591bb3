/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations on ranges: each is a loop over one walk (walk.h).
 */
#include "paging/walk.h"

/* The walk ends for a moment after so many tables: interrupts have waited long enough. */
#define TABLES_AT_A_TIME 32

static void begin(lh_walk *walk, lh_directory *directory, lh_virtual_range range)
{
	LH_ASSERT(directory->port,
		  lh_virtual_range_covers(lh_directory_own_range(directory), range));
	lh_walk_begin(walk, directory, range);
	walk->visits = true;
}

static bool next(lh_walk *walk)
{
	if (walk->tables >= TABLES_AT_A_TIME) {
		/* The slot under the cursor is dealt with, unless it is a table to enter. */
		if (walk->at_slot && !lh_walk_is_table(walk))
			lh_walk_skip(walk);
		if (walk->page == walk->range.pages)
			return false;
		lh_walk_end(walk);
		lh_walk_begin_again(walk);
	}
	return lh_walk_next(walk);
}

/* A table that must be entered: any but a leaf table that goes as a whole. */
static bool must_enter(const lh_walk *walk)
{
	return lh_walk_is_table(walk) && !(walk->level == 1 && lh_walk_covers(walk));
}

static void flush_between(lh_walk *walk, lh_gather *gather)
{
	lh_walk_end(walk);
	lh_gather_flush(gather);
	lh_walk_begin_again(walk);
}

/*
 * Leaf tables that the range covers go unopened; upper tables go when they are empty, which
 * the loss of their last leaf table makes them. So the counts stay exact without opening
 * any leaf table in the walk.
 */
void lh_directory_clear_range(lh_directory *directory, lh_virtual_range range, lh_gather *gather)
{
	lh_walk walk;

	LH_ASSERT(directory->port, gather->directory == directory);
	begin(&walk, directory, range);
	while (next(&walk)) {
		if (must_enter(&walk))
			continue;
		if (lh_gather_is_full(gather))
			flush_between(&walk, gather);
		else if (!lh_walk_clear(&walk, gather))
			lh_walk_pause(&walk);
	}
	lh_walk_end(&walk);
}

/* True if the slot names a table that is empty, as far as one can see without its lock. */
static bool names_empty_table(const lh_walk *walk)
{
	const lh_directory *directory = walk->directory;

	return lh_walk_is_table(walk) &&
	       lh_table_live(lh_table_entry(directory->frames,
					    lh_entry_table(directory->format, walk->entry))) == 0;
}

void lh_directory_prune(lh_directory *directory, lh_virtual_range range)
{
	lh_gather gather;
	lh_walk walk;

	lh_gather_begin(&gather, directory);
	begin(&walk, directory, range);
	while (next(&walk))
		if (names_empty_table(&walk) && !lh_walk_clear(&walk, &gather))
			lh_walk_pause(&walk);
	lh_walk_end(&walk);
	lh_gather_finish(&gather);
}

/* The lock of the leaf table that the slot names, once. */
static bool pass_lock(const lh_walk *walk)
{
	const lh_directory *directory = walk->directory;
	lh_frame_number number = lh_entry_table(directory->format, walk->entry);
	lh_frame_entry *table = lh_table_entry(directory->frames, number);

	if (!lh_table_try_lock(directory->port, table))
		return false;
	lh_table_unlock(directory->port, table);
	return true;
}

uint64_t lh_directory_pass_locks(lh_directory *directory, lh_virtual_range range)
{
	uint64_t tables = 0;
	lh_walk walk;

	begin(&walk, directory, range);
	while (next(&walk)) {
		if (!lh_walk_is_table(&walk))
			continue;
		if (walk.level == 1 && !pass_lock(&walk)) {
			lh_walk_pause(&walk);
			continue;
		}
		tables++;
		if (walk.level != 1)
			continue;
		walk.tables++;
		lh_walk_skip(&walk);
	}
	lh_walk_end(&walk);
	return tables;
}

/* The leaf with no more rights than those given. */
static lh_leaf restricted(lh_leaf leaf, lh_rights rights)
{
	leaf.rights &= rights;
	if (leaf.rights == LH_RIGHT_NONE)
		leaf.kind = LH_LEAF_NO_ACCESS;
	return leaf;
}

/*
 * Replaces the leaf under the cursor. => false: it is the same. A huge leaf must not straddle
 * the range: it would have to be split. Accessed and dirty bits that
 * the new leaf has lost go; others that the hardware has set since the walk read it stay.
 */
static bool replace(lh_walk *walk, lh_leaf leaf)
{
	const lh_paging_format *format = walk->directory->format;
	bool user = !walk->directory->is_kernel;
	uint64_t entry = lh_entry_make_leaf(format, leaf, user);
	uint64_t now = walk->entry;

	if (entry == walk->entry)
		return false;
	LH_ASSERT(walk->directory->port, walk->level == 0 || lh_walk_covers(walk));
	while (!lh_atomic_compare_exchange(
		lh_walk_slot(walk), &now,
		lh_entry_carry_flags(format, walk->entry, now, entry, user)))
		;
	return true;
}

/* Stands the walk at a leaf, its table held? => false: there is none here, or it had to pause. */
static bool hold_leaf(lh_walk *walk)
{
	if (lh_walk_is_table(walk))
		return false;
	if (lh_walk_hold(walk))
		return walk->entry != 0 && !lh_walk_is_table(walk);
	lh_walk_pause(walk);
	return false;
}

void lh_directory_restrict_range(lh_directory *directory, lh_virtual_range range, lh_rights rights,
				 lh_gather *gather)
{
	lh_walk walk;

	LH_ASSERT(directory->port, gather->directory == directory);
	begin(&walk, directory, range);
	while (next(&walk)) {
		lh_leaf leaf;

		if (!hold_leaf(&walk))
			continue;
		leaf = lh_walk_leaf(&walk);
		if (leaf.kind == LH_LEAF_PRESENT && replace(&walk, restricted(leaf, rights)))
			lh_gather_note_range(gather, lh_walk_span(&walk));
	}
	lh_walk_end(&walk);
}

void lh_directory_visit(lh_directory *directory, lh_virtual_range range, lh_leaf_visit *visit,
			void *context)
{
	lh_walk walk;
	bool more = true;

	begin(&walk, directory, range);
	while (more && next(&walk)) {
		lh_leaf leaf, seen;

		if (!hold_leaf(&walk))
			continue;
		seen = leaf = lh_walk_leaf(&walk);
		more = visit(context, lh_walk_address(&walk), &leaf);
		LH_ASSERT(directory->port, leaf.frame.value == seen.frame.value &&
			  leaf.level == seen.level && (leaf.rights & ~seen.rights) == 0);
		LH_ASSERT(directory->port,
			  leaf.kind == seen.kind || leaf.kind == LH_LEAF_NO_ACCESS);
		replace(&walk, leaf);
	}
	lh_walk_end(&walk);
}

/* Tables of the level that the pages from first to last cross. */
static uint64_t tables_crossed(const lh_paging_format *format, unsigned level,
			       lh_virtual_range range)
{
	/* A table of a level spans what an entry of the level above does. */
	unsigned shift = lh_level_shift(format, level + 1);

	return (lh_virtual_range_last(range).value >> shift) - (range.base.value >> shift) + 1;
}

/*
 * Tables that exist for the range, from the level up, below the root. Without a pause: begun
 * again from the root, the walk would count upper tables twice, and it opens none of the lowest.
 */
static uint64_t tables_there(lh_directory *directory, lh_virtual_range range, unsigned level)
{
	uint64_t count = 0;
	lh_walk walk;

	lh_walk_begin(&walk, directory, range);
	while (lh_walk_next(&walk)) {
		if (lh_walk_is_table(&walk) && walk.level > level)
			count++;
		if (walk.level <= level + 1)
			lh_walk_skip(&walk);
	}
	lh_walk_end(&walk);
	return count;
}

lh_error lh_directory_prepare_level(lh_directory *directory, lh_virtual_range range, unsigned level,
				    lh_spare_tables *spares)
{
	uint64_t needed = 0;

	LH_ASSERT(directory->port,
		  lh_virtual_range_covers(lh_directory_own_range(directory), range));
	for (unsigned table = level; table < lh_format_top(directory->format); table++)
		needed += tables_crossed(directory->format, table, range);
	return lh_spare_tables_take(directory->frames,
				    needed - tables_there(directory, range, level), spares);
}

lh_error lh_directory_prepare(lh_directory *directory, lh_virtual_range range,
			      lh_spare_tables *spares)
{
	return lh_directory_prepare_level(directory, range, 0, spares);
}
