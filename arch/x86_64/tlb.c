/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Translation caches of a real x86-64 CPU, without PCIDs (CR4.PCIDE clear): linked only
 * into kernels.
 *
 * Intel SDM volume 3A (June 2016), section 4.10.4.1: INVLPG drops the page's translations, global
 * ones too, and *all* paging-structure caches; writing CR3 drops all that is not global;
 * a change of CR4.PGE drops everything.
 */
#include "root.h"

#include <landhold/port.h>

/*
 * Above this many pages everything goes: an INVLPG takes 100 to 200 cycles, and filling a
 * TLB again some thousands.
 */
#define PAGES_ONE_BY_ONE 32

#define CR4_PGE (UINT64_C(1) << 7)

static uint64_t read_cr3(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr3, %0" : "=r"(value));
	return value;
}

static void write_cr3(uint64_t value)
{
	__asm__ volatile("mov %0, %%cr3" : : "r"(value) : "memory");
}

static uint64_t read_cr4(void)
{
	uint64_t value;

	__asm__ volatile("mov %%cr4, %0" : "=r"(value));
	return value;
}

static void write_cr4(uint64_t value)
{
	__asm__ volatile("mov %0, %%cr4" : : "r"(value) : "memory");
}

static void invalidate_page(lh_virtual_address address)
{
	__asm__ volatile("invlpg (%0)" : : "r"(address.value) : "memory");
}

/* => interrupts off, so that nobody changes CR4 between the two writes. */
static void flush_all_global(void)
{
	uint64_t cr4 = read_cr4();

	if (cr4 & CR4_PGE) {
		write_cr4(cr4 & ~CR4_PGE);
		write_cr4(cr4);
	} else {
		write_cr3(read_cr3());
	}
}

void lh_architecture_flush_local(lh_port *port, lh_frame_number root, lh_virtual_range range,
				 bool global)
{
	(void)port;
	/* What is not global left the TLB when another root was loaded. */
	if (!global && (read_cr3() & LH_X86_64_ADDRESS) != lh_frame_address(root).value)
		return;
	if (range.pages <= PAGES_ONE_BY_ONE) {
		for (uint64_t page = 0; page < range.pages; page++)
			invalidate_page(lh_virtual_range_page(range, page));
	} else if (global) {
		flush_all_global();
	} else {
		write_cr3(read_cr3());
	}
}

void lh_architecture_load(lh_port *port, lh_frame_number root)
{
	(void)port;
	/* Also if the same root is loaded: its frame may have been another directory's since. */
	write_cr3(lh_frame_address(root).value);
}
