/* SPDX-License-Identifier: BSD-2-Clause */
/* The walker of spaces finds each kind of damage; and after it is mended, nothing. */
#include <stdlib.h>
#include <string.h>

#include "adversary.h"
#include "paging/entry.h"
#include "space/space.h"
#include "world/walkers.h"
#include "world/world.h"

static void expect(test_world *world, const char *finding)
{
	const char *found = lh_space_check(world->space[0]);

	if (!found || strcmp(found, finding) != 0)
		test_fail(__FILE__, __LINE__, "found: %s; not: %s", found ? found : "nothing", finding);
}

static lh_region *region_at(test_world *world, uint64_t page)
{
	return lh_region_tree_find(&world->space[0]->tree, lh_virtual(world_page(world, page)));
}

static uint64_t *entry_of(test_world *world, uint64_t page)
{
	return world_entry(world, lh_space_root(world->space[0]), world_page(world, page));
}

static uint64_t with_rights(const test_world *world, uint64_t entry, lh_rights rights)
{
	return world_entry_with(world, entry, rights, true);
}

static uint64_t with_frame(const test_world *world, uint64_t entry, lh_frame_number frame)
{
	return (entry & ~lh_level_frame_mask(&world->format, 0)) |
	       lh_entry_address_bits(&world->format, lh_frame_address(frame));
}

/* Pages 10: own, written; 11: zero page; 20, 21: shared and private views of an object's page. */
static lh_object *furnish(test_world *world)
{
	lh_object *object;

	world_open(world, &(world_setup){ 0 });
	world_make(world, 0);
	object = world_object(world, 2 * PAGE, false);
	world_map(world, 0, 10, 2, READ_WRITE);
	world_map_object(world, 0, 20, 1, READ_WRITE, LH_REGION_SHARED, object, 0);
	world_map_object(world, 0, 21, 1, READ_WRITE, 0, object, 0);
	world_poke(world, 0, world_page(world, 10), 1);
	(void)world_peek(world, 0, world_page(world, 11));
	(void)world_peek(world, 0, world_page(world, 20));
	(void)world_peek(world, 0, world_page(world, 21));
	CHECK_SOUND(lh_space_check(world->space[0]));
	/* Damage is for the walker to find. */
	machine_watch(world->machine, NULL, NULL);
	return object;
}

TEST(the_walker_of_spaces_finds_damaged_regions)
{
	test_world world;
	lh_object *object = furnish(&world);
	lh_region *own = region_at(&world, 10), *shared = region_at(&world, 20);
	lh_space *space = world.space[0];

	own->owner = NULL;
	expect(&world, "a region is not its space's own");
	own->owner = &space->directory;
	own->rights_max = READ;
	expect(&world, "a region has rights beyond its maximum");
	own->rights_max = LH_RIGHTS_ALL;
	own->rights_history = READ;
	expect(&world, "a region forgot a right that it grants");
	own->rights_history = READ_WRITE;
	own->backing = LH_BACKING_OBJECT;
	expect(&world, "a region's backing does not fit its object");
	own->backing = LH_BACKING_ANONYMOUS;
	lh_space_unlink_object(shared);
	expect(&world, "a region is not on its object's list");
	lh_space_link_object(shared);
	space->pages++;
	expect(&world, "a space miscounts its pages");
	space->pages--;
	space->charged++;
	expect(&world, "a space miscounts its charge");
	space->charged--;
	own->flags &= ~LH_REGION_CHARGED;
	expect(&world, "a space miscounts its charge");
	own->flags |= LH_REGION_CHARGED;
	own->version++;
	CHECK(lh_space_check(space) != NULL);
	own->version++;
	space->directory.parts[0].leaves++;
	CHECK(lh_space_check(space) != NULL);
	space->directory.parts[0].leaves--;
	space->directory.parts[0].tables++;
	CHECK(lh_space_check(space) != NULL);
	space->directory.parts[0].tables--;
	CHECK_SOUND(lh_space_check(space));
	lh_object_drop(object);
	world_close(&world);
}

TEST(the_walker_of_spaces_finds_neighbours_that_could_be_one)
{
	test_world world;
	lh_object *object = furnish(&world);
	lh_region *next;

	world_map(&world, 0, 12, 1, READ);
	next = region_at(&world, 12);
	CHECK_SOUND(lh_space_check(world.space[0]));
	next->rights = next->rights_history = READ_WRITE;
	next->flags |= LH_REGION_CHARGED;
	expect(&world, "two regions could be one");
	next->rights = next->rights_history = READ;
	next->flags &= ~LH_REGION_CHARGED;
	CHECK_SOUND(lh_space_check(world.space[0]));
	lh_object_drop(object);
	world_close(&world);
}

/* A leaf is changed to what it must not be, looked at, and changed back. */
static void plant(test_world *world, uint64_t page, uint64_t entry, const char *finding)
{
	uint64_t *place = entry_of(world, page), kept = *place;

	*place = entry;
	expect(world, finding);
	*place = kept;
	CHECK_SOUND(lh_space_check(world->space[0]));
}

TEST(the_walker_of_spaces_finds_damaged_leaves)
{
	test_world world;
	lh_object *object = furnish(&world);
	uint64_t own = *entry_of(&world, 10), zero = *entry_of(&world, 11);
	uint64_t shared = *entry_of(&world, 20), shown = *entry_of(&world, 21);
	lh_frame_number own_frame = world_frame(&world, 0, 10), shared_frame = world_frame(&world, 0, 20);
	lh_region *region = region_at(&world, 10);
	lh_frame_entry *entry = lh_frame_entry_of(world.frames, world_frame(&world, 0, 10));
	lh_frame_number kernel;

	region->rights = READ;
	region->flags ^= LH_REGION_CHARGED;
	world.space[0]->charged -= 2;
	expect(&world, "a leaf grants what its region does not");
	region->rights = READ_WRITE;
	region->flags ^= LH_REGION_CHARGED;
	world.space[0]->charged += 2;
	plant(&world, 11, with_rights(&world, zero, READ_WRITE), "the zero page is writable");
	plant(&world, 21, with_rights(&world, shown, READ_WRITE), "a private region can write an object's page");
	plant(&world, 10, with_frame(&world, own, shared_frame),
	      "a leaf of an anonymous region names an object's frame");
	plant(&world, 20, with_frame(&world, shared, own_frame),
	      "a shared region has a private page");
	plant(&world, 20, with_frame(&world, zero, own_frame),
	      "an uncounted leaf is neither the zero page nor a device's");
	CHECK_OK(lh_frame_allocate(world.frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &kernel));
	plant(&world, 10, with_frame(&world, own, kernel),
	      "a user leaf names a frame that is neither anonymous nor an object's");
	lh_frame_drop(world.frames, kernel);
	plant(&world, 10, with_frame(&world, own, kernel),
	      "a leaf names a frame that nobody holds");
	entry->holders++;
	expect(&world, "a leaf can write a frame that others hold");
	CHECK(world_check_holders(&world) != NULL);
	entry->holders--;
	region_at(&world, 20)->object_page++;
	expect(&world, "a leaf names a frame that is not its object's page");
	region_at(&world, 20)->object_page--;
	CHECK_SOUND(lh_space_check(world.space[0]));
	lh_object_drop(object);
	world_close(&world);
}

TEST(the_walker_of_spaces_finds_a_leaf_outside_its_regions)
{
	test_world world;
	lh_object *object = furnish(&world);
	uint64_t *other = entry_of(&world, 12);
	const char *found;

	*other = *entry_of(&world, 11);
	found = lh_space_check(world.space[0]);
	CHECK(found != NULL); /* the table's live entries */
	*other = 0;
	CHECK_SOUND(lh_space_check(world.space[0]));
	lh_region_tree_remove(&world.space[0]->tree, region_at(&world, 10));
	world.space[0]->pages -= 2;
	world.space[0]->charged -= 2;
	expect(&world, "a leaf lies in no region");
	/* The region is lost for good: nothing of this world can be given back. */
	lh_object_drop(object);
	free(world.space[0]);
	free(world.manager);
	machine_destroy(world.machine);
}

/* The tests' own walker: a translation that is still cached, but was taken away. */
TEST(a_flush_that_is_forgotten_is_found)
{
	test_world world;
	lh_object *object = furnish(&world);
	uint64_t *own = entry_of(&world, 10), kept = *own;

	CHECK_SOUND(world_check_translations(&world));
	*own = with_rights(&world, *own, READ);
	CHECK(world_check_translations(&world) != NULL);
	*own = 0;
	CHECK(world_check_translations(&world) != NULL);
	*own = kept;
	CHECK_SOUND(world_check_translations(&world));
	lh_object_drop(object);
	world_close(&world);
}
