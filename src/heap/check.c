/* SPDX-License-Identifier: BSD-2-Clause */
/* The walker over a heap: its runs are the authority, lists and counters are recomputed. */
#include "heap/heap_internal.h"

struct tally {
	lh_heap_counters counters;
	uint64_t partial[LH_HEAP_CLASSES];
};

static const char *check_slab(const lh_heap *heap, const struct lh_heap_run *run,
			      struct tally *tally)
{
	uint64_t items = lh_heap_class_items(run->size_class);
	uint64_t used = 0;

	for (uint64_t i = 0; i < ITEMS_MOST; i++) {
		bool is_used = (run->bits[i / 64] >> (i % 64) & 1) != 0;

		if (is_used && i >= items)
			return "a slab has an item beyond its last";
		used += is_used;
	}
	if (used != run->in_use)
		return "a slab's count of items is wrong";
	if (run->region.range.pages != lh_heap_class_pages(run->size_class))
		return "a slab has the wrong number of pages";
	if (used == 0 && heap->empty[run->size_class] != run)
		return "an empty slab is forgotten";
	tally->counters.items += used;
	tally->counters.bytes += used * lh_heap_class_size(run->size_class);
	tally->partial[run->size_class] += used != 0 && used < items;
	return NULL;
}

static const char *check_run(const lh_heap *heap, const struct lh_heap_run *run,
			     struct tally *tally)
{
	tally->counters.runs++;
	tally->counters.pages += run->region.range.pages;
	if (!run->live)
		return "a run is half made";
	if (run->size_class < LARGE)
		return check_slab(heap, run, tally);
	if (run->size_class > LARGE)
		return "a run has no possible class";
	tally->counters.items++;
	tally->counters.bytes += run->region.range.pages << LH_PAGE_SHIFT;
	return run->in_use == 1 ? NULL : "a large run has not one item";
}

static const char *check_list(const lh_heap *heap, uint32_t size_class, uint64_t expected)
{
	const struct lh_heap_run *previous = NULL;
	const struct lh_heap_run *empty = heap->empty[size_class];
	uint64_t found = 0;

	for (const struct lh_heap_run *run = heap->partial[size_class]; run; run = run->next) {
		if (++found > expected)
			return "a list of slabs has one too many";
		if (run->previous != previous || run->size_class != size_class)
			return "a list of slabs is broken";
		if (run->in_use == 0 || run->in_use == lh_heap_class_items(size_class))
			return "a slab is on a list that it should not be on";
		previous = run;
	}
	if (found != expected)
		return "a list of slabs lacks one";
	if (empty && (empty->in_use != 0 || empty->size_class != size_class || !empty->live))
		return "the empty slab of a class is not empty";
	return NULL;
}

const char *lh_heap_check(lh_heap *heap)
{
	struct tally tally = { 0 };
	const char *finding = lh_region_tree_check(&heap->runs);
	const lh_region *region = finding ? NULL : lh_region_tree_first(&heap->runs);

	for (; !finding && region; region = lh_region_tree_next(region))
		finding = check_run(heap, (const struct lh_heap_run *)(const void *)region, &tally);
	for (uint32_t i = 0; !finding && i < LH_HEAP_CLASSES; i++)
		finding = check_list(heap, i, tally.partial[i]);
	if (finding)
		return finding;
	if (tally.counters.items != heap->counters.items ||
	    tally.counters.bytes != heap->counters.bytes ||
	    tally.counters.runs != heap->counters.runs ||
	    tally.counters.pages != heap->counters.pages)
		return "a counter of the heap is wrong";
	if (tally.counters.runs != heap->pool.in_use)
		return "the heap's pool and its runs disagree";
	return lh_pool_check(&heap->pool);
}
