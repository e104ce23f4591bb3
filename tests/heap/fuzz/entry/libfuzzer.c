/* SPDX-License-Identifier: BSD-2-Clause */
/* libFuzzer (LLVM documentation, "libFuzzer - a library for coverage-guided fuzz testing") plays tapes
 * in one process; a failure aborts it, and the tape is left as an artifact. */
#include "heap/tape.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
	if (count <= TAPE_BYTES_MAX)
		heap_tape_play(bytes, count);
	return 0;
}
