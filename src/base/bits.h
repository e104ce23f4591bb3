/* SPDX-License-Identifier: BSD-2-Clause */
/* What compilers would call libgcc for on the oldest machines. */
#ifndef LANDHOLD_BASE_BITS_H
#define LANDHOLD_BASE_BITS_H

#include <stdint.h>

/* The bits that are set. One turn each: for walkers, not for hot paths. */
static inline unsigned lh_bits_count(uint64_t word)
{
	unsigned count = 0;

	for (; word != 0; word &= word - 1)
		count++;
	return count;
}

#endif
