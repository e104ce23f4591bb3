/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Takes all there is of everything, one kind after another, each in a child, and says how much that was
 * and with what error it ended. For the reference kernel: on another machine it would do harm.
 *
 * usage: limits KIND...
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "guest.h"

static long maps_of_self(void)
{
	FILE *file = fopen("/proc/self/maps", "r");
	long lines = 0;
	int byte;

	while (file && (byte = fgetc(file)) != EOF)
		lines += byte == '\n';
	if (file)
		fclose(file);
	return lines;
}

static void say(const char *what, long count)
{
	printf("%s: %ld, then %s\n", what, count, lh_error_name(lh_error_from_errno(errno)));
}

/* Pages of two kinds in turns, so that none becomes one with its neighbour. */
static void regions(void)
{
	long before = maps_of_self(), count = 0;

	while (mmap(NULL, PAGE, count % 2 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
		count++;
	say("regions", before + count);
}

/* Parts of one region, by protection and by holes. */
static void parts(void)
{
	size_t pages = 200000;
	char *memory = mmap(NULL, pages * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t at = 1;
	int error;

	while (at < pages && mprotect(memory + at * PAGE, PAGE, PROT_NONE) == 0)
		at += 2;
	error = errno;
	printf("a hole at the limit: %s\n", munmap(memory + (pages - 2) * PAGE, PAGE) == 0 ? "made" : "refused");
	printf("a part at the limit: %s\n", mprotect(memory + PAGE, PAGE, PROT_READ) == 0 ? "undone" : "refused");
	errno = error;
	say("parts", at > 60000);
}

static void descriptors(void)
{
	struct rlimit limit = { 0, 0 };
	long count = 0;

	getrlimit(RLIMIT_NOFILE, &limit);
	while (dup(0) != -1)
		count++;
	printf("descriptors to the limit: %d, %s\n", count + 3 == (long)limit.rlim_cur,
	       lh_error_name(lh_error_from_errno(errno)));
	printf("open: %d, pipe: %d\n", open("/tmp", O_RDONLY) == -1 && errno == EMFILE,
	       pipe((int[2]){ 0, 0 }) == -1 && errno == EMFILE);
}

/* Full pipes, with one end closed in turns; other children take more, until there is no memory. */
static void pipes(void)
{
	static char bytes[65536];
	long count = 0;
	int ends[2];

	while (pipe(ends) == 0) {
		fcntl(ends[1], F_SETFL, O_NONBLOCK);
		if (write(ends[1], bytes, sizeof bytes) <= 0)
			break;
		count++;
	}
	say("pipes", count > 100);
}

static void fill_file_system(void)
{
	static char bytes[65536];
	long moved = 0;
	ssize_t written = 0;
	int file = open("/tmp/all", O_CREAT | O_RDWR | O_TRUNC, 0600);

	while ((written = write(file, bytes, sizeof bytes)) > 0)
		moved += written;
	say("a file of more than 32 MiB", moved > 32 << 20);
	unlink("/tmp/all");
}

/* Names and empty files, as many as lie in no cache. */
#define NAMES 10000
static void fill_with_names(void)
{
	char name[64];
	long count = 0;
	int file;

	mkdir("/tmp/names", 0700);
	errno = 0;
	for (; count < NAMES; count++) {
		snprintf(name, sizeof name, "/tmp/names/%ld", count);
		file = open(name, O_CREAT | O_WRONLY, 0600);
		if (file == -1)
			break;
		close(file);
	}
	say("names", count);
	while (--count >= 0) {
		snprintf(name, sizeof name, "/tmp/names/%ld", count);
		unlink(name);
	}
	rmdir("/tmp/names");
}

/* Children that wait, until there may be no more; they are let go by the pipe's end. */
static void forks(void)
{
	struct rlimit limit = { 0, 0 };
	long count = 0;
	int ends[2];
	char byte;

	if (pipe(ends) != 0)
		return;
	getrlimit(RLIMIT_NPROC, &limit);
	for (;; count++) {
		pid_t child = fork();

		if (child == -1)
			break;
		if (child == 0) {
			close(ends[1]);
			_exit(read(ends[0], &byte, 1) == 0 ? 0 : 1);
		}
	}
	printf("children to the limit, or to the end of memory: %d, %s\n",
	       count > (long)limit.rlim_cur - 20 || errno == ENOMEM, lh_error_name(lh_error_from_errno(errno)));
	close(ends[1]);
	while (wait(NULL) > 0)
		count--;
	printf("children that did not come back: %ld\n", count);
}

/* Each forks as fast as it can and takes memory, until two seconds are over; then it waits for its
 * children, and ends. */
static void bomb(void)
{
	time_t end = time(NULL) + 2;

	while (time(NULL) < end) {
		pid_t child = fork();
		char *memory = NULL;

		if (child != 0 && private_pages(64, &memory) == LH_OK)
			memset(memory, 1, 64 * PAGE);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			continue;
	}
	while (wait(NULL) > 0)
		continue;
}

/* may_be_killed: it takes more memory than there is, and may be the one that has most of it. */
struct kind {
	const char *name;
	void (*take)(void);
	bool may_be_killed;
};

static const struct kind kinds[] = {
	{ "regions", regions, false }, { "parts", parts, false },
	{ "descriptors", descriptors, false }, { "pipes", pipes, false },
	{ "file", fill_file_system, false }, { "names", fill_with_names, false },
	{ "forks", forks, false }, { "bomb", bomb, true },
};

static const struct kind *kind_of(const char *name)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

static void take(void *context)
{
	const struct kind *kind = context;

	kind->take();
}

/* As the child, and comes back when its children's children have ended, too, whose parents may be killed: all of them
 * have an end of a pipe. Who starts a program before that finds no memory for it. */
static lh_error run_with_all_below(const struct kind *kind, int *status)
{
	int ends[2];
	lh_error error;
	char byte;

	if (pipe(ends) != 0)
		return lh_error_from_errno(errno);
	error = run_in_child(take, (void *)(uintptr_t)kind, status);
	close(ends[1]);
	while (read(ends[0], &byte, 1) == -1 && errno == EINTR)
		continue;
	close(ends[0]);
	return error;
}

static bool is_as_it_may(const struct kind *kind, int status)
{
	return status == 0 ||
	       (kind->may_be_killed && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static lh_error run(int argc, char **argv)
{
	int status;

	for (int i = 1; i < argc; i++) {
		const struct kind *kind = kind_of(argv[i]);

		if (!kind)
			return LH_INVALID;
		LH_TRY(kind->may_be_killed ? run_with_all_below(kind, &status)
					   : run_in_child(take, (void *)(uintptr_t)kind, &status));
		if (!is_as_it_may(kind, status))
			printf("%s: %s\n", argv[i], status_text(status));
	}
	return LH_OK;
}

int main(int argc, char **argv)
{
	return report("limits", run(argc, argv));
}
