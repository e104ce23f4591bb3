/* SPDX-License-Identifier: BSD-2-Clause */
#include "small_machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SPANS_MOST 256

unsigned small_machine_interrupts_off;
unsigned small_machine_cpu;
lh_cpu_set small_machine_called;
void (*small_machine_on_call)(void);
void (*small_machine_on_pointer)(void);
static lh_lock_record locks;
jmp_buf small_machine_panicked;
bool small_machine_expects_panic;
char small_machine_message[256];

static lh_memory_entry entries[SPANS_MOST];
static lh_memory_map map;
static unsigned char *memory; /* the bytes of all frames, by ordinal */
static uint64_t memory_size;
static void *block;

static void *reserve(uint64_t bytes)
{
	void *made = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (made == MAP_FAILED)
		abort();
	return made;
}

lh_frames *small_machine(lh_charge_policy policy, const struct span *spans, size_t count)
{
	return small_machine_nodes(policy, NULL, 0, spans, count);
}

lh_frames *small_machine_nodes(lh_charge_policy policy, const lh_node_range *ranges,
			       size_t range_count, const struct span *spans, size_t count)
{
	return small_machine_on(policy, &(lh_frames_machine){ ranges, range_count, 0 }, spans, count);
}

lh_frames *small_machine_on(lh_charge_policy policy, const lh_frames_machine *machine,
			    const struct span *spans, size_t count)
{
	lh_frames *frames = NULL;
	uint64_t size;

	if (memory)
		munmap(memory, memory_size);
	free(block);
	small_machine_interrupts_off = 0;
	small_machine_cpu = 0;
	small_machine_called = (lh_cpu_set){ { 0 } };
	small_machine_on_call = NULL;
	small_machine_on_pointer = NULL;
	locks.count = 0;
	lh_memory_map_init(&map, entries, SPANS_MOST);
	for (size_t i = 0; i < count; i++)
		CHECK_OK(lh_memory_map_add(&map, spans[i].base << LH_PAGE_SHIFT,
					   spans[i].pages << LH_PAGE_SHIFT, LH_MEMORY_USABLE));
	CHECK_OK(lh_memory_map_normalise(&map));
	memory_size = (lh_memory_map_frames(&map) + 1) << LH_PAGE_SHIFT;
	memory = reserve(memory_size);
	size = lh_frames_size_on(&map, machine);
	block = aligned_alloc(LH_PAGE_SIZE, size);
	memset(block, 0xa5, size);
	CHECK_OK(lh_frames_create_on(block, size, &map, machine, policy, NULL, &frames));
	return frames;
}

const lh_memory_map *small_machine_map(void)
{
	return &map;
}

size_t random_spans(struct span *spans, size_t most)
{
	size_t count = 1 + test_random_below(most);
	uint64_t base = test_random_below(70);

	for (size_t i = 0; i < count; i++) {
		spans[i].base = base;
		spans[i].pages = 1 + test_random_below(test_random_below(3) ? 40 : 200);
		base += spans[i].pages + 1 + test_random_below(100);
		if (test_random_below(5) == 0)
			base += UINT64_C(1) << (25 + test_random_below(10));
	}
	return count;
}

/* --- The port --- */

void *lh_port_frame_pointer(lh_port *port, lh_frame_number frame)
{
	uint64_t ordinal = 0;

	(void)port;
	if (small_machine_on_pointer)
		small_machine_on_pointer();
	for (size_t i = 0; i < map.count; i++) {
		uint64_t base = entries[i].base >> LH_PAGE_SHIFT;
		uint64_t pages = entries[i].length >> LH_PAGE_SHIFT;

		if (frame.value - base < pages)
			return memory + ((ordinal + (frame.value - base)) << LH_PAGE_SHIFT);
		ordinal += pages;
	}
	test_fail(__FILE__, __LINE__, "no such frame: %#llx", (unsigned long long)frame.value);
}

_Noreturn void lh_port_panic(lh_port *port, const char *message)
{
	(void)port;
	if (!small_machine_expects_panic)
		test_fail(__FILE__, __LINE__, "panic: %s", message);
	snprintf(small_machine_message, sizeof small_machine_message, "%s", message);
	longjmp(small_machine_panicked, 1);
}

void lh_port_log(lh_port *port, const char *message)
{
	(void)port;
	(void)message;
}

uint64_t lh_port_random(lh_port *port)
{
	(void)port;
	return test_random();
}

unsigned lh_port_cpu(lh_port *port)
{
	(void)port;
	return small_machine_cpu;
}

uintptr_t lh_port_interrupts_off(lh_port *port)
{
	(void)port;
	return small_machine_interrupts_off++;
}

void lh_port_interrupts_restore(lh_port *port, uintptr_t state)
{
	(void)port;
	small_machine_interrupts_off--;
	CHECK_EQUAL(small_machine_interrupts_off, state);
}

void lh_port_call_cpus(lh_port *port, const lh_cpu_set *cpus, void (*function)(void *),
		       void *argument)
{
	(void)port;
	CHECK_EQUAL(small_machine_interrupts_off, 0);
	small_machine_called = *cpus;
	if (small_machine_on_call)
		small_machine_on_call();
	function(argument);
}

void lh_port_pause(lh_port *port)
{
	(void)port;
	test_fail(__FILE__, __LINE__, "a lock was not released");
}

void lh_port_park(lh_port *port, const uint32_t *word, uint32_t expected)
{
	(void)port;
	(void)word;
	(void)expected;
	test_fail(__FILE__, __LINE__, "a lock was not released");
}

void lh_port_unpark(lh_port *port, const uint32_t *word)
{
	(void)port;
	(void)word;
}

lh_lock_record *lh_port_lock_record(lh_port *port)
{
	(void)port;
	return &locks;
}

bool lh_port_interrupts_are_on(lh_port *port)
{
	(void)port;
	return small_machine_interrupts_off == 0;
}

bool lh_port_memory_pressure(lh_port *port, uint64_t pages)
{
	(void)port;
	(void)pages;
	test_fail(__FILE__, __LINE__, "frames called back");
}
