/* SPDX-License-Identifier: BSD-2-Clause */
#include "fragmentation.h"

#include "../common/bench.h"

#include <stdio.h>
#include <stdlib.h>

#define PROGRAMS 400
#define PAGES_MOST 2000u
#define ALLOCATIONS 20000000u

struct program {
	uint64_t *pages;
	unsigned count;
};

struct day {
	const struct subject *subject;
	uint64_t frames, used, allocations, random;
	struct program programs[PROGRAMS];
	uint64_t *lasting; /* a ring: the oldest goes when it is full */
	uint64_t lasting_count, lasting_most;
};

static uint64_t draw(struct day *day, uint64_t below)
{
	return bench_random(&day->random) % below;
}

static uint64_t taken(struct day *day, uint64_t frame)
{
	if (frame == NO_FRAME) {
		fprintf(stderr, "%s: out of memory\n", day->subject->name);
		exit(1);
	}
	day->used++;
	day->allocations++;
	return frame;
}

static void give(struct day *day, uint64_t frame)
{
	day->subject->put(frame, 0, (unsigned)draw(day, CPUS_MOST));
	day->used--;
}

/* It stays until 1 % of memory has been taken for others like it. */
static void take_lasting(struct day *day, unsigned cpu)
{
	uint64_t *place = &day->lasting[day->lasting_count++ % day->lasting_most];

	if (day->lasting_count > day->lasting_most)
		give(day, *place);
	*place = taken(day, day->subject->get_lasting(cpu));
}

static void start(struct day *day, struct program *program)
{
	unsigned cpu = (unsigned)draw(day, CPUS_MOST);

	program->count = 1 + (unsigned)draw(day, PAGES_MOST);
	for (unsigned i = 0; i < program->count; i++) {
		program->pages[i] = taken(day, day->subject->get(0, cpu));
		if (i % 64 == 0)
			take_lasting(day, cpu);
	}
}

/* In an order of its own. */
static void end(struct day *day, struct program *program)
{
	while (program->count != 0) {
		uint64_t i = draw(day, program->count);

		give(day, program->pages[i]);
		program->pages[i] = program->pages[--program->count];
	}
}

/* The share of what is free that is to be had as blocks, in per cent. */
static double share(struct day *day)
{
	uint64_t *blocks = malloc((day->frames >> BLOCK_ORDER) * sizeof *blocks);
	uint64_t count = 0, block;
	double result;

	day->subject->drain();
	while ((block = day->subject->get(BLOCK_ORDER, 0)) != NO_FRAME)
		blocks[count++] = block;
	result = 100.0 * (double)(count << BLOCK_ORDER) / (double)(day->frames - day->used);
	while (count != 0)
		day->subject->put(blocks[--count], BLOCK_ORDER, 0);
	free(blocks);
	return result;
}

void fragmentation_print(const struct subject *subject, uint64_t frames)
{
	struct day *day = calloc(1, sizeof *day);
	double full;

	*day = (struct day){ .subject = subject, .frames = frames, .random = 5,
			     .lasting_most = frames / 100 };
	day->lasting = malloc(day->lasting_most * sizeof *day->lasting);
	for (unsigned i = 0; i < PROGRAMS; i++)
		day->programs[i].pages = malloc(PAGES_MOST * sizeof(uint64_t));
	subject->create(frames);
	while (day->allocations < ALLOCATIONS) {
		struct program *program = &day->programs[draw(day, PROGRAMS)];

		if (program->count != 0)
			end(day, program);
		else if (day->used + PAGES_MOST * 2 < frames * 9 / 10)
			start(day, program);
	}
	full = share(day);
	for (unsigned i = 0; i < PROGRAMS; i++)
		if (i % 4 != 0)
			end(day, &day->programs[i]);
	printf("%s: after %u million allocations, in blocks of 512 frames: %.1f %% of what is free, "
	       "%.1f %% with a quarter of the programs left\n",
	       subject->name, ALLOCATIONS / 1000000, full, share(day));
	subject->destroy();
	for (unsigned i = 0; i < PROGRAMS; i++)
		free(day->programs[i].pages);
	free(day->lasting);
	free(day);
}
