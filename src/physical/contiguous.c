/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames in a row: first fit from the low end, exactly as many as asked for.
 *
 * A row may cross spans only where nodes meet, for the map joined all that touches; it is
 * looked for in one span, so in one node. The search steps from one free frame to the next, aligned; a
 * candidate row is scanned from its end backwards, so a used frame found there skips all that lies
 * before it. Every block is read about once: O(blocks) in the worst case, with the lock held. That
 * is for boot and device set-up, and for more than a block at once; not for page faults.
 */
#include "physical/frames_internal.h"

/* The lowest free place in [place, end) of a span's; end: none. */
static uint64_t next_free(const lh_frames *frames, uint64_t place, uint64_t end)
{
	while (place < end) {
		uint64_t block = place >> BLOCK_SHIFT;
		uint64_t word = frames->bits[block][place / 64 % BLOCK_WORDS] >> (place % 64);

		if (frames->counts[block].free == 0)
			place = (block + 1) << BLOCK_SHIFT;
		else if (word == 0)
			place = (place / 64 + 1) * 64;
		else
			return place + (unsigned)__builtin_ctzll(word);
	}
	return end;
}

/* The highest place in use in [first, first + count); NO_PLACE: all are free. */
static uint64_t last_used(const lh_frames *frames, uint64_t first, uint64_t count)
{
	uint64_t place = first + (count - 1);

	for (;;) {
		uint64_t block = place >> BLOCK_SHIFT;
		uint64_t used = ~frames->bits[block][place / 64 % BLOCK_WORDS] &
				UINT64_MAX >> (63 - place % 64);
		uint64_t before = place / 64 * 64;

		if (used != 0) {
			place = before + 63 - (unsigned)__builtin_clzll(used);
			return place >= first ? place : NO_PLACE;
		}
		if (frames->counts[block].free == BLOCK_FRAMES)
			before = block << BLOCK_SHIFT;
		if (before <= first)
			return NO_PLACE;
		place = before - 1;
	}
}

static uint64_t find_in_span(const lh_frames *frames, const struct frame_span *span,
			     const struct row_request *request)
{
	uint64_t start = lh_span_place(span, lh_frame(span->base)), place = start;
	uint64_t pages = span->pages;

	if (request->limit <= span->base)
		return NO_PLACE;
	if (request->limit - span->base < pages)
		pages = request->limit - span->base;
	while (pages >= request->count && place - start <= pages - request->count) {
		uint64_t skip, used;

		place = next_free(frames, place, start + pages);
		skip = (0 - (span->base + (place - start))) & (request->alignment - 1);
		if (place - start > pages - request->count ||
		    skip > pages - request->count - (place - start))
			return NO_PLACE;
		place += skip;
		used = last_used(frames, place, request->count);
		if (used == NO_PLACE)
			return place;
		place = used + 1;
	}
	return NO_PLACE;
}

uint64_t lh_row_find(const lh_frames *frames, const struct row_request *request)
{
	for (uint32_t i = 0; i < frames->span_count; i++) {
		uint64_t place = find_in_span(frames, &frames->spans[i], request);

		if (place != NO_PLACE)
			return place;
	}
	return NO_PLACE;
}
