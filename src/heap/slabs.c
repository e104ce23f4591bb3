/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Items and empty runs, under the heap's lock: lists and states change here, nothing is waited for,
 * and whatever makes or ends a run is done before or after.
 *
 * Random order: a slab is searched from a random place on, and what was taken is shuffled, so that neither
 * the next address nor the neighbour of a block can be foretold.
 *
 * Empty runs are kept for any size of as many pages: a few, and an eighth of what the heap used of late.
 * When there are more, half of them go at once: one flush for many. "Of late" is counted in
 * such moments, there being no clock: each brings the remembered peak nearer to what is used.
 * A heap that grows although it keeps runs keeps the wrong ones: for so many pages, it gives as many back.
 */
#include "heap/heap_internal.h"

#include "base/memory.h"

#define SPARE_PAGES_LEAST 32
#define SPARE_SHARE 8
#define PEAK_DECAY 8
#define GROWN_MOST 32
#define SLABS_MANY 8

static uintptr_t lock(lh_heap *heap)
{
	return lh_spin_lock(&heap->lock, LH_LOCK_HEAP, lh_heap_port(heap));
}

static void unlock(lh_heap *heap, uintptr_t interrupts)
{
	lh_spin_unlock(&heap->lock, LH_LOCK_HEAP, lh_heap_port(heap), interrupts);
}

/* --- lists. => locked --- */

static void push(struct lh_heap_run **head, struct lh_heap_run *run)
{
	run->previous = NULL;
	run->next = *head;
	if (run->next)
		run->next->previous = run;
	*head = run;
}

static void take_out(struct lh_heap_run **head, struct lh_heap_run *run)
{
	if (run->previous)
		run->previous->next = run->next;
	else
		*head = run->next;
	if (run->next)
		run->next->previous = run->previous;
	run->next = run->previous = NULL;
}

static struct lh_heap_run **spare_list(lh_heap *heap, const struct lh_heap_run *run)
{
	uint64_t pages = run->region.range.pages;

	return &heap->spare[pages <= LH_HEAP_SPARE_PAGES ? pages : 0];
}

static void push_spare(lh_heap *heap, struct lh_heap_run *run)
{
	run->live = false;
	run->is_zero = false;
	heap->live_pages -= run->region.range.pages;
	push(spare_list(heap, run), run);
	heap->spare_pages += run->region.range.pages;
}

static void take_spare_out(lh_heap *heap, struct lh_heap_run *run)
{
	take_out(spare_list(heap, run), run);
	heap->spare_pages -= run->region.range.pages;
}

/* --- taking. => locked --- */

/* xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators", 2016. */
static uint64_t draw_bits(lh_heap *heap)
{
	heap->random ^= heap->random >> 12;
	heap->random ^= heap->random << 25;
	heap->random ^= heap->random >> 27;
	return heap->random * UINT64_C(0x2545f4914f6cdd1d);
}

static uint64_t draw(lh_heap *heap, uint64_t below)
{
	return (draw_bits(heap) >> 32) * below >> 32;
}

/* Eight states: a bit at the top of each byte that is FREE. Exact, as no state comes near 0x80. */
static uint64_t free_in(const struct lh_heap_run *run, uint64_t word)
{
	uint64_t states = lh_atomic_load_relaxed((const uint64_t *)(const void *)run->states + word);

	return ~(states + UINT64_C(0x7f7f7f7f7f7f7f7f)) & UINT64_C(0x8080808080808080);
}

static unsigned take_from(lh_heap *heap, struct lh_heap_run *run, lh_heap_block *items, unsigned want)
{
	uint64_t words = (run->items + 7) / 8, word = draw(heap, words);
	uint64_t left = run->items - run->taken;
	unsigned count = 0, most = left < want ? (unsigned)left : want;

	while (count < most) {
		for (uint64_t found = free_in(run, word); found != 0 && count < most; found &= found - 1) {
			uint64_t index = word * 8 + (unsigned)__builtin_ctzll(found) / 8;

			items[count] = lh_heap_item_block((lh_heap_item){ run, index });
			lh_atomic_store_relaxed(items[count++].state, (uint8_t)FRONT);
		}
		word = word + 1 == words ? 0 : word + 1;
	}
	run->taken += count;
	return count;
}

static unsigned take_partial(lh_heap *heap, uint32_t size_class, lh_heap_block *items, unsigned want)
{
	struct lh_heap_run *run;
	unsigned count = 0;

	while (count < want && (run = heap->partial[size_class]) != NULL) {
		count += take_from(heap, run, items + count, want - count);
		if (run->taken == run->items)
			take_out(&heap->partial[size_class], run);
	}
	return count;
}

/* An empty run comes to have items of a class. */
static void begin_slab(lh_heap *heap, struct lh_heap_run *run, uint32_t size_class)
{
	lh_heap_run_shape(run, size_class);
	run->live = true;
	run->is_zero = false;
	heap->live_pages += run->region.range.pages;
	push(&heap->partial[size_class], run);
}

/*
 * Short slabs while there are few items, so that each class costs little; long ones as soon as one of them
 * is a small part of all: they take fewer descriptors and guards, and fewer ways into the memory manager.
 */
uint64_t lh_heap_slab_pages(const lh_heap *heap, uint32_t size_class)
{
	bool is_checked = (heap->flags & LH_HEAP_CHECKED) != 0; /* records of short slabs fit a frame */
	uint64_t most = lh_heap_class_pages_most(size_class);
	uint64_t pages = lh_atomic_load_relaxed(&heap->taken[size_class]) *
			 lh_heap_class_size(size_class) >> LH_PAGE_SHIFT;

	return pages >= SLABS_MANY * most && !is_checked ? most : lh_heap_class_pages(size_class);
}

/* Any will do, the longest first: as they go, fewer are too short for others. */
static struct lh_heap_run *find_spare_slab(lh_heap *heap, uint32_t size_class)
{
	for (uint64_t pages = SLAB_PAGES_MOST; pages >= lh_heap_class_pages(size_class); pages--)
		for (struct lh_heap_run *run = heap->spare[pages]; run; run = run->next)
			if (lh_heap_run_fits(run, size_class))
				return run;
	return NULL;
}

static bool begin_spare_slab(lh_heap *heap, uint32_t size_class)
{
	struct lh_heap_run *run = find_spare_slab(heap, size_class);

	if (!run)
		return false;
	take_spare_out(heap, run);
	begin_slab(heap, run, size_class);
	return true;
}

/* Four steps by each number drawn: sixteen bits are enough to choose among so few. */
static void shuffle(lh_heap *heap, lh_heap_block *items, unsigned count)
{
	uint64_t bits = 0;

	for (unsigned i = count; i > 1; i--) {
		lh_heap_block item = items[i - 1];
		uint64_t other;

		if ((count - i) % 4 == 0)
			bits = draw_bits(heap);
		other = (bits & 0xffff) * i >> 16;
		bits >>= 16;
		items[i - 1] = items[other];
		items[other] = item;
	}
}

/* Read without the lock by lh_heap_slab_pages. */
static void note_taken(lh_heap *heap, uint32_t size_class, uint64_t more)
{
	lh_atomic_store_relaxed(&heap->taken[size_class], heap->taken[size_class] + more);
}

unsigned lh_heap_items_take(lh_heap *heap, uint32_t size_class, lh_heap_block *items, unsigned want)
{
	uintptr_t interrupts = lock(heap);
	unsigned count = take_partial(heap, size_class, items, want);

	if (count == 0 && begin_spare_slab(heap, size_class))
		count = take_partial(heap, size_class, items, want);
	note_taken(heap, size_class, count);
	shuffle(heap, items, count);
	unlock(heap, interrupts);
	return count;
}

unsigned lh_heap_items_take_new(lh_heap *heap, struct lh_heap_run *run, lh_heap_block *items,
				unsigned want)
{
	uint32_t size_class = run->size_class;
	uint64_t fresh = lh_port_random(lh_heap_port(heap));
	uintptr_t interrupts = lock(heap);
	unsigned count;

	heap->random = (heap->random ^ fresh) | 1;
	begin_slab(heap, run, size_class);
	count = take_partial(heap, size_class, items, want);
	note_taken(heap, size_class, count);
	shuffle(heap, items, count);
	unlock(heap, interrupts);
	return count;
}

/* --- giving. => locked --- */

static uint64_t spare_most(const lh_heap *heap)
{
	return SPARE_PAGES_LEAST + heap->peak_pages / SPARE_SHARE;
}

static void note_peak(lh_heap *heap)
{
	if (heap->live_pages > heap->peak_pages)
		heap->peak_pages = heap->live_pages;
}

static bool is_surplus(const lh_heap *heap)
{
	return heap->spare_pages > spare_most(heap);
}

/* => run: the item's */
static void give(lh_heap *heap, struct lh_heap_run *run, lh_heap_block item)
{
	struct lh_heap_run **partial = &heap->partial[run->size_class];

	LH_REQUIRE(lh_heap_port(heap), lh_atomic_load_relaxed(item.state) != FREE);
	lh_atomic_store_relaxed(item.state, (uint8_t)FREE);
	if (run->taken-- == run->items)
		push(partial, run);
	if (run->taken != 0)
		return;
	take_out(partial, run);
	push_spare(heap, run);
}

bool lh_heap_items_give(lh_heap *heap, const lh_heap_block *items, unsigned count)
{
	uintptr_t interrupts = lock(heap);
	struct lh_heap_run *run;
	bool found;

	note_peak(heap);
	run = lh_heap_run_of(heap, items[0].address);
	note_taken(heap, run->size_class, -(uint64_t)count);
	for (unsigned i = 0; i < count; i++) {
		/* Often of the same run as the one before. */
		if (items[i].address - run->base >= run->region.range.pages << LH_PAGE_SHIFT)
			run = lh_heap_run_of(heap, items[i].address);
		give(heap, run, items[i]);
	}
	found = is_surplus(heap);
	unlock(heap, interrupts);
	return found;
}

/* --- large blocks --- */

void lh_heap_large_begin(lh_heap *heap, struct lh_heap_run *run)
{
	uintptr_t interrupts = lock(heap);

	run->live = true;
	run->taken = 1;
	heap->live_pages += run->region.range.pages;
	lh_heap_set_state((lh_heap_item){ run, 0 }, GIVEN);
	heap->large_items++;
	heap->large_bytes += run->size;
	unlock(heap, interrupts);
}

bool lh_heap_large_give(lh_heap *heap, struct lh_heap_run *run)
{
	uintptr_t interrupts = lock(heap);
	bool found;

	note_peak(heap);
	run->taken = 0;
	lh_heap_set_state((lh_heap_item){ run, 0 }, FREE);
	heap->large_items--;
	heap->large_bytes -= run->size;
	push_spare(heap, run);
	found = is_surplus(heap);
	unlock(heap, interrupts);
	return found;
}

static bool suits(const struct lh_heap_run *run, uint64_t pages, uint64_t alignment)
{
	return run->region.range.pages >= pages && run->region.range.pages <= pages + pages / 8 &&
	       (run->base >> LH_PAGE_SHIFT) % alignment == 0;
}

static struct lh_heap_run *find_spare(lh_heap *heap, uint64_t pages, uint64_t alignment)
{
	struct lh_heap_run *run;

	for (uint64_t n = pages; n <= pages + pages / 8 && n <= LH_HEAP_SPARE_PAGES; n++)
		if (heap->spare[n] && suits(heap->spare[n], pages, alignment))
			return heap->spare[n];
	if (pages + pages / 8 <= LH_HEAP_SPARE_PAGES)
		return NULL;
	for (run = heap->spare[0]; run && !suits(run, pages, alignment); run = run->next)
		;
	return run;
}

struct lh_heap_run *lh_heap_spare_take(lh_heap *heap, uint64_t pages, uint64_t alignment)
{
	uintptr_t interrupts = lock(heap);
	struct lh_heap_run *run = find_spare(heap, pages, alignment);

	if (run) {
		take_spare_out(heap, run);
		lh_heap_run_shape(run, LARGE);
	}
	unlock(heap, interrupts);
	return run;
}

/* --- shrinking --- */

/* Larger runs first: they free most by one flush and are the least likely to be wanted again. */
static struct lh_heap_run *detach(lh_heap *heap, uint64_t keep)
{
	struct lh_heap_run *list = NULL;

	for (uint64_t n = 0; n <= LH_HEAP_SPARE_PAGES; n++) {
		uint64_t pages = n == 0 ? 0 : LH_HEAP_SPARE_PAGES + 1 - n;
		struct lh_heap_run *run;

		while (heap->spare_pages > keep && (run = heap->spare[pages]) != NULL) {
			take_spare_out(heap, run);
			run->next = list;
			list = run;
		}
	}
	return list;
}

struct lh_heap_run *lh_heap_spare_surplus(lh_heap *heap, bool all)
{
	uintptr_t interrupts = lock(heap);
	struct lh_heap_run *list = NULL;

	note_peak(heap);
	if (all)
		list = detach(heap, 0);
	else if (is_surplus(heap))
		list = detach(heap, spare_most(heap) / 2);
	heap->peak_pages -= (heap->peak_pages - heap->live_pages) / PEAK_DECAY;
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
