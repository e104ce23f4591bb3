/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pools. A page of a pool is one frame:
 *
 *     header | in-use bits, one an item | items ...
 *
 * All bookkeeping is in the header, none in an item: an item that was given back
 * keeps its bytes (an optimistic reader may still look at its version), and a stray
 * write through a stale pointer cannot lead the pool astray.
 *
 * Pages with a free item are on a list, the one most lately filled up from first;
 * full pages are on none. The frame's word names the pool, so the walker finds full
 * pages too, and a pointer into some other page is never taken for an item.
 *
 * Pages without an item in use are on a second list in a pool that keeps them, and in no list
 * elsewhere: there they go back to the frames at once.
 *
 * A front is a short stack of free items; for the pages they are in use. It fills up from and
 * empties into the pages by half. Before taking an item fails, all fronts are emptied one by one:
 * an item that is given back meanwhile may be missed, which is no promise broken, since items are
 * not promised.
 *
 * Locks: a front's, then the pool's inside it, which counts as one in the order; or the pool's
 * alone. Neither is held while a frame is taken, zeroed or dropped.
 */
#include "physical/frames_internal.h"

#include "base/bits.h"
#include "base/cpus.h"
#include "base/memory.h"

#include <landhold/pool.h>

/* At the beginning of the page; l = the pool's lock, c = constant while in the pool. */
struct pool_page {
	lh_pool *pool;	       /* c */
	lh_frame_number frame; /* c: this page's own */
	uint64_t next;	       /* l: frames on the list; LH_NO_FRAME: none */
	uint64_t previous;     /* l */
	uint32_t in_use;       /* l: items given out */
	uint32_t padding;
	uint64_t bits[];       /* l: items_per_page of them, set: in use */
};

#define FRONT_ITEMS 6u

/* One CPU's, 128 bytes apart: what is used of one shares no cache line with another's. */
struct lh_pool_front {
	uint32_t lock;
	uint32_t count;		  /* m: under the lock */
	void *items[FRONT_ITEMS]; /* m */
	uint64_t apart[9];
};

static uint64_t words_of(const lh_pool *pool)
{
	return (pool->items_per_page + 63u) / 64;
}

/* Bytes before the first item, for so many items. Items of whole cache lines begin on one. */
static uint64_t header_size(uint64_t items, uint64_t size)
{
	uint64_t mask = size % 64 == 0 ? 63 : 15;

	return (sizeof(struct pool_page) + (items + 63) / 64 * 8 + mask) & ~mask;
}

lh_error lh_pool_init(lh_pool *pool, lh_frames *frames, const char *name, uint32_t item_size)
{
	uint64_t size = ((uint64_t)item_size + 15) & ~UINT64_C(15);
	uint64_t items;

	if (item_size == 0 || header_size(1, size) + size > LH_PAGE_SIZE)
		return LH_INVALID;
	items = (LH_PAGE_SIZE - sizeof(struct pool_page)) / size;
	while (header_size(items, size) + items * size > LH_PAGE_SIZE)
		items--;
	*pool = (lh_pool){ .frames = frames,
			   .name = name,
			   .item_size = (uint32_t)size,
			   .items_per_page = (uint32_t)items,
			   .partial = LH_NO_FRAME,
			   .empty = LH_NO_FRAME };
	return LH_OK;
}

void lh_pool_keep_pages(lh_pool *pool)
{
	pool->keeps_pages = true;
}

size_t lh_pool_fronts_size(void)
{
	return LH_MAX_CPUS * sizeof(struct lh_pool_front);
}

void lh_pool_add_fronts(lh_pool *pool, void *memory)
{
	memset(memory, 0, lh_pool_fronts_size());
	pool->fronts = memory;
}

/* --- Pages and their list. => the pool's lock is held --- */

static struct pool_page *page_of_frame(const lh_pool *pool, uint64_t frame)
{
	return lh_frame_pointer(pool->frames, lh_frame(frame));
}

/* list: pool->partial or pool->empty. */
static void list_push(lh_pool *pool, uint64_t *list, struct pool_page *page)
{
	page->previous = LH_NO_FRAME;
	page->next = *list;
	if (page->next != LH_NO_FRAME)
		page_of_frame(pool, page->next)->previous = page->frame.value;
	*list = page->frame.value;
}

static void list_remove(lh_pool *pool, uint64_t *list, struct pool_page *page)
{
	if (page->previous != LH_NO_FRAME)
		page_of_frame(pool, page->previous)->next = page->next;
	else
		*list = page->next;
	if (page->next != LH_NO_FRAME)
		page_of_frame(pool, page->next)->previous = page->previous;
}

/* The lowest free item of a page that has one becomes used. */
static void *take_from_page(lh_pool *pool, struct pool_page *page)
{
	uint64_t word = 0, index;

	while (page->bits[word] == UINT64_MAX)
		word++;
	index = word * 64 + (unsigned)__builtin_ctzll(~page->bits[word]);
	LH_ASSERT(lh_frames_port(pool->frames), index < pool->items_per_page);
	lh_atomic_store_relaxed(&page->bits[word], page->bits[word] | UINT64_C(1) << (index % 64));
	if (++page->in_use == pool->items_per_page)
		list_remove(pool, &pool->partial, page);
	pool->in_use++;
	return (unsigned char *)page + header_size(pool->items_per_page, pool->item_size) + index * pool->item_size;
}

/* --- Taking --- */

static void add_page_locked(lh_pool *pool, struct pool_page *page)
{
	list_push(pool, &pool->partial, page);
	pool->pages++;
}

/* A new page, known to nobody yet. */
static lh_error make_page(lh_pool *pool, struct pool_page **page)
{
	lh_frame_number frame;

	LH_TRY(lh_frame_allocate_zeroed(pool->frames, LH_FRAME_POOL, LH_FRAME_UNCHARGED, &frame));
	lh_frame_entry_of(pool->frames, frame)->word = (uintptr_t)pool;
	*page = lh_frame_pointer(pool->frames, frame);
	(*page)->pool = pool;
	(*page)->frame = frame;
	return LH_OK;
}

/* An item of some page; NULL: none is free. */
static void *take_locked(lh_pool *pool)
{
	if (pool->partial == LH_NO_FRAME && pool->empty != LH_NO_FRAME) {
		struct pool_page *page = page_of_frame(pool, pool->empty);

		list_remove(pool, &pool->empty, page);
		lh_atomic_store_relaxed(&pool->empty_pages, pool->empty_pages - 1);
		list_push(pool, &pool->partial, page);
	}
	if (pool->partial == LH_NO_FRAME)
		return NULL;
	return take_from_page(pool, page_of_frame(pool, pool->partial));
}

static void *take_from_pages(lh_pool *pool, lh_port *port)
{
	uintptr_t interrupts = lh_spin_lock(&pool->lock, LH_LOCK_POOL, port);
	void *item = take_locked(pool);

	lh_spin_unlock(&pool->lock, LH_LOCK_POOL, port, interrupts);
	return item;
}

static void refill(lh_pool *pool, struct lh_pool_front *front, lh_port *port)
{
	void *item;

	lh_spin_lock_inside(&pool->lock, port);
	while (front->count < FRONT_ITEMS / 2 && (item = take_locked(pool)) != NULL)
		front->items[front->count++] = item;
	lh_spin_unlock_inside(&pool->lock, port);
}

static void *take_from_front(lh_pool *pool, lh_port *port)
{
	struct lh_pool_front *front = &pool->fronts[lh_port_cpu(port)];
	uintptr_t interrupts = lh_spin_lock(&front->lock, LH_LOCK_POOL, port);
	void *item = NULL;

	if (front->count == 0)
		refill(pool, front, port);
	if (front->count != 0)
		item = front->items[--front->count];
	lh_spin_unlock(&front->lock, LH_LOCK_POOL, port, interrupts);
	return item;
}

static void *take_at_hand(lh_pool *pool, lh_port *port)
{
	return pool->fronts ? take_from_front(pool, port) : take_from_pages(pool, port);
}

/* An item of a new page. => NULL: there is no frame for one. */
static void *take_from_new_page(lh_pool *pool, lh_port *port)
{
	struct pool_page *page;
	uintptr_t interrupts;
	void *item;

	if (make_page(pool, &page) != LH_OK)
		return NULL;
	interrupts = lh_spin_lock(&pool->lock, LH_LOCK_POOL, port);
	add_page_locked(pool, page);
	item = take_locked(pool);
	lh_spin_unlock(&pool->lock, LH_LOCK_POOL, port, interrupts);
	return item;
}

static void empty_fronts(lh_pool *pool, lh_port *port);

/* What fronts kept is free in its page now, or its page has become a free frame. */
static void *take_of_fronts(lh_pool *pool, lh_port *port)
{
	void *item;

	empty_fronts(pool, port);
	item = take_from_pages(pool, port);
	return item ? item : take_from_new_page(pool, port);
}

lh_error lh_pool_take(lh_pool *pool, void **item)
{
	lh_port *port = lh_frames_port(pool->frames);
	void *taken;

	if (LH_STEP_FAILS(pool->frames, pool_items))
		return LH_NO_MEMORY;
	taken = take_at_hand(pool, port);
	if (!taken)
		taken = take_from_new_page(pool, port);
	if (!taken && pool->fronts)
		taken = take_of_fronts(pool, port);
	if (!taken)
		return LH_NO_MEMORY;
	*item = taken;
	return LH_OK;
}

/* --- Giving back --- */

/* The page and index of what must be an item of the pool; panics if it is none. */
static struct pool_page *page_of_item(lh_pool *pool, lh_port *port, void *item, uint64_t *index)
{
	uint64_t offset = (uintptr_t)item & (LH_PAGE_SIZE - 1);
	uint64_t header = header_size(pool->items_per_page, pool->item_size);
	struct pool_page *page;
	lh_frame_entry *entry;

	LH_REQUIRE(port, item != NULL && offset >= header);
	LH_REQUIRE(port, (offset - header) % pool->item_size == 0);
	page = (struct pool_page *)(void *)((unsigned char *)item - offset);
	LH_REQUIRE(port, page->pool == pool);
	entry = lh_frame_entry_of(pool->frames, page->frame);
	LH_REQUIRE(port, entry != NULL && entry->state == LH_FRAME_POOL);
	LH_REQUIRE(port, entry->word == (uintptr_t)pool);
	*index = (offset - header) / pool->item_size;
	LH_REQUIRE(port, *index < pool->items_per_page);
	return page;
}

/* The item is free in its page. => the page, if it is to go to the frames; else NULL. The pool's
 * lock is held. */
static struct pool_page *give_locked(lh_pool *pool, struct pool_page *page, uint64_t index)
{
	uint64_t *word = &page->bits[index / 64];
	uint64_t bit = UINT64_C(1) << (index % 64);

	LH_REQUIRE(lh_frames_port(pool->frames), (*word & bit) != 0);
	lh_atomic_store_relaxed(word, *word & ~bit);
	pool->in_use--;
	if (page->in_use-- == pool->items_per_page)
		list_push(pool, &pool->partial, page);
	if (page->in_use != 0)
		return NULL;
	list_remove(pool, &pool->partial, page);
	if (pool->keeps_pages) {
		list_push(pool, &pool->empty, page);
		lh_atomic_store_relaxed(&pool->empty_pages, pool->empty_pages + 1);
		return NULL;
	}
	pool->pages--;
	page->next = LH_NO_FRAME;
	return page;
}

/* Pages chained by next, in no list of the pool any more. => how many. */
static uint64_t drop_pages(lh_pool *pool, struct pool_page *page)
{
	uint64_t count = 0;

	while (page) {
		uint64_t next = page->next;

		page->pool = NULL;
		(void)lh_frame_drop(pool->frames, page->frame);
		page = next != LH_NO_FRAME ? page_of_frame(pool, next) : NULL;
		count++;
	}
	return count;
}

/* The oldest items of a front, back into their pages. => pages to drop. The front's lock is held. */
static struct pool_page *spill(lh_pool *pool, struct lh_pool_front *front, uint32_t count,
			       lh_port *port)
{
	struct pool_page *empty = NULL;

	lh_spin_lock_inside(&pool->lock, port);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t index;
		struct pool_page *page = page_of_item(pool, port, front->items[i], &index);
		struct pool_page *dead = give_locked(pool, page, index);

		if (dead) {
			dead->next = empty ? empty->frame.value : LH_NO_FRAME;
			empty = dead;
		}
	}
	lh_spin_unlock_inside(&pool->lock, port);
	front->count -= count;
	memmove(front->items, front->items + count, front->count * sizeof *front->items);
	return empty;
}

static void give_to_front(lh_pool *pool, void *item, lh_port *port)
{
	struct lh_pool_front *front = &pool->fronts[lh_port_cpu(port)];
	uintptr_t interrupts = lh_spin_lock(&front->lock, LH_LOCK_POOL, port);
	struct pool_page *dead = NULL;

	for (uint32_t i = 0; i < front->count; i++)
		LH_ASSERT_INTERNAL(port, front->items[i] != item);
	if (front->count == FRONT_ITEMS)
		dead = spill(pool, front, FRONT_ITEMS / 2, port);
	front->items[front->count++] = item;
	lh_spin_unlock(&front->lock, LH_LOCK_POOL, port, interrupts);
	(void)drop_pages(pool, dead);
}

void lh_pool_give_back(lh_pool *pool, void *item)
{
	lh_port *port = lh_frames_port(pool->frames);
	uint64_t index;
	struct pool_page *page = page_of_item(pool, port, item, &index);
	struct pool_page *dead;
	uintptr_t interrupts;

	/* The bit of an item in use is changed by nobody else: it may be read without the lock. */
	LH_REQUIRE(port, (lh_atomic_load_relaxed(&page->bits[index / 64]) >> (index % 64) & 1) != 0);
	if (pool->fronts) {
		give_to_front(pool, item, port);
		return;
	}
	interrupts = lh_spin_lock(&pool->lock, LH_LOCK_POOL, port);
	dead = give_locked(pool, page, index);
	lh_spin_unlock(&pool->lock, LH_LOCK_POOL, port, interrupts);
	(void)drop_pages(pool, dead);
}

/* --- Trimming --- */

static void empty_fronts(lh_pool *pool, lh_port *port)
{
	for (unsigned cpu = 0; pool->fronts && cpu < LH_MAX_CPUS; cpu++) {
		struct lh_pool_front *front = &pool->fronts[cpu];
		uintptr_t interrupts = lh_spin_lock(&front->lock, LH_LOCK_POOL, port);
		struct pool_page *dead = spill(pool, front, front->count, port);

		lh_spin_unlock(&front->lock, LH_LOCK_POOL, port, interrupts);
		(void)drop_pages(pool, dead);
	}
}

/* Pages chained by next, in no list any more; NULL: there are not more than are to be kept. */
static struct pool_page *take_empty_pages_locked(lh_pool *pool, uint64_t keep)
{
	struct pool_page *dead = NULL;

	while (pool->empty_pages > keep) {
		struct pool_page *page = page_of_frame(pool, pool->empty);

		list_remove(pool, &pool->empty, page);
		page->next = dead ? dead->frame.value : LH_NO_FRAME;
		dead = page;
		pool->pages--;
		lh_atomic_store_relaxed(&pool->empty_pages, pool->empty_pages - 1);
	}
	return dead;
}

uint64_t lh_pool_trim(lh_pool *pool, uint64_t keep, const lh_cpu_set *readers)
{
	lh_port *port = lh_frames_port(pool->frames);
	struct pool_page *dead;
	uintptr_t interrupts;

	empty_fronts(pool, port);
	interrupts = lh_spin_lock(&pool->lock, LH_LOCK_POOL, port);
	dead = take_empty_pages_locked(pool, keep);
	lh_spin_unlock(&pool->lock, LH_LOCK_POOL, port, interrupts);
	/* A reader has interrupts off: on a CPU that has taken a call it is done, and a new one cannot come
	 * to a page that is in no list and holds no item that anything leads to. */
	if (dead && readers)
		lh_cpus_wait(port, readers);
	return drop_pages(pool, dead);
}

uint64_t lh_pool_items(lh_pool *pool)
{
	uint64_t items = lh_atomic_load_relaxed(&pool->in_use);

	for (unsigned cpu = 0; pool->fronts && cpu < LH_MAX_CPUS; cpu++)
		items -= lh_atomic_load_relaxed(&pool->fronts[cpu].count);
	return items;
}

/* --- The walker --- */

static const char *check_page(lh_pool *pool, const struct pool_page *page, uint64_t frame)
{
	uint64_t used = 0;

	if (page->pool != pool || page->frame.value != frame)
		return "a pool page's header is not its own";
	for (uint64_t word = 0; word < words_of(pool); word++)
		used += lh_bits_count(page->bits[word]);
	if (pool->items_per_page % 64 != 0 &&
	    page->bits[words_of(pool) - 1] >> (pool->items_per_page % 64) != 0)
		return "a pool page has an item beyond its last";
	if (used != page->in_use)
		return "a pool page's count of items is wrong";
	return used != 0 || pool->keeps_pages ? NULL : "an empty page stayed in the pool";
}

static uint64_t number_of(const lh_frames *frames, uint64_t ordinal)
{
	const struct frame_span *span = lh_frames_span_of_ordinal(frames, ordinal);

	return span->base + (ordinal - span->first);
}

/* All pages of the pool, by the frame array. */
static const char *check_pages(lh_pool *pool, uint64_t *partial, uint64_t *empty)
{
	lh_frames *frames = pool->frames;
	uint64_t pages = 0, in_use = 0;

	for (uint64_t ordinal = 0; ordinal < frames->total; ordinal++) {
		const lh_frame_entry *entry = &frames->entries[ordinal];
		const struct pool_page *page;
		const char *finding;
		uint64_t frame;

		if (entry->state != LH_FRAME_POOL || entry->word != (uintptr_t)pool)
			continue;
		frame = number_of(frames, ordinal);
		page = page_of_frame(pool, frame);
		finding = check_page(pool, page, frame);
		if (finding)
			return finding;
		pages++;
		in_use += page->in_use;
		*partial += page->in_use < pool->items_per_page && page->in_use != 0;
		*empty += page->in_use == 0;
	}
	if (pages != pool->pages)
		return "the pool's count of pages is wrong";
	return in_use == pool->in_use ? NULL : "the pool's count of items is wrong";
}

/* The list that begins with a frame has so many pages, each of them empty or each of them not. */
static const char *check_list(lh_pool *pool, uint64_t first, uint64_t pages, bool are_empty)
{
	uint64_t previous = LH_NO_FRAME, found = 0;

	for (uint64_t frame = first; frame != LH_NO_FRAME;) {
		const lh_frame_entry *entry = lh_frame_entry_of(pool->frames, lh_frame(frame));
		const struct pool_page *page;

		if (!entry || entry->state != LH_FRAME_POOL || entry->word != (uintptr_t)pool)
			return "the list of a pool leads out of it";
		page = page_of_frame(pool, frame);
		if (page->previous != previous)
			return "a link in the list of a pool is wrong";
		if (page->in_use == pool->items_per_page || (page->in_use == 0) != are_empty ||
		    ++found > pages)
			return "the list of a pool has a page too many";
		previous = frame;
		frame = page->next;
	}
	return found == pages ? NULL : "the list of a pool lacks a page";
}

static bool has_item(lh_pool *pool, const void *item)
{
	uint64_t offset = (uintptr_t)item & (LH_PAGE_SIZE - 1);
	const struct pool_page *page = (const void *)((const unsigned char *)item - offset);
	uint64_t index = (offset - header_size(pool->items_per_page, pool->item_size)) / pool->item_size;

	return page->pool == pool && index < pool->items_per_page &&
	       (page->bits[index / 64] >> (index % 64) & 1) != 0;
}

static const char *check_fronts(lh_pool *pool)
{
	for (unsigned cpu = 0; pool->fronts && cpu < LH_MAX_CPUS; cpu++) {
		const struct lh_pool_front *front = &pool->fronts[cpu];

		if (front->count > FRONT_ITEMS)
			return "a front of a pool has more items than it may";
		for (uint32_t i = 0; i < front->count; i++) {
			if (!has_item(pool, front->items[i]))
				return "a front of a pool keeps what is no item in use";
			for (uint32_t n = 0; n < i; n++)
				if (front->items[n] == front->items[i])
					return "a front of a pool keeps an item twice";
		}
	}
	return NULL;
}

const char *lh_pool_check(lh_pool *pool)
{
	uint64_t partial = 0, empty = 0;
	const char *finding = check_pages(pool, &partial, &empty);

	if (!finding && empty != pool->empty_pages)
		finding = "the pool's count of empty pages is wrong";
	if (!finding)
		finding = check_list(pool, pool->partial, partial, false);
	if (!finding)
		finding = check_list(pool, pool->empty, empty, true);
	return finding ? finding : check_fronts(pool);
}
