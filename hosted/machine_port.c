/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The port of the hosted machine. Each function checks the context that port.h asks
 * for: a kernel would hang or corrupt itself there, a test gets a report.
 */
#include "machine.h"

#include "machine_internal.h"
#include "splitmix.h"

#include <stdio.h>
#include <string.h>

/* More turns of one spinning loop than any holder on another CPU could need; with one
 * thread there is no other holder, so this only says how soon we give up. */
#define PAUSES_MAX 100000

/* The machine behind the port; the caller does something else than spin. */
static lh_port *machine_of(lh_port *port, const char *function)
{
	if (!port)
		machine_report(NULL, "%s without a port", function);
	if (!port->threads)
		port->pauses = 0;
	return port;
}

static void count(uint64_t *counter)
{
	__atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
}

static machine_cpu *this_cpu(lh_port *machine)
{
	return &machine->cpus[machine_current(machine)];
}

static void require_interrupts_on(lh_port *machine, const char *function)
{
	if (!this_cpu(machine)->interrupts)
		machine_report(machine, "%s on CPU %u with interrupts off", function,
			       machine_current(machine));
}

/* Another context runs for a while, in this one's place: it holds what it takes itself. */
static lh_lock_record begin_other(machine_cpu *cpu)
{
	lh_lock_record own = cpu->locks;

	cpu->locks = (lh_lock_record){ 0 };
	return own;
}

static void end_other(machine_cpu *cpu, const lh_lock_record *own)
{
	cpu->locks = *own;
}

static void let_others_turn(lh_port *machine, machine_cpu *cpu)
{
	lh_lock_record own = begin_other(cpu);

	machine->hooks.turn(machine->hooks.context);
	end_other(cpu, &own);
}

/* => true: something happened. */
static bool let_others_unpark(lh_port *machine, machine_cpu *cpu, const uint32_t *word)
{
	lh_lock_record own = begin_other(cpu);
	bool happened = machine->hooks.park(machine->hooks.context, word);

	end_other(cpu, &own);
	return happened;
}

void machine_enter(lh_port *machine, const char *function)
{
	if (machine && machine->hooks.enter)
		machine->hooks.enter(machine->hooks.context, function);
}

/* --- map tier; lh_port_panic is in machine_panic.c --- */

void *lh_port_frame_pointer(lh_port *port, lh_frame_number frame)
{
	lh_port *machine = machine_of(port, __func__);
	void *bytes = machine_bytes(machine, frame.value);

	machine_enter(machine, __func__);
	if (!bytes)
		machine_report(machine, "lh_port_frame_pointer of frame %#llx, which is no RAM",
			       (unsigned long long)frame.value);
	machine_note_pointer(machine, frame.value);
	return bytes;
}

void lh_port_log(lh_port *port, const char *message)
{
	lh_port *machine = machine_of(port, __func__);
	char *line;

	machine_enter(machine, __func__);
	if (machine->threads)
		machine_threads_lock(machine);
	line = machine->log[machine->log_count++ % MACHINE_LOG_LINES];
	snprintf(line, MACHINE_LINE_MAX, "%s", message);
	if (machine->threads)
		machine_threads_unlock(machine);
}

const char *machine_log_line(const lh_port *machine, unsigned back)
{
	if (back >= MACHINE_LOG_LINES || back >= machine->log_count)
		return NULL;
	return machine->log[(machine->log_count - 1 - back) % MACHINE_LOG_LINES];
}

bool machine_log_has(const lh_port *machine, const char *text)
{
	const char *line;

	for (unsigned back = 0; (line = machine_log_line(machine, back)) != NULL; back++)
		if (strstr(line, text))
			return true;
	return false;
}

void machine_seed(lh_port *machine, uint64_t seed)
{
	machine->random_state = seed;
}

uint64_t lh_port_random(lh_port *port)
{
	lh_port *machine = machine_of(port, __func__);

	machine_enter(machine, __func__);
	if (machine->hooks.random)
		return machine->hooks.random(machine->hooks.context);
	return splitmix_number(
		__atomic_add_fetch(&machine->random_state, SPLITMIX_STEP, __ATOMIC_RELAXED));
}

/* --- SMP tier --- */

unsigned lh_port_cpu(lh_port *port)
{
	lh_port *machine = machine_of(port, __func__);

	machine_enter(machine, __func__);
	return machine_current(machine);
}

/*
 * The state that off returns and restore wants: whether interrupts were on, and, so that
 * a restore on another CPU or out of order is seen, the CPU and how deep the call nested.
 */
static uintptr_t interrupt_state(const lh_port *machine, const machine_cpu *cpu, bool were_on)
{
	uintptr_t number = machine_current(machine);

	return (uintptr_t)cpu->depth << 16 | number << 1 | (were_on ? 1 : 0);
}

uintptr_t lh_port_interrupts_off(lh_port *port)
{
	/* Not machine_of: a spinning loop turns interrupts off and on for each try. */
	machine_cpu *cpu;
	bool were_on;

	if (!port)
		machine_report(NULL, "%s without a port", __func__);
	machine_enter(port, __func__);
	cpu = this_cpu(port);
	were_on = cpu->interrupts;
	machine_settle(port, !were_on);
	if (were_on && port->hooks.turn && !port->threads)
		let_others_turn(port, cpu);
	cpu->interrupts = false;
	cpu->depth++;
	if (port->threads)
		machine_threads_note_interrupts(port, false);
	return interrupt_state(port, cpu, were_on);
}

void lh_port_interrupts_restore(lh_port *port, uintptr_t state)
{
	machine_cpu *cpu;

	if (!port)
		machine_report(NULL, "%s without a port", __func__);
	machine_enter(port, __func__);
	cpu = this_cpu(port);
	if (cpu->interrupts || cpu->depth == 0 ||
	    (state | 1) != interrupt_state(port, cpu, true))
		machine_report(port, "interrupts of CPU %u restored out of order (state %#llx)",
			       machine_current(port), (unsigned long long)state);
	machine_settle(port, (state & 1) == 0);
	cpu->depth--;
	cpu->interrupts = (state & 1) != 0;
	if (!cpu->interrupts)
		return;
	if (port->threads)
		machine_threads_note_interrupts(port, true);
	else if (port->hooks.turn)
		let_others_turn(port, cpu);
}

void machine_run_call(lh_port *machine, unsigned number, void (*function)(void *), void *argument)
{
	machine_cpu *cpu = &machine->cpus[number];
	unsigned depth = cpu->depth;

	cpu->interrupts = false;
	cpu->calls++;
	function(argument);
	if (cpu->interrupts || cpu->depth != depth || machine_current(machine) != number)
		machine_report(machine, "a function called on CPU %u left its interrupts changed",
			       number);
	cpu->interrupts = true;
}

/* Runs the function on one CPU, which this thread runs too. */
static void call_one(lh_port *machine, unsigned number, void (*function)(void *), void *argument)
{
	unsigned caller;

	if (!machine->cpus[number].interrupts)
		machine_report(machine, "CPU %u waits for CPU %u, which has interrupts off",
			       machine_current(machine), number);
	caller = machine_run_on(machine, number);
	machine_run_call(machine, number, function, argument);
	machine_run_on(machine, caller);
}

void lh_port_call_cpus(lh_port *port, const lh_cpu_set *cpus, void (*function)(void *),
		       void *argument)
{
	lh_port *machine = machine_of(port, __func__);

	machine_enter(machine, __func__);
	require_interrupts_on(machine, __func__);
	machine_settle(machine, false);
	count(&machine->calls);
	if (machine->threads) {
		machine_threads_call(machine, cpus, function, argument);
		return;
	}
	for (unsigned cpu = 0; cpu < LH_MAX_CPUS; cpu++) {
		if (!(cpus->bits[cpu / 64] >> (cpu % 64) & 1))
			continue;
		if (cpu >= machine->cpu_count)
			machine_report(machine, "call to CPU %u, which the machine does not have",
				       cpu);
		call_one(machine, cpu, function, argument);
	}
}

void lh_port_pause(lh_port *port)
{
	if (!port)
		machine_report(NULL, "%s without a port", __func__);
	machine_enter(port, __func__);
	if (port->threads)
		machine_threads_pause(port);
	else if (++port->pauses > PAUSES_MAX)
		machine_report(port, "CPU %u spins for ever: deadlock", machine_current(port));
}

void lh_port_park(lh_port *port, const uint32_t *word, uint32_t expected)
{
	lh_port *machine = machine_of(port, __func__);

	machine_enter(machine, __func__);
	require_interrupts_on(machine, __func__);
	machine_settle(machine, false);
	count(&machine->parks);
	if (machine->threads) {
		machine_threads_park(machine, word, expected);
		return;
	}
	if (__atomic_load_n(word, __ATOMIC_SEQ_CST) != expected)
		return;
	if (machine->hooks.park && let_others_unpark(machine, this_cpu(machine), word))
		return;
	machine_report(machine, "CPU %u parks with nobody to unpark it: deadlock",
		       machine_current(machine));
}

void lh_port_unpark(lh_port *port, const uint32_t *word)
{
	lh_port *machine = machine_of(port, __func__);

	machine_enter(machine, __func__);
	count(&machine->unparks);
	if (machine->threads)
		machine_threads_unpark(machine, word);
}

/* --- debug tier --- */

lh_lock_record *lh_port_lock_record(lh_port *port)
{
	if (!port)
		machine_report(NULL, "%s without a port", __func__);
	machine_enter(port, __func__);
	return &this_cpu(port)->locks;
}

bool lh_port_interrupts_are_on(lh_port *port)
{
	if (!port)
		machine_report(NULL, "%s without a port", __func__);
	machine_enter(port, __func__);
	return this_cpu(port)->interrupts;
}

/* --- fault tier --- */

bool lh_port_memory_pressure(lh_port *port, uint64_t pages)
{
	lh_port *machine = machine_of(port, __func__);

	machine_enter(machine, __func__);
	require_interrupts_on(machine, __func__);
	count(&machine->pressures);
	return machine->hooks.memory_pressure &&
	       machine->hooks.memory_pressure(machine->hooks.context, pages);
}
