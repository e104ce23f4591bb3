/* SPDX-License-Identifier: BSD-2-Clause */
/* What entries and CR3 have in common: Intel SDM volume 3A (June 2016), section 4.5, tables 4-12 to 4-19. */
#ifndef LANDHOLD_ARCH_X86_64_ROOT_H
#define LANDHOLD_ARCH_X86_64_ROOT_H

#include <stdint.h>

#define LH_X86_64_ADDRESS UINT64_C(0x000ffffffffff000) /* bits 51:12 */

#endif
