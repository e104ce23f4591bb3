/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The entries of x86-64's tables, as the manual has them: Intel 64 and IA-32 Architectures
 * Software Developer's Manual, volume 3, section 4.5, tables 4-12 to 4-19, and section 4.9.2
 * (memory types through the PAT). Numbers are those of 325384-059US, June 2016. The fifth level is
 * not in that edition: 5-Level Paging and 5-Level EPT (335252-002, May 2017), table 2-1.
 *
 * Rights of upper entries are left wide open (R/W set, XD clear), the leaf decides; U/S is
 * set above user leaves only, so that even a wrong leaf in the upper half stays out of
 * user mode's reach.
 *
 * A protection key is bits 62:59 of a leaf (section 4.6.2), with CR4.PKE; a host without it gives all
 * leaves key 0. CR3 has the root's address and, with CR4.PCIDE, the address space's PCID (table 4-13).
 */
#include "root.h"

#include <landhold/paging_format.h>

#define BIT(n) (UINT64_C(1) << (n))

#define P BIT(0)                  /* present: tables 4-14 to 4-19 */
#define R_W BIT(1)                /* 0: writes refused (4.6.1): tables 4-14 to 4-19 */
#define U_S BIT(2)                /* 0: user mode refused (4.6.1): tables 4-14 to 4-19 */
#define PWT BIT(3)                /* PAT index, bit 0 (4.9.2): tables 4-15, 4-17, 4-19 */
#define PCD BIT(4)                /* PAT index, bit 1: the same */
#define A BIT(5)                  /* accessed (4.8): tables 4-14 to 4-19 */
#define D BIT(6)                  /* dirty (4.8): tables 4-15, 4-17, 4-19 */
#define PAT_4K BIT(7)             /* PAT index, bit 2, at level 0: table 4-19 */
#define PS BIT(7)                 /* above level 0: maps a page: tables 4-15, 4-17; clear in 4-16, 4-18 */
#define G BIT(8)                  /* global, with CR4.PGE (4.10.2.4): tables 4-15, 4-17, 4-19 */
#define IGNORED_9 BIT(9)          /* bits 11:9 are ignored: tables 4-15, 4-17, 4-19 */
#define IGNORED_10 BIT(10)        /* the same */
#define PAT_LARGE BIT(12)         /* PAT index, bit 2, above level 0: tables 4-15, 4-17 */
#define KEY UINT64_C(0x7800000000000000) /* bits 62:59, protection key (4.6.2): tables 4-15, 4-17, 4-19 */
#define PCID UINT64_C(0xfff)      /* CR3, bits 11:0, with CR4.PCIDE: table 4-13 */
#define XD BIT(63)                /* fetches refused, with IA32_EFER.NXE (4.6.1): tables 4-14 to 4-19 */
#define ADDRESS LH_X86_64_ADDRESS /* bits 51:12; those from MAXPHYADDR up are 0: tables 4-12 to 4-19 */

#define RIGHTS { .read = LH_TEST_ALWAYS, .write = { R_W, R_W }, .execute = { XD, 0 } }

/* Both formats, but for the number of levels: a PML5 entry is as a PML4 entry. */
#define ENTRIES                                                                          \
	.page_shift = 12, .leaf_at = { true, true, true, false, false },                 \
	.address = { { ADDRESS, 0 }, { 0, 0 } }, .present = { P, P }, .table = { PS, 0 }, \
	.leaf_fixed = { 0, PS },                                                         \
	.user = { .leaf = { U_S | G, U_S }, .table = { U_S, U_S },                       \
		  .leaf_rights = RIGHTS, .table_rights = RIGHTS },                       \
	.kernel = { .leaf = { U_S | G, G }, .table = { U_S, 0 },                         \
		    .leaf_rights = RIGHTS, .table_rights = RIGHTS },                     \
	.user_leaf = { U_S, U_S }, .user_table = { U_S, U_S }, .global = { G, G },       \
	.accessed = A, .table_accessed = A, .dirty = { D, D },                           \
	.software = { IGNORED_9, IGNORED_10 }, .mark = R_W | U_S, .key = KEY,            \
	.root = { { ADDRESS, 0 }, { 0, 0 } }, .root_tag = PCID,                          \
	.type_mask = { PAT_4K | PCD | PWT, PAT_LARGE | PCD | PWT },                      \
	.type = {                                                                        \
		[LH_MEMORY_WRITE_BACK] = { 0, 0 },		/* PAT entry 0 */        \
		[LH_MEMORY_WRITE_THROUGH] = { PWT, PWT },	/* 1 */                  \
		[LH_MEMORY_WRITE_COMBINING] = { PAT_4K | PCD, PAT_LARGE | PCD }, /* 6 */ \
		[LH_MEMORY_UNCACHED] = { PCD | PWT, PCD | PWT }, /* 3 */                 \
	}

const lh_paging_format lh_format_x86_64_4_level = {
	.name = "x86-64, 4 levels",
	.source = "Intel SDM volume 3, section 4.5, tables 4-14 to 4-19",
	.levels = 4,
	.index_bits = { 9, 9, 9, 9 },
	.level_shift = { 12, 21, 30, 39 },
	.address_bits = 48,
	ENTRIES,
};

const lh_paging_format lh_format_x86_64_5_level = {
	.name = "x86-64, 5 levels",
	.source = "Intel SDM volume 3, section 4.5, tables 4-14 to 4-19; 335252, table 2-1",
	.levels = 5,
	.index_bits = { 9, 9, 9, 9, 9 },
	.level_shift = { 12, 21, 30, 39, 48 },
	.address_bits = 57,
	ENTRIES,
};
