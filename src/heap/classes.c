/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Size classes, computed: 16 to 128 by 16 (classes 0 to 7), then four steps a doubling
 * (160, 192, 224, 256; 320 ...), so no more than a fifth is lost by rounding up. A size is a
 * multiple of its alignment: items of 96 bytes lie at multiples of 32, those of 128 at
 * multiples of 128.
 */
#include "heap/heap_internal.h"

uint64_t lh_heap_class_size(uint32_t size_class)
{
	uint32_t shift = size_class < STEPS ? 0 : size_class / STEPS - 1;

	return (uint64_t)(size_class - shift * STEPS + 1) * ITEM_LEAST << shift;
}

/*
 * The fewest pages, two at the least for what a descriptor costs, that hold eight items and waste
 * no more than an eighth; of few items, as many pages as they fill, which there are for each class.
 */
uint64_t lh_heap_class_pages(uint32_t size_class)
{
	uint64_t size = lh_heap_class_size(size_class), pages;

	for (pages = SLAB_PAGES_LEAST; pages < SLAB_PAGES_MOST; pages *= 2) {
		uint64_t bytes = pages << LH_PAGE_SHIFT;

		if (bytes / size >= 8 && bytes % size <= bytes / 8)
			return pages;
	}
	while ((pages << LH_PAGE_SHIFT) % size != 0)
		pages--;
	return pages;
}

/* Of many items as many as a descriptor has states for. */
uint64_t lh_heap_class_pages_most(uint32_t size_class)
{
	uint64_t pages = SLAB_PAGES_MOST;

	if (lh_heap_class_pages(size_class) > SLAB_PAGES_MOST / 2)
		return lh_heap_class_pages(size_class);
	while (lh_heap_class_items(size_class, pages) > ITEMS_MOST)
		pages /= 2;
	return pages;
}

uint64_t lh_heap_class_items(uint32_t size_class, uint64_t pages)
{
	return size_class == LARGE ? 1 : (pages << LH_PAGE_SHIFT) / lh_heap_class_size(size_class);
}

uint32_t lh_heap_class_for(uint64_t bytes, uint64_t alignment)
{
	uint32_t size_class;

	if (bytes > LH_HEAP_CLASS_LARGEST || alignment > LH_PAGE_SIZE)
		return LARGE;
	size_class = lh_heap_class_of_size(bytes);
	while (size_class < LARGE && lh_heap_class_size(size_class) % alignment != 0)
		size_class++;
	return size_class;
}
