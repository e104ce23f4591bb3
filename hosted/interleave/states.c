/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The states that runs ended in and that were found to be well, by their hashes; and which of them
 * the exploration under way has reached, begun anew or not.
 */
#include "internal.h"

#include <stdlib.h>

struct state {
	uint64_t hash;	     /* 0: an empty place */
	uint64_t generation; /* the exploration that reached it last */
};

static struct state *checked;
static size_t checked_count, checked_capacity;
static uint64_t generation = 1, reached_count, reached_sum;

static struct state *find_checked(uint64_t hash)
{
	size_t i = hash % checked_capacity;

	while (checked[i].hash != 0 && checked[i].hash != hash)
		i = (i + 1) % checked_capacity;
	return &checked[i];
}

static void grow_checked(void)
{
	struct state *old = checked;
	size_t capacity = checked_capacity;

	checked_capacity = capacity ? capacity * 2 : 4096;
	arena_open(false);
	checked = calloc(checked_capacity, sizeof *checked);
	arena_open(true);
	if (!checked)
		abort();
	for (size_t i = 0; i < capacity; i++)
		if (old[i].hash != 0)
			*find_checked(old[i].hash) = old[i];
	free(old);
}

/* In whatever order they are reached. */
static void reach(struct state *state)
{
	uint64_t mixed = state->hash * UINT64_C(0x9e3779b97f4a7c15);

	if (state->generation == generation)
		return;
	state->generation = generation;
	reached_count++;
	reached_sum += mixed ^ mixed >> 32;
}

bool states_reach(uint64_t hash)
{
	if (checked_count * 2 >= checked_capacity)
		grow_checked();
	if (find_checked(hash)->hash != hash)
		return false;
	reach(find_checked(hash));
	return true;
}

void states_add(uint64_t hash)
{
	struct state *state;

	if (states_reach(hash))
		return;
	state = find_checked(hash);
	state->hash = hash;
	checked_count++;
	reach(state);
}

uint64_t states_count(void)
{
	return checked_count;
}

void states_begin(void)
{
	generation++;
	reached_count = reached_sum = 0;
}

uint64_t states_reached(uint64_t *sum)
{
	*sum = reached_sum;
	return reached_count;
}
