/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames in a row: first fit from the low end, exactly as many as asked for.
 *
 * A row never crosses a span, for the map joined all that touches. In a span the
 * search steps from one free frame to the next, aligned; a candidate row is scanned
 * from its end backwards, so a used frame found there skips all that lies before it.
 * Every word of the index is read about once: O(frames / 64) in the worst case, with
 * the lock held. That is for boot and device set-up, not for page faults.
 */
#include "physical/frames_internal.h"

struct request {
	uint64_t count;
	uint64_t alignment; /* a power of two */
	uint64_t limit;	    /* frame number that all lie below */
};

/* The lowest row in a span, by ordinal; NO_ORDINAL if there is none. => lock held. */
static uint64_t find_in_span(const lh_frames *frames, const struct frame_span *span,
			     const struct request *request)
{
	uint64_t pages = span->pages;
	uint64_t place = 0; /* from the span's base */

	if (request->limit <= span->base)
		return NO_ORDINAL;
	if (request->limit - span->base < pages)
		pages = request->limit - span->base;
	while (pages >= request->count && place <= pages - request->count) {
		uint64_t next = lh_index_next(frames, span->first + place);
		uint64_t skip, used;

		if (next == NO_ORDINAL || next - span->first > pages - request->count)
			break;
		place = next - span->first;
		skip = (0 - (span->base + place)) & (request->alignment - 1);
		if (skip > pages - request->count - place)
			break;
		place += skip;
		used = lh_index_last_clear(frames, span->first + place, request->count);
		if (used == NO_ORDINAL)
			return span->first + place;
		place = used + 1 - span->first;
	}
	return NO_ORDINAL;
}

static uint64_t find_row(const lh_frames *frames, const struct request *request)
{
	for (uint32_t i = 0; i < frames->span_count; i++) {
		uint64_t ordinal = find_in_span(frames, &frames->spans[i], request);

		if (ordinal != NO_ORDINAL)
			return ordinal;
	}
	return NO_ORDINAL;
}

static lh_error take_row(lh_frames *frames, const struct request *request, lh_frame_state state,
			 lh_frame_number *first)
{
	uintptr_t interrupts = lh_spin_lock(&frames->lock, LH_LOCK_FRAMES, frames->port);
	uint64_t ordinal = NO_ORDINAL;

	if (lh_frames_may_take_locked(frames, request->count, LH_FRAME_UNCHARGED))
		ordinal = find_row(frames, request);
	if (ordinal != NO_ORDINAL) {
		for (uint64_t i = 0; i < request->count; i++)
			lh_frames_take_locked(frames, ordinal + i, state, LH_FRAME_UNCHARGED);
		*first = lh_frames_number_locked(frames, ordinal);
	}
	lh_spin_unlock(&frames->lock, LH_LOCK_FRAMES, frames->port, interrupts);
	return ordinal != NO_ORDINAL ? LH_OK : LH_NO_MEMORY;
}

lh_error lh_frame_allocate_contiguous(lh_frames *frames, uint64_t count, uint64_t alignment,
				      uint64_t limit, lh_frame_state state, lh_frame_number *first)
{
	struct request request = { .count = count,
				   .alignment = alignment != 0 ? alignment : 1,
				   .limit = limit != 0 ? limit : UINT64_MAX };

	if (count == 0 || (request.alignment & (request.alignment - 1)) != 0 ||
	    !lh_frame_state_is_used(state))
		return LH_INVALID;
	if (LH_STEP_FAILS(frames, frames[state]))
		return LH_NO_MEMORY;
	LH_TRY(take_row(frames, &request, state, first));
	for (uint64_t i = 0; LH_DEBUG >= 2 && i < count; i++)
		lh_frame_check_poison(frames, lh_frame(first->value + i));
	return LH_OK;
}
