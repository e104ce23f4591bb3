/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The only ways to touch user memory. Each byte touched lies below USER_LIMIT; a page
 * that is absent is brought by lh_space_fault of the current thread's space; a pointer that
 * leads nowhere is an error, never a panic.
 *
 * Context: a thread with a space; no spinlock, interrupts on: may wait for memory or a
 * pager. A mutex may be held only if no page fault needs it.
 */
#ifndef KERNEL_MEMORY_USER_H
#define KERNEL_MEMORY_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/error.h"

/* => LH_BAD_ADDRESS: some byte cannot be reached; what comes before it may have been copied. */
LH_MUST_USE lh_error user_copy_in(void *to, uint64_t from, size_t bytes);
LH_MUST_USE lh_error user_copy_out(uint64_t to, const void *from, size_t bytes);
LH_MUST_USE lh_error user_clear(uint64_t to, size_t bytes);

/*
 * Copies up to and with the ending 0. *length: without it.
 * => LH_NAME_TOO_LONG: no 0 within capacity; LH_BAD_ADDRESS.
 */
LH_MUST_USE lh_error user_copy_string(char *to, uint64_t from, size_t capacity, size_t *length);

/* True if the bytes all lie below USER_LIMIT (mapped or not). */
bool user_range_is_valid(uint64_t address, uint64_t bytes);

/*
 * Atomically: *to = desired if it was expected; *seen is what it was. For futex words.
 * => LH_BAD_ADDRESS; LH_INVALID: not aligned to 4.
 */
LH_MUST_USE lh_error user_compare_exchange_32(uint64_t to, uint32_t expected, uint32_t desired,
					      uint32_t *seen);

#endif
