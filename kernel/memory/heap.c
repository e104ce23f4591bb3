/* SPDX-License-Identifier: BSD-2-Clause */
/* The library's heap, in a reservation of four times the machine's memory, of which guard pages take half. */
#include "memory/heap.h"

#include <landhold/heap.h>

#include "lib/log.h"
#include "memory/memory.h"
#include "memory/start.h"

#define PAGES_LEAST (UINT64_C(1) << 18)

static lh_heap heap;

static uint64_t reservation_pages(void)
{
	lh_frame_counters frames;

	lh_frames_read_counters(memory_frames(), &frames);
	if (frames.total < PAGES_LEAST / 4)
		return PAGES_LEAST;
	return frames.total < LH_HEAP_PAGES_MOST / 4 ? frames.total * 4 : LH_HEAP_PAGES_MOST;
}

void heap_start(void)
{
	lh_kernel_request request = memory_request(reservation_pages(), LH_RIGHT_READ | LH_RIGHT_WRITE);
	lh_error error = lh_heap_create(&heap, memory_manager(), &request, 0);

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
	*use = (struct kernel_heap_use){ counters.items, counters.bytes, counters.frames };
}

const char *kernel_heap_check(void)
{
	return lh_heap_check(&heap);
}
