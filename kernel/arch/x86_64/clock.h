/* SPDX-License-Identifier: BSD-2-Clause */
/* Time, from the time-stamp counter, calibrated once against the ACPI timer. Any context. */
#ifndef KERNEL_ARCH_X86_64_CLOCK_H
#define KERNEL_ARCH_X86_64_CLOCK_H

#include <stdint.h>

#define CLOCK_TICKS_PER_SECOND 100

/* Calibrates, reads the RTC. => counts of the APIC's timer to a tick. Once, after apic_start;
 * before it the time is 0. */
uint32_t clock_start(void);

/* Since boot; never goes back. */
uint64_t clock_nanoseconds(void);
/* Add this to get nanoseconds since 1970-01-01 UTC: the RTC as read at boot. */
uint64_t clock_realtime_offset(void);
/* The time-stamp counter's frequency, for /proc/cpuinfo. */
uint64_t clock_tsc_hertz(void);

#endif
