/* SPDX-License-Identifier: BSD-2-Clause */
#include "paging/entry.h"

/* Column of the format's tables: level 0 keeps some bits elsewhere than the others. */
static unsigned column_of(unsigned level)
{
	return level == 0 ? 0 : 1;
}

/* --- rights --- */

static uint64_t rights_bits(const lh_entry_rights *tests, lh_rights rights)
{
	return lh_test_bits(tests->read, (rights & LH_RIGHT_READ) != 0) |
	       lh_test_bits(tests->write, (rights & LH_RIGHT_WRITE) != 0) |
	       lh_test_bits(tests->execute, (rights & LH_RIGHT_EXECUTE) != 0);
}

static lh_rights read_rights(const lh_entry_rights *tests, uint64_t entry)
{
	lh_rights rights = LH_RIGHT_NONE;

	if (lh_test_holds(tests->read, entry))
		rights |= LH_RIGHT_READ;
	if (lh_test_holds(tests->write, entry))
		rights |= LH_RIGHT_WRITE;
	if (lh_test_holds(tests->execute, entry))
		rights |= LH_RIGHT_EXECUTE;
	return rights;
}

lh_rights lh_entry_table_rights(const lh_paging_format *format, uint64_t entry, bool user)
{
	return read_rights(&lh_format_half_of(format, user)->table_rights, entry);
}

uint64_t lh_entry_make_table(const lh_paging_format *format, lh_frame_number frame, bool user)
{
	const lh_format_half *half = lh_format_half_of(format, user);

	return lh_entry_address_bits(format, lh_frame_address(frame)) |
	       lh_test_bits(format->present, true) | lh_test_bits(format->table, true) |
	       lh_test_bits(half->table, true) | rights_bits(&half->table_rights, LH_RIGHTS_ALL);
}

/* --- accessed and dirty --- */

static bool can_be_written(const lh_paging_format *format, uint64_t entry, bool user)
{
	return lh_entry_is_present(format, entry) &&
	       lh_test_holds(lh_format_half_of(format, user)->leaf_rights.write, entry);
}

/*
 * Where there is a kept bit, the test speaks only of leaves that can be written, and of none if it
 * is NEVER.
 */
static bool test_says_dirty(const lh_paging_format *format, uint64_t entry, bool user)
{
	return format->dirty_kept == 0 ||
	       (format->dirty.mask != 0 && can_be_written(format, entry, user));
}

static inline bool is_dirty(const lh_paging_format *format, uint64_t entry, bool user)
{
	return (entry & format->dirty_kept) != 0 ||
	       (lh_test_holds(format->dirty, entry) && test_says_dirty(format, entry, user));
}

/* The entry as dirty or clean, which it does not say yet. */
static uint64_t with_dirty(const lh_paging_format *format, uint64_t entry, bool dirty, bool user)
{
	bool by_test = test_says_dirty(format, entry, user);

	return entry | lh_test_bits(format->dirty, dirty && by_test) |
	       (dirty && !by_test ? format->dirty_kept : 0);
}

/* A leaf that was not dirty yet. */
static uint64_t made_dirty(const lh_paging_format *format, uint64_t entry, bool user)
{
	return with_dirty(format, entry & ~format->dirty.mask, true, user);
}

uint64_t lh_entry_carry_flags(const lh_paging_format *format, uint64_t before, uint64_t now,
			      uint64_t entry, bool user)
{
	entry |= now & ~before & format->accessed;
	if (is_dirty(format, now, user) && !is_dirty(format, before, user))
		entry = made_dirty(format, entry, user);
	return entry;
}

/* --- leaves --- */

/* A number in the field under a mask, and back. */
static uint64_t field_bits(uint64_t mask, uint64_t number)
{
	return (number * (mask & (0 - mask))) & mask;
}

static uint64_t read_field(uint64_t mask, uint64_t entry)
{
	return (entry & mask) == 0 ? 0 : (entry & mask) / (mask & (0 - mask));
}

/* The bits that a leaf has whether it is present or not. */
static uint64_t common_bits(const lh_paging_format *format, lh_leaf leaf)
{
	uint64_t bits = format->type[leaf.type][column_of(leaf.level)] |
			field_bits(format->key, leaf.key);

	if (leaf.flags & LH_LEAF_ACCESSED)
		bits |= format->accessed;
	if (leaf.flags & LH_LEAF_UNCOUNTED)
		bits |= format->software[0];
	return bits;
}

/* Without access, or busy: which of the two, the mark says. */
static uint64_t make_not_present(const lh_paging_format *format, lh_leaf leaf, uint64_t mark)
{
	uint64_t address = lh_entry_address_bits(format, lh_frame_address(leaf.frame));

	return common_bits(format, leaf) | mark |
	       (~address & lh_level_frame_mask(format, leaf.level));
}

/* Nothing is noted of a mark, and of SHARED, which is made of the first. */
static uint64_t make_mark(const lh_paging_format *format, lh_leaf leaf)
{
	lh_leaf bare = { .level = leaf.level, .frame = leaf.frame, .flags = LH_LEAF_UNCOUNTED,
			 .key = leaf.key };

	return make_not_present(format, bare,
				field_bits(format->mark, leaf.kind == LH_LEAF_SHARED ? 1u : 1u + leaf.kind - LH_LEAF_SWAPPED));
}

/* A table's frame is a page's, at whatever level it is named. */
static uint64_t make_shared(const lh_paging_format *format, lh_leaf leaf)
{
	leaf.level = 0;
	return make_mark(format, leaf) | format->software[1];
}

static uint64_t make_present(const lh_paging_format *format, lh_leaf leaf, bool user)
{
	const lh_format_half *half = lh_format_half_of(format, user);

	if (format->write_needs_read && (leaf.rights & LH_RIGHT_WRITE))
		leaf.rights |= LH_RIGHT_READ;
	return common_bits(format, leaf) | rights_bits(&half->leaf_rights, leaf.rights) |
	       lh_entry_address_bits(format, lh_frame_address(leaf.frame)) |
	       lh_test_bits(format->present, true) | format->leaf_fixed[column_of(leaf.level)] |
	       lh_test_bits(half->leaf, true) | (format->software_accessed ? format->accessed : 0);
}

uint64_t lh_entry_make_leaf(const lh_paging_format *format, lh_leaf leaf, bool user)
{
	bool dirty = (leaf.flags & LH_LEAF_DIRTY) != 0;
	uint64_t entry = 0;

	switch (leaf.kind) {
	case LH_LEAF_EMPTY:
		return 0;
	case LH_LEAF_SWAPPED:
	case LH_LEAF_PURGED:
	case LH_LEAF_GUARD:
		return make_mark(format, leaf);
	case LH_LEAF_SHARED:
		return make_shared(format, leaf);
	case LH_LEAF_NO_ACCESS:
		entry = make_not_present(format, leaf, format->software[1]);
		break;
	case LH_LEAF_BUSY:
		entry = make_not_present(format, leaf, format->accessed);
		break;
	case LH_LEAF_PRESENT:
		entry = make_present(format, leaf, user);
		if (format->software_dirty && can_be_written(format, entry, user))
			dirty = true;
		break;
	}
	return with_dirty(format, entry, dirty, user);
}

/* The first type with these bits; COUNT where there is none. */
static unsigned read_type(const lh_paging_format *format, unsigned level, uint64_t entry)
{
	unsigned column = column_of(level);
	unsigned type = 0;

	while (type < LH_MEMORY_TYPE_COUNT &&
	       (entry & format->type_mask[column]) != format->type[type][column])
		type++;
	return type;
}

static uint32_t read_flags(const lh_paging_format *format, uint64_t entry, bool user)
{
	uint32_t flags = 0;

	if (entry & format->accessed)
		flags |= LH_LEAF_ACCESSED;
	if (is_dirty(format, entry, user))
		flags |= LH_LEAF_DIRTY;
	if (lh_entry_is_present(format, entry) && lh_test_holds(format->global, entry))
		flags |= LH_LEAF_GLOBAL;
	if (entry & format->software[0])
		flags |= LH_LEAF_UNCOUNTED;
	return flags;
}

/* Of an entry that is not present. */
static lh_leaf_kind kind_of_hidden(const lh_paging_format *format, uint64_t entry)
{
	uint64_t mark = read_field(format->mark, entry);

	if (mark != 0)
		return (lh_leaf_kind)(LH_LEAF_SWAPPED + mark - 1);
	return lh_entry_is_busy(format, entry) ? LH_LEAF_BUSY : LH_LEAF_NO_ACCESS;
}

lh_leaf lh_entry_read_leaf(const lh_paging_format *format, unsigned level, uint64_t entry, bool user)
{
	lh_leaf leaf = lh_leaf_empty(level);
	uint64_t address = entry;
	unsigned type;

	if (entry == 0)
		return leaf;
	if (level == 1 && lh_entry_is_shared(format, entry)) {
		leaf.kind = LH_LEAF_SHARED;
		leaf.flags = LH_LEAF_UNCOUNTED;
		leaf.frame = lh_entry_shared_table(format, entry);
		return leaf;
	}
	if (lh_entry_is_present(format, entry)) {
		leaf.kind = LH_LEAF_PRESENT;
		leaf.rights = read_rights(&lh_format_half_of(format, user)->leaf_rights, entry);
	} else {
		leaf.kind = kind_of_hidden(format, entry);
		address = ~entry;
	}
	leaf.flags = read_flags(format, entry, user);
	leaf.key = (uint8_t)read_field(format->key, entry);
	type = read_type(format, level, entry);
	/* Bits that name no type are found by the walker; here they read as the slowest. */
	leaf.type = type < LH_MEMORY_TYPE_COUNT ? (lh_memory_type)type : LH_MEMORY_UNCACHED;
	address &= lh_level_frame_mask(format, level);
	leaf.frame = lh_physical_frame(lh_entry_address(format, address));
	return leaf;
}

uint64_t lh_paging_format_root(const lh_paging_format *format, lh_frame_number root, uint64_t tag)
{
	uint64_t address = lh_frame_address(root).value;

	return lh_part_bits(format->root[0], address) | lh_part_bits(format->root[1], address) |
	       field_bits(format->root_tag, tag) | format->root_fixed;
}

/* --- what may be there --- */

static uint64_t rights_mask(const lh_entry_rights *tests)
{
	return tests->read.mask | tests->write.mask | tests->execute.mask;
}

/* All bits that an upper entry naming a table may have. */
static uint64_t table_bits(const lh_paging_format *format, const lh_format_half *half)
{
	return lh_format_address_mask(format) | format->present.mask | format->table.mask |
	       half->table.mask | rights_mask(&half->table_rights) | format->table_accessed;
}

/* All bits that a leaf may have: those of a present one, or of one without access. */
static uint64_t leaf_bits(const lh_paging_format *format, unsigned level, bool present,
			  const lh_format_half *half)
{
	uint64_t bits = lh_level_frame_mask(format, level) | format->type_mask[column_of(level)] |
			format->key |
			format->accessed | format->dirty.mask | format->dirty_kept |
			format->software[0];

	if (!present)
		return bits | format->software[1] | format->mark;
	return bits | format->present.mask | half->leaf.mask | rights_mask(&half->leaf_rights) |
	       (format->run_shift[level] != 0 ? format->run : 0) | format->leaf_fixed[column_of(level)];
}

static const char *check_table(const lh_paging_format *format, uint64_t entry, bool user)
{
	const lh_format_half *half = lh_format_half_of(format, user);

	if (entry & ~table_bits(format, half))
		return "an upper entry has bits that the format does not allow there";
	if (read_rights(&half->table_rights, entry) != LH_RIGHTS_ALL)
		return "an upper entry takes rights away";
	if (lh_test_holds(half->table, entry))
		return NULL;
	return user ? "an upper entry of the low half is closed to user mode"
		    : "an upper entry of the upper half is open to user mode";
}

/* How a present leaf differs from all those of its half; NULL: in nothing. */
static const char *check_half(const lh_paging_format *format, uint64_t entry, bool user)
{
	if (lh_test_holds(format->user_leaf, entry) != user)
		return user ? "a leaf of the low half is closed to user mode"
			    : "a leaf of the upper half is open to user mode";
	if (lh_test_holds(format->global, entry) == user)
		return user ? "a leaf of the low half is global"
			    : "a leaf of the upper half is not global";
	return lh_test_holds(lh_format_half_of(format, user)->leaf, entry)
		       ? NULL : "a leaf is not as all leaves of its half are";
}

static const char *check_present(const lh_paging_format *format, unsigned level, uint64_t entry,
				 bool user)
{
	const lh_format_half *half = lh_format_half_of(format, user);
	lh_rights rights = read_rights(&half->leaf_rights, entry);
	uint64_t fixed = format->leaf_fixed[column_of(level)];

	if (!format->leaf_at[level])
		return "a leaf stands at a level where the format has none";
	if ((entry & fixed) != fixed)
		return "a leaf lacks a bit that all leaves have";
	if (check_half(format, entry, user))
		return check_half(format, entry, user);
	if (rights == LH_RIGHT_NONE)
		return "a present leaf grants nothing";
	if (format->write_needs_read && (rights & LH_RIGHT_WRITE) && !(rights & LH_RIGHT_READ))
		return "a leaf can be written and not read, which the format does not have";
	return NULL;
}

static const char *check_hidden(const lh_paging_format *format, uint64_t entry)
{
	uint64_t states = format->software[1] | format->accessed | format->dirty_kept;

	if ((entry & format->mark) == 0)
		return entry & (format->software[1] | format->accessed)
			       ? NULL : "a leaf that is not present lacks its mark";
	if ((entry & states) != 0)
		return "a mark has a state as well";
	return lh_entry_is_counted(format, entry) ? "a mark holds a frame" : NULL;
}

static const char *check_shared(const lh_paging_format *format, uint64_t entry)
{
	lh_leaf leaf = { .kind = LH_LEAF_SHARED, .frame = lh_entry_shared_table(format, entry) };

	return make_shared(format, leaf) == entry ? NULL : "a shared leaf has bits that none has";
}

const char *lh_entry_check(const lh_paging_format *format, unsigned level, uint64_t entry, bool user)
{
	bool present = lh_entry_is_present(format, entry);

	if (entry == 0)
		return NULL;
	if (lh_entry_is_table(format, level, entry))
		return check_table(format, entry, user);
	if (level == 1 && lh_entry_is_shared(format, entry))
		return user ? check_shared(format, entry) : "a leaf of the upper half is shared";
	if (entry & ~leaf_bits(format, level, present, lh_format_half_of(format, user)))
		return "a leaf has bits that the format does not allow there";
	if (read_type(format, level, entry) == LH_MEMORY_TYPE_COUNT)
		return "a leaf's memory type is none of the format's";
	if (present)
		return check_present(format, level, entry, user);
	return check_hidden(format, entry);
}
