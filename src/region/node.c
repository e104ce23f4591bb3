/* SPDX-License-Identifier: BSD-2-Clause */
/* Nodes and paths: finding the way, holes and rooms, and what follows when they change. */
#include "region/tree.h"

void lh_path_descend(lh_region_cursor *path, unsigned level, bool to_last)
{
	for (; level > 0; level--) {
		const lh_region_node *node = lh_path_node(path, level);
		lh_region *host = node->child[path->slot[level]];

		path->host[level - 1] = host;
		path->low[level - 1] = lh_path_low(path, level);
		path->slot[level - 1] = (uint8_t)(to_last ? host->node.count - 1 : 0);
	}
}

void lh_path_find(lh_region_cursor *path, const lh_region_tree *tree, uint64_t page)
{
	lh_region *host = tree->root;
	uint64_t low = lh_span_of(tree->total).first;
	unsigned level = tree->levels - 1;

	path->tree = tree;
	for (;; level--) {
		const lh_region_node *node = &host->node;
		unsigned slot;

		/* The lines that are wanted next come at the same time. */
		__builtin_prefetch(&node->child[1]);
		__builtin_prefetch(&node->gap[4]);
		slot = lh_node_rank(node, page);

		path->host[level] = host;
		path->low[level] = low;
		path->slot[level] = (uint8_t)slot;
		if (level == 0)
			return;
		low = lh_node_low(node, slot, low);
		host = node->child[slot];
	}
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

uint64_t lh_extent_first(const lh_region_tree *tree, const lh_region *region)
{
	uint64_t first;

	if (region == &tree->tail)
		return lh_span_of(tree->total).end;
	first = lh_span_of(region->range).first;
	return first > region->guard_before ? first - region->guard_before : 0;
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
	lh_region_cursor below = *path;

	if ((guard_before | guard_after) == 0)
		return lh_path_hole(tree, path);
	return lh_region_room(tree, lh_path_step(&below, false) ? lh_path_region(&below) : NULL,
			      above != &tree->tail ? above : NULL, guard_before, guard_after);
}

/* --- rooms --- */

static unsigned larger(unsigned a, unsigned b)
{
	return a > b ? a : b;
}

/* Without a loop: this is done at each level of most placements. */
static unsigned largest_gap(const lh_region_node *node)
{
	const uint16_t *gap = node->gap;

	_Static_assert(LH_WAYS == 8, "all gaps are looked at");
	return larger(larger(larger(gap[0], gap[1]), larger(gap[2], gap[3])),
		      larger(larger(gap[4], gap[5]), larger(gap[6], gap[7])));
}

/* The largest room of one class among a leaf's holes. What a gap says need not be looked at closer
 * where it is no more than was found already. */
static uint32_t leaf_room(const lh_region_tree *tree, const lh_region_node *leaf, uint64_t low,
			  unsigned class)
{
	uint32_t largest = 0;

	for (unsigned slot = 0; slot < leaf->count; slot++) {
		uint32_t room;

		if (leaf->gap[slot] < LH_GAP_EXACT && leaf->gap[slot] <= largest)
			continue;
		room = lh_hole_room(lh_leaf_hole(tree, leaf, slot, low), class);
		if (room > largest)
			largest = room;
	}
	return largest;
}

static uint32_t inner_room(const lh_region_node *node, unsigned class)
{
	uint32_t largest = 0;

	for (unsigned slot = 0; slot < node->count; slot++) {
		uint32_t room;

		if (node->gap[slot] < LH_GAP_EXACT && node->gap[slot] <= largest)
			continue;
		room = node->child[slot]->node.room[class];
		if (room > largest)
			largest = room;
	}
	return largest;
}

static inline uint32_t room_of_class(const lh_region_tree *tree, const lh_region_node *node, uint64_t low,
			      unsigned class)
{
	unsigned gap = class == 0 ? largest_gap(node) : LH_GAP_EXACT;

	if (gap < LH_GAP_EXACT)
		return gap;
	return node->level == 0 ? leaf_room(tree, node, low, class) : inner_room(node, class);
}

struct lh_rooms lh_node_rooms(const lh_region_tree *tree, const lh_region_node *node, uint64_t low)
{
	struct lh_rooms rooms;

	for (unsigned class = 0; class < LH_REGION_CLASSES; class++)
		rooms.of[class] = room_of_class(tree, node, low, class);
	return rooms;
}

/* Gives a node its room of a class after a part of it changed, whose room is replaced in before
 * and after by the node's. => false: the node's is the same. */
static bool update_room(const lh_region_tree *tree, lh_region_node *node, uint64_t low,
			unsigned class, uint32_t *before, uint32_t *after)
{
	uint32_t was = node->room[class], now = was;

	if (*after >= was)
		now = *after;
	else if (*before >= was)
		now = room_of_class(tree, node, low, class);
	*before = was;
	*after = now;
	node->room[class] = now;
	return now != was;
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

/* Written out, for it is done at most levels of most changes. */
void lh_path_refresh_pages(const lh_region_tree *tree, lh_region_cursor *path, unsigned level,
			   uint32_t before, uint32_t after)
{
	for (;; level++) {
		lh_region_node *node = lh_path_node(path, level);
		uint32_t was = node->room[0], now = after;

		if (after <= was) {
			if (after == was || before < was)
				return;
			now = room_of_class(tree, node, path->low[level], 0);
			if (now == was)
				return;
		}
		node->room[0] = now;
		if (!tell_above(tree, path, level, now))
			return;
		before = was;
		after = now;
	}
}

void lh_path_refresh_all(const lh_region_tree *tree, lh_region_cursor *path, unsigned level,
			 struct lh_rooms before, struct lh_rooms after)
{
	bool differs = true;

	while ((before.of[1] | after.of[1]) != 0 && differs) {
		lh_region_node *node = lh_path_node(path, level);

		differs = false;
		for (unsigned class = 0; class < LH_REGION_CLASSES; class++)
			differs |= update_room(tree, node, path->low[level], class,
					       &before.of[class], &after.of[class]);
		if (!tell_above(tree, path, level++, after.of[0]))
			return;
	}
	if (differs)
		lh_path_refresh_pages(tree, path, level, before.of[0], after.of[0]);
}

void lh_path_set_hole(lh_region_tree *tree, lh_region_cursor *path, struct lh_rooms before,
		      struct lh_page_span hole)
{
	lh_region_node *leaf = lh_path_node(path, 0);

	leaf->gap[path->slot[0]] = (uint16_t)lh_gap_code(lh_span_pages(hole));
	lh_path_refresh(tree, path, 0, before, lh_hole_rooms(hole));
}

/* The hole at a leaf's slot, below a region that does not change, begins elsewhere. */
static void begin_hole(const lh_region_tree *tree, lh_region_cursor *path, uint64_t first)
{
	lh_region_node *leaf = lh_path_node(path, 0);
	unsigned slot = path->slot[0];
	struct lh_page_span hole = lh_path_hole(tree, path);
	struct lh_rooms before = lh_hole_rooms(hole);

	hole.first = first;
	if (slot != 0)
		LH_PUBLISH(leaf->key[slot - 1], first);
	else
		path->low[0] = first;
	leaf->gap[slot] = (uint16_t)lh_gap_code(lh_span_pages(hole));
	lh_path_refresh(tree, path, 0, before, lh_hole_rooms(hole));
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
	next = *path;
	while (next.slot[level] + 1u == lh_path_node(&next, level)->count)
		level++;
	next.slot[level]++;
	lh_path_descend(&next, level, false);
	begin_hole(tree, &next, end);
	LH_PUBLISH(lh_path_node(path, level)->key[path->slot[level]], end);
}
