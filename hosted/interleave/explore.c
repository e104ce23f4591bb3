/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exploring a case: all schedules within a bound, then random ones; and making a finding short.
 *
 * The schedules that are still to be run stand on a stack: each is the prefix that it shares with
 * the one run before it, and one change more. A run pushes those that it notes; depth first, so
 * the stack is as long as a run has points, times the changes of the longest schedule.
 */
#include "internal.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define COMPARE_EVERY 512 /* runs between looks for writes that nobody announced */

struct pending {
	unsigned depth; /* changes of the schedule before it that stay */
	struct change change;
};

struct exploration {
	const interleave_limits *limits;
	interleave_result *result;
	struct pending *stack;
	size_t count, capacity;
	struct candidates candidates;
	double begun, shown;
	unsigned bound;
};

/* Of this process alone: what is explored within a limit does not depend on who else runs. */
static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void on_signal(int number, siginfo_t *information, void *context)
{
	(void)context;
	interleave_fail("signal %d at %p", number, information->si_addr);
}

static void catch_signals(void)
{
	static uint8_t stack[64 << 10];
	stack_t alternative = { .ss_sp = stack, .ss_size = sizeof stack };
	struct sigaction action = { .sa_sigaction = on_signal,
				    .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };

	sigaltstack(&alternative, NULL);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGFPE, &action, NULL);
	sigaction(SIGILL, &action, NULL);
}

/* The start state, built once a process. */
void explore_open(const interleave_case *of)
{
	if (run.of == of)
		return;
	run.of = of;
	arena_create();
	catch_signals();
	arena_open(true);
	run.state = of->open();
	arena_open(false);
	arena_save();
}

/* --- making a finding short --- */

static bool fails(const struct schedule *schedule, bool traced)
{
	struct run_options options = { .traced = traced };

	return run_schedule(schedule, &options) == OUTCOME_FAILED;
}

static struct schedule without(const struct schedule *schedule, unsigned index)
{
	struct schedule shorter = { .count = schedule->count - 1 };

	for (unsigned i = 0; i < shorter.count; i++)
		shorter.changes[i] = schedule->changes[i + (i >= index)];
	return shorter;
}

/* => *schedule failed; it still does, and does not without any one of its changes. */
static void shorten(struct schedule *schedule)
{
	bool shorter = true;

	while (shorter) {
		shorter = false;
		for (unsigned i = 0; i < schedule->count && !shorter; i++) {
			struct schedule tried = without(schedule, i);

			if (!fails(&tried, false))
				continue;
			*schedule = run.taken;
			if (schedule->count > tried.count)
				*schedule = tried;
			shorter = true;
		}
	}
}

static void note_finding(interleave_result *result, struct schedule schedule)
{
	char changes[900];

	result->failed = true;
	memcpy(result->message, run.message, sizeof result->message);
	if (!fails(&schedule, false)) {
		snprintf(result->message, sizeof result->message,
			 "interleave: a finding does not repeat: %.300s", run.message);
		return;
	}
	shorten(&schedule);
	fails(&schedule, true);
	memcpy(result->message, run.message, sizeof result->message);
	result->hash = trace_hash();
	result->changes = schedule.count;
	if (!fails(&schedule, true) || trace_hash() != result->hash)
		snprintf(result->message, sizeof result->message,
			 "interleave: a trace does not repeat: %.300s", run.message);
	schedule_print(&schedule, changes, sizeof changes);
	snprintf(result->seed, sizeof result->seed, "%s/%s%s", run.of->name,
		 run.store_buffers && !run.of->store_buffers ? "~" : "", changes);
}

/* --- within the bound --- */

static void push(struct exploration *exploration, unsigned depth, struct change change)
{
	if (exploration->count == exploration->capacity) {
		exploration->capacity = exploration->capacity ? exploration->capacity * 2 : 4096;
		exploration->stack = realloc(exploration->stack, exploration->capacity *
								       sizeof(struct pending));
		if (!exploration->stack)
			abort();
	}
	exploration->stack[exploration->count++] = (struct pending){ depth, change };
}

static void show_progress(struct exploration *exploration)
{
	interleave_result *result = exploration->result;
	double time;

	if (!exploration->limits->progress || (result->runs + result->pruned) % 256 != 0)
		return;
	time = now();
	if (time - exploration->shown < 10)
		return;
	exploration->shown = time;
	fprintf(stderr, "    %s: %llu runs, %llu pruned, %zu waiting, %.0f s\n", run.of->name,
		(unsigned long long)result->runs, (unsigned long long)result->pruned,
		exploration->count, time - exploration->begun);
}

static void compare_sometimes(const interleave_result *result)
{
	uintptr_t differs;

	if ((result->runs + result->pruned) % COMPARE_EVERY != 1)
		return;
	arena_restore();
	differs = arena_compare();
	if (differs == 0)
		return;
	fprintf(stderr, "interleave: %s: %#llx was written by code that is not instrumented\n",
		run.of->name, (unsigned long long)differs);
	abort();
}

/* One schedule. => false: the exploration ends here. */
static bool explore_one(struct exploration *exploration, const struct schedule *schedule)
{
	interleave_result *result = exploration->result;
	struct run_options options = { .sleeps = !exploration->limits->prunes_nothing,
				       .candidates = &exploration->candidates,
				       .bound = exploration->bound };
	enum outcome outcome = run_schedule(schedule, &options);

	if (outcome == OUTCOME_PRUNED)
		result->pruned++;
	else
		result->runs++;
	if (run.points > result->points)
		result->points = run.points;
	if (outcome == OUTCOME_FAILED) {
		note_finding(result, run.taken);
		return false;
	}
	if (outcome == OUTCOME_PASSED && run.next_change < schedule->count) {
		fprintf(stderr, "interleave: %s: a schedule is not followed: something is not "
				"restored\n", run.of->name);
		abort();
	}
	for (size_t i = 0; i < exploration->candidates.count; i++)
		push(exploration, schedule->count, exploration->candidates.changes[i]);
	compare_sometimes(result);
	show_progress(exploration);
	return true;
}

static bool is_out_of_time(const struct exploration *exploration, double seconds)
{
	const interleave_result *result = exploration->result;

	return seconds > 0 && (result->runs + result->pruned + result->random_runs) % 16 == 0 &&
	       now() - exploration->begun > seconds;
}

/* => true: all schedules were run; false: a finding, no time left, or more is shared than known. */
static bool explore_all(struct exploration *exploration)
{
	struct schedule schedule = { 0 };

	exploration->count = 0;
	exploration->result->points = 0;
	states_begin();
	if (!explore_one(exploration, &schedule) || run.grown)
		return false;
	while (exploration->count > 0) {
		struct pending pending = exploration->stack[--exploration->count];

		schedule.count = pending.depth;
		schedule.changes[schedule.count++] = pending.change;
		if (!explore_one(exploration, &schedule) || run.grown)
			return false;
		if (is_out_of_time(exploration, exploration->limits->seconds))
			return false;
	}
	return true;
}

static void explore_within(struct exploration *exploration)
{
	interleave_result *result = exploration->result;

	while (!explore_all(exploration)) {
		if (!run.grown || result->failed)
			return;
		result->restarts++;
		result->runs = result->pruned = 0;
	}
	result->complete = true;
	result->reached = states_reached(&result->reached_sum);
}

/* --- random schedules --- */

/* => false: a finding. */
static bool explore_random(struct exploration *exploration, uint64_t points)
{
	static const struct schedule none = { 0 };
	struct run_options options = { .random = true };
	interleave_result *result = exploration->result;

	for (unsigned i = 0; i < run.of->fibres; i++)
		run.priorities[i] = (run_random() >> 16) + 1000000;
	run.lowest = 1000000;
	run.change_point_count = 1 + (unsigned)(run_random() % 6);
	for (unsigned i = 0; i < run.change_point_count; i++)
		run.change_points[i] = 1 + run_random() % (points + 1);
	result->random_runs++;
	if (run_schedule(&none, &options) != OUTCOME_FAILED)
		return true;
	note_finding(result, run.taken);
	return false;
}

static void explore_randomly(struct exploration *exploration, uint64_t count, double seconds)
{
	uint64_t points = exploration->result->points;

	run_seed(exploration->limits->random_seed);
	for (uint64_t n = 0; n < count; n++) {
		if (!explore_random(exploration, points) || is_out_of_time(exploration, seconds))
			return;
		if (run.points > points)
			points = run.points;
	}
}

/*
 * Random schedules until so many in a row have shown nothing new that is shared: the exploration
 * is then seldom begun anew.
 */
#define LEARNING_RUNS 64

static void learn(struct exploration *exploration)
{
	uint64_t most = 100;

	run_seed(exploration->limits->random_seed);
	for (unsigned in_vain = 0; in_vain < LEARNING_RUNS; in_vain++) {
		if (!explore_random(exploration, most))
			return;
		if (run.grown)
			in_vain = 0;
		if (run.points > most)
			most = run.points;
	}
}

void interleave_explore(const interleave_case *of, const interleave_limits *limits,
			interleave_result *result)
{
	struct exploration exploration = { .limits = limits, .result = result, .begun = now() };

	memset(result, 0, sizeof *result);
	explore_open(of);
	run.store_buffers = of->store_buffers || limits->store_buffers;
	exploration.shown = exploration.begun;
	exploration.bound = of->bound + limits->extra;
	if (limits->bound != 0 && limits->bound < exploration.bound)
		exploration.bound = limits->bound;
	result->bound = exploration.bound;
	learn(&exploration);
	if (!result->failed)
		explore_within(&exploration);
	if (!result->failed && limits->random_seconds > 0)
		explore_randomly(&exploration, UINT64_MAX,
				 now() - exploration.begun + limits->random_seconds);
	result->states = run.states;
	result->seconds = now() - exploration.begun;
	free(exploration.stack);
	free(exploration.candidates.changes);
}

bool interleave_replay(const interleave_case *of, const char *changes, FILE *out, bool all,
		       interleave_result *result)
{
	struct schedule schedule;

	memset(result, 0, sizeof *result);
	if (!schedule_parse(&schedule, changes + (changes[0] == '~')))
		return false;
	explore_open(of);
	run.store_buffers = of->store_buffers || changes[0] == '~';
	/* Twice: the first run learns what is shared. */
	fails(&schedule, false);
	result->failed = fails(&schedule, true);
	result->hash = trace_hash();
	result->points = run.points;
	if (result->failed)
		memcpy(result->message, run.message, sizeof result->message);
	trace_print(out, all);
	return true;
}
