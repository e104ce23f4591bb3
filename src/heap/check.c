/* SPDX-License-Identifier: BSD-2-Clause */
/* The walker over a heap: its runs and their states are the authority; lists and counters are recomputed. */
#include "heap/heap_internal.h"

struct tally {
	uint64_t runs, pages, large_items, large_bytes, spare_pages, held;
	uint64_t in_fronts[LH_HEAP_CLASSES];
	struct {
		uint64_t taken[LH_HEAP_CLASSES];
		uint64_t partial[LH_HEAP_CLASSES];
		uint64_t spare[LH_HEAP_SPARE_LISTS];
	} parts[LH_HEAP_PARTS];
};

static const char *check_items(const lh_heap *heap, const struct lh_heap_run *run, struct tally *tally)
{
	uint64_t taken = 0, at;

	for (uint64_t i = 0; i < run->items; i++) {
		/* Only to look. */
		lh_heap_item item = { (struct lh_heap_run *)(uintptr_t)run, i };
		uint8_t state = lh_heap_state(item);
		const char *finding = NULL;

		if (state > HELD)
			return "an item is in no state";
		taken += state != FREE;
		tally->held += state == HELD;
		if (state == FRONT)
			tally->in_fronts[run->size_class]++;
		if (run->records && (state == GIVEN || state == HELD))
			finding = lh_heap_checked_damage(heap, item, &at);
		if (finding)
			return finding;
	}
	for (uint64_t i = run->items; i == run->items || i % 8 != 0; i++)
		if (run->states[i] != NONE)
			return "a slab has an item beyond its last";
	return taken == run->taken ? NULL : "a slab's count of items is wrong";
}

static const char *check_slab(const lh_heap *heap, const struct lh_heap_run *run, struct tally *tally)
{
	if (run->size_class > LARGE)
		return "a run has no possible class";
	if (run->size != lh_heap_class_size(run->size_class) || !lh_heap_run_fits(run, run->size_class) ||
	    run->items != lh_heap_class_items(run->size_class, run->region.range.pages))
		return "a slab has not the shape of its class";
	if (run->taken == 0)
		return "an empty slab is not among the spare runs";
	tally->parts[run->part].taken[run->size_class] += run->taken;
	tally->parts[run->part].partial[run->size_class] += run->taken < run->items;
	return check_items(heap, run, tally);
}

static const char *check_large(const lh_heap *heap, const struct lh_heap_run *run, struct tally *tally)
{
	if (run->items != 1 || run->taken != 1 || run->size != run->region.range.pages << LH_PAGE_SHIFT)
		return "a large run has not one item";
	tally->large_items++;
	tally->large_bytes += run->size;
	return check_items(heap, run, tally);
}

static const char *check_run(const lh_heap *heap, const struct lh_heap_run *run, struct tally *tally)
{
	uint64_t pages = run->region.range.pages;

	tally->runs++;
	tally->pages += pages;
	if (run->part >= LH_HEAP_PARTS)
		return "a run is of no part";
	if (run->base != run->region.range.base.value || run->region.guard_after == 0)
		return "a run is not where it is";
	if (!run->live) {
		tally->spare_pages += pages;
		tally->parts[run->part].spare[lh_heap_spare_list(run)]++;
		return run->taken == 0 ? NULL : "a run is half made";
	}
	if (run->size_class <= LARGE && run->inverse != lh_heap_inverse(run->size_class, run->size))
		return "a run does not know where its items begin";
	if (run->size_class == LARGE)
		return check_large(heap, run, tally);
	return check_slab(heap, run, tally);
}

/* => of a list of partial slabs the class; of one of spare runs no class, and they are not live. */
static const char *check_list(const struct lh_heap_run *first, uint64_t expected, uint32_t size_class,
			      uint32_t part)
{
	const struct lh_heap_run *previous = NULL;
	bool live = size_class != LARGE;
	uint64_t found = 0;

	for (const struct lh_heap_run *run = first; run; run = run->next) {
		if (++found > expected)
			return "a list of runs has one too many";
		if (run->previous != previous || run->live != live)
			return "a list of runs is broken";
		if (run->part != part || (live && (run->size_class != size_class || run->taken == run->items)))
			return "a slab is on a list that it should not be on";
		previous = run;
	}
	return found == expected ? NULL : "a list of runs lacks one";
}

static const char *check_part(const lh_heap *heap, const struct tally *tally, uint32_t number)
{
	const lh_heap_part *part = &heap->parts[number];
	const char *finding = NULL;

	for (uint32_t i = 0; !finding && i < LH_HEAP_CLASSES; i++) {
		finding = check_list(part->partial[i], tally->parts[number].partial[i], i, number);
		if (!finding && tally->parts[number].taken[i] != part->taken[i])
			finding = "a count of items of the heap is wrong";
	}
	for (uint32_t i = 0; !finding && i < LH_HEAP_SPARE_LISTS; i++)
		finding = check_list(heap->spare[number][i], tally->parts[number].spare[i], LARGE, number);
	return finding;
}

static const char *check_lists(const lh_heap *heap, const struct tally *tally)
{
	const char *finding = NULL;

	for (uint32_t i = 0; !finding && i < LH_HEAP_PARTS; i++)
		finding = check_part(heap, tally, i);
	return finding;
}

static const char *check_counters(const lh_heap *heap, const struct tally *tally)
{
	uint64_t held, held_bytes, items = 0;

	for (unsigned i = 0; i < 3; i++)
		items += lh_pool_read_counters(&heap->pools[i]).items;
	lh_heap_quarantine_count_locked(heap, &held, &held_bytes);
	if (tally->runs != heap->run_count || tally->pages != heap->page_count ||
	    tally->large_items != heap->large_items || tally->large_bytes != heap->large_bytes ||
	    tally->spare_pages != heap->spare_pages ||
	    tally->pages - tally->spare_pages != heap->live_pages)
		return "a counter of the heap is wrong";
	for (uint32_t i = 0; i < LH_HEAP_CLASSES; i++) {
		if (tally->in_fronts[i] != lh_heap_fronts_count_locked(heap, i))
			return "the fronts have not the items that say so";
	}
	if (tally->held != held)
		return "the quarantine has not the items that say so";
	if (tally->runs != items)
		return "the heap's pools and its runs disagree";
	return NULL;
}

const char *lh_heap_check(lh_heap *heap)
{
	struct tally tally = { 0 };
	const char *finding = lh_region_tree_check(&heap->runs);
	lh_region *region = finding ? NULL : lh_region_tree_first(&heap->runs);

	for (; !finding && region; region = lh_region_tree_next(region))
		finding = check_run(heap, RUN_OF(region), &tally);
	if (!finding)
		finding = check_lists(heap, &tally);
	if (!finding)
		finding = check_counters(heap, &tally);
	if (!finding)
		finding = lh_heap_map_check(heap);
	for (unsigned i = 0; !finding && i < 3; i++)
		finding = lh_pool_check(&heap->pools[i]);
	return finding;
}
