/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The life of runs. The heap's lock is let go before the memory manager is called: the run
 * is in the tree and nobody else knows it, so its range is safe without the lock, and a
 * flush on its way out waits for other CPUs while they may use the heap. Runs that end together are
 * decommitted together, with one flush.
 *
 * A run keeps a guard page behind it; the first page of the reservation is never used. A large run keeps
 * half its own size free behind it when it is placed, so that it can grow without moving; but only while
 * addresses cost little, less than a part of the reservation being in runs, and until they have run
 * out. Who grows into that room keeps one page.
 */
#include "heap/heap_internal.h"

#include "base/memory.h"

#define ENDED_AT_A_TIME 16
#define ROOMY_PART 4

static const uint32_t rooms[ROOM_KINDS] = ROOMS;

/* The pool as well. */
unsigned lh_heap_room_kind(uint64_t states)
{
	return states <= rooms[0] ? 0 : states <= rooms[1] ? 1 : 2;
}

bool lh_heap_run_fits(const struct lh_heap_run *run, uint32_t size_class)
{
	uint64_t pages = run->region.range.pages;

	uint64_t items = lh_heap_class_items(size_class, pages);

	return pages >= lh_heap_class_pages(size_class) && pages <= SLAB_PAGES_MOST && run->room > items &&
	       (!run->records || items <= RECORDS_MOST);
}

uint32_t lh_heap_inverse(uint32_t size_class, uint64_t size)
{
	if (size_class == LARGE)
		return size >> 32 == 0;
	return (uint32_t)((UINT64_C(1) << 32) / size + 1);
}

static void set_item_size(struct lh_heap_run *run, uint64_t size)
{
	run->size = size;
	run->inverse = lh_heap_inverse(run->size_class, size);
}

/* States beyond the last item are not FREE, so a search by words does not find them; nor GIVEN, so what is
 * left of a slab is nobody's block. */
void lh_heap_run_shape(struct lh_heap_run *run, uint32_t size_class)
{
	uint64_t items = lh_heap_class_items(size_class, run->region.range.pages);

	run->size_class = (uint16_t)size_class;
	run->items = (uint16_t)items;
	set_item_size(run, size_class == LARGE ? run->region.range.pages << LH_PAGE_SHIFT
					       : lh_heap_class_size(size_class));
	memset(run->states, FREE, items);
	memset(run->states + items, NONE, 8 - items % 8);
}

/* An empty run shall serve most classes of as many pages: it has room for more than its own. */
static struct lh_heap_run *take_descriptor(lh_heap *heap, const struct lh_heap_shape *shape)
{
	uint64_t items = lh_heap_class_items(shape->size_class, shape->pages);
	unsigned pool = lh_heap_room_kind(shape->pages == SLAB_PAGES_LEAST && items < rooms[1] ? rooms[1] : items + 1);
	struct lh_heap_run *run;
	void *item;

	if (lh_pool_take(&heap->pools[pool], &item) != LH_OK)
		return NULL;
	run = item;
	lh_region_init(&run->region, LH_BACKING_NONE, LH_RIGHT_NONE, 0);
	run->next = run->previous = NULL;
	run->taken = 0;
	run->room = (uint16_t)rooms[pool];
	run->live = false;
	run->is_zero = shape->is_zero;
	run->part = 0;
	run->records = NULL;
	return run;
}

static void give_descriptor_back(lh_heap *heap, struct lh_heap_run *run)
{
	lh_heap_records_give_back(heap, run);
	lh_pool_give_back(&heap->pools[lh_heap_room_kind(run->room)], run);
}

/* Large runs no longer keep room to grow into. => true: there was some */
static bool give_room_up_locked(lh_heap *heap)
{
	bool had_room = heap->has_room;

	heap->has_room = false;
	for (lh_region *region = lh_region_tree_first(&heap->runs); had_room && region;
	     region = lh_region_tree_next(region)) {
		if (region->guard_after == 1)
			continue;
		region->guard_after = 1;
		LH_REQUIRE(lh_heap_port(heap),
			   lh_region_tree_resize(&heap->runs, region, region->range) == LH_OK);
	}
	return had_room;
}

/* The pages of a class are fixed; a large run's are not, and it keeps room to grow. */
static lh_error place_locked(lh_heap *heap, struct lh_heap_run *run, lh_placement *placement,
			     uint32_t size_class)
{
	bool is_roomy = heap->page_count < heap->pages / ROOMY_PART;
	lh_error error = LH_NO_HOLE;

	if (size_class == LARGE && is_roomy && placement->pages < UINT32_MAX) {
		run->region.guard_after = (uint32_t)(1 + placement->pages / 2);
		error = lh_region_tree_place_anywhere(&heap->runs, &run->region, placement);
		heap->has_room = heap->has_room || error == LH_OK;
	}
	if (error != LH_OK) {
		run->region.guard_after = 1;
		error = lh_region_tree_place_anywhere(&heap->runs, &run->region, placement);
	}
	if (error == LH_NO_HOLE && give_room_up_locked(heap))
		error = lh_region_tree_place_anywhere(&heap->runs, &run->region, placement);
	/* More than the reservation could ever hold is the same to who asked. */
	return error == LH_INVALID ? LH_NO_HOLE : error;
}

static lh_error enter(lh_heap *heap, struct lh_heap_run *run, const struct lh_heap_shape *shape)
{
	lh_placement placement = { .pages = shape->pages, .alignment = shape->alignment };
	lh_port *port = lh_heap_port(heap);
	uintptr_t interrupts = lh_spin_lock(&heap->lock, LH_LOCK_HEAP, port);
	lh_error error = place_locked(heap, run, &placement, shape->size_class);

	if (error == LH_OK) {
		error = lh_heap_map_hold_locked(heap, run->region.range);
		if (error != LH_OK)
			lh_region_tree_remove(&heap->runs, &run->region);
	}
	if (error == LH_OK) {
		run->base = run->region.range.base.value;
		heap->run_count++;
		heap->page_count += shape->pages;
	}
	lh_spin_unlock(&heap->lock, LH_LOCK_HEAP, port, interrupts);
	return error;
}

/* => the run's pages are decommitted. */
static void leave(lh_heap *heap, struct lh_heap_run *run)
{
	lh_port *port = lh_heap_port(heap);
	uintptr_t interrupts = lh_spin_lock(&heap->lock, LH_LOCK_HEAP, port);

	lh_heap_map_release_locked(heap, run->region.range);
	lh_region_tree_remove(&heap->runs, &run->region);
	heap->run_count--;
	heap->page_count -= run->region.range.pages;
	lh_spin_unlock(&heap->lock, LH_LOCK_HEAP, port, interrupts);
}

static lh_error make_in(lh_heap *heap, struct lh_heap_run *run, const struct lh_heap_shape *shape)
{
	lh_error error;

	LH_TRY(enter(heap, run, shape));
	lh_heap_run_shape(run, shape->size_class);
	error = lh_heap_records_take(heap, run);
	if (error == LH_OK)
		error = lh_manager_commit_as(heap->manager, &heap->region, run->region.range,
					     HEAP_RIGHTS, shape->is_zero);
	if (error == LH_OK)
		lh_heap_map_enter(heap, run, 0);
	else
		leave(heap, run);
	return error;
}

lh_error lh_heap_run_make(lh_heap *heap, const struct lh_heap_shape *shape, struct lh_heap_run **made)
{
	struct lh_heap_run *run = take_descriptor(heap, shape);
	lh_error error;

	if (!run)
		return LH_NO_MEMORY;
	error = make_in(heap, run, shape);
	if (error == LH_OK)
		*made = run;
	else
		give_descriptor_back(heap, run);
	return error;
}

/* => how many of the runs, from the first on, one flush has done for. */
static unsigned decommit_some(lh_heap *heap, const struct lh_heap_run *runs)
{
	lh_virtual_range ranges[ENDED_AT_A_TIME];
	unsigned count = 0;

	for (; runs && count < ENDED_AT_A_TIME; runs = runs->next) {
		LH_ASSERT(lh_heap_port(heap), !runs->live && runs->taken == 0);
		ranges[count++] = runs->region.range;
	}
	lh_manager_decommit_each(heap->manager, &heap->region, ranges, count);
	return count;
}

uint64_t lh_heap_runs_end(lh_heap *heap, struct lh_heap_run *runs)
{
	uint64_t pages = 0;

	while (runs) {
		for (unsigned count = decommit_some(heap, runs); count != 0; count--) {
			struct lh_heap_run *run = runs;

			runs = run->next;
			pages += run->region.range.pages;
			leave(heap, run);
			give_descriptor_back(heap, run);
		}
	}
	return pages;
}

/* --- large runs that change their size. => the run is the caller's, GIVEN --- */

/* Into the room behind it. The tree looks at a guard when a range is set: so the guard is set first. */
static lh_error stretch_locked(lh_heap *heap, struct lh_heap_run *run, uint64_t pages)
{
	lh_virtual_range before = run->region.range, range = { before.base, pages };
	lh_virtual_range more = { lh_virtual_range_page(range, before.pages), pages - before.pages };
	uint32_t guard = run->region.guard_after;
	lh_error error;

	run->region.guard_after = 1;
	error = lh_region_tree_resize(&heap->runs, &run->region, range);
	if (error == LH_OK) {
		error = lh_heap_map_hold_locked(heap, more);
		if (error == LH_OK) {
			heap->page_count += more.pages;
			return LH_OK;
		}
		run->region.guard_after = guard;
		LH_REQUIRE(lh_heap_port(heap),
			   lh_region_tree_resize(&heap->runs, &run->region, before) == LH_OK);
	}
	run->region.guard_after = guard;
	return error;
}

static lh_error stretch(lh_heap *heap, struct lh_heap_run *run, uint64_t pages)
{
	lh_port *port = lh_heap_port(heap);
	uintptr_t interrupts = lh_spin_lock(&heap->lock, LH_LOCK_HEAP, port);
	lh_error error = stretch_locked(heap, run, pages);

	lh_spin_unlock(&heap->lock, LH_LOCK_HEAP, port, interrupts);
	return error;
}

/* => the pages given up are decommitted, or never were committed. */
static void shrink(lh_heap *heap, struct lh_heap_run *run, uint64_t pages)
{
	lh_port *port = lh_heap_port(heap);
	uintptr_t interrupts = lh_spin_lock(&heap->lock, LH_LOCK_HEAP, port);
	lh_virtual_range range = run->region.range, less = { lh_virtual_range_page(range, pages),
							     range.pages - pages };

	lh_heap_map_release_locked(heap, less);
	range.pages = pages;
	LH_REQUIRE(port, lh_region_tree_resize(&heap->runs, &run->region, range) == LH_OK);
	heap->page_count -= less.pages;
	lh_spin_unlock(&heap->lock, LH_LOCK_HEAP, port, interrupts);
}

static void set_size(lh_heap *heap, struct lh_heap_run *run, uint64_t size)
{
	lh_port *port = lh_heap_port(heap);
	uintptr_t interrupts = lh_spin_lock(&heap->lock, LH_LOCK_HEAP, port);

	heap->large_bytes += size - run->size;
	lh_heap_live_add(heap, (size >> LH_PAGE_SHIFT) - (run->size >> LH_PAGE_SHIFT));
	set_item_size(run, size);
	lh_spin_unlock(&heap->lock, LH_LOCK_HEAP, port, interrupts);
}

lh_error lh_heap_run_resize(lh_heap *heap, struct lh_heap_run *run, uint64_t pages)
{
	uint64_t before = run->region.range.pages;
	lh_virtual_range rest;
	lh_error error;

	if (pages <= before) {
		set_size(heap, run, pages << LH_PAGE_SHIFT);
		if (pages == before)
			return LH_OK;
		rest = (lh_virtual_range){ lh_virtual_range_page(run->region.range, pages),
					   before - pages };
		lh_manager_decommit(heap->manager, &heap->region, rest);
		shrink(heap, run, pages);
		return LH_OK;
	}
	LH_TRY(stretch(heap, run, pages));
	rest = (lh_virtual_range){ lh_virtual_range_page(run->region.range, before), pages - before };
	error = lh_manager_commit_as(heap->manager, &heap->region, rest, HEAP_RIGHTS, false);
	if (error != LH_OK) {
		shrink(heap, run, before);
		return error;
	}
	lh_heap_map_enter(heap, run, before);
	set_size(heap, run, pages << LH_PAGE_SHIFT);
	return LH_OK;
}
