/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Range operations against a page map: an array that says of every page what it is. Two pages are
 * of one region exactly if they follow each other and are alike; so the map also says how many
 * regions there must be, the least that can express it, and where each begins.
 */
#include <string.h>

#include "region/model.h"

enum { PAGES = 40, REGIONS = PAGES + 4 };

struct page {
	bool mapped, charged;
	lh_rights rights, rights_max, history;
	uint64_t tag;
	uint64_t object_page; /* 0: anonymous */
};

static struct page map[PAGES];
static lh_region_tree tree;
static lh_region regions[REGIONS];
static uint64_t first_page;
static unsigned pending; /* changes announced and not ended */

static lh_virtual_range pages(uint64_t first, uint64_t count)
{
	return (lh_virtual_range){ lh_virtual((first_page + first) << LH_PAGE_SHIFT), count };
}

/* True if page n and the one before are parts of one region. */
static bool continues(uint64_t n)
{
	const struct page *a, *b;

	if (n == 0 || n >= PAGES)
		return false;
	a = &map[n - 1];
	b = &map[n];
	return a->mapped && b->mapped && a->rights == b->rights &&
	       a->rights_max == b->rights_max && a->history == b->history && a->tag == b->tag && a->charged == b->charged &&
	       (a->object_page == 0 ? b->object_page == 0 : b->object_page == a->object_page + 1);
}

static void compare(void)
{
	uint64_t count = 0;

	CHECK_SOUND(lh_region_tree_check(&tree));
	CHECK_EQUAL(pending, 0);
	for (uint64_t n = 0; n < PAGES; n++) {
		lh_region *region = lh_region_tree_find(&tree, pages(n, 1).base);

		CHECK((region != NULL) == map[n].mapped);
		if (!region)
			continue;
		CHECK_EQUAL(region->rights, map[n].rights);
		CHECK_EQUAL(region->rights_history, map[n].history);
		CHECK_EQUAL(region->tag, map[n].tag);
		if (region->object)
			CHECK_EQUAL(lh_region_object_page(region, pages(n, 1).base),
				    map[n].object_page);
		CHECK((region->range.base.value == pages(n, 1).base.value) == !continues(n));
		count += !continues(n);
	}
	CHECK_EQUAL(tree.count, count);
}

/* --- regions, and what hooks do with those on objects --- */

static lh_region *fresh(void)
{
	for (unsigned i = 0; i < REGIONS; i++)
		if (!regions[i].tree && regions[i].tag != UINT64_MAX)
			return &regions[i];
	CHECK(false);
	return NULL;
}

/* A tag of all ones: in a list. */
static lh_region_change begin_change(unsigned spares);
static void end_change(lh_region_change *change)
{
	while (change->spares.count > 0)
		lh_region_list_pop(&change->spares)->tag = 0;
	while (change->dead.count > 0) {
		lh_region *region = lh_region_list_pop(&change->dead);

		CHECK(region->tree == NULL && (region->version & 1) == 1);
		region->tag = 0;
	}
}

static void before(lh_region_change *change, lh_region *region)
{
	(void)change;
	CHECK(region->tree == &tree);
	pending++;
}

static void after(lh_region_change *change, lh_region *region, lh_region *upper, bool is_gone)
{
	CHECK((region->tree == NULL) == is_gone);
	if (upper)
		CHECK(upper->tree == &tree && upper->object == region->object);
	/* A merge tells of two: of the one that grew, for which it was announced, and the other. */
	if (pending > 0)
		pending--;
	else
		CHECK(is_gone && change != NULL);
}

/* What the operations under way should work out, and whether they shall be refused for it. */
static lh_region_survey worked_out;
static bool refuses, may_refuse;

/* => spares: that the operation will take. */
static void expect_survey(uint64_t first, uint64_t count, unsigned spares)
{
	worked_out = (lh_region_survey){ .spares = spares, .rights_max = LH_RIGHTS_ALL };
	refuses = may_refuse && test_random_below(8) == 0;
	for (uint64_t n = first; n < first + count; n++) {
		if (!map[n].mapped)
			continue;
		worked_out.pages++;
		worked_out.charged_pages += map[n].charged;
		worked_out.unpromised_pages += !map[n].charged;
		worked_out.rights |= map[n].rights;
		worked_out.rights_max &= map[n].rights_max;
		worked_out.rights_history |= map[n].history;
	}
}

static void check_survey(const lh_region_survey *survey)
{
	CHECK_EQUAL(survey->pages, worked_out.pages);
	CHECK_EQUAL(survey->charged_pages, worked_out.charged_pages);
	CHECK_EQUAL(survey->unpromised_pages, worked_out.unpromised_pages);
	CHECK_EQUAL(survey->rights, worked_out.rights);
	CHECK_EQUAL(survey->rights_max, worked_out.rights_max);
	CHECK_EQUAL(survey->rights_history, worked_out.rights_history);
}

static lh_error prepare(lh_region_change *change, const lh_region_survey *survey)
{
	CHECK(change->spares.count >= survey->spares);
	CHECK_EQUAL(survey->spares, worked_out.spares);
	check_survey(survey);
	return refuses ? LH_LIMIT : LH_OK;
}

/* As a space does: what can be written is charged from then on. */
static void grant(lh_region_change *change, lh_region *region)
{
	CHECK(change != NULL && (region->version & 1) == 1);
	if ((region->rights & LH_RIGHT_WRITE) != 0)
		region->flags |= LH_REGION_CHARGED;
}

static lh_region_change begin_change(unsigned spares)
{
	lh_region_change change = { .prepare = prepare, .grant = grant, .before = before, .after = after };

	while (change.spares.count < spares) {
		lh_region *region = fresh();

		lh_region_init(region, LH_BACKING_NONE, LH_RIGHT_NONE, LH_REGION_POOLED);
		region->tag = UINT64_MAX;
		lh_region_list_push(&change.spares, region);
	}
	return change;
}

/* --- the operations, on both sides --- */

static struct copy {
	lh_region_tree tree;
	lh_region regions[REGIONS];
} saved;

static void save(void)
{
	saved.tree = tree;
	memcpy(saved.regions, regions, sizeof regions);
}

static void check_unchanged(void)
{
	saved.tree.steps = tree.steps;
	CHECK(memcmp(&saved.tree, &tree, sizeof tree) == 0);
	CHECK(memcmp(saved.regions, regions, sizeof regions) == 0);
}

static bool is_punched(uint64_t first, uint64_t count)
{
	for (uint64_t n = first; n <= first + count; n++)
		if (!continues(n))
			return false;
	return true;
}

static void unmap(uint64_t first, uint64_t count, unsigned spares)
{
	lh_region_change change = begin_change(spares);
	lh_error expected = is_punched(first, count) && spares == 0 ? LH_NO_MEMORY : LH_OK;

	expect_survey(first, count, is_punched(first, count));
	if (expected == LH_OK && refuses)
		expected = LH_LIMIT;
	save();
	CHECK_ERROR(lh_region_tree_unmap(&tree, pages(first, count), &change), expected);
	if (expected != LH_OK)
		check_unchanged();
	for (uint64_t n = first; n < first + count && expected == LH_OK; n++)
		map[n].mapped = false;
	CHECK(change.spares.count + 1 >= spares);
	end_change(&change);
	compare();
}

/* => rights: NULL: they stay. */
static lh_error expect_change(uint64_t first, uint64_t count, const lh_rights *rights, unsigned spares)
{
	lh_error error = LH_OK;

	for (uint64_t n = first; n < first + count; n++) {
		if (!map[n].mapped)
			return LH_NOT_MAPPED;
		if (rights && (*rights & ~map[n].rights_max) != 0)
			error = LH_NO_ACCESS;
	}
	if (error == LH_OK && continues(first) + continues(first + count) > (int)spares)
		error = LH_NO_MEMORY;
	return error;
}

/* Protect; or advise, of which what `grant` does is the advice. */
static void change_attributes(uint64_t first, uint64_t count, const lh_rights *rights, unsigned spares)
{
	lh_error expected = expect_change(first, count, rights, spares);
	lh_region_change change = begin_change(spares);

	expect_survey(first, count, (unsigned)continues(first) + continues(first + count));
	if (expected == LH_OK && refuses)
		expected = LH_LIMIT;
	save();
	CHECK_ERROR(rights ? lh_region_tree_protect(&tree, pages(first, count), *rights, &change)
			   : lh_region_tree_advise(&tree, pages(first, count), &change),
		    expected);
	if (expected != LH_OK)
		check_unchanged();
	for (uint64_t n = first; n < first + count && expected == LH_OK; n++) {
		if (rights)
			map[n].rights = *rights;
		map[n].history |= map[n].rights;
		map[n].charged |= (map[n].rights & LH_RIGHT_WRITE) != 0;
	}
	end_change(&change);
	compare();
}

static void check_may_replace(const lh_region *region, lh_virtual_range range)
{
	lh_region_survey told;

	save();
	CHECK_OK(lh_region_tree_may_replace(&tree, region, range, &told));
	check_survey(&told);
	check_unchanged();
}

static void replace(uint64_t first, uint64_t count, unsigned spares)
{
	lh_region_change change = begin_change(spares);
	lh_error expected = is_punched(first, count) && spares == 0 ? LH_NO_MEMORY : LH_OK;
	lh_region *region = fresh();
	bool on_object = test_random_below(2) != 0;

	lh_region_init(region, on_object ? LH_BACKING_OBJECT : LH_BACKING_ANONYMOUS, LH_RIGHT_READ,
		       LH_REGION_POOLED);
	region->rights_max = test_random_below(8) != 0 ? LH_RIGHTS_ALL : LH_RIGHT_READ;
	region->tag = test_random_below(2);
	region->object = on_object ? (struct lh_object *)0x1000 : NULL;
	region->object_page = on_object ? 1000 + first + test_random_below(8) / 7 : 0;
	expect_survey(first, count, is_punched(first, count));
	check_may_replace(region, pages(first, count));
	if (expected == LH_OK && refuses)
		expected = LH_LIMIT;
	save();
	for (uint64_t n = first; n < first + count && expected == LH_OK; n++)
		map[n] = (struct page){ .mapped = true,
					.rights = region->rights,
					.rights_max = region->rights_max,
					.history = region->rights_history,
					.tag = region->tag,
					.object_page = on_object ? region->object_page + n - first : 0 };
	CHECK_ERROR(lh_region_tree_replace(&tree, region, pages(first, count), &change), expected);
	if (expected != LH_OK)
		check_unchanged();
	end_change(&change);
	compare();
}

static void step(void)
{
	static const lh_rights rights[] = { 0, LH_RIGHT_READ, LH_RIGHT_READ | LH_RIGHT_WRITE };
	uint64_t first = test_random_below(PAGES);
	uint64_t count = 1 + test_random_below(test_random_below(4) == 0 ? PAGES - first : 1);
	unsigned spares = (unsigned)test_random_below(3);

	if (count < 4 && first + 7 < PAGES)
		count += test_random_below(4);
	switch (test_random_below(5)) {
	case 0:
		unmap(first, count, spares);
		break;
	case 1:
		replace(first, count, spares);
		break;
	case 2:
		change_attributes(first, count, NULL, spares);
		break;
	default:
		change_attributes(first, count, &rights[test_random_below(3)], spares);
	}
}

static void run(uint64_t first, unsigned steps)
{
	memset(regions, 0, sizeof regions);
	memset(map, 0, sizeof map);
	first_page = first;
	CHECK_OK(lh_region_tree_init(&tree, pages(0, PAGES)));
	may_refuse = true;
	for (unsigned i = 0; i < steps; i++)
		step();
	may_refuse = false;
}

TEST(range_operations_keep_the_map_and_the_least_number_of_regions)
{
	run(0, 4000);
	run(LH_PAGES_MAX - PAGES, 4000);
	run((UINT64_C(1) << 35) - 7, 4000);
}

/* A11, A12: every range over every small arrangement, with and without a spare. */
TEST(a11_a12_every_range_over_two_regions_is_unmapped_whole_or_not_at_all)
{
	for (uint64_t from = 0; from < 8; from++)
		for (uint64_t count = 1; count <= 8 - from; count++)
			for (unsigned spares = 0; spares < 2; spares++) {
				run(0, 0);
				replace(1, 3, 0);
				replace(4, 2, 0);
				unmap(from, count, spares);
			}
}

/* --- what is refused --- */

static lh_region own, other;

static void start_with_guards(void)
{
	run(0, 0);
	memset(&own, 0, sizeof own);
	memset(&other, 0, sizeof other);
	lh_region_init(&own, LH_BACKING_ANONYMOUS, LH_RIGHT_READ, LH_REGION_POOLED);
	lh_region_init(&other, LH_BACKING_ANONYMOUS, LH_RIGHT_READ, LH_REGION_POOLED);
	own.guard_before = own.guard_after = 2;
	CHECK_OK(lh_region_tree_place_specifically(&tree, &own, pages(10, 10)));
}

TEST(a_range_that_is_not_the_trees_is_refused)
{
	static const lh_virtual_range bad[] = { { { 0 }, 0 }, { { 1 }, 1 }, { { 0 }, PAGES + 1 } };
	lh_region_change change = { .before = NULL };

	start_with_guards();
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
		CHECK_ERROR(lh_region_tree_unmap(&tree, bad[i], &change), LH_INVALID);
		CHECK_ERROR(lh_region_tree_protect(&tree, bad[i], 0, &change), LH_INVALID);
		CHECK_ERROR(lh_region_tree_replace(&tree, &other, bad[i], &change), LH_INVALID);
	}
	CHECK_ERROR(lh_region_tree_replace(&tree, &own, pages(0, 1), &change), LH_INVALID);
	CHECK_EQUAL(tree.count, 1);
}

TEST(regions_that_have_an_owner_are_not_cut)
{
	lh_region_change change = { .before = NULL };

	start_with_guards();
	own.flags &= ~LH_REGION_POOLED;
	CHECK_ERROR(lh_region_tree_unmap(&tree, pages(0, PAGES), &change), LH_INVALID);
	CHECK_ERROR(lh_region_tree_unmap(&tree, pages(15, 1), &change), LH_INVALID);
	CHECK_ERROR(lh_region_tree_protect(&tree, pages(12, 2), 0, &change), LH_INVALID);
	CHECK_ERROR(lh_region_tree_replace(&tree, &other, pages(12, 2), &change), LH_INVALID);
	CHECK_OK(lh_region_tree_unmap(&tree, pages(0, 10), &change));
	CHECK(own.tree == &tree && lh_virtual_range_equals(own.range, pages(10, 10)));
	lh_region_tree_remove(&tree, &own);
}

/* A7, B12: the guards of what stays, and of what comes. */
TEST(a7_a_replacement_keeps_the_guards)
{
	lh_region_change change = { .before = NULL };
	lh_region_survey told;

	start_with_guards();
	CHECK_ERROR(lh_region_tree_may_replace(&tree, &other, pages(7, 2), &told), LH_EXISTS);
	CHECK_ERROR(lh_region_tree_replace(&tree, &other, pages(7, 2), &change), LH_EXISTS);
	CHECK_ERROR(lh_region_tree_replace(&tree, &other, pages(21, 2), &change), LH_EXISTS);
	other.guard_after = 3;
	CHECK_ERROR(lh_region_tree_replace(&tree, &other, pages(6, 2), &change), LH_EXISTS);
	CHECK_ERROR(lh_region_tree_replace(&tree, &other, pages(8, 4), &change), LH_EXISTS);
	CHECK_OK(lh_region_tree_replace(&tree, &other, pages(5, 2), &change));
	lh_region_tree_remove(&tree, &other);
	lh_region_init(&other, LH_BACKING_ANONYMOUS, LH_RIGHT_READ, LH_REGION_POOLED);
	other.guard_before = 1;
	CHECK_ERROR(lh_region_tree_replace(&tree, &other, pages(18, 4), &change), LH_EXISTS);
	other.guard_before = 0;
	other.tag = 1; /* else the two would become one */
	CHECK_OK(lh_region_tree_replace(&tree, &other, pages(18, 4), &change));
	CHECK_EQUAL(own.range.pages, 8);
	CHECK_EQUAL(own.guard_after, 0);
	CHECK_EQUAL(own.guard_before, 2);
	CHECK_OK(lh_region_tree_unmap(&tree, pages(0, 12), &change));
	CHECK_EQUAL(own.guard_before, 0);
	CHECK_SOUND(lh_region_tree_check(&tree));
}

TEST(whether_a_range_is_mapped)
{
	run(0, 0);
	replace(3, 4, 0);
	CHECK(lh_region_tree_is_mapped(&tree, pages(3, 4)));
	CHECK(lh_region_tree_is_mapped(&tree, pages(4, 1)));
	CHECK(!lh_region_tree_is_mapped(&tree, pages(2, 2)));
	CHECK(!lh_region_tree_is_mapped(&tree, pages(6, 2)));
	CHECK(!lh_region_tree_is_mapped(&tree, pages(20, 2)));
}

TEST(where_nothing_is_nothing_merges)
{
	lh_region_change change = { .before = NULL };

	run(0, 0);
	lh_region_tree_merge(&tree, pages(0, PAGES), &change);
	replace(3, 4, 0);
	lh_region_tree_merge(&tree, pages(20, 3), &change);
	CHECK_EQUAL(tree.count, 1);
	CHECK_EQUAL(change.dead.count, 0);
}

TEST(who_need_not_be_told_gives_no_hooks)
{
	lh_region_change change = { .before = NULL };

	run(0, 0);
	replace(3, 4, 0);
	CHECK_OK(lh_region_tree_protect(&tree, pages(3, 4), LH_RIGHT_NONE, &change));
	CHECK_EQUAL(lh_region_tree_find(&tree, pages(5, 1).base)->rights, LH_RIGHT_NONE);
	CHECK_OK(lh_region_tree_unmap(&tree, pages(3, 4), &change));
	CHECK_EQUAL(tree.count, 0);
	CHECK_EQUAL(change.dead.count, 1);
}
