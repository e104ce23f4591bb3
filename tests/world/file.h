/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A file behind an object: its bytes, and a pager that answers at once or, if it is told to defer,
 * when somebody parks or the test says so. Any read or write may be made to fail.
 */
#ifndef TESTS_WORLD_FILE_H
#define TESTS_WORLD_FILE_H

#include "world/world.h"

#define FILE_PAGES 64
#define FILE_PENDING 16

typedef struct world_file_work {
	bool writes;
	lh_object *object;
	uint64_t page;
	lh_frame_number frame;
} world_file_work;

typedef struct world_file {
	test_world *world;
	lh_object *object;
	uint8_t *disk; /* FILE_PAGES pages */
	bool deferred;
	bool released;
	uint64_t reads, writes;
	uint64_t steps, fail_at; /* the fail_at-th read or write fails */
	bool failing[FILE_PAGES]; /* these pages always do */
	unsigned pending;
	world_file_work work[FILE_PENDING];
} world_file;

/* Makes the object, of so many bytes; word n of page p of the disk is world_file_word(p, n). */
lh_object *world_file_open(test_world *world, world_file *file, uint64_t size);
uint64_t world_file_word(uint64_t page, uint64_t word);
/* The first word of a page of the disk. */
uint64_t world_file_disk(const world_file *file, uint64_t page);

/* Drops the test's holder; the object must go. */
void world_file_close(world_file *file);

/* Counts from 0 again. 0: none fails. */
void world_file_fail_at(world_file *file, uint64_t step);

/* Answers what has waited longest. => false: nothing waits. */
bool world_file_answer(world_file *file);

/* Whoever parks makes the file answer. */
void world_file_answer_on_park(world_file *file);

#endif
