/* SPDX-License-Identifier: BSD-2-Clause */
/* TTBRn_EL1's address, BADDR: DDI 0487 L.b, section D8.2.3, table D8-10. */
#ifndef LANDHOLD_ARCH_AARCH64_ROOT_H
#define LANDHOLD_ARCH_AARCH64_ROOT_H

#include <stdint.h>

#define LH_AARCH64_ROOT_LOW UINT64_C(0x0000fffffffff000) /* bits 47:12 */
#define LH_AARCH64_ROOT_HIGH UINT64_C(0x3c) /* bits 5:2: address bits 51:48, where there are any */
#define LH_AARCH64_ROOT_HIGH_SHIFT 46

#endif
