/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pools: memory for the library's own small structures (regions, objects, object
 * nodes), fed by single frames, never by a heap.
 *
 * Type-stable: memory of a pool is only ever an item of that pool while its page
 * is, so that an optimistic reader may look at an item that was given back; a
 * region's version survives there. A page is filled with zeroes when it enters
 * the pool. Most pools give a page back to the frames when its last item is. A pool with readers
 * that hold no lock keeps it (lh_pool_keep_pages) until lh_pool_trim has seen to it that no reader
 * still looks: readers have interrupts off, and it calls all their CPUs in between.
 *
 * A pool has one spinning lock (order: pool before frames). One that many CPUs use at a time can have
 * fronts: pages then belong to the CPU that brought them, which has a lock of its own.
 */
#ifndef LANDHOLD_POOL_H
#define LANDHOLD_POOL_H

#include <landhold/frames.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Pages and their lock: one CPU's, or all. What is used of one shares no cache line with another's. */
typedef struct lh_pool_front {
	uint32_t lock;
	uint32_t reserved;
	uint64_t partial;     /* first frame with a free item and one in use; LH_NO_FRAME: none */
	uint64_t empty;	      /* first frame without an item in use; only where pages are kept */
	uint64_t pages;	      /* frames */
	uint64_t in_use;      /* items given out */
	uint64_t empty_pages; /* these three may be read by anyone */
	uint64_t found[4];    /* the walker's */
	uint64_t apart[6];
} lh_pool_front;

typedef struct lh_pool {
	lh_frames *frames;
	const char *name;
	uint32_t item_size; /* bytes, rounded up to 16 */
	uint32_t items_per_page;
	uint32_t first_item; /* bytes into a page */
	uint32_t front_count;
	bool keeps_pages;
	lh_pool_front *fronts; /* without fronts: &own */
	lh_pool_front own;
} lh_pool;

/*
 * An empty pool in the caller's memory, where it stays; takes no frame yet.
 * => LH_INVALID: item_size 0 or beyond what a page holds beside its header.
 */
LH_MUST_USE lh_error lh_pool_init(lh_pool *pool, lh_frames *frames, const char *name,
				  uint32_t item_size);

/*
 * From now on pages without items stay until lh_pool_trim. => no item was taken yet.
 */
void lh_pool_keep_pages(lh_pool *pool);

/*
 * Gives each CPU a front, in memory of lh_pool_fronts_size bytes, 16-byte aligned, which is the
 * pool's from now on. Free items of one are found by other CPUs before taking an item fails.
 * => no item was taken yet.
 */
size_t lh_pool_fronts_size(void);
void lh_pool_add_fronts(lh_pool *pool, void *memory);

/* Pages without items that each front may go on to keep. */
#define LH_POOL_EMPTY_KEPT 1u

/*
 * Gives pages without items back to the frames, after a call of the readers' CPUs: of a pool that keeps pages, all but
 * so many of each front. => keep: pages. => readers: CPUs that may be reading items without a lock, to which others
 * may be added meanwhile; NULL: none does, no call is made.
 * => frames given back. Context: with readers interrupts on and no spinning lock, else any.
 */
uint64_t lh_pool_trim(lh_pool *pool, uint64_t keep, const lh_cpu_set *readers);

typedef struct lh_pool_counters {
	uint64_t items; /* given out */
	uint64_t pages, empty_pages;
} lh_pool_counters;

/* Exact while nothing changes. */
lh_pool_counters lh_pool_read_counters(const lh_pool *pool);

/* Gives an item; its contents are whatever the last user left (zero at first).
 * => LH_NO_MEMORY: no frame for a new page; nothing changed. Context: as lh_frame_allocate. */
LH_MUST_USE lh_error lh_pool_take(lh_pool *pool, void **item);

/* Takes an item back. A pointer that is not an item in use: panic. => true: its front has more empty pages
 * now than it may keep: lh_pool_trim when the context allows it. Context: any. */
bool lh_pool_give_back(lh_pool *pool, void *item);

/* Recounts. => NULL if all is well, else what is wrong. */
const char *lh_pool_check(lh_pool *pool);

#ifdef __cplusplus
}
#endif
#endif
