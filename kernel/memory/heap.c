/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Small blocks come from the library's pools, one for each size; large ones are frames in a row, seen
 * through the direct map. Nothing is mapped, so that the heap needs no lock of its own, and
 * a block of several pages costs no flush.
 */
#include "memory/heap.h"

#include <landhold/pool.h>

#include "lib/log.h"
#include "lib/string.h"
#include "memory/memory.h"
#include "memory/start.h"

/* The last ones are what still goes three and two times into a page beside its header. */
static const uint32_t sizes[] = { 32, 64, 96, 128, 192, 256, 384, 512, 768, 992, 1328, 2000 };
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static lh_pool pools[SIZES];

void heap_start(void)
{
	for (size_t i = 0; i < SIZES; i++) {
		lh_error error = lh_pool_init(&pools[i], memory_frames(), "heap", sizes[i]);

		if (error != LH_OK)
			panic("heap: %s", lh_error_string(error));
	}
}

static lh_pool *pool_of(size_t bytes)
{
	for (size_t i = 0; i < SIZES; i++)
		if (bytes <= sizes[i])
			return &pools[i];
	return NULL;
}

static uint64_t frames_of(size_t bytes)
{
	return (bytes + LH_PAGE_SIZE - 1) / LH_PAGE_SIZE;
}

void *kernel_allocate(size_t bytes)
{
	lh_pool *pool = pool_of(bytes);
	lh_frame_number first;
	void *block;

	if (bytes == 0 || bytes > SIZE_MAX / 2)
		return NULL;
	if (pool != NULL) {
		if (lh_pool_take(pool, &block) != LH_OK)
			return NULL;
	} else {
		if (lh_frame_allocate_contiguous(memory_frames(), frames_of(bytes), 1, 0, LH_FRAME_KERNEL,
						 &first) != LH_OK)
			return NULL;
		block = lh_frame_pointer(memory_frames(), first);
	}
	memset(block, 0, bytes);
	return block;
}

void kernel_free(void *block, size_t bytes)
{
	lh_pool *pool = pool_of(bytes);

	if (block == NULL)
		return;
	if (pool != NULL)
		lh_pool_give_back(pool, block);
	else
		lh_frame_drop_contiguous(memory_frames(),
					 lh_physical_frame(lh_physical(direct_physical(block))),
					 frames_of(bytes));
}
