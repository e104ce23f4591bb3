/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs a program that makes files wherever it likes, and removes them when it has ended: every name that was
 * not there before, whatever its times and its owner say. For the reference kernel only.
 *
 * usage: tidy COMMAND [ARGUMENT...]
 */
#include <ftw.h>
#include <sys/stat.h>

#include "guest.h"

#define NAMES_MOST 4096
#define DESCRIPTORS 16

static char *kept[NAMES_MOST];
static size_t kept_count;

static bool is_made_by_the_kernel(const char *path)
{
	return strncmp(path, "/proc/", 6) == 0;
}

static int keep(const char *path, const struct stat *status, int kind, struct FTW *at)
{
	(void)status, (void)kind, (void)at;
	if (is_made_by_the_kernel(path))
		return 0;
	if (kept_count == NAMES_MOST)
		return 1;
	kept[kept_count++] = strdup(path);
	return kept[kept_count - 1] == NULL;
}

static bool is_kept(const char *path)
{
	for (size_t i = 0; i < kept_count; i++)
		if (strcmp(kept[i], path) == 0)
			return true;
	return false;
}

static int clear(const char *path, const struct stat *status, int kind, struct FTW *at)
{
	(void)status, (void)kind, (void)at;
	if (!is_made_by_the_kernel(path) && !is_kept(path))
		(void)remove(path);
	return 0;
}

static lh_error run(char **command, int *status)
{
	pid_t child = -1;

	if (nftw("/", keep, DESCRIPTORS, FTW_PHYS) != 0)
		return LH_LIMIT;
	LH_TRY(fork_process(&child));
	if (child == 0) {
		execv(command[0], command);
		_exit(127);
	}
	LH_TRY(wait_for(child, status));
	return check_call(nftw("/", clear, DESCRIPTORS, FTW_PHYS | FTW_DEPTH));
}

int main(int argc, char **argv)
{
	int status = 0;
	lh_error error = argc < 2 ? LH_INVALID : run(argv + 1, &status);

	return error != LH_OK || status == 0 ? report("tidy", error) : 1;
}
