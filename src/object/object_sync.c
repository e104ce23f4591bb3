/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Write-back. For each dirty page: mark it WRITING and clean, take the write right from every
 * leaf that shows it, flush, let go, have the pager store it, wait. A write that comes
 * meanwhile faults, and makes the page dirty again; a write that fails leaves it dirty. So does one of a
 * pinned page, to which a device may write at any time without a fault: who pins it to write comes either before the
 * leaves were visited, then the pin is seen, or after, and makes the page dirty.
 */
#include "object/object_page.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "base/lock_order.h"

/* The leaf address of an object page in a region. => false: the region does not show it. */
static bool address_in(const lh_region *region, uint64_t page, lh_virtual_range *where)
{
	uint64_t index = page - region->object_page;

	if (page < region->object_page || index >= region->range.pages)
		return false;
	where->base = lh_virtual_range_page(region->range, index);
	where->pages = 1;
	return true;
}

static void write_protect_locked(lh_object *object, uint64_t page)
{
	for (lh_region *region = object->regions; region; region = region->object_next) {
		lh_virtual_range where;
		lh_gather gather;

		if ((region->flags & LH_REGION_SHARED) == 0 || !address_in(region, page, &where))
			continue;
		lh_gather_begin(&gather, region->owner);
		lh_directory_restrict_range(region->owner, where,
					    LH_RIGHT_READ | LH_RIGHT_EXECUTE, &gather);
		lh_gather_finish(&gather);
	}
}

/*
 * Starts to store the first dirty page from *page to last. One that somebody else is storing is
 * waited for: what was written before this call may still be on its way. => false: none.
 */
static bool start_next(lh_object *object, uint64_t *page, uint64_t last, lh_frame_number *frame)
{
	uint64_t slot;

	lh_object_lock(object);
	for (; (slot = lh_page_index_next(&object->index, page)) != 0 && *page <= last; ++*page) {
		while ((slot & LH_SLOT_WRITING) != 0) {
			lh_object_unlock_and_wait(object);
			lh_object_lock(object);
			slot = lh_page_index_get(&object->index, *page);
		}
		if ((slot & LH_SLOT_DIRTY) == 0 || lh_slot_is_in_transit(slot))
			continue;
		*frame = lh_slot_frame(slot);
		lh_frame_hold(object->manager->frames, *frame);
		lh_page_index_set(&object->index, *page, (slot & ~LH_SLOT_DIRTY) | LH_SLOT_WRITING);
		write_protect_locked(object, *page);
		if (lh_atomic_load(&lh_frame_entry_of(object->manager->frames, *frame)->pins) != 0)
			lh_object_note_dirty_locked(object, *page);
		lh_object_unlock(object);
		return true;
	}
	lh_object_unlock(object);
	return false;
}

/* Waits until a page is no longer being stored. => false: the store failed, or it is dirty again. */
static bool wait_written(lh_object *object, uint64_t page)
{
	uint64_t slot;

	lh_object_lock(object);
	while (((slot = lh_page_index_get(&object->index, page)) & LH_SLOT_WRITING) != 0) {
		lh_object_unlock_and_wait(object);
		lh_object_lock(object);
	}
	lh_object_unlock(object);
	return (slot & LH_SLOT_FAILED) == 0;
}

void lh_object_page_written(lh_object *object, uint64_t page, lh_error error)
{
	uint64_t slot;

	lh_object_lock(object);
	slot = lh_page_index_get(&object->index, page);
	LH_REQUIRE(object->manager->port, (slot & LH_SLOT_WRITING) != 0);
	slot &= ~(LH_SLOT_WRITING | LH_SLOT_FAILED);
	if (error != LH_OK)
		slot |= LH_SLOT_DIRTY | LH_SLOT_FAILED;
	lh_page_index_set(&object->index, page, slot);
	lh_object_unlock(object);
	lh_atomic_add(&object->events, 1u);
	lh_port_unpark(object->manager->port, &object->events);
}

lh_error lh_object_sync(lh_object *object, uint64_t page, uint64_t count)
{
	uint64_t last = count - 1 > UINT64_MAX - page ? UINT64_MAX : page + (count - 1);
	lh_error result = LH_OK;
	lh_frame_number frame;

	if (object->kind != LH_OBJECT_FILE || count == 0)
		return LH_OK;
	for (; page <= last && start_next(object, &page, last, &frame); page++) {
		lh_order_may_wait(object->manager->port, "a pager's write");
		object->pager->write(object->file, object, page, frame);
		if (!wait_written(object, page))
			result = LH_IO;
		lh_frame_drop(object->manager->frames, frame);
	}
	return result;
}
