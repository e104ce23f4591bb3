/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Panics. A test that expects one runs its function under an expectation, a jump buffer
 * on the stack; the innermost one of the thread catches. Without one the handler is
 * called, which ends the test, or the process. In a program that holds the test harness
 * an unexpected panic fails the test and the run goes on.
 */
#include "machine.h"

#include "machine_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_MAX 1400

/* The harness's, if the program has one: tests/harness.h. */
_Noreturn void test_fail(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4), weak));

struct expectation {
	struct expectation *outer;
	jmp_buf end;
};

static _Thread_local struct expectation *innermost;
static _Thread_local char last_message[MESSAGE_MAX];
static void (*panic_handler)(const char *message);

void machine_set_panic_handler(void (*handler)(const char *message))
{
	panic_handler = handler;
}

void machine_forget_expectations(void)
{
	innermost = NULL;
}

/* What a panic may leave behind in the middle of a change. */
struct cpu_states {
	unsigned current;
	unsigned depth[LH_MAX_CPUS];
	bool interrupts[LH_MAX_CPUS];
	lh_lock_record locks[LH_MAX_CPUS]; /* held by the library */
};

/* A thread that is one CPU looks at that one only. */
static bool is_ours(const lh_port *machine, const struct cpu_states *states, unsigned cpu)
{
	return !machine->threads || cpu == states->current;
}

static void save_cpus(const lh_port *machine, struct cpu_states *states)
{
	states->current = machine_current(machine);
	for (unsigned i = 0; i < machine->cpu_count; i++) {
		if (!is_ours(machine, states, i))
			continue;
		states->depth[i] = machine->cpus[i].depth;
		states->interrupts[i] = machine->cpus[i].interrupts;
		states->locks[i] = machine->cpus[i].locks;
	}
}

static void restore_cpus(lh_port *machine, const struct cpu_states *states)
{
	machine_run_on(machine, states->current);
	for (unsigned i = 0; i < machine->cpu_count; i++) {
		if (!is_ours(machine, states, i))
			continue;
		machine->cpus[i].depth = states->depth[i];
		machine->cpus[i].interrupts = states->interrupts[i];
		machine->cpus[i].locks = states->locks[i];
	}
}

/* True if the function returned, false if it ended in a panic. */
static bool returns(void (*function)(void *context), void *context)
{
	struct expectation here = { .outer = innermost };

	if (setjmp(here.end) != 0) {
		innermost = innermost->outer;
		return false;
	}
	innermost = &here;
	function(context);
	innermost = here.outer;
	return true;
}

const char *machine_expect_panic(lh_port *machine, void (*function)(void *context), void *context)
{
	struct cpu_states states = { 0 };

	if (machine)
		save_cpus(machine, &states);
	if (returns(function, context))
		return NULL;
	if (machine)
		restore_cpus(machine, &states);
	return last_message;
}

_Noreturn static void end_by_panic(void)
{
	if (innermost)
		longjmp(innermost->end, 1);
	if (panic_handler)
		panic_handler(last_message);
	if (test_fail)
		test_fail("panic", 0, "%s", last_message);
	fflush(stdout);
	fprintf(stderr, "panic: %s\n", last_message);
	abort();
}

void lh_port_panic(lh_port *port, const char *message)
{
	machine_enter(port, __func__);
	snprintf(last_message, sizeof last_message, "%s", message);
	end_by_panic();
}

void machine_report(lh_port *machine, const char *format, ...)
{
	static const char prefix[] = "machine: ";
	va_list arguments;

	(void)machine;
	memcpy(last_message, prefix, sizeof prefix);
	va_start(arguments, format);
	vsnprintf(last_message + sizeof prefix - 1, sizeof last_message - sizeof prefix + 1, format,
		  arguments);
	va_end(arguments);
	end_by_panic();
}
