/* SPDX-License-Identifier: BSD-2-Clause */
/* Each field that the walker recomputes, made wrong. */
#include "heap/room.h"

#define CHECK_FINDS(field, wrong)                                                  \
	do {                                                                       \
		__typeof__(field) right_ = (field);                                \
		(field) = (__typeof__(field))(wrong);                              \
		CHECK(lh_heap_check(&heap) != NULL);                               \
		(field) = right_;                                                  \
		CHECK_SOUND(lh_heap_check(&heap));                                 \
	} while (0)

static struct lh_heap_run *run_of(size_t index)
{
	return RUN_OF(lh_region_tree_find(&heap.runs, blocks[index].address));
}

static struct lh_heap_run *begin_with_one_of_each(void)
{
	begin(1000, 0);
	CHECK_OK(allocate(3000, 0, false));
	release(0);
	lh_heap_fronts_drain(&heap);
	CHECK_OK(allocate(64, 0, false));
	CHECK_OK(allocate(50000, 0, false));
	for (unsigned list = 0; list < LH_HEAP_SPARE_LISTS; list++)
		if (heap.spare[0][list])
			return heap.spare[0][list];
	return NULL;
}

TEST(the_walker_of_a_heap_finds_each_corrupted_field)
{
	struct lh_heap_run *spare = begin_with_one_of_each(), *slab = run_of(0), *large = run_of(1);
	uint32_t class_64 = lh_heap_class_for(64, 16);
	uint64_t index = (blocks[0].address.value - slab->base) / 64;
	uint64_t page = (blocks[1].address.value - heap.base) >> LH_PAGE_SHIFT;
	struct lh_heap_leaf *leaf = lh_heap_leaf_of(&heap, page);

	CHECK(spare != NULL);
	CHECK(slab->size_class == class_64 && large->size_class == LARGE);
	CHECK_FINDS(heap.run_count, 7);
	CHECK_FINDS(heap.page_count, 7);
	CHECK_FINDS(heap.large_items, 2);
	CHECK_FINDS(heap.large_bytes, 2);
	CHECK_FINDS(heap.spare_pages, 7);
	CHECK_FINDS(heap.live_pages, 7);
	CHECK_FINDS(heap.parts[0].taken[class_64], 0);
	CHECK_FINDS(heap.parts[0].taken[0], 1);
	CHECK_FINDS(heap.parts[1].taken[class_64], 1);
	CHECK_FINDS(heap.parts[1].partial[class_64], slab);
	CHECK_FINDS(heap.spare[1][lh_heap_spare_list(spare)], spare);
	CHECK_FINDS(heap.parts[0].partial[class_64], NULL);
	CHECK_FINDS(heap.parts[0].partial[class_64], large);
	CHECK_FINDS(heap.parts[0].partial[0], slab);
	CHECK_FINDS(heap.spare[0][lh_heap_spare_list(spare)], NULL);
	CHECK_FINDS(heap.spare[0][0], spare);
	CHECK_FINDS(heap.fronts[0]->stacks[class_64].top, heap.fronts[0]->stacks[class_64].bottom);
	CHECK_FINDS(slab->taken, 2);
	CHECK_FINDS(slab->states[index], FREE);
	CHECK_FINDS(slab->states[index], FRONT);
	CHECK_FINDS(slab->states[index], 9);
	CHECK_FINDS(slab->next, slab);
	CHECK_FINDS(slab->previous, large);
	CHECK_FINDS(slab->size_class, class_64 + 1);
	CHECK_FINDS(slab->size, 80);
	CHECK_FINDS(slab->items, 127);
	CHECK_FINDS(slab->inverse, slab->inverse + 1);
	CHECK_FINDS(slab->live, false);
	CHECK_FINDS(slab->part, 1);
	CHECK_FINDS(slab->part, LH_HEAP_PARTS);
	CHECK_FINDS(slab->base, 0);
	CHECK_FINDS(large->taken, 0);
	CHECK_FINDS(large->size, 50000);
	CHECK_FINDS(large->size_class, LARGE + 1);
	CHECK_FINDS(large->inverse, 0);
	CHECK_FINDS(large->region.version, large->region.version + 1);
	CHECK_FINDS(large->region.guard_after, 0);
	CHECK_FINDS(spare->taken, 1);
	CHECK_FINDS(spare->live, true);
	CHECK_FINDS(spare->part, 1);
	CHECK_FINDS(leaf->runs[page % MAP_ENTRIES], slab);
	CHECK_FINDS(leaf->runs[page % MAP_ENTRIES], NULL);
	CHECK_FINDS(leaf->bytes[page % MAP_ENTRIES], NULL);
	CHECK_FINDS(heap.map.frames_and_used[0], heap.map.frames_and_used[0] + 1);
	CHECK_FINDS(heap.pools[0].own.in_use, 1);
	check_all_returned();
	end();
}

/* A slab of 80 bytes has 102 items: the states up to the next eighth are never free. */
TEST(the_walker_of_a_heap_finds_an_item_beyond_the_last)
{
	struct lh_heap_run *slab;

	begin(1000, 0);
	CHECK_OK(allocate(80, 0, false));
	slab = run_of(0);
	CHECK_FINDS(slab->states[slab->items], FREE);
	CHECK_FINDS(slab->states[slab->items], GIVEN);
	check_all_returned();
	end();
}
