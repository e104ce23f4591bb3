/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the region tree share. tree.c's head comment has the theory.
 *
 * Inside, places are page numbers (address >> LH_PAGE_SHIFT): there an exclusive
 * end always exists, at most LH_PAGES_MAX, and adding a guard to it cannot wrap.
 */
#ifndef LANDHOLD_REGION_TREE_INTERNAL_H
#define LANDHOLD_REGION_TREE_INTERNAL_H

#include <landhold/region_tree.h>

#include "base/atomic.h"

enum {
	LH_WAYS = LH_REGION_WAYS,
	LH_FILL_MIN = 3,	/* least children of a node but the root */
	LH_GAP_EXACT = 2048,	/* gaps below this many pages are their own code */
};
#define LH_NO_KEY UINT64_MAX
#define LH_ROOM_MAX UINT32_MAX

/* Page numbers first <= n < end; nothing where end <= first. */
struct lh_page_span {
	uint64_t first;
	uint64_t end;
};

static inline struct lh_page_span lh_span_of(lh_virtual_range range)
{
	uint64_t first = range.base.value >> LH_PAGE_SHIFT;
	struct lh_page_span span = { first, first + range.pages };

	return span;
}

static inline lh_virtual_range lh_span_range(uint64_t first, uint64_t pages)
{
	lh_virtual_range range = { lh_virtual(first << LH_PAGE_SHIFT), pages };

	return range;
}

/* No branch: which hole is empty, no predictor knows. */
static inline uint64_t lh_span_pages(struct lh_page_span span)
{
	uint64_t is_some = span.end > span.first;

	return (span.end - span.first) & (0 - is_some);
}

static inline bool lh_span_covers(struct lh_page_span outer, struct lh_page_span inner)
{
	return inner.first >= outer.first && inner.end <= outer.end;
}

/* True for a region that was built and is in no tree. */
static inline bool lh_region_is_placeable(const lh_region *region)
{
	return !region->tree && (region->version & 1) != 0;
}

/* --- versions; what readers without the lock may see is written so (read.c) --- */

#define LH_PUBLISH(field, value) lh_atomic_store(&(field), value)

/*
 * Versions and sequences: begin makes odd, end makes even; neither ever lowers, but that they wrap
 * at LH_COUNTER_MASK. A value that is odd already (its owner published the change earlier) stays
 * as it is.
 */
static inline void lh_version_begin(uint64_t *version)
{
	LH_PUBLISH(*version, *version | 1);
}

static inline void lh_version_end(uint64_t *version)
{
	LH_PUBLISH(*version, ((*version | 1) + 1) & LH_COUNTER_MASK);
}

/* Around a change of several steps, which readers without the lock shall see as one. No node changes
 * yet: the last path still holds. => the sequence from before: odd in a change that has this one as a step. */
static inline uint64_t lh_steps_begin(lh_region_tree *tree)
{
	uint64_t before = tree->sequence;

	LH_PUBLISH(tree->sequence, before | 1);
	return before;
}

/* Around every change of nodes, by itself or as one of several steps. */
static inline uint64_t lh_change_begin(lh_region_tree *tree)
{
	tree->last_is_current = false;
	return lh_steps_begin(tree);
}

/* => before: what begin gave. */
static inline void lh_change_end(lh_region_tree *tree, uint64_t before)
{
	if ((before & 1) == 0)
		LH_PUBLISH(tree->sequence, (before + 2) & LH_COUNTER_MASK);
}

/* --- nodes --- */

struct lh_rooms {
	uint32_t of[LH_REGION_CLASSES];
};

/* Pages of a class's alignment, less one. */
static inline uint64_t lh_class_mask(unsigned class)
{
	unsigned shift = class == 0 ? LH_PAGE_SHIFT : class == 1 ? 21 : 30;

	return (UINT64_C(1) << (shift - LH_PAGE_SHIFT)) - 1;
}

/* Monotone; exact below LH_GAP_EXACT, then ten bits of precision. Fits in 15 bits. */
static inline unsigned lh_gap_code(uint64_t pages)
{
	unsigned bits;

	if (pages < LH_GAP_EXACT)
		return (unsigned)pages;
	bits = 64 - (unsigned)__builtin_clzll(pages);
	return LH_GAP_EXACT + (bits - 12) * 512 + ((unsigned)(pages >> (bits - 10)) & 511);
}

static inline uint32_t lh_room_of(uint64_t pages)
{
	return pages < LH_ROOM_MAX ? (uint32_t)pages : LH_ROOM_MAX;
}

static inline uint32_t lh_hole_room(struct lh_page_span hole, unsigned class)
{
	uint64_t mask = lh_class_mask(class);
	struct lh_page_span aligned = { (hole.first + mask) & ~mask, hole.end };

	return lh_room_of(lh_span_pages(aligned));
}

/* True if no alignment beyond a page's has a place in the hole. Most holes are so: then its size, which
 * is less than LH_GAP_EXACT, is its room, its code, and all that is to be known of it. */
static inline bool lh_hole_is_small(struct lh_page_span hole)
{
	uint64_t mask = lh_class_mask(1);

	return ((hole.first + mask) & ~mask) >= hole.end;
}

/* What fits in a hole, a class of alignment. Without room at one there is none at a larger one. */
static inline struct lh_rooms lh_hole_rooms(struct lh_page_span hole)
{
	struct lh_rooms rooms = { { lh_room_of(lh_span_pages(hole)), 0, 0 } };

	rooms.of[1] = lh_hole_room(hole, 1);
	if (rooms.of[1] != 0)
		rooms.of[2] = lh_hole_room(hole, 2);
	return rooms;
}

static inline struct lh_rooms lh_rooms_larger(struct lh_rooms a, struct lh_rooms b)
{
	for (unsigned class = 0; class < LH_REGION_CLASSES; class++)
		if (a.of[class] < b.of[class])
			a.of[class] = b.of[class];
	return a;
}

/* Keeps the compiler from knowing better what the processor is to work out, and when. */
#define LH_OPAQUE(number) __asm__("" : "+r"(number))

/* The lower one of the two children of which one has the page in its part. */
static inline unsigned lh_node_pair(const lh_region_node *node, uint64_t page)
{
	const uint64_t *key = node->key;

	_Static_assert(LH_WAYS == 8, "four pairs");
	return 2 * ((unsigned)(key[2] <= page) + (key[4] <= page) + (key[6] <= page));
}

/* The child in whose part a page lies; below the first key, the first child. Four comparisons, none of them a branch. */
static inline unsigned lh_node_rank(const lh_region_node *node, uint64_t page)
{
	unsigned slot = lh_node_pair(node, page);

	return slot + (node->key[slot + 1] <= page);
}

/* That child. Both of the pair are on their way while they are told apart: so a search waits no longer for it than if
 * all keys were compared at once. In registers, lest compilers make a branch of the choice. */
static inline lh_region *lh_node_child(const lh_region_node *node, uint64_t page)
{
	unsigned slot = lh_node_pair(node, page);
	lh_region *lower = node->child[slot], *upper = node->child[slot + 1];

	LH_OPAQUE(lower);
	LH_OPAQUE(upper);
	return node->key[slot + 1] <= page ? upper : lower;
}

/* Bit i: gap i has at least that code. Four lanes of 16 bits at once: no code reaches bit 15. No loop
 * and no branch: which child it will be, no predictor knows. */
static inline unsigned lh_node_gaps(const lh_region_node *node, unsigned code)
{
	const uint64_t high = UINT64_C(0x8000800080008000), gather = UINT64_C(0x0001000200040008);
	uint64_t wanted = code * UINT64_C(0x0001000100010001), lower, upper;

	_Static_assert(LH_WAYS == 8, "two words of four gaps");
	__builtin_memcpy(&lower, &node->gap[0], sizeof lower);
	__builtin_memcpy(&upper, &node->gap[4], sizeof upper);
	lower = ((lower | high) - wanted) & high;
	upper = ((upper | high) - wanted) & high;
	return (unsigned)((lower >> 15 | upper >> 11) * gather >> 48);
}

/* The child knows from now on whose it is: a region its leaf, a node the one above. */
static inline void lh_child_adopt(lh_region *host, lh_region *child)
{
	if (host->node.level == 0) {
		child->leaf = host;
		return;
	}
	child->node.above = host;
	child->node.slot_above = 0; /* a guess */
}

/* The slot above this one is free: who calls writes it. Every slot is written, moved or not: that takes less time
 * than a wrong guess at where to stop. Which it is, a carry says: compilers would work out a condition. */
static inline void lh_node_open(lh_region_node *node, unsigned slot)
{
#pragma GCC unroll 8
	for (unsigned i = LH_WAYS - 1; i > 1; i--) {
		unsigned from = i;

		LH_OPAQUE(from);
		from -= slot + 1 < from;
		LH_PUBLISH(node->key[i], node->key[from]);
		LH_PUBLISH(node->child[i], node->child[from]);
		node->gap[i] = node->gap[from];
	}
	LH_PUBLISH(node->count, (uint8_t)(node->count + 1));
}

static inline void lh_node_clear(lh_region_node *node, unsigned slot)
{
	LH_PUBLISH(node->key[slot], LH_NO_KEY);
	LH_PUBLISH(node->child[slot], NULL); /* a reader must not be led to who left long ago */
	node->gap[slot] = 0;
}

/* The slot above this one is gone. Where there were fewer than eight, the last one gets what a clear slot has. */
static inline void lh_node_shut(lh_region_node *node, unsigned slot)
{
#pragma GCC unroll 8
	for (unsigned i = 1; i < LH_WAYS - 1; i++) {
		unsigned from = i;

		LH_OPAQUE(from);
		from += slot < from;
		LH_PUBLISH(node->key[i], node->key[from]);
		LH_PUBLISH(node->child[i], node->child[from]);
		node->gap[i] = node->gap[from];
	}
	lh_node_clear(node, LH_WAYS - 1);
	LH_PUBLISH(node->count, (uint8_t)(node->count - 1));
}

/* Where a node is in the one above: mostly where it was when a change last came by. */
static inline unsigned lh_node_slot_above(const lh_region *host)
{
	const lh_region_node *above = &host->node.above->node;
	unsigned guess = host->node.slot_above;

	return above->child[guess] == host ? guess : lh_node_rank(above, host->node.key[0]);
}

/* True of a tree whose nodes and regions lie in the nearest caches, for all we know: nothing is asked for ahead. */
static inline bool lh_region_tree_is_near(const lh_region_tree *tree)
{
	return tree->levels <= 3;
}

/* --- cursors are paths: host[0] is a leaf, slot[0] a region in it. Levels above are filled in when they
 * are wanted (lh_path_climb): most searches and changes want none. --- */

static inline lh_region_node *lh_path_node(const lh_region_cursor *path, unsigned level)
{
	return &path->host[level]->node;
}

static inline lh_region *lh_path_region(const lh_region_cursor *path)
{
	return lh_path_node(path, 0)->child[path->slot[0]];
}

/* Before a path is asked for its node at a level. */
static inline void lh_path_climb(lh_region_cursor *path, unsigned level)
{
	for (; path->known <= level; path->known++) {
		const lh_region *below = path->host[path->known - 1u];

		path->host[path->known] = below->node.above;
		path->slot[path->known] = (uint8_t)lh_node_slot_above(below);
	}
}

/* Where the part at the path's slot of that level begins. */
static inline uint64_t lh_path_low(const lh_region_cursor *path, unsigned level)
{
	return lh_path_node(path, level)->key[path->slot[level]];
}

/* Leads to a cell; of the levels above none is known. */
static inline void lh_path_set(lh_region_cursor *path, const lh_region_tree *tree, lh_region *leaf,
			       unsigned slot)
{
	path->tree = tree;
	path->known = 1;
	path->host[0] = leaf;
	path->slot[0] = (uint8_t)slot;
}

/* A cell by its leaf and its slot there: a path that fits in registers. */
struct lh_cell {
	lh_region *leaf;
	unsigned slot;
};

static inline struct lh_cell lh_path_cell(const lh_region_cursor *path)
{
	return (struct lh_cell){ path->host[0], path->slot[0] };
}

/* Leads to the same cell. */
static inline void lh_path_copy(lh_region_cursor *to, const lh_region_cursor *from)
{
	lh_path_set(to, from->tree, from->host[0], from->slot[0]);
}

/* Leads to the cell that a page lies in. */
void lh_path_find(lh_region_cursor *path, const lh_region_tree *tree, uint64_t page);
/* Leads to the lowest region that has a page at or above the one given. => NULL: to the tail. */
lh_region *lh_path_find_from(lh_region_cursor *path, const lh_region_tree *tree, uint64_t page);
/* The host of a path's leaf, among those beside it. */
static inline struct lh_region *const *lh_path_leaf(lh_region_cursor *path)
{
	if (path->tree->levels == 1)
		return &path->tree->root;
	lh_path_climb(path, 1);
	return &lh_path_node(path, 1)->child[path->slot[1]];
}

/* From a leaf's slot on. The tail, the last of all, is beyond its leaf's end. */
static inline lh_region_walk lh_walk_from_leaf(const lh_region_tree *tree, struct lh_region *const *leaf,
					       unsigned slot)
{
	const lh_region_node *node = &(*leaf)->node;
	unsigned end = node->count - (unsigned)(*leaf == tree->tail.leaf);

	return (lh_region_walk){ tree, &node->child[slot], &node->child[end], leaf, leaf + 1 };
}

/* From the path's region on, as lh_region_walk_from, but for a few regions: asks for none of those ahead. */
static inline lh_region_walk lh_path_walk(lh_region_cursor *path)
{
	return lh_walk_from_leaf(path->tree, lh_path_leaf(path), path->slot[0]);
}

static inline lh_region *lh_walk_near(lh_region_walk *walk, const lh_region_tree *tree, uint64_t page)
{
	lh_region_cursor path;

	(void)lh_path_find_from(&path, tree, page);
	*walk = lh_path_walk(&path);
	return lh_region_walk_region(walk);
}
/* Below the path's slot of that level, leads down its first or last children. */
void lh_path_descend(lh_region_cursor *path, unsigned level, bool to_last);
/* To the neighbouring cell. => false: there is none; the path is spoilt. */
bool lh_path_step(lh_region_cursor *path, bool is_up);

/* Where a region's extent begins and ends; the tail's begins where the total ends. */
static inline uint64_t lh_before_guard(uint64_t first, uint64_t guard)
{
	return first > guard ? first - guard : 0;
}

static inline uint64_t lh_region_extent_first(const lh_region *region)
{
	return lh_before_guard(lh_span_of(region->range).first, region->guard_before);
}

static inline uint64_t lh_extent_first(const lh_region_tree *tree, const lh_region *region)
{
	return region == &tree->tail ? lh_span_of(tree->total).end : lh_region_extent_first(region);
}

static inline uint64_t lh_extent_end(const lh_region *region)
{
	return lh_span_of(region->range).end + region->guard_after;
}

/* The hole below the region at a leaf's slot: room for a region that has no guards. An exact gap says
 * where it ends; but 0 may also mean that guards overlap. */
static inline struct lh_page_span lh_leaf_hole(const lh_region_tree *tree,
					       const lh_region_node *leaf, unsigned slot)
{
	unsigned gap = leaf->gap[slot];
	struct lh_page_span hole = { leaf->key[slot], leaf->key[slot] + gap };
	unsigned has_guards = tree->has_guards;

	/* gap >= LH_GAP_EXACT || (has_guards && gap == 0), in one: half of all gaps are 0. */
	if (gap - has_guards >= LH_GAP_EXACT - has_guards)
		hole.end = lh_extent_first(tree, leaf->child[slot]);
	return hole;
}

static inline struct lh_page_span lh_path_hole(const lh_region_tree *tree,
					       const lh_region_cursor *path)
{
	return lh_leaf_hole(tree, lh_path_node(path, 0), path->slot[0]);
}

/* Does what the last removal left undone. If it was only that a hole is the next leaf's, the last path
 * leads there then. */
void lh_region_close_leaf(lh_region_tree *tree);

/* Before anything else is changed. */
static inline void lh_region_close(lh_region_tree *tree)
{
	if (tree->open)
		lh_region_close_leaf(tree);
}

/* The path to the cell that a page lies in, where a region may be placed: the tree's last, if the page is in the hole there. So who
 * takes regions out to place one in their stead goes down once. */
static inline lh_region_cursor *lh_path_find_again(lh_region_cursor *path, lh_region_tree *tree,
						   uint64_t page)
{
	lh_region_cursor *last = &tree->last;

	if (tree->last_is_current) {
		struct lh_page_span hole = lh_path_hole(tree, last);

		if (page >= hole.first && page < hole.end)
			return last;
	}
	if (tree->open) {
		lh_region_close_leaf(tree);
		return lh_path_find_again(path, tree, page);
	}
	lh_path_find(path, tree, page);
	return path;
}

/* The pages that a region with these guards may have at the path's cell. */
struct lh_page_span lh_path_room(const lh_region_tree *tree, const lh_region_cursor *path,
				 uint32_t guard_before, uint32_t guard_after);

/*
 * The pages that a region with these guards may have between two neighbours; NULL
 * stands for an end of the tree. The one place that says what a guard means.
 */
struct lh_page_span lh_region_room(const lh_region_tree *tree, const lh_region *below,
				   const lh_region *above, uint32_t guard_before,
				   uint32_t guard_after);

/* --- changes of nodes: all called with the tree's sequence odd, but those that settle: gaps and rooms are no
 * reader's --- */

/* Part of a leaf had these rooms and now has those: corrects the leaf's. */
void lh_leaf_refresh(lh_region_tree *tree, lh_region *host, struct lh_rooms before,
		     struct lh_rooms after);
/* The same at page alignment alone, of a hole that has come and is larger than all, and of one that has gone or is
 * smaller; both small: exact. */
void lh_leaf_raise(lh_region_tree *tree, lh_region *host, uint32_t room);
void lh_leaf_lower(lh_region_tree *tree, lh_region *host);
/* The same of any node, where no leaf is behind: corrects the rooms and gaps of those above at once. */
void lh_node_lower(const lh_region_tree *tree, lh_region *host, uint32_t room);
void lh_node_refresh(const lh_region_tree *tree, lh_region *host, struct lh_rooms before,
		     struct lh_rooms after);

/* The nodes above the leaf that is behind are told its rooms. */
void lh_region_settle_leaf(lh_region_tree *tree);

/* Before the rooms of a node above a leaf are looked at, or nodes are split, merged or moved. */
static inline void lh_region_settle(lh_region_tree *tree)
{
	if (tree->behind)
		lh_region_settle_leaf(tree);
}

/* Before the tree is changed, or its holes are looked at, anywhere. */
static inline void lh_region_finish(lh_region_tree *tree)
{
	lh_region_close(tree);
	lh_region_settle(tree);
}

/* What the node above knows of a child's room. */
static inline uint32_t lh_told_room(const lh_region_tree *tree, const lh_region *child, unsigned class)
{
	return child == tree->behind ? tree->told[class] : child->node.room[class];
}

/* Recomputes a node's rooms from its children. */
struct lh_rooms lh_node_rooms(const lh_region_tree *tree, const lh_region_node *node);
/* The path's cell, which is the first of its leaf but not of the tree, begins there from now on. */
void lh_path_begin(lh_region_tree *tree, lh_region_cursor *path, uint64_t first);
/* The region at the path's slot ends its extent there from now on. */
void lh_path_set_end(lh_region_tree *tree, lh_region_cursor *path, uint64_t end);
/* Links one, whose range is set, directly above the path's, whose extent ends at end now.
 * => true: the path leads to the lower one still, and to the other with its next slot. */
bool lh_region_link_above(lh_region_tree *tree, lh_region_cursor *path, lh_region *region,
			  uint64_t end);
/* The hole below the path's region had at most these rooms before; now it is that. */
void lh_path_set_hole(lh_region_tree *tree, lh_region_cursor *path, struct lh_rooms before,
		      struct lh_page_span hole);
/* The path that leads to a region of the tree: from below, so that only the leaf is known at first. */
void lh_path_find_region(lh_region_cursor *path, const lh_region_tree *tree,
			 const lh_region *region);

/* The last step of every placement: gives the region its range, from page first on, and links it, into the hole of a
 * cell. */
void lh_region_commit(lh_region_tree *tree, struct lh_cell cell, lh_region *region, uint64_t first,
		      uint64_t pages);

/*
 * Changes of a region to which the tree's last path leads already: so who has just looked at it does not
 * go down from the root again. Afterwards, if the path is current, it leads ...
 */

/* ... to the cell that has the hole where the region was, or, if that is owed, the one below. The last
 * step of every removal. The leaf is open then, if there is more to do: whoever changes the tree elsewhere
 * closes it first. */
void lh_region_take_out(lh_region_tree *tree, lh_region *region);
/* ... to upper, which gets the pages from to on; the region keeps those below from. */
void lh_region_cut(lh_region_tree *tree, lh_region *region, uint64_t from, uint64_t to,
		   lh_region *upper);
/* ... to the region, which has another range now. => the range is legal. */
void lh_region_change_range(lh_region_tree *tree, lh_region *region, lh_virtual_range range);

/* balance.c */

/* A child with its gap, which divides the part of the one at a slot: from key on begins the upper half.
 * The new one gets the half of child_slot, the slot or the one above. */
struct lh_addition {
	uint64_t key;
	lh_region *child;
	uint16_t gap;
	uint8_t slot, child_slot;
};

void lh_node_insert(lh_region *host, const struct lh_addition *addition);
/* Adds to the full leaf of a path; fresh, which comes with it, can be host. *addition, by its address because
 * fields just written are read one by one sooner than as a copy of the whole, is spoilt. */
void lh_path_split(lh_region_tree *tree, lh_region_cursor *path, struct lh_addition *addition,
		   lh_region *fresh);
/* Before the node that one of the leaf's regions hosts moves, or the leaf is split: any of them may be the next
 * host, and all will be told whose they are. */
void lh_leaf_fetch_hosts(const lh_region_tree *tree, const lh_region_node *leaf);
/* True if a node of the path, which is not the root, has too few children. */
static inline bool lh_node_is_poor(const lh_region_tree *tree, const lh_region_cursor *path,
				   unsigned level)
{
	return lh_path_node(path, level)->count < LH_FILL_MIN && level + 1 < tree->levels;
}

/* Mends a leaf that has too few children, and all above it. The path is spoilt. */
void lh_path_mend(lh_region_tree *tree, lh_region_cursor *path);
/* The node that the region, taken from the path's leaf, hosts moves to another host. */
void lh_path_rehost(lh_region_tree *tree, lh_region_cursor *path, lh_region *region);

#if LH_DEBUG >= 2
#define LH_COUNT_STEP(tree) lh_atomic_store_relaxed(&((lh_region_tree *)(tree))->steps, (tree)->steps + 1)
#else
#define LH_COUNT_STEP(tree) ((void)0)
#endif

#endif
