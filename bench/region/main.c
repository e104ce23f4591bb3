/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Times region structures side by side, on the same steps: prints CSV.
 *
 * All subjects live in one process, each with its own tree and items. First a history is made:
 * n regions of 1 to 64 pages in a 47-bit space, lowest fit, then 2n removals and placements, so
 * that the space is fragmented. Every subject is led through the same history. Then rounds: in
 * each, every operation is done as a batch on each subject in turn, so that what disturbs the
 * machine disturbs all alike. An operation's cost is the median of its batches, in the time that
 * this process had the CPU.
 *
 *   lookup        of a random page of a random region, and one word of that region read
 *   lookup_near   runs: a random region, then 15 pages of it or of the next regions
 *   place_remove  removal of a random region, lowest fit of a random size
 *   place_fixed   removal of a random region, placement where it was
 *   place_random  removal of a random region, placement at a random address
 *   punch         unmap of a page in the middle of a region, by address: what munmap does
 *   punch_at_hand the same of a region that is known already, which nothing in the library does
 *   mixed         two placements, a removal, a punch_at_hand: the cost of one of the four
 *   walk          in order over all; the cost of a region
 *   bytes         of index, a region: in the ns columns
 *
 * Nobody's items are built anew when they are placed again, all memory is on huge pages, as what a kernel's
 * direct map shows, and one punch makes two pieces of a region in all of them.
 *
 * usage: bench-region [-c] [-a] [-s SUBJECT,...] [-o OPERATION,...] SIZE...
 *        -c: counts instructions, under valgrind --tool=callgrind --instr-atstart=no (measure.c)
 *        -a: operations apart: none is begun while one before it waits for memory (x86-64; not walks)
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGES_MAX = 64, ROUNDS = 15, BATCH = 20000, NEAR_RUN = 16, PASSES = 3, COUNTED = 1000 };
#define SPACE_FIRST UINT64_C(16)
#define SPACE_END (UINT64_C(1) << 35)

static const struct subject *const all_subjects[] = {
	&subject_landhold, &subject_rb_gap, &subject_rb_linear, &subject_splay, &subject_maple,
};
enum { SUBJECTS_MAX = sizeof all_subjects / sizeof *all_subjects };

static const struct subject *taken[SUBJECTS_MAX];
static unsigned subjects;
static const char *wanted; /* their names; NULL: all */
static const char *wanted_operations;

/* Those that are wanted. The maple tree, the last of them, is there if its source could be had. */
static void take_subjects(void)
{
	for (unsigned i = 0; i < SUBJECTS_MAX; i++)
		if (all_subjects[i] && (!wanted || strstr(wanted, all_subjects[i]->name)))
			taken[subjects++] = all_subjects[i];
}

enum operation { LOOKUP, LOOKUP_NEAR, PLACE_REMOVE, PLACE_FIXED, PLACE_RANDOM, PUNCH, PUNCH_AT_HAND, MIXED, WALK,
		 OPERATIONS };
static const char *const operation_names[OPERATIONS] = {
	"lookup", "lookup_near", "place_remove", "place_fixed", "place_random", "punch",
	"punch_at_hand", "mixed", "walk",
};

struct place {
	uint64_t first, pages;
	bool is_planned;
};

/* One subject in the run. */
struct entrant {
	const struct subject *subject;
	void *tree;
	unsigned char *items; /* n, then as many spare ones as a batch may need */
	struct place *places; /* where each item lies: so that no item need be touched to know */
	double results[OPERATIONS][ROUNDS];
	unsigned rounds[OPERATIONS];
};

/* What a batch does, worked out before it is timed. */
struct plan {
	uint32_t item[BATCH];
	uint64_t pages[BATCH];
	uint64_t page[BATCH];
	unsigned count;
};

static uint64_t random_state = 0x2545f4914f6cdd1du;
static struct plan plan;
static volatile uint64_t sink;

static uint64_t random_below(uint64_t below)
{
	return (subject_random(&random_state) >> 11) % below;
}

static void *item_at(const struct entrant *e, uint64_t n)
{
	return e->items + n * bench_stride(e->subject);
}

static void note_place(struct entrant *e, uint64_t n)
{
	e->subject->range(item_at(e, n), &e->places[n].first, &e->places[n].pages);
}

static void require(const struct entrant *e, bool condition)
{
	if (condition)
		return;
	fprintf(stderr, "bench-region: %s failed while it was timed\n", e->subject->name);
	exit(1);
}

/* Ends what is timed. => nanoseconds an operation. */
static double stop(const struct entrant *e, uint64_t n, enum operation operation, uint64_t count)
{
	double time = bench_end();
	char name[96];

	snprintf(name, sizeof name, "%s,%llu,%s,%llu", e->subject->name, (unsigned long long)n,
		 operation_names[operation], (unsigned long long)count);
	bench_dump(name);
	return time / (double)count;
}

/* --- the history --- */

struct step {
	uint32_t item;
	struct place place;
};

static uint64_t steps_of(uint64_t n)
{
	return 3 * n;
}

/* The first n steps place an item; each other one removes one and places it anew. */
static struct step *make_history(uint64_t n)
{
	const struct subject *guide = &subject_rb_gap;
	struct entrant e = { .subject = guide, .tree = guide->create(SPACE_FIRST, SPACE_END) };
	struct step *steps = malloc(steps_of(n) * sizeof *steps);

	if (!steps)
		exit(1);
	e.items = bench_items(guide, n);
	for (uint64_t i = 0; i < steps_of(n); i++) {
		struct step *step = &steps[i];

		step->item = (uint32_t)(i < n ? i : random_below(n));
		if (i >= n)
			guide->remove(e.tree, item_at(&e, step->item));
		require(&e, guide->place_lowest(e.tree, item_at(&e, step->item),
						1 + random_below(PAGES_MAX)));
		guide->range(item_at(&e, step->item), &step->place.first, &step->place.pages);
	}
	guide->destroy(e.tree);
	free(e.items);
	return steps;
}

static void enter(struct entrant *e, const struct subject *subject, const struct step *steps,
		  uint64_t n)
{
	*e = (struct entrant){ .subject = subject, .tree = subject->create(SPACE_FIRST, SPACE_END) };
	e->items = bench_items(subject, n + BATCH);
	e->places = calloc(n + BATCH, sizeof *e->places);
	if (!e->places)
		exit(1);
	for (uint64_t i = 0; i < steps_of(n); i++) {
		void *item = item_at(e, steps[i].item);

		if (i >= n)
			subject->remove(e->tree, item);
		require(e, subject->place_fixed(e->tree, item, steps[i].place.first,
						steps[i].place.pages));
	}
	for (uint64_t i = 0; i < n; i++)
		note_place(e, i);
}

static void leave(struct entrant *e)
{
	e->subject->destroy(e->tree);
	free(e->items);
	free(e->places);
}

/* --- the operations: each times one batch, => nanoseconds of one operation --- */

static double time_lookup(struct entrant *e, uint64_t n, bool is_near)
{
	void *(*lookup)(void *, uint64_t) =
		is_near && e->subject->lookup_near ? e->subject->lookup_near : e->subject->lookup;
	unsigned passes = bench_counts ? 1 : PASSES;
	uint64_t sum = 0;

	for (unsigned i = 0; i < BATCH; i++) {
		uint64_t page = plan.page[i - (is_near && i % NEAR_RUN != 0)];
		const struct place *place = &e->places[random_below(n)];

		plan.page[i] = place->first + random_below(place->pages);
		/* Near: one time in two the same page's neighbour, else a few regions on. */
		if (is_near && i % NEAR_RUN != 0)
			plan.page[i] = page + (i % 2 != 0 ? 1 : 20);
	}
	bench_begin();
	for (unsigned i = 0; i < passes * BATCH; i++) {
		const void *item = lookup(e->tree, plan.page[i % BATCH]);

		if (item)
			sum += e->subject->touch(item);
		bench_pause();
	}
	sink = sum;
	return stop(e, n, is_near ? LOOKUP_NEAR : LOOKUP, passes * BATCH);
}

/* Random items, no two the same. */
static void plan_items(struct entrant *e, uint64_t n, uint64_t pages_min, unsigned count)
{
	plan.count = 0;
	for (unsigned tries = 0; tries < 8 * count && plan.count < count; tries++) {
		uint32_t item = (uint32_t)random_below(n);

		if (e->places[item].is_planned || e->places[item].pages < pages_min)
			continue;
		e->places[item].is_planned = true;
		plan.item[plan.count] = item;
		plan.pages[plan.count++] = 1 + random_below(PAGES_MAX);
	}
	for (unsigned i = 0; i < plan.count; i++)
		e->places[plan.item[i]].is_planned = false;
}

static double time_place(struct entrant *e, uint64_t n, enum operation operation)
{
	const struct subject *s = e->subject;
	unsigned count = operation == PLACE_REMOVE && s->places_linearly
				 ? (unsigned)(4000000 / n < BATCH ? 4000000 / n : BATCH) : BATCH;
	bool placed = true;
	double time;

	for (unsigned i = 0; i < count; i++) {
		plan.item[i] = (uint32_t)random_below(n);
		plan.pages[i] = operation == PLACE_FIXED ? e->places[plan.item[i]].pages
							 : 1 + random_below(PAGES_MAX);
		plan.page[i] = e->places[plan.item[i]].first;
	}
	bench_begin();
	for (unsigned i = 0; i < count; i++) {
		void *item = item_at(e, plan.item[i]);

		s->remove(e->tree, item);
		placed &= operation == PLACE_FIXED
				  ? s->place_fixed(e->tree, item, plan.page[i], plan.pages[i])
				  : s->place_lowest(e->tree, item, plan.pages[i]);
		bench_pause();
	}
	time = stop(e, n, operation, count);
	require(e, placed);
	for (unsigned i = 0; i < count; i++)
		note_place(e, plan.item[i]);
	return time;
}

static double time_place_random(struct entrant *e, uint64_t n)
{
	const struct subject *s = e->subject;
	bool placed = true;
	double time;

	plan_items(e, n, 1, n < BATCH ? (unsigned)n / 2 : BATCH);
	bench_begin();
	for (unsigned i = 0; i < BATCH; i++) {
		unsigned which = i % plan.count;

		s->remove(e->tree, item_at(e, plan.item[which]));
		placed &= s->place_randomly(e->tree, item_at(e, plan.item[which]), plan.pages[which]);
		bench_pause();
	}
	time = stop(e, n, PLACE_RANDOM, BATCH);
	require(e, placed);
	for (unsigned i = 0; i < plan.count; i++) {
		const struct place *place = &e->places[plan.item[i]];

		/* Not where it was only if a later one of the batch is there at random. */
		s->remove(e->tree, item_at(e, plan.item[i]));
		if (!s->place_fixed(e->tree, item_at(e, plan.item[i]), place->first, place->pages))
			require(e, s->place_lowest(e->tree, item_at(e, plan.item[i]), place->pages));
	}
	for (unsigned i = 0; i < plan.count; i++)
		note_place(e, plan.item[i]);
	return time;
}

/* As unmap does in the library, and in the others what it would do there. */
static void unmap(const struct entrant *e, uint64_t page, void *spare)
{
	const struct subject *s = e->subject;

	if (s->unmap)
		s->unmap(e->tree, page, page + 1, spare);
	else
		s->punch(e->tree, s->lookup(e->tree, page), page, page + 1, spare);
}

/* One batch of punches; then all is put back, which is not timed. */
static double punch_once(struct entrant *e, uint64_t n, enum operation operation)
{
	const struct subject *s = e->subject;
	double time;

	plan_items(e, n, 3, n < BATCH ? (unsigned)n / 2 : BATCH);
	for (unsigned i = 0; i < plan.count; i++) {
		const struct place *place = &e->places[plan.item[i]];

		plan.page[i] = place->first + place->pages / 2;
	}
	bench_begin();
	for (unsigned i = 0; i < plan.count && operation == PUNCH; i++) {
		unmap(e, plan.page[i], item_at(e, n + i));
		bench_pause();
	}
	for (unsigned i = 0; i < plan.count && operation == PUNCH_AT_HAND; i++) {
		s->punch(e->tree, item_at(e, plan.item[i]), plan.page[i], plan.page[i] + 1,
			 item_at(e, n + i));
		bench_pause();
	}
	time = stop(e, n, operation, plan.count) * plan.count;
	for (unsigned i = 0; i < plan.count; i++) {
		const struct place *place = &e->places[plan.item[i]];

		s->remove(e->tree, item_at(e, n + i));
		s->remove(e->tree, item_at(e, plan.item[i]));
		require(e, s->place_fixed(e->tree, item_at(e, plan.item[i]), place->first, place->pages));
	}
	return time;
}

static double time_punch(struct entrant *e, uint64_t n, enum operation operation)
{
	unsigned count = 0;
	double time = 0;

	do {
		time += punch_once(e, n, operation);
		count += plan.count;
	} while (count < (bench_counts ? COUNTED : BATCH / 4));
	return time / count;
}

/* One batch. Of each four steps two use a fresh item; half of all items in the plan are removed. */
static double mix_once(struct entrant *e, uint64_t n)
{
	const struct subject *s = e->subject;
	unsigned rounds = n < BATCH ? (unsigned)n / 8 : BATCH / 8, fresh = 0;
	bool placed = true;
	double time;

	if (s->places_linearly && rounds > 1000000 / n)
		rounds = 1 + (unsigned)(1000000 / n);
	plan_items(e, n, 3, 2 * rounds);
	rounds = plan.count / 2;
	for (unsigned i = 0; i < plan.count; i++)
		plan.page[i] = e->places[plan.item[i]].first + 1;
	bench_begin();
	for (unsigned i = 0; i < rounds; i++) {
		placed &= s->place_lowest(e->tree, item_at(e, n + fresh++), plan.pages[2 * i]);
		bench_pause();
		placed &= s->place_lowest(e->tree, item_at(e, n + fresh++), plan.pages[2 * i + 1]);
		bench_pause();
		s->remove(e->tree, item_at(e, plan.item[2 * i]));
		bench_pause();
		s->punch(e->tree, item_at(e, plan.item[2 * i + 1]), plan.page[2 * i + 1],
			 plan.page[2 * i + 1] + 1, item_at(e, n + fresh++));
		bench_pause();
	}
	time = stop(e, n, MIXED, 4 * rounds);
	require(e, placed);
	while (fresh > 0)
		s->remove(e->tree, item_at(e, n + --fresh));
	for (unsigned i = 0; i < rounds; i++) {
		const struct place *place = &e->places[plan.item[2 * i + 1]];

		s->remove(e->tree, item_at(e, plan.item[2 * i + 1]));
		require(e, s->place_fixed(e->tree, item_at(e, plan.item[2 * i + 1]), place->first,
					  place->pages));
	}
	for (unsigned i = 0; i < rounds; i++)
		require(e, s->place_lowest(e->tree, item_at(e, plan.item[2 * i]), plan.pages[2 * i]));
	for (unsigned i = 0; i < plan.count; i++)
		note_place(e, plan.item[i]);
	return time;
}

static double time_mixed(struct entrant *e, uint64_t n)
{
	unsigned most = bench_counts ? 2 * COUNTED : BATCH;
	unsigned batches = n < most && !e->subject->places_linearly ? (unsigned)(most / n) : 1;
	double time = 0;

	for (unsigned i = 0; i < batches; i++)
		time += mix_once(e, n);
	return time / batches;
}

static double time_walk(struct entrant *e, uint64_t n)
{
	unsigned repeats = n < BATCH ? (unsigned)(BATCH / n) : 1;

	bench_begin();
	for (unsigned i = 0; i < repeats; i++)
		sink = e->subject->walk(e->tree);
	return stop(e, n, WALK, n * repeats);
}

static bool is_left_out(const struct subject *s, enum operation operation, uint64_t n)
{
	if (wanted_operations && !strstr(wanted_operations, operation_names[operation]))
		return true;
	if (operation == PLACE_RANDOM)
		return s->place_randomly == NULL;
	return s->places_linearly && n > 10000 && (operation == PLACE_REMOVE || operation == MIXED);
}

static double time_once(struct entrant *e, enum operation operation, uint64_t n)
{
	switch (operation) {
	case LOOKUP:
	case LOOKUP_NEAR:
		return time_lookup(e, n, operation == LOOKUP_NEAR);
	case PLACE_RANDOM:
		return time_place_random(e, n);
	case PUNCH:
	case PUNCH_AT_HAND:
		return time_punch(e, n, operation);
	case MIXED:
		return time_mixed(e, n);
	case WALK:
		return time_walk(e, n);
	default:
		return time_place(e, n, operation);
	}
}

/* --- rounds and results --- */

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print(const struct entrant *e, uint64_t n, enum operation operation)
{
	double results[ROUNDS];
	unsigned rounds = e->rounds[operation];

	if (rounds == 0) {
		printf("%s,%llu,%s,,,\n", e->subject->name, (unsigned long long)n,
		       operation_names[operation]);
		return;
	}
	memcpy(results, e->results[operation], sizeof results);
	qsort(results, rounds, sizeof *results, compare_doubles);
	printf("%s,%llu,%s,%.1f,%.1f,\n", e->subject->name, (unsigned long long)n,
	       operation_names[operation], results[rounds / 2], results[0]);
}

static void print_bytes(const struct entrant *e, uint64_t n)
{
	double bytes = (double)e->subject->index_bytes;

	if (e->subject->bytes_outside)
		bytes += (double)e->subject->bytes_outside(e->tree) / (double)n;
	printf("%s,%llu,bytes,%.1f,%.1f,\n", e->subject->name, (unsigned long long)n, bytes, bytes);
}

static void run(uint64_t n, unsigned rounds)
{
	static struct entrant entrants[SUBJECTS_MAX];
	struct step *steps = make_history(n);

	for (unsigned i = 0; i < subjects; i++)
		enter(&entrants[i], taken[i], steps, n);
	free(steps);
	for (unsigned round = 0; round < rounds; round++)
		for (enum operation op = 0; op < OPERATIONS; op++)
			for (unsigned i = 0; i < subjects; i++) {
				struct entrant *e = &entrants[(i + round) % subjects];

				if (!is_left_out(e->subject, op, n))
					e->results[op][e->rounds[op]++] = time_once(e, op, n);
			}
	for (unsigned i = 0; i < subjects; i++) {
		const char *finding = entrants[i].subject->check && n <= 100000
					      ? entrants[i].subject->check(entrants[i].tree) : NULL;

		require(&entrants[i], finding == NULL);
		print_bytes(&entrants[i], n);
		for (enum operation op = 0; op < OPERATIONS; op++)
			print(&entrants[i], n, op);
		leave(&entrants[i]);
	}
	fflush(stdout);
}

/* => what is left of the arguments: sizes. NULL: there is something else. */
static char **take_options(char **arguments)
{
	for (arguments++; *arguments && **arguments == '-'; arguments++) {
		if (strcmp(*arguments, "-c") == 0)
			bench_counts = true;
		else if (strcmp(*arguments, "-a") == 0)
			bench_is_apart = true;
		else if (strcmp(*arguments, "-s") == 0 && arguments[1])
			wanted = *++arguments;
		else if (strcmp(*arguments, "-o") == 0 && arguments[1])
			wanted_operations = *++arguments;
		else
			return NULL;
	}
	return arguments;
}

int main(int count, char **arguments)
{
	char **sizes = count > 0 ? take_options(arguments) : NULL;

	if (!sizes) {
		fprintf(stderr, "usage: bench-region [-c] [-a] [-s SUBJECT,...] [-o OPERATION,...] SIZE...\n");
		return 2;
	}
	take_subjects();
	for (unsigned i = 0; i < subjects && !bench_counts; i++)
		bench_verify(taken[i]);
	fprintf(stderr, "bench-region: each of %u subjects agrees with the oracle\n", subjects);
	printf("subject,n,operation,ns_median,ns_min,instructions\n");
	for (; *sizes; sizes++) {
		uint64_t n = strtoull(*sizes, NULL, 10);

		if (n < 16 || n > 10000000) {
			fprintf(stderr, "bench-region: sizes are 16 to 10000000\n");
			return 2;
		}
		fprintf(stderr, "bench-region: %llu regions\n", (unsigned long long)n);
		run(n, bench_counts ? 1 : n > 200000 ? 5 : ROUNDS);
	}
	return 0;
}
