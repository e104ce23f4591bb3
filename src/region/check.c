/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The walker: recomputes all that the tree caches. From the root down, each node before its
 * children and these in order; so regions are met in address order. Levels fall with each step
 * down, every node has two children at least, and a leaf that is met again is out of order: it
 * ends, however the links are broken.
 */
#include "region/tree.h"

#define LH_TRY_CHECK(call)                                                         \
	do {                                                                       \
		const char *finding_ = (call);                                     \
		if (finding_)                                                      \
			return finding_;                                           \
	} while (0)

struct walk {
	const lh_region_tree *tree;
	const lh_region *below; /* the region met last */
	uint64_t low;		/* where its cell ended */
	uint64_t regions;	/* met so far, the tail too */
	uint64_t nodes;
	uint64_t hosts;		/* regions met whose block is in use */
	bool met_behind;	/* the leaf that is behind */
	bool met_open;		/* that which is open */
};

/* A region against its lower neighbour. */
static const char *check_below(const lh_region *below, const lh_region *region)
{
	struct lh_page_span lower = lh_span_of(below->range);
	struct lh_page_span higher = lh_span_of(region->range);

	if (higher.first < lower.first)
		return "regions are out of order";
	if (higher.first < lower.end)
		return "regions overlap";
	if (higher.first - lower.end < below->guard_after ||
	    higher.first - lower.end < region->guard_before)
		return "a guard is not kept";
	return NULL;
}

static const char *check_region(const struct walk *walk, const lh_region *region)
{
	const lh_region_tree *tree = walk->tree;

	if (region->tree != tree)
		return "a region in the tree names another tree";
	if (!lh_virtual_range_is_valid(region->range))
		return "a region's range is not valid";
	if (!lh_virtual_range_covers(tree->total, region->range))
		return "a region lies outside the tree's total range";
	if ((region->version & 1) != 0)
		return "a region in the tree has an odd version";
	if (region->guard_before > tree->guard_before_max ||
	    region->guard_after > tree->guard_after_max)
		return "a region has a larger guard than the tree knows";
	return walk->below ? check_below(walk->below, region) : NULL;
}

/* A cell. The tail's ends with the tree. */
static const char *check_cell(struct walk *walk, const lh_region *host, unsigned slot)
{
	const lh_region_node *leaf = &host->node;
	const lh_region *region = leaf->child[slot];
	struct lh_page_span hole = { walk->low, 0 };

	if (!region)
		return "a region is missing";
	if (leaf->key[slot] != walk->low)
		return "a key is not where an extent ends";
	hole.end = lh_extent_first(walk->tree, region);
	walk->regions++;
	walk->hosts += region->node.count != 0;
	if (region != &walk->tree->tail) {
		LH_TRY_CHECK(check_region(walk, region));
		walk->low = lh_extent_end(region);
	} else if (walk->regions != walk->tree->count + 1) {
		return "the count of regions is wrong";
	}
	if (leaf->gap[slot] != lh_gap_code(lh_span_pages(hole)))
		return "a region's gap is wrong";
	if (region->leaf != host)
		return "a region names another leaf than its own";
	walk->below = region;
	return NULL;
}

/* What a node says of itself. */
static const char *check_shape(const struct walk *walk, const lh_region_node *node, unsigned level,
			       bool is_open)
{
	bool is_root = level + 1 == walk->tree->levels;
	unsigned least = is_root ? (level > 0 ? 2 : 1) : LH_FILL_MIN - is_open;

	if (node->level != level)
		return "a node's level is wrong";
	if (node->count > LH_WAYS || node->count < least)
		return "a node has too many or too few children";
	for (unsigned i = node->count; i < LH_WAYS; i++) {
		if (node->key[i] != LH_NO_KEY)
			return "a node has a key too many";
		if (node->child[i])
			return "a node has a child too many";
		if (node->gap[i] != 0)
			return "a node has a gap too many";
	}
	return NULL;
}

/* True if the host is one of the regions met after so many, up to now. */
static bool hosts_itself(const lh_region_tree *tree, const lh_region *host, uint64_t low,
			 uint64_t end)
{
	uint64_t first = lh_span_of(host->range).first;

	return host == &tree->tail ? end == LH_NO_KEY : first >= low && first < end;
}

static const char *check_node(struct walk *walk, const lh_region *host, const lh_region *above,
			      unsigned level, uint64_t end);

/* The children of a node above level 0, whose part ends at end. */
static const char *check_children(struct walk *walk, const lh_region *host, uint64_t end)
{
	const lh_region_node *node = &host->node;

	for (unsigned i = 0; i < node->count; i++) {
		uint64_t child_end = i + 1u < node->count ? node->key[i + 1] : end;

		if (node->key[i] != walk->low)
			return "a key is not where an extent ends";
		LH_TRY_CHECK(check_node(walk, node->child[i], host, node->level - 1u, child_end));
		if (node->gap[i] != lh_gap_code(lh_told_room(walk->tree, node->child[i], 0)))
			return "a node's gap is not its child's room";
	}
	return NULL;
}

/* At the end of the open leaf: what it owes is nobody's until the next one gets it. */
static const char *check_owed(struct walk *walk)
{
	const lh_region_tree *tree = walk->tree;

	walk->met_open = true;
	if (tree->owed_first == tree->owed_end)
		return NULL;
	if (tree->owed_first > tree->owed_end || tree->owed_first != walk->low)
		return "what a leaf owes does not begin where it ends";
	walk->low = tree->owed_end;
	return NULL;
}

static const char *check_leaf(struct walk *walk, const lh_region *host)
{
	walk->met_behind |= host == walk->tree->behind;
	for (unsigned i = 0; i < host->node.count; i++)
		LH_TRY_CHECK(check_cell(walk, host, i));
	return host == walk->tree->open ? check_owed(walk) : NULL;
}

/* From each child, whatever shorter ways the tree has to know. */
static struct lh_rooms rooms_of(const lh_region_tree *tree, const lh_region_node *node)
{
	struct lh_rooms rooms = { { 0 } };

	for (unsigned i = 0; i < node->count; i++) {
		const lh_region *child = node->child[i];
		struct lh_page_span hole = { node->key[i], 0 };
		struct lh_rooms known;

		if (node->level == 0) {
			hole.end = lh_extent_first(tree, child);
			known = lh_hole_rooms(hole);
		} else {
			for (unsigned class = 0; class < LH_REGION_CLASSES; class++)
				known.of[class] = lh_told_room(tree, child, class);
		}
		rooms = lh_rooms_larger(rooms, known);
	}
	return rooms;
}

/* Recursion: one call a level. */
static const char *check_node(struct walk *walk, const lh_region *host, const lh_region *above,
			      unsigned level, uint64_t end)
{
	const lh_region_node *node;
	uint64_t low = walk->low;
	struct lh_rooms rooms;

	if (!host)
		return "a node is missing";
	node = &host->node;
	LH_TRY_CHECK(check_shape(walk, node, level, host == walk->tree->open));
	if (!hosts_itself(walk->tree, host, low, end))
		return "a node is hosted by a region that is not below it";
	if (node->above != above)
		return "a node names another one above than its own";
	walk->nodes++;
	if (level > 0)
		LH_TRY_CHECK(check_children(walk, host, end));
	else
		LH_TRY_CHECK(check_leaf(walk, host));
	rooms = rooms_of(walk->tree, node);
	for (unsigned class = 0; class < LH_REGION_CLASSES; class++)
		if (node->room[class] != rooms.of[class])
			return "a node's room is wrong";
	return NULL;
}

/* What is remembered of the last change is a way from the root to some cell. */
static const char *check_last(const lh_region_tree *tree)
{
	const lh_region_cursor *last = &tree->last;
	lh_region_cursor path;

	if (!tree->last_is_current)
		return NULL;
	if (last->known < 1 || last->known > tree->levels)
		return "the path of the last change has the wrong length";
	lh_path_find(&path, tree, lh_path_low(last, 0));
	lh_path_climb(&path, last->known - 1u);
	for (unsigned level = 0; level < last->known; level++)
		if (last->host[level] != path.host[level] || last->slot[level] != path.slot[level])
			return "the path of the last change leads nowhere";
	return NULL;
}

const char *lh_region_tree_check(const lh_region_tree *tree)
{
	struct walk walk = { .tree = tree, .low = lh_span_of(tree->total).first };

	if (!lh_virtual_range_is_valid(tree->total))
		return "the tree's total range is not valid";
	if ((tree->sequence & 1) != 0)
		return "the tree's sequence is odd";
	if (tree->levels < 1 || tree->levels > LH_REGION_LEVELS)
		return "the tree's number of levels is wrong";
	LH_TRY_CHECK(check_node(&walk, tree->root, NULL, tree->levels - 1, LH_NO_KEY));
	if (tree->has_guards != ((tree->guard_before_max | tree->guard_after_max) != 0))
		return "the tree is wrong about whether there are guards";
	if (walk.below != &tree->tail)
		return "the tail is not the last";
	if (walk.hosts != walk.nodes)
		return "a block is in use that is no node";
	if (tree->behind && !walk.met_behind)
		return "what is behind is no leaf of the tree";
	if (tree->open ? !walk.met_open : tree->owed_first != tree->owed_end)
		return "what is open is no leaf of the tree";
	return check_last(tree);
}
