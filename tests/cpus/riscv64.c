/* SPDX-License-Identifier: BSD-2-Clause */
/* QEMU's riscv64 virt machine, as cpu.h wants it; numbers from the Privileged Architecture manual. */
#include "cpu.h"

#define CAUSE_BREAKPOINT 3
#define CAUSE_FETCH_PAGE_FAULT 12
#define CAUSE_READ_PAGE_FAULT 13
#define CAUSE_WRITE_PAGE_FAULT 15

/* satp.MODE */
#define SV39 UINT64_C(8)

#define SBI_PUT_CHARACTER 1
#define SBI_SHUT_DOWN 8

extern const uint64_t cpu_first_satp;

const uint64_t cpu_breakpoint = 0x00100073; /* ebreak */
const uint64_t cpu_ram = UINT64_C(0x80000000);
const uint64_t cpu_ram_bytes = UINT64_C(64) << 20;
const uint64_t cpu_device = 0;

bool cpu_stopped_at_breakpoint(void)
{
	return cpu_last.cause == CAUSE_BREAKPOINT;
}

bool cpu_faulted(void)
{
	return cpu_last.cause == CAUSE_FETCH_PAGE_FAULT || cpu_last.cause == CAUSE_READ_PAGE_FAULT ||
	       cpu_last.cause == CAUSE_WRITE_PAGE_FAULT;
}

/* => what of it the CPU took: a write of a mode that it lacks has no effect. */
static uint64_t set_satp(uint64_t satp)
{
	uint64_t now;

	__asm__ volatile("csrw satp, %1\n\tsfence.vma\n\tcsrr %0, satp" : "=r"(now) : "r"(satp) : "memory");
	return now;
}

static uint64_t satp_of(uint64_t mode, uint64_t root)
{
	return mode << 60 | root >> LH_PAGE_SHIFT;
}

/* The first tables are Sv39's; a level is put above for each that the mode has more. */
static bool has_mode(uint64_t mode)
{
	static uint64_t above[2][512] __attribute__((aligned(4096)));
	uint64_t root = cpu_first_satp << LH_PAGE_SHIFT;
	uint64_t wanted;
	bool has;

	for (uint64_t level = 0; level < mode - SV39; level++) {
		above[level][511] = root >> 2 | 1;
		root = (uint64_t)(uintptr_t)above[level] - CPU_WINDOW;
	}
	wanted = satp_of(mode, root);
	has = set_satp(wanted) == wanted;
	set_satp(cpu_first_satp);
	return has;
}

/*
 * The format as it is made for any CPU: flags kept by software, one memory type. QEMU's CPU sets the flags
 * itself, and has Svpbmt, which its firmware switches on, and Svnapot: so it is tried that way, too.
 */
const lh_paging_format *cpu_format(unsigned n)
{
	static const lh_paging_format *const all[] = { &lh_format_riscv64_sv39, &lh_format_riscv64_sv48,
						       &lh_format_riscv64_sv57 };
	static const char *const flagged[] = { "riscv64, Sv39, hardware flags, Svpbmt, Svnapot", "riscv64, Sv48, hardware flags, Svpbmt, Svnapot",
					       "riscv64, Sv57, hardware flags, Svpbmt, Svnapot" };
	static lh_paging_format format;

	if (n >= 6 || (n / 2 > 0 && !has_mode(SV39 + n / 2)))
		return NULL;
	format = *all[n / 2];
	if (n % 2 != 0) {
		format.name = flagged[n / 2];
		format.software_accessed = format.software_dirty = false;
		lh_paging_format_add_svpbmt(&format);
		lh_paging_format_add_svnapot(&format);
	}
	return &format;
}

void cpu_load(const lh_paging_format *format, lh_frame_number user, lh_frame_number kernel)
{
	(void)kernel;
	set_satp(lh_paging_format_root(format, user, 0));
}

void cpu_load_first(void)
{
	set_satp(cpu_first_satp);
}

bool cpu_refuse_key(unsigned key)
{
	(void)key;
	return false;
}

static void call_firmware(uint64_t number, uint64_t argument)
{
	register uint64_t a0 __asm__("a0") = argument;
	register uint64_t a7 __asm__("a7") = number;

	__asm__ volatile("ecall" : "+r"(a0) : "r"(a7) : "memory");
}

void cpu_put(char character)
{
	call_firmware(SBI_PUT_CHARACTER, (uint8_t)character);
}

_Noreturn void cpu_end(bool good)
{
	(void)good; /* the last line says it */
	call_firmware(SBI_SHUT_DOWN, 0);
	for (;;)
		;
}
