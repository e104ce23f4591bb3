/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a program asked of its allocator: a row of 64-bit words, one an operation.
 *
 *     bits 0..2 operation | 3..7 log2 of the alignment | 8..31 slot | 32..63 bytes
 *
 * A slot stands for a block while it lives, and is used again afterwards: so a replay needs an array
 * of as many blocks as ever lived at once, and looks nothing up.
 */
#ifndef TOOLS_HEAP_TRACE_H
#define TOOLS_HEAP_TRACE_H

#include <stdint.h>

enum trace_operation { TRACE_ALLOCATE, TRACE_ZEROED, TRACE_ALIGNED, TRACE_FREE, TRACE_RESIZE };

#define TRACE_SLOTS (UINT32_C(1) << 24)

static inline uint64_t trace_word(enum trace_operation operation, unsigned alignment_shift,
				  uint32_t slot, uint64_t bytes)
{
	return (uint64_t)operation | (uint64_t)(alignment_shift & 31) << 3 | (uint64_t)slot << 8 |
	       bytes << 32;
}

static inline enum trace_operation trace_operation_of(uint64_t word)
{
	return (enum trace_operation)(word & 7);
}

static inline unsigned trace_alignment_shift(uint64_t word)
{
	return (unsigned)(word >> 3 & 31);
}

static inline uint32_t trace_slot(uint64_t word)
{
	return (uint32_t)(word >> 8 & (TRACE_SLOTS - 1));
}

static inline uint64_t trace_bytes(uint64_t word)
{
	return word >> 32;
}

#endif
