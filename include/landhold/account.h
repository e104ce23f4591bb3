/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Accounts: who promises were made to, in a tree with a limit at each level. A machine has
 * departments, a department users, a user processes: what a process is promised counts at each.
 *
 * An account is the caller's memory. Its numbers are exact: a promise is counted at every level
 * and by the allocator, or nowhere, and a refusal holds at one moment for all of them.
 *
 * One spinning lock over all accounts of an allocator (order: before the frames'); for promises made
 * by the region, not by the page.
 */
#ifndef LANDHOLD_ACCOUNT_H
#define LANDHOLD_ACCOUNT_H

#include <landhold/frames.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Levels of a tree, so that the lock is held for a bounded time. */
#define LH_ACCOUNT_LEVELS_MOST 16u

#define LH_NO_ACCOUNT_LIMIT UINT64_MAX

typedef struct lh_account {
	lh_frames *frames;
	struct lh_account *parent; /* NULL: a root */
	uint64_t limit;		   /* pages */
	uint64_t charged;	   /* pages, here and below */
	uint32_t children;
	uint32_t level;		   /* a root's is 0 */
} lh_account;

/*
 * An account in the caller's memory, which stays there until it is closed.
 * => parent: NULL or an account of the same allocator. limit: in pages.
 * => LH_LIMIT: too many levels; nothing changed. Context: any.
 */
LH_MUST_USE lh_error lh_account_open(lh_account *account, lh_frames *frames, lh_account *parent,
				     uint64_t limit);

/* => nothing is charged to it and it has no children, else panic. Context: any. */
void lh_account_close(lh_account *account);

/* A limit below what is charged takes nothing away; it refuses what comes. Context: any. */
void lh_account_set_limit(lh_account *account, uint64_t limit);

/*
 * Promises pages to an account, and so to those above it: lh_charge_take with limits.
 * => LH_LIMIT: an account's limit; *refused (if not NULL) is the lowest one that refused.
 *    LH_NO_MEMORY: as lh_charge_take. Nothing changed. Context: as lh_frame_allocate.
 */
LH_MUST_USE lh_error lh_account_take(lh_account *account, uint64_t pages, lh_account **refused);

/* Takes a promise back. => at most what is charged to it, else panic. Context: any. */
void lh_account_give_back(lh_account *account, uint64_t pages);

/* A promise goes from one account to another; what both are below is not touched. One of them may be NULL: then it was
 * made by lh_charge_take, or is from now on as if it had been.
 * => LH_LIMIT as above, never where to is NULL; nothing changed. => of one allocator. Context: any. */
LH_MUST_USE lh_error lh_account_move(lh_account *from, lh_account *to, uint64_t pages,
				     lh_account **refused);

uint64_t lh_account_charged(lh_account *account);

/* => children: all that have this one as parent, count of them. Recounts. => NULL or what is wrong.
 *    own: pages charged to the account itself. */
const char *lh_account_check(lh_account *account, lh_account *const *children, size_t count,
			     uint64_t own);

#ifdef __cplusplus
}
#endif
#endif
