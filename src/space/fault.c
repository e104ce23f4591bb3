/* SPDX-License-Identifier: BSD-2-Clause */
/* The way of a fault: fault.h. Here the attempts, and what is prepared between them. */
#include "space/fault.h"

#include <landhold/reclaim.h>

#include "base/assert.h"
#include "base/atomic.h"
#include "base/lock_order.h"
#include "base/memory.h"
#include "object/events.h"
#include "object/surplus.h"

/* --- prepare --- */

void lh_fault_begin_surplus(lh_fault_plan *plan, uint64_t frames)
{
	if (plan->surplus == LH_SURPLUS_NONE)
		plan->surplus = lh_surplus_begin(plan->space->manager, frames);
}

/* A promised frame; until release this fault may be one too many that has it. */
static lh_error take_frame(lh_fault_plan *plan, bool zeroed)
{
	lh_manager *manager = plan->space->manager;
	lh_error error;

	plan->returned = lh_surplus_seen(manager);
	lh_fault_begin_surplus(plan, 1);
	error = zeroed ? lh_frame_allocate_zeroed(manager->frames, LH_FRAME_ANONYMOUS,
						  LH_FRAME_CHARGED, &plan->frame)
		       : lh_frame_allocate(manager->frames, LH_FRAME_ANONYMOUS, LH_FRAME_CHARGED,
					   &plan->frame);
	plan->held |= error == LH_OK;
	plan->refused = error != LH_OK;
	return error;
}

void lh_fault_copy_source(lh_fault_plan *plan)
{
	lh_frames *frames = plan->space->manager->frames;

	memcpy(lh_frame_pointer(frames, plan->frame), lh_frame_pointer(frames, plan->source),
	       LH_PAGE_SIZE);
	plan->copied = true;
}

static lh_error take_copy(lh_fault_plan *plan)
{
	/* What is asked of an object may wait for those who hold a frame too many: not while we do. */
	if (lh_frame_is_none(plan->source))
		LH_TRY(lh_object_take_page(plan->object, plan->object_page, false, &plan->source));
	lh_fault_begin_surplus(plan, 2);
	plan->held = true;
	LH_TRY(take_frame(plan, false));
	/* A fork under way may have made the leaf one to copy and not have flushed yet: other CPUs then
	 * write to the source still. If none has begun since the region was looked at, the right to write
	 * was taken from the source long ago, and nobody gets it again while the plan holds it. Else the
	 * commit fails, or the plan is renewed under the map lock, when no fork is under way. */
	if (lh_fault_is_version_same(plan))
		lh_fault_copy_source(plan);
	return LH_OK;
}

/* An empty leaf was found at the level where the tables end: one is missing for each level below. If more have gone
 * by the commit, it fails and the fault starts again. A huge leaf needs none below its own, a split that one. */
static uint64_t missing_tables(const lh_fault_plan *plan)
{
	if (plan->name == LH_CASE_SPLIT || plan->name == LH_CASE_OPEN)
		return 1;
	return plan->seen.kind == LH_LEAF_EMPTY ? plan->seen.level - (uint64_t)plan->is_huge : 0;
}

lh_error lh_fault_prepare(lh_fault_plan *plan)
{
	bool writes = (plan->access & LH_RIGHT_WRITE) != 0;

	plan->is_huge = plan->name == LH_CASE_FRESH && plan->may_be_huge &&
			plan->seen.kind == LH_LEAF_EMPTY && plan->seen.level != 0 && lh_fault_take_huge(plan);
	if (missing_tables(plan) != 0)
		LH_TRY(lh_spare_tables_take(plan->space->manager->frames, missing_tables(plan),
					    &plan->tables));
	switch (plan->name) {
	case LH_CASE_FRESH:
		return plan->is_huge ? LH_OK : take_frame(plan, true);
	case LH_CASE_COPY:
		return take_copy(plan);
	case LH_CASE_SHOW:
		return lh_object_take_page(plan->object, plan->object_page, writes && plan->shared,
					   &plan->frame);
	case LH_CASE_NOTHING:
	case LH_CASE_ZERO:
	case LH_CASE_DEVICE:
	case LH_CASE_UPGRADE:
	case LH_CASE_SETTLE:
	case LH_CASE_SPLIT:
	case LH_CASE_OPEN:
		return LH_OK;
	}
	return LH_OK;
}

void lh_fault_release(lh_fault_plan *plan)
{
	lh_frames *frames = plan->space->manager->frames;

	if (!lh_frame_is_none(plan->source))
		lh_frame_drop(frames, plan->source);
	if (plan->is_huge)
		lh_fault_release_huge(plan);
	else if (!lh_frame_is_none(plan->frame))
		lh_frame_drop(frames, plan->frame);
	if (plan->surplus != LH_SURPLUS_NONE)
		plan->returned += lh_surplus_end(plan->space->manager, plan->surplus, plan->held);
	if (plan->object)
		lh_object_drop(plan->object);
	lh_spare_tables_give_back(frames, &plan->tables);
	lh_region_list_release(plan->space->manager, &plan->dead);
}

/* --- attempts --- */

static lh_event event_of(lh_fault_case name)
{
	switch (name) {
	case LH_CASE_ZERO:
		return LH_EVENT_ZERO;
	case LH_CASE_FRESH:
		return LH_EVENT_FRESH;
	case LH_CASE_COPY:
		return LH_EVENT_COPIED;
	case LH_CASE_SHOW:
	case LH_CASE_DEVICE:
		return LH_EVENT_OBJECT;
	case LH_CASE_NOTHING:
	case LH_CASE_UPGRADE:
	case LH_CASE_SETTLE:
	case LH_CASE_SPLIT:
	case LH_CASE_OPEN:
		break;
	}
	return LH_EVENT_UPGRADED;
}

/* The fault has ended, and is one of the machine's cases. */
static void count(const lh_fault_plan *plan, lh_fault outcome)
{
	lh_space *space = plan->space;

	lh_atomic_add_relaxed(&space->parts[plan->cpu % LH_DIRECTORY_PARTS].faults, 1u);
	lh_event_note_on(space->manager, plan->cpu,
			 outcome == LH_FAULT_OK ? event_of(plan->name) : LH_EVENT_REFUSED);
	if (plan->is_huge && outcome == LH_FAULT_OK)
		lh_event_note_on(space->manager, plan->cpu, LH_EVENT_HUGE);
}

/* How one attempt ended, beside the ends of a fault. */
enum attempt { ATTEMPT_ENDED, ATTEMPT_AGAIN, ATTEMPT_NO_MEMORY };

/* Failures of the commit after which it is made under the map lock. */
#define COMMITS_WITHOUT_LOCK 2

static bool commit(lh_fault_plan *plan, unsigned failures)
{
	bool committed;

	if (failures < COMMITS_WITHOUT_LOCK)
		return lh_fault_commit(plan);
	lh_space_lock(plan->space);
	committed = lh_fault_renew_locked(plan) && lh_fault_commit(plan);
	lh_space_unlock(plan->space);
	return committed;
}

/* failures: commits of this fault that have failed; one more if this attempt's does. */
static enum attempt attempt(lh_fault_plan *plan, unsigned *failures, lh_fault *outcome)
{
	lh_error error;

	*outcome = lh_fault_make_plan(plan);
	if (*outcome != LH_FAULT_OK)
		return *outcome == LH_FAULT_NO_MEMORY ? ATTEMPT_NO_MEMORY : ATTEMPT_ENDED;
	if (plan->is_done)
		return ATTEMPT_ENDED;
	error = lh_fault_prepare(plan);
	if (error == LH_NO_MEMORY)
		return ATTEMPT_NO_MEMORY;
	/* The page may have been truncated away, or the region replaced, since the plan: an
	 * attempt from the start tells. Only an answer of the pager, or of the object's account, ends the fault here. */
	if (error != LH_OK) {
		*outcome = LH_FAULT_BUS;
		return error == LH_IO || error == LH_LIMIT ? ATTEMPT_ENDED : ATTEMPT_AGAIN;
	}
	if (plan->name == LH_CASE_OPEN) {
		lh_fault_open(plan);
		lh_event_note_on(plan->space->manager, plan->cpu, LH_EVENT_OPENED);
		return ATTEMPT_AGAIN;
	}
	if (plan->name == LH_CASE_SPLIT) {
		lh_fault_split(plan);
		lh_event_note_on(plan->space->manager, plan->cpu, LH_EVENT_SPLIT);
		return ATTEMPT_AGAIN;
	}
	if (!commit(plan, *failures)) {
		++*failures;
		return ATTEMPT_AGAIN;
	}
	return ATTEMPT_ENDED;
}

/* A promised frame was refused: because somebody has delivered this very page since the plan, or
 * had a frame too many? Or does the page need none by now, since whoever shared it has got his copy?
 * In this order: if the page was taken away again before we look, it was by somebody who was holding
 * since. */
static bool was_refused_by_a_race(lh_fault_plan *plan)
{
	if (!plan->refused)
		return false;
	return !lh_fault_is_current(plan) || lh_surplus_wait(plan->space->manager, plan->returned);
}

/* No frame: is it worth trying again? *retries: how often it was for a race. */
static bool may_try_again(lh_fault_plan *plan, unsigned *retries)
{
	lh_frames *frames = plan->space->manager->frames;

	if (*retries < LH_SURPLUS_RETRIES && was_refused_by_a_race(plan)) {
		++*retries;
		return true;
	}
	lh_order_may_wait(plan->space->manager->port, "memory");
	/* Who keeps what may be of use again, before anybody is killed. */
	if (lh_frames_reclaim(frames, lh_frames_shortage(frames) + 1) != 0)
		return true;
	return lh_port_memory_pressure(plan->space->manager->port, 1);
}

/* In line in lh_space_fault, where nothing is pinned. */
static inline lh_fault resolve(lh_space *space, lh_virtual_range page, lh_rights access,
			       lh_fault_pin *pin)
{
	unsigned retries = 0, failures = 0;

	for (;;) {
		lh_fault_plan plan = {
			.space = space,
			.page = page,
			.access = access,
			.pin = pin,
			.at_once = true,
			.source = { LH_NO_FRAME },
			.frame = { LH_NO_FRAME },
		};
		lh_fault outcome;
		enum attempt ended = attempt(&plan, &failures, &outcome);

		lh_fault_release(&plan);
		if (ended == ATTEMPT_NO_MEMORY && !may_try_again(&plan, &retries)) {
			outcome = LH_FAULT_NO_MEMORY;
			ended = ATTEMPT_ENDED;
		}
		if (ended == ATTEMPT_ENDED) {
			count(&plan, outcome);
			return outcome;
		}
	}
}

lh_fault lh_fault_resolve(lh_space *space, lh_virtual_range page, lh_rights access, lh_fault_pin *pin)
{
	return resolve(space, page, access, pin);
}

lh_fault lh_space_fault(lh_space *space, lh_virtual_address address, lh_rights access)
{
	lh_virtual_range page = { lh_virtual(address.value & ~(LH_PAGE_SIZE - 1)), 1 };

	return resolve(space, page, access, NULL);
}
