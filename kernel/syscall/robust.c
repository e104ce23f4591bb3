/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Robust futexes, get_robust_list(2). A thread keeps a list, in its own memory, of the locks that it
 * holds: a circle of entries from the head on, each a pointer to the next, whose lowest bit says
 * that the lock inherits priorities; the lock's word lies at a fixed distance from its entry. One
 * more entry, pending, is a lock that is being taken or let go.
 *
 * When the thread ends, each word that says it is the holder gets OWNER_DIED in place of the holder,
 * and one of those who wait is woken. All this is the program's memory and may be wrong in any way:
 * what cannot be read ends the walk, and a circle that does not close is cut.
 */
#include "syscall/robust.h"

#include "memory/user.h"
#include "syscall/futex.h"

#define WORD_WAITERS 0x80000000u
#define WORD_OWNER_DIED 0x40000000u
#define WORD_HOLDER 0x3fffffffu
#define ENTRY_INHERITS UINT64_C(1)
#define ENTRIES_MAX 2048u /* as on Linux */

struct robust_head {
	uint64_t next;
	int64_t distance;
	uint64_t pending;
};

static uint64_t address_of(uint64_t entry)
{
	return entry & ~ENTRY_INHERITS;
}

/* => is_pending: the lock may have been let go already, and nobody woken. */
static lh_error release(uint64_t entry, int64_t distance, uint32_t tid, bool is_pending)
{
	uint64_t address = address_of(entry) + (uint64_t)distance;
	bool inherits = (entry & ENTRY_INHERITS) != 0;
	uint32_t word, seen;

	if (address % sizeof word != 0)
		return LH_INVALID;
	LH_TRY(user_copy_in(&word, address, sizeof word));
	if (is_pending && !inherits && word == 0)
		(void)futex_wake_shared(address, 1);
	while ((word & WORD_HOLDER) == tid) {
		LH_TRY(user_compare_exchange_32(address, word, (word & WORD_WAITERS) | WORD_OWNER_DIED,
						&seen));
		if (seen == word) {
			if ((word & WORD_WAITERS) != 0 && !inherits)
				(void)futex_wake_shared(address, 1);
			return LH_OK;
		}
		word = seen;
	}
	return LH_OK;
}

static lh_error release_all(uint64_t head_address, uint32_t tid)
{
	struct robust_head head;
	uint64_t entry;

	LH_TRY(user_copy_in(&head, head_address, sizeof head));
	entry = head.next;
	for (uint32_t i = 0; address_of(entry) != head_address && i < ENTRIES_MAX; i++) {
		uint64_t next;
		/* Read before the word is marked: then another may take the lock, and its entry. */
		lh_error error = user_copy_in(&next, address_of(entry), sizeof next);

		if (address_of(entry) != address_of(head.pending))
			LH_TRY(release(entry, head.distance, tid, false));
		LH_TRY(error);
		entry = next;
	}
	return head.pending == 0 ? LH_OK : release(head.pending, head.distance, tid, true);
}

void robust_list_release(uint64_t head, uint32_t tid)
{
	(void)!release_all(head, tid);
}
