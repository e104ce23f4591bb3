/* SPDX-License-Identifier: BSD-2-Clause */
#include "paging/shared.h"

#include "paging/huge.h"
#include "paging/row.h"
#include "paging/slot.h"

/* Tables that are copied before interrupts come through, and the parts in others are dropped. */
#define OPENED_AT_A_TIME 4

static lh_frame_entry *shared_table(const lh_directory *directory, uint64_t entry)
{
	return lh_table_entry(directory->frames, lh_entry_shared_table(directory->format, entry));
}

static bool is_alone(const lh_directory *directory, uint64_t entry)
{
	return lh_atomic_load(&shared_table(directory, entry)->holders) == 1;
}

/* --- becoming shared --- */

/* What is BUSY has no access. Most directories never had such a leaf to be found. => the table is locked, and flushed
 * before anybody reaches it. */
static void settle_all(const lh_directory *directory, lh_frame_number table)
{
	const lh_paging_format *format = directory->format;
	uint64_t *entries = lh_frame_pointer(directory->frames, table);

	for (uint64_t i = 0; i < lh_paging_entries(format, 0); i++) {
		uint64_t entry = lh_atomic_load_relaxed(&entries[i]);
		lh_leaf leaf;

		if (lh_entry_is_present(format, entry) || !lh_entry_is_busy(format, entry))
			continue;
		leaf = lh_entry_read_leaf(format, 0, entry, true);
		leaf.kind = LH_LEAF_NO_ACCESS;
		lh_atomic_store_relaxed(&entries[i], lh_entry_make_leaf(format, leaf, true));
	}
}

/* The table that the slot names, which is locked, gives way to a SHARED leaf. => its entry; 0: it is empty */
static uint64_t share_table(lh_walk *walk, lh_frame_entry *table, lh_sharing *sharing, lh_gather *gather)
{
	lh_directory *directory = walk->directory;
	lh_frame_number frame = lh_entry_table(directory->format, walk->entry);
	lh_leaf leaf = { .kind = LH_LEAF_SHARED, .level = LH_SHARED_LEVEL, .frame = frame };
	uint64_t live = lh_table_live(table);

	if (live == 0) {
		lh_table_unlock(directory->port, table);
		return 0;
	}
	if (lh_atomic_load_relaxed(&directory->leaves_busy) != 0)
		settle_all(directory, frame);
	lh_frame_hold_entry(directory->frames, table);
	lh_gather_note_range(gather, lh_walk_slot_span(walk));
	gather->calls_walkers = true;
	walk->entry = lh_entry_make_leaf(directory->format, leaf, true);
	lh_atomic_store_total(lh_walk_slot(walk), walk->entry);
	lh_walk_unhook(walk, table);
	lh_walk_count(walk, 0, live); /* which are there still */
	lh_atomic_add(&directory->shared, UINT64_C(1));
	lh_chain_push(directory->frames, &sharing->in_hand, frame);
	return walk->entry;
}

/* A part more in what stands at the address. => the SHARED leaf's entry; 0: there is none */
static uint64_t take_part(lh_directory *from, lh_virtual_address address, lh_sharing *sharing, lh_gather *gather)
{
	lh_frame_entry *table;
	uint64_t entry = 0;
	lh_walk walk;

	lh_walk_begin(&walk, from, (lh_virtual_range){ address, 1 });
	if (lh_walk_hold_table(&walk, LH_SHARED_LEVEL, &table)) {
		if (sharing->is_allowed)
			entry = share_table(&walk, table, sharing, gather);
		else
			lh_table_unlock(from->port, table);
	} else if (lh_walk_is_shared(&walk)) {
		entry = walk.entry;
		lh_frame_hold_entry(from->frames, shared_table(from, entry));
	}
	lh_walk_end(&walk);
	return entry;
}

/* => the slot is empty, and its table kept */
static void put_part(lh_directory *to, lh_virtual_address address, uint64_t entry, lh_spare_tables *spares)
{
	lh_slot slot;
	lh_walk *walk = &slot.walk;
	lh_error error = lh_slot_open(&slot, to, address, LH_SHARED_LEVEL, spares);

	LH_REQUIRE(to->port, error == LH_OK && walk->entry == 0);
	lh_atomic_store_total(lh_walk_slot(walk), entry);
	lh_table_count(walk->held, true);
	lh_walk_count(walk, 0, lh_table_live(shared_table(to, entry)));
	lh_atomic_add(&to->shared, UINT64_C(1));
	slot.linked = false;
	lh_slot_close(&slot);
}

void lh_directory_share(lh_directory *from, lh_directory *to, lh_virtual_address address, lh_spare_tables *spares,
			lh_sharing *sharing, lh_gather *gather)
{
	uint64_t entry = take_part(from, address, sharing, gather);

	if (entry != 0)
		put_part(to, address, entry, spares);
}

void lh_directory_share_end(lh_directory *from, lh_sharing *sharing)
{
	while (sharing->in_hand != 0) {
		lh_frame_number table = lh_chain_pop(from->frames, &sharing->in_hand);

		lh_table_come_back(from->port, lh_table_entry(from->frames, table));
	}
}

/* --- opening --- */

/* Entries like this one lose the right to write. */
static void learn(lh_alike *alike, uint64_t entry)
{
	lh_leaf leaf;

	lh_alike_learn(alike, 0, entry);
	if (alike->leaf.kind != LH_LEAF_PRESENT || (alike->leaf.rights & LH_RIGHT_WRITE) == 0)
		return;
	leaf = lh_alike_leaf(alike, entry);
	leaf.rights &= (lh_rights)~LH_RIGHT_WRITE;
	alike->change = entry ^ lh_entry_make_leaf(alike->format, leaf, alike->user);
}

/* => no CPU reaches either table; the first is locked, the second empty. */
static void copy_entries(const lh_directory *directory, lh_frame_number table, lh_frame_number copy)
{
	uint64_t *from = lh_frame_pointer(directory->frames, table), *to = lh_frame_pointer(directory->frames, copy);
	lh_frame_row row = { 0, 0, NULL };
	lh_alike alike;

	lh_alike_begin(&alike, directory->format, true);
	for (uint64_t i = 0; i < lh_paging_entries(directory->format, 0); i++) {
		uint64_t entry = lh_atomic_load_relaxed(&from[i]);

		if (entry == 0)
			continue;
		if (!lh_alike_has(&alike, entry))
			learn(&alike, entry);
		if ((alike.leaf.flags & LH_LEAF_UNCOUNTED) == 0)
			lh_frame_hold_entry(directory->frames,
					    lh_frame_entry_in(directory->frames, lh_alike_frame(&alike, entry), &row));
		if (alike.change != 0)
			lh_atomic_store_relaxed(&from[i], entry ^ alike.change);
		lh_atomic_store_relaxed(&to[i], entry ^ alike.change);
	}
}

/* The slot names a table from now on, which is the directory's own. => held */
static void put_table(lh_walk *walk, lh_frame_number table)
{
	lh_directory *directory = walk->directory;

	walk->entry = lh_entry_make_table(directory->format, table, true);
	lh_atomic_store_total(lh_walk_slot(walk), walk->entry);
	lh_walk_count(walk, 1, 0);
	lh_atomic_add(&directory->shared, UINT64_MAX);
}

/* => the walk holds a SHARED leaf; the gather has room. => LH_AGAIN: its table is locked by another. */
static lh_error open_slot(lh_walk *walk, lh_spare_tables *spares, lh_gather *gather)
{
	lh_directory *directory = walk->directory;
	lh_frame_number table = lh_entry_shared_table(directory->format, walk->entry), copy;
	lh_frame_entry *entry = lh_table_entry(directory->frames, table);

	if (is_alone(directory, walk->entry)) {
		put_table(walk, table);
		return LH_OK;
	}
	if (spares->count == 0)
		return LH_NO_MEMORY;
	if (!lh_table_try_lock(directory->port, entry))
		return LH_AGAIN;
	copy = lh_chain_pop(directory->frames, &spares->first);
	spares->count--;
	copy_entries(directory, table, copy);
	lh_table_entry(directory->frames, copy)->word = lh_table_live(entry);
	lh_table_unlock(directory->port, entry);
	put_table(walk, copy);
	/* Nothing is cached; who walks is waited for. */
	lh_gather_note(gather, lh_walk_address(walk));
	lh_gather_add_shared(gather, table);
	return LH_OK;
}

/* Stands the walk at the next SHARED leaf. */
static bool find_shared(lh_walk *walk)
{
	while (lh_walk_next(walk)) {
		if (lh_walk_is_shared(walk))
			return true;
		if (walk->level != LH_SHARED_LEVEL || !lh_walk_is_table(walk))
			continue;
		lh_walk_skip(walk);
		if (walk->tables >= LH_TABLES_AT_A_TIME && walk->page < walk->range.pages)
			lh_walk_pause(walk);
	}
	return false;
}

static lh_error open_found(lh_walk *walk, lh_spare_tables *spares, lh_gather *gather)
{
	lh_error error = lh_walk_hold(walk) ? open_slot(walk, spares, gather) : LH_AGAIN;

	if (error == LH_AGAIN) {
		lh_walk_pause(walk);
		return LH_OK;
	}
	if (error == LH_OK)
		lh_walk_skip(walk);
	if (gather->frame_count == OPENED_AT_A_TIME) {
		lh_walk_end(walk);
		lh_gather_flush(gather);
		lh_walk_begin_again(walk);
	}
	return error;
}

lh_error lh_directory_open_shared(lh_directory *directory, lh_virtual_range range, lh_spare_tables *spares)
{
	lh_error error = LH_OK;
	lh_gather gather;
	lh_walk walk;

	if (lh_atomic_load(&directory->shared) == 0)
		return LH_OK;
	lh_gather_begin(&gather, directory);
	lh_walk_begin(&walk, directory, range);
	while (error == LH_OK && find_shared(&walk))
		error = open_found(&walk, spares, &gather);
	lh_walk_end(&walk);
	lh_gather_finish(&gather);
	return error;
}

uint64_t lh_directory_tables_to_open(lh_directory *directory, lh_virtual_range range)
{
	uint64_t tables = 0;
	lh_walk walk;

	if (lh_atomic_load(&directory->shared) == 0)
		return 0;
	lh_walk_begin(&walk, directory, range);
	while (find_shared(&walk))
		tables += !is_alone(directory, walk.entry);
	lh_walk_end(&walk);
	return tables;
}
