/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Allocations that fail on purpose, to see that each caller of kernel_allocate stands it. Only with "heap.refuse"
 * on the kernel's command line, in two ways:
 *   /dev/fail-nth         who writes N there has the N-th allocation from then on of its own thread refused, once;
 *			   0: none. Reading gives how many are still to come: 0, it has been. (Linux has this as
 *			   /proc/self/fail-nth.)
 *   heap.refuse=ADDRESS   the first allocation by the call that returns to this address is refused: for those of boot.
 * The log names who was refused.
 */
#ifndef KERNEL_MEMORY_REFUSAL_H
#define KERNEL_MEMORY_REFUSAL_H

#include <stdbool.h>
#include <stdint.h>

/* Reads the command line. Boot only. */
void refusal_start(void);
/* Whether it was asked for. */
bool refusal_is_on(void);

/* Whether this allocation fails. => caller: where it returns to. */
bool refusal_is_due(const void *caller);

/* Of the current thread. */
void refusal_set(uint64_t nth);
uint64_t refusal_left(void);

#endif
