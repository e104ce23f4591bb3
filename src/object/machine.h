/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * struct lh_manager: what the floors object, space and manager share of one machine.
 * It is data; who may change it stands beside each field. The operations on it are in
 * src/manager, which the lower floors never call.
 *
 *   [c] constant after lh_manager_create
 *   [k] the kernel map lock
 *   [a] atomic
 */
#ifndef LANDHOLD_OBJECT_MACHINE_H
#define LANDHOLD_OBJECT_MACHINE_H

#include <landhold/manager.h>
#include <landhold/pool.h>
#include <landhold/reclaim.h>

/* What is counted, in parts, one a CPU: events.h. */
typedef enum lh_event {
	/* How many there are. */
	LH_EVENT_SPACES,
	LH_EVENT_OBJECTS,
	LH_EVENT_KERNEL_REGIONS,
	/* How often. Each fault is one of these six; */
	LH_EVENT_ZERO,
	LH_EVENT_FRESH,
	LH_EVENT_COPIED,
	LH_EVENT_OBJECT,
	LH_EVENT_UPGRADED,
	LH_EVENT_REFUSED,
	/* and some are more than that. */
	LH_EVENT_HUGE,
	LH_EVENT_SPLIT,
	LH_EVENT_OPENED,
	LH_EVENT_REUSED,
	LH_EVENT_FORKS,
	LH_EVENT_COUNT
} lh_event;

/* One CPU's part: whole cache lines. */
typedef struct lh_event_counts {
	uint64_t of[(LH_EVENT_COUNT + 7) / 8 * 8];
} lh_event_counts;

/* Who may hold frames beyond what was promised: surplus.h. */
typedef struct lh_surplus {
	uint32_t holding;  /* how many may, now */
	uint32_t returned; /* how many had some, and ended */
	uint32_t ends;	   /* how many ended; those who wait are parked on it */
	uint32_t waiting;
} lh_surplus;

struct lh_manager {
	lh_port *port;			/* [c] */
	lh_frames *frames;		/* [c] */
	const lh_paging_format *format;	/* [c] */
	lh_virtual_range user;		/* [c] */
	bool enforce_write_xor_execute;	/* [c] */
	lh_huge_policy huge;		/* [c] */
	lh_pool regions;		/* [c] has locks of its own */
	lh_pool objects;		/* these two have readers: readers.h */
	lh_pool nodes;			/* their fronts follow the manager in memory */
	lh_frame_number zero_frame;	/* [c] held by the manager; mapped uncounted */
	lh_event_counts *events;	/* [c] the pointer, one for each CPU; [a]. They lie behind the fronts */
	lh_cpu_set readers;		/* [a] CPUs that ever read without a lock */
	uint32_t kernel_lock;		/* the kernel's map lock: a mutex */
	lh_region_tree kernel_tree;	/* [k] */
	lh_directory kernel_directory;	/* has a lock of its own */
	lh_surplus surplus;		/* [a] */
	struct lh_view *views;		/* [k] of physical objects: views.h */
	lh_shrinker shrinker;		/* of what their pools keep */
};

#endif
