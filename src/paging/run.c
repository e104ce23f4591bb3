/* SPDX-License-Identifier: BSD-2-Clause */
#include "paging/run.h"

static uint64_t *first_slot(const lh_paging_format *format, unsigned level, const uint64_t *slot)
{
	return (uint64_t *)(uintptr_t)slot - lh_run_index(format, level, slot);
}

uint64_t lh_run_literal(const lh_paging_format *format, unsigned level, const uint64_t *slot, uint64_t entry)
{
	uint64_t place = lh_run_index(format, level, slot) << LH_PAGE_SHIFT;

	if (!lh_entry_is_in_run(format, entry))
		return entry;
	return (entry & ~(format->run | format->run_address.mask)) |
	       (lh_entry_address_bits(format, lh_physical(place)) & format->run_address.mask);
}

uint64_t lh_run_flagged(const lh_paging_format *format, unsigned level, const uint64_t *slot, uint64_t entry,
			bool user)
{
	const uint64_t *first = first_slot(format, level, slot);

	entry = lh_run_literal(format, level, slot, entry);
	for (uint64_t i = 0; i < lh_run_slots(format, level); i++) {
		uint64_t other = lh_atomic_load_relaxed(&first[i]);

		if (lh_entry_is_in_run(format, other))
			entry = lh_entry_carry_flags(format, 0, other, entry, user);
	}
	return entry;
}

void lh_run_dissolve(const lh_paging_format *format, unsigned level, uint64_t *slot, bool user)
{
	uint64_t *first = first_slot(format, level, slot);

	for (uint64_t i = 0; i < lh_run_slots(format, level); i++) {
		uint64_t now = lh_atomic_load_relaxed(&first[i]);

		while (!lh_atomic_compare_exchange(&first[i], &now,
						   lh_run_entry(format, level, &first[i], now, user)))
			;
	}
}

static lh_virtual_range run_span(const lh_walk *walk, lh_virtual_address address)
{
	const lh_paging_format *format = walk->directory->format;
	uint64_t pages = lh_run_slots(format, walk->level) * lh_level_pages(format, walk->level);

	return (lh_virtual_range){ lh_virtual(address.value & ~((pages << LH_PAGE_SHIFT) - 1)), pages };
}

bool lh_walk_covers_run(const lh_walk *walk, lh_virtual_address address)
{
	return lh_virtual_range_covers(walk->range, run_span(walk, address));
}

/* --- breaking --- */

/* What a run was, to be put back; the frames are held meanwhile, so that they are the same (huge.c). */
struct broken {
	lh_leaf leaf; /* the first */
	lh_virtual_range span;
	unsigned level;
	uint64_t passed;
};

static lh_leaf leaf_at(const lh_directory *directory, const struct broken *broken, uint64_t slot)
{
	lh_leaf leaf = broken->leaf;

	leaf.frame.value += slot * lh_level_pages(directory->format, broken->level);
	return leaf;
}

static uint64_t entry_of(const lh_directory *directory, lh_leaf leaf)
{
	return lh_entry_make_leaf(directory->format, leaf, !directory->is_kernel);
}

static void hold_frames(const lh_directory *directory, const struct broken *broken)
{
	if ((broken->leaf.flags & LH_LEAF_UNCOUNTED) == 0)
		for (uint64_t i = 0; i < broken->span.pages; i++)
			lh_frame_hold(directory->frames, lh_frame(broken->leaf.frame.value + i));
}

static void drop_frames(const lh_directory *directory, const struct broken *broken)
{
	if ((broken->leaf.flags & LH_LEAF_UNCOUNTED) == 0)
		lh_frame_drop_contiguous(directory->frames, broken->leaf.frame, broken->span.pages);
}

/* Makes the entries BUSY. The CPU may note something in one until it is gone: so each is looked at as it goes. */
static struct broken make_busy(lh_walk *walk)
{
	lh_directory *directory = walk->directory;
	const lh_paging_format *format = directory->format;
	bool user = !directory->is_kernel;
	uint64_t *first = first_slot(format, walk->level, lh_walk_slot(walk));
	uint64_t entry = lh_run_entry(format, walk->level, first, lh_atomic_load_relaxed(first), user);
	struct broken broken = {
		.leaf = lh_entry_read_leaf(format, walk->level, entry, user),
		.span = run_span(walk, lh_walk_address(walk)),
		.level = walk->level,
		.passed = lh_atomic_load(&directory->passed),
	};

	hold_frames(directory, &broken);
	for (uint64_t i = 0; i < lh_run_slots(format, broken.level); i++) {
		lh_leaf busy = leaf_at(directory, &broken, i);

		busy.kind = LH_LEAF_BUSY;
		entry = lh_entry_carry_flags(format, 0,
					     lh_atomic_exchange(&first[i], entry_of(directory, busy)), entry, user);
	}
	broken.leaf.flags = lh_entry_read_leaf(format, broken.level, entry, user).flags;
	return broken;
}

/* Puts back what is BUSY still, without access if a restriction passed. => the walk holds the run's table. */
static void put_back(lh_walk *walk, const struct broken *broken)
{
	const lh_directory *directory = walk->directory;
	const lh_paging_format *format = directory->format;
	uint64_t *first = first_slot(format, broken->level, lh_walk_slot(walk));

	for (uint64_t i = 0; i < lh_run_slots(format, broken->level); i++) {
		lh_leaf leaf = leaf_at(directory, broken, i);
		lh_leaf now = lh_entry_read_leaf(format, broken->level, lh_atomic_load_relaxed(&first[i]),
						 !directory->is_kernel);

		if (now.kind != LH_LEAF_BUSY || now.frame.value != leaf.frame.value)
			continue;
		if (lh_atomic_load(&directory->passed) != broken->passed)
			leaf.kind = LH_LEAF_NO_ACCESS;
		lh_atomic_store_total(&first[i], entry_of(directory, leaf));
	}
}

/* Stands a walk at the run's first slot, held. => false: it does not exist any more. */
static bool hold_again(lh_walk *walk, const struct broken *broken)
{
	for (;;) {
		lh_walk_descend(walk);
		if (walk->level != broken->level)
			return false;
		if (lh_walk_hold(walk))
			return true;
		lh_walk_pause(walk);
	}
}

static void break_before_make(lh_walk *walk)
{
	lh_directory *directory = walk->directory;
	struct broken broken = make_busy(walk);
	lh_gather gather;
	lh_walk again;

	lh_gather_begin(&gather, directory);
	lh_gather_note_range(&gather, broken.span);
	lh_walk_end(walk);
	lh_gather_finish(&gather);
	lh_walk_begin(&again, directory, (lh_virtual_range){ broken.span.base, 1 });
	if (hold_again(&again, &broken))
		put_back(&again, &broken);
	lh_walk_end(&again);
	drop_frames(directory, &broken);
	lh_walk_begin_again(walk);
}

bool lh_walk_break_run(lh_walk *walk)
{
	const lh_directory *directory = walk->directory;

	LH_ASSERT(directory->port, walk->held);
	if (directory->format->break_before_make) {
		break_before_make(walk);
		return false;
	}
	lh_run_dissolve(directory->format, walk->level, lh_walk_slot(walk), !directory->is_kernel);
	walk->entry = lh_atomic_load_total(lh_walk_slot(walk));
	return true;
}

/* --- check --- */

/* An entry of a run for its first frame, nothing noted: the same for all. => literal */
static uint64_t as_first(const lh_paging_format *format, unsigned level, uint64_t literal, uint64_t place)
{
	uint64_t mask = lh_level_frame_mask(format, level);
	uint64_t frame = lh_entry_frame(format, level, literal).value - place * lh_level_pages(format, level);

	return (literal & ~(mask | format->accessed | format->dirty.mask | format->dirty_kept)) |
	       (lh_entry_address_bits(format, lh_frame_address(lh_frame(frame))) & mask);
}

const char *lh_run_check(const lh_paging_format *format, unsigned level, const uint64_t *slot)
{
	const uint64_t *first = first_slot(format, level, slot);
	uint64_t start = lh_run_literal(format, level, first, lh_atomic_load(first));

	if (!lh_entry_is_in_run(format, lh_atomic_load(slot)))
		return NULL;
	if ((lh_entry_frame(format, level, start).value / lh_level_pages(format, level) &
	     (lh_run_slots(format, level) - 1)) != 0)
		return "a run's frames are not aligned";
	for (uint64_t i = 0; i < lh_run_slots(format, level); i++) {
		uint64_t entry = lh_atomic_load(&first[i]);

		if (!lh_entry_is_in_run(format, entry) ||
		    (entry & format->run_address.mask) != format->run_address.value ||
		    as_first(format, level, lh_run_literal(format, level, &first[i], entry), i) !=
			    as_first(format, level, start, 0))
			return "the leaves of a run are not alike";
	}
	return NULL;
}
