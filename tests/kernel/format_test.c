/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's formatting beside the C library's, over generated formats. */
#include <stdio.h>
#include <string.h>

#include "harness.h"
#include "lib/log.h"

#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"

/* A conversion with random flags, width and precision. Never '0' or '#' where ISO C leaves
 * it undefined. */
static void make_format(char *format, size_t capacity, const char *length, char what)
{
	char flags[8] = "", width[8] = "", precision[8] = "";
	bool is_signed = what == 'd' || what == 'i', is_text = what == 's' || what == 'c';

	if (test_random_below(3) == 0)
		strcat(flags, "-");
	if (!is_text && test_random_below(3) == 0)
		strcat(flags, "0");
	if (is_signed && test_random_below(3) == 0)
		strcat(flags, "+");
	if (is_signed && test_random_below(3) == 0)
		strcat(flags, " ");
	if ((what == 'x' || what == 'X') && test_random_below(3) == 0)
		strcat(flags, "#");
	if (test_random_below(2) == 0)
		snprintf(width, sizeof(width), "%u", (unsigned)test_random_below(30) + 1);
	if (what != 'c' && test_random_below(2) == 0)
		snprintf(precision, sizeof(precision), ".%u", (unsigned)test_random_below(12));
	snprintf(format, capacity, "<%%%s%s%s%s%c>", flags, width, precision, length, what);
}

static uint64_t any_number(void)
{
	return test_random() >> test_random_below(64);
}

/* The argument is evaluated twice. */
#define COMPARE(format, argument)                                                                 \
	do {                                                                                      \
		char ours_[100], theirs_[100];                                                    \
		size_t length_ = format_text(ours_, sizeof(ours_), format, argument);             \
		int expected_ = snprintf(theirs_, sizeof(theirs_), format, argument);             \
		if (strcmp(ours_, theirs_) != 0)                                                  \
			test_fail(__FILE__, __LINE__, "\"%s\" gives \"%s\", not \"%s\"", format,  \
				  ours_, theirs_);                                                \
		CHECK_EQUAL(length_, expected_);                                                  \
	} while (0)

TEST(numbers_look_as_the_library_writes_them)
{
	static const char kinds[] = "diuxXo";

	for (unsigned turn = 0; turn < 20000; turn++) {
		char format[48], what = kinds[test_random_below(sizeof(kinds) - 1)];
		uint64_t number = any_number();

		make_format(format, sizeof(format), "", what);
		COMPARE(format, (unsigned)number);
		make_format(format, sizeof(format), "l", what);
		COMPARE(format, (unsigned long)number);
		make_format(format, sizeof(format), "hh", what);
		COMPARE(format, (unsigned)number);
		make_format(format, sizeof(format), "h", what);
		COMPARE(format, (unsigned)number);
		make_format(format, sizeof(format), "z", what);
		COMPARE(format, (size_t)number);
	}
}

TEST(texts_look_as_the_library_writes_them)
{
	for (unsigned turn = 0; turn < 5000; turn++) {
		char format[48], letter = (char)('a' + (int)test_random_below(26));

		make_format(format, sizeof(format), "", 's');
		COMPARE(format, "Landhold");
		make_format(format, sizeof(format), "", 'c');
		COMPARE(format, letter);
	}
	COMPARE("%p", (void *)(uintptr_t)0xffff800000001000);
	COMPARE("100%% of %s", "it");
}

TEST(width_and_precision_can_be_arguments)
{
	char text[40];

	CHECK_EQUAL(format_text(text, sizeof(text), "<%*d|%.*s|%-*u>", 5, 42, 3, "abcdef", 4, 7u), 16);
	CHECK(strcmp(text, "<   42|abc|7   >") == 0);
}

TEST(a_text_that_does_not_fit_is_cut_and_its_length_told)
{
	char text[6] = "xxxxx";

	CHECK_EQUAL(format_text(text, sizeof(text), "%s", "Landhold"), 8);
	CHECK(strcmp(text, "Landh") == 0);
	CHECK_EQUAL(format_text(text, 1, "%u", 12345u), 5);
	CHECK(text[0] == 0 && text[1] == 'a');
	CHECK_EQUAL(format_text(NULL, 0, "%u", 12345u), 5);
}
