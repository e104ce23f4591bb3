/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A child takes memory page by page until there is none left; the number of pages it got
 * is printed, before a command and after it has run; the two numbers must be the same, or
 * something has not been given back. What the kernel keeps for the next time depends on what it
 * did last, by a few pages; so each of the two is taken when it has settled: a child that takes all got as
 * many as such a child before it. With several CPUs it also depends on where a child runs, for each keeps pages
 * of its own: a few for each that there is beside the first count as none.
 *
 * With --times a child takes all so often, and each number is printed, for others to compare.
 *
 * usage: exhaust [COMMAND [ARGUMENT...]]
 *        exhaust --times N
 */
#include "guest.h"

#define STEP ((size_t)64)
#define SETTLING_TURNS 6
#define KEPT_BY_A_CPU 8

static bool is_same(uint64_t one, uint64_t other)
{
	uint64_t may_differ = ((uint64_t)sysconf(_SC_NPROCESSORS_ONLN) - 1) * KEPT_BY_A_CPU;

	return (one < other ? other - one : one - other) <= may_differ;
}

/* Counts in a page shared with the parent, which outlives the child's death. */
static void take_all(void *shared)
{
	volatile uint64_t *count = shared;
	char *memory = NULL;

	while (private_pages(STEP, &memory) == LH_OK)
		for (size_t page = 0; page < STEP; page++) {
			*(volatile char *)(memory + page * PAGE) = 1;
			++*count;
		}
}

static lh_error count_pages(volatile uint64_t *shared, uint64_t *pages)
{
	int status;

	*shared = 0;
	LH_TRY(run_in_child(take_all, (void *)(uintptr_t)shared, &status));
	*pages = *shared;
	printf("%llu pages, then %s\n", (unsigned long long)*pages, status_text(status));
	return LH_OK;
}

/* Until two in a row are the same. => LH_LIMIT: they never were. */
static lh_error count_settled(volatile uint64_t *shared, uint64_t *pages)
{
	uint64_t last = 0;

	LH_TRY(count_pages(shared, pages));
	for (int turn = 0; turn < SETTLING_TURNS && !is_same(*pages, last); turn++) {
		last = *pages;
		LH_TRY(count_pages(shared, pages));
	}
	return is_same(*pages, last) ? LH_OK : LH_LIMIT;
}

static lh_error run_command(char **command, int *status)
{
	pid_t child = -1;

	LH_TRY(fork_process(&child));
	if (child == 0) {
		execv(command[0], command);
		_exit(127);
	}
	return wait_for(child, status);
}

static lh_error run(char **command)
{
	uint64_t before = 0, after = 0;
	char *shared = NULL;
	int status = 0;

	LH_TRY(map_pages(1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, &shared));
	LH_TRY(count_settled((volatile uint64_t *)(void *)shared, &before));
	if (command[0])
		LH_TRY(run_command(command, &status));
	LH_TRY(count_settled((volatile uint64_t *)(void *)shared, &after));
	printf("command: %s\n", status_text(status));
	printf("%s\n", is_same(before, after) ? "the same" : "DIFFERENT");
	return is_same(before, after) && status == 0 ? LH_OK : LH_LIMIT;
}

static lh_error run_times(int times)
{
	uint64_t pages = 0;
	char *shared = NULL;

	LH_TRY(map_pages(1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, &shared));
	for (int n = 0; n < times; n++)
		LH_TRY(count_pages((volatile uint64_t *)(void *)shared, &pages));
	return LH_OK;
}

int main(int argc, char **argv)
{
	bool times = argc == 3 && strcmp(argv[1], "--times") == 0;

	return report("exhaust", times ? run_times(atoi(argv[2])) : run(argv + 1));
}
