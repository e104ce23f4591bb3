/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Versions: by what a fault that commits without the map lock knows that its plan still holds.
 *
 * The address space is cut into pieces of 2 MiB, and each piece has one of the space's few versions.
 * Whoever takes something away from a range (unmap, protect where it takes a right, fork, which takes
 * the right to write) holds the map lock, makes the versions of the range odd, visits the leaves, flushes,
 * changes the regions, and makes the versions even. They only grow.
 *
 * A fault reads the version of its page, then finds the region: under the map lock where the version is odd,
 * so that it waits for whoever is at it. And it reads the version again when it holds the lock of the leaf's table.
 * If it is the same, then no visitor has passed this table since the plan: a visitor publishes before it comes,
 * and whoever links a table does that before he looks (paging/slot.h). If it is not, the fault starts again.
 * What only adds (map, a stack that grows, protect that gives rights) and what only cuts regions in other
 * pieces (split, merge) changes no version: a plan made before is still one that could have been made
 * after, with fewer rights perhaps.
 *
 * Why not a version in each region, to be read through a pointer that the plan keeps? The region may have been
 * given back to its pool by then, and the page to somebody who writes to it what he likes: giving back a
 * page of the pool waits for those who look regions up, with interrupts off; to wait for whole faults it would have
 * to wait for I/O. Versions that belong to the space are there as long as anybody faults in it. The price: two
 * ranges that share a version disturb each other, and a fault then plans twice.
 *
 * A fork makes all versions odd: the space is frozen for as long as it takes.
 */
#ifndef LANDHOLD_SPACE_VERSION_H
#define LANDHOLD_SPACE_VERSION_H

#include "space/space.h"

/* A piece is what one leaf table of the usual formats spans: a visitor's step. */
#define LH_SPACE_PIECE_PAGES UINT64_C(512)

/* The piece that an address lies in. */
static inline lh_virtual_range lh_space_piece(lh_virtual_address address)
{
	uint64_t bytes = LH_SPACE_PIECE_PAGES << LH_PAGE_SHIFT;

	return (lh_virtual_range){ lh_virtual(address.value & ~(bytes - 1)), LH_SPACE_PIECE_PAGES };
}

/* Its version. */
uint64_t lh_space_version(const lh_space *space, lh_virtual_address address);

/* Under the map lock, and not one range within another. */
void lh_space_begin_taking(lh_space *space, lh_virtual_range range);
void lh_space_end_taking(lh_space *space, lh_virtual_range range);
/* The same of two ranges, which may share versions. */
void lh_space_begin_taking_both(lh_space *space, lh_virtual_range one, lh_virtual_range other);
void lh_space_end_taking_both(lh_space *space, lh_virtual_range one, lh_virtual_range other);
/* Of the whole range of the space, which is being taken, but what two ranges have. */
void lh_space_end_taking_but(lh_space *space, lh_virtual_range one, lh_virtual_range other);

#endif
