/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page index of an object: page number -> one word, a radix tree of 64-way nodes
 * from a pool. A word of 0 is an absent page.
 *
 * Invariants: a node that is not the root holds at least one word or child; the tree is
 * just high enough for its largest page number ever ensured, and height 0 is the empty
 * tree. A page number has at most 54 bits, so no path is longer than LH_INDEX_HEIGHT_MAX.
 *
 * The only step that can fail is lh_page_index_ensure. Lock: the object's.
 */
#ifndef LANDHOLD_OBJECT_PAGE_INDEX_H
#define LANDHOLD_OBJECT_PAGE_INDEX_H

#include <landhold/pool.h>

#define LH_INDEX_BITS 6
#define LH_INDEX_SLOTS (1u << LH_INDEX_BITS)
#define LH_INDEX_HEIGHT_MAX 9
#define LH_INDEX_PAGE_MAX ((UINT64_C(1) << (LH_INDEX_BITS * LH_INDEX_HEIGHT_MAX)) - 1)

typedef struct lh_index_node {
	uint64_t slots[LH_INDEX_SLOTS]; /* words in the lowest nodes, else pointers */
	uint32_t used;			/* slots that are not 0, or are about to be set */
	uint32_t reserved[3];
} lh_index_node;

typedef struct lh_page_index {
	lh_pool *nodes;
	lh_index_node *root;
	unsigned height; /* levels of nodes */
	uint64_t pages;	 /* words that are not 0 */
} lh_page_index;

void lh_page_index_init(lh_page_index *index, lh_pool *nodes);

/* The word of a page; 0 where it is absent. */
uint64_t lh_page_index_get(const lh_page_index *index, uint64_t page);

/*
 * Makes the path to a page, so that the next lh_page_index_set of it cannot fail.
 * => LH_NO_MEMORY: nothing changed. Follow it by a set of a word other than 0, with
 *    no other change between.
 */
LH_MUST_USE lh_error lh_page_index_ensure(lh_page_index *index, uint64_t page);

/* Sets a word: of an ensured page, or over another; 0 removes it and prunes its path. */
void lh_page_index_set(lh_page_index *index, uint64_t page, uint64_t word);

/* The first page at or above *page whose word is not 0. => its word, *page set; 0: none. */
uint64_t lh_page_index_next(const lh_page_index *index, uint64_t *page);

/* Recounts. => NULL or what is wrong. */
const char *lh_page_index_check(const lh_page_index *index);

#endif
