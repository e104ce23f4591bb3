/* SPDX-License-Identifier: BSD-2-Clause */
/* satp: The RISC-V Instruction Set Manual, volume II, version 20211203, section 4.1.11. */
#ifndef LANDHOLD_ARCH_RISCV64_ROOT_H
#define LANDHOLD_ARCH_RISCV64_ROOT_H

#include <stdint.h>

#define LH_RISCV64_MODE_SHIFT 60
#define LH_RISCV64_ROOT_PPN UINT64_C(0x00000fffffffffff) /* bits 43:0 */

#endif
