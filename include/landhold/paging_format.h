/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page-table formats as data. The walker is written once (directory.h); a format is
 * a table of masks, with the manual's field names in arch/ARCHITECTURE/format*.c.
 *
 * Level 0 is the leaf level; the root is level levels - 1. An entry is 64 bits.
 *
 * Entries that are not present, and not all zero, are the library's own:
 * lh_leaf_kind says what they may mean. A frame number kept in one is stored
 * inverted, so that speculation through it hits no cached memory (L1TF).
 */
#ifndef LANDHOLD_PAGING_FORMAT_H
#define LANDHOLD_PAGING_FORMAT_H

#include <landhold/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LH_PAGING_LEVELS_MAX 5

typedef struct lh_paging_format {
	const char *name;	/* "x86-64, 4 levels" */
	const char *source;	/* manual, section, tables */
	uint8_t page_shift;	/* log2 of the leaf page's bytes; must be LH_PAGE_SHIFT */
	uint8_t levels;
	uint8_t index_bits[LH_PAGING_LEVELS_MAX]; /* by level */
	/* log2 of the bytes that one entry spans: page_shift and the index bits below. Said twice, and
	 * checked, because every step of every descent wants it. */
	uint8_t level_shift[LH_PAGING_LEVELS_MAX];
	uint8_t address_bits;	/* virtual; addresses are sign-extended from the top one */
	bool leaf_at[LH_PAGING_LEVELS_MAX];	  /* may an entry of this level be a leaf? */
	bool upper_rights;	/* upper entries can take rights away */
	bool present_flush;	/* a wholly new mapping needs a flush (cached absence) */
	bool break_before_make; /* a live entry may not be replaced by another in one step */

	uint64_t address_mask;	/* the bits that hold the physical address */
	/* An entry is present iff (entry & present_mask) == present_value. */
	uint64_t present_mask, present_value;
	/* A present entry above level 0 is a leaf iff (entry & large_mask) == large_value. */
	uint64_t large_mask, large_value;
	uint64_t leaf_fixed;	/* set in every present leaf at level 0 */
	uint64_t table_fixed;	/* set in every present upper entry that names a table */
	uint64_t user;		/* user-mode access; set in upper entries of the low half too */
	/* A right is granted iff (entry & mask) == value. A CPU without the means to refuse
	 * one (no NX) has a copy of the format with mask and value 0: always granted. */
	struct { uint64_t mask, value; } read, write, execute;
	uint64_t accessed, dirty, global;
	/* Bits that the hardware ignores. [0]: the frame is not counted; [1]: a leaf without
	 * access, set in each such entry, so that none is zero; [2]: free. */
	uint64_t software[3];
	/* Memory types: bits at level 0 and at the levels above. Two types may share bits. */
	uint64_t type_mask[2];
	uint64_t type[LH_MEMORY_TYPE_COUNT][2];
} lh_paging_format;

/* Entries in a table of this level. */
static inline uint64_t lh_paging_entries(const lh_paging_format *format, unsigned level)
{
	return UINT64_C(1) << format->index_bits[level];
}

/* NULL if the format is one the walker can drive, else what is wrong with it. */
const char *lh_paging_format_check(const lh_paging_format *format);

extern const lh_paging_format lh_format_x86_64_4_level;

#ifdef __cplusplus
}
#endif
#endif
