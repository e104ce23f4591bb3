/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The descriptors of aarch64's stage 1 tables: Arm Architecture Reference Manual for A-profile
 * architecture (DDI 0487, issue L.b, whose numbers these are), section D8.3 "Translation table
 * descriptor formats", D8.4 "Memory access control", D8.5 "Hardware updates to the translation
 * tables" and D8.6 "Memory region attributes"; for the levels of each granule D8.2.8 (4 KiB),
 * D8.2.9 and D8.2.10. Hierarchical permissions are on (HPD0 = HPD1 = 0).
 *
 * Each half has a root of its own: TTBR0_EL1 the low one, TTBR1_EL1 the upper. The library's
 * level 0 is the manual's level 3.
 *
 *     granule  virtual  levels, index bits  blocks above pages         TCR_EL1
 *     4 KiB    48       4: 9 9 9 9          2 MiB, 1 GiB               T0SZ = T1SZ = 16, TG0 = 0b00, TG1 = 0b10
 *     4 KiB    52       5: 4 9 9 9 9        2 MiB, 1 GiB, 512 GiB      12, the same, DS = 1 (FEAT_LPA2)
 *     16 KiB   48       4: 1 11 11 11       32 MiB                     16, TG0 = 0b10, TG1 = 0b01
 *     16 KiB   52       4: 5 11 11 11       32 MiB, 64 GiB             12, the same, DS = 1 (FEAT_LPA2)
 *     64 KiB   48       3: 6 13 13          512 MiB                    16, TG0 = 0b01, TG1 = 0b11
 *     64 KiB   52       3: 10 13 13         512 MiB, 4 TiB             12, the same, IPS = 0b110 (FEAT_LVA, LPA)
 *
 * Physical addresses are as wide as virtual ones. Their bits above 47 stand below the rest: with DS, bits
 * 51:50 in bits 9:8, where the shareability otherwise is (TCR_EL1.SH0 and SH1 say it then, inner), and
 * 49:48 in place; with 64 KiB, bits 51:48 in bits 15:12. The root register has 51:48 in bits 5:2.
 *
 * A page of user mode is never executable by the kernel (PXN), nor the kernel's by user mode (UXN).
 *
 * MAIR_EL1 (D24.2.127), as the library wants it: Attr0 0xff (write-back), Attr1 0xbb (write-through), Attr2
 * 0x44 (non-cacheable), Attr3 0x00 (device, nGnRnE).
 *
 * Runs, by the Contiguous bit (D8.7.1, table D8-104): 16 leaves with 4 KiB; 128 pages or 32 blocks with
 * 16 KiB; 32 with 64 KiB. The blocks that there are with 52 bits only are in none.
 *
 * Each in two formats. Without FEAT_HAFDBS the CPU faults on AF = 0 and keeps no dirty state; software
 * does. With it (TCR_EL1.HA, HD) a leaf that may be written has DBM set; AP[2] says whether it is clean
 * still, and the CPU clears it with the first write. In a leaf that may not be written AP[2] is set and
 * says nothing: a bit for software keeps its being dirty.
 */
#include "root.h"

#include <landhold/paging_format.h>

#define BIT(n) (UINT64_C(1) << (n))
#define BITS(high, low) ((~UINT64_C(0) >> (63 - (high))) & (~UINT64_C(0) << (low)))

#define VALID BIT(0)         /* table D8-48 */
#define TABLE_OR_PAGE BIT(1) /* above the manual's level 3: a table, else a block: table D8-48 */
#define ATTR_INDEX(n) ((uint64_t)(n) << 2) /* AttrIndx[2:0], bits 4:2 (D8.6.1): table D8-52 */
#define AP_1 BIT(6)          /* AP[1]: EL0 may: tables D8-52, D8-63 */
#define AP_2 BIT(7)          /* AP[2]: nobody may write: the same; with DBM: clean (D8.5.2) */
#define SH_INNER BITS(9, 8)  /* SH[1:0], bits 9:8 (D8.6.2): table D8-52 */
#define AF BIT(10)           /* access flag (D8.5.1): table D8-52 */
#define NG BIT(11)           /* not global: of one ASID (D8.16.3): table D8-52 */
#define DBM BIT(51)          /* dirty bit modifier (D8.5.2): table D8-52 */
#define CONTIGUOUS BIT(52)   /* D8.7.1: table D8-52 */
#define PXN BIT(53)          /* tables D8-52, D8-65 */
#define UXN BIT(54)          /* the same */
#define SOFTWARE_55 BIT(55)  /* bits 58:55: for software: table D8-52 */
#define SOFTWARE_56 BIT(56)
#define SOFTWARE_57 BIT(57)
#define PXN_TABLE BIT(59)    /* PXNTable: hierarchical permissions, of table descriptors: table D8-50 */
#define UXN_TABLE BIT(60)    /* UXNTable: the same; both: table D8-65 */
#define AP_TABLE_0 BIT(61)   /* APTable[0]: EL0 may not, below: tables D8-50, D8-64 */
#define AP_TABLE_1 BIT(62)   /* APTable[1]: nobody may write, below: the same */
#define ASID BITS(63, 48)    /* of TTBRn_EL1 (D8.16.3); TCR_EL1.AS set, else its upper half is 0 */

#define USER_LEAF (AP_1 | NG | PXN)
#define KERNEL_LEAF (AP_1 | NG | UXN)

#define HALVES(write_test)                                                                 \
	.user = { .leaf = { USER_LEAF, USER_LEAF }, .table = { AP_TABLE_0, 0 },            \
		  .leaf_rights = { LH_TEST_ALWAYS, write_test, { UXN, 0 } },               \
		  .table_rights = { LH_TEST_ALWAYS, { AP_TABLE_1, 0 }, { UXN_TABLE, 0 } } }, \
	.kernel = { .leaf = { KERNEL_LEAF, UXN }, .table = { AP_TABLE_0, AP_TABLE_0 },     \
		    .leaf_rights = { LH_TEST_ALWAYS, write_test, { PXN, 0 } },             \
		    .table_rights = { LH_TEST_ALWAYS, { AP_TABLE_1, 0 }, { PXN_TABLE, 0 } } }

#define ENTRIES(shareability)                                                              \
	.root_each = true, .break_before_make = true, .present_order = true,               \
	.present = { VALID, VALID },                                                       \
	.table = { TABLE_OR_PAGE, TABLE_OR_PAGE },                                         \
	.leaf_fixed = { TABLE_OR_PAGE | (shareability), shareability },                    \
	.user_leaf = { AP_1, AP_1 }, .user_table = { AP_TABLE_0, 0 }, .global = { NG, 0 }, \
	.accessed = AF, .dirty_kept = SOFTWARE_55,                                         \
	.software = { SOFTWARE_56, SOFTWARE_57 }, .mark = BITS(60, 59),                    \
	.type_mask = { ATTR_INDEX(7), ATTR_INDEX(7) },                                     \
	.type = {                                                                          \
		[LH_MEMORY_WRITE_BACK] = { ATTR_INDEX(0), ATTR_INDEX(0) },                 \
		[LH_MEMORY_WRITE_THROUGH] = { ATTR_INDEX(1), ATTR_INDEX(1) },              \
		[LH_MEMORY_WRITE_COMBINING] = { ATTR_INDEX(2), ATTR_INDEX(2) },            \
		[LH_MEMORY_UNCACHED] = { ATTR_INDEX(3), ATTR_INDEX(3) },                   \
	},                                                                                 \
	.root_tag = ASID, .run = CONTIGUOUS

/* The root register's bits 47:lowest of the address, and 51:48 where there are such. */
#define ROOT(lowest) .root = { { LH_AARCH64_ROOT_LOW & BITS(63, lowest), 0 }, { 0, 0 } }
#define ROOT_52(lowest)                                                                    \
	.root = { { LH_AARCH64_ROOT_LOW & BITS(63, lowest), 0 },                           \
		  { LH_AARCH64_ROOT_HIGH, LH_AARCH64_ROOT_HIGH_SHIFT } }

#define LEVELS_4K_48                                                                       \
	.page_shift = 12, .levels = 4, .index_bits = { 9, 9, 9, 9 },                       \
	.level_shift = { 12, 21, 30, 39 }, .address_bits = 48,                             \
	.leaf_at = { true, true, true, false }, .address = { { BITS(47, 12), 0 }, { 0, 0 } }, \
	.run_shift = { 4, 4, 4 }, ROOT(12), ENTRIES(SH_INNER)
#define LEVELS_4K_52                                                                       \
	.page_shift = 12, .levels = 5, .index_bits = { 9, 9, 9, 9, 4 },                    \
	.level_shift = { 12, 21, 30, 39, 48 }, .address_bits = 52,                         \
	.leaf_at = { true, true, true, true, false },                                      \
	.address = { { BITS(49, 12), 0 }, { BITS(9, 8), 42 } }, .run_shift = { 4, 4, 4 },    \
	ROOT_52(12), ENTRIES(0)
#define LEVELS_16K_48                                                                      \
	.page_shift = 14, .levels = 4, .index_bits = { 11, 11, 11, 1 },                    \
	.level_shift = { 14, 25, 36, 47 }, .address_bits = 48,                             \
	.leaf_at = { true, true, false, false }, .address = { { BITS(47, 14), 0 }, { 0, 0 } }, \
	.run_shift = { 7, 5 }, ROOT(14), ENTRIES(SH_INNER)
#define LEVELS_16K_52                                                                      \
	.page_shift = 14, .levels = 4, .index_bits = { 11, 11, 11, 5 },                    \
	.level_shift = { 14, 25, 36, 47 }, .address_bits = 52,                             \
	.leaf_at = { true, true, true, false },                                            \
	.address = { { BITS(49, 14), 0 }, { BITS(9, 8), 42 } }, .run_shift = { 7, 5 },       \
	ROOT_52(14), ENTRIES(0)
#define LEVELS_64K_48                                                                      \
	.page_shift = 16, .levels = 3, .index_bits = { 13, 13, 6 },                        \
	.level_shift = { 16, 29, 42 }, .address_bits = 48,                                 \
	.leaf_at = { true, true, false }, .address = { { BITS(47, 16), 0 }, { 0, 0 } },    \
	.run_shift = { 5, 5 }, ROOT(16), ENTRIES(SH_INNER)
#define LEVELS_64K_52                                                                      \
	.page_shift = 16, .levels = 3, .index_bits = { 13, 13, 10 },                       \
	.level_shift = { 16, 29, 42 }, .address_bits = 52,                                 \
	.leaf_at = { true, true, true },                                                   \
	.address = { { BITS(47, 16), 0 }, { BITS(15, 12), 36 } }, .run_shift = { 5, 5 },   \
	ROOT_52(16), ENTRIES(SH_INNER)

#define WRITE_BY_AP { AP_2, 0 }
#define WRITE_BY_DBM { DBM, DBM }

/* Both formats of a granule and width. */
#define FORMATS(identifier, words, levels_macro)                                           \
	const lh_paging_format lh_format_aarch64_##identifier = {                          \
		.name = "aarch64, " words,                                                 \
		.source = "DDI 0487 L.b, section D8.3, tables D8-48 to D8-52",             \
		.software_accessed = true,                                                 \
		.software_dirty = true,                                                    \
		.dirty = LH_TEST_NEVER,                                                    \
		HALVES(WRITE_BY_AP),                                                       \
		levels_macro,                                                              \
	};                                                                                 \
	const lh_paging_format lh_format_aarch64_##identifier##_flags = {                  \
		.name = "aarch64, " words ", hardware flags",                              \
		.source = "DDI 0487 L.b, sections D8.3 and D8.5, tables D8-48 to D8-52",   \
		.dirty = { AP_2, 0 },                                                      \
		HALVES(WRITE_BY_DBM),                                                      \
		levels_macro,                                                              \
	}

FORMATS(4k, "4 KiB, 48 bits", LEVELS_4K_48);
FORMATS(4k_52, "4 KiB, 52 bits", LEVELS_4K_52);
FORMATS(16k, "16 KiB, 48 bits", LEVELS_16K_48);
FORMATS(16k_52, "16 KiB, 52 bits", LEVELS_16K_52);
FORMATS(64k, "64 KiB, 48 bits", LEVELS_64K_48);
FORMATS(64k_52, "64 KiB, 52 bits", LEVELS_64K_52);
