/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel touches no vector register. What is as long as a page, or nearly, is moved and filled by the
 * string instructions, 8 bytes each; where they take long to begin, shorter pieces would lose by them, and
 * these go 32 bytes a turn through general registers.
 */
#include "lib/string.h"

#include <stdint.h>

static inline uint64_t load_64(const void *from)
{
	uint64_t value;

	__builtin_memcpy(&value, from, sizeof(value));
	return value;
}

static inline void store_64(void *to, uint64_t value)
{
	__builtin_memcpy(to, &value, sizeof(value));
}

/* One byte, in a way that the compiler does not turn back into a call of memcpy. */
static inline void copy_byte(unsigned char *to, const unsigned char *from)
{
	*(volatile unsigned char *)to = *from;
}

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
	return memmove(to, from, bytes);
}

#define LONG_BYTES 1024

static void move_long(unsigned char **to, const unsigned char **from, size_t *bytes)
{
	size_t words = *bytes / 8;

	*bytes %= 8;
	__asm__ volatile("rep movsq" : "+D"(*to), "+S"(*from), "+c"(words) : : "memory");
}

static void fill_long(unsigned char **to, uint64_t pattern, size_t *bytes)
{
	size_t words = *bytes / 8;

	*bytes %= 8;
	__asm__ volatile("rep stosq" : "+D"(*to), "+c"(words) : "a"(pattern) : "memory");
}

static void move_up(unsigned char *to, const unsigned char *from, size_t bytes)
{
	if (bytes >= LONG_BYTES)
		move_long(&to, &from, &bytes);
	for (; bytes >= 32; bytes -= 32, to += 32, from += 32) {
		uint64_t a = load_64(from), b = load_64(from + 8);
		uint64_t c = load_64(from + 16), d = load_64(from + 24);

		store_64(to, a);
		store_64(to + 8, b);
		store_64(to + 16, c);
		store_64(to + 24, d);
	}
	for (; bytes >= 8; bytes -= 8, to += 8, from += 8)
		store_64(to, load_64(from));
	for (; bytes != 0; bytes--)
		copy_byte(to++, from++);
}

static void move_down(unsigned char *to, const unsigned char *from, size_t bytes)
{
	for (; bytes >= 32; bytes -= 32) {
		const unsigned char *last = from + bytes - 32;
		uint64_t a = load_64(last), b = load_64(last + 8);
		uint64_t c = load_64(last + 16), d = load_64(last + 24);

		store_64(to + bytes - 32, a);
		store_64(to + bytes - 24, b);
		store_64(to + bytes - 16, c);
		store_64(to + bytes - 8, d);
	}
	for (; bytes != 0; bytes--)
		copy_byte(to + bytes - 1, from + bytes - 1);
}

void *memmove(void *to, const void *from, size_t bytes)
{
	if ((uintptr_t)to - (uintptr_t)from >= bytes)
		move_up(to, from, bytes);
	else
		move_down(to, from, bytes);
	return to;
}

void *memset(void *to, int byte, size_t bytes)
{
	unsigned char *at = to;
	uint64_t pattern = (unsigned char)byte * UINT64_C(0x0101010101010101);

	if (bytes >= LONG_BYTES)
		fill_long(&at, pattern, &bytes);
	for (; bytes >= 32; bytes -= 32, at += 32) {
		store_64(at, pattern);
		store_64(at + 8, pattern);
		store_64(at + 16, pattern);
		store_64(at + 24, pattern);
	}
	for (; bytes != 0; bytes--)
		*(volatile unsigned char *)at++ = (unsigned char)byte;
	return to;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
	const unsigned char *left = a, *right = b;

	for (; bytes >= 8 && load_64(left) == load_64(right); bytes -= 8, left += 8, right += 8)
		;
	for (; bytes != 0; bytes--, left++, right++)
		if (*left != *right)
			return *left - *right;
	return 0;
}

void *memchr(const void *bytes, int byte, size_t count)
{
	const unsigned char *at = bytes;

	for (; count != 0; count--, at++)
		if (*at == (unsigned char)byte)
			return (void *)(uintptr_t)at;
	return NULL;
}

size_t strlen(const char *string)
{
	const char *end = string;

	while (*(const volatile char *)end != 0)
		end++;
	return (size_t)(end - string);
}

size_t strnlen(const char *string, size_t limit)
{
	size_t length = 0;

	while (length < limit && string[length] != 0)
		length++;
	return length;
}

int strcmp(const char *a, const char *b)
{
	while (*a != 0 && *a == *b) {
		a++;
		b++;
	}
	return (unsigned char)*a - (unsigned char)*b;
}

int strncmp(const char *a, const char *b, size_t limit)
{
	for (; limit != 0; limit--, a++, b++)
		if (*a != *b || *a == 0)
			return (unsigned char)*a - (unsigned char)*b;
	return 0;
}

char *strchr(const char *string, int character)
{
	for (;; string++) {
		if (*string == (char)character)
			return (char *)(uintptr_t)string;
		if (*string == 0)
			return NULL;
	}
}

char *strrchr(const char *string, int character)
{
	const char *found = NULL;

	for (;; string++) {
		if (*string == (char)character)
			found = string;
		if (*string == 0)
			return (char *)(uintptr_t)found;
	}
}

char *strstr(const char *string, const char *part)
{
	size_t length = strlen(part);

	for (;; string++) {
		if (strncmp(string, part, length) == 0)
			return (char *)(uintptr_t)string;
		if (*string == 0)
			return NULL;
	}
}

bool string_copy(char *to, const char *from, size_t capacity)
{
	size_t length = strnlen(from, capacity);
	bool fits = length < capacity;

	if (!fits)
		length = capacity - 1;
	memcpy(to, from, length);
	to[length] = 0;
	return fits;
}

uint64_t string_hexadecimal(const char **at)
{
	uint64_t value = 0;

	for (; (**at >= '0' && **at <= '9') || (**at >= 'a' && **at <= 'f'); ++*at)
		value = value << 4 | (uint64_t)(**at <= '9' ? **at - '0' : **at - 'a' + 10);
	return value;
}
