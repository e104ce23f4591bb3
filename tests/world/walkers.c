/* SPDX-License-Identifier: BSD-2-Clause */
#include "world/walkers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "object/object_page.h"
#include "space/space.h"

static char text[200];

/* --- holders --- */

struct counting {
	test_world *world;
	uint64_t first, count;
	uint32_t *holders;
};

static void add(struct counting *counting, uint64_t frame)
{
	if (frame - counting->first < counting->count)
		counting->holders[frame - counting->first]++;
}

static bool count_leaf(void *context, lh_virtual_address address, lh_leaf *leaf)
{
	(void)address;
	if ((leaf->flags & LH_LEAF_UNCOUNTED) == 0)
		add(context, leaf->frame.value);
	return true;
}

/* An object that several regions show is counted where it is met first. */
static void count_object(struct counting *counting, lh_object *object, const lh_object **seen,
			 size_t *seen_count)
{
	uint64_t slot;

	for (size_t i = 0; i < *seen_count; i++)
		if (seen[i] == object)
			return;
	seen[(*seen_count)++] = object;
	for (uint64_t page = 0; (slot = lh_page_index_next(&object->index, &page)) != 0; page++)
		if (slot != LH_SLOT_FAILED)
			add(counting, lh_slot_frame(slot).value);
}

static void count_space(struct counting *counting, lh_space *space, const lh_object **seen,
			size_t *seen_count)
{
	lh_region *region = lh_region_tree_first(&space->tree);

	lh_directory_visit(&space->directory, space->tree.total, count_leaf, counting);
	for (; region; region = lh_region_tree_next(region))
		if (region->object && *seen_count < 64)
			count_object(counting, region->object, seen, seen_count);
}

/* The index of an object that nobody maps is not seen: its frames are known by their words. */
static const char *compare(const struct counting *counting)
{
	for (uint64_t i = 0; i < counting->count; i++) {
		const lh_frame_entry *entry =
			lh_frame_entry_of(counting->world->frames, lh_frame(counting->first + i));
		uint32_t expected = counting->holders[i];

		if (!entry || (entry->state != LH_FRAME_ANONYMOUS && entry->state != LH_FRAME_OBJECT)) {
			if (expected == 0)
				continue;
		} else if (entry->state == LH_FRAME_OBJECT && expected == 0 && entry->word != 0) {
			expected = 1;
		}
		if (entry && entry->holders == expected)
			continue;
		snprintf(text, sizeof text,
			 "frame %#" PRIx64 " (state %u) has %u holders, but %u are found",
			 counting->first + i, entry ? entry->state : 0, entry ? entry->holders : 0,
			 expected);
		return text;
	}
	return NULL;
}

const char *world_check_holders(test_world *world)
{
	const machine_span *span = &world->machine->spans[0];
	struct counting counting = { world, span->first, span->count,
				     calloc(span->count, sizeof(uint32_t)) };
	const lh_object *seen[64];
	size_t seen_count = 0;
	const char *finding;

	for (unsigned n = 0; n < WORLD_SPACES; n++)
		if (world->space[n])
			count_space(&counting, world->space[n], seen, &seen_count);
	finding = compare(&counting);
	free(counting.holders);
	return finding;
}

/* --- translations --- */

struct judging {
	lh_port *machine;
	const machine_cpu *cpu;
	unsigned number;
	const char *finding;
};

static bool read_entry(void *context, uint64_t physical, uint64_t *entry)
{
	uint8_t *bytes = machine_bytes(context, physical >> LH_PAGE_SHIFT);

	if (!bytes)
		return false;
	memcpy(entry, bytes + (physical & (PAGE - 1)), sizeof(*entry));
	return true;
}

/* A look without a trace: accessed flags are not written. */
static bool exchange_nothing(void *context, uint64_t physical, uint64_t *expected, uint64_t desired)
{
	(void)context;
	(void)physical;
	(void)expected;
	(void)desired;
	return true;
}

static bool judge(void *context, const mmu_tlb_entry *entry)
{
	struct judging *judging = context;
	const mmu_translation *cached = &entry->translation, *now;
	mmu_memory memory = { judging->machine, read_entry, exchange_nothing };
	mmu_request request = { .root = entry->root, .address = cached->linear,
				.speculative = true };
	mmu_result walked;

	if (entry->is_upper)
		return true;
	if (cached->global)
		request.root = judging->cpu->root << LH_PAGE_SHIFT;
	walked = mmu_walk(&memory, &judging->cpu->control, &request, NULL);
	now = &walked.translation;
	if (walked.outcome == MMU_TRANSLATED && now->physical == cached->physical &&
	    now->writable >= cached->writable && now->executable >= cached->executable &&
	    now->user >= cached->user)
		return true;
	snprintf(text, sizeof text,
		 "CPU %u caches %#" PRIx64 " -> %#" PRIx64 " (%s%s), but the tables say %s%s%s",
		 judging->number, cached->linear, cached->physical, cached->writable ? "w" : "-",
		 cached->executable ? "x" : "-",
		 walked.outcome != MMU_TRANSLATED	    ? "nothing"
		 : now->physical != cached->physical ? "another place"
						     : "less: ",
		 walked.outcome == MMU_TRANSLATED && now->writable ? "w" : "-",
		 walked.outcome == MMU_TRANSLATED && now->executable ? "x" : "-");
	judging->finding = text;
	return false;
}

const char *world_check_translations(test_world *world)
{
	for (unsigned cpu = 0; cpu < world->machine->cpu_count; cpu++) {
		struct judging judging = { world->machine, &world->machine->cpus[cpu], cpu, NULL };

		mmu_tlb_visit(&judging.cpu->tlb, judge, &judging);
		if (judging.finding)
			return judging.finding;
	}
	return NULL;
}

/* --- state --- */

static void put(world_state *state, const void *bytes, size_t size)
{
	if (state->size + size > state->room) {
		state->room = 2 * (state->room + size);
		state->bytes = realloc(state->bytes, state->room);
	}
	memcpy(state->bytes + state->size, bytes, size);
	state->size += size;
}

static void put_number(world_state *state, uint64_t number)
{
	put(state, &number, sizeof number);
}

static void put_region(world_state *state, const lh_region *region)
{
	const uint64_t numbers[] = {
		region->range.base.value, region->range.pages, region->guard_before,
		region->guard_after,	  region->rights,      region->rights_max,
		region->rights_history,	  region->backing,     region->flags,
		region->tag,		  (uintptr_t)region->object, region->object_page,
	};

	put(state, numbers, sizeof numbers);
}

/* The own half's tables, top down; accessed and dirty bits (5 and 6) may change at any time. */
static void put_table(test_world *world, world_state *state, uint64_t frame, unsigned level, unsigned from,
		      unsigned to)
{
	const uint64_t *entries = machine_bytes(world->machine, frame);

	put_number(state, frame);
	for (unsigned i = from; i < to; i++) {
		uint64_t entry = entries[i];

		if (entry == 0)
			continue;
		put_number(state, i);
		put_number(state, (entry & 1) != 0 ? entry & ~UINT64_C(0x60) : entry);
		if (level > 0 && (entry & 1) != 0 && (entry & 0x80) == 0)
			put_table(world, state, entry << 12 >> 24, level - 1, 0, 512);
	}
}

static void put_space(test_world *world, world_state *state, lh_space *space)
{
	lh_region *region = lh_region_tree_first(&space->tree);
	lh_space_counters counters;

	for (; region; region = lh_region_tree_next(region))
		put_region(state, region);
	lh_space_read_counters(space, &counters);
	counters.faults = 0;
	put(state, &counters, sizeof counters);
	put(state, &space->limits, sizeof space->limits);
	put_table(world, state, space->directory.root.value, 3, 0, 256);
}

/* Who was freed once is marked so; a pool's words chain its free items, in any order. */
static void put_frame(world_state *state, const lh_frame_entry *entry)
{
	put_number(state, entry->holders);
	put_number(state, entry->pins);
	put_number(state, entry->state);
	put_number(state, entry->state == LH_FRAME_FREE ? 0 : entry->flags);
	put_number(state, entry->state == LH_FRAME_POOL ? 0 : entry->word);
}

static void put_manager(test_world *world, world_state *state)
{
	lh_manager *manager = world->manager;
	const lh_region *region = lh_region_tree_first(&manager->kernel_tree);
	const uint64_t numbers[] = {
		manager->regions.in_use,	manager->objects.in_use,
		manager->nodes.in_use,		manager->regions.pages,
		manager->objects.pages,		manager->nodes.pages,
		manager->counts.spaces,		manager->counts.objects,
		manager->counts.kernel_regions, manager->counts.user_regions,
		manager->counts.forks,
	};

	put(state, numbers, sizeof numbers);
	for (; region; region = lh_region_tree_next(region))
		put_region(state, region);
	put_table(world, state, manager->kernel_directory.root.value, 3, 256, 512);
	put_number(state, manager->kernel_directory.tables);
	put_number(state, manager->kernel_directory.leaves);
}

void world_state_read(test_world *world, world_state *state)
{
	lh_frame_counters counters = world_frame_counters(world);
	const machine_span *span = &world->machine->spans[0];

	state->size = 0;
	put(state, &counters, sizeof counters);
	for (uint64_t i = 0; i < span->count; i++) {
		const lh_frame_entry *entry = lh_frame_entry_of(world->frames, lh_frame(span->first + i));

		if (entry)
			put_frame(state, entry);
	}
	if (world->manager)
		put_manager(world, state);
	for (unsigned n = 0; n < WORLD_SPACES; n++)
		if (world->space[n])
			put_space(world, state, world->space[n]);
}

const char *world_state_compare(const world_state *a, const world_state *b)
{
	size_t at = 0, shorter = a->size < b->size ? a->size : b->size;

	while (at < shorter && a->bytes[at] == b->bytes[at])
		at++;
	if (at == a->size && at == b->size)
		return NULL;
	snprintf(text, sizeof text, "the state differs at byte %zu of %zu and %zu", at, a->size,
		 b->size);
	return text;
}

void world_state_free(world_state *state)
{
	free(state->bytes);
	*state = (world_state){ NULL, 0, 0 };
}
