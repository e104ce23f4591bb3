/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A real CPU as judge of the page tables: the library makes tables, the CPU uses them.
 *
 * judge.c, the same everywhere, is the trial: for each format that the CPU can run it maps pages of
 * every kind, and holds what the CPU allows, reads, writes and notes against what
 * lh_directory_read says of the page. ARCHITECTURE.S has what C cannot say: the way from
 * reset to here, and cpu_run. ARCHITECTURE.c has the rest of this header.
 *
 * All runs in the kernel's half, where a physical address is seen CPU_WINDOW above itself, first by
 * tables that ARCHITECTURE.S was assembled with.
 */
#ifndef TESTS_CPUS_CPU_H
#define TESTS_CPUS_CPU_H

#include <landhold/directory.h>

/* What became of the last cpu_run. */
typedef struct cpu_trap {
	uint64_t value;	  /* the argument register: what was read */
	uint64_t cause;	  /* as the CPU has it */
	uint64_t address; /* that could not be translated */
	uint64_t pc;
} cpu_trap;

extern cpu_trap cpu_last;

/*
 * Runs from pc, in user mode or the kernel's, with address and value in the registers that the
 * snippets below want, until the CPU traps, which it does with the first instruction that faults or
 * is the breakpoint. => interrupts off.
 */
void cpu_run(uint64_t pc, uint64_t address, uint64_t value, bool user);

/* Position-independent: a read of the word at address; a write of value to it; a breakpoint. */
extern const uint8_t cpu_snippet_read[], cpu_snippet_write[], cpu_snippet_end[];
/* The first bytes of a page that can be fetched from: a breakpoint. */
extern const uint64_t cpu_breakpoint;

/* The last trap was the breakpoint. */
bool cpu_stopped_at_breakpoint(void);
/* The last trap says that an address may not be used so. */
bool cpu_faulted(void);

/* The formats that this CPU runs, one after the other; NULL: no more. Of a root that the last call
 * of cpu_load loaded, no translation is used again before the next. */
const lh_paging_format *cpu_format(unsigned n);

/* The host's part, once a format: translates as it wants, by these roots, keeping nothing cached. All
 * other loads and flushes are those of arch/ARCHITECTURE/tlb.c. */
void cpu_load(const lh_paging_format *format, lh_frame_number user, lh_frame_number kernel);
/* Translates by the tables of the start again. */
void cpu_load_first(void);

/* User mode's pages with this protection key, other than 0, refuse all accesses from now on; 0: none do.
 * => false: this CPU has no keys. */
bool cpu_refuse_key(unsigned key);

void cpu_put(char character);
_Noreturn void cpu_end(bool good);

/* Where RAM begins that is ours, and what of it is seen at CPU_WINDOW. */
extern const uint64_t cpu_ram, cpu_ram_bytes;
/* A page of device registers that cpu_put needs; 0: none. */
extern const uint64_t cpu_device;

void judge_main(void);

#endif
