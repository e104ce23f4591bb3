/* SPDX-License-Identifier: BSD-2-Clause */
/* The library's region tree as a subject: its public interface, nothing else. */
#include "subject.h"

#include <stdlib.h>

#include <landhold/region_tree.h>

/* The tree, and what a CPU would keep beside it. */
struct map {
	lh_region_tree tree;
	lh_region_cursor cursor;
	uint64_t random;
};

static void *create(uint64_t first, uint64_t end)
{
	struct map *map = aligned_alloc(64, (sizeof *map + 63) / 64 * 64);
	lh_virtual_range total = { lh_virtual(first << LH_PAGE_SHIFT), end - first };

	if (!map || lh_region_tree_init(&map->tree, total) != LH_OK)
		abort();
	map->cursor = (lh_region_cursor){ .tree = NULL };
	map->random = 88172645463325252u;
	return map;
}

static lh_region_tree *tree_of(void *map)
{
	return &((struct map *)map)->tree;
}

/* A region stays built when it leaves the tree. */
static void prepare(void *region)
{
	lh_region_init(region, LH_BACKING_ANONYMOUS, LH_RIGHT_READ, LH_REGION_POOLED);
}

static void *lookup(void *map, uint64_t page)
{
	return lh_region_tree_find(tree_of(map), lh_virtual(page << LH_PAGE_SHIFT));
}

static void *lookup_near(void *map, uint64_t page)
{
	return lh_region_tree_find_near(tree_of(map), &((struct map *)map)->cursor,
					lh_virtual(page << LH_PAGE_SHIFT));
}

static bool place_lowest(void *map, void *region, uint64_t pages)
{
	lh_placement placement = { .pages = pages };

	return lh_region_tree_place_anywhere(tree_of(map), region, &placement) == LH_OK;
}

static bool place_fixed(void *map, void *region, uint64_t first, uint64_t pages)
{
	lh_virtual_range range = { lh_virtual(first << LH_PAGE_SHIFT), pages };

	return lh_region_tree_place_specifically(tree_of(map), region, range) == LH_OK;
}

static uint64_t next_random(void *state)
{
	return subject_random(state);
}

static bool place_randomly(void *map, void *region, uint64_t pages)
{
	lh_placement placement = { .pages = pages };

	return lh_region_tree_place_randomly(tree_of(map), region, &placement, next_random,
					     &((struct map *)map)->random) == LH_OK;
}

static void remove_region(void *map, void *region)
{
	lh_region_tree_remove(tree_of(map), region);
}

static void punch(void *map, void *region, uint64_t from, uint64_t to, void *spare)
{
	lh_virtual_range hole = { lh_virtual(from << LH_PAGE_SHIFT), to - from };

	lh_region_tree_punch(tree_of(map), region, hole, spare);
}

static void unmap(void *map, uint64_t from, uint64_t to, void *spare)
{
	lh_virtual_range hole = { lh_virtual(from << LH_PAGE_SHIFT), to - from };
	lh_region_change change = { .spares = { spare, 1 } };

	if (lh_region_tree_unmap(tree_of(map), hole, &change) != LH_OK)
		abort();
}

static uint64_t walk(void *map)
{
	lh_region_walk walk;
	const lh_region *region = lh_region_walk_first(&walk, tree_of(map));
	uint64_t sum = 0;

	for (; region; region = lh_region_walk_next(&walk))
		sum = subject_mix(sum, region->range.base.value >> LH_PAGE_SHIFT);
	return sum;
}

static void range(const void *item, uint64_t *first, uint64_t *pages)
{
	const lh_region *region = item;

	*first = region->range.base.value >> LH_PAGE_SHIFT;
	*pages = region->range.pages;
}

static uint64_t touch(const void *region)
{
	return ((const lh_region *)region)->flags;
}

static const char *check(void *map)
{
	return lh_region_tree_check(tree_of(map));
}

const struct subject subject_landhold = {
	.name = "landhold",
	.item_bytes = sizeof(lh_region),
	.index_bytes = sizeof(lh_region_node) + sizeof(lh_region *),
	.prepare = prepare,
	.create = create,
	.destroy = free,
	.lookup = lookup,
	.lookup_near = lookup_near,
	.place_lowest = place_lowest,
	.place_fixed = place_fixed,
	.place_randomly = place_randomly,
	.remove = remove_region,
	.punch = punch,
	.unmap = unmap,
	.walk = walk,
	.range = range,
	.touch = touch,
	.check = check,
};
