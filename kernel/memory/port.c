/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The library's port (landhold/port.h). There is one machine, so that every port pointer is NULL.
 *
 * Parked threads wait on queues chosen by a hash of the word's address: an unpark wakes all of
 * its queue, and who was not meant looks at its word and parks again.
 */
#include <landhold/port.h>

#include "arch/x86_64/clock.h"
#include "arch/x86_64/registers.h"
#include "boot/hooks.h"
#include "cpu/call.h"
#include "cpu/identify.h"
#include "cpu/percpu.h"
#include "lib/log.h"
#include "memory/heap.h"
#include "memory/memory.h"
#include "memory/start.h"
#include "thread/thread.h"
#include "thread/spinlock.h"
#include "thread/wait.h"

#define PARK_QUEUES 64

static struct wait_queue park_queues[PARK_QUEUES];

void memory_port_start(void)
{
	for (unsigned i = 0; i < PARK_QUEUES; i++)
		wait_queue_init(&park_queues[i]);
}

void *lh_port_frame_pointer(lh_port *port, lh_frame_number frame)
{
	(void)port;
	return direct_pointer(lh_frame_address(frame).value);
}

void lh_port_panic(lh_port *port, const char *message)
{
	(void)port;
	panic("%s", message);
}

void lh_port_log(lh_port *port, const char *message)
{
	(void)port;
	log_line("landhold: %s", message);
}

/* Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014: the mixing function. */
static uint64_t mix(uint64_t value)
{
	value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

uint64_t random_64(void)
{
	static uint64_t state; /* atomic */
	uint64_t hardware = 0;

	if (cpu_identification()->has_rdrand)
		__asm__ volatile("rdrand %0" : "+r"(hardware) : : "cc");
	return mix(__atomic_add_fetch(&state, UINT64_C(0x9e3779b97f4a7c15), __ATOMIC_RELAXED) ^
		   mix(read_tsc()) ^ hardware);
}

uint64_t lh_port_random(lh_port *port)
{
	(void)port;
	return random_64();
}

unsigned lh_port_cpu(lh_port *port)
{
	(void)port;
	return cpu_this()->number;
}

uintptr_t lh_port_interrupts_off(lh_port *port)
{
	(void)port;
	return interrupts_off();
}

void lh_port_interrupts_restore(lh_port *port, uintptr_t state)
{
	(void)port;
	interrupts_restore(state);
}

bool lh_port_interrupts_are_on(lh_port *port)
{
	(void)port;
	return interrupts_are_on();
}

void lh_port_call_cpus(lh_port *port, const lh_cpu_set *cpus, void (*function)(void *), void *argument)
{
	(void)port;
	cpu_call(cpus, function, argument);
}

void lh_port_pause(lh_port *port)
{
	(void)port;
	__asm__ volatile("pause");
}

static struct wait_queue *queue_of(const uint32_t *word)
{
	return &park_queues[mix((uint64_t)(uintptr_t)word) % PARK_QUEUES];
}

void lh_port_park(lh_port *port, const uint32_t *word, uint32_t expected)
{
	struct waiter waiter;

	(void)port;
	wait_prepare(queue_of(word), &waiter);
	if (__atomic_load_n(word, __ATOMIC_SEQ_CST) == expected)
		(void)wait_sleep(&waiter, SLEEP_FIRMLY, WAIT_FOREVER);
	wait_cancel(&waiter);
}

void lh_port_unpark(lh_port *port, const uint32_t *word)
{
	(void)port;
	wake_all(queue_of(word));
}

/* What dies needs a moment to give its memory back. */
bool lh_port_memory_pressure(lh_port *port, uint64_t pages)
{
	(void)port;
	if (kernel_heap_trim() >= pages)
		return true;
	if (!process_memory_pressure(pages))
		return false;
	thread_sleep_until(clock_nanoseconds() + 1000000000 / CLOCK_TICKS_PER_SECOND);
	return true;
}
