/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pools: memory for the library's own small structures (regions, objects, object
 * nodes), fed by single frames, never by a heap.
 *
 * Type-stable: memory of a pool is only ever an item of that pool while its page
 * is, so that an optimistic reader may look at an item that was given back; a
 * region's version survives there. A page is filled with zeroes when it enters
 * the pool, and given back to the frames when its last item is.
 *
 * Each pool has one spinning lock (order: with the frames; pool before frames).
 */
#ifndef LANDHOLD_POOL_H
#define LANDHOLD_POOL_H

#include <landhold/frames.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lh_pool {
	lh_frames *frames;
	const char *name;
	uint32_t item_size;	 /* bytes, rounded up to 16 */
	uint32_t items_per_page;
	uint32_t lock;
	uint32_t reserved;
	uint64_t partial;	 /* first frame with a free item; LH_NO_FRAME: none */
	uint64_t pages;		 /* frames in the pool */
	uint64_t in_use;	 /* items given out */
} lh_pool;

/*
 * An empty pool in the caller's memory; takes no frame yet.
 * => LH_INVALID: item_size 0 or beyond what a page holds beside its header.
 */
LH_MUST_USE lh_error lh_pool_init(lh_pool *pool, lh_frames *frames, const char *name,
				  uint32_t item_size);

/* Gives an item; its contents are whatever the last user left (zero at first).
 * => LH_NO_MEMORY: no frame for a new page; nothing changed. Context: any. */
LH_MUST_USE lh_error lh_pool_take(lh_pool *pool, void **item);

/* Takes an item back. A pointer that is not an item in use: panic. Context: any. */
void lh_pool_give_back(lh_pool *pool, void *item);

/* Recounts. => NULL if all is well, else what is wrong. */
const char *lh_pool_check(lh_pool *pool);

#ifdef __cplusplus
}
#endif
#endif
