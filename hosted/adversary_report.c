/* SPDX-License-Identifier: BSD-2-Clause */
/* What the adversary says: which operation an event was in, and what a CPU may still have. */
#include "adversary_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void machine_operation(lh_port *machine, const char *format, ...)
{
	struct machine_adversary *adversary = machine->adversary;
	struct operation *operation;
	va_list arguments;

	if (!adversary || machine->threads)
		return;
	if (adversary->operation_count == adversary->operation_room) {
		adversary->operation_room = adversary->operation_room * 2 + 64;
		adversary->operations = realloc(adversary->operations, adversary->operation_room *
								sizeof *adversary->operations);
		if (!adversary->operations)
			abort();
	}
	operation = &adversary->operations[adversary->operation_count++];
	operation->event = machine->events;
	operation->cpu = machine_current(machine);
	va_start(arguments, format);
	vsnprintf(operation->text, sizeof operation->text, format, arguments);
	va_end(arguments);
}

const char *adversary_operation_at(const struct machine_adversary *adversary, uint64_t event)
{
	size_t low = 0, high = adversary->operation_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (adversary->operations[middle].event < event)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 ? adversary->operations[low - 1].text : "the beginning";
}

size_t adversary_describe(const struct machine_adversary *adversary, unsigned number,
		       const mmu_tlb_entry *entry, char *text, size_t room)
{
	const machine_cpu *cpu = &adversary->machine->cpus[number];
	int length = snprintf(
		text, room,
		"CPU %u may still have the %s entry of level %u for %#llx (value %#llx, root %#llx), "
		"made at event %llu in \"%s\", %s at event %llu in \"%s\" (value %#llx); its last "
		"flush: event %llu, root %#llx, %llu pages from %#llx%s",
		number, entry->is_upper ? "upper" : "page",
		entry->is_upper ? entry->upper.level : entry->translation.level,
		(unsigned long long)(entry->is_upper ? entry->upper.linear
						     : entry->translation.linear),
		(unsigned long long)entry->before, (unsigned long long)entry->root,
		(unsigned long long)entry->made, adversary_operation_at(adversary, entry->made),
		entry->after ? "changed" : "cleared", (unsigned long long)entry->changed,
		adversary_operation_at(adversary, entry->changed), (unsigned long long)entry->after,
		(unsigned long long)cpu->last_flush.event,
		(unsigned long long)cpu->last_flush.root.value << LH_PAGE_SHIFT,
		(unsigned long long)cpu->last_flush.range.pages,
		(unsigned long long)cpu->last_flush.range.base.value,
		cpu->last_flush.global ? ", global" : "");

	return length < 0 ? 0 : (size_t)length < room ? (size_t)length : room - 1;
}

void adversary_report(struct machine_adversary *adversary, const char *format, ...)
{
	char text[1024];
	va_list arguments;

	adversary->inside = false;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	machine_report(adversary->machine, "%s; in \"%s\" on CPU %u", text,
		       adversary_operation_at(adversary, adversary->machine->events + 1),
		       machine_current(adversary->machine));
}

void adversary_report_entry(struct machine_adversary *adversary, unsigned cpu,
				   const mmu_tlb_entry *entry, const char *what)
{
	char text[900];

	adversary_describe(adversary, cpu, entry, text, sizeof text);
	adversary_report(adversary, "%s: %s", what, text);
}
