/* SPDX-License-Identifier: BSD-2-Clause */
#include "world/walkers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "object/events.h"
#include "object/object_page.h"
#include "paging/walk.h"
#include "space/space.h"

static char text[200];

/* --- shared tables --- */

static void note_shared(world_shared *shared, lh_space *space)
{
	lh_walk walk;

	lh_walk_begin(&walk, &space->directory, space->tree.total);
	while (lh_walk_next(&walk)) {
		uint64_t table, i = 0;

		if (!lh_walk_is_shared(&walk))
			continue;
		table = lh_entry_shared_table(space->directory.format, walk.entry).value;
		while (i < shared->count && shared->tables[i] != table)
			i++;
		if (i == WORLD_SHARED_TABLES)
			break;
		shared->count += i == shared->count;
		shared->tables[i] = table;
		shared->sharers[i]++;
	}
	lh_walk_end(&walk);
}

/* What a table names has one holder for all that have the table. */
static void note_excess(test_world *world, world_shared *shared, uint64_t table, uint32_t sharers)
{
	const uint64_t *entries = lh_frame_pointer(world->frames, lh_frame(table));

	for (uint64_t i = 0; i < lh_paging_entries(&world->format, 0); i++) {
		uint64_t frame = lh_entry_frame(&world->format, 0, entries[i]).value - world->machine->spans[0].first;

		if (entries[i] != 0 && lh_entry_is_counted(&world->format, entries[i]) && frame < WORLD_SHARED_FRAMES)
			shared->excess[frame] = (uint16_t)(shared->excess[frame] + sharers - 1);
	}
}

void world_find_shared(test_world *world, world_shared *shared)
{
	memset(shared, 0, sizeof *shared);
	for (unsigned n = 0; n < WORLD_SPACES; n++)
		if (world->space[n])
			note_shared(shared, world->space[n]);
	for (uint64_t i = 0; i < shared->count; i++)
		note_excess(world, shared, shared->tables[i], shared->sharers[i]);
}

uint32_t world_shared_excess(test_world *world, const world_shared *shared, uint64_t frame)
{
	uint64_t index = frame - world->machine->spans[0].first;

	return index < WORLD_SHARED_FRAMES ? shared->excess[index] : 0;
}

static const char *check_sharers(test_world *world, const world_shared *shared)
{
	for (uint64_t i = 0; i < shared->count; i++)
		if (lh_table_entry(world->frames, lh_frame(shared->tables[i]))->holders != shared->sharers[i])
			return "a shared table has more or fewer holders than spaces have it";
	return NULL;
}

/* --- holders --- */

struct counting {
	test_world *world;
	uint64_t first, count;
	uint32_t *holders;
	world_shared shared;
};

static void add(struct counting *counting, uint64_t frame)
{
	if (frame - counting->first < counting->count)
		counting->holders[frame - counting->first]++;
}

static bool count_leaf(void *context, lh_virtual_address address, lh_leaf *leaf)
{
	(void)address;
	for (uint64_t i = 0; (leaf->flags & LH_LEAF_UNCOUNTED) == 0 && i < world_leaf_pages(leaf); i++)
		add(context, leaf->frame.value + i);
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

static uint32_t pins_of(const lh_frame_entry *entry)
{
	return entry ? (entry->pins & LH_PINS_SHORT) + entry->pins / (LH_PINS_SHORT + 1u) : 0;
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
		if (expected > 1)
			expected -= world_shared_excess(counting->world, &counting->shared, counting->first + i);
		expected += pins_of(entry);
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
				     calloc(span->count, sizeof(uint32_t)), { .count = 0 } };
	const lh_object *seen[64];
	size_t seen_count = 0;
	const char *finding;

	for (unsigned n = 0; n < WORLD_SPACES; n++)
		if (world->space[n])
			count_space(&counting, world->space[n], seen, &seen_count);
	world_find_shared(world, &counting.shared);
	finding = check_sharers(world, &counting.shared);
	if (!finding)
		finding = compare(&counting);
	free(counting.holders);
	return finding;
}

/* --- charges --- */

static uint64_t charge_of(const lh_object *object)
{
	if (object->kind != LH_OBJECT_ANONYMOUS)
		return 0;
	return object->committed ? (object->size + PAGE - 1) / PAGE : object->index.pages;
}

struct charges {
	uint64_t charge;
	const lh_object *seen[64];
	size_t objects;
};

static void add_charges(struct charges *charges, const lh_space *space)
{
	const lh_region *region = lh_region_tree_first(&space->tree);

	for (; region; region = lh_region_tree_next(region)) {
		size_t i = 0;

		charges->charge += lh_region_charge(region);
		while (i < charges->objects && charges->seen[i] != region->object)
			i++;
		if (!region->object || i < charges->objects || i == 64)
			continue;
		charges->seen[charges->objects++] = region->object;
		charges->charge += charge_of(region->object);
	}
}

const char *world_check_charges(test_world *world)
{
	struct charges charges = { .charge = world->promised };
	uint64_t committed = world_frame_counters(world).committed;

	for (unsigned n = 0; n < WORLD_SPACES; n++)
		if (world->space[n])
			add_charges(&charges, world->space[n]);
	if (charges.objects != lh_event_sum(world->manager, LH_EVENT_OBJECTS) || charges.charge == committed)
		return NULL;
	snprintf(text, sizeof text, "%" PRIu64 " pages are promised, but the regions and objects stand for %"
		 PRIu64, committed, charges.charge);
	return text;
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
	mmu_request request = { .root = entry->root, .upper_root = entry->root, .address = cached->linear,
				.speculative = true };
	mmu_result walked;

	if (entry->is_upper)
		return true;
	if (cached->global && !judging->cpu->control.architecture->root_each)
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
