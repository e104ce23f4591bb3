/* SPDX-License-Identifier: BSD-2-Clause */
/* Each subject against an array that says, page by page, whose it is; before it is timed. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGES = 3000, ITEMS = 240, STEPS = 40000, FIRST = 77 };

struct oracle {
	const struct subject *subject;
	void *tree;
	unsigned char *items;
	int owner[PAGES]; /* item, or -1 */
	bool placed[ITEMS];
	uint64_t random;
};

static void *item_at(const struct oracle *o, int n)
{
	return o->items + (size_t)n * bench_stride(o->subject);
}

static void fail(const struct oracle *o, const char *what)
{
	fprintf(stderr, "bench-region: %s is wrong: %s\n", o->subject->name, what);
	exit(1);
}

static void set_owner(struct oracle *o, uint64_t first, uint64_t pages, int owner)
{
	for (uint64_t i = 0; i < pages; i++)
		o->owner[first - FIRST + i] = owner;
}

/* The lowest place with so many free pages, or -1. */
static long lowest_fit(const struct oracle *o, uint64_t pages)
{
	uint64_t run = 0;

	for (long i = 0; i < PAGES; i++) {
		run = o->owner[i] < 0 ? run + 1 : 0;
		if (run == pages)
			return i + 1 - (long)pages + FIRST;
	}
	return -1;
}

static bool is_free(const struct oracle *o, uint64_t first, uint64_t pages)
{
	for (uint64_t i = 0; i < pages; i++)
		if (first - FIRST + i >= PAGES || o->owner[first - FIRST + i] >= 0)
			return false;
	return true;
}

static int pick(struct oracle *o, bool placed)
{
	for (int tries = 0; tries < 1000; tries++) {
		int n = (int)(subject_random(&o->random) % ITEMS);

		if (o->placed[n] == placed)
			return n;
	}
	return -1;
}

static void try_lowest(struct oracle *o, int n)
{
	uint64_t first, pages, wanted = 1 + subject_random(&o->random) % 30;
	long expected = lowest_fit(o, wanted);

	if (o->subject->place_lowest(o->tree, item_at(o, n), wanted) != (expected >= 0))
		fail(o, "a placement succeeded or failed against the oracle");
	if (expected < 0)
		return;
	o->subject->range(item_at(o, n), &first, &pages);
	if (first != (uint64_t)expected || pages != wanted)
		fail(o, "a placement is not the lowest");
	set_owner(o, first, pages, n);
	o->placed[n] = true;
}

static void try_randomly(struct oracle *o, int n)
{
	uint64_t first, pages, wanted = 1 + subject_random(&o->random) % 9;

	if (!o->subject->place_randomly(o->tree, item_at(o, n), wanted)) {
		if (lowest_fit(o, wanted) >= 0)
			fail(o, "no random place was found where there is one");
		return;
	}
	o->subject->range(item_at(o, n), &first, &pages);
	if (pages != wanted || first < FIRST || !is_free(o, first, pages))
		fail(o, "a random place was not free");
	set_owner(o, first, pages, n);
	o->placed[n] = true;
}

static void try_fixed(struct oracle *o, int n)
{
	uint64_t pages = 1 + subject_random(&o->random) % 12;
	uint64_t first = FIRST + subject_random(&o->random) % (PAGES - 12);
	bool expected = is_free(o, first, pages);

	if (o->subject->place_fixed(o->tree, item_at(o, n), first, pages) != expected)
		fail(o, "a fixed placement succeeded or failed against the oracle");
	if (expected)
		set_owner(o, first, pages, n);
	o->placed[n] = expected;
}

static void try_remove(struct oracle *o, int n)
{
	uint64_t first, pages;

	o->subject->range(item_at(o, n), &first, &pages);
	o->subject->remove(o->tree, item_at(o, n));
	set_owner(o, first, pages, -1);
	o->placed[n] = false;
}

/* Of an item that is at hand, or of one that has to be looked up. */
static void try_punch(struct oracle *o, int n, int spare)
{
	uint64_t first, pages, from, to;

	o->subject->range(item_at(o, n), &first, &pages);
	if (pages < 3 || spare < 0)
		return;
	from = first + 1 + subject_random(&o->random) % (pages - 2);
	to = from + 1 + subject_random(&o->random) % (first + pages - from - 1);
	if (o->subject->unmap && subject_random(&o->random) % 2 == 0)
		o->subject->unmap(o->tree, from, to, item_at(o, spare));
	else
		o->subject->punch(o->tree, item_at(o, n), from, to, item_at(o, spare));
	set_owner(o, from, to - from, -1);
	set_owner(o, to, first + pages - to, spare);
	o->placed[spare] = true;
}

static void compare(struct oracle *o)
{
	const char *finding = o->subject->check ? o->subject->check(o->tree) : NULL;
	uint64_t sum = 0;

	if (finding)
		fail(o, finding);
	for (int i = 0; i < PAGES; i++) {
		void *expected = o->owner[i] < 0 ? NULL : item_at(o, o->owner[i]);

		if (o->subject->lookup(o->tree, FIRST + (uint64_t)i) != expected)
			fail(o, "a lookup");
		if (o->subject->lookup_near &&
		    o->subject->lookup_near(o->tree, FIRST + (uint64_t)i) != expected)
			fail(o, "a lookup nearby");
		if (o->owner[i] >= 0 && (i == 0 || o->owner[i - 1] != o->owner[i]))
			sum = subject_mix(sum, FIRST + (uint64_t)i);
	}
	if (o->subject->walk(o->tree) != sum)
		fail(o, "the walk");
}

static void step(struct oracle *o)
{
	int unplaced = pick(o, false), placed = pick(o, true);

	switch (subject_random(&o->random) % 8) {
	case 0:
	case 1:
	case 2:
		if (unplaced >= 0)
			try_lowest(o, unplaced);
		break;
	case 3:
		if (unplaced >= 0)
			try_fixed(o, unplaced);
		break;
	case 4:
		if (unplaced >= 0 && o->subject->place_randomly)
			try_randomly(o, unplaced);
		break;
	case 5:
		if (placed >= 0)
			try_punch(o, placed, unplaced);
		break;
	default:
		if (placed >= 0)
			try_remove(o, placed);
	}
}

void bench_verify(const struct subject *subject)
{
	struct oracle *o = calloc(1, sizeof *o);

	if (!o)
		abort();
	o->subject = subject;
	o->random = 0x9e3779b97f4a7c15u;
	o->items = bench_items(subject, ITEMS);
	o->tree = subject->create(FIRST, FIRST + PAGES);
	memset(o->owner, -1, sizeof o->owner);
	for (int i = 0; i < STEPS; i++) {
		step(o);
		if (i % 64 == 0)
			compare(o);
	}
	compare(o);
	for (int n = 0; n < ITEMS; n++)
		if (o->placed[n])
			try_remove(o, n);
	compare(o);
	subject->destroy(o->tree);
	free(o->items);
	free(o);
}
