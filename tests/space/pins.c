/* SPDX-License-Identifier: BSD-2-Clause */
/* Pins: the device and the space see the same page as long as there is one, and nobody else sees it. */
#include <string.h>
#include <unistd.h>

#include "space/space.h"
#include "world/file.h"
#include "world/injection.h"

#define BASE 30
#define PAGES 4
#define SECONDS_MOST 120

struct pinning {
	test_world world;
	lh_frame_number frames[PAGES];
	lh_pinned pinned;
};

static void begin(struct pinning *pinning)
{
	memset(pinning, 0, sizeof *pinning);
	world_open(&pinning->world, &(world_setup){ 0 });
	world_make(&pinning->world, 0);
	world_make(&pinning->world, 1);
}

static void begin_mapped(struct pinning *pinning, uint64_t pages)
{
	begin(pinning);
	world_map(&pinning->world, 0, BASE, pages, READ_WRITE);
}

static uint64_t at(const struct pinning *pinning, uint64_t page)
{
	return world_page(&pinning->world, BASE + page);
}

static lh_error pin(struct pinning *pinning, unsigned n, uint64_t page, uint64_t pages, lh_rights access)
{
	lh_error error = lh_space_pin(pinning->world.space[n],
				      world_range(&pinning->world, BASE + page, pages), access,
				      LH_PIN_SHORT, pinning->frames, &pinning->pinned);

	if (error == LH_OK)
		pinning->world.promised += pages;
	return error;
}

static void unpin(struct pinning *pinning)
{
	pinning->world.promised -= pinning->pinned.pages;
	lh_space_unpin(&pinning->pinned);
}

static uint64_t *device(struct pinning *pinning, uint64_t page)
{
	return lh_frame_pointer(pinning->world.frames, pinning->frames[page]);
}

static void end(struct pinning *pinning)
{
	unpin(pinning);
	world_close(&pinning->world);
}

/* --- fork --- */

TEST(a_fork_leaves_a_pinned_page_to_the_parent)
{
	struct pinning pinning;
	test_world *world = &pinning.world;

	begin_mapped(&pinning, PAGES);
	CHECK_OK(pin(&pinning, 0, 0, 2, WRITE));
	world_poke(world, 0, at(&pinning, 0), 0x11);
	world_poke(world, 0, at(&pinning, 2), 0x22);
	CHECK_OK(lh_space_fork(world->space[0], world->space[1]));
	world_check(world);
	CHECK_EQUAL(world_holders(world, world_frame(world, 0, BASE)), 2);
	CHECK_EQUAL(world_holders(world, world_frame(world, 0, BASE + 2)), 2);
	CHECK(world_frame(world, 1, BASE).value != pinning.frames[0].value);
	/* The parent writes in place, and what the device writes is the parent's alone. */
	world_poke(world, 0, at(&pinning, 0), 0x12);
	CHECK_EQUAL(*device(&pinning, 0), 0x12);
	*device(&pinning, 0) = 0x13;
	CHECK_EQUAL(world_peek(world, 0, at(&pinning, 0)), 0x13);
	CHECK_EQUAL(world_peek(world, 1, at(&pinning, 0)), 0x11);
	world_poke(world, 1, at(&pinning, 0), 0x14);
	CHECK_EQUAL(*device(&pinning, 0), 0x13);
	world_check(world);
	end(&pinning);
}

/* The child of a parent that once pinned something shares all the same. */
TEST(a_fork_shares_what_is_pinned_no_more)
{
	struct pinning pinning;
	test_world *world = &pinning.world;

	begin_mapped(&pinning, PAGES);
	CHECK_OK(pin(&pinning, 0, 0, 2, WRITE));
	unpin(&pinning);
	CHECK_OK(lh_space_fork(world->space[0], world->space[1]));
	CHECK_EQUAL(world_frame(world, 1, BASE).value, pinning.frames[0].value);
	end(&pinning);
}

/* --- a frame of one's own --- */

/* Who pins to read, and unmaps, must not read on what the other writes (CVE-2020-29374). */
TEST(b3_a_pin_of_a_shared_page_sees_nothing_of_the_other_space)
{
	struct pinning pinning;
	test_world *world = &pinning.world;

	begin_mapped(&pinning, PAGES);
	world_poke(world, 0, at(&pinning, 0), 0x11);
	CHECK_OK(lh_space_fork(world->space[0], world->space[1]));
	CHECK_OK(lh_space_protect(world->space[1], world_range(world, BASE, 1), READ));
	CHECK_OK(pin(&pinning, 1, 0, 1, READ));
	CHECK_EQUAL(*device(&pinning, 0), 0x11);
	world_unmap(world, 1, BASE, 1);
	world_poke(world, 0, at(&pinning, 0), 0x5ec4e7);
	CHECK_EQUAL(*device(&pinning, 0), 0x11);
	world_check(world);
	end(&pinning);
}

TEST(a_page_that_is_pinned_to_be_read_is_what_the_space_writes_later)
{
	struct pinning pinning;
	test_world *world = &pinning.world;

	begin(&pinning);
	world->object[0] = world_object(world, PAGES * PAGE, false);
	world_map(world, 0, BASE, 1, READ_WRITE);
	world_map_object(world, 0, BASE + 1, 1, READ_WRITE, 0, world->object[0], 0);
	world_map(world, 0, BASE + 2, 1, READ_WRITE);
	CHECK_EQUAL(world_peek(world, 0, at(&pinning, 0)), 0);
	CHECK_EQUAL(world_peek(world, 0, at(&pinning, 1)), 0);
	CHECK_OK(pin(&pinning, 0, 0, 3, READ));
	for (uint64_t page = 0; page < 3; page++) {
		world_poke(world, 0, at(&pinning, page), 7 + page);
		CHECK_EQUAL(*device(&pinning, page), 7 + page);
	}
	world_check(world);
	lh_object_drop(world->object[0]);
	end(&pinning);
}

/* A right that is taken and given again: a write fault finds more than one holder. */
TEST(a_pinned_page_is_written_in_place)
{
	struct pinning pinning;
	test_world *world = &pinning.world;

	begin_mapped(&pinning, 1);
	CHECK_OK(pin(&pinning, 0, 0, 1, WRITE));
	CHECK_OK(lh_space_protect(world->space[0], world_range(world, BASE, 1), READ));
	CHECK_OK(lh_space_protect(world->space[0], world_range(world, BASE, 1), READ_WRITE));
	world_poke(world, 0, at(&pinning, 0), 0x11);
	CHECK_EQUAL(*device(&pinning, 0), 0x11);
	end(&pinning);
}

TEST(a_pinned_page_can_be_executed_once_its_region_can)
{
	struct pinning pinning;
	test_world *world = &pinning.world;

	begin_mapped(&pinning, 1);
	CHECK_OK(pin(&pinning, 0, 0, 1, WRITE));
	CHECK_EQUAL(world_fetch(world, 0, at(&pinning, 0)), LH_FAULT_NO_ACCESS);
	CHECK_OK(lh_space_protect(world->space[0], world_range(world, BASE, 1), LH_RIGHTS_ALL));
	CHECK_EQUAL(world_fetch(world, 0, at(&pinning, 0)), LH_FAULT_OK);
	CHECK_EQUAL(world_frame(world, 0, BASE).value, pinning.frames[0].value);
	end(&pinning);
}

/* --- the page goes, the frame stays --- */

TEST(a_frame_outlives_its_page_until_it_is_unpinned)
{
	struct pinning pinning;
	test_world *world = &pinning.world;
	uint64_t used;

	begin_mapped(&pinning, PAGES);
	CHECK_OK(pin(&pinning, 0, 0, PAGES, WRITE));
	used = world_frame_counters(world).used[LH_FRAME_ANONYMOUS];
	world_unmap(world, 0, BASE, 1);
	CHECK_OK(lh_space_discard(world->space[0], world_range(world, BASE + 1, 2)));
	CHECK_EQUAL(world_frame_counters(world).used[LH_FRAME_ANONYMOUS], used);
	world_poke(world, 0, at(&pinning, 1), 0x11);
	for (uint64_t page = 0; page < PAGES; page++) {
		CHECK_EQUAL(*device(&pinning, page), 0);
		*device(&pinning, page) = 0xbad;
	}
	CHECK_EQUAL(world_peek(world, 0, at(&pinning, 1)), 0x11);
	CHECK_EQUAL(world_peek(world, 0, at(&pinning, 2)), 0);
	/* One more for each that is pinned: a page that was touched again has two. */
	CHECK_EQUAL(world_frame_counters(world).committed, PAGES - 1 + PAGES);
	world_check(world);
	unpin(&pinning);
	CHECK_EQUAL(world_frame_counters(world).committed, PAGES - 1);
	world_check(world);
	end(&pinning);
}

TEST(pins_outlive_their_space)
{
	struct pinning pinning;
	test_world *world = &pinning.world;
	lh_account account;

	begin(&pinning);
	CHECK_OK(lh_account_open(&account, world->frames, NULL, 6));
	world->account[2] = &account;
	world_make(world, 2);
	world_map(world, 2, BASE, PAGES, READ_WRITE);
	CHECK_ERROR(pin(&pinning, 2, 0, 3, WRITE), LH_LIMIT);
	CHECK_EQUAL(lh_account_charged(&account), PAGES);
	CHECK_OK(pin(&pinning, 2, 0, 2, WRITE));
	world_destroy(world, 2);
	CHECK_EQUAL(lh_account_charged(&account), 2);
	*device(&pinning, 1) = 0xbad;
	unpin(&pinning);
	lh_account_close(&account);
	end(&pinning);
}

TEST(a_truncated_page_stays_the_devices_and_is_nobodys_else)
{
	struct pinning pinning;
	test_world *world = &pinning.world;
	lh_object *object;

	begin(&pinning);
	object = world_object(world, PAGES * PAGE, false);
	world_map_object(world, 0, BASE, PAGES, READ_WRITE, LH_REGION_SHARED, object, 0);
	CHECK_OK(pin(&pinning, 0, 1, 1, WRITE));
	CHECK_OK(lh_object_resize(object, PAGE));
	CHECK_OK(lh_object_resize(object, PAGES * PAGE));
	*device(&pinning, 0) = 0xbad;
	CHECK_EQUAL(world_peek(world, 0, at(&pinning, 1)), 0);
	world_check(world);
	unpin(&pinning);
	lh_object_drop(object);
	end(&pinning);
}

/* --- files --- */

TEST(a_file_page_stays_dirty_while_a_device_may_write_to_it)
{
	struct pinning pinning;
	test_world *world = &pinning.world;
	world_file file;
	lh_object *object;
	unsigned writes;

	begin(&pinning);
	object = world_file_open(world, &file, PAGES * PAGE);
	world_map_object(world, 0, BASE, PAGES, READ_WRITE, LH_REGION_SHARED, object, 0);
	CHECK_OK(pin(&pinning, 0, 1, 1, WRITE));
	CHECK_OK(lh_object_sync(object, 0, PAGES));
	writes = (unsigned)file.writes;
	*device(&pinning, 0) = 0x11;
	CHECK_OK(lh_object_sync(object, 0, PAGES));
	CHECK_EQUAL(file.writes, writes + 1);
	*device(&pinning, 0) = 0x12;
	unpin(&pinning);
	CHECK_OK(lh_object_sync(object, 0, PAGES));
	CHECK_EQUAL(file.writes, writes + 2);
	CHECK_OK(lh_object_sync(object, 0, PAGES));
	CHECK_EQUAL(file.writes, writes + 2);
	world_unmap(world, 0, BASE, PAGES);
	world_file_close(&file);
	end(&pinning);
}

/* --- a pinned page is faulted on as any other --- */

/* The region may be executed now, the leaf does not say so yet: by a fault that finds the page pinned. */
static void check_growing_protection(lh_rights before, lh_rights pinned_for, lh_rights after)
{
	struct pinning pinning;
	test_world *world = &pinning.world;
	lh_frame_number frame;

	begin(&pinning);
	world_map(world, 0, BASE, 1, before);
	CHECK_OK(pin(&pinning, 0, 0, 1, pinned_for));
	frame = world_frame(world, 0, BASE);
	CHECK_OK(lh_space_protect(world->space[0], world_range(world, BASE, 1), after));
	CHECK_EQUAL(world_fetch(world, 0, at(&pinning, 0)), LH_FAULT_OK);
	CHECK_EQUAL(world_frame(world, 0, BASE).value, frame.value);
	world_check(world);
	/* Another space has it too: the copy that it gets is executed, not the pinned page. */
	CHECK_OK(lh_space_fork(world->space[0], world->space[1]));
	CHECK_EQUAL(world_fetch(world, 1, at(&pinning, 0)), LH_FAULT_OK);
	CHECK_EQUAL(world_fetch(world, 0, at(&pinning, 0)), LH_FAULT_OK);
	world_check(world);
	end(&pinning);
}

TEST(a_pinned_page_whose_protection_grew_is_executed)
{
	alarm(SECONDS_MOST); /* a fault that is tried for ever ends the program */
	check_growing_protection(READ_WRITE, WRITE, (lh_rights)(READ | WRITE | EXECUTE));
	check_growing_protection(READ_WRITE, READ, (lh_rights)(READ | EXECUTE));
	check_growing_protection(READ, READ, (lh_rights)(READ | EXECUTE));
	alarm(0);
}

/* --- refusals: nothing is pinned then --- */

static void require_no_pins(struct pinning *pinning, uint64_t committed)
{
	world_settle(&pinning->world);
	CHECK_EQUAL(world_frame_counters(&pinning->world).committed, committed);
	for (uint64_t page = 0; page < PAGES; page++) {
		lh_frame_number frame = world_frame(&pinning->world, 0, BASE + page);

		if (!lh_frame_is_none(frame))
			CHECK_EQUAL(world_holders(&pinning->world, frame), 1);
	}
	world_check(&pinning->world);
}

TEST(a_range_is_pinned_whole_or_not_at_all)
{
	struct pinning pinning;
	test_world *world = &pinning.world;
	lh_object *device_memory;

	begin(&pinning);
	world_map(world, 0, BASE, 2, READ_WRITE);
	CHECK_ERROR(pin(&pinning, 0, 0, 3, WRITE), LH_NOT_MAPPED);
	require_no_pins(&pinning, 2);
	world_map(world, 0, BASE + 2, 1, READ);
	CHECK_ERROR(pin(&pinning, 0, 0, 3, WRITE), LH_NO_ACCESS);
	require_no_pins(&pinning, 2);
	CHECK_ERROR(pin(&pinning, 0, 0, 2, LH_RIGHT_EXECUTE), LH_INVALID);
	CHECK_ERROR(pin(&pinning, 0, 0, 0, WRITE), LH_INVALID);
	CHECK_OK(lh_object_create(world->manager,
				  &(lh_object_setup){ .kind = LH_OBJECT_PHYSICAL, .size = PAGE,
						      .physical = lh_frame(0x90000),
						      .type = LH_MEMORY_UNCACHED },
				  &device_memory));
	world_map_object(world, 0, BASE + 3, 1, READ_WRITE, LH_REGION_SHARED, device_memory, 0);
	CHECK_ERROR(pin(&pinning, 0, 3, 1, WRITE), LH_UNSUPPORTED);
	world_unmap(world, 0, BASE + 3, 1);
	lh_object_drop(device_memory);
	require_no_pins(&pinning, 2);
	end(&pinning);
}

TEST(the_zero_page_is_named_and_not_counted)
{
	struct pinning pinning;
	test_world *world = &pinning.world;
	lh_statistics before;

	begin(&pinning);
	before = world_statistics(world);
	world_map(world, 0, BASE, PAGES, READ);
	CHECK_OK(pin(&pinning, 0, 0, PAGES, READ));
	CHECK_EQUAL(world_statistics(world).frames.used[LH_FRAME_ANONYMOUS],
		    before.frames.used[LH_FRAME_ANONYMOUS]);
	for (uint64_t page = 0; page < PAGES; page++)
		CHECK_EQUAL(*device(&pinning, page), 0);
	world_check(world);
	end(&pinning);
}

TEST(more_pins_than_can_be_counted_are_refused)
{
	static lh_pinned pins[LH_PINS_LONG_MOST];
	static lh_frame_number frames[LH_PINS_LONG_MOST][2];
	struct pinning pinning;
	test_world *world = &pinning.world;
	lh_virtual_range two;

	begin(&pinning);
	world_map(world, 0, BASE, 2, READ_WRITE);
	two = world_range(world, BASE, 2);
	for (unsigned n = 0; n < LH_PINS_LONG_MOST; n++)
		CHECK_OK(lh_space_pin(world->space[0], n ? world_range(world, BASE + 1, 1) : two, WRITE,
				      LH_PIN_LONG, frames[n], &pins[n]));
	CHECK_ERROR(lh_space_pin(world->space[0], two, WRITE, LH_PIN_LONG, pinning.frames,
				 &pinning.pinned), LH_LIMIT);
	CHECK_EQUAL(world_holders(world, frames[0][0]), 2);
	CHECK_EQUAL(world_holders(world, frames[0][1]), 1 + LH_PINS_LONG_MOST);
	world->promised = LH_PINS_LONG_MOST + 1;
	world_check(world);
	world->promised = 0;
	for (unsigned n = 0; n < LH_PINS_LONG_MOST; n++)
		lh_space_unpin(&pins[n]);
	end(&pinning);
}

/* --- each step fails once --- */

static struct pinning *failing;

static lh_error pin_fresh(test_world *world)
{
	(void)world;
	return pin(failing, 0, 600, 1, WRITE);
}

static lh_error pin_shared(test_world *world)
{
	(void)world;
	return pin(failing, 0, 0, 1, READ);
}

static lh_error fork_pinned(test_world *world)
{
	return lh_space_fork(world->space[0], world->space[2]);
}

TEST(a_failed_pin_or_fork_of_pinned_pages_leaves_no_trace)
{
	static const world_operation of_pins[] = {
		{ .name = "pin: fresh, new tables", .run = pin_fresh },
		{ .name = "pin: copy of a shared page", .run = pin_shared },
		{ .name = "fork: pages are pinned", .run = fork_pinned },
	};

	for (size_t i = 0; i < sizeof of_pins / sizeof of_pins[0]; i++) {
		struct pinning pinning;
		test_world *world = &pinning.world;

		begin(&pinning);
		failing = &pinning;
		world_make(world, 2);
		world_map(world, 0, BASE, PAGES, READ_WRITE);
		world_map(world, 0, BASE + 600, PAGES, READ_WRITE);
		for (uint64_t page = 0; page < PAGES; page++)
			world_poke(world, 0, at(&pinning, page), page);
		CHECK_OK(lh_space_fork(world->space[0], world->space[1]));
		if (i == 2)
			CHECK_OK(pin(&pinning, 0, 0, PAGES, WRITE));
		world_inject(world, &of_pins[i]);
		end(&pinning);
	}
}

/* --- a fork between a plan and its commit --- */

/* At each turn the versions of the piece change, so that the fault ends under the map lock; at one a fork comes. */
static struct {
	struct pinning *pinning;
	unsigned turns, fork_at;
	bool inside, forked;
} meeting;

static void meet(void *context)
{
	test_world *world = &meeting.pinning->world;
	lh_virtual_range beside = world_range(world, BASE + 3, 1);

	(void)context;
	if (meeting.inside || world->space[0]->lock != 0)
		return;
	meeting.inside = true;
	meeting.forked = ++meeting.turns == meeting.fork_at || meeting.forked;
	if (meeting.turns == meeting.fork_at) {
		CHECK_OK(lh_space_fork(world->space[0], world->space[1]));
	} else {
		CHECK_OK(lh_space_protect(world->space[0], beside, READ));
		CHECK_OK(lh_space_protect(world->space[0], beside, READ_WRITE));
	}
	meeting.inside = false;
}

/* => false: the pin was done before the fork's turn came. */
static bool pin_meets_fork(unsigned turn)
{
	struct pinning pinning;
	test_world *world = &pinning.world;

	begin_mapped(&pinning, PAGES);
	world_poke(world, 0, at(&pinning, 0), 0x11);
	/* Its own, and read-only: as after a fork whose child is gone. */
	CHECK_OK(lh_space_fork(world->space[0], world->space[1]));
	CHECK_OK(lh_space_unmap(world->space[1], world_range(world, BASE, PAGES)));
	memset(&meeting, 0, sizeof meeting);
	meeting.pinning = &pinning;
	meeting.fork_at = turn;
	world->machine->hooks.turn = meet;
	CHECK_OK(pin(&pinning, 0, 0, 1, READ));
	world->machine->hooks.turn = NULL;
	if (meeting.forked) {
		CHECK_EQUAL(world_write(world, 1, at(&pinning, 0), 0x99), LH_FAULT_OK);
		CHECK_EQUAL(world_peek(world, 0, at(&pinning, 0)), 0x11);
		CHECK_EQUAL(*device(&pinning, 0), 0x11);
	}
	end(&pinning);
	return meeting.forked;
}

TEST(a_pin_to_read_that_meets_a_fork_pins_no_frame_of_the_child)
{
	unsigned turn = 1;

	while (pin_meets_fork(turn))
		turn++;
	CHECK(turn > 4);
}
