/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of kernel regions share: kernel.c makes them all; device.c knows physical memory. */
#ifndef LANDHOLD_MANAGER_KERNEL_H
#define LANDHOLD_MANAGER_KERNEL_H

#include "object/machine.h"

#define TAKE_FRAMES LH_NO_FRAME

/* What a kernel region's pages are. */
struct lh_kernel_content {
	lh_rights rights;
	lh_memory_type type;
	uint64_t frame;	  /* of the first page; TAKE_FRAMES: fresh ones */
	uint64_t row;	  /* so many frames from there on, each with a holder for its leaf; 0: not such */
	bool is_zero;	  /* fresh ones */
	bool is_physical; /* memory that is there already, not counted */
};

/* Makes the region; content NULL: a reservation. Errors as lh_manager_map: nothing changed. */
LH_MUST_USE lh_error lh_kernel_make(lh_manager *manager, lh_region *region,
				    const lh_kernel_request *request,
				    const struct lh_kernel_content *content);

/*
 * Notes in the region which physical memory of what type it will show. => kernel_lock is held.
 * => LH_EXISTS: some of it is seen with another type.
 */
LH_MUST_USE lh_error lh_kernel_note_physical_locked(lh_manager *manager, lh_region *region,
						    const lh_kernel_request *request,
						    const struct lh_kernel_content *content);

#endif
