/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Items and their slabs, under the lock of a part: lists and states change here, nothing is waited for,
 * and whatever makes or ends a run is done before or after.
 *
 * A slab belongs to the part of the CPU that began it, as long as it has items: its CPUs take from it, and what is
 * freed comes back to it, whoever frees it. So what CPUs write for each batch, and for each item of it (states, and
 * mostly the items too), lies in lines of their own. Only of a class of which little is used, or where nothing can
 * be had else, do they take from another part's slabs. A slab that has become empty is no part's any more (spare.c).
 *
 * Random order: a slab is searched from a random place on, and what was taken is put in another order, so that
 * neither the next address nor the neighbour of a block can be foretold.
 */
#include "heap/heap_internal.h"

#define BATCHES_AT_ONCE 64
#define SLABS_FEW 1 /* short ones */
#define SLABS_MANY 8

static uintptr_t lock(lh_heap *heap, lh_heap_part *part)
{
	return lh_spin_lock(&part->lock, LH_LOCK_HEAP, lh_heap_port(heap));
}

static void unlock(lh_heap *heap, lh_heap_part *part, uintptr_t interrupts)
{
	lh_spin_unlock(&part->lock, LH_LOCK_HEAP, lh_heap_port(heap), interrupts);
}

/* --- taking. => locked --- */

/* Read without the lock by lh_heap_slab_pages. */
static void note_taken(lh_heap_part *part, uint32_t size_class, uint64_t more)
{
	lh_atomic_store_relaxed(&part->taken[size_class], part->taken[size_class] + more);
}

/* xorshift64*: Vigna, "An experimental exploration of Marsaglia's xorshift generators", 2016. */
static uint64_t draw_bits(lh_heap_part *part)
{
	part->random ^= part->random >> 12;
	part->random ^= part->random << 25;
	part->random ^= part->random >> 27;
	return part->random * UINT64_C(0x2545f4914f6cdd1d);
}

static uint64_t draw(lh_heap_part *part, uint64_t below)
{
	return (draw_bits(part) >> 32) * below >> 32;
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

static void draw_order(lh_heap_part *part, struct order *order, unsigned places)
{
	uint64_t bits = draw_bits(part), below = places - 1, mask = below * ONE_EACH;
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
	lh_heap_part *part = &heap->parts[run->part];
	uint64_t words = (run->items + 7u) / 8, word = draw(part, words) & ~(uint64_t)((order->batch - 1) / 8);
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

/* => how many; 0: there is none */
static unsigned take_partial(lh_heap *heap, lh_heap_part *part, uint32_t size_class, lh_heap_block *items,
			     unsigned want)
{
	struct lh_heap_run *run;
	struct order order;
	unsigned count = 0;

	if (!part->partial[size_class])
		return 0;
	draw_order(part, &order, want);
	while (count < want && (run = part->partial[size_class]) != NULL) {
		count += take_from(heap, run, &order, count, items);
		if (run->taken == run->items)
			lh_heap_list_take_out(&part->partial[size_class], run);
	}
	if (count != want)
		close_up(items, count, order.places);
	note_taken(part, size_class, count);
	return count;
}

/* --- taking --- */

static unsigned take(lh_heap *heap, unsigned number, uint32_t size_class, lh_heap_block *items, unsigned want)
{
	lh_heap_part *part = &heap->parts[number];
	uintptr_t interrupts = lock(heap, part);
	unsigned count = take_partial(heap, part, size_class, items, want);

	unlock(heap, part, interrupts);
	return count;
}

/* An empty run, which is the caller's, comes to have items. => fresh: random bits */
static unsigned begin_slab(lh_heap *heap, struct lh_heap_run *run, uint64_t fresh, lh_heap_block *items,
			   unsigned want)
{
	uint32_t size_class = run->size_class;
	lh_heap_part *part;
	uintptr_t interrupts;
	unsigned count;

	run->part = (uint16_t)lh_heap_own_part(heap);
	part = &heap->parts[run->part];
	interrupts = lock(heap, part);
	part->random = (part->random ^ fresh) | 1;
	lh_heap_list_push(&part->partial[size_class], run);
	count = take_partial(heap, part, size_class, items, want);
	unlock(heap, part, interrupts);
	return count;
}

/* So little that all CPUs had better share it. Who has enough himself does not look at what others write. */
static bool is_little(const lh_heap *heap, const lh_heap_part *own, uint32_t size_class)
{
	uint64_t few = SLABS_FEW * lh_heap_class_items(size_class, lh_heap_class_pages(size_class));

	return lh_atomic_load_relaxed(&own->taken[size_class]) < few &&
	       lh_heap_items_count(heap, size_class) < few;
}

unsigned lh_heap_items_take(lh_heap *heap, uint32_t size_class, lh_heap_block *items, unsigned want)
{
	unsigned own = lh_heap_own_part(heap), count = take(heap, own, size_class, items, want);
	struct lh_heap_run *run;

	if (count == 0 && is_little(heap, &heap->parts[own], size_class))
		count = lh_heap_items_take_any(heap, size_class, items, want);
	if (count != 0)
		return count;
	run = lh_heap_spare_slab_take(heap, size_class);
	return run ? begin_slab(heap, run, 0, items, want) : 0;
}

unsigned lh_heap_items_take_new(lh_heap *heap, struct lh_heap_run *run, lh_heap_block *items,
				unsigned want)
{
	lh_heap_slab_begin(heap, run);
	return begin_slab(heap, run, lh_port_random(lh_heap_port(heap)), items, want);
}

unsigned lh_heap_items_take_any(lh_heap *heap, uint32_t size_class, lh_heap_block *items, unsigned want)
{
	unsigned count = 0;

	for (unsigned i = 0; count == 0 && i < LH_HEAP_PARTS; i++)
		count = take(heap, i, size_class, items, want);
	return count;
}

/*
 * Short slabs while there are few items, so that each class costs little; long ones as soon as one of them
 * is a small part of all: they take fewer descriptors and guards, and fewer ways into the memory manager.
 */
uint64_t lh_heap_slab_pages(lh_heap *heap, uint32_t size_class)
{
	bool is_checked = (heap->flags & LH_HEAP_CHECKED) != 0; /* records of short slabs fit a frame */
	uint64_t most = lh_heap_class_pages_most(size_class);
	uint64_t items = lh_atomic_load_relaxed(&heap->parts[lh_heap_own_part(heap)].taken[size_class]);
	uint64_t pages = items * lh_heap_class_size(size_class) >> LH_PAGE_SHIFT;

	return pages >= SLABS_MANY * most && !is_checked ? most : lh_heap_class_pages(size_class);
}

uint64_t lh_heap_items_count(const lh_heap *heap, uint32_t size_class)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < LH_HEAP_PARTS; i++)
		count += lh_atomic_load_relaxed(&heap->parts[i].taken[size_class]);
	return count;
}

/* --- giving --- */

/* The first of the items, which are in this run; if so it becomes empty, it is added to the list. => locked. => how many */
static unsigned give_run(lh_heap *heap, struct lh_heap_run *run, const lh_heap_block *items, unsigned count,
			 struct lh_heap_run **empty)
{
	struct lh_heap_run **partial = &heap->parts[run->part].partial[run->size_class];
	uint64_t base = run->base, bytes = run->items * run->size;
	const lh_heap_block *item = items, *end = items + count;
	unsigned given;

	do {
		LH_REQUIRE(lh_heap_port(heap), lh_atomic_load_relaxed(item->state) != FREE);
		lh_atomic_store_relaxed(item->state, (uint8_t)FREE);
		item++;
	} while (item != end && item->address - base < bytes);
	given = (unsigned)(item - items);
	if (run->taken == run->items)
		lh_heap_list_push(partial, run);
	run->taken = (uint16_t)(run->taken - given);
	if (run->taken == 0) {
		lh_heap_list_take_out(partial, run);
		lh_heap_list_push(empty, run);
	}
	return given;
}

/* The first of the items, which are in slabs of one part. => *batches: that are to be counted. => how many */
static unsigned give_part(lh_heap *heap, const lh_heap_block *items, unsigned count, struct lh_heap_run **empty,
			  unsigned *batches)
{
	struct lh_heap_run *run = lh_heap_run_of_own(heap, items[0].address);
	uint32_t size_class = run->size_class, number = run->part;
	lh_heap_part *part = &heap->parts[number];
	uintptr_t interrupts = lock(heap, part);
	unsigned given = 0;

	do {
		given += give_run(heap, run, items + given, count - given, empty);
		if (given == count)
			break;
		/* An item that is not given yet keeps its run. */
		run = lh_heap_run_of_own(heap, items[given].address);
	} while (run->part == number);
	note_taken(part, size_class, -(uint64_t)given);
	*batches += ++part->batches % BATCHES_AT_ONCE == 0 ? BATCHES_AT_ONCE : 0;
	unlock(heap, part, interrupts);
	return given;
}

bool lh_heap_items_give(lh_heap *heap, const lh_heap_block *items, unsigned count)
{
	struct lh_heap_run *empty = NULL;
	unsigned batches = 0;

	while (count != 0) {
		unsigned given = give_part(heap, items, count, &empty, &batches);

		items += given;
		count -= given;
	}
	return (empty || batches != 0) && lh_heap_slabs_end(heap, empty, batches);
}
