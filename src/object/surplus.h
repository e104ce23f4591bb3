/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames held for a moment beyond what was promised.
 *
 * A promise is for one frame a page. But two faults of one page each take a frame before one
 * of them finds that it came late; a copy is made before the old frame is let go, and that may have
 * become nobody's but the copying fault's; a discarded page's frame is dropped only after the flush,
 * when the page may have been touched again. If exactly the promised frames are left, a third who
 * asks for its own then finds none.
 *
 * So who may hold some such frames, but not many, has as many pages more promised to it for as long as it may,
 * which touches only what this CPU keeps (lh_charge_lend). Then nobody lacks a frame for its sake.
 *
 * Near the end of memory nothing is lent. Then who may hold such a frame is counted, and who is
 * refused one waits for those to end and tries again. Who holds waits meanwhile for nothing but a
 * map lock, an object's lock and flushes; who waits holds no lock and no such frame.
 */
#ifndef LANDHOLD_OBJECT_SURPLUS_H
#define LANDHOLD_OBJECT_SURPLUS_H

#include "object/machine.h"

/* Times that one operation tries again for this reason: each time somebody else got on. */
#define LH_SURPLUS_RETRIES 1000

/* The most that is lent. Who discards more does so much besides that to be counted costs him nothing. */
#define LH_SURPLUS_LENT_MOST 16

/* How it may, what begin says and end is told: so many pages are lent; or */
typedef uint32_t lh_surplus_share;
#define LH_SURPLUS_NONE 0u
#define LH_SURPLUS_COUNTED UINT32_MAX

/* => frames: the most that it may be, at least one.
 * => never LH_SURPLUS_NONE, which is for who has not begun. */
lh_surplus_share lh_surplus_begin(lh_manager *manager, uint64_t frames);
/* => held: frames were had and passed on or given back since; false: there were none.
 * => by how many lh_surplus_seen has grown by it: 0 or 1. */
uint32_t lh_surplus_end(lh_manager *manager, lh_surplus_share share, bool held);

/* Before an allocation that may be refused. => what lh_surplus_wait then wants; more by what the
 * caller's own ends since then have said. */
uint32_t lh_surplus_seen(lh_manager *manager);

/*
 * After a refusal. Waits until somebody who may have held a frame too many has ended.
 * => true: one has, since seen: try again; false: nobody did, memory has really run out.
 * Context: no lock; not between begin and end.
 */
bool lh_surplus_wait(lh_manager *manager, uint32_t seen);

#endif
