/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads until memory runs out. "bomb": makes threads that sleep until no more can be had, which
 * is an error like others. "hog": threads of one process take memory until the process is killed for
 * it, which ends all of them, in faults that wait for memory and in every other sleep.
 */
#include <poll.h>
#include <pthread.h>

#include "guest.h"

#define STACK_BYTES ((size_t)16384)
#define CHUNK_PAGES ((size_t)256)

static void *sleep_for_ever(void *unused)
{
	poll(NULL, 0, -1);
	return unused;
}

static void make_threads(void *unused)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int error = 0;

	(void)unused;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	while (error == 0)
		error = pthread_create(&thread, &attributes, sleep_for_ever, NULL);
	_exit(error == EAGAIN || error == ENOMEM ? 3 : 4);
}

static void *take_memory(void *unused)
{
	char *memory;

	for (;;)
		if (private_pages(CHUNK_PAGES, &memory) == LH_OK)
			memset(memory, 1, CHUNK_PAGES * PAGE);
	return unused;
}

static void take_all_memory(void *unused)
{
	pthread_t thread;

	for (int i = 0; i < 4; i++) {
		pthread_create(&thread, NULL, sleep_for_ever, unused);
		pthread_create(&thread, NULL, take_memory, unused);
	}
	sleep_for_ever(unused);
}

static lh_error run(const char *what)
{
	int status;

	LH_TRY(run_in_child(strcmp(what, "bomb") == 0 ? make_threads : take_all_memory, NULL, &status));
	printf("%s: %s\n", what, status_text(status));
	return LH_OK;
}

int main(int argc, char **argv)
{
	return report("thread_limits", argc == 2 ? run(argv[1]) : LH_INVALID);
}
