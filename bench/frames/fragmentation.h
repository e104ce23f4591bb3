/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef BENCH_FRAMES_FRAGMENTATION_H
#define BENCH_FRAMES_FRAGMENTATION_H

#include "subject.h"

/*
 * A long day at 90 % use: programs come and go, all of their pages at once and in any order; of
 * every 64 pages that one brings, one is for something that outlives it. Then prints the share of
 * free memory that can be had in blocks of 512 frames: as it is, and when most programs have ended.
 */
void fragmentation_print(const struct subject *subject, uint64_t frames);

#endif
