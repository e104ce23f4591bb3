/* SPDX-License-Identifier: BSD-2-Clause */
/* What the oracle's files share. */
#ifndef TESTS_SPACE_ORACLE_INSIDE_H
#define TESTS_SPACE_ORACLE_INSIDE_H

#include "oracle.h"

/* First and last page of the region that a mapped page lies in. */
uint64_t oracle_run_begin(const oracle_space *space, uint64_t page);
uint64_t oracle_run_end(const oracle_space *space, uint64_t page);
uint64_t oracle_regions(const oracle_space *space);
uint64_t oracle_mapped(const oracle_space *space, uint64_t page, uint64_t pages);
uint64_t oracle_pages_left(const oracle_space *space);

/* May a region with these guards stand there? */
bool oracle_is_legal(const oracle_space *space, uint64_t page, uint64_t pages, uint64_t guard_before,
		     uint64_t guard_after);

/* Takes the leaf away. */
void oracle_empty(space_oracle *oracle, oracle_page *page);

#endif
