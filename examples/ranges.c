/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The region tree alone: who gets which part of an address range. Here a just-in-time
 * compiler hands out its code range; a GPU's or an IOMMU's addresses go the same way.
 * Links with src/base and src/region, and needs no port: nothing is mapped, nothing
 * allocated; the nodes are members of what they stand for.
 *
 *     make examples
 */
#include <inttypes.h>
#include <stdio.h>

#include <landhold/region_tree.h>

struct code {
	lh_region region; /* first: a region of this tree is a struct code */
	const char *name;
};

static const uint64_t huge_page = (UINT64_C(2) << 20) / LH_PAGE_SIZE;

static void prepare(struct code *code, const char *name, uint32_t guard)
{
	lh_region_init(&code->region, LH_BACKING_NONE, LH_RIGHT_EXECUTE, 0);
	code->region.guard_before = guard;
	code->region.guard_after = guard;
	code->name = name;
}

static lh_error place(lh_region_tree *tree, struct code *code, uint64_t pages, uint64_t alignment,
		      lh_direction direction)
{
	lh_placement placement = { .pages = pages, .alignment = alignment, .direction = direction };

	return lh_region_tree_place_anywhere(tree, &code->region, &placement);
}

static void print_map(const lh_region_tree *tree, const char *title)
{
	printf("%s\n", title);
	for (const lh_region *r = lh_region_tree_first(tree); r; r = lh_region_tree_next(r))
		printf("  %#014" PRIx64 "-%#014" PRIx64 " %5" PRIu64 " pages  %s\n",
		       r->range.base.value, lh_virtual_range_last(r->range).value, r->range.pages,
		       ((const struct code *)r)->name);
}

static lh_error run(void)
{
	static struct code runtime, hot, cold, trampoline;
	lh_virtual_range range;
	lh_region_tree tree;
	struct code *found;

	LH_TRY(lh_virtual_range_make(lh_virtual(UINT64_C(0x7f0000000000)), 16384, &range));
	LH_TRY(lh_region_tree_init(&tree, range));

	prepare(&runtime, "runtime", 1);
	prepare(&hot, "hot code, on huge pages", 0);
	prepare(&cold, "cold code, from the top", 1);
	prepare(&trampoline, "trampolines", 0);
	LH_TRY(place(&tree, &runtime, 100, 0, LH_LOWEST_FIRST));
	LH_TRY(place(&tree, &hot, 2 * huge_page, huge_page, LH_LOWEST_FIRST));
	LH_TRY(place(&tree, &cold, 3000, 0, LH_HIGHEST_FIRST));
	LH_TRY(place(&tree, &trampoline, 411, 0, LH_LOWEST_FIRST)); /* the hole, to the page */
	print_map(&tree, "placed:");

	found = (struct code *)lh_region_tree_find(&tree, lh_virtual(UINT64_C(0x7f0000234567)));
	printf("0x7f0000234567 lies in: %s\n", found ? found->name : "nothing");

	/* What is taken is refused, and says so. */
	lh_region_tree_remove(&tree, &trampoline.region);
	printf("on top of the runtime: %s\n",
	       lh_error_string(lh_region_tree_place_specifically(&tree, &trampoline.region,
								 runtime.region.range)));
	printf("20000 pages of 16384: %s\n",
	       lh_error_string(place(&tree, &trampoline, 20000, 0, LH_LOWEST_FIRST)));
	print_map(&tree, "without trampolines:");
	return LH_OK;
}

int main(void)
{
	lh_error error = run();

	if (error != LH_OK)
		fprintf(stderr, "ranges: %s\n", lh_error_string(error));
	return error != LH_OK;
}
