/* SPDX-License-Identifier: BSD-2-Clause */
/* Fork's part of the page tables: private leaves copied to another directory, a leaf table at a time. */
#ifndef LANDHOLD_PAGING_COPY_H
#define LANDHOLD_PAGING_COPY_H

#include "paging/pinned.h"
#include "paging/shared.h"

/* The tables that ranges cross, in order of address. Zeroed: none yet. */
typedef struct lh_tables_passed {
	uint64_t count;				/* below the root */
	uint64_t last[LH_PAGING_LEVELS_MAX];	/* by level: the last one's number, from 1 */
} lh_tables_passed;

/*
 * Has the lock of each leaf table of the range once, and of each table that has a huge leaf there: when it returns,
 * everybody who had one before has let it go, and what he did is seen; who gets one since sees what the caller published before. Counts the tables met
 * that no range before had; are_shared: but for the leaf tables that the range covers.
 * => ranges come in ascending order. A table that was there all the time is counted, others may be.
 */
void lh_directory_pass_locks(lh_directory *directory, lh_virtual_range range, bool are_shared,
			     lh_tables_passed *passed);

/*
 * Copies the leaves of a range that name private frames (counted, ANONYMOUS) to another directory, whose leaves
 * there are empty, huge ones as huge ones: each frame gets a holder, and both leaves are without the right to write.
 * What is BUSY is NO_ACCESS in the copy. Of a pinned frame, which no huge leaf names, the copy has another, which is
 * not filled yet. Leaf tables that the range covers are shared with all that is in them, where that is allowed or they
 * are so already. The gather, begun on `from`, learns what has to be flushed.
 * => leaves of the range may go meanwhile, none comes, none is split, and it has huge ones wholly; nobody writes to
 *    those of `to`, whose tables are kept
 *    (lh_directory_keep_tables).
 * => spares: a table for each that the range crosses in `from` and `to` lacks, but for those shared. pinned: a frame
 *    for each pinned one; NULL: none is. sharing: as lh_directory_share wants it; whose end is the caller's.
 */
void lh_directory_copy(lh_directory *from, lh_directory *to, lh_virtual_range range, lh_spare_tables *spares,
		       lh_pinned_copies *pinned, lh_sharing *sharing, lh_gather *gather);

#endif
