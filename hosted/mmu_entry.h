/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An architecture to the hosted MMU: what one entry of a page table says, what hardware writes into
 * it, and by which rules a CPU may keep it. The page walker (mmu_walk.c), the TLB (mmu_tlb.c) and the
 * shadow of the tables (mmu_shadow.h) are written once; each architecture is a file beside
 * mmu_x86_64.c.
 *
 * Tables are of 512 entries of 64 bits each, for pages of 4 KiB, on all of them. The level counts from
 * the leaf: 0 of the lowest table.
 *
 * As for all of mmu*: no header of the library, and nothing but the manuals for a source.
 */
#ifndef HOSTED_MMU_ENTRY_H
#define HOSTED_MMU_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

typedef enum mmu_entry_kind { MMU_ENTRY_NONE, MMU_ENTRY_TABLE, MMU_ENTRY_PAGE } mmu_entry_kind;

/* An entry by itself: rights are those it leaves of the path above it. */
typedef struct mmu_entry {
	mmu_entry_kind kind;
	uint64_t physical; /* of the page or of the table */
	bool readable, writable;
	bool user;	 /* user mode may pass */
	bool executable; /* in user mode, where that may pass */
	bool executable_above; /* in supervisor mode */
	bool global, accessed, dirty;
	uint64_t attributes; /* memory type and the like: equal, or not */
} mmu_entry;

struct mmu_control;

typedef struct mmu_architecture {
	const char *name;
	mmu_entry (*read)(unsigned level, uint64_t entry);
	/* A present entry that no walk may use. */
	bool (*is_malformed)(const struct mmu_control *control, unsigned level, uint64_t entry);
	/* The entry as it must be for a walk to go through it, or to be used for a page, or to be
	 * written through: with the flags that say so. */
	uint64_t (*used)(unsigned level, uint64_t entry, bool writes);
	bool dirty_with_write;	/* the flag is there only where the entry may be written */
	bool sets_flags;	/* by itself, at any moment; else it faults for want of one */
	bool root_each;		/* each half of the addresses has a root of its own */
	bool fetch_apart;	/* user mode may execute where it may not read: executable says it alone */
	bool user_apart;	/* supervisor mode is kept from user mode's pages, unless it asks */
	bool fault_forgets;	/* a fault for rights removes what is cached for its address */
	bool break_before_make;	/* a live entry must be absent, and flushed, before it says other things */
	bool keeps_absent;	/* that an entry was absent may be cached too */
} mmu_architecture;

extern const mmu_architecture mmu_x86_64;
extern const mmu_architecture mmu_aarch64;	 /* without FEAT_HAFDBS */
extern const mmu_architecture mmu_aarch64_flags; /* with it, and TCR_EL1.HA and HD set */
extern const mmu_architecture mmu_riscv64;	 /* without Svadu */
extern const mmu_architecture mmu_riscv64_flags; /* with it, and menvcfg.ADUE set */

/* Flags that the old entry had, that the new one lacks, though it says the same otherwise. */
static inline bool mmu_has_lost_flags(const mmu_architecture *architecture, const mmu_entry *old,
				      const mmu_entry *new)
{
	if (!architecture->sets_flags || old->kind == MMU_ENTRY_NONE || old->kind != new->kind ||
	    old->physical != new->physical)
		return false;
	return (old->accessed && !new->accessed) ||
	       (old->dirty && !new->dirty && (new->writable || !architecture->dirty_with_write));
}

#define MMU_TABLE_ENTRIES 512
#define MMU_PAGE_SHIFT 12
#define MMU_INDEX_BITS 9

#endif
