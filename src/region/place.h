/* SPDX-License-Identifier: BSD-2-Clause */
/* What lowest-fit and random placement share: a request, and the search for holes that suit it. */
#ifndef LANDHOLD_REGION_PLACE_H
#define LANDHOLD_REGION_PLACE_H

#include "region/tree.h"

/* A placement, checked, in page numbers. */
struct lh_request {
	struct lh_page_span limits;
	uint64_t pages;
	uint64_t mask;		/* of the alignment */
	uint32_t guard_before;
	uint32_t guard_after;
	/* What every hole that suits has at least, but for the first and the last of the tree. */
	unsigned class;
	uint32_t room;
	unsigned gap;		/* its code */
};

/* LH_INVALID as place_anywhere has it. */
lh_error lh_request_make(const lh_region_tree *tree, const lh_region *region,
			 const lh_placement *placement, struct lh_request *request);

/* The bases that the region may have in the path's cell: first <= base < end, all aligned
 * ones legal. => false: none. */
bool lh_request_slots(const lh_region_tree *tree, const struct lh_request *request,
		      const lh_region_cursor *path, struct lh_page_span *slots);

/*
 * Leads to the first cell with a slot, upward from the lower limit or downward from the upper.
 * => slots: as above; LH_NO_HOLE: none.
 */
lh_error lh_request_search(const lh_region_tree *tree, const struct lh_request *request, bool is_up,
			   lh_region_cursor *path, struct lh_page_span *slots);
/* To the next one after the path's. => false: none; the path is spoilt. */
bool lh_request_search_on(const lh_region_tree *tree, const struct lh_request *request, bool is_up,
			  lh_region_cursor *path, struct lh_page_span *slots);

static inline uint64_t lh_request_align_up(const struct lh_request *request, uint64_t page)
{
	/* Page numbers stay below 2^53 and the mask below 2^63: no wrap. */
	return (page + request->mask) & ~request->mask;
}

#endif
