/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of runs. The heap's lock is let go before the memory manager is called: the run
 * is in the tree and nobody else knows it, so its range is safe without the lock, and a
 * flush on its way out waits for other CPUs while they may use the heap.
 */
#include "heap/heap_internal.h"

#include "base/memory.h"
#include "object/machine.h"

static struct lh_heap_run *take_descriptor(lh_heap *heap, uint32_t size_class)
{
	struct lh_heap_run *run;
	void *item;

	if (lh_pool_take(&heap->pool, &item) != LH_OK)
		return NULL;
	run = item;
	lh_region_init(&run->region, LH_BACKING_NONE, LH_RIGHT_NONE, 0);
	run->next = run->previous = NULL;
	run->size_class = size_class;
	run->in_use = 0;
	run->live = false;
	memset(run->bits, 0, sizeof run->bits);
	return run;
}

static lh_error place(lh_heap *heap, struct lh_heap_run *run, uint64_t pages, uint64_t alignment)
{
	lh_placement placement = { .pages = pages, .alignment = alignment };
	lh_error error;

	lh_mutex_lock(&heap->lock, LH_LOCK_HEAP, lh_heap_port(heap));
	error = lh_region_tree_place_anywhere(&heap->runs, &run->region, &placement);
	if (error == LH_OK) {
		heap->counters.runs++;
		heap->counters.pages += pages;
	}
	lh_mutex_unlock(&heap->lock, LH_LOCK_HEAP, lh_heap_port(heap));
	return error;
}

static void take_out(lh_heap *heap, struct lh_heap_run *run)
{
	lh_mutex_lock(&heap->lock, LH_LOCK_HEAP, lh_heap_port(heap));
	lh_region_tree_remove(&heap->runs, &run->region);
	heap->counters.runs--;
	heap->counters.pages -= run->region.range.pages;
	lh_mutex_unlock(&heap->lock, LH_LOCK_HEAP, lh_heap_port(heap));
	lh_pool_give_back(&heap->pool, run);
}

lh_error lh_heap_run_make(lh_heap *heap, uint64_t pages, uint64_t alignment, uint32_t size_class,
			  struct lh_heap_run **made)
{
	struct lh_heap_run *run = take_descriptor(heap, size_class);

	if (!run)
		return LH_NO_MEMORY;
	/* No room, and more than the range could ever hold, are the same to who asked. */
	if (place(heap, run, pages, alignment) != LH_OK) {
		lh_pool_give_back(&heap->pool, run);
		return LH_NO_MEMORY;
	}
	if (lh_manager_commit(heap->manager, &heap->region, run->region.range,
			      LH_RIGHT_READ | LH_RIGHT_WRITE) != LH_OK) {
		take_out(heap, run);
		return LH_NO_MEMORY;
	}
	*made = run;
	return LH_OK;
}

void lh_heap_run_end(lh_heap *heap, struct lh_heap_run *run)
{
	LH_ASSERT(lh_heap_port(heap), !run->live && run->in_use == 0);
	lh_manager_decommit(heap->manager, &heap->region, run->region.range);
	take_out(heap, run);
}

static void *bytes_at(lh_heap *heap, lh_virtual_address address)
{
	lh_directory *directory = &heap->manager->kernel_directory;
	uintptr_t interrupts = lh_directory_lock(directory);
	lh_leaf leaf = lh_directory_read_locked(directory, address);
	unsigned char *page;

	lh_directory_unlock(directory, interrupts);
	LH_REQUIRE(lh_heap_port(heap), leaf.kind == LH_LEAF_PRESENT);
	page = lh_frame_pointer(heap->pool.frames, leaf.frame);
	return page + (address.value & (LH_PAGE_SIZE - 1));
}

void lh_heap_clear(lh_heap *heap, lh_virtual_address address, uint64_t bytes)
{
	while (bytes != 0) {
		uint64_t part = LH_PAGE_SIZE - (address.value & (LH_PAGE_SIZE - 1));

		if (part > bytes)
			part = bytes;
		memset(bytes_at(heap, address), 0, part);
		address.value += part;
		bytes -= part;
	}
}
