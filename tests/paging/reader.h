/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Translates by the bytes of page tables as the manuals say, for each architecture, without a header of
 * the library: what the tests hold the library's own answers against.
 */
#ifndef TESTS_PAGING_READER_H
#define TESTS_PAGING_READER_H

#include <stdbool.h>
#include <stdint.h>

typedef enum reader_architecture { READER_X86_64, READER_AARCH64, READER_RISCV64 } reader_architecture;

typedef struct reader_cpu {
	reader_architecture architecture;
	unsigned page_bits;    /* 12, 14, 16 */
	unsigned virtual_bits; /* one root's: 39 to 57 */
	bool hardware_flags;   /* sets accessed and dirty; else an entry without them faults */
	bool has_napot;	       /* riscv64: Svnapot */
	uint64_t (*word)(void *context, uint64_t physical);
	void *context;
} reader_cpu;

/* What memory is like, as the registers that the host sets say (the library's wishes: arch/x86_64/page_attributes.h,
 * MAIR_EL1 at the head of arch/aarch64/format.c), or riscv64's PBMT. */
typedef enum reader_type {
	READER_WRITE_BACK,
	READER_WRITE_THROUGH,
	READER_WRITE_COMBINING, /* aarch64: normal, non-cacheable; riscv64: NC */
	READER_UNCACHED		/* aarch64: device; riscv64: IO */
} reader_type;

/* What one mode may do. */
typedef struct reader_access {
	bool read, write, execute;
} reader_access;

typedef struct reader_page {
	const char *fault; /* NULL: it is translated */
	uint64_t physical;
	unsigned level; /* 0: a page */
	uint64_t entry; /* where the leaf's is */
	uint64_t run;	/* entries that the CPU may keep as one; 0: no such */
	reader_access user, kernel;
	bool global, accessed, dirty;
	reader_type type;
	unsigned key; /* protection key */
} reader_page;

reader_page reader_read(const reader_cpu *cpu, uint64_t root, uint64_t address);

#endif
