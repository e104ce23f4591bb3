/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A fault waits for its pager, or for memory, holding nothing; meanwhile the space changes. What
 * the fault then does is what a fault begun afterwards would have done.
 */
#include <landhold/reclaim.h>

#include "base/lock.h"
#include "space/space.h"
#include "world/file.h"
#include "world/world.h"

struct meanwhile {
	test_world *world;
	world_file *file;
	void (*happens)(struct meanwhile *meanwhile);
	bool happened;
};

static bool on_park(void *context, const uint32_t *word)
{
	struct meanwhile *meanwhile = context;

	(void)word;
	if (!meanwhile->happened) {
		meanwhile->happened = true;
		meanwhile->happens(meanwhile);
	}
	/* It may have waited itself, and made the file answer. */
	(void)world_file_answer(meanwhile->file);
	return true;
}

static bool on_pressure(void *context, uint64_t pages)
{
	struct meanwhile *meanwhile = context;

	CHECK(pages >= 1);
	if (meanwhile->happened)
		return false;
	meanwhile->happened = true;
	meanwhile->happens(meanwhile);
	world_settle(meanwhile->world);
	return true;
}

/* --- waiting for the pager --- */

/* Faults on page 33 of a mapping of a file at pages 30 to 37, while something happens. */
static void wait_for_pager(uint32_t flags, lh_rights access, void (*happens)(struct meanwhile *),
			   lh_fault expected, void (*then)(test_world *world, world_file *file))
{
	test_world world;
	world_file file;
	struct meanwhile meanwhile = { &world, &file, happens, false };
	lh_virtual_address address;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	world_make(&world, 1);
	world_file_open(&world, &file, 8 * PAGE);
	world_map_object(&world, 0, 30, 8, READ_WRITE, flags, file.object, 0);
	file.deferred = true;
	world.machine->hooks.context = &meanwhile;
	world.machine->hooks.park = on_park;
	world_load(&world, 0, 0);
	address = lh_virtual(world_page(&world, 33));
	CHECK_EQUAL(lh_space_fault(world.space[0], address, access), expected);
	CHECK(meanwhile.happened);
	world_check(&world);
	if (then)
		then(&world, &file);
	world_check(&world);
	world_unmap(&world, 0, 0, 100);
	world_unmap(&world, 1, 0, 100);
	world_file_close(&file);
	world_close(&world);
}

static void unmap_it(struct meanwhile *meanwhile)
{
	world_unmap(meanwhile->world, 0, 30, 8);
	CHECK_EQUAL(meanwhile->file->pending, 1);
}

TEST(a23_unmap_does_not_wait_for_a_fault_that_waits_for_the_disk)
{
	wait_for_pager(LH_REGION_SHARED, READ, unmap_it, LH_FAULT_NOT_MAPPED, NULL);
	wait_for_pager(0, WRITE, unmap_it, LH_FAULT_NOT_MAPPED, NULL);
}

static void map_other_memory(struct meanwhile *meanwhile)
{
	lh_map_request request = { .where = LH_OVER, .pages = 8, .rights = READ_WRITE };
	lh_virtual_range placed;

	request.address = lh_virtual(world_page(meanwhile->world, 30));
	CHECK_OK(lh_space_map(meanwhile->world->space[0], &request, &placed));
}

static void is_zero(test_world *world, world_file *file)
{
	(void)file;
	CHECK_EQUAL(world_peek(world, 0, world_page(world, 33)), 0);
}

TEST(a_fault_does_not_install_its_page_in_the_region_that_came_meanwhile)
{
	wait_for_pager(LH_REGION_SHARED, WRITE, map_other_memory, LH_FAULT_OK, is_zero);
	wait_for_pager(0, READ, map_other_memory, LH_FAULT_OK, is_zero);
	wait_for_pager(0, WRITE, map_other_memory, LH_FAULT_OK, is_zero);
}

static void forbid(struct meanwhile *meanwhile)
{
	CHECK_OK(lh_space_protect(meanwhile->world->space[0], world_range(meanwhile->world, 33, 1),
				  READ));
}

static void forbid_everywhere(struct meanwhile *meanwhile)
{
	CHECK_OK(lh_space_protect(meanwhile->world->space[0], world_range(meanwhile->world, 30, 8),
				  READ));
}

TEST(a_fault_does_not_grant_what_was_taken_meanwhile)
{
	wait_for_pager(LH_REGION_SHARED, WRITE, forbid_everywhere, LH_FAULT_NO_ACCESS, NULL);
	wait_for_pager(0, WRITE, forbid_everywhere, LH_FAULT_NO_ACCESS, NULL);
	wait_for_pager(LH_REGION_SHARED, WRITE, forbid, LH_FAULT_NO_ACCESS, NULL);
	wait_for_pager(0, WRITE, forbid, LH_FAULT_NO_ACCESS, NULL);
	wait_for_pager(0, READ, forbid, LH_FAULT_OK, NULL);
}

static void truncate(struct meanwhile *meanwhile)
{
	CHECK_OK(lh_object_resize(meanwhile->file->object, 2 * PAGE));
}

TEST(a_fault_does_not_install_a_page_that_was_truncated_meanwhile)
{
	wait_for_pager(LH_REGION_SHARED, READ, truncate, LH_FAULT_BUS, NULL);
	wait_for_pager(0, WRITE, truncate, LH_FAULT_BUS, NULL);
}

static void fork_it(struct meanwhile *meanwhile)
{
	CHECK_OK(lh_space_fork(meanwhile->world->space[0], meanwhile->world->space[1]));
}

static void is_private_to_each(test_world *world, world_file *file)
{
	world_poke(world, 0, world_page(world, 33), 1);
	CHECK_EQUAL(world_peek(world, 1, world_page(world, 33)), world_file_word(3, 0));
	world_poke(world, 1, world_page(world, 33), 2);
	CHECK_EQUAL(world_peek(world, 0, world_page(world, 33)), 1);
	CHECK_EQUAL(file->reads, 1);
}

TEST(b24_a_fork_in_the_middle_of_a_fault_copies_nothing_torn)
{
	wait_for_pager(0, WRITE, fork_it, LH_FAULT_OK, is_private_to_each);
	wait_for_pager(0, READ, fork_it, LH_FAULT_OK, is_private_to_each);
}

static void fault_too(struct meanwhile *meanwhile)
{
	test_world *world = meanwhile->world;
	lh_virtual_address address = lh_virtual(world_page(world, 33));

	CHECK_EQUAL(lh_space_fault(world->space[0], address, WRITE), LH_FAULT_OK);
}

static void was_read_once(test_world *world, world_file *file)
{
	CHECK_EQUAL(file->reads, 1);
	CHECK_EQUAL(world_peek(world, 0, world_page(world, 33)), world_file_word(3, 0));
	CHECK_EQUAL(world_counters(world, 0).resident, 1);
}

TEST(b25_two_faults_on_one_page_of_a_file_give_one_frame)
{
	wait_for_pager(LH_REGION_SHARED, READ, fault_too, LH_FAULT_OK, was_read_once);
	wait_for_pager(LH_REGION_SHARED, WRITE, fault_too, LH_FAULT_OK, was_read_once);
	wait_for_pager(0, WRITE, fault_too, LH_FAULT_OK, was_read_once);
	wait_for_pager(0, READ, fault_too, LH_FAULT_OK, was_read_once);
}

static void discard(struct meanwhile *meanwhile)
{
	CHECK_OK(lh_space_discard(meanwhile->world->space[0], world_range(meanwhile->world, 30, 8)));
}

TEST(b1_a_discard_in_the_middle_of_a_write_fault_does_not_open_the_file)
{
	wait_for_pager(0, WRITE, discard, LH_FAULT_OK, was_read_once);
}

static void fail(struct meanwhile *meanwhile)
{
	meanwhile->file->failing[3] = true;
}

static void works_later(test_world *world, world_file *file)
{
	file->failing[3] = false;
	CHECK_EQUAL(world_peek(world, 0, world_page(world, 33)), world_file_word(3, 0));
}

TEST(a_page_that_cannot_be_read_is_a_bus_error_this_time)
{
	wait_for_pager(LH_REGION_SHARED, WRITE, fail, LH_FAULT_BUS, works_later);
	wait_for_pager(0, WRITE, fail, LH_FAULT_BUS, works_later);
}

/* --- while a fault commits --- */

/* What was written and then synced is in the file: through the leaf, if it grants writing yet. */
static void write_and_sync(void *context)
{
	struct meanwhile *meanwhile = context;
	test_world *world = meanwhile->world;
	lh_object *object = meanwhile->file->object;
	uint64_t *words;
	lh_leaf leaf;

	if (meanwhile->happened || lh_mutex_is_held(&object->lock))
		return;
	meanwhile->happened = true; /* not for what this calls itself */
	leaf = world_leaf(world, 0, 33);
	if ((leaf.rights & WRITE) != 0) {
		words = lh_frame_pointer(world->frames, leaf.frame);
		words[0]++;
		CHECK_OK(lh_object_sync(object, 0, 8));
		CHECK_EQUAL(world_file_disk(meanwhile->file, 3), words[0]);
	} else {
		CHECK_OK(lh_object_sync(object, 0, 8));
	}
	meanwhile->happened = false;
}

/* The leaf is written for the first time, or a read-only one that is there gains the right. */
static void write_while_others_sync(bool is_shown)
{
	test_world world;
	world_file file;
	struct meanwhile meanwhile = { &world, &file, NULL, false };

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	world_file_open(&world, &file, 8 * PAGE);
	world_map_object(&world, 0, 30, 8, READ_WRITE, LH_REGION_SHARED, file.object, 0);
	world_load(&world, 0, 0);
	if (is_shown)
		CHECK_EQUAL(world_peek(&world, 0, world_page(&world, 33)), world_file_word(3, 0));
	world.machine->hooks.context = &meanwhile;
	world.machine->hooks.turn = write_and_sync;
	CHECK_EQUAL(lh_space_fault(world.space[0], lh_virtual(world_page(&world, 33)), WRITE),
		    LH_FAULT_OK);
	write_and_sync(&meanwhile);
	CHECK(file.writes >= 1);
	world.machine->hooks.turn = NULL;
	world_check(&world);
	world_unmap(&world, 0, 0, 100);
	world_file_close(&file);
	world_close(&world);
}

TEST(what_is_written_while_a_fault_commits_is_stored_by_the_next_sync)
{
	write_while_others_sync(false);
	write_while_others_sync(true);
}

/* --- waiting for memory --- */

/* Writes to page 33 of 30 to 37, when there is no frame, while something happens. */
static void wait_for_memory(void (*happens)(struct meanwhile *), lh_fault expected)
{
	test_world world;
	struct meanwhile meanwhile = { &world, NULL, happens, false };
	lh_frame_number frames[1024];
	unsigned count = 0;

	world_open(&world, &(world_setup){ .frames = 1024, .policy = LH_CHARGE_ALWAYS });
	world_make(&world, 0);
	world_map(&world, 0, 30, 8, READ_WRITE);
	world_map(&world, 0, 50, 8, READ_WRITE);
	for (uint64_t page = 50; page < 58; page++)
		world_poke(&world, 0, world_page(&world, page), page);
	while (lh_frame_allocate(world.frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED,
				 &frames[count]) == LH_OK)
		count++;
	world.machine->hooks.context = &meanwhile;
	world.machine->hooks.memory_pressure = on_pressure;
	CHECK_EQUAL(world_write(&world, 0, world_page(&world, 33), 1), expected);
	CHECK(meanwhile.happened);
	world_check(&world);
	while (count > 0)
		lh_frame_drop(world.frames, frames[--count]);
	world_close(&world);
}

/* --- and shrinkers before that --- */

struct keeper {
	lh_shrinker shrinker; /* first: a shrinker is its keeper */
	test_world *world;
	lh_frame_number frames[1024];
	unsigned count;
};

static uint64_t give_two(lh_shrinker *shrinker, unsigned priority, uint64_t most)
{
	struct keeper *keeper = (struct keeper *)shrinker;
	uint64_t freed = 0;

	(void)priority;
	for (; freed < 2 && freed < most && keeper->count > 0; freed++)
		lh_frame_drop(keeper->world->frames, keeper->frames[--keeper->count]);
	return freed;
}

static bool no_pressure(void *context, uint64_t pages)
{
	(void)context;
	(void)pages;
	test_fail(__FILE__, __LINE__, "the host was asked before the shrinkers");
}

TEST(a22_a_fault_asks_shrinkers_before_the_host_and_holds_no_lock)
{
	static struct keeper keeper;
	test_world world;

	keeper = (struct keeper){ .shrinker = { .scan = give_two }, .world = &world };
	world_open(&world, &(world_setup){ .frames = 1024, .policy = LH_CHARGE_ALWAYS });
	world_make(&world, 0);
	world_map(&world, 0, 30, 8, READ_WRITE);
	while (lh_frame_allocate(world.frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED,
				 &keeper.frames[keeper.count]) == LH_OK)
		keeper.count++;
	lh_shrinker_add(world.frames, &keeper.shrinker);
	world.machine->hooks.memory_pressure = no_pressure;
	for (uint64_t page = 30; page < 38; page++)
		CHECK_EQUAL(world_write(&world, 0, world_page(&world, page), 1), LH_FAULT_OK);
	world_check(&world);
	lh_shrinker_remove(world.frames, &keeper.shrinker);
	while (keeper.count > 0)
		lh_frame_drop(world.frames, keeper.frames[--keeper.count]);
	world_close(&world);
}

static void give_memory(struct meanwhile *meanwhile)
{
	world_unmap(meanwhile->world, 0, 50, 2);
}

static void give_the_region_itself(struct meanwhile *meanwhile)
{
	world_unmap(meanwhile->world, 0, 50, 2);
	world_unmap(meanwhile->world, 0, 30, 8);
}

static void give_nothing(struct meanwhile *meanwhile)
{
	(void)meanwhile;
}

TEST(a_fault_asks_the_host_for_memory_and_looks_again)
{
	wait_for_memory(give_memory, LH_FAULT_OK);
	wait_for_memory(give_the_region_itself, LH_FAULT_NOT_MAPPED);
	wait_for_memory(give_nothing, LH_FAULT_NO_MEMORY);
}
