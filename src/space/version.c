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

#define ALL ((UINT64_C(1) << LH_SPACE_VERSIONS) - 1)

/* Versions that the range has, a bit each. */
static uint64_t versions_of(lh_virtual_range range)
{
	uint64_t pieces, first, bits;

	if (lh_virtual_range_is_empty(range))
		return 0;
	pieces = piece_of(lh_virtual_range_last(range)) - piece_of(range.base) + 1;
	if (pieces >= LH_SPACE_VERSIONS)
		return ALL;
	first = piece_of(range.base) % LH_SPACE_VERSIONS;
	bits = ((UINT64_C(1) << pieces) - 1) << first;
	return (bits | bits >> LH_SPACE_VERSIONS) & ALL;
}

/* => odd: whether they are odd from now on; they were the other before. */
static void raise_versions(lh_space *space, uint64_t versions, bool odd)
{
	for (; versions != 0; versions &= versions - 1) {
		uint64_t *version = &space->versions[__builtin_ctzll(versions)];
		uint64_t next = lh_atomic_load_relaxed(version) + 1;

		LH_ASSERT(space->manager->port, (next & 1) == odd);
		lh_atomic_store_total(version, next);
	}
}

void lh_space_begin_taking(lh_space *space, lh_virtual_range range)
{
	raise_versions(space, versions_of(range), true);
}

void lh_space_end_taking(lh_space *space, lh_virtual_range range)
{
	raise_versions(space, versions_of(range), false);
}

void lh_space_begin_taking_both(lh_space *space, lh_virtual_range one, lh_virtual_range other)
{
	raise_versions(space, versions_of(one) | versions_of(other), true);
}

void lh_space_end_taking_both(lh_space *space, lh_virtual_range one, lh_virtual_range other)
{
	raise_versions(space, versions_of(one) | versions_of(other), false);
}

void lh_space_end_taking_but(lh_space *space, lh_virtual_range one, lh_virtual_range other)
{
	raise_versions(space, versions_of(space->tree.total) & ~(versions_of(one) | versions_of(other)), false);
}
