/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef BENCH_REGION_BENCH_H
#define BENCH_REGION_BENCH_H

#include "subject.h"

/* Items begin on cache lines, as a kernel's allocator would have them. */
static inline size_t bench_stride(const struct subject *subject)
{
	return (subject->item_bytes + 63) / 64 * 64;
}

/* Zeroed memory for so many items; ends the program if there is none. */
unsigned char *bench_items(const struct subject *subject, size_t count);

/* Compares a subject with the oracle; ends the program with a message if it is wrong. */
void bench_verify(const struct subject *subject);

#endif
