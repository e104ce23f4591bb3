/* SPDX-License-Identifier: BSD-2-Clause */
/* The four functions that every freestanding compiler expects its host to supply. */
#ifndef LANDHOLD_BASE_MEMORY_H
#define LANDHOLD_BASE_MEMORY_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int byte, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);

#endif
