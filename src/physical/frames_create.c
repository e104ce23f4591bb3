/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where everything lies in the caller's memory, and filling it. One layout function
 * answers both lh_frames_size and lh_frames_create, so the two cannot disagree.
 *
 * What it takes, beside 16 bytes a frame: 20 a block of 512 frames for its description and count,
 * 64 for its bits, 5/8 and a little for the maps, 56 a span, and the caches. These keep as
 * much as a thousandth of memory for each kind and CPU, within limits: with 64 CPUs all
 * caches take 0.03 % of 128 MiB.
 */
#include "base/memory.h"
#include "physical/frames_internal.h"

/*
 * The memory for the allocator is itself carved out of the map after its size was
 * asked, and tables perhaps after that: each carving can cut one entry in two. Then there is a
 * span more, and a block, which both parts have.
 */
#define CARVINGS_AHEAD 8

/* What a cache keeps of a kind. In test builds little, so that caches run empty and over. */
#define CAPACITY_LEAST 8u
#define CAPACITY_MOST (LH_DEBUG >= 2 ? 8u : 128u)
#define FRAMES_A_PLACE 1024u
#define LARGE_LEAST 1u
#define LARGE_MOST 4u
#define FRAMES_A_LARGE_PLACE (128 * BLOCK_FRAMES)
/* The common cache fetches one at a time, for who asks, and keeps none. */
#define COMMON_PLACES KEEP_COUNT

struct layout {
	uint64_t total; /* frames */
	uint64_t caches, places, spans, sections, blocks, counts, maps, bits, entries; /* offsets */
	uint64_t block_total, span_total;
	uint64_t size;
	uint32_t cpus;
	uint32_t section_bits;
	uint32_t capacity[KEEP_COUNT];
};

/* The map, cut where nodes meet: one span after the other. */
struct cutter {
	const lh_memory_map *map;
	const lh_frames_machine *machine;
	size_t entry;	/* where it stands */
	uint64_t taken; /* frames of it that are cut off already */
};

/* The node of a frame, and how many from it on are surely of that node too: up to the end of the first range that has
 * it, or to where one begins that counts before that. */
static uint64_t node_at(const struct cutter *cutter, uint64_t frame, uint64_t *pages)
{
	*pages = UINT64_MAX;
	for (size_t i = 0; i < cutter->machine->range_count; i++) {
		const lh_node_range *range = &cutter->machine->ranges[i];

		if (frame - range->base < range->pages) {
			uint64_t rest = range->pages - (frame - range->base);

			*pages = rest < *pages ? rest : *pages;
			return range->node;
		}
		if (range->pages != 0 && range->base > frame && range->base - frame < *pages)
			*pages = range->base - frame;
	}
	return 0;
}

/* => false: that was the last. Fills base, pages and node. */
static bool cut(struct cutter *cutter, struct frame_span *span)
{
	const lh_memory_entry *entry;
	uint64_t rest, same;

	if (cutter->entry == cutter->map->count)
		return false;
	entry = &cutter->map->entries[cutter->entry];
	rest = (entry->length >> LH_PAGE_SHIFT) - cutter->taken;
	span->base = (entry->base >> LH_PAGE_SHIFT) + cutter->taken;
	span->node = (uint32_t)node_at(cutter, span->base, &same);
	span->pages = rest < same ? rest : same;
	cutter->taken += span->pages;
	if (span->pages == rest) {
		cutter->entry++;
		cutter->taken = 0;
	}
	return true;
}

static uint64_t span_blocks(const struct frame_span *span)
{
	return ((span->base + (span->pages - 1)) >> BLOCK_SHIFT) - (span->base >> BLOCK_SHIFT) + 1;
}

static uint64_t last_frame(const struct frame_span *span)
{
	return span->base + (span->pages - 1);
}

/* Words of one block map over so many blocks. */
static uint64_t map_words(uint64_t blocks)
{
	uint64_t words = 0;

	for (unsigned level = 0; level < MAP_LEVELS; level++) {
		blocks = (blocks + 63) / 64;
		words += blocks;
	}
	return words;
}

#define MAPS_A_NODE (1 + 2 * KIND_COUNT)

/* Reserves bytes at the end of the layout, from a cache line's beginning. */
static uint64_t lay(struct layout *layout, uint64_t bytes)
{
	uint64_t offset = (layout->size + 63) & ~UINT64_C(63);

	layout->size = offset + bytes;
	return offset;
}

static uint32_t between(uint64_t wanted, uint32_t least, uint32_t most)
{
	if (wanted > most)
		return most;
	return wanted < least ? least : (uint32_t)wanted;
}

static void set_capacities(struct layout *layout)
{
	uint32_t single = between(layout->total / FRAMES_A_PLACE & ~UINT64_C(7), CAPACITY_LEAST,
				  CAPACITY_MOST);

	for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
		layout->capacity[KEEP_SINGLE + kind] = single;
		layout->capacity[KEEP_EIGHT + kind] = single / 8;
	}
	layout->capacity[KEEP_ZEROED] = single / 4;
	layout->capacity[KEEP_BLOCK] = between(layout->total / FRAMES_A_LARGE_PLACE, LARGE_LEAST,
					       LARGE_MOST);
}

/* Counts spans, blocks and sections; more: as if so many carvings had cut entries in two. */
static struct layout measure(struct cutter cutter, uint64_t more)
{
	struct layout layout = { .total = lh_memory_map_frames(cutter.map), .section_bits = 1,
				 .block_total = more, .span_total = more,
				 .cpus = cutter.machine->cpus };
	uint64_t sections = 0, before = UINT64_MAX;
	struct frame_span span;

	while (cut(&cutter, &span)) {
		uint64_t first = span.base >> SECTION_SHIFT, last = last_frame(&span) >> SECTION_SHIFT;

		layout.span_total++;
		layout.block_total += span_blocks(&span);
		sections += last - first + (first != before);
		before = last;
	}
	while (UINT64_C(1) << layout.section_bits < 2 * sections)
		layout.section_bits++;
	if (layout.cpus == 0)
		layout.cpus = LH_MAX_CPUS;
	set_capacities(&layout);
	return layout;
}

static struct layout lay_out(struct cutter cutter, uint64_t more)
{
	struct layout layout = measure(cutter, more);
	uint64_t places = 0;

	for (unsigned keep = 0; keep < KEEP_COUNT; keep++)
		places += layout.capacity[keep];
	(void)lay(&layout, sizeof(struct lh_frames));
	layout.caches = lay(&layout, layout.cpus * sizeof(struct frame_cache));
	/* A CPU's places share no cache line with another's. */
	layout.places = lay(&layout, layout.cpus * ((places * sizeof(uint32_t) + 63) & ~UINT64_C(63)) +
					     COMMON_PLACES * sizeof(uint32_t));
	layout.spans = lay(&layout, layout.span_total * sizeof(struct frame_span));
	layout.sections = lay(&layout, sizeof(struct frame_section) << layout.section_bits);
	layout.blocks = lay(&layout, layout.block_total * sizeof(struct frame_block));
	layout.counts = lay(&layout, layout.block_total * sizeof(struct block_count));
	/* The words of each node are rounded up by themselves: one more a level. */
	layout.maps = lay(&layout, MAPS_A_NODE * sizeof(uint64_t) *
				   (map_words(layout.block_total) + LH_NODES_MOST * MAP_LEVELS));
	layout.bits = lay(&layout, layout.block_total * BLOCK_WORDS * sizeof(uint64_t));
	layout.entries = lay(&layout, layout.total * sizeof(lh_frame_entry));
	layout.size = (layout.size + (LH_PAGE_SIZE - 1)) & ~(LH_PAGE_SIZE - 1);
	return layout;
}

/* Places are numbers of 32 bits: 16 TiB of 4 KiB frames. */
static bool has_place_numbers(const struct layout *layout)
{
	return layout->block_total <= (UINT64_C(1) << (32 - BLOCK_SHIFT));
}

/* Whether the map is as lh_memory_map_normalise leaves it. */
static bool is_normalised(const lh_memory_map *map)
{
	uint64_t after = 0;

	if (!map->normalised || map->count > UINT32_MAX)
		return false;
	for (size_t i = 0; i < map->count; i++) {
		const lh_memory_entry *entry = &map->entries[i];

		if (entry->kind != LH_MEMORY_USABLE || entry->length == 0 ||
		    ((entry->base | entry->length) & (LH_PAGE_SIZE - 1)) != 0 ||
		    entry->base + (entry->length - 1) < entry->base)
			return false;
		/* Neither overlapping the one before nor touching it. */
		if (i > 0 && (after == 0 || entry->base <= after))
			return false;
		after = entry->base + entry->length;
	}
	return true;
}

static bool is_machine(const lh_frames_machine *machine)
{
	for (size_t i = 0; i < machine->range_count; i++)
		if (machine->ranges[i].node >= LH_NODES_MOST)
			return false;
	return machine->cpus <= LH_MAX_CPUS;
}

uint64_t lh_frames_size_on(const lh_memory_map *map, const lh_frames_machine *machine)
{
	struct layout layout;

	if (!is_normalised(map) || !is_machine(machine))
		return 0;
	layout = lay_out((struct cutter){ map, machine, 0, 0 }, CARVINGS_AHEAD);
	return has_place_numbers(&layout) ? layout.size : 0;
}

uint64_t lh_frames_size(const lh_memory_map *map)
{
	return lh_frames_size_on(map, &(lh_frames_machine){ 0 });
}

/* --- Filling --- */

static void add_to_section(lh_frames *frames, uint64_t number, uint32_t span)
{
	uint64_t mask = UINT64_MAX >> frames->section_shift;
	uint64_t slot = lh_section_slot(number, frames->section_shift);
	struct frame_section *section;

	while (section = &frames->sections[slot], section->spans != 0 && section->number != number)
		slot = (slot + 1) & mask;
	if (section->spans++ == 0) {
		section->number = number;
		section->first_span = span;
		section->largest = frames->spans[span];
	}
	if (lh_section_frames(&frames->spans[span], number) >
	    lh_section_frames(&section->largest, number))
		section->largest = frames->spans[span];
}

static void fill_spans(lh_frames *frames, struct cutter cutter)
{
	uint64_t ordinal = 0;
	uint32_t count = 0;

	for (struct frame_span *span = frames->spans; cut(&cutter, span); span++, count++) {
		span->first = ordinal;
		span->entry = (uint64_t)(uintptr_t)frames->entries +
			      (ordinal - span->base) * sizeof(lh_frame_entry);
		ordinal += span->pages;
		if (span->node >= frames->node_count)
			frames->node_count = (uint32_t)span->node + 1;
	}
}

/* A node's blocks lie together, so the spans get theirs node by node. */
static void number_blocks(lh_frames *frames)
{
	uint64_t block = 0;

	for (uint32_t n = 0; n < frames->node_count; n++) {
		frames->nodes[n].first_block = block;
		for (uint32_t i = 0; i < frames->span_count; i++) {
			struct frame_span *span = &frames->spans[i];

			if (span->node != n)
				continue;
			span->block = (uint32_t)block;
			span->place = (block - (span->base >> BLOCK_SHIFT)) << BLOCK_SHIFT;
			block += span_blocks(span);
		}
		frames->nodes[n].blocks = block - frames->nodes[n].first_block;
	}
}

/* => all is known of the spans. */
static void fill_sections(lh_frames *frames)
{
	for (uint32_t i = 0; i < frames->span_count; i++) {
		uint64_t last = last_frame(&frames->spans[i]) >> SECTION_SHIFT;

		for (uint64_t s = frames->spans[i].base >> SECTION_SHIFT; s <= last; s++)
			add_to_section(frames, s, i);
	}
}

static void fill_blocks(lh_frames *frames, const struct frame_span *span)
{
	for (uint64_t i = 0; i < span_blocks(span); i++) {
		frames->blocks[span->block + i].frame = UINT64_C(0) - span->place;
		frames->blocks[span->block + i].entry =
			span->entry - span->place * sizeof(lh_frame_entry);
		frames->counts[span->block + i].node = (uint8_t)span->node;
	}
	lh_blocks_give_row(frames, lh_span_place(span, lh_frame(span->base)), span->pages);
}

static uint64_t *place_map(struct block_map *map, uint64_t blocks, uint64_t *words)
{
	for (unsigned level = 0; level < MAP_LEVELS; level++) {
		blocks = (blocks + 63) / 64;
		map->level[level] = words;
		words += blocks;
	}
	return words;
}

static void place_maps(lh_frames *frames, uint64_t *words)
{
	for (uint32_t n = 0; n < frames->node_count; n++) {
		struct frame_node *node = &frames->nodes[n];

		words = place_map(&node->whole, node->blocks, words);
		for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
			words = place_map(&node->partial[kind], node->blocks, words);
			words = place_map(&node->eights[kind], node->blocks, words);
		}
	}
}

static void place_caches(lh_frames *frames, unsigned char *places)
{
	uint32_t *next;

	for (unsigned cpu = 0; cpu < frames->cpu_count; cpu++) {
		struct frame_cache *cache = &frames->caches[cpu];

		next = (uint32_t *)(void *)places;
		for (unsigned keep = 0; keep < KEEP_COUNT; keep++) {
			cache->keeps[keep].places = next;
			next += frames->capacity[keep];
		}
		places += ((unsigned char *)next - places + 63) / 64 * 64;
	}
	next = (uint32_t *)(void *)places;
	for (unsigned keep = 0; keep < KEEP_COUNT; keep++)
		frames->common.keeps[keep].places = next++;
}

static void place(lh_frames *made, const struct layout *layout, unsigned char *bytes)
{
	made->total = layout->total;
	made->span_count = (uint32_t)layout->span_total;
	made->section_shift = 64 - layout->section_bits;
	memcpy(made->capacity, layout->capacity, sizeof made->capacity);
	made->block_total = layout->block_total;
	made->caches = (struct frame_cache *)(void *)(bytes + layout->caches);
	made->spans = (struct frame_span *)(void *)(bytes + layout->spans);
	made->sections = (struct frame_section *)(void *)(bytes + layout->sections);
	made->blocks = (struct frame_block *)(void *)(bytes + layout->blocks);
	made->counts = (struct block_count *)(void *)(bytes + layout->counts);
	made->bits = (uint64_t (*)[BLOCK_WORDS])(void *)(bytes + layout->bits);
	made->entries = (lh_frame_entry *)(void *)(bytes + layout->entries);
	place_caches(made, bytes + layout->places);
}

lh_error lh_frames_create_on(void *memory, uint64_t size, const lh_memory_map *map,
			     const lh_frames_machine *machine, lh_charge_policy policy, lh_port *port,
			     lh_frames **frames)
{
	struct cutter cutter = { map, machine, 0, 0 };
	struct layout layout;
	lh_frames *made = memory;

	if (!memory || ((uintptr_t)memory & (LH_PAGE_SIZE - 1)) != 0 || !is_normalised(map) ||
	    (unsigned)policy > LH_CHARGE_ALWAYS || !is_machine(machine))
		return LH_INVALID;
	layout = lay_out(cutter, 0);
	if (layout.size > size || !has_place_numbers(&layout))
		return LH_INVALID;

	memset(memory, 0, layout.entries);
	made->port = port;
	made->policy = policy;
	made->node_count = 1;
	made->cpu_count = layout.cpus;
	made->imagined = policy == LH_CHARGE_STRICT ? 0 : UINT64_C(1) << 62;
	made->spare = made->imagined + layout.total;
	place(made, &layout, memory);
	fill_spans(made, cutter);
	number_blocks(made);
	fill_sections(made);
	place_maps(made, (uint64_t *)(void *)((unsigned char *)memory + layout.maps));
	for (uint64_t i = 0; i < made->total; i++)
		made->entries[i] = (lh_frame_entry){ .state = LH_FRAME_FREE };
	for (uint32_t i = 0; i < made->span_count; i++)
		fill_blocks(made, &made->spans[i]);
	*frames = made;
	return LH_OK;
}

lh_error lh_frames_create(void *memory, uint64_t size, const lh_memory_map *map,
			  lh_charge_policy policy, lh_port *port, lh_frames **frames)
{
	return lh_frames_create_on(memory, size, map, &(lh_frames_machine){ 0 }, policy, port, frames);
}
