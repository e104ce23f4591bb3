/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A line is built on the stack and written under a lock, so that lines of several CPUs do not mix.
 * Nobody waits long for it: who holds it may have been stopped by a panic, or interrupted
 * by an NMI that logs. Mixed lines are better than none.
 */
#include "lib/log.h"

#include <stdbool.h>

#include "arch/x86_64/port_io.h"
#include "thread/spinlock.h"

#define DEBUG_CONSOLE 0xe9
#define LINE_CAPACITY 502

#define TURNS_MAX 1000000u

static void write_line(const char *line, size_t length)
{
	static uint32_t lock;
	uintptr_t interrupts = interrupts_off();
	bool is_mine = false;

	for (unsigned turn = 0; turn < TURNS_MAX && !is_mine; turn++) {
		is_mine = __atomic_exchange_n(&lock, 1u, __ATOMIC_ACQUIRE) == 0;
		if (!is_mine)
			__asm__ volatile("pause");
	}
	port_write_bytes(DEBUG_CONSOLE, line, length);
	if (is_mine)
		__atomic_store_n(&lock, 0u, __ATOMIC_RELEASE);
	interrupts_restore(interrupts);
}

void log_line_arguments(const char *format, va_list arguments)
{
	char line[LINE_CAPACITY];
	size_t length = format_text_arguments(line, sizeof(line) - 1, format, arguments);

	if (length > sizeof(line) - 2)
		length = sizeof(line) - 2;
	line[length] = '\n';
	write_line(line, length + 1);
}

void log_line(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	log_line_arguments(format, arguments);
	va_end(arguments);
}
