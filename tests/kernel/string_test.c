/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's string functions beside the C library's. */
#include <string.h>

#include "harness.h"

void *kernel_memcpy(void *to, const void *from, size_t bytes);
void *kernel_memmove(void *to, const void *from, size_t bytes);
void *kernel_memset(void *to, int byte, size_t bytes);
int kernel_memcmp(const void *a, const void *b, size_t bytes);
void *kernel_memchr(const void *bytes, int byte, size_t count);
size_t kernel_strlen(const char *string);
size_t kernel_strnlen(const char *string, size_t limit);
int kernel_strcmp(const char *a, const char *b);
int kernel_strncmp(const char *a, const char *b, size_t limit);
char *kernel_strchr(const char *string, int character);
char *kernel_strrchr(const char *string, int character);
char *kernel_strstr(const char *string, const char *part);
bool string_copy(char *to, const char *from, size_t capacity);
uint64_t string_hexadecimal(const char **at);

#define ROOM 160

static void fill(unsigned char *bytes)
{
	for (unsigned i = 0; i < ROOM; i++)
		bytes[i] = (unsigned char)test_random();
}

static int sign(int value)
{
	return (value > 0) - (value < 0);
}

TEST(memmove_moves_as_the_library_does_over_every_overlap)
{
	for (size_t size = 0; size <= 70; size++) {
		for (size_t from = 0; from <= 80; from += 5) {
			for (size_t to = 0; to <= 80; to += 3) {
				unsigned char ours[ROOM], theirs[ROOM];

				fill(ours);
				memcpy(theirs, ours, ROOM);
				CHECK(kernel_memmove(ours + to, ours + from, size) == ours + to);
				memmove(theirs + to, theirs + from, size);
				CHECK(memcmp(ours, theirs, ROOM) == 0);
			}
		}
	}
}

TEST(memcpy_and_memset_touch_just_their_bytes)
{
	for (size_t size = 0; size <= 100; size++) {
		unsigned char ours[ROOM], theirs[ROOM], source[ROOM];

		fill(ours);
		fill(source);
		memcpy(theirs, ours, ROOM);
		kernel_memcpy(ours + 7, source + 3, size);
		memcpy(theirs + 7, source + 3, size);
		CHECK(memcmp(ours, theirs, ROOM) == 0);
		kernel_memset(ours + 5, (int)size * 3, size);
		memset(theirs + 5, (int)size * 3, size);
		CHECK(memcmp(ours, theirs, ROOM) == 0);
	}
}

TEST(memcmp_and_memchr_agree_with_the_library)
{
	for (unsigned turn = 0; turn < 5000; turn++) {
		unsigned char a[ROOM], b[ROOM];
		size_t size = test_random_below(ROOM);

		fill(a);
		memcpy(b, a, ROOM);
		if (turn % 4 != 0)
			b[test_random_below(ROOM)] = (unsigned char)test_random();
		CHECK_EQUAL(sign(kernel_memcmp(a, b, size)), sign(memcmp(a, b, size)));
		CHECK(kernel_memchr(a, (int)turn, size) == memchr(a, (int)(turn & 0xff), size));
	}
}

/* Over two letters, so that parts are found. */
static void make_string(char *string, size_t length)
{
	for (size_t i = 0; i < length; i++)
		string[i] = (char)('a' + (int)test_random_below(2));
	string[length] = 0;
}

TEST(strings_agree_with_the_library)
{
	for (unsigned turn = 0; turn < 5000; turn++) {
		char a[40], b[40];
		size_t limit = test_random_below(12);

		make_string(a, test_random_below(30));
		make_string(b, test_random_below(5));
		CHECK_EQUAL(kernel_strlen(a), strlen(a));
		CHECK_EQUAL(kernel_strnlen(a, limit), strnlen(a, limit));
		CHECK_EQUAL(sign(kernel_strcmp(a, b)), sign(strcmp(a, b)));
		CHECK_EQUAL(sign(kernel_strncmp(a, b, limit)), sign(strncmp(a, b, limit)));
		CHECK(kernel_strchr(a, 'b') == strchr(a, 'b'));
		CHECK(kernel_strchr(a, 0) == strchr(a, 0));
		CHECK(kernel_strrchr(a, 'a') == strrchr(a, 'a'));
		CHECK(kernel_strstr(a, b) == strstr(a, b));
	}
}

TEST(string_hexadecimal_stops_behind_the_digits)
{
	static const struct {
		const char *text;
		uint64_t value;
		char next;
	} cases[] = { { "0", 0, 0 }, { "+", 0, '+' }, { "", 0, 0 }, { "1a2b+3", 0x1a2b, '+' }, { "9fG", 0x9f, 'G' },
		      { "ffffffffffffffff,", UINT64_MAX, ',' }, { "a:", 10, ':' }, { "/", 0, '/' }, { "`", 0, '`' } };

	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *at = cases[i].text;

		CHECK_EQUAL(string_hexadecimal(&at), cases[i].value);
		CHECK_EQUAL(*at, cases[i].next);
	}
}

TEST(string_copy_cuts_and_says_so)
{
	char to[8] = "xxxxxxx";

	CHECK(string_copy(to, "seven77", sizeof(to)));
	CHECK(strcmp(to, "seven77") == 0);
	CHECK(!string_copy(to, "eight888", sizeof(to)));
	CHECK(strcmp(to, "eight88") == 0);
	CHECK(!string_copy(to, "a", 1));
	CHECK(strcmp(to, "") == 0);
}
