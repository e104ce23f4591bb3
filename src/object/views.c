/* SPDX-License-Identifier: BSD-2-Clause */
#include "object/views.h"

#include "object/machine.h"

#include "base/lock.h"

/* A kernel region keeps its view in what is an object's page elsewhere, and in flags that nobody else uses. */
#define TYPE_SHIFT 24

static lh_view_of view_of_region(const lh_region *region)
{
	return (lh_view_of){ region->object_page, region->range.pages,
			     (lh_memory_type)(region->flags >> TYPE_SHIFT) };
}

static bool overlaps(const lh_view_of *a, const lh_view_of *b)
{
	return a->frame < b->frame ? b->frame - a->frame < a->pages : a->frame - b->frame < b->pages;
}

static bool disagree(const lh_view_of *a, const lh_view_of *b)
{
	return a->type != b->type && a->pages != 0 && b->pages != 0 && overlaps(a, b);
}

bool lh_view_is_addressable(const lh_manager *manager, const lh_view_of *of)
{
	uint64_t last = lh_physical_frame(lh_paging_format_last(manager->format)).value;

	return of->frame <= last && of->pages <= last - of->frame + 1;
}

/* (The same view is no alias of itself: its type is its own.) */
static bool is_seen_otherwise(lh_manager *manager, const lh_view_of *of)
{
	if (of->type != LH_MEMORY_WRITE_BACK &&
	    lh_frames_have_any(manager->frames, lh_frame(of->frame), of->pages))
		return true;
	for (const lh_view *view = manager->views; view; view = view->next)
		if (disagree(&view->of, of))
			return true;
	for (const lh_region *region = lh_region_tree_first(&manager->kernel_tree); region;
	     region = lh_region_tree_next(region)) {
		lh_view_of other = view_of_region(region);

		if ((region->flags & LH_REGION_PHYSICAL) != 0 && disagree(&other, of))
			return true;
	}
	return false;
}

static void link(lh_manager *manager, lh_view *view)
{
	view->link = &manager->views;
	view->next = manager->views;
	if (view->next)
		view->next->link = &view->next;
	manager->views = view;
}

lh_error lh_view_begin(lh_manager *manager, lh_view *view)
{
	lh_error error = LH_OK;

	lh_mutex_lock(&manager->kernel_lock, LH_LOCK_MAP, manager->port);
	if (is_seen_otherwise(manager, &view->of))
		error = LH_EXISTS;
	else
		link(manager, view);
	lh_mutex_unlock(&manager->kernel_lock, LH_LOCK_MAP, manager->port);
	return error;
}

void lh_view_end(lh_manager *manager, lh_view *view)
{
	lh_mutex_lock(&manager->kernel_lock, LH_LOCK_MAP, manager->port);
	*view->link = view->next;
	if (view->next)
		view->next->link = view->link;
	lh_mutex_unlock(&manager->kernel_lock, LH_LOCK_MAP, manager->port);
}

lh_error lh_view_note_locked(lh_manager *manager, lh_region *region, const lh_view_of *of)
{
	if (is_seen_otherwise(manager, of))
		return LH_EXISTS;
	region->flags |= LH_REGION_PHYSICAL | (uint32_t)of->type << TYPE_SHIFT;
	region->object_page = of->frame;
	return LH_OK;
}

/* --- the walker --- */

const char *lh_views_check(lh_manager *manager)
{
	lh_view *const *link = &manager->views;

	for (const lh_view *view = manager->views; view; link = &view->next, view = view->next) {
		if (view->link != link)
			return "the list of views is broken";
		if (is_seen_otherwise(manager, &view->of))
			return "a physical page is seen with two memory types";
	}
	for (const lh_region *region = lh_region_tree_first(&manager->kernel_tree); region;
	     region = lh_region_tree_next(region)) {
		lh_view_of of = view_of_region(region);

		if ((region->flags & LH_REGION_PHYSICAL) != 0 && is_seen_otherwise(manager, &of))
			return "a physical page is seen with two memory types";
	}
	return NULL;
}
