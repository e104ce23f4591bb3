/* SPDX-License-Identifier: BSD-2-Clause */
/* Pins of ranges against two counts a frame. */
#include "small_machine.h"

#define FRAMES 24

static lh_frames *frames;
static lh_frame_number first;
static unsigned pins[2][FRAMES];

static void begin(void)
{
	frames = small_machine(LH_CHARGE_STRICT, SPANS({ 9, 40 }));
	CHECK_OK(lh_frame_allocate_contiguous(frames, FRAMES, 1, 0, LH_FRAME_ANONYMOUS, &first));
	for (unsigned i = 0; i < FRAMES; i++)
		pins[0][i] = pins[1][i] = 0;
}

static void check_all(void)
{
	CHECK_SOUND(lh_frames_check(frames));
	for (unsigned i = 0; i < FRAMES; i++) {
		lh_frame_number frame = lh_frame(first.value + i);

		CHECK_EQUAL(lh_frame_pins(frames, frame, LH_PIN_SHORT), pins[LH_PIN_SHORT][i]);
		CHECK_EQUAL(lh_frame_pins(frames, frame, LH_PIN_LONG), pins[LH_PIN_LONG][i]);
		CHECK_EQUAL(lh_frame_entry_of(frames, frame)->holders,
			    1 + pins[LH_PIN_SHORT][i] + pins[LH_PIN_LONG][i]);
	}
}

static bool all_can_count(unsigned from, unsigned count, lh_pin_term term)
{
	for (unsigned i = from; i < from + count; i++)
		if (pins[term][i] == (term == LH_PIN_LONG ? LH_PINS_LONG_MOST : LH_PINS_SHORT_MOST))
			return false;
	return true;
}

static void random_pin(void)
{
	unsigned from = (unsigned)test_random_below(FRAMES);
	unsigned count = 1 + (unsigned)test_random_below(FRAMES - from);
	lh_pin_term term = test_random_below(2) ? LH_PIN_LONG : LH_PIN_SHORT;
	bool possible = all_can_count(from, count, term);

	CHECK_ERROR(lh_frame_pin(frames, lh_frame(first.value + from), count, term),
		    possible ? LH_OK : LH_LIMIT);
	for (unsigned i = from; possible && i < from + count; i++)
		pins[term][i]++;
}

static void random_unpin(void)
{
	unsigned from = (unsigned)test_random_below(FRAMES), count = 0;
	lh_pin_term term = test_random_below(2) ? LH_PIN_LONG : LH_PIN_SHORT;

	while (from + count < FRAMES && pins[term][from + count] != 0 && test_random_below(8))
		count++;
	lh_frame_unpin(frames, lh_frame(first.value + from), count, term);
	for (unsigned i = from; i < from + count; i++)
		pins[term][i]--;
}

TEST(random_pins_agree_with_counts)
{
	begin();
	for (unsigned step = 0; step < 6000; step++) {
		if (test_random_below(5) < (step < 3000 ? 4u : 1u))
			random_pin();
		else
			random_unpin();
		check_all();
	}
	check_all();
}

TEST(b23_neither_count_of_pins_runs_over)
{
	begin();
	for (unsigned i = 0; i < LH_PINS_SHORT_MOST; i++)
		CHECK_OK(lh_frame_pin(frames, first, 1, LH_PIN_SHORT));
	for (unsigned i = 0; i < LH_PINS_LONG_MOST; i++)
		CHECK_OK(lh_frame_pin(frames, first, 1, LH_PIN_LONG));
	pins[LH_PIN_SHORT][0] = LH_PINS_SHORT_MOST;
	pins[LH_PIN_LONG][0] = LH_PINS_LONG_MOST;
	CHECK_ERROR(lh_frame_pin(frames, first, FRAMES, LH_PIN_SHORT), LH_LIMIT);
	CHECK_ERROR(lh_frame_pin(frames, first, 1, LH_PIN_LONG), LH_LIMIT);
	check_all();
}

TEST(a_failed_pin_of_a_range_leaves_its_first_frames_as_they_were)
{
	begin();
	for (unsigned i = 0; i < LH_PINS_LONG_MOST; i++)
		CHECK_OK(lh_frame_pin(frames, lh_frame(first.value + 5), 1, LH_PIN_LONG));
	pins[LH_PIN_LONG][5] = LH_PINS_LONG_MOST;
	CHECK_ERROR(lh_frame_pin(frames, first, 9, LH_PIN_LONG), LH_LIMIT);
	check_all();
}

TEST(a_pin_outlives_the_other_holders)
{
	begin();
	CHECK_OK(lh_frame_pin(frames, first, 3, LH_PIN_LONG));
	for (unsigned i = 0; i < 3; i++)
		CHECK(!lh_frame_drop(frames, lh_frame(first.value + i)));
	CHECK_SOUND(lh_frames_check(frames));
	lh_frame_unpin(frames, first, 3, LH_PIN_LONG);
	CHECK_EQUAL(lh_frame_entry_of(frames, first)->state, LH_FRAME_FREE);
	CHECK_SOUND(lh_frames_check(frames));
}

TEST(unpinning_what_is_not_pinned_so_stops_the_machine)
{
	begin();
	CHECK_OK(lh_frame_pin(frames, first, 1, LH_PIN_LONG));
	CHECK_PANICS_SAYING("unpinned that has no such pin", lh_frame_unpin(frames, first, 1, LH_PIN_SHORT));
	begin();
	CHECK_PANICS_SAYING("a free frame was held",
			    (void)(lh_frame_pin(frames, lh_frame(first.value + FRAMES), 1, LH_PIN_SHORT) == LH_OK));
	begin();
	CHECK_PANICS_SAYING("no usable memory", (void)(lh_frame_pin(frames, lh_frame(8), 1, LH_PIN_SHORT) == LH_OK));
	CHECK_PANICS_SAYING("unpinned what is no usable memory", lh_frame_unpin(frames, lh_frame(8), 1, LH_PIN_SHORT));
}
