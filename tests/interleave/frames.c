/* SPDX-License-Identifier: BSD-2-Clause */
/* Locks, frames, charges, pools, and frames held beyond what was promised. */
#include <stdlib.h>
#include <string.h>

#include <landhold/reclaim.h>

#include "interleave/locks.h"
#include "interleave/scene.h"
#include "object/surplus.h"

/* --- the two locks --- */

struct locking {
	test_scene scene; /* first: the host's */
	struct counted *counted;
};

static void *open_lock(void)
{
	struct locking *locking = calloc(1, sizeof *locking);

	locking->scene.world.machine = machine_create_simple(0, 4, 3);
	locking->counted = aligned_alloc(64, sizeof *locking->counted);
	memset(locking->counted, 0, sizeof *locking->counted);
	return locking;
}

static void add(struct locking *locking, bool parks)
{
	counted_add(locking->counted, locking->scene.world.machine, parks);
}

static void add_spinning(void *locking) { add(locking, false); }
static void add_parking(void *locking) { add(locking, true); }

static void add_parking_twice(void *locking)
{
	add(locking, true);
	add(locking, true);
}

static void check_counts(struct locking *locking, uint64_t count)
{
	CHECK_EQUAL(locking->counted->count, count);
	CHECK_EQUAL(locking->counted->again, count);
	CHECK_EQUAL(locking->counted->lock, 0);
}

static void check_two(void *locking) { check_counts(locking, 2); }
static void check_three(void *locking) { check_counts(locking, 3); }
static void check_four(void *locking) { check_counts(locking, 4); }

/* The machine alone: there is no library object to describe. */
static void begin(void *context) { scene_host.begin(context); }
static void end(void *context) { scene_host.end(context); }
static void ended(void *context) { scene_host.ended(context); }
static uintptr_t leave(void *context, unsigned fibre) { return scene_host.leave(context, fibre); }
static void enter(void *context, unsigned fibre, uintptr_t kept)
{
	scene_host.enter(context, fibre, kept);
}

static const interleave_host machine_host = { .begin = begin, .end = end, .ended = ended,
					      .leave = leave, .enter = enter };

#define LOCKS(identifier, fibre_count, most, buffers, first, second, third, at_end)              \
	CASE(identifier, .host = &machine_host, .fibres = fibre_count, .open = open_lock,        \
	     .bound = most, .store_buffers = buffers, .run = { first, second, third },           \
	     .check = at_end)

LOCKS(spin_lock_two, 2, INTERLEAVE_UNBOUNDED, false, add_spinning, add_spinning, NULL, check_two)
LOCKS(spin_lock_two_buffered, 2, INTERLEAVE_UNBOUNDED, true, add_spinning, add_spinning, NULL,
      check_two)
LOCKS(spin_lock_three, 3, 3, false, add_spinning, add_spinning, add_spinning, check_three)
LOCKS(mutex_two, 2, INTERLEAVE_UNBOUNDED, false, add_parking_twice, add_parking_twice, NULL,
      check_four)
LOCKS(mutex_two_buffered, 2, 4, true, add_parking_twice, add_parking_twice, NULL, check_four)
LOCKS(mutex_three, 3, 3, false, add_parking, add_parking, add_parking, check_three)

/* --- frames --- */

/* Frames are taken until so many are left free; CPU 1's is one of them. */
static test_scene *open_frames(uint64_t left)
{
	test_scene *scene = scene_open(0);
	lh_frames *frames = scene->world.frames;
	uint64_t taken = world_frame_counters(&scene->world).free - left;
	lh_frame_number frame;

	CHECK_OK(lh_frame_allocate(frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &scene->frames[1][0]));
	for (uint64_t n = 1; n < taken; n++)
		CHECK_OK(lh_frame_allocate(frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &frame));
	scene_load(scene, -1, -1, -1);
	return scene;
}

static void *open_one_free(void)
{
	return open_frames(1);
}

static void *open_four_free(void)
{
	return open_frames(4);
}

static void allocate(void *context)
{
	test_scene *scene = context;
	unsigned cpu = scene_cpu();

	scene->errors[cpu] = lh_frame_allocate_zeroed(scene->world.frames, LH_FRAME_KERNEL,
						      LH_FRAME_UNCHARGED, &scene->frames[cpu][1]);
}

static void drop(void *context)
{
	test_scene *scene = context;

	CHECK(lh_frame_drop(scene->world.frames, scene->frames[1][0]));
}

/* So many more are free now, if all went as it should. */
static void check_frames(test_scene *scene, uint64_t free)
{
	const uint8_t *bytes;

	CHECK_SOUND(lh_frames_check(scene->world.frames));
	CHECK_EQUAL(world_frame_counters(&scene->world).free, free);
	for (unsigned cpu = 0; cpu < 3; cpu++) {
		if (scene->frames[cpu][1].value == 0 || scene->errors[cpu] != LH_OK)
			continue;
		bytes = machine_bytes(scene->world.machine, scene->frames[cpu][1].value);
		for (unsigned i = 0; i < PAGE; i++)
			CHECK_EQUAL(bytes[i], 0);
	}
}

static void check_allocated(void *context)
{
	test_scene *scene = context;

	CHECK(scene->errors[0] == LH_OK || scene->errors[2] == LH_OK);
	CHECK(scene->frames[0][1].value != scene->frames[2][1].value);
	check_frames(scene, scene->errors[0] == LH_OK && scene->errors[2] == LH_OK ? 0 : 1);
}

static void allocate_and_drop(void *context)
{
	test_scene *scene = context;

	allocate(scene);
	CHECK_EQUAL(scene->errors[scene_cpu()], LH_OK);
	lh_frame_drop(scene->world.frames, scene->frames[scene_cpu()][1]);
	scene->frames[scene_cpu()][1].value = 0;
}

static void check_all_back(void *context)
{
	check_frames(context, 4);
}

CASE(frame_allocate_free_allocate, .host = &scene_host, .fibres = 3, .open = open_one_free,
     .bound = 2, .run = { allocate, drop, allocate }, .check = check_allocated)
CASE(frame_allocate_drop_twice, .host = &scene_host, .fibres = 2, .open = open_four_free,
     .bound = 3, .run = { allocate_and_drop, allocate_and_drop }, .check = check_all_back)
CASE(frame_allocate_drop_twice_buffered, .host = &scene_host, .fibres = 2, .open = open_four_free,
     .bound = 1, .run = { allocate_and_drop, allocate_and_drop }, .check = check_all_back,
     .store_buffers = true)

/*
 * Enough are free that CPUs keep some: what CPU 0 keeps is gathered while it is at it. The charge is all
 * that can be promised while CPU 0 has its one frame, so it must be had at any time; and in a
 * snapshot no frame is missing.
 */
#define PLENTY 40

static void *open_plenty(void)
{
	return open_frames(PLENTY);
}

static void gather_promises(void *context)
{
	test_scene *scene = context;

	CHECK_OK(lh_charge_take(scene->world.frames, PLENTY - 1));
	lh_charge_give_back(scene->world.frames, PLENTY - 1);
}

static void drain(void *context)
{
	test_scene *scene = context;

	lh_frames_drain(scene->world.frames);
}

/* No CPU keeps any yet: it begins to, while others gather. */
static void *open_plenty_unused(void)
{
	test_scene *scene = open_plenty();

	lh_frames_drain(scene->world.frames);
	return scene;
}

static void snapshot(void *context)
{
	test_scene *scene = context;
	lh_frame_counters counters;

	lh_frames_read_counters(scene->world.frames, &counters);
	CHECK(counters.free == PLENTY || counters.free == PLENTY - 1);
	for (unsigned state = 0; state < LH_FRAME_STATE_COUNT; state++)
		counters.free += counters.used[state];
	CHECK_EQUAL(counters.free, counters.total);
}

static void check_plenty(void *context)
{
	check_frames(context, PLENTY);
}

CASE(frame_own_gather_promises, .host = &scene_host, .fibres = 2, .open = open_plenty, .bound = 3,
     .run = { allocate_and_drop, gather_promises }, .check = check_plenty)
CASE(frame_own_drain, .host = &scene_host, .fibres = 2, .open = open_plenty, .bound = 3,
     .run = { allocate_and_drop, drain }, .check = check_plenty)
CASE(frame_first_drain, .host = &scene_host, .fibres = 2, .open = open_plenty_unused, .bound = 3,
     .run = { allocate_and_drop, drain }, .check = check_plenty)
CASE(frame_own_snapshot, .host = &scene_host, .fibres = 2, .open = open_plenty, .bound = 3,
     .run = { allocate_and_drop, snapshot }, .check = check_plenty)
CASE(frame_own_gather_gather, .host = &scene_host, .fibres = 3, .open = open_plenty, .bound = 2,
     .run = { allocate_and_drop, gather_promises, snapshot }, .check = check_plenty)
CASE(frame_own_gather_buffered, .host = &scene_host, .fibres = 2, .open = open_plenty, .bound = 1,
     .run = { allocate_and_drop, drain }, .check = check_plenty, .store_buffers = true)

/* --- shrinkers: one that has been removed is asked no more, and its memory is another's --- */

struct leaving {
	lh_shrinker shrinker; /* first: a shrinker is its cache */
	lh_frames *frames;
	bool is_gone;
	uint64_t freed;
};

static uint64_t give_one(lh_shrinker *shrinker, unsigned priority, uint64_t most)
{
	struct leaving *leaving = (struct leaving *)shrinker;
	lh_frame_number frame;

	(void)priority;
	(void)most;
	CHECK(!leaving->is_gone);
	CHECK_OK(lh_frame_allocate(leaving->frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &frame));
	(void)lh_frame_drop(leaving->frames, frame);
	CHECK(!leaving->is_gone);
	leaving->freed++;
	return 1;
}

static void *open_shrinker(void)
{
	test_scene *scene = open_frames(PLENTY);
	struct leaving *leaving = calloc(1, sizeof *leaving);

	*leaving = (struct leaving){ .shrinker = { .scan = give_one }, .frames = scene->world.frames };
	lh_shrinker_add(scene->world.frames, &leaving->shrinker);
	scene->items[0] = leaving;
	return scene;
}

static void reclaim(void *context)
{
	test_scene *scene = context;

	scene->values[scene_cpu()][0] = lh_frames_reclaim(scene->world.frames, 1);
}

static void remove_shrinker(void *context)
{
	test_scene *scene = context;
	struct leaving *leaving = scene->items[0];

	lh_shrinker_remove(scene->world.frames, &leaving->shrinker);
	memset(&leaving->shrinker, 0xd5, sizeof leaving->shrinker);
	leaving->is_gone = true;
}

static void check_removed(void *context)
{
	test_scene *scene = context;
	struct leaving *leaving = scene->items[0];
	uint64_t freed = 0;

	for (unsigned cpu = 0; cpu < 3; cpu++)
		freed += scene->values[cpu][0];
	CHECK_EQUAL(leaving->freed, freed);
	CHECK_EQUAL(lh_frames_reclaim(scene->world.frames, 1), 0);
	check_plenty(scene);
}

CASE(reclaim_remove, .host = &scene_host, .fibres = 2, .open = open_shrinker, .bound = 3,
     .run = { reclaim, remove_shrinker }, .check = check_removed)
CASE(reclaim_reclaim_remove, .host = &scene_host, .fibres = 3, .open = open_shrinker, .bound = 1,
     .run = { reclaim, reclaim, remove_shrinker }, .check = check_removed)

/* Two holders go at once: one of them frees. */
static void *open_two_holders(void)
{
	test_scene *scene = open_frames(4);

	lh_frame_hold(scene->world.frames, scene->frames[1][0]);
	return scene;
}

static void drop_one(void *context)
{
	test_scene *scene = context;

	scene->values[scene_cpu()][0] = lh_frame_drop(scene->world.frames, scene->frames[1][0]);
}

static void check_dropped(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(scene->values[0][0] + scene->values[1][0], 1);
	check_frames(scene, 5);
}

CASE(b30_frame_drop_drop, .host = &scene_host, .fibres = 2, .open = open_two_holders,
     .bound = INTERLEAVE_UNBOUNDED, .run = { drop_one, drop_one }, .check = check_dropped)

/* --- charges --- */

static void charge(void *context)
{
	test_scene *scene = context;

	scene->errors[scene_cpu()] = lh_charge_take(scene->world.frames, 3);
}

static void check_charges(void *context)
{
	test_scene *scene = context;

	CHECK((scene->errors[0] == LH_OK) + (scene->errors[1] == LH_OK) == 1);
	CHECK_EQUAL(world_frame_counters(&scene->world).committed, 3);
	check_frames(scene, 4);
}

CASE(charge_charge, .host = &scene_host, .fibres = 2, .open = open_four_free,
     .bound = 4, .run = { charge, charge }, .check = check_charges)

/* --- A21: a promise is given back while another CPU has a frame for it --- */

static void *open_one_promised(void)
{
	test_scene *scene = open_frames(PLENTY);

	CHECK_OK(lh_charge_take(scene->world.frames, PLENTY));
	return scene;
}

static void use_promise(void *context)
{
	test_scene *scene = context;
	lh_frame_number frame;

	CHECK_OK(lh_frame_allocate(scene->world.frames, LH_FRAME_ANONYMOUS, LH_FRAME_CHARGED, &frame));
	lh_frame_drop(scene->world.frames, frame);
}

static void give_promise_back(void *context)
{
	test_scene *scene = context;

	lh_charge_give_back(scene->world.frames, PLENTY);
	CHECK_OK(lh_charge_take(scene->world.frames, PLENTY - 1));
}

static void check_promise(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(world_frame_counters(&scene->world).committed, PLENTY - 1);
	check_plenty(scene);
}

CASE(a21_frame_promise_gone, .host = &scene_host, .fibres = 2, .open = open_one_promised, .bound = 3,
     .run = { use_promise, give_promise_back }, .check = check_promise)

/* --- pools: items so large that a page has two --- */

static test_scene *open_pool(unsigned items)
{
	test_scene *scene = scene_open(0);
	lh_pool *pool = aligned_alloc(64, sizeof *pool);

	CHECK_OK(lh_pool_init(pool, scene->world.frames, "items", 1900));
	CHECK_EQUAL(pool->items_per_page, 2);
	scene->pool = pool;
	for (unsigned i = 0; i < items; i++)
		CHECK_OK(lh_pool_take(pool, &scene->items[i]));
	scene_load(scene, -1, -1, -1);
	return scene;
}

static void *open_pool_empty(void)
{
	return open_pool(0);
}

static void *open_pool_one(void)
{
	return open_pool(1);
}

static void *open_pool_two(void)
{
	return open_pool(2);
}

static void take(void *context)
{
	test_scene *scene = context;

	CHECK_OK(lh_pool_take(scene->pool, &scene->items[4 + scene_cpu()]));
}

static void give_first(void *context)
{
	test_scene *scene = context;

	lh_pool_give_back(scene->pool, scene->items[0]);
	scene->items[0] = NULL;
}

static void give_second(void *context)
{
	test_scene *scene = context;

	lh_pool_give_back(scene->pool, scene->items[1]);
	scene->items[1] = NULL;
}

static void check_pool(void *context)
{
	test_scene *scene = context;
	unsigned items = 0;

	CHECK_SOUND(lh_pool_check(scene->pool));
	for (unsigned i = 0; i < SCENE_ITEMS; i++) {
		items += scene->items[i] != NULL;
		for (unsigned k = 0; k < i; k++)
			CHECK(!scene->items[i] || scene->items[i] != scene->items[k]);
	}
	CHECK_EQUAL(lh_pool_read_counters(scene->pool).items, items);
	for (unsigned i = 0; i < SCENE_ITEMS; i++)
		if (scene->items[i])
			lh_pool_give_back(scene->pool, scene->items[i]);
	(void)lh_pool_trim(scene->pool, 0, NULL);
	CHECK_EQUAL(lh_pool_read_counters(scene->pool).pages, 0);
	scene_check(scene);
}

#define POOLS(identifier, start, first, second)                                                  \
	CASE(identifier, .host = &scene_host, .fibres = 2, .open = start, .bound = 3,            \
	     .run = { first, second }, .check = check_pool)

POOLS(pool_take_take_empty, open_pool_empty, take, take)
POOLS(pool_take_take_one, open_pool_one, take, take)
POOLS(pool_take_give, open_pool_one, take, give_first)
POOLS(pool_take_give_full, open_pool_two, take, give_first)
POOLS(pool_give_give, open_pool_two, give_first, give_second)

/* --- with fronts, and pages that are kept: what is there from the start is CPU 0's --- */

static test_scene *open_fronts(unsigned items)
{
	test_scene *scene = open_pool(0);

	lh_pool_add_fronts(scene->pool, aligned_alloc(16, lh_pool_fronts_size()));
	lh_pool_keep_pages(scene->pool);
	for (unsigned i = 0; i < items; i++)
		CHECK_OK(lh_pool_take(scene->pool, &scene->items[i]));
	return scene;
}

static void *open_fronts_one(void)
{
	return open_fronts(1);
}

static void *open_fronts_two(void)
{
	return open_fronts(2);
}

/* One item is free, and no frame; each of those that are taken names the one before. */
static void *open_fronts_last(void)
{
	test_scene *scene = open_fronts(1);
	lh_frames *frames = scene->world.frames;
	lh_frame_number frame, before = lh_frame(LH_NO_FRAME);

	for (; lh_frame_allocate(frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &frame) == LH_OK; before = frame)
		*(lh_frame_number *)lh_frame_pointer(frames, frame) = before;
	scene->frames[0][0] = before;
	return scene;
}

static void take_last(void *context)
{
	test_scene *scene = context;

	scene->errors[scene_cpu()] = lh_pool_take(scene->pool, &scene->items[4 + scene_cpu()]);
}

static void trim(void *context)
{
	test_scene *scene = context;

	(void)lh_pool_trim(scene->pool, 0, NULL);
}

static void check_last(void *context)
{
	test_scene *scene = context;
	lh_frame_number frame = scene->frames[0][0], before;

	CHECK((scene->errors[0] == LH_OK) + (scene->errors[1] == LH_OK) == 1);
	for (; !lh_frame_is_none(frame); frame = before) {
		before = *(lh_frame_number *)lh_frame_pointer(scene->world.frames, frame);
		lh_frame_drop(scene->world.frames, frame);
	}
	check_pool(scene);
}

POOLS(pool_fronts_give_take, open_fronts_two, give_first, take)
POOLS(pool_fronts_take_give_foreign, open_fronts_two, take, give_first)
POOLS(pool_fronts_give_give_foreign, open_fronts_two, give_first, give_second)
POOLS(pool_fronts_give_trim, open_fronts_one, give_first, trim)
CASE(pool_fronts_take_last, .host = &scene_host, .fibres = 2, .open = open_fronts_last, .bound = 3,
     .run = { take_last, take_last }, .check = check_last)

/* --- surplus: who was promised a frame gets it --- */

/*
 * Memory for two pages is promised, and as many frames are left: two CPUs touch the same page,
 * and may each take one, while the third touches the other page.
 */
static void *open_promised(void)
{
	test_scene *scene = scene_open(0);
	lh_frames *frames = scene->world.frames;
	lh_frame_number frame;

	world_map(&scene->world, 0, SCENE_PAGE, 3, READ_WRITE);
	world_poke(&scene->world, 0, world_page(&scene->world, SCENE_PAGE + 2), 1);
	scene_load(scene, 0, 0, 0);
	while (lh_frame_allocate(frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &frame) == LH_OK)
		scene->extra[0]++;
	CHECK_EQUAL(world_frame_counters(&scene->world).free, 2);
	return scene;
}

static void write_first(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(scene_write(scene, SCENE_PAGE, scene_mine(1)), LH_FAULT_OK);
}

static void write_other(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(scene_write(scene, SCENE_PAGE + 1, scene_mine(1)), LH_FAULT_OK);
}

static void check_promised(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(world_frame_counters(&scene->world).free, 0);
	CHECK_EQUAL(world_counters(&scene->world, 0).resident, 3);
	world_check_quickly(&scene->world);
}

CASE(surplus_fault_fault_fault, .host = &scene_host, .fibres = 3, .open = open_promised, .bound = 2,
     .run = { write_first, write_first, write_other }, .check = check_promised)

/* The counting alone: CPU 0 holds the only frame for a moment. */
static void hold_for_a_moment(void *context)
{
	test_scene *scene = context;
	lh_surplus_share share = lh_surplus_begin(scene->world.manager, 1);
	lh_frame_number frame;
	bool held;

	held = lh_frame_allocate(scene->world.frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &frame) ==
	       LH_OK;
	if (held)
		lh_frame_drop(scene->world.frames, frame);
	(void)lh_surplus_end(scene->world.manager, share, held);
}

static void insist(void *context)
{
	test_scene *scene = context;
	lh_frame_number *frame = &scene->frames[scene_cpu()][1];

	for (;;) {
		uint32_t seen = lh_surplus_seen(scene->world.manager);

		if (lh_frame_allocate(scene->world.frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED,
				      frame) == LH_OK)
			return;
		if (!lh_surplus_wait(scene->world.manager, seen))
			interleave_fail("memory is said to have run out, and has not");
	}
}

static void check_insisted(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(world_frame_counters(&scene->world).free, 0);
	CHECK_EQUAL(scene->world.manager->surplus.holding, 0);
	CHECK_EQUAL(scene->world.manager->surplus.waiting, 0);
}

CASE(surplus_hold_insist, .host = &scene_host, .fibres = 2, .open = open_one_free, .bound = 4,
     .run = { hold_for_a_moment, insist }, .check = check_insisted)
CASE(surplus_hold_hold_insist, .host = &scene_host, .fibres = 3, .open = open_one_free, .bound = 2,
     .run = { hold_for_a_moment, hold_for_a_moment, insist }, .check = check_insisted)
CASE(surplus_hold_insist_buffered, .host = &scene_host, .fibres = 2, .open = open_one_free,
     .bound = 1, .run = { hold_for_a_moment, insist }, .check = check_insisted,
     .store_buffers = true)
