/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The red-black tree beneath the region tree: links, colours and the largest gap
 * of each subtree. tree.c says why; here is only how.
 *
 * Rules of the colours: the root is black; a red node has no red child; from a
 * node down, every path to a missing child passes equally many black nodes. So a
 * path is at most twice as long as another, and n regions are at most
 * 2 * log2(n + 1) deep. (Guibas and Sedgewick, 1978.)
 *
 * The two sides mirror each other: code speaks of a side and of !side.
 *
 * Order matters for the cached gaps: first the links change and everything from the
 * changed place to the root is recomputed; then the tree is balanced, by rotations,
 * each of which keeps the set of nodes below it and so changes nothing above it.
 */
#include "region/tree.h"

static bool is_red(const lh_region *region)
{
	return region && region->colour == LH_RED;
}

static unsigned side_of(const lh_region *region)
{
	return region->parent->child[LH_HIGHER] == region ? LH_HIGHER : LH_LOWER;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static void recompute_largest(lh_region *region)
{
	region->gap_largest = larger(region->gap_before,
				     larger(lh_gap_largest(region->child[LH_LOWER]),
					    lh_gap_largest(region->child[LH_HIGHER])));
}

static void recompute_to_root(lh_region *region)
{
	for (; region; region = region->parent)
		recompute_largest(region);
}

void lh_region_refresh(lh_region_tree *tree, lh_region *region)
{
	if (!region)
		return;
	region->gap_before =
		lh_region_gap(tree, lh_region_neighbour(region, LH_LOWER), region);
	recompute_to_root(region);
}

/* Puts a node, or nothing, where another hangs: the link from above only. */
static void replace(lh_region_tree *tree, lh_region *old, lh_region *new)
{
	if (old->parent)
		old->parent->child[side_of(old)] = new;
	else
		tree->root = new;
	if (new)
		new->parent = old->parent;
}

/*
 *        node                  riser
 *       /    \                /     \
 *      a     riser    =>    node     c       (side: lower)
 *           /    \         /    \
 *          b      c       a      b
 */
static void rotate(lh_region_tree *tree, lh_region *node, unsigned side)
{
	lh_region *riser = node->child[!side];
	lh_region *inner = riser->child[side];

	replace(tree, node, riser);
	riser->child[side] = node;
	node->parent = riser;
	node->child[!side] = inner;
	if (inner)
		inner->parent = node;
	/* The one that sank first: the other's value is made from it. */
	recompute_largest(node);
	recompute_largest(riser);
}

/* The node is red, and so may be its parent: the only rule that can be broken. */
static void balance_after_link(lh_region_tree *tree, lh_region *node)
{
	while (is_red(node->parent)) {
		lh_region *parent = node->parent;
		lh_region *grand = parent->parent; /* a red node is never the root */
		unsigned side = side_of(parent);
		lh_region *uncle = grand->child[!side];

		if (is_red(uncle)) {
			parent->colour = LH_BLACK;
			uncle->colour = LH_BLACK;
			grand->colour = LH_RED;
			node = grand;
			continue;
		}
		if (side_of(node) != side) {
			rotate(tree, parent, side);
			parent = node;
		}
		parent->colour = LH_BLACK;
		grand->colour = LH_RED;
		rotate(tree, grand, !side);
		break;
	}
	tree->root->colour = LH_BLACK;
}

void lh_region_link(lh_region_tree *tree, lh_region *region, lh_region *below, lh_region *above)
{
	/* Of two neighbours, one is an ancestor of the other; the deeper has a free child. */
	bool under_above = above && !above->child[LH_LOWER];

	region->tree = tree;
	region->child[LH_LOWER] = NULL;
	region->child[LH_HIGHER] = NULL;
	region->colour = LH_RED;
	region->parent = under_above ? above : below;
	if (under_above)
		above->child[LH_LOWER] = region;
	else if (below)
		below->child[LH_HIGHER] = region;
	else
		tree->root = region;
	tree->count++;
	lh_region_refresh(tree, region);
	lh_region_refresh(tree, above);
	balance_after_link(tree, region);
}

/*
 * Paths through parent's child on the side have one black node too few. Four cases,
 * by the sibling on the other side; each either ends or moves the lack one level up.
 */
static void balance_after_unlink(lh_region_tree *tree, lh_region *parent, unsigned side)
{
	while (parent) {
		lh_region *sibling = parent->child[!side];

		if (is_red(sibling)) {
			sibling->colour = LH_BLACK;
			parent->colour = LH_RED;
			rotate(tree, parent, side);
			sibling = parent->child[!side];
		}
		if (is_red(sibling->child[side]) && !is_red(sibling->child[!side])) {
			sibling->child[side]->colour = LH_BLACK;
			sibling->colour = LH_RED;
			rotate(tree, sibling, !side);
			sibling = parent->child[!side];
		}
		if (is_red(sibling->child[!side])) {
			sibling->colour = parent->colour;
			parent->colour = LH_BLACK;
			sibling->child[!side]->colour = LH_BLACK;
			rotate(tree, parent, side);
			return;
		}
		sibling->colour = LH_RED;
		if (is_red(parent)) {
			parent->colour = LH_BLACK;
			return;
		}
		side = parent->parent ? side_of(parent) : LH_LOWER;
		parent = parent->parent;
	}
}

/* Exchanges the places of a node with two children and its in-order successor. The
 * nodes themselves move, not their contents: others point at them. */
static void trade_places(lh_region_tree *tree, lh_region *node, lh_region *successor)
{
	lh_region *parent = successor->parent;
	lh_region *orphan = successor->child[LH_HIGHER];
	uint32_t colour = successor->colour;

	replace(tree, node, successor);
	successor->colour = node->colour;
	successor->child[LH_LOWER] = node->child[LH_LOWER];
	successor->child[LH_LOWER]->parent = successor;
	if (parent == node) {
		successor->child[LH_HIGHER] = node;
		node->parent = successor;
	} else {
		successor->child[LH_HIGHER] = node->child[LH_HIGHER];
		successor->child[LH_HIGHER]->parent = successor;
		parent->child[LH_LOWER] = node;
		node->parent = parent;
	}
	node->colour = colour;
	node->child[LH_LOWER] = NULL;
	node->child[LH_HIGHER] = orphan;
	if (orphan)
		orphan->parent = node;
}

void lh_region_unlink(lh_region_tree *tree, lh_region *region)
{
	lh_region *above = lh_region_neighbour(region, LH_HIGHER);
	lh_region *parent, *child;
	unsigned side;

	if (region->child[LH_LOWER] && region->child[LH_HIGHER])
		trade_places(tree, region, above);
	parent = region->parent;
	side = parent ? side_of(region) : LH_LOWER;
	child = region->child[LH_LOWER] ? region->child[LH_LOWER] : region->child[LH_HIGHER];
	replace(tree, region, child);
	tree->count--;
	recompute_to_root(parent);
	lh_region_refresh(tree, above);
	if (child)
		child->colour = LH_BLACK; /* an only child is red, and its parent black */
	else if (region->colour == LH_BLACK)
		balance_after_unlink(tree, parent, side);
	region->tree = NULL;
	region->parent = NULL;
	region->child[LH_LOWER] = NULL;
	region->child[LH_HIGHER] = NULL;
}
