/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The program around the cases: explores those asked for, each in a process of its own, as many
 * at a time as there are CPUs, and prints a table.
 *
 *     interleave [-l] [-s SECONDS] [-r SECONDS] [-b BOUND] [+b EXTRA] [--store-buffers]
 *                [--unpruned] [--first] [--without NAME-PART] [--csv FILE] [NAME-PART...]
 *     interleave [-v] --replay NAME/CHANGES
 *     interleave --compare [-s SECONDS] [NAME-PART...]
 *     interleave --lines [--csv FILE] [NAME-PART...]
 */
#include "interleave/cases.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "machine.h"

#define CASES_MAX 512

static const interleave_case *cases[CASES_MAX], *line_cases[CASES_MAX];
static unsigned case_count, line_count;

void case_register(const interleave_case *one)
{
	if (case_count == CASES_MAX)
		abort(); /* one that is left out in silence shows nothing */
	cases[case_count++] = one;
}

void lines_register(const interleave_case *one)
{
	if (line_count == CASES_MAX)
		abort();
	line_cases[line_count++] = one;
}

/* What CHECK calls, in a case: the harness's place is ours. */
void test_fail(const char *file, int line, const char *format, ...)
{
	const char *name = strrchr(file, '/');
	char text[400];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	interleave_fail("%s:%d: %s", name ? name + 1 : file, line, text);
}

static void on_panic(const char *message)
{
	interleave_fail("%s", message);
}

/* --- options --- */

struct options {
	interleave_limits limits;
	const char *csv, *replay, *without;
	bool lines, lists, compares, all;
	bool first; /* the first finding ends it */
	unsigned jobs;
	char **names;
	int name_count;
};

static bool is_asked_for(const struct options *options, const char *name)
{
	if (options->without && strstr(name, options->without))
		return false;
	if (options->name_count == 0)
		return true;
	for (int i = 0; i < options->name_count; i++)
		if (strstr(name, options->names[i]))
			return true;
	return false;
}

static struct options read_options(int count, char **words)
{
	struct options options = { .jobs = 2, .limits = { .random_seed = 1, .progress = true } };
	int i = 1;

	for (; i < count && (words[i][0] == '-' || words[i][0] == '+'); i++) {
		const char *word = words[i], *next = i + 1 < count ? words[i + 1] : "";

		if (strcmp(word, "-l") == 0)
			options.lists = true;
		else if (strcmp(word, "--lines") == 0)
			options.lines = true;
		else if (strcmp(word, "--store-buffers") == 0)
			options.limits.store_buffers = true;
		else if (strcmp(word, "--unpruned") == 0)
			options.limits.prunes_nothing = true;
		else if (strcmp(word, "-v") == 0)
			options.all = true;
		else if (strcmp(word, "--compare") == 0)
			options.compares = true;
		else if (strcmp(word, "--first") == 0)
			options.first = true;
		else if (i + 1 == count)
			fprintf(stderr, "%s wants a value\n", word), exit(2);
		else if (strcmp(word, "-s") == 0)
			options.limits.seconds = strtod(next, NULL), i++;
		else if (strcmp(word, "-r") == 0)
			options.limits.random_seconds = strtod(next, NULL), i++;
		else if (strcmp(word, "-b") == 0)
			options.limits.bound = (unsigned)strtoul(next, NULL, 10), i++;
		else if (strcmp(word, "+b") == 0)
			options.limits.extra = (unsigned)strtoul(next, NULL, 10), i++;
		else if (strcmp(word, "-j") == 0)
			options.jobs = (unsigned)strtoul(next, NULL, 10), i++;
		else if (strcmp(word, "--seed") == 0)
			options.limits.random_seed = strtoull(next, NULL, 10), i++;
		else if (strcmp(word, "--without") == 0)
			options.without = next, i++;
		else if (strcmp(word, "--csv") == 0)
			options.csv = next, i++;
		else if (strcmp(word, "--replay") == 0)
			options.replay = next, i++;
		else
			fprintf(stderr, "what is %s?\n", word), exit(2);
	}
	options.names = words + i;
	options.name_count = count - i;
	return options;
}

/* --- replaying --- */

static const interleave_case *find_case(const char *seed, size_t length)
{
	for (unsigned i = 0; i < case_count; i++)
		if (strlen(cases[i]->name) == length && strncmp(cases[i]->name, seed, length) == 0)
			return cases[i];
	return NULL;
}

static int replay(const char *seed, bool all)
{
	const char *slash = strchr(seed, '/');
	const interleave_case *one = slash ? find_case(seed, (size_t)(slash - seed)) : NULL;
	interleave_result result;

	if (!one || !interleave_replay(one, slash + 1, stdout, all, &result)) {
		fprintf(stderr, "%s is no seed: CASE/CHANGES\n", seed);
		return 2;
	}
	printf("%s: %s, %llu points, trace %016llx\n", one->name,
	       result.failed ? result.message : "passes", (unsigned long long)result.points,
	       (unsigned long long)result.hash);
	return result.failed != (one->finding != NULL);
}

/* --- exploring, a process a case --- */

struct job {
	const interleave_case *one;
	pid_t process;
	int pipe;
	bool done, died;
	interleave_result result;
};

static void begin(struct job *job, const interleave_limits *limits)
{
	int ends[2];

	if (pipe(ends) != 0)
		abort();
	fflush(stdout);
	job->process = fork();
	if (job->process == 0) {
		close(ends[0]);
		interleave_explore(job->one, limits, &job->result);
		_exit(write(ends[1], &job->result, sizeof job->result) !=
		      (ssize_t)sizeof job->result);
	}
	close(ends[1]);
	job->pipe = ends[0];
}

static void finish(struct job *job)
{
	int status;
	ssize_t got = read(job->pipe, &job->result, sizeof job->result);

	close(job->pipe);
	waitpid(job->process, &status, 0);
	job->done = true;
	if (got == (ssize_t)sizeof job->result)
		return;
	job->died = true;
	job->result.failed = true;
	snprintf(job->result.message, sizeof job->result.message, "the exploration died, status %#x",
		 status);
}

static bool is_well(const struct job *job)
{
	const interleave_result *result = &job->result;

	if (job->died)
		return false;
	if (job->one->finding)
		return result->failed && strncmp(result->message, "interleave:", 11) != 0 &&
		       strstr(result->message, job->one->finding) != NULL;
	/* What has no bound is asked to end. */
	return !result->failed && (result->complete || job->one->bound != INTERLEAVE_UNBOUNDED);
}

static void print_header(void)
{
	printf("%-44s %-5s %9s %9s %8s %7s %7s %7s\n", "case", "bound", "runs", "pruned",
	       "random", "points", "states", "seconds");
}

static void print_job(const struct job *job)
{
	const interleave_result *result = &job->result;
	char bound[16];

	snprintf(bound, sizeof bound, result->bound >= INTERLEAVE_UNBOUNDED ? "all" : "%u%s",
		 result->bound, result->complete ? "" : "-");
	printf("%-44s %-5s %9llu %9llu %8llu %7llu %7llu %7.1f\n", job->one->name, bound,
	       (unsigned long long)result->runs, (unsigned long long)result->pruned,
	       (unsigned long long)result->random_runs, (unsigned long long)result->points,
	       (unsigned long long)result->states, result->seconds);
	if (result->failed)
		printf("    %s: %s\n    --replay '%s' (%u changes, trace %016llx)\n",
		       is_well(job) ? "found as it should be" : "FAILED", result->message,
		       result->seed, result->changes, (unsigned long long)result->hash);
	else if (!is_well(job))
		printf("    FAILED: %s\n", job->one->finding
						   ? "the planted bug was not found"
						   : "not explored to the end");
	fflush(stdout);
}

static void print_csv(const char *path, const struct job *jobs, unsigned count)
{
	FILE *file = path ? fopen(path, "w") : NULL;

	if (!file)
		return;
	fprintf(file, "case,bound,complete,interleavings,pruned,random,points,failed,expected,"
		      "seconds,seed\n");
	for (unsigned i = 0; i < count; i++) {
		const interleave_result *result = &jobs[i].result;

		fprintf(file, "%s,%u,%d,%llu,%llu,%llu,%llu,%d,%d,%.1f,%s\n", jobs[i].one->name,
			result->bound, result->complete, (unsigned long long)result->runs,
			(unsigned long long)result->pruned,
			(unsigned long long)result->random_runs,
			(unsigned long long)result->points, result->failed, jobs[i].one->finding != NULL,
			result->seconds, result->seed);
	}
	fclose(file);
}

static unsigned wait_for_one(struct job *jobs, unsigned count)
{
	struct pollfd waits[2 * CASES_MAX];
	unsigned indices[2 * CASES_MAX], running = 0;

	for (unsigned i = 0; i < count; i++) {
		if (jobs[i].process == 0 || jobs[i].done)
			continue;
		waits[running] = (struct pollfd){ .fd = jobs[i].pipe, .events = POLLIN };
		indices[running++] = i;
	}
	while (poll(waits, running, -1) < 0 && errno == EINTR)
		;
	for (unsigned i = 0; i < running; i++)
		if (waits[i].revents != 0)
			return indices[i];
	abort();
}

static int explore(const struct options *options)
{
	static struct job jobs[CASES_MAX];
	unsigned count = 0, begun = 0, ended = 0, passed = 0;
	uint64_t runs = 0;

	for (unsigned i = 0; i < case_count; i++)
		if (is_asked_for(options, cases[i]->name))
			jobs[count++].one = cases[i];
	print_header();
	while (ended < count) {
		struct job *job;

		while (begun < count && begun - ended < options->jobs)
			begin(&jobs[begun++], &options->limits);
		job = &jobs[wait_for_one(jobs, begun)];
		finish(job);
		ended++;
		print_job(job);
		passed += is_well(job);
		if (options->first && !is_well(job))
			count = begun;
		runs += job->result.runs + job->result.random_runs;
	}
	print_csv(options->csv, jobs, count);
	printf("%llu interleavings explored\n", (unsigned long long)runs);
	printf("%u passed, %u failed\n", passed, count - passed);
	return passed != count;
}

/* --- what is pruned is equal to what is run: the same states are reached --- */

/* A case is two jobs, one behind the other: with pruning and without. */
static struct job pairs[2 * CASES_MAX];

static unsigned add_pairs(const struct options *options)
{
	unsigned count = 0;

	for (unsigned i = 0; i < case_count; i++) {
		if (!is_asked_for(options, cases[i]->name) || cases[i]->finding)
			continue;
		pairs[count++].one = cases[i];
		pairs[count++].one = cases[i];
	}
	return count;
}

static void begin_half(unsigned index, interleave_limits limits)
{
	limits.prunes_nothing = index % 2 != 0;
	begin(&pairs[index], &limits);
}

enum verdict { SAME, UNKNOWN, DIFFERENT, DIED };

static enum verdict judge(const struct job *pair)
{
	const interleave_result *pruned = &pair[0].result, *all = &pair[1].result;

	if (pair[0].died || pair[1].died)
		return DIED;
	if (!pruned->complete || !all->complete)
		return UNKNOWN;
	return pruned->reached == all->reached && pruned->reached_sum == all->reached_sum ? SAME
											  : DIFFERENT;
}

static enum verdict print_pair(const struct job *pair)
{
	static const char *const words[] = { "", "  not to the end", "  FAILED: other states",
					     "  FAILED: an exploration died" };
	const interleave_result *pruned = &pair[0].result, *all = &pair[1].result;
	enum verdict verdict = judge(pair);

	printf("%-44s %10llu %10llu %10llu %10llu%s\n", pair[0].one->name,
	       (unsigned long long)pruned->runs, (unsigned long long)all->runs,
	       (unsigned long long)pruned->reached, (unsigned long long)all->reached,
	       words[verdict]);
	fflush(stdout);
	return verdict;
}

/* Waits for the next one to end. => its pair, if both of it have; or NULL */
static const struct job *finish_half(unsigned begun)
{
	unsigned index = wait_for_one(pairs, begun);
	const struct job *pair = &pairs[index & ~1u];

	finish(&pairs[index]);
	return pair[0].done && pair[1].done ? pair : NULL;
}

static int compare(const struct options *options)
{
	unsigned count = add_pairs(options), begun = 0, failed, verdicts[4] = { 0 };

	printf("%-44s %10s %10s %10s %10s\n", "case", "runs", "all runs", "states", "states");
	for (unsigned ended = 0; ended < count; ended++) {
		const struct job *pair;

		for (; begun < count && begun - ended < options->jobs; begun++)
			begin_half(begun, options->limits);
		pair = finish_half(begun);
		if (pair)
			verdicts[print_pair(pair)]++;
	}
	/* Who names cases wants them compared; of all, some are too long. */
	failed = verdicts[DIFFERENT] + verdicts[DIED] + (options->name_count ? verdicts[UNKNOWN] : 0);
	printf("%u passed, %u failed\n", verdicts[SAME], failed);
	return failed != 0 || verdicts[SAME] == 0;
}

/* --- counting lines --- */

/* In a process of its own. => what went wrong there counts as a failed check. */
static interleave_lines count_one(const interleave_case *one)
{
	interleave_lines lines;
	int ends[2];
	pid_t process;

	if (pipe(ends) != 0)
		abort();
	fflush(stdout);
	process = fork();
	if (process == 0) {
		interleave_count_lines(one, 64, &lines);
		_exit(write(ends[1], &lines, sizeof lines) != (ssize_t)sizeof lines);
	}
	close(ends[1]);
	if (read(ends[0], &lines, sizeof lines) != (ssize_t)sizeof lines)
		lines = (interleave_lines){ .failed = true, .places = "the counting died" };
	close(ends[0]);
	waitpid(process, NULL, 0);
	return lines;
}

static void print_lines(const interleave_case *one, const interleave_lines *lines, FILE *csv)
{
	printf("%-32s %10llu %10llu %8llu %8.1f %9.1f\n    %s\n", one->name,
	       (unsigned long long)lines->written, (unsigned long long)lines->shared,
	       (unsigned long long)lines->pages, lines->read_modify_writes, lines->accesses, lines->places);
	if (csv)
		fprintf(csv, "%s,%llu,%llu,%llu,%.2f,%.2f\n", one->name, (unsigned long long)lines->written,
			(unsigned long long)lines->shared, (unsigned long long)lines->pages,
			lines->read_modify_writes, lines->accesses);
}

static int count_lines(const struct options *options)
{
	FILE *file = options->csv ? fopen(options->csv, "w") : NULL;
	unsigned failed = 0, counted = 0;

	if (file)
		fprintf(file, "operation,lines_written_by_both,lines_shared,"
			      "pages_written_by_both,read_modify_writes,accesses\n");
	printf("%-32s %10s %10s %8s %8s %9s\n", "operation on two CPUs", "both write", "shared",
	       "pages", "atomic", "accesses");
	for (unsigned i = 0; i < line_count; i++) {
		const interleave_case *one = line_cases[i];
		interleave_lines lines;

		if (!is_asked_for(options, one->name))
			continue;
		lines = count_one(one);
		print_lines(one, &lines, file);
		counted++;
		if (!lines.failed && lines.written <= one->most_lines)
			continue;
		failed++;
		printf("    FAILED: both may write %u\n", one->most_lines);
	}
	if (file)
		fclose(file);
	printf("%u passed, %u failed\n", counted - failed, failed);
	return failed != 0;
}

int main(int count, char **words)
{
	struct options options = read_options(count, words);

	machine_set_panic_handler(on_panic);
	if (options.replay)
		return replay(options.replay, options.all);
	if (options.compares)
		return compare(&options);
	if (options.lines)
		return count_lines(&options);
	for (unsigned i = 0; i < case_count && options.lists; i++)
		if (is_asked_for(&options, cases[i]->name))
			printf("%s\n", cases[i]->name);
	return options.lists ? 0 : explore(&options);
}
