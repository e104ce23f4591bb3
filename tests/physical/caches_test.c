/* SPDX-License-Identifier: BSD-2-Clause */
/* What CPUs keep, and how others come by it; promises meanwhile. */
#include <string.h>

#include <landhold/account.h>
#include <landhold/frames.h>

#include "physical/frames_internal.h"
#include "small_machine.h"

static lh_frames *frames;

static void begin(uint64_t count)
{
	frames = small_machine(LH_CHARGE_STRICT, SPANS({ 512, count }));
	small_machine_cpu = 0;
}

static lh_frame_counters now(void)
{
	lh_frame_counters counters;

	lh_frames_read_counters(frames, &counters);
	CHECK_SOUND(lh_frames_check(frames));
	return counters;
}

static lh_error take(lh_frame_source source)
{
	lh_frame_number frame;

	return lh_frame_allocate(frames, LH_FRAME_ANONYMOUS, source, &frame);
}

static uint64_t take_all(lh_frame_source source)
{
	uint64_t count = 0;

	while (take(source) == LH_OK)
		count++;
	return count;
}

/* So that a CPU keeps single frames, eights and a block, if there are any. */
static void keep_some(unsigned cpu)
{
	static const unsigned orders[] = { 0, 3, 9 };
	lh_frame_number frame;

	small_machine_cpu = cpu;
	for (unsigned i = 0; i < 3; i++)
		if (lh_frame_allocate_order(frames, orders[i], LH_ANY_NODE, LH_FRAME_ANONYMOUS,
					    LH_FRAME_UNCHARGED, &frame) == LH_OK)
			CHECK(lh_frame_drop(frames, frame));
	small_machine_cpu = 0;
}

TEST(what_every_cpu_keeps_is_found_before_a_refusal_and_they_are_called_for_it)
{
	begin(4000);
	keep_some(1);
	keep_some(3);
	small_machine_called = (lh_cpu_set){ { 0 } };
	CHECK_EQUAL(take_all(LH_FRAME_UNCHARGED), 4000);
	CHECK_EQUAL(small_machine_called.bits[0], 1 << 1 | 1 << 3); /* not the one that calls */
	CHECK_EQUAL(now().free, 0);
}

TEST(a_cpu_that_is_alone_is_not_called)
{
	begin(100);
	small_machine_called = (lh_cpu_set){ { 0 } };
	CHECK_EQUAL(take_all(LH_FRAME_UNCHARGED), 100);
	CHECK_EQUAL(now().free, 0);
	CHECK_EQUAL(small_machine_called.bits[0], 0);
}

TEST(with_interrupts_off_nobody_is_called_and_promises_are_kept)
{
	uintptr_t interrupts;
	uint64_t taken;

	begin(4000);
	keep_some(1);
	keep_some(2);
	CHECK_OK(lh_charge_take(frames, 1000));
	interrupts = lh_port_interrupts_off(NULL); /* a call would fail now */
	taken = take_all(LH_FRAME_UNCHARGED);
	CHECK(taken <= 3000 && taken + 1200 >= 3000); /* but for a block and some on each CPU */
	for (unsigned i = 0; i < 1000; i++)
		CHECK_OK(take(LH_FRAME_CHARGED));
	lh_port_interrupts_restore(NULL, interrupts);
	CHECK_EQUAL(taken + take_all(LH_FRAME_UNCHARGED), 3000);
	CHECK_EQUAL(now().free, 0);
}

TEST(a_cpu_puts_what_it_kept_in_common_when_it_sees_that_little_is_left)
{
	uintptr_t interrupts;
	uint64_t taken;

	begin(4000);
	keep_some(1);
	interrupts = lh_port_interrupts_off(NULL);
	taken = take_all(LH_FRAME_UNCHARGED);
	CHECK(taken < 4000);
	small_machine_cpu = 1;
	CHECK(!lh_frames_idle(frames));
	small_machine_cpu = 0;
	CHECK_EQUAL(taken + take_all(LH_FRAME_UNCHARGED), 4000);
	lh_port_interrupts_restore(NULL, interrupts);
	CHECK_EQUAL(now().free, 0);
}

TEST(charges_of_all_cpus_are_gathered_and_given_back_wherever)
{
	lh_account account;

	begin(100);
	CHECK_OK(lh_account_open(&account, frames, NULL, 1000));
	for (small_machine_cpu = 0; small_machine_cpu < 4; small_machine_cpu++)
		CHECK_OK(lh_account_take(&account, 10, NULL));
	small_machine_cpu = 5;
	CHECK_OK(lh_account_take(&account, 60, NULL));
	CHECK_ERROR(lh_account_take(&account, 1, NULL), LH_NO_MEMORY);
	CHECK_EQUAL(lh_account_charged(&account), 100);
	small_machine_cpu = 6;
	lh_account_give_back(&account, 100);
	CHECK_EQUAL(now().committed, 0);
	CHECK_OK(lh_charge_take(frames, 100));
	lh_charge_give_back(frames, 100);
	lh_account_close(&account);
}

TEST(a_charge_given_back_with_interrupts_off_may_be_another_cpus)
{
	uintptr_t interrupts;

	begin(100);
	small_machine_cpu = 1;
	CHECK_OK(lh_charge_take(frames, 30));
	small_machine_cpu = 0;
	interrupts = lh_port_interrupts_off(NULL);
	lh_charge_give_back(frames, 20);
	lh_port_interrupts_restore(NULL, interrupts);
	CHECK_EQUAL(now().committed, 10);
	lh_charge_give_back(frames, 11);
	CHECK_PANICS((void)now());
}

/* One CPU takes promises and another gives them back, as where a program moves: nobody is asked, and no
 * CPU hoards what the other lacks. */
TEST(a_charge_given_back_by_another_cpu_calls_nobody)
{
	begin(4000);
	small_machine_cpu = 1;
	CHECK_OK(lh_charge_take(frames, 1));
	small_machine_called = (lh_cpu_set){ { 0 } };
	for (unsigned i = 0; i < 10000; i++) {
		small_machine_cpu = 1;
		CHECK_OK(lh_charge_take(frames, 1));
		small_machine_cpu = 2;
		lh_charge_give_back(frames, 1);
		if (i % 1000 == 0)
			CHECK_SOUND(lh_frames_check(frames));
	}
	CHECK_EQUAL(small_machine_called.bits[0], 0);
	CHECK_EQUAL(now().committed, 1);
}

/* Nor does a CPU hoard what it was given back at once. */
TEST(many_promises_given_back_are_had_by_others_without_a_call)
{
	begin(4000);
	small_machine_cpu = 1;
	CHECK_OK(lh_charge_take(frames, 3000));
	lh_charge_give_back(frames, 3000);
	small_machine_called = (lh_cpu_set){ { 0 } };
	small_machine_cpu = 2;
	CHECK_OK(lh_charge_take(frames, 3500));
	CHECK_EQUAL(small_machine_called.bits[0], 0);
	CHECK_EQUAL(now().committed, 3500);
}

/* --- Counters --- */

static void use_frames_at_1(void)
{
	unsigned cpu = small_machine_cpu;

	small_machine_on_call = NULL;
	keep_some(1);
	small_machine_cpu = cpu;
}

TEST(who_only_counts_leaves_what_cpus_keep_where_it_is)
{
	begin(4000);
	keep_some(1);
	small_machine_on_call = use_frames_at_1;
	CHECK_EQUAL(now().free, 4000);
	CHECK(frames->caches[1].in_use && frames->caches[1].keeps[KEEP_BLOCK].count != 0);
	CHECK_EQUAL(frames->gathering, 0);
	CHECK_EQUAL(frames->freezing, 0);
}

static void check_estimate(void)
{
	lh_frame_counters estimate, exact;

	small_machine_called = (lh_cpu_set){ { 0 } };
	lh_frames_estimate_counters(frames, &estimate);
	CHECK_EQUAL(small_machine_called.bits[0], 0);
	exact = now();
	CHECK(memcmp(&estimate, &exact, sizeof exact) == 0);
}

TEST(an_estimate_calls_nobody_and_is_exact_while_nothing_changes)
{
	lh_frame_number frame;

	begin(4000);
	for (unsigned i = 0; i < 400; i++) {
		small_machine_cpu = (unsigned)test_random_below(4);
		CHECK_OK(lh_charge_take(frames, 2));
		CHECK_OK(lh_frame_allocate(frames, LH_FRAME_ANONYMOUS,
					   test_random_below(2) ? LH_FRAME_CHARGED : LH_FRAME_UNCHARGED,
					   &frame));
		small_machine_cpu = (unsigned)test_random_below(4);
		if (i % 3 != 0)
			CHECK(lh_frame_drop(frames, frame));
		lh_charge_give_back(frames, 1);
		(void)lh_frames_idle(frames);
		check_estimate();
	}
}

/* What other CPUs do meanwhile may make a sum of parts less than nothing, or more than there is. */
TEST(an_estimate_never_wraps)
{
	lh_frame_counters estimate;

	begin(4000);
	frames->caches[2].committed = -5;
	frames->caches[2].taken[STATES_ROOM + LH_FRAME_TABLE] = UINT64_C(0) - 7;
	frames->caches[2].keeps[KEEP_BLOCK].count = 1;
	lh_frames_estimate_counters(frames, &estimate);
	CHECK_EQUAL(estimate.committed, 0);
	CHECK_EQUAL(estimate.used[LH_FRAME_TABLE], 0);
	CHECK_EQUAL(estimate.charged_in_use, 0);
	CHECK_EQUAL(estimate.free, 4000);
}

/* Where promises run out, as where frames do: nobody keeps any, so nobody has to be asked for the next. */
TEST(cpus_are_not_called_again_and_again_when_promises_run_out)
{
	lh_frame_number frame;

	begin(4000);
	CHECK_OK(lh_charge_take(frames, 3990));
	for (unsigned i = 0; i < 100; i++) {
		small_machine_cpu = (i + 1) % 4;
		CHECK_OK(lh_frame_allocate(frames, LH_FRAME_ANONYMOUS, LH_FRAME_CHARGED, &frame));
		CHECK(lh_frame_drop(frames, frame));
		small_machine_cpu = i % 4;
		(void)(lh_charge_take(frames, 1) == LH_OK);
		if (i == 20)
			small_machine_called = (lh_cpu_set){ { 0 } };
	}
	CHECK_EQUAL(small_machine_called.bits[0], 0);
	CHECK_EQUAL(now().committed, 4000);
	lh_charge_give_back(frames, 4000);
	CHECK(!frames->scarce);
	CHECK_EQUAL(now().committed, 0);
}

/* --- B30: what comes twice to the index, by whatever way it went past the holders' count --- */

static const char twice[] = "a frame was given back twice";

/* A frame, or the last of 2^order, is free in the index already when it comes. */
static void give_last_of(unsigned order)
{
	lh_frame_number first;
	uint32_t place;

	begin(4000);
	CHECK_OK(lh_frame_allocate_order(frames, order, LH_ANY_NODE, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &first));
	CHECK_EQUAL(first.value % (UINT64_C(1) << order), 0);
	place = (uint32_t)(first.value + (UINT64_C(1) << order) - 1 - 512);
	CHECK_EQUAL(lh_place_frame(frames, place).value + 1, first.value + (UINT64_C(1) << order));
	lh_blocks_give(frames, &place, 1, 0);
	CHECK_PANICS_SAYING(twice, (lh_frame_drop(frames, first), lh_frames_drain(frames)));
}

TEST(b30_what_comes_twice_to_the_index_stops_the_machine)
{
	give_last_of(0);  /* one by one */
	give_last_of(3);  /* eights */
	give_last_of(6);  /* a part of a block */
	give_last_of(9);  /* a block */
	give_last_of(10); /* blocks */
}

/* --- Loans --- */

TEST(a_loan_is_had_only_where_there_is_plenty_and_is_a_promise_meanwhile)
{
	begin(200);
	CHECK(!lh_charge_lend(frames, 1));
	CHECK_EQUAL(now().committed, 0);
	begin(6000);
	CHECK(lh_charge_lend(frames, 2));
	CHECK_EQUAL(now().committed, 2);
	lh_charge_give_back_loan(frames, 2);
	CHECK_EQUAL(now().committed, 0);
	CHECK_OK(lh_charge_take(frames, 5900));
	CHECK(!lh_charge_lend(frames, 1));
	frames = small_machine(LH_CHARGE_HEURISTIC, SPANS({ 512, 6000 }));
	CHECK(lh_charge_lend(frames, 2));
	lh_charge_give_back_loan(frames, 2);
	CHECK_EQUAL(now().committed, 0);
}

/* --- A20: the promise of a page, and the frames that fulfil it one after the other --- */

#define PAGES 50

TEST(a20_a_page_is_charged_once_however_often_its_frame_is_replaced)
{
	lh_frame_number page[PAGES], copy;
	lh_frame_counters counters;

	begin(PAGES + 1); /* one for the copy, while the old frame is still held */
	CHECK_OK(lh_charge_take(frames, PAGES));
	for (unsigned i = 0; i < PAGES; i++)
		CHECK_OK(lh_frame_allocate(frames, LH_FRAME_ANONYMOUS, LH_FRAME_CHARGED, &page[i]));
	for (unsigned n = 0; n < 500; n++) {
		lh_frame_number *one = &page[test_random_below(PAGES)];

		small_machine_cpu = (unsigned)test_random_below(4);
		CHECK_OK(lh_frame_allocate(frames, LH_FRAME_ANONYMOUS, LH_FRAME_CHARGED, &copy));
		small_machine_cpu = (unsigned)test_random_below(4);
		CHECK(lh_frame_drop(frames, *one));
		*one = copy;
		counters = now();
		CHECK_EQUAL(counters.committed, PAGES);
		CHECK_EQUAL(counters.charged_in_use, PAGES);
		CHECK_EQUAL(counters.free, 1);
	}
	CHECK_OK(take(LH_FRAME_UNCHARGED)); /* nobody was promised it */
	CHECK_ERROR(take(LH_FRAME_UNCHARGED), LH_NO_MEMORY);
}

/* --- A21: a promise that goes while a frame is had for it --- */

/* The books are the allocator's and not an object that could be gone: a frame had on a promise that was
 * given back meanwhile is there, counted, and leaves others theirs. */
TEST(a21_a_promise_given_back_before_its_frame_comes_leaves_the_books_right)
{
	lh_frame_number frame;

	begin(40);
	CHECK_OK(lh_charge_take(frames, 20));
	CHECK_OK(lh_charge_take(frames, 1));
	lh_charge_give_back(frames, 1); /* made volatile, by another CPU */
	CHECK_OK(lh_frame_allocate(frames, LH_FRAME_ANONYMOUS, LH_FRAME_CHARGED, &frame));
	CHECK_EQUAL(now().charged_in_use, 1);
	CHECK_EQUAL(now().committed, 20);
	CHECK(lh_frame_drop(frames, frame)); /* who had it looks again, and does without */
	CHECK_EQUAL(take_all(LH_FRAME_UNCHARGED), 20);
	for (unsigned i = 0; i < 20; i++)
		CHECK_OK(take(LH_FRAME_CHARGED));
	CHECK_EQUAL(now().free, 0);
}
