/* SPDX-License-Identifier: BSD-2-Clause */
/* Remap's part of the page tables: leaves taken from one place of a directory to another. */
#ifndef LANDHOLD_PAGING_MOVE_H
#define LANDHOLD_PAGING_MOVE_H

#include "paging/walk.h"

/*
 * Takes the spare tables that a move may need, one to work with included.
 * => is_kept: the directory's tables are kept from here to the move, and those that are there count; else none does.
 * => LH_NO_MEMORY: nothing taken.
 */
LH_MUST_USE lh_error lh_directory_prepare_move(lh_directory *directory, lh_virtual_range from,
					       lh_virtual_address to, bool is_kept, lh_spare_tables *spares);

/*
 * Moves every leaf of the range to the place as many pages from `to` as it was from the range's base. Holders,
 * rights, and what the CPU noted go with it. Each leaf appears there after the flush of where it was.
 * => the two ranges do not overlap; all of the second is empty; whatever puts leaves into either, or takes them
 *    from there, is kept off. (Who was at it already has a table's lock, or finds that its slot is another's.)
 * => tables are kept (lh_directory_keep_tables); from here on no more. Huge leaves do not straddle the range.
 * Context: interrupts on, no spinning lock: flushes.
 */
void lh_directory_move(lh_directory *directory, lh_virtual_range from, lh_virtual_address to,
		       lh_spare_tables *spares);

#endif
