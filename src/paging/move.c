/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Moving leaves.
 *
 * Three steps, for the entries of one table of the source at a time:
 *
 *     lift   under the table's lock each entry is taken out, into a page that no CPU walks: they are *in hand*
 *     flush  whoever translated by them does so no more
 *     put    each is written where it belongs now
 *
 * So no page is to be reached at both places, and none at the new one while a CPU may still reach it at the old one.
 * In hand an entry keeps its holders: nothing is counted anew. Whoever looks meanwhile finds both places
 * empty; so he must be kept off, or be one who may believe that (lh_directory_move).
 *
 * What is lifted:
 *
 *     where the two places lie alike to tables    a slot of level 1 as it is: the leaf table with all that is in
 *     and the range has all that a slot spans     it, or the huge leaf
 *     elsewhere                                   the leaves of a table; a huge leaf as the leaves of its pages
 *
 * A table that moves. Who walked to it by its old place holds interrupts off, and would write what belongs to the old
 * place. So it leaves the tree as one that is freed does (walk.h): locked, the entry that names it cleared, all parts
 * marked stale, and the flush calls those who walk as well as those who run the directory. After that nobody is
 * on his way to it; only then it is named by its new place, and unlocked. That it is another table's now is seen by
 * nobody who saw the first.
 *
 * A BUSY leaf is somebody's change under way. Lifted alone it is put as one without access, which the flush
 * makes true; its owner finds his slot empty. In a table that moves it stays BUSY, for the first who meets it to settle.
 *
 * At the new place nothing stands but, where pages were unmapped just before, a table without leaves, which a fault
 * linked that came too late: it is taken out if the slot is wanted.
 *
 * Why not with both tables locked, from slot to slot? Between the two comes a flush, and that is not waited for under a
 * table's lock. Why not without access at the new place, to be found out by faults? A fault for each page is
 * what moving is to save.
 */
#include "paging/move.h"

#include "base/lock_order.h"
#include "paging/row.h"
#include "paging/slot.h"

/* Entries that the page has room for. */
#define IN_HAND (LH_PAGE_SIZE / sizeof(uint64_t))

struct move {
	lh_directory *directory;
	const lh_paging_format *format;
	lh_virtual_range from;
	lh_virtual_address to;
	lh_spare_tables *spares;
	lh_gather gather;
	uint64_t *in_hand; /* entries, by how many of their size they lie behind the first; 0: none */
	bool emptied;	   /* a table of the source may have nothing left */
};

/* Entries of one level, side by side. */
struct part {
	unsigned level;
	uint64_t page;	/* of the range, where they begin */
	uint64_t count;
};

static bool is_user(const struct move *move)
{
	return !move->directory->is_kernel;
}

static lh_virtual_range behind(lh_virtual_range range, uint64_t pages)
{
	return (lh_virtual_range){ lh_virtual_range_page(range, pages), range.pages - pages };
}

static lh_frame_entry *named_table(const struct move *move, uint64_t entry)
{
	return lh_table_entry(move->directory->frames, lh_entry_table(move->format, entry));
}

/* --- which tables --- */

static bool lie_alike(const lh_paging_format *format, lh_virtual_address from, lh_virtual_address to)
{
	return ((from.value ^ to.value) & ((UINT64_C(1) << lh_level_shift(format, 1)) - 1)) == 0;
}

/* Pages from an address to the end of what an entry of level 1 spans. */
static uint64_t pages_to_end(const lh_paging_format *format, lh_virtual_address address)
{
	uint64_t pages = lh_level_pages(format, 1);

	return pages - ((address.value >> format->page_shift) & (pages - 1));
}

/* Slots of level 1 that the range has whole. */
static uint64_t whole_slots(const lh_paging_format *format, lh_virtual_range range)
{
	uint64_t pages = lh_level_pages(format, 1), before = pages_to_end(format, range.base) & (pages - 1);

	return range.pages < before ? 0 : (range.pages - before) / pages;
}

lh_error lh_directory_prepare_move(lh_directory *directory, lh_virtual_range from, lh_virtual_address to,
				   bool is_kept, lh_spare_tables *spares)
{
	const lh_paging_format *format = directory->format;
	lh_virtual_range there = { to, from.pages };
	bool moves_tables = lie_alike(format, from.base, to) && whole_slots(format, from) != 0;
	unsigned lowest = moves_tables ? 1 : 0;
	/* One to work with; leaf tables at both ends, where those between move. */
	uint64_t needed = moves_tables ? 3 : 1;

	for (unsigned level = lowest; level < lh_format_top(format); level++)
		needed += lh_tables_crossed(format, level, there);
	if (is_kept)
		needed -= lh_tables_there(directory, there, lowest);
	return lh_spare_tables_take(directory->frames, needed, spares);
}

/* --- lift --- */

/* What is put for an entry that was lifted alone. */
static uint64_t settled(const struct move *move, unsigned level, uint64_t entry)
{
	lh_leaf leaf;

	if (lh_entry_is_present(move->format, entry))
		return entry;
	leaf = lh_entry_read_leaf(move->format, level, entry, is_user(move));
	if (leaf.kind != LH_LEAF_BUSY)
		return entry;
	leaf.kind = LH_LEAF_NO_ACCESS;
	return lh_entry_make_leaf(move->format, leaf, is_user(move));
}

/* So many leaves less in the held table. */
static void count_lifted(struct move *move, const lh_walk *walk, uint64_t entries)
{
	lh_table_add_live(walk->held, 0 - entries);
	move->emptied |= lh_table_live(walk->held) == 0;
}

/* Stands the walk at the lowest slot for its page, held unless nothing is below it. */
static void hold_lowest(lh_walk *walk)
{
	for (;;) {
		lh_walk_descend(walk);
		if (walk->entry == 0 && walk->level != 0)
			return;
		if (!lh_walk_hold(walk))
			lh_walk_pause(walk);
		else if (!lh_walk_is_table(walk))
			return;
	}
}

static void lift_row(struct move *move, const lh_walk *walk, const lh_row *row)
{
	uint64_t lifted = 0;

	for (uint64_t i = 0; i < row->count; i++) {
		uint64_t entry = lh_atomic_load_relaxed(&row->slots[i]);

		if (entry == 0)
			continue;
		entry = lh_atomic_exchange(&row->slots[i], UINT64_C(0));
		move->in_hand[i] = settled(move, 0, entry);
		lifted++;
	}
	if (lifted == 0)
		return;
	lh_gather_note_range(&move->gather, lh_walk_row_span(walk, 0, row->count));
	lh_walk_count(walk, 0, 0 - lifted);
	count_lifted(move, walk, lifted);
}

/* Takes the huge leaf out of its slot, held. => its entry. */
static uint64_t lift_huge(struct move *move, lh_walk *walk)
{
	uint64_t entry = lh_atomic_exchange(lh_walk_slot(walk), UINT64_C(0));

	LH_ASSERT(move->directory->port, walk->level == 1 && lh_walk_covers(walk) && !lh_walk_is_shared(walk));
	lh_gather_note_range(&move->gather, lh_walk_span(walk));
	lh_walk_count(walk, 0, 0 - lh_level_pages(move->format, 1));
	count_lifted(move, walk, 1);
	return settled(move, 1, entry);
}

/* In hand are the leaves of its pages, which its holders are for. */
static void break_up(struct move *move, uint64_t entry)
{
	lh_leaf leaf = lh_entry_read_leaf(move->format, 1, entry, is_user(move));
	lh_alike alike;

	leaf.level = 0;
	lh_alike_begin(&alike, move->format, is_user(move));
	lh_alike_learn(&alike, 0, lh_entry_make_leaf(move->format, leaf, is_user(move)));
	for (uint64_t i = 0; i < lh_level_pages(move->format, 1); i++)
		move->in_hand[i] = lh_alike_entry(&alike, lh_frame(leaf.frame.value + i));
}

/* The leaves of the table that a page is in, from there on. */
static struct part lift_leaves(struct move *move, uint64_t page)
{
	struct part part = { .page = page };
	lh_walk walk;

	lh_walk_begin(&walk, move->directory, behind(move->from, page));
	hold_lowest(&walk);
	if (walk.level == 0) {
		lh_row row = lh_walk_row(&walk);

		part.count = row.count;
		lift_row(move, &walk, &row);
	} else {
		part.count = lh_walk_span(&walk).pages;
		if (walk.entry != 0)
			break_up(move, lift_huge(move, &walk));
	}
	lh_walk_end(&walk);
	return part;
}

/* Takes out the table that the slot, held, names. => its entry, or 0: it is empty. *locked: it is locked now. */
static uint64_t lift_table(struct move *move, lh_walk *walk, bool *locked)
{
	lh_frame_entry *table = named_table(move, walk->entry);

	*locked = lh_table_try_lock(move->directory->port, table);
	if (!*locked)
		return 0;
	if (lh_table_live(table) == 0) {
		move->emptied = true;
		lh_table_unlock(move->directory->port, table);
		return 0;
	}
	lh_gather_note_range(&move->gather, lh_walk_span(walk));
	walk->entry = lh_atomic_exchange(lh_walk_slot(walk), UINT64_C(0));
	lh_walk_unhook(walk, table);
	move->gather.calls_walkers = true;
	count_lifted(move, walk, 1);
	return walk->entry;
}

/* => false: a lock is not to be had. */
static bool lift_slot(struct move *move, lh_walk *walk)
{
	uint64_t *in_hand = &move->in_hand[walk->page / lh_level_pages(move->format, 1)];
	bool locked = true;

	if (!lh_walk_hold(walk))
		return false;
	if (lh_walk_is_table(walk))
		*in_hand = lift_table(move, walk, &locked);
	else if (walk->entry != 0)
		*in_hand = lift_huge(move, walk);
	return locked;
}

/* Slots of level 1, as many as there are whole ones from a page on in one table. */
static struct part lift_slots(struct move *move, uint64_t page)
{
	lh_virtual_range rest = behind(move->from, page);
	uint64_t left = lh_paging_entries(move->format, 1) - lh_level_index(move->format, 1, rest.base);
	struct part part = { 1, page, whole_slots(move->format, rest) };
	lh_walk walk;

	part.count = part.count < left ? part.count : left;
	part.count = part.count < IN_HAND ? part.count : IN_HAND;
	rest.pages = part.count * lh_level_pages(move->format, 1);
	lh_walk_begin(&walk, move->directory, rest);
	while (lh_walk_next(&walk)) {
		if (walk.level != 1)
			continue;
		if (!lift_slot(move, &walk)) {
			lh_walk_pause(&walk);
			continue;
		}
		lh_walk_skip(&walk);
		if (walk.tables >= LH_TABLES_AT_A_TIME && walk.page < rest.pages)
			lh_walk_pause(&walk);
	}
	lh_walk_end(&walk);
	return part;
}

static struct part lift(struct move *move, uint64_t page)
{
	lh_virtual_range rest = behind(move->from, page);

	lh_gather_begin(&move->gather, move->directory);
	if (lie_alike(move->format, move->from.base, move->to) &&
	    pages_to_end(move->format, rest.base) == lh_level_pages(move->format, 1) &&
	    whole_slots(move->format, rest) != 0)
		return lift_slots(move, page);
	return lift_leaves(move, page);
}

/* --- put --- */

static lh_virtual_address new_place(const struct move *move, uint64_t page)
{
	return lh_virtual(move->to.value + (page << move->format->page_shift));
}

/* Those of the part from one on that go into the same table, of which the slot is the first's. => how many. */
static uint64_t put_row(struct move *move, lh_slot *slot, uint64_t first, uint64_t count)
{
	lh_walk *walk = &slot->walk;
	uint64_t *slots = lh_walk_slot(walk), put = 0;
	uint64_t left = lh_paging_entries(move->format, 0) -
			lh_level_index(move->format, 0, lh_walk_address(walk));

	count = count < left ? count : left;
	for (uint64_t i = 0; i < count; i++) {
		uint64_t *entry = &move->in_hand[first + i];

		if (*entry == 0)
			continue;
		LH_REQUIRE(move->directory->port, lh_atomic_load_relaxed(&slots[i]) == 0);
		lh_atomic_store(&slots[i], *entry);
		*entry = 0;
		put++;
	}
	lh_table_add_live(walk->held, put);
	lh_walk_count(walk, 0, put);
	slot->linked = false;
	return count;
}

static void put_leaves(struct move *move, const struct part *part)
{
	uint64_t i = 0;

	while (i < part->count) {
		lh_error error;
		lh_slot slot;

		if (move->in_hand[i] == 0) {
			i++;
			continue;
		}
		error = lh_slot_open(&slot, move->directory, new_place(move, part->page + i), 0, move->spares);
		LH_REQUIRE(move->directory->port, error == LH_OK);
		i += put_row(move, &slot, i, part->count - i);
		lh_slot_close(&slot);
	}
}

/* Takes an empty table out of its slot, held. => false: its lock is not to be had. */
static bool take_empty_out(struct move *move, lh_walk *walk, lh_gather *gather)
{
	lh_frame_entry *table = named_table(move, walk->entry);

	if (!lh_table_try_lock(move->directory->port, table))
		return false;
	LH_REQUIRE(move->directory->port, lh_table_live(table) == 0);
	lh_gather_note_range(gather, lh_walk_span(walk));
	walk->entry = lh_atomic_exchange(lh_walk_slot(walk), UINT64_C(0));
	lh_walk_detach(walk, table, gather);
	lh_table_count(walk->held, false);
	return true;
}

/* Whoever linked a table at the slot of level 1 and could not use it. */
static void clear_way(struct move *move, lh_virtual_address address)
{
	lh_virtual_range range = { address, lh_level_pages(move->format, 1) };
	lh_gather gather;
	lh_walk walk;

	lh_gather_begin(&gather, move->directory);
	lh_walk_begin(&walk, move->directory, range);
	while (lh_walk_next(&walk)) {
		if (walk.level != 1)
			continue;
		if (!lh_walk_hold(&walk) ||
		    (lh_walk_is_table(&walk) && !take_empty_out(move, &walk, &gather)))
			lh_walk_pause(&walk);
		else
			lh_walk_skip(&walk);
	}
	lh_walk_end(&walk);
	lh_gather_finish(&gather);
}

/* => the slot is open, and empty. */
static void put_slot(struct move *move, lh_slot *slot, uint64_t entry)
{
	lh_walk *walk = &slot->walk;
	lh_frame_entry *table = NULL;

	if (lh_entry_is_table(move->format, 1, entry)) {
		table = named_table(move, entry);
		lh_walk_count(walk, 1, lh_table_live(table));
	} else {
		lh_walk_count(walk, 0, lh_level_pages(move->format, 1));
	}
	lh_atomic_store_total(lh_walk_slot(walk), entry);
	lh_table_count(walk->held, true);
	slot->linked = false;
	if (table)
		lh_table_come_back(move->directory->port, table);
}

static void put_slots(struct move *move, const struct part *part)
{
	for (uint64_t i = 0; i < part->count; i++) {
		lh_virtual_address address = new_place(move, part->page + i * lh_level_pages(move->format, 1));
		lh_error error;
		lh_slot slot;

		if (move->in_hand[i] == 0)
			continue;
		while ((error = lh_slot_open(&slot, move->directory, address, 1, move->spares)) == LH_EXISTS)
			clear_way(move, address);
		LH_REQUIRE(move->directory->port, error == LH_OK);
		put_slot(move, &slot, move->in_hand[i]);
		lh_slot_close(&slot);
		move->in_hand[i] = 0;
	}
}

/* --- a range --- */

static void move_all(struct move *move)
{
	uint64_t page = 0;

	while (page < move->from.pages) {
		struct part part = lift(move, page);

		if (!lh_virtual_range_is_empty(move->gather.span)) {
			lh_gather_finish(&move->gather);
			if (part.level == 0)
				put_leaves(move, &part);
			else
				put_slots(move, &part);
		}
		page += part.count * lh_level_pages(move->format, part.level);
	}
}

void lh_directory_move(lh_directory *directory, lh_virtual_range from, lh_virtual_address to,
		       lh_spare_tables *spares)
{
	lh_frame_number page = lh_chain_pop(directory->frames, &spares->first);
	struct move move = {
		.directory = directory,
		.format = directory->format,
		.from = from,
		.to = to,
		.spares = spares,
		.in_hand = lh_frame_pointer(directory->frames, page),
	};

	LH_ASSERT(directory->port, !lh_virtual_range_overlaps(from, (lh_virtual_range){ to, from.pages }));
	spares->count--;
	move_all(&move);
	/* Nothing is in hand: it is as empty as a spare is. */
	lh_chain_push(directory->frames, &spares->first, page);
	spares->count++;
	lh_directory_let_tables_go(directory);
	if (move.emptied)
		lh_directory_prune(directory, from);
}
