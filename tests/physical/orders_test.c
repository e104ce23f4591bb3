/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames given out as one, on several CPUs and nodes, against a byte a frame. The memory has
 * holes, pieces smaller than a block and larger than 4 MiB.
 */
#include "small_machine.h"

#include <string.h>

#define FRAMES_MOST 12000
#define CPUS 5
#define HELD_MOST 4096

static lh_frames *frames;
static uint64_t number[FRAMES_MOST]; /* of each frame, in order */
static unsigned node[FRAMES_MOST];
static bool used[FRAMES_MOST];
static uint64_t total, in_use;
static uint64_t promised, charged_in_use;

static struct held {
	uint64_t index; /* of its first */
	unsigned order;
	lh_frame_source source;
} held[HELD_MOST];
static uint64_t held_count;

static unsigned node_of(uint64_t frame, const lh_node_range *ranges, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (frame >= ranges[i].base && frame - ranges[i].base < ranges[i].pages)
			return ranges[i].node;
	return 0;
}

static void begin(lh_charge_policy policy, const lh_node_range *ranges, size_t range_count,
		  const struct span *spans, size_t count)
{
	frames = small_machine_nodes(policy, ranges, range_count, spans, count);
	total = in_use = held_count = promised = charged_in_use = 0;
	memset(used, 0, sizeof used);
	for (size_t i = 0; i < count; i++)
		for (uint64_t page = 0; page < spans[i].pages; page++, total++) {
			CHECK(total < FRAMES_MOST);
			number[total] = spans[i].base + page;
			node[total] = node_of(number[total], ranges, range_count);
		}
}

static uint64_t index_of(uint64_t frame)
{
	for (uint64_t i = 0; i < total; i++)
		if (number[i] == frame)
			return i;
	test_fail(__FILE__, __LINE__, "a frame that never was: %#llx", (unsigned long long)frame);
}

/* Whether 2^order frames from this one on are a free group of one node. */
static bool is_group(uint64_t index, unsigned order)
{
	uint64_t count = UINT64_C(1) << order;

	if (number[index] % count != 0 || index + count > total)
		return false;
	for (uint64_t i = 0; i < count; i++)
		if (used[index + i] || number[index + i] != number[index] + i ||
		    node[index + i] != node[index])
			return false;
	return true;
}

static bool has_group(unsigned order, unsigned in_node)
{
	for (uint64_t i = 0; i < total; i++)
		if ((in_node == LH_ANY_NODE || node[i] == in_node) && is_group(i, order))
			return true;
	return false;
}

static void check_all(void)
{
	lh_frame_counters counters;

	CHECK_SOUND(lh_frames_check(frames));
	CHECK_EQUAL(small_machine_interrupts_off, 0);
	lh_frames_read_counters(frames, &counters);
	CHECK_EQUAL(counters.free, total - in_use);
	CHECK_EQUAL(counters.charged_in_use, charged_in_use);
	CHECK_EQUAL(counters.committed, promised);
}

/* Whether so many leave those who were promised frames theirs. */
static bool is_nobodys(uint64_t count)
{
	return total - in_use >= count && total - in_use - count + charged_in_use >= promised;
}

static void promise(uint64_t pages)
{
	CHECK_OK(lh_charge_take(frames, pages));
	promised += pages;
}

/* => false: refused, and rightly so. */
static bool take_from(unsigned order, unsigned wanted, lh_frame_state state, lh_frame_source source)
{
	lh_frame_number first = lh_frame(LH_NO_FRAME);
	bool possible = has_group(order, LH_ANY_NODE) &&
			(source == LH_FRAME_CHARGED || is_nobodys(UINT64_C(1) << order));
	uint64_t index;

	CHECK_ERROR(lh_frame_allocate_order(frames, order, wanted, state, source, &first),
		    possible ? LH_OK : LH_NO_MEMORY);
	if (!possible) {
		CHECK(lh_frame_is_none(first));
		return false;
	}
	index = index_of(first.value);
	CHECK(is_group(index, order));
	CHECK_EQUAL(lh_frame_order(frames, first), order);
	CHECK_EQUAL(lh_frame_node(frames, first), node[index]);
	memset(&used[index], true, (size_t)1 << order);
	for (uint64_t i = 0; i < UINT64_C(1) << order; i++)
		*(uint64_t *)lh_frame_pointer(frames, lh_frame(first.value + i)) = first.value;
	held[held_count++] = (struct held){ index, order, source };
	in_use += UINT64_C(1) << order;
	charged_in_use += (uint64_t)source << order;
	return true;
}

static bool take(unsigned order, unsigned wanted, lh_frame_state state)
{
	return take_from(order, wanted, state, LH_FRAME_UNCHARGED);
}

/* Whether so many from this one on are free, in a row and of one node. */
static bool is_row(uint64_t index, uint64_t count)
{
	uint64_t n = 0;

	while (n < count && index + n < total && !used[index + n] && number[index + n] == number[index] + n &&
	       node[index + n] == node[index])
		n++;
	return n == count;
}

/* Some blocks long: held as so many single ones. */
static void take_row(uint64_t count, uint64_t alignment)
{
	lh_frame_number first;
	bool possible = false;
	uint64_t index;

	for (uint64_t i = 0; i < total && !possible; i++)
		possible = number[i] % alignment == 0 && is_row(i, count);
	possible = possible && is_nobodys(count);
	CHECK_ERROR(lh_frame_allocate_contiguous(frames, count, alignment, 0, LH_FRAME_KERNEL, &first),
		    possible ? LH_OK : LH_NO_MEMORY);
	if (!possible)
		return;
	index = index_of(first.value);
	CHECK(first.value % alignment == 0 && is_row(index, count));
	for (uint64_t i = 0; i < count; i++) {
		used[index + i] = true;
		*(uint64_t *)lh_frame_pointer(frames, lh_frame(first.value + i)) = first.value + i;
		held[held_count++] = (struct held){ index + i, 0, LH_FRAME_UNCHARGED };
	}
	in_use += count;
}

static void give_back(uint64_t n)
{
	struct held one = held[n];
	uint64_t first = number[one.index];

	for (uint64_t i = 0; i < UINT64_C(1) << one.order; i++)
		CHECK_EQUAL(*(uint64_t *)lh_frame_pointer(frames, lh_frame(first + i)), first);
	CHECK(lh_frame_drop(frames, lh_frame(first)));
	memset(&used[one.index], false, (size_t)1 << one.order);
	in_use -= UINT64_C(1) << one.order;
	charged_in_use -= (uint64_t)one.source << one.order;
	held[n] = held[--held_count];
}

static void give_all_back(void)
{
	while (held_count != 0)
		give_back(test_random_below(held_count));
}

/* Several single ones of what was one. */
static void split(uint64_t n)
{
	struct held one = held[n];

	if (held_count + (UINT64_C(1) << one.order) > HELD_MOST)
		return;
	lh_frame_split(frames, lh_frame(number[one.index]));
	held[n].order = 0;
	for (uint64_t i = 1; i < UINT64_C(1) << one.order; i++)
		held[held_count++] = (struct held){ one.index + i, 0, one.source };
	for (uint64_t i = 0; i < UINT64_C(1) << one.order; i++)
		*(uint64_t *)lh_frame_pointer(frames, lh_frame(number[one.index + i])) =
			number[one.index + i];
}

static void random_step(void)
{
	static const unsigned orders[] = { 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 10, 11 };
	unsigned order = orders[test_random_below(16)];

	small_machine_cpu = (unsigned)test_random_below(CPUS);
	if (test_random_below(6) == 0)
		(void)lh_frames_idle(frames);
	if (held_count < HELD_MOST / 2 && test_random_below(9) < 5)
		(void)take_from(order, test_random_below(2) ? LH_ANY_NODE : 0,
				test_random_below(2) ? LH_FRAME_KERNEL : LH_FRAME_OBJECT,
				test_random_below(3) ? LH_FRAME_UNCHARGED : LH_FRAME_CHARGED);
	else if (held_count < HELD_MOST / 2 && test_random_below(30) == 0)
		take_row(1 + test_random_below(1500), UINT64_C(1) << test_random_below(9));
	else if (held_count != 0 && test_random_below(20) == 0)
		split(test_random_below(held_count));
	else if (held_count != 0)
		give_back(test_random_below(held_count));
}

#define HOLEY_SPANS SPANS({ 3, 200 }, { 1000, 30 }, { 1500, 600 }, { 2560, 512 }, { 4000, 5000 })

TEST(random_orders_agree_with_a_byte_a_frame)
{
	for (unsigned round = 0; round < 4; round++) {
		begin(LH_CHARGE_STRICT, NULL, 0, HOLEY_SPANS);
		promise(round * 900);
		for (unsigned step = 0; step < 1500; step++) {
			random_step();
			CHECK_SOUND(lh_frames_check(frames));
			if (step % 64 == 0)
				check_all();
		}
		give_all_back();
		check_all();
	}
}

/* Where they overlap the first counts. */
static const lh_node_range two_nodes[] = { { 1600, 3000, 1 }, { 6000, 1000, 2 }, { 5950, 2000, 1 } };
#define RANGES (sizeof two_nodes / sizeof *two_nodes)

TEST(random_orders_on_three_nodes_agree_with_a_byte_a_frame)
{
	for (unsigned round = 0; round < 4; round++) {
		begin(LH_CHARGE_STRICT, two_nodes, RANGES, HOLEY_SPANS);
		for (unsigned cpu = 0; cpu < CPUS; cpu++)
			lh_frames_set_node(frames, cpu, cpu % 3);
		promise(round * 900);
		for (unsigned step = 0; step < 1500; step++) {
			random_step();
			CHECK_SOUND(lh_frames_check(frames));
			if (step % 64 == 0)
				check_all();
		}
		give_all_back();
		check_all();
	}
}

TEST(a_nodes_own_frames_come_first_then_the_others)
{
	lh_frame_number frame;
	uint64_t counts[3] = { 0 };

	begin(LH_CHARGE_STRICT, two_nodes, RANGES, SPANS({ 1500, 200 }, { 5900, 200 }));
	for (unsigned cpu = 0; cpu < CPUS; cpu++)
		lh_frames_set_node(frames, cpu, cpu % 3);
	for (uint64_t i = 0; i < total; i++)
		counts[node[i]]++;
	CHECK(counts[0] > 0 && counts[1] > 0 && counts[2] > 0);
	for (unsigned cpu = 0; cpu < 3; cpu++) {
		small_machine_cpu = cpu;
		CHECK_OK(lh_frame_allocate(frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &frame));
		CHECK_EQUAL(lh_frame_node(frames, frame), cpu);
		for (unsigned order = 0; order <= 3; order++) { /* 0 and 3 are kept, of its own node */
			CHECK_OK(lh_frame_allocate_order(frames, order, (cpu + 1) % 3, LH_FRAME_KERNEL,
							 LH_FRAME_UNCHARGED, &frame));
			CHECK_EQUAL(lh_frame_node(frames, frame), (cpu + 1) % 3);
		}
		lh_frames_set_node(frames, cpu, 3); /* there is none */
	}
	CHECK_SOUND(lh_frames_check(frames));
	small_machine_cpu = 1; /* its own run out: the rest is had all the same */
	for (uint64_t i = 3 * (1 + 15); i < total; i++)
		CHECK_OK(lh_frame_allocate(frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &frame));
	CHECK_ERROR(lh_frame_allocate(frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &frame),
		    LH_NO_MEMORY);
	CHECK_SOUND(lh_frames_check(frames));
}

TEST(frames_of_another_node_do_not_stay_with_who_drops_them)
{
	lh_frame_number frame, foreign[3];

	begin(LH_CHARGE_STRICT, two_nodes, RANGES, SPANS({ 1000, 200 }, { 2000, 300 }));
	lh_frames_set_node(frames, 1, 1);
	small_machine_cpu = 1;
	for (unsigned i = 0; i < 3; i++)
		CHECK_OK(lh_frame_allocate(frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &foreign[i]));
	small_machine_cpu = 0;
	/* By a CPU that keeps none yet, by one that does, and by one that has dropped such frames of its own. */
	(void)lh_frame_drop(frames, foreign[0]);
	CHECK_OK(lh_frame_allocate(frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &frame));
	CHECK_EQUAL(lh_frame_node(frames, frame), 0);
	(void)lh_frame_drop(frames, foreign[1]);
	(void)lh_frame_drop(frames, frame);
	(void)lh_frame_drop(frames, foreign[2]);
	for (unsigned i = 0; i < 100; i++) {
		CHECK_OK(lh_frame_allocate(frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &frame));
		CHECK_EQUAL(lh_frame_node(frames, frame), 0);
	}
}

TEST(every_whole_block_is_found_whoever_keeps_its_frames)
{
	lh_frame_number frame;
	uint64_t blocks = 0;

	begin(LH_CHARGE_STRICT, NULL, 0, SPANS({ 512, 10 * 512 }, { 10000, 700 }));
	for (unsigned round = 0; round < 3; round++) {
		for (uint64_t i = 0; i < 40; i++) { /* each CPU keeps frames of many blocks */
			small_machine_cpu = (unsigned)i % CPUS;
			CHECK(take(0, LH_ANY_NODE, i % 2 ? LH_FRAME_TABLE : LH_FRAME_ANONYMOUS));
		}
		give_all_back();
	}
	while (take(9, LH_ANY_NODE, LH_FRAME_ANONYMOUS))
		blocks++;
	CHECK_EQUAL(blocks, 10); /* 10240 to 10699 hold none */
	for (uint64_t i = 0; i < 700; i++)
		CHECK_OK(lh_frame_allocate(frames, LH_FRAME_ANONYMOUS, LH_FRAME_UNCHARGED, &frame));
	CHECK_SOUND(lh_frames_check(frames));
}

TEST(orders_up_to_a_gibibyte_lie_where_they_should)
{
	lh_frame_number first;

	frames = small_machine(LH_CHARGE_STRICT, SPANS({ 300000, 700000 }));
	CHECK_OK(lh_frame_allocate_order(frames, 18, LH_ANY_NODE, LH_FRAME_ANONYMOUS,
					 LH_FRAME_UNCHARGED, &first));
	CHECK_EQUAL(first.value, 2 << 18);
	CHECK_ERROR(lh_frame_allocate_order(frames, 18, LH_ANY_NODE, LH_FRAME_ANONYMOUS,
					    LH_FRAME_UNCHARGED, &first), LH_NO_MEMORY);
	CHECK_OK(lh_frame_allocate_order(frames, 17, LH_ANY_NODE, LH_FRAME_ANONYMOUS,
					 LH_FRAME_UNCHARGED, &first));
	CHECK_EQUAL(first.value, 3 << 17);
	CHECK_ERROR(lh_frame_allocate_order(frames, 19, LH_ANY_NODE, LH_FRAME_ANONYMOUS,
					    LH_FRAME_UNCHARGED, &first), LH_INVALID);
	CHECK_ERROR(lh_frame_allocate_order(frames, 1, 1, LH_FRAME_ANONYMOUS, LH_FRAME_UNCHARGED,
					    &first), LH_INVALID);
	CHECK_ERROR(lh_frame_allocate_order(frames, 1, LH_ANY_NODE, LH_FRAME_FREE,
					    LH_FRAME_UNCHARGED, &first), LH_INVALID);
	CHECK(lh_frame_drop(frames, first));
	CHECK_SOUND(lh_frames_check(frames));
}

TEST(charged_orders_fulfil_their_promise_and_uncharged_ones_leave_it)
{
	lh_frame_number first, other;

	begin(LH_CHARGE_STRICT, NULL, 0, SPANS({ 0, 1024 }));
	CHECK_OK(lh_charge_take(frames, 600));
	CHECK_ERROR(lh_frame_allocate_order(frames, 9, LH_ANY_NODE, LH_FRAME_KERNEL,
					    LH_FRAME_UNCHARGED, &first), LH_NO_MEMORY);
	CHECK_OK(lh_frame_allocate_order(frames, 9, LH_ANY_NODE, LH_FRAME_ANONYMOUS,
					 LH_FRAME_CHARGED, &first));
	CHECK_OK(lh_frame_allocate_order(frames, 8, LH_ANY_NODE, LH_FRAME_KERNEL,
					 LH_FRAME_UNCHARGED, &other));
	CHECK_SOUND(lh_frames_check(frames));
	lh_frame_split(frames, first);
	CHECK_SOUND(lh_frames_check(frames));
	lh_frame_drop_contiguous(frames, first, 512);
	CHECK_ERROR(lh_charge_take(frames, 169), LH_NO_MEMORY);
	CHECK_OK(lh_charge_take(frames, 168));
	CHECK_SOUND(lh_frames_check(frames));
}

TEST(the_others_of_frames_given_out_as_one_cannot_be_held_or_dropped)
{
	lh_frame_number first;

	begin(LH_CHARGE_STRICT, NULL, 0, SPANS({ 0, 1024 }));
	CHECK_OK(lh_frame_allocate_order(frames, 4, LH_ANY_NODE, LH_FRAME_KERNEL,
					 LH_FRAME_UNCHARGED, &first));
	CHECK_PANICS((void)lh_frame_drop(frames, lh_frame(first.value + 3)));
	CHECK_PANICS(lh_frame_hold(frames, lh_frame(first.value + 3)));
}

/* --- Zeroed frames --- */

TEST(frames_zeroed_ahead_are_given_where_they_are_asked_for_and_found_where_they_are_not)
{
	lh_frame_counters counters;
	lh_frame_number frame;
	unsigned many = 0;

	begin(LH_CHARGE_STRICT, NULL, 0, SPANS({ 7, 40 }));
	for (small_machine_cpu = 0; small_machine_cpu < 3; small_machine_cpu++)
		while (lh_frames_idle(frames))
			many++;
	lh_frames_read_counters(frames, &counters);
	CHECK_EQUAL(counters.zeroed, many);
	CHECK(many >= 3 && many < 40); /* a bounded supply */
	CHECK_EQUAL(counters.free, 40);
	small_machine_cpu = 1;
	for (unsigned i = 0; i < 2; i++)
		CHECK_OK(lh_frame_allocate_zeroed(frames, LH_FRAME_ANONYMOUS, LH_FRAME_UNCHARGED,
						  &frame));
	lh_frames_read_counters(frames, &counters);
	CHECK_EQUAL(counters.zeroed, many - 2);
	for (unsigned i = 2; i < 40; i++)
		CHECK_OK(lh_frame_allocate(frames, LH_FRAME_TABLE, LH_FRAME_UNCHARGED, &frame));
	CHECK_ERROR(lh_frame_allocate(frames, LH_FRAME_TABLE, LH_FRAME_UNCHARGED, &frame),
		    LH_NO_MEMORY);
	CHECK_SOUND(lh_frames_check(frames));
}

#if LH_DEBUG >= 2
static void write_to_all(uint64_t first, uint64_t count)
{
	for (uint64_t i = first; i < first + count; i++)
		((unsigned char *)lh_frame_pointer(frames, lh_frame(i)))[LH_PAGE_SIZE - 1] = 1;
}

TEST(a_zeroed_frame_that_is_not_is_never_given_out)
{
	lh_frame_number frame;

	begin(LH_CHARGE_STRICT, NULL, 0, SPANS({ 7, 64 }));
	CHECK(lh_frames_idle(frames));
	write_to_all(7, 64); /* whichever it is */
	CHECK_PANICS((void)(lh_frame_allocate_zeroed(frames, LH_FRAME_ANONYMOUS, LH_FRAME_UNCHARGED,
						     &frame) == LH_OK));
}
#endif

/* --- Kinds --- */

/* What passes and what lasts are taken in turns; when what passes is gone, its blocks are whole. */
TEST(what_lasts_does_not_litter_the_blocks_of_what_passes)
{
	lh_frame_number passing[4096], lasting;
	uint64_t blocks = 0;

	begin(LH_CHARGE_STRICT, NULL, 0, SPANS({ 0, 8192 }));
	for (unsigned i = 0; i < 4096; i++) {
		CHECK_OK(lh_frame_allocate(frames, LH_FRAME_ANONYMOUS, LH_FRAME_UNCHARGED,
					   &passing[i]));
		if (i % 16 == 0)
			CHECK_OK(lh_frame_allocate(frames, LH_FRAME_TABLE, LH_FRAME_UNCHARGED,
						   &lasting));
	}
	for (unsigned i = 0; i < 4096; i++)
		CHECK(lh_frame_drop(frames, passing[i]));
	while (lh_frame_allocate_order(frames, 9, LH_ANY_NODE, LH_FRAME_ANONYMOUS,
				       LH_FRAME_UNCHARGED, &lasting) == LH_OK)
		blocks++;
	CHECK_EQUAL(blocks, 15); /* of 16: 256 frames that last fit in one */
}
