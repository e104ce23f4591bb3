/* SPDX-License-Identifier: BSD-2-Clause */
/* The time-stamp counter, which counts instructions where QEMU is told so. */
#ifndef BENCH_GUEST_COUNTER_H
#define BENCH_GUEST_COUNTER_H

#include <stdint.h>

/* How long to sleep first: Linux 6.12 is busy for a while after it has started its first process. */
#define BOOT_SECONDS 3

static inline uint64_t read_counter(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence\n\trdtsc\n\tlfence" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

#endif
