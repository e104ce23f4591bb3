/* SPDX-License-Identifier: BSD-2-Clause */
#include "region/model.h"

#include <string.h>

static struct lh_object *const an_object = (struct lh_object *)0x1000;

/* Regions on an object, so that object pages are compared too; far from page 0. */
static void build(struct model *model, int slot, uint32_t before, uint32_t after)
{
	lh_region *region = &model->region[slot];
	uint64_t version = region->version;

	lh_region_init(region, LH_BACKING_OBJECT, LH_RIGHT_READ, LH_REGION_POOLED);
	CHECK((region->version & 1) == 1);
	CHECK(region->version >= version);
	region->guard_before = before;
	region->guard_after = after;
	region->object = an_object;
}

void model_init(struct model *model, uint64_t first, uint64_t unit, uint64_t units,
		unsigned slots)
{
	memset(model, 0, sizeof *model);
	model->first = first;
	model->unit = unit;
	model->units = units;
	model->slots = slots;
	CHECK(slots <= MODEL_SLOTS);
	CHECK_OK(lh_region_tree_init(&model->tree, model_range(model, 0, units)));
	for (unsigned i = 0; i < slots; i++)
		build(model, (int)i, 0, 0);
}

lh_virtual_range model_range(const struct model *model, uint64_t first, uint64_t units)
{
	uint64_t page = model->first + first * model->unit;

	return (lh_virtual_range){ lh_virtual(page << LH_PAGE_SHIFT), units * model->unit };
}

int model_free_slot(const struct model *model)
{
	for (unsigned i = 0; i < model->slots; i++)
		if (!model->record[i].placed)
			return (int)i;
	return -1;
}

unsigned model_placed(const struct model *model)
{
	unsigned placed = 0;

	for (unsigned i = 0; i < model->slots; i++)
		placed += model->record[i].placed;
	return placed;
}

/* The placed record with the lowest first at or above a place, or -1. */
static int lowest_from(const struct model *model, uint64_t first)
{
	int lowest = -1;

	for (unsigned i = 0; i < model->slots; i++) {
		const struct record *r = &model->record[i];

		if (r->placed && r->first >= first &&
		    (lowest < 0 || r->first < model->record[lowest].first))
			lowest = (int)i;
	}
	return lowest;
}

int model_nth(const struct model *model, unsigned n)
{
	int slot = lowest_from(model, 0);

	while (n-- > 0 && slot >= 0)
		slot = lowest_from(model, model->record[slot].first + 1);
	return slot;
}

static uint64_t max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* The rule itself, against every record but one: nothing nearer than a guard allows. */
static bool is_legal(const struct model *model, int self, uint64_t first, uint64_t units,
		     uint32_t before, uint32_t after)
{
	if (units == 0 || units > model->units || first > model->units - units)
		return false;
	for (unsigned i = 0; i < model->slots; i++) {
		const struct record *r = &model->record[i];

		if (!r->placed || (int)i == self)
			continue;
		if (r->first <= first) {
			if (first < r->first + r->units + max(r->after, before))
				return false;
		} else if (r->first < first + units + max(r->before, after)) {
			return false;
		}
	}
	return true;
}

static bool is_aligned(const struct model *model, uint64_t first, uint64_t alignment)
{
	uint64_t page = model->first + first * model->unit;

	return (page & (alignment - 1)) == 0;
}

/* Limits are given in units from the space's first, and may pass its end. */
static bool is_in_limits(const struct wish *wish, uint64_t first)
{
	if (wish->limit_units == 0)
		return true;
	return first >= wish->limit_first &&
	       first + wish->units <= wish->limit_first + wish->limit_units;
}

static lh_error expect_slot(const struct model *model, const struct wish *wish, uint64_t *slot)
{
	uint64_t alignment = wish->alignment != 0 ? wish->alignment : 1;
	uint64_t end = model->units, lowest = 0;

	if (wish->limit_units != 0) {
		lowest = wish->limit_first;
		if (end > wish->limit_first + wish->limit_units)
			end = wish->limit_first + wish->limit_units;
	}
	if (wish->units == 0 || (alignment & (alignment - 1)) != 0 || lowest >= end ||
	    wish->units > end - lowest)
		return LH_INVALID;
	/* The slots by falling preference. */
	for (uint64_t i = 0; i < 2 * model->units; i++) {
		uint64_t first = i;

		if (wish->direction == LH_HIGHEST_FIRST)
			first = model->units - 1 - i;
		else if (wish->direction == LH_NEAREST_FIRST)
			first = i % 2 != 0 ? wish->hint - (i + 1) / 2 : wish->hint + i / 2;
		if (first < model->units && is_in_limits(wish, first) &&
		    is_aligned(model, first, alignment) &&
		    is_legal(model, -1, first, wish->units, wish->before, wish->after)) {
			*slot = first;
			return LH_OK;
		}
	}
	return LH_NO_HOLE;
}

static void record_placed(struct model *model, int slot, uint64_t first, uint64_t units)
{
	struct record *r = &model->record[slot];

	r->placed = true;
	r->first = first;
	r->units = units;
	r->before = model->region[slot].guard_before;
	r->after = model->region[slot].guard_after;
	r->object_page = model->region[slot].object_page;
}

/* Object page of a fresh region: twice the size of the space, so resize never gets below 0. */
static void prepare(struct model *model, int slot, uint32_t before, uint32_t after)
{
	build(model, slot, before, after);
	model->region[slot].object_page = 2 * model->unit * model->units + (uint64_t)slot;
}

/* Gaps and rooms are the walker's affair; the slot is a guess. */
static void take_rooms(lh_region_node *node, const lh_region_node *from)
{
	memcpy(node->gap, from->gap, sizeof node->gap);
	memcpy(node->room, from->room, sizeof node->room);
	node->slot_above = from->slot_above;
}

/* A search has had the nodes above the leaf that was behind told its rooms. */
static void expect_told(struct model *before, const struct model *model)
{
	before->tree.behind = NULL;
	take_rooms(&before->tree.tail.node, &model->tree.tail.node);
	for (int i = 0; i < MODEL_SLOTS; i++)
		take_rooms(&before->region[i].node, &model->region[i].node);
}

/* The leaf that the last removal had not done with was closed: where nodes lie is the walker's affair, too. */
static void expect_closed(struct model *before, const struct model *model)
{
	lh_region_tree tree = model->tree;

	tree.count = before->tree.count;
	tree.guard_before_max = before->tree.guard_before_max;
	tree.guard_after_max = before->tree.guard_after_max;
	tree.has_guards = before->tree.has_guards;
	before->tree = tree;
	for (int i = 0; i < MODEL_SLOTS; i++) {
		before->region[i].node = model->region[i].node;
		before->region[i].leaf = model->region[i].leaf;
	}
}

/* On error nothing may have changed, not a byte, but the count of steps, what nodes are told of a leaf, and what
 * the last removal left undone. */
static void check_unchanged(const struct model *model, struct model *before)
{
	before->tree.steps = model->tree.steps;
	if (before->tree.open && !model->tree.open)
		expect_closed(before, model);
	else if (before->tree.behind && !model->tree.behind)
		expect_told(before, model);
	CHECK(memcmp(&model->tree, &before->tree, sizeof model->tree) == 0);
	CHECK(memcmp(model->region, before->region, sizeof model->region) == 0);
}

lh_error model_place_anywhere(struct model *model, int slot, struct wish wish)
{
	lh_placement placement = {
		.pages = wish.units * model->unit,
		.alignment = wish.alignment,
		.direction = wish.direction,
		.hint = model_range(model, wish.hint, 1).base,
	};
	uint64_t first = 0;
	lh_error expected = expect_slot(model, &wish, &first);
	struct model before;

	if (wish.limit_units != 0)
		placement.within = model_range(model, wish.limit_first, wish.limit_units);
	prepare(model, slot, wish.before, wish.after);
	before = *model;
	CHECK_ERROR(lh_region_tree_place_anywhere(&model->tree, &model->region[slot], &placement),
		    expected);
	if (expected == LH_OK)
		record_placed(model, slot, first, wish.units);
	else
		check_unchanged(model, &before);
	model_compare(model);
	return expected;
}

lh_error model_place_specifically(struct model *model, int slot, uint64_t first, uint64_t units,
				  uint32_t before, uint32_t after)
{
	lh_error expected = LH_OK;
	struct model copy;

	if (units == 0 || first >= model->units || units > model->units - first)
		expected = LH_INVALID;
	else if (!is_legal(model, -1, first, units, before, after))
		expected = LH_EXISTS;
	prepare(model, slot, before, after);
	copy = *model;
	CHECK_ERROR(lh_region_tree_place_specifically(&model->tree, &model->region[slot],
						      model_range(model, first, units)),
		    expected);
	if (expected == LH_OK)
		record_placed(model, slot, first, units);
	else
		check_unchanged(model, &copy);
	model_compare(model);
	return expected;
}

/* True if no other record lies, in part, between the two places. */
static bool is_between_neighbours(const struct model *model, int slot, uint64_t first)
{
	uint64_t old = model->record[slot].first;

	for (unsigned i = 0; i < model->slots; i++) {
		const struct record *r = &model->record[i];

		if (r->placed && (int)i != slot && (r->first < old) != (r->first < first))
			return false;
	}
	return true;
}

lh_error model_resize(struct model *model, int slot, uint64_t first, uint64_t units)
{
	struct record *r = &model->record[slot];
	lh_error expected = LH_OK;
	struct model before = *model;

	if (units == 0 || first >= model->units || units > model->units - first)
		expected = LH_INVALID;
	else if (!is_legal(model, slot, first, units, r->before, r->after) ||
		 !is_between_neighbours(model, slot, first))
		expected = LH_EXISTS;
	CHECK_ERROR(lh_region_tree_resize(&model->tree, &model->region[slot],
					  model_range(model, first, units)),
		    expected);
	if (expected == LH_OK) {
		CHECK(model->region[slot].version > before.region[slot].version);
		r->object_page += (first - r->first) * model->unit;
		r->first = first;
		r->units = units;
	} else {
		check_unchanged(model, &before);
	}
	model_compare(model);
	return expected;
}

void model_remove(struct model *model, int slot)
{
	lh_virtual_range range = model->region[slot].range;

	lh_region_tree_remove(&model->tree, &model->region[slot]);
	model->record[slot].placed = false;
	CHECK(lh_virtual_range_equals(model->region[slot].range, range));
	CHECK(model->region[slot].tree == NULL);
	model_compare(model);
}

void model_split(struct model *model, int slot, uint64_t at, int upper)
{
	struct record *low = &model->record[slot];
	struct record *high = &model->record[upper];
	uint64_t version = model->region[slot].version;

	build(model, upper, 0, 0);
	lh_region_tree_split(&model->tree, &model->region[slot],
			     model_range(model, low->first + at, 1).base, &model->region[upper]);
	high->placed = true;
	high->first = low->first + at;
	high->units = low->units - at;
	high->before = 0;
	high->after = low->after;
	high->object_page = low->object_page + at * model->unit;
	low->units = at;
	low->after = 0;
	CHECK(model->region[slot].version > version);
	CHECK(model->region[upper].object == an_object);
	model_compare(model);
}

bool model_merge_next(struct model *model, int slot)
{
	struct record *low = &model->record[slot];
	int next = lowest_from(model, low->first + 1);
	struct record *high = next >= 0 ? &model->record[next] : NULL;
	bool expected = high && high->first == low->first + low->units &&
			high->object_page == low->object_page + low->units * model->unit;
	struct model before = *model;
	lh_region *taken = lh_region_tree_merge_next(&model->tree, &model->region[slot]);

	CHECK(taken == (expected ? &model->region[next] : NULL));
	if (expected) {
		low->units += high->units;
		low->after = high->after;
		high->placed = false;
		CHECK(model->region[slot].version > before.region[slot].version);
	} else {
		check_unchanged(model, &before);
	}
	model_compare(model);
	return expected;
}

static void compare_record(struct model *model, unsigned slot)
{
	struct record *r = &model->record[slot];
	const lh_region *region = &model->region[slot];

	CHECK(region->version >= r->version);
	r->version = region->version;
	CHECK_EQUAL(region->version & 1, r->placed ? 0 : 1);
	CHECK(region->tree == (r->placed ? &model->tree : NULL));
	if (!r->placed)
		return;
	CHECK(lh_virtual_range_equals(region->range, model_range(model, r->first, r->units)));
	CHECK_EQUAL(region->guard_before, r->before);
	CHECK_EQUAL(region->guard_after, r->after);
	CHECK_EQUAL(region->object_page, r->object_page);
}

/* Who holds a unit, and who holds it or the first one above. */
static const lh_region *holder(const struct model *model, uint64_t place, bool or_above)
{
	const struct record *best = NULL;

	for (unsigned i = 0; i < model->slots; i++) {
		const struct record *r = &model->record[i];

		if (r->placed && place < r->first + r->units && (or_above || place >= r->first) &&
		    (!best || r->first < best->first))
			best = r;
	}
	return best ? &model->region[best - model->record] : NULL;
}

/* One goes up, one anywhere; both were on something else before. (Not on an earlier state of the
 * tree: tests that copy one back have its sequence run backwards.) */
static lh_region_cursor near, at_random;

static void compare_find(const struct model *model, uint64_t place)
{
	lh_virtual_range page = model_range(model, place, 1);
	const lh_region *held = holder(model, place, false);
	const lh_region *from = holder(model, place, true);
	uint64_t other = test_random_below(model->units);
	lh_region_snapshot snapshot = { .region = NULL };
	lh_error error = lh_region_tree_read(&model->tree, page.base, &snapshot);
	lh_region_walk walk;

	CHECK(lh_region_tree_find_near(&model->tree, &near, page.base) == held);
	CHECK(lh_region_tree_find_near(&model->tree, &at_random,
				       model_range(model, other, 1).base) ==
	      holder(model, other, false));
	CHECK_ERROR(error, held ? LH_OK : LH_NOT_MAPPED);
	CHECK(snapshot.region == held || !held);

	CHECK(lh_region_tree_find(&model->tree, page.base) == held);
	CHECK(lh_region_tree_find(&model->tree, lh_virtual_range_last(page)) == held);
	CHECK(lh_region_tree_find_from(&model->tree, page.base) == from);
	CHECK(lh_region_walk_from(&walk, &model->tree, page.base) == from);
	CHECK(!from || lh_region_walk_next(&walk) == lh_region_tree_next(from));
	CHECK(lh_region_tree_find_from(&model->tree, lh_virtual_range_last(page)) == from);
}

static void compare_ends(const struct model *model)
{
	lh_virtual_range total = model->tree.total;
	uint64_t below = total.base.value - 1, above = lh_virtual_range_last(total).value + 1;

	if (total.base.value != 0) {
		CHECK(lh_region_tree_find(&model->tree, lh_virtual(below)) == NULL);
		CHECK(lh_region_tree_find_from(&model->tree, lh_virtual(below)) ==
		      lh_region_tree_first(&model->tree));
	}
	if (above != 0) {
		CHECK(lh_region_tree_find(&model->tree, lh_virtual(above)) == NULL);
		CHECK(lh_region_tree_find_from(&model->tree, lh_virtual(above)) == NULL);
	}
}

static void compare_walks(const struct model *model)
{
	const lh_region *up = lh_region_tree_first(&model->tree);
	lh_region_walk walk;
	const lh_region *on = lh_region_walk_first(&walk, &model->tree);
	const lh_region *last = NULL;
	int slot = lowest_from(model, 0);

	for (; slot >= 0; slot = lowest_from(model, model->record[slot].first + 1)) {
		CHECK(up == &model->region[slot]);
		CHECK(on == up);
		on = lh_region_walk_next(&walk);
		CHECK(lh_region_tree_previous(up) == last);
		last = up;
		up = lh_region_tree_next(up);
	}
	CHECK(up == NULL && on == NULL);
	CHECK(lh_region_tree_last(&model->tree) == last);
}

void model_compare(struct model *model)
{
	near.tree = at_random.tree = NULL;
	CHECK_SOUND(lh_region_tree_check(&model->tree));
	CHECK_EQUAL(model->tree.count, model_placed(model));
	for (unsigned i = 0; i < model->slots; i++)
		compare_record(model, i);
	for (uint64_t place = 0; place < model->units; place++)
		compare_find(model, place);
	compare_ends(model);
	compare_walks(model);
}

void model_compare_crossing(struct model *model, lh_virtual_range range)
{
	const lh_region *crossing = lh_region_tree_first_crossing(&model->tree, range);
	int slot = lowest_from(model, 0);

	for (; slot >= 0; slot = lowest_from(model, model->record[slot].first + 1)) {
		const lh_region *region = &model->region[slot];
		/* By first and last bytes: nothing here can wrap. */
		bool crosses = range.pages != 0 &&
			       region->range.base.value <= lh_virtual_range_last(range).value &&
			       range.base.value <= lh_virtual_range_last(region->range).value;

		if (!crosses)
			continue;
		CHECK(crossing == region);
		crossing = lh_region_tree_next_crossing(crossing, range);
	}
	CHECK(crossing == NULL);
}
