/* SPDX-License-Identifier: BSD-2-Clause */
/* Intel SDM, volume 3A, 4.5 (entry formats), 4.8 (accessed and dirty), 4.9.2 (memory types), 4.10.2.3
 * and 4.10.4 (what may be cached: only what is present, so making an entry present needs no
 * invalidation). */
#include "mmu.h"

/* "Format of a PML5 Entry", "PML4 Entry", "Page-Directory-Pointer-Table Entry",
 * "Page-Directory Entry", "Page-Table Entry": the bits they share. */
#define PRESENT (UINT64_C(1) << 0)
#define WRITABLE (UINT64_C(1) << 1)
#define USER (UINT64_C(1) << 2)
#define PWT (UINT64_C(1) << 3)
#define PCD (UINT64_C(1) << 4)
#define ACCESSED (UINT64_C(1) << 5)
#define DIRTY (UINT64_C(1) << 6)  /* in entries that map a page */
#define SIZE (UINT64_C(1) << 7)	  /* PS; the PAT bit in a page-table entry */
#define GLOBAL (UINT64_C(1) << 8) /* in entries that map a page */
#define PAT_LARGE (UINT64_C(1) << 12)
#define EXECUTE_DISABLE (UINT64_C(1) << 63)
#define ADDRESS UINT64_C(0x000ffffffffff000) /* bits 51:12 */

static unsigned shift_of(unsigned level)
{
	return MMU_PAGE_SHIFT + MMU_INDEX_BITS * level;
}

static bool maps_page(unsigned level, uint64_t entry)
{
	return level == 0 || (entry & SIZE) != 0;
}

static mmu_entry read_entry(unsigned level, uint64_t entry)
{
	bool maps = maps_page(level, entry), executable = (entry & EXECUTE_DISABLE) == 0;
	uint64_t offset = (UINT64_C(1) << shift_of(level)) - 1;

	if ((entry & PRESENT) == 0)
		return (mmu_entry){ .kind = MMU_ENTRY_NONE };
	return (mmu_entry){
		.kind = maps ? MMU_ENTRY_PAGE : MMU_ENTRY_TABLE,
		.physical = entry & ADDRESS & (maps ? ~offset : UINT64_MAX),
		.readable = true,
		.writable = (entry & WRITABLE) != 0,
		.user = (entry & USER) != 0,
		.executable = executable,
		.executable_above = executable,
		.global = maps && (entry & GLOBAL) != 0,
		.accessed = (entry & ACCESSED) != 0,
		.dirty = maps && (entry & DIRTY) != 0,
		.attributes = maps ? entry & (PWT | PCD | (level == 0 ? SIZE : PAT_LARGE)) : 0,
	};
}

/* The bits that must be 0 in a present entry of the level. */
static uint64_t reserved_bits(const mmu_control *control, unsigned level, uint64_t entry)
{
	/* bits 51:MAXPHYADDR, in every entry */
	uint64_t reserved = ADDRESS & ~((UINT64_C(1) << control->physical_bits) - 1);

	if (!control->no_execute)
		reserved |= EXECUTE_DISABLE;
	if (level >= 3 || (level == 2 && !control->gigabyte_pages))
		return reserved | SIZE;
	/* A 1 GiB page: bits 29:13. A 2 MiB page: bits 20:13. Bit 12 is PAT in both. */
	if (level != 0 && (entry & SIZE))
		reserved |= (UINT64_C(1) << shift_of(level)) - (UINT64_C(1) << 13);
	return reserved;
}

static bool is_malformed(const mmu_control *control, unsigned level, uint64_t entry)
{
	return (entry & reserved_bits(control, level, entry)) != 0;
}

static uint64_t used(unsigned level, uint64_t entry, bool writes)
{
	return entry | ACCESSED | (writes && maps_page(level, entry) ? DIRTY : 0);
}

const mmu_architecture mmu_x86_64 = {
	.name = "x86-64",
	.read = read_entry,
	.is_malformed = is_malformed,
	.used = used,
	.user_apart = true,
	.sets_flags = true,
	.fault_forgets = true,
};
