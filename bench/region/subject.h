/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the benchmark of region structures asks of each of them. A subject indexes *items*:
 * blocks of item_bytes, made by the benchmark, that carry the subject's links, the range of the
 * region, and one word that stands for what a page fault reads first. All places are page
 * numbers, exclusive ends; every subject fits the lowest hole exactly. What an item is beside its
 * place in the index it is given once, by prepare: not when it is placed.
 */
#ifndef BENCH_REGION_SUBJECT_H
#define BENCH_REGION_SUBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a region has to carry beside its index, in every system: rights, object, lists ... When one is cut
 * in two, the new part gets it too. */
#define SUBJECT_PAYLOAD_BYTES 80
#define SUBJECT_COPY_PAYLOAD(to, from)                                                     \
	do {                                                                              \
		(to)->flags = (from)->flags;                                              \
		__builtin_memcpy((to)->payload, (from)->payload, SUBJECT_PAYLOAD_BYTES); \
	} while (0)

struct subject {
	const char *name;
	size_t item_bytes;
	size_t index_bytes; /* of item_bytes: what is only there for the index */
	void (*prepare)(void *item); /* of zeroed memory makes an item; NULL: it is one */
	bool places_linearly; /* a placement costs O(n): not timed where n is large */
	void *(*create)(uint64_t first, uint64_t end);
	void (*destroy)(void *tree);
	/* Bytes of index in use outside the items; NULL: none. */
	size_t (*bytes_outside)(const void *tree);
	void *(*lookup)(void *tree, uint64_t page);
	/* The same for a page near the last one asked for; NULL: has no way of its own. */
	void *(*lookup_near)(void *tree, uint64_t page);
	bool (*place_lowest)(void *tree, void *item, uint64_t pages);
	bool (*place_fixed)(void *tree, void *item, uint64_t first, uint64_t pages);
	bool (*place_randomly)(void *tree, void *item, uint64_t pages); /* NULL: has none */
	void (*remove)(void *tree, void *item);
	/* Takes the pages [from, to) out of an item, both ends of which stay: the upper part
	 * becomes spare's. */
	void (*punch)(void *tree, void *item, uint64_t from, uint64_t to, void *spare);
	/* The same for pages in the middle of some item, which is not known: it is looked up first. NULL: by
	 * lookup and punch. */
	void (*unmap)(void *tree, uint64_t from, uint64_t to, void *spare);
	/* In order: a sum over the items' first pages. */
	uint64_t (*walk)(void *tree);
	void (*range)(const void *item, uint64_t *first, uint64_t *pages);
	uint64_t (*touch)(const void *item); /* reads the word that a fault would */
	const char *(*check)(void *tree);    /* NULL: has no walker of its own */
};

extern const struct subject subject_landhold, subject_rb_gap, subject_rb_linear, subject_splay;
extern const struct subject subject_maple __attribute__((weak)); /* linked if it could be compiled */

/* What walk computes, a step an item: depends on the order. */
static inline uint64_t subject_mix(uint64_t sum, uint64_t first)
{
	return sum * 3 + first;
}

/* A generator for the subjects' own use, and the benchmark's (xorshift, Marsaglia 2003). */
static inline uint64_t subject_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}

#endif
