/* SPDX-License-Identifier: BSD-2-Clause */
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test {
	const char *file;
	const char *name;
	test_function *function;
};

static struct test tests[2048];
static size_t test_count;
static jmp_buf test_end;

void test_register(const char *file, const char *name, test_function *function)
{
	if (test_count == sizeof tests / sizeof *tests) {
		fputs("harness: too many tests\n", stderr);
		abort();
	}
	tests[test_count++] = (struct test){ file, name, function };
}

_Noreturn void test_fail(const char *file, int line, const char *format, ...)
{
	va_list arguments;
	fflush(stdout);
	fprintf(stderr, "%s:%d: ", file, line);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	longjmp(test_end, 1);
}

static bool is_wanted(const struct test *test, char **parts, int count)
{
	for (int i = 0; i < count; i++)
		if (strstr(test->name, parts[i]) || strstr(test->file, parts[i]))
			return true;
	return count == 0;
}

static bool passes(const struct test *test, uint64_t seed)
{
	test_seed(seed);
	if (setjmp(test_end) == 0) {
		test->function();
		return true;
	}
	fprintf(stderr, "FAILED %s (--seed %llu)\n", test->name, (unsigned long long)seed);
	return false;
}

int main(int argc, char **argv)
{
	uint64_t seed = 1;
	bool list = false, verbose = false;
	unsigned passed = 0, failed = 0;
	int next = 1;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (; next < argc && argv[next][0] == '-'; next++) {
		if (strcmp(argv[next], "-l") == 0)
			list = true;
		else if (strcmp(argv[next], "-v") == 0)
			verbose = true;
		else if (strcmp(argv[next], "--seed") == 0 && next + 1 < argc)
			seed = strtoull(argv[++next], NULL, 0);
		else {
			fprintf(stderr, "usage: %s [-l] [-v] [--seed N] [NAME-PART...]\n", argv[0]);
			return 2;
		}
	}
	for (size_t i = 0; i < test_count; i++) {
		if (!is_wanted(&tests[i], argv + next, argc - next))
			continue;
		if (list || verbose)
			printf("%s: %s\n", tests[i].file, tests[i].name);
		if (list)
			continue;
		if (passes(&tests[i], seed))
			passed++;
		else
			failed++;
	}
	if (!list)
		printf("%u passed, %u failed\n", passed, failed);
	return failed != 0 || (!list && passed == 0);
}
