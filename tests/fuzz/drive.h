/* SPDX-License-Identifier: BSD-2-Clause */
/* Running tapes in processes of their own, so that whatever one does is survived and reported. */
#ifndef TESTS_FUZZ_DRIVE_H
#define TESTS_FUZZ_DRIVE_H

#include "fuzz/tape.h"

/* What the run of one or of many tapes came to. */
typedef struct drive_result {
	bool failed;
	uint64_t seed;	   /* of the tape that failed, where tapes were generated */
	char message[1500];
	tape_counts counts;
} drive_result;

/* Plays one tape in a process of its own, for at most some seconds. */
drive_result drive_tape(const tape_scale *scale, const uint8_t *bytes, size_t count);

/* Plays generated tapes from a seed on and below another, for so many seconds or until one fails.
 * => *next: the seed that comes next, or of the tape that failed. */
drive_result drive_generated(uint64_t seed, uint64_t last, size_t records, double seconds,
			     uint64_t *next);

/* Makes a tape that fails shorter and simpler, while it fails; at most so many runs.
 * => how many bytes are left. */
size_t drive_shrink(uint8_t *bytes, size_t count, unsigned runs);

/* All sequences of operations over a tiny world, until the seconds are over or the depth is reached.
 * => bytes: the sequence that failed, as a tape of the tiny scale. Room for 10 records. */
drive_result drive_exhaust(unsigned depth, double seconds, bool print, uint8_t *bytes, size_t *count);

/* Runs function(context) in a process of its own. */
drive_result drive_apart(void (*function)(void *context), void *context, unsigned seconds);

double drive_now(void);

#endif
