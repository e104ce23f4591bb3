/* SPDX-License-Identifier: BSD-2-Clause */
/* Making and unmaking managers, from every prefix; each step of its operations fails once. */
#include <stdlib.h>
#include <string.h>

#include "object/machine.h"
#include "space/space.h"
#include "world/injection.h"

static lh_manager_setup setup_of(const test_world *world)
{
	return (lh_manager_setup){
		.port = world->machine,
		.frames = world->frames,
		.format = &world->format,
		.user = world->user,
		.kernel = { lh_virtual(WORLD_KERNEL), 4096 },
	};
}

TEST(a_manager_over_wrong_ranges_is_refused)
{
	test_world world;
	lh_manager_setup good, bad;
	void *memory = aligned_alloc(16, lh_manager_size());
	lh_manager *manager;

	world_open_frames(&world, &(world_setup){ 0 });
	good = setup_of(&world);
	bad = good;
	bad.user.base = lh_virtual(0);
	CHECK_ERROR(lh_manager_create(memory, &bad, &manager), LH_INVALID);
	bad.user = good.kernel;
	CHECK_ERROR(lh_manager_create(memory, &bad, &manager), LH_INVALID);
	bad.user = (lh_virtual_range){ lh_virtual(world_half(&world) - PAGE), 2 };
	CHECK_ERROR(lh_manager_create(memory, &bad, &manager), LH_INVALID);
	bad = good;
	bad.kernel = good.user;
	CHECK_ERROR(lh_manager_create(memory, &bad, &manager), LH_INVALID);
	bad.kernel = (lh_virtual_range){ lh_virtual(0 - world_half(&world) - PAGE), 2 };
	CHECK_ERROR(lh_manager_create(memory, &bad, &manager), LH_INVALID);
	bad.kernel.pages = 0;
	CHECK_ERROR(lh_manager_create(memory, &bad, &manager), LH_INVALID);
	bad = good;
	world.format.levels = 9;
	CHECK_ERROR(lh_manager_create(memory, &bad, &manager), LH_INVALID);
	CHECK_EQUAL(world_frame_counters(&world).free, world.free_before);
	free(memory);
	machine_destroy(world.machine);
}

/* The kernel range may touch the last address, the user range the last low one. */
TEST(ranges_may_touch_the_ends_of_their_halves)
{
	test_world world;
	lh_manager_setup setup;
	void *memory = aligned_alloc(16, lh_manager_size());
	lh_region region = { 0 };
	lh_kernel_request request = { .specifically = { lh_virtual(0xfffffffffffff000), 1 },
				      .rights = READ_WRITE };

	world_open_frames(&world, &(world_setup){ 0 });
	setup = setup_of(&world);
	setup.user = (lh_virtual_range){ lh_virtual(world_half(&world) - 2 * PAGE), 2 };
	setup.kernel = (lh_virtual_range){ lh_virtual(0 - world_half(&world)), world_half(&world) / PAGE };
	CHECK_OK(lh_manager_create(memory, &setup, &world.manager));
	CHECK_OK(lh_manager_map(world.manager, &region, &request));
	CHECK_SOUND(lh_manager_check(world.manager));
	lh_manager_unmap(world.manager, &region);
	request = (lh_kernel_request){ .placement = { .pages = 2, .direction = LH_HIGHEST_FIRST } };
	CHECK_OK(lh_manager_reserve(world.manager, &region, &request));
	CHECK_EQUAL(region.range.base.value, 0xffffffffffffe000);
	lh_manager_unmap(world.manager, &region);
	lh_manager_destroy(world.manager);
	CHECK_EQUAL(world_frame_counters(&world).free, world.free_before);
	free(memory);
	machine_destroy(world.machine);
}

/* A10: each step of the construction fails once; what stood before it is unmade. */
TEST(a10_every_prefix_of_a_manager_and_a_space_is_unmade)
{
	test_world world;
	lh_manager_setup setup;
	void *memory = aligned_alloc(16, lh_manager_size());
	lh_manager *manager;
	uint64_t steps = 0;

	world_open_frames(&world, &(world_setup){ 0 });
	setup = setup_of(&world);
	for (uint64_t n = 1;; n++) {
		lh_error error;

		lh_frames_fail_at(world.frames, n);
		error = lh_manager_create(memory, &setup, &manager);
		if (lh_frames_steps(world.frames) < n) {
			CHECK_OK(error);
			steps = n - 1;
			break;
		}
		CHECK_ERROR(error, LH_NO_MEMORY);
		CHECK_EQUAL(world_frame_counters(&world).free, world.free_before);
		CHECK_SOUND(lh_frames_check(world.frames));
	}
	CHECK_EQUAL(steps, world_kernel_tables(&world) + 1); /* the zero page */
	lh_frames_fail_at(world.frames, 0);
	lh_manager_destroy(manager);
	CHECK_EQUAL(world_frame_counters(&world).free, world.free_before);
	free(memory);
	machine_destroy(world.machine);
}

static void *space_memory;
static lh_region kernel_region;

static lh_error make_space(test_world *world)
{
	return lh_space_create(world->manager, NULL, space_memory, &world->space[5]);
}

static lh_error map_kernel(test_world *world)
{
	/* From the middle of one leaf table into a third one. */
	lh_kernel_request request = {
		.specifically = { lh_virtual(WORLD_KERNEL + 509 * PAGE), 3 + 512 + 2 },
		.rights = READ_WRITE,
	};

	return lh_manager_map(world->manager, &kernel_region, &request);
}

static lh_error map_kernel_physical(test_world *world)
{
	lh_kernel_request request = {
		.specifically = { lh_virtual(WORLD_KERNEL + 510 * PAGE), 2 + 512 + 1 },
		.rights = READ_WRITE,
	};

	return lh_manager_map_physical(world->manager, &kernel_region, &request,
				       lh_physical(((UINT64_C(3) << 18) + 510) * PAGE),
				       LH_MEMORY_UNCACHED);
}

static lh_error map_kernel_bytes(test_world *world)
{
	void *pointer;

	return lh_manager_map_bytes(world->manager, &kernel_region, lh_physical(0xfee00ff8), 16, READ,
				    LH_MEMORY_UNCACHED, &pointer);
}

static lh_error commit(test_world *world)
{
	lh_virtual_range part = { lh_virtual_range_page(kernel_region.range, 505), 20 };

	return lh_manager_commit(world->manager, &kernel_region, part, READ_WRITE);
}

static const world_operation operations[] = {
	{ .name = "space create", .run = make_space },
	{ .name = "manager map", .run = map_kernel },
	{ .name = "manager map physical", .run = map_kernel_physical },
	{ .name = "manager map bytes", .run = map_kernel_bytes },
	{ .name = "manager commit", .run = commit },
};

TEST(a_failed_operation_of_the_manager_leaves_no_trace)
{
	for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
		lh_kernel_request reserve = {
			.specifically = { lh_virtual(WORLD_KERNEL), 1000 },
		};
		test_world world;

		kernel_region = (lh_region){ 0 };
		space_memory = aligned_alloc(16, lh_space_size());
		world_open(&world, &(world_setup){ .frames = 3000 });
		if (operations[i].run == commit)
			CHECK_OK(lh_manager_reserve(world.manager, &kernel_region, &reserve));
		world_inject(&world, &operations[i]);
		if (operations[i].run != make_space)
			free(space_memory);
		if (kernel_region.tree)
			lh_manager_unmap(world.manager, &kernel_region);
		world_close(&world);
	}
}

TEST(frames_run_out_and_come_back)
{
	test_world world;
	lh_region region = { 0 };
	lh_kernel_request request = { .placement = { .pages = 4000 }, .rights = READ_WRITE };
	uint64_t free;

	world_open(&world, &(world_setup){ 0 });
	free = world_frame_counters(&world).free;
	CHECK_ERROR(lh_manager_map(world.manager, &region, &request), LH_NO_MEMORY);
	CHECK_EQUAL(world_frame_counters(&world).free, free);
	CHECK(region.tree == NULL);
	world_check(&world);
	world_close(&world);
}
