/* SPDX-License-Identifier: BSD-2-Clause */
#include "tables.h"

#include <string.h>

static uint64_t take_table(struct tables *tables)
{
	uint64_t frame = tables->next++;

	memset(machine_bytes(tables->machine, frame), 0, LH_PAGE_SIZE);
	return frame;
}

/* Each page begins with its own frame number, so that a reader knows where it arrived. */
static void number_pages(lh_port *machine)
{
	for (uint64_t frame = PAGES_FIRST; machine_is_ram(machine, frame); frame++)
		memcpy(machine_bytes(machine, frame), &frame, sizeof frame);
}

struct tables tables_make(unsigned cpus, unsigned levels)
{
	machine_setup setup = { .spans = { { FIRST_FRAME, 2048 } }, .cpus = cpus,
				.levels = levels };
	struct tables tables = { machine_create(&setup), levels, 0, FIRST_FRAME };

	tables.root = take_table(&tables);
	number_pages(tables.machine);
	for (unsigned cpu = 0; cpu < cpus; cpu++)
		tables_load(&tables, cpu, tables.root);
	return tables;
}

void tables_end(struct tables *tables)
{
	machine_destroy(tables->machine);
}

uint64_t *tables_entry(struct tables *tables, uint64_t address, unsigned level,
		       uint64_t upper_bits)
{
	uint64_t frame = tables->root;

	for (unsigned at = tables->levels - 1;; at--) {
		uint64_t *table = machine_bytes(tables->machine, frame);
		uint64_t *entry = &table[address >> (12 + 9 * at) & 511];

		if (at == level)
			return entry;
		if (*entry == 0)
			*entry = take_table(tables) << 12 | upper_bits;
		frame = (*entry & ~XD) >> 12;
	}
}

void tables_map(struct tables *tables, uint64_t address, unsigned level, uint64_t frame,
		uint64_t bits)
{
	*tables_entry(tables, address, level, P | W | U) = frame << 12 | bits;
}

void tables_load(struct tables *tables, unsigned cpu, uint64_t root)
{
	unsigned before = machine_run_on(tables->machine, cpu);
	uintptr_t interrupts = lh_port_interrupts_off(tables->machine);

	lh_architecture_load(tables->machine, lh_frame(root));
	lh_port_interrupts_restore(tables->machine, interrupts);
	machine_run_on(tables->machine, before);
}

void tables_flush(struct tables *tables, unsigned cpu, uint64_t address, uint64_t pages,
		  bool global)
{
	lh_virtual_range range = { lh_virtual(address), pages };
	unsigned before = machine_run_on(tables->machine, cpu);
	uintptr_t interrupts = lh_port_interrupts_off(tables->machine);

	lh_architecture_flush_local(tables->machine, lh_frame(tables->root), range, global);
	lh_port_interrupts_restore(tables->machine, interrupts);
	machine_run_on(tables->machine, before);
}

bool tables_access(struct tables *tables, unsigned cpu, uint64_t address, mmu_access access,
		   machine_mode mode, machine_fault *fault)
{
	return machine_try(tables->machine, cpu, lh_virtual(address), access, mode, fault);
}

uint64_t tables_arrives(struct tables *tables, unsigned cpu, uint64_t address)
{
	machine_fault fault;
	uint64_t frame;

	tables->machine->cpus[cpu].control.smap = false;
	if (!machine_read(tables->machine, cpu, lh_virtual(address), &frame, sizeof frame,
			  MACHINE_KERNEL, &fault))
		return 0;
	return frame;
}
