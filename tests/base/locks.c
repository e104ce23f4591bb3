/* SPDX-License-Identifier: BSD-2-Clause */
/* The two locks: what they ask of the port, and that they exclude. */
#include "base/lock.h"

#include "base/toy_port.h"
#include "harness.h"

#include <sched.h>

TEST(a_spinning_lock_keeps_interrupts_off_while_it_is_held)
{
	lh_port port = { .interrupts_off = 0 };
	uint32_t outer = 0, inner = 0;
	uintptr_t outer_state = lh_spin_lock(&outer, LH_LOCK_POOL, &port);
	uintptr_t inner_state;

	CHECK_EQUAL(outer, 1);
	CHECK_EQUAL(port.interrupts_off, 1);
	inner_state = lh_spin_lock(&inner, LH_LOCK_FRAMES, &port);
	CHECK_EQUAL(port.interrupts_off, 2);
	lh_spin_unlock(&inner, LH_LOCK_FRAMES, &port, inner_state);
	CHECK_EQUAL(port.interrupts_off, 1);
	lh_spin_unlock(&outer, LH_LOCK_POOL, &port, outer_state);
	CHECK_EQUAL(port.interrupts_off, 0);
	CHECK_EQUAL(outer + inner, 0);
	CHECK_EQUAL(port.pauses, 0);
}

static void release_after_three_pauses(lh_port *port)
{
	/* B22: who spins must be interruptible, or the holder's flush waits for ever. */
	CHECK_EQUAL(port->interrupts_off, 0);
	if (port->pauses == 3)
		*port->word = 0;
}

TEST(b22_a_spinning_cpu_can_be_interrupted)
{
	uint32_t lock = 1;
	lh_port port = { .on_pause = release_after_three_pauses, .word = &lock };
	uintptr_t state = lh_spin_lock(&lock, LH_LOCK_FRAMES, &port);

	CHECK_EQUAL(port.pauses, 3);
	CHECK_EQUAL(port.interrupts_off, 1);
	CHECK_EQUAL(lock, 1);
	lh_spin_unlock(&lock, LH_LOCK_FRAMES, &port, state);
}

TEST(a_free_mutex_asks_nothing_of_the_port)
{
	lh_port port = { .parks = 0 };
	uint32_t mutex = 0;

	CHECK(!lh_mutex_is_held(&mutex));
	lh_mutex_lock(&mutex, LH_LOCK_MAP, &port);
	CHECK(lh_mutex_is_held(&mutex));
	lh_mutex_unlock(&mutex, LH_LOCK_MAP, &port);
	CHECK(!lh_mutex_is_held(&mutex));
	CHECK_EQUAL(port.parks + port.unparks, 0);
}

/* Wakes for no reason twice, then the holder lets go. */
static void release_at_third_park(lh_port *port)
{
	CHECK_EQUAL(*port->word, 2);
	if (port->parks == 3)
		*port->word = 0;
}

TEST(a_mutex_that_is_held_is_parked_on_until_it_is_free)
{
	uint32_t mutex = 0;
	lh_port port = { .on_park = release_at_third_park, .word = &mutex };

	lh_mutex_lock(&mutex, LH_LOCK_MAP, &port);
	lh_mutex_lock(&mutex, LH_LOCK_MAP, &port);
	CHECK_EQUAL(port.parks, 3);
	/* Somebody else may be parked still: this one cannot know, so it must wake. */
	lh_mutex_unlock(&mutex, LH_LOCK_MAP, &port);
	CHECK_EQUAL(port.unparks, 1);
	CHECK(!lh_mutex_is_held(&mutex));
}

enum { THREADS = 4, TURNS = 3000 };

static lh_port shared_port = {
	.threads = true, .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER
};
static uint32_t shared_lock;
static unsigned shared_count; /* plain on purpose: the lock alone guards it */

/* Reads, lets others run, writes: without exclusion turns would be lost. */
static void take_turn(unsigned turn)
{
	unsigned seen = shared_count;

	if (turn % 64 == 0)
		sched_yield();
	shared_count = seen + 1;
}

static void *use_mutex(void *unused)
{
	(void)unused;
	for (unsigned turn = 0; turn < TURNS; turn++) {
		lh_mutex_lock(&shared_lock, LH_LOCK_MAP, &shared_port);
		take_turn(turn);
		lh_mutex_unlock(&shared_lock, LH_LOCK_MAP, &shared_port);
	}
	return NULL;
}

static void yield(lh_port *port)
{
	(void)port;
	sched_yield();
}

static void *use_spinning_lock(void *unused)
{
	lh_port port = { .on_pause = yield };

	(void)unused;
	for (unsigned turn = 0; turn < TURNS; turn++) {
		uintptr_t state = lh_spin_lock(&shared_lock, LH_LOCK_FRAMES, &port);

		take_turn(turn);
		lh_spin_unlock(&shared_lock, LH_LOCK_FRAMES, &port, state);
	}
	return NULL;
}

static void run_threads(void *(*function)(void *))
{
	pthread_t thread[THREADS];

	shared_lock = 0;
	shared_count = 0;
	for (unsigned i = 0; i < THREADS; i++)
		CHECK(pthread_create(&thread[i], NULL, function, NULL) == 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	CHECK_EQUAL(shared_count, THREADS * TURNS);
	CHECK_EQUAL(shared_lock, 0);
}

TEST(threads_exclude_each_other_by_the_mutex)
{
	run_threads(use_mutex);
}

TEST(threads_exclude_each_other_by_the_spinning_lock)
{
	run_threads(use_spinning_lock);
}
