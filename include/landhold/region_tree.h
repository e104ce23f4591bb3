/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The region tree: the single authority over what an address space looks like.
 *
 * You place a region; you never get a bare range. Finding the hole, giving the
 * region its range and linking it in is one step, on a region that is complete
 * in all else. The tree never allocates: its nodes lie in the regions.
 *
 * A region's *extent* is its range with its guards on either side. Extents of
 * neighbours may share guard pages (a guard is a distance to keep, not a
 * possession): between two regions lie at least max(guard_after of the lower,
 * guard_before of the higher) pages. A hole is what lies between two ranges. The
 * ends of the total range are not regions: no guard is kept from them.
 *
 * No lock of its own: every call but lh_region_tree_read is made under the lock that
 * guards the tree (a space's map lock, or the caller's), and a region is complete
 * before that lock is taken. Usable alone, for GPU, IOMMU, guest-physical or JIT
 * ranges: links with nothing but src/base.
 *
 * Trees whose regions are all pooled (LH_REGION_POOLED) own them: range operations may
 * split and merge them, and lh_region_tree_read may look them up without the lock. Other
 * regions are their holders': the tree never splits or merges one unless told to by name.
 */
#ifndef LANDHOLD_REGION_TREE_H
#define LANDHOLD_REGION_TREE_H

#include <landhold/region.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A place in a tree, for lookups near the last one. Any change of the tree makes it stale, which it
 * notices; zeroed it is nowhere.
 */
typedef struct lh_region_cursor {
	const struct lh_region_tree *tree;
	uint64_t sequence;
	struct lh_region *host[LH_REGION_LEVELS]; /* by level: the nodes on the way from the root */
	uint8_t slot[LH_REGION_LEVELS];		  /* the child taken in each */
	uint8_t known;				  /* levels, from below, that have been filled in */
} lh_region_cursor;

/* Must stay where it was initialised: what lies in it is part of the structure. */
typedef struct lh_region_tree {
	lh_region tail;		  /* stands above all regions; in no list, never given out */
	lh_virtual_range total;	  /* constant: all regions lie in it */
	struct lh_region *root;	  /* [t] the host of the topmost node */
	uint32_t levels;	  /* [t] at least 1 */
	uint32_t guard_before_max; /* [t] largest guards of any region so far */
	uint32_t guard_after_max; /* [t] */
	uint64_t count;		  /* [t] regions in the tree */
	uint64_t sequence;	  /* [t] odd only while nodes change; only grows */
	uint64_t steps;		  /* [t] nodes and slots that searches looked at, if LH_DEBUG is 2 */
	lh_region_cursor last;	  /* [t] where a region was changed or taken out, or will be ... */
	bool last_is_current;	  /* [t] ... and no node has changed since */
	bool has_guards;	  /* [t] some region so far had any */
	struct lh_region *behind; /* [t] host of the leaf whose rooms changed last; NULL: none ... */
	uint32_t told[LH_REGION_CLASSES]; /* [t] ... and what the nodes above still believe of them */
	struct lh_region *open;	  /* [t] host of the leaf that the last removal has not done with; NULL: none ... */
	uint64_t owed_first;	  /* [t] ... and the pages, from here ... */
	uint64_t owed_end;	  /* [t] ... to here, that the next leaf's first cell is to get: none if the same */
} lh_region_tree;

typedef enum lh_direction {
	LH_LOWEST_FIRST,
	LH_HIGHEST_FIRST,
	LH_NEAREST_FIRST /* to the placement's hint; of two as near, the lower */
} lh_direction;

/* What a placement must satisfy. All zero but pages: anywhere, lowest first. */
typedef struct lh_placement {
	uint64_t pages;		 /* >= 1 */
	uint64_t alignment;	 /* of the base, in pages: a power of two; 0 means 1 */
	lh_virtual_range within; /* limits; empty: the whole tree */
	lh_direction direction;
	lh_virtual_address hint; /* for LH_NEAREST_FIRST: the base that is wished for */
	uint64_t spread;	 /* of place_randomly, in pages: see there; 0: none */
} lh_placement;

/* A source of random numbers, all 64 bits of each. => context: what was given with it. */
typedef uint64_t lh_region_random(void *context);

/* An empty tree over the total range, which must be valid. */
LH_MUST_USE lh_error lh_region_tree_init(lh_region_tree *tree, lh_virtual_range total);

/* --- placing --- */

/*
 * Places the region in the lowest or highest legal slot, or in that nearest to a hint. The search
 * is complete: if a legal slot exists, one is found. O(log n) at page, 2 MiB and 1 GiB alignment;
 * at another, O(log n) more for each gap that is large enough but for the alignment. Where regions
 * with different guards meet, also for each that is large enough but for those.
 * => region: built, in no tree; its guards are obeyed, and its neighbours'.
 * => limits: the region's range lies in them; guards may lie outside. What of
 *    them lies outside the total range does not count.
 * => LH_INVALID: pages 0 or more than the limits hold, alignment not a power of
 *    two, limits not valid or all outside the total range, region in a tree
 *    already or never built. LH_NO_HOLE: no legal slot. On error nothing changed.
 */
LH_MUST_USE lh_error lh_region_tree_place_anywhere(lh_region_tree *tree, lh_region *region,
						   const lh_placement *placement);

/*
 * Places the region in a slot drawn at random: each legal slot is exactly as likely as each other.
 * At most 16 draws are made, O(log n) each; if none is legal, the legal slots are counted and one
 * of them is drawn, O(n). Never gives up while there is one.
 * => placement->spread: keeps page tables dense. Only slots at most so many pages beyond the
 *    first one in the placement's direction (not LH_NEAREST_FIRST) count.
 * => random: called without end only if it never gives a number that can be used.
 * => errors as place_anywhere.
 */
LH_MUST_USE lh_error lh_region_tree_place_randomly(lh_region_tree *tree, lh_region *region,
						   const lh_placement *placement,
						   lh_region_random *random, void *context);

/*
 * Places the region exactly there. O(log n).
 * => LH_EXISTS: overlaps a region, or comes nearer to one than a guard allows.
 *    LH_INVALID: not in the tree's total range, or region in a tree already or
 *    never built.
 *    On error nothing changed.
 */
LH_MUST_USE lh_error lh_region_tree_place_specifically(lh_region_tree *tree, lh_region *region,
						       lh_virtual_range range);

/*
 * Takes the region out; it keeps its range, and belongs to its owner alone again.
 * => region: in this tree. Its version ends odd. Cannot fail. O(log n).
 */
void lh_region_tree_remove(lh_region_tree *tree, lh_region *region);

/* --- looking up --- */

/* The region that the address lies in, or NULL. Guards are not part of it. O(log n). */
lh_region *lh_region_tree_find(const lh_region_tree *tree, lh_virtual_address address);

/* The lowest region whose last byte is at or above the address, or NULL. */
lh_region *lh_region_tree_find_from(const lh_region_tree *tree, lh_virtual_address address);

/*
 * As lh_region_tree_find, and O(1) if the address lies in, or near, the region found last with
 * this cursor and the tree has not changed. One cursor a CPU or thread.
 * => cursor: zeroed, or used before, with any tree.
 */
lh_region *lh_region_tree_find_near(const lh_region_tree *tree, lh_region_cursor *cursor,
				    lh_virtual_address address);

/*
 * The lowest region that has a page in the range, or NULL. Walk on with
 * lh_region_tree_next_crossing.
 */
lh_region *lh_region_tree_first_crossing(const lh_region_tree *tree, lh_virtual_range range);
lh_region *lh_region_tree_next_crossing(const lh_region *region, lh_virtual_range range);

/* In-order walk: NULL past the end. O(log n) a step: from the region alone. */
lh_region *lh_region_tree_first(const lh_region_tree *tree);
lh_region *lh_region_tree_last(const lh_region_tree *tree);
lh_region *lh_region_tree_next(const lh_region *region);
lh_region *lh_region_tree_previous(const lh_region *region);

/*
 * Where a walk is: among the regions of a leaf, and among the leaves below a node. What is not compiled
 * in line is given no address of it: so a loop has it in registers.
 */
typedef struct lh_region_walk {
	const struct lh_region_tree *tree;
	struct lh_region *const *at;	   /* the region, among its leaf's ... */
	struct lh_region *const *end;	   /* ... and where these end */
	struct lh_region *const *leaf;	   /* the leaf's host, among those beside it ... */
	struct lh_region *const *leaf_end; /* ... and where the next is to be looked for */
} lh_region_walk;

/* For what follows: from the lowest region, from an address, from the leaf after one that a walk was in. */
lh_region_walk lh_region_walk_at_first(const lh_region_tree *tree);
lh_region_walk lh_region_walk_at(const lh_region_tree *tree, lh_virtual_address address);
lh_region_walk lh_region_walk_beyond(const lh_region_tree *tree, struct lh_region *const *leaf);

/* The region that a walk is at. */
static inline lh_region *lh_region_walk_region(const lh_region_walk *walk)
{
	return walk->at != walk->end ? *walk->at : NULL;
}

/*
 * The same walk at O(1) a step. first and from begin one: at the lowest region, and as
 * lh_region_tree_find_from; next needs one that is on a region. => the tree has not changed in
 * between. NULL past the end.
 */
static inline lh_region *lh_region_walk_first(lh_region_walk *walk, const lh_region_tree *tree)
{
	*walk = lh_region_walk_at_first(tree);
	return lh_region_walk_region(walk);
}

static inline lh_region *lh_region_walk_from(lh_region_walk *walk, const lh_region_tree *tree,
					     lh_virtual_address address)
{
	*walk = lh_region_walk_at(tree, address);
	return lh_region_walk_region(walk);
}

static inline lh_region *lh_region_walk_next(lh_region_walk *walk)
{
	if (++walk->at == walk->end) {
		if (++walk->leaf == walk->leaf_end) {
			*walk = lh_region_walk_beyond(walk->tree, walk->leaf - 1);
			if (walk->at == walk->end)
				return NULL;
		} else {
			walk->at = (*walk->leaf)->node.child;
			walk->end = walk->at + (*walk->leaf)->node.count;
		}
	}
	if (!*walk->at)
		__builtin_unreachable(); /* for the compiler to know: a loop tests only for the end */
	return *walk->at;
}

/* What a lookup without the lock tells of a region. */
typedef struct lh_region_snapshot {
	const lh_region *region; /* to be compared, not followed: it may be gone already */
	uint64_t version;	 /* even; while the region has it, all here is true */
	lh_virtual_range range;
	lh_rights rights, rights_max, rights_history;
	uint8_t backing;
	uint32_t flags;
	uint64_t tag;
	struct lh_object *object;
	uint64_t object_page;
} lh_region_snapshot;

/*
 * Looks up without the tree's lock, whatever its holder does meanwhile.
 * => the tree owns its regions, and their memory stays memory of regions for the whole call (a
 *    pool's; src/physical/pool.c), also of those that leave the tree.
 * => LH_OK: the region was in the tree, and as the snapshot says, at one moment of the call.
 *    LH_NOT_MAPPED: no region had the address at one moment of the call. LH_AGAIN: three tries met
 *    changes: look up under the lock. *snapshot is meaningful after LH_OK only.
 */
LH_MUST_USE lh_error lh_region_tree_read(const lh_region_tree *tree, lh_virtual_address address,
					 lh_region_snapshot *snapshot);

/* For the same call, so to speak: with nothing between that lets the memory go. => true: the region has been as
 * the snapshot says until now, or changes just now. */
bool lh_region_snapshot_is_current(const lh_region_snapshot *snapshot);

/* --- changing where they are --- */

/*
 * Splits a region at a page address strictly inside it: it keeps the pages below;
 * upper, which the caller built and which is in no tree, takes over those at and
 * above, with all attributes (rights, maximum, history, backing, flags, tag,
 * owner, object and its page; guard_after moves to upper, and neither keeps a
 * guard at the cut).
 * Upper is not on the object's list: that is the caller's to do, under the
 * object's lock. Both versions end even. Cannot fail. O(log n).
 */
void lh_region_tree_split(lh_region_tree *tree, lh_region *region, lh_virtual_address at,
			  lh_region *upper);

/* The same with the pages of the hole taken out of the middle: both ends of the region stay. */
void lh_region_tree_punch(lh_region_tree *tree, lh_region *region, lh_virtual_range hole,
			  lh_region *upper);

/*
 * Merges a region with the one that follows it, if the two are mergeable: the
 * region grows, the follower is taken out of the tree and returned (its version
 * ends odd; it keeps its range and attributes, and its place on the object's
 * list, which is the caller's to end). Else NULL, nothing changed. Cannot fail.
 */
lh_region *lh_region_tree_merge_next(lh_region_tree *tree, lh_region *region);

/*
 * Changes a region's range in place, to one that lies between its neighbours
 * (guards obeyed); of a region with an object, object_page follows the base.
 * => LH_EXISTS: it would reach or pass a neighbour, or a guard. LH_INVALID: not in
 *    the total range, or the object's page would be below 0. On error nothing changed.
 * The first only says whether the second would: for who must take something in between, under the tree's lock.
 */
LH_MUST_USE lh_error lh_region_tree_may_resize(const lh_region_tree *tree, const lh_region *region,
					       lh_virtual_range range);
LH_MUST_USE lh_error lh_region_tree_resize(lh_region_tree *tree, lh_region *region,
					   lh_virtual_range range);

/* --- ranges: trees whose regions are pooled --- */

/* Regions that nobody uses: a stack through object_next. */
typedef struct lh_region_list {
	lh_region *first;
	unsigned count;
} lh_region_list;

void lh_region_list_push(lh_region_list *list, lh_region *region);
/* => the list is not empty. */
lh_region *lh_region_list_pop(lh_region_list *list);

/* What a range operation has worked out before it changes anything. Of the regions that it crosses: */
typedef struct lh_region_survey {
	unsigned spares;	  /* that the operation will take: 0 to 2 */
	uint64_t pages;		  /* of the range that are in them */
	uint64_t charged_pages;	  /* of these, in those that are LH_REGION_CHARGED, */
	uint64_t unpromised_pages; /* and in others that are private and backed */
	lh_rights rights;	  /* that one of them grants now */
	lh_rights rights_max;	  /* that all of them may */
	lh_rights rights_history; /* that one of them ever did */
} lh_region_survey;

/* What a range operation takes and leaves, and whom it tells. All may be zero. None of the calls may place or
 * take out, cut or merge a region of the tree. */
typedef struct lh_region_change {
	lh_region_list spares; /* built regions, in no tree: taken from as needed */
	lh_region_list dead;   /* gets those that left the tree */
	/* All is found to be possible, and nothing changed yet: the caller's last word. It takes what
	 * else can fail, and does what must be done first (what CPUs can reach is cleared and flushed
	 * before regions change). After LH_OK the operation cannot fail; an error is passed on. */
	lh_error (*prepare)(struct lh_region_change *change, const lh_region_survey *survey);
	/* Protect: a region has its new rights, and its version is odd: what follows from them. Advise: it is
	 * to have its new flags. */
	void (*grant)(struct lh_region_change *change, lh_region *region);
	/* Before a region's range changes, and after. upper: a piece that was split off, or NULL;
	 * is_gone: the region has left the tree, and is put on the list of the dead next. A region
	 * with an object is put on that one's list, or taken off, there. */
	void (*before)(struct lh_region_change *change, lh_region *region);
	void (*after)(struct lh_region_change *change, lh_region *region, lh_region *upper,
		      bool is_gone);
} lh_region_change;

/*
 * Takes every page of the range out of whatever regions have it: cuts their ends off, splits one
 * in two, takes out those that lie in it. What was cut keeps no guard at the cut.
 * => LH_INVALID: not a range of the tree, or a region that crosses it is not pooled.
 *    LH_NO_MEMORY: a spare is needed (at most 1) and none is there. On error nothing changed.
 */
LH_MUST_USE lh_error lh_region_tree_unmap(lh_region_tree *tree, lh_virtual_range range,
					  lh_region_change *change);

/*
 * Gives all pages of the range these rights, and adds them to the history; then merges whatever
 * became one. Rights beyond what a region's maximum allows: LH_NO_ACCESS.
 * => LH_NOT_MAPPED: a page of the range is in no region. LH_INVALID as above. LH_NO_MEMORY: more
 *    spares are needed (at most 2) than are there. On error nothing changed.
 */
LH_MUST_USE lh_error lh_region_tree_protect(lh_region_tree *tree, lh_virtual_range range,
					    lh_rights rights, lh_region_change *change);

/*
 * Changes what else the regions of the range say of it: `grant` is called for each, cut to the range; then
 * merges whatever became one. Errors and spares as protect, but LH_NO_ACCESS.
 */
LH_MUST_USE lh_error lh_region_tree_advise(lh_region_tree *tree, lh_virtual_range range,
					   lh_region_change *change);

/*
 * Places a region at the range, over whatever is there, as unmap and place_specifically in one
 * step; then merges it with its neighbours if they are one: then the list of the dead gets it.
 * => LH_EXISTS: a neighbour that stays, or a guard, is nearer than a guard allows. LH_INVALID,
 *    LH_NO_MEMORY as unmap; LH_INVALID also as place_specifically. On error nothing changed.
 */
LH_MUST_USE lh_error lh_region_tree_replace(lh_region_tree *tree, lh_region *region,
					    lh_virtual_range range, lh_region_change *change);

/* What that would find there, and whether it would be refused for the place: for who takes out what is there in steps
 * of his own. Changes nothing. => LH_INVALID, LH_EXISTS: as there; *survey is then not written. */
LH_MUST_USE lh_error lh_region_tree_may_replace(const lh_region_tree *tree, const lh_region *region,
						lh_virtual_range range, lh_region_survey *survey);

/* Merges every two mergeable neighbours of which one touches the range. */
void lh_region_tree_merge(lh_region_tree *tree, lh_virtual_range range, lh_region_change *change);

/* True if every page of the range is in a region. */
bool lh_region_tree_is_mapped(const lh_region_tree *tree, lh_virtual_range range);

/*
 * Recomputes everything the tree caches: order, overlap, guards, keys, gaps, rooms,
 * hosts, count; versions and the sequence must be even. Bounded even if links are
 * broken. => NULL if all is well, else what is wrong. O(n log n).
 */
const char *lh_region_tree_check(const lh_region_tree *tree);

#ifdef __cplusplus
}
#endif
#endif
