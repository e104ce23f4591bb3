/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From frame numbers to ordinals and back, and the levels of bits that say which
 * ordinals are free. Invariant: a bit of level n + 1 is set exactly if the word of
 * level n that it stands for is not zero.
 */
#include "physical/frames_internal.h"

/* --- Spans --- */

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

uint64_t lh_frames_ordinal(const lh_frames *frames, lh_frame_number frame)
{
	uint64_t number = frame.value >> SECTION_SHIFT;
	uint64_t mask = (UINT64_C(1) << frames->section_bits) - 1;
	uint64_t slot = lh_section_slot(number, frames->section_bits);
	const struct frame_section *section;
	const struct frame_span *span;

	/* The table is at most half full: there is an empty slot to stop at. */
	while (section = &frames->sections[slot], section->spans != 0 && section->number != number)
		slot = (slot + 1) & mask;
	if (section->spans == 0)
		return NO_ORDINAL;
	span = last_at_or_below(&frames->spans[section->first_span], section->spans, frame.value);
	if (frame.value - span->base >= span->pages)
		return NO_ORDINAL;
	return span->first + (frame.value - span->base);
}

static uint32_t span_of_ordinal(const lh_frames *frames, uint64_t ordinal)
{
	uint32_t low = 0;

	for (uint32_t count = frames->span_count; count > 1;) {
		uint32_t half = count / 2;

		if (frames->spans[low + half].first <= ordinal) {
			low += half;
			count -= half;
		} else {
			count = half;
		}
	}
	return low;
}

lh_frame_number lh_frames_number(const lh_frames *frames, uint64_t ordinal)
{
	const struct frame_span *span = &frames->spans[span_of_ordinal(frames, ordinal)];

	return lh_frame(span->base + (ordinal - span->first));
}

lh_frame_number lh_frames_number_locked(lh_frames *frames, uint64_t ordinal)
{
	const struct frame_span *span = &frames->spans[frames->span_hint];

	if (ordinal - span->first >= span->pages) {
		frames->span_hint = span_of_ordinal(frames, ordinal);
		span = &frames->spans[frames->span_hint];
	}
	return lh_frame(span->base + (ordinal - span->first));
}

/* --- Bits --- */

static unsigned lowest_bit(uint64_t word)
{
	return (unsigned)__builtin_ctzll(word);
}

static unsigned highest_bit(uint64_t word)
{
	return 63u - (unsigned)__builtin_clzll(word);
}

bool lh_index_is_set(const lh_frames *frames, uint64_t ordinal)
{
	return (frames->level[0][ordinal / 64] >> (ordinal % 64) & 1) != 0;
}

void lh_index_set(lh_frames *frames, uint64_t ordinal)
{
	for (uint32_t level = 0; level < frames->levels; level++) {
		uint64_t *word = &frames->level[level][ordinal / 64];
		uint64_t before = *word;

		*word = before | UINT64_C(1) << (ordinal % 64);
		if (before != 0)
			return;
		ordinal /= 64;
	}
}

void lh_index_clear(lh_frames *frames, uint64_t ordinal)
{
	for (uint32_t level = 0; level < frames->levels; level++) {
		uint64_t *word = &frames->level[level][ordinal / 64];

		*word &= ~(UINT64_C(1) << (ordinal % 64));
		if (*word != 0)
			return;
		ordinal /= 64;
	}
}

uint64_t lh_index_high_locked(lh_frames *frames)
{
	uint64_t place = 0;

	if (frames->level[0][frames->word_hint] == 0) {
		if (frames->level[frames->levels - 1][0] == 0)
			return NO_ORDINAL;
		for (uint32_t level = frames->levels - 1; level > 0; level--)
			place = place * 64 + highest_bit(frames->level[level][place]);
		frames->word_hint = place;
	}
	return frames->word_hint * 64 + highest_bit(frames->level[0][frames->word_hint]);
}

uint64_t lh_index_next(const lh_frames *frames, uint64_t from)
{
	uint32_t level = 0;
	uint64_t limit = frames->total; /* bits in this level */
	uint64_t word;

	/* Up, until the rest of a word has a bit set. */
	while (from < limit) {
		word = frames->level[level][from / 64] >> (from % 64);
		if (word != 0) {
			from += lowest_bit(word);
			/* And down along lowest bits. */
			while (level-- > 0)
				from = from * 64 + lowest_bit(frames->level[level][from]);
			return from;
		}
		from = from / 64 + 1;
		limit = (limit + 63) / 64;
		if (++level == frames->levels)
			break;
	}
	return NO_ORDINAL;
}

uint64_t lh_index_last_clear(const lh_frames *frames, uint64_t first, uint64_t count)
{
	uint64_t last = first + (count - 1);
	uint64_t word = last / 64;
	/* Clear bits of the word at or below last. */
	uint64_t clear = ~frames->level[0][word] & UINT64_MAX >> (63 - last % 64);

	while (clear == 0 && word > first / 64)
		clear = ~frames->level[0][--word];
	if (clear == 0 || word * 64 + highest_bit(clear) < first)
		return NO_ORDINAL;
	return word * 64 + highest_bit(clear);
}
