/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Unmapping, and dropping pages. The order is: clear the leaves, flush, drop the frames; then
 * change the tree. Until then the regions stay where they are, so that nobody is placed there
 * while a CPU can still reach the old pages.
 *
 * Faults commit meanwhile. Unmap makes the range's versions odd before it visits the leaves, so that
 * none comes after it. Dropping pages leaves the regions as they are: a fault that commits before or
 * after it is right in either case, and the leaf it planned over is compared under its table's lock. Only where
 * a huge leaf may straddle an end are the versions odd, that none comes once that was split.
 */
#include "object/surplus.h"
#include "space/change.h"

void lh_space_clear_pages(lh_space *space, lh_virtual_range range)
{
	lh_gather gather;

	lh_gather_begin(&gather, &space->directory);
	lh_directory_clear_range(&space->directory, range, &gather);
	lh_gather_finish(&gather);
}

/* A hole in the middle of a region makes two of it. */
lh_error lh_space_change_unmap(lh_region_change *tree, const lh_region_survey *survey)
{
	lh_space_change *change = (lh_space_change *)(void *)tree;

	change->was_asked = true;
	if (survey->spares > lh_space_regions_left(change->space))
		return LH_LIMIT;
	LH_TRY(lh_space_change_prepare_split(change));
	lh_space_change_split(change);
	lh_space_change_take_pages(change, survey);
	return LH_OK;
}

static lh_error unmap(lh_space_change *change)
{
	lh_space *space = change->space;
	lh_error error;

	lh_space_lock(space);
	error = lh_region_tree_unmap(&space->tree, change->range, &change->tree);
	lh_space_change_close(change);
	lh_space_unlock(space);
	return error;
}

lh_error lh_space_unmap(lh_space *space, lh_virtual_range range)
{
	lh_space_change change;
	lh_error error;

	LH_TRY(lh_space_validate_range(space, range));
	lh_space_change_begin(&change, space, range);
	change.tree.prepare = lh_space_change_unmap;
	error = unmap(&change);
	/* Who needs none can unmap, and so give memory back, when memory has run out. */
	if (error != LH_OK && lh_space_change_take_spares(&change, 1))
		error = unmap(&change);
	lh_space_change_end(&change);
	return error;
}

/* The pages stay promised, and may be touched again before their frames go. */
static void drop_pages(lh_space *space, lh_virtual_range range)
{
	lh_surplus_share share = lh_surplus_begin(space->manager, range.pages);

	lh_space_clear_pages(space, range);
	(void)lh_surplus_end(space->manager, share, true);
}

static lh_error discard_locked(lh_space_change *change)
{
	if (!lh_region_tree_is_mapped(&change->space->tree, change->range))
		return LH_NOT_MAPPED;
	LH_TRY(lh_space_change_prepare_split(change));
	lh_space_change_split(change);
	drop_pages(change->space, change->range);
	return LH_OK;
}

lh_error lh_space_discard(lh_space *space, lh_virtual_range range)
{
	lh_space_change change;
	lh_error error;

	LH_TRY(lh_space_validate_range(space, range));
	lh_space_change_begin(&change, space, range);
	lh_space_lock(space);
	error = discard_locked(&change);
	lh_space_change_close(&change);
	lh_space_unlock(space);
	lh_space_change_end(&change);
	return error;
}
