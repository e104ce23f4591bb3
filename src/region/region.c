/* SPDX-License-Identifier: BSD-2-Clause */
#include <landhold/region.h>

#include "region/tree.h"

/* One field after the other, and none of the block: readers without the lock may still look. */
void lh_region_init(lh_region *region, lh_backing backing, lh_rights rights, uint32_t flags)
{
	lh_version_begin(&region->version);
	LH_PUBLISH(region->node.count, 0);
	LH_PUBLISH(region->range.base.value, 0);
	LH_PUBLISH(region->range.pages, 0);
	LH_PUBLISH(region->tree, NULL);
	LH_PUBLISH(region->rights, rights);
	LH_PUBLISH(region->rights_max, rights);
	LH_PUBLISH(region->rights_history, rights);
	LH_PUBLISH(region->backing, (uint8_t)backing);
	LH_PUBLISH(region->flags, flags);
	region->guard_before = 0;
	region->guard_after = 0;
	LH_PUBLISH(region->object, NULL);
	LH_PUBLISH(region->object_page, 0);
	LH_PUBLISH(region->tag, 0);
	LH_PUBLISH(region->owner, NULL);
	region->object_next = NULL;
	region->object_previous = NULL;
}

static bool have_same_attributes(const lh_region *a, const lh_region *b)
{
	return a->rights == b->rights && a->rights_max == b->rights_max &&
	       a->rights_history == b->rights_history && a->backing == b->backing &&
	       a->flags == b->flags && a->tag == b->tag && a->object == b->object &&
	       a->owner == b->owner;
}

bool lh_region_is_mergeable(const lh_region *a, const lh_region *b)
{
	if ((a->flags & LH_REGION_POOLED) == 0 || !have_same_attributes(a, b))
		return false;
	if (!lh_virtual_range_is_followed_by(a->range, b->range))
		return false;
	if (a->guard_after != 0 || b->guard_before != 0)
		return false;
	return a->backing != LH_BACKING_OBJECT ||
	       b->object_page == a->object_page + a->range.pages;
}
