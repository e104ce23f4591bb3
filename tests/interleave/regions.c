/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lookups without the lock against changes of the tree: at whatever load and store the two meet,
 * the reader is told what was true before or after the change, or to take the lock.
 */
#include "interleave/cases.h"

#include <landhold/region_tree.h>

#include <stdlib.h>
#include <string.h>

enum { REGIONS = 12, PAGE = 42, LAST = 5 /* of the lower leaf */ };

/* Regions of 4 pages at 8, 16, 24, ...: two leaves and a root. Number 4 lies at 40. */
struct scene {
	lh_region_tree tree;
	lh_region regions[REGIONS + 1]; /* the last one is in no tree */
	uint64_t before;		/* tag of what has the page; 0: nothing */
};

static lh_virtual_range pages(uint64_t first, uint64_t count)
{
	return (lh_virtual_range){ lh_virtual(first << LH_PAGE_SHIFT), count };
}

/* The tag tells where it was put, and how large: a torn copy contradicts itself. */
static void put(struct scene *scene, lh_region *region, uint64_t first, uint64_t count)
{
	lh_region_init(region, LH_BACKING_ANONYMOUS, LH_RIGHT_READ, LH_REGION_POOLED);
	__atomic_store_n(&region->tag, first * 16 + count, __ATOMIC_RELEASE);
	if (lh_region_tree_place_specifically(&scene->tree, region, pages(first, count)) != LH_OK)
		interleave_fail("no place at %llu", (unsigned long long)first);
}

static void *open_scene(void)
{
	struct scene *scene = memset(aligned_alloc(64, sizeof *scene), 0, sizeof *scene);

	if (lh_region_tree_init(&scene->tree, pages(0, 200)) != LH_OK)
		abort();
	for (unsigned i = 0; i < REGIONS; i++)
		put(scene, &scene->regions[i], 8 * i + 8, 4);
	scene->before = scene->regions[4].tag;
	return scene;
}

/* --- what a reader may be told of a page --- */

static void read_page(struct scene *scene, uint64_t page, uint64_t before, uint64_t after)
{
	lh_region_snapshot snapshot;
	lh_error error = lh_region_tree_read(&scene->tree, pages(page, 1).base, &snapshot);

	if (error == LH_AGAIN)
		return;
	if (error == LH_NOT_MAPPED) {
		if (before != 0 && after != 0)
			interleave_fail("page %llu was never without a region", (unsigned long long)page);
		return;
	}
	if (snapshot.range.base.value >> LH_PAGE_SHIFT != snapshot.tag / 16 ||
	    snapshot.range.pages != snapshot.tag % 16)
		interleave_fail("the copy is torn");
	if (snapshot.tag != before && snapshot.tag != after)
		interleave_fail("page %llu never had that region", (unsigned long long)page);
}

static void check_tree(void *context)
{
	const char *finding = lh_region_tree_check(&((struct scene *)context)->tree);

	if (finding)
		interleave_fail("%s", finding);
}

/* --- the changes, and what they leave at the page --- */

static void read_removed(void *scene) { read_page(scene, PAGE, 40 * 16 + 4, 0); }
static void read_moved(void *scene) { read_page(scene, PAGE, 40 * 16 + 4, 0); }
static void read_kept(void *scene) { read_page(scene, PAGE, 40 * 16 + 4, 40 * 16 + 4); }
static void read_hole(void *scene) { read_page(scene, 46, 0, 45 * 16 + 2); }
static void read_last(void *scene) { read_page(scene, 50, 48 * 16 + 4, 0); }
static void read_replaced(void *scene) { read_page(scene, PAGE, 40 * 16 + 4, 40 * 16 + 4); }

static void remove_region(void *context)
{
	struct scene *scene = context;

	lh_region_tree_remove(&scene->tree, &scene->regions[4]);
}

/* The memory serves again at once, for another place: the version outlives it. */
static void move_region(void *context)
{
	struct scene *scene = context;

	lh_region_tree_remove(&scene->tree, &scene->regions[4]);
	put(scene, &scene->regions[4], 150, 3);
}

/* The last of a leaf goes, and comes back in its place: the leaf beside is not touched in between. */
static void put_last_back(void *context)
{
	struct scene *scene = context;
	const lh_region_node *leaf = &scene->regions[0].leaf->node;

	if (leaf->child[leaf->count - 1] != &scene->regions[LAST])
		interleave_fail("another region is the last of its leaf");
	lh_region_tree_remove(&scene->tree, &scene->regions[LAST]);
	if (!scene->tree.open)
		interleave_fail("the leaf is not open");
	put(scene, &scene->regions[LAST], 8 * LAST + 8, 4);
}

/* Its neighbours go, with their nodes: leaves merge, blocks move. */
static void remove_neighbours(void *context)
{
	struct scene *scene = context;

	for (unsigned i = 1; i < 8; i++)
		if (i != 4)
			lh_region_tree_remove(&scene->tree, &scene->regions[i]);
}

static void fill_hole(void *context)
{
	struct scene *scene = context;

	put(scene, &scene->regions[REGIONS], 45, 2);
}

static void replace_region(void *context)
{
	struct scene *scene = context;
	lh_region *new = &scene->regions[REGIONS];
	lh_region_change none = { .before = NULL };

	lh_region_init(new, LH_BACKING_ANONYMOUS, LH_RIGHT_READ, LH_REGION_POOLED);
	__atomic_store_n(&new->tag, 40 * 16 + 4, __ATOMIC_RELEASE);
	if (lh_region_tree_replace(&scene->tree, new, pages(40, 4), &none) != LH_OK)
		interleave_fail("not replaced");
}

CASE(region_read_remove, .open = open_scene, .fibres = 2, .run = { read_removed, remove_region },
     .check = check_tree, .bound = 3, .store_buffers = true)
CASE(region_read_move, .open = open_scene, .fibres = 2, .run = { read_moved, move_region },
     .check = check_tree, .bound = 2, .store_buffers = true)
CASE(region_read_put_back, .open = open_scene, .fibres = 2, .run = { read_last, put_last_back },
     .check = check_tree, .bound = 2)
CASE(region_read_merging_nodes, .open = open_scene, .fibres = 2,
     .run = { read_kept, remove_neighbours }, .check = check_tree, .bound = 2)
CASE(region_read_place, .open = open_scene, .fibres = 2, .run = { read_hole, fill_hole },
     .check = check_tree, .bound = 2, .store_buffers = true)
CASE(region_read_replace, .open = open_scene, .fibres = 2, .run = { read_replaced, replace_region },
     .check = check_tree, .bound = 2)
CASE(region_two_readers, .open = open_scene, .fibres = 3,
     .run = { read_moved, move_region, read_removed }, .check = check_tree, .bound = 1)
