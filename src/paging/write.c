/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Single entries. Who writes looks how deep the tables reach, sees that the spares suffice,
 * and only then links and writes: nothing can fail any more.
 *
 * The hardware sets accessed and dirty bits behind our back, so an entry that may be
 * present is only changed by exchange and compare-exchange.
 */
#include "paging/walk.h"

/* Stands at the lowest existing slot for an address. */
static void find_slot(lh_walk *walk, lh_directory *directory, lh_virtual_address address)
{
	lh_virtual_range page = { lh_virtual(address.value & ~(LH_PAGE_SIZE - 1)), 1 };

	lh_walk_begin(walk, directory, page);
	lh_walk_descend(walk);
}

/* True if the address lies in a half, and this root leads there. */
static bool is_reached(const lh_directory *directory, lh_virtual_address address)
{
	unsigned half_bits = lh_format_half_bits(directory->format);
	uint64_t above = address.value >> half_bits;

	if (directory->format->root_each)
		return above == (directory->is_kernel ? UINT64_MAX >> half_bits : 0);
	return above == 0 || above == UINT64_MAX >> half_bits;
}

lh_leaf lh_directory_read_locked(lh_directory *directory, lh_virtual_address address)
{
	lh_walk walk;

	if (!is_reached(directory, address))
		return lh_entry_read_leaf(directory->format, lh_format_top(directory->format), 0,
					  true);
	find_slot(&walk, directory, address);
	return lh_walk_leaf(&walk);
}

/* Makes the missing tables below the slot, down to the level. => all are among the spares. */
static void link_tables(lh_walk *walk, unsigned level, lh_spare_tables *spares)
{
	while (walk->level > level) {
		lh_walk_link(walk, spares);
		lh_walk_enter(walk);
	}
}

/* Writes the leaf into an empty slot, at its level or above. */
static lh_error write_fresh(lh_walk *walk, lh_leaf leaf, lh_spare_tables *spares)
{
	lh_directory *directory = walk->directory;
	lh_frame_entry *table;

	if (walk->level < leaf.level)
		return LH_EXISTS;
	if (walk->level - leaf.level > spares->count)
		return LH_NO_MEMORY;
	link_tables(walk, leaf.level, spares);
	lh_atomic_store_total(lh_walk_slot(walk),
			      lh_entry_make_leaf(directory->format, leaf, !directory->is_kernel));
	table = lh_table_entry(directory->frames, walk->path[walk->level].frame);
	table->word++;
	directory->leaves += lh_level_pages(directory->format, leaf.level);
	return LH_OK;
}

/* May the new leaf be written over the old one in place? */
static bool is_upgrade(lh_leaf old, lh_leaf new)
{
	return old.level == new.level && old.frame.value == new.frame.value &&
	       old.type == new.type &&
	       (old.flags & LH_LEAF_UNCOUNTED) == (new.flags & LH_LEAF_UNCOUNTED) &&
	       (old.kind == LH_LEAF_NO_ACCESS ||
		(new.kind == LH_LEAF_PRESENT && (old.rights & ~new.rights) == 0));
}

static lh_error write_over(lh_walk *walk, lh_leaf leaf)
{
	const lh_paging_format *format = walk->directory->format;
	bool user = !walk->directory->is_kernel;
	uint64_t entry = lh_entry_make_leaf(format, leaf, user);
	uint64_t seen = walk->entry;

	/* Read back, the new leaf has the rights that the format cannot refuse, as the old has. */
	if (!is_upgrade(lh_walk_leaf(walk), lh_entry_read_leaf(format, leaf.level, entry, user)))
		return LH_EXISTS;
	while (!lh_atomic_compare_exchange(lh_walk_slot(walk), &seen,
					   lh_entry_carry_flags(format, 0, seen, entry, user)))
		;
	return LH_OK;
}

lh_error lh_directory_write_locked(lh_directory *directory, lh_virtual_address address, lh_leaf leaf,
				   lh_spare_tables *spares)
{
	lh_walk walk;

	LH_ASSERT(directory->port, lh_directory_owns(directory, address));
	LH_ASSERT(directory->port, leaf.level == 0 && leaf.kind != LH_LEAF_EMPTY);
	LH_ASSERT(directory->port,
		  leaf.kind == LH_LEAF_NO_ACCESS || leaf.rights != LH_RIGHT_NONE);
	find_slot(&walk, directory, address);
	if (walk.entry == 0)
		return write_fresh(&walk, leaf, spares);
	return write_over(&walk, leaf);
}

lh_error lh_directory_replace_locked(lh_directory *directory, lh_virtual_address address,
				     lh_frame_number old, lh_leaf leaf)
{
	const lh_paging_format *format = directory->format;
	lh_leaf now;
	lh_walk walk;

	LH_ASSERT(directory->port, lh_directory_owns(directory, address) && leaf.level == 0);
	find_slot(&walk, directory, address);
	now = lh_walk_leaf(&walk);
	if (now.kind != LH_LEAF_NO_ACCESS || now.level != 0 || now.frame.value != old.value)
		return LH_EXISTS;
	/* Not present: the hardware changes nothing in it behind our back. */
	lh_atomic_store_total(lh_walk_slot(&walk),
			      lh_entry_make_leaf(format, leaf, !directory->is_kernel));
	return LH_OK;
}

static bool fits_level(const lh_paging_format *format, lh_virtual_address address, lh_leaf leaf)
{
	uint64_t pages;

	if (leaf.level == 0 || leaf.level >= format->levels || !format->leaf_at[leaf.level])
		return false;
	pages = lh_level_pages(format, leaf.level);
	return (address.value >> format->page_shift) % pages == 0 && leaf.frame.value % pages == 0;
}

lh_error lh_directory_write_large_locked(lh_directory *directory, lh_virtual_address address,
					 lh_leaf leaf, lh_spare_tables *spares)
{
	lh_walk walk;

	LH_ASSERT(directory->port, lh_directory_owns(directory, address));
	LH_ASSERT(directory->port, leaf.kind == LH_LEAF_NO_ACCESS ||
		  (leaf.kind == LH_LEAF_PRESENT && leaf.rights != LH_RIGHT_NONE));
	if (!fits_level(directory->format, address, leaf))
		return LH_INVALID;
	find_slot(&walk, directory, address);
	if (walk.entry != 0)
		return LH_EXISTS;
	return write_fresh(&walk, leaf, spares);
}

bool lh_directory_clear_locked(lh_directory *directory, lh_virtual_address address,
			       lh_gather *gather)
{
	lh_walk walk;

	LH_ASSERT(directory->port, lh_directory_owns(directory, address));
	LH_ASSERT(directory->port, gather->directory == directory);
	if (lh_gather_is_full(gather))
		return false;
	find_slot(&walk, directory, address);
	if (walk.entry == 0)
		return true;
	LH_ASSERT(directory->port, walk.level == 0);
	lh_walk_clear(&walk, gather);
	return true;
}
