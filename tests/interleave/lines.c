/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which cache lines two CPUs both write when each does the same operation again and again, on
 * memory of its own: what they fight for on a machine with many CPUs. CPU 0 in space 0, CPU 1 in
 * space 1, except where the name says that they share one. How many lines that may be stands beside each: a counter
 * that all write would be one more.
 *
 * Each CPU makes its memory itself, with the first operation, so that frames and regions come from what is its own.
 */
#include <stdlib.h>

#include <landhold/heap.h>

#include "interleave/scene.h"
#include "physical/frames_internal.h"

/* So much memory that nobody counts who holds a frame too many (src/physical/charge.c, LENT_ABOVE). */
#define FRAMES (LH_DEBUG >= 2 ? 1024u : 6144u)
/* From one CPU's pages to the next one's: in the same leaf table, or in another. */
#define NEAR 8
#define APART 512
/* Of each CPU: one for each round, counted or not. */
#define PAGES 130
/* Of each where rounds use the same again; the last keeps the table. */
#define FEW 5u
/* Frames whose entries fill a line. */
#define BETWEEN (64 / sizeof(lh_frame_entry))

/* extra[]: */
enum { SPREAD, MANY, NEXT };

static test_scene *open_pages(bool in_one_space, uint64_t spread, bool many)
{
	test_scene *scene = scene_open(FRAMES);

	scene_load(scene, 0, in_one_space ? 0 : 1, -1);
	scene->extra[SPREAD] = spread;
	scene->extra[MANY] = many;
	return scene;
}

static void *open_spaces(void)
{
	return open_pages(false, NEAR, false);
}

static void *open_table(void)
{
	return open_pages(true, NEAR, false);
}

static void *open_tables(void)
{
	return open_pages(true, APART, false);
}

static void *open_many(void)
{
	return open_pages(true, APART, true);
}

static unsigned own_number(const test_scene *scene)
{
	return (unsigned)scene->world.loaded[scene_cpu()];
}

static lh_space *own_space(const test_scene *scene)
{
	return scene->world.space[own_number(scene)];
}

static lh_space *child_of(const test_scene *scene)
{
	return scene->world.space[2 + scene_cpu()];
}

static uint64_t own_page(const test_scene *scene, uint64_t n)
{
	return SCENE_PAGE + scene->extra[SPREAD] * scene_cpu() + n;
}

/* Each CPU has pages of its own, in whatever space. */
static lh_virtual_range own_pages(const test_scene *scene, uint64_t pages)
{
	return world_range(&scene->world, own_page(scene, 0), pages);
}

static void write_page(test_scene *scene, uint64_t n)
{
	CHECK_EQUAL(scene_write(scene, own_page(scene, n), 1), LH_FAULT_OK);
}

/* The fault alone: of many entries the machine does not note accesses. */
static void fault_at(test_scene *scene, uint64_t n, lh_rights access)
{
	lh_virtual_address address = lh_virtual(world_page(&scene->world, own_page(scene, n)));

	CHECK_EQUAL(lh_space_fault(own_space(scene), address, access), LH_FAULT_OK);
}

static void fork_and_empty(test_scene *scene)
{
	lh_space *child = child_of(scene);

	CHECK_OK(lh_space_fork(own_space(scene), child));
	CHECK_OK(lh_space_unmap(child, scene->world.user));
}

/*
 * Entries of frames side by side lie on a line, and whose frames they are is chance. So what this CPU keeps of a kind
 * is to lie among frames that nobody uses.
 */
static void keep_apart(test_scene *scene, lh_frame_state state)
{
	lh_frames *frames = scene->world.frames;
	const struct frame_keep *keep = &frames->caches[scene_cpu()].keeps[KEEP_SINGLE + lh_frame_kind(state)];
	lh_frame_number taken[256];
	unsigned count = 0, kept = frames->capacity[KEEP_SINGLE] / 2;

	while (count < kept + 2 * BETWEEN || keep->count != 0) {
		CHECK(count < 256);
		CHECK_OK(lh_frame_allocate(frames, state, LH_FRAME_UNCHARGED, &taken[count]));
		count++;
	}
	for (unsigned n = 0; n < kept; n++)
		lh_frame_drop(frames, taken[count - BETWEEN - 1 - n]);
}

/* The next page of the CPU's own; the first time it makes them. Where they are many, others touch them. */
static uint64_t next_page(test_scene *scene)
{
	bool many = scene->extra[MANY];
	uint64_t next = scene->extra[NEXT + scene_cpu()]++;

	if (next == 0) {
		keep_apart(scene, LH_FRAME_KERNEL);
		keep_apart(scene, LH_FRAME_ANONYMOUS);
		world_make(&scene->world, 2 + scene_cpu());
		world_map(&scene->world, own_number(scene), own_page(scene, 0), many ? PAGES : FEW, READ_WRITE);
		for (uint64_t n = 0; n < (many ? 1 : FEW); n++)
			write_page(scene, n);
	}
	return next + 1;
}

static void fault(void *context)
{
	test_scene *scene = context;

	(void)next_page(scene);
	write_page(scene, 0);
	CHECK_OK(lh_space_discard(own_space(scene), own_pages(scene, 1)));
}

static void discard_many(void *context)
{
	test_scene *scene = context;

	(void)next_page(scene);
	for (uint64_t n = 0; n < FEW - 1; n++)
		write_page(scene, n);
	CHECK_OK(lh_space_discard(own_space(scene), own_pages(scene, FEW - 1)));
}

/* A page that nobody has touched. */
static void read_next(void *context)
{
	test_scene *scene = context;

	fault_at(scene, next_page(scene), LH_RIGHT_READ);
}

/* One that was copied by a fork, and is this space's alone again. */
static void write_next(void *context)
{
	test_scene *scene = context;
	uint64_t page = next_page(scene);

	if (page == 1) {
		for (uint64_t n = 1; n < PAGES; n++)
			fault_at(scene, n, LH_RIGHT_WRITE);
		fork_and_empty(scene);
	}
	fault_at(scene, page, LH_RIGHT_WRITE);
}

static void copy(void *context)
{
	test_scene *scene = context;

	(void)next_page(scene);
	CHECK_OK(lh_space_fork(own_space(scene), child_of(scene)));
	write_page(scene, 0);
	CHECK_OK(lh_space_unmap(child_of(scene), scene->world.user));
}

/* At the same place each time. */
static lh_virtual_range map(test_scene *scene)
{
	lh_map_request request = { .where = LH_AT, .pages = 2, .rights = READ_WRITE,
				   .address = lh_virtual(world_page(&scene->world, own_page(scene, 20))) };
	lh_virtual_range placed;

	CHECK_OK(lh_space_map(own_space(scene), &request, &placed));
	return placed;
}

static void map_unmap(void *context)
{
	test_scene *scene = context;

	(void)next_page(scene);
	CHECK_OK(lh_space_unmap(own_space(scene), map(scene)));
}

static void map_touch_unmap(void *context)
{
	test_scene *scene = context;
	lh_virtual_range placed;

	(void)next_page(scene);
	placed = map(scene);
	write_page(scene, 20);
	write_page(scene, 21);
	CHECK_OK(lh_space_unmap(own_space(scene), placed));
}

static void protect(void *context)
{
	test_scene *scene = context;

	(void)next_page(scene);
	CHECK_OK(lh_space_protect(own_space(scene), own_pages(scene, 2), READ));
	CHECK_OK(lh_space_protect(own_space(scene), own_pages(scene, 2), READ_WRITE));
}

/* Into a space of its own, which is emptied again. */
static void fork_it(void *context)
{
	(void)next_page(context);
	fork_and_empty(context);
}

/* Into one that is made for it, and destroyed. */
static void fork_exit(void *context)
{
	test_scene *scene = context;
	void **memory = &scene->items[scene_cpu()];
	lh_space *child;

	(void)next_page(scene);
	if (!*memory)
		*memory = aligned_alloc(64, (lh_space_size() + 63) & ~(size_t)63);
	CHECK_OK(lh_space_create(scene->world.manager, NULL, *memory, &child));
	CHECK_OK(lh_space_fork(own_space(scene), child));
	lh_space_destroy(child);
}

static void object(void *context)
{
	test_scene *scene = context;
	lh_object_setup setup = { .kind = LH_OBJECT_ANONYMOUS, .size = LH_PAGE_SIZE };
	lh_object *made;

	CHECK_OK(lh_object_create(scene->world.manager, &setup, &made));
	lh_object_drop(made);
}

static void frame(void *context)
{
	test_scene *scene = context;
	lh_frame_number taken;

	CHECK_OK(lh_frame_allocate(scene->world.frames, LH_FRAME_KERNEL, LH_FRAME_UNCHARGED, &taken));
	lh_frame_drop(scene->world.frames, taken);
}

#define ITEMS 200 /* more than a front has room for: some come from slabs, and go back there */

static void *open_heap(void)
{
	test_scene *scene = scene_open(0);
	lh_kernel_request request = { .placement.pages = 128 };

	scene->items[0] = aligned_alloc(64, sizeof(lh_heap));
	CHECK_OK(lh_heap_create(scene->items[0], scene->world.manager, &request, 0));
	scene_load(scene, -1, -1, -1);
	return scene;
}

static void items(void *context)
{
	test_scene *scene = context;
	lh_virtual_address taken[ITEMS];

	for (unsigned i = 0; i < ITEMS; i++)
		CHECK_OK(lh_heap_allocate(scene->items[0], 64, 0, &taken[i]));
	for (unsigned i = 0; i < ITEMS; i++)
		lh_heap_free(scene->items[0], taken[i], 64);
}

#define STEADY(identifier, start, operation, lines)                                              \
	LINES(identifier, .host = &scene_host, .fibres = 2, .open = start, .most_lines = lines,   \
	      .run = { operation, operation })

STEADY(fault_and_discard, open_spaces, fault, 0)
STEADY(fault_and_discard_four, open_spaces, discard_many, 0)
STEADY(fault_and_copy, open_spaces, copy, 0)
STEADY(map_and_unmap, open_spaces, map_unmap, 0)
STEADY(map_touch_and_unmap, open_spaces, map_touch_unmap, 0)
STEADY(protect_twice, open_spaces, protect, 0)
STEADY(fork_and_unmap, open_spaces, fork_it, 0)
STEADY(fork_and_exit, open_spaces, fork_exit, 0)
STEADY(object_make_and_drop, open_spaces, object, 0)
STEADY(frame_allocate_and_free, open_spaces, frame, 0)
STEADY(fault_to_read_in_one_space, open_many, read_next, 0)
STEADY(fault_to_write_in_one_space, open_many, write_next, 0)
/* A discard raises the directory's generation, and takes the map lock, as what follows does, which changes the tree. */
STEADY(fault_and_discard_in_one_space, open_tables, fault, 2)
/* And the table's lock. */
STEADY(fault_and_discard_in_one_table, open_table, fault, 3)
STEADY(map_and_unmap_in_one_space, open_table, map_unmap, INTERLEAVE_ANY)
STEADY(protect_twice_in_one_space, open_table, protect, INTERLEAVE_ANY)
STEADY(heap_allocate_and_free_200, open_heap, items, INTERLEAVE_ANY)
