/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Replays a trace (tools/heap-trace/trace.h) over one heap and prints what it took:
 *
 *     replay TRACE ROUNDS THREADS time     ->  operations ns_median ns_min, of one operation:
 *                                              processor time, the threads' mean; rounds they are of
 *     replay TRACE 1      THREADS memory   ->  operations bytes
 *
 * Every thread plays the whole trace with blocks of its own, all at the same time; a round ends when
 * the last has ended it, all its blocks freed. Time is each thread's own, so that what else runs on the
 * machine is seen as little as possible; time asleep for a lock is not seen either. A block is touched as
 * far as any program would: its first word is written when it is new and looked at when it dies, and a byte
 * in each page. The first round is not counted: it finds no memory at hand.
 *
 * Several threads have a CPU each, and a round counts if all were at work nearly all of the time: one that
 * had to wait for its CPU found the lines and locks that they share unused, and would look as fast as a
 * thread alone. If there was no such round (there are more threads than CPUs, or others use them), their
 * number is 0 and the times are of all.
 */
#include "subject.h"

#include "../../tools/heap-trace/trace.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096
#define ROUNDS_MOST 1000
#define THREADS_MOST 8
#define TOGETHER 0.9 /* of a thread's time, at least, that others were at work as well */

struct block {
	uint64_t handle; /* 0: none */
	uint64_t bytes;
};

struct player {
	pthread_t thread;
	unsigned number;
	struct block *blocks;
	double nanoseconds[ROUNDS_MOST]; /* of one operation, in each round */
	double begin, end;		 /* of a round, by the clock on the wall */
};

static const uint64_t *trace;
static uint64_t words, slots, operations;
static unsigned rounds, threads;
static bool samples_memory;
static bool together[ROUNDS_MOST];
static unsigned starts; /* of all threads, in all rounds */
static pthread_barrier_t barrier;
static struct player players[THREADS_MOST];

void subject_fail(const char *what)
{
	fprintf(stderr, "replay: %s\n", what);
	exit(1);
}

static void *map(uint64_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED)
		subject_fail("no memory for the replayer");
	return memory;
}

/* Blocks alive when the trace ends are freed: operations as well. */
static void load(const char *name)
{
	int file = open(name, O_RDONLY);
	struct stat status;
	uint8_t *lives;

	if (file < 0 || fstat(file, &status) != 0 || status.st_size < (off_t)sizeof *trace)
		subject_fail("no trace");
	words = (uint64_t)status.st_size / sizeof *trace;
	trace = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
	if (trace == MAP_FAILED)
		subject_fail("the trace cannot be mapped");
	lives = map(TRACE_SLOTS);
	for (uint64_t i = 0; i < words; i++) {
		uint32_t slot = trace_slot(trace[i]);

		lives[slot] = trace_operation_of(trace[i]) != TRACE_FREE;
		slots = slot >= slots ? slot + 1 : slots;
	}
	operations = words;
	for (uint64_t slot = 0; slot < slots; slot++)
		operations += lives[slot];
	munmap(lives, TRACE_SLOTS);
}

static void touch(const struct block *block, uint64_t from)
{
	if (from == 0 && block->bytes >= sizeof(uint64_t))
		memcpy(subject_bytes(block->handle, 0), &block->handle, sizeof(uint64_t));
	for (uint64_t at = from | (PAGE - 1); at < block->bytes; at += PAGE)
		*(volatile uint8_t *)subject_bytes(block->handle, at) = 1;
}

static void look(const struct block *block)
{
	uint64_t word;

	if (block->bytes < 2 * sizeof word)
		return;
	memcpy(&word, subject_bytes(block->handle, 0), sizeof word);
	if (word != block->handle)
		subject_fail("a block has changed");
}

static void release(struct block *block)
{
	look(block);
	subject_free(block->handle, block->bytes);
	block->handle = 0;
}

static void resize(struct block *block, uint64_t bytes)
{
	uint64_t before = block->bytes;

	look(block);
	block->handle = subject_resize(block->handle, before, bytes);
	block->bytes = bytes;
	if (bytes >= sizeof(uint64_t))
		memcpy(subject_bytes(block->handle, 0), &block->handle, sizeof(uint64_t));
	if (bytes > before)
		touch(block, before);
}

static void play_word(struct block *blocks, uint64_t word)
{
	enum trace_operation operation = trace_operation_of(word);
	struct block *block = &blocks[trace_slot(word)];
	uint64_t alignment;

	switch (operation) {
	case TRACE_FREE:
		release(block);
		return;
	case TRACE_RESIZE:
		resize(block, trace_bytes(word));
		return;
	default:
		alignment = operation == TRACE_ALIGNED ? UINT64_C(1) << trace_alignment_shift(word) : 0;
		block->bytes = trace_bytes(word);
		block->handle = subject_allocate(block->bytes, alignment, operation == TRACE_ZEROED);
		touch(block, 0);
	}
}

static void play(struct block *blocks)
{
	for (uint64_t i = 0; i < words; i++) {
		play_word(blocks, trace[i]);
		if (samples_memory)
			subject_sample_memory();
	}
	for (uint64_t slot = 0; slot < slots; slot++)
		if (blocks[slot].handle != 0)
			release(&blocks[slot]);
}

static double now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* Each thread has a CPU of its own, as far as there are enough. */
static void stay_on_cpu(unsigned number)
{
	cpu_set_t allowed, own;
	unsigned cpu = 0;

	if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
		return;
	number %= (unsigned)CPU_COUNT(&allowed);
	while (!CPU_ISSET(cpu, &allowed) || number-- != 0)
		cpu++;
	CPU_ZERO(&own);
	CPU_SET(cpu, &own);
	(void)sched_setaffinity(0, sizeof own, &own);
}

/* Awake, so that none begins later by what it takes to wake it. */
static void wait_for_all(unsigned round)
{
	__atomic_add_fetch(&starts, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(&starts, __ATOMIC_ACQUIRE) < (round + 1) * threads)
		sched_yield();
}

/* Whether all were at work nearly as long as each was, and had their CPUs. */
static bool were_together(unsigned round)
{
	double begin = players[0].begin, end = players[0].end;

	for (unsigned i = 1; i < threads; i++) {
		begin = players[i].begin > begin ? players[i].begin : begin;
		end = players[i].end < end ? players[i].end : end;
	}
	for (unsigned i = 0; i < threads; i++) {
		double time = players[i].nanoseconds[round] * (double)operations;

		if (end - begin < TOGETHER * time || time < TOGETHER * (players[i].end - players[i].begin))
			return false;
	}
	return true;
}

static void *run(void *argument)
{
	struct player *player = argument;

	if (threads > 1)
		stay_on_cpu(player->number);
	subject_start_thread(player->number);
	for (unsigned round = 0; round < rounds; round++) {
		double begin;

		wait_for_all(round);
		player->begin = now(CLOCK_MONOTONIC);
		begin = now(CLOCK_THREAD_CPUTIME_ID);
		play(player->blocks);
		player->nanoseconds[round] = (now(CLOCK_THREAD_CPUTIME_ID) - begin) / (double)operations;
		player->end = now(CLOCK_MONOTONIC);
		if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
			together[round] = threads == 1 || were_together(round);
	}
	return NULL;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The threads' mean in each round, or in those in which they were at work together. => how many */
static unsigned take_means(bool all, double *means)
{
	unsigned count = 0;

	for (unsigned round = rounds > 1 ? 1 : 0; round < rounds; round++) {
		double sum = 0;

		for (unsigned i = 0; i < threads; i++)
			sum += players[i].nanoseconds[round];
		if (all || together[round])
			means[count++] = sum / threads;
	}
	return count;
}

static void print_time(void)
{
	static double means[ROUNDS_MOST];
	unsigned counted = take_means(false, means), count = counted != 0 ? counted : take_means(true, means);

	qsort(means, count, sizeof means[0], compare);
	printf("%llu %.2f %.2f %u\n", (unsigned long long)operations, means[count / 2], means[0], counted);
}

int main(int count, char **arguments)
{
	if (count != 5)
		subject_fail("usage: replay TRACE ROUNDS THREADS time|memory");
	rounds = (unsigned)strtoul(arguments[2], NULL, 10);
	threads = (unsigned)strtoul(arguments[3], NULL, 10);
	samples_memory = strcmp(arguments[4], "memory") == 0;
	if (rounds == 0 || rounds > ROUNDS_MOST || threads == 0 || threads > THREADS_MOST)
		subject_fail("too many rounds or threads");
	load(arguments[1]);
	for (unsigned i = 0; i < threads; i++) {
		players[i].number = i;
		players[i].blocks = map(slots * sizeof(struct block));
	}
	pthread_barrier_init(&barrier, NULL, threads);
	subject_start();
	subject_note_memory();
	for (unsigned i = 0; i < threads; i++)
		if (pthread_create(&players[i].thread, NULL, run, &players[i]) != 0)
			subject_fail("no thread");
	for (unsigned i = 0; i < threads; i++)
		pthread_join(players[i].thread, NULL);
	if (samples_memory)
		printf("%llu %llu\n", (unsigned long long)operations,
		       (unsigned long long)subject_peak());
	else
		print_time();
	return 0;
}
