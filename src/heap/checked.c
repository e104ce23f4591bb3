/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checked heaps. A block is followed by a red zone: at least RED_ZONE_BYTES of a byte that is not to
 * change, as far as its item goes; behind it lies the next block, or the guard page. A block that is
 * freed is filled with another byte and waits in quarantine, so that for a while nobody else has its
 * address and every write through an old pointer is seen when it leaves. Nothing here is
 * kept in fronts: what is wrong is found at the first chance.
 *
 * Beside each run lie records of its items in a frame. They are not in the blocks.
 */
#include "heap/heap_internal.h"

#include "base/memory.h"

#define HELD_MOST ((LH_PAGE_SIZE - 32) / sizeof(lh_heap_item))
#define HELD_BYTES_MOST (UINT64_C(1) << 20)

/* A ring, in a frame of its own. Under the heap's lock. */
struct lh_heap_quarantine {
	lh_frame_number frame;
	uint64_t first, count;
	uint64_t bytes; /* of their items */
	lh_heap_item items[HELD_MOST];
};

_Static_assert(sizeof(struct lh_heap_quarantine) <= LH_PAGE_SIZE, "a quarantine is one frame");

static bool is_checked(const lh_heap *heap)
{
	return (heap->flags & LH_HEAP_CHECKED) != 0;
}

static struct lh_heap_record *record_of(lh_heap_item item)
{
	return &item.run->records[item.index];
}

uint64_t lh_heap_checked_bytes(lh_heap_item item)
{
	return record_of(item)->bytes;
}

/* --- what a checked heap has more --- */

lh_error lh_heap_records_take(lh_heap *heap, struct lh_heap_run *run)
{
	void *records;

	if (!is_checked(heap))
		return LH_OK;
	LH_TRY(lh_heap_frame_take(heap, &run->records_frame, &records));
	run->records = records;
	return LH_OK;
}

void lh_heap_records_give_back(lh_heap *heap, struct lh_heap_run *run)
{
	if (run->records)
		lh_heap_frame_give_back(heap, run->records_frame);
	run->records = NULL;
}

lh_error lh_heap_quarantine_make(lh_heap *heap)
{
	lh_frame_number frame;
	void *quarantine;

	if (!is_checked(heap))
		return LH_OK;
	LH_TRY(lh_heap_frame_take(heap, &frame, &quarantine));
	heap->quarantine = quarantine;
	heap->quarantine->frame = frame;
	return LH_OK;
}

void lh_heap_quarantine_end(lh_heap *heap)
{
	if (heap->quarantine)
		lh_heap_frame_give_back(heap, heap->quarantine->frame);
	heap->quarantine = NULL;
}

void lh_heap_quarantine_count_locked(const lh_heap *heap, uint64_t *items, uint64_t *bytes)
{
	*items = heap->quarantine ? heap->quarantine->count : 0;
	*bytes = heap->quarantine ? heap->quarantine->bytes : 0;
}

/* --- allocating --- */

static void mark_block(lh_heap *heap, lh_virtual_address address, const lh_heap_request *request)
{
	bool is_zeroed = (request->flags & LH_HEAP_ZEROED) != 0;
	uint64_t bytes = request->bytes;
	lh_heap_item item = { NULL, 0 };

	LH_REQUIRE(lh_heap_port(heap), lh_heap_find(heap, address, &item) == NULL);
	lh_heap_bytes_fill(heap, address.value, is_zeroed ? 0 : FRESH_BYTE, bytes);
	lh_heap_bytes_fill(heap, address.value + bytes, RED_ZONE_BYTE, item.run->size - bytes);
	*record_of(item) = (struct lh_heap_record){ request->caller, NULL, bytes,
						    lh_atomic_add(&heap->mark, UINT64_C(1)) };
}

lh_error lh_heap_allocate_checked(lh_heap *heap, const lh_heap_request *request,
				  lh_virtual_address *address)
{
	lh_heap_request larger = *request;
	uint64_t block;

	if (request->bytes == 0)
		return LH_INVALID;
	if (request->bytes > UINT64_MAX - RED_ZONE_BYTES)
		return LH_NO_HOLE;
	larger.bytes += RED_ZONE_BYTES;
	if (larger.bytes < CHECKED_BYTES_LEAST)
		larger.bytes = CHECKED_BYTES_LEAST;
	larger.flags &= ~LH_HEAP_ZEROED;
	LH_TRY(lh_heap_take_block(heap, &larger, &block));
	mark_block(heap, lh_virtual(block), request);
	*address = lh_virtual(block);
	return LH_OK;
}

/* --- damage --- */

const char *lh_heap_checked_damage(const lh_heap *heap, lh_heap_item item, uint64_t *at)
{
	uint64_t address = lh_heap_item_address(item), bytes = record_of(item)->bytes;

	if (lh_heap_state(item) == HELD) {
		*at = lh_heap_bytes_find_other(heap, address, FREED_BYTE, item.run->size);
		return *at != 0 ? "a write after the free" : NULL;
	}
	*at = lh_heap_bytes_find_other(heap, address + bytes, RED_ZONE_BYTE, item.run->size - bytes);
	return *at != 0 ? "a write behind the end" : NULL;
}

static void require_whole(const lh_heap *heap, lh_heap_item item)
{
	uint64_t at;
	const char *damage = lh_heap_checked_damage(heap, item, &at);

	if (damage)
		lh_heap_report(heap, damage, at, item, NULL);
}

/* --- freeing --- */

static void release(lh_heap *heap, lh_heap_item item, uint32_t flags)
{
	require_whole(heap, item);
	lh_heap_give_block(heap, item, flags);
}

static lh_heap_item pop_locked(struct lh_heap_quarantine *quarantine)
{
	lh_heap_item item = quarantine->items[quarantine->first];

	quarantine->first = (quarantine->first + 1) % HELD_MOST;
	quarantine->count--;
	quarantine->bytes -= item.run->size;
	return item;
}

/* => true: the oldest, while there are more than count, or too many bytes in them. */
static bool take_oldest(lh_heap *heap, uint64_t count, lh_heap_item *item)
{
	struct lh_heap_quarantine *quarantine = heap->quarantine;
	lh_port *port = lh_heap_port(heap);
	uintptr_t interrupts = lh_spin_lock(&heap->lock, LH_LOCK_HEAP, port);
	bool found = quarantine->count > count ||
		     (quarantine->count != 0 && quarantine->bytes > HELD_BYTES_MOST);

	if (found)
		*item = pop_locked(quarantine);
	lh_spin_unlock(&heap->lock, LH_LOCK_HEAP, port, interrupts);
	return found;
}

static void push(lh_heap *heap, lh_heap_item item)
{
	struct lh_heap_quarantine *quarantine = heap->quarantine;
	lh_port *port = lh_heap_port(heap);
	uintptr_t interrupts = lh_spin_lock(&heap->lock, LH_LOCK_HEAP, port);
	lh_heap_item oldest = { NULL, 0 };

	if (quarantine->count == HELD_MOST)
		oldest = pop_locked(quarantine);
	quarantine->items[(quarantine->first + quarantine->count++) % HELD_MOST] = item;
	quarantine->bytes += item.run->size;
	lh_spin_unlock(&heap->lock, LH_LOCK_HEAP, port, interrupts);
	if (oldest.run)
		release(heap, oldest, LH_HEAP_AT_HAND);
}

void lh_heap_quarantine_empty(lh_heap *heap)
{
	lh_heap_item item;

	if (!heap->quarantine)
		return;
	while (take_oldest(heap, 0, &item))
		release(heap, item, LH_HEAP_AT_HAND);
}

/* Under the heap's lock: of two that free at the same moment, one is reported. */
static void require_given(lh_heap *heap, lh_heap_item item, const void *caller)
{
	lh_port *port = lh_heap_port(heap);
	uintptr_t interrupts = lh_spin_lock(&heap->lock, LH_LOCK_HEAP, port);
	bool given = lh_heap_state(item) == GIVEN;

	if (given)
		lh_heap_set_state(item, HELD);
	lh_spin_unlock(&heap->lock, LH_LOCK_HEAP, port, interrupts);
	if (!given)
		lh_heap_report(heap, "a second free", 0, item, caller);
}

void lh_heap_free_checked(lh_heap *heap, lh_virtual_address address, uint64_t bytes, uint32_t flags,
			  const void *caller)
{
	lh_heap_item item = { NULL, 0 };
	const char *finding = lh_heap_find(heap, address, &item);
	uint64_t at;
	const char *damage;

	if (finding)
		lh_heap_report(heap, finding, address.value, item, caller);
	if (lh_heap_state(item) == GIVEN && bytes != 0 && bytes != record_of(item)->bytes)
		lh_heap_report(heap, "a free with a wrong size", 0, item, caller);
	damage = lh_heap_state(item) == GIVEN ? lh_heap_checked_damage(heap, item, &at) : NULL;
	if (damage)
		lh_heap_report(heap, damage, at, item, caller);
	require_given(heap, item, caller);
	record_of(item)->freed_by = caller;
	lh_heap_bytes_fill(heap, address.value, FREED_BYTE, item.run->size);
	push(heap, item);
	while (take_oldest(heap, HELD_MOST, &item))
		release(heap, item, flags);
}
