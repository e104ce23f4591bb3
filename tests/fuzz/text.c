/* SPDX-License-Identifier: BSD-2-Clause */
/* Tapes as people read them, and as hexadecimal digits. */
#include "fuzz/tape.h"

#include <string.h>

static const char *const names[TAPE_WHAT_COUNT] = {
	"map", "unmap", "protect", "discard", "read", "write", "fetch", "fork", "destroy", "load",
	"speculate", "object-read", "object-write", "resize", "sync", "limit",
	"pin", "unpin", "device", "advise", "remap",
};

static const char *const kinds[] = { "anonymous", "shared:0", "shared:1", "shared:2", "private:0",
				     "private:1", "special", "stack" };
static const char *const wheres[] = { "anywhere", "near", "at", "over" };

static void print_trouble(FILE *out, unsigned n)
{
	if (n >= 192)
		fprintf(out, "; in the middle, at turn %u:", n - 191);
	else if (n >= 160)
		fprintf(out, "; slow pager");
	else if (n >= 128)
		fprintf(out, "; pager fails at %u", 1 + (n - 128) % 4);
	else if (n >= 64)
		fprintf(out, "; step %u fails", n - 63);
}

static void print_record(FILE *out, const tape_scale *scale, const uint8_t bytes[TAPE_RECORD])
{
	tape_what what = (tape_what)(bytes[TAPE_BYTE_WHAT] % TAPE_WHAT_COUNT);
	unsigned how = bytes[TAPE_BYTE_HOW];
	uint64_t places = tape_places(scale), first = bytes[TAPE_BYTE_PLACE] % places;
	uint64_t last = first + bytes[TAPE_BYTE_PLACES] % places;
	uint64_t page = tape_page(scale, first);

	fprintf(out, "%-12s space %u cpu %u page %3u", names[what],
		(bytes[TAPE_BYTE_WHO] & 15u) % scale->spaces, bytes[TAPE_BYTE_WHO] >> 4 & 1u,
		(unsigned)page);
	if (what <= TAPE_DISCARD || what == TAPE_ADVISE || what == TAPE_REMAP)
		fprintf(out, " + %3u", (unsigned)(tape_page(scale, last < places ? last : places - 1) -
						  page + 1));
	if (what == TAPE_MAP || what == TAPE_PROTECT)
		fprintf(out, " %c%c%c", bytes[TAPE_BYTE_RIGHTS] & 1 ? 'r' : '-',
			bytes[TAPE_BYTE_RIGHTS] & 2 ? 'w' : '-', bytes[TAPE_BYTE_RIGHTS] & 4 ? 'x' : '-');
	if (what == TAPE_MAP)
		fprintf(out, " %s %s%s%s%s", kinds[how & 7], wheres[how >> 3 & 3],
			how & 32 ? " high" : "", how & 64 ? " guard-before" : "",
			how & 128 ? " guard-after" : "");
	if (what == TAPE_ADVISE && how & 8)
		fputs(" collapse", out);
	else if (what == TAPE_ADVISE)
		fprintf(out, " %s%s", how & 4 ? "fresh " : "", (const char *const[]){ "huge", "huge", "no huge",
			"normal" }[how & 3]);
	else if (what == TAPE_REMAP)
		fprintf(out, " %s, %s, %s%u%s, to place %u",
			(const char *const[]){ "stay or move", "move", "stay", "keep" }[how & 3], wheres[how >> 2 & 3],
			how & 32 ? "-" : "+", (unsigned)bytes[TAPE_BYTE_RIGHTS] & 7u,
			(how & 192) == 192 ? " once more" : "", (unsigned)(bytes[TAPE_BYTE_VALUE] % places));
	else if (what >= TAPE_READ)
		fprintf(out, " how %u", how);
	fprintf(out, " value %u", bytes[TAPE_BYTE_VALUE]);
	print_trouble(out, bytes[TAPE_BYTE_TROUBLE]);
	fputc('\n', out);
}

void tape_print(FILE *out, const tape_scale *scale, const uint8_t *bytes, size_t count)
{
	for (size_t at = 0; at < count; at += TAPE_RECORD) {
		uint8_t record[TAPE_RECORD] = { 0 };

		memcpy(record, bytes + at, count - at < TAPE_RECORD ? count - at : TAPE_RECORD);
		fputs("    ", out);
		print_record(out, scale, record);
	}
}

void tape_print_hex(FILE *out, const uint8_t *bytes, size_t count)
{
	for (size_t i = 0; i < count; i++)
		fprintf(out, "%02x%s", bytes[i],
			i % TAPE_RECORD == TAPE_RECORD - 1 && i + 1 < count ? "." : "");
	fputc('\n', out);
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Dots, spaces and line ends between bytes are for the reader. */
size_t tape_read_hex(const char *text, uint8_t *bytes, size_t room)
{
	size_t count = 0;

	for (; *text && count < room; text++) {
		if (*text == '.' || *text == ' ' || *text == '\n')
			continue;
		if (digit(text[0]) < 0 || digit(text[1]) < 0)
			return SIZE_MAX;
		bytes[count++] = (uint8_t)(digit(text[0]) * 16 + digit(text[1]));
		text++;
	}
	return count;
}
