/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pinning pages of a space. A pin is a fault that pins what it leaves in the leaf, under the lock of the leaf's table
 * (fault_commit.c): there it has just been looked at, so no page is pinned that was taken away meanwhile, and a fork
 * either sees the pin or is seen by it.
 *
 * Whose pin it is. A private page is pinned only where its frame is named by this leaf alone: in a region that is
 * charged, which all private frames lie in, a pinning fault gives the page a frame of its own whatever the access.
 * And a fork copies what is pinned at once (paging/pinned.h). So
 *
 *     a pinned private frame is named by one leaf, through which it was pinned, or by none any more.
 *
 * Hence a write fault need not ask whose the pins are: a leaf that names a pinned frame is the one, and is written in
 * place, whoever else holds the frame. When the leaf goes (unmap, discard, truncation, the end of the space) the
 * frame stays until it is unpinned, and nobody else ever comes to see what a device does there.
 *
 * What a pin is not told of. In a private region that never could be written, an object's page is pinned as it is
 * shown: if the region is made writable later, a write gives the space another frame.
 *
 * Promises. A page whose leaf goes may be touched again while the old frame is pinned: then it has two frames. So each
 * pinned page is promised one more, at the account of the space it was pinned in, until it is unpinned.
 *
 * A page of a file that a device writes to is not known to be dirty by that: so while it is pinned a write-back leaves
 * it dirty (object_sync.c).
 */
#include "base/atomic.h"
#include "space/fault.h"

/* A fork that passes the table's lock after the first pin reads this later still. */
static void note_pins(lh_space *space)
{
	if (lh_atomic_load_relaxed(&space->has_pins) == 0)
		lh_atomic_store_total(&space->has_pins, 1u);
}

static lh_error error_of(lh_fault outcome)
{
	switch (outcome) {
	case LH_FAULT_OK: return LH_OK;
	case LH_FAULT_NO_MEMORY: return LH_NO_MEMORY;
	case LH_FAULT_NOT_MAPPED: return LH_NOT_MAPPED;
	case LH_FAULT_NO_ACCESS: return LH_NO_ACCESS;
	case LH_FAULT_BUS: break;
	}
	return LH_BAD_ADDRESS;
}

static lh_error pin_page(lh_space *space, lh_virtual_address address, lh_rights access, lh_pin_term term,
			 lh_frame_number *frame)
{
	lh_virtual_range page = { address, 1 };
	lh_fault_pin pin = { .term = term };

	LH_TRY(error_of(lh_fault_resolve(space, page, access, &pin)));
	*frame = pin.frame;
	return pin.error;
}

/* The zero page, which is always there, is not counted. */
static void unpin_pages(const lh_pinned *pinned, uint64_t pages)
{
	lh_manager *manager = pinned->manager;

	for (uint64_t n = 0; n < pages; n++)
		if (pinned->frames[n].value != manager->zero_frame.value)
			lh_frame_unpin(manager->frames, pinned->frames[n], 1, pinned->term);
}

lh_error lh_space_pin(lh_space *space, lh_virtual_range range, lh_rights access, lh_pin_term term,
		      lh_frame_number *frames, lh_pinned *pinned)
{
	lh_pinned made = { space->manager, space->account, frames, range.pages, term };
	lh_error error = LH_OK;
	uint64_t done = 0;

	LH_TRY(lh_space_validate_range(space, range));
	if (access != LH_RIGHT_READ && access != LH_RIGHT_WRITE)
		return LH_INVALID;
	LH_TRY(lh_space_charge(space, range.pages));
	note_pins(space);
	while (error == LH_OK && done < range.pages) {
		error = pin_page(space, lh_virtual_range_page(range, done), access, term, &frames[done]);
		done += error == LH_OK;
	}
	if (error != LH_OK) {
		unpin_pages(&made, done);
		lh_space_discharge(space, range.pages);
		return error;
	}
	*pinned = made;
	return LH_OK;
}

void lh_space_unpin(lh_pinned *pinned)
{
	unpin_pages(pinned, pinned->pages);
	lh_promise_give_back(pinned->manager, pinned->account, pinned->pages);
	pinned->pages = 0;
}
