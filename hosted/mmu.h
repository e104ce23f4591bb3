/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A memory management unit: page walker and TLB, of x86-64, aarch64 or riscv64.
 *
 * This is a second reader of the very table bytes that the library writes, and it
 * must be an independent one: neither this header nor mmu*.c includes any header of
 * the library. What an entry means comes from the manuals alone, and stands in a file for
 * each architecture (mmu_entry.h); words and section numbers here are those of the Intel 64 and
 * IA-32 Software Developer's Manual, volume 3A (June 2016), chapter 4 (Paging).
 *
 * Words: a level counts from the leaf: 0 an entry of a page table, 1 of a page
 * directory, 2 of a page-directory-pointer table, 3 of a PML4, 4 of a PML5. Addresses
 * are plain integers here: linear ones are what a program uses, physical ones name RAM.
 *
 * Not modelled: protection keys, shadow stacks, HLAT, PAT and MTRR memory types,
 * segmentation. Entries that use them are read as by a CPU without them.
 */
#ifndef HOSTED_MMU_H
#define HOSTED_MMU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mmu_entry.h"

/* What the walker reads and writes. Both give false where there is no RAM. */
typedef struct mmu_memory {
	void *context;
	bool (*read)(void *context, uint64_t physical, uint64_t *entry);
	/* Writes desired if the entry still is expected; *expected learns what it is. A CPU
	 * sets accessed and dirty flags by a locked operation, and so does this. */
	bool (*exchange)(void *context, uint64_t physical, uint64_t *expected, uint64_t desired);
} mmu_memory;

/* The control bits of one CPU that paging depends on; what another architecture has no bit for is as
 * it always does. */
typedef struct mmu_control {
	const mmu_architecture *architecture;
	unsigned levels;	/* 4, or 5 with CR4.LA57 */
	unsigned physical_bits; /* MAXPHYADDR, 36 to 52 */
	bool gigabyte_pages;	/* CPUID.80000001H:EDX.Page1GB */
	bool write_protect;	/* CR0.WP */
	bool no_execute;	/* IA32_EFER.NXE */
	bool smep;		/* CR4.SMEP */
	bool smap;		/* CR4.SMAP */
	bool access_user;	/* EFLAGS.AC: SMAP is suspended */
	bool global_pages;	/* CR4.PGE */
	bool process_context;	/* CR4.PCIDE, simplified: each root is a context of its own, and
				   loading one flushes nothing */
} mmu_control;

typedef enum mmu_access { MMU_READ, MMU_WRITE, MMU_FETCH } mmu_access;

/* Page-fault error code: section 4.7, figure "Page-Fault Error Code". */
#define MMU_ERROR_PRESENT (1u << 0)
#define MMU_ERROR_WRITE (1u << 1)
#define MMU_ERROR_USER (1u << 2)
#define MMU_ERROR_RESERVED (1u << 3)
#define MMU_ERROR_FETCH (1u << 4)

typedef enum mmu_outcome {
	MMU_TRANSLATED,
	MMU_PAGE_FAULT,	   /* #PF with an error code */
	MMU_NOT_CANONICAL, /* #GP: the address has no translation at all */
	MMU_NO_MEMORY	   /* a table's address names no RAM: the machine reports it */
} mmu_outcome;

/* What a walk found; also what a TLB entry keeps. */
typedef struct mmu_translation {
	uint64_t linear;    /* first byte of the page, of 4 KiB, 2 MiB or 1 GiB by level */
	uint64_t physical;  /* first byte of the page */
	uint64_t entry;	    /* physical address of the entry that maps it */
	uint8_t level;	    /* 0, 1 or 2 */
	bool writable;	    /* R/W set on the whole path */
	bool user;	    /* U/S set on the whole path */
	bool readable;	    /* and so on: */
	bool executable;    /* in user mode */
	bool executable_above; /* in supervisor mode */
	bool global;	    /* G of the mapping entry, with CR4.PGE */
	bool dirty;	    /* D of the mapping entry was set when it was cached */
} mmu_translation;

/* An upper entry as a paging-structure cache keeps it: section 4.10.3. */
typedef struct mmu_upper {
	uint64_t linear;   /* first byte that the entry covers */
	uint64_t table;	   /* physical address of the table that it names */
	uint8_t level;	   /* of the entry: 1 to 4 */
	bool writable;	   /* rights of the path down to here */
	bool user;
	bool executable;
	bool executable_above;
} mmu_upper;

#define MMU_NO_ROOT UINT64_MAX

typedef struct mmu_request {
	uint64_t root;	  /* physical address of the top table: CR3 bits 51:12 */
	uint64_t upper_root; /* of the upper half, where each half has its own; MMU_NO_ROOT: none */
	uint64_t address; /* linear */
	mmu_access access;
	bool user;	  /* CPL 3 */
	bool speculative; /* a walk that the program did not ask for: rights are not
			     checked, D is not set */
} mmu_request;

typedef struct mmu_result {
	mmu_outcome outcome;
	uint32_t error_code;	     /* MMU_PAGE_FAULT */
	uint64_t missing;	     /* MMU_NO_MEMORY: the physical address that was read */
	mmu_translation translation; /* MMU_TRANSLATED */
	uint64_t physical;	     /* MMU_TRANSLATED: of the addressed byte */
	bool cached;		     /* it came from the TLB */
	uint64_t serial;	     /* cached: when the TLB entry was made */
} mmu_result;

struct mmu_tlb;

/*
 * Walks the tables in memory, sets accessed and dirty flags as hardware does, and tells
 * tlb (may be NULL) each entry it used. Never answers from TLB entries; starts from a
 * cached upper entry where tlb has one.
 */
mmu_result mmu_walk(const mmu_memory *memory, const mmu_control *control,
		    const mmu_request *request, struct mmu_tlb *tlb);

/*
 * The error code of a translation that exists, for an access to it: 0 where it is allowed.
 * The rules of section 4.6.
 */
uint32_t mmu_check_rights(const mmu_control *control, const mmu_translation *translation,
			  mmu_access access, bool user);

/* The root that translates the address. */
uint64_t mmu_root_of(const mmu_control *control, const mmu_request *request);

/* True if the address is canonical: its upper bits repeat the highest translated one. */
bool mmu_is_canonical(const mmu_control *control, uint64_t address);

/* --- The TLB --- */

#define MMU_BUCKETS 256

typedef struct mmu_tlb_entry {
	struct mmu_tlb_entry *next;
	bool is_upper;
	bool is_absent;	 /* there was no entry: translation.linear and level say where */
	uint64_t root;	 /* the directory that it was made from */
	uint64_t serial; /* when, by the clock */
	mmu_translation translation; /* !is_upper */
	mmu_upper upper;	     /* is_upper */

	/* Of what the tables no longer say: the entry in memory, when it was made and when it was
	 * overwritten, by the clock, and by what. */
	bool is_stale;
	uint64_t before, after, made, changed;
	struct mmu_tlb_entry *stale_next, **stale_place;
} mmu_tlb_entry;

/*
 * A TLB of any size that forgets nothing by itself: an entry goes when an instruction
 * that must remove it is executed, or when a fault on its address removes it (section
 * 4.10.4.1), and never before. So what a real CPU might still have cached, this one has.
 */
typedef struct mmu_tlb {
	mmu_tlb_entry *buckets[MMU_BUCKETS];
	size_t count;
	mmu_tlb_entry *stale; /* through stale_next */
	size_t stale_count;
	uint64_t *clock;
} mmu_tlb;

/* => clock: goes up by one with each entry made, atomically; whoever shares it can tell what
 *    came first. */
void mmu_tlb_init(mmu_tlb *tlb, uint64_t *clock);
void mmu_tlb_destroy(mmu_tlb *tlb);

/* Translates as the CPU does: by the TLB if it has an entry, else by a walk. */
mmu_result mmu_translate(mmu_tlb *tlb, const mmu_memory *memory, const mmu_control *control,
			 const mmu_request *request);

/* There is no entry of the level for the address, and the TLB keeps that: once. */
void mmu_tlb_add_absent(mmu_tlb *tlb, uint64_t root, uint64_t address, unsigned level);
/* Whether it has kept that any entry for the address is absent. */
bool mmu_tlb_has_absent(const mmu_tlb *tlb, const mmu_control *control, uint64_t root,
			uint64_t address);

/* The entry that would be used for the address; NULL if there is none. Upper ones aside. */
const mmu_tlb_entry *mmu_tlb_find(const mmu_tlb *tlb, const mmu_control *control, uint64_t root,
				  uint64_t address);

/* The cached upper entry of the lowest level for the address, or NULL. */
const mmu_tlb_entry *mmu_tlb_find_upper(const mmu_tlb *tlb, const mmu_control *control,
					uint64_t root, uint64_t address);

/* Both return the entry, which is the TLB's. */
mmu_tlb_entry *mmu_tlb_add(mmu_tlb *tlb, uint64_t root, const mmu_translation *translation);
mmu_tlb_entry *mmu_tlb_add_upper(mmu_tlb *tlb, uint64_t root, const mmu_upper *upper);

/* The entry is one of those that the tables no longer say; once. */
void mmu_tlb_mark_stale(mmu_tlb *tlb, mmu_tlb_entry *entry);

/*
 * INVLPG for each of the pages, in every size of page, and all upper entries.
 * => any_root: entries of every root and global ones; else those of this root that are
 *    not global.
 */
void mmu_tlb_flush_pages(mmu_tlb *tlb, uint64_t root, uint64_t address, uint64_t pages,
			 bool any_root);

/* As loading CR3 does without PCIDs: everything but global translations. */
void mmu_tlb_flush_local(mmu_tlb *tlb);

/* Everything, as toggling CR4.PGE does. */
void mmu_tlb_flush_all(mmu_tlb *tlb);

/* Calls visit for each entry but absent ones, in no order, until it returns false. visit changes
 * nothing. */
void mmu_tlb_visit(const mmu_tlb *tlb, bool (*visit)(void *context, const mmu_tlb_entry *entry),
		   void *context);

#endif
