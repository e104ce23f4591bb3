/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations by a random tape, against the list of what was given out; and every size. */
#include "heap/room.h"

static void check_expected(lh_error error)
{
	CHECK(error == LH_OK || error == LH_NO_MEMORY || error == LH_NO_HOLE);
}

/* Tides: what is allocated grows for a while, then shrinks. */
static void step(unsigned number)
{
	uint64_t grow = number / 400 % 2 ? 1 : 3;
	uint64_t alignment = test_random_below(3) ? 0 : UINT64_C(1) << test_random_below(15);

	use_some_cpu();
	if (count != 0 && test_random_below(5) == 0)
		check_expected(resize(test_random_below(count), random_bytes()));
	else if (test_random_below(4) < grow && count < BLOCKS_MOST)
		check_expected(allocate(random_bytes(), alignment, test_random_below(3) == 0));
	else if (count != 0)
		release(test_random_below(count));
	if (test_random_below(300) == 0)
		(void)lh_heap_trim(&heap);
	if (number % 100 == 0)
		check_sound();
}

static void play(uint64_t pages, uint32_t flags, unsigned steps)
{
	begin(pages, flags);
	for (unsigned number = 0; number < steps; number++)
		step(number);
	check_all_returned();
	lh_heap_destroy(&heap);
	CHECK_EQUAL(manager->kernel_tree.count, 0);
	lh_manager_destroy(manager);
	end();
}

TEST(random_sizes_agree_with_a_list_of_what_is_given_out)
{
	for (unsigned round = 0; round < 4; round++)
		play(round % 2 ? 4000 : 300, 0, 2500);
}

TEST(random_sizes_agree_with_a_list_of_what_a_checked_heap_gives_out)
{
	for (unsigned round = 0; round < 2; round++)
		play(round % 2 ? 4000 : 300, LH_HEAP_CHECKED, 1500);
}

TEST(every_size_and_alignment_is_kept)
{
	begin(2000, 0);
	for (uint64_t bytes = 1; bytes <= 3 * LH_PAGE_SIZE; bytes += 1 + bytes / 9)
		for (uint64_t alignment = 1; alignment <= UINT64_C(16) * LH_PAGE_SIZE; alignment *= 2) {
			CHECK_OK(allocate(bytes, alignment, false));
			release(count - 1);
		}
	check_all_returned();
	end();
}

TEST(every_size_can_become_every_other)
{
	begin(4000, 0);
	for (uint64_t from = 1; from <= 20 * LH_PAGE_SIZE; from += 1 + from / 3)
		for (uint64_t to = 1; to <= 20 * LH_PAGE_SIZE; to += 1 + to / 2) {
			CHECK_OK(allocate(from, 0, false));
			CHECK_OK(resize(count - 1, to));
			if (count > 20)
				release(test_random_below(count));
		}
	check_sound();
	check_all_returned();
	end();
}

TEST(classes_are_ordered_and_each_is_the_smallest_that_fits)
{
	for (uint64_t bytes = 1; bytes <= LH_HEAP_CLASS_LARGEST; bytes++)
		for (uint64_t alignment = 16; alignment <= LH_PAGE_SIZE; alignment *= 2) {
			uint32_t expected = 0;

			while (expected < LARGE && (lh_heap_class_size(expected) < bytes ||
						    lh_heap_class_size(expected) % alignment != 0))
				expected++;
			CHECK_EQUAL(lh_heap_class_for(bytes, alignment), expected);
		}
	for (uint32_t i = 0; i < LH_HEAP_CLASSES; i++) {
		uint64_t pages = lh_heap_class_pages(i), most = lh_heap_class_pages_most(i);

		CHECK(i == 0 || lh_heap_class_size(i) > lh_heap_class_size(i - 1));
		CHECK(lh_heap_class_items(i, pages) >= 2);
		CHECK(lh_heap_class_items(i, most) <= ITEMS_MOST);
		CHECK(pages >= SLAB_PAGES_LEAST && pages <= most && most <= SLAB_PAGES_MOST);
		CHECK((pages << LH_PAGE_SHIFT) % lh_heap_class_size(i) <= pages << LH_PAGE_SHIFT >> 3);
	}
	CHECK_EQUAL(lh_heap_class_size(LH_HEAP_CLASSES - 1), LH_HEAP_CLASS_LARGEST);
}
