/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Single frames and their holders.
 *
 * A frame is complete (state, flags, word, holders 1) before the lock that gave it
 * is released, so a walker of the frame array never sees half of one. Its contents
 * are zeroed outside the lock, by the only one who has it.
 */
#include "base/memory.h"
#include "physical/frames_internal.h"

bool lh_frame_state_is_used(lh_frame_state state)
{
	return state >= LH_FRAME_KERNEL && state < LH_FRAME_STATE_COUNT;
}

/* --- Poison: who writes to a freed frame is found when it is next given out --- */

#if LH_DEBUG >= 2

void lh_frame_poison(lh_frames *frames, lh_frame_number frame)
{
	memset(lh_frame_pointer(frames, frame), FRAME_POISON, LH_PAGE_SIZE);
}

void lh_frame_check_poison(lh_frames *frames, lh_frame_number frame)
{
	lh_frame_entry *entry = lh_frame_entry_of(frames, frame);
	const unsigned char *bytes = lh_frame_pointer(frames, frame);

	if ((entry->flags & FRAME_POISONED) == 0)
		return;
	entry->flags &= (uint8_t)~FRAME_POISONED;
	if (bytes[0] != FRAME_POISON || memcmp(bytes, bytes + 1, LH_PAGE_SIZE - 1) != 0)
		LH_BROKEN(frames->port, "a frame was written to after it was freed");
}

#else

void lh_frame_poison(lh_frames *frames, lh_frame_number frame)
{
	(void)frames;
	(void)frame;
}

void lh_frame_check_poison(lh_frames *frames, lh_frame_number frame)
{
	(void)frames;
	(void)frame;
}

#endif

/* --- Taking --- */

bool lh_frames_may_take_locked(const lh_frames *frames, uint64_t count, lh_frame_source source)
{
	if (count > frames->free)
		return false;
	if (source == LH_FRAME_CHARGED || frames->policy != LH_CHARGE_STRICT)
		return true;
	return frames->free - count + frames->charged_in_use >= frames->committed;
}

void lh_frames_take_locked(lh_frames *frames, uint64_t ordinal, lh_frame_state state,
			   lh_frame_source source)
{
	lh_frame_entry *entry = &frames->entries[ordinal];
	uint8_t poisoned = entry->flags & FRAME_POISONED;

	LH_ASSERT(frames->port, entry->state == LH_FRAME_FREE);
	lh_index_clear(frames, ordinal);
	entry->state = (uint8_t)state;
	entry->flags = (uint8_t)(poisoned | (source == LH_FRAME_CHARGED ? FRAME_CHARGED : 0u));
	entry->word = 0;
	entry->pins = 0;
	lh_atomic_store(&entry->holders, 1u);
	frames->free--;
	frames->used[state]++;
	if (source == LH_FRAME_CHARGED)
		frames->charged_in_use++;
}

static lh_error take_single(lh_frames *frames, lh_frame_state state, lh_frame_source source,
			    lh_frame_number *frame)
{
	uintptr_t interrupts = lh_spin_lock(&frames->lock, LH_LOCK_FRAMES, frames->port);
	lh_error error = LH_NO_MEMORY;

	if (lh_frames_may_take_locked(frames, 1, source)) {
		uint64_t ordinal = lh_index_high_locked(frames);

		LH_ASSERT(frames->port, ordinal != NO_ORDINAL);
		lh_frames_take_locked(frames, ordinal, state, source);
		*frame = lh_frames_number_locked(frames, ordinal);
		error = LH_OK;
	}
	lh_spin_unlock(&frames->lock, LH_LOCK_FRAMES, frames->port, interrupts);
	return error;
}

lh_error lh_frame_allocate(lh_frames *frames, lh_frame_state state, lh_frame_source source,
			   lh_frame_number *frame)
{
	if (!lh_frame_state_is_used(state))
		return LH_INVALID;
	if (LH_STEP_FAILS(frames, frames[state]))
		return LH_NO_MEMORY;
	LH_TRY(take_single(frames, state, source, frame));
	lh_frame_check_poison(frames, *frame);
	return LH_OK;
}

lh_error lh_frame_allocate_zeroed(lh_frames *frames, lh_frame_state state, lh_frame_source source,
				  lh_frame_number *frame)
{
	LH_TRY(lh_frame_allocate(frames, state, source, frame));
	memset(lh_frame_pointer(frames, *frame), 0, LH_PAGE_SIZE);
	return LH_OK;
}

/* --- Holders --- */

void lh_frame_hold(lh_frames *frames, lh_frame_number frame)
{
	lh_frame_entry *entry = lh_frame_entry_of(frames, frame);
	uint32_t before;

	LH_REQUIRE(frames->port, entry != NULL);
	before = lh_atomic_add(&entry->holders, 1u);
	LH_REQUIRE(frames->port, before != 0);
	LH_REQUIRE(frames->port, before < HOLDERS_MOST);
}

/* => the frame has no holder left. */
static void free_single(lh_frames *frames, lh_frame_number frame, lh_frame_entry *entry)
{
	uintptr_t interrupts;

	LH_REQUIRE(frames->port, lh_frame_state_is_used((lh_frame_state)entry->state));
	LH_REQUIRE(frames->port, lh_atomic_load(&entry->pins) == 0);
	lh_frame_poison(frames, frame);
	interrupts = lh_spin_lock(&frames->lock, LH_LOCK_FRAMES, frames->port);
	frames->used[entry->state]--;
	frames->free++;
	if ((entry->flags & FRAME_CHARGED) != 0)
		frames->charged_in_use--;
	entry->state = LH_FRAME_FREE;
	entry->flags = LH_DEBUG >= 2 ? FRAME_POISONED : 0;
	entry->word = 0;
	lh_index_set(frames, (uint64_t)(entry - frames->entries));
	lh_spin_unlock(&frames->lock, LH_LOCK_FRAMES, frames->port, interrupts);
}

bool lh_frame_drop(lh_frames *frames, lh_frame_number frame)
{
	lh_frame_entry *entry = lh_frame_entry_of(frames, frame);
	uint32_t before;

	LH_REQUIRE(frames->port, entry != NULL);
	before = lh_atomic_subtract(&entry->holders, 1u);
	LH_REQUIRE(frames->port, before != 0);
	if (before != 1)
		return false;
	free_single(frames, frame, entry);
	return true;
}

void lh_frame_drop_contiguous(lh_frames *frames, lh_frame_number first, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		(void)lh_frame_drop(frames, lh_frame(first.value + i));
}

lh_frame_entry *lh_frame_entry_of(lh_frames *frames, lh_frame_number frame)
{
	uint64_t ordinal = lh_frames_ordinal(frames, frame);

	return ordinal != NO_ORDINAL ? &frames->entries[ordinal] : NULL;
}

void *lh_frame_pointer(lh_frames *frames, lh_frame_number frame)
{
	return lh_port_frame_pointer(frames->port, frame);
}

lh_port *lh_frames_port(lh_frames *frames)
{
	return frames->port;
}
