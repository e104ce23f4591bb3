/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Directories of every format of this build's page size, against a naive model and the independent
 * reader: random operations on pages on both sides of a table's end at each level, in both halves;
 * leaves of each level; and ranges mapped with the largest leaves that fit.
 */
#include "paging/walk.h"

#include "formats.h"
#include "room.h"

#define AROUND 4
#define PAGES_MAX (2 * AROUND * LH_PAGING_LEVELS_MAX)
#define STEPS 400

typedef struct test_page {
	uint64_t address;
	lh_leaf leaf;
} test_page;

typedef struct test_world {
	test_room room;
	const test_format *kind;
	lh_directory *directory;
	reader_cpu cpu;
	test_page pages[PAGES_MAX];
	unsigned count;
} test_world;

static uint64_t word_at(void *context, uint64_t physical)
{
	uint8_t *bytes = machine_bytes(context, physical >> LH_PAGE_SHIFT);

	CHECK(bytes != NULL);
	return *(uint64_t *)(void *)(bytes + (physical & (LH_PAGE_SIZE - 1)));
}

static bool is_user(const test_world *world)
{
	return world->directory == &world->room.user;
}

static void add_pages(test_world *world)
{
	const lh_paging_format *format = &world->room.format;
	uint64_t base = lh_directory_own_range(world->directory).base.value;

	for (unsigned level = 1; level < format->levels; level++) {
		uint64_t end = base + (UINT64_C(1) << lh_level_shift(format, level));

		/* A root of two entries has no end of its own in one half. */
		if (!lh_directory_owns(world->directory, lh_virtual(end)))
			continue;
		for (unsigned i = 0; i < 2 * AROUND; i++)
			world->pages[world->count++].address = end + i * LH_PAGE_SIZE - AROUND * LH_PAGE_SIZE;
	}
}

static void open_world(test_world *world, const test_format *kind, bool user)
{
	*world = (test_world){ .kind = kind };
	room_open(&world->room, 1400, 1);
	world->room.format = *kind->format;
	if (kind->has_svpbmt) {
		lh_paging_format_add_svpbmt(&world->room.format);
		lh_paging_format_add_svnapot(&world->room.format);
	}
	if (kind->hardware_flags)
		world->room.format.software_accessed = world->room.format.software_dirty = false;
	room_build(&world->room);
	world->directory = user ? &world->room.user : &world->room.kernel;
	world->cpu = (reader_cpu){
		.architecture = kind->architecture, .page_bits = LH_PAGE_SHIFT,
		.virtual_bits = kind->format->address_bits, .hardware_flags = kind->hardware_flags,
		.has_napot = kind->has_svpbmt, .word = word_at, .context = world->room.machine,
	};
	add_pages(world);
}

static reader_page read_page(const test_world *world, uint64_t address)
{
	return reader_read(&world->cpu, lh_frame_address(world->directory->root).value, address);
}

static reader_type type_of(lh_memory_type type)
{
	static const reader_type types[] = {
		[LH_MEMORY_WRITE_BACK] = READER_WRITE_BACK, [LH_MEMORY_WRITE_THROUGH] = READER_WRITE_THROUGH,
		[LH_MEMORY_WRITE_COMBINING] = READER_WRITE_COMBINING, [LH_MEMORY_UNCACHED] = READER_UNCACHED,
	};

	return types[type];
}

/* A page as it should be, by the library's answer and by the tables' bytes. */
static void compare_page(const test_world *world, uint64_t address, lh_leaf expected)
{
	lh_leaf leaf = lh_directory_read(world->directory, lh_virtual(address));
	reader_page page = read_page(world, address);
	const reader_access *own = is_user(world) ? &page.user : &page.kernel;
	const reader_access *other = is_user(world) ? &page.kernel : &page.user;

	CHECK_EQUAL(leaf.kind, expected.kind);
	CHECK_EQUAL(page.fault == NULL, expected.kind == LH_LEAF_PRESENT);
	if (expected.kind == LH_LEAF_EMPTY)
		return;
	CHECK_EQUAL(leaf.frame.value, expected.frame.value);
	CHECK_EQUAL(leaf.level, expected.level);
	if (expected.kind != LH_LEAF_PRESENT)
		return;
	CHECK_EQUAL(leaf.rights, expected.rights);
	CHECK_EQUAL(page.level, expected.level);
	CHECK_EQUAL(page.physical >> LH_PAGE_SHIFT,
		    expected.frame.value + (address >> LH_PAGE_SHIFT) %
						   lh_level_pages(&world->room.format, expected.level));
	CHECK_EQUAL(own->read, (expected.rights & LH_RIGHT_READ) != 0);
	CHECK_EQUAL(own->write, (expected.rights & LH_RIGHT_WRITE) != 0);
	CHECK_EQUAL(own->execute, (expected.rights & LH_RIGHT_EXECUTE) != 0);
	CHECK(!other->read && !other->write && !other->execute);
	CHECK_EQUAL(page.global, !is_user(world));
	CHECK_EQUAL(leaf.type, expected.type);
	CHECK_EQUAL(page.type, type_of(expected.type));
	CHECK_EQUAL(leaf.key, expected.key);
	CHECK_EQUAL(page.key, expected.key);
}

static void compare_world(const test_world *world)
{
	for (unsigned i = 0; i < world->count; i++)
		compare_page(world, world->pages[i].address, world->pages[i].leaf);
	CHECK_SOUND(lh_directory_check(world->directory));
}

/* --- random operations --- */

/* Frames that no memory need stand behind; each bit of an address comes to be used. */
static lh_frame_number any_frame(const test_world *world, unsigned level)
{
	uint64_t last = lh_physical_frame(lh_paging_format_last(&world->room.format)).value;
	uint64_t pages = lh_level_pages(&world->room.format, level);

	return lh_frame(test_random_below(last / pages) * pages);
}

static lh_leaf any_leaf(const test_world *world, unsigned level)
{
	return (lh_leaf){
		.kind = test_random_below(5) ? LH_LEAF_PRESENT : LH_LEAF_NO_ACCESS,
		.rights = (lh_rights)(1 + test_random_below(7)), .level = (uint8_t)level,
		.flags = LH_LEAF_UNCOUNTED, .frame = any_frame(world, level),
		.type = test_random_below(2) ? LH_MEMORY_WRITE_BACK
					     : (lh_memory_type)test_random_below(LH_MEMORY_TYPE_COUNT),
		.key = world->room.format.key == 0 ? 0 : (uint8_t)test_random_below(16),
	};
}

static lh_leaf as_kept(const test_world *world, lh_leaf leaf)
{
	leaf.rights = leaf.kind == LH_LEAF_PRESENT
			      ? lh_paging_format_implied(&world->room.format, leaf.rights)
			      : LH_RIGHT_NONE;
	/* riscv64 knows no write-through, and without Svpbmt nothing else: what is cached then is. */
	if (world->cpu.architecture == READER_RISCV64 &&
	    (leaf.type == LH_MEMORY_WRITE_THROUGH || !world->kind->has_svpbmt))
		leaf.type = LH_MEMORY_WRITE_BACK;
	return leaf;
}

static void write_one(test_world *world, test_page *page)
{
	lh_spare_tables spares = { 0, 0 };
	lh_leaf leaf = any_leaf(world, 0);

	if (page->leaf.kind != LH_LEAF_EMPTY)
		return;
	CHECK_OK(lh_directory_prepare(world->directory, range_of(page->address, 1), &spares));
	CHECK_OK(lh_directory_write(world->directory, lh_virtual(page->address), leaf, &spares));
	CHECK_EQUAL(spares.count, 0);
	page->leaf = as_kept(world, leaf);
}

static void map_row(test_world *world, unsigned first, unsigned count)
{
	lh_virtual_range range = range_of(world->pages[first].address, count);
	lh_leaf leaf = any_leaf(world, 0);
	lh_spare_tables spares = { 0, 0 };

	for (unsigned i = first; i < first + count; i++)
		if (world->pages[i].leaf.kind != LH_LEAF_EMPTY)
			return;
	if (leaf.frame.value > 100)
		leaf.frame.value -= 100;
	CHECK_OK(lh_directory_prepare_map(world->directory, range, leaf, &spares));
	CHECK_OK(lh_directory_map(world->directory, range, leaf, NULL, &spares));
	lh_spare_tables_give_back(world->room.frames, &spares);
	leaf = as_kept(world, leaf);
	for (unsigned i = first; i < first + count; i++, leaf.frame.value++)
		world->pages[i].leaf = leaf;
}

static void change_range(test_world *world, lh_virtual_range range, bool clear)
{
	lh_rights rights = (lh_rights)test_random_below(8);
	lh_gather gather;

	lh_gather_begin(&gather, world->directory);
	if (clear)
		lh_directory_clear_range(world->directory, range, &gather);
	else
		lh_directory_restrict_range(world->directory, range, rights, &gather);
	lh_gather_finish(&gather);
	for (unsigned i = 0; i < world->count; i++) {
		lh_leaf *leaf = &world->pages[i].leaf;

		if (!lh_virtual_range_contains(range, lh_virtual(world->pages[i].address)))
			continue;
		if (clear)
			*leaf = (lh_leaf){ .kind = LH_LEAF_EMPTY };
		if (leaf->kind != LH_LEAF_PRESENT)
			continue;
		if ((leaf->rights & rights) == 0)
			leaf->kind = LH_LEAF_NO_ACCESS;
		leaf->rights &= rights;
		*leaf = as_kept(world, *leaf);
	}
}

static void step(test_world *world)
{
	unsigned first = (unsigned)test_random_below(world->count);
	unsigned count = 2 * AROUND - first % (2 * AROUND);
	unsigned last = (unsigned)test_random_below(world->count);
	uint64_t low = world->pages[first < last ? first : last].address;
	uint64_t high = world->pages[first < last ? last : first].address;

	switch (test_random_below(8)) {
	case 0:
	case 1:
		map_row(world, first, 1 + (unsigned)test_random_below(count));
		break;
	case 2:
		change_range(world, range_of(low, ((high - low) >> LH_PAGE_SHIFT) + 1), true);
		break;
	case 3:
		change_range(world, range_of(low, ((high - low) >> LH_PAGE_SHIFT) + 1), false);
		break;
	case 4:
		change_range(world, range_of(low, 1), true);
		break;
	default:
		write_one(world, &world->pages[first]);
	}
}

TEST(random_operations_agree_with_the_reader_in_every_format)
{
	const test_format *kind;

	for (unsigned n = 0; (kind = test_format_at(n)) != NULL; n++)
		for (unsigned user = 0; user < 2; user++) {
			test_world world;

			open_world(&world, kind, user != 0);
			for (unsigned i = 0; i < STEPS; i++) {
				step(&world);
				compare_world(&world);
			}
			room_close(&world.room);
		}
}

/* --- leaves of every level --- */

static void try_level(test_world *world, unsigned level)
{
	uint64_t pages = lh_level_pages(&world->room.format, level);
	uint64_t base = lh_directory_own_range(world->directory).base.value;
	lh_spare_tables spares = { 0, 0 };
	lh_leaf leaf = any_leaf(world, level);

	leaf.kind = LH_LEAF_PRESENT;
	leaf.rights = LH_RIGHT_READ | LH_RIGHT_WRITE;
	CHECK_OK(lh_directory_prepare_level(world->directory, range_of(base, pages), level, &spares));
	CHECK_OK(lh_directory_write_large(world->directory, lh_virtual(base), leaf, &spares));
	CHECK_EQUAL(spares.count, 0);
	leaf = as_kept(world, leaf);
	compare_page(world, base, leaf);
	compare_page(world, base + (pages - 1) * LH_PAGE_SIZE, leaf);
	change_range(world, range_of(base, pages), false);
	change_range(world, range_of(base, pages), true);
	compare_page(world, base, (lh_leaf){ .kind = LH_LEAF_EMPTY });
	CHECK_SOUND(lh_directory_check(world->directory));
}

TEST(leaves_of_every_level_agree_with_the_reader_in_every_format)
{
	const test_format *kind;

	for (unsigned n = 0; (kind = test_format_at(n)) != NULL; n++)
		for (unsigned user = 0; user < 2; user++) {
			test_world world;

			open_world(&world, kind, user != 0);
			world.count = 0;
			for (unsigned level = 1; level < kind->format->levels; level++)
				if (kind->format->leaf_at[level] &&
				    (user != 0 || kind->format->root_each ||
				     level + 1 < kind->format->levels))
					try_level(&world, level);
			room_close(&world.room);
		}
}

/* A leaf of a level is split for the sake of its second page, and put together again. */
static void split_and_promote(test_world *world, unsigned level)
{
	uint64_t pages = lh_level_pages(&world->room.format, level);
	uint64_t base = lh_directory_own_range(world->directory).base.value, second = base + LH_PAGE_SIZE;
	lh_leaf leaf = any_leaf(world, level), part;
	lh_spare_tables spares = { 0, 0 };

	leaf.kind = LH_LEAF_PRESENT;
	leaf.flags |= LH_LEAF_ACCESSED | LH_LEAF_DIRTY;
	CHECK_OK(lh_directory_prepare_level(world->directory, range_of(base, pages), level, &spares));
	CHECK_OK(lh_directory_write_large(world->directory, lh_virtual(base), leaf, &spares));
	CHECK_OK(lh_directory_prepare_split(world->directory, range_of(second, 1), &spares));
	CHECK_OK(lh_directory_split(world->directory, range_of(second, 1), &spares));
	lh_spare_tables_give_back(world->room.frames, &spares);
	part = leaf = as_kept(world, leaf);
	part.level = 0;
	compare_page(world, base, part);
	part.frame.value++;
	compare_page(world, second, part);
	CHECK_EQUAL(read_page(world, base + (pages - 1) * LH_PAGE_SIZE).physical >> LH_PAGE_SHIFT,
		    leaf.frame.value + pages - 1);
	CHECK_SOUND(lh_directory_check(world->directory));
	for (unsigned at = 1; at <= level; at++)
		CHECK(lh_directory_promote(world->directory, lh_virtual(second), at));
	compare_page(world, second, leaf);
	CHECK_SOUND(lh_directory_check(world->directory));
	CHECK_EQUAL(lh_directory_leaves(world->directory), pages);
	room_clear(world->directory, range_of(base, pages));
}

TEST(a_leaf_is_split_and_put_together_again_in_every_format)
{
	const test_format *kind;

	for (unsigned n = 0; (kind = test_format_at(n)) != NULL; n++) {
		test_world world;

		open_world(&world, kind, true);
		for (unsigned level = 1; level < kind->format->levels; level++)
			if (kind->format->leaf_at[level])
				split_and_promote(&world, level);
		room_close(&world.room);
	}
}

/* From a few pages before a leaf of the highest level to a few behind it, whose frames follow. */
static void map_around(test_world *world, unsigned highest, uint64_t shift)
{
	uint64_t pages = lh_level_pages(&world->room.format, highest);
	uint64_t base = lh_directory_own_range(world->directory).base.value + pages * LH_PAGE_SIZE;
	lh_virtual_range range = range_of(base - 3 * LH_PAGE_SIZE, pages + 7);
	lh_leaf leaf = { .kind = LH_LEAF_PRESENT, .rights = LH_RIGHT_READ | LH_RIGHT_WRITE,
			 .level = (uint8_t)highest, .flags = LH_LEAF_UNCOUNTED,
			 .frame = { 4 * pages - 3 + shift } };
	lh_spare_tables spares = { 0, 0 };

	CHECK_OK(lh_directory_prepare_map(world->directory, range, leaf, &spares));
	CHECK_OK(lh_directory_map(world->directory, range, leaf, NULL, &spares));
	CHECK_EQUAL(spares.count, 0);
	CHECK_EQUAL(lh_directory_leaves(world->directory), range.pages);
	for (uint64_t page = 0; page < range.pages; page = page < 10 ? page + 1 : page * 2 - 1)
		CHECK_EQUAL(read_page(world, lh_virtual_range_page(range, page).value).physical >>
				    LH_PAGE_SHIFT,
			    leaf.frame.value + page);
	CHECK_EQUAL(lh_directory_read(world->directory, lh_virtual(base)).level, shift == 0 ? highest : 0);
	CHECK_EQUAL(lh_directory_read(world->directory, range.base).level, 0);
	CHECK_SOUND(lh_directory_check(world->directory));
	CHECK_ERROR(lh_directory_map(world->directory, range, leaf, NULL, &spares), LH_EXISTS);
	room_clear(world->directory, range);
	CHECK_EQUAL(lh_directory_leaves(world->directory), 0);
}

TEST(a_range_is_mapped_with_the_largest_leaves_that_fit_in_every_format)
{
	const test_format *kind;

	for (unsigned n = 0; (kind = test_format_at(n)) != NULL; n++) {
		test_world world;

		open_world(&world, kind, true);
		for (unsigned level = 1; level + 1 < kind->format->levels; level++)
			if (kind->format->leaf_at[level])
				map_around(&world, level, 0);
		map_around(&world, 1, 1);
		room_close(&world.room);
	}
}

TEST(a_range_that_lacks_tables_is_not_mapped_at_all)
{
	const test_format *kind;

	for (unsigned n = 0; (kind = test_format_at(n)) != NULL; n++) {
		lh_spare_tables spares = { 0, 0 };
		lh_virtual_range range;
		uint64_t needed, used;
		test_world world;
		lh_leaf leaf;

		open_world(&world, kind, true);
		leaf = any_leaf(&world, 0);
		leaf.kind = LH_LEAF_PRESENT;
		range = range_of((UINT64_C(1) << lh_level_shift(kind->format, 1)) - LH_PAGE_SIZE, 2);
		leaf.frame.value /= 2;
		CHECK_OK(lh_directory_prepare_map(world.directory, range, leaf, &spares));
		needed = spares.count;
		lh_spare_tables_give_back(world.room.frames, &spares);
		used = room_table_frames(&world.room);
		for (uint64_t have = 0; have < needed; have++) {
			CHECK_OK(lh_spare_tables_take(world.room.frames, have, &spares));
			CHECK_ERROR(lh_directory_map(world.directory, range, leaf, NULL, &spares), LH_NO_MEMORY);
			CHECK_EQUAL(spares.count, have);
			lh_spare_tables_give_back(world.room.frames, &spares);
			CHECK_EQUAL(room_table_frames(&world.room), used);
			CHECK_SOUND(lh_directory_check(world.directory));
		}
		room_close(&world.room);
	}
}
