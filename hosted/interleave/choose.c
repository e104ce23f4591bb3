/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who goes on: by the schedule, where it has a change; else by priorities, in a random run; else
 * by default. Past the schedule's last change, what could have been chosen instead is noted.
 *
 * The default is to go on; and where a fibre cannot or would not, the next one, in a circle, that
 * can. Who spins in vain comes last. Who sleeps is no exception: the run then ends there, as equal to
 * others, and what else could have been chosen has been noted at its price. Otherwise pruning would
 * change what a schedule costs, and a schedule would mean another run without it.
 */
#include "internal.h"

#include <stdlib.h>

static bool is_hopeful(const struct fibre *fibre)
{
	return fibre->state == FIBRE_READY && (!fibre->spins || fibre->hopeful);
}

/* What a run must know before another fibre goes on. */
void run_switch_to(struct fibre *from, struct fibre *to)
{
	const interleave_host *host = run.of->host;

	run.current = NULL;
	if (host && host->leave)
		from->kept = host->leave(run.state, number_of(from));
	if (run.of->invariant)
		run.of->invariant(run.state);
	if (to->asleep)
		run_leave(OUTCOME_PRUNED);
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
const struct change *run_scheduled(unsigned fibre, uint64_t step)
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
bool run_is_past_changes(void)
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

void run_make_change(struct fibre *fibre, const struct place *place, const struct change *change)
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
	run_switch_to(fibre, to);
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
void run_note_preemptions(struct fibre *fibre, const struct place *place)
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

void run_follow_priorities(struct fibre *fibre, const struct place *place)
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
		run_make_change(fibre, place, &change);
}

/* --- where a fibre does not go on --- */

/* The next one in a circle after this one; itself last. NULL: none. */
static struct fibre *next_after(struct fibre *from, bool hopeful)
{
	for (unsigned n = 1; n <= run.of->fibres; n++) {
		struct fibre *fibre = &run.fibres[(number_of(from) + n) % run.of->fibres];

		if (fibre->state == FIBRE_READY && (!hopeful || is_hopeful(fibre)))
			return fibre;
	}
	return NULL;
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
struct fibre *run_choose(struct fibre *fibre, unsigned cost)
{
	struct fibre *chosen = next_after(fibre, true), *other = NULL;
	struct change change = { .step = fibre->steps, .fibre = (uint8_t)number_of(fibre),
				 .cost = (uint8_t)cost };
	const struct change *asked = run_scheduled(number_of(fibre), fibre->steps);

	if (!chosen)
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
	if (chosen && run_is_past_changes())
		note_alternatives(fibre, chosen, cost);
	buffer_drain(fibre);
	return chosen;
}
/* Who begins is a choice like others. */
unsigned run_choose_first(void)
{
	const struct change *asked = run_scheduled(NOBODY, 0);
	struct change change = { .fibre = NOBODY };

	if (asked && asked->to < run.of->fibres)
		change.to = asked->to;
	else if (run.options.random)
		change.to = (uint8_t)number_of(highest_priority(NULL));
	if (change.to != 0)
		record(&change);
	for (uint8_t i = 1; i < run.of->fibres && run_is_past_changes() && !asked; i++)
		note_candidate((struct change){ .fibre = NOBODY, .to = i });
	return change.to;
}
