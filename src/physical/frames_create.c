/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where everything lies in the caller's memory, and filling it. One layout function
 * answers both lh_frames_size and lh_frames_create, so the two cannot disagree.
 */
#include "base/memory.h"
#include "physical/frames_internal.h"

/*
 * The memory for the allocator is itself carved out of the map after its size was
 * asked, and tables perhaps after that: each carving can cut one entry in two.
 */
#define CARVINGS_AHEAD 8

struct layout {
	uint64_t total; /* frames */
	uint64_t spans, sections, level[INDEX_LEVELS], entries; /* offsets in bytes */
	uint64_t size;
	uint32_t section_bits;
	uint32_t levels;
};

static uint64_t first_section(const lh_memory_entry *entry)
{
	return entry->base >> LH_PAGE_SHIFT >> SECTION_SHIFT;
}

static uint64_t last_section(const lh_memory_entry *entry)
{
	return (entry->base + (entry->length - 1)) >> LH_PAGE_SHIFT >> SECTION_SHIFT;
}

/* Sections that have memory. The entries are sorted: only neighbours share one. */
static uint64_t count_sections(const lh_memory_map *map)
{
	uint64_t count = 0;

	for (size_t i = 0; i < map->count; i++) {
		uint64_t first = first_section(&map->entries[i]);

		count += last_section(&map->entries[i]) - first + 1;
		if (i > 0 && last_section(&map->entries[i - 1]) == first)
			count--;
	}
	return count;
}

/* Reserves bytes at the end of the layout, from a cache line's beginning. */
static uint64_t lay(struct layout *layout, uint64_t bytes)
{
	uint64_t offset = (layout->size + 63) & ~UINT64_C(63);

	layout->size = offset + bytes;
	return offset;
}

static struct layout lay_out(const lh_memory_map *map, uint64_t spans)
{
	struct layout layout = { .total = lh_memory_map_frames(map), .section_bits = 1 };
	uint64_t sections = count_sections(map);
	uint64_t bits = layout.total != 0 ? layout.total : 1;

	while (UINT64_C(1) << layout.section_bits < 2 * sections)
		layout.section_bits++;
	(void)lay(&layout, sizeof(struct lh_frames));
	layout.spans = lay(&layout, spans * sizeof(struct frame_span));
	layout.sections = lay(&layout, sizeof(struct frame_section) << layout.section_bits);
	do {
		bits = (bits + 63) / 64;
		layout.level[layout.levels++] = lay(&layout, bits * sizeof(uint64_t));
	} while (bits > 1);
	layout.entries = lay(&layout, layout.total * sizeof(lh_frame_entry));
	layout.size = (layout.size + (LH_PAGE_SIZE - 1)) & ~(LH_PAGE_SIZE - 1);
	return layout;
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

uint64_t lh_frames_size(const lh_memory_map *map)
{
	return is_normalised(map) ? lay_out(map, map->count + CARVINGS_AHEAD).size : 0;
}

/* --- Filling --- */

static void add_to_section(lh_frames *frames, uint64_t number, uint32_t span)
{
	uint64_t mask = (UINT64_C(1) << frames->section_bits) - 1;
	uint64_t slot = lh_section_slot(number, frames->section_bits);
	struct frame_section *section;

	while (section = &frames->sections[slot], section->spans != 0 && section->number != number)
		slot = (slot + 1) & mask;
	if (section->spans++ == 0) {
		section->number = number;
		section->first_span = span;
	}
}

static void fill_spans(lh_frames *frames, const lh_memory_map *map)
{
	uint64_t ordinal = 0;

	for (uint32_t i = 0; i < frames->span_count; i++) {
		const lh_memory_entry *entry = &map->entries[i];

		frames->spans[i].base = entry->base >> LH_PAGE_SHIFT;
		frames->spans[i].pages = entry->length >> LH_PAGE_SHIFT;
		frames->spans[i].first = ordinal;
		ordinal += frames->spans[i].pages;
		for (uint64_t s = first_section(entry); s <= last_section(entry); s++)
			add_to_section(frames, s, i);
	}
}

/* Sets the first bits of a level, as many as there are words (or frames) below. */
static void fill_level(uint64_t *words, uint64_t bits)
{
	uint64_t whole = bits / 64;

	for (uint64_t i = 0; i < whole; i++)
		words[i] = UINT64_MAX;
	if (bits % 64 != 0 || bits == 0)
		words[whole] = (UINT64_C(1) << (bits % 64)) - 1;
}

static void fill_index(lh_frames *frames)
{
	uint64_t bits = frames->total;

	for (uint32_t level = 0; level < frames->levels; level++) {
		fill_level(frames->level[level], bits);
		bits = (bits + 63) / 64;
	}
}

static void fill_entries(lh_frames *frames)
{
	for (uint64_t i = 0; i < frames->total; i++)
		frames->entries[i] = (lh_frame_entry){ .state = LH_FRAME_FREE };
}

lh_error lh_frames_create(void *memory, uint64_t size, const lh_memory_map *map,
			  lh_charge_policy policy, lh_port *port, lh_frames **frames)
{
	unsigned char *bytes = memory;
	struct layout layout;
	lh_frames *made = memory;

	if (!memory || ((uintptr_t)memory & (LH_PAGE_SIZE - 1)) != 0 || !is_normalised(map) ||
	    (unsigned)policy > LH_CHARGE_ALWAYS)
		return LH_INVALID;
	layout = lay_out(map, map->count);
	if (layout.size > size)
		return LH_INVALID;

	memset(memory, 0, layout.entries);
	made->port = port;
	made->policy = policy;
	made->total = layout.total;
	made->free = layout.total;
	made->span_count = (uint32_t)map->count;
	made->section_bits = layout.section_bits;
	made->levels = layout.levels;
	made->spans = (struct frame_span *)(void *)(bytes + layout.spans);
	made->sections = (struct frame_section *)(void *)(bytes + layout.sections);
	made->entries = (lh_frame_entry *)(void *)(bytes + layout.entries);
	for (uint32_t level = 0; level < layout.levels; level++)
		made->level[level] = (uint64_t *)(void *)(bytes + layout.level[level]);
	fill_spans(made, map);
	fill_index(made);
	fill_entries(made);
	*frames = made;
	return LH_OK;
}
