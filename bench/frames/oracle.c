/* SPDX-License-Identifier: BSD-2-Clause */
#include "oracle.h"

#include "../common/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct held {
	uint64_t frame;
	unsigned order;
};

struct oracle {
	const struct subject *subject;
	uint64_t frames, used;
	unsigned char *is_used;
	struct held *held;
	uint64_t count;
	uint64_t random;
};

static _Noreturn void differ(const struct oracle *oracle, const char *what, uint64_t frame)
{
	fprintf(stderr, "%s: %s: frame %llu\n", oracle->subject->name, what,
		(unsigned long long)frame);
	exit(1);
}

/* => false: refused. */
static bool take(struct oracle *oracle, unsigned order, unsigned cpu)
{
	uint64_t size = UINT64_C(1) << order;
	uint64_t frame = oracle->subject->get(order, cpu);

	if (frame == NO_FRAME) {
		if (order == 0 && oracle->used != oracle->frames)
			differ(oracle, "refused while frames are free", frame);
		return false;
	}
	if (frame % size != 0 || frame + size > oracle->frames)
		differ(oracle, "out of place", frame);
	for (uint64_t i = frame; i < frame + size; i++)
		if (oracle->is_used[i]++)
			differ(oracle, "given out twice", i);
	oracle->used += size;
	oracle->held[oracle->count++] = (struct held){ frame, order };
	return true;
}

static void give_back(struct oracle *oracle, unsigned cpu)
{
	uint64_t index = bench_random(&oracle->random) % oracle->count;
	struct held held = oracle->held[index];

	oracle->held[index] = oracle->held[--oracle->count];
	memset(&oracle->is_used[held.frame], 0, (size_t)1 << held.order);
	oracle->used -= UINT64_C(1) << held.order;
	oracle->subject->put(held.frame, held.order, cpu);
}

static void random_steps(struct oracle *oracle, uint64_t steps)
{
	static const unsigned orders[] = { 0, 0, 0, 0, 0, 1, 3, 9 };

	for (uint64_t step = 0; step < steps; step++) {
		uint64_t draw = bench_random(&oracle->random);
		unsigned cpu = (unsigned)(draw >> 8) % CPUS_MOST;
		bool grow = (draw & 7) < (step / 4096 % 2 ? 3 : 5); /* tides */

		if (grow)
			(void)take(oracle, orders[draw >> 16 & 7], cpu);
		else if (oracle->count != 0)
			give_back(oracle, cpu);
	}
}

void oracle_check(const struct subject *subject, uint64_t frames)
{
	struct oracle oracle = { .subject = subject, .frames = frames, .random = 7 };
	uint64_t blocks = 0;

	oracle.is_used = calloc(frames, 1);
	oracle.held = calloc(frames, sizeof *oracle.held);
	subject->create(frames);
	random_steps(&oracle, 200000);
	while (take(&oracle, 0, oracle.count % CPUS_MOST))
		;
	while (oracle.count != 0)
		give_back(&oracle, oracle.count % CPUS_MOST);
	subject->drain();
	while (take(&oracle, BLOCK_ORDER, 0))
		blocks++;
	if (blocks != frames >> BLOCK_ORDER)
		differ(&oracle, "not all blocks came back whole", blocks);
	subject->destroy();
	free(oracle.held);
	free(oracle.is_used);
}
