/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changing a block's size. In place: a small one whose class still is the right one, or would be by no
 * more than half; a large one by giving its last pages back, or by growing into the free
 * pages behind it (runs.c). Otherwise the block moves.
 */
#include "heap/heap_internal.h"

static uint64_t least_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static bool fits_in_place(const struct lh_heap_run *run, uint64_t bytes)
{
	return run->size_class != LARGE && bytes <= run->size && bytes > run->size / 2;
}

/* A large block that stays large. => LH_NO_HOLE, LH_NO_MEMORY: it has to move. */
static lh_error resize_large(lh_heap *heap, struct lh_heap_run *run, uint64_t bytes)
{
	uint64_t pages = ((bytes - 1) >> LH_PAGE_SHIFT) + 1;

	return lh_heap_run_resize(heap, run, pages);
}

/* It always moves. */
static lh_error resize_checked(lh_heap *heap, lh_virtual_address *address, lh_heap_item item,
			       uint64_t bytes_before, const lh_heap_request *request)
{
	uint64_t size = lh_heap_checked_bytes(item);
	uint64_t bytes_kept = least_of(request->bytes, size);
	lh_virtual_address moved;

	LH_TRY(lh_heap_allocate_checked(heap, request, &moved));
	lh_heap_bytes_copy(heap, moved.value, address->value, bytes_kept);
	lh_heap_free_checked(heap, *address, bytes_before, 0, request->caller);
	*address = moved;
	return LH_OK;
}

static lh_error move(lh_heap *heap, lh_virtual_address *address, lh_heap_item item, uint64_t bytes_kept,
		     uint64_t bytes)
{
	uint64_t moved;

	if (!lh_heap_take_quickly(heap, bytes, 0, &moved))
		LH_TRY(lh_heap_take_block(heap, &(lh_heap_request){ .bytes = bytes }, &moved));
	lh_heap_bytes_copy(heap, moved, address->value, bytes_kept);
	if (!lh_heap_put_quickly(heap, address->value, item))
		lh_heap_give_block(heap, item, 0);
	*address = lh_virtual(moved);
	return LH_OK;
}

/* A block of a heap that is not checked, and that is no small one where it has room. => bytes_before: what was
 * asked for then, or all that the block has */
static lh_error resize(lh_heap *heap, lh_virtual_address *address, lh_heap_item item,
		       uint64_t bytes_before, uint64_t bytes)
{
	if (item.run->size_class == LARGE && bytes > LH_HEAP_CLASS_LARGEST &&
	    resize_large(heap, item.run, bytes) == LH_OK)
		return LH_OK;
	return move(heap, address, item, least_of(bytes, bytes_before), bytes);
}

lh_error lh_heap_resize(lh_heap *heap, lh_virtual_address *address, uint64_t bytes_before,
			uint64_t bytes)
{
	lh_heap_item item;

	lh_heap_require_outside(heap, 0);
	if (!lh_heap_find_quickly(heap, address->value, &item))
		item = lh_heap_find_given(heap, *address);
	if (bytes == 0)
		return LH_INVALID;
	LH_REQUIRE(lh_heap_port(heap), lh_heap_could_be(item.run, bytes_before));
	if ((heap->flags & LH_HEAP_CHECKED) != 0)
		return resize_checked(heap, address, item, bytes_before,
				      &(lh_heap_request){ bytes, 0, 0, __builtin_return_address(0) });
	if (fits_in_place(item.run, bytes))
		return LH_OK;
	return resize(heap, address, item, bytes_before != 0 ? bytes_before : item.run->size, bytes);
}
