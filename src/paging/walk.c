/* SPDX-License-Identifier: BSD-2-Clause */
#include "paging/walk.h"

static const lh_paging_format *format_of(const lh_walk *walk)
{
	return walk->directory->format;
}

static void open_table(lh_walk *walk, unsigned level, lh_frame_number frame)
{
	walk->path[level].frame = frame;
	walk->path[level].entries = lh_frame_pointer(walk->directory->frames, frame);
	walk->level = level;
}

void lh_walk_begin(lh_walk *walk, lh_directory *directory, lh_virtual_range range)
{
	walk->directory = directory;
	walk->range = range;
	walk->page = 0;
	walk->entry = 0;
	lh_walk_restart(walk);
}

void lh_walk_restart(lh_walk *walk)
{
	LH_ASSERT(walk->directory->port, !lh_frame_is_none(walk->directory->root));
	open_table(walk, lh_format_top(format_of(walk)), walk->directory->root);
	walk->at_slot = false;
	walk->tables = 0;
}

void lh_walk_enter(lh_walk *walk)
{
	open_table(walk, walk->level - 1, lh_entry_table(format_of(walk), walk->entry));
	walk->at_slot = false;
	walk->tables++;
}

void lh_walk_skip(lh_walk *walk)
{
	const lh_paging_format *format = format_of(walk);
	uint64_t span = lh_level_pages(format, walk->level);
	uint64_t offset = (lh_walk_address(walk).value >> format->page_shift) & (span - 1);
	uint64_t left = walk->range.pages - walk->page;

	walk->at_slot = false;
	walk->page += span - offset < left ? span - offset : left;
	if (walk->page == walk->range.pages)
		return;
	/* Index 0 after a step forward: the cursor left this table by its end. */
	while (walk->level < lh_format_top(format) &&
	       lh_level_index(format, walk->level, lh_walk_address(walk)) == 0)
		walk->level++;
}

bool lh_walk_next(lh_walk *walk)
{
	if (walk->at_slot && lh_walk_is_table(walk))
		lh_walk_enter(walk);
	else if (walk->at_slot)
		lh_walk_skip(walk);
	while (walk->page < walk->range.pages) {
		walk->entry = lh_atomic_load(lh_walk_slot(walk));
		if (walk->entry != 0) {
			walk->at_slot = true;
			return true;
		}
		lh_walk_skip(walk);
	}
	return false;
}

void lh_walk_descend(lh_walk *walk)
{
	walk->entry = lh_atomic_load(lh_walk_slot(walk));
	while (lh_walk_is_table(walk)) {
		lh_walk_enter(walk);
		walk->entry = lh_atomic_load(lh_walk_slot(walk));
	}
	walk->at_slot = true;
}

lh_virtual_range lh_walk_span(const lh_walk *walk)
{
	const lh_paging_format *format = format_of(walk);
	uint64_t span = lh_level_pages(format, walk->level);
	uint64_t offset = (lh_walk_address(walk).value >> format->page_shift) & (span - 1);
	uint64_t left = walk->range.pages - walk->page;
	lh_virtual_range part = { lh_walk_address(walk),
				  span - offset < left ? span - offset : left };

	return part;
}

bool lh_walk_covers(const lh_walk *walk)
{
	return lh_walk_span(walk).pages == lh_level_pages(format_of(walk), walk->level);
}

/* Adds to or takes from the live entries of the table that the walk stands in. */
static void count_live(const lh_walk *walk, bool up)
{
	lh_frame_entry *entry = lh_table_entry(walk->directory->frames,
					       walk->path[walk->level].frame);

	LH_ASSERT(walk->directory->port, up || (entry->word & LH_TABLE_LIVE) != 0);
	entry->word += up ? 1u : UINT64_MAX;
}

void lh_walk_link(lh_walk *walk, lh_spare_tables *spares)
{
	lh_directory *directory = walk->directory;
	lh_frame_number table = lh_chain_pop(directory->frames, &spares->first);

	spares->count--;
	lh_table_entry(directory->frames, table)->word = (uint64_t)(walk->level - 1)
							 << LH_TABLE_LEVEL_SHIFT;
	walk->entry = lh_entry_make_table(directory->format, table, !directory->is_kernel);
	lh_atomic_store_total(lh_walk_slot(walk), walk->entry);
	count_live(walk, true);
	directory->tables++;
}

/* True if the table that the walk stands in is empty and may go; a kernel's top tables stay. */
static bool table_can_go(const lh_walk *walk)
{
	lh_directory *directory = walk->directory;
	unsigned top = lh_format_top(directory->format);
	uint64_t word = lh_table_entry(directory->frames, walk->path[walk->level].frame)->word;

	if (walk->level == top || (lh_directory_keeps_top(directory) && walk->level == top - 1))
		return false;
	return (word & LH_TABLE_LIVE) == 0;
}

/* Takes the table that the upper slot names out of the tree. */
static void detach(lh_walk *walk, lh_gather *gather)
{
	lh_directory *directory = walk->directory;
	lh_frame_number table = lh_entry_table(directory->format, walk->entry);
	uint64_t live = lh_table_entry(directory->frames, table)->word & LH_TABLE_LIVE;

	if (walk->level == 1)
		directory->leaves -= live;
	directory->tables--;
	lh_gather_add_table(gather, table);
}

void lh_walk_clear(lh_walk *walk, lh_gather *gather)
{
	lh_directory *directory = walk->directory;

	LH_ASSERT(directory->port, walk->level <= 1 || !lh_walk_is_table(walk));
	LH_ASSERT(directory->port, walk->level == 0 || lh_walk_covers(walk));
	lh_gather_note_range(gather, lh_walk_span(walk));
	walk->entry = lh_atomic_exchange(lh_walk_slot(walk), UINT64_C(0));
	if (lh_walk_is_table(walk)) {
		detach(walk, gather);
	} else {
		lh_gather_add_leaf(gather, lh_walk_leaf(walk));
		directory->leaves -= lh_level_pages(directory->format, walk->level);
	}
	count_live(walk, false);
	while (table_can_go(walk)) {
		walk->level++;
		walk->entry = lh_atomic_exchange(lh_walk_slot(walk), UINT64_C(0));
		detach(walk, gather);
		count_live(walk, false);
	}
	walk->entry = 0;
	walk->at_slot = false;
}
