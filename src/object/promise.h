/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promises of spaces and objects: counted at an account, and so at those above it; or, where there is none, by the
 * allocator alone.
 */
#ifndef LANDHOLD_OBJECT_PROMISE_H
#define LANDHOLD_OBJECT_PROMISE_H

#include <landhold/account.h>

#include "object/machine.h"

/*
 * => LH_LIMIT: an account's; LH_NO_MEMORY: the allocator's. A limit that is exceeded already refuses nothing to who
 *    asks for nothing. Context: interrupts on, under map and object locks at most.
 */
LH_MUST_USE static inline lh_error lh_promise_take(lh_manager *manager, lh_account *account, uint64_t pages)
{
	if (!account || pages == 0)
		return lh_charge_take(manager->frames, pages);
	return lh_account_take(account, pages, NULL);
}

/* Context: any. */
static inline void lh_promise_give_back(lh_manager *manager, lh_account *account, uint64_t pages)
{
	if (pages == 0)
		return;
	if (account)
		lh_account_give_back(account, pages);
	else
		lh_charge_give_back(manager->frames, pages);
}

#endif
