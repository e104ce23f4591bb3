/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>

#include <landhold/error.h>

#include "harness.h"

TEST(every_error_has_a_name_and_text_of_its_own)
{
	for (int i = 0; i < LH_ERROR_COUNT; i++) {
		CHECK(strncmp(lh_error_name((lh_error)i), "LH_", 3) == 0);
		CHECK(strlen(lh_error_string((lh_error)i)) > 0);
		CHECK(strchr(lh_error_string((lh_error)i), '.') == NULL);
		for (int j = 0; j < i; j++) {
			CHECK(strcmp(lh_error_name((lh_error)i), lh_error_name((lh_error)j)) != 0);
			CHECK(strcmp(lh_error_string((lh_error)i),
				     lh_error_string((lh_error)j)) != 0);
		}
	}
	CHECK(strcmp(lh_error_name(LH_NO_HOLE), "LH_NO_HOLE") == 0);
}

/* The numbers are Linux', which the host's own header knows. */
TEST(errno_numbers_are_those_of_the_system)
{
	static const struct { lh_error error; int number; } pairs[] = {
		{ LH_OK, 0 },
		{ LH_INVALID, EINVAL },
		{ LH_NO_MEMORY, ENOMEM },
		{ LH_NO_HOLE, ENOMEM },
		{ LH_EXISTS, EEXIST },
		{ LH_NOT_MAPPED, ENOMEM },
		{ LH_NO_ACCESS, EACCES },
		{ LH_BAD_ADDRESS, EFAULT },
		{ LH_BUSY, EBUSY },
		{ LH_LIMIT, ENOMEM },
		{ LH_AGAIN, EAGAIN },
		{ LH_IO, EIO },
		{ LH_OVERFLOW, EOVERFLOW },
		{ LH_UNSUPPORTED, EOPNOTSUPP },
		{ LH_NOT_PERMITTED, EPERM },
		{ LH_NO_ENTRY, ENOENT },
		{ LH_NO_PROCESS, ESRCH },
		{ LH_INTERRUPTED, EINTR },
		{ LH_NO_DEVICE_ADDRESS, ENXIO },
		{ LH_ARGUMENTS_TOO_LONG, E2BIG },
		{ LH_NOT_EXECUTABLE, ENOEXEC },
		{ LH_BAD_DESCRIPTOR, EBADF },
		{ LH_NO_CHILD, ECHILD },
		{ LH_CROSS_DEVICE, EXDEV },
		{ LH_NO_DEVICE, ENODEV },
		{ LH_NOT_DIRECTORY, ENOTDIR },
		{ LH_IS_DIRECTORY, EISDIR },
		{ LH_TOO_MANY_OPEN, EMFILE },
		{ LH_NOT_TERMINAL, ENOTTY },
		{ LH_TEXT_BUSY, ETXTBSY },
		{ LH_FILE_TOO_LARGE, EFBIG },
		{ LH_NO_ROOM, ENOSPC },
		{ LH_NOT_SEEKABLE, ESPIPE },
		{ LH_READ_ONLY, EROFS },
		{ LH_TOO_MANY_LINKS, EMLINK },
		{ LH_BROKEN_PIPE, EPIPE },
		{ LH_OUT_OF_DOMAIN, ERANGE },
		{ LH_NAME_TOO_LONG, ENAMETOOLONG },
		{ LH_NO_SYSTEM_CALL, ENOSYS },
		{ LH_NOT_EMPTY, ENOTEMPTY },
		{ LH_LINK_LOOP, ELOOP },
		{ LH_TIMED_OUT, ETIMEDOUT },
	};

	for (unsigned i = 0; i < sizeof pairs / sizeof *pairs; i++)
		CHECK_EQUAL(lh_error_to_errno(pairs[i].error), pairs[i].number);
}

TEST(errno_and_back_is_the_same_errno)
{
	for (int i = 0; i < LH_ERROR_COUNT; i++) {
		int number = lh_error_to_errno((lh_error)i);
		lh_error back = lh_error_from_errno(number);

		CHECK_EQUAL(lh_error_to_errno(back), number);
		CHECK(back <= (lh_error)i); /* the first of those that share it */
	}
	CHECK_EQUAL(lh_error_from_errno(ENOMEM), LH_NO_MEMORY);
}

TEST(what_is_no_error_is_answered_too)
{
	CHECK_EQUAL(lh_error_from_errno(100000), LH_IO);
	CHECK_EQUAL(lh_error_from_errno(-1), LH_IO);
	CHECK_EQUAL(lh_error_to_errno(LH_ERROR_COUNT), EIO);
	CHECK(strcmp(lh_error_name(LH_ERROR_COUNT), "LH_?") == 0);
	CHECK(strlen(lh_error_string(LH_ERROR_COUNT)) > 0);
}

static lh_error try_it(lh_error error, bool *went_on)
{
	LH_TRY(error);
	*went_on = true;
	return LH_OK;
}

TEST(try_passes_an_error_on_and_goes_on_after_success)
{
	bool went_on = false;

	CHECK_ERROR(try_it(LH_BUSY, &went_on), LH_BUSY);
	CHECK(!went_on);
	CHECK_OK(try_it(LH_OK, &went_on));
	CHECK(went_on);
}
