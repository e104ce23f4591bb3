/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A table in the place of a CPU's TLB: for each page where its bytes are seen in this process.
 *
 * A kernel reaches a block by its address, and so do users' heaps here; Landhold's hosted heap cannot, since its addresses
 * are mapped by tables that no CPU walks. So each touch of a block looks its page up: some nine instructions, and a
 * few cache lines, that a kernel does not pay and the other heaps do not. How to have it fair:
 *
 *   - Not by a window of the host's pages at the heap's addresses. A run's frames are single ones, so each page
 *     would take a system call of its own, and a fault, each time that the heap gives it back and takes it again:
 *     on Python's trace 8500 times a round, microseconds where a CPU's walk takes nanoseconds. Leaving pages mapped
 *     that the heap gave back, or the calls unmeasured, would leave out what giving back costs, too.
 *   - Not by subtraction: what an instruction costs depends on those around it.
 *   - So by measuring both ways. Against mimalloc as it is, Landhold's time is too long by the table. Against mimalloc
 *     that looks every touched page up in the same table ("mimalloc-table"), both pay the same; but as much
 *     added to both draws a quotient towards 1. With L, M and t for both heaps and the table, (L - t) / M, what
 *     would be seen if nobody paid, is never above L / M; and it lies above L / (M + t) where L - M exceeds t. So the
 *     two that are printed enclose it, or it is below both.
 *
 * What a kernel does pay stays in: entries of the page tables written and cleared, their flushes (an emptied part of
 * the table, which is as long), and filling the table again by who finds nothing there.
 */
#ifndef BENCH_HEAP_TABLE_H
#define BENCH_HEAP_TABLE_H

#include <stdint.h>

#define TABLE_PAGES (UINT64_C(1) << 20)

static uint64_t table[TABLE_PAGES]; /* what to add to an address in a page, and 1; 0: look; atomic */

/* The subject's: where a byte is seen. */
static uint64_t table_walk(uint64_t address);

static __attribute__((noinline)) void *table_fill(uint64_t address)
{
	uint64_t bytes = table_walk(address);

	__atomic_store_n(&table[(uint32_t)address >> 12], bytes - address + 1, __ATOMIC_RELAXED);
	return (void *)(uintptr_t)bytes;
}

static inline void *table_find(uint64_t address)
{
	uint64_t added = __atomic_load_n(&table[(uint32_t)address >> 12], __ATOMIC_RELAXED);

	if (__builtin_expect(added == 0, 0))
		return table_fill(address);
	return (void *)(uintptr_t)(address + added - 1);
}

#endif
