/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page-table formats as data. The walker is written once (directory.h); a format is a table of
 * masks, with the manual's field names in arch/ARCHITECTURE/format*.c.
 *
 * Level 0 is the leaf level; the root is level levels - 1. An entry is 64 bits. What an entry
 * means is said by tests: a test holds for an entry iff (entry & mask) == value. To make an
 * entry of which a test holds, value is set; of which it does not, another value under the mask.
 *
 * The addresses have two halves: the low one is user mode's, the upper one the kernel's. Where
 * one root serves both (x86-64, riscv64) addresses are sign-extended from the top translated
 * bit; where each half has a root of its own (aarch64) each is translated by all the bits.
 *
 *                     one root, 48 bits           a root each, 48 bits
 *     upper half      0xffff800000000000 up       0xffff000000000000 up
 *     low half        up to 0x00007fffffffffff    up to 0x0000ffffffffffff
 *
 * Entries that are not present, and not all zero, are the library's own: lh_leaf_kind says what
 * they may mean. A frame number, or whatever number is kept in its place, is stored inverted, so that
 * speculation through it hits no cached memory (L1TF): of a number below half of all, the highest
 * address bit is set, where no memory is.
 */
#ifndef LANDHOLD_PAGING_FORMAT_H
#define LANDHOLD_PAGING_FORMAT_H

#include <landhold/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LH_PAGING_LEVELS_MAX 5

/* Holds for an entry iff (entry & mask) == value. */
typedef struct lh_entry_test {
	uint64_t mask, value;
} lh_entry_test;

/* Initialisers of a test that holds for every entry, and of one that holds for none. */
#define LH_TEST_ALWAYS { 0, 0 }
#define LH_TEST_NEVER { 0, 1 }

/* A right is granted iff its test holds. ALWAYS: it cannot be refused. */
typedef struct lh_entry_rights {
	lh_entry_test read, write, execute;
} lh_entry_rights;

/* What the entries of one half have in common, and how they grant rights. */
typedef struct lh_format_half {
	lh_entry_test leaf;	      /* holds for every present leaf */
	lh_entry_test table;	      /* for every upper entry that names a table */
	lh_entry_rights leaf_rights;
	lh_entry_rights table_rights; /* what an upper entry leaves to those below it */
} lh_format_half;

/* The entry bits under mask are bits of the physical address, moved down by shift. */
typedef struct lh_address_part {
	uint64_t mask;
	uint8_t shift;
} lh_address_part;

typedef struct lh_paging_format {
	const char *name;	/* "x86-64, 4 levels" */
	const char *source;	/* manual, section, tables */
	uint8_t page_shift;	/* log2 of the leaf page's bytes; must be LH_PAGE_SHIFT */
	uint8_t levels;
	uint8_t index_bits[LH_PAGING_LEVELS_MAX]; /* by level */
	/* log2 of the bytes that one entry spans: page_shift and the index bits below. Said twice, and
	 * checked, because every step of every descent wants it. */
	uint8_t level_shift[LH_PAGING_LEVELS_MAX];
	uint8_t address_bits;	/* virtual, that one root translates */
	bool leaf_at[LH_PAGING_LEVELS_MAX];	  /* may an entry of this level be a leaf? */
	bool root_each;		/* each half has a root of its own */
	bool present_flush;	/* a wholly new mapping needs a flush (cached absence) */
	bool present_order;	/* it needs the order of writes: a flush of no page */
	bool break_before_make; /* a live entry may not be replaced by another in one step */
	bool write_needs_read;	/* who may write may read: the format has no other entry */
	/* The CPU may fault rather than set a flag: entries are born with it. */
	bool software_accessed, software_dirty;

	lh_address_part address[2]; /* of a table or a frame; [1] may be empty */
	lh_entry_test present;
	lh_entry_test table;	/* a present entry above level 0: names a table, not a leaf */
	uint64_t leaf_fixed[2];	/* set in every present leaf; [0] at level 0, [1] above */
	lh_format_half user, kernel;
	lh_entry_test user_leaf, user_table; /* user mode passes the entry */
	lh_entry_test global;	/* leaf: cached for all address spaces */

	uint64_t accessed;
	uint64_t table_accessed; /* the CPU sets accessed in upper entries too, with this bit */
	lh_entry_test dirty;	/* of a leaf that can be written; NEVER: the CPU keeps none */
	/* Software bit that keeps dirty where the test cannot: in leaves that cannot be written, if
	 * the test's bits are then wanted otherwise, or in all. 0: the test serves in each leaf. */
	uint64_t dirty_kept;
	/* Bits that the hardware ignores. [0]: the frame is not counted; [1]: a leaf without
	 * access, set in each such entry, so that none is zero; one that is busy has `accessed` alone. */
	uint64_t software[2];
	/* Of an entry that is not present: two bits that say which mark it is. */
	uint64_t mark;
	/* Runs (src/paging/run.h): the hint; log2 of the leaves of a level in one, 0: there are none; and what each
	 * of them has in the place of its address's lowest bits, if they are not its own (mask 0: they are). */
	uint64_t run;
	uint8_t run_shift[LH_PAGING_LEVELS_MAX];
	lh_entry_test run_address;
	/* Bits of the protection key of a leaf, whatever its kind; 0: the format has none. */
	uint64_t key;
	/* Memory types: bits at level 0 and at the levels above. Two types may share bits. */
	uint64_t type_mask[2];
	uint64_t type[LH_MEMORY_TYPE_COUNT][2];

	/* The register that names the root: parts of its address, the tag of the address space (PCID,
	 * ASID), what is always set. */
	lh_address_part root[2];
	uint64_t root_tag;
	uint64_t root_fixed;
} lh_paging_format;

/* Entries in a table of this level. */
static inline uint64_t lh_paging_entries(const lh_paging_format *format, unsigned level)
{
	return UINT64_C(1) << format->index_bits[level];
}

/* NULL if the format is one the walker can drive, else what is wrong with it. */
const char *lh_paging_format_check(const lh_paging_format *format);

/* The rights that come with these, since no entry of the user half grants less. */
lh_rights lh_paging_format_implied(const lh_paging_format *format, lh_rights rights);

/* The highest physical address that an entry can hold. */
lh_physical_address lh_paging_format_last(const lh_paging_format *format);

/* What the root register holds for a root and a tag. => tag: as many bits as root_tag has. */
uint64_t lh_paging_format_root(const lh_paging_format *format, lh_frame_number root, uint64_t tag);

/* For a CPU without the means to refuse execution: from now on it is always granted. */
void lh_paging_format_drop_execute(lh_paging_format *format);

/*
 * The formats. A host copies one and changes what its CPU lacks or has:
 *   leaf_at[2]            false without 1 GiB pages (x86-64)
 *   key                   0 without protection keys (x86-64)
 *   software_accessed, software_dirty   false with Svadu (riscv64, menvcfg.ADUE set)
 * Only those whose page is LH_PAGE_SIZE can be used in a build. The manual's words for the rest of
 * what a CPU must have and how it is set stand at the head of arch/ARCHITECTURE/format.c.
 */
extern const lh_paging_format lh_format_x86_64_4_level;
extern const lh_paging_format lh_format_x86_64_5_level;
/* aarch64: granule, and width of addresses, 48 bits if nothing is said. Software keeps the flags; or, in
 * those called flags, the CPU does (FEAT_HAFDBS: TCR_EL1.HA and HD set). */
extern const lh_paging_format lh_format_aarch64_4k, lh_format_aarch64_4k_flags;
extern const lh_paging_format lh_format_aarch64_4k_52, lh_format_aarch64_4k_52_flags;
extern const lh_paging_format lh_format_aarch64_16k, lh_format_aarch64_16k_flags;
extern const lh_paging_format lh_format_aarch64_16k_52, lh_format_aarch64_16k_52_flags;
extern const lh_paging_format lh_format_aarch64_64k, lh_format_aarch64_64k_flags;
extern const lh_paging_format lh_format_aarch64_64k_52, lh_format_aarch64_64k_52_flags;
extern const lh_paging_format lh_format_riscv64_sv39;	  /* without Svpbmt: one memory type */
extern const lh_paging_format lh_format_riscv64_sv48;
extern const lh_paging_format lh_format_riscv64_sv57;

/* For a riscv64 CPU with Svpbmt (menvcfg.PBMTE set): memory types other than the platform's. */
void lh_paging_format_add_svpbmt(lh_paging_format *format);
/* For one with Svnapot: runs of 64 KiB. */
void lh_paging_format_add_svnapot(lh_paging_format *format);

#ifdef __cplusplus
}
#endif
#endif
