/* SPDX-License-Identifier: BSD-2-Clause */
#include <landhold/error.h>

struct error_row {
	const char *name;
	const char *text;
	int number;
};

static const struct error_row rows[LH_ERROR_COUNT] = {
#define ROW(error, errno_number, text) [error] = { #error, text, errno_number },
	LH_ERRORS(ROW)
#undef ROW
};

static const struct error_row unknown = { "LH_?", "unknown error", 5 };

/* An enum may hold any int: outside data is not trusted to be in range. */
static const struct error_row *row_of(lh_error error)
{
	return (unsigned)error < LH_ERROR_COUNT ? &rows[error] : &unknown;
}

const char *lh_error_string(lh_error error)
{
	return row_of(error)->text;
}

const char *lh_error_name(lh_error error)
{
	return row_of(error)->name;
}

int lh_error_to_errno(lh_error error)
{
	return row_of(error)->number;
}

lh_error lh_error_from_errno(int number)
{
	for (unsigned error = 0; error < LH_ERROR_COUNT; error++)
		if (rows[error].number == number)
			return (lh_error)error;
	return LH_IO;
}
