/* SPDX-License-Identifier: BSD-2-Clause */
/* Life of an object, its size, its regions. Pages: object_page.c, writing back: object_sync.c. */
#include "object/events.h"
#include "object/object.h"
#include "object/object_page.h"
#include "object/readers.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "base/lock.h"
#include "base/memory.h"

#define SIZE_MAX_BYTES (UINT64_C(1) << 63)

void lh_object_lock(lh_object *object)
{
	lh_mutex_lock(&object->lock, LH_LOCK_OBJECT, object->manager->port);
}

void lh_object_unlock(lh_object *object)
{
	lh_mutex_unlock(&object->lock, LH_LOCK_OBJECT, object->manager->port);
}

static uint64_t pages_of(uint64_t size)
{
	return (size >> LH_PAGE_SHIFT) + ((size & (LH_PAGE_SIZE - 1)) != 0);
}

bool lh_object_has_page(lh_object *object, uint64_t page)
{
	return page < pages_of(lh_atomic_load_total(&object->size));
}

uint64_t lh_object_size(lh_object *object)
{
	return lh_atomic_load(&object->size);
}

uint64_t lh_object_pages(lh_object *object)
{
	uint64_t pages;

	lh_object_lock(object);
	pages = object->index.pages;
	lh_object_unlock(object);
	return pages;
}

static lh_view_of view_of(const lh_object_setup *setup)
{
	return (lh_view_of){ setup->physical.value, pages_of(setup->size), setup->type };
}

static lh_error validate(const lh_manager *manager, const lh_object_setup *setup)
{
	lh_view_of view;

	if (setup->size > SIZE_MAX_BYTES || setup->type >= LH_MEMORY_TYPE_COUNT)
		return LH_INVALID;
	/* Nothing of the others is promised. */
	if (setup->kind != LH_OBJECT_ANONYMOUS && (setup->committed || setup->account))
		return LH_INVALID;
	switch (setup->kind) {
	case LH_OBJECT_ANONYMOUS:
		return LH_OK;
	case LH_OBJECT_FILE:
		return setup->pager ? LH_OK : LH_INVALID;
	case LH_OBJECT_PHYSICAL:
		view = view_of(setup);
		return lh_view_is_addressable(manager, &view) ? LH_OK : LH_INVALID;
	}
	return LH_INVALID;
}

/* One field after the other, and the holder last: who looks for an object that was here before may try to hold
 * this one (lh_object_try_hold). */
static void build(lh_object *object, lh_manager *manager, const lh_object_setup *setup)
{
	object->manager = manager;
	object->kind = setup->kind;
	object->committed = setup->committed;
	object->account = setup->account;
	object->lock = 0;
	lh_atomic_store_relaxed(&object->events, 0u);
	lh_atomic_store_relaxed(&object->size, setup->size);
	lh_page_index_init(&object->index, &manager->nodes);
	object->regions = NULL;
	object->pager = setup->pager;
	object->file = setup->file;
	lh_atomic_store(&object->holders, 1u);
}

static void give_memory_back(lh_manager *manager, lh_object *object)
{
	lh_readers_trim(manager, &manager->objects, lh_pool_give_back(&manager->objects, object));
}

/* What may fail once the object has its memory. */
static lh_error begin_view(lh_object *object, lh_manager *manager, const lh_object_setup *setup)
{
	object->view.of = view_of(setup);
	return setup->kind == LH_OBJECT_PHYSICAL ? lh_view_begin(manager, &object->view) : LH_OK;
}

lh_error lh_object_create(lh_manager *manager, const lh_object_setup *setup, lh_object **object)
{
	uint64_t charge = setup->committed ? pages_of(setup->size) : 0;
	lh_object *made;
	void *item = NULL;
	lh_error error;

	LH_TRY(validate(manager, setup));
	LH_TRY(lh_promise_take(manager, setup->account, charge));
	error = lh_pool_take(&manager->objects, &item);
	made = item;
	if (error == LH_OK) {
		error = begin_view(made, manager, setup);
		if (error != LH_OK)
			give_memory_back(manager, made);
	}
	if (error != LH_OK) {
		lh_promise_give_back(manager, setup->account, charge);
		return error;
	}
	build(made, manager, setup);
	lh_event_note(manager, LH_EVENT_OBJECTS);
	*object = made;
	return LH_OK;
}

void lh_object_hold(lh_object *object)
{
	uint32_t before = lh_atomic_add(&object->holders, 1u);

	LH_REQUIRE(object->manager->port, before != 0 && before != UINT32_MAX);
}

bool lh_object_try_hold(lh_object *object)
{
	uint32_t before = lh_atomic_load(&object->holders);

	while (before != 0 && before != UINT32_MAX)
		if (lh_atomic_compare_exchange(&object->holders, &before, before + 1))
			return true;
	return false;
}

void lh_object_drop(lh_object *object)
{
	lh_manager *manager = object->manager;
	uint32_t before = lh_atomic_subtract(&object->holders, 1u);

	LH_REQUIRE(manager->port, before != 0);
	if (before != 1)
		return;
	LH_ASSERT(manager->port, object->regions == NULL);
	lh_object_lock(object);
	lh_object_take_out_locked(object, 0);
	lh_object_unlock(object);
	if (object->committed)
		lh_promise_give_back(manager, object->account, pages_of(object->size));
	if (object->kind == LH_OBJECT_PHYSICAL)
		lh_view_end(manager, &object->view);
	if (object->kind == LH_OBJECT_FILE) {
		lh_order_may_wait(manager->port, "a pager's release");
		object->pager->release(object->file);
	}
	lh_event_take_back(manager, LH_EVENT_OBJECTS);
	give_memory_back(manager, object);
}

void lh_object_link_region_locked(lh_object *object, lh_region *region)
{
	region->object_previous = NULL;
	region->object_next = object->regions;
	if (object->regions)
		object->regions->object_previous = region;
	object->regions = region;
}

void lh_object_unlink_region_locked(lh_object *object, lh_region *region)
{
	if (region->object_next)
		region->object_next->object_previous = region->object_previous;
	if (region->object_previous)
		region->object_previous->object_next = region->object_next;
	else
		object->regions = region->object_next;
	region->object_next = region->object_previous = NULL;
}

/* The part of a region that shows object pages at and above `page`. => false: none. */
static bool part_from(const lh_region *region, uint64_t page, lh_virtual_range *part)
{
	uint64_t skip = page > region->object_page ? page - region->object_page : 0;

	if (skip >= region->range.pages)
		return false;
	part->base = lh_virtual_range_page(region->range, skip);
	part->pages = region->range.pages - skip;
	return true;
}

/* Takes every leaf that shows a page at or above `page` out of every space. */
static void visit_regions_locked(lh_object *object, uint64_t page)
{
	for (lh_region *region = object->regions; region; region = region->object_next) {
		lh_virtual_range part;
		lh_gather gather;

		if (!part_from(region, page, &part))
			continue;
		lh_gather_begin(&gather, region->owner);
		lh_directory_clear_range(region->owner, part, &gather);
		lh_gather_finish(&gather);
	}
}

/* Bytes past the end of the last page that stays read as zeroes if the object grows again. */
static void clear_tail_locked(lh_object *object, uint64_t size)
{
	uint64_t used = size & (LH_PAGE_SIZE - 1);
	uint64_t slot = lh_page_index_get(&object->index, size >> LH_PAGE_SHIFT);
	unsigned char *bytes;

	if (used == 0 || !lh_slot_is_present(slot))
		return;
	bytes = lh_frame_pointer(object->manager->frames, lh_slot_frame(slot));
	memset(bytes + used, 0, LH_PAGE_SIZE - used);
}

static void shrink_locked(lh_object *object, uint64_t size)
{
	uint64_t first_gone = pages_of(size);

	lh_atomic_store_total(&object->size, size);
	lh_object_disown_locked(object, first_gone);
	visit_regions_locked(object, first_gone);
	lh_object_take_out_locked(object, first_gone);
	clear_tail_locked(object, size);
}

/* Takes the lock when no page from the lower of the two ends on is in transit: that page's tail
 * is about to be cleared, and those after it go. */
static void lock_for_resize(lh_object *object, uint64_t size)
{
	for (;;) {
		uint64_t before = lh_object_size(object);
		uint64_t end = size < before ? size : before;

		lh_object_lock_quiet(object, end >> LH_PAGE_SHIFT);
		if (object->size >= end)
			return;
		lh_object_unlock(object);
	}
}

lh_error lh_object_resize(lh_object *object, uint64_t size)
{
	lh_manager *manager = object->manager;
	uint64_t before, after;

	if (object->kind == LH_OBJECT_PHYSICAL || size > SIZE_MAX_BYTES)
		return LH_INVALID;
	lock_for_resize(object, size);
	before = object->committed ? pages_of(object->size) : 0;
	after = object->committed ? pages_of(size) : 0;
	if (after > before) {
		lh_error error = lh_promise_take(manager, object->account, after - before);

		if (error != LH_OK) {
			lh_object_unlock(object);
			return error;
		}
	}
	if (size < object->size) {
		shrink_locked(object, size);
	} else {
		/* A mapping may have written past the old end; the hole reads as zeroes. */
		clear_tail_locked(object, object->size);
		lh_atomic_store_total(&object->size, size);
	}
	if (after < before)
		lh_promise_give_back(manager, object->account, before - after);
	lh_object_unlock(object);
	return LH_OK;
}

static const char *check_frame(lh_object *object, uint64_t page, uint64_t slot)
{
	lh_frame_entry *entry;

	if (slot == LH_SLOT_FAILED)
		return NULL;
	entry = lh_frame_entry_of(object->manager->frames, lh_slot_frame(slot));
	if (!entry || entry->state != LH_FRAME_OBJECT || entry->holders == 0)
		return "an object's page is no object frame";
	if (entry->word != lh_object_stamp(object, page))
		return "an object's page does not carry its stamp";
	return NULL;
}

static const char *check_locked(lh_object *object)
{
	const char *finding = lh_page_index_check(&object->index);
	uint64_t slot;

	for (uint64_t page = 0; !finding && (slot = lh_page_index_next(&object->index, &page)) != 0;
	     page++) {
		finding = check_frame(object, page, slot);
		if (!finding && !lh_object_has_page(object, page))
			finding = "an object has a page past its end";
	}
	for (lh_region *region = object->regions; region && !finding; region = region->object_next)
		if (region->object != object || !region->tree)
			finding = "an object's list holds a region that is not its own";
	return finding;
}

const char *lh_object_check(lh_object *object)
{
	const char *finding;

	lh_object_lock(object);
	finding = check_locked(object);
	lh_object_unlock(object);
	return finding;
}
