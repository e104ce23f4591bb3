/* SPDX-License-Identifier: BSD-2-Clause */
/* Single frames for what the heap keeps beside its pools: tables of its map, fronts, records. */
#include "heap/heap_internal.h"

lh_error lh_heap_frame_take(lh_heap *heap, lh_frame_number *frame, void **pointer)
{
	lh_frames *frames = heap->pools[0].frames;

	LH_TRY(lh_frame_allocate_zeroed(frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, frame));
	*pointer = lh_frame_pointer(frames, *frame);
	lh_atomic_add(&heap->own_frames, UINT64_C(1));
	return LH_OK;
}

void lh_heap_frame_give_back(lh_heap *heap, lh_frame_number frame)
{
	(void)lh_frame_drop(heap->pools[0].frames, frame);
	lh_atomic_subtract(&heap->own_frames, UINT64_C(1));
}
