/* SPDX-License-Identifier: BSD-2-Clause */
/* Failure of each step of an operation on a world (hosted/inject.h), for frames and a pager. */
#ifndef TESTS_WORLD_INJECTION_H
#define TESTS_WORLD_INJECTION_H

#include "inject.h"
#include "world/file.h"
#include "world/world.h"

typedef struct world_operation {
	const char *name;
	lh_error (*run)(test_world *world);
	/* Takes a success back; wanted where file is set. */
	void (*undo)(test_world *world);
	/* Its pager's steps fail too. */
	world_file *file;
	/* What an object brought in stays: only the spaces must be as before. */
	bool spaces_only;
} world_operation;

/* Goes through all failures and prints one row of the table; leaves the operation done. */
void world_inject(test_world *world, const world_operation *operation);

/*
 * All that an operation which fails must leave as it was: regions, table bytes apart from accessed
 * and dirty bits, counters, charges, the frame array, the objects in world.object.
 */
void world_serialise(test_world *world, inject_buffer *buffer);
void world_serialise_spaces(test_world *world, inject_buffer *buffer);

#endif
