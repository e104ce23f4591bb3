/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A page directory: the radix tree of hardware page tables of one address space.
 *
 * Built step by step; each step can fail, and the destructor accepts what any
 * prefix of the steps left:
 *     lh_directory_init             cannot fail
 *     lh_directory_add_root         takes a frame
 *     lh_directory_add_kernel_half  a kernel's own: takes a frame for each top entry of
 *                                   the upper half, once, so that they never change again
 *     lh_directory_share_kernel_half   any other: copies those top entries
 *
 * Tables are lazy: made when the first entry below them is written, freed when the
 * last one is cleared (the kernel half's top entries excepted). A table page is a
 * frame in state LH_FRAME_TABLE; the frame array counts it, no side map:
 *     holders  upper entries that name it: 1; of a leaf table after a fork, the directories that have it as a
 *              SHARED leaf
 *     word     LH_TABLE_LIVE: entries in it that are not empty; its level; its lock
 *
 * Nothing here reaches a heap, and writing an entry reaches nothing that could fail:
 * whoever writes brings *spare tables*, taken beforehand (lh_directory_prepare).
 *
 * Right to be here: an entry of the low half is always a user entry, one of the upper
 * half never. Frames that leaves name: the caller adds a holder before it writes a
 * leaf; the holder passes to the entry; the entry's holder passes to the gather when
 * it is cleared, and is dropped after the flush. A leaf flagged LH_LEAF_UNCOUNTED
 * (zero page, device memory) holds nothing.
 *
 * Locks. Each table has one, a bit in its frame's word, over its entries: whoever writes
 * an entry holds it (order: after map and object locks, before pools and frames). Each
 * function here takes and leaves what it needs; any number of CPUs may call them on one
 * directory at once. What stays the caller's: a range operation passes table after table, so
 * who needs a whole range to stand still must keep others from changing it (the space's map
 * lock, and its versions).
 *
 * Walking. Who goes through the tables has interrupts off from the root to the end. A table that
 * was made unreachable is freed only after a call to every CPU that may be walking: those that
 * run the directory (`active`), and those that said so in `walkers`. Such a call is answered with
 * interrupts on, so then no walker holds the table any more.
 *
 * Field tags: c constant, a atomic, o the owner CPU's alone, interrupts off.
 */
#ifndef LANDHOLD_DIRECTORY_H
#define LANDHOLD_DIRECTORY_H

#include <landhold/frames.h>
#include <landhold/paging_format.h>
#include <landhold/virtual_range.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The word of a table's frame:
 *     live entries (of the root: those of both halves)
 *     the table's level
 *     its lock: changed by compare-exchange, all else in the word by the lock's holder alone. A table
 *     that was taken out of the tree stays locked until it is freed
 *     above: while it is in a gather or among spares, the next one's frame number plus 1
 *     (0: none). In use 0
 */
#define LH_TABLE_LIVE UINT64_C(0x3fff)
#define LH_TABLE_LEVEL_SHIFT 14
#define LH_TABLE_LEVEL UINT64_C(0x7)
#define LH_TABLE_LOCKED (UINT64_C(1) << 17)
#define LH_TABLE_NEXT_SHIFT 24

typedef enum lh_leaf_kind {
	LH_LEAF_EMPTY,
	LH_LEAF_PRESENT,   /* the hardware translates by it */
	LH_LEAF_NO_ACCESS, /* names its frame and holds it, but grants nothing */
	LH_LEAF_BUSY,	   /* the same, while CPUs may still translate by what stood here before */
	/* Of level 1, grants nothing: `frame` is a leaf table that other directories have so too (src/paging/shared.h),
	 * and that holds what its leaves name. Forks of spaces make it, nobody writes it. */
	LH_LEAF_SHARED,
	/* For the floors above to tell apart: these hold nothing, and `frame` is a number of theirs, of as
	 * many bits as a frame's has but one. */
	LH_LEAF_SWAPPED, /* a place in a store */
	LH_LEAF_PURGED,
	LH_LEAF_GUARD
} lh_leaf_kind;

/* Does a leaf of this kind hold no frame, whatever its flags say? */
static inline bool lh_leaf_is_mark(lh_leaf_kind kind)
{
	return kind >= LH_LEAF_SWAPPED;
}

#define LH_LEAF_ACCESSED (1u << 0)
#define LH_LEAF_DIRTY (1u << 1)
#define LH_LEAF_GLOBAL (1u << 2)
#define LH_LEAF_UNCOUNTED (1u << 3) /* the entry holds no reference to the frame */
#define LH_LEAF_RUNS (1u << 4)	    /* asked of lh_directory_map: in runs where that may be. No leaf has it */

/* A decoded leaf entry. Level 0: one page. */
typedef struct lh_leaf {
	lh_leaf_kind kind;
	lh_rights rights;	 /* of PRESENT */
	uint8_t level;		 /* larger than 0: a huge leaf */
	uint8_t key;		 /* protection key; 0 where the format has none */
	uint32_t flags;		 /* LH_LEAF_... */
	lh_memory_type type;
	lh_frame_number frame;
} lh_leaf;

/*
 * Part of what a directory counts; what it has is the sum. Faults on many CPUs count at the same
 * time: each CPU adds to the part that its number chooses, on a line that it shares with
 * one CPU in eight. A part alone means nothing and may be below zero (as two's complement):
 * the CPU that clears a leaf need not be the one that wrote it.
 *
 * The rest belongs to a CPU that runs the directory, the first of those that asked for it, until it leaves
 * (src/paging/near.h): the two lowest kinds of table that it held last, so that its next walk to there begins
 * at the end.
 */
typedef struct lh_near_table {
	uint64_t first;	       /* o: the number of its first slot, of all of its level from address 0 on */
	uint64_t *entries;     /* o: its bytes, */
	lh_frame_entry *entry; /* o: its entry in the frame array, */
	lh_frame_number frame; /* o: and its frame */
} lh_near_table;

#define LH_DIRECTORY_PARTS 8
#define LH_NEAR_LEVELS 2
typedef struct lh_directory_part {
	uint64_t tables; /* a: table pages of its own, root included */
	uint64_t leaves; /* a: leaf entries not empty, own half, in pages */
	uint32_t owner;	 /* a: the number of the CPU that the rest is for, and whether it may go by that; or nobody */
	uint64_t counted; /* o: to be added to `leaves`: written by the owner, read by anybody */
	lh_near_table near[LH_NEAR_LEVELS]; /* by level */
	/* o: the present leaf that was read last: its entry's bits besides those of the frame, and what they say */
	uint64_t read_bits;
	lh_leaf read;
} lh_directory_part; /* two lines: what one CPU writes lies on none that another looks up its tables in */

/* In `owner`: a table was taken out of the tree since it was remembered, so all are forgotten; and nobody's. */
#define LH_PART_STALE (1u << 31)
#define LH_PART_NOBODY UINT32_MAX

typedef struct lh_directory {
	lh_frames *frames;		/* c */
	const lh_paging_format *format; /* c */
	lh_port *port;			/* c */
	lh_frame_number root;		/* c once added; LH_NO_FRAME before */
	bool is_kernel;			/* c owns the kernel half */
	bool shares_kernel_half;	/* c */
	uint32_t keeps_tables;		/* a not 0: tables that become empty stay for a while */
	lh_cpu_set active;		/* a CPUs that run it, and so may hold translations */
	lh_cpu_set walkers;		/* a others that are walking its tables */
	uint64_t generation;		/* a raised by a gather's flush before it reads active */
	uint64_t passed;		/* a BUSY leaves that a restriction passed, each under its table's lock */
	uint64_t shared;		/* a SHARED leaves that it has */
	uint32_t leaves_busy;		/* a not 0: a BUSY leaf once outlived the lock of its table; set under that */
	/* The entry of a plain leaf (src/paging/plain.h) is a sum: of bits that its rights and flags say (a: [0] at
	 * level 0, [1] above; 0: not worked out yet), and of the frame's number times plain_unit. Of frames below
	 * plain_frames, that is: c once it is a kernel's or is not. */
	uint64_t plain_frames, plain_unit;
	uint64_t plain[2][(LH_RIGHTS_ALL | LH_LEAF_UNCOUNTED) + 1];
	lh_directory_part parts[LH_DIRECTORY_PARTS];
} lh_directory;

/* Spare table pages: zeroed frames in state TABLE, chained through their words. */
typedef struct lh_spare_tables {
	uint64_t first; /* frame number + 1; 0: none */
	uint64_t count;
} lh_spare_tables;

#define LH_GATHER_FRAMES 64

/*
 * What was taken out of use but is not yet flushed: detached tables, chained, and
 * loose frames, each with the holder that its entry had. Lives on the stack. When
 * the array of frames is full it flushes, drops and goes on.
 */
typedef struct lh_gather {
	lh_directory *directory;
	lh_virtual_range span;	   /* covers every page to flush; empty: nothing to flush */
	bool global;		   /* some of them may be cached as global */
	bool calls_walkers;	   /* a table left its place, though it is not in here: who walks is called too */
	uint64_t tables;	   /* detached tables: first frame number + 1; 0: none */
	uint32_t frame_count;
	uint64_t frames[LH_GATHER_FRAMES]; /* frame number; a huge leaf's level above it, or that it is a shared table */
} lh_gather;

/* --- life --- */

/* An empty directory in the caller's memory, without a root. */
void lh_directory_init(lh_directory *directory, lh_frames *frames, const lh_paging_format *format);
LH_MUST_USE lh_error lh_directory_add_root(lh_directory *directory);
/* The same with a root below a frame number, for CPUs whose root register is short as yet. */
LH_MUST_USE lh_error lh_directory_add_root_below(lh_directory *directory, uint64_t limit);
/* => LH_NO_MEMORY: what was taken so far stays, for the destructor. */
LH_MUST_USE lh_error lh_directory_add_kernel_half(lh_directory *directory);
/* => kernel: has its kernel half, and outlives this one. Cannot fail. */
void lh_directory_share_kernel_half(lh_directory *directory, const lh_directory *kernel);

/*
 * Gives back every table page and drops every counted frame that a leaf names.
 * Accepts what any prefix of the construction left, and a directory destroyed before.
 * => no CPU is active in it and none will be: no flush is sent.
 */
void lh_directory_destroy(lh_directory *directory);

/* Marks this CPU active in the directory and loads it. Context: interrupts off. */
void lh_directory_activate(lh_directory *directory);
/*
 * This CPU has loaded another directory, which flushed what is not global. Nothing for a
 * kernel's own: every CPU that ever activated it goes on translating by its half, so
 * each CPU activates it once, before any other. Context: interrupts off.
 */
void lh_directory_deactivate(lh_directory *directory);

/* Table pages of its own, root included; leaf entries not empty in its own half, in pages. While
 * others change it, a number that was true of some parts before others. */
uint64_t lh_directory_tables(const lh_directory *directory);
uint64_t lh_directory_leaves(const lh_directory *directory);

/* --- single entries. Context: interrupts on or off --- */

/* The range of addresses that this directory owns: low half, or upper half if is_kernel. */
lh_virtual_range lh_directory_own_range(const lh_directory *directory);

/*
 * Takes as many spare tables as writing every page of the range at level 0 could
 * need, beyond those that exist now, on top of what spares holds already.
 * => LH_NO_MEMORY: nothing taken beyond what spares held before.
 */
LH_MUST_USE lh_error lh_directory_prepare(lh_directory *directory, lh_virtual_range range,
					  lh_spare_tables *spares);
/* The same for writing huge leaves of this level; level 0 is lh_directory_prepare. */
LH_MUST_USE lh_error lh_directory_prepare_level(lh_directory *directory, lh_virtual_range range,
						unsigned level, lh_spare_tables *spares);
/* Takes count spare tables. => LH_NO_MEMORY: as above. */
LH_MUST_USE lh_error lh_spare_tables_take(lh_frames *frames, uint64_t count, lh_spare_tables *spares);
/* Gives the unused ones back. */
void lh_spare_tables_give_back(lh_frames *frames, lh_spare_tables *spares);

/* The leaf for an address, in either half: EMPTY where a table is missing (level says at which
 * level the descent ended), outside both halves, and in one that has a root of its own. Of a
 * huge leaf, the frame is its first; of a page whose table is shared, what that says of it, though no CPU
 * translates by it. */
lh_leaf lh_directory_read(lh_directory *directory, lh_virtual_address address);

/*
 * Writes a level-0 leaf where there is an empty one or a mark, or over a leaf that names the
 * same frame and has no more rights (an upgrade), keeping accessed and dirty bits the
 * hardware set. Missing tables come from the spares. An upgrade keeps the holder that
 * the entry has: for it the caller brings none.
 * => the address is in the own range; PRESENT has at least one right.
 * => LH_NO_MEMORY: a table is missing and the spares are used up; LH_EXISTS: a leaf
 *    stands there that may not be written over in place, or in a run. Nothing changed.
 */
LH_MUST_USE lh_error lh_directory_write(lh_directory *directory, lh_virtual_address address,
					lh_leaf leaf, lh_spare_tables *spares);

/*
 * The same for an empty slot, by a way of some fifty instructions or not at all: no spares are needed, nothing is
 * waited for. => false: not done, nothing changed; lh_directory_write does it, or says why not. So it is for an
 * absent table, a slot that is not empty, a leaf that is not plain (key, memory type, flags), and a table that this
 * CPU did not use last, or whose lock is taken.
 */
LH_MUST_USE bool lh_directory_write_at_once(lh_directory *directory, lh_virtual_address address, lh_leaf leaf);

/*
 * Writes a huge leaf (leaf.level larger than 0) where nothing is below. If it is counted, the
 * caller has added a holder to each of its frames.
 * => LH_INVALID: the format has no leaf there, or address or frame is not aligned to it;
 *    LH_EXISTS: something is mapped there; LH_NO_MEMORY as above. Nothing changed.
 */
LH_MUST_USE lh_error lh_directory_write_large(lh_directory *directory, lh_virtual_address address,
					      lh_leaf leaf, lh_spare_tables *spares);

/*
 * Clears one leaf into the gather; tables that become empty too. Nothing where it is
 * empty. Not for a huge leaf, nor one in a run (a broken invariant): lh_directory_clear_range.
 * => false: the gather is full, nothing done: lh_gather_flush, and again.
 */
LH_MUST_USE bool lh_directory_clear(lh_directory *directory, lh_virtual_address address,
				    lh_gather *gather);
/* The same, flushed and dropped when it returns. Context: interrupts on, no spinning lock. */
void lh_directory_clear_one(lh_directory *directory, lh_virtual_address address);

/*
 * --- ranges ---
 *
 * One descent each, absent tables skipped whole. Every 32 tables the walk ends for a moment and
 * interrupts come through. => the range lies in the own range.
 */

/*
 * Maps the range: leaves that are all as `leaf` is, but for their frames. Those are side by side from
 * leaf.frame on, and then leaf.level is the highest level that may be used: where address and frame are
 * aligned and the range is long enough a leaf is as large as that; with LH_LEAF_RUNS, which is for memory that no
 * space shares by fork, and where the format has such, the CPU is told of leaves that it may keep as one. Or
 * frames has one for each page, and all leaves are of level 0. If they are counted, the caller has added a holder to
 * each frame.
 * The first takes the spare tables for it, as lh_directory_prepare does.
 * => nobody else writes to the range, or takes tables of it away (lh_directory_keep_tables).
 * => leaf is PRESENT, with a right, or NO_ACCESS.
 * => LH_EXISTS: something is mapped there, or a table is kept where a huge leaf would be; LH_NO_MEMORY: the spares do
 *    not suffice. Nothing changed.
 */
LH_MUST_USE lh_error lh_directory_prepare_map(lh_directory *directory, lh_virtual_range range,
					      lh_leaf leaf, lh_spare_tables *spares);
LH_MUST_USE lh_error lh_directory_map(lh_directory *directory, lh_virtual_range range, lh_leaf leaf,
				      const lh_frame_number *frames, lh_spare_tables *spares);

/*
 * After leaves were written where there were none: what the format wants before they can be relied on. That
 * is nothing (x86-64), the order of writes (aarch64), or a flush, since CPUs keep the absence of a translation
 * (riscv64). In the kernel's half the functions that write leaves end with it, so those of such a format
 * need interrupts on there. In user mode's it is left to the fault that finds nothing to do.
 * Context: interrupts on, no spinning lock.
 */
void lh_directory_announce(lh_directory *directory, lh_virtual_range range);

/*
 * Clears every leaf of the range, frees the tables that become empty, flushes and
 * drops as the gather fills. One descent. What remains in the gather is the caller's
 * to flush (lh_gather_finish). Cannot fail: huge leaves must not straddle the range (lh_directory_split).
 */
void lh_directory_clear_range(lh_directory *directory, lh_virtual_range range, lh_gather *gather);

/*
 * Makes huge leaves that straddle either end of the range into smaller ones, down to single pages if need
 * be, so that the range can be cleared or restricted; tables that are shared become the directory's own there. What an
 * address means does not change. The first takes
 * the spare tables for it, as lh_directory_prepare does.
 * => LH_NO_MEMORY: the spares do not suffice; what was split stays so, which nobody can tell.
 * => where the format breaks before it makes, accesses to such a leaf fault meanwhile.
 * Context: interrupts on, no spinning lock.
 */
LH_MUST_USE lh_error lh_directory_prepare_split(lh_directory *directory, lh_virtual_range range,
						lh_spare_tables *spares);
LH_MUST_USE lh_error lh_directory_split(lh_directory *directory, lh_virtual_range range,
					lh_spare_tables *spares);

/*
 * Makes the leaves below an entry of a level into one, if they fill their table, are alike (those that can
 * be written: all dirty), and their frames lie side by side and aligned. Flushes. => false: it is not so.
 * => nobody is between a split of it and what he splits it for (the space's map lock).
 * Context: as above.
 */
bool lh_directory_promote(lh_directory *directory, lh_virtual_address address, unsigned level);

/*
 * Takes rights away from every leaf of the range: each keeps those it has that are in
 * rights as well. Rights NONE makes it NO_ACCESS. The gather learns what to flush;
 * accessed and dirty bits survive. Never adds a right.
 */
void lh_directory_restrict_range(lh_directory *directory, lh_virtual_range range, lh_rights rights,
				 lh_gather *gather);

/*
 * Calls visit for each leaf of the range that is not empty, in order, with its table's lock
 * held and interrupts off. It may return a leaf with fewer rights in *leaf to be written back (same kind
 * or NO_ACCESS, same frame), or without an accessed or dirty flag it had; what the hardware
 * sets meanwhile stays. What must be flushed for that, it notes in a gather of its own.
 * It returns false to stop the walk (after the write-back). A huge leaf is given with its
 * first address in the range and may be changed only if the range has all of it. Those of a table that is shared
 * may not be changed. A BUSY leaf keeps what
 * is taken from it here to its owner's word: who takes rights from ranges that are split or promoted uses
 * lh_directory_restrict_range.
 */
typedef bool lh_leaf_visit(void *context, lh_virtual_address address, lh_leaf *leaf);
void lh_directory_visit(lh_directory *directory, lh_virtual_range range, lh_leaf_visit *visit,
			void *context);

/* Leaves side by side that are alike in everything but their frames. */
typedef struct lh_leaf_run {
	lh_virtual_range range; /* the part of them that lies in the range asked for */
	lh_leaf leaf;		/* the first one */
} lh_leaf_run;

/*
 * Calls visit for each run of leaves of the range that are not empty, in order, with interrupts off.
 * A run ends with its table at the latest. No lock is taken: each leaf is as it was at a moment of its
 * own, and changes meanwhile unless the caller keeps others away. Returning false ends it.
 */
typedef bool lh_run_visit(void *context, const lh_leaf_run *run);
void lh_directory_query(lh_directory *directory, lh_virtual_range range, lh_run_visit *visit,
			void *context);

/* --- gathers --- */

static inline void lh_gather_begin(lh_gather *gather, lh_directory *directory)
{
	gather->directory = directory;
	gather->span.base.value = 0;
	gather->span.pages = 0;
	gather->global = directory->is_kernel;
	gather->calls_walkers = false;
	gather->tables = 0;
	gather->frame_count = 0;
}
/* Adds a page to what must be flushed, without a frame. */
void lh_gather_note(lh_gather *gather, lh_virtual_address address);
/* Flushes all that was noted, on all CPUs that may hold it or be walking it, then drops it; the
 * gather is empty and can be used on. Context: interrupts on, no spinning lock. */
void lh_gather_flush(lh_gather *gather);
static inline void lh_gather_finish(lh_gather *gather)
{
	if (gather->span.pages != 0 || gather->frame_count != 0 || gather->tables != 0)
		lh_gather_flush(gather);
}

/*
 * Recounts live entries, holders of tables, tables and leaves; finds entries whose bits
 * the format does not allow, user entries in the upper half and the reverse.
 * => the directory is at rest. NULL if all is well, else what is wrong.
 */
const char *lh_directory_check(lh_directory *directory);

/*
 * Calls visit for each present leaf that the root leads to, a shared kernel half included, in
 * order of address, with interrupts off. The rights are what the CPU would grant, upper
 * entries considered; user: user mode reaches it. Changes nothing.
 * => nobody changes the kernel half meanwhile.
 */
typedef void lh_audit_visit(void *context, lh_virtual_address address, const lh_leaf *leaf,
			    bool user);
void lh_directory_audit(lh_directory *directory, lh_audit_visit *visit, void *context);

#ifdef __cplusplus
}
#endif
#endif
