/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Arm Architecture Reference Manual for A-profile architecture (DDI 0487, issue L.b), chapter D8: stage 1 of
 * the EL1&0 translation regime, 4 KiB granule, 48 bits, with two privilege levels.
 *
 *   D8.3     descriptor formats: bit 0 valid; bit 1 a table, or at the lowest level a page, above it 0 for
 *            a block; bits 47:12 the output address
 *   D8.4     permissions: AP[2:1], UXN, PXN; of tables APTable, UXNTable, PXNTable, which only take away;
 *            EL0 executes where UXN is 0, whatever AP says; what EL0 may write, EL1 does not execute
 *   D8.5     flags: AF; with hardware updates, DBM makes AP[2] mean clean
 *   D8.16    caching in TLBs: what is invalid, or has AF = 0, is not kept; a permission fault removes
 *            nothing
 *   D8.17.1  break-before-make: a change of memory type, of size, of output address, or from non-global
 *            to global goes by an invalid entry and a TLB maintenance instruction
 *
 * The manual's level 3 is level 0 here. PAN is off: the kernel may read what user mode may.
 */
#include "mmu.h"

#define VALID (UINT64_C(1) << 0)
#define TABLE_OR_PAGE (UINT64_C(1) << 1)
#define ATTR_INDEX (UINT64_C(7) << 2)
#define AP_EL0 (UINT64_C(1) << 6)
#define AP_READ_ONLY (UINT64_C(1) << 7)
#define ACCESS_FLAG (UINT64_C(1) << 10)
#define NOT_GLOBAL (UINT64_C(1) << 11)
#define ADDRESS UINT64_C(0x0000fffffffff000)
#define DIRTY_BIT_MODIFIER (UINT64_C(1) << 51)
#define PXN (UINT64_C(1) << 53)
#define UXN (UINT64_C(1) << 54)
#define PXN_TABLE (UINT64_C(1) << 59)
#define UXN_TABLE (UINT64_C(1) << 60)
#define AP_TABLE_NO_EL0 (UINT64_C(1) << 61)
#define AP_TABLE_READ_ONLY (UINT64_C(1) << 62)

static bool is_table(unsigned level, uint64_t entry)
{
	return level > 0 && (entry & TABLE_OR_PAGE) != 0;
}

/* At the lowest level 0b01 is reserved, and invalid; so is a block at the highest. */
static bool is_valid(unsigned level, uint64_t entry)
{
	return (entry & VALID) != 0 &&
	       ((entry & TABLE_OR_PAGE) != 0 || level == 1 || level == 2);
}

static mmu_entry read_table(uint64_t entry)
{
	return (mmu_entry){
		.kind = MMU_ENTRY_TABLE,
		.physical = entry & ADDRESS,
		.readable = true,
		.writable = (entry & AP_TABLE_READ_ONLY) == 0,
		.user = (entry & AP_TABLE_NO_EL0) == 0,
		.executable = (entry & UXN_TABLE) == 0,
		.executable_above = (entry & PXN_TABLE) == 0,
		.accessed = true,
	};
}

static mmu_entry read_page(unsigned level, uint64_t entry, bool has_modifier)
{
	uint64_t offset = (UINT64_C(1) << (MMU_PAGE_SHIFT + MMU_INDEX_BITS * level)) - 1;
	bool modifies = has_modifier && (entry & DIRTY_BIT_MODIFIER) != 0;
	bool user = (entry & AP_EL0) != 0, writable = (entry & AP_READ_ONLY) == 0 || modifies;

	return (mmu_entry){
		.kind = MMU_ENTRY_PAGE,
		.physical = entry & ADDRESS & ~offset,
		.readable = true,
		.writable = writable,
		.user = user,
		.executable = (entry & UXN) == 0,
		.executable_above = (entry & PXN) == 0 && !(user && writable),
		.global = (entry & NOT_GLOBAL) == 0,
		.accessed = (entry & ACCESS_FLAG) != 0,
		.dirty = modifies ? (entry & AP_READ_ONLY) == 0 : !has_modifier && writable,
		.attributes = entry & ATTR_INDEX,
	};
}

static mmu_entry read_entry(unsigned level, uint64_t entry)
{
	if (!is_valid(level, entry))
		return (mmu_entry){ .kind = MMU_ENTRY_NONE };
	return is_table(level, entry) ? read_table(entry) : read_page(level, entry, false);
}

static mmu_entry read_entry_with_flags(unsigned level, uint64_t entry)
{
	if (!is_valid(level, entry))
		return (mmu_entry){ .kind = MMU_ENTRY_NONE };
	return is_table(level, entry) ? read_table(entry) : read_page(level, entry, true);
}

/* An output address larger than the CPU's: an address size fault. Bits 49:48 belong to FEAT_LPA. */
static bool is_malformed(const mmu_control *control, unsigned level, uint64_t entry)
{
	unsigned bits = control->physical_bits < 48 ? control->physical_bits : 48;

	(void)level;
	return (entry & UINT64_C(0x0003fffffffff000) & ~((UINT64_C(1) << bits) - 1)) != 0;
}

static uint64_t used(unsigned level, uint64_t entry, bool writes)
{
	(void)writes;
	return is_table(level, entry) ? entry : entry | ACCESS_FLAG;
}

static uint64_t used_with_flags(unsigned level, uint64_t entry, bool writes)
{
	if (is_table(level, entry))
		return entry;
	if (writes && (entry & DIRTY_BIT_MODIFIER) != 0)
		entry &= ~AP_READ_ONLY;
	return entry | ACCESS_FLAG;
}

const mmu_architecture mmu_aarch64 = {
	.name = "aarch64",
	.read = read_entry,
	.is_malformed = is_malformed,
	.used = used,
	.dirty_with_write = true,
	.root_each = true,
	.fetch_apart = true,
	.break_before_make = true,
};

const mmu_architecture mmu_aarch64_flags = {
	.name = "aarch64, hardware flags",
	.read = read_entry_with_flags,
	.is_malformed = is_malformed,
	.used = used_with_flags,
	.dirty_with_write = true,
	.sets_flags = true,
	.root_each = true,
	.fetch_apart = true,
	.break_before_make = true,
};
