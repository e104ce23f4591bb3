/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Table pages: chains of them, spares taken before they are needed, and giving back
 * whole trees of them without recursion: the tables that an opened table names are
 * pushed on the chain that is being worked off, through their own words.
 */
#include "paging/row.h"
#include "paging/run.h"

#include "base/memory.h"

#define NEXT_SHIFT LH_TABLE_NEXT_SHIFT
#define NEXT_MASK (~UINT64_C(0) << NEXT_SHIFT)

void lh_chain_push(lh_frames *frames, uint64_t *chain, lh_frame_number table)
{
	lh_frame_entry *entry = lh_table_entry(frames, table);

	uint64_t word = lh_atomic_load_relaxed(&entry->word);

	/* Who walks to it still, and tries its lock, may read the word. */
	lh_atomic_store_relaxed(&entry->word, (word & ~NEXT_MASK) | (*chain << NEXT_SHIFT));
	*chain = table.value + 1;
}

lh_frame_number lh_chain_pop(lh_frames *frames, uint64_t *chain)
{
	lh_frame_number table = lh_frame(*chain - 1);
	lh_frame_entry *entry = lh_table_entry(frames, table);
	uint64_t word = lh_atomic_load_relaxed(&entry->word);

	*chain = word >> NEXT_SHIFT;
	lh_atomic_store_relaxed(&entry->word, word & ~NEXT_MASK);
	return table;
}

lh_error lh_table_allocate(lh_frames *frames, unsigned level, lh_frame_number *table)
{
	LH_TRY(lh_frame_allocate_zeroed(frames, LH_FRAME_TABLE, LH_FRAME_UNCHARGED, table));
	lh_table_entry(frames, *table)->word = (uint64_t)level << LH_TABLE_LEVEL_SHIFT;
	return LH_OK;
}

lh_error lh_table_allocate_below(lh_frames *frames, unsigned level, uint64_t limit,
				 lh_frame_number *table)
{
	LH_TRY(lh_frame_allocate_contiguous(frames, 1, 1, limit, LH_FRAME_TABLE, table));
	memset(lh_frame_pointer(frames, *table), 0, LH_PAGE_SIZE);
	lh_table_entry(frames, *table)->word = (uint64_t)level << LH_TABLE_LEVEL_SHIFT;
	return LH_OK;
}

lh_error lh_spare_tables_take(lh_frames *frames, uint64_t count, lh_spare_tables *spares)
{
	lh_spare_tables fresh = { 0, 0 };
	lh_frame_number table;

	/* A request beyond all memory should not empty it first. */
	if (!lh_frames_have(frames, count))
		return LH_NO_MEMORY;
	while (fresh.count < count) {
		if (lh_table_allocate(frames, 0, &table) != LH_OK) {
			lh_spare_tables_give_back(frames, &fresh);
			return LH_NO_MEMORY;
		}
		lh_chain_push(frames, &fresh.first, table);
		fresh.count++;
	}
	while (fresh.first != 0)
		lh_chain_push(frames, &spares->first, lh_chain_pop(frames, &fresh.first));
	spares->count += fresh.count;
	return LH_OK;
}

static void drop_table(lh_frames *frames, lh_frame_number table)
{
	lh_table_entry(frames, table)->word = 0;
	lh_frame_drop(frames, table);
}

void lh_spare_tables_give_back(lh_frames *frames, lh_spare_tables *spares)
{
	while (spares->first != 0)
		drop_table(frames, lh_chain_pop(frames, &spares->first));
	spares->count = 0;
}

void lh_leaf_drop(lh_frames *frames, const lh_paging_format *format, lh_frame_number first,
		  unsigned level)
{
	lh_frame_drop_contiguous(frames, first, lh_level_pages(format, level));
}

/* Frames whose entries are asked for at once. */
#define AT_A_TIME 32u

/* The same of pages. */
static uint64_t drop_pages(lh_frames *frames, const uint64_t *entries, uint64_t most, const lh_alike *alike,
			   lh_frame_row *row)
{
	lh_frame_number each[AT_A_TIME];
	uint64_t count = 0, n;

	do {
		for (n = 0; n < AT_A_TIME && count < most && lh_alike_has(alike, entries[count]); n++)
			each[n] = lh_alike_frame(alike, entries[count++]);
		lh_frame_drop_each(frames, each, n, row);
	} while (n == AT_A_TIME);
	return count;
}

/* Leaves that are alike, from one on, at most so many. *row: what was dropped last is of it.
 * => how many there were. */
static uint64_t drop_alike(lh_frames *frames, const uint64_t *entries, uint64_t most,
			   const lh_alike *alike, lh_frame_row *row)
{
	const uint64_t mask = ~alike->frame_mask, bits = alike->bits;
	uint64_t count = 0;

	if (alike->leaf.flags & LH_LEAF_UNCOUNTED)
		while (count < most && (lh_atomic_load_relaxed(&entries[count]) & mask) == bits)
			count++;
	else if (lh_level_pages(alike->format, alike->level) == 1)
		count = drop_pages(frames, entries, most, alike, row);
	else
		for (; count < most && lh_alike_has(alike, entries[count]); count++)
			lh_leaf_drop(frames, alike->format, lh_alike_frame(alike, entries[count]),
				     alike->level);
	return count;
}

/* What is dropped: tables to be opened, and those that were shared and are nobody's any more. */
struct chains {
	uint64_t tables, shared;
};

/* The part in a shared table. => how many leaves it has. */
static uint64_t drop_part(lh_frames *frames, lh_frame_number table, struct chains *chains)
{
	lh_frame_entry *entry = lh_table_entry(frames, table);
	uint64_t live = lh_table_live(entry);

	if (lh_table_leave(entry))
		lh_chain_push(frames, &chains->shared, table);
	return live;
}

/* Drops what an unreachable table of so many live entries holds. */
static void drop_entries(lh_frames *frames, lh_frame_number table, uint64_t word, lh_alike *alike,
			 struct chains *chains, lh_dropped *dropped)
{
	uint64_t *entries = lh_frame_pointer(frames, table);
	unsigned level = lh_table_level(word);
	const uint64_t *end = entries + lh_paging_entries(alike->format, level);
	lh_frame_row row = { 0, 0, NULL };

	/* The live count says when the rest of the table need not be read. */
	for (uint64_t live = word & LH_TABLE_LIVE; live != 0 && entries < end;) {
		uint64_t entry = lh_atomic_load(entries), count;

		if (entry == 0) {
			entries++;
		} else if (lh_entry_is_table(alike->format, level, entry)) {
			lh_chain_push(frames, &chains->tables, lh_entry_table(alike->format, entry));
			entries++;
			live--;
		} else if (level == 1 && lh_entry_is_shared(alike->format, entry)) {
			dropped->leaf_pages += drop_part(frames, lh_entry_shared_table(alike->format, entry), chains);
			entries++;
			live--;
		} else if (lh_entry_is_in_run(alike->format, entry)) {
			lh_run_dissolve(alike->format, level, entries, alike->user);
		} else {
			lh_alike_learn(alike, level, entry);
			count = drop_alike(frames, entries, (uint64_t)(end - entries), alike,
					   &row);
			dropped->leaf_pages += count * lh_level_pages(alike->format, level);
			entries += count;
			live -= count;
		}
	}
}

static lh_dropped drop_tables(lh_frames *frames, lh_alike *alike, struct chains *chains)
{
	lh_dropped dropped = { 0, 0 };

	while (chains->tables != 0) {
		lh_frame_number table = lh_chain_pop(frames, &chains->tables);

		drop_entries(frames, table, lh_table_entry(frames, table)->word, alike, chains, &dropped);
		drop_table(frames, table);
		dropped.tables++;
	}
	return dropped;
}

lh_dropped lh_chain_drop(lh_frames *frames, const lh_paging_format *format, uint64_t chain)
{
	struct chains chains = { chain, 0 };
	lh_dropped dropped;
	lh_alike alike;

	/* What is looked at is the same in both halves. */
	lh_alike_begin(&alike, format, true);
	dropped = drop_tables(frames, &alike, &chains);
	if (chains.shared != 0) {
		chains.tables = chains.shared;
		drop_tables(frames, &alike, &chains);
	}
	return dropped;
}
