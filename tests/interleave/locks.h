/* SPDX-License-Identifier: BSD-2-Clause */
/* What the library's locks guard in the cases of locks: instrumented, as the library is. */
#ifndef TESTS_INTERLEAVE_LOCKS_H
#define TESTS_INTERLEAVE_LOCKS_H

#include <landhold/port.h>

struct counted {
	uint32_t lock;
	uint64_t count, again;
};

/* Adds one to both counts, under the lock. => parks: it is a mutex, else a spinning lock. */
void counted_add(struct counted *counted, lh_port *port, bool parks);

#endif
