/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * POSIX threads as programs rely on them: what threads share and what each has of its own, how
 * they wait for each other, signals, how they end. Its output on the kernel must be that on Linux.
 */
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <time.h>

#include "guest.h"

#define MANY 64
#define ROUNDS 2000
#define UNUSED_RESULT(call) ((void)!(call))

static void say(const char *what, long value)
{
	printf("%s: %ld\n", what, value);
}

static lh_error check_number(int error)
{
	return lh_error_from_errno(error);
}

static lh_error start(pthread_t *thread, void *(*function)(void *), void *argument)
{
	return check_number(pthread_create(thread, NULL, function, argument));
}

static lh_error join(pthread_t thread, long *result)
{
	void *value = NULL;

	LH_TRY(check_number(pthread_join(thread, &value)));
	*result = (long)(intptr_t)value;
	return LH_OK;
}

/* --- what is shared and what is not --- */

static _Thread_local int own = 5;
static _Thread_local int own_zeroed[1000];
static pthread_key_t key;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static long counter, destroyed, arrived;

static void destroy(void *value)
{
	__atomic_fetch_add(&destroyed, (long)(intptr_t)value, __ATOMIC_RELAXED);
}

static void *use_own(void *argument)
{
	int number = (int)(intptr_t)argument;

	pthread_setspecific(key, argument);
	own += number;
	for (int i = 0; i < 1000; i++)
		own_zeroed[i] += number;
	pthread_barrier_wait(&barrier);
	if (own != 5 + number || own_zeroed[999] != number || pthread_getspecific(key) != argument)
		return (void *)-1;
	for (int i = 0; i < ROUNDS; i++) {
		pthread_mutex_lock(&mutex);
		counter++;
		pthread_mutex_unlock(&mutex);
	}
	return argument;
}

static lh_error try_sharing(void)
{
	pthread_t threads[8];
	long result, sum = 0;

	pthread_key_create(&key, destroy);
	pthread_barrier_init(&barrier, NULL, 8);
	for (int i = 0; i < 8; i++)
		LH_TRY(start(&threads[i], use_own, (void *)(intptr_t)(i + 1)));
	for (int i = 0; i < 8; i++) {
		LH_TRY(join(threads[i], &result));
		sum += result;
	}
	say("the sum of what they return", sum);
	say("the counter", counter);
	say("their own variable, here", own);
	say("the sum of what destructors were given", destroyed);
	pthread_barrier_destroy(&barrier);
	return LH_OK;
}

/* --- waiting for each other --- */

static int turn;

static void *play(void *argument)
{
	int mine = (int)(intptr_t)argument;

	for (int i = 0; i < ROUNDS; i++) {
		pthread_mutex_lock(&mutex);
		while (turn != mine)
			pthread_cond_wait(&condition, &mutex);
		turn = 1 - mine;
		counter++;
		pthread_cond_signal(&condition);
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

static sem_t items, room;
static long produced, consumed;

static void *produce(void *unused)
{
	(void)unused;
	for (int i = 1; i <= ROUNDS; i++) {
		sem_wait(&room);
		__atomic_fetch_add(&produced, i, __ATOMIC_RELAXED);
		sem_post(&items);
	}
	return NULL;
}

static void *consume(void *unused)
{
	(void)unused;
	for (int i = 1; i <= ROUNDS; i++) {
		sem_wait(&items);
		__atomic_fetch_add(&consumed, i, __ATOMIC_RELAXED);
		sem_post(&room);
	}
	return NULL;
}

static lh_error run_two(void *(*first)(void *), void *(*second)(void *))
{
	pthread_t threads[2];
	long result;

	LH_TRY(start(&threads[0], first, (void *)0));
	LH_TRY(start(&threads[1], second, (void *)1));
	LH_TRY(join(threads[0], &result));
	return join(threads[1], &result);
}

static struct timespec soon(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	time.tv_nsec += 50000000;
	if (time.tv_nsec >= 1000000000) {
		time.tv_nsec -= 1000000000;
		time.tv_sec++;
	}
	return time;
}

static void *lock_in_vain(void *unused)
{
	struct timespec limit = soon(CLOCK_REALTIME);

	(void)unused;
	return (void *)(intptr_t)pthread_mutex_timedlock(&mutex, &limit);
}

static lh_error try_waiting(void)
{
	struct timespec limit;
	pthread_t thread;
	long result;

	counter = 0;
	LH_TRY(run_two(play, play));
	say("turns taken", counter);
	sem_init(&items, 0, 0);
	sem_init(&room, 0, 3);
	LH_TRY(run_two(produce, consume));
	say("produced", produced);
	say("consumed", consumed);
	pthread_mutex_lock(&mutex);
	limit = soon(CLOCK_REALTIME);
	say("a condition that nobody signals", pthread_cond_timedwait(&condition, &mutex, &limit));
	limit = soon(CLOCK_MONOTONIC);
	say("the same by the other clock",
	    pthread_cond_clockwait(&condition, &mutex, CLOCK_MONOTONIC, &limit));
	LH_TRY(start(&thread, lock_in_vain, NULL));
	LH_TRY(join(thread, &result));
	say("a mutex that nobody lets go", result);
	pthread_mutex_unlock(&mutex);
	return LH_OK;
}

/* --- many --- */

static void *arrive(void *argument)
{
	(void)argument;
	pthread_mutex_lock(&mutex);
	arrived++;
	pthread_cond_broadcast(&condition);
	while (arrived < MANY)
		pthread_cond_wait(&condition, &mutex);
	pthread_mutex_unlock(&mutex);
	return NULL;
}

static void *arrive_last(void *unused)
{
	long threads = status_number("Threads");

	arrive(unused);
	return (void *)threads;
}

static void *leave_alone(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&mutex);
	arrived++;
	pthread_cond_signal(&condition);
	pthread_mutex_unlock(&mutex);
	return NULL;
}

static lh_error wait_for_arrivals(long count)
{
	pthread_mutex_lock(&mutex);
	while (arrived < count)
		pthread_cond_wait(&condition, &mutex);
	pthread_mutex_unlock(&mutex);
	return LH_OK;
}

static lh_error try_many(void)
{
	pthread_t threads[MANY];
	pthread_attr_t detached;
	long result = 0;

	say("joining oneself", pthread_join(pthread_self(), NULL));
	for (int i = 0; i < MANY - 1; i++)
		LH_TRY(start(&threads[i], arrive, NULL));
	LH_TRY(wait_for_arrivals(MANY - 1));
	LH_TRY(start(&threads[MANY - 1], arrive_last, NULL));
	for (int i = 0; i < MANY; i++)
		LH_TRY(join(threads[i], &result));
	say("alive at once", result);
	arrived = 0;
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	for (int i = 0; i < MANY; i++)
		LH_TRY(check_number(pthread_create(&threads[i], &detached, leave_alone, NULL)));
	LH_TRY(wait_for_arrivals(MANY));
	say("detached ones that arrived", arrived);
	return LH_OK;
}

/* --- cancelling --- */

static void clean_up(void *argument)
{
	*(long *)argument += 1;
}

static int pipe_ends[2];

static void *read_for_ever(void *cleaned)
{
	char byte;

	pthread_cleanup_push(clean_up, cleaned);
	sem_post(&items);
	UNUSED_RESULT(read(pipe_ends[0], &byte, 1));
	pthread_cleanup_pop(0);
	return NULL;
}

static void *wait_for_ever(void *cleaned)
{
	pthread_mutex_lock(&mutex);
	pthread_cleanup_push(clean_up, cleaned);
	sem_post(&items);
	for (;;)
		pthread_cond_wait(&condition, &mutex);
	pthread_cleanup_pop(0);
	return NULL;
}

static void *spin_for_ever(void *cleaned)
{
	pthread_cleanup_push(clean_up, cleaned);
	sem_post(&items);
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	for (;;)
		*(volatile int *)&turn = 0;
	pthread_cleanup_pop(0);
	return NULL;
}

static lh_error cancel(const char *what, void *(*function)(void *))
{
	pthread_t thread;
	long cleaned = 0, result;

	LH_TRY(start(&thread, function, &cleaned));
	sem_wait(&items);
	usleep(10000); /* so that it sleeps, most often */
	LH_TRY(check_number(pthread_cancel(thread)));
	LH_TRY(join(thread, &result));
	printf("%s: cancelled %d, cleaned up %ld\n", what, result == (long)(intptr_t)PTHREAD_CANCELED,
	       cleaned);
	return LH_OK;
}

static lh_error try_cancelling(void)
{
	LH_TRY(check_call(pipe(pipe_ends)));
	sem_init(&items, 0, 0);
	LH_TRY(cancel("a read", read_for_ever));
	LH_TRY(cancel("a loop", spin_for_ever));
	LH_TRY(cancel("a wait, which has its mutex again", wait_for_ever));
	say("who unlocks it", pthread_mutex_unlock(&mutex));
	return LH_OK;
}

/* --- a robust mutex --- */

static pthread_mutex_t robust;

static void *die_with_mutex(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&robust);
	return NULL;
}

static void *die_with_mutex_later(void *unused)
{
	pthread_mutex_lock(&robust);
	pthread_mutex_consistent(&robust);
	sem_post(&items);
	usleep(50000);
	return unused;
}

static lh_error try_robust_mutex(void)
{
	pthread_mutexattr_t attributes;
	pthread_t thread;
	long result;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&robust, &attributes);
	LH_TRY(start(&thread, die_with_mutex, NULL));
	LH_TRY(join(thread, &result));
	say("a mutex whose owner has died", pthread_mutex_lock(&robust));
	say("made consistent", pthread_mutex_consistent(&robust));
	say("unlocked", pthread_mutex_unlock(&robust));
	sem_init(&items, 0, 0);
	LH_TRY(start(&thread, die_with_mutex_later, NULL));
	sem_wait(&items);
	say("a mutex whose owner dies meanwhile", pthread_mutex_lock(&robust));
	say("not made consistent, unlocked", pthread_mutex_unlock(&robust));
	say("and locked again", pthread_mutex_lock(&robust));
	return join(thread, &result);
}

static lh_error run(void)
{
	LH_TRY(try_sharing());
	LH_TRY(try_waiting());
	LH_TRY(try_many());
	LH_TRY(try_cancelling());
	return try_robust_mutex();
}

int main(void)
{
	return report("threads", run());
}
