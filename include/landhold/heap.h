/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's heap: memory of any size, in a reservation of the kernel's space. It stands
 * on the memory manager, which never calls it; so growing it can never come back into it.
 *
 * Small sizes are rounded up to one of LH_HEAP_CLASSES classes and come from slabs, runs of two to
 * eight pages cut into equal items, longer where there are many; larger ones are runs of pages of their
 * own. A run has an unmapped page before and behind it. Each CPU keeps a few items of each class at hand,
 * its front. The heap shrinks as it grows: a run without a used item is kept for a while, for whatever fits,
 * so that the heap never takes more than it used of late, but for some pages. As the heap is used further, what
 * it once used is forgotten, and such runs go back to the frames, many by one flush; so do as many pages
 * as the heap grows by although it keeps some, and all when frames run out (the heap is a shrinker).
 *
 * All bookkeeping lies outside the memory that is given out, in frames of its own: neither an
 * overrun nor a use after free can lead the heap astray. Items come in random order.
 * The heap never goes through an address that it gives: to clear and to copy, it reaches the bytes
 * through their frames. Its pages are never executable.
 *
 * A checked heap (LH_HEAP_CHECKED) puts a red zone behind each block, keeps freed ones in quarantine,
 * and remembers who allocated and who freed: for debugging, many times slower. Without it a
 * free of what is not a block, or of one that is free already, stops the machine all the same, and so
 * does a size that its block cannot have had.
 *
 * Contexts. "May wait": no lock of the library held, interrupts on. "Any": interrupt handlers too, but
 * never inside the memory manager, which is to say in a port function that the library has called
 * (lh_port_memory_pressure and a pager's excepted, which it calls holding nothing). Builds
 * with LH_DEBUG 2 look at what the caller holds, and stop the machine.
 */
#ifndef LANDHOLD_HEAP_H
#define LANDHOLD_HEAP_H

#include <landhold/manager.h>
#include <landhold/pool.h>
#include <landhold/reclaim.h>
#include <landhold/region_tree.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 16 to 128 by 16, then four a doubling up to 10240 bytes: beyond, whole pages waste no more. */
#define LH_HEAP_CLASSES 33
#define LH_HEAP_CLASS_LARGEST 10240

/* Empty runs of up to so many pages are found by their size; longer ones by a search. */
#define LH_HEAP_SPARE_PAGES 64

/* A list for each size of them, one for longer ones, and for the eight sizes that a slab can have two more. */
#define LH_HEAP_SPARE_LISTS (1 + LH_HEAP_SPARE_PAGES + 2 * 8)

/* The largest reservation: so many top tables, each for a square of what a page holds of 16 bytes. */
#define LH_HEAP_TABLES 256
#define LH_HEAP_PAGES_MOST (LH_HEAP_TABLES * (LH_PAGE_SIZE / 16) * (LH_PAGE_SIZE / 16))

/* How a heap is made. */
#define LH_HEAP_CHECKED (1u << 0)

/* How a block is wanted. */
#define LH_HEAP_ZEROED (1u << 0)  /* the whole of lh_heap_size_of filled with zeroes */
#define LH_HEAP_AT_HAND (1u << 1) /* never wait, never grow: any context */

struct lh_heap_run;
struct lh_heap_front;
struct lh_heap_quarantine;

typedef struct lh_heap_counters {
	uint64_t items; /* given out */
	uint64_t bytes; /* in them, as rounded up */
	uint64_t runs;	/* slabs and large allocations, and runs kept for the next */
	uint64_t pages; /* in runs: committed, or just being so */
	uint64_t frames; /* those, and single ones of the heap's books; not its pools' */
} lh_heap_counters;

/* An upper table of the heap's map: the tables below. */
typedef struct lh_heap_table {
	void *tables[LH_HEAP_TABLES];
	uint64_t frames_and_used[LH_HEAP_TABLES]; /* of each: frame << 16 | entries in use */
} lh_heap_table;

/* CPUs whose numbers leave the same remainder share a part. */
#define LH_HEAP_PARTS 8

/* Slabs from which some of the CPUs take, so that others write to none of their lines. [p] its lock, a spinning one */
typedef struct lh_heap_part {
	uint32_t lock;
	uint32_t batches;			      /* [p] given back */
	uint64_t random;			      /* [p] */
	uint64_t taken[LH_HEAP_CLASSES];	      /* [p], read by atomic loads: of its slabs, given out or in a front */
	struct lh_heap_run *partial[LH_HEAP_CLASSES]; /* [p] slabs with a free item and a used one */
	uint64_t apart[8];			      /* unused: a line between it and the next */
} lh_heap_part;

/*
 * The caller's memory. Who may change a field:
 *   [c] constant once the heap is made   [h] the heap's lock, a spinning one
 *   [o] its CPU alone, interrupts off    [a] written under [h], read by atomic loads
 */
typedef struct lh_heap {
	lh_manager *manager;			       /* [c] NULL: not made */
	lh_port *port;				       /* [c] */
	uint64_t base, pages;			       /* [c] of the reservation */
	uint32_t flags;				       /* [c] */
	struct lh_heap_front *fronts[LH_MAX_CPUS];     /* [o] */
	lh_heap_table map;			       /* [a] which run and frame a page has */
	lh_heap_part parts[LH_HEAP_PARTS];
	uint64_t live_pages, peak_pages;	       /* [h] in runs with items, now and of late */
	uint64_t spare_pages;			       /* [h] */
	uint64_t batches;			       /* [h] given back: the clock of what "of late" means */
	uint32_t lock;
	lh_pool pools[3];			       /* of runs by their items; locks of their own */
	lh_region region;			       /* the reservation: the kernel tree's */
	lh_region_tree runs;			       /* [h] where runs lie in it */
	bool has_room;				       /* [h] some large run may keep room to grow */
	uint64_t run_count, page_count;		       /* [h] */
	uint64_t own_frames;			       /* atomic: for the map, fronts, records */
	uint64_t large_items, large_bytes;	       /* [h] */
	/* [h] empty runs by the part that had them, by pages and by what their descriptors have room for */
	struct lh_heap_run *spare[LH_HEAP_PARTS][LH_HEAP_SPARE_LISTS];
	uint64_t grown_pages;			       /* [h] since kept runs were last given for them */
	lh_shrinker shrinker;
	struct lh_heap_quarantine *quarantine;	       /* of a checked heap */
	uint64_t mark;				       /* [h] number of the next block of a checked heap */
} lh_heap;

/*
 * Makes an empty heap and reserves its range; takes no frame for it yet.
 * => heap: the caller's, need not be zeroed; stays where it is. request: size and place of
 *    the range; its rights are not looked at. The heap never uses the first page of it.
 *    flags: LH_HEAP_CHECKED or 0.
 * => errors as lh_manager_reserve, and LH_INVALID: one page, or more than LH_HEAP_PAGES_MOST; the heap
 *    is then as good as destroyed.
 */
LH_MUST_USE lh_error lh_heap_create(lh_heap *heap, lh_manager *manager,
				    const lh_kernel_request *request, uint32_t flags);

/* Ends the heap with all that is allocated in it. Accepts a zeroed or destroyed one.
 * => nobody uses it meanwhile. Context: may wait. */
void lh_heap_destroy(lh_heap *heap);

/*
 * Allocates bytes; contents undefined.
 * => alignment: a power of two, in bytes; 0 means 16. At least 16 are always kept.
 * => LH_INVALID: bytes 0, bad alignment; LH_NO_MEMORY: no frame; LH_NO_HOLE: the reservation has no
 *    room for it, now or ever. Nothing changed.
 * Context: may wait.
 */
LH_MUST_USE lh_error lh_heap_allocate(lh_heap *heap, uint64_t bytes, uint64_t alignment,
				      lh_virtual_address *address);

/* The same, filled with zeroes: the whole of lh_heap_size_of. */
LH_MUST_USE lh_error lh_heap_allocate_zeroed(lh_heap *heap, uint64_t bytes, uint64_t alignment,
					     lh_virtual_address *address);

/* All of a wish. */
typedef struct lh_heap_request {
	uint64_t bytes, alignment;
	uint32_t flags;	    /* LH_HEAP_ZEROED, LH_HEAP_AT_HAND */
	const void *caller; /* whom a checked heap names; NULL: whoever calls */
} lh_heap_request;

/*
 * As lh_heap_allocate. Context: may wait; with LH_HEAP_AT_HAND: any.
 * => LH_NO_MEMORY also: nothing of the size is at hand.
 */
LH_MUST_USE lh_error lh_heap_allocate_as(lh_heap *heap, const lh_heap_request *request,
					 lh_virtual_address *address);

/*
 * Frees what lh_heap_allocate gave. Address 0: nothing happens.
 * => bytes: as asked for then, or 0 if no longer known. Another size, a pointer into a block, or one
 *    freed already: panic.
 * Context: may wait.
 */
void lh_heap_free(lh_heap *heap, lh_virtual_address address, uint64_t bytes);

/* The same with LH_HEAP_AT_HAND in flags, in any context: pages go back at the next call that may wait. */
void lh_heap_free_as(lh_heap *heap, lh_virtual_address address, uint64_t bytes, uint32_t flags,
		     const void *caller);

/*
 * Changes a block's size, keeping its first bytes, as many as bytes_before and bytes both have (no more of what
 * lh_heap_size_of said); in place where that can be, else the block moves and the old one is freed. A large block
 * that shrinks gives its last pages back.
 * => address: of the block; the new one. bytes_before: as for lh_heap_free. Alignment is 16 if it
 *    moves. Errors as lh_heap_allocate: the block is as it was.
 * Context: may wait.
 */
LH_MUST_USE lh_error lh_heap_resize(lh_heap *heap, lh_virtual_address *address,
				    uint64_t bytes_before, uint64_t bytes);

/* Bytes usable at an address that was allocated: at least those asked for. Else panic. Context: any. */
uint64_t lh_heap_size_of(lh_heap *heap, lh_virtual_address address);

/*
 * Where the byte is seen through its frame: good as far as its page ends, while the block lives.
 * NULL: not a byte of a run. Context: any.
 */
void *lh_heap_pointer(const lh_heap *heap, lh_virtual_address address);

/* Gives all that is kept for later back: fronts of all CPUs, quarantine, empty runs.
 * => pages of runs given back. Context: may wait. */
uint64_t lh_heap_trim(lh_heap *heap);

/* A snapshot; exact while nobody else allocates or frees. Context: any. */
void lh_heap_read_counters(lh_heap *heap, lh_heap_counters *counters);

/*
 * Recounts. The caller sees to it that nobody uses the heap meanwhile. => NULL if all is
 * well, else what is wrong: of a checked heap also a damaged red zone.
 */
const char *lh_heap_check(lh_heap *heap);

/* --- of a checked heap --- */

/* Blocks that one caller has allocated and nobody freed. */
typedef struct lh_heap_leak {
	const void *caller;
	uint64_t blocks, bytes; /* as asked for */
} lh_heap_leak;

/* From now on blocks are new: => the number for lh_heap_report_leaks. Context: any. */
uint64_t lh_heap_mark(lh_heap *heap);

/*
 * Calls report for each caller with blocks that were allocated since the mark (0: ever) and still
 * live. => the number of blocks; of a heap that is not checked 0. Nobody uses the heap meanwhile.
 */
uint64_t lh_heap_report_leaks(lh_heap *heap, uint64_t mark,
			      void (*report)(void *context, const lh_heap_leak *leak), void *context);

#ifdef __cplusplus
}
#endif
#endif
