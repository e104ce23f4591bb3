/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's heap, for what is neither a page nor the library's own. The caller keeps
 * the size: nothing is stored beside the block.
 * Context: no lock but a heap user's mutex, interrupts on.
 */
#ifndef KERNEL_MEMORY_HEAP_H
#define KERNEL_MEMORY_HEAP_H

#include <stddef.h>

/* Zeroed, aligned to 16. => NULL: no memory, or 0 bytes. */
void *kernel_allocate(size_t bytes);
/* bytes: what it was allocated with. NULL is ignored. */
void kernel_free(void *block, size_t bytes);

#endif
