/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What whole programs of Debian's cost, unmodified: each is begun, does its work and is waited for, by the
 * first process of a machine whose time-stamp counter counts instructions (qemu -icount shift=0). The programs'
 * own instructions are in it, and are the same on each kernel but for what they ask the time and the like; what
 * differs is the kernel's. Each runs once without being counted, so that its files are where they stay.
 *
 * Output as operations.c has it; no pages are told, for nobody knows them.
 *
 * usage: programs DIRECTORY [power-off]	DIRECTORY: where the files are that the programs read
 */
#include "counter.h"
#include "guest.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/reboot.h>

#define WORDS_MOST 8

struct work {
	const char *name;
	unsigned count;
	const char *words[WORDS_MOST];
};

#define PYTHON "/usr/bin/python3"

static const struct work works[] = {
	{ "busybox, begins and ends", 20, { "/bin/busybox", "true" } },
	{ "sh, 100 programs one after the other", 1,
	  { "/bin/busybox", "sh", "-c", "i=0; while [ $i -lt 100 ]; do /bin/busybox true; i=$((i+1)); done" } },
	{ "sh, 20 pipelines of three", 1,
	  { "/bin/busybox", "sh", "-c", "i=0; while [ $i -lt 20 ]; do seq 1 500 | sort -rn | md5sum; i=$((i+1)); done" } },
	{ "bash, begins and ends", 10, { "/bin/bash", "-c", ":" } },
	{ "bash, 100 subshells", 1, { "/bin/bash", "-c", "for i in {1..100}; do x=$(echo $i); done" } },
	{ "perl, begins and ends", 10, { "/usr/bin/perl", "-e", "1" } },
	{ "perl, a hash of 100,000 and 20 children", 1,
	  { "/usr/bin/perl", "-e", "$h{$_ * 7919} = \"value $_\" for 1 .. 100000; "
				   "for (1 .. 20) { exit 0 if fork == 0; wait }" } },
	{ "python, begins and ends", 3, { PYTHON, "-B", "-c", "pass" } },
	{ "python, 300,000 objects", 1,
	  { PYTHON, "-B", "-c", "d = {str(n): [n, (n, n)] for n in range(300000)}; d.clear()" } },
	{ "python, 8 threads and 8 children", 1,
	  { PYTHON, "-B", "-c", "import os, threading\n"
				"t = [threading.Thread(target=lambda: bytearray(1 << 22)) for _ in range(8)]\n"
				"[x.start() for x in t]; [x.join() for x in t]\n"
				"for _ in range(8):\n"
				" if os.fork() == 0: os._exit(0)\n"
				"for _ in range(8): os.wait()" } },
	{ "sort of 200,000 lines", 1, { "/bin/busybox", "sort", "lines" } },
	{ "gcc -O1 of a file of 1,900 lines", 1,
	  { "/usr/bin/gcc", "-O1", "-S", "-fpreprocessed", "file.i", "-o", "/tmp/file.s" } },
};

#define WORKS (sizeof works / sizeof *works)

static _Noreturn void begin(const struct work *work)
{
	int nowhere = open("/dev/null", O_RDWR);

	dup2(nowhere, 0);
	dup2(nowhere, 1);
	execve(work->words[0], (char **)(uintptr_t)work->words,
	       (char *[]){ "PATH=/usr/bin:/bin", "HOME=/", "LC_ALL=C", NULL });
	_exit(127);
}

static lh_error run_once(const struct work *work)
{
	pid_t child = -1;
	int status = 0;

	LH_TRY(fork_process(&child));
	if (child == 0)
		begin(work);
	LH_TRY(wait_for(child, &status));
	if (status != 0)
		fprintf(stderr, "%s: %s\n", work->name, status_text(status));
	return status == 0 ? LH_OK : LH_IO;
}

static void measure(const struct work *work)
{
	uint64_t begun = 0;
	lh_error error = LH_OK;

	for (unsigned i = 0; error == LH_OK && i <= work->count; i++) {
		if (i == 1)
			begun = read_counter();
		error = run_once(work);
	}
	if (error == LH_OK)
		printf("operation|%s|%u|%llu|0|-\n", work->name, work->count,
		       (unsigned long long)(read_counter() - begun));
	else
		printf("failed|%s|%d|%s\n", work->name, lh_error_to_errno(error), lh_error_string(error));
	fflush(stdout);
}

/* What Linux's first process has to see to; where it is there already that is refused, which is as good. */
static void make_ready(const char *directory)
{
	(void)mount("proc", "/proc", "proc", 0, NULL);
	(void)mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	if (chdir(directory) != 0)
		perror(directory);
	sleep(BOOT_SECONDS);
}

int main(int count, char **words)
{
	if (count < 2) {
		fprintf(stderr, "usage: programs DIRECTORY [power-off]\n");
		return 2;
	}
	make_ready(words[1]);
	for (size_t i = 0; i < WORKS; i++)
		measure(&works[i]);
	printf("end|%zu\n", WORKS);
	fflush(stdout);
	if (count > 2 && strcmp(words[2], "power-off") == 0)
		reboot(RB_POWER_OFF);
	return 0;
}
