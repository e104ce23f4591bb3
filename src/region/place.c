/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finding a slot.
 *
 * A hole suits if, with the guards of both neighbours and of the region that comes, an aligned
 * base within the limits is left. What every hole that suits must have is a room, of the largest
 * class that the alignment reaches, for the pages wanted; and, where the region has larger guards
 * than any other ever had, for the difference. (Only the first and the last hole of the tree need
 * not: no guard is kept from its ends. They are looked at apart.) So a child whose room is less is
 * passed over, and every other hole is tried, in address order from the wanted side: the first
 * that suits has the lowest (highest) slot. The search is complete.
 *
 * How long it takes. A node's children are told apart by their gap codes, all eight at once. A code
 * that is exact, or larger than the code wanted, decides; otherwise, and for the classes above a
 * page, the child's own room does, which costs a look at that child: at most eight a level. As the
 * room is that of a hole that is there, the way down never ends in vain: one hole costs O(log n).
 * At the alignment of a class, without guards, a hole that has the room suits, but for the two
 * that the limits cut: O(log n) in all. So it is with guards while all regions have the same ones
 * or none; else, and for other alignments, each hole that has the room and yet does not suit costs
 * O(log n) more. (Rooms end at 2^32 - 1 pages: beyond, each hole of that size counts as one that
 * may not suit.)
 */
#include "region/place.h"

/* The limits, as far as they lie in the tree. => false: not valid, or nothing left. */
static bool find_limits(const lh_region_tree *tree, lh_virtual_range within,
			struct lh_page_span *limits)
{
	lh_virtual_range common = tree->total;

	if (!lh_virtual_range_is_empty(within)) {
		if (!lh_virtual_range_is_valid(within) ||
		    !lh_virtual_range_intersect(tree->total, within, &common))
			return false;
	}
	*limits = lh_span_of(common);
	return true;
}

static uint64_t excess(uint32_t guard, uint32_t known)
{
	return guard > known ? guard - known : 0;
}

/* What a hole needs at least; at an alignment, only the guard above adds to it for certain. */
static void find_needs(const lh_region_tree *tree, struct lh_request *request)
{
	uint64_t needed = request->pages + excess(request->guard_after, tree->guard_before_max);

	request->class = LH_REGION_CLASSES - 1;
	while (request->mask < lh_class_mask(request->class))
		request->class--;
	if (request->class == 0)
		needed += excess(request->guard_before, tree->guard_after_max);
	request->room = lh_room_of(needed);
	request->gap = lh_gap_code(request->room);
}

lh_error lh_request_make(const lh_region_tree *tree, const lh_region *region,
			 const lh_placement *placement, struct lh_request *request)
{
	uint64_t alignment = placement->alignment != 0 ? placement->alignment : 1;

	*request = (struct lh_request){
		.pages = placement->pages,
		.mask = alignment - 1,
		.guard_before = region->guard_before,
		.guard_after = region->guard_after,
	};
	if (!lh_region_is_placeable(region) || (alignment & (alignment - 1)) != 0 ||
	    !find_limits(tree, placement->within, &request->limits) || request->pages == 0 ||
	    request->pages > lh_span_pages(request->limits))
		return LH_INVALID;
	find_needs(tree, request);
	return LH_OK;
}

bool lh_request_slots(const lh_region_tree *tree, const struct lh_request *request,
		      const lh_region_cursor *path, struct lh_page_span *slots)
{
	struct lh_page_span room =
		lh_path_room(tree, path, request->guard_before, request->guard_after);

	LH_COUNT_STEP(tree);
	if (room.first < request->limits.first)
		room.first = request->limits.first;
	if (room.end > request->limits.end)
		room.end = request->limits.end;
	if (lh_span_pages(room) < request->pages)
		return false;
	slots->first = lh_request_align_up(request, room.first);
	slots->end = room.end - request->pages + 1;
	return slots->first < slots->end;
}

/* --- which children may have a hole that suits --- */

/* A leaf's hole has the room. */
static bool leaf_has_room(const lh_region_tree *tree, const struct lh_request *request,
			  const lh_region_cursor *path, unsigned slot)
{
	struct lh_page_span hole = lh_leaf_hole(tree, lh_path_node(path, 0), slot);

	return lh_hole_rooms(hole).of[request->class] >= request->room;
}

/* A child, whose gap has the code at least, has the room. */
static bool has_room(const lh_region_tree *tree, const struct lh_request *request,
		     const lh_region_cursor *path, unsigned level, unsigned slot)
{
	const lh_region_node *node = lh_path_node(path, level);

	LH_COUNT_STEP(tree);
	if (request->class == 0 &&
	    (request->gap < LH_GAP_EXACT || node->gap[slot] > request->gap))
		return true;
	if (level == 0)
		return leaf_has_room(tree, request, path, slot);
	return node->child[slot]->node.room[request->class] >= request->room;
}

/* The first of the slots in a mask, by direction. */
static unsigned first_of(unsigned slots, bool is_up)
{
	return is_up ? (unsigned)__builtin_ctz(slots) : 31 - (unsigned)__builtin_clz(slots);
}

/* Takes the first child among those allowed that has the room. => false: none has. */
static bool take_child(const lh_region_tree *tree, const struct lh_request *request, bool is_up,
		       lh_region_cursor *path, unsigned level, unsigned allowed)
{
	unsigned slots = lh_node_gaps(lh_path_node(path, level), request->gap) & allowed;

	LH_COUNT_STEP(tree);
	for (; slots != 0; slots &= ~(1u << first_of(slots, is_up))) {
		unsigned slot = first_of(slots, is_up);

		if (has_room(tree, request, path, level, slot)) {
			path->slot[level] = (uint8_t)slot;
			return true;
		}
	}
	return false;
}

/* From a node of which some hole has the room, down to the first such one. */
static void go_down(const lh_region_tree *tree, const struct lh_request *request, bool is_up,
		    lh_region_cursor *path, unsigned level)
{
	for (; level > 0; level--) {
		path->host[level - 1] = lh_path_node(path, level)->child[path->slot[level]];
		(void)take_child(tree, request, is_up, path, level - 1, ~0u);
	}
}

/* To the next cell in a direction whose hole has the room. => false: none. */
static bool next_with_room(const lh_region_tree *tree, const struct lh_request *request, bool is_up,
			   lh_region_cursor *path)
{
	for (unsigned level = 0; level < tree->levels; level++) {
		unsigned slot, beyond;

		lh_path_climb(path, level);
		slot = path->slot[level];
		beyond = is_up ? ~1u << slot : (1u << slot) - 1;
		if (take_child(tree, request, is_up, path, level, beyond)) {
			go_down(tree, request, is_up, path, level);
			return true;
		}
	}
	return false;
}

/* --- the search --- */

/* True if the limits end before the path's cell, in the direction. */
static bool is_past(const lh_region_tree *tree, const struct lh_request *request, bool is_up,
		    const lh_region_cursor *path)
{
	uint64_t low = lh_path_low(path, 0);

	if (is_up)
		return low >= request->limits.end;
	return lh_extent_first(tree, lh_path_region(path)) <= request->limits.first;
}

/* The last cell in a direction, whose hole may suit without the room. */
static bool try_end(const lh_region_tree *tree, const struct lh_request *request, bool is_up,
		    lh_region_cursor *path, struct lh_page_span *slots)
{
	if ((request->guard_before | request->guard_after) == 0)
		return false;
	lh_path_find(path, tree, is_up ? LH_NO_KEY - 1 : 0);
	return lh_request_slots(tree, request, path, slots);
}

bool lh_request_search_on(const lh_region_tree *tree, const struct lh_request *request, bool is_up,
			  lh_region_cursor *path, struct lh_page_span *slots)
{
	unsigned end = is_up ? (unsigned)(lh_path_region(path) == &tree->tail)
			     : (unsigned)(lh_path_low(path, 0) == lh_span_of(tree->total).first);

	if (end != 0)
		return false;
	while (next_with_room(tree, request, is_up, path)) {
		if (is_past(tree, request, is_up, path))
			return false;
		if (lh_request_slots(tree, request, path, slots))
			return true;
	}
	return try_end(tree, request, is_up, path, slots);
}

lh_error lh_request_search(const lh_region_tree *tree, const struct lh_request *request, bool is_up,
			   lh_region_cursor *path, struct lh_page_span *slots)
{
	lh_path_find(path, tree, is_up ? request->limits.first : request->limits.end - 1);
	if (lh_request_slots(tree, request, path, slots) ||
	    lh_request_search_on(tree, request, is_up, path, slots))
		return LH_OK;
	return LH_NO_HOLE;
}

/* --- placing --- */

/* True if the room alone decides: at page alignment, with exact codes, no guards, no limits. What
 * most placements are. */
static bool is_plain(const lh_region_tree *tree, const lh_region *region,
		     const lh_placement *placement)
{
	return placement->direction == LH_LOWEST_FIRST && placement->alignment <= 1 &&
	       placement->pages - 1 < LH_GAP_EXACT - 1 && placement->pages <= tree->total.pages &&
	       lh_virtual_range_is_empty(placement->within) &&
	       (region->guard_before | region->guard_after) == 0;
}

/* The cell of the lowest slot of a plain placement, which is where it begins: straight down, looking at nothing but
 * gaps. => leaf NULL: there is none. */
static inline struct lh_cell find_plain(const lh_region_tree *tree, uint64_t pages)
{
	lh_region *host = tree->root;
	unsigned level = tree->levels, slot;

	for (;;) {
		unsigned slots;

		/* The lines that are wanted next come at the same time. */
		__builtin_prefetch(&host->node.child);
		__builtin_prefetch(&host->node.key);
		slots = lh_node_gaps(&host->node, (unsigned)pages);
		LH_COUNT_STEP(tree);
		if (slots == 0)
			return (struct lh_cell){ NULL, 0 }; /* at the root, or not at all */
		slot = (unsigned)__builtin_ctz(slots);
		if (--level == 0)
			return (struct lh_cell){ host, slot };
		host = host->node.child[slot];
	}
}

/* The lowest or the highest slot. => *page: its base; LH_NO_HOLE. */
static lh_error find_outermost(const lh_region_tree *tree, const struct lh_request *request,
			       bool is_up, lh_region_cursor *path, uint64_t *page)
{
	struct lh_page_span slots;

	LH_TRY(lh_request_search(tree, request, is_up, path, &slots));
	*page = is_up ? slots.first : (slots.end - 1) & ~request->mask;
	return LH_OK;
}

/* A slot that was found: its base, and the path to its cell. */
struct found {
	lh_error error;
	uint64_t page;
	lh_region_cursor path;
};

/* The first slot whose base is at or above the wish. */
static void find_above(const lh_region_tree *tree, struct lh_request request, uint64_t wish,
		       struct found *found)
{
	found->error = LH_NO_HOLE;
	if (wish > request.limits.first)
		request.limits.first = wish;
	if (request.limits.first < request.limits.end)
		found->error = find_outermost(tree, &request, true, &found->path, &found->page);
}

/* The last slot whose base is at or below the wish. */
static void find_below(const lh_region_tree *tree, struct lh_request request, uint64_t wish,
		       struct found *found)
{
	found->error = LH_NO_HOLE;
	if (wish < request.limits.first)
		return;
	if (wish < request.limits.end - request.pages)
		request.limits.end = wish + request.pages;
	found->error = find_outermost(tree, &request, false, &found->path, &found->page);
}

/* The slot whose base is nearest to a page. */
static lh_error find_nearest(const lh_region_tree *tree, const struct lh_request *request,
			     uint64_t wish, lh_region_cursor *path, uint64_t *page)
{
	struct found above, below;
	const struct found *nearest = &above;

	find_above(tree, *request, wish, &above);
	find_below(tree, *request, wish, &below);
	if (above.error != LH_OK && below.error != LH_OK)
		return LH_NO_HOLE;
	if (above.error != LH_OK || (below.error == LH_OK && wish - below.page <= above.page - wish))
		nearest = &below;
	lh_path_copy(path, &nearest->path);
	*page = nearest->page;
	return LH_OK;
}

/* The slot that a placement asks for. */
static lh_error find_any(const lh_region_tree *tree, const lh_region *region,
			 const lh_placement *placement, lh_region_cursor *path, uint64_t *page)
{
	struct lh_request request;

	LH_TRY(lh_request_make(tree, region, placement, &request));
	if (placement->direction == LH_NEAREST_FIRST)
		return find_nearest(tree, &request, placement->hint.value >> LH_PAGE_SHIFT, path,
				    page);
	return find_outermost(tree, &request, placement->direction == LH_LOWEST_FIRST, path, page);
}

static __attribute__((noinline)) lh_error place_any(lh_region_tree *tree, lh_region *region,
						   const lh_placement *placement)
{
	lh_region_cursor path;
	uint64_t page;

	LH_TRY(find_any(tree, region, placement, &path, &page));
	lh_region_commit(tree, lh_path_cell(&path), region, page, placement->pages);
	return LH_OK;
}

lh_error lh_region_tree_place_anywhere(lh_region_tree *tree, lh_region *region,
				       const lh_placement *placement)
{
	struct lh_cell cell;

	lh_region_finish(tree);
	if (!lh_region_is_placeable(region) || !is_plain(tree, region, placement))
		return place_any(tree, region, placement);
	cell = find_plain(tree, placement->pages);
	if (!cell.leaf)
		return LH_NO_HOLE;
	lh_region_commit(tree, cell, region, cell.leaf->node.key[cell.slot], placement->pages);
	return LH_OK;
}
