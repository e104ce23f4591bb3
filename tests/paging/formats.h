/* SPDX-License-Identifier: BSD-2-Clause */
/* The formats of this build's page size, and what CPU each is for. */
#ifndef TESTS_PAGING_FORMATS_H
#define TESTS_PAGING_FORMATS_H

#include <landhold/paging_format.h>

#include "reader.h"

typedef struct test_format {
	const lh_paging_format *format;
	reader_architecture architecture;
	bool hardware_flags;
	bool has_svpbmt; /* the test adds it to a copy, and Svnapot */
} test_format;

/* NULL: no more. */
const test_format *test_format_at(unsigned n);

#endif
