/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page tables built by hand, entry by entry, for the tests of the MMU. The bits are those
 * of the manual's entry formats (Intel SDM volume 3A, June 2016, section 4.5), written here once more
 * so that the tests share nothing with the walker either.
 */
#ifndef TESTS_HOSTED_TABLES_H
#define TESTS_HOSTED_TABLES_H

#include "cpu.h"

#define P UINT64_C(0x1)
#define W UINT64_C(0x2)
#define U UINT64_C(0x4)
#define A UINT64_C(0x20)
#define D UINT64_C(0x40)
#define PS UINT64_C(0x80)
#define G UINT64_C(0x100)
#define XD UINT64_C(0x8000000000000000)

/*
 * RAM of 2048 frames from FIRST_FRAME on. The first TABLES ones are for tables, taken from
 * the bottom up; the rest are for pages.
 */
#define FIRST_FRAME UINT64_C(0x800)
#define TABLES 256
#define PAGES_FIRST (FIRST_FRAME + TABLES)

struct tables {
	lh_port *machine;
	unsigned levels;
	uint64_t root; /* frame */
	uint64_t next; /* frame for the next table */
};

/* A machine with cpus CPUs, all of which have one empty directory loaded. */
struct tables tables_make(unsigned cpus, unsigned levels);
void tables_end(struct tables *tables);

/* The entry for an address at a level; tables above it are made, with upper_bits. */
uint64_t *tables_entry(struct tables *tables, uint64_t address, unsigned level,
		       uint64_t upper_bits);

/* Writes the entry that maps the address at a level: frame and bits; upper ones P W U. */
void tables_map(struct tables *tables, uint64_t address, unsigned level, uint64_t frame,
		uint64_t bits);

/* Loads a root on a CPU; flushes a range of pages there. As the library would. */
void tables_load(struct tables *tables, unsigned cpu, uint64_t root);
void tables_flush(struct tables *tables, unsigned cpu, uint64_t address, uint64_t pages,
		  bool global);

/* Reads, writes or fetches one byte; false on a fault. */
bool tables_access(struct tables *tables, unsigned cpu, uint64_t address, mmu_access access,
		   machine_mode mode, machine_fault *fault);

/* The frame that a one-byte access by the kernel arrives at; 0 after a fault. */
uint64_t tables_arrives(struct tables *tables, unsigned cpu, uint64_t address);

#endif
