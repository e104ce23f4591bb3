/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random placement, exactly uniform.
 *
 * A draw takes one of all aligned bases within the limits, each as likely as each other, and is
 * kept if its slot is legal. What is kept is therefore uniform over the legal slots, whatever the
 * holes look like. Where at most one base in ten is legal, sixteen draws may all fail (in a space
 * that is nine tenths full: one time in five); then the legal slots are counted, hole by hole, and
 * one of them is drawn by its number. That too is uniform; so is one of the two after the other.
 */
#include "region/place.h"

enum { DRAWS = 16 };

struct source {
	lh_region_random *random;
	void *context;
};

/* Uniform below a bound: the numbers that would favour some are drawn again. */
static uint64_t draw_below(const struct source *source, uint64_t bound)
{
	uint64_t surplus = (UINT64_C(0) - bound) % bound; /* 2^64 modulo bound */
	uint64_t number;

	do
		number = source->random(source->context);
	while (number < surplus);
	return number % bound;
}

static uint64_t count_bases(const struct lh_request *request, struct lh_page_span bases)
{
	if (bases.first >= bases.end)
		return 0;
	return (bases.end - 1 - bases.first) / (request->mask + 1) + 1;
}

static bool is_legal(const lh_region_tree *tree, const struct lh_request *request, uint64_t page,
		     lh_region_cursor *path)
{
	struct lh_page_span slots;

	lh_path_find(path, tree, page);
	return lh_request_slots(tree, request, path, &slots) && page >= slots.first &&
	       page < slots.end;
}

/* => LH_NO_HOLE: every draw failed. */
static lh_error draw(const lh_region_tree *tree, const struct lh_request *request,
		     const struct source *source, lh_region_cursor *path, uint64_t *page)
{
	struct lh_page_span bases = { lh_request_align_up(request, request->limits.first),
				      request->limits.end - request->pages + 1 };
	uint64_t count = count_bases(request, bases);

	for (unsigned i = 0; i < DRAWS && count != 0; i++) {
		*page = bases.first + draw_below(source, count) * (request->mask + 1);
		if (is_legal(tree, request, *page, path))
			return LH_OK;
	}
	return LH_NO_HOLE;
}

/* The number of legal slots, or, if number is less than that, leads to the one of that number. */
static uint64_t enumerate(const lh_region_tree *tree, const struct lh_request *request,
			  uint64_t number, lh_region_cursor *path, uint64_t *page)
{
	struct lh_page_span slots;
	uint64_t seen = 0;
	bool found = lh_request_search(tree, request, true, path, &slots) == LH_OK;

	for (; found; found = lh_request_search_on(tree, request, true, path, &slots)) {
		uint64_t count = count_bases(request, slots);

		if (number - seen < count) {
			*page = slots.first + (number - seen) * (request->mask + 1);
			return number;
		}
		seen += count;
	}
	return seen;
}

static lh_error choose(const lh_region_tree *tree, const struct lh_request *request,
		       const struct source *source, lh_region_cursor *path, uint64_t *page)
{
	uint64_t count;

	if (draw(tree, request, source, path, page) == LH_OK)
		return LH_OK;
	count = enumerate(tree, request, UINT64_MAX, path, page);
	if (count == 0)
		return LH_NO_HOLE;
	(void)enumerate(tree, request, draw_below(source, count), path, page);
	return LH_OK;
}

/* Narrows the limits to the slots that are near enough to the first one in the direction. */
static lh_error narrow(const lh_region_tree *tree, struct lh_request *request,
		       const lh_placement *placement)
{
	bool is_up = placement->direction == LH_LOWEST_FIRST;
	struct lh_page_span slots;
	lh_region_cursor path;
	uint64_t first;

	LH_TRY(lh_request_search(tree, request, is_up, &path, &slots));
	if (is_up) {
		request->limits.first = slots.first;
		if (placement->spread < request->limits.end - slots.first - request->pages)
			request->limits.end = slots.first + placement->spread + request->pages;
		return LH_OK;
	}
	first = (slots.end - 1) & ~request->mask;
	request->limits.end = first + request->pages;
	if (placement->spread < first - request->limits.first)
		request->limits.first = first - placement->spread;
	return LH_OK;
}

lh_error lh_region_tree_place_randomly(lh_region_tree *tree, lh_region *region,
				       const lh_placement *placement, lh_region_random *random,
				       void *context)
{
	struct source source = { random, context };
	struct lh_request request;
	lh_region_cursor path;
	uint64_t page;

	lh_region_finish(tree);
	LH_TRY(lh_request_make(tree, region, placement, &request));
	if (placement->spread != 0)
		LH_TRY(narrow(tree, &request, placement));
	LH_TRY(choose(tree, &request, &source, &path, &page));
	lh_region_commit(tree, lh_path_cell(&path), region, page, request.pages);
	return LH_OK;
}
