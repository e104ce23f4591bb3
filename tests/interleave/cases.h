/* SPDX-License-Identifier: BSD-2-Clause */
/* How a case registers itself with the program (main.c). */
#ifndef TESTS_INTERLEAVE_CASES_H
#define TESTS_INTERLEAVE_CASES_H

#include "interleave.h"

void case_register(const interleave_case *one);
/* A pair of operations in steady state whose cache lines are counted; it is no case to explore. */
void lines_register(const interleave_case *one);

#define CASE(identifier, ...)                                                                   \
	static const interleave_case case_##identifier = { .name = #identifier, __VA_ARGS__ };  \
	__attribute__((constructor)) static void register_##identifier(void)                    \
	{                                                                                       \
		case_register(&case_##identifier);                                              \
	}

#define LINES(identifier, ...)                                                                  \
	static const interleave_case lines_##identifier = { .name = #identifier, __VA_ARGS__ }; \
	__attribute__((constructor)) static void register_lines_##identifier(void)              \
	{                                                                                       \
		lines_register(&lines_##identifier);                                            \
	}

#endif
