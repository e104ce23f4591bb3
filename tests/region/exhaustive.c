/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every sequence of operations over a tiny space, up to a depth; every order of
 * insertion and removal of a few regions. A state is left by copying the model back:
 * its nodes lie inside it, so all pointers are right again.
 */
#include "region/model.h"

static struct model model;
static unsigned long states;

static void go_on(unsigned depth);

static void try_anywhere(unsigned depth, int slot, struct model *saved)
{
	for (unsigned choice = 0; choice < 24; choice++) {
		struct wish wish = {
			.units = 1 + choice % 3,
			.alignment = choice / 3 % 2 != 0 ? 2 : 1,
			.direction = choice / 6 % 2 != 0 ? LH_HIGHEST_FIRST : LH_LOWEST_FIRST,
			.before = choice / 12 % 2,
		};

		if (model_place_anywhere(&model, slot, wish) == LH_OK)
			go_on(depth - 1);
		model = *saved;
	}
}

static void try_specifically(unsigned depth, int slot, struct model *saved)
{
	for (uint64_t first = 0; first < model.units; first++)
		for (uint64_t units = 1; units <= model.units - first; units++)
			for (uint32_t guard = 0; guard < 2; guard++) {
				if (model_place_specifically(&model, slot, first, units, 0,
							     guard) == LH_OK)
					go_on(depth - 1);
				model = *saved;
			}
}

static void try_changes(unsigned depth, int slot, int spare, struct model *saved)
{
	struct record record = model.record[slot];

	model_remove(&model, slot);
	go_on(depth - 1);
	model = *saved;
	for (uint64_t at = 1; at < record.units && spare >= 0; at++) {
		model_split(&model, slot, at, spare);
		go_on(depth - 1);
		model = *saved;
	}
	if (model_merge_next(&model, slot))
		go_on(depth - 1);
	model = *saved;
	for (uint64_t first = 0; first < model.units; first++)
		for (uint64_t units = 1; units <= model.units - first; units++) {
			if (model_resize(&model, slot, first, units) == LH_OK)
				go_on(depth - 1);
			model = *saved;
		}
}

static void go_on(unsigned depth)
{
	struct model saved = model;
	int spare = model_free_slot(&model);
	unsigned placed = model_placed(&model);

	states++;
	if (depth == 0)
		return;
	for (uint64_t first = 0; first < model.units; first++)
		for (uint64_t units = 0; units <= model.units - first; units++)
			model_compare_crossing(&model, model_range(&model, first, units));
	if (spare >= 0) {
		try_anywhere(depth, spare, &saved);
		try_specifically(depth, spare, &saved);
	}
	for (unsigned n = 0; n < placed; n++)
		try_changes(depth, model_nth(&saved, n), spare, &saved);
}

TEST(every_sequence_of_three_in_five_pages_at_zero)
{
	model_init(&model, 0, 1, 5, 4);
	go_on(3);
	CHECK(states > 1000);
}

TEST(every_sequence_of_three_in_five_pages_at_the_end)
{
	model_init(&model, LH_PAGES_MAX - 5, 1, 5, 4);
	go_on(3);
}

TEST(every_sequence_of_four_in_three_pages)
{
	model_init(&model, LH_PAGES_MAX - 3, 1, 3, 3);
	go_on(4);
}

/* Unit regions at every other page: the gaps differ when regions go. */
struct small_tree {
	lh_region_tree tree;
	lh_region region[7];
};

static struct small_tree small;

static void remove_in_every_order(unsigned count)
{
	struct small_tree saved = small;

	for (unsigned i = 0; i < count; i++) {
		if (!small.region[i].tree)
			continue;
		lh_region_tree_remove(&small.tree, &small.region[i]);
		CHECK_SOUND(lh_region_tree_check(&small.tree));
		remove_in_every_order(count);
		small = saved;
	}
}

static void insert_in_every_order(unsigned count)
{
	struct small_tree saved = small;

	if (small.tree.count == count) {
		remove_in_every_order(count);
		return;
	}
	for (unsigned i = 0; i < count; i++) {
		lh_virtual_range range = { lh_virtual(((uint64_t)i * i + i) << LH_PAGE_SHIFT), 1 };

		if (small.region[i].tree)
			continue;
		CHECK_OK(lh_region_tree_place_specifically(&small.tree, &small.region[i], range));
		CHECK_SOUND(lh_region_tree_check(&small.tree));
		insert_in_every_order(count);
		small = saved;
	}
}

TEST(every_order_of_insertion_and_removal)
{
	for (unsigned count = 1; count <= 5; count++) {
		lh_virtual_range total = { lh_virtual(0), 64 };

		small = (struct small_tree){ .tree = { .count = 0 } };
		CHECK_OK(lh_region_tree_init(&small.tree, total));
		for (unsigned i = 0; i < count; i++)
			lh_region_init(&small.region[i], LH_BACKING_NONE, LH_RIGHT_NONE, 0);
		insert_in_every_order(count);
	}
}
