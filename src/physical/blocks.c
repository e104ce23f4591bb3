/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The index: blocks of 512 bits, and maps that say which blocks to look at.
 *
 * A block is in at most one of its node's maps `whole`, `partial[kind]`: the first if it has
 * 512 free frames, the second if fewer but some. A partial block that may have an aligned
 * eight of free frames is in `eights[kind]` besides; it is taken out of it by who looks and finds
 * none. The invariant is one-sided: an aligned eight is never in a block outside it.
 *
 * Single frames come from the highest partial block of their kind, then from the highest whole one,
 * which so becomes of that kind, then from the other kind's. Always the highest: what is
 * lowest empties by itself, and what lies below an address limit is kept for who needs it.
 */
#include "base/memory.h"
#include "physical/frames_internal.h"

static unsigned highest_bit(uint64_t word)
{
	return 63u - (unsigned)__builtin_clzll(word);
}

/* Free, aligned groups of 2^order bits within a word, order 0 to 6: their lowest bits. */
static uint64_t groups_in_word(uint64_t bits, unsigned order)
{
	static const uint64_t aligned[] = {
		UINT64_MAX,		      UINT64_C(0x5555555555555555),
		UINT64_C(0x1111111111111111), UINT64_C(0x0101010101010101),
		UINT64_C(0x0001000100010001), UINT64_C(0x0000000100000001),
		UINT64_C(1),
	};

	for (unsigned n = 0; n < order; n++)
		bits &= bits >> (1u << n);
	return bits & aligned[order];
}

/* The lowest bits of those of order 3. */
static inline uint64_t eights_in_word(uint64_t bits)
{
	bits &= bits >> 1;
	bits &= bits >> 2;
	return bits & bits >> 4 & UINT64_C(0x0101010101010101);
}

/* --- Maps --- */

static void map_add(struct block_map *map, uint64_t block)
{
	for (unsigned level = 0; level < MAP_LEVELS; level++) {
		uint64_t *word = &map->level[level][block / 64];
		uint64_t before = *word;

		*word = before | UINT64_C(1) << (block % 64);
		if (before != 0)
			return;
		block /= 64;
	}
}

static void map_remove(struct block_map *map, uint64_t block)
{
	for (unsigned level = 0; level < MAP_LEVELS; level++) {
		uint64_t *word = &map->level[level][block / 64];

		*word &= ~(UINT64_C(1) << (block % 64));
		if (*word != 0)
			return;
		block /= 64;
	}
}

bool lh_map_has(const struct block_map *map, uint64_t block)
{
	return (map->level[0][block / 64] >> (block % 64) & 1) != 0;
}

/* Up the levels until the rest of a word has a bit, and down along the nearest ones. The highest
 * level is searched word by word: one word for 128 GiB of 4 KiB frames times four. */
uint64_t lh_map_down(const struct frame_node *node, const struct block_map *map, uint64_t from)
{
	unsigned level = 0;

	if (node->blocks == 0)
		return NO_BLOCK;
	if (from >= node->blocks)
		from = node->blocks - 1;
	for (;;) {
		uint64_t word = map->level[level][from / 64] << (63 - from % 64);

		if (word != 0) {
			from -= 63 - highest_bit(word);
			while (level-- > 0)
				from = from * 64 + highest_bit(map->level[level][from]);
			return from;
		}
		if (from / 64 == 0)
			return NO_BLOCK;
		if (level + 1 == MAP_LEVELS) {
			from = from / 64 * 64 - 1;
		} else {
			from = from / 64 - 1;
			level++;
		}
	}
}

/* --- Which map a block is in --- */

static struct frame_node *node_of(lh_frames *frames, uint64_t block)
{
	return &frames->nodes[frames->counts[block].node];
}

/* A whole block is about to lose frames to a kind. */
static void open_whole(lh_frames *frames, uint64_t block, enum frame_kind kind)
{
	struct frame_node *node = node_of(frames, block);

	map_remove(&node->whole, block - node->first_block);
	map_add(&node->partial[kind], block - node->first_block);
	map_add(&node->eights[kind], block - node->first_block);
	frames->counts[block].kind = (uint8_t)kind;
}

static void leave_partial(lh_frames *frames, uint64_t block)
{
	struct frame_node *node = node_of(frames, block);
	unsigned kind = frames->counts[block].kind;

	map_remove(&node->partial[kind], block - node->first_block);
	map_remove(&node->eights[kind], block - node->first_block);
}

/* A block has lost frames. => it was opened before if it was whole. */
static void lose(lh_frames *frames, uint64_t block, uint64_t count)
{
	struct block_count *counts = &frames->counts[block];

	LH_ASSERT(frames->port, count <= counts->free);
	counts->free = (uint16_t)(counts->free - count);
	lh_atomic_store_relaxed(&frames->free, frames->free - count);
	if (counts->free == 0)
		leave_partial(frames, block);
}

/* The rare part: it is in other maps from now on. */
static __attribute__((noinline)) void change_maps(lh_frames *frames, uint64_t block, uint64_t before,
						  bool has_eight)
{
	const struct block_count *counts = &frames->counts[block];
	struct frame_node *node = node_of(frames, block);
	uint64_t number = block - node->first_block;

	if (counts->free == BLOCK_FRAMES) {
		if (before != 0)
			leave_partial(frames, block);
		map_add(&node->whole, number);
		return;
	}
	if (before == 0)
		map_add(&node->partial[counts->kind], number);
	if (has_eight)
		map_add(&node->eights[counts->kind], number);
}

/* A block has got frames. => has_eight: it may have an aligned eight now; frames->free is the caller's. */
static inline void gain(lh_frames *frames, uint64_t block, uint64_t count, bool has_eight)
{
	uint64_t before = frames->counts[block].free;

	frames->counts[block].free = (uint16_t)(before + count);
	if (before == 0 || before + count == BLOCK_FRAMES || has_eight)
		change_maps(frames, block, before, has_eight);
}

static inline void add_free(lh_frames *frames, uint64_t count)
{
	lh_atomic_store_relaxed(&frames->free, frames->free + count);
}

/* --- Single frames --- */

/* Nodes from the preferred one on, around. */
static struct frame_node *nth_node(lh_frames *frames, uint32_t preferred, uint32_t n)
{
	uint32_t number = preferred + n;

	return &frames->nodes[number < frames->node_count ? number : number - frames->node_count];
}

/* A block of the node with a free frame, opened for the kind if it was whole. */
static uint64_t pick_block(lh_frames *frames, struct frame_node *node, enum frame_kind kind)
{
	uint64_t block = lh_map_down(node, &node->partial[kind], UINT64_MAX);

	if (block != NO_BLOCK)
		return node->first_block + block;
	block = lh_map_down(node, &node->whole, UINT64_MAX);
	if (block != NO_BLOCK) {
		open_whole(frames, node->first_block + block, kind);
		return node->first_block + block;
	}
	for (unsigned other = 0; other < KIND_COUNT && block == NO_BLOCK; other++)
		block = lh_map_down(node, &node->partial[other], UINT64_MAX);
	return block != NO_BLOCK ? node->first_block + block : NO_BLOCK;
}

/* The highest first, so that who takes the last of the list first goes upwards. */
static uint32_t take_from_block(lh_frames *frames, uint64_t block, uint32_t *places,
				uint32_t count)
{
	uint32_t taken = 0;

	for (unsigned word = BLOCK_WORDS; word-- > 0 && taken < count;) {
		uint64_t bits = frames->bits[block][word];

		while (bits != 0 && taken < count) {
			unsigned bit = highest_bit(bits);

			bits ^= UINT64_C(1) << bit;
			places[taken++] = (uint32_t)(block << BLOCK_SHIFT | word * 64 | bit);
		}
		frames->bits[block][word] = bits;
	}
	lose(frames, block, taken);
	return taken;
}

uint32_t lh_blocks_take(lh_frames *frames, uint32_t node, enum frame_kind kind, uint32_t *places,
			uint32_t count)
{
	uint32_t taken = 0;

	for (uint32_t n = 0; n < frames->node_count && taken == 0; n++)
		while (taken < count) {
			uint64_t block = pick_block(frames, nth_node(frames, node, n), kind);

			if (block == NO_BLOCK)
				break;
			taken += take_from_block(frames, block, places + taken, count - taken);
		}
	return taken;
}

bool lh_blocks_is_free(const lh_frames *frames, uint64_t place)
{
	return (frames->bits[place >> BLOCK_SHIFT][place / 64 % BLOCK_WORDS] >> (place % 64) & 1) !=
	       0;
}

/* The places at the beginning of a list that are of one block, word by word: those of frames that
 * lie in a row most often follow one another. => how many they were. */
static inline uint32_t give_to_block(lh_frames *frames, const uint32_t *places, uint32_t count,
				     unsigned order)
{
	uint64_t group = (UINT64_C(1) << (1u << order)) - 1, eights = 0;
	uint64_t place = places[0], block = place >> BLOCK_SHIFT;
	uint32_t n = 0;

	do {
		uint64_t number = place / 64;
		uint64_t *word = &frames->bits[block][number % BLOCK_WORDS], bits = *word;

		do {
			uint64_t mask = group << place % 64;

			if (__builtin_expect((bits & mask) != 0, 0))
				LH_BROKEN(frames->port, "a frame was given back twice");
			bits |= mask;
			place = ++n < count ? places[n] : NO_PLACE;
		} while (place / 64 == number);
		*word = bits;
		eights |= eights_in_word(bits);
	} while (place >> BLOCK_SHIFT == block);
	gain(frames, block, (uint64_t)n << order, eights != 0);
	return n;
}

void lh_blocks_give(lh_frames *frames, const uint32_t *places, uint32_t count, unsigned order)
{
	add_free(frames, (uint64_t)count << order);
	while (count != 0) {
		uint32_t given = give_to_block(frames, places, count, order);

		places += given;
		count -= given;
	}
}

/* --- Rows --- */

/* The bits of a word that [first, first + count) of a block covers. */
static uint64_t mask_of(uint64_t word, uint64_t first, uint64_t count)
{
	uint64_t low = first > word * 64 ? first - word * 64 : 0;
	uint64_t high = first + count - word * 64; /* one past, from the word's bit 0 */

	return (high >= 64 ? UINT64_MAX : (UINT64_C(1) << high) - 1) & UINT64_MAX << low;
}

/* The part of a row that lies in its first block. */
static uint64_t part_in_block(uint64_t place, uint64_t count)
{
	uint64_t room = BLOCK_FRAMES - (place & (BLOCK_FRAMES - 1));

	return count < room ? count : room;
}

void lh_blocks_take_row(lh_frames *frames, enum frame_kind kind, uint64_t place, uint64_t count)
{
	while (count != 0) {
		uint64_t block = place >> BLOCK_SHIFT, first = place & (BLOCK_FRAMES - 1);
		uint64_t part = part_in_block(place, count);

		if (frames->counts[block].free == BLOCK_FRAMES)
			open_whole(frames, block, kind);
		for (uint64_t word = first / 64; word <= (first + part - 1) / 64; word++) {
			uint64_t mask = mask_of(word, first, part);

			LH_ASSERT(frames->port, (frames->bits[block][word] & mask) == mask);
			frames->bits[block][word] &= ~mask;
		}
		lose(frames, block, part);
		place += part;
		count -= part;
	}
}

/* All of a block at once, none of which was free: it is in no map. */
static void give_whole(lh_frames *frames, uint64_t block)
{
	struct frame_node *node = node_of(frames, block);

	if (frames->counts[block].free != 0)
		LH_BROKEN(frames->port, "a frame was given back twice");
	memset(frames->bits[block], 0xff, sizeof frames->bits[block]);
	frames->counts[block].free = BLOCK_FRAMES;
	map_add(&node->whole, block - node->first_block);
}

void lh_blocks_give_whole(lh_frames *frames, const uint32_t *places, uint32_t count)
{
	add_free(frames, count * BLOCK_FRAMES);
	for (uint32_t n = 0; n < count; n++)
		give_whole(frames, places[n] >> BLOCK_SHIFT);
}

static void give_part(lh_frames *frames, uint64_t block, uint64_t first, uint64_t part)
{
	for (uint64_t word = first / 64; word <= (first + part - 1) / 64; word++) {
		uint64_t mask = mask_of(word, first, part);

		if ((frames->bits[block][word] & mask) != 0)
			LH_BROKEN(frames->port, "a frame was given back twice");
		frames->bits[block][word] |= mask;
	}
	gain(frames, block, part, true);
}

void lh_blocks_give_row(lh_frames *frames, uint64_t place, uint64_t count)
{
	add_free(frames, count);
	while (count != 0) {
		uint64_t block = place >> BLOCK_SHIFT, first = place & (BLOCK_FRAMES - 1);
		uint64_t part = part_in_block(place, count);

		if (part == BLOCK_FRAMES)
			give_whole(frames, block);
		else
			give_part(frames, block, first, part);
		place += part;
		count -= part;
	}
}

/* --- Powers of two --- */

/* The highest free group of 2^order in a block; NO_PLACE: none. */
static uint64_t group_in_block(const lh_frames *frames, uint64_t block, unsigned order)
{
	unsigned words = order > 6 ? 1u << (order - 6) : 1;

	for (unsigned word = BLOCK_WORDS; word >= words; word -= words) {
		uint64_t bits = UINT64_MAX;

		for (unsigned n = 0; n < words; n++)
			bits &= frames->bits[block][word - words + n];
		bits = groups_in_word(bits, order < 6 ? order : 6);
		if (bits != 0)
			return block << BLOCK_SHIFT | (word - words) * 64 | highest_bit(bits);
	}
	return NO_PLACE;
}

/*
 * Looks for a group in the partial blocks of a kind, from the highest down, most blocks at
 * most. Where an eight is needed only blocks that may have one are looked at, and each that has
 * none is not looked at again until one comes up there.
 */
static uint64_t group_in_partial(lh_frames *frames, struct frame_node *node, unsigned kind,
				 unsigned order, uint64_t most)
{
	struct block_map *map = order < 3 ? &node->partial[kind] : &node->eights[kind];
	uint64_t block = lh_map_down(node, map, UINT64_MAX);

	for (; block != NO_BLOCK && most > 0; most--) {
		uint64_t place = group_in_block(frames, node->first_block + block, order);

		if (place != NO_PLACE)
			return place;
		if (order >= 3 && (order == 3 || group_in_block(frames, node->first_block + block,
								3) == NO_PLACE))
			map_remove(map, block);
		block = block != 0 ? lh_map_down(node, map, block - 1) : NO_BLOCK;
	}
	return NO_PLACE;
}

/* Order 0 to 8. A few blocks are searched before a whole one is broken; all before giving up. */
#define SEARCH_FIRST 8

static uint64_t find_group(lh_frames *frames, struct frame_node *node, enum frame_kind kind,
			   unsigned order)
{
	uint64_t place = group_in_partial(frames, node, kind, order, SEARCH_FIRST);
	uint64_t block;

	if (place != NO_PLACE)
		return place;
	block = lh_map_down(node, &node->whole, UINT64_MAX);
	if (block != NO_BLOCK)
		return (node->first_block + block) << BLOCK_SHIFT;
	for (unsigned other = 0; other < KIND_COUNT && place == NO_PLACE; other++)
		place = group_in_partial(frames, node, other, order, UINT64_MAX);
	return place;
}

/* All of a block at once: nothing is searched, and it need not be opened first. */
static uint32_t take_whole(lh_frames *frames, struct frame_node *node, enum frame_kind kind,
			   uint64_t number)
{
	uint64_t block = node->first_block + number;

	map_remove(&node->whole, number);
	memset(frames->bits[block], 0, sizeof frames->bits[block]);
	frames->counts[block].free = 0;
	frames->counts[block].kind = (uint8_t)kind;
	return (uint32_t)(block << BLOCK_SHIFT);
}

/* What is written of those blocks that come next, if whole ones are taken again: the bits, and the first frame's
 * entry. They lie far apart, and each would be waited for alone. */
static void ask_for_next(const lh_frames *frames, uint64_t first_block, uint64_t bits, uint32_t count)
{
	for (; count > 0 && bits != 0; count--) {
		unsigned bit = highest_bit(bits);

		bits ^= UINT64_C(1) << bit;
		__builtin_prefetch(frames->bits[first_block + bit], 1);
		__builtin_prefetch(lh_place_entry(frames, (first_block + bit) << BLOCK_SHIFT), 1);
	}
}

/* Up to count whole blocks of a node: the highest, as far as they are in one word of the map. */
static uint32_t take_blocks(lh_frames *frames, struct frame_node *node, enum frame_kind kind,
			    uint32_t *places, uint32_t count)
{
	uint64_t highest = lh_map_down(node, &node->whole, UINT64_MAX), bits;
	uint32_t taken = 0;

	if (highest == NO_BLOCK)
		return 0;
	bits = node->whole.level[0][highest / 64];
	while (taken < count && bits != 0) {
		unsigned bit = highest_bit(bits);

		bits ^= UINT64_C(1) << bit;
		places[taken++] = take_whole(frames, node, kind, highest / 64 * 64 + bit);
	}
	ask_for_next(frames, node->first_block + highest / 64 * 64, bits, count);
	lh_atomic_store_relaxed(&frames->free, frames->free - taken * BLOCK_FRAMES);
	return taken;
}

/* More of them from a block, the highest first. => order 0 to 5. */
static uint32_t take_groups(lh_frames *frames, uint64_t block, unsigned order, uint32_t *places,
			    uint32_t count)
{
	uint32_t taken = 0;

	for (unsigned word = BLOCK_WORDS; word-- > 0 && taken < count;) {
		uint64_t groups = groups_in_word(frames->bits[block][word], order);

		while (groups != 0 && taken < count) {
			unsigned bit = highest_bit(groups);

			groups ^= UINT64_C(1) << bit;
			frames->bits[block][word] ^= ((UINT64_C(1) << (1u << order)) - 1) << bit;
			places[taken++] = (uint32_t)(block << BLOCK_SHIFT | word * 64 | bit);
		}
	}
	if (taken != 0)
		lose(frames, block, (uint64_t)taken << order);
	return taken;
}

/* Up to count groups of a block of a node; above 5 one at a time. => order 0 to 8. */
static uint32_t take_order(lh_frames *frames, struct frame_node *node, enum frame_kind kind,
			   unsigned order, uint32_t *places, uint32_t count)
{
	uint64_t place = find_group(frames, node, kind, order);

	if (place == NO_PLACE)
		return 0;
	lh_blocks_take_row(frames, kind, place, UINT64_C(1) << order);
	places[0] = (uint32_t)place;
	return order > 5 ? 1
			 : 1 + take_groups(frames, place >> BLOCK_SHIFT, order, places + 1, count - 1);
}

uint32_t lh_blocks_take_orders(lh_frames *frames, uint32_t preferred, enum frame_kind kind,
			       unsigned order, uint32_t *places, uint32_t count)
{
	uint32_t taken = 0;

	for (uint32_t n = 0; n < frames->node_count && taken == 0; n++) {
		struct frame_node *node = nth_node(frames, preferred, n);

		taken = order == BLOCK_SHIFT ? take_blocks(frames, node, kind, places, count)
					     : take_order(frames, node, kind, order, places, count);
	}
	return taken;
}
