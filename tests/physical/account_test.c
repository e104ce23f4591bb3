/* SPDX-License-Identifier: BSD-2-Clause */
/* Accounts against a table of what was promised to each. */
#include "small_machine.h"

#include <landhold/account.h>

#define ACCOUNTS 14
#define FRAMES 300

static lh_frames *frames;
static lh_account accounts[ACCOUNTS];
static int parent_of[ACCOUNTS]; /* -1: a root */
static uint64_t own[ACCOUNTS];	/* promised to each itself */
static uint64_t nobodys;	/* promised without an account */

static uint64_t below(int n)
{
	uint64_t sum = own[n];

	for (int i = 0; i < ACCOUNTS; i++)
		if (parent_of[i] == n)
			sum += below(i);
	return sum;
}

static uint64_t all(void)
{
	uint64_t sum = nobodys;

	for (int i = 0; i < ACCOUNTS; i++)
		sum += own[i];
	return sum;
}

static void begin(void)
{
	frames = small_machine(LH_CHARGE_STRICT, SPANS({ 0, FRAMES }));
	nobodys = 0;
	for (int i = 0; i < ACCOUNTS; i++) {
		parent_of[i] = i < 2 ? -1 : (int)test_random_below((uint64_t)i);
		own[i] = 0;
		CHECK_OK(lh_account_open(&accounts[i], frames,
					 i < 2 ? NULL : &accounts[parent_of[i]],
					 20 + test_random_below(200)));
	}
}

static void check_all(void)
{
	lh_frame_counters counters;

	for (int n = 0; n < ACCOUNTS; n++) {
		lh_account *children[ACCOUNTS];
		size_t count = 0;

		for (int i = 0; i < ACCOUNTS; i++)
			if (parent_of[i] == n)
				children[count++] = &accounts[i];
		CHECK_SOUND(lh_account_check(&accounts[n], children, count, own[n]));
		CHECK_EQUAL(lh_account_charged(&accounts[n]), below(n));
	}
	lh_frames_read_counters(frames, &counters);
	CHECK_EQUAL(counters.committed, all());
	CHECK_SOUND(lh_frames_check(frames));
	CHECK_EQUAL(small_machine_interrupts_off, 0);
}

/* Who refuses first, from the account up to before another; -1: nobody. */
static int refuser(int n, int above, uint64_t pages)
{
	for (; n != above; n = parent_of[n])
		if (below(n) + pages > accounts[n].limit)
			return n;
	return -1;
}

static void random_take(void)
{
	int n = (int)test_random_below(ACCOUNTS);
	uint64_t pages = test_random_below(40);
	int expected = refuser(n, -1, pages);
	lh_account *refused = NULL;

	CHECK_ERROR(lh_account_take(&accounts[n], pages, &refused),
		    expected >= 0		? LH_LIMIT
		    : all() + pages > FRAMES ? LH_NO_MEMORY
						: LH_OK);
	CHECK(refused == (expected >= 0 ? &accounts[expected] : NULL));
	if (expected < 0 && all() + pages <= FRAMES)
		own[n] += pages;
}

static bool is_at_or_below(int n, int other)
{
	while (n != other && n >= 0)
		n = parent_of[n];
	return n == other;
}

static uint64_t *own_of(int n)
{
	return n < 0 ? &nobodys : &own[n];
}

/* From an account to another, or to or from none. */
static void random_move(void)
{
	int to = (int)test_random_below(ACCOUNTS + 1) - 1;
	int from = (int)test_random_below(to < 0 ? ACCOUNTS : ACCOUNTS + 1) - (to >= 0);
	uint64_t pages = test_random_below(*own_of(from) + 1);
	int above = to, expected;

	while (above >= 0 && !is_at_or_below(from, above))
		above = parent_of[above];
	expected = refuser(to, above, pages);
	CHECK_ERROR(lh_account_move(from < 0 ? NULL : &accounts[from], to < 0 ? NULL : &accounts[to], pages, NULL),
		    expected >= 0 ? LH_LIMIT : LH_OK);
	if (expected < 0) {
		*own_of(from) -= pages;
		*own_of(to) += pages;
	}
}

TEST(random_promises_in_a_tree_agree_with_a_table)
{
	for (unsigned round = 0; round < 20; round++) {
		begin();
		for (unsigned step = 0; step < 400; step++) {
			int n = (int)test_random_below(ACCOUNTS);

			small_machine_cpu = (unsigned)test_random_below(3);
			if (test_random_below(2) == 0)
				random_take();
			else if (test_random_below(3) == 0)
				random_move();
			else if (test_random_below(8) == 0)
				lh_account_set_limit(&accounts[n], test_random_below(250));
			else if (own[n] != 0) {
				uint64_t pages = 1 + test_random_below(own[n]);

				lh_account_give_back(&accounts[n], pages);
				own[n] -= pages;
			}
			check_all();
		}
		for (int n = ACCOUNTS - 1; n >= 0; n--) {
			lh_account_give_back(&accounts[n], own[n]);
			own[n] = 0;
			check_all();
		}
		for (int n = ACCOUNTS - 1; n >= 0; n--)
			lh_account_close(&accounts[n]);
		lh_charge_give_back(frames, nobodys);
		nobodys = 0;
		CHECK_EQUAL(all(), 0);
	}
}

TEST(b26_what_was_promised_cannot_be_given_back_twice)
{
	begin();
	CHECK_OK(lh_account_take(&accounts[0], 10, NULL));
	CHECK_OK(lh_account_take(&accounts[1], 10, NULL));
	lh_account_give_back(&accounts[0], 10);
	CHECK_PANICS(lh_account_give_back(&accounts[0], 1)); /* though the machine owes 10 */
}

#if LH_DEBUG >= 2
TEST(a_promise_that_the_allocator_refuses_is_counted_nowhere)
{
	begin();
	CHECK_OK(lh_account_take(&accounts[0], 3, NULL));
	own[0] = 3;
	lh_frames_fail_at(frames, 1);
	CHECK_ERROR(lh_account_take(&accounts[0], 3, NULL), LH_NO_MEMORY);
	lh_frames_fail_at(frames, 0);
	check_all();
}
#endif

TEST(an_account_in_use_cannot_be_closed_and_a_tree_has_a_bounded_height)
{
	lh_account chain[LH_ACCOUNT_LEVELS_MOST + 1];

	begin();
	for (unsigned i = 0; i < LH_ACCOUNT_LEVELS_MOST; i++)
		CHECK_OK(lh_account_open(&chain[i], frames, i ? &chain[i - 1] : NULL,
					 LH_NO_ACCOUNT_LIMIT));
	CHECK_ERROR(lh_account_open(&chain[LH_ACCOUNT_LEVELS_MOST], frames,
				    &chain[LH_ACCOUNT_LEVELS_MOST - 1], LH_NO_ACCOUNT_LIMIT),
		    LH_LIMIT);
	lh_account_close(&chain[LH_ACCOUNT_LEVELS_MOST - 1]);
	CHECK_PANICS(lh_account_close(&chain[0]));
}
