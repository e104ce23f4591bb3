/* SPDX-License-Identifier: BSD-2-Clause */
#include "rb.h"

#include <stdlib.h>

static unsigned side_of(const struct rb_node *node)
{
	return node->parent->child[1] == node;
}

static void replace(struct rb_tree *tree, struct rb_node *old, struct rb_node *new)
{
	if (old->parent)
		old->parent->child[side_of(old)] = new;
	else
		tree->root = new;
	if (new)
		new->parent = old->parent;
}

static struct rb_node *rotate(struct rb_tree *tree, struct rb_node *node, unsigned side,
			      rb_recompute *recompute)
{
	struct rb_node *riser = node->child[!side];

	replace(tree, node, riser);
	node->child[!side] = riser->child[side];
	if (riser->child[side])
		riser->child[side]->parent = node;
	riser->child[side] = node;
	node->parent = riser;
	recompute(node);
	recompute(riser);
	return riser;
}

void rb_repair(struct rb_node *node, rb_recompute *recompute)
{
	while (node && recompute(node))
		node = node->parent;
}

static bool is_red(const struct rb_node *node)
{
	return node && node->is_red;
}

void rb_link(struct rb_tree *tree, struct rb_node *node, struct rb_node *parent, unsigned side,
	     rb_recompute *recompute)
{
	*node = (struct rb_node){ .parent = parent, .is_red = 1 };
	if (parent)
		parent->child[side] = node;
	else
		tree->root = node;
	recompute(node);
	rb_repair(parent, recompute);
	while (is_red(node->parent)) {
		struct rb_node *above = node->parent, *grand = above->parent;
		unsigned outer = side_of(above);
		struct rb_node *uncle = grand->child[!outer];

		if (is_red(uncle)) {
			above->is_red = uncle->is_red = 0;
			grand->is_red = 1;
			node = grand;
			continue;
		}
		if (side_of(node) != outer)
			above = rotate(tree, above, outer, recompute);
		above->is_red = 0;
		grand->is_red = 1;
		rotate(tree, grand, !outer, recompute);
		break;
	}
	tree->root->is_red = 0;
}

static void balance_lack(struct rb_tree *tree, struct rb_node *parent, unsigned side,
			 rb_recompute *recompute)
{
	while (parent) {
		struct rb_node *sibling = parent->child[!side];

		if (sibling->is_red) {
			sibling->is_red = 0;
			parent->is_red = 1;
			rotate(tree, parent, side, recompute);
			sibling = parent->child[!side];
		}
		if (is_red(sibling->child[side]) && !is_red(sibling->child[!side])) {
			sibling->child[side]->is_red = 0;
			sibling->is_red = 1;
			sibling = rotate(tree, sibling, !side, recompute);
		}
		if (is_red(sibling->child[!side])) {
			sibling->is_red = parent->is_red;
			parent->is_red = 0;
			sibling->child[!side]->is_red = 0;
			rotate(tree, parent, side, recompute);
			return;
		}
		sibling->is_red = 1;
		if (parent->is_red) {
			parent->is_red = 0;
			return;
		}
		side = parent->parent ? side_of(parent) : 0;
		parent = parent->parent;
	}
}

/* The successor, which has no lower child, takes the node's place. */
static void trade(struct rb_tree *tree, struct rb_node *node, struct rb_node *successor)
{
	struct rb_node copy = *successor;

	replace(tree, node, successor);
	successor->is_red = node->is_red;
	successor->child[0] = node->child[0];
	successor->child[0]->parent = successor;
	if (copy.parent == node) {
		successor->child[1] = node;
		node->parent = successor;
	} else {
		successor->child[1] = node->child[1];
		successor->child[1]->parent = successor;
		copy.parent->child[0] = node;
		node->parent = copy.parent;
	}
	node->is_red = copy.is_red;
	node->child[0] = NULL;
	node->child[1] = copy.child[1];
	if (node->child[1])
		node->child[1]->parent = node;
}

void rb_unlink(struct rb_tree *tree, struct rb_node *node, rb_recompute *recompute)
{
	struct rb_node *parent, *child, *traded = NULL;
	unsigned side;

	if (node->child[0] && node->child[1]) {
		traded = rb_outermost(node->child[1], 0);
		trade(tree, node, traded);
	}
	parent = node->parent;
	side = parent ? side_of(node) : 0;
	child = node->child[0] ? node->child[0] : node->child[1];
	replace(tree, node, child);
	rb_repair(parent, recompute);
	if (traded)
		rb_repair(traded, recompute);
	if (child)
		child->is_red = 0;
	else if (!node->is_red)
		balance_lack(tree, parent, side, recompute);
}

struct rb_node *rb_outermost(struct rb_node *node, unsigned side)
{
	while (node->child[side])
		node = node->child[side];
	return node;
}

struct rb_node *rb_neighbour(const struct rb_node *node, unsigned side)
{
	if (node->child[side])
		return rb_outermost(node->child[side], !side);
	while (node->parent && node->parent->child[side] == node)
		node = node->parent;
	return node->parent;
}

/* => blacks on each path, or -1. Recursion: at most the height, twice log2(n). */
static int check_below(const struct rb_node *node)
{
	int lower, higher;

	if (!node)
		return 0;
	for (unsigned side = 0; side < 2; side++)
		if (node->child[side] && (node->child[side]->parent != node ||
					  (node->is_red && node->child[side]->is_red)))
			return -1;
	lower = check_below(node->child[0]);
	higher = check_below(node->child[1]);
	if (lower < 0 || lower != higher)
		return -1;
	return lower + !node->is_red;
}

const char *rb_check(const struct rb_tree *tree)
{
	return check_below(tree->root) < 0 ? "not a red-black tree" : NULL;
}

void *rb_create(uint64_t first, uint64_t end)
{
	struct rb_tree *tree = calloc(1, sizeof *tree);

	if (!tree)
		abort();
	tree->first = first;
	tree->end = end;
	tree->random = 88172645463325252u;
	return tree;
}

void rb_destroy(void *tree)
{
	free(tree);
}

/* The way of Linux's find_vma: the lowest that ends above, then whether it begins below. */
void *rb_lookup(void *memory, uint64_t page)
{
	struct rb_node *node = ((struct rb_tree *)memory)->root;

	while (node) {
		struct rb_item *item = rb_item_of(node);

		if (item->end > page) {
			if (item->first <= page)
				return item;
			node = node->child[0];
		} else {
			node = node->child[1];
		}
	}
	return NULL;
}

void rb_range(const void *memory, uint64_t *first, uint64_t *pages)
{
	const struct rb_item *item = memory;

	*first = item->first;
	*pages = item->end - item->first;
}

uint64_t rb_touch(const void *item)
{
	return ((const struct rb_item *)item)->flags;
}
