/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Frames held for a moment beyond what was promised.
 *
 * A promise is for one frame a page. But two faults of one page each take a frame before one
 * of them finds that it came late; a copy is made before the old frame is let go; a discarded
 * page's frame is dropped only after the flush, when the page may have been touched again. If
 * exactly the promised frames are left, a third who asks for its own then finds none.
 *
 * So who may hold such a frame says so for as long as it may, and who is refused one waits for
 * those to end and tries again. Who holds waits meanwhile for nothing but a map lock, an
 * object's lock and flushes; who waits holds no lock and no such frame.
 */
#ifndef LANDHOLD_OBJECT_SURPLUS_H
#define LANDHOLD_OBJECT_SURPLUS_H

#include "object/machine.h"

/* Times that one operation tries again for this reason: each time somebody else got on. */
#define LH_SURPLUS_RETRIES 1000

void lh_surplus_begin(lh_manager *manager);
/* => held: frames were had and passed on or given back since; false: there were none. */
void lh_surplus_end(lh_manager *manager, bool held);

/* Before an allocation that may be refused. => what lh_surplus_wait then wants; one more for
 * each time that the caller himself has ended since, having held some. */
uint32_t lh_surplus_seen(lh_manager *manager);

/*
 * After a refusal. Waits until somebody who may have held a frame too many has ended.
 * => true: one has, since seen: try again; false: nobody did, memory has really run out.
 * Context: no lock; not between begin and end.
 */
bool lh_surplus_wait(lh_manager *manager, uint32_t seen);

#endif
