/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whole operations on one leaf, a page or a huge one. Each is done by the shortest walk, if the CPU remembers the
 * table that the leaf is in (near.h), and otherwise by a walk from the root.
 *
 *     the short way                               what it leaves to the long way
 *     finds the slot, tries the table's lock      a table that is not remembered, or is locked
 *     write: the slot is empty                    upgrades; what the format needs decoded
 *     clear: a leaf, and not the table's last     a table that so becomes empty, and goes
 *     restrict: by the bits of the rights         a leaf that loses all access
 *     flushes at once, if only this CPU has       noted: the gather's flush
 *     the directory loaded
 *
 * The hardware sets accessed and dirty bits behind our back, so an entry that may be present is only changed by
 * exchange and compare-exchange. One that is empty is stored: its table's lock orders it with everybody who takes
 * that, and to those who only read it is as if the walk came a moment later.
 */
#include "paging/one.h"

#include "paging/plain.h"
#include "paging/run.h"
#include "paging/slot.h"

static lh_virtual_range page_of(lh_virtual_address address)
{
	lh_virtual_range page = { lh_virtual(address.value & ~(LH_PAGE_SIZE - 1)), 1 };

	return page;
}

/* --- read --- */

/* What an entry says, decoded, and what of that is so of others: all but the frame. */
LH_FAR void read_anew(const lh_near *near, const lh_directory *directory, unsigned level, uint64_t entry,
		      lh_leaf *leaf)
{
	*leaf = lh_entry_read_leaf(directory->format, level, entry, !directory->is_kernel);
	if (leaf->kind != LH_LEAF_PRESENT)
		return;
	near->part->read_bits = entry & ~lh_level_frame_mask(directory->format, level);
	near->part->read = *leaf;
}

/* Most leaves that are read one after the other are alike but for their frames: that needs no decoding. */
LH_STRAIGHT void read_entry(const lh_near *near, const lh_directory *directory, unsigned level, uint64_t entry,
			    lh_leaf *leaf)
{
	const lh_directory_part *part = near->part;
	uint64_t mask = lh_level_frame_mask(directory->format, level);

	if ((entry & ~mask) != part->read_bits || part->read.level != level) {
		read_anew(near, directory, level, entry, leaf);
		return;
	}
	*leaf = part->read;
	leaf->frame = lh_physical_frame(lh_entry_address(directory->format, entry & mask));
}

LH_STRAIGHT bool read_slot(const lh_near *near, const lh_directory *directory, unsigned level, lh_leaf *leaf)
{
	uint64_t entry = lh_atomic_load_total(near->slot);

	if ((entry & directory->format->run) != 0 || lh_entry_is_table(directory->format, level, entry) ||
	    (level == 1 && lh_entry_is_shared(directory->format, entry)))
		return false;
	read_entry(near, directory, level, entry, leaf);
	return true;
}

/* If it is in a table that this CPU remembers. */
LH_STRAIGHT bool read_near(lh_directory *directory, lh_virtual_address address, lh_leaf *leaf)
{
	bool done;
	lh_near near;

	if (!lh_near_begin(&near, directory))
		return false;
	if (lh_near_look(&near, directory, address, 0))
		done = read_slot(&near, directory, 0, leaf);
	else
		done = lh_near_look(&near, directory, address, 1) && read_slot(&near, directory, 1, leaf);
	lh_near_leave(&near, directory);
	return done;
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

LH_FAR lh_leaf read_far(lh_directory *directory, lh_virtual_address address)
{
	lh_directory_part *part = NULL;
	lh_leaf leaf;
	lh_walk walk;

	if (!is_reached(directory, address))
		return lh_entry_read_leaf(directory->format, lh_format_top(directory->format), 0, true);
	lh_walk_begin_near(&walk, directory, page_of(address));
	if (lh_directory_owns(directory, address))
		part = lh_part_take(directory, walk.cpu);
	lh_walk_descend(&walk);
	if (walk.level != walk.top)
		lh_walk_remember(&walk, part, lh_walk_table_entry(&walk));
	if (lh_walk_is_shared(&walk)) {
		lh_walk_enter_shared(&walk);
		walk.entry = lh_atomic_load_total(lh_walk_slot(&walk));
	}
	leaf = lh_walk_leaf(&walk);
	lh_walk_end(&walk);
	return leaf;
}

lh_leaf lh_directory_read(lh_directory *directory, lh_virtual_address address)
{
	lh_leaf leaf;

	return read_near(directory, address, &leaf) ? leaf : read_far(directory, address);
}

/* --- write --- */

/* Into an empty slot. => false: not done. */
LH_STRAIGHT bool write_near(lh_directory *directory, lh_virtual_address address, unsigned level,
			    const lh_leaf *leaf)
{
	uint64_t entry;
	lh_near near;

	if (!lh_plain_make(directory, leaf, &entry) || !lh_near_open(&near, directory, address, level))
		return false;
	if (lh_atomic_load_relaxed(near.slot) != 0) {
		lh_near_let_go(&near, directory);
		return false;
	}
	lh_atomic_store(near.slot, entry);
	lh_near_close(&near, directory, level, 1);
	return true;
}

LH_FAR lh_error write_far(lh_directory *directory, lh_virtual_address address, lh_leaf leaf,
			  lh_spare_tables *spares)
{
	lh_error error;
	lh_slot slot;

	LH_ASSERT(directory->port, lh_directory_owns(directory, address));
	LH_TRY(lh_slot_open(&slot, directory, address, leaf.level, spares));
	error = leaf.level == 0 || slot.walk.entry == 0 ? lh_slot_write(&slot, leaf) : LH_EXISTS;
	lh_slot_close(&slot);
	if (error == LH_OK)
		lh_directory_announce_kernels(directory, page_of(address));
	return error;
}

bool lh_directory_write_at_once(lh_directory *directory, lh_virtual_address address, lh_leaf leaf)
{
	LH_ASSERT(directory->port, leaf.level == 0 && leaf.kind != LH_LEAF_EMPTY);
	LH_ASSERT(directory->port, leaf.kind != LH_LEAF_PRESENT || leaf.rights != LH_RIGHT_NONE);
	return write_near(directory, address, 0, &leaf);
}

lh_error lh_directory_write(lh_directory *directory, lh_virtual_address address, lh_leaf leaf,
			    lh_spare_tables *spares)
{
	LH_ASSERT(directory->port, leaf.level == 0 && leaf.kind != LH_LEAF_EMPTY);
	LH_ASSERT(directory->port, leaf.kind != LH_LEAF_PRESENT || leaf.rights != LH_RIGHT_NONE);
	return write_near(directory, address, 0, &leaf) ? LH_OK : write_far(directory, address, leaf, spares);
}

static bool fits_level(const lh_paging_format *format, lh_virtual_address address, lh_leaf leaf)
{
	uint64_t pages;

	if (leaf.level == 0 || leaf.level >= format->levels || !format->leaf_at[leaf.level])
		return false;
	pages = lh_level_pages(format, leaf.level);
	return (((address.value >> format->page_shift) | leaf.frame.value) & (pages - 1)) == 0;
}

lh_error lh_directory_write_large(lh_directory *directory, lh_virtual_address address, lh_leaf leaf,
				  lh_spare_tables *spares)
{
	LH_ASSERT(directory->port, leaf.kind != LH_LEAF_PRESENT || leaf.rights != LH_RIGHT_NONE);
	if (!fits_level(directory->format, address, leaf))
		return LH_INVALID;
	if (leaf.level == 1 && write_near(directory, address, 1, &leaf))
		return LH_OK;
	return write_far(directory, address, leaf, spares);
}

/* --- clear, restrict --- */

LH_STRAIGHT lh_virtual_range span_of(lh_virtual_address address, unsigned level)
{
	uint64_t pages = UINT64_C(1) << level * LH_NEAR_BITS;

	return (lh_virtual_range){ lh_virtual(address.value & ~((pages << LH_PAGE_SHIFT) - 1)), pages };
}

/*
 * What the slot has lost, this CPU may have cached. If no other may, it goes at once. The exchange that changed the
 * slot is what publishes the flush: who runs the directory is read after it, both sequentially consistent (gather.c).
 * => false: others must flush as well.
 */
LH_STRAIGHT bool flush_near(const lh_near *near, const lh_directory *directory, lh_virtual_range span)
{
	if (!lh_directory_runs_only_on(directory, near->cpu))
		return false;
	lh_architecture_flush_local(directory->port, directory->root, span, directory->is_kernel);
	return true;
}

/* What stood in the slot, and whether it is flushed already. */
typedef struct lost_leaf {
	uint64_t entry;
	bool flushed;
} lost_leaf;

typedef enum cleared { NOT_DONE, WAS_EMPTY, CLEARED } cleared;

LH_STRAIGHT cleared clear_near(lh_directory *directory, lh_virtual_address address, unsigned level, lost_leaf *lost)
{
	uint64_t entry;
	lh_near near;

	if (!lh_near_open(&near, directory, address, level))
		return NOT_DONE;
	entry = lh_atomic_load_relaxed(near.slot);
	if (entry == 0 || (entry & directory->format->run) != 0 || lh_table_live(near.table) == 1 ||
	    lh_entry_is_table(directory->format, level, entry) ||
	    (level == 1 && lh_entry_is_shared(directory->format, entry))) {
		lh_near_let_go(&near, directory);
		return entry == 0 ? WAS_EMPTY : NOT_DONE;
	}
	lost->entry = lh_atomic_exchange(near.slot, UINT64_C(0));
	lost->flushed = flush_near(&near, directory, span_of(address, level));
	lh_near_close(&near, directory, level, UINT64_MAX);
	return CLEARED;
}

LH_STRAIGHT void gather_lost(lh_gather *gather, lh_virtual_address address, unsigned level, lost_leaf lost)
{
	lh_gather_add_entry(gather, level, lost.entry);
	if (!lost.flushed)
		lh_gather_note_range(gather, span_of(address, level));
}

/* => the gather has room. => false: not done. */
LH_STRAIGHT bool clear_near_into(lh_directory *directory, lh_virtual_address address, unsigned level,
				 lh_gather *gather)
{
	lost_leaf lost;
	cleared done = clear_near(directory, address, level, &lost);

	if (done == CLEARED)
		gather_lost(gather, address, level, lost);
	return done != NOT_DONE;
}

LH_FAR bool clear_far(lh_directory *directory, lh_virtual_address address, lh_gather *gather)
{
	lh_walk walk;

	LH_ASSERT(directory->port, lh_directory_owns(directory, address));
	lh_walk_begin_near(&walk, directory, page_of(address));
	for (;;) {
		lh_walk_descend(&walk);
		LH_ASSERT(directory->port, walk.entry == 0 || walk.level == 0);
		LH_ASSERT(directory->port, !lh_entry_is_in_run(directory->format, walk.entry));
		if (walk.entry == 0 || lh_walk_clear(&walk, gather))
			break;
		lh_walk_pause(&walk);
	}
	lh_walk_end(&walk);
	return true;
}

bool lh_directory_clear(lh_directory *directory, lh_virtual_address address, lh_gather *gather)
{
	LH_ASSERT(directory->port, gather->directory == directory);
	if (lh_gather_is_full(gather))
		return false;
	return clear_near_into(directory, address, 0, gather) || clear_far(directory, address, gather);
}

/* What is left to do, once the leaf is cleared. */
LH_FAR void finish_lost(lh_directory *directory, lh_virtual_address address, uint64_t entry, bool flushed)
{
	lh_gather gather;

	lh_gather_begin(&gather, directory);
	gather_lost(&gather, address, 0, (lost_leaf){ entry, flushed });
	lh_gather_finish(&gather);
}

LH_FAR void clear_one_far(lh_directory *directory, lh_virtual_address address)
{
	lh_gather gather;

	lh_gather_begin(&gather, directory);
	clear_far(directory, address, &gather);
	lh_gather_finish(&gather);
}

void lh_directory_clear_one(lh_directory *directory, lh_virtual_address address)
{
	lost_leaf lost;
	cleared done = clear_near(directory, address, 0, &lost);

	if (done == NOT_DONE)
		clear_one_far(directory, address);
	else if (done == CLEARED && (!lost.flushed || lh_entry_is_counted(directory->format, lost.entry)))
		finish_lost(directory, address, lost.entry, lost.flushed);
}

/* The level of which the range is one slot; LH_NEAR_LEVELS: of none that may be remembered. */
LH_STRAIGHT unsigned level_of(lh_virtual_range range)
{
	if (range.pages == 1)
		return 0;
	return range.pages == LH_NEAR_SLOTS && ((range.base.value >> LH_PAGE_SHIFT) & (LH_NEAR_SLOTS - 1)) == 0
		       ? 1 : LH_NEAR_LEVELS;
}

bool lh_one_clear(lh_directory *directory, lh_virtual_range range, lh_gather *gather)
{
	if (lh_gather_is_full(gather))
		return false;
	switch (level_of(range)) {
	case 0:
		return clear_near_into(directory, range.base, 0, gather);
	case 1:
		return clear_near_into(directory, range.base, 1, gather);
	default:
		return false;
	}
}

/* Takes rights from what is in the slot, which spans the range. => false: not done. */
LH_STRAIGHT bool restrict_slot(const lh_near *near, const lh_directory *directory, lh_virtual_range span,
			       unsigned level, lh_rights rights, lh_gather *gather)
{
	const lh_paging_format *format = directory->format;
	bool user = !directory->is_kernel;
	uint64_t entry = lh_atomic_load_relaxed(near->slot), restricted;

	/* Present, in no run, no table: each asked once. */
	if (!lh_entry_is_present(format, entry))
		return entry == 0;
	if ((entry & format->run) != 0 || (level > 0 && lh_test_holds(format->table, entry)))
		return false;
	/* Only the CPU writes to it meanwhile, and only flags. */
	do {
		restricted = lh_entry_restricted(format, entry, rights, user);
		if (restricted == 0 || restricted == entry)
			return restricted != 0;
	} while (!lh_atomic_compare_exchange(near->slot, &entry, restricted));
	if (!flush_near(near, directory, span))
		lh_gather_note_range(gather, span);
	return true;
}

LH_STRAIGHT bool restrict_near(lh_directory *directory, lh_virtual_range span, unsigned level,
			       lh_rights rights, lh_gather *gather)
{
	lh_near near;
	bool done;

	if (!lh_near_open(&near, directory, span.base, level))
		return false;
	done = restrict_slot(&near, directory, span, level, rights, gather);
	lh_near_let_go(&near, directory);
	return done;
}

bool lh_one_restrict(lh_directory *directory, lh_virtual_range range, lh_rights rights, lh_gather *gather)
{
	switch (level_of(range)) {
	case 0:
		return restrict_near(directory, range, 0, rights, gather);
	case 1:
		return restrict_near(directory, range, 1, rights, gather);
	default:
		return false;
	}
}
