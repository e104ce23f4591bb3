/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fronts: each CPU's few items of each class, so that most allocations and frees touch nothing that
 * another CPU writes. A front is used by its CPU alone, with interrupts off for a moment; so it
 * needs no lock. It is made when a CPU first needs it, of single frames, and goes with lh_heap_trim:
 * each CPU is called and takes its own front out of use, holding no lock; who called gives
 * the items back.
 *
 * A stack holds at most 64 items, and about 16 KiB: it is filled and emptied by halves, so a CPU that
 * allocates and frees at the edge does not come to the heap's lock each time.
 */
#include "heap/heap_internal.h"

#include "base/memory.h"

#define STACK_MOST (2 * FRONT_BATCH_MOST)
#define STACK_LEAST 4
#define STACK_BYTES 16384
#define ITEMS_A_FRAME (LH_PAGE_SIZE / sizeof(lh_heap_block))

_Static_assert(sizeof(struct lh_heap_front) <= LH_PAGE_SIZE, "a front's head is one frame");
_Static_assert(STACK_MOST <= ITEMS_A_FRAME, "a stack lies in one frame");

const struct lh_heap_front lh_heap_no_front;

static bool is_one(const struct lh_heap_front *front)
{
	return front != &lh_heap_no_front;
}

void lh_heap_fronts_init(lh_heap *heap)
{
	for (unsigned cpu = 0; cpu < LH_MAX_CPUS; cpu++)
		heap->fronts[cpu] = (struct lh_heap_front *)(uintptr_t)&lh_heap_no_front;
}

/* A power of two, so that half of it is one. */
static uint32_t capacity_of(uint32_t size_class)
{
	/* By the power of two that the size is rounded up to: no loop, as each batch asks. */
	unsigned shift = 64 - (unsigned)__builtin_clzll(lh_heap_class_size(size_class) - 1);
	uint32_t items = STACK_BYTES >> shift;

	return items > STACK_MOST ? STACK_MOST : items < STACK_LEAST ? STACK_LEAST : items;
}

unsigned lh_heap_front_batch(uint32_t size_class)
{
	return capacity_of(size_class) / 2;
}

/* --- making --- */

static void give_frames_back(lh_heap *heap, struct lh_heap_front *front)
{
	lh_frame_number frames[FRONT_FRAMES_MOST];
	uint32_t count = front->frame_count;

	/* The list lies in the first of them. */
	memcpy(frames, front->frames, sizeof frames);
	while (count-- != 0)
		lh_heap_frame_give_back(heap, frames[count]);
}

/* Adds a frame. => NULL: there is none. */
static void *add_frame(lh_heap *heap, struct lh_heap_front *front)
{
	lh_frame_number frame;
	void *pointer;

	LH_ASSERT(lh_heap_port(heap), front->frame_count < FRONT_FRAMES_MOST);
	if (lh_heap_frame_take(heap, &frame, &pointer) != LH_OK)
		return NULL;
	front->frames[front->frame_count++] = frame;
	return pointer;
}

/* Each stack lies in one frame whole. */
static bool add_stacks(lh_heap *heap, struct lh_heap_front *front)
{
	lh_heap_block *items = NULL;
	uint64_t left = 0;

	for (uint32_t i = 0; i < LH_HEAP_CLASSES; i++) {
		uint32_t capacity = capacity_of(i);

		if (left < capacity) {
			items = add_frame(heap, front);
			left = ITEMS_A_FRAME;
		}
		if (!items)
			return false;
		front->stacks[i] = (struct lh_heap_stack){ items, items, items + capacity, 0 };
		items += capacity;
		left -= capacity;
	}
	return true;
}

static struct lh_heap_front *make(lh_heap *heap)
{
	struct lh_heap_front *front;
	lh_frame_number frame;
	void *pointer;

	if (lh_heap_frame_take(heap, &frame, &pointer) != LH_OK)
		return NULL;
	front = pointer;
	front->frames[front->frame_count++] = frame;
	if (add_stacks(heap, front))
		return front;
	give_frames_back(heap, front);
	return NULL;
}

static bool is_wanted(lh_heap *heap)
{
	lh_port *port = lh_heap_port(heap);
	uintptr_t interrupts = lh_port_interrupts_off(port);
	bool is_missing = !is_one(heap->fronts[lh_port_cpu(port)]);

	lh_port_interrupts_restore(port, interrupts);
	return is_missing;
}

/* The CPU may be another one by the time that the front is made; then it is that one's. */
void lh_heap_front_make(lh_heap *heap)
{
	lh_port *port = lh_heap_port(heap);
	struct lh_heap_front *front = is_wanted(heap) ? make(heap) : NULL;
	struct lh_heap_front **own;
	uintptr_t interrupts;

	if (!front)
		return;
	interrupts = lh_port_interrupts_off(port);
	own = &heap->fronts[lh_port_cpu(port)];
	if (!is_one(*own)) {
		lh_atomic_store(own, front);
		front = NULL;
	}
	lh_port_interrupts_restore(port, interrupts);
	if (front)
		give_frames_back(heap, front);
}

/* --- filling and emptying --- */

unsigned lh_heap_front_fill(lh_heap *heap, uint32_t size_class, const lh_heap_block *items,
			    unsigned count)
{
	lh_port *port = lh_heap_port(heap);
	uintptr_t interrupts = lh_port_interrupts_off(port);
	struct lh_heap_stack *stack = lh_heap_front_stack(heap, port, size_class);
	unsigned room = (unsigned)(stack->end - stack->top);

	if (count > room)
		count = room;
	if (count != 0) {
		memcpy(stack->top, items, count * sizeof items[0]);
		lh_atomic_store_relaxed(&stack->top, stack->top + count);
	}
	lh_port_interrupts_restore(port, interrupts);
	return count;
}

unsigned lh_heap_front_halve(lh_heap *heap, uint32_t size_class, lh_heap_block *items)
{
	lh_port *port = lh_heap_port(heap);
	uintptr_t interrupts = lh_port_interrupts_off(port);
	struct lh_heap_stack *stack = lh_heap_front_stack(heap, port, size_class);
	unsigned count = stack->top == stack->end ? (unsigned)(stack->end - stack->bottom) / 2 : 0;

	if (count != 0) {
		memcpy(items, stack->bottom, count * sizeof items[0]);
		memmove(stack->bottom, stack->bottom + count,
			(size_t)(stack->top - stack->bottom - count) * sizeof items[0]);
		lh_atomic_store_relaxed(&stack->top, stack->top - count);
	}
	lh_port_interrupts_restore(port, interrupts);
	return count;
}

/* Who counts what is in fronts has the lock: until he has done, no front may go. */
static void wait_for_readers(lh_heap *heap)
{
	uintptr_t interrupts = lh_spin_lock(&heap->lock, LH_LOCK_HEAP, lh_heap_port(heap));

	lh_spin_unlock(&heap->lock, LH_LOCK_HEAP, lh_heap_port(heap), interrupts);
}

struct drain {
	lh_heap *heap;
	struct lh_heap_front *fronts[LH_MAX_CPUS];
};

/* On each CPU, interrupts off: no lock is taken, none waited for. */
static void take_own_front(void *argument)
{
	struct drain *drain = argument;
	unsigned cpu = lh_port_cpu(lh_heap_port(drain->heap));

	drain->fronts[cpu] = drain->heap->fronts[cpu];
	lh_atomic_store(&drain->heap->fronts[cpu], (struct lh_heap_front *)(uintptr_t)&lh_heap_no_front);
}

static void give_all(lh_heap *heap, const struct lh_heap_front *front)
{
	for (uint32_t i = 0; i < LH_HEAP_CLASSES; i++) {
		const struct lh_heap_stack *stack = &front->stacks[i];

		if (stack->top != stack->bottom)
			(void)lh_heap_items_give(heap, stack->bottom,
						 (unsigned)(stack->top - stack->bottom));
	}
}

static bool find_cpus(const lh_heap *heap, lh_cpu_set *cpus)
{
	bool found = false;

	*cpus = (lh_cpu_set){ { 0 } };
	for (unsigned cpu = 0; cpu < LH_MAX_CPUS; cpu++)
		if (is_one(lh_atomic_load(&heap->fronts[cpu]))) {
			cpus->bits[cpu / 64] |= UINT64_C(1) << cpu % 64;
			found = true;
		}
	return found;
}

void lh_heap_fronts_drain(lh_heap *heap)
{
	struct drain drain = { .heap = heap };
	lh_cpu_set cpus;

	if (!find_cpus(heap, &cpus))
		return;
	lh_port_call_cpus(lh_heap_port(heap), &cpus, take_own_front, &drain);
	wait_for_readers(heap);
	for (unsigned cpu = 0; cpu < LH_MAX_CPUS; cpu++)
		if (drain.fronts[cpu] && is_one(drain.fronts[cpu])) {
			give_all(heap, drain.fronts[cpu]);
			give_frames_back(heap, drain.fronts[cpu]);
		}
}

/* A front that is on its way out is not freed before the lock was taken. */
uint64_t lh_heap_fronts_count_locked(const lh_heap *heap, uint32_t size_class)
{
	uint64_t count = 0;

	for (unsigned cpu = 0; cpu < LH_MAX_CPUS; cpu++) {
		const struct lh_heap_front *front = lh_atomic_load(&heap->fronts[cpu]);

		if (is_one(front))
			count += (uint64_t)(lh_atomic_load_relaxed(&front->stacks[size_class].top) -
					    front->stacks[size_class].bottom);
	}
	return count;
}
