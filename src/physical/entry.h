/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The head of a frame's entry: its first eight bytes as one word. An allocation and a free read and
 * write a head at once, which is all that they do to an entry, and most of what they wait for. While
 * a frame is held its parts change one by one: holders and pins by who holds or pins it (frames.h).
 *
 *     63       58    56       48              32                               0
 *     |  order  | .. | state  |     pins      |            holders             |
 *               poisoned, charged
 */
#ifndef LANDHOLD_PHYSICAL_ENTRY_H
#define LANDHOLD_PHYSICAL_ENTRY_H

#include "physical/frames_internal.h"

#define HEAD_HOLDERS UINT64_C(0xffffffff)
#define HEAD_PINS (UINT64_C(0xffff) << 32)
#define HEAD_STATE_SHIFT 48
#define HEAD_FLAGS_SHIFT 56
#define HEAD_ORDER ((uint64_t)FRAME_ORDER << HEAD_FLAGS_SHIFT)
#define HEAD_POISONED ((uint64_t)FRAME_POISONED << HEAD_FLAGS_SHIFT)

#define HEAD_FREE ((uint64_t)LH_FRAME_FREE << HEAD_STATE_SHIFT)

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ &&
		       offsetof(lh_frame_entry, pins) == 4 && offsetof(lh_frame_entry, state) == 6 &&
		       offsetof(lh_frame_entry, flags) == 7 && offsetof(lh_frame_entry, word) == 8,
	       "the head of an entry is as drawn");

typedef uint64_t __attribute__((may_alias)) lh_aliased_head;

static inline uint64_t lh_head_read(const lh_frame_entry *entry)
{
	return lh_atomic_load((const lh_aliased_head *)(const void *)entry);
}

static inline void lh_head_write(lh_frame_entry *entry, uint64_t head)
{
	lh_atomic_store_relaxed((lh_aliased_head *)(void *)entry, head);
}

/* => whether the head was as expected, and is the new one now. */
static inline bool lh_head_replace(lh_frame_entry *entry, uint64_t expected, uint64_t head)
{
	return lh_atomic_compare_exchange((lh_aliased_head *)(void *)entry, &expected, head);
}

static inline uint64_t lh_head_of(lh_frame_state state, lh_frame_source source, unsigned order)
{
	return (uint64_t)state << HEAD_STATE_SHIFT | (uint64_t)source << HEAD_FLAGS_SHIFT |
	       (uint64_t)order << (HEAD_FLAGS_SHIFT + FRAME_ORDER_SHIFT);
}

static inline lh_frame_state lh_head_state(uint64_t head)
{
	return (lh_frame_state)(head >> HEAD_STATE_SHIFT & 0xff);
}

static inline lh_frame_source lh_head_source(uint64_t head)
{
	_Static_assert(LH_FRAME_CHARGED == 1 && FRAME_CHARGED == 1, "a flag is a source");
	return (lh_frame_source)(head >> HEAD_FLAGS_SHIFT & FRAME_CHARGED);
}

static inline unsigned lh_head_order(uint64_t head)
{
	return (unsigned)((head & HEAD_ORDER) >> (HEAD_FLAGS_SHIFT + FRAME_ORDER_SHIFT));
}

/* The head of the same frame with one holder and no pin. */
static inline uint64_t lh_head_once(uint64_t head)
{
	return (head & ~(HEAD_HOLDERS | HEAD_PINS)) | 1;
}

/* Counts frames as given out, or as given back. => the cache is entered. */
static inline void lh_count_taken(struct frame_cache *cache, unsigned number, uint64_t count)
{
	lh_atomic_store_relaxed(&cache->taken[number], cache->taken[number] + count);
}

#endif
