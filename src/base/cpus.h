/* SPDX-License-Identifier: BSD-2-Clause */
/* Sets of CPUs, and waiting for what CPUs do with interrupts off. */
#ifndef LANDHOLD_BASE_CPUS_H
#define LANDHOLD_BASE_CPUS_H

#include "base/atomic.h"
#include "base/port_calls.h"

/* Where a CPU is in a set. */
static inline unsigned lh_cpu_word(unsigned cpu)
{
	return LH_MAX_CPUS <= 64 ? 0 : cpu / 64;
}

static inline uint64_t lh_cpu_bit(unsigned cpu)
{
	return UINT64_C(1) << cpu % 64;
}

static inline void lh_cpus_do_nothing(void *argument)
{
	(void)argument;
}

/*
 * Each CPU of the set takes a call in which it does nothing: so it is done with whatever it did with
 * interrupts off, and finds what was stored (sequentially consistent) before. => cpus: bits may be added
 * meanwhile; who enters the set now begins after that too. Context: as for a flush.
 */
static inline void lh_cpus_wait(lh_port *port, const lh_cpu_set *cpus)
{
	lh_cpu_set now;

	for (unsigned i = 0; i < sizeof now.bits / sizeof now.bits[0]; i++)
		now.bits[i] = lh_atomic_load_total(&cpus->bits[i]);
	lh_port_call_cpus(port, &now, lh_cpus_do_nothing, NULL);
}

#endif
