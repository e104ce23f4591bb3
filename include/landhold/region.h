/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A region: a virtual range with rights, flags and a backing. It owns its place
 * in exactly one region tree, or is in none.
 *
 * Who builds it owns it: user regions come from their space's pool and never
 * leave the library; kernel regions are members of whatever in the kernel holds
 * them, and the tree only indexes them.
 *
 * Locks, by letter:
 *   [t] the lock of the tree that the region is in (a space's map lock); before
 *       it is in a tree, whoever builds it
 *   [o] also the object's lock, while object != NULL: written under both, read
 *       under either
 *   [c] constant from when it was built
 */
#ifndef LANDHOLD_REGION_H
#define LANDHOLD_REGION_H

#include <landhold/virtual_range.h>

#ifdef __cplusplus
extern "C" {
#endif

struct lh_object;
struct lh_region_tree;

typedef enum lh_backing {
	LH_BACKING_NONE,      /* a reservation: touching it is a clean error */
	LH_BACKING_ANONYMOUS, /* private zero-filled memory: the page table holds the pages */
	LH_BACKING_OBJECT     /* a VM object holds the pages */
} lh_backing;

/* Region flags. */
#define LH_REGION_SHARED (1u << 0)	  /* writes go to the object, not to private copies */
#define LH_REGION_CHARGED (1u << 1)	  /* each page of it counts as committed memory */
#define LH_REGION_POOLED (1u << 2)	  /* comes from a space's pool: may be split and merged */
#define LH_REGION_KERNEL (1u << 3)	  /* populated when made; faults are never resolved */
#define LH_REGION_GROWS_DOWN (1u << 4)	  /* a stack: a fault in the guard below extends it */
#define LH_REGION_NOT_INHERITED (1u << 5) /* fork leaves it out */
#define LH_REGION_EMPTY_ON_FORK (1u << 6) /* fork gives the child zeroes */
#define LH_REGION_PHYSICAL (1u << 7)	  /* a kernel's, over memory that was there: the manager's */
#define LH_REGION_HUGE (1u << 8)	  /* advice: a fault may bring a huge leaf (lh_space_advise) */
#define LH_REGION_NO_HUGE (1u << 9)	  /* advice: none does */

/*
 * A node of the region tree (src/region/tree.c has the theory). Each region brings the storage of
 * one; whether it is in use, and for which part of the tree, is the tree's affair.
 */
#define LH_REGION_WAYS 8    /* most children of a node */
#define LH_REGION_LEVELS 20 /* most levels of a tree: at the least 2^30 regions */
#define LH_REGION_CLASSES 3 /* alignments searched in O(log n): a page, 2 MiB, 1 GiB */

/* By cache lines: a search by address reads the first two, one for a hole the last two, one for the
 * node above the last. */
typedef struct lh_region_node {
	uint64_t key[LH_REGION_WAYS];		  /* [t] page where the part of each child begins */
	struct lh_region *child[LH_REGION_WAYS];  /* [t] regions; above level 0, hosts of nodes */
	uint16_t gap[LH_REGION_WAYS];		  /* [t] code of the largest hole below */
	uint32_t room[LH_REGION_CLASSES];	  /* [t] largest room of all, a class of alignment */
	uint8_t count;				  /* [t] children; 0: not in use */
	uint8_t level;				  /* [t] 0: the children are regions */
	uint8_t slot_above;			  /* [t] where it was in the node above, if still so */
	uint8_t reserved;
	struct lh_region *above;		  /* [t] host of the node above; NULL: the root */
} lh_region_node;

/* Five cache lines. What a fault reads first fills the third, what a removal does the fourth. */
typedef struct lh_region {
	lh_region_node node;	       /* [t] first: a node and its host have one address */

	lh_virtual_range range;	       /* [t][o] */
	uint32_t flags;		       /* [t] LH_REGION_... */
	lh_rights rights;	       /* [t] what a fault may grant now */
	lh_rights rights_max;	       /* [t] what protect may ever grant */
	lh_rights rights_history;      /* [t] what was ever granted: W^X looks here */
	uint8_t backing;	       /* [c] lh_backing */

	struct lh_region *leaf;	       /* [t] in a tree: host of the node that has it as a child */
	uint64_t version;	       /* [t] odd while it changes or is in no tree; never reset */
	struct lh_region_tree *tree;   /* [t] NULL: in no tree */
	uint32_t guard_before;	       /* [t] pages kept free below the range */
	uint32_t guard_after;	       /* [t] pages kept free above it */
	struct lh_object *object;      /* [c] for LH_BACKING_OBJECT */
	uint64_t object_page;	       /* [t][o] object page that range.base shows */
	uint64_t tag;		       /* [t] the host's: neighbours merge only if equal */
	void *owner;		       /* [c] the space, for user regions; the holder's own else */

	struct lh_region *object_next; /* [o] the object's list of regions */
	struct lh_region *object_previous; /* [o] */
	uint64_t reserved[6];	       /* so that regions in a row begin on cache lines */
} lh_region;

/*
 * Builds a region in the caller's memory: no range, in no tree, no guards, no
 * object. The most that protect may grant, and the history, begin as the rights.
 * => version, which outlives reuse of the memory, is made odd and never lower.
 *    Memory that never was a region must be zeroed first.
 */
void lh_region_init(lh_region *region, lh_backing backing, lh_rights rights, uint32_t flags);

/* True if the two could be one region: same attributes, b follows a in addresses
 * and, for objects, in object pages; no guard between them. Both pooled. */
bool lh_region_is_mergeable(const lh_region *a, const lh_region *b);

/* Pages of commit charge that a region of this kind and size stands for. */
static inline uint64_t lh_region_charge(const lh_region *region)
{
	return (region->flags & LH_REGION_CHARGED) != 0 ? region->range.pages : 0;
}

/* The object page that an address in the region shows. */
static inline uint64_t lh_region_object_page(const lh_region *region, lh_virtual_address address)
{
	return region->object_page + lh_virtual_range_index(region->range, address);
}

#ifdef __cplusplus
}
#endif
#endif
