/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames: every usable page of the machine, who holds it, and what is promised.
 *
 * The frame array alone says how many hold a frame: one 16-byte entry a frame.
 *
 *   holders  references: a non-empty leaf entry in a distinct table, an object's
 *            index, the swap cache; for a table page, the upper entries that name
 *            it. 0 in a free frame.
 *   pins     holders that must not find the frame moved or copied away (DMA)
 *   state    lh_frame_state
 *   flags    the allocator's own
 *   word     by state: for a page table, LH_TABLE_...; for an object's page, which
 *            page of which object; else the owner's
 *
 * Charges. A page that has been promised can be delivered. Operations that promise
 * memory take a charge first; frames for such pages are then had with
 * LH_FRAME_CHARGED, which does not fail while promises are kept strictly. The
 * allocator keeps
 *
 *     free >= committed - charged frames in use        (policy strict)
 *
 * by refusing uncharged allocations that would break it. Example: 100 frames, a
 * region of 60 pages charged, 20 of them touched: 80 are free, 40 still promised,
 * so page tables and pools may take at most 40 more.
 *
 * Locks: one spinning lock over the allocator and the charges (order: last of
 * all; interrupts off while held). holders and pins change by atomic
 * read-modify-write. state, flags and word belong to whoever allocated the frame.
 * No callback is ever made under the lock.
 */
#ifndef LANDHOLD_FRAMES_H
#define LANDHOLD_FRAMES_H

#include <landhold/memory_map.h>
#include <landhold/port.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lh_frames lh_frames;

typedef enum lh_frame_state {
	LH_FRAME_RESERVED,  /* not usable memory, or carved before the allocator stood */
	LH_FRAME_FREE,
	LH_FRAME_KERNEL,    /* a kernel region's, the heap's, the host's own */
	LH_FRAME_TABLE,	    /* a page-table page */
	LH_FRAME_POOL,	    /* a page of a library pool */
	LH_FRAME_ANONYMOUS, /* a private page of one or more spaces */
	LH_FRAME_OBJECT,    /* a page of an object */
	LH_FRAME_STATE_COUNT
} lh_frame_state;

typedef struct lh_frame_entry {
	uint32_t holders;
	uint16_t pins;
	uint8_t state; /* lh_frame_state */
	uint8_t flags; /* the allocator's */
	uint64_t word;
} lh_frame_entry;

typedef enum lh_charge_policy {
	LH_CHARGE_STRICT,    /* never promise more than there is */
	LH_CHARGE_HEURISTIC, /* refuse only what could never be: one request beyond all memory */
	LH_CHARGE_ALWAYS     /* promise anything */
} lh_charge_policy;

/* Whether a frame fulfils a promise. Charged frames are counted until freed. */
typedef enum lh_frame_source { LH_FRAME_UNCHARGED, LH_FRAME_CHARGED } lh_frame_source;

typedef struct lh_frame_counters {
	uint64_t total;			       /* usable frames that the allocator was given */
	uint64_t free;
	uint64_t used[LH_FRAME_STATE_COUNT];   /* allocated, by state; [FREE], [RESERVED] are 0 */
	uint64_t committed;		       /* pages charged */
	uint64_t charged_in_use;	       /* frames allocated as LH_FRAME_CHARGED and not freed */
} lh_frame_counters;

/*
 * Bytes that the allocator needs for this normalised map: frame array and index;
 * follows the memory present, not the highest address. Enough also for what is left
 * of the map after eight carvings more, this memory's own among them.
 * => 0 if the map is not normalised.
 */
uint64_t lh_frames_size(const lh_memory_map *map);

/*
 * Makes the allocator in the caller's memory (page-aligned, size bytes, zeroed or
 * not), which must not be part of the map: carve it first. Every page of the map
 * becomes free. Takes over nothing but the memory; the map may go afterwards.
 * => LH_INVALID: map not normalised, memory unaligned or too small.
 */
LH_MUST_USE lh_error lh_frames_create(void *memory, uint64_t size, const lh_memory_map *map,
				      lh_charge_policy policy, lh_port *port, lh_frames **frames);

/*
 * Gives one frame: holders 1, pins 0, the state given, word 0; contents undefined.
 * => state: LH_FRAME_KERNEL or after it, else LH_INVALID.
 *    LH_NO_MEMORY: none free, or (uncharged, strict) all that is free is promised.
 * Context: any.
 */
LH_MUST_USE lh_error lh_frame_allocate(lh_frames *frames, lh_frame_state state,
				       lh_frame_source source, lh_frame_number *frame);

/* The same, filled with zeroes before it is returned. */
LH_MUST_USE lh_error lh_frame_allocate_zeroed(lh_frames *frames, lh_frame_state state,
					      lh_frame_source source, lh_frame_number *frame);

/*
 * Gives count frames in a row, uncharged, each as lh_frame_allocate has it.
 * => alignment: of the first frame, in frames, a power of two (0 means 1);
 *    limit: all lie below this frame number (0: no limit). Exactly count are taken.
 * => LH_INVALID: count 0 or bad alignment; LH_NO_MEMORY: no such row. Nothing changed.
 */
LH_MUST_USE lh_error lh_frame_allocate_contiguous(lh_frames *frames, uint64_t count,
						  uint64_t alignment, uint64_t limit,
						  lh_frame_state state, lh_frame_number *first);

/*
 * One holder more. Panics rather than wrap. => the frame has a holder already.
 * Context: any.
 */
void lh_frame_hold(lh_frames *frames, lh_frame_number frame);

/*
 * One holder less; the last one frees the frame, and a charged frame's promise is
 * open again. Dropping a free or reserved frame is a broken invariant: panic.
 * Context: any. => true if it was freed.
 */
bool lh_frame_drop(lh_frames *frames, lh_frame_number frame);

/* Drops count frames in a row, each as lh_frame_drop. */
void lh_frame_drop_contiguous(lh_frames *frames, lh_frame_number first, uint64_t count);

/* The entry of a frame; NULL if the frame is not one of the map's. O(1). */
lh_frame_entry *lh_frame_entry_of(lh_frames *frames, lh_frame_number frame);

/* The bytes of a frame: lh_port_frame_pointer with the allocator's port. */
void *lh_frame_pointer(lh_frames *frames, lh_frame_number frame);

lh_port *lh_frames_port(lh_frames *frames);

/*
 * Promises pages. => LH_NO_MEMORY: the policy forbids it; nothing changed.
 * Context: any.
 */
LH_MUST_USE lh_error lh_charge_take(lh_frames *frames, uint64_t pages);

/* Takes a promise back. => pages: at most what is committed, else panic. */
void lh_charge_give_back(lh_frames *frames, uint64_t pages);

/* A consistent snapshot. */
void lh_frames_read_counters(lh_frames *frames, lh_frame_counters *counters);

#if LH_DEBUG >= 2
/*
 * Failure on demand, for tests; absent from other builds.
 *
 * A step is anything here that can run out of memory: a frame allocated (a row of
 * frames is one step), a charge taken, an item taken from a pool (a step of its own
 * even if a free one is at hand; a new page for the pool is a frame step beside it).
 */
typedef struct lh_frame_steps {
	uint64_t total;
	uint64_t frames[LH_FRAME_STATE_COUNT]; /* by the state asked for */
	uint64_t charges;
	uint64_t pool_items;
} lh_frame_steps;

/*
 * Counts steps from 0 again; the one that makes the count equal to step fails with
 * LH_NO_MEMORY and changes nothing, those before and after do not. 0: none fails.
 */
void lh_frames_fail_at(lh_frames *frames, uint64_t step);

/* Steps since lh_frames_fail_at, the failed one included. */
uint64_t lh_frames_steps(lh_frames *frames);
void lh_frames_read_steps(lh_frames *frames, lh_frame_steps *steps);
#endif

/*
 * Recounts everything: entries against index against counters; free + used ==
 * total; the promise equation (strict). => NULL if all is well, else what is wrong.
 * The caller sees to it that nobody allocates meanwhile.
 */
const char *lh_frames_check(lh_frames *frames);

#ifdef __cplusplus
}
#endif
#endif
