/* SPDX-License-Identifier: BSD-2-Clause */
/* Recounts that no single walker of the library can make, across all spaces of a world. */
#ifndef TESTS_WORLD_WALKERS_H
#define TESTS_WORLD_WALKERS_H

#include "world/world.h"

/*
 * Each ANONYMOUS frame has as many holders as leaves of all spaces name it; each OBJECT frame one
 * more, the index's; no such frame is held by nobody's leaf or index. The caller holds no page.
 * => NULL or what is wrong.
 */
const char *world_check_holders(test_world *world);

/*
 * Each translation in a CPU's TLB grants only what the tables in memory grant now, to the same
 * place: at rest, nothing that was taken away is cached anywhere. => NULL or what is wrong.
 */
const char *world_check_translations(test_world *world);

/*
 * All that an operation which fails must leave as it was, as bytes: regions, table bytes apart
 * from accessed and dirty bits, counters, charges, and the entries of the frame array.
 */
typedef struct world_state {
	unsigned char *bytes;
	size_t size, room;
} world_state;

void world_state_read(test_world *world, world_state *state);
/* => NULL if the two are equal, else where they begin to differ. */
const char *world_state_compare(const world_state *a, const world_state *b);
void world_state_free(world_state *state);

#endif
