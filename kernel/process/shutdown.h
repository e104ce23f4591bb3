/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's end in good order. It comes with the end of the first process, and takes down what the kernel holds
 * by design, so that afterwards whatever is left in the heap is a leak: the other processes, the kernel's threads
 * that came after boot, the input's buffer, the tree of files. It says in the log how many blocks are left, which
 * must be none; tells the host the wait status of the first process; and turns the machine off.
 *
 * What is there for ever is not in the heap: the threads that never end (idle ones, the reaper, and the one that
 * does this) lie in static memory, and what devices write to, and all stacks, are kernel regions.
 */
#ifndef KERNEL_PROCESS_SHUTDOWN_H
#define KERNEL_PROCESS_SHUTDOWN_H

#include <stdint.h>

/* Makes the thread that will do it. Boot only. */
void shutdown_start(void);

/* Begins it; returns at once. => status: as wait4 gives it. Once; any context. */
void shutdown_begin(uint32_t status);

#endif
