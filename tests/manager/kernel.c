/* SPDX-License-Identifier: BSD-2-Clause */
/* Kernel regions: made, committed, protected, unmapped; what the kernel then reads and writes. */
#include <string.h>

#include "object/machine.h"
#include "world/walkers.h"
#include "world/world.h"

#define HUGE_PAGES UINT64_C(512)

static bool kernel_read(test_world *world, unsigned cpu, uint64_t address, uint64_t *value)
{
	machine_fault fault;

	world_settle(world);
	return machine_read(world->machine, cpu, lh_virtual(address), value, 8, MACHINE_KERNEL, &fault);
}

static bool kernel_write(test_world *world, unsigned cpu, uint64_t address, uint64_t value)
{
	machine_fault fault;

	world_settle(world);
	return machine_write(world->machine, cpu, lh_virtual(address), &value, 8, MACHINE_KERNEL,
			     &fault);
}

static uint64_t address_of(const lh_region *region, uint64_t page)
{
	return region->range.base.value + page * PAGE;
}

TEST(a_kernel_region_is_populated_zeroed_and_seen_by_every_cpu_and_space)
{
	test_world world;
	lh_region region = { 0 };
	lh_kernel_request request = { .placement = { .pages = 5 }, .rights = READ_WRITE };
	uint64_t value = 1, free;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	world_load(&world, 1, 0);
	free = world_frame_counters(&world).free;
	CHECK_OK(lh_manager_map(world.manager, &region, &request));
	CHECK_EQUAL(region.range.pages, 5);
	for (uint64_t page = 0; page < 5; page++) {
		CHECK(kernel_read(&world, 0, address_of(&region, page) + 8 * page, &value));
		CHECK_EQUAL(value, 0);
		CHECK(kernel_write(&world, 0, address_of(&region, page), page + 7));
		CHECK(kernel_read(&world, 1, address_of(&region, page), &value));
		CHECK_EQUAL(value, page + 7);
	}
	CHECK(!kernel_read(&world, 0, address_of(&region, 5), &value));
	CHECK_EQUAL(world_read(&world, 0, address_of(&region, 0), &value), LH_FAULT_NOT_MAPPED);
	world_check(&world);
	lh_manager_unmap(world.manager, &region);
	CHECK(!kernel_read(&world, 0, address_of(&region, 0), &value));
	CHECK(!kernel_read(&world, 1, address_of(&region, 0), &value));
	CHECK_EQUAL(world_frame_counters(&world).free, free);
	CHECK(region.tree == NULL);
	world_check(&world);
	/* The same memory serves again. */
	CHECK_OK(lh_manager_map(world.manager, &region, &request));
	lh_manager_unmap(world.manager, &region);
	world_close(&world);
}

TEST(a_kernel_region_keeps_its_guards)
{
	test_world world;
	lh_region a = { 0 }, b = { 0 }, c = { 0 };
	lh_kernel_request request = { .placement = { .pages = 4 }, .rights = READ_WRITE,
				      .guard_before = 1, .guard_after = 1 };

	world_open(&world, &(world_setup){ 0 });
	CHECK_OK(lh_manager_map(world.manager, &a, &request));
	CHECK_OK(lh_manager_map(world.manager, &b, &request));
	CHECK_EQUAL(b.range.base.value - a.range.base.value, 5 * PAGE);
	CHECK(!kernel_write(&world, 0, address_of(&a, 4), 1));
	request = (lh_kernel_request){ .specifically = { lh_virtual(address_of(&a, 4)), 1 },
				       .rights = READ };
	CHECK_ERROR(lh_manager_map(world.manager, &c, &request), LH_EXISTS);
	CHECK_ERROR(lh_manager_reserve(world.manager, &c, &request), LH_EXISTS);
	CHECK(c.tree == NULL);
	lh_manager_unmap(world.manager, &a);
	lh_manager_unmap(world.manager, &b);
	world_close(&world);
}

TEST(bad_kernel_requests_are_refused)
{
	test_world world;
	lh_region region = { 0 };
	lh_kernel_request request = { .rights = READ };
	void *pointer;

	world_open(&world, &(world_setup){ 0 });
	CHECK_ERROR(lh_manager_map(world.manager, &region, &request), LH_INVALID);
	request.placement.pages = 1;
	request.rights = (lh_rights)(WRITE | EXECUTE);
	CHECK_ERROR(lh_manager_map(world.manager, &region, &request), LH_INVALID);
	request.rights = 8;
	CHECK_ERROR(lh_manager_map(world.manager, &region, &request), LH_INVALID);
	request.rights = READ;
	request.specifically = (lh_virtual_range){ lh_virtual(0x1000), 1 };
	CHECK_ERROR(lh_manager_map(world.manager, &region, &request), LH_INVALID);
	request.specifically = (lh_virtual_range){ lh_virtual(WORLD_KERNEL + 8), 1 };
	CHECK_ERROR(lh_manager_map(world.manager, &region, &request), LH_INVALID);
	request.specifically.pages = 0;
	request.placement.alignment = 3;
	CHECK_ERROR(lh_manager_map(world.manager, &region, &request), LH_INVALID);
	request.placement = (lh_placement){ .pages = UINT64_C(1) << 40 };
	CHECK(lh_manager_map(world.manager, &region, &request) != LH_OK);
	request.placement = (lh_placement){ .pages = 2 };
	CHECK_ERROR(lh_manager_map_physical(world.manager, &region, &request, lh_physical(8),
					    LH_MEMORY_UNCACHED), LH_INVALID);
	CHECK_ERROR(lh_manager_map_physical(world.manager, &region, &request,
					    lh_physical(lh_paging_format_last(&world.format).value - (PAGE - 1)),
					    LH_MEMORY_UNCACHED), LH_INVALID);
	CHECK_ERROR(lh_manager_map_physical(world.manager, &region, &request,
					    lh_physical(0 - PAGE), LH_MEMORY_UNCACHED), LH_INVALID);
	CHECK_ERROR(lh_manager_map_bytes(world.manager, &region, lh_physical(UINT64_MAX), 2, READ,
					 LH_MEMORY_UNCACHED, &pointer), LH_INVALID);
	CHECK_ERROR(lh_manager_map_bytes(world.manager, &region, lh_physical(0x1000), 0, READ,
					 LH_MEMORY_UNCACHED, &pointer), LH_INVALID);
	CHECK(region.tree == NULL);
	world_check(&world);
	world_close(&world);
}

TEST(physical_memory_is_mapped_by_the_largest_leaves_that_fit)
{
	test_world world;
	lh_region region = { 0 };
	lh_statistics before, after;
	uint64_t upper;
	/* One page before a 2 MiB border, two 2 MiB leaves, three pages after; 1 GiB is far. */
	uint64_t pages = 1 + 2 * HUGE_PAGES + 3, first = (UINT64_C(5) << 18) + HUGE_PAGES - 1;
	lh_kernel_request request = {
		.specifically = { lh_virtual(WORLD_KERNEL + (HUGE_PAGES - 1) * PAGE), pages },
		.rights = READ_WRITE,
	};

	world_open(&world, &(world_setup){ 0 });
	/* The kernel's top tables are there, where every root has them. */
	upper = world.format.levels - (world.format.root_each ? 2u : 3u);
	before = world_statistics(&world);
	CHECK_OK(lh_manager_map_physical(world.manager, &region, &request,
					 lh_physical(first * PAGE), LH_MEMORY_WRITE_BACK));
	after = world_statistics(&world);
	/* Upper tables down to one of 2 MiB slots, and a leaf table at either end. */
	CHECK_EQUAL(after.table_pages - before.table_pages, upper + 2);
	CHECK_EQUAL(lh_directory_leaves(&world.manager->kernel_directory), pages);
	CHECK_SOUND(lh_manager_check(world.manager));
	CHECK_EQUAL(lh_manager_audit(world.manager, NULL, NULL), 0);
	CHECK_OK(lh_manager_protect(world.manager, &region, READ));
	CHECK_SOUND(lh_manager_check(world.manager));
	CHECK_ERROR(lh_manager_protect(world.manager, &region, READ_WRITE), LH_NO_ACCESS);
	lh_manager_unmap(world.manager, &region);
	CHECK_EQUAL(world_statistics(&world).table_pages, before.table_pages);
	CHECK_EQUAL(lh_directory_leaves(&world.manager->kernel_directory), 0);

	/* A whole GiB is one leaf: one table less than its 2 MiB leaves would need. */
	request.specifically = (lh_virtual_range){ lh_virtual(WORLD_KERNEL), UINT64_C(1) << 18 };
	CHECK_OK(lh_manager_map_physical(world.manager, &region, &request,
					 lh_physical(UINT64_C(7) << 30), LH_MEMORY_WRITE_BACK));
	CHECK_EQUAL(world_statistics(&world).table_pages, before.table_pages + upper - 1);
	lh_manager_unmap(world.manager, &region);
	world_close(&world);
}

TEST(a_physical_map_shows_the_memory_that_is_there)
{
	test_world world;
	lh_region region = { 0 }, again = { 0 };
	lh_frame_number frame;
	lh_region_info info;
	void *pointer;
	uint64_t value;

	world_open(&world, &(world_setup){ 0 });
	CHECK_OK(lh_frame_allocate_contiguous(world.frames, 3, 1, 0, LH_FRAME_KERNEL, &frame));
	memset(lh_frame_pointer(world.frames, frame), 0x11, 3 * PAGE);
	/* 20 bytes that cross a border: two pages. */
	CHECK_OK(lh_manager_map_bytes(world.manager, &region,
				      lh_physical(frame.value * PAGE + PAGE - 12), 20, READ,
				      LH_MEMORY_WRITE_BACK, &pointer));
	CHECK_EQUAL((uintptr_t)pointer & (PAGE - 1), PAGE - 12);
	CHECK_EQUAL(region.range.pages, 2);
	CHECK(kernel_read(&world, 0, (uintptr_t)pointer, &value));
	CHECK_EQUAL(value, 0x1111111111111111u);
	CHECK(kernel_read(&world, 0, (uintptr_t)pointer + 12, &value));
	CHECK(!kernel_write(&world, 0, (uintptr_t)pointer, 0));
	CHECK_OK(lh_manager_query(world.manager, region.range.base, &info));
	CHECK_EQUAL(info.rights, READ);
	/* Exactly one page, from its first byte to its last. */
	CHECK_OK(lh_manager_map_bytes(world.manager, &again, lh_frame_address(frame), PAGE, READ_WRITE,
				      LH_MEMORY_WRITE_BACK, &pointer));
	CHECK_EQUAL(again.range.pages, 1);
	CHECK(kernel_write(&world, 0, (uintptr_t)pointer + PAGE - 8, 5));
	CHECK_EQUAL(world_holders(&world, frame), 1);
	world_check(&world);
	lh_manager_unmap(world.manager, &region);
	lh_manager_unmap(world.manager, &again);
	CHECK_EQUAL(world_holders(&world, frame), 1);
	lh_frame_drop_contiguous(world.frames, frame, 3);
	world_close(&world);
}

TEST(a_reservation_holds_what_is_committed_in_it)
{
	test_world world;
	lh_region region = { 0 };
	lh_kernel_request request = { .placement = { .pages = 600 } };
	lh_virtual_range part, next;
	uint64_t value, free;

	world_open(&world, &(world_setup){ 0 });
	free = world_frame_counters(&world).free;
	CHECK_OK(lh_manager_reserve(world.manager, &region, &request));
	CHECK_EQUAL(world_frame_counters(&world).free, free);
	CHECK(!kernel_read(&world, 0, address_of(&region, 0), &value));
	part = (lh_virtual_range){ lh_virtual(address_of(&region, 500)), 30 };
	CHECK_OK(lh_manager_commit(world.manager, &region, part, READ_WRITE));
	CHECK(kernel_write(&world, 0, address_of(&region, 529), 9));
	CHECK(!kernel_write(&world, 0, address_of(&region, 530), 9));
	CHECK(!kernel_write(&world, 0, address_of(&region, 499), 9));
	world_check(&world);
	/* What is committed cannot be committed again, not even in part. */
	next = (lh_virtual_range){ lh_virtual(address_of(&region, 529)), 2 };
	CHECK_ERROR(lh_manager_commit(world.manager, &region, next, READ_WRITE), LH_EXISTS);
	next.pages = 72;
	CHECK_ERROR(lh_manager_commit(world.manager, &region, next, READ_WRITE), LH_INVALID);
	CHECK_ERROR(lh_manager_commit(world.manager, &region, part, 7), LH_INVALID);
	lh_manager_decommit(world.manager, &region,
			    (lh_virtual_range){ lh_virtual(address_of(&region, 500)), 10 });
	CHECK(!kernel_read(&world, 0, address_of(&region, 509), &value));
	CHECK(kernel_read(&world, 0, address_of(&region, 510), &value));
	CHECK(kernel_read(&world, 0, address_of(&region, 529), &value));
	CHECK_EQUAL(value, 9);
	world_check(&world);
	lh_manager_decommit(world.manager, &region, region.range);
	CHECK_EQUAL(world_frame_counters(&world).free, free);
	CHECK_OK(lh_manager_commit(world.manager, &region, part, READ));
	lh_manager_unmap(world.manager, &region);
	CHECK_EQUAL(world_frame_counters(&world).free, free);
	world_close(&world);
}

TEST(what_is_taken_from_a_kernel_region_is_gone_on_every_cpu)
{
	test_world world;
	lh_region region = { 0 };
	lh_kernel_request request = { .placement = { .pages = 3 }, .rights = READ_WRITE };

	world_open(&world, &(world_setup){ .cpus = 3 });
	CHECK_OK(lh_manager_map(world.manager, &region, &request));
	for (unsigned cpu = 0; cpu < 3; cpu++)
		CHECK(kernel_write(&world, cpu, address_of(&region, 1), cpu));
	CHECK_OK(lh_manager_protect(world.manager, &region, READ));
	for (unsigned cpu = 0; cpu < 3; cpu++)
		CHECK(!kernel_write(&world, cpu, address_of(&region, 1), cpu));
	CHECK_SOUND(world_check_translations(&world));
	CHECK_OK(lh_manager_protect(world.manager, &region, LH_RIGHT_NONE));
	world_check(&world);
	lh_manager_unmap(world.manager, &region);
	world_close(&world);
}

/* --- the audit --- */

static void note(void *context, lh_virtual_address address, const char *what)
{
	uint64_t *seen = context;

	CHECK(what != NULL);
	seen[0]++;
	seen[1] = address.value;
}

TEST(the_audit_finds_what_is_planted)
{
	test_world world;
	lh_region data = { 0 }, code = { 0 };
	lh_kernel_request request = { .placement = { .pages = 3 }, .rights = READ_WRITE };
	uint64_t seen[2] = { 0 }, *entry, kept;

	world_open(&world, &(world_setup){ 0 });
	CHECK_OK(lh_manager_map(world.manager, &data, &request));
	request.rights = (lh_rights)(READ | EXECUTE);
	CHECK_OK(lh_manager_map(world.manager, &code, &request));
	CHECK_EQUAL(lh_manager_audit(world.manager, note, seen), 0);
	entry = world_entry(&world, lh_manager_kernel_root(world.manager), address_of(&code, 1));
	kept = *entry;
	*entry = world_entry_with(&world, kept, LH_RIGHTS_ALL, false);
	CHECK_EQUAL(lh_manager_audit(world.manager, note, seen), 1);
	CHECK_EQUAL(seen[0], 1);
	CHECK_EQUAL(seen[1], address_of(&code, 1));
	CHECK_EQUAL(lh_manager_audit(world.manager, NULL, NULL), 1);
	*entry = kept;
	CHECK_EQUAL(lh_manager_audit(world.manager, note, seen), 0);
	lh_manager_unmap(world.manager, &data);
	lh_manager_unmap(world.manager, &code);
	world_close(&world);
}
