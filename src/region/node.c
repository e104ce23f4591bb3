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

/* All lines of a leaf that will change come at the same time, and then those of the node above that
 * will, should the largest gap change. */
void lh_path_find_region(lh_region_cursor *path, const lh_region_tree *tree,
			 const lh_region *region)
{
	lh_region *leaf = region->leaf;

	__builtin_prefetch(&leaf->node.key, 1);
	__builtin_prefetch(&leaf->node.child, 1);
	__builtin_prefetch(&leaf->node.count, 1);
	lh_path_set(path, tree, leaf, lh_node_rank(&leaf->node, lh_span_of(region->range).first));
	if (tree->levels > 1) {
		__builtin_prefetch(&leaf->node.above->node.child);
		__builtin_prefetch(&leaf->node.above->node.count, 1);
	}
}

bool lh_path_step(lh_region_cursor *path, bool is_up)
{
	unsigned level = 0;

	for (;; level++) {
		if (level == path->tree->levels)
			return false;
		lh_path_climb(path, level);
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
		uint64_t guard = larger_guard(above->guard_before, guard_after);

		room.end = lh_before_guard(lh_span_of(above->range).first, guard);
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

/* The room below the region at a leaf's slot, as its gap has it: none where that is 0. */
static inline struct lh_page_span gap_at(const lh_region_tree *tree, const lh_region_node *leaf,
					 unsigned slot)
{
	uint64_t first = leaf->key[slot];
	struct lh_page_span hole = { first, first + leaf->gap[slot] };

	if (leaf->gap[slot] >= LH_GAP_EXACT)
		hole.end = lh_extent_first(tree, leaf->child[slot]);
	return hole;
}

/* Mostly the leaf's part has no page of that alignment, or one: then only the hole that has it counts. No branch but
 * the loop's: which hole has one, no predictor knows. */
static uint32_t leaf_room(const lh_region_tree *tree, const lh_region_node *leaf, unsigned class)
{
	unsigned count = leaf->count;
	struct lh_page_span part = { leaf->key[0], gap_at(tree, leaf, count - 1).end };
	uint32_t largest = 0, aligned = lh_hole_room(part, class);

	if (aligned == 0)
		return 0;
	if (aligned <= lh_class_mask(class)) {
		unsigned slot = lh_node_rank(leaf, part.end - aligned);

		return lh_hole_room(gap_at(tree, leaf, slot), class);
	}
	for (unsigned slot = 0; slot < count; slot++)
		largest = larger(largest, lh_hole_room(gap_at(tree, leaf, slot), class));
	return largest;
}

/* As far as the node has been told. */
static uint32_t inner_room(const lh_region_tree *tree, const lh_region_node *node, unsigned class)
{
	uint32_t largest = 0;

	for (unsigned slot = 0; slot < node->count; slot++)
		largest = larger(largest, lh_told_room(tree, node->child[slot], class));
	return largest;
}

/* Where gaps do not tell. If only one is too large for that, and its room too, no other room is so large: where all
 * that is above the highest region is one hole, this is so below each node on the way there. */
static uint32_t look_for_room(const lh_region_tree *tree, const lh_region_node *node, unsigned class)
{
	unsigned large = lh_node_gaps(node, LH_GAP_EXACT);

	if (large != 0 && (large & (large - 1)) == 0) {
		unsigned slot = (unsigned)__builtin_ctz(large);
		uint32_t room = node->level == 0 ? lh_hole_room(gap_at(tree, node, slot), class)
						 : lh_told_room(tree, node->child[slot], class);

		if (room >= LH_GAP_EXACT)
			return room;
	}
	return node->level == 0 ? leaf_room(tree, node, class) : inner_room(tree, node, class);
}

/* The largest room of a class below a node. At page alignment its gaps tell, where they are exact. */
static inline uint32_t room_of_class(const lh_region_tree *tree, const lh_region_node *node,
				     unsigned class)
{
	unsigned gap = class == 0 ? largest_gap(node) : LH_GAP_EXACT;

	return gap < LH_GAP_EXACT ? gap : look_for_room(tree, node, class);
}

struct lh_rooms lh_node_rooms(const lh_region_tree *tree, const lh_region_node *node)
{
	struct lh_rooms rooms = { { room_of_class(tree, node, 0), room_of_class(tree, node, 1), 0 } };

	if (rooms.of[1] != 0)
		rooms.of[2] = room_of_class(tree, node, 2);
	return rooms;
}

/* A node's room at page alignment, which has this code, is its gap in the node above. => that one, or NULL. */
static inline lh_region *hand_up(lh_region *host, unsigned class, unsigned code)
{
	lh_region *above = host->node.above;

	if (class == 0 && above) {
		unsigned slot = lh_node_slot_above(host);

		host->node.slot_above = (uint8_t)slot;
		above->node.gap[slot] = (uint16_t)code;
	}
	return above;
}

/* Each of the next two is compiled twice: for page alignment, the class of nearly all calls, and for any. */
#define FOR_EACH_CLASS static inline __attribute__((always_inline))

FOR_EACH_CLASS void raise(lh_region *host, unsigned class, uint32_t room)
{
	unsigned code = lh_gap_code(room);

	while (host && room > host->node.room[class]) {
		host->node.room[class] = room;
		host = hand_up(host, class, code);
	}
}

FOR_EACH_CLASS void lower(const lh_region_tree *tree, lh_region *host, unsigned class, uint32_t before)
{
	while (host && before >= host->node.room[class]) {
		uint32_t was = host->node.room[class], room = room_of_class(tree, &host->node, class);

		if (room == was)
			return;
		host->node.room[class] = room;
		before = was;
		host = hand_up(host, class, lh_gap_code(room));
	}
}

void lh_node_lower(const lh_region_tree *tree, lh_region *host, uint32_t room)
{
	lower(tree, host, 0, room);
}

/* Part of a node had the room before and has the other after. */
static void change_room(const lh_region_tree *tree, lh_region *host, unsigned class, uint32_t before,
			uint32_t after)
{
	if (after >= before)
		raise(host, class, after);
	else
		lower(tree, host, class, before);
}

void lh_node_refresh(const lh_region_tree *tree, lh_region *host, struct lh_rooms before,
		     struct lh_rooms after)
{
	for (unsigned class = 0; class < LH_REGION_CLASSES; class++)
		if (after.of[class] != before.of[class])
			change_room(tree, host, class, before.of[class], after.of[class]);
}

/* --- a leaf's rooms: it is the one that is behind from then on --- */

void lh_region_settle_leaf(lh_region_tree *tree)
{
	lh_region *leaf = tree->behind, *above = leaf->node.above;
	const uint32_t *room = leaf->node.room, *told = tree->told;

	_Static_assert(LH_REGION_CLASSES == 3, "one at page alignment, two that seldom change");
	tree->behind = NULL;
	if (room[0] != told[0]) {
		(void)hand_up(leaf, 0, lh_gap_code(room[0]));
		if (room[0] > told[0])
			raise(above, 0, room[0]);
		else
			lh_node_lower(tree, above, told[0]);
	}
	if (((room[1] ^ told[1]) | (room[2] ^ told[2])) != 0) {
		change_room(tree, above, 1, told[1], room[1]);
		change_room(tree, above, 2, told[2], room[2]);
	}
}

static inline void fall_behind(lh_region_tree *tree, lh_region *host)
{
	if (tree->behind == host)
		return;
	lh_region_settle(tree);
	tree->behind = host;
	__builtin_memcpy(tree->told, host->node.room, sizeof tree->told);
}

void lh_leaf_raise(lh_region_tree *tree, lh_region *host, uint32_t room)
{
	fall_behind(tree, host);
	host->node.room[0] = room;
}

void lh_leaf_lower(lh_region_tree *tree, lh_region *host)
{
	if (host->node.room[0] >= LH_GAP_EXACT)
		return; /* by another hole */
	fall_behind(tree, host);
	host->node.room[0] = largest_gap(&host->node);
}

void lh_leaf_refresh(lh_region_tree *tree, lh_region *host, struct lh_rooms before,
		     struct lh_rooms after)
{
	fall_behind(tree, host);
	for (unsigned class = 0; class < LH_REGION_CLASSES; class++) {
		uint32_t *room = &host->node.room[class];

		if (after.of[class] >= *room)
			*room = after.of[class];
		else if (before.of[class] >= *room)
			*room = room_of_class(tree, &host->node, class);
	}
}

void lh_path_set_hole(lh_region_tree *tree, lh_region_cursor *path, struct lh_rooms before,
		      struct lh_page_span hole)
{
	lh_region_node *leaf = lh_path_node(path, 0);

	leaf->gap[path->slot[0]] = (uint16_t)lh_gap_code(lh_span_pages(hole));
	lh_leaf_refresh(tree, path->host[0], before, lh_hole_rooms(hole));
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

void lh_path_begin(lh_region_tree *tree, lh_region_cursor *path, uint64_t first)
{
	for (unsigned level = 0; path->slot[level] == 0; level++)
		LH_PUBLISH(lh_path_node(path, level + 1)->key[path->slot[level + 1]], first);
	begin_hole(tree, path, first);
}

void lh_path_set_end(lh_region_tree *tree, lh_region_cursor *path, uint64_t end)
{
	lh_region_cursor next;

	if (path->slot[0] + 1u < lh_path_node(path, 0)->count) {
		path->slot[0]++;
		begin_hole(tree, path, end);
		path->slot[0]--;
		return;
	}
	lh_path_copy(&next, path);
	(void)lh_path_step(&next, true); /* there is one: the tail */
	lh_path_begin(tree, &next, end);
}
