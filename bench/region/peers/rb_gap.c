/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Peer rb-gap: what Linux had until 6.0. A red-black tree of regions beside a list; each node
 * caches the gap below it (its start less the end of the region before) and the largest gap of
 * its subtree. The hole above the highest region is looked at apart.
 */
#include "rb.h"

static uint64_t largest_of(const struct rb_node *node)
{
	return node ? ((const struct rb_item *)node)->gap_largest : 0;
}

static bool recompute(struct rb_node *node)
{
	struct rb_item *item = rb_item_of(node);
	uint64_t largest = item->gap, lower = largest_of(node->child[0]);
	uint64_t higher = largest_of(node->child[1]);

	if (lower > largest)
		largest = lower;
	if (higher > largest)
		largest = higher;
	if (item->gap_largest == largest)
		return false;
	item->gap_largest = largest;
	return true;
}

static uint64_t end_below(const struct rb_tree *tree, const struct rb_item *item)
{
	return item ? item->end : tree->first;
}

static void set_gap(struct rb_tree *tree, struct rb_item *item)
{
	item->gap = item->first - end_below(tree, item->previous);
}

static void link_between(struct rb_tree *tree, struct rb_item *item, struct rb_item *below,
			 struct rb_item *above)
{
	item->previous = below;
	item->next = above;
	if (below)
		below->next = item;
	else
		tree->lowest = item;
	if (above)
		above->previous = item;
	else
		tree->highest = item;
	set_gap(tree, item);
	item->gap_largest = 0;
	if (above) {
		set_gap(tree, above);
		rb_repair(&above->node, recompute);
	}
	if (above && !above->node.child[0])
		rb_link(tree, &item->node, &above->node, 0, recompute);
	else
		rb_link(tree, &item->node, below ? &below->node : NULL, 1, recompute);
}

/* The lowest hole that is large enough, by the item above it. */
static struct rb_item *lowest_gap(struct rb_tree *tree, uint64_t pages)
{
	struct rb_node *node = tree->root;

	if (largest_of(node) < pages)
		return NULL;
	for (;;) {
		if (largest_of(node->child[0]) >= pages)
			node = node->child[0];
		else if (rb_item_of(node)->gap >= pages)
			return rb_item_of(node);
		else
			node = node->child[1];
	}
}

static bool place_lowest(void *memory, void *new, uint64_t pages)
{
	struct rb_tree *tree = memory;
	struct rb_item *item = new, *above = lowest_gap(tree, pages);
	struct rb_item *below = above ? above->previous : tree->highest;
	uint64_t first = end_below(tree, below);

	if (tree->end - first < pages)
		return false;
	item->first = first;
	item->end = first + pages;
	link_between(tree, item, below, above);
	return true;
}

static bool place_fixed(void *memory, void *new, uint64_t first, uint64_t pages)
{
	struct rb_tree *tree = memory;
	struct rb_item *item = new, *above = NULL;
	struct rb_node *node = tree->root;

	while (node) {
		bool is_above = rb_item_of(node)->end > first;

		if (is_above)
			above = rb_item_of(node);
		node = node->child[!is_above];
	}
	if ((above ? above->first : tree->end) < first + pages)
		return false;
	item->first = first;
	item->end = first + pages;
	link_between(tree, item, above ? above->previous : tree->highest, above);
	return true;
}

static void remove_item(void *memory, void *old)
{
	struct rb_tree *tree = memory;
	struct rb_item *item = old, *above = item->next;

	if (item->previous)
		item->previous->next = above;
	else
		tree->lowest = above;
	if (above)
		above->previous = item->previous;
	else
		tree->highest = item->previous;
	rb_unlink(tree, &item->node, recompute);
	if (above) {
		set_gap(tree, above);
		rb_repair(&above->node, recompute);
	}
}

static void punch(void *memory, void *old, uint64_t from, uint64_t to, void *new)
{
	struct rb_item *item = old, *spare = new;

	SUBJECT_COPY_PAYLOAD(spare, item);
	spare->first = to;
	spare->end = item->end;
	item->end = from;
	link_between(memory, spare, item, item->next);
}

static uint64_t walk(void *memory)
{
	uint64_t sum = 0;

	for (const struct rb_item *i = ((struct rb_tree *)memory)->lowest; i; i = i->next)
		sum = subject_mix(sum, i->first);
	return sum;
}

static const char *check(void *memory)
{
	struct rb_tree *tree = memory;

	for (struct rb_item *i = tree->lowest; i; i = i->next) {
		if (i->gap != i->first - end_below(tree, i->previous))
			return "a gap is wrong";
		if (recompute(&i->node))
			return "a largest gap was wrong";
	}
	return rb_check(tree);
}

const struct subject subject_rb_gap = {
	.name = "rb-gap",
	.item_bytes = sizeof(struct rb_item),
	.index_bytes = sizeof(struct rb_node) + 2 * sizeof(uint64_t) + 2 * sizeof(void *),
	.create = rb_create,
	.destroy = rb_destroy,
	.lookup = rb_lookup,
	.place_lowest = place_lowest,
	.place_fixed = place_fixed,
	.remove = remove_item,
	.punch = punch,
	.walk = walk,
	.range = rb_range,
	.touch = rb_touch,
	.check = check,
};
