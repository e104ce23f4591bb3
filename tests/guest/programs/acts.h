/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hostile acts by a table: each in a child of its own, with handlers on an alternate stack
 * that leave what they were told in a page shared with the parent. What becomes of an act is a text,
 * and the table says which: the one that Linux gives. So the tables are checked on Linux too, but
 * for the acts whose end is the CPU's, the hypervisor's or the configuration's business there.
 *
 *     goes on                      it did no harm, and was not stopped
 *     signal 11 code 1 at ADDRESS  its handler was told so; ADDRESS is "the address" (which the act
 *                                  had set), "the instruction" (that was interrupted), or a number
 *     killed by signal 11          nobody was told
 *     exit 3                       the act ended by itself
 */
#ifndef TESTS_GUEST_ACTS_H
#define TESTS_GUEST_ACTS_H

#include <signal.h>
#include <ucontext.h>

#include "guest.h"

#define ACT_STACK_BYTES ((size_t)65536)

enum where {
	ANYWHERE,
	ONLY_HERE,    /* Linux may do otherwise */
	NOT_EMULATED, /* QEMU's CPU does not raise it: on Linux only */
	WITHOUT_SMAP, /* QEMU 7.2's far and interrupt returns of a program fault where SMAP is on */
};

struct act {
	const char *name;
	void (*commit)(uint64_t argument);
	uint64_t argument;
	const char *expected;
	enum where where;
};

/* What a handler was told: in shared memory. */
struct told {
	volatile int signal, code;
	volatile uint64_t address, instruction, expected;
};

UNUSED static struct told *told;

/* An act says where its fault should lie. */
UNUSED static void act_expect(uint64_t address)
{
	told->expected = address;
}

UNUSED static void act_tell(int number, siginfo_t *info, void *context)
{
	const ucontext_t *interrupted = context;

	told->signal = number;
	told->code = info->si_code;
	told->address = (uint64_t)(uintptr_t)info->si_addr;
	told->instruction = (uint64_t)interrupted->uc_mcontext.gregs[REG_RIP];
	_exit(0);
}

static const int act_signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS };

/* Handlers for all faults, on an alternate stack. */
UNUSED static void act_catch(void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK | flags };

	action.sa_sigaction = handler;
	for (size_t i = 0; i < sizeof act_signals / sizeof *act_signals; i++)
		sigaction(act_signals[i], &action, NULL);
}

LH_MUST_USE UNUSED static lh_error act_stack(void)
{
	stack_t stack = { .ss_size = ACT_STACK_BYTES };
	char *memory = NULL;

	LH_TRY(private_pages(ACT_STACK_BYTES / PAGE, &memory));
	stack.ss_sp = memory;
	return check_call(sigaltstack(&stack, NULL));
}

static void act_run(void *context)
{
	const struct act *act = context;

	if (act_stack() != LH_OK)
		_exit(99);
	act_catch(act_tell, 0);
	alarm(20); /* an act that hangs is one that failed */
	act->commit(act->argument);
	told->signal = -1;
}

static const char *act_place(char *text, size_t capacity)
{
	if (told->expected != 0 && told->address == told->expected)
		return "the address";
	if (told->address != 0 && told->address == told->instruction)
		return "the instruction";
	snprintf(text, capacity, "%#llx", (unsigned long long)told->address);
	return text;
}

static void act_outcome(int status, char *text, size_t capacity)
{
	char place[32];

	if (WIFSIGNALED(status))
		snprintf(text, capacity, "killed by signal %d", WTERMSIG(status));
	else if (told->signal > 0)
		snprintf(text, capacity, "signal %d code %d at %s", told->signal, told->code,
			 act_place(place, sizeof place));
	else if (told->signal == -1)
		snprintf(text, capacity, "goes on");
	else
		snprintf(text, capacity, "exit %d", WEXITSTATUS(status));
}

static bool act_is_wanted(const struct act *act, const char *which)
{
	if (which != NULL && strcmp(which, "linux") == 0)
		return act->where != ONLY_HERE;
	if (which != NULL && strcmp(which, "smap") == 0)
		return act->where != NOT_EMULATED && act->where != WITHOUT_SMAP;
	if (which == NULL)
		return act->where != NOT_EMULATED;
	return strstr(act->name, which) != NULL;
}

/* One act. *wrong counts those that do not end as the table says; each is named. */
LH_MUST_USE static lh_error act_try(const struct act *wanted, int *wrong)
{
	struct act act = *wanted;
	char outcome[128];
	int status;

	memset(told, 0, sizeof *told);
	LH_TRY(run_in_child(act_run, &act, &status));
	act_outcome(status, outcome, sizeof outcome);
	if (strcmp(outcome, act.expected) != 0) {
		printf("%s: %s, not %s\n", act.name, outcome, act.expected);
		++*wrong;
	}
	return LH_OK;
}

/* Which acts: NULL: all; "linux": those that end so on every Linux; "smap": all where QEMU has
 * SMAP; else by a part of their names. */
LH_MUST_USE static lh_error act_try_all(const struct act *acts, size_t count, const char *which,
					int *tried, int *wrong)
{
	char *shared = NULL;

	LH_TRY(map_pages(1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, &shared));
	told = (struct told *)(void *)shared;
	for (size_t i = 0; i < count; i++)
		if (act_is_wanted(&acts[i], which)) {
			++*tried;
			LH_TRY(act_try(&acts[i], wrong));
		}
	return LH_OK;
}

/* What main does. => its exit status: 0 if each act ended as it must. */
UNUSED static int act_main(int argc, char **argv, const struct act *acts, size_t count)
{
	int tried = 0, wrong = 0;
	lh_error error = act_try_all(acts, count, argc > 1 ? argv[1] : NULL, &tried, &wrong);

	if (error == LH_OK)
		printf("%d acts, %d end otherwise than they must\n", tried, wrong);
	return report(argv[0], error) != 0 || wrong != 0 || tried == 0;
}

/* --- code made while running --- */

/* Executable memory that holds these bytes, and returns. */
UNUSED static void (*act_code(const void *bytes, size_t count))(void)
{
	char *memory = NULL;

	if (map_pages(1, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, &memory) != LH_OK)
		_exit(98);
	memcpy(memory, bytes, count);
	memory[count] = (char)0xc3;
	return (void (*)(void))(uintptr_t)memory;
}

#endif
