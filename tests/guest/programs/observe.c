/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Prints /proc/meminfo as it is before and after a script. It is not the script's own shell
 * that looks, for that holds more or fewer pages of its own as it goes on; nothing of this
 * program changes between the two looks.
 *
 * usage: observe PREPARATION SCRIPT: for busybox's shell; the first is run before the first look
 */
#include <fcntl.h>

#include "guest.h"

struct look {
	char text[8192];
	size_t length;
};

static lh_error look_at_memory(struct look *look)
{
	ssize_t count;
	int file;

	/* The stacks of threads that ended are given back a moment later. */
	LH_TRY(check_call(usleep(500000)));
	file = open("/proc/meminfo", O_RDONLY);
	LH_TRY(check_call(file));
	look->length = 0;
	while ((count = read(file, look->text + look->length, sizeof look->text - look->length)) > 0)
		look->length += (size_t)count;
	close(file);
	return count < 0 ? last_error() : LH_OK;
}

static lh_error run_script(const char *script)
{
	pid_t child = -1;
	int status;

	LH_TRY(fork_process(&child));
	if (child == 0) {
		execl("/bin/busybox", "sh", "-c", script, (char *)NULL);
		_exit(127);
	}
	LH_TRY(wait_for(child, &status));
	return status == 0 ? LH_OK : LH_IO;
}

static lh_error write_all(const char *text, size_t length)
{
	return write(STDOUT_FILENO, text, length) == (ssize_t)length ? LH_OK : last_error();
}

static lh_error run(const char *preparation, const char *script)
{
	static struct look before, after;

	LH_TRY(run_script(preparation));
	LH_TRY(look_at_memory(&after)); /* so that its pages are there */
	LH_TRY(look_at_memory(&before));
	LH_TRY(write_all("---\n", 4));
	LH_TRY(run_script(script));
	LH_TRY(look_at_memory(&after));
	LH_TRY(write_all("---\n", 4));
	LH_TRY(write_all(before.text, before.length));
	LH_TRY(write_all("---\n", 4));
	return write_all(after.text, after.length);
}

int main(int argc, char **argv)
{
	return report("observe", argc == 3 ? run(argv[1], argv[2]) : LH_INVALID);
}
