/* SPDX-License-Identifier: BSD-2-Clause */
/* The library's region tree as a subject: its public interface, nothing else. */
#include "subject.h"

#include <stdlib.h>

#include <landhold/region_tree.h>

struct item {
	lh_region region; /* first */
};

static void *create(uint64_t first, uint64_t end)
{
	lh_region_tree *tree = aligned_alloc(64, (sizeof *tree + 63) / 64 * 64);
	lh_virtual_range total = { lh_virtual(first << LH_PAGE_SHIFT), end - first };

	if (!tree || lh_region_tree_init(tree, total) != LH_OK)
		abort();
	return tree;
}

static void build(struct item *item)
{
	lh_region_init(&item->region, LH_BACKING_ANONYMOUS, LH_RIGHT_READ, LH_REGION_POOLED);
}

static void *lookup(void *tree, uint64_t page)
{
	return lh_region_tree_find(tree, lh_virtual(page << LH_PAGE_SHIFT));
}

static bool place_lowest(void *tree, void *item, uint64_t pages)
{
	lh_placement placement = { .pages = pages };

	build(item);
	return lh_region_tree_place_anywhere(tree, item, &placement) == LH_OK;
}

static bool place_fixed(void *tree, void *item, uint64_t first, uint64_t pages)
{
	lh_virtual_range range = { lh_virtual(first << LH_PAGE_SHIFT), pages };

	build(item);
	return lh_region_tree_place_specifically(tree, item, range) == LH_OK;
}

static void remove_item(void *tree, void *item)
{
	lh_region_tree_remove(tree, item);
}

static void punch(void *tree, void *item, uint64_t from, uint64_t to, void *spare)
{
	lh_region *region = item;
	lh_virtual_range kept = region->range;

	build(spare);
	lh_region_tree_split(tree, region, lh_virtual(to << LH_PAGE_SHIFT), spare);
	kept.pages = from - (kept.base.value >> LH_PAGE_SHIFT);
	if (lh_region_tree_resize(tree, region, kept) != LH_OK)
		abort();
}

static uint64_t walk(void *tree)
{
	uint64_t sum = 0;

	for (const lh_region *r = lh_region_tree_first(tree); r; r = lh_region_tree_next(r))
		sum = subject_mix(sum, r->range.base.value >> LH_PAGE_SHIFT);
	return sum;
}

static void range(const void *item, uint64_t *first, uint64_t *pages)
{
	const lh_region *region = item;

	*first = region->range.base.value >> LH_PAGE_SHIFT;
	*pages = region->range.pages;
}

static uint64_t touch(const void *item)
{
	return ((const lh_region *)item)->flags;
}

static const char *check(void *tree)
{
	return lh_region_tree_check(tree);
}

const struct subject subject_landhold = {
	.name = "landhold",
	.item_bytes = sizeof(struct item),
	.index_bytes = 64,
	.create = create,
	.destroy = free,
	.lookup = lookup,
	.place_lowest = place_lowest,
	.place_fixed = place_fixed,
	.remove = remove_item,
	.punch = punch,
	.walk = walk,
	.range = range,
	.touch = touch,
	.check = check,
};
