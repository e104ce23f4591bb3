/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A leaf table is copied in one pass over its entries, with the locks of both tables held. The copy's is taken
 * first, since a table that is missing must be linked for it; the other is then only tried, and if it is
 * not to be had both are let go. So nobody waits for one while holding another.
 *
 * To link none for nothing, a table is first looked through for a leaf that is to be copied.
 *
 * What a range covers whole may be shared instead (shared.h), a slot of level 1 at a time: to find that, no leaf table is
 * opened.
 *
 * A huge leaf is copied as one: both directories name it then, each of its frames has a holder more, and who writes
 * first splits his own. It is a part of one entry, of a table a level higher.
 *
 * Entries are copied as they are, less the bits that grant writing. Where the format keeps dirty by those
 * bits too, or where the entry is not present, they are decoded and made anew.
 */
#include "paging/copy.h"

#include "paging/slot.h"

/* The walk ends for a moment after so many tables: interrupts have waited long enough. */
#define TABLES_AT_A_TIME 32

struct copy {
	lh_directory *from, *to;
	const lh_paging_format *format;
	const lh_entry_test *write;
	bool has_plain_write; /* to take the right to write is to change the bits of its test */
	lh_gather *gather;
	lh_spare_tables *spares;
	lh_pinned_copies *pinned;
	lh_sharing *sharing;
	lh_frame_row row; /* of the frame looked at last */
};

/* --- passing locks --- */

/* A table is numbered by what it spans. => true: it is another than the last of its level. */
static bool note_table(const lh_walk *walk, lh_tables_passed *passed)
{
	uint64_t number = (lh_walk_address(walk).value >>
			   lh_level_shift(walk->directory->format, walk->level)) + 1;

	if (passed->last[walk->level - 1] == number)
		return false;
	passed->last[walk->level - 1] = number;
	passed->count++;
	return true;
}

static lh_frame_entry *named_table(const lh_walk *walk)
{
	return lh_table_entry(walk->directory->frames,
			      lh_entry_table(walk->directory->format, walk->entry));
}

/* Whoever is at a huge leaf holds the table that it is in. The leaf stays one: nobody splits it meanwhile. */
static void pass_huge(lh_walk *walk)
{
	if (lh_walk_hold(walk))
		lh_walk_let_go(walk);
	else
		lh_walk_pause(walk);
}

void lh_directory_pass_locks(lh_directory *directory, lh_virtual_range range, bool are_shared,
			     lh_tables_passed *passed)
{
	lh_walk walk;

	lh_walk_begin(&walk, directory, range);
	while (lh_walk_next(&walk)) {
		if (!lh_walk_is_table(&walk)) {
			pass_huge(&walk);
			continue;
		}
		if (walk.level != 1) {
			note_table(&walk, passed);
			continue;
		}
		if (!lh_table_try_lock(directory->port, named_table(&walk))) {
			lh_walk_pause(&walk);
			continue;
		}
		lh_table_unlock(directory->port, named_table(&walk));
		if (!are_shared || !lh_walk_covers(&walk))
			note_table(&walk, passed);
		lh_walk_skip(&walk);
		if (++walk.tables >= TABLES_AT_A_TIME && walk.page < walk.range.pages)
			lh_walk_pause(&walk);
	}
	lh_walk_end(&walk);
}

/* --- one leaf --- */

/* The entry of the private frame, the first one, that a leaf names; NULL: it names none. => its table is locked. */
LH_STRAIGHT lh_frame_entry *private_frame(struct copy *copy, unsigned level, uint64_t entry)
{
	lh_frame_entry *frame;

	if ((entry & copy->format->software[0]) != 0)
		return NULL;
	frame = lh_frame_entry_in(copy->from->frames, lh_entry_frame(copy->format, level, entry), &copy->row);
	return frame && lh_atomic_load_relaxed(&frame->state) == LH_FRAME_ANONYMOUS ? frame : NULL;
}

/* A holder more for each frame that a leaf names. => *first: in the row looked at last. */
LH_STRAIGHT void hold_frames(struct copy *copy, lh_frame_entry *first, unsigned level)
{
	lh_frames *frames = copy->from->frames;
	uint64_t number;

	lh_frame_hold_entry(frames, first);
	if (level == 0)
		return;
	number = copy->row.first + (uint64_t)(first - copy->row.entries);
	for (uint64_t i = 1; i < lh_level_pages(copy->format, level); i++)
		lh_frame_hold_entry(frames, lh_frame_entry_in(frames, lh_frame(number + i), &copy->row));
}

/* Decodes and makes anew. */
static uint64_t withdrawn(const struct copy *copy, unsigned level, uint64_t entry, bool is_copy)
{
	lh_leaf leaf = lh_entry_read_leaf(copy->format, level, entry, true);

	leaf.rights &= (lh_rights)~LH_RIGHT_WRITE;
	if (is_copy && leaf.kind == LH_LEAF_BUSY)
		leaf.kind = LH_LEAF_NO_ACCESS;
	return lh_entry_make_leaf(copy->format, leaf, true);
}

/* The same leaf of another frame. */
static uint64_t renamed(const struct copy *copy, uint64_t entry, lh_frame_number frame)
{
	lh_leaf leaf = lh_entry_read_leaf(copy->format, 0, entry, true);

	leaf.frame = frame;
	return lh_entry_make_leaf(copy->format, leaf, true);
}

static bool grants_writing(const struct copy *copy, uint64_t entry)
{
	return lh_entry_is_present(copy->format, entry) && lh_test_holds(*copy->write, entry);
}

/* Takes the right to write from a leaf of the original, which others set flags in. => what it is now. */
LH_STRAIGHT uint64_t withdraw(const struct copy *copy, unsigned level, uint64_t *slot, uint64_t entry)
{
	uint64_t without = copy->has_plain_write
				   ? (entry & ~copy->write->mask) | lh_test_bits(*copy->write, false)
				   : withdrawn(copy, level, entry, false);
	uint64_t now = entry, wanted = without;

	while (!lh_atomic_compare_exchange(slot, &now, wanted))
		wanted = lh_entry_carry_flags(copy->format, entry, now, without, true);
	return wanted;
}

/* --- a table --- */

/* The part of the walk's range that begins where it stands and that its leaf table has; or one huge leaf. */
struct part {
	unsigned level;
	uint64_t *entries; /* the first */
	uint64_t count;
};

static struct part part_at(const lh_walk *walk, unsigned level)
{
	uint64_t index = lh_level_index(walk->directory->format, level, lh_walk_address(walk));
	uint64_t left = lh_paging_entries(walk->directory->format, level) - index;
	uint64_t pages = walk->range.pages - walk->page;

	if (level != 0)
		left = 1;
	return (struct part){ level, &walk->path[level].entries[index], pages < left ? pages : left };
}

/* The right to write goes from the original. => what the copy's entry is to be. */
LH_STRAIGHT uint64_t take_write(const struct copy *copy, const struct part *from, uint64_t i, uint64_t entry,
			     unsigned level, lh_virtual_range *changed)
{
	if (grants_writing(copy, entry)) {
		changed->pages = (i + 1) * lh_level_pages(copy->format, level);
		return withdraw(copy, level, &from->entries[i], entry);
	}
	return lh_entry_is_present(copy->format, entry) ? entry : withdrawn(copy, level, entry, true);
}

/* => level: the part's; both tables are locked. => how many leaves were copied. */
LH_STRAIGHT uint64_t copy_leaves(struct copy *copy, lh_virtual_address base, struct part from, unsigned level,
			      uint64_t *to)
{
	const bool may_be_pinned = copy->pinned != NULL;
	lh_virtual_range changed = { base, 0 };
	uint64_t copied = 0;

	for (uint64_t i = 0; i < from.count; i++) {
		uint64_t entry = lh_atomic_load_relaxed(&from.entries[i]);
		lh_frame_entry *frame = entry != 0 ? private_frame(copy, level, entry) : NULL;

		if (!frame)
			continue;
		/* A device's frame stays the original's. None of a huge leaf is pinned: it is split first. */
		if (may_be_pinned && level == 0 && lh_atomic_load(&frame->pins) != 0) {
			lh_frame_number other = lh_pinned_copies_make(
				copy->from->frames, lh_entry_frame(copy->format, level, entry), copy->pinned);

			entry = take_write(copy, &from, i, entry, level, &changed);
			entry = renamed(copy, entry, other);
		} else {
			hold_frames(copy, frame, level);
			entry = take_write(copy, &from, i, entry, level, &changed);
		}
		lh_atomic_store_relaxed(&to[i], entry);
		copied++;
	}
	if (changed.pages != 0)
		lh_gather_note_range(copy->gather, changed);
	return copied;
}

/* Once for pages, of which there are many, with all that their level says constant. => as copy_leaves */
static uint64_t copy_part(struct copy *copy, lh_virtual_address base, struct part from, uint64_t *to)
{
	return from.level == 0 ? copy_leaves(copy, base, from, 0, to)
			       : copy_leaves(copy, base, from, from.level, to);
}

/* => the copy's slot is open and locked. => false: the original's table is locked by another. */
static bool copy_to_open(struct copy *copy, lh_virtual_range range, unsigned level, lh_slot *to)
{
	uint64_t copied = 0;
	bool is_held;
	lh_walk from;

	lh_walk_begin(&from, copy->from, range);
	lh_walk_descend(&from);
	is_held = from.level != level || lh_walk_hold(&from);
	if (is_held && from.level == level && !lh_walk_is_table(&from))
		copied = copy_part(copy, range.base, part_at(&from, level), lh_walk_slot(&to->walk));
	lh_walk_end(&from);
	if (copied != 0) {
		lh_table_add_live(to->walk.held, copied);
		lh_walk_count(&to->walk, 0, copied * lh_level_pages(copy->format, level));
		to->linked = false;
	}
	return is_held;
}

/* The range begins with a leaf of the level to copy; the rest of its table goes with it, if that is a leaf table. */
static void copy_table(struct copy *copy, lh_virtual_range range, unsigned level)
{
	lh_port *port = copy->from->port;
	bool done = false;

	while (!done) {
		lh_slot to;
		lh_error error = lh_slot_open(&to, copy->to, range.base, level, copy->spares);

		LH_REQUIRE(port, error == LH_OK);
		done = copy_to_open(copy, range, level, &to);
		lh_slot_close(&to);
		if (!done)
			lh_port_pause(port);
	}
}

/* --- a range --- */

/* Looks through the leaf table that the walk's slot names. => true: *page is the first to copy, in pages of the
 * walk's range. => false: there is none, or *page is unchanged and the lock was not to be had. */
static bool find_in_table(struct copy *copy, lh_walk *walk, bool *is_locked)
{
	lh_frame_entry *table = named_table(walk);
	struct part part;
	uint64_t i = 0;

	*is_locked = lh_table_try_lock(copy->from->port, table);
	if (!*is_locked)
		return false;
	walk->path[0].entries = lh_frame_pointer(copy->from->frames,
						 lh_entry_table(copy->format, walk->entry));
	part = part_at(walk, 0);
	while (i < part.count) {
		uint64_t entry = lh_atomic_load_relaxed(&part.entries[i]);

		if (entry != 0 && private_frame(copy, 0, entry))
			break;
		i++;
	}
	lh_table_unlock(copy->from->port, table);
	if (i == part.count)
		return false;
	walk->page += i;
	return true;
}

/* The same of the huge leaf that the walk's slot holds: its first page. */
static bool find_huge(struct copy *copy, lh_walk *walk, bool *is_locked)
{
	bool found;

	*is_locked = lh_walk_hold(walk);
	if (!*is_locked)
		return false;
	found = walk->entry != 0 && !lh_walk_is_table(walk) && private_frame(copy, walk->level, walk->entry);
	lh_walk_let_go(walk);
	return found;
}

/* Is what stands at the walk's slot shared, or to be? A SHARED leaf lies in one region, so the range has all of it. */
static bool is_to_be_shared(const struct copy *copy, const lh_walk *walk)
{
	if (lh_walk_is_shared(walk))
		return true;
	return copy->sharing->is_allowed && walk->level == LH_SHARED_LEVEL && lh_walk_is_table(walk) &&
	       lh_walk_covers(walk);
}

/* The first page of the range that is to be copied; its number of pages: there is none. *level: of its leaf; *shared: of
 * the table instead. */
static uint64_t find(struct copy *copy, lh_virtual_range range, unsigned *level, bool *shared)
{
	bool found = false;
	lh_walk walk;

	lh_walk_begin(&walk, copy->from, range);
	while (!found && lh_walk_next(&walk)) {
		bool is_table = lh_walk_is_table(&walk), is_locked;

		if (is_table && walk.level != 1)
			continue;
		*shared = is_to_be_shared(copy, &walk);
		if (*shared) {
			*level = LH_SHARED_LEVEL;
			break;
		}
		*level = is_table ? 0 : walk.level;
		found = is_table ? find_in_table(copy, &walk, &is_locked) : find_huge(copy, &walk, &is_locked);
		if (found)
			break;
		if (is_locked)
			lh_walk_skip(&walk);
		if (!is_locked || (++walk.tables >= TABLES_AT_A_TIME && walk.page < range.pages))
			lh_walk_pause(&walk);
	}
	lh_walk_end(&walk);
	return walk.page;
}

/* What of a range lies behind so many pages. */
static lh_virtual_range behind(lh_virtual_range range, uint64_t pages)
{
	return (lh_virtual_range){ lh_virtual(range.base.value + (pages << LH_PAGE_SHIFT)),
				   range.pages - pages };
}

/* Pages from the range's base to the end of its leaf table; or of the huge leaf there. */
static uint64_t pages_of_table(const struct copy *copy, lh_virtual_range range, unsigned level)
{
	uint64_t entries = lh_paging_entries(copy->format, 0);

	if (level != 0)
		return lh_level_pages(copy->format, level);
	return entries - lh_level_index(copy->format, 0, range.base);
}

void lh_directory_copy(lh_directory *from, lh_directory *to, lh_virtual_range range, lh_spare_tables *spares,
		       lh_pinned_copies *pinned, lh_sharing *sharing, lh_gather *gather)
{
	const lh_entry_rights *rights = &from->format->user.leaf_rights;
	struct copy copy = {
		.from = from,
		.to = to,
		.format = from->format,
		.write = &rights->write,
		.has_plain_write = from->format->dirty_kept == 0 &&
				   ((rights->read.mask | rights->execute.mask) & rights->write.mask) == 0,
		.gather = gather,
		.spares = spares,
		.pinned = pinned,
		.sharing = sharing,
	};

	LH_ASSERT(from->port, from->format == to->format && gather->directory == from);
	while (range.pages != 0) {
		unsigned level = 0;
		bool shared = false;
		uint64_t done = find(&copy, range, &level, &shared), pages;

		range = behind(range, done);
		if (range.pages == 0)
			break;
		if (shared)
			lh_directory_share(from, to, range.base, spares, sharing, gather);
		else
			copy_table(&copy, range, level);
		pages = pages_of_table(&copy, range, level);
		range = behind(range, pages < range.pages ? pages : range.pages);
	}
}
