/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Translation caches of a real riscv64 CPU, without ASIDs (every directory has ASID 0): linked only into kernels.
 * The RISC-V Instruction Set Manual, volume II, section "Supervisor Memory-Management Fence Instruction".
 *
 * SFENCE.VMA orders this CPU's writes to tables before its own walks, and drops what it has cached: of all
 * addresses, of one address space (not what is global) or all. With an address it is about leaves alone: an upper
 * entry that was taken away, or is new, may stay cached as it was. Who calls here does not say which was written, so
 * none is given. The absence of a translation may be cached as well, so wholly new leaves want one, too
 * (lh_paging_format.present_flush). It says nothing to other CPUs: they are called (lh_port_call_cpus).
 *
 * The host has switched translation on, with the kernel's root: the mode that satp has stays.
 */
#include "root.h"

#include <landhold/port.h>

#define SATP_MODE (UINT64_C(15) << LH_RISCV64_MODE_SHIFT)

static uint64_t read_satp(void)
{
	uint64_t value;

	__asm__ volatile("csrr %0, satp" : "=r"(value));
	return value;
}

static void fence_all(void)
{
	__asm__ volatile("sfence.vma" : : : "memory");
}

/* All that is not global. */
static void fence_space(void)
{
	__asm__ volatile("sfence.vma zero, %0" : : "r"(UINT64_C(0)) : "memory");
}

void lh_architecture_flush_local(lh_port *port, lh_frame_number root, lh_virtual_range range,
				 bool global)
{
	(void)port;
	(void)range;
	/* What is not global left the TLB when another root was loaded. */
	if (global)
		fence_all();
	else if ((read_satp() & LH_RISCV64_ROOT_PPN) == root.value)
		fence_space();
}

void lh_architecture_load(lh_port *port, lh_frame_number root)
{
	(void)port;
	/* Writes to the tables come before, walks after. */
	__asm__ volatile("csrw satp, %0" : : "r"((read_satp() & SATP_MODE) | root.value) : "memory");
	fence_space();
}
