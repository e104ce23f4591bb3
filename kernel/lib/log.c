/* SPDX-License-Identifier: BSD-2-Clause */
/* A line is built on the stack and written by one instruction, so that lines of several
 * CPUs do not mix, and no lock is needed. */
#include "lib/log.h"

#include "arch/x86_64/port_io.h"

#define DEBUG_CONSOLE 0xe9
#define LINE_CAPACITY 502

void log_line_arguments(const char *format, va_list arguments)
{
	char line[LINE_CAPACITY];
	size_t length = format_text_arguments(line, sizeof(line) - 1, format, arguments);

	if (length > sizeof(line) - 2)
		length = sizeof(line) - 2;
	line[length] = '\n';
	port_write_bytes(DEBUG_CONSOLE, line, length + 1);
}

void log_line(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	log_line_arguments(format, arguments);
	va_end(arguments);
}
