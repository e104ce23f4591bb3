/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A leaf table that a fork shares: who opens it, drops it, or shares it anew, beside others of the same space or of
 * the other. The piece is pages 24 to 535, and the region has all of it.
 */
#include <stdlib.h>

#include "interleave/piece.h"
#include "space/space.h"

/* --- start states --- */

/* A page before it keeps the tables above, that a SHARED leaf may go alone. */
static test_scene *open_touched(void)
{
	test_scene *scene = scene_open(2600);

	world_map(&scene->world, 0, PIECE - 4, 1, READ_WRITE);
	world_poke(&scene->world, 0, world_page(&scene->world, PIECE - 4), BEFORE);
	world_map(&scene->world, 0, PIECE, PAGES, READ_WRITE);
	for (uint64_t page = PAGE_0; page < PAGE_0 + 2; page++)
		world_poke(&scene->world, 0, world_page(&scene->world, page), BEFORE);
	return scene;
}

/* Both CPUs have the pages cached, to be written. */
static void *open_cached(void)
{
	test_scene *scene = open_touched();

	scene_load(scene, 0, 0, -1);
	for (unsigned cpu = 0; cpu < 2; cpu++)
		for (uint64_t page = PAGE_0; page < PAGE_0 + 2; page++)
			CHECK_EQUAL(world_access(&scene->world, cpu, 0, world_page(&scene->world, page), MMU_WRITE,
						 &(uint64_t){ BEFORE }, 8),
				    LH_FAULT_OK);
	return scene;
}

static test_scene *open_forked(int cpu_0, int cpu_1)
{
	test_scene *scene = open_touched();

	CHECK_OK(lh_space_fork(scene->world.space[0], scene->world.space[1]));
	CHECK(world_is_shared(&scene->world, 0, PIECE) && world_is_shared(&scene->world, 1, PIECE));
	scene_load(scene, cpu_0, cpu_1, -1);
	return scene;
}

/* Both CPUs in the parent; each in one of the two; none in either. */
static void *open_in_parent(void) { return open_forked(0, 0); }
static void *open_in_each(void) { return open_forked(0, 1); }
static void *open_in_none(void) { return open_forked(-1, -1); }

/* And there is a third space. */
static test_scene *with_third(test_scene *scene)
{
	world_make(&scene->world, 2);
	return scene;
}

static void *open_for_third(void) { return with_third(open_forked(0, 1)); }

static test_scene *open_three(int cpu_0, int cpu_1)
{
	test_scene *scene = with_third(open_forked(cpu_0, cpu_1));

	CHECK_OK(lh_space_fork(scene->world.space[0], scene->world.space[2]));
	return scene;
}

static void *open_three_in_each(void) { return open_three(0, 1); }
static void *open_three_in_none(void) { return open_three(-1, -1); }

/* Each has a table of its own, and the frames are shared. */
static void *open_opened(void)
{
	test_scene *scene = with_third(open_forked(0, 0));

	for (unsigned n = 0; n < 2; n++)
		CHECK_EQUAL(world_peek(&scene->world, n, world_page(&scene->world, PAGE_0)), BEFORE);
	CHECK(!world_is_shared(&scene->world, 0, PIECE) && !world_is_shared(&scene->world, 1, PIECE));
	scene_load(scene, 0, 0, -1);
	return scene;
}

/* The child is gone. */
static test_scene *open_left(int cpus)
{
	test_scene *scene = open_forked(cpus, cpus);

	world_destroy(&scene->world, 1);
	return scene;
}

static void *open_left_inside(void) { return open_left(0); }
static void *open_left_outside(void) { return open_left(-1); }

/* --- what the CPUs do --- */

static void write_at(test_scene *scene, uint64_t page)
{
	scene->faults[scene_cpu()][0] = scene_write(scene, page, scene_mine(1));
}

static void write_first(void *scene) { write_at(scene, PAGE_0); }
static void write_mine(void *scene) { write_at(scene, PAGE_0 + scene_cpu()); }

/* A page that is not there. */
static void read_absent(void *context)
{
	test_scene *scene = context;
	unsigned cpu = scene_cpu();

	scene->faults[cpu][0] = scene_read(scene, PAGE_0 + 2, &scene->values[cpu][0]);
	CHECK_EQUAL(scene->values[cpu][0], 0);
	scene->values[cpu][0] = BEFORE;
}

/* By its tables, with no lock. */
static void measure(test_scene *scene, unsigned n)
{
	lh_space_usage usage;

	lh_space_measure(scene->world.space[n], whole(scene), &usage);
	CHECK(usage.resident <= 2); /* of the piece */
	CHECK_EQUAL(usage.huge, 0);
}

static void measure_parent(void *scene) { measure(scene, 0); }
static void measure_child(void *scene) { measure(scene, 1); }

static void pin_first(void *context)
{
	test_scene *scene = context;
	unsigned cpu = scene_cpu();

	scene->errors[cpu] = lh_space_pin(scene->world.space[0], world_range(&scene->world, PAGE_0, 1), LH_RIGHT_WRITE,
					  LH_PIN_SHORT, scene->frames[cpu], &scene->pinned[cpu]);
}

static void fork_0_to(test_scene *scene, unsigned child)
{
	scene->errors[scene_cpu()] = lh_space_fork(scene->world.space[0], scene->world.space[child]);
}

static void fork_to_1(void *scene) { fork_0_to(scene, 1); }
static void fork_to_2(void *scene) { fork_0_to(scene, 2); }

#define DOES(name, call)                                                                        \
	static void name(void *context)                                                         \
	{                                                                                       \
		test_scene *scene = context;                                                    \
		unsigned cpu = scene_cpu();                                                     \
                                                                                                \
		scene->errors[cpu] = call;                                                      \
	}

DOES(unmap_whole, lh_space_unmap(scene->world.space[0], whole(scene)))
DOES(unmap_whole_child, lh_space_unmap(scene->world.space[1], whole(scene)))
DOES(unmap_part, lh_space_unmap(scene->world.space[0], part(scene)))
DOES(protect_whole, lh_space_protect(scene->world.space[0], whole(scene), READ))
DOES(protect_part, lh_space_protect(scene->world.space[0], part(scene), READ))
DOES(discard_part, lh_space_discard(scene->world.space[0], part(scene)))
DOES(discard_whole, lh_space_discard(scene->world.space[0], whole(scene)))
DOES(collapse_whole, lh_space_collapse(scene->world.space[0], whole(scene)))

/* (Whoever runs it does not look at it again.) */
static void destroy(test_scene *scene, unsigned n)
{
	lh_space *space = scene->world.space[n];

	scene->world.space[n] = NULL;
	lh_space_destroy(space);
	scene->items[n] = space;
}

static void destroy_child(void *scene) { destroy(scene, 1); }
static void destroy_third(void *scene) { destroy(scene, 2); }

/* --- what must hold --- */

static void end(test_scene *scene)
{
	for (unsigned n = 0; n < SCENE_ITEMS; n++)
		free(scene->items[n]);
	scene_check(scene);
}

/* The other spaces have what was there before. */
static void check_others(test_scene *scene)
{
	for (unsigned n = 1; n < 3; n++)
		for (uint64_t page = PAGE_0; page < PAGE_0 + 2; page++)
			if (scene->world.space[n] && world_leaf(&scene->world, n, page).kind != LH_LEAF_EMPTY)
				CHECK_EQUAL(word_of(scene, n, page), BEFORE);
}

static void check_written(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(scene->faults[0][0], LH_FAULT_OK);
	CHECK_EQUAL(word_of(scene, 0, PAGE_0), 0x101);
	check_others(scene);
	end(scene);
}

static void check_both_written(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(scene->faults[1][0], LH_FAULT_OK);
	CHECK_EQUAL(word_of(scene, 0, PAGE_0 + 1), 0x102);
	check_written(context);
}

static void check_read(void *context)
{
	test_scene *scene = context;
	uint64_t value = scene->values[1][0];

	CHECK_EQUAL(scene->faults[1][0], LH_FAULT_OK);
	CHECK(value == BEFORE || value == 0x101);
	check_written(context);
}

static void check_apart(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(scene->faults[1][0], LH_FAULT_OK);
	CHECK_EQUAL(word_of(scene, 0, PAGE_0), 0x101);
	CHECK_EQUAL(word_of(scene, 1, PAGE_0), 0x102);
	CHECK_EQUAL(word_of(scene, 0, PAGE_0 + 1), BEFORE);
	CHECK_EQUAL(word_of(scene, 1, PAGE_0 + 1), BEFORE);
	if (scene->world.space[2])
		CHECK_EQUAL(word_of(scene, 2, PAGE_0), BEFORE);
	end(scene);
}

static void check_unmapped(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(scene->errors[1], LH_OK);
	CHECK(scene->faults[0][0] == LH_FAULT_OK || scene->faults[0][0] == LH_FAULT_NOT_MAPPED);
	CHECK_EQUAL(world_leaf(&scene->world, 0, PAGE_0).kind, LH_LEAF_EMPTY);
	check_others(scene);
	end(scene);
}

static void check_read_only(void *context)
{
	test_scene *scene = context;

	check_page_protected(scene);
	check_others(scene);
	end(scene);
}

static void check_discarded(void *context)
{
	test_scene *scene = context;

	check_page_emptied(scene);
	check_others(scene);
	end(scene);
}

static void check_collapsed(void *context)
{
	test_scene *scene = context;

	CHECK(scene->errors[1] == LH_OK || scene->errors[1] == LH_AGAIN);
	check_written(context);
}

/* The child has what was there before the write, or after it; and keeps it. */
static void check_child(test_scene *scene, unsigned child)
{
	uint64_t word;

	CHECK_EQUAL(scene->errors[1], LH_OK);
	CHECK_EQUAL(scene->faults[0][0], LH_FAULT_OK);
	/* Before anybody looks: no leaf stayed BUSY in what became shared meanwhile. */
	CHECK_SOUND(lh_space_check(scene->world.space[0]));
	CHECK_SOUND(lh_space_check(scene->world.space[child]));
	CHECK_EQUAL(word_of(scene, 0, PAGE_0), 0x101);
	word = word_of(scene, child, PAGE_0);
	CHECK(word == BEFORE || word == 0x101);
	world_poke(&scene->world, 0, world_page(&scene->world, PAGE_0), 0x900);
	CHECK_EQUAL(word_of(scene, child, PAGE_0), word);
	CHECK_EQUAL(word_of(scene, child, PAGE_0 + 1), BEFORE);
	end(scene);
}

static void check_forked_to_1(void *scene) { check_child(scene, 1); }
static void check_forked_to_2(void *scene) { check_child(scene, 2); }

static void check_absent_forked(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(scene->errors[1], LH_OK);
	CHECK_EQUAL(scene->faults[0][0], LH_FAULT_OK);
	CHECK_EQUAL(word_of(scene, 1, PAGE_0 + 2), 0);
	check_others(scene);
	end(scene);
}

/* What the device writes the parent reads, and nobody else. */
static void check_pinned(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(scene->errors[0], LH_OK);
	CHECK_EQUAL(scene->errors[1], LH_OK);
	CHECK_EQUAL(world_frame(&scene->world, 0, PAGE_0).value, scene->frames[0][0].value);
	CHECK(world_frame(&scene->world, 1, PAGE_0).value != scene->frames[0][0].value);
	CHECK_EQUAL(word_of(scene, 1, PAGE_0), BEFORE);
	lh_space_unpin(&scene->pinned[0]);
	end(scene);
}

static void check_gone(void *context)
{
	check_others(context);
	end(context);
}

#define SHARED(identifier, start, first, second, finish)                                        \
	CASE(identifier, .host = &scene_host, .fibres = 2, .open = start, .bound = 2,           \
	     .run = { first, second }, .check = finish)

/* CPU 1 forks. */
SHARED(shared_write_fork, open_cached, write_first, fork_to_1, check_forked_to_1)
SHARED(shared_read_fork, open_cached, read_absent, fork_to_1, check_absent_forked)
SHARED(shared_pin_fork, open_cached, pin_first, fork_to_1, check_pinned)
SHARED(shared_copy_fork, open_opened, write_first, fork_to_2, check_forked_to_2)
SHARED(shared_open_fork, open_for_third, write_first, fork_to_2, check_forked_to_2)
SHARED(shared_measure_fork, open_cached, fork_to_1, measure_child, check_gone)
/* In one space. */
SHARED(shared_open_open, open_in_parent, write_mine, write_mine, check_both_written)
SHARED(shared_open_read, open_in_parent, write_first, read_first, check_read)
SHARED(shared_open_absent, open_in_parent, write_first, read_absent, check_read)
SHARED(shared_alone_alone, open_left_inside, write_mine, write_mine, check_both_written)
SHARED(shared_open_unmap, open_in_parent, write_first, unmap_whole, check_unmapped)
SHARED(shared_open_unmap_part, open_in_parent, write_first, unmap_part, check_unmapped)
SHARED(shared_open_protect, open_in_parent, write_first, protect_whole, check_read_only)
SHARED(shared_open_protect_part, open_in_parent, write_first, protect_part, check_read_only)
SHARED(shared_open_discard, open_in_parent, write_first, discard_whole, check_discarded)
SHARED(shared_open_discard_part, open_in_parent, write_first, discard_part, check_discarded)
SHARED(shared_open_collapse, open_left_inside, write_first, collapse_whole, check_collapsed)
/* In two: both open, one leaves, both leave. */
SHARED(shared_open_each, open_in_each, write_first, write_first, check_apart)
SHARED(shared_open_each_of_three, open_three_in_each, write_first, write_first, check_apart)
SHARED(shared_open_destroy, open_in_parent, write_first, destroy_child, check_written)
SHARED(shared_open_unmap_there, open_in_parent, write_first, unmap_whole_child, check_written)
SHARED(shared_unmap_destroy, open_in_none, unmap_whole, destroy_child, check_gone)
SHARED(shared_unmap_unmap, open_in_none, unmap_whole, unmap_whole_child, check_gone)
SHARED(shared_destroy_destroy, open_three_in_none, destroy_child, destroy_third, check_gone)
SHARED(shared_open_measure, open_in_each, write_first, measure_child, check_written)
SHARED(shared_unmap_measure, open_in_none, unmap_whole_child, measure_child, check_gone)
SHARED(shared_last_unmap_measure, open_left_outside, unmap_whole, measure_parent, check_gone)
/* Who reads the child's is waited for by the child, though the parent frees the table. */
CASE(shared_unmap_both_measure, .host = &scene_host, .fibres = 3, .open = open_in_none, .bound = 2,
     .run = { unmap_whole, unmap_whole_child, measure_child }, .check = check_gone)
