/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Failure injection: an operation is run again and again, and the n-th thing in it that
 * can fail is made to fail, for n = 1, 2, ... until a run gets by without reaching n.
 * After each run that returned an error, the state must be what it was before: byte for
 * byte, of whatever the test serialises.
 *
 * What can fail comes from *sources*, each a pair of callbacks; the frames are one
 *     fail_at  lh_frames_fail_at       steps  lh_frames_steps
 * and a test's pager another. Each source is gone through by itself.
 *
 *     inject_operation operation = { .name = "unmap", .context = &test,
 *             .sources = { { "frames", frames, fail_at, steps } },
 *             .run = unmap_middle, .undo = map_again, .serialise = serialise };
 *     inject_counts counts;
 *     CHECK_SOUND(inject_every(&operation, &counts));
 *     inject_print(stdout, &operation, &counts);
 */
#ifndef HOSTED_INJECT_H
#define HOSTED_INJECT_H

#include <stdio.h>

#include <landhold/types.h>

/* State as bytes, in labelled sections; grows as it is filled. */
typedef struct inject_section {
	char label[64];
	size_t first; /* byte */
	size_t bytes;
} inject_section;

typedef struct inject_buffer {
	uint8_t *bytes;
	size_t count, capacity;
	inject_section *sections;
	size_t section_count, section_capacity;
} inject_buffer;

/* Adds a section. => label: made as by printf; a difference is reported by it. */
void inject_put(inject_buffer *buffer, const void *bytes, size_t count, const char *label, ...)
	__attribute__((format(printf, 4, 5)));

/* The first difference between two, in words; NULL if there is none. Valid until the next call. */
const char *inject_difference(const inject_buffer *before, const inject_buffer *after);

void inject_buffer_free(inject_buffer *buffer);

/* What the steps of a run were; for the table. */
typedef enum inject_kind {
	INJECT_FRAME,
	INJECT_TABLE,
	INJECT_POOL,
	INJECT_CHARGE,
	INJECT_OBJECT_NODE,
	INJECT_PAGER,
	INJECT_KIND_COUNT
} inject_kind;

typedef struct inject_source {
	const char *name;
	void *context;
	/* Counts from 0 again; the n-th step from now fails; 0: none does. */
	void (*fail_at)(void *context, uint64_t n);
	/* Steps since then, a failed one included. */
	uint64_t (*steps)(void *context);
} inject_source;

#define INJECT_SOURCES_MAX 4

typedef struct inject_operation {
	const char *name;
	void *context;
	inject_source sources[INJECT_SOURCES_MAX]; /* the first without fail_at ends the list */
	lh_error (*run)(void *context);
	/* Takes a success back, so that the next run finds the same state. NULL: the operation
	 * has exactly one source, and may not succeed with a failure in it. */
	void (*undo)(void *context);
	void (*serialise)(void *context, inject_buffer *buffer);
	/* Walkers, after each run; NULL: none. => NULL or what is wrong. */
	const char *(*check)(void *context);
	/* Adds the last run's steps by kind; NULL: not counted. */
	void (*count)(void *context, uint64_t kinds[INJECT_KIND_COUNT]);
} inject_operation;

typedef struct inject_counts {
	uint64_t runs;
	uint64_t refused;  /* runs that ended in an error, as they should */
	uint64_t survived; /* runs that succeeded in spite of a failure */
	uint64_t steps;	   /* of the runs in which nothing failed */
	uint64_t kinds[INJECT_KIND_COUNT];
} inject_counts;

/*
 * Goes through all failures of the operation. Leaves it done, not undone.
 * => NULL if all is well, else the first finding: a state that changed, a walker's
 *    complaint, an error with nothing injected. Valid until the next call.
 */
const char *inject_every(const inject_operation *operation, inject_counts *counts);

/* One row of the table; the heading with operation NULL. */
void inject_print(FILE *out, const inject_operation *operation, const inject_counts *counts);

#endif
