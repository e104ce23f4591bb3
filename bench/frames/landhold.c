/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The library's allocator, and as much of a port as it needs: nothing has contents here.
 *
 * Interrupts off is a word that a CPU sets, as a store is about what it costs in a kernel, too. A call
 * to CPUs waits until each of them has been seen with interrupts on; the fence between the CPU's store
 * and its next load, which it does not have itself, is the caller's (membarrier).
 */
#include "subject.h"

#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <landhold/frames.h>

static struct cpu {
	uint32_t interrupts_off __attribute__((aligned(128)));
	unsigned number;
} cpus[CPUS_MOST] = { { 0, 0 }, { 0, 1 } };
static _Thread_local struct cpu *self = cpus;
static lh_frames *frames;
static void *memory;
static uint64_t size;

static void create(uint64_t count)
{
	const lh_frames_machine machine = { .cpus = CPUS_MOST };
	lh_memory_entry entry;
	lh_memory_map map;

	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) != 0)
		abort();
	lh_memory_map_init(&map, &entry, 1);
	if (lh_memory_map_add(&map, 0, count << LH_PAGE_SHIFT, LH_MEMORY_USABLE) != LH_OK ||
	    lh_memory_map_normalise(&map) != LH_OK)
		abort();
	size = lh_frames_size_on(&map, &machine);
	memory = aligned_alloc(LH_PAGE_SIZE, size);
	if (lh_frames_create_on(memory, size, &map, &machine, LH_CHARGE_STRICT, NULL, &frames) != LH_OK)
		abort();
}

static void destroy(void)
{
	free(memory);
}

static uint64_t get(unsigned order, unsigned cpu)
{
	lh_frame_number frame;
	lh_error error;

	self = &cpus[cpu];
	if (order == 0)
		error = lh_frame_allocate(frames, LH_FRAME_ANONYMOUS, LH_FRAME_UNCHARGED, &frame);
	else
		error = lh_frame_allocate_order(frames, order, LH_ANY_NODE, LH_FRAME_ANONYMOUS,
						LH_FRAME_UNCHARGED, &frame);
	return error == LH_OK ? frame.value : NO_FRAME;
}

static uint64_t get_lasting(unsigned cpu)
{
	lh_frame_number frame;

	self = &cpus[cpu];
	return lh_frame_allocate(frames, LH_FRAME_TABLE, LH_FRAME_UNCHARGED, &frame) == LH_OK
		       ? frame.value
		       : NO_FRAME;
}

static void put(uint64_t frame, unsigned order, unsigned cpu)
{
	(void)order;
	self = &cpus[cpu];
	(void)lh_frame_drop(frames, lh_frame(frame));
}

static void drain(void)
{
	lh_frames_drain(frames);
}

static uint64_t bytes(void)
{
	return size;
}

const struct subject landhold_subject = {
	"landhold", create, destroy, get, get_lasting, put, drain, bytes,
};

/* --- The port --- */

void *lh_port_frame_pointer(lh_port *port, lh_frame_number frame)
{
	(void)port;
	(void)frame;
	return NULL;
}

LH_NO_RETURN void lh_port_panic(lh_port *port, const char *message)
{
	(void)port;
	fprintf(stderr, "panic: %s\n", message);
	abort();
}

unsigned lh_port_cpu(lh_port *port)
{
	(void)port;
	return self->number;
}

uintptr_t lh_port_interrupts_off(lh_port *port)
{
	uintptr_t before = self->interrupts_off;

	(void)port;
	__atomic_store_n(&self->interrupts_off, 1u, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return before;
}

void lh_port_interrupts_restore(lh_port *port, uintptr_t state)
{
	(void)port;
	__atomic_store_n(&self->interrupts_off, (uint32_t)state, __ATOMIC_RELEASE);
}

bool lh_port_interrupts_are_on(lh_port *port)
{
	(void)port;
	return self->interrupts_off == 0;
}

void lh_port_call_cpus(lh_port *port, const lh_cpu_set *called, void (*function)(void *),
		       void *argument)
{
	(void)port;
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0)
		abort();
	for (unsigned cpu = 0; cpu < CPUS_MOST; cpu++)
		while ((called->bits[0] >> cpu & 1) != 0 &&
		       __atomic_load_n(&cpus[cpu].interrupts_off, __ATOMIC_ACQUIRE) != 0)
			__builtin_ia32_pause();
	function(argument);
}

void lh_port_pause(lh_port *port)
{
	(void)port;
	__builtin_ia32_pause();
}

void lh_port_park(lh_port *port, const uint32_t *word, uint32_t expected)
{
	(void)port;
	(void)word;
	(void)expected;
}

void lh_port_unpark(lh_port *port, const uint32_t *word)
{
	(void)port;
	(void)word;
}
