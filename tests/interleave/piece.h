/* SPDX-License-Identifier: BSD-2-Clause */
/* Scenes of one piece of 2 MiB, which a region has wholly: one that a huge leaf or a leaf table may have. */
#ifndef TESTS_INTERLEAVE_PIECE_H
#define TESTS_INTERLEAVE_PIECE_H

#include "interleave/scene.h"

#define PIECE UINT64_C(24) /* its first page */
#define PAGES UINT64_C(512)
#define PAGE_0 UINT64_C(30) /* one that is touched: by CPU 0, or the first of two that are there */
#define BEFORE UINT64_C(0x700)

static inline lh_virtual_range whole(test_scene *scene)
{
	return world_range(&scene->world, PIECE, PAGES);
}

/* Two pages, of which PAGE_0 is the first. */
static inline lh_virtual_range part(test_scene *scene)
{
	return world_range(&scene->world, PAGE_0, 2);
}

static inline uint64_t word_of(test_scene *scene, unsigned n, uint64_t page)
{
	return world_peek(&scene->world, n, world_page(&scene->world, page));
}

static inline void read_first(void *context)
{
	test_scene *scene = context;
	unsigned cpu = scene_cpu();

	scene->faults[cpu][0] = scene_read(scene, PAGE_0, &scene->values[cpu][0]);
}

/* CPU 0 wrote to PAGE_0 while CPU 1 took the right to. */
static inline void check_page_protected(test_scene *scene)
{
	lh_fault fault = scene->faults[0][0];

	CHECK_EQUAL(scene->errors[1], LH_OK);
	CHECK(fault == LH_FAULT_OK || fault == LH_FAULT_NO_ACCESS);
	CHECK_EQUAL(world_write(&scene->world, 0, world_page(&scene->world, PAGE_0), 1), LH_FAULT_NO_ACCESS);
	if (fault == LH_FAULT_OK)
		CHECK_EQUAL(word_of(scene, 0, PAGE_0), 0x101);
}

/* CPU 0 wrote to PAGE_0 while CPU 1 discarded it. */
static inline void check_page_emptied(test_scene *scene)
{
	uint64_t word;

	CHECK_EQUAL(scene->errors[1], LH_OK);
	CHECK_EQUAL(scene->faults[0][0], LH_FAULT_OK);
	word = word_of(scene, 0, PAGE_0);
	CHECK(word == 0 || word == 0x101);
}

#endif
