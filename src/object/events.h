/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Counting what happens, without two CPUs meeting for it.
 *
 * Each CPU counts on cache lines of its own; what a machine has is the sum. A part alone means nothing, and may be
 * below zero (as two's complement), for what one CPU made another may end. Additions are atomic, since a thread may
 * move to another CPU between asking where it is and adding there: so nothing is lost, and in such a moment a line is
 * shared.
 */
#ifndef LANDHOLD_OBJECT_EVENTS_H
#define LANDHOLD_OBJECT_EVENTS_H

#include "base/atomic.h"
#include "object/machine.h"

/* => cpu: any; where this CPU is not, or was not just now, there is one more line that two write. Context: any. */
static inline void lh_event_note_on(lh_manager *manager, unsigned cpu, lh_event event)
{
	lh_atomic_add_relaxed(&manager->events[cpu].of[event], 1u);
}

static inline void lh_event_note(lh_manager *manager, lh_event event)
{
	lh_event_note_on(manager, lh_port_cpu(manager->port), event);
}

/* One less of what there is. */
static inline void lh_event_take_back(lh_manager *manager, lh_event event)
{
	lh_atomic_add_relaxed(&manager->events[lh_port_cpu(manager->port)].of[event], UINT64_MAX);
}

/* The sum: exact while nothing changes, else true of some parts before others, and never below zero. Context: any. */
uint64_t lh_event_sum(const lh_manager *manager, lh_event event);

#endif
