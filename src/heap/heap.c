/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Allocating and freeing. Under the lock only lists and bits change; whatever makes or ends
 * a run is done before or after. A slab that becomes empty is kept if its class has no empty
 * one yet, so that an allocation and a free at the edge of a slab do not each time map and
 * flush.
 */
#include "heap/heap_internal.h"

static void lock(lh_heap *heap)
{
	lh_mutex_lock(&heap->lock, LH_LOCK_HEAP, lh_heap_port(heap));
}

static void unlock(lh_heap *heap)
{
	lh_mutex_unlock(&heap->lock, LH_LOCK_HEAP, lh_heap_port(heap));
}

/* --- Life --- */

static lh_error prepare(lh_heap *heap, const lh_kernel_request *request)
{
	lh_kernel_request reservation = *request;
	lh_error error;

	LH_TRY(lh_pool_init(&heap->pool, lh_manager_frames(heap->manager), "heap runs",
			    sizeof(struct lh_heap_run)));
	reservation.rights = LH_RIGHT_READ | LH_RIGHT_WRITE;
	LH_TRY(lh_manager_reserve(heap->manager, &heap->region, &reservation));
	error = lh_region_tree_init(&heap->runs, heap->region.range);
	if (error != LH_OK)
		lh_manager_unmap(heap->manager, &heap->region);
	return error;
}

lh_error lh_heap_create(lh_heap *heap, lh_manager *manager, const lh_kernel_request *request)
{
	lh_error error;

	*heap = (lh_heap){ .manager = manager };
	error = prepare(heap, request);
	if (error != LH_OK)
		heap->manager = NULL;
	return error;
}

void lh_heap_destroy(lh_heap *heap)
{
	lh_region *region;

	if (!heap->manager)
		return;
	while ((region = lh_region_tree_first(&heap->runs)) != NULL) {
		struct lh_heap_run *run = (struct lh_heap_run *)(void *)region;

		run->live = false;
		run->in_use = 0;
		lh_heap_run_end(heap, run);
	}
	lh_manager_unmap(heap->manager, &heap->region);
	*heap = (lh_heap){ 0 };
}

/* --- Lists of partial slabs. => locked --- */

static void list_push(lh_heap *heap, struct lh_heap_run *run)
{
	struct lh_heap_run **head = &heap->partial[run->size_class];

	run->previous = NULL;
	run->next = *head;
	if (run->next)
		run->next->previous = run;
	*head = run;
}

static void list_remove(lh_heap *heap, struct lh_heap_run *run)
{
	if (run->previous)
		run->previous->next = run->next;
	else
		heap->partial[run->size_class] = run->next;
	if (run->next)
		run->next->previous = run->previous;
}

/* --- Taking --- */

/* The lowest free item of a live slab that is on no list or the partial one. */
static lh_virtual_address take_item_locked(lh_heap *heap, struct lh_heap_run *run)
{
	uint64_t size = lh_heap_class_size(run->size_class);
	uint64_t word = 0, index;

	while (run->bits[word] == UINT64_MAX)
		word++;
	index = word * 64 + (unsigned)__builtin_ctzll(~run->bits[word]);
	run->bits[word] |= UINT64_C(1) << (index % 64);
	if (run->in_use == 0)
		list_push(heap, run);
	if (++run->in_use == lh_heap_class_items(run->size_class))
		list_remove(heap, run);
	heap->counters.items++;
	heap->counters.bytes += size;
	return lh_virtual(run->region.range.base.value + index * size);
}

static bool take_at_hand(lh_heap *heap, uint32_t size_class, lh_virtual_address *address)
{
	struct lh_heap_run *run;

	lock(heap);
	run = heap->partial[size_class];
	if (!run) {
		run = heap->empty[size_class];
		heap->empty[size_class] = NULL;
	}
	if (run)
		*address = take_item_locked(heap, run);
	unlock(heap);
	return run != NULL;
}

static lh_error allocate_small(lh_heap *heap, uint32_t size_class, lh_virtual_address *address)
{
	struct lh_heap_run *run;

	if (take_at_hand(heap, size_class, address))
		return LH_OK;
	LH_TRY(lh_heap_run_make(heap, lh_heap_class_pages(size_class), 1, size_class, &run));
	lock(heap);
	run->live = true;
	*address = take_item_locked(heap, run);
	unlock(heap);
	return LH_OK;
}

static lh_error allocate_large(lh_heap *heap, uint64_t bytes, uint64_t alignment,
			       lh_virtual_address *address)
{
	uint64_t pages = ((bytes - 1) >> LH_PAGE_SHIFT) + 1;
	uint64_t align = alignment > LH_PAGE_SIZE ? alignment >> LH_PAGE_SHIFT : 1;
	struct lh_heap_run *run;

	LH_TRY(lh_heap_run_make(heap, pages, align, LARGE, &run));
	lock(heap);
	run->live = true;
	run->in_use = 1;
	heap->counters.items++;
	heap->counters.bytes += pages << LH_PAGE_SHIFT;
	unlock(heap);
	*address = run->region.range.base;
	return LH_OK;
}

lh_error lh_heap_allocate(lh_heap *heap, uint64_t bytes, uint64_t alignment,
			  lh_virtual_address *address)
{
	uint32_t size_class;

	if (alignment == 0)
		alignment = ITEM_LEAST;
	if (bytes == 0 || (alignment & (alignment - 1)) != 0)
		return LH_INVALID;
	size_class = lh_heap_class_for(bytes, alignment);
	if (size_class == LARGE)
		return allocate_large(heap, bytes, alignment, address);
	return allocate_small(heap, size_class, address);
}

lh_error lh_heap_allocate_zeroed(lh_heap *heap, uint64_t bytes, uint64_t alignment,
				 lh_virtual_address *address)
{
	uint32_t size_class;

	LH_TRY(lh_heap_allocate(heap, bytes, alignment, address));
	size_class = lh_heap_class_for(bytes, alignment != 0 ? alignment : ITEM_LEAST);
	/* Large runs are fresh frames, which come zeroed. */
	if (size_class != LARGE)
		lh_heap_clear(heap, *address, lh_heap_class_size(size_class));
	return LH_OK;
}

/* --- Giving back --- */

/* Where an item lies in its run. */
struct place {
	struct lh_heap_run *run;
	uint64_t index;
};

static uint64_t size_in(const struct lh_heap_run *run)
{
	if (run->size_class == LARGE)
		return run->region.range.pages << LH_PAGE_SHIFT;
	return lh_heap_class_size(run->size_class);
}

/* Finds an item that is given out; anything else stops the machine. */
static struct place find_locked(lh_heap *heap, lh_virtual_address address)
{
	lh_port *port = lh_heap_port(heap);
	lh_region *region = lh_region_tree_find(&heap->runs, address);
	struct place place;
	uint64_t offset;

	LH_REQUIRE(port, region != NULL);
	place.run = (struct lh_heap_run *)(void *)region;
	LH_REQUIRE(port, place.run->live);
	offset = address.value - region->range.base.value;
	place.index = offset / size_in(place.run);
	LH_REQUIRE(port, offset % size_in(place.run) == 0);
	if (place.run->size_class != LARGE) {
		LH_REQUIRE(port, place.index < lh_heap_class_items(place.run->size_class));
		LH_REQUIRE(port, (place.run->bits[place.index / 64] >> (place.index % 64) & 1) != 0);
	}
	return place;
}

/* => the run, if it is now empty, on no list, and to be ended. */
static struct lh_heap_run *give_back_locked(lh_heap *heap, struct place place)
{
	struct lh_heap_run *run = place.run;

	heap->counters.items--;
	heap->counters.bytes -= size_in(run);
	run->in_use--;
	if (run->size_class != LARGE) {
		if (run->in_use + 1 == lh_heap_class_items(run->size_class))
			list_push(heap, run);
		run->bits[place.index / 64] &= ~(UINT64_C(1) << (place.index % 64));
		if (run->in_use != 0)
			return NULL;
		list_remove(heap, run);
		if (!heap->empty[run->size_class]) {
			heap->empty[run->size_class] = run;
			return NULL;
		}
	}
	run->live = false;
	return run;
}

/* Whether an allocation of so many bytes could have come from the run. */
static bool could_be(const struct lh_heap_run *run, uint64_t bytes)
{
	uint64_t size = size_in(run);

	if (run->size_class == LARGE)
		return bytes <= size && size - bytes < LH_PAGE_SIZE;
	/* Alignment may have asked for a larger class than bytes alone. */
	return bytes <= size;
}

void lh_heap_free(lh_heap *heap, lh_virtual_address address, uint64_t bytes)
{
	struct lh_heap_run *ended;
	struct place place;

	if (address.value == 0)
		return;
	lock(heap);
	place = find_locked(heap, address);
	LH_REQUIRE(lh_heap_port(heap), bytes == 0 || could_be(place.run, bytes));
	ended = give_back_locked(heap, place);
	unlock(heap);
	if (ended)
		lh_heap_run_end(heap, ended);
}

uint64_t lh_heap_size_of(lh_heap *heap, lh_virtual_address address)
{
	uint64_t size;

	lock(heap);
	size = size_in(find_locked(heap, address).run);
	unlock(heap);
	return size;
}

uint64_t lh_heap_trim(lh_heap *heap)
{
	uint64_t pages = 0;

	for (uint32_t size_class = 0; size_class < LH_HEAP_CLASSES; size_class++) {
		struct lh_heap_run *run;

		lock(heap);
		run = heap->empty[size_class];
		heap->empty[size_class] = NULL;
		if (run)
			run->live = false;
		unlock(heap);
		if (!run)
			continue;
		pages += run->region.range.pages;
		lh_heap_run_end(heap, run);
	}
	return pages;
}

void lh_heap_read_counters(lh_heap *heap, lh_heap_counters *counters)
{
	lock(heap);
	*counters = heap->counters;
	unlock(heap);
}
