/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pins: two counts in 16 bits, changed by compare-and-swap so that neither runs over into the other. A
 * pin is a holder too, so a pinned frame is not freed under a device.
 *
 * The swap is of 32 bits, with the entry's state and flags, which stand still while the frame has a
 * holder: riscv64 has none of 16 bits, and compilers would call a library for it.
 */
#include "base/memory.h"
#include "physical/frames_internal.h"

#define LONG_ONE (LH_PINS_SHORT + 1u)

static lh_frame_entry *entry_of(lh_frames *frames, lh_frame_number frame)
{
	lh_frame_entry *entry = lh_frame_entry_of(frames, frame);

	if (!entry)
		LH_BROKEN(frames->port, "pinned or unpinned what is no usable memory");
	return entry;
}

static unsigned count_in(unsigned pins, lh_pin_term term)
{
	return term == LH_PIN_SHORT ? pins & LH_PINS_SHORT : pins / LONG_ONE;
}

typedef uint32_t __attribute__((may_alias)) aliased_word;

/* => false: the pins are not, or no longer, those that were seen. */
static bool replace_pins(lh_frame_entry *entry, uint16_t seen, unsigned pins)
{
	struct {
		uint16_t pins;
		uint8_t state, flags;
	} parts;
	aliased_word *word = (aliased_word *)(void *)&entry->pins;
	uint32_t now = lh_atomic_load_relaxed(word), next;

	_Static_assert(sizeof parts == sizeof next, "pins, state and flags are a word");
	memcpy(&parts, &now, sizeof now);
	if (parts.pins != seen)
		return false;
	parts.pins = (uint16_t)pins;
	memcpy(&next, &parts, sizeof next);
	return lh_atomic_compare_exchange(word, &now, next);
}

/* => false: as many as can be counted. */
static bool add_pin(lh_frame_entry *entry, lh_pin_term term)
{
	unsigned most = term == LH_PIN_SHORT ? LH_PINS_SHORT_MOST : LH_PINS_LONG_MOST;
	uint16_t pins;

	do {
		pins = lh_atomic_load_relaxed(&entry->pins);
		if (count_in(pins, term) == most)
			return false;
	} while (!replace_pins(entry, pins, pins + (term == LH_PIN_SHORT ? 1u : LONG_ONE)));
	return true;
}

static void remove_pin(lh_frames *frames, lh_frame_entry *entry, lh_pin_term term)
{
	uint16_t pins;

	do {
		pins = lh_atomic_load_relaxed(&entry->pins);
		if (count_in(pins, term) == 0)
			LH_BROKEN(frames->port, "a frame was unpinned that has no such pin");
	} while (!replace_pins(entry, pins, pins - (term == LH_PIN_SHORT ? 1u : LONG_ONE)));
}

lh_error lh_frame_pin(lh_frames *frames, lh_frame_number first, uint64_t count, lh_pin_term term)
{
	for (uint64_t i = 0; i < count; i++) {
		lh_frame_number frame = lh_frame(first.value + i);

		lh_frame_hold(frames, frame);
		if (add_pin(entry_of(frames, frame), term))
			continue;
		(void)lh_frame_drop(frames, frame);
		lh_frame_unpin(frames, first, i, term);
		return LH_LIMIT;
	}
	return LH_OK;
}

void lh_frame_unpin(lh_frames *frames, lh_frame_number first, uint64_t count, lh_pin_term term)
{
	for (uint64_t i = 0; i < count; i++) {
		lh_frame_number frame = lh_frame(first.value + i);

		remove_pin(frames, entry_of(frames, frame), term);
		(void)lh_frame_drop(frames, frame);
	}
}

unsigned lh_frame_pins(lh_frames *frames, lh_frame_number frame, lh_pin_term term)
{
	return count_in(lh_atomic_load(&entry_of(frames, frame)->pins), term);
}
