/* SPDX-License-Identifier: BSD-2-Clause */
/* The bytes of blocks, reached through the frames that they lie in, page by page; mostly there is one. */
#include "heap/heap_internal.h"

#include "base/memory.h"

void *lh_heap_pointer(const lh_heap *heap, lh_virtual_address address)
{
	uint64_t page = (address.value - heap->base) >> LH_PAGE_SHIFT;
	const struct lh_heap_leaf *leaf = lh_heap_leaf_of(heap, page);

	if (!lh_atomic_load_relaxed(&leaf->runs[page % MAP_ENTRIES]))
		return NULL;
	return (char *)leaf->bytes[page % MAP_ENTRIES] + (address.value & (LH_PAGE_SIZE - 1));
}

/* As many of the bytes as lie in the address's page. */
static uint64_t part_of(uint64_t address, uint64_t bytes)
{
	uint64_t rest = LH_PAGE_SIZE - (address & (LH_PAGE_SIZE - 1));

	return bytes < rest ? bytes : rest;
}

/* Noinline, as below: apart from the common case, so that it saves no register for the loop's sake. */
static __attribute__((noinline)) void fill_pages(const lh_heap *heap, uint64_t address, uint8_t byte,
						 uint64_t bytes)
{
	while (bytes != 0) {
		uint64_t part = part_of(address, bytes);

		memset(lh_heap_byte(heap, address), byte, part);
		address += part;
		bytes -= part;
	}
}

void lh_heap_bytes_fill(const lh_heap *heap, uint64_t address, uint8_t byte, uint64_t bytes)
{
	if (part_of(address, bytes) == bytes)
		memset(lh_heap_byte(heap, address), byte, bytes);
	else
		fill_pages(heap, address, byte, bytes);
}

static __attribute__((noinline)) void copy_pages(const lh_heap *heap, uint64_t to, uint64_t from, uint64_t bytes)
{
	while (bytes != 0) {
		uint64_t part = part_of(to, part_of(from, bytes));

		memcpy(lh_heap_byte(heap, to), lh_heap_byte(heap, from), part);
		to += part;
		from += part;
		bytes -= part;
	}
}

void lh_heap_bytes_copy(const lh_heap *heap, uint64_t to, uint64_t from, uint64_t bytes)
{
	if (part_of(to, bytes) == bytes && part_of(from, bytes) == bytes)
		memcpy(lh_heap_byte(heap, to), lh_heap_byte(heap, from), bytes);
	else
		copy_pages(heap, to, from, bytes);
}

uint64_t lh_heap_bytes_find_other(const lh_heap *heap, uint64_t address, uint8_t byte, uint64_t bytes)
{
	while (bytes != 0) {
		uint64_t part = part_of(address, bytes);
		const uint8_t *at = lh_heap_byte(heap, address);

		for (uint64_t i = 0; i < part; i++)
			if (at[i] != byte)
				return address + i;
		address += part;
		bytes -= part;
	}
	return 0;
}
