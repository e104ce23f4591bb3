/* SPDX-License-Identifier: BSD-2-Clause */
/* The start of the other CPUs. */
#ifndef KERNEL_CPU_START_H
#define KERNEL_CPU_START_H

#include <stdint.h>

/*
 * Starts every CPU that the firmware names, one after the other; each then runs threads. One that does
 * not answer in time is reported and left out. What it took is given back, and that is checked.
 * => timer_period: of each CPU's tick. Context: a thread, interrupts on, once.
 */
void cpu_start_others(uint32_t timer_period);

#endif
