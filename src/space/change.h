/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changing a space's regions: what unmap, protect, map over and a stack that grows share.
 *
 * Each is one transaction of the region tree (region_tree.h), under the map lock. The tree works out
 * what it will do and whether its spare regions suffice, then asks `prepare`; there the space checks
 * its own limits, takes the charge, and takes away what CPUs can reach: versions odd, leaves
 * cleared or restricted, flushed. Then the tree changes its regions, which cannot fail.
 *
 * Regions on objects. A region's range changes under its object's lock as well, and on that one's list
 * stands every region of the tree: `before` takes the lock, `after` brings the list up to date and lets it
 * go. At most one object is locked at a time. A region that maps over others is not yet on its object's
 * list when it comes into the tree; the versions of its range are odd until it is, so that no fault
 * installs what a truncation would not find. If it becomes one with the region above, it comes on the list
 * before that one leaves it, whose pages are there already.
 *
 * Huge leaves. None lies across the end of a region (space.h). So whoever cuts a region there, or takes pages or
 * rights of a part, splits first what straddles an end of his range, with the versions odd, that no fault brings
 * another; also where rights are only added, or advice changes.
 *
 * Spares. Most operations need none, so each is tried without first. Whether it is refused for that is
 * known only under the lock; nothing has changed then, so the lock is let go, up to as many as are ever
 * needed are taken, and it is tried again: the second answer is final.
 */
#ifndef LANDHOLD_SPACE_CHANGE_H
#define LANDHOLD_SPACE_CHANGE_H

#include "space/space.h"

typedef struct lh_space_change {
	lh_region_change tree;	/* first: the tree's hooks are given it */
	lh_space *space;
	lh_virtual_range range;
	lh_rights rights;	/* protect: the new ones */
	lh_region *fresh;	/* map over: the region that comes; on no object's list yet; else NULL */
	lh_object *locked;	/* between before and after */
	bool was_asked;		/* prepare was: the spares sufficed */
	bool is_taking;		/* the range's versions are odd */
	lh_spare_tables tables;	/* for splits of huge leaves */
} lh_space_change;

/* A change of a range of the space. Neither takes nor needs a lock. */
void lh_space_change_begin(lh_space_change *change, lh_space *space, lh_virtual_range range);
/* Gives back the spares that are left, and what died. Without a lock: objects may go with it. */
void lh_space_change_end(lh_space_change *change);

/* After a refusal, with no lock: spares, up to count. => true: some were lacking and are there now. */
bool lh_space_change_take_spares(lh_space_change *change, unsigned count);

/* --- under the map lock --- */

/* The versions become odd, if they are not; and even, if they are. */
void lh_space_change_publish(lh_space_change *change);
void lh_space_change_close(lh_space_change *change);

/* Whether the place that was asked for could be one. *range: the exact place, or empty. No lock. */
LH_MUST_USE lh_error lh_space_validate_place(const lh_space *space, const lh_map_request *request,
					     lh_virtual_range *range);
/* Places a region where a validated request says, other than over what is there, and puts it on its object's list. */
LH_MUST_USE lh_error lh_space_place(lh_space *space, const lh_map_request *request, lh_virtual_range range,
				    lh_region *region);

/* The prepare of who unmaps. */
LH_MUST_USE lh_error lh_space_change_unmap(lh_region_change *tree, const lh_region_survey *survey);

/* For prepare: what straddles an end of the range is split; the first publishes where that may be, and takes the
 * tables. => LH_NO_MEMORY: no table. */
LH_MUST_USE lh_error lh_space_change_prepare_split(lh_space_change *change);
void lh_space_change_split(lh_space_change *change);

/* For prepare: clears the range's leaves, flushes, and pays back what its regions' pages stood for. */
void lh_space_change_take_pages(lh_space_change *change, const lh_region_survey *survey);

#endif
