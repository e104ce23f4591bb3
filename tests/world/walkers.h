/* SPDX-License-Identifier: BSD-2-Clause */
/* Recounts that no single walker of the library can make, across all spaces of a world. */
#ifndef TESTS_WORLD_WALKERS_H
#define TESTS_WORLD_WALKERS_H

#include "world/world.h"

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
