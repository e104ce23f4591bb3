/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one descent that all operations are made of, and what the files of this floor share.
 *
 * A walk is a cursor over a range. It stands at a slot of a table; `path` has the tables
 * from the root down to that one. lh_walk_next goes to the next slot, in order of address
 * and upper entries before what is below them, that is not empty: an absent table costs
 * one load, whatever it would span.
 *
 *     range     |-----------------------------------------|
 *                     page (pages that lie behind)
 *     level 3   [....x....]
 *     level 2       [..x...........]            x: path
 *     level 1          [....x......]
 *     level 0             [.....x..]
 *
 * Why a table that a walk has reached is still one. From begin to end interrupts are off, and the
 * CPU is in the directory's set `active` (it runs it) or `walkers` (begin puts it there, end takes it
 * out). Who takes a table out of the tree clears the entry that names it, then reads the sets, calls
 * those CPUs, and only then frees it (gather.c). Entries are cleared, sets changed and both of them
 * read by sequentially consistent operations: so if the reader of the sets did not find this CPU, this
 * walk, which loads the entry after it entered the set, finds the entry cleared; and if it found
 * it, the call comes back only after the walk.
 *
 * Locks. A slot is written under the lock of its table: lh_walk_hold tries to take that of the table
 * the walk stands in, and the walk lets it go when it leaves the table. A lock is only ever tried: on
 * failure the user ends the walk, lets interrupts and others through, and starts again from the
 * root at the same place (lh_walk_pause). So nobody spins with interrupts off, and tables'
 * locks may be tried in any order. A table that was taken out of the tree is left locked: nobody
 * who reached it before can write to it any more, and a table whose lock was had is in the tree
 * until the lock is let go.
 *
 * Visits. To read entries no lock is needed: each is one load. But who must not miss an entry that is
 * written meanwhile, having published why it must not be (slot.h), takes the lock of each leaf table
 * before he looks at its entries, empty or not: then whoever wrote before is seen, and whoever comes
 * after sees what was published. For upper entries it is enough that both sides store and then load.
 *
 * Between two steps its user may empty the slot (lh_walk_clear) or put a table into it
 * (lh_walk_link).
 */
#ifndef LANDHOLD_PAGING_WALK_H
#define LANDHOLD_PAGING_WALK_H

#include "base/assert.h"
#include "base/atomic.h"
#include "base/cpus.h"
#include "base/lock_order.h"
#include "paging/entry.h"

/* What is done for each of many pages, with what its callers know constant; and what is to stay out of its way. */
#define LH_STRAIGHT static inline __attribute__((always_inline))
#define LH_FAR static __attribute__((noinline))

/* A long walk ends for a moment after so many tables: interrupts have waited long enough. */
#define LH_TABLES_AT_A_TIME 32

typedef struct lh_walk_table {
	lh_frame_number frame;
	uint64_t *entries;
} lh_walk_table;

typedef struct lh_walk {
	lh_directory *directory;
	lh_virtual_range range;
	uint64_t page;	    /* pages of the range before the cursor; == range.pages: done */
	unsigned level;	    /* of the slot */
	bool at_slot;	    /* the slot under the cursor was given out by next */
	bool visits;	    /* next holds each leaf table that it enters: set after begin */
	bool is_foreign;    /* this walk put its CPU into the set of walkers */
	bool reads;	    /* it has entered a table that is shared: nothing of it is remembered */
	unsigned top;	    /* where it began: `path` has nothing above */
	lh_frame_entry *near; /* of the table there, if that is not the root (near.h); else NULL */
	unsigned cpu;
	uint32_t tables;    /* entered or taken out since begin or the last pause */
	uint64_t entry;	    /* what the slot held when it was looked at */
	uintptr_t interrupts;
	lh_frame_entry *held; /* of the table that the slot is in, if its lock is held; else NULL */
	lh_walk_table path[LH_PAGING_LEVELS_MAX]; /* valid from level up */
} lh_walk;

/* At the root; nothing held. Interrupts go off until the end. */
void lh_walk_begin(lh_walk *walk, lh_directory *directory, lh_virtual_range range);
/* Lets go of what is held. */
static inline void lh_walk_end(lh_walk *walk);
/* Ends the walk for a moment; then it stands at the root, the cursor where it was. */
void lh_walk_pause(lh_walk *walk);
/* The second half of it, after an end. */
void lh_walk_begin_again(lh_walk *walk);

/* To the next slot that is not empty: into the table if this slot names one. False: none. A walk
 * that visits may pause in it, and then comes to upper slots again. */
bool lh_walk_next(lh_walk *walk);
/* Past everything that this slot spans. */
void lh_walk_skip(lh_walk *walk);
/* After the cursor was moved forward: out of the tables that it left by their ends. */
void lh_walk_climb(lh_walk *walk);
/* To the lowest slot that exists for the cursor's address, empty or not. */
void lh_walk_descend(lh_walk *walk);
/* Into the table that the slot names. */
void lh_walk_enter(lh_walk *walk);
/* Into that which its SHARED leaf names, to read. */
void lh_walk_enter_shared(lh_walk *walk);

static inline lh_virtual_address lh_walk_address(const lh_walk *walk)
{
	return lh_virtual_range_page(walk->range, walk->page);
}

static inline uint64_t *lh_walk_slot(const lh_walk *walk)
{
	return &walk->path[walk->level].entries[lh_level_index(
		walk->directory->format, walk->level, lh_walk_address(walk))];
}

static inline bool lh_walk_is_table(const lh_walk *walk)
{
	return lh_entry_is_table(walk->directory->format, walk->level, walk->entry);
}

/* Does the slot have a SHARED leaf? */
static inline bool lh_walk_is_shared(const lh_walk *walk)
{
	return walk->level == 1 && lh_entry_is_shared(walk->directory->format, walk->entry);
}

/* What the slot held, as it would be in no run. => in the walk */
lh_leaf lh_walk_leaf(const lh_walk *walk);

/* The part of what the slot spans that the range has. */
lh_virtual_range lh_walk_span(const lh_walk *walk);
/* True if that is all of it. */
bool lh_walk_covers(const lh_walk *walk);

/* In the frame array, of the table that the slot is in. */
lh_frame_entry *lh_walk_table_entry(const lh_walk *walk);

/* lh_walk_hold, where the lock is not held yet. */
bool lh_walk_try_hold(lh_walk *walk);

/*
 * Takes the lock of the table that the slot is in, if it is not held already, and looks at the slot
 * again. => false: it is held by another, or the table is no longer in the tree: lh_walk_pause.
 */
static inline bool lh_walk_hold(lh_walk *walk)
{
	return walk->held || lh_walk_try_hold(walk);
}

/* Puts a spare table into the empty slot. => held; spares is not empty. */
void lh_walk_link(lh_walk *walk, lh_spare_tables *spares);

/*
 * One table further down towards the slot of a level for the cursor's address: from the lowest slot
 * that exists, linking a table where one is missing. => THERE, NO_MEMORY: held.
 */
typedef enum lh_step {
	LH_STEP_THERE,	   /* the walk stands at it, empty or a leaf */
	LH_STEP_ON,	   /* another table is there by now */
	LH_STEP_LINKED,	   /* one of the spares is */
	LH_STEP_LOCKED,	   /* a lock is not to be had: lh_walk_pause */
	LH_STEP_EXISTS,	   /* a leaf stands above it, or tables below */
	LH_STEP_NO_MEMORY, /* the spares do not suffice */
} lh_step;
lh_step lh_walk_step_towards(lh_walk *walk, unsigned level, lh_spare_tables *spares);

/*
 * Empties the slot: a leaf's frame, or the table it names, passes to the gather, and so does each
 * table that thereby becomes empty. A leaf table that the range covers goes whatever is in it; any
 * other table only if it is empty. Nothing where the slot turns out to be empty by now. The cursor
 * then stands on the slot that remains.
 * => the gather has room; a huge leaf is covered.
 * => false: a lock that is needed is not to be had, nothing done: lh_walk_pause.
 */
LH_MUST_USE bool lh_walk_clear(lh_walk *walk, lh_gather *gather);

/* Tables of the level that the range crosses. */
uint64_t lh_tables_crossed(const lh_paging_format *format, unsigned level, lh_virtual_range range);
/* Tables that exist for the range, from the level up, below the root. */
uint64_t lh_tables_there(lh_directory *directory, lh_virtual_range range, unsigned level);

/* The parts of it: true if the table at a level of the path may go when it is empty; a kernel's top
 * tables stay. And: the table that the slot named, which is locked and stays so, is the tree's no more; detached, it
 * passes to the gather. => its entry was replaced. */
bool lh_walk_may_go(const lh_walk *walk, unsigned level);
void lh_walk_unhook(lh_walk *walk, lh_frame_entry *table);
void lh_walk_detach(lh_walk *walk, lh_frame_entry *table, lh_gather *gather);

/* A kernel's top tables are made once and stay, if other directories' roots name them too. */
static inline bool lh_directory_keeps_top(const lh_directory *directory)
{
	return directory->is_kernel && !directory->format->root_each;
}

static inline bool lh_directory_owns(const lh_directory *directory, lh_virtual_address address)
{
	return lh_virtual_range_contains(lh_directory_own_range(directory), address);
}

/*
 * For who fills a directory from a counted number of spare tables, while others take leaves away:
 * between the two no table is taken out, so that none is needed twice. The second takes out those
 * that are empty then, and flushes.
 */
enum { LH_KEEPS_NOTHING, LH_KEEPS_TABLES, LH_KEEPS_EMPTY_ONES };
void lh_directory_keep_tables(lh_directory *directory);
void lh_directory_let_tables_go(lh_directory *directory);

/* Takes out the tables of the range that are empty: what a writer leaves who linked them and
 * then could not write. Flushes. Context: as lh_gather_flush. */
void lh_directory_prune(lh_directory *directory, lh_virtual_range range);

/* In the kernel's half nobody resolves a fault that finds nothing to do. */
static inline void lh_directory_announce_kernels(lh_directory *directory, lh_virtual_range range)
{
	if (directory->is_kernel)
		lh_directory_announce(directory, range);
}

/* --- table pages (spares.c) --- */

/* The frame entry of a table. */
static inline lh_frame_entry *lh_table_entry(lh_frames *frames, lh_frame_number table)
{
	return lh_frame_entry_of(frames, table);
}

static inline unsigned lh_table_level(uint64_t word)
{
	return (unsigned)((word >> LH_TABLE_LEVEL_SHIFT) & LH_TABLE_LEVEL);
}

/* Live entries of a table; exact while its lock is held. */
static inline uint64_t lh_table_live(const lh_frame_entry *table)
{
	return lh_atomic_load_relaxed(&table->word) & LH_TABLE_LIVE;
}

/* Live entries more; less by adding what is below zero. => its lock is held. */
static inline void lh_table_add_live(lh_frame_entry *table, uint64_t count)
{
	lh_atomic_store_relaxed(&table->word, lh_atomic_load_relaxed(&table->word) + count);
}

/* One live entry more, or less. => its lock is held. */
static inline void lh_table_count(lh_frame_entry *table, bool up)
{
	lh_table_add_live(table, up ? 1 : UINT64_MAX);
}

/* A table's lock. => in a walk. (Where it is locked already, the bit that is set was set; so the holder may
 * write the word by plain stores.) */
LH_MUST_USE static inline bool lh_table_try_lock(lh_port *port, lh_frame_entry *table)
{
	lh_order_may_try(port, table, LH_LOCK_TABLE);
	if ((lh_atomic_or(&table->word, LH_TABLE_LOCKED) & LH_TABLE_LOCKED) != 0)
		return false;
	lh_order_took(port, table, LH_LOCK_TABLE);
	return true;
}

/* Lets it go, with so many live entries more; less by adding what is below zero. */
static inline void lh_table_unlock_with(lh_port *port, lh_frame_entry *table, uint64_t live)
{
	uint64_t word = lh_atomic_load_relaxed(&table->word);

	LH_ASSERT(port, (word & LH_TABLE_LOCKED) != 0);
	lh_order_let_go(port, table, LH_LOCK_TABLE);
	lh_atomic_store(&table->word, word + live - LH_TABLE_LOCKED);
}

static inline void lh_table_unlock(lh_port *port, lh_frame_entry *table)
{
	lh_table_unlock_with(port, table, 0);
}

/* A table that was taken out, and so is locked, is named again: everybody who walked to it before has been waited for. */
static inline void lh_table_come_back(lh_port *port, lh_frame_entry *table)
{
	lh_order_may_try(port, table, LH_LOCK_TABLE);
	lh_order_took(port, table, LH_LOCK_TABLE);
	lh_table_unlock(port, table);
}

/* One directory less has a shared table. => true: it was the last, and the table is the caller's alone: where one is
 * left, nobody can join. */
LH_MUST_USE static inline bool lh_table_leave(lh_frame_entry *table)
{
	uint32_t holders = lh_atomic_load(&table->holders);

	while (holders != 1)
		if (lh_atomic_compare_exchange(&table->holders, &holders, holders - 1))
			return false;
	return true;
}

/* A chain of tables through their frames' words: 0, or the first one's frame number + 1. */
void lh_chain_push(lh_frames *frames, uint64_t *chain, lh_frame_number table);
/* => the chain is not empty. The rest of the word stays. */
lh_frame_number lh_chain_pop(lh_frames *frames, uint64_t *chain);

/* A zeroed table page, live entries 0. */
LH_MUST_USE lh_error lh_table_allocate(lh_frames *frames, unsigned level, lh_frame_number *table);
/* The same, below a frame number. */
LH_MUST_USE lh_error lh_table_allocate_below(lh_frames *frames, unsigned level, uint64_t limit,
					     lh_frame_number *table);

/* What dropping tables gave back. */
typedef struct lh_dropped {
	uint64_t tables;
	uint64_t leaf_pages;
} lh_dropped;

/*
 * Opens each table of the chain, drops the holders of its counted leaves, does the same for
 * the tables it names, and drops the table. Shared tables that they name are left; they are opened too if nobody
 * else has them, which are then not among the tables that are told of. => no CPU can reach them.
 */
lh_dropped lh_chain_drop(lh_frames *frames, const lh_paging_format *format, uint64_t chain);

/* --- gathers (gather.c) --- */

/* Where a gather keeps the level of a frame. */
#define LH_GATHER_LEVEL_SHIFT 56
/* There: a shared table, which has one directory less. */
#define LH_GATHER_SHARED UINT64_C(0xff)

static inline bool lh_gather_is_full(const lh_gather *gather)
{
	return gather->frame_count == LH_GATHER_FRAMES;
}

void lh_gather_note_range(lh_gather *gather, lh_virtual_range range);
/* Takes over the holders of a leaf that is counted. => not full. */
static inline void lh_gather_add_frames(lh_gather *gather, lh_frame_number first, unsigned level)
{
	LH_ASSERT(gather->directory->port, !lh_gather_is_full(gather));
	gather->frames[gather->frame_count++] = first.value | (uint64_t)level << LH_GATHER_LEVEL_SHIFT;
}
/* Those of a leaf's entry, if it is counted. */
static inline void lh_gather_add_entry(lh_gather *gather, unsigned level, uint64_t entry)
{
	const lh_paging_format *format = gather->directory->format;

	if (lh_entry_is_counted(format, entry))
		lh_gather_add_frames(gather, lh_entry_frame(format, level, entry), level);
}
/* The part of the directory in a shared table, whose SHARED leaf has gone: dropped when who walks has been waited for.
 * => not full; something is noted to be flushed. */
static inline void lh_gather_add_shared(lh_gather *gather, lh_frame_number table)
{
	LH_ASSERT(gather->directory->port, !lh_gather_is_full(gather));
	gather->frames[gather->frame_count++] = table.value | LH_GATHER_SHARED << LH_GATHER_LEVEL_SHIFT;
	gather->calls_walkers = true;
}
/* => its lock is held, and stays so until it is freed. */
void lh_gather_add_table(lh_gather *gather, lh_frame_number table);
/* Flushes all that was noted, as lh_gather_flush; what it gathered stays until that is called, which then only
 * drops it. Context: the same. */
void lh_gather_flush_noted(lh_gather *gather);
/* Drops the holders of a leaf's frames. */
void lh_leaf_drop(lh_frames *frames, const lh_paging_format *format, lh_frame_number first,
		  unsigned level);

/* --- begin and end, in line: half of what a walk to one page takes --- */

static inline lh_directory_part *lh_walk_part(const lh_walk *walk)
{
	return &walk->directory->parts[walk->cpu % LH_DIRECTORY_PARTS];
}

/* Adds to what the directory counts; subtracts by adding what is below zero. In a walk. */
static inline void lh_walk_count(const lh_walk *walk, uint64_t tables, uint64_t leaves)
{
	lh_directory_part *part = lh_walk_part(walk);

	if (tables != 0)
		lh_atomic_add_relaxed(&part->tables, tables);
	if (leaves != 0)
		lh_atomic_add_relaxed(&part->leaves, leaves);
}

static inline void lh_walk_let_go(lh_walk *walk)
{
	if (walk->held)
		lh_table_unlock(walk->directory->port, walk->held);
	walk->held = NULL;
}

/* Does this CPU run the directory? Then it is called in any case before a table is freed. Interrupts are off. */
static inline bool lh_directory_runs_on(const lh_directory *directory, unsigned cpu)
{
	return (lh_atomic_load_relaxed(&directory->active.bits[lh_cpu_word(cpu)]) & lh_cpu_bit(cpu)) != 0;
}

/* Does no other CPU run it, so that none can have cached anything of it? Read after the generation was raised. */
static inline bool lh_directory_runs_only_on(const lh_directory *directory, unsigned cpu)
{
	for (unsigned i = 0; i < sizeof directory->active.bits / sizeof directory->active.bits[0]; i++)
		if (lh_atomic_load_total(&directory->active.bits[i]) !=
		    (i == lh_cpu_word(cpu) ? lh_cpu_bit(cpu) : 0))
			return false;
	return true;
}

/*
 * Interrupts off, and into a set whose CPUs are called before a table is freed. Nested in another walk of the
 * same directory on this CPU, the outer one's mark is enough. The walk stands nowhere yet.
 */
static inline void lh_walk_start_again(lh_walk *walk)
{
	lh_directory *directory = walk->directory;

	walk->interrupts = lh_port_interrupts_off(directory->port);
	walk->cpu = lh_port_cpu(directory->port);
	walk->is_foreign = !lh_directory_runs_on(directory, walk->cpu) &&
			   (lh_atomic_or(&directory->walkers.bits[lh_cpu_word(walk->cpu)],
					 lh_cpu_bit(walk->cpu)) & lh_cpu_bit(walk->cpu)) == 0;
	walk->at_slot = false;
	walk->tables = 0;
}

static inline void lh_walk_start(lh_walk *walk, lh_directory *directory, lh_virtual_range range)
{
	LH_ASSERT(directory->port, !lh_frame_is_none(directory->root));
	walk->directory = directory;
	walk->range = range;
	walk->page = 0;
	walk->entry = 0;
	walk->held = NULL;
	walk->visits = walk->reads = false;
	lh_walk_start_again(walk);
}

void lh_walk_go_to_root(lh_walk *walk);

static inline void lh_walk_end(lh_walk *walk)
{
	lh_walk_let_go(walk);
	if (walk->is_foreign)
		lh_atomic_and(&walk->directory->walkers.bits[lh_cpu_word(walk->cpu)],
			      ~lh_cpu_bit(walk->cpu));
	lh_port_interrupts_restore(walk->directory->port, walk->interrupts);
}

#endif
