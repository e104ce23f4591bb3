/* SPDX-License-Identifier: BSD-2-Clause */
/* How memory management comes up. The order is the library's (landhold/memory_map.h). */
#ifndef KERNEL_MEMORY_START_H
#define KERNEL_MEMORY_START_H

#include <landhold/memory_map.h>

#include "boot/information.h"

/*
 * From the firmware's map, not normalised, to the kernel's own directory, loaded: frames, the
 * manager, the image with the rights of its parts, the direct map. Panics if it cannot be done.
 * => runs on the early tables, interrupts off.
 */
void memory_start(lh_memory_map *firmware, const struct boot_module *initramfs);

/* The parts of it that have state to set up: before memory_start, and after it. */
void memory_port_start(void);
void heap_start(void);

/*
 * The physical page where other CPUs start, in reach of their 16-bit mode, seen through the direct map;
 * kept from the allocator until it is given back, which panics if anything else holds it.
 */
#define MEMORY_LOW_PAGE 0x8000
bool memory_has_low_page(void);
void memory_give_low_page_back(void);

/* Panics, and says why, if anything of the kernel is writable and executable or seen by user code, or
 * if the kernel's own directory has anything in its low half. */
void memory_audit(void);

#endif
