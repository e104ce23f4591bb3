/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages of private anonymous memory that are there already are put together to huge leaves: collapse.
 *
 * One piece (version.h) at a time, under the map lock, with the piece's version odd. So nobody unmaps, protects, forks,
 * discards or splits there; no fault commits, so that no leaf comes, none gains a right and no page is pinned; and a
 * fault that begins now waits for the map lock, since it finds the version odd. What faults still do is to hold a frame
 * for a moment, and to settle a BUSY leaf. Private anonymous memory has no object, so nobody truncates it.
 *
 * The leaves are looked through first. Every page must be this leaf's alone: one holder, no pin. (A frame that another
 * space shares could be copied, too; but then 2 MiB would be had twice, for a page that is perhaps only read.)
 *
 *     side by side, alike   promoted in place (paging/huge.c): a table is got rid of, nothing is copied
 *     else                  copied into one block of frames (paging/collapse.c); pages that are missing are zeroes
 *
 * The block. Whether it is needed is known under the lock only; so it is tried without, the lock let go, the block
 * taken, and all looked at again. Its frames and those of the pages are there at the same time: as many pages more are
 * promised meanwhile. Afterwards the region's charge covers them, which covered the missing pages before as well.
 *
 * The rights of the leaf are those of the region, whatever its pages had: a page with one holder gets them from a
 * fault as well.
 */
#include "base/atomic.h"
#include "paging/collapse.h"
#include "space/space.h"
#include "space/version.h"

_Static_assert(LH_COLLAPSE_LEVEL == LH_SPACE_HUGE_LEVEL, "a table of pages becomes a huge leaf");

struct collapse {
	lh_space *space;
	lh_virtual_range piece;
	lh_frame_number block; /* none: not taken */
	bool wants_block;
};

/* --- the block --- */

static lh_error take_block(struct collapse *collapse)
{
	lh_frames *frames = collapse->space->manager->frames;
	lh_error error;

	LH_TRY(lh_charge_take(frames, LH_SPACE_PIECE_PAGES));
	error = lh_frame_allocate_order(frames, LH_SPACE_HUGE_ORDER, LH_ANY_NODE, LH_FRAME_ANONYMOUS,
					LH_FRAME_CHARGED, &collapse->block);
	if (error == LH_OK)
		lh_frame_split(frames, collapse->block);
	else
		lh_charge_give_back(frames, LH_SPACE_PIECE_PAGES);
	return error;
}

/* => it was taken; none: its frames are a leaf's now. */
static void release_block(struct collapse *collapse)
{
	lh_frames *frames = collapse->space->manager->frames;

	if (!lh_frame_is_none(collapse->block))
		lh_frame_drop_contiguous(frames, collapse->block, LH_SPACE_PIECE_PAGES);
	lh_charge_give_back(frames, LH_SPACE_PIECE_PAGES);
}

/* --- one piece --- */

static bool is_possible(const struct collapse *collapse, const lh_region *region)
{
	return region && lh_virtual_range_covers(region->range, collapse->piece) &&
	       region->backing == LH_BACKING_ANONYMOUS && region->rights != LH_RIGHT_NONE &&
	       (region->flags & (LH_REGION_SHARED | LH_REGION_NO_HUGE)) == 0;
}

static lh_error move_pages(struct collapse *collapse, lh_rights rights)
{
	lh_space *space = collapse->space;
	lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .level = LH_SPACE_HUGE_LEVEL, .rights = rights,
			 .flags = LH_LEAF_ACCESSED | LH_LEAF_DIRTY, .frame = collapse->block };

	LH_TRY(lh_directory_collapse(&space->directory, collapse->piece.base, space->manager->zero_frame, leaf));
	collapse->block.value = LH_NO_FRAME;
	return LH_OK;
}

/* => the version is odd. => LH_NO_MEMORY: only if the block is wanted. */
static lh_error put_together(struct collapse *collapse, lh_rights rights)
{
	lh_space *space = collapse->space;
	lh_virtual_address base = collapse->piece.base;
	lh_error error = lh_directory_look_through(&space->directory, base, space->manager->zero_frame);

	if (error != LH_OK)
		return error == LH_EXISTS ? LH_OK : error;
	lh_atomic_store(&space->may_have_huge, true);
	if (lh_directory_promote(&space->directory, base, LH_SPACE_HUGE_LEVEL))
		return LH_OK;
	collapse->wants_block = lh_frame_is_none(collapse->block);
	return collapse->wants_block ? LH_NO_MEMORY : move_pages(collapse, rights);
}

static lh_error attempt(struct collapse *collapse)
{
	lh_space *space = collapse->space;
	lh_error error = LH_INVALID;
	const lh_region *region;

	lh_space_lock(space);
	region = lh_region_tree_find(&space->tree, collapse->piece.base);
	if (is_possible(collapse, region)) {
		lh_space_begin_taking(space, collapse->piece);
		error = put_together(collapse, lh_space_implied_rights(space, region->rights));
		lh_space_end_taking(space, collapse->piece);
	}
	lh_space_unlock(space);
	return error;
}

static lh_error collapse_piece(lh_space *space, lh_virtual_range piece)
{
	struct collapse collapse = { .space = space, .piece = piece, .block = { LH_NO_FRAME } };
	lh_error error = attempt(&collapse);

	if (!collapse.wants_block)
		return error;
	LH_TRY(take_block(&collapse));
	error = attempt(&collapse);
	release_block(&collapse);
	return error;
}

/* --- ranges --- */

/* The first piece that begins in a range. => false: none lies wholly in it. */
static bool first_piece(lh_virtual_range range, lh_virtual_range *piece)
{
	lh_virtual_range at = lh_space_piece(range.base);

	if (at.base.value != range.base.value)
		at.base.value += LH_SPACE_PIECE_PAGES << LH_PAGE_SHIFT;
	*piece = at;
	return lh_virtual_range_covers(range, at);
}

/* What of it lies behind one that lies in it. */
static lh_virtual_range range_behind(lh_virtual_range range, lh_virtual_range piece)
{
	uint64_t done = lh_virtual_range_index(range, piece.base) + piece.pages;

	return (lh_virtual_range){ lh_virtual(range.base.value + (done << LH_PAGE_SHIFT)), range.pages - done };
}

static bool is_mapped(lh_space *space, lh_virtual_range range)
{
	bool mapped;

	lh_space_lock(space);
	mapped = lh_region_tree_is_mapped(&space->tree, range);
	lh_space_unlock(space);
	return mapped;
}

lh_error lh_space_collapse(lh_space *space, lh_virtual_range range)
{
	lh_error last = LH_OK;
	lh_virtual_range piece;

	LH_TRY(lh_space_validate_range(space, range));
	if (!lh_manager_can_huge(space->manager))
		return LH_INVALID;
	if (!is_mapped(space, range))
		return LH_NOT_MAPPED;
	while (range.pages != 0 && first_piece(range, &piece)) {
		lh_error error = collapse_piece(space, piece);

		if (error != LH_OK)
			last = error;
		range = range_behind(range, piece);
	}
	return last;
}

/* --- the policy's scan --- */

/* Of that many pages at least half are to be there: what was discarded is not brought back for a few. */
#define WORTHWHILE (LH_SPACE_PIECE_PAGES / 2)

/* Pages with frames of their own; beyond all, where a leaf is huge already. */
static bool add_own(void *context, const lh_leaf_run *run)
{
	uint64_t *own = context;

	if (run->leaf.level != 0)
		return false;
	if ((run->leaf.flags & LH_LEAF_UNCOUNTED) == 0)
		*own += run->range.pages;
	return true;
}

static bool is_worthwhile(lh_space *space, lh_virtual_range piece)
{
	uint64_t own = 0;

	lh_directory_query(&space->directory, piece, add_own, &own);
	return own >= WORTHWHILE;
}

/* The part of a region from an address on; => it does not lie wholly before. */
static lh_virtual_range part_from(const lh_region *region, lh_virtual_address from)
{
	lh_virtual_range range = region->range;

	if (from.value > range.base.value) {
		range.pages -= lh_virtual_range_index(range, from);
		range.base = from;
	}
	return range;
}

/* The first piece from an address on that the policy wants; looks at up to *work regions for it. => false: not found;
 * *from: where it stopped, 0: at the end. */
static bool find_piece(lh_space *space, lh_virtual_address *from, uint64_t *work, lh_virtual_range *piece)
{
	lh_region_walk walk;
	lh_region *region;
	bool found = false;

	lh_space_lock(space);
	region = lh_region_walk_from(&walk, &space->tree, *from);
	for (; region && *work > 0 && !found; --*work) {
		found = lh_manager_wants_huge(space->manager, region->flags) &&
			first_piece(part_from(region, *from), piece);
		region = lh_region_walk_next(&walk);
	}
	if (!found)
		*from = region ? region->range.base : lh_virtual(0);
	lh_space_unlock(space);
	return found;
}

uint64_t lh_space_collapse_some(lh_space *space, lh_virtual_address *from, uint64_t work)
{
	uint64_t collapsed = 0;
	lh_virtual_range piece;

	if (!lh_manager_can_huge(space->manager))
		return 0;
	from->value &= ~(LH_PAGE_SIZE - 1);
	while (work > 0 && find_piece(space, from, &work, &piece)) {
		if (is_worthwhile(space, piece) && collapse_piece(space, piece) == LH_OK)
			collapsed++;
		*from = lh_virtual(piece.base.value + (piece.pages << LH_PAGE_SHIFT));
	}
	return collapsed;
}
