/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A fault taken apart: plan, prepare, then something happens, then commit. Whether the commit goes
 * through or not, what can be read and written afterwards is what it would be without that fault.
 * Every case of a fault meets everything that can happen to its space or its object. Then the same
 * with whole faults: it happens at each moment at which interrupts are on, no mutex is held and no page in transit,
 * with two CPUs in the space where one leaf takes the place of another.
 */
#include <stddef.h>

#include "base/lock.h"
#include "object/object_page.h"
#include "space/fault.h"
#include "world/file.h"
#include "world/world.h"

#define AT 30
#define COUNT 4

struct scene {
	test_world world;
	world_file file;
};

/* --- the cases, by fault.h --- */

struct fault_case {
	const char *name;
	lh_fault_case expected;
	lh_rights access;
	bool file, shared;
	/* Brings page AT to where the case applies. */
	void (*prepare)(struct scene *scene);
};

static void read_first(struct scene *scene)
{
	(void)world_peek(&scene->world, 0, world_page(&scene->world, AT));
}

static void write_first(struct scene *scene)
{
	world_poke(&scene->world, 0, world_page(&scene->world, AT), 77);
}

static void write_and_fork(struct scene *scene)
{
	write_first(scene);
	CHECK_OK(lh_space_fork(scene->world.space[0], scene->world.space[1]));
}

static void write_and_hide(struct scene *scene)
{
	lh_virtual_range range = world_range(&scene->world, AT, COUNT);

	write_first(scene);
	CHECK_OK(lh_space_protect(scene->world.space[0], range, LH_RIGHT_NONE));
	CHECK_OK(lh_space_protect(scene->world.space[0], range, READ_WRITE));
}

static void fork_and_hide(struct scene *scene)
{
	write_and_fork(scene);
	write_and_hide(scene);
	CHECK_OK(lh_space_unmap(scene->world.space[1], scene->world.user));
}

static const struct fault_case cases[] = {
	{ "zero", LH_CASE_ZERO, READ, false, false, NULL },
	{ "fresh", LH_CASE_FRESH, WRITE, false, false, NULL },
	{ "fresh over zero", LH_CASE_FRESH, WRITE, false, false, read_first },
	{ "copy own", LH_CASE_COPY, WRITE, false, false, write_and_fork },
	{ "upgrade own", LH_CASE_UPGRADE, WRITE, false, false, write_and_hide },
	{ "upgrade own by reading", LH_CASE_UPGRADE, READ, false, false, write_and_hide },
	{ "upgrade the last one's", LH_CASE_UPGRADE, READ, false, false, fork_and_hide },
	{ "nothing", LH_CASE_NOTHING, WRITE, false, false, write_first },
	{ "show", LH_CASE_SHOW, READ, true, true, NULL },
	{ "show to write", LH_CASE_SHOW, WRITE, true, true, NULL },
	{ "show, private", LH_CASE_SHOW, READ, true, false, NULL },
	{ "copy the object's", LH_CASE_COPY, WRITE, true, false, NULL },
	{ "copy the shown", LH_CASE_COPY, WRITE, true, false, read_first },
	{ "upgrade shown", LH_CASE_UPGRADE, WRITE, true, true, read_first },
	{ "upgrade a copy", LH_CASE_UPGRADE, WRITE, true, false, write_and_hide },
};

/* --- what happens --- */

static void nothing(struct scene *scene)
{
	(void)scene;
}

static void truncate(struct scene *scene)
{
	CHECK_OK(lh_object_resize(scene->file.object, 0));
}

static void truncate_and_grow(struct scene *scene)
{
	truncate(scene);
	CHECK_OK(lh_object_resize(scene->file.object, COUNT * PAGE));
}

/* The page is another one, though its leaf, if there is one, is shown as before. */
static void truncate_grow_and_read(struct scene *scene)
{
	uint64_t value;

	truncate_and_grow(scene);
	(void)world_read(&scene->world, 0, world_page(&scene->world, AT), &value);
}

/* The page has other bytes now: a copy of the old ones is not to be installed. */
static void truncate_grow_and_fill(struct scene *scene)
{
	lh_frame_number frame;

	truncate_and_grow(scene);
	CHECK_OK(lh_object_hold_page(scene->file.object, 0, WRITE, &frame));
	*(uint64_t *)lh_frame_pointer(scene->world.frames, frame) = 55;
	lh_frame_drop(scene->world.frames, frame);
}

static void unmap(struct scene *scene)
{
	world_unmap(&scene->world, 0, AT, COUNT);
}

static void unmap_beside(struct scene *scene)
{
	world_unmap(&scene->world, 0, AT + 1, 1);
}

static void map_another(struct scene *scene)
{
	unmap(scene);
	world_map(&scene->world, 0, AT, COUNT, READ_WRITE);
}

/* A reservation that would allow what was allowed, if it had pages. */
static void reserve(struct scene *scene)
{
	lh_map_request request = { .where = LH_OVER, .pages = COUNT, .rights = READ_WRITE,
				   .reservation = true,
				   .address = lh_virtual(world_page(&scene->world, AT)) };
	lh_virtual_range placed;

	CHECK_OK(lh_space_map(scene->world.space[0], &request, &placed));
	world_settle(&scene->world);
}

static void protect(struct scene *scene, uint64_t pages, lh_rights rights)
{
	CHECK_OK(lh_space_protect(scene->world.space[0], world_range(&scene->world, AT, pages), rights));
	world_settle(&scene->world);
}

static void forbid_writing(struct scene *scene)
{
	protect(scene, COUNT, READ);
}

static void forbid_writing_one(struct scene *scene)
{
	protect(scene, 1, READ);
}

static void forbid_all(struct scene *scene)
{
	protect(scene, COUNT, LH_RIGHT_NONE);
}

static void allow_execution(struct scene *scene)
{
	protect(scene, COUNT, LH_RIGHTS_ALL);
}

static void discard(struct scene *scene)
{
	CHECK_OK(lh_space_discard(scene->world.space[0], world_range(&scene->world, AT, COUNT)));
	world_settle(&scene->world);
}

static void fork_it(struct scene *scene)
{
	world_make(&scene->world, 2);
	CHECK_OK(lh_space_fork(scene->world.space[0], scene->world.space[2]));
}

static void end_child(struct scene *scene)
{
	if (scene->world.space[1])
		world_destroy(&scene->world, 1);
}

static void read_it(struct scene *scene)
{
	uint64_t value;

	(void)world_read(&scene->world, 0, world_page(&scene->world, AT), &value);
}

static void write_it(struct scene *scene)
{
	(void)world_write(&scene->world, 0, world_page(&scene->world, AT), 88);
}

static void write_and_fork_again(struct scene *scene)
{
	write_it(scene);
	fork_it(scene);
}

static void write_back(struct scene *scene)
{
	CHECK_OK(lh_object_sync(scene->file.object, 0, COUNT));
}

static const struct {
	const char *name;
	void (*happens)(struct scene *scene);
	bool of_object; /* matters to file mappings only */
} events[] = {
	{ "nothing", nothing, false },
	{ "truncate", truncate, true },
	{ "truncate and grow", truncate_and_grow, true },
	{ "truncate, grow and read", truncate_grow_and_read, true },
	{ "truncate, grow and fill", truncate_grow_and_fill, true },
	{ "unmap", unmap, false },
	{ "unmap beside", unmap_beside, false },
	{ "map another", map_another, false },
	{ "reserve", reserve, false },
	{ "forbid writing", forbid_writing, false },
	{ "forbid writing one page", forbid_writing_one, false },
	{ "forbid all", forbid_all, false },
	{ "allow execution", allow_execution, false },
	{ "discard", discard, false },
	{ "fork", fork_it, false },
	{ "end the child", end_child, false },
	{ "read", read_it, false },
	{ "write", write_it, false },
	{ "write and fork", write_and_fork_again, false },
	{ "write back", write_back, true },
};

/* --- together --- */

struct outcome {
	lh_fault fetched, read, written;
	uint64_t value, of_children[2];
	uint64_t on_disk;
};

static void open_scene(struct scene *scene, const struct fault_case *fault)
{
	world_open(&scene->world, &(world_setup){ .frames = 512 });
	world_make(&scene->world, 0);
	world_make(&scene->world, 1);
	world_file_open(&scene->world, &scene->file, COUNT * PAGE);
	if (fault->file)
		world_map_object(&scene->world, 0, AT, COUNT, READ_WRITE,
				 fault->shared ? LH_REGION_SHARED : 0, scene->file.object, 0);
	else
		world_map(&scene->world, 0, AT, COUNT, READ_WRITE);
	/* A CPU of its own, so that its translations stay. */
	world_load(&scene->world, 0, 0);
	if (fault->prepare)
		fault->prepare(scene);
}

static void close_scene(struct scene *scene)
{
	for (unsigned n = 0; n < 3; n++)
		if (scene->world.space[n])
			world_destroy(&scene->world, n);
	world_file_close(&scene->file);
	world_close(&scene->world);
}

/* Everything that can be seen of the page. */
static struct outcome look(struct scene *scene)
{
	test_world *world = &scene->world;
	uint64_t address = world_page(world, AT);
	struct outcome outcome = { 0 };

	world_check_quickly(world);
	for (unsigned n = 1; n < 3; n++)
		if (world->space[n] && world_access(world, 1, n, address, MMU_READ,
						    &outcome.of_children[n - 1], 8) != LH_FAULT_OK)
			outcome.of_children[n - 1] = 1;
	outcome.fetched = world_access(world, 0, 0, address, MMU_FETCH, NULL, 1);
	outcome.read = world_access(world, 0, 0, address, MMU_READ, &outcome.value, 8);
	outcome.written = world_access(world, 0, 0, address, MMU_WRITE, &(uint64_t){ 99 }, 8);
	CHECK_OK(lh_object_sync(scene->file.object, 0, COUNT));
	outcome.on_disk = world_file_disk(&scene->file, 0);
	for (unsigned n = 1; n < 3; n++) {
		uint64_t after = 1;

		if (!world->space[n])
			continue;
		(void)world_access(world, 1, n, address, MMU_READ, &after, 8);
		outcome.of_children[n - 1] ^= after << 32;
	}
	world_check_quickly(world);
	return outcome;
}

/* How an attempt ends: not at all, by a commit, or by one under the map lock. */
enum ending { DROPPED, COMMITTED, COMMITTED_LOCKED };

static bool commit(lh_fault_plan *plan, enum ending ending)
{
	bool committed;

	if (ending != COMMITTED_LOCKED)
		return lh_fault_commit(plan);
	lh_space_lock(plan->space);
	committed = lh_fault_renew_locked(plan) && lh_fault_commit(plan);
	lh_space_unlock(plan->space);
	return committed;
}

static struct outcome run(const struct fault_case *fault, void (*happens)(struct scene *),
			  enum ending ending, bool *committed)
{
	struct scene scene;
	lh_fault_plan plan;
	struct outcome outcome;

	open_scene(&scene, fault);
	plan = (lh_fault_plan){
		.space = scene.world.space[0],
		.page = world_range(&scene.world, AT, 1),
		.access = fault->access,
		.source = { LH_NO_FRAME },
		.frame = { LH_NO_FRAME },
	};
	CHECK_EQUAL(lh_fault_make_plan(&plan), LH_FAULT_OK);
	CHECK_EQUAL(plan.name, fault->expected);
	CHECK_OK(lh_fault_prepare(&plan));
	world_settle(&scene.world);
	happens(&scene);
	*committed = ending != DROPPED && commit(&plan, ending);
	lh_fault_release(&plan);
	outcome = look(&scene);
	close_scene(&scene);
	return outcome;
}

static bool is_same(const struct outcome *a, const struct outcome *b)
{
	return a->fetched == b->fetched && a->read == b->read && a->written == b->written &&
	       a->value == b->value && a->of_children[0] == b->of_children[0] &&
	       a->of_children[1] == b->of_children[1] && a->on_disk == b->on_disk;
}

static void compare(const struct fault_case *fault, const char *meanwhile,
		    void (*happens)(struct scene *), enum ending ending, bool *committed)
{
	bool ignored;
	struct outcome with = run(fault, happens, ending, committed);
	struct outcome without = run(fault, happens, DROPPED, &ignored);

	if (!is_same(&with, &without))
		test_fail(__FILE__, __LINE__,
			  "%s, meanwhile %s: read %d %#llx write %d disk %#llx, not "
			  "%d %#llx %d %#llx", fault->name, meanwhile, with.read,
			  (unsigned long long)with.value, with.written,
			  (unsigned long long)with.on_disk, without.read,
			  (unsigned long long)without.value, without.written,
			  (unsigned long long)without.on_disk);
}

TEST(a_commit_after_anything_shows_what_a_later_fault_would)
{
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		for (size_t n = 0; n < sizeof events / sizeof events[0]; n++) {
			for (int ending = COMMITTED; ending <= COMMITTED_LOCKED; ending++) {
				bool committed;

				compare(&cases[i], events[n].name, events[n].happens,
					(enum ending)ending, &committed);
				/* Undisturbed, it goes through at once. */
				CHECK(n != 0 || committed);
			}
		}
	}
}

/* --- in the middle of whole faults --- */

struct interruption {
	struct scene *scene;
	void (*happens)(struct scene *);
	unsigned at;	/* the how-manieth moment */
	unsigned moments;
	bool happened;
};

/* Would somebody wait for a page that the fault which is interrupted is bringing? */
static bool is_in_transit(const lh_object *object)
{
	uint64_t slot;

	for (uint64_t page = 0; (slot = lh_page_index_next(&object->index, &page)) != 0; page++)
		if (lh_slot_is_in_transit(slot))
			return true;
	return false;
}

static bool is_locked(const struct scene *scene)
{
	const test_world *world = &scene->world;

	for (unsigned n = 0; n < 3; n++)
		if (world->space[n] && lh_mutex_is_held(&world->space[n]->lock))
			return true;
	return lh_mutex_is_held(&scene->file.object->lock) || is_in_transit(scene->file.object);
}

static void interrupt(void *context)
{
	struct interruption *interruption = context;
	struct scene *scene = interruption->scene;

	if (interruption->happened || is_locked(scene) || interruption->moments++ != interruption->at)
		return;
	interruption->happened = true;
	interruption->happens(scene);
}

/* *happened: whether the fault had so many moments. */
static struct outcome run_whole(const struct fault_case *fault, void (*happens)(struct scene *),
				unsigned at, bool two_cpus, bool *happened)
{
	struct scene scene;
	struct interruption interruption = { .scene = &scene, .happens = happens, .at = at };
	struct outcome outcome;
	lh_port *machine;

	open_scene(&scene, fault);
	if (two_cpus)
		world_load(&scene.world, 1, 0);
	machine = scene.world.machine;
	machine->hooks.context = &interruption;
	machine->hooks.turn = interrupt;
	(void)lh_space_fault(scene.world.space[0], lh_virtual(world_page(&scene.world, AT)),
			     fault->access);
	machine->hooks.turn = NULL;
	machine->hooks.context = NULL;
	*happened = interruption.happened;
	world_settle(&scene.world);
	outcome = look(&scene);
	close_scene(&scene);
	return outcome;
}

static void interrupt_at_each_moment(const struct fault_case *fault, size_t event, bool two_cpus)
{
	bool happened = true;
	struct outcome without = run(fault, events[event].happens, DROPPED, &happened);

	happened = true;
	for (unsigned at = 0; happened; at++) {
		struct outcome with = run_whole(fault, events[event].happens, at, two_cpus, &happened);

		if (happened && !is_same(&with, &without))
			test_fail(__FILE__, __LINE__,
				  "%s, at moment %u %s: read %d %#llx write %d, not %d %#llx %d",
				  fault->name, at, events[event].name, with.read,
				  (unsigned long long)with.value, with.written, without.read,
				  (unsigned long long)without.value, without.written);
		CHECK(at < 200);
	}
}

/* A leaf that is there gives way to another one: with two CPUs that takes more steps. */
static bool replaces(const struct fault_case *fault)
{
	return fault->prepare && (fault->expected == LH_CASE_COPY || fault->expected == LH_CASE_FRESH);
}

TEST(a_fault_that_anything_interrupts_shows_what_a_later_one_would)
{
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		for (size_t n = 0; n < sizeof events / sizeof events[0]; n++)
			if (cases[i].file || !events[n].of_object)
				interrupt_at_each_moment(&cases[i], n, replaces(&cases[i]));
}
