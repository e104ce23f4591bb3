/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The walker over the frames: everything that is cached is computed again from the
 * entries, which are the authority.
 */
#include "physical/frames_internal.h"

static const char *check_entry(const lh_frames *frames, uint64_t ordinal)
{
	const lh_frame_entry *entry = &frames->entries[ordinal];
	bool is_free = entry->state == LH_FRAME_FREE;

	if (!is_free && !lh_frame_state_is_used((lh_frame_state)entry->state))
		return "a frame has no possible state";
	if (lh_index_is_set(frames, ordinal) != is_free)
		return "a frame's state and its index bit disagree";
	if ((entry->flags & ~(FRAME_CHARGED | FRAME_POISONED)) != 0)
		return "a frame has an unknown flag";
	if (is_free && (entry->flags & FRAME_CHARGED) != 0)
		return "a free frame is charged";
	if (is_free && (entry->holders != 0 || entry->pins != 0))
		return "a free frame is held or pinned";
	if (is_free && entry->word != 0)
		return "a free frame has a word";
	if (!is_free && entry->holders == 0)
		return "a used frame has no holder";
	if (!is_free && entry->holders > HOLDERS_MOST)
		return "a frame has more holders than can be counted";
	return NULL;
}

static const char *check_counters(const lh_frames *frames)
{
	uint64_t counted[LH_FRAME_STATE_COUNT] = { 0 };
	uint64_t charged = 0;

	for (uint64_t i = 0; i < frames->total; i++) {
		const char *finding = check_entry(frames, i);

		if (finding)
			return finding;
		counted[frames->entries[i].state]++;
		charged += (frames->entries[i].flags & FRAME_CHARGED) != 0;
	}
	if (counted[LH_FRAME_FREE] != frames->free)
		return "the count of free frames is wrong";
	counted[LH_FRAME_FREE] = 0;
	for (unsigned state = 0; state < LH_FRAME_STATE_COUNT; state++)
		if (counted[state] != frames->used[state])
			return "a count of used frames is wrong";
	return charged == frames->charged_in_use ? NULL : "the count of charged frames is wrong";
}

/* Each level against the one below, and no bit beyond the last frame. */
static const char *check_index(const lh_frames *frames)
{
	uint64_t bits = frames->total;

	for (uint32_t level = 0; level < frames->levels; level++) {
		uint64_t words = bits != 0 ? (bits + 63) / 64 : 1;

		for (uint64_t bit = bits; bit < words * 64; bit++)
			if (frames->level[level][bit / 64] >> (bit % 64) & 1)
				return "the index has a bit beyond its end";
		for (uint64_t bit = 0; level > 0 && bit < bits; bit++)
			if ((frames->level[level][bit / 64] >> (bit % 64) & 1) !=
			    (frames->level[level - 1][bit] != 0))
				return "a summary bit of the index is wrong";
		bits = words;
	}
	return bits == 1 ? NULL : "the index has the wrong number of levels";
}

static const char *check_spans(const lh_frames *frames)
{
	uint64_t ordinal = 0;

	for (uint32_t i = 0; i < frames->span_count; i++) {
		const struct frame_span *span = &frames->spans[i];

		if (span->first != ordinal || span->pages == 0)
			return "a span begins at the wrong ordinal";
		if (i > 0 && span->base <= span[-1].base + span[-1].pages)
			return "spans overlap, touch or are out of order";
		ordinal += span->pages;
		if (lh_frames_ordinal(frames, lh_frame(span->base)) != span->first ||
		    lh_frames_ordinal(frames, lh_frame(span->base + span->pages - 1)) !=
			    ordinal - 1)
			return "the section table does not lead to a span";
	}
	if (ordinal != frames->total)
		return "the spans do not add up to the total";
	return NULL;
}

const char *lh_frames_check(lh_frames *frames)
{
	const char *finding = check_spans(frames);

	if (!finding)
		finding = check_index(frames);
	if (!finding)
		finding = check_counters(frames);
	if (!finding && frames->policy == LH_CHARGE_STRICT &&
	    frames->free + frames->charged_in_use < frames->committed)
		finding = "more is promised than there is";
	if (!finding && frames->total != 0 &&
	    (frames->word_hint >= (frames->total + 63) / 64 ||
	     frames->span_hint >= frames->span_count))
		finding = "a hint is out of range";
	return finding;
}
