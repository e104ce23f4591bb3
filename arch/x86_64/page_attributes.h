/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page attribute table that format.c counts on. The kernel writes it to the
 * IA32_PAT register (277H) of each CPU before it maps write-combining memory.
 *
 * It is the value after reset (Intel SDM volume 3A, June 2016, table 11-12) but for entry 6, which
 * becomes write-combining. There reset has "uncached minus": a CPU that never got this
 * value treats such pages as uncached, slow but right.
 */
#ifndef LANDHOLD_ARCH_X86_64_PAGE_ATTRIBUTES_H
#define LANDHOLD_ARCH_X86_64_PAGE_ATTRIBUTES_H

#include <stdint.h>

#define LH_X86_64_IA32_PAT 0x277u
#define LH_X86_64_PAGE_ATTRIBUTES UINT64_C(0x0001040600070406)

#endif
