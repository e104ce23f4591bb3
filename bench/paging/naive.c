/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page-table code that a kernel begins with: a descent from the root for each page, for one format,
 * with one lock over the address space and a count of live entries a table. Everything is a constant,
 * and what does not belong to it is left out: it knows no memory types, no holders of frames, no other
 * walkers, and keeps its tables in one array. So it is the fastest of its kind.
 */
#include "subject.h"

#include <stddef.h>

#define LEVELS 4u
#define PRESENT UINT64_C(1)
#define WRITABLE UINT64_C(2)
#define USER UINT64_C(4)
#define ACCESSED UINT64_C(0x20)
#define HUGE_LEAF UINT64_C(0x80)
#define NOTHING_COUNTED UINT64_C(0x200)
#define NO_EXECUTE (UINT64_C(1) << 63)
#define ADDRESS UINT64_C(0x000ffffffffff000)

static uint64_t used;		  /* pages of the arena ever used */
static uint64_t live[TABLE_PAGES]; /* of each table; of a free one, the next free one */
static uint64_t first_free;
static unsigned lock;
static struct { uint64_t first, last; } noted;

static void create(void)
{
	arena_clear();
	first_free = 0;
	live[0] = 0;
	used = 1; /* the root */
}

static void destroy(void)
{
}

static void lock_space(void)
{
	while (__atomic_exchange_n(&lock, 1u, __ATOMIC_ACQUIRE) != 0)
		__builtin_ia32_pause();
}

static void unlock_space(void)
{
	__atomic_store_n(&lock, 0u, __ATOMIC_RELEASE);
}

static uint64_t make_table(void)
{
	uint64_t table = first_free;

	if (table != 0)
		first_free = live[table];
	else
		table = used++;
	live[table] = 0;
	return table;
}

/* What the way down to an entry was. */
struct way {
	uint64_t table[LEVELS];
	uint64_t *entry[LEVELS];
};

/* The entry of a level for an address; NULL: a table is missing. */
static uint64_t *descend(uint64_t address, unsigned level, bool make, struct way *way)
{
	uint64_t table = 0;

	for (unsigned at = LEVELS - 1;; at--) {
		uint64_t *entry = (uint64_t *)arena_page(table) + (address >> (12 + 9 * at) & 511);

		way->table[at] = table;
		way->entry[at] = entry;
		if (at == level)
			return entry;
		if (*entry == 0 && !make)
			return NULL;
		if (*entry == 0) {
			*entry = make_table() << 12 | PRESENT | WRITABLE | USER;
			live[table]++;
		}
		table = (*entry & ADDRESS) >> 12;
	}
}

static void map(uint64_t address, unsigned level, uint64_t leaves, uint64_t frame)
{
	uint64_t bits = PRESENT | WRITABLE | USER | NO_EXECUTE | NOTHING_COUNTED |
			(level > 0 ? HUGE_LEAF : 0);
	struct way way;

	for (uint64_t i = 0; i < leaves; i++) {
		uint64_t *entry;

		lock_space();
		entry = descend(address, level, true, &way);
		if (*entry == 0) {
			__atomic_store_n(entry, frame << 12 | bits, __ATOMIC_RELEASE);
			live[way.table[level]]++;
		}
		unlock_space();
		address += LEAF_BYTES(level);
		frame += LEAF_BYTES(level) >> 12;
	}
}

static void protect(uint64_t address, unsigned level, uint64_t leaves)
{
	struct way way;

	for (uint64_t i = 0; i < leaves; i++) {
		uint64_t *entry;

		lock_space();
		entry = descend(address, level, false, &way);
		if (entry && (*entry & WRITABLE) != 0) {
			__atomic_and_fetch(entry, ~WRITABLE, __ATOMIC_SEQ_CST);
			noted.last = address;
		}
		unlock_space();
		address += LEAF_BYTES(level);
	}
}

static uint64_t query(uint64_t address, unsigned level, uint64_t leaves)
{
	uint64_t count = 0;
	struct way way;

	for (uint64_t i = 0; i < leaves; i++) {
		uint64_t *entry;

		lock_space();
		entry = descend(address, level, false, &way);
		if (entry && (*entry & PRESENT) != 0 && (*entry & WRITABLE) != 0)
			count++;
		unlock_space();
		address += LEAF_BYTES(level);
	}
	return count;
}

/* Gives empty tables back, from the one with the entry upward. */
static void free_empty(const struct way *way, unsigned level)
{
	while (level < LEVELS - 1 && live[way->table[level]] == 0) {
		live[way->table[level]] = first_free;
		first_free = way->table[level];
		level++;
		*way->entry[level] = 0;
		live[way->table[level]]--;
	}
}

static void unmap(uint64_t address, unsigned level, uint64_t leaves)
{
	struct way way;

	for (uint64_t i = 0; i < leaves; i++) {
		uint64_t *entry;

		lock_space();
		entry = descend(address, level, false, &way);
		if (entry && __atomic_exchange_n(entry, UINT64_C(0), __ATOMIC_SEQ_CST) != 0) {
			noted.last = address;
			live[way.table[level]]--;
			free_empty(&way, level);
		}
		unlock_space();
		address += LEAF_BYTES(level);
	}
}

const struct subject naive_subject = { "naive", create, destroy, map, protect, query, unmap };
