/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's heap: memory of any size, in a reservation of the kernel's space. It stands
 * on the memory manager, which never calls it; so growing it can never come back into it.
 *
 * Small sizes are rounded up to one of LH_HEAP_CLASSES classes and come from slabs, runs of
 * one to eight pages cut into equal items; larger ones are runs of pages of their own. Runs
 * are committed when made and decommitted when their last item is freed; one empty slab a
 * class is kept for the next allocation, until lh_heap_trim.
 *
 * All bookkeeping lies outside the memory that is given out, in pages of a pool: neither an
 * overrun nor a use after free can lead the heap astray, and the heap itself never touches
 * an address that it gives.
 *
 * Lock: one mutex, first of the order, held over the bookkeeping only; the memory manager
 * is called, and so every flush is made, with no lock held. Context of all: no lock,
 * interrupts on.
 */
#ifndef LANDHOLD_HEAP_H
#define LANDHOLD_HEAP_H

#include <landhold/manager.h>
#include <landhold/pool.h>
#include <landhold/region_tree.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 16 to 128 by 16, then four a doubling up to 8192 bytes. */
#define LH_HEAP_CLASSES 32
#define LH_HEAP_CLASS_LARGEST 8192

struct lh_heap_run;

typedef struct lh_heap_counters {
	uint64_t items; /* given out */
	uint64_t bytes; /* in them, as rounded up */
	uint64_t runs;	/* slabs and large allocations */
	uint64_t pages; /* in runs: committed, or just being so */
} lh_heap_counters;

/* The caller's memory; fields are the heap's, under its lock but for the first two. */
typedef struct lh_heap {
	lh_manager *manager; /* NULL: not made */
	lh_pool pool;	     /* of runs; has a lock of its own */
	lh_region region;    /* the reservation: the kernel tree's */
	lh_region_tree runs; /* which run lies where in it */
	uint32_t lock;	     /* a mutex */
	uint32_t reserved;
	lh_heap_counters counters;
	struct lh_heap_run *partial[LH_HEAP_CLASSES]; /* slabs with a free item and a used one */
	struct lh_heap_run *empty[LH_HEAP_CLASSES];   /* one slab without a used one */
} lh_heap;

/*
 * Makes an empty heap and reserves its range; takes no frame for it yet.
 * => heap: the caller's, need not be zeroed; stays where it is. request: size and place of
 *    the range; its rights are not looked at.
 * => errors as lh_manager_reserve; the heap is then as good as destroyed.
 */
LH_MUST_USE lh_error lh_heap_create(lh_heap *heap, lh_manager *manager,
				    const lh_kernel_request *request);

/* Ends the heap with all that is allocated in it. Accepts a zeroed or destroyed one. */
void lh_heap_destroy(lh_heap *heap);

/*
 * Allocates bytes; contents undefined.
 * => alignment: a power of two, in bytes; 0 means 16. At least 16 are always kept.
 * => LH_INVALID: bytes 0, bad alignment; LH_NO_MEMORY: no frame, no room in the range, or
 *    beyond any range. Nothing changed.
 */
LH_MUST_USE lh_error lh_heap_allocate(lh_heap *heap, uint64_t bytes, uint64_t alignment,
				      lh_virtual_address *address);

/* The same, filled with zeroes: the whole of lh_heap_size_of. */
LH_MUST_USE lh_error lh_heap_allocate_zeroed(lh_heap *heap, uint64_t bytes, uint64_t alignment,
					     lh_virtual_address *address);

/*
 * Frees what lh_heap_allocate gave. Address 0: nothing happens.
 * => bytes: as asked for then, or 0 if no longer known. Another size, a pointer into an
 *    item, or one freed already: panic.
 */
void lh_heap_free(lh_heap *heap, lh_virtual_address address, uint64_t bytes);

/* Bytes usable at an address that was allocated: at least those asked for. Else panic. */
uint64_t lh_heap_size_of(lh_heap *heap, lh_virtual_address address);

/* Decommits the empty slabs that were kept. => pages given back. */
uint64_t lh_heap_trim(lh_heap *heap);

/* A consistent snapshot. */
void lh_heap_read_counters(lh_heap *heap, lh_heap_counters *counters);

/*
 * Recounts. The caller sees to it that nobody uses the heap meanwhile. => NULL if all is
 * well, else what is wrong.
 */
const char *lh_heap_check(lh_heap *heap);

#ifdef __cplusplus
}
#endif
#endif
