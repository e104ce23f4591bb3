/* SPDX-License-Identifier: BSD-2-Clause */
#include "heap/tape.h"

#include "heap/room.h"

/* All walkers run after so many records: they take a hundred times as long as one of these. */
#define CHECKED_EACH 8

enum what {
	ALLOCATE,
	ALLOCATE_ZEROED,
	ALLOCATE_ALIGNED,
	ALLOCATE_AT_HAND,
	FREE_ONE,
	FREE_AT_HAND,
	RESIZE,
	TRIM,
	CHANGE_CPU,
	FREE_TWICE,
	FREE_WRONGLY,
	WHAT_COUNT
};

struct record {
	uint8_t what, size, which, trouble;
};

/* A quarter each: every size up to 64, by 64, by 300, by pages. */
static uint64_t bytes_of(uint8_t size)
{
	uint64_t n = size % 64 + 1u;

	switch (size / 64) {
	case 0:
		return n;
	case 1:
		return n * 64;
	case 2:
		return n * 300;
	default:
		return n * 3000;
	}
}

static size_t block_of(const struct record *record)
{
	return record->which % count;
}

static void check_error(lh_error error)
{
	CHECK(error == LH_OK || error == LH_NO_MEMORY || error == LH_NO_HOLE);
}

static void take_at_hand(uint64_t bytes)
{
	lh_heap_request request = { bytes, 0, LH_HEAP_AT_HAND, NULL };
	uintptr_t interrupts = lh_port_interrupts_off(machine);
	uint64_t parks = machine->parks;

	check_error(allocate_as(&request));
	CHECK_EQUAL(machine->parks, parks);
	lh_port_interrupts_restore(machine, interrupts);
}

/* A block that is given out, by an address or a size that it has not. */
static void free_wrongly(const struct record *record)
{
	const struct block *block = &blocks[block_of(record)];

	if (record->size % 2)
		CHECK(panic_of_free(block->address.value + 1 + record->size % block->bytes, 0) != NULL);
	else
		CHECK(panic_of_free(block->address.value, lh_heap_size_of(&heap, block->address) + 1 +
						  record->size) != NULL);
}

static void free_twice(const struct record *record)
{
	struct block block = blocks[block_of(record)];

	release(block_of(record));
	CHECK(panic_of_free(block.address.value, record->size % 2 ? block.bytes : 0) != NULL);
}

static void play_on_blocks(const struct record *record)
{
	switch (record->what % WHAT_COUNT) {
	case FREE_ONE:
		release(block_of(record));
		break;
	case FREE_AT_HAND:
		release_at_hand(block_of(record));
		break;
	case RESIZE:
		check_error(resize(block_of(record), bytes_of(record->size)));
		break;
	case FREE_TWICE:
		free_twice(record);
		break;
	case FREE_WRONGLY:
		free_wrongly(record);
		break;
	default:
		break;
	}
}

static void play_record(const struct record *record)
{
	uint64_t bytes = bytes_of(record->size), alignment = UINT64_C(1) << record->which % 16;

	switch (record->what % WHAT_COUNT) {
	case ALLOCATE:
	case ALLOCATE_ZEROED:
		check_error(allocate(bytes, 0, record->what % WHAT_COUNT == ALLOCATE_ZEROED));
		break;
	case ALLOCATE_ALIGNED:
		check_error(allocate(bytes, alignment, false));
		break;
	case ALLOCATE_AT_HAND:
		take_at_hand(bytes);
		break;
	case TRIM:
		(void)lh_heap_trim(&heap);
		break;
	case CHANGE_CPU:
		(void)machine_run_on(machine, record->which % CPUS);
		break;
	default:
		if (count != 0)
			play_on_blocks(record);
	}
}

/* What is given out is what the list says, whatever failed. */
static void check_counters(void)
{
	lh_heap_counters counters;
	uint64_t bytes = 0;

	for (size_t i = 0; i < count; i++)
		bytes += item_bytes(blocks[i].address);
	lh_heap_read_counters(&heap, &counters);
	CHECK_EQUAL(counters.items, count);
	CHECK_EQUAL(counters.bytes, bytes);
}

void heap_tape_play(const uint8_t *bytes, size_t size)
{
	static const uint64_t pages[4] = { 30, 300, 1000, 5000 };
	uint8_t first = size != 0 ? bytes[0] : 0;

	test_seed(first);
	begin(pages[first / 2 % 4], first % 2 ? LH_HEAP_CHECKED : 0);
	for (size_t at = 1; at < size; at += TAPE_RECORD) {
		struct record record = { 0, 0, 0, 0 };

		memcpy(&record, bytes + at, size - at < TAPE_RECORD ? size - at : TAPE_RECORD);
		if (record.trouble >= 128)
			lh_frames_fail_at(frames, record.trouble - 127u);
		play_record(&record);
		lh_frames_fail_at(frames, 0);
		check_counters();
		if (at / TAPE_RECORD % CHECKED_EACH == 0)
			check_sound();
	}
	check_all_returned();
	end();
}

size_t heap_tape_generate(uint8_t *bytes, size_t records)
{
	uint8_t *at = bytes;

	*at++ = (uint8_t)test_random();
	for (size_t i = 0; i < records; i++) {
		bool rises = i / 32 % 2 == 0;

		*at++ = (uint8_t)(test_random_below(3) == 0 ? test_random_below(WHAT_COUNT)
				  : rises ? test_random_below(ALLOCATE_AT_HAND) : FREE_ONE);
		*at++ = (uint8_t)test_random_below(test_random_below(3) ? 128 : 256);
		*at++ = (uint8_t)test_random();
		*at++ = (uint8_t)(test_random_below(4) ? 0 : 128 + test_random_below(24));
	}
	return (size_t)(at - bytes);
}
