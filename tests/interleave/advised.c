/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Huge leaves of spaces: a fault that brings one, or splits one, beside whatever takes a part of it or all.
 * The piece is pages 24 to 535, and the region has all of it.
 */
#include "interleave/piece.h"
#include "space/space.h"

/* --- start states --- */

static test_scene *open_advised(void)
{
	test_scene *scene = scene_open(2400);

	world_map(&scene->world, 0, PIECE, PAGES, READ_WRITE);
	CHECK_OK(lh_space_advise(scene->world.space[0], whole(scene), LH_ADVICE_HUGE));
	scene_load(scene, 0, 0, 0);
	return scene;
}

static void *open_untouched(void)
{
	return open_advised();
}

static bool is_huge(test_scene *scene, unsigned n)
{
	return world_leaf(&scene->world, n, PIECE).level == 1;
}

static test_scene *open_huge(void)
{
	test_scene *scene = open_advised();

	for (uint64_t page = PAGE_0; page < PAGE_0 + 2; page++)
		world_poke(&scene->world, 0, world_page(&scene->world, page), BEFORE);
	CHECK(is_huge(scene, 0) && world_leaf(&scene->world, 0, PIECE).kind == LH_LEAF_PRESENT);
	return scene;
}

static void *open_there(void)
{
	return open_huge();
}

static test_scene *open_forked(int cpu_1)
{
	test_scene *scene = open_huge();

	CHECK_OK(lh_space_fork(scene->world.space[0], scene->world.space[1]));
	CHECK(is_huge(scene, 1));
	scene_load(scene, 0, cpu_1, -1);
	return scene;
}

/* Both CPUs in the parent; each in one of the two. */
static void *open_shared(void)
{
	return open_forked(0);
}

static void *open_parent_and_child(void)
{
	return open_forked(1);
}

static void *open_shared_and_empty(void)
{
	test_scene *scene = open_forked(0);

	world_make(&scene->world, 2);
	return scene;
}

/* --- what the CPUs do --- */

static void write_mine(void *context)
{
	test_scene *scene = context;

	scene->faults[scene_cpu()][0] = scene_write(scene, PAGE_0 + scene_cpu(), scene_mine(1));
}

static void write_first(void *context)
{
	test_scene *scene = context;

	scene->faults[scene_cpu()][0] = scene_write(scene, PAGE_0, scene_mine(1));
}

static void unmap_whole(void *context)
{
	test_scene *scene = context;

	scene->errors[scene_cpu()] = lh_space_unmap(scene->world.space[0], whole(scene));
}

static void unmap_part(void *context)
{
	test_scene *scene = context;

	scene->errors[scene_cpu()] = lh_space_unmap(scene->world.space[0], part(scene));
}

/* The page beside what CPU 0 touches: the piece is not one region's any more. */
static void unmap_beside(void *context)
{
	test_scene *scene = context;

	scene->errors[scene_cpu()] =
		lh_space_unmap(scene->world.space[0], world_range(&scene->world, PAGE_0 + 1, 1));
}

static void protect_whole(void *context)
{
	test_scene *scene = context;

	scene->errors[scene_cpu()] = lh_space_protect(scene->world.space[0], whole(scene), READ);
}

static void protect_part(void *context)
{
	test_scene *scene = context;

	scene->errors[scene_cpu()] = lh_space_protect(scene->world.space[0], part(scene), READ);
}

static void discard_part(void *context)
{
	test_scene *scene = context;

	scene->errors[scene_cpu()] = lh_space_discard(scene->world.space[0], part(scene));
}

static void forbid_part(void *context)
{
	test_scene *scene = context;

	scene->errors[scene_cpu()] =
		lh_space_advise(scene->world.space[0], part(scene), LH_ADVICE_NO_HUGE);
}

static void fork_to_1(void *context)
{
	test_scene *scene = context;

	scene->errors[scene_cpu()] = lh_space_fork(scene->world.space[0], scene->world.space[1]);
}

static void fork_to_2(void *context)
{
	test_scene *scene = context;

	scene->errors[scene_cpu()] = lh_space_fork(scene->world.space[0], scene->world.space[2]);
}

/* --- what must hold --- */

static void check_both_written(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(scene->faults[0][0], LH_FAULT_OK);
	CHECK_EQUAL(scene->faults[1][0], LH_FAULT_OK);
	CHECK_EQUAL(word_of(scene, 0, PAGE_0), 0x101);
	CHECK_EQUAL(word_of(scene, 0, PAGE_0 + 1), 0x102);
	CHECK_EQUAL(world_counters(&scene->world, 0).resident, PAGES);
	if (world_counters(&scene->world, 1).resident != 0) {
		CHECK_EQUAL(word_of(scene, 1, PAGE_0), BEFORE);
		CHECK_EQUAL(word_of(scene, 1, PAGE_0 + 1), BEFORE);
	}
	scene_check(scene);
}

static void check_apart(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(word_of(scene, 0, PAGE_0), 0x101);
	CHECK_EQUAL(word_of(scene, 1, PAGE_0), 0x102);
	CHECK_EQUAL(word_of(scene, 0, PAGE_0 + 1), BEFORE);
	CHECK_EQUAL(word_of(scene, 1, PAGE_0 + 1), BEFORE);
	scene_check(scene);
}

/* CPU 0 wrote before or not at all; nothing is there that CPU 1 has unmapped. */
static void check_unmapped(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(scene->errors[1], LH_OK);
	CHECK(scene->faults[0][0] == LH_FAULT_OK || scene->faults[0][0] == LH_FAULT_NOT_MAPPED);
	CHECK_EQUAL(world_leaf(&scene->world, 0, PAGE_0).kind, LH_LEAF_EMPTY);
	CHECK_EQUAL(world_leaf(&scene->world, 0, PAGE_0 + 1).kind, LH_LEAF_EMPTY);
	scene_check(scene);
}

static void check_unmapped_beside(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(scene->errors[1], LH_OK);
	CHECK_EQUAL(scene->faults[0][0], LH_FAULT_OK);
	CHECK_EQUAL(word_of(scene, 0, PAGE_0), 0x101);
	CHECK_EQUAL(world_leaf(&scene->world, 0, PAGE_0 + 1).kind, LH_LEAF_EMPTY);
	scene_check(scene);
}

static void check_read_only(void *context)
{
	test_scene *scene = context;

	check_page_protected(scene);
	scene_check(scene);
}

static void check_discarded(void *context)
{
	test_scene *scene = context;

	check_page_emptied(scene);
	scene_check(scene);
}

static void check_advised(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(scene->errors[1], LH_OK);
	CHECK_EQUAL(scene->faults[0][0], LH_FAULT_OK);
	CHECK_EQUAL(word_of(scene, 0, PAGE_0), 0x101);
	CHECK(!is_huge(scene, 0));
	scene_check(scene);
}

/* The child has what was there before, or what CPU 0 wrote. */
static void check_child(test_scene *scene, unsigned child, uint64_t before)
{
	uint64_t word;

	CHECK_EQUAL(scene->errors[1], LH_OK);
	CHECK_EQUAL(scene->faults[0][0], LH_FAULT_OK);
	word = word_of(scene, child, PAGE_0);
	CHECK(word == before || word == 0x101);
	CHECK_EQUAL(word_of(scene, 0, PAGE_0), 0x101);
	world_poke(&scene->world, 0, world_page(&scene->world, PAGE_0), 0x900);
	CHECK_EQUAL(word_of(scene, child, PAGE_0), word);
	scene_check(scene);
}

static void check_forked_to_1(void *context)
{
	check_child(context, 1, 0);
}

static void check_forked_again(void *context)
{
	check_child(context, 2, BEFORE);
}

static void check_forked_there(void *context)
{
	check_child(context, 1, BEFORE);
}

static void check_read(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(scene->faults[0][0], LH_FAULT_OK);
	CHECK_EQUAL(scene->faults[1][0], LH_FAULT_OK);
	CHECK(scene->values[1][0] == BEFORE || scene->values[1][0] == 0x101 || scene->values[1][0] == 0);
	CHECK_EQUAL(word_of(scene, 0, PAGE_0), 0x101);
	scene_check(scene);
}

#define ADVISED(identifier, start, first, second, end)                                          \
	CASE(identifier, .host = &scene_host, .fibres = 2, .open = start, .bound = 2,           \
	     .run = { first, second }, .check = end)

ADVISED(advised_write_write, open_untouched, write_mine, write_mine, check_both_written)
ADVISED(advised_write_read, open_untouched, write_first, read_first, check_read)
ADVISED(advised_write_unmap, open_untouched, write_first, unmap_whole, check_unmapped)
ADVISED(advised_write_unmap_part, open_untouched, write_first, unmap_part, check_unmapped)
ADVISED(advised_write_unmap_beside, open_untouched, write_first, unmap_beside, check_unmapped_beside)
ADVISED(advised_write_protect, open_untouched, write_first, protect_whole, check_read_only)
ADVISED(advised_write_protect_part, open_untouched, write_first, protect_part, check_read_only)
ADVISED(advised_write_discard_part, open_untouched, write_first, discard_part, check_discarded)
ADVISED(advised_write_advise, open_untouched, write_first, forbid_part, check_advised)
ADVISED(advised_write_fork, open_untouched, write_first, fork_to_1, check_forked_to_1)
ADVISED(huge_write_fork, open_there, write_first, fork_to_1, check_forked_there)
ADVISED(huge_split_split, open_shared, write_mine, write_mine, check_both_written)
ADVISED(huge_split_read, open_shared, write_first, read_first, check_read)
ADVISED(huge_split_parent_child, open_parent_and_child, write_first, write_first, check_apart)
ADVISED(huge_split_unmap, open_shared, write_first, unmap_whole, check_unmapped)
ADVISED(huge_split_unmap_part, open_shared, write_first, unmap_part, check_unmapped)
ADVISED(huge_split_protect_part, open_shared, write_first, protect_part, check_read_only)
ADVISED(huge_split_discard_part, open_shared, write_first, discard_part, check_discarded)
ADVISED(huge_split_fork, open_shared_and_empty, write_first, fork_to_2, check_forked_again)
