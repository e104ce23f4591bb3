/* SPDX-License-Identifier: BSD-2-Clause */
/* The walker is seen to work: each kind of damage, done on purpose, is reported as such. */
#include <string.h>

#include <landhold/region_tree.h>

#include "harness.h"
#include "region/tree.h"

#define COUNT 12

static lh_region_tree tree;
static lh_region region[COUNT];
static lh_region stranger;

/* Regions of 2 pages at 10, 20, ... with a guard of 3 after each. */
static void build(void)
{
	lh_virtual_range total = { lh_virtual(0), 1000 };

	memset(region, 0, sizeof region);
	CHECK_OK(lh_region_tree_init(&tree, total));
	for (unsigned i = 0; i < COUNT; i++) {
		lh_virtual_range range = { lh_virtual((i + 1) * 10 * LH_PAGE_SIZE), 2 };

		lh_region_init(&region[i], LH_BACKING_NONE, LH_RIGHT_NONE, 0);
		region[i].guard_after = 3;
		CHECK_OK(lh_region_tree_place_specifically(&tree, &region[i], range));
	}
	CHECK_SOUND(lh_region_tree_check(&tree));
}

static bool is_leaf(const lh_region *r)
{
	return !r->child[0] && !r->child[1];
}

/* A leaf, and a region with both children, that are not the root. */
static lh_region *a_leaf(uint32_t colour)
{
	for (unsigned i = 0; i < COUNT; i++)
		if (is_leaf(&region[i]) && region[i].colour == colour)
			return &region[i];
	return NULL;
}

static lh_region *an_inner(void)
{
	for (unsigned i = 0; i < COUNT; i++)
		if (region[i].child[0] && region[i].child[1] && tree.root != &region[i])
			return &region[i];
	return NULL;
}

#define CHECK_REPORTED(damage, words)                                              \
	do {                                                                       \
		const char *finding_;                                              \
		build();                                                           \
		damage;                                                            \
		finding_ = lh_region_tree_check(&tree);                            \
		if (!finding_ || !strstr(finding_, words))                         \
			test_fail(__FILE__, __LINE__, "%s: reported as '%s'", #damage, \
				  finding_ ? finding_ : "well");                   \
	} while (0)

TEST(the_walker_reports_broken_links)
{
	CHECK_REPORTED(tree.root->parent = &region[0], "root has a parent");
	CHECK_REPORTED(an_inner()->parent = &stranger, "another parent");
	CHECK_REPORTED(a_leaf(LH_RED)->parent = NULL, "another parent");
	CHECK_REPORTED(an_inner()->child[1] = an_inner()->child[0], "both children");
	CHECK_REPORTED(a_leaf(LH_RED)->child[0] = tree.root, "another parent");
	CHECK_REPORTED(a_leaf(LH_RED)->child[1] = a_leaf(LH_RED), "another parent");
	CHECK_REPORTED(region[5].tree = NULL, "names another tree");
	CHECK_REPORTED(tree.root = NULL, "count");
	CHECK_REPORTED(tree.count++, "count");
	CHECK_REPORTED(tree.count--, "count");
}

static void drop_leaf(lh_region *leaf)
{
	leaf->parent->child[leaf->parent->child[1] == leaf] = NULL;
}

TEST(the_walker_reports_lost_regions)
{
	/* The region last in order: no gap is computed from its absence. */
	CHECK_REPORTED(drop_leaf(lh_region_tree_last(&tree)), "count");
	CHECK_REPORTED((drop_leaf(lh_region_tree_last(&tree)), region[10].child[1] = &region[10]),
		       "another parent");
}

TEST(the_walker_reports_wrong_colours)
{
	CHECK_REPORTED(a_leaf(LH_RED)->colour = 7, "neither red nor black");
	CHECK_REPORTED(tree.root->colour = LH_RED, "root is not black");
	CHECK_REPORTED(a_leaf(LH_RED)->colour = LH_BLACK, "different numbers of black");
	CHECK_REPORTED((a_leaf(LH_RED)->parent->colour = LH_RED), "red");
}

TEST(the_walker_reports_wrong_gaps)
{
	CHECK_REPORTED(region[4].gap_before++, "largest gap");
	CHECK_REPORTED(a_leaf(LH_RED)->gap_largest++, "largest gap");
	CHECK_REPORTED(tree.root->gap_largest--, "largest gap");
	CHECK_REPORTED(an_inner()->gap_largest = 0, "largest gap");
	/* A gap too small, and all that is made from it right. */
	CHECK_REPORTED((a_leaf(LH_RED)->gap_before--, a_leaf(LH_RED)->gap_largest--),
		       "region's gap is wrong");
	CHECK_REPORTED(region[4].guard_before = 1, "region's gap is wrong");
}

TEST(the_walker_reports_wrong_ranges)
{
	CHECK_REPORTED(region[4].range.pages = 0, "not valid");
	CHECK_REPORTED(region[4].range.base.value++, "not valid");
	CHECK_REPORTED(region[11].range.pages = UINT64_MAX, "not valid");
	CHECK_REPORTED(region[11].range.pages = 1000, "outside");
	CHECK_REPORTED(region[4].range.pages = 9, "guard");
	CHECK_REPORTED(region[4].range.pages = 11, "overlap");
	CHECK_REPORTED(region[4].range.base = region[5].range.base, "gap");
	CHECK_REPORTED(region[5].range.base = region[4].range.base, "overlap");
	CHECK_REPORTED(region[4].guard_after = 9, "guard");
	CHECK_REPORTED(region[5].guard_before = 9, "guard");
	CHECK_REPORTED(tree.total.pages = 0, "total range is not valid");
	CHECK_REPORTED(tree.total.pages = 100, "outside");
}

/* Two ranges exchanged, with the gaps that would follow: only the order is wrong. */
TEST(the_walker_reports_wrong_order)
{
	lh_virtual_range range;

	build();
	range = region[0].range;
	region[0].range = region[1].range;
	region[1].range = range;
	region[0].gap_before = 20;
	for (lh_region *r = &region[0]; r; r = r->parent)
		r->gap_largest = 20;
	CHECK(strstr(lh_region_tree_check(&tree), "out of order"));
}

TEST(the_walker_reports_versions_left_odd)
{
	CHECK_REPORTED(region[6].version++, "odd version");
	CHECK_REPORTED(tree.sequence++, "sequence is odd");
}
