/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Items and empty runs, under the heap's lock: lists and states change here, nothing is waited for,
 * and whatever makes or ends a run is done before or after.
 *
 * Random order: a slab is searched from a random place on, and what was taken is put in another order, so that
 * neither the next address nor the neighbour of a block can be foretold.
 *
 * Empty runs are kept for any size of as many pages: a few, and as many as the heap uses less than it did of
 * late: who took memory once, and gave it back, often takes it again. "Of late" is counted in batches of items,
 * there being no clock: each few thousand bring the remembered peak nearer to what is used. What is then too much goes
 * at once: one flush for many. Who runs out of frames asks for the rest (heap.c).
 * A heap that grows although it keeps runs keeps the wrong ones: for so many pages, it gives as many back.
 */
#include "heap/heap_internal.h"

#include "base/memory.h"

#define SPARE_PAGES_LEAST 32
#define PEAK_DECAY 8
#define BATCHES_A_STEP 8192 /* each of some tens of items, or a large block */
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

/* Read without the lock by lh_heap_slab_pages. */
static void note_taken(lh_heap *heap, uint32_t size_class, uint64_t more)
{
	lh_atomic_store_relaxed(&heap->taken[size_class], heap->taken[size_class] + more);
}

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

#define ALL_EIGHT UINT64_C(0x8080808080808080)
#define ONE_EACH UINT64_C(0x0101010101010101)
#define EIGHT_FRONT (FRONT * ONE_EACH)

/* Eight states: a bit at the top of each byte that is FREE. Exact, as no state comes near 0x80. */
static uint64_t free_in(const struct lh_heap_run *run, uint64_t word)
{
	uint64_t states = lh_atomic_load_relaxed((const uint64_t *)(const void *)run->states + word);

	return ~(states + UINT64_C(0x7f7f7f7f7f7f7f7f)) & ALL_EIGHT;
}

/*
 * The order of a batch: each item goes to a place of its own among so many, a power of two, 64 at most. Sums, odd
 * factors and exclusive ors only exchange what they are done to, modulo a power of two; which ones is drawn anew for
 * each batch. Alone they would have the lowest bit toggle with each item, and some orders go by a fixed step: so the
 * upper half of the bits is mixed into the lower one between two factors, which exchanges as well. Drawn eight
 * places at a time, a byte each. (To shuffle would take several times as long.)
 */
struct order {
	union {
		uint64_t eights[FRONT_BATCH_MOST / 8];
		uint8_t places[FRONT_BATCH_MOST];
	};
	unsigned batch; /* places that there are */
};

#define EVEN_ONES UINT64_C(0x00ff00ff00ff00ff)

/* Eight bytes times a factor, each product modulo 256. => bytes and factor below 64: no product reaches a neighbour */
static uint64_t multiply_each(uint64_t bytes, uint64_t factor)
{
	uint64_t even = (bytes & EVEN_ONES) * factor, odd = (bytes >> 8 & EVEN_ONES) * factor;

	return (even & EVEN_ONES) | (odd & EVEN_ONES) << 8;
}

static void draw_order(lh_heap *heap, struct order *order, unsigned places)
{
	uint64_t bits = draw_bits(heap), below = places - 1, mask = below * ONE_EACH;
	uint64_t step = (bits >> 16 & below) | 1, factor = (bits >> 32 & below) | 1;
	uint64_t second = (bits >> 40 & below) | 1, next = bits >> 8 & below;
	uint64_t exchange = (bits >> 24 & below) * ONE_EACH, last = (bits >> 48 & below) * ONE_EACH;
	uint64_t steps = multiply_each(UINT64_C(0x0706050403020100), step) & mask;
	unsigned half = (unsigned)__builtin_ctz(places) / 2 + 1;
	uint64_t upper = (below >> half) * ONE_EACH;

	order->batch = places;
	for (unsigned i = 0; i * 8 < places; i++, next = (next + 8 * step) & below) {
		uint64_t eight = (steps + next * ONE_EACH) & mask;

		eight = multiply_each(eight ^ exchange, factor) & mask;
		eight = multiply_each(eight ^ (eight >> half & upper), second) & mask;
		order->eights[i] = eight ^ last;
	}
}

/*
 * Eight items in a row, all FREE: so nobody else changes a state among them, and they are written at once. Given out in
 * random order, their lines would come one by one: they are asked for together, while they lie in a row. (Of items
 * in the next page, whose frame is another, the wrong ones; no harm but the time.)
 */
static void take_eight(lh_heap *heap, struct lh_heap_run *run, uint64_t word, lh_heap_block *items,
		       const uint8_t *places)
{
	uint64_t size = run->size, address = run->base + word * 8 * size;
	uint8_t *states = &run->states[word * 8];
	const char *bytes = lh_heap_byte(heap, address);

	lh_atomic_store_relaxed((uint64_t *)(void *)states, EIGHT_FRONT);
	for (unsigned i = 0; i < 8; i++) {
		items[places[i]] = (lh_heap_block){ address, states + i };
		__builtin_prefetch(bytes, 1);
		address += size;
		bytes += size;
	}
}

/* => found: which of the eight are to be taken */
static void take_some(struct lh_heap_run *run, uint64_t word, uint64_t found, lh_heap_block *items,
		      const uint8_t *places)
{
	for (; found != 0; found &= found - 1) {
		uint64_t index = word * 8 + (unsigned)__builtin_ctzll(found) / 8;
		lh_heap_block item = lh_heap_item_block((lh_heap_item){ run, index });

		lh_atomic_store_relaxed(item.state, (uint8_t)FRONT);
		items[*places++] = item;
	}
}

/* The first so many of those found. */
static uint64_t limit(uint64_t found, unsigned most)
{
	uint64_t rest = found;

	while (most-- != 0)
		rest &= rest - 1;
	return found & ~rest;
}

/*
 * From a multiple of the batch on: states that were never given out then come by whole lines, and those of two
 * CPUs' batches are not in one.
 */
static unsigned take_from(lh_heap *heap, struct lh_heap_run *run, const struct order *order, unsigned done,
			  lh_heap_block *items)
{
	uint64_t words = (run->items + 7u) / 8, word = draw(heap, words) & ~(uint64_t)((order->batch - 1) / 8);
	unsigned left = (unsigned)run->items - run->taken, want = order->batch - done;
	unsigned count = 0, most = left < want ? left : want;
	const uint8_t *places = order->places + done;

	while (count < most) {
		uint64_t found = free_in(run, word);

		if (most - count < 8)
			found = limit(found, most - count);
		if (found == ALL_EIGHT)
			take_eight(heap, run, word, items, places + count);
		else
			take_some(run, word, found, items, places + count);
		count += (unsigned)((found >> 7) * ONE_EACH >> 56);
		word = word + 1 == words ? 0 : word + 1;
	}
	run->taken = (uint16_t)(run->taken + count);
	return count;
}

/* Fewer than were wanted, each in its place: moves them to the front. */
static void close_up(lh_heap_block *items, unsigned count, const uint8_t *places)
{
	uint64_t filled = 0;

	for (unsigned i = 0; i < count; i++)
		filled |= UINT64_C(1) << places[i];
	for (unsigned i = 0; filled != 0; filled &= filled - 1)
		items[i++] = items[__builtin_ctzll(filled)];
}

static unsigned take_partial(lh_heap *heap, uint32_t size_class, lh_heap_block *items, unsigned want)
{
	struct lh_heap_run *run;
	struct order order;
	unsigned count = 0;

	draw_order(heap, &order, want);
	while (count < want && (run = heap->partial[size_class]) != NULL) {
		count += take_from(heap, run, &order, count, items);
		if (run->taken == run->items)
			take_out(&heap->partial[size_class], run);
	}
	if (count != want)
		close_up(items, count, order.places);
	note_taken(heap, size_class, count);
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
	uint64_t least = lh_heap_class_pages(size_class);

	for (uint64_t pages = SLAB_PAGES_MOST; pages >= least; pages--)
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

unsigned lh_heap_items_take(lh_heap *heap, uint32_t size_class, lh_heap_block *items, unsigned want)
{
	uintptr_t interrupts = lock(heap);
	unsigned count = 0;

	if (heap->partial[size_class] || begin_spare_slab(heap, size_class))
		count = take_partial(heap, size_class, items, want);
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
	unlock(heap, interrupts);
	return count;
}

/* --- giving. => locked --- */

static uint64_t spare_most(const lh_heap *heap)
{
	return SPARE_PAGES_LEAST + (heap->peak_pages - heap->live_pages);
}

/* There is no clock but what is done. */
static void note_peak(lh_heap *heap)
{
	if (heap->live_pages > heap->peak_pages)
		heap->peak_pages = heap->live_pages;
	if (++heap->batches % BATCHES_A_STEP == 0)
		heap->peak_pages -= (heap->peak_pages - heap->live_pages) / PEAK_DECAY;
}

static bool is_surplus(const lh_heap *heap)
{
	return heap->spare_pages > spare_most(heap);
}

/* The first of the items that are in one run. => how many */
static unsigned give_run(lh_heap *heap, const lh_heap_block *items, unsigned count)
{
	struct lh_heap_run *run = lh_heap_run_of(heap, items[0].address);
	uint64_t base = run->base, bytes = run->items * run->size;
	unsigned given = 0;

	do {
		LH_REQUIRE(lh_heap_port(heap), lh_atomic_load_relaxed(items[given].state) != FREE);
		lh_atomic_store_relaxed(items[given++].state, (uint8_t)FREE);
	} while (given != count && items[given].address - base < bytes);
	if (run->taken == run->items)
		push(&heap->partial[run->size_class], run);
	run->taken = (uint16_t)(run->taken - given);
	if (run->taken == 0) {
		take_out(&heap->partial[run->size_class], run);
		push_spare(heap, run);
	}
	return given;
}

bool lh_heap_items_give(lh_heap *heap, const lh_heap_block *items, unsigned count)
{
	uintptr_t interrupts = lock(heap);
	bool found;

	note_peak(heap);
	note_taken(heap, lh_heap_run_of(heap, items[0].address)->size_class, -(uint64_t)count);
	while (count != 0) {
		unsigned given = give_run(heap, items, count);

		items += given;
		count -= given;
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
	struct lh_heap_run *list;

	note_peak(heap);
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
