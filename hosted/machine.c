/* SPDX-License-Identifier: BSD-2-Clause */
/* Making a machine; its RAM, the shadow of its frames, and which CPU a thread runs. */
#include "machine.h"

#include "adversary.h"
#include "machine_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Filling more than this at each start would cost more than it could find. */
#define FILL_LIMIT (UINT64_C(64) << 20)

#define MACHINES_MAX 256

/* Which machines live, and for each of them which CPU this thread runs. */
static bool slot_taken[MACHINES_MAX];
static _Thread_local unsigned current_cpu[MACHINES_MAX];

_Noreturn static void give_up(const char *why)
{
	fprintf(stderr, "machine: %s\n", why);
	abort();
}

static unsigned take_slot(void)
{
	for (unsigned slot = 0; slot < MACHINES_MAX; slot++) {
		if (!slot_taken[slot]) {
			slot_taken[slot] = true;
			current_cpu[slot] = 0;
			return slot;
		}
	}
	give_up("too many machines: is one left behind by each test?");
}

/* The span's bytes, with a page on either side that may not be touched. The host's pages may be smaller. */
static uint8_t *map_span(uint64_t frames)
{
	size_t size = (size_t)(frames * LH_PAGE_SIZE);
	uint8_t *block = mmap(NULL, size + 3 * LH_PAGE_SIZE, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	size_t skipped;

	if (block == MAP_FAILED)
		give_up("no memory for RAM");
	skipped = (0 - (uintptr_t)block) & (LH_PAGE_SIZE - 1);
	if (skipped != 0)
		munmap(block, skipped);
	block += skipped;
	munmap(block + size + 2 * LH_PAGE_SIZE, LH_PAGE_SIZE - skipped);
	if (mprotect(block + LH_PAGE_SIZE, size, PROT_READ | PROT_WRITE) != 0)
		give_up("no memory for RAM");
	if (size <= FILL_LIMIT)
		memset(block + LH_PAGE_SIZE, MACHINE_FILL, size);
	return block + LH_PAGE_SIZE;
}

static void add_span(lh_port *machine, machine_span span)
{
	unsigned index = machine->span_count;
	machine_span before = index > 0 ? machine->spans[index - 1] : (machine_span){ 0, 0 };

	if (span.first < before.first + before.count || span.first > UINT64_C(1) << 40 ||
	    span.count > UINT64_C(1) << 32)
		give_up("spans must ascend, be disjoint and lie below 2^52 bytes");
	machine->spans[index] = span;
	machine->bytes[index] = map_span(span.count);
	machine->shadows[index] = calloc((size_t)span.count, sizeof *machine->shadows[index]);
	if (!machine->shadows[index])
		give_up("no memory for the shadow of RAM");
	machine->span_count++;
}

static void add_cpus(lh_port *machine, const machine_setup *setup)
{
	machine->cpu_count = setup->cpus ? setup->cpus : 1;
	if (machine->cpu_count > LH_MAX_CPUS)
		give_up("more CPUs than LH_MAX_CPUS");
	for (unsigned i = 0; i < machine->cpu_count; i++) {
		const mmu_architecture *architecture =
			setup->architecture ? setup->architecture : &mmu_x86_64;
		machine_cpu *cpu = &machine->cpus[i];

		cpu->interrupts = true;
		cpu->root = cpu->upper_root = LH_NO_FRAME;
		cpu->control = (mmu_control){
			.architecture = architecture,
			.levels = setup->levels ? setup->levels : 4,
			.physical_bits = 52,
			.gigabyte_pages = true,
			.write_protect = true,
			.no_execute = true,
			.smep = architecture->user_apart,
			.smap = architecture->user_apart,
			.global_pages = true,
			.process_context = setup->process_context,
		};
		mmu_tlb_init(&cpu->tlb, &machine->events);
	}
}

lh_port *machine_create(const machine_setup *setup)
{
	lh_port *machine = calloc(1, sizeof *machine);

	if (!machine)
		give_up("no memory for a machine");
	machine_forget_expectations();
	machine->slot = take_slot();
	machine_seed(machine, setup->seed);
	add_cpus(machine, setup);
	for (unsigned i = 0; i < MACHINE_SPANS_MAX && setup->spans[i].count != 0; i++)
		add_span(machine, setup->spans[i]);
	if (machine->span_count == 0)
		add_span(machine, (machine_span){ 0, MACHINE_DEFAULT_FRAMES });
	return machine;
}

lh_port *machine_create_simple(uint64_t first_frame, uint64_t frames, unsigned cpus)
{
	machine_setup setup = { .spans = { { first_frame, frames } }, .cpus = cpus };

	return machine_create(&setup);
}

void machine_destroy(lh_port *machine)
{
	if (!machine)
		return;
	machine_watch(machine, NULL, NULL);
	for (unsigned i = 0; i < machine->cpu_count; i++)
		mmu_tlb_destroy(&machine->cpus[i].tlb);
	for (unsigned i = 0; i < machine->span_count; i++) {
		free(machine->shadows[i]);
		munmap(machine->bytes[i] - LH_PAGE_SIZE,
		       (size_t)((machine->spans[i].count + 2) * LH_PAGE_SIZE));
	}
	slot_taken[machine->slot] = false;
	free(machine);
}

/* --- RAM --- */

uint64_t machine_frames(const lh_port *machine)
{
	uint64_t frames = 0;

	for (unsigned i = 0; i < machine->span_count; i++)
		frames += machine->spans[i].count;
	return frames;
}

/* The span that a frame lies in; span_count where it lies in none. */
static unsigned span_of(const lh_port *machine, uint64_t frame)
{
	unsigned i = 0;

	while (i < machine->span_count &&
	       frame - machine->spans[i].first >= machine->spans[i].count)
		i++;
	return i;
}

bool machine_is_ram(const lh_port *machine, uint64_t frame)
{
	return span_of(machine, frame) < machine->span_count;
}

void *machine_bytes(const lh_port *machine, uint64_t frame)
{
	unsigned span = span_of(machine, frame);

	if (span == machine->span_count)
		return NULL;
	return machine->bytes[span] + (frame - machine->spans[span].first) * LH_PAGE_SIZE;
}

machine_frame *machine_shadow(const lh_port *machine, uint64_t frame)
{
	unsigned span = span_of(machine, frame);

	if (span == machine->span_count)
		return NULL;
	return &machine->shadows[span][frame - machine->spans[span].first];
}

bool machine_is_freed(const lh_port *machine, uint64_t frame)
{
	if (machine->threads)
		return machine->in_use &&
		       !machine->in_use(machine->in_use_context, lh_frame(frame));
	return machine_shadow(machine, frame)->is_free;
}

void machine_frame_allocated(lh_port *machine, lh_frame_number frame)
{
	machine_frame *shadow = machine_shadow(machine, frame.value);

	if (!shadow)
		machine_report(machine, "frame %#llx was allocated, but is no RAM",
			       (unsigned long long)frame.value);
	shadow->is_free = false;
}

void machine_frame_freed(lh_port *machine, lh_frame_number frame)
{
	machine_frame *shadow = machine_shadow(machine, frame.value);

	if (!shadow || shadow->is_free)
		machine_report(machine, "frame %#llx was freed, but %s",
			       (unsigned long long)frame.value, shadow ? "is free" : "is no RAM");
	shadow->is_free = true;
	shadow->freed_at = ++machine->events;
}

void machine_update_frames(lh_port *machine, bool (*in_use)(void *context, lh_frame_number frame),
			   void *context)
{
	machine_settle_operation(machine);
	for (unsigned i = 0; i < machine->span_count; i++) {
		for (uint64_t n = 0; n < machine->spans[i].count; n++) {
			lh_frame_number frame = lh_frame(machine->spans[i].first + n);
			bool is_free = !in_use(context, frame);

			if (is_free && !machine->shadows[i][n].is_free)
				machine_frame_freed(machine, frame);
			machine->shadows[i][n].is_free = is_free;
		}
	}
}

/* --- CPUs --- */

unsigned machine_current(const lh_port *machine)
{
	return current_cpu[machine->slot];
}

unsigned machine_run_on(lh_port *machine, unsigned cpu)
{
	unsigned before = machine_current(machine);

	if (cpu >= machine->cpu_count)
		machine_report(machine, "there is no CPU %u", cpu);
	if (machine->threads && cpu != before)
		machine_report(machine, "CPU %u's thread would run CPU %u", before, cpu);
	current_cpu[machine->slot] = cpu;
	return before;
}

void machine_become(lh_port *machine, unsigned cpu)
{
	current_cpu[machine->slot] = cpu;
}

lh_cpu_set machine_cpu_set(unsigned cpu)
{
	lh_cpu_set set = { { 0 } };

	set.bits[cpu / 64] = UINT64_C(1) << (cpu % 64);
	return set;
}

lh_cpu_set machine_all_cpus(const lh_port *machine)
{
	lh_cpu_set set = { { 0 } };

	for (unsigned cpu = 0; cpu < machine->cpu_count; cpu++)
		set.bits[cpu / 64] |= UINT64_C(1) << (cpu % 64);
	return set;
}
