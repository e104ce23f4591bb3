/* SPDX-License-Identifier: BSD-2-Clause */
/* The walker over the frames must find each kind of corrupted field. */
#include "small_machine.h"

#include "physical/frames_internal.h"

static lh_frames *frames;

#define CHECK_FINDS(field, wrong)                                                  \
	do {                                                                       \
		__typeof__(field) right_ = (field);                                \
		(field) = (__typeof__(field))(wrong);                              \
		CHECK(lh_frames_check(frames) != NULL);                            \
		(field) = right_;                                                  \
		CHECK_SOUND(lh_frames_check(frames));                              \
	} while (0)

static lh_frame_entry *begin(void)
{
	lh_frame_number frame;

	frames = small_machine(LH_CHARGE_STRICT, SPANS({ 10, 70 }, { 100000, 5000 }));
	CHECK_OK(lh_charge_take(frames, 10));
	CHECK_OK(lh_frame_allocate(frames, LH_FRAME_ANONYMOUS, LH_FRAME_CHARGED, &frame));
	CHECK_SOUND(lh_frames_check(frames));
	return lh_frame_entry_of(frames, frame);
}

TEST(a_corrupted_entry_is_found)
{
	lh_frame_entry *used = begin();
	lh_frame_entry *unused = lh_frame_entry_of(frames, lh_frame(11));

	CHECK_FINDS(used->state, LH_FRAME_RESERVED);
	CHECK_FINDS(used->state, LH_FRAME_FREE);
	CHECK_FINDS(used->state, LH_FRAME_TABLE);
	CHECK_FINDS(used->state, 200);
	CHECK_FINDS(used->holders, 0);
	CHECK_FINDS(used->holders, UINT32_MAX);
	CHECK_FINDS(used->flags, 0);
	CHECK_FINDS(used->flags, 0x80);
	CHECK_FINDS(unused->state, LH_FRAME_KERNEL);
	CHECK_FINDS(unused->holders, 1);
	CHECK_FINDS(unused->pins, 1);
	CHECK_FINDS(unused->word, 1);
	CHECK_FINDS(unused->flags, FRAME_CHARGED);
}

TEST(a_corrupted_index_is_found)
{
	(void)begin();
	CHECK_FINDS(frames->level[0][3], frames->level[0][3] ^ 0x100);
	CHECK_FINDS(frames->level[0][79], frames->level[0][79] ^ UINT64_C(1) << 63);
	CHECK_FINDS(frames->level[1][0], frames->level[1][0] ^ 2);
	CHECK_FINDS(frames->level[1][1], frames->level[1][1] ^ UINT64_C(1) << 40);
	CHECK_FINDS(frames->level[2][0], frames->level[2][0] ^ 1);
	CHECK_FINDS(frames->levels, 2);
}

TEST(a_corrupted_counter_is_found)
{
	(void)begin();
	CHECK_FINDS(frames->free, 7);
	CHECK_FINDS(frames->used[LH_FRAME_ANONYMOUS], 2);
	CHECK_FINDS(frames->used[LH_FRAME_TABLE], 1);
	CHECK_FINDS(frames->used[LH_FRAME_FREE], 1);
	CHECK_FINDS(frames->charged_in_use, 0);
	CHECK_FINDS(frames->committed, 5071);
	CHECK_FINDS(frames->total, 5069);
	CHECK_FINDS(frames->word_hint, 80);
	CHECK_FINDS(frames->span_hint, 2);
}

TEST(a_corrupted_span_or_section_is_found)
{
	(void)begin();
	CHECK_FINDS(frames->spans[1].base, 80);
	CHECK_FINDS(frames->spans[1].base, 300000);
	CHECK_FINDS(frames->spans[1].first, 71);
	CHECK_FINDS(frames->spans[1].pages, 4999);
	CHECK_FINDS(frames->spans[0].pages, 0);
	for (unsigned slot = 0; slot < 1u << frames->section_bits; slot++)
		if (frames->sections[slot].spans != 0) {
			CHECK_FINDS(frames->sections[slot].number, 77);
			CHECK_FINDS(frames->sections[slot].spans, 0);
			CHECK_FINDS(frames->sections[slot].first_span,
				    !frames->sections[slot].first_span);
		}
}
