/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory whose pages are put together by MADV_COLLAPSE, as madvise(2) has it: what it holds stays, whoever writes
 * meanwhile. What it prints is the same on Linux; with an argument it also tells how the calls ended, and how much of
 * the memory huge pages have, by /proc/self/smaps. With "wait" it asks for huge pages and waits for the kernel.
 */
#include "huge_pages.h"

#include <pthread.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define WRITERS 3
#define ROUNDS 40

static bool tells;

static void collapse(const char *what, char *memory, size_t bytes)
{
	int error = madvise(memory, bytes, MADV_COLLAPSE) == 0 ? 0 : errno;

	if (tells)
		printf("%s: error %d, huge %ld kB\n", what, error, huge_kilobytes(memory));
}

/* The kernel may merge this mapping with another: unreadable pages lie on both sides. */
static lh_error piece(size_t pieces, char **aligned)
{
	size_t bytes = pieces * HUGE_BYTES;
	char *memory = NULL;

	LH_TRY(map_pages((pieces + 2) * 512, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, &memory));
	*aligned = (char *)(((uintptr_t)memory + HUGE_BYTES) & ~(uintptr_t)(HUGE_BYTES - 1));
	return check_call(mprotect(*aligned, bytes, PROT_READ | PROT_WRITE));
}

static void fill_each_third(char *memory, size_t pages)
{
	for (size_t page = 0; page < pages; page += 3)
		memset(memory + page * PAGE, (int)(page % 200 + 1), PAGE);
}

static size_t wrong_pages(const char *memory, size_t pages)
{
	size_t wrong = 0;

	for (size_t page = 0; page < pages; page++) {
		char wanted = (char)(page % 3 == 0 ? page % 200 + 1 : 0);

		wrong += memory[page * PAGE] != wanted || memory[page * PAGE + PAGE - 1] != wanted;
	}
	return wrong;
}

static lh_error put_together(void)
{
	char *memory = NULL;

	LH_TRY(piece(3, &memory));
	collapse("nothing there", memory, HUGE_BYTES);
	fill_each_third(memory, 3 * 512);
	collapse("the first", memory, HUGE_BYTES + PAGE);
	collapse("both", memory, 2 * HUGE_BYTES);
	collapse("again", memory, 2 * HUGE_BYTES);
	printf("wrong: %zu\n", wrong_pages(memory, 3 * 512));
	LH_TRY(check_call(munmap(memory + HUGE_BYTES + 3 * PAGE, PAGE)));
	collapse("over a hole", memory, 3 * HUGE_BYTES);
	if (tells)
		printf("behind it: error 0, huge %ld kB\n", huge_kilobytes(memory + HUGE_BYTES + 4 * PAGE));
	printf("wrong: %zu\n", wrong_pages(memory, 512 + 3));
	return LH_OK;
}

static lh_error refused(void)
{
	char *memory = NULL;

	LH_TRY(piece(1, &memory));
	memory[0] = 5;
	collapse("less than a piece", memory, PAGE);
	LH_TRY(check_call(madvise(memory, HUGE_BYTES, MADV_NOHUGEPAGE)));
	collapse("forbidden", memory, HUGE_BYTES);
	LH_TRY(check_call(madvise(memory, HUGE_BYTES, MADV_HUGEPAGE)));
	LH_TRY(check_call(mprotect(memory + PAGE, PAGE, PROT_READ)));
	collapse("three mappings", memory, HUGE_BYTES);
	printf("unaligned: %d\n", madvise(memory + 1, HUGE_BYTES, MADV_COLLAPSE) == -1 && errno == EINVAL);
	printf("byte: %d\n", memory[0]);
	return LH_OK;
}

/* Each writer counts up the words of its own pages, while they are put together and come apart. */
static char *shared;
static volatile bool ends;
static unsigned long counted[WRITERS];

static void *count_up(void *context)
{
	size_t writer = (size_t)(uintptr_t)context;

	while (!ends) {
		for (size_t page = writer; page < 511; page += WRITERS)
			++*(volatile unsigned long *)(void *)(shared + page * PAGE + 64);
		counted[writer]++;
	}
	return NULL;
}

/* A part is protected each time, for a moment, which takes the huge page apart; the last page is nobody's. */
static lh_error disturb(void)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		int status;
		pid_t child = -1;

		(void)madvise(shared, HUGE_BYTES, MADV_COLLAPSE);
		LH_TRY(check_call(mprotect(shared + HUGE_BYTES - PAGE, PAGE, PROT_READ)));
		LH_TRY(check_call(mprotect(shared + HUGE_BYTES - PAGE, PAGE, PROT_READ | PROT_WRITE)));
		if (round % 8 != 0)
			continue;
		LH_TRY(fork_process(&child));
		if (child == 0)
			_exit(0);
		(void)madvise(shared, HUGE_BYTES, MADV_COLLAPSE);
		LH_TRY(wait_for(child, &status));
	}
	return LH_OK;
}

static lh_error meanwhile(void)
{
	pthread_t writers[WRITERS];
	size_t wrong = 0;
	lh_error error;

	LH_TRY(piece(1, &shared));
	for (size_t writer = 0; writer < WRITERS; writer++)
		LH_TRY(lh_error_from_errno(pthread_create(&writers[writer], NULL, count_up, (void *)writer)));
	error = disturb();
	ends = true;
	for (size_t writer = 0; writer < WRITERS; writer++)
		pthread_join(writers[writer], NULL);
	for (size_t page = 0; page < 511; page++)
		wrong += *(unsigned long *)(void *)(shared + page * PAGE + 64) != counted[page % WRITERS];
	printf("counted wrong: %zu\n", wrong);
	collapse("at the end", shared, HUGE_BYTES);
	return error;
}

/* Pages that came singly, in memory that is to be huge: the kernel puts them together some day, and the last one, of
 * which less than half is there, never. */
static lh_error wait_for_scan(void)
{
	char *memory = NULL;
	unsigned waits = 0;

	LH_TRY(piece(3, &memory));
	fill_each_third(memory, 3 * 512);
	for (size_t page = 1; page < 2 * 512; page += 3)
		memory[page * PAGE + 1] = 1;
	LH_TRY(check_call(madvise(memory, 3 * HUGE_BYTES, MADV_HUGEPAGE)));
	while (huge_kilobytes(memory) != 4096 && waits++ < 600)
		usleep(100000);
	usleep(1000000);
	printf("huge %ld kB\n", huge_kilobytes(memory));
	printf("wrong: %zu\n", wrong_pages(memory, 3 * 512));
	return LH_OK;
}

static lh_error run(void)
{
	LH_TRY(put_together());
	LH_TRY(refused());
	return meanwhile();
}

int main(int argc, char **argv)
{
	tells = argc > 1;
	return report("collapse", argc > 1 && strcmp(argv[1], "wait") == 0 ? wait_for_scan() : run());
}
