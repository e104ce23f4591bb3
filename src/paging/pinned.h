/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copies of pinned pages. A fork does not share a frame whose bytes somebody works on by its physical address: the
 * next write of the parent would give it another frame, and the device would go on with the old one. So the child
 * gets a frame of its own at once, and the parent keeps his.
 *
 * In three steps: frames are taken beforehand; where a leaf is copied, one of them is put into the child's, and the
 * right to write taken from the parent's as from any; and when that has been flushed everywhere the bytes are
 * copied, no table locked. So the child's page is what the parent's was at the same moment as all others, but for
 * what the device writes. In between frames are linked through their own first bytes, and both are held, for a
 * truncation may take either leaf away.
 */
#ifndef LANDHOLD_PAGING_PINNED_H
#define LANDHOLD_PAGING_PINNED_H

#include <landhold/frames.h>

/* Zeroed: none. A frame's number plus 1; 0: the end. */
typedef struct lh_pinned_copies {
	uint64_t spares;
	uint64_t made; /* in a leaf, without its bytes yet */
} lh_pinned_copies;

/* => LH_NO_MEMORY: nothing taken. => count pages are promised to who will have them. */
LH_MUST_USE lh_error lh_pinned_copies_take(lh_frames *frames, uint64_t count, lh_pinned_copies *copies);
/* The spares that are left. */
void lh_pinned_copies_give_back(lh_frames *frames, lh_pinned_copies *copies);

/* A spare, which is to have the bytes of another frame. => its holder is the leaf's; there is a spare.
 * Context: any, under tables' locks too. */
lh_frame_number lh_pinned_copies_make(lh_frames *frames, lh_frame_number source, lh_pinned_copies *copies);

/* Copies the bytes. => nobody but devices can write to the sources. No lock but mutexes. */
void lh_pinned_copies_fill(lh_frames *frames, lh_pinned_copies *copies);

#endif
