/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames: every usable page of the machine, who holds it, and what is promised.
 *
 * The frame array alone says how many hold a frame: one 16-byte entry a frame.
 *
 *   holders  references: a non-empty leaf entry in a distinct table, an object's
 *            index, the swap cache; for a table page, the upper entries that name
 *            it. 0 in a free frame.
 *   pins     those among the holders that must not find the frame moved or copied away
 *            (DMA, zero-copy): LH_PINS_SHORT counts the short-term ones, LH_PINS_LONG the others
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
 * Many CPUs. Each keeps some free frames and a share of what may still be promised; single
 * frames are given out and taken back there without a lock or an atomic operation, and CPUs do not write
 * a common cache line for it. What one keeps is found by the others before anything is refused: they
 * are called for it (lh_port_call_cpus), and a refusal is exact. That takes interrupts on, and may be
 * waited for where a flush may. With interrupts off nobody is waited for: a refusal can then
 * overlook what other CPUs keep, at most a few hundred frames each. A promise is kept in either case:
 * what CPUs keep is not counted upon for it.
 *
 * Kinds. Anonymous and object pages pass; the kernel's, tables and pools last. Single frames
 * of one kind are taken from the same blocks of 512 as far as there are any, so that blocks that
 * only held what passes become whole again.
 *
 * Locks: spinning, last of all in the order, interrupts off while held; every call
 * here may be made with interrupts off, unless it says otherwise; with interrupts on, no spinning
 * lock may be held. holders and pins change by
 * atomic read-modify-write. state, flags and word belong to whoever allocated the frame.
 * No callback is ever made under a lock.
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

/*
 * Pins. A device or another party works on a frame's bytes by its physical address. Short-term: for
 * the length of one transfer; who wants the frame otherwise may wait for it. Long-term: until
 * somebody lets go, which may be never; who wants the frame otherwise does without.
 * Pages of a space are pinned by lh_space_pin, which sees to it that a pinned private frame is no other leaf's: a
 * fork copies pinned pages at once, that the parent keeps the frame the device knows. More pins may be added by who
 * has one.
 */
typedef enum lh_pin_term { LH_PIN_SHORT, LH_PIN_LONG } lh_pin_term;

/* The parts of lh_frame_entry.pins, and the most that each can count. */
#define LH_PINS_SHORT 0x3ffu
#define LH_PINS_LONG 0xfc00u
#define LH_PINS_SHORT_MOST 1023u
#define LH_PINS_LONG_MOST 63u

typedef enum lh_charge_policy {
	LH_CHARGE_STRICT,    /* never promise more than there is */
	LH_CHARGE_HEURISTIC, /* refuse only what could never be: one request beyond all memory */
	LH_CHARGE_ALWAYS     /* promise anything, up to 2^62 pages in all */
} lh_charge_policy;

/* Whether a frame fulfils a promise. Charged frames are counted until freed. */
typedef enum lh_frame_source { LH_FRAME_UNCHARGED, LH_FRAME_CHARGED } lh_frame_source;

typedef struct lh_frame_counters {
	uint64_t total;			       /* usable frames that the allocator was given */
	uint64_t free;			       /* kept by CPUs and zeroed ones among them */
	uint64_t zeroed;
	uint64_t used[LH_FRAME_STATE_COUNT];   /* allocated, by state; [FREE], [RESERVED] are 0 */
	uint64_t committed;		       /* pages charged */
	uint64_t charged_in_use;	       /* frames allocated as LH_FRAME_CHARGED and not freed */
} lh_frame_counters;

/* Nodes (NUMA): memory near some CPUs. Most that one machine may have. */
#define LH_NODES_MOST 16u
/* As a wish: the node of the CPU that asks. */
#define LH_ANY_NODE (~0u)

/* Frames of a node. What no range covers is of node 0; where ranges overlap the first counts. */
typedef struct lh_node_range {
	uint64_t base; /* frame number */
	uint64_t pages;
	unsigned node; /* below LH_NODES_MOST */
} lh_node_range;

/* Frames given out as one are 2^order; the most is 1 GiB of 4 KiB frames. */
#define LH_ORDER_MOST 18u

/*
 * Bytes that the allocator needs for this normalised map: frame array and index;
 * follows the memory present, not the highest address. Enough also for what is left
 * of the map after eight carvings more, this memory's own among them.
 * => 0 if the map is not normalised, or has more than 2^32 frames.
 */
uint64_t lh_frames_size(const lh_memory_map *map);

/*
 * Makes the allocator in the caller's memory (page-aligned, size bytes, zeroed or
 * not), which must not be part of the map: carve it first. Every page of the map
 * becomes free. Takes over nothing but the memory; the map may go afterwards.
 * => LH_INVALID: map not normalised, memory unaligned or too small, more than 2^32 frames.
 */
LH_MUST_USE lh_error lh_frames_create(void *memory, uint64_t size, const lh_memory_map *map,
				      lh_charge_policy policy, lh_port *port, lh_frames **frames);

/*
 * What the allocator may know of the machine beside its map. All zero: one node, and as many CPUs as
 * there can be. What CPUs may keep takes up to 1.6 KiB for each that there can be.
 */
typedef struct lh_frames_machine {
	const lh_node_range *ranges; /* not needed afterwards */
	size_t range_count;
	unsigned cpus; /* lh_port_cpu gives numbers below it; 0: LH_MAX_CPUS */
} lh_frames_machine;

/* The same two for such a machine. lh_frames_size_on gives 0, lh_frames_create_on LH_INVALID also if
 * a node's number is too high, or there are more than LH_MAX_CPUS. */
uint64_t lh_frames_size_on(const lh_memory_map *map, const lh_frames_machine *machine);
LH_MUST_USE lh_error lh_frames_create_on(void *memory, uint64_t size, const lh_memory_map *map,
					 const lh_frames_machine *machine, lh_charge_policy policy,
					 lh_port *port, lh_frames **frames);

/* Frames for this CPU come from this node first, then from the next ones around. At the beginning
 * it is node 0 for all. A number that is too high changes nothing. */
void lh_frames_set_node(lh_frames *frames, unsigned cpu, unsigned node);

/*
 * Gives one frame: holders 1, pins 0, the state given, word 0; contents undefined.
 * => state: LH_FRAME_KERNEL or after it, else LH_INVALID.
 *    LH_NO_MEMORY: none free, or (uncharged, strict) all that is free is promised.
 * Context: interrupts off; or on and no spinning lock held, for other CPUs may be called then before it is refused.
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
 * Gives 2^order frames as one: aligned to their size, physically in a row. They are held, pinned,
 * dropped and asked about through the first; the others have no entries of their own.
 * => node: preferred; LH_ANY_NODE: this CPU's. source: as lh_frame_allocate; all are charged or none.
 * => LH_INVALID: order above LH_ORDER_MOST, no such node, a bad state. LH_NO_MEMORY: none in any
 *    node, or promised. Nothing changed. Context: as lh_frame_allocate.
 */
LH_MUST_USE lh_error lh_frame_allocate_order(lh_frames *frames, unsigned order, unsigned node,
					     lh_frame_state state, lh_frame_source source,
					     lh_frame_number *first);

/*
 * Makes of frames given out as one so many single ones, each with the holders that all had.
 * => who calls is the only one to hold or drop them meanwhile; they have no pins.
 */
void lh_frame_split(lh_frames *frames, lh_frame_number first);

/* The order that a frame was given out with; 0 for a single one. => it is the first. */
unsigned lh_frame_order(lh_frames *frames, lh_frame_number frame);

/* The node of a frame; LH_ANY_NODE if it is none of ours. */
unsigned lh_frame_node(lh_frames *frames, lh_frame_number frame);

/*
 * One holder more. Panics rather than wrap. => the frame has a holder already.
 * Context: any.
 */
void lh_frame_hold(lh_frames *frames, lh_frame_number frame);
/* The same, for who has the frame's entry at hand. */
void lh_frame_hold_entry(lh_frames *frames, lh_frame_entry *entry);

/*
 * One holder less; the last one frees the frame, and a charged frame's promise is
 * open again. Dropping a free or reserved frame is a broken invariant: panic.
 * Context: any. => true if it was freed.
 */
bool lh_frame_drop(lh_frames *frames, lh_frame_number frame);

/* Drops count frames in a row, each as lh_frame_drop. => none was given out as one with others. */
void lh_frame_drop_contiguous(lh_frames *frames, lh_frame_number first, uint64_t count);

/*
 * Pins count frames in a row; each gets a holder and a pin more.
 * => each has a holder already, and is single or the first of those given out as one.
 * => LH_LIMIT: one of them has as many pins as can be counted; nothing changed. Context: any.
 */
LH_MUST_USE lh_error lh_frame_pin(lh_frames *frames, lh_frame_number first, uint64_t count,
				  lh_pin_term term);

/* Takes such pins and their holders away; the last holder frees. A frame that has no pin of this
 * term: panic. Context: any. */
void lh_frame_unpin(lh_frames *frames, lh_frame_number first, uint64_t count, lh_pin_term term);

/* Pins of a term that a frame has now. => it is one of ours. */
unsigned lh_frame_pins(lh_frames *frames, lh_frame_number frame, lh_pin_term term);

/* The entry of a frame; NULL if the frame is not one of the map's. O(1). */
lh_frame_entry *lh_frame_entry_of(lh_frames *frames, lh_frame_number frame);

/* Frames whose entries lie side by side: for who looks at many. */
typedef struct lh_frame_row {
	uint64_t first, count;
	lh_frame_entry *entries; /* of the first and those that follow */
} lh_frame_row;

/* Whether any of so many frames in a row is one of the map's. */
bool lh_frames_have_any(const lh_frames *frames, lh_frame_number first, uint64_t count);

/* The longest row that has the frame; empty if the frame is not one of the map's. */
lh_frame_row lh_frame_row_of(lh_frames *frames, lh_frame_number frame);

/* As lh_frame_entry_of. *row: what was found last, of these frames; zeroed at first. */
static inline lh_frame_entry *lh_frame_entry_in(lh_frames *frames, lh_frame_number frame,
						lh_frame_row *row)
{
	if (frame.value - row->first >= row->count)
		*row = lh_frame_row_of(frames, frame);
	return row->count != 0 ? &row->entries[frame.value - row->first] : NULL;
}

/* As lh_frame_drop, of each of so many, some dozens: their entries are asked for before the first is waited for. *row: as
 * lh_frame_entry_in. */
void lh_frame_drop_each(lh_frames *frames, const lh_frame_number *each, uint64_t count, lh_frame_row *row);

/* The bytes of a frame: lh_port_frame_pointer with the allocator's port. */
void *lh_frame_pointer(lh_frames *frames, lh_frame_number frame);

lh_port *lh_frames_port(lh_frames *frames);

/*
 * Promises pages. => LH_NO_MEMORY: the policy forbids it; nothing changed.
 * Context: as lh_frame_allocate.
 */
LH_MUST_USE lh_error lh_charge_take(lh_frames *frames, uint64_t pages);

/* Takes a promise back; calls no CPU. => pages: at most what is committed, else panic: not at once, but
 * when all CPUs next stand still for counters or a refusal. Context: any. */
void lh_charge_give_back(lh_frames *frames, uint64_t pages);

/*
 * For who holds a few promised frames too many for a moment: two faults of one page, a copy made
 * before the old frame goes. Strict: promises so many pages more, to be given back soon
 * (lh_charge_give_back_loan). Else nothing is promised, and there are frames enough for a moment.
 * => false: not without looking beyond what is at hand; nothing changed. Not a step that fails on
 * demand. Context: any.
 */
bool lh_charge_lend(lh_frames *frames, uint64_t pages);
void lh_charge_give_back_loan(lh_frames *frames, uint64_t pages);

/* A consistent snapshot. Calls the CPUs that keep frames: not for fast paths. With interrupts off, what
 * other CPUs are doing at the moment may be half counted. */
void lh_frames_read_counters(lh_frames *frames, lh_frame_counters *counters);

/*
 * The same without stopping anybody. Exact while nothing changes; what changes meanwhile may be counted
 * twice or not at all, but no counter wraps. Context: any, no lock.
 */
void lh_frames_estimate_counters(lh_frames *frames, lh_frame_counters *counters);

/* Whether so many frames are free, now. Most often reads one word; calls the CPUs that keep frames, as
 * lh_frames_read_counters, before it denies it. A yes may be too high by what moves meanwhile, as
 * lh_frames_estimate_counters: what is taken on it can be refused. */
bool lh_frames_have(lh_frames *frames, uint64_t count);

/*
 * For an idle CPU: zeroes one free frame ahead of time, which this CPU's next
 * lh_frame_allocate_zeroed then gives. => false: there are enough. Takes about a microsecond, with
 * interrupts off. Context: any, no lock.
 */
bool lh_frames_idle(lh_frames *frames);

/* Puts what CPUs keep back in common, so that rows can be found there; allocations that would
 * fail do it by themselves. With interrupts off: what this CPU keeps. */
void lh_frames_drain(lh_frames *frames);

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
