/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One entry, held still: opened with its table's lock, looked at, written, closed. For those who must
 * look at more than the entry before they write it: between open and close interrupts are off,
 * nothing is waited for, and nobody else writes to the table.
 *
 * Open links the tables that are missing before it takes the lock. That is the installer's half of
 * *publish, then visit*: who takes something away publishes that first, then visits each table
 * that exists. Either the visitor finds the table, and then one of the two has its lock first; or
 * it came before the table was linked, and then what it published is seen by whoever looks between
 * open and close. Both link and publication are sequentially consistent, and so are the loads.
 */
#ifndef LANDHOLD_PAGING_SLOT_H
#define LANDHOLD_PAGING_SLOT_H

#include "paging/walk.h"

typedef struct lh_slot {
	lh_walk walk;
	bool linked; /* made a table that is perhaps empty still */
} lh_slot;

/*
 * Opens the slot of a level for an address, linking what is missing above it from the spares.
 * => not open, nothing changed: LH_NO_MEMORY: the spares do not suffice; LH_EXISTS: a leaf stands
 *    above it, or tables below.
 * Context: interrupts on, unless no table is missing. The same for close.
 */
LH_MUST_USE lh_error lh_slot_open(lh_slot *slot, lh_directory *directory, lh_virtual_address address,
				  unsigned level, lh_spare_tables *spares);

/* Opens the lowest slot that exists for an address; its table is locked only if the slot is not
 * empty, and then nothing may be written. */
void lh_slot_find(lh_slot *slot, lh_directory *directory, lh_virtual_address address);

/* The leaf that stands there, as it was when it was opened or written. */
static inline lh_leaf lh_slot_leaf(const lh_slot *slot)
{
	return lh_walk_leaf(&slot->walk);
}

/*
 * Writes a leaf of the slot's level where it is empty, or over one that names the same frame and
 * has no more rights (an upgrade). => LH_EXISTS: another leaf. Nothing changed.
 */
LH_MUST_USE lh_error lh_slot_write(lh_slot *slot, lh_leaf leaf);

/*
 * Writes a leaf over a NO_ACCESS one that names the frame old. The entry's holder passes: leaf
 * brings its own, the old one's is the caller's to drop.
 * => LH_EXISTS: another leaf, or none, stands there. Nothing changed.
 */
LH_MUST_USE lh_error lh_slot_replace(lh_slot *slot, lh_frame_number old, lh_leaf leaf);

/* To another address in the same table. => false: it is in another one, nothing done. */
LH_MUST_USE bool lh_slot_move(lh_slot *slot, lh_virtual_address address);

/* A table that it linked and left empty is taken out again, which flushes. */
void lh_slot_close(lh_slot *slot);

#endif
