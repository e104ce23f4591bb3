/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Control and model-specific registers: names and bits as the Intel manual has them
 * (volume 3, June 2016, section 2.5; volume 4).
 */
#ifndef KERNEL_ARCH_X86_64_REGISTERS_H
#define KERNEL_ARCH_X86_64_REGISTERS_H

#include <stdint.h>

#define CR0_MP (UINT64_C(1) << 1)
#define CR0_EM (UINT64_C(1) << 2)
#define CR0_TS (UINT64_C(1) << 3)
#define CR0_NE (UINT64_C(1) << 5)
#define CR0_WP (UINT64_C(1) << 16)
#define CR0_AM (UINT64_C(1) << 18)

#define CR4_PGE (UINT64_C(1) << 7)
#define CR4_OSFXSR (UINT64_C(1) << 9)
#define CR4_OSXMMEXCPT (UINT64_C(1) << 10)
#define CR4_UMIP (UINT64_C(1) << 11)
#define CR4_SMEP (UINT64_C(1) << 20)
#define CR4_SMAP (UINT64_C(1) << 21)

#define DR6_STEP (UINT64_C(1) << 14)
#define DR6_NOTHING UINT64_C(0xffff0ff0)

#define MSR_APIC_BASE 0x0000001b
#define MSR_EFER 0xc0000080
#define MSR_STAR 0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_CSTAR 0xc0000083
#define MSR_SFMASK 0xc0000084
#define MSR_FS_BASE 0xc0000100
#define MSR_GS_BASE 0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102

#define EFER_SCE (UINT64_C(1) << 0)
#define EFER_LME (UINT64_C(1) << 8)
#define EFER_NXE (UINT64_C(1) << 11)

#define RFLAGS_CF (UINT64_C(1) << 0)
#define RFLAGS_FIXED (UINT64_C(1) << 1)
#define RFLAGS_TF (UINT64_C(1) << 8)
#define RFLAGS_IF (UINT64_C(1) << 9)
#define RFLAGS_DF (UINT64_C(1) << 10)
#define RFLAGS_NT (UINT64_C(1) << 14)
#define RFLAGS_RF (UINT64_C(1) << 16)
#define RFLAGS_AC (UINT64_C(1) << 18)

#define READ_CONTROL(name)                                          \
	static inline uint64_t read_##name(void)                    \
	{                                                           \
		uint64_t value;                                     \
                                                                    \
		__asm__ volatile("movq %%" #name ", %0" : "=r"(value)); \
		return value;                                       \
	}
#define WRITE_CONTROL(name)                                                       \
	static inline void write_##name(uint64_t value)                           \
	{                                                                         \
		__asm__ volatile("movq %0, %%" #name : : "r"(value) : "memory");  \
	}
READ_CONTROL(cr0)
WRITE_CONTROL(cr0)
READ_CONTROL(cr2)
READ_CONTROL(cr3)
WRITE_CONTROL(cr3)
READ_CONTROL(cr4)
WRITE_CONTROL(cr4)
READ_CONTROL(dr6)
WRITE_CONTROL(dr6)
#undef READ_CONTROL
#undef WRITE_CONTROL

static inline uint64_t read_msr(uint32_t number)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(number));
	return (uint64_t)high << 32 | low;
}

static inline void write_msr(uint32_t number, uint64_t value)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(number), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
}

static inline uint64_t read_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

#endif
