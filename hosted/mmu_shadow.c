/* SPDX-License-Identifier: BSD-2-Clause */
/* The shadow of the page tables: mmu_shadow.h. */
#include "mmu_shadow.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS_FIRST 512
#define PATHS_MAX 64

struct parent {
	mmu_table *table;
	unsigned index;
};

struct mmu_table {
	mmu_table *next;	 /* in its bucket, or among the forgotten */
	mmu_table *next_touched;
	uint64_t physical;
	unsigned level;
	bool is_root, is_upper_root, is_touched, is_forgotten;
	struct parent *parents;
	size_t parent_count, parent_room;
	unsigned live;		 /* entries that are not 0 */
	uint64_t found;		 /* event at which the page was first read */
	uint64_t *made;		 /* event of each entry; NULL: none changed since */
	uint64_t entries[MMU_TABLE_ENTRIES];
};

static void *checked(void *memory)
{
	if (!memory) {
		fputs("mmu_shadow: the host is out of memory\n", stderr);
		abort();
	}
	return memory;
}

/* --- the set of tables --- */

static size_t bucket_of(const mmu_shadow *shadow, uint64_t physical)
{
	return (size_t)((physical >> 12) * 0x9e3779b97f4a7c15u >> 40) & (shadow->bucket_count - 1);
}

static mmu_table *find(const mmu_shadow *shadow, uint64_t physical)
{
	mmu_table *table = shadow->buckets[bucket_of(shadow, physical)];

	while (table && table->physical != physical)
		table = table->next;
	return table;
}

void mmu_shadow_init(mmu_shadow *shadow, const mmu_architecture *architecture, unsigned levels,
		     uint64_t *clock, const mmu_shadow_user *user)
{
	*shadow = (mmu_shadow){ .architecture = architecture, .user = *user, .levels = levels,
				.clock = clock, .bucket_count = BUCKETS_FIRST };
	shadow->buckets = checked(calloc(shadow->bucket_count, sizeof(mmu_table *)));
}

static void touch(mmu_shadow *shadow, mmu_table *table)
{
	if (table->is_touched)
		return;
	table->is_touched = true;
	table->next_touched = shadow->touched;
	shadow->touched = table;
}

void mmu_shadow_touch(mmu_shadow *shadow, uint64_t physical)
{
	mmu_table *table = shadow->buckets ? find(shadow, physical) : NULL;

	if (table)
		touch(shadow, table);
}

static mmu_table *make(mmu_shadow *shadow, uint64_t physical, unsigned level,
		       const uint64_t *entries)
{
	mmu_table *table = checked(calloc(1, sizeof *table));
	mmu_table **bucket = &shadow->buckets[bucket_of(shadow, physical)];

	table->physical = physical;
	table->level = level;
	table->found = *shadow->clock;
	memcpy(table->entries, entries, sizeof table->entries);
	for (unsigned i = 0; i < MMU_TABLE_ENTRIES; i++)
		table->live += table->entries[i] != 0;
	table->next = *bucket;
	*bucket = table;
	shadow->table_count++;
	/* Who linked it may still have a pointer to it. */
	touch(shadow, table);
	return table;
}

static void forget(mmu_shadow *shadow, mmu_table *table)
{
	mmu_table **place = &shadow->buckets[bucket_of(shadow, table->physical)];

	while (*place != table)
		place = &(*place)->next;
	*place = table->next;
	shadow->table_count--;
	table->is_forgotten = true;
	table->next = shadow->forgotten;
	shadow->forgotten = table;
}

/* Frees what was forgotten; => keep: tables stay touched. */
static void sweep(mmu_shadow *shadow, bool keep)
{
	mmu_table **place = &shadow->touched;

	while (*place) {
		mmu_table *table = *place;

		if (keep && !table->is_forgotten) {
			place = &table->next_touched;
			continue;
		}
		table->is_touched = false;
		*place = table->next_touched;
	}
	while (shadow->forgotten) {
		mmu_table *table = shadow->forgotten;

		shadow->forgotten = table->next;
		free(table->parents);
		free(table->made);
		free(table);
	}
}

void mmu_shadow_clear(mmu_shadow *shadow)
{
	if (!shadow->buckets)
		return;
	for (size_t i = 0; i < shadow->bucket_count; i++)
		while (shadow->buckets[i])
			forget(shadow, shadow->buckets[i]);
	sweep(shadow, false);
	free(shadow->buckets);
	shadow->buckets = NULL;
}

/* --- links --- */

static mmu_entry decode(const mmu_shadow *shadow, const mmu_table *table, uint64_t entry)
{
	return shadow->architecture->read(table->level, entry);
}

static void add_parent(mmu_table *table, mmu_table *parent, unsigned index)
{
	if (table->parent_count == table->parent_room) {
		table->parent_room = table->parent_room * 2 + 2;
		table->parents = checked(realloc(table->parents,
						 table->parent_room * sizeof *table->parents));
	}
	table->parents[table->parent_count++] = (struct parent){ parent, index };
}

static void link_below(mmu_shadow *shadow, mmu_table *table);

/* What an entry of the table names becomes known; a table of another level is no child. */
static void link_entry(mmu_shadow *shadow, mmu_table *table, unsigned index)
{
	mmu_entry entry = decode(shadow, table, table->entries[index]);
	mmu_table *child;

	if (entry.kind != MMU_ENTRY_TABLE || table->level == 0)
		return;
	child = find(shadow, entry.physical);
	if (!child) {
		const uint64_t *bytes = shadow->user.table(shadow->user.context, entry.physical);

		if (!bytes)
			return;
		child = make(shadow, entry.physical, table->level - 1, bytes);
		add_parent(child, table, index);
		link_below(shadow, child);
	} else if (child->level == table->level - 1) {
		add_parent(child, table, index);
	}
}

static void link_below(mmu_shadow *shadow, mmu_table *table)
{
	for (unsigned i = 0; i < MMU_TABLE_ENTRIES && table->level > 0 && table->live > 0; i++)
		if (table->entries[i] != 0)
			link_entry(shadow, table, i);
}

static void unlink_entry(mmu_shadow *shadow, mmu_table *table, unsigned index);

static void forget_if_unreachable(mmu_shadow *shadow, mmu_table *table)
{
	if (table->parent_count > 0 || table->is_root || table->is_forgotten)
		return;
	forget(shadow, table);
	for (unsigned i = 0; i < MMU_TABLE_ENTRIES && table->level > 0; i++)
		if (table->entries[i] != 0)
			unlink_entry(shadow, table, i);
}

static void unlink_entry(mmu_shadow *shadow, mmu_table *table, unsigned index)
{
	mmu_entry entry = decode(shadow, table, table->entries[index]);
	mmu_table *child = entry.kind == MMU_ENTRY_TABLE ? find(shadow, entry.physical) : NULL;

	for (size_t i = 0; child && i < child->parent_count; i++) {
		if (child->parents[i].table != table || child->parents[i].index != index)
			continue;
		child->parents[i] = child->parents[--child->parent_count];
		forget_if_unreachable(shadow, child);
		return;
	}
}

void mmu_shadow_add_root(mmu_shadow *shadow, uint64_t root, bool upper)
{
	mmu_table *table = find(shadow, root);
	const uint64_t *bytes;

	if (!table) {
		bytes = shadow->user.table(shadow->user.context, root);
		if (!bytes)
			return;
		table = make(shadow, root, shadow->levels - 1, bytes);
		link_below(shadow, table);
	}
	table->is_root = true;
	table->is_upper_root = upper;
}

void mmu_shadow_remove_root(mmu_shadow *shadow, uint64_t root)
{
	mmu_table *table = find(shadow, root);

	if (!table || !table->is_root)
		return;
	table->is_root = false;
	forget_if_unreachable(shadow, table);
	sweep(shadow, true);
}

/* --- paths --- */

/* How a root leads to a slot. */
struct path {
	uint64_t root, linear;
	mmu_entry rights; /* that it leaves */
};

struct paths {
	struct path list[PATHS_MAX];
	size_t count;
};

static unsigned shift_of(unsigned level)
{
	return MMU_PAGE_SHIFT + level * MMU_INDEX_BITS;
}

/* The sign extension of the highest translated bit; or what all addresses of the half begin with. */
static uint64_t canonical(const mmu_shadow *shadow, const mmu_table *root, uint64_t linear)
{
	unsigned bits = shift_of(shadow->levels), spare = 64 - bits;

	if (shadow->architecture->root_each)
		return linear | (root->is_upper_root ? UINT64_MAX << bits : 0);
	return (uint64_t)((int64_t)(linear << spare) >> spare);
}

/* Takes from an entry what another one does not leave. */
static void restrict_by(mmu_entry *entry, const mmu_entry *by)
{
	entry->readable = entry->readable && by->readable;
	entry->writable = entry->writable && by->writable;
	entry->user = entry->user && by->user;
	entry->executable = entry->executable && by->executable;
	entry->executable_above = entry->executable_above && by->executable_above;
}

/* From a table up to each followed root; at most levels deep. */
static void climb(const mmu_shadow *shadow, const mmu_table *table, struct path path,
		  struct paths *paths)
{
	if (table->is_root && shadow->user.is_followed(shadow->user.context, table->physical) &&
	    paths->count < PATHS_MAX) {
		path.root = table->physical;
		path.linear = canonical(shadow, table, path.linear);
		paths->list[paths->count++] = path;
	}
	for (size_t i = 0; i < table->parent_count; i++) {
		const mmu_table *parent = table->parents[i].table;
		mmu_entry entry = decode(shadow, parent, parent->entries[table->parents[i].index]);
		struct path above = path;

		above.linear |= (uint64_t)table->parents[i].index << shift_of(parent->level);
		restrict_by(&above.rights, &entry);
		climb(shadow, parent, above, paths);
	}
}

static void paths_to(const mmu_shadow *shadow, const mmu_table *table, unsigned index,
		     struct paths *paths)
{
	struct path path = { .linear = (uint64_t)index << shift_of(table->level),
			     .rights = { .readable = true, .writable = true, .user = true,
					 .executable = true, .executable_above = true } };

	paths->count = 0;
	climb(shadow, table, path, paths);
}

static mmu_entry on_path(mmu_entry entry, const struct path *path)
{
	restrict_by(&entry, &path->rights);
	return entry;
}

static uint64_t made_at(const mmu_table *table, unsigned index)
{
	return table->made && table->made[index] ? table->made[index] : table->found;
}

static mmu_change change_of(const mmu_shadow *shadow, const mmu_table *table, unsigned index,
			    uint64_t after, const struct path *path)
{
	uint64_t before = table->entries[index];

	return (mmu_change){
		.root = path->root,
		.linear = path->linear,
		.where = table->physical + index * 8,
		.level = table->level,
		.before = before,
		.after = after,
		.made = made_at(table, index),
		.old = on_path(decode(shadow, table, before), path),
		.new = on_path(decode(shadow, table, after), path),
	};
}

/* --- changes --- */

static bool same_place(const mmu_entry *a, const mmu_entry *b)
{
	return a->kind == b->kind && a->physical == b->physical;
}

/* Does the old entry allow what the new one does not, or say it otherwise? */
static bool takes_away(const mmu_entry *old, const mmu_entry *new)
{
	return old->kind != MMU_ENTRY_NONE &&
	       (!same_place(old, new) || old->attributes != new->attributes ||
		old->global != new->global || old->readable > new->readable || old->writable > new->writable ||
		old->user > new->user || old->executable > new->executable ||
		old->executable_above > new->executable_above);
}

/* The path goes on through an entry of its own. */
static struct path through(const struct path *path, const mmu_entry *entry)
{
	struct path on = *path;

	restrict_by(&on.rights, entry);
	return on;
}

/*
 * The path to a table is gone (new == NULL), or grants less: with it all that the copies say is
 * below. At most levels deep.
 */
static void report_below(const mmu_shadow *shadow, const mmu_table *table, const struct path *old,
			 const struct path *new)
{
	for (unsigned i = 0; i < MMU_TABLE_ENTRIES && table->live > 0; i++) {
		mmu_entry entry = decode(shadow, table, table->entries[i]);
		struct path here = *old, now;
		const mmu_table *child;
		mmu_change change;

		if (entry.kind == MMU_ENTRY_NONE)
			continue;
		here.linear |= (uint64_t)i << shift_of(table->level);
		change = change_of(shadow, table, i, new ? table->entries[i] : 0, &here);
		if (new)
			change.new = on_path(entry, new);
		if (!takes_away(&change.old, &change.new))
			continue;
		shadow->user.overwritten(shadow->user.context, &change);
		child = entry.kind == MMU_ENTRY_TABLE ? find(shadow, entry.physical) : NULL;
		if (!child || child->level + 1 != table->level)
			continue;
		here = through(&here, &entry);
		now = new ? through(new, &entry) : here;
		report_below(shadow, child, &here, new ? &now : NULL);
	}
}

static void report_change(const mmu_shadow *shadow, const mmu_table *table, unsigned index,
			  uint64_t after)
{
	const mmu_shadow_user *user = &shadow->user;
	mmu_entry old = decode(shadow, table, table->entries[index]);
	mmu_entry new = decode(shadow, table, after);
	const mmu_table *child = old.kind == MMU_ENTRY_TABLE ? find(shadow, old.physical) : NULL;
	struct paths paths;

	paths_to(shadow, table, index, &paths);
	for (size_t i = 0; i < paths.count; i++) {
		mmu_change change = change_of(shadow, table, index, after, &paths.list[i]);
		struct path below = through(&paths.list[i], &old);
		struct path now = through(&paths.list[i], &new);

		if (mmu_has_lost_flags(shadow->architecture, &old, &new))
			user->lost(user->context, &change);
		if (takes_away(&old, &new))
			user->overwritten(user->context, &change);
		if (child && child->level + 1 == table->level && takes_away(&old, &new))
			report_below(shadow, child, &below, same_place(&old, &new) ? &now : NULL);
		if (new.kind != MMU_ENTRY_NONE &&
		    (!same_place(&old, &new) || old.attributes != new.attributes ||
		     old.global != new.global))
			user->made(user->context, &change);
	}
}

static void change_entry(mmu_shadow *shadow, mmu_table *table, unsigned index, uint64_t after)
{
	uint64_t before = table->entries[index];

	++*shadow->clock;
	report_change(shadow, table, index, after);
	unlink_entry(shadow, table, index);
	if (!table->made)
		table->made = checked(calloc(MMU_TABLE_ENTRIES, sizeof *table->made));
	table->made[index] = *shadow->clock;
	if ((after != 0) != (before != 0))
		table->live += after != 0 ? 1u : UINT_MAX;
	table->entries[index] = after;
	link_entry(shadow, table, index);
}

/* The frame is no table any more, though paths lead to it. */
static void lose_table(mmu_shadow *shadow, mmu_table *table)
{
	struct paths paths;

	paths_to(shadow, table, 0, &paths);
	for (size_t i = 0; i < paths.count; i++) {
		mmu_change change = change_of(shadow, table, 0, 0, &paths.list[i]);

		change.where = table->physical;
		shadow->user.gone(shadow->user.context, &change);
	}
	table->is_root = false;
	table->parent_count = 0;
	forget_if_unreachable(shadow, table);
}

static void compare_table(mmu_shadow *shadow, mmu_table *table)
{
	const uint64_t *now;

	if (table->is_forgotten)
		return;
	now = shadow->user.table(shadow->user.context, table->physical);
	if (!now) {
		lose_table(shadow, table);
		return;
	}
	if (memcmp(now, table->entries, sizeof table->entries) == 0)
		return;
	for (unsigned i = 0; i < MMU_TABLE_ENTRIES && !table->is_forgotten; i++)
		if (now[i] != table->entries[i])
			change_entry(shadow, table, i, now[i]);
}

/* Whose pointer was kept since it was handed out, and that differs: it counts as touched. */
static void touch_changed_leaves(mmu_shadow *shadow)
{
	for (size_t i = 0; i < shadow->bucket_count; i++)
		for (mmu_table *table = shadow->buckets[i]; table; table = table->next) {
			const uint64_t *now;

			if (table->level != 0 || table->is_touched)
				continue;
			now = shadow->user.table(shadow->user.context, table->physical);
			if (!now || memcmp(now, table->entries, sizeof table->entries) != 0)
				touch(shadow, table);
		}
}

void mmu_shadow_compare(mmu_shadow *shadow, bool keep)
{
	touch_changed_leaves(shadow);
	/* What is found meanwhile is put before the place where we stand, and was just read. */
	for (mmu_table *table = shadow->touched; table; table = table->next_touched)
		compare_table(shadow, table);
	sweep(shadow, keep);
}

void mmu_shadow_compare_all(mmu_shadow *shadow)
{
	for (size_t i = 0; i < shadow->bucket_count; i++)
		for (mmu_table *table = shadow->buckets[i]; table; table = table->next)
			touch(shadow, table);
	mmu_shadow_compare(shadow, false);
}

void mmu_shadow_note(mmu_shadow *shadow, uint64_t physical, uint64_t entry)
{
	mmu_table *table = shadow->buckets ? find(shadow, physical & ~UINT64_C(0xfff)) : NULL;

	if (table)
		table->entries[(physical & 0xfff) / 8] = entry;
}

static bool find_in(const mmu_shadow *shadow, const mmu_table *table, unsigned from,
		    mmu_is_wanted *is_wanted, void *context, mmu_change *page)
{
	struct paths paths;

	for (unsigned n = 0; n < MMU_TABLE_ENTRIES && table->live > 0; n++) {
		unsigned i = (from + n) % MMU_TABLE_ENTRIES;
		mmu_entry entry;

		if (table->entries[i] == 0)
			continue;
		entry = decode(shadow, table, table->entries[i]);
		if (entry.kind != MMU_ENTRY_PAGE || !is_wanted(context, &entry))
			continue;
		paths_to(shadow, table, i, &paths);
		if (paths.count == 0)
			return false;
		*page = change_of(shadow, table, i, table->entries[i], &paths.list[0]);
		return true;
	}
	return false;
}

bool mmu_shadow_find(const mmu_shadow *shadow, bool touched, unsigned from,
		     mmu_is_wanted *is_wanted, void *context, mmu_change *page)
{
	const mmu_table *table;

	for (table = touched ? shadow->touched : NULL; table; table = table->next_touched)
		if (find_in(shadow, table, from, is_wanted, context, page))
			return true;
	for (size_t i = 0; !touched && i < shadow->bucket_count; i++)
		for (table = shadow->buckets[i]; table; table = table->next)
			if (find_in(shadow, table, from, is_wanted, context, page))
				return true;
	return false;
}
