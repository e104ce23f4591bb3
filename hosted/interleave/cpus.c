/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hosted machine's CPUs as fibres: in place of threads.c, with the same functions behind the
 * port (../machine_internal.h). Fibre n is CPU n; CPUs without a fibre are idle and take calls.
 *
 * Calls. A CPU takes a call where the machine says that it looks for one: when it turns
 * interrupts on, pauses, parks, and before each access of its program. Looking is a step, at a
 * token of the CPU's own, which who calls it writes: so when it looks matters where there is a
 * call, and only there. A CPU that is parked, waits for its own call, or has ended, can be told
 * apart by nobody from one that takes a call at once: there the caller runs it.
 *
 * Flags. A CPU sets accessed and dirty flags in entries by a locked operation, which is a step; so it
 * may come between a load and a store of the library's. From then on the entry is watched: while it
 * is present and names the same place, what hardware has set stays.
 */
#include "../machine_internal.h"
#include "../threads.h"

#include "interleave.h"
#include "cpus.h"

#include <string.h>

#define ENTRIES_FLAGGED 64

struct machine_threads {
	uint64_t pending[INTERLEAVE_FIBRES]; /* CPUs that call this one */
	struct call {
		void (*function)(void *);
		void *argument;
		unsigned left;
	} calls[INTERLEAVE_FIBRES];
	const uint32_t *parked_on[INTERLEAVE_FIBRES];
	struct flagged {
		const uint64_t *place;
		uint64_t entry; /* as it was last */
	} flagged[ENTRIES_FLAGGED];
	unsigned flagged_count;
};

static struct machine_threads cpus;
static uint64_t events_before; /* the run's beginning */

#define TOKEN_CALLS 1 /* and one more for each CPU */

/*
 * In place of the adversary's (../adversary.h), by --wrap: it sleeps while a CPU is more than a
 * part of one thread, and its shadow of all tables would be part of each state.
 */
void __wrap_machine_watch(lh_port *machine, machine_frame_use *use, void *context);
void __wrap_machine_watch(lh_port *machine, machine_frame_use *use, void *context)
{
	(void)machine;
	(void)use;
	(void)context;
}

/* --- flags --- */

static struct flagged *find_flagged(const uint64_t *place)
{
	unsigned i = 0;

	while (i < cpus.flagged_count && cpus.flagged[i].place != place)
		i++;
	if (i == ENTRIES_FLAGGED)
		interleave_fail("more than %d entries with flags", ENTRIES_FLAGGED);
	if (i == cpus.flagged_count)
		cpus.flagged[cpus.flagged_count++].place = place;
	return &cpus.flagged[i];
}

/* In place of the adversary's, which sleeps. */
void __wrap_machine_note_hardware(lh_port *machine, uint64_t physical, uint64_t entry);
void __wrap_machine_note_hardware(lh_port *machine, uint64_t physical, uint64_t entry)
{
	const uint8_t *bytes = machine_bytes(machine, physical >> LH_PAGE_SHIFT);
	const uint64_t *place = (const uint64_t *)(const void *)(bytes + physical % LH_PAGE_SIZE);

	if (interleave_current() < 0)
		return;
	find_flagged(place)->entry = entry;
	interleave_watch(place);
}

void cpus_written(const lh_port *machine, const void *place)
{
	const mmu_architecture *architecture = machine->cpus[0].control.architecture;
	struct flagged *flagged = find_flagged(place);
	mmu_entry before = architecture->read(0, flagged->entry);
	mmu_entry now = architecture->read(0, *flagged->place);

	if (mmu_has_lost_flags(architecture, &before, &now))
		interleave_fail("a flag that the hardware set in an entry is lost: it was %#llx and is %#llx",
				(unsigned long long)flagged->entry,
				(unsigned long long)*flagged->place);
	flagged->entry = *flagged->place;
}

/* --- a run --- */

void cpus_begin(lh_port *machine)
{
	cpus = (struct machine_threads){ 0 };
	events_before = machine->events;
	machine->threads = &cpus;
}

/* The padding of structures is whatever lay on a stack. */
static void clear_padding(mmu_tlb_entry *entry)
{
	const mmu_upper upper = entry->upper;
	const mmu_translation translation = entry->translation;

	memset(&entry->upper, 0, sizeof entry->upper);
	entry->upper.linear = upper.linear;
	entry->upper.table = upper.table;
	entry->upper.level = upper.level;
	entry->upper.writable = upper.writable;
	entry->upper.user = upper.user;
	entry->upper.executable = upper.executable;
	entry->upper.executable_above = upper.executable_above;
	memset(&entry->translation, 0, sizeof entry->translation);
	entry->translation.linear = translation.linear;
	entry->translation.physical = translation.physical;
	entry->translation.entry = translation.entry;
	entry->translation.level = translation.level;
	entry->translation.writable = translation.writable;
	entry->translation.user = translation.user;
	entry->translation.readable = translation.readable;
	entry->translation.executable = translation.executable;
	entry->translation.executable_above = translation.executable_above;
	entry->translation.global = translation.global;
	entry->translation.dirty = translation.dirty;
}

static void settle_tlb(mmu_tlb *tlb)
{
	for (unsigned bucket = 0; bucket < MMU_BUCKETS; bucket++)
		for (mmu_tlb_entry *entry = tlb->buckets[bucket]; entry; entry = entry->next) {
			if (entry->serial > events_before)
				entry->serial = events_before;
			clear_padding(entry);
		}
}

/*
 * What only counts what happened is forgotten, so that two runs to one state are seen to be so.
 * So is when a CPU last flushed, and when a translation was cached: from now on frames are freed later than any of them.
 */
static void forget_counts(lh_port *machine)
{
	machine->events = events_before;
	machine->calls = machine->parks = machine->unparks = 0;
	for (unsigned i = 0; i < machine->cpu_count; i++) {
		machine_cpu *cpu = &machine->cpus[i];

		cpu->flushes = cpu->loads = cpu->calls = 0;
		cpu->last_flush.event = events_before;
		settle_tlb(&cpu->tlb);
	}
}

void cpus_end(lh_port *machine)
{
	machine->threads = NULL;
	machine_become(machine, 0);
	forget_counts(machine);
}

uintptr_t cpus_leave(const lh_port *machine)
{
	return machine_current(machine);
}

void cpus_enter(lh_port *machine, uintptr_t kept)
{
	machine_become(machine, (unsigned)kept);
}

static unsigned own_cpu(void)
{
	return (unsigned)interleave_current();
}

/* --- calls --- */

static void serve(lh_port *machine, unsigned own)
{
	uint64_t callers = cpus.pending[own];

	cpus.pending[own] = 0;
	interleave_drain(own); /* Intel SDM, volume 3A, "Store Buffer": on an interrupt */
	for (unsigned i = 0; i < INTERLEAVE_FIBRES; i++) {
		struct call *call = &cpus.calls[i];

		if (!(callers >> i & 1))
			continue;
		interleave_step(interleave_token(TOKEN_CALLS + own), true, "takes a call");
		machine_run_call(machine, own, call->function, call->argument);
		if (--call->left == 0)
			interleave_wake(i);
	}
}

void machine_threads_poll(lh_port *machine)
{
	unsigned own;

	if (interleave_current() < 0)
		return;
	/* While we run a call for another CPU there is nothing to look for. */
	own = own_cpu();
	if (machine_current(machine) != own)
		return;
	interleave_step(interleave_token(TOKEN_CALLS + own), false, "looks for calls");
	if (machine->cpus[own].interrupts && cpus.pending[own] != 0)
		serve(machine, own);
}

void machine_threads_note_interrupts(lh_port *machine, bool on)
{
	if (on)
		machine_threads_poll(machine);
}

/* Takes what calls there are, without looking again for later ones. */
static void serve_pending(lh_port *machine)
{
	while (cpus.pending[own_cpu()] != 0)
		serve(machine, own_cpu());
}

void cpus_idle(lh_port *machine)
{
	machine_threads_poll(machine);
	serve_pending(machine);
	if (!machine->cpus[own_cpu()].interrupts || machine->cpus[own_cpu()].depth != 0)
		interleave_fail("CPU %u's program ended with interrupts off", own_cpu());
}

static void run_for(lh_port *machine, unsigned target, const struct call *call)
{
	interleave_drain(target);
	machine_become(machine, target);
	machine_run_call(machine, target, call->function, call->argument);
	machine_become(machine, own_cpu());
}

static void call_one(lh_port *machine, unsigned own, unsigned target)
{
	struct call *call = &cpus.calls[own];

	if (target == own) {
		machine_run_call(machine, own, call->function, call->argument);
		return;
	}
	interleave_step(interleave_token(TOKEN_CALLS + target), true, "calls");
	if (interleave_has_ended(target) || interleave_is_waiting(target)) {
		run_for(machine, target, call);
		return;
	}
	cpus.pending[target] |= UINT64_C(1) << own;
	call->left++;
}

void machine_threads_call(lh_port *machine, const lh_cpu_set *set, void (*function)(void *),
			  void *argument)
{
	unsigned own = own_cpu();

	cpus.calls[own] = (struct call){ function, argument, 0 };
	for (unsigned cpu = 0; cpu < LH_MAX_CPUS; cpu++) {
		if (!(set->bits[cpu / 64] >> (cpu % 64) & 1))
			continue;
		if (cpu >= machine->cpu_count)
			machine_report(machine, "call to CPU %u, which the machine does not have",
				       cpu);
		call_one(machine, own, cpu);
	}
	while (cpus.calls[own].left != 0) {
		machine_threads_poll(machine);
		serve_pending(machine);
		if (cpus.calls[own].left != 0)
			interleave_wait("for a call to be taken");
	}
	machine_threads_poll(machine);
}

/* --- waiting --- */

void machine_threads_pause(lh_port *machine)
{
	interleave_yield();
	machine_threads_poll(machine);
}

void machine_threads_park(lh_port *machine, const uint32_t *word, uint32_t expected)
{
	unsigned own = own_cpu();

	machine_threads_poll(machine);
	interleave_step(word, true, "parks");
	serve_pending(machine);
	if (*word != expected)
		return;
	cpus.parked_on[own] = word;
	interleave_wait("parked");
	machine_threads_poll(machine);
}

void machine_threads_unpark(lh_port *machine, const uint32_t *word)
{
	(void)machine;
	interleave_step(word, true, "unparks");
	for (unsigned i = 0; i < INTERLEAVE_FIBRES; i++) {
		if (cpus.parked_on[i] != word)
			continue;
		cpus.parked_on[i] = NULL;
		interleave_wake(i);
	}
}

void machine_step(lh_port *machine, const char *what)
{
	(void)what;
	machine_threads_poll(machine);
}

void machine_threads_lock(lh_port *machine)
{
	(void)machine;
}

void machine_threads_unlock(lh_port *machine)
{
	(void)machine;
}
