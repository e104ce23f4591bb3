/* SPDX-License-Identifier: BSD-2-Clause */
/* The two functions that compilers call on riscv64 without Zbb, against a bit at a time. */
#include "riscv64/bits.c"

#include "harness.h"

static void check_word(uint64_t word)
{
	int above = 0, below = 0;

	while ((word >> (63 - above) & 1) == 0)
		above++;
	while ((word >> below & 1) == 0)
		below++;
	CHECK_EQUAL(__clzdi2(word), above);
	CHECK_EQUAL(__ctzdi2(word), below);
}

TEST(bits_are_counted_as_the_compilers_own_library_counts_them)
{
	for (unsigned high = 0; high < 64; high++)
		for (unsigned low = 0; low <= high; low++) {
			uint64_t ends = UINT64_C(1) << high | UINT64_C(1) << low;

			check_word(ends);
			check_word(ends | (test_random() & (ends - 1) & ~((UINT64_C(1) << low) - 1)));
		}
}
