/* SPDX-License-Identifier: BSD-2-Clause */
/* Asking the library about everything that the oracle knows. */
#include "world/oracle_inside.h"

#include <string.h>

#include "space/space.h"
#include "world/walkers.h"

/* --- regions --- */

static void compare_region(space_oracle *oracle, const oracle_space *space, uint64_t first,
			   const lh_region_info *info)
{
	const oracle_page *page = &space->pages[first];

	CHECK_EQUAL(info->range.base.value, world_page(&oracle->world, first));
	CHECK_EQUAL(info->range.pages, oracle_run_end(space, first) - first + 1);
	CHECK_EQUAL(info->rights, page->rights);
	CHECK_EQUAL(info->rights_max, page->rights_max);
	CHECK_EQUAL(info->backing, page->backing);
	CHECK_EQUAL(info->flags & ~LH_REGION_POOLED, page->flags);
	CHECK_EQUAL(info->tag, page->tag);
	CHECK(info->object == (page->object >= 0 ? oracle->objects[page->object].object : NULL));
	CHECK_EQUAL(info->object_page, page->object_page);
}

static void compare_regions(space_oracle *oracle, unsigned n)
{
	const oracle_space *space = oracle->space[n];
	lh_region_info info;

	for (uint64_t page = 0; page < space->count; page++) {
		if (!space->pages[page].mapped)
			continue;
		CHECK_OK(lh_space_query(oracle->world.space[n],
					lh_virtual(world_page(&oracle->world, page)), &info));
		compare_region(oracle, space, page, &info);
		page = oracle_run_end(space, page);
	}
}

/* --- leaves --- */

struct leaves {
	space_oracle *oracle;
	const oracle_space *space;
	world_shared shared; /* tables: what they name has one holder for all that have them */
	uint64_t found;
	const char *finding;
	uint64_t page;
};

static const uint64_t zeroes[ORACLE_WORDS];

static const uint64_t *expected_words(const struct leaves *leaves, const oracle_page *page)
{
	if (page->leaf == LEAF_OWN)
		return page->own->words;
	if (page->leaf == LEAF_ZERO)
		return zeroes;
	return leaves->oracle->objects[page->object].words[page->object_page];
}

/* Nobody writes between the words. */
static bool is_zero_between_words(const uint8_t *bytes)
{
	static const uint8_t zero[PAGE];

	for (unsigned word = 0; word + 1 < ORACLE_WORDS; word++) {
		uint64_t from = oracle_offsets[word] + 8;

		if (memcmp(bytes + from, zero, oracle_offsets[word + 1] - from) != 0)
			return false;
	}
	return true;
}

/* How many spaces have the frame, by its holders. */
static uint64_t sharers_of(const struct leaves *leaves, const oracle_page *page, const lh_leaf *leaf,
			   const lh_frame_entry *entry)
{
	if (page->own->references <= 1)
		return entry->holders;
	return entry->holders + world_shared_excess(&leaves->oracle->world, &leaves->shared, leaf->frame.value);
}

static const char *judge_leaf(const struct leaves *leaves, const oracle_page *page,
			      const lh_leaf *leaf)
{
	lh_frames *frames = leaves->oracle->world.frames;
	const lh_frame_entry *entry = lh_frame_entry_of(frames, leaf->frame);
	const uint8_t *bytes = lh_frame_pointer(frames, leaf->frame);

	if (page->leaf == LEAF_EMPTY)
		return "a leaf that should be empty is not";
	if ((page->leaf == LEAF_ZERO) != ((leaf->flags & LH_LEAF_UNCOUNTED) != 0))
		return "a leaf shows the zero page and should not, or the reverse";
	if (page->leaf != LEAF_OWN && leaf->level != 0)
		return "a huge leaf has a page that is not private";
	if (page->leaf == LEAF_OWN && (entry->state != LH_FRAME_ANONYMOUS ||
				       sharers_of(leaves, page, leaf, entry) !=
					       page->own->references + page->own->pins))
		return "a private page's frame is not private, or held by too many or too few";
	if (page->leaf == LEAF_SHOWN && entry->state != LH_FRAME_OBJECT)
		return "an object's page is shown by another frame";
	for (unsigned word = 0; word < ORACLE_WORDS; word++)
		if (memcmp(bytes + oracle_offsets[word], &expected_words(leaves, page)[word], 8) != 0)
			return "a page's contents are wrong";
	return is_zero_between_words(bytes) ? NULL : "a page has bytes that nobody wrote there";
}

static bool compare_leaf(void *context, lh_virtual_address address, lh_leaf *leaf)
{
	struct leaves *leaves = context;
	uint64_t first = (address.value - leaves->oracle->world.user.base.value) / PAGE;
	lh_leaf one = *leaf;

	for (uint64_t i = 0; !leaves->finding && i < world_leaf_pages(leaf); i++, one.frame.value++) {
		leaves->page = first + i;
		leaves->found++;
		leaves->finding = judge_leaf(leaves, &leaves->space->pages[leaves->page], &one);
	}
	return leaves->finding == NULL;
}

static void compare_leaves(space_oracle *oracle, unsigned n)
{
	struct leaves leaves = { .oracle = oracle, .space = oracle->space[n] };
	lh_space *space = oracle->world.space[n];
	uint64_t expected = 0;

	world_find_shared(&oracle->world, &leaves.shared);
	lh_directory_visit(&space->directory, oracle->world.user, compare_leaf, &leaves);
	if (leaves.finding)
		test_fail(__FILE__, __LINE__, "space %u page %llu: %s", n,
			  (unsigned long long)leaves.page, leaves.finding);
	for (uint64_t page = 0; page < oracle->count; page++)
		expected += oracle->space[n]->pages[page].leaf != LEAF_EMPTY;
	CHECK_EQUAL(leaves.found, expected);
}

/* --- what the CPUs read --- */

static const uint64_t *words_of(space_oracle *oracle, const oracle_page *page)
{
	struct leaves leaves = { .oracle = oracle };

	return expected_words(&leaves, page);
}

/* A page that a CPU can read without a fault is one that the oracle says is there. */
static void compare_read(space_oracle *oracle, unsigned cpu, unsigned n, uint64_t at)
{
	const oracle_page *page = &oracle->space[n]->pages[at];
	uint64_t address = world_page(&oracle->world, at), word;
	machine_fault fault;

	if (!machine_read(oracle->world.machine, cpu, lh_virtual(address), &word, 8, MACHINE_USER,
			  &fault))
		return;
	if (page->leaf == LEAF_EMPTY || page->rights == LH_RIGHT_NONE)
		test_fail(__FILE__, __LINE__, "CPU %u reads page %llu of space %u, which is not there",
			  cpu, (unsigned long long)at, n);
	if (word != words_of(oracle, page)[0])
		test_fail(__FILE__, __LINE__, "CPU %u reads %#llx in page %llu of space %u, not %#llx",
			  cpu, (unsigned long long)word, (unsigned long long)at, n,
			  (unsigned long long)words_of(oracle, page)[0]);
}

/* Ranges up to this are read page by page; in larger ones only what is there: what is not, the
 * walkers of tables look for. */
#define READ_ALL_UP_TO 64

static void compare_cpus(space_oracle *oracle)
{
	for (unsigned cpu = 0; cpu < oracle->world.machine->cpu_count; cpu++) {
		int n = oracle->world.loaded[cpu];

		for (uint64_t page = 0; n >= 0 && page < oracle->count; page++)
			if (oracle->count <= READ_ALL_UP_TO ||
			    oracle->space[n]->pages[page].leaf != LEAF_EMPTY)
				compare_read(oracle, cpu, (unsigned)n, page);
	}
}

/* --- counters --- */

/* Tables that the leaves need: the root, and each slot above level 0 with a leaf below it. */
static uint64_t expected_tables(space_oracle *oracle, unsigned n)
{
	const oracle_space *space = oracle->space[n];
	uint64_t tables = 1;

	for (unsigned shift = 21; shift <= 3 + 9u * oracle->world.format.levels; shift += 9) {
		uint64_t before = UINT64_MAX;

		for (uint64_t page = 0; page < space->count; page++) {
			uint64_t slot = world_page(&oracle->world, page) >> shift;

			if (space->pages[page].leaf == LEAF_EMPTY || slot == before)
				continue;
			tables += shift != 21 || !(oracle_is_huge(oracle, n, page) || world_is_shared(&oracle->world, n, page));
			before = slot;
		}
	}
	return tables;
}

struct sums {
	uint64_t regions, charge, tables, object_pages;
};

static void compare_counters(space_oracle *oracle, unsigned n, struct sums *sums)
{
	const oracle_space *space = oracle->space[n];
	lh_space_counters counters = world_counters(&oracle->world, n);
	uint64_t resident = 0;

	for (uint64_t page = 0; page < space->count; page++)
		resident += space->pages[page].leaf != LEAF_EMPTY;
	CHECK_EQUAL(counters.regions, oracle_regions(space));
	CHECK_EQUAL(counters.pages, oracle_mapped(space, 0, space->count));
	CHECK_EQUAL(counters.resident, resident);
	CHECK_EQUAL(counters.tables, expected_tables(oracle, n));
	CHECK_EQUAL(counters.charged, oracle_charge(space));
	sums->regions += counters.regions;
	sums->charge += counters.charged;
	sums->tables += counters.tables;
}

/* What is promised to an account, and to those above it. */
static void compare_account(space_oracle *oracle, lh_account *account)
{
	for (; account; account = account->parent)
		CHECK_EQUAL(lh_account_charged(account), oracle_account_charge(oracle, account));
}

static void compare_objects(space_oracle *oracle, struct sums *sums)
{
	for (unsigned n = 0; n < ORACLE_OBJECTS; n++) {
		const oracle_object *object = &oracle->objects[n];
		uint64_t present = oracle_object_present(object);

		CHECK_SOUND(lh_object_check(object->object));
		CHECK_EQUAL(lh_object_pages(object->object), present);
		CHECK_EQUAL(lh_object_size(object->object), object->size);
		sums->object_pages += present;
		sums->charge += oracle_object_charge(object);
		compare_account(oracle, object->account);
	}
}

void oracle_compare(space_oracle *oracle)
{
	struct sums sums = { 0 };
	lh_statistics statistics;
	world_shared shared;

	world_settle(&oracle->world); /* a split may have made a table of what was free */

	for (unsigned n = 0; n < WORLD_SPACES; n++) {
		if (!oracle->space[n])
			continue;
		compare_regions(oracle, n);
		compare_leaves(oracle, n);
		compare_counters(oracle, n, &sums);
		compare_account(oracle, oracle->world.account[n]);
	}
	compare_objects(oracle, &sums);
	sums.charge += oracle_pinned_charge(oracle, NULL);
	compare_cpus(oracle);
	statistics = world_statistics(&oracle->world);
	CHECK_EQUAL(statistics.user_regions, sums.regions);
	CHECK_EQUAL(statistics.objects, ORACLE_OBJECTS);
	CHECK_EQUAL(statistics.frames.committed, sums.charge);
	CHECK_EQUAL(statistics.frames.used[LH_FRAME_ANONYMOUS], oracle->frames);
	CHECK_EQUAL(statistics.frames.used[LH_FRAME_OBJECT],
		    sums.object_pages + oracle_pinned_orphans(oracle));
	world_find_shared(&oracle->world, &shared);
	CHECK_EQUAL(statistics.table_pages, world_kernel_tables(&oracle->world) + sums.tables + shared.count);
}
