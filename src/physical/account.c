/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Promises with limits. The lock is held over all levels and over the allocator's own
 * answer: if levels were counted one after the other, a promise that is refused at the top would for a
 * moment refuse another at the bottom that had room.
 */
#include <landhold/account.h>

#include "physical/frames_internal.h"

static uintptr_t lock(lh_frames *frames)
{
	return lh_spin_lock(&frames->account_lock, LH_LOCK_ACCOUNT, frames->port);
}

static void unlock(lh_frames *frames, uintptr_t interrupts)
{
	lh_spin_unlock(&frames->account_lock, LH_LOCK_ACCOUNT, frames->port, interrupts);
}

lh_error lh_account_open(lh_account *account, lh_frames *frames, lh_account *parent,
			 uint64_t limit)
{
	uintptr_t interrupts;

	if (parent && parent->level + 1 >= LH_ACCOUNT_LEVELS_MOST)
		return LH_LIMIT;
	*account = (lh_account){ .frames = frames,
				 .parent = parent,
				 .limit = limit,
				 .level = parent ? parent->level + 1 : 0 };
	interrupts = lock(frames);
	if (parent)
		parent->children++;
	unlock(frames, interrupts);
	return LH_OK;
}

void lh_account_close(lh_account *account)
{
	uintptr_t interrupts = lock(account->frames);

	LH_REQUIRE(account->frames->port, account->charged == 0 && account->children == 0);
	if (account->parent)
		account->parent->children--;
	unlock(account->frames, interrupts);
}

void lh_account_set_limit(lh_account *account, uint64_t limit)
{
	uintptr_t interrupts = lock(account->frames);

	account->limit = limit;
	unlock(account->frames, interrupts);
}

/* The lowest account from one up to, not including, another that has no room; NULL: all have. */
static lh_account *who_refuses(lh_account *account, const lh_account *above, uint64_t pages)
{
	for (; account != above; account = account->parent)
		if (account->charged > account->limit || pages > account->limit - account->charged)
			return account;
	return NULL;
}

static void add(lh_account *account, const lh_account *above, uint64_t pages)
{
	for (; account != above; account = account->parent)
		account->charged += pages;
}

static void subtract(lh_account *account, const lh_account *above, uint64_t pages)
{
	for (; account != above; account = account->parent) {
		LH_REQUIRE(account->frames->port, pages <= account->charged);
		account->charged -= pages;
	}
}

static lh_error answer(lh_account *refuser, lh_account **refused)
{
	if (!refuser)
		return LH_OK;
	if (refused)
		*refused = refuser;
	return LH_LIMIT;
}

static lh_error take_once(lh_account *account, uint64_t pages, lh_account **refused)
{
	uintptr_t interrupts = lock(account->frames);
	lh_error error = answer(who_refuses(account, NULL, pages), refused);

	if (error == LH_OK)
		error = lh_charge_take_once(account->frames, pages);
	if (error == LH_OK)
		add(account, NULL, pages);
	unlock(account->frames, interrupts);
	return error;
}

/* What other CPUs have of the promises is gathered without the lock: they are waited for. */
lh_error lh_account_take(lh_account *account, uint64_t pages, lh_account **refused)
{
	lh_error error;

	if (LH_STEP_FAILS(account->frames, charges))
		return LH_NO_MEMORY;
	error = take_once(account, pages, refused);
	if (error != LH_NO_MEMORY)
		return error;
	(void)lh_caches_gather(account->frames);
	error = take_once(account, pages, refused);
	lh_caches_release(account->frames);
	return error;
}

void lh_account_give_back(lh_account *account, uint64_t pages)
{
	uintptr_t interrupts = lock(account->frames);

	subtract(account, NULL, pages);
	unlock(account->frames, interrupts);
	lh_charge_give_back(account->frames, pages);
}

/* The lowest account that both are or are below; NULL: none. */
static lh_account *common(lh_account *a, lh_account *b)
{
	while (a != b) {
		lh_account **deeper = !b || (a && a->level >= b->level) ? &a : &b;

		*deeper = (*deeper)->parent;
	}
	return a;
}

lh_error lh_account_move(lh_account *from, lh_account *to, uint64_t pages, lh_account **refused)
{
	lh_frames *frames = (from ? from : to)->frames;
	uintptr_t interrupts = lock(frames);
	lh_account *above = common(from, to);
	lh_error error = answer(who_refuses(to, above, pages), refused);

	if (error == LH_OK) {
		subtract(from, above, pages);
		add(to, above, pages);
	}
	unlock(frames, interrupts);
	return error;
}

uint64_t lh_account_charged(lh_account *account)
{
	uintptr_t interrupts = lock(account->frames);
	uint64_t charged = account->charged;

	unlock(account->frames, interrupts);
	return charged;
}

const char *lh_account_check(lh_account *account, lh_account *const *children, size_t count,
			     uint64_t own)
{
	uint64_t charged = own;

	for (size_t i = 0; i < count; i++) {
		if (children[i]->parent != account || children[i]->level != account->level + 1)
			return "a child of an account is not below it";
		charged += children[i]->charged;
	}
	if (account->children != count)
		return "an account's count of children is wrong";
	return charged == account->charged ? NULL : "an account is not the sum of those below it";
}
