/* SPDX-License-Identifier: BSD-2-Clause */
/* Objects: truncation and write-back against those who map and touch their pages. */
#include <string.h>

#include "interleave/scene.h"

#define OLD UINT64_C(0x700)

/* --- start states: an object of two pages at pages 30 and 31 of spaces 0 and 1 --- */

static void map_object(test_scene *scene, uint32_t flags)
{
	for (unsigned n = 0; n < 2; n++)
		world_map_object(&scene->world, n, SCENE_PAGE, 2, READ_WRITE, flags, scene->object,
				 0);
}

static void touch(test_scene *scene, unsigned n, uint64_t page, uint64_t value)
{
	world_poke(&scene->world, n, world_page(&scene->world, page), value);
}

static test_scene *open_object(uint32_t flags)
{
	test_scene *scene = scene_open(0);

	scene->object = world_object(&scene->world, 2 * PAGE, false);
	map_object(scene, flags);
	touch(scene, 0, SCENE_PAGE, OLD);
	touch(scene, 1, SCENE_PAGE, OLD);
	scene_load(scene, 0, 1, 1);
	return scene;
}

static void *open_shared(void)
{
	return open_object(LH_REGION_SHARED);
}

static void *open_shared_beside(void)
{
	test_scene *scene = open_object(LH_REGION_SHARED);

	touch(scene, 0, SCENE_PAGE + 1, OLD);
	return scene;
}

/* Private copies of the page, in both spaces. */
static void *open_private(void)
{
	return open_object(0);
}

/* Tables are there, the page is not. */
static void *open_shared_absent(void)
{
	test_scene *scene = scene_open(0);

	scene->object = world_object(&scene->world, 2 * PAGE, false);
	map_object(scene, LH_REGION_SHARED);
	touch(scene, 0, SCENE_PAGE + 1, OLD);
	touch(scene, 1, SCENE_PAGE + 1, OLD);
	scene_load(scene, 0, 1, 1);
	return scene;
}

/* The same, of an object whose account has room for one page more. */
static void *open_shared_limited(void)
{
	test_scene *scene = scene_open(0);

	CHECK_OK(lh_account_open(&scene->account, scene->world.frames, NULL, 2));
	scene->world.objects_account = &scene->account;
	scene->object = world_object(&scene->world, 3 * PAGE, false);
	for (unsigned n = 0; n < 2; n++) {
		world_map_object(&scene->world, n, SCENE_PAGE, 3, READ_WRITE, LH_REGION_SHARED, scene->object, 0);
		touch(scene, n, SCENE_PAGE + 2, OLD);
	}
	scene_load(scene, 0, 1, 1);
	return scene;
}

static test_scene *open_file(uint32_t flags, bool is_shown)
{
	test_scene *scene = scene_open(0);
	uint64_t value;

	scene->object = world_file_open(&scene->world, &scene->file, 2 * PAGE);
	world_map_object(&scene->world, 0, SCENE_PAGE, 2, READ_WRITE, flags, scene->object, 0);
	value = world_peek(&scene->world, 0, world_page(&scene->world, SCENE_PAGE + 1));
	if (is_shown)
		value = world_peek(&scene->world, 0, world_page(&scene->world, SCENE_PAGE));
	(void)value;
	scene_load(scene, 0, 0, 0);
	return scene;
}

static void *open_file_absent(void)
{
	return open_file(LH_REGION_SHARED, false);
}

static void *open_file_shown(void)
{
	return open_file(LH_REGION_SHARED, true);
}

static void *open_file_dirty(void)
{
	test_scene *scene = open_file(LH_REGION_SHARED, true);

	touch(scene, 0, SCENE_PAGE, OLD);
	return scene;
}

static void *open_file_private(void)
{
	return open_file(0, true);
}

/* --- what CPUs do --- */

static void write_twice(void *context)
{
	test_scene *scene = context;
	lh_fault *faults = scene->faults[scene_cpu()];

	faults[0] = scene_write(scene, SCENE_PAGE, scene_mine(1));
	faults[1] = scene_write(scene, SCENE_PAGE, scene_mine(2));
}

static void truncate(void *context)
{
	test_scene *scene = context;
	uint64_t value;

	CHECK_OK(lh_object_resize(scene->object, 0));
	CHECK_EQUAL(scene_read(scene, SCENE_PAGE, &value), LH_FAULT_BUS);
}

/* What was cut off does not come back, in either space. */
static void truncate_and_grow(void *context)
{
	test_scene *scene = context;
	uint64_t value;

	CHECK_OK(lh_object_resize(scene->object, 0));
	CHECK_OK(lh_object_resize(scene->object, 2 * PAGE));
	CHECK_EQUAL(scene_read(scene, SCENE_PAGE, &value), LH_FAULT_OK);
	CHECK(value != OLD);
}

static void unmap(void *context)
{
	test_scene *scene = context;
	unsigned n = (unsigned)scene->world.loaded[scene_cpu()];

	CHECK_OK(lh_space_unmap(scene->world.space[n], world_range(&scene->world, SCENE_PAGE, 2)));
}

/* Over the first page of the two, what was there: the new region becomes one with what is left. */
static void map_the_same_over(void *context)
{
	test_scene *scene = context;
	lh_virtual_range placed;
	lh_map_request request = { .where = LH_OVER, .pages = 1, .rights = READ_WRITE,
				   .address = lh_virtual(world_page(&scene->world, SCENE_PAGE)),
				   .flags = LH_REGION_SHARED, .object = scene->object };

	CHECK_OK(lh_space_map(scene->world.space[0], &request, &placed));
}

static void try_page(void *context)
{
	test_scene *scene = context;

	scene->faults[scene_cpu()][0] = scene_write(scene, SCENE_PAGE, scene_mine(1));
}

static void try_own_page(void *context)
{
	test_scene *scene = context;
	unsigned cpu = scene_cpu();

	scene->faults[cpu][0] = scene_write(scene, SCENE_PAGE + cpu, scene_mine(1));
}

/* Fork of space 1, where CPU 1 or 2 runs, into space 2. */
static void fork_it(void *context)
{
	test_scene *scene = context;

	CHECK_OK(lh_space_fork(scene->world.space[1], scene->world.space[2]));
}

/* --- what must hold --- */

static void check_truncated(void *context)
{
	test_scene *scene = context;
	const lh_fault *faults = scene->faults[0];

	CHECK(faults[0] == LH_FAULT_OK || faults[0] == LH_FAULT_BUS);
	CHECK(faults[1] == LH_FAULT_BUS || (faults[0] == LH_FAULT_OK && faults[1] == LH_FAULT_OK));
	CHECK_EQUAL(lh_object_pages(scene->object), 0);
	CHECK_EQUAL(world_counters(&scene->world, 0).resident, 0);
	CHECK_EQUAL(world_counters(&scene->world, 1).resident, 0);
	scene_check(scene);
}

static void check_grown(void *context)
{
	test_scene *scene = context;
	uint64_t value = world_peek(&scene->world, 0, world_page(&scene->world, SCENE_PAGE));

	CHECK(value == 0 || value == 0x101 || value == 0x201);
	if (scene->faults[0][1] != LH_FAULT_OK)
		CHECK_EQUAL(value, 0);
	scene_check(scene);
}

/* The account had room for one page: whoever needs it has it, and who needs another one has none. */
static void check_limited(test_scene *scene, unsigned resolved)
{
	lh_fault first = scene->faults[0][0], second = scene->faults[1][0];

	CHECK((first == LH_FAULT_OK) + (second == LH_FAULT_OK) == (int)resolved);
	CHECK(first == LH_FAULT_OK || first == LH_FAULT_BUS);
	CHECK(second == LH_FAULT_OK || second == LH_FAULT_BUS);
	CHECK_EQUAL(lh_object_pages(scene->object), 2);
	CHECK_EQUAL(lh_account_charged(&scene->account), 2);
	scene_check(scene);
	lh_account_close(&scene->account);
}

static void check_one_page(void *context)
{
	check_limited(context, 2);
}

static void check_two_pages(void *context)
{
	check_limited(context, 1);
}

/* However the regions changed, the object's pages were found in them. */
static void check_cut_off(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(lh_object_pages(scene->object), 0);
	CHECK_EQUAL(world_counters(&scene->world, 0).regions, 1);
	CHECK_EQUAL(world_counters(&scene->world, 0).resident, 0);
	scene_check(scene);
}

static void check_gone(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(lh_object_pages(scene->object), 0);
	CHECK_EQUAL(world_counters(&scene->world, 0).regions, 0);
	CHECK_EQUAL(world_counters(&scene->world, 0).resident, 0);
	scene_check(scene);
}

static void check_unmapped_twice(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(lh_object_pages(scene->object), 1);
	CHECK_EQUAL(world_counters(&scene->world, 0).regions, 0);
	CHECK_EQUAL(world_counters(&scene->world, 1).regions, 0);
	scene_check(scene);
}

static void check_forked(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(lh_object_pages(scene->object), 0);
	for (unsigned n = 0; n < 3; n++)
		CHECK_EQUAL(world_counters(&scene->world, n).resident, 0);
	CHECK_EQUAL(world_counters(&scene->world, 2).regions, 1);
	scene_check(scene);
}

static void *open_shared_to_fork(void)
{
	test_scene *scene = open_shared();

	world_make(&scene->world, 2);
	return scene;
}

static void *open_private_to_fork(void)
{
	test_scene *scene = open_private();

	world_make(&scene->world, 2);
	return scene;
}

/* CPU 0 is fibre 0 in space 0; fibre 1 truncates, being in space 1. */
static void truncate_only(void *context)
{
	test_scene *scene = context;

	CHECK_OK(lh_object_resize(scene->object, 0));
}

static void truncate_and_grow_only(void *context)
{
	test_scene *scene = context;

	CHECK_OK(lh_object_resize(scene->object, 0));
	CHECK_OK(lh_object_resize(scene->object, 2 * PAGE));
}

#define OBJECTS(identifier, start, first, second, end)                                           \
	CASE(identifier, .host = &scene_host, .fibres = 2, .open = start, .bound = 2,            \
	     .run = { first, second }, .check = end)

OBJECTS(fault_truncate_shared, open_shared, write_twice, truncate, check_truncated)
OBJECTS(account_one_page_twice, open_shared_limited, try_page, try_page, check_one_page)
OBJECTS(account_two_pages, open_shared_limited, try_own_page, try_own_page, check_two_pages)
OBJECTS(fault_truncate_absent, open_shared_absent, write_twice, truncate, check_truncated)
OBJECTS(fault_truncate_private, open_private, write_twice, truncate, check_truncated)
OBJECTS(fault_truncate_file, open_file_shown, write_twice, truncate, check_truncated)
OBJECTS(fault_truncate_file_absent, open_file_absent, write_twice, truncate, check_truncated)
OBJECTS(fault_truncate_file_private, open_file_private, write_twice, truncate, check_truncated)
OBJECTS(fault_grow_shared, open_shared, write_twice, truncate_and_grow, check_grown)
OBJECTS(fault_grow_private, open_private, write_twice, truncate_and_grow, check_grown)
OBJECTS(b5_unmap_truncate, open_shared, unmap, truncate_only, check_gone)
OBJECTS(b5_unmap_truncate_private, open_private, unmap, truncate_only, check_gone)
OBJECTS(map_over_merge_truncate, open_shared_beside, map_the_same_over, truncate_only, check_cut_off)
OBJECTS(unmap_unmap_two_spaces, open_shared, unmap, unmap, check_unmapped_twice)
OBJECTS(fork_truncate_shared, open_shared_to_fork, truncate_only, fork_it, check_forked)
OBJECTS(fork_truncate_private, open_private_to_fork, truncate_only, fork_it, check_forked)
OBJECTS(fork_truncate_grow_private, open_private_to_fork, truncate_and_grow_only, fork_it, check_forked)

/* --- write-back --- */

static void write_page(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(scene_write(scene, SCENE_PAGE, scene_mine(1)), LH_FAULT_OK);
}

static void sync_file(void *context)
{
	test_scene *scene = context;

	CHECK_OK(lh_object_sync(scene->object, 0, 2));
}

/* Word 1 of the page: what was written before a sync is in the file after it. */
static void write_and_sync(void *context)
{
	test_scene *scene = context;
	uint64_t value = scene_mine(1);

	CHECK_EQUAL(crowd_write(&scene->world, scene_cpu(),
				world_page(&scene->world, SCENE_PAGE) + 8, value),
		    LH_FAULT_OK);
	sync_file(scene);
	if (((uint64_t *)(void *)scene->file.disk)[1] != value)
		interleave_fail("a sync has returned, and what was written before is not stored");
}

static void sync_then_write_and_sync(void *context)
{
	sync_file(context);
	write_and_sync(context);
}

static void check_stored(void *context)
{
	test_scene *scene = context;

	CHECK_OK(lh_object_sync(scene->object, 0, 2));
	CHECK_EQUAL(world_file_disk(&scene->file, 0), 0x101);
	scene_check(scene);
}

static void check_sound(void *scene)
{
	scene_check(scene);
}

#define WRITTEN(identifier, start)                                                               \
	CASE(identifier, .host = &scene_host, .fibres = 3, .open = start, .bound = 2,            \
	     .run = { write_page, sync_file, write_and_sync }, .check = check_stored)

WRITTEN(write_back_fault_absent, open_file_absent)
WRITTEN(write_back_fault_shown, open_file_shown)
WRITTEN(write_back_fault_dirty, open_file_dirty)
OBJECTS(write_back_fault_two, open_file_shown, write_page, sync_then_write_and_sync, check_stored)
OBJECTS(write_back_truncate, open_file_dirty, sync_file, truncate_only, check_sound)

/* --- those who read and write a file beside its mappings --- */

static void hold_and_write(void *context)
{
	test_scene *scene = context;
	lh_frame_number frame;
	lh_error error = lh_object_hold_page(scene->object, 0, LH_RIGHT_WRITE, &frame);
	uint64_t value = 0x901;

	scene->errors[scene_cpu()] = error;
	if (error != LH_OK)
		return;
	/* One step, as a CPU's store. */
	memcpy(lh_frame_pointer(scene->world.frames, frame), &value, sizeof value);
	lh_frame_drop(scene->world.frames, frame);
}

static void check_held_and_truncated(void *context)
{
	test_scene *scene = context;

	CHECK(scene->errors[0] == LH_OK || scene->errors[0] == LH_BAD_ADDRESS);
	CHECK_EQUAL(lh_object_pages(scene->object), 0);
	scene_check(scene);
}

/* Whoever was later is seen by both. */
static void check_coherent(void *context)
{
	test_scene *scene = context;
	uint64_t value = world_peek(&scene->world, 0, world_page(&scene->world, SCENE_PAGE));

	CHECK(value == 0x901 || value == 0x101);
	CHECK_OK(lh_object_sync(scene->object, 0, 2));
	CHECK_EQUAL(world_file_disk(&scene->file, 0), value);
	scene_check(scene);
}

static void write_page_only(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(scene_write(scene, SCENE_PAGE, 0x101), LH_FAULT_OK);
}

OBJECTS(hold_truncate, open_file_shown, hold_and_write, truncate_only, check_held_and_truncated)
OBJECTS(hold_truncate_anonymous, open_shared, hold_and_write, truncate_only,
	check_held_and_truncated)
OBJECTS(hold_fault_file, open_file_absent, hold_and_write, write_page_only, check_coherent)
OBJECTS(sync_unmap, open_file_dirty, sync_file, unmap, check_sound)

/* --- a space that ends while an object is cut, and an object whose last holder goes --- */

static void destroy_space(void *context)
{
	test_scene *scene = context;

	crowd_load(&scene->world, scene_cpu(), -1);
	lh_space_destroy(scene->world.space[1]);
	scene->world.space[1] = NULL;
}

static void *open_to_end(void)
{
	test_scene *scene = open_shared();

	scene_load(scene, 0, 1, -1);
	return scene;
}

static void *open_private_to_end(void)
{
	test_scene *scene = open_private();

	scene_load(scene, 0, 1, -1);
	return scene;
}

static void check_ended(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(lh_object_pages(scene->object), 0);
	CHECK_EQUAL(world_counters(&scene->world, 0).resident, 0);
	scene_check(scene);
}

OBJECTS(destroy_truncate, open_to_end, truncate_only, destroy_space, check_ended)
OBJECTS(destroy_truncate_private, open_private_to_end, truncate_only, destroy_space, check_ended)

/* --- a disk that answers by itself: CPU 2 --- */

#define TOKEN_DISK 20

static void read_later(void *file, lh_object *object, uint64_t page, lh_frame_number frame)
{
	test_scene *scene = file;

	(void)object;
	interleave_step(interleave_token(TOKEN_DISK), true, "asks the disk");
	scene->extra[2] = page + 1;
	scene->extra[3] = frame.value;
	scene->extra[4]++;
}

static void write_at_once(void *file, lh_object *object, uint64_t page, lh_frame_number frame)
{
	(void)file;
	(void)frame;
	lh_object_page_written(object, page, LH_OK);
}

static void release(void *file)
{
	(void)file;
}

static const lh_pager later = { read_later, write_at_once, release };

/* Answers one read. */
static void answer(void *context)
{
	test_scene *scene = context;
	uint64_t value = world_file_word(0, 0);

	for (;;) {
		interleave_step(interleave_token(TOKEN_DISK), false, "looks for work");
		if (scene->extra[2] != 0)
			break;
		lh_port_pause(scene->world.machine);
	}
	memcpy(machine_bytes(scene->world.machine, scene->extra[3]), &value, sizeof value);
	lh_object_page_read(scene->object, scene->extra[2] - 1, LH_OK);
}

static test_scene *open_disk(uint32_t flags)
{
	test_scene *scene = scene_open(0);
	lh_object_setup setup = { .kind = LH_OBJECT_FILE, .size = 2 * PAGE, .pager = &later,
				  .file = scene };

	CHECK_OK(lh_object_create(scene->world.manager, &setup, &scene->object));
	world_map_object(&scene->world, 0, SCENE_PAGE, 2, READ_WRITE, flags, scene->object, 0);
	scene_load(scene, 0, 0, -1);
	return scene;
}

static void *open_disk_shared(void)
{
	return open_disk(LH_REGION_SHARED);
}

static void *open_disk_private(void)
{
	return open_disk(0);
}

static void read_page(void *context)
{
	test_scene *scene = context;
	unsigned cpu = scene_cpu();

	CHECK_EQUAL(scene_read(scene, SCENE_PAGE, &scene->values[cpu][0]), LH_FAULT_OK);
}

static void check_read_from_disk(void *context)
{
	test_scene *scene = context;

	CHECK_EQUAL(scene->extra[4], 1);
	for (unsigned cpu = 0; cpu < 2; cpu++)
		CHECK(scene->values[cpu][0] == world_file_word(0, 0) || scene->values[cpu][0] == 0 ||
		      scene->values[cpu][0] == 0x102);
	CHECK_SOUND(lh_object_check(scene->object));
	scene_check(scene);
}

/* Cut before, or while, or after the disk is asked; it is asked once, or its read is awaited by
 * who answers in vain. */
static void touch_disk(void *context)
{
	test_scene *scene = context;
	uint64_t value;

	scene->faults[0][0] = scene_read(scene, SCENE_PAGE, &value);
	/* So that the disk ends. */
	if (scene->extra[4] == 0) {
		interleave_step(interleave_token(TOKEN_DISK), true, "asks no more");
		scene->extra[2] = UINT64_MAX;
	}
}

static void answer_or_end(void *context)
{
	test_scene *scene = context;

	for (;;) {
		interleave_step(interleave_token(TOKEN_DISK), false, "looks for work");
		if (scene->extra[2] == UINT64_MAX)
			return;
		if (scene->extra[2] != 0)
			break;
		lh_port_pause(scene->world.machine);
	}
	lh_object_page_read(scene->object, scene->extra[2] - 1, LH_OK);
}

static void check_cut_while_read(void *context)
{
	test_scene *scene = context;

	CHECK(scene->faults[0][0] == LH_FAULT_OK || scene->faults[0][0] == LH_FAULT_BUS);
	CHECK_EQUAL(lh_object_pages(scene->object), 0);
	scene_check(scene);
}

#define DISK(identifier, start, first, second, third, end)                                       \
	CASE(identifier, .host = &scene_host, .fibres = 3, .open = start, .bound = 1,            \
	     .run = { first, second, third }, .check = end)

DISK(b25_disk_read_read, open_disk_shared, read_page, read_page, answer, check_read_from_disk)
DISK(b25_disk_read_write, open_disk_shared, read_page, write_page, answer, check_read_from_disk)
DISK(b25_disk_read_write_private, open_disk_private, read_page, write_page, answer,
     check_read_from_disk)
DISK(a23_disk_truncate, open_disk_shared, touch_disk, truncate_only, answer_or_end,
     check_cut_while_read)
