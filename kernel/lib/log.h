/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's log: whole lines to QEMU's debug console (port 0xe9). Allocates nothing,
 * waits for nothing, may be called in any context.
 *
 * Format: %d %i %u %x %X %o %c %s %p %%, with flags '-' '0' '+' ' ' '#', width and
 * precision (also '*'), and the lengths hh h l ll z t j.
 */
#ifndef KERNEL_LIB_LOG_H
#define KERNEL_LIB_LOG_H

#include <stdarg.h>
#include <stddef.h>

#define LOG_FORMAT(text, first) __attribute__((format(printf, text, first)))

/* One line; a newline is added. What is beyond 500 characters is cut. */
void log_line(const char *format, ...) LOG_FORMAT(1, 2);
void log_line_arguments(const char *format, va_list arguments) LOG_FORMAT(1, 0);

/*
 * Writes the text with an ending 0 into a buffer of capacity bytes, cut if need be.
 * => the length that the whole text has, without the 0 (as snprintf).
 */
size_t format_text(char *buffer, size_t capacity, const char *format, ...) LOG_FORMAT(3, 4);
size_t format_text_arguments(char *buffer, size_t capacity, const char *format, va_list arguments)
	LOG_FORMAT(3, 0);

/* Stops the machine: prints all that is known between lines KERNEL PANIC. Takes no lock. */
__attribute__((noreturn)) void panic(const char *format, ...) LOG_FORMAT(1, 2);

#endif
