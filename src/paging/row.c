/* SPDX-License-Identifier: BSD-2-Clause */
#include "paging/row.h"

/* Pages that lie in the slot before the cursor. */
static uint64_t offset_in_slot(const lh_walk *walk)
{
	const lh_paging_format *format = walk->directory->format;

	return (lh_walk_address(walk).value >> format->page_shift) &
	       (lh_level_pages(format, walk->level) - 1);
}

lh_row lh_walk_row(const lh_walk *walk)
{
	const lh_paging_format *format = walk->directory->format;
	unsigned shift = lh_level_shift(format, walk->level) - format->page_shift;
	uint64_t index = lh_level_index(format, walk->level, lh_walk_address(walk));
	uint64_t left = walk->range.pages - walk->page + offset_in_slot(walk);
	uint64_t wanted = ((left - 1) >> shift) + 1;
	uint64_t there = lh_paging_entries(format, walk->level) - index;

	return (lh_row){ &walk->path[walk->level].entries[index], wanted < there ? wanted : there };
}

/* Pages of the range from the cursor to where so many slots end; at most to its end. */
static uint64_t pages_to(const lh_walk *walk, uint64_t slots)
{
	uint64_t left = walk->range.pages - walk->page;
	uint64_t pages = slots * lh_level_pages(walk->directory->format, walk->level) -
			 (slots == 0 ? 0 : offset_in_slot(walk));

	return pages < left ? pages : left;
}

lh_virtual_range lh_walk_row_span(const lh_walk *walk, uint64_t first, uint64_t end)
{
	uint64_t before = pages_to(walk, first);

	return (lh_virtual_range){ lh_virtual_range_page(walk->range, walk->page + before),
				   pages_to(walk, end) - before };
}

void lh_walk_skip_slots(lh_walk *walk, uint64_t slots)
{
	walk->page += pages_to(walk, slots);
	lh_walk_climb(walk);
}

void lh_alike_begin(lh_alike *alike, const lh_paging_format *format, bool user)
{
	*alike = (lh_alike){ .format = format, .user = user,
			     .bits = ~UINT64_C(0), .frame_mask = ~UINT64_C(0) };
}

void lh_alike_learn(lh_alike *alike, unsigned level, uint64_t entry)
{
	alike->level = level;
	alike->frame_mask = lh_level_frame_mask(alike->format, level);
	alike->bits = entry & ~alike->frame_mask;
	alike->leaf = lh_entry_read_leaf(alike->format, level, entry, alike->user);
	alike->inverted = alike->leaf.kind == LH_LEAF_PRESENT ? 0 : alike->frame_mask;
	alike->change = 0;
}
