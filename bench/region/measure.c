/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a batch costs: processor time, or, with bench_counts set and under valgrind's callgrind,
 * instructions. Those repeat exactly, on every machine and however busy it is. Only what lies between begin and end
 * is counted: the rest runs without instrumentation, so that counting a size takes a minute.
 */
#define _DEFAULT_SOURCE
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#if __has_include(<valgrind/callgrind.h>)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wpedantic"
#include <valgrind/callgrind.h>
#pragma GCC diagnostic pop
#else
#define CALLGRIND_START_INSTRUMENTATION ((void)0)
#define CALLGRIND_STOP_INSTRUMENTATION ((void)0)
#define CALLGRIND_ZERO_STATS ((void)0)
#define CALLGRIND_DUMP_STATS_AT(name) ((void)(name))
#endif

bool bench_counts, bench_is_apart;

static double began;

/* Processor time: what others on the machine take does not count. */
static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

void bench_begin(void)
{
	if (bench_counts) {
		CALLGRIND_START_INSTRUMENTATION;
		CALLGRIND_ZERO_STATS;
	}
	began = now();
}

double bench_end(void)
{
	if (bench_counts)
		CALLGRIND_STOP_INSTRUMENTATION;
	return now() - began;
}

void bench_dump(const char *name)
{
	if (bench_counts)
		CALLGRIND_DUMP_STATS_AT(name);
}

void *bench_memory(size_t bytes)
{
	size_t rounded = (bytes + BENCH_HUGE_PAGE - 1) / BENCH_HUGE_PAGE * BENCH_HUGE_PAGE;
	void *memory = aligned_alloc(BENCH_HUGE_PAGE, rounded);

	if (!memory) {
		fprintf(stderr, "bench-region: no memory\n");
		exit(1);
	}
	(void)madvise(memory, rounded, MADV_HUGEPAGE);
	return memory;
}

unsigned char *bench_items(const struct subject *subject, size_t count)
{
	size_t stride = bench_stride(subject);
	unsigned char *items = memset(bench_memory(stride * count), 0, stride * count);

	for (size_t i = 0; i < count && subject->prepare; i++)
		subject->prepare(items + i * stride);
	return items;
}
