/* SPDX-License-Identifier: BSD-2-Clause */
/* Each step of each operation of a space fails once: nothing may have changed then. */
#include "world/injection.h"

#include <stddef.h>

static lh_error map_with(test_world *world, lh_map_request request)
{
	lh_virtual_range placed;

	request.address = lh_virtual(world_page(world, request.address.value));
	return lh_space_map(world->space[0], &request, &placed);
}

static lh_error map_anywhere(test_world *world)
{
	return map_with(world, (lh_map_request){ .pages = 9, .rights = READ_WRITE, .guard_before = 2 });
}

static lh_error map_near(test_world *world)
{
	return map_with(world, (lh_map_request){ .where = LH_NEAR, .address = { 12 }, .pages = 9,
						 .rights = READ_WRITE });
}

static lh_error map_at(test_world *world)
{
	return map_with(world, (lh_map_request){ .where = LH_AT, .address = { 400 }, .pages = 9,
						 .rights = READ });
}

static lh_error map_over_a_middle(test_world *world)
{
	return map_with(world, (lh_map_request){ .where = LH_OVER, .address = { 13 }, .pages = 2,
						 .rights = READ_WRITE, .tag = 5 });
}

static lh_error map_over_several(test_world *world)
{
	return map_with(world, (lh_map_request){ .where = LH_OVER, .address = { 12 }, .pages = 25,
						 .rights = READ_WRITE });
}

static lh_error map_shared_over(test_world *world)
{
	return map_with(world, (lh_map_request){ .where = LH_OVER, .address = { 14 }, .pages = 4,
						 .rights = READ_WRITE, .flags = LH_REGION_SHARED,
						 .object = world->object[0], .object_page = 1 });
}

static lh_error map_reservation(test_world *world)
{
	return map_with(world, (lh_map_request){ .where = LH_AT, .address = { 500 }, .pages = 9,
						 .reservation = true });
}

static lh_error unmap_middle(test_world *world)
{
	return lh_space_unmap(world->space[0], world_range(world, 12, 2));
}

static lh_error unmap_object_middle(test_world *world)
{
	return lh_space_unmap(world->space[0], world_range(world, 32, 2));
}

static lh_error unmap_all(test_world *world)
{
	return lh_space_unmap(world->space[0], world_range(world, 0, WORLD_USER_PAGES));
}

/* Whoever takes whole regions away needs no memory, so a failure is survived. */
static void map_again(test_world *world)
{
	world_map(world, 0, 10, 10, READ_WRITE);
}

static lh_error protect_inside(test_world *world)
{
	return lh_space_protect(world->space[0], world_range(world, 12, 2), READ);
}

static lh_error protect_into_charge(test_world *world)
{
	return lh_space_protect(world->space[0], world_range(world, 24, 3), READ_WRITE);
}

static lh_error protect_across(test_world *world)
{
	return lh_space_protect(world->space[0], world_range(world, 18, 10), READ_WRITE);
}

static lh_error discard(test_world *world)
{
	return lh_space_discard(world->space[0], world_range(world, 12, 12));
}

static lh_error remap(test_world *world, uint64_t page, uint64_t pages, uint32_t flags, lh_map_request to)
{
	lh_remap_request request = { .range = world_range(world, page, pages), .flags = flags, .to = to };
	lh_virtual_range placed;

	request.to.address = lh_virtual(world_page(world, to.address.value));
	return lh_space_remap(world->space[0], &request, &placed);
}

static lh_error remap_grow(test_world *world)
{
	return remap(world, 535, 7, LH_REMAP_STAY, (lh_map_request){ .pages = 600 - 535 });
}

static lh_error remap_shrink(test_world *world)
{
	return remap(world, 12, 4, LH_REMAP_STAY, (lh_map_request){ .pages = 2 });
}

static lh_error remap_middle(test_world *world)
{
	return remap(world, 14, 3, LH_REMAP_MOVE, (lh_map_request){ .pages = 9, .guard_before = 3,
								    .direction = LH_HIGHEST_FIRST });
}

static lh_error remap_over_a_middle(test_world *world)
{
	return remap(world, 11, 3, LH_REMAP_MOVE, (lh_map_request){ .pages = 2, .where = LH_OVER,
								    .address = { 16 } });
}

static lh_error remap_object_over_several(test_world *world)
{
	return remap(world, 41, 4, LH_REMAP_MOVE, (lh_map_request){ .pages = 16, .where = LH_OVER,
								    .address = { 532 } });
}

static lh_error remap_once_more(test_world *world)
{
	return remap(world, 32, 0, LH_REMAP_MOVE, (lh_map_request){ .pages = 3, .where = LH_AT,
								    .address = { 700 } });
}

static lh_error remap_and_keep(test_world *world)
{
	return remap(world, 530, 12, LH_REMAP_MOVE | LH_REMAP_KEEP,
		     (lh_map_request){ .pages = 12, .where = LH_AT, .address = { 700 } });
}

static lh_error fork_all(test_world *world)
{
	return lh_space_fork(world->space[0], world->space[1]);
}

static lh_account account;

/* Regions of several kinds, with pages in several tables; all is promised to one account. */
static void furnish(test_world *world)
{
	world_open(world, &(world_setup){ 0 });
	CHECK_OK(lh_account_open(&account, world->frames, NULL, LH_NO_ACCOUNT_LIMIT));
	for (unsigned n = 0; n < WORLD_SPACES; n++)
		world->account[n] = &account;
	world_make(world, 0);
	world_make(world, 1);
	world->object[0] = world_object(world, 8 * PAGE, false);
	world_map(world, 0, 10, 10, READ_WRITE);
	world_map(world, 0, 20, 10, READ);
	world_map_object(world, 0, 30, 6, READ_WRITE, LH_REGION_SHARED, world->object[0], 0);
	world_map_object(world, 0, 40, 6, READ_WRITE, 0, world->object[0], 2);
	world_map(world, 0, 530, 12, READ_WRITE);
	world_map(world, 0, 1040, 20, READ_WRITE);
	for (uint64_t page = 10; page < 20; page++)
		world_poke(world, 0, world_page(world, page), page);
	(void)world_peek(world, 0, world_page(world, 25));
	world_poke(world, 0, world_page(world, 33), 1);
	world_poke(world, 0, world_page(world, 41), 2);
	world_poke(world, 0, world_page(world, 535), 3);
	world_poke(world, 0, world_page(world, 536), 4);
	world_poke(world, 0, world_page(world, 1050), 5);
}

static void clean(test_world *world)
{
	lh_object_drop(world->object[0]);
	world->object[0] = NULL;
	for (unsigned n = 0; n < WORLD_SPACES; n++)
		if (world->space[n])
			world_destroy(world, n);
	lh_account_close(&account);
	world_close(world);
}

static const world_operation of_regions[] = {
	{ .name = "map anywhere", .run = map_anywhere },
	{ .name = "map near", .run = map_near },
	{ .name = "map at", .run = map_at },
	{ .name = "map over a middle", .run = map_over_a_middle },
	{ .name = "map over several", .run = map_over_several },
	{ .name = "map shared over", .run = map_shared_over },
	{ .name = "map a reservation", .run = map_reservation },
	{ .name = "unmap a middle", .run = unmap_middle },
	{ .name = "unmap an object's middle", .run = unmap_object_middle },
	{ .name = "unmap all", .run = unmap_all, .undo = map_again },
	{ .name = "protect inside", .run = protect_inside },
	{ .name = "protect into charge", .run = protect_into_charge },
	{ .name = "protect across", .run = protect_across },
	{ .name = "discard", .run = discard },
	{ .name = "remap: grow", .run = remap_grow },
	{ .name = "remap: shrink", .run = remap_shrink },
	{ .name = "remap a middle", .run = remap_middle },
	{ .name = "remap over a middle", .run = remap_over_a_middle },
	{ .name = "remap an object's over several", .run = remap_object_over_several },
	{ .name = "remap: once more", .run = remap_once_more },
	{ .name = "remap and keep", .run = remap_and_keep },
	{ .name = "fork", .run = fork_all },
};

TEST(a_failed_operation_leaves_no_trace)
{
	for (size_t i = 0; i < sizeof of_regions / sizeof of_regions[0]; i++) {
		test_world world;

		furnish(&world);
		world_inject(&world, &of_regions[i]);
		clean(&world);
	}
}

/* --- faults --- */

static lh_error fault(test_world *world, unsigned n, uint64_t page, lh_rights access)
{
	switch (lh_space_fault(world->space[n], lh_virtual(world_page(world, page)), access)) {
	case LH_FAULT_OK: return LH_OK;
	case LH_FAULT_NO_MEMORY: return LH_NO_MEMORY;
	case LH_FAULT_BUS: return LH_IO;
	case LH_FAULT_NOT_MAPPED:
	case LH_FAULT_NO_ACCESS:
		break;
	}
	return LH_BAD_ADDRESS;
}

static lh_error fault_zero(test_world *world)
{
	return fault(world, 0, 26, READ);
}

static lh_error fault_zero_new_tables(test_world *world)
{
	return fault(world, 2, 600, READ);
}

static lh_error fault_fresh(test_world *world)
{
	return fault(world, 0, 540, WRITE);
}

static lh_error fault_fresh_new_tables(test_world *world)
{
	return fault(world, 2, 600, WRITE);
}

static lh_error fault_fresh_over_zero(test_world *world)
{
	return fault(world, 0, 532, WRITE);
}

static lh_error fault_copy_own(test_world *world)
{
	return fault(world, 0, 15, WRITE);
}

static lh_error fault_copy_in_child(test_world *world)
{
	return fault(world, 1, 16, WRITE);
}

static lh_error fault_show(test_world *world)
{
	return fault(world, 0, 30, READ);
}

static lh_error fault_show_absent(test_world *world)
{
	return fault(world, 0, 35, WRITE);
}

static lh_error fault_copy_shown(test_world *world)
{
	return fault(world, 0, 42, WRITE);
}

static lh_error fault_copy_absent(test_world *world)
{
	return fault(world, 0, 45, WRITE);
}

/* The object's page that was brought in lets a second attempt get by. */
static void drop_copy(test_world *world)
{
	CHECK_OK(lh_space_discard(world->space[0], world_range(world, 45, 1)));
}

static const world_operation of_faults[] = {
	{ .name = "fault: zero page", .run = fault_zero },
	{ .name = "fault: zero, new tables", .run = fault_zero_new_tables },
	{ .name = "fault: fresh", .run = fault_fresh },
	{ .name = "fault: fresh, new tables", .run = fault_fresh_new_tables },
	{ .name = "fault: fresh over zero", .run = fault_fresh_over_zero },
	{ .name = "fault: copy own", .run = fault_copy_own },
	{ .name = "fault: copy own in child", .run = fault_copy_in_child },
	{ .name = "fault: show", .run = fault_show },
	{ .name = "fault: show absent", .run = fault_show_absent },
	{ .name = "fault: copy shown", .run = fault_copy_shown },
	{ .name = "fault: copy absent", .run = fault_copy_absent, .undo = drop_copy,
	  .spaces_only = true },
};

TEST(a_failed_fault_leaves_no_trace)
{
	for (size_t i = 0; i < sizeof of_faults / sizeof of_faults[0]; i++) {
		test_world world;

		furnish(&world);
		(void)world_peek(&world, 0, world_page(&world, 532));
		(void)world_peek(&world, 0, world_page(&world, 42));
		CHECK_OK(lh_space_fork(world.space[0], world.space[1]));
		world_make(&world, 2);
		world_map(&world, 2, 590, 20, READ_WRITE);
		world_inject(&world, &of_faults[i]);
		clean(&world);
	}
}

static world_file file;

static lh_error fault_show_file(test_world *world)
{
	return fault(world, 0, 100, READ);
}

static lh_error fault_write_file(test_world *world)
{
	return fault(world, 0, 103, WRITE);
}

static lh_error fault_copy_file(test_world *world)
{
	return fault(world, 0, 111, WRITE);
}

/* The file's pages are gone from everywhere, and the file is as long as before. */
static void forget_file(test_world *world)
{
	(void)world;
	CHECK_OK(lh_object_resize(file.object, 0));
	CHECK_OK(lh_object_resize(file.object, 8 * PAGE));
}

static const world_operation of_files[] = {
	{ .name = "fault: show a file", .run = fault_show_file, .undo = forget_file, .file = &file },
	{ .name = "fault: write a file", .run = fault_write_file, .undo = forget_file, .file = &file },
	{ .name = "fault: copy from a file", .run = fault_copy_file, .undo = forget_file,
	  .file = &file, .spaces_only = true },
};

TEST(a_fault_that_the_pager_fails_leaves_no_trace)
{
	for (size_t i = 0; i < sizeof of_files / sizeof of_files[0]; i++) {
		test_world world;

		furnish(&world);
		world.object[1] = world_file_open(&world, &file, 8 * PAGE);
		world_map_object(&world, 0, 100, 8, READ_WRITE, LH_REGION_SHARED, file.object, 0);
		world_map_object(&world, 0, 110, 8, READ_WRITE, 0, file.object, 0);
		world_inject(&world, &of_files[i]);
		forget_file(&world);
		world_unmap(&world, 0, 100, 18);
		world_file_close(&file);
		world.object[1] = NULL;
		clean(&world);
	}
}
