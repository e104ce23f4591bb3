/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A buddy with per-CPU lists before it, the way Linux has them: a list an order for the
 * small orders and for huge pages, each CPU's under a lock of its own that others take only
 * to drain; refilled and emptied by the batch, so that the buddy's lock is taken once for
 * many frames. Frames go to and come from the head: hot ones first.
 */
#include "buddy.h"

#include <stdlib.h>
#include <string.h>

#define BATCH 63u
#define HIGH (6 * BATCH) /* frames that a CPU may keep */
#define SMALL_ORDERS 4u
#define LISTS (SMALL_ORDERS + 1) /* the last: huge pages */

struct cpu_list {
	uint32_t first, last;
	uint32_t count;
};

struct cpu {
	uint32_t lock;
	uint32_t frames; /* kept, over all lists */
	struct cpu_list lists[LISTS];
} __attribute__((aligned(128)));

static struct buddy buddy;
static struct cpu cpus[CPUS_MOST];

static void create(uint64_t frames)
{
	buddy_create(&buddy, frames);
	memset(cpus, 0, sizeof cpus);
	for (unsigned cpu = 0; cpu < CPUS_MOST; cpu++)
		for (unsigned list = 0; list < LISTS; list++)
			cpus[cpu].lists[list].first = cpus[cpu].lists[list].last = BUDDY_NONE;
}

static void destroy(void)
{
	buddy_destroy(&buddy);
}

static struct cpu_list *list_of(struct cpu *cpu, unsigned order)
{
	if (order < SMALL_ORDERS)
		return &cpu->lists[order];
	return order == BLOCK_ORDER ? &cpu->lists[SMALL_ORDERS] : NULL;
}

static void push(struct cpu_list *list, uint32_t frame)
{
	struct buddy_page *page = &buddy.pages[frame];

	page->previous = BUDDY_NONE;
	page->next = list->first;
	if (page->next != BUDDY_NONE)
		buddy.pages[page->next].previous = frame;
	else
		list->last = frame;
	list->first = frame;
	list->count++;
}

static void append(struct cpu_list *list, uint32_t frame)
{
	struct buddy_page *page = &buddy.pages[frame];

	page->next = BUDDY_NONE;
	page->previous = list->last;
	if (page->previous != BUDDY_NONE)
		buddy.pages[page->previous].next = frame;
	else
		list->first = frame;
	list->last = frame;
	list->count++;
}

static uint32_t take_first(struct cpu_list *list)
{
	uint32_t frame = list->first;

	list->first = buddy.pages[frame].next;
	if (list->first != BUDDY_NONE)
		buddy.pages[list->first].previous = BUDDY_NONE;
	else
		list->last = BUDDY_NONE;
	list->count--;
	return frame;
}

static uint32_t take_last(struct cpu_list *list)
{
	uint32_t frame = list->last;

	list->last = buddy.pages[frame].previous;
	if (list->last != BUDDY_NONE)
		buddy.pages[list->last].next = BUDDY_NONE;
	else
		list->first = BUDDY_NONE;
	list->count--;
	return frame;
}

static unsigned batch_of(unsigned order)
{
	return BATCH >> order != 0 ? BATCH >> order : 1;
}

static void refill(struct cpu *cpu, struct cpu_list *list, unsigned order)
{
	buddy_lock(&buddy.lock);
	for (unsigned n = batch_of(order); n > 0; n--) {
		uint32_t frame = buddy_take(&buddy, order);

		if (frame == BUDDY_NONE)
			break;
		append(list, frame);
		cpu->frames += 1u << order;
	}
	buddy_unlock(&buddy.lock);
}

/* The coldest go back. */
static void empty(struct cpu *cpu, struct cpu_list *list, unsigned order, unsigned n)
{
	buddy_lock(&buddy.lock);
	for (; n > 0 && list->count != 0; n--) {
		buddy_give(&buddy, take_last(list), order);
		cpu->frames -= 1u << order;
	}
	buddy_unlock(&buddy.lock);
}

static uint32_t get_direct(unsigned order)
{
	uint32_t frame;

	buddy_lock(&buddy.lock);
	frame = buddy_take(&buddy, order);
	buddy_unlock(&buddy.lock);
	return frame;
}

static void drain(void)
{
	for (unsigned cpu = 0; cpu < CPUS_MOST; cpu++) {
		buddy_lock(&cpus[cpu].lock);
		for (unsigned order = 0; order <= BLOCK_ORDER; order++)
			if (list_of(&cpus[cpu], order))
				empty(&cpus[cpu], list_of(&cpus[cpu], order), order, UINT32_MAX);
		buddy_unlock(&cpus[cpu].lock);
	}
}

static uint32_t get_kept(struct cpu *cpu, struct cpu_list *list, unsigned order)
{
	uint32_t frame = BUDDY_NONE;

	buddy_lock(&cpu->lock);
	if (list->count == 0)
		refill(cpu, list, order);
	if (list->count != 0) {
		frame = take_first(list);
		cpu->frames -= 1u << order;
	}
	buddy_unlock(&cpu->lock);
	return frame;
}

static uint64_t get(unsigned order, unsigned number)
{
	struct cpu *cpu = &cpus[number];
	struct cpu_list *list = list_of(cpu, order);
	uint32_t frame = list ? get_kept(cpu, list, order) : get_direct(order);

	if (frame == BUDDY_NONE) {
		drain();
		frame = get_direct(order);
	}
	if (frame == BUDDY_NONE)
		return NO_FRAME;
	buddy.pages[frame].users = 1;
	buddy.pages[frame].owner = 0;
	return frame;
}

static void put(uint64_t frame, unsigned order, unsigned number)
{
	struct cpu *cpu = &cpus[number];
	struct cpu_list *list = list_of(cpu, order);

	if (--buddy.pages[frame].users != 0)
		abort();
	if (!list) {
		buddy_lock(&buddy.lock);
		buddy_give(&buddy, (uint32_t)frame, order);
		buddy_unlock(&buddy.lock);
		return;
	}
	buddy_lock(&cpu->lock);
	push(list, (uint32_t)frame);
	cpu->frames += 1u << order;
	if (cpu->frames >= HIGH + (1u << order))
		empty(cpu, list, order, batch_of(order));
	buddy_unlock(&cpu->lock);
}

static uint64_t get_lasting(unsigned cpu)
{
	return get(0, cpu);
}

static uint64_t bytes(void)
{
	return buddy.count * sizeof(struct buddy_page) + sizeof cpus;
}

const struct subject pcp_subject = {
	"pcp buddy", create, destroy, get, get_lasting, put, drain, bytes,
};
