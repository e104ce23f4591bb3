/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A leaf table whose frames do not lie side by side becomes one leaf of frames that do. Not as in huge.c, where an
 * address means the same before and after: here each page gets another frame, so the bytes must stand still while
 * they are copied, and no CPU may know two frames for one page.
 *
 *     hold the slot and its table   each leaf is looked at: its frame is its own, and not pinned
 *     slot: BUSY, the new frames    in one step, instead of the table; which stays locked, and is nobody's but ours
 *     let go, flush                 from here on no CPU reads or writes the pages, or walks to the table
 *     copy                          the table says from where; zeroes for what is missing
 *     hold the slot, PRESENT        unless it was made NO_ACCESS: whoever met the BUSY leaf may have flushed
 *     drop the table                and with it the holders of the old frames
 *
 * To copy before the flush would lose what a CPU writes by an entry that it still has cached. To copy with the table
 * left in the tree, and its leaves BUSY, would be 512 steps there and back.
 *
 * Nobody is let on meanwhile: a fault that meets BUSY grants nothing, and who would give the leaf its rights back
 * is kept off by the caller (space/collapse.c). So NO_ACCESS is as good as BUSY in the last step.
 */
#include "paging/collapse.h"

#include "base/memory.h"
#include "paging/huge.h"
#include "paging/row.h"
#include "paging/run.h"
#include "paging/slot.h"

/* --- looking --- */

/* What is known while the leaves of a table are looked at. */
struct look {
	lh_frames *frames;
	lh_frame_number zero;
	lh_frame_row row; /* of the frame looked at last */
	uint64_t own;	  /* leaves that name frames of their own */
};

static lh_error look_at(struct look *look, lh_leaf leaf)
{
	const lh_frame_entry *frame;

	if (lh_leaf_is_mark(leaf.kind))
		return LH_INVALID;
	if (leaf.kind == LH_LEAF_BUSY)
		return LH_AGAIN;
	if ((leaf.flags & LH_LEAF_UNCOUNTED) != 0)
		return leaf.frame.value == look->zero.value ? LH_OK : LH_INVALID;
	frame = lh_frame_entry_in(look->frames, leaf.frame, &look->row);
	if (!frame || lh_atomic_load_relaxed(&frame->state) != LH_FRAME_ANONYMOUS)
		return LH_INVALID;
	if (lh_atomic_load(&frame->holders) != 1 || lh_atomic_load(&frame->pins) != 0)
		return LH_AGAIN;
	look->own++;
	return LH_OK;
}

static uint64_t *named_entries(const lh_walk *walk)
{
	return lh_frame_pointer(walk->directory->frames,
				lh_entry_table(walk->directory->format, walk->entry));
}

/* => the table that the slot names is locked. */
static lh_error look_through(const lh_walk *walk, lh_frame_number zero)
{
	const lh_directory *directory = walk->directory;
	const uint64_t *entries = named_entries(walk);
	struct look look = { .frames = directory->frames, .zero = zero };
	uint64_t count = lh_paging_entries(directory->format, LH_COLLAPSE_LEVEL - 1);
	lh_alike alike;

	lh_alike_begin(&alike, directory->format, !directory->is_kernel);
	for (uint64_t i = 0; i < count; i++) {
		uint64_t entry = lh_atomic_load(&entries[i]);

		if (entry == 0)
			continue;
		if (lh_entry_is_in_run(directory->format, entry))
			return LH_INVALID;
		if (!lh_alike_has(&alike, entry))
			lh_alike_learn(&alike, LH_COLLAPSE_LEVEL - 1, entry);
		LH_TRY(look_at(&look, lh_alike_leaf(&alike, entry)));
	}
	return look.own != 0 ? LH_OK : LH_INVALID;
}

/* Begins a walk that stands at the slot; on success held, with the table, which may become a leaf. */
static lh_error begin(lh_walk *walk, lh_directory *directory, lh_virtual_address address,
		      lh_frame_number zero, lh_frame_entry **table)
{
	lh_error error;

	lh_walk_begin(walk, directory, (lh_virtual_range){ address, 1 });
	if (!lh_walk_hold_table(walk, LH_COLLAPSE_LEVEL, table)) {
		if (lh_walk_is_shared(walk))
			return LH_AGAIN;
		return walk->entry != 0 ? LH_EXISTS : LH_INVALID;
	}
	error = lh_walk_may_go(walk, LH_COLLAPSE_LEVEL - 1) ? look_through(walk, zero) : LH_AGAIN;
	if (error != LH_OK)
		lh_table_unlock(directory->port, *table);
	return error;
}

lh_error lh_directory_look_through(lh_directory *directory, lh_virtual_address address, lh_frame_number zero)
{
	lh_frame_entry *table;
	lh_walk walk;
	lh_error error = begin(&walk, directory, address, zero, &table);

	if (error == LH_OK)
		lh_table_unlock(directory->port, table);
	lh_walk_end(&walk);
	return error;
}

/* --- moving --- */

/* A BUSY leaf takes the table's place, with the holders of its frames; the table passes to the gather. */
static void withdraw_table(lh_walk *walk, lh_frame_entry *table, lh_leaf leaf, lh_gather *gather)
{
	lh_directory *directory = walk->directory;
	uint64_t busy;

	leaf.kind = LH_LEAF_BUSY;
	busy = lh_entry_make_leaf(directory->format, leaf, !directory->is_kernel);
	lh_gather_note_range(gather, lh_walk_slot_span(walk));
	walk->entry = lh_atomic_exchange(lh_walk_slot(walk), busy);
	lh_walk_detach(walk, table, gather);
	lh_walk_count(walk, 0, lh_level_pages(directory->format, LH_COLLAPSE_LEVEL));
	walk->entry = busy;
}

/* => entries: of a table that nobody but us reaches; no CPU knows its pages any more. */
static void fill(const lh_directory *directory, const uint64_t *entries, lh_frame_number first)
{
	const lh_paging_format *format = directory->format;
	uint64_t count = lh_paging_entries(format, LH_COLLAPSE_LEVEL - 1);

	for (uint64_t i = 0; i < count; i++) {
		void *bytes = lh_frame_pointer(directory->frames, lh_frame(first.value + i));
		uint64_t entry = lh_atomic_load_relaxed(&entries[i]);
		lh_frame_number from;

		if (entry == 0 || !lh_entry_is_counted(format, entry)) {
			memset(bytes, 0, LH_PAGE_SIZE);
			continue;
		}
		from = lh_entry_frame(format, LH_COLLAPSE_LEVEL - 1, entry);
		memcpy(bytes, lh_frame_pointer(directory->frames, from), LH_PAGE_SIZE);
	}
}

static void settle(lh_directory *directory, lh_virtual_address address, lh_leaf leaf)
{
	lh_error error = LH_OK;
	lh_slot slot;

	lh_slot_find(&slot, directory, address);
	lh_slot_hold(&slot);
	if (!lh_slot_settle(&slot, leaf))
		error = lh_slot_write(&slot, leaf);
	lh_slot_close(&slot);
	LH_REQUIRE(directory->port, error == LH_OK);
}

lh_error lh_directory_collapse(lh_directory *directory, lh_virtual_address address, lh_frame_number zero,
			       lh_leaf leaf)
{
	const uint64_t *entries = NULL;
	lh_frame_entry *table;
	lh_gather gather;
	lh_error error;
	lh_walk walk;

	LH_ASSERT(directory->port, leaf.level == LH_COLLAPSE_LEVEL && leaf.kind == LH_LEAF_PRESENT);
	lh_gather_begin(&gather, directory);
	error = begin(&walk, directory, address, zero, &table);
	if (error == LH_OK) {
		entries = named_entries(&walk);
		withdraw_table(&walk, table, leaf, &gather);
	}
	lh_walk_end(&walk);
	if (error != LH_OK)
		return error;
	lh_gather_flush_noted(&gather);
	fill(directory, entries, leaf.frame);
	settle(directory, address, leaf);
	lh_gather_flush(&gather);
	return LH_OK;
}
