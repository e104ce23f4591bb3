/* SPDX-License-Identifier: BSD-2-Clause */
/* Intel SDM, volume 3A, 4.5.4 (entry formats), 4.8 (accessed and dirty), 4.10.2.3 and 4.10.4 (what
 * may be cached: only what is present, so making an entry present needs no invalidation). */
#include "mmu_entry.h"

#define PRESENT (UINT64_C(1) << 0)
#define WRITABLE (UINT64_C(1) << 1)
#define USER (UINT64_C(1) << 2)
#define ACCESSED (UINT64_C(1) << 5)
#define DIRTY (UINT64_C(1) << 6)
#define SIZE (UINT64_C(1) << 7)
#define GLOBAL (UINT64_C(1) << 8)
#define EXECUTE_DISABLE (UINT64_C(1) << 63)
#define ADDRESS UINT64_C(0x000ffffffffff000)

static mmu_entry read_entry(unsigned level, uint64_t entry)
{
	bool maps = level == 0 || (entry & SIZE) != 0;
	uint64_t offset = (UINT64_C(1) << (12 + 9 * level)) - 1;

	if ((entry & PRESENT) == 0)
		return (mmu_entry){ .kind = MMU_ENTRY_NONE };
	return (mmu_entry){
		.kind = maps ? MMU_ENTRY_PAGE : MMU_ENTRY_TABLE,
		.physical = entry & ADDRESS & (maps ? ~offset : UINT64_MAX),
		.writable = (entry & WRITABLE) != 0,
		.user = (entry & USER) != 0,
		.executable = (entry & EXECUTE_DISABLE) == 0,
		.global = maps && (entry & GLOBAL) != 0,
		.dirty = maps && (entry & DIRTY) != 0,
	};
}

const mmu_architecture mmu_x86_64 = {
	.name = "x86-64",
	.read = read_entry,
	.accessed = ACCESSED,
	.dirty = DIRTY,
	.index_bits = 9,
	.page_shift = 12,
};
