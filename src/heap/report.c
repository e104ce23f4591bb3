/* SPDX-License-Identifier: BSD-2-Clause */
/* What a checked heap says: of a mistake before it stops the machine, and of blocks never freed. */
#include "heap/heap_internal.h"

#define LINE_MOST 320

struct line {
	char text[LINE_MOST];
	unsigned length;
};

static void add(struct line *line, const char *text)
{
	while (*text && line->length < LINE_MOST - 1)
		line->text[line->length++] = *text++;
	line->text[line->length] = '\0';
}

static void add_number(struct line *line, uint64_t number, unsigned base)
{
	char digits[20];
	unsigned count = 0;

	do {
		digits[count++] = "0123456789abcdef"[number % base];
		number /= base;
	} while (number != 0);
	while (count-- != 0)
		add(line, (char[]){ digits[count], '\0' });
}

static void add_address(struct line *line, const char *before, uint64_t address)
{
	add(line, before);
	add(line, "0x");
	add_number(line, address, 16);
}

static void add_caller(struct line *line, const char *before, const void *caller)
{
	if (caller)
		add_address(line, before, (uint64_t)(uintptr_t)caller);
}

static void add_block(struct line *line, lh_heap_item item)
{
	const struct lh_heap_record *record = &item.run->records[item.index];

	add_address(line, ": block ", lh_heap_item_address(item));
	add(line, " of ");
	add_number(line, record->bytes, 10);
	add(line, " bytes");
	add_caller(line, ", allocated by ", record->allocated_by);
	add_caller(line, ", freed by ", record->freed_by);
}

void lh_heap_report(const lh_heap *heap, const char *what, uint64_t at, lh_heap_item item,
		    const void *caller)
{
	struct line line = { { 0 }, 0 };

	add(&line, "heap: ");
	add(&line, what);
	if (at != 0)
		add_address(&line, " at ", at);
	if (item.run)
		add_block(&line, item);
	add_caller(&line, "; now freed by ", caller);
	lh_port_panic(lh_heap_port(heap), line.text);
}

/* --- leaks --- */

static void add_item(lh_heap_leak *leak, const struct lh_heap_record *record, const void *after)
{
	uintptr_t caller = (uintptr_t)record->allocated_by;

	if (caller <= (uintptr_t)after || (leak->blocks != 0 && caller > (uintptr_t)leak->caller))
		return;
	if (leak->blocks == 0 || caller < (uintptr_t)leak->caller)
		*leak = (lh_heap_leak){ record->allocated_by, 0, 0 };
	leak->blocks++;
	leak->bytes += record->bytes;
}

/* The caller with the lowest address above one. => blocks 0: there is none. */
static lh_heap_leak next_leak(const lh_heap *heap, uint64_t mark, const void *after)
{
	lh_heap_leak leak = { NULL, 0, 0 };

	for (const lh_region *region = lh_region_tree_first(&heap->runs); region;
	     region = lh_region_tree_next(region)) {
		const struct lh_heap_run *run =
			(const void *)((const char *)region - offsetof(struct lh_heap_run, region));

		for (uint32_t i = 0; run->live && i < run->items; i++)
			if (lh_atomic_load_relaxed(&run->states[i]) == GIVEN &&
			    run->records[i].number >= mark)
				add_item(&leak, &run->records[i], after);
	}
	return leak;
}

uint64_t lh_heap_mark(lh_heap *heap)
{
	return lh_atomic_load(&heap->mark);
}

/* A pass for each caller: no memory is needed, and there are not many callers. */
uint64_t lh_heap_report_leaks(lh_heap *heap, uint64_t mark,
			      void (*report)(void *context, const lh_heap_leak *leak), void *context)
{
	lh_heap_leak leak = { NULL, 0, 0 };
	uint64_t blocks = 0;

	if ((heap->flags & LH_HEAP_CHECKED) == 0)
		return 0;
	while ((leak = next_leak(heap, mark, leak.caller)).blocks != 0) {
		blocks += leak.blocks;
		report(context, &leak);
	}
	return blocks;
}
