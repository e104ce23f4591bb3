/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the guest test programs share: Linux system calls in the project's error idiom.
 * They are ordinary programs, and run on any Linux as well.
 */
#ifndef TESTS_GUEST_H
#define TESTS_GUEST_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <landhold/error.h>

#define PAGE ((size_t)4096)
#define UNUSED __attribute__((unused))

/* The error of a system call that returned -1: never LH_OK. */
UNUSED static lh_error last_error(void)
{
	lh_error error = lh_error_from_errno(errno);

	return error != LH_OK ? error : LH_IO;
}

/* For calls that return -1 for failure, and else nothing of interest. */
UNUSED static lh_error check_call(long result)
{
	return result == -1 ? last_error() : LH_OK;
}

LH_MUST_USE UNUSED static lh_error map_pages(size_t pages, int access, int flags, char **memory)
{
	void *mapped = mmap(NULL, pages * PAGE, access, flags, -1, 0);

	if (mapped == MAP_FAILED)
		return last_error();
	*memory = mapped;
	return LH_OK;
}

LH_MUST_USE UNUSED static lh_error private_pages(size_t pages, char **memory)
{
	return map_pages(pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, memory);
}

/* What is written before a fork must not be written twice. */
LH_MUST_USE UNUSED static lh_error fork_process(pid_t *child)
{
	pid_t made;

	fflush(NULL);
	made = fork();
	if (made == -1)
		return last_error();
	*child = made;
	return LH_OK;
}

LH_MUST_USE UNUSED static lh_error wait_for(pid_t child, int *status)
{
	return waitpid(child, status, 0) == child ? LH_OK : last_error();
}

/* Runs function in a child and waits for it: its wait status. */
LH_MUST_USE UNUSED static lh_error run_in_child(void (*function)(void *), void *argument, int *status)
{
	pid_t child = -1;

	LH_TRY(fork_process(&child));
	if (child == 0) {
		function(argument);
		fflush(NULL);
		_exit(0);
	}
	return wait_for(child, status);
}

/* "exit 3" or "signal 11", in a buffer that the next call writes again. */
UNUSED static const char *status_text(int status)
{
	static char text[32];

	if (WIFSIGNALED(status))
		snprintf(text, sizeof text, "signal %d", WTERMSIG(status));
	else
		snprintf(text, sizeof text, "exit %d", WEXITSTATUS(status));
	return text;
}

/* The end of main: tells an error on standard error. => the exit status. */
UNUSED static int report(const char *program, lh_error error)
{
	fflush(stdout);
	if (error == LH_OK)
		return 0;
	fprintf(stderr, "%s: %s (%s)\n", program, lh_error_string(error), lh_error_name(error));
	return 1;
}

/* The number behind a name in /proc/self/status; -1: none. */
static inline long status_number(const char *name)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[256];
	long number = -1;

	while (file != NULL && fgets(line, sizeof line, file) != NULL)
		if (strncmp(line, name, strlen(name)) == 0)
			number = atol(line + strlen(name) + 1);
	if (file != NULL)
		fclose(file);
	return number;
}

#endif
