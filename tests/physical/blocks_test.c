/* SPDX-License-Identifier: BSD-2-Clause */
/* The index of free frames by itself: its maps, and which block is chosen for what. */
#include "physical/frames_internal.h"
#include "small_machine.h"

static lh_frames *frames;

static lh_frame_number take(unsigned order, lh_frame_state state)
{
	lh_frame_number first = lh_frame(LH_NO_FRAME);

	CHECK_OK(lh_frame_allocate_order(frames, order, LH_ANY_NODE, state, LH_FRAME_UNCHARGED, &first));
	return first;
}

/* --- Maps: as many blocks as 1.5 TiB have, so that there are several words at the top --- */

#define BLOCKS 800000u
#define WORDS(bits) (((bits) + 63) / 64)

static uint64_t levels[WORDS(BLOCKS) + WORDS(WORDS(BLOCKS)) + WORDS(WORDS(WORDS(BLOCKS)))];

/* Bits at random places, the levels above as they follow. */
static struct block_map make_map(unsigned count)
{
	struct block_map map = { { levels, levels + WORDS(BLOCKS), levels + WORDS(BLOCKS) + WORDS(WORDS(BLOCKS)) } };

	memset(levels, 0, sizeof levels);
	for (unsigned i = 0; i < count; i++) {
		uint64_t block = test_random_below(BLOCKS);

		for (unsigned level = 0; level < MAP_LEVELS; level++, block /= 64)
			map.level[level][block / 64] |= UINT64_C(1) << block % 64;
	}
	return map;
}

TEST(the_highest_block_of_a_map_is_found_from_wherever)
{
	const struct frame_node node = { .blocks = BLOCKS };

	for (unsigned round = 0; round < 40; round++) {
		struct block_map map = make_map(round % 8);

		for (unsigned i = 0; i < 20; i++) {
			uint64_t from = i == 0 ? UINT64_MAX : test_random_below(BLOCKS);
			uint64_t expected = i == 0 ? BLOCKS - 1 : from;

			while (expected != NO_BLOCK && !lh_map_has(&map, expected))
				expected--; /* below 0 is NO_BLOCK */
			CHECK_EQUAL(lh_map_down(&node, &map, from), expected);
		}
	}
}

/* --- Choices --- */

/* All is taken; of each of 24 blocks an eight comes back, and of the lowest 64 in a row. */
TEST(a_group_in_the_last_block_that_is_looked_at_is_found)
{
	frames = small_machine(LH_CHARGE_STRICT, SPANS({ 0, 24 * 512 }));
	for (unsigned i = 0; i < 24 * 512; i++)
		(void)take(0, LH_FRAME_OBJECT);
	for (uint64_t block = 1; block < 24; block++)
		lh_frame_drop_contiguous(frames, lh_frame(block * 512 + test_random_below(64) * 8), 8);
	lh_frame_drop_contiguous(frames, lh_frame(128), 64);
	CHECK_EQUAL(take(6, LH_FRAME_OBJECT).value, 128);
	CHECK_SOUND(lh_frames_check(frames));
}

TEST(single_frames_leave_what_lies_low_to_who_needs_it)
{
	lh_frame_number first;

	frames = small_machine(LH_CHARGE_STRICT, SPANS({ 0, 16 * 512 }));
	for (unsigned i = 0; i < 8 * 512 - 64; i++)
		(void)take(0, i % 2 ? LH_FRAME_KERNEL : LH_FRAME_ANONYMOUS);
	CHECK_OK(lh_frame_allocate_contiguous(frames, 7 * 512, 1, 8 * 512, LH_FRAME_KERNEL, &first));
	CHECK_EQUAL(first.value, 0);
}

/* A block that was given out as one is of the kind of who had it, when a part of it comes back. */
TEST(what_is_left_of_a_block_stays_of_its_kind)
{
	lh_frame_number block, lasting;

	frames = small_machine(LH_CHARGE_STRICT, SPANS({ 0, 8 * 512 }));
	block = take(BLOCK_SHIFT, LH_FRAME_ANONYMOUS);
	lh_frame_split(frames, block);
	lh_frame_drop_contiguous(frames, lh_frame(block.value + 256), 256);
	lh_frames_drain(frames);
	lasting = take(0, LH_FRAME_TABLE);
	CHECK(lasting.value / 512 != block.value / 512);
	CHECK_EQUAL(take(0, LH_FRAME_ANONYMOUS).value / 512, block.value / 512);
	CHECK_SOUND(lh_frames_check(frames));
}
