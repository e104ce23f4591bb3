/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Landhold's heap over its memory manager, with frames that are this process's own memory. The port
 * does what a kernel's would, as cheaply: a frame's pointer is an addition, interrupts are nothing.
 * No CPU translates by the tables, but their entries are written all the same.
 *
 * A kernel reaches a block by its address. Here that is looked up in a table, which stands for
 * a CPU's TLB (table.h says what that does to the figures): filled by who finds a page missing there, emptied by
 * flushes. It is not counted as memory, as no TLB is. (Interrupts cost nothing; a kernel pays for them twice an
 * operation.)
 */
#include "subject.h"
#include "table.h"

#include <landhold/heap.h>
#include <landhold/manager.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define FRAMES (UINT64_C(1) << 18) /* 1 GiB */
#define FIRST_FRAME 16
#define KERNEL_BASE UINT64_C(0xffff900000000000)
#define HEAP_PAGES TABLE_PAGES /* and at a multiple of itself */

static uint8_t *memory;
static lh_frames *frames;
static lh_manager *manager;
static lh_heap heap;
static uint64_t free_before, free_least;
static _Thread_local unsigned cpu;

/* --- the port --- */

void *lh_port_frame_pointer(lh_port *port, lh_frame_number frame)
{
	(void)port;
	return memory + ((frame.value - FIRST_FRAME) << LH_PAGE_SHIFT);
}

void lh_port_panic(lh_port *port, const char *message)
{
	(void)port;
	subject_fail(message);
}

void lh_port_log(lh_port *port, const char *message)
{
	(void)port;
	fprintf(stderr, "%s\n", message);
}

uint64_t lh_port_random(lh_port *port)
{
	static uint64_t state;

	(void)port;
	return __atomic_add_fetch(&state, UINT64_C(0x9e3779b97f4a7c15), __ATOMIC_RELAXED);
}

unsigned lh_port_cpu(lh_port *port)
{
	(void)port;
	return cpu;
}

uintptr_t lh_port_interrupts_off(lh_port *port)
{
	(void)port;
	return 0;
}

bool lh_port_interrupts_are_on(lh_port *port)
{
	(void)port;
	return true;
}

void lh_port_interrupts_restore(lh_port *port, uintptr_t state)
{
	(void)port;
	(void)state;
}

void lh_port_call_cpus(lh_port *port, const lh_cpu_set *cpus, void (*function)(void *), void *argument)
{
	(void)port;
	(void)cpus;
	function(argument);
}

void lh_port_pause(lh_port *port)
{
	(void)port;
	sched_yield();
}

void lh_port_park(lh_port *port, const uint32_t *word, uint32_t expected)
{
	(void)port;
	(void)word;
	(void)expected;
	sched_yield();
}

void lh_port_unpark(lh_port *port, const uint32_t *word)
{
	(void)port;
	(void)word;
}

bool lh_port_memory_pressure(lh_port *port, uint64_t pages)
{
	(void)port;
	(void)pages;
	return false;
}

void lh_architecture_flush_local(lh_port *port, lh_frame_number root, lh_virtual_range range, bool global)
{
	uint64_t first = (range.base.value - KERNEL_BASE) >> LH_PAGE_SHIFT;

	(void)port;
	(void)root;
	(void)global;
	if (first < HEAP_PAGES && range.pages <= HEAP_PAGES - first)
		memset(&table[first], 0, range.pages * sizeof table[0]);
}

void lh_architecture_load(lh_port *port, lh_frame_number root)
{
	(void)port;
	(void)root;
}

/* --- the subject --- */

static void must(lh_error error)
{
	if (error != LH_OK)
		subject_fail(lh_error_string(error));
}

static void make_frames(void)
{
	lh_memory_entry entry;
	lh_memory_map map;

	memory = mmap(NULL, FRAMES << LH_PAGE_SHIFT, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		subject_fail("no memory");
	lh_memory_map_init(&map, &entry, 1);
	must(lh_memory_map_add(&map, FIRST_FRAME * LH_PAGE_SIZE, FRAMES * LH_PAGE_SIZE, LH_MEMORY_USABLE));
	must(lh_memory_map_normalise(&map));
	must(lh_frames_create(aligned_alloc(LH_PAGE_SIZE, lh_frames_size(&map)), lh_frames_size(&map), &map,
			      LH_CHARGE_HEURISTIC, NULL, &frames));
}

void subject_start(void)
{
	lh_manager_setup setup = { .frames = NULL, .format = &lh_format_x86_64_4_level };
	lh_kernel_request request = { .specifically = { lh_virtual(KERNEL_BASE), HEAP_PAGES } };

	make_frames();
	setup.frames = frames;
	setup.user = (lh_virtual_range){ lh_virtual(0x10000), 1 << 20 };
	setup.kernel = (lh_virtual_range){ lh_virtual(KERNEL_BASE), UINT64_C(1) << 24 };
	must(lh_manager_create(malloc(lh_manager_size()), &setup, &manager));
	must(lh_heap_create(&heap, manager, &request, 0));
}

void subject_start_thread(unsigned number)
{
	cpu = number;
	lh_manager_activate(manager);
}

static __attribute__((noinline)) uint64_t allocate_zeroed(uint64_t bytes, uint64_t alignment)
{
	lh_virtual_address address;

	must(lh_heap_allocate_zeroed(&heap, bytes, alignment, &address));
	return address.value;
}

uint64_t subject_allocate(uint64_t bytes, uint64_t alignment, bool zeroed)
{
	lh_virtual_address address;

	if (zeroed)
		return allocate_zeroed(bytes, alignment);
	must(lh_heap_allocate(&heap, bytes, alignment, &address));
	return address.value;
}

void subject_free(uint64_t block, uint64_t bytes)
{
	lh_heap_free(&heap, lh_virtual(block), bytes);
}

static uint64_t table_walk(uint64_t address)
{
	return (uint64_t)(uintptr_t)lh_heap_pointer(&heap, lh_virtual(address));
}

void *subject_bytes(uint64_t block, uint64_t offset)
{
	return table_find(block + offset);
}

uint64_t subject_resize(uint64_t block, uint64_t bytes_before, uint64_t bytes)
{
	lh_virtual_address address = lh_virtual(block);

	must(lh_heap_resize(&heap, &address, bytes_before, bytes));
	return address.value;
}

static uint64_t free_frames(void)
{
	lh_frame_counters counters;

	lh_frames_read_counters(frames, &counters);
	return counters.free;
}

void subject_note_memory(void)
{
	free_before = free_least = free_frames();
}

/* Two threads may see the least together: the greater of what they saw is missed by little. */
void subject_sample_memory(void)
{
	uint64_t now = free_frames();

	if (now < __atomic_load_n(&free_least, __ATOMIC_RELAXED))
		__atomic_store_n(&free_least, now, __ATOMIC_RELAXED);
}

uint64_t subject_peak(void)
{
	return (free_before - free_least) << LH_PAGE_SHIFT;
}
