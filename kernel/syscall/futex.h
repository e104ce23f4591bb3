/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef KERNEL_SYSCALL_FUTEX_H
#define KERNEL_SYSCALL_FUTEX_H

#include <stdint.h>

/* Wakes up to so many that wait for the word, in the current process' memory, by calls that do not
 * say FUTEX_PRIVATE_FLAG. => how many. Context: a thread with memory, no lock. */
uint32_t futex_wake_shared(uint64_t address, uint32_t count);

#endif
