/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Empty runs, and large blocks, under the heap's lock: lists change here, nothing is waited for, and whatever makes or
 * ends a run is done before or after.
 *
 * Empty runs are kept for any size of as many pages: a few, and as many as the heap uses less than it did of
 * late: who took memory once, and gave it back, often takes it again. "Of late" is counted in batches of items,
 * there being no clock: each few thousand bring the remembered peak nearer to what is used. What is then too much goes
 * at once: one flush for many. Who runs out of frames asks for the rest (heap.c).
 * A heap that grows although it keeps runs keeps the wrong ones: for so many pages, it gives as many back.
 */
#include "heap/heap_internal.h"

#define SPARE_PAGES_LEAST 96
#define PEAK_DECAY 8
#define BATCHES_A_STEP 8192 /* each of some tens of items, or a large block */
#define GROWN_MOST 32

static uintptr_t lock(lh_heap *heap)
{
	return lh_spin_lock(&heap->lock, LH_LOCK_HEAP, lh_heap_port(heap));
}

static void unlock(lh_heap *heap, uintptr_t interrupts)
{
	lh_spin_unlock(&heap->lock, LH_LOCK_HEAP, lh_heap_port(heap), interrupts);
}

/* --- the empty ones. => locked --- */

_Static_assert(LH_HEAP_SPARE_LISTS == 1 + LH_HEAP_SPARE_PAGES + (ROOM_KINDS - 1) * SLAB_PAGES_MOST,
	       "each kind of run has its list");

/* The first is of those of more than LH_HEAP_SPARE_PAGES; kinds beyond the first have lists only of what slabs can be. */
static unsigned list_of(uint64_t pages, unsigned kind)
{
	if (pages > LH_HEAP_SPARE_PAGES)
		return 0;
	return (unsigned)pages + (kind == 0 ? 0 : LH_HEAP_SPARE_PAGES + (kind - 1) * SLAB_PAGES_MOST);
}

unsigned lh_heap_spare_list(const struct lh_heap_run *run)
{
	uint64_t pages = run->region.range.pages;

	return list_of(pages, pages <= SLAB_PAGES_MOST ? lh_heap_room_kind(run->room) : 0);
}

static struct lh_heap_run **spare_list(lh_heap *heap, const struct lh_heap_run *run)
{
	return &heap->spare[run->part][lh_heap_spare_list(run)];
}

static void take_out(lh_heap *heap, struct lh_heap_run *run)
{
	lh_heap_list_take_out(spare_list(heap, run), run);
	heap->spare_pages -= run->region.range.pages;
}

/* It comes to have items. */
static void begin(lh_heap *heap, struct lh_heap_run *run)
{
	run->live = true;
	lh_heap_live_add(heap, run->region.range.pages);
}

/* It has none any more. */
static void end(lh_heap *heap, struct lh_heap_run *run)
{
	run->live = false;
	run->is_zero = false;
	lh_heap_live_add(heap, 0 - run->region.range.pages);
	lh_heap_list_push(spare_list(heap, run), run);
	heap->spare_pages += run->region.range.pages;
}

/* There is no clock but what is done. */
static void pass(lh_heap *heap, unsigned batches)
{
	heap->batches += batches;
	if (heap->batches < BATCHES_A_STEP)
		return;
	heap->batches -= BATCHES_A_STEP;
	heap->peak_pages -= (heap->peak_pages - heap->live_pages) / PEAK_DECAY;
}

static uint64_t spare_most(const lh_heap *heap)
{
	return SPARE_PAGES_LEAST + (heap->peak_pages - heap->live_pages);
}

static bool is_surplus(const lh_heap *heap)
{
	return heap->spare_pages > spare_most(heap);
}

/* --- slabs --- */

/* The longest first: as they go, fewer are too short for others. */
static struct lh_heap_run *find_slab_of(const lh_heap *heap, unsigned part, uint32_t size_class)
{
	uint64_t least = lh_heap_class_pages(size_class);

	for (uint64_t pages = SLAB_PAGES_MOST; pages >= least; pages--)
		for (unsigned kind = 0; kind < ROOM_KINDS; kind++) {
			struct lh_heap_run *run = heap->spare[part][list_of(pages, kind)];

			if (run && lh_heap_run_fits(run, size_class))
				return run;
		}
	return NULL;
}

/* Any will do; but what this CPU had itself, its caches have. */
static struct lh_heap_run *find_slab(const lh_heap *heap, uint32_t size_class)
{
	unsigned own = lh_heap_own_part(heap);
	struct lh_heap_run *run = NULL;

	for (unsigned i = 0; !run && i < LH_HEAP_PARTS; i++)
		run = find_slab_of(heap, (own + i) % LH_HEAP_PARTS, size_class);
	return run;
}

struct lh_heap_run *lh_heap_spare_slab_take(lh_heap *heap, uint32_t size_class)
{
	uintptr_t interrupts = lock(heap);
	struct lh_heap_run *run = find_slab(heap, size_class);

	if (run) {
		take_out(heap, run);
		lh_heap_run_shape(run, size_class);
		begin(heap, run);
	}
	unlock(heap, interrupts);
	return run;
}

void lh_heap_slab_begin(lh_heap *heap, struct lh_heap_run *run)
{
	uintptr_t interrupts = lock(heap);

	run->is_zero = false;
	begin(heap, run);
	unlock(heap, interrupts);
}

bool lh_heap_slabs_end(lh_heap *heap, struct lh_heap_run *runs, unsigned batches)
{
	uintptr_t interrupts = lock(heap);
	struct lh_heap_run *next;
	bool found;

	for (; runs; runs = next) {
		next = runs->next;
		end(heap, runs);
	}
	pass(heap, batches);
	found = is_surplus(heap);
	unlock(heap, interrupts);
	return found;
}

/* --- large blocks --- */

void lh_heap_large_begin(lh_heap *heap, struct lh_heap_run *run)
{
	uintptr_t interrupts = lock(heap);

	run->taken = 1;
	run->part = (uint16_t)lh_heap_own_part(heap);
	begin(heap, run);
	lh_heap_set_state((lh_heap_item){ run, 0 }, GIVEN);
	heap->large_items++;
	heap->large_bytes += run->size;
	unlock(heap, interrupts);
}

bool lh_heap_large_give(lh_heap *heap, struct lh_heap_run *run)
{
	uintptr_t interrupts = lock(heap);
	bool found;

	run->taken = 0;
	lh_heap_set_state((lh_heap_item){ run, 0 }, FREE);
	heap->large_items--;
	heap->large_bytes -= run->size;
	end(heap, run);
	pass(heap, 1);
	found = is_surplus(heap);
	unlock(heap, interrupts);
	return found;
}

static bool suits(const struct lh_heap_run *run, uint64_t pages, uint64_t alignment)
{
	return run->region.range.pages >= pages && run->region.range.pages <= pages + pages / 8 &&
	       (run->base >> LH_PAGE_SHIFT) % alignment == 0;
}

/* Kinds of lists that there are of so many pages. */
static unsigned kinds_of(uint64_t pages)
{
	return pages <= SLAB_PAGES_MOST ? ROOM_KINDS : 1;
}

static struct lh_heap_run *find_large_of(struct lh_heap_run *const *spare, uint64_t pages, uint64_t alignment)
{
	struct lh_heap_run *run;

	for (uint64_t n = pages; n <= pages + pages / 8 && n <= LH_HEAP_SPARE_PAGES; n++)
		for (unsigned kind = 0; kind < kinds_of(n); kind++) {
			run = spare[list_of(n, kind)];
			if (run && suits(run, pages, alignment))
				return run;
		}
	if (pages + pages / 8 <= LH_HEAP_SPARE_PAGES)
		return NULL;
	for (run = spare[0]; run && !suits(run, pages, alignment); run = run->next)
		;
	return run;
}

static struct lh_heap_run *find_large(const lh_heap *heap, uint64_t pages, uint64_t alignment)
{
	unsigned own = lh_heap_own_part(heap);
	struct lh_heap_run *run = NULL;

	for (unsigned i = 0; !run && i < LH_HEAP_PARTS; i++)
		run = find_large_of(heap->spare[(own + i) % LH_HEAP_PARTS], pages, alignment);
	return run;
}

struct lh_heap_run *lh_heap_spare_take(lh_heap *heap, uint64_t pages, uint64_t alignment)
{
	uintptr_t interrupts = lock(heap);
	struct lh_heap_run *run = find_large(heap, pages, alignment);

	if (run) {
		take_out(heap, run);
		lh_heap_run_shape(run, LARGE);
	}
	unlock(heap, interrupts);
	return run;
}

/* --- shrinking --- */

static void detach_from(lh_heap *heap, struct lh_heap_run **spare, uint64_t keep, struct lh_heap_run **list)
{
	while (heap->spare_pages > keep && *spare) {
		struct lh_heap_run *run = *spare;

		take_out(heap, run);
		run->next = *list;
		*list = run;
	}
}

/* Larger runs first: they free most by one flush and are the least likely to be wanted again. */
static struct lh_heap_run *detach(lh_heap *heap, uint64_t keep)
{
	struct lh_heap_run *list = NULL;

	for (uint64_t pages = LH_HEAP_SPARE_PAGES + 1; pages != 0 && heap->spare_pages > keep; pages--)
		for (unsigned kind = 0; kind < kinds_of(pages); kind++)
			for (unsigned part = 0; part < LH_HEAP_PARTS; part++)
				detach_from(heap, &heap->spare[part][list_of(pages, kind)], keep, &list);
	return list;
}

struct lh_heap_run *lh_heap_spare_surplus(lh_heap *heap, bool all)
{
	uintptr_t interrupts = lock(heap);
	struct lh_heap_run *list;

	if (all)
		heap->peak_pages = heap->live_pages;
	list = detach(heap, all ? 0 : spare_most(heap));
	unlock(heap, interrupts);
	return list;
}

struct lh_heap_run *lh_heap_spare_some(lh_heap *heap, uint64_t pages)
{
	uintptr_t interrupts = lock(heap);
	struct lh_heap_run *list = detach(heap, heap->spare_pages < pages ? 0 : heap->spare_pages - pages);

	unlock(heap, interrupts);
	return list;
}

struct lh_heap_run *lh_heap_spare_for_growth(lh_heap *heap, uint64_t pages)
{
	uintptr_t interrupts = lock(heap);
	struct lh_heap_run *list = NULL;

	heap->grown_pages += pages;
	if (heap->grown_pages >= GROWN_MOST) {
		uint64_t rest = heap->spare_pages < heap->grown_pages ? 0
									: heap->spare_pages - heap->grown_pages;

		list = detach(heap, rest < SPARE_PAGES_LEAST ? SPARE_PAGES_LEAST : rest);
		heap->grown_pages = 0;
	}
	unlock(heap, interrupts);
	return list;
}
