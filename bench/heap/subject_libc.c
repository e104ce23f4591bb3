/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * malloc and its family, whoever supplies them: the C library, or what is preloaded. Built a second time with
 * PAYS_TABLE, where it looks pages up as Landhold's subject has to (table.h).
 */
#include "subject.h"

#ifdef PAYS_TABLE
#include "table.h"
#endif

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t resident_before;

void subject_start(void)
{
}

void subject_start_thread(unsigned number)
{
	(void)number;
}

static uint64_t given(void *block)
{
	if (!block)
		subject_fail("no memory");
	return (uint64_t)(uintptr_t)block;
}

uint64_t subject_allocate(uint64_t bytes, uint64_t alignment, bool zeroed)
{
	if (alignment > 16)
		return given(aligned_alloc(alignment, bytes));
	return given(zeroed ? calloc(1, bytes) : malloc(bytes));
}

void subject_free(uint64_t block, uint64_t bytes)
{
	(void)bytes;
	free((void *)(uintptr_t)block);
}

uint64_t subject_resize(uint64_t block, uint64_t bytes_before, uint64_t bytes)
{
	(void)bytes_before;
	return given(realloc((void *)(uintptr_t)block, bytes));
}

#ifdef PAYS_TABLE
/* An address is its own: so that pages 4 GiB apart have one entry changes nothing. */
static uint64_t table_walk(uint64_t address)
{
	return address;
}

void *subject_bytes(uint64_t block, uint64_t offset)
{
	return table_find(block + offset);
}
#else
void *subject_bytes(uint64_t block, uint64_t offset)
{
	return (void *)(uintptr_t)(block + offset);
}
#endif

/* A line of /proc/self/status, in bytes; read without allocating. */
static uint64_t status(const char *name)
{
	static char text[8192];
	int file = open("/proc/self/status", O_RDONLY);
	ssize_t count = read(file, text, sizeof text - 1);
	const char *line;

	close(file);
	text[count > 0 ? count : 0] = '\0';
	line = strstr(text, name);
	if (!line)
		subject_fail("the system does not tell of memory");
	return strtoull(line + strlen(name), NULL, 10) * 1024;
}

/* "5" makes the most that was resident what is resident now: proc(5). */
void subject_note_memory(void)
{
	int file = open("/proc/self/clear_refs", O_WRONLY);

	if (file < 0 || write(file, "5", 1) != 1)
		subject_fail("the peak of memory cannot be reset");
	close(file);
	resident_before = status("VmRSS:");
}

/* The kernel keeps the peak. */
void subject_sample_memory(void)
{
}

uint64_t subject_peak(void)
{
	return status("VmHWM:") - resident_before;
}
