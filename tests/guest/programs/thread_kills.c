/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Processes of several threads that do all that threads do, and end at any moment: killed, stopped
 * first and killed, by exit in one of them, by exec in one of them. Each must end, with the status
 * that it was given; what it held is looked at from outside.
 *
 * usage: thread_kills ROUNDS SEED; "thread_kills live N": what one of its threads has executed
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

#include "guest.h"

#define THREADS 5
#define EXIT_STATUS 17

static uint64_t state;
static int ends[2];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;

/* Marsaglia, "Xorshift RNGs", 2003. Threads may mix their steps: the better. */
static unsigned below(unsigned limit)
{
	uint64_t next = __atomic_load_n(&state, __ATOMIC_RELAXED);

	next ^= next << 13;
	next ^= next >> 7;
	next ^= next << 17;
	__atomic_store_n(&state, next, __ATOMIC_RELAXED);
	return (unsigned)(next % limit);
}

/* --- what its threads do, for ever --- */

static void *touch_stack(void *unused)
{
	volatile char room[20000];

	room[0] = 1;
	return room[0] != 0 ? unused : NULL;
}

static void *make_threads(void *unused)
{
	pthread_t thread;

	for (;;)
		if (pthread_create(&thread, NULL, touch_stack, unused) == 0)
			pthread_join(thread, NULL);
	return NULL;
}

static void *map_and_unmap(void *unused)
{
	char *memory;

	(void)unused;
	for (;;) {
		size_t pages = 1 + below(40);

		if (private_pages(pages, &memory) == LH_OK) {
			memset(memory, 1, PAGE);
			mprotect(memory, PAGE, PROT_READ);
			munmap(memory, pages * PAGE);
		}
	}
	return NULL;
}

static void *use_pipe(void *unused)
{
	char bytes[3000] = { 0 };
	ssize_t count;

	(void)unused;
	for (;;) {
		count = write(ends[1], bytes, sizeof bytes);
		count = read(ends[0], bytes, count > 0 ? (size_t)count + below(2) : 1);
	}
	return NULL;
}

static void *fork_and_wait(void *unused)
{
	int status;
	pid_t child;

	(void)unused;
	for (;;) {
		child = fork();
		if (child == 0)
			_exit(0);
		waitpid(child, &status, 0);
	}
	return NULL;
}

static void *sleep_shortly(void *unused)
{
	(void)unused;
	for (;;)
		usleep(below(2000));
	return NULL;
}

static void *meet(void *unused)
{
	struct timespec limit;

	(void)unused;
	for (;;) {
		clock_gettime(CLOCK_REALTIME, &limit);
		limit.tv_sec++;
		pthread_mutex_lock(&mutex);
		pthread_cond_broadcast(&condition);
		pthread_cond_timedwait(&condition, &mutex, &limit);
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

static void *execute_again(void *number)
{
	char text[16];

	snprintf(text, sizeof text, "%d", (int)(intptr_t)number - 1);
	usleep(below(5000));
	execl("/proc/self/exe", "thread_kills", "live", text, (char *)NULL);
	return NULL;
}

static void *exit_soon(void *unused)
{
	(void)unused;
	usleep(below(10000));
	_exit(EXIT_STATUS);
}

static void *(*const tasks[])(void *) = { make_threads, map_and_unmap, use_pipe, fork_and_wait,
					   sleep_shortly, meet, meet };
#define TASKS (sizeof tasks / sizeof *tasks)

/* => executions: how often one of its threads executes this again. */
static void live(int executions)
{
	pthread_t thread;

	if (pipe2(ends, O_CLOEXEC) != 0)
		_exit(80);
	for (unsigned i = 0; i < THREADS; i++)
		if (pthread_create(&thread, NULL, tasks[below(TASKS)], NULL) != 0)
			_exit(81);
	if (executions > 0 &&
	    pthread_create(&thread, NULL, execute_again, (void *)(intptr_t)executions) != 0)
		_exit(82);
	if (executions == 0 && pthread_create(&thread, NULL, exit_soon, NULL) != 0)
		_exit(83);
	tasks[below(TASKS)](NULL);
}

/* --- how they end --- */

static lh_error end_one(pid_t child, int *status)
{
	static const int signals[] = { SIGKILL, SIGTERM, SIGALRM };
	int number = signals[below(3)];

	usleep(below(20000));
	if (below(3) == 0) {
		kill(child, SIGSTOP);
		LH_TRY(check_call(waitpid(child, status, WUNTRACED)));
		if (!WIFSTOPPED(*status))
			return LH_OK; /* it had ended by itself */
		if (below(2) == 0)
			kill(child, SIGCONT);
		else
			number = SIGKILL; /* others wait until it goes on */
	}
	kill(child, number);
	return wait_for(child, status);
}

static bool is_expected(int status)
{
	if (WIFEXITED(status))
		return WEXITSTATUS(status) == EXIT_STATUS;
	return WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGTERM || WTERMSIG(status) == SIGALRM;
}

static lh_error run(int rounds)
{
	int status = 0, executions;
	pid_t child = -1;

	for (int round = 0; round < rounds; round++) {
		executions = (int)below(4) - 1;
		LH_TRY(fork_process(&child));
		if (child == 0)
			live(executions);
		LH_TRY(end_one(child, &status));
		if (!is_expected(status)) {
			printf("round %d: %s\n", round, status_text(status));
			return LH_IO;
		}
	}
	printf("%d processes ended\n", rounds);
	return LH_OK;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return report("thread_kills", LH_INVALID);
	state = (uint64_t)atol(argv[2]) * 7919 + 1;
	if (strcmp(argv[1], "live") == 0) {
		state += (uint64_t)getpid();
		live(atoi(argv[2]));
	}
	return report("thread_kills", run(atoi(argv[1])));
}
