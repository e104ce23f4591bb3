/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changing rights. What is added is added to the regions alone: faults upgrade the leaves. What
 * is taken away is taken from the leaves first, and flushed, then from the regions; meanwhile the
 * range's versions are odd, and no fault commits there what it planned by the old rights (version.h).
 */
#include "space/change.h"

#include "base/atomic.h"

static bool becomes_charged(const lh_region *region)
{
	return (region->flags & (LH_REGION_CHARGED | LH_REGION_SHARED)) == 0 &&
	       region->backing != LH_BACKING_NONE;
}

static bool breaks_write_xor_execute(const lh_space_change *change, const lh_region_survey *survey)
{
	return change->space->manager->enforce_write_xor_execute &&
	       (change->rights & LH_RIGHT_EXECUTE) != 0 &&
	       ((survey->rights_history | change->rights) & LH_RIGHT_WRITE) != 0;
}

static void restrict_pages(lh_space_change *change)
{
	lh_directory *directory = &change->space->directory;
	lh_gather gather;

	lh_space_change_publish(change);
	lh_space_open(change->space, change->range, &change->tables);
	lh_gather_begin(&gather, directory);
	lh_directory_restrict_range(directory, change->range, change->rights, &gather);
	lh_gather_finish(&gather);
}

static lh_error prepare(lh_region_change *tree, const lh_region_survey *survey)
{
	lh_space_change *change = (lh_space_change *)(void *)tree;
	lh_space *space = change->space;
	/* What becomes private and writable. */
	uint64_t charge = (change->rights & LH_RIGHT_WRITE) != 0 ? survey->unpromised_pages : 0;
	bool takes = (survey->rights & ~change->rights) != 0;

	change->was_asked = true;
	if (breaks_write_xor_execute(change, survey))
		return LH_NO_ACCESS;
	if (survey->spares > lh_space_regions_left(space))
		return LH_LIMIT;
	LH_TRY(lh_space_change_prepare_split(change));
	if (takes)
		LH_TRY(lh_space_prepare_open(space, change->range, &change->tables));
	LH_TRY(lh_space_charge(space, charge));
	space->charged += charge;
	lh_space_change_split(change);
	if (takes)
		restrict_pages(change);
	return LH_OK;
}

static void grant(lh_region_change *tree, lh_region *region)
{
	(void)tree;
	if ((region->rights & LH_RIGHT_WRITE) != 0 && becomes_charged(region))
		lh_atomic_store(&region->flags, region->flags | LH_REGION_CHARGED);
}

static lh_error protect(lh_space_change *change)
{
	lh_space *space = change->space;
	lh_error error;

	lh_space_lock(space);
	error = lh_region_tree_protect(&space->tree, change->range, change->rights, &change->tree);
	lh_space_change_close(change);
	lh_space_unlock(space);
	return error;
}

lh_error lh_space_protect(lh_space *space, lh_virtual_range range, lh_rights rights)
{
	lh_space_change change;
	lh_error error;

	LH_TRY(lh_space_validate_range(space, range));
	if ((rights & ~LH_RIGHTS_ALL) != 0)
		return LH_INVALID;
	lh_space_change_begin(&change, space, range);
	change.tree.prepare = prepare;
	change.tree.grant = grant;
	change.rights = rights;
	error = protect(&change);
	if (error != LH_OK && lh_space_change_take_spares(&change, 2))
		error = protect(&change);
	lh_space_change_end(&change);
	return error;
}
