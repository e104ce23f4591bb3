/* SPDX-License-Identifier: BSD-2-Clause */
#include "bench.h"

#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* --- The clock --- */

/* The thread's own time: what other programs do on a busy machine is not counted. */
static uint64_t now_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_nsec;
}

/* The counter of this thread's instructions; -1: the machine has none for us. */
static int instruction_counter(void)
{
	static _Thread_local int counter = -2;
	struct perf_event_attr attributes = { .type = PERF_TYPE_HARDWARE,
					      .size = sizeof attributes,
					      .config = PERF_COUNT_HW_INSTRUCTIONS,
					      .exclude_kernel = 1,
					      .exclude_hv = 1 };

	if (counter == -2)
		counter = (int)syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0);
	return counter;
}

static uint64_t now_instructions(void)
{
	uint64_t value = 0;

	if (instruction_counter() < 0 ||
	    read(instruction_counter(), &value, sizeof value) != sizeof value)
		return 0;
	return value;
}

void bench_start(bench_clock *clock)
{
	clock->began_instructions = now_instructions();
	clock->began_ns = now_ns();
}

void bench_stop(const bench_clock *clock, uint64_t operations, bench_sample *sample)
{
	uint64_t ns = now_ns() - clock->began_ns;
	uint64_t instructions = now_instructions() - clock->began_instructions;

	sample->ns = (double)ns / (double)operations;
	sample->instructions =
		instruction_counter() < 0 ? -1 : (double)instructions / (double)operations;
}

/* --- Results --- */

#define ROUNDS_MOST 64

struct result {
	const char *subject, *operation;
	uint64_t n;
	unsigned rounds;
	double ns[ROUNDS_MOST];
	double instructions[ROUNDS_MOST];
};

static struct result *results;
static size_t count;

static struct result *find(const char *subject, uint64_t n, const char *operation)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(results[i].subject, subject) == 0 && results[i].n == n &&
		    strcmp(results[i].operation, operation) == 0)
			return &results[i];
	return NULL;
}

void bench_note(const char *subject, uint64_t n, const char *operation, bench_sample sample)
{
	struct result *result = find(subject, n, operation);

	if (!result) {
		results = realloc(results, (count + 1) * sizeof *results);
		if (!results)
			abort();
		result = &results[count++];
		memset(result, 0, sizeof *result);
		result->subject = subject;
		result->operation = operation;
		result->n = n;
	}
	if (result->rounds == ROUNDS_MOST)
		return;
	result->ns[result->rounds] = sample.ns;
	result->instructions[result->rounds++] = sample.instructions;
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Sorted copies: [rounds / 2] is the median, [0] the least. */
static void sorted(const double *values, unsigned rounds, double *into)
{
	memcpy(into, values, rounds * sizeof *values);
	qsort(into, rounds, sizeof *into, compare);
}

static double median_ns(const struct result *result)
{
	double values[ROUNDS_MOST];

	sorted(result->ns, result->rounds, values);
	return values[result->rounds / 2];
}

static double least_ns(const struct result *result)
{
	double values[ROUNDS_MOST];

	sorted(result->ns, result->rounds, values);
	return values[0];
}

static bool is_first(size_t index, bool of_subject)
{
	for (size_t i = 0; i < index; i++)
		if (of_subject ? strcmp(results[i].subject, results[index].subject) == 0
			       : results[i].n == results[index].n &&
					 strcmp(results[i].operation, results[index].operation) == 0)
			return false;
	return true;
}

static void print_row(const struct result *row)
{
	const struct result *ours = find(results[0].subject, row->n, row->operation);

	printf("%-38s %9llu", row->operation, (unsigned long long)row->n);
	for (size_t s = 0; s < count; s++) {
		const struct result *cell;

		if (!is_first(s, true))
			continue;
		cell = find(results[s].subject, row->n, row->operation);
		if (!cell)
			printf(" %20s", "");
		else if (cell == ours || !ours)
			printf(" %13.1f %6.1f", median_ns(cell), least_ns(cell));
		else
			printf(" %6.1f %6.1f (%4.2f)", median_ns(cell), least_ns(cell),
			       least_ns(ours) / least_ns(cell));
	}
	printf("\n");
}

void bench_print(void)
{
	printf("%-38s %9s", "ns: median, least (ours / theirs)", "n");
	for (size_t i = 0; i < count; i++)
		if (is_first(i, true))
			printf(" %20s", results[i].subject);
	printf("\n");
	for (size_t i = 0; i < count; i++)
		if (is_first(i, false))
			print_row(&results[i]);
}

bool bench_write(const char *path)
{
	FILE *file = fopen(path, "w");

	if (!file)
		return false;
	fprintf(file, "subject,n,operation,ns_median,ns_min,instructions\n");
	for (size_t i = 0; i < count; i++) {
		const struct result *result = &results[i];
		double ns[ROUNDS_MOST], instructions[ROUNDS_MOST];

		sorted(result->ns, result->rounds, ns);
		sorted(result->instructions, result->rounds, instructions);
		fprintf(file, "%s,%llu,%s,%.2f,%.2f,", result->subject,
			(unsigned long long)result->n, result->operation,
			ns[result->rounds / 2], ns[0]);
		if (instructions[0] >= 0)
			fprintf(file, "%.1f", instructions[result->rounds / 2]);
		fprintf(file, "\n");
	}
	return fclose(file) == 0;
}
