/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables that become one leaf: what promotion (huge.c) and collapse (collapse.c) share. */
#ifndef LANDHOLD_PAGING_HUGE_H
#define LANDHOLD_PAGING_HUGE_H

#include "paging/walk.h"

/* All that the slot spans, of which the walk has one page. */
lh_virtual_range lh_walk_slot_span(const lh_walk *walk);

/* Stands the walk at the slot of a level, held, with the table that it names locked. => false: no table there. */
bool lh_walk_hold_table(lh_walk *walk, unsigned level, lh_frame_entry **table);

#endif
