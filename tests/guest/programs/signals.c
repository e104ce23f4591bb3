/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signals as programs rely on them: what a handler is told, the stack it runs on, what it
 * brings back, which calls start again. Its output on the kernel must be that on Linux.
 */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>

#include "guest.h"

#define ALTERNATE_BYTES ((size_t)65536)

static sigjmp_buf back;
static char *alternate;
static volatile sig_atomic_t fault_code, was_on_alternate, caught;
static void *volatile fault_address;
static volatile double disturbed;

static void on_fault(int number, siginfo_t *info, void *context)
{
	char here;

	(void)context;
	fault_code = info->si_code;
	fault_address = info->si_addr;
	was_on_alternate = &here >= alternate && &here < alternate + ALTERNATE_BYTES;
	siglongjmp(back, number);
}

static void on_signal(int number)
{
	(void)number;
	caught++;
}

static void on_child(int number, siginfo_t *info, void *context)
{
	(void)context;
	printf("  signal %d, code %d, status %d, from a process: %d\n", number, info->si_code,
	       info->si_status, info->si_pid > 0);
}

/* Uses the FPU, whose state must be the interrupted code's again afterwards. */
static void disturb(int number)
{
	(void)number;
	disturbed = disturbed * 3.25 + 1.0 / 3.0;
	caught++;
}

static void catch_with(int number, void (*handler)(int), int flags)
{
	struct sigaction action = { .sa_flags = flags };

	action.sa_handler = handler;
	sigaction(number, &action, NULL);
}

static void catch_information(int number, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = { .sa_flags = flags | SA_SIGINFO };

	action.sa_sigaction = handler;
	sigaction(number, &action, NULL);
}

/* --- faults --- */

static char *read_only;
static volatile int zero;
static volatile char sink;

static void write_read_only(void) { *read_only = 1; }
static void write_null(void) { *(volatile char *)(uintptr_t)(zero + 8) = 1; }
static void touch_not_canonical(void) { sink = *(volatile char *)(UINTPTR_MAX / 2 + 1); }
static void divide(void) { sink = (char)(1000 / zero); }
static void undefined(void) { __asm__ volatile("ud2"); }
static void privileged(void) { __asm__ volatile("cli"); }

__attribute__((noinline)) static int descend(int depth)
{
	volatile char room[4096];

	room[0] = (char)depth;
	return depth < 0 ? 0 : descend(depth + 1) + room[0];
}
static void overflow(void) { sink = (char)descend(1); }

static const struct {
	const char *name;
	void (*cause)(void);
} faults[] = {
	{ "a write to read-only memory", write_read_only },
	{ "a write near 0", write_null },
	{ "an address that is none", touch_not_canonical },
	{ "a division by zero", divide },
	{ "an undefined instruction", undefined },
	{ "a privileged instruction", privileged },
	{ "a stack that has no end", overflow },
};

static lh_error try_faults(void)
{
	static const int numbers[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL };
	stack_t stack = { .ss_size = ALTERNATE_BYTES };

	LH_TRY(private_pages(ALTERNATE_BYTES / PAGE, &alternate));
	LH_TRY(map_pages(1, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, &read_only));
	stack.ss_sp = alternate;
	LH_TRY(check_call(sigaltstack(&stack, NULL)));
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		catch_information(numbers[i], on_fault, SA_ONSTACK);
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		int number = sigsetjmp(back, 1);

		if (number == 0)
			faults[i].cause();
		printf("%s: signal %d, code %d, at read-only memory: %d, low: %d, alternate stack: %d\n",
		       faults[i].name, number, fault_code, fault_address == read_only,
		       (uintptr_t)fault_address < PAGE, was_on_alternate);
	}
	return LH_OK;
}

/* --- interrupted calls --- */

static void alarm_soon(int flags)
{
	struct itimerval timer = { .it_value = { 0, 100000 } };

	catch_with(SIGALRM, on_signal, flags);
	setitimer(ITIMER_REAL, &timer, NULL);
}

static void write_late(void *end)
{
	usleep(400000);
	sink = (char)write(*(int *)end, "x", 1);
}

static void say(const char *what, long result)
{
	printf("%s: %ld %s\n", what, result, result == -1 ? lh_error_name(last_error()) : "");
}

static lh_error try_interruptions(void)
{
	struct timespec second = { 1, 0 }, left = { 0, 0 };
	struct pollfd poll_one;
	int ends[2], status;
	pid_t child = -1;
	char byte;

	LH_TRY(check_call(pipe(ends)));
	poll_one = (struct pollfd){ .fd = ends[0], .events = POLLIN };
	alarm_soon(SA_RESTART);
	LH_TRY(fork_process(&child));
	if (child == 0) {
		write_late(&ends[1]);
		_exit(7);
	}
	say("a read that starts again", read(ends[0], &byte, 1));
	LH_TRY(wait_for(child, &status));
	alarm_soon(0);
	say("a read that does not", read(ends[0], &byte, 1));
	alarm_soon(SA_RESTART);
	say("nanosleep", nanosleep(&second, &left));
	printf("half a second and more was left: %d\n", left.tv_nsec > 500000000);
	alarm_soon(SA_RESTART);
	say("poll", poll(&poll_one, 1, 1000));
	say("poll that times out", poll(&poll_one, 1, 20));
	close(ends[1]);
	say("poll without a writer", poll(&poll_one, 1, 1000));
	printf("events: %#x, signals caught: %d\n", (unsigned)poll_one.revents, (int)caught);
	close(ends[0]);
	return LH_OK;
}

/* --- children and masks --- */

static void exit_3(void *unused)
{
	(void)unused;
	_exit(3);
}

static void die(void *unused)
{
	(void)unused;
	signal(SIGSEGV, SIG_DFL);
	write_null();
}

static lh_error try_children(void)
{
	int status;

	catch_information(SIGCHLD, on_child, SA_RESTART);
	LH_TRY(run_in_child(exit_3, NULL, &status));
	printf("%s\n", status_text(status));
	LH_TRY(run_in_child(die, NULL, &status));
	printf("%s\n", status_text(status & ~0x80)); /* whether Linux dumps is its settings' business */
	signal(SIGCHLD, SIG_DFL);
	return LH_OK;
}

static void try_masks(void)
{
	sigset_t blocked, set;

	caught = 0;
	catch_with(SIGUSR1, on_signal, 0);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	raise(SIGUSR1);
	raise(SIGUSR1);
	sigpending(&set);
	printf("while blocked: caught %d, pending %d\n", (int)caught, sigismember(&set, SIGUSR1));
	sigemptyset(&set);
	say("sigsuspend", sigsuspend(&set));
	sigprocmask(SIG_BLOCK, NULL, &set);
	printf("afterwards: caught %d, blocked %d\n", (int)caught, sigismember(&set, SIGUSR1));
	raise(SIGUSR1);
	sigprocmask(SIG_UNBLOCK, &blocked, NULL);
	printf("unblocked: caught %d\n", (int)caught);
}

static void try_floating_point(void)
{
	double value = 2.5;

	catch_with(SIGUSR2, disturb, 0);
	caught = 0;
	for (int i = 0; i < 1000; i++) {
		value = value * 1.0001 + 1.0 / (value + 1.0);
		raise(SIGUSR2);
	}
	printf("a sum across %d handlers: %.9f\n", (int)caught, value);
}

static lh_error run(void)
{
	LH_TRY(try_faults());
	LH_TRY(try_interruptions());
	LH_TRY(try_children());
	try_masks();
	try_floating_point();
	return LH_OK;
}

int main(void)
{
	return report("signals", run());
}
