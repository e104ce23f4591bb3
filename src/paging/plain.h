/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The entries of plain leaves: present, write-back, key 0, nothing noted of them but whether they are counted. A
 * directory works them out once for each set of rights; to that the frame's address is or-ed.
 *
 * The short way (one.c) asks for less: that the address is the frame's number in one piece, as it is in all formats but
 * for the highest addresses of some; and that nothing more is to be done once the entry is written, as in some
 * kernels' halves. Otherwise plain_frames is 0 and it writes nothing.
 */
#ifndef LANDHOLD_PAGING_PLAIN_H
#define LANDHOLD_PAGING_PLAIN_H

#include "base/atomic.h"
#include "paging/entry.h"

/* A plain leaf's place in directory->plain. */
static inline unsigned lh_plain_index(const lh_leaf *leaf)
{
	return leaf->rights | (leaf->flags & LH_LEAF_UNCOUNTED);
}

static inline bool lh_leaf_is_plain(const lh_leaf *leaf)
{
	return leaf->kind == LH_LEAF_PRESENT && leaf->key == 0 && leaf->type == LH_MEMORY_WRITE_BACK &&
	       (leaf->flags & (LH_LEAF_ACCESSED | LH_LEAF_DIRTY)) == 0;
}

/* All of a leaf's entry but the frame; 0: it is not plain, or not worked out yet. */
static inline uint64_t lh_plain_bits(const lh_directory *directory, const lh_leaf *leaf)
{
	uint64_t bits = lh_atomic_load_relaxed(
		&directory->plain[leaf->level == 0 ? 0 : 1][lh_plain_index(leaf)]);

	return lh_leaf_is_plain(leaf) ? bits : 0;
}

/* The entry of a leaf; 0: it is not plain, or not worked out yet. */
static inline uint64_t lh_plain_entry(const lh_directory *directory, const lh_leaf *leaf)
{
	uint64_t bits = lh_plain_bits(directory, leaf);

	return bits == 0 ? 0 : bits | lh_entry_address_bits(directory->format, lh_frame_address(leaf->frame));
}

/* The same, by the short way. => false: not by that. */
static inline bool lh_plain_make(const lh_directory *directory, const lh_leaf *leaf, uint64_t *entry)
{
	uint64_t bits = lh_plain_bits(directory, leaf);

	*entry = bits + leaf->frame.value * directory->plain_unit;
	return bits != 0 && leaf->frame.value < directory->plain_frames;
}

/* Forgets what was worked out: for the half that the directory has from now on. */
void lh_plain_begin(lh_directory *directory);

/* What the other has worked out, of the same format and half. */
void lh_plain_learn_from(lh_directory *directory, const lh_directory *other);

/* lh_entry_make_leaf for a leaf of this directory, whatever it is. */
uint64_t lh_directory_make_entry(lh_directory *directory, const lh_leaf *leaf);

#endif
