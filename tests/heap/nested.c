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

/*
 * Each function of the port is called as the library calls it (heap_internal.h brings the marks), and there its
 * host uses the heap: in the way that may wait, and at hand. The list is made from the header: a
 * function that is new does not compile until it is said here how it is called, and what must come of it.
 */

/* What must come of the heap's use in a function. */
enum verdict {
	TOLD,		    /* at hand as well */
	TOLD_IF_IT_WAITS,   /* restore: what it turned on may have been interrupted before it came back */
	ALLOWED,	    /* pressure: the host may use all that stands on the library */
	CANNOT_BE_TOLD,	    /* the checks ask it themselves; nothing is harmed where nothing is held */
};

static struct {
	const char *function; /* where the host uses the heap */
	bool using;
	unsigned entered, waits_told, at_hand_told, other_panics;
	lh_virtual_address held; /* what was had there */
} port;

static void do_nothing(void *argument)
{
	(void)argument;
}

static void call_lh_port_frame_pointer(void)
{
	(void)lh_port_frame_pointer(machine, lh_frame(16));
}

static void panic(void *context)
{
	(void)context;
	lh_port_panic(machine, "on purpose");
}

static void call_lh_port_panic(void)
{
	CHECK(machine_expect_panic(machine, panic, NULL));
}

static void call_lh_port_log(void)
{
	lh_port_log(machine, "");
}

static void call_lh_port_random(void)
{
	(void)lh_port_random(machine);
}

static void call_lh_port_cpu(void)
{
	(void)lh_port_cpu(machine);
}

static void call_lh_port_interrupts_off(void)
{
	lh_port_interrupts_restore(machine, lh_port_interrupts_off(machine));
}

static void call_lh_port_interrupts_restore(void)
{
	call_lh_port_interrupts_off();
}

static void call_lh_port_interrupts_are_on(void)
{
	(void)lh_port_interrupts_are_on(machine);
}

static void call_lh_port_call_cpus(void)
{
	const lh_cpu_set nobody = { { 0 } };

	lh_port_call_cpus(machine, &nobody, do_nothing, NULL);
}

static void call_lh_port_pause(void)
{
	lh_port_pause(machine);
}

static void call_lh_port_park(void)
{
	uint32_t word = 0;

	lh_port_park(machine, &word, 1);
}

static void call_lh_port_unpark(void)
{
	uint32_t word = 0;

	lh_port_unpark(machine, &word);
}

static void call_lh_port_memory_pressure(void)
{
	(void)lh_port_memory_pressure(machine, 1);
}

static void call_lh_port_lock_record(void)
{
	(void)lh_port_lock_record(machine);
}

static void call_lh_architecture_flush_local(void)
{
	const lh_virtual_range nothing = { { 0 }, 0 };
	uintptr_t interrupts = lh_port_interrupts_off(machine);

	lh_architecture_flush_local(machine, lh_manager_kernel_root(manager), nothing, false);
	lh_port_interrupts_restore(machine, interrupts);
}

static void call_lh_architecture_load(void)
{
	uintptr_t interrupts = lh_port_interrupts_off(machine);

	lh_architecture_load(machine, lh_manager_kernel_root(manager));
	lh_port_interrupts_restore(machine, interrupts);
}

static const struct port_function {
	const char *name;
	void (*call)(void);
} functions[] = {
#define PORT_FUNCTION(name) { #name, call_##name },
#include "port_functions.h"
#undef PORT_FUNCTION
};

#define FUNCTIONS (sizeof functions / sizeof functions[0])

/* Those of which more is to be said than that the use is told, and that interrupts may be on or off. */
static const struct rule {
	const char *name;
	enum verdict verdict;
	bool only_with_interrupts_on;
} rules[] = {
	{ "lh_port_panic", CANNOT_BE_TOLD, false },
	{ "lh_port_interrupts_restore", TOLD_IF_IT_WAITS, false },
	{ "lh_port_call_cpus", TOLD, true },
	{ "lh_port_park", TOLD, true },
	{ "lh_port_memory_pressure", ALLOWED, true },
	{ "lh_port_lock_record", CANNOT_BE_TOLD, false },
};

static struct rule rule_of(const char *name)
{
	for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
		if (strcmp(rules[i].name, name) == 0)
			return rules[i];
	return (struct rule){ name, TOLD, false };
}

static void use_and_wait(void *context)
{
	(void)context;
	if (lh_heap_allocate(&heap, 100, 0, &port.held) == LH_OK)
		lh_heap_free(&heap, port.held, 100);
}

static void use_at_hand(void *context)
{
	lh_heap_request request = { 100, 0, LH_HEAP_AT_HAND, NULL };

	(void)context;
	if (lh_heap_allocate_as(&heap, &request, &port.held) == LH_OK)
		lh_heap_free_as(&heap, port.held, 100, LH_HEAP_AT_HAND, NULL);
}

/* => whether it was told of; any other panic is counted. */
static bool is_told(void (*use)(void *context))
{
	const char *message = machine_expect_panic(machine, use, NULL);

	if (message && !strstr(message, "lock order: the heap"))
		port.other_panics++;
	return message != NULL;
}

static void use_heap_inside(void *context, const char *function)
{
	(void)context;
	if (port.using || strcmp(function, port.function) != 0)
		return;
	port.using = true;
	port.entered++;
	port.waits_told += is_told(use_and_wait);
	port.at_hand_told += is_told(use_at_hand);
	port.using = false;
}

static void use_heap_in(const struct port_function *function, bool interrupts_are_on)
{
	struct rule rule = rule_of(function->name);

	if (rule.only_with_interrupts_on && !interrupts_are_on)
		return;
	memset(&port, 0, sizeof port);
	port.function = function->name;
	machine->hooks = (machine_hooks){ .enter = use_heap_inside };
	function->call();
	machine->hooks = (machine_hooks){ .context = NULL };
	if (port.entered == 0)
		test_fail(__FILE__, __LINE__, "%s was not entered", function->name);
	if ((port.at_hand_told != 0) != (rule.verdict == TOLD))
		test_fail(__FILE__, __LINE__, "the heap at hand in %s: told %u times", function->name, port.at_hand_told);
	if (rule.verdict != CANNOT_BE_TOLD && (port.waits_told != 0) != (rule.verdict != ALLOWED))
		test_fail(__FILE__, __LINE__, "the heap in %s: told %u times", function->name, port.waits_told);
	CHECK_EQUAL(port.other_panics, 0);
}

/* Nothing is held, and interrupts are on or off: the call itself is what is told. */
TEST(a9_the_heap_is_used_inside_no_port_function_that_the_library_has_called)
{
	uintptr_t interrupts;

	CHECK(FUNCTIONS >= 16);
	begin(1000, 0);
	CHECK_OK(allocate(100, 0, false));
	for (size_t i = 0; i < FUNCTIONS; i++) {
		use_heap_in(&functions[i], true);
		interrupts = lh_port_interrupts_off(machine);
		use_heap_in(&functions[i], false);
		lh_port_interrupts_restore(machine, interrupts);
		CHECK_OK(allocate(100, 0, false)); /* outside again */
		check_sound();
	}
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
