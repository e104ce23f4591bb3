/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory manager: everything of one machine. Frames (made before it, frames.h), the
 * kernel's address space, the pools that feed all spaces, fault entry, statistics.
 *
 * Kernel regions are members of whatever in the kernel holds them; the kernel's tree only
 * indexes them. They are populated when made: a fault in one is never resolved. An unbacked
 * region reserves a range (the kernel image while it is mapped by boot tables, the heap's
 * range); its holder may commit and decommit frames in it.
 *
 * The manager never calls a heap. Context of all: no lock, interrupts on.
 */
#ifndef LANDHOLD_MANAGER_H
#define LANDHOLD_MANAGER_H

#include <landhold/directory.h>
#include <landhold/object.h>
#include <landhold/space.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lh_manager lh_manager;

/* Where a fault in private anonymous memory may bring a huge leaf. */
typedef enum lh_huge_policy {
	LH_HUGE_ADVISED, /* where lh_space_advise asked for it */
	LH_HUGE_NEVER,
	LH_HUGE_ALWAYS	 /* where that did not forbid it */
} lh_huge_policy;

typedef struct lh_manager_setup {
	lh_port *port;
	lh_frames *frames;		/* outlives the manager */
	const lh_paging_format *format; /* outlives the manager */
	lh_virtual_range user;		/* low half: where user regions may lie; not page 0 */
	lh_virtual_range kernel;	/* upper half: where kernel regions may lie */
	bool enforce_write_xor_execute; /* user regions too */
	lh_huge_policy huge;
} lh_manager_setup;

/* Bytes of caller's memory that a manager needs, aligned to 16. */
size_t lh_manager_size(void);

/*
 * Makes the manager in the caller's memory: pools, zero page, the kernel's directory with
 * its whole upper half of top tables. Nothing is mapped in it yet.
 * => LH_INVALID: ranges overlap halves, format refused; LH_NO_MEMORY. Nothing taken.
 */
LH_MUST_USE lh_error lh_manager_create(void *memory, const lh_manager_setup *setup,
				       lh_manager **manager);

/* Accepts what any prefix of the construction left. => no spaces, objects, kernel regions. */
void lh_manager_destroy(lh_manager *manager);

/* The root of the kernel's directory. */
lh_frame_number lh_manager_kernel_root(const lh_manager *manager);

/* Loads the kernel's directory on this CPU. Context: interrupts off. */
void lh_manager_activate(lh_manager *manager);

lh_frames *lh_manager_frames(lh_manager *manager);

/* --- kernel regions --- */

/* Where a kernel region shall lie, and what it is. Zeroed, with pages: anywhere. */
typedef struct lh_kernel_request {
	lh_virtual_range specifically; /* empty: the placement decides */
	lh_placement placement;
	lh_rights rights;
	uint32_t guard_before, guard_after; /* pages: never mapped, never placed upon */
	uint64_t tag;
} lh_kernel_request;

/*
 * Places the holder's region and maps fresh zeroed frames for every page of it.
 * => region: zeroed memory, or one that was unmapped before. Errors as lh_space_map; on error
 *    the region is in no tree and nothing changed.
 */
LH_MUST_USE lh_error lh_manager_map(lh_manager *manager, lh_region *region,
				    const lh_kernel_request *request);

/*
 * The same over memory that is there already (image, direct map, device registers, firmware
 * tables): physical is the address of the first page, page-aligned. The frames are not
 * counted. Uses the largest leaves that alignment and format allow.
 * => LH_INVALID also: physical unaligned, or beyond what a table entry can name. LH_EXISTS also: a page
 *    of it is seen with another memory type, in a region made so or an object, or being a frame of the allocator's.
 */
LH_MUST_USE lh_error lh_manager_map_physical(lh_manager *manager, lh_region *region,
					     const lh_kernel_request *request,
					     lh_physical_address physical, lh_memory_type type);

/*
 * For bytes at any alignment: maps the pages that [physical, physical + bytes) touches, and
 * gives the pointer to the first byte.
 */
LH_MUST_USE lh_error lh_manager_map_bytes(lh_manager *manager, lh_region *region,
					  lh_physical_address physical, uint64_t bytes,
					  lh_rights rights, lh_memory_type type, void **pointer);

/* Where a device can reach memory: a row of frames for it lies below. */
typedef struct lh_dma_request {
	uint64_t mask;	    /* the highest address that the device can name: all ones below a bit */
	uint64_t alignment; /* of the first frame, in frames, a power of two; 0 means 1 */
} lh_dma_request;

/*
 * Maps zeroed frames that lie in a row, for a device and the CPUs, written back and coherent.
 * => physical: where the device finds the first byte.
 * => LH_INVALID: no such mask or alignment; LH_NO_MEMORY: no such row of frames; else as lh_manager_map.
 *    Nothing changed. lh_manager_unmap gives the frames back: the device must have stopped.
 */
LH_MUST_USE lh_error lh_manager_map_dma(lh_manager *manager, lh_region *region,
					const lh_kernel_request *request, const lh_dma_request *dma,
					lh_physical_address *physical);

/*
 * A ring of bytes: the same, mapped twice in a row, so that what runs over the end goes on at the
 * beginning, and no piece of it as long as the ring is torn. The region has twice the pages asked for.
 */
LH_MUST_USE lh_error lh_manager_map_ring(lh_manager *manager, lh_region *region,
					 const lh_kernel_request *request, const lh_dma_request *dma,
					 lh_physical_address *physical);

/* Reserves without backing. A fault in it is never resolved. */
LH_MUST_USE lh_error lh_manager_reserve(lh_manager *manager, lh_region *region,
					const lh_kernel_request *request);

/*
 * Maps fresh zeroed frames for the range, which lies in a reservation and holds none yet.
 * => LH_INVALID: not in the region; LH_EXISTS: a page of it is committed; LH_NO_MEMORY.
 *    Nothing changed.
 */
LH_MUST_USE lh_error lh_manager_commit(lh_manager *manager, lh_region *region,
				       lh_virtual_range range, lh_rights rights);

/* The same; without is_zero the frames' contents are what their last user left: for memory that
 * nobody but the kernel reads, and writes first. */
LH_MUST_USE lh_error lh_manager_commit_as(lh_manager *manager, lh_region *region,
					  lh_virtual_range range, lh_rights rights, bool is_zero);

/* Unmaps, flushes and frees the committed frames of the range. Cannot fail. */
void lh_manager_decommit(lh_manager *manager, lh_region *region, lh_virtual_range range);

/* The same for several ranges of one reservation, flushed together. */
void lh_manager_decommit_each(lh_manager *manager, lh_region *region, const lh_virtual_range *ranges,
			      unsigned count);

/*
 * Takes rights away from a whole kernel region, for good: no fault would bring them back.
 * => LH_NO_ACCESS: rights has one that the region has not. Nothing changed.
 */
LH_MUST_USE lh_error lh_manager_protect(lh_manager *manager, lh_region *region, lh_rights rights);

/* Unmaps, flushes, unlinks, frees, in that order. The region is its holder's alone again. */
void lh_manager_unmap(lh_manager *manager, lh_region *region);

/* The kernel region that an address lies in, copied; for fault messages. */
LH_MUST_USE lh_error lh_manager_query(lh_manager *manager, lh_virtual_address from,
				      lh_region_info *info);

/* --- scoped directories --- */

/*
 * A directory for a while, such as the start of another CPU: the kernel half, and in the low half
 * nothing but a few pages that are mapped to the same physical addresses. The kernel's own
 * directory never has a low half.
 *
 * The root lies below limit (bytes; 0: anywhere): a CPU that starts in 32-bit mode has no longer root
 * register. The pages are never both writable and executable: write code through the direct map. As
 * all entries of a low half they are open to user mode: no user code runs while it is loaded, and
 * SMEP comes on only after the last fetch from them.
 * => directory: the caller's memory; need not be zeroed. lh_directory_destroy ends it, once no CPU
 *    translates by it. identity: pages in the low half that are the caller's, not the allocator's;
 *    they are not counted, and stay the caller's.
 * => LH_INVALID: identity not page-aligned, not in the low half, or writable and executable; limit
 *    below a page. LH_NO_MEMORY. Nothing taken.
 */
LH_MUST_USE lh_error lh_manager_create_scoped(lh_manager *manager, lh_directory *directory,
					      lh_virtual_range identity, lh_rights rights,
					      uint64_t limit);

/* --- statistics --- */

typedef struct lh_statistics {
	lh_frame_counters frames;   /* what the pools keep for a while counts as free */
	uint64_t table_pages;	    /* all directories */
	uint64_t user_regions, kernel_regions, spaces, objects;
	uint64_t pool_items;	    /* regions, objects and index nodes in use */
	uint64_t faults;	    /* answered, those of pins among them: each is one of the
				     zero, fresh, copied, object, upgraded and refused */
	uint64_t faults_zero;	    /* answered with the zero page */
	uint64_t faults_fresh;	    /* with a fresh zeroed frame, or those of a huge leaf */
	uint64_t faults_huge;	    /* the latter */
	uint64_t faults_split;	    /* a huge leaf was split on the way */
	uint64_t faults_opened;	    /* a table that a fork shared became the space's own on the way */
	uint64_t faults_copied;	    /* with a copy (COW) */
	uint64_t faults_reused;	    /* by writing in place, the frame having one holder */
	uint64_t faults_object;	    /* with an object's page */
	uint64_t faults_upgraded;   /* rights added in place, or nothing to do */
	uint64_t faults_refused;    /* not OK */
	uint64_t forks;
} lh_statistics;

/*
 * Gives back what the library keeps because it may soon be of use: empty pages of its pools, one a CPU each. The manager
 * is a shrinker (reclaim.h) that does the same. => frames. Context: interrupts on, no spinning lock.
 */
uint64_t lh_manager_trim(lh_manager *manager);

/* Exact while nothing changes; stops nobody (lh_frames_estimate_counters). */
void lh_manager_read_statistics(lh_manager *manager, lh_statistics *statistics);

/*
 * Calls finding for each mapping of the kernel half that is writable and executable, or
 * user-reachable. => the number of them.
 */
uint64_t lh_manager_audit(lh_manager *manager,
			  void (*finding)(void *context, lh_virtual_address address, const char *what),
			  void *context);

/* Runs every walker over the manager's own structures. => NULL or what is wrong. */
const char *lh_manager_check(lh_manager *manager);

#ifdef __cplusplus
}
#endif
#endif
