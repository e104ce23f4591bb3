/* SPDX-License-Identifier: BSD-2-Clause */
/* The state of a world as bytes. */
#include "world/injection.h"

#include <string.h>

#include "object/events.h"
#include "object/object_page.h"
#include "paging/entry.h"
#include "space/space.h"

static void put_region(inject_buffer *buffer, const char *where, const lh_region *region)
{
	const uint64_t numbers[] = {
		region->range.base.value, region->range.pages, region->guard_before,
		region->guard_after,	  region->rights,      region->rights_max,
		region->rights_history,	  region->backing,     region->flags,
		region->tag,		  (uintptr_t)region->object, region->object_page,
	};

	inject_put(buffer, numbers, sizeof numbers, "%s, a region", where);
}

/* Accessed and dirty bits may change at any time. */
static uint64_t steady(const test_world *world, uint64_t entry)
{
	const lh_paging_format *format = &world->format;

	return lh_entry_is_present(format, entry)
		       ? entry & ~(format->accessed | format->table_accessed | format->dirty.mask) : entry;
}

/* One half's tables, top down. Kernel top tables are many and mostly empty: nothing is put then. */
static void put_table(test_world *world, inject_buffer *buffer, uint64_t frame, unsigned level,
		      uint64_t from, uint64_t to)
{
	const mmu_architecture *rules = world->architecture->rules;
	const uint64_t *entries = machine_bytes(world->machine, frame);
	uint64_t kept[512] = { 0 }, any = 0;

	for (uint64_t i = from; i < to; i++)
		any |= kept[i] = steady(world, entries[i]);
	if (any)
		inject_put(buffer, kept, sizeof kept, "the table of level %u in frame %#llx", level,
			   (unsigned long long)frame);
	for (uint64_t i = from; i < to && level > 0; i++) {
		mmu_entry entry = rules->read(level, entries[i]);

		if (entry.kind == MMU_ENTRY_TABLE)
			put_table(world, buffer, entry.physical >> LH_PAGE_SHIFT, level - 1, 0, 512);
	}
}

static void put_object(inject_buffer *buffer, const lh_object *object)
{
	uint64_t slot;

	inject_put(buffer, &object->size, sizeof object->size, "an object's size");
	for (uint64_t page = 0; (slot = lh_page_index_next(&object->index, &page)) != 0; page++) {
		const uint64_t numbers[] = { page, slot };

		inject_put(buffer, numbers, sizeof numbers, "an object's slot");
	}
}

static void put_space(test_world *world, inject_buffer *buffer, unsigned n)
{
	lh_space *space = world->space[n];
	const lh_region *region = lh_region_tree_first(&space->tree);
	lh_space_counters counters = world_counters(world, n);

	counters.faults = 0;
	inject_put(buffer, &counters, sizeof counters, "the counters of space %u", n);
	inject_put(buffer, &space->limits, sizeof space->limits, "the limits of space %u", n);
	if (space->account)
		inject_put(buffer, &space->account->charged, sizeof space->account->charged,
			   "what the account of space %u is charged", n);
	for (; region; region = lh_region_tree_next(region))
		put_region(buffer, "a space", region);
	put_table(world, buffer, space->directory.root.value, lh_format_top(&world->format), 0,
		  lh_format_shared_index(&world->format));
}

void world_serialise_spaces(test_world *world, inject_buffer *buffer)
{
	for (unsigned n = 0; n < WORLD_SPACES; n++)
		if (world->space[n])
			put_space(world, buffer, n);
}

/* Who was freed once is marked so; a pool's words chain its free items, in any order. */
static void put_frames(test_world *world, inject_buffer *buffer)
{
	const machine_span *span = &world->machine->spans[0];
	lh_frame_counters counters = world_frame_counters(world);

	inject_put(buffer, &counters, sizeof counters, "the frame counters");
	for (uint64_t i = 0; i < span->count; i++) {
		const lh_frame_entry *entry = lh_frame_entry_of(world->frames, lh_frame(span->first + i));
		lh_frame_entry kept;

		if (!entry)
			continue;
		kept = *entry;
		if (kept.state == LH_FRAME_FREE)
			kept.flags = 0;
		if (kept.state == LH_FRAME_POOL)
			kept.word = 0;
		inject_put(buffer, &kept, sizeof kept, "frame %#llx",
			   (unsigned long long)(span->first + i));
	}
}

static void put_manager(test_world *world, inject_buffer *buffer)
{
	lh_manager *manager = world->manager;
	const lh_region *region = lh_region_tree_first(&manager->kernel_tree);
	const uint64_t numbers[] = {
		lh_event_sum(manager, LH_EVENT_SPACES),
		lh_event_sum(manager, LH_EVENT_OBJECTS),
		lh_event_sum(manager, LH_EVENT_KERNEL_REGIONS),
		lh_event_sum(manager, LH_EVENT_FORKS),
		lh_directory_tables(&manager->kernel_directory),
		lh_directory_leaves(&manager->kernel_directory),
	};
	const lh_pool_counters pools[] = {
		lh_pool_read_counters(&manager->regions),
		lh_pool_read_counters(&manager->objects),
		lh_pool_read_counters(&manager->nodes),
	};

	inject_put(buffer, numbers, sizeof numbers, "the manager's counts");
	inject_put(buffer, pools, sizeof pools, "what the manager's pools have");
	for (; region; region = lh_region_tree_next(region))
		put_region(buffer, "the kernel", region);
	put_table(world, buffer, manager->kernel_directory.root.value, lh_format_top(&world->format),
		  world->format.root_each ? 0 : lh_format_shared_index(&world->format), 512);
}

void world_serialise(test_world *world, inject_buffer *buffer)
{
	put_frames(world, buffer);
	if (world->manager)
		put_manager(world, buffer);
	world_serialise_spaces(world, buffer);
	if (world->objects_account)
		inject_put(buffer, &world->objects_account->charged, sizeof world->objects_account->charged,
			   "what the objects' account is charged");
	for (unsigned n = 0; n < WORLD_OBJECTS; n++)
		if (world->object[n])
			put_object(buffer, world->object[n]);
}
