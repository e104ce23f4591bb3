/* SPDX-License-Identifier: BSD-2-Clause */
/* Recounts that no single walker of the library can make, across all spaces of a world. */
#ifndef TESTS_WORLD_WALKERS_H
#define TESTS_WORLD_WALKERS_H

#include "world/world.h"

#define WORLD_SHARED_TABLES 64
#define WORLD_SHARED_FRAMES 16384

/* Tables that spaces share (paging/shared.h): each once, and how many have it. */
typedef struct world_shared {
	uint64_t count;
	uint64_t tables[WORLD_SHARED_TABLES];
	uint32_t sharers[WORLD_SHARED_TABLES];
	uint16_t excess[WORLD_SHARED_FRAMES]; /* of the machine's frames, from the first on */
} world_shared;

void world_find_shared(test_world *world, world_shared *shared);
/* By how much the leaves that are seen of a frame are more than the holders that they have. */
uint32_t world_shared_excess(test_world *world, const world_shared *shared, uint64_t frame);

/*
 * Each ANONYMOUS frame has as many holders as leaves of all spaces name it; each OBJECT frame one
 * more, the index's; and one for each pin; no such frame is held by nobody's leaf or index. The caller holds no page.
 * => NULL or what is wrong.
 */
const char *world_check_holders(test_world *world);

/*
 * What is promised is what the regions of all spaces, and the objects that they show, stand for. Says
 * nothing where there are objects that no region shows. => NULL or what is wrong.
 */
const char *world_check_charges(test_world *world);

/*
 * Each translation in a CPU's TLB grants only what the tables in memory grant now, to the same
 * place: at rest, nothing that was taken away is cached anywhere. => NULL or what is wrong.
 */
const char *world_check_translations(test_world *world);

#endif
