/* SPDX-License-Identifier: BSD-2-Clause */
#include "world/file.h"

#include <stdlib.h>
#include <string.h>

uint64_t world_file_word(uint64_t page, uint64_t word)
{
	return 0xf11e000000000000u + (page << 16) + word;
}

uint64_t world_file_disk(const world_file *file, uint64_t page)
{
	uint64_t word;

	memcpy(&word, file->disk + page * PAGE, sizeof word);
	return word;
}

static void answer(world_file *file, const world_file_work *work)
{
	uint8_t *bytes = lh_frame_pointer(file->world->frames, work->frame);
	uint8_t *disk = file->disk + work->page * PAGE;
	bool fails = ++file->steps == file->fail_at || file->failing[work->page];

	if (work->writes) {
		file->writes++;
		if (!fails)
			memcpy(disk, bytes, PAGE);
		lh_object_page_written(work->object, work->page, fails ? LH_IO : LH_OK);
		return;
	}
	file->reads++;
	if (!fails)
		memcpy(bytes, disk, PAGE);
	lh_object_page_read(work->object, work->page, fails ? LH_IO : LH_OK);
}

static void begin(world_file *file, world_file_work work)
{
	CHECK(work.page < FILE_PAGES);
	if (!file->deferred) {
		answer(file, &work);
		return;
	}
	CHECK(file->pending < FILE_PENDING);
	file->work[file->pending++] = work;
}

static void pager_read(void *file, lh_object *object, uint64_t page, lh_frame_number frame)
{
	begin(file, (world_file_work){ false, object, page, frame });
}

static void pager_write(void *file, lh_object *object, uint64_t page, lh_frame_number frame)
{
	begin(file, (world_file_work){ true, object, page, frame });
}

static void pager_release(void *context)
{
	world_file *file = context;

	CHECK(!file->released);
	file->released = true;
}

static const lh_pager pager = { pager_read, pager_write, pager_release };

lh_object *world_file_open(test_world *world, world_file *file, uint64_t size)
{
	lh_object_setup setup = { .kind = LH_OBJECT_FILE, .size = size, .pager = &pager,
				  .file = file };

	*file = (world_file){ .world = world, .disk = calloc(FILE_PAGES, PAGE) };
	for (uint64_t at = 0; at + 8 <= size; at += 8) {
		uint64_t word = world_file_word(at / PAGE, at % PAGE / 8);

		memcpy(file->disk + at, &word, 8);
	}
	CHECK_OK(lh_object_create(world->manager, &setup, &file->object));
	return file->object;
}

void world_file_close(world_file *file)
{
	lh_object_drop(file->object);
	CHECK(file->released);
	free(file->disk);
	world_settle(file->world);
}

void world_file_fail_at(world_file *file, uint64_t step)
{
	file->steps = 0;
	file->fail_at = step;
}

bool world_file_answer(world_file *file)
{
	world_file_work work = file->work[0];

	if (file->pending == 0)
		return false;
	file->pending--;
	memmove(file->work, file->work + 1, file->pending * sizeof work);
	answer(file, &work);
	return true;
}

static bool park(void *context, const uint32_t *word)
{
	(void)word;
	return world_file_answer(context);
}

void world_file_answer_on_park(world_file *file)
{
	file->deferred = true;
	file->world->machine->hooks.context = file;
	file->world->machine->hooks.park = park;
}
