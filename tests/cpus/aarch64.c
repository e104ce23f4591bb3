/* SPDX-License-Identifier: BSD-2-Clause */
/* QEMU's aarch64 virt machine, as cpu.h wants it; numbers from DDI 0487, issue L.b. */
#include "cpu.h"

/* ESR_EL1.EC */
#define CLASS_FETCH_LOWER 0x20
#define CLASS_FETCH_SAME 0x21
#define CLASS_DATA_LOWER 0x24
#define CLASS_DATA_SAME 0x25
#define CLASS_BREAKPOINT 0x3c
/* ESR_EL1.ISS, bits 5:0 */
#define TRANSLATION_LEVEL_MINUS_1 0x2b

/* TCR_EL1, section D24.2.194: what is the same for both halves stands in both. */
#define TCR_SIZE(bits) ((64 - (uint64_t)(bits)) * (1 | UINT64_C(1) << 16))
#define TCR_CACHED UINT64_C(0x35003500) /* tables are write-back, inner shareable */
#define TCR_WIDTH(code) ((uint64_t)(code) << 32) /* IPS: 5: 48 bits, 6: 52 */
#define TCR_AS (UINT64_C(1) << 36)
#define TCR_HA (UINT64_C(1) << 39) /* the CPU sets accessed; and dirty */
#define TCR_HD (UINT64_C(1) << 40)
#define TCR_DS (UINT64_C(1) << 59)
#define TCR_GRANULE_4K (UINT64_C(2) << 30)
#define TCR_GRANULE_16K (UINT64_C(1) << 30 | UINT64_C(2) << 14)
#define TCR_GRANULE_64K (UINT64_C(3) << 30 | UINT64_C(1) << 14)

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

/* Translation, access flag or permission fault of any level: ISS bits 5:2 are 1 to 3; or a translation
 * fault of level -1, which has a number of its own. */
bool cpu_faulted(void)
{
	uint64_t kind = (cpu_last.cause & 63) == TRANSLATION_LEVEL_MINUS_1 ? 1 : cpu_last.cause >> 2 & 15;

	return (trap_class() == CLASS_FETCH_LOWER || trap_class() == CLASS_FETCH_SAME ||
		trap_class() == CLASS_DATA_LOWER || trap_class() == CLASS_DATA_SAME) &&
	       kind >= 1 && kind <= 3;
}

static unsigned feature(uint64_t id, unsigned lowest)
{
	return id >> lowest & 15;
}

/* Sections D24.2.88 to D24.2.90: ID_AA64MMFR0_EL1, ID_AA64MMFR1_EL1, ID_AA64MMFR2_EL1. */
static bool is_supported(const lh_paging_format *format)
{
	bool wide = format->address_bits == 52;
	uint64_t id[3];

	__asm__ volatile("mrs %0, id_aa64mmfr0_el1" : "=r"(id[0]));
	__asm__ volatile("mrs %0, id_aa64mmfr1_el1" : "=r"(id[1]));
	__asm__ volatile("mrs %0, s3_0_c0_c7_2" : "=r"(id[2]));
	if (!format->software_accessed && feature(id[1], 0) < 2)
		return false; /* HAFDBS */
	switch (format->page_shift) {
	case 12:
		return feature(id[0], 28) == 1 || (feature(id[0], 28) == 0 && !wide);
	case 14:
		return feature(id[0], 20) >= (wide ? 2 : 1);
	}
	return feature(id[0], 24) == 0 && (!wide || (feature(id[0], 0) >= 6 && feature(id[2], 16) >= 1));
}

const lh_paging_format *cpu_format(unsigned n)
{
	static const lh_paging_format *const all[] = {
		&lh_format_aarch64_4k, &lh_format_aarch64_4k_flags,
		&lh_format_aarch64_4k_52, &lh_format_aarch64_4k_52_flags,
		&lh_format_aarch64_16k, &lh_format_aarch64_16k_flags,
		&lh_format_aarch64_16k_52, &lh_format_aarch64_16k_52_flags,
		&lh_format_aarch64_64k, &lh_format_aarch64_64k_flags,
		&lh_format_aarch64_64k_52, &lh_format_aarch64_64k_52_flags,
	};

	for (unsigned i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i]->page_shift == LH_PAGE_SHIFT && is_supported(all[i]) && n-- == 0)
			return all[i];
	return NULL;
}

/* By way of EL2: aarch64.S. */
static void load(uint64_t control, uint64_t user, uint64_t kernel)
{
	register uint64_t x0 __asm__("x0") = control;
	register uint64_t x1 __asm__("x1") = user;
	register uint64_t x2 __asm__("x2") = kernel;

	__asm__ volatile("dsb ishst\n\thvc #0" : : "r"(x0), "r"(x1), "r"(x2) : "memory");
}

static uint64_t control_of(const lh_paging_format *format)
{
	bool wide = format->address_bits == 52;
	uint64_t control = TCR_SIZE(format->address_bits) | TCR_CACHED | TCR_AS | TCR_WIDTH(wide ? 6 : 5);

	if (!format->software_accessed)
		control |= TCR_HA | TCR_HD;
	if (format->page_shift == 16)
		return control | TCR_GRANULE_64K;
	return control | (wide ? TCR_DS : 0) |
	       (format->page_shift == 14 ? TCR_GRANULE_16K : TCR_GRANULE_4K);
}

void cpu_load(const lh_paging_format *format, lh_frame_number user, lh_frame_number kernel)
{
	load(control_of(format), lh_paging_format_root(format, user, 0),
	     lh_paging_format_root(format, kernel, 0));
}

/* The first tables' granule is 4 KiB. */
void cpu_load_first(void)
{
	uint64_t root = (uint64_t)(uintptr_t)first_kernel - CPU_WINDOW;

	load(TCR_SIZE(48) | TCR_CACHED | TCR_WIDTH(5) | TCR_GRANULE_4K, root, root);
}

bool cpu_refuse_key(unsigned key)
{
	(void)key;
	return false;
}

void cpu_put(char character)
{
	*(volatile uint32_t *)(UART + CPU_WINDOW) = (uint8_t)character;
}

_Noreturn void cpu_end(bool good)
{
	register uint64_t x0 __asm__("x0") = POWER_OFF;

	(void)good; /* the last line says it */
	__asm__ volatile("smc #0" : "+r"(x0) : : "memory");
	for (;;)
		;
}
