/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtual_range against arithmetic that cannot wrap: 128 bits. The addresses are
 * all that are near either end of the address space or near its middle.
 */
#include <landhold/virtual_range.h>

#include "harness.h"

__extension__ typedef unsigned __int128 wide;

static const wide space = (wide)1 << 64;

enum { ADDRESSES = 3 * 6 * 3, SIZES = 22, COUNTS = 10 };

/* Six pages at 0, six around the middle, the last six; first, second and last byte. */
static uint64_t address_of(unsigned i)
{
	static const uint64_t bases[3] = { 0, (UINT64_C(1) << 63) - 3 * LH_PAGE_SIZE,
					   UINT64_C(0) - 6 * LH_PAGE_SIZE };
	static const uint64_t offsets[3] = { 0, 1, LH_PAGE_SIZE - 1 };

	return bases[i / 18] + i / 3 % 6 * LH_PAGE_SIZE + offsets[i % 3];
}

static uint64_t page_count_of(unsigned i)
{
	static const uint64_t counts[COUNTS] = {
		0, 1, 2, 3, LH_PAGES_MAX / 2, LH_PAGES_MAX - 1, LH_PAGES_MAX, LH_PAGES_MAX + 1,
		UINT64_C(1) << 63, UINT64_MAX,
	};

	return counts[i];
}

static uint64_t size_of(unsigned i)
{
	if (i < 6)
		return i;
	if (i < 12)
		return UINT64_MAX - (i - 6);
	return (i - 11) / 3 * LH_PAGE_SIZE + i % 3 - 1;
}

static bool model_is_valid(uint64_t base, uint64_t pages)
{
	return base % LH_PAGE_SIZE == 0 && pages > 0 &&
	       (wide)base + (wide)pages * LH_PAGE_SIZE <= space;
}

static wide end_of(lh_virtual_range range)
{
	return (wide)range.base.value + (wide)range.pages * LH_PAGE_SIZE;
}

TEST(make_accepts_what_fits_and_nothing_else)
{
	for (unsigned i = 0; i < ADDRESSES; i++)
		for (unsigned j = 0; j < COUNTS; j++) {
			uint64_t base = address_of(i), pages = page_count_of(j);
			bool valid = model_is_valid(base, pages);
			lh_virtual_range range = { lh_virtual(1), 2 };
			lh_virtual_range literal = { lh_virtual(base), pages };

			CHECK_ERROR(lh_virtual_range_make(lh_virtual(base), pages, &range),
				    valid ? LH_OK : LH_INVALID);
			CHECK_EQUAL(range.base.value, valid ? base : 1);
			CHECK_EQUAL(range.pages, valid ? pages : 2);
			CHECK(lh_virtual_range_is_valid(literal) == valid);
		}
}

TEST(cover_takes_every_page_that_a_byte_touches)
{
	for (unsigned i = 0; i < ADDRESSES; i++)
		for (unsigned j = 0; j < SIZES; j++) {
			uint64_t address = address_of(i), size = size_of(j);
			bool fits = size > 0 && (wide)address + size <= space;
			lh_virtual_range range = { lh_virtual(1), 2 };

			CHECK_ERROR(lh_virtual_range_cover(lh_virtual(address), size, &range),
				    fits ? LH_OK : LH_INVALID);
			if (!fits) {
				CHECK(range.base.value == 1 && range.pages == 2);
				continue;
			}
			CHECK(lh_virtual_range_is_valid(range));
			CHECK(range.base.value <= address);
			CHECK(address - range.base.value < LH_PAGE_SIZE);
			CHECK(end_of(range) >= (wide)address + size);
			CHECK(end_of(range) - ((wide)address + size) < LH_PAGE_SIZE);
		}
}

/* Every valid range that begins and ends at one of the addresses or sizes above. */
enum { RANGES_MAX = 256 };

static unsigned all_ranges(lh_virtual_range *ranges)
{
	unsigned count = 0;

	for (unsigned i = 0; i < ADDRESSES; i += 3)
		for (unsigned j = 0; j < COUNTS; j++)
			if (model_is_valid(address_of(i), page_count_of(j)))
				ranges[count++] = (lh_virtual_range){ lh_virtual(address_of(i)),
								      page_count_of(j) };
	for (unsigned i = 0; i < ADDRESSES; i += 9) {
		uint64_t base = address_of(i);
		uint64_t pages = LH_PAGES_MAX - (base >> LH_PAGE_SHIFT);

		ranges[count++] = (lh_virtual_range){ lh_virtual(base), pages };
	}
	CHECK(count <= RANGES_MAX);
	return count;
}

TEST(what_is_in_a_range_and_where)
{
	lh_virtual_range ranges[RANGES_MAX];
	unsigned count = all_ranges(ranges);

	for (unsigned i = 0; i < count; i++) {
		lh_virtual_range range = ranges[i];

		CHECK((wide)lh_virtual_range_last(range).value == end_of(range) - 1);
		CHECK((wide)lh_virtual_range_last_page(range).value ==
		      end_of(range) - LH_PAGE_SIZE);
		for (unsigned j = 0; j < ADDRESSES; j++) {
			uint64_t address = address_of(j);
			bool in = address >= range.base.value && (wide)address < end_of(range);
			uint64_t index;

			CHECK(lh_virtual_range_contains(range, lh_virtual(address)) == in);
			if (!in)
				continue;
			index = lh_virtual_range_index(range, lh_virtual(address));
			CHECK_EQUAL(index, (address - range.base.value) / LH_PAGE_SIZE);
			CHECK_EQUAL(lh_virtual_range_page(range, index).value,
				    address / LH_PAGE_SIZE * LH_PAGE_SIZE);
		}
	}
}

static void compare_two(lh_virtual_range a, lh_virtual_range b)
{
	wide first = a.base.value > b.base.value ? a.base.value : b.base.value;
	wide end = end_of(a) < end_of(b) ? end_of(a) : end_of(b);
	lh_virtual_range common = { lh_virtual(1), 2 };

	CHECK(lh_virtual_range_covers(a, b) ==
	      (a.base.value <= b.base.value && end_of(b) <= end_of(a)));
	CHECK(lh_virtual_range_overlaps(a, b) == (first < end));
	CHECK(lh_virtual_range_intersect(a, b, &common) == (first < end));
	if (first < end)
		CHECK(common.base.value == first && end_of(common) == end);
	else
		CHECK(common.base.value == 1 && common.pages == 2);
	CHECK(lh_virtual_range_is_followed_by(a, b) == (end_of(a) == b.base.value));
	CHECK(lh_virtual_range_equals(a, b) ==
	      (a.base.value == b.base.value && a.pages == b.pages));
}

TEST(any_two_ranges_compared)
{
	lh_virtual_range ranges[RANGES_MAX];
	unsigned count = all_ranges(ranges);

	for (unsigned i = 0; i < count; i++)
		for (unsigned j = 0; j < count; j++)
			compare_two(ranges[i], ranges[j]);
}

TEST(the_empty_range_has_nothing_in_common_with_any)
{
	lh_virtual_range ranges[RANGES_MAX], empty, common;
	unsigned count = all_ranges(ranges);

	for (unsigned i = 0; i < count; i++) {
		empty = (lh_virtual_range){ ranges[i].base, 0 };
		CHECK(lh_virtual_range_is_empty(empty));
		CHECK(!lh_virtual_range_is_valid(empty));
		CHECK(!lh_virtual_range_contains(empty, ranges[i].base));
		CHECK(!lh_virtual_range_overlaps(empty, ranges[i]));
		CHECK(!lh_virtual_range_overlaps(ranges[i], empty));
		CHECK(!lh_virtual_range_intersect(ranges[i], empty, &common));
		CHECK(!lh_virtual_range_covers(empty, ranges[i]));
		CHECK(!lh_virtual_range_covers(ranges[i], empty));
	}
}
