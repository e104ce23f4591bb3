/* SPDX-License-Identifier: BSD-2-Clause */
/* Generated tapes; make fuzz-heap plays more of them, and fuzzers make their own. */
#include "heap/tape.h"

#include "harness.h"

TEST(generated_tapes_agree_with_the_list)
{
	uint8_t bytes[TAPE_BYTES_MAX];

	for (unsigned tape = 0; tape < 30; tape++) {
		uint64_t seed = test_random();

		test_seed(seed);
		heap_tape_play(bytes, heap_tape_generate(bytes, 100));
		test_seed(seed);
		(void)test_random();
	}
}

TEST(a_tape_may_end_anywhere)
{
	static const uint8_t bytes[] = { 2, 0, 10, 0, 0, 4, 0 };

	for (size_t size = 0; size <= sizeof bytes; size++)
		heap_tape_play(bytes, size);
}
