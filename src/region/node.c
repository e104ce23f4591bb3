/* SPDX-License-Identifier: BSD-2-Clause */
/* Nodes and paths: finding the way, holes and rooms, and what follows when they change. */
#include "region/tree.h"

void lh_path_descend(lh_region_cursor *path, unsigned level, bool to_last)
{
	for (; level > 0; level--) {
		const lh_region_node *node = lh_path_node(path, level);
		lh_region *host = node->child[path->slot[level]];

		path->host[level - 1] = host;
		path->slot[level - 1] = (uint8_t)(to_last ? host->node.count - 1 : 0);
	}
}

void lh_path_find(lh_region_cursor *path, const lh_region_tree *tree, uint64_t page)
{
	lh_region *host = tree->root;
	unsigned level = tree->levels;

	path->tree = tree;
	do {
		const lh_region_node *node = &host->node;
		unsigned slot;

		/* The lines that are wanted next come at the same time. */
		__builtin_prefetch(&node->child[1]);
		__builtin_prefetch(&node->gap[4]);
		slot = lh_node_rank(node, page);
		level--;
		path->host[level] = host;
		path->slot[level] = (uint8_t)slot;
		host = node->child[slot];
	} while (level > 0);
}

bool lh_path_step(lh_region_cursor *path, bool is_up)
{
	unsigned level = 0;

	for (;; level++) {
		if (level == path->tree->levels)
			return false;
		if (is_up ? path->slot[level] + 1 < lh_path_node(path, level)->count
			  : path->slot[level] > 0)
			break;
	}
	path->slot[level] = (uint8_t)(is_up ? path->slot[level] + 1 : path->slot[level] - 1);
	lh_path_descend(path, level, !is_up);
	return true;
}

static uint64_t larger_guard(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

struct lh_page_span lh_region_room(const lh_region_tree *tree, const lh_region *below,
				   const lh_region *above, uint32_t guard_before,
				   uint32_t guard_after)
{
	struct lh_page_span room = lh_span_of(tree->total);

	if (below)
		room.first = lh_span_of(below->range).end +
			     larger_guard(below->guard_after, guard_before);
	if (above) {
		uint64_t first = lh_span_of(above->range).first;
		uint64_t guard = larger_guard(above->guard_before, guard_after);

		room.end = first > guard ? first - guard : 0;
	}
	return room;
}

struct lh_page_span lh_path_room(const lh_region_tree *tree, const lh_region_cursor *path,
				 uint32_t guard_before, uint32_t guard_after)
{
	const lh_region *above = lh_path_region(path);
	lh_region_cursor below;

	if ((guard_before | guard_after) == 0)
		return lh_path_hole(tree, path);
	lh_path_copy(&below, path);
	return lh_region_room(tree, lh_path_step(&below, false) ? lh_path_region(&below) : NULL,
			      above != &tree->tail ? above : NULL, guard_before, guard_after);
}

/* --- rooms --- */

static unsigned larger(unsigned a, unsigned b)
{
	return a > b ? a : b;
}

static inline unsigned largest_gap(const lh_region_node *node)
{
	const uint16_t *gap = node->gap;
	unsigned lower = larger(larger(gap[0], gap[1]), larger(gap[2], gap[3]));
	unsigned upper = larger(larger(gap[4], gap[5]), larger(gap[6], gap[7]));

	_Static_assert(LH_WAYS == 8, "all gaps are looked at");
	LH_OPAQUE(lower);
	return larger(lower, upper);
}

/* Adds a hole to the rooms; at page alignment the gaps have told already, where they are exact. */
static inline void add_hole(struct lh_rooms *rooms, struct lh_page_span hole)
{
	if (!lh_hole_is_small(hole))
		*rooms = lh_rooms_larger(*rooms, lh_hole_rooms(hole));
}

static struct lh_rooms leaf_rooms(const lh_region_tree *tree, const lh_region_node *leaf)
{
	unsigned gap = largest_gap(leaf), count = leaf->count;
	struct lh_rooms rooms = { { gap < LH_GAP_EXACT ? gap : 0, 0, 0 } };
	struct lh_page_span part = { leaf->key[0], lh_leaf_hole(tree, leaf, count - 1).end };

	if (lh_hole_is_small(part)) /* so are all holes in it */
		return rooms;
	for (unsigned slot = 0; slot < count; slot++)
		add_hole(&rooms, lh_leaf_hole(tree, leaf, slot));
	return rooms;
}

static struct lh_rooms inner_rooms(const lh_region_node *node)
{
	struct lh_rooms rooms = { { 0, 0, 0 } };

	for (unsigned slot = 0; slot < node->count; slot++) {
		struct lh_rooms child;

		__builtin_memcpy(child.of, node->child[slot]->node.room, sizeof child.of);
		rooms = lh_rooms_larger(rooms, child);
	}
	return rooms;
}

struct lh_rooms lh_node_rooms(const lh_region_tree *tree, const lh_region_node *node)
{
	return node->level == 0 ? leaf_rooms(tree, node) : inner_rooms(node);
}

/* A node's room is also the gap of its child above. => false: it has none above. */
static bool tell_above(const lh_region_tree *tree, lh_region_cursor *path, unsigned level,
		       uint32_t room)
{
	if (level + 1 == tree->levels)
		return false;
	lh_path_node(path, level + 1)->gap[path->slot[level + 1]] = (uint16_t)lh_gap_code(room);
	return true;
}

static uint32_t room_of_pages(const lh_region_tree *tree, const lh_region_node *node)
{
	unsigned gap = largest_gap(node);

	if (gap < LH_GAP_EXACT)
		return gap;
	return lh_node_rooms(tree, node).of[0];
}

void lh_path_raise(const lh_region_tree *tree, lh_region_cursor *path, unsigned level, uint32_t room)
{
	for (;; level++) {
		lh_region_node *node = lh_path_node(path, level);

		if (room <= node->room[0])
			return;
		node->room[0] = room;
		if (!tell_above(tree, path, level, room))
			return;
	}
}

void lh_path_lower(const lh_region_tree *tree, lh_region_cursor *path, unsigned level, uint32_t before)
{
	for (;; level++) {
		lh_region_node *node = lh_path_node(path, level);
		uint32_t was = node->room[0], now;

		if (before < was)
			return;
		now = room_of_pages(tree, node);
		if (now == was)
			return;
		node->room[0] = now;
		if (!tell_above(tree, path, level, now))
			return;
		before = was;
	}
}

/* Gives a node its rooms after those of a part of it changed, which are replaced in before and
 * after by the node's. => false: the node's are the same. */
static bool update_rooms(const lh_region_tree *tree, lh_region_cursor *path, unsigned level,
			 struct lh_rooms *before, struct lh_rooms *after)
{
	lh_region_node *node = lh_path_node(path, level);
	struct lh_rooms was, now;
	bool differs = false, is_known = true;

	__builtin_memcpy(was.of, node->room, sizeof was.of);
	for (unsigned class = 0; class < LH_REGION_CLASSES; class++)
		is_known &= after->of[class] >= was.of[class] || before->of[class] < was.of[class];
	now = is_known ? lh_rooms_larger(was, *after)
		       : lh_node_rooms(tree, node);
	for (unsigned class = 0; class < LH_REGION_CLASSES; class++)
		differs |= now.of[class] != was.of[class];
	__builtin_memcpy(node->room, now.of, sizeof now.of);
	*before = was;
	*after = now;
	return differs;
}

void lh_path_refresh_all(const lh_region_tree *tree, lh_region_cursor *path, unsigned level,
			 struct lh_rooms before, struct lh_rooms after)
{
	while (update_rooms(tree, path, level, &before, &after))
		if (!tell_above(tree, path, level++, after.of[0]))
			return;
}

void lh_path_refresh(const lh_region_tree *tree, lh_region_cursor *path, unsigned level,
		     struct lh_rooms before, struct lh_rooms after)
{
	if ((before.of[1] | after.of[1]) != 0)
		lh_path_refresh_all(tree, path, level, before, after);
	else if (after.of[0] > before.of[0])
		lh_path_raise(tree, path, level, after.of[0]);
	else
		lh_path_lower(tree, path, level, before.of[0]);
}

void lh_path_set_hole(lh_region_tree *tree, lh_region_cursor *path, struct lh_rooms before,
		      struct lh_page_span hole)
{
	lh_region_node *leaf = lh_path_node(path, 0);

	leaf->gap[path->slot[0]] = (uint16_t)lh_gap_code(lh_span_pages(hole));
	lh_path_refresh(tree, path, 0, before, lh_hole_rooms(hole));
}

/* The hole at the path's cell, below a region that does not change, begins elsewhere. */
static void begin_hole(lh_region_tree *tree, lh_region_cursor *path, uint64_t first)
{
	struct lh_page_span hole = lh_path_hole(tree, path);
	struct lh_rooms before = lh_hole_rooms(hole);

	hole.first = first;
	LH_PUBLISH(lh_path_node(path, 0)->key[path->slot[0]], first);
	lh_path_set_hole(tree, path, before, hole);
}

void lh_path_set_end(lh_region_tree *tree, lh_region_cursor *path, uint64_t end)
{
	lh_region_cursor next;
	unsigned level = 0;

	if (path->slot[0] + 1u < lh_path_node(path, 0)->count) {
		path->slot[0]++;
		begin_hole(tree, path, end);
		path->slot[0]--;
		return;
	}
	lh_path_copy(&next, path);
	while (next.slot[level] + 1u == lh_path_node(&next, level)->count)
		level++;
	next.slot[level]++;
	lh_path_descend(&next, level, false);
	for (; level > 0; level--)
		LH_PUBLISH(lh_path_node(&next, level)->key[next.slot[level]], end);
	begin_hole(tree, &next, end);
}
