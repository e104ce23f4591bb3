/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The limit: a loop that reads and writes the same entries and counts, with the same atomic
 * instructions where the CPU may set flags meanwhile. It has no tables to find: it knows that the
 * entries lie in a row. No format, no lock, no descent, no table made or given back.
 */
#include "subject.h"

#define PRESENT UINT64_C(1)
#define WRITABLE UINT64_C(2)
#define BITS (UINT64_C(0x8000000000000205) | WRITABLE)

static uint64_t live;

static void create(void)
{
	arena_clear();
	live = 0;
}

static void destroy(void)
{
}

static volatile uint64_t *entry_of(uint64_t address, unsigned level)
{
	uint64_t number = address >> (12 + 9 * level);

	/* A row of 8 tables, one for each level. */
	return (volatile uint64_t *)arena_page(16 * level) + number % (16 * 512);
}

static void map(uint64_t address, unsigned level, uint64_t leaves, uint64_t frame)
{
	volatile uint64_t *entry = entry_of(address, level);
	uint64_t value = frame << 12 | BITS | level << 7;

	for (uint64_t i = 0; i < leaves; i++) {
		if (entry[i] != 0)
			continue;
		entry[i] = value;
		value += LEAF_BYTES(level);
		live++;
	}
}

static void protect(uint64_t address, unsigned level, uint64_t leaves)
{
	volatile uint64_t *entry = entry_of(address, level);

	for (uint64_t i = 0; i < leaves; i++) {
		uint64_t seen = entry[i];

		if ((seen & WRITABLE) != 0)
			while (!__atomic_compare_exchange_n(&entry[i], &seen, seen & ~WRITABLE, false,
							    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
				;
	}
}

static uint64_t query(uint64_t address, unsigned level, uint64_t leaves)
{
	const volatile uint64_t *entry = entry_of(address, level);
	uint64_t count = 0;

	for (uint64_t i = 0; i < leaves; i++)
		if ((entry[i] & (PRESENT | WRITABLE)) == (PRESENT | WRITABLE))
			count++;
	return count;
}

static void unmap(uint64_t address, unsigned level, uint64_t leaves)
{
	volatile uint64_t *entry = entry_of(address, level);

	for (uint64_t i = 0; i < leaves; i++)
		if (entry[i] != 0) {
			__atomic_exchange_n(&entry[i], UINT64_C(0), __ATOMIC_SEQ_CST);
			live--;
		}
}

const struct subject bare_subject = { "bare", create, destroy, map, protect, query, unmap };
