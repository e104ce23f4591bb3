/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Failure on demand: every operation that can run out of memory counts a step, and
 * the n-th fails when asked to. Compiled into test builds only (LH_DEBUG 2); nothing is counted,
 * and no line written that CPUs share, before the first time that it is asked.
 */
#include "physical/frames_internal.h"

#if LH_DEBUG >= 2

bool lh_frames_step_fails(lh_frames *frames, uint64_t *kind)
{
	uint64_t step;

	if (!lh_atomic_load_relaxed(&frames->counting))
		return false;
	step = lh_atomic_add(&frames->steps.total, 1u) + 1;
	(void)lh_atomic_add(kind, 1u);
	return step == lh_atomic_load_relaxed(&frames->fail_at);
}

void lh_frames_fail_at(lh_frames *frames, uint64_t step)
{
	frames->steps = (lh_frame_steps){ 0 };
	lh_atomic_store(&frames->counting, true);
	lh_atomic_store(&frames->fail_at, step);
}

uint64_t lh_frames_steps(lh_frames *frames)
{
	return lh_atomic_load(&frames->steps.total);
}

void lh_frames_read_steps(lh_frames *frames, lh_frame_steps *steps)
{
	*steps = frames->steps;
}

#else

/* ISO C wants a declaration in every file. */
typedef int lh_no_steps;

#endif
