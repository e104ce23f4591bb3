/* SPDX-License-Identifier: BSD-2-Clause */
/* The walker over the frames must find each kind of corrupted field. */
#include "small_machine.h"

#include "physical/frames_internal.h"

static lh_frames *frames;
static lh_frame_number used_frame;

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
	frames = small_machine(LH_CHARGE_STRICT, SPANS({ 10, 70 }, { 100000, 5000 }));
	CHECK_OK(lh_charge_take(frames, 10));
	CHECK_OK(lh_frame_allocate(frames, LH_FRAME_ANONYMOUS, LH_FRAME_CHARGED, &used_frame));
	CHECK_SOUND(lh_frames_check(frames));
	return lh_frame_entry_of(frames, used_frame);
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
	struct frame_node *node;

	(void)begin();
	node = &frames->nodes[0];
	CHECK_EQUAL(frames->block_total, 12); /* one short one, and ten of whole ones between two */
	CHECK_FINDS(frames->bits[3][3], frames->bits[3][3] ^ 0x100);
	CHECK_FINDS(frames->bits[0][7], 1);
	CHECK_FINDS(frames->counts[3].free, 511);
	CHECK_FINDS(frames->counts[3].node, 1);
	CHECK_FINDS(frames->counts[0].kind, KIND_PASSING);
	CHECK_FINDS(frames->counts[0].kind, KIND_COUNT);
	CHECK_FINDS(node->whole.level[0][0], node->whole.level[0][0] ^ 8);
	CHECK_FINDS(node->whole.level[0][0], node->whole.level[0][0] ^ 1);
	CHECK_FINDS(node->whole.level[0][0], node->whole.level[0][0] ^ UINT64_C(1) << 40);
	CHECK_FINDS(node->whole.level[1][0], 0);
	CHECK_FINDS(node->whole.level[1][0], 3);
	CHECK_FINDS(node->whole.level[2][0], 0);
	CHECK_FINDS(node->partial[KIND_LASTING].level[0][0], 0);
	CHECK_FINDS(node->partial[KIND_PASSING].level[0][0], 1 << 3);
	CHECK_FINDS(node->eights[KIND_LASTING].level[0][0], 0);
	CHECK_FINDS(node->eights[KIND_PASSING].level[0][0], 1 << 3);
}

TEST(a_corrupted_counter_is_found)
{
	(void)begin();
	CHECK_FINDS(frames->free, 7);
	CHECK_FINDS(frames->caches[0].taken[LH_FRAME_ANONYMOUS], 2);
	CHECK_FINDS(frames->caches[9].taken[LH_FRAME_TABLE], 1);
	CHECK_FINDS(frames->common.taken[LH_FRAME_FREE], 1);
	CHECK_FINDS(frames->caches[1].taken[STATES_ROOM + LH_FRAME_ANONYMOUS], 1);
	CHECK_FINDS(frames->committed, 5071);
	CHECK_FINDS(frames->caches[0].committed, 9);
	CHECK_FINDS(frames->caches[0].slack, 77);
	CHECK_FINDS(frames->spare, frames->spare + 1);
	CHECK_FINDS(frames->total, 5069);
}

/* Two parts of the promises of which one is less than nothing: their sum is right. */
TEST(a_part_of_the_promises_that_wrapped_is_found)
{
	(void)begin();
	frames->spare += frames->caches[0].slack + 1;
	frames->caches[0].slack = UINT64_MAX;
	CHECK(lh_frames_check(frames) != NULL);
	(void)begin();
	frames->caches[0].slack += frames->spare + 1;
	frames->spare = UINT64_MAX;
	CHECK(lh_frames_check(frames) != NULL);
}

TEST(a_corrupted_cache_is_found)
{
	struct frame_cache *cache;
	uint32_t *places;

	(void)begin();
	cache = &frames->caches[0];
	places = cache->keeps[KIND_PASSING].places;
	CHECK(cache->keeps[KIND_PASSING].count > 1);
	CHECK(lh_frames_idle(frames));
	CHECK_FINDS(places[0], places[1]);
	CHECK_FINDS(places[0], 3 << BLOCK_SHIFT);
	CHECK_FINDS(places[0], 500 << BLOCK_SHIFT);
	CHECK_FINDS(places[0], cache->keeps[KEEP_ZEROED].places[0]);
	CHECK_FINDS(cache->keeps[KIND_PASSING].count, 1);
	CHECK_FINDS(cache->keeps[KIND_PASSING].count, 9);
	CHECK_FINDS(cache->keeps[KIND_LASTING].count, 1);
	CHECK_FINDS(cache->keeps[KEEP_ZEROED].count, 0);
	CHECK_FINDS(cache->keeps[KEEP_ZEROED].count, 3);
	CHECK_FINDS(cache->node, 1);
	CHECK_FINDS(cache->keeps[KEEP_BLOCK].capacity, 0);
	CHECK_FINDS(cache->keeps[KEEP_EIGHT].count, 1);
	CHECK_FINDS(cache->in_use, false);
	CHECK_EQUAL(cache->usual, 0);
	CHECK(lh_frame_drop(frames, used_frame));
	CHECK(cache->usual != 0);
	CHECK_FINDS(cache->usual_keep, KEEP_SINGLE + KIND_LASTING);
	CHECK_FINDS(cache->usual_taken, LH_FRAME_ANONYMOUS);
	CHECK_FINDS(cache->usual_size, 8);
	CHECK_FINDS(cache->usual_cost, 0);
	CHECK_FINDS(frames->in_use.bits[0], 0);
	CHECK_FINDS(frames->in_use.bits[0], 3);
	CHECK_FINDS(frames->caches[1].slack, 1);
}

TEST(a_corrupted_span_or_section_is_found)
{
	(void)begin();
	CHECK_FINDS(frames->spans[1].base, 80);
	CHECK_FINDS(frames->spans[1].base, 300000);
	CHECK_FINDS(frames->spans[1].first, 71);
	CHECK_FINDS(frames->spans[1].pages, 4999);
	CHECK_FINDS(frames->spans[0].pages, 0);
	CHECK_FINDS(frames->spans[1].block, 0);
	CHECK_FINDS(frames->spans[1].node, 1);
	CHECK_FINDS(frames->spans[1].place, 3);
	CHECK_FINDS(frames->spans[1].entry, frames->spans[0].entry);
	CHECK_FINDS(frames->blocks[1].frame, 0);
	CHECK_FINDS(frames->blocks[11].frame, 0);
	CHECK_FINDS(frames->blocks[11].entry, frames->blocks[0].entry);
	for (unsigned slot = 0; slot < UINT64_C(1) << (64 - frames->section_shift); slot++)
		if (frames->sections[slot].spans != 0) {
			CHECK_FINDS(frames->sections[slot].number, 77);
			CHECK_FINDS(frames->sections[slot].spans, 0);
			CHECK_FINDS(frames->sections[slot].first_span,
				    !frames->sections[slot].first_span);
			CHECK_FINDS(frames->sections[slot].largest.base, 77);
			CHECK_FINDS(frames->sections[slot].largest.pages, 0);
			CHECK_FINDS(frames->sections[slot].largest.place, 3);
			CHECK_FINDS(frames->sections[slot].largest.entry, 0);
			CHECK_FINDS(frames->sections[slot].largest.node, 1);
		}
}
