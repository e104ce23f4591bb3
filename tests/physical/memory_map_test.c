/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory map against a page loop: for each page, are all its bytes in usable
 * entries and none in a reserved one?
 */
#include <string.h>

#include <landhold/memory_map.h>

#include "harness.h"

#define MOST 6000
#define PAGE LH_PAGE_SIZE
#define LAST_PAGE (UINT64_MAX >> LH_PAGE_SHIFT)

static lh_memory_entry entries[MOST];
static lh_memory_entry original[MOST];
static size_t original_count;
static lh_memory_map map;

static uint64_t last_of(const lh_memory_entry *entry)
{
	uint64_t last = entry->base + (entry->length - 1);

	return last < entry->base ? UINT64_MAX : last;
}

static bool holds(const lh_memory_entry *entry, uint64_t byte)
{
	return entry->length != 0 && byte >= entry->base && byte <= last_of(entry);
}

/* The oracle: what the entries as given say about one page. */
static bool is_usable(uint64_t page)
{
	uint64_t first = page << LH_PAGE_SHIFT, last = first + (PAGE - 1);
	uint64_t byte = first;
	size_t i;

	for (i = 0; i < original_count; i++)
		if (original[i].kind == LH_MEMORY_RESERVED && original[i].length != 0 &&
		    original[i].base <= last && last_of(&original[i]) >= first)
			return false;
	for (;;) {
		for (i = 0; i < original_count; i++)
			if (original[i].kind == LH_MEMORY_USABLE && holds(&original[i], byte))
				break;
		if (i == original_count)
			return false;
		if (last_of(&original[i]) >= last)
			return true;
		byte = last_of(&original[i]) + 1;
	}
}

static bool is_in_map(uint64_t page)
{
	for (size_t i = 0; i < map.count; i++)
		if (page - (map.entries[i].base >> LH_PAGE_SHIFT) <
		    map.entries[i].length >> LH_PAGE_SHIFT)
			return true;
	return false;
}

static void begin(void)
{
	lh_memory_map_init(&map, entries, MOST);
	original_count = 0;
}

static void add(uint64_t base, uint64_t length, lh_memory_kind kind)
{
	CHECK_OK(lh_memory_map_add(&map, base, length, kind));
	original[original_count++] = (lh_memory_entry){ base, length, kind };
}

static void check_form(void)
{
	for (size_t i = 0; i < map.count; i++) {
		CHECK_EQUAL(map.entries[i].kind, LH_MEMORY_USABLE);
		CHECK(map.entries[i].length != 0);
		CHECK_EQUAL(map.entries[i].base % PAGE, 0);
		CHECK_EQUAL(map.entries[i].length % PAGE, 0);
		CHECK(i == 0 || map.entries[i].base > last_of(&map.entries[i - 1]) + 1);
	}
}

/* Normalises, and compares with the oracle in a window of pages. */
static void check_window(uint64_t first, uint64_t pages)
{
	uint64_t usable = 0;

	CHECK_OK(lh_memory_map_normalise(&map));
	check_form();
	for (uint64_t page = first; page - first < pages; page++) {
		CHECK_EQUAL(is_in_map(page), is_usable(page));
		usable += is_usable(page);
	}
	CHECK_EQUAL(lh_memory_map_frames(&map), usable);
}

static void add_random(uint64_t first, uint64_t pages, size_t count, unsigned reserved_in)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t base = (first << LH_PAGE_SHIFT) + test_random_below(pages * PAGE);
		uint64_t length = test_random_below(test_random_below(2) ? 3 * PAGE : pages * PAGE / 4);
		uint64_t room = ((first + pages) << LH_PAGE_SHIFT) - base;

		if (test_random_below(2))
			base &= ~(PAGE - 1);
		if (test_random_below(2))
			length = (length + PAGE / 2) & ~(PAGE / 2 - 1);
		if (test_random_below(4) == 0 && i > 0) /* touch or overlap by a byte */
			base = original[i - 1].base + original[i - 1].length - test_random_below(2);
		if (base - (first << LH_PAGE_SHIFT) >= pages * PAGE)
			continue;
		room = ((first + pages) << LH_PAGE_SHIFT) - base;
		/* At the top of the address space, entries may run over the end. */
		if (length > room && first + pages - 1 != LAST_PAGE)
			length = room;
		add(base, length, test_random_below(reserved_in) ? LH_MEMORY_USABLE :
								  LH_MEMORY_RESERVED);
		if (length == 0)
			original_count--;
	}
}

TEST(random_maps_agree_with_a_page_loop)
{
	for (unsigned round = 0; round < 1500; round++) {
		begin();
		add_random(test_random_below(3), 64, 1 + test_random_below(24),
			   2 + (unsigned)test_random_below(4));
		check_window(0, 70);
	}
}

TEST(random_maps_that_touch_the_last_address_agree_with_a_page_loop)
{
	for (unsigned round = 0; round < 1500; round++) {
		begin();
		add_random(LAST_PAGE - 63, 64, 1 + test_random_below(24),
			   2 + (unsigned)test_random_below(4));
		check_window(LAST_PAGE - 63, 64);
	}
}

TEST(a_map_of_thousands_of_entries_is_normalised)
{
	begin();
	for (unsigned i = 0; i < 5000; i++) {
		uint64_t page = (i * UINT64_C(2741)) % 5000; /* unsorted, each once */

		add(page * 2 * PAGE, i % 3 ? PAGE : 2 * PAGE, LH_MEMORY_USABLE);
	}
	CHECK_OK(lh_memory_map_normalise(&map));
	check_form();
	for (uint64_t page = 0; page < 10000; page += 7)
		CHECK_EQUAL(is_in_map(page), is_usable(page));
	CHECK_EQUAL(lh_memory_map_frames(&map), 5000 + 1667);
}

/* --- As firmware says it: many entries, painted page by page as they are added --- */

#define PAINTED 24000
#define FAR (UINT64_C(1) << 32) /* first page of the upper half: 16 TiB up */
#define WHOLE 15u		/* all quarters of a page are usable */
#define TAKEN 16u		/* some byte of it is reserved */

static uint8_t painted[PAINTED];

/* Pages 0 to PAINTED / 2 - 1, then as many from FAR on. */
static uint8_t *paint_of(uint64_t page)
{
	return &painted[page < FAR ? page : PAINTED / 2 + (page - FAR)];
}

static void begin_painting(void)
{
	begin();
	memset(painted, 0, sizeof painted);
}

/* Usable ones end at quarters of pages. */
static void paint(uint64_t base, uint64_t length, lh_memory_kind kind)
{
	CHECK_OK(lh_memory_map_add(&map, base, length, kind));
	for (uint64_t page = base >> LH_PAGE_SHIFT; length != 0 && page <= (base + length - 1) >> LH_PAGE_SHIFT; page++)
		for (unsigned quarter = 0; quarter < 4; quarter++) {
			uint64_t first = (page << LH_PAGE_SHIFT) + quarter * PAGE / 4;

			if (kind == LH_MEMORY_RESERVED)
				*paint_of(page) |= TAKEN;
			else if (first >= base && first - base + PAGE / 4 <= length)
				*paint_of(page) |= (uint8_t)(1u << quarter);
		}
}

static void shuffle_entries(void)
{
	for (size_t i = map.count; i > 1; i--) {
		size_t other = test_random_below(i);
		lh_memory_entry kept = map.entries[i - 1];

		map.entries[i - 1] = map.entries[other];
		map.entries[other] = kept;
	}
}

/* Each page, by a walk along the entries that came of it. */
static void check_painted(void)
{
	uint64_t usable = 0;
	size_t at = 0;

	CHECK_OK(lh_memory_map_normalise(&map));
	check_form();
	for (uint64_t i = 0; i < PAINTED; i++) {
		uint64_t page = i < PAINTED / 2 ? i : FAR + (i - PAINTED / 2);

		while (at < map.count && last_of(&map.entries[at]) < page << LH_PAGE_SHIFT)
			at++;
		CHECK_EQUAL(at < map.count && map.entries[at].base <= page << LH_PAGE_SHIFT, painted[i] == WHOLE);
		usable += painted[i] == WHOLE;
	}
	CHECK_EQUAL(lh_memory_map_frames(&map), usable);
	CHECK(usable != 0 && usable != PAINTED);
}

static uint64_t somewhere(uint64_t pages)
{
	return ((test_random_below(2) ? FAR : 0) + test_random_below(PAINTED / 2 - pages)) << LH_PAGE_SHIFT;
}

TEST(thousands_of_entries_that_overlap_agree_with_a_page_loop)
{
	begin_painting();
	for (unsigned i = 0; i < MOST; i++) {
		uint64_t pages = 1 + test_random_below(i % 50 ? 8 : 300);
		uint64_t base = somewhere(pages + 1) + test_random_below(4) * PAGE / 4;

		if (test_random_below(4))
			paint(base, pages * PAGE - test_random_below(4) * PAGE / 4, LH_MEMORY_USABLE);
		else
			paint(base + test_random_below(PAGE / 4), 1 + test_random_below(2 * PAGE), LH_MEMORY_RESERVED);
	}
	check_painted();
}

/*
 * UEFI (2.10, 7.2.3): whole pages of a type each, not overlapping, in any order, neighbours unjoined; after boot
 * services have ended loaders' and theirs are usable like conventional memory. What the loader brought is in loader
 * memory, and reserved by the host besides.
 */
TEST(a_map_as_efi_gives_it_agrees_with_a_page_loop)
{
	enum { RESERVED, LOADER_CODE, LOADER_DATA, BOOT_CODE, BOOT_DATA, RUNTIME_CODE, RUNTIME_DATA, CONVENTIONAL,
	       UNUSABLE, TABLES, FIRMWARE, DEVICE, PORTS, TYPES };
	uint64_t image = 0;

	begin_painting();
	for (uint64_t page = 0; page < PAINTED / 2 - 40;) {
		unsigned type = (unsigned)test_random_below(TYPES);
		uint64_t pages = 1 + test_random_below(30);
		bool is_usable = type == CONVENTIONAL || (type >= LOADER_CODE && type <= BOOT_DATA);

		paint((page % 2 ? FAR + page : page) << LH_PAGE_SHIFT, pages * PAGE,
		      is_usable ? LH_MEMORY_USABLE : LH_MEMORY_RESERVED);
		image = type == LOADER_DATA ? page : image;
		page += pages + (test_random_below(5) ? 0 : test_random_below(20)); /* holes are in no entry */
	}
	paint((image % 2 ? FAR + image : image) << LH_PAGE_SHIFT, 12345, LH_MEMORY_RESERVED);
	shuffle_entries();
	check_painted();
}

/*
 * Devicetree (0.4, 3.4, 3.5, 5.3): banks, which may touch or come in any order; then what is reserved of them, by the
 * header's list to the byte and by nodes, often both the same, or where no bank is.
 */
TEST(a_map_as_a_devicetree_gives_it_agrees_with_a_page_loop)
{
	begin_painting();
	for (unsigned bank = 0; bank < 8; bank++)
		paint(((bank % 2 ? FAR : 0) + (7 - bank) / 2 * 2900) << LH_PAGE_SHIFT,
		      (bank < 4 ? 2900 : 2048) * PAGE, LH_MEMORY_USABLE);
	for (unsigned i = 0; i < 60; i++) {
		uint64_t base = somewhere(100) + test_random_below(PAGE), length = 1 + test_random_below(90 * PAGE);

		paint(base, length, LH_MEMORY_RESERVED);
		if (i % 3 == 0)
			paint(base & ~(PAGE - 1), (length + PAGE - 1) & ~(PAGE - 1), LH_MEMORY_RESERVED);
	}
	check_painted();
}

TEST(wild_addresses_agree_at_every_border)
{
	for (unsigned round = 0; round < 500; round++) {
		begin();
		for (unsigned i = 0; i < 8; i++)
			add(test_random() >> test_random_below(64),
			    1 + (test_random() >> (1 + test_random_below(62))),
			    test_random_below(3) ? LH_MEMORY_USABLE : LH_MEMORY_RESERVED);
		CHECK_OK(lh_memory_map_normalise(&map));
		check_form();
		for (size_t i = 0; i < original_count; i++)
			for (uint64_t step = 0; step < 5; step++) {
				uint64_t base = original[i].base >> LH_PAGE_SHIFT;
				uint64_t last = last_of(&original[i]) >> LH_PAGE_SHIFT;

				base = (base + step - 2) & LAST_PAGE;
				last = (last + step - 2) & LAST_PAGE;
				CHECK_EQUAL(is_in_map(base), is_usable(base));
				CHECK_EQUAL(is_in_map(last), is_usable(last));
			}
	}
}

TEST(a19_parts_that_meet_within_a_page_make_it_usable)
{
	begin();
	add(PAGE, PAGE / 2, LH_MEMORY_USABLE);
	add(PAGE + PAGE / 2, PAGE, LH_MEMORY_USABLE);
	check_window(0, 8);
	CHECK_EQUAL(lh_memory_map_frames(&map), 1);
}

TEST(a19_no_page_is_lost_or_doubled_around_a_reserved_range)
{
	for (uint64_t start = 0; start < 24; start++)
		for (uint64_t length = 1; length < 24; length++) {
			begin();
			add(0, 8 * PAGE, LH_MEMORY_USABLE);
			add(start * PAGE / 4 + (start & 1), length * PAGE / 4 - (length & 1),
			    LH_MEMORY_RESERVED);
			check_window(0, 16);
		}
}

TEST(a19_every_relation_of_two_ends_within_a_byte_of_a_border_is_right)
{
	uint64_t ends[12];

	for (unsigned i = 0; i < 12; i++)
		ends[i] = PAGE + (i / 3) * PAGE + i % 3 - 1;
	for (unsigned i = 0; i < 12 * 12 * 12 * 12; i++) {
		uint64_t from = ends[i % 12], to = ends[i / 12 % 12];
		uint64_t cut = ends[i / 144 % 12], cut_to = ends[i / 1728];

		if (from >= to || cut >= cut_to)
			continue;
		begin();
		add(from, to - from, LH_MEMORY_USABLE);
		add(cut, cut_to - cut, LH_MEMORY_RESERVED);
		check_window(0, 6);
	}
}

TEST(all_of_the_address_space_loses_only_its_last_page)
{
	begin();
	add(0, UINT64_C(1) << 63, LH_MEMORY_USABLE);
	add(UINT64_C(1) << 63, UINT64_MAX, LH_MEMORY_USABLE);
	CHECK_OK(lh_memory_map_normalise(&map));
	CHECK_EQUAL(lh_memory_map_frames(&map), LAST_PAGE);
}

TEST(adding_is_refused_when_full_or_normalised)
{
	lh_memory_map_init(&map, entries, 2);
	CHECK_OK(lh_memory_map_add(&map, 0, 0, LH_MEMORY_USABLE));
	CHECK_EQUAL(map.count, 0);
	CHECK_OK(lh_memory_map_add(&map, 0, PAGE, LH_MEMORY_USABLE));
	CHECK_OK(lh_memory_map_add(&map, 5 * PAGE, PAGE, LH_MEMORY_USABLE));
	CHECK_ERROR(lh_memory_map_add(&map, 9 * PAGE, PAGE, LH_MEMORY_USABLE), LH_LIMIT);
	CHECK_OK(lh_memory_map_normalise(&map));
	CHECK_ERROR(lh_memory_map_normalise(&map), LH_INVALID);
	CHECK_ERROR(lh_memory_map_add(&map, 9 * PAGE, PAGE, LH_MEMORY_USABLE), LH_INVALID);
	CHECK_EQUAL(map.count, 2);
}

TEST(a_map_of_nothing_is_normal)
{
	begin();
	add(100, PAGE, LH_MEMORY_USABLE);
	check_window(0, 4);
	CHECK_EQUAL(map.count, 0);
}

/* --- Carving --- */

static uint64_t carve_oracle(uint64_t pages, uint64_t align, uint64_t limit, uint64_t window)
{
	for (uint64_t place = 0; place + pages <= window; place += align) {
		uint64_t fits = 0;

		while (fits < pages && is_in_map(place + fits))
			fits++;
		if (fits == pages && (limit == 0 || (place + pages) * PAGE <= limit))
			return place;
	}
	return UINT64_MAX;
}

TEST(carving_takes_the_lowest_place_that_fits_and_nothing_else)
{
	for (unsigned round = 0; round < 800; round++) {
		bool before[80];

		begin();
		add_random(0, 64, 1 + test_random_below(12), 4);
		CHECK_OK(lh_memory_map_normalise(&map));
		for (unsigned step = 0; step < 6; step++) {
			uint64_t pages = 1 + test_random_below(9);
			uint64_t align = UINT64_C(1) << test_random_below(5);
			uint64_t limit = test_random_below(2) ? 0 : 1 + test_random_below(70 * PAGE);
			uint64_t expected = carve_oracle(pages, align, limit, 80);
			lh_physical_address base = lh_physical(12345);
			lh_error error;

			for (uint64_t page = 0; page < 80; page++)
				before[page] = is_in_map(page);
			error = lh_memory_map_carve(&map, pages * PAGE - test_random_below(PAGE),
						    align * PAGE, limit, &base);
			CHECK_ERROR(error, expected == UINT64_MAX ? LH_NO_MEMORY : LH_OK);
			CHECK_EQUAL(base.value, error ? 12345 : expected * PAGE);
			check_form();
			for (uint64_t page = 0; page < 80; page++)
				CHECK_EQUAL(is_in_map(page),
					    before[page] && (error || page - expected >= pages));
		}
	}
}

TEST(carving_refuses_bad_arguments_and_a_full_array)
{
	lh_physical_address base;

	lh_memory_map_init(&map, entries, 1);
	CHECK_OK(lh_memory_map_add(&map, PAGE, 20 * PAGE, LH_MEMORY_USABLE));
	CHECK_ERROR(lh_memory_map_carve(&map, PAGE, PAGE, 0, &base), LH_INVALID);
	CHECK_OK(lh_memory_map_normalise(&map));
	CHECK_ERROR(lh_memory_map_carve(&map, 0, PAGE, 0, &base), LH_INVALID);
	CHECK_ERROR(lh_memory_map_carve(&map, PAGE, 0, 0, &base), LH_INVALID);
	CHECK_ERROR(lh_memory_map_carve(&map, PAGE, PAGE / 2, 0, &base), LH_INVALID);
	CHECK_ERROR(lh_memory_map_carve(&map, PAGE, 3 * PAGE, 0, &base), LH_INVALID);
	CHECK_ERROR(lh_memory_map_carve(&map, UINT64_MAX, PAGE, 0, &base), LH_NO_MEMORY);
	CHECK_ERROR(lh_memory_map_carve(&map, PAGE, UINT64_C(1) << 63, 0, &base), LH_NO_MEMORY);
	CHECK_ERROR(lh_memory_map_carve(&map, PAGE, 8 * PAGE, 0, &base), LH_LIMIT);
	CHECK_EQUAL(lh_memory_map_frames(&map), 20);
	CHECK_ERROR(lh_memory_map_carve(&map, PAGE, PAGE, 2 * PAGE - 1, &base), LH_NO_MEMORY);
	CHECK_OK(lh_memory_map_carve(&map, PAGE, PAGE, 2 * PAGE, &base));
	CHECK_EQUAL(base.value, PAGE);
	CHECK_OK(lh_memory_map_carve(&map, 19 * PAGE, PAGE, 0, &base));
	CHECK_EQUAL(map.count, 0);
}

TEST(carving_works_at_the_last_address)
{
	lh_physical_address base;

	begin();
	add(LAST_PAGE * PAGE - PAGE, 9 * PAGE, LH_MEMORY_USABLE);
	CHECK_OK(lh_memory_map_normalise(&map));
	CHECK_EQUAL(lh_memory_map_frames(&map), 2);
	CHECK_ERROR(lh_memory_map_carve(&map, 3 * PAGE, PAGE, 0, &base), LH_NO_MEMORY);
	CHECK_OK(lh_memory_map_carve(&map, 2 * PAGE, PAGE, 0, &base));
	CHECK_EQUAL(base.value, LAST_PAGE * PAGE - PAGE);
}
