/* SPDX-License-Identifier: BSD-2-Clause */
#include "paging/pinned.h"

#include "base/assert.h"
#include "base/memory.h"

/* What stands in a frame that has no bytes of its own yet. */
struct link {
	uint64_t next;
	lh_frame_number source;
};

static void push(lh_frames *frames, uint64_t *chain, lh_frame_number frame, lh_frame_number source)
{
	struct link *link = lh_frame_pointer(frames, frame);

	*link = (struct link){ *chain, source };
	*chain = frame.value + 1;
}

static lh_frame_number pop(lh_frames *frames, uint64_t *chain, lh_frame_number *source)
{
	lh_frame_number frame = lh_frame(*chain - 1);
	const struct link *link = lh_frame_pointer(frames, frame);

	*source = link->source;
	*chain = link->next;
	return frame;
}

lh_error lh_pinned_copies_take(lh_frames *frames, uint64_t count, lh_pinned_copies *copies)
{
	lh_frame_number frame;

	for (; count > 0; count--) {
		lh_error error = lh_frame_allocate(frames, LH_FRAME_ANONYMOUS, LH_FRAME_CHARGED, &frame);

		if (error != LH_OK) {
			lh_pinned_copies_give_back(frames, copies);
			return error;
		}
		push(frames, &copies->spares, frame, lh_frame(LH_NO_FRAME));
	}
	return LH_OK;
}

void lh_pinned_copies_give_back(lh_frames *frames, lh_pinned_copies *copies)
{
	lh_frame_number none;

	while (copies->spares != 0)
		(void)lh_frame_drop(frames, pop(frames, &copies->spares, &none));
}

lh_frame_number lh_pinned_copies_make(lh_frames *frames, lh_frame_number source, lh_pinned_copies *copies)
{
	lh_frame_number none, frame;

	LH_REQUIRE(lh_frames_port(frames), copies->spares != 0);
	frame = pop(frames, &copies->spares, &none);
	lh_frame_hold(frames, source);
	lh_frame_hold(frames, frame);
	push(frames, &copies->made, frame, source);
	return frame;
}

void lh_pinned_copies_fill(lh_frames *frames, lh_pinned_copies *copies)
{
	while (copies->made != 0) {
		lh_frame_number source, frame = pop(frames, &copies->made, &source);

		memcpy(lh_frame_pointer(frames, frame), lh_frame_pointer(frames, source), LH_PAGE_SIZE);
		(void)lh_frame_drop(frames, source);
		(void)lh_frame_drop(frames, frame);
	}
}
