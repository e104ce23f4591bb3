/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads that are kept to some CPUs: they run there and nowhere else, beside others that do not
 * let go, and who is made there or forks there stays too. It prints the same on Linux.
 */
#include <pthread.h>
#include <sched.h>

#include "guest.h"

#define CHANGES 200
#define MOVES 40

static int cpus;
static bool is_over;

static cpu_set_t one_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	return set;
}

static bool stays_on(int cpu)
{
	for (int i = 0; i < 50; i++) {
		if (sched_getcpu() != cpu)
			return false;
		if (i % 10 == 0)
			usleep(1000);
		else
			sched_yield();
	}
	return true;
}

static void *spin(void *unused)
{
	(void)unused;
	while (!__atomic_load_n(&is_over, __ATOMIC_RELAXED))
		;
	return NULL;
}

static void *wander(void *number)
{
	for (int i = 0; i < CHANGES; i++) {
		int cpu = (i + (int)(intptr_t)number) % cpus;
		cpu_set_t set = one_cpu(cpu);

		if (sched_setaffinity(0, sizeof set, &set) != 0 || sched_getcpu() != cpu)
			return "moved to a CPU, it is not there";
	}
	return NULL;
}

static void *stay(void *number)
{
	return stays_on((int)(intptr_t)number) ? NULL : "one that is kept to a CPU leaves it";
}

static lh_error join_all(pthread_t *threads, int count)
{
	void *wrong;

	for (int i = 0; i < count; i++) {
		LH_TRY(lh_error_from_errno(pthread_join(threads[i], &wrong)));
		if (wrong != NULL) {
			printf("thread %d: %s\n", i, (const char *)wrong);
			return LH_IO;
		}
	}
	return LH_OK;
}

/* --- moved by another --- */

static struct {
	pid_t thread;
	int asked, answered, cpu;
} moved;

/* Says where it is whenever it is asked, and seldom enters the kernel for anything else. */
static void *answer(void *unused)
{
	(void)unused;
	__atomic_store_n(&moved.thread, gettid(), __ATOMIC_RELEASE);
	for (int done = 0; done < MOVES;) {
		int asked = __atomic_load_n(&moved.asked, __ATOMIC_ACQUIRE);

		if (asked == done)
			continue;
		moved.cpu = sched_getcpu();
		done = asked;
		__atomic_store_n(&moved.answered, done, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* When the call returns the thread has left. */
static lh_error move_another(void)
{
	pthread_t thread;

	LH_TRY(lh_error_from_errno(pthread_create(&thread, NULL, answer, NULL)));
	while (__atomic_load_n(&moved.thread, __ATOMIC_ACQUIRE) == 0)
		sched_yield();
	for (int i = 1; i <= MOVES; i++) {
		cpu_set_t set = one_cpu(i % cpus);

		LH_TRY(check_call(sched_setaffinity(moved.thread, sizeof set, &set)));
		__atomic_store_n(&moved.asked, i, __ATOMIC_RELEASE);
		while (__atomic_load_n(&moved.answered, __ATOMIC_ACQUIRE) != i)
			sched_yield();
		if (moved.cpu != i % cpus) {
			printf("moved to CPU %d, it says %d\n", i % cpus, moved.cpu);
			return LH_IO;
		}
	}
	return join_all(&thread, 1);
}

static void check_inheritance(void *unused)
{
	cpu_set_t set;

	(void)unused;
	_exit(sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) == 1 &&
			      CPU_ISSET((size_t)cpus - 1, &set) && stays_on(cpus - 1)
		      ? 0
		      : 1);
}

static lh_error run_kept(void *(*function)(void *), pthread_t *threads)
{
	for (int cpu = 0; cpu < cpus; cpu++) {
		cpu_set_t set = one_cpu(cpu);
		pthread_attr_t attributes;

		pthread_attr_init(&attributes);
		pthread_attr_setaffinity_np(&attributes, sizeof set, &set);
		LH_TRY(lh_error_from_errno(pthread_create(&threads[cpu], &attributes, function,
							  (void *)(intptr_t)cpu)));
	}
	return LH_OK;
}

static lh_error try_errors(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	printf("no CPU: %s\n", lh_error_name(check_call(sched_setaffinity(0, sizeof set, &set))));
	printf("nobody: %s\n", lh_error_name(check_call(sched_getaffinity(999999, sizeof set, &set))));
	printf("too small: %s\n", lh_error_name(check_call(sched_getaffinity(0, 4, &set))));
	return LH_OK;
}

static lh_error run(void)
{
	pthread_t spinning[CPU_SETSIZE], threads[CPU_SETSIZE];
	cpu_set_t all, last;
	int status;

	LH_TRY(check_call(sched_getaffinity(0, sizeof all, &all)));
	cpus = CPU_COUNT(&all);
	LH_TRY(try_errors());
	LH_TRY(move_another());
	printf("one that is moved has left\n");
	LH_TRY(run_kept(spin, spinning));
	LH_TRY(run_kept(stay, threads));
	LH_TRY(join_all(threads, cpus));
	printf("each stays on its CPU\n");
	for (int i = 0; i < cpus; i++)
		LH_TRY(lh_error_from_errno(pthread_create(&threads[i], NULL, wander, (void *)(intptr_t)i)));
	LH_TRY(join_all(threads, cpus));
	printf("each goes where it is told\n");
	last = one_cpu(cpus - 1);
	LH_TRY(check_call(sched_setaffinity(0, sizeof last, &last)));
	LH_TRY(run_in_child(check_inheritance, NULL, &status));
	printf("a child: %s\n", status_text(status));
	__atomic_store_n(&is_over, true, __ATOMIC_RELAXED);
	return join_all(spinning, cpus);
}

int main(void)
{
	return report("thread_cpus", run());
}
