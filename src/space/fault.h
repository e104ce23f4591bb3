/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page faults.
 *
 * A fault looks, plans, lets go, has the work done, and commits after checking again:
 *
 *     plan     map lock: find the region, read the leaf, name the case
 *     prepare  holding nothing: a frame, zeroed or filled; the object's page; tables
 *     commit   map lock: region and leaf still as the plan saw them? then write the leaf
 *
 * If a check fails, everything is given back and the fault starts again.
 *
 * The cases, by what the leaf is (across) and what is asked (down). "private" and "shared" are
 * the region's; "own" is an ANONYMOUS frame, "shown" an object's:
 *
 *                  | empty,       | empty,          | zero page | own,         | own, more | shown,  | shown,
 *                  | anonymous    | object          |           | one holder   | holders   | private | shared
 *     -------------+--------------+-----------------+-----------+--------------+-----------+---------+--------
 *     read, exec   | ZERO         | SHOW            | UPGRADE   | UPGRADE      | UPGRADE   | UPGRADE | UPGRADE
 *     write        | FRESH        | COPY (private)  | FRESH     | UPGRADE      | COPY      | COPY    | UPGRADE
 *                  |              | SHOW (shared)   |           |              |           |         |
 *
 *     ZERO     map the zero page, read-only and uncounted
 *     FRESH    a frame, zeroed before anything can map it
 *     COPY     a frame with the bytes of the leaf's frame, or of the object's page
 *     SHOW     the object's page itself; DEVICE: a physical object's frame, uncounted
 *     UPGRADE  the same frame with more rights, in place
 *     NOTHING  the leaf has the right already: another CPU was faster, or this TLB is stale
 *
 * A leaf that is PRESENT is never overwritten by one that names another frame. FRESH and COPY over
 * such a leaf first make it NO_ACCESS, which still names and holds the old frame, then flush,
 * then replace it. If the last step finds the leaf changed, NO_ACCESS is a correct leaf to leave.
 *
 * A page is written in place only when its frame has one holder; commit looks at the count under
 * the lock of the leaf's table. Only fork, which needs the map lock, could raise it.
 */
#ifndef LANDHOLD_SPACE_FAULT_H
#define LANDHOLD_SPACE_FAULT_H

#include "object/surplus.h"
#include "space/space.h"

typedef enum lh_fault_case {
	LH_CASE_NOTHING,
	LH_CASE_ZERO,
	LH_CASE_FRESH,
	LH_CASE_COPY,
	LH_CASE_SHOW,
	LH_CASE_DEVICE,
	LH_CASE_UPGRADE
} lh_fault_case;

/* What one attempt knows. */
typedef struct lh_fault_plan {
	lh_space *space;
	lh_virtual_range page;	 /* one page */
	lh_rights access;

	/* plan */
	lh_fault_case name;
	const lh_region *region; /* with version: an identity to compare, not to look into */
	uint64_t version;
	lh_rights rights;	 /* the region's, and those that come with them */
	bool shared;
	lh_object *object;	 /* held, or NULL */
	uint64_t object_page;
	lh_leaf seen;
	lh_frame_number source;	 /* COPY: held; none: the object's page is still to be taken */

	/* prepare */
	lh_frame_number frame;	 /* held, to be passed to the leaf; none: the case needs none */
	lh_spare_tables tables;
	lh_surplus_share surplus; /* between begin and end, object/surplus.h */
	bool held;		 /* a promised frame was had; else it was refused */
	uint32_t returned;	 /* surplus: as seen before */

	lh_region_list dead;	 /* of a stack that grew: to be given back */
} lh_fault_plan;

/* Under the map lock. LH_FAULT_OK: the plan is made; else how the fault ends. */
lh_fault lh_fault_make_plan(lh_fault_plan *plan);

/* Holding nothing. LH_NO_MEMORY, LH_BAD_ADDRESS, LH_IO. What was taken stays in the plan. */
LH_MUST_USE lh_error lh_fault_prepare(lh_fault_plan *plan);

/* Under the map lock. => false: the world has changed, start again. */
bool lh_fault_commit(lh_fault_plan *plan);

/* Under the map lock. => false: region or leaf are not what the plan saw. */
bool lh_fault_is_current(const lh_fault_plan *plan);

/* Gives back what the plan still holds. No lock. */
void lh_fault_release(lh_fault_plan *plan);

#endif
