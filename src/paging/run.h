/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs: leaves side by side that the CPU may keep as one translation (aarch64's contiguous hint, riscv64's Svnapot).
 *
 * As many as the format says, aligned to that, of frames side by side and aligned as well, and otherwise alike but
 * for what the CPU notes; each has the hint. It notes accessed and dirty in any of them, so of each is true what is
 * noted of one.
 *
 *     slots            | 16        | 17        | ...  | 31        |
 *     contiguous hint  | F+0  hint | F+1  hint | ...  | F+15 hint |     each names its frame
 *     Svnapot          | F|8  N    | F|8  N    | ...  | F|8  N    |     none does: the low bits say how long it is
 *
 * Who maps a range asks for them (LH_LEAF_RUNS), and only he: kernel and device memory. Who reads an entry sees it
 * as it would be in no run (lh_run_entry). Who changes one makes the whole run leaves in no run first, under the lock
 * of the table: in one step where the format allows that live entries are replaced by such as translate alike; else
 * each is made BUSY, all are flushed, nothing held, and then put back (as in huge.c). To clear a whole run takes no
 * such step, as it is broken by that.
 */
#ifndef LANDHOLD_PAGING_RUN_H
#define LANDHOLD_PAGING_RUN_H

#include "paging/walk.h"

/* Slots of a run of a level; 1: there are none. */
static inline uint64_t lh_run_slots(const lh_paging_format *format, unsigned level)
{
	return UINT64_C(1) << format->run_shift[level];
}

/* => of an entry that is no table's */
static inline bool lh_entry_is_in_run(const lh_paging_format *format, uint64_t entry)
{
	return (entry & format->run) != 0 && lh_entry_is_present(format, entry);
}

/* The slot's place in its run: tables lie at pages' bounds. */
static inline uint64_t lh_run_index(const lh_paging_format *format, unsigned level, const uint64_t *slot)
{
	return (uintptr_t)slot / sizeof *slot & (lh_run_slots(format, level) - 1);
}

/* Slots from this one on to the end of its run. */
static inline uint64_t lh_run_left(const lh_paging_format *format, unsigned level, const uint64_t *slot)
{
	return lh_run_slots(format, level) - lh_run_index(format, level, slot);
}

/* The hint, and what stands for the address's low bits, in an entry that names a frame. */
static inline uint64_t lh_run_put(const lh_paging_format *format, uint64_t entry)
{
	return (entry & ~format->run_address.mask) | format->run_address.value | format->run;
}

/* Without them. => in a run, or not */
uint64_t lh_run_literal(const lh_paging_format *format, unsigned level, const uint64_t *slot, uint64_t entry);

/* The entry of a leaf that the slot holds as it would be in no run, with what is noted of the run. */
uint64_t lh_run_flagged(const lh_paging_format *format, unsigned level, const uint64_t *slot, uint64_t entry,
			bool user);

static inline uint64_t lh_run_entry(const lh_paging_format *format, unsigned level, const uint64_t *slot,
				    uint64_t entry, bool user)
{
	return __builtin_expect(lh_entry_is_in_run(format, entry), 0)
		       ? lh_run_flagged(format, level, slot, entry, user) : entry;
}

/* Makes the slot's run leaves in no run. => the format does not break before it makes; the table is locked, or
 * nobody else's. */
void lh_run_dissolve(const lh_paging_format *format, unsigned level, uint64_t *slot, bool user);

/* Does the walk's range have all of the run that an address of it is in? */
bool lh_walk_covers_run(const lh_walk *walk, lh_virtual_address address);

/* The same, the slot that the walk holds, by whatever steps it takes. => false: it let go meanwhile, and stands at
 * the root. Context: interrupts on outside the walk, if the format breaks before it makes. */
bool lh_walk_break_run(lh_walk *walk);

static inline bool lh_walk_leave_run(lh_walk *walk)
{
	return !lh_entry_is_in_run(walk->directory->format, walk->entry) || lh_walk_break_run(walk);
}

/* NULL if the entry of the slot is in no run, or its run is one. */
const char *lh_run_check(const lh_paging_format *format, unsigned level, const uint64_t *slot);

#endif
