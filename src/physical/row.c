/* SPDX-License-Identifier: BSD-2-Clause */
/* Entries of many frames, for who has found one of them: looked up once a row of memory. */
#include "physical/frames_internal.h"

lh_frame_row lh_frame_row_of(lh_frames *frames, lh_frame_number frame)
{
	const struct frame_span *span = lh_frames_span(frames, frame);

	if (!span)
		return (lh_frame_row){ frame.value, 0, NULL };
	return (lh_frame_row){ span->base, span->pages, &frames->entries[span->first] };
}
