/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The RISC-V Instruction Set Manual, volume II: Privileged Architecture.
 *
 *   "Sv32" to "Sv57"   entries: V, R, W, X, U, G, A, D; R = W = X = 0 names a table, in which D, A and U
 *                      are reserved; W without R is reserved; bits 63:54 but for extensions are 0; a large
 *                      page is aligned
 *   "Svadu"            who sets A and D: hardware, or a fault asks for it
 *   "Svpbmt"           bits 62:61, a memory type, in leaves only; the value 3 is reserved
 *   "Supervisor Memory-Management Fence Instruction": what is invalid may be cached too: an
 *                      entry that became valid may fault until a fence. A fault removes nothing
 *
 * Supervisor mode reaches no page of user mode but with sstatus.SUM (control: smap, access_user), and
 * fetches from none. A page without U is the supervisor's alone, which user mode is refused by its leaf.
 */
#include "mmu.h"

#define V (UINT64_C(1) << 0)
#define R (UINT64_C(1) << 1)
#define W (UINT64_C(1) << 2)
#define X (UINT64_C(1) << 3)
#define U (UINT64_C(1) << 4)
#define G (UINT64_C(1) << 5)
#define A (UINT64_C(1) << 6)
#define D (UINT64_C(1) << 7)
#define PPN UINT64_C(0x003ffffffffffc00) /* bits 53:10: address bits 55:12 */
#define PBMT (UINT64_C(3) << 61)
#define RESERVED (UINT64_C(0x7f) << 54)
#define NAPOT (UINT64_C(1) << 63) /* Svnapot: not modelled */

static bool is_table(uint64_t entry)
{
	return (entry & (R | W | X)) == 0;
}

static mmu_entry read_entry(unsigned level, uint64_t entry)
{
	uint64_t offset = (UINT64_C(1) << (MMU_PAGE_SHIFT + MMU_INDEX_BITS * level)) - 1;
	uint64_t physical = (entry & PPN) << 2;
	bool user = (entry & U) != 0, executes = (entry & X) != 0;

	if ((entry & V) == 0)
		return (mmu_entry){ .kind = MMU_ENTRY_NONE };
	if (is_table(entry))
		return (mmu_entry){ .kind = MMU_ENTRY_TABLE, .physical = physical, .readable = true,
				    .writable = true, .user = true, .executable = true,
				    .executable_above = true, .accessed = true };
	return (mmu_entry){
		.kind = MMU_ENTRY_PAGE,
		.physical = physical & ~offset,
		.readable = (entry & R) != 0,
		.writable = (entry & W) != 0,
		.user = user,
		.executable = executes,
		.executable_above = executes && !user,
		.global = (entry & G) != 0,
		.accessed = (entry & A) != 0,
		.dirty = (entry & D) != 0,
		.attributes = entry & PBMT,
	};
}

static bool is_malformed(const mmu_control *control, unsigned level, uint64_t entry)
{
	uint64_t physical = (entry & PPN) << 2;

	if ((entry & (RESERVED | NAPOT)) != 0 || (entry & (R | W)) == W ||
	    physical >> control->physical_bits != 0)
		return true;
	if (is_table(entry))
		return level == 0 || (entry & (A | D | U | PBMT)) != 0;
	/* A misaligned large page. */
	return (entry & PBMT) == PBMT ||
	       (physical & ((UINT64_C(1) << (MMU_PAGE_SHIFT + MMU_INDEX_BITS * level)) - 1)) != 0;
}

static uint64_t used(unsigned level, uint64_t entry, bool writes)
{
	(void)level;
	return is_table(entry) ? entry : entry | A | (writes ? D : 0);
}

const mmu_architecture mmu_riscv64 = {
	.name = "riscv64",
	.read = read_entry,
	.is_malformed = is_malformed,
	.used = used,
	.user_apart = true,
	.keeps_absent = true,
};

const mmu_architecture mmu_riscv64_flags = {
	.name = "riscv64, hardware flags",
	.read = read_entry,
	.is_malformed = is_malformed,
	.used = used,
	.user_apart = true,
	.sets_flags = true,
	.keeps_absent = true,
};
