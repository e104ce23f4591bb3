/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A walk that begins at its end: most entries that a CPU is interested in lie in the tables that it
 * held last, so each part of a directory remembers those for one CPU.
 *
 * The memory belongs to a CPU that runs the directory, the first of the part that had something to remember: only
 * it reads or writes that, with interrupts off, until it leaves the directory. With more than LH_DIRECTORY_PARTS
 * CPUs in it the others walk from the root; so do walkers that do not run it.
 *
 * When it may be believed. A table is remembered by who holds its lock, so it is in the tree then. Who takes a table
 * out has its lock, clears the entry that names it, and marks every part's owner LH_PART_STALE; then he reads the
 * sets of CPUs, calls those, and frees the table (walk.h). So, all of these being sequentially consistent:
 *
 *     a walk                              taking out
 *     (its CPU is in the set `active`)    clears the entry
 *     reads `owner`: this CPU, no more    marks `owner` stale
 *     looks at the table                  reads the set, calls its CPUs, frees the table
 *
 * If the walk does not find the mark, the set is read after that, with this CPU in it: the table, if it is
 * taken out at all, is freed only after the walk. Before that its lock stays locked, so that nothing is
 * written to it; that its entries can still be read for as long as a walk from the root that began at the
 * same time could have is no news. And a walk that begins after a table was taken out, on any CPU, finds
 * the mark: that table and all others are forgotten, which is cheap, as tables are rare. So one comparison says
 * whose the memory is and that it is good.
 *
 * The owner takes the mark away when he next holds a table, having forgotten all others: what anybody took out
 * before is none that he remembers then. A reader, who holds nothing, takes it away *before* he descends, and
 * remembers what he came to only in a part that was his then: a table that is taken out after he took the
 * mark away is marked anew, and of one that was taken out before he finds the entry cleared.
 *
 * What it cannot do is go up. A walk that must, or finds the lock taken, pauses, and then it
 * begins at the root like any other.
 *
 * It has a table of level 0 and one of level 1: pages, huge leaves, and the tables side by side that a large
 * range has. Only tables that fill a page are remembered; then what a slot spans is the same in every format.
 */
#ifndef LANDHOLD_PAGING_NEAR_H
#define LANDHOLD_PAGING_NEAR_H

#include "paging/walk.h"

#define LH_NEAR_BITS (LH_PAGE_SHIFT - 3u)
#define LH_NEAR_SLOTS (UINT64_C(1) << LH_NEAR_BITS)

/* The number of an address's slot, of all of a level. */
static inline uint64_t lh_near_slot(unsigned level, lh_virtual_address address)
{
	return address.value >> (LH_PAGE_SHIFT + level * LH_NEAR_BITS);
}

/* => the part is this CPU's. => true: the slots from that of one address to that of another, not below it, are
 * the table's. */
static inline bool lh_near_has(const lh_near_table *table, unsigned level, lh_virtual_address first,
			       lh_virtual_address last)
{
	return ((lh_near_slot(level, first) - table->first) |
		(lh_near_slot(level, last) - table->first)) < LH_NEAR_SLOTS;
}

/* => true: it runs the directory, and what it remembers is good. */
static inline bool lh_part_is_of(const lh_directory_part *part, unsigned cpu)
{
	return lh_atomic_load_total(&part->owner) == cpu;
}

/* What is remembered is the table's. (In a test build this also tells the machine, which looks for changes where a
 * pointer was asked for, that the table may change.) */
static inline void lh_near_assert(const lh_directory *directory, const lh_near_table *table)
{
	LH_ASSERT_INTERNAL(directory->port, table->entries == lh_frame_pointer(directory->frames, table->frame));
	LH_ASSERT_INTERNAL(directory->port, table->entry == lh_table_entry(directory->frames, table->frame));
	(void)directory, (void)table;
}

static inline void lh_walk_go_near(lh_walk *walk, const lh_near_table *table, unsigned level)
{
	lh_near_assert(walk->directory, table);
	walk->path[level].frame = table->frame;
	walk->path[level].entries = table->entries;
	walk->near = table->entry;
	walk->level = walk->top = level;
}

/* At the lowest remembered table that the range lies in; else at the root. */
static inline void lh_walk_begin_near(lh_walk *walk, lh_directory *directory, lh_virtual_range range)
{
	lh_virtual_address last = lh_virtual_range_last_page(range);
	const lh_directory_part *part;

	lh_walk_start(walk, directory, range);
	part = lh_walk_part(walk);
	if (lh_part_is_of(part, walk->cpu))
		for (unsigned level = 0; level < LH_NEAR_LEVELS; level++)
			if (lh_near_has(&part->near[level], level, range.base, last)) {
				lh_walk_go_near(walk, &part->near[level], level);
				return;
			}
	lh_walk_go_to_root(walk);
}

/* Is a table of this level one that may be remembered? */
static inline bool lh_is_near_level(const lh_paging_format *format, unsigned level)
{
	return level < LH_NEAR_LEVELS &&
	       lh_level_shift(format, level + 1) == LH_PAGE_SHIFT + (level + 1) * LH_NEAR_BITS;
}

/* This CPU's part, if it is its own or nobody's and the CPU runs the directory, with nothing out of date in it;
 * NULL: it is another's. Interrupts are off. */
static inline lh_directory_part *lh_part_take(lh_directory *directory, unsigned cpu)
{
	lh_directory_part *part = &directory->parts[cpu % LH_DIRECTORY_PARTS];
	uint32_t owner = lh_atomic_load_total(&part->owner);

	if (owner == cpu)
		return part;
	if (owner == LH_PART_NOBODY ? !lh_directory_runs_on(directory, cpu) : owner != (cpu | LH_PART_STALE))
		return NULL;
	if (!lh_atomic_compare_exchange(&part->owner, &owner, cpu))
		return NULL;
	/* None has an address below it that lies so high. */
	for (unsigned level = 0; level < LH_NEAR_LEVELS; level++)
		part->near[level].first = UINT64_MAX - LH_NEAR_SLOTS;
	return part;
}

/* This CPU leaves the directory. Interrupts are off. */
static inline void lh_near_forget(lh_directory *directory, unsigned cpu)
{
	lh_directory_part *part = &directory->parts[cpu % LH_DIRECTORY_PARTS];

	if ((lh_atomic_load_relaxed(&part->owner) & ~LH_PART_STALE) == cpu)
		lh_atomic_store_total(&part->owner, LH_PART_NOBODY);
}

/* A table was taken out of the tree: its entry is cleared. */
static inline void lh_parts_make_stale(lh_directory *directory)
{
	for (unsigned i = 0; i < LH_DIRECTORY_PARTS; i++)
		if ((lh_atomic_load_total(&directory->parts[i].owner) & LH_PART_STALE) == 0)
			lh_atomic_or(&directory->parts[i].owner, LH_PART_STALE);
}

/* The table that the walk stands in, of the directory's own half. => part: taken, since the walk holds the table or
 * before it descended to it; or NULL. */
static inline void lh_walk_remember(const lh_walk *walk, lh_directory_part *part, lh_frame_entry *entry)
{
	lh_near_table *table;

	if (!part || !lh_is_near_level(walk->directory->format, walk->level))
		return;
	table = &part->near[walk->level];
	table->first = lh_near_slot(walk->level, lh_walk_address(walk)) & ~(LH_NEAR_SLOTS - 1);
	table->frame = walk->path[walk->level].frame;
	table->entries = walk->path[walk->level].entries;
	table->entry = entry;
}

/*
 * The shortest walk: one slot of a remembered table, held or only found. It enters no set, as the CPU runs the
 * directory, and it gives up at once where anything is not as it should be. In line, with the level a constant,
 * and whatever it is not made for out of the way, so that it calls nothing but the port and keeps no registers.
 */
typedef struct lh_near {
	lh_directory_part *part;
	lh_frame_entry *table;
	uint64_t *slot;
	uintptr_t interrupts;
	unsigned cpu;
} lh_near;

/* => false: this CPU remembers nothing, and is not in a walk. */
LH_STRAIGHT bool lh_near_begin(lh_near *near, lh_directory *directory)
{
	near->interrupts = lh_port_interrupts_off(directory->port);
	near->cpu = lh_port_cpu(directory->port);
	near->part = &directory->parts[near->cpu % LH_DIRECTORY_PARTS];
	if (lh_part_is_of(near->part, near->cpu))
		return true;
	lh_port_interrupts_restore(directory->port, near->interrupts);
	return false;
}

/* To be read, in a walk. => false: the table is not remembered. */
LH_STRAIGHT bool lh_near_look(lh_near *near, const lh_directory *directory, lh_virtual_address address,
			      unsigned level)
{
	const lh_near_table *table = &near->part->near[level];
	uint64_t index = lh_near_slot(level, address) - table->first;

	if (index >= LH_NEAR_SLOTS)
		return false;
	lh_near_assert(directory, table);
	near->slot = &table->entries[index];
	near->table = table->entry;
	return true;
}

LH_STRAIGHT void lh_near_leave(const lh_near *near, const lh_directory *directory)
{
	lh_port_interrupts_restore(directory->port, near->interrupts);
}

/* To be written, its table's lock held. => false: not open; take the long way. */
LH_STRAIGHT bool lh_near_open(lh_near *near, lh_directory *directory, lh_virtual_address address,
			      unsigned level)
{
	if (!lh_near_begin(near, directory))
		return false;
	if (lh_near_look(near, directory, address, level) && lh_table_try_lock(directory->port, near->table))
		return true;
	lh_near_leave(near, directory);
	return false;
}

/* With so many leaves more in the table; less by adding what is below zero. */
LH_STRAIGHT void lh_near_close(const lh_near *near, lh_directory *directory, unsigned level, uint64_t leaves)
{
	uint64_t counted = lh_atomic_load_relaxed(&near->part->counted);

	lh_atomic_store_relaxed(&near->part->counted, counted + (leaves << level * LH_NEAR_BITS));
	lh_table_unlock_with(directory->port, near->table, leaves);
	lh_near_leave(near, directory);
}

/* Nothing was changed. */
LH_STRAIGHT void lh_near_let_go(const lh_near *near, lh_directory *directory)
{
	lh_table_unlock(directory->port, near->table);
	lh_near_leave(near, directory);
}

#endif
