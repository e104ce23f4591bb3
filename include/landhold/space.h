/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Address spaces: a region tree, a page directory, a lock and the accounting, one for each
 * process. Its regions are its own; pointers to them never leave the library.
 *
 * Every operation validates all its arguments, then takes everything that can fail
 * (regions, tables, charge), then does the part that cannot. If it returns an error,
 * nothing has changed.
 *
 * Context of all: no lock, interrupts on, except where said. All may be called from any
 * number of CPUs at once on the same space.
 */
#ifndef LANDHOLD_SPACE_H
#define LANDHOLD_SPACE_H

#include <landhold/account.h>
#include <landhold/object.h>
#include <landhold/region_tree.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lh_space lh_space;
struct lh_manager;

/* Bytes of caller's memory that a space needs, aligned to 16. */
size_t lh_space_size(void);

/*
 * Makes an empty space over the manager's user range, in the caller's memory. What its regions are promised is
 * charged to the account, and so to those above it; NULL: to the allocator alone. Other spaces may have the same.
 * => account: of the manager's allocator; stays open until the space is destroyed, which takes back all that
 *    the space was promised, and until what was pinned in it is unpinned.
 * => LH_NO_MEMORY: no root table. Nothing taken.
 */
LH_MUST_USE lh_error lh_space_create(struct lh_manager *manager, lh_account *account, void *memory,
				     lh_space **space);

/*
 * Gives back everything the space has. => no CPU runs it, nobody else uses it.
 * Accepts NULL. The memory is the caller's again.
 * Context: as for a flush: interrupts on, no lock but mutexes of the caller's (CPUs that have looked regions up
 * are called). Cannot fail.
 */
void lh_space_destroy(lh_space *space);

/* Loads the space on this CPU; leaves it for the kernel's directory. Context: interrupts off. */
void lh_space_activate(lh_space *space);
void lh_space_deactivate(lh_space *space);

typedef enum lh_where {
	LH_ANYWHERE,	 /* where the request's placement fields find room */
	LH_NEAR,	 /* at address if free, else as ANYWHERE */
	LH_AT,		 /* at address; LH_EXISTS if anything is there */
	LH_OVER		 /* at address; what is there is unmapped, in the same step */
} lh_where;

/* What to map. Zeroed, with pages and rights set: private anonymous memory, anywhere. */
typedef struct lh_map_request {
	lh_where where;
	lh_virtual_address address; /* NEAR, AT, OVER: page-aligned */
	uint64_t pages;
	uint64_t alignment;	    /* pages, power of two; 0: 1 */
	lh_direction direction;
	lh_virtual_range within;    /* limits; empty: the user range */
	uint32_t guard_before, guard_after; /* pages */
	lh_rights rights;
	lh_rights rights_max;	    /* 0: all */
	uint32_t flags;		    /* LH_REGION_SHARED, GROWS_DOWN, NOT_INHERITED, EMPTY_ON_FORK */
	bool reservation;	    /* LH_BACKING_NONE: touching it is an access error */
	lh_object *object;	    /* NULL: anonymous. The space takes a holder of its own */
	uint64_t object_page;	    /* object page that the first page shows */
	uint64_t tag;		    /* the host's; shown by query; neighbours merge only if equal */
} lh_map_request;

/*
 * Finds room, places, links and charges, in one step.
 * => *placed: where it is.
 * => LH_INVALID: pages 0 or too many, address unaligned or outside the user range, unknown flag,
 *    rights beyond rights_max, SHARED without object, a PHYSICAL object without SHARED,
 *    GROWS_DOWN with an object or a reservation, object_page + pages beyond 2^52, W^X broken
 *    where the manager enforces it. LH_EXISTS (AT). LH_NO_HOLE. LH_LIMIT: region limit
 *    or page limit of the space, or its account's. LH_NO_MEMORY: region, table or charge. Nothing changed.
 */
LH_MUST_USE lh_error lh_space_map(lh_space *space, const lh_map_request *request,
				  lh_virtual_range *placed);

/*
 * Unmaps every page of the range; holes in it are no error.
 * => LH_INVALID: not in the user range; LH_NO_MEMORY: no region for the piece beyond a
 *    hole in the middle, or no table for the rest of a huge leaf; LH_LIMIT: that piece would be one region
 *    too many. Nothing changed.
 */
LH_MUST_USE lh_error lh_space_unmap(lh_space *space, lh_virtual_range range);

/* How a part of a region may become another. */
#define LH_REMAP_STAY (1u << 0) /* where it is, if it fits there: tried first */
#define LH_REMAP_MOVE (1u << 1) /* at another place */
#define LH_REMAP_KEEP (1u << 2) /* with MOVE: the old place stays mapped as it was, without pages */

typedef struct lh_remap_request {
	lh_virtual_range range; /* lies in one region. Empty: of a SHARED region, which stays, and is shown once more
				 * from range.base on */
	uint32_t flags;		/* LH_REMAP_... */
	lh_map_request to;	/* pages: the new number; where, address, alignment, direction, within: the place,
				 * of a MOVE. All else is the region's */
} lh_remap_request;

/*
 * Makes a part of a region longer or shorter, moves it, or both: what is mapped keeps its rights, history, guards, tag
 * and advice, an object's part goes on to show what it showed. Pages that are there are moved as they are:
 * nothing is copied, or brought in again; pins stay. A page is to be reached at one place at a time. What is
 * added is as if it had been mapped with the region. Moved, it is a region of its own, or one with its new neighbours.
 * => *placed: where it is now.
 * => only what is added is charged, before anything changes; KEEP: all of the new place.
 * => LH_NOT_MAPPED: the range, or its base, is not in one region. LH_INVALID: the range or the place is not in the user
 *    range, the two overlap (AT, OVER), neither STAY nor MOVE, KEEP with STAY or with another length, an empty range
 *    of what is not SHARED, object pages beyond 2^52. LH_NO_HOLE: no room where it is, or anywhere. LH_EXISTS (AT; OVER:
 *    a guard). LH_LIMIT: as map; a part that is left beyond the range counts as a region. LH_NO_MEMORY: region, table
 *    or charge. Nothing changed.
 */
LH_MUST_USE lh_error lh_space_remap(lh_space *space, const lh_remap_request *request, lh_virtual_range *placed);

/*
 * Sets the rights of every page of the range.
 * => LH_NOT_MAPPED: the range has a hole (strict: nothing changed; a host whose interface
 *    defines a partial effect queries and asks for the part). LH_NO_ACCESS: beyond a region's
 *    rights_max. LH_INVALID, LH_NO_MEMORY, LH_LIMIT as above. Nothing changed.
 */
LH_MUST_USE lh_error lh_space_protect(lh_space *space, lh_virtual_range range, lh_rights rights);

/*
 * Drops the private pages of the range (reads see zeroes, or the object's page, again); the
 * regions stay. Holes are LH_NOT_MAPPED; LH_NO_MEMORY: no table for the rest of a huge leaf. Nothing changed.
 */
LH_MUST_USE lh_error lh_space_discard(lh_space *space, lh_virtual_range range);

/*
 * Advice about a range. It changes no page; where the leaves are huge already they stay so.
 *   HUGE     the first write to 2 MiB, aligned, that lie in one region of private anonymous memory, may bring
 *            all of them, zeroed, by one leaf; if frames are at hand, and none of their pages is there yet
 *   NO_HUGE  none does, whatever the manager's policy
 *   NORMAL   as the policy has it
 * Regions merge only if their advice is the same. A huge leaf is one to the page tables only: any part of it can be
 * unmapped, protected or discarded, which takes a table.
 * => LH_NOT_MAPPED: the range has a hole. LH_INVALID, LH_NO_MEMORY, LH_LIMIT as protect. Nothing changed.
 */
typedef enum lh_advice { LH_ADVICE_NORMAL, LH_ADVICE_HUGE, LH_ADVICE_NO_HUGE } lh_advice;
LH_MUST_USE lh_error lh_space_advise(lh_space *space, lh_virtual_range range, lh_advice advice);

/*
 * Puts pages that are there together: each 2 MiB, aligned, that lie wholly in the range, become one huge leaf if they
 * lie in one region of private anonymous memory that grants a right and was not advised NO_HUGE, and at least one of
 * their pages has been written to. Missing pages are zeroes; no byte changes, no write is lost. It needs no advice and
 * asks no policy, and says nothing of what later faults bring. Where a leaf is huge already it stays.
 * Where frames do not lie side by side, it takes 512 that do, and copies; who touches the pages meanwhile waits.
 * => LH_OK: all are huge now. Else why the last one is not that was left as it was, while others were put together:
 *    LH_INVALID: it may not be, as above, or the format has no such leaves. LH_AGAIN: a page of it is pinned, shared
 *    with another space, or used by somebody at the moment. LH_NO_MEMORY: no such frames, or no promise for them.
 * => LH_NOT_MAPPED: the range has a hole; LH_INVALID: not in the user range. Then nothing changed.
 */
LH_MUST_USE lh_error lh_space_collapse(lh_space *space, lh_virtual_range range);

/*
 * The same for a kernel that has time: where the policy, or the advice, wants huge leaves (lh_manager_setup.huge), and
 * at least half of the 2 MiB are there. Looks at as many regions and pieces of 2 MiB as work says, in order of address,
 * and copies no more than that.
 * => *from: where to begin, at first 0. It is moved on, and is 0 again after the last region.
 * => how many were put together.
 */
uint64_t lh_space_collapse_some(lh_space *space, lh_virtual_address *from, uint64_t work);

/*
 * Makes the child, an empty space of the same manager, a copy of the parent: regions
 * cloned, private pages shared until one side writes. The child's account is charged. Where a region has whole leaf tables, these
 * are shared, too: on either side the first access below one, also by lh_space_unmap and the like to a part of it, takes a
 * page for a table of its own, if anybody else still has it.
 * => LH_NO_MEMORY, LH_LIMIT: both as before. LH_INVALID: the child is not empty.
 */
LH_MUST_USE lh_error lh_space_fork(lh_space *parent, lh_space *child);

/* How a fault ended. */
typedef enum lh_fault {
	LH_FAULT_OK,	      /* the access can be tried again */
	LH_FAULT_NO_MEMORY,   /* no frame, and the host gave up (lh_port_memory_pressure) */
	LH_FAULT_NOT_MAPPED,  /* no region there: SIGSEGV, SEGV_MAPERR */
	LH_FAULT_NO_ACCESS,   /* the region forbids it: SIGSEGV, SEGV_ACCERR */
	LH_FAULT_BUS	      /* past the object's end, the pager failed, or its account refused the page: SIGBUS */
} lh_fault;

/*
 * Resolves a fault. => access: the right that was missing, exactly one. May wait for the
 * pager and for memory, holding nothing. A right that the page-table format cannot refuse
 * beside those of the region (on x86-64, reading) is not missing.
 * => a fault that is not OK leaves every mapped page as it was; a stack that grew and then found
 *    no frame stays grown, and an object's page that was brought in stays in the object.
 */
lh_fault lh_space_fault(lh_space *space, lh_virtual_address address, lh_rights access);

/* Pages of a space that somebody works on by their physical addresses: a device, or a copy that is not made. */
typedef struct lh_pinned {
	struct lh_manager *manager;
	lh_account *account;
	lh_frame_number *frames; /* the caller's memory: one for each page, in order */
	uint64_t pages;
	lh_pin_term term;
} lh_pinned;

/*
 * Brings in each page of the range as a fault for the access would, and pins its frame: all of them, or none. The
 * frames stay until they are unpinned, whatever becomes of the pages and of the space, and as long as a page stays
 * mapped its frame does: what is written to one is seen in the other. Private pages of a region that is, or was,
 * writable get a frame of their own first; a fork gives the child copies of what is pinned. (An object's page in a
 * private region that never was writable is pinned as it is; the space can get a copy later. A page that was never
 * written to there is the zero page, which is named and not counted.)
 * => access: READ, or WRITE for who writes to the frames. Pages of a file that are pinned stay dirty if they are.
 * => frames: room for range.pages, which stays the pins' until lh_space_unpin. *pinned: what that wants.
 * => while they are pinned so many pages more are promised, at the space's account.
 * => LH_INVALID: a bad range or access; LH_NOT_MAPPED, LH_NO_ACCESS, LH_BAD_ADDRESS (LH_FAULT_BUS), LH_NO_MEMORY as
 *    the fault; LH_UNSUPPORTED: a device's memory; LH_LIMIT: the account's, or a frame has as many pins as can be
 *    counted. Nothing is pinned then, and *pinned is not written; pages that were brought in stay, as after a fault.
 * => a page of a huge leaf is pinned alone: the leaf becomes a table.
 * Context: may wait for memory, a pager and flushes: interrupts on, no lock.
 */
LH_MUST_USE lh_error lh_space_pin(lh_space *space, lh_virtual_range range, lh_rights access, lh_pin_term term,
				  lh_frame_number *frames, lh_pinned *pinned);

/* Lets the frames go. The space may be gone; its account and manager not. Context: any. */
void lh_space_unpin(lh_pinned *pinned);

/* A region as others may see it. */
typedef struct lh_region_info {
	lh_virtual_range range;
	lh_rights rights, rights_max;
	uint8_t backing;
	uint32_t flags;
	lh_object *object; /* not held: an identity to compare, not to use */
	uint64_t object_page;
	uint64_t tag;
} lh_region_info;

/* The region that the address lies in, or else the next above it. => LH_NOT_MAPPED: none. */
LH_MUST_USE lh_error lh_space_query(lh_space *space, lh_virtual_address from, lh_region_info *info);

typedef struct lh_space_counters {
	uint64_t regions;
	uint64_t pages;		/* mapped, in regions */
	uint64_t resident;	/* leaf entries that are not empty */
	uint64_t tables;	/* page-table pages, root included */
	uint64_t charged;	/* pages */
	uint64_t faults;
} lh_space_counters;

void lh_space_read_counters(lh_space *space, lh_space_counters *counters);

/* What of a range is there, in pages: in all, and of that by huge leaves. => it lies in the user range; else zeroes. */
typedef struct lh_space_usage { uint64_t resident, huge; } lh_space_usage;
void lh_space_measure(lh_space *space, lh_virtual_range range, lh_space_usage *usage);

/* Limits: regions (0: the library's default, 65,530), pages in regions, pages a stack may grow to. */
typedef struct lh_space_limits { uint64_t regions, pages, stack_pages; } lh_space_limits;
void lh_space_set_limits(lh_space *space, const lh_space_limits *limits);

/* The root of the space's directory: what a CPU loads. */
lh_frame_number lh_space_root(const lh_space *space);

/* Recounts everything of the space. => NULL or what is wrong. The space is at rest. */
const char *lh_space_check(lh_space *space);

/*
 * For a panic: calls line with one text for each region, taking no lock, reading at
 * most 512 regions of a tree that may be broken.
 */
void lh_space_describe_unlocked(const lh_space *space, void (*line)(void *context, const char *text),
				void *context);

#ifdef __cplusplus
}
#endif
#endif
