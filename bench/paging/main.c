/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * paging [ROUNDS [CSV]]: page tables side by side; nanoseconds a leaf, rounds interleaved.
 *
 * Each operation is done on PAGES leaves that lie side by side, in calls of n leaves each; between
 * map and unmap they are read once and protected once. A page far off stays mapped, and what is
 * timed begins in the middle of nowhere: tables are made and given back as they are needed.
 *
 * Run by callgrind (valgrind --tool=callgrind), it does each operation once and has the
 * instructions dumped, exact ones; bench/paging/merge puts them into the CSV.
 */
#include "../common/bench.h"
#include "subject.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_include)
#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#endif
#endif
#ifndef RUNNING_ON_VALGRIND
#define RUNNING_ON_VALGRIND 0
#define CALLGRIND_START_INSTRUMENTATION
#define CALLGRIND_STOP_INSTRUMENTATION
#define CALLGRIND_ZERO_STATS
#define CALLGRIND_DUMP_STATS_AT(name) ((void)(name))
#endif

#define LEAVES UINT64_C(4096)
#define BASE (UINT64_C(0x124) << 32)
#define FAR_PAGE (BASE - (UINT64_C(1) << 40) + 6000 * LEAF_BYTES(0))
#define FIRST_FRAME (UINT64_C(1) << 18)

_Alignas(4096) unsigned char arena[TABLE_PAGES][4096];

void arena_clear(void)
{
	memset(arena, 0, sizeof arena);
}

struct work {
	const struct subject *subject;
	unsigned level;
	uint64_t call; /* leaves a call */
	uint64_t writable; /* out, of query */
};

enum operation { MAP, QUERY, PROTECT, UNMAP, OPERATIONS };

static const char *const names[2][OPERATIONS] = {
	{ "map", "query", "protect", "unmap" },
	{ "map huge", "query huge", "protect huge", "unmap huge" },
};

static void run(struct work *work, enum operation operation)
{
	const struct subject *subject = work->subject;
	uint64_t bytes = LEAF_BYTES(work->level), pages = bytes >> 12;

	work->writable = 0;
	for (uint64_t leaf = 0; leaf < LEAVES; leaf += work->call) {
		uint64_t address = BASE + leaf * bytes;

		switch (operation) {
		case MAP:
			subject->map(address, work->level, work->call, FIRST_FRAME + leaf * pages);
			break;
		case QUERY:
			work->writable += subject->query(address, work->level, work->call);
			break;
		case PROTECT:
			subject->protect(address, work->level, work->call);
			break;
		case UNMAP:
		case OPERATIONS:
			subject->unmap(address, work->level, work->call);
			break;
		}
	}
}

static void require(const struct work *work, bool condition)
{
	if (condition || work->subject == &loop_subject)
		return;
	fprintf(stderr, "bench-paging: %s counts leaves wrongly\n", work->subject->name);
	exit(1);
}

static bench_sample time_one(struct work *work, enum operation operation)
{
	bench_sample sample;
	bench_clock clock;

	bench_start(&clock);
	run(work, operation);
	bench_stop(&clock, LEAVES, &sample);
	return sample;
}

static bench_sample count_one(struct work *work, enum operation operation)
{
	char name[128];

	snprintf(name, sizeof name, "%s,%llu,%s,%llu", work->subject->name,
		 (unsigned long long)work->call, names[work->level][operation],
		 (unsigned long long)LEAVES);
	CALLGRIND_START_INSTRUMENTATION;
	CALLGRIND_ZERO_STATS;
	run(work, operation);
	CALLGRIND_DUMP_STATS_AT(name);
	CALLGRIND_STOP_INSTRUMENTATION;
	return (bench_sample){ 0, 0 };
}

/* One turn of all operations of one subject; what they find is checked on the way. */
static void turn(struct work *work, bool noted)
{
	static const enum operation order[] = { MAP, QUERY, PROTECT, UNMAP };
	static const uint64_t before[] = { 0, LEAVES, LEAVES, 0 };
	struct work look = *work;

	for (unsigned i = 0; i < OPERATIONS; i++) {
		bench_sample sample;

		look.call = LEAVES;
		run(&look, QUERY);
		require(work, look.writable == before[i]);
		sample = RUNNING_ON_VALGRIND && noted ? count_one(work, order[i])
						      : time_one(work, order[i]);
		if (noted)
			bench_note(work->subject->name, work->call, names[work->level][order[i]],
				   sample);
	}
	run(&look, QUERY);
	require(work, look.writable == 0);
}

static const struct subject *const subjects[] = { &landhold_subject, &naive_subject, &bare_subject,
						&loop_subject };
#define COUNT(array) (sizeof(array) / sizeof *(array))

static void measure(const struct subject *subject)
{
	static const uint64_t calls[] = { 1, 16, 512, 4096 };

	subject->create();
	subject->map(FAR_PAGE, 0, 1, FIRST_FRAME);
	for (unsigned level = 0; level < 2; level++)
		for (unsigned i = 0; i < COUNT(calls); i++) {
			struct work work = { subject, level, calls[i], 0 };

			/* Once before, for what is made the first time only. */
			turn(&work, false);
			turn(&work, true);
		}
	subject->destroy();
}

int main(int argc, char **argv)
{
	unsigned rounds = RUNNING_ON_VALGRIND ? 1 : argc > 1 ? (unsigned)atoi(argv[1]) : 15;

	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned s = 0; s < COUNT(subjects); s++)
			measure(subjects[s]);
		fprintf(stderr, "\rround %u of %u", round + 1, rounds);
	}
	fprintf(stderr, "\n");
	return argc > 2 && !RUNNING_ON_VALGRIND && !bench_write(argv[2]);
}
