/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The registers of what was interrupted, as the entries (entry.S) leave them on the kernel stack.
 * An entry from user mode leaves its frame at the top of the thread's stack, system
 * calls and interrupts alike. Selectors have Linux' values, as programs may see them.
 */
#ifndef KERNEL_ARCH_X86_64_TRAP_FRAME_H
#define KERNEL_ARCH_X86_64_TRAP_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "boot/hooks.h"

#define KERNEL_CODE_SELECTOR 0x10
#define KERNEL_DATA_SELECTOR 0x18
#define USER_DATA_SELECTOR 0x2b
#define USER_CODE_SELECTOR 0x33

#define TRAP_SYSTEM_CALL 0x100 /* vector of a frame left by the syscall instruction */

/* Exception vectors (Intel volume 3, June 2016, table 6-1). */
enum {
	TRAP_DIVIDE_ERROR = 0,
	TRAP_DEBUG = 1,
	TRAP_NMI = 2,
	TRAP_BREAKPOINT = 3,
	TRAP_OVERFLOW = 4,
	TRAP_BOUND = 5,
	TRAP_INVALID_OPCODE = 6,
	TRAP_NO_FPU = 7,
	TRAP_DOUBLE_FAULT = 8,
	TRAP_INVALID_TSS = 10,
	TRAP_SEGMENT_NOT_PRESENT = 11,
	TRAP_STACK_FAULT = 12,
	TRAP_GENERAL_PROTECTION = 13,
	TRAP_PAGE_FAULT = 14,
	TRAP_FPU_ERROR = 16,
	TRAP_ALIGNMENT_CHECK = 17,
	TRAP_MACHINE_CHECK = 18,
	TRAP_SIMD_ERROR = 19
};

struct trap_frame {
	uint64_t r15, r14, r13, r12, rbp, rbx;
	uint64_t r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	uint64_t vector;
	uint64_t error_code; /* of a system call: its number, as rax was */
	uint64_t rip, cs, rflags, rsp, ss;
};

static inline bool trap_frame_is_user(const struct trap_frame *frame)
{
	return (frame->cs & 3) == 3;
}

/*
 * Enters user mode with these registers, from the current thread, whose space is loaded; its
 * kernel stack is used from the top again. Runs process_before_user first. The selectors and the
 * privileged bits of rflags are forced to what user mode may have.
 */
__attribute__((noreturn)) void user_enter(const struct trap_frame *frame);

/* The bits of rflags that a program may set; interrupts are always on. */
uint64_t trap_sanitise_rflags(uint64_t rflags);

/* False for an address that the CPU refuses to return to, with a fault in the kernel. All
 * others may stand in a frame's rip: the page fault there is the program's. */
static inline bool trap_address_is_canonical(uint64_t address)
{
	return address + (UINT64_C(1) << 47) < UINT64_C(1) << 48;
}

#endif
