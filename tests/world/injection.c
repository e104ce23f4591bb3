/* SPDX-License-Identifier: BSD-2-Clause */
#include "world/injection.h"

#include "space/space.h"
#include "world/walkers.h"

struct injecting {
	test_world *world;
	const world_operation *operation;
	uint64_t nodes; /* in use when the run began */
};

static uint64_t nodes_of(const test_world *world)
{
	return world->manager ? lh_pool_read_counters(&world->manager->nodes).items : 0;
}

static lh_error run(void *context)
{
	struct injecting *injecting = context;
	test_world *world = injecting->world;

	injecting->nodes = nodes_of(world);
	return injecting->operation->run(world);
}

static void undo(void *context)
{
	struct injecting *injecting = context;

	injecting->operation->undo(injecting->world);
	world_settle(injecting->world);
}

static void serialise(void *context, inject_buffer *buffer)
{
	struct injecting *injecting = context;

	if (injecting->operation->spaces_only)
		world_serialise_spaces(injecting->world, buffer);
	else
		world_serialise(injecting->world, buffer);
}

static const char *check(void *context)
{
	struct injecting *injecting = context;
	test_world *world = injecting->world;
	const char *finding = lh_frames_check(world->frames);

	world_settle(world);
	if (!finding && world->manager)
		finding = lh_manager_check(world->manager);
	for (unsigned n = 0; n < WORLD_SPACES && !finding; n++)
		if (world->space[n])
			finding = lh_space_check(world->space[n]);
	for (unsigned n = 0; n < WORLD_OBJECTS && !finding; n++)
		if (world->object[n])
			finding = lh_object_check(world->object[n]);
	if (!finding)
		finding = world_check_holders(world);
	if (!finding)
		finding = machine_check_tlbs(world->machine);
	return finding ? finding : world_check_translations(world);
}

static void count(void *context, uint64_t kinds[INJECT_KIND_COUNT])
{
	struct injecting *injecting = context;
	uint64_t nodes = nodes_of(injecting->world);
	lh_frame_steps steps;

	lh_frames_read_steps(injecting->world->frames, &steps);
	for (unsigned state = 0; state < LH_FRAME_STATE_COUNT; state++)
		if (state != LH_FRAME_TABLE)
			kinds[INJECT_FRAME] += steps.frames[state];
	kinds[INJECT_TABLE] += steps.frames[LH_FRAME_TABLE];
	kinds[INJECT_CHARGE] += steps.charges;
	kinds[INJECT_POOL] += steps.pool_items;
	if (nodes > injecting->nodes)
		kinds[INJECT_OBJECT_NODE] += nodes - injecting->nodes;
	kinds[INJECT_POOL] -= kinds[INJECT_OBJECT_NODE];
	if (injecting->operation->file)
		kinds[INJECT_PAGER] += injecting->operation->file->steps;
}

static void frames_fail_at(void *context, uint64_t n)
{
	struct injecting *injecting = context;

	if (injecting->operation->file)
		world_file_fail_at(injecting->operation->file, 0);
	lh_frames_fail_at(injecting->world->frames, n);
}

static uint64_t frames_steps(void *context)
{
	struct injecting *injecting = context;

	return lh_frames_steps(injecting->world->frames);
}

static void pager_fail_at(void *context, uint64_t n)
{
	struct injecting *injecting = context;

	world_file_fail_at(injecting->operation->file, n);
}

static uint64_t pager_steps(void *context)
{
	struct injecting *injecting = context;

	return injecting->operation->file->steps;
}

void world_inject(test_world *world, const world_operation *operation)
{
	static bool headed;
	struct injecting injecting = { world, operation, 0 };
	inject_operation all = {
		.name = operation->name,
		.context = &injecting,
		.sources = { { "frames", &injecting, frames_fail_at, frames_steps } },
		.run = run,
		.undo = operation->undo ? undo : NULL,
		.serialise = serialise,
		.check = check,
		.count = count,
	};
	inject_counts counts;

	if (operation->file)
		all.sources[1] =
			(inject_source){ "pager", &injecting, pager_fail_at, pager_steps };
	world_settle(world);
	CHECK_SOUND(inject_every(&all, &counts));
	if (!headed)
		inject_print(stdout, NULL, NULL);
	headed = true;
	inject_print(stdout, &all, &counts);
}
