/* SPDX-License-Identifier: BSD-2-Clause */
/* Random operations on small spaces, each compared with the oracle (model.h). */
#include "region/model.h"

/* Up to 2^52 pages, so that the space may touch the last address. */
#define LAST_PAGES(n) (LH_PAGES_MAX - (n))

static uint64_t random_alignment(const struct model *model)
{
	static const uint64_t odd_ones[] = { 0, 3, 6, UINT64_C(1) << 51, UINT64_C(1) << 63,
					     UINT64_MAX, (UINT64_C(1) << 52) + 1 };

	if (test_random_below(8) == 0)
		return odd_ones[test_random_below(sizeof odd_ones / sizeof *odd_ones)];
	return model->unit << test_random_below(5);
}

static struct wish random_wish(const struct model *model)
{
	bool small = model->unit == 1;
	struct wish wish = {
		.units = test_random_below(16) == 0 ? test_random_below(model->units + 2)
						    : test_random_below(6),
		.alignment = random_alignment(model),
		.direction = (lh_direction)test_random_below(3),
		.hint = test_random_below(model->units),
		.before = small ? (uint32_t)test_random_below(4) : 0,
		.after = small ? (uint32_t)test_random_below(4) : 0,
	};

	if (test_random_below(3) == 0) {
		wish.limit_first = test_random_below(model->units);
		wish.limit_units = 1 + test_random_below(model->units - wish.limit_first);
	}
	return wish;
}

static void place_somehow(struct model *model, int slot)
{
	struct wish wish = random_wish(model);

	if (test_random_below(3) != 0)
		model_place_anywhere(model, slot, wish);
	else
		model_place_specifically(model, slot, test_random_below(model->units), wish.units,
					 wish.before, wish.after);
}

static void resize_somehow(struct model *model, int slot)
{
	uint64_t first = model->record[slot].first + test_random_below(5);
	uint64_t units = model->record[slot].units + test_random_below(5);

	first = first >= 2 ? first - 2 : 0;
	if (first < model->units) /* beyond, the address of a unit could wrap to a good one */
		model_resize(model, slot, first, units >= 2 ? units - 2 : 0);
}

/* Takes one out, and now and then has one placed there at once, or a little beside. */
static void remove_somehow(struct model *model, int slot)
{
	struct record was = model->record[slot];
	struct wish wish = random_wish(model);
	uint64_t first = was.first + (test_random_below(2) != 0 ? test_random_below(was.units + 1) : 0);

	model_remove(model, slot);
	if (test_random_below(4) != 0)
		wish.before = wish.after = 0;
	if (test_random_below(2) == 0 && first < model->units)
		model_place_specifically(model, slot, first, 1 + test_random_below(was.units + 1),
					 wish.before, wish.after);
}

static void change_somehow(struct model *model, int slot, int spare)
{
	uint64_t units = model->record[slot].units;

	switch (test_random_below(4)) {
	case 0:
		remove_somehow(model, slot);
		break;
	case 1:
		if (units > 1 && spare >= 0)
			model_split(model, slot, 1 + test_random_below(units - 1), spare);
		break;
	case 2:
		model_merge_next(model, slot);
		break;
	default:
		resize_somehow(model, slot);
	}
}

static void step(struct model *model)
{
	int spare = model_free_slot(model);
	unsigned placed = model_placed(model);
	uint64_t first = test_random_below(model->units);

	if (placed == 0 || (spare >= 0 && test_random_below(2) == 0))
		place_somehow(model, spare);
	else
		change_somehow(model, model_nth(model, (unsigned)test_random_below(placed)), spare);
	model_compare_crossing(
		model, model_range(model, first, test_random_below(model->units - first + 1)));
}

static void run(uint64_t first, uint64_t unit, uint64_t units, unsigned steps)
{
	static struct model model;

	model_init(&model, first, unit, units, 14);
	for (unsigned i = 0; i < steps; i++)
		step(&model);
	while (model_placed(&model) > 0)
		model_remove(&model, model_nth(&model, 0));
}

TEST(random_operations_at_address_zero)
{
	for (unsigned i = 0; i < 10; i++)
		run(0, 1, 40, 1000);
}

TEST(random_operations_up_to_the_last_address)
{
	for (unsigned i = 0; i < 10; i++)
		run(LAST_PAGES(40), 1, 40, 1000);
}

TEST(random_operations_in_the_middle)
{
	run((UINT64_C(1) << 35) - 17, 1, 40, 4000);
	run(1, 1, 7, 4000);
	run(LAST_PAGES(10), 1, 9, 4000);
	run(LAST_PAGES(1), 1, 1, 100);
	run(0, 1, 1, 100);
}

TEST(random_operations_on_the_whole_address_space)
{
	for (unsigned i = 0; i < 5; i++)
		run(0, LH_PAGES_MAX / 64, 64, 1000);
	run(LH_PAGES_MAX / 2, LH_PAGES_MAX / 64, 32, 1000);
}

/* A walk, which asks ahead, meets the same regions as single steps. */
static void compare_walks(const lh_region_tree *tree)
{
	lh_region_walk walk;
	const lh_region *on = lh_region_walk_first(&walk, tree);
	const lh_region *expected = lh_region_tree_first(tree);

	for (; expected; expected = lh_region_tree_next(expected)) {
		CHECK(on == expected);
		on = lh_region_walk_next(&walk);
	}
	CHECK(on == NULL);
}

enum { LARGE = 600 };

/* A page each for some that are in no tree, where one was taken out. */
static void fill(lh_region_tree *tree, lh_region *regions, lh_virtual_range range)
{
	for (uint64_t i = 0; i < range.pages; i++) {
		lh_virtual_range page = { lh_virtual_range_page(range, i), 1 };
		lh_region *region = &regions[test_random_below(LARGE)];

		if (!region->tree)
			CHECK_OK(lh_region_tree_place_specifically(tree, region, page));
	}
}

/* Enough regions that every case of balancing happens; the oracle is the walker. */
TEST(a_large_tree_stays_sound)
{
	static lh_region regions[LARGE];
	lh_region_tree tree;
	lh_virtual_range total = { lh_virtual(0), LH_PAGES_MAX };

	CHECK_OK(lh_region_tree_init(&tree, total));
	for (unsigned i = 0; i < LARGE; i++) {
		regions[i].version = 0;
		lh_region_init(&regions[i], LH_BACKING_NONE, LH_RIGHT_NONE, 0);
	}
	for (unsigned i = 0; i < 12000; i++) {
		lh_region *region = &regions[test_random_below(LARGE)];
		lh_placement placement = {
			.pages = 1 + test_random_below(4),
			.alignment = UINT64_C(1) << test_random_below(4),
			.direction = i % 3 == 0 ? LH_HIGHEST_FIRST : LH_LOWEST_FIRST,
		};

		if (region->tree) {
			lh_region_tree_remove(&tree, region);
			if (i % 4 == 0)
				fill(&tree, regions, region->range);
		} else {
			CHECK_OK(lh_region_tree_place_anywhere(&tree, region, &placement));
		}
		if (i % 8 == 0)
			CHECK_SOUND(lh_region_tree_check(&tree));
		if (i % 64 == 0)
			compare_walks(&tree);
	}
	while (tree.count > 0) {
		lh_region_tree_remove(&tree, lh_region_tree_first(&tree));
		if (tree.count % 8 == 0)
			CHECK_SOUND(lh_region_tree_check(&tree));
	}
}
