/* SPDX-License-Identifier: BSD-2-Clause */
#include "interleave/scene.h"

#include <stdlib.h>
#include <string.h>

#include "cpus.h"
#include "physical/frames_internal.h"

#define FRAMES 384

/* --- the host --- */

static void begin(void *context)
{
	test_scene *scene = context;

	cpus_begin(scene->world.machine);
}

static void end(void *context)
{
	test_scene *scene = context;

	cpus_end(scene->world.machine);
}

static void ended(void *context)
{
	test_scene *scene = context;

	cpus_idle(scene->world.machine);
}

static uintptr_t leave(void *context, unsigned fibre)
{
	test_scene *scene = context;

	(void)fibre;
	return cpus_leave(scene->world.machine);
}

static void enter(void *context, unsigned fibre, uintptr_t kept)
{
	test_scene *scene = context;

	(void)fibre;
	cpus_enter(scene->world.machine, kept);
}

static void written(void *context, const void *place)
{
	test_scene *scene = context;

	cpus_written(scene->world.machine, place);
}

/* Of the entry so many bytes behind the first. */
static uint64_t place_of(const lh_frames *frames, uint64_t entry)
{
	uint64_t ordinal = entry / sizeof(lh_frame_entry);
	const struct frame_span *span = lh_frames_span_of_ordinal(frames, ordinal);

	return span->place + span->base + (ordinal - span->first);
}

/* Frames by number, the frame array by the frame that an entry is for. */
static bool describe(void *context, uintptr_t address, char *text, size_t size)
{
	test_scene *scene = context;
	test_world *world = &scene->world;
	const machine_span *span = &world->machine->spans[0];
	uint64_t offset = address - (uintptr_t)world->machine->bytes[0];
	uint64_t entry = address - (uintptr_t)world->frames->entries;

	for (unsigned n = 0; n < WORLD_SPACES; n++) {
		uint64_t in_space = address - (uintptr_t)world->space[n];

		if (world->space[n] && in_space < lh_space_size()) {
			snprintf(text, size, "space %u +%#llx", n, (unsigned long long)in_space);
			return true;
		}
	}
	if (address - (uintptr_t)world->manager < lh_manager_size())
		snprintf(text, size, "manager +%#llx",
			 (unsigned long long)(address - (uintptr_t)world->manager));
	else if (entry < world->frames->total * sizeof(lh_frame_entry))
		snprintf(text, size, "entry of frame %#llx +%llu",
			 (unsigned long long)lh_place_frame(world->frames, place_of(world->frames, entry)).value,
			 (unsigned long long)(entry % sizeof(lh_frame_entry)));
	else if (address - (uintptr_t)world->frames < 4 * LH_PAGE_SIZE)
		snprintf(text, size, "frames +%#llx",
			 (unsigned long long)(address - (uintptr_t)world->frames));
	else if (offset < span->count * LH_PAGE_SIZE)
		snprintf(text, size, "frame %#llx +%#llx",
			 (unsigned long long)(span->first + offset / LH_PAGE_SIZE),
			 (unsigned long long)(offset % LH_PAGE_SIZE));
	else
		return false;
	return true;
}

const interleave_host scene_host = {
	.begin = begin, .end = end, .ended = ended, .leave = leave, .enter = enter,
	.written = written, .describe = describe,
};

/* --- opening --- */

test_scene *scene_open(uint64_t frames)
{
	test_scene *made = calloc(1, sizeof *made);

	crowd_open(&made->world, frames ? frames : FRAMES, 3);
	world_make(&made->world, 0);
	world_make(&made->world, 1);
	return made;
}

void scene_load(test_scene *scene, int cpu_0, int cpu_1, int cpu_2)
{
	world_load(&scene->world, 0, cpu_0);
	world_load(&scene->world, 1, cpu_1);
	world_load(&scene->world, 2, cpu_2);
}

/* --- operations --- */

unsigned scene_cpu(void)
{
	return (unsigned)interleave_current();
}

uint64_t scene_mine(uint64_t value)
{
	return value << 8 | (scene_cpu() + 1);
}

lh_fault scene_read(test_scene *scene, uint64_t page, uint64_t *value)
{
	return crowd_read(&scene->world, scene_cpu(), world_page(&scene->world, page), value);
}

lh_fault scene_write(test_scene *scene, uint64_t page, uint64_t value)
{
	return crowd_write(&scene->world, scene_cpu(), world_page(&scene->world, page), value);
}

/* --- the check --- */

void scene_check(test_scene *scene)
{
	test_world *world = &scene->world;
	lh_frame_counters counters;

	world_check_quickly(world);
	if (scene->object)
		CHECK_SOUND(lh_object_check(scene->object));
	for (unsigned n = 0; n < WORLD_SPACES; n++)
		if (world->space[n])
			world_destroy(world, n);
	if (scene->object)
		lh_object_drop(scene->object);
	world_settle(world);
	CHECK_SOUND(machine_check_tlbs(world->machine));
	counters = world_frame_counters(world);
	CHECK_EQUAL(counters.free, world->free_empty);
	CHECK_EQUAL(counters.committed, 0);
	CHECK_EQUAL(counters.charged_in_use, 0);
}
