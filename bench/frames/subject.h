/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the benchmark of frames measures: ours and others' allocators behind one set
 * of functions. A subject has one instance at a time.
 */
#ifndef BENCH_FRAMES_SUBJECT_H
#define BENCH_FRAMES_SUBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NO_FRAME UINT64_MAX
#define BLOCK_ORDER 9u
#define CPUS_MOST 2u

struct subject {
	const char *name;
	void (*create)(uint64_t frames); /* a multiple of 2^18; all free */
	void (*destroy)(void);
	/* The first frame of 2^order, aligned; NO_FRAME: none. */
	uint64_t (*get)(unsigned order, unsigned cpu);
	/* One frame for something that stays long, if the allocator tells that apart. */
	uint64_t (*get_lasting)(unsigned cpu);
	void (*put)(uint64_t frame, unsigned order, unsigned cpu);
	/* Whatever a CPU keeps goes back. Only for counting what is whole. */
	void (*drain)(void);
	uint64_t (*bytes)(void); /* of bookkeeping */
};

extern const struct subject landhold_subject, buddy_subject, pcp_subject;

#endif
