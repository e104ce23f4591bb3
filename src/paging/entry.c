/* SPDX-License-Identifier: BSD-2-Clause */
#include "paging/entry.h"

/* Column of the format's type tables: level 0 keeps the bits elsewhere than the others. */
static unsigned type_column(unsigned level)
{
	return level == 0 ? 0 : 1;
}

uint64_t lh_entry_make_table(const lh_paging_format *format, lh_frame_number frame, bool user)
{
	return lh_frame_address(frame).value | format->present_value | format->table_fixed |
	       (user ? format->user : 0);
}

static uint64_t rights_bits(const lh_paging_format *format, lh_rights rights)
{
	uint64_t bits = 0;

	/* A right is refused by any other value than the granting one: the inverse is one. */
	bits |= format->read.mask &
		(rights & LH_RIGHT_READ ? format->read.value : ~format->read.value);
	bits |= format->write.mask &
		(rights & LH_RIGHT_WRITE ? format->write.value : ~format->write.value);
	bits |= format->execute.mask &
		(rights & LH_RIGHT_EXECUTE ? format->execute.value : ~format->execute.value);
	return bits;
}

/* The bits that a leaf has whether it is present or not. */
static uint64_t common_bits(const lh_paging_format *format, lh_leaf leaf)
{
	uint64_t bits = format->type[leaf.type][type_column(leaf.level)];

	if (leaf.flags & LH_LEAF_ACCESSED)
		bits |= format->accessed;
	if (leaf.flags & LH_LEAF_DIRTY)
		bits |= format->dirty;
	if (leaf.flags & LH_LEAF_UNCOUNTED)
		bits |= format->software[0];
	return bits;
}

uint64_t lh_entry_make_leaf(const lh_paging_format *format, lh_leaf leaf, bool user)
{
	uint64_t address = lh_frame_address(leaf.frame).value;

	switch (leaf.kind) {
	case LH_LEAF_EMPTY:
		return 0;
	case LH_LEAF_NO_ACCESS:
		return common_bits(format, leaf) | format->software[1] |
		       (~address & lh_level_frame_mask(format, leaf.level));
	case LH_LEAF_PRESENT:
		break;
	}
	return common_bits(format, leaf) | rights_bits(format, leaf.rights) | address |
	       format->present_value | (leaf.level > 0 ? format->large_value : format->leaf_fixed) |
	       (user ? format->user : format->global);
}

static lh_rights read_rights(const lh_paging_format *format, uint64_t entry)
{
	lh_rights rights = LH_RIGHT_NONE;

	if ((entry & format->read.mask) == format->read.value)
		rights |= LH_RIGHT_READ;
	if ((entry & format->write.mask) == format->write.value)
		rights |= LH_RIGHT_WRITE;
	if ((entry & format->execute.mask) == format->execute.value)
		rights |= LH_RIGHT_EXECUTE;
	return rights;
}

/* The first type with these bits; COUNT where there is none. */
static unsigned read_type(const lh_paging_format *format, unsigned level, uint64_t entry)
{
	unsigned column = type_column(level);
	unsigned type = 0;

	while (type < LH_MEMORY_TYPE_COUNT &&
	       (entry & format->type_mask[column]) != format->type[type][column])
		type++;
	return type;
}

static uint32_t read_flags(const lh_paging_format *format, uint64_t entry)
{
	uint32_t flags = 0;

	if (entry & format->accessed)
		flags |= LH_LEAF_ACCESSED;
	if (entry & format->dirty)
		flags |= LH_LEAF_DIRTY;
	if (entry & format->global)
		flags |= LH_LEAF_GLOBAL;
	if (entry & format->software[0])
		flags |= LH_LEAF_UNCOUNTED;
	return flags;
}

lh_leaf lh_entry_read_leaf(const lh_paging_format *format, unsigned level, uint64_t entry)
{
	lh_leaf leaf = { .kind = LH_LEAF_EMPTY, .level = (uint8_t)level,
			 .frame = { LH_NO_FRAME }, .type = LH_MEMORY_WRITE_BACK };
	uint64_t address = entry;
	unsigned type;

	if (entry == 0)
		return leaf;
	if (lh_entry_is_present(format, entry)) {
		leaf.kind = LH_LEAF_PRESENT;
		leaf.rights = read_rights(format, entry);
	} else {
		leaf.kind = LH_LEAF_NO_ACCESS;
		address = ~entry;
	}
	leaf.flags = read_flags(format, entry);
	type = read_type(format, level, entry);
	/* Bits that name no type are found by the walker; here they read as the slowest. */
	leaf.type = type < LH_MEMORY_TYPE_COUNT ? (lh_memory_type)type : LH_MEMORY_UNCACHED;
	leaf.frame = lh_physical_frame(
		lh_physical(address & lh_level_frame_mask(format, level)));
	return leaf;
}

/* All bits that an upper entry naming a table may have. */
static uint64_t table_bits(const lh_paging_format *format)
{
	return format->address_mask | format->present_mask | format->table_fixed | format->user |
	       format->accessed;
}

/* All bits that a leaf may have: those of a present one, or of one without access. */
static uint64_t leaf_bits(const lh_paging_format *format, unsigned level, bool present)
{
	uint64_t bits = lh_level_frame_mask(format, level) | format->type_mask[type_column(level)] |
			format->accessed | format->dirty | format->software[0];

	if (!present)
		return bits | format->software[1];
	return bits | format->present_mask | format->user | format->global | format->read.mask |
	       format->write.mask | format->execute.mask |
	       (level > 0 ? format->large_mask : format->leaf_fixed);
}

static const char *check_table(const lh_paging_format *format, uint64_t entry, bool user)
{
	if (entry & ~table_bits(format))
		return "an upper entry has bits that the format does not allow there";
	if ((entry & format->table_fixed) != format->table_fixed)
		return "an upper entry lacks a bit that all upper entries have";
	if (lh_entry_is_user(format, entry) != user)
		return user ? "an upper entry of the low half is closed to user mode"
			    : "an upper entry of the upper half is open to user mode";
	return NULL;
}

static const char *check_present(const lh_paging_format *format, unsigned level, uint64_t entry,
				 bool user)
{
	if (!format->leaf_at[level])
		return "a leaf stands at a level where the format has none";
	if (level == 0 && (entry & format->leaf_fixed) != format->leaf_fixed)
		return "a leaf lacks a bit that all leaves have";
	if (lh_entry_is_user(format, entry) != user)
		return user ? "a leaf of the low half is closed to user mode"
			    : "a leaf of the upper half is open to user mode";
	if ((entry & format->global) != (user ? 0 : format->global))
		return user ? "a leaf of the low half is global"
			    : "a leaf of the upper half is not global";
	if (read_rights(format, entry) == LH_RIGHT_NONE)
		return "a present leaf grants nothing";
	return NULL;
}

const char *lh_entry_check(const lh_paging_format *format, unsigned level, uint64_t entry, bool user)
{
	bool present = lh_entry_is_present(format, entry);

	if (entry == 0)
		return NULL;
	if (lh_entry_is_table(format, level, entry))
		return check_table(format, entry, user);
	if (entry & ~leaf_bits(format, level, present))
		return "a leaf has bits that the format does not allow there";
	if (read_type(format, level, entry) == LH_MEMORY_TYPE_COUNT)
		return "a leaf's memory type is none of the format's";
	if (present)
		return check_present(format, level, entry, user);
	return entry & format->software[1] ? NULL : "a leaf that is not present lacks its mark";
}
