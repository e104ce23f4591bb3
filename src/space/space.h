/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside of an address space.
 *
 * Authority: the tree says what is mapped; for a private page the leaf entry is the only
 * record; for an object's page the object's index is.
 *
 * Huge leaves: huge.c, collapse.c.
 *
 * Locks, by letter:
 *   [m] the map lock: a mutex. Every operation that changes the tree holds it, never across I/O or a
 *       wait for memory. Faults look into the tree without it (fault_plan.c).
 *   [d] for an entry, the lock of its table, after the map and the object's lock (paging/walk.h)
 *   [a] atomic
 *   [c] constant
 *
 * Leaves are written by many: faults, which hold no mutex but, of a shared file's page, the object's;
 * truncation and write-back, which come from the other side and hold the object's lock; and the
 * operations under the map lock. So under [m] alone a leaf may come, go or gain rights at any
 * moment, and tables with it. Who must have that otherwise publishes so first: the versions of a range
 * are odd, then no fault commits there (version.h); the page is not the object's, then none shows it
 * (object/object.h). Then he visits the leaves, each under [d].
 *
 * Invariants at rest (lh_space_check):
 *   each leaf that is not empty lies in a region, and grants no right that the region does not;
 *   a leaf with the write right in a private region names an ANONYMOUS frame with one holder beside its pins;
 *   so does one that names a pinned ANONYMOUS frame (pin.c);
 *   an OBJECT frame's leaf is read-only in a private region;
 *   a huge leaf lies in one region, and is as a page's leaf would be for each of its frames;
 *   a SHARED leaf (paging/shared.h) lies in one region, private and anonymous, and what its table says is said here;
 *   pages, charged == the sums over the regions; each region with an object is on its list;
 *   neighbours that could be one region are one.
 */
#ifndef LANDHOLD_SPACE_SPACE_H
#define LANDHOLD_SPACE_SPACE_H

#include "object/machine.h"
#include "object/object.h"

#define LH_SPACE_VERSIONS 16

/* What faults count, in parts as the directory's counters are: each CPU adds to the part that its number chooses, on a
 * line that it shares with one CPU in eight. */
typedef struct lh_space_part {
	uint64_t unused[7];
	uint64_t faults; /* [a] */
} lh_space_part;

struct lh_space {
	lh_directory directory;	  /* [d]; first: regions name it as their owner */
	lh_manager *manager;	  /* [c] */
	lh_account *account;	  /* [c] that promises are charged to; NULL: none */
	uint32_t lock;		  /* the map lock */
	lh_region_tree tree;	  /* [m] to change; may be read without (region/read.c) */
	uint64_t pages;		  /* [m] in regions */
	uint64_t charged;	  /* [m] */
	lh_space_limits limits;	  /* [m] */
	bool may_have_huge;	  /* [m] to set, before the first huge leaf may come; [a] to read; never cleared */
	uint64_t versions[LH_SPACE_VERSIONS]; /* [m] to write, [a] to read: version.h */
	uint32_t has_pins;	  /* [a] pages were pinned once; set before the first is */
	lh_space_part parts[LH_DIRECTORY_PARTS]; /* last, so that their lines have nothing else */
};

#define LH_SPACE_REGIONS_DEFAULT 65530

/* Regions taken from the pool beforehand, and regions to be given back afterwards (region_tree.h).
 * Adds count fresh regions. => LH_NO_MEMORY: the list is as before. */
LH_MUST_USE lh_error lh_region_list_take(lh_manager *manager, lh_region_list *list, unsigned count);
/* Gives all back to the pool; where a region has an object, drops its holder. No lock. */
void lh_region_list_release(lh_manager *manager, lh_region_list *list);

void lh_space_lock(lh_space *space);
void lh_space_unlock(lh_space *space);

/*
 * Promises, counted at the space's account (object/promise.h). => LH_LIMIT: an account's; LH_NO_MEMORY: the allocator's.
 * Taking: interrupts on, under the map lock at most. Giving back: any context.
 */
LH_MUST_USE lh_error lh_space_charge(const lh_space *space, uint64_t pages);
void lh_space_discharge(const lh_space *space, uint64_t pages);

/* LH_OK if the range is valid and lies in the user range. */
LH_MUST_USE lh_error lh_space_validate_range(const lh_space *space, lh_virtual_range range);

/* --- under the map lock --- */

/* What queries tell of a region. */
lh_region_info lh_region_read_info(const lh_region *region);

/* Puts a placed region on its object's list; takes it off. */
void lh_space_link_object(lh_region *region);
void lh_space_unlink_object(lh_region *region);

/* Makes a fresh region like another, of this space: all but the place. With a holder of its object. */
void lh_space_build_copy(lh_space *space, const lh_region *region, lh_region *copy);

/* Merges every pair of mergeable neighbours that touches the range; the dead go to the list. */
void lh_space_merge_around(lh_space *space, lh_virtual_range range, lh_region_list *dead);

/* Clears every leaf of the range, flushes, and drops what they held. */
void lh_space_clear_pages(lh_space *space, lh_virtual_range range);

/* Splits what straddles an end of the range; the first takes the tables for it. => the versions of the range are
 * odd, and have been since before the first. */
LH_MUST_USE lh_error lh_space_prepare_split(lh_space *space, lh_virtual_range range, lh_spare_tables *tables);
void lh_space_split(lh_space *space, lh_virtual_range range, lh_spare_tables *tables);
/* Opens what the range has of tables that are shared (paging/shared.h): before rights are taken from leaves, or they are
 * moved. The first takes the tables for it. */
LH_MUST_USE lh_error lh_space_prepare_open(lh_space *space, lh_virtual_range range, lh_spare_tables *tables);
void lh_space_open(lh_space *space, lh_virtual_range range, lh_spare_tables *tables);
/* A huge leaf: its level, and the order of its frames. */
#define LH_SPACE_HUGE_LEVEL 1u
#define LH_SPACE_HUGE_ORDER 9u
/* Does the format have leaves that span a piece (version.h)? And: does the policy want them of a region with these
 * flags? */
bool lh_manager_can_huge(const lh_manager *manager);
bool lh_manager_wants_huge(const lh_manager *manager, uint32_t flags);
/* True if leaves larger than a page may be there, huge ones or SHARED; and if one may straddle an end of the range. */
bool lh_space_may_have_larger(const lh_space *space);
bool lh_space_may_straddle(const lh_space *space, lh_virtual_range range);

/* The rights, and those that come with them where the format cannot refuse them. */
lh_rights lh_space_implied_rights(const lh_space *space, lh_rights rights);

/* Pages that the space may still map, by its page limit. */
uint64_t lh_space_pages_left(const lh_space *space);
uint64_t lh_space_regions_left(const lh_space *space);

#endif
