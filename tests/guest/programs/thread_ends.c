/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signals to threads and to processes that have several, and how such a process ends: each way in
 * a child, whose status tells. Its output on the kernel must be that on Linux.
 *
 * usage: thread_ends; with an argument it is what one of its threads has executed
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "guest.h"

#define SLEEPERS 8
#define ALTERNATE_BYTES ((size_t)65536)

static sem_t ready;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static volatile char *nowhere;

static void say(const char *what, long value)
{
	printf("%s: %ld\n", what, value);
}

static pid_t own_tid(void)
{
	return (pid_t)syscall(SYS_gettid);
}

static void start(pthread_t *thread, void *(*function)(void *), void *argument)
{
	if (pthread_create(thread, NULL, function, argument) != 0)
		_exit(90);
}

/* --- signals --- */

static _Thread_local volatile sig_atomic_t caught;
static _Thread_local char *own_stack;
static _Thread_local volatile sig_atomic_t was_on_own_stack;

static void on_signal(int number)
{
	char here;

	(void)number;
	caught++;
	was_on_own_stack = own_stack != NULL && &here >= own_stack && &here < own_stack + ALTERNATE_BYTES;
}

static void catch_with(int number, void (*handler)(int), int flags)
{
	struct sigaction action = { .sa_flags = flags };

	action.sa_handler = handler;
	sigaction(number, &action, NULL);
}

static void block(int number, int how)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, number);
	pthread_sigmask(how, &set, NULL);
}

static bool is_pending(int number)
{
	sigset_t set;

	sigpending(&set);
	return sigismember(&set, number) == 1;
}

/* Has a stack for handlers, says that it is ready, and waits for a signal. */
static void *catch_one(void *on_stack)
{
	stack_t stack = { .ss_size = ALTERNATE_BYTES };
	sigset_t none;

	sigemptyset(&none);
	own_stack = malloc(ALTERNATE_BYTES);
	stack.ss_sp = own_stack;
	if (on_stack != NULL)
		sigaltstack(&stack, NULL);
	block(SIGUSR1, SIG_BLOCK);
	sem_post(&ready);
	sigsuspend(&none);
	free(own_stack);
	return (void *)(intptr_t)(caught * 10 + was_on_own_stack);
}

static void say_result(const char *what, pthread_t thread)
{
	void *result = NULL;

	pthread_join(thread, &result);
	say(what, (long)(intptr_t)result);
}

static void *wait_for_signal(void *unused)
{
	sigset_t set;
	int number = 0;

	(void)unused;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGCHLD);
	sem_post(&ready);
	sigwait(&set, &number);
	return (void *)(intptr_t)number;
}

static void *count_own(void *unused)
{
	(void)unused;
	block(SIGUSR2, SIG_UNBLOCK);
	sem_post(&ready);
	while (caught == 0)
		usleep(1000);
	return (void *)(intptr_t)caught;
}

static void try_directed_signals(void)
{
	pthread_t threads[2];

	catch_with(SIGUSR1, on_signal, SA_ONSTACK);
	start(&threads[0], catch_one, &ready);
	start(&threads[1], catch_one, NULL);
	sem_wait(&ready);
	sem_wait(&ready);
	pthread_kill(threads[1], SIGUSR1);
	say_result("one without a stack of its own", threads[1]);
	pthread_kill(threads[0], SIGUSR1);
	say_result("one with a stack of its own", threads[0]);
	say("caught here", caught);
	say("nobody of that number", syscall(SYS_tgkill, getpid(), 999999, 0));
	say("a thread of another process", syscall(SYS_tgkill, getpid() + 1, own_tid(), 0));
	say("this thread", syscall(SYS_tkill, own_tid(), 0));
}

/* A signal to the process reaches whoever does not block it; one to a thread is its own. */
static void try_undirected_signals(void)
{
	pthread_t thread;

	catch_with(SIGUSR2, on_signal, 0);
	block(SIGUSR2, SIG_BLOCK);
	caught = 0;
	start(&thread, count_own, NULL);
	sem_wait(&ready);
	kill(getpid(), SIGUSR2);
	say_result("the other one caught", thread);
	say("caught here", caught);
	kill(getpid(), SIGUSR2);
	pthread_kill(pthread_self(), SIGUSR1);
	say("pending for the process", is_pending(SIGUSR2));
	start(&thread, count_own, NULL);
	say_result("a new one caught what was pending", thread);
	sem_wait(&ready);
	say("pending for the process", is_pending(SIGUSR2));
	block(SIGUSR1, SIG_BLOCK);
	start(&thread, wait_for_signal, NULL);
	sem_wait(&ready);
	usleep(20000);
	kill(getpid(), SIGUSR1);
	say_result("one that waited for it got", thread);
	block(SIGCHLD, SIG_BLOCK);
	start(&thread, wait_for_signal, NULL);
	sem_wait(&ready);
	usleep(20000);
	kill(getpid(), SIGCHLD);
	say_result("and one that is ignored otherwise", thread);
	block(SIGCHLD, SIG_UNBLOCK);
}

static void *wait_for_either(void *unused)
{
	sigset_t set;
	int number = 0;

	(void)unused;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sem_post(&ready);
	sigwait(&set, &number);
	return (void *)(intptr_t)number;
}

/* Two signals come before either of two that wait for them has run, as there is one CPU for all
 * three: who is called for both takes one, and the other must be passed on. */
static void try_two_at_once(void)
{
	pthread_t threads[2];
	cpu_set_t all, one;
	void *numbers[2];

	sched_getaffinity(0, sizeof all, &all);
	CPU_ZERO(&one);
	CPU_SET((size_t)sched_getcpu(), &one);
	sched_setaffinity(0, sizeof one, &one);
	for (int i = 0; i < 2; i++)
		start(&threads[i], wait_for_either, NULL);
	sem_wait(&ready);
	sem_wait(&ready);
	usleep(20000);
	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR2);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], &numbers[i]);
	say("two that were sent at once, in the sum", (long)(intptr_t)numbers[0] + (long)(intptr_t)numbers[1]);
	sched_setaffinity(0, sizeof all, &all);
}

/* => SS_DISABLE: it has no stack for handlers. */
static long own_stack_flags(void)
{
	stack_t stack = { .ss_flags = -1 };

	sigaltstack(NULL, &stack);
	return stack.ss_flags;
}

static void *find_own_stack(void *unused)
{
	char name[16] = "";

	(void)unused;
	prctl(PR_SET_NAME, "another");
	prctl(PR_GET_NAME, name);
	return (void *)(own_stack_flags() + (strcmp(name, "another") == 0 ? 100 : 0));
}

/* Stacks for handlers go to children, and to those that borrow the memory, but not to threads. */
static void try_inheritance(void)
{
	stack_t stack = { .ss_size = ALTERNATE_BYTES }, none = { .ss_flags = SS_DISABLE };
	char name[16] = "";
	pthread_t thread;
	int status = -1;
	pid_t child;

	stack.ss_sp = malloc(ALTERNATE_BYTES);
	sigaltstack(&stack, NULL);
	prctl(PR_SET_NAME, "first");
	start(&thread, find_own_stack, NULL);
	say_result("a thread's stack for handlers, and its name", thread);
	prctl(PR_GET_NAME, name);
	printf("this thread's name: %s\n", name);
	child = vfork();
	if (child == 0)
		_exit((int)own_stack_flags());
	waitpid(child, &status, 0);
	printf("a child's, in this memory: %s\n", status_text(status));
	sigaltstack(&none, NULL);
	free(stack.ss_sp);
}

/* --- sleepers of every kind --- */

static int pipe_ends[2];

static void sleep_in(int kind)
{
	struct pollfd nothing = { .fd = pipe_ends[0], .events = POLLIN };
	sigset_t set;
	char byte;
	int number;

	sigfillset(&set);
	sigdelset(&set, SIGTERM);
	switch (kind) {
	case 0:
		number = (int)read(pipe_ends[0], &byte, 1);
		break;
	case 1:
		poll(&nothing, 1, -1);
		break;
	case 2:
		sleep(1000);
		break;
	case 3:
		pthread_mutex_lock(&mutex);
		pthread_cond_wait(&condition, &mutex);
		break;
	case 4:
		waitpid(-1, &number, 0);
		break;
	case 5:
		pause();
		break;
	case 6:
		sigwait(&set, &number);
		break;
	default:
		for (;;)
			nowhere = NULL;
	}
}

static void *sleep_for_ever(void *kind)
{
	sem_post(&ready);
	sleep_in((int)(intptr_t)kind);
	return NULL;
}

/* A child that waitpid has something to wait for, and that ends with its parent. */
static void start_sleepers(void)
{
	pthread_t thread;
	int ends[2];
	char byte;

	if (pipe(pipe_ends) != 0 || pipe(ends) != 0)
		_exit(91);
	if (fork() == 0) {
		close(ends[1]);
		_exit(read(ends[0], &byte, 1) == 0 ? 0 : 92);
	}
	for (int kind = 0; kind < SLEEPERS; kind++)
		start(&thread, sleep_for_ever, (void *)(intptr_t)kind);
	for (int kind = 0; kind < SLEEPERS; kind++)
		sem_wait(&ready);
	usleep(50000);
}

/* --- ways to end --- */

static void *exit_7(void *unused)
{
	(void)unused;
	exit(7);
}

static void *crash(void *unused)
{
	*nowhere = 1;
	return unused;
}

static void *abort_it(void *unused)
{
	(void)unused;
	abort();
}

static void *execute(void *unused)
{
	execl("/proc/self/exe", "thread_ends", "executed", (char *)NULL);
	return unused;
}

static void *do_nothing(void *unused)
{
	return unused;
}

static void *exit_5_late(void *unused)
{
	(void)unused;
	usleep(100000);
	exit(5);
}

static void *return_late(void *unused)
{
	usleep(100000);
	return unused;
}

static void *sleep_and_exec(void *unused)
{
	usleep(20000);
	return execute(unused);
}

static void end_by_thread(void *function)
{
	pthread_t thread;

	start_sleepers();
	start(&thread, *(void *(**)(void *))function, NULL);
	pthread_join(thread, NULL);
	pause();
}

static void end_by_main(void *unused)
{
	(void)unused;
	start_sleepers();
	_exit(3);
}

static void be_killed(void *unused)
{
	(void)unused;
	start_sleepers();
	kill(getpid(), SIGKILL);
	pause();
}

static void end_by_term(void *unused)
{
	(void)unused;
	start_sleepers();
	block(SIGTERM, SIG_BLOCK); /* others take it */
	kill(getpid(), SIGTERM);
	pause();
}

static void leave_main(void *function)
{
	pthread_t thread;

	start(&thread, *(void *(**)(void *))function, NULL);
	pthread_exit(NULL);
}

/* Without exit, the status of the thread that ends last is the process'. */
static void leave_main_by_call(void *unused)
{
	pthread_t thread;

	(void)unused;
	start(&thread, return_late, NULL);
	syscall(SYS_exit, 23);
}

static void execute_by_main(void *unused)
{
	start_sleepers();
	execute(unused);
}

static void two_execute(void *unused)
{
	pthread_t thread;

	start(&thread, sleep_and_exec, unused);
	start(&thread, sleep_and_exec, unused);
	pause();
}

/* After a failed exec all goes on. */
static void fail_to_execute(void *unused)
{
	pthread_t thread;
	void *result = NULL;

	(void)unused;
	start(&thread, return_late, &ready);
	execl("/nonexistent", "x", (char *)NULL);
	pthread_join(thread, &result);
	_exit(result == &ready ? 11 : 12);
}

static void *(*const exits)(void *) = exit_7;
static void *(*const crashes)(void *) = crash;
static void *(*const aborts)(void *) = abort_it;
static void *(*const executes)(void *) = execute;
static void *(*const exits_late)(void *) = exit_5_late;
static void *(*const returns_late)(void *) = return_late;

#define BY(function) ((void *)(uintptr_t)&(function))

static const struct {
	const char *name;
	void (*run)(void *);
	void *argument;
} ways[] = {
	{ "exit in a thread", end_by_thread, BY(exits) },
	{ "exit in the first", end_by_main, NULL },
	{ "a crash in a thread", end_by_thread, BY(crashes) },
	{ "abort in a thread", end_by_thread, BY(aborts) },
	{ "a kill", be_killed, NULL },
	{ "a signal that another thread takes", end_by_term, NULL },
	{ "an exec in a thread", end_by_thread, BY(executes) },
	{ "an exec in the first", execute_by_main, NULL },
	{ "two execs", two_execute, NULL },
	{ "an exec that fails", fail_to_execute, NULL },
	{ "pthread_exit in the first, exit later", leave_main, BY(exits_late) },
	{ "pthread_exit in the first, return later", leave_main, BY(returns_late) },
	{ "the first ends by its call", leave_main_by_call, NULL },
};

static lh_error try_ends(void)
{
	int status;

	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		LH_TRY(run_in_child(ways[i].run, ways[i].argument, &status));
		printf("%s: %s\n", ways[i].name, status_text(status & ~0x80));
	}
	return LH_OK;
}

/* --- stopping, forking --- */

struct counts { volatile long of[3]; };

static void *count_up(void *count)
{
	for (;;)
		++*(volatile long *)count;
	return NULL;
}

static void count_by_threads(void *argument)
{
	struct counts *counts = argument;
	pthread_t thread;

	start(&thread, count_up, (void *)(uintptr_t)&counts->of[0]);
	start(&thread, count_up, (void *)(uintptr_t)&counts->of[1]);
	start(&thread, sleep_for_ever, (void *)2);
	count_up((void *)(uintptr_t)&counts->of[2]);
}

static bool all_move(const struct counts *counts)
{
	struct counts before = *counts;

	for (int tries = 0; tries < 500; tries++) {
		usleep(10000);
		if (counts->of[0] != before.of[0] && counts->of[1] != before.of[1] &&
		    counts->of[2] != before.of[2])
			return true;
	}
	return false;
}

static bool any_moves(const struct counts *counts)
{
	struct counts before = *counts;

	usleep(100000);
	return memcmp(&before, counts, sizeof before) != 0;
}

static lh_error try_stopping(void)
{
	struct counts *counts;
	char *memory = NULL;
	pid_t child = -1;
	int status;

	LH_TRY(map_pages(1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, &memory));
	counts = (struct counts *)(void *)memory;
	LH_TRY(fork_process(&child));
	if (child == 0)
		count_by_threads(counts);
	say("its threads run", all_move(counts));
	for (int round = 0; round < 5; round++) {
		kill(child, SIGSTOP);
		LH_TRY(check_call(waitpid(child, &status, WUNTRACED)));
		printf("stopped: %d, any moves: %d\n", WIFSTOPPED(status) ? WSTOPSIG(status) : 0,
		       any_moves(counts));
		kill(child, SIGCONT);
		LH_TRY(check_call(waitpid(child, &status, WCONTINUED)));
		printf("continued: %d, all move: %d\n", WIFCONTINUED(status), all_move(counts));
	}
	kill(child, SIGSTOP);
	LH_TRY(check_call(waitpid(child, &status, WUNTRACED)));
	kill(child, SIGKILL);
	LH_TRY(wait_for(child, &status));
	printf("stopped and killed: %s\n", status_text(status));
	return LH_OK;
}

static void *stay_asleep(void *unused)
{
	pause();
	return unused;
}

static void *make_sleepers(void *unused)
{
	pthread_t thread;

	for (int i = 0; i < 20; i++)
		start(&thread, stay_asleep, unused);
	return stay_asleep(unused);
}

static void make_sleepers_by_threads(void *unused)
{
	pthread_t thread;

	start(&thread, make_sleepers, unused);
	start(&thread, make_sleepers, unused);
	make_sleepers(unused);
}

/* A thread that is made while the process stops, by one that has not stopped yet, stops too: else
 * the parent is never told. */
static lh_error try_stopping_makers(void)
{
	pid_t child = -1;
	int status;

	for (useconds_t round = 0; round < 30; round++) {
		LH_TRY(fork_process(&child));
		if (child == 0)
			make_sleepers_by_threads(NULL);
		usleep(1000 + round * 500);
		kill(child, SIGSTOP);
		LH_TRY(check_call(waitpid(child, &status, WUNTRACED)));
		if (!WIFSTOPPED(status))
			return LH_IO;
		kill(child, SIGKILL);
		LH_TRY(wait_for(child, &status));
	}
	printf("stopped while it made threads, killed: %s\n", status_text(status));
	return LH_OK;
}

static void *fork_one(void *unused)
{
	int status = 0;
	pid_t child;

	(void)unused;
	fflush(NULL);
	child = fork();
	if (child == 0)
		_exit(status_number("Threads") == 1 && getpid() == own_tid() ? 21 : 22);
	waitpid(child, &status, 0);
	return (void *)(intptr_t)WEXITSTATUS(status);
}

static void *wait_for_child(void *child)
{
	int status = 0;

	waitpid(*(pid_t *)child, &status, 0);
	return (void *)(intptr_t)WEXITSTATUS(status);
}

static lh_error try_forking(void)
{
	pthread_t thread;
	pid_t child;

	say("numbers of the first thread agree", getpid() == own_tid());
	start(&thread, fork_one, NULL);
	say_result("a thread's child, with one thread", thread);
	LH_TRY(fork_process(&child));
	if (child == 0)
		_exit(33);
	start(&thread, wait_for_child, &child);
	say_result("another thread waits for a child of this one", thread);
	for (int i = 0; i < 100; i++) {
		start(&thread, do_nothing, NULL);
		pthread_join(thread, NULL);
	}
	return LH_OK;
}

static lh_error run(void)
{
	sem_init(&ready, 0, 0);
	try_directed_signals();
	try_undirected_signals();
	try_two_at_once();
	try_inheritance();
	LH_TRY(try_ends());
	LH_TRY(try_stopping());
	LH_TRY(try_stopping_makers());
	return try_forking();
}

/* What is left of the process that executed this. */
static int be_executed(void)
{
	printf("executed: threads %ld, the number is the process' %d\n", status_number("Threads"),
	       getpid() == own_tid());
	fflush(stdout);
	return 44;
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		return be_executed();
	return report("thread_ends", run());
}
