/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Huge leaves of private anonymous memory: advice, and where they are split. How they come: fault.h; and of pages
 * that are there already: collapse.c.
 *
 * A huge leaf stands at level 1 and spans a piece of the space, 2 MiB, so that one version speaks for it
 * (version.h). Formats whose level 1 spans another size have none.
 *
 * Frames. Its frames are taken as one, of order 9, and made single ones at once: each has a holder for each leaf,
 * huge or not, that names it, as if there were 512 leaves. So a split moves no holder, a fork adds one to each,
 * a frame that was copied is dropped alone, and who asks for a frame's holders asks nobody else.
 * (One count for all of them, in the first, would be cheaper to fork: one addition and not 512. But the first of two
 * spaces that share it to split its leaf would have to take 511 frames out of a count that the other goes by.)
 * What it costs is to write 512 entries of 16 bytes where 2 MiB are zeroed.
 * None of them is pinned: a fault that pins a page splits the leaf first, and brings none (pin.c).
 *
 * Splits happen under the map lock, whoever asks: who cuts or takes a part, and a fault that has to write to one page
 * of a leaf whose frames others hold too. So for all who hold that lock a huge leaf is a table when they make it one,
 * and not before: fork counts the tables that its child needs, unmap those that it needs itself. What comes without
 * the lock are new huge leaves, by faults; these find the versions odd.
 *
 * The promise. A region's charge covers its pages one by one. A fault that holds 512 frames and finds that it is late
 * has 512 too many for a moment; so it is lent as many promises, and where they are not to be had it brings a page.
 */
#include "space/change.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "base/memory.h"
#include "paging/shared.h"
#include "space/fault.h"
#include "space/version.h"

#define HUGE_LEVEL LH_SPACE_HUGE_LEVEL
#define HUGE_ORDER LH_SPACE_HUGE_ORDER

/* --- splits --- */

static bool is_end_of_piece(uint64_t address)
{
	return (address >> LH_PAGE_SHIFT) % LH_SPACE_PIECE_PAGES == 0;
}

bool lh_space_may_have_larger(const lh_space *space)
{
	return space->may_have_huge || lh_atomic_load_relaxed(&space->directory.shared) != 0;
}

bool lh_space_may_straddle(const lh_space *space, lh_virtual_range range)
{
	return lh_space_may_have_larger(space) && (!is_end_of_piece(range.base.value) ||
					!is_end_of_piece(lh_virtual_range_last(range).value + 1));
}

lh_error lh_space_prepare_split(lh_space *space, lh_virtual_range range, lh_spare_tables *tables)
{
	return lh_directory_prepare_split(&space->directory, range, tables);
}

/* Where the ends are of which one was split: whoever asked for it may have nothing else to flush there. */
static void flush_ends(lh_space *space, lh_virtual_range range)
{
	lh_gather gather;

	lh_gather_begin(&gather, &space->directory);
	lh_gather_note_range(&gather, lh_space_piece(range.base));
	lh_gather_note_range(&gather, lh_space_piece(lh_virtual_range_last_page(range)));
	lh_gather_finish(&gather);
}

void lh_space_split(lh_space *space, lh_virtual_range range, lh_spare_tables *tables)
{
	uint64_t before = tables->count;
	lh_error error = lh_directory_split(&space->directory, range, tables);

	LH_REQUIRE(space->manager->port, error == LH_OK);
	if (tables->count != before)
		flush_ends(space, range);
}

void lh_fault_split(lh_fault_plan *plan)
{
	lh_space *space = plan->space;

	lh_space_lock(space);
	lh_space_split(space, plan->page, &plan->tables);
	lh_space_unlock(space);
}

/* --- shared tables --- */

lh_error lh_space_prepare_open(lh_space *space, lh_virtual_range range, lh_spare_tables *tables)
{
	uint64_t needed = lh_directory_tables_to_open(&space->directory, range);

	return needed == 0 ? LH_OK : lh_spare_tables_take(space->manager->frames, needed, tables);
}

void lh_space_open(lh_space *space, lh_virtual_range range, lh_spare_tables *tables)
{
	lh_error error = lh_directory_open_shared(&space->directory, range, tables);

	LH_REQUIRE(space->manager->port, error == LH_OK);
}

void lh_fault_open(lh_fault_plan *plan)
{
	lh_space *space = plan->space;

	lh_space_lock(space);
	lh_space_open(space, plan->page, &plan->tables);
	lh_space_unlock(space);
}

/* --- what a fault brings --- */

bool lh_manager_can_huge(const lh_manager *manager)
{
	const lh_paging_format *format = manager->format;

	return format->leaf_at[HUGE_LEVEL] && format->page_shift == LH_PAGE_SHIFT &&
	       lh_level_pages(format, HUGE_LEVEL) == LH_SPACE_PIECE_PAGES;
}

bool lh_manager_wants_huge(const lh_manager *manager, uint32_t flags)
{
	if (manager->huge == LH_HUGE_NEVER || (flags & LH_REGION_NO_HUGE) != 0)
		return false;
	return (flags & LH_REGION_HUGE) != 0 || manager->huge == LH_HUGE_ALWAYS;
}

bool lh_fault_allows_huge(const lh_fault_plan *plan, lh_virtual_range range, uint32_t flags)
{
	const lh_manager *manager = plan->space->manager;

	return lh_manager_wants_huge(manager, flags) && !plan->object && !plan->pin &&
	       lh_atomic_load_relaxed(&plan->space->may_have_huge) && lh_manager_can_huge(manager) &&
	       lh_virtual_range_covers(range, lh_space_piece(plan->page.base));
}

/* Nobody is called or waited for: what is not at hand is not worth it. */
static lh_error take_at_hand(lh_frames *frames, lh_frame_number *first)
{
	lh_port *port = lh_frames_port(frames);
	uintptr_t interrupts = lh_port_interrupts_off(port);
	lh_error error = lh_frame_allocate_order(frames, HUGE_ORDER, LH_ANY_NODE, LH_FRAME_ANONYMOUS,
						 LH_FRAME_CHARGED, first);

	lh_port_interrupts_restore(port, interrupts);
	return error;
}

bool lh_fault_take_huge(lh_fault_plan *plan)
{
	lh_frames *frames = plan->space->manager->frames;

	if (!lh_charge_lend(frames, LH_SPACE_PIECE_PAGES))
		return false;
	if (take_at_hand(frames, &plan->frame) != LH_OK) {
		plan->frame.value = LH_NO_FRAME;
		lh_charge_give_back_loan(frames, LH_SPACE_PIECE_PAGES);
		return false;
	}
	lh_frame_split(frames, plan->frame);
	for (uint64_t i = 0; i < LH_SPACE_PIECE_PAGES; i++)
		memset(lh_frame_pointer(frames, lh_frame(plan->frame.value + i)), 0, LH_PAGE_SIZE);
	return true;
}

void lh_fault_release_huge(lh_fault_plan *plan)
{
	lh_frames *frames = plan->space->manager->frames;

	if (!lh_frame_is_none(plan->frame))
		lh_frame_drop_contiguous(frames, plan->frame, LH_SPACE_PIECE_PAGES);
	plan->frame.value = LH_NO_FRAME;
	lh_charge_give_back_loan(frames, LH_SPACE_PIECE_PAGES);
}

static bool is_version_same(const void *plan)
{
	return lh_fault_is_version_same(plan);
}

bool lh_fault_write_huge(lh_fault_plan *plan)
{
	lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .rights = plan->rights, .level = HUGE_LEVEL,
			 .frame = plan->frame };
	bool written;
	lh_slot slot;

	if (lh_slot_open(&slot, &plan->space->directory, plan->page.base, HUGE_LEVEL, &plan->tables) != LH_OK)
		return false;
	written = lh_slot_write_huge(&slot, leaf, is_version_same, plan);
	lh_slot_close(&slot);
	if (written)
		plan->frame.value = LH_NO_FRAME; /* the holders are the leaf's now */
	return written;
}

/* --- advice --- */

struct advising {
	lh_space_change change; /* first: the tree's hooks are given it */
	uint32_t flag;
};

static struct advising *advising_of(lh_region_change *tree)
{
	return (struct advising *)(void *)tree;
}

/* From here on huge leaves may come; for who takes a part of one, before they do. */
static lh_error prepare(lh_region_change *tree, const lh_region_survey *survey)
{
	struct advising *advising = advising_of(tree);
	lh_space *space = advising->change.space;

	advising->change.was_asked = true;
	if (survey->spares > lh_space_regions_left(space))
		return LH_LIMIT;
	LH_TRY(lh_space_change_prepare_split(&advising->change));
	lh_space_change_split(&advising->change);
	if (advising->flag == LH_REGION_HUGE)
		lh_atomic_store(&space->may_have_huge, true);
	return LH_OK;
}

static void grant(lh_region_change *tree, lh_region *region)
{
	uint32_t others = region->flags & ~(LH_REGION_HUGE | LH_REGION_NO_HUGE);

	lh_atomic_store(&region->flags, others | advising_of(tree)->flag);
}

static lh_error advise(struct advising *advising)
{
	lh_space *space = advising->change.space;
	lh_error error;

	lh_space_lock(space);
	error = lh_region_tree_advise(&space->tree, advising->change.range, &advising->change.tree);
	lh_space_change_close(&advising->change);
	lh_space_unlock(space);
	return error;
}

lh_error lh_space_advise(lh_space *space, lh_virtual_range range, lh_advice advice)
{
	static const uint32_t flags[] = { 0, LH_REGION_HUGE, LH_REGION_NO_HUGE };
	struct advising advising;
	lh_error error;

	LH_TRY(lh_space_validate_range(space, range));
	if (advice > LH_ADVICE_NO_HUGE)
		return LH_INVALID;
	lh_space_change_begin(&advising.change, space, range);
	advising.change.tree.prepare = prepare;
	advising.change.tree.grant = grant;
	advising.flag = flags[advice];
	error = advise(&advising);
	if (error != LH_OK && lh_space_change_take_spares(&advising.change, 2))
		error = advise(&advising);
	lh_space_change_end(&advising.change);
	return error;
}
