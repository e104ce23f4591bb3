/* SPDX-License-Identifier: BSD-2-Clause */
#include "interleave/locks.h"

#include "base/lock.h"

void counted_add(struct counted *counted, lh_port *port, bool parks)
{
	uintptr_t interrupts = 0;

	if (parks)
		lh_mutex_lock(&counted->lock, LH_LOCK_MAP, port);
	else
		interrupts = lh_spin_lock(&counted->lock, LH_LOCK_FRAMES, port);
	counted->count++;
	counted->again++;
	if (parks)
		lh_mutex_unlock(&counted->lock, LH_LOCK_MAP, port);
	else
		lh_spin_unlock(&counted->lock, LH_LOCK_FRAMES, port, interrupts);
}
