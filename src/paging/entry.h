/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entries, mechanically: everything the format's masks say of one 64-bit entry and of the
 * place it stands in. No other file of the floor shifts or masks an entry.
 *
 * Three kinds of entry that is not zero:
 *   table      present, above level 0, not a leaf by large_mask
 *   leaf       present, at level 0 or large
 *   no access  not present: the frame's address inverted, software[1] set; the type, accessed
 *              and dirty bits stay where a present leaf has them
 */
#ifndef LANDHOLD_PAGING_ENTRY_H
#define LANDHOLD_PAGING_ENTRY_H

#include <landhold/directory.h>

static inline unsigned lh_format_top(const lh_paging_format *format)
{
	return format->levels - 1u;
}

/* log2 of the bytes that one entry of a level spans. */
static inline unsigned lh_level_shift(const lh_paging_format *format, unsigned level)
{
	return format->level_shift[level];
}

/* Pages that one entry of a level spans. */
static inline uint64_t lh_level_pages(const lh_paging_format *format, unsigned level)
{
	return UINT64_C(1) << (lh_level_shift(format, level) - format->page_shift);
}

/* The index into its table of the entry for an address. */
static inline uint64_t lh_level_index(const lh_paging_format *format, unsigned level,
				      lh_virtual_address address)
{
	return (address.value >> lh_level_shift(format, level)) &
	       (lh_paging_entries(format, level) - 1);
}

/* Top entries from this index on belong to the kernel. */
static inline uint64_t lh_format_kernel_index(const lh_paging_format *format)
{
	return lh_paging_entries(format, lh_format_top(format)) / 2;
}

/* The address bits that name a frame in a leaf of this level. */
static inline uint64_t lh_level_frame_mask(const lh_paging_format *format, unsigned level)
{
	return format->address_mask & ~((UINT64_C(1) << lh_level_shift(format, level)) - 1);
}

static inline bool lh_entry_is_present(const lh_paging_format *format, uint64_t entry)
{
	return (entry & format->present_mask) == format->present_value;
}

static inline bool lh_entry_is_table(const lh_paging_format *format, unsigned level, uint64_t entry)
{
	return level > 0 && lh_entry_is_present(format, entry) &&
	       (entry & format->large_mask) != format->large_value;
}

/* The frame of the table that an upper entry names. */
static inline lh_frame_number lh_entry_table(const lh_paging_format *format, uint64_t entry)
{
	return lh_physical_frame(lh_physical(entry & format->address_mask));
}

/* What the hardware writes into a present entry by itself. */
static inline uint64_t lh_entry_hardware_bits(const lh_paging_format *format)
{
	return format->accessed | format->dirty;
}

static inline bool lh_entry_is_user(const lh_paging_format *format, uint64_t entry)
{
	return (entry & format->user) == format->user;
}

/* The upper entry that names a table. => user: it stands above the low half. */
uint64_t lh_entry_make_table(const lh_paging_format *format, lh_frame_number frame, bool user);

/*
 * The entry of a leaf; 0 for an empty one. => user: of the low half, so not global.
 * Rights that the format cannot keep apart come out as the next larger set.
 */
uint64_t lh_entry_make_leaf(const lh_paging_format *format, lh_leaf leaf, bool user);

/* Decodes an entry that is no table. */
lh_leaf lh_entry_read_leaf(const lh_paging_format *format, unsigned level, uint64_t entry);

/* NULL if the format allows this entry at this place, else what is wrong with it. */
const char *lh_entry_check(const lh_paging_format *format, unsigned level, uint64_t entry, bool user);

#endif
