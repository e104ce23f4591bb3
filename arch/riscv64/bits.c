/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a compiler calls for __builtin_clzll and __builtin_ctzll where the CPU has no instruction for
 * them: riscv64 without Zbb (The RISC-V Instruction Set Manual, volume I, "B" extension, clz and ctz).
 * The names are the compilers'; their own libraries have them too, and come first where one is linked
 * ahead. With Zbb nobody calls these.
 *
 * The word is halved six times: six branches that a CPU guesses well when words are alike, and no table.
 */
#include <stdint.h>

int __clzdi2(uint64_t word);
int __ctzdi2(uint64_t word);

/* Zero bits above the highest that is set. word: not 0. */
__attribute__((weak)) int __clzdi2(uint64_t word)
{
	int zeros = 0;

	for (int half = 32; half != 0; half /= 2) {
		if (word >> (64 - half) != 0)
			continue;
		word <<= half;
		zeros += half;
	}
	return zeros;
}

/* Zero bits below the lowest that is set. word: not 0. */
__attribute__((weak)) int __ctzdi2(uint64_t word)
{
	int zeros = 0;

	for (int half = 32; half != 0; half /= 2) {
		if (word << (64 - half) != 0)
			continue;
		word >>= half;
		zeros += half;
	}
	return zeros;
}
