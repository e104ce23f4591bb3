/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Thousands of threads, made and joined in batches. On the kernel, which counts what it holds, all
 * of that must be as it was before them: looked at by the process itself, which lives on.
 *
 * usage: thread_many BATCHES, of 16 threads each
 */
#include <pthread.h>

#include "guest.h"

#define BATCH 16
#define STACK_BYTES ((size_t)65536)
#define LOOKS 1000
#define LOOKS_ALIKE 5

static _Thread_local char own[8192];
static long sum;

static void *live(void *argument)
{
	volatile char room[16384];

	for (size_t i = 0; i < sizeof room; i += PAGE / 2)
		room[i] = (char)(intptr_t)argument;
	for (size_t i = 0; i < sizeof own; i += PAGE / 2)
		own[i] = room[i];
	__atomic_fetch_add(&sum, own[0], __ATOMIC_RELAXED);
	return argument;
}

static lh_error run_batch(size_t stack_bytes)
{
	pthread_t threads[BATCH];
	pthread_attr_t attributes;
	void *result;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, stack_bytes);
	for (long i = 0; i < BATCH; i++)
		LH_TRY(lh_error_from_errno(pthread_create(&threads[i], &attributes, live, (void *)i)));
	for (long i = 0; i < BATCH; i++) {
		LH_TRY(lh_error_from_errno(pthread_join(threads[i], &result)));
		if (result != (void *)i)
			return LH_IO;
	}
	return LH_OK;
}

/* What the kernel holds, by the names that only Landhold has; on Linux all are 0. */
static const char *const held[] = { "FreeFrames:", "Regions:", "Charges:", "HeapItems:",
				    "HeapBytes:", "KernelFrames:", "KernelStack:" };
#define HELD (sizeof held / sizeof *held)

static lh_error look(long counts[HELD])
{
	static char text[8192];
	FILE *file = fopen("/proc/meminfo", "r");
	size_t length;

	if (file == NULL)
		return last_error();
	length = fread(text, 1, sizeof text - 1, file);
	text[length] = '\0';
	fclose(file);
	for (size_t i = 0; i < HELD; i++) {
		const char *line = strstr(text, held[i]);
		bool is_ours = strstr(text, "FreeFrames:") != NULL;

		counts[i] = is_ours && line != NULL ? atol(line + strlen(held[i])) : 0;
	}
	return LH_OK;
}

/* The kernel's part of a thread goes a moment after who joined it was told. */
static lh_error look_until_equal(const long before[HELD], long after[HELD])
{
	for (int i = 0; i < LOOKS; i++) {
		LH_TRY(look(after));
		if (memcmp(before, after, HELD * sizeof *before) == 0)
			return LH_OK;
		LH_TRY(check_call(usleep(20000)));
	}
	return LH_OK;
}

/* As it is when what has ended has been given back: which takes long where the host has no time for all CPUs. */
static lh_error look_settled(long counts[HELD])
{
	long earlier[HELD];
	int equal = 0;

	LH_TRY(look(counts));
	while (equal < LOOKS_ALIKE) {
		memcpy(earlier, counts, sizeof earlier);
		LH_TRY(check_call(usleep(300000)));
		LH_TRY(look(counts));
		equal = memcmp(earlier, counts, sizeof earlier) == 0 ? equal + 1 : 0;
	}
	return LH_OK;
}

static lh_error run(int batches)
{
	long before[HELD], after[HELD];

	for (int i = 0; i < 8; i++) /* the C library keeps stacks for the next time */
		LH_TRY(run_batch(STACK_BYTES));
	LH_TRY(look_settled(before));
	sum = 0;
	for (int i = 0; i < batches; i++)
		LH_TRY(run_batch(STACK_BYTES));
	LH_TRY(look_until_equal(before, after));
	for (size_t i = 0; i < HELD; i++)
		printf("%s %ld more\n", held[i], after[i] - before[i]);
	printf("%d threads, sum %ld\n", BATCH * batches, sum);
	return LH_OK;
}

int main(int argc, char **argv)
{
	return report("thread_many", argc == 2 ? run(atoi(argv[1])) : LH_INVALID);
}
