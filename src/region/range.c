/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Range operations: unmap, protect, advise, replace, over any range, as transactions.
 *
 * Each first looks at every region that the range crosses, and works out what will be done to
 * them and how many spare regions that takes; only then it changes anything, and from there on it
 * cannot fail. What can happen to a region r that crosses a range x:
 *
 *      r    |-----|      |-----|       |--------|        |--|
 *      x       |-----|       |-----|      |--|         |------|
 *           keeps its    keeps its     both ends       is wholly
 *           lower end    (mirrored)    stay: a spare   in it
 *
 * Only the first and the last region can lie across an end of the range, so an unmap needs at most
 * one spare (both ends in one region) and a protect two (one for each end: there the middle stays).
 *
 * Looking leaves a path to the first of them, and each change one to the next, as far as they lie in one
 * leaf: there the change goes on, and only elsewhere goes down from the root.
 *
 * The tree's sequence is odd from the first change to the last: a reader without the lock may find
 * a region as it was or as it will be, but never a hole where there was and will be a region.
 *
 * Minimality: afterwards no two neighbours that touch the range are mergeable. If that was so of
 * all before, it is so of all after: nobody else's neighbour or attributes changed. A cut alone
 * (unmap) never makes two regions neighbours without a hole between them.
 */
#include "region/tree.h"

void lh_region_list_push(lh_region_list *list, lh_region *region)
{
	region->object_next = list->first;
	list->first = region;
	list->count++;
}

lh_region *lh_region_list_pop(lh_region_list *list)
{
	lh_region *region = list->first;

	list->first = region->object_next;
	region->object_next = NULL;
	list->count--;
	return region;
}

static bool is_range_of(const lh_region_tree *tree, lh_virtual_range range)
{
	return lh_virtual_range_is_valid(range) && lh_span_covers(lh_span_of(tree->total), lh_span_of(range));
}

static bool begins_below(const lh_region *region, lh_virtual_range range)
{
	return region->range.base.value < range.base.value;
}

static bool ends_above(const lh_region *region, lh_virtual_range range)
{
	return lh_virtual_range_last(region->range).value > lh_virtual_range_last(range).value;
}

/* --- working out --- */

/* What a range crosses. */
struct survey {
	lh_region_survey told;
	uint64_t count;	 /* regions */
	const lh_region *above; /* the lowest that ends above the range */
	unsigned ends;	 /* of the range that lie inside a region: 0 to 2 */
	bool is_punched; /* both, in one region */
	bool is_pooled;	 /* all are */
	bool is_mapped;	 /* every page is in one */
};

/* Notes a region that crosses the range, with so many of its pages in it. */
static inline void look_at(struct survey *survey, const lh_region *region, uint64_t pages)
{
	lh_region_survey *told = &survey->told;

	told->pages += pages;
	if ((region->flags & LH_REGION_CHARGED) != 0)
		told->charged_pages += pages;
	else if ((region->flags & LH_REGION_SHARED) == 0 && region->backing != LH_BACKING_NONE)
		told->unpromised_pages += pages;
	told->rights |= region->rights;
	told->rights_max &= region->rights_max;
	told->rights_history |= region->rights_history;
	survey->is_pooled &= (region->flags & LH_REGION_POOLED) != 0;
	survey->count++;
}

/* Of regions, from the path's on. */
static void survey_all(struct survey *survey, lh_region_cursor *path, lh_virtual_range range)
{
	struct lh_page_span limits = lh_span_of(range);
	lh_region_walk walk = lh_path_walk(path);
	const lh_region *region = lh_region_walk_region(&walk);
	uint64_t next = limits.first;

	for (; region; region = lh_region_walk_next(&walk)) {
		struct lh_page_span span = lh_span_of(region->range), common;

		if (span.first >= limits.end)
			break;
		common.first = span.first > limits.first ? span.first : limits.first;
		common.end = span.end < limits.end ? span.end : limits.end;
		look_at(survey, region, lh_span_pages(common));
		survey->ends += span.first < limits.first;
		survey->ends += span.end > limits.end;
		survey->is_mapped &= span.first <= next;
		next = span.end;
		if (next > limits.end)
			break;
	}
	survey->is_mapped &= next >= limits.end;
	survey->above = region;
}

/* => path: to the first of them. */
static inline void survey_range(struct survey *survey, lh_region_cursor *path, const lh_region_tree *tree,
				lh_virtual_range range)
{
	const lh_region *region = lh_path_find_from(path, tree, lh_span_of(range).first);

	*survey = (struct survey){ .told.rights_max = LH_RIGHTS_ALL, .is_pooled = true, .is_mapped = true };
	if (!region || !begins_below(region, range) || !ends_above(region, range)) {
		survey_all(survey, path, range);
		return;
	}
	look_at(survey, region, range.pages);
	survey->ends = 2;
	survey->is_punched = true;
	survey->above = region;
}

bool lh_region_tree_is_mapped(const lh_region_tree *tree, lh_virtual_range range)
{
	lh_region_cursor path;
	struct survey survey;

	survey_range(&survey, &path, tree, range);
	return survey.is_mapped;
}

/* What can fail beside the tree: are there as many spares as it takes, and what does the caller say? */
static lh_error prepare(lh_region_change *change, struct survey *survey, unsigned spares)
{
	survey->told.spares = spares;
	if (spares > change->spares.count)
		return LH_NO_MEMORY;
	return change->prepare ? change->prepare(change, &survey->told) : LH_OK;
}

/* --- doing: nothing here fails --- */

/* The steps of a change begin where the survey's path leads. => for lh_change_end. */
static uint64_t begin_at(lh_region_tree *tree, const lh_region_cursor *path)
{
	lh_path_copy(&tree->last, path);
	tree->last_is_current = true;
	return lh_steps_begin(tree);
}

/* The lowest region that has a page at or above the one given: there the tree's last path leads, and
 * mostly did. => NULL: to the tail. */
static lh_region *go_to(lh_region_tree *tree, uint64_t page)
{
	if (tree->last_is_current && lh_path_low(&tree->last, 0) <= page) {
		lh_region *region = lh_path_region(&tree->last);

		if (page < lh_span_of(region->range).end)
			return region;
	}
	tree->last_is_current = true;
	return lh_path_find_from(&tree->last, tree, page);
}

static void tell_before(lh_region_change *change, lh_region *region)
{
	if (change->before)
		change->before(change, region);
}

static void tell_after(lh_region_change *change, lh_region *region, lh_region *upper, bool is_gone)
{
	if (change->after)
		change->after(change, region, upper, is_gone);
	if (is_gone)
		lh_region_list_push(&change->dead, region);
}

/* The part of a region beside the range stays; of a region that crosses one end of it. */
static void cut_end(lh_region_tree *tree, lh_region *region, lh_virtual_range range)
{
	struct lh_page_span kept = lh_span_of(region->range), gone = lh_span_of(range);

	if (begins_below(region, range)) {
		kept.end = gone.first;
		region->guard_after = 0;
	} else {
		kept.first = gone.end;
		region->guard_before = 0;
	}
	lh_region_change_range(tree, region, lh_span_range(kept.first, lh_span_pages(kept)));
}

/* Both ends of a region stay, the upper one as another region: the tree's last path leads to it. */
static inline void cut_in_two(lh_region_tree *tree, lh_region *region, uint64_t from, uint64_t to,
		       lh_region_change *change)
{
	lh_region *upper;

	tell_before(change, region);
	upper = lh_region_list_pop(&change->spares);
	lh_region_cut(tree, region, from, to, upper);
	tell_after(change, region, upper, false);
}

/* Of a region that does not have both its ends outside. */
static void cut_out(lh_region_tree *tree, lh_region *region, lh_virtual_range range,
		    lh_region_change *change)
{
	bool is_gone = !begins_below(region, range) && !ends_above(region, range);

	tell_before(change, region);
	if (is_gone) {
		lh_region_take_out(tree, region);
		lh_region_close(tree);
	} else {
		cut_end(tree, region, range);
	}
	tell_after(change, region, NULL, is_gone);
}

/* => count: of the regions that cross the range. */
static void cut_each(lh_region_tree *tree, lh_virtual_range range, uint64_t count, lh_region_change *change)
{
	for (; count > 0; count--)
		cut_out(tree, go_to(tree, lh_span_of(range).first), range, change);
}

/* Takes the range out of all regions that cross it: of the one that has it in its middle, or of each in turn. */
static inline void cut_all(lh_region_tree *tree, lh_virtual_range range, const struct survey *survey,
			   lh_region_change *change)
{
	struct lh_page_span span = lh_span_of(range);

	if (survey->is_punched)
		cut_in_two(tree, lh_path_region(&tree->last), span.first, span.end, change);
	else
		cut_each(tree, range, survey->count, change);
}

/* Splits the region that has a page and the one before it, if one region has both. */
static void split_at(lh_region_tree *tree, lh_virtual_address at, lh_region_change *change)
{
	uint64_t page = at.value >> LH_PAGE_SHIFT;
	lh_region *region = go_to(tree, page);

	if (region && region->range.base.value < at.value)
		cut_in_two(tree, region, page, page, change);
}

/* => rights: NULL: they stay. */
static void set_attributes(lh_region *region, const lh_rights *rights, lh_region_change *change)
{
	lh_version_begin(&region->version);
	if (rights) {
		LH_PUBLISH(region->rights, *rights);
		LH_PUBLISH(region->rights_history, region->rights_history | *rights);
	}
	if (change->grant)
		change->grant(change, region);
	lh_version_end(&region->version);
}

static void merge_pair(lh_region_tree *tree, lh_region *region, lh_region *next,
		       lh_region_change *change)
{
	tell_before(change, region);
	(void)lh_region_tree_merge_next(tree, region);
	tell_after(change, region, NULL, false);
	tell_after(change, next, NULL, true);
}

/* Begins a page below the range: what ends there may be one with what begins in it. */
void lh_region_tree_merge(lh_region_tree *tree, lh_virtual_range range, lh_region_change *change)
{
	uint64_t last = lh_virtual_range_last(range).value;
	uint64_t below = range.base.value - (range.base.value != 0);
	lh_region_walk walk;
	lh_region *region = lh_walk_near(&walk, tree, below >> LH_PAGE_SHIFT), *next;

	while (region && region->range.base.value <= last) {
		next = lh_region_walk_next(&walk);
		if (next && lh_region_is_mergeable(region, next)) {
			merge_pair(tree, region, next, change);
			next = lh_walk_near(&walk, tree, lh_span_of(region->range).first);
		}
		region = next;
	}
}

/* --- the operations --- */

lh_error lh_region_tree_unmap(lh_region_tree *tree, lh_virtual_range range,
			      lh_region_change *change)
{
	lh_region_cursor path;
	struct survey survey;
	uint64_t before;

	if (!is_range_of(tree, range))
		return LH_INVALID;
	lh_region_close(tree);
	survey_range(&survey, &path, tree, range);
	if (!survey.is_pooled)
		return LH_INVALID;
	LH_TRY(prepare(change, &survey, survey.is_punched));
	before = begin_at(tree, &path);
	cut_all(tree, range, &survey, change);
	lh_change_end(tree, before);
	return LH_OK;
}

/* => rights: the new ones; NULL: they stay, and `grant` changes other things. */
static lh_error change_attributes(lh_region_tree *tree, lh_virtual_range range, const lh_rights *rights,
				  lh_region_change *change)
{
	lh_region_cursor path;
	struct survey survey;
	lh_region_walk walk;
	lh_region *region;
	uint64_t before;

	if (!is_range_of(tree, range))
		return LH_INVALID;
	lh_region_close(tree);
	survey_range(&survey, &path, tree, range);
	if (!survey.is_mapped)
		return LH_NOT_MAPPED;
	if (!survey.is_pooled)
		return LH_INVALID;
	if (rights && (*rights & ~survey.told.rights_max) != 0)
		return LH_NO_ACCESS;
	LH_TRY(prepare(change, &survey, survey.ends));
	before = begin_at(tree, &path);
	split_at(tree, range.base, change);
	split_at(tree, lh_virtual(lh_virtual_range_last(range).value + 1), change);
	region = lh_walk_near(&walk, tree, lh_span_of(range).first);
	for (; region && !ends_above(region, range); region = lh_region_walk_next(&walk))
		set_attributes(region, rights, change);
	lh_region_tree_merge(tree, range, change);
	lh_change_end(tree, before);
	return LH_OK;
}

lh_error lh_region_tree_protect(lh_region_tree *tree, lh_virtual_range range, lh_rights rights,
				lh_region_change *change)
{
	return change_attributes(tree, range, &rights, change);
}

lh_error lh_region_tree_advise(lh_region_tree *tree, lh_virtual_range range, lh_region_change *change)
{
	return change_attributes(tree, range, NULL, change);
}

/* True if a region may stand at the range once nothing else does. A piece that is left beside it
 * lies directly at it: then it must have no guard on that side. */
static bool neighbours_allow(const lh_region_tree *tree, const lh_region *region,
			     lh_virtual_range range, const lh_region *above)
{
	const lh_region *first, *below;
	struct lh_page_span room;
	lh_region_cursor path;

	first = lh_path_find_from(&path, tree, lh_span_of(range).first);
	below = lh_path_step(&path, false) ? lh_path_region(&path) : NULL;
	if (first && begins_below(first, range)) {
		if (region->guard_before != 0)
			return false;
		below = NULL;
	}
	if (above && lh_virtual_range_overlaps(above->range, range)) {
		if (region->guard_after != 0)
			return false;
		above = NULL;
	}
	room = lh_region_room(tree, below, above, region->guard_before, region->guard_after);
	return lh_span_covers(room, lh_span_of(range));
}

static lh_error survey_to_replace(const lh_region_tree *tree, const lh_region *region,
				  lh_virtual_range range, lh_region_cursor *path, struct survey *survey)
{
	if (!is_range_of(tree, range) || !lh_region_is_placeable(region))
		return LH_INVALID;
	survey_range(survey, path, tree, range);
	if (!survey->is_pooled)
		return LH_INVALID;
	return neighbours_allow(tree, region, range, survey->above) ? LH_OK : LH_EXISTS;
}

lh_error lh_region_tree_may_replace(const lh_region_tree *tree, const lh_region *region,
				    lh_virtual_range range, lh_region_survey *told)
{
	struct survey survey;
	lh_region_cursor path;

	LH_TRY(survey_to_replace(tree, region, range, &path, &survey));
	*told = survey.told;
	return LH_OK;
}

lh_error lh_region_tree_replace(lh_region_tree *tree, lh_region *region, lh_virtual_range range,
				lh_region_change *change)
{
	struct survey survey;
	lh_region_cursor cursor, *path;
	uint64_t before;

	lh_region_close(tree);
	LH_TRY(survey_to_replace(tree, region, range, &cursor, &survey));
	LH_TRY(prepare(change, &survey, survey.is_punched));
	before = begin_at(tree, &cursor);
	cut_all(tree, range, &survey, change);
	path = lh_path_find_again(&cursor, tree, lh_span_of(range).first);
	lh_region_commit(tree, lh_path_cell(path), region, lh_span_of(range).first, range.pages);
	lh_region_tree_merge(tree, range, change);
	lh_change_end(tree, before);
	return LH_OK;
}
