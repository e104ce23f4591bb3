/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The oracle of the region tree: a handful of records in an array, and rules that
 * look at every page and every pair of records. Each operation is done on both,
 * the results compared, and then everything that can be asked of the tree.
 *
 * Spaces are small (up to 64 units), but lie anywhere: a unit is a number of pages,
 * so the whole 2^64 bytes are a small space too. All tests are in units, counted
 * from the space's first; guards are in pages, hence only for a unit of one page.
 */
#ifndef TESTS_REGION_MODEL_H
#define TESTS_REGION_MODEL_H

#include <landhold/region_tree.h>

#include "harness.h"

#define MODEL_SLOTS 24

struct record {
	bool placed;
	uint64_t first, units;
	uint32_t before, after;
	uint64_t object_page; /* in pages */
	uint64_t version;     /* as last seen: may only grow */
};

struct model {
	uint64_t first; /* page number */
	uint64_t unit;	/* pages */
	uint64_t units;
	unsigned slots; /* in use: up to MODEL_SLOTS */
	lh_region_tree tree;
	lh_region region[MODEL_SLOTS];
	struct record record[MODEL_SLOTS];
};

/* Wanted: alignment in units of the absolute address; limits empty for none. */
struct wish {
	uint64_t units;
	uint64_t alignment;
	uint64_t limit_first, limit_units;
	lh_direction direction;
	uint64_t hint; /* for LH_NEAREST_FIRST: in units, in the space */
	uint32_t before, after;
};

void model_init(struct model *model, uint64_t first, uint64_t unit, uint64_t units,
		unsigned slots);

lh_virtual_range model_range(const struct model *model, uint64_t first, uint64_t units);

/* A slot that is in no tree, or -1; the number of placed slots; the n-th by address. */
int model_free_slot(const struct model *model);
unsigned model_placed(const struct model *model);
int model_nth(const struct model *model, unsigned n);

/* Each does the operation on both sides and compares all. => what the tree returned. */
lh_error model_place_anywhere(struct model *model, int slot, struct wish wish);
lh_error model_place_specifically(struct model *model, int slot, uint64_t first, uint64_t units,
				  uint32_t before, uint32_t after);
lh_error model_resize(struct model *model, int slot, uint64_t first, uint64_t units);
void model_remove(struct model *model, int slot);
/* at: units from the slot's first, strictly inside. */
void model_split(struct model *model, int slot, uint64_t at, int upper);
bool model_merge_next(struct model *model, int slot);

/* Walker, every record, find and find_from at every unit and beside them. */
void model_compare(struct model *model);
/* The crossing queries for one range of the space, or beyond its ends. */
void model_compare_crossing(struct model *model, lh_virtual_range range);

#endif
