/* SPDX-License-Identifier: BSD-2-Clause */
#include <landhold/virtual_range.h>

/* Pages from the one that an address lies in to the last of the address space. */
static uint64_t pages_from(lh_virtual_address address)
{
	return LH_PAGES_MAX - (address.value >> LH_PAGE_SHIFT);
}

lh_error lh_virtual_range_make(lh_virtual_address base, uint64_t pages, lh_virtual_range *range)
{
	if (!lh_virtual_is_aligned(base) || pages == 0 || pages > pages_from(base))
		return LH_INVALID;
	range->base = base;
	range->pages = pages;
	return LH_OK;
}

lh_error lh_virtual_range_cover(lh_virtual_address address, uint64_t size, lh_virtual_range *range)
{
	uint64_t last = address.value + (size - 1);
	uint64_t first_page = address.value >> LH_PAGE_SHIFT;

	if (size == 0 || last < address.value)
		return LH_INVALID;
	range->base = lh_virtual(first_page << LH_PAGE_SHIFT);
	range->pages = (last >> LH_PAGE_SHIFT) - first_page + 1;
	return LH_OK;
}

bool lh_virtual_range_covers(lh_virtual_range outer, lh_virtual_range inner)
{
	uint64_t index = lh_virtual_range_index(outer, inner.base);

	return !lh_virtual_range_is_empty(inner) && inner.base.value >= outer.base.value &&
	       index < outer.pages && inner.pages <= outer.pages - index;
}

bool lh_virtual_range_overlaps(lh_virtual_range a, lh_virtual_range b)
{
	if (lh_virtual_range_is_empty(a) || lh_virtual_range_is_empty(b))
		return false;
	return lh_virtual_range_contains(a, b.base) || lh_virtual_range_contains(b, a.base);
}

bool lh_virtual_range_intersect(lh_virtual_range a, lh_virtual_range b, lh_virtual_range *common)
{
	lh_virtual_range higher = a.base.value >= b.base.value ? a : b;
	lh_virtual_range lower = a.base.value >= b.base.value ? b : a;
	uint64_t index = lh_virtual_range_index(lower, higher.base);

	if (!lh_virtual_range_overlaps(a, b))
		return false;
	common->base = higher.base;
	common->pages = higher.pages < lower.pages - index ? higher.pages : lower.pages - index;
	return true;
}

bool lh_virtual_range_is_followed_by(lh_virtual_range a, lh_virtual_range b)
{
	return b.base.value == a.base.value + (a.pages << LH_PAGE_SHIFT) && b.base.value != 0;
}
