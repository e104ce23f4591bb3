/* SPDX-License-Identifier: BSD-2-Clause */
#include "space/change.h"

#include "base/assert.h"
#include "space/version.h"

static lh_space_change *change_of(lh_region_change *tree)
{
	return (lh_space_change *)(void *)tree;
}

static void lock_object(lh_space_change *change, lh_object *object)
{
	LH_ASSERT(change->space->manager->port, !change->locked);
	lh_object_lock(object);
	change->locked = object;
}

static void before(lh_region_change *tree, lh_region *region)
{
	if (region->object)
		lock_object(change_of(tree), region->object);
}

/* A merge tells of two regions: of the one that grew first, for which it was announced. */
static void after(lh_region_change *tree, lh_region *region, lh_region *upper, bool is_gone)
{
	lh_space_change *change = change_of(tree);
	lh_object *object = region->object;

	if (!object)
		return;
	if (!change->locked)
		lock_object(change, object);
	if (region == change->fresh && !is_gone) {
		/* Before the one that it becomes one with is off the list: the pages there are found all the time. */
		lh_object_link_region_locked(object, region);
		change->fresh = NULL;
	}
	if (upper) {
		lh_object_hold(object);
		lh_object_link_region_locked(object, upper);
	}
	if (is_gone && region != change->fresh)
		lh_object_unlink_region_locked(object, region);
	change->locked = NULL;
	lh_object_unlock(object);
}

void lh_space_change_begin(lh_space_change *change, lh_space *space, lh_virtual_range range)
{
	*change = (lh_space_change){
		.tree = { .before = before, .after = after },
		.space = space,
		.range = range,
	};
}

void lh_space_change_end(lh_space_change *change)
{
	lh_region_list_release(change->space->manager, &change->tree.dead);
	lh_region_list_release(change->space->manager, &change->tree.spares);
	lh_spare_tables_give_back(change->space->manager->frames, &change->tables);
}

bool lh_space_change_take_spares(lh_space_change *change, unsigned count)
{
	lh_region_list *spares = &change->tree.spares;
	unsigned before = spares->count;

	if (change->was_asked)
		return false;
	while (spares->count < count &&
	       lh_region_list_take(change->space->manager, spares, 1) == LH_OK)
		;
	return spares->count > before;
}

void lh_space_change_publish(lh_space_change *change)
{
	if (!change->is_taking)
		lh_space_begin_taking(change->space, change->range);
	change->is_taking = true;
}

void lh_space_change_close(lh_space_change *change)
{
	if (change->is_taking)
		lh_space_end_taking(change->space, change->range);
	change->is_taking = false;
}

lh_error lh_space_change_prepare_split(lh_space_change *change)
{
	if (!lh_space_may_straddle(change->space, change->range))
		return LH_OK;
	lh_space_change_publish(change);
	return lh_space_prepare_split(change->space, change->range, &change->tables);
}

void lh_space_change_split(lh_space_change *change)
{
	if (lh_space_may_straddle(change->space, change->range))
		lh_space_split(change->space, change->range, &change->tables);
}

void lh_space_change_take_pages(lh_space_change *change, const lh_region_survey *survey)
{
	lh_space *space = change->space;

	if (survey->pages == 0)
		return;
	lh_space_change_publish(change);
	lh_space_clear_pages(space, change->range);
	space->pages -= survey->pages;
	space->charged -= survey->charged_pages;
	lh_space_discharge(space, survey->charged_pages);
}

void lh_space_merge_around(lh_space *space, lh_virtual_range range, lh_region_list *dead)
{
	lh_space_change change;

	lh_space_change_begin(&change, space, range);
	change.tree.dead = *dead;
	lh_region_tree_merge(&space->tree, range, &change.tree);
	*dead = change.tree.dead;
}
