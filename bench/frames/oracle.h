/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef BENCH_FRAMES_ORACLE_H
#define BENCH_FRAMES_ORACLE_H

#include "subject.h"

/*
 * Runs a subject against a byte a frame: what is given out is free, aligned and in range;
 * what is refused as a single frame is refused because none is free; all comes back. Stops the program
 * at the first difference.
 */
void oracle_check(const struct subject *subject, uint64_t frames);

#endif
