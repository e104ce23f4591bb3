/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One run: its fibres from beginning to end.
 *
 * A fibre gives way in two places: before an access (steps.c), where the schedule or a priority
 * says so; and where it cannot or would not go on: it waits, yields, or has ended. Who goes on
 * then is choose.c's to say.
 *
 * All of a run's fibres stand on stacks of the arena; run_schedule's caller waits in its own
 * context, to which a run returns by ending, by a finding, or by being given up.
 */
#include "internal.h"
#include "splitmix.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* A run in which all yield so often in vain does not end. */
#define IDLE_TURNS_MAX 400

struct run run;
uint8_t touched[GRANULES];

static uint64_t random_state;

void run_seed(uint64_t seed)
{
	random_state = seed;
}

uint64_t run_random(void)
{
	return splitmix_next(&random_state);
}

/* --- ends --- */

_Noreturn void run_leave(enum outcome outcome)
{
	run.outcome = outcome;
	run.current = NULL;
	fibre_switch(&run.scratch, run.main_context);
	abort();
}

_Noreturn void interleave_fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(run.message, sizeof run.message, format, arguments);
	va_end(arguments);
	if (!run.main_context) {
		fprintf(stderr, "interleave: outside a run: %s\n", run.message);
		abort();
	}
	run_leave(OUTCOME_FAILED);
}

static void describe_deadlock(char *text, size_t size, const char *what)
{
	size_t length = (size_t)snprintf(text, size, "%s", what);

	for (unsigned i = 0; i < run.of->fibres && length < size; i++) {
		const struct fibre *fibre = &run.fibres[i];

		length += (size_t)snprintf(
			text + length, size - length, "; %u %s%s at step %llu", i,
			fibre->state == FIBRE_ENDED ? "has ended" : fibre->spins ? "spins"
			: fibre->state == FIBRE_WAITING			   ? "waits: "
									   : "runs",
			fibre->state == FIBRE_WAITING ? fibre->waits_for : "",
			(unsigned long long)fibre->steps);
	}
}

_Noreturn void run_fail_stuck(const char *what)
{
	char text[INTERLEAVE_TEXT];

	describe_deadlock(text, sizeof text, what);
	interleave_fail("%s", text);
}
/* --- not going on --- */

static bool is_any(enum fibre_state state)
{
	for (unsigned i = 0; i < run.of->fibres; i++)
		if (run.fibres[i].state == state)
			return true;
	return false;
}

/* What was stored arrives at some time. */
static void drain_ended(void)
{
	for (unsigned i = 0; i < run.of->fibres; i++)
		if (run.fibres[i].state == FIBRE_ENDED)
			buffer_drain_outside(&run.fibres[i], 0);
}

/* Nobody is left to go on. */
_Noreturn static void end_run(void)
{
	if (is_any(FIBRE_WAITING) || run.options.counting)
		run_fail_stuck("deadlock: nobody can go on");
	drain_ended();
	run_leave(OUTCOME_PASSED);
}
static void stop(struct fibre *fibre, unsigned cost, const char *what)
{
	struct fibre *next;

	run_settle();
	/* What has ended may still have stores on their way. */
	if (fibre->state != FIBRE_ENDED)
		buffer_drain(fibre);
	run_count_step(fibre);
	if (run.options.traced)
		run_trace(fibre, NULL, KIND_EVENT, true, NULL, what);
	next = run_choose(fibre, cost);
	if (!next)
		end_run();
	run_switch_to(fibre, next);
}

void interleave_drain(unsigned number)
{
	if (number >= run.of->fibres)
		return;
	if (run.current == &run.fibres[number])
		buffer_drain(run.current);
	else
		buffer_drain_outside(&run.fibres[number], 0);
}

int interleave_current(void)
{
	return run.current ? (int)number_of(run.current) : -1;
}

void interleave_yield(void)
{
	struct fibre *fibre = run.current;

	if (!fibre || run.options.counting)
		return;
	if (++run.idle_turns > IDLE_TURNS_MAX)
		run_fail_stuck("livelock: all spin");
	run_wake_all();
	fibre->spins = true;
	fibre->hopeful = false;
	drain_ended();
	if (run.options.random)
		run.priorities[number_of(fibre)] = --run.lowest;
	stop(fibre, 1, "yields");
}

void interleave_wait(const char *what)
{
	struct fibre *fibre = run.current;

	fibre->state = FIBRE_WAITING;
	fibre->waits_for = what;
	stop(fibre, 0, what);
}

void interleave_wake(unsigned number)
{
	if (run.fibres[number].state == FIBRE_WAITING)
		run.fibres[number].state = FIBRE_READY;
}

bool interleave_is_waiting(unsigned number)
{
	return run.fibres[number].state == FIBRE_WAITING;
}

bool interleave_has_ended(unsigned number)
{
	return number >= run.of->fibres || run.fibres[number].state == FIBRE_ENDED;
}

/* --- a run --- */

static void fibre_main(void)
{
	struct fibre *fibre = run.current;

	run.of->run[number_of(fibre)](run.state);
	if (run.of->host && run.of->host->ended)
		run.of->host->ended(run.state);
	fibre->state = FIBRE_ENDED;
	stop(fibre, 0, "ends");
	abort();
}

static void check_main(void)
{
	if (run.of->check)
		run.of->check(run.state);
	run_leave(OUTCOME_PASSED);
}

/* Fibres one after the other; what the first half of the rounds touched is forgotten. */
static void count_main(void)
{
	const interleave_host *host = run.of->host;

	for (unsigned round = 0; round < 2 * run.options.rounds; round++) {
		if (round == run.options.rounds)
			memset(touched, 0, sizeof touched);
		for (unsigned i = 0; i < run.of->fibres; i++) {
			struct fibre *fibre = &run.fibres[i];

			if (round == run.options.rounds)
				fibre->accesses = fibre->read_modify_writes = 0;
			if (host && host->enter)
				host->enter(run.state, i, fibre->kept);
			run.current = fibre;
			run.of->run[i](run.state);
			run.current = NULL;
			if (host && host->leave)
				fibre->kept = host->leave(run.state, i);
		}
	}
	run_leave(OUTCOME_PASSED);
}

static void prepare_fibre(unsigned number)
{
	struct fibre *fibre = &run.fibres[number];

	fibre->context = fibre_prepare(number, fibre_main);
	fibre->state = run.options.counting ? FIBRE_ENDED : FIBRE_READY;
	fibre->steps = 0;
	fibre->waits_for = NULL;
	fibre->asleep = fibre->spins = fibre->hopeful = false;
	fibre->store_count = 0;
	fibre->kept = number;
	fibre->accesses = fibre->read_modify_writes = 0;
}
static void begin_fibres(void)
{
	const interleave_host *host = run.of->host;
	unsigned first;

	if (host && host->begin)
		host->begin(run.state);
	for (unsigned i = 0; i < run.of->fibres; i++)
		prepare_fibre(i);
	if (run.options.counting) {
		fibre_switch(&run.main_context, fibre_prepare(STACKS - 1, count_main));
		return;
	}
	first = run_choose_first();
	if (host && host->enter)
		host->enter(run.state, first, first);
	run.current = &run.fibres[first];
	fibre_switch(&run.main_context, run.current->context);
}

static void reset(const struct schedule *schedule, const struct run_options *options)
{
	run.options = *options;
	run.schedule = schedule;
	run.next_change = run.cost = 0;
	run.taken.count = 0;
	run.current = NULL;
	run.sleepers = run.watched_count = 0;
	run.written = 0;
	run.steps = run.points = run.idle_turns = 0;
	run.grown = false;
	if (options->candidates)
		options->candidates->count = 0;
	if (options->traced)
		trace_begin();
}
/* What passes once passes again: most schedules end in a state that another ended in. */
static void check_state(void)
{
	uint64_t hash = arena_hash();

	if (states_reach(hash | 1) && !run.options.traced)
		return;
	fibre_switch(&run.main_context, fibre_prepare(STACKS - 1, check_main));
	if (run.outcome == OUTCOME_PASSED)
		states_add(hash | 1);
}

enum outcome run_schedule(const struct schedule *schedule, const struct run_options *options)
{
	const interleave_host *host = run.of->host;

	reset(schedule, options);
	arena_restore();
	arena_open(true);
	begin_fibres();
	if (options->traced)
		trace_settle();
	if (run.outcome == OUTCOME_PASSED && !options->counting) {
		if (host && host->end)
			host->end(run.state);
		check_state();
	}
	arena_open(false);
	run.states = states_count();
	return run.outcome;
}
