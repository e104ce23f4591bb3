/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reclaim: who keeps memory only because it may be of use again (caches of files, of
 * names, of the library's own pools) gives some back when it runs short.
 *
 * A shrinker is called with no lock of the library held and interrupts on, so it may drop frames,
 * take locks of its own, and wait. It looks at a bounded number of things each time; reclaim
 * asks all shrinkers in turn, first gently and then, if that was not enough, more urgently.
 *
 * Watermarks. Below `low` free frames memory is short: somebody should call lh_frames_reclaim until
 * there are `high`. Allocations themselves never call back.
 */
#ifndef LANDHOLD_RECLAIM_H
#define LANDHOLD_RECLAIM_H

#include <landhold/frames.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Priorities from LH_RECLAIM_GENTLEST, asked first, down to 0: give whatever can be given. */
#define LH_RECLAIM_GENTLEST 5u
/* Things that a shrinker looks at when asked most gently; each priority less doubles it. */
#define LH_RECLAIM_BATCH 64u

typedef struct lh_shrinker lh_shrinker;

struct lh_shrinker {
	/*
	 * Looks at most so many of its things, and gives back what it can do without.
	 * => frames freed, as far as it knows. Context: no lock, interrupts on.
	 */
	uint64_t (*scan)(lh_shrinker *shrinker, unsigned priority, uint64_t most);
	/* The library's. */
	lh_shrinker *next;
	uint32_t running; /* how many calls are under way */
	bool leaving;
};

/* => shrinker: scan set; the caller's memory until it is removed. Context: any. */
void lh_shrinker_add(lh_frames *frames, lh_shrinker *shrinker);

/* No call is under way when it returns, and none comes. Context: no lock, interrupts on; not
 * from a shrinker. */
void lh_shrinker_remove(lh_frames *frames, lh_shrinker *shrinker);

/*
 * Asks the shrinkers until wanted frames were freed, or the most urgent have been asked.
 * => frames freed, as far as they know. Context: no lock, interrupts on.
 */
uint64_t lh_frames_reclaim(lh_frames *frames, uint64_t wanted);

typedef struct lh_watermarks {
	uint64_t low, high; /* frames */
} lh_watermarks;

/* A sixty-fourth of memory and twice that, within limits. */
lh_watermarks lh_frames_watermarks(lh_frames *frames);

/* How many frames are missing to high if fewer than low are free; else 0. Most often reads one
 * word, and stops nobody: what changes meanwhile may be counted twice or not at all. Context: any. */
uint64_t lh_frames_shortage(lh_frames *frames);

#ifdef __cplusplus
}
#endif
#endif
