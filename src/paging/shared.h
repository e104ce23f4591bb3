/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Leaf tables that several directories share. A fork copies no table of which it can let both sides have the one that
 * is there; who first needs his own makes it, and who never does has paid for one entry.
 *
 *     before          parent: level 1 [ table T ]       T [ leaves, writable or not ]     holders of T: 1
 *     after the fork  parent: level 1 [ SHARED T ]      T the same                        holders of T: 2
 *                     child:  level 1 [ SHARED T ]
 *     one opens his   parent: level 1 [ table T' ]      T' a copy; neither may write      holders of T: 1
 *     then the other  child:  level 1 [ table T ]       T as it is                        holders of T: 1
 *
 * A SHARED leaf is not present. So no CPU walks to a shared table, and nothing in one is ever cached, or noted as
 * accessed or dirty: it stands still until somebody *opens* his SHARED leaf, which is what the first access below it
 * does, be it a read. What it costs is that fault, one for each table that is used again after a fork, by either
 * side; to copy the table then costs what the fork saved. (With the table left in both trees, and only the right to
 * write taken from the upper entries, reads would be free. But each opening would have to flush, not every format has
 * rights in upper entries, and everybody who comes to a leaf table would have to ask whose it is, at each step of the
 * fault path. A SHARED leaf is passed like a huge one, which everybody knows: who wants a part of it opens it first,
 * as he would split that; who takes it whole drops it.)
 *
 * Holders. A table's frame has a holder for each directory. What its leaves name has one holder for the table, not for
 * each directory. To copy it adds one to each, and takes the right to write from both. The last one's table keeps the
 * rights that it has: so after a fork whose child is gone, what the parent could write it can write again.
 *
 * When a part may be dropped. Who only reads (query, read, visit) goes through a SHARED leaf into the table, his CPU
 * being in his directory's sets. So the part goes through a gather: those CPUs are called first. That others may then
 * be reading by their own parts is nothing to whoever leaves; the last one's readers are his own.
 *
 * How a table becomes shared. It leaves the tree as one that is freed does (walk.h): locked, its entry replaced, the parts
 * marked stale. It stays locked until the fork has flushed and called who walks: then nobody is on his way to it, and
 * it is unlocked. Whoever was on his way before finds it locked and begins again, at the SHARED leaf. A BUSY leaf in it
 * becomes one without access, which that flush makes true; its owner finds his slot gone.
 *
 * Locks. SHARED leaves come and go under the space's map lock, and their slot's table's lock: so for who holds that they are
 * as many as before, and a table that only this directory has stays its own. A shared table's lock is held while it is
 * copied, since two may copy it at the same time.
 */
#ifndef LANDHOLD_PAGING_SHARED_H
#define LANDHOLD_PAGING_SHARED_H

#include "paging/walk.h"

/* The level of SHARED leaves. */
#define LH_SHARED_LEVEL 1u

/* Tables of the original that are shared, and not let go yet. Zeroed: none. */
typedef struct lh_sharing {
	uint64_t in_hand; /* a chain */
	bool is_allowed;  /* leaf tables that the range covers may be shared; else only those that are so already */
} lh_sharing;

/*
 * The leaf table at the first page of what an entry of LH_SHARED_LEVEL spans, or the SHARED leaf there, becomes one of both
 * directories. Nothing where there is neither, or the table is empty.
 * => the original's map lock; no leaf comes there or is changed until lh_directory_share_end, but that BUSY ones may be
 *    settled; all leaves name anonymous frames that are not pinned, or are not counted. The copy has nothing there, and
 *    its tables are kept; spares: those that it lacks above.
 * => the gather, begun on the original, learns what is to be flushed before that end.
 */
void lh_directory_share(lh_directory *from, lh_directory *to, lh_virtual_address address, lh_spare_tables *spares,
			lh_sharing *sharing, lh_gather *gather);
/* => the gather is flushed. */
void lh_directory_share_end(lh_directory *from, lh_sharing *sharing);

/* Tables that it takes to open the SHARED leaves that the range has a part of. => the map lock */
uint64_t lh_directory_tables_to_open(lh_directory *directory, lh_virtual_range range);
/*
 * Opens them. What an address means does not change. => LH_NO_MEMORY: the spares do not suffice; what was opened stays
 * so, which nobody can tell.
 * => the map lock; interrupts on, no spinning lock.
 */
LH_MUST_USE lh_error lh_directory_open_shared(lh_directory *directory, lh_virtual_range range,
					      lh_spare_tables *spares);

#endif
