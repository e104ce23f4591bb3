/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Size classes, computed: 16 to 128 by 16 (classes 0 to 7), then four steps a doubling
 * (160, 192, 224, 256; 320 ...), so no more than a fifth is lost by rounding up. A size is a
 * multiple of its alignment: items of 96 bytes lie at multiples of 32, those of 128 at
 * multiples of 128.
 */
#include "heap/heap_internal.h"

#define STEPS 4 /* classes a doubling */

/* In units less one, what is asked for lies in [STEPS << shift, 2 * STEPS << shift), or below, where shift is 0. */
#define AT(units, shift) (uint8_t)(((units) >> (shift)) + (shift) * STEPS)
#define CLASS(units) \
	((units) < 8 ? AT(units, 0) : (units) < 16 ? AT(units, 1) : (units) < 32 ? AT(units, 2) : \
	 (units) < 64 ? AT(units, 3) : (units) < 128 ? AT(units, 4) : (units) < 256 ? AT(units, 5) : \
	 (units) < 512 ? AT(units, 6) : AT(units, 7))
#define CLASSES_4(u) CLASS(u), CLASS((u) + 1), CLASS((u) + 2), CLASS((u) + 3)
#define CLASSES_16(u) CLASSES_4(u), CLASSES_4((u) + 4), CLASSES_4((u) + 8), CLASSES_4((u) + 12)
#define CLASSES_64(u) CLASSES_16(u), CLASSES_16((u) + 16), CLASSES_16((u) + 32), CLASSES_16((u) + 48)

const uint8_t lh_heap_class_of_units[LH_HEAP_CLASS_LARGEST / ITEM_LEAST] = {
	CLASSES_64(0),	 CLASSES_64(64),  CLASSES_64(128), CLASSES_64(192), CLASSES_64(256),
	CLASSES_64(320), CLASSES_64(384), CLASSES_64(448), CLASSES_64(512), CLASSES_64(576),
};

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
