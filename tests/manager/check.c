/* SPDX-License-Identifier: BSD-2-Clause */
/* The manager's walker, and those of the tests across spaces, find each kind of damage. */
#include <stddef.h>

#include "object/machine.h"
#include "space/space.h"
#include "world/walkers.h"
#include "world/world.h"

/* Changes one field, expects a finding of the walker, and puts it back. */
#define FINDS(walker, field, wrong)                                                      \
	do {                                                                             \
		__typeof__(field) right_ = (field);                                      \
		(field) = (__typeof__(field))(wrong);                                    \
		if ((walker) == NULL)                                                    \
			test_fail(__FILE__, __LINE__, "%s = %s is not found", #field, #wrong); \
		(field) = right_;                                                        \
		CHECK_SOUND(walker);                                                     \
	} while (0)

static lh_region kernel;

static lh_object *furnish(test_world *world)
{
	lh_kernel_request request = { .placement = { .pages = 3 }, .rights = READ_WRITE };
	lh_object *object;

	world_open(world, &(world_setup){ 0 });
	world_make(world, 0);
	object = world_object(world, 2 * PAGE, false);
	world_map(world, 0, 10, 4, READ_WRITE);
	world_map_object(world, 0, 20, 2, READ_WRITE, LH_REGION_SHARED, object, 0);
	world_poke(world, 0, world_page(world, 10), 1);
	world_poke(world, 0, world_page(world, 20), 1);
	kernel = (lh_region){ 0 };
	CHECK_OK(lh_manager_map(world->manager, &kernel, &request));
	return object;
}

static void clear(test_world *world, lh_object *object)
{
	lh_manager_unmap(world->manager, &kernel);
	lh_object_drop(object);
	world_close(world);
}

TEST(the_walker_of_managers_finds_each_corrupted_field)
{
	test_world world;
	lh_object *object = furnish(&world);
	lh_manager *manager = world.manager;

	FINDS(lh_manager_check(manager), manager->events[0].of[LH_EVENT_OBJECTS], 0);
	FINDS(lh_manager_check(manager), manager->events[0].of[LH_EVENT_KERNEL_REGIONS], 0);
	FINDS(lh_manager_check(manager), manager->regions.fronts[0].in_use, 1);
	FINDS(lh_manager_check(manager), manager->regions.fronts[0].pages, 0);
	FINDS(lh_manager_check(manager), manager->objects.fronts[0].in_use, 2);
	FINDS(lh_manager_check(manager), manager->nodes.fronts[0].in_use, 0);
	FINDS(lh_manager_check(manager), manager->nodes.fronts[0].partial, LH_NO_FRAME);
	FINDS(lh_manager_check(manager), manager->kernel_tree.count, 2);
	FINDS(lh_manager_check(manager), manager->kernel_tree.root, NULL);
	FINDS(lh_manager_check(manager), manager->kernel_directory.parts[0].tables, 1);
	FINDS(lh_manager_check(manager), manager->kernel_directory.parts[0].leaves, 2);
	FINDS(lh_manager_check(manager), manager->zero_frame.value, LH_NO_FRAME);
	FINDS(lh_manager_check(manager), manager->surplus.holding, 1);
	FINDS(lh_manager_check(manager), manager->surplus.waiting, 1);
	FINDS(lh_manager_check(manager), kernel.range.pages, 0);
	clear(&world, object);
}

TEST(the_walkers_across_spaces_find_each_miscount)
{
	test_world world;
	lh_object *object = furnish(&world);
	lh_frame_entry *own = lh_frame_entry_of(world.frames, world_frame(&world, 0, 10));
	lh_frame_entry *shared = lh_frame_entry_of(world.frames, world_frame(&world, 0, 20));
	lh_region *region = lh_region_tree_find(&world.space[0]->tree,
						lh_virtual(world_page(&world, 10)));

	FINDS(world_check_holders(&world), own->holders, 2);
	FINDS(world_check_holders(&world), shared->holders, 1);
	FINDS(world_check_holders(&world), shared->holders, 3);
	FINDS(world_check_charges(&world), region->flags, region->flags & ~LH_REGION_CHARGED);
	FINDS(world_check_charges(&world), region->range.pages, 3);
	FINDS(world_check_charges(&world), object->index.pages, 0);
	CHECK_OK(lh_charge_take(world.frames, 1));
	CHECK(world_check_charges(&world) != NULL);
	lh_charge_give_back(world.frames, 1);
	CHECK_SOUND(world_check_charges(&world));
	clear(&world, object);
}
