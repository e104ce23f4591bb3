/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef KERNEL_SYSCALL_ROBUST_H
#define KERNEL_SYSCALL_ROBUST_H

#include <stdint.h>

/* A thread ends: the futexes on its list that it still holds are marked, and one waiter of each is
 * woken. => head: user address of the list, in the current thread's memory. Context: no lock. */
void robust_list_release(uint64_t head, uint32_t tid);

#endif
