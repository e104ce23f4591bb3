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
 * The pool's lock is not held while a frame is taken, zeroed or dropped.
 */
#include "physical/frames_internal.h"

#include "base/bits.h"

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
			   .partial = LH_NO_FRAME };
	return LH_OK;
}

/* --- Pages and their list. => the pool's lock is held --- */

static struct pool_page *page_of_frame(const lh_pool *pool, uint64_t frame)
{
	return lh_frame_pointer(pool->frames, lh_frame(frame));
}

static void list_push(lh_pool *pool, struct pool_page *page)
{
	page->previous = LH_NO_FRAME;
	page->next = pool->partial;
	if (page->next != LH_NO_FRAME)
		page_of_frame(pool, page->next)->previous = page->frame.value;
	pool->partial = page->frame.value;
}

static void list_remove(lh_pool *pool, struct pool_page *page)
{
	if (page->previous != LH_NO_FRAME)
		page_of_frame(pool, page->previous)->next = page->next;
	else
		pool->partial = page->next;
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
	page->bits[word] |= UINT64_C(1) << (index % 64);
	if (++page->in_use == pool->items_per_page)
		list_remove(pool, page);
	pool->in_use++;
	return (unsigned char *)page + header_size(pool->items_per_page, pool->item_size) + index * pool->item_size;
}

/* --- Taking --- */

static void add_page_locked(lh_pool *pool, struct pool_page *page)
{
	list_push(pool, page);
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

static void *take_at_hand(lh_pool *pool, lh_port *port)
{
	uintptr_t interrupts = lh_spin_lock(&pool->lock, LH_LOCK_POOL, port);
	void *item = NULL;

	if (pool->partial != LH_NO_FRAME)
		item = take_from_page(pool, page_of_frame(pool, pool->partial));
	lh_spin_unlock(&pool->lock, LH_LOCK_POOL, port, interrupts);
	return item;
}

lh_error lh_pool_take(lh_pool *pool, void **item)
{
	lh_port *port = lh_frames_port(pool->frames);
	struct pool_page *page;
	uintptr_t interrupts;
	void *taken;

	if (LH_STEP_FAILS(pool->frames, pool_items))
		return LH_NO_MEMORY;
	taken = take_at_hand(pool, port);
	if (!taken) {
		LH_TRY(make_page(pool, &page));
		interrupts = lh_spin_lock(&pool->lock, LH_LOCK_POOL, port);
		add_page_locked(pool, page);
		taken = take_from_page(pool, page);
		lh_spin_unlock(&pool->lock, LH_LOCK_POOL, port, interrupts);
	}
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

void lh_pool_give_back(lh_pool *pool, void *item)
{
	lh_port *port = lh_frames_port(pool->frames);
	uint64_t index;
	struct pool_page *page = page_of_item(pool, port, item, &index);
	uint64_t bit = UINT64_C(1) << (index % 64);
	uintptr_t interrupts = lh_spin_lock(&pool->lock, LH_LOCK_POOL, port);
	bool is_empty;

	LH_REQUIRE(port, (page->bits[index / 64] & bit) != 0);
	page->bits[index / 64] &= ~bit;
	pool->in_use--;
	if (page->in_use-- == pool->items_per_page)
		list_push(pool, page);
	is_empty = page->in_use == 0;
	if (is_empty) {
		list_remove(pool, page);
		pool->pages--;
	}
	lh_spin_unlock(&pool->lock, LH_LOCK_POOL, port, interrupts);
	if (is_empty) {
		page->pool = NULL;
		(void)lh_frame_drop(pool->frames, page->frame);
	}
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
	return used != 0 ? NULL : "an empty page stayed in the pool";
}

static uint64_t number_of(const lh_frames *frames, uint64_t ordinal)
{
	const struct frame_span *span = lh_frames_span_of_ordinal(frames, ordinal);

	return span->base + (ordinal - span->first);
}

/* All pages of the pool, by the frame array. */
static const char *check_pages(lh_pool *pool, uint64_t *partial)
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
		*partial += page->in_use < pool->items_per_page;
	}
	if (pages != pool->pages)
		return "the pool's count of pages is wrong";
	return in_use == pool->in_use ? NULL : "the pool's count of items is wrong";
}

static const char *check_list(lh_pool *pool, uint64_t partial)
{
	uint64_t previous = LH_NO_FRAME, found = 0;

	for (uint64_t frame = pool->partial; frame != LH_NO_FRAME;) {
		const lh_frame_entry *entry = lh_frame_entry_of(pool->frames, lh_frame(frame));
		const struct pool_page *page;

		if (!entry || entry->state != LH_FRAME_POOL || entry->word != (uintptr_t)pool)
			return "the list of a pool leads out of it";
		page = page_of_frame(pool, frame);
		if (page->previous != previous)
			return "a link in the list of a pool is wrong";
		if (page->in_use == pool->items_per_page || ++found > partial)
			return "the list of a pool has a page too many";
		previous = frame;
		frame = page->next;
	}
	return found == partial ? NULL : "the list of a pool lacks a page";
}

const char *lh_pool_check(lh_pool *pool)
{
	uint64_t partial = 0;
	const char *finding = check_pages(pool, &partial);

	return finding ? finding : check_list(pool, partial);
}
