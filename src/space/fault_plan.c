/* SPDX-License-Identifier: BSD-2-Clause */
/* Finding the region of a fault, and naming its case: the drawing in fault.h, row by row. */
#include "space/fault.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "object/readers.h"
#include "space/version.h"

/* --- the region, under the map lock --- */

static bool is_allowed(const lh_fault_plan *plan, const lh_region *region)
{
	return region->backing != LH_BACKING_NONE &&
	       (lh_space_implied_rights(plan->space, region->rights) & plan->access) != 0;
}

/*
 * A stack grows down to the page that faulted, if its rights, its limits, its neighbours' guards
 * and its charge allow. => the region, or NULL; *no_memory where only the charge was missing.
 */
static lh_region *grow_stack(lh_fault_plan *plan, bool *no_memory)
{
	lh_space *space = plan->space;
	lh_virtual_address address = plan->page.base;
	lh_region *region = lh_region_tree_find_from(&space->tree, address);
	lh_virtual_range range;
	uint64_t added, charge;
	lh_error error;

	if (!region || (region->flags & LH_REGION_GROWS_DOWN) == 0 || !is_allowed(plan, region))
		return NULL;
	range.base = address;
	added = lh_virtual_range_index(range, region->range.base);
	range.pages = region->range.pages + added;
	charge = (region->flags & LH_REGION_CHARGED) != 0 ? added : 0;
	if (added > lh_space_pages_left(space) || range.pages > space->limits.stack_pages)
		return NULL;
	/* First the place: where there is none, want of memory is not the reason. The region grows last: who finds
	 * it grown may show pages there. */
	if (lh_region_tree_may_resize(&space->tree, region, range) != LH_OK)
		return NULL;
	/* An account's limit is one of the stack's; what the allocator lacks may come. */
	error = lh_space_charge(space, charge);
	*no_memory = error == LH_NO_MEMORY;
	if (error != LH_OK)
		return NULL;
	error = lh_region_tree_resize(&space->tree, region, range);
	LH_REQUIRE(space->manager->port, error == LH_OK);
	space->pages += added;
	space->charged += charge;
	/* It may have met a region that it is one with. */
	lh_space_merge_around(space, plan->page, &plan->dead);
	return lh_region_tree_find(&space->tree, address);
}

/* Private memory that is charged, and is to be pinned. */
static bool must_own(const lh_fault_plan *plan, uint32_t flags)
{
	return plan->pin && (flags & (LH_REGION_SHARED | LH_REGION_CHARGED)) == LH_REGION_CHARGED;
}

/* What the plan needs to know of the region, from here on without it. */
static void note_region(lh_fault_plan *plan, const lh_region *region)
{
	plan->version = lh_space_version(plan->space, plan->page.base);
	plan->rights = lh_space_implied_rights(plan->space, region->rights);
	plan->shared = (region->flags & LH_REGION_SHARED) != 0;
	plan->owns = must_own(plan, region->flags);
	plan->object = region->object;
	plan->may_be_huge = lh_fault_allows_huge(plan, region->range, region->flags);
	if (!region->object)
		return;
	plan->object_page = lh_region_object_page(region, plan->page.base);
	lh_object_hold(region->object);
}

/* The same of a snapshot, whose rights are noted and whose object is held already. */
static void note_snapshot(lh_fault_plan *plan, const lh_region_snapshot *seen, uint64_t version)
{
	plan->version = version;
	plan->shared = (seen->flags & LH_REGION_SHARED) != 0;
	plan->owns = must_own(plan, seen->flags);
	plan->object = seen->object;
	plan->may_be_huge = lh_fault_allows_huge(plan, seen->range, seen->flags);
	if (seen->object)
		plan->object_page =
			seen->object_page + lh_virtual_range_index(seen->range, plan->page.base);
}

static lh_fault find_locked(lh_fault_plan *plan)
{
	lh_region *region = lh_region_tree_find(&plan->space->tree, plan->page.base);
	bool no_memory = false;

	if (!region)
		region = grow_stack(plan, &no_memory);
	if (!region)
		return no_memory ? LH_FAULT_NO_MEMORY : LH_FAULT_NOT_MAPPED;
	if (!is_allowed(plan, region))
		return LH_FAULT_NO_ACCESS;
	note_region(plan, region);
	return LH_FAULT_OK;
}

/*
 * --- the region, without a lock ---
 *
 * The version of the range is read first: if it is the same at the commit, then nobody has begun to take anything
 * away since before the region was looked at. Where somebody is at it now, he holds the map lock.
 *
 * The object that the snapshot names may have gone, and its memory be another's. It is held if anybody
 * holds it; if the region is still as it was seen after that, then it had a holder of its own all the
 * time, so it is the one. If not, what was held is dropped, with interrupts on.
 */

/* Holds the snapshot's object, if it has one. => false: not to be trusted; *held: to be dropped. */
static bool hold_object(const lh_region_snapshot *seen, lh_object **held)
{
	if (!seen->object)
		return true;
	if (!lh_object_try_hold(seen->object))
		return false;
	*held = seen->object;
	return lh_region_snapshot_is_current(seen);
}

/* => false: it takes the lock to tell; nothing is held. */
static bool find_unlocked(lh_fault_plan *plan, lh_fault *outcome)
{
	lh_manager *manager = plan->space->manager;
	uintptr_t interrupts = lh_reading_begin(manager, &plan->cpu);
	uint64_t version = lh_space_version(plan->space, plan->page.base);
	lh_region_snapshot seen;
	lh_object *held = NULL;
	bool found = (version & 1) == 0 &&
		     lh_region_tree_read(&plan->space->tree, plan->page.base, &seen) == LH_OK;
	bool allowed = false;

	if (found) {
		plan->rights = lh_space_implied_rights(plan->space, seen.rights);
		allowed = seen.backing != LH_BACKING_NONE && (plan->rights & plan->access) != 0;
	}
	if (allowed)
		found = hold_object(&seen, &held);
	lh_reading_end(manager, interrupts);
	if (!found) {
		if (held)
			lh_object_drop(held);
		return false;
	}
	*outcome = allowed ? LH_FAULT_OK : LH_FAULT_NO_ACCESS;
	if (allowed)
		note_snapshot(plan, &seen, version);
	return true;
}

static lh_fault find_region(lh_fault_plan *plan)
{
	lh_fault outcome;

	if (find_unlocked(plan, &outcome))
		return outcome;
	lh_space_lock(plan->space);
	outcome = find_locked(plan);
	lh_space_unlock(plan->space);
	return outcome;
}

bool lh_fault_renew_locked(lh_fault_plan *plan)
{
	const lh_region *region = lh_region_tree_find(&plan->space->tree, plan->page.base);

	if (!region || !is_allowed(plan, region) || region->object != plan->object ||
	    ((region->flags & LH_REGION_SHARED) != 0) != plan->shared ||
	    must_own(plan, region->flags) != plan->owns ||
	    lh_space_implied_rights(plan->space, region->rights) != plan->rights)
		return false;
	if (region->object && lh_region_object_page(region, plan->page.base) != plan->object_page)
		return false;
	if (plan->is_huge && !lh_fault_allows_huge(plan, region->range, region->flags))
		return false;
	plan->version = lh_space_version(plan->space, plan->page.base);
	if (plan->name == LH_CASE_COPY && !plan->copied)
		lh_fault_copy_source(plan);
	return true;
}

/* --- the case --- */

/* To write, or to be pinned. */
static bool wants_own(const lh_fault_plan *plan)
{
	return (plan->access & LH_RIGHT_WRITE) != 0 || plan->owns;
}

/* Of a huge leaf no frame is pinned (huge.c). */
static bool is_huge_leaf_alone(const lh_fault_plan *plan)
{
	const lh_manager *manager = plan->space->manager;
	uint64_t pages = lh_level_pages(manager->format, plan->seen.level);
	lh_frame_row row = { 0, 0, NULL };

	for (uint64_t i = 0; i < pages; i++) {
		lh_frame_number frame = lh_frame(plan->seen.frame.value + i);

		if (lh_atomic_load(&lh_frame_entry_in(manager->frames, frame, &row)->holders) != 1)
			return false;
	}
	return true;
}

bool lh_fault_is_alone(const lh_fault_plan *plan, const lh_frame_entry *first)
{
	if (plan->seen.level != 0)
		return is_huge_leaf_alone(plan);
	return lh_atomic_load(&first->holders) == 1 || lh_atomic_load(&first->pins) != 0;
}

static lh_fault_case case_of_empty(const lh_fault_plan *plan)
{
	if (!plan->object)
		return wants_own(plan) ? LH_CASE_FRESH : LH_CASE_ZERO;
	if (plan->object->kind == LH_OBJECT_PHYSICAL)
		return LH_CASE_DEVICE;
	return wants_own(plan) && !plan->shared ? LH_CASE_COPY : LH_CASE_SHOW;
}

static lh_fault_case case_of_leaf(const lh_fault_plan *plan)
{
	const lh_frame_entry *entry;

	if (plan->seen.kind == LH_LEAF_BUSY)
		return LH_CASE_SETTLE;
	if (plan->seen.kind == LH_LEAF_SHARED)
		return LH_CASE_OPEN;
	if (plan->pin && plan->seen.level != 0)
		return LH_CASE_SPLIT;
	/* What can be written is the leaf's own, whoever holds it for a moment. */
	if (!wants_own(plan) || (plan->seen.rights & LH_RIGHT_WRITE) != 0)
		return LH_CASE_UPGRADE;
	if ((plan->seen.flags & LH_LEAF_UNCOUNTED) != 0)
		return plan->seen.frame.value == plan->space->manager->zero_frame.value
			       ? LH_CASE_FRESH
			       : LH_CASE_UPGRADE;
	entry = lh_frame_entry_of(plan->space->manager->frames, plan->seen.frame);
	if (lh_atomic_load_relaxed(&entry->state) == LH_FRAME_ANONYMOUS) {
		if (lh_fault_is_alone(plan, entry))
			return LH_CASE_UPGRADE;
		return plan->seen.level != 0 ? LH_CASE_SPLIT : LH_CASE_COPY;
	}
	return plan->shared ? LH_CASE_UPGRADE : LH_CASE_COPY;
}

/* An entry that is not empty and does not grant the access, or is to be pinned: its frame must be looked at. */
static bool needs_look(const lh_fault_plan *plan)
{
	return plan->seen.kind != LH_LEAF_EMPTY &&
	       (plan->pin || plan->seen.kind != LH_LEAF_PRESENT || (plan->seen.rights & plan->access) == 0);
}

/* From here on the frame stays, although everybody else may let it go: then it is one too many. So will be
 * that of a copy, soon. */
static void hold_source(lh_fault_plan *plan)
{
	lh_fault_begin_surplus(plan, plan->name == LH_CASE_COPY ? 2 : 1);
	plan->held = true;
	plan->source = plan->seen.frame;
	lh_frame_hold(plan->space->manager->frames, plan->source);
}

static void note_leaf(lh_fault_plan *plan, const lh_slot *slot)
{
	plan->seen = lh_slot_leaf(slot);
	plan->seen_entry = slot->walk.entry;
}

/* Reads the leaf; if its frame must be looked at, its table is locked, for what the entry names is safe only
 * until that is let go. The slot is left open. */
static void see_leaf(lh_fault_plan *plan, lh_slot *slot)
{
	lh_slot_find(slot, &plan->space->directory, plan->page.base);
	note_leaf(plan, slot);
	if (!needs_look(plan))
		return;
	lh_slot_hold(slot);
	if (!lh_slot_has(slot, plan->seen_entry, plan->seen))
		note_leaf(plan, slot);
}

/* A frame that the plan goes on to use, or must know again, gets a holder before the lock goes. */
static void name_case(lh_fault_plan *plan)
{
	lh_slot slot;

	see_leaf(plan, &slot);
	if (needs_look(plan))
		plan->name = case_of_leaf(plan);
	else
		plan->name = plan->seen.kind == LH_LEAF_EMPTY ? case_of_empty(plan) : LH_CASE_NOTHING;
	if (needs_look(plan) && (plan->name == LH_CASE_COPY || plan->name == LH_CASE_SETTLE))
		hold_source(plan);
	plan->is_done = plan->at_once && lh_fault_commit_at_once(plan, &slot);
	lh_slot_close(&slot);
}

/* The object is not looked at: it may have gone with the plan's holder. */
bool lh_fault_is_current(const lh_fault_plan *plan)
{
	lh_fault_plan now = *plan;
	lh_slot slot;

	see_leaf(&now, &slot);
	if (needs_look(&now))
		now.name = case_of_leaf(&now);
	lh_slot_close(&slot);
	return lh_fault_is_version_same(plan) && lh_leaf_is_same(now.seen, plan->seen) &&
	       now.name == plan->name;
}

/* The pages of a private region past its object's end are gone, like the shared ones. */
static bool is_past_end(const lh_fault_plan *plan)
{
	return plan->object && !lh_object_has_page(plan->object, plan->object_page);
}

lh_fault lh_fault_make_plan(lh_fault_plan *plan)
{
	lh_fault outcome = find_region(plan);

	if (outcome != LH_FAULT_OK)
		return outcome;
	if (is_past_end(plan))
		return LH_FAULT_BUS;
	name_case(plan);
	return LH_FAULT_OK;
}
