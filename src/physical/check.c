/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The walker over the frames: everything that is cached is computed again from the
 * entries, which are the authority. In the end
 *
 *     bits set + frames that CPUs keep + frames given out = total
 *
 * each frame being in exactly one of these; and the parts of the promises add up (charge.c).
 */
#include "base/bits.h"
#include "physical/entry.h"

struct recount {
	uint64_t counted[LH_FRAME_STATE_COUNT];
	uint64_t charged;
	uint64_t bits;
};

static const char *check_used(const lh_frame_entry *entry)
{
	if (!lh_frame_state_is_used((lh_frame_state)entry->state))
		return "a frame has no possible state";
	if (entry->holders == 0)
		return "a used frame has no holder";
	if (entry->holders > HOLDERS_MOST)
		return "a frame has more holders than can be counted";
	return entry->flags >> 7 != 0 ? "a frame has an unknown flag" : NULL;
}

static const char *check_unused(const lh_frame_entry *entry)
{
	if (entry->state != LH_FRAME_FREE)
		return "a frame's state and its index bit disagree";
	if ((entry->flags & ~FRAME_POISONED) != 0)
		return "a free frame is charged or has an order";
	if (entry->holders != 0 || entry->pins != 0)
		return "a free frame is held or pinned";
	return entry->word != 0 ? "a free frame has a word" : NULL;
}

/* The frames of a span, one or, where they were given out as one, several at a time. */
static const char *check_span_frames(const lh_frames *frames, const struct frame_span *span,
				     struct recount *recount)
{
	uint64_t first = lh_span_place(span, lh_frame(span->base)), count = 1;

	for (uint64_t i = 0; i < span->pages; i += count) {
		const lh_frame_entry *entry = &frames->entries[span->first + i];
		bool is_free = entry->state == LH_FRAME_FREE;
		const char *finding = is_free ? check_unused(entry) : check_used(entry);

		if (finding)
			return finding;
		count = is_free ? 1
				: UINT64_C(1) << ((entry->flags & FRAME_ORDER) >> FRAME_ORDER_SHIFT);
		if (count > span->pages - i || ((span->base + i) & (count - 1)) != 0)
			return "frames given out as one are not aligned";
		for (uint64_t n = 0; n < count; n++) {
			if (!is_free && lh_blocks_is_free(frames, first + i + n))
				return "a frame's state and its index bit disagree";
			finding = n != 0 ? check_unused(entry + n) : NULL;
			if (finding)
				return finding;
		}
		recount->counted[entry->state] += count;
		recount->charged += (entry->flags & FRAME_CHARGED) != 0 ? count : 0;
	}
	return NULL;
}

/* --- Blocks and maps --- */

static bool has_eight(const lh_frames *frames, uint64_t block)
{
	for (uint64_t n = 0; n < BLOCK_FRAMES / 8; n++)
		if ((frames->bits[block][n / 8] >> (n % 8 * 8) & 0xff) == 0xff)
			return true;
	return false;
}

static const char *check_block(const lh_frames *frames, const struct frame_node *node,
			       uint64_t number, struct recount *recount)
{
	uint64_t block = node->first_block + number, bits = 0;
	const struct block_count *counts = &frames->counts[block];

	for (unsigned word = 0; word < BLOCK_WORDS; word++)
		bits += lh_bits_count(frames->bits[block][word]);
	recount->bits += bits;
	if (bits != counts->free)
		return "a block's count of free frames is wrong";
	if (counts->kind >= KIND_COUNT || node != &frames->nodes[counts->node])
		return "a block is of no kind or in a wrong node";
	if (lh_map_has(&node->whole, number) != (bits == BLOCK_FRAMES))
		return "the map of whole blocks is wrong";
	for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
		bool is_partial = bits != 0 && bits != BLOCK_FRAMES && kind == counts->kind;
		bool is_noted = lh_map_has(&node->eights[kind], number);

		if (lh_map_has(&node->partial[kind], number) != is_partial)
			return "a map of partly free blocks is wrong";
		if (is_noted ? !is_partial : is_partial && has_eight(frames, block))
			return "a map of blocks with eight free frames is wrong";
	}
	return NULL;
}

/* Each level against the one below, and no bit beyond the last block. */
static const char *check_map(const struct block_map *map, uint64_t blocks)
{
	for (unsigned level = 0; level < MAP_LEVELS; level++) {
		uint64_t words = (blocks + 63) / 64;

		for (uint64_t bit = 0; bit < words * 64; bit++) {
			bool is_set = (map->level[level][bit / 64] >> (bit % 64) & 1) != 0;

			if (bit >= blocks ? is_set
					  : level > 0 && is_set != (map->level[level - 1][bit] != 0))
				return "a level of a map is wrong";
		}
		blocks = words;
	}
	return NULL;
}

static const char *check_node(const lh_frames *frames, const struct frame_node *node,
			      struct recount *recount)
{
	const char *finding = check_map(&node->whole, node->blocks);

	for (unsigned kind = 0; kind < KIND_COUNT && !finding; kind++) {
		finding = check_map(&node->partial[kind], node->blocks);
		if (!finding)
			finding = check_map(&node->eights[kind], node->blocks);
	}
	for (uint64_t number = 0; number < node->blocks && !finding; number++)
		finding = check_block(frames, node, number, recount);
	return finding;
}

/* --- What CPUs keep --- */

/* Where an entry is; NULL: the place is none of a frame. */
static lh_frame_entry *entry_at(const lh_frames *frames, uint64_t place)
{
	uintptr_t offset;

	if (place >> BLOCK_SHIFT >= frames->block_total)
		return NULL;
	offset = (uintptr_t)lh_place_entry(frames, place) - (uintptr_t)frames->entries;
	return offset < frames->total * sizeof(lh_frame_entry) ? lh_place_entry(frames, place) : NULL;
}

/* A kept frame's word is a mark while all are looked at: who is kept twice has one already. */
static const char *check_kept(const lh_frames *frames, uint64_t place)
{
	lh_frame_entry *entry = entry_at(frames, place);
	const char *finding;

	if (!entry)
		return "a CPU keeps what is no frame";
	finding = check_unused(entry);
	if (finding)
		return finding;
	if (lh_blocks_is_free(frames, place))
		return "a frame is in the index and kept by a CPU";
	entry->word = 1;
	return NULL;
}

/* => size: frames that each place stands for. */
static const char *check_keep(const lh_frames *frames, const struct frame_keep *keep,
			      uint32_t capacity, uint64_t size)
{
	const char *finding = NULL;

	if (keep->count > capacity)
		return "a CPU keeps more frames than it may";
	for (uint64_t i = 0; i < keep->count * size && !finding; i++)
		finding = (keep->places[i / size] & (size - 1)) != 0
				  ? "a CPU keeps a block that is none"
				  : check_kept(frames, keep->places[i / size] + i % size);
	return finding;
}

static void take_marks_off(const lh_frames *frames, const struct frame_keep *keep,
			   uint32_t capacity, uint64_t size)
{
	for (uint64_t i = 0; i < keep->count * size && i < capacity * size; i++) {
		lh_frame_entry *entry = entry_at(frames, keep->places[i / size] + i % size);

		if (entry && entry->state == LH_FRAME_FREE)
			entry->word = 0;
	}
}

/* What is not in use has nothing that a gathering would have to find. */
static const char *check_use(const lh_frames *frames, const struct frame_cache *cache)
{
	uint64_t cpu = (uint64_t)(cache - frames->caches);

	if ((frames->in_use.bits[cpu / 64] >> (cpu % 64) & 1) != cache->in_use)
		return "the set of caches in use is wrong";
	for (unsigned keep = 0; keep < KEEP_COUNT; keep++)
		if (cache->keeps[keep].capacity != (cache->in_use ? frames->capacity[keep] : 0))
			return "a CPU may keep more frames than it should";
	/* Parts that are less than nothing would add up nevertheless. */
	if (cache->slack > frames->imagined + frames->total)
		return "a CPU has promised more than was its to promise";
	return !cache->in_use && (cache->slack != 0 || cache->committed != 0)
		       ? "a cache that is not in use keeps something"
		       : NULL;
}

/* What is known of the usual frame follows from its head. */
static bool is_usual_known(const struct frame_cache *cache)
{
	lh_frame_state state = lh_head_state(cache->usual);
	lh_frame_source source = lh_head_source(cache->usual);
	unsigned order = lh_head_order(cache->usual);

	return cache->usual == 0 ||
	       (lh_order_is_kept(order) && cache->usual_size == UINT64_C(1) << order &&
		cache->usual_cost == (source == LH_FRAME_CHARGED ? cache->usual_size : 0) &&
		cache->usual_keep == lh_keep_of(lh_frame_kind(state), order) &&
		cache->usual_taken == lh_taken_of(state, source));
}

static const char *check_cache(const lh_frames *frames, const struct frame_cache *cache)
{
	const char *finding = check_use(frames, cache);

	for (unsigned keep = 0; keep < KEEP_COUNT && !finding; keep++)
		finding = check_keep(frames, &cache->keeps[keep], cache->keeps[keep].capacity,
				     UINT64_C(1) << lh_keep_order(keep));
	if (!finding && !is_usual_known(cache))
		finding = "a CPU takes what is usual for something else";
	return !finding && cache->node >= frames->node_count
		       ? "a CPU is near a node that is not there"
		       : finding;
}

static const char *check_caches(const lh_frames *frames)
{
	const char *finding = NULL;

	for (unsigned cpu = 0; cpu < frames->cpu_count && !finding; cpu++)
		finding = check_cache(frames, &frames->caches[cpu]);
	for (unsigned cpu = 0; cpu < frames->cpu_count; cpu++) {
		const struct frame_cache *cache = &frames->caches[cpu];

		for (unsigned keep = 0; keep < KEEP_COUNT; keep++)
			take_marks_off(frames, &cache->keeps[keep], frames->capacity[keep],
				       UINT64_C(1) << lh_keep_order(keep));
	}
	return finding;
}

/* --- Sums --- */

struct sums {
	uint64_t kept, charged, parts, committed;
	uint64_t used[LH_FRAME_STATE_COUNT];
};

static void add_cache(struct sums *sums, const struct frame_cache *cache)
{
	for (unsigned keep = 0; keep < KEEP_COUNT; keep++)
		sums->kept += (uint64_t)cache->keeps[keep].count << lh_keep_order(keep);
	sums->parts += cache->slack;
	sums->committed += (uint64_t)cache->committed;
	for (unsigned state = 0; state < LH_FRAME_STATE_COUNT; state++) {
		uint64_t charged = cache->taken[lh_taken_of(state, LH_FRAME_CHARGED)];

		sums->charged += charged;
		sums->used[state] +=
			charged + cache->taken[lh_taken_of(state, LH_FRAME_UNCHARGED)];
	}
}

static const char *check_sums(const lh_frames *frames, const struct recount *recount)
{
	struct sums sums = { .parts = frames->spare, .committed = (uint64_t)frames->committed };

	add_cache(&sums, &frames->common);
	for (unsigned cpu = 0; cpu < frames->cpu_count; cpu++)
		add_cache(&sums, &frames->caches[cpu]);
	if (recount->bits != frames->free ||
	    recount->bits + sums.kept != recount->counted[LH_FRAME_FREE])
		return "the count of free frames is wrong";
	for (unsigned state = 0; state < LH_FRAME_STATE_COUNT; state++)
		if (sums.used[state] != (state == LH_FRAME_FREE ? 0 : recount->counted[state]))
			return "a count of used frames is wrong";
	if (sums.charged != recount->charged)
		return "the count of charged frames is wrong";
	if (frames->spare > frames->imagined + frames->total)
		return "more is promised than there is";
	if ((int64_t)sums.committed < 0)
		return "more was given back than was promised";
	if (frames->imagined + recount->bits + sums.charged < sums.committed)
		return "more is promised than there is";
	return sums.parts == frames->imagined + recount->bits + sums.charged - sums.committed
		       ? NULL
		       : "the parts of promises do not add up";
}

/* Whether a span's blocks lead to its frames and no others. */
static bool has_its_blocks(const lh_frames *frames, const struct frame_span *span)
{
	uint64_t base = span->base & ~(uint64_t)(BLOCK_FRAMES - 1);

	for (uint64_t n = 0; base + n * BLOCK_FRAMES < span->base + span->pages; n++) {
		uint64_t number = base + n * BLOCK_FRAMES < span->base ? span->base
								       : base + n * BLOCK_FRAMES;
		uint64_t place = ((span->block + n) << BLOCK_SHIFT) + (number & (BLOCK_FRAMES - 1));

		if (span->block + n >= frames->block_total ||
		    lh_place_frame(frames, place).value != number ||
		    lh_span_place(span, lh_frame(number)) != place ||
		    lh_place_entry(frames, place) !=
			    &frames->entries[span->first + (number - span->base)] ||
		    lh_span_entry(span, lh_frame(number)) != lh_place_entry(frames, place) ||
		    frames->counts[span->block + n].node != span->node)
			return false;
	}
	return true;
}

static bool is_alike(const struct frame_span *span, const struct frame_span *other)
{
	return span->base == other->base && span->pages == other->pages &&
	       span->first == other->first && span->place == other->place &&
	       span->entry == other->entry && span->block == other->block &&
	       span->node == other->node;
}

/* Whether a section's copy is of one of its spans. => the section is not empty. */
static bool is_copy(const lh_frames *frames, const struct frame_section *section)
{
	for (uint32_t n = 0; n < section->spans && section->first_span + n < frames->span_count; n++)
		if (is_alike(&section->largest, &frames->spans[section->first_span + n]))
			return true;
	return false;
}

/* Both ways to a span's first frame in a section, and the guess of the quick one. */
static bool section_leads_to(const lh_frames *frames, const struct frame_span *span, uint64_t number)
{
	uint64_t mask = UINT64_MAX >> frames->section_shift;
	uint64_t slot = lh_section_slot(number, frames->section_shift);
	uint64_t first = number << SECTION_SHIFT;
	const struct frame_section *section;

	if (first < span->base)
		first = span->base;
	while (section = &frames->sections[slot], section->spans != 0 && section->number != number)
		slot = (slot + 1) & mask;
	return section->spans != 0 && is_copy(frames, section) &&
	       lh_section_frames(&section->largest, number) >= lh_section_frames(span, number) &&
	       is_alike(lh_frames_span(frames, lh_frame(first)), span) &&
	       lh_frames_span_slow(frames, lh_frame(first)) == span;
}

static bool sections_lead_to(const lh_frames *frames, const struct frame_span *span)
{
	uint64_t last = span->base + (span->pages - 1);

	for (uint64_t number = span->base >> SECTION_SHIFT; number <= last >> SECTION_SHIFT; number++)
		if (!section_leads_to(frames, span, number))
			return false;
	return is_alike(lh_frames_span(frames, lh_frame(last)), span);
}

static const char *check_spans(const lh_frames *frames)
{
	uint64_t ordinal = 0;

	for (uint32_t i = 0; i < frames->span_count; i++) {
		const struct frame_span *span = &frames->spans[i];

		if (span->first != ordinal || span->pages == 0)
			return "a span begins at the wrong ordinal";
		if (i > 0 && (span->base < span[-1].base + span[-1].pages ||
			      (span->base == span[-1].base + span[-1].pages &&
			       span->node == span[-1].node)))
			return "spans overlap, touch or are out of order";
		ordinal += span->pages;
		if (!sections_lead_to(frames, span))
			return "the section table does not lead to a span";
		if (span->node >= frames->node_count || !has_its_blocks(frames, span))
			return "a span's blocks are not its own";
	}
	return ordinal == frames->total ? NULL : "the spans do not add up to the total";
}

const char *lh_frames_check(lh_frames *frames)
{
	struct recount recount = { { 0 }, 0, 0 };
	const char *finding = check_spans(frames);

	for (uint32_t n = 0; n < frames->node_count && !finding; n++)
		finding = check_node(frames, &frames->nodes[n], &recount);
	for (uint32_t i = 0; i < frames->span_count && !finding; i++)
		finding = check_span_frames(frames, &frames->spans[i], &recount);
	if (!finding)
		finding = check_caches(frames);
	return finding ? finding : check_sums(frames, &recount);
}
