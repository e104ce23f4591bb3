/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls of the port, marked in builds with LH_DEBUG 2: the record of a context (lock_order.h) counts those that it
 * is inside of, so that whoever must not be used there can tell (lh_order_outside). In others nothing is here.
 *
 * Each is replaced by name, so that no call can be forgotten, and every file that calls the port has this by
 * way of base/lock_order.h or base/cpus.h. Not marked are the calls in which a host may use all that
 * stands on the library (lh_port_memory_pressure, a pager's), lh_port_panic, which does not come back, and
 * lh_port_lock_record, which the checks themselves ask; nor do their own questions whether interrupts are on count.
 *
 * An interrupt may come while a call is inside, and its handler has the same record. So it is counted apart
 * whether interrupts were on: where they were, and now are off, it may be a handler that asks. So it may be where
 * interrupts_restore turned them on and has not come back yet: that one counts as if they had been on.
 */
#ifndef LANDHOLD_BASE_PORT_CALLS_H
#define LANDHOLD_BASE_PORT_CALLS_H

#include <landhold/port.h>

#if LH_DEBUG >= 2

/* The count of a call that begins. => NULL: no record is kept */
static inline uint32_t *lh_port_call_begin(lh_port *port)
{
	lh_lock_record *record = lh_port_lock_record(port);
	uint32_t *inside = record ? &record->inside[lh_port_interrupts_are_on(port)] : NULL;

	if (inside)
		++*inside;
	return inside;
}

static inline void lh_port_call_end(uint32_t *inside)
{
	if (inside)
		--*inside;
}

/* The same function with its calls marked; of one that returns something, and of one that does not. */
#define LH_MARKED(type, name, parameters, arguments)                  \
	static inline type lh_marked_##name parameters                \
	{                                                             \
		uint32_t *inside = lh_port_call_begin(port);          \
		type result = lh_port_##name arguments;               \
                                                                      \
		lh_port_call_end(inside);                             \
		return result;                                        \
	}
#define LH_MARKED_VOID(tier, name, parameters, arguments)             \
	static inline void lh_marked_##name parameters                \
	{                                                             \
		uint32_t *inside = lh_port_call_begin(port);          \
                                                                      \
		lh_##tier##_##name arguments;                         \
		lh_port_call_end(inside);                             \
	}

LH_MARKED(void *, frame_pointer, (lh_port *port, lh_frame_number frame), (port, frame))
LH_MARKED_VOID(port, log, (lh_port *port, const char *message), (port, message))
LH_MARKED(uint64_t, random, (lh_port *port), (port))
LH_MARKED(unsigned, cpu, (lh_port *port), (port))
LH_MARKED(uintptr_t, interrupts_off, (lh_port *port), (port))
static inline void lh_marked_interrupts_restore(lh_port *port, uintptr_t state)
{
	lh_lock_record *record = lh_port_lock_record(port);
	uint32_t *inside = record ? &record->inside[1] : NULL;

	if (inside)
		++*inside;
	lh_port_interrupts_restore(port, state);
	lh_port_call_end(inside);
}

LH_MARKED_VOID(port, call_cpus,
	       (lh_port *port, const lh_cpu_set *cpus, void (*function)(void *), void *argument),
	       (port, cpus, function, argument))
LH_MARKED_VOID(port, pause, (lh_port *port), (port))
LH_MARKED_VOID(port, park, (lh_port *port, const uint32_t *word, uint32_t expected), (port, word, expected))
LH_MARKED_VOID(port, unpark, (lh_port *port, const uint32_t *word), (port, word))
LH_MARKED(bool, interrupts_are_on, (lh_port *port), (port))
LH_MARKED_VOID(architecture, flush_local,
	       (lh_port *port, lh_frame_number root, lh_virtual_range range, bool global),
	       (port, root, range, global))
LH_MARKED_VOID(architecture, load, (lh_port *port, lh_frame_number root), (port, root))

#define lh_port_frame_pointer lh_marked_frame_pointer
#define lh_port_log lh_marked_log
#define lh_port_random lh_marked_random
#define lh_port_cpu lh_marked_cpu
#define lh_port_interrupts_off lh_marked_interrupts_off
#define lh_port_interrupts_restore lh_marked_interrupts_restore
#define lh_port_call_cpus lh_marked_call_cpus
#define lh_port_pause lh_marked_pause
#define lh_port_park lh_marked_park
#define lh_port_unpark lh_marked_unpark
#define lh_port_interrupts_are_on lh_marked_interrupts_are_on
#define lh_architecture_flush_local lh_marked_flush_local
#define lh_architecture_load lh_marked_load

#endif
#endif
