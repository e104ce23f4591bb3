/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Slots: an entry held still, and what may be written there (slot.h).
 *
 * The hardware sets accessed and dirty bits behind our back, so an entry that may be
 * present is only changed by exchange and compare-exchange, although its table's lock is held.
 */
#include "paging/near.h"
#include "paging/plain.h"
#include "paging/run.h"
#include "paging/slot.h"

#include "base/memory.h"

static lh_virtual_range page_of(lh_virtual_address address)
{
	lh_virtual_range page = { lh_virtual(address.value & ~(LH_PAGE_SIZE - 1)), 1 };

	return page;
}

lh_step lh_walk_step_towards(lh_walk *walk, unsigned level, lh_spare_tables *spares)
{
	lh_walk_descend(walk);
	if (walk->level < level)
		return LH_STEP_EXISTS;
	if (!lh_walk_hold(walk))
		return LH_STEP_LOCKED;
	if (walk->level == level)
		return lh_walk_is_table(walk) ? LH_STEP_EXISTS : LH_STEP_THERE;
	if (walk->entry != 0)
		return lh_walk_is_table(walk) ? LH_STEP_ON : LH_STEP_EXISTS;
	if (walk->level - level > spares->count)
		return LH_STEP_NO_MEMORY;
	lh_walk_link(walk, spares);
	return LH_STEP_LINKED;
}

lh_error lh_slot_open(lh_slot *slot, lh_directory *directory, lh_virtual_address address,
		      unsigned level, lh_spare_tables *spares)
{
	slot->linked = false;
	lh_walk_begin_near(&slot->walk, directory, page_of(address));
	if (level == 0 && slot->walk.level == 0 && lh_walk_try_hold(&slot->walk))
		return LH_OK;
	for (;;) {
		switch (lh_walk_step_towards(&slot->walk, level, spares)) {
		case LH_STEP_THERE:
			return LH_OK;
		case LH_STEP_ON:
			break;
		case LH_STEP_LINKED:
			slot->linked = true;
			break;
		case LH_STEP_LOCKED:
			lh_walk_pause(&slot->walk);
			break;
		case LH_STEP_EXISTS:
			lh_slot_close(slot);
			return LH_EXISTS;
		case LH_STEP_NO_MEMORY:
			lh_slot_close(slot);
			return LH_NO_MEMORY;
		}
	}
}

void lh_slot_find(lh_slot *slot, lh_directory *directory, lh_virtual_address address)
{
	slot->linked = false;
	lh_walk_begin_near(&slot->walk, directory, page_of(address));
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
	return !lh_leaf_is_mark(new.kind) && old.level == new.level && old.frame.value == new.frame.value &&
	       old.type == new.type && old.key == new.key &&
	       (old.flags & LH_LEAF_UNCOUNTED) == (new.flags & LH_LEAF_UNCOUNTED) &&
	       (old.kind == LH_LEAF_NO_ACCESS ||
		(old.kind == LH_LEAF_PRESENT && new.kind == LH_LEAF_PRESENT &&
		 (old.rights & ~new.rights) == 0));
}

void lh_plain_begin(lh_directory *directory)
{
	const lh_paging_format *format = directory->format;
	lh_address_part part = format->address[0];
	bool more = directory->is_kernel && (format->present_flush || format->present_order);

	memset(directory->plain, 0, sizeof directory->plain);
	directory->plain_frames = more ? 0 : ((part.mask << part.shift) >> LH_PAGE_SHIFT) + 1;
	directory->plain_unit = UINT64_C(1) << (LH_PAGE_SHIFT - part.shift);
}

void lh_plain_learn_from(lh_directory *directory, const lh_directory *other)
{
	for (unsigned row = 0; row < 2; row++)
		for (unsigned i = 0; i < sizeof other->plain[0] / sizeof other->plain[0][0]; i++)
			lh_atomic_store_relaxed(&directory->plain[row][i],
						lh_atomic_load_relaxed(&other->plain[row][i]));
}

static __attribute__((noinline)) uint64_t learn_plain(lh_directory *directory, const lh_leaf *leaf)
{
	lh_leaf plain = { .kind = LH_LEAF_PRESENT, .rights = leaf->rights, .level = leaf->level,
			  .flags = leaf->flags & LH_LEAF_UNCOUNTED };
	uint64_t *bits = &directory->plain[leaf->level == 0 ? 0 : 1][lh_plain_index(leaf)];

	lh_atomic_store_relaxed(bits, lh_entry_make_leaf(directory->format, plain, !directory->is_kernel));
	return lh_plain_entry(directory, leaf);
}

uint64_t lh_directory_make_entry(lh_directory *directory, const lh_leaf *leaf)
{
	uint64_t entry = lh_plain_entry(directory, leaf);

	if (__builtin_expect(entry != 0, 1))
		return entry;
	if (lh_leaf_is_plain(leaf))
		return learn_plain(directory, leaf);
	return lh_entry_make_leaf(directory->format, *leaf, !directory->is_kernel);
}

static uint64_t make_entry(lh_directory *directory, lh_leaf leaf)
{
	return lh_directory_make_entry(directory, &leaf);
}

static void write_fresh(lh_slot *slot, lh_leaf leaf)
{
	lh_walk *walk = &slot->walk;

	walk->entry = make_entry(walk->directory, leaf);
	lh_atomic_store_total(lh_walk_slot(walk), walk->entry);
	lh_table_count(walk->held, true);
	lh_walk_count(walk, 0, lh_level_pages(walk->directory->format, walk->level));
	slot->linked = false;
}

static lh_error write_over(lh_walk *walk, lh_leaf leaf)
{
	const lh_paging_format *format = walk->directory->format;
	bool user = !walk->directory->is_kernel;
	uint64_t entry = make_entry(walk->directory, leaf);
	uint64_t seen = walk->entry;

	if (lh_entry_is_in_run(format, walk->entry))
		return LH_EXISTS;
	/* The hardware changes nothing in a mark, and no CPU has it cached. */
	if (lh_leaf_is_mark(lh_walk_leaf(walk).kind)) {
		walk->entry = entry;
		lh_atomic_store_total(lh_walk_slot(walk), entry);
		return LH_OK;
	}
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
	LH_ASSERT(port, leaf.kind != LH_LEAF_PRESENT || leaf.rights != LH_RIGHT_NONE);
	if (walk->entry != 0)
		return write_over(walk, leaf);
	write_fresh(slot, leaf);
	return LH_OK;
}

bool lh_slot_write_huge(lh_slot *slot, lh_leaf leaf, bool (*is_right)(const void *context),
			const void *context)
{
	lh_walk *walk = &slot->walk;
	lh_leaf busy = leaf;

	LH_ASSERT(walk->directory->port, walk->held && leaf.level == walk->level && leaf.level != 0);
	if (walk->entry != 0)
		return false;
	busy.kind = LH_LEAF_BUSY;
	lh_atomic_store_total(lh_walk_slot(walk), make_entry(walk->directory, busy));
	if (!is_right(context)) {
		lh_atomic_store_total(lh_walk_slot(walk), UINT64_C(0));
		return false;
	}
	write_fresh(slot, leaf);
	return true;
}

void lh_slot_withdraw(lh_slot *slot, lh_leaf leaf, lh_gather *gather)
{
	lh_walk *walk = &slot->walk;
	uint64_t busy;

	LH_ASSERT(walk->directory->port, walk->held && leaf.level == walk->level);
	LH_ASSERT(walk->directory->port, !lh_entry_is_in_run(walk->directory->format, walk->entry));
	leaf.kind = LH_LEAF_BUSY;
	busy = make_entry(walk->directory, leaf);
	lh_gather_add_entry(gather, walk->level, lh_atomic_exchange(lh_walk_slot(walk), busy));
	lh_gather_note_range(gather, lh_walk_span(walk));
	walk->entry = busy;
}

bool lh_slot_settle(lh_slot *slot, lh_leaf leaf)
{
	lh_walk *walk = &slot->walk;
	const lh_paging_format *format = walk->directory->format;

	if (walk->level != leaf.level || !lh_entry_is_busy(format, walk->entry) ||
	    lh_entry_frame(format, walk->level, walk->entry).value != leaf.frame.value)
		return false;
	/* Not present: the hardware changes nothing in it behind our back. */
	walk->entry = make_entry(walk->directory, leaf);
	lh_atomic_store_total(lh_walk_slot(walk), walk->entry);
	return true;
}
