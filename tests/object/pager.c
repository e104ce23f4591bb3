/* SPDX-License-Identifier: BSD-2-Clause */
/* Files: pages read and written back by a pager that may be slow, and may fail. */
#include <string.h>

#include "world/file.h"
#include "world/world.h"

static uint64_t get(test_world *world, lh_object *object, uint64_t page)
{
	lh_frame_number frame;
	uint64_t value;

	CHECK_OK(lh_object_hold_page(object, page, READ, &frame));
	value = *(uint64_t *)lh_frame_pointer(world->frames, frame);
	lh_frame_drop(world->frames, frame);
	return value;
}

static void put(test_world *world, lh_object *object, uint64_t page, uint64_t value)
{
	lh_frame_number frame;

	CHECK_OK(lh_object_hold_page(object, page, WRITE, &frame));
	*(uint64_t *)lh_frame_pointer(world->frames, frame) = value;
	lh_frame_drop(world->frames, frame);
}

TEST(a_page_of_a_file_is_read_once)
{
	test_world world;
	world_file file;
	lh_object *object;

	world_open(&world, &(world_setup){ 0 });
	object = world_file_open(&world, &file, 8 * PAGE);
	CHECK_EQUAL(get(&world, object, 5), world_file_word(5, 0));
	CHECK_EQUAL(get(&world, object, 5), world_file_word(5, 0));
	CHECK_EQUAL(file.reads, 1);
	CHECK_EQUAL(lh_object_pages(object), 1);
	CHECK_SOUND(lh_object_check(object));
	world_file_close(&file);
	world_close(&world);
}

TEST(a_page_that_cannot_be_read_is_tried_anew)
{
	test_world world;
	world_file file;
	lh_object *object;
	lh_frame_number frame;

	world_open(&world, &(world_setup){ 0 });
	object = world_file_open(&world, &file, 8 * PAGE);
	file.failing[2] = true;
	CHECK_ERROR(lh_object_hold_page(object, 2, READ, &frame), LH_IO);
	CHECK_ERROR(lh_object_hold_page(object, 2, WRITE, &frame), LH_IO);
	CHECK_EQUAL(file.reads, 2);
	CHECK_EQUAL(lh_object_pages(object), 0);
	CHECK_SOUND(lh_object_check(object));
	world_check(&world);
	file.failing[2] = false;
	CHECK_EQUAL(get(&world, object, 2), world_file_word(2, 0));
	world_file_close(&file);
	world_close(&world);
}

TEST(a_slow_pager_is_waited_for)
{
	test_world world;
	world_file file;
	lh_object *object;

	world_open(&world, &(world_setup){ 0 });
	object = world_file_open(&world, &file, 8 * PAGE);
	world_file_answer_on_park(&file);
	CHECK_EQUAL(get(&world, object, 5), world_file_word(5, 0));
	CHECK_EQUAL(file.reads, 1);
	put(&world, object, 5, 99);
	CHECK_OK(lh_object_sync(object, 0, 8));
	CHECK_EQUAL(world_file_disk(&file, 5), 99);
	CHECK(world.machine->parks > 0);
	world_file_close(&file);
	world_close(&world);
}

/* --- while somebody waits, others come --- */

struct meeting {
	test_world *world;
	world_file *file;
	void (*come)(struct meeting *meeting);
	unsigned met;
	lh_error result;
};

static bool park(void *context, const uint32_t *word)
{
	struct meeting *meeting = context;

	(void)word;
	if (meeting->met++ > 0)
		return world_file_answer(meeting->file);
	meeting->come(meeting);
	return true;
}

static void meet(test_world *world, struct meeting *meeting)
{
	meeting->file->deferred = true;
	world->machine->hooks.context = meeting;
	world->machine->hooks.park = park;
}

static void also_read(struct meeting *meeting)
{
	CHECK_EQUAL(get(meeting->world, meeting->file->object, 5), world_file_word(5, 0));
}

/* B25 in one thread: a second reader of a page that is on its way gets the same frame. */
TEST(two_who_want_the_same_page_get_one_frame)
{
	test_world world;
	world_file file;
	struct meeting meeting = { &world, &file, also_read, 0, LH_OK };

	world_open(&world, &(world_setup){ 0 });
	world_file_open(&world, &file, 8 * PAGE);
	meet(&world, &meeting);
	CHECK_EQUAL(get(&world, file.object, 5), world_file_word(5, 0));
	CHECK(meeting.met >= 2);
	CHECK_EQUAL(file.reads, 1);
	CHECK_EQUAL(world_frame_counters(&world).used[LH_FRAME_OBJECT], 1);
	CHECK_SOUND(lh_object_check(file.object));
	world_file_close(&file);
	world_close(&world);
}

static void truncate_inside(struct meeting *meeting)
{
	/* Must wait for the read that is on its way, then clear what it brought past the end. */
	CHECK_OK(lh_object_resize(meeting->file->object, 5 * PAGE + 4));
}

TEST(truncation_waits_for_the_page_that_it_cuts)
{
	test_world world;
	world_file file;
	struct meeting meeting = { &world, &file, truncate_inside, 0, LH_OK };

	world_open(&world, &(world_setup){ 0 });
	world_file_open(&world, &file, 8 * PAGE);
	meet(&world, &meeting);
	CHECK_EQUAL(get(&world, file.object, 5), world_file_word(5, 0) & 0xffffffff);
	CHECK_SOUND(lh_object_check(file.object));
	world_file_close(&file);
	world_close(&world);
}

static void truncate_before(struct meeting *meeting)
{
	CHECK_OK(lh_object_resize(meeting->file->object, 3 * PAGE));
}

TEST(a_page_that_is_truncated_while_it_is_read_is_past_the_end)
{
	test_world world;
	world_file file;
	struct meeting meeting = { &world, &file, truncate_before, 0, LH_OK };
	lh_frame_number frame;

	world_open(&world, &(world_setup){ 0 });
	world_file_open(&world, &file, 8 * PAGE);
	meet(&world, &meeting);
	CHECK_ERROR(lh_object_hold_page(file.object, 5, READ, &frame), LH_BAD_ADDRESS);
	CHECK_EQUAL(lh_object_pages(file.object), 0);
	CHECK_EQUAL(world_frame_counters(&world).used[LH_FRAME_OBJECT], 0);
	world_file_close(&file);
	world_close(&world);
}

/* --- write-back --- */

TEST(a26_a_page_is_clean_only_after_its_own_write_succeeded)
{
	test_world world;
	world_file file;
	lh_object *object;

	world_open(&world, &(world_setup){ 0 });
	object = world_file_open(&world, &file, 8 * PAGE);
	for (uint64_t page = 0; page < 6; page++)
		put(&world, object, page, 100 + page);
	file.failing[2] = file.failing[3] = true;
	CHECK_ERROR(lh_object_sync(object, 0, UINT64_MAX), LH_IO);
	CHECK_EQUAL(file.writes, 6);
	for (uint64_t page = 0; page < 6; page++)
		CHECK_EQUAL(world_file_disk(&file, page),
			    page == 2 || page == 3 ? world_file_word(page, 0) : 100 + page);
	file.failing[2] = false;
	CHECK_ERROR(lh_object_sync(object, 0, 8), LH_IO);
	CHECK_EQUAL(file.writes, 8);
	CHECK_EQUAL(world_file_disk(&file, 2), 102);
	file.failing[3] = false;
	CHECK_OK(lh_object_sync(object, 0, 8));
	CHECK_EQUAL(file.writes, 9);
	CHECK_EQUAL(world_file_disk(&file, 3), 103);
	CHECK_OK(lh_object_sync(object, 0, 8));
	CHECK_EQUAL(file.writes, 9);
	CHECK_SOUND(lh_object_check(object));
	world_file_close(&file);
	world_close(&world);
}

TEST(a27_only_the_pages_of_the_range_are_written)
{
	test_world world;
	world_file file;
	lh_object *object;

	world_open(&world, &(world_setup){ 0 });
	object = world_file_open(&world, &file, 8 * PAGE);
	for (uint64_t page = 0; page < 8; page++)
		put(&world, object, page, 1);
	CHECK_OK(lh_object_sync(object, 3, 2));
	CHECK_EQUAL(file.writes, 2);
	CHECK_EQUAL(world_file_disk(&file, 2), world_file_word(2, 0));
	CHECK_EQUAL(world_file_disk(&file, 3), 1);
	CHECK_EQUAL(world_file_disk(&file, 4), 1);
	CHECK_EQUAL(world_file_disk(&file, 5), world_file_word(5, 0));
	CHECK_OK(lh_object_sync(object, 3, 0));
	CHECK_OK(lh_object_sync(object, UINT64_MAX, UINT64_MAX));
	CHECK_EQUAL(file.writes, 2);
	CHECK_OK(lh_object_sync(object, 7, UINT64_MAX));
	CHECK_EQUAL(file.writes, 3);
	world_file_close(&file);
	world_close(&world);
}

static void write_again(struct meeting *meeting)
{
	test_world *world = meeting->world;
	uint64_t faults = world_statistics(world).faults;

	/* The mapping lost its write right: this faults, and makes the page dirty again. */
	world_poke(world, 0, world_page(world, 10), 8);
	CHECK_EQUAL(world_statistics(world).faults, faults + 1);
}

TEST(a_page_that_is_written_while_it_is_stored_is_dirty_again)
{
	test_world world;
	world_file file;
	struct meeting meeting = { &world, &file, write_again, 0, LH_OK };

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	world_file_open(&world, &file, 8 * PAGE);
	world_map_object(&world, 0, 10, 8, READ_WRITE, LH_REGION_SHARED, file.object, 0);
	world_poke(&world, 0, world_page(&world, 10), 7);
	meet(&world, &meeting);
	CHECK_OK(lh_object_sync(file.object, 0, 8));
	CHECK_EQUAL(file.writes, 1);
	world_check(&world);
	CHECK_OK(lh_object_sync(file.object, 0, 8));
	CHECK_EQUAL(file.writes, 2);
	CHECK_EQUAL(world_file_disk(&file, 0), 8);
	world_check(&world);
	world_unmap(&world, 0, 10, 8);
	world_file_close(&file);
	world_close(&world);
}

static void also_sync(struct meeting *meeting)
{
	meeting->result = lh_object_sync(meeting->file->object, 0, 8);
	/* Back only when the page that the other one is storing has arrived. */
	CHECK_EQUAL(world_file_disk(meeting->file, 0), 7);
}

TEST(a_second_write_back_waits_for_the_first)
{
	test_world world;
	world_file file;
	struct meeting meeting = { &world, &file, also_sync, 0, LH_IO };

	world_open(&world, &(world_setup){ 0 });
	world_file_open(&world, &file, 8 * PAGE);
	put(&world, file.object, 0, 7);
	meet(&world, &meeting);
	CHECK_OK(lh_object_sync(file.object, 0, 8));
	CHECK_OK(meeting.result);
	CHECK_EQUAL(file.writes, 1);
	world_file_close(&file);
	world_close(&world);
}
