/* SPDX-License-Identifier: BSD-2-Clause */
/* QEMU's aarch64 virt machine, as cpu.h wants it; numbers from DDI 0487. */
#include "cpu.h"

/* ESR_EL1.EC */
#define CLASS_FETCH_LOWER 0x20
#define CLASS_FETCH_SAME 0x21
#define CLASS_DATA_LOWER 0x24
#define CLASS_DATA_SAME 0x25
#define CLASS_BREAKPOINT 0x3c

/* TCR_EL1: the CPU sets accessed; and dirty. */
#define TCR_HA (UINT64_C(1) << 39)
#define TCR_HD (UINT64_C(1) << 40)
/* ID_AA64MMFR1_EL1.HAFDBS: 2 if it does both. */
#define HAFDBS UINT64_C(15)

#define UART UINT64_C(0x09000000)
#define POWER_OFF UINT64_C(0x84000008) /* PSCI SYSTEM_OFF */

extern uint64_t first_kernel[];

const uint64_t cpu_breakpoint = 0xd4200000; /* brk #0 */
const uint64_t cpu_ram = UINT64_C(0x40000000);
const uint64_t cpu_ram_bytes = UINT64_C(64) << 20;
const uint64_t cpu_device = UART;

static uint64_t trap_class(void)
{
	return cpu_last.cause >> 26 & 63;
}

bool cpu_stopped_at_breakpoint(void)
{
	return trap_class() == CLASS_BREAKPOINT;
}

/* Translation, access flag or permission fault of any level: ISS bits 5:2 are 1 to 3. */
bool cpu_faulted(void)
{
	uint64_t kind = cpu_last.cause >> 2 & 15;

	return (trap_class() == CLASS_FETCH_LOWER || trap_class() == CLASS_FETCH_SAME ||
		trap_class() == CLASS_DATA_LOWER || trap_class() == CLASS_DATA_SAME) &&
	       kind >= 1 && kind <= 3;
}

const lh_paging_format *cpu_format(unsigned n)
{
	uint64_t features;

	__asm__ volatile("mrs %0, id_aa64mmfr1_el1" : "=r"(features));
	if (n == 1 && (features & HAFDBS) >= 2)
		return &lh_format_aarch64_4k_flags;
	return n == 0 ? &lh_format_aarch64_4k : NULL;
}

void cpu_flush(void)
{
	__asm__ volatile("dsb ishst\n\ttlbi vmalle1\n\tdsb ish\n\tisb" : : : "memory");
}

static void load(uint64_t user, uint64_t kernel, bool flags)
{
	uint64_t control;

	__asm__ volatile("mrs %0, tcr_el1" : "=r"(control));
	control &= ~(TCR_HA | TCR_HD);
	control |= flags ? TCR_HA | TCR_HD : 0;
	__asm__ volatile("dsb ishst\n\tmsr tcr_el1, %0\n\tmsr ttbr0_el1, %1\n\tmsr ttbr1_el1, %2\n\tisb"
			 : : "r"(control), "r"(user), "r"(kernel) : "memory");
	cpu_flush();
}

void cpu_load(const lh_paging_format *format, lh_frame_number user, lh_frame_number kernel)
{
	load(lh_frame_address(user).value, lh_frame_address(kernel).value, !format->software_accessed);
}

void cpu_load_first(void)
{
	uint64_t root = (uint64_t)(uintptr_t)first_kernel - CPU_WINDOW;

	load(root, root, false);
}

void cpu_put(char character)
{
	*(volatile uint32_t *)(UART + CPU_WINDOW) = (uint8_t)character;
}

_Noreturn void cpu_end(bool good)
{
	register uint64_t x0 __asm__("x0") = POWER_OFF;

	(void)good; /* the last line says it */
	__asm__ volatile("hvc #0" : "+r"(x0) : : "memory");
	for (;;)
		;
}
