/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Growth within growth. A host may use the heap in each port call in which it may use the library: memory
 * pressure, a shrinker, a pager; in no other. And whatever a CPU does, another may grow the heap at the same moment.
 */
#include "heap/room.h"

#include <landhold/reclaim.h>

#include "adversary.h"
#include "world/world.h"

/* --- in the host's answers --- */

#define NEST_MOST 400

/* What the host's functions have: nested says how often each has grown the heap. */
enum { BY_PRESSURE, BY_SHRINKER, BY_READ, BY_WRITE, BY_RELEASE, WAYS };

static struct {
	test_world world;
	lh_heap heap;
	lh_shrinker shrinker;
	lh_virtual_address held[NEST_MOST];
	unsigned count, calls, nested[WAYS];
} host;

/* Grows: each time more than any run that is kept could serve. Running out is allowed, harm is not. */
static uint64_t grow(unsigned way)
{
	lh_virtual_address small, large;
	uint64_t bytes = (9 + host.calls++ % 30) * LH_PAGE_SIZE;

	CHECK_EQUAL(host.world.machine->cpus[0].locks.count, 0);
	host.nested[way]++;
	if (lh_heap_allocate(&host.heap, 1 + host.calls * 37 % 9000, 0, &small) != LH_OK)
		return lh_heap_trim(&host.heap);
	if (host.count < NEST_MOST)
		host.held[host.count++] = small;
	else
		lh_heap_free(&host.heap, small, 0);
	if (lh_heap_allocate_zeroed(&host.heap, bytes, 0, &large) == LH_OK) {
		CHECK(lh_heap_resize(&host.heap, &large, bytes, 2 * bytes) != LH_INVALID);
		lh_heap_free(&host.heap, large, 0);
	}
	return lh_heap_trim(&host.heap);
}

/* Memory that the heap holds is what the host can give: first what is kept, then the blocks. Only what
 * is free in the end counts: else the fault would try again for ever. */
static bool pressure(void *context, uint64_t pages)
{
	uint64_t before = world_frame_counters(&host.world).free;

	(void)context;
	(void)pages;
	(void)grow(BY_PRESSURE);
	while (world_frame_counters(&host.world).free <= before && host.count != 0) {
		lh_heap_free(&host.heap, host.held[--host.count], 0);
		(void)lh_heap_trim(&host.heap);
	}
	return world_frame_counters(&host.world).free > before;
}

static uint64_t scan(lh_shrinker *shrinker, unsigned priority, uint64_t most)
{
	(void)shrinker;
	(void)most;
	if (priority == 0)
		(void)grow(BY_SHRINKER);
	return 0;
}

static void pager_read(void *file, lh_object *object, uint64_t page, lh_frame_number frame)
{
	(void)file;
	(void)grow(BY_READ);
	memset(lh_frame_pointer(host.world.frames, frame), 1, LH_PAGE_SIZE);
	lh_object_page_read(object, page, LH_OK);
}

static void pager_write(void *file, lh_object *object, uint64_t page, lh_frame_number frame)
{
	(void)file;
	(void)frame;
	(void)grow(BY_WRITE);
	lh_object_page_written(object, page, LH_OK);
}

static void pager_release(void *file)
{
	(void)file;
	(void)grow(BY_RELEASE);
}

static void begin_host(void)
{
	lh_kernel_request request = { .placement = { .pages = 1 << 14 } };

	memset(&host, 0, sizeof host);
	world_open(&host.world, &(world_setup){ .frames = 1024, .policy = LH_CHARGE_HEURISTIC });
	/* Who watches takes a page for mapped too early if its bytes change by way of its frame. */
	machine_watch(host.world.machine, NULL, NULL);
	CHECK_OK(lh_heap_create(&host.heap, host.world.manager, &request, 0));
	host.shrinker.scan = scan;
	lh_shrinker_add(host.world.frames, &host.shrinker);
	host.world.machine->hooks = (machine_hooks){ .memory_pressure = pressure };
	(void)world_make(&host.world, 0);
}

static void end_host(void)
{
	while (host.count != 0)
		lh_heap_free(&host.heap, host.held[--host.count], 0);
	CHECK_SOUND(lh_heap_check(&host.heap));
	lh_shrinker_remove(host.world.frames, &host.shrinker);
	lh_heap_destroy(&host.heap);
	world_destroy(&host.world, 0);
	world_close(&host.world);
}

static void use_file(void)
{
	static const lh_pager pager = { pager_read, pager_write, pager_release };
	lh_object_setup setup = { .kind = LH_OBJECT_FILE, .size = 4 * LH_PAGE_SIZE, .pager = &pager,
				  .file = &host };
	lh_object *object;

	CHECK_OK(lh_object_create(host.world.manager, &setup, &object));
	world_map_object(&host.world, 0, 0, 4, READ_WRITE, LH_REGION_SHARED, object, 0);
	for (unsigned page = 0; page < 4; page++)
		world_poke(&host.world, 0, world_page(&host.world, page), page);
	CHECK_OK(lh_object_sync(object, 0, 4));
	world_unmap(&host.world, 0, 0, 4);
	lh_object_drop(object);
}

/* More pages than there are frames: faults run out, and the host answers, from the heap. */
static void use_up_memory(void)
{
	uint64_t page = 100;
	lh_fault fault = LH_FAULT_OK;

	world_map(&host.world, 0, 100, 900, READ_WRITE);
	for (; page < 1000 && fault == LH_FAULT_OK; page++)
		fault = world_write(&host.world, 0, world_page(&host.world, page), page);
	CHECK(page > 500);
	CHECK(fault == LH_FAULT_NO_MEMORY || page == 1000);
}

TEST(the_heap_grows_within_each_port_call_that_may_use_the_library)
{
	begin_host();
	for (unsigned i = 0; i < 100; i++)
		(void)grow(BY_READ);
	host.nested[BY_READ] = 0;
	use_file();
	use_up_memory();
	for (unsigned way = 0; way < WAYS; way++)
		CHECK(host.nested[way] != 0);
	world_unmap(&host.world, 0, 100, 900);
	world_check(&host.world);
	end_host();
}

/* --- and in no other --- */

/* The port functions that were entered, and how often the heap was used there at hand, which must be told. */
static struct {
	unsigned entered[16], told;
	bool trying;
} port;

static const char *const functions[] = {
	"lh_port_frame_pointer", "lh_port_log", "lh_port_random", "lh_port_cpu", "lh_port_interrupts_off",
	"lh_port_interrupts_restore", "lh_port_call_cpus", "lh_port_pause", "lh_port_park", "lh_port_unpark",
};

#define FUNCTIONS (sizeof functions / sizeof functions[0])

static void wait_and_allocate(void *context)
{
	(void)context;
	(void)allocate(100, 0, false);
}

static void allocate_at_hand(void *context)
{
	lh_heap_request request = { 100, 0, LH_HEAP_AT_HAND, NULL };
	lh_virtual_address address;

	(void)context;
	(void)!lh_heap_allocate_as(&heap, &request, &address);
}

static void use_heap_inside(void *context, const char *function)
{
	const char *message;

	(void)context;
	if (port.trying)
		return;
	port.trying = true;
	for (size_t i = 0; i < FUNCTIONS; i++)
		port.entered[i] += strcmp(function, functions[i]) == 0;
	message = machine_expect_panic(machine, wait_and_allocate, NULL);
	CHECK(message && strstr(message, "lock order: the heap"));
	message = machine_expect_panic(machine, allocate_at_hand, NULL);
	/* What turned interrupts on may have been interrupted before it came back. */
	CHECK((message == NULL) == (strcmp(function, "lh_port_interrupts_restore") == 0));
	port.told += message && strstr(message, "lock order: the heap used inside a port function") != NULL;
	port.trying = false;
}

static void do_nothing(void *argument)
{
	(void)argument;
}

/* As the library calls them (heap_internal.h brings the marks), in every context that they allow. */
static void call_each(bool interrupts_are_on)
{
	const lh_cpu_set nobody = { { 0 } };
	uint32_t word = 0;

	(void)lh_port_frame_pointer(machine, lh_frame(16));
	lh_port_log(machine, "");
	(void)lh_port_random(machine);
	(void)lh_port_cpu(machine);
	lh_port_interrupts_restore(machine, lh_port_interrupts_off(machine));
	lh_port_pause(machine);
	lh_port_unpark(machine, &word);
	if (!interrupts_are_on)
		return;
	lh_port_call_cpus(machine, &nobody, do_nothing, NULL);
	lh_port_park(machine, &word, 1);
}

/* Nothing is held, and interrupts are on or off: the call itself is what is told. */
TEST(a9_the_heap_is_used_inside_no_port_function_that_the_library_has_called)
{
	const machine_hooks using = { .enter = use_heap_inside };
	uintptr_t interrupts;

	begin(1000, 0);
	memset(&port, 0, sizeof port);
	machine->hooks = using;
	call_each(true);
	for (size_t i = 0; i < FUNCTIONS; i++)
		CHECK_EQUAL(port.entered[i], 1);
	CHECK_EQUAL(port.told, FUNCTIONS - 1);
	machine->hooks = (machine_hooks){ .context = NULL };
	interrupts = lh_port_interrupts_off(machine);
	machine->hooks = using;
	call_each(false);
	CHECK_EQUAL(port.told, 2 * FUNCTIONS - 4);
	machine->hooks = (machine_hooks){ .context = NULL };
	lh_port_interrupts_restore(machine, interrupts);
	CHECK_OK(allocate(100, 0, false)); /* outside again */
	check_all_returned();
	end();
}

/* An interrupt's handler has the same record: it may come inside any, and use what is at hand. */
TEST(an_interrupt_in_a_port_function_may_use_the_heap_at_hand)
{
	uint32_t *inside;
	uintptr_t interrupts;
	lh_virtual_address address;
	lh_heap_request request = { 100, 0, LH_HEAP_AT_HAND, NULL };

	begin(1000, 0);
	CHECK_OK(allocate(100, 0, false));
	inside = lh_port_call_begin(machine);
	interrupts = lh_port_interrupts_off(machine);
	CHECK_OK(lh_heap_allocate_as(&heap, &request, &address));
	lh_heap_free_as(&heap, address, 100, LH_HEAP_AT_HAND, NULL);
	lh_port_interrupts_restore(machine, interrupts);
	lh_port_call_end(inside);
	check_all_returned();
	end();
}

/* --- on another CPU, at each moment that a CPU lets others in --- */

#define MANY 60

static struct {
	unsigned turns, grown;
	bool running;
} other;

/* Where the kernel's map is being changed, the other would have to wait. */
static void grow_on_other_cpu(void *context)
{
	unsigned own;

	(void)context;
	if (other.running || lh_atomic_load_relaxed(&manager->kernel_lock) != 0 || other.turns++ % 7 != 0)
		return;
	other.running = true;
	own = machine_run_on(machine, 1 - machine_current(machine));
	if (count < MANY)
		(void)!allocate(random_bytes(), 0, other.turns % 2);
	if (other.turns % 5 == 0)
		(void)lh_heap_trim(&heap);
	(void)machine_run_on(machine, own);
	other.grown++;
	other.running = false;
}

static void play_with_other(uint32_t flags)
{
	begin(4000, flags);
	other.turns = other.grown = 0;
	other.running = false;
	machine->hooks = (machine_hooks){ .turn = grow_on_other_cpu };
	for (unsigned step = 0; step < 150; step++) {
		if (count < MANY && test_random_below(3))
			(void)!allocate(random_bytes(), 0, false);
		else if (count != 0 && test_random_below(2))
			(void)!resize(test_random_below(count), random_bytes());
		for (unsigned i = 0; i < 4 && count > MANY / 2; i++)
			release(test_random_below(count));
		other.running = true;
		if (step % 10 == 0)
			check_sound();
		other.running = false;
	}
	CHECK(other.grown > 100);
	machine->hooks = (machine_hooks){ .context = NULL };
	check_all_returned();
	end();
}

TEST(the_heap_grows_and_shrinks_on_one_cpu_in_the_middle_of_what_another_does)
{
	play_with_other(0);
	play_with_other(LH_HEAP_CHECKED);
}
