/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory that devices look at: rows of frames, rings, and one memory type a page. */
#include <string.h>

#include "object/machine.h"
#include "object/object.h"
#include "world/walkers.h"
#include "world/world.h"

#define ANY_MASK UINT64_MAX

static const lh_dma_request anywhere = { .mask = ANY_MASK };

static uint64_t frame_under(test_world *world, const lh_region *region, uint64_t page)
{
	lh_leaf leaf = lh_directory_read(&world->manager->kernel_directory,
					 lh_virtual_range_page(region->range, page));

	CHECK_EQUAL(leaf.kind, LH_LEAF_PRESENT);
	return leaf.frame.value;
}

static bool reaches(test_world *world, uint64_t address, bool writes, uint64_t *value)
{
	machine_fault fault;

	world_settle(world);
	if (writes)
		return machine_write(world->machine, 0, lh_virtual(address), value, 8, MACHINE_KERNEL,
				     &fault);
	return machine_read(world->machine, 0, lh_virtual(address), value, 8, MACHINE_KERNEL, &fault);
}

TEST(a_dma_buffer_is_a_zeroed_row_within_the_mask)
{
	test_world world;
	lh_kernel_request request = { .placement = { .pages = 5 }, .rights = READ_WRITE };
	lh_dma_request low = { .mask = 0xffffff, .alignment = 8 };
	lh_region region = { 0 };
	lh_physical_address physical;
	uint64_t free, value = 7;

	world_open(&world, &(world_setup){ 0 });
	free = world_frame_counters(&world).free;
	CHECK_OK(lh_manager_map_dma(world.manager, &region, &request, &low, &physical));
	CHECK(physical.value + 5 * PAGE - 1 <= low.mask);
	CHECK_EQUAL(physical.value % (8 * PAGE), 0);
	for (uint64_t page = 0; page < 5; page++) {
		CHECK_EQUAL(frame_under(&world, &region, page), physical.value / PAGE + page);
		CHECK(reaches(&world, region.range.base.value + page * PAGE, false, &value));
		CHECK_EQUAL(value, 0);
	}
	world_check(&world);
	lh_manager_unmap(world.manager, &region);
	CHECK_EQUAL(world_frame_counters(&world).free, free);
	world_close(&world);
}

/* Until there is none left: of the frames that the mask reaches all are given, and none beyond it. */
TEST(a_mask_that_reaches_half_of_memory_gets_that_half_alone)
{
	enum { MOST = 512 };
	static lh_region regions[MOST];
	test_world world;
	lh_kernel_request request = { .placement = { .pages = 2 }, .rights = READ_WRITE };
	lh_dma_request low = { .mask = 512 * PAGE - 1 };
	lh_physical_address physical;
	lh_frame_counters before;
	unsigned made = 0;

	world_open(&world, &(world_setup){ .frames = 1024 });
	CHECK(machine_is_ram(world.machine, 511) && machine_is_ram(world.machine, 1000));
	memset(regions, 0, sizeof regions);
	before = world_frame_counters(&world);
	while (made < MOST &&
	       lh_manager_map_dma(world.manager, &regions[made], &request, &low, &physical) == LH_OK) {
		CHECK(physical.value + 2 * PAGE - 1 <= low.mask);
		made++;
	}
	CHECK(made > 100 && made < 256);
	CHECK(world_frame_counters(&world).free > before.free - 512);
	CHECK_OK(lh_manager_map_dma(world.manager, &regions[made], &request, &anywhere, &physical));
	CHECK(physical.value > low.mask);
	for (unsigned i = 0; i <= made; i++)
		lh_manager_unmap(world.manager, &regions[i]);
	world_check(&world);
	world_close(&world);
}

TEST(a_ring_goes_on_at_its_beginning)
{
	test_world world;
	lh_kernel_request request = { .placement = { .pages = 3 }, .rights = READ_WRITE };
	lh_region region = { 0 };
	lh_physical_address physical;
	uint64_t base, free, value = 0x1122334455667788u;
	const uint8_t *bytes;

	world_open(&world, &(world_setup){ 0 });
	free = world_frame_counters(&world).free;
	CHECK_OK(lh_manager_map_ring(world.manager, &region, &request, &anywhere, &physical));
	CHECK_EQUAL(region.range.pages, 6);
	base = region.range.base.value;
	CHECK(reaches(&world, base + 3 * PAGE - 4, true, &value));
	bytes = lh_frame_pointer(world.frames, lh_physical_frame(physical));
	CHECK(memcmp(bytes, "\x44\x33\x22\x11", 4) == 0);
	value = 0;
	CHECK(reaches(&world, base, false, &value));
	CHECK_EQUAL(value, 0x11223344);
	for (uint64_t page = 0; page < 6; page++)
		CHECK_EQUAL(frame_under(&world, &region, page), physical.value / PAGE + page % 3);
	lh_manager_unmap(world.manager, &region);
	CHECK_EQUAL(world_frame_counters(&world).free, free);
	world_check(&world);
	world_close(&world);
}

static void check_refused(test_world *world, const lh_kernel_request *request,
			  const lh_dma_request *dma, lh_error error)
{
	lh_frame_counters before = world_frame_counters(world), after;
	lh_region region = { 0 };
	lh_physical_address physical = { 5 };

	CHECK_ERROR(lh_manager_map_dma(world->manager, &region, request, dma, &physical), error);
	CHECK_ERROR(lh_manager_map_ring(world->manager, &region, request, dma, &physical), error);
	after = world_frame_counters(world);
	CHECK(memcmp(&before, &after, sizeof before) == 0);
	CHECK_EQUAL(physical.value, 5);
	CHECK(region.tree == NULL);
}

TEST(what_no_row_can_be_is_refused_and_changes_nothing)
{
	test_world world;
	lh_kernel_request request = { .placement = { .pages = 3 }, .rights = READ_WRITE };

	world_open(&world, &(world_setup){ 0 });
	check_refused(&world, &request, &(lh_dma_request){ .mask = 0 }, LH_INVALID);
	check_refused(&world, &request, &(lh_dma_request){ .mask = 0x1234567 }, LH_INVALID);
	check_refused(&world, &request, &(lh_dma_request){ .mask = ANY_MASK, .alignment = 3 }, LH_INVALID);
	check_refused(&world, &request, &(lh_dma_request){ .mask = PAGE - 1 }, LH_NO_MEMORY);
	request.placement.pages = 0;
	check_refused(&world, &request, &anywhere, LH_INVALID);
	request.placement.pages = UINT64_MAX / 2;
	check_refused(&world, &request, &anywhere, LH_NO_MEMORY);
	request.placement.pages = 3;
	request.rights = LH_RIGHT_WRITE | LH_RIGHT_EXECUTE;
	check_refused(&world, &request, &anywhere, LH_INVALID);
	world_check(&world);
	world_close(&world);
}

TEST(every_step_of_a_row_can_fail_and_changes_nothing)
{
	test_world world;
	/* Where there are no tables yet: they come after the row. */
	lh_kernel_request request = { .specifically = { lh_virtual(WORLD_KERNEL + (UINT64_C(1) << 38)), 5 },
				      .rights = READ_WRITE };
	uint64_t refused = 0, steps;

	world_open(&world, &(world_setup){ 0 });
	for (uint64_t n = 1;; n++) {
		lh_frame_counters before = world_frame_counters(&world), after;
		lh_region region = { 0 };
		lh_physical_address physical;
		lh_error error;

		lh_frames_fail_at(world.frames, n);
		error = lh_manager_map_ring(world.manager, &region, &request, &anywhere, &physical);
		steps = lh_frames_steps(world.frames);
		lh_frames_fail_at(world.frames, 0);
		CHECK_ERROR(error, n <= steps ? LH_NO_MEMORY : LH_OK);
		refused += error != LH_OK;
		if (error == LH_OK) {
			lh_manager_unmap(world.manager, &region);
			break;
		}
		after = world_frame_counters(&world);
		CHECK(memcmp(&before, &after, sizeof before) == 0);
	}
	CHECK(refused >= 3);
	world_check(&world);
	world_close(&world);
}

/* --- one type a page --- */

#define DEVICE UINT64_C(0xfe000000)

static lh_error map_typed(test_world *world, lh_region *region, uint64_t physical, uint64_t pages,
			  lh_memory_type type)
{
	lh_kernel_request request = { .placement = { .pages = pages }, .rights = LH_RIGHT_READ };

	return lh_manager_map_physical(world->manager, region, &request, lh_physical(physical), type);
}

static lh_memory_type type_under(test_world *world, const lh_region *region, uint64_t page)
{
	return lh_directory_read(&world->manager->kernel_directory, lh_virtual_range_page(region->range, page)).type;
}

/* What an entry tells of a type: formats that have none tell of the first with the same bits. */
static lh_memory_type told(const test_world *world, lh_memory_type type)
{
	const lh_paging_format *format = world->manager->format;
	lh_memory_type first = 0;

	while (format->type[first][0] != format->type[type][0])
		first++;
	return first;
}

/* In the tables, by small leaves and large ones, and after its rights have changed. */
TEST(device_memory_is_seen_with_the_memory_type_that_was_asked_for)
{
	enum { HUGE = 512, PAGES = HUGE + 3 };
	test_world world;
	lh_kernel_request request = {
		.specifically = { lh_virtual(WORLD_KERNEL + (UINT64_C(1) << 38)), PAGES }, .rights = READ_WRITE,
	};

	world_open(&world, &(world_setup){ 0 });
	for (lh_memory_type type = 0; type < LH_MEMORY_TYPE_COUNT; type++) {
		lh_memory_type expected = told(&world, type);
		lh_region region = { 0 };

		CHECK_OK(lh_manager_map_physical(world.manager, &region, &request, lh_physical(DEVICE), type));
		CHECK(lh_directory_read(&world.manager->kernel_directory, region.range.base).level == 1);
		for (uint64_t page = 0; page < PAGES; page++)
			CHECK_EQUAL(type_under(&world, &region, page), expected);
		CHECK_OK(lh_manager_protect(world.manager, &region, LH_RIGHT_READ));
		CHECK_EQUAL(type_under(&world, &region, 0), expected);
		CHECK_EQUAL(type_under(&world, &region, PAGES - 1), expected);
		lh_manager_unmap(world.manager, &region);
	}
	world_check(&world);
	world_close(&world);
}

TEST(an_alias_with_another_memory_type_is_refused)
{
	test_world world;
	lh_region a = { 0 }, b = { 0 }, c = { 0 };
	void *pointer;

	world_open(&world, &(world_setup){ 0 });
	CHECK_OK(map_typed(&world, &a, DEVICE, 4, LH_MEMORY_UNCACHED));
	CHECK_ERROR(map_typed(&world, &b, DEVICE, 4, LH_MEMORY_WRITE_BACK), LH_EXISTS);
	CHECK_ERROR(map_typed(&world, &b, DEVICE + 3 * PAGE, 1, LH_MEMORY_WRITE_COMBINING), LH_EXISTS);
	CHECK_ERROR(map_typed(&world, &b, DEVICE - PAGE, 2, LH_MEMORY_WRITE_BACK), LH_EXISTS);
	CHECK_ERROR(lh_manager_map_bytes(world.manager, &b, lh_physical(DEVICE + 4 * PAGE - 1), 2,
					 LH_RIGHT_READ, LH_MEMORY_WRITE_BACK, &pointer), LH_EXISTS);
	CHECK_OK(map_typed(&world, &b, DEVICE + 2 * PAGE, 4, LH_MEMORY_UNCACHED));
	CHECK_OK(map_typed(&world, &c, DEVICE - PAGE, 1, LH_MEMORY_WRITE_BACK));
	lh_manager_unmap(world.manager, &a);
	CHECK_OK(map_typed(&world, &a, DEVICE, 2, LH_MEMORY_WRITE_COMBINING));
	lh_manager_unmap(world.manager, &a);
	lh_manager_unmap(world.manager, &b);
	lh_manager_unmap(world.manager, &c);
	world_check(&world);
	world_close(&world);
}

/* The library and the kernel see its frames written back: no other view of them can be had. */
TEST(a_frame_of_the_allocator_is_seen_as_write_back_only)
{
	test_world world;
	lh_region region = { 0 };
	lh_frame_number frame;

	world_open(&world, &(world_setup){ 0 });
	CHECK_OK(lh_frame_allocate(world.frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &frame));
	CHECK_ERROR(map_typed(&world, &region, frame.value * PAGE, 1, LH_MEMORY_UNCACHED), LH_EXISTS);
	CHECK_OK(map_typed(&world, &region, frame.value * PAGE, 1, LH_MEMORY_WRITE_BACK));
	lh_manager_unmap(world.manager, &region);
	lh_frame_drop(world.frames, frame);
	world_check(&world);
	world_close(&world);
}

/* --- by the kernel and by programs --- */

static lh_error make_device(test_world *world, uint64_t physical, uint64_t bytes, lh_memory_type type,
			    lh_object **object)
{
	lh_object_setup setup = { .kind = LH_OBJECT_PHYSICAL, .size = bytes, .type = type,
				  .physical = lh_physical_frame(lh_physical(physical)) };

	return lh_object_create(world->manager, &setup, object);
}

/* In either order; at an edge a page is enough, beside it none is too many; and what has gone is forgotten. */
TEST(an_object_over_what_the_kernel_sees_with_another_type_is_refused)
{
	test_world world;
	lh_region region = { 0 };
	lh_object *object, *other;

	world_open(&world, &(world_setup){ 0 });
	CHECK_OK(map_typed(&world, &region, DEVICE, 4, LH_MEMORY_UNCACHED));
	CHECK_ERROR(make_device(&world, DEVICE, 4 * PAGE, LH_MEMORY_WRITE_COMBINING, &object), LH_EXISTS);
	CHECK_ERROR(make_device(&world, DEVICE + 3 * PAGE, 1, LH_MEMORY_WRITE_BACK, &object), LH_EXISTS);
	CHECK_ERROR(make_device(&world, DEVICE - PAGE, PAGE + 1, LH_MEMORY_WRITE_BACK, &object), LH_EXISTS);
	CHECK_OK(make_device(&world, DEVICE - PAGE, PAGE, LH_MEMORY_WRITE_BACK, &object));
	lh_object_drop(object);
	CHECK_OK(make_device(&world, DEVICE + 4 * PAGE, PAGE, LH_MEMORY_WRITE_COMBINING, &object));
	CHECK_OK(make_device(&world, DEVICE + 2 * PAGE, 2 * PAGE, LH_MEMORY_UNCACHED, &other));
	world_check(&world);
	lh_manager_unmap(world.manager, &region);
	CHECK_ERROR(make_device(&world, DEVICE + 2 * PAGE, 1, LH_MEMORY_WRITE_BACK, &object), LH_EXISTS);
	CHECK_ERROR(map_typed(&world, &region, DEVICE + PAGE, 2, LH_MEMORY_WRITE_BACK), LH_EXISTS);
	CHECK_ERROR(map_typed(&world, &region, DEVICE + 4 * PAGE, 1, LH_MEMORY_WRITE_BACK), LH_EXISTS);
	CHECK_OK(map_typed(&world, &region, DEVICE, 2, LH_MEMORY_WRITE_BACK));
	lh_manager_unmap(world.manager, &region);
	lh_object_drop(other);
	lh_object_drop(object);
	CHECK_OK(map_typed(&world, &region, DEVICE, 5, LH_MEMORY_WRITE_BACK));
	lh_manager_unmap(world.manager, &region);
	world_check(&world);
	world_close(&world);
}

/* It is seen so from when it is made, and as long as anybody holds it: a mapping is one who does. */
TEST(an_object_keeps_its_type_until_the_last_mapping_has_gone)
{
	test_world world;
	lh_region region = { 0 };
	lh_object *object;

	world_open(&world, &(world_setup){ 0 });
	world_make(&world, 0);
	CHECK_OK(make_device(&world, DEVICE, 2 * PAGE, LH_MEMORY_UNCACHED, &object));
	world_map_object(&world, 0, 10, 2, READ_WRITE, LH_REGION_SHARED, object, 0);
	lh_object_drop(object);
	CHECK_EQUAL(lh_space_fault(world.space[0], lh_virtual(world_page(&world, 11)), LH_RIGHT_READ), LH_FAULT_OK);
	CHECK_EQUAL(world_leaf(&world, 0, 11).type, LH_MEMORY_UNCACHED);
	CHECK_EQUAL(world_leaf(&world, 0, 11).frame.value, DEVICE / PAGE + 1);
	CHECK_ERROR(map_typed(&world, &region, DEVICE, 1, LH_MEMORY_WRITE_BACK), LH_EXISTS);
	CHECK_OK(lh_space_unmap(world.space[0], world_range(&world, 10, 2)));
	CHECK_OK(map_typed(&world, &region, DEVICE, 1, LH_MEMORY_WRITE_BACK));
	lh_manager_unmap(world.manager, &region);
	world_destroy(&world, 0);
	world_check(&world);
	world_close(&world);
}

TEST(an_object_over_frames_of_the_allocator_is_seen_as_write_back_only)
{
	test_world world;
	lh_frame_number frame;
	lh_object *object;

	world_open(&world, &(world_setup){ 0 });
	CHECK_OK(lh_frame_allocate(world.frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &frame));
	CHECK_ERROR(make_device(&world, frame.value * PAGE, PAGE, LH_MEMORY_UNCACHED, &object), LH_EXISTS);
	CHECK_OK(make_device(&world, frame.value * PAGE, PAGE, LH_MEMORY_WRITE_BACK, &object));
	lh_object_drop(object);
	lh_frame_drop(world.frames, frame);
	CHECK_ERROR(make_device(&world, lh_paging_format_last(&world.format).value - (PAGE - 1), PAGE + 1, LH_MEMORY_UNCACHED, &object), LH_INVALID);
	CHECK_OK(make_device(&world, DEVICE, 0, LH_MEMORY_UNCACHED, &object)); /* of no page */
	lh_object_drop(object);
	world_check(&world);
	world_close(&world);
}

/* Each allocation fails in its turn, of an object, and of a kernel's region: then neither is seen any more. */
TEST(what_could_not_be_made_is_seen_with_no_type)
{
	test_world world;
	lh_region region = { 0 };
	lh_object *object;
	unsigned failed = 0;

	for (uint64_t n = 1; failed < 2; n++) {
		lh_error error;

		world_open(&world, &(world_setup){ 0 });
		lh_frames_fail_at(world.frames, n);
		error = failed == 0 ? make_device(&world, DEVICE, PAGE, LH_MEMORY_UNCACHED, &object)
				    : map_typed(&world, &region, DEVICE, 1, LH_MEMORY_UNCACHED);
		lh_frames_fail_at(world.frames, 0);
		if (error == LH_OK) {
			CHECK(n > 1);
			n = 0;
			failed++;
			CHECK_ERROR(make_device(&world, DEVICE, PAGE, LH_MEMORY_WRITE_BACK, &object), LH_EXISTS);
		} else {
			CHECK_EQUAL(error, LH_NO_MEMORY);
			CHECK_OK(make_device(&world, DEVICE, PAGE, LH_MEMORY_WRITE_BACK, &object));
			lh_object_drop(object);
			world_check(&world);
		}
		if (error == LH_OK && failed == 1)
			lh_object_drop(object);
		else if (error == LH_OK)
			lh_manager_unmap(world.manager, &region);
		world_close(&world);
	}
}

TEST(the_walker_finds_an_alias)
{
	test_world world;
	lh_object *a, *b;

	world_open(&world, &(world_setup){ 0 });
	CHECK_OK(make_device(&world, DEVICE, PAGE, LH_MEMORY_UNCACHED, &a));
	CHECK_OK(make_device(&world, DEVICE, PAGE, LH_MEMORY_UNCACHED, &b));
	CHECK(lh_manager_check(world.manager) == NULL);
	b->view.of.type = LH_MEMORY_WRITE_COMBINING;
	CHECK(lh_manager_check(world.manager) != NULL);
	b->view.of.type = LH_MEMORY_UNCACHED;
	lh_object_drop(a);
	lh_object_drop(b);
	world_check(&world);
	world_close(&world);
}
