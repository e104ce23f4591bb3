/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Single entries.
 *
 * The hardware sets accessed and dirty bits behind our back, so an entry that may be
 * present is only changed by exchange and compare-exchange, although its table's lock is held.
 */
#include "paging/slot.h"

static lh_virtual_range page_of(lh_virtual_address address)
{
	lh_virtual_range page = { lh_virtual(address.value & ~(LH_PAGE_SIZE - 1)), 1 };

	return page;
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

lh_leaf lh_directory_read(lh_directory *directory, lh_virtual_address address)
{
	lh_walk walk;

	if (!is_reached(directory, address))
		return lh_entry_read_leaf(directory->format, lh_format_top(directory->format), 0,
					  true);
	lh_walk_begin(&walk, directory, page_of(address));
	lh_walk_descend(&walk);
	lh_walk_end(&walk);
	return lh_walk_leaf(&walk);
}

/* --- slots --- */

/* How a step towards a slot ended. */
enum step { STEP_OPEN, STEP_LINKED, STEP_BUSY, STEP_EXISTS, STEP_NO_MEMORY };

/* One table further: from the lowest slot that exists. */
static enum step step_towards(lh_slot *slot, unsigned level, lh_spare_tables *spares)
{
	lh_walk *walk = &slot->walk;

	lh_walk_descend(walk);
	if (walk->level < level)
		return STEP_EXISTS;
	if (!lh_walk_hold(walk))
		return STEP_BUSY;
	if (walk->level == level)
		return lh_walk_is_table(walk) ? STEP_EXISTS : STEP_OPEN;
	if (walk->entry != 0)
		return lh_walk_is_table(walk) ? STEP_LINKED : STEP_EXISTS;
	if (walk->level - level > spares->count)
		return STEP_NO_MEMORY;
	lh_walk_link(walk, spares);
	slot->linked = true;
	return STEP_LINKED;
}

lh_error lh_slot_open(lh_slot *slot, lh_directory *directory, lh_virtual_address address,
		      unsigned level, lh_spare_tables *spares)
{
	slot->linked = false;
	lh_walk_begin(&slot->walk, directory, page_of(address));
	for (;;) {
		switch (step_towards(slot, level, spares)) {
		case STEP_OPEN:
			return LH_OK;
		case STEP_LINKED:
			break;
		case STEP_BUSY:
			lh_walk_pause(&slot->walk);
			break;
		case STEP_EXISTS:
			lh_slot_close(slot);
			return LH_EXISTS;
		case STEP_NO_MEMORY:
			lh_slot_close(slot);
			return LH_NO_MEMORY;
		}
	}
}

void lh_slot_find(lh_slot *slot, lh_directory *directory, lh_virtual_address address)
{
	slot->linked = false;
	lh_walk_begin(&slot->walk, directory, page_of(address));
	lh_walk_descend(&slot->walk);
}

void lh_slot_hold(lh_slot *slot)
{
	lh_walk *walk = &slot->walk;

	while (walk->entry != 0) {
		if (!lh_walk_hold(walk))
			lh_walk_pause(walk);
		else if (!lh_walk_is_table(walk))
			return;
		lh_walk_descend(walk);
	}
}

bool lh_slot_move(lh_slot *slot, lh_virtual_address address)
{
	lh_walk *walk = &slot->walk;
	unsigned above = lh_level_shift(walk->directory->format, walk->level + 1);

	if (walk->range.base.value >> above != address.value >> above)
		return false;
	walk->range = page_of(address);
	walk->entry = lh_atomic_load_total(lh_walk_slot(walk));
	return true;
}

void lh_slot_close(lh_slot *slot)
{
	lh_walk_end(&slot->walk);
	if (slot->linked)
		lh_directory_prune(slot->walk.directory, slot->walk.range);
}

/* May the new leaf be written over the old one in place? */
static bool is_upgrade(lh_leaf old, lh_leaf new)
{
	return old.level == new.level && old.frame.value == new.frame.value &&
	       old.type == new.type &&
	       (old.flags & LH_LEAF_UNCOUNTED) == (new.flags & LH_LEAF_UNCOUNTED) &&
	       (old.kind == LH_LEAF_NO_ACCESS ||
		(old.kind == LH_LEAF_PRESENT && new.kind == LH_LEAF_PRESENT &&
		 (old.rights & ~new.rights) == 0));
}

static uint64_t make_entry(const lh_walk *walk, lh_leaf leaf)
{
	return lh_entry_make_leaf(walk->directory->format, leaf, !walk->directory->is_kernel);
}

static void write_fresh(lh_slot *slot, lh_leaf leaf)
{
	lh_walk *walk = &slot->walk;

	walk->entry = make_entry(walk, leaf);
	lh_atomic_store_total(lh_walk_slot(walk), walk->entry);
	lh_table_count(walk->held, true);
	lh_walk_count(walk, 0, lh_level_pages(walk->directory->format, walk->level));
	slot->linked = false;
}

static lh_error write_over(lh_walk *walk, lh_leaf leaf)
{
	const lh_paging_format *format = walk->directory->format;
	bool user = !walk->directory->is_kernel;
	uint64_t entry = make_entry(walk, leaf);
	uint64_t seen = walk->entry;

	/* Read back, the new leaf has the rights that the format cannot refuse, as the old has. */
	if (!is_upgrade(lh_walk_leaf(walk), lh_entry_read_leaf(format, leaf.level, entry, user)))
		return LH_EXISTS;
	while (!lh_atomic_compare_exchange(lh_walk_slot(walk), &seen,
					   lh_entry_carry_flags(format, 0, seen, entry, user)))
		;
	walk->entry = lh_atomic_load_relaxed(lh_walk_slot(walk));
	return LH_OK;
}

lh_error lh_slot_write(lh_slot *slot, lh_leaf leaf)
{
	lh_walk *walk = &slot->walk;
	lh_port *port = walk->directory->port;

	LH_ASSERT(port, walk->held && leaf.level == walk->level && leaf.kind != LH_LEAF_EMPTY);
	LH_ASSERT(port, leaf.kind == LH_LEAF_NO_ACCESS || leaf.rights != LH_RIGHT_NONE);
	if (walk->entry != 0)
		return write_over(walk, leaf);
	write_fresh(slot, leaf);
	return LH_OK;
}

void lh_slot_withdraw(lh_slot *slot, lh_leaf leaf, lh_gather *gather)
{
	lh_walk *walk = &slot->walk;
	uint64_t busy;

	LH_ASSERT(walk->directory->port, walk->held && leaf.level == walk->level);
	leaf.kind = LH_LEAF_BUSY;
	busy = make_entry(walk, leaf);
	walk->entry = lh_atomic_exchange(lh_walk_slot(walk), busy);
	lh_gather_note_range(gather, lh_walk_span(walk));
	lh_gather_add_leaf(gather, lh_walk_leaf(walk));
	walk->entry = busy;
}

bool lh_slot_settle(lh_slot *slot, lh_leaf leaf)
{
	lh_walk *walk = &slot->walk;
	lh_leaf now = lh_walk_leaf(walk);

	if (now.kind != LH_LEAF_BUSY || now.frame.value != leaf.frame.value ||
	    now.level != leaf.level)
		return false;
	/* Not present: the hardware changes nothing in it behind our back. */
	walk->entry = make_entry(walk, leaf);
	lh_atomic_store_total(lh_walk_slot(walk), walk->entry);
	return true;
}

/* --- whole operations --- */

lh_error lh_directory_write(lh_directory *directory, lh_virtual_address address, lh_leaf leaf,
			    lh_spare_tables *spares)
{
	lh_slot slot;
	lh_error error;

	LH_ASSERT(directory->port, lh_directory_owns(directory, address) && leaf.level == 0);
	LH_TRY(lh_slot_open(&slot, directory, address, 0, spares));
	error = lh_slot_write(&slot, leaf);
	lh_slot_close(&slot);
	return error;
}

static bool fits_level(const lh_paging_format *format, lh_virtual_address address, lh_leaf leaf)
{
	uint64_t pages;

	if (leaf.level == 0 || leaf.level >= format->levels || !format->leaf_at[leaf.level])
		return false;
	pages = lh_level_pages(format, leaf.level);
	return (address.value >> format->page_shift) % pages == 0 && leaf.frame.value % pages == 0;
}

lh_error lh_directory_write_large(lh_directory *directory, lh_virtual_address address, lh_leaf leaf,
				  lh_spare_tables *spares)
{
	lh_slot slot;
	lh_error error = LH_EXISTS;

	LH_ASSERT(directory->port, lh_directory_owns(directory, address));
	if (!fits_level(directory->format, address, leaf))
		return LH_INVALID;
	LH_TRY(lh_slot_open(&slot, directory, address, leaf.level, spares));
	if (slot.walk.entry == 0)
		error = lh_slot_write(&slot, leaf);
	lh_slot_close(&slot);
	return error;
}

bool lh_directory_clear(lh_directory *directory, lh_virtual_address address, lh_gather *gather)
{
	lh_walk walk;

	LH_ASSERT(directory->port, lh_directory_owns(directory, address));
	LH_ASSERT(directory->port, gather->directory == directory);
	if (lh_gather_is_full(gather))
		return false;
	lh_walk_begin(&walk, directory, page_of(address));
	for (;;) {
		lh_walk_descend(&walk);
		LH_ASSERT(directory->port, walk.entry == 0 || walk.level == 0);
		if (walk.entry == 0 || lh_walk_clear(&walk, gather))
			break;
		lh_walk_pause(&walk);
	}
	lh_walk_end(&walk);
	return true;
}
