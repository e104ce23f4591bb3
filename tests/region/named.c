/* SPDX-License-Identifier: BSD-2-Clause */
/* Bugs that kernels with such a tree really had: each by its letter and number. */
#include <string.h>

#include "region/model.h"

#define PAGE(n) lh_virtual((uint64_t)(n) << LH_PAGE_SHIFT)

static lh_region_tree tree;
static lh_region region[24];

static lh_virtual_range pages(uint64_t first, uint64_t count)
{
	return (lh_virtual_range){ PAGE(first), count };
}

static void start(uint64_t first, uint64_t count)
{
	memset(region, 0, sizeof region);
	CHECK_OK(lh_region_tree_init(&tree, pages(first, count)));
	for (unsigned i = 0; i < 24; i++)
		lh_region_init(&region[i], LH_BACKING_ANONYMOUS, LH_RIGHT_READ, LH_REGION_POOLED);
}

static void put(unsigned i, uint64_t first, uint64_t count)
{
	CHECK_OK(lh_region_tree_place_specifically(&tree, &region[i], pages(first, count)));
}

static lh_error anywhere(unsigned i, uint64_t count, uint64_t alignment)
{
	lh_placement placement = { .pages = count, .alignment = alignment };

	return lh_region_tree_place_anywhere(&tree, &region[i], &placement);
}

static uint64_t first_page(unsigned i)
{
	return region[i].range.base.value >> LH_PAGE_SHIFT;
}

TEST(a1_overlap_by_one_page_is_refused)
{
	static const struct { uint64_t first, count; } overlapping[] = {
		{ 6, 5 }, { 15, 5 }, { 10, 1 }, { 15, 1 }, { 10, 6 }, { 9, 8 }, { 12, 2 }, { 0, 64 },
	};
	lh_region_tree before;

	start(0, 64);
	put(0, 10, 6);
	before = tree;
	for (unsigned i = 0; i < sizeof overlapping / sizeof *overlapping; i++) {
		lh_virtual_range range = pages(overlapping[i].first, overlapping[i].count);

		CHECK_ERROR(lh_region_tree_place_specifically(&tree, &region[1], range), LH_EXISTS);
		CHECK(memcmp(&tree, &before, sizeof tree) == 0);
		CHECK(region[1].tree == NULL);
	}
	put(1, 5, 5);
	put(2, 16, 5);
	CHECK_SOUND(lh_region_tree_check(&tree));
}

TEST(a2_a_region_in_the_last_hole_has_the_size_asked_for)
{
	start(0, 1000);
	put(0, 0, 10);
	CHECK_OK(anywhere(1, 3, 0));
	CHECK_EQUAL(region[1].range.pages, 3);
	CHECK_EQUAL(first_page(1), 10);
	CHECK_OK(anywhere(2, 3, 0));
	CHECK_EQUAL(first_page(2), 13);
	CHECK_SOUND(lh_region_tree_check(&tree));
}

TEST(a3_a_hole_of_exactly_the_needed_size_is_found)
{
	start(0, 32);
	put(0, 0, 10);
	put(1, 14, 18);
	CHECK_ERROR(anywhere(2, 5, 0), LH_NO_HOLE);
	CHECK_OK(anywhere(2, 4, 0));
	CHECK_EQUAL(first_page(2), 10);
	CHECK_ERROR(anywhere(3, 1, 0), LH_NO_HOLE);
	lh_region_tree_remove(&tree, &region[1]);
	CHECK_OK(anywhere(1, 18, 0));
	CHECK_EQUAL(first_page(1), 14);
}

TEST(a3_a_hole_that_is_exactly_aligned_is_found)
{
	start(0, 64);
	put(0, 0, 16);
	put(1, 24, 40);
	CHECK_OK(anywhere(2, 8, 8));
	CHECK_EQUAL(first_page(2), 16);
	lh_region_tree_remove(&tree, &region[2]);
	CHECK_OK(anywhere(2, 8, 16));
	lh_region_tree_remove(&tree, &region[2]);
	CHECK_ERROR(anywhere(2, 8, 32), LH_NO_HOLE);
}

TEST(a3_a_hole_that_guards_fill_exactly_is_found)
{
	start(0, 64);
	region[0].guard_after = 2;
	put(0, 0, 10);
	put(1, 20, 44);
	region[2].guard_before = 1;
	region[2].guard_after = 3;
	CHECK_ERROR(anywhere(2, 6, 0), LH_NO_HOLE);
	CHECK_OK(anywhere(2, 5, 0));
	CHECK_EQUAL(first_page(2), 12);
}

TEST(a4_sizes_that_overflow_are_refused)
{
	static const uint64_t sizes[] = { 0, 65, UINT64_MAX, UINT64_MAX - 15, LH_PAGES_MAX,
					  LH_PAGES_MAX + 1, UINT64_C(1) << 63 };

	start(LH_PAGES_MAX - 64, 64);
	for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++)
		for (uint64_t alignment = 1; alignment != 0; alignment <<= 1) {
			CHECK_ERROR(anywhere(0, sizes[i], alignment), LH_INVALID);
			CHECK_ERROR(lh_region_tree_place_specifically(
					    &tree, &region[0],
					    pages(LH_PAGES_MAX - 64, sizes[i])),
				    LH_INVALID);
		}
	CHECK_EQUAL(tree.count, 0);
}

TEST(a4_a_huge_alignment_never_wraps_to_a_low_address)
{
	for (uint64_t alignment = UINT64_C(1) << 7; alignment != 0; alignment <<= 1) {
		start(LH_PAGES_MAX - 65, 65);
		if (alignment <= 64)
			continue;
		CHECK_ERROR(anywhere(0, 1, alignment), LH_NO_HOLE);
		start(1, LH_PAGES_MAX - 1);
		if (alignment >= LH_PAGES_MAX)
			CHECK_ERROR(anywhere(0, 1, alignment), LH_NO_HOLE);
		else
			CHECK_OK(anywhere(0, 1, alignment));
		start(0, LH_PAGES_MAX);
		CHECK_OK(anywhere(0, LH_PAGES_MAX, alignment));
		CHECK_EQUAL(first_page(0), 0);
	}
}

TEST(a4_the_last_page_can_be_placed_found_and_removed)
{
	lh_placement top = { .pages = 1, .direction = LH_HIGHEST_FIRST };

	start(0, LH_PAGES_MAX);
	CHECK_OK(lh_region_tree_place_anywhere(&tree, &region[0], &top));
	CHECK_EQUAL(first_page(0), LH_PAGES_MAX - 1);
	CHECK(lh_region_tree_find(&tree, lh_virtual(UINT64_MAX)) == &region[0]);
	CHECK(lh_region_tree_find_from(&tree, lh_virtual(0)) == &region[0]);
	put(1, 0, LH_PAGES_MAX - 1);
	CHECK_ERROR(anywhere(2, 1, 0), LH_NO_HOLE);
	CHECK_SOUND(lh_region_tree_check(&tree));
	lh_region_tree_remove(&tree, &region[1]);
	CHECK_OK(anywhere(1, LH_PAGES_MAX - 1, 0));
}

TEST(a4_guards_wider_than_the_space_leave_no_slot_and_do_not_wrap)
{
	start(0, 64);
	region[0].guard_before = UINT32_MAX;
	region[0].guard_after = UINT32_MAX;
	put(0, 30, 4);
	CHECK_ERROR(anywhere(1, 1, 0), LH_NO_HOLE);
	CHECK_ERROR(lh_region_tree_place_specifically(&tree, &region[1], pages(0, 1)), LH_EXISTS);
	CHECK_SOUND(lh_region_tree_check(&tree));
	start(LH_PAGES_MAX - 64, 64);
	region[0].guard_before = UINT32_MAX;
	region[0].guard_after = UINT32_MAX;
	CHECK_OK(anywhere(0, 4, 0));
	CHECK_ERROR(anywhere(1, 1, 0), LH_NO_HOLE);
	CHECK_SOUND(lh_region_tree_check(&tree));
}

TEST(a4_invalid_limits_are_refused)
{
	lh_placement placement = { .pages = 1 };
	static const lh_virtual_range bad[] = {
		{ { 1 }, 4 },
		{ { 0 }, UINT64_MAX },
		{ { 0 }, LH_PAGES_MAX + 1 },
		{ { UINT64_C(0) - LH_PAGE_SIZE }, 2 },
		{ { 64 << LH_PAGE_SHIFT }, 4 },
	};

	start(0, 64);
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
		placement.within = bad[i];
		CHECK_ERROR(lh_region_tree_place_anywhere(&tree, &region[0], &placement),
			    LH_INVALID);
	}
	CHECK_EQUAL(tree.count, 0);
	CHECK_ERROR(lh_region_tree_init(&tree, bad[1]), LH_INVALID);
	CHECK_ERROR(lh_region_tree_init(&tree, pages(0, 0)), LH_INVALID);
}

TEST(a5_an_alignment_that_is_no_power_of_two_is_refused)
{
	start(0, 64);
	for (uint64_t alignment = 3; alignment < 64; alignment++)
		if ((alignment & (alignment - 1)) != 0)
			CHECK_ERROR(anywhere(0, 1, alignment), LH_INVALID);
	CHECK_ERROR(anywhere(0, 1, UINT64_MAX), LH_INVALID);
}

TEST(a6_exists_is_not_out_of_memory_nor_no_hole)
{
	start(0, 8);
	put(0, 0, 8);
	CHECK_ERROR(lh_region_tree_place_specifically(&tree, &region[1], pages(3, 1)), LH_EXISTS);
	CHECK_ERROR(anywhere(1, 1, 0), LH_NO_HOLE);
	CHECK_EQUAL(lh_error_to_errno(LH_EXISTS), 17);
	CHECK(lh_error_to_errno(LH_NO_HOLE) != lh_error_to_errno(LH_EXISTS));
}

TEST(a7_guards_are_kept_by_every_path)
{
	lh_placement low = { .pages = 2 }, high = { .pages = 2, .direction = LH_HIGHEST_FIRST };

	start(0, 64);
	region[0].guard_before = 3;
	region[0].guard_after = 4;
	put(0, 20, 10);
	low.within = pages(30, 34);
	CHECK_OK(lh_region_tree_place_anywhere(&tree, &region[1], &low));
	CHECK_EQUAL(first_page(1), 34);
	high.within = pages(0, 20);
	CHECK_OK(lh_region_tree_place_anywhere(&tree, &region[2], &high));
	CHECK_EQUAL(first_page(2), 15);
	CHECK_ERROR(lh_region_tree_place_specifically(&tree, &region[3], pages(33, 1)), LH_EXISTS);
	CHECK_ERROR(lh_region_tree_place_specifically(&tree, &region[3], pages(17, 1)), LH_EXISTS);
	CHECK_ERROR(lh_region_tree_resize(&tree, &region[1], pages(33, 3)), LH_EXISTS);
	CHECK_ERROR(lh_region_tree_resize(&tree, &region[2], pages(15, 3)), LH_EXISTS);
	CHECK_ERROR(lh_region_tree_resize(&tree, &region[0], pages(20, 11)), LH_EXISTS);
	/* The guard of the region that comes counts as well as that of the one there. */
	region[3].guard_after = 6;
	CHECK_ERROR(lh_region_tree_place_specifically(&tree, &region[3], pages(8, 2)), LH_EXISTS);
	put(3, 7, 2);
	CHECK_SOUND(lh_region_tree_check(&tree));
}

TEST(a7_guards_move_with_split_and_merge)
{
	start(0, 64);
	region[0].guard_before = 3;
	region[0].guard_after = 4;
	put(0, 20, 10);
	lh_region_tree_split(&tree, &region[0], PAGE(25), &region[1]);
	CHECK_EQUAL(region[0].guard_before, 3);
	CHECK_EQUAL(region[0].guard_after, 0);
	CHECK_EQUAL(region[1].guard_before, 0);
	CHECK_EQUAL(region[1].guard_after, 4);
	CHECK_ERROR(lh_region_tree_place_specifically(&tree, &region[2], pages(33, 1)), LH_EXISTS);
	CHECK(lh_region_tree_merge_next(&tree, &region[0]) == &region[1]);
	CHECK_EQUAL(region[0].guard_after, 4);
	CHECK_ERROR(lh_region_tree_place_specifically(&tree, &region[2], pages(33, 1)), LH_EXISTS);
	put(2, 34, 1);
	CHECK_SOUND(lh_region_tree_check(&tree));
}

/* The crossing query at the heart of every range operation. */
TEST(a11_crossing_query_does_not_stop_early)
{
	start(0, 64);
	put(0, 1, 3);
	put(1, 4, 2);
	CHECK(lh_region_tree_first_crossing(&tree, pages(3, 2)) == &region[0]);
	CHECK(lh_region_tree_next_crossing(&region[0], pages(3, 2)) == &region[1]);
	CHECK(lh_region_tree_next_crossing(&region[1], pages(3, 2)) == NULL);
	/* From below the lowest region, over all, and beside all. */
	CHECK(lh_region_tree_first_crossing(&tree, pages(0, 2)) == &region[0]);
	CHECK(lh_region_tree_first_crossing(&tree, pages(0, LH_PAGES_MAX)) == &region[0]);
	CHECK(lh_region_tree_first_crossing(&tree, pages(0, 1)) == NULL);
	CHECK(lh_region_tree_first_crossing(&tree, pages(6, 58)) == NULL);
	CHECK(lh_region_tree_first_crossing(&tree, pages(2, 0)) == NULL);
}

static void set_attributes(lh_region *r, struct lh_object *object)
{
	r->backing = LH_BACKING_OBJECT;
	r->rights = LH_RIGHT_READ;
	r->rights_max = LH_RIGHT_READ | LH_RIGHT_WRITE;
	r->rights_history = LH_RIGHT_WRITE | LH_RIGHT_EXECUTE;
	r->flags = LH_REGION_POOLED | LH_REGION_SHARED | LH_REGION_CHARGED;
	r->tag = 77;
	r->object = object;
	r->object_page = 5;
	r->owner = &tree;
}

/* Split cannot fail: even in a full tree, at every page, and nothing is lost. */
TEST(a12_split_keeps_every_page_and_attribute)
{
	struct lh_object *object = (struct lh_object *)0x1000;

	for (uint64_t at = 1; at < 10; at++) {
		start(LH_PAGES_MAX - 10, 10);
		set_attributes(&region[0], object);
		put(0, LH_PAGES_MAX - 10, 10);
		lh_region_tree_split(&tree, &region[0], PAGE(LH_PAGES_MAX - 10 + at), &region[1]);
		CHECK_EQUAL(region[0].range.pages, at);
		CHECK_EQUAL(region[1].range.pages, 10 - at);
		CHECK(lh_virtual_range_is_followed_by(region[0].range, region[1].range));
		CHECK_EQUAL(region[1].rights, region[0].rights);
		CHECK_EQUAL(region[1].rights_max, region[0].rights_max);
		CHECK_EQUAL(region[1].rights_history, region[0].rights_history);
		CHECK_EQUAL(region[1].backing, LH_BACKING_OBJECT);
		CHECK_EQUAL(region[1].flags, region[0].flags);
		CHECK_EQUAL(region[1].tag, 77);
		CHECK(region[1].object == object && region[1].owner == &tree);
		CHECK_EQUAL(region[1].object_page, 5 + at);
		CHECK_EQUAL(lh_region_charge(&region[0]) + lh_region_charge(&region[1]), 10);
		CHECK_SOUND(lh_region_tree_check(&tree));
		CHECK(lh_region_tree_merge_next(&tree, &region[0]) == &region[1]);
		CHECK_EQUAL(region[0].range.pages, 10);
		CHECK_EQUAL(region[0].object_page, 5);
		CHECK_SOUND(lh_region_tree_check(&tree));
	}
}

/* W^X history is an attribute like the rest (a28's part in the tree). */
TEST(a28_history_is_inherited_by_both_pieces_and_keeps_them_from_others)
{
	start(0, 64);
	region[0].rights_history = LH_RIGHT_WRITE;
	put(0, 0, 10);
	lh_region_tree_split(&tree, &region[0], PAGE(5), &region[1]);
	CHECK_EQUAL(region[1].rights_history, LH_RIGHT_WRITE);
	region[1].rights_history |= LH_RIGHT_EXECUTE;
	CHECK(lh_region_tree_merge_next(&tree, &region[0]) == NULL);
}

/* A cursor notices that the tree changed, and that it is another's. */
TEST(a_cursor_that_is_stale_is_not_believed)
{
	lh_region_cursor cursor = { .tree = NULL };
	static lh_region_tree second;

	start(0, 64);
	CHECK_OK(lh_region_tree_init(&second, pages(0, 64)));
	put(0, 10, 4);
	put(1, 20, 4);
	CHECK(lh_region_tree_find_near(&tree, &cursor, PAGE(11)) == &region[0]);
	CHECK(lh_region_tree_find_near(&tree, &cursor, PAGE(21)) == &region[1]);
	CHECK(lh_region_tree_find_near(&tree, &cursor, PAGE(11)) == &region[0]);
	CHECK(lh_region_tree_find_near(&second, &cursor, PAGE(11)) == NULL);
	CHECK(lh_region_tree_find_near(&tree, &cursor, PAGE(11)) == &region[0]);
	lh_region_tree_remove(&tree, &region[0]);
	CHECK(lh_region_tree_find_near(&tree, &cursor, PAGE(11)) == NULL);
	CHECK_OK(lh_region_tree_resize(&tree, &region[1], pages(10, 2)));
	CHECK(lh_region_tree_find_near(&tree, &cursor, PAGE(11)) == &region[1]);
}

/* The tree remembers where it took a region out last; whatever comes in between, who is placed there lies
 * where he should. */
TEST(the_place_of_the_last_removal_is_believed_only_while_nothing_changed)
{
	start(0, 1000);
	for (unsigned i = 0; i < 12; i++)
		put(i, 20 * i + 10, 10);
	for (unsigned i = 1; i < 11; i++) {
		lh_region_tree_remove(&tree, &region[i]);
		CHECK_ERROR(lh_region_tree_place_specifically(&tree, &region[i], pages(20 * i + 5, 40)),
			    LH_EXISTS);
		CHECK_ERROR(lh_region_tree_place_specifically(&tree, &region[i], pages(20 * i - 5, 9)),
			    LH_EXISTS);
		if (i % 2 != 0)
			put(12, 20 * i + 12, 3);
		put(i, i % 3 != 0 ? 20 * i + 15 : 500, 5);
		CHECK_SOUND(lh_region_tree_check(&tree));
		if (i % 2 != 0)
			lh_region_tree_remove(&tree, &region[12]);
		lh_region_tree_remove(&tree, &region[i]);
		lh_region_tree_split(&tree, &region[i - 1], PAGE(20 * i - 6), &region[13]);
		put(i, 20 * i + 10, 10);
		lh_region_tree_remove(&tree, &region[13]);
		CHECK_OK(lh_region_tree_resize(&tree, &region[i - 1], pages(20 * i - 10, 10)));
		CHECK_SOUND(lh_region_tree_check(&tree));
	}
}

/* Twenty regions, and leaves of many sizes. A search has had all nodes told what they should know. */
static void start_with_leaves(void)
{
	start(0, 1000);
	for (unsigned i = 0; i < 20; i++)
		put(7 * i % 20, 140 * i % 400 + 10, 10);
	CHECK_ERROR(anywhere(20, 900, 0), LH_NO_HOLE);
}

/* Whether it was the last of its leaf, or leaves too few there: nothing that is not undone has been done yet. */
TEST(who_is_placed_where_one_was_taken_out_finds_all_as_it_was)
{
	lh_region before[24];
	unsigned left_open = 0;

	start_with_leaves();
	for (unsigned i = 0; i < 20; i++) {
		bool is_host = region[i].node.count != 0;

		memcpy(before, region, sizeof before);
		lh_region_tree_remove(&tree, &region[i]);
		left_open += tree.open != NULL;
		CHECK_SOUND(lh_region_tree_check(&tree));
		put(i, 20 * i + 10, 10);
		CHECK_SOUND(lh_region_tree_check(&tree));
		before[i].version = region[i].version;
		CHECK(is_host || memcmp(before, region, sizeof before) == 0);
	}
	CHECK(left_open > 1);
}

/* Bit by bit, until its leaf is full, and beyond. */
TEST(the_place_of_the_last_of_a_leaf_is_filled_in_pieces)
{
	static const struct { uint64_t first, count; } pieces[] = {
		{ 0, 1 }, { 1, 2 }, { 4, 1 }, { 5, 1 }, { 6, 3 },
	};

	start_with_leaves();
	for (unsigned i = 0; i < 20; i++) {
		lh_region_tree_remove(&tree, &region[i]);
		for (unsigned k = 0; k < 5; k++) {
			unsigned piece = k < 4 ? 20 + k : i;

			put(piece, 20 * i + 10 + pieces[k].first, pieces[k].count);
			CHECK_SOUND(lh_region_tree_check(&tree));
		}
		for (unsigned k = 0; k < 4; k++)
			lh_region_tree_remove(&tree, &region[20 + k]);
		lh_region_tree_remove(&tree, &region[i]);
		CHECK_SOUND(lh_region_tree_check(&tree));
		put(i, 20 * i + 10, 10);
	}
}

/* Of two holes that with the larger gap, the only one too large for its code, has the smaller room at 2 MiB. */
TEST(the_only_large_hole_need_not_have_the_largest_room)
{
	start(1, 5000);
	put(0, 2060, 1012);
	put(1, 5000, 1);
	CHECK_SOUND(lh_region_tree_check(&tree));
	CHECK_OK(anywhere(2, 1800, 512));
	CHECK_EQUAL(first_page(2), 3072);
	CHECK_SOUND(lh_region_tree_check(&tree));
	CHECK_OK(anywhere(3, 2000, 0));
	CHECK_EQUAL(first_page(3), 1);
}

/* Rooms end at 2^32 - 1 pages: a hole that grows from little to more than that still counts. */
TEST(a_resize_that_leaves_a_hole_of_more_than_2_to_the_32_pages_is_seen_by_searches)
{
	start(0, LH_PAGES_MAX);
	put(0, 5, 5);
	put(1, LH_PAGES_MAX / 2, LH_PAGES_MAX / 2);
	CHECK_OK(lh_region_tree_resize(&tree, &region[0], pages(LH_PAGES_MAX / 4, 5)));
	CHECK_SOUND(lh_region_tree_check(&tree));
	CHECK_OK(lh_region_tree_resize(&tree, &region[0], pages(7, LH_PAGES_MAX / 2 - 7)));
	CHECK_SOUND(lh_region_tree_check(&tree));
	CHECK_OK(lh_region_tree_resize(&tree, &region[0], pages(LH_PAGES_MAX / 3, 5)));
	CHECK_SOUND(lh_region_tree_check(&tree));
	CHECK_OK(anywhere(2, LH_PAGES_MAX / 3, 0));
	CHECK_EQUAL(first_page(2), 0);
}

/* A reservation is a region like the others: nobody is placed over it unless told to, and it can
 * be split, carved up, and given back in whole or in part. */
TEST(a_reservation_can_be_carved_up_and_given_back)
{
	lh_region_change change = { .before = NULL };

	start(0, 100);
	for (unsigned i = 0; i < 24; i++)
		lh_region_init(&region[i], LH_BACKING_NONE, LH_RIGHT_NONE, LH_REGION_POOLED);
	put(0, 0, 100);
	CHECK_ERROR(anywhere(1, 1, 0), LH_NO_HOLE);
	CHECK_ERROR(lh_region_tree_place_specifically(&tree, &region[1], pages(50, 5)), LH_EXISTS);
	lh_region_tree_split(&tree, &region[0], PAGE(40), &region[2]);
	/* Carved: what comes takes its pages from the reservation, which stays on both sides. */
	lh_region_init(&region[1], LH_BACKING_ANONYMOUS, LH_RIGHT_READ, LH_REGION_POOLED);
	CHECK_ERROR(lh_region_tree_replace(&tree, &region[1], pages(50, 5), &change), LH_NO_MEMORY);
	lh_region_list_push(&change.spares, &region[3]);
	CHECK_OK(lh_region_tree_replace(&tree, &region[1], pages(50, 5), &change));
	/* Only what touches the range merges: the cut at 40 stays. */
	CHECK_EQUAL(tree.count, 4);
	CHECK(lh_region_tree_find(&tree, PAGE(60)) == &region[3]);
	CHECK_EQUAL(region[3].backing, LH_BACKING_NONE);
	CHECK_OK(lh_region_tree_unmap(&tree, pages(55, 45), &change));
	CHECK_EQUAL(change.dead.count, 1);
	CHECK_OK(anywhere(4, 45, 0));
	CHECK_EQUAL(first_page(4), 55);
	lh_region_tree_remove(&tree, &region[0]);
	CHECK_OK(anywhere(5, 40, 0));
	CHECK_EQUAL(first_page(5), 0);
	CHECK_SOUND(lh_region_tree_check(&tree));
}

/* A survey counts as promised by nobody what may take memory and is not charged: not a reservation, and not what
 * is shared, which its object answers for. */
TEST(a_survey_tells_pages_that_nobody_promised)
{
	lh_region_survey told;

	start(0, 100);
	lh_region_init(&region[0], LH_BACKING_ANONYMOUS, LH_RIGHT_READ, LH_REGION_POOLED);
	lh_region_init(&region[1], LH_BACKING_OBJECT, LH_RIGHT_READ, LH_REGION_POOLED | LH_REGION_SHARED);
	lh_region_init(&region[2], LH_BACKING_NONE, LH_RIGHT_NONE, LH_REGION_POOLED);
	lh_region_init(&region[3], LH_BACKING_ANONYMOUS, LH_RIGHT_READ, LH_REGION_POOLED | LH_REGION_CHARGED);
	put(0, 0, 1);
	put(1, 1, 2);
	put(2, 3, 4);
	put(3, 7, 8);
	lh_region_init(&region[4], LH_BACKING_ANONYMOUS, LH_RIGHT_READ, LH_REGION_POOLED);
	CHECK_OK(lh_region_tree_may_replace(&tree, &region[4], pages(0, 15), &told));
	CHECK_EQUAL(told.pages, 15);
	CHECK_EQUAL(told.charged_pages, 8);
	CHECK_EQUAL(told.unpromised_pages, 1);
}
