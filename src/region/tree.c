/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The region tree.
 *
 * Words
 *   total      the range that all regions of the tree lie in
 *   hole       the pages between two neighbouring ranges, or between a range and
 *              an end of total
 *   guard      a distance to keep: not pages that somebody owns. Two neighbours
 *              keep the larger of the two guards that face each other. The ends of
 *              total are no neighbours: no guard is kept from them
 *   extent     a region's range with its guards
 *   room       the part of a hole in which a region with given guards may lie
 *   gap        the size of the room for a region that has no guards itself
 *   cell       a region and the gap below it: from the end of the extent below to the
 *              end of its own. The cells are the whole line of pages, cut in pieces
 *   tail       a region that does not exist, of no pages, where total ends: its cell has
 *              the gap above the highest region
 *   host       the region in whose block a node lies
 *   class      an alignment that is searched in O(log n): a page, 2 MiB, 1 GiB
 *   open       of a leaf: the last removal was there, and something is left to do
 *   owed       pages that were the last cell of the open leaf: the next leaf's first cell is to get them
 *
 * Structure. A B+ tree of cells by address, with up to eight children a node. Every region brings a
 * block, large enough for one node; a tree of n regions never needs n nodes, so nothing is ever
 * allocated. A node lies in the block of a region below it (its host): so whoever removes a region
 * meets, on the way to it, the one node that has to move. A node is named by its host, which has
 * the same address; so all pointers in the tree are pointers to regions, and whoever follows one
 * at a bad moment still reads memory of a region (read.c).
 *
 *      key[i]    where the part of child i, a cell or many, begins; of a node's first child, where
 *                the node's own part does
 *      child[i]  a region (level 0), or the host of a node one level lower
 *      gap[i]    code of the largest gap below child i: 16 bits, exact below 2048 pages, then
 *                rounded down to ten bits of precision
 *      room[c]   the largest gap of all, counted from its first page of alignment c; in pages,
 *                2^32 - 1 for all beyond
 *
 * Invariants, for a region r with lower neighbour p, in page numbers:
 *
 *   p.end + max(p.guard_after, r.guard_before) <= r.first
 *   cell of r    = [p.end + p.guard_after, r.end + r.guard_after)     without p: [total.first, ...)
 *   gap below r  = max(0, (r.first - r.guard_before) - cell.first)    tail: total.end - cell.first
 *   every node but the root has at least 3 children; the root of more than one level, 2
 *   r.leaf hosts the leaf that r is a child of; above, in a node, the host of the node above it
 *   gaps and rooms above level 0 are what they should be, but that at most one leaf is behind: it has
 *   other rooms than the nodes above it know; which those are, the tree has in told
 *   at most one leaf is open: it may have one child less than 3, and where it ends pages may be owed, in no cell
 *
 * Example: total [0, 100), p = [10, 20) with guard_after 4, r = [40, 50) with
 * guard_before 2. The hole is [20, 40). Without guards a region may have
 * [24, 38): r's gap is 14. With guard_before 6 and guard_after 1 it may have
 * [26, 38): it shares p's four guard pages, adds two, and r's guard is the larger.
 * p's gap is 10: no guard is kept from the tree's end.
 *
 * Why the search is complete, and how long it takes: place.c.
 *
 * Why so, and not otherwise (docs/DESIGN.md has the measurements). Intrusive, because the tree is
 * below every allocator, so it can have none; and linking a region that exists already cannot
 * fail. A binary tree (red-black, AVL) touches a cache line a comparison; eight children a
 * node touch two for two or three comparisons' worth: keys fill one line, children the next, and
 * gaps, with what a fault reads of the region, the third. Keys and gaps lie in the nodes, so that a
 * placement touches no region but its own. Links lead upwards, from a region to its leaf and from a node
 * to the one above: so a change of a region at hand begins at its leaf, and waits for two cold lines,
 * one after the other, where the way from the root waits for three or four and passes all that are warm.
 * It goes further up only as far as something changes. A path is a leaf and a slot in it; what is
 * above it is filled in where it is asked for. The price is that a split or a move of a node rewrites the links of
 * its children; nobody waits for that. And what a leaf's largest gap becomes is told above it only when
 * somebody looks, or another leaf changes: by then the lines have come; and who places a region where one was
 * taken out has nothing to tell. Nor has he to wait for the leaves beside: that the next one gets the hole at a
 * leaf's end, or that few children are put together with others', is done when something changes elsewhere.
 * (Look-ups find no region in pages that are owed, as in a guard.) The last path is remembered, until nodes change: for him, and for
 * range operations, which look at regions first and then change them (range.c).
 *
 * Time goes, where the tree fits in caches, into wrong guesses of branches: which child, how many
 * move, whether the largest gap was this one. So there are none in what is done at each level, and
 * all slots of a node are written where some move. Where it does not fit, time goes into waiting
 * for lines: those of a node are asked for together, and a walk asks for the leaves ahead.
 *
 * Locking: none here; the caller's lock covers the tree and its regions. All changes
 * are made while the tree's sequence is odd, and each changed region's version is odd;
 * both only grow. Who keeps a pointer and a version can thus tell later, under the
 * lock or in the way docs/LOCKING.md allows, whether the region is still what it saw.
 *
 * A region or a tree handed in against its contract (one that is in another tree, say)
 * is not detected: lh_region_tree_check finds the damage.
 */
#include "region/tree.h"

lh_error lh_region_tree_init(lh_region_tree *tree, lh_virtual_range total)
{
	if (!lh_virtual_range_is_valid(total))
		return LH_INVALID;
	*tree = (lh_region_tree){ .total = total, .root = &tree->tail, .levels = 1 };
	tree->tail.tree = tree;
	tree->tail.leaf = &tree->tail;
	for (unsigned i = 1; i < LH_WAYS; i++)
		tree->tail.node.key[i] = LH_NO_KEY;
	tree->tail.node.key[0] = lh_span_of(total).first;
	tree->tail.node.child[0] = &tree->tail;
	tree->tail.node.count = 1;
	tree->tail.node.gap[0] = (uint16_t)lh_gap_code(total.pages);
	__builtin_memcpy(tree->tail.node.room, lh_hole_rooms(lh_span_of(total)).of,
			 sizeof tree->tail.node.room);
	return LH_OK;
}

/* A region's guards say how far gaps may be from holes. */
static void note_guards(lh_region_tree *tree, const lh_region *region)
{
	tree->has_guards = true;
	if (tree->guard_before_max < region->guard_before)
		tree->guard_before_max = region->guard_before;
	if (tree->guard_after_max < region->guard_after)
		tree->guard_after_max = region->guard_after;
}

/* Counts a region that comes. */
static void take_in(lh_region_tree *tree, lh_region *region)
{
	LH_PUBLISH(region->tree, tree);
	tree->count++;
	if ((region->guard_before | region->guard_after) != 0)
		note_guards(tree, region);
}

/* A leaf had the hole before; now it has two parts of it instead. Where no leaf is behind, none will be: the nodes
 * above are told. (Who placed in one that was taken out has nothing to tell, and who came from the root has just
 * been there.) */
static inline void divide_hole(lh_region_tree *tree, lh_region *leaf, struct lh_page_span before,
			       struct lh_page_span lower, struct lh_page_span upper)
{
	bool is_small = lh_hole_is_small(before);

	if (is_small && !tree->behind)
		lh_node_lower(tree, leaf, (uint32_t)lh_span_pages(before));
	else if (is_small)
		lh_leaf_lower(tree, leaf);
	else if (!tree->behind)
		lh_node_refresh(tree, leaf, lh_hole_rooms(before),
				lh_rooms_larger(lh_hole_rooms(lower), lh_hole_rooms(upper)));
	else
		lh_leaf_refresh(tree, leaf, lh_hole_rooms(before),
				lh_rooms_larger(lh_hole_rooms(lower), lh_hole_rooms(upper)));
}

/* A leaf has a hole that is no smaller than each it had there before. */
static inline void enlarge_hole(lh_region_tree *tree, lh_region *leaf, struct lh_page_span hole)
{
	static const struct lh_rooms less;

	if (!lh_hole_is_small(hole))
		lh_leaf_refresh(tree, leaf, less, lh_hole_rooms(hole));
	else if (lh_span_pages(hole) > leaf->node.room[0])
		lh_leaf_raise(tree, leaf, (uint32_t)lh_span_pages(hole));
}

/* It has it no more. */
static inline void lose_hole(lh_region_tree *tree, lh_region *leaf, struct lh_page_span hole)
{
	static const struct lh_rooms none;

	if (!lh_hole_is_small(hole))
		lh_leaf_refresh(tree, leaf, lh_hole_rooms(hole), none);
	else
		lh_leaf_lower(tree, leaf);
}

/* Where the leaf is full. */
static __attribute__((noinline)) void link_and_split(lh_region_tree *tree, struct lh_cell cell, uint64_t key,
						     lh_region *region, uint16_t gap)
{
	struct lh_addition addition = { key, region, gap, (uint8_t)cell.slot, (uint8_t)cell.slot };
	lh_region_cursor path;

	lh_path_set(&path, tree, cell.leaf, cell.slot);
	lh_path_split(tree, &path, &addition, region);
}

/* Links a region with these pages into the hole of a cell. */
static inline void link_into(lh_region_tree *tree, struct lh_cell cell, lh_region *region,
			     struct lh_page_span span)
{
	lh_region_node *leaf = &cell.leaf->node;
	unsigned slot = cell.slot;
	struct lh_page_span hole = lh_leaf_hole(tree, leaf, slot);
	struct lh_page_span lower = { hole.first, lh_before_guard(span.first, region->guard_before) };
	struct lh_page_span upper = { span.end + region->guard_after, hole.end };
	uint16_t gap = (uint16_t)lh_gap_code(lh_span_pages(lower));

	take_in(tree, region);
	leaf->gap[slot] = (uint16_t)lh_gap_code(lh_span_pages(upper));
	if (leaf->count == LH_WAYS) {
		link_and_split(tree, cell, upper.first, region, gap);
		return;
	}
	lh_node_open(leaf, slot);
	LH_PUBLISH(leaf->key[slot + 1], upper.first);
	LH_PUBLISH(leaf->child[slot + 1], leaf->child[slot]);
	leaf->gap[slot + 1] = leaf->gap[slot];
	LH_PUBLISH(leaf->child[slot], region);
	leaf->gap[slot] = gap;
	region->leaf = cell.leaf;
	divide_hole(tree, cell.leaf, hole, lower, upper);
}

bool lh_region_link_above(lh_region_tree *tree, lh_region_cursor *path, lh_region *region,
			  uint64_t end)
{
	lh_region *host = path->host[0];
	lh_region_node *leaf = &host->node;
	unsigned slot = path->slot[0];
	struct lh_page_span hole = { end, lh_region_extent_first(region) };
	uint16_t gap = (uint16_t)lh_gap_code(lh_span_pages(hole));

	take_in(tree, region);
	if (leaf->count == LH_WAYS) {
		lh_path_split(tree, path, &(struct lh_addition){ end, region, gap, (uint8_t)slot,
								 (uint8_t)(slot + 1) }, region);
		return false;
	}
	lh_node_open(leaf, slot);
	LH_PUBLISH(leaf->key[slot + 1], end);
	LH_PUBLISH(leaf->child[slot + 1], region);
	leaf->gap[slot + 1] = gap;
	region->leaf = host;
	enlarge_hole(tree, host, hole);
	return true;
}

void lh_region_commit(lh_region_tree *tree, struct lh_cell cell, lh_region *region, uint64_t first,
		      uint64_t pages)
{
	uint64_t before = lh_change_begin(tree);

	LH_PUBLISH(region->range.base.value, first << LH_PAGE_SHIFT);
	LH_PUBLISH(region->range.pages, pages);
	link_into(tree, cell, region, (struct lh_page_span){ first, first + pages });
	lh_version_end(&region->version);
	lh_change_end(tree, before);
}

/* True if a range can be had by a region without guards where the last one of a leaf was taken out.
 * Nobody's guard reaches below where that one ended. */
static bool is_owed(const lh_region_tree *tree, const lh_region *region, lh_virtual_range range)
{
	struct lh_page_span span = lh_span_of(range);

	return span.first >= tree->owed_first && span.end + tree->guard_after_max <= tree->owed_end &&
	       (region->guard_before | region->guard_after) == 0 && tree->open->node.count < LH_WAYS;
}

/* The path to the last cell of the open leaf. */
static void find_open(lh_region_cursor *path, const lh_region_tree *tree)
{
	lh_path_set(path, tree, tree->open, tree->open->node.count - 1u);
}

/* The leaf has a last cell again, and owes what is left. */
static void put_back(lh_region_tree *tree, lh_region *region, lh_virtual_range range)
{
	uint64_t before = lh_change_begin(tree);
	lh_region_cursor path;

	LH_PUBLISH(region->range.base.value, range.base.value);
	LH_PUBLISH(region->range.pages, range.pages);
	find_open(&path, tree);
	(void)lh_region_link_above(tree, &path, region, tree->owed_first);
	tree->owed_first = lh_span_of(range).end;
	lh_version_end(&region->version);
	lh_change_end(tree, before);
}

lh_error lh_region_tree_place_specifically(lh_region_tree *tree, lh_region *region,
					   lh_virtual_range range)
{
	lh_region_cursor other, *path;
	struct lh_page_span room;

	if (!lh_region_is_placeable(region) || !lh_virtual_range_is_valid(range) ||
	    !lh_virtual_range_covers(tree->total, range))
		return LH_INVALID;
	if (tree->open && is_owed(tree, region, range)) {
		put_back(tree, region, range);
		return LH_OK;
	}
	path = lh_path_find_again(&other, tree, lh_span_of(range).first);
	room = lh_path_room(tree, path, region->guard_before, region->guard_after);
	if (!lh_span_covers(room, lh_span_of(range)))
		return LH_EXISTS;
	lh_region_commit(tree, lh_path_cell(path), region, lh_span_of(range).first, range.pages);
	return LH_OK;
}

/* The cell above, in the same leaf, swallows the region's. */
static inline void swallow(lh_region_tree *tree, lh_region_cursor *path)
{
	lh_region_node *leaf = lh_path_node(path, 0);
	unsigned slot = path->slot[0];
	struct lh_page_span hole = lh_leaf_hole(tree, leaf, slot + 1);

	hole.first = leaf->key[slot];
	LH_PUBLISH(leaf->child[slot], leaf->child[slot + 1]);
	leaf->gap[slot] = (uint16_t)lh_gap_code(lh_span_pages(hole));
	lh_node_shut(leaf, slot);
	enlarge_hole(tree, path->host[0], hole);
}

/* The same where the cell above is the first of another leaf: that one is owed it. */
static void give_up(lh_region_tree *tree, lh_region_cursor *path, const lh_region *region)
{
	struct lh_page_span hole = lh_path_hole(tree, path);

	tree->owed_first = hole.first;
	tree->owed_end = lh_extent_end(region);
	lh_node_shut(lh_path_node(path, 0), path->slot[0] - 1u);
	lose_hole(tree, path->host[0], hole);
	path->slot[0]--;
}

static void take_out(lh_region_tree *tree, lh_region_cursor *path, lh_region *region)
{
	bool is_swallowed = path->slot[0] + 1u < lh_path_node(path, 0)->count;
	bool is_host = region->node.count != 0;

	if (is_host)
		lh_leaf_fetch_hosts(tree, lh_path_node(path, 0));
	if (is_swallowed)
		swallow(tree, path);
	else
		give_up(tree, path, region);
	if (is_host)
		lh_path_rehost(tree, path, region);
	if (!is_swallowed || lh_node_is_poor(tree, path, 0))
		tree->open = path->host[0];
}

void lh_region_take_out(lh_region_tree *tree, lh_region *region)
{
	uint64_t before = lh_change_begin(tree);

	lh_version_begin(&region->version);
	take_out(tree, &tree->last, region);
	tree->last_is_current = true;
	tree->count--;
	LH_PUBLISH(region->tree, NULL);
	lh_change_end(tree, before);
}

void lh_region_tree_remove(lh_region_tree *tree, lh_region *region)
{
	__builtin_prefetch(&region->leaf, 1);
	__builtin_prefetch(&region->node.count);
	lh_region_finish(tree);
	lh_path_find_region(&tree->last, tree, region);
	lh_region_take_out(tree, region);
}

void lh_region_close_leaf(lh_region_tree *tree)
{
	bool owes = tree->owed_first != tree->owed_end;
	uint64_t before = lh_change_begin(tree);
	lh_region_cursor path;

	find_open(&path, tree);
	tree->open = NULL;
	if (owes) {
		lh_path_copy(&tree->last, &path);
		(void)lh_path_step(&tree->last, true); /* there is one: the tail's */
		lh_path_begin(tree, &tree->last, tree->owed_first);
		tree->owed_first = tree->owed_end;
	}
	if (lh_node_is_poor(tree, &path, 0))
		lh_path_mend(tree, &path);
	else
		tree->last_is_current = owes;
	lh_change_end(tree, before);
}
