/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz run [--seed N] [--seconds S] [--tapes N] [--records N] [--shrink-runs N]
 *                                                        generated tapes
 * fuzz corpus FILE...                                    tapes as hexadecimal digits, one a line
 * fuzz unpack DIRECTORY FILE...                          the same tapes as files of bytes
 * fuzz replay [--scale tiny] HEX                         one tape: printed, played, judged
 * fuzz shrink HEX                                        the same, made shorter first
 * fuzz exhaust [--depth N] [--seconds S]                 all short sequences over a tiny world
 *
 * Status 1, and the last line "0 passed, 1 failed", if anything failed. A tape that fails is
 * printed in words and as digits for replay.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/drive.h"

static struct {
	uint64_t seed, tapes;
	double seconds;
	size_t records;
	unsigned shrink_runs, depth;
	const tape_scale *scale;
} options = { .seed = 1, .tapes = UINT64_MAX, .seconds = 10, .records = 64, .shrink_runs = 3000,
	      .depth = 3, .scale = &tape_scale_default };

static bool read_option(const char *name, const char *value)
{
	if (strcmp(name, "--seed") == 0)
		options.seed = strtoull(value, NULL, 0);
	else if (strcmp(name, "--tapes") == 0)
		options.tapes = strtoull(value, NULL, 0);
	else if (strcmp(name, "--seconds") == 0)
		options.seconds = strtod(value, NULL);
	else if (strcmp(name, "--records") == 0)
		options.records = strtoul(value, NULL, 0);
	else if (strcmp(name, "--shrink-runs") == 0)
		options.shrink_runs = (unsigned)strtoul(value, NULL, 0);
	else if (strcmp(name, "--depth") == 0)
		options.depth = (unsigned)strtoul(value, NULL, 0);
	else if (strcmp(name, "--scale") == 0)
		options.scale = strcmp(value, "tiny") == 0 ? &tape_scale_tiny : &tape_scale_default;
	else
		return false;
	return true;
}

/* => the first argument that is no option. */
static int read_options(int count, char **arguments, int from)
{
	while (from + 1 < count && read_option(arguments[from], arguments[from + 1]))
		from += 2;
	if (options.records > TAPE_RECORDS_MAX)
		options.records = TAPE_RECORDS_MAX;
	return from;
}

static void show_failure(uint8_t *bytes, size_t count, bool shrink)
{
	if (shrink)
		count = drive_shrink(bytes, count, options.shrink_runs);
	printf("  fails: %s\n", drive_tape(options.scale, bytes, count).message);
	printf("  %zu records:\n", (count + TAPE_RECORD - 1) / TAPE_RECORD);
	tape_print(stdout, options.scale, bytes, count);
	fputs("  replay: ", stdout);
	tape_print_hex(stdout, bytes, count);
}

static int end(unsigned passed, unsigned failed)
{
	printf("%u passed, %u failed\n", passed, failed);
	return failed != 0;
}

static int run(void)
{
	double begin = drive_now(), until = begin + options.seconds, now = begin;
	uint64_t seed = options.seed, last = options.tapes < UINT64_MAX - seed ? seed + options.tapes
									       : UINT64_MAX;
	tape_counts counts = { 0 };
	uint8_t bytes[TAPE_RECORDS_MAX * TAPE_RECORD];

	while (now < until && seed < last) {
		drive_result result =
			drive_generated(seed, last, options.records, until - now < 10 ? until - now : 10,
					&seed);

		counts.records += result.counts.records;
		counts.refused += result.counts.refused;
		counts.overwritten += result.counts.overwritten;
		counts.huge += result.counts.huge;
		counts.collapsed += result.counts.collapsed;
		now = drive_now();
		printf("tapes: %.0f s, %" PRIu64 " tapes, %" PRIu64 " operations, %" PRIu64
		       " refused on demand, %" PRIu64 " entries made stale, %" PRIu64
		       " huge leaves, %" PRIu64 " put together\n", now - begin,
		       seed - options.seed, counts.records, counts.refused, counts.overwritten, counts.huge,
		       counts.collapsed);
		if (result.failed) {
			printf("  seed %" PRIu64 ": %s\n", seed, result.message);
			fflush(stdout);
			tape_generate(seed, bytes, options.records);
			show_failure(bytes, options.records * TAPE_RECORD, true);
			return end(0, 1);
		}
	}
	return end(1, 0);
}

static int replay(const char *hex, bool shrink)
{
	uint8_t bytes[TAPE_RECORDS_MAX * TAPE_RECORD];
	size_t count = tape_read_hex(hex, bytes, sizeof bytes);

	if (count == SIZE_MAX) {
		fputs("not a tape: an even number of hexadecimal digits, with dots at will\n", stderr);
		return 2;
	}
	if (drive_tape(options.scale, bytes, count).failed) {
		show_failure(bytes, count, shrink);
		return end(0, 1);
	}
	tape_print(stdout, options.scale, bytes, count);
	return end(1, 0);
}

/* Lines that begin with # say where a tape comes from. => false: the file cannot be read. */
static bool each_tape(const char *name, void (*visit)(void *context, const char *name, uint8_t *bytes,
						      size_t count), void *context)
{
	static char line[TAPE_RECORDS_MAX * TAPE_RECORD * 3];
	FILE *file = fopen(name, "r");

	while (file && fgets(line, sizeof line, file)) {
		uint8_t bytes[TAPE_RECORDS_MAX * TAPE_RECORD];
		size_t count = line[0] == '#' ? 0 : tape_read_hex(line, bytes, sizeof bytes);

		if (count != 0)
			visit(context, name, bytes, count);
	}
	if (!file) {
		perror(name);
		return false;
	}
	fclose(file);
	return true;
}

struct tally {
	unsigned passed, failed;
};

static void judge(void *context, const char *name, uint8_t *bytes, size_t count)
{
	struct tally *tally = context;

	if (count != SIZE_MAX && !drive_tape(options.scale, bytes, count).failed) {
		tally->passed++;
		return;
	}
	tally->failed++;
	printf("%s: %s\n", name, count == SIZE_MAX ? "a line is no tape" : "a tape");
	if (count != SIZE_MAX)
		show_failure(bytes, count, false);
}

static int corpus(int count, char **names)
{
	struct tally tally = { 0, 0 };

	for (int i = 0; i < count; i++)
		tally.failed += !each_tape(names[i], judge, &tally);
	return end(tally.passed, tally.failed);
}

struct unpacking {
	const char *directory;
	unsigned number;
};

static void write_tape(void *context, const char *name, uint8_t *bytes, size_t count)
{
	struct unpacking *unpacking = context;
	char path[4096];
	FILE *file;

	if (count == SIZE_MAX)
		return;
	(void)name;
	snprintf(path, sizeof path, "%s/tape-%03u", unpacking->directory, unpacking->number++);
	file = fopen(path, "w");
	if (!file || fwrite(bytes, 1, count, file) != count || fclose(file) != 0) {
		perror(path);
		exit(1);
	}
}

static int unpack(int count, char **names)
{
	struct unpacking unpacking = { names[0], 0 };

	for (int i = 1; i < count; i++)
		if (!each_tape(names[i], write_tape, &unpacking))
			return 1;
	return 0;
}

static int exhaust(void)
{
	uint8_t bytes[TAPE_RECORDS_MAX * TAPE_RECORD];
	size_t length;
	drive_result result = drive_exhaust(options.depth, options.seconds, true, bytes, &length);

	if (result.failed) {
		printf("  %s\n", result.message);
		options.scale = &tape_scale_tiny;
		show_failure(bytes, length, false);
	}
	return end(result.failed ? 0 : 1, result.failed ? 1 : 0);
}

int main(int count, char **arguments)
{
	const char *verb = count > 1 ? arguments[1] : "";
	int next = read_options(count, arguments, 2);

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (strcmp(verb, "run") == 0 && next == count)
		return run();
	if (strcmp(verb, "exhaust") == 0 && next == count)
		return exhaust();
	if (strcmp(verb, "corpus") == 0 && next < count)
		return corpus(count - next, arguments + next);
	if (strcmp(verb, "unpack") == 0 && next + 1 < count)
		return unpack(count - next, arguments + next);
	if ((strcmp(verb, "replay") == 0 || strcmp(verb, "shrink") == 0) && next + 1 == count)
		return replay(arguments[next], strcmp(verb, "shrink") == 0);
	fputs("usage: fuzz run|corpus|unpack|replay|shrink|exhaust ...: see tests/fuzz/main.c\n", stderr);
	return 2;
}
