/* SPDX-License-Identifier: BSD-2-Clause */
/* Random numbers from a seed: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014. */
#ifndef HOSTED_SPLITMIX_H
#define HOSTED_SPLITMIX_H

#include <stdint.h>

#define SPLITMIX_STEP UINT64_C(0x9e3779b97f4a7c15)

/* The number that belongs to a state. */
static inline uint64_t splitmix_number(uint64_t state)
{
	state = (state ^ state >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	state = (state ^ state >> 27) * UINT64_C(0x94d049bb133111eb);
	return state ^ state >> 31;
}

/* The next one. */
static inline uint64_t splitmix_next(uint64_t *state)
{
	return splitmix_number(*state += SPLITMIX_STEP);
}

#endif
