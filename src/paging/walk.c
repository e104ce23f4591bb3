/* SPDX-License-Identifier: BSD-2-Clause */
#include "paging/near.h"
#include "paging/row.h"
#include "paging/run.h"

static const lh_paging_format *format_of(const lh_walk *walk)
{
	return walk->directory->format;
}

static lh_port *port_of(const lh_walk *walk)
{
	return walk->directory->port;
}

static lh_frame_entry *table_at(const lh_walk *walk, unsigned level)
{
	return lh_table_entry(walk->directory->frames, walk->path[level].frame);
}

lh_frame_entry *lh_walk_table_entry(const lh_walk *walk)
{
	return walk->near && walk->level == walk->top ? walk->near : table_at(walk, walk->level);
}

/* --- begin and end --- */

/* => nothing is held */
static inline void stand_in(lh_walk *walk, unsigned level, lh_frame_number frame)
{
	walk->path[level].frame = frame;
	walk->path[level].entries = lh_port_frame_pointer(port_of(walk), frame);
	walk->level = level;
}

void lh_walk_go_to_root(lh_walk *walk)
{
	walk->top = lh_format_top(format_of(walk));
	walk->near = NULL;
	lh_walk_let_go(walk);
	stand_in(walk, walk->top, walk->directory->root);
}

void lh_walk_begin_again(lh_walk *walk)
{
	lh_walk_start_again(walk);
	lh_walk_go_to_root(walk);
}

void lh_walk_begin(lh_walk *walk, lh_directory *directory, lh_virtual_range range)
{
	lh_walk_start(walk, directory, range);
	lh_walk_go_to_root(walk);
}

void lh_walk_pause(lh_walk *walk)
{
	lh_walk_end(walk);
	lh_port_pause(port_of(walk));
	lh_walk_begin_again(walk);
}

bool lh_walk_try_hold(lh_walk *walk)
{
	lh_frame_entry *table = lh_walk_table_entry(walk);

	if (!lh_table_try_lock(port_of(walk), table))
		return false;
	walk->held = table;
	walk->entry = lh_atomic_load_total(lh_walk_slot(walk));
	if (table != walk->near && !walk->reads && lh_is_near_level(format_of(walk), walk->level))
		lh_walk_remember(walk, lh_part_take(walk->directory, walk->cpu), table);
	return true;
}

/* --- steps --- */

/* => nothing is held */
static inline void enter(lh_walk *walk)
{
	stand_in(walk, walk->level - 1, lh_entry_table(format_of(walk), walk->entry));
	walk->tables++;
}

void lh_walk_enter(lh_walk *walk)
{
	lh_walk_let_go(walk);
	enter(walk);
	walk->at_slot = false;
}

void lh_walk_enter_shared(lh_walk *walk)
{
	lh_walk_let_go(walk);
	stand_in(walk, 0, lh_entry_shared_table(format_of(walk), walk->entry));
	walk->tables++;
	walk->reads = true;
	walk->at_slot = false;
}

void lh_walk_climb(lh_walk *walk)
{
	const lh_paging_format *format = format_of(walk);

	walk->at_slot = false;
	if (walk->page == walk->range.pages)
		return;
	/* Index 0 after a step forward: the cursor left this table by its end. */
	while (walk->level < walk->top &&
	       lh_level_index(format, walk->level, lh_walk_address(walk)) == 0) {
		lh_walk_let_go(walk);
		walk->level++;
	}
}

void lh_walk_skip(lh_walk *walk)
{
	lh_walk_skip_slots(walk, 1);
}

static void enter_to_visit(lh_walk *walk)
{
	lh_walk_enter(walk);
	if (walk->level == 0 && walk->visits && !lh_walk_try_hold(walk))
		lh_walk_pause(walk);
}

/* Past empty slots. => the slot is one. */
static void skip_empty(lh_walk *walk)
{
	lh_row row = lh_walk_row(walk);
	uint64_t empty = 1;

	while (empty < row.count && lh_atomic_load_total(&row.slots[empty]) == 0)
		empty++;
	lh_walk_skip_slots(walk, empty);
}

bool lh_walk_next(lh_walk *walk)
{
	if (walk->at_slot && lh_walk_is_table(walk))
		enter_to_visit(walk);
	else if (walk->at_slot)
		lh_walk_skip(walk);
	while (walk->page < walk->range.pages) {
		walk->entry = lh_atomic_load_total(lh_walk_slot(walk));
		if (walk->entry != 0) {
			walk->at_slot = true;
			return true;
		}
		skip_empty(walk);
	}
	return false;
}

/* Out of the way of who begins near. => the slot names a table */
static __attribute__((noinline)) void descend_on(lh_walk *walk)
{
	lh_walk_let_go(walk);
	do {
		enter(walk);
		walk->entry = lh_atomic_load_total(lh_walk_slot(walk));
	} while (lh_walk_is_table(walk));
}

void lh_walk_descend(lh_walk *walk)
{
	walk->entry = lh_atomic_load_total(lh_walk_slot(walk));
	walk->at_slot = true;
	if (lh_walk_is_table(walk))
		descend_on(walk);
}

lh_virtual_range lh_walk_span(const lh_walk *walk)
{
	return walk->level == 0 ? (lh_virtual_range){ lh_walk_address(walk), 1 }
				: lh_walk_row_span(walk, 0, 1);
}

bool lh_walk_covers(const lh_walk *walk)
{
	return lh_walk_span(walk).pages == lh_level_pages(format_of(walk), walk->level);
}

lh_leaf lh_walk_leaf(const lh_walk *walk)
{
	const lh_paging_format *format = format_of(walk);
	bool user = lh_address_is_user(lh_walk_address(walk));

	return lh_entry_read_leaf(format, walk->level,
				  lh_run_entry(format, walk->level, lh_walk_slot(walk), walk->entry, user),
				  user);
}

/* --- changes --- */

void lh_walk_link(lh_walk *walk, lh_spare_tables *spares)
{
	lh_directory *directory = walk->directory;
	lh_frame_number table = lh_chain_pop(directory->frames, &spares->first);

	LH_ASSERT(directory->port, walk->held && walk->entry == 0);
	spares->count--;
	lh_table_entry(directory->frames, table)->word = (uint64_t)(walk->level - 1)
							 << LH_TABLE_LEVEL_SHIFT;
	walk->entry = lh_entry_make_table(directory->format, table, !directory->is_kernel);
	lh_atomic_store_total(lh_walk_slot(walk), walk->entry);
	lh_table_count(walk->held, true);
	lh_walk_count(walk, 1, 0);
}

/* Does somebody count on the tables? Asked before one goes, with its lock held. That it would have
 * gone is noted in the same step, so that whoever ends the keeping looks for it. */
static bool is_kept(lh_directory *directory)
{
	uint32_t keeps = LH_KEEPS_TABLES;

	if (lh_atomic_load_total(&directory->keeps_tables) == LH_KEEPS_NOTHING)
		return false;
	return lh_atomic_compare_exchange(&directory->keeps_tables, &keeps,
					  (uint32_t)LH_KEEPS_EMPTY_ONES) ||
	       keeps == LH_KEEPS_EMPTY_ONES;
}

void lh_directory_keep_tables(lh_directory *directory)
{
	lh_atomic_store_total(&directory->keeps_tables, (uint32_t)LH_KEEPS_TABLES);
}

void lh_directory_let_tables_go(lh_directory *directory)
{
	if (lh_atomic_exchange(&directory->keeps_tables, (uint32_t)LH_KEEPS_NOTHING) ==
	    LH_KEEPS_EMPTY_ONES)
		lh_directory_prune(directory, lh_directory_own_range(directory));
}

bool lh_walk_may_go(const lh_walk *walk, unsigned level)
{
	unsigned top = lh_format_top(format_of(walk));

	return level != top && !(lh_directory_keeps_top(walk->directory) && level == top - 1) &&
	       !is_kept(walk->directory);
}

/*
 * Locks the tables that the loss of the slot's entry takes with it, and the one that stays: from
 * the held one upward, as long as the entry is a table's last. => false: none but the held one.
 */
static bool lock_upward(const lh_walk *walk, lh_frame_entry **locked, unsigned *top)
{
	unsigned level = walk->level;

	locked[level] = walk->held;
	while (lh_table_live(locked[level]) == 1 && lh_walk_may_go(walk, level)) {
		bool is_there = level < walk->top; /* else it has to come down again */

		if (is_there)
			locked[level + 1] = table_at(walk, level + 1);
		if (!is_there || !lh_table_try_lock(port_of(walk), locked[level + 1])) {
			for (; level > walk->level; level--)
				lh_table_unlock(port_of(walk), locked[level]);
			return false;
		}
		level++;
	}
	*top = level;
	return true;
}

void lh_walk_unhook(lh_walk *walk, lh_frame_entry *table)
{
	lh_parts_make_stale(walk->directory);
	lh_order_let_go(port_of(walk), table, LH_LOCK_TABLE);
	lh_walk_count(walk, UINT64_MAX, walk->level == 1 ? 0 - lh_table_live(table) : 0);
	walk->tables++;
}

void lh_walk_detach(lh_walk *walk, lh_frame_entry *table, lh_gather *gather)
{
	lh_walk_unhook(walk, table);
	lh_gather_add_table(gather, lh_entry_table(format_of(walk), walk->entry));
}

/* The directory has no part in the table any more that the slot's SHARED leaf named. */
static void leave_shared(lh_walk *walk, lh_gather *gather)
{
	lh_directory *directory = walk->directory;
	lh_frame_number table = lh_entry_shared_table(directory->format, walk->entry);

	lh_walk_count(walk, 0, 0 - lh_table_live(lh_table_entry(directory->frames, table)));
	lh_atomic_add(&directory->shared, UINT64_MAX);
	lh_gather_add_shared(gather, table);
}

/* Empties the slot. => all that goes is locked; child: of the table it names, or NULL. */
static void clear_slot(lh_walk *walk, lh_frame_entry *child, lh_gather *gather)
{
	lh_gather_note_range(gather, lh_walk_span(walk));
	walk->entry = lh_atomic_exchange(lh_walk_slot(walk), UINT64_C(0));
	if (child) {
		lh_walk_detach(walk, child, gather);
	} else if (lh_walk_is_shared(walk)) {
		leave_shared(walk, gather);
	} else {
		lh_gather_add_entry(gather, walk->level, walk->entry);
		lh_walk_count(walk, 0, 0 - lh_level_pages(format_of(walk), walk->level));
	}
	lh_table_count(walk->held, false);
}

/* Takes out the held table, which is empty now, and each above it that so becomes empty. */
static void clear_upward(lh_walk *walk, lh_frame_entry *const *locked, unsigned top,
			 lh_gather *gather)
{
	while (walk->level < top) {
		lh_frame_entry *empty = walk->held;

		walk->level++;
		walk->held = locked[walk->level];
		walk->entry = lh_atomic_exchange(lh_walk_slot(walk), UINT64_C(0));
		lh_walk_detach(walk, empty, gather);
		lh_table_count(walk->held, false);
	}
	walk->entry = 0;
	walk->at_slot = false;
}

/* Must the table under the slot stay? => it is locked, or NULL where the slot has a leaf. */
static bool must_stay(const lh_walk *walk, const lh_frame_entry *child)
{
	if (!child || lh_table_live(child) == 0)
		return child && !lh_walk_may_go(walk, walk->level - 1);
	return walk->level != 1 || !lh_walk_covers(walk) || !lh_walk_may_go(walk, 0);
}

bool lh_walk_clear(lh_walk *walk, lh_gather *gather)
{
	lh_frame_entry *locked[LH_PAGING_LEVELS_MAX], *child = NULL;
	unsigned top;

	if (!lh_walk_hold(walk))
		return false;
	if (walk->entry == 0)
		return true;
	if (lh_walk_is_table(walk)) {
		child = lh_table_entry(walk->directory->frames,
				       lh_entry_table(format_of(walk), walk->entry));
		if (!lh_table_try_lock(port_of(walk), child))
			return false;
	}
	if (must_stay(walk, child)) {
		lh_table_unlock(port_of(walk), child);
		return true;
	}
	LH_ASSERT(port_of(walk), child || walk->level == 0 || lh_walk_covers(walk));
	if (!lock_upward(walk, locked, &top)) {
		if (child)
			lh_table_unlock(port_of(walk), child);
		return false;
	}
	clear_slot(walk, child, gather);
	clear_upward(walk, locked, top, gather);
	return true;
}
