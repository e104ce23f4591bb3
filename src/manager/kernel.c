/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kernel regions: populated when made, owned by their holders, indexed by the kernel's tree.
 *
 * One shape for all: validate; take frames or nothing, tables; under the kernel's map lock place
 * the region and write its leaves, which cannot fail any more once the tables are there. The
 * tables are prepared after the region is placed, when its addresses are known: a lack of them
 * takes the region out again, and nothing has changed.
 *
 * Frames of a populated region are taken one by one while the leaves are written; the first that
 * is missing unwinds what was written. No CPU has touched the new addresses, so the unwinding
 * needs no more care than an unmap.
 *
 * Lock: kernel_lock is the kernel space's map lock. A flush goes to every CPU, interrupts on.
 */
#include "manager/kernel.h"
#include "object/events.h"
#include "paging/entry.h"
#include "space/space.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "base/lock.h"

static lh_error validate(const lh_kernel_request *request, lh_rights rights)
{
	if ((rights & ~LH_RIGHTS_ALL) != 0)
		return LH_INVALID;
	if ((rights & LH_RIGHT_WRITE) != 0 && (rights & LH_RIGHT_EXECUTE) != 0)
		return LH_INVALID;
	if (lh_virtual_range_is_empty(request->specifically))
		return request->placement.pages != 0 ? LH_OK : LH_INVALID;
	return lh_virtual_range_is_valid(request->specifically) ? LH_OK : LH_INVALID;
}

static void init_region(lh_region *region, const lh_kernel_request *request, lh_backing backing)
{
	lh_region_init(region, backing, request->rights, LH_REGION_KERNEL);
	region->rights_max = request->rights;
	region->guard_before = request->guard_before;
	region->guard_after = request->guard_after;
	region->tag = request->tag;
}

static lh_error place_locked(lh_manager *manager, lh_region *region, const lh_kernel_request *request)
{
	if (!lh_virtual_range_is_empty(request->specifically))
		return lh_region_tree_place_specifically(&manager->kernel_tree, region,
							 request->specifically);
	return lh_region_tree_place_anywhere(&manager->kernel_tree, region, &request->placement);
}

/* (A page alone is no part of a larger leaf: what is mapped is cleared as a whole, and what is committed
 * consists of pages.) */
static void clear_each(lh_manager *manager, const lh_virtual_range *ranges, unsigned count)
{
	lh_gather gather;

	if (count == 1 && ranges[0].pages == 1) {
		lh_directory_clear_one(&manager->kernel_directory, ranges[0].base);
		return;
	}
	lh_gather_begin(&gather, &manager->kernel_directory);
	for (unsigned i = 0; i < count; i++)
		lh_directory_clear_range(&manager->kernel_directory, ranges[i], &gather);
	lh_gather_finish(&gather);
}

static void clear(lh_manager *manager, lh_virtual_range range)
{
	clear_each(manager, &range, 1);
}

static lh_leaf leaf_of(const struct lh_kernel_content *content)
{
	return (lh_leaf){
		.kind = content->rights == LH_RIGHT_NONE ? LH_LEAF_NO_ACCESS : LH_LEAF_PRESENT,
		.rights = content->rights,
		.type = content->type,
		.flags = LH_LEAF_GLOBAL,
	};
}

static lh_error take_frame(lh_manager *manager, const struct lh_kernel_content *content, lh_frame_number *frame)
{
	if (content->is_zero)
		return lh_frame_allocate_zeroed(manager->frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, frame);
	return lh_frame_allocate(manager->frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, frame);
}

/* Fresh frames, page by page. On error some are mapped: the caller clears the range. */
static lh_error fill_fresh(lh_manager *manager, lh_virtual_range range, const struct lh_kernel_content *content,
			   lh_spare_tables *tables)
{
	lh_leaf leaf = leaf_of(content);
	lh_error error;

	for (uint64_t page = 0; page < range.pages; page++) {
		LH_TRY(take_frame(manager, content, &leaf.frame));
		error = lh_directory_write(&manager->kernel_directory,
					   lh_virtual_range_page(range, page), leaf, tables);
		LH_REQUIRE(manager->port, error == LH_OK);
	}
	return LH_OK;
}

/* The same, one page, which most often lies in a table that this CPU used last: then without spares. */
static lh_error fill_page(lh_manager *manager, lh_virtual_range page, const struct lh_kernel_content *content)
{
	lh_directory *directory = &manager->kernel_directory;
	lh_spare_tables tables = { 0, 0 };
	lh_leaf leaf = leaf_of(content);
	lh_error error;

	LH_TRY(take_frame(manager, content, &leaf.frame));
	if (leaf.kind == LH_LEAF_PRESENT && lh_directory_write_at_once(directory, page.base, leaf))
		return LH_OK;
	error = lh_directory_prepare(directory, page, &tables);
	if (error == LH_OK)
		error = lh_directory_write(directory, page.base, leaf, &tables);
	lh_spare_tables_give_back(manager->frames, &tables);
	if (error != LH_OK)
		lh_frame_drop(manager->frames, leaf.frame);
	return error;
}

/* Frames that are there already, by the largest leaves that fit, and runs of them. */
static lh_error fill_physical(lh_manager *manager, lh_virtual_range range,
			      const struct lh_kernel_content *content)
{
	lh_directory *directory = &manager->kernel_directory;
	lh_spare_tables tables = { 0, 0 };
	lh_leaf leaf = leaf_of(content);
	lh_error error;

	leaf.flags |= LH_LEAF_UNCOUNTED | LH_LEAF_RUNS;
	leaf.frame = lh_frame(content->frame);
	leaf.level = (uint8_t)(manager->format->levels - 1u);
	LH_TRY(lh_directory_prepare_map(directory, range, leaf, &tables));
	error = lh_directory_map(directory, range, leaf, NULL, &tables);
	lh_spare_tables_give_back(manager->frames, &tables);
	return error;
}

/* A row of frames that bring a holder each, mapped again as often as the range has room for it: each
 * leaf is a holder. The tables first: nothing fails once a leaf has taken a holder over. */
static lh_error fill_row(lh_manager *manager, lh_virtual_range range,
			 const struct lh_kernel_content *content)
{
	lh_spare_tables tables = { 0, 0 };
	lh_leaf leaf = leaf_of(content);

	LH_TRY(lh_directory_prepare(&manager->kernel_directory, range, &tables));
	for (uint64_t page = 0; page < range.pages; page++) {
		lh_error error;

		leaf.frame = lh_frame(content->frame + page % content->row);
		if (page >= content->row)
			lh_frame_hold(manager->frames, leaf.frame);
		error = lh_directory_write(&manager->kernel_directory,
					   lh_virtual_range_page(range, page), leaf, &tables);
		LH_REQUIRE(manager->port, error == LH_OK);
	}
	lh_spare_tables_give_back(manager->frames, &tables);
	return LH_OK;
}

/* Maps the range as the content says. => LH_NO_MEMORY: nothing of it is mapped. */
static lh_error fill(lh_manager *manager, lh_virtual_range range, const struct lh_kernel_content *content)
{
	lh_spare_tables tables = { 0, 0 };
	lh_error error;

	if (content->row != 0) {
		error = fill_row(manager, range, content);
	} else if (content->frame != TAKE_FRAMES) {
		error = fill_physical(manager, range, content);
	} else if (range.pages == 1) {
		return fill_page(manager, range, content);
	} else {
		LH_TRY(lh_directory_prepare(&manager->kernel_directory, range, &tables));
		error = fill_fresh(manager, range, content, &tables);
		lh_spare_tables_give_back(manager->frames, &tables);
	}
	if (error != LH_OK)
		clear(manager, range);
	return error;
}

lh_error lh_kernel_make(lh_manager *manager, lh_region *region, const lh_kernel_request *request,
			const struct lh_kernel_content *content)
{
	lh_error error = LH_OK;

	LH_TRY(validate(request, request->rights));
	init_region(region, request, content ? LH_BACKING_ANONYMOUS : LH_BACKING_NONE);
	lh_mutex_lock(&manager->kernel_lock, LH_LOCK_MAP, manager->port);
	if (content && content->is_physical)
		error = lh_kernel_note_physical_locked(manager, region, request, content);
	if (error == LH_OK)
		error = place_locked(manager, region, request);
	if (error == LH_OK && content) {
		error = fill(manager, region->range, content);
		if (error != LH_OK)
			lh_region_tree_remove(&manager->kernel_tree, region);
	}
	lh_mutex_unlock(&manager->kernel_lock, LH_LOCK_MAP, manager->port);
	if (error == LH_OK)
		lh_event_note(manager, LH_EVENT_KERNEL_REGIONS);
	return error;
}

lh_error lh_manager_map(lh_manager *manager, lh_region *region, const lh_kernel_request *request)
{
	struct lh_kernel_content content = { .rights = request->rights, .type = LH_MEMORY_WRITE_BACK,
					     .frame = TAKE_FRAMES, .is_zero = true };

	return lh_kernel_make(manager, region, request, &content);
}

lh_error lh_manager_reserve(lh_manager *manager, lh_region *region, const lh_kernel_request *request)
{
	return lh_kernel_make(manager, region, request, NULL);
}

/* --- in a reservation --- */

static bool note_leaf(void *context, lh_virtual_address address, lh_leaf *leaf)
{
	(void)address;
	(void)leaf;
	*(bool *)context = true;
	return false;
}

static lh_error commit_locked(lh_manager *manager, lh_virtual_range range,
			      const struct lh_kernel_content *content)
{
	bool taken = false;

	lh_directory_visit(&manager->kernel_directory, range, note_leaf, &taken);
	return taken ? LH_EXISTS : fill(manager, range, content);
}

lh_error lh_manager_commit(lh_manager *manager, lh_region *region, lh_virtual_range range,
			   lh_rights rights)
{
	return lh_manager_commit_as(manager, region, range, rights, true);
}

lh_error lh_manager_commit_as(lh_manager *manager, lh_region *region, lh_virtual_range range,
			      lh_rights rights, bool is_zero)
{
	struct lh_kernel_content content = { .rights = rights, .type = LH_MEMORY_WRITE_BACK,
					     .frame = TAKE_FRAMES, .is_zero = is_zero };
	lh_kernel_request request = { .specifically = range };
	lh_error error;

	LH_TRY(validate(&request, rights));
	if (region->backing != LH_BACKING_NONE || !lh_virtual_range_covers(region->range, range))
		return LH_INVALID;
	lh_mutex_lock(&manager->kernel_lock, LH_LOCK_MAP, manager->port);
	error = commit_locked(manager, range, &content);
	lh_mutex_unlock(&manager->kernel_lock, LH_LOCK_MAP, manager->port);
	return error;
}

void lh_manager_decommit(lh_manager *manager, lh_region *region, lh_virtual_range range)
{
	lh_manager_decommit_each(manager, region, &range, 1);
}

void lh_manager_decommit_each(lh_manager *manager, lh_region *region, const lh_virtual_range *ranges,
			      unsigned count)
{
	lh_mutex_lock(&manager->kernel_lock, LH_LOCK_MAP, manager->port);
	for (unsigned i = 0; i < count; i++)
		LH_ASSERT(manager->port, lh_virtual_range_covers(region->range, ranges[i]));
	clear_each(manager, ranges, count);
	lh_mutex_unlock(&manager->kernel_lock, LH_LOCK_MAP, manager->port);
}

/* --- changing and ending --- */

lh_error lh_manager_protect(lh_manager *manager, lh_region *region, lh_rights rights)
{
	lh_gather gather;

	/* What was taken cannot come back by a fault: only a taking is offered. */
	if ((rights & ~region->rights) != 0)
		return LH_NO_ACCESS;
	lh_mutex_lock(&manager->kernel_lock, LH_LOCK_MAP, manager->port);
	region->rights = region->rights_max = rights;
	lh_atomic_add(&region->version, 2u);
	lh_gather_begin(&gather, &manager->kernel_directory);
	lh_directory_restrict_range(&manager->kernel_directory, region->range, rights, &gather);
	lh_gather_finish(&gather);
	lh_mutex_unlock(&manager->kernel_lock, LH_LOCK_MAP, manager->port);
	return LH_OK;
}

void lh_manager_unmap(lh_manager *manager, lh_region *region)
{
	lh_mutex_lock(&manager->kernel_lock, LH_LOCK_MAP, manager->port);
	clear(manager, region->range);
	lh_region_tree_remove(&manager->kernel_tree, region);
	lh_mutex_unlock(&manager->kernel_lock, LH_LOCK_MAP, manager->port);
	lh_event_take_back(manager, LH_EVENT_KERNEL_REGIONS);
}

lh_error lh_manager_query(lh_manager *manager, lh_virtual_address from, lh_region_info *info)
{
	const lh_region *region;

	lh_mutex_lock(&manager->kernel_lock, LH_LOCK_MAP, manager->port);
	region = lh_region_tree_find_from(&manager->kernel_tree, from);
	if (region)
		*info = lh_region_read_info(region);
	lh_mutex_unlock(&manager->kernel_lock, LH_LOCK_MAP, manager->port);
	return region ? LH_OK : LH_NOT_MAPPED;
}
