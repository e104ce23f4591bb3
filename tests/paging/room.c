/* SPDX-License-Identifier: BSD-2-Clause */
#include "room.h"

#include <string.h>

void room_open(test_room *room, uint64_t frames, unsigned cpus)
{
	room_open_for(room, frames, cpus, &lh_format_x86_64_4_level, &mmu_x86_64);
}

void room_open_for(test_room *room, uint64_t frames, unsigned cpus, const lh_paging_format *format,
		   const mmu_architecture *architecture)
{
	machine_setup setup = { .spans = { { 0x100, frames } }, .cpus = cpus,
				.levels = format->levels, .architecture = architecture };
	lh_memory_entry entries[8];
	lh_memory_map map;
	lh_physical_address carved;
	uint64_t size;

	memset(room, 0, sizeof(*room));
	room->machine = machine_create(&setup);
	room->format = *format;
	lh_memory_map_init(&map, entries, 8);
	CHECK_OK(lh_memory_map_add(&map, 0x100 * LH_PAGE_SIZE, frames * LH_PAGE_SIZE,
				   LH_MEMORY_USABLE));
	CHECK_OK(lh_memory_map_normalise(&map));
	size = lh_frames_size(&map);
	CHECK_OK(lh_memory_map_carve(&map, size, LH_PAGE_SIZE, 0, &carved));
	CHECK_OK(lh_frames_create(machine_bytes(room->machine, lh_physical_frame(carved).value),
				  size, &map, LH_CHARGE_STRICT, room->machine, &room->frames));
	room->tables_free = room_free_frames(room);
}

void room_build(test_room *room)
{
	CHECK_SOUND(lh_paging_format_check(&room->format));
	lh_directory_init(&room->kernel, room->frames, &room->format);
	CHECK_OK(lh_directory_add_root(&room->kernel));
	CHECK_OK(lh_directory_add_kernel_half(&room->kernel));
	lh_directory_init(&room->user, room->frames, &room->format);
	CHECK_OK(lh_directory_add_root(&room->user));
	lh_directory_share_kernel_half(&room->user, &room->kernel);
}

void room_close(test_room *room)
{
	lh_directory_destroy(&room->user);
	lh_directory_destroy(&room->kernel);
	CHECK_EQUAL(room_table_frames(room), 0);
	CHECK_SOUND(lh_frames_check(room->frames));
	machine_destroy(room->machine);
}

uint64_t room_free_frames(test_room *room)
{
	lh_frame_counters counters;

	lh_frames_read_counters(room->frames, &counters);
	return counters.free;
}

uint64_t room_table_frames(test_room *room)
{
	lh_frame_counters counters;

	lh_frames_read_counters(room->frames, &counters);
	return counters.used[LH_FRAME_TABLE];
}

uint32_t room_holders(test_room *room, lh_frame_number frame)
{
	return lh_frame_entry_of(room->frames, frame)->holders;
}

lh_frame_number room_frame(test_room *room)
{
	lh_frame_number frame;

	CHECK_OK(lh_frame_allocate(room->frames, LH_FRAME_ANONYMOUS, LH_FRAME_UNCHARGED, &frame));
	return frame;
}

lh_leaf leaf_of(lh_frame_number frame, lh_rights rights)
{
	lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .rights = rights, .frame = frame };

	return leaf;
}

lh_virtual_range range_of(uint64_t base, uint64_t pages)
{
	lh_virtual_range range = { lh_virtual(base), pages };

	return range;
}

uint64_t *room_entry(test_room *room, lh_directory *directory, uint64_t address, unsigned level)
{
	const mmu_control *control = &room->machine->cpus[0].control;
	uint64_t physical = directory->root.value << 12;

	for (unsigned at = control->levels - 1;; at--) {
		uint64_t *entry = (uint64_t *)machine_bytes(room->machine, physical >> 12) +
				  (address >> (12 + 9 * at) & 511);
		mmu_entry seen = control->architecture->read(at, *entry);

		if (at == level)
			return entry;
		if (seen.kind != MMU_ENTRY_TABLE)
			return NULL;
		physical = seen.physical;
	}
}

static bool read_entry(void *context, uint64_t physical, uint64_t *entry)
{
	uint8_t *bytes = machine_bytes(context, physical >> 12);

	if (!bytes)
		return false;
	memcpy(entry, bytes + (physical & 4095), sizeof(*entry));
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

mmu_result room_walk(test_room *room, lh_directory *directory, uint64_t address)
{
	mmu_memory memory = { room->machine, read_entry, exchange_nothing };
	mmu_request request = { .root = directory->root.value << 12, .address = address,
				.upper_root = directory->root.value << 12, .speculative = true };
	mmu_control control = room->machine->cpus[0].control;

	control.no_execute = room->format.user.leaf_rights.execute.mask != 0;
	control.gigabyte_pages = true;
	return mmu_walk(&memory, &control, &request, NULL);
}

void room_map(test_room *room, lh_directory *directory, uint64_t address, lh_leaf leaf)
{
	lh_spare_tables spares = { 0, 0 };

	CHECK_OK(lh_directory_prepare(directory, range_of(address, 1), &spares));
	if (!(leaf.flags & LH_LEAF_UNCOUNTED))
		lh_frame_hold(room->frames, leaf.frame);
	CHECK_OK(lh_directory_write(directory, lh_virtual(address), leaf, &spares));
	CHECK_EQUAL(spares.count, 0);
	lh_spare_tables_give_back(room->frames, &spares);
}

void room_clear(lh_directory *directory, lh_virtual_range range)
{
	lh_gather gather;

	lh_gather_begin(&gather, directory);
	lh_directory_clear_range(directory, range, &gather);
	lh_gather_finish(&gather);
}

lh_frame_number room_open_with_frame(test_room *room)
{
	room_open(room, 1024, 4);
	room_build(room);
	return room_frame(room);
}

void room_close_with_frame(test_room *room, lh_frame_number frame)
{
	lh_frame_drop(room->frames, frame);
	CHECK_SOUND(lh_directory_check(&room->user));
	room_close(room);
}
