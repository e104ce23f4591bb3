/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a program finds on its stack, upwards from its first stack pointer (System V ABI,
 * x86-64 supplement, "Process Initialization"):
 *
 *     argument count
 *     pointers to arguments, 0, pointers to environment strings, 0
 *     auxiliary vector: pairs of type and value, ended by type 0
 *     (alignment)
 *     16 random bytes, the platform's name, the strings, the program's path
 *     8 bytes of zeroes
 */
#include "lib/string.h"
#include "memory/heap.h"
#include "memory/memory.h"
#include "memory/user.h"
#include "process/exec.h"

#define STACK_PAGES_FIRST 33u /* 132 KiB, as Linux begins with */
#define AUXILIARY_COUNT 20u
#define PLATFORM "x86_64"

enum auxiliary_type {
	AUXILIARY_END = 0,
	AUXILIARY_HEADERS = 3,
	AUXILIARY_HEADER_BYTES = 4,
	AUXILIARY_HEADER_COUNT = 5,
	AUXILIARY_PAGE_SIZE = 6,
	AUXILIARY_INTERPRETER_BASE = 7,
	AUXILIARY_FLAGS = 8,
	AUXILIARY_ENTRY = 9,
	AUXILIARY_USER = 11,
	AUXILIARY_EFFECTIVE_USER = 12,
	AUXILIARY_GROUP = 13,
	AUXILIARY_EFFECTIVE_GROUP = 14,
	AUXILIARY_PLATFORM = 15,
	AUXILIARY_CAPABILITIES = 16,
	AUXILIARY_CLOCK_TICKS = 17,
	AUXILIARY_SECURE = 23,
	AUXILIARY_RANDOM = 25,
	AUXILIARY_PATH = 31
};

uint64_t program_stack_pages(const struct program_arguments *arguments)
{
	uint64_t strings = arguments->used + PATH_BYTES_MAX;
	uint64_t pointers = (uint64_t)arguments->argument_count + arguments->environment_count + 64;
	uint64_t pages = (strings + pointers * sizeof(uint64_t)) / LH_PAGE_SIZE + 16;

	return pages > STACK_PAGES_FIRST ? pages : STACK_PAGES_FIRST;
}

/* The feature bits that programs read as AT_HWCAP: CPUID leaf 1, edx. */
static uint64_t cpu_capabilities(void)
{
	uint32_t eax = 1, ebx, ecx = 0, edx;

	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	return edx;
}

/* Puts bytes below *top. */
static lh_error push(uint64_t *top, const void *bytes, size_t count)
{
	*top -= count;
	return user_copy_out(*top, bytes, count);
}

/* The addresses of what lies above the vectors. */
struct stack_strings {
	uint64_t path, strings, platform, random;
};

static lh_error push_strings(const struct program *program,
			     const struct program_arguments *arguments, uint64_t *top,
			     struct stack_strings *at)
{
	uint64_t zero = 0, random[2] = { random_64(), random_64() };

	LH_TRY(push(top, &zero, sizeof zero));
	LH_TRY(push(top, program->path, strlen(program->path) + 1));
	at->path = *top;
	LH_TRY(push(top, arguments->bytes, arguments->used));
	at->strings = *top;
	LH_TRY(push(top, PLATFORM, sizeof PLATFORM));
	at->platform = *top;
	*top &= ~UINT64_C(15);
	LH_TRY(push(top, random, sizeof random));
	at->random = *top;
	return LH_OK;
}

static size_t fill_auxiliary(const struct program *program, const struct stack_strings *at,
			     uint64_t *out)
{
	const uint64_t pairs[][2] = {
		{ AUXILIARY_CAPABILITIES, cpu_capabilities() },
		{ AUXILIARY_PAGE_SIZE, LH_PAGE_SIZE },
		{ AUXILIARY_CLOCK_TICKS, 100 },
		{ AUXILIARY_HEADERS, program->plan.headers + program->bias },
		{ AUXILIARY_HEADER_BYTES, 56 },
		{ AUXILIARY_HEADER_COUNT, program->plan.header_count },
		{ AUXILIARY_INTERPRETER_BASE, program->interpreter_bias },
		{ AUXILIARY_FLAGS, 0 },
		{ AUXILIARY_ENTRY, program->plan.entry + program->bias },
		{ AUXILIARY_USER, 0 },
		{ AUXILIARY_EFFECTIVE_USER, 0 },
		{ AUXILIARY_GROUP, 0 },
		{ AUXILIARY_EFFECTIVE_GROUP, 0 },
		{ AUXILIARY_SECURE, 0 },
		{ AUXILIARY_RANDOM, at->random },
		{ AUXILIARY_PATH, at->path },
		{ AUXILIARY_PLATFORM, at->platform },
		{ AUXILIARY_END, 0 },
	};

	_Static_assert(sizeof pairs / sizeof pairs[0] <= AUXILIARY_COUNT, "room for the vector");
	memcpy(out, pairs, sizeof pairs);
	return sizeof pairs / sizeof(uint64_t);
}

/* The pointers to so many strings, and a 0. => where the strings go on. */
static const char *fill_pointers(uint64_t **out, uint32_t count, const char *string,
				 uint64_t *address)
{
	for (uint32_t i = 0; i < count; i++) {
		size_t bytes = strlen(string) + 1;

		*(*out)++ = *address;
		*address += bytes;
		string += bytes;
	}
	*(*out)++ = 0;
	return string;
}

lh_error program_write_stack(const struct program *program,
			     const struct program_arguments *arguments, uint64_t *stack_pointer)
{
	size_t capacity = (3 + (size_t)arguments->argument_count + arguments->environment_count +
			   2 * AUXILIARY_COUNT) * sizeof(uint64_t);
	uint64_t top = program->memory->stack_top, address, *vectors, *out;
	struct stack_strings at;
	const char *string;
	size_t bytes;
	lh_error error;

	LH_TRY(push_strings(program, arguments, &top, &at));
	vectors = kernel_allocate(capacity);
	if (vectors == NULL)
		return LH_NO_MEMORY;
	out = vectors;
	*out++ = arguments->argument_count;
	address = at.strings;
	string = fill_pointers(&out, arguments->argument_count, arguments->bytes, &address);
	(void)fill_pointers(&out, arguments->environment_count, string, &address);
	out += fill_auxiliary(program, &at, out);
	bytes = (size_t)(out - vectors) * sizeof *vectors;
	top = (top - bytes) & ~UINT64_C(15);
	error = user_copy_out(top, vectors, bytes);
	kernel_free(vectors, capacity);
	*stack_pointer = top;
	return error;
}
