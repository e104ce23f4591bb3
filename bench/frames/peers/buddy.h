/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A binary buddy (Knowlton 1965; Knuth, volume 1, 2.5), as kernels have it: one entry a
 * frame with links, order and a count of users, a cache line large as Linux' struct page is; a
 * doubly linked list an order. Callers hold its lock.
 */
#ifndef BENCH_FRAMES_PEERS_BUDDY_H
#define BENCH_FRAMES_PEERS_BUDDY_H

#include "../subject.h"

#define BUDDY_ORDERS 19u
#define BUDDY_NONE UINT32_MAX

struct buddy_page {
	uint32_t next, previous;
	uint32_t users;
	uint8_t order;
	uint8_t is_free; /* first of a free block that is in its order's list */
	uint16_t spare;
	uint64_t owner;	 /* what a kernel has besides: flags, mapping, index */
	uint64_t others[5];
};

struct buddy {
	struct buddy_page *pages;
	uint64_t count;
	uint32_t lists[BUDDY_ORDERS];
	uint32_t lock __attribute__((aligned(128)));
};

static inline void buddy_lock(uint32_t *lock)
{
	while (__atomic_exchange_n(lock, 1u, __ATOMIC_ACQUIRE) != 0)
		while (__atomic_load_n(lock, __ATOMIC_RELAXED) != 0)
			__builtin_ia32_pause();
}

static inline void buddy_unlock(uint32_t *lock)
{
	__atomic_store_n(lock, 0u, __ATOMIC_RELEASE);
}

void buddy_create(struct buddy *buddy, uint64_t frames);
void buddy_destroy(struct buddy *buddy);
/* => BUDDY_NONE: no block of this order or above. */
uint32_t buddy_take(struct buddy *buddy, unsigned order);
void buddy_give(struct buddy *buddy, uint32_t frame, unsigned order);

#endif
