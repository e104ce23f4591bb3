/* SPDX-License-Identifier: BSD-2-Clause */
/* The oracle's trouble: failures that were ordered, and what happens in the middle of a fault. */
#include "world/oracle_inside.h"

#include "object/object_page.h"
#include "space/space.h"
#include "world/injection.h"

/* --- failures --- */

void oracle_arm(space_oracle *oracle)
{
	oracle->armed = oracle->fail_frames != 0 || oracle->fail_pager != 0;
	if (!oracle->armed)
		return;
	inject_buffer_free(&oracle->before);
	world_serialise_spaces(&oracle->world, &oracle->before);
	oracle->pager_steps = 0;
	lh_frames_fail_at(oracle->world.frames, oracle->fail_frames);
}

static void compare_with_before(space_oracle *oracle)
{
	inject_buffer after = { 0 };
	const char *difference;

	if (oracle->may_differ)
		return;
	world_serialise_spaces(&oracle->world, &after);
	difference = inject_difference(&oracle->before, &after);
	inject_buffer_free(&after);
	CHECK_SOUND(difference);
}

bool oracle_was_refused(space_oracle *oracle, bool refusal)
{
	bool failed;

	if (!oracle->armed)
		return false;
	failed = (oracle->fail_frames != 0 &&
		  lh_frames_steps(oracle->world.frames) >= oracle->fail_frames) ||
		 (oracle->fail_pager != 0 && oracle->pager_steps >= oracle->fail_pager);
	lh_frames_fail_at(oracle->world.frames, 0);
	oracle->fail_frames = oracle->fail_pager = 0;
	oracle->armed = false;
	if (!refusal || !failed)
		return false;
	oracle->refused++;
	world_settle(&oracle->world);
	compare_with_before(oracle);
	oracle->may_differ = false;
	return true;
}

lh_fault oracle_fault(void *context, unsigned n, lh_virtual_address address, lh_rights access)
{
	space_oracle *oracle = context;
	lh_fault outcome;

	ORACLE_CALL(oracle, outcome, lh_space_fault(oracle->world.space[n], address, access),
		    outcome == LH_FAULT_NO_MEMORY || outcome == LH_FAULT_BUS);
	return outcome;
}

/* --- meanwhile --- */

static void happen(space_oracle *oracle)
{
	void (*meanwhile)(void *) = oracle->meanwhile;
	bool inside = oracle->inside;

	if (!meanwhile)
		return;
	oracle->meanwhile = NULL;
	oracle->happened += inside;
	oracle->inside = false;
	/* What the fault has linked already a CPU may walk. */
	if (inside) {
		world_settle(&oracle->world);
		oracle_catch_up(oracle);
	}
	oracle->between = inside;
	meanwhile(oracle->context);
	oracle->between = false;
	oracle->inside = inside;
}

void oracle_flush_meanwhile(space_oracle *oracle)
{
	happen(oracle);
}

/* A page that was promised an answer which the pager has not been asked for yet: who needs it
 * would wait for the very one that stands here. */
static bool is_anything_in_transit(const space_oracle *oracle)
{
	for (unsigned n = 0; n < ORACLE_OBJECTS; n++) {
		const lh_object *object = oracle->objects[n].object;
		uint64_t slot;

		for (uint64_t page = 0; object && object->kind == LH_OBJECT_FILE &&
					(slot = lh_page_index_next(&object->index, &page)) != 0; page++)
			if (lh_slot_is_in_transit(slot))
				return true;
	}
	return false;
}

static bool is_anything_locked(const space_oracle *oracle)
{
	for (unsigned n = 0; n < WORLD_SPACES; n++)
		if (oracle->world.space[n] && oracle->world.space[n]->lock != 0)
			return true;
	for (unsigned n = 0; n < ORACLE_OBJECTS; n++)
		if (oracle->objects[n].object && oracle->objects[n].object->lock != 0)
			return true;
	return false;
}

void oracle_turn(void *context)
{
	space_oracle *oracle = context;

	if (!oracle->inside || !oracle->meanwhile || ++oracle->turns < oracle->meanwhile_at ||
	    is_anything_locked(oracle) || is_anything_in_transit(oracle))
		return;
	happen(oracle);
}

bool oracle_park(void *context, const uint32_t *word)
{
	space_oracle *oracle = context;

	bool happens = oracle->inside && oracle->meanwhile && !is_anything_locked(oracle);

	(void)word;
	if (happens)
		happen(oracle);
	/* What happened may have needed the answer, and had it. */
	if (oracle->work_count == 0)
		return happens;
	oracle_answer(oracle);
	return true;
}
