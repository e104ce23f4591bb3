/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes and strings, as ISO C 7.24 has them, for a kernel that has no libc. */
#ifndef KERNEL_LIB_STRING_H
#define KERNEL_LIB_STRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int byte, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
void *memchr(const void *bytes, int byte, size_t count);

size_t strlen(const char *string);
size_t strnlen(const char *string, size_t limit);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t limit);
char *strchr(const char *string, int character);
char *strrchr(const char *string, int character);
char *strstr(const char *string, const char *part);

/* Copies as much as fits with the ending 0 (capacity >= 1). => false: it was cut short. */
bool string_copy(char *to, const char *from, size_t capacity);

/* The number that digits 0 to 9 and a to f make, 0 without any; *at goes behind them. => at most 16 of them. */
uint64_t string_hexadecimal(const char **at);

#endif
