/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A shadow of the page tables: what a CPU could last have read in each entry of each table that a
 * root in use leads to.
 *
 * A TLB that is filled by accesses knows only what a program happened to touch. A CPU walks what
 * it likes, when it likes. So the shadow keeps a copy of every table page that is reachable from
 * a root that is *followed* (some CPU may walk from it), and compares the pages with the copies.
 * Where an entry was overwritten, it says so, once for each path from a followed root to the
 * entry: whoever could walk that path may have the old entry cached from this moment on.
 *
 *     root ---> table ---> table ---> page          a table knows its parents: (table, index);
 *       \         ^                                  the kernel's tables have many
 *     root -------+
 *
 * When an entry that names a table goes, all that the table's copy leads to goes with it, on that
 * path: each entry below is reported too. A table that no path leads to any more is forgotten.
 *
 * Cost. The library reaches a table's bytes by lh_port_frame_pointer, so an upper table can differ only
 * if its pointer was handed out since: mmu_shadow_touch collects those, and mmu_shadow_compare lets
 * go of them when it is told that the pointers are no longer used. A pointer to a leaf table may be kept
 * from one operation to the next: all that are known are compared each time, 4 KiB each.
 * mmu_shadow_compare_all is for moments of rest. Reports cost in proportion to the entries
 * that changed, times the paths to them.
 *
 * What is seen of an entry that is overwritten twice between two comparisons is the first value
 * and the last.
 */
#ifndef HOSTED_MMU_SHADOW_H
#define HOSTED_MMU_SHADOW_H

#include "mmu.h"
#include "mmu_entry.h"

/* An entry that was overwritten, on one path to it. */
typedef struct mmu_change {
	uint64_t root;	     /* physical address of the root */
	uint64_t linear;     /* first byte that the entry covers */
	uint64_t where;	     /* physical address of the entry */
	unsigned level;
	uint64_t before, after; /* the entry; after == 0 where only the path to it is gone */
	uint64_t made;	     /* event at which `before` was first seen */
	mmu_entry old;	     /* before, with the rights of the whole path */
	mmu_entry new;
} mmu_change;

typedef struct mmu_shadow_user {
	void *context;
	/* The 512 entries of the table in a frame; NULL: no RAM, or no table (any more). */
	const uint64_t *(*table)(void *context, uint64_t physical);
	/* Whether a CPU may walk from the root. */
	bool (*is_followed)(void *context, uint64_t root);
	/* The old entry was present. */
	void (*overwritten)(void *context, const mmu_change *change);
	/* The new entry is present, and names what the old one did not, or in another way. */
	void (*made)(void *context, const mmu_change *change);
	/* A flag that hardware had set in an entry is lost, though it names the same place. */
	void (*lost)(void *context, const mmu_change *change);
	/* A table that a followed root leads to is none any more. */
	void (*gone)(void *context, const mmu_change *change);
} mmu_shadow_user;

typedef struct mmu_table mmu_table;

typedef struct mmu_shadow {
	const mmu_architecture *architecture;
	mmu_shadow_user user;
	unsigned levels;
	uint64_t *clock;     /* events */
	mmu_table **buckets;
	size_t bucket_count, table_count;
	mmu_table *touched;  /* through next_touched */
	mmu_table *forgotten; /* to be freed when nothing can stand on them any more */
} mmu_shadow;

void mmu_shadow_init(mmu_shadow *shadow, const mmu_architecture *architecture, unsigned levels,
		     uint64_t *clock, const mmu_shadow_user *user);
/* Forgets everything. */
void mmu_shadow_clear(mmu_shadow *shadow);

/* A CPU begins to walk from a root: all that it leads to is read. => upper: for the upper half of the
 * addresses, where each half has a root of its own. */
void mmu_shadow_add_root(mmu_shadow *shadow, uint64_t root, bool upper);
/* Nobody walks from it any more. */
void mmu_shadow_remove_root(mmu_shadow *shadow, uint64_t root);

/* Somebody who may write has a pointer to the frame's bytes. */
void mmu_shadow_touch(mmu_shadow *shadow, uint64_t physical);
/* Compares the tables that were touched, and all leaf tables. => keep: the pointers may be in use still. */
void mmu_shadow_compare(mmu_shadow *shadow, bool keep);
/* Compares all. */
void mmu_shadow_compare_all(mmu_shadow *shadow);

/* Hardware has written an entry: no change of the library's. */
void mmu_shadow_note(mmu_shadow *shadow, uint64_t physical, uint64_t entry);

/*
 * An entry that maps a page for which is_wanted says so (`before`, `old`; one path to it).
 * => touched: only tables that were touched are looked through. from: where to begin in each.
 * => false: none.
 */
typedef bool mmu_is_wanted(void *context, const mmu_entry *entry);
bool mmu_shadow_find(const mmu_shadow *shadow, bool touched, unsigned from,
		     mmu_is_wanted *is_wanted, void *context, mmu_change *page);

#endif
