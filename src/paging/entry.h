/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Entries, mechanically: everything the format's masks say of one 64-bit entry and of the
 * place it stands in. No other file of the floor shifts or masks an entry, but row.h, which keeps what was
 * answered here, and copy.c, which takes away the bits of one right.
 *
 * Six kinds of entry that is not zero:
 *   table      present, above level 0, the format's table test holds
 *   leaf       present, any other
 *   no access  not present: the frame's address inverted, software[1] set; the type, accessed
 *              and dirty bits stay where a present leaf has them
 *   busy       the same, but without software[1] and always accessed
 *   mark       neither of the two, software[0] set; under the format's `mark` which one; for the
 *              frame's number any number, inverted as well
 *   shared     a mark with software[1] set; the number is that of a table's frame, as at level 0
 *
 * `user` says of which half an entry is: the low one, user mode's, or the kernel's.
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

static inline bool lh_address_is_user(lh_virtual_address address)
{
	return address.value >> 63 == 0;
}

/* log2 of the bytes in each half. */
static inline unsigned lh_format_half_bits(const lh_paging_format *format)
{
	return format->address_bits - (format->root_each ? 0u : 1u);
}

/* Entries of a root from this index on are the kernel half's, the same in every root. Where each
 * half has a root of its own there are none. */
static inline uint64_t lh_format_shared_index(const lh_paging_format *format)
{
	uint64_t entries = lh_paging_entries(format, lh_format_top(format));

	return format->root_each ? entries : entries / 2;
}

static inline const lh_format_half *lh_format_half_of(const lh_paging_format *format, bool user)
{
	return user ? &format->user : &format->kernel;
}

/* --- tests --- */

static inline bool lh_test_holds(lh_entry_test test, uint64_t entry)
{
	return (entry & test.mask) == test.value;
}

/* The bits under the test's mask in an entry of which it holds, or does not. */
static inline uint64_t lh_test_bits(lh_entry_test test, bool holds)
{
	return holds ? test.value & test.mask : ~test.value & test.mask;
}

/* --- addresses --- */

static inline uint64_t lh_part_bits(lh_address_part part, uint64_t address)
{
	return address >> part.shift & part.mask;
}

/* The entry's bits for a physical address. */
static inline uint64_t lh_entry_address_bits(const lh_paging_format *format,
					     lh_physical_address address)
{
	uint64_t bits = lh_part_bits(format->address[0], address.value);

	return format->address[1].mask == 0 ? bits : bits | lh_part_bits(format->address[1], address.value);
}

static inline lh_physical_address lh_entry_address(const lh_paging_format *format, uint64_t entry)
{
	uint64_t address = (entry & format->address[0].mask) << format->address[0].shift;

	if (format->address[1].mask != 0)
		address |= (entry & format->address[1].mask) << format->address[1].shift;
	return lh_physical(address);
}

static inline uint64_t lh_format_address_mask(const lh_paging_format *format)
{
	return format->address[0].mask | format->address[1].mask;
}

static inline uint64_t lh_part_frame_mask(lh_address_part part, unsigned level_shift)
{
	return part.mask & ~(((UINT64_C(1) << level_shift) - 1) >> part.shift);
}

/* The entry's bits that name the frame of a leaf of this level. */
static inline uint64_t lh_level_frame_mask(const lh_paging_format *format, unsigned level)
{
	unsigned shift = lh_level_shift(format, level);

	/* A format's address has no bits below a page. */
	if (level == 0)
		return lh_format_address_mask(format);
	return lh_part_frame_mask(format->address[0], shift) |
	       (format->address[1].mask == 0 ? 0 : lh_part_frame_mask(format->address[1], shift));
}

/* --- entries --- */

static inline bool lh_entry_is_present(const lh_paging_format *format, uint64_t entry)
{
	return lh_test_holds(format->present, entry);
}

static inline bool lh_entry_is_table(const lh_paging_format *format, unsigned level, uint64_t entry)
{
	return level > 0 && lh_entry_is_present(format, entry) &&
	       lh_test_holds(format->table, entry);
}

/* The frame of the table that an upper entry names. */
static inline lh_frame_number lh_entry_table(const lh_paging_format *format, uint64_t entry)
{
	return lh_physical_frame(lh_entry_address(format, entry));
}

/* The first frame of a leaf that is not empty. */
static inline lh_frame_number lh_entry_frame(const lh_paging_format *format, unsigned level,
					     uint64_t entry)
{
	uint64_t address = lh_entry_is_present(format, entry) ? entry : ~entry;

	return lh_physical_frame(lh_entry_address(format, address & lh_level_frame_mask(format, level)));
}

/* A BUSY leaf's? => of an entry that is no table's */
static inline bool lh_entry_is_busy(const lh_paging_format *format, uint64_t entry)
{
	return entry != 0 && !lh_entry_is_present(format, entry) &&
	       (entry & (format->mark | format->software[1])) == 0;
}

/* A SHARED leaf's? => of an entry of level 1 that is no table's */
static inline bool lh_entry_is_shared(const lh_paging_format *format, uint64_t entry)
{
	return (entry & format->mark) != 0 && (entry & format->software[1]) != 0 &&
	       !lh_entry_is_present(format, entry);
}

/* The table that it names. */
static inline lh_frame_number lh_entry_shared_table(const lh_paging_format *format, uint64_t entry)
{
	return lh_entry_frame(format, 0, entry);
}

/* Does a leaf hold its frames? */
static inline bool lh_entry_is_counted(const lh_paging_format *format, uint64_t entry)
{
	return (entry & format->software[0]) == 0;
}

/* What an upper entry leaves to those below it. */
lh_rights lh_entry_table_rights(const lh_paging_format *format, uint64_t entry, bool user);

/* The upper entry that names a table. It takes no right away. */
uint64_t lh_entry_make_table(const lh_paging_format *format, lh_frame_number frame, bool user);

/*
 * The entry of a leaf; 0 for an empty one. Those of the kernel's half are global. Rights that
 * the format cannot keep apart come out as the next larger set; flags that the CPU might fault
 * for are set.
 */
uint64_t lh_entry_make_leaf(const lh_paging_format *format, lh_leaf leaf, bool user);

/* What an empty entry says. */
static inline lh_leaf lh_leaf_empty(unsigned level)
{
	return (lh_leaf){ .kind = LH_LEAF_EMPTY, .level = (uint8_t)level, .frame = { LH_NO_FRAME },
			  .type = LH_MEMORY_WRITE_BACK };
}

/* Decodes an entry that is no table. */
lh_leaf lh_entry_read_leaf(const lh_paging_format *format, unsigned level, uint64_t entry, bool user);

/*
 * The CPU sets flags behind our back: before is what an entry was when it was read, now what it
 * is when it is to be replaced by entry. => entry, with the flags that came between.
 */
uint64_t lh_entry_carry_flags(const lh_paging_format *format, uint64_t before, uint64_t now,
			      uint64_t entry, bool user);

/*
 * A present leaf without the rights that are not among these, if that is as simple as changing the bits of those:
 * it can still be read, and where the format keeps what is dirty is not touched. => 0: it is not.
 */
static inline uint64_t lh_entry_restricted(const lh_paging_format *format, uint64_t entry, lh_rights rights,
					   bool user)
{
	const lh_entry_rights *tests = &lh_format_half_of(format, user)->leaf_rights;

	if (format->dirty_kept != 0 || (rights & LH_RIGHT_READ) == 0 || !lh_test_holds(tests->read, entry))
		return 0;
	if ((rights & LH_RIGHT_WRITE) == 0)
		entry = (entry & ~tests->write.mask) | lh_test_bits(tests->write, false);
	if ((rights & LH_RIGHT_EXECUTE) == 0)
		entry = (entry & ~tests->execute.mask) | lh_test_bits(tests->execute, false);
	return entry;
}

/* NULL if the format allows this entry at this place, else what is wrong with it. */
const char *lh_entry_check(const lh_paging_format *format, unsigned level, uint64_t entry, bool user);

#endif
