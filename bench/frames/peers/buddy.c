/* SPDX-License-Identifier: BSD-2-Clause */
#include "buddy.h"

#include <stdlib.h>
#include <string.h>

static void push(struct buddy *buddy, uint32_t frame, unsigned order)
{
	struct buddy_page *page = &buddy->pages[frame];

	page->order = (uint8_t)order;
	page->is_free = 1;
	page->previous = BUDDY_NONE;
	page->next = buddy->lists[order];
	if (page->next != BUDDY_NONE)
		buddy->pages[page->next].previous = frame;
	buddy->lists[order] = frame;
}

static void unlink_page(struct buddy *buddy, uint32_t frame)
{
	struct buddy_page *page = &buddy->pages[frame];

	if (page->previous != BUDDY_NONE)
		buddy->pages[page->previous].next = page->next;
	else
		buddy->lists[page->order] = page->next;
	if (page->next != BUDDY_NONE)
		buddy->pages[page->next].previous = page->previous;
	page->is_free = 0;
}

void buddy_create(struct buddy *buddy, uint64_t frames)
{
	memset(buddy, 0, sizeof *buddy);
	buddy->pages = malloc(frames * sizeof *buddy->pages);
	/* Touched now, so that no page fault falls into what is measured. */
	memset(buddy->pages, 0xff, frames * sizeof *buddy->pages);
	memset(buddy->pages, 0, frames * sizeof *buddy->pages);
	buddy->count = frames;
	for (unsigned order = 0; order < BUDDY_ORDERS; order++)
		buddy->lists[order] = BUDDY_NONE;
	for (uint64_t frame = frames; frame >= 1u << (BUDDY_ORDERS - 1);) {
		frame -= 1u << (BUDDY_ORDERS - 1);
		push(buddy, (uint32_t)frame, BUDDY_ORDERS - 1);
	}
}

void buddy_destroy(struct buddy *buddy)
{
	free(buddy->pages);
}

uint32_t buddy_take(struct buddy *buddy, unsigned order)
{
	unsigned found = order;
	uint32_t frame;

	while (found < BUDDY_ORDERS && buddy->lists[found] == BUDDY_NONE)
		found++;
	if (found == BUDDY_ORDERS)
		return BUDDY_NONE;
	frame = buddy->lists[found];
	unlink_page(buddy, frame);
	while (found > order) {
		found--;
		push(buddy, frame + (1u << found), found);
	}
	return frame;
}

void buddy_give(struct buddy *buddy, uint32_t frame, unsigned order)
{
	while (order < BUDDY_ORDERS - 1) {
		uint32_t other = frame ^ 1u << order;

		if (other >= buddy->count || !buddy->pages[other].is_free ||
		    buddy->pages[other].order != order)
			break;
		unlink_page(buddy, other);
		frame &= ~(1u << order);
		order++;
	}
	push(buddy, frame, order);
}

/* --- The subject: the lock on every operation --- */

static struct buddy buddy;

static void create(uint64_t frames)
{
	buddy_create(&buddy, frames);
}

static void destroy(void)
{
	buddy_destroy(&buddy);
}

static uint64_t get(unsigned order, unsigned cpu)
{
	uint32_t frame;

	(void)cpu;
	buddy_lock(&buddy.lock);
	frame = buddy_take(&buddy, order);
	buddy_unlock(&buddy.lock);
	if (frame == BUDDY_NONE)
		return NO_FRAME;
	buddy.pages[frame].users = 1;
	buddy.pages[frame].owner = 0;
	return frame;
}

static void put(uint64_t frame, unsigned order, unsigned cpu)
{
	(void)cpu;
	if (--buddy.pages[frame].users != 0)
		abort();
	buddy_lock(&buddy.lock);
	buddy_give(&buddy, (uint32_t)frame, order);
	buddy_unlock(&buddy.lock);
}

static uint64_t get_lasting(unsigned cpu)
{
	return get(0, cpu);
}

static void drain(void)
{
}

static uint64_t bytes(void)
{
	return buddy.count * sizeof(struct buddy_page);
}

const struct subject buddy_subject = {
	"locked buddy", create, destroy, get, get_lasting, put, drain, bytes,
};
