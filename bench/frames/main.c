/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * frames [ROUNDS [CSV [PART]]]: allocators of frames side by side, rounds interleaved; with PART
 * only the workloads whose names have it.
 *
 * Each workload begins with fresh memory of 1 GiB; what it does before its clock starts
 * is not measured. Two threads: nanoseconds an operation of each thread.
 */
#include "../common/bench.h"
#include "fragmentation.h"
#include "oracle.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAMES (UINT64_C(1) << 18)
#define PAIRS 50000u

struct work {
	const struct subject *subject;
	unsigned cpu, cpus;
	unsigned order;
	uint64_t *list; /* this thread's frames */
	uint64_t count;
	uint64_t random;
	uint64_t operations; /* out */
};

static uint64_t get(struct work *work)
{
	uint64_t frame = work->subject->get(work->order, work->cpu);

	if (frame == NO_FRAME) {
		fprintf(stderr, "%s: out of memory\n", work->subject->name);
		exit(1);
	}
	return frame;
}

static void put(struct work *work, uint64_t frame)
{
	work->subject->put(frame, work->order, work->cpu);
}

static void shuffle(struct work *work)
{
	for (uint64_t i = work->count; i > 1; i--) {
		uint64_t j = bench_random(&work->random) % i;
		uint64_t kept = work->list[i - 1];

		work->list[i - 1] = work->list[j];
		work->list[j] = kept;
	}
}

/* --- Steps --- */

/* This thread's share of half of memory. */
static void take_half(struct work *work)
{
	work->count = FRAMES / 2 / work->cpus >> work->order;
	for (uint64_t i = 0; i < work->count; i++)
		work->list[i] = get(work);
	work->operations = work->count;
}

/* The rest, to the last frame. */
static void take_rest(struct work *work)
{
	uint64_t half = work->count;

	while (work->count < FRAMES / work->cpus)
		work->list[work->count++] = get(work);
	work->operations = work->count - half;
}

/* All but this many. */
#define NEARLY 16

static void fill_nearly(struct work *work)
{
	for (uint64_t i = 0; i < FRAMES / work->cpus - NEARLY; i++)
		(void)get(work);
}

static void give_all(struct work *work)
{
	for (uint64_t i = 0; i < work->count; i++)
		put(work, work->list[i]);
	work->operations = work->count;
}

static void take_half_and_shuffle(struct work *work)
{
	take_half(work);
	shuffle(work);
}

/* Frees the second half of a shuffled list, and takes as many again from the holes. */
static void make_holes(struct work *work)
{
	work->count = FRAMES * 9 / 10 / work->cpus >> work->order;
	for (uint64_t i = 0; i < work->count; i++)
		work->list[i] = get(work);
	shuffle(work);
	for (uint64_t i = work->count / 2; i < work->count; i++)
		put(work, work->list[i]);
}

static void fill_holes(struct work *work)
{
	for (uint64_t i = work->count / 2; i < work->count; i++)
		work->list[i] = get(work);
	work->operations = work->count - work->count / 2;
}

static void pairs(struct work *work)
{
	for (unsigned i = 0; i < PAIRS; i++)
		put(work, get(work));
	work->operations = PAIRS;
}

static void fill_to_nine_tenths(struct work *work)
{
	work->count = FRAMES * 9 / 10 / work->cpus >> work->order;
	for (uint64_t i = 0; i < work->count; i++)
		work->list[i] = get(work);
	shuffle(work);
}

static void churn(struct work *work)
{
	for (unsigned i = 0; i < PAIRS; i++) {
		uint64_t *one = &work->list[bench_random(&work->random) % work->count];

		put(work, *one);
		*one = get(work);
	}
	work->operations = PAIRS;
}

/* Most of memory in use frame by frame, then blocks of 512 freed here and there. */
static void fragment(struct work *work)
{
	unsigned char *keep = calloc(FRAMES >> BLOCK_ORDER, 1);

	work->order = 0;
	work->count = FRAMES;
	for (uint64_t i = 0; i < FRAMES; i++)
		work->list[i] = get(work);
	for (uint64_t block = 0; block < FRAMES >> BLOCK_ORDER; block++)
		keep[block] = bench_random(&work->random) % 4 != 0;
	for (uint64_t i = 0; i < FRAMES; i++)
		if (!keep[work->list[i] >> BLOCK_ORDER] || work->list[i] % 512 > 300)
			put(work, work->list[i]);
	work->count = 0;
	for (uint64_t block = 0; block < FRAMES >> BLOCK_ORDER; block++)
		work->count += !keep[block];
	free(keep);
	work->order = BLOCK_ORDER;
	work->subject->drain();
}

/* work->count whole blocks are there; each must be found. */
static void take_blocks(struct work *work)
{
	uint64_t found = 0;

	while (found < work->count && work->subject->get(BLOCK_ORDER, work->cpu) != NO_FRAME)
		found++;
	if (found != work->count) {
		fprintf(stderr, "%s: %llu of %llu whole blocks found\n", work->subject->name,
			(unsigned long long)found, (unsigned long long)work->count);
		exit(1);
	}
	work->operations = found;
}

/* --- Workloads --- */

struct workload {
	const char *name;
	void (*before)(struct work *work); /* not measured */
	void (*run)(struct work *work);
	unsigned order;
	unsigned cpus;
};

static const struct workload workloads[] = {
	{ "repeated pair", NULL, pairs, 0, 1 },
	{ "repeated pair order 3", NULL, pairs, 3, 1 },
	{ "repeated pair order 9", NULL, pairs, 9, 1 },
	{ "bulk allocate", NULL, take_half, 0, 1 },
	{ "bulk free in order", take_half, give_all, 0, 1 },
	{ "bulk allocate to the last", take_half, take_rest, 0, 1 },
	{ "repeated pair at the last", fill_nearly, pairs, 0, 1 },
	{ "bulk allocate order 3", NULL, take_half, 3, 1 },
	{ "bulk free order 3", take_half, give_all, 3, 1 },
	{ "bulk allocate order 9", NULL, take_half, 9, 1 },
	{ "bulk free order 9", take_half, give_all, 9, 1 },
	{ "free in random order", take_half_and_shuffle, give_all, 0, 1 },
	{ "allocate from scattered holes", make_holes, fill_holes, 0, 1 },
	{ "churn pair at 90 %", fill_to_nine_tenths, churn, 0, 1 },
	{ "order 9 allocate fragmented", fragment, take_blocks, 9, 1 },
	{ "two threads: repeated pair", NULL, pairs, 0, 2 },
	{ "two threads: bulk allocate", NULL, take_half, 0, 2 },
	{ "two threads: bulk free", take_half, give_all, 0, 2 },
	{ "two threads: churn pair at 90 %", fill_to_nine_tenths, churn, 0, 2 },
};

struct thread {
	struct work work;
	const struct workload *workload;
	pthread_barrier_t *barrier;
	bench_sample sample;
};

static void *run_thread(void *argument)
{
	struct thread *thread = argument;
	bench_clock clock;

	if (thread->workload->before)
		thread->workload->before(&thread->work);
	pthread_barrier_wait(thread->barrier);
	bench_start(&clock);
	thread->workload->run(&thread->work);
	bench_stop(&clock, thread->work.operations, &thread->sample);
	return NULL;
}

/* The slowest thread's time counts. */
static bench_sample run(const struct subject *subject, const struct workload *workload, uint64_t *list)
{
	struct thread threads[CPUS_MOST];
	pthread_t handles[CPUS_MOST];
	pthread_barrier_t barrier;
	bench_sample worst = { 0, 0 };

	subject->create(FRAMES);
	pthread_barrier_init(&barrier, NULL, workload->cpus);
	for (unsigned cpu = 0; cpu < workload->cpus; cpu++) {
		threads[cpu] = (struct thread){
			.work = { .subject = subject, .cpu = cpu, .cpus = workload->cpus,
				  .order = workload->order, .list = list + cpu * (FRAMES / 2),
				  .random = cpu + 1 },
			.workload = workload, .barrier = &barrier,
		};
		pthread_create(&handles[cpu], NULL, run_thread, &threads[cpu]);
	}
	for (unsigned cpu = 0; cpu < workload->cpus; cpu++) {
		pthread_join(handles[cpu], NULL);
		if (threads[cpu].sample.ns > worst.ns)
			worst = threads[cpu].sample;
	}
	pthread_barrier_destroy(&barrier);
	subject->destroy();
	return worst;
}

static const struct subject *const subjects[] = { &landhold_subject, &pcp_subject, &buddy_subject };

#define COUNT(array) (sizeof(array) / sizeof *(array))

int main(int argc, char **argv)
{
	unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 9;
	const char *part = argc > 3 ? argv[3] : "";
	uint64_t *list = malloc(FRAMES * sizeof *list);

	memset(list, 0, FRAMES * sizeof *list);
	for (unsigned s = 0; s < COUNT(subjects); s++)
		oracle_check(subjects[s], FRAMES);
	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned w = 0; w < COUNT(workloads); w++)
			for (unsigned s = 0; strstr(workloads[w].name, part) && s < COUNT(subjects);
			     s++)
				bench_note(subjects[s]->name, FRAMES, workloads[w].name,
					   run(subjects[s], &workloads[w], list));
		fprintf(stderr, "\rround %u of %u", round + 1, rounds);
	}
	fprintf(stderr, "\n");
	bench_print();
	for (unsigned s = 0; s < COUNT(subjects); s++) {
		subjects[s]->create(FRAMES);
		printf("%s: %.2f bytes a frame\n", subjects[s]->name,
		       (double)subjects[s]->bytes() / (double)FRAMES);
		subjects[s]->destroy();
	}
	for (unsigned s = 0; s < COUNT(subjects) && part[0] == '\0'; s++)
		fragmentation_print(subjects[s], FRAMES);
	free(list);
	return argc > 2 && !bench_write(argv[2]);
}
