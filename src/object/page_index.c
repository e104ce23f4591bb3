/* SPDX-License-Identifier: BSD-2-Clause */
#include "object/page_index.h"

#include "base/assert.h"
#include "base/memory.h"

static lh_index_node *child_of(const lh_index_node *node, unsigned slot)
{
	return (lh_index_node *)(uintptr_t)node->slots[slot];
}

/* The slot of a page in a node whose subtree is `height` nodes high. */
static unsigned slot_of(uint64_t page, unsigned height)
{
	return (unsigned)(page >> (LH_INDEX_BITS * (height - 1))) & (LH_INDEX_SLOTS - 1);
}

/* Nodes a path needs to reach a page. */
static unsigned height_for(uint64_t page)
{
	unsigned height = 1;

	while (height < LH_INDEX_HEIGHT_MAX && page >> (LH_INDEX_BITS * height) != 0)
		height++;
	return height;
}

static bool is_beyond(const lh_page_index *index, uint64_t page)
{
	return index->height == 0 || page > LH_INDEX_PAGE_MAX || height_for(page) > index->height;
}

void lh_page_index_init(lh_page_index *index, lh_pool *nodes)
{
	index->nodes = nodes;
	index->root = NULL;
	index->height = 0;
	index->pages = 0;
}

uint64_t lh_page_index_get(const lh_page_index *index, uint64_t page)
{
	const lh_index_node *node = index->root;

	if (is_beyond(index, page))
		return 0;
	for (unsigned height = index->height; height > 1 && node; height--)
		node = child_of(node, slot_of(page, height));
	return node ? node->slots[slot_of(page, 1)] : 0;
}

/* What one ensure may take at the most: a whole path, and roots above the old root. */
struct spare_nodes {
	lh_index_node *node[2 * LH_INDEX_HEIGHT_MAX];
	unsigned count;
};

static lh_error take_spares(lh_pool *pool, unsigned count, struct spare_nodes *spares)
{
	for (spares->count = 0; spares->count < count; spares->count++) {
		void *item;
		lh_error error = lh_pool_take(pool, &item);

		if (error != LH_OK) {
			while (spares->count > 0)
				lh_pool_give_back(pool, spares->node[--spares->count]);
			return error;
		}
		memset(item, 0, sizeof(lh_index_node));
		spares->node[spares->count] = item;
	}
	return LH_OK;
}

/* Nodes that are missing on the way to a page, roots above included. */
static unsigned missing_nodes(const lh_page_index *index, uint64_t page)
{
	const lh_index_node *node = index->root;
	unsigned height = index->height;

	if (is_beyond(index, page)) {
		unsigned wanted = height_for(page);

		if (height == 0)
			return wanted;
		/* New roots, and a new path below the topmost of them. */
		return (wanted - height) + (wanted - 1);
	}
	for (; height > 1; height--) {
		node = child_of(node, slot_of(page, height));
		if (!node)
			return height - 1;
	}
	return 0;
}

static void set_child(lh_index_node *node, unsigned slot, lh_index_node *child)
{
	node->slots[slot] = (uint64_t)(uintptr_t)child;
	node->used++;
}

static void raise_root(lh_page_index *index, unsigned wanted, struct spare_nodes *spares)
{
	if (index->height == 0) {
		index->root = spares->node[--spares->count];
		index->height = wanted;
	}
	for (; index->height < wanted; index->height++) {
		lh_index_node *root = spares->node[--spares->count];

		set_child(root, 0, index->root);
		index->root = root;
	}
}

lh_error lh_page_index_ensure(lh_page_index *index, uint64_t page)
{
	struct spare_nodes spares;
	lh_index_node *node;

	if (page > LH_INDEX_PAGE_MAX)
		return LH_INVALID;
	LH_TRY(take_spares(index->nodes, missing_nodes(index, page), &spares));
	if (is_beyond(index, page))
		raise_root(index, height_for(page), &spares);
	node = index->root;
	for (unsigned height = index->height; height > 1; height--) {
		unsigned slot = slot_of(page, height);

		if (!child_of(node, slot))
			set_child(node, slot, spares.node[--spares.count]);
		node = child_of(node, slot);
	}
	while (spares.count > 0)
		lh_pool_give_back(index->nodes, spares.node[--spares.count]);
	return LH_OK;
}

/* Frees the nodes of a path that became empty, from the lowest up. */
static void prune(lh_page_index *index, lh_index_node **path, uint64_t page)
{
	unsigned height = 1;

	while (height < index->height && path[height]->used == 0) {
		lh_index_node *above = path[height + 1];

		above->slots[slot_of(page, height + 1)] = 0;
		above->used--;
		lh_pool_give_back(index->nodes, path[height]);
		height++;
	}
	if (index->root->used == 0) {
		lh_pool_give_back(index->nodes, index->root);
		index->root = NULL;
		index->height = 0;
	}
}

void lh_page_index_set(lh_page_index *index, uint64_t page, uint64_t word)
{
	lh_index_node *path[LH_INDEX_HEIGHT_MAX + 1];
	lh_index_node *node = index->root;
	uint64_t *slot;

	for (unsigned height = index->height; height > 1; height--) {
		path[height] = node;
		node = child_of(node, slot_of(page, height));
	}
	path[1] = node;
	slot = &node->slots[slot_of(page, 1)];
	if (*slot == 0 && word != 0) {
		node->used++;
		index->pages++;
	} else if (*slot != 0 && word == 0) {
		node->used--;
		index->pages--;
	}
	*slot = word;
	if (word == 0)
		prune(index, path, page);
}

uint64_t lh_page_index_next(const lh_page_index *index, uint64_t *page)
{
	uint64_t at = *page;

	while (!is_beyond(index, at)) {
		const lh_index_node *node = index->root;
		unsigned height = index->height;

		while (height > 1 && child_of(node, slot_of(at, height))) {
			node = child_of(node, slot_of(at, height));
			height--;
		}
		if (height == 1 && node->slots[slot_of(at, 1)] != 0) {
			*page = at;
			return node->slots[slot_of(at, 1)];
		}
		/* On to the first page of the next slot at this height. */
		at = ((at >> (LH_INDEX_BITS * (height - 1))) + 1) << (LH_INDEX_BITS * (height - 1));
	}
	return 0;
}

/* One node at a time, by page number: no recursion, and no more than the tree's nodes. */
static const char *check_node(const lh_index_node *node)
{
	uint32_t used = 0;

	for (unsigned slot = 0; slot < LH_INDEX_SLOTS; slot++)
		used += node->slots[slot] != 0;
	if (used == 0)
		return "an index node is empty";
	return used == node->used ? NULL : "an index node miscounts its slots";
}

static const char *check_path(const lh_page_index *index, uint64_t page)
{
	const lh_index_node *node = index->root;

	for (unsigned height = index->height; height >= 1; height--) {
		const char *finding = check_node(node);

		if (finding)
			return finding;
		if (height > 1)
			node = child_of(node, slot_of(page, height));
	}
	return NULL;
}

const char *lh_page_index_check(const lh_page_index *index)
{
	uint64_t pages = 0;

	if ((index->height == 0) != (index->root == NULL))
		return "an index has a root without height, or the reverse";
	if (index->root && check_node(index->root))
		return check_node(index->root);
	for (uint64_t page = 0; lh_page_index_next(index, &page) != 0; page++, pages++) {
		const char *finding = check_path(index, page);

		if (finding)
			return finding;
	}
	return pages == index->pages ? NULL : "an index miscounts its pages";
}
