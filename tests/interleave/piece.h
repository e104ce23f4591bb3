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

#endif
