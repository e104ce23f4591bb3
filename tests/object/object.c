/* SPDX-License-Identifier: BSD-2-Clause */
/* Objects by themselves: their life, pages, size and charge. */
#include <string.h>

#include "object/object_page.h"
#include "world/injection.h"

static uint64_t *words_of(test_world *world, lh_frame_number frame)
{
	return lh_frame_pointer(world->frames, frame);
}

static void put(test_world *world, lh_object *object, uint64_t page, uint64_t word, uint64_t value)
{
	lh_frame_number frame;

	CHECK_OK(lh_object_hold_page(object, page, WRITE, &frame));
	words_of(world, frame)[word] = value;
	lh_frame_drop(world->frames, frame);
}

/* What reads there: zero where there is no page. */
static uint64_t get(test_world *world, lh_object *object, uint64_t page, uint64_t word)
{
	lh_frame_number frame;
	uint64_t value;

	CHECK_OK(lh_object_hold_page(object, page, READ, &frame));
	if (lh_frame_is_none(frame))
		return 0;
	value = words_of(world, frame)[word];
	lh_frame_drop(world->frames, frame);
	return value;
}

TEST(an_object_makes_pages_when_they_are_written)
{
	test_world world;
	lh_object *object;
	lh_frame_number frame;

	world_open(&world, &(world_setup){ 0 });
	object = world_object(&world, 10 * PAGE + 1, false);
	CHECK_EQUAL(lh_object_size(object), 10 * PAGE + 1);
	CHECK_EQUAL(get(&world, object, 3, 0), 0);
	CHECK_EQUAL(lh_object_pages(object), 0);
	put(&world, object, 3, 1, 77);
	CHECK_EQUAL(get(&world, object, 3, 0), 0);
	CHECK_EQUAL(get(&world, object, 3, 1), 77);
	put(&world, object, 10, 0, 78);
	CHECK_EQUAL(lh_object_pages(object), 2);
	CHECK_EQUAL(world_frame_counters(&world).committed, 2);
	CHECK_ERROR(lh_object_hold_page(object, 11, READ, &frame), LH_BAD_ADDRESS);
	CHECK_ERROR(lh_object_hold_page(object, 11, WRITE, &frame), LH_BAD_ADDRESS);
	CHECK_ERROR(lh_object_hold_page(object, UINT64_MAX, WRITE, &frame), LH_BAD_ADDRESS);
	CHECK_SOUND(lh_object_check(object));
	world_check(&world);
	lh_object_hold(object);
	lh_object_drop(object);
	CHECK_EQUAL(get(&world, object, 10, 0), 78);
	lh_object_drop(object);
	world_close(&world);
}

TEST(bad_objects_are_refused)
{
	test_world world;
	lh_object *object = NULL;
	static const lh_pager pager;
	static lh_account account;
	lh_object_setup setups[] = {
		{ .kind = LH_OBJECT_FILE, .size = 1 },
		{ .kind = LH_OBJECT_FILE, .size = 1, .pager = &pager, .committed = true },
		{ .kind = LH_OBJECT_PHYSICAL, .size = 1, .physical = { LH_NO_FRAME } },
		{ .kind = LH_OBJECT_PHYSICAL, .size = 1, .committed = true },
		{ .kind = LH_OBJECT_PHYSICAL, .size = 1, .account = &account },
		{ .kind = LH_OBJECT_FILE, .size = 1, .pager = &pager, .account = &account },
		{ .kind = LH_OBJECT_ANONYMOUS, .size = (UINT64_C(1) << 63) + 1 },
		{ .kind = LH_OBJECT_ANONYMOUS, .size = UINT64_MAX },
		{ .kind = (lh_object_kind)9, .size = 1 },
		{ .kind = LH_OBJECT_PHYSICAL, .size = 1, .type = (lh_memory_type)9 },
	};
	lh_object_setup large = { .kind = LH_OBJECT_ANONYMOUS, .committed = true,
				  .size = UINT64_C(1) << 40 };

	world_open(&world, &(world_setup){ 0 });
	for (size_t i = 0; i < sizeof setups / sizeof setups[0]; i++)
		CHECK_ERROR(lh_object_create(world.manager, &setups[i], &object), LH_INVALID);
	CHECK_ERROR(lh_object_create(world.manager, &large, &object), LH_NO_MEMORY);
	CHECK(object == NULL);
	world_close(&world);
}

TEST(pages_far_apart_cost_only_their_paths)
{
	test_world world;
	lh_object *object;
	uint64_t most = (UINT64_C(1) << 51) - 1;
	static const uint64_t pages[] = { 0, 63, 64, 4095, 4096, UINT64_C(1) << 30,
					  (UINT64_C(1) << 51) - 1 };

	world_open(&world, &(world_setup){ 0 });
	object = world_object(&world, UINT64_C(1) << 63, false);
	put(&world, object, most, 3, 1);
	CHECK_SOUND(lh_object_check(object));
	for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++)
		put(&world, object, pages[i], 0, i + 10);
	for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++)
		CHECK_EQUAL(get(&world, object, pages[i], 0), i + 10);
	CHECK_EQUAL(get(&world, object, most, 3), 1);
	CHECK_EQUAL(get(&world, object, most - 1, 3), 0);
	CHECK_EQUAL(lh_object_pages(object), 7);
	CHECK_SOUND(lh_object_check(object));
	world_check(&world);
	CHECK_OK(lh_object_resize(object, 4096 * PAGE));
	CHECK_EQUAL(lh_object_pages(object), 4);
	CHECK_SOUND(lh_object_check(object));
	CHECK_OK(lh_object_resize(object, 0));
	CHECK_EQUAL(lh_pool_read_counters(&world.manager->nodes).items, 0);
	lh_object_drop(object);
	world_close(&world);
}

TEST(what_lies_past_the_end_reads_zero_when_the_object_grows_again)
{
	test_world world;
	lh_object *object;

	world_open(&world, &(world_setup){ 0 });
	object = world_object(&world, 3 * PAGE, false);
	for (uint64_t page = 0; page < 3; page++)
		for (uint64_t word = 0; word < 512; word++)
			put(&world, object, page, word, UINT64_MAX);
	CHECK_OK(lh_object_resize(object, PAGE + 12));
	CHECK_EQUAL(lh_object_pages(object), 2);
	CHECK_OK(lh_object_resize(object, 3 * PAGE));
	CHECK_EQUAL(get(&world, object, 0, 511), UINT64_MAX);
	CHECK_EQUAL(get(&world, object, 1, 0), UINT64_MAX);
	CHECK_EQUAL(get(&world, object, 1, 1), 0xffffffff);
	CHECK_EQUAL(get(&world, object, 1, 2), 0);
	CHECK_EQUAL(get(&world, object, 1, 511), 0);
	CHECK_EQUAL(get(&world, object, 2, 0), 0);
	/* Written past the end, as a mapping can: growing does not bring it to light. */
	CHECK_OK(lh_object_resize(object, PAGE + 8));
	put(&world, object, 1, 5, 1234);
	CHECK_OK(lh_object_resize(object, 2 * PAGE));
	CHECK_EQUAL(get(&world, object, 1, 5), 0);
	CHECK_SOUND(lh_object_check(object));
	lh_object_drop(object);
	world_close(&world);
}

TEST(a_committed_object_is_charged_whole_and_never_fails)
{
	test_world world;
	lh_object *object, *other;
	lh_object_setup setup = { .kind = LH_OBJECT_ANONYMOUS, .size = 300 * PAGE };
	lh_frame_number frame, taken[2048];
	uint64_t count = 0;

	world_open(&world, &(world_setup){ .frames = 1024 });
	object = world_object(&world, 100 * PAGE, true);
	/* The nodes of its index are not part of the promise: make them first. */
	for (uint64_t page = 0; page < 100; page += 50)
		put(&world, object, page, 0, 1);
	CHECK_EQUAL(world_frame_counters(&world).committed, 100);
	while (lh_frame_allocate(world.frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &taken[count]) ==
	       LH_OK)
		count++;
	CHECK_EQUAL(world_frame_counters(&world).free, 98);
	CHECK_ERROR(lh_object_create(world.manager, &setup, &other), LH_OK);
	CHECK_ERROR(lh_object_hold_page(other, 1, WRITE, &frame), LH_NO_MEMORY);
	lh_object_drop(other);
	for (uint64_t page = 0; page < 100; page++)
		put(&world, object, page, 0, page);
	CHECK_EQUAL(world_frame_counters(&world).free, 0);
	CHECK_ERROR(lh_object_resize(object, 101 * PAGE), LH_NO_MEMORY);
	CHECK_EQUAL(lh_object_size(object), 100 * PAGE);
	CHECK_OK(lh_object_resize(object, 40 * PAGE + 1));
	CHECK_EQUAL(world_frame_counters(&world).committed, 41);
	CHECK_OK(lh_object_resize(object, 50 * PAGE));
	CHECK_EQUAL(world_frame_counters(&world).committed, 50);
	while (count > 0)
		lh_frame_drop(world.frames, taken[--count]);
	CHECK_SOUND(lh_object_check(object));
	lh_object_drop(object);
	world_close(&world);
}

/* --- the index --- */

#define INDEXED 600

static uint64_t spread(uint64_t n)
{
	return n < 200 ? n : n < 400 ? (n << 6) + 5 : n << 30;
}

TEST(the_page_index_agrees_with_an_array)
{
	test_world world;
	lh_page_index index;
	static uint64_t words[INDEXED];
	uint64_t count = 0;

	world_open(&world, &(world_setup){ 0 });
	memset(words, 0, sizeof words);
	lh_page_index_init(&index, &world.manager->nodes);
	for (unsigned step = 0; step < 6000; step++) {
		uint64_t n = test_random_below(INDEXED), at = spread(test_random_below(INDEXED));
		uint64_t next, found;

		if (words[n] == 0 && test_random_below(3) != 0) {
			words[n] = 1 + test_random_below(1000);
			count++;
			CHECK_OK(lh_page_index_ensure(&index, spread(n)));
			lh_page_index_set(&index, spread(n), words[n]);
		} else if (words[n] != 0) {
			words[n] = 0;
			count--;
			lh_page_index_set(&index, spread(n), 0);
		}
		CHECK_EQUAL(index.pages, count);
		found = lh_page_index_next(&index, &at);
		for (next = 0; next < INDEXED && (words[next] == 0 || spread(next) < at); next++)
			;
		if (found != 0)
			CHECK(next < INDEXED && spread(next) == at && words[next] == found);
		for (unsigned look = 0; look < 4; look++) {
			n = test_random_below(INDEXED);
			CHECK_EQUAL(lh_page_index_get(&index, spread(n)), words[n]);
		}
		if (step % 50 == 0)
			CHECK_SOUND(lh_page_index_check(&index));
	}
	for (uint64_t n = 0; n < INDEXED; n++)
		if (words[n] != 0)
			lh_page_index_set(&index, spread(n), 0);
	CHECK_EQUAL(lh_pool_read_counters(&world.manager->nodes).items, 0);
	CHECK(index.root == NULL);
	CHECK_ERROR(lh_page_index_ensure(&index, LH_INDEX_PAGE_MAX + 1), LH_INVALID);
	world_close(&world);
}

TEST(the_next_page_of_an_index_is_found_from_anywhere)
{
	test_world world;
	lh_page_index index;
	static const uint64_t set[] = { 3, 64, 4096 * 64 + 1, UINT64_C(1) << 40 };
	uint64_t page = 0;

	world_open(&world, &(world_setup){ 0 });
	lh_page_index_init(&index, &world.manager->nodes);
	CHECK_EQUAL(lh_page_index_next(&index, &page), 0);
	for (unsigned i = 0; i < 4; i++) {
		CHECK_OK(lh_page_index_ensure(&index, set[i]));
		lh_page_index_set(&index, set[i], i + 1);
	}
	for (unsigned i = 0; i < 4; i++, page++) {
		CHECK_EQUAL(lh_page_index_next(&index, &page), i + 1);
		CHECK_EQUAL(page, set[i]);
	}
	CHECK_EQUAL(lh_page_index_next(&index, &page), 0);
	page = UINT64_MAX;
	CHECK_EQUAL(lh_page_index_next(&index, &page), 0);
	for (unsigned i = 0; i < 4; i++)
		lh_page_index_set(&index, set[i], 0);
	world_close(&world);
}

/* --- failure of each step --- */

static world_file file;
static lh_object *made;

static lh_error create(test_world *world)
{
	lh_object_setup setup = { .kind = LH_OBJECT_ANONYMOUS, .size = 7 * PAGE,
				  .account = world->objects_account };

	return lh_object_create(world->manager, &setup, &made);
}

static lh_error create_committed(test_world *world)
{
	lh_object_setup setup = { .kind = LH_OBJECT_ANONYMOUS, .size = 7 * PAGE, .committed = true,
				  .account = world->objects_account };

	return lh_object_create(world->manager, &setup, &made);
}

static lh_error hold(test_world *world, lh_object *object, uint64_t page, lh_rights access)
{
	lh_frame_number frame;

	LH_TRY(lh_object_hold_page(object, page, access, &frame));
	if (!lh_frame_is_none(frame))
		lh_frame_drop(world->frames, frame);
	return LH_OK;
}

static lh_error write_first(test_world *world)
{
	return hold(world, world->object[0], 2, WRITE);
}

static lh_error write_far(test_world *world)
{
	return hold(world, world->object[1], UINT64_C(1) << 40, WRITE);
}

static lh_error read_absent(test_world *world)
{
	return hold(world, world->object[0], 2, READ);
}

static lh_error grow_committed(test_world *world)
{
	return lh_object_resize(world->object[2], 20 * PAGE);
}

static lh_error read_file(test_world *world)
{
	return hold(world, file.object, 5, READ);
}

static void forget_file(test_world *world)
{
	(void)world;
	CHECK_OK(lh_object_resize(file.object, 0));
	CHECK_OK(lh_object_resize(file.object, 8 * PAGE));
}

static const world_operation operations[] = {
	{ .name = "object create", .run = create },
	{ .name = "object create, committed", .run = create_committed },
	{ .name = "object write a page", .run = write_first },
	{ .name = "object write far", .run = write_far },
	{ .name = "object read absent", .run = read_absent },
	{ .name = "object grow, committed", .run = grow_committed },
	{ .name = "object read a file", .run = read_file, .undo = forget_file, .file = &file },
};

/* What is promised is charged to an account. */
TEST(a_failed_operation_on_an_object_leaves_no_trace)
{
	for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
		test_world world;
		lh_account account;

		world_open(&world, &(world_setup){ 0 });
		CHECK_OK(lh_account_open(&account, world.frames, NULL, LH_NO_ACCOUNT_LIMIT));
		world.objects_account = &account;
		made = NULL;
		world.object[0] = world_object(&world, 10 * PAGE, false);
		world.object[1] = world_object(&world, UINT64_C(1) << 62, false);
		world.object[2] = world_object(&world, 10 * PAGE, true);
		put(&world, world.object[1], 7, 0, 1);
		world.object[3] = world_file_open(&world, &file, 8 * PAGE);
		world_inject(&world, &operations[i]);
		if (made)
			lh_object_drop(made);
		for (unsigned n = 0; n < 3; n++)
			lh_object_drop(world.object[n]);
		memset(world.object, 0, sizeof world.object);
		world_file_close(&file);
		lh_account_close(&account);
		world_close(&world);
	}
}

/* --- accounts --- */

/* The operation is refused by an account's limit, and nothing has changed. */
static void check_limited(test_world *world, const world_operation *operation)
{
	inject_buffer before = { 0 }, after = { 0 };

	world_serialise(world, &before);
	CHECK_ERROR(operation->run(world), LH_LIMIT);
	world_serialise(world, &after);
	CHECK_SOUND(inject_difference(&before, &after));
	inject_buffer_free(&before);
	inject_buffer_free(&after);
}

/* Two objects below one limit: one of 10 pages, all promised, and one that has one page; 12 pages are allowed. */
TEST(an_account_that_is_full_refuses_and_nothing_changes_until_something_is_given_back)
{
	static const world_operation refused[] = {
		{ .run = create_committed }, { .run = write_first }, { .run = write_far }, { .run = grow_committed },
	};
	test_world world;
	lh_account all, below;
	uint64_t value = 1;

	world_open(&world, &(world_setup){ 0 });
	CHECK_OK(lh_account_open(&all, world.frames, NULL, 12));
	CHECK_OK(lh_account_open(&below, world.frames, &all, 11));
	world.objects_account = &all;
	world.object[0] = world_object(&world, 10 * PAGE, false);
	world.object[1] = world_object(&world, UINT64_C(1) << 62, false);
	put(&world, world.object[0], 0, 0, 1);
	world.objects_account = &below;
	world.object[2] = world_object(&world, 11 * PAGE, true);
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
		check_limited(&world, &refused[i]);
	CHECK_OK(read_absent(&world));
	CHECK_OK(create(&world)); /* of which no page is there */
	lh_object_drop(made);
	world_make(&world, 0);
	world_map_object(&world, 0, 10, 4, READ | WRITE, LH_REGION_SHARED, world.object[0], 0);
	CHECK_EQUAL(world_write(&world, 0, world_page(&world, 10), value), LH_FAULT_OK);
	CHECK_EQUAL(world_write(&world, 0, world_page(&world, 12), value), LH_FAULT_BUS);
	CHECK_EQUAL(world_read(&world, 0, world_page(&world, 12), &value), LH_FAULT_BUS);
	CHECK_OK(lh_object_resize(world.object[2], 10 * PAGE));
	CHECK_EQUAL(world_write(&world, 0, world_page(&world, 12), value), LH_FAULT_OK);
	CHECK_EQUAL(lh_account_charged(&all), 12);
	CHECK_EQUAL(lh_account_charged(&below), 10);
	world_check(&world);
	check_limited(&world, &refused[3]);
	world_destroy(&world, 0);
	for (unsigned n = 0; n < 3; n++)
		lh_object_drop(world.object[n]);
	lh_account_close(&below);
	lh_account_close(&all);
	world_close(&world);
}

/* --- the walker --- */

static void expect(lh_object *object, const char *finding)
{
	const char *found = lh_object_check(object);

	CHECK(found && strcmp(found, finding) == 0);
}

/* => page 3 alone is there. */
static void find_damage_to_index(lh_object *object)
{
	lh_index_node *root = object->index.root;
	uint64_t slot = root->slots[3];

	object->index.height = 0;
	expect(object, "an index has a root without height, or the reverse");
	object->index.height = 1;
	object->index.root = NULL;
	expect(object, "an index has a root without height, or the reverse");
	object->index.root = root;
	root->slots[3] = 0;
	expect(object, "an index node is empty");
	root->slots[3] = slot;
	root->slots[5] = slot;
	root->used++;
	CHECK(lh_object_check(object) != NULL); /* one frame, two pages */
	root->slots[5] = 0;
	root->used--;
	CHECK_SOUND(lh_object_check(object));
}

static void find_damage_to_list(test_world *world, lh_object *object)
{
	lh_region *region, stranger = { 0 };
	lh_region_tree *tree;

	world_make(world, 0);
	world_map_object(world, 0, 10, 2, READ, LH_REGION_SHARED, object, 0);
	CHECK_SOUND(lh_object_check(object));
	region = object->regions;
	tree = region->tree;
	region->object = NULL;
	expect(object, "an object's list holds a region that is not its own");
	region->object = object;
	region->tree = NULL;
	expect(object, "an object's list holds a region that is not its own");
	region->tree = tree;
	region->object_next = &stranger;
	expect(object, "an object's list holds a region that is not its own");
	region->object_next = NULL;
	CHECK_SOUND(lh_object_check(object));
	world_destroy(world, 0);
}

TEST(the_walker_of_objects_finds_each_kind_of_damage)
{
	test_world world;
	lh_object *object;
	lh_frame_number frame;
	lh_frame_entry *entry;

	world_open(&world, &(world_setup){ 0 });
	object = world_object(&world, 10 * PAGE, false);
	put(&world, object, 3, 0, 1);
	CHECK_OK(lh_object_hold_page(object, 3, READ, &frame));
	lh_frame_drop(world.frames, frame);
	entry = lh_frame_entry_of(world.frames, frame);

	entry->word++;
	expect(object, "an object's page does not carry its stamp");
	entry->word--;
	entry->state = LH_FRAME_ANONYMOUS;
	expect(object, "an object's page is no object frame");
	entry->state = LH_FRAME_OBJECT;
	entry->holders = 0;
	expect(object, "an object's page is no object frame");
	entry->holders = 1;
	object->size = 3 * PAGE;
	expect(object, "an object has a page past its end");
	object->size = 10 * PAGE;
	object->index.pages++;
	expect(object, "an index miscounts its pages");
	object->index.pages--;
	object->index.root->used++;
	expect(object, "an index node miscounts its slots");
	object->index.root->used--;
	CHECK_SOUND(lh_object_check(object));
	find_damage_to_index(object);
	find_damage_to_list(&world, object);
	lh_object_drop(object);
	world_close(&world);
}
