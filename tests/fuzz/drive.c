/* SPDX-License-Identifier: BSD-2-Clause */
#include "fuzz/drive.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* One tape takes milliseconds: this one does not end. */
#define TAPE_SECONDS 30

/* What the process that plays tells the one that watches. */
static drive_result *shared;

double drive_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* In the place of the harness's: the process ends. */
_Noreturn void test_fail(const char *file, int line, const char *format, ...)
{
	char text[1400];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	if (!shared) {
		fprintf(stderr, "%s:%d: %s\n", file, line, text);
		abort();
	}
	snprintf(shared->message, sizeof shared->message, "%s:%d: %s", file, line, text);
	_exit(1);
}

static void share(void)
{
	if (!shared)
		shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		abort();
	memset(shared, 0, sizeof *shared);
}

static void describe_end(int status)
{
	shared->failed = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
	if (!shared->failed || shared->message[0])
		return;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		snprintf(shared->message, sizeof shared->message, "does not end");
	else if (WIFSIGNALED(status))
		snprintf(shared->message, sizeof shared->message, "ended by signal %d", WTERMSIG(status));
	else
		snprintf(shared->message, sizeof shared->message, "ended with status %d",
			 WEXITSTATUS(status));
}

drive_result drive_apart(void (*function)(void *context), void *context, unsigned seconds)
{
	int status = 0;
	pid_t child;

	share();
	fflush(NULL);
	child = fork();
	if (child < 0)
		abort();
	if (child == 0) {
		alarm(seconds);
		function(context);
		_exit(0);
	}
	while (waitpid(child, &status, 0) != child)
		;
	describe_end(status);
	return *shared;
}

struct tape {
	const tape_scale *scale;
	const uint8_t *bytes;
	size_t count;
};

static void play(void *context)
{
	const struct tape *tape = context;

	tape_run(tape->scale, tape->bytes, tape->count, &shared->counts);
}

drive_result drive_tape(const tape_scale *scale, const uint8_t *bytes, size_t count)
{
	struct tape tape = { scale, bytes, count };

	return drive_apart(play, &tape, TAPE_SECONDS);
}

struct generated {
	uint64_t seed, last;
	size_t records;
	double end;
};

static void play_generated(void *context)
{
	struct generated *generated = context;
	uint8_t bytes[TAPE_RECORDS_MAX * TAPE_RECORD];

	for (shared->seed = generated->seed;
	     shared->seed < generated->last && drive_now() < generated->end; shared->seed++) {
		tape_generate(shared->seed, bytes, generated->records);
		alarm(TAPE_SECONDS);
		tape_run(&tape_scale_default, bytes, generated->records * TAPE_RECORD, &shared->counts);
	}
}

drive_result drive_generated(uint64_t seed, uint64_t last, size_t records, double seconds,
			     uint64_t *next)
{
	struct generated generated = { seed, last, records, drive_now() + seconds };
	drive_result result = drive_apart(play_generated, &generated, TAPE_SECONDS);

	*next = result.seed;
	return result;
}

/* --- shrinking --- */

struct shrinking {
	uint8_t *bytes;
	size_t count;
	unsigned runs;
};

static bool still_fails(struct shrinking *shrinking, const uint8_t *bytes, size_t count)
{
	if (shrinking->runs == 0 || count == 0)
		return false;
	shrinking->runs--;
	return drive_tape(&tape_scale_default, bytes, count).failed;
}

/* Takes runs of so many records out, wherever the tape fails without them. => any were. */
static bool take_out(struct shrinking *shrinking, size_t records)
{
	uint8_t without[TAPE_RECORDS_MAX * TAPE_RECORD];
	size_t part = records * TAPE_RECORD;
	bool any = false;

	for (size_t at = shrinking->count; at >= part && at > 0;) {
		size_t from = at - part, rest = shrinking->count - at;

		memcpy(without, shrinking->bytes, from);
		memcpy(without + from, shrinking->bytes + at, rest);
		if (still_fails(shrinking, without, from + rest)) {
			memcpy(shrinking->bytes, without, from + rest);
			shrinking->count = from + rest;
			any = true;
		}
		at = at - part < shrinking->count ? at - part : shrinking->count;
		at -= at % TAPE_RECORD;
	}
	return any;
}

/* Makes single bytes 0, or smaller. */
static bool simplify(struct shrinking *shrinking)
{
	bool any = false;

	for (size_t i = 0; i < shrinking->count; i++) {
		uint8_t was = shrinking->bytes[i];
		const uint8_t simpler[] = { 0, 1, (uint8_t)(was / 2), (uint8_t)(was - 1) };

		for (size_t n = 0; n < sizeof simpler && was != 0; n++) {
			if (simpler[n] >= was)
				continue;
			shrinking->bytes[i] = simpler[n];
			if (still_fails(shrinking, shrinking->bytes, shrinking->count)) {
				any = true;
				break;
			}
			shrinking->bytes[i] = was;
		}
	}
	return any;
}

size_t drive_shrink(uint8_t *bytes, size_t count, unsigned runs)
{
	struct shrinking shrinking = { bytes, count, runs };
	bool any;

	do {
		any = false;
		for (size_t records = count / TAPE_RECORD; records >= 1; records /= 2)
			any |= take_out(&shrinking, records);
		any |= simplify(&shrinking);
	} while (any && shrinking.runs > 0);
	return shrinking.count;
}
