/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Is a format one that the walker can drive? The walker trusts what is checked here:
 * fields do not overlap, every value lies within its mask, an empty entry is not present,
 * a table is not taken for a leaf, an entry without access is not taken for a present one.
 */
#include "paging/entry.h"

#define ENTRY_SHIFT 3 /* log2 of an entry's bytes */

static const char *check_shape(const lh_paging_format *format)
{
	unsigned bits = format->page_shift;

	if (format->page_shift != LH_PAGE_SHIFT)
		return "the page size is not the library's";
	if (format->levels < 2 || format->levels > LH_PAGING_LEVELS_MAX)
		return "the number of levels is not 2 to 5";
	for (unsigned level = 0; level < format->levels; level++) {
		if (format->index_bits[level] == 0)
			return "a level has no index bits";
		if (format->index_bits[level] > format->page_shift - ENTRY_SHIFT)
			return "a table is larger than a page";
		if (format->level_shift[level] != bits)
			return "a level's shift is not the sum of what lies below";
		bits += format->index_bits[level];
	}
	if (bits != format->address_bits || lh_format_half_bits(format) >= 63)
		return "the index bits do not add up to the address bits";
	if (!format->leaf_at[0])
		return "level 0 has no leaves";
	return NULL;
}

/* => *seen: bits of fields before this one. True if the field meets none of them. */
static bool field_is_apart(uint64_t *seen, uint64_t field)
{
	bool apart = (*seen & field) == 0;

	*seen |= field;
	return apart;
}

static bool rights_are_apart(uint64_t *seen, const lh_entry_rights *tests)
{
	bool apart = field_is_apart(seen, tests->read.mask);

	apart &= field_is_apart(seen, tests->write.mask);
	return apart & field_is_apart(seen, tests->execute.mask);
}

static bool is_two_bits(uint64_t field)
{
	return field / (field & (0 - field)) == 3;
}

static bool is_one_bit(uint64_t field)
{
	return field != 0 && (field & (field - 1)) == 0;
}

/* Everything that stands in a leaf of this level of a half, but for what tells its kind. */
static bool leaf_fields_are_apart(const lh_paging_format *format, unsigned level,
				  const lh_format_half *half)
{
	uint64_t seen = lh_level_frame_mask(format, level);
	bool apart = field_is_apart(&seen, format->present.mask);

	apart &= field_is_apart(&seen, half->leaf.mask);
	apart &= rights_are_apart(&seen, &half->leaf_rights);
	apart &= field_is_apart(&seen, format->accessed);
	apart &= field_is_apart(&seen, format->dirty.mask);
	apart &= field_is_apart(&seen, format->dirty_kept);
	for (unsigned bit = 0; bit < 2; bit++)
		apart &= field_is_apart(&seen, format->software[bit]);
	apart &= field_is_apart(&seen, format->type_mask[level > 0]);
	apart &= field_is_apart(&seen, format->key);
	apart &= field_is_apart(&seen, format->run);
	return apart & field_is_apart(&seen, format->leaf_fixed[level > 0] &
						     ~format->present.mask);
}

/* The same of a leaf that is not present; half of it is the same in both. */
static bool hidden_fields_are_apart(const lh_paging_format *format, unsigned level)
{
	uint64_t seen = lh_level_frame_mask(format, level);
	bool apart = field_is_apart(&seen, format->mark);

	apart &= field_is_apart(&seen, format->present.mask);
	apart &= field_is_apart(&seen, format->accessed);
	apart &= field_is_apart(&seen, format->dirty_kept);
	for (unsigned bit = 0; bit < 2; bit++)
		apart &= field_is_apart(&seen, format->software[bit]);
	apart &= field_is_apart(&seen, format->key);
	return apart & field_is_apart(&seen, format->type_mask[level > 0]);
}

static bool table_fields_are_apart(const lh_paging_format *format, const lh_format_half *half)
{
	uint64_t seen = lh_format_address_mask(format);
	bool apart = field_is_apart(&seen, format->present.mask);

	apart &= field_is_apart(&seen, format->table.mask & ~format->present.mask);
	apart &= field_is_apart(&seen, half->table.mask);
	apart &= rights_are_apart(&seen, &half->table_rights);
	return apart & field_is_apart(&seen, format->table_accessed);
}

static const char *check_fields(const lh_paging_format *format)
{
	for (unsigned level = 0; level < format->levels; level++)
		if (format->leaf_at[level] &&
		    (!hidden_fields_are_apart(format, level) ||
		     !leaf_fields_are_apart(format, level, &format->user) ||
		     !leaf_fields_are_apart(format, level, &format->kernel)))
			return "two fields of a leaf share a bit";
	if (!table_fields_are_apart(format, &format->user) ||
	    !table_fields_are_apart(format, &format->kernel))
		return "two fields of an upper entry share a bit";
	if (format->mark == 0 || !is_two_bits(format->mark))
		return "the marks are not two bits side by side";
	for (unsigned bit = 0; bit < 2; bit++)
		if (!is_one_bit(format->software[bit]))
			return "a software field is not one bit";
	if (format->dirty_kept != 0 && !is_one_bit(format->dirty_kept))
		return "a software field is not one bit";
	return NULL;
}

/* The parts lie beside each other in the address as in the entry, and begin with the page size. */
static const char *check_address(const lh_paging_format *format)
{
	uint64_t low = lh_entry_address(format, format->address[0].mask).value;
	uint64_t high = lh_entry_address(format, format->address[1].mask).value;

	if ((format->address[0].mask & format->address[1].mask) != 0 || (low & high) != 0)
		return "the two parts of an address overlap";
	if (((low | high) & (LH_PAGE_SIZE - 1)) != 0)
		return "the address mask has bits below the page size";
	if (lh_level_frame_mask(format, lh_format_top(format)) == 0)
		return "the address mask holds no frame of the top level";
	return NULL;
}

/* The tag, what is always set, and a whole page's number fit into the root register side by side. */
static const char *check_root(const lh_paging_format *format)
{
	uint64_t seen = format->root_fixed;
	bool apart = field_is_apart(&seen, format->root_tag);

	apart &= field_is_apart(&seen, format->root[0].mask);
	apart &= field_is_apart(&seen, format->root[1].mask);
	if (!apart)
		return "two fields of the root register share a bit";
	if (((format->root[0].mask << format->root[0].shift |
	      format->root[1].mask << format->root[1].shift) & (LH_PAGE_SIZE - 1)) != 0)
		return "the root register's address has bits below the page size";
	return NULL;
}

/* A run is part of a table, and the place in it is what the address's lowest bits say. */
static const char *check_runs(const lh_paging_format *format)
{
	bool has_runs = false;

	for (unsigned level = 0; level < format->levels; level++) {
		has_runs |= format->run_shift[level] != 0;
		if (format->run_shift[level] > format->index_bits[level])
			return "a run is longer than a table";
		if (format->run_shift[level] != 0 && format->run_address.mask != 0 &&
		    lh_entry_address_bits(format, lh_physical(((UINT64_C(1) << format->run_shift[level]) - 1)
							      << LH_PAGE_SHIFT)) != format->run_address.mask)
			return "a run's entries do not replace the bits that differ";
	}
	if (has_runs && !is_one_bit(format->run))
		return "the hint of a run is not one bit";
	return (format->run_address.value & ~format->run_address.mask) != 0 ? "a value lies outside its mask" : NULL;
}

static bool is_inside(lh_entry_test test)
{
	return (test.value & ~test.mask) == 0;
}

static bool rights_are_inside(const lh_entry_rights *tests)
{
	return is_inside(tests->read) && is_inside(tests->write) && is_inside(tests->execute);
}

static bool half_is_inside(const lh_format_half *half)
{
	return is_inside(half->leaf) && is_inside(half->table) &&
	       rights_are_inside(&half->leaf_rights) && rights_are_inside(&half->table_rights);
}

static const char *check_values(const lh_paging_format *format)
{
	if (!is_inside(format->present) || !is_inside(format->table) ||
	    !is_inside(format->user_leaf) || !is_inside(format->user_table) ||
	    !is_inside(format->global) || !half_is_inside(&format->user) ||
	    !half_is_inside(&format->kernel) ||
	    (format->dirty.mask != 0 && !is_inside(format->dirty)))
		return "a value lies outside its mask";
	for (unsigned column = 0; column < 2; column++)
		for (unsigned type = 0; type < LH_MEMORY_TYPE_COUNT; type++)
			if (format->type[type][column] & ~format->type_mask[column])
				return "a memory type lies outside its mask";
	return NULL;
}

/* A leaf of each half with all rights and at each level, and one without access, are of the kind
 * that they were made as. */
static bool leaves_are_leaves(const lh_paging_format *format, unsigned level, bool user)
{
	lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .rights = LH_RIGHTS_ALL, .level = (uint8_t)level };
	uint64_t present = lh_entry_make_leaf(format, leaf, user), hidden;

	leaf.kind = LH_LEAF_NO_ACCESS;
	hidden = lh_entry_make_leaf(format, leaf, user);
	return lh_entry_is_present(format, present) && !lh_entry_is_present(format, hidden) &&
	       !lh_entry_is_table(format, level, present) &&
	       lh_test_holds(format->user_leaf, present) == user;
}

static const char *check_kinds(const lh_paging_format *format)
{
	if (lh_entry_is_present(format, 0))
		return "an entry of zero would be present";
	for (unsigned user = 0; user < 2; user++) {
		uint64_t table = lh_entry_make_table(format, lh_frame(0), user != 0);

		if (!lh_entry_is_table(format, 1, table) ||
		    !lh_entry_is_table(format, 1, table | format->table_accessed))
			return "an upper entry that names a table would be a leaf";
		if (user != 0 && !lh_test_holds(format->user_table, table))
			return "user mode would not pass an upper entry of its half";
		for (unsigned level = 0; level < format->levels; level++)
			if (format->leaf_at[level] && !leaves_are_leaves(format, level, user != 0))
				return "a leaf would be of another kind, or another half's";
	}
	return NULL;
}

const char *lh_paging_format_check(const lh_paging_format *format)
{
	const char *finding = check_shape(format);

	if (!finding)
		finding = check_address(format);
	if (!finding)
		finding = check_fields(format);
	if (!finding)
		finding = check_values(format);
	if (!finding)
		finding = check_root(format);
	if (!finding)
		finding = check_runs(format);
	if (!finding)
		finding = check_kinds(format);
	return finding;
}

/* --- what hosts ask --- */

static bool is_always(lh_entry_test test)
{
	return test.mask == 0 && test.value == 0;
}

lh_rights lh_paging_format_implied(const lh_paging_format *format, lh_rights rights)
{
	const lh_entry_rights *tests = &format->user.leaf_rights;

	if (rights == LH_RIGHT_NONE)
		return rights;
	if (is_always(tests->read) || (format->write_needs_read && (rights & LH_RIGHT_WRITE)))
		rights |= LH_RIGHT_READ;
	if (is_always(tests->execute))
		rights |= LH_RIGHT_EXECUTE;
	return rights;
}

lh_physical_address lh_paging_format_last(const lh_paging_format *format)
{
	return lh_physical(lh_entry_address(format, lh_format_address_mask(format)).value |
			   (LH_PAGE_SIZE - 1));
}

void lh_paging_format_drop_execute(lh_paging_format *format)
{
	const lh_entry_test always = LH_TEST_ALWAYS;

	format->user.leaf_rights.execute = format->user.table_rights.execute = always;
	format->kernel.leaf_rights.execute = format->kernel.table_rights.execute = always;
}
