/* SPDX-License-Identifier: BSD-2-Clause */
/* The states that runs ended in and that were found to be well, by their hashes. */
#include "internal.h"

#include <stdlib.h>

static uint64_t *checked;
static size_t checked_count, checked_capacity;

static size_t find_checked(uint64_t hash)
{
	size_t i = hash % checked_capacity;

	while (checked[i] != 0 && checked[i] != hash)
		i = (i + 1) % checked_capacity;
	return i;
}

static void grow_checked(void)
{
	uint64_t *old = checked;
	size_t capacity = checked_capacity;

	checked_capacity = capacity ? capacity * 2 : 4096;
	arena_open(false);
	checked = calloc(checked_capacity, sizeof *checked);
	arena_open(true);
	if (!checked)
		abort();
	for (size_t i = 0; i < capacity; i++)
		if (old[i] != 0)
			checked[find_checked(old[i])] = old[i];
	free(old);
}

bool states_has(uint64_t hash)
{
	if (checked_count * 2 >= checked_capacity)
		grow_checked();
	return checked[find_checked(hash)] == hash;
}

void states_add(uint64_t hash)
{
	if (states_has(hash))
		return;
	checked[find_checked(hash)] = hash;
	checked_count++;
}

uint64_t states_count(void)
{
	return checked_count;
}
