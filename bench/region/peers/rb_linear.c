/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Peer rb-linear: what SerenityOS has. A red-black tree of regions with no more than their
 * addresses; a hole is found by walking the regions in order from the lowest; a random place by
 * at most 1000 tries at random addresses.
 */
#include "rb.h"

static bool recompute(struct rb_node *node)
{
	(void)node;
	return false;
}

/* Links it where it belongs; => false: overlaps one that is there. */
static bool link_item(struct rb_tree *tree, struct rb_item *item)
{
	struct rb_node *parent = NULL, *node = tree->root;
	unsigned side = 0;

	while (node) {
		struct rb_item *other = rb_item_of(node);

		if (item->first < other->end && other->first < item->end)
			return false;
		parent = node;
		side = item->first > other->first;
		node = node->child[side];
	}
	rb_link(tree, &item->node, parent, side, recompute);
	return true;
}

static bool place_fixed(void *memory, void *new, uint64_t first, uint64_t pages)
{
	struct rb_tree *tree = memory;
	struct rb_item *item = new;

	if (first < tree->first || first + pages > tree->end)
		return false;
	item->first = first;
	item->end = first + pages;
	return link_item(tree, item);
}

static bool place_lowest(void *memory, void *item, uint64_t pages)
{
	struct rb_tree *tree = memory;
	struct rb_node *node = tree->root ? rb_outermost(tree->root, 0) : NULL;
	uint64_t first = tree->first;

	for (; node && rb_item_of(node)->first - first < pages; node = rb_neighbour(node, 1))
		first = rb_item_of(node)->end;
	return place_fixed(tree, item, first, pages);
}

static bool place_randomly(void *memory, void *item, uint64_t pages)
{
	struct rb_tree *tree = memory;

	for (unsigned tries = 0; tries < 1000; tries++) {
		uint64_t slots = tree->end - tree->first - pages + 1;
		uint64_t first = tree->first + subject_random(&tree->random) % slots;

		if (place_fixed(tree, item, first, pages))
			return true;
	}
	return place_lowest(tree, item, pages);
}

static void remove_item(void *memory, void *old)
{
	rb_unlink(memory, &((struct rb_item *)old)->node, recompute);
}

static void punch(void *memory, void *old, uint64_t from, uint64_t to, void *new)
{
	struct rb_item *item = old, *spare = new;

	SUBJECT_COPY_PAYLOAD(spare, item);
	spare->first = to;
	spare->end = item->end;
	item->end = from;
	(void)link_item(memory, spare);
}

static uint64_t walk(void *memory)
{
	struct rb_tree *tree = memory;
	struct rb_node *node = tree->root ? rb_outermost(tree->root, 0) : NULL;
	uint64_t sum = 0;

	for (; node; node = rb_neighbour(node, 1))
		sum = subject_mix(sum, rb_item_of(node)->first);
	return sum;
}

static const char *check(void *tree)
{
	return rb_check(tree);
}

const struct subject subject_rb_linear = {
	.name = "rb-linear",
	.item_bytes = sizeof(struct rb_item),
	.index_bytes = sizeof(struct rb_node),
	.places_linearly = true,
	.create = rb_create,
	.destroy = rb_destroy,
	.lookup = rb_lookup,
	.place_lowest = place_lowest,
	.place_fixed = place_fixed,
	.place_randomly = place_randomly,
	.remove = remove_item,
	.punch = punch,
	.walk = walk,
	.range = rb_range,
	.touch = rb_touch,
	.check = check,
};
