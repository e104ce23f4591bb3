/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs, in every format that has them, against a model of leaves and the independent reader, which finds entries with
 * the hint that are no run. A range with room for three runs and a bit at each end is mapped; then parts of it are
 * cleared and restricted at random, and a CPU notes in one entry what is then true of the run.
 */
#include "paging/run.h"

#include "formats.h"
#include "room.h"

#define LEAVES_MAX (3 * 128 + 8)
#define ROUNDS 12
#define STEPS 25

typedef struct test_runs {
	test_room room;
	reader_cpu cpu;
	unsigned level;
	uint64_t bytes;	 /* of a leaf */
	uint64_t base;
	uint64_t before; /* leaves before the first run */
	unsigned count;
	lh_leaf leaves[LEAVES_MAX];
} test_runs;

static uint64_t word_at(void *context, uint64_t physical)
{
	uint8_t *bytes = machine_bytes(context, physical >> LH_PAGE_SHIFT);

	CHECK(bytes != NULL);
	return *(uint64_t *)(void *)(bytes + (physical & (LH_PAGE_SIZE - 1)));
}

static void open_runs(test_runs *runs, const test_format *kind, unsigned level)
{
	uint64_t slots = lh_run_slots(kind->format, level);

	*runs = (test_runs){ .level = level };
	room_open(&runs->room, 1024, 1);
	runs->room.format = *kind->format;
	if (kind->has_svpbmt) {
		lh_paging_format_add_svnapot(&runs->room.format);
		slots = lh_run_slots(&runs->room.format, level);
	}
	if (kind->hardware_flags)
		runs->room.format.software_accessed = runs->room.format.software_dirty = false;
	room_build(&runs->room);
	runs->cpu = (reader_cpu){
		.architecture = kind->architecture, .page_bits = LH_PAGE_SHIFT,
		.virtual_bits = kind->format->address_bits, .hardware_flags = kind->hardware_flags,
		.has_napot = kind->has_svpbmt, .word = word_at, .context = runs->room.machine,
	};
	runs->bytes = UINT64_C(1) << lh_level_shift(kind->format, level);
	runs->before = 1 + test_random_below(slots - 1);
	runs->count = (unsigned)(runs->before + 3 * slots + test_random_below(slots - 1));
	if (runs->count > LEAVES_MAX)
		runs->count = LEAVES_MAX;
	/* The second run ends with its table. */
	runs->base = (UINT64_C(1) << lh_level_shift(kind->format, level + 1)) - (2 * slots + runs->before) * runs->bytes;
}

static lh_virtual_range span_of(const test_runs *runs, unsigned first, unsigned count)
{
	return range_of(runs->base + first * runs->bytes, count * (runs->bytes >> LH_PAGE_SHIFT));
}

static reader_page page_of(const test_runs *runs, unsigned leaf)
{
	return reader_read(&runs->cpu, lh_frame_address(runs->room.user.root).value, span_of(runs, leaf, 1).base.value);
}

/* Frames whose place in a run is that of the addresses. */
static void map_runs(test_runs *runs)
{
	uint64_t slots = lh_run_slots(&runs->room.format, runs->level);
	lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .rights = LH_RIGHT_READ | LH_RIGHT_WRITE | LH_RIGHT_EXECUTE,
			 .level = (uint8_t)runs->level, .flags = LH_LEAF_UNCOUNTED | LH_LEAF_RUNS };
	lh_spare_tables spares = { 0, 0 };
	uint64_t in_runs = 0;

	leaf.frame.value = (4 * slots - runs->before) * (runs->bytes >> LH_PAGE_SHIFT);
	CHECK_OK(lh_directory_prepare_map(&runs->room.user, span_of(runs, 0, runs->count), leaf, &spares));
	CHECK_OK(lh_directory_map(&runs->room.user, span_of(runs, 0, runs->count), leaf, NULL, &spares));
	lh_spare_tables_give_back(runs->room.frames, &spares);
	for (unsigned i = 0; i < runs->count; i++, leaf.frame.value += runs->bytes >> LH_PAGE_SHIFT) {
		runs->leaves[i] = leaf;
		runs->leaves[i].flags = lh_directory_read(&runs->room.user, span_of(runs, i, 1).base).flags;
		in_runs += page_of(runs, i).run != 0;
	}
	CHECK_EQUAL(in_runs, (runs->count - runs->before) / slots * slots);
}

static bool compare_run(void *context, const lh_leaf_run *run)
{
	const test_runs *runs = context;
	uint64_t pages = runs->bytes >> LH_PAGE_SHIFT;
	uint64_t first = (run->range.base.value - runs->base) / runs->bytes;

	for (uint64_t i = 0; i < run->range.pages / pages; i++) {
		CHECK_EQUAL(runs->leaves[first + i].kind, run->leaf.kind);
		CHECK_EQUAL(runs->leaves[first + i].rights, run->leaf.rights);
		CHECK_EQUAL(runs->leaves[first + i].flags, run->leaf.flags);
		CHECK_EQUAL(runs->leaves[first + i].frame.value, run->leaf.frame.value + i * pages);
	}
	return true;
}

static void compare(test_runs *runs)
{
	for (unsigned i = 0; i < runs->count; i++) {
		lh_leaf leaf = lh_directory_read(&runs->room.user, span_of(runs, i, 1).base);
		const lh_leaf *expected = &runs->leaves[i];
		reader_page page = page_of(runs, i);

		CHECK_EQUAL(leaf.kind, expected->kind);
		CHECK_EQUAL(page.fault == NULL, expected->kind == LH_LEAF_PRESENT);
		if (expected->kind == LH_LEAF_EMPTY)
			continue;
		CHECK_EQUAL(leaf.frame.value, expected->frame.value);
		CHECK_EQUAL(leaf.flags, expected->flags);
		CHECK_EQUAL(leaf.level, runs->level);
		if (expected->kind != LH_LEAF_PRESENT)
			continue;
		CHECK_EQUAL(leaf.rights, expected->rights);
		CHECK_EQUAL(page.physical >> LH_PAGE_SHIFT, expected->frame.value);
		CHECK_EQUAL(page.user.write, (expected->rights & LH_RIGHT_WRITE) != 0);
		CHECK_EQUAL(page.user.execute, (expected->rights & LH_RIGHT_EXECUTE) != 0);
	}
	lh_directory_query(&runs->room.user, span_of(runs, 0, runs->count), compare_run, runs);
	CHECK_SOUND(lh_directory_check(&runs->room.user));
}

/* As a CPU that sets flags does, in the entry of one leaf. */
static void note(test_runs *runs, unsigned i, bool dirty)
{
	reader_page page = page_of(runs, i);
	bool arm = runs->cpu.architecture == READER_AARCH64;
	uint64_t slots = page.run, first;
	uint64_t *entry;

	if (page.fault || !runs->cpu.hardware_flags)
		return;
	dirty = dirty && page.user.write;
	entry = (uint64_t *)machine_bytes(runs->room.machine, page.entry >> LH_PAGE_SHIFT) +
		(page.entry & (LH_PAGE_SIZE - 1)) / 8;
	*entry |= arm ? UINT64_C(1) << 10 : UINT64_C(1) << 6;
	if (dirty && arm)
		*entry &= ~(UINT64_C(1) << 7);
	else if (dirty)
		*entry |= UINT64_C(1) << 7;
	first = slots == 0 ? i : i - (page.entry / 8 & (slots - 1));
	for (uint64_t n = first; n < first + (slots == 0 ? 1 : slots); n++)
		runs->leaves[n].flags |= LH_LEAF_ACCESSED | (dirty ? LH_LEAF_DIRTY : 0);
}

static void change(test_runs *runs, unsigned first, unsigned count, bool clear)
{
	lh_rights rights = (lh_rights)test_random_below(8);
	lh_gather gather;

	lh_gather_begin(&gather, &runs->room.user);
	if (clear)
		lh_directory_clear_range(&runs->room.user, span_of(runs, first, count), &gather);
	else
		lh_directory_restrict_range(&runs->room.user, span_of(runs, first, count), rights, &gather);
	lh_gather_finish(&gather);
	for (lh_leaf *leaf = &runs->leaves[first]; leaf < &runs->leaves[first + count]; leaf++) {
		if (clear)
			*leaf = (lh_leaf){ .kind = LH_LEAF_EMPTY };
		if (leaf->kind != LH_LEAF_PRESENT)
			continue;
		leaf->rights &= rights;
		if (leaf->rights == LH_RIGHT_NONE)
			leaf->kind = LH_LEAF_NO_ACCESS;
		else
			leaf->rights = lh_paging_format_implied(&runs->room.format, leaf->rights);
	}
}

static void try_runs(const test_format *kind, unsigned level)
{
	test_runs runs;

	open_runs(&runs, kind, level);
	for (unsigned round = 0; round < ROUNDS; round++) {
		map_runs(&runs);
		for (unsigned step = 0; step < STEPS; step++) {
			unsigned first = (unsigned)test_random_below(runs.count);
			unsigned most = test_random_below(3) ? 20 : runs.count;
			unsigned count = 1 + (unsigned)test_random_below(most);

			compare(&runs);
			if (count > runs.count - first)
				count = runs.count - first;
			if (test_random_below(2))
				note(&runs, first, test_random_below(2));
			else
				change(&runs, first, count, test_random_below(3) == 0);
		}
		change(&runs, 0, runs.count, true);
		CHECK_EQUAL(lh_directory_leaves(&runs.room.user), 0);
	}
	/* What is torn down unopened is as sound. */
	map_runs(&runs);
	compare(&runs);
	room_close(&runs.room);
}

TEST(runs_agree_with_the_reader_in_every_format_that_has_them)
{
	const test_format *kind;

	for (unsigned n = 0; (kind = test_format_at(n)) != NULL; n++)
		for (unsigned level = 0; level + 1 < kind->format->levels; level++)
			if (kind->format->leaf_at[level] &&
			    (kind->format->run_shift[level] != 0 || (kind->has_svpbmt && level == 0)))
				try_runs(kind, level);
}
