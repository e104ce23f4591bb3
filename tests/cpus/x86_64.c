/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * QEMU's x86-64 PC, as cpu.h wants it; numbers from the Intel SDM, volume 3A (June 2016). SMEP and SMAP keep the
 * kernel out of user mode's pages. An image serves four or five levels, as it was assembled.
 */
#include "cpu.h"

#define VECTOR_BREAKPOINT 3
#define VECTOR_PAGE_FAULT 14

#define CR4_PGE (UINT64_C(1) << 7)
#define CR4_PKE (UINT64_C(1) << 22)
#define CPUID_7_ECX_PKU (1u << 3)
#define DEBUG_CONSOLE 0xe9
#define DEBUG_EXIT 0xf4

extern uint64_t first_root_4[], first_root_5[];

const uint64_t cpu_breakpoint = 0xcc; /* int3 */
const uint64_t cpu_ram = 0;
const uint64_t cpu_ram_bytes = UINT64_C(64) << 20;
const uint64_t cpu_device = 0;

bool cpu_stopped_at_breakpoint(void)
{
	return cpu_last.cause == VECTOR_BREAKPOINT;
}

bool cpu_faulted(void)
{
	return cpu_last.cause == VECTOR_PAGE_FAULT;
}

const lh_paging_format *cpu_format(unsigned n)
{
	if (n > 0)
		return NULL;
	return LEVELS == 5 ? &lh_format_x86_64_5_level : &lh_format_x86_64_4_level;
}

/* Everything goes, global translations too, when CR4.PGE changes (section 4.10.4.1). */
static void flush(void)
{
	uint64_t control;

	__asm__ volatile("mov %%cr4, %0" : "=r"(control));
	__asm__ volatile("mov %0, %%cr4\n\tmov %1, %%cr4"
			 : : "r"(control & ~CR4_PGE), "r"(control) : "memory");
}

static void load(uint64_t root)
{
	__asm__ volatile("mov %0, %%cr3" : : "r"(root) : "memory");
	flush();
}

void cpu_load(const lh_paging_format *format, lh_frame_number user, lh_frame_number kernel)
{
	(void)kernel;
	load(lh_paging_format_root(format, user, 0));
}

void cpu_load_first(void)
{
	load((uint64_t)(uintptr_t)(LEVELS == 5 ? first_root_5 : first_root_4) - CPU_WINDOW);
}

/* Section 4.6.2: two bits a key in PKRU, the lower one refuses every access to user mode's pages. */
bool cpu_refuse_key(unsigned key)
{
	uint32_t a = 7, b, c = 0, d;
	uint64_t control;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	if ((c & CPUID_7_ECX_PKU) == 0)
		return false;
	__asm__ volatile("mov %%cr4, %0" : "=r"(control));
	__asm__ volatile("mov %0, %%cr4" : : "r"(control | CR4_PKE) : "memory");
	__asm__ volatile("wrpkru" : : "a"(key == 0 ? 0u : 1u << 2 * key), "c"(0u), "d"(0u) : "memory");
	return true;
}

static void put_byte(uint16_t port, uint8_t byte)
{
	__asm__ volatile("outb %0, %1" : : "a"(byte), "Nd"(port));
}

void cpu_put(char character)
{
	put_byte(DEBUG_CONSOLE, (uint8_t)character);
}

_Noreturn void cpu_end(bool good)
{
	put_byte(DEBUG_EXIT, good ? 0x10 : 0x11);
	for (;;)
		;
}
