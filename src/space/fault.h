/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page faults.
 *
 * A fault looks, plans, lets go, has the work done, and commits after checking again:
 *
 *     plan     find the region, note what it says. Then read the leaf, name the case
 *     prepare  holding nothing: a frame, zeroed or filled; the object's page; tables
 *     commit   lock of the leaf's table: is all still as the plan saw it? then write the leaf
 *
 * A case that needs nothing to be prepared (ZERO and UPGRADE, where the table is there) is committed at once, on the
 * walk that named it.
 *
 * What commit looks at, under that lock: the version of the page's piece of the space, by which
 * unmap, protect and fork say that they took something away (version.h); the leaf, accessed and
 * dirty bits aside; of an object's page, that it is inside the object's size, and that its frame is the
 * object's still. If a check fails, everything is given back and the fault starts again; from the third
 * time on it holds the map lock while it commits, so that only other faults and truncations, which
 * get on then, can be in its way.
 *
 * The cases, by what the leaf is (across) and what is asked (down). "private" and "shared" are
 * the region's; "own" is an ANONYMOUS frame, "shown" an object's:
 *
 *                  | empty,       | empty,          | zero page | own,         | own, more | shown,  | shown,
 *                  | anonymous    | object          |           | one holder   | holders   | private | shared
 *     -------------+--------------+-----------------+-----------+--------------+-----------+---------+--------
 *     read, exec   | ZERO         | SHOW            | UPGRADE   | UPGRADE      | UPGRADE   | UPGRADE | UPGRADE
 *     write        | FRESH        | COPY (private)  | FRESH     | UPGRADE      | COPY      | COPY    | UPGRADE
 *                  |              | SHOW (shared)   |           |              |           |         |
 *
 *     ZERO     map the zero page, read-only and uncounted
 *     FRESH    a frame, zeroed before anything can map it
 *     COPY     a frame with the bytes of the leaf's frame, or of the object's page
 *     SHOW     the object's page itself; DEVICE: a physical object's frame, uncounted
 *     UPGRADE  the same frame with more rights, in place
 *     NOTHING  the leaf has the right already: another CPU was faster, or this TLB is stale
 *     SETTLE   whatever is asked, the leaf is BUSY: another fault is changing it
 *     SPLIT    the leaf is huge, and COPY is the case or the page is to be pinned: it becomes a table, and the
 *              fault starts again
 *     OPEN     whatever is asked, the page's table is shared since a fork (paging/shared.h): it becomes this space's
 *              own, and the fault starts again
 *
 * Huge leaves (huge.c). FRESH may bring one, where region, advice and tables allow, and frames are at hand; if not, a
 * page. UPGRADE takes a huge leaf as it is: all of it lies in one region, and "one holder" then means each
 * of its frames.
 *
 * A leaf that is PRESENT is never overwritten by one that names another frame. FRESH and COPY over
 * such a leaf first make it BUSY, which names and holds the new frame and grants nothing; then flush;
 * then make it PRESENT, if version and leaf are still the same (paging/slot.h). Where this CPU alone
 * runs the space, all of that is done under the table's lock. If the version has changed meanwhile,
 * NO_ACCESS is a correct leaf to leave. A fault that finds a BUSY leaf does not wait for its owner, who
 * may be off its CPU: it flushes the page itself, makes the leaf NO_ACCESS, and starts again.
 *
 * A page is written in place only when its frame has one holder, or is pinned, which only frames are that no
 * other leaf names (pin.c); commit looks at the counts under the lock of the leaf's table. Who could raise the
 * first reads this leaf under that lock (a copying fault), or has changed the versions (fork).
 */
#ifndef LANDHOLD_SPACE_FAULT_H
#define LANDHOLD_SPACE_FAULT_H

#include "base/atomic.h"
#include "object/surplus.h"
#include "paging/slot.h"
#include "space/space.h"

typedef enum lh_fault_case {
	LH_CASE_NOTHING,
	LH_CASE_ZERO,
	LH_CASE_FRESH,
	LH_CASE_COPY,
	LH_CASE_SHOW,
	LH_CASE_DEVICE,
	LH_CASE_UPGRADE,
	LH_CASE_SETTLE,
	LH_CASE_SPLIT,
	LH_CASE_OPEN
} lh_fault_case;

/* What a pinning fault brings beside the page (pin.c). */
typedef struct lh_fault_pin {
	lh_pin_term term;
	lh_frame_number frame; /* the page's */
	lh_error error;	       /* why it is not pinned, though it is there */
} lh_fault_pin;

/* What one attempt knows. */
typedef struct lh_fault_plan {
	lh_space *space;
	lh_virtual_range page;	 /* one page */
	lh_rights access;
	lh_fault_pin *pin;	 /* NULL: the fault is an ordinary one */
	bool at_once;		 /* wanted: what needs nothing to be prepared is committed as it is named */

	/* plan */
	lh_fault_case name;
	bool is_done;		 /* it was */
	uint64_t version;	 /* of the page, when the region was looked at */
	lh_rights rights;	 /* the region's, and those that come with them */
	bool shared;
	bool owns;		 /* whatever the access, the page is to have a frame of its own */
	bool may_be_huge;	 /* the piece that the page lies in may be had as one leaf */
	lh_object *object;	 /* held, or NULL */
	uint64_t object_page;
	lh_leaf seen;
	uint64_t seen_entry;	 /* as it stood in its table */
	lh_frame_number source;	 /* COPY, SETTLE: held; none: the object's page is still to be taken */

	/* prepare */
	lh_frame_number frame;	 /* held, to be passed to the leaf; none: the case needs none */
	bool is_huge;		 /* it is the first of those of a huge leaf, and as many promises are lent */
	bool copied;		 /* COPY: the frame has the bytes of the source */
	lh_spare_tables tables;
	lh_surplus_share surplus; /* between begin and end, object/surplus.h */
	bool held;		 /* a promised frame was had, be it only the source */
	bool refused;		 /* one was asked for, and there was none */
	uint32_t returned;	 /* surplus: as seen before */

	unsigned cpu;		 /* where the region was looked for: who counts there meets nobody */
	lh_region_list dead;	 /* of a stack that grew: to be given back */
} lh_fault_plan;

/* May take and leave the map lock. LH_FAULT_OK: the plan is made; else how the fault ends. */
lh_fault lh_fault_make_plan(lh_fault_plan *plan);

/* Under the map lock. Makes an old plan new: its version, and the copy if that was not made. => false: the
 * region is another, or allows less. */
bool lh_fault_renew_locked(lh_fault_plan *plan);

/* The same frame, with the same rights. */
bool lh_leaf_is_same(lh_leaf a, lh_leaf b);

/* Does no other leaf name the frames that the leaf names? => first: the entry of the first; the lock of the
 * leaf's table. */
bool lh_fault_is_alone(const lh_fault_plan *plan, const lh_frame_entry *first);

/* => false: something was taken away from this part of the space since the region was looked at. */
bool lh_fault_is_version_same(const lh_fault_plan *plan);

/* From here to the release this fault may hold so many promised frames too many. Once. */
void lh_fault_begin_surplus(lh_fault_plan *plan, uint64_t frames);

/* Copies the source of a COPY into its frame. => nobody can write to the source. */
void lh_fault_copy_source(lh_fault_plan *plan);

/* Holding nothing. LH_NO_MEMORY; LH_BAD_ADDRESS: the world has changed, start again; LH_IO. What was
 * taken stays in the plan. */
LH_MUST_USE lh_error lh_fault_prepare(lh_fault_plan *plan);

/* Under the map lock at most. => false: the world has changed, start again. */
bool lh_fault_commit(lh_fault_plan *plan);

/* For who holds nothing of the plan any more. => false: something was taken away since, or the leaf is not
 * what it saw, or names another case by now. */
bool lh_fault_is_current(const lh_fault_plan *plan);

/* For a case that needs nothing to be prepared, where its table is there and not locked by others. => true: done. */
bool lh_fault_commit_at_once(lh_fault_plan *plan, lh_slot *slot);

/* The whole way of a fault. => pin: NULL, or filled in where it ends with OK. */
lh_fault lh_fault_resolve(lh_space *space, lh_virtual_range page, lh_rights access, lh_fault_pin *pin);

/* Gives back what the plan still holds. No lock. */
void lh_fault_release(lh_fault_plan *plan);

/* --- huge leaves (huge.c) --- */

/* May a region with this range and these flags have the plan's piece as one leaf? */
bool lh_fault_allows_huge(const lh_fault_plan *plan, lh_virtual_range range, uint32_t flags);
/* Zeroed frames for one. => false: none at hand; nothing taken. */
bool lh_fault_take_huge(lh_fault_plan *plan);
void lh_fault_release_huge(lh_fault_plan *plan);
/* The commit. => false: as lh_fault_commit. */
bool lh_fault_write_huge(lh_fault_plan *plan);
/* SPLIT. Takes and leaves the map lock. => prepared. */
void lh_fault_split(lh_fault_plan *plan);
/* OPEN. The same. */
void lh_fault_open(lh_fault_plan *plan);

#endif
