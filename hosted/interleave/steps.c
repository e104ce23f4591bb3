/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Steps: the accesses of instrumented code, and what stands for one. Each is counted, noted as
 * touching its place, perhaps put off while others run, and then made.
 */
#include "internal.h"

/* A run of so many steps does not end. */
#define STEPS_MAX 400000

void run_count_step(struct fibre *fibre)
{
	fibre->steps++;
	if (++run.steps > STEPS_MAX && !run.options.counting)
		run_fail_stuck("livelock: the run does not end");
}

/* Notes who touches the place. => whether another fibre's touching it makes this a point. */
static bool touch(struct fibre *fibre, const struct place *place, bool reads)
{
	uint8_t own = (uint8_t)(0x11u << number_of(fibre));
	uint8_t added = (uint8_t)(own & ((place->writes ? 0xf0u : 0) | (reads ? 0x0fu : 0)));
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

static void wake(struct fibre *fibre)
{
	if (!fibre->asleep)
		return;
	fibre->asleep = false;
	run.sleepers--;
}

void run_wake_all(void)
{
	for (unsigned i = 0; i < run.of->fibres; i++)
		wake(&run.fibres[i]);
}

static void wake_sleepers(const struct fibre *by, const struct place *place)
{
	for (unsigned i = 0; i < run.of->fibres; i++) {
		struct fibre *fibre = &run.fibres[i];

		if (fibre != by && conflict(&fibre->next, place))
			wake(fibre);
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

void run_trace(const struct fibre *fibre, const struct place *place, enum kind kind,
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

	run_count_step(fibre);
	is_point = touch(fibre, place, !place->writes || kind == KIND_CHANGE);
	if (is_point)
		run.points++;
	while ((change = run_scheduled(number_of(fibre), fibre->steps)) != NULL) {
		run_make_change(fibre, place, change);
		gave_way = gave_way || !change->drains;
	}
	if (is_point && run.options.random)
		run_follow_priorities(fibre, place);
	if (is_point && !gave_way && run_is_past_changes())
		run_note_preemptions(fibre, place);
	run_note_access(fibre, place);
	if (run.store_buffers)
		buffer_access(fibre, place, kind, is_point);
	if (run.options.traced)
		run_trace(fibre, place, kind, is_point, code, what);
}

/* --- who watches a place --- */

void interleave_watch(const void *place)
{
	for (unsigned i = 0; i < run.watched_count; i++)
		if (run.watched[i] == (uintptr_t)place)
			return;
	if (run.watched_count == WATCHED_PLACES)
		interleave_fail("more than %u places to watch", WATCHED_PLACES);
	run.watched[run.watched_count++] = (uintptr_t)place;
}

static void note_written(const struct place *place)
{
	for (unsigned i = 0; i < run.watched_count; i++)
		if (place->address - run.watched[i] < 8 || run.watched[i] - place->address < place->size)
			run.written |= UINT64_C(1) << i;
}

void run_settle(void)
{
	uint64_t written = run.written;

	run.written = 0;
	if (run.options.traced)
		trace_settle();
	for (unsigned i = 0; i < run.watched_count && written >> i != 0; i++)
		if ((written >> i & 1) != 0 && run.of->host && run.of->host->written)
			run.of->host->written(run.state, (const void *)run.watched[i]);
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
	run_settle();
	if (run.options.counting)
		count_access(fibre, address, kind);
	step(fibre, &place, kind, code, NULL);
	if (place.writes)
		note_written(&place);
}

void interleave_step(const void *where, bool writes, const char *what)
{
	struct fibre *fibre = run.current;
	struct place place = { (uintptr_t)where, 1, writes, false };

	if (!fibre || (uintptr_t)where - ARENA_BASE >= WATCHED_SIZE)
		return;
	run_settle();
	step(fibre, &place, KIND_EVENT, __builtin_return_address(0), what);
	if (writes)
		buffer_drain(fibre);
}
