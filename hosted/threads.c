/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPUs as threads: threads.h.
 *
 * Calls. Each CPU has room for the one call that it can make at a time, and a set of the CPUs
 * that call it. The caller fills its room in, sets its bit with each CPU that it calls, and
 * waits until `left` is 0; who is called takes all bits at once, and counts each caller's
 * `left` down when it has run its function.
 *
 * Sleep. A CPU that parks or is idle waits on its condition variable. It says that it is asleep
 * and then looks for calls; who calls sets the bit and then looks whether it is asleep: both
 * sequentially consistent, so one of the two sees the other. What a parked CPU waits for is
 * looked at under the mutex, which unpark takes after the word was changed.
 */
#include "threads.h"

#include "machine_internal.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MESSAGE_MAX 1200

/* One turn in so many looks for calls lets another thread run, wherever this one is. */
#define TURNS_BETWEEN_YIELDS 48

enum doing { RUNNING, SPINNING, PARKED, CALLING, MEETING, IDLE };

struct call {
	void (*function)(void *);
	void *argument;
	unsigned left; /* atomic: CPUs that have not run it yet */
};

/* t: the CPU's thread alone; a: atomic; m: under the mutex. */
struct thread_cpu {
	struct machine_threads *threads;
	unsigned number;
	pthread_t thread;
	pthread_cond_t wake;
	struct call call;	 /* t, while others run it constant */
	uint64_t pending;	 /* a: CPUs that call this one */
	bool asleep;		 /* a */
	bool parked;		 /* m */
	const uint32_t *word;	 /* m: parked on */
	uint64_t turns;		 /* t: state of a generator */
	/* For the report of a stall, all a: */
	uint64_t steps;
	const char *what;
	unsigned doing;
	uint64_t spins;		 /* since the last step */
	uint64_t called;	 /* CALLING: the CPUs called */
	bool deaf;		 /* interrupts off */
};

struct machine_threads {
	lh_port *machine;
	machine_program *program;
	void *context;
	unsigned count;
	pthread_mutex_t mutex;
	pthread_cond_t progress; /* a program has ended */
	unsigned running;	 /* m: programs that have not ended */
	bool failed;		 /* a: set under the mutex */
	uint64_t arrived;	 /* a: meetings */
	struct thread_cpu cpus[MACHINE_THREADS_MAX];
	char message[MESSAGE_MAX]; /* m: of the first failure */
};

#define GET(place) __atomic_load_n(&(place), __ATOMIC_RELAXED)
#define SET(place, value) __atomic_store_n(&(place), value, __ATOMIC_RELAXED)

static struct thread_cpu *own_cpu(lh_port *machine)
{
	return &machine->threads->cpus[machine_current(machine)];
}

void machine_threads_lock(lh_port *machine)
{
	pthread_mutex_lock(&machine->threads->mutex);
}

void machine_threads_unlock(lh_port *machine)
{
	pthread_mutex_unlock(&machine->threads->mutex);
}

/* Ends the run; only the first message counts. => the mutex is not held. */
static void fail(struct machine_threads *threads, const char *message)
{
	pthread_mutex_lock(&threads->mutex);
	if (!GET(threads->failed)) {
		snprintf(threads->message, sizeof threads->message, "%s", message);
		SET(threads->failed, true);
	}
	for (unsigned i = 0; i < threads->count; i++)
		pthread_cond_signal(&threads->cpus[i].wake);
	pthread_cond_signal(&threads->progress);
	pthread_mutex_unlock(&threads->mutex);
}

/* --- calls --- */

static bool has_calls(struct thread_cpu *own)
{
	return GET(own->pending) != 0;
}

/* Runs what others have called this CPU for. => interrupts are on; the mutex is not held. */
static void serve(struct thread_cpu *own)
{
	struct machine_threads *threads = own->threads;
	uint64_t callers = __atomic_exchange_n(&own->pending, 0, __ATOMIC_ACQUIRE);

	SET(own->deaf, true);
	for (unsigned i = 0; i < threads->count; i++) {
		struct call *call = &threads->cpus[i].call;

		if (!(callers >> i & 1))
			continue;
		machine_run_call(threads->machine, own->number, call->function, call->argument);
		__atomic_sub_fetch(&call->left, 1, __ATOMIC_RELEASE);
	}
	SET(own->deaf, false);
}

/* Threads that run for milliseconds at a time meet too seldom: let others in now and then. */
static void let_others_in(struct thread_cpu *own)
{
	own->turns = own->turns * 6364136223846793005u + 1442695040888963407u;
	if ((own->turns >> 33) % TURNS_BETWEEN_YIELDS == 0)
		sched_yield();
}

static void leave_if_failed(const struct thread_cpu *own)
{
	if (GET(own->threads->failed))
		machine_report(own->threads->machine, "CPU %u was stopped", own->number);
}

void machine_threads_poll(lh_port *machine)
{
	struct thread_cpu *own = own_cpu(machine);

	leave_if_failed(own);
	let_others_in(own);
	if (machine->cpus[own->number].interrupts && has_calls(own))
		serve(own);
}

void machine_threads_note_interrupts(lh_port *machine, bool on)
{
	struct thread_cpu *own = own_cpu(machine);

	SET(own->deaf, !on);
	if (on)
		machine_threads_poll(machine);
	else
		let_others_in(own);
}

static void wake_for_call(struct thread_cpu *target)
{
	if (!__atomic_load_n(&target->asleep, __ATOMIC_SEQ_CST))
		return;
	pthread_mutex_lock(&target->threads->mutex);
	pthread_cond_signal(&target->wake);
	pthread_mutex_unlock(&target->threads->mutex);
}

/* => the CPUs called but for this one, as a word. */
static uint64_t others_called(lh_port *machine, const lh_cpu_set *cpus, unsigned own)
{
	for (unsigned cpu = machine->cpu_count; cpu < LH_MAX_CPUS; cpu++)
		if (cpus->bits[cpu / 64] >> (cpu % 64) & 1)
			machine_report(machine, "call to CPU %u, which the machine does not have",
				       cpu);
	return cpus->bits[0] & ~(UINT64_C(1) << own);
}

static void wait_for_call(lh_port *machine, struct thread_cpu *own, uint64_t others)
{
	SET(own->called, others);
	SET(own->doing, CALLING);
	while (__atomic_load_n(&own->call.left, __ATOMIC_ACQUIRE) != 0) {
		machine_threads_poll(machine);
		sched_yield();
	}
	SET(own->doing, RUNNING);
}

void machine_threads_call(lh_port *machine, const lh_cpu_set *cpus, void (*function)(void *),
			  void *argument)
{
	struct thread_cpu *own = own_cpu(machine);
	uint64_t others = others_called(machine, cpus, own->number);
	unsigned left = (unsigned)__builtin_popcountll(others);

	own->call.function = function;
	own->call.argument = argument;
	__atomic_store_n(&own->call.left, left, __ATOMIC_RELAXED);
	for (unsigned i = 0; i < own->threads->count; i++) {
		struct thread_cpu *target = &own->threads->cpus[i];

		if (!(others >> i & 1))
			continue;
		__atomic_fetch_or(&target->pending, UINT64_C(1) << own->number, __ATOMIC_SEQ_CST);
		wake_for_call(target);
	}
	if (cpus->bits[0] >> own->number & 1) {
		SET(own->deaf, true);
		machine_run_call(machine, own->number, function, argument);
		SET(own->deaf, false);
	}
	wait_for_call(machine, own, others);
}

/* --- waiting --- */

void machine_threads_pause(lh_port *machine)
{
	struct thread_cpu *own = own_cpu(machine);

	SET(own->doing, SPINNING);
	SET(own->spins, GET(own->spins) + 1);
	machine_threads_poll(machine);
	sched_yield();
}

/* Sleeps until woken, or returns where there is a call to take. => the mutex is held. */
static void sleep_locked(struct thread_cpu *own)
{
	__atomic_store_n(&own->asleep, true, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&own->pending, __ATOMIC_SEQ_CST) == 0)
		pthread_cond_wait(&own->wake, &own->threads->mutex);
	SET(own->asleep, false);
}

void machine_threads_park(lh_port *machine, const uint32_t *word, uint32_t expected)
{
	struct machine_threads *threads = machine->threads;
	struct thread_cpu *own = own_cpu(machine);

	machine_threads_poll(machine);
	pthread_mutex_lock(&threads->mutex);
	own->parked = __atomic_load_n(word, __ATOMIC_SEQ_CST) == expected;
	own->word = word;
	SET(own->doing, PARKED);
	while (own->parked && !GET(threads->failed)) {
		sleep_locked(own);
		if (has_calls(own)) {
			pthread_mutex_unlock(&threads->mutex);
			serve(own);
			pthread_mutex_lock(&threads->mutex);
		}
	}
	own->parked = false;
	SET(own->doing, RUNNING);
	pthread_mutex_unlock(&threads->mutex);
	leave_if_failed(own);
}

void machine_threads_unpark(lh_port *machine, const uint32_t *word)
{
	struct machine_threads *threads = machine->threads;

	pthread_mutex_lock(&threads->mutex);
	for (unsigned i = 0; i < threads->count; i++) {
		struct thread_cpu *cpu = &threads->cpus[i];

		if (!cpu->parked || cpu->word != word)
			continue;
		cpu->parked = false;
		pthread_cond_signal(&cpu->wake);
	}
	pthread_mutex_unlock(&threads->mutex);
}

void machine_step(lh_port *machine, const char *what)
{
	struct thread_cpu *own = own_cpu(machine);

	SET(own->steps, GET(own->steps) + 1);
	SET(own->what, what);
	SET(own->doing, RUNNING);
	SET(own->spins, 0);
	machine_threads_poll(machine);
}

void machine_meet(lh_port *machine)
{
	struct thread_cpu *own = own_cpu(machine);
	struct machine_threads *threads = own->threads;
	uint64_t before = __atomic_fetch_add(&threads->arrived, 1, __ATOMIC_ACQ_REL);
	uint64_t end = (before / threads->count + 1) * threads->count;

	machine_step(machine, "meeting");
	SET(own->doing, MEETING);
	while (__atomic_load_n(&threads->arrived, __ATOMIC_ACQUIRE) < end) {
		machine_threads_poll(machine);
		sched_yield();
	}
	machine_step(machine, "after a meeting");
}

/* --- the threads --- */

static void run_program(void *argument)
{
	struct thread_cpu *own = argument;

	own->threads->program(own->threads->context, own->number);
}

/* A CPU whose program has ended still takes calls, until all have ended. */
static void idle(struct thread_cpu *own)
{
	struct machine_threads *threads = own->threads;

	pthread_mutex_lock(&threads->mutex);
	SET(own->doing, IDLE);
	if (--threads->running == 0) {
		for (unsigned i = 0; i < threads->count; i++)
			pthread_cond_signal(&threads->cpus[i].wake);
		pthread_cond_signal(&threads->progress);
	}
	while (threads->running != 0 && !GET(threads->failed)) {
		sleep_locked(own);
		if (has_calls(own)) {
			pthread_mutex_unlock(&threads->mutex);
			serve(own);
			pthread_mutex_lock(&threads->mutex);
		}
	}
	pthread_mutex_unlock(&threads->mutex);
}

/* Also the calls that a CPU takes while idle may end in a panic. */
static void run_and_idle(void *argument)
{
	struct thread_cpu *own = argument;
	lh_port *machine = own->threads->machine;
	const machine_cpu *cpu = &machine->cpus[own->number];

	run_program(own);
	if (!cpu->interrupts || cpu->depth != 0)
		machine_report(machine, "CPU %u's program ended with interrupts off", own->number);
	idle(own);
}

static void *thread_main(void *argument)
{
	struct thread_cpu *own = argument;
	const char *message;

	machine_become(own->threads->machine, own->number);
	message = machine_expect_panic(NULL, run_and_idle, own);
	if (message)
		fail(own->threads, message);
	return NULL;
}

/* --- the watch --- */

static size_t describe(const struct thread_cpu *cpu, char *text, size_t room)
{
	static const char *const names[] = { "runs", "spins", "is parked", "waits for calls to",
					     "waits in a meeting", "has ended" };
	unsigned doing = GET(cpu->doing);
	const char *what = GET(cpu->what);
	int length = snprintf(text, room, "; CPU %u (%s, step %llu) %s", cpu->number,
			      what ? what : "start", (unsigned long long)GET(cpu->steps),
			      names[doing]);

	if (doing == CALLING)
		length += snprintf(text + length, room - (size_t)length, " CPUs %#llx, %u left",
				   (unsigned long long)GET(cpu->called), GET(cpu->call.left));
	else if (doing == SPINNING)
		length += snprintf(text + length, room - (size_t)length, ", %llu turns",
				   (unsigned long long)GET(cpu->spins));
	else if (doing == PARKED)
		length += snprintf(text + length, room - (size_t)length, " on a word that is %u",
				   GET(*cpu->word));
	if (GET(cpu->deaf))
		length += snprintf(text + length, room - (size_t)length, ", interrupts off");
	return (size_t)length;
}

/* => the mutex is held: what a parked CPU waits for is read. */
static void describe_stall(struct machine_threads *threads, unsigned stalled, char *text)
{
	size_t length = (size_t)snprintf(text, MESSAGE_MAX, "machine: CPU %u makes no progress",
					 stalled);

	for (unsigned i = 0; i < threads->count && length < MESSAGE_MAX - 140; i++)
		length += describe(&threads->cpus[i], text + length, MESSAGE_MAX - length);
}

/* What the watch remembers of a CPU. */
struct watched {
	uint64_t steps;
	unsigned seconds; /* without a step */
};

/* Once a second. => the CPU that made no step for so long; count: none. */
static unsigned find_stalled(struct machine_threads *threads, struct watched *watched,
			     unsigned seconds)
{
	for (unsigned i = 0; i < threads->count; i++) {
		const struct thread_cpu *cpu = &threads->cpus[i];
		uint64_t steps = GET(cpu->steps);

		if (GET(cpu->doing) == IDLE || steps != watched[i].steps)
			watched[i].seconds = 0;
		else if (++watched[i].seconds >= seconds)
			return i;
		watched[i].steps = steps;
	}
	return threads->count;
}

static void wait_a_second(struct machine_threads *threads)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec++;
	pthread_cond_timedwait(&threads->progress, &threads->mutex, &until);
}

static void watch(struct machine_threads *threads)
{
	struct watched watched[MACHINE_THREADS_MAX] = { { 0, 0 } };
	unsigned seconds = threads->machine->stall_seconds;
	char text[MESSAGE_MAX] = "";

	pthread_mutex_lock(&threads->mutex);
	while (threads->running != 0 && !GET(threads->failed) && text[0] == '\0') {
		unsigned stalled;

		wait_a_second(threads);
		stalled = find_stalled(threads, watched,
				       seconds != 0 ? seconds : MACHINE_STALL_SECONDS);
		if (stalled < threads->count && threads->running != 0)
			describe_stall(threads, stalled, text);
	}
	pthread_mutex_unlock(&threads->mutex);
	if (text[0] != '\0')
		fail(threads, text);
}

static void prepare(struct machine_threads *threads, unsigned number)
{
	struct thread_cpu *cpu = &threads->cpus[number];

	cpu->threads = threads;
	cpu->number = number;
	cpu->turns = threads->machine->random_state + number;
	pthread_cond_init(&cpu->wake, NULL);
}

/* After a failure the CPUs are left as they were born; what they held in the library is not. */
static void reset_cpus(lh_port *machine)
{
	for (unsigned i = 0; i < machine->cpu_count; i++) {
		machine->cpus[i].interrupts = true;
		machine->cpus[i].depth = 0;
		machine->cpus[i].locks = (lh_lock_record){ 0 };
	}
}

static void finish(struct machine_threads *threads)
{
	for (unsigned i = 0; i < threads->count; i++)
		pthread_join(threads->cpus[i].thread, NULL);
	for (unsigned i = 0; i < threads->count; i++)
		pthread_cond_destroy(&threads->cpus[i].wake);
	pthread_cond_destroy(&threads->progress);
	pthread_mutex_destroy(&threads->mutex);
	threads->machine->threads = NULL;
}

const char *machine_run_threads(lh_port *machine, machine_program *program, void *context)
{
	static _Thread_local char message[MESSAGE_MAX];
	struct machine_threads *threads = calloc(1, sizeof *threads);
	bool failed;

	if (!threads || machine->cpu_count > MACHINE_THREADS_MAX || machine->threads)
		machine_report(machine, "the CPUs cannot be threads");
	threads->machine = machine;
	threads->program = program;
	threads->context = context;
	threads->count = threads->running = machine->cpu_count;
	pthread_mutex_init(&threads->mutex, NULL);
	pthread_cond_init(&threads->progress, NULL);
	for (unsigned i = 0; i < threads->count; i++)
		prepare(threads, i);
	machine->threads = threads;
	for (unsigned i = 0; i < threads->count; i++)
		if (pthread_create(&threads->cpus[i].thread, NULL, thread_main,
				   &threads->cpus[i]) != 0)
			abort();
	watch(threads);
	finish(threads);
	machine_watch_again(machine);
	failed = threads->failed;
	memcpy(message, threads->message, sizeof message);
	free(threads);
	if (failed)
		reset_cpus(machine);
	return failed ? message : NULL;
}
