/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the benchmark of page tables measures: the library, a naive walker and a bare loop behind one
 * set of functions. All use the entries of x86-64 with four levels. A subject has one address space at
 * a time, and no contents: leaves name frames that nobody counts, from `frame` on.
 *
 * A call works on `leaves` of one level side by side: `address` is the first one's.
 */
#ifndef BENCH_PAGING_SUBJECT_H
#define BENCH_PAGING_SUBJECT_H

#include <stdbool.h>
#include <stdint.h>

#define LEAF_BYTES(level) (UINT64_C(1) << (12 + 9 * (level)))

struct subject {
	const char *name;
	void (*create)(void);
	void (*destroy)(void);
	/* Readable and writable. Tables that are missing are made. */
	void (*map)(uint64_t address, unsigned level, uint64_t leaves, uint64_t frame);
	/* Takes the right to write away. */
	void (*protect)(uint64_t address, unsigned level, uint64_t leaves);
	/* How many leaves are there, and may be written. */
	uint64_t (*query)(uint64_t address, unsigned level, uint64_t leaves);
	/* With what must be flushed noted; empty tables are given back. */
	void (*unmap)(uint64_t address, unsigned level, uint64_t leaves);
};

extern const struct subject landhold_subject, naive_subject, bare_subject, loop_subject;

/* Memory for tables: zeroed pages that are never given back to anybody else. */
#define TABLE_PAGES 4096u
extern unsigned char arena[TABLE_PAGES][4096];
void arena_clear(void);

static inline void *arena_page(uint64_t number)
{
	return arena[number];
}

#endif
