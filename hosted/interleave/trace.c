/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Seeds as text, and traces.
 *
 * A seed's changes, separated by commas:
 *     >1        fibre 1 begins
 *     0@153>1   fibre 0, before its 153rd step, gives way to fibre 1
 *     0@153>1~2 the same; its two newest stores stay in its buffer
 *     1@20!0~1  before fibre 1's 20th step all but the newest store in fibre 0's buffer reach memory
 * "-" where there are none. A "~" before all of it: with store buffers, though the case has none.
 */
#include "internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- seeds --- */

void schedule_print(const struct schedule *schedule, char *text, size_t size)
{
	size_t length = 0;

	snprintf(text, size, "-");
	for (unsigned i = 0; i < schedule->count && length < size; i++) {
		const struct change *change = &schedule->changes[i];

		if (i > 0)
			length += (size_t)snprintf(text + length, size - length, ",");
		if (length < size && change->fibre != NOBODY)
			length += (size_t)snprintf(text + length, size - length, "%u@%" PRIu64,
						   change->fibre, change->step);
		if (length < size)
			length += (size_t)snprintf(text + length, size - length, "%c%u",
						   change->drains ? '!' : '>', change->to);
		if (length < size && change->keep != 0)
			length += (size_t)snprintf(text + length, size - length, "~%u",
						   change->keep);
	}
}

static bool parse_change(struct change *change, const char **text)
{
	char *end;

	*change = (struct change){ .fibre = NOBODY };
	if (**text >= '0' && **text <= '9') {
		change->fibre = (uint8_t)strtoul(*text, &end, 10);
		if (*end != '@' || change->fibre >= INTERLEAVE_FIBRES)
			return false;
		change->step = strtoull(end + 1, &end, 10);
		*text = end;
	}
	if (**text != '>' && **text != '!')
		return false;
	change->drains = **text == '!';
	change->to = (uint8_t)strtoul(*text + 1, &end, 10);
	if (*end == '~')
		change->keep = (uint8_t)strtoul(end + 1, &end, 10);
	*text = end;
	return change->to < INTERLEAVE_FIBRES;
}

bool schedule_parse(struct schedule *schedule, const char *text)
{
	schedule->count = 0;
	if (strcmp(text, "-") == 0)
		return true;
	while (schedule->count < INTERLEAVE_CHANGES) {
		if (!parse_change(&schedule->changes[schedule->count++], &text))
			return false;
		if (*text != ',')
			return *text == '\0';
		text++;
	}
	return false;
}

/* --- traces --- */

static struct event *events;
static size_t event_count, event_capacity;
static bool unsettled;

void trace_begin(void)
{
	event_count = 0;
	unsettled = false;
}

void trace_add(const struct event *event)
{
	if (event_count == event_capacity) {
		event_capacity = event_capacity ? event_capacity * 2 : 4096;
		events = realloc(events, event_capacity * sizeof *events);
		if (!events)
			abort();
	}
	events[event_count++] = *event;
	unsettled = true;
}

void trace_settle(void)
{
	struct event *event = &events[event_count - 1];

	if (!unsettled)
		return;
	unsettled = false;
	if (event->address != 0 && event->kind != KIND_EVENT)
		__real_memcpy(&event->value, (void *)event->address,
				 event->size < 8 ? event->size : 8);
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
	for (unsigned i = 0; i < 8; i++)
		hash = (hash ^ (value >> 8 * i & 0xff)) * UINT64_C(0x100000001b3);
	return hash;
}

uint64_t trace_hash(void)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < event_count; i++) {
		hash = mix(hash, (uint64_t)events[i].fibre << 8 | events[i].kind);
		hash = mix(hash, events[i].address);
		hash = mix(hash, events[i].value);
	}
	return hash;
}

/* --- printing --- */

#define LINE 160

/* File and line of each address, asked of addr2line all at once. */
struct lines {
	size_t count;
	char (*text)[LINE];
};

/* From the project's own folder on: the path before it says nothing. */
static void cut_path(char *place)
{
	static const char *const folders[] = { "/src/", "/hosted/", "/tests/", "/arch/" };

	for (unsigned i = 0; i < sizeof folders / sizeof folders[0]; i++) {
		const char *folder = strstr(place, folders[i]);

		if (folder)
			memmove(place, folder + 1, strlen(folder));
	}
}

static void ask_lines(FILE *answers, struct lines *lines)
{
	for (size_t i = 0; i < lines->count; i++) {
		char function[LINE] = "", place[1024] = "";

		if (!fgets(function, sizeof function, answers) ||
		    !fgets(place, sizeof place, answers))
			return;
		function[strcspn(function, "\n")] = '\0';
		place[strcspn(place, " \n")] = '\0';
		cut_path(place);
		snprintf(lines->text[i], LINE, "%.80s %.60s", place, function);
	}
}

static struct lines find_lines(void)
{
	struct lines lines = { event_count, calloc(event_count + 1, LINE) };
	char name[] = "/tmp/interleave-XXXXXX", command[256], program[64];
	int file = mkstemp(name);
	FILE *addresses = file >= 0 ? fdopen(file, "w") : NULL, *answers;

	if (!addresses)
		return lines;
	for (size_t i = 0; i < event_count; i++)
		fprintf(addresses, "%#" PRIxPTR "\n",
			events[i].code ? (uintptr_t)events[i].code - 1 : 0);
	fclose(addresses);
	snprintf(program, sizeof program, "/proc/%d/exe", (int)getpid());
	snprintf(command, sizeof command, "addr2line -f -e %s < %s 2>/dev/null", program, name);
	answers = popen(command, "r");
	if (answers) {
		ask_lines(answers, &lines);
		pclose(answers);
	}
	unlink(name);
	return lines;
}

static void describe(const struct event *event, char *text, size_t size)
{
	const interleave_host *host = run.of->host;

	if (event->address == 0)
		snprintf(text, size, "-");
	else if (event->address - ARENA_BASE < TOKENS * 8)
		snprintf(text, size, "token %u", (unsigned)(event->address - ARENA_BASE) / 8);
	else if (!host || !host->describe ||
		 !host->describe(run.state, event->address, text, size))
		snprintf(text, size, "shared+%#" PRIx64, event->address - ARENA_BASE);
}

void trace_print(FILE *out, bool all)
{
	static const char *const names[] = { "read", "write", "copy", "atomic read", "atomic write",
					     "read-modify-write", "" };
	struct lines lines = find_lines();
	unsigned fibre = NOBODY;

	for (size_t i = 0; i < event_count; i++) {
		const struct event *event = &events[i];
		char place[120];

		if (!event->is_point && !all)
			continue;
		if (event->fibre != fibre)
			fprintf(out, "--- %u ---\n", event->fibre);
		fibre = event->fibre;
		describe(event, place, sizeof place);
		fprintf(out, "%u@%-5" PRIu64 " %-17s %-36s", event->fibre, event->step,
			event->what ? event->what : names[event->kind], place);
		if (!event->what)
			fprintf(out, " = %#-14" PRIx64 " %s", event->value, lines.text[i]);
		fprintf(out, "\n");
	}
	free(lines.text);
}
