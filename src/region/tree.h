/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the region tree share. tree.c's head comment has the theory.
 *
 * Inside, places are page numbers (address >> LH_PAGE_SHIFT): there an exclusive
 * end always exists, at most LH_PAGES_MAX, and adding a guard to it cannot wrap.
 */
#ifndef LANDHOLD_REGION_TREE_INTERNAL_H
#define LANDHOLD_REGION_TREE_INTERNAL_H

#include <landhold/region_tree.h>

#include "base/atomic.h"

enum { LH_LOWER, LH_HIGHER };	/* sides of a node: indexes of child[] */
enum { LH_BLACK, LH_RED };	/* colours */

/* Page numbers first <= n < end; nothing where end <= first. */
struct lh_page_span {
	uint64_t first;
	uint64_t end;
};

static inline struct lh_page_span lh_span_of(lh_virtual_range range)
{
	uint64_t first = range.base.value >> LH_PAGE_SHIFT;
	struct lh_page_span span = { first, first + range.pages };

	return span;
}

static inline lh_virtual_range lh_span_range(uint64_t first, uint64_t pages)
{
	lh_virtual_range range = { lh_virtual(first << LH_PAGE_SHIFT), pages };

	return range;
}

static inline uint64_t lh_span_pages(struct lh_page_span span)
{
	return span.end > span.first ? span.end - span.first : 0;
}

static inline bool lh_span_covers(struct lh_page_span outer, struct lh_page_span inner)
{
	return inner.first >= outer.first && inner.end <= outer.end;
}

/*
 * The pages that a region with these guards may have between two neighbours; NULL
 * stands for an end of the tree. The one place that says what a guard means.
 */
struct lh_page_span lh_region_room(const lh_region_tree *tree, const lh_region *below,
				   const lh_region *above, uint32_t guard_before,
				   uint32_t guard_after);

/* The value that gap_before has in a region that follows this one: room without guards. */
static inline uint64_t lh_region_gap(const lh_region_tree *tree, const lh_region *below,
				     const lh_region *above)
{
	return lh_span_pages(lh_region_room(tree, below, above, 0, 0));
}

static inline uint64_t lh_gap_largest(const lh_region *region)
{
	return region ? region->gap_largest : 0;
}

/* True for a region that was built and is in no tree. */
static inline bool lh_region_is_placeable(const lh_region *region)
{
	return !region->tree && (region->version & 1) != 0;
}

/* Versions and sequences: begin makes odd, end makes even; neither ever lowers.
 * A value that is odd already (its owner published the change earlier) stays as it is. */
static inline void lh_version_begin(uint64_t *version)
{
	lh_atomic_store_total(version, *version | 1);
}

static inline void lh_version_end(uint64_t *version)
{
	lh_atomic_store_total(version, (*version | 1) + 1);
}

/* balance.c: all called with the tree's sequence odd. */

/* Recomputes gap_before of a region, if not NULL, and gap_largest from it to the root. */
void lh_region_refresh(lh_region_tree *tree, lh_region *region);
/* Links a region, whose range is set, in between two neighbours of which either may be NULL. */
void lh_region_link(lh_region_tree *tree, lh_region *region, lh_region *below, lh_region *above);
void lh_region_unlink(lh_region_tree *tree, lh_region *region);

/* tree.c */

/* The last step of every placement: gives the region its range and links it. */
void lh_region_commit(lh_region_tree *tree, lh_region *region, lh_virtual_range range,
		      lh_region *below, lh_region *above);
/* The region's outermost descendant on a side, or the region itself. */
lh_region *lh_region_outermost(lh_region *region, unsigned side);
/* The in-order neighbour on a side, or NULL. */
lh_region *lh_region_neighbour(const lh_region *region, unsigned side);

#endif
