/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The machine's memory: the library's manager, and where things lie.
 *
 *   0x0000000000001000  user half, up to USER_LIMIT
 *   0xffff800000000000  direct map: every byte of usable memory, read-write, no execute
 *   0xffffc00000000000  kernel regions: stacks, device registers, the heap
 *   0xffffffff80000000  the kernel image, at 1 MiB beyond
 */
#ifndef KERNEL_MEMORY_MEMORY_H
#define KERNEL_MEMORY_MEMORY_H

#include <landhold/manager.h>

#define USER_BASE UINT64_C(0x1000)
#define USER_LIMIT UINT64_C(0x00007ffffffff000) /* the first address that is not user memory */
#define DIRECT_MAP_BASE UINT64_C(0xffff800000000000)
#define REGIONS_BASE UINT64_C(0xffffc00000000000)
#define REGIONS_PAGES (UINT64_C(1) << 32) /* 16 TiB */
#define IMAGE_BASE UINT64_C(0xffffffff80000000)

/* The one memory manager. Stands from before the first thread on. */
lh_manager *memory_manager(void);
/* Its frames: a shorthand for lh_manager_frames. */
lh_frames *memory_frames(void);

/* The bytes of physical memory that is in the boot memory map (and the initramfs). */
static inline void *direct_pointer(uint64_t physical)
{
	return (void *)(uintptr_t)(DIRECT_MAP_BASE + physical);
}

/* A request for a region in the kernel's own window: pages of it, with rights. */
lh_kernel_request memory_request(uint64_t pages, lh_rights rights);

/* 64 bits that a program cannot guess, as far as the machine has them (RDRAND where the
 * CPU has it; mixed with the clock). Context: any. */
uint64_t random_64(void);

#endif
