/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Records what a program asks of malloc and its family, in the form of trace.h:
 *
 *     HEAP_TRACE=file LD_PRELOAD=.../heap-recorder.so program
 *
 * The blocks come from the C library as ever, under the names that it keeps for the purpose. All
 * of the recorder's own memory is mapped, so it never meets itself. Blocks that were there
 * before are not recorded, nor is what a fork's child does. A block's slot is found by its
 * address in a hash table with linear probing; taking out moves up what follows (Knuth,
 * "The Art of Computer Programming" 3, 6.4, algorithm R).
 */
#include "trace.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define TABLE_SHIFT 22
#define TABLE_SIZE (UINT64_C(1) << TABLE_SHIFT)
#define LIVE_MOST (TABLE_SIZE / 4 * 3)
#define BUFFER_WORDS 8192

struct place {
	uintptr_t address; /* 0: free */
	uint32_t slot;
};

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *block, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void *block);

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static bool is_recording;
static int file = -1;
static struct place *table;
static uint32_t *free_slots;
static uint32_t free_count, slot_count;
static uint64_t buffer[BUFFER_WORDS];
static size_t buffered;

/* --- all of these: => the mutex is held --- */

static void write_out(void)
{
	const char *at = (const char *)buffer;
	size_t left = buffered * sizeof buffer[0];

	while (left != 0) {
		ssize_t written = write(file, at, left);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0) {
			is_recording = false; /* a torn trace is seen by its length */
			break;
		}
		at += written;
		left -= (size_t)written;
	}
	buffered = 0;
}

static void put(uint64_t word)
{
	buffer[buffered++] = word;
	if (buffered == BUFFER_WORDS)
		write_out();
}

static uint64_t home(uintptr_t address)
{
	return (address >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> (64 - TABLE_SHIFT);
}

static uint64_t find(uintptr_t address)
{
	uint64_t at = home(address);

	while (table[at].address != 0 && table[at].address != address)
		at = (at + 1) % TABLE_SIZE;
	return at;
}

static uint32_t enter(uintptr_t address)
{
	uint32_t slot = free_count != 0 ? free_slots[--free_count] : slot_count++;

	table[find(address)] = (struct place){ address, slot };
	if (slot_count == LIVE_MOST)
		is_recording = false;
	return slot;
}

/* => false: it was never entered. */
static bool take_out(uintptr_t address, uint32_t *slot)
{
	uint64_t hole = find(address);

	if (table[hole].address == 0)
		return false;
	*slot = table[hole].slot;
	for (uint64_t at = (hole + 1) % TABLE_SIZE; table[at].address != 0; at = (at + 1) % TABLE_SIZE) {
		uint64_t distance = (at - home(table[at].address)) % TABLE_SIZE;

		if (distance < (at - hole) % TABLE_SIZE)
			continue; /* it would come to stand before its home */
		table[hole] = table[at];
		hole = at;
	}
	table[hole].address = 0;
	return true;
}

/* --- the life of the recorder --- */

static void *map(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static void stop_in_child(void)
{
	is_recording = false;
}

__attribute__((constructor)) static void start(void)
{
	const char *name = getenv("HEAP_TRACE");

	if (!name)
		return;
	file = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	table = map(TABLE_SIZE * sizeof *table);
	free_slots = map(TABLE_SIZE * sizeof *free_slots);
	pthread_atfork(NULL, NULL, stop_in_child);
	is_recording = file >= 0 && table && free_slots;
	unsetenv("LD_PRELOAD"); /* of this program alone */
}

__attribute__((destructor)) static void stop(void)
{
	pthread_mutex_lock(&mutex);
	if (is_recording)
		write_out();
	is_recording = false;
	pthread_mutex_unlock(&mutex);
}

/* --- what programs call --- */

static void record_new(enum trace_operation operation, unsigned alignment_shift, const void *block,
		       size_t bytes)
{
	if (!block || bytes > UINT32_MAX)
		return;
	pthread_mutex_lock(&mutex);
	if (is_recording)
		put(trace_word(operation, alignment_shift, enter((uintptr_t)block),
			       bytes != 0 ? bytes : 1));
	pthread_mutex_unlock(&mutex);
}

/* Before the block is given up: afterwards another thread could be given it. */
static void record_free(const void *block)
{
	uint32_t slot;

	if (!block)
		return;
	pthread_mutex_lock(&mutex);
	if (is_recording && take_out((uintptr_t)block, &slot)) {
		put(trace_word(TRACE_FREE, 0, slot, 0));
		free_slots[free_count++] = slot;
	}
	pthread_mutex_unlock(&mutex);
}

void *malloc(size_t bytes)
{
	void *block = __libc_malloc(bytes);

	record_new(TRACE_ALLOCATE, 0, block, bytes);
	return block;
}

void *calloc(size_t count, size_t bytes)
{
	void *block = __libc_calloc(count, bytes);

	record_new(TRACE_ZEROED, 0, block, count * bytes);
	return block;
}

void free(void *block)
{
	record_free(block);
	__libc_free(block);
}

/* The block changes its address under the lock, so that nobody is given the old one meanwhile. */
static void *resize_recorded(void *block, size_t bytes)
{
	uint32_t slot;
	bool known = take_out((uintptr_t)block, &slot);
	void *result = __libc_realloc(block, bytes);
	void *lives = result ? result : block;

	if (known)
		table[find((uintptr_t)lives)] = (struct place){ (uintptr_t)lives, slot };
	if (known && result && bytes <= UINT32_MAX)
		put(trace_word(TRACE_RESIZE, 0, slot, bytes));
	return result;
}

void *realloc(void *block, size_t bytes)
{
	void *result;

	if (!block)
		return malloc(bytes);
	if (bytes == 0) {
		free(block);
		return NULL;
	}
	pthread_mutex_lock(&mutex);
	result = is_recording ? resize_recorded(block, bytes) : __libc_realloc(block, bytes);
	pthread_mutex_unlock(&mutex);
	return result;
}

void *memalign(size_t alignment, size_t bytes)
{
	void *block = __libc_memalign(alignment, bytes);

	record_new(TRACE_ALIGNED, (unsigned)__builtin_ctzll(alignment | UINT64_C(1) << 31), block,
		   bytes);
	return block;
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
	return memalign(alignment, bytes);
}

int posix_memalign(void **block, size_t alignment, size_t bytes)
{
	*block = memalign(alignment, bytes);
	return *block ? 0 : ENOMEM;
}
