/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random placement against enumeration. In a space small enough, every legal slot is known by
 * trying each page; then the draws are counted and compared with what chance would give.
 */
#include <string.h>

#include <landhold/region_tree.h>

#include "harness.h"

enum { PAGES = 600, REGIONS = 64, DRAWS_A_SLOT = 300 };

static lh_region_tree tree;
static lh_region regions[REGIONS], drawn;
static unsigned counts[PAGES];
static unsigned long numbers; /* taken from the source */

static lh_virtual_range pages(uint64_t first, uint64_t count)
{
	return (lh_virtual_range){ lh_virtual(first << LH_PAGE_SHIFT), count };
}

static uint64_t source(void *context)
{
	(void)context;
	numbers++;
	return test_random() << 32 ^ test_random();
}

static void build(uint64_t total)
{
	memset(regions, 0, sizeof regions);
	memset(&drawn, 0, sizeof drawn);
	CHECK_OK(lh_region_tree_init(&tree, pages(0, total)));
	for (unsigned i = 0; i < REGIONS; i++)
		lh_region_init(&regions[i], LH_BACKING_NONE, LH_RIGHT_NONE, 0);
	lh_region_init(&drawn, LH_BACKING_NONE, LH_RIGHT_NONE, 0);
}

static void put(unsigned i, uint64_t first, uint64_t count)
{
	CHECK_OK(lh_region_tree_place_specifically(&tree, &regions[i], pages(first, count)));
}

/* True if the tree has room at a page: tried, and undone. */
static bool is_legal(uint64_t first, const lh_placement *placement)
{
	uint64_t alignment = placement->alignment != 0 ? placement->alignment : 1;
	lh_virtual_range range = pages(first, placement->pages);

	if (first % alignment != 0 || (placement->within.pages != 0 &&
				       !lh_virtual_range_covers(placement->within, range)))
		return false;
	if (lh_region_tree_place_specifically(&tree, &drawn, range) != LH_OK)
		return false;
	lh_region_tree_remove(&tree, &drawn);
	return true;
}

static uint64_t draw(const lh_placement *placement)
{
	uint64_t first;

	CHECK_OK(lh_region_tree_place_randomly(&tree, &drawn, placement, source, NULL));
	CHECK_EQUAL(drawn.range.pages, placement->pages);
	first = drawn.range.base.value >> LH_PAGE_SHIFT;
	lh_region_tree_remove(&tree, &drawn);
	return first;
}

/*
 * Chi-square: the sum of squared deviations over the expected count has as mean the degrees of
 * freedom f and as variance 2 f. Five deviations above is one time in a million; the seed is fixed.
 */
static void check_uniform(const lh_placement *placement)
{
	unsigned slots = 0;
	double sum = 0, excess;

	memset(counts, 0, sizeof counts);
	for (uint64_t first = 0; first < tree.total.pages; first++)
		slots += is_legal(first, placement);
	CHECK(slots > 0);
	for (unsigned i = 0; i < slots * DRAWS_A_SLOT; i++)
		counts[draw(placement)]++;
	for (uint64_t first = 0; first < tree.total.pages; first++) {
		double deviation = (double)counts[first] - DRAWS_A_SLOT;

		if (is_legal(first, placement))
			sum += deviation * deviation / DRAWS_A_SLOT;
		else
			CHECK_EQUAL(counts[first], 0);
	}
	excess = sum - (slots - 1);
	if (excess > 0 && excess * excess > 25.0 * 2 * slots)
		test_fail(__FILE__, __LINE__, "chi-square %f over %u slots", sum, slots);
}

TEST(a5_random_placement_is_uniform_in_an_empty_space)
{
	build(100);
	check_uniform(&(lh_placement){ .pages = 1 });
	check_uniform(&(lh_placement){ .pages = 37 });
	check_uniform(&(lh_placement){ .pages = 5, .alignment = 8 });
	check_uniform(&(lh_placement){ .pages = 100 });
	check_uniform(&(lh_placement){ .pages = 3, .within = pages(10, 20) });
}

TEST(a5_random_placement_is_uniform_among_unequal_holes)
{
	build(120);
	put(0, 1, 5);
	put(1, 7, 20);
	put(2, 40, 10);
	put(3, 52, 3);
	put(4, 100, 20);
	check_uniform(&(lh_placement){ .pages = 1 });
	check_uniform(&(lh_placement){ .pages = 2 });
	check_uniform(&(lh_placement){ .pages = 4, .alignment = 4 });
	check_uniform(&(lh_placement){ .pages = 13 });
	drawn.guard_before = 2;
	drawn.guard_after = 3;
	check_uniform(&(lh_placement){ .pages = 2 });
	check_uniform(&(lh_placement){ .pages = 2, .alignment = 2 });
}

/* Nearly full: most draws fail, and the slots are counted. */
TEST(a5_random_placement_is_uniform_where_few_slots_are_left)
{
	build(PAGES);
	for (unsigned i = 0; i < 60; i++)
		put(i, 10 * i + i / 20, i % 20 == 19 ? 8 : 10);
	numbers = 0;
	check_uniform(&(lh_placement){ .pages = 1 });
	check_uniform(&(lh_placement){ .pages = 2 });
	CHECK(numbers > 0);
	CHECK_ERROR(lh_region_tree_place_randomly(&tree, &drawn, &(lh_placement){ .pages = 4 }, source,
						  NULL), LH_NO_HOLE);
	CHECK(drawn.tree == NULL);
}

TEST(sixteen_draws_are_made_and_then_no_more)
{
	build(PAGES);
	put(0, 0, PAGES - 1);
	for (unsigned i = 0; i < 100; i++) {
		numbers = 0;
		CHECK_EQUAL(draw(&(lh_placement){ .pages = 1 }), PAGES - 1);
		CHECK(numbers <= 18); /* a number that would favour some is drawn again: rarely */
	}
}

TEST(spread_keeps_to_the_slots_near_the_first)
{
	lh_placement low = { .pages = 2, .spread = 20 };
	lh_placement high = { .pages = 2, .spread = 20, .direction = LH_HIGHEST_FIRST };
	lh_placement wide = { .pages = 2, .spread = UINT64_MAX };
	lh_placement wide_high = wide;

	build(PAGES);
	wide_high.direction = LH_HIGHEST_FIRST;
	put(0, 0, 100);
	put(1, 110, 3);
	put(2, PAGES - 1, 1);
	for (unsigned i = 0; i < 500; i++) {
		uint64_t lowest = draw(&low), highest = draw(&high);

		CHECK(lowest >= 100 && lowest <= 120);
		CHECK(highest <= PAGES - 3 && highest >= PAGES - 23);
		counts[lowest]++;
	}
	CHECK(counts[100] > 0 && counts[120] > 0);
	CHECK(draw(&wide) >= 100);
	CHECK(draw(&wide_high) >= 100);
	low.pages = PAGES;
	CHECK_ERROR(lh_region_tree_place_randomly(&tree, &drawn, &low, source, NULL), LH_NO_HOLE);
}

TEST(random_placement_refuses_what_placement_refuses)
{
	build(PAGES);
	memset(&drawn, 0, sizeof drawn);
	CHECK_ERROR(lh_region_tree_place_randomly(&tree, &drawn, &(lh_placement){ .pages = 1 }, source,
						  NULL), LH_INVALID); /* never built */
	lh_region_init(&drawn, LH_BACKING_NONE, LH_RIGHT_NONE, 0);
	CHECK_ERROR(lh_region_tree_place_randomly(&tree, &drawn, &(lh_placement){ .pages = 0 }, source,
						  NULL), LH_INVALID);
	/* No base of that alignment lies in the limits. */
	CHECK_ERROR(lh_region_tree_place_randomly(
			    &tree, &drawn,
			    &(lh_placement){ .pages = 1, .alignment = 1024, .within = pages(1, 500) },
			    source, NULL), LH_NO_HOLE);
	CHECK_EQUAL(tree.count, 0);
}

static uint64_t stuck(void *context)
{
	return *(uint64_t *)context;
}

/* A source that always says the same is no reason to give up, nor to go on for ever. */
TEST(a_source_without_chance_still_finds_the_slot)
{
	static uint64_t numbers_said[] = { UINT64_MAX, UINT64_MAX / 2, UINT64_C(1) << 40 };

	build(PAGES);
	put(0, 0, 300);
	put(1, 302, PAGES - 302);
	for (unsigned i = 0; i < 3; i++) {
		CHECK_OK(lh_region_tree_place_randomly(&tree, &drawn, &(lh_placement){ .pages = 2 },
						       stuck, &numbers_said[i]));
		CHECK_EQUAL(drawn.range.base.value >> LH_PAGE_SHIFT, 300);
		lh_region_tree_remove(&tree, &drawn);
	}
}

/* Numbers that would favour some slots are not used: 2^64 is no multiple of 599. */
static uint64_t low_then_high(void *context)
{
	unsigned *calls = context;

	return (*calls)++ < 3 ? *calls - 1 : UINT64_MAX;
}

TEST(numbers_that_would_favour_some_slots_are_drawn_again)
{
	unsigned calls = 0;

	build(PAGES);
	CHECK_OK(lh_region_tree_place_randomly(&tree, &drawn, &(lh_placement){ .pages = 2 },
					       low_then_high, &calls));
	CHECK_EQUAL(calls, 4);
	CHECK_EQUAL(drawn.range.base.value >> LH_PAGE_SHIFT, UINT64_MAX % (PAGES - 1));
}
