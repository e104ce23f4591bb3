/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations on ranges: each is a loop over one walk (walk.h).
 */
#include "paging/walk.h"

/* The lock is released for a moment after so many tables. */
#define TABLES_AT_A_TIME 32

/* A walk that takes the lock, and lets others in now and then. */
typedef struct long_walk {
	lh_walk walk;
	uintptr_t interrupts;
} long_walk;

static void begin(long_walk *way, lh_directory *directory, lh_virtual_range range)
{
	LH_ASSERT(directory->port,
		  lh_virtual_range_covers(lh_directory_own_range(directory), range));
	way->interrupts = lh_directory_lock(directory);
	lh_walk_begin(&way->walk, directory, range);
}

static void end(long_walk *way)
{
	lh_directory_unlock(way->walk.directory, way->interrupts);
}

static void breathe(long_walk *way, lh_gather *flushed)
{
	lh_directory *directory = way->walk.directory;

	lh_directory_unlock(directory, way->interrupts);
	if (flushed)
		lh_gather_flush(flushed);
	way->interrupts = lh_directory_lock(directory);
	lh_walk_restart(&way->walk);
}

static bool next(long_walk *way)
{
	if (way->walk.tables >= TABLES_AT_A_TIME) {
		/* The slot under the cursor is dealt with, unless it is a table to enter. */
		if (way->walk.at_slot && !lh_walk_is_table(&way->walk))
			lh_walk_skip(&way->walk);
		if (way->walk.page == way->walk.range.pages)
			return false;
		breathe(way, NULL);
	}
	return lh_walk_next(&way->walk);
}

/* A leaf table that may be detached whole; a kernel's top tables never are. */
static bool is_detachable(const lh_walk *walk)
{
	bool top = walk->level == lh_format_top(walk->directory->format);

	return walk->level == 1 && lh_walk_is_table(walk) && lh_walk_covers(walk) &&
	       !(top && lh_directory_keeps_top(walk->directory));
}

/*
 * Leaf tables that the range covers go unopened; upper tables go when they are empty, which
 * the loss of their last leaf table makes them. So the counts stay exact without opening
 * any leaf table under the lock.
 */
void lh_directory_clear_range(lh_directory *directory, lh_virtual_range range, lh_gather *gather)
{
	long_walk way;

	LH_ASSERT(directory->port, gather->directory == directory);
	begin(&way, directory, range);
	while (next(&way)) {
		lh_walk *walk = &way.walk;

		if (lh_walk_is_table(walk) && !is_detachable(walk))
			continue;
		if (lh_gather_is_full(gather)) {
			breathe(&way, gather);
			continue;
		}
		lh_walk_clear(walk, gather);
	}
	end(&way);
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

void lh_directory_restrict_range(lh_directory *directory, lh_virtual_range range, lh_rights rights,
				 lh_gather *gather)
{
	long_walk way;

	LH_ASSERT(directory->port, gather->directory == directory);
	begin(&way, directory, range);
	while (next(&way)) {
		lh_walk *walk = &way.walk;
		lh_leaf leaf;

		if (lh_walk_is_table(walk))
			continue;
		leaf = lh_walk_leaf(walk);
		if (leaf.kind != LH_LEAF_PRESENT || !replace(walk, restricted(leaf, rights)))
			continue;
		lh_gather_note_range(gather, lh_walk_span(walk));
	}
	end(&way);
}

void lh_directory_visit(lh_directory *directory, lh_virtual_range range, lh_leaf_visit *visit,
			void *context)
{
	long_walk way;
	bool more = true;

	begin(&way, directory, range);
	while (more && next(&way)) {
		lh_walk *walk = &way.walk;
		lh_leaf leaf, seen;

		if (lh_walk_is_table(walk))
			continue;
		seen = leaf = lh_walk_leaf(walk);
		more = visit(context, lh_walk_address(walk), &leaf);
		LH_ASSERT(directory->port, leaf.frame.value == seen.frame.value &&
			  leaf.level == seen.level && (leaf.rights & ~seen.rights) == 0);
		LH_ASSERT(directory->port,
			  leaf.kind == seen.kind || leaf.kind == LH_LEAF_NO_ACCESS);
		replace(walk, leaf);
	}
	end(&way);
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
	uintptr_t interrupts = lh_directory_lock(directory);
	uint64_t count = 0;
	lh_walk walk;

	lh_walk_begin(&walk, directory, range);
	while (lh_walk_next(&walk)) {
		if (lh_walk_is_table(&walk) && walk.level > level)
			count++;
		if (walk.level <= level + 1)
			lh_walk_skip(&walk);
	}
	lh_directory_unlock(directory, interrupts);
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
