/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads that look up without the lock while one changes the tree under it. For the race
 * detector (make test-tsan), and for what only real threads bring about.
 */
#include <pthread.h>
#include <string.h>

#include <landhold/region_tree.h>

#include "base/atomic.h"
#include "harness.h"

enum { READERS = 3, REGIONS = 64, LOW = 100, STEP = 8, CHANGES = 30000 };

static lh_region_tree tree;
static lh_region regions[REGIONS];
static lh_region anchor; /* never moves: must be found, or LH_AGAIN said */
static uint64_t is_over, found, again, wrong;

static lh_virtual_range pages(uint64_t first, uint64_t count)
{
	return (lh_virtual_range){ lh_virtual(first << LH_PAGE_SHIFT), count };
}

/* What a snapshot must say whenever it was taken: a region tells its place and size by its tag. */
static bool is_consistent(const lh_region_snapshot *s, uint64_t page)
{
	return s->range.base.value >> LH_PAGE_SHIFT == s->tag / 16 && s->range.pages == s->tag % 16 &&
	       page - s->tag / 16 < s->range.pages && s->version % 2 == 0;
}

static void *read_all_along(void *seed)
{
	uint64_t random = (uintptr_t)seed;

	while (lh_atomic_load(&is_over) == 0) {
		lh_region_snapshot snapshot;
		uint64_t page;
		lh_error error;

		random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
		page = random >> 60 == 0 ? 10 : LOW + (random >> 33) % (REGIONS * STEP);
		error = lh_region_tree_read(&tree, pages(page, 1).base, &snapshot);
		if (error == LH_OK)
			lh_atomic_add(is_consistent(&snapshot, page) ? &found : &wrong, 1u);
		else if (error == LH_AGAIN)
			lh_atomic_add(&again, 1u);
		else if (page == 10)
			lh_atomic_add(&wrong, 1u);
	}
	return NULL;
}

static void put(lh_region *region, uint64_t first, uint64_t count)
{
	lh_region_init(region, LH_BACKING_ANONYMOUS, LH_RIGHT_READ, LH_REGION_POOLED);
	lh_atomic_store(&region->tag, first * 16 + count);
	CHECK_OK(lh_region_tree_place_specifically(&tree, region, pages(first, count)));
}

/* A region leaves, and comes back somewhere where none is. */
static void change_once(void)
{
	unsigned n = (unsigned)test_random_below(REGIONS);
	uint64_t slot = test_random_below(REGIONS), first = LOW + slot * STEP;

	if (regions[n].tree) {
		lh_region_tree_remove(&tree, &regions[n]);
		return;
	}
	if (!lh_region_tree_first_crossing(&tree, pages(first, STEP)))
		put(&regions[n], first + test_random_below(3), 1 + test_random_below(5));
}

TEST(readers_without_the_lock_are_never_wrong)
{
	pthread_t threads[READERS];

	memset(regions, 0, sizeof regions);
	memset(&anchor, 0, sizeof anchor);
	is_over = found = again = wrong = 0;
	CHECK_OK(lh_region_tree_init(&tree, pages(0, 100000)));
	put(&anchor, 8, 5);
	for (uintptr_t i = 0; i < READERS; i++)
		CHECK(pthread_create(&threads[i], NULL, read_all_along, (void *)(i + 1)) == 0);
	for (unsigned i = 0; i < CHANGES; i++)
		change_once();
	while (lh_atomic_load(&found) < 1000)
		;
	lh_atomic_store(&is_over, 1u);
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQUAL(wrong, 0);
	CHECK_SOUND(lh_region_tree_check(&tree));
}
