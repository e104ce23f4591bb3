/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The heap's inside.
 *
 *     front of each CPU     a stack of items for each class          interrupts off
 *          |  half a stack at a time
 *     slabs                 partly used ones, by class, in parts     the part's lock
 *          |  a run at a time
 *     spare runs            empty, committed, by pages               the heap's lock
 *          |  some at a time: one flush
 *     the reservation       a tree of runs; frames                   lock for the tree alone
 *
 * A run is pages in a row: a slab of equal items, or one large block. Its life:
 *
 *     placed in the tree, its pages in the map -> committed -> live <-> spare
 *        -> detached -> decommitted, flushed -> out of map and tree -> back to the pool
 *
 * In between live and placed nobody else knows it, and no lock is held: the memory manager may wait for
 * other CPUs, which use the heap meanwhile.
 *
 * The state of an item is a byte in its run's descriptor, and the only record of it:
 *
 *     FREE  in the slab            changed to and from under the part's lock
 *     FRONT in some CPU's front    changed between these by whoever has the item: the CPU whose
 *     GIVEN the caller's             front it is in, or the caller
 *     HELD  in quarantine          (checked heaps)
 *     NONE  no item                behind the last one, where a slab's rest begins
 *
 * A byte each, and not a bit, so that CPUs change neighbours by plain stores; that each item costs
 * one is what it takes to see a second free at once without a locked instruction.
 *
 * From an address to its run: page_map.c, in three loads. Not by a mask on the address, because a
 * header in the slab could be overrun; not by size classes in the address, because a descriptor would
 * still have to be found through frames.
 *
 * What the common allocation touches: the top of a stack, and the state that stands in it beside the
 * address. The common free: a page's entry in the map, the run's last line, which ends in its first
 * states, the state, and the top of a stack. Neither touches the block.
 *
 * Files: classes.c sizes; page_map.c; runs.c the life of runs; slabs.c items; spare.c empty runs; front.c;
 * heap.c the interface; resize.c; checked.c, report.c checked heaps; bytes.c; frames.c;
 * check.c the walker.
 */
#ifndef LANDHOLD_HEAP_HEAP_INTERNAL_H
#define LANDHOLD_HEAP_HEAP_INTERNAL_H

#include <landhold/heap.h>

#include "base/assert.h"
#include "base/atomic.h"
#include "base/lock.h"

#define ITEM_LEAST 16
#define SLAB_PAGES_LEAST 2
#define SLAB_PAGES_MOST 8
#define ITEMS_MOST (SLAB_PAGES_LEAST * LH_PAGE_SIZE / ITEM_LEAST)
#define CACHE_LINE 64
#define LARGE LH_HEAP_CLASSES

#define HEAP_RIGHTS (LH_RIGHT_READ | LH_RIGHT_WRITE)

enum { FREE, FRONT, GIVEN, HELD, NONE };

/*
 * A descriptor has room for so many states: of large runs and big items, of most, of all. With the
 * rest of it, whole cache lines that fill a page of a pool but for little: nine, six, four in one.
 */
#define ROOMS { 64, 256, ITEMS_MOST + CACHE_LINE }
#define ROOM_KINDS 3

/* [h] the heap's lock; [p] that of its part, or of a large run the heap's; [l] constant while live; the rest as said. */
struct lh_heap_run {
	lh_region region;		     /* [h] */
	struct lh_heap_run *next, *previous; /* [p] in partial[], [h] in spare[] */
	struct lh_heap_record *records;	     /* of a checked heap: an item each, in a frame */
	lh_frame_number records_frame;
	uint16_t taken;	     /* [p] items that are not FREE */
	bool live;	     /* [h] it has items, or is one */
	bool is_zero;	     /* its bytes are: only while nothing of it was given out */
	/* What a free looks at, in the last line before the states; what else is in it changes with a batch. */
	uint32_t inverse;    /* [l] 2^32 / size, rounded up; of a large run see lh_heap_is_beginning */
	uint64_t base;	     /* [l] */
	uint64_t size;	     /* [l] bytes of an item; of a large run all */
	uint16_t size_class; /* [l] or LARGE */
	uint16_t items;	     /* [l] */
	uint16_t room;	     /* states that there is room for; constant */
	uint16_t part;	     /* [l] whose it is, or was */
	/* items of them, then NONE, once at least, to a multiple of 8 */
	__attribute__((aligned(CACHE_LINE))) uint8_t states[];
};

#define RUN_STATES offsetof(struct lh_heap_run, states)

_Static_assert(RUN_STATES % 8 == 0, "states are read eight at a time");

/* An item by its place. */
typedef struct lh_heap_item {
	struct lh_heap_run *run;
	uint64_t index;
} lh_heap_item;

/* An item as a front keeps it: where it is, and where its state is. */
typedef struct lh_heap_block {
	uint64_t address;
	uint8_t *state;
} lh_heap_block;

static inline lh_port *lh_heap_port(const lh_heap *heap)
{
	return heap->port;
}

/* The part that this CPU takes from, by its number. Another's is right as well: by now this may be another CPU. */
static inline unsigned lh_heap_own_part(const lh_heap *heap)
{
	return lh_port_cpu(heap->port) % LH_HEAP_PARTS;
}

/* Pages of runs with items, more or, modulo 2^64, fewer. => locked */
static inline void lh_heap_live_add(lh_heap *heap, uint64_t pages)
{
	heap->live_pages += pages;
	if (heap->live_pages > heap->peak_pages)
		heap->peak_pages = heap->live_pages;
}

/* --- lists of runs. => locked, or the list is the caller's --- */

static inline void lh_heap_list_push(struct lh_heap_run **head, struct lh_heap_run *run)
{
	run->previous = NULL;
	run->next = *head;
	if (run->next)
		run->next->previous = run;
	*head = run;
}

static inline void lh_heap_list_take_out(struct lh_heap_run **head, struct lh_heap_run *run)
{
	if (run->previous)
		run->previous->next = run->next;
	else
		*head = run->next;
	if (run->next)
		run->next->previous = run->previous;
	run->next = run->previous = NULL;
}

/* --- classes.c --- */

/* Bytes of an item. */
uint64_t lh_heap_class_size(uint32_t size_class);
/* Pages of a slab: the fewest, and the most where there are many. */
uint64_t lh_heap_class_pages(uint32_t size_class);
uint64_t lh_heap_class_pages_most(uint32_t size_class);
/* Items in so many pages; in those of a large run one. */
uint64_t lh_heap_class_items(uint32_t size_class, uint64_t pages);
/* The smallest class that fits; LARGE if none does. => bytes not 0; alignment: a power of two */
uint32_t lh_heap_class_for(uint64_t bytes, uint64_t alignment);

/* By units of ITEM_LEAST less one: for the quick ways, in which the arithmetic would be a seventh. */
extern const uint8_t lh_heap_class_of_units[LH_HEAP_CLASS_LARGEST / ITEM_LEAST];

/* The smallest class of at least so many bytes, which are not 0 and no more than one has. */
static inline uint32_t lh_heap_class_of_size(uint64_t bytes)
{
	return lh_heap_class_of_units[(bytes - 1) / ITEM_LEAST];
}

/* --- page_map.c --- */

#define MAP_ENTRIES LH_HEAP_TABLES

_Static_assert(sizeof(lh_heap_table) == LH_PAGE_SIZE, "a table is one frame");

/* What is known of pages: one table of the lowest level, a frame. */
struct lh_heap_leaf {
	struct lh_heap_run *runs[MAP_ENTRIES]; /* [a] NULL: in no run */
	void *bytes[MAP_ENTRIES];	       /* the frame's, constant while in the run */
};

/* There is nothing in it yet. */
void lh_heap_map_init(lh_heap *heap);
/* Makes room in the map for pages of the reservation. => the heap's lock is held. LH_NO_MEMORY. */
LH_MUST_USE lh_error lh_heap_map_hold_locked(lh_heap *heap, lh_virtual_range range);
/* Clears them and gives the room back. => locked */
void lh_heap_map_release_locked(lh_heap *heap, lh_virtual_range range);
/* Enters a run's committed pages, from the page with this number in it on. => held, no lock */
void lh_heap_map_enter(lh_heap *heap, struct lh_heap_run *run, uint64_t first);
/* Recounts. */
const char *lh_heap_map_check(lh_heap *heap);

/* What stands where there is no table, so that nobody has to look whether there is: never written to. */
extern const struct lh_heap_leaf lh_heap_no_leaf;

/* A page of the reservation by its number. => one without runs: nothing there */
static inline struct lh_heap_leaf *lh_heap_leaf_of_own(const lh_heap *heap, uint64_t page)
{
	const lh_heap_table *middle = lh_atomic_load(&heap->map.tables[page / (MAP_ENTRIES * MAP_ENTRIES)]);

	return lh_atomic_load(&middle->tables[page / MAP_ENTRIES % MAP_ENTRIES]);
}

/* The same of any page. => one without runs also: beyond the reservation */
static inline struct lh_heap_leaf *lh_heap_leaf_of(const lh_heap *heap, uint64_t page)
{
	if (page >= heap->pages)
		return (struct lh_heap_leaf *)(uintptr_t)&lh_heap_no_leaf;
	return lh_heap_leaf_of_own(heap, page);
}

/* The run of an address in the reservation; NULL: in none. */
static inline struct lh_heap_run *lh_heap_run_of_own(const lh_heap *heap, uint64_t address)
{
	uint64_t page = (address - heap->base) >> LH_PAGE_SHIFT;
	struct lh_heap_leaf *leaf = lh_heap_leaf_of_own(heap, page);

	return lh_atomic_load_relaxed(&leaf->runs[page % MAP_ENTRIES]);
}

/* The run that any address is in; NULL: in none. */
static inline struct lh_heap_run *lh_heap_run_of(const lh_heap *heap, uint64_t address)
{
	uint64_t page = (address - heap->base) >> LH_PAGE_SHIFT;
	struct lh_heap_leaf *leaf = lh_heap_leaf_of(heap, page);

	return lh_atomic_load_relaxed(&leaf->runs[page % MAP_ENTRIES]);
}

/* --- runs.c. Context: may wait, the heap's lock not held --- */

#define RUN_OF(pointer) \
	((struct lh_heap_run *)(void *)((char *)(pointer) - offsetof(struct lh_heap_run, region)))

/* What a run shall be. */
struct lh_heap_shape {
	uint64_t pages, alignment; /* alignment in pages */
	uint32_t size_class;
	bool is_zero;		   /* its bytes */
};

/* Makes a run, committed but not yet live. => LH_NO_MEMORY, LH_NO_HOLE. */
LH_MUST_USE lh_error lh_heap_run_make(lh_heap *heap, const struct lh_heap_shape *shape,
				      struct lh_heap_run **run);
/* Ends runs that are in no list but this, linked by next, and not live. => pages. */
uint64_t lh_heap_runs_end(lh_heap *heap, struct lh_heap_run *runs);
/* Gives the run this class. => it fits, or is to be LARGE; locked, or the run is the caller's */
void lh_heap_run_shape(struct lh_heap_run *run, uint32_t size_class);
/* What tells the items of a run apart, see lh_heap_is_beginning. => size: of an item, in bytes */
uint32_t lh_heap_inverse(uint32_t size_class, uint64_t size);
/* Which of ROOMS is the least for so many states. */
unsigned lh_heap_room_kind(uint64_t states);
/* It could be a slab of the class. */
bool lh_heap_run_fits(const struct lh_heap_run *run, uint32_t size_class);
/* Makes a large run longer in place, or shorter. => LH_NO_HOLE, LH_NO_MEMORY: as it was */
LH_MUST_USE lh_error lh_heap_run_resize(lh_heap *heap, struct lh_heap_run *run, uint64_t pages);

/* --- slabs.c. Context: any --- */

/* How long this CPU's next slab of a class should be. */
uint64_t lh_heap_slab_pages(lh_heap *heap, uint32_t size_class);
/* Takes up to want items, a power of two up to FRONT_BATCH_MOST, FREE to FRONT, in random order: of slabs of this CPU's
 * part, of any part's if little is used, or of one that was empty. => how many; 0: grow, or take another's. */
unsigned lh_heap_items_take(lh_heap *heap, uint32_t size_class, lh_heap_block *items, unsigned want);
/* The same of a new run, which becomes live. => at least one. */
unsigned lh_heap_items_take_new(lh_heap *heap, struct lh_heap_run *run, lh_heap_block *items,
				unsigned want);
/* The same of any part's slabs. => how many; 0: there is none. */
unsigned lh_heap_items_take_any(lh_heap *heap, uint32_t size_class, lh_heap_block *items, unsigned want);
/* Items of a class that are in a front or given out. => exact while nobody uses them */
uint64_t lh_heap_items_count(const lh_heap *heap, uint32_t size_class);
/* Gives items of one class back: any state but FREE to FREE. => count not 0; there are more spare runs than may be kept */
bool lh_heap_items_give(lh_heap *heap, const lh_heap_block *items, unsigned count);

/* --- spare.c. Context: any --- */

/* An empty run for a slab of the class, live and the caller's; NULL. */
struct lh_heap_run *lh_heap_spare_slab_take(lh_heap *heap, uint32_t size_class);
/* The list of spare runs that it is in when it is one: of equal pages, and those of up to SLAB_PAGES_MOST with equal
 * room: so the first of a list is good for a slab if any is. */
unsigned lh_heap_spare_list(const struct lh_heap_run *run);
/* A new run, the caller's, becomes live. */
void lh_heap_slab_begin(lh_heap *heap, struct lh_heap_run *run);
/* Slabs in no list but this, linked by next, without items: to the spare ones. => batches: given back since the last
 * call that said so; there are more spare runs than may be kept */
bool lh_heap_slabs_end(lh_heap *heap, struct lh_heap_run *runs, unsigned batches);
/* A large run: live and GIVEN; and back, to the spare ones. => as above */
void lh_heap_large_begin(lh_heap *heap, struct lh_heap_run *run);
bool lh_heap_large_give(lh_heap *heap, struct lh_heap_run *run);
/* An empty run of so many pages or few more, aligned to so many, for a large block; NULL. */
struct lh_heap_run *lh_heap_spare_take(lh_heap *heap, uint64_t pages, uint64_t alignment);
/* Detaches spare runs beyond what may be kept, or all; then what was used before is forgotten. => a list for lh_heap_runs_end. */
struct lh_heap_run *lh_heap_spare_surplus(lh_heap *heap, bool all);
/* Detaches so many pages or few more, as far as there are. => as above */
struct lh_heap_run *lh_heap_spare_some(lh_heap *heap, uint64_t pages);
/* Detaches what is to go because the heap is about to grow by so many pages. => as above */
struct lh_heap_run *lh_heap_spare_for_growth(lh_heap *heap, uint64_t pages);

/* --- front.c --- */

/* Items of one class at hand, the latest on top. Its CPU's, interrupts off; top is read by others. */
struct lh_heap_stack {
	lh_heap_block *top; /* behind the latest */
	lh_heap_block *bottom, *end;
	uint64_t padding; /* found by a shift */
};

#define FRONT_FRAMES_MOST 24

struct lh_heap_front {
	struct lh_heap_stack stacks[LH_HEAP_CLASSES + 1]; /* that of large runs has no room */
	uint32_t frame_count;
	lh_frame_number frames[FRONT_FRAMES_MOST]; /* the first is this one's own */
};

/* Where a CPU has none: its stacks have neither items nor room, so it is never written to. */
extern const struct lh_heap_front lh_heap_no_front;

/* => this CPU's stack of a class; interrupts off */
static inline struct lh_heap_stack *lh_heap_front_stack(const lh_heap *heap, lh_port *port,
							uint32_t size_class)
{
	return &heap->fronts[lh_port_cpu(port)]->stacks[size_class];
}

/* From FRONT to GIVEN. => false: this CPU's front has none. Context: any */
static inline bool lh_heap_front_take(lh_heap *heap, lh_port *port, uint32_t size_class,
				      uint64_t *address)
{
	uintptr_t interrupts = lh_port_interrupts_off(port);
	struct lh_heap_stack *stack = lh_heap_front_stack(heap, port, size_class);
	bool is_taken = stack->top != stack->bottom;

	if (is_taken) {
		lh_heap_block *item = stack->top - 1;

		LH_ASSERT_INTERNAL(port, lh_atomic_load_relaxed(item->state) == FRONT);
		lh_atomic_store_relaxed(&stack->top, item);
		lh_atomic_store_relaxed(item->state, (uint8_t)GIVEN);
		*address = item->address;
	}
	lh_port_interrupts_restore(port, interrupts);
	return is_taken;
}

/* From any state to FRONT. => false: there is no room, or no front; nothing changed. Context: any */
static inline bool lh_heap_front_put(lh_heap *heap, lh_port *port, uint32_t size_class,
				     lh_heap_block item)
{
	uintptr_t interrupts = lh_port_interrupts_off(port);
	struct lh_heap_stack *stack = lh_heap_front_stack(heap, port, size_class);
	bool is_put = stack->top != stack->end;

	if (is_put) {
		lh_heap_block *top = stack->top;

		*top = item;
		lh_atomic_store_relaxed(&stack->top, top + 1);
		lh_atomic_store_relaxed(item.state, (uint8_t)FRONT);
	}
	lh_port_interrupts_restore(port, interrupts);
	return is_put;
}

/* No CPU has one yet. */
void lh_heap_fronts_init(lh_heap *heap);
/* Puts items that are FRONT, the first ones, as far as they fit. => how many. Context: any */
unsigned lh_heap_front_fill(lh_heap *heap, uint32_t size_class, const lh_heap_block *items,
			    unsigned count);
/* A small block, from this CPU's front: => false: not so easily. A checked heap has no fronts. */
static inline bool lh_heap_take_quickly(lh_heap *heap, uint64_t bytes, uint64_t alignment,
					uint64_t *address)
{
	if (bytes - 1 >= LH_HEAP_CLASS_LARGEST || (alignment & ~(uint64_t)ITEM_LEAST) != 0)
		return false;
	return lh_heap_front_take(heap, heap->port, lh_heap_class_of_size(bytes), address);
}

/* Takes half a full stack out, oldest first. => how many. Context: any */
unsigned lh_heap_front_halve(lh_heap *heap, uint32_t size_class, lh_heap_block *items);
/* Makes this CPU's front, if there is memory and it has none. Context: any */
void lh_heap_front_make(lh_heap *heap);
/* Takes the fronts of all CPUs away and gives their items back. Context: may wait */
void lh_heap_fronts_drain(lh_heap *heap);
/* How many to take at a time: a power of two. */
unsigned lh_heap_front_batch(uint32_t size_class);
/* Items of a class in all fronts. => locked; exact while nobody uses them */
uint64_t lh_heap_fronts_count_locked(const lh_heap *heap, uint32_t size_class);
#define FRONT_BATCH_MOST 64

/* --- heap.c --- */

/* Finds the item that begins at an address; its state is not looked at. => NULL, or what the address is
 * instead: then *item is not set */
const char *lh_heap_find(const lh_heap *heap, lh_virtual_address address, lh_heap_item *item);
/* The same for a block that is given out; anything else stops the machine. */
lh_heap_item lh_heap_find_given(const lh_heap *heap, lh_virtual_address address);
/* The two ways down to an item or a large run, without red zones and records. */
LH_MUST_USE lh_error lh_heap_take_block(lh_heap *heap, const lh_heap_request *request,
					uint64_t *address);
void lh_heap_give_block(lh_heap *heap, lh_heap_item item, uint32_t flags);
/* Whether a request for so many bytes could have been answered by the run. */
bool lh_heap_could_be(const struct lh_heap_run *run, uint64_t bytes);

/* Not from inside the memory manager: see heap.h. Empty where the order of locks is not checked. */
static inline void lh_heap_require_outside(const lh_heap *heap, uint32_t flags)
{
	if ((flags & LH_HEAP_AT_HAND) != 0)
		lh_order_may_use(heap->port, "the heap");
	else
		lh_order_may_wait(heap->port, "the heap");
	lh_order_outside(heap->port, "the heap");
}

/*
 * Whether an item begins so many bytes into the run, and which: offset times inverse is the quotient,
 * and behind it, in 32 bits, what is left of the remainder: less than inverse if it is 0 (Lemire, Kaser, Kurz,
 * "Faster remainder by direct computation", 2019: exact while offset and size are below 2^16). Of a large
 * run the first byte alone: 1 makes all others remainders, in less than 2^32 bytes; a larger one has 0, and what
 * begins there is told by lh_heap_find only.
 */
static inline bool lh_heap_is_beginning(const struct lh_heap_run *run, uint64_t offset, uint64_t *index)
{
	uint64_t product = run->inverse * offset;

	*index = product >> 32;
	return (uint32_t)product < run->inverse;
}

static inline uint64_t lh_heap_item_address(lh_heap_item item)
{
	return item.run->base + item.index * item.run->size;
}

static inline lh_heap_block lh_heap_item_block(lh_heap_item item)
{
	return (lh_heap_block){ lh_heap_item_address(item), &item.run->states[item.index] };
}

static inline uint8_t lh_heap_state(lh_heap_item item)
{
	return lh_atomic_load_relaxed(&item.run->states[item.index]);
}

/* The block that is given out at an address, small or large. => false: there is none */
static inline bool lh_heap_find_quickly(const lh_heap *heap, uint64_t address, lh_heap_item *item)
{
	struct lh_heap_run *run = lh_heap_run_of(heap, address);

	if (!run || !lh_heap_is_beginning(run, address - run->base, &item->index))
		return false;
	/* No state behind the last item is GIVEN: so it need not be asked how many there are. */
	item->run = run;
	return lh_heap_state(*item) == GIVEN;
}

/* A block that the caller has, small, to this CPU's front. => false: it has to go elsewhere; large runs have a stack
 * without room. Context: any */
static inline bool lh_heap_put_quickly(lh_heap *heap, uint64_t address, lh_heap_item item)
{
	return lh_heap_front_put(heap, heap->port, item.run->size_class,
				 (lh_heap_block){ address, &item.run->states[item.index] });
}

static inline void lh_heap_set_state(lh_heap_item item, uint8_t state)
{
	lh_atomic_store_relaxed(&item.run->states[item.index], state);
}

/* --- checked.c: of a checked heap, where it is not said that others do nothing --- */

/* Who had an item last. */
struct lh_heap_record {
	const void *allocated_by;
	const void *freed_by;
	uint64_t bytes;	 /* as asked for */
	uint64_t number; /* of the allocation */
};

/* Behind each block, at least; and no block is so small that a slab's records would not fit a frame. */
#define RED_ZONE_BYTES 16
#define RECORDS_MOST (LH_PAGE_SIZE / sizeof(struct lh_heap_record))
#define CHECKED_BYTES_LEAST (SLAB_PAGES_LEAST * LH_PAGE_SIZE / RECORDS_MOST)
#define RED_ZONE_BYTE 0xbd
#define FRESH_BYTE 0xa5
#define FREED_BYTE 0x6b

/* Records for the items of a run; nothing in other heaps. LH_NO_MEMORY. */
LH_MUST_USE lh_error lh_heap_records_take(lh_heap *heap, struct lh_heap_run *run);
void lh_heap_records_give_back(lh_heap *heap, struct lh_heap_run *run);
/* Nothing in other heaps. LH_NO_MEMORY. */
LH_MUST_USE lh_error lh_heap_quarantine_make(lh_heap *heap);
void lh_heap_quarantine_end(lh_heap *heap);
/* Gives all that is in it back. Context: any. */
void lh_heap_quarantine_empty(lh_heap *heap);
/* What is in it, as counters have it. => locked; 0 in other heaps */
void lh_heap_quarantine_count_locked(const lh_heap *heap, uint64_t *items, uint64_t *bytes);

LH_MUST_USE lh_error lh_heap_allocate_checked(lh_heap *heap, const lh_heap_request *request,
					      lh_virtual_address *address);
void lh_heap_free_checked(lh_heap *heap, lh_virtual_address address, uint64_t bytes, uint32_t flags,
			  const void *caller);
uint64_t lh_heap_checked_bytes(lh_heap_item item);
/* NULL, or what is wrong with the bytes of an item, given out or in quarantine; *at: where. */
const char *lh_heap_checked_damage(const lh_heap *heap, lh_heap_item item, uint64_t *at);

/* --- report.c --- */

/* Says what happened and stops the machine. => at, caller: 0: not said */
LH_NO_RETURN void lh_heap_report(const lh_heap *heap, const char *what, uint64_t at, lh_heap_item item,
				 const void *caller);

/* --- frames.c: of the heap's books, counted. Context: any --- */

/* A zeroed frame, where it is seen. LH_NO_MEMORY. */
LH_MUST_USE lh_error lh_heap_frame_take(lh_heap *heap, lh_frame_number *frame, void **pointer);
void lh_heap_frame_give_back(lh_heap *heap, lh_frame_number frame);

/* Where a byte of a run that is committed is seen. */
static inline void *lh_heap_byte(const lh_heap *heap, uint64_t address)
{
	uint64_t page = (address - heap->base) >> LH_PAGE_SHIFT;

	return (char *)lh_heap_leaf_of_own(heap, page)->bytes[page % MAP_ENTRIES] + address % LH_PAGE_SIZE;
}

/* --- bytes.c: through the frames. => the bytes are committed --- */

void lh_heap_bytes_fill(const lh_heap *heap, uint64_t address, uint8_t byte, uint64_t bytes);
void lh_heap_bytes_copy(const lh_heap *heap, uint64_t to, uint64_t from, uint64_t bytes);
/* The first that is not the byte; 0: all are. */
uint64_t lh_heap_bytes_find_other(const lh_heap *heap, uint64_t address, uint8_t byte, uint64_t bytes);

#endif
