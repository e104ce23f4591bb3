/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The test harness: a test is a function that registers itself; a check that
 * fails says where, ends its test, and the run goes on.
 *
 *     TEST(a_hole_of_exactly_the_needed_size_is_found)
 *     {
 *             CHECK(condition);
 *             CHECK_EQUAL(computed, expected);        integers
 *             CHECK_OK(call_that_returns_lh_error());
 *             CHECK_ERROR(call(), LH_EXISTS);
 *             CHECK_SOUND(lh_region_tree_check(&tree));   a walker: NULL is well
 *     }
 *
 * Program: test-FLOOR [-l] [-v] [--seed N] [NAME-PART...]; the last line is
 * "N passed, N failed" and the status is non-zero on any failure.
 */
#ifndef TESTS_HARNESS_H
#define TESTS_HARNESS_H

#include <stdbool.h>
#include <stdint.h>

#include <landhold/error.h>

typedef void test_function(void);

void test_register(const char *file, const char *name, test_function *function);
_Noreturn void test_fail(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Random numbers that repeat from the seed, which a failing run prints. */
uint64_t test_random(void);
/* 0 to below - 1 */
uint64_t test_random_below(uint64_t below);
/* Sets the generator; each test starts from the run's seed. */
void test_seed(uint64_t seed);

#define TEST(name)                                                                 \
	static void test_##name(void);                                             \
	__attribute__((constructor)) static void register_##name(void)             \
	{                                                                          \
		test_register(__FILE__, #name, test_##name);                       \
	}                                                                          \
	static void test_##name(void)

#define CHECK(condition)                                                           \
	do {                                                                       \
		if (!(condition))                                                  \
			test_fail(__FILE__, __LINE__, "%s", #condition);           \
	} while (0)

#define CHECK_EQUAL(computed, expected)                                            \
	do {                                                                       \
		unsigned long long check_computed_ = (unsigned long long)(computed); \
		unsigned long long check_expected_ = (unsigned long long)(expected); \
		if (check_computed_ != check_expected_)                            \
			test_fail(__FILE__, __LINE__, "%s is %llu (%#llx), not %llu (%#llx)", \
				  #computed, check_computed_, check_computed_,     \
				  check_expected_, check_expected_);               \
	} while (0)

#define CHECK_ERROR(call, expected)                                                \
	do {                                                                       \
		lh_error check_error_ = (call);                                    \
		if (check_error_ != (expected))                                    \
			test_fail(__FILE__, __LINE__, "%s gives %s, not %s", #call, \
				  lh_error_name(check_error_), lh_error_name(expected)); \
	} while (0)

#define CHECK_OK(call) CHECK_ERROR(call, LH_OK)

#define CHECK_SOUND(walker)                                                        \
	do {                                                                       \
		const char *check_finding_ = (walker);                             \
		if (check_finding_)                                                \
			test_fail(__FILE__, __LINE__, "%s: %s", #walker, check_finding_); \
	} while (0)

#endif
