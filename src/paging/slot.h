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
 *
 * A huge leaf lies in no leaf table: a visitor passes an upper slot that is empty by a load, no lock taken. There a
 * BUSY leaf plays the part of the link:
 *
 *     who installs                          who takes away
 *     holds the table that the slot is in   publishes (the version is odd)
 *     slot: BUSY                            loads the slot: empty, passes on;
 *     looks: has anybody published?             or not: takes the lock, which waits for the installer, and
 *     slot: PRESENT; or empty, as it was        sees what he left
 *     lets go
 *
 * All of these being sequentially consistent, a visitor that found the slot empty had published before the installer
 * looked, so no leaf is left; and a BUSY leaf grants nothing while that is decided.
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

/* Opens the lowest slot that exists for an address, without a lock: what it holds may be read. */
void lh_slot_find(lh_slot *slot, lh_directory *directory, lh_virtual_address address);
/* Takes the lock of its table, and looks again: then it may be written, at its level. Where it is empty
 * by now no lock is taken. => from lh_slot_find. */
void lh_slot_hold(lh_slot *slot);

/* The leaf that stands there, as it was when it was opened or written. In most faults there is none. */
static inline lh_leaf lh_slot_leaf(const lh_slot *slot)
{
	return slot->walk.entry == 0 ? lh_leaf_empty(slot->walk.level) : lh_walk_leaf(&slot->walk);
}

/* True if the leaf, which was seen in this entry of the same address, stands there still. => false: decode it. */
static inline bool lh_slot_has(const lh_slot *slot, uint64_t entry, lh_leaf leaf)
{
	return slot->walk.entry == entry && slot->walk.level == leaf.level;
}

/*
 * Writes a leaf of the slot's level where it is empty or a mark, or over one that names the same frame
 * and has no more rights (an upgrade). => LH_EXISTS: another leaf. Nothing changed.
 */
LH_MUST_USE lh_error lh_slot_write(lh_slot *slot, lh_leaf leaf);

/*
 * Writes a present leaf of an upper level where nothing is, if what it was planned by still holds once every visitor
 * sees that the slot is in use (above). => is_right: called with the table's lock held.
 * => false: something is there, or is_right said no. Nothing changed.
 */
LH_MUST_USE bool lh_slot_write_huge(lh_slot *slot, lh_leaf leaf, bool (*is_right)(const void *context),
				    const void *context);

/*
 * Putting a leaf in the place of a live one that names another frame, in two steps with a flush
 * between them. The first writes a BUSY leaf, which names the new frame and has its holder already,
 * and grants nothing; the old one's holder passes to the gather. The second writes what is wanted
 * over the BUSY leaf that names this frame.
 *
 * In between the lock may go. Anybody may then take the BUSY leaf away. Anybody may take the second
 * step, after a flush of his own begun since he saw the leaf BUSY. Who takes the second step after he
 * let the lock go had a holder of the frame all the time: BUSY leaves name fresh frames only, so it is
 * still the same change that he finds, and not a later one with the same frame.
 *
 * => the gather has room. The second: => false: no such leaf; nothing changed.
 */
void lh_slot_withdraw(lh_slot *slot, lh_leaf leaf, lh_gather *gather);
bool lh_slot_settle(lh_slot *slot, lh_leaf leaf);

/*
 * Flushes what the gather noted if no other CPU can hold it: then the second step may follow at
 * once. What it gathered is dropped by lh_gather_flush, later. => in a walk, which holds the table.
 * => false: not done; the directory notes that BUSY leaves may be found.
 */
LH_MUST_USE bool lh_gather_flush_here(lh_gather *gather);

/* To another address in the same table. => false: it is in another one, nothing done. */
LH_MUST_USE bool lh_slot_move(lh_slot *slot, lh_virtual_address address);

/* A table that it linked and left empty is taken out again, which flushes. */
void lh_slot_close(lh_slot *slot);

#endif
