/* SPDX-License-Identifier: BSD-2-Clause */
/* Accesses through TLB and page tables, and the architecture tier of the port. */
#include "cpu.h"

#include "machine_internal.h"

#include <stdio.h>
#include <string.h>

static machine_cpu *cpu_of(lh_port *machine, unsigned number)
{
	if (number >= machine->cpu_count)
		machine_report(machine, "there is no CPU %u", number);
	return &machine->cpus[number];
}

static uint64_t root_address(const machine_cpu *cpu)
{
	return cpu->root << LH_PAGE_SHIFT;
}

static uint64_t address_or_none(uint64_t frame)
{
	return frame == LH_NO_FRAME ? MMU_NO_ROOT : frame << LH_PAGE_SHIFT;
}

/* What the CPU's registers say of roots, and the rest zero. */
static mmu_request request_on(const machine_cpu *cpu)
{
	bool low = cpu->root != cpu->upper_root;

	return (mmu_request){ .root = low ? root_address(cpu) : MMU_NO_ROOT,
			      .upper_root = address_or_none(cpu->upper_root) };
}

/* --- what the walker reads --- */

/* The entry at a physical address; NULL where there is no RAM. Reports a freed table. */
static uint64_t *entry_at(lh_port *machine, uint64_t physical)
{
	uint64_t frame = physical >> LH_PAGE_SHIFT;
	uint8_t *bytes = machine_bytes(machine, frame);

	if (!bytes)
		return NULL;
	if (machine_is_freed(machine, frame))
		machine_report(machine,
			       "a walk on CPU %u reads a page table in frame %#llx, which is free",
			       machine_current(machine), (unsigned long long)frame);
	return (uint64_t *)(void *)(bytes + (physical & (LH_PAGE_SIZE - 1)));
}

static bool read_entry(void *context, uint64_t physical, uint64_t *entry)
{
	const uint64_t *place = entry_at(context, physical);

	if (place)
		*entry = __atomic_load_n(place, __ATOMIC_ACQUIRE);
	return place != NULL;
}

static bool exchange_entry(void *context, uint64_t physical, uint64_t *expected, uint64_t desired)
{
	uint64_t *place = entry_at(context, physical);

	if (!place || !__atomic_compare_exchange_n(place, expected, desired, false,
						   __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return false;
	machine_note_hardware(context, physical, desired);
	return true;
}

static mmu_memory memory_of(lh_port *machine)
{
	return (mmu_memory){ machine, read_entry, exchange_entry };
}

/* --- stale entries --- */

/* Why a TLB entry may not be used any more; NULL if it may. */
static const char *stale_reason(const lh_port *machine, uint64_t frame, uint64_t made)
{
	const machine_frame *shadow = machine_shadow(machine, frame);

	if (!shadow)
		return "is no RAM";
	if (machine_is_freed(machine, frame))
		return "is free";
	return !machine->threads && shadow->freed_at > made ? "was freed and given out again" : NULL;
}

/* The frame within the entry's page that is stale, and why. */
static const char *find_stale(const lh_port *machine, const mmu_tlb_entry *entry, uint64_t *frame)
{
	uint64_t first = (entry->is_upper ? entry->upper.table : entry->translation.physical) >>
			 LH_PAGE_SHIFT;
	unsigned level = entry->is_upper ? 0 : entry->translation.level;
	uint64_t count = UINT64_C(1) << (9 * level);
	const char *reason = NULL;

	for (uint64_t n = 0; n < count && !reason; n++) {
		*frame = first + n;
		reason = stale_reason(machine, first + n, entry->serial);
	}
	return reason;
}

struct stale_search {
	const lh_port *machine;
	unsigned cpu;
	bool found;
	char text[900];
};

static bool look_at_entry(void *context, const mmu_tlb_entry *entry)
{
	struct stale_search *search = context;
	const machine_cpu *cpu = &search->machine->cpus[search->cpu];
	uint64_t frame;
	const char *reason = find_stale(search->machine, entry, &frame);

	/* With PCIDs an entry of another root does no harm until that root is loaded again. */
	if (!reason || (cpu->control.process_context && entry->root != root_address(cpu) &&
			entry->root != address_or_none(cpu->upper_root) &&
			(entry->is_upper || !entry->translation.global)))
		return true;
	search->found = true;
	snprintf(search->text, sizeof search->text,
		 "CPU %u still has %s entry %llu (level %u, address %#llx, root %#llx) for frame "
		 "%#llx, which %s",
		 search->cpu, entry->is_upper ? "upper" : "TLB", (unsigned long long)entry->serial,
		 entry->is_upper ? entry->upper.level : entry->translation.level,
		 (unsigned long long)(entry->is_upper ? entry->upper.linear
						      : entry->translation.linear),
		 (unsigned long long)entry->root, (unsigned long long)frame, reason);
	return false;
}

/* The directory that the CPU has loaded must still be one. */
static void look_at_root(struct stale_search *search)
{
	uint64_t root = search->machine->cpus[search->cpu].root;

	if (root == LH_NO_FRAME || !machine_is_freed(search->machine, root))
		return;
	search->found = true;
	snprintf(search->text, sizeof search->text, "CPU %u has root %#llx loaded, which is free",
		 search->cpu, (unsigned long long)root);
}

const char *machine_check_tlbs(lh_port *machine)
{
	static _Thread_local struct stale_search search;
	const char *finding = machine_check_rest(machine, search.text, sizeof search.text);

	if (finding)
		return finding;
	search.machine = machine;
	search.found = false;
	for (unsigned cpu = 0; cpu < machine->cpu_count && !search.found; cpu++) {
		search.cpu = cpu;
		look_at_root(&search);
		if (!search.found)
			mmu_tlb_visit(&machine->cpus[cpu].tlb, look_at_entry, &search);
	}
	return search.found ? search.text : NULL;
}

size_t machine_tlb_count(const lh_port *machine, unsigned cpu)
{
	return machine->cpus[cpu].tlb.count;
}

/* --- accesses --- */

static const char *const access_names[] = { "read", "write", "fetch" };

/* The frame that an access arrived at must be somebody's. */
static void check_arrival(lh_port *machine, unsigned number, const mmu_request *request,
			  const mmu_result *result)
{
	uint64_t frame = result->physical >> LH_PAGE_SHIFT;
	uint64_t now = __atomic_load_n(&machine->events, __ATOMIC_RELAXED);
	uint64_t made = result->cached ? result->serial : now;
	const char *reason = stale_reason(machine, frame, made);

	if (!reason)
		return;
	machine_report(machine,
		       "CPU %u: %s at %#llx reaches frame %#llx, which %s (%s %llu of %llu)",
		       number, access_names[request->access], (unsigned long long)request->address,
		       (unsigned long long)frame, reason,
		       result->cached ? "by TLB entry, made at event" : "by a walk at event",
		       (unsigned long long)made, (unsigned long long)now);
}

/* A cached upper entry leads the walk: the table it names must still be one. */
static void check_upper(lh_port *machine, unsigned number, const mmu_request *request)
{
	const machine_cpu *cpu = &machine->cpus[number];
	const mmu_tlb_entry *upper;
	uint64_t frame, root;
	const char *reason;

	root = mmu_root_of(&cpu->control, request);
	if (mmu_tlb_find(&cpu->tlb, &cpu->control, root, request->address))
		return;
	upper = mmu_tlb_find_upper(&cpu->tlb, &cpu->control, root, request->address);
	reason = upper ? find_stale(machine, upper, &frame) : NULL;
	if (reason)
		machine_report(machine,
			       "CPU %u: a walk for %#llx goes by an upper entry cached at event "
			       "%llu into frame %#llx, which %s",
			       number, (unsigned long long)request->address,
			       (unsigned long long)upper->serial, (unsigned long long)frame,
			       reason);
}

static mmu_result translate(lh_port *machine, unsigned number, lh_virtual_address address,
			    mmu_access access, machine_mode mode)
{
	machine_cpu *cpu = cpu_of(machine, number);
	mmu_memory memory = memory_of(machine);
	mmu_request request = request_on(cpu);
	mmu_result result;

	request.address = address.value;
	request.access = access;
	request.user = mode == MACHINE_USER;
	if (cpu->root == LH_NO_FRAME)
		machine_report(machine, "CPU %u has no directory loaded", number);
	check_upper(machine, number, &request);
	result = mmu_translate(&cpu->tlb, &memory, &cpu->control, &request);
	if (result.outcome == MMU_NO_MEMORY)
		machine_report(machine, "CPU %u: the walk for %#llx reads %#llx, which is no RAM",
			       number, (unsigned long long)address.value,
			       (unsigned long long)result.missing);
	if (result.outcome == MMU_TRANSLATED)
		check_arrival(machine, number, &request, &result);
	return result;
}

/* The byte in RAM for an access, or NULL and a fault. */
static uint8_t *reach(lh_port *machine, unsigned cpu, lh_virtual_address address, mmu_access access,
		      machine_mode mode, machine_fault *fault)
{
	unsigned before = machine_run_on(machine, cpu);
	mmu_result result = translate(machine, cpu, address, access, mode);
	uint8_t *bytes = NULL;

	machine_run_on(machine, before);
	if (result.outcome == MMU_TRANSLATED)
		bytes = (uint8_t *)machine_bytes(machine, result.physical >> LH_PAGE_SHIFT) +
			(result.physical & (LH_PAGE_SIZE - 1));
	else
		*fault = (machine_fault){ address, result.error_code,
					  result.outcome == MMU_NOT_CANONICAL };
	return bytes;
}

/* Bytes from an address to the end of its page, at most those wanted. */
static size_t piece(lh_virtual_address address, size_t wanted)
{
	size_t rest = (size_t)(LH_PAGE_SIZE - (address.value & (LH_PAGE_SIZE - 1)));

	return wanted < rest ? wanted : rest;
}

/*
 * What other threads read or write at the same time: word by word where both are aligned, as
 * a CPU does, else byte by byte.
 */
static void move_atomically(uint8_t *ram, uint8_t *buffer, size_t bytes, mmu_access access)
{
	while (bytes > 0) {
		bool is_word = bytes >= 8 && ((uintptr_t)ram & 7) == 0;
		size_t part = is_word ? 8 : 1;
		uint64_t *place = (uint64_t *)(void *)ram, word;

		if (access == MMU_WRITE && is_word) {
			memcpy(&word, buffer, 8);
			__atomic_store_n(place, word, __ATOMIC_RELAXED);
		} else if (access == MMU_WRITE) {
			__atomic_store_n(ram, *buffer, __ATOMIC_RELAXED);
		} else if (is_word) {
			word = __atomic_load_n(place, __ATOMIC_RELAXED);
			memcpy(buffer, &word, 8);
		} else {
			*buffer = __atomic_load_n(ram, __ATOMIC_RELAXED);
		}
		ram += part;
		buffer += part;
		bytes -= part;
	}
}

static void move(const lh_port *machine, uint8_t *ram, uint8_t *buffer, size_t bytes,
		 mmu_access access)
{
	if (machine->threads && buffer)
		move_atomically(ram, buffer, bytes, access);
	else if (access == MMU_WRITE)
		memcpy(ram, buffer, bytes);
	else if (buffer)
		memcpy(buffer, ram, bytes);
}

/* Who is asked to flush does it between two accesses: until then nobody may free the frame. */
static void check_departure(lh_port *machine, unsigned cpu, lh_virtual_address address,
			    const uint8_t *ram)
{
	for (unsigned i = 0; i < machine->span_count; i++) {
		uint64_t frame = (uint64_t)(ram - machine->bytes[i]) / LH_PAGE_SIZE;

		if (ram < machine->bytes[i] || frame >= machine->spans[i].count ||
		    !machine_is_freed(machine, machine->spans[i].first + frame))
			continue;
		machine_report(machine, "CPU %u: frame %#llx was freed during an access at %#llx",
			       cpu, (unsigned long long)(machine->spans[i].first + frame),
			       (unsigned long long)address.value);
	}
}

/* => *done: bytes moved. */
static bool transfer(lh_port *machine, unsigned cpu, lh_virtual_address address, mmu_access access,
		     uint8_t *buffer, size_t bytes, machine_mode mode, machine_fault *fault,
		     size_t *done)
{
	while (*done < bytes) {
		lh_virtual_address at = lh_virtual(address.value + *done);
		size_t part = piece(at, bytes - *done);
		uint8_t *ram;

		if (machine->threads)
			machine_threads_poll(machine);
		machine_settle_operation(machine);
		ram = reach(machine, cpu, at, access, mode, fault);
		if (!ram)
			return false;
		move(machine, ram, buffer ? buffer + *done : NULL, part, access);
		if (machine->threads)
			check_departure(machine, cpu, at, ram);
		*done += part;
	}
	return true;
}

bool machine_read(lh_port *machine, unsigned cpu, lh_virtual_address address, void *to,
		  size_t bytes, machine_mode mode, machine_fault *fault)
{
	size_t done = 0;

	return transfer(machine, cpu, address, MMU_READ, to, bytes, mode, fault, &done);
}

bool machine_write(lh_port *machine, unsigned cpu, lh_virtual_address address, const void *from,
		   size_t bytes, machine_mode mode, machine_fault *fault)
{
	size_t done = 0;

	/* move() only reads the buffer of a write. */
	return transfer(machine, cpu, address, MMU_WRITE, (uint8_t *)(uintptr_t)from, bytes, mode,
			fault, &done);
}

bool machine_fetch(lh_port *machine, unsigned cpu, lh_virtual_address address, void *to,
		   size_t bytes, machine_mode mode, machine_fault *fault)
{
	size_t done = 0;

	return transfer(machine, cpu, address, MMU_FETCH, to, bytes, mode, fault, &done);
}

bool machine_try(lh_port *machine, unsigned cpu, lh_virtual_address address, mmu_access access,
		 machine_mode mode, machine_fault *fault)
{
	uint8_t byte = 0x11;
	size_t done = 0;

	return transfer(machine, cpu, address, access, &byte, 1, mode, fault, &done);
}

lh_rights machine_access_right(mmu_access access)
{
	return access == MMU_WRITE ? LH_RIGHT_WRITE
				   : access == MMU_FETCH ? LH_RIGHT_EXECUTE : LH_RIGHT_READ;
}

lh_rights machine_fault_right(const machine_fault *fault)
{
	if (fault->error_code & MMU_ERROR_WRITE)
		return LH_RIGHT_WRITE;
	return fault->error_code & MMU_ERROR_FETCH ? LH_RIGHT_EXECUTE : LH_RIGHT_READ;
}

/* Runs the handler on the CPU that faulted. */
static bool handle(lh_port *machine, unsigned cpu, const machine_fault *fault,
		   machine_resolve *resolve, void *context)
{
	unsigned before = machine_run_on(machine, cpu);
	bool resolved = !fault->not_canonical && resolve(context, cpu, fault);

	machine_run_on(machine, before);
	return resolved;
}

bool machine_access(lh_port *machine, unsigned cpu, lh_virtual_address address, mmu_access access,
		    void *buffer, size_t bytes, machine_mode mode, machine_resolve *resolve,
		    void *context, machine_fault *fault)
{
	machine_fault seen;
	size_t done = 0, before = 0;
	unsigned tries = 0;

	while (!transfer(machine, cpu, address, access, buffer, bytes, mode, &seen, &done)) {
		tries = done == before ? tries + 1 : 1;
		before = done;
		/* Other threads may take the page away each time; a stall is seen there. */
		if (tries > MACHINE_RETRIES_MAX && !machine->threads)
			machine_report(machine,
				       "CPU %u: %s at %#llx faults for ever (error code %#x), "
				       "though each fault was resolved",
				       cpu, access_names[access],
				       (unsigned long long)seen.address.value, seen.error_code);
		if (!handle(machine, cpu, &seen, resolve, context)) {
			if (fault)
				*fault = seen;
			return false;
		}
	}
	return true;
}

uint64_t machine_speculate(lh_port *machine, unsigned cpu, lh_virtual_address address,
			   uint64_t pages)
{
	machine_cpu *on = cpu_of(machine, cpu);
	mmu_memory memory = memory_of(machine);
	mmu_request request = request_on(on);
	uint64_t found = 0;

	request.speculative = true;

	if (on->root == LH_NO_FRAME)
		return 0;
	for (uint64_t n = 0; n < pages; n++) {
		request.address = address.value + n * LH_PAGE_SIZE;
		if (mmu_tlb_find(&on->tlb, &on->control, mmu_root_of(&on->control, &request),
				 request.address))
			continue;
		check_upper(machine, cpu, &request);
		if (mmu_walk(&memory, &on->control, &request, &on->tlb).outcome == MMU_TRANSLATED)
			found++;
	}
	return found;
}

bool machine_set_flags(lh_port *machine, unsigned cpu, lh_virtual_address address, mmu_access access)
{
	machine_cpu *on = cpu_of(machine, cpu);
	mmu_memory memory = memory_of(machine);
	mmu_request request = request_on(on);

	request.address = address.value;
	request.access = access;
	request.user = true;
	return on->root != LH_NO_FRAME &&
	       mmu_walk(&memory, &on->control, &request, NULL).outcome == MMU_TRANSLATED;
}

void machine_set_upper_root(lh_port *machine, lh_frame_number root)
{
	for (unsigned i = 0; i < machine->cpu_count; i++)
		machine->cpus[i].upper_root = root.value;
	machine_watch_again(machine);
}

/* --- the architecture tier of the port --- */

static machine_cpu *this_cpu_deaf(lh_port *port, const char *function)
{
	machine_cpu *cpu;

	if (!port)
		machine_report(NULL, "%s without a port", function);
	cpu = &port->cpus[machine_current(port)];
	if (cpu->interrupts)
		machine_report(port, "%s on CPU %u with interrupts on", function,
			       machine_current(port));
	return cpu;
}

void lh_architecture_flush_local(lh_port *port, lh_frame_number root, lh_virtual_range range,
				 bool global)
{
	machine_cpu *cpu = this_cpu_deaf(port, __func__);

	machine_enter(port, __func__);
	cpu->flushes++;
	machine_settle(port, true);
	if (port->hooks.flush)
		port->hooks.flush(port->hooks.context, machine_current(port), range);
	mmu_tlb_flush_pages(&cpu->tlb, root.value << LH_PAGE_SHIFT, range.base.value, range.pages,
			    global);
	machine_note_flush(port, root, range, global);
}

void lh_architecture_load(lh_port *port, lh_frame_number root)
{
	machine_cpu *cpu = this_cpu_deaf(port, __func__);
	uint64_t before;

	machine_enter(port, __func__);
	if (!machine_is_ram(port, root.value) || machine_is_freed(port, root.value))
		machine_report(port, "CPU %u loads a directory whose root, frame %#llx, is %s",
			       machine_current(port), (unsigned long long)root.value,
			       machine_is_ram(port, root.value) ? "free" : "no RAM");
	machine_settle(port, true);
	cpu->loads++;
	before = cpu->root;
	cpu->root = root.value;
	if (!cpu->control.process_context)
		mmu_tlb_flush_local(&cpu->tlb);
	machine_note_load(port, before);
}
