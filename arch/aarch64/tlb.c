/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Translation caches and barriers of a real aarch64 CPU at EL1, without ASIDs (every directory has ASID 0): linked
 * only into kernels. DDI 0487 L.b, section D8.17 "TLB maintenance", and D8.2.6.1 for the order of table writes.
 *
 * The rules, all of which are kept here and by the order of gather.c and slot.h:
 *   a write to a table is seen by walks after a DSB, by what this CPU executes after an ISB as well
 *   a live entry that changes more than rights or flags is first made invalid, then flushed (break-before-make)
 *   a wholly new entry needs no TLBI, since absence is not cached: the DSB and the ISB alone
 * Flushes are sent to CPUs one by one (lh_port_call_cpus), so none of these is broadcast.
 *
 * TTBR1_EL1 is the host's: it loads the kernel's root there, and TCR_EL1 and MAIR_EL1 with it, before it
 * switches translation on. Of the root that is there already, lh_architecture_load knows that it is the
 * kernel's, which has no low half: walks of that are switched off (TCR_EL1.EPD0).
 */
#include "root.h"

#include <landhold/port.h>

/* Above this many pages everything goes. */
#define PAGES_ONE_BY_ONE 32

#define TCR_EPD0 (UINT64_C(1) << 7)

static uint64_t read_ttbr0(void)
{
	uint64_t value;

	__asm__ volatile("mrs %0, ttbr0_el1" : "=r"(value));
	return value;
}

static uint64_t read_ttbr1(void)
{
	uint64_t value;

	__asm__ volatile("mrs %0, ttbr1_el1" : "=r"(value));
	return value;
}

static uint64_t read_tcr(void)
{
	uint64_t value;

	__asm__ volatile("mrs %0, tcr_el1" : "=r"(value));
	return value;
}

static uint64_t register_of(lh_frame_number root)
{
	uint64_t address = lh_frame_address(root).value;

	return (address & LH_AARCH64_ROOT_LOW) | (address >> LH_AARCH64_ROOT_HIGH_SHIFT & LH_AARCH64_ROOT_HIGH);
}

/* This CPU's table writes before this are seen by all CPUs' walks after it. */
static void order_writes(void)
{
	__asm__ volatile("dsb ishst" : : : "memory");
}

static void finish(void)
{
	__asm__ volatile("dsb nsh\n\tisb" : : : "memory");
}

static void invalidate_page(lh_virtual_address address)
{
	/* VA[55:12], in all address spaces, with the entries above it. */
	__asm__ volatile("tlbi vaae1, %0" : : "r"(address.value << 8 >> 20) : "memory");
}

void lh_architecture_flush_local(lh_port *port, lh_frame_number root, lh_virtual_range range,
				 bool global)
{
	(void)port;
	order_writes();
	/* What is not global left the TLB when another root was loaded. */
	if (global || (read_ttbr0() & (LH_AARCH64_ROOT_LOW | LH_AARCH64_ROOT_HIGH)) == register_of(root)) {
		if (range.pages > PAGES_ONE_BY_ONE)
			__asm__ volatile("tlbi vmalle1" : : : "memory");
		else
			for (uint64_t page = 0; page < range.pages; page++)
				invalidate_page(lh_virtual_range_page(range, page));
	}
	finish();
}

void lh_architecture_load(lh_port *port, lh_frame_number root)
{
	bool is_kernels = (read_ttbr1() & (LH_AARCH64_ROOT_LOW | LH_AARCH64_ROOT_HIGH)) == register_of(root);
	uint64_t control = read_tcr() & ~TCR_EPD0;

	(void)port;
	order_writes();
	if (is_kernels)
		__asm__ volatile("msr tcr_el1, %0" : : "r"(control | TCR_EPD0) : "memory");
	else
		__asm__ volatile("msr ttbr0_el1, %0\n\tmsr tcr_el1, %1"
				 : : "r"(register_of(root)), "r"(control) : "memory");
	/* All of ASID 0 that is not global: the root before. */
	__asm__ volatile("isb\n\ttlbi aside1, %0" : : "r"(UINT64_C(0)) : "memory");
	finish();
}
