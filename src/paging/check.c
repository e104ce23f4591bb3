/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The walkers: lh_directory_check recounts everything that a directory caches and looks at
 * every entry; lh_directory_audit lists what the CPU would grant.
 *
 * The check may meet any bytes: it looks at a table's frame before it opens the table, and
 * at an entry before it decodes it.
 */
#include "paging/run.h"

/* What has been counted so far. */
typedef struct recount {
	lh_directory *directory;
	uint64_t tables;
	uint64_t leaves;
	uint64_t shared;
} recount;

/* A table page by its frame entry alone: may it be opened? One that is shared has a holder or more. */
static const char *check_table_frame(const lh_directory *directory, lh_frame_number table, unsigned level,
				     bool is_shared)
{
	const lh_frame_entry *entry = lh_table_entry(directory->frames, table);

	if (!entry)
		return "an upper entry names a frame that does not exist";
	if (entry->state != LH_FRAME_TABLE)
		return "an upper entry names a frame that is no table";
	if (lh_atomic_load(&entry->holders) != 1 && !(is_shared && lh_atomic_load(&entry->holders) != 0))
		return "a table has not one holder";
	if (lh_table_level(entry->word) != level)
		return "a table is of another level than the entry that names it";
	if (entry->word >> LH_TABLE_NEXT_SHIFT != 0)
		return "a table in use is chained";
	if ((entry->word & LH_TABLE_LOCKED) != 0)
		return "a table stayed locked";
	return NULL;
}

/* The live entries of a table that may be opened. */
static const char *check_live(const lh_directory *directory, lh_frame_number table, unsigned level)
{
	uint64_t word = lh_table_entry(directory->frames, table)->word;
	const uint64_t *entries = lh_frame_pointer(directory->frames, table);
	uint64_t live = 0;

	for (uint64_t i = 0; i < lh_paging_entries(directory->format, level); i++)
		live += lh_atomic_load(&entries[i]) != 0;
	if (live != (word & LH_TABLE_LIVE))
		return "a table's live entries are miscounted";
	return NULL;
}

static const char *check_below(const recount *count, const lh_walk *walk)
{
	const lh_directory *directory = count->directory;
	lh_frame_number table = lh_entry_table(directory->format, walk->entry);
	const lh_frame_entry *entry = lh_table_entry(directory->frames, table);
	bool kernel_top = lh_directory_keeps_top(directory) &&
			  walk->level == lh_format_top(directory->format);
	const char *finding = check_table_frame(directory, table, walk->level - 1, false);

	if (!finding)
		finding = check_live(directory, table, walk->level - 1);
	if (!finding && (entry->word & LH_TABLE_LIVE) == 0 && !kernel_top)
		finding = "an empty table was not freed";
	return finding;
}

/* The table of a SHARED leaf: as any other, but that others may hold it too. */
static const char *check_shared(const lh_walk *walk)
{
	const lh_directory *directory = walk->directory;
	lh_frame_number table = lh_entry_shared_table(directory->format, walk->entry);
	const char *finding = check_table_frame(directory, table, 0, true);

	return finding ? finding : check_live(directory, table, 0);
}

/* The frames that a counted leaf holds. */
static const char *check_leaf_frames(const lh_directory *directory, lh_leaf leaf)
{
	uint64_t pages = lh_level_pages(directory->format, leaf.level);

	if (leaf.flags & LH_LEAF_UNCOUNTED)
		return NULL;
	for (uint64_t i = 0; i < pages; i++) {
		const lh_frame_entry *entry =
			lh_frame_entry_of(directory->frames, lh_frame(leaf.frame.value + i));

		if (!entry)
			return "a counted leaf names a frame that does not exist";
		if (lh_atomic_load(&entry->holders) == 0)
			return "a leaf names a frame that nobody holds";
		if (entry->state == LH_FRAME_TABLE)
			return "a counted leaf names a table";
	}
	return NULL;
}

static const char *check_slot(recount *count, const lh_walk *walk)
{
	lh_directory *directory = count->directory;
	const char *finding = lh_entry_check(directory->format, walk->level, walk->entry,
					     !directory->is_kernel);

	if (finding)
		return finding;
	if (lh_walk_is_table(walk)) {
		count->tables++;
		return check_below(count, walk);
	}
	count->leaves += lh_level_pages(directory->format, walk->level);
	finding = lh_run_check(directory->format, walk->level, lh_walk_slot(walk));
	if (finding)
		return finding;
	if (lh_walk_leaf(walk).kind == LH_LEAF_BUSY)
		return "a leaf stayed busy";
	return check_leaf_frames(directory, lh_walk_leaf(walk));
}

static const char *check_own_half(recount *count)
{
	const char *finding = NULL;
	lh_walk walk;

	lh_walk_begin(&walk, count->directory, lh_directory_own_range(count->directory));
	while (!finding && lh_walk_next(&walk)) {
		if (!lh_walk_is_shared(&walk)) {
			finding = check_slot(count, &walk);
			continue;
		}
		count->shared++;
		finding = check_shared(&walk);
		if (!finding)
			lh_walk_enter_shared(&walk);
	}
	lh_walk_end(&walk);
	return finding;
}

/* The entry of the root in the half that is not the directory's own, or a kernel's top entry. */
static const char *check_kernel_entry(const lh_directory *directory, uint64_t entry)
{
	const lh_paging_format *format = directory->format;
	unsigned top = lh_format_top(format);

	if (!lh_entry_is_table(format, top, entry))
		return "a top entry of the kernel half names no table";
	if (lh_entry_check(format, top, entry, false))
		return lh_entry_check(format, top, entry, false);
	return check_table_frame(directory, lh_entry_table(format, entry), top - 1, false);
}

static const char *check_root(const lh_directory *directory)
{
	const lh_paging_format *format = directory->format;
	unsigned top = lh_format_top(format);
	const uint64_t *entries = lh_frame_pointer(directory->frames, directory->root);
	bool has_kernel_half = directory->is_kernel || directory->shares_kernel_half;

	for (uint64_t i = 0; i < lh_paging_entries(format, top); i++) {
		bool upper = i >= lh_format_shared_index(format);
		uint64_t entry = lh_atomic_load(&entries[i]);
		const char *finding = NULL;

		if (upper && has_kernel_half)
			finding = check_kernel_entry(directory, entry);
		else if (upper && entry != 0)
			finding = "a root without a kernel half has an entry there";
		else if (!upper && lh_directory_keeps_top(directory) && entry != 0)
			finding = "a kernel's directory has a low half";
		if (finding)
			return finding;
	}
	return check_live(directory, directory->root, top);
}

const char *lh_directory_check(lh_directory *directory)
{
	recount count = { .directory = directory };
	const char *finding;

	if (directory->is_kernel && directory->shares_kernel_half)
		return "a directory both owns and shares the kernel half";
	if (lh_frame_is_none(directory->root))
		return lh_directory_tables(directory) == 0 && lh_directory_leaves(directory) == 0
			       ? NULL : "a directory without a root counts tables or leaves";
	finding = check_table_frame(directory, directory->root, lh_format_top(directory->format), false);
	if (!finding)
		finding = check_root(directory);
	if (!finding)
		finding = check_own_half(&count);
	if (!finding && count.tables + 1 != lh_directory_tables(directory))
		finding = "a directory's tables are miscounted";
	if (!finding && count.leaves != lh_directory_leaves(directory))
		finding = "a directory's leaves are miscounted";
	if (!finding && count.shared != lh_atomic_load(&directory->shared))
		finding = "a directory's shared tables are miscounted";
	return finding;
}

/* Takes away what the upper entries of the path refuse. => true: user mode passes them all. */
static bool apply_upper_entries(const lh_walk *walk, lh_leaf *leaf)
{
	const lh_paging_format *format = walk->directory->format;
	bool half = lh_address_is_user(lh_walk_address(walk));
	bool user = lh_test_holds(format->user_leaf, walk->entry);

	for (unsigned level = walk->level + 1; level < format->levels; level++) {
		uint64_t index = lh_level_index(format, level, lh_walk_address(walk));
		uint64_t entry = lh_atomic_load(&walk->path[level].entries[index]);

		leaf->rights &= lh_entry_table_rights(format, entry, half);
		user = user && lh_test_holds(format->user_table, entry);
	}
	return user;
}

static void audit_half(lh_directory *directory, lh_virtual_range half, lh_audit_visit *visit,
		       void *context)
{
	lh_walk walk;

	lh_walk_begin(&walk, directory, half);
	while (lh_walk_next(&walk)) {
		lh_leaf leaf;
		bool user;

		if (lh_walk_is_table(&walk) || !lh_entry_is_present(directory->format, walk.entry))
			continue;
		leaf = lh_walk_leaf(&walk);
		user = apply_upper_entries(&walk, &leaf);
		visit(context, lh_walk_address(&walk), &leaf, user);
	}
	lh_walk_end(&walk);
}

void lh_directory_audit(lh_directory *directory, lh_audit_visit *visit, void *context)
{
	uint64_t half = UINT64_C(1) << lh_format_half_bits(directory->format);
	lh_virtual_range lower = { lh_virtual(0), half >> LH_PAGE_SHIFT };
	lh_virtual_range upper = { lh_virtual(0 - half), half >> LH_PAGE_SHIFT };

	if (!directory->format->root_each || !directory->is_kernel)
		audit_half(directory, lower, visit, context);
	if (!directory->format->root_each || directory->is_kernel)
		audit_half(directory, upper, visit, context);
}
