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
	if (bits != format->address_bits || bits >= 64)
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

static bool is_one_bit(uint64_t field)
{
	return field != 0 && (field & (field - 1)) == 0;
}

/* The fields that a leaf of this level has, apart from what is fixed. */
static bool leaf_fields_are_apart(const lh_paging_format *format, unsigned level)
{
	uint64_t seen = lh_level_frame_mask(format, level);
	bool apart = field_is_apart(&seen, format->present_mask);

	apart &= field_is_apart(&seen, format->user);
	apart &= field_is_apart(&seen, format->read.mask);
	apart &= field_is_apart(&seen, format->write.mask);
	apart &= field_is_apart(&seen, format->execute.mask);
	apart &= field_is_apart(&seen, format->accessed);
	apart &= field_is_apart(&seen, format->dirty);
	apart &= field_is_apart(&seen, format->global);
	for (unsigned bit = 0; bit < 3; bit++)
		apart &= field_is_apart(&seen, format->software[bit]);
	apart &= field_is_apart(&seen, format->type_mask[level > 0]);
	if (level > 0)
		apart &= field_is_apart(&seen, format->large_mask & ~format->present_mask);
	else
		apart &= field_is_apart(&seen, format->leaf_fixed & ~format->present_mask);
	return apart;
}

static const char *check_fields(const lh_paging_format *format)
{
	for (unsigned level = 0; level < format->levels; level++)
		if (format->leaf_at[level] && !leaf_fields_are_apart(format, level))
			return "two fields of a leaf share a bit";
	for (unsigned bit = 0; bit < 3; bit++)
		if (!is_one_bit(format->software[bit]))
			return "a software field is not one bit";
	if (format->address_mask & (LH_PAGE_SIZE - 1))
		return "the address mask has bits below the page size";
	if (lh_level_frame_mask(format, lh_format_top(format)) == 0)
		return "the address mask holds no frame of the top level";
	if (format->address_mask & (format->present_mask | format->table_fixed | format->user))
		return "the address of a table shares bits with another field";
	return NULL;
}

static const char *check_values(const lh_paging_format *format)
{
	if (format->present_value & ~format->present_mask ||
	    format->large_value & ~format->large_mask ||
	    format->read.value & ~format->read.mask ||
	    format->write.value & ~format->write.mask ||
	    format->execute.value & ~format->execute.mask)
		return "a value lies outside its mask";
	for (unsigned column = 0; column < 2; column++)
		for (unsigned type = 0; type < LH_MEMORY_TYPE_COUNT; type++)
			if (format->type[type][column] & ~format->type_mask[column])
				return "a memory type lies outside its mask";
	return NULL;
}

static const char *check_kinds(const lh_paging_format *format)
{
	uint64_t table = lh_entry_make_table(format, lh_frame(0), true);

	if (lh_entry_is_present(format, 0))
		return "an entry of zero would be present";
	if (format->user == 0)
		return "no bit keeps user mode out";
	if (!lh_entry_is_table(format, 1, table) ||
	    !lh_entry_is_table(format, 1, table | format->accessed))
		return "an upper entry that names a table would be a leaf";
	return NULL;
}

const char *lh_paging_format_check(const lh_paging_format *format)
{
	const char *finding = check_shape(format);

	if (!finding)
		finding = check_fields(format);
	if (!finding)
		finding = check_values(format);
	if (!finding)
		finding = check_kinds(format);
	return finding;
}
