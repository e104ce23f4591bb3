/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The region tree alone: who gets which part of an address range. Here a just-in-time
 * compiler hands out its code range, and a driver the addresses that a device sees through
 * an IOMMU (a GPU's go the same way). Links with src/base and src/region, and needs no port:
 * nothing is mapped, nothing allocated; the nodes are members of what they stand for.
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

static lh_error run_code_range(void)
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

/* --- a device's addresses --- */

/* A buffer that the device may reach: at which of its addresses? */
struct buffer {
	lh_region region; /* first */
	const char *name;
};

static void print_window(const lh_region_tree *window, const char *title)
{
	lh_region_walk walk; /* O(1) a step */
	const lh_region *r = lh_region_walk_first(&walk, window);

	printf("%s\n", title);
	for (; r; r = lh_region_walk_next(&walk))
		printf("  %#010" PRIx64 "-%#010" PRIx64 " %5" PRIu64 " pages  %s\n",
		       r->range.base.value, lh_virtual_range_last(r->range).value, r->range.pages,
		       ((const struct buffer *)r)->name);
}

/* A kernel would give its own. This one is Knuth's, so that the example always prints the same. */
static uint64_t next_random(void *state)
{
	uint64_t *random = state;

	*random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *random ^ *random >> 32;
}

/* The window is what is left below 4 GiB for a device that knows no more; a piece of it is the
 * interrupt controller's, so it is reserved: a region like the others, that nobody is placed over. */
static lh_error run_device_window(void)
{
	static struct buffer interrupts = { .name = "interrupts (reserved)" }, ring = { .name = "ring" },
			     frame = { .name = "frame buffer" }, texture = { .name = "texture" },
			     upper = { .name = "interrupts (rest of the reservation)" };
	lh_placement near = { .pages = 4, .direction = LH_NEAREST_FIRST };
	lh_placement huge = { .pages = 2 * huge_page, .alignment = huge_page };
	lh_placement anywhere = { .pages = 64 };
	lh_virtual_range range, reserved, hole;
	lh_region_tree window;
	uint64_t seed = 1;

	LH_TRY(lh_virtual_range_make(lh_virtual(0x100000), 0xfff00, &range));
	LH_TRY(lh_virtual_range_make(lh_virtual(0xfee00000), 256, &reserved));
	LH_TRY(lh_virtual_range_make(lh_virtual(0xfee10000), 32, &hole));
	LH_TRY(lh_region_tree_init(&window, range));

	lh_region_init(&interrupts.region, LH_BACKING_NONE, LH_RIGHT_NONE, 0);
	LH_TRY(lh_region_tree_place_specifically(&window, &interrupts.region, reserved));
	lh_region_init(&ring.region, LH_BACKING_NONE, LH_RIGHT_READ, 0);
	near.hint = lh_virtual(0xfee02000); /* as near as it gets */
	LH_TRY(lh_region_tree_place_anywhere(&window, &ring.region, &near));
	lh_region_init(&frame.region, LH_BACKING_NONE, LH_RIGHT_READ, 0);
	LH_TRY(lh_region_tree_place_anywhere(&window, &frame.region, &huge));
	/* Where a device that was taken over would not guess; each slot is as likely as each other. */
	lh_region_init(&texture.region, LH_BACKING_NONE, LH_RIGHT_READ, 0);
	texture.region.guard_before = texture.region.guard_after = 1;
	LH_TRY(lh_region_tree_place_randomly(&window, &texture.region, &anywhere, next_random, &seed));
	print_window(&window, "a device's window:");

	/* A reservation can be carved up, by whom it belongs to. */
	lh_region_init(&upper.region, LH_BACKING_NONE, LH_RIGHT_NONE, 0);
	lh_region_tree_punch(&window, &interrupts.region, hole, &upper.region);
	lh_region_tree_remove(&window, &ring.region);
	lh_region_init(&ring.region, LH_BACKING_NONE, LH_RIGHT_READ, 0);
	near.hint = hole.base;
	LH_TRY(lh_region_tree_place_anywhere(&window, &ring.region, &near));
	print_window(&window, "with a hole in the reservation:");
	return LH_OK;
}

static lh_error run(void)
{
	LH_TRY(run_code_range());
	return run_device_window();
}

int main(void)
{
	lh_error error = run();

	if (error != LH_OK)
		fprintf(stderr, "ranges: %s\n", lh_error_string(error));
	return error != LH_OK;
}
