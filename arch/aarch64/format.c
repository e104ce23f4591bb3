/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The descriptors of aarch64's stage 1 tables: Arm Architecture Reference Manual for A-profile
 * architecture (DDI 0487), section D8.3 "Translation table descriptor formats", D8.4 "Memory
 * access control", D8.5 "Hardware updates to the translation tables" and D8.6 "Memory region
 * attributes". 4 KiB granule, 48 bits: TCR_EL1.T0SZ = T1SZ = 16, TG0 = 0b00, TG1 = 0b10, hierarchical
 * permissions on (HPD0 = HPD1 = 0).
 *
 * Each half has a root of its own: TTBR0_EL1 the low one, TTBR1_EL1 the upper. The library's
 * level 0 is the manual's level 3.
 *
 * A page of user mode is never executable by the kernel (PXN), nor the kernel's by user mode (UXN).
 *
 * MAIR_EL1, as the library wants it: Attr0 0xff (write-back), Attr1 0xbb (write-through), Attr2
 * 0x44 (non-cacheable), Attr3 0x00 (device, nGnRnE).
 *
 * Two formats. Without FEAT_HAFDBS the CPU faults on AF = 0 and keeps no dirty state; software does.
 * With it (TCR_EL1.HA, HD) a leaf that may be written has DBM set; AP[2] says whether it is clean
 * still, and the CPU clears it with the first write. In a leaf that may not be written AP[2] is set and
 * says nothing: a bit for software keeps its being dirty.
 */
#include <landhold/paging_format.h>

#define BIT(n) (UINT64_C(1) << (n))

#define VALID BIT(0)
#define TABLE_OR_PAGE BIT(1) /* above the manual's level 3: a table, else a block */
#define ATTR_INDEX(n) ((uint64_t)(n) << 2) /* AttrIndx[2:0], bits 4:2 */
#define AP_1 BIT(6)	     /* EL0 may */
#define AP_2 BIT(7)	     /* nobody may write */
#define SH_INNER (BIT(8) | BIT(9))
#define AF BIT(10)	     /* accessed */
#define NG BIT(11)	     /* not global */
#define ADDRESS UINT64_C(0x0000fffffffff000) /* bits 47:12 */
#define DBM BIT(51)
#define PXN BIT(53)
#define UXN BIT(54)
#define SOFTWARE_55 BIT(55) /* bits 58:55: for software */
#define SOFTWARE_56 BIT(56)
#define SOFTWARE_57 BIT(57)
#define PXN_TABLE BIT(59)
#define UXN_TABLE BIT(60)
#define AP_TABLE_0 BIT(61) /* EL0 may not, below */
#define AP_TABLE_1 BIT(62) /* nobody may write, below */

#define USER_LEAF (AP_1 | NG | PXN)
#define KERNEL_LEAF (AP_1 | NG | UXN)

#define HALVES(write_test)                                                                 \
	.user = { .leaf = { USER_LEAF, USER_LEAF }, .table = { AP_TABLE_0, 0 },            \
		  .leaf_rights = { LH_TEST_ALWAYS, write_test, { UXN, 0 } },               \
		  .table_rights = { LH_TEST_ALWAYS, { AP_TABLE_1, 0 }, { UXN_TABLE, 0 } } }, \
	.kernel = { .leaf = { KERNEL_LEAF, UXN }, .table = { AP_TABLE_0, AP_TABLE_0 },     \
		    .leaf_rights = { LH_TEST_ALWAYS, write_test, { PXN, 0 } },             \
		    .table_rights = { LH_TEST_ALWAYS, { AP_TABLE_1, 0 }, { PXN_TABLE, 0 } } }

#define ENTRIES                                                                            \
	.page_shift = 12, .levels = 4, .index_bits = { 9, 9, 9, 9 },                       \
	.level_shift = { 12, 21, 30, 39 }, .address_bits = 48,                             \
	.leaf_at = { true, true, true, false }, .root_each = true,                         \
	.break_before_make = true, .address = { { ADDRESS, 0 }, { 0, 0 } },                \
	.present = { VALID, VALID }, .table = { TABLE_OR_PAGE, TABLE_OR_PAGE },            \
	.leaf_fixed = { TABLE_OR_PAGE | SH_INNER, SH_INNER },                              \
	.user_leaf = { AP_1, AP_1 }, .user_table = { AP_TABLE_0, 0 }, .global = { NG, 0 }, \
	.accessed = AF, .dirty_kept = SOFTWARE_55,                                         \
	.software = { SOFTWARE_56, SOFTWARE_57 },                                          \
	.type_mask = { ATTR_INDEX(7), ATTR_INDEX(7) },                                     \
	.type = {                                                                          \
		[LH_MEMORY_WRITE_BACK] = { ATTR_INDEX(0), ATTR_INDEX(0) },                 \
		[LH_MEMORY_WRITE_THROUGH] = { ATTR_INDEX(1), ATTR_INDEX(1) },              \
		[LH_MEMORY_WRITE_COMBINING] = { ATTR_INDEX(2), ATTR_INDEX(2) },            \
		[LH_MEMORY_UNCACHED] = { ATTR_INDEX(3), ATTR_INDEX(3) },                   \
	}

#define WRITE_BY_AP { AP_2, 0 }
#define WRITE_BY_DBM { DBM, DBM }

const lh_paging_format lh_format_aarch64_4k = {
	.name = "aarch64, 4 KiB, 48 bits",
	.source = "DDI 0487, section D8.3",
	HALVES(WRITE_BY_AP),
	ENTRIES,
	.software_accessed = true,
	.software_dirty = true,
	.dirty = LH_TEST_NEVER,
};

const lh_paging_format lh_format_aarch64_4k_flags = {
	.name = "aarch64, 4 KiB, 48 bits, hardware flags",
	.source = "DDI 0487, sections D8.3 and D8.5",
	HALVES(WRITE_BY_DBM),
	ENTRIES,
	.dirty = { AP_2, 0 },
};
