/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who sees physical memory, and with which memory type: a kernel region over memory that was there (its own
 * record), and a physical object (a view in it, in the manager's list). One physical page is seen with one type.
 * Two at once make what a CPU reads depend on which cache line is evicted when (Intel SDM 3A, June 2016,
 * 11.12.4, "Programming the PAT"). The allocator's frames are seen as write-back by lh_port_frame_pointer.
 *
 * An object has its view from when it is made until it is gone, mapped or not: who maps it then can neither be
 * refused nor has to look. Views are few: a new one is compared with each.
 *
 * Lock: the kernel's map lock, under which kernel regions come and go.
 */
#ifndef LANDHOLD_OBJECT_VIEWS_H
#define LANDHOLD_OBJECT_VIEWS_H

#include <landhold/error.h>
#include <landhold/region.h>
#include <landhold/types.h>

struct lh_manager;

/* So many pages from a frame on, with a type. */
typedef struct lh_view_of {
	uint64_t frame, pages;
	lh_memory_type type;
} lh_view_of;

/* That of an object. */
typedef struct lh_view {
	lh_view_of of;		    /* constant */
	struct lh_view *next, **link; /* [k] in the manager's list; what names this one */
} lh_view;

/* Adds an object's. => LH_EXISTS: some of it is seen with another type; then it is in no list. Context: no lock. */
LH_MUST_USE lh_error lh_view_begin(struct lh_manager *manager, lh_view *view);
/* => the view began. Context: no lock. */
void lh_view_end(struct lh_manager *manager, lh_view *view);

/* Notes in a kernel region that is about to be placed what it will show. => kernel_lock is held. Errors as above. */
LH_MUST_USE lh_error lh_view_note_locked(struct lh_manager *manager, lh_region *region,
					 const lh_view_of *of);

/* Can an entry hold the address of each of the pages? */
bool lh_view_is_addressable(const struct lh_manager *manager, const lh_view_of *of);

/* Compares all with all. => they do not change meanwhile. => NULL or what is wrong */
const char *lh_views_check(struct lh_manager *manager);

#endif
