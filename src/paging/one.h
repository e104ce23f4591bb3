/* SPDX-License-Identifier: BSD-2-Clause */
/* The short ways of operations on ranges, for those that are one leaf. */
#ifndef LANDHOLD_PAGING_ONE_H
#define LANDHOLD_PAGING_ONE_H

#include "paging/near.h"

/*
 * If the range is one page, or what one huge leaf of level 1 spans, in a table that this CPU remembers: does it
 * as lh_directory_clear_range and lh_directory_restrict_range would, and flushes, where nobody else must.
 * => false: not done.
 */
bool lh_one_clear(lh_directory *directory, lh_virtual_range range, lh_gather *gather);
bool lh_one_restrict(lh_directory *directory, lh_virtual_range range, lh_rights rights, lh_gather *gather);

#endif
