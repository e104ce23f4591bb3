/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a page of the reservation to its run and its frame's bytes: a radix tree of three levels, the top
 * one in the heap itself, the others frames that come and go with the runs in them. Each
 * upper entry counts the pages in use below it, beside the frame's number. Where there is no table, one without
 * entries stands in its place, so that the ways down are free of questions.
 *
 * Written under the heap's lock; read without. Whoever has an address was given it after its page was
 * entered, and the page stays until he gives it back. A stray address finds no run, or some
 * run, or a table that is just being freed: as with all misuse, what is seen then is luck.
 */
#include "heap/heap_internal.h"

#include "base/memory.h"
#include "object/machine.h"

const struct lh_heap_leaf lh_heap_no_leaf;

#define TABLES_4(table) (void *)&(table), (void *)&(table), (void *)&(table), (void *)&(table)
#define TABLES_16(table) TABLES_4(table), TABLES_4(table), TABLES_4(table), TABLES_4(table)
#define TABLES_64(table) TABLES_16(table), TABLES_16(table), TABLES_16(table), TABLES_16(table)

static const lh_heap_table no_middle = {
	.tables = { TABLES_64(lh_heap_no_leaf), TABLES_64(lh_heap_no_leaf), TABLES_64(lh_heap_no_leaf),
		    TABLES_64(lh_heap_no_leaf) },
};

_Static_assert(MAP_ENTRIES == 256, "a table has four times 64 entries");

#define USED_MASK UINT64_C(0xffff)
#define ONE_FRAME UINT64_C(0x10000)

/* What stands in an upper table for a table that is not there. */
static void *nothing_below(const lh_heap *heap, const lh_heap_table *upper)
{
	return upper == &heap->map ? (void *)(uintptr_t)&no_middle : (void *)(uintptr_t)&lh_heap_no_leaf;
}

static bool is_there(const lh_heap *heap, const lh_heap_table *upper, uint64_t at)
{
	return upper->tables[at] != nothing_below(heap, upper);
}

void lh_heap_map_init(lh_heap *heap)
{
	for (uint64_t i = 0; i < MAP_ENTRIES; i++)
		heap->map.tables[i] = nothing_below(heap, &heap->map);
}

/* The table below an upper one, where there may be none yet. */
static lh_error make_table(lh_heap *heap, lh_heap_table *upper, uint64_t at)
{
	lh_frame_number frame;
	void *table;

	if (is_there(heap, upper, at))
		return LH_OK;
	LH_TRY(lh_heap_frame_take(heap, &frame, &table));
	if (upper == &heap->map)
		memcpy(table, &no_middle, sizeof no_middle);
	upper->frames_and_used[at] = frame.value * ONE_FRAME;
	lh_atomic_store(&upper->tables[at], table);
	return LH_OK;
}

/* => true: the table has gone with its last entry. */
static bool use_less(lh_heap *heap, lh_heap_table *upper, uint64_t at, uint64_t count)
{
	uint64_t frame = upper->frames_and_used[at] / ONE_FRAME;

	LH_ASSERT(lh_heap_port(heap), (upper->frames_and_used[at] & USED_MASK) >= count);
	upper->frames_and_used[at] -= count;
	if ((upper->frames_and_used[at] & USED_MASK) != 0)
		return false;
	lh_atomic_store(&upper->tables[at], nothing_below(heap, upper));
	upper->frames_and_used[at] = 0;
	lh_heap_frame_give_back(heap, lh_frame(frame));
	return true;
}

static uint64_t top_index(uint64_t page)
{
	return page / (MAP_ENTRIES * MAP_ENTRIES);
}

static uint64_t middle_index(uint64_t page)
{
	return page / MAP_ENTRIES % MAP_ENTRIES;
}

static lh_error hold_page(lh_heap *heap, uint64_t page)
{
	lh_heap_table *middle;
	lh_error error;

	LH_TRY(make_table(heap, &heap->map, top_index(page)));
	middle = heap->map.tables[top_index(page)];
	if (!is_there(heap, middle, middle_index(page))) {
		error = make_table(heap, middle, middle_index(page));
		if (error == LH_OK)
			heap->map.frames_and_used[top_index(page)]++;
		else
			(void)use_less(heap, &heap->map, top_index(page), 0);
		LH_TRY(error);
	}
	middle->frames_and_used[middle_index(page)]++;
	return LH_OK;
}

static void release_page(lh_heap *heap, uint64_t page)
{
	lh_heap_table *middle = heap->map.tables[top_index(page)];
	struct lh_heap_leaf *leaf = middle->tables[middle_index(page)];

	lh_atomic_store_relaxed(&leaf->runs[page % MAP_ENTRIES], NULL);
	leaf->bytes[page % MAP_ENTRIES] = NULL;
	if (use_less(heap, middle, middle_index(page), 1))
		(void)use_less(heap, &heap->map, top_index(page), 1);
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
	uint64_t page = number_of(entering->heap, address);
	struct lh_heap_leaf *entries = lh_heap_leaf_of(entering->heap, page);

	entries->bytes[page % MAP_ENTRIES] = lh_frame_pointer(entering->heap->pools[0].frames, leaf->frame);
	lh_atomic_store(&entries->runs[page % MAP_ENTRIES], entering->run);
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

static bool is_in_run(const lh_heap *heap, const struct lh_heap_run *run, uint64_t page)
{
	uint64_t address = heap->base + (page << LH_PAGE_SHIFT);

	return lh_virtual_range_contains(run->region.range, lh_virtual(address)) &&
	       lh_region_tree_find(&heap->runs, lh_virtual(address)) == &run->region;
}

/* => at: where the table stands in its upper one; first: the number of its first page. */
static const char *check_leaf(const lh_heap *heap, const lh_heap_table *upper, uint64_t at,
			      uint64_t first, uint64_t *pages)
{
	const struct lh_heap_leaf *leaf = upper->tables[at];
	uint64_t used = 0;

	for (uint64_t i = 0; i < MAP_ENTRIES; i++) {
		if (!leaf->runs[i])
			continue;
		if (!leaf->bytes[i] || !is_in_run(heap, leaf->runs[i], first + i))
			return "the map of a heap names the wrong run";
		used++;
	}
	*pages += used;
	return used == (upper->frames_and_used[at] & USED_MASK) ? NULL : "a table of the map is miscounted";
}

static const char *check_middle(const lh_heap *heap, uint64_t at, uint64_t *pages)
{
	const lh_heap_table *middle = heap->map.tables[at];
	const char *finding = NULL;
	uint64_t used = 0;

	for (uint64_t i = 0; !finding && i < MAP_ENTRIES; i++) {
		if (!is_there(heap, middle, i))
			continue;
		finding = check_leaf(heap, middle, i, (at * MAP_ENTRIES + i) * MAP_ENTRIES, pages);
		used++;
	}
	if (!finding && used != (heap->map.frames_and_used[at] & USED_MASK))
		finding = "an upper table of the map is miscounted";
	return finding;
}

const char *lh_heap_map_check(lh_heap *heap)
{
	const char *finding = NULL;
	uint64_t pages = 0;

	for (uint64_t i = 0; !finding && i < MAP_ENTRIES; i++)
		if (is_there(heap, &heap->map, i))
			finding = check_middle(heap, i, &pages);
	if (!finding && pages != heap->page_count)
		finding = "the map of a heap has not the pages of its runs";
	return finding;
}
