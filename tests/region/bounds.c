/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long a search takes, counted in steps (nodes, children and holes looked at), where it takes
 * longest: among a million holes all of which just do not suit.
 */
#include <stdlib.h>

#include <landhold/region_tree.h>

#include "harness.h"

enum { MANY = 1000000 };

static lh_region_tree tree;
static lh_region *regions;

static lh_virtual_range pages(uint64_t first, uint64_t count)
{
	return (lh_virtual_range){ lh_virtual(first << LH_PAGE_SHIFT), count };
}

/* A region of one page at every multiple of a distance, up to the end of the space. */
static void fill(uint64_t distance, uint64_t count, uint32_t guard)
{
	free(regions);
	regions = calloc(count + 1, sizeof *regions);
	CHECK(regions != NULL);
	CHECK_OK(lh_region_tree_init(&tree, pages(0, distance * (count - 1) + 1)));
	for (uint64_t i = 0; i < count; i++) {
		lh_region_init(&regions[i], LH_BACKING_NONE, LH_RIGHT_NONE, 0);
		regions[i].guard_after = guard;
		CHECK_OK(lh_region_tree_place_specifically(&tree, &regions[i],
							   pages(i * distance, 1)));
	}
	lh_region_init(&regions[count], LH_BACKING_NONE, LH_RIGHT_NONE, 0);
}

/* Tries to place one more; in how many steps? */
static uint64_t steps_of(const lh_placement *placement, uint64_t count, lh_error expected)
{
	uint64_t before = tree.steps;

	CHECK_ERROR(lh_region_tree_place_anywhere(&tree, &regions[count], placement), expected);
	if (expected == LH_OK)
		lh_region_tree_remove(&tree, &regions[count]);
	return tree.steps - before;
}

/* What one hole may cost: up and down again, each node's children told apart one by one. */
static uint64_t once(void)
{
	return 2 * (LH_REGION_WAYS + 1) * (uint64_t)tree.levels + 4;
}

static void check_quick(lh_placement placement, uint64_t count, lh_error expected)
{
	for (int i = 0; i < 3; i++) {
		placement.direction = (lh_direction)i;
		placement.hint = tree.total.base;
		CHECK(steps_of(&placement, count, expected) <= 2 * once());
		placement.hint = lh_virtual(tree.total.pages / 2 << LH_PAGE_SHIFT);
		CHECK(steps_of(&placement, count, expected) <= 2 * once());
	}
}

/* One hole in the middle becomes larger by a region: everything that did not fit does. */
static void check_hole(uint64_t distance, uint64_t count, lh_placement placement)
{
	check_quick(placement, count, LH_NO_HOLE);
	lh_region_tree_remove(&tree, &regions[count / 3]);
	CHECK_OK(lh_region_tree_place_anywhere(&tree, &regions[count], &placement));
	CHECK(regions[count].range.base.value >> LH_PAGE_SHIFT > distance * (count / 3 - 1) &&
	      regions[count].range.base.value >> LH_PAGE_SHIFT < distance * (count / 3 + 1));
	lh_region_tree_remove(&tree, &regions[count]);
	check_quick(placement, count, LH_OK);
}

TEST(a_million_holes_one_page_too_small)
{
	fill(6000, MANY, 0);
	check_hole(6000, MANY, (lh_placement){ .pages = 6000 }); /* 5999 and 6000 have one code */
	CHECK(tree.levels <= 13);
	fill(10, MANY / 10, 0);
	check_hole(10, MANY / 10, (lh_placement){ .pages = 10 });
}

TEST(a_million_holes_all_misaligned)
{
	uint64_t huge = (UINT64_C(2) << 20) >> LH_PAGE_SHIFT, giant = huge * 512;

	fill(huge, MANY, 0);
	check_hole(huge, MANY, (lh_placement){ .pages = 1, .alignment = huge });
	fill(giant, MANY / 10, 0);
	check_hole(giant, MANY / 10, (lh_placement){ .pages = 3, .alignment = giant });
	fill(huge + 1, MANY / 10, 0);
	lh_region_tree_remove(&tree, &regions[0]); /* all have a huge page but for its last one */
	check_quick((lh_placement){ .pages = 1, .alignment = huge }, MANY / 10, LH_OK);
}

/* Guards: as long as all have the same, or none but the one that comes. */
TEST(a_hundred_thousand_holes_that_guards_fill)
{
	fill(10, MANY / 10, 3);
	regions[MANY / 10].guard_after = 3;
	check_hole(10, MANY / 10, (lh_placement){ .pages = 7 });
	fill(10, MANY / 10, 0);
	regions[MANY / 10].guard_before = 2;
	regions[MANY / 10].guard_after = 3;
	check_quick((lh_placement){ .pages = 5 }, MANY / 10, LH_NO_HOLE);
	check_quick((lh_placement){ .pages = 4 }, MANY / 10, LH_OK);
}

/* Any other alignment: each hole that is large enough but for it is looked at, once. */
TEST(other_alignments_cost_a_look_at_each_large_hole)
{
	lh_placement placement = { .pages = 1, .alignment = 16 };
	uint64_t steps;

	fill(16, 1000, 0);
	steps = steps_of(&placement, 1000, LH_NO_HOLE);
	CHECK(steps <= 1000 * once());
	CHECK(steps >= 1000);
	/* ... and none that is too small. */
	placement.pages = 16;
	CHECK(steps_of(&placement, 1000, LH_NO_HOLE) <= 2 * once());
}

TEST(limits_are_searched_from_where_they_begin)
{
	lh_placement placement = { .pages = 9, .within = pages(500001, 30) };

	fill(10, MANY / 10, 0);
	check_quick(placement, MANY / 10, LH_OK);
	placement.pages = 10;
	check_quick(placement, MANY / 10, LH_NO_HOLE);
	free(regions);
	regions = NULL;
}
