/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The entries of x86-64's four-level tables, as the manual has them: Intel 64 and IA-32
 * Architectures Software Developer's Manual, volume 3A, section 4.5 (4-level paging), tables
 * 4-15 to 4-20, and section 4.9.2 (memory types through the PAT).
 *
 * Rights of upper entries are left wide open (R/W set, XD clear), the leaf decides; U/S is
 * set above user leaves only, so that even a wrong leaf in the upper half stays out of
 * user mode's reach.
 *
 * A host copies the format and takes away what its CPU lacks: execute.mask and .value 0
 * without NX, leaf_at[2] false without 1 GiB pages.
 */
#include <landhold/paging_format.h>

#define BIT(n) (UINT64_C(1) << (n))

#define P BIT(0)      /* present */
#define R_W BIT(1)    /* 0: writes refused */
#define U_S BIT(2)    /* 0: user mode refused */
#define PWT BIT(3)    /* PAT index, bit 0 */
#define PCD BIT(4)    /* PAT index, bit 1 */
#define A BIT(5)      /* accessed */
#define D BIT(6)      /* dirty */
#define PAT_4K BIT(7) /* PAT index, bit 2, at level 0 */
#define PS BIT(7)     /* above level 0: maps a page */
#define G BIT(8)      /* global, with CR4.PGE */
#define IGNORED_9 BIT(9)
#define IGNORED_10 BIT(10)
#define IGNORED_11 BIT(11)
#define PAT_LARGE BIT(12) /* PAT index, bit 2, above level 0 */
#define XD BIT(63)	  /* fetches refused, with IA32_EFER.NXE */

const lh_paging_format lh_format_x86_64_4_level = {
	.name = "x86-64, 4 levels",
	.source = "Intel SDM volume 3A, section 4.5, tables 4-15 to 4-20",
	.page_shift = 12,
	.levels = 4,
	.index_bits = { 9, 9, 9, 9 },
	.level_shift = { 12, 21, 30, 39 },
	.address_bits = 48,
	.leaf_at = { true, true, true, false },
	.upper_rights = true,
	.present_flush = false,
	.break_before_make = false,
	.address_mask = UINT64_C(0x000ffffffffff000),
	.present_mask = P,
	.present_value = P,
	.large_mask = PS,
	.large_value = PS,
	.leaf_fixed = 0,
	.table_fixed = R_W,
	.user = U_S,
	.read = { 0, 0 },
	.write = { R_W, R_W },
	.execute = { XD, 0 },
	.accessed = A,
	.dirty = D,
	.global = G,
	.software = { IGNORED_9, IGNORED_10, IGNORED_11 },
	.type_mask = { PAT_4K | PCD | PWT, PAT_LARGE | PCD | PWT },
	.type = {
		[LH_MEMORY_WRITE_BACK] = { 0, 0 },			     /* entry 0 */
		[LH_MEMORY_WRITE_THROUGH] = { PWT, PWT },		     /* entry 1 */
		[LH_MEMORY_WRITE_COMBINING] = { PAT_4K | PCD, PAT_LARGE | PCD }, /* entry 6 */
		[LH_MEMORY_UNCACHED] = { PCD | PWT, PCD | PWT },	     /* entry 3 */
	},
};
