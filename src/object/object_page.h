/* SPDX-License-Identifier: BSD-2-Clause */
/* Slots of an object's index (object.h draws their states), and steps on them under the lock. */
#ifndef LANDHOLD_OBJECT_OBJECT_PAGE_H
#define LANDHOLD_OBJECT_OBJECT_PAGE_H

#include "object/object.h"

#define LH_SLOT_PRESENT UINT64_C(1)
#define LH_SLOT_BUSY UINT64_C(2)    /* the pager is filling the frame */
#define LH_SLOT_WRITING UINT64_C(4) /* the pager is storing it */
#define LH_SLOT_DIRTY UINT64_C(8)
#define LH_SLOT_FAILED UINT64_C(16) /* the pager could not fill it; no frame */
#define LH_SLOT_FRAME_SHIFT 8

static inline bool lh_slot_is_present(uint64_t slot)
{
	return (slot & LH_SLOT_PRESENT) != 0;
}

static inline bool lh_slot_is_in_transit(uint64_t slot)
{
	return (slot & (LH_SLOT_BUSY | LH_SLOT_WRITING)) != 0;
}

static inline lh_frame_number lh_slot_frame(uint64_t slot)
{
	return lh_frame(slot >> LH_SLOT_FRAME_SHIFT);
}

static inline uint64_t lh_slot_make(lh_frame_number frame, uint64_t flags)
{
	return frame.value << LH_SLOT_FRAME_SHIFT | flags;
}

/* Takes the lock at a moment when no page at or above `page` is in transit. */
void lh_object_lock_quiet(lh_object *object, uint64_t page);

/* Waits, holding nothing, until events is no longer what it was when seen under the lock. */
void lh_object_unlock_and_wait(lh_object *object);

/* Tells installers that the pages at and above `page` are no longer the object's. */
void lh_object_disown_locked(lh_object *object, uint64_t page);

/* Takes those pages out of the index and drops its holders. */
void lh_object_take_out_locked(lh_object *object, uint64_t page);

#endif
