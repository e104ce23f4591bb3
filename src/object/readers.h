/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Readers: who looks at regions and objects without a lock that would keep them.
 *
 * A reader has interrupts off, and has put its CPU into the manager's set of readers, for good. What it reaches
 * may be given back to its pool while it looks, and serve again: it is a region, or an object, all the
 * same, and says by its version or its count of holders what it is. Only when a page of such a pool is to
 * become other memory all readers' CPUs are called first (lh_pool_trim): then those who were
 * looking have ended, and who comes later finds nothing that leads there.
 *
 * The reader stores (its bit) and then loads (the tree); who takes a page away has stored (the region is out of
 * its tree, the page out of the pool) and then loads (the set): both sequentially consistent.
 */
#ifndef LANDHOLD_OBJECT_READERS_H
#define LANDHOLD_OBJECT_READERS_H

#include "object/machine.h"

/* Interrupts go off until the end. => cpu: this one; what the end wants. */
uintptr_t lh_reading_begin(lh_manager *manager, unsigned *cpu);
void lh_reading_end(lh_manager *manager, uintptr_t interrupts);

/* Calls the readers' CPUs: who looks from now on finds what was stored before. Context: as for a flush. */
void lh_readers_wait(lh_manager *manager);

/*
 * After items were given back to a pool with readers: gives pages that are empty back to the frames. One of each front
 * stays, so that who takes an item just beyond a full page and gives it back, again and again, does not call all
 * readers' CPUs each time; none where memory is short. What stays is given back by lh_readers_reclaim, for which the
 * manager has a shrinker, and counts as free in its statistics.
 * => is_much: what lh_pool_give_back said, of any of the items. Context: as for a flush.
 */
void lh_readers_trim(lh_manager *manager, lh_pool *pool, bool is_much);

/* Gives back all that pools with readers keep. => frames. Context: as for a flush. */
uint64_t lh_readers_reclaim(lh_manager *manager);
/* How many frames that would be. */
uint64_t lh_readers_reserve(const lh_manager *manager);

#endif
