/* SPDX-License-Identifier: BSD-2-Clause */
/* Pages whose frames lie anywhere, put together to one huge leaf by copying: collapse.c. */
#ifndef LANDHOLD_PAGING_COLLAPSE_H
#define LANDHOLD_PAGING_COLLAPSE_H

#include "paging/walk.h"

/* The level of the leaf, and so that of the tables that become one: those of pages. */
#define LH_COLLAPSE_LEVEL 1u

/*
 * May the leaf table at an address become one leaf by moving what its leaves name? zero: the frame that stands for
 * pages which are not there.
 * => LH_EXISTS: a huge leaf is there. LH_INVALID: no table, no leaf in it that names a frame of its own, or one that
 *    names what is no private page. LH_AGAIN: a frame has another holder or a pin, the table is shared, or a leaf is
 *    just being changed.
 */
LH_MUST_USE lh_error lh_directory_look_through(lh_directory *directory, lh_virtual_address address,
					       lh_frame_number zero);

/*
 * Does it: leaf, of LH_COLLAPSE_LEVEL, is what is to be there; its frames get the bytes of the pages, or zeroes where
 * there is none, and the frames that the pages had are dropped. Flushes.
 * => each frame of the leaf has its holder; nobody else can reach them.
 * => nobody takes a leaf there away, pins, or takes or gives rights, from before the call until it is over (the space's
 *    map lock, and its versions); whoever finds the leaf BUSY may make it NO_ACCESS.
 * => errors as above; nothing has changed then, and the holders are the caller's still.
 * Context: interrupts on, mutexes at most.
 */
LH_MUST_USE lh_error lh_directory_collapse(lh_directory *directory, lh_virtual_address address,
					   lh_frame_number zero, lh_leaf leaf);

#endif
