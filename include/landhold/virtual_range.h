/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtual_range: a base and a number of pages.
 *
 * Invariants of every range made here:
 *   the base is page-aligned; pages >= 1;
 *   base + pages never wraps, though the range may touch the last address.
 *
 * "In it" is (address - base) < size, counted in pages so that even the whole
 * 2^64 bytes can be said. An exclusive end is never computed: it would not exist
 * for a range that touches the last address. All arithmetic on ranges is checked
 * once, here; whoever holds an lh_virtual_range need not check it again.
 *
 * The empty range (pages == 0) is what "none" looks like in a field; no function
 * below makes one, and all but lh_virtual_range_is_empty refuse or ignore it.
 */
#ifndef LANDHOLD_VIRTUAL_RANGE_H
#define LANDHOLD_VIRTUAL_RANGE_H

#include <landhold/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lh_virtual_range {
	lh_virtual_address base; /* page-aligned */
	uint64_t pages;
} lh_virtual_range;

/* Pages in the whole 64-bit address space. */
#define LH_PAGES_MAX (UINT64_C(1) << (64 - LH_PAGE_SHIFT))

/*
 * Makes a range of pages.
 * => base in bytes, must be page-aligned; pages 1 to LH_PAGES_MAX.
 * => LH_INVALID: unaligned, empty or wrapping; *range is untouched.
 */
LH_MUST_USE lh_error lh_virtual_range_make(lh_virtual_address base, uint64_t pages,
					   lh_virtual_range *range);

/*
 * Makes the range of the pages that bytes [address, address + size) touch: the
 * base is rounded down, the end up.
 * => LH_INVALID: size 0, or the bytes wrap; *range is untouched.
 */
LH_MUST_USE lh_error lh_virtual_range_cover(lh_virtual_address address, uint64_t size,
					    lh_virtual_range *range);

/* The address of the last byte. */
static inline lh_virtual_address lh_virtual_range_last(lh_virtual_range range)
{
	return lh_virtual(range.base.value + ((range.pages << LH_PAGE_SHIFT) - 1));
}

/* The address of the last page. */
static inline lh_virtual_address lh_virtual_range_last_page(lh_virtual_range range)
{
	return lh_virtual(range.base.value + ((range.pages - 1) << LH_PAGE_SHIFT));
}

static inline bool lh_virtual_range_is_empty(lh_virtual_range range)
{
	return range.pages == 0;
}

/* True for a range that has the invariants above. */
static inline bool lh_virtual_range_is_valid(lh_virtual_range range)
{
	return lh_virtual_is_aligned(range.base) && range.pages != 0 &&
	       range.pages <= LH_PAGES_MAX - (range.base.value >> LH_PAGE_SHIFT);
}

static inline bool lh_virtual_range_contains(lh_virtual_range range, lh_virtual_address address)
{
	return (address.value - range.base.value) >> LH_PAGE_SHIFT < range.pages;
}

static inline bool lh_virtual_range_equals(lh_virtual_range a, lh_virtual_range b)
{
	return a.base.value == b.base.value && a.pages == b.pages;
}

/* True if every page of inner is one of outer. */
bool lh_virtual_range_covers(lh_virtual_range outer, lh_virtual_range inner);

/* True if the two have a page in common. */
bool lh_virtual_range_overlaps(lh_virtual_range a, lh_virtual_range b);

/*
 * The pages that both have. => false, *common untouched, where there is none.
 */
bool lh_virtual_range_intersect(lh_virtual_range a, lh_virtual_range b, lh_virtual_range *common);

/* True if b begins at the page after a's last one. */
bool lh_virtual_range_is_followed_by(lh_virtual_range a, lh_virtual_range b);

/* Pages from the range's base to the page of an address in it. */
static inline uint64_t lh_virtual_range_index(lh_virtual_range range, lh_virtual_address address)
{
	return (address.value - range.base.value) >> LH_PAGE_SHIFT;
}

/* The address of page number index; 0 <= index < pages. */
static inline lh_virtual_address lh_virtual_range_page(lh_virtual_range range, uint64_t index)
{
	return lh_virtual(range.base.value + (index << LH_PAGE_SHIFT));
}

#ifdef __cplusplus
}
#endif
#endif
