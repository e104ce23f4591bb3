/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nodes that are full are split; nodes that have too few children borrow from a neighbour or
 * merge with it; and each keeps a host below itself. tree.c's head comment says what a host is.
 *
 * A new node needs a block that is not in use, and there always is one below it. Let m be the least
 * fill (3). Below a node of level k lie at least m^(k+1) regions and at most half as many nodes;
 * other nodes hosted there are above it, on one path to the root. If those have taken all that
 * would be free (a leaf of three whose regions host it and two levels above it), one of them
 * moves: it has more regions to choose from. This ends at the latest at the root, for which all
 * regions count, and which has nobody above it. In practice the region that comes is the host.
 * (An open leaf may have one region less; but it is closed before any node is split or made.)
 */
#include "region/tree.h"

/* The children of two neighbours while they are dealt out anew. */
struct deal {
	uint64_t key[2 * LH_WAYS];
	lh_region *child[2 * LH_WAYS];
	uint16_t gap[2 * LH_WAYS];
	unsigned count;
};

/* Children first to end of a deal. */
struct hand {
	const struct deal *deal;
	unsigned first, end;
};

void lh_node_insert(lh_region *host, const struct lh_addition *addition)
{
	unsigned slot = addition->slot, child_slot = addition->child_slot;
	lh_region_node *node = &host->node;

	lh_node_open(node, slot);
	if (child_slot == slot) {
		LH_PUBLISH(node->child[slot + 1], node->child[slot]);
		node->gap[slot + 1] = node->gap[slot];
	}
	LH_PUBLISH(node->key[slot + 1], addition->key);
	LH_PUBLISH(node->child[child_slot], addition->child);
	node->gap[child_slot] = addition->gap;
	lh_child_adopt(host, addition->child);
}

/* --- deals --- */

/* Adds a node's children to the deal. */
static void pick_up(struct deal *deal, const lh_region_node *node)
{
	unsigned at = deal->count, count = node->count;

	for (unsigned i = 0; i < count; i++) {
		deal->key[at + i] = node->key[i];
		deal->child[at + i] = node->child[i];
		deal->gap[at + i] = node->gap[i];
	}
	deal->count = at + count;
}

/* A node's rooms are what its children say. */
static struct lh_rooms set_rooms(const lh_region_tree *tree, lh_region_node *node)
{
	struct lh_rooms rooms = lh_node_rooms(tree, node);

	__builtin_memcpy(node->room, rooms.of, sizeof rooms.of);
	return rooms;
}

static void adopt_all(lh_region *host)
{
	unsigned count = host->node.count;

	if (host->node.level == 0) {
		for (unsigned i = 0; i < count; i++)
			host->node.child[i]->leaf = host;
		return;
	}
	for (unsigned i = 0; i < count; i++)
		lh_child_adopt(host, host->node.child[i]);
}

/* Makes a node of the hand in a host's block. What is above it is the caller's to say. */
static struct lh_rooms lay_down(const lh_region_tree *tree, struct hand hand, lh_region *host,
				unsigned level)
{
	lh_region_node *node = &host->node;
	unsigned count = hand.end - hand.first;

	for (unsigned i = 0; i < count; i++) {
		LH_PUBLISH(node->key[i], hand.deal->key[hand.first + i]);
		LH_PUBLISH(node->child[i], hand.deal->child[hand.first + i]);
		node->gap[i] = hand.deal->gap[hand.first + i];
	}
	for (unsigned i = count; i < LH_WAYS; i++)
		lh_node_clear(node, i);
	LH_PUBLISH(node->level, (uint8_t)level);
	LH_PUBLISH(node->count, (uint8_t)count);
	adopt_all(host);
	return set_rooms(tree, node);
}

/* A reader that takes the block for a node of its own way still is led nowhere: not to who left before he came. */
static void release(lh_region *host)
{
#pragma GCC unroll 8
	for (unsigned i = 0; i < LH_WAYS; i++)
		LH_PUBLISH(host->node.child[i], NULL);
	LH_PUBLISH(host->node.count, 0);
}

/* --- hosts --- */

void lh_leaf_fetch_hosts(const lh_region_tree *tree, const lh_region_node *leaf)
{
	if (lh_region_tree_is_near(tree))
		return;
	for (unsigned i = 0; i < leaf->count; i++) {
		__builtin_prefetch(&leaf->child[i]->node.count);
		__builtin_prefetch(&leaf->child[i]->leaf, 1);
	}
}

/*
 * A region at or below the children whose block is not in use, or, with above_level, is in use for
 * a node above that level. Recursion: one call a level.
 */
static lh_region *search_host(lh_region *const *children, unsigned count, unsigned level,
			      unsigned above_level)
{
	for (unsigned i = 0; i < count; i++) {
		lh_region *found = children[i];

		if (level > 0)
			found = search_host(found->node.child, found->node.count, level - 1,
					    above_level);
		else if (found->node.count != 0 && found->node.level <= above_level)
			found = NULL;
		if (found)
			return found;
	}
	return NULL;
}

static lh_region *find_host(lh_region_tree *tree, lh_region_cursor *path, lh_region *const *children,
			    unsigned count, unsigned level);

static void copy_node(lh_region_node *to, const lh_region_node *from)
{
#pragma GCC unroll 8
	for (unsigned i = 0; i < LH_WAYS; i++) {
		LH_PUBLISH(to->key[i], from->key[i]);
		LH_PUBLISH(to->child[i], from->child[i]);
	}
	__builtin_memcpy(to->gap, from->gap, sizeof to->gap);
	__builtin_memcpy(to->room, from->room, sizeof to->room);
	LH_PUBLISH(to->level, from->level);
	LH_PUBLISH(to->count, from->count);
	to->above = from->above;
}

/* A node of the path moves to another block; what names it follows. */
static void move_node(lh_region_tree *tree, lh_region_cursor *path, unsigned level, lh_region *to)
{
	lh_region *from = path->host[level];

	copy_node(&to->node, &from->node);
	adopt_all(to);
	if (tree->behind == from)
		tree->behind = to;
	if (level + 1 == tree->levels) {
		LH_PUBLISH(tree->root, to);
	} else {
		lh_path_climb(path, level + 1);
		LH_PUBLISH(lh_path_node(path, level + 1)->child[path->slot[level + 1]], to);
		to->node.slot_above = path->slot[level + 1];
	}
	path->host[level] = to;
	release(from);
}

/* Moves a node of the path to where it finds a host. Recursion: at most one call a level. */
static void rehost(lh_region_tree *tree, lh_region_cursor *path, unsigned level)
{
	const lh_region_node *node;

	lh_path_climb(path, level);
	node = lh_path_node(path, level);
	move_node(tree, path, level, find_host(tree, path, node->child, node->count, level));
}

/* A block for a node that has these children. The path leads through it, or to where it will be. */
static lh_region *find_host(lh_region_tree *tree, lh_region_cursor *path, lh_region *const *children,
			    unsigned count, unsigned level)
{
	lh_region *host = search_host(children, count, level, UINT8_MAX);

	if (host)
		return host;
	host = search_host(children, count, level, level);
	rehost(tree, path, host->node.level);
	return host;
}

void lh_path_rehost(lh_region_tree *tree, lh_region_cursor *path, lh_region *region)
{
	rehost(tree, path, region->node.level);
}

/* True if a region lies below a key: in the lower of the two nodes that it separates. */
static bool is_below(const lh_region_tree *tree, const lh_region *region, uint64_t key)
{
	return region != &tree->tail && lh_span_of(region->range).first < key;
}

/* --- too many --- */

/* A node gets the children first to end of one that is full, which may be itself, and no others. */
static void take_children(lh_region *host, const lh_region_node *from, unsigned first, unsigned end)
{
	lh_region_node *to = &host->node;
	unsigned count = end - first;

	for (unsigned i = 0; i < count; i++) {
		LH_PUBLISH(to->key[i], from->key[first + i]);
		LH_PUBLISH(to->child[i], from->child[first + i]);
		to->gap[i] = from->gap[first + i];
	}
	for (unsigned i = count; i < LH_WAYS; i++)
		lh_node_clear(to, i);
	LH_PUBLISH(to->level, from->level);
	LH_PUBLISH(to->count, (uint8_t)count);
	if (to != from)
		adopt_all(host);
}

/* The node keeps its first children. */
static void drop_children(lh_region_node *node, unsigned count)
{
	for (unsigned i = count; i < LH_WAYS; i++)
		lh_node_clear(node, i);
	LH_PUBLISH(node->count, (uint8_t)count);
}

/* Where a full node is cut, which is to get an addition. */
struct cut {
	unsigned first;	      /* child of the upper one */
	bool addition_is_low; /* it goes to the lower one, else to the upper one */
};

/* Whoever adds at an end will do so again: there the nodes left behind are full. Else both get half; and
 * an addition comes with the child whose part it takes a piece of. */
static struct cut where_to_cut(const struct lh_addition *addition)
{
	_Static_assert(LH_FILL_MIN >= 3, "an addition at the end divides one of the last two");
	if (addition->child_slot >= LH_WAYS - 1)
		return (struct cut){ LH_WAYS + 1 - LH_FILL_MIN, false };
	if (addition->child_slot == 0)
		return (struct cut){ LH_FILL_MIN - 1, true };
	return (struct cut){ LH_WAYS / 2 + (addition->slot > LH_WAYS / 2),
			     addition->slot < LH_WAYS / 2 };
}

static void add_root(lh_region_tree *tree, lh_region *lower, const struct lh_addition *upper,
		     lh_region *fresh)
{
	struct deal deal = {
		.key = { lower->node.key[0], upper->key },
		.child = { lower, upper->child },
		.gap = { (uint16_t)lh_gap_code(lower->node.room[0]), upper->gap },
		.count = 2,
	};
	lh_region *host = fresh;

	if (host->node.count != 0)
		host = search_host(deal.child, 2, tree->levels, UINT8_MAX);
	(void)lay_down(tree, (struct hand){ &deal, 0, 2 }, host, tree->levels);
	host->node.above = NULL;
	LH_PUBLISH(tree->root, host);
	tree->levels++;
}

/* A block for one half of the node of the path at a level, below a key or from it on; fresh if it can be. */
static lh_region *host_of_half(lh_region_tree *tree, lh_region_cursor *path, unsigned level,
			       unsigned first, bool is_upper, lh_region *fresh)
{
	lh_region_node *node = lh_path_node(path, level);

	if (fresh->node.count == 0 && is_below(tree, fresh, node->key[first]) != is_upper)
		return fresh;
	if (is_upper)
		return find_host(tree, path, &node->child[first], LH_WAYS - first, level);
	return find_host(tree, path, node->child, first, level);
}

/*
 * Splits the full node of the path at a level. *addition: what it shall get, then what the node
 * above shall. => after: its rooms as they are then.
 */
static lh_region *split(lh_region_tree *tree, lh_region_cursor *path, unsigned level,
			struct lh_addition *addition, lh_region *fresh, struct lh_rooms *after)
{
	struct cut cut = where_to_cut(addition);
	lh_region *host = path->host[level], *lower = host, *upper = host, *other;
	uint64_t key = host->node.key[cut.first];
	bool host_is_below = is_below(tree, host, key);
	struct lh_rooms upper_rooms;

	other = host_of_half(tree, path, level, cut.first, host_is_below, fresh);
	if (host_is_below) {
		upper = other;
		take_children(upper, &host->node, cut.first, LH_WAYS);
		drop_children(&host->node, cut.first);
	} else {
		lower = other;
		take_children(lower, &host->node, 0, cut.first);
		take_children(host, &host->node, cut.first, LH_WAYS);
	}
	if (!cut.addition_is_low) {
		addition->slot = (uint8_t)(addition->slot - cut.first);
		addition->child_slot = (uint8_t)(addition->child_slot - cut.first);
	}
	lh_node_insert(cut.addition_is_low ? lower : upper, addition);
	upper_rooms = set_rooms(tree, &upper->node);
	*after = lh_rooms_larger(set_rooms(tree, &lower->node), upper_rooms);
	*addition = (struct lh_addition){
		.key = key,
		.child = upper,
		.gap = (uint16_t)lh_gap_code(upper_rooms.of[0]),
	};
	return lower;
}

/* --- two neighbours --- */

static lh_region *host_of_hand(lh_region_tree *tree, lh_region_cursor *path, struct hand hand,
			       unsigned level)
{
	return find_host(tree, path, &hand.deal->child[hand.first], hand.end - hand.first, level);
}

/* The hand's host, if that lies on its side of the key; else another, and that one is let go. */
static lh_region *keep_host(lh_region_tree *tree, lh_region_cursor *path, struct hand hand,
			    lh_region *host, unsigned level, bool is_right)
{
	if (is_right)
		return host;
	release(host);
	return host_of_hand(tree, path, hand, level);
}

/* Deals the children of two neighbours out evenly. Slot: that of the lower one, in the node above. */
static void even_out(lh_region_tree *tree, lh_region_cursor *path, unsigned level,
		     const struct deal *deal, unsigned slot)
{
	lh_region_node *above = lh_path_node(path, level + 1);
	unsigned cut = deal->count / 2;
	struct hand lower = { deal, 0, cut }, upper = { deal, cut, deal->count };
	lh_region *hosts[2] = { above->child[slot], above->child[slot + 1] };
	uint64_t key = deal->key[cut];
	unsigned gaps[2];

	hosts[0] = keep_host(tree, path, lower, hosts[0], level, is_below(tree, hosts[0], key));
	gaps[0] = lh_gap_code(lay_down(tree, lower, hosts[0], level).of[0]);
	hosts[1] = keep_host(tree, path, upper, hosts[1], level, !is_below(tree, hosts[1], key));
	gaps[1] = lh_gap_code(lay_down(tree, upper, hosts[1], level).of[0]);
	above = lh_path_node(path, level + 1); /* it may have moved */
	above->gap[slot] = (uint16_t)gaps[0];
	above->gap[slot + 1] = (uint16_t)gaps[1];
	LH_PUBLISH(above->key[slot + 1], key);
	for (unsigned i = 0; i < 2; i++) {
		LH_PUBLISH(above->child[slot + i], hosts[i]);
		lh_child_adopt(path->host[level + 1], hosts[i]);
	}
}

/* As lh_node_insert. */
static void pick_up_addition(struct deal *deal, const struct lh_addition *addition, unsigned slot)
{
	unsigned child_slot = slot + addition->child_slot - addition->slot;

	for (unsigned i = deal->count; i > slot; i--) {
		deal->key[i] = deal->key[i - 1];
		deal->child[i] = deal->child[i - 1];
		deal->gap[i] = deal->gap[i - 1];
	}
	deal->key[slot + 1] = addition->key;
	deal->child[child_slot] = addition->child;
	deal->gap[child_slot] = addition->gap;
	deal->count++;
}

static bool has_space(const lh_region *host)
{
	return host->node.count <= LH_WAYS - 2;
}

/*
 * Instead of splitting a full node that is to get an addition: deals that and its children out between it
 * and a neighbour that has space. So nodes above the leaves, of which each saved one saves a level of
 * a path now and then, are fuller; in leaves it would be done too often for what it brings.
 * => false: neither neighbour has space.
 */
static bool share(lh_region_tree *tree, lh_region_cursor *path, unsigned level,
		  const struct lh_addition *addition)
{
	const lh_region_node *above;
	unsigned slot, lower;
	struct deal deal;

	lh_path_climb(path, level + 1);
	above = lh_path_node(path, level + 1);
	slot = lower = path->slot[level + 1];
	if (slot + 1u == above->count || !has_space(above->child[slot + 1])) {
		if (slot == 0 || !has_space(above->child[slot - 1]))
			return false;
		lower--;
	}
	deal.count = 0;
	pick_up(&deal, &above->child[lower]->node);
	slot = addition->slot + (lower != slot ? deal.count : 0);
	pick_up(&deal, &above->child[lower + 1]->node);
	pick_up_addition(&deal, addition, slot);
	even_out(tree, path, level, &deal, lower);
	return true;
}

void lh_path_split(lh_region_tree *tree, lh_region_cursor *path, struct lh_addition *addition,
		   lh_region *fresh)
{
	struct lh_rooms before, after;
	lh_region_node *above;
	unsigned level = 0;

	lh_leaf_fetch_hosts(tree, lh_path_node(path, 0));
	lh_region_settle(tree);
	do {
		lh_region *lower;

		__builtin_memcpy(before.of, lh_path_node(path, level)->room, sizeof before.of);
		lower = split(tree, path, level, addition, fresh, &after);
		if (++level == tree->levels) {
			add_root(tree, lower, addition, fresh);
			return;
		}
		lh_path_climb(path, level);
		above = lh_path_node(path, level);
		addition->slot = path->slot[level];
		addition->child_slot = (uint8_t)(addition->slot + 1);
		LH_PUBLISH(above->child[addition->slot], lower);
		lh_child_adopt(path->host[level], lower);
		above->gap[addition->slot] = (uint16_t)lh_gap_code(lower->node.room[0]);
		if (above->count == LH_WAYS && level + 1 < tree->levels &&
		    share(tree, path, level, addition)) {
			lh_node_refresh(tree, path->host[level + 1], before, after);
			return;
		}
	} while (above->count == LH_WAYS);
	lh_node_insert(path->host[level], addition);
	lh_node_refresh(tree, path->host[level], before, after);
}

/* --- too few --- */

static void join(lh_region_tree *tree, lh_region_cursor *path, unsigned level,
		 const struct deal *deal, unsigned slot)
{
	lh_region_node *above = lh_path_node(path, level + 1);
	struct hand all = { deal, 0, deal->count };

	release(above->child[slot + 1]);
	above->gap[slot] = (uint16_t)lh_gap_code(
		lay_down(tree, all, above->child[slot], level).of[0]);
	lh_node_shut(above, slot);
}

/* The holes below the node above stay as they are, and so do its rooms. */
static void mend_level(lh_region_tree *tree, lh_region_cursor *path, unsigned level)
{
	const lh_region_node *above;
	unsigned slot;
	struct deal deal;

	lh_path_climb(path, level + 1);
	above = lh_path_node(path, level + 1);
	slot = path->slot[level + 1];
	if (slot + 1u == above->count)
		slot--;
	deal.count = 0;
	pick_up(&deal, &above->child[slot]->node);
	pick_up(&deal, &above->child[slot + 1]->node);
	if (deal.count > LH_WAYS)
		even_out(tree, path, level, &deal, slot);
	else
		join(tree, path, level, &deal, slot);
}

/* A root with one child gives way to it. */
static void lower_root(lh_region_tree *tree)
{
	lh_region *root = tree->root;

	if (root->node.count > 1)
		return;
	LH_PUBLISH(tree->root, root->node.child[0]);
	tree->root->node.above = NULL;
	tree->levels--;
	release(root);
}

void lh_path_mend(lh_region_tree *tree, lh_region_cursor *path)
{
	unsigned level = 0;

	lh_region_settle(tree);
	while (lh_node_is_poor(tree, path, level))
		mend_level(tree, path, level++);
	lower_root(tree);
}
