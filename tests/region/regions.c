/* SPDX-License-Identifier: BSD-2-Clause */
/* What a region is by itself: built, mergeable or not, its version. */
#include <string.h>

#include <landhold/region_tree.h>

#include "harness.h"

#define PAGE(n) lh_virtual((uint64_t)(n) << LH_PAGE_SHIFT)

static lh_region a, b;

/* Two that could be one: pages 10-14 and 15-17 of one object. */
static void make_mergeable(void)
{
	memset(&a, 0, sizeof a);
	lh_region_init(&a, LH_BACKING_OBJECT, LH_RIGHT_READ, LH_REGION_POOLED);
	a.object = (struct lh_object *)0x1000;
	a.tag = 9;
	a.owner = &a;
	b = a;
	a.range = (lh_virtual_range){ PAGE(10), 5 };
	b.range = (lh_virtual_range){ PAGE(15), 3 };
	a.object_page = 100;
	b.object_page = 105;
}

#define CHECK_SEPARATES(change)                              \
	do {                                                 \
		make_mergeable();                            \
		CHECK(lh_region_is_mergeable(&a, &b));       \
		change;                                      \
		CHECK(!lh_region_is_mergeable(&a, &b));      \
	} while (0)

TEST(any_difference_keeps_two_regions_apart)
{
	CHECK_SEPARATES(b.rights = LH_RIGHTS_ALL);
	CHECK_SEPARATES(b.rights_max = LH_RIGHTS_ALL);
	CHECK_SEPARATES(b.rights_history = LH_RIGHTS_ALL);
	CHECK_SEPARATES(b.flags |= LH_REGION_CHARGED);
	CHECK_SEPARATES(b.tag++);
	CHECK_SEPARATES(b.object = (struct lh_object *)0x2000);
	CHECK_SEPARATES(b.owner = &b);
	CHECK_SEPARATES(b.object_page++);
	CHECK_SEPARATES(b.backing = LH_BACKING_ANONYMOUS);
	CHECK_SEPARATES(a.range.pages--);
	CHECK_SEPARATES(b.range.base = PAGE(16));
	CHECK_SEPARATES(b.range.base = PAGE(5));
	CHECK_SEPARATES(a.guard_after = 1);
	CHECK_SEPARATES(b.guard_before = 1);
	CHECK_SEPARATES((a.flags = 0, b.flags = 0));
}

TEST(without_an_object_its_page_does_not_matter)
{
	make_mergeable();
	a.backing = b.backing = LH_BACKING_ANONYMOUS;
	b.object_page = 0;
	CHECK(lh_region_is_mergeable(&a, &b));
}

TEST(the_page_at_zero_does_not_follow_the_last_one)
{
	make_mergeable();
	a.range = (lh_virtual_range){ PAGE(LH_PAGES_MAX - 5), 5 };
	b.range = (lh_virtual_range){ PAGE(0), 3 };
	CHECK(!lh_region_is_mergeable(&a, &b));
}

TEST(a_version_only_grows_whatever_becomes_of_the_region)
{
	lh_region_tree tree;
	lh_virtual_range total = { PAGE(0), 16 }, range = { PAGE(3), 2 };
	uint64_t version = 0;

	memset(&a, 0, sizeof a);
	CHECK_OK(lh_region_tree_init(&tree, total));
	for (unsigned i = 0; i < 10; i++) {
		lh_region_init(&a, LH_BACKING_NONE, LH_RIGHT_NONE, 0);
		CHECK(a.version >= version && a.version % 2 == 1);
		version = a.version;
		CHECK_OK(lh_region_tree_place_specifically(&tree, &a, range));
		CHECK_EQUAL(a.version, version + 1);
		lh_region_tree_remove(&tree, &a);
		CHECK_EQUAL(a.version, version + 2);
		version = a.version;
	}
	CHECK_EQUAL(tree.sequence, 40);
}

/* An unmap makes versions odd before it takes regions out or cuts them. */
TEST(a_version_made_odd_beforehand_ends_as_it_should)
{
	lh_region_tree tree;
	lh_virtual_range total = { PAGE(0), 16 }, range = { PAGE(3), 4 };
	uint64_t version;

	memset(&a, 0, sizeof a);
	memset(&b, 0, sizeof b);
	CHECK_OK(lh_region_tree_init(&tree, total));
	lh_region_init(&a, LH_BACKING_NONE, LH_RIGHT_NONE, LH_REGION_POOLED);
	lh_region_init(&b, LH_BACKING_NONE, LH_RIGHT_NONE, LH_REGION_POOLED);
	CHECK_OK(lh_region_tree_place_specifically(&tree, &a, range));
	version = a.version++;
	lh_region_tree_split(&tree, &a, PAGE(5), &b);
	CHECK_EQUAL(a.version, version + 2);
	CHECK_EQUAL(b.version % 2, 0);
	b.version++;
	version = b.version;
	lh_region_tree_remove(&tree, &b);
	CHECK_EQUAL(b.version, version);
}

TEST(a_region_that_is_placed_or_was_never_built_is_refused)
{
	lh_region_tree tree;
	lh_virtual_range total = { PAGE(0), 16 }, range = { PAGE(3), 4 };
	lh_placement placement = { .pages = 1 };

	memset(&a, 0, sizeof a);
	CHECK_OK(lh_region_tree_init(&tree, total));
	CHECK_ERROR(lh_region_tree_place_specifically(&tree, &a, range), LH_INVALID);
	CHECK_ERROR(lh_region_tree_place_anywhere(&tree, &a, &placement), LH_INVALID);
	lh_region_init(&a, LH_BACKING_NONE, LH_RIGHT_NONE, 0);
	CHECK_OK(lh_region_tree_place_specifically(&tree, &a, range));
	range.base = PAGE(10);
	CHECK_ERROR(lh_region_tree_place_specifically(&tree, &a, range), LH_INVALID);
	CHECK_ERROR(lh_region_tree_place_anywhere(&tree, &a, &placement), LH_INVALID);
	CHECK_EQUAL(tree.count, 1);
}

TEST(a_resize_below_the_objects_first_page_is_refused)
{
	lh_region_tree tree;
	lh_virtual_range total = { PAGE(0), 16 }, range = { PAGE(3), 4 };

	memset(&a, 0, sizeof a);
	CHECK_OK(lh_region_tree_init(&tree, total));
	lh_region_init(&a, LH_BACKING_OBJECT, LH_RIGHT_NONE, 0);
	a.object_page = 1;
	CHECK_OK(lh_region_tree_place_specifically(&tree, &a, range));
	CHECK_ERROR(lh_region_tree_resize(&tree, &a, (lh_virtual_range){ PAGE(1), 4 }), LH_INVALID);
	CHECK_EQUAL(a.object_page, 1);
	CHECK_OK(lh_region_tree_resize(&tree, &a, (lh_virtual_range){ PAGE(2), 4 }));
	CHECK_EQUAL(a.object_page, 0);
	CHECK_EQUAL(lh_region_object_page(&a, PAGE(4)), 2);
	a.backing = LH_BACKING_ANONYMOUS;
	CHECK_OK(lh_region_tree_resize(&tree, &a, (lh_virtual_range){ PAGE(0), 4 }));
	CHECK_EQUAL(a.object_page, 0);
}
