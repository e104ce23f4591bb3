/* SPDX-License-Identifier: BSD-2-Clause */
/* The oracle's collapse. Whether frames are had is the library's affair; all else is foretold, piece by piece. */
#include "world/oracle_inside.h"

#include "adversary.h"

#define PIECE_PAGES UINT64_C(512)

static bool is_possible(const oracle_space *space, uint64_t first)
{
	const oracle_page *page = &space->pages[first];

	return page->mapped && oracle_run_end(space, first) >= first + PIECE_PAGES - 1 &&
	       page->backing == LH_BACKING_ANONYMOUS && page->rights != LH_RIGHT_NONE &&
	       (page->flags & (LH_REGION_SHARED | LH_REGION_NO_HUGE)) == 0;
}

/* => LH_OK: if there are frames for it. */
static lh_error judge_piece(space_oracle *oracle, unsigned n, uint64_t first)
{
	const oracle_space *space = oracle->space[n];
	uint64_t own = 0;

	if (!is_possible(space, first))
		return LH_INVALID;
	if (oracle_is_huge(oracle, n, first))
		return LH_OK;
	for (uint64_t at = first; at < first + PIECE_PAGES; at++) {
		const oracle_page *page = &space->pages[at];

		if (page->leaf != LEAF_OWN)
			continue;
		if (page->own->references > 1 || page->own->pins != 0)
			return LH_AGAIN;
		own++;
	}
	return own != 0 ? LH_OK : LH_INVALID;
}

/* What became of a piece. An access that this is in the middle of may hold a frame, or have made a leaf BUSY. */
static lh_error follow_piece(space_oracle *oracle, unsigned n, uint64_t first, bool was_huge, lh_error judged,
			     lh_error error)
{
	bool is_huge = oracle_is_huge(oracle, n, first);

	if (judged != LH_OK) {
		CHECK_EQUAL(is_huge, was_huge);
		return judged;
	}
	if (!is_huge)
		return oracle->between && error == LH_AGAIN ? LH_AGAIN : LH_NO_MEMORY;
	for (uint64_t at = first; !was_huge && at < first + PIECE_PAGES; at++)
		oracle_make_own(oracle, &oracle->space[n]->pages[at]);
	oracle->collapsed += !was_huge;
	return LH_OK;
}

/* The first page of the first piece that begins at a page or behind it. */
static uint64_t piece_from(const space_oracle *oracle, uint64_t page)
{
	uint64_t number = world_page(&oracle->world, page) / PAGE;

	return page + (0 - number) % PIECE_PAGES;
}

lh_error oracle_collapse(space_oracle *oracle, unsigned n, uint64_t page, uint64_t pages)
{
	bool whole = oracle_mapped(oracle->space[n], page, pages) == pages;
	lh_error judged[WORLD_USER_PAGES / PIECE_PAGES], error, expected = LH_OK;
	bool was_huge[WORLD_USER_PAGES / PIECE_PAGES];
	uint64_t first = piece_from(oracle, page), count = 0;

	for (; whole && first + (count + 1) * PIECE_PAGES <= page + pages; count++) {
		judged[count] = judge_piece(oracle, n, first + count * PIECE_PAGES);
		was_huge[count] = oracle_is_huge(oracle, n, first + count * PIECE_PAGES);
	}
	machine_operation(oracle->world.machine, "collapse of %llu pages at page %llu in space %u",
			  (unsigned long long)pages, (unsigned long long)page, n);
	oracle->may_differ = count > 1; /* of two, one may have been had */
	ORACLE_CALL(oracle, error,
		    lh_space_collapse(oracle->world.space[n], world_range(&oracle->world, page, pages)),
		    error == LH_NO_MEMORY);
	oracle->may_differ = false;
	for (uint64_t piece = 0; piece < count; piece++) {
		lh_error ended = follow_piece(oracle, n, first + piece * PIECE_PAGES, was_huge[piece], judged[piece],
					      error);

		expected = ended != LH_OK ? ended : expected;
	}
	expected = whole ? expected : LH_NOT_MAPPED;
	CHECK_ERROR(error, expected);
	return expected;
}
