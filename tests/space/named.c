/* SPDX-License-Identifier: BSD-2-Clause */
/* Mistakes that kernels really made, by their numbers in the project's list; and those made here. */
#include <stddef.h>
#include <string.h>

#include "adversary.h"
#include "space/space.h"
#include "world/file.h"
#include "world/injection.h"
#include "world/walkers.h"

/* --- A8, A16: clear, flush, then unlink and free --- */

struct watching {
	test_world *world;
	lh_frame_number frame;
	uint64_t page;
	unsigned flushes;
	bool linked, held;
};

static void watch(void *context, unsigned cpu, lh_virtual_range range)
{
	struct watching *watching = context;
	lh_virtual_address address = lh_virtual(world_page(watching->world, watching->page));
	const lh_region *region =
		lh_region_tree_find(&watching->world->space[0]->tree, address);

	(void)cpu;
	if (!lh_virtual_range_contains(range, address))
		return;
	watching->flushes++;
	watching->linked &= region != NULL && region->tag == 0;
	watching->held &= world_holders(watching->world, watching->frame) != 0;
}

static void begin_watching(test_world *world, struct watching *watching, uint64_t page)
{
	world_load(world, 0, 0);
	world_load(world, 1, 0);
	world_poke(world, 0, world_page(world, page), 1);
	CHECK_EQUAL(world_access(world, 1, 0, world_page(world, page), MMU_READ, &(uint64_t){ 0 }, 8),
		    LH_FAULT_OK);
	*watching = (struct watching){ world, world_frame(world, 0, page), page, 0, true, true };
	world->machine->hooks.context = watching;
	world->machine->hooks.flush = watch;
}

static void end_watching(struct watching *watching)
{
	watching->world->machine->hooks.flush = NULL;
	CHECK_EQUAL(watching->flushes, 2);
	CHECK(watching->linked && watching->held);
	world_check(watching->world);
}

TEST(a8_a_region_keeps_its_place_until_no_cpu_can_reach_its_pages)
{
	test_world world;
	struct watching watching;
	lh_virtual_range placed;
	lh_map_request over = { .where = LH_OVER, .pages = 2, .rights = READ_WRITE, .tag = 1 };

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	world_map(&world, 0, 20, 6, READ_WRITE);
	begin_watching(&world, &watching, 22);
	world_unmap(&world, 0, 20, 6);
	end_watching(&watching);
	CHECK_EQUAL(lh_frame_entry_of(world.frames, watching.frame)->state, LH_FRAME_FREE);

	/* Mapping over: the new region is not there before the old pages are gone. */
	world_map(&world, 0, 20, 6, READ_WRITE);
	begin_watching(&world, &watching, 22);
	over.address = lh_virtual(world_page(&world, 22));
	CHECK_OK(lh_space_map(world.space[0], &over, &placed));
	end_watching(&watching);
	world_close(&world);
}

TEST(a16_pages_that_are_discarded_or_truncated_are_flushed_before_they_are_freed)
{
	test_world world;
	struct watching watching;
	lh_object *object;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	world_map(&world, 0, 20, 6, READ_WRITE);
	begin_watching(&world, &watching, 22);
	CHECK_OK(lh_space_discard(world.space[0], world_range(&world, 20, 6)));
	end_watching(&watching);

	object = world_object(&world, 6 * PAGE, false);
	world_map_object(&world, 0, 40, 6, READ_WRITE, LH_REGION_SHARED, object, 0);
	begin_watching(&world, &watching, 42);
	CHECK_OK(lh_object_resize(object, PAGE));
	end_watching(&watching);
	CHECK_EQUAL(lh_frame_entry_of(world.frames, watching.frame)->state, LH_FRAME_FREE);
	lh_object_drop(object);
	world_close(&world);
}

/* --- A9: nothing reaches a heap --- */

extern int __sanitizer_install_malloc_and_free_hooks(void (*allocated)(const volatile void *, size_t),
						     void (*freed)(const volatile void *))
	__attribute__((weak));

static bool counting;
static unsigned allocations;

static void allocated(const volatile void *pointer, size_t size)
{
	(void)pointer;
	(void)size;
	allocations += counting;
}

static void freed(const volatile void *pointer)
{
	(void)pointer;
}

TEST(a9_no_operation_reaches_a_heap)
{
	test_world world;
	static bool installed;
	lh_region kernel = { 0 };
	lh_kernel_request request = { .placement = { .pages = 600 }, .rights = READ_WRITE };
	lh_object_setup setup = { .kind = LH_OBJECT_ANONYMOUS, .size = 64 * PAGE };
	lh_object *object;

	world_open(&world, &(world_setup){ .frames = 4000 });
	world_make(&world, 0);
	world_make(&world, 1);
	if (__sanitizer_install_malloc_and_free_hooks && !installed)
		installed = __sanitizer_install_malloc_and_free_hooks(allocated, freed) != 0;
	/* The adversary is the machine's, and has a heap. */
	machine_watch(world.machine, NULL, NULL);
	counting = true;
	CHECK_OK(lh_manager_map(world.manager, &kernel, &request));
	CHECK_OK(lh_object_create(world.manager, &setup, &object));
	world_map(&world, 0, 0, 600, READ_WRITE);
	world_map_object(&world, 0, 700, 64, READ_WRITE, LH_REGION_SHARED, object, 0);
	for (uint64_t page = 0; page < 750; page += 50)
		CHECK(lh_space_fault(world.space[0], lh_virtual(world_page(&world, page)), WRITE) ==
		      (page < 600 || page >= 700 ? LH_FAULT_OK : LH_FAULT_NOT_MAPPED));
	CHECK_OK(lh_space_fork(world.space[0], world.space[1]));
	CHECK_OK(lh_space_protect(world.space[0], world_range(&world, 5, 500), READ));
	CHECK_OK(lh_space_unmap(world.space[0], world_range(&world, 100, 100)));
	lh_object_drop(object);
	lh_manager_unmap(world.manager, &kernel);
	counting = false;
	CHECK_EQUAL(allocations, 0);
	world_check(&world);
	world_close(&world);
}

/* --- A10: prefixes; those of the manager are tested with it --- */

TEST(a10_a_space_without_a_root_is_nothing)
{
	test_world world;
	_Alignas(16) char memory[4096];
	lh_space *space = NULL;

	world_open(&world, &(world_setup){ 0 });
	CHECK(lh_space_size() <= sizeof memory);
	lh_frames_fail_at(world.frames, 1);
	CHECK_ERROR(lh_space_create(world.manager, NULL, memory, &space), LH_NO_MEMORY);
	lh_frames_fail_at(world.frames, 0);
	CHECK(space == NULL);
	lh_space_destroy(space);
	CHECK_EQUAL(world_statistics(&world).spaces, 0);
	world_close(&world);
}

/* --- A11: ranges that cross regions --- */

static bool is_mapped(test_world *world, uint64_t page)
{
	lh_region_info info;
	lh_virtual_address address = lh_virtual(world_page(world, page));

	return lh_space_query(world->space[0], address, &info) == LH_OK &&
	       lh_virtual_range_contains(info.range, address);
}

TEST(a11_unmap_takes_every_page_of_a_range_that_crosses_regions)
{
	test_world world;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	world_map(&world, 0, 1, 3, READ_WRITE);
	world_map(&world, 0, 4, 2, READ);
	for (uint64_t page = 1; page < 4; page++)
		world_poke(&world, 0, world_page(&world, page), page);
	world_unmap(&world, 0, 3, 2);
	CHECK(is_mapped(&world, 1) && is_mapped(&world, 2) && is_mapped(&world, 5));
	CHECK(!is_mapped(&world, 3) && !is_mapped(&world, 4));
	world_check(&world);
	/* A range that begins below the lowest region, and one that ends above the highest. */
	world_unmap(&world, 0, 0, 2);
	CHECK(!is_mapped(&world, 1) && is_mapped(&world, 2));
	world_unmap(&world, 0, 2, WORLD_USER_PAGES - 2);
	CHECK_EQUAL(world_counters(&world, 0).regions, 0);
	world_close(&world);
}

/* --- A12, A13, A14: failure leaves all as it was --- */

TEST(a12_a_split_that_finds_no_region_loses_no_mapping)
{
	test_world world;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	world_map(&world, 0, 10, 10, READ_WRITE);
	for (uint64_t page = 10; page < 20; page++)
		world_poke(&world, 0, world_page(&world, page), page);
	lh_frames_fail_at(world.frames, 1);
	CHECK_ERROR(lh_space_unmap(world.space[0], world_range(&world, 14, 2)), LH_NO_MEMORY);
	for (uint64_t step = 1; step <= 2; step++) {
		lh_frames_fail_at(world.frames, step);
		CHECK_ERROR(lh_space_protect(world.space[0], world_range(&world, 14, 2), READ),
			    LH_NO_MEMORY);
	}
	lh_frames_fail_at(world.frames, 0);
	CHECK_EQUAL(world_counters(&world, 0).regions, 1);
	for (uint64_t page = 10; page < 20; page++) {
		CHECK_EQUAL(world_peek(&world, 0, world_page(&world, page)), page);
		world_poke(&world, 0, world_page(&world, page), page + 1);
	}
	world_check(&world);
	world_close(&world);
}

TEST(a13_protect_needs_no_tables)
{
	test_world world;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	world_map(&world, 0, 10, 10, READ_WRITE);
	CHECK_OK(lh_space_protect(world.space[0], world_range(&world, 10, 10), READ));
	CHECK_OK(lh_space_protect(world.space[0], world_range(&world, 12, 3), LH_RIGHT_NONE));
	CHECK_ERROR(lh_space_protect(world.space[0], world_range(&world, 8, 3), READ), LH_NOT_MAPPED);
	CHECK_ERROR(lh_space_protect(world.space[0], world_range(&world, 19, 2), READ), LH_NOT_MAPPED);
	CHECK_ERROR(lh_space_protect(world.space[0], world_range(&world, 10, 1), 8), LH_INVALID);
	CHECK_EQUAL(world_counters(&world, 0).tables, 1);
	world_check(&world);
	world_close(&world);
}

TEST(a14_a_map_that_fails_leaves_nothing_in_the_tree)
{
	test_world world;
	lh_map_request request = { .pages = 1024, .rights = READ_WRITE };
	lh_virtual_range placed;
	lh_object *object;

	world_open(&world, &(world_setup){ .frames = 1024 });
	world_make(&world, 0);
	CHECK_ERROR(lh_space_map(world.space[0], &request, &placed), LH_NO_MEMORY);
	object = world_object(&world, PAGE, false);
	request = (lh_map_request){ .where = LH_AT, .pages = 1, .rights = READ, .object = object,
				    .address = world.user.base };
	world_map(&world, 0, 0, 1, READ);
	CHECK_ERROR(lh_space_map(world.space[0], &request, &placed), LH_EXISTS);
	CHECK(object->regions == NULL);
	CHECK_EQUAL(world_counters(&world, 0).regions, 1);
	CHECK_EQUAL(world_statistics(&world).user_regions, 1);
	lh_object_drop(object);
	world_check(&world);
	world_close(&world);
}

/* --- A15: tables return --- */

TEST(a15_tables_return_from_what_became_inaccessible)
{
	test_world world;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	world_map(&world, 0, 0, WORLD_USER_PAGES, READ_WRITE);
	for (uint64_t page = 0; page < WORLD_USER_PAGES; page += 100)
		world_poke(&world, 0, world_page(&world, page), page);
	CHECK_OK(lh_space_protect(world.space[0], world.user, LH_RIGHT_NONE));
	CHECK_EQUAL(world_counters(&world, 0).resident, 11);
	world_check(&world);
	world_destroy(&world, 0);
	CHECK_EQUAL(world_frame_counters(&world).free, world.free_empty);
	CHECK_EQUAL(world_frame_counters(&world).used[LH_FRAME_TABLE], world_kernel_tables(&world));
	world_close(&world);
}

/* --- A20: charges --- */

TEST(a20_each_page_is_charged_once_for_each_space_that_may_write_it)
{
	test_world world;
	lh_frame_counters counters;

	world_open(&world, &(world_setup){ 0 });
	for (unsigned n = 0; n < 3; n++)
		world_make(&world, n);
	world_map(&world, 0, 10, 10, READ_WRITE);
	world_map(&world, 0, 30, 10, READ);
	for (uint64_t page = 10; page < 16; page++)
		world_poke(&world, 0, world_page(&world, page), page);
	counters = world_frame_counters(&world);
	CHECK_EQUAL(counters.committed, 10);
	CHECK_EQUAL(counters.charged_in_use, 6);
	CHECK_OK(lh_space_fork(world.space[0], world.space[1]));
	CHECK_OK(lh_space_fork(world.space[1], world.space[2]));
	CHECK_EQUAL(world_frame_counters(&world).committed, 30);
	CHECK_EQUAL(world_frame_counters(&world).charged_in_use, 6);
	for (unsigned n = 0; n < 3; n++)
		for (uint64_t page = 10; page < 20; page++)
			world_poke(&world, n, world_page(&world, page), n);
	counters = world_frame_counters(&world);
	CHECK_EQUAL(counters.committed, 30);
	CHECK_EQUAL(counters.charged_in_use, 30);
	CHECK_EQUAL(counters.used[LH_FRAME_ANONYMOUS], 30);
	world_destroy(&world, 1);
	world_unmap(&world, 0, 12, 2);
	CHECK_OK(lh_space_discard(world.space[2], world_range(&world, 10, 10)));
	counters = world_frame_counters(&world);
	CHECK_EQUAL(counters.committed, 18);
	CHECK_EQUAL(counters.charged_in_use, 8);
	/* Reading is not charged until it may become writing; then it stays charged. */
	CHECK_OK(lh_space_protect(world.space[0], world_range(&world, 33, 4), READ_WRITE));
	CHECK_EQUAL(world_frame_counters(&world).committed, 22);
	CHECK_OK(lh_space_protect(world.space[0], world_range(&world, 33, 4), READ));
	CHECK_OK(lh_space_protect(world.space[0], world_range(&world, 33, 4), READ_WRITE));
	CHECK_EQUAL(world_frame_counters(&world).committed, 22);
	world_check(&world);
	world_close(&world);
}

TEST(what_was_promised_can_be_written_when_nothing_else_is_left)
{
	test_world world;
	lh_map_request more = { .pages = 1, .rights = READ_WRITE };
	lh_virtual_range placed;
	lh_frame_number frame;

	world_open(&world, &(world_setup){ .frames = 1024 });
	world_make(&world, 0);
	world_make(&world, 1);
	world_map(&world, 0, 24, 200, READ_WRITE);
	/* One page each, for the table is not part of the promise. */
	world_poke(&world, 0, world_page(&world, 24), 1);
	CHECK_OK(lh_space_fork(world.space[0], world.space[1]));
	while (lh_frame_allocate(world.frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &frame) == LH_OK)
		lh_frame_entry_of(world.frames, frame)->word = 1;
	CHECK_ERROR(lh_space_map(world.space[0], &more, &placed), LH_NO_MEMORY);
	for (unsigned n = 0; n < 2; n++)
		for (uint64_t page = 24; page < 224; page++)
			world_poke(&world, n, world_page(&world, page), page + n);
	CHECK_EQUAL(world_frame_counters(&world).free, 0);
	/* Full as it is, whole regions can be unmapped; then there is room again. */
	world_unmap(&world, 0, 24, 100);
	CHECK_EQUAL(world_frame_counters(&world).free, 100);
	CHECK_OK(lh_space_map(world.space[0], &more, &placed));
	world_check(&world);
	for (uint64_t n = 0; n < 1024; n++) {
		const lh_frame_entry *entry = lh_frame_entry_of(world.frames, lh_frame(0x100 + n));

		if (entry && entry->state == LH_FRAME_KERNEL && entry->word == 1)
			lh_frame_drop(world.frames, lh_frame(0x100 + n));
	}
	world_close(&world);
}

/* --- A24, A25: files --- */

TEST(a24_private_pages_of_a_file_are_copied_after_a_fork_as_well)
{
	test_world world;
	world_file file;
	uint64_t page;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	world_make(&world, 1);
	world_file_open(&world, &file, 8 * PAGE);
	world_map_object(&world, 0, 30, 8, READ_WRITE, 0, file.object, 0);
	page = world_page(&world, 30);
	CHECK_EQUAL(world_peek(&world, 0, page), world_file_word(0, 0));
	world_poke(&world, 0, page + PAGE, 5);
	CHECK_OK(lh_space_fork(world.space[0], world.space[1]));
	world_poke(&world, 0, page, 6);
	world_poke(&world, 0, page + PAGE, 7);
	CHECK_EQUAL(world_peek(&world, 1, page), world_file_word(0, 0));
	CHECK_EQUAL(world_peek(&world, 1, page + PAGE), 5);
	CHECK_EQUAL(world_peek(&world, 1, page + PAGE + 8), world_file_word(1, 1));
	world_poke(&world, 1, page, 8);
	CHECK_EQUAL(world_peek(&world, 0, page), 6);
	world_check(&world);
	CHECK_OK(lh_object_sync(file.object, 0, 8));
	CHECK_EQUAL(file.writes, 0);
	world_unmap(&world, 0, 30, 8);
	world_unmap(&world, 1, 30, 8);
	world_file_close(&file);
	world_close(&world);
}

TEST(a25_a_shared_file_is_one_with_its_mappings_and_ends_where_it_ends)
{
	test_world world;
	world_file file;
	lh_frame_number frame;
	uint64_t a, b, value;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	world_make(&world, 1);
	world_file_open(&world, &file, 3 * PAGE + 16);
	world_map_object(&world, 0, 30, 8, READ_WRITE, LH_REGION_SHARED, file.object, 0);
	world_map_object(&world, 1, 50, 3, READ_WRITE, LH_REGION_SHARED, file.object, 2);
	world_map_object(&world, 1, 60, 8, READ_WRITE, 0, file.object, 0);
	a = world_page(&world, 30);
	b = world_page(&world, 50);
	/* A write through a mapping is read by another, and by read; and the reverse. */
	world_poke(&world, 0, a + 2 * PAGE, 1);
	CHECK_EQUAL(world_peek(&world, 1, b), 1);
	CHECK_OK(lh_object_hold_page(file.object, 2, WRITE, &frame));
	CHECK_EQUAL(*(uint64_t *)lh_frame_pointer(world.frames, frame), 1);
	*(uint64_t *)lh_frame_pointer(world.frames, frame) = 2;
	lh_frame_drop(world.frames, frame);
	CHECK_EQUAL(world_peek(&world, 0, a + 2 * PAGE), 2);
	CHECK_EQUAL(world_peek(&world, 1, world_page(&world, 62)), 2);
	/* The last page's rest is zeroes; past it is a bus error. */
	CHECK_EQUAL(world_peek(&world, 0, a + 3 * PAGE + 8), world_file_word(3, 1));
	CHECK_EQUAL(world_peek(&world, 0, a + 3 * PAGE + 16), 0);
	CHECK_EQUAL(world_read(&world, 0, a + 4 * PAGE, &value), LH_FAULT_BUS);
	CHECK_EQUAL(world_write(&world, 1, b + 2 * PAGE, 1), LH_FAULT_BUS);
	CHECK_EQUAL(world_write(&world, 1, world_page(&world, 64), 1), LH_FAULT_BUS);
	/* Truncation takes the pages from all spaces, private copies too. */
	world_poke(&world, 1, world_page(&world, 62), 3);
	world_poke(&world, 1, world_page(&world, 60), 4);
	CHECK_OK(lh_object_resize(file.object, PAGE));
	world_check(&world);
	CHECK_EQUAL(world_read(&world, 0, a + 2 * PAGE, &value), LH_FAULT_BUS);
	CHECK_EQUAL(world_read(&world, 1, b, &value), LH_FAULT_BUS);
	CHECK_EQUAL(world_read(&world, 1, world_page(&world, 62), &value), LH_FAULT_BUS);
	CHECK_EQUAL(world_peek(&world, 1, world_page(&world, 60)), 4);
	CHECK_EQUAL(world_peek(&world, 0, a), world_file_word(0, 0));
	memset(file.disk + PAGE, 0, 7 * PAGE);
	CHECK_OK(lh_object_resize(file.object, 8 * PAGE));
	CHECK_EQUAL(world_peek(&world, 0, a + 2 * PAGE), 0);
	CHECK_EQUAL(world_peek(&world, 1, world_page(&world, 62)), 0);
	world_check(&world);
	world_unmap(&world, 0, 30, 8);
	world_unmap(&world, 1, 50, 18);
	world_file_close(&file);
	world_close(&world);
}

TEST(a26_a_page_that_is_written_back_is_write_protected_everywhere)
{
	test_world world;
	world_file file;
	uint64_t a, b;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	world_make(&world, 1);
	world_file_open(&world, &file, 8 * PAGE);
	world_map_object(&world, 0, 30, 8, READ_WRITE, LH_REGION_SHARED, file.object, 0);
	world_map_object(&world, 1, 50, 8, READ_WRITE, LH_REGION_SHARED, file.object, 0);
	a = world_page(&world, 31);
	b = world_page(&world, 51);
	world_load(&world, 0, 0);
	world_load(&world, 1, 1);
	for (uint64_t round = 1; round < 4; round++) {
		CHECK_EQUAL(world_peek(&world, 1, b), round == 1 ? world_file_word(1, 0)
								 : 20 + round - 1);
		world_poke(&world, 0, a, 10 + round);
		world_poke(&world, 1, b, 20 + round);
		CHECK_EQUAL(world_leaf(&world, 0, 31).rights & WRITE, WRITE);
		CHECK_OK(lh_object_sync(file.object, 0, 8));
		CHECK_EQUAL(file.writes, round);
		CHECK_EQUAL(world_file_disk(&file, 1), 20 + round);
		CHECK_EQUAL(world_leaf(&world, 0, 31).rights & WRITE, 0);
		CHECK_EQUAL(world_leaf(&world, 1, 51).rights & WRITE, 0);
		world_check(&world);
	}
	CHECK_OK(lh_object_sync(file.object, 0, 8));
	CHECK_EQUAL(file.writes, 3);
	world_unmap(&world, 0, 30, 8);
	world_unmap(&world, 1, 50, 8);
	world_file_close(&file);
	world_close(&world);
}

/* --- A28: history --- */

TEST(a28_what_was_ever_writable_is_remembered_by_pieces_and_children)
{
	test_world world;
	lh_map_request request = { .pages = 2, .rights = (lh_rights)(WRITE | EXECUTE) };
	lh_virtual_range placed;

	world_open(&world, &(world_setup){ .enforce_write_xor_execute = true });
	world_make(&world, 0);
	world_make(&world, 1);
	CHECK_ERROR(lh_space_map(world.space[0], &request, &placed), LH_INVALID);
	world_map(&world, 0, 10, 9, READ_WRITE);
	world_map(&world, 0, 30, 4, READ);
	CHECK_OK(lh_space_protect(world.space[0], world_range(&world, 10, 9), READ));
	CHECK_ERROR(lh_space_protect(world.space[0], world_range(&world, 10, 9), READ | EXECUTE),
		    LH_NO_ACCESS);
	world_unmap(&world, 0, 13, 2);
	CHECK_OK(lh_space_protect(world.space[0], world_range(&world, 17, 1), LH_RIGHT_NONE));
	CHECK_OK(lh_space_fork(world.space[0], world.space[1]));
	for (unsigned n = 0; n < 2; n++) {
		for (uint64_t page = 10; page < 19; page++)
			if (page != 13 && page != 14)
				CHECK_ERROR(lh_space_protect(world.space[n],
							     world_range(&world, page, 1), EXECUTE),
					    LH_NO_ACCESS);
		CHECK_OK(lh_space_protect(world.space[n], world_range(&world, 31, 1),
					  READ | EXECUTE));
	}
	/* What was executable may be written, if it gives up the other; then never executed again. */
	CHECK_OK(lh_space_protect(world.space[0], world_range(&world, 31, 1), READ_WRITE));
	CHECK_ERROR(lh_space_protect(world.space[0], world_range(&world, 31, 1), EXECUTE),
		    LH_NO_ACCESS);
	world_check(&world);
	world_close(&world);
}

TEST(b16_no_piece_and_no_child_gets_more_than_the_maximum)
{
	test_world world;
	lh_map_request request = { .where = LH_AT, .pages = 6, .rights = READ,
				   .rights_max = (lh_rights)(READ | EXECUTE) };
	lh_virtual_range placed;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	world_make(&world, 1);
	request.address = lh_virtual(world_page(&world, 10));
	CHECK_OK(lh_space_map(world.space[0], &request, &placed));
	world_unmap(&world, 0, 12, 1);
	CHECK_OK(lh_space_fork(world.space[0], world.space[1]));
	for (unsigned n = 0; n < 2; n++) {
		CHECK_ERROR(lh_space_protect(world.space[n], world_range(&world, 10, 2), READ_WRITE),
			    LH_NO_ACCESS);
		CHECK_ERROR(lh_space_protect(world.space[n], world_range(&world, 13, 1), WRITE),
			    LH_NO_ACCESS);
		CHECK_OK(lh_space_protect(world.space[n], world_range(&world, 13, 1), EXECUTE));
		CHECK_EQUAL(world_fetch(&world, n, world_page(&world, 13)), LH_FAULT_OK);
	}
	world_check(&world);
	world_close(&world);
}

/* --- A30: no old bytes --- */

TEST(a30_no_page_is_ever_seen_before_it_is_zeroed)
{
	test_world world;
	uint8_t bytes[PAGE];
	static const uint8_t zeroes[PAGE];
	lh_object *object;

	world_open(&world, &(world_setup){ 0 });
	/* Once over fresh RAM, which is full of MACHINE_FILL; then over what the first round left. */
	for (unsigned round = 0; round < 2; round++) {
		world_make(&world, 0);
		object = world_object(&world, 20 * PAGE, round == 0);
		world_map(&world, 0, 10, 20, READ_WRITE);
		world_map_object(&world, 0, 40, 20, READ_WRITE, LH_REGION_SHARED, object, 0);
		world_map_object(&world, 0, 70, 20, READ_WRITE, 0, object, 0);
		lh_object_drop(object);
		for (uint64_t page = 10; page < 90; page++) {
			uint64_t address = world_page(&world, page);

			if (!is_mapped(&world, page))
				continue;
			/* The last byte is written first, so that a frame is there. */
			CHECK_EQUAL(world_access(&world, 0, 0, address + PAGE - 1, MMU_WRITE,
						 &(uint8_t){ 0 }, 1), LH_FAULT_OK);
			CHECK_EQUAL(world_access(&world, 0, 0, address, MMU_READ, bytes, PAGE),
				    LH_FAULT_OK);
			CHECK(memcmp(bytes, zeroes, PAGE) == 0);
			/* What the object shows, the private pages are yet to read. */
			if (page >= 40 && page < 70)
				continue;
			memset(bytes, 0x5a, PAGE);
			CHECK_EQUAL(world_access(&world, 0, 0, address, MMU_WRITE, bytes, PAGE),
				    LH_FAULT_OK);
		}
		world_check(&world);
		world_destroy(&world, 0);
	}
	world_close(&world);
}

/* --- found here --- */

TEST(a_fetch_from_a_dirty_page_of_a_shared_file_ends)
{
	test_world world;
	world_file file;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	world_file_open(&world, &file, PAGE);
	world_map_object(&world, 0, 30, 1, READ_WRITE, LH_REGION_SHARED, file.object, 0);
	world_poke(&world, 0, world_page(&world, 30), 0x90);
	CHECK_OK(lh_space_protect(world.space[0], world_range(&world, 30, 1), LH_RIGHTS_ALL));
	CHECK_EQUAL(world_fetch(&world, 0, world_page(&world, 30)), LH_FAULT_OK);
	world_poke(&world, 0, world_page(&world, 30), 0x91);
	CHECK_OK(lh_object_sync(file.object, 0, 1));
	CHECK_EQUAL(world_file_disk(&file, 0), 0x91);
	world_check(&world);
	world_unmap(&world, 0, 30, 1);
	world_file_close(&file);
	world_close(&world);
}

/* Who copies from a page for somebody else, or has it pinned, holds its frame. */
TEST(a_fetch_from_a_page_that_others_hold_ends)
{
	test_world world;
	lh_frame_number frame;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	world_map(&world, 0, 20, 1, READ_WRITE);
	world_poke(&world, 0, world_page(&world, 20), 1);
	CHECK_OK(lh_space_protect(world.space[0], world_range(&world, 20, 1), LH_RIGHTS_ALL));
	frame = world_frame(&world, 0, 20);
	lh_frame_hold(world.frames, frame);
	CHECK_EQUAL(world_fetch(&world, 0, world_page(&world, 20)), LH_FAULT_OK);
	/* The leaf keeps its right to write: the frame is its own. */
	world_poke(&world, 0, world_page(&world, 20), 2);
	CHECK(world_frame(&world, 0, 20).value == frame.value);
	lh_frame_drop(world.frames, frame);
	world_check(&world);
	world_close(&world);
}

TEST(mapping_over_the_lower_part_of_a_region_minds_the_guard_below)
{
	test_world world;
	lh_map_request request = { .where = LH_AT, .pages = 2, .rights = READ, .guard_after = 2 };
	lh_virtual_range placed;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	request.address = lh_virtual(world_page(&world, 10));
	CHECK_OK(lh_space_map(world.space[0], &request, &placed));
	world_map(&world, 0, 14, 4, READ);
	request = (lh_map_request){ .where = LH_OVER, .pages = 2, .rights = READ_WRITE,
				    .address = lh_virtual(world_page(&world, 13)) };
	CHECK_ERROR(lh_space_map(world.space[0], &request, &placed), LH_EXISTS);
	CHECK_EQUAL(world_counters(&world, 0).pages, 6);
	request.address = lh_virtual(world_page(&world, 14));
	CHECK_OK(lh_space_map(world.space[0], &request, &placed));
	world_check(&world);
	world_close(&world);
}

TEST(a_page_that_may_be_written_may_be_read)
{
	test_world world;
	uint64_t value = 1;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	world_map(&world, 0, 10, 2, WRITE);
	world_map(&world, 0, 20, 2, EXECUTE);
	CHECK_EQUAL(world_read(&world, 0, world_page(&world, 10), &value), LH_FAULT_OK);
	CHECK_EQUAL(value, 0);
	world_poke(&world, 0, world_page(&world, 10), 3);
	/* Nor can most formats refuse it beside the right to execute. */
	CHECK_EQUAL(world_read(&world, 0, world_page(&world, 20), &value),
		    lh_paging_format_implied(&world.format, EXECUTE) & READ ? LH_FAULT_OK : LH_FAULT_NO_ACCESS);
	CHECK_EQUAL(world_fetch(&world, 0, world_page(&world, 10)), LH_FAULT_NO_ACCESS);
	CHECK_EQUAL(world_fetch(&world, 0, world_page(&world, 20)), LH_FAULT_OK);
	world_check(&world);
	world_close(&world);
}

TEST(a_page_shared_after_a_fork_is_not_made_writable_by_reading_it)
{
	test_world world;
	uint64_t page;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	world_make(&world, 1);
	world_map(&world, 0, 10, 1, READ_WRITE);
	page = world_page(&world, 10);
	world_poke(&world, 0, page, 1);
	CHECK_OK(lh_space_fork(world.space[0], world.space[1]));
	for (unsigned n = 0; n < 2; n++) {
		CHECK_OK(lh_space_protect(world.space[n], world_range(&world, 10, 1), LH_RIGHT_NONE));
		CHECK_OK(lh_space_protect(world.space[n], world_range(&world, 10, 1), READ_WRITE));
		CHECK_EQUAL(world_peek(&world, n, page), 1);
	}
	world_check(&world);
	world_poke(&world, 0, page, 2);
	CHECK_EQUAL(world_peek(&world, 1, page), 1);
	world_check(&world);
	world_close(&world);
}
