/* SPDX-License-Identifier: BSD-2-Clause */
/* Writing the leaf of a fault, after checking again: fault.h. */
#include "space/fault.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "object/events.h"
#include "paging/slot.h"
#include "space/version.h"

bool lh_fault_is_version_same(const lh_fault_plan *plan)
{
	return lh_space_version(plan->space, plan->page.base) == plan->version;
}

/* Accessed and dirty may change at any moment: the hardware sets them. */
bool lh_leaf_is_same(lh_leaf a, lh_leaf b)
{
	uint32_t steady = ~(LH_LEAF_ACCESSED | LH_LEAF_DIRTY);

	if (a.kind != b.kind)
		return false;
	/* Of a huge leaf and of its first page the frame is the same. */
	return a.kind == LH_LEAF_EMPTY ||
	       (a.level == b.level && a.frame.value == b.frame.value && a.rights == b.rights &&
		(a.flags & steady) == (b.flags & steady));
}

/* The frame of the object that the plan shows or copies; none, where it does neither. */
static lh_frame_number object_frame(const lh_fault_plan *plan)
{
	lh_frames *frames = plan->space->manager->frames;

	if (plan->name == LH_CASE_SHOW)
		return plan->frame;
	if (plan->name == LH_CASE_COPY &&
	    lh_atomic_load_relaxed(&lh_frame_entry_of(frames, plan->source)->state) == LH_FRAME_OBJECT)
		return plan->source;
	return lh_frame(LH_NO_FRAME);
}

/* Publish, then visit (object.h): what is truncated before we look is not installed, nor is a copy
 * of it; what is truncated after is found by the visitor. Under the lock of the leaf's table. */
static bool is_object_same(const lh_fault_plan *plan)
{
	lh_frame_number frame;

	if (!plan->object)
		return true;
	if (!lh_object_has_page(plan->object, plan->object_page))
		return false;
	frame = object_frame(plan);
	return lh_frame_is_none(frame) || lh_object_owns(plan->object, plan->object_page, frame);
}

static lh_rights without(lh_rights rights, lh_rights taken)
{
	return (lh_rights)(rights & ~taken);
}

/* What an object's page may be granted. A file's shared page is writable only once it is noted
 * dirty, which the fault that writes does. */
static lh_rights object_rights(const lh_fault_plan *plan)
{
	bool tracks = plan->object && plan->object->kind == LH_OBJECT_FILE;

	if (!plan->shared || (tracks && (plan->access & LH_RIGHT_WRITE) == 0))
		return without(plan->rights, LH_RIGHT_WRITE);
	return plan->rights;
}

/* What the frame that the leaf names already may be granted. Under the lock of the leaf's table. */
static lh_rights upgraded_rights(const lh_fault_plan *plan, bool *reused)
{
	lh_manager *manager = plan->space->manager;
	lh_frame_entry *entry;

	*reused = false;
	if ((plan->seen.flags & LH_LEAF_UNCOUNTED) != 0)
		return plan->seen.frame.value == manager->zero_frame.value
			       ? without(plan->rights, LH_RIGHT_WRITE)
			       : plan->rights;
	entry = lh_frame_entry_of(manager->frames, plan->seen.frame);
	/* A right that the leaf has already stays: a file's page that is dirty may be written. */
	if (lh_atomic_load_relaxed(&entry->state) != LH_FRAME_ANONYMOUS)
		return object_rights(plan) | (plan->seen.rights & plan->rights);
	/* So does one to write, whoever else holds the frame (to read it from outside, for one): had it been
	 * shared with another space since, the leaf would have lost the right. */
	if (!lh_fault_is_alone(plan, entry)) {
		/* To be pinned it had to be this leaf's alone: a fork came since the plan. Nothing is granted, so the
		 * fault starts again, and copies. */
		if (plan->owns && (plan->seen.rights & LH_RIGHT_WRITE) == 0)
			return LH_RIGHT_NONE;
		return without(plan->rights, LH_RIGHT_WRITE) | (plan->seen.rights & plan->rights);
	}
	*reused = (plan->access & LH_RIGHT_WRITE) != 0;
	return plan->rights;
}

/* The leaf that the case asks for. */
static lh_leaf leaf_for(const lh_fault_plan *plan, bool *reused)
{
	lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .rights = plan->rights, .frame = plan->frame };

	*reused = false;
	switch (plan->name) {
	case LH_CASE_ZERO:
		leaf.frame = plan->space->manager->zero_frame;
		leaf.flags = LH_LEAF_UNCOUNTED;
		leaf.rights = without(plan->rights, LH_RIGHT_WRITE);
		break;
	case LH_CASE_SHOW:
		leaf.rights = object_rights(plan);
		break;
	case LH_CASE_DEVICE:
		leaf.frame = lh_frame(plan->object->view.of.frame + plan->object_page);
		leaf.flags = LH_LEAF_UNCOUNTED;
		leaf.type = plan->object->view.of.type;
		break;
	case LH_CASE_UPGRADE:
		leaf = plan->seen;
		leaf.kind = LH_LEAF_PRESENT;
		leaf.rights = upgraded_rights(plan, reused);
		break;
	case LH_CASE_FRESH:
	case LH_CASE_COPY:
	case LH_CASE_NOTHING:
	case LH_CASE_SETTLE:
	case LH_CASE_SPLIT:
	case LH_CASE_OPEN:
		break;
	}
	return leaf;
}

/* Mostly the entry is; where the hardware has set a flag, what it says. */
static bool is_leaf_same(const lh_fault_plan *plan, const lh_slot *slot)
{
	return lh_slot_has(slot, plan->seen_entry, plan->seen) ||
	       lh_leaf_is_same(lh_slot_leaf(slot), plan->seen);
}

/* All that commit looks at. Under the lock of the leaf's table. */
static bool is_all_same(const lh_fault_plan *plan, const lh_slot *slot)
{
	return lh_fault_is_version_same(plan) && is_leaf_same(plan, slot) && is_object_same(plan);
}

/* Where the leaf is that the plan saw, or that of the page if it saw none. */
static bool open_slot(lh_fault_plan *plan, lh_slot *slot)
{
	unsigned level = plan->seen.kind == LH_LEAF_EMPTY ? 0 : plan->seen.level;

	return lh_slot_open(slot, &plan->space->directory, plan->page.base, level, &plan->tables) == LH_OK;
}

static __attribute__((noinline)) void pin_frame(const lh_fault_plan *plan, lh_frame_number frame,
						uint32_t flags)
{
	lh_manager *manager = plan->space->manager;
	lh_fault_pin *pin = plan->pin;

	pin->frame = frame;
	if (frame.value == manager->zero_frame.value)
		pin->error = LH_OK;
	else if ((flags & LH_LEAF_UNCOUNTED) != 0)
		pin->error = LH_UNSUPPORTED;
	else
		pin->error = lh_frame_pin(manager->frames, frame, 1, pin->term);
}

/* If that is wanted. => the leaf is as it was written, and its table still locked: no fork comes between. */
static inline void pin_leaf(const lh_fault_plan *plan, const lh_leaf *leaf)
{
	if (plan->pin)
		pin_frame(plan, leaf->frame, leaf->flags);
}

/* => the leaf's table is locked. */
static bool write_to(lh_fault_plan *plan, lh_slot *slot)
{
	bool reused = false;
	lh_leaf leaf;

	if (!is_all_same(plan, slot))
		return false;
	leaf = leaf_for(plan, &reused);
	if ((leaf.rights & plan->access) == 0 || lh_slot_write(slot, leaf) != LH_OK)
		return false;
	plan->frame.value = LH_NO_FRAME; /* its holder is the leaf's now */
	pin_leaf(plan, &leaf);
	if (reused)
		lh_event_note_on(plan->space->manager, plan->cpu, LH_EVENT_REUSED);
	return true;
}

/* Writes where the leaf is empty, or names the same frame. */
static bool write_in_place(lh_fault_plan *plan)
{
	lh_slot slot;
	bool written;

	if (!open_slot(plan, &slot))
		return false;
	written = write_to(plan, &slot);
	lh_slot_close(&slot);
	return written;
}

/* True if a leaf may have to be noted as dirty at its object, whose lock that takes. */
static bool dirties(const lh_fault_plan *plan)
{
	return plan->shared && plan->object && (plan->access & LH_RIGHT_WRITE) != 0;
}

bool lh_fault_commit_at_once(lh_fault_plan *plan, lh_slot *slot)
{
	if (plan->name != LH_CASE_UPGRADE && plan->name != LH_CASE_ZERO)
		return false;
	if (plan->seen.level != 0 && plan->seen.kind == LH_LEAF_EMPTY)
		return false; /* tables are missing */
	return !dirties(plan) && lh_walk_hold(&slot->walk) && write_to(plan, slot);
}

/*
 * The second step, after a flush during which the table was not locked. => leaf: a holder of its frame
 * more than the entry's, given back here. => false: the BUSY leaf was taken away or settled by
 * another, or something was taken away from the space: then it stays without access.
 */
static bool flush_and_settle(const lh_fault_plan *plan, lh_leaf leaf, lh_gather *gather)
{
	bool same, settled;
	lh_slot slot;

	lh_gather_flush(gather);
	lh_slot_find(&slot, &plan->space->directory, plan->page.base);
	lh_slot_hold(&slot);
	same = lh_fault_is_version_same(plan);
	if (!same)
		leaf.kind = LH_LEAF_NO_ACCESS;
	settled = lh_slot_settle(&slot, leaf);
	if (settled && same)
		pin_leaf(plan, &leaf);
	lh_slot_close(&slot);
	lh_frame_drop(plan->space->manager->frames, leaf.frame);
	return settled && same;
}

/* Puts another frame in the place of one that a leaf names. */
static bool replace(lh_fault_plan *plan)
{
	lh_gather gather;
	bool reused, settled;
	lh_slot slot;
	lh_leaf leaf;

	if (!open_slot(plan, &slot))
		return false;
	if (!is_all_same(plan, &slot)) {
		lh_slot_close(&slot);
		return false;
	}
	leaf = leaf_for(plan, &reused);
	lh_gather_begin(&gather, &plan->space->directory);
	lh_slot_withdraw(&slot, leaf, &gather);
	plan->frame.value = LH_NO_FRAME; /* its holder is the leaf's now */
	if (!lh_gather_flush_here(&gather)) {
		lh_frame_hold(plan->space->manager->frames, leaf.frame);
		lh_slot_close(&slot);
		return flush_and_settle(plan, leaf, &gather);
	}
	settled = lh_slot_settle(&slot, leaf);
	if (settled)
		pin_leaf(plan, &leaf);
	lh_slot_close(&slot);
	lh_gather_finish(&gather);
	return settled;
}

/* Another fault is changing the leaf: does for it what it may be long in doing. => false: again. */
static bool settle_for_owner(const lh_fault_plan *plan)
{
	lh_leaf leaf = plan->seen;
	lh_gather gather;
	lh_slot slot;

	lh_gather_begin(&gather, &plan->space->directory);
	lh_gather_note_range(&gather, leaf.level == 0 ? plan->page : lh_space_piece(plan->page.base));
	lh_gather_finish(&gather);
	leaf.kind = LH_LEAF_NO_ACCESS;
	lh_slot_find(&slot, &plan->space->directory, plan->page.base);
	lh_slot_hold(&slot);
	lh_slot_settle(&slot, leaf);
	lh_slot_close(&slot);
	return false;
}

/* Nothing to write; only this CPU's TLB may not know yet. */
static bool refresh(lh_fault_plan *plan)
{
	lh_port *port = plan->space->manager->port;
	uintptr_t interrupts = lh_port_interrupts_off(port);

	lh_architecture_flush_local(port, plan->space->directory.root, plan->page, false);
	lh_port_interrupts_restore(port, interrupts);
	return true;
}

/*
 * Writes a leaf by which an object's page can be written, and notes the page dirty. Under the
 * object's lock the two are one step: a write-back between them would find the page clean while
 * another CPU writes through the leaf, and would say of what it wrote that it is stored.
 */
static bool write_in_place_dirty(lh_fault_plan *plan)
{
	bool written;

	lh_object_lock(plan->object);
	written = write_in_place(plan);
	if (written)
		lh_object_note_dirty_locked(plan->object, plan->object_page);
	lh_object_unlock(plan->object);
	return written;
}

bool lh_fault_commit(lh_fault_plan *plan)
{
	if (plan->name == LH_CASE_NOTHING)
		return refresh(plan);
	if (plan->name == LH_CASE_SETTLE)
		return settle_for_owner(plan);
	if (plan->seen.kind != LH_LEAF_EMPTY && plan->name != LH_CASE_UPGRADE)
		return replace(plan);
	if (plan->is_huge)
		return lh_fault_write_huge(plan);
	return dirties(plan) ? write_in_place_dirty(plan) : write_in_place(plan);
}
