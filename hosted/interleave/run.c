/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One run: fibres, their steps, and who goes on.
 *
 * A fibre gives way in two places. Before an access: in run_access, where a schedule says so
 * (a change, which costs one preemption), or a higher priority does. And where it cannot or
 * would not go on: it waits, yields, or has ended. The default there is the next one, in a
 * circle, that can go on; who spins in vain comes last.
 *
 * All of a run's fibres stand on stacks of the arena; run_schedule's caller waits in its own
 * context, to which a run returns by ending, by a finding, or by being given up.
 */
#include "internal.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* A run of so many steps does not end; nor does one in which all yield so often in vain. */
#define STEPS_MAX 400000
#define IDLE_TURNS_MAX 400

struct run run;
uint8_t touched[GRANULES];

static uint64_t random_state;

void run_seed(uint64_t seed)
{
	random_state = seed;
}

/* splitmix64 */
uint64_t run_random(void)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static unsigned number_of(const struct fibre *fibre)
{
	return (unsigned)(fibre - run.fibres);
}

/* --- ends --- */

_Noreturn static void leave_run(enum outcome outcome)
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
	leave_run(OUTCOME_FAILED);
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

_Noreturn static void fail_stuck(const char *what)
{
	char text[INTERLEAVE_TEXT];

	describe_deadlock(text, sizeof text, what);
	interleave_fail("%s", text);
}

/* --- who goes on --- */

static bool is_hopeful(const struct fibre *fibre)
{
	return fibre->state == FIBRE_READY && (!fibre->spins || fibre->hopeful);
}

/* What a run must know before another fibre goes on. */
static void switch_to(struct fibre *from, struct fibre *to)
{
	const interleave_host *host = run.of->host;

	run.current = NULL;
	run.last = from;
	if (host && host->leave)
		from->kept = host->leave(run.state, number_of(from));
	if (run.of->invariant)
		run.of->invariant(run.state);
	if (to->asleep)
		leave_run(OUTCOME_PRUNED);
	to->spins = to->hopeful = false;
	if (host && host->enter)
		host->enter(run.state, number_of(to), to->kept);
	run.current = to;
	buffer_enter(to);
	if (to != from)
		fibre_switch(&from->context, to->context);
}

static void record(const struct change *change)
{
	if (run.taken.count < INTERLEAVE_CHANGES)
		run.taken.changes[run.taken.count++] = *change;
	run.cost += change->cost;
}

/* The schedule's next change, if it is for this step of the fibre. */
static const struct change *scheduled(unsigned fibre, uint64_t step)
{
	const struct change *change;

	if (run.next_change >= run.schedule->count)
		return NULL;
	change = &run.schedule->changes[run.next_change];
	if (change->fibre != fibre || change->step != step)
		return NULL;
	run.next_change++;
	return change;
}

/* True while the changes that this run must make are made, and others may be noted. */
static bool notes_candidates(void)
{
	return run.options.candidates && run.next_change >= run.schedule->count &&
	       run.schedule->count < INTERLEAVE_CHANGES;
}

static void note_candidate(struct change change)
{
	struct candidates *candidates = run.options.candidates;

	if (run.cost + change.cost > run.options.bound)
		return;
	if (candidates->count == candidates->capacity) {
		candidates->capacity = candidates->capacity ? candidates->capacity * 2 : 1024;
		candidates->changes = realloc(candidates->changes,
					      candidates->capacity * sizeof(change));
		if (!candidates->changes)
			abort();
	}
	candidates->changes[candidates->count++] = change;
}

/* --- giving way before an access --- */

static void fall_asleep(struct fibre *fibre, const struct place *place)
{
	/* What is still in its buffer, or to be copied, would have to be compared too. */
	if (!run.options.sleeps || fibre->store_count != 0 || place->copies)
		return;
	fibre->asleep = true;
	fibre->next = *place;
	run.sleepers++;
}

static void make_change(struct fibre *fibre, const struct place *place, const struct change *change)
{
	struct fibre *to = &run.fibres[change->to];

	if (change->to >= run.of->fibres || to == fibre)
		return;
	if (change->drains) {
		record(change);
		buffer_drain_outside(to, change->keep);
		return;
	}
	if (to->state != FIBRE_READY)
		return;
	record(change);
	buffer_leave(fibre, change->keep);
	fall_asleep(fibre, place);
	switch_to(fibre, to);
}

/* The change with each number of stores kept that another fibre could tell from the others. */
static void note_keeping(const struct fibre *fibre, struct change change, unsigned least)
{
	for (unsigned kept = least; kept <= fibre->store_count; kept++) {
		if (kept != 0 && !fibre->stores[fibre->store_count - kept].is_point)
			continue;
		change.keep = (uint8_t)kept;
		note_candidate(change);
	}
}

/* Each other fibre that could go on here, and, with buffers, what of ours it would not see. */
static void note_preemptions(struct fibre *fibre, const struct place *place)
{
	for (unsigned i = 0; i < run.of->fibres; i++) {
		struct fibre *to = &run.fibres[i];
		struct change change = { .step = fibre->steps, .fibre = (uint8_t)number_of(fibre),
					 .to = (uint8_t)i, .cost = 1 };
		int keep = to == fibre ? -1 : buffer_keep_without(to, place);

		if (keep >= 0) {
			change.drains = true;
			change.keep = (uint8_t)keep;
			note_candidate(change);
			change.drains = false;
		}
		if (to == fibre || to->asleep || !is_hopeful(to))
			continue;
		note_keeping(fibre, change, 0);
	}
}

static struct fibre *highest_priority(const struct fibre *except)
{
	struct fibre *best = NULL;

	for (unsigned i = 0; i < run.of->fibres; i++) {
		struct fibre *fibre = &run.fibres[i];

		if (fibre != except && is_hopeful(fibre) &&
		    (!best || run.priorities[i] > run.priorities[number_of(best)]))
			best = fibre;
	}
	return best;
}

static void follow_priorities(struct fibre *fibre, const struct place *place)
{
	struct fibre *best;
	struct change change = { .step = fibre->steps, .fibre = (uint8_t)number_of(fibre),
				 .cost = 1 };

	for (unsigned i = 0; i < run.change_point_count; i++)
		if (run.change_points[i] == run.points)
			run.priorities[change.fibre] = --run.lowest;
	best = highest_priority(NULL);
	if (!best || best == fibre)
		return;
	change.to = (uint8_t)number_of(best);
	if (fibre->store_count != 0)
		change.keep = (uint8_t)(run_random() % (fibre->store_count + 1));
	if (run.taken.count < INTERLEAVE_CHANGES)
		make_change(fibre, place, &change);
}

/* --- steps --- */

static void count_step(struct fibre *fibre)
{
	fibre->steps++;
	if (++run.steps > STEPS_MAX && !run.options.counting)
		fail_stuck("livelock: the run does not end");
}

/* Notes who touches the place. => whether another fibre's touching it makes this a point. */
static bool touch(struct fibre *fibre, const struct place *place)
{
	uint8_t own = (uint8_t)(0x11u << number_of(fibre));
	uint8_t added = (uint8_t)(own & (place->writes ? 0xf0u : 0x0fu));
	uint8_t against = (uint8_t)(place->writes ? 0xffu & ~own : 0xf0u & ~own);
	uint64_t first = (place->address - ARENA_BASE) >> GRANULE_SHIFT;
	uint64_t last = (place->address - ARENA_BASE + place->size - 1) >> GRANULE_SHIFT;
	bool is_point = false;

	for (uint64_t i = first; i <= last && i < GRANULES; i++) {
		uint8_t mask = touched[i];

		if ((mask & against) != 0)
			is_point = true;
		if ((mask & added) == added)
			continue;
		touched[i] = mask | added;
		if ((mask & against) != 0)
			run.grown = true;
	}
	return is_point;
}

static bool conflict(const struct place *a, const struct place *b)
{
	uintptr_t a_first = a->address >> GRANULE_SHIFT, b_first = b->address >> GRANULE_SHIFT;
	uintptr_t a_last = (a->address + a->size - 1) >> GRANULE_SHIFT;
	uintptr_t b_last = (b->address + b->size - 1) >> GRANULE_SHIFT;

	return (a->writes || b->writes) && a_first <= b_last && b_first <= a_last;
}

static void wake_sleepers(const struct fibre *by, const struct place *place)
{
	for (unsigned i = 0; i < run.of->fibres; i++) {
		struct fibre *fibre = &run.fibres[i];

		if (fibre == by || !fibre->asleep || !conflict(&fibre->next, place))
			continue;
		fibre->asleep = false;
		run.sleepers--;
	}
}

/* Who spins may find a change now. */
static void give_hope(const struct fibre *by, const struct place *place)
{
	uint8_t mask = touched[(place->address - ARENA_BASE) >> GRANULE_SHIFT];

	run.idle_turns = 0;
	for (unsigned i = 0; i < run.of->fibres; i++)
		if (&run.fibres[i] != by && run.fibres[i].spins && (mask >> i & 1))
			run.fibres[i].hopeful = true;
}

/* The access is made now, and others may see it. */
void run_note_access(const struct fibre *by, const struct place *place)
{
	if (run.sleepers != 0)
		wake_sleepers(by, place);
	if (place->writes)
		give_hope(by, place);
}

static void buffer_access(struct fibre *fibre, const struct place *place, enum kind kind,
			  bool is_point)
{
	bool is_shared = place->address - ARENA_BASE < SHARED_SIZE;

	/* What lies on a stack is used by code that is not instrumented too. */
	if (kind == KIND_CHANGE ||
	    (place->writes && (place->size > 16 || (is_point && !is_shared))))
		buffer_drain(fibre);
	else if (place->writes && is_shared)
		buffer_announce(fibre, place, is_point);
}

static void trace(const struct fibre *fibre, const struct place *place, enum kind kind,
		  bool is_point, const void *code, const char *what)
{
	struct event event = { .step = fibre->steps, .fibre = (uint8_t)number_of(fibre),
			       .kind = (uint8_t)kind, .code = code, .is_point = is_point,
			       .address = place ? place->address : 0,
			       .size = place ? place->size : 0, .what = what };

	trace_add(&event);
}

static void step(struct fibre *fibre, const struct place *place, enum kind kind, const void *code,
		 const char *what)
{
	const struct change *change;
	bool is_point, gave_way = false;

	count_step(fibre);
	is_point = touch(fibre, place);
	if (is_point)
		run.points++;
	while ((change = scheduled(number_of(fibre), fibre->steps)) != NULL) {
		make_change(fibre, place, change);
		gave_way = gave_way || !change->drains;
	}
	if (is_point && run.options.random)
		follow_priorities(fibre, place);
	if (is_point && !gave_way && notes_candidates())
		note_preemptions(fibre, place);
	run_note_access(fibre, place);
	if (run.store_buffers)
		buffer_access(fibre, place, kind, is_point);
	if (run.options.traced)
		trace(fibre, place, kind, is_point, code, what);
}

static void count_access(struct fibre *fibre, uintptr_t address, enum kind kind)
{
	if (address - ARENA_BASE >= SHARED_SIZE)
		return;
	fibre->accesses++;
	if (kind == KIND_CHANGE)
		fibre->read_modify_writes++;
}

void run_access(uintptr_t address, uint32_t size, enum kind kind, const void *code)
{
	struct fibre *fibre = run.current;
	struct place place = { address, size, kind_writes(kind), kind == KIND_COPY };

	if (place.writes && address - ARENA_BASE < SHARED_SIZE)
		arena_dirty(address - ARENA_BASE, size);
	if (!fibre)
		return;
	if (run.options.traced)
		trace_settle();
	if (run.options.counting)
		count_access(fibre, address, kind);
	step(fibre, &place, kind, code, NULL);
}

void interleave_step(const void *where, bool writes, const char *what)
{
	struct fibre *fibre = run.current;
	struct place place = { (uintptr_t)where, 1, writes, false };

	if (!fibre || (uintptr_t)where - ARENA_BASE >= WATCHED_SIZE)
		return;
	if (run.options.traced)
		trace_settle();
	step(fibre, &place, KIND_EVENT, __builtin_return_address(0), what);
	if (writes)
		buffer_drain(fibre);
}

/* --- not going on --- */

/* The next one in a circle after this one; itself last. NULL: none. */
static struct fibre *next_after(struct fibre *from, bool hopeful)
{
	for (unsigned n = 1; n <= run.of->fibres; n++) {
		struct fibre *fibre = &run.fibres[(number_of(from) + n) % run.of->fibres];

		if (fibre->state == FIBRE_READY && !fibre->asleep &&
		    (!hopeful || is_hopeful(fibre)))
			return fibre;
	}
	return NULL;
}

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
	if (is_any(FIBRE_READY))
		leave_run(OUTCOME_PRUNED); /* all asleep */
	if (is_any(FIBRE_WAITING))
		fail_stuck("deadlock: nobody can go on");
	drain_ended();
	leave_run(OUTCOME_PASSED);
}

static void note_alternatives(struct fibre *fibre, const struct fibre *chosen, unsigned cost)
{
	for (unsigned i = 0; i < run.of->fibres; i++) {
		struct fibre *to = &run.fibres[i];

		struct change change = { .step = fibre->steps, .to = (uint8_t)i,
					 .fibre = (uint8_t)number_of(fibre),
					 .cost = (uint8_t)cost };

		if (to == fibre || !is_hopeful(to) || to->asleep)
			continue;
		note_keeping(fibre, change, to == chosen);
	}
}

/* The one to go on in place of this fibre. */
static struct fibre *choose(struct fibre *fibre, unsigned cost)
{
	struct fibre *chosen = next_after(fibre, true), *other = NULL;
	struct change change = { .step = fibre->steps, .fibre = (uint8_t)number_of(fibre),
				 .cost = (uint8_t)cost };
	const struct change *asked = scheduled(number_of(fibre), fibre->steps);

	/* Only spinning in vain is left, unless who sleeps goes on: that is run elsewhere. */
	if (!chosen && run.sleepers == 0)
		chosen = next_after(fibre, false);
	if (asked && asked->to < run.of->fibres && run.fibres[asked->to].state == FIBRE_READY)
		other = &run.fibres[asked->to];
	else if (run.options.random)
		other = highest_priority(fibre);
	if (asked)
		change.keep = asked->keep;
	if (other && (other != chosen || change.keep != 0)) {
		change.to = (uint8_t)number_of(other);
		record(&change);
		buffer_leave(fibre, change.keep);
		return other;
	}
	if (chosen && notes_candidates())
		note_alternatives(fibre, chosen, cost);
	buffer_drain(fibre);
	return chosen;
}

static void stop(struct fibre *fibre, unsigned cost, const char *what)
{
	struct fibre *next;

	if (run.options.traced)
		trace_settle();
	/* What has ended may still have stores on their way. */
	if (fibre->state != FIBRE_ENDED)
		buffer_drain(fibre);
	count_step(fibre);
	if (run.options.traced)
		trace(fibre, NULL, KIND_EVENT, true, NULL, what);
	next = choose(fibre, cost);
	if (!next)
		end_run();
	switch_to(fibre, next);
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

	if (!fibre)
		return;
	if (++run.idle_turns > IDLE_TURNS_MAX)
		fail_stuck("livelock: all spin");
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
	leave_run(OUTCOME_PASSED);
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
	leave_run(OUTCOME_PASSED);
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

/* Who begins is a choice like others. */
static unsigned choose_first(void)
{
	const struct change *asked = scheduled(NOBODY, 0);
	struct change change = { .fibre = NOBODY };

	if (asked && asked->to < run.of->fibres)
		change.to = asked->to;
	else if (run.options.random)
		change.to = (uint8_t)number_of(highest_priority(NULL));
	if (change.to != 0)
		record(&change);
	for (uint8_t i = 1; i < run.of->fibres && notes_candidates() && !asked; i++)
		note_candidate((struct change){ .fibre = NOBODY, .to = i });
	return change.to;
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
	first = choose_first();
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
	run.sleepers = 0;
	run.steps = run.points = run.idle_turns = 0;
	run.grown = false;
	if (options->candidates)
		options->candidates->count = 0;
	if (options->traced)
		trace_begin();
}

/* --- states that were checked already --- */

static uint64_t *checked;
static size_t checked_count, checked_capacity;

static size_t find_checked(uint64_t hash)
{
	size_t i = hash % checked_capacity;

	while (checked[i] != 0 && checked[i] != hash)
		i = (i + 1) % checked_capacity;
	return i;
}

static void grow_checked(void)
{
	uint64_t *old = checked;
	size_t capacity = checked_capacity;

	checked_capacity = capacity ? capacity * 2 : 4096;
	arena_open(false);
	checked = calloc(checked_capacity, sizeof *checked);
	arena_open(true);
	if (!checked)
		abort();
	for (size_t i = 0; i < capacity; i++)
		if (old[i] != 0)
			checked[find_checked(old[i])] = old[i];
	free(old);
}

/* What passes once passes again: most schedules end in a state that another ended in. */
static void check_state(void)
{
	uint64_t hash = arena_hash() | 1;

	if (checked_count * 2 >= checked_capacity)
		grow_checked();
	if (checked[find_checked(hash)] == hash && !run.options.traced)
		return;
	fibre_switch(&run.main_context, fibre_prepare(STACKS - 1, check_main));
	if (run.outcome == OUTCOME_PASSED && checked[find_checked(hash)] != hash) {
		checked[find_checked(hash)] = hash;
		checked_count++;
	}
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
	run.states = checked_count;
	return run.outcome;
}
