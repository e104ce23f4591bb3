/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdbool.h>
#include <stdint.h>

#include "lib/log.h"
#include "lib/string.h"

struct output {
	char *buffer;
	size_t capacity;
	size_t length; /* of the whole text, also what did not fit */
};

struct conversion {
	bool is_left, is_zero_padded, has_sign, has_blank, has_prefix;
	bool has_precision;
	size_t width, precision;
	unsigned size; /* bytes of an integer argument */
};

static void put(struct output *output, char character)
{
	if (output->length + 1 < output->capacity)
		output->buffer[output->length] = character;
	output->length++;
}

static void put_many(struct output *output, char character, size_t count)
{
	for (; count != 0; count--)
		put(output, character);
}

static void put_padded(struct output *output, const struct conversion *how, const char *text,
		       size_t length)
{
	size_t padding = how->width > length ? how->width - length : 0;

	if (!how->is_left)
		put_many(output, ' ', padding);
	for (size_t i = 0; i < length; i++)
		put(output, text[i]);
	if (how->is_left)
		put_many(output, ' ', padding);
}

/* The digits, last first, into the end of the buffer; returns how many. */
static size_t digits_of(uint64_t value, unsigned base, bool is_capital, char *end)
{
	const char *digits = is_capital ? "0123456789ABCDEF" : "0123456789abcdef";
	size_t count = 0;

	for (; value != 0; value /= base)
		*(end - ++count) = digits[value % base];
	return count;
}

static void put_integer(struct output *output, const struct conversion *how, uint64_t value,
			unsigned base, bool is_capital, char sign)
{
	char buffer[24], prefix[3];
	size_t count = digits_of(value, base, is_capital, buffer + sizeof(buffer));
	size_t least = how->has_precision ? how->precision : 1;
	size_t zeroes = least > count ? least - count : 0, prefix_length = 0, length;

	if (sign != 0)
		prefix[prefix_length++] = sign;
	if (how->has_prefix && base == 16 && value != 0) {
		prefix[prefix_length++] = '0';
		prefix[prefix_length++] = is_capital ? 'X' : 'x';
	}
	length = prefix_length + zeroes + count;
	if (how->is_zero_padded && !how->is_left && !how->has_precision && how->width > length) {
		zeroes += how->width - length;
		length = how->width;
	}
	if (!how->is_left && how->width > length)
		put_many(output, ' ', how->width - length);
	for (size_t i = 0; i < prefix_length; i++)
		put(output, prefix[i]);
	put_many(output, '0', zeroes);
	for (size_t i = count; i != 0; i--)
		put(output, buffer[sizeof(buffer) - i]);
	if (how->is_left && how->width > length)
		put_many(output, ' ', how->width - length);
}

static bool take_flag(struct conversion *how, char character)
{
	switch (character) {
	case '-':
		how->is_left = true;
		return true;
	case '0':
		how->is_zero_padded = true;
		return true;
	case '+':
		how->has_sign = true;
		return true;
	case ' ':
		how->has_blank = true;
		return true;
	case '#':
		how->has_prefix = true;
		return true;
	default:
		return false;
	}
}

static const char *take_number(const char *format, va_list *arguments, size_t *number)
{
	size_t value = 0;

	if (*format == '*') {
		int given = va_arg(*arguments, int);

		*number = given > 0 ? (size_t)given : 0;
		return format + 1;
	}
	for (; *format >= '0' && *format <= '9'; format++)
		value = value * 10 + (size_t)(*format - '0');
	*number = value;
	return format;
}

static const char *take_length(const char *format, struct conversion *how)
{
	how->size = 4;
	for (;; format++) {
		if (*format == 'l' || *format == 'z' || *format == 't' || *format == 'j')
			how->size = 8;
		else if (*format == 'h')
			how->size /= 2;
		else
			return format;
	}
}

/* Fetches an integer argument, cut to its size, with its sign extended if it has one. */
static uint64_t take_integer(const struct conversion *how, bool is_signed, va_list *arguments)
{
	uint64_t value = how->size == 8 ? va_arg(*arguments, uint64_t)
					: (uint64_t)va_arg(*arguments, unsigned);
	unsigned unused = 64 - how->size * 8;

	value <<= unused;
	return is_signed ? (uint64_t)((int64_t)value >> unused) : value >> unused;
}

static void put_signed(struct output *output, const struct conversion *how, va_list *arguments)
{
	uint64_t value = take_integer(how, true, arguments);
	bool is_negative = (int64_t)value < 0;
	char sign = is_negative ? '-' : how->has_sign ? '+' : how->has_blank ? ' ' : (char)0;

	put_integer(output, how, is_negative ? 0 - value : value, 10, false, sign);
}

static void put_string(struct output *output, const struct conversion *how, const char *text)
{
	if (text == NULL)
		text = "(null)";
	put_padded(output, how, text, how->has_precision ? strnlen(text, how->precision) : strlen(text));
}

static void convert(struct output *output, struct conversion *how, char what, va_list *arguments)
{
	char character;

	switch (what) {
	case 'd':
	case 'i':
		put_signed(output, how, arguments);
		return;
	case 'u':
		put_integer(output, how, take_integer(how, false, arguments), 10, false, 0);
		return;
	case 'o':
		put_integer(output, how, take_integer(how, false, arguments), 8, false, 0);
		return;
	case 'x':
	case 'X':
		put_integer(output, how, take_integer(how, false, arguments), 16, what == 'X', 0);
		return;
	case 'p':
		how->has_prefix = true;
		put_integer(output, how, (uint64_t)(uintptr_t)va_arg(*arguments, void *), 16, false, 0);
		return;
	case 'c':
		character = (char)va_arg(*arguments, int);
		put_padded(output, how, &character, 1);
		return;
	case 's':
		put_string(output, how, va_arg(*arguments, const char *));
		return;
	default:
		put(output, what);
	}
}

size_t format_text_arguments(char *buffer, size_t capacity, const char *format, va_list given)
{
	struct output output = { buffer, capacity, 0 };
	va_list arguments;

	va_copy(arguments, given);
	while (*format != 0) {
		struct conversion how = { 0 };

		if (*format != '%') {
			put(&output, *format++);
			continue;
		}
		for (format++; take_flag(&how, *format); format++)
			;
		format = take_number(format, &arguments, &how.width);
		if (*format == '.') {
			how.has_precision = true;
			format = take_number(format + 1, &arguments, &how.precision);
		}
		format = take_length(format, &how);
		if (*format != 0)
			convert(&output, &how, *format++, &arguments);
	}
	va_end(arguments);
	if (capacity != 0)
		buffer[output.length < capacity ? output.length : capacity - 1] = 0;
	return output.length;
}

size_t format_text(char *buffer, size_t capacity, const char *format, ...)
{
	va_list arguments;
	size_t length;

	va_start(arguments, format);
	length = format_text_arguments(buffer, capacity, format, arguments);
	va_end(arguments);
	return length;
}
