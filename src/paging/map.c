/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing whole ranges: the tables that they need, and their leaves.
 *
 * A leaf is as large as range, alignment and frames allow, up to the level that is asked for. Both
 * address and frame grow by one a page, so where they agree modulo a leaf's size once they always do:
 * that is the highest level possible, and leaves become smaller only towards the range's ends.
 *
 *     level 2                 |-------------|
 *     level 1         |--|--|--|           |--|--|
 *     level 0     ....|                          |...
 *
 * Validate: the range is empty, the spares suffice. Commit: one descent, a row of leaves in each table
 * (row.h). The caller keeps others from writing to the range and from taking its tables, so nothing
 * fails in between.
 *
 * A range whose leaves are one row of a table that the CPU remembers (near.h) needs no table, and is looked at
 * and written in one step.
 */
#include "paging/near.h"
#include "paging/row.h"
#include "paging/run.h"

/* --- tables --- */

uint64_t lh_tables_crossed(const lh_paging_format *format, unsigned level, lh_virtual_range range)
{
	/* A table of a level spans what an entry of the level above does. */
	unsigned shift = lh_level_shift(format, level + 1);

	return (lh_virtual_range_last(range).value >> shift) - (range.base.value >> shift) + 1;
}

/*
 * After a pause the walk comes again through the upper tables that it was in. It opens none of the lowest.
 */
uint64_t lh_tables_there(lh_directory *directory, lh_virtual_range range, unsigned level)
{
	uint64_t count = 0, paused_at = range.pages;
	unsigned paused_in = 0;
	lh_walk walk;

	lh_walk_begin(&walk, directory, range);
	while (lh_walk_next(&walk)) {
		bool is_counted = walk.page == paused_at && walk.level > paused_in;

		if (lh_walk_is_table(&walk) && walk.level > level && !is_counted)
			count++;
		if (walk.level > level + 1)
			continue;
		lh_walk_skip(&walk);
		if (walk.tables >= LH_TABLES_AT_A_TIME && walk.page < range.pages) {
			paused_at = walk.page;
			paused_in = walk.level;
			lh_walk_end(&walk);
			lh_walk_begin_again(&walk);
		}
	}
	lh_walk_end(&walk);
	return count;
}

/* Is the range part of a table of a level that this CPU remembers? Then no table is missing. */
static bool has_table(lh_directory *directory, lh_virtual_range range, unsigned level)
{
	bool found;
	lh_walk walk;

	lh_walk_begin_near(&walk, directory, range);
	found = walk.near && walk.level == level;
	lh_walk_end(&walk);
	return found;
}

lh_error lh_directory_prepare_level(lh_directory *directory, lh_virtual_range range, unsigned level,
				    lh_spare_tables *spares)
{
	uint64_t needed = 0;

	LH_ASSERT(directory->port,
		  lh_virtual_range_covers(lh_directory_own_range(directory), range));
	if (has_table(directory, range, level))
		return LH_OK;
	for (unsigned table = level; table < lh_format_top(directory->format); table++)
		needed += lh_tables_crossed(directory->format, table, range);
	return lh_spare_tables_take(directory->frames,
				    needed - lh_tables_there(directory, range, level), spares);
}

lh_error lh_directory_prepare(lh_directory *directory, lh_virtual_range range,
			      lh_spare_tables *spares)
{
	return lh_directory_prepare_level(directory, range, 0, spares);
}

/* --- which leaves --- */

/* The highest level of a leaf for address and frame, up to one: below the top tables that stay. */
static unsigned highest_level(const lh_directory *directory, lh_virtual_address address, lh_leaf leaf)
{
	const lh_paging_format *format = directory->format;
	uint64_t apart = (address.value >> LH_PAGE_SHIFT) - leaf.frame.value;
	unsigned level = leaf.level;

	if (lh_directory_keeps_top(directory) && level >= lh_format_top(format))
		level = lh_format_top(format) - 1;
	while (level > 0 &&
	       (!format->leaf_at[level] || (apart & (lh_level_pages(format, level) - 1)) != 0))
		level--;
	return level;
}

/* The same for the next leaf, with so many pages to map from the address on. */
static unsigned fitting_level(const lh_paging_format *format, unsigned level, lh_virtual_address address,
			      uint64_t pages)
{
	uint64_t page = address.value >> LH_PAGE_SHIFT;

	while (level > 0 && (!format->leaf_at[level] || pages < lh_level_pages(format, level) ||
			     (page & (lh_level_pages(format, level) - 1)) != 0))
		level--;
	return level;
}

/* Are all leaves of a range that lies in one table of the first one's level as large as that? */
static bool is_one_size(const lh_paging_format *format, unsigned highest, lh_virtual_range range)
{
	unsigned level = fitting_level(format, highest, range.base, range.pages);

	return (range.pages & (lh_level_pages(format, level) - 1)) == 0;
}

/* Entries of a level in the range that leaves of that level or above, up to the highest, take whole. */
static uint64_t entries_taken(const lh_paging_format *format, unsigned level, unsigned highest,
			      lh_virtual_range range)
{
	uint64_t first = range.base.value >> LH_PAGE_SHIFT, size, skipped;
	unsigned smallest = level;

	while (smallest <= highest && !format->leaf_at[smallest])
		smallest++;
	if (smallest > highest)
		return 0;
	size = lh_level_pages(format, smallest);
	skipped = (0 - first) & (size - 1);
	if (range.pages < skipped)
		return 0;
	return (range.pages - skipped) / size * (size / lh_level_pages(format, level));
}

/* Tables that mapping the range so takes where there are none. */
static uint64_t tables_needed(const lh_paging_format *format, lh_virtual_range range, unsigned highest)
{
	uint64_t needed = 0;

	for (unsigned table = 0; table < lh_format_top(format); table++)
		needed += lh_tables_crossed(format, table, range) -
			  entries_taken(format, table + 1, highest, range);
	return needed;
}

lh_error lh_directory_prepare_map(lh_directory *directory, lh_virtual_range range, lh_leaf leaf,
				  lh_spare_tables *spares)
{
	unsigned highest = highest_level(directory, range.base, leaf);

	if (highest == 0)
		return lh_directory_prepare(directory, range, spares);
	if (is_one_size(directory->format, highest, range) &&
	    has_table(directory, range, fitting_level(directory->format, highest, range.base, range.pages)))
		return LH_OK;
	/* Lower tables that are there already are counted, too: a few at each end. */
	return lh_spare_tables_take(directory->frames,
				    tables_needed(directory->format, range, highest) -
					    lh_tables_there(directory, range, highest),
				    spares);
}

/* --- validate --- */

/* Is the slot, which is not empty, in no leaf's way? A table is, where a leaf of its level or above is to stand: one
 * that has no entry, but stays (lh_directory_keep_tables). */
static bool is_passable(const lh_walk *walk, unsigned highest)
{
	lh_virtual_range rest = { lh_walk_address(walk), walk->range.pages - walk->page };

	return lh_walk_is_table(walk) &&
	       (walk->level > highest ||
		fitting_level(walk->directory->format, highest, rest.base, rest.pages) < walk->level);
}

static bool is_empty(lh_directory *directory, lh_virtual_range range, unsigned highest)
{
	bool empty = true;
	lh_walk walk;

	lh_walk_begin_near(&walk, directory, range);
	while (empty && lh_walk_next(&walk)) {
		empty = is_passable(&walk, highest);
		if (walk.tables >= LH_TABLES_AT_A_TIME) {
			lh_walk_end(&walk);
			lh_walk_begin_again(&walk);
		}
	}
	lh_walk_end(&walk);
	return empty;
}

static lh_error validate(lh_directory *directory, lh_virtual_range range, unsigned highest,
			 const lh_spare_tables *spares)
{
	uint64_t needed = tables_needed(directory->format, range, highest);

	LH_ASSERT(directory->port,
		  lh_virtual_range_covers(lh_directory_own_range(directory), range));
	if (!is_empty(directory, range, highest))
		return LH_EXISTS;
	if (needed > spares->count && needed - lh_tables_there(directory, range, highest) > spares->count)
		return LH_NO_MEMORY;
	return LH_OK;
}

/* --- commit --- */

/* Entries that grow by a constant. */
static void fill_evenly(lh_port *port, uint64_t *slots, uint64_t count, uint64_t entry, uint64_t step)
{
	for (uint64_t slot = 0; slot < count; slot++) {
		LH_REQUIRE(port, lh_atomic_load_relaxed(&slots[slot]) == 0);
		lh_atomic_store_relaxed(&slots[slot], entry);
		entry += step;
	}
}

/* What is written: leaves alike, and where their frames come from. */
struct pattern {
	lh_alike alike;
	uint64_t frame;			/* of the range's first page */
	const lh_frame_number *frames; /* one a page; NULL: side by side */
	bool in_runs;
};

/* The entry for a page of the range. */
static uint64_t entry_for(const struct pattern *pattern, uint64_t page)
{
	return lh_alike_entry(&pattern->alike, pattern->frames ? pattern->frames[page]
							       : lh_frame(pattern->frame + page));
}

/* One by one. */
static void fill_singly(lh_port *port, const lh_row *row, const struct pattern *pattern, uint64_t page,
			uint64_t pages)
{
	for (uint64_t slot = 0; slot < row->count; slot++)
		fill_evenly(port, &row->slots[slot], 1, entry_for(pattern, page + slot * pages), 0);
}

/* Slots of the row before the first run; its number of slots: there is none. */
static uint64_t before_runs(const lh_walk *walk, const lh_row *row, const struct pattern *pattern)
{
	const lh_paging_format *format = walk->directory->format;
	uint64_t slots = lh_run_slots(format, walk->level), pages = lh_level_pages(format, walk->level);
	uint64_t before = (0 - lh_run_index(format, walk->level, row->slots)) & (slots - 1);
	uint64_t frame = (pattern->frame + walk->page) / pages + before;

	return pattern->in_runs && slots > 1 && before + slots <= row->count && (frame & (slots - 1)) == 0
		       ? before : row->count;
}

/* Frames side by side: where no part of the address ends, entries grow by a constant. */
static void fill_part(lh_walk *walk, const lh_row *row, uint64_t first, uint64_t end, const struct pattern *pattern)
{
	uint64_t pages = lh_level_pages(walk->directory->format, walk->level);
	uint64_t page = walk->page + first * pages, count = end - first;
	lh_row part = { &row->slots[first], count };
	uint64_t entry, step;

	if (count == 0)
		return;
	entry = entry_for(pattern, page);
	step = count == 1 ? 0 : entry_for(pattern, page + pages) - entry;
	if (!pattern->frames && entry_for(pattern, page + (count - 1) * pages) - entry == (count - 1) * step)
		fill_evenly(walk->directory->port, part.slots, count, entry, step);
	else
		fill_singly(walk->directory->port, &part, pattern, page, pages);
}

/* From the first run on to the end of the last. => its end */
static uint64_t fill_runs(lh_walk *walk, const lh_row *row, uint64_t first, const struct pattern *pattern)
{
	const lh_paging_format *format = walk->directory->format;
	uint64_t slots = lh_run_slots(format, walk->level), pages = lh_level_pages(format, walk->level);
	uint64_t end = first;

	for (; row->count - end >= slots; end += slots)
		for (uint64_t slot = end; slot < end + slots; slot++)
			fill_evenly(walk->directory->port, &row->slots[slot], 1,
				    lh_run_put(format, entry_for(pattern, walk->page + slot * pages)), 0);
	return end;
}

/* The row at the cursor, which the walk holds. */
static void fill_row(lh_walk *walk, const lh_row *row, const struct pattern *pattern)
{
	uint64_t first = before_runs(walk, row, pattern);

	fill_part(walk, row, 0, first, pattern);
	if (first != row->count)
		fill_part(walk, row, fill_runs(walk, row, first, pattern), row->count, pattern);
	lh_table_add_live(walk->held, row->count);
	lh_walk_count(walk, 0, row->count * lh_level_pages(walk->directory->format, walk->level));
}

/* Slots of the row that leaves of its level fill: what is left of the range is for smaller ones. A larger
 * leaf can only begin where the table, and so the row, ends. */
static lh_row row_to_fill(const lh_walk *walk)
{
	lh_row row = lh_walk_row(walk);
	uint64_t most = (walk->range.pages - walk->page) /
			lh_level_pages(walk->directory->format, walk->level);

	return (lh_row){ row.slots, row.count < most ? row.count : most };
}

/* Stands the walk at the slot of a level for the cursor's address, held. */
static void go_to(lh_walk *walk, unsigned level, lh_spare_tables *spares)
{
	lh_step step;

	while ((step = lh_walk_step_towards(walk, level, spares)) != LH_STEP_THERE) {
		LH_REQUIRE(walk->directory->port, step != LH_STEP_EXISTS && step != LH_STEP_NO_MEMORY);
		if (step == LH_STEP_LOCKED)
			lh_walk_pause(walk);
	}
}

/* Is nothing in the row at the cursor? => held */
static bool is_row_empty(const lh_row *row)
{
	uint64_t slot = 0;

	while (slot < row->count && lh_atomic_load_relaxed(&row->slots[slot]) == 0)
		slot++;
	return slot == row->count;
}

static void learn_leaf(struct pattern *pattern, const lh_directory *directory, lh_leaf leaf)
{
	leaf.frame = lh_frame(0);
	lh_alike_learn(&pattern->alike, leaf.level,
		       lh_entry_make_leaf(directory->format, leaf, pattern->alike.user));
}

/* All leaves of the range, if they are one row of a table that this CPU remembers. => false: nothing done. */
static bool map_near(lh_directory *directory, lh_virtual_range range, lh_leaf leaf, unsigned highest,
		     struct pattern *pattern)
{
	bool done = false;
	lh_walk walk;
	lh_row row;

	leaf.level = (uint8_t)fitting_level(directory->format, highest, range.base, range.pages);
	lh_walk_begin_near(&walk, directory, range);
	if (walk.near && walk.level == leaf.level && is_one_size(directory->format, highest, range) &&
	    lh_walk_hold(&walk)) {
		row = lh_walk_row(&walk);
		done = is_row_empty(&row);
		if (done) {
			learn_leaf(pattern, directory, leaf);
			fill_row(&walk, &row, pattern);
		}
	}
	lh_walk_end(&walk);
	return done;
}

/* => validated. */
static void map_far(lh_directory *directory, lh_virtual_range range, lh_leaf leaf, unsigned highest,
		    struct pattern *pattern, lh_spare_tables *spares)
{
	lh_walk walk;

	lh_walk_begin(&walk, directory, range);
	while (walk.page < range.pages) {
		lh_row row;

		leaf.level = (uint8_t)fitting_level(directory->format, highest, lh_walk_address(&walk),
						    range.pages - walk.page);
		learn_leaf(pattern, directory, leaf);
		go_to(&walk, leaf.level, spares);
		row = row_to_fill(&walk);
		fill_row(&walk, &row, pattern);
		lh_walk_skip_slots(&walk, row.count);
		if (walk.tables >= LH_TABLES_AT_A_TIME && walk.page < range.pages) {
			lh_walk_end(&walk);
			lh_walk_begin_again(&walk);
		}
	}
	lh_walk_end(&walk);
}

lh_error lh_directory_map(lh_directory *directory, lh_virtual_range range, lh_leaf leaf,
			  const lh_frame_number *frames, lh_spare_tables *spares)
{
	unsigned highest = frames ? 0 : highest_level(directory, range.base, leaf);
	struct pattern pattern = { .frame = leaf.frame.value, .frames = frames,
				   .in_runs = !frames && (leaf.flags & LH_LEAF_RUNS) != 0 };

	LH_ASSERT(directory->port, leaf.kind == LH_LEAF_NO_ACCESS || leaf.rights != LH_RIGHT_NONE);
	pattern.in_runs &= leaf.kind == LH_LEAF_PRESENT;
	lh_alike_begin(&pattern.alike, directory->format, !directory->is_kernel);
	if (!map_near(directory, range, leaf, highest, &pattern)) {
		LH_TRY(validate(directory, range, highest, spares));
		map_far(directory, range, leaf, highest, &pattern, spares);
	}
	lh_directory_announce_kernels(directory, range);
	return LH_OK;
}

void lh_directory_announce(lh_directory *directory, lh_virtual_range range)
{
	lh_virtual_range nothing = { range.base, 0 };
	uintptr_t interrupts;
	lh_gather gather;

	if (directory->format->present_flush) {
		lh_gather_begin(&gather, directory);
		lh_gather_note_range(&gather, range);
		lh_gather_finish(&gather);
	} else if (directory->format->present_order) {
		interrupts = lh_port_interrupts_off(directory->port);
		lh_architecture_flush_local(directory->port, directory->root, nothing, false);
		lh_port_interrupts_restore(directory->port, interrupts);
	}
}
