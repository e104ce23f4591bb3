/* SPDX-License-Identifier: BSD-2-Clause */
#include "fs/text.h"

#include "lib/string.h"
#include "memory/heap.h"

static bool reserve(struct text *text, size_t more)
{
	size_t capacity = text->capacity == 0 ? 1024 : text->capacity;
	char *bytes;

	while (capacity < text->length + more)
		capacity *= 2;
	if (capacity == text->capacity)
		return true;
	bytes = kernel_allocate(capacity);
	if (bytes == NULL) {
		text->has_failed = true;
		return false;
	}
	if (text->length > 0)
		memcpy(bytes, text->bytes, text->length);
	kernel_free(text->bytes, text->capacity);
	text->bytes = bytes;
	text->capacity = capacity;
	return true;
}

void text_add(struct text *text, const char *format, ...)
{
	va_list arguments;
	size_t length;

	va_start(arguments, format);
	length = format_text_arguments(NULL, 0, format, arguments);
	va_end(arguments);
	if (!reserve(text, length + 1))
		return;
	va_start(arguments, format);
	(void)format_text_arguments(text->bytes + text->length, length + 1, format, arguments);
	va_end(arguments);
	text->length += length;
}

void text_add_bytes(struct text *text, const char *bytes, size_t count)
{
	if (count == 0 || !reserve(text, count))
		return;
	memcpy(text->bytes + text->length, bytes, count);
	text->length += count;
}

void text_free(struct text *text)
{
	kernel_free(text->bytes, text->capacity);
	*text = (struct text){ 0 };
}
