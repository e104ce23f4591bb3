/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A walk that begins at its end: most entries that a CPU is interested in lie in the leaf table that it
 * held last, so each part of a directory remembers that table for one CPU.
 *
 * When it may be believed. A table is remembered by who holds its lock, so it was in the tree then; with
 * it, how many tables had been taken out of the tree before (`retired`). Who takes a table out has its
 * lock, clears the entry that names it, and raises that count; then he reads the sets of CPUs, calls those,
 * and frees the table (walk.h). So, all of these being sequentially consistent:
 *
 *     a walk                          taking out
 *     enters the set of CPUs          clears the entry
 *     reads `retired`                 raises `retired`
 *     looks at the table              reads the set, calls its CPUs, frees the table
 *
 * If the walk finds the count unchanged, it entered the set before the set was read: the table, if it is
 * taken out at all, is freed only after the walk. Before that its lock stays locked, so that nothing is
 * written to it; that its entries can still be read for as long as a walk from the root that began at the
 * same time could have is no news. And a walk that begins after a table was taken out, on any CPU, finds
 * the count changed: that one and all others are forgotten, which is cheap, as tables are rare.
 *
 * What it cannot do is go up. A walk that must, or finds the lock taken, pauses, and then it
 * begins at the root like any other.
 *
 * The memory belongs to the first CPU of the part that had something to remember: only it reads or
 * writes that, with interrupts off. With more than LH_DIRECTORY_PARTS CPUs the others walk from the root.
 */
#ifndef LANDHOLD_PAGING_NEAR_H
#define LANDHOLD_PAGING_NEAR_H

#include "paging/walk.h"

static inline uint64_t lh_near_prefix(const lh_paging_format *format, lh_virtual_address address)
{
	return address.value >> lh_level_shift(format, 1);
}

static inline bool lh_part_remembers(const lh_directory *directory, const lh_directory_part *part,
				     unsigned cpu, lh_virtual_address address)
{
	return lh_atomic_load_relaxed(&part->owner) == cpu + 1u &&
	       part->prefix == lh_near_prefix(directory->format, address) &&
	       part->retired == lh_atomic_load_total(&directory->retired);
}

/* What is remembered is the table's. (In a test build this also tells the machine, which looks for changes where a
 * pointer was asked for, that the table may change.) */
static inline void lh_part_assert(const lh_directory *directory, const lh_directory_part *part)
{
	LH_ASSERT_INTERNAL(directory->port, part->entries == lh_frame_pointer(directory->frames, part->frame));
	LH_ASSERT_INTERNAL(directory->port, part->entry == lh_table_entry(directory->frames, part->frame));
	(void)directory, (void)part;
}

/* For a range within one leaf table: begins there if that table is remembered, else at the root. */
static inline void lh_walk_begin_near(lh_walk *walk, lh_directory *directory, lh_virtual_range range)
{
	const lh_directory_part *part;

	lh_walk_start(walk, directory, range);
	part = lh_walk_part(walk);
	walk->is_near = lh_part_remembers(directory, part, walk->cpu, range.base);
	if (walk->is_near) {
		lh_part_assert(directory, part);
		walk->path[0].frame = part->frame;
		walk->path[0].entries = part->entries;
		walk->level = 0;
	} else {
		lh_walk_go_to_root(walk);
	}
}

/* => held, at level 0, in the directory's own half. */
static inline void lh_walk_remember(const lh_walk *walk)
{
	lh_directory_part *part = lh_walk_part(walk);
	uint64_t owner = lh_atomic_load_relaxed(&part->owner);

	if (owner != walk->cpu + 1u &&
	    (owner != 0 || !lh_atomic_compare_exchange(&part->owner, &owner, walk->cpu + UINT64_C(1))))
		return;
	part->prefix = lh_near_prefix(walk->directory->format, lh_walk_address(walk));
	part->retired = lh_atomic_load_total(&walk->directory->retired);
	part->frame = walk->path[0].frame;
	part->entries = walk->path[0].entries;
	part->entry = walk->held;
}

/*
 * The shortest walk: one slot of the remembered table, held. Only on a CPU that runs the directory, which needs
 * to enter no set; and it gives up at once where anything is not as it should be.
 */
typedef struct lh_near {
	lh_directory_part *part;
	uint64_t *slot;
	uintptr_t interrupts;
} lh_near;

/* => false: not open; take the long way. */
static inline bool lh_near_open(lh_near *near, lh_directory *directory, lh_virtual_address address)
{
	lh_port *port = directory->port;
	unsigned cpu;

	near->interrupts = lh_port_interrupts_off(port);
	cpu = lh_port_cpu(port);
	near->part = &directory->parts[cpu % LH_DIRECTORY_PARTS];
	if ((lh_atomic_load_relaxed(&directory->active.bits[cpu / 64]) >> cpu % 64 & 1) != 0 &&
	    lh_part_remembers(directory, near->part, cpu, address) &&
	    lh_table_try_lock(port, near->part->entry)) {
		lh_part_assert(directory, near->part);
		near->slot = &near->part->entries[lh_level_index(directory->format, 0, address)];
		return true;
	}
	lh_port_interrupts_restore(port, near->interrupts);
	return false;
}

/* With so many leaves more in the table; less by adding what is below zero. */
static inline void lh_near_close(const lh_near *near, lh_directory *directory, uint64_t leaves)
{
	if (leaves != 0) {
		lh_table_add_live(near->part->entry, leaves);
		lh_atomic_add_relaxed(&near->part->leaves, leaves);
	}
	lh_table_unlock(directory->port, near->part->entry);
	lh_port_interrupts_restore(directory->port, near->interrupts);
}

#endif
