/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Operations on ranges: each is a loop over one walk (walk.h), and in each table that it comes to a
 * loop over a row (row.h), under one lock, with one change of each count.
 */
#include "paging/one.h"
#include "paging/row.h"
#include "paging/run.h"

static void begin(lh_walk *walk, lh_directory *directory, lh_virtual_range range)
{
	LH_ASSERT(directory->port,
		  lh_virtual_range_covers(lh_directory_own_range(directory), range));
	lh_walk_begin(walk, directory, range);
	walk->visits = true;
}

/* For those who look at leaves only, and not at the tables above: a small range may be near. */
static void begin_at_leaves(lh_walk *walk, lh_directory *directory, lh_virtual_range range)
{
	lh_walk_begin_near(walk, directory, range);
	LH_ASSERT(directory->port,
		  walk->near || lh_virtual_range_covers(lh_directory_own_range(directory), range));
	walk->visits = true;
	/* A visit holds each leaf table that it enters; into this one it was put. */
	if (walk->level == 0 && !lh_walk_hold(walk))
		lh_walk_pause(walk);
}

static void begin_alike(lh_alike *alike, const lh_directory *directory)
{
	lh_alike_begin(alike, directory->format, !directory->is_kernel);
}

static bool next(lh_walk *walk)
{
	if (walk->tables >= LH_TABLES_AT_A_TIME) {
		/* The slot under the cursor is dealt with, unless it is a table to enter. */
		if (walk->at_slot && !lh_walk_is_table(walk))
			lh_walk_skip(walk);
		if (walk->page == walk->range.pages)
			return false;
		lh_walk_end(walk);
		lh_walk_begin_again(walk);
	}
	return lh_walk_next(walk);
}

/* A table that must be entered: any but a leaf table that goes as a whole. */
static bool must_enter(const lh_walk *walk)
{
	return lh_walk_is_table(walk) && !(walk->level == 1 && lh_walk_covers(walk));
}

static void flush_between(lh_walk *walk, lh_gather *gather)
{
	lh_walk_end(walk);
	lh_gather_flush(gather);
	lh_walk_begin_again(walk);
}

/* A leaf that is to be changed may not straddle the range: it would have to be split. */
static void must_cover(const lh_walk *walk, const lh_row *row, uint64_t slot)
{
	if (walk->level != 0 && (slot == 0 || slot == row->count - 1))
		LH_ASSERT(walk->directory->port, lh_walk_covers_slot(walk, slot));
}

/* Clears counted leaves that are alike, up to end, while there is room for their frames. => the first
 * slot that was not cleared. */
static uint64_t clear_counted(const lh_row *row, uint64_t slot, uint64_t end, const lh_alike *alike,
			      lh_gather *gather)
{
	for (; slot < end && !lh_gather_is_full(gather); slot++) {
		uint64_t entry = lh_atomic_load_relaxed(&row->slots[slot]);

		if (!lh_alike_has(alike, entry))
			break;
		lh_atomic_exchange(&row->slots[slot], UINT64_C(0));
		lh_gather_add_frames(gather, lh_alike_frame(alike, entry), alike->level);
	}
	return slot;
}

/* The same with leaves that hold nothing. */
static uint64_t clear_uncounted(const lh_row *row, uint64_t slot, uint64_t end, const lh_alike *alike)
{
	const uint64_t mask = ~alike->frame_mask, bits = alike->bits;

	for (; slot < end; slot++) {
		if ((lh_atomic_load_relaxed(&row->slots[slot]) & mask) != bits)
			break;
		lh_atomic_exchange(&row->slots[slot], UINT64_C(0));
	}
	return slot;
}

/* A run that is cleared whole is broken by that; but each of its entries must name its frame. => false: its first
 * slot in the range is to be looked at alone. */
static bool may_clear(const lh_walk *walk, const lh_row *row, uint64_t slot)
{
	const lh_directory *directory = walk->directory;

	if (!lh_entry_is_in_run(directory->format, lh_atomic_load_relaxed(&row->slots[slot])))
		return true;
	if (directory->format->break_before_make)
		return lh_walk_covers_run(walk, lh_walk_row_span(walk, slot, slot + 1).base);
	lh_run_dissolve(directory->format, walk->level, &row->slots[slot], !directory->is_kernel);
	return true;
}

/* How far leaves alike may be cleared from a slot on: so many at most, and not into the next run. */
static uint64_t end_of_clearing(const lh_walk *walk, const lh_row *row, uint64_t slot, uint64_t most)
{
	const lh_paging_format *format = walk->directory->format;
	const uint64_t *first = &row->slots[slot];

	if (lh_entry_is_in_run(format, lh_atomic_load_relaxed(first)) && lh_run_left(format, walk->level, first) < most)
		most = lh_run_left(format, walk->level, first);
	return row->count - slot < most ? row->count : slot + most;
}

static bool is_shared_slot(const lh_walk *walk, uint64_t entry)
{
	return walk->level == 1 && lh_entry_is_shared(walk->directory->format, entry);
}

/*
 * Clears leaves of the row, from the slot at the cursor on, but for the last entry of the table, which
 * takes tables with it; and as many as the gather has room for. => slots passed; 0: not a row's
 * business. Held.
 */
static uint64_t clear_row(lh_walk *walk, lh_alike *alike, lh_gather *gather)
{
	lh_row row = lh_walk_row(walk);
	uint64_t most = lh_table_live(walk->held) - 1, cleared = 0, slot = 0;
	uint64_t first = row.count, end = 0;

	while (slot < row.count && cleared < most && !lh_gather_is_full(gather)) {
		uint64_t entry = lh_atomic_load_relaxed(&row.slots[slot]), next = slot;

		if (entry == 0) {
			slot++;
			continue;
		}
		if (lh_entry_is_table(alike->format, walk->level, entry) || is_shared_slot(walk, entry) ||
		    !may_clear(walk, &row, slot))
			break;
		must_cover(walk, &row, slot);
		entry = lh_atomic_load_relaxed(&row.slots[slot]);
		lh_alike_learn(alike, walk->level, entry);
		next = end_of_clearing(walk, &row, slot, most - cleared);
		next = alike->leaf.flags & LH_LEAF_UNCOUNTED
			       ? clear_uncounted(&row, slot, next, alike)
			       : clear_counted(&row, slot, next, alike, gather);
		must_cover(walk, &row, next - 1);
		first = slot < first ? slot : first;
		cleared += next - slot;
		end = slot = next;
	}
	if (cleared == 0)
		return slot;
	lh_gather_note_range(gather, lh_walk_row_span(walk, first, end));
	lh_table_add_live(walk->held, 0 - cleared);
	lh_walk_count(walk, 0, 0 - cleared * lh_level_pages(alike->format, walk->level));
	return slot;
}

/* Clears what stands at the slot, and leaves that follow it in the table. => false: no lock. */
static bool clear_here(lh_walk *walk, lh_alike *alike, lh_gather *gather)
{
	uint64_t passed;

	if (lh_walk_is_table(walk))
		return lh_walk_clear(walk, gather);
	if (!lh_walk_hold(walk))
		return false;
	if (lh_entry_is_in_run(alike->format, walk->entry) &&
	    !lh_walk_covers_run(walk, lh_walk_address(walk)) && !lh_walk_leave_run(walk))
		return false;
	passed = clear_row(walk, alike, gather);
	if (passed == 0)
		return lh_walk_clear(walk, gather);
	lh_walk_skip_slots(walk, passed);
	return true;
}

/*
 * Leaf tables that the range covers go unopened; upper tables go when they are empty, which
 * the loss of their last leaf table makes them. So the counts stay exact without opening
 * any leaf table in the walk.
 */
void lh_directory_clear_range(lh_directory *directory, lh_virtual_range range, lh_gather *gather)
{
	lh_alike alike;
	lh_walk walk;

	LH_ASSERT(directory->port, gather->directory == directory);
	if (lh_one_clear(directory, range, gather))
		return;
	begin_alike(&alike, directory);
	begin_at_leaves(&walk, directory, range);
	while (next(&walk)) {
		if (must_enter(&walk))
			continue;
		if (lh_gather_is_full(gather))
			flush_between(&walk, gather);
		else if (!clear_here(&walk, &alike, gather))
			lh_walk_pause(&walk);
	}
	lh_walk_end(&walk);
}

/* True if the slot names a table that is empty, as far as one can see without its lock. */
static bool names_empty_table(const lh_walk *walk)
{
	const lh_directory *directory = walk->directory;

	return lh_walk_is_table(walk) &&
	       lh_table_live(lh_table_entry(directory->frames,
					    lh_entry_table(directory->format, walk->entry))) == 0;
}

void lh_directory_prune(lh_directory *directory, lh_virtual_range range)
{
	lh_gather gather;
	lh_walk walk;

	lh_gather_begin(&gather, directory);
	begin(&walk, directory, range);
	while (next(&walk))
		if (names_empty_table(&walk) && !lh_walk_clear(&walk, &gather))
			lh_walk_pause(&walk);
	lh_walk_end(&walk);
	lh_gather_finish(&gather);
}

/* The leaf with no more rights than those given. */
static lh_leaf restricted(lh_leaf leaf, lh_rights rights)
{
	leaf.rights &= rights;
	if (leaf.rights == LH_RIGHT_NONE)
		leaf.kind = LH_LEAF_NO_ACCESS;
	return leaf;
}

/* Stands the walk at a leaf in no run, its table held? => false: there is none here, or it had to pause. */
static bool hold_leaf(lh_walk *walk)
{
	if (lh_walk_is_table(walk))
		return false;
	if (lh_walk_hold(walk))
		return walk->entry != 0 && !lh_walk_is_table(walk) && lh_walk_leave_run(walk);
	lh_walk_pause(walk);
	return false;
}

/*
 * Replaces a leaf's entry. A huge leaf must not straddle the range: it would have to be split.
 * Accessed and dirty bits that the new leaf has lost go; others that the hardware has set since the
 * entry was read stay.
 */
static void replace(const lh_walk *walk, uint64_t *slot, uint64_t seen, uint64_t entry)
{
	uint64_t now = seen;

	while (!lh_atomic_compare_exchange(
		slot, &now,
		now == seen ? entry
			    : lh_entry_carry_flags(walk->directory->format, seen, now, entry,
						   !walk->directory->is_kernel)))
		;
}

/*
 * A BUSY leaf grants nothing, but what its owner puts there would: he finds under the same lock that the count has
 * changed, and grants nothing either (huge.c). Faults have versions for it.
 */
static void pass_busy(lh_directory *directory)
{
	lh_atomic_add(&directory->passed, UINT64_C(1));
}

/* What taking rights away does to entries like this one. */
static void learn_restriction(const lh_walk *walk, lh_alike *alike, uint64_t entry, lh_rights rights)
{
	lh_leaf leaf;

	lh_alike_learn(alike, walk->level, entry);
	/* What may be reached again with its rights: it was to be opened first. */
	LH_ASSERT(walk->directory->port, alike->leaf.kind != LH_LEAF_SHARED);
	if (alike->leaf.kind != LH_LEAF_PRESENT)
		return;
	leaf = lh_alike_leaf(alike, entry);
	alike->change = entry ^ lh_entry_make_leaf(alike->format, restricted(leaf, rights), alike->user);
}

/* Changes leaves that are alike. => the first slot that is not. */
static uint64_t change_alike(const lh_walk *walk, const lh_row *row, uint64_t first,
			     const lh_alike *alike)
{
	const uint64_t mask = ~alike->frame_mask, bits = alike->bits, change = alike->change;
	uint64_t *slot = &row->slots[first], *const end = &row->slots[row->count];

	for (; slot < end; slot++) {
		uint64_t entry = lh_atomic_load_relaxed(slot), now = entry;

		if ((entry & mask) != bits)
			break;
		if (!lh_atomic_compare_exchange(slot, &now, entry ^ change))
			replace(walk, slot, entry, entry ^ change);
	}
	return (uint64_t)(slot - row->slots);
}

/* The leaves of the row, from the slot at the cursor on. => slots passed. Held. */
static uint64_t restrict_row(const lh_walk *walk, lh_alike *alike, lh_rights rights, lh_gather *gather)
{
	lh_row row = lh_walk_row(walk);
	uint64_t first = row.count, end = 0, slot = 0;

	while (slot < row.count) {
		uint64_t entry = lh_atomic_load_relaxed(&row.slots[slot]);

		if (entry != 0) {
			if (lh_entry_is_table(alike->format, walk->level, entry) ||
			    lh_entry_is_in_run(alike->format, entry))
				break;
			learn_restriction(walk, alike, entry, rights);
			if (alike->leaf.kind == LH_LEAF_BUSY)
				pass_busy(walk->directory);
		}
		if (entry == 0 || alike->change == 0) {
			slot++;
			continue;
		}
		must_cover(walk, &row, slot);
		first = slot < first ? slot : first;
		end = slot = change_alike(walk, &row, slot, alike);
		must_cover(walk, &row, slot - 1);
	}
	if (end != 0)
		lh_gather_note_range(gather, lh_walk_row_span(walk, first, end));
	return slot;
}

void lh_directory_restrict_range(lh_directory *directory, lh_virtual_range range, lh_rights rights,
				 lh_gather *gather)
{
	lh_alike alike;
	lh_walk walk;

	LH_ASSERT(directory->port, gather->directory == directory);
	if (lh_one_restrict(directory, range, rights, gather))
		return;
	begin_alike(&alike, directory);
	begin_at_leaves(&walk, directory, range);
	while (next(&walk)) {
		if (!hold_leaf(&walk))
			continue;
		lh_walk_skip_slots(&walk, restrict_row(&walk, &alike, rights, gather));
	}
	lh_walk_end(&walk);
}

/* What a visitor is given, and what it made of it. */
struct visit {
	lh_leaf_visit *visit;
	void *context;
	lh_alike alike;
};

static void write_back(const lh_walk *walk, uint64_t *slot, uint64_t seen, lh_leaf old, lh_leaf leaf)
{
	const lh_directory *directory = walk->directory;
	uint64_t entry;

	LH_ASSERT(directory->port, leaf.frame.value == old.frame.value && leaf.level == old.level &&
					   (leaf.rights & ~old.rights) == 0);
	LH_ASSERT(directory->port, leaf.kind == old.kind || leaf.kind == LH_LEAF_NO_ACCESS);
	entry = lh_entry_make_leaf(directory->format, leaf, !directory->is_kernel);
	if (entry != seen)
		replace(walk, slot, seen, entry);
}

static bool is_same(const lh_leaf *a, const lh_leaf *b)
{
	return a->kind == b->kind && a->rights == b->rights && a->flags == b->flags &&
	       a->frame.value == b->frame.value && a->level == b->level && a->type == b->type && a->key == b->key;
}

/* Shows the leaves of the row. => false: the visitor wants no more. Held. */
static bool visit_row(lh_walk *walk, struct visit *visit)
{
	lh_row row = lh_walk_row(walk);
	lh_alike *alike = &visit->alike;
	bool more = true;
	uint64_t slot = 0;

	for (; more && slot < row.count; slot++) {
		uint64_t entry = lh_atomic_load_relaxed(&row.slots[slot]);
		lh_leaf leaf, seen;

		if (entry == 0)
			continue;
		if (!lh_alike_has(alike, entry)) {
			if (lh_entry_is_table(alike->format, walk->level, entry) ||
			    is_shared_slot(walk, entry) || lh_entry_is_in_run(alike->format, entry))
				break;
			lh_alike_learn(alike, walk->level, entry);
		}
		seen = leaf = lh_alike_leaf(alike, entry);
		more = visit->visit(visit->context, lh_walk_row_span(walk, slot, slot + 1).base, &leaf);
		if (is_same(&leaf, &seen))
			continue;
		LH_ASSERT(walk->directory->port, !walk->reads || walk->level != 0);
		must_cover(walk, &row, slot);
		write_back(walk, &row.slots[slot], entry, seen, leaf);
	}
	lh_walk_skip_slots(walk, slot);
	return more;
}

void lh_directory_visit(lh_directory *directory, lh_virtual_range range, lh_leaf_visit *visit,
			void *context)
{
	struct visit visitor = { .visit = visit, .context = context };
	lh_walk walk;
	bool more = true;

	begin_alike(&visitor.alike, directory);
	begin_at_leaves(&walk, directory, range);
	while (more && next(&walk)) {
		if (lh_walk_is_shared(&walk)) {
			lh_walk_enter_shared(&walk);
			continue;
		}
		if (!hold_leaf(&walk))
			continue;
		if (walk.level != visitor.alike.level)
			begin_alike(&visitor.alike, directory);
		more = visit_row(&walk, &visitor);
	}
	lh_walk_end(&walk);
}

/* Leaves alike, from one of the row on that is not empty. => the first slot that is not. */
static uint64_t find_alike(const lh_walk *walk, const lh_row *row, uint64_t slot, lh_alike *alike)
{
	const lh_paging_format *format = alike->format;
	uint64_t entry = lh_atomic_load(&row->slots[slot]);
	uint64_t left = lh_run_left(format, walk->level, &row->slots[slot]);

	lh_alike_learn(alike, walk->level,
		       lh_run_entry(format, walk->level, &row->slots[slot], entry, alike->user));
	if (lh_entry_is_in_run(format, entry))
		return left < row->count - slot ? slot + left : row->count;
	while (++slot < row->count && lh_alike_has(alike, lh_atomic_load(&row->slots[slot])))
		;
	return slot;
}

/* Shows the leaves of the row, those alike together. => false: the visitor wants no more. */
static bool query_row(lh_walk *walk, lh_alike *alike, lh_run_visit *visit, void *context)
{
	lh_row row = lh_walk_row(walk);
	uint64_t slot = 0, first;
	bool more = true;

	while (more && slot < row.count) {
		uint64_t entry = lh_atomic_load(&row.slots[slot]);
		lh_leaf_run run;

		if (entry == 0 || lh_entry_is_table(alike->format, walk->level, entry) || is_shared_slot(walk, entry))
			break;
		first = slot;
		slot = find_alike(walk, &row, slot, alike);
		run.leaf = alike->leaf;
		run.range = lh_walk_row_span(walk, first, slot);
		more = visit(context, &run);
	}
	lh_walk_skip_slots(walk, slot);
	return more;
}

void lh_directory_query(lh_directory *directory, lh_virtual_range range, lh_run_visit *visit,
			void *context)
{
	bool more = true;
	lh_alike alike;
	lh_walk walk;

	begin_alike(&alike, directory);
	lh_walk_begin_near(&walk, directory, range);
	LH_ASSERT(directory->port,
		  walk.near || lh_virtual_range_covers(lh_directory_own_range(directory), range));
	while (more && next(&walk)) {
		if (lh_walk_is_shared(&walk))
			lh_walk_enter_shared(&walk);
		else if (!lh_walk_is_table(&walk))
			more = query_row(&walk, &alike, visit, context);
	}
	lh_walk_end(&walk);
}
