/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The heap's inside. A run is pages in a row inside the reservation: a slab of equal items,
 * or one large allocation. It is a region in the heap's own tree, which finds holes and
 * finds the run of an address in O(log n), and an item of the heap's pool.
 *
 * A run's life:   placed (in the tree, unknown to all others)
 *              -> committed, live: on a list if a slab with free items
 *              -> detached: empty, on no list, still in the tree, so nobody is placed there
 *              -> decommitted and flushed -> out of the tree -> back to the pool
 * Only live runs are looked at by others; the steps in between are made with no lock held.
 *
 * Files: classes.c (sizes), runs.c (the life of runs), heap.c (the interface), check.c.
 */
#ifndef LANDHOLD_HEAP_HEAP_INTERNAL_H
#define LANDHOLD_HEAP_HEAP_INTERNAL_H

#include <landhold/heap.h>

#include "base/assert.h"
#include "base/lock.h"

#define ITEM_LEAST 16
#define ITEMS_MOST (LH_PAGE_SIZE / ITEM_LEAST)
#define SLAB_PAGES_MOST 8
#define LARGE LH_HEAP_CLASSES

/* Everything here is under the heap's lock, once the run is live. */
struct lh_heap_run {
	lh_region region;	/* first: the tree gives regions */
	struct lh_heap_run *next, *previous; /* in partial[size_class] */
	uint32_t size_class;	/* or LARGE */
	uint32_t in_use;	/* items given out; of a large run 1 */
	bool live;
	uint64_t bits[ITEMS_MOST / 64]; /* set: given out; of a large run unused */
};

/* --- classes.c --- */

/* Bytes of an item. */
uint64_t lh_heap_class_size(uint32_t size_class);
/* Pages of a slab. */
uint64_t lh_heap_class_pages(uint32_t size_class);
/* Items in a slab. */
uint64_t lh_heap_class_items(uint32_t size_class);
/* The smallest class that fits; LARGE if none does. => alignment: a power of two */
uint32_t lh_heap_class_for(uint64_t bytes, uint64_t alignment);

/* --- runs.c. Context: the heap's lock not held --- */

/* Makes a run, committed but not yet live. => alignment in pages. LH_NO_MEMORY. */
LH_MUST_USE lh_error lh_heap_run_make(lh_heap *heap, uint64_t pages, uint64_t alignment,
				      uint32_t size_class, struct lh_heap_run **run);
/* Ends a run that is on no list and not live. */
void lh_heap_run_end(lh_heap *heap, struct lh_heap_run *run);
/* Fills committed bytes of the reservation with zeroes, through the frames below them. */
void lh_heap_clear(lh_heap *heap, lh_virtual_address address, uint64_t bytes);

static inline lh_port *lh_heap_port(const lh_heap *heap)
{
	return lh_frames_port(heap->pool.frames);
}

#endif
