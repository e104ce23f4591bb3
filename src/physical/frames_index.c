/* SPDX-License-Identifier: BSD-2-Clause */
/* From frame numbers to their spans. Reads only what is constant after creation. */
#include "physical/frames_internal.h"

/* The last of some spans whose base is at most the frame; the first if none is. */
static const struct frame_span *last_at_or_below(const struct frame_span *spans, uint32_t count,
						 uint64_t frame)
{
	while (count > 1) {
		uint32_t half = count / 2;

		if (spans[half].base <= frame) {
			spans += half;
			count -= half;
		} else {
			count = half;
		}
	}
	return spans;
}

const struct frame_span *lh_frames_span_slow(const lh_frames *frames, lh_frame_number frame)
{
	uint64_t number = frame.value >> SECTION_SHIFT;
	uint64_t mask = UINT64_MAX >> frames->section_shift;
	uint64_t slot = lh_section_slot(number, frames->section_shift);
	const struct frame_section *section;
	const struct frame_span *span;

	/* The table is at most half full: there is an empty slot to stop at. */
	while (section = &frames->sections[slot], section->spans != 0 && section->number != number)
		slot = (slot + 1) & mask;
	if (section->spans == 0)
		return NULL;
	span = last_at_or_below(&frames->spans[section->first_span], section->spans, frame.value);
	return frame.value - span->base < span->pages ? span : NULL;
}

const struct frame_span *lh_frames_span_of_ordinal(const lh_frames *frames, uint64_t ordinal)
{
	const struct frame_span *span = frames->spans;

	for (uint32_t count = frames->span_count; count > 1;) {
		uint32_t half = count / 2;

		if (span[half].first <= ordinal) {
			span += half;
			count -= half;
		} else {
			count = half;
		}
	}
	return span;
}
