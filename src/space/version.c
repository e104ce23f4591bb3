/* SPDX-License-Identifier: BSD-2-Clause */
#include "space/version.h"

#include "base/assert.h"
#include "base/atomic.h"

#define PIECE_SHIFT (LH_PAGE_SHIFT + 9)
_Static_assert(LH_SPACE_PIECE_PAGES << LH_PAGE_SHIFT == UINT64_C(1) << PIECE_SHIFT, "a piece has one size");

static uint64_t piece_of(lh_virtual_address address)
{
	return address.value >> PIECE_SHIFT;
}

uint64_t lh_space_version(const lh_space *space, lh_virtual_address address)
{
	return lh_atomic_load_total(&space->versions[piece_of(address) % LH_SPACE_VERSIONS]);
}

/* Versions that the range has; each once. */
static uint64_t count_versions(lh_virtual_range range)
{
	uint64_t pieces = piece_of(lh_virtual_range_last(range)) - piece_of(range.base) + 1;

	return pieces < LH_SPACE_VERSIONS ? pieces : LH_SPACE_VERSIONS;
}

/* => odd: whether they are odd from now on; they were the other before. */
static void raise_versions(lh_space *space, lh_virtual_range range, bool odd)
{
	uint64_t count = count_versions(range);

	for (uint64_t i = 0; i < count; i++) {
		uint64_t *version = &space->versions[(piece_of(range.base) + i) % LH_SPACE_VERSIONS];
		uint64_t next = lh_atomic_load_relaxed(version) + 1;

		LH_ASSERT(space->manager->port, (next & 1) == odd);
		lh_atomic_store_total(version, next);
	}
}

void lh_space_begin_taking(lh_space *space, lh_virtual_range range)
{
	raise_versions(space, range, true);
}

void lh_space_end_taking(lh_space *space, lh_virtual_range range)
{
	raise_versions(space, range, false);
}
