/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What one entry of a page table says, and by which rules a CPU may keep it: all that the shadow
 * of the tables (mmu_shadow.h) has to know of an architecture. Another architecture is another
 * mmu_architecture, in a file of its own beside mmu_x86_64.c; aarch64 would set break_before_make
 * (Arm Architecture Reference Manual for A-profile, D8.16.1 "Using break-before-make when
 * updating translation table entries"), riscv64 keeps_absent (The RISC-V Instruction Set Manual,
 * volume II, 4.2.1 "Supervisor Memory-Management Fence Instruction").
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
	bool writable, user, executable, global, dirty;
} mmu_entry;

typedef struct mmu_architecture {
	const char *name;
	/* level: 0 of the lowest table. Never says that reserved bits are wrong: a walk does. */
	mmu_entry (*read)(unsigned level, uint64_t entry);
	uint64_t accessed, dirty; /* what hardware sets by itself in entries that are present */
	uint8_t index_bits;	  /* of a table */
	uint8_t page_shift;
	bool break_before_make;	  /* a live entry must be absent, and flushed, before it names
				     another place */
	bool keeps_absent;	  /* that an entry was absent may be cached too */
} mmu_architecture;

extern const mmu_architecture mmu_x86_64;

#define MMU_TABLE_ENTRIES 512

#endif
