/* SPDX-License-Identifier: BSD-2-Clause */
/* The library's heap, in a reservation of four times the machine's memory, of which guard pages take half. */
#include "memory/heap.h"

#include <landhold/heap.h>

#include "arch/x86_64/panic.h"
#include "boot/info.h"
#include "lib/log.h"
#include "lib/string.h"
#include "memory/memory.h"
#include "memory/refusal.h"
#include "memory/start.h"

#define PAGES_LEAST (UINT64_C(1) << 18)

#define CHECKED_OPTION "heap=checked"
#define LEAK_OPTION "heap.leak"
#define LEAK_BYTES 77

static lh_heap heap;
static void *volatile lost; /* on purpose */

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
	bool is_checked = LH_DEBUG >= 2 || strstr(boot_info()->command_line, CHECKED_OPTION) != NULL;
	lh_error error = lh_heap_create(&heap, memory_manager(), &request,
				       is_checked ? LH_HEAP_CHECKED : 0);

	if (error != LH_OK)
		panic("heap: %s", lh_error_string(error));
	refusal_start();
	if (strstr(boot_info()->command_line, LEAK_OPTION) != NULL)
		lost = kernel_allocate(LEAK_BYTES);
}

/* Not inlined, also not here: its return address is who asked. */
__attribute__((noinline)) void *kernel_allocate(size_t bytes)
{
	lh_heap_request request = { bytes, 0, LH_HEAP_ZEROED, __builtin_return_address(0) };
	lh_virtual_address address;

	if (refusal_is_due(request.caller) || lh_heap_allocate_as(&heap, &request, &address) != LH_OK)
		return NULL;
	return (void *)(uintptr_t)address.value;
}

void kernel_free(void *block, size_t bytes)
{
	lh_heap_free_as(&heap, lh_virtual((uint64_t)(uintptr_t)block), bytes, 0,
			__builtin_return_address(0));
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

static void log_leak(void *context, const lh_heap_leak *leak)
{
	uint64_t offset = 0;
	const char *name = symbol_of((uint64_t)(uintptr_t)leak->caller, &offset);

	(void)context;
	log_line("heap: %lu blocks, %lu bytes, allocated by %s+%#lx, were never freed", leak->blocks,
		 leak->bytes, name != NULL ? name : "?", offset);
}

void kernel_heap_report_left(void)
{
	struct kernel_heap_use use;

	(void)kernel_heap_trim();
	kernel_heap_read_use(&use);
	(void)lh_heap_report_leaks(&heap, 0, log_leak, NULL);
	log_line("heap: %lu blocks are left at the end", use.items);
}
