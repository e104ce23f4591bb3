/* SPDX-License-Identifier: BSD-2-Clause */
/* Shrinkers: in which context they are called, how often, and for how much. */
#include "small_machine.h"

#include <landhold/reclaim.h>

struct cache {
	lh_shrinker shrinker; /* first: a shrinker is its cache */
	lh_frame_number kept[400];
	unsigned count;
	uint64_t calls, most, priorities;
};

static lh_frames *frames;

/* Gives back half of what it may look at; does with frames what callers under a lock could not. */
static uint64_t scan(lh_shrinker *shrinker, unsigned priority, uint64_t most)
{
	struct cache *cache = (struct cache *)shrinker;
	uint64_t freed = 0;
	lh_frame_number frame;

	CHECK_EQUAL(small_machine_interrupts_off, 0);
	cache->calls++;
	cache->priorities = cache->priorities * 10 + priority;
	cache->most = most;
	for (uint64_t looked = 0; looked < most && cache->count != 0; looked += 2, freed++)
		(void)lh_frame_drop(frames, cache->kept[--cache->count]);
	if (lh_frame_allocate(frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &frame) == LH_OK)
		(void)lh_frame_drop(frames, frame);
	lh_frames_drain(frames);
	CHECK_SOUND(lh_frames_check(frames));
	return freed;
}

static struct cache *fill(struct cache *cache, unsigned count)
{
	*cache = (struct cache){ .shrinker = { .scan = scan } };
	while (cache->count < count)
		CHECK_OK(lh_frame_allocate(frames, LH_FRAME_OBJECT, LH_FRAME_UNCHARGED,
					   &cache->kept[cache->count++]));
	lh_shrinker_add(frames, &cache->shrinker);
	return cache;
}

TEST(a22_shrinkers_run_under_no_lock_gently_first_and_by_bounded_amounts)
{
	static struct cache a, b;

	frames = small_machine(LH_CHARGE_STRICT, SPANS({ 0, 600 }));
	fill(&a, 300);
	fill(&b, 200);
	CHECK_EQUAL(lh_frames_reclaim(frames, 20), 64); /* one round of each */
	CHECK_EQUAL(a.calls + b.calls, 2);
	CHECK_EQUAL(a.most, LH_RECLAIM_BATCH);
	CHECK_EQUAL(a.priorities, LH_RECLAIM_GENTLEST);
	CHECK_EQUAL(lh_frames_reclaim(frames, 150), 32 * 2 + 64 * 2);
	CHECK_EQUAL(a.priorities, 554); /* each call of a reclaim is more urgent than the last */
	CHECK_EQUAL(lh_frames_reclaim(frames, UINT64_MAX), 500 - 64 - 192);
	CHECK_EQUAL(a.calls, 3 + LH_RECLAIM_GENTLEST + 1); /* it ends though little was freed */
	CHECK_EQUAL(a.count + b.count, 0);
	lh_shrinker_remove(frames, &b.shrinker);
	CHECK_EQUAL(lh_frames_reclaim(frames, 1), 0);
	CHECK_EQUAL(b.calls, 3 + LH_RECLAIM_GENTLEST + 1);
	lh_shrinker_remove(frames, &a.shrinker);
	CHECK_EQUAL(lh_frames_reclaim(frames, 1), 0);
}

TEST(a_shortage_is_told_from_the_low_mark_to_the_high_one_and_nobody_is_called)
{
	lh_watermarks marks;
	lh_frame_number frame;
	lh_frame_counters counters;

	frames = small_machine(LH_CHARGE_STRICT, SPANS({ 0, 2048 }));
	marks = lh_frames_watermarks(frames);
	CHECK_EQUAL(marks.low, 32);
	CHECK_EQUAL(marks.high, 64);
	for (uint64_t n = 2048; n > 0; n--) {
		small_machine_called = (lh_cpu_set){ { 0 } };
		CHECK_EQUAL(lh_frames_shortage(frames), n < marks.low ? marks.high - n : 0);
		CHECK(lh_frames_have(frames, n));
		CHECK_EQUAL(small_machine_called.bits[0], 0);
		small_machine_cpu = (unsigned)n % 3;
		CHECK_OK(lh_frame_allocate(frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &frame));
	}
	lh_frames_read_counters(frames, &counters);
	CHECK_EQUAL(counters.free, 0);
}

TEST(the_marks_have_limits_for_little_and_for_much_memory)
{
	lh_watermarks marks;

	frames = small_machine(LH_CHARGE_STRICT, SPANS({ 0, 200 }));
	marks = lh_frames_watermarks(frames);
	CHECK_EQUAL(marks.low, 16);
	CHECK_EQUAL(marks.high, 32);
	frames = small_machine(LH_CHARGE_STRICT, SPANS({ 0, 1 << 21 })); /* 8 GiB */
	marks = lh_frames_watermarks(frames);
	CHECK_EQUAL(marks.low, 16384);
	CHECK_EQUAL(marks.high, 32768);
}
