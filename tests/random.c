/* SPDX-License-Identifier: BSD-2-Clause */
/* The harness's random numbers, also for programs that are not made of tests. */
#include "harness.h"

static uint64_t random_state;

void test_seed(uint64_t seed)
{
	random_state = seed;
}

/* splitmix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014. */
uint64_t test_random(void)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15u;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

__extension__ typedef unsigned __int128 uint128;

uint64_t test_random_below(uint64_t below)
{
	return (uint64_t)((uint128)test_random() * below >> 64);
}
