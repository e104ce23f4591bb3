/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The entries of riscv64's tables: The RISC-V Instruction Set Manual, volume II: Privileged
 * Architecture, sections "Sv39", "Sv48", "Sv57" (the entry, and the table "Encoding of PTE
 * R/W/X fields"), "Svpbmt" (memory types), "Svnapot" (runs), "Svadu" (who sets A and D). Numbers below are those of
 * version 20211203, which has no Svadu yet: its 4.3.1 allows either way.
 *
 * An entry with R, W and X clear names a table; A, D and U are reserved in it, so upper entries
 * carry no rights. W without R is reserved. A CPU without Svadu, or with it not switched on,
 * faults on an entry with A clear, and on a write with D clear; so entries are born with them.
 *
 * The CPU may keep the absence of a translation (section "Supervisor Memory-Management Fence
 * Instruction"): a wholly new mapping wants a fence too, or a fault that finds nothing to do.
 */
#include "root.h"

#include <landhold/paging_format.h>

#define BIT(n) (UINT64_C(1) << (n))

#define V BIT(0)           /* valid (4.3.1) */
#define R BIT(1)           /* these three: table 4.5 */
#define W BIT(2)
#define X BIT(3)
#define U BIT(4)           /* user mode; supervisor mode only with sstatus.SUM, and never fetches (4.3.1) */
#define G BIT(5)           /* in all address spaces (4.3.1) */
#define A BIT(6)           /* accessed (4.3.1; who sets it: Svadu) */
#define D BIT(7)           /* dirty (the same) */
#define RSW_8 BIT(8)       /* RSW: for software (4.3.1) */
#define RSW_9 BIT(9)
#define PPN UINT64_C(0x003ffffffffffc00) /* bits 53:10 hold address bits 55:12 (4.4.1, 4.5.1, 4.6.1) */
#define PPN_SHIFT 2
#define PBMT_NC BIT(61)    /* non-cacheable, idempotent, weakly ordered: main memory (Svpbmt, table 6.1) */
#define N BIT(63)          /* one of a run (Svnapot, table 5.1); */
#define PPN_IN_RUN UINT64_C(0x3c00) /* then PPN[3:0], bits 13:10, is */
#define RUN_OF_64K BIT(13) /* 1000: 64 KiB, the one length that there is (table 5.1) */
#define PBMT_IO BIT(62)    /* non-cacheable, strongly ordered: devices (Svpbmt, table 6.1) */


/* satp: MODE, ASID, PPN. */
#define MODE(n) ((uint64_t)(n) << LH_RISCV64_MODE_SHIFT) /* satp.MODE (4.1.11, table 4.4): 8, 9, 10 for Sv39, 48, 57 */
#define ASID UINT64_C(0x0ffff00000000000)
#define ROOT_PPN LH_RISCV64_ROOT_PPN

#define LEAF_RIGHTS { .read = { R, R }, .write = { W, W }, .execute = { X, X } }
#define TABLE_RIGHTS { .read = LH_TEST_ALWAYS, .write = LH_TEST_ALWAYS, .execute = LH_TEST_ALWAYS }

#define ENTRIES                                                                             \
	.page_shift = 12, .present_flush = true, .write_needs_read = true,                  \
	.software_accessed = true, .software_dirty = true,                                  \
	.address = { { PPN, PPN_SHIFT }, { 0, 0 } }, .present = { V, V },                   \
	.table = { R | W | X, 0 },                                                          \
	.user = { .leaf = { U | G, U }, .table = LH_TEST_ALWAYS,                            \
		  .leaf_rights = LEAF_RIGHTS, .table_rights = TABLE_RIGHTS },               \
	.kernel = { .leaf = { U | G, G }, .table = LH_TEST_ALWAYS,                          \
		    .leaf_rights = LEAF_RIGHTS, .table_rights = TABLE_RIGHTS },             \
	.user_leaf = { U, U }, .user_table = LH_TEST_ALWAYS, .global = { G, G },            \
	.accessed = A, .dirty = { D, D }, .software = { RSW_8, RSW_9 }, .mark = R | W,      \
	.root = { { ROOT_PPN, 12 }, { 0, 0 } }, .root_tag = ASID

const lh_paging_format lh_format_riscv64_sv39 = {
	.name = "riscv64, Sv39",
	.source = "RISC-V Privileged Architecture, section Sv39",
	.root_fixed = MODE(8),
	.levels = 3,
	.index_bits = { 9, 9, 9 },
	.level_shift = { 12, 21, 30 },
	.address_bits = 39,
	.leaf_at = { true, true, true },
	ENTRIES,
};

const lh_paging_format lh_format_riscv64_sv48 = {
	.name = "riscv64, Sv48",
	.source = "RISC-V Privileged Architecture, section Sv48",
	.root_fixed = MODE(9),
	.levels = 4,
	.index_bits = { 9, 9, 9, 9 },
	.level_shift = { 12, 21, 30, 39 },
	.address_bits = 48,
	.leaf_at = { true, true, true, true },
	ENTRIES,
};

const lh_paging_format lh_format_riscv64_sv57 = {
	.name = "riscv64, Sv57",
	.source = "RISC-V Privileged Architecture, section Sv57",
	.root_fixed = MODE(10),
	.levels = 5,
	.index_bits = { 9, 9, 9, 9, 9 },
	.level_shift = { 12, 21, 30, 39, 48 },
	.address_bits = 57,
	.leaf_at = { true, true, true, true, true },
	ENTRIES,
};

void lh_paging_format_add_svpbmt(lh_paging_format *format)
{
	for (unsigned column = 0; column < 2; column++) {
		format->type_mask[column] = PBMT_NC | PBMT_IO;
		format->type[LH_MEMORY_WRITE_COMBINING][column] = PBMT_NC;
		format->type[LH_MEMORY_UNCACHED][column] = PBMT_IO;
	}
}

void lh_paging_format_add_svnapot(lh_paging_format *format)
{
	format->run = N;
	format->run_shift[0] = 4;
	format->run_address = (lh_entry_test){ PPN_IN_RUN, RUN_OF_64K };
}
