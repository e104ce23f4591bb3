/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef KERNEL_SYSCALL_FUTEX_H
#define KERNEL_SYSCALL_FUTEX_H

#include <landhold/space.h>

/* Wakes up to so many that wait for the word. => how many. Context: no lock. */
uint32_t futex_wake(lh_space *space, uint64_t address, uint32_t count);

#endif
