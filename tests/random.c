/* SPDX-License-Identifier: BSD-2-Clause */
/* The harness's random numbers, also for programs that are not made of tests. */
#include "harness.h"
#include "splitmix.h"

static uint64_t random_state;

void test_seed(uint64_t seed)
{
	random_state = seed;
}

uint64_t test_random(void)
{
	return splitmix_next(&random_state);
}

__extension__ typedef unsigned __int128 uint128;

uint64_t test_random_below(uint64_t below)
{
	return (uint64_t)((uint128)test_random() * below >> 64);
}
