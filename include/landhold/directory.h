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
 *     holders  upper entries that name it (1; the root: 1)
 *     word     LH_TABLE_LIVE: entries in it that are not empty
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
 * Locks: one spinning lock a directory, taken by lh_directory_lock around reads and
 * writes of entries (order: after map and object locks, before pools and frames).
 * Never held while a flush is waited for.
 */
#ifndef LANDHOLD_DIRECTORY_H
#define LANDHOLD_DIRECTORY_H

#include <landhold/frames.h>
#include <landhold/paging_format.h>
#include <landhold/virtual_range.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The word of a table's frame: live entries in the low bits (of the root: those of both
 * halves); then the table's level; above, while the table is in a gather or among spares,
 * the next one's frame number plus 1 (0: none). */
#define LH_TABLE_LIVE UINT64_C(0x3fff)
#define LH_TABLE_LEVEL_SHIFT 14
#define LH_TABLE_LEVEL UINT64_C(0x7)
#define LH_TABLE_NEXT_SHIFT 24

typedef enum lh_leaf_kind {
	LH_LEAF_EMPTY,
	LH_LEAF_PRESENT,   /* the hardware translates by it */
	LH_LEAF_NO_ACCESS  /* names its frame and holds it, but grants nothing */
} lh_leaf_kind;

#define LH_LEAF_ACCESSED (1u << 0)
#define LH_LEAF_DIRTY (1u << 1)
#define LH_LEAF_GLOBAL (1u << 2)
#define LH_LEAF_UNCOUNTED (1u << 3) /* the entry holds no reference to the frame */

/* A decoded leaf entry. Level 0: one page. */
typedef struct lh_leaf {
	lh_leaf_kind kind;
	lh_rights rights;	 /* of PRESENT */
	uint8_t level;		 /* larger than 0: a huge leaf */
	uint32_t flags;		 /* LH_LEAF_... */
	lh_memory_type type;
	lh_frame_number frame;
} lh_leaf;

typedef struct lh_directory {
	lh_frames *frames;		/* constant */
	const lh_paging_format *format; /* constant */
	lh_port *port;			/* constant */
	lh_frame_number root;		/* constant once added; LH_NO_FRAME before */
	uint32_t lock;
	bool is_kernel;			/* owns the kernel half */
	bool shares_kernel_half;
	uint64_t tables;		/* [lock] table pages of its own, root included */
	uint64_t leaves;		/* [lock] leaf entries not empty, own half, in pages */
	lh_cpu_set active;		/* CPUs that may hold translations: read and written
					   by atomic operations */
	uint64_t generation;		/* flushes published: bumped before active is read */
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
	uint64_t tables;	   /* detached tables: first frame number + 1; 0: none */
	uint32_t frame_count;
	uint64_t frames[LH_GATHER_FRAMES]; /* frame number; a huge leaf's level above it */
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

/* --- locks --- */

uintptr_t lh_directory_lock(lh_directory *directory);
void lh_directory_unlock(lh_directory *directory, uintptr_t interrupts);

/* --- entries, under the lock where _locked --- */

/* The range of addresses that this directory owns: low half, or upper half if is_kernel. */
lh_virtual_range lh_directory_own_range(const lh_directory *directory);

/*
 * Takes as many spare tables as writing every page of the range at level 0 could
 * need, beyond those that exist now, on top of what spares holds already. Takes and
 * leaves the lock itself.
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
 * level the descent ended), outside both halves, and in one that has a root of its own. Of a huge leaf, the frame is its first. */
lh_leaf lh_directory_read_locked(lh_directory *directory, lh_virtual_address address);

/*
 * Writes a level-0 leaf where there is an empty one, or over a leaf that names the
 * same frame and has no more rights (an upgrade), keeping accessed and dirty bits the
 * hardware set. Missing tables come from the spares. An upgrade keeps the holder that
 * the entry has: for it the caller brings none.
 * => the address is in the own range; PRESENT has at least one right.
 * => LH_NO_MEMORY: a table is missing and the spares are used up; LH_EXISTS: a leaf
 *    stands there that may not be written over in place. Nothing changed.
 */
LH_MUST_USE lh_error lh_directory_write_locked(lh_directory *directory, lh_virtual_address address,
					       lh_leaf leaf, lh_spare_tables *spares);

/*
 * Writes a huge leaf (leaf.level larger than 0) where nothing is below. If it is counted, the
 * caller has added a holder to each of its frames.
 * => LH_INVALID: the format has no leaf there, or address or frame is not aligned to it;
 *    LH_EXISTS: something is mapped there; LH_NO_MEMORY as above. Nothing changed.
 */
LH_MUST_USE lh_error lh_directory_write_large_locked(lh_directory *directory,
						     lh_virtual_address address, lh_leaf leaf,
						     lh_spare_tables *spares);

/*
 * Writes a level-0 leaf over a NO_ACCESS one that names the frame old: the last step of changing
 * a live translation, after the leaf was restricted to no right and flushed. The entry's holder
 * passes: leaf brings its own, the old one's is the caller's to drop.
 * => LH_EXISTS: another leaf, or none, stands there. Nothing changed.
 */
LH_MUST_USE lh_error lh_directory_replace_locked(lh_directory *directory, lh_virtual_address address,
						 lh_frame_number old, lh_leaf leaf);

/*
 * Clears one leaf into the gather; tables that become empty too. Nothing where it is
 * empty. Not for a huge leaf (a broken invariant): lh_directory_clear_range.
 * => false: the gather is full, nothing done: unlock, lh_gather_flush, lock.
 */
LH_MUST_USE bool lh_directory_clear_locked(lh_directory *directory, lh_virtual_address address,
					   lh_gather *gather);

/*
 * --- ranges: take and leave the lock themselves ---
 *
 * One descent each, absent tables skipped whole. On a long way the lock is released for a
 * moment every 32 tables, between two leaves: who needs the range to stand still holds the
 * space's map lock. => the range lies in the own range.
 */

/*
 * Clears every leaf of the range, frees the tables that become empty, flushes and
 * drops as the gather fills. One descent. What remains in the gather is the caller's
 * to flush (lh_gather_finish). Cannot fail: huge leaves must not straddle the range.
 */
void lh_directory_clear_range(lh_directory *directory, lh_virtual_range range, lh_gather *gather);

/*
 * Takes rights away from every leaf of the range: each keeps those it has that are in
 * rights as well. Rights NONE makes it NO_ACCESS. The gather learns what to flush;
 * accessed and dirty bits survive. Never adds a right.
 */
void lh_directory_restrict_range(lh_directory *directory, lh_virtual_range range, lh_rights rights,
				 lh_gather *gather);

/*
 * Calls visit for each leaf of the range that is not empty, in order, with the lock
 * held. It may return a leaf with fewer rights in *leaf to be written back (same kind
 * or NO_ACCESS, same frame), or without an accessed or dirty flag it had; what the hardware
 * sets meanwhile stays. What must be flushed for that, it notes in a gather of its own.
 * It returns false to stop the walk (after the write-back). A huge leaf is given with its
 * first address in the range and may be changed only if the range has all of it.
 */
typedef bool lh_leaf_visit(void *context, lh_virtual_address address, lh_leaf *leaf);
void lh_directory_visit(lh_directory *directory, lh_virtual_range range, lh_leaf_visit *visit,
			void *context);

/* --- gathers --- */

void lh_gather_begin(lh_gather *gather, lh_directory *directory);
/* Adds a page to what must be flushed, without a frame. Under the lock. */
void lh_gather_note(lh_gather *gather, lh_virtual_address address);
/* Flushes all that was noted, on all CPUs that may hold it, then drops it; the gather
 * is empty and can be used on. Context: interrupts on, the directory's lock not held. */
void lh_gather_flush(lh_gather *gather);
static inline void lh_gather_finish(lh_gather *gather) { lh_gather_flush(gather); }

/*
 * Recounts live entries, holders of tables, tables and leaves; finds entries whose bits
 * the format does not allow, user entries in the upper half and the reverse.
 * => NULL if all is well, else what is wrong. Takes the lock.
 */
const char *lh_directory_check(lh_directory *directory);

/*
 * Calls visit for each present leaf that the root leads to, a shared kernel half included, in
 * order of address, with the directory's lock held. The rights are what the CPU would grant, upper
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
