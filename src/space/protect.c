/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Changing rights. What is added is added to the regions alone: faults upgrade the leaves. What
 * is taken away is taken from the regions first, then from the leaves, then flushed; meanwhile the
 * range's versions are odd, and no fault commits there what it planned by the old rights (version.h).
 */
#include "space/space.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "space/version.h"

/* The parts of a range in the regions that it crosses, and what they need. */
struct needs {
	uint64_t charge;   /* pages that become private and writable */
	unsigned splits;   /* 0 to 2 */
};

static bool becomes_charged(const lh_region *region, lh_rights rights)
{
	return (region->flags & (LH_REGION_CHARGED | LH_REGION_SHARED)) == 0 &&
	       region->backing != LH_BACKING_NONE && (rights & LH_RIGHT_WRITE) != 0;
}

static bool breaks_write_xor_execute(const lh_space *space, const lh_region *region, lh_rights rights)
{
	lh_rights history = region->rights_history | rights;
	lh_rights both = LH_RIGHT_WRITE | LH_RIGHT_EXECUTE;

	return space->manager->enforce_write_xor_execute && (rights & LH_RIGHT_EXECUTE) != 0 &&
	       (history & both) == both;
}

static lh_error validate(const lh_space *space, lh_virtual_range range, lh_rights rights,
			 struct needs *needs)
{
	lh_region *region = lh_region_tree_first_crossing(&space->tree, range);

	*needs = (struct needs){ 0, 0 };
	if (!lh_space_is_mapped(space, range))
		return LH_NOT_MAPPED;
	for (; region; region = lh_region_tree_next_crossing(region, range)) {
		lh_virtual_range common;

		if ((rights & ~region->rights_max) != 0 || breaks_write_xor_execute(space, region, rights))
			return LH_NO_ACCESS;
		if (!lh_virtual_range_intersect(region->range, range, &common))
			continue;
		if (becomes_charged(region, rights))
			needs->charge += common.pages;
		needs->splits += region->range.base.value < common.base.value;
		needs->splits += lh_virtual_range_last(region->range).value >
				 lh_virtual_range_last(common).value;
	}
	return needs->splits > lh_space_regions_left(space) ? LH_LIMIT : LH_OK;
}

/* Splits where the range begins and ends inside a region. */
static void split_at_ends(lh_space *space, lh_virtual_range range, lh_region_list *spares)
{
	lh_virtual_address last = lh_virtual_range_last(range);
	lh_region *region = lh_region_tree_find(&space->tree, range.base);

	if (region->range.base.value < range.base.value)
		lh_space_split(space, region, range.base, spares);
	region = lh_region_tree_find(&space->tree, last);
	if (lh_virtual_range_last(region->range).value > last.value)
		lh_space_split(space, region, lh_virtual(last.value + 1), spares);
}

static void set_rights(lh_space *space, lh_region *region, lh_rights rights)
{
	if (becomes_charged(region, rights)) {
		region->flags |= LH_REGION_CHARGED;
		space->charged += region->range.pages;
	}
	region->rights = rights;
	region->rights_history |= rights;
	lh_atomic_add(&region->version, 2u);
}

static void commit(lh_space *space, lh_virtual_range range, lh_rights rights, lh_region_list *spares,
		   lh_region_list *dead)
{
	lh_rights taken = LH_RIGHT_NONE;
	lh_region *region;
	lh_gather gather;

	split_at_ends(space, range, spares);
	region = lh_region_tree_first_crossing(&space->tree, range);
	for (; region; region = lh_region_tree_next_crossing(region, range)) {
		taken |= (lh_rights)(region->rights & ~rights);
		set_rights(space, region, rights);
	}
	if (taken != LH_RIGHT_NONE) {
		lh_space_begin_taking(space, range);
		lh_gather_begin(&gather, &space->directory);
		lh_directory_restrict_range(&space->directory, range, rights, &gather);
		lh_gather_finish(&gather);
		lh_space_end_taking(space, range);
	}
	lh_space_merge_around(space, range, dead);
}

lh_error lh_space_protect(lh_space *space, lh_virtual_range range, lh_rights rights)
{
	lh_region_list spares = { NULL, 0 }, dead = { NULL, 0 };
	lh_frames *frames = space->manager->frames;
	struct needs needs;
	lh_error error;

	LH_TRY(lh_space_validate_range(space, range));
	if ((rights & ~LH_RIGHTS_ALL) != 0)
		return LH_INVALID;
	lh_region_list_take_up_to(space->manager, &spares, 2);
	lh_space_lock(space);
	error = validate(space, range, rights, &needs);
	if (error == LH_OK && needs.splits > spares.count)
		error = LH_NO_MEMORY;
	if (error == LH_OK)
		error = lh_charge_take(frames, needs.charge);
	if (error == LH_OK)
		commit(space, range, rights, &spares, &dead);
	lh_space_unlock(space);
	lh_region_list_release(space->manager, &dead);
	lh_region_list_release(space->manager, &spares);
	return error;
}
