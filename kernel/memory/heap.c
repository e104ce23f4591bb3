/* SPDX-License-Identifier: BSD-2-Clause */
/* The library's heap, in a reservation of 64 GiB of addresses. */
#include "memory/heap.h"

#include <landhold/heap.h>

#include "lib/log.h"
#include "memory/memory.h"
#include "memory/start.h"

#define HEAP_PAGES (UINT64_C(1) << 24)

static lh_heap heap;

void heap_start(void)
{
	lh_kernel_request request = memory_request(HEAP_PAGES, LH_RIGHT_READ | LH_RIGHT_WRITE);
	lh_error error = lh_heap_create(&heap, memory_manager(), &request);

	if (error != LH_OK)
		panic("heap: %s", lh_error_string(error));
}

void *kernel_allocate(size_t bytes)
{
	lh_virtual_address address;

	if (lh_heap_allocate_zeroed(&heap, bytes, 0, &address) != LH_OK)
		return NULL;
	return (void *)(uintptr_t)address.value;
}

void kernel_free(void *block, size_t bytes)
{
	lh_heap_free(&heap, lh_virtual((uint64_t)(uintptr_t)block), bytes);
}

uint64_t kernel_heap_trim(void)
{
	return lh_heap_trim(&heap);
}

void kernel_heap_read_use(struct kernel_heap_use *use)
{
	lh_heap_counters counters;

	lh_heap_read_counters(&heap, &counters);
	*use = (struct kernel_heap_use){ counters.items, counters.bytes, counters.pages };
}

const char *kernel_heap_check(void)
{
	return lh_heap_check(&heap);
}
