/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The lookup without the lock, overtaken: it is compiled here a second time, with a stop between
 * every two loads. At each stop in turn a whole change of the tree is made, regions are taken out
 * and used again elsewhere; and every answer must be true of the tree before or after it.
 */
#include <string.h>

#include "harness.h"
#include "region/tree.h"

static void read_point(void);
lh_error overtaken_read(const lh_region_tree *tree, lh_virtual_address address,
			lh_region_snapshot *snapshot);
bool overtaken_snapshot_is_current(const lh_region_snapshot *snapshot);

#define LH_READ_POINT() read_point()
#define lh_region_tree_read overtaken_read
#define lh_region_snapshot_is_current overtaken_snapshot_is_current
#include "../../src/region/read.c"
#undef lh_region_tree_read
#undef lh_region_snapshot_is_current

enum { REGIONS = 24, SPACES = 200 };

static lh_region_tree tree;
static lh_region regions[REGIONS + 2];
static unsigned long points, stop_at, stop_every;
static unsigned changes;
static void (*change)(void);

static void read_point(void)
{
	points++;
	if (change && (points == stop_at || (stop_every != 0 && points % stop_every == 0))) {
		changes++;
		change();
	}
}

static lh_virtual_range pages(uint64_t first, uint64_t count)
{
	return (lh_virtual_range){ lh_virtual(first << LH_PAGE_SHIFT), count };
}

static void put(lh_region *region, uint64_t first, uint64_t count)
{
	lh_region_init(region, LH_BACKING_ANONYMOUS, LH_RIGHT_READ, LH_REGION_POOLED);
	region->tag = first; /* it says where it was put: a torn copy does not agree with itself */
	CHECK_OK(lh_region_tree_place_specifically(&tree, region, pages(first, count)));
}

/* Regions of 4 pages, the n-th at 8 n + 8. All counters are about to wrap. */
static void build(void)
{
	change = NULL;
	changes = 0;
	memset(regions, 0, sizeof regions);
	CHECK_OK(lh_region_tree_init(&tree, pages(0, SPACES)));
	tree.sequence = LH_COUNTER_MASK - 2 * REGIONS - 5;
	for (unsigned i = 0; i < REGIONS; i++)
		regions[i].version = LH_COUNTER_MASK - 2 * (i % 5);
	for (unsigned i = 0; i < REGIONS; i++)
		put(&regions[i], 8 * i + 8, 4);
}

/* --- what happens to the tree, and to the region at 80, number 9 --- */

static void remove_it(void)
{
	if (regions[9].tree)
		lh_region_tree_remove(&tree, &regions[9]);
}

static void move_it(void)
{
	if (regions[9].tree)
		lh_region_tree_remove(&tree, &regions[9]);
	put(&regions[9], changes % 2 != 0 ? 0 : 80, 4);
}

static void move_all(void)
{
	unsigned rotation = changes % REGIONS;

	for (unsigned i = 0; i < REGIONS; i++)
		if (regions[i].tree)
			lh_region_tree_remove(&tree, &regions[i]);
	for (unsigned i = 0; i < REGIONS; i++)
		put(&regions[i], 8 * ((i + rotation) % REGIONS) + 8, 4);
}

static void punch_it(void)
{
	lh_region_init(&regions[REGIONS], LH_BACKING_NONE, 0, LH_REGION_POOLED);
	if (regions[9].range.pages == 4)
		lh_region_tree_punch(&tree, &regions[9], pages(81, 2), &regions[REGIONS]);
}

static void shrink_it(void)
{
	CHECK_OK(lh_region_tree_resize(&tree, &regions[9], pages(82, 1 + changes % 2)));
}

static void replace_it(void)
{
	lh_region_change none = { .before = NULL };
	lh_region *new = &regions[REGIONS + changes % 2];

	lh_region_init(new, LH_BACKING_ANONYMOUS, LH_RIGHT_READ, LH_REGION_POOLED);
	new->tag = 80;
	CHECK_OK(lh_region_tree_replace(&tree, new, pages(80, 4), &none));
}

static void empty_it(void)
{
	for (unsigned i = 0; i < REGIONS; i++)
		if (regions[i].tree)
			lh_region_tree_remove(&tree, &regions[i]);
}

/* --- the trial --- */

/* What the region at a page is; tag 0: none. */
static uint64_t tag_at(uint64_t page)
{
	const lh_region *region = lh_region_tree_find(&tree, pages(page, 1).base);

	return region ? region->tag + 1 : 0;
}

static void try_at(uint64_t page, unsigned long stop, void (*what)(void))
{
	lh_region_snapshot snapshot;
	uint64_t before, after, tag;
	lh_error error;

	build();
	before = tag_at(page);
	points = 0;
	stop_at = stop;
	change = what;
	error = overtaken_read(&tree, pages(page, 1).base, &snapshot);
	change = NULL;
	after = tag_at(page);
	CHECK_SOUND(lh_region_tree_check(&tree));
	CHECK(error == LH_OK || error == LH_NOT_MAPPED);
	tag = error == LH_OK ? snapshot.tag + 1 : 0;
	if (tag != before && tag != after)
		test_fail(__FILE__, __LINE__, "page %llu, stop %lu: neither before nor after",
			  (unsigned long long)page, stop);
	if (error == LH_OK)
		CHECK(lh_virtual_range_contains(snapshot.range, pages(page, 1).base) &&
		      snapshot.version % 2 == 0);
}

static unsigned long points_of(uint64_t page)
{
	lh_region_snapshot snapshot;

	build();
	points = stop_at = 0;
	(void)!overtaken_read(&tree, pages(page, 1).base, &snapshot);
	return points;
}

TEST(overtaken_at_any_load_a_reader_still_tells_the_truth)
{
	static void (*const all[])(void) = { remove_it, move_it,   move_all, punch_it,
					     shrink_it, replace_it, empty_it };

	stop_every = 0;
	for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
		for (uint64_t page = 64; page < 112; page++)
			for (unsigned long stop = 1; stop <= points_of(page); stop++)
				try_at(page, stop, all[i]);
}

/* Every retry forced: something moves between all loads. It gives up after three, or is right. */
TEST(overtaken_at_every_load_a_reader_gives_up)
{
	lh_region_snapshot snapshot;
	unsigned again = 0;

	for (stop_every = 1; stop_every < 40; stop_every++) {
		lh_error error;

		build();
		points = stop_at = 0;
		change = move_all;
		error = overtaken_read(&tree, pages(81, 1).base, &snapshot);
		change = NULL;
		again += error == LH_AGAIN;
		CHECK(error == LH_AGAIN || (error == LH_OK && snapshot.tag == 80));
	}
	stop_every = 0;
	CHECK(again > 0);
}

/* A region that its owner has announced to change is neither found nor absent. */
TEST(a_region_that_is_changing_is_looked_up_under_the_lock)
{
	lh_region_snapshot snapshot;

	build();
	regions[9].version++;
	CHECK_ERROR(lh_region_tree_read(&tree, pages(81, 1).base, &snapshot), LH_AGAIN);
	CHECK_OK(lh_region_tree_read(&tree, pages(89, 1).base, &snapshot));
	regions[9].version++;
	CHECK_OK(lh_region_tree_read(&tree, pages(81, 1).base, &snapshot));
	tree.sequence++;
	CHECK_OK(lh_region_tree_read(&tree, pages(81, 1).base, &snapshot));
	CHECK_ERROR(lh_region_tree_read(&tree, pages(85, 1).base, &snapshot), LH_AGAIN);
	tree.sequence++;
	CHECK_ERROR(lh_region_tree_read(&tree, pages(85, 1).base, &snapshot), LH_NOT_MAPPED);
	CHECK_ERROR(lh_region_tree_read(&tree, pages(SPACES + 5, 1).base, &snapshot), LH_NOT_MAPPED);
}

/* B10: the counters wrap, and equality is all that is asked of them. */
TEST(b10_versions_and_sequences_that_wrap_are_even_afterwards)
{
	lh_region_snapshot snapshot;

	build();
	regions[9].version = LH_COUNTER_MASK - 1;
	tree.sequence = LH_COUNTER_MASK - 1;
	CHECK_OK(lh_region_tree_resize(&tree, &regions[9], pages(80, 3)));
	CHECK_EQUAL(regions[9].version, 0);
	CHECK_EQUAL(tree.sequence, 0);
	CHECK_SOUND(lh_region_tree_check(&tree));
	CHECK_OK(lh_region_tree_read(&tree, pages(81, 1).base, &snapshot));
}

static void come_round(void)
{
	uint64_t pages_now = regions[9].range.pages;

	for (uint64_t i = 0; i < (LH_COUNTER_MASK >> 1); i++)
		CHECK_OK(lh_region_tree_resize(&tree, &regions[9], pages(80, 4 - i % 2)));
	CHECK_OK(lh_region_tree_resize(&tree, &regions[9], pages(80, 5 - pages_now)));
}

/*
 * B10 seen: with counters of a few bits, as many changes as take them once round let a reader
 * believe a torn copy. That is why they have 64.
 */
TEST(b10_counters_that_come_round_deceive_a_reader)
{
	unsigned deceived = 0;

	if (LH_COUNTER_BITS > 16)
		return; /* nobody can wait for that */
	for (unsigned long stop = 1; stop <= points_of(80); stop++) {
		lh_region_snapshot snapshot;

		build();
		points = stop_every = 0;
		stop_at = stop;
		change = come_round;
		if (overtaken_read(&tree, pages(80, 1).base, &snapshot) == LH_OK)
			deceived += snapshot.range.pages != regions[9].range.pages;
		change = NULL;
	}
	CHECK(deceived > 0);
}
