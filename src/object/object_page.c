/* SPDX-License-Identifier: BSD-2-Clause */
/* Pages of an object: found, made, read by the pager, taken out. */
#include "object/object_page.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "base/lock.h"
#include "object/surplus.h"

/*
 * Objects come from a pool, 16-byte aligned: 44 bits name the object, 20 the page. Two
 * pages 4 GiB apart share a stamp; it is a check, and never the only one.
 */
uint64_t lh_object_stamp(const lh_object *object, uint64_t page)
{
	return ((uint64_t)(uintptr_t)object >> 4) << 20 | (page & 0xfffff);
}

bool lh_object_owns(lh_object *object, uint64_t page, lh_frame_number frame)
{
	lh_frame_entry *entry = lh_frame_entry_of(object->manager->frames, frame);

	return lh_atomic_load_total(&entry->word) == lh_object_stamp(object, page);
}

void lh_object_unlock_and_wait(lh_object *object)
{
	lh_port *port = object->manager->port;
	uint32_t seen = lh_atomic_load(&object->events);

	lh_object_unlock(object);
	lh_order_may_wait(port, "a page in transit");
	while (lh_atomic_load(&object->events) == seen)
		lh_port_park(port, &object->events, seen);
}

static void announce(lh_object *object)
{
	lh_atomic_add(&object->events, 1u);
	lh_port_unpark(object->manager->port, &object->events);
}

static bool has_transit_locked(lh_object *object, uint64_t page)
{
	uint64_t slot;

	for (; (slot = lh_page_index_next(&object->index, &page)) != 0; page++)
		if (lh_slot_is_in_transit(slot))
			return true;
	return false;
}

void lh_object_lock_quiet(lh_object *object, uint64_t page)
{
	lh_object_lock(object);
	while (has_transit_locked(object, page)) {
		lh_object_unlock_and_wait(object);
		lh_object_lock(object);
	}
}

void lh_object_disown_locked(lh_object *object, uint64_t page)
{
	uint64_t slot;

	for (; (slot = lh_page_index_next(&object->index, &page)) != 0; page++)
		if (slot != LH_SLOT_FAILED)
			lh_atomic_store_total(&lh_frame_entry_of(object->manager->frames,
								 lh_slot_frame(slot))->word, 0u);
}

/* Pages of an anonymous object that is not committed are charged one by one. */
static bool charges_each_page(const lh_object *object)
{
	return object->kind == LH_OBJECT_ANONYMOUS && !object->committed;
}

void lh_object_take_out_locked(lh_object *object, uint64_t page)
{
	lh_frames *frames = object->manager->frames;
	uint64_t slot, charged = 0;

	for (; (slot = lh_page_index_next(&object->index, &page)) != 0; page++) {
		lh_page_index_set(&object->index, page, 0);
		if (slot == LH_SLOT_FAILED)
			continue;
		lh_frame_entry_of(frames, lh_slot_frame(slot))->word = 0;
		lh_frame_drop(frames, lh_slot_frame(slot));
		charged += charges_each_page(object);
	}
	lh_promise_give_back(object->manager, object->account, charged);
}

/* A frame for a page of this object, charged as the object is, but at no account; nothing of it is linked yet. */
static lh_error take_frame(lh_object *object, lh_frame_number *frame)
{
	lh_frames *frames = object->manager->frames;
	lh_error error;

	if (object->kind == LH_OBJECT_FILE)
		return lh_frame_allocate(frames, LH_FRAME_OBJECT, LH_FRAME_UNCHARGED, frame);
	if (charges_each_page(object))
		LH_TRY(lh_charge_take(frames, 1));
	error = lh_frame_allocate_zeroed(frames, LH_FRAME_OBJECT, LH_FRAME_CHARGED, frame);
	if (error != LH_OK && charges_each_page(object))
		lh_charge_give_back(frames, 1);
	return error;
}

static void give_back_frame(lh_object *object, lh_frame_number frame)
{
	lh_frame_drop(object->manager->frames, frame);
	if (charges_each_page(object))
		lh_charge_give_back(object->manager->frames, 1);
}

/* The index has room for a page, and its promise counts at the account: not when the frame was taken, for then who
 * brings a page that another is bringing could be refused for the sake of one page. */
static lh_error prepare_locked(lh_object *object, uint64_t page)
{
	lh_account *account = charges_each_page(object) ? object->account : NULL;
	lh_error error, back;

	if (!account)
		return lh_page_index_ensure(&object->index, page);
	LH_TRY(lh_account_move(NULL, account, 1, NULL));
	error = lh_page_index_ensure(&object->index, page);
	if (error != LH_OK) {
		back = lh_account_move(account, NULL, 1, NULL);
		LH_REQUIRE(object->manager->port, back == LH_OK);
	}
	return error;
}

/* Puts a frame into the index; its holder passes to the index. */
static lh_error insert_locked(lh_object *object, uint64_t page, lh_frame_number frame, uint64_t flags)
{
	LH_TRY(prepare_locked(object, page));
	lh_frame_entry_of(object->manager->frames, frame)->word = lh_object_stamp(object, page);
	lh_page_index_set(&object->index, page, lh_slot_make(frame, flags | LH_SLOT_PRESENT));
	return LH_OK;
}

/*
 * Makes an absent page: fresh, or on its way from the pager. Holding nothing but, for a
 * moment, the object's lock. Somebody else may have been faster: that is success too.
 * => *seen: more by this one's own end (surplus.h).
 */
static lh_error make_page(lh_object *object, uint64_t page, uint32_t *seen)
{
	bool is_file = object->kind == LH_OBJECT_FILE;
	lh_frame_number frame;
	lh_error error = LH_OK;
	bool inserted = false;
	lh_surplus_share share = lh_surplus_begin(object->manager, 1);

	error = take_frame(object, &frame);
	if (error != LH_OK) {
		(void)lh_surplus_end(object->manager, share, false);
		return error;
	}
	lh_object_lock(object);
	if (lh_object_has_page(object, page) && lh_page_index_get(&object->index, page) == 0) {
		error = insert_locked(object, page, frame, is_file ? LH_SLOT_BUSY : LH_SLOT_DIRTY);
		inserted = error == LH_OK;
	}
	lh_object_unlock(object);
	if (!inserted)
		give_back_frame(object, frame);
	/* Before the pager, which may take its time. */
	*seen += lh_surplus_end(object->manager, share, true);
	if (inserted && is_file) {
		lh_order_may_wait(object->manager->port, "a pager's read");
		object->pager->read(object->file, object, page, frame);
	}
	return error;
}

/* What one look at a page finds. */
enum look { LOOK_READY, LOOK_ABSENT, LOOK_ERROR };

/* Looks at a page; waits while the pager fills it. READY: *frame has a holder more. */
static enum look look_at(lh_object *object, uint64_t page, bool dirty, lh_frame_number *frame,
			 lh_error *error)
{
	for (;;) {
		uint64_t slot;

		lh_object_lock(object);
		slot = lh_page_index_get(&object->index, page);
		if ((slot & LH_SLOT_BUSY) == 0) {
			enum look look = LOOK_READY;

			*error = LH_OK;
			if (!lh_object_has_page(object, page)) {
				look = LOOK_ERROR;
				*error = LH_BAD_ADDRESS;
			} else if (slot == LH_SLOT_FAILED) {
				lh_page_index_set(&object->index, page, 0);
				look = LOOK_ERROR;
				*error = LH_IO;
			} else if (slot == 0) {
				look = LOOK_ABSENT;
			} else {
				*frame = lh_slot_frame(slot);
				lh_frame_hold(object->manager->frames, *frame);
				if (dirty)
					lh_page_index_set(&object->index, page, slot | LH_SLOT_DIRTY);
			}
			lh_object_unlock(object);
			return look;
		}
		lh_object_unlock_and_wait(object);
	}
}

lh_error lh_object_take_page(lh_object *object, uint64_t page, bool dirty, lh_frame_number *frame)
{
	lh_error error;

	if (object->kind == LH_OBJECT_PHYSICAL)
		return LH_UNSUPPORTED;
	for (unsigned retries = 0;;) {
		uint32_t seen = lh_surplus_seen(object->manager);
		enum look look = look_at(object, page, dirty, frame, &error);

		if (look != LOOK_ABSENT)
			return error;
		error = make_page(object, page, &seen);
		/* A frame that is missing because others have one too many will come back. */
		if (error == LH_NO_MEMORY && retries++ < LH_SURPLUS_RETRIES &&
		    lh_surplus_wait(object->manager, seen))
			continue;
		LH_TRY(error);
	}
}

lh_error lh_object_hold_page(lh_object *object, uint64_t page, lh_rights access,
			     lh_frame_number *frame)
{
	lh_error error;

	if (object->kind == LH_OBJECT_ANONYMOUS && access == LH_RIGHT_READ) {
		enum look look = look_at(object, page, false, frame, &error);

		if (look == LOOK_ABSENT)
			*frame = lh_frame(LH_NO_FRAME);
		return look == LOOK_ERROR ? error : LH_OK;
	}
	return lh_object_take_page(object, page, (access & LH_RIGHT_WRITE) != 0, frame);
}

void lh_object_page_read(lh_object *object, uint64_t page, lh_error error)
{
	lh_frames *frames = object->manager->frames;
	uint64_t slot;

	lh_object_lock(object);
	slot = lh_page_index_get(&object->index, page);
	LH_REQUIRE(object->manager->port, (slot & LH_SLOT_BUSY) != 0);
	if (error == LH_OK) {
		lh_page_index_set(&object->index, page, slot & ~LH_SLOT_BUSY);
	} else {
		lh_page_index_set(&object->index, page, LH_SLOT_FAILED);
		lh_frame_entry_of(frames, lh_slot_frame(slot))->word = 0;
		lh_frame_drop(frames, lh_slot_frame(slot));
	}
	lh_object_unlock(object);
	announce(object);
}

void lh_object_note_dirty_locked(lh_object *object, uint64_t page)
{
	uint64_t slot = lh_page_index_get(&object->index, page);

	if (lh_slot_is_present(slot))
		lh_page_index_set(&object->index, page, slot | LH_SLOT_DIRTY);
}
