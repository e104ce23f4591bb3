/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames from all CPUs at once: single ones and those given out as one, zeroed ahead, pinned,
 * charged to accounts; with caches drained, counted and reclaimed meanwhile.
 */
#include <landhold/account.h>
#include <landhold/reclaim.h>

#include "threads/crowd.h"

#define CPUS 4
#define HELD 16

struct frames_test {
	test_world world;
	uint64_t random[CPUS];
	lh_account root, user[2];
	lh_shrinker shrinker;
	uint32_t cached_lock;
	lh_frame_number cached[64]; /* under cached_lock */
	uint64_t cached_count;
	uint64_t refused, reclaimed, counted;
};

struct held {
	lh_frame_number first;
	uint64_t count; /* 0: none */
	lh_account *account;
};

static uint64_t draw(struct frames_test *test, unsigned cpu, uint64_t below)
{
	return crowd_random(&test->random[cpu], below);
}

#define ADD(place) __atomic_add_fetch(&(place), 1, __ATOMIC_SEQ_CST)

/* Each frame has a word that names it and its CPU, as long as it is held. */
static void mark(struct frames_test *test, unsigned cpu, const struct held *held)
{
	for (uint64_t n = 0; n < held->count; n++)
		*(uint64_t *)lh_frame_pointer(test->world.frames, lh_frame(held->first.value + n)) =
			(held->first.value + n) << 8 | cpu;
}

static void check_mark(struct frames_test *test, unsigned cpu, const struct held *held)
{
	for (uint64_t n = 0; n < held->count; n++)
		REQUIRE_EQUAL(test->world.machine,
			      *(uint64_t *)lh_frame_pointer(test->world.frames,
							    lh_frame(held->first.value + n)),
			      (held->first.value + n) << 8 | cpu);
}

static void give_back(struct frames_test *test, unsigned cpu, struct held *held)
{
	lh_frames *frames = test->world.frames;

	check_mark(test, cpu, held);
	(void)lh_frame_drop(frames, held->first);
	if (held->account)
		lh_account_give_back(held->account, held->count);
	held->count = 0;
}

/* Charged ones were promised: they must be had. Of several in a row that is not so. */
static void take(struct frames_test *test, unsigned cpu, struct held *held)
{
	lh_frames *frames = test->world.frames;
	unsigned order = draw(test, cpu, 4) == 0 ? (unsigned)draw(test, cpu, 10) : 0;
	bool zeroed = order == 0 && draw(test, cpu, 3) == 0;
	lh_frame_state state = draw(test, cpu, 2) ? LH_FRAME_KERNEL : LH_FRAME_ANONYMOUS;
	lh_frame_source source = LH_FRAME_UNCHARGED;
	lh_error error;

	held->account = NULL;
	if (order == 0 && draw(test, cpu, 3) == 0) {
		held->account = &test->user[draw(test, cpu, 2)];
		if (lh_account_take(held->account, 1, NULL) != LH_OK) {
			ADD(test->refused);
			return;
		}
		source = LH_FRAME_CHARGED;
	}
	error = zeroed ? lh_frame_allocate_zeroed(frames, state, source, &held->first)
		       : lh_frame_allocate_order(frames, order, LH_ANY_NODE, state, source,
						 &held->first);
	REQUIRE(test->world.machine, error == LH_OK || source == LH_FRAME_UNCHARGED);
	if (error != LH_OK) {
		ADD(test->refused);
		return;
	}
	held->count = UINT64_C(1) << order;
	for (uint64_t i = 0; zeroed && i < 512; i += 37)
		REQUIRE_EQUAL(test->world.machine,
			      ((uint64_t *)lh_frame_pointer(frames, held->first))[i], 0);
	mark(test, cpu, held);
}

static void pin_and_unpin(struct frames_test *test, unsigned cpu, struct held *held)
{
	lh_pin_term term = draw(test, cpu, 2) ? LH_PIN_LONG : LH_PIN_SHORT;

	REQUIRE_EQUAL(test->world.machine, lh_frame_pin(test->world.frames, held->first, 1, term),
		      LH_OK);
	check_mark(test, cpu, held);
	lh_frame_unpin(test->world.frames, held->first, 1, term);
}

/* --- A cache that a shrinker empties --- */

static void cache_lock(struct frames_test *test)
{
	while (__atomic_exchange_n(&test->cached_lock, 1, __ATOMIC_ACQUIRE) != 0)
		lh_port_pause(test->world.machine);
}

static void cache_unlock(struct frames_test *test)
{
	__atomic_store_n(&test->cached_lock, 0, __ATOMIC_RELEASE);
}

static void fill_cache(struct frames_test *test)
{
	lh_frame_number frame;

	if (lh_frame_allocate(test->world.frames, LH_FRAME_OBJECT, LH_FRAME_UNCHARGED, &frame) !=
	    LH_OK)
		return;
	cache_lock(test);
	if (test->cached_count < 64) {
		test->cached[test->cached_count++] = frame;
		frame = lh_frame(LH_NO_FRAME);
	}
	cache_unlock(test);
	if (!lh_frame_is_none(frame))
		(void)lh_frame_drop(test->world.frames, frame);
}

static uint64_t scan(lh_shrinker *shrinker, unsigned priority, uint64_t most)
{
	struct frames_test *test = (struct frames_test *)(void *)((char *)shrinker -
						offsetof(struct frames_test, shrinker));
	uint64_t freed = 0;

	(void)priority;
	cache_lock(test);
	for (; freed < most && test->cached_count != 0; freed++)
		(void)lh_frame_drop(test->world.frames, test->cached[--test->cached_count]);
	cache_unlock(test);
	return freed;
}

/* --- All together --- */

static void aside(struct frames_test *test, unsigned cpu)
{
	lh_frame_counters counters;

	switch (draw(test, cpu, 24)) {
	case 0:
		lh_frames_drain(test->world.frames);
		break;
	case 1:
		lh_frames_read_counters(test->world.frames, &counters);
		REQUIRE(test->world.machine, counters.free <= counters.total);
		for (unsigned state = 0; state < LH_FRAME_STATE_COUNT; state++)
			counters.free += counters.used[state];
		REQUIRE_EQUAL(test->world.machine, counters.free, counters.total);
		ADD(test->counted);
		break;
	case 2:
		if (lh_frames_reclaim(test->world.frames, 1) != 0)
			ADD(test->reclaimed);
		break;
	case 3:
	case 4:
	case 5:
		(void)lh_frames_idle(test->world.frames);
		break;
	case 6:
	case 7:
		fill_cache(test);
		break;
	default:
		break;
	}
}

static void use_frames(void *context, unsigned cpu)
{
	struct frames_test *test = context;
	struct held held[HELD] = { { { 0 }, 0, NULL } };

	for (unsigned round = 0; round < 3000; round++) {
		struct held *one = &held[draw(test, cpu, HELD)];

		machine_step(test->world.machine, "frames");
		if (one->count == 0)
			take(test, cpu, one);
		else if (draw(test, cpu, 4) == 0)
			pin_and_unpin(test, cpu, one);
		else
			give_back(test, cpu, one);
		aside(test, cpu);
	}
	for (unsigned n = 0; n < HELD; n++)
		if (held[n].count != 0)
			give_back(test, cpu, &held[n]);
	machine_meet(test->world.machine);
	if (cpu == 0)
		(void)lh_frames_reclaim(test->world.frames, UINT64_MAX);
}

TEST(all_that_frames_do_from_all_cpus)
{
	struct frames_test test = { .shrinker = { .scan = scan } };
	lh_account *children[] = { &test.user[0], &test.user[1] };
	crowd_before before;

	crowd_open(&test.world, 2048, CPUS);
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		test.random[cpu] = test_random();
	CHECK_OK(lh_account_open(&test.root, test.world.frames, NULL, 20));
	CHECK_OK(lh_account_open(&test.user[0], test.world.frames, &test.root, 15));
	CHECK_OK(lh_account_open(&test.user[1], test.world.frames, &test.root, 15));
	lh_shrinker_add(test.world.frames, &test.shrinker);
	before = crowd_note(&test.world);
	crowd_run(&test.world, use_frames, &test);
	lh_shrinker_remove(test.world.frames, &test.shrinker);
	crowd_compare(&test.world, &before);
	CHECK_SOUND(lh_account_check(&test.root, children, 2, 0));
	CHECK_EQUAL(lh_account_charged(&test.root), 0);
	CHECK(test.refused != 0 && test.reclaimed != 0 && test.counted != 0);
	lh_account_close(&test.user[0]);
	lh_account_close(&test.user[1]);
	lh_account_close(&test.root);
	world_close(&test.world);
}
