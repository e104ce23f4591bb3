/* SPDX-License-Identifier: BSD-2-Clause */
/* The walker of a space: every invariant that space.h states, recomputed. */
#include "space/space.h"

#include "base/atomic.h"
#include "paging/entry.h"

struct check {
	lh_space *space;
	const char *finding;
};

static const char *check_uncounted(const lh_manager *manager, const lh_region *region,
				   const lh_leaf *leaf)
{
	if (leaf->frame.value == manager->zero_frame.value)
		return (leaf->rights & LH_RIGHT_WRITE) != 0 ? "the zero page is writable" : NULL;
	if (!region->object || region->object->kind != LH_OBJECT_PHYSICAL)
		return "an uncounted leaf is neither the zero page nor a device's";
	return NULL;
}

static const char *check_object_leaf(const lh_region *region, lh_virtual_address address,
				     const lh_leaf *leaf)
{
	uint64_t page = lh_region_object_page(region, address);

	if (!region->object)
		return "a leaf of an anonymous region names an object's frame";
	if (!lh_object_owns(region->object, page, leaf->frame))
		return "a leaf names a frame that is not its object's page";
	if ((region->flags & LH_REGION_SHARED) == 0 && (leaf->rights & LH_RIGHT_WRITE) != 0)
		return "a private region can write an object's page";
	return NULL;
}

static const char *check_counted(const lh_manager *manager, const lh_region *region,
				 lh_virtual_address address, const lh_leaf *leaf)
{
	const lh_frame_entry *entry = lh_frame_entry_of(manager->frames, leaf->frame);
	unsigned pins;

	if (!entry || entry->holders == 0)
		return "a leaf names a frame that nobody holds";
	if (entry->state == LH_FRAME_OBJECT)
		return check_object_leaf(region, address, leaf);
	if (entry->state != LH_FRAME_ANONYMOUS)
		return "a user leaf names a frame that is neither anonymous nor an object's";
	if ((region->flags & LH_REGION_SHARED) != 0)
		return "a shared region has a private page";
	pins = lh_frame_pins(manager->frames, leaf->frame, LH_PIN_SHORT) +
	       lh_frame_pins(manager->frames, leaf->frame, LH_PIN_LONG);
	if ((leaf->rights & LH_RIGHT_WRITE) != 0 && entry->holders != pins + 1)
		return "a leaf can write a frame that others hold";
	return pins == 0 || entry->holders == pins + 1 ? NULL : "a private frame is pinned and shared";
}

/* Each frame as if it had a leaf of its own. */
static const char *check_frames(const struct check *check, const lh_region *region, lh_virtual_address address,
				const lh_leaf *leaf)
{
	uint64_t pages = lh_level_pages(check->space->manager->format, leaf->level);
	lh_leaf one = *leaf;

	if (!lh_virtual_range_covers(region->range, (lh_virtual_range){ address, pages }))
		return "a huge leaf lies in more than one region";
	for (uint64_t i = 0; i < pages; i++, one.frame.value++) {
		const char *finding = check_counted(check->space->manager, region, address, &one);

		if (finding)
			return finding;
	}
	return NULL;
}

static bool check_leaf(void *context, lh_virtual_address address, lh_leaf *leaf)
{
	struct check *check = context;
	const lh_manager *manager = check->space->manager;
	const lh_region *region = lh_region_tree_find(&check->space->tree, address);

	if (!region)
		check->finding = "a leaf lies in no region";
	else if ((leaf->rights & ~lh_space_implied_rights(check->space, region->rights)) != 0)
		check->finding = "a leaf grants what its region does not";
	else if ((leaf->flags & LH_LEAF_UNCOUNTED) != 0)
		check->finding = check_uncounted(manager, region, leaf);
	else
		check->finding = check_frames(check, region, address, leaf);
	return check->finding == NULL;
}

static bool is_on_list(const lh_region *region)
{
	const lh_region *on = region->object->regions;

	while (on && on != region)
		on = on->object_next;
	return on != NULL;
}

static const char *check_region(const lh_space *space, const lh_region *region)
{
	const lh_region *next = lh_region_tree_next(region);

	if (region->owner != &space->directory)
		return "a region is not its space's own";
	if ((region->rights & ~region->rights_max) != 0)
		return "a region has rights beyond its maximum";
	if ((region->rights & ~region->rights_history) != 0)
		return "a region forgot a right that it grants";
	if ((region->object != NULL) != (region->backing == LH_BACKING_OBJECT))
		return "a region's backing does not fit its object";
	if (region->object && !is_on_list(region))
		return "a region is not on its object's list";
	if (next && lh_region_is_mergeable(region, next))
		return "two regions could be one";
	return NULL;
}

static const char *check_regions(const lh_space *space)
{
	uint64_t pages = 0, charged = 0;
	const lh_region *region = lh_region_tree_first(&space->tree);

	for (; region; region = lh_region_tree_next(region)) {
		const char *finding = check_region(space, region);

		if (finding)
			return finding;
		pages += region->range.pages;
		charged += lh_region_charge(region);
	}
	if (pages != space->pages)
		return "a space miscounts its pages";
	return charged == space->charged ? NULL : "a space miscounts its charge";
}

static const char *check_locked(lh_space *space)
{
	struct check check = { space, lh_region_tree_check(&space->tree) };

	if (!check.finding)
		check.finding = check_regions(space);
	if (!check.finding)
		lh_directory_visit(&space->directory, space->tree.total, check_leaf, &check);
	return check.finding;
}

const char *lh_space_check(lh_space *space)
{
	const char *finding = lh_directory_check(&space->directory);

	if (finding)
		return finding;
	lh_space_lock(space);
	finding = check_locked(space);
	lh_space_unlock(space);
	return finding;
}

/* --- for a panic --- */

static char *write_hexadecimal(char *at, uint64_t value)
{
	for (unsigned shift = 64; shift > 0; shift -= 4)
		*at++ = "0123456789abcdef"[value >> (shift - 4) & 15];
	return at;
}

static char *write_text(char *at, const char *text)
{
	while (*text)
		*at++ = *text++;
	return at;
}

/* "0000000000400000-0000000000401000 r-x private object" */
static void describe(const lh_region *region, char *at)
{
	static const char *const backings[] = { "reserved", "anonymous", "object" };

	at = write_hexadecimal(at, region->range.base.value);
	*at++ = '-';
	at = write_hexadecimal(at, lh_virtual_range_last(region->range).value + 1);
	*at++ = ' ';
	*at++ = (region->rights & LH_RIGHT_READ) != 0 ? 'r' : '-';
	*at++ = (region->rights & LH_RIGHT_WRITE) != 0 ? 'w' : '-';
	*at++ = (region->rights & LH_RIGHT_EXECUTE) != 0 ? 'x' : '-';
	at = write_text(at, (region->flags & LH_REGION_SHARED) != 0 ? " shared " : " private ");
	at = write_text(at, region->backing <= LH_BACKING_OBJECT ? backings[region->backing] : "?");
	*at = '\0';
}

void lh_space_describe_unlocked(const lh_space *space, void (*line)(void *context, const char *text),
				void *context)
{
	const lh_region *region = lh_region_tree_first(&space->tree);
	char text[80];

	/* 512: the tree may be broken, and its walk endless. */
	for (unsigned i = 0; region && i < 512; i++, region = lh_region_tree_next(region)) {
		describe(region, text);
		line(context, text);
	}
}
