/* SPDX-License-Identifier: BSD-2-Clause */
#include "inject.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* More steps than any operation of a test has: something does not end. */
#define STEPS_MAX 100000

static char finding[1024];

__attribute__((format(printf, 1, 2))) static const char *found(const char *format, ...)
{
	/* The text may be made of the finding before. */
	char text[sizeof finding];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	memcpy(finding, text, sizeof finding);
	return finding;
}

/* --- buffers --- */

static void *grown(void *old, size_t *capacity, size_t needed, size_t size)
{
	void *grown_to = old;

	if (needed > *capacity) {
		*capacity = needed * 2 + 64;
		grown_to = realloc(old, *capacity * size);
	}
	if (!grown_to) {
		fputs("inject: the host is out of memory\n", stderr);
		abort();
	}
	return grown_to;
}

void inject_put(inject_buffer *buffer, const void *bytes, size_t count, const char *label, ...)
{
	inject_section *section;
	va_list arguments;

	buffer->bytes = grown(buffer->bytes, &buffer->capacity, buffer->count + count + 1, 1);
	buffer->sections = grown(buffer->sections, &buffer->section_capacity,
				 buffer->section_count + 1, sizeof *buffer->sections);
	section = &buffer->sections[buffer->section_count++];
	section->first = buffer->count;
	section->bytes = count;
	va_start(arguments, label);
	vsnprintf(section->label, sizeof section->label, label, arguments);
	va_end(arguments);
	if (count > 0)
		memcpy(buffer->bytes + buffer->count, bytes, count);
	buffer->count += count;
}

void inject_buffer_free(inject_buffer *buffer)
{
	free(buffer->bytes);
	free(buffer->sections);
	memset(buffer, 0, sizeof *buffer);
}

static const char *section_difference(const uint8_t *before, const uint8_t *after,
				      const inject_section *section)
{
	for (size_t i = 0; i < section->bytes; i++)
		if (before[i] != after[i])
			return found("%s changed: byte %zu of %zu was %#x, is %#x", section->label,
				     i, section->bytes, before[i], after[i]);
	return NULL;
}

const char *inject_difference(const inject_buffer *before, const inject_buffer *after)
{
	for (size_t i = 0; i < before->section_count && i < after->section_count; i++) {
		const inject_section *was = &before->sections[i], *is = &after->sections[i];
		const char *text;

		if (strcmp(was->label, is->label) != 0)
			return found("where %s was is %s", was->label, is->label);
		if (was->bytes != is->bytes)
			return found("%s had %zu bytes, has %zu", was->label, was->bytes,
				     is->bytes);
		text = section_difference(before->bytes + was->first, after->bytes + is->first,
					  was);
		if (text)
			return text;
	}
	if (before->section_count > after->section_count)
		return found("%s is gone", before->sections[after->section_count].label);
	if (before->section_count < after->section_count)
		return found("%s is new", after->sections[before->section_count].label);
	return NULL;
}

/* --- the driver --- */

static const char *walk(const inject_operation *operation)
{
	return operation->check ? operation->check(operation->context) : NULL;
}

/* Must the state be what it was? Says what is not. */
static const char *judge_refusal(const inject_operation *operation, const inject_buffer *before)
{
	inject_buffer after = { 0 };
	const char *text;

	operation->serialise(operation->context, &after);
	text = inject_difference(before, &after);
	inject_buffer_free(&after);
	return text ? text : walk(operation);
}

/* A run in which step n of the source fails, if it gets there. => *reached: it did. */
static lh_error run_once(const inject_operation *operation, const inject_source *source, uint64_t n,
			 bool *reached)
{
	lh_error error;

	source->fail_at(source->context, n);
	error = operation->run(operation->context);
	*reached = source->steps(source->context) >= n;
	return error;
}

/* The counts must be read before the fail point is set anew. */
static void count_steps(const inject_operation *operation, const inject_source *source,
			inject_counts *counts)
{
	counts->steps += source->steps(source->context);
	if (operation->count && source == operation->sources)
		operation->count(operation->context, counts->kinds);
}

/*
 * Step n of one source. => *done: the run got by without reaching n; it succeeded and stands.
 */
static const char *try_step(const inject_operation *operation, const inject_source *source,
			    uint64_t n, const inject_buffer *before, inject_counts *counts,
			    bool *done)
{
	bool reached;
	lh_error error = run_once(operation, source, n, &reached);
	const char *text;

	counts->runs++;
	*done = !reached;
	if (!reached)
		count_steps(operation, source, counts);
	source->fail_at(source->context, 0);
	if (!reached)
		return error == LH_OK ? walk(operation)
				      : found("it fails with nothing injected (error %d)", error);
	if (error != LH_OK) {
		counts->refused++;
		return judge_refusal(operation, before);
	}
	counts->survived++;
	text = walk(operation);
	if (text || !operation->undo)
		return text ? text : "it succeeds in spite of the failure, and there is no undo";
	operation->undo(operation->context);
	return NULL;
}

static const char *try_source(const inject_operation *operation, const inject_source *source,
			      inject_counts *counts)
{
	const char *text = NULL;
	bool done = false;

	for (uint64_t n = 1; !done && !text; n++) {
		inject_buffer before = { 0 };

		operation->serialise(operation->context, &before);
		text = n > STEPS_MAX ? "it has no end"
				     : try_step(operation, source, n, &before, counts, &done);
		inject_buffer_free(&before);
		if (text)
			text = found("%s, step %" PRIu64 " of %s failing: %s", operation->name, n,
				     source->name, text);
	}
	return text;
}

const char *inject_every(const inject_operation *operation, inject_counts *counts)
{
	const char *text = NULL;

	memset(counts, 0, sizeof *counts);
	for (size_t i = 0; i < INJECT_SOURCES_MAX && operation->sources[i].fail_at && !text; i++) {
		if (i > 0) {
			if (!operation->undo)
				return found("%s has two sources and no undo", operation->name);
			operation->undo(operation->context);
		}
		text = try_source(operation, &operation->sources[i], counts);
	}
	return text;
}

void inject_print(FILE *out, const inject_operation *operation, const inject_counts *counts)
{
	static const char *const names[] = { "frame", "table", "pool", "charge", "node", "pager" };

	if (!operation) {
		fprintf(out, "%-28s %6s", "operation", "runs");
		for (size_t i = 0; i < INJECT_KIND_COUNT; i++)
			fprintf(out, " %6s", names[i]);
		fputc('\n', out);
		return;
	}
	fprintf(out, "%-28s %6" PRIu64, operation->name, counts->runs);
	for (size_t i = 0; i < INJECT_KIND_COUNT; i++)
		fprintf(out, " %6" PRIu64, counts->kinds[i]);
	fputc('\n', out);
}
