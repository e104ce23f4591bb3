/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's heap, for what is neither a page nor the library's own. Blocks are not
 * contiguous in physical memory. The wrong size at kernel_free, or a block freed twice, is a panic.
 * Context of all: a thread, no spinlock, interrupts on.
 */
#ifndef KERNEL_MEMORY_HEAP_H
#define KERNEL_MEMORY_HEAP_H

#include <stddef.h>
#include <stdint.h>

/* Zeroed, aligned to 16. => NULL: no memory, or 0 bytes. */
void *kernel_allocate(size_t bytes);
/* bytes: what it was allocated with. NULL is ignored. */
void kernel_free(void *block, size_t bytes);

/* Gives what is kept for the next allocations back to the frames: before numbers are compared, and
 * when memory runs out. => pages given back. */
uint64_t kernel_heap_trim(void);

/* What is given out now, and the frames that the heap has for it; bytes are rounded up as the heap does. */
struct kernel_heap_use {
	uint64_t items, bytes, frames;
};
void kernel_heap_read_use(struct kernel_heap_use *use);

/*
 * At the machine's end, when everything has been taken down: says in the log how many blocks are left, which all
 * are leaks; of a checked heap also who allocated them. The debug kernel's is one, and any with "heap=checked" on
 * its command line: slower, and a mistake is a panic that says who allocated and who freed. "heap.leak" makes the
 * kernel lose a block, so that what looks for leaks can be seen to find one. => nobody else uses the heap meanwhile.
 */
void kernel_heap_report_left(void);

/* Recounts. => NULL or what is wrong. Nobody else uses the heap meanwhile. */
const char *kernel_heap_check(void);

#endif
