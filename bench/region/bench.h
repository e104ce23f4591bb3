/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef BENCH_REGION_BENCH_H
#define BENCH_REGION_BENCH_H

#include "subject.h"

#define BENCH_HUGE_PAGE ((size_t)2 << 20)

/* Items begin on cache lines, those of some lines where they would in an array in a page: as a
 * kernel's allocator has them. */
static inline size_t bench_stride(const struct subject *subject)
{
	return (subject->item_bytes + 63) / 64 * 64;
}

/* Memory on huge pages, as what a kernel's direct map shows; ends the program if there is none. */
void *bench_memory(size_t bytes);
/* So many items, zeroed and prepared, in such memory. */
unsigned char *bench_items(const struct subject *subject, size_t count);

/* Compares a subject with the oracle; ends the program with a message if it is wrong. */
void bench_verify(const struct subject *subject);

/* Around what is timed. => its nanoseconds. Then, with bench_counts, callgrind dumps its instructions
 * under a name. */
extern bool bench_counts;
void bench_begin(void);
double bench_end(void);
void bench_dump(const char *name);

/* After each operation. With bench_is_apart, the next one begins when all loads of this one have come, as where
 * a kernel does other things in between; else the processor is ahead with several, as far as it can be. */
extern bool bench_is_apart;
static inline void bench_pause(void)
{
#ifdef __x86_64__
	if (bench_is_apart)
		__builtin_ia32_lfence();
#endif
}

#endif
