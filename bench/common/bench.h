/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every benchmark of the library shares: a clock, results gathered over rounds,
 * and their table and CSV. bench/common/plot draws the CSV.
 *
 *     bench_start(&clock);  work;  bench_stop(&clock, operations, &sample);
 *     bench_note("landhold", n, "allocate", sample);       once a round
 *     bench_write("build/bench/frames.csv");
 *
 * Rounds of all subjects should be interleaved, so that what else the machine does
 * falls on all alike. Of the rounds the median and the least are reported.
 */
#ifndef BENCH_COMMON_BENCH_H
#define BENCH_COMMON_BENCH_H

#include <stdbool.h>
#include <stdint.h>

typedef struct bench_sample {
	double ns;	     /* an operation */
	double instructions; /* an operation; negative: not measured */
} bench_sample;

typedef struct bench_clock {
	uint64_t began_ns;
	uint64_t began_instructions;
} bench_clock;

/* Instructions are those of the calling thread in user mode, where the machine counts them. */
void bench_start(bench_clock *clock);
void bench_stop(const bench_clock *clock, uint64_t operations, bench_sample *sample);

/* subject and operation: literals, kept by pointer and compared as strings. */
void bench_note(const char *subject, uint64_t n, const char *operation, bench_sample sample);

/* The table to stdout: operations down, subjects across; median and least ns, and the first
 * subject's least by this one's: the least suffers least from what else the machine does. */
void bench_print(void);
/* subject,n,operation,ns_median,ns_min,instructions. => false: cannot be written. */
bool bench_write(const char *path);

/* A small generator of random numbers, the same on every machine. */
static inline uint64_t bench_random(uint64_t *state)
{
	/* splitmix64 (Steele, Lea, Flood, 2014). */
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

#endif
