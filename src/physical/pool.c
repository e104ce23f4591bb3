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
 * Pages with a free item and one in use are on a list, the one most lately filled up from first;
 * full pages are on none. The frame's word names the pool, so the walker finds full
 * pages too, and a pointer into some other page is never taken for an item.
 *
 * Pages without an item in use are on a second list in a pool that keeps them, and in no list
 * elsewhere: there they go back to the frames at once.
 *
 * A front is a CPU's lists, and a lock. A page belongs to the front of the CPU that brought it as long as it is in the
 * pool: who takes an item takes it from his own front's pages, who gives one back gives it to its page, whoever's that
 * is. So CPUs that give back what they took write to no common line. Before taking an item fails, all fronts are looked
 * through one by one: an item that is given back meanwhile may be missed, which is no promise broken, since items
 * are not promised. (A stack of free items for each CPU, over pages in common, was here before: such items hold pages
 * that are in use for nobody.)
 *
 * Locks: a front's; never two, and none while a frame is taken, zeroed or dropped.
 */
#include "physical/frames_internal.h"

#include "base/bits.h"
#include "base/cpus.h"
#include "base/memory.h"

#include <landhold/pool.h>

/* At the beginning of the page; l = its front's lock, c = constant while in the pool. */
struct pool_page {
	lh_pool *pool;	       /* c */
	lh_frame_number frame; /* c: this page's own */
	uint64_t next;	       /* l: frames on the list; LH_NO_FRAME: none */
	uint64_t previous;     /* l */
	uint32_t in_use;       /* l: items given out */
	uint32_t front;	       /* c: its number */
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

static void set_fronts(lh_pool *pool, lh_pool_front *fronts, uint32_t count)
{
	pool->fronts = fronts;
	pool->front_count = count;
	for (uint32_t i = 0; i < count; i++)
		fronts[i] = (lh_pool_front){ .partial = LH_NO_FRAME, .empty = LH_NO_FRAME };
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
			   .first_item = (uint32_t)header_size(items, size) };
	set_fronts(pool, &pool->own, 1);
	return LH_OK;
}

void lh_pool_keep_pages(lh_pool *pool)
{
	pool->keeps_pages = true;
}

size_t lh_pool_fronts_size(void)
{
	return LH_MAX_CPUS * sizeof(lh_pool_front);
}

void lh_pool_add_fronts(lh_pool *pool, void *memory)
{
	set_fronts(pool, memory, pool->frames->cpu_count);
}

/* --- Pages and their lists. => the front's lock is held --- */

static struct pool_page *page_of_frame(const lh_pool *pool, uint64_t frame)
{
	return lh_frame_pointer(pool->frames, lh_frame(frame));
}

/* list: the front's partial or empty. */
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

static void push_empty(lh_pool *pool, lh_pool_front *front, struct pool_page *page)
{
	list_push(pool, &front->empty, page);
	lh_atomic_store_relaxed(&front->empty_pages, front->empty_pages + 1);
}

/* => one is there. */
static struct pool_page *pop_empty(lh_pool *pool, lh_pool_front *front)
{
	struct pool_page *page = page_of_frame(pool, front->empty);

	list_remove(pool, &front->empty, page);
	lh_atomic_store_relaxed(&front->empty_pages, front->empty_pages - 1);
	return page;
}

/* The lowest free item of a page that has one becomes used. */
static void *take_from_page(lh_pool *pool, lh_pool_front *front, struct pool_page *page)
{
	uint64_t word = 0, index;

	while (page->bits[word] == UINT64_MAX)
		word++;
	index = word * 64 + (unsigned)__builtin_ctzll(~page->bits[word]);
	LH_ASSERT(lh_frames_port(pool->frames), index < pool->items_per_page);
	page->bits[word] |= UINT64_C(1) << (index % 64);
	if (++page->in_use == pool->items_per_page)
		list_remove(pool, &front->partial, page);
	lh_atomic_store_relaxed(&front->in_use, front->in_use + 1);
	return (unsigned char *)page + pool->first_item + index * pool->item_size;
}

/* --- Taking --- */

/* A new page, known to nobody yet. */
static lh_error make_page(lh_pool *pool, uint32_t front, struct pool_page **page)
{
	lh_frame_number frame;

	LH_TRY(lh_frame_allocate_zeroed(pool->frames, LH_FRAME_POOL, LH_FRAME_UNCHARGED, &frame));
	lh_frame_entry_of(pool->frames, frame)->word = (uintptr_t)pool;
	*page = lh_frame_pointer(pool->frames, frame);
	(*page)->pool = pool;
	(*page)->frame = frame;
	(*page)->front = front;
	return LH_OK;
}

/* An item of some page; NULL: none is free. => the front's lock is held. */
static void *take_locked(lh_pool *pool, lh_pool_front *front)
{
	if (front->partial == LH_NO_FRAME) {
		if (front->empty == LH_NO_FRAME)
			return NULL;
		list_push(pool, &front->partial, pop_empty(pool, front));
	}
	return take_from_page(pool, front, page_of_frame(pool, front->partial));
}

/* fresh: a page that becomes the front's first; NULL: none. */
static void *take_from_front(lh_pool *pool, lh_pool_front *front, struct pool_page *fresh)
{
	lh_port *port = lh_frames_port(pool->frames);
	uintptr_t interrupts = lh_spin_lock(&front->lock, LH_LOCK_POOL, port);
	void *item;

	if (fresh) {
		list_push(pool, &front->partial, fresh);
		lh_atomic_store_relaxed(&front->pages, front->pages + 1);
	}
	item = take_locked(pool, front);
	lh_spin_unlock(&front->lock, LH_LOCK_POOL, port, interrupts);
	return item;
}

/* An item of a new page, or of another front's. NULL: there is none, nor a frame for a page. */
static void *take_from_elsewhere(lh_pool *pool, uint32_t own)
{
	struct pool_page *page;
	void *item = NULL;

	if (make_page(pool, own, &page) == LH_OK)
		return take_from_front(pool, &pool->fronts[own], page);
	for (uint32_t i = 0; i < pool->front_count && !item; i++)
		item = take_from_front(pool, &pool->fronts[i], NULL);
	return item;
}

lh_error lh_pool_take(lh_pool *pool, void **item)
{
	uint32_t own = pool->front_count > 1 ? lh_port_cpu(lh_frames_port(pool->frames)) : 0;
	void *taken;

	if (LH_STEP_FAILS(pool->frames, pool_items))
		return LH_NO_MEMORY;
	taken = take_from_front(pool, &pool->fronts[own], NULL);
	if (!taken)
		taken = take_from_elsewhere(pool, own);
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
	uint64_t within = offset - pool->first_item;
	struct pool_page *page;
	lh_frame_entry *entry;

	LH_REQUIRE(port, item != NULL && offset >= pool->first_item);
	LH_REQUIRE(port, within % pool->item_size == 0);
	page = (struct pool_page *)(void *)((unsigned char *)item - offset);
	LH_REQUIRE(port, page->pool == pool);
	entry = lh_frame_entry_of(pool->frames, page->frame);
	LH_REQUIRE(port, entry != NULL && entry->state == LH_FRAME_POOL);
	LH_REQUIRE(port, entry->word == (uintptr_t)pool);
	*index = within / pool->item_size;
	LH_REQUIRE(port, *index < pool->items_per_page && page->front < pool->front_count);
	return page;
}

/* The item is free in its page. => the page is in no list any more, and is to go to the frames. The front's lock
 * is held. */
static bool give_locked(lh_pool *pool, lh_pool_front *front, struct pool_page *page, uint64_t index)
{
	uint64_t *word = &page->bits[index / 64];
	uint64_t bit = UINT64_C(1) << (index % 64);

	LH_REQUIRE(lh_frames_port(pool->frames), (*word & bit) != 0);
	*word &= ~bit;
	lh_atomic_store_relaxed(&front->in_use, front->in_use - 1);
	if (page->in_use-- == pool->items_per_page)
		list_push(pool, &front->partial, page);
	if (page->in_use != 0)
		return false;
	list_remove(pool, &front->partial, page);
	if (pool->keeps_pages) {
		push_empty(pool, front, page);
		return false;
	}
	lh_atomic_store_relaxed(&front->pages, front->pages - 1);
	return true;
}

static void drop_page(lh_pool *pool, struct pool_page *page)
{
	page->pool = NULL;
	(void)lh_frame_drop(pool->frames, page->frame);
}

bool lh_pool_give_back(lh_pool *pool, void *item)
{
	lh_port *port = lh_frames_port(pool->frames);
	uint64_t index;
	struct pool_page *page = page_of_item(pool, port, item, &index);
	lh_pool_front *front = &pool->fronts[page->front];
	uintptr_t interrupts = lh_spin_lock(&front->lock, LH_LOCK_POOL, port);
	bool is_dead = give_locked(pool, front, page, index);
	bool is_much = front->empty_pages > LH_POOL_EMPTY_KEPT;

	lh_spin_unlock(&front->lock, LH_LOCK_POOL, port, interrupts);
	if (is_dead)
		drop_page(pool, page);
	return is_much;
}

/* --- Trimming --- */

/* Empty pages but so many, in no list any more, chained by next before those that are so already. */
static struct pool_page *take_empty_pages(lh_pool *pool, lh_pool_front *front, uint64_t keep,
					  struct pool_page *dead)
{
	lh_port *port = lh_frames_port(pool->frames);
	uintptr_t interrupts = lh_spin_lock(&front->lock, LH_LOCK_POOL, port);

	while (front->empty_pages > keep) {
		struct pool_page *page = pop_empty(pool, front);

		page->next = dead ? dead->frame.value : LH_NO_FRAME;
		dead = page;
		lh_atomic_store_relaxed(&front->pages, front->pages - 1);
	}
	lh_spin_unlock(&front->lock, LH_LOCK_POOL, port, interrupts);
	return dead;
}

/* Pages chained by next, in no list any more. => how many. */
static uint64_t drop_pages(lh_pool *pool, struct pool_page *page)
{
	uint64_t count = 0;

	while (page) {
		uint64_t next = page->next;

		drop_page(pool, page);
		page = next != LH_NO_FRAME ? page_of_frame(pool, next) : NULL;
		count++;
	}
	return count;
}

uint64_t lh_pool_trim(lh_pool *pool, uint64_t keep, const lh_cpu_set *readers)
{
	struct pool_page *dead = NULL;

	for (uint32_t i = 0; i < pool->front_count; i++)
		if (lh_atomic_load_relaxed(&pool->fronts[i].empty_pages) > keep)
			dead = take_empty_pages(pool, &pool->fronts[i], keep, dead);
	/* A reader has interrupts off: on a CPU that has taken a call it is done, and a new one cannot come
	 * to a page that is in no list and holds no item that anything leads to. */
	if (dead && readers)
		lh_cpus_wait(lh_frames_port(pool->frames), readers);
	return drop_pages(pool, dead);
}

lh_pool_counters lh_pool_read_counters(const lh_pool *pool)
{
	lh_pool_counters counters = { 0, 0, 0 };

	for (uint32_t i = 0; i < pool->front_count; i++) {
		counters.items += lh_atomic_load_relaxed(&pool->fronts[i].in_use);
		counters.pages += lh_atomic_load_relaxed(&pool->fronts[i].pages);
		counters.empty_pages += lh_atomic_load_relaxed(&pool->fronts[i].empty_pages);
	}
	return counters;
}

/* --- The walker --- */

static const char *check_page(lh_pool *pool, const struct pool_page *page, uint64_t frame)
{
	uint64_t used = 0;

	if (page->pool != pool || page->frame.value != frame || page->front >= pool->front_count)
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

/* What is found of a front's pages: their number, their items, and how many may be on each of its lists. */
enum { FOUND_PAGES, FOUND_ITEMS, FOUND_PARTIAL, FOUND_EMPTY };

static void count_page(const lh_pool *pool, const struct pool_page *page)
{
	uint64_t *found = pool->fronts[page->front].found;

	found[FOUND_PAGES]++;
	found[FOUND_ITEMS] += page->in_use;
	found[FOUND_PARTIAL] += page->in_use < pool->items_per_page && page->in_use != 0;
	found[FOUND_EMPTY] += page->in_use == 0;
}

/* All pages of the pool, by the frame array. */
static const char *count_pages(lh_pool *pool)
{
	lh_frames *frames = pool->frames;

	for (uint32_t i = 0; i < pool->front_count; i++)
		memset(pool->fronts[i].found, 0, sizeof pool->fronts[i].found);
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
		count_page(pool, page);
	}
	return NULL;
}

/* The list that begins with a frame has so many pages, all of them this front's, and each of them empty or each of
 * them not. */
static const char *check_list(lh_pool *pool, uint32_t front, uint64_t first, uint64_t pages, bool are_empty)
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
		    page->front != front || ++found > pages)
			return "the list of a pool has a page too many";
		previous = frame;
		frame = page->next;
	}
	return found == pages ? NULL : "the list of a pool lacks a page";
}

static const char *check_front(lh_pool *pool, uint32_t number)
{
	const lh_pool_front *front = &pool->fronts[number];
	const char *finding;

	if (front->found[FOUND_PAGES] != front->pages)
		return "the pool's count of pages is wrong";
	if (front->found[FOUND_ITEMS] != front->in_use)
		return "the pool's count of items is wrong";
	if (front->found[FOUND_EMPTY] != front->empty_pages)
		return "the pool's count of empty pages is wrong";
	finding = check_list(pool, number, front->partial, front->found[FOUND_PARTIAL], false);
	return finding ? finding : check_list(pool, number, front->empty, front->empty_pages, true);
}

const char *lh_pool_check(lh_pool *pool)
{
	const char *finding = count_pages(pool);

	for (uint32_t i = 0; i < pool->front_count && !finding; i++)
		finding = check_front(pool, i);
	return finding;
}
