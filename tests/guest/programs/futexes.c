/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * futex(2), clone(2) and their kin by the calls themselves: results and errors, whom a wake
 * reaches, words that processes share. Its output on the kernel must be that on Linux.
 */
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>

#include "guest.h"

#define WAITERS 5
#define SOON 30000000L /* nanoseconds */

static uint32_t words[4];
static volatile sig_atomic_t caught;

static long futex(void *word, int operation, uint32_t value, const void *time, void *second, uint32_t third)
{
	long result = syscall(SYS_futex, word, operation, value, time, second, third);

	return result == -1 ? -errno : result;
}

static void say(const char *what, long value)
{
	printf("%s: %ld\n", what, value);
}

static long negative_errno(long result)
{
	return result == -1 ? -errno : result;
}

/* --- errors --- */

static void try_errors(void)
{
	struct timespec none = { 0, 0 }, bad = { 0, 1000000000 }, soon = { 0, SOON };
	char *word = (char *)words;
	void *kernel = (void *)(uintptr_t)0xffff800000000000u, *nothing = (void *)64;

	say("another value", futex(word, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0));
	say("another value, shared", futex(word, FUTEX_WAIT, 1, NULL, NULL, 0));
	say("not aligned", futex(word + 1, FUTEX_WAIT_PRIVATE, 0, &none, NULL, 0));
	say("wake, not aligned", futex(word + 2, FUTEX_WAKE, 1, NULL, NULL, 0));
	say("an address of the kernel", futex(kernel, FUTEX_WAIT_PRIVATE, 0, &none, NULL, 0));
	say("wake there", futex(kernel, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
	say("nothing mapped", futex(nothing, FUTEX_WAIT_PRIVATE, 0, &none, NULL, 0));
	say("nothing mapped, shared", futex(nothing, FUTEX_WAIT, 0, &none, NULL, 0));
	say("wake there", futex(nothing, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
	say("wake there, shared", futex(nothing, FUTEX_WAKE, 1, NULL, NULL, 0));
	say("no time at all", futex(word, FUTEX_WAIT_PRIVATE, 0, &none, NULL, 0));
	say("some time", futex(word, FUTEX_WAIT_PRIVATE, 0, &soon, NULL, 0));
	say("some time, shared", futex(word, FUTEX_WAIT, 0, &soon, NULL, 0));
	say("a moment that is past", futex(word, FUTEX_WAIT_BITSET_PRIVATE, 0, &soon, NULL, 1));
	say("and by the wall clock", futex(word, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 0,
					   &soon, NULL, FUTEX_BITSET_MATCH_ANY));
	say("a time that is none", futex(word, FUTEX_WAIT_PRIVATE, 0, &bad, NULL, 0));
	say("a time that cannot be read", futex(word, FUTEX_WAIT_PRIVATE, 0, nothing, NULL, 0));
	say("no bits", futex(word, FUTEX_WAIT_BITSET_PRIVATE, 0, &none, NULL, 0));
	say("wake with no bits", futex(word, FUTEX_WAKE_BITSET_PRIVATE, 1, NULL, NULL, 0));
	say("wake nobody", futex(word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
	say("move nobody", futex(word, FUTEX_REQUEUE_PRIVATE, 1, (void *)1, words + 1, 0));
	say("move if, another value", futex(word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)1, words + 1, 9));
	say("move less than none", futex(word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)-1, words + 1, 0));
	say("an operation that is none", futex(word, 77, 0, NULL, NULL, 0));
	say("the wall clock for a wake", futex(word, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 1, NULL, NULL, 0));
}

/* --- who is woken --- */

static struct waiter {
	pthread_t thread;
	uint32_t *word;
	uint32_t bits;
	int flags;
	bool is_waiting;
	long result;
} waiters[WAITERS];

static void *wait_for_word(void *argument)
{
	struct waiter *waiter = argument;

	__atomic_store_n(&waiter->is_waiting, true, __ATOMIC_RELEASE);
	waiter->result = futex(waiter->word, FUTEX_WAIT_BITSET | waiter->flags, 0, NULL, NULL, waiter->bits);
	__atomic_store_n(&waiter->is_waiting, false, __ATOMIC_RELEASE);
	return NULL;
}

/* So many wait for the word: those that are moved to where they are. */
static long count_waiters(uint32_t *word, int flags)
{
	return futex(word, FUTEX_REQUEUE | flags, 0, (void *)(uintptr_t)INT32_MAX, word, 0);
}

static lh_error start_waiters(uint32_t *word, int flags)
{
	for (unsigned i = 0; i < WAITERS; i++) {
		waiters[i] = (struct waiter){ .word = word, .bits = 1u << i, .flags = flags };
		LH_TRY(lh_error_from_errno(
			pthread_create(&waiters[i].thread, NULL, wait_for_word, &waiters[i])));
		while (count_waiters(word, flags) != i + 1)
			usleep(1000);
	}
	return LH_OK;
}

/* The set of those that wait, when all that were woken have said so. */
static unsigned still_waiting(int flags)
{
	unsigned set = 0;

	do {
		usleep(1000);
		set = 0;
		for (unsigned i = 0; i < WAITERS; i++)
			if (__atomic_load_n(&waiters[i].is_waiting, __ATOMIC_ACQUIRE))
				set |= 1u << i;
	} while (__builtin_popcount(set) !=
		 count_waiters(words, flags) + count_waiters(words + 2, flags));
	return set;
}

static void join_waiters(void)
{
	long sum = 0;

	for (unsigned i = 0; i < WAITERS; i++) {
		pthread_join(waiters[i].thread, NULL);
		sum += waiters[i].result;
	}
	say("the sum of their results", sum);
}

static lh_error try_wakes(int flags)
{
	LH_TRY(start_waiters(words, flags));
	say("the other word", futex(words + 1, FUTEX_WAKE | flags, 9, NULL, NULL, 0));
	say("by bits", futex(words, FUTEX_WAKE_BITSET | flags, 9, NULL, NULL, 8 | 2));
	say("who waits", still_waiting(flags));
	say("the first", futex(words, FUTEX_WAKE | flags, 1, NULL, NULL, 0));
	say("who waits", still_waiting(flags));
	say("the rest", futex(words, FUTEX_WAKE | flags, INT32_MAX, NULL, NULL, 0));
	join_waiters();
	LH_TRY(start_waiters(words, flags));
	say("one woken, three moved",
	    futex(words, FUTEX_CMP_REQUEUE | flags, 1, (void *)3, words + 2, 0));
	say("who waits", still_waiting(flags));
	say("at the first word", futex(words, FUTEX_WAKE | flags, 9, NULL, NULL, 0));
	say("at the other", futex(words + 2, FUTEX_WAKE | flags, 9, NULL, NULL, 0));
	join_waiters();
	LH_TRY(start_waiters(words, flags));
	say("all moved", futex(words, FUTEX_REQUEUE | flags, 0, (void *)9, words + 2, 0));
	say("at the first word", futex(words, FUTEX_WAKE | flags, 9, NULL, NULL, 0));
	say("at the other", futex(words + 2, FUTEX_WAKE | flags, 9, NULL, NULL, 0));
	join_waiters();
	return LH_OK;
}

/* --- words that are shared --- */

static void wait_in_child(void *word)
{
	struct timespec long_time = { 20, 0 };
	long result = futex(word, FUTEX_WAIT, 0, &long_time, NULL, 0);

	_exit((int)-result & 127);
}

/* A child waits for the word where it has it; the parent wakes where it has it. */
static lh_error try_shared_word(const char *what, char *childs, char *own, bool reaches)
{
	pid_t child = -1;
	long woken = 0;
	int status;

	LH_TRY(fork_process(&child));
	if (child == 0)
		wait_in_child(childs);
	for (int tries = 0; tries < (reaches ? 500 : 20) && woken == 0; tries++) {
		usleep(10000);
		woken = futex(own, FUTEX_WAKE, 1, NULL, NULL, 0);
	}
	if (!reaches)
		kill(child, SIGKILL);
	LH_TRY(wait_for(child, &status));
	printf("%s: woken %ld, %s\n", what, woken, status_text(status));
	return LH_OK;
}

static lh_error try_shared_words(void)
{
	char name[] = "/tmp/landhold-futex-XXXXXX", *anonymous = NULL, *private = NULL, *first, *second;
	int file = mkstemp(name);

	LH_TRY(check_call(file));
	unlink(name);
	LH_TRY(check_call(ftruncate(file, (off_t)(2 * PAGE))));
	LH_TRY(map_pages(2, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, &anonymous));
	LH_TRY(private_pages(2, &private));
	memset(private, 0, 2 * PAGE);
	first = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	second = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, (off_t)PAGE);
	if (first == MAP_FAILED || second == MAP_FAILED)
		return last_error();
	LH_TRY(try_shared_word("shared anonymous memory", anonymous + PAGE + 8, anonymous + PAGE + 8, true));
	LH_TRY(try_shared_word("another page of it", anonymous + PAGE + 8, anonymous + 8, false));
	LH_TRY(try_shared_word("two mappings of a file", first + PAGE + 64, second + 64, true));
	LH_TRY(try_shared_word("another page of the file", first + 64, second + 64, false));
	LH_TRY(try_shared_word("private memory", private + 64, private + 64, false));
	close(file);
	return LH_OK;
}

/* --- signals --- */

static void on_signal(int number)
{
	(void)number;
	caught++;
}

/* Waits for its word, with a time or without, while another thread sends signals. */
static void *wait_interrupted(void *time)
{
	return (void *)(intptr_t)futex(words + 3, FUTEX_WAIT_PRIVATE, 0, time, NULL, 0);
}

static lh_error interrupt(const char *what, int flags, const struct timespec *time, bool wakes)
{
	struct sigaction action = { .sa_flags = flags };
	pthread_t thread;
	void *result;

	action.sa_handler = on_signal;
	sigaction(SIGUSR1, &action, NULL);
	caught = 0;
	LH_TRY(lh_error_from_errno(
		pthread_create(&thread, NULL, wait_interrupted, (void *)(uintptr_t)time)));
	while (count_waiters(words + 3, FUTEX_PRIVATE_FLAG) == 0)
		usleep(1000);
	pthread_kill(thread, SIGUSR1);
	while (caught == 0)
		usleep(1000);
	while (wakes && futex(words + 3, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) == 0)
		usleep(1000);
	pthread_join(thread, &result);
	printf("%s: %ld, caught %d\n", what, (long)(intptr_t)result, (int)caught);
	return LH_OK;
}

static lh_error try_interruptions(void)
{
	static const struct timespec a_while = { 100, 0 };

	LH_TRY(interrupt("interrupted", 0, NULL, false));
	LH_TRY(interrupt("interrupted, and again until woken", SA_RESTART, NULL, true));
	LH_TRY(interrupt("interrupted in some time", 0, &a_while, false));
	return interrupt("interrupted in some time, again", SA_RESTART, &a_while, false);
}

/* --- clone and its kin --- */

static int run_clone(void *argument)
{
	*(volatile int *)argument = 6;
	return 9;
}

static long raw_clone(unsigned long flags, void *tls)
{
	return negative_errno(syscall(SYS_clone, flags, NULL, NULL, NULL, tls));
}

static lh_error try_clone(void)
{
	static char stack[65536] __attribute__((aligned(16)));
	static volatile int seen;
	int status;
	pid_t child;

	say("a thread without handlers", raw_clone(CLONE_THREAD | CLONE_VM, NULL));
	say("handlers without memory", raw_clone(CLONE_SIGHAND | SIGCHLD, NULL));
	say("a thread without memory", raw_clone(CLONE_THREAD | CLONE_SIGHAND, NULL));
	say("TLS in the kernel", raw_clone(CLONE_SETTLS | SIGCHLD, (void *)(uintptr_t)0xffff800000000000u));
	child = clone(run_clone, stack + sizeof stack, CLONE_VM | SIGCHLD, (void *)(uintptr_t)&seen);
	LH_TRY(check_call(child));
	LH_TRY(wait_for(child, &status));
	printf("a process in this memory: %s, wrote %d\n", status_text(status), seen);
	return LH_OK;
}

static void try_robust_lists(void)
{
	struct robust_list_head *head = NULL;
	size_t bytes = 0;

	say("another size", negative_errno(syscall(SYS_set_robust_list, &bytes, 23)));
	say("the list", negative_errno(syscall(SYS_get_robust_list, 0, &head, &bytes)));
	printf("%zu bytes, there is one: %d\n", bytes, head != NULL);
	say("that of nobody", negative_errno(syscall(SYS_get_robust_list, 999999, &head, &bytes)));
	say("to nowhere", negative_errno(syscall(SYS_get_robust_list, 0, NULL, &bytes)));
	say("set_tid_address gives the number",
	    syscall(SYS_set_tid_address, NULL) == syscall(SYS_gettid));
}

/* A list that closes in a circle without its head, a lock nowhere: the thread ends all the same. */
static void *die_with_nonsense(void *where)
{
	static struct robust_list circle = { &circle };
	static struct robust_list_head head = { { &circle }, 64, NULL };

	head.list.next = where != NULL ? where : &circle;
	head.list_op_pending = where;
	syscall(SYS_set_robust_list, &head, sizeof head);
	syscall(SYS_set_tid_address, where);
	return NULL;
}

static void die_in_threads(void *where)
{
	pthread_t thread;
	pthread_attr_t detached;

	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &detached, die_with_nonsense, where) != 0)
		_exit(1);
	usleep(100000);
}

static lh_error try_nonsense(void)
{
	int status;

	LH_TRY(run_in_child(die_in_threads, NULL, &status));
	printf("a robust list without end: %s\n", status_text(status));
	LH_TRY(run_in_child(die_in_threads, (void *)72, &status));
	printf("a robust list nowhere: %s\n", status_text(status));
	return LH_OK;
}

static lh_error run(void)
{
	try_errors();
	LH_TRY(try_wakes(FUTEX_PRIVATE_FLAG));
	LH_TRY(try_wakes(0));
	LH_TRY(try_shared_words());
	LH_TRY(try_interruptions());
	LH_TRY(try_clone());
	try_robust_lists();
	return try_nonsense();
}

int main(void)
{
	return report("futexes", run());
}
