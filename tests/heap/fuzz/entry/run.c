/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz-heap-run SECONDS SEED    generated tapes of the heap, from a seed on
 * fuzz-heap-run - HEX           one tape
 * fuzz-heap-run -               the tape on standard input: for AFL++, or a fuzzer's artifact
 *
 * A tape that fails ends the process; its digits are printed first.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"
#include "heap/tape.h"

static uint8_t bytes[TAPE_BYTES_MAX];
static size_t size;

static void print_tape(int signal_number)
{
	fputs("the tape: ", stderr);
	for (size_t i = 0; i < size; i++)
		fprintf(stderr, "%02x", bytes[i]);
	fputc('\n', stderr);
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

static void read_hex(const char *text)
{
	unsigned byte;

	for (; size < sizeof bytes && sscanf(text + 2 * size, "%2x", &byte) == 1; size++)
		bytes[size] = (uint8_t)byte;
}

static void read_input(void)
{
	ssize_t got;

	while (size < sizeof bytes && (got = read(0, bytes + size, sizeof bytes - size)) > 0)
		size += (size_t)got;
}

static void generate(time_t seconds, uint64_t seed)
{
	time_t until = time(NULL) + seconds;
	unsigned tapes = 0;

	for (; time(NULL) < until; tapes++) {
		test_seed(seed + tapes);
		size = heap_tape_generate(bytes, 32 + test_random_below(200));
		heap_tape_play(bytes, size);
	}
	printf("%u tapes from seed %llu on\n1 passed, 0 failed\n", tapes, (unsigned long long)seed);
}

int main(int count, char **arguments)
{
	if (count < 2)
		return 2;
	signal(SIGABRT, print_tape);
	if (strcmp(arguments[1], "-") != 0) {
		generate((time_t)strtoul(arguments[1], NULL, 10), count > 2 ? strtoull(arguments[2], NULL, 0) : 1);
		return 0;
	}
	if (count > 2)
		read_hex(arguments[2]);
	else
		read_input();
	heap_tape_play(bytes, size);
	return 0;
}
