/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside of VM objects, and what the space floor asks of them.
 *
 * A word of the index is a slot: the frame and its state.
 *
 *     absent --start read--> BUSY --page_read ok--> present --truncate--> absent
 *                              \--page_read error--> FAILED --seen once--> absent
 *     present --write back--> WRITING --page_written--> present (clean, or dirty still)
 *
 * BUSY and WRITING pages are not taken out of the index: who wants to waits for the
 * object's `events` word to change, holding nothing, and starts again.
 *
 * Invariants, under the lock:
 *   a frame in the index is in state OBJECT, and its word is lh_object_stamp(object, page);
 *   the index holds one holder of it;
 *   committed objects charge pages_of(size) pages to their account, other anonymous ones index.pages.
 *
 * Publish, then visit: who takes a page away first clears the frame's word, then visits the
 * regions' leaves, each under its table's lock. Who installs a leaf links its table first and then
 * checks the word under that lock (paging/slot.h). So a leaf written before the visit is seen by
 * it, and none is written after it.
 */
#ifndef LANDHOLD_OBJECT_OBJECT_H
#define LANDHOLD_OBJECT_OBJECT_H

#include "object/machine.h"
#include "object/page_index.h"
#include "object/promise.h"
#include "object/views.h"

struct lh_object {
	lh_manager *manager;	  /* constant */
	lh_object_kind kind;	  /* constant */
	bool committed;		  /* constant */
	lh_account *account;	  /* constant; of what is promised; NULL: none */
	uint32_t holders;	  /* atomic */
	uint32_t lock;		  /* mutex: guards what follows */
	uint32_t events;	  /* atomic: changes whenever a page's I/O ends */
	uint64_t size;		  /* bytes; written under the lock, read anywhere */
	lh_page_index index;
	lh_region *regions;	  /* list through object_next */
	const lh_pager *pager;	  /* constant */
	void *file;		  /* constant */
	lh_view view;		  /* of a physical one: its frames, and their type */
};

/* What a page's frame carries in its word while it is in an object's index. Never 0. */
uint64_t lh_object_stamp(const lh_object *object, uint64_t page);

/* True if the frame is still the one that the index names for the page. */
bool lh_object_owns(lh_object *object, uint64_t page, lh_frame_number frame);

/* True if the page lies inside the object's size, at this moment. */
bool lh_object_has_page(lh_object *object, uint64_t page);

/*
 * As lh_object_hold_page, for a mapping: makes an absent anonymous page in any case.
 * => dirty: the page is about to be written through a shared mapping.
 */
LH_MUST_USE lh_error lh_object_take_page(lh_object *object, uint64_t page, bool dirty,
					 lh_frame_number *frame);

/*
 * Notes that a page can be written through a mapping. While the object's lock is free, each leaf
 * that grants writing to a file's page shows one that is dirty: who writes the leaf holds the
 * lock until this is noted, and who makes the page clean holds it until no leaf grants it.
 */
void lh_object_note_dirty_locked(lh_object *object, uint64_t page);

/* Holds what may be no object any more, or another than was looked for. => a reader (readers.h).
 * => false: nobody holds it. */
bool lh_object_try_hold(lh_object *object);

/* The object's list of regions. Under its lock. */
void lh_object_link_region_locked(lh_object *object, lh_region *region);
void lh_object_unlink_region_locked(lh_object *object, lh_region *region);
void lh_object_lock(lh_object *object);
void lh_object_unlock(lh_object *object);

#endif
