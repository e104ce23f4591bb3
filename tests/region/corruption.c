/* SPDX-License-Identifier: BSD-2-Clause */
/* The walker is seen to work: each kind of damage, done on purpose, is reported as such. */
#include <string.h>

#include <landhold/region_tree.h>

#include "harness.h"
#include "region/tree.h"

#define COUNT 40

static lh_region_tree tree;
static lh_region region[COUNT];
static lh_region stranger;

/* Regions of 2 pages at 10, 20, ... with a guard of 3 after each; a tree of several levels. */
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
	CHECK(tree.levels > 1);
}

static lh_region_node *root(void)
{
	return &tree.root->node;
}

/* The leaf of a region, and where it is in it. */
static lh_region_node *leaf_of(unsigned i)
{
	lh_region_cursor path;

	lh_path_find_region(&path, &tree, &region[i]);
	return lh_path_node(&path, 0);
}

static unsigned slot_of(unsigned i)
{
	lh_region_cursor path;

	lh_path_find_region(&path, &tree, &region[i]);
	return path.slot[0];
}

static lh_region *without_node(void)
{
	for (unsigned i = 0; i < COUNT; i++)
		if (region[i].node.count == 0)
			return &region[i];
	return NULL;
}

static void adopt_all(lh_region *host)
{
	for (unsigned i = 0; i < host->node.count; i++)
		lh_child_adopt(host, host->node.child[i]);
}

/* A node's block is copied to a region that hosts nothing: both name the same children. */
static lh_region *copy_of(const lh_region *host)
{
	lh_region *copy = without_node();

	copy->node = host->node;
	adopt_all(copy);
	return copy;
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
	CHECK_REPORTED(root()->level = 0, "level is wrong");
	CHECK_REPORTED(root()->child[0]->node.level = 7, "level is wrong");
	CHECK_REPORTED(root()->child[0] = tree.root, "level is wrong");
	CHECK_REPORTED(root()->child[1] = NULL, "node is missing");
	CHECK_REPORTED(tree.root = NULL, "node is missing");
	CHECK_REPORTED(leaf_of(5)->child[slot_of(5)] = NULL, "region is missing");
	CHECK_REPORTED(tree.levels = 1, "level is wrong");
	CHECK_REPORTED(tree.levels = 0, "number of levels");
	CHECK_REPORTED(tree.levels = LH_REGION_LEVELS + 1, "number of levels");
	CHECK_REPORTED(region[5].tree = NULL, "names another tree");
	CHECK_REPORTED(tree.count++, "count");
	CHECK_REPORTED(tree.count--, "count");
	CHECK_REPORTED(leaf_of(5)->child[slot_of(5)] = &region[6], "region's gap is wrong");
	CHECK_REPORTED(region[5].leaf = &region[6], "another leaf");
	CHECK_REPORTED(root()->child[1]->node.above = &region[6], "another one above");
	CHECK_REPORTED(root()->above = &region[6], "another one above");
	CHECK_REPORTED((stranger = region[5], leaf_of(5)->child[slot_of(5)] = &stranger,
			stranger.tree = NULL), "another tree");
}

TEST(the_walker_reports_wrong_counts_of_children)
{
	CHECK_REPORTED(leaf_of(0)->count = 2, "too many or too few");
	CHECK_REPORTED(leaf_of(0)->count = 0, "too many or too few");
	CHECK_REPORTED(leaf_of(0)->count = LH_WAYS + 1, "too many or too few");
	CHECK_REPORTED(root()->count = 1, "too many or too few");
	CHECK_REPORTED(root()->count--, "key too many");
	CHECK_REPORTED(leaf_of(5)->count--, "key too many");
	CHECK_REPORTED((root()->count--, root()->key[root()->count] = LH_NO_KEY), "child too many");
	CHECK_REPORTED((root()->count--, root()->key[root()->count] = LH_NO_KEY,
			root()->child[root()->count] = NULL), "gap too many");
	CHECK_REPORTED((root()->count--, root()->key[root()->count] = LH_NO_KEY,
			root()->child[root()->count] = NULL, root()->gap[root()->count] = 0), "room");
}

TEST(the_walker_reports_wrong_hosts)
{
	CHECK_REPORTED(without_node()->node.count = 3, "in use that is no node");
	CHECK_REPORTED(tree.root = copy_of(tree.root), "in use that is no node");
	/* The first leaf in a block of somebody who might be far above it. */
	CHECK_REPORTED((stranger.node = leaf_of(0)[0], stranger.range = region[30].range,
			root()->child[0] = &stranger), "not below it");
	CHECK_REPORTED((stranger.node = root()->child[1]->node, stranger.range = region[0].range,
			root()->child[1] = &stranger), "not below it");
	CHECK_REPORTED((tree.tail.node = leaf_of(0)[0], root()->child[0] = &tree.tail), "");
	CHECK_REPORTED((tree.tail.node = leaf_of(0)[0], root()->child[0] = &tree.tail,
			root()->count = 1), "");
}

TEST(the_walker_reports_wrong_keys)
{
	CHECK_REPORTED(leaf_of(5)->key[1]++, "extent ends");
	CHECK_REPORTED(leaf_of(5)->key[2] = LH_NO_KEY, "extent ends");
	CHECK_REPORTED(leaf_of(0)->key[0]++, "extent ends");
	CHECK_REPORTED(root()->key[0]++, "extent ends");
	CHECK_REPORTED(root()->key[1]++, "extent ends");
	CHECK_REPORTED(root()->key[1]--, "extent ends");
}

TEST(the_walker_reports_wrong_gaps_and_rooms)
{
	CHECK_REPORTED(leaf_of(5)->gap[1]++, "region's gap is wrong");
	CHECK_REPORTED(leaf_of(5)->gap[1] = 0, "region's gap is wrong");
	CHECK_REPORTED(leaf_of(5)->room[0]++, "room is wrong");
	CHECK_REPORTED(leaf_of(5)->room[1] = 1, "room is wrong");
	CHECK_REPORTED(root()->room[1]--, "room is wrong");
	CHECK_REPORTED(root()->room[2]++, "room is wrong");
	CHECK_REPORTED(root()->gap[0]--, "not its child's room");
	CHECK_REPORTED(region[4].guard_before = 1, "larger guard");
	CHECK_REPORTED((region[4].guard_before = 1, tree.guard_before_max = 1),
		       "region's gap is wrong");
	CHECK_REPORTED(tree.has_guards = !tree.has_guards, "whether there are guards");
}

TEST(the_walker_reports_wrong_ranges)
{
	CHECK_REPORTED(region[4].range.pages = 0, "not valid");
	CHECK_REPORTED(region[4].range.base.value++, "not valid");
	CHECK_REPORTED(region[11].range.pages = UINT64_MAX, "not valid");
	CHECK_REPORTED(region[11].range.pages = 1000, "outside");
	CHECK_REPORTED(region[4].range.pages = 1, "extent ends");
	CHECK_REPORTED(region[5].range.base = region[4].range.base, "overlap");
	CHECK_REPORTED(region[5].range.base.value = 54 * LH_PAGE_SIZE, "guard");
	CHECK_REPORTED(region[5].range.base = region[3].range.base, "out of order");
	CHECK_REPORTED((region[5].guard_before = 9, tree.guard_before_max = 9), "guard");
	CHECK_REPORTED(region[4].guard_after = 9, "larger guard");
	CHECK_REPORTED(tree.total.pages = 0, "total range is not valid");
	CHECK_REPORTED(tree.total.pages = 100, "outside");
}

TEST(the_walker_reports_a_tail_that_is_not_last)
{
	CHECK_REPORTED((tree.tail.guard_after = 0, tree.root = &region[0],
			region[0].node = leaf_of(0)[0], region[0].node.above = NULL,
			adopt_all(&region[0]), tree.levels = 1), "tail is not the last");
}

TEST(the_walker_reports_versions_left_odd)
{
	CHECK_REPORTED(region[6].version++, "odd version");
	CHECK_REPORTED(tree.sequence++, "sequence is odd");
}

TEST(the_walker_reports_a_leaf_that_is_behind_without_a_reason)
{
	CHECK_REPORTED((lh_region_tree_remove(&tree, &region[7]), tree.told[0]++), "not its child's room");
	CHECK_REPORTED((lh_region_tree_remove(&tree, &region[7]), tree.behind = NULL), "not its child's room");
	CHECK_REPORTED(tree.behind = tree.root, "no leaf of the tree");
	CHECK_REPORTED(tree.behind = &stranger, "no leaf of the tree");
	build();
	lh_region_tree_remove(&tree, &region[7]);
	CHECK_SOUND(lh_region_tree_check(&tree));
	lh_region_settle(&tree);
	CHECK(!tree.behind);
	CHECK_SOUND(lh_region_tree_check(&tree));
}

/* Takes out the last region of a leaf, which the next one is owed. */
static void remove_last_of_leaf(void)
{
	const lh_region_node *leaf = leaf_of(5);

	lh_region_tree_remove(&tree, leaf->child[leaf->count - 1]);
	CHECK(tree.open && tree.owed_first < tree.owed_end);
	CHECK_SOUND(lh_region_tree_check(&tree));
}

TEST(the_walker_reports_a_leaf_that_is_open_without_a_reason)
{
	CHECK_REPORTED((remove_last_of_leaf(), tree.owed_first--), "does not begin where it ends");
	CHECK_REPORTED((remove_last_of_leaf(), tree.owed_end++), "key is not where");
	CHECK_REPORTED((remove_last_of_leaf(), tree.owed_end = tree.owed_first - 1), "does not begin");
	CHECK_REPORTED((remove_last_of_leaf(), tree.owed_end = tree.owed_first), "key is not where");
	CHECK_REPORTED((remove_last_of_leaf(), tree.open = NULL), "key is not where");
	CHECK_REPORTED(tree.open = &stranger, "open is no leaf of the tree");
	CHECK_REPORTED(tree.owed_end++, "open is no leaf of the tree");
	build();
	remove_last_of_leaf();
	lh_region_close(&tree);
	CHECK(!tree.open);
	CHECK_SOUND(lh_region_tree_check(&tree));
}

TEST(the_walker_reports_a_wrong_place_of_the_last_change)
{
	CHECK_REPORTED((lh_region_tree_remove(&tree, &region[7]), tree.last.known = 0), "wrong length");
	CHECK_REPORTED((lh_region_tree_remove(&tree, &region[7]), tree.last.known = (uint8_t)(tree.levels + 1)),
		       "wrong length");
	CHECK_REPORTED((lh_region_tree_remove(&tree, &region[7]), tree.last.slot[1]++), "last change");
	CHECK_REPORTED((lh_region_tree_remove(&tree, &region[7]), tree.last.host[1] = &region[0]),
		       "last change");
	build();
	lh_region_tree_remove(&tree, &region[7]);
	CHECK(tree.last_is_current);
	CHECK_SOUND(lh_region_tree_check(&tree));
}
