/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Allocating and freeing. The way of a small block, each step taken only if the one before finds nothing:
 * this CPU's front; slabs and spare runs, half a stack at once; a new run. Back the same way.
 */
#include "heap/heap_internal.h"

#include "base/memory.h"

/* --- life --- */

static lh_error prepare(lh_heap *heap, const lh_kernel_request *request)
{
	static const uint32_t rooms[3] = ROOMS;
	lh_kernel_request reservation = *request;
	lh_frames *frames = lh_manager_frames(heap->manager);
	lh_error error;

	heap->port = lh_frames_port(frames);
	lh_heap_fronts_init(heap);
	lh_heap_map_init(heap);
	for (unsigned i = 0; i < 3; i++)
		LH_TRY(lh_pool_init(&heap->pools[i], frames, "heap runs",
				    (uint32_t)RUN_STATES + rooms[i]));
	reservation.rights = HEAP_RIGHTS;
	LH_TRY(lh_manager_reserve(heap->manager, &heap->region, &reservation));
	heap->base = heap->region.range.base.value;
	heap->pages = heap->region.range.pages;
	error = LH_INVALID;
	if (heap->pages > 1 && heap->pages <= LH_HEAP_PAGES_MOST)
		error = lh_region_tree_init(&heap->runs,
					    (lh_virtual_range){ lh_virtual(heap->base + LH_PAGE_SIZE),
								heap->pages - 1 });
	if (error == LH_OK)
		error = lh_heap_quarantine_make(heap);
	if (error != LH_OK)
		lh_manager_unmap(heap->manager, &heap->region);
	return error;
}

/* Empty runs, a page a thing; in the end all that is kept. */
static uint64_t shrink(lh_shrinker *shrinker, unsigned priority, uint64_t most)
{
	lh_heap *heap = (lh_heap *)(void *)((char *)shrinker - offsetof(lh_heap, shrinker));

	if (priority == 0)
		return lh_heap_trim(heap);
	return lh_heap_runs_end(heap, lh_heap_spare_some(heap, most));
}

lh_error lh_heap_create(lh_heap *heap, lh_manager *manager, const lh_kernel_request *request,
			uint32_t flags)
{
	lh_error error;

	if ((flags & ~LH_HEAP_CHECKED) != 0)
		return LH_INVALID;
	*heap = (lh_heap){ .manager = manager, .flags = flags };
	error = prepare(heap, request);
	if (error != LH_OK) {
		heap->manager = NULL;
		return error;
	}
	for (unsigned i = 0; i < LH_HEAP_PARTS; i++)
		heap->parts[i].random = lh_port_random(lh_heap_port(heap)) | 1;
	heap->shrinker.scan = shrink;
	lh_shrinker_add(lh_manager_frames(manager), &heap->shrinker);
	return LH_OK;
}

void lh_heap_destroy(lh_heap *heap)
{
	lh_region *region;

	if (!heap->manager)
		return;
	lh_shrinker_remove(lh_manager_frames(heap->manager), &heap->shrinker);
	(void)lh_heap_trim(heap);
	while ((region = lh_region_tree_first(&heap->runs)) != NULL) {
		struct lh_heap_run *run = RUN_OF(region);

		run->live = false;
		run->taken = 0;
		run->next = NULL;
		(void)lh_heap_runs_end(heap, run);
	}
	lh_heap_quarantine_end(heap);
	lh_manager_unmap(heap->manager, &heap->region);
	*heap = (lh_heap){ 0 };
}

/* --- taking --- */

/* Keeps the last item for the caller; the others go to this CPU's front, as far as they fit. */
static uint64_t keep_one(lh_heap *heap, uint32_t size_class, const lh_heap_block *items, unsigned count)
{
	unsigned put = lh_heap_front_fill(heap, size_class, items, --count);

	lh_atomic_store_relaxed(items[count].state, (uint8_t)GIVEN);
	if (put != count)
		(void)lh_heap_items_give(heap, items + put, count - put);
	return items[count].address;
}

/* When frames have run out, what is kept for later is given back, and it is tried once more. */
static lh_error make_run(lh_heap *heap, const struct lh_heap_shape *shape, struct lh_heap_run **run)
{
	lh_error error;

	(void)lh_heap_runs_end(heap, lh_heap_spare_for_growth(heap, shape->pages));
	error = lh_heap_run_make(heap, shape, run);
	if (error != LH_OK && lh_heap_trim(heap) != 0)
		error = lh_heap_run_make(heap, shape, run);
	return error;
}

/* Where a long slab has no room any more, a short one may. */
static lh_error make_slab(lh_heap *heap, uint32_t size_class, struct lh_heap_run **run)
{
	struct lh_heap_shape shape = { lh_heap_slab_pages(heap, size_class), 1, size_class, false };
	uint64_t least = lh_heap_class_pages(size_class);
	lh_error error = make_run(heap, &shape, run);

	if (error == LH_OK || shape.pages == least)
		return error;
	shape.pages = least;
	return make_run(heap, &shape, run);
}

/* What is not at hand: in a slab that is made for it, or where none can be had, in another CPU's. => *count: at least one */
static lh_error take_elsewhere(lh_heap *heap, uint32_t size_class, uint32_t flags, lh_heap_block *items,
			       unsigned want, unsigned *count)
{
	lh_error error = LH_NO_MEMORY;
	struct lh_heap_run *run;

	if ((flags & LH_HEAP_AT_HAND) == 0)
		error = make_slab(heap, size_class, &run);
	if (error == LH_OK)
		*count = lh_heap_items_take_new(heap, run, items, want);
	else
		*count = lh_heap_items_take_any(heap, size_class, items, want);
	return *count == 0 ? error : LH_OK;
}

static lh_error take_slowly(lh_heap *heap, uint32_t size_class, uint32_t flags, uint64_t *address)
{
	lh_heap_block items[FRONT_BATCH_MOST];
	unsigned want = 1, count;

	if ((heap->flags & LH_HEAP_CHECKED) == 0) {
		lh_heap_front_make(heap);
		want = lh_heap_front_batch(size_class);
	}
	count = lh_heap_items_take(heap, size_class, items, want);
	if (count == 0)
		LH_TRY(take_elsewhere(heap, size_class, flags, items, want, &count));
	*address = keep_one(heap, size_class, items, count);
	return LH_OK;
}

static lh_error take_small(lh_heap *heap, uint32_t size_class, uint32_t flags, uint64_t *address)
{
	uint64_t taken;

	if (!lh_heap_front_take(heap, lh_heap_port(heap), size_class, &taken))
		LH_TRY(take_slowly(heap, size_class, flags, &taken));
	if ((flags & LH_HEAP_ZEROED) != 0)
		lh_heap_bytes_fill(heap, taken, 0, lh_heap_class_size(size_class));
	*address = taken;
	return LH_OK;
}

static lh_error take_large(lh_heap *heap, const lh_heap_request *request, uint64_t *address)
{
	struct lh_heap_shape shape = { ((request->bytes - 1) >> LH_PAGE_SHIFT) + 1,
				       request->alignment > LH_PAGE_SIZE
					       ? request->alignment >> LH_PAGE_SHIFT : 1,
				       LARGE, (request->flags & LH_HEAP_ZEROED) != 0 };
	struct lh_heap_run *run = lh_heap_spare_take(heap, shape.pages, shape.alignment);

	if (!run) {
		if ((request->flags & LH_HEAP_AT_HAND) != 0)
			return LH_NO_MEMORY;
		LH_TRY(make_run(heap, &shape, &run));
	}
	if (shape.is_zero && !run->is_zero)
		lh_heap_bytes_fill(heap, run->base, 0, run->size);
	lh_heap_large_begin(heap, run);
	*address = run->base;
	return LH_OK;
}

lh_error lh_heap_take_block(lh_heap *heap, const lh_heap_request *request, uint64_t *address)
{
	uint64_t alignment = request->alignment != 0 ? request->alignment : ITEM_LEAST;
	uint32_t size_class;

	if (request->bytes == 0 || (alignment & (alignment - 1)) != 0)
		return LH_INVALID;
	size_class = lh_heap_class_for(request->bytes, alignment);
	if (size_class == LARGE)
		return take_large(heap, request, address);
	return take_small(heap, size_class, request->flags, address);
}

static lh_error allocate(lh_heap *heap, const lh_heap_request *request, lh_virtual_address *address)
{
	uint64_t block;

	if ((heap->flags & LH_HEAP_CHECKED) != 0)
		return lh_heap_allocate_checked(heap, request, address);
	LH_TRY(lh_heap_take_block(heap, request, &block));
	*address = lh_virtual(block);
	return LH_OK;
}

/* Apart from the quick ways, so that they save no register for its sake. */
static __attribute__((noinline)) lh_error
allocate_slowly(lh_heap *heap, uint64_t bytes, uint64_t alignment, uint32_t flags, const void *caller,
		lh_virtual_address *address)
{
	lh_heap_request request = { bytes, alignment, flags, caller };

	return allocate(heap, &request, address);
}

/* Noinline: as allocate_slowly. => a block of the class for so many bytes */
static __attribute__((noinline)) void clear(const lh_heap *heap, uint64_t address, uint64_t bytes)
{
	lh_heap_bytes_fill(heap, address, 0, lh_heap_class_size(lh_heap_class_of_size(bytes)));
}

lh_error lh_heap_allocate(lh_heap *heap, uint64_t bytes, uint64_t alignment,
			  lh_virtual_address *address)
{
	uint64_t taken;

	lh_heap_require_outside(heap, 0);
	if (__builtin_expect(!lh_heap_take_quickly(heap, bytes, alignment, &taken), 0))
		return allocate_slowly(heap, bytes, alignment, 0, __builtin_return_address(0), address);
	*address = lh_virtual(taken);
	return LH_OK;
}

lh_error lh_heap_allocate_zeroed(lh_heap *heap, uint64_t bytes, uint64_t alignment,
				 lh_virtual_address *address)
{
	uint64_t taken;

	lh_heap_require_outside(heap, 0);
	if (__builtin_expect(!lh_heap_take_quickly(heap, bytes, alignment, &taken), 0))
		return allocate_slowly(heap, bytes, alignment, LH_HEAP_ZEROED, __builtin_return_address(0),
				       address);
	clear(heap, taken, bytes);
	*address = lh_virtual(taken);
	return LH_OK;
}

lh_error lh_heap_allocate_as(lh_heap *heap, const lh_heap_request *request,
			     lh_virtual_address *address)
{
	lh_heap_request named = *request;

	if ((named.flags & ~(LH_HEAP_ZEROED | LH_HEAP_AT_HAND)) != 0)
		return LH_INVALID;
	lh_heap_require_outside(heap, named.flags);
	if (!named.caller)
		named.caller = __builtin_return_address(0);
	return allocate(heap, &named, address);
}

/* --- giving back --- */

const char *lh_heap_find(const lh_heap *heap, lh_virtual_address address, lh_heap_item *item)
{
	struct lh_heap_run *run = lh_heap_run_of(heap, address.value);

	if (!run)
		return "heap: not an address of the heap";
	if ((!lh_heap_is_beginning(run, address.value - run->base, &item->index) &&
	     address.value != run->base) ||
	    item->index >= run->items)
		return "heap: not the beginning of a block";
	item->run = run;
	return NULL;
}

lh_heap_item lh_heap_find_given(const lh_heap *heap, lh_virtual_address address)
{
	lh_heap_item item = { NULL, 0 };
	const char *finding = lh_heap_find(heap, address, &item);

	if (finding)
		lh_port_panic(lh_heap_port(heap), finding);
	if (lh_heap_state(item) != GIVEN)
		lh_port_panic(lh_heap_port(heap), "heap: a block that is free already");
	return item;
}

bool lh_heap_could_be(const struct lh_heap_run *run, uint64_t bytes)
{
	if (run->size_class == LARGE)
		/* A spare run may have been longer than was asked for. */
		return bytes <= run->size && (bytes == 0 || run->size - bytes < LH_PAGE_SIZE + run->size / 8);
	/* Alignment may have asked for a larger class than bytes alone. */
	return bytes <= run->size;
}

static void end_surplus(lh_heap *heap, bool is_surplus, uint32_t flags)
{
	if (is_surplus && (flags & LH_HEAP_AT_HAND) == 0)
		(void)lh_heap_runs_end(heap, lh_heap_spare_surplus(heap, false));
}

/* This CPU's front is full, or is none. */
static void give_slowly(lh_heap *heap, uint32_t size_class, lh_heap_block item, uint32_t flags)
{
	lh_heap_block items[FRONT_BATCH_MOST + 1];
	unsigned count;

	/* The size class is passed: the run is nobody's to look at once the item is given. */
	count = lh_heap_front_halve(heap, size_class, items);
	lh_atomic_store_relaxed(item.state, (uint8_t)FRONT);
	items[count++] = item;
	end_surplus(heap, lh_heap_items_give(heap, items, count), flags);
}

void lh_heap_give_block(lh_heap *heap, lh_heap_item item, uint32_t flags)
{
	uint32_t size_class = item.run->size_class;
	lh_heap_block block = lh_heap_item_block(item);

	if (size_class == LARGE)
		end_surplus(heap, lh_heap_large_give(heap, item.run), flags);
	else if (!lh_heap_front_put(heap, lh_heap_port(heap), size_class, block))
		give_slowly(heap, size_class, block, flags);
}

/* Whatever is not as it mostly is; and what never should be. Noinline: as allocate_slowly. */
static __attribute__((noinline)) void free_slowly(lh_heap *heap, lh_virtual_address address,
						  uint64_t bytes, uint32_t flags, const void *caller)
{
	lh_heap_item item;

	if (address.value == 0)
		return;
	if ((heap->flags & LH_HEAP_CHECKED) != 0) {
		lh_heap_free_checked(heap, address, bytes, flags, caller);
		return;
	}
	item = lh_heap_find_given(heap, address);
	if (!lh_heap_could_be(item.run, bytes))
		lh_port_panic(lh_heap_port(heap), "heap: a block freed with a size it never had");
	lh_heap_give_block(heap, item, flags);
}

/* => false: it is no small block, or has to go elsewhere. */
static inline bool free_quickly(lh_heap *heap, uint64_t address, uint64_t bytes)
{
	lh_heap_item item;

	if (!lh_heap_find_quickly(heap, address, &item) || bytes > item.run->size)
		return false;
	return lh_heap_put_quickly(heap, address, item);
}

void lh_heap_free(lh_heap *heap, lh_virtual_address address, uint64_t bytes)
{
	lh_heap_require_outside(heap, 0);
	if (__builtin_expect(!free_quickly(heap, address.value, bytes), 0))
		free_slowly(heap, address, bytes, 0, __builtin_return_address(0));
}

void lh_heap_free_as(lh_heap *heap, lh_virtual_address address, uint64_t bytes, uint32_t flags,
		     const void *caller)
{
	lh_heap_require_outside(heap, flags);
	if (!free_quickly(heap, address.value, bytes))
		free_slowly(heap, address, bytes, flags, caller ? caller : __builtin_return_address(0));
}

uint64_t lh_heap_size_of(lh_heap *heap, lh_virtual_address address)
{
	lh_heap_item item = lh_heap_find_given(heap, address);

	if ((heap->flags & LH_HEAP_CHECKED) != 0)
		return lh_heap_checked_bytes(item);
	return item.run->size;
}

uint64_t lh_heap_trim(lh_heap *heap)
{
	lh_heap_require_outside(heap, 0);
	lh_heap_quarantine_empty(heap);
	lh_heap_fronts_drain(heap);
	return lh_heap_runs_end(heap, lh_heap_spare_surplus(heap, true));
}

void lh_heap_read_counters(lh_heap *heap, lh_heap_counters *counters)
{
	lh_port *port = lh_heap_port(heap);
	uintptr_t interrupts = lh_spin_lock(&heap->lock, LH_LOCK_HEAP, port);
	uint64_t held_items, held_bytes;

	*counters = (lh_heap_counters){ heap->large_items, heap->large_bytes, heap->run_count,
					heap->page_count,
					heap->page_count + lh_atomic_load(&heap->own_frames) };
	for (uint32_t i = 0; i < LH_HEAP_CLASSES; i++) {
		uint64_t items = lh_heap_items_count(heap, i), in_fronts = lh_heap_fronts_count_locked(heap, i);

		/* While others are at work an item may be counted in a front too early. */
		items = items > in_fronts ? items - in_fronts : 0;
		counters->items += items;
		counters->bytes += items * lh_heap_class_size(i);
	}
	lh_heap_quarantine_count_locked(heap, &held_items, &held_bytes);
	counters->items -= held_items;
	counters->bytes -= held_bytes;
	lh_spin_unlock(&heap->lock, LH_LOCK_HEAP, port, interrupts);
}
