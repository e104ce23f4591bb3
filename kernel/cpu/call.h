/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls between CPUs. */
#ifndef KERNEL_CPU_CALL_H
#define KERNEL_CPU_CALL_H

#include <landhold/types.h>

/*
 * Runs function(argument) once on each CPU of the set, with that CPU's interrupts off, and
 * returns when all have. Context: interrupts on (asserted), so no spinlock; may hold a mutex.
 * => function: bounded, takes no lock that is held across a call, calls no CPU itself.
 */
void cpu_call(const lh_cpu_set *cpus, void (*function)(void *), void *argument);

/* Boot: from here on calls are answered. */
void cpu_call_start(void);

#endif
