/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a page of the reservation to its run and its frame's bytes: a radix tree of three levels, the top
 * one in the heap itself, the others frames that come and go with the runs in them. Each
 * upper entry counts the pages in use below it, beside the frame's number.
 *
 * Written under the heap's lock; read without. Whoever has an address was given it after its page was
 * entered, and the page stays until he gives it back. A stray address finds NULL, or some
 * run, or a table that is just being freed: as with all misuse, what is seen then is luck.
 */
#include "heap/heap_internal.h"

#include "object/machine.h"

#define USED_MASK UINT64_C(0xffff)
#define ONE_FRAME UINT64_C(0x10000)

static lh_error make_table(lh_heap *heap, lh_heap_table *entry)
{
	lh_frame_number frame;
	void *entries;

	if (entry->entries)
		return LH_OK;
	LH_TRY(lh_heap_frame_take(heap, &frame, &entries));
	entry->frame_and_used = frame.value * ONE_FRAME;
	lh_atomic_store(&entry->entries, entries);
	return LH_OK;
}

static void use_less(lh_heap *heap, lh_heap_table *entry, uint64_t count)
{
	uint64_t frame = entry->frame_and_used / ONE_FRAME;

	LH_ASSERT(lh_heap_port(heap), (entry->frame_and_used & USED_MASK) >= count);
	entry->frame_and_used -= count;
	if ((entry->frame_and_used & USED_MASK) != 0)
		return;
	lh_atomic_store(&entry->entries, NULL);
	entry->frame_and_used = 0;
	lh_heap_frame_give_back(heap, lh_frame(frame));
}

static lh_heap_table *top_of(lh_heap *heap, uint64_t page)
{
	return &heap->map[page / (MAP_ENTRIES * MAP_ENTRIES)];
}

static lh_heap_table *middle_of(lh_heap *heap, uint64_t page)
{
	lh_heap_table *middle = top_of(heap, page)->entries;

	return &middle[page / MAP_ENTRIES % MAP_ENTRIES];
}

static lh_error hold_page(lh_heap *heap, uint64_t page)
{
	lh_heap_table *top = top_of(heap, page), *middle;
	lh_error error;

	LH_TRY(make_table(heap, top));
	middle = middle_of(heap, page);
	if (!middle->entries) {
		error = make_table(heap, middle);
		if (error == LH_OK)
			top->frame_and_used++;
		else
			use_less(heap, top, 0);
		LH_TRY(error);
	}
	middle->frame_and_used++;
	return LH_OK;
}

static void release_page(lh_heap *heap, uint64_t page)
{
	lh_heap_table *middle = middle_of(heap, page);
	struct lh_heap_page *leaf = middle->entries;

	lh_atomic_store_relaxed(&leaf[page % MAP_ENTRIES].run, NULL);
	leaf[page % MAP_ENTRIES].bytes = NULL;
	use_less(heap, middle, 1);
	if (!middle->entries)
		use_less(heap, top_of(heap, page), 1);
}

static uint64_t number_of(const lh_heap *heap, lh_virtual_address address)
{
	return (address.value - heap->base) >> LH_PAGE_SHIFT;
}

lh_error lh_heap_map_hold_locked(lh_heap *heap, lh_virtual_range range)
{
	uint64_t first = number_of(heap, range.base);

	for (uint64_t page = 0; page < range.pages; page++) {
		lh_error error = hold_page(heap, first + page);

		if (error == LH_OK)
			continue;
		while (page-- != 0)
			release_page(heap, first + page);
		return error;
	}
	return LH_OK;
}

void lh_heap_map_release_locked(lh_heap *heap, lh_virtual_range range)
{
	uint64_t first = number_of(heap, range.base);

	for (uint64_t page = 0; page < range.pages; page++)
		release_page(heap, first + page);
}

struct entering {
	lh_heap *heap;
	struct lh_heap_run *run;
};

static bool enter_leaf(void *context, lh_virtual_address address, lh_leaf *leaf)
{
	const struct entering *entering = context;
	struct lh_heap_page *page = lh_heap_page_of(entering->heap, address.value);

	page->bytes = lh_frame_pointer(entering->heap->pools[0].frames, leaf->frame);
	lh_atomic_store(&page->run, entering->run);
	return true;
}

/* The tables say which frames the memory manager has taken. */
void lh_heap_map_enter(lh_heap *heap, struct lh_heap_run *run, uint64_t first)
{
	struct entering entering = { heap, run };
	lh_virtual_range range = { lh_virtual_range_page(run->region.range, first),
				   run->region.range.pages - first };

	lh_directory_visit(&heap->manager->kernel_directory, range, enter_leaf, &entering);
}

/* --- the walker --- */

static bool is_in_run(const lh_heap *heap, const struct lh_heap_page *entry, uint64_t page)
{
	uint64_t address = heap->base + (page << LH_PAGE_SHIFT);

	return lh_virtual_range_contains(entry->run->region.range, lh_virtual(address)) &&
	       lh_region_tree_find(&heap->runs, lh_virtual(address)) == &entry->run->region;
}

static const char *check_leaf(const lh_heap *heap, const lh_heap_table *table, uint64_t first,
			      uint64_t *pages)
{
	const struct lh_heap_page *leaf = table->entries;
	uint64_t used = 0;

	for (uint64_t i = 0; i < MAP_ENTRIES; i++) {
		if (!leaf[i].run)
			continue;
		if (!leaf[i].bytes || !is_in_run(heap, &leaf[i], first + i))
			return "the map of a heap names the wrong run";
		used++;
	}
	*pages += used;
	return used == (table->frame_and_used & USED_MASK) ? NULL : "a table of the map is miscounted";
}

static const char *check_middle(const lh_heap *heap, const lh_heap_table *table, uint64_t first,
				uint64_t *pages)
{
	const lh_heap_table *middle = table->entries;
	const char *finding = NULL;
	uint64_t used = 0;

	for (uint64_t i = 0; !finding && i < MAP_ENTRIES; i++) {
		if (!middle[i].entries)
			continue;
		finding = check_leaf(heap, &middle[i], first + i * MAP_ENTRIES, pages);
		used++;
	}
	if (!finding && used != (table->frame_and_used & USED_MASK))
		finding = "an upper table of the map is miscounted";
	return finding;
}

const char *lh_heap_map_check(lh_heap *heap)
{
	const char *finding = NULL;
	uint64_t pages = 0;

	for (uint64_t i = 0; !finding && i < LH_HEAP_TABLES; i++)
		if (heap->map[i].entries)
			finding = check_middle(heap, &heap->map[i], i * MAP_ENTRIES * MAP_ENTRIES,
					       &pages);
	if (!finding && pages != heap->page_count)
		finding = "the map of a heap has not the pages of its runs";
	return finding;
}
