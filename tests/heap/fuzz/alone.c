/* SPDX-License-Identifier: BSD-2-Clause */
/* In the place of the harness's: a failure ends the process, which is what a fuzzer looks for. */
#include "harness.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

_Noreturn void test_fail(const char *file, int line, const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "%s:%d: ", file, line);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	abort();
}
