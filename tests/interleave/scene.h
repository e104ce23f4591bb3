/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the cases of the library share: the test world (tests/world) whose CPUs are fibres, and
 * operations on it that note how they ended.
 *
 * A scene is small: spaces 0 and 1, memory from page 30 on, whose tables exist, so that runs are
 * short. Each word that a CPU writes says who wrote it: scene_mine.
 */
#ifndef TESTS_INTERLEAVE_SCENE_H
#define TESTS_INTERLEAVE_SCENE_H

#include <landhold/pool.h>

#include "interleave/cases.h"
#include "threads/crowd.h"
#include "world/file.h"
#include "world/world.h"

#define SCENE_PAGE 30
#define SCENE_ITEMS 8

typedef struct test_scene {
	test_world world;
	world_file file;
	lh_object *object;
	lh_account account; /* the object's, where the case says so */
	lh_fault faults[INTERLEAVE_FIBRES][4]; /* how the operations' accesses ended */
	uint64_t values[INTERLEAVE_FIBRES][4];
	lh_error errors[INTERLEAVE_FIBRES];
	lh_frame_number frames[INTERLEAVE_FIBRES][4];
	lh_pinned pinned[INTERLEAVE_FIBRES]; /* of pages in frames */
	lh_pool *pool;
	void *items[SCENE_ITEMS]; /* of the pool */
	uint64_t extra[8];
} test_scene;

extern const interleave_host scene_host;

/* A machine with CPUs for all fibres, spaces 0 and 1 empty. Sized by frames; 0: as many as do. */
test_scene *scene_open(uint64_t frames);

/* Each CPU loads the space; -1: the kernel's directory. */
void scene_load(test_scene *scene, int cpu_0, int cpu_1, int cpu_2);

/* By a fibre, on its CPU. */
lh_fault scene_read(test_scene *scene, uint64_t page, uint64_t *value);
lh_fault scene_write(test_scene *scene, uint64_t page, uint64_t value);
unsigned scene_cpu(void);
uint64_t scene_mine(uint64_t value);

/*
 * The last check: all walkers, holders, TLBs; then everything is unmapped, destroyed and dropped,
 * and every frame and charge must be back.
 */
void scene_check(test_scene *scene);

#endif
