/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looking up without the tree's lock.
 *
 * The way down may be overtaken by changes at every step: a node may be half rewritten, or its
 * block serve another part of the tree by now. So nothing on the way is believed; it only leads to
 * a region that may be the one, and the region says itself whether it is. What makes that safe:
 *
 *   Memory. Every child pointer in a node is that of a region, or none; the tree owns its regions,
 *   and their memory stays memory of regions while we are here. A node lies in
 *   a region and has its address. So whatever we follow, we read a region. (Slots that are not in
 *   use name none, nor does a block that is no node any more: whoever was named there may have gone
 *   before we came. Only the node of a tree's end lies in the tree; who lets a tree's memory go waits for us.)
 *   End. We count the levels down, from that of the node at the root: at most 256 steps.
 *   Truth. A region's fields are copied between two reads of its version that found the same even
 *   number. The version is odd whenever its fields change, and never comes back to an old value;
 *   so the copy was all true at one moment in between: at the first read, for one. If it names
 *   this tree and has the address, it is the answer, whatever the nodes looked like.
 *   Absence. That no region has the address is told by the nodes alone: so it holds only if no
 *   node changed meanwhile, that is, if the tree's sequence was even and stayed the same. A region
 *   that is changing, though in the tree, is not absent: that is a try that failed.
 *
 * Order of memory. Writers make the version odd, then the fields, then make it even, each a release
 * store; we load each with acquire. So if a field that we load is new, the version that we load
 * after it is the odd one at least, and differs. The same for nodes and the sequence.
 */
#include "region/tree.h"

/* A test may want to be somewhere between every two loads. */
#ifndef LH_READ_POINT
#define LH_READ_POINT() ((void)0)
#endif

#define READ(field) (LH_READ_POINT(), lh_atomic_load(&(field)))

enum { TRIES = 3 };

enum outcome { FOUND, ABSENT, DISTURBED };

/* As lh_node_child. */
static const lh_region *child_of(const lh_region_node *node, uint64_t page)
{
	const uint64_t *key = node->key;
	unsigned slot = 2 * ((unsigned)(READ(key[2]) <= page) + (READ(key[4]) <= page) + (READ(key[6]) <= page));
	const lh_region *lower = READ(node->child[slot]), *upper = READ(node->child[slot + 1]);

	_Static_assert(LH_WAYS == 8, "four pairs");
	LH_OPAQUE(lower);
	LH_OPAQUE(upper);
	return READ(key[slot + 1]) <= page ? upper : lower;
}

/* A region that may have the page, or NULL: the way was changed under us. */
static const lh_region *go_down(const lh_region_tree *tree, uint64_t page)
{
	const lh_region *host = READ(tree->root);
	unsigned level = READ(host->node.level);

	for (;;) {
		const lh_region *child = child_of(&host->node, page);

		if (!child || level == 0)
			return child;
		host = child;
		level--;
	}
}

static enum outcome copy(const lh_region_tree *tree, const lh_region *region,
			 lh_virtual_address address, lh_region_snapshot *snapshot)
{
	uint64_t version = READ(region->version);

	if ((version & 1) != 0 || READ(region->tree) != tree)
		return DISTURBED;
	snapshot->region = region;
	snapshot->version = version;
	snapshot->range.base.value = READ(region->range.base.value);
	snapshot->range.pages = READ(region->range.pages);
	snapshot->rights = READ(region->rights);
	snapshot->rights_max = READ(region->rights_max);
	snapshot->rights_history = READ(region->rights_history);
	snapshot->backing = READ(region->backing);
	snapshot->flags = READ(region->flags);
	snapshot->tag = READ(region->tag);
	snapshot->object = READ(region->object);
	snapshot->object_page = READ(region->object_page);
	if (READ(region->version) != version)
		return DISTURBED;
	return lh_virtual_range_contains(snapshot->range, address) ? FOUND : ABSENT;
}

static enum outcome try_once(const lh_region_tree *tree, lh_virtual_address address,
			     lh_region_snapshot *snapshot)
{
	uint64_t sequence = READ(tree->sequence);
	const lh_region *region = go_down(tree, address.value >> LH_PAGE_SHIFT);
	enum outcome outcome = region ? copy(tree, region, address, snapshot) : DISTURBED;

	if (outcome == ABSENT && ((sequence & 1) != 0 || READ(tree->sequence) != sequence))
		return DISTURBED;
	return outcome;
}

lh_error lh_region_tree_read(const lh_region_tree *tree, lh_virtual_address address,
			     lh_region_snapshot *snapshot)
{
	for (unsigned i = 0; i < TRIES; i++) {
		enum outcome outcome = try_once(tree, address, snapshot);

		if (outcome != DISTURBED)
			return outcome == FOUND ? LH_OK : LH_NOT_MAPPED;
	}
	return LH_AGAIN;
}

bool lh_region_snapshot_is_current(const lh_region_snapshot *snapshot)
{
	return READ(snapshot->region->version) == snapshot->version;
}
