/* SPDX-License-Identifier: BSD-2-Clause */
/* What the boot loader said, as boot itself needs it. */
#ifndef KERNEL_BOOT_INFORMATION_H
#define KERNEL_BOOT_INFORMATION_H

#include <landhold/memory_map.h>

#include "boot/info.h"

#define BOOT_LOADER_PVH 1
#define BOOT_LOADER_MULTIBOOT2 2

/* Where the initramfs lies; bytes 0: there is none. */
struct boot_module {
	uint64_t physical;
	uint64_t bytes;
};

/*
 * Copies the command line, finds the initramfs, and adds what the firmware says of memory to the map.
 * => the information lies below 4 GiB, seen through the early direct map. It is read to
 *    its declared lengths only. Panics where it is not what it should be.
 */
void boot_information_read(uint32_t loader, uint64_t physical, lh_memory_map *map,
			   struct boot_module *initramfs);

/* The initramfs is seen through the direct map from now on. */
void boot_information_set_initramfs(const struct boot_module *initramfs);

#endif
