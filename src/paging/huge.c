/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Huge leaves made of tables, and tables made of huge leaves. Neither changes what an address means: the
 * frames stay, and so do their holders, rights, type, and what is noted of them.
 *
 * Split: a leaf that straddles an end of a range becomes a table of leaves of the level below, and the one of
 * those that still straddles becomes one, too, down to single pages if need be. The tables are prepared
 * first, a few at each end.
 *
 * Promote: a table that is full of leaves alike, whose frames lie side by side and are aligned, becomes one
 * leaf. A CPU that still has the upper entry cached may set flags in the table until it is flushed, and they
 * would be lost: so of leaves that may be written only dirty ones are promoted, where the CPU says what is
 * dirty. What is lost of `accessed` does no harm.
 *
 * How a live entry gives way. Where the format allows it (x86-64, riscv64) it is replaced in one step, since both
 * translate every address alike: a CPU may have either cached, or both, until the next flush that covers them,
 * which comes before anything that would make them differ is over. Where it does not (break-before-make) there
 * are two steps, as for a page (slot.h): a BUSY leaf, which names and holds the same frames; a flush, nothing
 * held; and then what is wanted, if the leaf is BUSY still. Whoever met it meanwhile may have flushed and
 * made it one without access: that is split like any other; a promotion then leaves it so, and the next
 * fault upgrades it. Between the steps an access faults; so who changes the kernel's half of such a
 * format keeps everybody off the range.
 *
 * Who takes rights away passes a BUSY leaf and counts that (lh_directory.passed), under the lock of its table. So did
 * who broke it read that count with the BUSY leaf, and now he compares: if anybody passed one, of whatever leaf,
 * then what is put there grants nothing. The first frame is held between the steps, so that it is not given out
 * anew. What is not seen is that somebody cleared the leaf and put the same frame there again with fewer rights, and
 * a third broke that one too: who does so keeps splits and promotions off, as spaces do.
 *
 * Spaces split under their map lock, under which all are who take pages or rights away. Faults are not kept off: what
 * they do is to settle a BUSY leaf, and to add rights to one that is not.
 */
#include "paging/huge.h"
#include "paging/row.h"
#include "paging/run.h"
#include "paging/shared.h"
#include "paging/slot.h"

#include "base/memory.h"

static const lh_paging_format *format_of(const lh_walk *walk)
{
	return walk->directory->format;
}

static lh_virtual_range page_at(lh_virtual_address address)
{
	return (lh_virtual_range){ lh_virtual(address.value & ~(LH_PAGE_SIZE - 1)), 1 };
}

/* Is a page the first in what an entry of this level spans? */
static bool is_first(const lh_paging_format *format, unsigned level, lh_virtual_address address)
{
	return ((address.value >> format->page_shift) & (lh_level_pages(format, level) - 1)) == 0;
}

lh_virtual_range lh_walk_slot_span(const lh_walk *walk)
{
	uint64_t pages = lh_level_pages(format_of(walk), walk->level);
	uint64_t bytes = pages << format_of(walk)->page_shift;

	return (lh_virtual_range){ lh_virtual(lh_walk_address(walk).value & ~(bytes - 1)), pages };
}

static uint64_t make_entry(const lh_walk *walk, lh_leaf leaf)
{
	return lh_entry_make_leaf(format_of(walk), leaf, !walk->directory->is_kernel);
}

/* Stands the walk at the slot of a level. => false: it does not exist. */
static bool go_to_level(lh_walk *walk, unsigned level)
{
	walk->entry = lh_atomic_load_total(lh_walk_slot(walk));
	while (walk->level > level) {
		if (!lh_walk_is_table(walk))
			return false;
		lh_walk_enter(walk);
		walk->entry = lh_atomic_load_total(lh_walk_slot(walk));
	}
	walk->at_slot = true;
	return true;
}

/* The same, held. */
static bool hold_level(lh_walk *walk, unsigned level)
{
	while (go_to_level(walk, level)) {
		if (lh_walk_hold(walk))
			return true;
		lh_walk_pause(walk);
	}
	return false;
}

/* --- split --- */

/* Stands the walk at a huge leaf in which its page is not the first, held. => false: there is none. */
static bool hold_straddled(lh_walk *walk)
{
	for (;;) {
		lh_walk_descend(walk);
		if (walk->entry == 0 || is_first(format_of(walk), walk->level, lh_walk_address(walk)))
			return false;
		if (!lh_walk_hold(walk))
			lh_walk_pause(walk);
		else if (walk->entry != 0 && !lh_walk_is_table(walk))
			return true;
	}
}

/* A table whose leaves together are a leaf of the level above. */
static void fill_table(lh_directory *directory, lh_frame_number table, lh_leaf leaf)
{
	const lh_paging_format *format = directory->format;
	uint64_t *entries = lh_frame_pointer(directory->frames, table);
	uint64_t count, pages;
	lh_alike alike;

	leaf.level--;
	count = lh_paging_entries(format, leaf.level);
	pages = lh_level_pages(format, leaf.level);
	lh_alike_begin(&alike, format, !directory->is_kernel);
	lh_alike_learn(&alike, leaf.level, lh_entry_make_leaf(format, leaf, alike.user));
	for (uint64_t i = 0; i < count; i++)
		lh_atomic_store_relaxed(&entries[i],
					lh_alike_entry(&alike, lh_frame(leaf.frame.value + i * pages)));
	lh_table_entry(directory->frames, table)->word =
		(uint64_t)leaf.level << LH_TABLE_LEVEL_SHIFT | count;
}

/* Puts one of the spares into the place of the leaf, whose entry is still what the walk saw.
 * => false: the CPU has noted something of it meanwhile; nothing done but that the walk sees it. */
static bool put_table(lh_walk *walk, lh_leaf leaf, lh_spare_tables *spares)
{
	lh_directory *directory = walk->directory;
	lh_frame_number table = lh_chain_pop(directory->frames, &spares->first);
	uint64_t upper = lh_entry_make_table(directory->format, table, !directory->is_kernel);

	fill_table(directory, table, leaf);
	if (!lh_atomic_compare_exchange(lh_walk_slot(walk), &walk->entry, upper)) {
		memset(lh_frame_pointer(directory->frames, table), 0, LH_PAGE_SIZE);
		lh_chain_push(directory->frames, &spares->first, table);
		return false;
	}
	spares->count--;
	walk->entry = upper;
	lh_walk_count(walk, 1, 0);
	return true;
}

/* What was broken, to be put back. */
struct broken {
	lh_leaf leaf;
	uint64_t passed;
};

/* What leaves are there from now on goes on living, if anybody counts it. */
static void hold_broken(const lh_directory *directory, const struct broken *broken)
{
	if ((broken->leaf.flags & LH_LEAF_UNCOUNTED) == 0)
		lh_frame_hold(directory->frames, broken->leaf.frame);
}

static void drop_broken(const lh_directory *directory, const struct broken *broken)
{
	if ((broken->leaf.flags & LH_LEAF_UNCOUNTED) == 0)
		lh_frame_drop(directory->frames, broken->leaf.frame);
}

/* What may be put there: without access, if a restriction passed. => the table's lock is held. */
static lh_leaf leaf_to_put(const lh_directory *directory, const struct broken *broken)
{
	lh_leaf leaf = broken->leaf;

	if (lh_atomic_load(&directory->passed) != broken->passed)
		leaf.kind = LH_LEAF_NO_ACCESS;
	return leaf;
}

/* Makes the leaf BUSY, holds its frame, lets go, and flushes. */
static struct broken break_leaf(lh_walk *walk)
{
	struct broken broken = { .passed = lh_atomic_load(&walk->directory->passed) };
	lh_leaf leaf = lh_walk_leaf(walk);
	lh_gather gather;
	uint64_t busy;

	leaf.kind = LH_LEAF_BUSY;
	busy = make_entry(walk, leaf);
	walk->entry = lh_atomic_exchange(lh_walk_slot(walk), busy);
	broken.leaf = lh_walk_leaf(walk);
	/* Somebody else's change, which is cut short. */
	if (broken.leaf.kind == LH_LEAF_BUSY)
		broken.leaf.kind = LH_LEAF_NO_ACCESS;
	hold_broken(walk->directory, &broken);
	lh_gather_begin(&gather, walk->directory);
	lh_gather_note_range(&gather, lh_walk_slot_span(walk));
	lh_walk_end(walk);
	lh_gather_finish(&gather);
	lh_walk_begin_again(walk);
	return broken;
}

static bool is_broken_leaf(const lh_walk *walk, const struct broken *broken)
{
	lh_leaf now = lh_walk_leaf(walk);

	return now.kind == LH_LEAF_BUSY && now.frame.value == broken->leaf.frame.value;
}

/* Breaks before it makes. Whatever came between is looked at again by who called. */
static void break_and_put(lh_walk *walk, lh_spare_tables *spares)
{
	unsigned level = walk->level;
	struct broken broken = break_leaf(walk);

	if (hold_level(walk, level) && !lh_walk_is_table(walk) && is_broken_leaf(walk, &broken))
		(void)put_table(walk, leaf_to_put(walk->directory, &broken), spares);
	drop_broken(walk->directory, &broken);
}

/* Splits until no leaf straddles the page's lower end. */
static lh_error split_below(lh_directory *directory, lh_virtual_address address, lh_spare_tables *spares)
{
	lh_error error = LH_OK;
	lh_walk walk;

	lh_walk_begin(&walk, directory, page_at(address));
	while (hold_straddled(&walk)) {
		lh_leaf leaf;

		if (!lh_walk_leave_run(&walk))
			continue;
		leaf = lh_walk_leaf(&walk);
		if (spares->count == 0) {
			error = LH_NO_MEMORY;
			break;
		}
		if (leaf.kind == LH_LEAF_BUSY ||
		    (leaf.kind == LH_LEAF_PRESENT && directory->format->break_before_make))
			break_and_put(&walk, spares);
		else
			(void)put_table(&walk, leaf, spares);
	}
	lh_walk_end(&walk);
	return error;
}

/* The address behind a range. => false: there is none in the directory's half. */
static bool address_behind(const lh_directory *directory, lh_virtual_range range, lh_virtual_address *behind)
{
	*behind = lh_virtual(lh_virtual_range_last_page(range).value + LH_PAGE_SIZE);
	return lh_directory_owns(directory, *behind);
}

/* A SHARED leaf that straddles the page's lower end is opened, and has no huge ones below. */
static lh_error split_or_open(lh_directory *directory, lh_virtual_address address, lh_spare_tables *spares)
{
	if (!is_first(directory->format, LH_SHARED_LEVEL, address))
		LH_TRY(lh_directory_open_shared(directory, page_at(address), spares));
	return split_below(directory, address, spares);
}

lh_error lh_directory_split(lh_directory *directory, lh_virtual_range range, lh_spare_tables *spares)
{
	lh_virtual_address behind;

	LH_ASSERT(directory->port, lh_virtual_range_covers(lh_directory_own_range(directory), range));
	LH_TRY(split_or_open(directory, range.base, spares));
	return address_behind(directory, range, &behind) ? split_or_open(directory, behind, spares) : LH_OK;
}

/* Tables that splitting at a page's lower end takes. */
static uint64_t tables_to_split(lh_directory *directory, lh_virtual_address address)
{
	lh_leaf leaf = lh_directory_read(directory, address);
	uint64_t tables = 0;

	for (unsigned level = leaf.level; leaf.kind != LH_LEAF_EMPTY && level > 0; level--)
		tables += !is_first(directory->format, level, address);
	if (!is_first(directory->format, LH_SHARED_LEVEL, address))
		tables += lh_directory_tables_to_open(directory, page_at(address));
	return tables;
}

lh_error lh_directory_prepare_split(lh_directory *directory, lh_virtual_range range,
				    lh_spare_tables *spares)
{
	uint64_t needed = tables_to_split(directory, range.base);
	lh_virtual_address behind;

	if (address_behind(directory, range, &behind))
		needed += tables_to_split(directory, behind);
	return lh_spare_tables_take(directory->frames, needed, spares);
}

/* --- promote --- */

/* May leaves like this one become a larger one, without a flag that the CPU sets meanwhile being lost? */
static bool is_settled(const lh_paging_format *format, lh_leaf leaf)
{
	bool cpu_says_dirty = format->dirty.mask != 0 && !format->software_dirty;

	return leaf.kind == LH_LEAF_PRESENT &&
	       ((leaf.rights & LH_RIGHT_WRITE) == 0 || (leaf.flags & LH_LEAF_DIRTY) != 0 || !cpu_says_dirty);
}

/* Do the entries of a full table make one leaf of a level? => its lock is held. *leaf: that leaf. */
static bool is_uniform(const lh_directory *directory, lh_frame_number table, unsigned level, lh_leaf *leaf)
{
	const lh_paging_format *format = directory->format;
	const uint64_t *entries = lh_frame_pointer(directory->frames, table);
	uint64_t count = lh_paging_entries(format, level - 1), pages = lh_level_pages(format, level - 1);
	uint64_t first = lh_atomic_load(&entries[0]);
	lh_alike alike;

	if (lh_table_live(lh_table_entry(directory->frames, table)) != count ||
	    lh_entry_is_table(format, level - 1, first))
		return false;
	lh_alike_begin(&alike, format, !directory->is_kernel);
	lh_alike_learn(&alike, level - 1, first);
	*leaf = lh_alike_leaf(&alike, first);
	if (!is_settled(format, *leaf) || (leaf->frame.value & (lh_level_pages(format, level) - 1)) != 0)
		return false;
	for (uint64_t i = 0; i < count; i++) {
		uint64_t entry = lh_atomic_load(&entries[i]);
		uint64_t wanted = lh_alike_entry(&alike, lh_frame(leaf->frame.value + i * pages));

		if (((entry ^ wanted) & ~format->accessed) != 0)
			return false;
		if ((entry & format->accessed) != 0)
			leaf->flags |= LH_LEAF_ACCESSED;
	}
	leaf->level = (uint8_t)level;
	return true;
}

bool lh_walk_hold_table(lh_walk *walk, unsigned level, lh_frame_entry **table)
{
	while (hold_level(walk, level)) {
		if (!lh_walk_is_table(walk))
			return false;
		*table = lh_table_entry(walk->directory->frames, lh_entry_table(format_of(walk), walk->entry));
		if (lh_table_try_lock(walk->directory->port, *table))
			return true;
		lh_walk_pause(walk);
	}
	return false;
}

/* The table's leaves become one, whose holders are theirs; the empty table passes to the gather. */
static void put_leaf(lh_walk *walk, lh_frame_entry *table, lh_leaf leaf, lh_gather *gather)
{
	uint64_t entry = make_entry(walk, leaf);

	lh_gather_note_range(gather, lh_walk_slot_span(walk));
	walk->entry = lh_atomic_exchange(lh_walk_slot(walk), entry);
	lh_table_add_live(table, 0 - lh_table_live(table));
	lh_walk_detach(walk, table, gather);
	walk->entry = entry;
}

/* The second step, after the flush. => false: somebody has taken the BUSY leaf over, as is his right, or has
 * taken rights away. */
static bool settle(lh_directory *directory, lh_virtual_address address, const struct broken *broken)
{
	bool settled;
	lh_slot slot;
	lh_leaf leaf;

	lh_slot_find(&slot, directory, address);
	lh_slot_hold(&slot);
	leaf = leaf_to_put(directory, broken);
	settled = lh_slot_settle(&slot, leaf) && leaf.kind == broken->leaf.kind;
	lh_slot_close(&slot);
	drop_broken(directory, broken);
	return settled;
}

/* => the walk stands at the slot, held, with its table locked. => false: not done. *broken: what is to be put back. */
static bool replace_table(lh_walk *walk, lh_frame_entry *table, struct broken *broken, lh_gather *gather)
{
	lh_directory *directory = walk->directory;
	unsigned level = walk->level;
	lh_leaf first;

	if (!is_uniform(directory, lh_entry_table(directory->format, walk->entry), level, &broken->leaf) ||
	    !lh_walk_may_go(walk, level - 1)) {
		lh_table_unlock(directory->port, table);
		return false;
	}
	first = broken->leaf;
	if (directory->format->break_before_make) {
		first.kind = LH_LEAF_BUSY;
		broken->passed = lh_atomic_load(&directory->passed);
		hold_broken(directory, broken);
	}
	put_leaf(walk, table, first, gather);
	return true;
}

bool lh_directory_promote(lh_directory *directory, lh_virtual_address address, unsigned level)
{
	bool promoted = false;
	struct broken broken;
	lh_frame_entry *table;
	lh_gather gather;
	lh_walk walk;

	LH_ASSERT(directory->port, level > 0 && lh_directory_owns(directory, address));
	lh_gather_begin(&gather, directory);
	lh_walk_begin(&walk, directory, page_at(address));
	if (level < directory->format->levels && directory->format->leaf_at[level] &&
	    lh_walk_hold_table(&walk, level, &table))
		promoted = replace_table(&walk, table, &broken, &gather);
	lh_walk_end(&walk);
	lh_gather_finish(&gather);
	return promoted && directory->format->break_before_make ? settle(directory, address, &broken)
								: promoted;
}
